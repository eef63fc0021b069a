/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A peer that writes over the whole mapping, at any time, while the other end receives,
 * takes batches and arrays, sends, calls and serves, on memory between two inaccessible
 * stretches. That end gets no signal, no span outside its ring, no endless call; it may
 * be told CORRUPT, and then for good.
 */
#include "hostile.h"
#include "length.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MS INT64_C(1000000)
#define CALL_MS 2000 /* no call may take longer; each is given 1 ms */
#define STICKY 10    /* calls after CORRUPT, which must say so again */

/* ---- The hostile peer ---- */

struct hostile {
    pthread_mutex_t mutex; /* held while it writes */
    struct region regions[HANDSHAKE_MAX_RINGS];
    unsigned region_count; /* 0: nothing to write to */
    bool over;
    uint64_t writes;
};

static void *be_hostile(void *context) {
    struct hostile *hostile = context;
    uint64_t random = 4;
    for (bool over = false; !over;) {
        pthread_mutex_lock(&hostile->mutex);
        for (int i = 0; i < 16 && hostile->region_count > 0; i++, hostile->writes++)
            hostile_write(
                &hostile->regions[test_random_below(&random, hostile->region_count)],
                &random);
        over = hostile->over;
        pthread_mutex_unlock(&hostile->mutex);
        /* Sometimes slow, so that the other end gets somewhere. */
        for (uint64_t pauses = test_random_below(&random, 2000); pauses > 0; pauses--)
            ty_pause();
    }
    return NULL;
}

static void let_loose(struct hostile *hostile, const struct tachyon_bus *bus,
                      unsigned rings) {
    pthread_mutex_lock(&hostile->mutex);
    for (unsigned i = 0; i < rings; i++)
        hostile->regions[i] = bus->regions[i];
    hostile->region_count = rings;
    pthread_mutex_unlock(&hostile->mutex);
}

static void call_off(struct hostile *hostile) {
    pthread_mutex_lock(&hostile->mutex);
    hostile->region_count = 0;
    pthread_mutex_unlock(&hostile->mutex);
}

/* ---- The honest end ---- */

struct outcome {
    uint64_t calls, spans, corrupt;
    int64_t longest_ns;
};

/* What may be said while nothing was given. */
static bool is_expected(tachyon_error_t error) {
    return error == TACHYON_ERR_TIMEOUT || error == TACHYON_ERR_EMPTY ||
           error == TACHYON_ERR_FULL || error == TACHYON_ERR_CORRUPT ||
           error == TACHYON_ERR_BUSY || error == TACHYON_ERR_INVALID_SZ;
}

enum habit { RECEIVE, BATCH, ARRAY, COPY, SEND_IN_PLACE, SEND, SEND_ARRAY, HABITS };

/* One call; false when nothing was given. */
static bool use_bus(tachyon_bus_t *bus, enum habit habit, uint64_t *random,
                    struct outcome *outcome) {
    const struct region *region = &bus->regions[0];
    tachyon_msg_view_t views[16];
    uint32_t type;
    size_t size = message_size(test_random(random), CAPACITY - 128), count;
    int64_t timeout_ns = test_random_below(random, 2) * MS;
    uint64_t handed = 0;
    void *slot;
    switch (habit) {
    case RECEIVE: {
        const void *message =
            tachyon_acquire_rx_timed(bus, &type, &size, 5, timeout_ns);
        if (!message)
            return false;
        outcome->spans += hostile_span(region, message, size);
        return tachyon_commit_rx(bus) == TACHYON_SUCCESS;
    }
    case BATCH:
        count = tachyon_drain_batch_timed(bus, views, 16, 5, timeout_ns);
        for (size_t i = 0; i < count; i++) {
            outcome->spans += hostile_span(region, views[i].ptr, views[i].actual_size);
            handed += views[i].reserved_;
        }
        CHECK(handed <= CAPACITY - 64); /* what an honest producer can have out */
        return count > 0 &&
               tachyon_commit_rx_batch(
                   bus, views, 1 + test_random_below(random, count)) == TACHYON_SUCCESS;
    case ARRAY: { /* of any size but the right one too */
        uint64_t items[64];
        return tachyon_recv_batch(bus, items, test_random_below(random, 4) ? 8 : 16, 32,
                                  &type, 5, timeout_ns) > 0;
    }
    case COPY: {
        uint8_t item[64];
        return tachyon_recv(bus, item, sizeof item, &size, &type, 5, timeout_ns) == 0;
    }
    case SEND_IN_PLACE: {
        size_t stride, commits;
        uint8_t *at = tachyon_acquire_tx_batch(bus, 1 + size % 500, 40, &count, &stride,
                                               5, timeout_ns);
        for (size_t i = 0; at && i < count; i++) {
            outcome->spans += hostile_span(region, at + i * stride, 1 + size % 500);
            memset(at + i * stride, 1, 1 + size % 500);
        }
        if (!at)
            return false;
        commits = test_random_below(random, count + 1);
        if (tachyon_commit_tx_batch(bus, commits, 1) != TACHYON_SUCCESS)
            return false;
        tachyon_flush(bus);
        return true;
    }
    case SEND_ARRAY: {
        static const uint64_t items[64];
        return tachyon_send_batch(bus, items, 8, 1 + test_random_below(random, 64), 1,
                                  5, timeout_ns) > 0;
    }
    default:
        slot = tachyon_acquire_tx_timed(bus, size, 5, timeout_ns);
        if (!slot)
            return false;
        outcome->spans += hostile_span(region, slot, size);
        memset(slot, 1, size);
        if (tachyon_commit_tx(bus, size, 1) != TACHYON_SUCCESS)
            return false;
        tachyon_flush(bus);
        return true;
    }
}

/* A call may fail for two reasons before it is retried; CORRUPT stays. */
static bool check_failure(tachyon_state_t (*state)(const void *handle),
                          const void *handle, struct outcome *outcome) {
    tachyon_error_t error = tachyon_last_error();
    if (!is_expected(error))
        FAIL("a hostile peer causes %s", tachyon_last_error_message());
    if (error != TACHYON_ERR_CORRUPT)
        return error != TACHYON_ERR_BUSY; /* our direction is taken: start again */
    outcome->corrupt++;
    CHECK_EQ(state(handle), TACHYON_STATE_FATAL_ERROR);
    return false;
}

static tachyon_state_t bus_state(const void *handle) {
    return tachyon_get_state(handle);
}

static tachyon_state_t rpc_state(const void *handle) {
    return tachyon_rpc_get_state(handle);
}

static void measure(int64_t begin_ns, struct outcome *outcome) {
    int64_t took_ns = ty_now_ns() - begin_ns;
    outcome->calls++;
    outcome->longest_ns = took_ns > outcome->longest_ns ? took_ns : outcome->longest_ns;
    if (took_ns > CALL_MS * MS)
        FAIL("a call with a time-out of 1 ms takes %jd ms", (intmax_t)(took_ns / MS));
}

static void suffer_on_a_bus(struct hostile *hostile, enum habit habit, uint64_t *random,
                            struct outcome *outcome) {
    struct pair pair = pair_open(CAPACITY);
    hostile_surround(&pair.listener->regions[0]);
    const struct region guarded = pair.listener->regions[0];
    let_loose(hostile, pair.connector, 1);
    bool usable = true;
    for (int i = 0; i < 20000 && usable; i++) {
        int64_t begin_ns = ty_now_ns();
        bool given = use_bus(pair.listener, habit, random, outcome);
        measure(begin_ns, outcome);
        usable = given || check_failure(bus_state, pair.listener, outcome);
    }
    bool corrupt = !usable && tachyon_last_error() == TACHYON_ERR_CORRUPT;
    for (int i = 0; corrupt && i < STICKY; i++) {
        CHECK(!use_bus(pair.listener, habit, random, outcome));
        CHECK_EQ(tachyon_last_error(), TACHYON_ERR_CORRUPT);
    }
    call_off(hostile);
    pair_close(&pair);
    hostile_remove_guards(&guarded);
}

struct rpc_pair {
    const char *path;
    tachyon_rpc_bus_t *callee, *caller;
};

static void *listen_for_calls(void *context) {
    struct rpc_pair *pair = context;
    CHECK_OK(tachyon_rpc_listen(pair->path, CAPACITY, CAPACITY, &pair->callee));
    return NULL;
}

static bool use_callee(tachyon_rpc_bus_t *rpc, uint64_t *random,
                       struct outcome *outcome) {
    const struct region *region = &((struct tachyon_bus *)(void *)rpc)->regions[0];
    uint64_t id;
    uint32_t type;
    size_t size;
    const void *request = tachyon_rpc_serve_timed(rpc, &id, &type, &size, 5, MS);
    if (!request)
        return false;
    outcome->spans += hostile_span(region, request, size);
    tachyon_error_t error = tachyon_rpc_commit_serve(rpc);
    if (error == TACHYON_SUCCESS)
        error = tachyon_rpc_reply_timed(rpc, id, "reply", test_random_below(random, 6),
                                        1, 5, MS);
    return error == TACHYON_SUCCESS;
}

static bool use_caller(tachyon_rpc_bus_t *rpc, uint64_t *random,
                       struct outcome *outcome) {
    uint64_t id;
    uint32_t type;
    size_t size;
    if (tachyon_rpc_call_timed(rpc, "call", test_random_below(random, 5), 1, &id, 5,
                               MS) != TACHYON_SUCCESS)
        return false;
    id -= test_random_below(random, id < 4 ? id : 4);
    const uint8_t *reply = test_random_below(random, 4)
                               ? tachyon_rpc_wait_timed(rpc, id, &size, &type, 5, MS)
                               : tachyon_rpc_wait_any(rpc, &id, &size, &type, 5, MS);
    if (!reply)
        return false;
    CHECK(size <= CAPACITY);
    uint8_t sum = 0; /* in the ring or a copy */
    for (size_t i = 0; i < size; i++)
        sum ^= ((volatile const uint8_t *)reply)[i];
    (void)sum;
    outcome->spans++;
    return tachyon_rpc_commit_rx(rpc) == TACHYON_SUCCESS;
}

static void suffer_on_calls(struct hostile *hostile, bool caller, uint64_t *random,
                            struct outcome *outcome) {
    struct rpc_pair pair = {.path = test_path("calls")};
    tachyon_options_t options = options_with_timeout_ms(5000);
    pthread_t listener = test_thread(listen_for_calls, &pair);
    CHECK_OK(tachyon_rpc_connect_with(pair.path, &options, &pair.caller));
    test_join(listener);
    tachyon_rpc_bus_t *ours = caller ? pair.caller : pair.callee;
    struct tachyon_bus *bus = (void *)ours;
    for (int i = 0; i < 2; i++)
        hostile_surround(&bus->regions[i]);
    ty_bus_arm_tx(bus, &bus->regions[caller ? 0 : 1]);
    ty_bus_arm_rx(bus, &bus->regions[caller ? 1 : 0]);
    const struct region guarded[] = {bus->regions[0], bus->regions[1]};
    let_loose(hostile, (void *)(caller ? pair.callee : pair.caller), 2);
    bool usable = true;
    for (int i = 0; i < 20000 && usable; i++) {
        int64_t begin_ns = ty_now_ns();
        bool given = caller ? use_caller(ours, random, outcome)
                            : use_callee(ours, random, outcome);
        measure(begin_ns, outcome);
        usable = given || check_failure(rpc_state, ours, outcome);
    }
    bool corrupt = !usable && tachyon_last_error() == TACHYON_ERR_CORRUPT;
    for (int i = 0; corrupt && i < STICKY; i++) {
        CHECK(caller ? !use_caller(ours, random, outcome)
                     : !use_callee(ours, random, outcome));
        CHECK_EQ(tachyon_last_error(), TACHYON_ERR_CORRUPT);
    }
    call_off(hostile);
    tachyon_rpc_destroy(pair.caller);
    tachyon_rpc_destroy(pair.callee);
    for (int i = 0; i < 2; i++)
        hostile_remove_guards(&guarded[i]);
}

TEST(a_hostile_peer_can_do_no_more_than_end_the_connection) {
    struct length length = length_begin("R4", "seconds", 10, 3600);
    struct hostile hostile = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    struct outcome outcome = {0};
    uint64_t random = 44, connections = 0;
    pthread_t thread = test_thread(be_hostile, &hostile);
    while (length_goes_on(&length)) {
        switch (connections++ % (HABITS + 2)) {
        case HABITS:
            suffer_on_calls(&hostile, true, &random, &outcome);
            break;
        case HABITS + 1:
            suffer_on_calls(&hostile, false, &random, &outcome);
            break;
        default:
            suffer_on_a_bus(&hostile, (enum habit)((connections - 1) % (HABITS + 2)),
                            &random, &outcome);
        }
        length.done = (uint64_t)(test_now_ms() - length.begin_ms) / 1000;
    }
    pthread_mutex_lock(&hostile.mutex);
    hostile.over = true;
    pthread_mutex_unlock(&hostile.mutex);
    test_join(thread);
    length_end(&length,
               "%" PRIu64 " connections, %" PRIu64 " hostile writes, %" PRIu64
               " calls, %" PRIu64 " spans, %" PRIu64
               " times corrupt, longest call %.1f ms",
               connections, hostile.writes, outcome.calls, outcome.spans,
               outcome.corrupt, (double)outcome.longest_ns / 1e6);
    CHECK(outcome.spans > 100 && outcome.corrupt > 10);
}
