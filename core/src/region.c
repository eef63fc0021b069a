/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shared memory of one ring: a sealed memfd, its data mapped twice in a row.
 *
 *   | ring_shared | data | data again |
 *
 * In broadcast the data has a memfd of its own, which all consumers map read-only, and
 * each consumer has another with its control words. The producer, which has the data to
 * itself, holds it behind control words that are nobody else's.
 *
 *   producer         | ring_shared, private | data | data again |
 *   for a consumer   | ring_shared |
 *   the consumer     | ring_shared | data, read-only | data again, read-only |
 *
 * Owns: the descriptors (until the handshake has passed them on) and the mapping.
 * The seals forbid any change of size, so that an access inside the mapping can never
 * raise SIGBUS; whoever attaches checks them before mapping. The data of a broadcast is
 * sealed against writing as well, once its producer has mapped it: from then on no
 * mapping of anybody's can be made or become writable, nor the file be written.
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
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

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

static bool map_at(uint8_t *at, size_t bytes, int protection, int fd, size_t from) {
    int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
    return mmap(at, bytes, protection, flags | MAP_FIXED, fd, (off_t)from) !=
           MAP_FAILED;
}

static tachyon_error_t cannot_map(size_t bytes) {
    return ty_fail(TACHYON_ERR_MAP, errno,
                   errno == EAGAIN ? "cannot lock a ring of %zu bytes into memory, "
                                     "as mlockall() demands (see ulimit -l)"
                                   : "cannot map a ring of %zu bytes",
                   bytes);
}

static tachyon_error_t map_twice(struct region *region) {
    const int both = PROT_READ | PROT_WRITE;
    size_t offset = region->data_offset, capacity = region->capacity;
    uint8_t *map = mmap(NULL, offset + 2 * capacity, PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED)
        return ty_fail(TACHYON_ERR_MAP, errno,
                       "cannot reserve %zu bytes of addresses (see ulimit -v)",
                       offset + 2 * capacity);
    region->map = map;
    uint8_t *data = map + offset;
    int protection = region->read_only ? PROT_READ : both;
    bool mapped =
        region->data_fd < 0
            ? map_at(map, offset + capacity, both, region->fd, 0) &&
                  map_at(data + capacity, capacity, both, region->fd, offset)
            : map_at(map, offset, both, region->fd, 0) &&
                  map_at(data, capacity, protection, region->data_fd, 0) &&
                  map_at(data + capacity, capacity, protection, region->data_fd, 0);
    return mapped ? TACHYON_SUCCESS : cannot_map(capacity);
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

/* A memfd with all its pages, which may be sealed. */
static tachyon_error_t allocate(int *fd, size_t size, size_t capacity) {
    off_t bytes = (off_t)size;
    tachyon_error_t error = check_file_size_limit(bytes, capacity);
    if (error != TACHYON_SUCCESS)
        return error;
    *fd = memfd_create("tachyon", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (*fd < 0)
        return ty_fail(TACHYON_ERR_OPEN, errno, "cannot create the shared memory");
    /* Not ftruncate: the pages must exist now, not fail with SIGBUS later. */
    int refused;
    do
        refused = fallocate(*fd, 0, 0, bytes) == 0 ? 0 : errno;
    while (refused == EINTR);
    if (refused != 0)
        return ty_fail(refused == ENOMEM || refused == ENOSPC ? TACHYON_ERR_MEM
                                                              : TACHYON_ERR_TRUNCATE,
                       refused, "cannot allocate a ring of %zu bytes", capacity);
    return TACHYON_SUCCESS;
}

/* For good. */
static tachyon_error_t seal(int fd, int seals) {
    return fcntl(fd, F_ADD_SEALS, seals | F_SEAL_SEAL) == 0
               ? TACHYON_SUCCESS
               : ty_fail(TACHYON_ERR_SEAL, errno, "cannot seal the shared memory");
}

/* The memory is there, or `error` says why not. */
static tachyon_error_t or_free(struct region *region, tachyon_error_t error) {
    if (error != TACHYON_SUCCESS)
        ty_region_free(region);
    return error;
}

static struct region new_region(size_t capacity) {
    return (struct region){
        .fd = -1, .data_fd = -1, .capacity = capacity, .data_offset = data_offset()};
}

tachyon_error_t ty_region_create(struct region *region, size_t capacity) {
    tachyon_error_t error;
    *region = new_region(capacity);
    if ((error = allocate(&region->fd, region->data_offset + capacity, capacity)) ==
            TACHYON_SUCCESS &&
        (error = seal(region->fd, SIZE_SEALS)) == TACHYON_SUCCESS)
        error = map_twice(region);
    return or_free(region, error);
}

tachyon_error_t ty_region_create_data(struct region *region, size_t capacity) {
    tachyon_error_t error;
    *region = new_region(capacity);
    if ((error = allocate(&region->data_fd, capacity, capacity)) == TACHYON_SUCCESS &&
        (error = map_twice(region)) == TACHYON_SUCCESS) /* the last that may write */
        error = seal(region->data_fd, SIZE_SEALS | F_SEAL_FUTURE_WRITE);
    if (error == TACHYON_SUCCESS)
        ty_region_populate(region);
    return or_free(region, error);
}

static tachyon_error_t map_control(struct region *region) {
    void *map = mmap(NULL, region->data_offset, PROT_READ | PROT_WRITE, MAP_SHARED,
                     region->fd, 0);
    if (map == MAP_FAILED)
        return cannot_map(region->data_offset);
    region->map = map;
    return TACHYON_SUCCESS;
}

static tachyon_error_t share(struct region *region, const struct region *data) {
    region->data_fd = fcntl(data->data_fd, F_DUPFD_CLOEXEC, 0);
    return region->data_fd >= 0
               ? TACHYON_SUCCESS
               : ty_fail(TACHYON_ERR_OPEN, errno, "cannot share the data");
}

tachyon_error_t ty_region_create_control(struct region *region,
                                         const struct region *data) {
    tachyon_error_t error;
    *region = new_region(0);
    if ((error = allocate(&region->fd, region->data_offset, region->data_offset)) ==
            TACHYON_SUCCESS &&
        (error = seal(region->fd, SIZE_SEALS)) == TACHYON_SUCCESS &&
        (error = map_control(region)) == TACHYON_SUCCESS)
        error = share(region, data);
    return or_free(region, error);
}

/* Is this what the peer says, all of it, and for good? */
static tachyon_error_t check_file(int fd, uint64_t expected, int needed) {
    struct stat stat = {0};
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & needed) != needed)
        return ty_fail(TACHYON_ERR_SEAL, seals < 0 ? errno : 0,
                       "the listener's shared memory is not sealed against %s",
                       seals < 0 || (seals & SIZE_SEALS) != SIZE_SEALS ? "resizing"
                                                                       : "writing");
    if (fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode) ||
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

static tachyon_error_t check(const struct region *region) {
    size_t capacity = region->capacity;
    tachyon_error_t error;
    if (capacity < page_bytes() || (capacity & (capacity - 1)) != 0 ||
        capacity > MAX_CAPACITY)
        return ty_fail(TACHYON_ERR_CORRUPT, 0,
                       "the listener announced a ring of %zu bytes", capacity);
    if (region->data_fd < 0)
        return check_file(region->fd, region->data_offset + capacity, SIZE_SEALS);
    error = check_file(region->fd, region->data_offset, SIZE_SEALS);
    return error == TACHYON_SUCCESS
               ? check_file(region->data_fd, capacity, SIZE_SEALS | F_SEAL_FUTURE_WRITE)
               : error;
}

tachyon_error_t ty_region_attach(struct region *region, const int *fds,
                                 unsigned fd_count, uint64_t capacity) {
    *region = new_region((size_t)capacity);
    region->fd = fds[0];
    if (fd_count == 2)
        region->data_fd = fds[1];
    region->read_only = fd_count == 2;
    tachyon_error_t error = check(region);
    return or_free(region, error == TACHYON_SUCCESS ? map_twice(region) : error);
}

unsigned ty_region_fds(const struct region *region, int *fds) {
    fds[0] = region->fd;
    if (region->data_fd < 0)
        return 1;
    fds[1] = region->data_fd;
    return 2;
}

void ty_region_close_fds(struct region *region) {
    ty_close(&region->fd);
    ty_close(&region->data_fd);
}

void ty_region_populate(const struct region *region) {
    size_t bytes = region->data_offset + 2 * region->capacity;
    if (region->map) /* before Linux 5.14 each page comes when it is first used */
        madvise(region->map, bytes, MADV_POPULATE_READ);
}

void ty_region_free(struct region *region) {
    uint8_t *map = region->map;
    region->map = NULL; /* first, as in ty_close() */
    if (map)
        munmap(map, region->data_offset + 2 * region->capacity);
    ty_region_close_fds(region);
}

tachyon_error_t ty_region_set_numa_node(const struct region *region, int node_id) {
    if (node_id < 0 || node_id > 63)
        return ty_fail(TACHYON_ERR_INVALID_SZ, 0, "NUMA node %d is not in 0 to 63",
                       node_id);
    if (region->read_only)
        return ty_fail(TACHYON_ERR_PERMISSION, 0,
                       "the ring is not this end's alone: its listener moves it");
    if (ty_mbind_preferred(region->map, region->data_offset + region->capacity,
                           node_id) != 0)
        return ty_fail(TACHYON_ERR_SYSTEM, errno,
                       "cannot move the ring to NUMA node %d", node_id);
    return TACHYON_SUCCESS;
}
