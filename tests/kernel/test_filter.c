/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two processes that use everything, then a listener and its peers, with nothing allowed
 * but what the core and the C library need. They are stopped and continued in their sleep.
 */
#include "filter.h"
#include "peers.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)
#define ROUNDS 50
#define PAUSE_MS 400 /* in which the other side is stopped */

static const char *path, *calls_path;

static void confine(void) {
    if (!filter_install(FILTER_CORE))
        test_skip("no seccomp filters on this machine");
}

static void *close_later(void *context) {
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    tachyon_bus_close(context);
    return NULL;
}

/* Sends, slowly at times, and answers calls. */
static void be_listener(void *context) {
    tachyon_bus_t *bus;
    tachyon_rpc_bus_t *rpc;
    uint64_t id;
    uint32_t type;
    size_t size;
    (void)context;
    confine();
    CHECK_OK(tachyon_bus_listen(path, 4096, &bus));
    for (int i = 0; i < ROUNDS; i++) {
        CHECK_OK(tachyon_send(bus, &i, sizeof i, 1, 0, 10 * SECOND));
        if (i == ROUNDS / 2) /* the receiver is stopped in ppoll(), we in a nanosleep */
            nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000}, NULL);
        else if (i % 10 == 0)
            nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    while (tachyon_send(bus, "fill", 4, 1, 0, 10 * SECOND) == TACHYON_SUCCESS)
        continue;
    CHECK_EQ(tachyon_last_error(), TACHYON_ERR_CLOSED);
    tachyon_bus_set_numa_node(bus, 0); /* may be refused by the kernel, not by us */
    tachyon_bus_destroy(bus);

    CHECK_OK(tachyon_rpc_listen(calls_path, 65536, 65536, &rpc));
    for (int i = 0; i < 200; i++) {
        CHECK(tachyon_rpc_serve(rpc, &id, &type, &size, 0));
        CHECK_OK(tachyon_rpc_commit_serve(rpc));
        CHECK_OK(tachyon_rpc_reply(rpc, id, "reply", 5, 1));
    }
    CHECK(!tachyon_rpc_serve(rpc, &id, &type, &size, 0));
    CHECK_EQ(tachyon_last_error(), TACHYON_ERR_CLOSED);
    tachyon_rpc_destroy(rpc);
}

static void be_connector(void *context) {
    tachyon_options_t options = options_with_timeout_ms(10000);
    tachyon_bus_t *bus;
    tachyon_rpc_bus_t *rpc;
    uint64_t ids[200];
    uint32_t type;
    size_t size;
    (void)context;
    confine();
    CHECK_OK(tachyon_bus_connect_with(path, &options, &bus));
    for (int i = 0; i < ROUNDS; i++) {
        const int *number = tachyon_acquire_rx_timed(bus, &type, &size, 0, 10 * SECOND);
        if (!number)
            FAIL("message %d: %s", i, tachyon_last_error_message());
        CHECK_EQ(*number, i);
        CHECK_OK(tachyon_commit_rx(bus));
    }
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL); /* the ring fills */
    CHECK_EQ(tachyon_get_state(bus), TACHYON_STATE_READY);
    pthread_t closer = test_thread(close_later, bus);
    while (tachyon_acquire_rx_timed(bus, &type, &size, 0, 10 * SECOND))
        CHECK_OK(tachyon_commit_rx(bus));
    CHECK_EQ(tachyon_last_error(), TACHYON_ERR_CLOSED);
    test_join(closer);
    tachyon_bus_destroy(bus);

    CHECK_OK(tachyon_rpc_connect_with(calls_path, &options, &rpc));
    for (int i = 0; i < 200; i++)
        CHECK_OK(tachyon_rpc_call_timed(rpc, "call", 4, 1, &ids[i], 0, 10 * SECOND));
    for (int i = 199; i >= 0; i--) { /* backwards, so that replies are kept */
        CHECK(tachyon_rpc_wait_timed(rpc, ids[i], &size, &type, 0, 10 * SECOND));
        CHECK_OK(tachyon_rpc_commit_rx(rpc));
    }
    tachyon_rpc_destroy(rpc);
}

TEST(fault_15_sigstop_and_sigcont_do_not_kill_under_the_filter) {
    path = test_path("bus");
    calls_path = test_path("calls");
    pid_t listener = test_spawn(be_listener, NULL);
    pid_t connector = test_spawn(be_connector, NULL);
    for (int i = 0; i < 8; i++) {
        test_sleep_ms(40);
        kill(i % 2 ? listener : connector, SIGSTOP);
        test_sleep_ms(30);
        kill(i % 2 ? listener : connector, SIGCONT);
    }
    CHECK_EQ(test_wait(listener), 0);
    CHECK_EQ(test_wait(connector), 0);
}

/* ---- Many peers ---- */

#define PEERS 3

static void *accept_on(void *context) {
    tachyon_event_t event;
    while (tachyon_bus_accept(context, &event, -1) == TACHYON_SUCCESS)
        continue;
    CHECK_EQ(tachyon_last_error(), TACHYON_ERR_CLOSED);
    return NULL;
}

static tachyon_bus_t *listen_for_many(const char *name, uint32_t role) {
    tachyon_options_t options = {.size = sizeof options, .role = role, .max_peers = 8};
    if (role == TACHYON_ROLE_PRODUCER) {
        options.slow_peer = TACHYON_SLOW_DISCONNECT;
        options.slow_after_ns = 20 * SECOND;
        options.keep_place_ns = SECOND;
    }
    tachyon_bus_t *bus;
    CHECK_OK(tachyon_bus_listen_with(name, 4096, &options, &bus));
    CHECK(tachyon_bus_fileno(bus) >= 0);
    return bus;
}

/* Sends to all of them, then receives from all. */
static void be_listener_of_many(void *context) {
    tachyon_bus_t *feed, *collector;
    uint32_t type;
    size_t size;
    int number;
    (void)context;
    confine();
    feed = listen_for_many(path, TACHYON_ROLE_PRODUCER);
    collector = listen_for_many(calls_path, TACHYON_ROLE_CONSUMER);
    pthread_t thread = test_thread(accept_on, feed);
    while (tachyon_bus_get_peers(feed, NULL, 0) < PEERS)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    for (int i = 0; i < 5 * ROUNDS; i++) {
        CHECK_OK(tachyon_send(feed, &i, sizeof i, 1, 0, 20 * SECOND));
        if (i % 10 == 0)
            nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    for (int i = 0; i < PEERS * ROUNDS; i++)
        CHECK_OK(tachyon_recv(collector, &number, sizeof number, &size, &type, 0,
                              20 * SECOND));
    tachyon_bus_close(feed);
    test_join(thread);
    tachyon_bus_destroy(feed);
    tachyon_bus_destroy(collector);
}

static void be_one_of_many(void *context) {
    tachyon_options_t options = options_with_timeout_ms(10000);
    tachyon_bus_t *bus;
    uint32_t type;
    size_t size;
    int number;
    (void)context;
    confine();
    CHECK_OK(tachyon_bus_connect_with(path, &options, &bus));
    for (int i = 0; i < 5 * ROUNDS; i++) {
        CHECK_OK(
            tachyon_recv(bus, &number, sizeof number, &size, &type, 0, 20 * SECOND));
        CHECK_EQ(number, i);
    }
    tachyon_bus_destroy(bus);
    CHECK_OK(tachyon_bus_connect_with(calls_path, &options, &bus));
    for (int i = 0; i < ROUNDS; i++)
        CHECK_OK(tachyon_send(bus, &i, sizeof i, 1, 0, 20 * SECOND));
    tachyon_bus_destroy(bus);
}

TEST(a_listener_and_its_peers_need_no_more_than_the_filter_allows) {
    pid_t pids[1 + PEERS];
    path = test_path("feed");
    calls_path = test_path("collector");
    for (int i = 0; i <= PEERS; i++)
        pids[i] = test_spawn(i == 0 ? be_listener_of_many : be_one_of_many, NULL);
    for (int i = 0; i < 8; i++) { /* in their sleep */
        test_sleep_ms(10);
        kill(pids[i % 4], SIGSTOP);
        test_sleep_ms(10);
        kill(pids[i % 4], SIGCONT);
    }
    for (int i = 0; i <= PEERS; i++)
        CHECK_EQ(test_wait(pids[i]), 0);
}

static void make_another_call(void *context) {
    (void)context;
    confine();
    syscall(SYS_io_uring_setup, 1, NULL);
}

/* Or the other test proves nothing. */
TEST(the_filter_kills) {
    CHECK_EQ(test_wait(test_spawn(make_another_call, NULL)), -SIGSYS);
}
