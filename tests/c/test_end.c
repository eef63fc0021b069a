/* SPDX-License-Identifier: Apache-2.0 */
/* How a connection ends, as either side is told: a close, an abort, a death. */
#include "bus.h"
#include "peers.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static uint32_t type;
static size_t size;

/* ---- Abort: what the peer gets ---- */

/* One message by each way to receive without waiting for ever; false: there was none.
 */
enum receiving { LOOK, SPIN, BLOCK, TIMED, BATCH, DRAIN, ARRAY, RECEIVINGS };

static bool receive_one(tachyon_bus_t *bus, enum receiving how) {
    tachyon_msg_view_t view;
    char item[5];
    switch (how) {
    case LOOK:
        return tachyon_acquire_rx(bus, &type, &size) &&
               tachyon_commit_rx(bus) == TACHYON_SUCCESS;
    case SPIN:
        return tachyon_acquire_rx_spin(bus, &type, &size, 0) &&
               tachyon_commit_rx(bus) == TACHYON_SUCCESS;
    case BLOCK:
        return tachyon_acquire_rx_blocking(bus, &type, &size, 10) &&
               tachyon_commit_rx(bus) == TACHYON_SUCCESS;
    case TIMED:
        return tachyon_acquire_rx_timed(bus, &type, &size, 0, INT64_C(20000000000)) &&
               tachyon_commit_rx(bus) == TACHYON_SUCCESS;
    case BATCH:
        return tachyon_acquire_rx_batch(bus, &view, 1) &&
               tachyon_commit_rx_batch(bus, &view, 1) == TACHYON_SUCCESS;
    case DRAIN:
        return tachyon_drain_batch(bus, &view, 1, 0) &&
               tachyon_commit_rx_batch(bus, &view, 1) == TACHYON_SUCCESS;
    default:
        return tachyon_recv_batch(bus, item, sizeof item, 1, &type, 0, -1) == 1;
    }
}

static void check_aborted(tachyon_bus_t *bus, enum receiving how) {
    for (int i = 0; i < 3; i++) { /* it stays so */
        int looks = 0;
        while (receive_one(bus, how) || tachyon_last_error() == TACHYON_ERR_EMPTY)
            CHECK(++looks < 100000); /* who never waits asks the kernel now and then */
        CHECK_EQ(tachyon_last_error(), TACHYON_ERR_ABORTED);
        CHECK_SAYS("gave up in the middle");
        CHECK_EQ(tachyon_get_state(bus), TACHYON_STATE_FATAL_ERROR);
        CHECK_EQ(tachyon_last_error(), TACHYON_ERR_ABORTED);
    }
}

/* Whatever is done to an aborted end: nothing more is sent. */
static void use_after_abort(tachyon_bus_t *bus, int how) {
    switch (how) {
    case 0:
        break;
    case 1:
        tachyon_flush(bus);
        break;
    case 2: /* the reservation was open; nobody may see it */
        tachyon_commit_tx(bus, 5, 99);
        tachyon_flush(bus);
        break;
    case 3:
        for (int i = 0; i < 300 && tachyon_commit_tx(bus, 5, 99) == TACHYON_SUCCESS;
             i++)
            if (!tachyon_acquire_tx(bus, 5))
                break;
        CHECK_ERROR(tachyon_send(bus, "never", 5, 1, 0, -1), TACHYON_ERR_CLOSED);
        CHECK_SAYS("this handle has been aborted");
        CHECK_EQ(tachyon_send_batch(bus, "never", 1, 5, 1, 0, -1), 0);
        break;
    default:
        tachyon_bus_close(bus);
        tachyon_bus_abort(bus);
    }
}

TEST(after_an_abort_the_peer_gets_what_was_flushed_and_then_aborted) {
    for (int how = 0; how < RECEIVINGS; how++)
        for (int use = 0; use < 5; use++)
            for (int fences = 0; fences < 2; fences++) {
                struct pair pair = pair_open(4096);
                if (fences)
                    pair.listener->link.expedited = pair.connector->link.expedited =
                        false;
                for (uint32_t i = 0; i < 3; i++)
                    CHECK_OK(tachyon_send(pair.connector, "whole", 5, i, 0, 0));
                for (uint32_t i = 3; i < 5; i++) { /* not flushed */
                    CHECK(tachyon_acquire_tx(pair.connector, 5));
                    CHECK_OK(tachyon_commit_tx(pair.connector, 5, i));
                }
                CHECK(tachyon_acquire_tx(pair.connector, 5));
                tachyon_bus_abort(pair.connector);
                use_after_abort(pair.connector, use);
                if (use % 2) {
                    tachyon_bus_destroy(pair.connector);
                    pair.connector = NULL;
                }
                CHECK_EQ(tachyon_get_state(pair.listener), TACHYON_STATE_READY);
                for (uint32_t i = 0; i < 3; i++) {
                    CHECK(receive_one(pair.listener, (enum receiving)how));
                    if (how != BATCH && how != DRAIN)
                        CHECK_EQ(type, i);
                }
                CHECK(!receive_one(pair.listener, (enum receiving)how));
                check_aborted(pair.listener, (enum receiving)how);
                pair_close(&pair);
            }
}

struct blocked {
    tachyon_bus_t *bus;
    bool sends;
    tachyon_error_t error;
};

static void *blocked_body(void *context) {
    struct blocked *blocked = context;
    bool done = blocked->sends
                    ? tachyon_acquire_tx_timed(blocked->bus, 3000, 0, -1) != NULL
                    : receive_one(blocked->bus, BLOCK);
    blocked->error = done ? TACHYON_SUCCESS : tachyon_last_error();
    return NULL;
}

/* Either end aborts, from a thread of its own, while either of them sleeps. */
TEST(an_abort_ends_both_ends_blocked_calls) {
    for (int sends = 0; sends < 2; sends++)
        for (int own = 0; own < 2; own++) {
            struct pair pair = pair_open(4096);
            struct blocked blocked = {.bus = pair.listener, .sends = sends};
            if (sends) /* and the ring is full */
                CHECK_OK(tachyon_send(pair.listener, (char[3000]){0}, 3000, 1, 0, 0));
            pthread_t thread = test_thread(blocked_body, &blocked);
            while (atomic_load(&pair.listener->link.sleeps) == 0)
                test_sleep_ms(1);
            tachyon_bus_abort(own ? pair.listener : pair.connector);
            test_join(thread);
            CHECK_EQ(blocked.error, own ? TACHYON_ERR_CLOSED : TACHYON_ERR_ABORTED);
            pair_close(&pair);
        }
}

TEST(a_producer_learns_of_the_consumers_abort) {
    for (int how = 0; how < 4; how++) {
        struct pair pair = pair_open(4096);
        tachyon_bus_t *bus = pair.connector;
        CHECK_OK(tachyon_send(bus, "x", 1, 1, 0, 0));
        CHECK(tachyon_acquire_rx(pair.listener, &type, &size));
        tachyon_bus_abort(pair.listener);
        if (how == 0) { /* at once */
            CHECK_EQ(tachyon_get_state(bus), TACHYON_STATE_FATAL_ERROR);
            CHECK_EQ(tachyon_last_error(), TACHYON_ERR_ABORTED);
        } else if (how == 1) { /* when the ring is full */
            int sent = 0;
            while (tachyon_send(bus, "x", 1, 1, 0, 0) == TACHYON_SUCCESS)
                CHECK(++sent < 100);
        } else if (how == 2) { /* when it would wait */
            int sent = 0;
            while (tachyon_send(bus, "x", 1, 1, 100, -1) == TACHYON_SUCCESS)
                CHECK(++sent < 100);
        } else { /* in an event loop */
            struct pollfd fd = {.fd = tachyon_bus_fileno(bus), .events = POLLIN};
            CHECK_EQ(poll(&fd, 1, 10000), 1);
            while (tachyon_send(bus, "x", 1, 1, 0, 0) == TACHYON_SUCCESS)
                ;
        }
        CHECK_EQ(tachyon_last_error(), TACHYON_ERR_ABORTED);
        if (how != 0) { /* a look from any thread leaves the sending one alone */
            CHECK_REFUSED(tachyon_acquire_tx(bus, 1), TACHYON_ERR_ABORTED);
            CHECK_SAYS("gave up in the middle");
        }
        CHECK_EQ(tachyon_get_state(bus), TACHYON_STATE_FATAL_ERROR);
        pair_close(&pair);
    }
}

TEST(the_first_farewell_counts) {
    for (int abort_first = 0; abort_first < 2; abort_first++) {
        struct pair pair = pair_open(4096);
        tachyon_error_t expected = TACHYON_ERR_CLOSED;
        if (abort_first) {
            tachyon_bus_abort(pair.connector);
            expected = TACHYON_ERR_ABORTED;
        }
        tachyon_bus_close(pair.connector);
        tachyon_bus_abort(pair.connector);
        CHECK_REFUSED(tachyon_acquire_tx(pair.connector, 1), TACHYON_ERR_CLOSED);
        CHECK_SAYS(abort_first ? "has been aborted" : "has been closed");
        tachyon_bus_destroy(pair.connector);
        pair.connector = NULL;
        CHECK(!receive_one(pair.listener, BLOCK));
        CHECK_EQ(tachyon_last_error(), expected);
        pair_close(&pair);
    }
}

/* A peer of the same version that knows no abort must not take it for the end of the
 * stream: it looks for this one byte, and takes a hang-up without it for a death. */
TEST(an_abort_does_not_say_bye_to_an_older_peer) {
    struct pair pair = pair_open(4096);
    char bytes[64];
    tachyon_bus_abort(pair.connector);
    tachyon_bus_destroy(pair.connector);
    pair.connector = NULL;
    ssize_t count =
        recv(pair.listener->link.socket, bytes, sizeof bytes, MSG_DONTWAIT | MSG_PEEK);
    CHECK_EQ(count, 1);
    CHECK_EQ(bytes[0], 'X');
    CHECK(recv(pair.listener->link.socket, bytes, sizeof bytes, MSG_DONTWAIT) == 1 &&
          recv(pair.listener->link.socket, bytes, sizeof bytes, MSG_DONTWAIT) == 0);
    CHECK(!receive_one(pair.listener, BLOCK)); /* taken out, as that one would */
    CHECK_EQ(tachyon_last_error(), TACHYON_ERR_PEER_DEAD);
    pair_close(&pair);
}

TEST(null_is_ignored) {
    tachyon_bus_abort(NULL);
    tachyon_rpc_abort(NULL);
}

/* ---- Abort of RPC ---- */

struct rpc_ends {
    const char *path;
    tachyon_rpc_bus_t *caller, *callee;
};

static void *rpc_listen_body(void *context) {
    struct rpc_ends *ends = context;
    tachyon_options_t options = options_with_timeout_ms(20000);
    CHECK_OK(tachyon_rpc_listen_with(ends->path, 4096, 4096, &options, &ends->callee));
    return NULL;
}

static struct rpc_ends rpc_open(void) {
    struct rpc_ends ends = {.path = test_path("rpc")};
    tachyon_options_t options = options_with_timeout_ms(20000);
    pthread_t thread = test_thread(rpc_listen_body, &ends);
    CHECK_OK(tachyon_rpc_connect_with(ends.path, &options, &ends.caller));
    test_join(thread);
    return ends;
}

static void rpc_close(struct rpc_ends *ends) {
    tachyon_rpc_destroy(ends->caller);
    tachyon_rpc_destroy(ends->callee);
}

TEST(a_callee_serves_what_was_sent_before_the_callers_abort) {
    struct rpc_ends ends = rpc_open();
    uint64_t id;
    for (int i = 0; i < 2; i++)
        CHECK_OK(tachyon_rpc_call(ends.caller, "x", 1, 1, &id));
    CHECK(tachyon_rpc_acquire_tx(ends.caller, 1));
    tachyon_rpc_abort(ends.caller);
    CHECK_ERROR(tachyon_rpc_commit_call(ends.caller, 1, 1, &id), TACHYON_ERR_CLOSED);
    CHECK_SAYS("this handle has been aborted");
    CHECK_REFUSED(tachyon_rpc_wait(ends.caller, 1, &size, &type, 0),
                  TACHYON_ERR_CLOSED);
    CHECK_EQ(tachyon_rpc_get_state(ends.caller), TACHYON_STATE_DISCONNECTED);
    tachyon_rpc_destroy(ends.caller);
    ends.caller = NULL;
    for (uint64_t expected = 1; expected <= 2; expected++) {
        CHECK(tachyon_rpc_serve(ends.callee, &id, &type, &size, 0));
        CHECK_EQ(id, expected);
        CHECK_OK(tachyon_rpc_commit_serve(ends.callee));
    }
    for (int i = 0; i < 2; i++) {
        CHECK_REFUSED(tachyon_rpc_serve(ends.callee, &id, &type, &size, 0),
                      TACHYON_ERR_ABORTED);
        CHECK_SAYS("gave up in the middle");
        CHECK_ERROR(tachyon_rpc_reply(ends.callee, 1, "y", 1, 1), TACHYON_ERR_ABORTED);
        CHECK_EQ(tachyon_rpc_get_state(ends.callee), TACHYON_STATE_FATAL_ERROR);
        CHECK_EQ(tachyon_last_error(), TACHYON_ERR_ABORTED);
    }
    rpc_close(&ends);
}

TEST(a_caller_gets_the_replies_from_before_the_callees_abort) {
    struct rpc_ends ends = rpc_open();
    uint64_t ids[3], id;
    for (int i = 0; i < 3; i++)
        CHECK_OK(tachyon_rpc_call(ends.caller, "x", 1, 1, &ids[i]));
    for (int i = 0; i < 3; i++) {
        CHECK(tachyon_rpc_serve(ends.callee, &id, &type, &size, 0));
        CHECK_OK(tachyon_rpc_commit_serve(ends.callee));
    }
    CHECK_OK(tachyon_rpc_reply(ends.callee, 3, "three", 5, 1));
    CHECK_OK(tachyon_rpc_reply(ends.callee, 1, "one", 3, 1));
    CHECK(tachyon_rpc_acquire_reply_tx(ends.callee, 3));
    tachyon_rpc_abort(ends.callee);
    CHECK_ERROR(tachyon_rpc_commit_reply(ends.callee, 2, 3, 1), TACHYON_ERR_CLOSED);
    tachyon_rpc_destroy(ends.callee);
    ends.callee = NULL;
    for (int i = 0; i < 2; i++) { /* the first one is kept, being another's */
        const char *reply = tachyon_rpc_wait(ends.caller, i ? 3 : 1, &size, &type, 0);
        CHECK(reply && memcmp(reply, i ? "three" : "one", size) == 0);
        CHECK_OK(tachyon_rpc_commit_rx(ends.caller));
    }
    CHECK_REFUSED(tachyon_rpc_wait(ends.caller, 2, &size, &type, 0),
                  TACHYON_ERR_ABORTED);
    CHECK_REFUSED(tachyon_rpc_wait_any(ends.caller, &id, &size, &type, 0, -1),
                  TACHYON_ERR_ABORTED);
    CHECK_ERROR(tachyon_rpc_call(ends.caller, "x", 1, 1, &id), TACHYON_ERR_ABORTED);
    CHECK_EQ(tachyon_rpc_get_state(ends.caller), TACHYON_STATE_FATAL_ERROR);
    rpc_close(&ends);
}

/* ---- Abort after fork ---- */

static void abort_in_child(void *context) {
    const struct pair *pair = context;
    tachyon_bus_abort(pair->connector);
    CHECK_REFUSED(tachyon_acquire_tx(pair->connector, 1), TACHYON_ERR_FORKED);
    tachyon_bus_destroy(pair->connector);
    tachyon_bus_destroy(pair->listener);
}

TEST(an_abort_in_a_forked_child_does_nothing_to_the_parent) {
    struct pair pair = pair_open(4096);
    CHECK_EQ(test_wait(test_spawn(abort_in_child, &pair)), 0);
    CHECK_OK(tachyon_send(pair.connector, "x", 1, 1, 0, 0));
    CHECK(receive_one(pair.listener, LOOK));
    pair_close(&pair);
}
