/* SPDX-License-Identifier: Apache-2.0 */
/* What a soak looks at, in ten slices of its time: latency and memory. */
#ifndef TACHYON_STRESS_SOAK_H
#define TACHYON_STRESS_SOAK_H

#include "length.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SLICES 10
#define GROWTH_KIB 512

/* Latencies of one slice: for each power of two of ns, 16 steps. Sorting samples would
 * take memory. */
static uint64_t buckets[64 * 16], bucketed;

static inline void bucket(int64_t ns) {
    uint64_t value = ns < 16 ? 16 : (uint64_t)ns;
    unsigned power = 63 - (unsigned)__builtin_clzll(value);
    buckets[power * 16 + (value >> (power - 4) & 15)]++;
    bucketed++;
}

/* In us; empties the buckets. */
static inline double take_p99(void) {
    uint64_t below = 0;
    size_t i = 0;
    while (i < 64 * 16 - 1 && (below += buckets[i]) < bucketed - bucketed / 100)
        i++;
    memset(buckets, 0, sizeof buckets);
    bucketed = 0;
    return (double)(UINT64_C(1) << i / 16) * (16 + (double)(i % 16)) / 16 / 1000;
}

static inline size_t resident_kib(void) {
    size_t total = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file && fscanf(file, "%zu %zu", &total, &resident) == 2);
    fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE) / 1024;
}

static inline void check_resident(size_t before) {
    if (!test_sanitized() && resident_kib() > before + GROWTH_KIB)
        FAIL("%zu KiB resident, %zu at the beginning", resident_kib(), before);
}

/* A trend, not a bad moment: the best of the last three slices against the worst of the
 * first. Sets least and most. */
static inline void check_p99(const double *p99, double *least, double *most) {
    *least = *most = p99[0];
    for (int i = 1; i < SLICES; i++) {
        *least = p99[i] < *least ? p99[i] : *least;
        *most = p99[i] > *most ? p99[i] : *most;
    }
    double first = p99[0], last = p99[SLICES - 1];
    for (int i = 1; i < 3; i++) {
        first = p99[i] > first ? p99[i] : first;
        last = p99[SLICES - 1 - i] < last ? p99[SLICES - 1 - i] : last;
    }
    CHECK(last <= 10 * first + 10000);
}

static inline struct length soak_begin(void) {
    const char *seconds = getenv("TACHYON_SOAK_SECONDS");
    return length_begin("R22", "seconds", seconds ? strtoull(seconds, NULL, 10) : 10,
                        3600);
}

/* The time that it has from now on. */
static inline int64_t soak_ms(const struct length *length) {
    int64_t wanted = (int64_t)length->wanted * 1000;
    int64_t left = length->deadline_ms - test_now_ms();
    return wanted < left ? wanted : left;
}

#endif
