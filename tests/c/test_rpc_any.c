/* SPDX-License-Identifier: Apache-2.0 */
/* rpc.c for callers with many calls at once: wait_any, and the pollable descriptor. */
#include "harness.h"

#include <string.h>
#include <unistd.h>

#define MS INT64_C(1000000)

struct ends {
    tachyon_rpc_bus_t *caller, *callee;
    const char *path;
};

static void *listen_body(void *context) {
    struct ends *ends = context;
    CHECK_OK(tachyon_rpc_listen(ends->path, 4096, 4096, &ends->callee));
    return NULL;
}

static struct ends open_ends(void) {
    struct ends ends = {.path = test_path("rpc")};
    tachyon_options_t options = {.size = sizeof options, .timeout_ns = 10000 * MS};
    pthread_t thread = test_thread(listen_body, &ends);
    CHECK_OK(tachyon_rpc_connect_with(ends.path, &options, &ends.caller));
    test_join(thread);
    return ends;
}

static void close_ends(struct ends *ends) {
    tachyon_rpc_destroy(ends->caller);
    tachyon_rpc_destroy(ends->callee);
}

static uint64_t call(struct ends *ends) {
    uint64_t id;
    CHECK_OK(tachyon_rpc_call(ends->caller, "?", 1, 1, &id));
    return id;
}

static bool serve_one(struct ends *ends) {
    uint64_t id;
    uint32_t type;
    size_t size;
    if (!tachyon_rpc_serve_timed(ends->callee, &id, &type, &size, 0, 0)) {
        CHECK_EQ(tachyon_last_error(), TACHYON_ERR_EMPTY);
        return false;
    }
    CHECK_OK(tachyon_rpc_commit_serve(ends->callee));
    return true;
}

static void reply(struct ends *ends, uint64_t id) {
    CHECK_OK(tachyon_rpc_reply(ends->callee, id, &id, sizeof id, 7));
}

/* The id of the next reply that comes, 0 when none has. */
static uint64_t take_any(struct ends *ends) {
    uint64_t id = 0;
    size_t size;
    uint32_t type;
    const void *payload = tachyon_rpc_wait_any(ends->caller, &id, &size, &type, 0, 0);
    if (!payload) {
        CHECK_EQ(tachyon_last_error(), TACHYON_ERR_EMPTY);
        return 0;
    }
    CHECK(size == sizeof id && memcmp(payload, &id, size) == 0);
    CHECK_EQ(type, 7);
    CHECK_OK(tachyon_rpc_commit_rx(ends->caller));
    return id;
}

static bool readable(int fd) {
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    return poll(&poll_fd, 1, 0) == 1;
}

TEST(replies_to_any_call_come_in_their_order) {
    struct ends ends = open_ends();
    for (int i = 0; i < 4; i++) {
        call(&ends);
        CHECK(serve_one(&ends));
    }
    static const uint64_t order[] = {3, 1, 4, 2};
    for (int i = 0; i < 4; i++)
        reply(&ends, order[i]);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(take_any(&ends), order[i]);
    tachyon_rpc_stats_t stats;
    CHECK_OK(tachyon_rpc_get_stats(ends.caller, &stats));
    CHECK_EQ(stats.outstanding, 0);
    CHECK_EQ(stats.replies, 4);
    CHECK_EQ(stats.kept, 0);
    close_ends(&ends);
}

TEST(kept_replies_come_before_those_in_the_ring_and_cancelled_ones_never) {
    struct ends ends = open_ends();
    size_t size;
    uint32_t type;
    for (int i = 0; i < 5; i++) {
        call(&ends);
        CHECK(serve_one(&ends));
    }
    reply(&ends, 2);
    reply(&ends, 1);
    reply(&ends, 3);
    CHECK(tachyon_rpc_wait(ends.caller, 3, &size, &type, 0)); /* keeps 2 and 1 */
    CHECK_REFUSED(tachyon_rpc_wait_any(ends.caller, &(uint64_t){0}, &size, &type, 0, 0),
                  TACHYON_ERR_BUSY);
    CHECK_SAYS("the reply to call 3 is still held");
    CHECK_OK(tachyon_rpc_commit_rx(ends.caller));
    CHECK_OK(tachyon_rpc_cancel(ends.caller, 4));
    reply(&ends, 4);
    reply(&ends, 5);
    CHECK_EQ(take_any(&ends), 1);
    CHECK_EQ(take_any(&ends), 2);
    CHECK_EQ(take_any(&ends), 5);
    CHECK_REFUSED(tachyon_rpc_wait_any(ends.caller, &(uint64_t){0}, &size, &type, 0, 0),
                  TACHYON_ERR_INVALID_SZ);
    CHECK_SAYS("no call is outstanding");
    tachyon_rpc_stats_t stats;
    CHECK_OK(tachyon_rpc_get_stats(ends.caller, &stats));
    CHECK_EQ(stats.dropped, 1);
    close_ends(&ends);
}

TEST(a_cancelled_call_whose_reply_was_kept_is_not_given_out) {
    struct ends ends = open_ends();
    size_t size;
    uint32_t type;
    for (int i = 0; i < 3; i++) {
        call(&ends);
        CHECK(serve_one(&ends));
    }
    reply(&ends, 1);
    reply(&ends, 2);
    CHECK(tachyon_rpc_wait(ends.caller, 2, &size, &type, 0));
    CHECK_OK(tachyon_rpc_commit_rx(ends.caller));
    CHECK_OK(tachyon_rpc_cancel(ends.caller, 1));
    CHECK_EQ(take_any(&ends), 0);
    reply(&ends, 3);
    CHECK_EQ(take_any(&ends), 3);
    close_ends(&ends);
}

TEST(waiting_for_any_reply_ends_as_every_wait) {
    struct ends ends = open_ends();
    uint64_t id;
    size_t size;
    uint32_t type;
    call(&ends);
    CHECK_TAKES(30, 1000,
                CHECK_REFUSED(
                    tachyon_rpc_wait_any(ends.caller, &id, &size, &type, 100, 30 * MS),
                    TACHYON_ERR_TIMEOUT));
    CHECK_REFUSED(tachyon_rpc_wait_any(ends.caller, NULL, &size, &type, 0, 0),
                  TACHYON_ERR_NULL_PTR);
    CHECK_SAYS("out_cid is NULL");
    CHECK_REFUSED(tachyon_rpc_wait_any(ends.caller, &id, NULL, &type, 0, 0),
                  TACHYON_ERR_NULL_PTR);
    CHECK_REFUSED(tachyon_rpc_wait_any(NULL, &id, &size, &type, 0, 0),
                  TACHYON_ERR_NULL_PTR);
    CHECK_REFUSED(tachyon_rpc_wait_any(ends.callee, &id, &size, &type, 0, 0),
                  TACHYON_ERR_BUSY);
    tachyon_rpc_destroy(ends.callee);
    CHECK_REFUSED(tachyon_rpc_wait_any(ends.caller, &id, &size, &type, 0, -1),
                  TACHYON_ERR_CLOSED);
    tachyon_rpc_destroy(ends.caller);
}

TEST(both_ends_can_be_polled) {
    struct ends ends = open_ends();
    int caller = tachyon_rpc_fileno(ends.caller);
    int callee = tachyon_rpc_fileno(ends.callee);
    CHECK(caller >= 0 && callee >= 0);
    CHECK(!serve_one(&ends));
    CHECK(!readable(callee));
    for (int round = 0; round < 20; round++) {
        uint64_t first = call(&ends), second = call(&ends);
        CHECK_EQ(take_any(&ends), 0);
        CHECK(!readable(caller));
        CHECK(readable(callee));
        CHECK(serve_one(&ends));
        CHECK(readable(callee));
        CHECK(serve_one(&ends));
        CHECK(!serve_one(&ends));
        CHECK(!readable(callee));
        reply(&ends, second);
        CHECK(readable(caller));
        reply(&ends, first);
        CHECK_EQ(take_any(&ends), second);
        CHECK_EQ(take_any(&ends), first);
    }
    tachyon_rpc_destroy(ends.callee);
    CHECK(readable(caller));
    tachyon_rpc_destroy(ends.caller);
}

/* Requests that arrive while the callee waits for room are still told of. */
TEST(a_wait_for_room_does_not_hide_a_message_from_a_poller) {
    struct ends ends = open_ends();
    int callee = tachyon_rpc_fileno(ends.callee);
    static uint8_t large[3000];
    uint64_t first = call(&ends), second = call(&ends);
    CHECK(serve_one(&ends));
    CHECK(serve_one(&ends));
    CHECK(!serve_one(&ends));
    CHECK(!readable(callee));
    CHECK_OK(tachyon_rpc_reply(ends.callee, first, large, sizeof large, 7));
    call(&ends); /* its wake-up is in the socket */
    CHECK_ERROR(tachyon_rpc_reply(ends.callee, second, large, sizeof large, 7),
                TACHYON_ERR_FULL);
    CHECK(readable(callee));
    CHECK_ERROR(
        tachyon_rpc_reply_timed(ends.callee, second, large, sizeof large, 7, 0, 5 * MS),
        TACHYON_ERR_TIMEOUT);
    CHECK(readable(callee));
    CHECK(serve_one(&ends));
    CHECK(!serve_one(&ends));
    CHECK(!readable(callee));

    /* And it is told when the reply fits. */
    CHECK_ERROR(tachyon_rpc_reply(ends.callee, second, large, sizeof large, 7),
                TACHYON_ERR_FULL);
    CHECK(!readable(callee));
    size_t size;
    uint32_t type;
    CHECK(tachyon_rpc_wait_any(ends.caller, &first, &size, &type, 0, 0));
    CHECK(!readable(callee));
    CHECK_OK(tachyon_rpc_commit_rx(ends.caller));
    CHECK(readable(callee));
    CHECK(!serve_one(&ends));
    CHECK_OK(tachyon_rpc_reply(ends.callee, second, large, sizeof large, 7));
    close_ends(&ends);
}

/* ... and with nobody to take them they do not keep it readable. */
TEST(who_polls_for_room_only_is_not_told_of_messages) {
    struct ends ends = open_ends();
    int callee = tachyon_rpc_fileno(ends.callee);
    static uint8_t large[3000];
    uint64_t id, first = call(&ends), second = call(&ends);
    size_t size;
    uint32_t type;
    CHECK(serve_one(&ends));
    CHECK(serve_one(&ends));
    CHECK(!serve_one(&ends)); /* the next one will wake */
    CHECK_OK(tachyon_rpc_reply(ends.callee, first, large, sizeof large, 7));
    tachyon_rpc_watch_messages(NULL, 0);
    tachyon_rpc_watch_messages(ends.callee, 0);
    for (int round = 0; round < 3; round++) {
        call(&ends);
        CHECK_ERROR(tachyon_rpc_reply(ends.callee, second, large, sizeof large, 7),
                    TACHYON_ERR_FULL);
        CHECK(!readable(callee));
    }
    CHECK(tachyon_rpc_wait_any(ends.caller, &id, &size, &type, 0, 0));
    CHECK_OK(tachyon_rpc_commit_rx(ends.caller));
    CHECK(readable(callee)); /* it fits */
    CHECK_OK(tachyon_rpc_reply(ends.callee, second, large, sizeof large, 7));

    tachyon_rpc_watch_messages(ends.callee, 1);
    for (int round = 0; round < 3; round++) {
        CHECK(readable(callee));
        CHECK(serve_one(&ends));
    }
    CHECK(!serve_one(&ends));
    CHECK(!readable(callee));
    call(&ends);
    CHECK(readable(callee));

    tachyon_rpc_watch_messages(ends.callee, 0);
    CHECK(tachyon_rpc_wait_any(ends.caller, &id, &size, &type, 0, 0));
    CHECK_OK(tachyon_rpc_commit_rx(ends.caller));
    CHECK_OK(tachyon_rpc_reply(ends.callee, 3, large, sizeof large, 7));
    CHECK_ERROR(tachyon_rpc_reply(ends.callee, 4, large, sizeof large, 7),
                TACHYON_ERR_FULL);
    CHECK(!readable(callee));
    tachyon_rpc_destroy(ends.caller); /* the end is always told */
    CHECK(readable(callee));
    tachyon_rpc_destroy(ends.callee);
}

TEST(a_caller_that_polls_is_told_of_room_and_of_kept_replies) {
    struct ends ends = open_ends();
    int caller = tachyon_rpc_fileno(ends.caller);
    static uint8_t large[3000];
    uint64_t id, kept;
    size_t size;
    uint32_t type;
    CHECK_OK(tachyon_rpc_call(ends.caller, large, sizeof large, 1, &id));
    CHECK_EQ(take_any(&ends), 0);
    CHECK_ERROR(tachyon_rpc_call(ends.caller, large, sizeof large, 1, &kept),
                TACHYON_ERR_FULL);
    CHECK(!readable(caller));
    CHECK(serve_one(&ends));
    CHECK(readable(caller));
    CHECK_OK(tachyon_rpc_call(ends.caller, large, sizeof large, 1, &kept));
    CHECK(serve_one(&ends));
    CHECK_EQ(take_any(&ends), 0);
    CHECK(!readable(caller));

    reply(&ends, kept);
    CHECK_REFUSED(tachyon_rpc_wait_timed(ends.caller, id, &size, &type, 0, 0),
                  TACHYON_ERR_EMPTY);
    CHECK(readable(caller));
    CHECK_EQ(take_any(&ends), kept);
    CHECK_EQ(take_any(&ends), 0);
    CHECK(!readable(caller));
    close_ends(&ends);
}
