/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a stress test runs. By default a quick length that suits every check; with
 * TACHYON_FULL_SECONDS in the environment its full one, as far as that time goes.
 */
#ifndef TACHYON_STRESS_LENGTH_H
#define TACHYON_STRESS_LENGTH_H

#include "harness.h"

struct length {
    const char *goal; /* of docs/RELIABILITY.md, such as "R1" */
    const char *unit; /* of what is counted, in plural */
    uint64_t full, wanted, done;
    int64_t deadline_ms, begin_ms;
};

/* Under a sanitizer a quick run does a tenth, unless the unit is seconds. */
struct length length_begin(const char *goal, const char *unit, uint64_t quick,
                           uint64_t full);
/* Look before each unit; the caller counts `done`. */
bool length_goes_on(const struct length *length);
/* Print what was done; with TACHYON_REPORT also append a line to that file. */
void length_end(const struct length *length, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
