/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Across containers: ends in mount and pid namespaces of their own, without /dev/shm,
 * that share nothing but the directory of the socket, which each has elsewhere.
 */
#include "peers.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)
#define MESSAGES 100
#define EXIT_NO_NAMESPACES 77

/* ---- A container ---- */

enum where {
    ON_THE_HOST,
    IN_A_CONTAINER,      /* /dev/shm is there, but empty and read-only */
    WITHOUT_A_DEVICE_DIR /* no /dev/shm at all */
};

struct end {
    enum where where;
    bool user_namespace;   /* root needs none */
    const char *directory; /* where the socket is on the host ... */
    const char *mounted;   /* ... and where this end has it */
    bool listens, sends;
    bool sees_peer; /* the peer's process is in our pid namespace, or below */
};

/* What the test must know of processes that it cannot wait for. */
struct shared {
    _Atomic pid_t pids[2]; /* of the ends, as the host sees them */
    _Atomic int received;
};

static struct shared *shared;

static bool write_file(const char *path, const char *format, unsigned id) {
    char text[64];
    int length = snprintf(text, sizeof text, format, id, id);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool written = fd >= 0 && write(fd, text, (size_t)length) == length;
    if (fd >= 0)
        close(fd);
    return written;
}

/* For this process: mounts, and for its children: pids. False: not allowed here. */
static bool enter(const struct end *end) {
    unsigned uid = geteuid(), gid = getegid();
    int flags = CLONE_NEWNS | CLONE_NEWPID;
    if (unshare(end->user_namespace ? flags | CLONE_NEWUSER : flags) != 0)
        return false;
    if (end->user_namespace && !(write_file("/proc/self/setgroups", "deny", 0) &&
                                 write_file("/proc/self/uid_map", "%u %u 1", uid) &&
                                 write_file("/proc/self/gid_map", "%u %u 1", gid)))
        return false;
    const char *hidden = end->where == IN_A_CONTAINER ? "/dev/shm" : "/dev";
    return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           (mount("none", hidden, "tmpfs", MS_RDONLY, NULL) == 0 || errno == ENOENT) &&
           mount(end->directory, end->mounted, NULL, MS_BIND, NULL) == 0 &&
           mount("none", end->directory, "tmpfs", MS_RDONLY, NULL) == 0;
}

static void be_end(const struct end *end);

/* The body of a process, which on the host is the end itself. */
static void be_end_where_it_is(void *context) {
    const struct end *end = context;
    _Atomic pid_t *pid = &shared->pids[end->sends];
    if (end->where == ON_THE_HOST) {
        atomic_store(pid, getpid());
        be_end(end);
        return;
    }
    if (!enter(end))
        _exit(EXIT_NO_NAMESPACES);
    pid_t child = fork(); /* not test_spawn(): its parent is out of its sight */
    if (child == 0) {
        CHECK_EQ(getpid(), 1);
        be_end(end);
        _exit(0);
    }
    CHECK(child > 0);
    atomic_store(pid, child);
    int status = test_wait(child);
    if (status < 0)
        raise(-status);
    _exit(status);
}

/* ---- The ends ---- */

static tachyon_bus_t *open_bus(const struct end *end) {
    tachyon_options_t options = options_with_timeout_ms(10000);
    tachyon_bus_t *bus;
    char path[256];
    snprintf(path, sizeof path, "%s/bus",
             end->where == ON_THE_HOST ? end->directory : end->mounted);
    if (end->where != ON_THE_HOST) {
        CHECK(open("/dev/shm/anything", O_CREAT | O_RDWR | O_CLOEXEC, 0600) == -1);
        CHECK_EQ(access(end->mounted, F_OK), 0);
    }
    CHECK_OK(end->listens ? tachyon_bus_listen_with(path, 4096, &options, &bus)
                          : tachyon_bus_connect_with(path, &options, &bus));
    return bus;
}

static void be_end(const struct end *end) {
    while (atomic_load(&shared->pids[end->sends]) == 0) /* until we are known */
        test_sleep_ms(1);
    tachyon_bus_t *bus = open_bus(end);
    tachyon_peer_t peer;
    CHECK_OK(tachyon_bus_get_peer(bus, &peer));
    CHECK_EQ(peer.uid, geteuid());
    if (!end->sees_peer)
        CHECK_EQ(peer.pid, 0);
    else
        CHECK_EQ(peer.pid, atomic_load(&shared->pids[!end->sends]));
    for (int i = 0; i < MESSAGES; i++) {
        if (end->sends) {
            CHECK_OK(tachyon_send(bus, &i, sizeof i, 1, 0, 10 * SECOND));
            continue;
        }
        uint32_t type;
        size_t size;
        const int *number = tachyon_acquire_rx_timed(bus, &type, &size, 0, 10 * SECOND);
        if (!number)
            FAIL("message %d: %s", i, tachyon_last_error_message());
        CHECK_EQ(*number, i);
        CHECK_OK(tachyon_commit_rx(bus));
    }
    if (end->sends)
        for (;;)
            pause(); /* to be killed */
    atomic_store(&shared->received, MESSAGES);
    uint32_t type;
    size_t size;
    CHECK_REFUSED(tachyon_acquire_rx_timed(bus, &type, &size, 0, -1),
                  TACHYON_ERR_PEER_DEAD);
    CHECK_EQ(tachyon_get_state(bus), TACHYON_STATE_FATAL_ERROR);
    tachyon_bus_destroy(bus);
}

/* ---- The tests ---- */

static const char *make_directory(const char *name) {
    const char *path = test_path(name);
    CHECK(mkdir(path, 0700) == 0 || errno == EEXIST);
    return path;
}

static void skip_without_namespaces(int status) {
    if (status == EXIT_NO_NAMESPACES)
        test_skip("this user may not make mount and pid namespaces here");
}

static void connect_and_kill(struct end *sender, struct end *receiver) {
    memset(shared, 0, sizeof *shared);
    sender->sends = true;
    sender->directory = receiver->directory = make_directory("socket");
    sender->mounted = make_directory("here");
    receiver->mounted = make_directory("there");
    sender->sees_peer = sender->where == ON_THE_HOST;
    receiver->sees_peer = receiver->where == ON_THE_HOST;
    pid_t sending = test_spawn(be_end_where_it_is, sender);
    pid_t receiving = test_spawn(be_end_where_it_is, receiver);
    int status = 0;
    while (atomic_load(&shared->received) < MESSAGES) {
        if (waitpid(receiving, &status, WNOHANG) == receiving) {
            kill(sending, SIGKILL);
            test_wait(sending);
            skip_without_namespaces(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
            FAIL("the receiver ends with status %x", (unsigned)status);
        }
        if (waitpid(sending, &status, WNOHANG) == sending) {
            kill(receiving, SIGKILL);
            test_wait(receiving);
            skip_without_namespaces(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
            FAIL("the sender ends with status %x", (unsigned)status);
        }
        test_sleep_ms(1);
    }
    test_sleep_ms(20); /* the receiver goes to sleep */
    CHECK_EQ(kill(atomic_load(&shared->pids[1]), SIGKILL), 0);
    CHECK_EQ(test_wait(sending), -SIGKILL);
    CHECK_EQ(test_wait(receiving), 0);
}

static void connect_all_ways(bool user_namespace) {
    static const enum where places[][2] = {
        {ON_THE_HOST, IN_A_CONTAINER},
        {IN_A_CONTAINER, ON_THE_HOST},
        {IN_A_CONTAINER, WITHOUT_A_DEVICE_DIR}, /* neither sees the other's process */
    };
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED);
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        for (int listens = 0; listens < 2; listens++) {
            struct end sender = {.where = places[i][0],
                                 .user_namespace = user_namespace,
                                 .listens = listens};
            struct end receiver = {.where = places[i][1],
                                   .user_namespace = user_namespace,
                                   .listens = !listens};
            connect_and_kill(&sender, &receiver);
            unlink(test_path("socket/bus")); /* left by a listener that was killed */
        }
}

TEST(unprivileged_containers_connect_through_a_socket_that_is_mounted) {
    connect_all_ways(true);
}

TEST(containers_of_root_connect_through_a_socket_that_is_mounted) {
    if (geteuid() != 0)
        test_skip("needs root; without it, user namespaces serve the same end");
    connect_all_ways(false);
}
