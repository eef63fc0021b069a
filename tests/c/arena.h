/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both ends of a ring over one mapping, with an inaccessible page on either side:
 *
 *   | guard | ring_shared | data | data again | guard |
 *
 * One mapping for both ends is also what lets ThreadSanitizer see a race between them.
 */
#ifndef TACHYON_TEST_ARENA_H
#define TACHYON_TEST_ARENA_H

#include "harness.h"
#include "ring.h"

#include <sys/mman.h>
#include <unistd.h>

struct arena {
    uint8_t *base;
    size_t bytes;
    uint8_t *data;
    struct ring_shared *shared;
    struct ring_producer producer;
    struct ring_consumer consumer;
};

static inline struct arena arena_make(size_t capacity) {
    const size_t guard = 65536;
    struct arena arena = {.bytes = 2 * guard + RING_SHARED_BYTES + 2 * capacity};
    arena.base = mmap(NULL, arena.bytes, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    int memory = memfd_create("arena", MFD_CLOEXEC);
    CHECK(arena.base != MAP_FAILED && memory >= 0);
    CHECK_EQ(ftruncate(memory, (off_t)(RING_SHARED_BYTES + capacity)), 0);
    arena.shared = (struct ring_shared *)(void *)(arena.base + guard);
    arena.data = arena.base + guard + RING_SHARED_BYTES;
    for (int part = 0; part < 2; part++) {
        uint8_t *at = part == 0 ? (uint8_t *)arena.shared : arena.data + capacity;
        size_t offset = part == 0 ? 0 : RING_SHARED_BYTES;
        size_t size = part == 0 ? RING_SHARED_BYTES + capacity : capacity;
        CHECK(mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, memory,
                   (off_t)offset) == at);
    }
    close(memory);
    ring_producer_arm(&arena.producer, arena.shared, arena.data, capacity);
    ring_consumer_arm(&arena.consumer, arena.shared, arena.data, capacity);
    return arena;
}

static inline void arena_free(struct arena *arena) {
    munmap(arena->base, arena->bytes);
}

#endif
