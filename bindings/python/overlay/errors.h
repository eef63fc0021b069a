/* SPDX-License-Identifier: Apache-2.0 */
/* Which exception an error of the core becomes. The classes are tachyon.errors. */
#ifndef TACHYON_PYTHON_ERRORS_H
#define TACHYON_PYTHON_ERRORS_H

#include "object.h"

extern PyObject *TachyonError, *ClosedError, *RingFull;

/* Raise what `code` becomes; returns NULL for the caller to pass on. */
PyObject *raise_error(tachyon_error_t code, const char *text, int system_errno);

/* The last error of this thread, unless a signal handler has raised already. */
PyObject *raise_last(void);

/* A TimeoutError: `what` has not come in the time given, -1 for ever. */
PyObject *raise_timeout(const char *what, int64_t timeout_ns);

/* `text` is taken over; NULL where it could not be made. */
void raise_unexpected_message(PyObject *text, uint32_t type_id, size_t size);

int set_number(PyObject *object, const char *name, size_t number);
int errors_init(PyObject *module);

#endif
