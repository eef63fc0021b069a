/* SPDX-License-Identifier: Apache-2.0 */
/* Callers of one listener that are killed, and the listener. */
#include "comeback.h"

#define OUTSTANDING 8

/* Calls, some at a time, until the end of the callee or of it all. A reply is what was
 * asked by this life with that call. */
static tachyon_error_t call_on(tachyon_rpc_bus_t *rpc, struct message message,
                               bool leads) {
    struct message asked[OUTSTANDING];
    uint64_t ids[OUTSTANDING];
    for (; !atomic_load(&board->stop); message.number++) {
        unsigned at = message.number % OUTSTANDING;
        if (message.number >= OUTSTANDING) {
            uint32_t type;
            size_t size;
            const void *reply =
                tachyon_rpc_wait_timed(rpc, ids[at], &size, &type, 100, 20 * SECOND);
            if (!reply)
                return tachyon_last_error();
            CHECK(size == sizeof message && memcmp(reply, &asked[at], size) == 0);
            CHECK_OK(tachyon_rpc_commit_rx(rpc));
            if (leads && message.number == OUTSTANDING)
                at_work(atomic_load(&board->life), asked[at].number);
            atomic_fetch_add(&board->seen, 1);
        }
        asked[at] = message;
        tachyon_error_t error = tachyon_rpc_call_timed(rpc, &message, sizeof message, 1,
                                                       &ids[at], 100, 20 * SECOND);
        if (error != TACHYON_SUCCESS)
            return error;
    }
    return TACHYON_SUCCESS;
}

static const struct writer callers[WRITERS] = {{0, "mortal"}, {1, "first"}, {2, NULL}};

static void call_until_killed(void *context) {
    const struct writer *writer = context;
    tachyon_options_t options = options_with_timeout_ms(10000);
    tachyon_rpc_bus_t *rpc;
    options.name = writer->name;
    CHECK_OK(tachyon_rpc_connect_with(path, &options, &rpc));
    CHECK_OK(call_on(
        rpc,
        (struct message){.writer = writer->number, .life = atomic_load(&board->life)},
        writer->number == 0));
    tachyon_rpc_destroy(rpc);
}

static void call_each(void *context) {
    const struct survivor *survivor = context;
    while (!atomic_load(&board->stop)) {
        tachyon_options_t options = options_with_timeout_ms(20000);
        tachyon_rpc_bus_t *rpc;
        if (find_listener(&options, NULL, &rpc) != TACHYON_SUCCESS)
            break;
        tachyon_error_t error =
            call_on(rpc,
                    (struct message){.writer = survivor->number,
                                     .life = atomic_load(&board->life)},
                    survivor->leads);
        tachyon_rpc_destroy(rpc);
        CHECK(error == TACHYON_SUCCESS || error == TACHYON_ERR_PEER_DEAD ||
              error == TACHYON_ERR_CLOSED);
    }
}

/* Calls of each life come in order; a reply to one that has gone meanwhile says so. */
static void answer_all(void *context) {
    tachyon_options_t options = {.size = sizeof options, .max_peers = WRITERS};
    struct message last[WRITERS] = {0}, message;
    tachyon_rpc_bus_t *rpc;
    tachyon_event_t event;
    (void)context;
    CHECK_OK(tachyon_rpc_listen_with(path, 16384, 16384, &options, &rpc));
    for (bool stop = false;;) {
        uint64_t id;
        uint32_t type;
        size_t size;
        const void *request =
            tachyon_rpc_serve_timed(rpc, &id, &type, &size, 100, 50 * MILLI);
        tachyon_error_t error = tachyon_last_error();
        while (tachyon_rpc_accept(rpc, &event, 0) == TACHYON_SUCCESS)
            count_event(&event);
        if (!request) {
            CHECK_EQ(error, TACHYON_ERR_TIMEOUT);
            if (stop && tachyon_rpc_get_peers(rpc, NULL, 0) == 0)
                break;
            stop = atomic_load(&board->stop);
            continue;
        }
        CHECK_EQ(size, sizeof message);
        memcpy(&message, request, sizeof message);
        CHECK(message.writer < WRITERS && message.life >= last[message.writer].life);
        if (message.number > 0)
            CHECK_EQ(message.number, last[message.writer].number + 1);
        last[message.writer] = message;
        error = tachyon_rpc_reply_timed(rpc, id, &message, sizeof message, 1, 100,
                                        20 * SECOND);
        CHECK_OK(tachyon_rpc_commit_serve(rpc));
        if (error == TACHYON_ERR_PEER_DEAD)
            atomic_fetch_add(&board->repeats, 1); /* it is asked again, or not */
        else if (error != TACHYON_ERR_CLOSED)     /* at the end */
            CHECK_OK(error);
    }
    tachyon_rpc_destroy(rpc);
}

TEST(a_caller_that_dies_takes_its_calls_with_it_and_no_others) {
    struct length length =
        length_begin("comeback", "kills of a caller beside others", QUICK, FULL);
    struct samples samples = {0};
    struct watched before = {0};
    uint64_t random = 5;
    pid_t pids[WRITERS];
    begin_board();
    pid_t listener = test_spawn(answer_all, NULL);
    for (uint64_t i = 1; i < WRITERS; i++)
        pids[i] = test_spawn(call_until_killed, (void *)(uintptr_t)&callers[i]);
    await("the bystanders", &board->seen, 100);
    void *mortal = (void *)(uintptr_t)&callers[0];
    pids[0] = live(call_until_killed, mortal, NULL);
    for (; length_goes_on(&length); length.done++) {
        end_life(pids[0], &random);
        pids[0] = live(call_until_killed, mortal, &samples);
        if (length.done <= WARM_UP)
            before = look_at(listener);
    }
    await("events of those that have left", &board->left, length.done);
    struct watched after = expect_no_growth(before);
    atomic_store(&board->stop, true);
    for (uint64_t i = 0; i < WRITERS; i++)
        CHECK_EQ(test_wait(pids[i]), 0);
    CHECK_EQ(test_wait(listener), 0);
    CHECK_EQ(atomic_load(&board->dead), length.done);
    char more[80];
    snprintf(more, sizeof more, "; %" PRIu64 " replies to the dead",
             atomic_load(&board->repeats));
    report(&length, &samples, before, after, more);
}

TEST(callers_of_a_listener_that_dies_are_told_and_find_the_next) {
    struct length length =
        length_begin("comeback", "kills of a listener with callers", QUICK, FULL);
    run_listeners(answer_all, NULL, call_each, &length);
}
