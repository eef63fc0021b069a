/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening a connection while the kernel or the allocator refuses the Nth call, for
 * every N and every plausible errno: the error is the right one, nothing stays behind,
 * and the next try succeeds.
 */
#include "harness.h"
#include "kernel.h"
#include "peers.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CAPACITY (UINT64_C(1) << 20) /* a mapping that leaks shows in the total */
#define SECOND INT64_C(1000000000)

/* ---- What each refusal must lead to ---- */

#define OR(error) (1u << TACHYON_ERR_##error)
#define FINE 1u  /* it goes on without */
#define NEVER 0u /* this side does not make the call */

static const struct rule {
    enum kernel_call call;
    int error;
    unsigned listen, connect; /* allowed outcomes */
    bool may_leave_file;
} rules[] = {
    {CALL_ALIGNED_ALLOC, ENOMEM, OR(MEM), OR(MEM), false},
    {CALL_CALLOC, ENOMEM, OR(MEM), OR(MEM), false},
    {CALL_ATFORK, ENOMEM, OR(MEM), OR(MEM), false},
    {CALL_MEMBARRIER_REGISTER, ENOSYS, FINE, FINE, false},
    {CALL_MEMBARRIER_REGISTER, EPERM, FINE, FINE, false},
    /* The path */
    {CALL_OPEN_DIRECTORY, EMFILE, OR(NETWORK), NEVER, false},
    {CALL_OPEN_DIRECTORY, EACCES, OR(PERMISSION), NEVER, false},
    {CALL_OPEN_DIRECTORY, ENOENT, OR(NETWORK), NEVER, false},
    {CALL_OPEN_LOCK, EMFILE, OR(NETWORK), NEVER, false},
    {CALL_OPEN_LOCK, EACCES, OR(PERMISSION), NEVER, false},
    {CALL_OPEN_LOCK, EROFS, OR(NETWORK), NEVER, false},
    {CALL_OPEN_FILE, EMFILE, OR(NETWORK), NEVER, false},
    {CALL_OPEN_FILE, ENOENT, FINE | OR(NETWORK) | OR(ADDR_IN_USE), NEVER, true},
    {CALL_FSTAT, EIO, FINE | OR(ADDR_IN_USE) | OR(NETWORK), OR(CORRUPT), true},
    {CALL_FLOCK, ENOLCK, OR(NETWORK), NEVER, true},
    {CALL_FLOCK, EWOULDBLOCK, OR(ADDR_IN_USE), NEVER, true},
    {CALL_FSTATAT, EIO, FINE | OR(ADDR_IN_USE), NEVER, true},
    {CALL_STAT, EIO, NEVER, FINE | OR(NETWORK), false},
    {CALL_SOCKET_PROBE, EMFILE, OR(NETWORK), NEVER, true},
    {CALL_CONNECT_PROBE, EACCES, FINE | OR(PERMISSION), NEVER, true},
    {CALL_CONNECT_PROBE, EINVAL, OR(NETWORK), NEVER, true},
    {CALL_UNLINKAT, EACCES, FINE | OR(PERMISSION), NEVER, true},
    {CALL_UNLINKAT, EBUSY, FINE | OR(NETWORK), NEVER, true},
    {CALL_SOCKET, EMFILE, OR(NETWORK), OR(NETWORK), false},
    {CALL_SOCKET, ENOMEM, OR(NETWORK), OR(NETWORK), false},
    {CALL_FCHMOD, EPERM, OR(CHMOD), NEVER, false},
    {CALL_BIND, EACCES, OR(PERMISSION), NEVER, false},
    {CALL_BIND, EADDRINUSE, OR(ADDR_IN_USE), NEVER, false},
    {CALL_BIND, ENOSPC, OR(NETWORK), NEVER, false},
    {CALL_CHMOD, EPERM, OR(CHMOD) | OR(PERMISSION), NEVER, true},
    {CALL_LISTEN, EADDRINUSE, OR(ADDR_IN_USE), NEVER, false},
    {CALL_LISTEN, ENOMEM, OR(NETWORK), NEVER, false},
    {CALL_CONNECT, ECONNREFUSED, NEVER, OR(NETWORK), false},
    {CALL_CONNECT, EAGAIN, NEVER, FINE, false},
    {CALL_CONNECT, EACCES, NEVER, OR(PERMISSION), false},
    {CALL_CONNECT, ENOENT, NEVER, OR(NETWORK), false},
    /* The memory */
    /* FINE: of the statistics page, which both ends have and can do without. */
    {CALL_GETRLIMIT, EINVAL, FINE, FINE, false},
    {CALL_MEMFD, EMFILE, FINE | OR(OPEN), FINE, false},
    {CALL_MEMFD, ENOMEM, FINE | OR(OPEN), FINE, false},
    {CALL_FALLOCATE, ENOSPC, FINE | OR(MEM), FINE, false},
    {CALL_FALLOCATE, ENOMEM, FINE | OR(MEM), FINE, false},
    {CALL_FALLOCATE, EINTR, FINE, FINE, false},
    {CALL_FALLOCATE, EOPNOTSUPP, FINE | OR(TRUNCATE), FINE, false},
    {CALL_FCNTL, EPERM, FINE | OR(SEAL), FINE | OR(SEAL), false},
    {CALL_FCNTL, EINVAL, FINE | OR(SEAL), FINE | OR(SEAL), false},
    {CALL_MMAP, ENOMEM, FINE | OR(MAP), FINE | OR(MAP), false},
    {CALL_MMAP, EPERM, FINE | OR(MAP), FINE | OR(MAP), false},
    /* The talk. One client that fails is no failure of the listener's. */
    {CALL_ACCEPT, EMFILE, FINE, NEVER, false},
    {CALL_ACCEPT, ENFILE, FINE, NEVER, false},
    {CALL_ACCEPT, ENOBUFS, FINE, NEVER, false},
    {CALL_ACCEPT, ECONNABORTED, FINE, NEVER, false},
    {CALL_ACCEPT, EINTR, FINE, NEVER, false},
    {CALL_PEERCRED, ENOBUFS, FINE, OR(NETWORK), false},
    {CALL_PEERPIDFD, ENOPROTOOPT, FINE, FINE, false},
    {CALL_PIDFD_OPEN, ENOSYS, FINE, FINE, false},
    {CALL_EPOLL_CREATE, EMFILE, OR(SYSTEM), OR(SYSTEM), false},
    {CALL_EPOLL_CTL, ENOMEM, FINE | OR(SYSTEM), FINE | OR(SYSTEM), false},
    {CALL_EPOLL_CTL, ENOSPC, FINE | OR(SYSTEM), FINE | OR(SYSTEM), false},
    {CALL_TIMERFD_CREATE, EMFILE, OR(SYSTEM), OR(SYSTEM), false},
    {CALL_PPOLL, EINTR, OR(INTERRUPTED), OR(INTERRUPTED), false},
    {CALL_PPOLL, ENOMEM, OR(SYSTEM), OR(SYSTEM), false},
    {CALL_RECV, ECONNRESET, FINE, NEVER, false},
    {CALL_RECV, EINTR, FINE, NEVER, false},
    {CALL_RECVMSG, ECONNRESET, NEVER, OR(NETWORK), false},
    {CALL_RECVMSG, EINTR, NEVER, FINE, false},
    {CALL_SENDMSG, EPIPE, FINE, OR(NETWORK) | OR(ABI_MISMATCH), false},
    {CALL_SENDMSG, ENOBUFS, FINE, OR(NETWORK), false},
    {CALL_SENDMSG, ETOOMANYREFS, FINE, OR(NETWORK), false},
    {CALL_SEND, EPIPE, NEVER, OR(NETWORK), false},
    {CALL_SEND, ENOBUFS, NEVER, OR(NETWORK), false},
};
#define RULES (sizeof rules / sizeof rules[0])

/* The nth call turned out to be this one; which of its rules is tried. */
static unsigned variant;
static const struct rule *tried;
static unsigned variants;

static int choose(enum kernel_call call) {
    tried = NULL;
    variants = 0;
    for (size_t i = 0; i < RULES; i++)
        if (rules[i].call == call && variants++ == variant)
            tried = &rules[i];
    if (variants == 0)
        FAIL("no rule says what a refused %s must lead to", kernel_call_name(call));
    return tried ? tried->error : 0;
}

/* ---- Either kind of connection ---- */

struct end {
    bool rpc, in_steps;
    tachyon_bus_t *bus;
    tachyon_rpc_bus_t *calls;
};

/* As an event loop would. */
static tachyon_error_t open_in_steps(struct end *end, bool listen, const char *path,
                                     const tachyon_options_t *options) {
    tachyon_opening_t *opening;
    tachyon_error_t error =
        end->rpc && listen
            ? tachyon_rpc_listen_start(path, CAPACITY, CAPACITY, options, &opening)
        : end->rpc ? tachyon_rpc_connect_start(path, options, &opening)
        : listen   ? tachyon_bus_listen_start(path, CAPACITY, options, &opening)
                   : tachyon_bus_connect_start(path, options, &opening);
    if (error != TACHYON_SUCCESS)
        return error;
    struct pollfd fd = {.fd = tachyon_opening_fileno(opening), .events = POLLIN};
    error = fd.fd < 0 ? tachyon_last_error() : TACHYON_ERR_EMPTY;
    while (error == TACHYON_ERR_EMPTY) {
        if (poll(&fd, 1, 10000) == 0)
            FAIL("a descriptor that must tell of the time-out is silent");
        error = tachyon_opening_step(opening, 0);
    }
    if (error == TACHYON_SUCCESS)
        error = end->rpc ? tachyon_opening_finish_rpc(opening, &end->calls)
                         : tachyon_opening_finish_bus(opening, &end->bus);
    tachyon_opening_cancel(opening);
    return error;
}

static tachyon_error_t end_open(struct end *end, bool listen, const char *path,
                                int64_t timeout_ns) {
    tachyon_options_t options = {.size = sizeof options, .timeout_ns = timeout_ns};
    if (end->in_steps)
        return open_in_steps(end, listen, path, &options);
    if (end->rpc)
        return listen ? tachyon_rpc_listen_with(path, CAPACITY, CAPACITY, &options,
                                                &end->calls)
                      : tachyon_rpc_connect_with(path, &options, &end->calls);
    return listen ? tachyon_bus_listen_with(path, CAPACITY, &options, &end->bus)
                  : tachyon_bus_connect_with(path, &options, &end->bus);
}

/* A message from the listener to the connector, or a call the other way. */
static bool end_talk(struct end *end, bool listen) {
    uint64_t id = 0;
    uint32_t type = 0;
    size_t size = 0;
    if (!end->rpc && listen)
        return tachyon_send(end->bus, "hello", 5, 7, 0, SECOND) == TACHYON_SUCCESS;
    if (!end->rpc) {
        const void *message =
            tachyon_acquire_rx_timed(end->bus, &type, &size, 0, SECOND);
        return message && size == 5 && type == 7 && memcmp(message, "hello", 5) == 0;
    }
    if (listen)
        return tachyon_rpc_serve_timed(end->calls, &id, &type, &size, 0, SECOND) &&
               tachyon_rpc_reply(end->calls, id, "hello", 5, 7) == TACHYON_SUCCESS;
    if (tachyon_rpc_call(end->calls, "well", 4, 1, &id) != TACHYON_SUCCESS)
        return false;
    const void *reply = tachyon_rpc_wait_timed(end->calls, id, &size, &type, 0, SECOND);
    return reply && size == 5 && type == 7 && memcmp(reply, "hello", 5) == 0;
}

static void end_close(struct end *end) {
    tachyon_bus_destroy(end->bus);
    tachyon_rpc_destroy(end->calls);
    end->bus = NULL;
    end->calls = NULL;
}

/* ---- The peer, for whom nothing is refused ---- */

struct peer {
    const char *path;
    bool rpc, listens;
    _Atomic bool stop, talked;
    pthread_t thread;
};

static void *peer_body(void *context) {
    struct peer *peer = context;
    while (!atomic_load(&peer->stop) && !atomic_load(&peer->talked)) {
        struct end end = {.rpc = peer->rpc};
        /* A connector looks now and then whether it is to stop. */
        int64_t timeout_ns = peer->listens ? 10 * SECOND : SECOND / 20;
        if (end_open(&end, peer->listens, peer->path, timeout_ns) == TACHYON_SUCCESS &&
            end_talk(&end, peer->listens))
            atomic_store(&peer->talked, true);
        end_close(&end);
    }
    return NULL;
}

/* ---- What may stay behind ---- */

struct footprint {
    size_t fds, memfds;
    uint64_t address_space;
};

static struct footprint footprint(void) {
    struct footprint now = {.fds = test_count_fds()};
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");
    CHECK(maps);
    while (fgets(line, sizeof line, maps)) {
        uint64_t begin, end;
        now.memfds += strstr(line, "memfd:") != NULL;
        if (sscanf(line, "%" SCNx64 "-%" SCNx64, &begin, &end) == 2)
            now.address_space += end - begin;
    }
    fclose(maps);
    return now;
}

static void check_footprint(const struct footprint *before, const char *what) {
    struct footprint now = footprint();
    if (now.fds != before->fds || now.memfds != before->memfds)
        FAIL("%s leaves %zu descriptors and %zu mappings instead of %zu and %zu", what,
             now.fds, now.memfds, before->fds, before->memfds);
    /* A sanitizer's allocator takes address space as it likes. */
    if (!test_sanitized() && now.address_space >= before->address_space + CAPACITY)
        FAIL("%s leaves %" PRIu64 " bytes mapped", what,
             now.address_space - before->address_space);
}

static void check_files(const char *path, const char *what, bool may_stay) {
    char lock[256];
    snprintf(lock, sizeof lock, "%s.tachyon-lock", path);
    if ((access(path, F_OK) == 0 || access(lock, F_OK) == 0) && !may_stay)
        FAIL("%s leaves %s on disk", what, access(path, F_OK) == 0 ? path : lock);
    unlink(path);
    unlink(lock);
}

/* ---- The tests ---- */

static bool nobody_listens(void) {
    return tachyon_last_errno() == ENOENT || tachyon_last_errno() == ECONNREFUSED;
}

static void make_stale_socket(const char *path) {
    close(wire_listen(path));
}

/*
 * One case: open with the nth call refused, then once more without, if that failed.
 * False: there was no nth call.
 */
static bool attempt(struct end end, bool listens, bool stale, unsigned nth) {
    struct peer peer = {
        .path = test_path("fault"), .rpc = end.rpc, .listens = !listens};
    char what[128];
    if (stale)
        make_stale_socket(peer.path);
    struct footprint before = footprint();
    peer.thread = test_thread(peer_body, &peer);

    tachyon_error_t error;
    bool reached;
    int64_t end_ms = test_now_ms() + 10000;
    do { /* until the peer listens */
        kernel_arm(nth, choose);
        tried = NULL;
        error = end_open(&end, listens, peer.path, listens ? 5 * SECOND : 0);
        reached = kernel_disarm();
    } while (error == TACHYON_ERR_NETWORK && !listens && nobody_listens() &&
             !(tried && tried->error == tachyon_last_errno()) &&
             test_now_ms() < end_ms);
    if (reached && tried)
        snprintf(what, sizeof what, "%s with call %u, %s, refused (%s)",
                 listens ? "listen" : "connect", nth, kernel_call_name(tried->call),
                 strerrorname_np(tried->error));
    else
        snprintf(what, sizeof what, "%s", listens ? "listen" : "connect");

    unsigned allowed = !reached || !tried ? FINE
                       /* What does not wait is not interrupted. */
                       : end.in_steps && tried->error == EINTR ? FINE
                       : listens                               ? tried->listen
                                                               : tried->connect;
    if (!(allowed >> error & 1))
        FAIL("%s gives %d: %s", what, (int)error,
             error ? tachyon_last_error_message() : "success");
    if (error != TACHYON_SUCCESS) {
        CHECK_EQ(tachyon_last_error(), error);
        CHECK(!end.bus && !end.calls);
    }
    bool talked = error == TACHYON_SUCCESS && end_talk(&end, listens);
    end_close(&end);
    /* Also when it succeeded and only this connection failed: once more. */
    for (int tries = 0; !talked && tries < 500; tries++) {
        if (end_open(&end, listens, peer.path, SECOND) == TACHYON_SUCCESS)
            talked = end_talk(&end, listens);
        else if (listens)
            FAIL("after %s a retry fails: %s", what, tachyon_last_error_message());
        end_close(&end);
    }
    if (!talked)
        FAIL("after %s no retry succeeds: %s", what, tachyon_last_error_message());
    for (int64_t end_wait = test_now_ms() + 3000;
         !atomic_load(&peer.talked) && test_now_ms() < end_wait;)
        test_sleep_ms(1);
    atomic_store(&peer.stop, true);
    test_join(peer.thread);
    CHECK(atomic_load(&peer.talked));
    check_footprint(&before, what);
    check_files(peer.path, what, tried && tried->may_leave_file);
    return reached;
}

static void *nothing(void *context) {
    return context;
}

static void refuse_every_call(struct end end, bool listens, bool stale) {
    unsigned cases = 0, nth = 0;
    mallopt(M_ARENA_MAX, 1); /* or each thread's own arena looks like a leak */
    test_join(test_thread(nothing, NULL)); /* libc keeps its stack */
    for (; nth < 1000; nth++) {
        bool reached = true;
        variants = 1;
        for (variant = 0; variant < variants && reached; variant++, cases++)
            reached = attempt(end, listens, stale, nth);
        if (!reached)
            break;
    }
    printf("    %u calls, %u refusals\n", nth, cases - 1);
    CHECK(nth > 8);
}

TEST(listen_survives_the_refusal_of_every_call) {
    refuse_every_call((struct end){0}, true, false);
}

TEST(listen_on_a_stale_path_survives_the_refusal_of_every_call) {
    umask(0277); /* so that the mode has to be set once more */
    refuse_every_call((struct end){0}, true, true);
}

TEST(connect_survives_the_refusal_of_every_call) {
    refuse_every_call((struct end){0}, false, false);
}

TEST(rpc_listen_survives_the_refusal_of_every_call) {
    refuse_every_call((struct end){.rpc = true}, true, false);
}

TEST(rpc_connect_survives_the_refusal_of_every_call) {
    refuse_every_call((struct end){.rpc = true}, false, false);
}

TEST(a_listen_in_steps_survives_the_refusal_of_every_call) {
    refuse_every_call((struct end){.in_steps = true}, true, false);
}

TEST(a_connect_in_steps_survives_the_refusal_of_every_call) {
    refuse_every_call((struct end){.in_steps = true}, false, false);
}

TEST(an_rpc_listen_in_steps_survives_the_refusal_of_every_call) {
    refuse_every_call((struct end){.rpc = true, .in_steps = true}, true, false);
}

TEST(an_rpc_connect_in_steps_survives_the_refusal_of_every_call) {
    refuse_every_call((struct end){.rpc = true, .in_steps = true}, false, false);
}

/* The handlers are registered once per process, so this has one to itself. */
TEST(a_refused_registration_of_fork_handlers_is_tried_again) {
    struct end end = {0};
    kernel_refuse_always(CALL_ATFORK, ENOMEM);
    CHECK_ERROR(end_open(&end, true, test_path("fault"), SECOND / 100),
                TACHYON_ERR_MEM);
    kernel_refuse_always(CALL_ATFORK, 0);
    CHECK_ERROR(end_open(&end, true, test_path("fault"), SECOND / 100),
                TACHYON_ERR_TIMEOUT);
    struct pair pair = pair_open(4096);
    pair_close(&pair);
}

static void listen_once(void *context) {
    struct end end = {0};
    CHECK_OK(end_open(&end, true, context, 20 * SECOND));
    end_close(&end);
}

/* Here the listener, which registers first, is another process: it never hears of the
 * connectors that cannot go on. */
TEST(a_connector_that_cannot_register_fork_handlers_may_try_again) {
    const char *path = test_path("fault");
    pid_t pid = test_spawn(listen_once, (void *)(uintptr_t)path);
    struct end end = {0};
    kernel_refuse_always(CALL_ATFORK, ENOMEM);
    for (int i = 0; i < 2; i++) {
        end.rpc = i == 1;
        CHECK_ERROR(end_open(&end, false, path, 20 * SECOND), TACHYON_ERR_MEM);
    }
    kernel_refuse_always(CALL_ATFORK, 0);
    end.rpc = false;
    CHECK_OK(end_open(&end, false, path, 20 * SECOND));
    end_close(&end);
    CHECK_EQ(test_wait(pid), 0);
}
