/* SPDX-License-Identifier: Apache-2.0 */
/* bus.c: opening, roles, states, closing, counters; and every argument that is
 * wrong. */
#include "bus.h"
#include "peers.h"

#include <errno.h>
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
            CHECK_EQ(tachyon_get_state(pair.listener), TACHYON_STATE_DISCONNECTED);
            CHECK_EQ(tachyon_last_error(), why);
        }
        CHECK_REFUSED(tachyon_acquire_rx_blocking(pair.listener, &type, &size, 0), why);
        CHECK_SAYS(death ? "died without closing" : "closed the stream");
        CHECK_EQ(tachyon_get_state(pair.listener), TACHYON_STATE_DISCONNECTED);
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

TEST(an_end_that_closed_says_closed_to_every_call) {
    for (int role = 0; role < 3; role++) {
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
        tachyon_bus_close(bus);
        tachyon_bus_close(bus);
        if (kept) /* stays readable until destroy */
            CHECK_EQ(memcmp(kept, "kept", 4), 0);
        CHECK_EQ(tachyon_get_state(bus), TACHYON_STATE_DISCONNECTED);
        CHECK_EQ(tachyon_last_error(), TACHYON_ERR_CLOSED);
        CHECK_REFUSED(tachyon_acquire_tx(bus, 1), TACHYON_ERR_CLOSED);
        CHECK_SAYS("this handle has been closed");
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
        CHECK_EQ(tachyon_get_state(pair.listener), TACHYON_STATE_DISCONNECTED);
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
        pair.listener->link.interrupted = close_in_hook;
        const void *message =
            tachyon_acquire_rx_blocking(pair.listener, &type, &size, 0);
        if (silent)
            CHECK(!message);
        if (!message) /* the close came first: fine */
            CHECK_EQ(tachyon_last_error(), TACHYON_ERR_CLOSED);
        else
            tachyon_commit_rx(pair.listener);
        pair.listener->link.interrupted = NULL;
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

/* ---- Errors ---- */

TEST(every_error_has_a_text_of_its_own) {
    for (int i = 0; i <= TACHYON_ERR_FORKED; i++) {
        const char *text = tachyon_strerror((tachyon_error_t)i);
        CHECK(text && strlen(text) > 3);
        for (int j = 0; j < i; j++)
            CHECK(strcmp(text, tachyon_strerror((tachyon_error_t)j)) != 0);
    }
    CHECK(strcmp(tachyon_strerror((tachyon_error_t)23), "unknown error") == 0);
    CHECK(strcmp(tachyon_strerror((tachyon_error_t)-1), "unknown error") == 0);
    CHECK(strcmp(tachyon_version(), "1.0.0") == 0);
}

static void *fails_elsewhere(void *context) {
    CHECK_EQ(tachyon_last_error(), TACHYON_SUCCESS);
    CHECK_EQ(tachyon_last_errno(), 0);
    CHECK_REFUSED(tachyon_acquire_tx(NULL, 1), TACHYON_ERR_NULL_PTR);
    return context;
}

TEST(the_last_error_belongs_to_its_thread) {
    tachyon_bus_t *bus;
    CHECK_EQ(tachyon_last_error(), TACHYON_SUCCESS);
    CHECK_ERROR(tachyon_bus_connect(test_path("nobody"), &bus), TACHYON_ERR_NETWORK);
    CHECK_EQ(tachyon_last_errno(), ENOENT);
    test_join(test_thread(fails_elsewhere, NULL));
    CHECK_EQ(tachyon_last_error(), TACHYON_ERR_NETWORK);
    CHECK_EQ(tachyon_last_errno(), ENOENT);
    CHECK_SAYS(test_path("nobody"));
    CHECK_SAYS(strerror(ENOENT));
}

TEST(an_error_without_a_system_call_has_no_errno) {
    tachyon_bus_t *bus;
    CHECK_ERROR(tachyon_bus_connect(test_path("nobody"), &bus), TACHYON_ERR_NETWORK);
    CHECK(tachyon_last_errno() != 0);
    CHECK_ERROR(tachyon_bus_listen(test_path("x"), 5, &bus), TACHYON_ERR_INVALID_SZ);
    CHECK_EQ(tachyon_last_errno(), 0);
}

/* ---- Many ---- */

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
