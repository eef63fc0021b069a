/* SPDX-License-Identifier: Apache-2.0 */
/* The shared memory of one ring. */
#ifndef TACHYON_REGION_H
#define TACHYON_REGION_H

#include "error.h"
#include "ring.h"

struct region {
    int fd;
    uint8_t *map; /* ring_shared, then the data twice */
    size_t capacity;
    size_t data_offset;
};

#define REGION_NONE ((struct region){.fd = -1})

tachyon_error_t ty_region_round(size_t *capacity);
tachyon_error_t ty_region_create(struct region *region, size_t capacity);
tachyon_error_t ty_region_attach(struct region *region, int fd, uint64_t capacity);
void ty_region_close_fd(struct region *region);
void ty_region_free(struct region *region);
tachyon_error_t ty_region_set_numa_node(const struct region *region, int node_id);

static inline struct ring_shared *region_shared(const struct region *region) {
    return (struct ring_shared *)(void *)region->map;
}

static inline uint8_t *region_data(const struct region *region) {
    return region->map + region->data_offset;
}

#endif
