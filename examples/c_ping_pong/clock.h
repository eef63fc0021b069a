/* SPDX-License-Identifier: Apache-2.0 */
/* Time stamps cheap enough to stand between two round trips of 100 ns. */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>
#include <time.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

static inline uint64_t monotonic_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static inline uint64_t ticks(void) {
#if defined(__x86_64__)
    return __rdtsc();
#else
    return monotonic_ns();
#endif
}

static inline double ns_per_tick(void) {
    uint64_t start = monotonic_ns(), first = ticks(), elapsed;
    do {
        elapsed = monotonic_ns() - start;
    } while (elapsed < 30000000);
    return (double)elapsed / (double)(ticks() - first);
}

#endif
