/* SPDX-License-Identifier: Apache-2.0 */
/* What was measured: percentiles, and the ratio to the raw line of the same moment. */
#ifndef REPORT_H
#define REPORT_H

#include <stddef.h>
#include <stdint.h>

/* All rounds during which the cores were equally far from each other. */
struct regime {
    uint32_t *line;     /* times of all its rounds, in ticks */
    uint32_t *messages; /* the same */
    double *ratios;     /* one a round */
    size_t rounds;
};

/* Virtual machines move their cores: a round counts for the regime that the line had
   before and after it, and for none when that changed. */
struct report {
    struct regime near;
    struct regime far;
    size_t left_out;
    size_t trips; /* times in a series */
    double ns_per_tick;
    double near_below_ns; /* median of a near line */
};

void report_open(struct report *report, size_t rounds, size_t trips,
                 double near_below_ns);

/* Sorts the series. */
uint32_t report_median(const struct report *report, uint32_t *series);

/* `before` and `after` are the medians of the line around the messages, `line` is the
   series after them. */
void report_add(struct report *report, const uint32_t *messages, const uint32_t *line,
                uint32_t messages_median, uint32_t before, uint32_t after);

void report_print(struct report *report);

void report_close(struct report *report);

#endif
