/* SPDX-License-Identifier: Apache-2.0 */
/* The shared memory of one ring. */
#ifndef TACHYON_REGION_H
#define TACHYON_REGION_H

#include "error.h"
#include "ring.h"

struct region {
    int fd,
        data_fd;  /* control words; data, -1: in the same. Until they are passed on */
    uint8_t *map; /* ring_shared, then the data twice */
    size_t capacity; /* 0: without the data */
    size_t data_offset;
    bool read_only; /* the data */
};

#define REGION_NONE ((struct region){.fd = -1, .data_fd = -1})
#define REGION_MAX_FDS 2u

tachyon_error_t ty_region_round(size_t *capacity);
tachyon_error_t ty_region_create(struct region *region, size_t capacity);
/* The data of a broadcast, which nobody else can write, and control words for nobody. */
tachyon_error_t ty_region_create_data(struct region *region, size_t capacity);
/* Control words for one consumer of it. */
tachyon_error_t ty_region_create_control(struct region *region,
                                         const struct region *data);
/* Take over the descriptors that the peer says to be a ring of `capacity` bytes; with
 * two of them the data is read-only. */
tachyon_error_t ty_region_attach(struct region *region, const int *fds,
                                 unsigned fd_count, uint64_t capacity);
/* Those to pass on, up to REGION_MAX_FDS. */
unsigned ty_region_fds(const struct region *region, int *fds);
void ty_region_close_fds(struct region *region);
/* Have its pages at hand before the first message. Takes time in proportion to the ring:
 * not to be called while a peer waits in the handshake, whose time is limited. */
void ty_region_populate(const struct region *region);
void ty_region_free(struct region *region);
tachyon_error_t ty_region_set_numa_node(const struct region *region, int node_id);

static inline struct ring_shared *region_shared(const struct region *region) {
    return (struct ring_shared *)(void *)region->map;
}

static inline uint8_t *region_data(const struct region *region) {
    return region->map + region->data_offset;
}

#endif
