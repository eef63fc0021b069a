/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads against each other, for ThreadSanitizer. It sees no race between two
 * mappings of one memory, so both ends of these rings share one mapping: a payload
 * that the protocol does not order would be reported. A second part runs whole buses.
 */
#include "arena.h"
#include "bus.h"
#include "peers.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

#define MESSAGES (test_sanitized() ? 100000u : 500000u)
#define MOST 600

struct both {
    struct arena arena;
    uint64_t messages;
    unsigned batch; /* commits before a flush, at most */
};

static void wait_a_little(uint64_t *looks) {
    if (++*looks % 1024 == 0)
        test_let_others_run();
    else if (*looks % 64 == 0)
        sched_yield();
    else
        ty_pause();
}

static void *produce(void *context) {
    struct both *both = context;
    struct ring_producer *p = &both->arena.producer;
    uint64_t state = 1, looks = 0;
    for (uint64_t number = 0; number < both->messages;) {
        size_t size = message_size(number, MOST);
        uint8_t *payload = ring_reserve(p, size);
        if (!payload) {
            if (p->first_word)
                ring_publish(p);
            CHECK(ring_refresh(p));
            wait_a_little(&looks);
            continue;
        }
        message_write(number, payload, size);
        if (test_random_below(&state, 8) == 0) {
            p->offset = 0; /* given back */
            continue;
        }
        ring_commit(p, size, (uint32_t)number, ~number);
        number++;
        if (test_random_below(&state, both->batch) == 0)
            ring_publish(p);
    }
    if (p->first_word)
        ring_publish(p);
    return NULL;
}

static void consume(struct both *both) {
    struct ring_consumer *c = &both->arena.consumer;
    uint64_t state = 2, looks = 0;
    for (uint64_t number = 0; number < both->messages;) {
        uint64_t ahead = 0, count = 0;
        uint64_t most = 1 + test_random_below(&state, 2 * both->batch);
        struct ring_record record;
        while (count < most) {
            enum ring_look look = ring_look_at(c, ahead, &record);
            CHECK(look != RING_CORRUPT);
            if (look == RING_EMPTY)
                break;
            CHECK_EQ(record.type_id, (uint32_t)number);
            CHECK_EQ(record.correlation_id, ~number);
            CHECK_EQ(record.size, message_size(number, MOST));
            CHECK(message_is(number, record.payload, record.size));
            ahead += record.bytes;
            count++;
            number++;
        }
        if (count == 0) {
            wait_a_little(&looks);
            continue;
        }
        c->handed = ahead;
        c->handed_count = count;
        ring_release(c, ahead, count);
    }
}

TEST(a_ring_between_two_threads_has_no_race) {
    static const size_t capacities[] = {4096, 65536};
    static const unsigned batches[] = {1, 8, 64};
    for (size_t i = 0; i < 2; i++)
        for (size_t b = 0; b < 3; b++) {
            struct both both = {.arena = arena_make(capacities[i]),
                                .messages = MESSAGES / 6,
                                .batch = batches[b]};
            pthread_t thread = test_thread(produce, &both);
            consume(&both);
            test_join(thread);
            CHECK_EQ(both.arena.producer.messages, both.messages);
            CHECK_EQ(both.arena.consumer.messages, both.messages);
            arena_free(&both.arena);
        }
}

/* ---- The sleeper's and the waker's words ---- */

struct asleep {
    struct both both;
    _Atomic uint64_t bells_for_consumer, bells_for_producer;
};

/*
 * As the bus does it, but with bells for sockets: each end says what it waits for,
 * looks again, and waits for a bell. A bell that is never rung hangs the test.
 */
static void *produce_and_ring(void *context) {
    struct asleep *asleep = context;
    struct ring_producer *p = &asleep->both.arena.producer;
    uint64_t bells = 0, looks = 0;
    for (uint64_t number = 0; number < asleep->both.messages; number++) {
        size_t size = message_size(number, 1000);
        uint8_t *payload;
        while (!(payload = ring_reserve(p, size))) {
            ring_want_space(p, ring_record_bytes(size > RING_INLINE_BYTES, size));
            atomic_thread_fence(memory_order_seq_cst);
            CHECK(ring_refresh(p));
            if ((payload = ring_reserve(p, size)) != NULL) {
                ring_want_space(p, 0);
                break;
            }
            while (atomic_load(&asleep->bells_for_producer) == bells)
                wait_a_little(&looks);
            bells = atomic_load(&asleep->bells_for_producer);
            ring_want_space(p, 0);
            CHECK(ring_refresh(p));
        }
        message_write(number, payload, size);
        ring_commit(p, size, (uint32_t)number, 0);
        ring_publish(p);
        atomic_thread_fence(memory_order_seq_cst);
        if (ring_consumer_sleeps(p))
            atomic_fetch_add(&asleep->bells_for_consumer, 1);
    }
    return NULL;
}

TEST(sleeping_ends_of_a_ring_are_always_woken) {
    struct asleep asleep = {.both = {.arena = arena_make(4096),
                                     .messages = test_sanitized() ? 30000 : 100000}};
    struct ring_consumer *c = &asleep.both.arena.consumer;
    uint64_t bells = 0, looks = 0;
    pthread_t thread = test_thread(produce_and_ring, &asleep);
    for (uint64_t number = 0; number < asleep.both.messages; number++) {
        struct ring_record record;
        while (ring_look_at(c, 0, &record) != RING_FOUND) {
            ring_want_record(c, true);
            atomic_thread_fence(memory_order_seq_cst);
            if (ring_look_at(c, 0, &record) != RING_FOUND) {
                while (atomic_load(&asleep.bells_for_consumer) == bells)
                    wait_a_little(&looks);
                bells = atomic_load(&asleep.bells_for_consumer);
            }
            ring_want_record(c, false);
        }
        CHECK_EQ(record.type_id, (uint32_t)number);
        CHECK(message_is(number, record.payload, record.size));
        c->handed = record.bytes;
        c->handed_count = 1;
        ring_release(c, record.bytes, 1);
        atomic_thread_fence(memory_order_seq_cst);
        if (ring_producer_sleeps(c))
            atomic_fetch_add(&asleep.bells_for_producer, 1);
    }
    test_join(thread);
    arena_free(&asleep.both.arena);
}

/* ---- Whole buses ---- */

struct stream {
    tachyon_bus_t *bus;
    uint64_t messages;
    bool shared; /* another owner remains: destroy does not flush */
};

static void *send_stream(void *context) {
    struct stream *stream = context;
    uint64_t state = 3;
    for (uint64_t number = 0; number < stream->messages; number++) {
        size_t size = message_size(number, 3000);
        void *slot = tachyon_acquire_tx_timed(stream->bus, size, 1000, -1);
        if (!slot)
            FAIL("message %ju: %s", (uintmax_t)number, tachyon_last_error_message());
        message_write(number, slot, size);
        CHECK_OK(tachyon_commit_tx(stream->bus, size, (uint32_t)number));
        if (test_random_below(&state, 10) == 0)
            tachyon_flush(stream->bus);
    }
    if (stream->shared)
        tachyon_flush(stream->bus);
    tachyon_bus_destroy(stream->bus);
    return NULL;
}

TEST(a_bus_between_two_threads_delivers_all_in_order) {
    for (int swap = 0; swap < 2; swap++) {
        struct pair pair = pair_open(swap ? 4096 : 65536);
        struct stream stream = {.bus = swap ? pair.listener : pair.connector,
                                .messages = test_sanitized() ? 20000 : 100000};
        tachyon_bus_t *receiver = swap ? pair.connector : pair.listener;
        pthread_t thread = test_thread(send_stream, &stream);
        tachyon_msg_view_t views[32];
        uint64_t number = 0;
        size_t count;
        while ((count = tachyon_drain_batch(receiver, views, 32, 1000)) > 0) {
            for (size_t i = 0; i < count; i++, number++) {
                CHECK_EQ(views[i].type_id, (uint32_t)number);
                CHECK_EQ(views[i].actual_size, message_size(number, 3000));
                CHECK(message_is(number, views[i].ptr, views[i].actual_size));
            }
            CHECK_OK(tachyon_commit_rx_batch(receiver, views, count));
        }
        CHECK_EQ(tachyon_last_error(), TACHYON_ERR_CLOSED);
        CHECK_EQ(number, stream.messages);
        test_join(thread);
        tachyon_bus_destroy(receiver);
    }
}

static _Atomic bool stop;

static void *look_at_it(void *context) {
    tachyon_bus_t *bus = context;
    for (int i = 0; !atomic_load(&stop); i++) {
        tachyon_peer_t peer;
        CHECK_EQ(tachyon_get_state(bus), TACHYON_STATE_READY);
        CHECK_EQ(tachyon_max_payload(bus), 4096 - 128);
        CHECK_OK(tachyon_bus_get_peer(bus, &peer));
        tachyon_bus_set_polling_mode(bus, i % 2);
        tachyon_bus_ref(bus);
        tachyon_bus_destroy(bus);
        sched_yield();
    }
    return NULL;
}

TEST(any_thread_may_look_share_and_set_while_others_send_and_receive) {
    struct pair pair = pair_open(4096);
    pthread_t lookers[] = {test_thread(look_at_it, pair.listener),
                           test_thread(look_at_it, pair.connector)};
    struct stream stream = {.bus = pair.connector,
                            .messages = test_sanitized() ? 5000 : 20000,
                            .shared = true};
    tachyon_bus_ref(pair.connector);
    pthread_t thread = test_thread(send_stream, &stream);
    for (uint64_t number = 0; number < stream.messages; number++) {
        uint32_t type;
        size_t size;
        const void *message =
            tachyon_acquire_rx_blocking(pair.listener, &type, &size, 100);
        if (!message)
            FAIL("message %ju: %s", (uintmax_t)number, tachyon_last_error_message());
        CHECK_EQ(type, (uint32_t)number);
        CHECK(message_is(number, message, size));
        CHECK_OK(tachyon_commit_rx(pair.listener));
    }
    test_join(thread);
    atomic_store(&stop, true);
    test_join(lookers[0]);
    test_join(lookers[1]);
    pair_close(&pair);
}
