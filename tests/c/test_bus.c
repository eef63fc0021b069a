/* SPDX-License-Identifier: Apache-2.0 */
/* bus.c: opening, roles, states, closing, counters; and every argument that is
 * wrong. */
#include "bus.h"
#include "peers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint32_t type;
static size_t size;

/* ---- Wrong arguments ---- */

TEST(every_function_takes_null_for_an_answer) {
    struct pair pair = pair_open(4096);
    tachyon_bus_t *bus = pair.listener, *out = bus;
    tachyon_options_t options = options_with_timeout_ms(1);
    tachyon_msg_view_t view;
    tachyon_stats_t stats;
    tachyon_peer_t peer;
    char room[1];
    const char *path = test_path("null");

    CHECK_ERROR(tachyon_bus_listen(NULL, 4096, &out), TACHYON_ERR_NULL_PTR);
    CHECK_SAYS("socket_path is NULL");
    CHECK(!out);
    CHECK_ERROR(tachyon_bus_listen(path, 4096, NULL), TACHYON_ERR_NULL_PTR);
    CHECK_SAYS("out is NULL");
    CHECK_ERROR(tachyon_bus_listen_with(NULL, 4096, &options, &out),
                TACHYON_ERR_NULL_PTR);
    CHECK_ERROR(tachyon_bus_listen_with(path, 4096, &options, NULL),
                TACHYON_ERR_NULL_PTR);
    CHECK_ERROR(tachyon_bus_connect(NULL, &out), TACHYON_ERR_NULL_PTR);
    CHECK_ERROR(tachyon_bus_connect(path, NULL), TACHYON_ERR_NULL_PTR);
    CHECK_ERROR(tachyon_bus_connect_with(NULL, &options, &out), TACHYON_ERR_NULL_PTR);
    CHECK_ERROR(tachyon_bus_connect_with(path, &options, NULL), TACHYON_ERR_NULL_PTR);

    tachyon_bus_ref(NULL);
    tachyon_bus_close(NULL);
    tachyon_bus_destroy(NULL);
    tachyon_bus_set_polling_mode(NULL, 1);
    tachyon_flush(NULL);
    tachyon_memory_barrier_acquire();
    CHECK_EQ(tachyon_max_payload(NULL), 0);
    CHECK_EQ(tachyon_get_state(NULL), TACHYON_STATE_UNKNOWN);
    CHECK_EQ(tachyon_last_error(), TACHYON_ERR_NULL_PTR);

    CHECK_ERROR(tachyon_bus_set_numa_node(NULL, 0), TACHYON_ERR_NULL_PTR);
    CHECK_REFUSED(tachyon_acquire_tx(NULL, 1), TACHYON_ERR_NULL_PTR);
    CHECK_SAYS("bus is NULL");
    CHECK_REFUSED(tachyon_acquire_tx_timed(NULL, 1, 1, -1), TACHYON_ERR_NULL_PTR);
    CHECK_ERROR(tachyon_commit_tx(NULL, 0, 1), TACHYON_ERR_NULL_PTR);
    CHECK_ERROR(tachyon_rollback_tx(NULL), TACHYON_ERR_NULL_PTR);
    CHECK_ERROR(tachyon_send(NULL, "", 0, 1, 0, -1), TACHYON_ERR_NULL_PTR);
    CHECK_ERROR(tachyon_send(bus, NULL, 1, 1, 0, -1), TACHYON_ERR_NULL_PTR);

    CHECK_REFUSED(tachyon_acquire_rx(NULL, &type, &size), TACHYON_ERR_NULL_PTR);
    CHECK_REFUSED(tachyon_acquire_rx(bus, NULL, &size), TACHYON_ERR_NULL_PTR);
    CHECK_SAYS("type_id is NULL");
    CHECK_REFUSED(tachyon_acquire_rx(bus, &type, NULL), TACHYON_ERR_NULL_PTR);
    CHECK_SAYS("actual_size is NULL");
    CHECK_REFUSED(tachyon_acquire_rx_spin(NULL, &type, &size, 1), TACHYON_ERR_NULL_PTR);
    CHECK_REFUSED(tachyon_acquire_rx_spin(bus, NULL, &size, 0), TACHYON_ERR_NULL_PTR);
    CHECK_REFUSED(tachyon_acquire_rx_blocking(NULL, &type, &size, 1),
                  TACHYON_ERR_NULL_PTR);
    CHECK_REFUSED(tachyon_acquire_rx_blocking(bus, &type, NULL, 1),
                  TACHYON_ERR_NULL_PTR);
    CHECK_REFUSED(tachyon_acquire_rx_timed(NULL, &type, &size, 1, -1),
                  TACHYON_ERR_NULL_PTR);
    CHECK_REFUSED(tachyon_acquire_rx_timed(bus, NULL, NULL, 1, -1),
                  TACHYON_ERR_NULL_PTR);
    CHECK_ERROR(tachyon_commit_rx(NULL), TACHYON_ERR_NULL_PTR);
    CHECK_REFUSED(tachyon_acquire_rx_batch(NULL, &view, 1), TACHYON_ERR_NULL_PTR);
    CHECK_REFUSED(tachyon_acquire_rx_batch(bus, NULL, 1), TACHYON_ERR_NULL_PTR);
    CHECK_SAYS("views is NULL");
    CHECK_REFUSED(tachyon_drain_batch(NULL, &view, 1, 0), TACHYON_ERR_NULL_PTR);
    CHECK_REFUSED(tachyon_drain_batch(bus, NULL, 1, 0), TACHYON_ERR_NULL_PTR);
    CHECK_REFUSED(tachyon_drain_batch_timed(NULL, &view, 1, 0, -1),
                  TACHYON_ERR_NULL_PTR);
    CHECK_REFUSED(tachyon_drain_batch_timed(bus, NULL, 1, 0, -1), TACHYON_ERR_NULL_PTR);
    CHECK_ERROR(tachyon_commit_rx_batch(NULL, &view, 1), TACHYON_ERR_NULL_PTR);
    CHECK_ERROR(tachyon_commit_rx_batch(bus, NULL, 1), TACHYON_ERR_NULL_PTR);

    CHECK_ERROR(tachyon_recv(NULL, room, 1, &size, &type, 0, 0), TACHYON_ERR_NULL_PTR);
    CHECK_ERROR(tachyon_recv(bus, room, 1, NULL, &type, 0, 0), TACHYON_ERR_NULL_PTR);
    CHECK_SAYS("size is NULL");
    CHECK_ERROR(tachyon_recv(bus, room, 1, &size, NULL, 0, 0), TACHYON_ERR_NULL_PTR);
    CHECK_SAYS("type_id is NULL");
    CHECK_ERROR(tachyon_recv(bus, NULL, 1, &size, &type, 0, -1), TACHYON_ERR_NULL_PTR);
    CHECK_SAYS("into is NULL, room is 1");

    CHECK_REFUSED(tachyon_bus_memory(NULL, &size), TACHYON_ERR_NULL_PTR);
    CHECK_REFUSED(tachyon_rpc_memory(NULL, 1, &size), TACHYON_ERR_NULL_PTR);
    CHECK(tachyon_bus_memory(bus, NULL));
    CHECK_ERROR(tachyon_bus_get_peer(NULL, &peer), TACHYON_ERR_NULL_PTR);
    CHECK_ERROR(tachyon_bus_get_peer(bus, NULL), TACHYON_ERR_NULL_PTR);
    CHECK_SAYS("out is NULL");
    CHECK_ERROR(tachyon_bus_get_stats(NULL, &stats), TACHYON_ERR_NULL_PTR);
    CHECK_ERROR(tachyon_bus_get_stats(bus, NULL), TACHYON_ERR_NULL_PTR);

    /* None of it has claimed a direction or moved anything. */
    CHECK_OK(tachyon_send(pair.connector, "x", 1, 1, 0, 0));
    CHECK(tachyon_acquire_rx(bus, &type, &size));
    pair_close(&pair);
}

TEST(a_capacity_is_a_power_of_two_up_to_2_gib) {
    static const size_t wrong[] = {0,
                                   3,
                                   100,
                                   4095,
                                   4097,
                                   12 << 10,
                                   0xFFFFFFFF,
                                   SIZE_MAX,
                                   (size_t)1 << 32,
                                   (size_t)1 << 63};
    const char *path = test_path("capacity");
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char value[32];
        tachyon_bus_t *bus = (tachyon_bus_t *)&bus;
        snprintf(value, sizeof value, "capacity is %zu bytes", wrong[i]);
        CHECK_ERROR(tachyon_bus_listen(path, wrong[i], &bus), TACHYON_ERR_INVALID_SZ);
        CHECK_SAYS(value);
        CHECK_SAYS("power of two");
        CHECK(!bus);
        CHECK(access(path, F_OK) != 0);
    }
    static const size_t right[] = {1, 2, 2048, 4096, 8192, 1 << 20};
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        struct pair pair = pair_open(right[i]);
        tachyon_stats_t stats;
        CHECK_OK(tachyon_bus_get_stats(pair.connector, &stats));
        CHECK_EQ(stats.capacity, right[i] < 4096 ? 4096 : right[i]);
        CHECK_EQ(tachyon_max_payload(pair.listener), stats.capacity - 128);
        pair_close(&pair);
    }
}

TEST(a_numa_node_is_0_to_63) {
    struct pair pair = pair_open(4096);
    CHECK_ERROR(tachyon_bus_set_numa_node(pair.listener, -1), TACHYON_ERR_INVALID_SZ);
    CHECK_SAYS("-1");
    CHECK_ERROR(tachyon_bus_set_numa_node(pair.listener, 64), TACHYON_ERR_INVALID_SZ);
    tachyon_error_t error = tachyon_bus_set_numa_node(pair.listener, 0);
    if (error != TACHYON_SUCCESS) { /* not every kernel has NUMA, or allows it */
        CHECK_EQ(error, TACHYON_ERR_SYSTEM);
        CHECK(tachyon_last_errno() != 0);
        CHECK_SAYS("NUMA node 0");
    }
    CHECK_OK(tachyon_send(pair.connector, "x", 1, 1, 0, 0));
    pair_close(&pair);
}

/* ---- Roles ---- */

TEST(either_end_may_send) {
    for (int swap = 0; swap < 2; swap++) {
        struct pair pair = pair_open(4096);
        tachyon_bus_t *sender = swap ? pair.listener : pair.connector;
        tachyon_bus_t *receiver = swap ? pair.connector : pair.listener;
        CHECK_OK(tachyon_send(sender, "x", 1, 1, 0, 0));
        CHECK(tachyon_acquire_rx(receiver, &type, &size));
        CHECK_OK(tachyon_commit_rx(receiver));
        pair_close(&pair);
    }
}

TEST(a_handle_that_sends_cannot_receive_and_the_reverse) {
    struct pair pair = pair_open(4096);
    tachyon_msg_view_t view;
    CHECK_OK(tachyon_send(pair.connector, "x", 1, 1, 0, 0));
    CHECK_REFUSED(tachyon_acquire_rx(pair.connector, &type, &size), TACHYON_ERR_BUSY);
    CHECK_SAYS("this end sends");
    CHECK_REFUSED(tachyon_acquire_rx_blocking(pair.connector, &type, &size, 0),
                  TACHYON_ERR_BUSY);
    CHECK_REFUSED(tachyon_drain_batch(pair.connector, &view, 1, 0), TACHYON_ERR_BUSY);
    CHECK_ERROR(tachyon_commit_rx(pair.connector), TACHYON_ERR_EMPTY);

    CHECK(tachyon_acquire_rx(pair.listener, &type, &size));
    CHECK_REFUSED(tachyon_acquire_tx(pair.listener, 1), TACHYON_ERR_BUSY);
    CHECK_SAYS("this end receives");
    CHECK_REFUSED(tachyon_acquire_tx_timed(pair.listener, 1, 0, -1), TACHYON_ERR_BUSY);
    CHECK_ERROR(tachyon_send(pair.listener, "x", 1, 1, 0, -1), TACHYON_ERR_BUSY);
    CHECK_OK(tachyon_commit_rx(pair.listener));
    CHECK_EQ(tachyon_get_state(pair.listener), TACHYON_STATE_READY);
    CHECK_OK(tachyon_send(pair.connector, "x", 1, 1, 0, 0)); /* it goes on */
    CHECK(tachyon_acquire_rx(pair.listener, &type, &size));
    pair_close(&pair);
}

TEST(a_second_producer_is_refused) {
    struct pair pair = pair_open(4096);
    CHECK_OK(tachyon_send(pair.connector, "x", 1, 1, 0, 0));
    CHECK_REFUSED(tachyon_acquire_tx(pair.listener, 1), TACHYON_ERR_BUSY);
    CHECK_SAYS("the peer already sends");
    CHECK_ERROR(tachyon_send(pair.listener, "y", 1, 2, 0, -1), TACHYON_ERR_BUSY);
    CHECK(tachyon_acquire_rx(pair.listener, &type, &size)); /* it may still receive */
    CHECK_EQ(type, 1);
    pair_close(&pair);
}

TEST(a_second_consumer_is_refused) {
    struct pair pair = pair_open(4096);
    CHECK_REFUSED(tachyon_acquire_rx(pair.connector, &type, &size), TACHYON_ERR_EMPTY);
    CHECK_REFUSED(tachyon_acquire_rx(pair.listener, &type, &size), TACHYON_ERR_BUSY);
    CHECK_SAYS("the peer already receives");
    CHECK_OK(tachyon_send(pair.listener, "x", 1, 1, 0, 0));
    pair_close(&pair);
}

TEST(a_declared_role_holds) {
    tachyon_options_t producer = options_with_timeout_ms(10000);
    producer.role = TACHYON_ROLE_PRODUCER;
    tachyon_options_t consumer = options_with_timeout_ms(10000);
    consumer.role = TACHYON_ROLE_CONSUMER;
    struct pair pair = pair_open_with(4096, &consumer, &producer);
    CHECK_REFUSED(tachyon_acquire_rx(pair.connector, &type, &size), TACHYON_ERR_BUSY);
    CHECK_SAYS("declared that it sends");
    CHECK_REFUSED(tachyon_acquire_tx(pair.listener, 1), TACHYON_ERR_BUSY);
    CHECK_SAYS("declared that it receives");
    CHECK_OK(tachyon_send(pair.connector, "x", 1, 1, 0, 0));
    CHECK(tachyon_acquire_rx(pair.listener, &type, &size));
    pair_close(&pair);
}

/* ---- States ---- */

TEST(the_state_is_ready_until_the_peer_is_gone_and_all_is_drained) {
    for (int death = 0; death < 2; death++) {
        struct pair pair = pair_open(4096);
        tachyon_error_t why = death ? TACHYON_ERR_PEER_DEAD : TACHYON_ERR_CLOSED;
        tachyon_state_t after =
            death ? TACHYON_STATE_FATAL_ERROR : TACHYON_STATE_DISCONNECTED;
        CHECK_EQ(tachyon_get_state(pair.listener), TACHYON_STATE_READY);
        CHECK_EQ(tachyon_get_state(pair.connector), TACHYON_STATE_READY);
        CHECK_OK(tachyon_send(pair.connector, "x", 1, 1, 0, 0));
        if (death) /* all that is left of a dead process */
            ty_close(&pair.connector->link.socket);
        tachyon_bus_destroy(pair.connector);
        pair.connector = NULL;
        for (int i = 0; i < 3; i++)
            CHECK_EQ(tachyon_get_state(pair.listener), TACHYON_STATE_READY);
        CHECK(tachyon_acquire_rx(pair.listener, &type, &size));
        CHECK_EQ(tachyon_get_state(pair.listener), TACHYON_STATE_READY);
        CHECK_OK(tachyon_commit_rx(pair.listener));
        for (int i = 0; i < 3; i++) {
            CHECK_EQ(tachyon_get_state(pair.listener), after);
            CHECK_EQ(tachyon_last_error(), why);
        }
        CHECK_REFUSED(tachyon_acquire_rx_blocking(pair.listener, &type, &size, 0), why);
        CHECK_SAYS(death ? "died without closing" : "closed the stream");
        CHECK_EQ(tachyon_get_state(pair.listener), after);
        pair_close(&pair);
    }
}

TEST(a_producers_state_is_disconnected_at_once) {
    struct pair pair = pair_open(4096);
    CHECK_OK(tachyon_send(pair.connector, "x", 1, 1, 0, 0));
    tachyon_bus_close(pair.listener);
    CHECK_EQ(tachyon_get_state(pair.connector), TACHYON_STATE_DISCONNECTED);
    CHECK_EQ(tachyon_last_error(), TACHYON_ERR_CLOSED);
    pair_close(&pair);
}

TEST(an_end_that_closed_or_aborted_says_closed_to_every_call) {
    for (int variant = 0; variant < 6; variant++) {
        int role = variant % 3;
        bool aborts = variant >= 3;
        struct pair pair = pair_open(4096);
        tachyon_bus_t *bus = pair.connector;
        tachyon_msg_view_t view = {0};
        tachyon_peer_t peer;
        tachyon_stats_t stats;
        const char *kept = NULL;
        if (role == 1)
            CHECK(tachyon_acquire_tx(bus, 10));
        if (role == 2) {
            CHECK_OK(tachyon_send(pair.listener, "kept", 4, 1, 0, 0));
            CHECK_OK(tachyon_send(pair.listener, "more", 4, 1, 0, 0));
            kept = tachyon_acquire_rx(bus, &type, &size);
        }
        for (int i = 0; i < 2; i++)
            (aborts ? tachyon_bus_abort : tachyon_bus_close)(bus);
        if (kept) /* stays readable until destroy */
            CHECK_EQ(memcmp(kept, "kept", 4), 0);
        CHECK_EQ(tachyon_get_state(bus), TACHYON_STATE_DISCONNECTED);
        CHECK_EQ(tachyon_last_error(), TACHYON_ERR_CLOSED);
        CHECK_REFUSED(tachyon_acquire_tx(bus, 1), TACHYON_ERR_CLOSED);
        CHECK_SAYS(aborts ? "this handle has been aborted"
                          : "this handle has been closed");
        CHECK_REFUSED(tachyon_acquire_tx_timed(bus, 1, 1, -1), TACHYON_ERR_CLOSED);
        CHECK_ERROR(tachyon_commit_tx(bus, 0, 1), TACHYON_ERR_CLOSED);
        CHECK_ERROR(tachyon_rollback_tx(bus), TACHYON_ERR_CLOSED);
        CHECK_ERROR(tachyon_send(bus, "", 0, 1, 1, -1), TACHYON_ERR_CLOSED);
        tachyon_flush(bus);
        CHECK_REFUSED(tachyon_acquire_rx(bus, &type, &size), TACHYON_ERR_CLOSED);
        CHECK_REFUSED(tachyon_acquire_rx_spin(bus, &type, &size, 0),
                      TACHYON_ERR_CLOSED);
        CHECK_REFUSED(tachyon_acquire_rx_blocking(bus, &type, &size, 1),
                      TACHYON_ERR_CLOSED);
        CHECK_REFUSED(tachyon_acquire_rx_timed(bus, &type, &size, 1, -1),
                      TACHYON_ERR_CLOSED);
        CHECK_ERROR(tachyon_commit_rx(bus), TACHYON_ERR_CLOSED);
        CHECK_REFUSED(tachyon_acquire_rx_batch(bus, &view, 1), TACHYON_ERR_CLOSED);
        CHECK_REFUSED(tachyon_drain_batch(bus, &view, 1, 0), TACHYON_ERR_CLOSED);
        CHECK_ERROR(tachyon_commit_rx_batch(bus, &view, 1), TACHYON_ERR_CLOSED);
        CHECK_OK(tachyon_bus_get_peer(bus, &peer));
        CHECK_OK(tachyon_bus_get_stats(bus, &stats));
        tachyon_bus_set_polling_mode(bus, 1);
        CHECK_EQ(tachyon_get_state(pair.listener),
                 aborts ? TACHYON_STATE_FATAL_ERROR : TACHYON_STATE_DISCONNECTED);
        pair_close(&pair);
    }
}

/* The first call after a close, with a message there and a reservation open. */
static tachyon_error_t first_call(tachyon_bus_t *bus, int which) {
    tachyon_msg_view_t view = {0};
    const void *got = NULL;
    switch (which) {
    case 0:
        got = tachyon_acquire_rx(bus, &type, &size);
        break;
    case 1:
        got = tachyon_acquire_rx_spin(bus, &type, &size, 0);
        break;
    case 2:
        got = tachyon_acquire_rx_blocking(bus, &type, &size, 0);
        break;
    case 3:
        got = tachyon_acquire_rx_batch(bus, &view, 1) ? view.ptr : NULL;
        break;
    case 4:
        got = tachyon_drain_batch(bus, &view, 1, 0) ? view.ptr : NULL;
        break;
    case 5:
        got = tachyon_acquire_tx(bus, 1);
        break;
    case 6:
        got = tachyon_acquire_tx_timed(bus, 1, 0, -1);
        break;
    case 7:
        return tachyon_send(bus, "x", 1, 1, 0, -1);
    default:
        return TACHYON_SUCCESS;
    }
    return got ? TACHYON_SUCCESS : tachyon_last_error();
}

TEST(the_first_call_after_a_close_says_closed) {
    for (int which = 0; which < 8; which++) {
        struct pair pair = pair_open(4096);
        if (which < 5) { /* it could go on receiving, and the ring has a message */
            CHECK_OK(tachyon_send(pair.listener, "x", 1, 1, 0, 0));
            CHECK(tachyon_acquire_rx(pair.connector, &type, &size));
        } else { /* it could go on sending, and there is room */
            CHECK(tachyon_acquire_tx(pair.connector, 1));
        }
        tachyon_bus_close(pair.connector);
        tachyon_error_t error = first_call(pair.connector, which);
        if (error != TACHYON_ERR_CLOSED)
            FAIL("call %d: %s", which, tachyon_strerror(error));
        CHECK_SAYS("this handle has been closed");
        pair_close(&pair);
    }
}

TEST(the_last_release_closes) {
    struct pair pair = pair_open(4096);
    tachyon_bus_ref(pair.connector);
    tachyon_bus_ref(pair.connector);
    for (int owners = 3; owners > 1; owners--) {
        tachyon_bus_destroy(pair.connector);
        CHECK_OK(tachyon_send(pair.connector, "x", 1, 1, 0, 0));
        CHECK_EQ(tachyon_get_state(pair.listener), TACHYON_STATE_READY);
    }
    pair_close(&pair);
}

/* ---- Closing from elsewhere ---- */

static tachyon_bus_t *closed_by_hook, *flushed_by_hook;

static int close_in_hook(void *context) {
    (void)context;
    if (flushed_by_hook)
        tachyon_flush(flushed_by_hook);
    flushed_by_hook = NULL;
    tachyon_bus_close(closed_by_hook);
    return 0;
}

TEST(a_close_during_a_wait_that_succeeds_still_ends_the_stream) {
    /* The message and the close both come while this end is about to sleep. */
    for (int silent = 0; silent < 2; silent++) {
        tachyon_options_t options = options_with_timeout_ms(10000);
        options.interrupted = NULL;
        struct pair pair = pair_open_with(4096, &options, NULL);
        void *slot = tachyon_acquire_tx(pair.connector, 4);
        memcpy(slot, "last", 4);
        CHECK_OK(tachyon_commit_tx(pair.connector, 4, 1));
        closed_by_hook = pair.listener;
        flushed_by_hook = silent ? NULL : pair.connector;
        pair.listener->link.interrupt.hook = close_in_hook;
        const void *message =
            tachyon_acquire_rx_blocking(pair.listener, &type, &size, 0);
        if (silent)
            CHECK(!message);
        if (!message) /* the close came first: fine */
            CHECK_EQ(tachyon_last_error(), TACHYON_ERR_CLOSED);
        else
            tachyon_commit_rx(pair.listener);
        pair.listener->link.interrupt.hook = NULL;
        CHECK_EQ(tachyon_get_state(pair.listener), TACHYON_STATE_DISCONNECTED);
        CHECK_EQ(tachyon_last_error(), TACHYON_ERR_CLOSED);
        CHECK_REFUSED(tachyon_acquire_rx(pair.listener, &type, &size),
                      TACHYON_ERR_CLOSED);
        CHECK_REFUSED(tachyon_acquire_rx_blocking(pair.listener, &type, &size, 0),
                      TACHYON_ERR_CLOSED);
        CHECK_SAYS("this handle has been closed");
        pair_close(&pair);
    }
}

struct busy {
    tachyon_bus_t *bus;
    bool sending;
    _Atomic uint64_t calls;
    tachyon_error_t error;
};

/* Never waits: polls, or sends into a ring that is being emptied. */
static void *busy_body(void *context) {
    struct busy *busy = context;
    tachyon_error_t error = TACHYON_SUCCESS;
    while (error == TACHYON_SUCCESS || error == TACHYON_ERR_EMPTY ||
           error == TACHYON_ERR_FULL) {
        uint32_t its_type;
        size_t its_size;
        if (busy->sending) {
            error = tachyon_send(busy->bus, "message", 7, 1, 0, 0);
        } else {
            const char *message = tachyon_acquire_rx(busy->bus, &its_type, &its_size);
            error = message ? TACHYON_SUCCESS : tachyon_last_error();
            if (message) {
                CHECK_EQ(its_size, 7);
                CHECK_EQ(memcmp(message, "message", 7), 0);
                error = tachyon_commit_rx(busy->bus);
            }
        }
        atomic_fetch_add(&busy->calls, 1);
    }
    busy->error = error;
    return NULL;
}

TEST(close_from_any_thread_ends_an_end_that_is_in_full_swing) {
    for (int i = 0; i < 200; i++) {
        struct pair pair = pair_open(4096);
        struct busy sender = {.bus = pair.connector, .sending = true};
        struct busy receiver = {.bus = pair.listener};
        pthread_t threads[] = {test_thread(busy_body, &sender),
                               test_thread(busy_body, &receiver)};
        while (atomic_load(&receiver.calls) < 200 || atomic_load(&sender.calls) < 200)
            continue;
        tachyon_bus_close(i % 2 ? pair.connector : pair.listener);
        test_join(threads[0]);
        test_join(threads[1]);
        CHECK_EQ(sender.error, TACHYON_ERR_CLOSED);
        CHECK_EQ(receiver.error, TACHYON_ERR_CLOSED);
        pair_close(&pair);
    }
}

/* ---- Looking ---- */

TEST(the_peer_is_who_the_kernel_says) {
    struct pair pair = pair_open(4096);
    tachyon_peer_t peer = {0};
    CHECK_OK(tachyon_bus_get_peer(pair.listener, &peer));
    CHECK_EQ(peer.pid, getpid());
    CHECK_EQ(peer.uid, geteuid());
    CHECK_EQ(peer.gid, getegid());
    CHECK_OK(tachyon_bus_get_peer(pair.connector, &peer));
    CHECK_EQ(peer.pid, getpid());
    pair_close(&pair);
}

TEST(counters_count) {
    struct pair pair = pair_open(4096);
    tachyon_stats_t stats;
    CHECK_OK(tachyon_bus_get_stats(pair.connector, &stats));
    CHECK_EQ(stats.capacity, 4096);
    CHECK_EQ(stats.used + stats.messages + stats.ring_bytes + stats.flushes +
                 stats.full + stats.sleeps + stats.wakes,
             0);
    for (int i = 0; i < 10; i++) { /* 64 and 192 bytes */
        CHECK(tachyon_acquire_tx(pair.connector, i % 2 ? 100 : 4));
        CHECK_OK(tachyon_commit_tx(pair.connector, i % 2 ? 100 : 4, 1));
    }
    tachyon_flush(pair.connector);
    CHECK_OK(tachyon_bus_get_stats(pair.connector, &stats));
    CHECK_EQ(stats.messages, 10);
    CHECK_EQ(stats.ring_bytes, 1280);
    CHECK_EQ(stats.used, 1280);
    CHECK_EQ(stats.flushes, 1);
    CHECK_EQ(stats.full, 0);
    for (int i = 0; i < 3; i++) {
        CHECK(tachyon_acquire_rx(pair.listener, &type, &size));
        CHECK_OK(tachyon_commit_rx(pair.listener));
    }
    CHECK(tachyon_acquire_rx(pair.listener, &type, &size));
    CHECK_OK(tachyon_bus_get_stats(pair.listener, &stats));
    CHECK_EQ(stats.messages, 3);
    CHECK_EQ(stats.ring_bytes, 64 + 192 + 64);
    CHECK_EQ(stats.used, 192); /* handed out */
    CHECK_EQ(stats.capacity, 4096);
    CHECK_REFUSED(tachyon_acquire_tx(pair.connector, 3968), TACHYON_ERR_FULL);
    CHECK_REFUSED(tachyon_acquire_tx(pair.connector, 3968), TACHYON_ERR_FULL);
    CHECK_OK(tachyon_bus_get_stats(pair.connector, &stats));
    CHECK_EQ(stats.full, 2);
    CHECK_EQ(stats.used, 1280 - 320); /* it has looked by now */
    pair_close(&pair);
}

/* ---- What is documented is done ---- */

struct blocked {
    tachyon_bus_t *bus;
    size_t bytes; /* to send; 0 receives */
};

static void *blocked_body(void *context) {
    const struct blocked *blocked = context;
    uint32_t its_type;
    size_t its_size;
    if (blocked->bytes > 0)
        CHECK(tachyon_acquire_tx_timed(blocked->bus, blocked->bytes, 0, -1));
    else
        CHECK(tachyon_acquire_rx_blocking(blocked->bus, &its_type, &its_size, 0));
    return NULL;
}

static pthread_t block(const struct blocked *blocked) {
    pthread_t thread = test_thread(blocked_body, (void *)(uintptr_t)blocked);
    while (atomic_load(&blocked->bus->link.sleeps) == 0)
        test_sleep_ms(1);
    return thread;
}

/* All of ring.h's struct ring_shared: `docs.promises` compares the names. */
TEST(fault_16_every_shared_word_is_written) {
    struct pair pair = pair_open(8192);
    const struct ring_shared *shared = region_shared(&pair.listener->regions[0]);
    CHECK_EQ(shared->about.magic, WIRE_MAGIC);
    CHECK_EQ(shared->about.version, WIRE_VERSION);
    CHECK_EQ(shared->about.capacity_bytes, 8192);
    CHECK_EQ(shared->about.data_offset, pair.listener->regions[0].data_offset);
    CHECK_EQ(shared->about.max_payload_bytes, tachyon_max_payload(pair.listener));
    CHECK_EQ(shared->producer_side, RING_SIDE_NONE);
    CHECK_EQ(shared->consumer_side, RING_SIDE_NONE);
    CHECK_EQ(shared->tail + shared->wanted_head + shared->wanted_tail, 0);

    struct blocked receiver = {.bus = pair.listener};
    pthread_t thread = block(&receiver);
    CHECK_EQ(shared->consumer_side, RING_SIDE_LISTENER);
    CHECK_EQ(shared->wanted_head, 64); /* the first message, whatever its size */
    CHECK_OK(tachyon_send(pair.connector, "x", 1, 1, 0, 0));
    test_join(thread);
    CHECK_EQ(shared->producer_side, RING_SIDE_CONNECTOR);
    CHECK_EQ(shared->wanted_head, 0);
    CHECK_OK(tachyon_commit_rx(pair.listener));
    CHECK_EQ(shared->tail, 64);

    CHECK_OK(tachyon_send(pair.connector, (char[3000]){0}, 3000, 1, 0, 0));
    CHECK_OK(tachyon_send(pair.connector, (char[3000]){0}, 3000, 1, 0, 0));
    struct blocked sender = {pair.connector, 3000};
    thread = block(&sender);
    /* 64 + 2 * 3072 are written; 3072 more, and the word behind, must fit. */
    CHECK_EQ(shared->wanted_tail, 64 + 3 * 3072 + 64 - 8192);
    CHECK(tachyon_acquire_rx(pair.listener, &type, &size));
    CHECK_OK(tachyon_commit_rx(pair.listener));
    test_join(thread);
    CHECK_EQ(shared->wanted_tail, 0);
    CHECK_EQ(shared->tail, 64 + 3072);
    pair_close(&pair);
}

/* All of tachyon_stats_t, at the end that the header names. */
TEST(fault_16_every_counter_of_a_bus_moves) {
    struct pair pair = pair_open(4096);
    tachyon_stats_t stats[2];
    struct blocked receiver = {.bus = pair.listener};
    pthread_t thread = block(&receiver);
    CHECK_OK(tachyon_send(pair.connector, "x", 1, 1, 0, 0));
    test_join(thread);
    CHECK_OK(tachyon_bus_get_stats(pair.connector, &stats[0]));
    CHECK_OK(tachyon_bus_get_stats(pair.listener, &stats[1]));
    CHECK_EQ(stats[0].wakes, 1);
    CHECK(stats[1].sleeps > 0);
    CHECK_EQ(stats[0].capacity, 4096);
    CHECK_EQ(stats[1].capacity, 4096);
    CHECK_EQ(stats[0].used, 64);
    CHECK_EQ(stats[1].used, 64);
    CHECK_EQ(stats[0].messages, 1);
    CHECK_EQ(stats[1].messages, 0);
    CHECK_OK(tachyon_commit_rx(pair.listener));
    CHECK_OK(tachyon_bus_get_stats(pair.listener, &stats[1]));
    CHECK_EQ(stats[1].messages, 1);
    CHECK_EQ(stats[1].ring_bytes, 64);
    CHECK_EQ(stats[1].used, 0);

    CHECK_OK(tachyon_send(pair.connector, (char[3000]){0}, 3000, 1, 0, 0));
    struct blocked sender = {pair.connector, 3000};
    thread = block(&sender);
    CHECK(tachyon_acquire_rx(pair.listener, &type, &size));
    CHECK_OK(tachyon_commit_rx(pair.listener));
    test_join(thread);
    CHECK_OK(tachyon_bus_get_stats(pair.connector, &stats[0]));
    CHECK_OK(tachyon_bus_get_stats(pair.listener, &stats[1]));
    CHECK(stats[0].sleeps > 0);
    CHECK_EQ(stats[1].wakes, 1);
    CHECK_EQ(stats[0].flushes, 2);
    CHECK_EQ(stats[0].full, 1);
    CHECK_EQ(stats[0].ring_bytes, 64 + 3072);
    pair_close(&pair);
}

static void connect_and_leave(void *context) {
    tachyon_options_t options = options_with_timeout_ms(10000);
    tachyon_bus_t *bus;
    CHECK_OK(tachyon_bus_connect_with(context, &options, &bus));
    tachyon_bus_destroy(bus);
}

/* All of tachyon_peer_t; another user than ours is in test_handshake.c. */
TEST(fault_16_the_peer_is_another_process) {
    struct listening listening = {.path = test_path("peer"), .capacity = 4096};
    pid_t pid = test_spawn(connect_and_leave, (void *)(uintptr_t)listening.path);
    listening_start(&listening);
    CHECK_EQ(listening_join(&listening), TACHYON_SUCCESS);
    tachyon_peer_t peer = {0};
    CHECK_OK(tachyon_bus_get_peer(listening.bus, &peer));
    CHECK_EQ(peer.pid, pid);
    CHECK_EQ(peer.uid, geteuid());
    CHECK_EQ(peer.gid, getegid());
    CHECK_EQ(test_wait(pid), 0);
    tachyon_bus_destroy(listening.bus);
}

/* ---- Many ---- */

/* ---- Where the ring lies ---- */

TEST(every_payload_lies_in_the_memory_of_its_ring) {
    static const size_t sizes[] = {0, 1, 32, 33, 1000, 3968};
    struct pair pair = pair_open(4096);
    size_t sent = 0, received = 0;
    uint8_t *from = tachyon_bus_memory(pair.connector, &sent);
    const uint8_t *to = tachyon_bus_memory(pair.listener, &received);
    CHECK_EQ(sent, 8192);
    CHECK_EQ(received, 8192);
    bool wrapped = false;
    for (uint64_t number = 0; number < 200; number++) {
        size_t most = sizes[number % 6];
        uint8_t *slot = tachyon_acquire_tx(pair.connector, most);
        CHECK(slot >= from && slot + most <= from + sent);
        wrapped |= slot < from + 4096 && slot + most > from + 4096;
        message_write(number, slot, most);
        CHECK_OK(tachyon_commit_tx(pair.connector, most, 1));
        tachyon_flush(pair.connector);
        const uint8_t *message = tachyon_acquire_rx(pair.listener, &type, &size);
        CHECK(message && message - to == slot - from);
        CHECK(message_is(number, to + (slot - from), size));
        CHECK(memcmp(to, to + 4096, 4096) == 0); /* the same bytes, twice */
        CHECK_OK(tachyon_commit_rx(pair.listener));
    }
    CHECK(wrapped);
    CHECK(tachyon_bus_memory(pair.connector, NULL) == from);
    tachyon_bus_close(pair.connector); /* until it is destroyed */
    CHECK(tachyon_bus_memory(pair.connector, NULL) == from);
    CHECK_EQ(from[0], to[0]);
    pair_close(&pair);
}

TEST(opening_and_closing_a_thousand_times_keeps_nothing) {
    size_t before = test_count_fds();
    for (int i = 0; i < (test_sanitized() ? 200 : 1000); i++) {
        struct pair pair = pair_open(4096);
        CHECK_OK(tachyon_send(pair.connector, "x", 1, 1, 0, 0));
        CHECK(tachyon_acquire_rx(pair.listener, &type, &size));
        pair_close(&pair);
    }
    CHECK_EQ(test_count_fds(), before);
}

TEST(many_buses_in_one_process_do_not_meet) {
    struct pair pairs[20];
    for (int i = 0; i < 20; i++)
        pairs[i] = pair_open(4096);
    for (int i = 0; i < 20; i++)
        CHECK_OK(tachyon_send(pairs[i].connector, &i, sizeof i, (uint32_t)i, 0, 0));
    for (int i = 19; i >= 0; i--) {
        const int *message = tachyon_acquire_rx(pairs[i].listener, &type, &size);
        CHECK(message);
        CHECK_EQ(*message, i);
        pair_close(&pairs[i]);
    }
}
