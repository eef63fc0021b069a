/* SPDX-License-Identifier: Apache-2.0 */
/* What a hostile peer writes, and memory between two inaccessible stretches for the end
 * that it writes to. */
#ifndef TACHYON_HOSTILE_H
#define TACHYON_HOSTILE_H

#include "bus.h"
#include "peers.h"

#include <string.h>
#include <sys/mman.h>

#define CAPACITY 8192
#define GUARD 65536

static inline uint64_t hostile_word(uint64_t *random) {
    uint64_t size = message_size(test_random(random), CAPACITY - 128);
    if (test_random_below(random, 64) ==
        0) /* about as large as the ring, or too large */
        size = test_random_below(random, 2)
                   ? CAPACITY - 200 + test_random_below(random, 300)
                   : test_random_below(random, 4 * CAPACITY);
    uint64_t word = test_random(random) << 32 | (size + 1);
    return size > 32 || test_random_below(random, 8) == 0 ? word | RING_NEXT_LINE_BIT
                                                          : word;
}

static inline void hostile_write(const struct region *region, uint64_t *random) {
    struct ring_shared *shared = region_shared(region);
    uint8_t *data = region_data(region);
    uint64_t tail = atomic_load(&shared->tail);
    struct ring_line *line =
        ring_line_at(data, CAPACITY - 1,
                     (tail & ~UINT64_C(63)) + 64 * test_random_below(random, 20));
    switch (test_random_below(random, 32)) {
    case 0: { /* anything, anywhere */
        size_t at = test_random_below(random, (RING_SHARED_BYTES + CAPACITY) / 8);
        atomic_store((_Atomic uint64_t *)(void *)region->map + at, test_random(random));
        break;
    }
    case 1:
        atomic_store(&shared->tail, tail + 64 * test_random_below(random, 200) - 6400);
        break;
    case 2:
        atomic_store(&shared->wanted_head,
                     test_random_below(random, 2)
                         ? tail + 64 * test_random_below(random, 99)
                         : test_random(random));
        atomic_store(&shared->wanted_tail, tail + 64 * test_random_below(random, 99));
        break;
    case 3:
        atomic_store(&line->word, test_random(random) & test_random(random));
        break;
    case 4:
        atomic_store(&line->word, 0);
        break;
    default: /* messages and calls as they might be */
        line->correlation_id = test_random_below(random, 200);
        atomic_store(&line->word, hostile_word(random));
    }
}

static inline size_t hostile_mapped(const struct region *region) {
    return region->data_offset + 2 * region->capacity;
}

/* Move a ring between two inaccessible stretches. Nobody has looked at it yet, or the
 * caller arms its end again. */
static inline void hostile_surround(struct region *region) {
    size_t once = region->data_offset + region->capacity;
    uint8_t *room = mmap(NULL, hostile_mapped(region) + 2 * GUARD, PROT_NONE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(room != MAP_FAILED);
    int flags = MREMAP_MAYMOVE | MREMAP_FIXED;
    CHECK(mremap(region->map, once, once, flags, room + GUARD) == room + GUARD);
    CHECK(mremap(region->map + once, region->capacity, region->capacity, flags,
                 room + GUARD + once) == room + GUARD + once);
    region->map = room + GUARD;
}

/* When the ring is gone; what it was is known by then only from a copy. */
static inline void hostile_remove_guards(const struct region *copy) {
    CHECK_EQ(munmap(copy->map - GUARD, GUARD), 0);
    CHECK_EQ(munmap(copy->map + hostile_mapped(copy), GUARD), 0);
}

/* What was handed out lies in this ring, and can be read: 1. */
static inline unsigned hostile_span(const struct region *region, const void *span,
                                    size_t size) {
    const uint8_t *begin = span, *data = region_data(region);
    CHECK(size <= CAPACITY && begin >= data && begin + size <= data + 2 * CAPACITY);
    uint8_t sum = 0;
    for (size_t i = 0; i < size; i++)
        sum ^= ((volatile const uint8_t *)begin)[i];
    (void)sum;
    return 1;
}

#endif
