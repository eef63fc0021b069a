/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls by the million: 64 outstanding, replies in any order, every tenth cancelled or
 * not waited for long enough. No reply goes to the wrong call. When the callee dies,
 * all that are outstanding fail.
 */
#include "length.h"
#include "peers.h"
#include "samples.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)
#define OUTSTANDING 64
#define MOST_BYTES 400
#define DEATH_MS 50

static const char *path;

struct request {
    uint64_t number; /* the caller's own count */
    uint32_t reply_size;
    uint32_t type;
};

static void shuffle(uint64_t *ids, struct request *requests, size_t count,
                    uint64_t *random) {
    for (size_t i = count; i > 1; i--) {
        size_t j = test_random_below(random, i);
        uint64_t id = ids[i - 1];
        struct request request = requests[i - 1];
        ids[i - 1] = ids[j];
        requests[i - 1] = requests[j];
        ids[j] = id;
        requests[j] = request;
    }
}

/* Take what is there, up to 64, and answer it shuffled. */
static void be_callee(void *context) {
    uint64_t ids[OUTSTANDING], random = 20;
    struct request requests[OUTSTANDING];
    uint8_t payload[MOST_BYTES];
    tachyon_rpc_bus_t *rpc;
    bool answers = *(const bool *)context;
    CHECK_OK(tachyon_rpc_listen(path, 16384, 16384, &rpc));
    for (;;) {
        size_t count = 0;
        while (count < OUTSTANDING) {
            uint32_t type;
            size_t size;
            const void *request = tachyon_rpc_serve_timed(
                rpc, &ids[count], &type, &size, 100, count == 0 ? -1 : 0);
            if (!request)
                break;
            CHECK_EQ(size, sizeof requests[0]);
            memcpy(&requests[count++], request, size);
            CHECK_OK(tachyon_rpc_commit_serve(rpc));
        }
        if (count == 0)
            break;
        if (!answers)
            continue;
        shuffle(ids, requests, count, &random);
        for (size_t i = 0; i < count; i++) {
            message_write(requests[i].number, payload, requests[i].reply_size);
            if (tachyon_rpc_reply_timed(rpc, ids[i], payload, requests[i].reply_size,
                                        requests[i].type, 100, -1) != TACHYON_SUCCESS)
                break;
        }
    }
    CHECK_EQ(tachyon_last_error(), TACHYON_ERR_CLOSED);
    tachyon_rpc_destroy(rpc);
}

struct call {
    uint64_t id;
    struct request request;
};

struct outcome {
    uint64_t calls, replies, cancelled, timed_out;
};

static void expect_reply(tachyon_rpc_bus_t *rpc, const struct call *call,
                         int64_t timeout_ns, struct outcome *outcome) {
    uint32_t type;
    size_t size;
    const void *reply =
        tachyon_rpc_wait_timed(rpc, call->id, &size, &type, 100, timeout_ns);
    if (!reply && timeout_ns < SECOND &&
        (tachyon_last_error() == TACHYON_ERR_TIMEOUT ||
         tachyon_last_error() == TACHYON_ERR_EMPTY)) {
        outcome->timed_out++;
        CHECK_OK(tachyon_rpc_cancel(rpc, call->id));
        return;
    }
    if (!reply)
        FAIL("call %" PRIu64 ": %s", call->id, tachyon_last_error_message());
    if (size != call->request.reply_size || type != call->request.type ||
        !message_is(call->request.number, reply, size))
        FAIL("the reply to call %" PRIu64 " is that to another", call->id);
    CHECK_OK(tachyon_rpc_commit_rx(rpc));
    outcome->replies++;
}

static tachyon_rpc_bus_t *connect_to_callee(void) {
    tachyon_options_t options = options_with_timeout_ms(5000);
    tachyon_rpc_bus_t *rpc;
    CHECK_OK(tachyon_rpc_connect_with(path, &options, &rpc));
    return rpc;
}

static void call_on(tachyon_rpc_bus_t *rpc, struct call *call, uint64_t number,
                    uint64_t *random) {
    call->request =
        (struct request){.number = number,
                         .reply_size = (uint32_t)test_random_below(random, MOST_BYTES),
                         .type = (uint32_t)test_random(random)};
    CHECK_OK(tachyon_rpc_call_timed(rpc, &call->request, sizeof call->request, 5,
                                    &call->id, 100, 10 * SECOND));
    CHECK_EQ(call->id, number + 1);
}

TEST(a_shuffled_reply_finds_its_call) {
    struct length length = length_begin("R20", "calls", 1000000, 1000000);
    struct call calls[OUTSTANDING];
    struct outcome outcome = {0};
    bool answers = true;
    uint64_t random = 1;
    size_t count = 0;
    path = test_path("calls");
    pid_t callee = test_spawn(be_callee, &answers);
    tachyon_rpc_bus_t *rpc = connect_to_callee();
    while (length_goes_on(&length) || count > 0) {
        while (count < OUTSTANDING && length_goes_on(&length))
            call_on(rpc, &calls[count++], length.done++, &random);
        /* Away with a random one; in 1 of 10 without its reply. */
        size_t chosen = test_random_below(&random, count);
        struct call call = calls[chosen];
        calls[chosen] = calls[--count];
        switch (test_random_below(&random, 20)) {
        case 0:
            CHECK_OK(tachyon_rpc_cancel(rpc, call.id));
            outcome.cancelled++;
            break;
        case 1:
            expect_reply(rpc, &call, (int64_t)test_random_below(&random, 2000),
                         &outcome);
            break;
        default:
            expect_reply(rpc, &call, 10 * SECOND, &outcome);
        }
    }
    tachyon_rpc_stats_t stats;
    CHECK_OK(tachyon_rpc_get_stats(rpc, &stats));
    CHECK_EQ(stats.outstanding, 0);
    CHECK_EQ(stats.replies, outcome.replies);
    CHECK_EQ(outcome.replies + outcome.cancelled + outcome.timed_out, length.done);
    CHECK(stats.dropped <= outcome.cancelled + outcome.timed_out);
    tachyon_rpc_destroy(rpc);
    CHECK_EQ(test_wait(callee), 0);
    length_end(&length,
               "%" PRIu64 " cancelled, %" PRIu64 " timed out, %" PRIu64
               " replies kept for later, %" PRIu64 " dropped",
               outcome.cancelled, outcome.timed_out, stats.kept, stats.dropped);
}

TEST(when_the_callee_dies_all_outstanding_calls_fail) {
    struct samples samples = {0};
    bool answers = false;
    path = test_path("calls");
    for (int round = 0; round < 20; round++) {
        struct call calls[OUTSTANDING];
        uint64_t random = (uint64_t)round;
        pid_t callee = test_spawn(be_callee, &answers);
        tachyon_rpc_bus_t *rpc = connect_to_callee();
        for (uint64_t i = 0; i < OUTSTANDING; i++)
            call_on(rpc, &calls[i], i, &random);
        int64_t begin = ty_now_ns();
        kill(callee, SIGKILL);
        for (int i = 0; i < OUTSTANDING; i++) {
            uint32_t type;
            size_t size;
            CHECK_REFUSED(tachyon_rpc_wait_timed(rpc, calls[i].id, &size, &type, 100,
                                                 10 * SECOND),
                          TACHYON_ERR_PEER_DEAD);
        }
        samples_add(&samples, ty_now_ns() - begin);
        CHECK_EQ(test_wait(callee), -SIGKILL);
        CHECK_ERROR(tachyon_rpc_call(rpc, "x", 1, 1, &calls[0].id),
                    TACHYON_ERR_PEER_DEAD);
        tachyon_rpc_destroy(rpc);
    }
    printf("    64 calls fail after %.0f us, at most %.0f us\n",
           samples_us(&samples, 0.5), samples_us(&samples, 1));
    /* One straggler may be the scheduler's. */
    CHECK_OR_AGAIN(samples_us(&samples, 0.9) <= DEATH_MS * 1000);
    free(samples.ns);
}
