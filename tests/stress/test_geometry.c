/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever has gone through a ring of whatever size: once it is emptied it takes any
 * legal message, wherever in the ring that begins; and so it is with many peers.
 */
#include "arena.h"
#include "crowd.h"
#include "length.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define GEOMETRIES 9 /* 4 KiB to 1 MiB */
#define MS INT64_C(1000000)

static size_t random_size(uint64_t *random, size_t most) {
    switch (test_random_below(random, 4)) {
    case 0:
        return test_random_below(random, most + 1);
    case 1: /* around the edges of lines */
        return 64 * test_random_below(random, most / 64) + test_random_below(random, 3);
    case 2:
        return most - test_random_below(random, 130);
    default:
        return test_random_below(random, 200);
    }
}

static void put(struct arena *arena, size_t size, uint64_t number) {
    uint8_t *slot = ring_reserve(&arena->producer, size);
    if (!slot)
        FAIL("message %" PRIu64 " of %zu bytes does not fit an empty ring of %" PRIu64,
             number, size, arena->producer.capacity);
    if (size > 0)
        slot[0] = slot[size - 1] = (uint8_t)number;
    ring_commit(&arena->producer, size, (uint32_t)number, number);
}

static void take(struct arena *arena, size_t size, uint64_t number) {
    struct ring_record record;
    if (ring_look_at(&arena->consumer, 0, &record) != RING_FOUND)
        FAIL("message %" PRIu64 " of %zu bytes is not there", number, size);
    CHECK(record.size == size && record.type_id == (uint32_t)number &&
          record.correlation_id == number);
    if (size > 0)
        CHECK(record.payload[0] == (uint8_t)number &&
              record.payload[size - 1] == (uint8_t)number);
    arena->consumer.handed = record.bytes;
    arena->consumer.handed_count = 1;
    ring_release(&arena->consumer, record.bytes, 1);
}

/* Fill with random messages, a rollback among them, and empty the ring again. */
static void history(struct arena *arena, uint64_t *random, uint64_t *number) {
    size_t sizes[8], most = ring_max_payload(arena->producer.capacity);
    size_t count = test_random_below(random, 8);
    uint64_t first = *number;
    for (size_t i = 0; i < count; i++) {
        sizes[i] = random_size(random, most / (test_random_below(random, 8) + 1));
        if (test_random_below(random, 8) == 0)
            (void)ring_reserve(&arena->producer, random_size(random, most));
        if (!ring_reserve(&arena->producer, sizes[i]))
            count = i;
        else
            put(arena, sizes[i], (*number)++);
    }
    if (arena->producer.first_word != 0)
        ring_publish(&arena->producer);
    for (size_t i = 0; i < count; i++)
        take(arena, sizes[i], first + i);
    CHECK(ring_refresh(&arena->producer));
}

TEST(an_emptied_ring_takes_any_legal_message) {
    struct length length = length_begin("R8", "histories", 1000000, 1000000);
    struct arena arenas[GEOMETRIES];
    uint64_t random = 8, number = 0;
    for (size_t i = 0; i < GEOMETRIES; i++)
        arenas[i] = arena_make((size_t)4096 << i);
    for (; length_goes_on(&length); length.done++) {
        struct arena *arena = &arenas[test_random_below(&random, GEOMETRIES)];
        history(arena, &random, &number);
        size_t size = random_size(&random, ring_max_payload(arena->producer.capacity));
        put(arena, size, number);
        ring_publish(&arena->producer);
        take(arena, size, number++);
        CHECK(ring_refresh(&arena->producer));
        struct ring_record record;
        CHECK_EQ(ring_look_at(&arena->consumer, 0, &record), RING_EMPTY);
    }
    length_end(&length, "%" PRIu64 " messages", number);
    for (size_t i = 0; i < GEOMETRIES; i++)
        arena_free(&arenas[i]);
}

/* The same through the API, where the stall of fault 1 was seen. */
TEST(fault_1_a_bus_flows_with_messages_of_any_size) {
    uint64_t random = 1;
    for (size_t capacity = 4096; capacity <= (1u << 20); capacity *= 4) {
        struct pair pair = pair_open(capacity);
        size_t most = tachyon_max_payload(pair.listener);
        CHECK_EQ(most, capacity - 128);
        for (uint64_t number = 0; number < 2000; number++) {
            size_t size = number < 40 ? most : random_size(&random, most);
            uint8_t *slot = tachyon_acquire_tx_timed(pair.listener, size, 0, 0);
            if (!slot)
                FAIL("%zu bytes into an empty ring of %zu: %s", size, capacity,
                     tachyon_last_error_message());
            if (size > 0)
                slot[0] = slot[size - 1] = (uint8_t)number;
            CHECK_OK(tachyon_commit_tx(pair.listener, size, (uint32_t)number));
            tachyon_flush(pair.listener);
            uint32_t type;
            size_t received;
            const uint8_t *message =
                tachyon_acquire_rx(pair.connector, &type, &received);
            CHECK(message && received == size && type == (uint32_t)number);
            CHECK(size == 0 || message[size - 1] == (uint8_t)number);
            CHECK_OK(tachyon_commit_rx(pair.connector));
        }
        CHECK_REFUSED(tachyon_acquire_tx(pair.listener, most + 1),
                      TACHYON_ERR_INVALID_SZ);
        pair_close(&pair);
    }
}

/* ---- One listener, many peers ---- */

#define PEERS 3
#define AT_A_TIME 4096 /* messages */

/* At each boundary of the layout, then anything. */
static size_t edge_size(uint64_t number, size_t most, uint64_t *random) {
    static const size_t lines[] = {0, 32, 64, 96, 128, 4096 - 128};
    enum { LINES = sizeof lines / sizeof lines[0] };
    if (number >= 2 * 3 * LINES)
        return random_size(random, most);
    size_t base = lines[number / 3 % LINES];
    if (number >= 3 * LINES) /* as far from the end */
        base = most - base;
    size_t size = base + number % 3 - 1; /* one less, the same, one more */
    return size <= most ? size : most;
}

static bool try_message(tachyon_bus_t *bus, uint64_t number, size_t size) {
    uint8_t *slot = tachyon_acquire_tx_timed(bus, size, 0, 0);
    if (!slot) {
        CHECK_EQ(tachyon_last_error(), TACHYON_ERR_FULL);
        return false;
    }
    if (size > 0)
        slot[0] = slot[size - 1] = (uint8_t)number;
    CHECK_OK(tachyon_commit_tx(bus, size, (uint32_t)number));
    tachyon_flush(bus);
    return true;
}

static void expect_message(tachyon_bus_t *bus, uint64_t number, size_t size) {
    uint32_t type;
    size_t received;
    const uint8_t *message =
        tachyon_acquire_rx_timed(bus, &type, &received, 0, 1000 * MS);
    if (!message)
        FAIL("message %" PRIu64 " of %zu bytes: %s", number, size,
             tachyon_last_error_message());
    CHECK(received == size && type == (uint32_t)number);
    CHECK(size == 0 ||
          (message[0] == (uint8_t)number && message[size - 1] == (uint8_t)number));
    CHECK_OK(tachyon_commit_rx(bus));
}

/* As many as fit, from each sender to all receivers; then all are taken. The first into
 * the emptied ring fits whatever its size. */
static void flow(tachyon_bus_t **senders, unsigned sender_count,
                 tachyon_bus_t **receivers, unsigned receiver_count, size_t capacity,
                 uint64_t rounds) {
    static size_t sizes[AT_A_TIME];
    size_t most = tachyon_max_payload(receivers[0]);
    uint64_t random = capacity, number = 0;
    CHECK_EQ(most, capacity - 128);
    for (uint64_t round = 0; round < rounds; round++) {
        tachyon_bus_t *sender = senders[round % sender_count];
        uint64_t first = number;
        size_t size = edge_size(round, most, &random);
        do {
            if (!try_message(sender, number, size))
                break;
            sizes[number++ - first] = size;
            size = edge_size(test_random_below(&random, 100), most, &random);
        } while (number - first < AT_A_TIME && test_random_below(&random, 40) > 0);
        if (number == first)
            FAIL("%zu bytes into an empty ring of %zu: %s", size, capacity,
                 tachyon_last_error_message());
        for (unsigned i = 0; i < receiver_count; i++)
            for (uint64_t at = first; at < number; at++)
                expect_message(receivers[i], at, sizes[at - first]);
    }
    for (unsigned i = 0; i < sender_count; i++)
        CHECK_REFUSED(tachyon_acquire_tx(senders[i], most + 1), TACHYON_ERR_INVALID_SZ);
}

static void flow_among_many(uint32_t role, uint32_t max_peers) {
    const char *path = test_path("bus");
    for (size_t capacity = 4096; capacity <= (1u << 24); capacity *= 8) {
        bool large = capacity > (1u << 20);
        tachyon_options_t options = {
            .size = sizeof options, .role = role, .max_peers = max_peers};
        unsigned count = max_peers < PEERS ? max_peers : PEERS;
        tachyon_bus_t *bus, *peers[PEERS];
        CHECK_OK(tachyon_bus_listen_with(path, capacity, &options, &bus));
        for (unsigned i = 0; i < count; i++)
            peers[i] = crowd_join(bus, path, NULL);
        if (role == TACHYON_ROLE_PRODUCER)
            flow(&bus, 1, peers, count, capacity, large ? 60 : 500);
        else
            flow(peers, count, &bus, 1, capacity, large ? 60 : 500);
        for (unsigned i = 0; i < count; i++)
            tachyon_bus_destroy(peers[i]);
        tachyon_bus_destroy(bus);
    }
}

TEST(a_broadcast_flows_with_messages_of_any_size) {
    flow_among_many(TACHYON_ROLE_PRODUCER, 8);
}

TEST(rings_of_many_producers_flow_with_messages_of_any_size) {
    flow_among_many(TACHYON_ROLE_CONSUMER, 8);
}

TEST(a_ring_of_one_consumer_at_a_time_flows_with_messages_of_any_size) {
    flow_among_many(TACHYON_ROLE_PRODUCER, 1);
}
