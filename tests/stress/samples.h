/* SPDX-License-Identifier: Apache-2.0 */
/* Latencies, and what they come to. */
#ifndef TACHYON_STRESS_SAMPLES_H
#define TACHYON_STRESS_SAMPLES_H

#include <stdint.h>
#include <stdlib.h>

struct samples {
    int64_t *ns;
    size_t count, room;
};

static inline void samples_add(struct samples *samples, int64_t ns) {
    if (samples->count == samples->room) {
        samples->room = samples->room ? 2 * samples->room : 1024;
        samples->ns = realloc(samples->ns, samples->room * sizeof *samples->ns);
        if (!samples->ns)
            abort();
    }
    samples->ns[samples->count++] = ns;
}

static inline int samples_compare(const void *a, const void *b) {
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

/* The value that `share` of the samples do not exceed, in microseconds. */
static inline double samples_us(struct samples *samples, double share) {
    if (samples->count == 0)
        return 0;
    qsort(samples->ns, samples->count, sizeof *samples->ns, samples_compare);
    size_t index = (size_t)(share * (double)samples->count);
    return (double)samples->ns[index < samples->count ? index : samples->count - 1] /
           1e3;
}

#endif
