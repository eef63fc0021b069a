/* SPDX-License-Identifier: Apache-2.0 */
/* fork.c: what a child process may do with its parent's handles, and that it hides
 * nothing from the peer. */
#include "bus.h"
#include "peers.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static uint32_t type;
static size_t size;

/* ---- Use in a child ---- */

static void use_everything(void *context) {
    tachyon_bus_t *bus = context;
    tachyon_msg_view_t view = {0};
    tachyon_bus_t *other;
    CHECK_EQ(tachyon_get_state(bus), TACHYON_STATE_FATAL_ERROR);
    CHECK_EQ(tachyon_last_error(), TACHYON_ERR_FORKED);
    CHECK_REFUSED(tachyon_acquire_tx(bus, 1), TACHYON_ERR_FORKED);
    CHECK_SAYS("parent");
    CHECK_REFUSED(tachyon_acquire_tx_timed(bus, 1, 1, -1), TACHYON_ERR_FORKED);
    CHECK_ERROR(tachyon_commit_tx(bus, 0, 1), TACHYON_ERR_FORKED);
    CHECK_REFUSED(tachyon_acquire_tx_batch(bus, 1, 1, &size, &size, 0, -1),
                  TACHYON_ERR_FORKED);
    CHECK_ERROR(tachyon_commit_tx_batch(bus, 1, 1), TACHYON_ERR_FORKED);
    CHECK_ERROR(tachyon_rollback_tx(bus), TACHYON_ERR_FORKED);
    CHECK_ERROR(tachyon_send(bus, "x", 1, 1, 0, -1), TACHYON_ERR_FORKED);
    tachyon_flush(bus);
    CHECK_REFUSED(tachyon_acquire_rx(bus, &type, &size), TACHYON_ERR_FORKED);
    CHECK_REFUSED(tachyon_acquire_rx_spin(bus, &type, &size, 0), TACHYON_ERR_FORKED);
    CHECK_REFUSED(tachyon_acquire_rx_blocking(bus, &type, &size, 0),
                  TACHYON_ERR_FORKED);
    CHECK_REFUSED(tachyon_acquire_rx_timed(bus, &type, &size, 0, 5),
                  TACHYON_ERR_FORKED);
    CHECK_ERROR(tachyon_commit_rx(bus), TACHYON_ERR_FORKED);
    CHECK_REFUSED(tachyon_acquire_rx_batch(bus, &view, 1), TACHYON_ERR_FORKED);
    CHECK_REFUSED(tachyon_drain_batch(bus, &view, 1, 0), TACHYON_ERR_FORKED);
    CHECK_REFUSED(tachyon_drain_batch_timed(bus, &view, 1, 0, -1), TACHYON_ERR_FORKED);
    CHECK_REFUSED(tachyon_acquire_rx_next_timed(bus, &view, 0, -1), TACHYON_ERR_FORKED);
    CHECK_ERROR(tachyon_commit_rx_batch(bus, &view, 1), TACHYON_ERR_FORKED);
    CHECK_ERROR(tachyon_recv(bus, NULL, 0, &size, &type, 0, -1), TACHYON_ERR_FORKED);
    CHECK_REFUSED(tachyon_bus_memory(bus, &size), TACHYON_ERR_FORKED);
    CHECK_ERROR(tachyon_bus_set_numa_node(bus, 0), TACHYON_ERR_FORKED);
    tachyon_bus_set_polling_mode(bus, 1);
    tachyon_bus_close(bus);
    CHECK_EQ(tachyon_get_state(bus), TACHYON_STATE_FATAL_ERROR);
    CHECK_EQ(tachyon_last_error(), TACHYON_ERR_FORKED);
    /* A handle of its own is its own. */
    CHECK_ERROR(tachyon_bus_connect("@nobody", &other), TACHYON_ERR_NETWORK);
}

static void destroy_it(void *context) {
    tachyon_bus_destroy(context);
}

static void leave_at_once(void *context) {
    (void)context;
}

TEST(fault_12_a_child_can_neither_use_nor_harm_its_parents_bus) {
    static void (*const children[])(void *context) = {leave_at_once, use_everything,
                                                      destroy_it};
    for (int role = 0; role < 3; role++)
        for (size_t child = 0; child < 3; child++) {
            struct pair pair = pair_open(4096);
            tachyon_bus_t *bus = pair.connector, *peer = pair.listener;
            if (role == 1) { /* one committed, one open */
                CHECK(tachyon_acquire_tx(bus, 4));
                CHECK_OK(tachyon_commit_tx(bus, 4, 41));
                CHECK(tachyon_acquire_tx(bus, 2000));
            }
            if (role == 2) {
                CHECK_OK(tachyon_send(peer, "first", 5, 1, 0, 0));
                CHECK(tachyon_acquire_rx(bus, &type, &size));
            }
            CHECK_EQ(test_wait(test_spawn(children[child], bus)), 0);
            CHECK_EQ(tachyon_get_state(bus), TACHYON_STATE_READY);
            CHECK_EQ(tachyon_get_state(peer), TACHYON_STATE_READY);
            if (role == 1) { /* the child has flushed nothing, and given nothing back */
                CHECK_REFUSED(tachyon_acquire_rx(peer, &type, &size),
                              TACHYON_ERR_EMPTY);
                CHECK_OK(tachyon_commit_tx(bus, 2000, 42));
                tachyon_flush(bus);
                tachyon_msg_view_t views[3];
                CHECK_EQ(tachyon_acquire_rx_batch(peer, views, 3), 2);
                CHECK_EQ(views[0].type_id, 41);
                CHECK_EQ(views[1].type_id, 42);
            } else if (role == 2) {
                CHECK_OK(tachyon_commit_rx(bus));
                CHECK_OK(tachyon_send(peer, "second", 6, 2, 0, 0));
                CHECK(tachyon_acquire_rx_blocking(bus, &type, &size, 0));
                CHECK_EQ(type, 2);
            } else {
                CHECK_OK(tachyon_send(bus, "x", 1, 3, 0, 0));
                CHECK(tachyon_acquire_rx(peer, &type, &size));
            }
            pair_close(&pair);
        }
}

static void count_what_is_open(void *context) {
    /* Of the parent's ends nothing but memory is left. */
    const size_t *before = context;
    CHECK_EQ(test_count_fds(), *before);
}

TEST(a_child_keeps_no_descriptor_of_a_bus) {
    size_t before = test_count_fds();
    struct pair pairs[3];
    for (int i = 0; i < 3; i++)
        pairs[i] = pair_open(4096);
    CHECK(test_count_fds() > before);
    CHECK_EQ(test_wait(test_spawn(count_what_is_open, &before)), 0);
    for (int i = 0; i < 3; i++)
        pair_close(&pairs[i]);
    /* Handles that are gone are not looked at. */
    CHECK_EQ(test_wait(test_spawn(count_what_is_open, &before)), 0);
}

static void fork_again(void *context) {
    use_everything(context);
    CHECK_EQ(test_wait(test_spawn(use_everything, context)), 0);
    tachyon_bus_destroy(context);
    CHECK_EQ(test_wait(test_spawn(leave_at_once, NULL)), 0);
}

TEST(a_childs_child_is_no_better_off) {
    struct pair pair = pair_open(4096);
    CHECK_EQ(test_wait(test_spawn(fork_again, pair.connector)), 0);
    CHECK_OK(tachyon_send(pair.connector, "x", 1, 1, 0, 0));
    pair_close(&pair);
}

static void destroy_in_order(void *context) {
    /* Each handle once had neighbours in a list, which must be forgotten. */
    static const int orders[][3] = {{0, 1, 2}, {2, 1, 0}, {1, 2, 0}, {1, 0, 2}};
    struct pair *pairs = context;
    static int next;
    const int *order = orders[next++];
    for (int i = 0; i < 3; i++) {
        tachyon_bus_destroy(pairs[order[i]].connector);
        tachyon_bus_destroy(pairs[order[i]].listener);
    }
    struct pair own = pair_open(4096);
    CHECK_OK(tachyon_send(own.connector, "x", 1, 1, 0, 0));
    CHECK(tachyon_acquire_rx(own.listener, &type, &size));
    pair_close(&own);
    if (next < 4) { /* its child has the same dead handles, and fewer */
        for (int i = 0; i < 3; i++)
            pairs[i] = pair_open(4096);
        CHECK_EQ(test_wait(test_spawn(destroy_in_order, pairs)), 0);
        for (int i = 0; i < 3; i++)
            pair_close(&pairs[i]);
    }
}

TEST(a_child_may_destroy_in_any_order_and_open_its_own) {
    struct pair pairs[3];
    if (test_race_detector())
        test_skip("it allows no threads in a child of a process that had threads");
    for (int i = 0; i < 3; i++)
        pairs[i] = pair_open(4096);
    CHECK_EQ(test_wait(test_spawn(destroy_in_order, pairs)), 0);
    for (int i = 0; i < 3; i++)
        pair_close(&pairs[i]);
}

/* ---- While others are at work ---- */

static void stay_until_closed(void *context) {
    const int *pipe_fds = context;
    char byte;
    close(pipe_fds[1]);
    CHECK_EQ(read(pipe_fds[0], &byte, 1), 0);
}

static int fork_in_hook_pipe[2];
static pid_t forked_in_hook;

static int fork_in_hook(void *context) {
    (void)context;
    if (forked_in_hook == 0) {
        forked_in_hook = fork();
        if (forked_in_hook == 0) {
            stay_until_closed(fork_in_hook_pipe);
            _exit(0);
        }
    }
    return 0;
}

TEST(a_child_forked_while_listening_does_not_listen) {
    /* The fork happens inside listen, with its socket, its lock and its ring open. */
    const char *path = test_path("bus");
    tachyon_options_t options = options_with_timeout_ms(50);
    tachyon_bus_t *bus;
    CHECK_EQ(pipe(fork_in_hook_pipe), 0);
    options.interrupted = fork_in_hook;
    CHECK_ERROR(tachyon_bus_listen_with(path, 4096, &options, &bus),
                TACHYON_ERR_TIMEOUT);
    CHECK(forked_in_hook > 0);
    /* The child lives, yet nobody listens and the path is free. */
    CHECK_ERROR(tachyon_bus_connect(path, &bus), TACHYON_ERR_NETWORK);
    options.interrupted = NULL;
    CHECK_ERROR(tachyon_bus_listen_with(path, 4096, &options, &bus),
                TACHYON_ERR_TIMEOUT);
    close(fork_in_hook_pipe[0]);
    close(fork_in_hook_pipe[1]);
    CHECK_EQ(test_wait(forked_in_hook), 0);
}

static void *wait_body(void *context) {
    uint32_t its_type;
    size_t its_size;
    return (void *)(uintptr_t)tachyon_acquire_rx_blocking(context, &its_type, &its_size,
                                                          0);
}

TEST(a_fork_while_another_thread_waits_disturbs_neither) {
    struct pair pair = pair_open(4096);
    pthread_t thread = test_thread(wait_body, pair.listener);
    while (atomic_load(&pair.listener->link.sleeps) == 0)
        test_sleep_ms(1);
    for (int i = 0; i < 20; i++) {
        CHECK_EQ(test_wait(test_spawn(use_everything, pair.listener)), 0);
        CHECK_EQ(test_wait(test_spawn(destroy_it, pair.listener)), 0);
    }
    CHECK_OK(tachyon_send(pair.connector, "x", 1, 1, 0, 0));
    CHECK(test_join(thread) != NULL);
    pair_close(&pair);
}

static _Atomic bool stop;

static void *open_and_close(void *context) {
    const char *path = context;
    while (!atomic_load(&stop)) {
        tachyon_options_t options = options_with_timeout_ms(1);
        tachyon_bus_t *bus;
        CHECK_EQ(tachyon_bus_listen_with(path, 4096, &options, &bus),
                 TACHYON_ERR_TIMEOUT);
    }
    return NULL;
}

TEST(a_fork_at_any_instant_of_listen_leaves_a_child_that_can_listen_too) {
    pthread_t thread = test_thread(open_and_close, (void *)(uintptr_t)test_path("bus"));
    for (int i = 0; i < 100; i++)
        CHECK_EQ(test_wait(test_spawn(leave_at_once, NULL)), 0);
    atomic_store(&stop, true);
    test_join(thread);
}

/* How many descriptors a child may have that is forked in a close(); 0: forks none. */
static size_t most_in_close;
static unsigned forked_in_close;

/* In the place of libc's. */
int close(int fd) {
    size_t most = most_in_close;
    if (most > 0) {
        forked_in_close++;
        most_in_close = 0; /* the child closes too */
        pid_t child = fork();
        if (child == 0)
            _exit(test_count_fds() > most);
        CHECK_EQ(test_wait(child), 0);
        most_in_close = most;
    }
    return (int)syscall(SYS_close, fd);
}

TEST(a_fork_while_a_handle_is_released_passes_on_what_is_just_closed_at_most) {
    const tachyon_options_t options = options_with_timeout_ms(10000);
    const char *path = test_path("bus");
    size_t before = test_count_fds();
    for (int what = 0; what < 4; what++) {
        tachyon_opening_t *opening = NULL;
        struct pair pair = {0};
        if (what == 0)
            CHECK_OK(tachyon_bus_listen_start(path, 4096, &options, &opening));
        else if (what == 1) /* tries in vain */
            CHECK_OK(tachyon_bus_connect_start(path, &options, &opening));
        else
            pair = pair_open(4096);
        if (what == 3)
            CHECK(tachyon_bus_fileno(pair.listener) >= 0);
        if (opening)
            CHECK(tachyon_opening_fileno(opening) >= 0);
        forked_in_close = 0;
        most_in_close = before + 1;
        tachyon_opening_cancel(opening);
        tachyon_bus_destroy(pair.listener);
        tachyon_bus_destroy(pair.connector);
        most_in_close = 0;
        CHECK(forked_in_close >= 2);
    }
    CHECK_EQ(test_count_fds(), before);
}

/* ---- The peer ---- */

struct dying {
    const char *path;
    int alive[2]; /* held open by the grandchild */
};

/* Connects, forks a child that stays, and dies without closing. */
static void die_with_a_child(void *context) {
    struct dying *dying = context;
    tachyon_options_t options = options_with_timeout_ms(10000);
    tachyon_bus_t *bus;
    CHECK_OK(tachyon_bus_connect_with(dying->path, &options, &bus));
    CHECK_OK(tachyon_send(bus, "last", 4, 1, 0, 0));
    pid_t pid = fork(); /* not test_spawn: this child survives its parent */
    if (pid == 0) {
        char byte;
        close(dying->alive[1]);
        (void)!read(dying->alive[0], &byte, 1);
        _exit(0);
    }
    _exit(0);
}

TEST(fault_12_a_death_is_noticed_although_a_child_lives_on) {
    struct dying dying = {.path = test_path("bus")};
    struct listening listening = {.path = dying.path, .capacity = 4096};
    CHECK_EQ(pipe(dying.alive), 0);
    pid_t pid = test_spawn(die_with_a_child, &dying);
    listening_start(&listening);
    CHECK_EQ(listening_join(&listening), TACHYON_SUCCESS);
    CHECK(tachyon_acquire_rx_blocking(listening.bus, &type, &size, 0));
    CHECK_OK(tachyon_commit_rx(listening.bus));
    /* Without the pidfd: the socket alone must tell. */
    ty_close(&listening.bus->link.pidfd);
    CHECK_REFUSED(tachyon_acquire_rx_timed(listening.bus, &type, &size, 0, -1),
                  TACHYON_ERR_PEER_DEAD);
    tachyon_bus_destroy(listening.bus);
    CHECK_EQ(test_wait(pid), 0);
    close(dying.alive[0]);
    close(dying.alive[1]);
}
