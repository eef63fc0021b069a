/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shared memory of one ring: a sealed memfd, its data mapped twice in a row.
 *
 *   | ring_shared | data | data again |
 *
 * Owns: the descriptor (until the handshake has passed it on) and the mapping.
 * The seals forbid any change of size, so that an access inside the mapping can never
 * raise SIGBUS; whoever attaches checks them before mapping.
 */
#include "region.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE_SEALS (F_SEAL_SHRINK | F_SEAL_GROW)
#define MAX_CAPACITY (UINT64_C(1) << 31)

struct ring_shared ty_ring_idle_shared;
struct ring_line ty_ring_idle_line;

static size_t page_bytes(void) {
    return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t data_offset(void) {
    return page_bytes() > RING_SHARED_BYTES ? page_bytes() : RING_SHARED_BYTES;
}

/* Check a capacity and round it up to a page. */
tachyon_error_t ty_region_round(size_t *capacity) {
    if (*capacity == 0 || (*capacity & (*capacity - 1)) != 0 ||
        *capacity > MAX_CAPACITY)
        return ty_fail(TACHYON_ERR_INVALID_SZ, 0,
                       "capacity is %zu bytes; it must be a power of two, at most "
                       "%" PRIu64,
                       *capacity, MAX_CAPACITY);
    if (*capacity < page_bytes())
        *capacity = page_bytes();
    return TACHYON_SUCCESS;
}

static tachyon_error_t map_twice(struct region *region) {
    size_t once = region->data_offset + region->capacity;
    uint8_t *map = mmap(NULL, once + region->capacity, PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED)
        return ty_fail(TACHYON_ERR_MAP, errno,
                       "cannot reserve %zu bytes of addresses (see ulimit -v)",
                       once + region->capacity);
    region->map = map;
    int flags = MAP_SHARED | MAP_FIXED | MAP_POPULATE;
    if (mmap(map, once, PROT_READ | PROT_WRITE, flags, region->fd, 0) == MAP_FAILED ||
        mmap(map + once, region->capacity, PROT_READ | PROT_WRITE, flags, region->fd,
             (off_t)region->data_offset) == MAP_FAILED)
        return ty_fail(TACHYON_ERR_MAP, errno,
                       errno == EAGAIN ? "cannot lock a ring of %zu bytes into memory, "
                                         "as mlockall() demands (see ulimit -l)"
                                       : "cannot map a ring of %zu bytes",
                       region->capacity);
    return TACHYON_SUCCESS;
}

/* The kernel does not refuse to size a memfd beyond this limit: it sends SIGXFSZ. */
static tachyon_error_t check_file_size_limit(off_t bytes, size_t capacity) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
        (uint64_t)bytes <= (uint64_t)limit.rlim_cur)
        return TACHYON_SUCCESS;
    return ty_fail(TACHYON_ERR_TRUNCATE, EFBIG,
                   "a ring of %zu bytes takes %jd, more than the limit of %ju for the "
                   "size of a file (RLIMIT_FSIZE, ulimit -f)",
                   capacity, (intmax_t)bytes, (uintmax_t)limit.rlim_cur);
}

/* The memory is there, or `error` says why not. */
static tachyon_error_t map_or_free(struct region *region, tachyon_error_t error) {
    if (error == TACHYON_SUCCESS)
        error = map_twice(region);
    if (error != TACHYON_SUCCESS)
        ty_region_free(region);
    return error;
}

static tachyon_error_t allocate(struct region *region) {
    off_t bytes = (off_t)(region->data_offset + region->capacity);
    tachyon_error_t error = check_file_size_limit(bytes, region->capacity);
    if (error != TACHYON_SUCCESS)
        return error;
    region->fd = memfd_create("tachyon", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (region->fd < 0)
        return ty_fail(TACHYON_ERR_OPEN, errno, "cannot create the shared memory");
    /* Not ftruncate: the pages must exist now, not fail with SIGBUS later. */
    int refused;
    do
        refused = fallocate(region->fd, 0, 0, bytes) == 0 ? 0 : errno;
    while (refused == EINTR);
    if (refused != 0)
        return ty_fail(refused == ENOMEM || refused == ENOSPC ? TACHYON_ERR_MEM
                                                              : TACHYON_ERR_TRUNCATE,
                       refused, "cannot allocate a ring of %zu bytes",
                       region->capacity);
    if (fcntl(region->fd, F_ADD_SEALS, SIZE_SEALS | F_SEAL_SEAL) != 0)
        return ty_fail(TACHYON_ERR_SEAL, errno, "cannot seal the shared memory");
    return TACHYON_SUCCESS;
}

tachyon_error_t ty_region_create(struct region *region, size_t capacity) {
    *region =
        (struct region){.fd = -1, .capacity = capacity, .data_offset = data_offset()};
    return map_or_free(region, allocate(region));
}

/* Is the peer's memory what it says, all of it, and for good? */
static tachyon_error_t check(const struct region *region) {
    size_t capacity = region->capacity;
    struct stat stat = {0};
    if (capacity < page_bytes() || (capacity & (capacity - 1)) != 0 ||
        capacity > MAX_CAPACITY)
        return ty_fail(TACHYON_ERR_CORRUPT, 0,
                       "the listener announced a ring of %zu bytes", capacity);
    int seals = fcntl(region->fd, F_GET_SEALS);
    if (seals < 0 || (seals & SIZE_SEALS) != SIZE_SEALS)
        return ty_fail(TACHYON_ERR_SEAL, seals < 0 ? errno : 0,
                       "the listener's shared memory is not sealed against resizing");
    uint64_t expected = region->data_offset + capacity;
    if (fstat(region->fd, &stat) != 0 || !S_ISREG(stat.st_mode) ||
        (uint64_t)stat.st_size != expected)
        return ty_fail(TACHYON_ERR_CORRUPT, 0,
                       "the listener's shared memory has %jd bytes instead of "
                       "%" PRIu64,
                       (intmax_t)stat.st_size, expected);
    if ((uint64_t)stat.st_blocks * 512 < expected) /* it would be ours to find */
        return ty_fail(TACHYON_ERR_CORRUPT, 0,
                       "only %jd of the %" PRIu64
                       " bytes of the listener's shared memory are allocated",
                       (intmax_t)stat.st_blocks * 512, expected);
    return TACHYON_SUCCESS;
}

/* Take over `fd`, which the peer says to be a ring of `capacity` bytes. */
tachyon_error_t ty_region_attach(struct region *region, int fd, uint64_t capacity) {
    *region = (struct region){
        .fd = fd, .capacity = (size_t)capacity, .data_offset = data_offset()};
    return map_or_free(region, check(region));
}

void ty_region_close_fd(struct region *region) {
    ty_close(&region->fd);
}

void ty_region_free(struct region *region) {
    uint8_t *map = region->map;
    region->map = NULL; /* first, as in ty_close() */
    if (map)
        munmap(map, region->data_offset + 2 * region->capacity);
    ty_region_close_fd(region);
}

tachyon_error_t ty_region_set_numa_node(const struct region *region, int node_id) {
    if (node_id < 0 || node_id > 63)
        return ty_fail(TACHYON_ERR_INVALID_SZ, 0, "NUMA node %d is not in 0 to 63",
                       node_id);
    if (ty_mbind_preferred(region->map, region->data_offset + region->capacity,
                           node_id) != 0)
        return ty_fail(TACHYON_ERR_SYSTEM, errno,
                       "cannot move the ring to NUMA node %d", node_id);
    return TACHYON_SUCCESS;
}
