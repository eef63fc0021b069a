/* SPDX-License-Identifier: Apache-2.0 */
/* many.c, accept.c: who comes, who goes, and who may ask. */
#include "crowd.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)

static uint32_t type;
static size_t size;

static void expect_nothing(tachyon_bus_t *bus) {
    CHECK_REFUSED(tachyon_acquire_rx(bus, &type, &size), TACHYON_ERR_EMPTY);
}

/* What happens in the middle of a client's being let in: once its session is made, or
 * when it is in the table and about to be watched. */
static void (*while_coming)(void), (*while_let_in)(void);
static tachyon_bus_t *listener; /* of these */

/* The linker puts it in the place of libc's. */
int __real_epoll_ctl(int set, int operation, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int set, int operation, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int set, int operation, int fd, struct epoll_event *event) {
    void (**what)(void) = operation == EPOLL_CTL_DEL    ? &while_coming
                          : event->events == EPOLLRDHUP ? &while_let_in
                                                        : NULL;
    void (*now)(void) = what ? *what : NULL;
    if (now) {
        *what = NULL;
        now();
    }
    return __real_epoll_ctl(set, operation, fd, event);
}

/* ---- Listening ---- */

TEST(listen_returns_at_once_and_the_path_stays) {
    const char *path = test_path("bus");
    size_t before = test_count_fds();
    tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_CONSUMER, 4), *second;
    tachyon_options_t options = {
        .size = sizeof options, .role = TACHYON_ROLE_CONSUMER, .max_peers = 1};
    CHECK_EQ(access(path, F_OK), 0);
    CHECK_ERROR(tachyon_bus_listen_with(path, 4096, &options, &second),
                TACHYON_ERR_ADDR_IN_USE);
    CHECK_SAYS(path);
    tachyon_bus_destroy(crowd_join(bus, path, NULL));
    CHECK_EQ(access(path, F_OK), 0);
    tachyon_bus_close(bus);
    CHECK(access(path, F_OK) != 0);
    CHECK_ERROR(tachyon_bus_connect(path, &second), TACHYON_ERR_NETWORK);
    CHECK_OK(tachyon_bus_listen_with(path, 4096, &options, &second)); /* free again */
    tachyon_bus_destroy(second);
    tachyon_bus_destroy(bus);
    CHECK_EQ(test_count_fds(), before);
}

TEST(an_opening_of_such_a_listener_has_its_outcome_at_once) {
    tachyon_options_t options = {
        .size = sizeof options, .role = TACHYON_ROLE_CONSUMER, .max_peers = 4};
    tachyon_opening_t *opening;
    tachyon_bus_t *bus;
    size_t before = test_count_fds();
    for (int taken = 0; taken < 2; taken++) {
        CHECK_OK(tachyon_bus_listen_start(test_path("bus"), 4096, &options, &opening));
        CHECK(tachyon_opening_fileno(opening) >= 0);
        CHECK_OK(tachyon_opening_step(opening, 0));
        if (taken)
            CHECK_OK(tachyon_opening_finish_bus(opening, &bus));
        tachyon_opening_cancel(opening);
    }
    tachyon_bus_destroy(bus);
    CHECK_EQ(test_count_fds(), before);
}

TEST(a_bus_with_a_single_peer_has_no_peers_to_ask_about) {
    struct pair pair = pair_open(4096);
    tachyon_event_t event;
    tachyon_peer_info_t info;
    CHECK_ERROR(tachyon_bus_accept(pair.listener, &event, 0), TACHYON_ERR_INVALID_SZ);
    CHECK_SAYS("max_peers was 0");
    CHECK_EQ(tachyon_bus_get_peers(pair.listener, &info, 1), 0);
    CHECK_EQ(tachyon_last_error(), TACHYON_ERR_INVALID_SZ);
    CHECK_ERROR(tachyon_bus_drop_peer(pair.connector, 1), TACHYON_ERR_INVALID_SZ);
    CHECK_EQ(tachyon_bus_sender(pair.listener), 0);
    CHECK_EQ(tachyon_bus_sender(NULL), 0);
    CHECK_ERROR(tachyon_bus_accept(NULL, &event, 0), TACHYON_ERR_NULL_PTR);
    CHECK_ERROR(tachyon_bus_drop_peer(NULL, 0), TACHYON_ERR_NULL_PTR);
    CHECK_EQ(tachyon_bus_get_peers(NULL, &info, 1), 0);
    pair_close(&pair);
}

TEST(what_needs_one_ring_is_refused) {
    tachyon_bus_t *bus = crowd_listen(test_path("bus"), TACHYON_ROLE_CONSUMER, 4);
    tachyon_event_t event;
    CHECK_REFUSED(tachyon_bus_memory(bus, &size), TACHYON_ERR_INVALID_SZ);
    CHECK_ERROR(tachyon_bus_set_numa_node(bus, 0), TACHYON_ERR_INVALID_SZ);
    CHECK_EQ(tachyon_max_payload(bus), 4096 - 128);
    CHECK_REFUSED(tachyon_acquire_tx(bus, 1), TACHYON_ERR_BUSY);
    CHECK_ERROR(tachyon_bus_accept(bus, NULL, 0), TACHYON_ERR_NULL_PTR);
    CHECK_REFUSED(tachyon_bus_get_peers(bus, NULL, 1), TACHYON_ERR_NULL_PTR);
    CHECK_ERROR(tachyon_bus_accept(bus, &event, 0), TACHYON_ERR_EMPTY);
    tachyon_bus_destroy(bus);
}

TEST(roles_that_do_not_fit_are_refused) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_CONSUMER, 4), *peer;
    tachyon_options_t options = {.size = sizeof options, .role = TACHYON_ROLE_CONSUMER};
    CHECK_ERROR(crowd_try(bus, path, &options, &peer), TACHYON_ERR_BUSY);
    CHECK_SAYS("both ends declared");
    peer = crowd_join(bus, path, NULL);
    CHECK_REFUSED(tachyon_acquire_rx(peer, &type, &size), TACHYON_ERR_BUSY);
    tachyon_bus_destroy(peer);
    tachyon_bus_destroy(bus);
}

/* ---- Limits ---- */

TEST(one_more_than_max_peers_is_refused_until_one_has_gone) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_CONSUMER, 2), *peers[2], *more;
    for (int i = 0; i < 2; i++)
        peers[i] = crowd_join(bus, path, NULL);
    for (int i = 0; i < 100; i++) {
        CHECK_ERROR(crowd_try(bus, path, NULL, &more), TACHYON_ERR_BUSY);
        CHECK_SAYS("no place for another peer");
    }
    tachyon_bus_destroy(peers[0]);
    peers[0] = crowd_join(bus, path, NULL); /* without any receive in between */
    CHECK_ERROR(crowd_try(bus, path, NULL, &more), TACHYON_ERR_BUSY);
    CHECK_EQ(tachyon_bus_get_peers(bus, NULL, 0), 2);
    for (int i = 0; i < 2; i++)
        tachyon_bus_destroy(peers[i]);
    tachyon_bus_destroy(bus);
}

TEST(who_is_not_drained_takes_no_more_memory_than_as_many_again) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_CONSUMER, 2), *more;
    for (int i = 0; i < 4; i++) {
        tachyon_bus_t *peer = crowd_join(bus, path, NULL);
        CHECK_OK(tachyon_send(peer, "x", 1, 1, 0, 0));
        tachyon_bus_destroy(peer);
    }
    CHECK_ERROR(crowd_try(bus, path, NULL, &more), TACHYON_ERR_BUSY);
    for (int i = 0; i < 4; i++) {
        CHECK(tachyon_acquire_rx_timed(bus, &type, &size, 0, SECOND));
        CHECK_OK(tachyon_commit_rx(bus));
    }
    expect_nothing(bus);
    for (uint32_t i = 1; i <= 4; i++)
        crowd_left(bus, i, TACHYON_ERR_CLOSED);
    tachyon_bus_destroy(crowd_join(bus, path, NULL));
    tachyon_bus_destroy(bus);
}

TEST(a_client_joins_and_leaves_a_thousand_times) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_CONSUMER, 4);
    size_t before = test_count_fds();
    for (uint32_t i = 1; i <= 1000; i++) {
        tachyon_bus_destroy(crowd_join(bus, path, i % 2 ? "again" : NULL));
        expect_nothing(bus);
        crowd_left(bus, i, TACHYON_ERR_CLOSED);
    }
    CHECK_EQ(test_count_fds(), before);
    tachyon_bus_destroy(bus);
}

TEST(events_that_nobody_fetches_are_counted) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_CONSUMER, 4);
    for (int i = 0; i < 600; i++) {
        tachyon_bus_t *peer;
        CHECK_OK(crowd_try(bus, path, NULL, &peer));
        tachyon_bus_destroy(peer);
        expect_nothing(bus);
        expect_nothing(bus);
    }
    for (uint32_t i = 0; i < 1024; i++)
        CHECK_EQ(
            crowd_event(bus, i % 2 ? TACHYON_EVENT_LEFT : TACHYON_EVENT_JOINED).peer,
            i / 2 + 1);
    CHECK_EQ(crowd_event(bus, TACHYON_EVENT_MISSED).peer, 2 * 600 - 1024);
    tachyon_event_t event;
    CHECK_ERROR(tachyon_bus_accept(bus, &event, 0), TACHYON_ERR_EMPTY);
    tachyon_bus_destroy(crowd_join(bus, path, NULL)); /* and as before */
    tachyon_bus_destroy(bus);
}

/* Both ends of each are in this process: two here, four there. */
TEST(hundreds_of_peers_within_the_limit_of_descriptors_and_none_beyond) {
    struct rlimit limit;
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 2700;
    if (limit.rlim_max < limit.rlim_cur || setrlimit(RLIMIT_NOFILE, &limit) != 0)
        test_skip("the limit of descriptors cannot be raised to 2700");
    const char *path = test_path("bus");
    tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_CONSUMER, 1024);
    static tachyon_bus_t *peers[600];
    uint32_t count = 0;
    for (; count < 500; count++)
        peers[count] = crowd_join(bus, path, NULL);
    CHECK_EQ(tachyon_bus_get_peers(bus, NULL, 0), 500);
    for (uint32_t i = 0; i < 500; i++) {
        CHECK_OK(tachyon_send(peers[i], &i, 4, 1, 0, 0));
        CHECK(tachyon_acquire_rx_timed(bus, &type, &size, 0, SECOND));
        CHECK_EQ(tachyon_bus_sender(bus), i + 1);
        CHECK_OK(tachyon_commit_rx(bus));
    }
    /* Now in the middle of a join: with this many left, and one less each time. */
    size_t used = test_count_fds();
    for (rlim_t left = 12; left > 0; left--) {
        tachyon_options_t options = {.size = sizeof options, .timeout_ns = SECOND / 20};
        tachyon_bus_t *peer;
        limit.rlim_cur = used + left;
        CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
        tachyon_error_t error = crowd_try(bus, path, &options, &peer);
        limit.rlim_cur = 2700;
        CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
        if (error == TACHYON_SUCCESS)
            crowd_event(bus, TACHYON_EVENT_JOINED);
        tachyon_bus_destroy(peer);
        expect_nothing(bus);
        tachyon_event_t event;
        while (tachyon_bus_accept(bus, &event, SECOND / 10) == TACHYON_SUCCESS)
            expect_nothing(bus);
        CHECK_EQ(test_count_fds(), used);
        CHECK_EQ(tachyon_bus_get_peers(bus, NULL, 0), 500);
    }
    tachyon_bus_destroy(crowd_join(bus, path, NULL));
    for (uint32_t i = 0; i < count; i++)
        tachyon_bus_destroy(peers[i]);
    tachyon_bus_destroy(bus);
}

/* ---- Threads ---- */

struct accepting {
    tachyon_bus_t *bus;
    tachyon_error_t error;
    _Atomic uint32_t joined, left;
    _Atomic bool began;
};

static void *accept_all(void *context) {
    struct accepting *accepting = context;
    tachyon_event_t event;
    atomic_store(&accepting->began, true);
    while ((accepting->error = tachyon_bus_accept(accepting->bus, &event, -1)) ==
           TACHYON_SUCCESS)
        atomic_fetch_add(event.kind == TACHYON_EVENT_JOINED ? &accepting->joined
                                                            : &accepting->left,
                         1);
    return NULL;
}

static void *come_and_go(void *context) {
    tachyon_options_t options = {.size = sizeof options, .timeout_ns = 5 * SECOND};
    for (uint32_t i = 0; i < 100; i++) {
        tachyon_bus_t *bus;
        tachyon_error_t error;
        /* As long as eight that have gone are not drained. */
        while ((error = tachyon_bus_connect_with(context, &options, &bus)) ==
               TACHYON_ERR_BUSY)
            test_sleep_ms(1);
        CHECK_OK(error);
        for (uint32_t k = 0; k < i; k++)
            CHECK_OK(tachyon_send(bus, &k, sizeof k, 1, 10, -1));
        tachyon_bus_destroy(bus);
    }
    return NULL;
}

TEST(one_thread_accepts_while_another_receives_and_peers_come_and_go) {
    const char *path = test_path("bus");
    struct accepting accepting = {.bus = crowd_listen(path, TACHYON_ROLE_CONSUMER, 4)};
    pthread_t acceptor = test_thread(accept_all, &accepting), clients[4];
    for (int i = 0; i < 4; i++)
        clients[i] = test_thread(come_and_go, (void *)(uintptr_t)path);
    for (uint32_t i = 0; i < 4 * 99 * 100 / 2; i++) {
        CHECK(tachyon_acquire_rx_timed(accepting.bus, &type, &size, i % 2 ? 0 : 500,
                                       10 * SECOND));
        CHECK_OK(tachyon_commit_rx(accepting.bus));
        if (i % 50 == 0)
            tachyon_bus_get_peers(accepting.bus, NULL, 0);
    }
    for (int i = 0; i < 4; i++)
        test_join(clients[i]);
    for (int i = 0; i < 3000 && atomic_load(&accepting.left) < 400; i++)
        CHECK_REFUSED(
            tachyon_acquire_rx_timed(accepting.bus, &type, &size, 0, SECOND / 1000),
            TACHYON_ERR_TIMEOUT);
    CHECK_EQ(accepting.joined, 400);
    CHECK_EQ(accepting.left, 400);
    tachyon_bus_close(accepting.bus);
    test_join(acceptor);
    CHECK_EQ(accepting.error, TACHYON_ERR_CLOSED);
    tachyon_bus_destroy(accepting.bus);
}

static void *accept_once(void *context) {
    struct accepting *accepting = context;
    tachyon_event_t event;
    atomic_store(&accepting->began, true);
    do
        accepting->error = tachyon_bus_accept(accepting->bus, &event, -1);
    while (accepting->error == TACHYON_ERR_BUSY);
    return NULL;
}

TEST(a_second_thread_that_waits_in_accept_is_refused) {
    tachyon_bus_t *bus = crowd_listen(test_path("bus"), TACHYON_ROLE_CONSUMER, 4);
    struct accepting accepting = {.bus = bus};
    tachyon_event_t event;
    pthread_t thread = test_thread(accept_once, &accepting);
    tachyon_error_t error;
    while ((error = tachyon_bus_accept(bus, &event, 1000000)) == TACHYON_ERR_TIMEOUT)
        continue; /* the other has not begun */
    CHECK_EQ(error, TACHYON_ERR_BUSY);
    CHECK_ERROR(tachyon_bus_accept(bus, &event, 0), TACHYON_ERR_EMPTY);
    tachyon_bus_close(bus);
    test_join(thread);
    CHECK_EQ(accepting.error, TACHYON_ERR_CLOSED);
    CHECK_ERROR(tachyon_bus_accept(bus, &event, -1), TACHYON_ERR_CLOSED);
    tachyon_bus_destroy(bus);
}

TEST(destroy_ends_accept_and_waits_until_it_has_left) {
    for (int i = 0; i < 50; i++) {
        tachyon_bus_t *bus = crowd_listen(test_path("bus"), TACHYON_ROLE_CONSUMER, 4);
        struct accepting accepting = {.bus = bus};
        tachyon_bus_ref(bus);
        pthread_t thread = test_thread(accept_once, &accepting);
        while (!atomic_load(&accepting.began))
            continue;
        test_sleep_ms(i % 3);
        tachyon_bus_destroy(bus);
        if (i % 2)
            tachyon_bus_abort(bus);
        else
            tachyon_bus_close(bus);
        test_join(thread);
        CHECK_EQ(accepting.error, TACHYON_ERR_CLOSED);
        tachyon_bus_destroy(bus);
    }
}

static _Atomic int stage; /* of a step: 1 it is in the middle, 2 it goes on */

static void take_time(void) {
    atomic_store(&stage, 1);
    test_sleep_ms(100);
    atomic_store(&stage, 2);
}

TEST(destroy_waits_for_an_accept_that_does_not_sleep_yet) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_CONSUMER, 4);
    struct accepting accepting = {.bus = bus};
    tachyon_opening_t *opening;
    tachyon_event_t event;
    CHECK_OK(tachyon_bus_connect_start(path, NULL, &opening));
    while (tachyon_opening_step(opening, 0) == TACHYON_ERR_EMPTY)
        CHECK_ERROR(tachyon_bus_accept(bus, &event, 0), TACHYON_ERR_EMPTY);
    while_let_in = take_time;
    pthread_t thread = test_thread(accept_once, &accepting);
    while (atomic_load(&stage) == 0)
        test_sleep_ms(1);
    tachyon_bus_destroy(bus);
    CHECK_EQ(atomic_load(&stage), 2);
    test_join(thread);
    CHECK_OK(accepting.error); /* the event that came of it */
    tachyon_opening_cancel(opening);
}

TEST(destroy_from_another_thread_ends_a_sleeping_accept) {
    struct accepting accepting = {
        .bus = crowd_listen(test_path("bus"), TACHYON_ROLE_CONSUMER, 4)};
    pthread_t thread = test_thread(accept_once, &accepting);
    test_await_sleep();
    tachyon_bus_destroy(accepting.bus);
    test_join(thread);
    CHECK_EQ(accepting.error, TACHYON_ERR_CLOSED);
}

TEST(accept_has_its_time_out_and_its_interrupts) {
    tachyon_bus_t *bus = crowd_listen(test_path("bus"), TACHYON_ROLE_CONSUMER, 4);
    tachyon_event_t event;
    CHECK_TAKES(
        50, 90,
        CHECK_ERROR(tachyon_bus_accept(bus, &event, 50000000), TACHYON_ERR_TIMEOUT));
    clock_t begin = clock();
    CHECK_ERROR(tachyon_bus_accept(bus, &event, SECOND / 2), TACHYON_ERR_TIMEOUT);
    CHECK_IN((clock() - begin) * 1000 / CLOCKS_PER_SEC, 0, 50); /* of half a second */
    tachyon_bus_destroy(bus);

    int pipe_fds[2];
    CHECK_EQ(pipe(pipe_fds), 0);
    tachyon_options_t options = {.size = sizeof options,
                                 .role = TACHYON_ROLE_CONSUMER,
                                 .max_peers = 4,
                                 .interrupt_fd = pipe_fds[0]};
    CHECK_OK(tachyon_bus_listen_with(test_path("bus"), 4096, &options, &bus));
    CHECK_EQ(write(pipe_fds[1], "x", 1), 1);
    CHECK_ERROR(tachyon_bus_accept(bus, &event, -1), TACHYON_ERR_INTERRUPTED);
    CHECK_REFUSED(tachyon_acquire_rx_timed(bus, &type, &size, 0, -1),
                  TACHYON_ERR_INTERRUPTED);
    tachyon_bus_destroy(bus);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

static void *cancelled_in_accept(void *context) {
    tachyon_event_t event;
    tachyon_bus_accept(context, &event, -1);
    return context;
}

TEST(a_thread_that_is_cancelled_in_accept_leaves_it_to_the_next) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_CONSUMER, 4);
    for (int i = 0; i < 20; i++) {
        pthread_t thread = test_thread(cancelled_in_accept, bus);
        test_sleep_ms(i % 4);
        pthread_cancel(thread);
        void *result;
        CHECK_EQ(pthread_join(thread, &result), 0);
        CHECK(result == PTHREAD_CANCELED);
    }
    tachyon_bus_destroy(crowd_join(bus, path, NULL));
    tachyon_bus_destroy(bus);
}

/* ---- The end of the listener, and fork ---- */

TEST(all_peers_are_told_of_the_end) {
    static const tachyon_error_t reasons[] = {TACHYON_ERR_CLOSED, TACHYON_ERR_CLOSED,
                                              TACHYON_ERR_ABORTED};
    for (int how = 0; how < 3; how++) {
        const char *path = test_path("bus");
        tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_CONSUMER, 4), *peers[3];
        for (int i = 0; i < 3; i++)
            peers[i] = crowd_join(bus, path, NULL);
        if (how == 0)
            tachyon_bus_destroy(bus);
        else if (how == 1)
            tachyon_bus_close(bus);
        else
            tachyon_bus_abort(bus);
        for (int i = 0; i < 3; i++) {
            CHECK(tachyon_get_state(peers[i]) != TACHYON_STATE_READY);
            CHECK_EQ(tachyon_last_error(), reasons[how]);
            tachyon_bus_destroy(peers[i]);
        }
        if (how == 0)
            continue;
        CHECK_EQ(tachyon_get_state(bus), TACHYON_STATE_DISCONNECTED);
        CHECK_REFUSED(tachyon_acquire_rx(bus, &type, &size), TACHYON_ERR_CLOSED);
        tachyon_bus_destroy(bus);
    }
}

static void close_listener(void) {
    tachyon_bus_close(listener);
}

static void abort_listener(void) {
    tachyon_bus_abort(listener);
}

/* It has acknowledged, which the listener has not looked at yet. */
static tachyon_bus_t *acknowledge(tachyon_bus_t *bus, const char *path) {
    tachyon_opening_t *opening;
    tachyon_bus_t *peer;
    tachyon_event_t event;
    CHECK_OK(tachyon_bus_connect_start(path, NULL, &opening));
    while (tachyon_opening_step(opening, 0) == TACHYON_ERR_EMPTY)
        CHECK_ERROR(tachyon_bus_accept(bus, &event, 0), TACHYON_ERR_EMPTY);
    CHECK_OK(tachyon_opening_finish_bus(opening, &peer));
    tachyon_opening_cancel(opening);
    return peer;
}

TEST(who_has_acknowledged_is_told_of_the_end_whenever_it_comes) {
    static const uint32_t roles[] = {TACHYON_ROLE_CONSUMER, TACHYON_ROLE_PRODUCER};
    tachyon_event_t event;
    size_t before = test_count_fds();
    for (int role = 0; role < 2; role++)
        for (int abort = 0; abort < 2; abort++)
            for (int when = 0; when < 4; when++) {
                const char *path = test_path("bus");
                void (*end)(void) = abort ? abort_listener : close_listener;
                listener = crowd_listen(path, roles[role], 1);
                tachyon_bus_t *peer = acknowledge(listener, path);
                if (when == 0)
                    end();
                else if (when == 1)
                    while_coming = end;
                else if (when == 2)
                    while_let_in = end;
                else if (!abort)
                    tachyon_bus_destroy(listener);
                else
                    end();
                if (when < 3 || abort) {
                    while (tachyon_bus_accept(listener, &event, 0) == TACHYON_SUCCESS)
                        continue;
                    CHECK_EQ(tachyon_last_error(), TACHYON_ERR_CLOSED);
                }
                CHECK(tachyon_get_state(peer) != TACHYON_STATE_READY);
                CHECK_EQ(tachyon_last_error(),
                         abort ? TACHYON_ERR_ABORTED : TACHYON_ERR_CLOSED);
                tachyon_bus_destroy(peer);
                if (when < 3 || abort)
                    tachyon_bus_destroy(listener);
                CHECK_EQ(test_count_fds(), before);
            }
}

static pid_t child;

static void map_where_it_was(void *context) {
    size_t mapped = 8192 + 2 * 4096; /* as much as a ring of 4096 bytes */
    char *mine =
        mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(mine != MAP_FAILED);
    tachyon_bus_destroy(context);
    memset(mine, 1, mapped);
}

static void fork_now(void) {
    child = test_spawn(map_where_it_was, listener);
}

TEST(a_child_that_is_forked_while_a_peer_is_let_in_unmaps_nothing_twice) {
    const char *path = test_path("bus");
    listener = crowd_listen(path, TACHYON_ROLE_CONSUMER, 4);
    while_let_in = fork_now;
    tachyon_bus_t *peer = crowd_join(listener, path, NULL);
    CHECK_EQ(test_wait(child), 0);
    tachyon_bus_destroy(peer);
    tachyon_bus_destroy(listener);
}

static void use_in_child(void *context) {
    tachyon_bus_t *bus = context;
    tachyon_event_t event;
    tachyon_peer_info_t info;
    CHECK_ERROR(tachyon_bus_accept(bus, &event, -1), TACHYON_ERR_FORKED);
    CHECK_REFUSED(tachyon_bus_get_peers(bus, &info, 1), TACHYON_ERR_FORKED);
    CHECK_ERROR(tachyon_bus_drop_peer(bus, 1), TACHYON_ERR_FORKED);
    CHECK_REFUSED(tachyon_acquire_rx_timed(bus, &type, &size, 0, -1),
                  TACHYON_ERR_FORKED);
    CHECK_ERROR(tachyon_commit_rx(bus), TACHYON_ERR_FORKED);
    CHECK_EQ(tachyon_bus_fileno(bus), -1);
    tachyon_bus_close(bus);
    tachyon_bus_destroy(bus);
    test_sleep_ms(300); /* while the parent's peers must notice its end */
}

TEST(a_forked_child_keeps_nothing_of_it_open) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_CONSUMER, 4), *peers[3];
    for (int i = 0; i < 3; i++)
        peers[i] = crowd_join(bus, path, NULL);
    int knocking = wire_connect(path);
    tachyon_event_t event;
    CHECK_ERROR(tachyon_bus_accept(bus, &event, 0), TACHYON_ERR_EMPTY);
    struct accepting accepting = {.bus = bus};
    pthread_t thread = test_thread(accept_once, &accepting);
    test_sleep_ms(10);
    pid_t pid = test_spawn(use_in_child, bus);
    test_sleep_ms(50);
    CHECK_OK(tachyon_send(peers[1], "x", 1, 1, 0, 0)); /* as if nothing had been */
    CHECK(tachyon_acquire_rx_timed(bus, &type, &size, 0, SECOND));
    CHECK_OK(tachyon_commit_rx(bus));
    tachyon_bus_destroy(bus);
    CHECK(wire_ends(knocking, 100)); /* not when the child ends */
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(tachyon_get_state(peers[i]), TACHYON_STATE_DISCONNECTED);
        tachyon_bus_destroy(peers[i]);
    }
    test_join(thread);
    CHECK_EQ(test_wait(pid), 0);
    close(knocking);
}

static void quiet_after_full(tachyon_bus_t *bus, tachyon_bus_t *reader) {
    uint64_t got;
    int fd = tachyon_bus_fileno(bus);
    crowd_quiet(bus);
    CHECK(!test_readable(fd, 20));
    while (crowd_send(bus, 1, 0) == TACHYON_SUCCESS)
        ;
    CHECK_EQ(tachyon_last_error(), TACHYON_ERR_FULL);
    CHECK(!test_readable(fd, 20));
    CHECK_OK(crowd_take(reader, &got, 0));
    CHECK(test_readable(fd, 1000));
    CHECK_OK(crowd_send(bus, 1, 0));
    crowd_quiet(bus);
}

/* One consumer after the other, and broadcast. */
TEST(the_descriptor_is_quiet_once_what_was_refused_is_sent) {
    for (uint32_t most = 1; most <= 2; most++) {
        const char *path = test_path("bus");
        tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_PRODUCER, most);
        tachyon_bus_t *peer = crowd_join(bus, path, NULL);
        quiet_after_full(bus, peer);
        tachyon_bus_destroy(peer);
        tachyon_bus_destroy(bus);
    }
}
