/* SPDX-License-Identifier: Apache-2.0 */
/* The calling thread's last error. */
#ifndef TACHYON_ERROR_H
#define TACHYON_ERROR_H

#include "os.h"

#include "tachyon.h"

/* Record a failure with its text; the text ends with ": strerror" if system != 0. */
tachyon_error_t ty_fail(tachyon_error_t error, int system, const char *format, ...)
    __attribute__((format(printf, 3, 4), cold));

/* Add what the last failure is about, unless its text says so already. */
tachyon_error_t ty_fail_about(tachyon_error_t error, const char *subject);

/* Record a failure whose text is tachyon_strerror(), for calls that fail often. */
tachyon_error_t ty_fail_plain(tachyon_error_t error);

/* Record that this argument is NULL. On the hot path `return ty_fail_null("bus")`, which
 * costs no stack frame. */
tachyon_error_t ty_fail_null(const char *argument) __attribute__((cold));

/* True when this argument is NULL, which then is the last failure. A macro: behind a
 * call of a function, compilers keep what comes after a NULL alive. */
#define is_null(argument)                                                              \
    (unlikely(!(argument)) ? (ty_fail_null(#argument), true) : false)

#endif
