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
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
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
    CHECK_OK(ty_region_attach(&theirs, (int[]){dup(ours.fd)}, 1, 8192));
    CHECK_EQ(theirs.capacity, 8192);
    region_data(&ours)[5] = 42;
    region_shared(&theirs)->about.version = 7;
    CHECK_EQ(region_data(&theirs)[8192 + 5], 42);
    CHECK_EQ(region_shared(&ours)->about.version, 7);
    ty_region_close_fds(&ours); /* the mappings need no descriptor */
    ty_region_close_fds(&theirs);
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
        tachyon_error_t error = ty_region_attach(&region, &table[i].fd, 1, 4096);
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
        CHECK_ERROR(ty_region_attach(&region, &fd, 1, capacities[i]),
                    TACHYON_ERR_CORRUPT);
        snprintf(text, sizeof text, "ring of %ju bytes", (uintmax_t)capacities[i]);
        CHECK_SAYS(text);
    }
}

/* ---- Broadcast: data that one end writes and many read ---- */

struct broadcast {
    struct region data, control, reader;
    int fds[REGION_MAX_FDS]; /* what the reader was given, kept as a hostile one does */
};

static struct broadcast broadcast_make(size_t capacity) {
    struct broadcast b;
    int fds[REGION_MAX_FDS];
    CHECK_OK(ty_region_create_data(&b.data, capacity));
    CHECK_OK(ty_region_create_control(&b.control, &b.data));
    CHECK_EQ(ty_region_fds(&b.control, fds), 2);
    for (unsigned i = 0; i < REGION_MAX_FDS; i++) {
        b.fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
        fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
    }
    CHECK_OK(ty_region_attach(&b.reader, fds, 2, capacity));
    return b;
}

static void broadcast_free(struct broadcast *b) {
    ty_region_free(&b->reader);
    ty_region_free(&b->control);
    ty_region_free(&b->data);
    close(b->fds[0]);
    close(b->fds[1]);
}

TEST(a_reader_sees_the_data_twice_and_shares_control_words_of_its_own) {
    struct broadcast b = broadcast_make(8192), other = {0};
    region_data(&b.data)[5] = 42;
    CHECK_EQ(region_data(&b.reader)[5], 42);
    CHECK_EQ(region_data(&b.reader)[8192 + 5], 42);
    CHECK_EQ(region_data(&b.data)[8192 + 5], 42);
    region_shared(&b.reader)->tail = 64;
    CHECK_EQ(region_shared(&b.control)->tail, 64);
    CHECK_EQ(region_shared(&b.data)->tail, 0); /* nobody's */
    CHECK_OK(ty_region_create_control(&other.control, &b.data));
    CHECK_EQ(region_shared(&other.control)->tail, 0);
    ty_region_free(&other.control);
    CHECK_ERROR(ty_region_set_numa_node(&b.reader, 0), TACHYON_ERR_PERMISSION);
    CHECK_EQ(fcntl(b.fds[1], F_GET_SEALS),
             F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | F_SEAL_FUTURE_WRITE);
    CHECK_EQ(fcntl(b.fds[0], F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    broadcast_free(&b);
}

#define REFUSED(call, code)                                                            \
    do {                                                                               \
        errno = 0;                                                                     \
        CHECK((intmax_t)(call) == -1);                                                 \
        CHECK_EQ(errno, code);                                                         \
    } while (0)

static int writable_again(int fd) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, O_RDWR | O_CLOEXEC);
}

TEST(a_hostile_reader_has_no_way_to_write_the_data) {
    struct broadcast b = broadcast_make(8192);
    const int both = PROT_READ | PROT_WRITE;
    region_shared(&b.control)->tail = 255; /* for what is copied from there */
    uint8_t *seen = region_data(&b.reader);
    int pipe_fds[2], again = writable_again(b.fds[1]);
    char byte = 1;
    CHECK(again >= 0);
    CHECK_EQ(pipe2(pipe_fds, O_CLOEXEC), 0);
    for (int way = 0; way < 2; way++) {
        int fd = way == 0 ? b.fds[1] : again;
        REFUSED(mmap(NULL, 4096, both, MAP_SHARED, fd, 0), EPERM);
        REFUSED(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 4096), EPERM);
        REFUSED(write(fd, &byte, 1), EPERM);
        REFUSED(pwrite(fd, &byte, 1, 100), EPERM);
        CHECK_EQ(write(pipe_fds[1], &byte, 1), 1);
        REFUSED(splice(pipe_fds[0], NULL, fd, &(off_t){0}, 1, 0), EPERM);
        CHECK_EQ(read(pipe_fds[0], &byte, 1), 1);
        REFUSED(sendfile(fd, b.fds[0], &(off_t){0}, 1), EPERM);
        CHECK_EQ(copy_file_range(b.fds[0], &(off_t){0}, fd, &(off_t){0}, 1, 0), -1);
        REFUSED(ftruncate(fd, 0), EPERM);
        REFUSED(ftruncate(fd, 1 << 20), EPERM);
        REFUSED(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096),
                EPERM);
        for (int mode = 1; mode < 1 << 8; mode <<= 1) /* zero, collapse, insert, ... */
            CHECK_EQ(fallocate(fd, mode | FALLOC_FL_KEEP_SIZE, 0, 4096) == 0,
                     mode == FALLOC_FL_KEEP_SIZE);
        REFUSED(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EPERM);
        void *later = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
        CHECK(later != MAP_FAILED);
        REFUSED(mprotect(later, 4096, both), EACCES);
        CHECK_EQ(munmap(later, 4096), 0);
    }
    REFUSED(mprotect(seen, 8192, both), EACCES);
    if (!test_emulated()) { /* it takes advice and does nothing */
        CHECK_EQ(madvise(seen, 4096, MADV_REMOVE), -1);
        CHECK_EQ(madvise(seen, 4096, 23 /* MADV_POPULATE_WRITE */), -1);
    }
    CHECK_EQ(madvise(seen, 8192, MADV_DONTNEED), 0); /* it looks again, that is all */

    int memory = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
    CHECK(memory >= 0);
    CHECK_EQ(pwrite(memory, &byte, 1, (off_t)(uintptr_t)seen), -1);
    CHECK_EQ(process_vm_writev(getpid(), &(struct iovec){&byte, 1}, 1,
                               &(struct iovec){seen, 1}, 1, 0),
             -1);

    /* A private copy is the reader's own. */
    uint8_t *copy = mmap(NULL, 8192, both, MAP_PRIVATE, b.fds[1], 0);
    CHECK(copy != MAP_FAILED);
    copy[0] = 9;
    for (size_t i = 0; i < 8192; i++)
        CHECK_EQ(region_data(&b.data)[i], 0);
    CHECK_EQ(munmap(copy, 8192), 0);
    close(memory);
    close(again);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    broadcast_free(&b);
}

TEST(nor_can_the_listener_map_it_for_writing_once_more) {
    struct broadcast b = broadcast_make(4096);
    REFUSED(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, b.data.data_fd, 0), EPERM);
    region_data(&b.data)[0] = 1; /* what it has it keeps */
    CHECK_EQ(region_data(&b.reader)[0], 1);
    broadcast_free(&b);
}

TEST(data_that_is_not_sealed_against_writing_is_refused) {
    const int sealed = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    const struct {
        off_t control, data;
        int control_seals, data_seals;
        tachyon_error_t error;
    } table[] = {
        {SHARED, 4096, sealed, sealed | F_SEAL_FUTURE_WRITE, TACHYON_SUCCESS},
        {SHARED, 4096, sealed, sealed, TACHYON_ERR_SEAL},
        {SHARED, 4096, sealed, F_SEAL_FUTURE_WRITE, TACHYON_ERR_SEAL},
        {SHARED, 4096, F_SEAL_GROW, sealed | F_SEAL_FUTURE_WRITE, TACHYON_ERR_SEAL},
        {SHARED, 8192, sealed, sealed | F_SEAL_FUTURE_WRITE, TACHYON_ERR_CORRUPT},
        {SHARED - 1, 4096, sealed, sealed | F_SEAL_FUTURE_WRITE, TACHYON_ERR_CORRUPT},
        {SHARED + 4096, 4096, sealed, sealed | F_SEAL_FUTURE_WRITE,
         TACHYON_ERR_CORRUPT},
        {SHARED, 4096, sealed | F_SEAL_FUTURE_WRITE, sealed | F_SEAL_FUTURE_WRITE,
         TACHYON_ERR_MAP},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct region region;
        int fds[2] = {make_memfd(table[i].control, table[i].control_seals),
                      make_memfd(table[i].data, table[i].data_seals)};
        tachyon_error_t error = ty_region_attach(&region, fds, 2, 4096);
        if (error != table[i].error)
            FAIL("row %zu: %s (%s)", i, tachyon_strerror(error),
                 tachyon_last_error_message());
        if (i == 1)
            CHECK_SAYS("sealed against writing");
        ty_region_free(&region);
        CHECK_EQ(fcntl(fds[0], F_GETFD), -1);
        CHECK_EQ(fcntl(fds[1], F_GETFD), -1);
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
    if (test_emulated())
        test_skip("an emulator does not keep the limit of address space");
    struct rlimit before = limit_to(RLIMIT_AS, 64 << 20);
    CHECK_ERROR(ty_region_create(&region, 64 << 20), TACHYON_ERR_MAP);
    CHECK_EQ(tachyon_last_errno(), ENOMEM);
    CHECK_EQ(setrlimit(RLIMIT_AS, &before), 0);
    CHECK_OK(ty_region_create(&region, 4096));
    ty_region_free(&region);
}
