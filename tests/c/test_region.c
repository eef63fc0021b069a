/* SPDX-License-Identifier: Apache-2.0 */
/* region.c: creating, sealing, mapping; and refusing what is no ring. */
#include "harness.h"
#include "region.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHARED 8192 /* bytes before the data, with pages of 4 KiB */

TEST(a_capacity_is_checked_and_rounded_up_to_a_page) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    static const size_t wrong[] = {
        0, 3, 6, 4095, 4097, 12288, SIZE_MAX, ((size_t)1 << 31) + 1, (size_t)1 << 32};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        size_t capacity = wrong[i];
        char text[32];
        CHECK_ERROR(ty_region_round(&capacity), TACHYON_ERR_INVALID_SZ);
        snprintf(text, sizeof text, "%zu bytes", wrong[i]);
        CHECK_SAYS(text);
        CHECK_EQ(capacity, wrong[i]);
    }
    for (size_t asked = 1; asked <= (size_t)1 << 31; asked *= 2) {
        size_t capacity = asked;
        CHECK_OK(ty_region_round(&capacity));
        CHECK_EQ(capacity, asked < page ? page : asked);
    }
}

TEST(a_region_is_allocated_sealed_and_mapped_twice) {
    for (size_t capacity = 4096; capacity <= 1 << 20; capacity *= 16) {
        struct region region;
        struct stat stat;
        CHECK_OK(ty_region_create(&region, capacity));
        CHECK_EQ(region.capacity, capacity);
        CHECK_EQ(fcntl(region.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        CHECK_EQ(fcntl(region.fd, F_GET_SEALS),
                 F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
        CHECK_EQ(fstat(region.fd, &stat), 0);
        CHECK_EQ(stat.st_size, region.data_offset + capacity);
        CHECK(stat.st_blocks * 512 >= stat.st_size); /* not sparse: no SIGBUS later */

        uint8_t *data = region_data(&region);
        for (size_t i = 0; i < capacity; i++)
            CHECK_EQ(data[i], 0);
        for (size_t i = 0; i < capacity; i += 61) {
            data[i] = (uint8_t)i;
            CHECK_EQ(data[capacity + i], (uint8_t)i);
            data[capacity + i] = (uint8_t)~i;
            CHECK_EQ(data[i], (uint8_t)~i);
        }
        CHECK_EQ(region_shared(&region)->about.magic, 0); /* apart from the data */
        ty_region_free(&region);
        CHECK_EQ(region.fd, -1);
        CHECK(!region.map);
        ty_region_free(&region); /* idempotent */
    }
}

TEST(fault_5_no_later_truncation_is_possible) {
    struct region region;
    CHECK_OK(ty_region_create(&region, 4096));
    CHECK_EQ(ftruncate(region.fd, 0), -1);
    CHECK_EQ(errno, EPERM);
    CHECK_EQ(ftruncate(region.fd, 1 << 20), -1);
    CHECK_EQ(errno, EPERM);
    CHECK_EQ(fcntl(region.fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
    CHECK_EQ(errno, EPERM);
    ty_region_free(&region);
}

TEST(who_attaches_sees_what_the_creator_wrote) {
    struct region ours, theirs;
    CHECK_OK(ty_region_create(&ours, 8192));
    CHECK_OK(ty_region_attach(&theirs, dup(ours.fd), 8192));
    CHECK_EQ(theirs.capacity, 8192);
    region_data(&ours)[5] = 42;
    region_shared(&theirs)->about.version = 7;
    CHECK_EQ(region_data(&theirs)[8192 + 5], 42);
    CHECK_EQ(region_shared(&ours)->about.version, 7);
    ty_region_close_fd(&ours); /* the mappings need no descriptor */
    ty_region_close_fd(&theirs);
    region_data(&theirs)[6] = 43;
    CHECK_EQ(region_data(&ours)[6], 43);
    ty_region_free(&ours);
    CHECK_EQ(region_data(&theirs)[6], 43); /* nor each other */
    ty_region_free(&theirs);
}

static int make_memfd(off_t bytes, int seals) {
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    CHECK(fd >= 0);
    if (bytes > 0)
        CHECK_EQ(fallocate(fd, 0, 0, bytes), 0);
    if (seals)
        CHECK_EQ(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

static int make_sparse(void) {
    int fd = memfd_create("sparse", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    CHECK(fd >= 0);
    CHECK_EQ(ftruncate(fd, SHARED + 4096), 0);
    CHECK_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
    return fd;
}

static int make_file(off_t bytes) {
    int fd = open(test_path("file"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    CHECK_EQ(ftruncate(fd, bytes), 0);
    return fd;
}

static int make_pipe(void) {
    int fds[2];
    CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
    close(fds[1]);
    return fds[0];
}

static int reopen_read_only(int fd) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int reopened = open(path, O_RDONLY | O_CLOEXEC);
    close(fd);
    CHECK(reopened >= 0);
    return reopened;
}

TEST(fault_5_what_is_no_sealed_ring_is_not_mapped) {
    const int sealed = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    const struct {
        const char *what;
        int fd;
        tachyon_error_t error;
    } table[] = {
        {"a pipe", make_pipe(), TACHYON_ERR_SEAL},
        {"a socket", socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), TACHYON_ERR_SEAL},
        {"a directory", open("/", O_RDONLY | O_CLOEXEC), TACHYON_ERR_SEAL},
        {"/dev/null", open("/dev/null", O_RDWR | O_CLOEXEC), TACHYON_ERR_SEAL},
        {"a file", make_file(SHARED + 4096), TACHYON_ERR_SEAL},
        {"no descriptor", 3999, TACHYON_ERR_SEAL},
        {"unsealed", make_memfd(SHARED + 4096, 0), TACHYON_ERR_SEAL},
        {"may grow", make_memfd(SHARED + 4096, F_SEAL_SHRINK), TACHYON_ERR_SEAL},
        {"may shrink", make_memfd(SHARED + 4096, F_SEAL_GROW), TACHYON_ERR_SEAL},
        {"empty", make_memfd(0, sealed), TACHYON_ERR_CORRUPT},
        {"short", make_memfd(SHARED + 4095, sealed), TACHYON_ERR_CORRUPT},
        {"without header", make_memfd(4096, sealed), TACHYON_ERR_CORRUPT},
        {"sparse", make_sparse(), TACHYON_ERR_CORRUPT},
        {"long", make_memfd(SHARED + 8192, sealed), TACHYON_ERR_CORRUPT},
        {"read-only", reopen_read_only(make_memfd(SHARED + 4096, sealed)),
         TACHYON_ERR_MAP},
        {"write-sealed", make_memfd(SHARED + 4096, sealed | F_SEAL_WRITE),
         TACHYON_ERR_MAP},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct region region;
        tachyon_error_t error = ty_region_attach(&region, table[i].fd, 4096);
        if (error != table[i].error)
            FAIL("%s: %s (%s)", table[i].what, tachyon_strerror(error),
                 tachyon_last_error_message());
        CHECK_EQ(tachyon_last_error(), error);
        CHECK_EQ(fcntl(table[i].fd, F_GETFD), -1); /* taken over and closed */
        CHECK_EQ(region.fd, -1);
        CHECK(!region.map);
    }
}

TEST(an_announced_capacity_that_no_listener_has_is_refused) {
    static const uint64_t capacities[] = {0,
                                          1,
                                          64,
                                          2048,
                                          4097,
                                          12288,
                                          (UINT64_C(1) << 31) + 4096,
                                          UINT64_C(1) << 32,
                                          UINT64_MAX};
    for (size_t i = 0; i < sizeof capacities / sizeof capacities[0]; i++) {
        struct region region;
        char text[32];
        int fd = make_memfd(SHARED + 4096, F_SEAL_SHRINK | F_SEAL_GROW);
        CHECK_ERROR(ty_region_attach(&region, fd, capacities[i]), TACHYON_ERR_CORRUPT);
        snprintf(text, sizeof text, "ring of %ju bytes", (uintmax_t)capacities[i]);
        CHECK_SAYS(text);
    }
}

/* ---- A kernel that refuses ---- */

static struct rlimit limit_to(int resource, rlim_t bytes) {
    struct rlimit before, limit;
    CHECK_EQ(getrlimit(resource, &before), 0);
    limit = before;
    limit.rlim_cur = bytes;
    CHECK_EQ(setrlimit(resource, &limit), 0);
    return before;
}

TEST(no_descriptor_left_is_an_open_error) {
    struct region region;
    struct rlimit before = limit_to(RLIMIT_NOFILE, 3);
    CHECK_ERROR(ty_region_create(&region, 4096), TACHYON_ERR_OPEN);
    CHECK_EQ(tachyon_last_errno(), EMFILE);
    CHECK_SAYS(strerror(EMFILE));
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    CHECK_OK(ty_region_create(&region, 4096)); /* a retry works */
    ty_region_free(&region);
}

TEST(a_size_beyond_the_limit_is_a_truncate_error) {
    struct region region;
    struct rlimit before = limit_to(RLIMIT_FSIZE, 65536); /* no SIGXFSZ comes */
    CHECK_ERROR(ty_region_create(&region, 1 << 20), TACHYON_ERR_TRUNCATE);
    CHECK_EQ(tachyon_last_errno(), EFBIG);
    CHECK_SAYS("1048576 bytes");
    CHECK_SAYS("limit of 65536");
    CHECK_SAYS("ulimit -f");
    CHECK_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
    CHECK_OK(ty_region_create(&region, 1 << 20));
    ty_region_free(&region);
}

TEST(no_address_space_left_is_a_map_error) {
    struct region region;
    if (test_sanitized())
        test_skip("a sanitizer needs more address space than any limit leaves");
    struct rlimit before = limit_to(RLIMIT_AS, 64 << 20);
    CHECK_ERROR(ty_region_create(&region, 64 << 20), TACHYON_ERR_MAP);
    CHECK_EQ(tachyon_last_errno(), ENOMEM);
    CHECK_EQ(setrlimit(RLIMIT_AS, &before), 0);
    CHECK_OK(ty_region_create(&region, 4096));
    ty_region_free(&region);
}
