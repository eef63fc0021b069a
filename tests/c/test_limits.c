/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resource limits, of which any may be in force where a program runs: opening either
 * works or says which one is in the way; no signal comes, nothing stays behind, and
 * with the limit lifted the next try works.
 */
#include "peers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CAPACITY ((size_t)1 << 20)

/* Either end of a connection, under a limit. */
struct attempt {
    const char *path;
    bool listens;
    int resource;
    rlim_t limit;
    bool locked; /* with mlockall(), by a user that may not lock much */
};

static const struct {
    tachyon_error_t error;
    const char *says;
} refusals[] = {
    {TACHYON_ERR_TRUNCATE, "ulimit -f"},
    {TACHYON_ERR_MAP, "ulimit -v"},
    {TACHYON_ERR_MAP, "ulimit -l"},
    {TACHYON_ERR_MEM, ""},
    {TACHYON_ERR_OPEN, "open files"},
    {TACHYON_ERR_OPEN, "descriptors"},
    {TACHYON_ERR_SYSTEM, "open files"},
    {TACHYON_ERR_SYSTEM, "descriptors"},
    {TACHYON_ERR_NETWORK, "open files"},
    {TACHYON_ERR_NETWORK, "descriptors"},
    /* The flag with which the kernel says so carries no text of the C library. */
    {TACHYON_ERR_OPEN, "ulimit -n"},
};

static bool is_refusal(tachyon_error_t error) {
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++)
        if (refusals[i].error == error &&
            strstr(tachyon_last_error_message(), refusals[i].says))
            return true;
    return false;
}

static bool between_two_listens(void) {
    int system = tachyon_last_errno();
    return system == ENOENT || system == ECONNREFUSED || system == ECONNRESET ||
           system == EPIPE;
}

static tachyon_error_t open_end(const struct attempt *attempt, tachyon_bus_t **bus) {
    tachyon_options_t options = {.size = sizeof options,
                                 .timeout_ns = attempt->listens ? 50000000 : 0};
    tachyon_error_t error;
    if (attempt->listens)
        return tachyon_bus_listen_with(attempt->path, CAPACITY, &options, bus);
    do
        error = tachyon_bus_connect_with(attempt->path, &options, bus);
    while (error == TACHYON_ERR_NETWORK && between_two_listens());
    return error;
}

/* Exits with 10 when it was refused under the limit, 0 when that was no hindrance. */
static void open_under_a_limit(void *context) {
    const struct attempt *attempt = context;
    tachyon_bus_t *bus;
    struct rlimit before, limit;
    size_t fds = test_count_fds();
    CHECK_EQ(getrlimit(attempt->resource, &before), 0);
    limit = before;
    limit.rlim_cur = attempt->limit;
    CHECK_EQ(setrlimit(attempt->resource, &limit), 0);
    if (attempt->locked &&
        (setgid(65534) != 0 || setuid(65534) != 0 || mlockall(MCL_FUTURE) != 0))
        _exit(77);
    tachyon_error_t error = open_end(attempt, &bus);
    CHECK_EQ(setrlimit(attempt->resource, &before), 0);
    if (error != TACHYON_SUCCESS && error != TACHYON_ERR_TIMEOUT && !is_refusal(error))
        FAIL("under the limit of %ju: %d, %s", (uintmax_t)attempt->limit, (int)error,
             tachyon_last_error_message());
    tachyon_bus_destroy(bus);
    CHECK_EQ(test_count_fds(), fds);
    bool refused = error != TACHYON_SUCCESS && error != TACHYON_ERR_TIMEOUT;
    if (refused && attempt->listens) {
        CHECK_ERROR(open_end(attempt, &bus), TACHYON_ERR_TIMEOUT);
        CHECK_EQ(access(attempt->path, F_OK), -1);
    }
    _exit(refused ? 10 : 0);
}

static void listen_for_ever(void *context) {
    for (;;) {
        tachyon_bus_t *bus;
        CHECK_OK(tachyon_bus_listen(context, CAPACITY, &bus));
        tachyon_bus_destroy(bus);
    }
}

/* How many of the limits were a hindrance. */
static int try_limits(bool listens, int resource, const rlim_t *limits, size_t count,
                      bool locked) {
    const char *path = test_path(listens ? "listen" : "connect");
    int refused = 0;
    pid_t listener = 0;
    if (!listens) {
        listener = test_spawn(listen_for_ever, (void *)(uintptr_t)path);
        close(wire_connect(path));
    }
    for (size_t i = 0; i < count; i++) {
        struct attempt attempt = {path, listens, resource, limits[i], locked};
        int status = test_wait(test_spawn(open_under_a_limit, &attempt));
        if (status == 77)
            test_skip("cannot become somebody who may not lock memory");
        if (status != 0 && status != 10)
            FAIL("limit %ju ended it with %d", (uintmax_t)limits[i], status);
        refused += status == 10;
    }
    if (!listens) {
        CHECK_EQ(kill(listener, SIGKILL), 0);
        CHECK_EQ(test_wait(listener), -SIGKILL);
    }
    return refused;
}

TEST(a_limit_of_file_sizes_is_named_and_sends_no_signal) {
    static const rlim_t limits[] = {
        0, 1, 4096, 8192, CAPACITY, CAPACITY + 8191, CAPACITY + 8192, RLIM_INFINITY};
    CHECK_EQ(try_limits(true, RLIMIT_FSIZE, limits, 8, false), 6);
    CHECK_EQ(try_limits(false, RLIMIT_FSIZE, limits, 8, false), 0); /* sizes nothing */
}

TEST(a_limit_of_descriptors_is_an_error_at_any_number) {
    rlim_t limits[24];
    for (rlim_t i = 0; i < 24; i++)
        limits[i] = i;
    CHECK_IN(try_limits(true, RLIMIT_NOFILE, limits, 24, false), 4, 12);
    CHECK_IN(try_limits(false, RLIMIT_NOFILE, limits, 24, false), 4, 12);
}

TEST(a_limit_of_address_space_is_named) {
    if (test_sanitized())
        test_skip("a sanitizer needs more address space than any limit leaves");
    if (test_emulated())
        test_skip("an emulator does not keep the limit of address space");
    static const rlim_t limits[] = {1 << 19, 1 << 20, RLIM_INFINITY};
    CHECK_EQ(try_limits(true, RLIMIT_AS, limits, 3, false), 2);
    CHECK_IN(try_limits(false, RLIMIT_AS, limits, 3, false), 2, 2);
}

TEST(a_limit_of_locked_memory_is_named) {
    if (geteuid() != 0 || test_sanitized())
        test_skip("needs root, to become somebody who may not lock memory");
    CHECK_EQ(chmod(test_path("."), 0777), 0);
    static const rlim_t limits[] = {65536, CAPACITY};
    CHECK_EQ(try_limits(true, RLIMIT_MEMLOCK, limits, 2, true), 2);
}

TEST(limits_of_what_it_does_not_use_are_no_hindrance) {
    static const int resources[] = {RLIMIT_CORE,   RLIMIT_MSGQUEUE, RLIMIT_NICE,
                                    RLIMIT_RTPRIO, RLIMIT_NPROC,    RLIMIT_SIGPENDING};
    static const rlim_t none[] = {0};
    for (size_t i = 0; i < sizeof resources / sizeof resources[0]; i++) {
        CHECK_EQ(try_limits(true, resources[i], none, 1, false), 0);
        CHECK_EQ(try_limits(false, resources[i], none, 1, false), 0);
    }
}
