/* SPDX-License-Identifier: Apache-2.0 */
/* Yardsticks of memory, with the words of driver.c:
 *
 *     memory copy|dirty way|place MODE SIZE BATCH COUNT PAUSE_NS LEAD_CORE PEER_CORE DIR
 *
 * copy: one process copies messages into memory that a cache holds and out of it
 * again, as two processes do at the same time with one copy each. dirty: the other has
 * written as much as a ring holds; this one copies it out of the other's cache, or, for
 * what is in place, reads it there. */
#define _GNU_SOURCE
#include "touch.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define LEAST ((size_t)1 << 20) /* fits into the cache of a core */

struct shared {
    _Alignas(64) _Atomic uint64_t asked, written;
    _Alignas(4096) unsigned char ring[];
};

static size_t ring_size = LEAST;

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void pin(int core) {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET((size_t)core, &cores);
    if (sched_setaffinity(0, sizeof(cores), &cores)) {
        perror("sched_setaffinity");
        exit(1);
    }
}

static void write_when_asked(struct shared *shared) {
    for (uint64_t round = 1;; round++) {
        while (atomic_load(&shared->asked) != round) {
        }
        memset(shared->ring, (int)round, ring_size);
        atomic_store(&shared->written, round);
    }
}

int main(int argc, char **argv) {
    if (argc != 11) {
        fprintf(stderr, "%s: see the top of memory.c\n", argv[0]);
        return 2;
    }
    int dirty = !strcmp(argv[1], "dirty");
    size_t size = strtoull(argv[4], NULL, 10);
    uint64_t count = strtoull(argv[6], NULL, 10), time = 0, copied = 0, sum = 0;
    int in_place = dirty && !strcmp(argv[2], "place");
    if ((strcmp(argv[2], "way") && !in_place) || strcmp(argv[5], "1")) {
        puts("{\"cannot\": \"only copies messages one by one\"}");
        return 0;
    }
    if (size > ring_size) {
        ring_size = size;
    }
    struct shared *shared =
        mmap(NULL, sizeof(*shared) + ring_size, PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    unsigned char *message = calloc(1, size);
    if (shared == MAP_FAILED || !message) {
        perror("memory");
        return 1;
    }
    pid_t other = dirty ? fork() : 0;
    if (dirty && !other) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pin(atoi(argv[9]));
        write_when_asked(shared);
    }
    pin(atoi(argv[8]));
    memset(shared->ring, 1, ring_size);
    for (uint64_t round = 1; copied < count; round++) {
        if (dirty) {
            atomic_store(&shared->asked, round);
            while (atomic_load(&shared->written) != round) {
            }
        }
        uint64_t start = now();
        for (size_t at = 0; at + size <= ring_size && copied < count;
             at += size, copied++) {
            if (in_place) {
                sum += touch_read(shared->ring + at, size);
                continue;
            }
            if (!dirty) {
                memcpy(shared->ring + at, message, size);
            }
            memcpy(message, shared->ring + at, size);
            __asm__ volatile("" ::: "memory"); /* what is copied may be looked at */
        }
        time += now() - start;
        __asm__ volatile("" ::"r"(sum)); /* so is what is summed up */
    }
    printf("{\"connect_ns\": 0, \"wall_ns\": %llu, \"cpu_ns\": 0}\n",
           (unsigned long long)time);
    if (dirty) {
        kill(other, SIGKILL);
    }
    return 0;
}
