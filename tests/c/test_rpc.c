/* SPDX-License-Identifier: Apache-2.0 */
/* rpc.c: calls, replies in any order, cancelling, and both ends' mistakes. */
#include "bus.h"
#include "peers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct ends {
    tachyon_rpc_bus_t *caller, *callee;
};

struct opening {
    const char *path;
    size_t requests, replies;
    tachyon_rpc_bus_t *rpc;
};

static void *listen_body(void *context) {
    struct opening *opening = context;
    tachyon_options_t options = options_with_timeout_ms(20000);
    CHECK_OK(tachyon_rpc_listen_with(opening->path, opening->requests, opening->replies,
                                     &options, &opening->rpc));
    return NULL;
}

static struct ends open_ends(size_t requests, size_t replies) {
    struct opening opening = {
        .path = test_path("rpc"), .requests = requests, .replies = replies};
    tachyon_options_t options = options_with_timeout_ms(10000);
    struct ends ends;
    pthread_t thread = test_thread(listen_body, &opening);
    CHECK_OK(tachyon_rpc_connect_with(opening.path, &options, &ends.caller));
    test_join(thread);
    ends.callee = opening.rpc;
    return ends;
}

static void close_ends(struct ends *ends) {
    tachyon_rpc_destroy(ends->caller);
    tachyon_rpc_destroy(ends->callee);
}

static uint64_t call(struct ends *ends, const char *text, uint32_t type) {
    uint64_t id = 0;
    CHECK_OK(tachyon_rpc_call(ends->caller, text, strlen(text), type, &id));
    return id;
}

/* Take the next request, which must be `id`, off the ring. */
static void serve(struct ends *ends, uint64_t id) {
    uint64_t got = 0;
    uint32_t type;
    size_t size;
    if (!tachyon_rpc_serve_timed(ends->callee, &got, &type, &size, 0, 0))
        FAIL("request %ju: %s", (uintmax_t)id, tachyon_last_error_message());
    CHECK_EQ(got, id);
    CHECK_OK(tachyon_rpc_commit_serve(ends->callee));
}

static void reply(struct ends *ends, uint64_t id) {
    CHECK_OK(tachyon_rpc_reply(ends->callee, id, &id, sizeof id, (uint32_t)id + 7));
}

/* The first so many, whose replies are not taken. */
static void answer_calls(struct ends *ends, uint64_t count) {
    for (uint64_t id = 1; id <= count; id++) {
        call(ends, "x", 1);
        serve(ends, id);
        reply(ends, id);
    }
}

static void expect_reply(struct ends *ends, uint64_t id) {
    uint32_t type = 0;
    size_t size = 0;
    const void *payload =
        tachyon_rpc_wait_timed(ends->caller, id, &size, &type, 0, INT64_C(3000000000));
    if (!payload)
        FAIL("reply %ju: %s", (uintmax_t)id, tachyon_last_error_message());
    CHECK_EQ(size, sizeof id);
    CHECK_EQ(type, (uint32_t)id + 7);
    CHECK_EQ(memcmp(payload, &id, sizeof id), 0);
    CHECK_OK(tachyon_rpc_commit_rx(ends->caller));
}

/* ---- One call ---- */

TEST(a_reply_comes_back_to_its_call) {
    static const size_t sizes[] = {0, 1, 32, 33, 1000, 3968};
    struct ends ends = open_ends(4096, 8192);
    CHECK_EQ(tachyon_rpc_max_payload(ends.caller), 4096 - 128);
    CHECK_EQ(tachyon_rpc_max_payload(ends.callee), 8192 - 128);
    for (uint64_t number = 1; number <= 60; number++) {
        uint8_t bytes[3968];
        size_t size = sizes[number % 6], got_size;
        uint64_t id, got_id;
        uint32_t type;
        message_write(number, bytes, size);
        if (number % 2) {
            CHECK_OK(tachyon_rpc_call(ends.caller, bytes, size, 11, &id));
        } else {
            void *slot = tachyon_rpc_acquire_tx(ends.caller, size);
            memcpy(slot, bytes, size);
            CHECK_OK(tachyon_rpc_commit_call(ends.caller, size, 11, &id));
        }
        CHECK_EQ(id, number);
        const void *request =
            tachyon_rpc_serve(ends.callee, &got_id, &type, &got_size, 0);
        CHECK(request);
        CHECK_EQ(got_id, id);
        CHECK_EQ(type, 11);
        CHECK_EQ(got_size, size);
        CHECK(message_is(number, request, size));
        message_write(number + 1, bytes, size);
        if (number % 3) {
            CHECK_OK(tachyon_rpc_reply(ends.callee, id, bytes, size, 22));
            CHECK_OK(tachyon_rpc_commit_serve(ends.callee)); /* before or after */
        } else {
            CHECK_OK(tachyon_rpc_commit_serve(ends.callee));
            void *slot = tachyon_rpc_acquire_reply_tx(ends.callee, size);
            memcpy(slot, bytes, size);
            CHECK_OK(tachyon_rpc_commit_reply(ends.callee, id, size, 22));
        }
        const void *answer = tachyon_rpc_wait(ends.caller, id, &got_size, &type, 0);
        CHECK(answer);
        CHECK_EQ(type, 22);
        CHECK_EQ(got_size, size);
        CHECK(message_is(number + 1, answer, size));
        CHECK_OK(tachyon_rpc_commit_rx(ends.caller));
    }
    tachyon_rpc_stats_t stats;
    CHECK_OK(tachyon_rpc_get_stats(ends.caller, &stats));
    CHECK_EQ(stats.calls, 60);
    CHECK_EQ(stats.replies, 60);
    CHECK_EQ(stats.outstanding + stats.dropped + stats.kept, 0);
    CHECK_OK(tachyon_rpc_get_stats(ends.callee, &stats));
    CHECK_EQ(stats.calls, 60);
    CHECK_EQ(stats.replies, 60);
    CHECK_EQ(stats.outstanding, 0);
    close_ends(&ends);
}

TEST(each_ring_of_an_rpc_bus_has_its_memory) {
    struct ends ends = open_ends(4096, 8192);
    size_t mapped = 0, size;
    uint64_t id;
    uint32_t type;
    const uint8_t *calls = tachyon_rpc_memory(ends.caller, 1, &mapped);
    CHECK_EQ(mapped, 2 * 4096);
    const uint8_t *replies = tachyon_rpc_memory(ends.caller, 0, &mapped);
    CHECK_EQ(mapped, 2 * 8192);
    const uint8_t *requests = tachyon_rpc_memory(ends.callee, 0, &mapped);
    CHECK_EQ(mapped, 2 * 4096);
    const uint8_t *answers = tachyon_rpc_memory(ends.callee, 7, &mapped);
    CHECK_EQ(mapped, 2 * 8192);
    for (int i = 0; i < 3; i++) {
        const uint8_t *slot = tachyon_rpc_acquire_tx(ends.caller, 100);
        CHECK_OK(tachyon_rpc_commit_call(ends.caller, 100, 1, &id));
        const uint8_t *request = tachyon_rpc_serve(ends.callee, &id, &type, &size, 0);
        CHECK_EQ(request - requests, slot - calls);
        CHECK_OK(tachyon_rpc_commit_serve(ends.callee));
        slot = tachyon_rpc_acquire_reply_tx(ends.callee, 20);
        CHECK_OK(tachyon_rpc_commit_reply(ends.callee, id, 20, 1));
        const uint8_t *reply = tachyon_rpc_wait(ends.caller, id, &size, &type, 0);
        CHECK_EQ(reply - replies, slot - answers);
        CHECK_OK(tachyon_rpc_commit_rx(ends.caller));
    }
    close_ends(&ends);
}

TEST(ids_grow_by_one_for_what_is_sent_and_for_nothing_else) {
    struct ends ends = open_ends(4096, 4096);
    uint64_t id = 99;
    CHECK_EQ(call(&ends, "one", 1), 1);
    CHECK(tachyon_rpc_acquire_tx(ends.caller, 10));
    tachyon_rpc_rollback_call(ends.caller);
    CHECK(tachyon_rpc_acquire_tx(ends.caller, 10));
    CHECK_ERROR(tachyon_rpc_commit_call(ends.caller, 11, 1, &id),
                TACHYON_ERR_INVALID_SZ);
    CHECK_EQ(id, 99);
    tachyon_rpc_stats_t stats;
    CHECK_OK(tachyon_rpc_get_stats(ends.caller, &stats));
    CHECK_EQ(stats.outstanding, 1);
    CHECK_OK(tachyon_rpc_commit_call(ends.caller, 10, 1, &id));
    CHECK_EQ(id, 2);
    CHECK_ERROR(tachyon_rpc_commit_call(ends.caller, 0, 1, &id), TACHYON_ERR_EMPTY);
    CHECK_ERROR(tachyon_rpc_call(ends.caller, "", 4096, 1, &id),
                TACHYON_ERR_INVALID_SZ);
    while (tachyon_rpc_call(ends.caller, "x", 1, 1, &id) == TACHYON_SUCCESS)
        continue;
    CHECK_EQ(tachyon_last_error(), TACHYON_ERR_FULL);
    uint64_t last = id;
    serve(&ends, 1);
    serve(&ends, 2);
    CHECK_EQ(call(&ends, "next", 1), last + 1);
    close_ends(&ends);
}

TEST(a_request_comes_again_until_it_is_committed) {
    struct ends ends = open_ends(4096, 4096);
    uint64_t id;
    uint32_t type;
    size_t size;
    CHECK_ERROR(tachyon_rpc_commit_serve(ends.callee), TACHYON_ERR_EMPTY);
    call(&ends, "one", 1);
    call(&ends, "two", 2);
    for (int i = 0; i < 3; i++) {
        CHECK(tachyon_rpc_serve(ends.callee, &id, &type, &size, 0));
        CHECK_EQ(id, 1);
        CHECK_EQ(type, 1);
    }
    CHECK_OK(tachyon_rpc_commit_serve(ends.callee));
    CHECK_ERROR(tachyon_rpc_commit_serve(ends.callee), TACHYON_ERR_EMPTY);
    CHECK(tachyon_rpc_serve(ends.callee, &id, &type, &size, 0));
    CHECK_EQ(id, 2);
    tachyon_rpc_stats_t stats;
    CHECK_OK(tachyon_rpc_get_stats(ends.callee, &stats));
    CHECK_EQ(stats.calls, 2);
    close_ends(&ends);
}

/* ---- Many calls ---- */

TEST(fault_10_replies_may_come_in_any_order_and_late) {
    struct ends ends = open_ends(1 << 16, 1 << 16);
    uint64_t state = 10, base = 0;
    for (int round = 0; round < 100; round++) {
        uint64_t order[64], waits[64];
        bool cancelled[64] = {false};
        for (uint64_t i = 0; i < 64; i++) {
            CHECK_EQ(call(&ends, "request", 1), base + i + 1);
            serve(&ends, base + i + 1);
            order[i] = waits[i] = i;
        }
        for (uint64_t i = 63; i > 0; i--) {
            uint64_t j = test_random_below(&state, i + 1), swap = order[i];
            order[i] = order[j];
            order[j] = swap;
            j = test_random_below(&state, i + 1), swap = waits[i];
            waits[i] = waits[j];
            waits[j] = swap;
        }
        for (int i = 0; i < 64; i++) { /* one in ten is given up */
            cancelled[i] = test_random_below(&state, 10) == 0;
            if (cancelled[i])
                CHECK_OK(tachyon_rpc_cancel(ends.caller, base + 1 + (uint64_t)i));
        }
        uint32_t type;
        size_t size;
        if (!cancelled[waits[0]]) /* it is late: wait again */
            CHECK_REFUSED(tachyon_rpc_wait_timed(ends.caller, base + 1 + waits[0],
                                                 &size, &type, 0, 100000),
                          TACHYON_ERR_TIMEOUT);
        for (int i = 0; i < 64; i++)
            reply(&ends, base + 1 + order[i]);
        for (int i = 0; i < 64; i++) {
            if (!cancelled[waits[i]])
                expect_reply(&ends, base + 1 + waits[i]);
            else
                CHECK_REFUSED(
                    tachyon_rpc_wait(ends.caller, base + 1 + waits[i], &size, &type, 0),
                    TACHYON_ERR_INVALID_SZ);
        }
        base += 64;
    }
    tachyon_rpc_stats_t stats;
    CHECK_OK(tachyon_rpc_get_stats(ends.caller, &stats));
    CHECK_EQ(stats.calls, 6400);
    CHECK_EQ(stats.outstanding, 0);
    CHECK(stats.kept > 1000);
    CHECK(stats.dropped > 100);
    CHECK(stats.replies + stats.dropped <= 6400);
    close_ends(&ends);
}

TEST(a_reply_behind_any_number_of_others_is_found) {
    static const uint64_t counts[] = {1, 255, 256, 257, 512, 513, 1000};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct ends ends = open_ends(1 << 17, 1 << 17);
        for (uint64_t id = 1; id <= counts[i]; id++) {
            call(&ends, "x", 1);
            serve(&ends, id);
            reply(&ends, id);
        }
        expect_reply(&ends, counts[i]); /* without any spinning */
        for (uint64_t id = 1; id < counts[i]; id++)
            expect_reply(&ends, id);
        close_ends(&ends);
    }
}

TEST(outstanding_calls_may_be_many_but_not_without_bound) {
    struct ends ends = open_ends(1 << 16, 1 << 16);
    const uint64_t count = 65536 + 100;
    uint32_t type;
    size_t size;
    for (uint64_t id = 1; id <= count; id++) {
        call(&ends, "x", 1);
        serve(&ends, id);
    }
    tachyon_rpc_stats_t stats;
    CHECK_OK(tachyon_rpc_get_stats(ends.caller, &stats));
    CHECK_EQ(stats.calls, count);
    CHECK_EQ(stats.outstanding, 65536);
    CHECK_OK(tachyon_rpc_get_stats(ends.callee, &stats));
    CHECK_EQ(stats.outstanding, 65536);
    /* The oldest are forgotten on both sides. */
    CHECK_REFUSED(tachyon_rpc_wait(ends.caller, 100, &size, &type, 0),
                  TACHYON_ERR_INVALID_SZ);
    CHECK_ERROR(tachyon_rpc_reply(ends.callee, 100, "", 0, 1), TACHYON_ERR_INVALID_SZ);
    reply(&ends, 101);
    reply(&ends, count);
    expect_reply(&ends, count);
    expect_reply(&ends, 101);
    close_ends(&ends);
}

/* All of tachyon_rpc_stats_t: `docs.promises` compares the names. */
TEST(fault_16_every_counter_of_calls_moves) {
    struct ends ends = open_ends(4096, 4096);
    tachyon_rpc_stats_t caller, callee;
    for (uint64_t id = 1; id <= 4; id++)
        call(&ends, "x", 1);
    CHECK_OK(tachyon_rpc_cancel(ends.caller, 3));
    CHECK_OK(tachyon_rpc_get_stats(ends.caller, &caller));
    CHECK_OK(tachyon_rpc_get_stats(ends.callee, &callee));
    CHECK_EQ(caller.calls, 4);
    CHECK_EQ(caller.outstanding, 3);
    CHECK_EQ(callee.calls, 0);
    for (uint64_t id = 1; id <= 4; id++)
        serve(&ends, id);
    CHECK_OK(tachyon_rpc_get_stats(ends.callee, &callee));
    CHECK_EQ(callee.calls, 4);
    CHECK_EQ(callee.outstanding, 4);
    for (uint64_t id = 1; id <= 3; id++)
        reply(&ends, id);
    expect_reply(&ends, 2); /* 1 is kept for later; 3 is behind it */
    CHECK_OK(tachyon_rpc_get_stats(ends.callee, &callee));
    CHECK_EQ(callee.replies, 3);
    CHECK_EQ(callee.outstanding, 1);
    reply(&ends, 4);
    expect_reply(&ends, 4); /* 3 was given up */
    CHECK_OK(tachyon_rpc_get_stats(ends.caller, &caller));
    CHECK_EQ(caller.replies, 2);
    CHECK_EQ(caller.kept, 1);
    CHECK_EQ(caller.dropped, 1);
    CHECK_EQ(caller.outstanding, 1);
    close_ends(&ends);
}

/* ---- Mistakes ---- */

TEST(every_function_takes_null_for_an_answer) {
    struct ends ends = open_ends(4096, 4096);
    const char *path = test_path("null");
    tachyon_rpc_bus_t *out = ends.caller;
    tachyon_rpc_stats_t stats;
    tachyon_peer_t peer;
    uint64_t id;
    uint32_t type;
    size_t size;
    CHECK_ERROR(tachyon_rpc_listen(NULL, 4096, 4096, &out), TACHYON_ERR_NULL_PTR);
    CHECK(!out);
    CHECK_ERROR(tachyon_rpc_listen(path, 4096, 4096, NULL), TACHYON_ERR_NULL_PTR);
    CHECK_ERROR(tachyon_rpc_listen_with(NULL, 4096, 4096, NULL, &out),
                TACHYON_ERR_NULL_PTR);
    CHECK_ERROR(tachyon_rpc_connect(NULL, &out), TACHYON_ERR_NULL_PTR);
    CHECK_ERROR(tachyon_rpc_connect(path, NULL), TACHYON_ERR_NULL_PTR);
    CHECK_ERROR(tachyon_rpc_connect_with(path, NULL, NULL), TACHYON_ERR_NULL_PTR);
    tachyon_rpc_ref(NULL);
    tachyon_rpc_close(NULL);
    tachyon_rpc_destroy(NULL);
    tachyon_rpc_set_polling_mode(NULL, 1);
    tachyon_rpc_rollback_call(NULL);
    tachyon_rpc_rollback_reply(NULL);
    CHECK_EQ(tachyon_rpc_max_payload(NULL), 0);
    CHECK_EQ(tachyon_rpc_get_state(NULL), TACHYON_STATE_UNKNOWN);
    CHECK_ERROR(tachyon_rpc_get_peer(NULL, &peer), TACHYON_ERR_NULL_PTR);
    CHECK_ERROR(tachyon_rpc_get_peer(ends.caller, NULL), TACHYON_ERR_NULL_PTR);
    CHECK_ERROR(tachyon_rpc_get_stats(NULL, &stats), TACHYON_ERR_NULL_PTR);
    CHECK_ERROR(tachyon_rpc_get_stats(ends.caller, NULL), TACHYON_ERR_NULL_PTR);

    CHECK_ERROR(tachyon_rpc_call(NULL, "", 0, 1, &id), TACHYON_ERR_NULL_PTR);
    CHECK_SAYS("rpc is NULL");
    CHECK_ERROR(tachyon_rpc_call(ends.caller, NULL, 1, 1, &id), TACHYON_ERR_NULL_PTR);
    CHECK_SAYS("payload is NULL");
    CHECK_ERROR(tachyon_rpc_call(ends.caller, "", 0, 1, NULL), TACHYON_ERR_NULL_PTR);
    CHECK_SAYS("out_cid is NULL");
    CHECK_OK(tachyon_rpc_call(ends.caller, NULL, 0, 1, &id));
    CHECK_REFUSED(tachyon_rpc_acquire_tx(NULL, 1), TACHYON_ERR_NULL_PTR);
    CHECK_REFUSED(tachyon_rpc_acquire_tx_timed(NULL, 1, 0, -1), TACHYON_ERR_NULL_PTR);
    CHECK_ERROR(tachyon_rpc_commit_call(NULL, 0, 1, &id), TACHYON_ERR_NULL_PTR);
    CHECK(tachyon_rpc_acquire_tx(ends.caller, 1));
    CHECK_ERROR(tachyon_rpc_commit_call(ends.caller, 0, 1, NULL), TACHYON_ERR_NULL_PTR);
    tachyon_rpc_rollback_call(ends.caller);
    CHECK_REFUSED(tachyon_rpc_wait(NULL, 1, &size, &type, 0), TACHYON_ERR_NULL_PTR);
    CHECK_REFUSED(tachyon_rpc_wait(ends.caller, 1, NULL, &type, 0),
                  TACHYON_ERR_NULL_PTR);
    CHECK_SAYS("actual_size is NULL");
    CHECK_REFUSED(tachyon_rpc_wait(ends.caller, 1, &size, NULL, 0),
                  TACHYON_ERR_NULL_PTR);
    CHECK_SAYS("msg_type is NULL");
    CHECK_ERROR(tachyon_rpc_commit_rx(NULL), TACHYON_ERR_NULL_PTR);
    CHECK_ERROR(tachyon_rpc_cancel(NULL, 1), TACHYON_ERR_NULL_PTR);

    CHECK_REFUSED(tachyon_rpc_serve(NULL, &id, &type, &size, 0), TACHYON_ERR_NULL_PTR);
    CHECK_REFUSED(tachyon_rpc_serve(ends.callee, NULL, &type, &size, 0),
                  TACHYON_ERR_NULL_PTR);
    CHECK_SAYS("out_cid is NULL");
    CHECK_REFUSED(tachyon_rpc_serve(ends.callee, &id, NULL, &size, 0),
                  TACHYON_ERR_NULL_PTR);
    CHECK_REFUSED(tachyon_rpc_serve(ends.callee, &id, &type, NULL, 0),
                  TACHYON_ERR_NULL_PTR);
    CHECK_ERROR(tachyon_rpc_commit_serve(NULL), TACHYON_ERR_NULL_PTR);
    serve(&ends, 1);
    CHECK_ERROR(tachyon_rpc_reply(NULL, 1, "", 0, 1), TACHYON_ERR_NULL_PTR);
    CHECK_ERROR(tachyon_rpc_reply(ends.callee, 1, NULL, 1, 1), TACHYON_ERR_NULL_PTR);
    CHECK_REFUSED(tachyon_rpc_acquire_reply_tx(NULL, 1), TACHYON_ERR_NULL_PTR);
    CHECK_REFUSED(tachyon_rpc_acquire_reply_tx_timed(NULL, 1, 0, -1),
                  TACHYON_ERR_NULL_PTR);
    CHECK_ERROR(tachyon_rpc_commit_reply(NULL, 1, 0, 1), TACHYON_ERR_NULL_PTR);
    reply(&ends, 1);
    expect_reply(&ends, 1);
    close_ends(&ends);
}

TEST(each_end_has_its_own_functions) {
    struct ends ends = open_ends(4096, 4096);
    uint64_t id;
    uint32_t type;
    size_t size;
    CHECK_ERROR(tachyon_rpc_call(ends.callee, "", 0, 1, &id), TACHYON_ERR_BUSY);
    CHECK_SAYS("this end listens");
    CHECK_REFUSED(tachyon_rpc_acquire_tx(ends.callee, 1), TACHYON_ERR_BUSY);
    CHECK_ERROR(tachyon_rpc_commit_call(ends.callee, 0, 1, &id), TACHYON_ERR_BUSY);
    CHECK_REFUSED(tachyon_rpc_wait(ends.callee, 1, &size, &type, 0), TACHYON_ERR_BUSY);
    CHECK_ERROR(tachyon_rpc_commit_rx(ends.callee), TACHYON_ERR_BUSY);
    CHECK_ERROR(tachyon_rpc_cancel(ends.callee, 1), TACHYON_ERR_BUSY);
    CHECK_REFUSED(tachyon_rpc_serve(ends.caller, &id, &type, &size, 0),
                  TACHYON_ERR_BUSY);
    CHECK_SAYS("this end has connected");
    CHECK_ERROR(tachyon_rpc_commit_serve(ends.caller), TACHYON_ERR_BUSY);
    CHECK_ERROR(tachyon_rpc_reply(ends.caller, 1, "", 0, 1), TACHYON_ERR_BUSY);
    CHECK_REFUSED(tachyon_rpc_acquire_reply_tx(ends.caller, 1), TACHYON_ERR_BUSY);
    CHECK_ERROR(tachyon_rpc_commit_reply(ends.caller, 1, 0, 1), TACHYON_ERR_BUSY);
    close_ends(&ends);
}

TEST(a_call_that_is_not_outstanding_is_refused_by_its_number) {
    static const uint64_t ids[] = {0, 2, 65, 65537, UINT64_MAX};
    struct ends ends = open_ends(4096, 4096);
    uint32_t type;
    size_t size;
    call(&ends, "one", 1);
    serve(&ends, 1);
    for (size_t i = 0; i < 5; i++) {
        char number[32];
        snprintf(number, sizeof number, "%ju is outstanding", (uintmax_t)ids[i]);
        CHECK_REFUSED(tachyon_rpc_wait(ends.caller, ids[i], &size, &type, 0),
                      TACHYON_ERR_INVALID_SZ);
        CHECK_SAYS(number);
        CHECK_ERROR(tachyon_rpc_cancel(ends.caller, ids[i]), TACHYON_ERR_INVALID_SZ);
        CHECK_ERROR(tachyon_rpc_reply(ends.callee, ids[i], "", 0, 1),
                    TACHYON_ERR_INVALID_SZ);
        CHECK_SAYS(number);
        CHECK(tachyon_rpc_acquire_reply_tx(ends.callee, 8));
        CHECK_ERROR(tachyon_rpc_commit_reply(ends.callee, ids[i], 0, 1),
                    TACHYON_ERR_INVALID_SZ);
        tachyon_rpc_rollback_reply(ends.callee);
    }
    CHECK(tachyon_rpc_acquire_reply_tx(ends.callee, 8));
    CHECK_ERROR(tachyon_rpc_commit_reply(ends.callee, 1, 9, 1), TACHYON_ERR_INVALID_SZ);
    reply(&ends, 1);
    CHECK_ERROR(tachyon_rpc_reply(ends.callee, 1, "", 0, 1), TACHYON_ERR_INVALID_SZ);
    expect_reply(&ends, 1);
    CHECK_REFUSED(tachyon_rpc_wait(ends.caller, 1, &size, &type, 0),
                  TACHYON_ERR_INVALID_SZ);
    CHECK_ERROR(tachyon_rpc_cancel(ends.caller, 1), TACHYON_ERR_INVALID_SZ);
    close_ends(&ends);
}

TEST(a_reply_that_is_held_stays_until_it_is_released) {
    for (int kept = 0; kept < 2; kept++) { /* in the ring, or as a copy */
        struct ends ends = open_ends(4096, 4096);
        uint32_t type;
        size_t size;
        answer_calls(&ends, 3);
        CHECK_ERROR(tachyon_rpc_commit_rx(ends.caller), TACHYON_ERR_EMPTY);
        if (kept)
            expect_reply(&ends, 3); /* which copies the first two */
        const uint64_t *held = tachyon_rpc_wait(ends.caller, 1, &size, &type, 0);
        CHECK_EQ(*held, 1);
        CHECK_REFUSED(tachyon_rpc_wait(ends.caller, 2, &size, &type, 0),
                      TACHYON_ERR_BUSY);
        CHECK_SAYS("call 1 is still held");
        CHECK_ERROR(tachyon_rpc_cancel(ends.caller, 1), TACHYON_ERR_BUSY);
        uint64_t id; /* calling goes on */
        while (tachyon_rpc_call(ends.caller, "x", 1, 1, &id) == TACHYON_SUCCESS)
            continue;
        CHECK_EQ(tachyon_last_error(), TACHYON_ERR_FULL);
        CHECK_EQ(*held, 1);
        CHECK_OK(tachyon_rpc_commit_rx(ends.caller));
        CHECK_ERROR(tachyon_rpc_commit_rx(ends.caller), TACHYON_ERR_EMPTY);
        expect_reply(&ends, 2);
        close_ends(&ends);
    }
}

TEST(both_capacities_and_the_role_are_checked) {
    const char *path = test_path("bad");
    tachyon_rpc_bus_t *rpc;
    tachyon_options_t options = options_with_timeout_ms(1);
    CHECK_ERROR(tachyon_rpc_listen(path, 0, 4096, &rpc), TACHYON_ERR_INVALID_SZ);
    CHECK_SAYS("capacity is 0");
    CHECK_ERROR(tachyon_rpc_listen(path, 4096, 5000, &rpc), TACHYON_ERR_INVALID_SZ);
    CHECK_SAYS("capacity is 5000");
    options.role = TACHYON_ROLE_PRODUCER;
    CHECK_ERROR(tachyon_rpc_listen_with(path, 4096, 4096, &options, &rpc),
                TACHYON_ERR_INVALID_SZ);
    CHECK_SAYS("options.role");
    CHECK_ERROR(tachyon_rpc_connect_with(path, &options, &rpc), TACHYON_ERR_INVALID_SZ);
    CHECK_ERROR(tachyon_rpc_connect(path, &rpc), TACHYON_ERR_NETWORK);
    CHECK(access(path, F_OK) != 0);
}

TEST(a_plain_bus_cannot_connect_to_a_callee) {
    struct opening opening = {
        .path = test_path("rpc"), .requests = 4096, .replies = 4096};
    tachyon_options_t options = options_with_timeout_ms(5000);
    tachyon_rpc_bus_t *caller;
    tachyon_bus_t *bus;
    pthread_t thread = test_thread(listen_body, &opening);
    CHECK_ERROR(tachyon_bus_connect_with(opening.path, &options, &bus),
                TACHYON_ERR_ABI_MISMATCH);
    CHECK_SAYS("RPC bus");
    CHECK_OK(tachyon_rpc_connect_with(opening.path, &options, &caller));
    test_join(thread);
    tachyon_rpc_destroy(caller);
    tachyon_rpc_destroy(opening.rpc);
}

/* ---- Time ---- */

TEST(every_wait_has_a_timeout) {
    struct ends ends = open_ends(4096, 4096);
    static char big[3968];
    uint64_t id;
    uint32_t type;
    size_t size;
    int64_t begin = test_now_ms();
    CHECK_REFUSED(tachyon_rpc_serve_timed(ends.callee, &id, &type, &size, 5, 20000000),
                  TACHYON_ERR_TIMEOUT);
    CHECK_REFUSED(tachyon_rpc_serve_timed(ends.callee, &id, &type, &size, 5, 0),
                  TACHYON_ERR_EMPTY);
    CHECK_OK(tachyon_rpc_call(ends.caller, big, sizeof big, 1, &id));
    CHECK_REFUSED(tachyon_rpc_wait_timed(ends.caller, 1, &size, &type, 5, 20000000),
                  TACHYON_ERR_TIMEOUT);
    CHECK_REFUSED(tachyon_rpc_wait_timed(ends.caller, 1, &size, &type, 5, 0),
                  TACHYON_ERR_EMPTY);
    CHECK_ERROR(tachyon_rpc_call_timed(ends.caller, "x", 1, 1, &id, 5, 20000000),
                TACHYON_ERR_TIMEOUT);
    CHECK_ERROR(tachyon_rpc_call(ends.caller, "x", 1, 1, &id), TACHYON_ERR_FULL);
    CHECK_REFUSED(tachyon_rpc_acquire_tx_timed(ends.caller, 1, 5, 20000000),
                  TACHYON_ERR_TIMEOUT);
    serve(&ends, 1);
    CHECK_EQ(call(&ends, "x", 1), 2);
    serve(&ends, 2);
    CHECK_OK(tachyon_rpc_reply(ends.callee, 1, big, sizeof big, 1));
    CHECK_ERROR(tachyon_rpc_reply_timed(ends.callee, 2, "x", 1, 1, 5, 20000000),
                TACHYON_ERR_TIMEOUT);
    CHECK_ERROR(tachyon_rpc_reply(ends.callee, 2, "x", 1, 1), TACHYON_ERR_FULL);
    CHECK_REFUSED(tachyon_rpc_acquire_reply_tx_timed(ends.callee, 1, 5, 20000000),
                  TACHYON_ERR_TIMEOUT);
    CHECK(test_now_ms() - begin >= 119);
    CHECK_OR_AGAIN(test_now_ms() - begin < 1500);
    CHECK(tachyon_rpc_wait(ends.caller, 1, &size, &type, 0));
    CHECK_EQ(size, sizeof big);
    CHECK_OK(tachyon_rpc_commit_rx(ends.caller));
    reply(&ends, 2); /* that it did not fit before is forgotten */
    expect_reply(&ends, 2);
    close_ends(&ends);
}

/* ---- Two threads ---- */

struct server {
    tachyon_rpc_bus_t *rpc;
    bool shuffled; /* every other reply waits for the next one */
    tachyon_error_t error;
};

static void *serve_until_closed(void *context) {
    struct server *server = context;
    uint64_t late = 0, late_value = 0;
    uint32_t late_type = 0;
    for (;;) {
        uint64_t id, value;
        uint32_t type;
        size_t size;
        const uint64_t *request =
            tachyon_rpc_serve(server->rpc, &id, &type, &size, 100);
        if (!request)
            break;
        CHECK(size >= sizeof value);
        value = *request * 3;
        CHECK_OK(tachyon_rpc_commit_serve(server->rpc));
        if (server->shuffled && late == 0) {
            late = id;
            late_value = value;
            late_type = type;
            continue;
        }
        if (tachyon_rpc_reply_timed(server->rpc, id, &value, sizeof value, type, 100,
                                    -1) != TACHYON_SUCCESS)
            break;
        if (late != 0 &&
            tachyon_rpc_reply_timed(server->rpc, late, &late_value, sizeof late_value,
                                    late_type, 100, -1) != TACHYON_SUCCESS)
            break;
        late = 0;
    }
    server->error = tachyon_last_error();
    return NULL;
}

static void expect_triple(struct ends *ends, uint64_t id, uint64_t number) {
    uint32_t type;
    size_t size;
    const uint64_t *answer = tachyon_rpc_wait_timed(ends->caller, id, &size, &type, 100,
                                                    INT64_C(20000000000));
    if (!answer)
        FAIL("call %ju: %s", (uintmax_t)id, tachyon_last_error_message());
    CHECK_EQ(size, sizeof number);
    CHECK_EQ(*answer, number * 3);
    CHECK_EQ(type, (uint32_t)number);
    CHECK_OK(tachyon_rpc_commit_rx(ends->caller));
}

TEST(calls_from_one_thread_are_answered_by_another) {
    for (int shuffled = 0; shuffled < 2; shuffled++) {
        struct ends ends = open_ends(8192, 4096);
        struct server server = {.rpc = ends.callee, .shuffled = shuffled};
        pthread_t thread = test_thread(serve_until_closed, &server);
        const uint64_t count = test_sanitized() ? 4000 : 40000, window = 16;
        uint64_t ids[16];
        for (uint64_t number = 0; number < count + window; number++) {
            if (number >= window)
                expect_triple(&ends, ids[number % window], number - window);
            if (number < count)
                CHECK_OK(tachyon_rpc_call_timed(ends.caller, &number, sizeof number,
                                                (uint32_t)number, &ids[number % window],
                                                100, -1));
        }
        tachyon_rpc_stats_t stats;
        CHECK_OK(tachyon_rpc_get_stats(ends.caller, &stats));
        CHECK_EQ(stats.replies, count);
        CHECK_EQ(stats.outstanding + stats.dropped, 0);
        tachyon_rpc_destroy(ends.caller);
        test_join(thread);
        CHECK_EQ(server.error, TACHYON_ERR_CLOSED);
        tachyon_rpc_destroy(ends.callee);
    }
}

TEST(full_rings_in_both_directions_block_nobody_for_ever) {
    /* Far more calls than both rings hold, before the first reply is asked for. */
    struct ends ends = open_ends(4096, 4096);
    struct server server = {.rpc = ends.callee};
    pthread_t thread = test_thread(serve_until_closed, &server);
    for (uint64_t number = 0; number < 2000; number++) {
        uint64_t id, payload[20] = {number}; /* three lines */
        CHECK_OK(tachyon_rpc_call_timed(ends.caller, payload, sizeof payload,
                                        (uint32_t)number, &id, 0,
                                        INT64_C(20000000000)));
        CHECK_EQ(id, number + 1);
    }
    for (uint64_t number = 2000; number-- > 0;)
        expect_triple(&ends, number + 1, number);
    tachyon_rpc_destroy(ends.caller);
    test_join(thread);
    tachyon_rpc_destroy(ends.callee);
}

static void *wait_for_first(void *context) {
    struct ends *ends = context;
    uint32_t type;
    size_t size;
    CHECK(!tachyon_rpc_wait(ends->caller, 1, &size, &type, 0));
    return (void *)(uintptr_t)tachyon_last_error();
}

TEST(a_blocked_call_ends_with_the_callee_or_by_our_own_close) {
    for (int end = 0; end < 3; end++) {
        struct ends ends = open_ends(4096, 4096);
        struct link *link = (struct link *)&((struct tachyon_bus *)ends.caller)->link;
        call(&ends, "x", 1);
        pthread_t thread = test_thread(wait_for_first, &ends);
        while (atomic_load(&link->sleeps) == 0)
            test_sleep_ms(1);
        if (end == 0) {
            tachyon_rpc_close(ends.callee);
        } else if (end == 1) {
            ty_close(&((struct tachyon_bus *)ends.callee)->link.socket); /* a death */
        } else {
            tachyon_rpc_close(ends.caller);
        }
        CHECK_EQ((uintptr_t)test_join(thread),
                 end == 1 ? TACHYON_ERR_PEER_DEAD : TACHYON_ERR_CLOSED);
        CHECK_EQ(tachyon_rpc_get_state(ends.caller),
                 end == 1 ? TACHYON_STATE_FATAL_ERROR : TACHYON_STATE_DISCONNECTED);
        uint64_t id;
        CHECK_ERROR(tachyon_rpc_call(ends.caller, "x", 1, 1, &id),
                    end == 1 ? TACHYON_ERR_PEER_DEAD : TACHYON_ERR_CLOSED);
        close_ends(&ends);
    }
}

TEST(replies_sent_before_the_end_are_delivered) {
    for (int death = 0; death < 2; death++) {
        struct ends ends = open_ends(4096, 4096);
        for (uint64_t id = 1; id <= 4; id++) {
            call(&ends, "x", 1);
            serve(&ends, id);
            if (id < 4)
                reply(&ends, id);
        }
        if (death)
            ty_close(&((struct tachyon_bus *)ends.callee)->link.socket);
        tachyon_rpc_destroy(ends.callee);
        ends.callee = NULL;
        CHECK_EQ(tachyon_rpc_get_state(ends.caller), TACHYON_STATE_READY);
        expect_reply(&ends, 2); /* one is copied, one is behind */
        expect_reply(&ends, 3);
        expect_reply(&ends, 1);
        uint32_t type;
        size_t size;
        CHECK_REFUSED(tachyon_rpc_wait(ends.caller, 4, &size, &type, 0),
                      death ? TACHYON_ERR_PEER_DEAD : TACHYON_ERR_CLOSED);
        close_ends(&ends);
    }
}

/* Calls until one finds that the callee has gone. */
static void call_until_the_end(struct ends *ends, tachyon_error_t end) {
    uint64_t id = 0, payload[20] = {0};
    tachyon_error_t error = TACHYON_SUCCESS;
    for (int i = 0; i < 5000 && error == TACHYON_SUCCESS; i++)
        error = tachyon_rpc_call(ends->caller, payload, sizeof payload, 1, &id);
    CHECK_EQ(error, end);
}

TEST(fault_7_a_call_that_finds_the_end_loses_no_reply_that_came_before_it) {
    /* By a full ring, or by a look from time to time into one that has room. */
    static const size_t requests[] = {4096, 1 << 20};
    for (int death = 0; death < 2; death++)
        for (int large = 0; large < 2; large++) {
            struct ends ends = open_ends(requests[large], 1 << 16);
            tachyon_error_t end = death ? TACHYON_ERR_PEER_DEAD : TACHYON_ERR_CLOSED;
            answer_calls(&ends, 4);
            if (death)
                ty_close(&((struct tachyon_bus *)ends.callee)->link.socket);
            tachyon_rpc_destroy(ends.callee);
            ends.callee = NULL;
            call_until_the_end(&ends, end);
            expect_reply(&ends, 3); /* two are kept, one is behind */
            expect_reply(&ends, 4);
            expect_reply(&ends, 1);
            expect_reply(&ends, 2);
            uint32_t type;
            size_t size;
            CHECK_REFUSED(tachyon_rpc_wait(ends.caller, 5, &size, &type, 0), end);
            CHECK_REFUSED(tachyon_rpc_wait_timed(ends.caller, 6, &size, &type, 0, 0),
                          end);
            close_ends(&ends);
        }
}

TEST(a_wake_up_that_finds_the_end_loses_no_reply_that_came_before_it) {
    struct ends ends = open_ends(4096, 4096);
    call(&ends, "x", 1);
    serve(&ends, 1);
    reply(&ends, 1);
    /* As if it slept for the second call, and had been faster than its wake-up. */
    struct ring_consumer *c = &((struct tachyon_bus *)ends.callee)->rx;
    atomic_store(&c->shared->wanted_head, c->tail + RING_LINE);
    tachyon_rpc_destroy(ends.callee);
    ends.callee = NULL;
    call(&ends, "x", 1);
    expect_reply(&ends, 1);
    uint32_t type;
    size_t size;
    CHECK_REFUSED(tachyon_rpc_wait(ends.caller, 2, &size, &type, 0),
                  TACHYON_ERR_CLOSED);
    close_ends(&ends);
}

TEST(a_reply_that_is_held_outlives_a_call_that_finds_the_end) {
    struct ends ends = open_ends(4096, 4096);
    uint32_t type;
    size_t size;
    answer_calls(&ends, 2);
    tachyon_rpc_destroy(ends.callee);
    ends.callee = NULL;
    const uint64_t *held = tachyon_rpc_wait(ends.caller, 1, &size, &type, 0);
    CHECK(held && *held == 1);
    call_until_the_end(&ends, TACHYON_ERR_CLOSED);
    CHECK_EQ(*held, 1);
    CHECK_OK(tachyon_rpc_commit_rx(ends.caller));
    expect_reply(&ends, 2);
    close_ends(&ends);
}

TEST(fault_7_a_reply_that_finds_the_end_loses_no_request_that_came_before_it) {
    for (int death = 0; death < 2; death++) {
        struct ends ends = open_ends(4096, 4096);
        tachyon_error_t end = death ? TACHYON_ERR_PEER_DEAD : TACHYON_ERR_CLOSED;
        for (int i = 0; i < 3; i++)
            call(&ends, "x", 1);
        if (death)
            ty_close(&((struct tachyon_bus *)ends.caller)->link.socket);
        tachyon_rpc_destroy(ends.caller);
        ends.caller = NULL;
        uint8_t large[3000] = {0};
        uint64_t id;
        uint32_t type;
        size_t size;
        serve(&ends, 1);
        CHECK(tachyon_rpc_serve(ends.callee, &id, &type, &size, 0)); /* and held */
        CHECK_OK(tachyon_rpc_reply(ends.callee, 1, large, sizeof large, 1));
        CHECK_ERROR(tachyon_rpc_reply(ends.callee, 2, large, sizeof large, 1), end);
        CHECK_OK(tachyon_rpc_commit_serve(ends.callee));
        serve(&ends, 3);
        CHECK_REFUSED(tachyon_rpc_serve(ends.callee, &id, &type, &size, 0), end);
        close_ends(&ends);
    }
}

TEST(requests_of_a_caller_that_has_gone_are_worked_off_without_naps) {
    struct ends ends = open_ends(1 << 16, 4096);
    for (int i = 0; i < 300; i++)
        call(&ends, "x", 1);
    tachyon_rpc_destroy(ends.caller);
    uint64_t id;
    uint32_t type;
    size_t size;
    int served = 0;
    int64_t begin = test_now_ms();
    while (tachyon_rpc_serve(ends.callee, &id, &type, &size, 0)) {
        CHECK_OK(tachyon_rpc_commit_serve(ends.callee));
        served++;
        tachyon_rpc_reply_timed(ends.callee, id, "x", 1, 1, 0, -1);
    }
    CHECK_EQ(served, 300);
    CHECK(test_now_ms() - begin < 2000);
    tachyon_rpc_destroy(ends.callee);
}

TEST(the_state_is_ready_while_a_reply_is_in_the_ring) {
    struct ends ends = open_ends(4096, 4096);
    uint32_t type;
    size_t size;
    call(&ends, "x", 1);
    serve(&ends, 1);
    CHECK_OK(tachyon_rpc_reply(ends.callee, 1, "x", 1, 1));
    call(&ends, "x", 1);
    serve(&ends, 2);
    CHECK_OK(tachyon_rpc_reply(ends.callee, 2, "x", 1, 1));
    tachyon_rpc_destroy(ends.callee);
    CHECK_EQ(tachyon_rpc_get_state(ends.caller), TACHYON_STATE_READY);
    CHECK(tachyon_rpc_wait(ends.caller, 1, &size, &type, 0)); /* and hold */
    uint64_t id = 0, payload[20] = {0};
    while (tachyon_rpc_call(ends.caller, payload, sizeof payload, 1, &id) ==
           TACHYON_SUCCESS)
        ;
    CHECK_EQ(tachyon_last_error(), TACHYON_ERR_CLOSED);
    CHECK_OK(tachyon_rpc_commit_rx(ends.caller));
    tachyon_state_t state = tachyon_rpc_get_state(ends.caller);
    CHECK(tachyon_rpc_wait(ends.caller, 2, &size, &type, 0));
    CHECK_EQ(state, TACHYON_STATE_READY);
    tachyon_rpc_destroy(ends.caller);
}

TEST(a_commit_that_is_refused_forgets_no_call) {
    struct ends ends = open_ends(1 << 16, 1 << 16);
    uint32_t type;
    size_t size;
    uint64_t id;
    for (uint64_t i = 1; i <= 65536; i++) {
        call(&ends, "x", 1);
        serve(&ends, i);
        if (i == 2) { /* the first reply is kept */
            CHECK_OK(tachyon_rpc_reply(ends.callee, 1, "x", 1, 1));
            CHECK_REFUSED(tachyon_rpc_wait_timed(ends.caller, 2, &size, &type, 0, 0),
                          TACHYON_ERR_EMPTY);
        }
    }
    CHECK_ERROR(tachyon_rpc_commit_call(ends.caller, 1, 1, &id), TACHYON_ERR_EMPTY);
    if (!tachyon_rpc_wait_timed(ends.caller, 1, &size, &type, 0, 0))
        FAIL("%s", tachyon_last_error_message());
    tachyon_rpc_destroy(ends.caller);
    tachyon_rpc_destroy(ends.callee);
}

/* ---- Closed in the middle of a flood ---- */

/* Far more replies to nobody than one look takes off the ring. */
static void flood(struct ends *ends, unsigned count) {
    struct ring_producer *p = &((struct tachyon_bus *)ends->callee)->tx;
    for (unsigned i = 0; i < count; i++) {
        CHECK(ring_reserve(p, 8));
        ring_commit(p, 8, 1, 1000 + i);
    }
    ring_publish(p);
}

TEST(a_close_ends_a_wait_that_is_busy_with_a_flood_of_other_replies) {
    uint64_t state = 5;
    for (int i = 0; i < 20; i++) {
        struct ends ends = open_ends(4096, 1 << 22);
        const struct ring_shared *shared =
            ((struct tachyon_bus *)ends.caller)->rx.shared;
        call(&ends, "x", 1);
        flood(&ends, 60000);
        pthread_t thread = test_thread(wait_for_first, &ends);
        /* It is at work once the tail moves; the flood lasts some milliseconds. */
        while (atomic_load(&shared->tail) == 0)
            ty_pause();
        for (uint64_t n = test_random_below(&state, 2000); n > 0; n--)
            ty_pause();
        tachyon_rpc_close(ends.caller);
        CHECK_EQ((uintptr_t)test_join(thread), TACHYON_ERR_CLOSED);
        close_ends(&ends);
    }
}

/* ---- A hostile peer ---- */

static void send_raw(tachyon_rpc_bus_t *rpc, uint64_t correlation_id) {
    struct ring_producer *p = &((struct tachyon_bus *)rpc)->tx;
    CHECK(ring_refresh(p));
    CHECK(ring_reserve(p, 8));
    ring_commit(p, 8, 1, correlation_id);
    ring_publish(p);
}

TEST(replies_to_no_call_are_dropped_and_counted) {
    struct ends ends = open_ends(4096, 4096);
    uint64_t state = 1;
    call(&ends, "x", 1);
    serve(&ends, 1);
    for (int i = 0; i < 40; i++)
        send_raw(ends.callee, 2 + test_random(&state) / 2);
    send_raw(ends.callee, 0);
    reply(&ends, 1);
    send_raw(ends.callee, 1); /* a second reply */
    expect_reply(&ends, 1);
    tachyon_rpc_stats_t stats;
    CHECK_EQ(call(&ends, "y", 1), 2);
    serve(&ends, 2);
    reply(&ends, 2);
    expect_reply(&ends, 2);
    CHECK_OK(tachyon_rpc_get_stats(ends.caller, &stats));
    CHECK_EQ(stats.dropped, 42);
    CHECK_EQ(stats.outstanding, 0);

    call(&ends, "twice", 1);
    call(&ends, "once", 1);
    serve(&ends, 3);
    serve(&ends, 4);
    send_raw(ends.callee, 3); /* kept ... */
    send_raw(ends.callee, 3); /* ... and so this one is dropped */
    reply(&ends, 4);
    expect_reply(&ends, 4);
    CHECK_OK(tachyon_rpc_get_stats(ends.caller, &stats));
    CHECK_EQ(stats.kept, 1);
    CHECK_EQ(stats.dropped, 43);
    close_ends(&ends);
}

TEST(a_request_with_a_wrong_id_makes_the_bus_corrupt) {
    static const uint64_t ids[] = {0, 2, 65537, UINT64_MAX};
    for (size_t i = 0; i < 4; i++) {
        struct ends ends = open_ends(4096, 4096);
        uint64_t id;
        uint32_t type;
        size_t size;
        send_raw(ends.caller, ids[i]);
        CHECK_REFUSED(tachyon_rpc_serve(ends.callee, &id, &type, &size, 0),
                      TACHYON_ERR_CORRUPT);
        CHECK_REFUSED(tachyon_rpc_serve(ends.callee, &id, &type, &size, 0),
                      TACHYON_ERR_CORRUPT);
        CHECK_EQ(tachyon_rpc_get_state(ends.callee), TACHYON_STATE_FATAL_ERROR);
        close_ends(&ends);
    }
}

TEST(a_corrupt_reply_ring_ends_every_wait) {
    for (int call_kind = 0; call_kind < 3; call_kind++) {
        struct ends ends = open_ends(4096, 4096);
        struct region *region = &((struct tachyon_bus *)ends.callee)->regions[1];
        uint64_t id;
        uint32_t type;
        size_t size;
        call(&ends, "x", 1);
        atomic_store(&ring_line_at(region_data(region), 4095, 0)->word, 0x22);
        if (call_kind == 0)
            CHECK_REFUSED(tachyon_rpc_wait(ends.caller, 1, &size, &type, 0),
                          TACHYON_ERR_CORRUPT);
        else if (call_kind == 1) /* waits for room, and so looks at the replies */
            while (tachyon_rpc_call(ends.caller, "x", 1, 1, &id) == TACHYON_SUCCESS)
                continue;
        else
            while (tachyon_rpc_call_timed(ends.caller, "x", 1, 1, &id, 0, -1) ==
                   TACHYON_SUCCESS)
                continue;
        CHECK_EQ(tachyon_last_error(), TACHYON_ERR_CORRUPT);
        CHECK_REFUSED(tachyon_rpc_wait(ends.caller, 1, &size, &type, 0),
                      TACHYON_ERR_CORRUPT);
        CHECK_ERROR(tachyon_rpc_call(ends.caller, "x", 1, 1, &id), TACHYON_ERR_CORRUPT);
        CHECK_EQ(tachyon_rpc_get_state(ends.caller), TACHYON_STATE_FATAL_ERROR);
        close_ends(&ends);
    }
}

TEST(corruption_behind_an_end_that_a_call_found_is_told) {
    struct ends ends = open_ends(4096, 4096);
    struct ring_consumer *c = &((struct tachyon_bus *)ends.caller)->rx;
    uint32_t type;
    size_t size;
    answer_calls(&ends, 1);
    tachyon_rpc_destroy(ends.callee);
    ends.callee = NULL;
    call_until_the_end(&ends, TACHYON_ERR_CLOSED);
    atomic_store(&ring_line_at(c->data, c->mask, c->tail)->word, 0x22);
    expect_reply(&ends, 1); /* kept */
    for (int i = 0; i < 2; i++)
        CHECK_REFUSED(tachyon_rpc_wait(ends.caller, 2, &size, &type, 0),
                      TACHYON_ERR_CORRUPT);
    close_ends(&ends);
}

/* ---- The rest ---- */

static void use_in_child(void *context) {
    struct ends *ends = context;
    uint64_t id;
    uint32_t type;
    size_t size;
    CHECK_ERROR(tachyon_rpc_call(ends->caller, "x", 1, 1, &id), TACHYON_ERR_FORKED);
    CHECK_REFUSED(tachyon_rpc_wait(ends->caller, 1, &size, &type, 0),
                  TACHYON_ERR_FORKED);
    CHECK_REFUSED(tachyon_rpc_serve(ends->callee, &id, &type, &size, 0),
                  TACHYON_ERR_FORKED);
    CHECK_ERROR(tachyon_rpc_reply(ends->callee, 1, "", 0, 1), TACHYON_ERR_FORKED);
    CHECK_EQ(tachyon_rpc_get_state(ends->caller), TACHYON_STATE_FATAL_ERROR);
    close_ends(ends);
}

TEST(fault_12_a_child_can_neither_use_nor_harm_its_parents_rpc_bus) {
    struct ends ends = open_ends(4096, 4096);
    call(&ends, "x", 1);
    CHECK_EQ(test_wait(test_spawn(use_in_child, &ends)), 0);
    serve(&ends, 1);
    reply(&ends, 1);
    expect_reply(&ends, 1);
    close_ends(&ends);
}

TEST(the_last_release_closes_and_the_peer_is_known) {
    struct ends ends = open_ends(4096, 4096);
    tachyon_peer_t peer;
    CHECK_OK(tachyon_rpc_get_peer(ends.caller, &peer));
    CHECK_EQ(peer.pid, getpid());
    tachyon_rpc_ref(ends.caller);
    tachyon_rpc_destroy(ends.caller);
    CHECK_EQ(call(&ends, "x", 1), 1);
    CHECK_EQ(tachyon_rpc_get_state(ends.callee), TACHYON_STATE_READY);
    tachyon_rpc_set_polling_mode(ends.caller, 1);
    serve(&ends, 1);
    reply(&ends, 1);
    expect_reply(&ends, 1);
    tachyon_rpc_destroy(ends.caller);
    CHECK_EQ(tachyon_rpc_get_state(ends.callee), TACHYON_STATE_DISCONNECTED);
    CHECK_EQ(tachyon_last_error(), TACHYON_ERR_CLOSED);
    tachyon_rpc_destroy(ends.callee);
}

/* ---- Every condition of what the peer's records go through ---- */

TEST(a_reply_that_is_held_for_too_long_stops_the_next_call) {
    struct ends ends = open_ends(1 << 16, 1 << 16);
    const uint64_t most = 65536; /* calls in the table */
    uint64_t id = 0;
    uint32_t type;
    size_t size;
    call(&ends, "x", 1);
    serve(&ends, 1);
    reply(&ends, 1);
    CHECK(tachyon_rpc_wait_timed(ends.caller, 1, &size, &type, 0, 0));
    for (id = 2; id <= most; id++) {
        call(&ends, "x", 1);
        serve(&ends, id);
    }
    CHECK_ERROR(tachyon_rpc_call(ends.caller, "x", 1, 1, &id), TACHYON_ERR_BUSY);
    CHECK_SAYS("call 1, 65536 calls ago, is still held");
    CHECK_OK(tachyon_rpc_commit_rx(ends.caller));
    CHECK_EQ(call(&ends, "x", 1), most + 1);
    close_ends(&ends);
}

static void *wait_for_ever(void *context) {
    uint32_t type;
    size_t size;
    CHECK_REFUSED(tachyon_rpc_wait(context, 1, &size, &type, 0), TACHYON_ERR_PEER_DEAD);
    return NULL;
}

TEST(a_second_thread_is_refused_or_told_why_the_handle_has_failed) {
    if (test_race_detector())
        test_skip("two threads on one handle are a race, however it is refused");
    struct ends ends = open_ends(4096, 4096);
    struct tachyon_bus *bus = (struct tachyon_bus *)ends.caller;
    uint64_t id;
    call(&ends, "x", 1);
    pthread_t thread = test_thread(wait_for_ever, ends.caller);
    while (!atomic_load(&bus->link.waiting))
        ty_pause();
    CHECK_ERROR(tachyon_rpc_call(ends.caller, "x", 1, 1, &id), TACHYON_ERR_BUSY);
    CHECK_SAYS("another thread is waiting");
    /* What it waits for has ended, but it has not left yet. */
    ty_bus_fail(bus, TACHYON_ERR_PEER_DEAD);
    CHECK_ERROR(tachyon_rpc_call(ends.caller, "x", 1, 1, &id), TACHYON_ERR_PEER_DEAD);
    tachyon_rpc_close(ends.caller);
    test_join(thread);
    close_ends(&ends);
}

static int hook_calls;

static int interrupt_at_last(void *context) {
    (void)context;
    return ++hook_calls > 3;
}

/* A ring of replies to nobody without any end: no word in it is 0. */
static void flood_for_ever(struct ends *ends) {
    const struct region *replies = &((struct tachyon_bus *)ends->callee)->regions[1];
    struct ring_line *lines = (struct ring_line *)(void *)region_data(replies);
    for (size_t i = 0; i < replies->capacity / RING_LINE; i++) {
        lines[i].correlation_id = 1000 + i;
        atomic_store(&lines[i].word, UINT64_C(1) << 32 | 9);
    }
}

TEST(a_flood_of_other_replies_holds_no_wait_beyond_its_end) {
    struct ends ends = open_ends(4096, 1 << 16);
    struct link *link = &((struct tachyon_bus *)ends.caller)->link;
    tachyon_rpc_stats_t stats;
    uint32_t type;
    size_t size;
    call(&ends, "x", 1);
    flood_for_ever(&ends);
    CHECK_REFUSED(tachyon_rpc_wait_timed(ends.caller, 1, &size, &type, 0, 0),
                  TACHYON_ERR_EMPTY);
    CHECK_OK(tachyon_rpc_get_stats(ends.caller, &stats));
    CHECK_IN(stats.dropped, 1024, 2 * 1024); /* what may lie there was looked at */
    CHECK_TAKES(50, 500,
                CHECK_REFUSED(tachyon_rpc_wait_timed(ends.caller, 1, &size, &type, 0,
                                                     INT64_C(50000000)),
                              TACHYON_ERR_TIMEOUT));
    link->interrupt.hook = interrupt_at_last;
    CHECK_REFUSED(tachyon_rpc_wait(ends.caller, 1, &size, &type, 0),
                  TACHYON_ERR_INTERRUPTED);
    CHECK_EQ(hook_calls, 4);
    close_ends(&ends);
}

TEST(a_held_request_that_becomes_another_is_corrupt) {
    struct ends ends = open_ends(4096, 4096);
    struct ring_line *first = (struct ring_line *)(void *)region_data(
        &((struct tachyon_bus *)ends.caller)->regions[0]);
    uint64_t id;
    uint32_t type;
    size_t size;
    call(&ends, "x", 1);
    CHECK(tachyon_rpc_serve_timed(ends.callee, &id, &type, &size, 0, 0));
    CHECK(tachyon_rpc_serve_timed(ends.callee, &id, &type, &size, 0, 0));
    CHECK_EQ(id, 1);
    first->correlation_id = 2; /* the next one it could be */
    CHECK_REFUSED(tachyon_rpc_serve_timed(ends.callee, &id, &type, &size, 0, 0),
                  TACHYON_ERR_CORRUPT);
    CHECK_ERROR(tachyon_rpc_reply(ends.callee, 1, "", 0, 1), TACHYON_ERR_CORRUPT);
    close_ends(&ends);
}

TEST(a_kept_reply_is_found_among_unanswered_calls) {
    struct ends ends = open_ends(4096, 4096);
    uint64_t id = 0;
    uint32_t type;
    size_t size;
    for (id = 1; id <= 100; id++) { /* more than the table has at first */
        call(&ends, "x", 1);
        serve(&ends, id);
        reply(&ends, id);
        expect_reply(&ends, id);
    }
    for (id = 101; id <= 104; id++) {
        call(&ends, "x", 1);
        serve(&ends, id);
    }
    reply(&ends, 102);
    reply(&ends, 104);
    expect_reply(&ends, 104); /* and keeps that of 102, behind the unanswered 101 */
    CHECK(tachyon_rpc_wait_any(ends.caller, &id, &size, &type, 0, 0));
    CHECK_EQ(id, 102);
    CHECK_EQ(type, 102 + 7);
    CHECK_OK(tachyon_rpc_commit_rx(ends.caller));
    close_ends(&ends);
}

TEST(a_reply_of_nothing_needs_no_payload) {
    struct ends ends = open_ends(4096, 4096);
    uint32_t type;
    size_t size = 1;
    call(&ends, "x", 1);
    serve(&ends, 1);
    CHECK_ERROR(tachyon_rpc_reply(ends.callee, 1, NULL, 1, 5), TACHYON_ERR_NULL_PTR);
    CHECK_OK(tachyon_rpc_reply(ends.callee, 1, NULL, 0, 5));
    CHECK(tachyon_rpc_wait_timed(ends.caller, 1, &size, &type, 0, 0));
    CHECK_EQ(size, 0);
    CHECK_EQ(type, 5);
    close_ends(&ends);
}
