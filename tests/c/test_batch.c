/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays: send_batch, recv_batch, a batch that is one array in the ring, and one that is
 * written there. */
#include "bus.h"
#include "peers.h"

#include <signal.h>
#include <string.h>

#define MS INT64_C(1000000)

static uint32_t type;
static size_t size;

struct item {
    uint64_t number;
    uint8_t rest[24];
};

static void fill(struct item *items, size_t count, uint64_t first) {
    for (size_t i = 0; i < count; i++) {
        items[i].number = first + i;
        memset(items[i].rest, (int)(uint8_t)(first + i), sizeof items[i].rest);
    }
}

static void check_items(const struct item *items, size_t count, uint64_t first) {
    struct item expected;
    for (size_t i = 0; i < count; i++) {
        fill(&expected, 1, first + i);
        if (memcmp(&items[i], &expected, sizeof expected) != 0)
            FAIL("item %zu is number %ju, not %ju", i, (uintmax_t)items[i].number,
                 (uintmax_t)expected.number);
    }
}

TEST(an_array_arrives_as_messages_in_order) {
    struct pair pair = pair_open(65536);
    struct item items[200], received[200];
    fill(items, 200, 1);
    CHECK_EQ(tachyon_send_batch(pair.connector, items, sizeof *items, 200, 7, 0, 0),
             200);
    for (uint64_t number = 1; number <= 100; number++) {
        const struct item *one = tachyon_acquire_rx(pair.listener, &type, &size);
        CHECK(one);
        CHECK_EQ(size, sizeof *one);
        CHECK_EQ(type, 7);
        check_items(one, 1, number);
        CHECK_OK(tachyon_commit_rx(pair.listener));
    }
    CHECK_EQ(
        tachyon_recv_batch(pair.listener, received, sizeof *received, 200, &type, 0, 0),
        100);
    CHECK_EQ(type, 7);
    check_items(received, 100, 101);
    CHECK_REFUSED(
        tachyon_recv_batch(pair.listener, received, sizeof *received, 200, &type, 0, 0),
        TACHYON_ERR_EMPTY);
    tachyon_stats_t stats;
    CHECK_OK(tachyon_bus_get_stats(pair.listener, &stats));
    CHECK_EQ(stats.messages, 200);
    pair_close(&pair);
}

TEST(an_array_of_any_item_size_arrives) {
    static uint8_t items[2 * 3968 + 60000], received[sizeof items];
    uint64_t state = 1;
    for (size_t i = 0; i < sizeof items; i++)
        items[i] = (uint8_t)test_random(&state);
    struct pair pair = pair_open(4096);
    for (size_t item = 1; item <= 3968; item += item < 200 ? 1 : 471) {
        size_t count = 2 + 300 / item;
        size_t sent = 0, taken = 0;
        while (taken < count) {
            sent += tachyon_send_batch(pair.connector, items + sent * item, item,
                                       count - sent, 1, 0, 0);
            taken += tachyon_recv_batch(pair.listener, received + taken * item, item,
                                        count - taken, &type, 0, 0);
        }
        CHECK_EQ(sent, count);
        CHECK(memcmp(items, received, count * item) == 0);
    }
    pair_close(&pair);
}

TEST(a_full_ring_splits_an_array) {
    struct pair pair = pair_open(4096);
    struct item items[100], received[100];
    fill(items, 100, 1);
    /* 64 lines, one of which is the next word's. */
    CHECK_EQ(tachyon_send_batch(pair.connector, items, sizeof *items, 100, 7, 0, 0),
             63);
    CHECK_EQ(tachyon_last_error(), TACHYON_ERR_FULL);
    CHECK_TAKES(30, 1000,
                CHECK_REFUSED(tachyon_send_batch(pair.connector, items, sizeof *items,
                                                 1, 7, 0, 30 * MS),
                              TACHYON_ERR_TIMEOUT));
    CHECK_EQ(
        tachyon_recv_batch(pair.listener, received, sizeof *received, 10, &type, 0, 0),
        10);
    CHECK_EQ(tachyon_send_batch(pair.connector, items + 63, sizeof *items, 37, 7, 0,
                                30 * MS),
             10);
    CHECK_EQ(tachyon_last_error(), TACHYON_ERR_TIMEOUT);
    CHECK_EQ(tachyon_recv_batch(pair.listener, received + 10, sizeof *received, 90,
                                &type, 0, 0),
             63);
    check_items(received, 73, 1);
    pair_close(&pair);
}

struct stream {
    tachyon_bus_t *bus;
    size_t count;
};

static void *send_stream(void *context) {
    struct stream *stream = context;
    struct item items[1000];
    for (size_t sent = 0; sent < stream->count; sent += 1000) {
        fill(items, 1000, sent);
        CHECK_EQ(tachyon_send_batch(stream->bus, items, sizeof *items, 1000, 7, 100,
                                    10000 * MS),
                 1000);
    }
    return NULL;
}

TEST(an_array_larger_than_the_ring_waits_for_room) {
    struct pair pair = pair_open(4096);
    struct stream stream = {pair.connector, test_sanitized() ? 20000 : 200000};
    struct item received[150];
    pthread_t sender = test_thread(send_stream, &stream);
    for (size_t taken = 0; taken < stream.count;) {
        size_t count = tachyon_recv_batch(pair.listener, received, sizeof *received,
                                          150, &type, 0, 10000 * MS);
        if (count == 0)
            FAIL("after %zu: %s", taken, tachyon_last_error_message());
        check_items(received, count, taken);
        taken += count;
    }
    test_join(sender);
    pair_close(&pair);
}

TEST(an_open_reservation_is_replaced_by_an_array) {
    struct pair pair = pair_open(4096);
    struct item items[2], received[2];
    fill(items, 2, 1);
    memset(tachyon_acquire_tx(pair.connector, 1000), 0xFF, 1000);
    CHECK_EQ(tachyon_send_batch(pair.connector, items, sizeof *items, 2, 7, 0, 0), 2);
    CHECK_ERROR(tachyon_commit_tx(pair.connector, 1000, 7), TACHYON_ERR_EMPTY);
    CHECK_EQ(
        tachyon_recv_batch(pair.listener, received, sizeof *received, 2, &type, 0, 0),
        2);
    check_items(received, 2, 1);
    pair_close(&pair);
}

TEST(committed_messages_go_before_an_array) {
    struct pair pair = pair_open(4096);
    struct item items[3], received[3];
    fill(items, 3, 1);
    void *slot = tachyon_acquire_tx(pair.connector, sizeof *items);
    memcpy(slot, items, sizeof *items);
    CHECK_OK(tachyon_commit_tx(pair.connector, sizeof *items, 7));
    CHECK_EQ(tachyon_send_batch(pair.connector, items + 1, sizeof *items, 2, 7, 0, 0),
             2);
    CHECK_EQ(
        tachyon_recv_batch(pair.listener, received, sizeof *received, 3, &type, 0, 0),
        3);
    check_items(received, 3, 1);
    pair_close(&pair);
}

TEST(another_size_or_type_ends_a_batch_and_is_kept) {
    struct pair pair = pair_open(4096);
    struct item items[4], received[4];
    fill(items, 4, 1);
    CHECK_EQ(tachyon_send_batch(pair.connector, items, sizeof *items, 2, 7, 0, 0), 2);
    CHECK_OK(tachyon_send(pair.connector, items + 2, sizeof *items, 8, 0, 0));
    CHECK_OK(tachyon_send(pair.connector, "short", 5, 8, 0, 0));
    CHECK_OK(tachyon_send(pair.connector, items + 3, sizeof *items, 8, 0, 0));

    CHECK_EQ(
        tachyon_recv_batch(pair.listener, received, sizeof *received, 4, &type, 0, 0),
        2);
    CHECK_EQ(type, 7);
    CHECK_EQ(tachyon_recv_batch(pair.listener, received + 2, sizeof *received, 2, &type,
                                0, -1),
             1);
    CHECK_EQ(type, 8);
    CHECK_REFUSED(
        tachyon_recv_batch(pair.listener, received, sizeof *received, 4, &type, 0, -1),
        TACHYON_ERR_INVALID_SZ);
    CHECK_SAYS("the next message has 5 bytes, the items of the array have 32");
    const void *odd = tachyon_acquire_rx(pair.listener, &type, &size);
    CHECK(odd && size == 5 && memcmp(odd, "short", 5) == 0);
    CHECK_OK(tachyon_commit_rx(pair.listener));
    CHECK_EQ(tachyon_recv_batch(pair.listener, received + 3, sizeof *received, 1, &type,
                                0, 0),
             1);
    check_items(received, 4, 1);
    pair_close(&pair);
}

TEST(a_stream_that_ends_in_a_batch_is_drained_first) {
    struct pair pair = pair_open(4096);
    struct item items[3], received[4];
    fill(items, 3, 1);
    CHECK_EQ(tachyon_send_batch(pair.connector, items, sizeof *items, 3, 7, 0, 0), 3);
    tachyon_bus_destroy(pair.connector);
    CHECK_EQ(
        tachyon_recv_batch(pair.listener, received, sizeof *received, 2, &type, 0, -1),
        2);
    CHECK_EQ(tachyon_recv_batch(pair.listener, received + 2, sizeof *received, 2, &type,
                                0, -1),
             1);
    check_items(received, 3, 1);
    CHECK_REFUSED(
        tachyon_recv_batch(pair.listener, received, sizeof *received, 2, &type, 0, -1),
        TACHYON_ERR_CLOSED);
    tachyon_bus_destroy(pair.listener);
}

TEST(an_array_to_a_peer_that_is_gone_says_so) {
    struct pair pair = pair_open(4096);
    struct item items[100];
    fill(items, 100, 1);
    CHECK_EQ(tachyon_send_batch(pair.connector, items, sizeof *items, 3, 7, 0, 0), 3);
    tachyon_bus_destroy(pair.listener);
    size_t sent =
        tachyon_send_batch(pair.connector, items, sizeof *items, 100, 7, 0, 1000 * MS);
    CHECK(sent < 100);
    CHECK_EQ(tachyon_last_error(), TACHYON_ERR_CLOSED);
    tachyon_bus_destroy(pair.connector);
}

TEST(bad_arrays_are_refused_by_name) {
    struct pair pair = pair_open(4096);
    struct item item = {0};
    CHECK_EQ(tachyon_send_batch(NULL, &item, 32, 1, 1, 0, 0), 0);
    CHECK_EQ(tachyon_last_error(), TACHYON_ERR_NULL_PTR);
    CHECK_SAYS("bus is NULL");
    CHECK_EQ(tachyon_send_batch(pair.connector, NULL, 32, 1, 1, 0, 0), 0);
    CHECK_SAYS("items is NULL");
    CHECK_EQ(tachyon_send_batch(pair.connector, NULL, 32, 0, 1, 0, 0), 0);
    CHECK_EQ(tachyon_send_batch(pair.connector, &item, 0, 1, 1, 0, 0), 0);
    CHECK_EQ(tachyon_last_error(), TACHYON_ERR_INVALID_SZ);
    CHECK_SAYS("item_size is 0");
    CHECK_EQ(tachyon_send_batch(pair.connector, &item, 3969, 1, 1, 0, 0), 0);
    CHECK_EQ(tachyon_last_error(), TACHYON_ERR_INVALID_SZ);
    CHECK_SAYS("a message of 3969 bytes can never fit: this ring takes 3968 at most");

    CHECK_REFUSED(tachyon_recv_batch(NULL, &item, 32, 1, &type, 0, 0),
                  TACHYON_ERR_NULL_PTR);
    CHECK_REFUSED(tachyon_recv_batch(pair.listener, NULL, 32, 1, &type, 0, 0),
                  TACHYON_ERR_NULL_PTR);
    CHECK_SAYS("items is NULL");
    CHECK_REFUSED(tachyon_recv_batch(pair.listener, &item, 32, 1, NULL, 0, 0),
                  TACHYON_ERR_NULL_PTR);
    CHECK_SAYS("type_id is NULL");
    CHECK_REFUSED(tachyon_recv_batch(pair.listener, &item, 0, 1, &type, 0, 0),
                  TACHYON_ERR_INVALID_SZ);
    CHECK_SAYS("item_size is 0");
    CHECK_REFUSED(tachyon_recv_batch(pair.listener, &item, 32, 0, &type, 0, 0),
                  TACHYON_ERR_INVALID_SZ);
    CHECK_SAYS("max_count is 0");
    /* The wrong end. */
    CHECK_EQ(tachyon_send_batch(pair.connector, &item, 32, 1, 1, 0, 0), 1);
    CHECK_REFUSED(tachyon_recv_batch(pair.connector, &item, 32, 1, &type, 0, 0),
                  TACHYON_ERR_BUSY);
    CHECK_EQ(tachyon_send_batch(pair.listener, &item, 32, 1, 1, 0, 0), 0);
    CHECK_EQ(tachyon_last_error(), TACHYON_ERR_BUSY);
    pair_close(&pair);
}

TEST(a_batch_over_the_wrap_is_one_array) {
    struct pair pair = pair_open(4096);
    struct item items[40];
    tachyon_msg_view_t views[64];
    uint64_t next = 0;
    for (int round = 0; round < 100; round++) {
        fill(items, 40, next);
        CHECK_EQ(tachyon_send_batch(pair.connector, items, sizeof *items, 40, 7, 0, 0),
                 40);
        size_t count = tachyon_acquire_rx_batch(pair.listener, views, 64);
        CHECK_EQ(count, 40);
        size_t stride = tachyon_batch_stride(views, count);
        CHECK_EQ(stride, 64);
        for (size_t i = 0; i < count; i++)
            check_items((const void *)((const char *)views[0].ptr + i * stride), 1,
                        next + i);
        CHECK_OK(tachyon_commit_rx_batch(pair.listener, views, count));
        next += 40;
    }
    pair_close(&pair);
}

TEST(messages_of_other_sizes_or_places_are_no_array) {
    struct pair pair = pair_open(4096);
    tachyon_msg_view_t views[4];
    CHECK_EQ(tachyon_batch_stride(NULL, 1), 0);
    CHECK_EQ(tachyon_batch_stride(views, 0), 0);
    CHECK_OK(tachyon_send(pair.connector, "12345678", 8, 1, 0, 0));
    CHECK_OK(tachyon_send(pair.connector, "12345678", 8, 2, 0, 0));
    /* The same size, but reserved as a large one: it lies in the next line. */
    memcpy(tachyon_acquire_tx(pair.connector, 64), "12345678", 8);
    CHECK_OK(tachyon_commit_tx(pair.connector, 8, 1));
    CHECK_OK(tachyon_send(pair.connector, "1234567", 7, 1, 0, 0));
    CHECK_EQ(tachyon_acquire_rx_batch(pair.listener, views, 4), 4);
    CHECK_EQ(tachyon_batch_stride(views, 1), 64);
    CHECK_EQ(tachyon_batch_stride(views, 2), 64);
    CHECK_EQ(tachyon_batch_stride(views, 3), 0);
    CHECK_EQ(tachyon_batch_stride(views + 2, 2), 0);
    CHECK_EQ(tachyon_batch_stride(views + 2, 1), 128);
    pair_close(&pair);
}

/* ---- Written in place ---- */

enum { ONE_BY_ONE, COPIES, VIEWS, ARRAYS, CONSUMERS };

/* What lies in the ring, in order. */
struct sent {
    size_t count, sizes[300];
    uint32_t types[300];
    uint64_t first; /* number */
};

static void note(struct sent *sent, size_t count, size_t item, uint32_t of_type) {
    for (size_t i = 0; i < count; i++, sent->count++) {
        sent->sizes[sent->count] = item;
        sent->types[sent->count] = of_type;
    }
}

static void check_next(struct sent *sent, size_t *at, const void *payload) {
    CHECK(*at < sent->count);
    CHECK_EQ(size, sent->sizes[*at]);
    CHECK_EQ(type, sent->types[*at]);
    CHECK(message_is(sent->first + *at, payload, size));
    ++*at;
}

/* Take all of it, in one of the ways there are. */
static void take_all(tachyon_bus_t *bus, struct sent *sent, int how) {
    static uint8_t items[1 << 16];
    tachyon_msg_view_t views[7];
    size_t at = 0;
    const void *message;
    while (how == ONE_BY_ONE && (message = tachyon_acquire_rx(bus, &type, &size))) {
        check_next(sent, &at, message);
        CHECK_OK(tachyon_commit_rx(bus));
    }
    while (how == COPIES &&
           tachyon_recv(bus, items, sizeof items, &size, &type, 0, 0) == 0)
        check_next(sent, &at, items);
    size_t count;
    while (how == VIEWS && (count = tachyon_acquire_rx_batch(bus, views, 7)) > 0) {
        for (size_t i = 0; i < count; i++) {
            type = views[i].type_id;
            size = views[i].actual_size;
            check_next(sent, &at, views[i].ptr);
        }
        CHECK_OK(tachyon_commit_rx_batch(bus, views, count));
    }
    while (how == ARRAYS && at < sent->count) {
        size = sent->sizes[at];
        CHECK((count = tachyon_recv_batch(bus, items, size, sizeof items / size, &type,
                                          0, 0)) > 0);
        for (size_t i = 0; i < count; i++)
            check_next(sent, &at, items + i * size);
    }
    CHECK_EQ(at, sent->count);
    CHECK_REFUSED(tachyon_acquire_rx(bus, &type, &size), TACHYON_ERR_EMPTY);
    sent->first += sent->count;
    sent->count = 0;
}

static void write_items(uint8_t *at, size_t count, size_t stride, size_t item,
                        uint64_t number) {
    for (size_t i = 0; i < count; i++)
        message_write(number + i, at + i * stride, item);
}

TEST(what_is_written_in_place_arrives_as_messages_in_order) {
    static const size_t sizes[] = {1, 31, 32, 33, 64, 65, 4096, 16384 - 128};
    static const size_t counts[] = {1, 2, 5, 31, 32, 33, 64, SIZE_MAX};
    uint64_t state = 3;
    struct pair pair = pair_open(16384);
    size_t mapped;
    uint8_t *data = tachyon_bus_memory(pair.connector, &mapped);
    struct sent sent = {.first = 1};
    bool wrapped = false;
    for (size_t c = 0; c < 8 * 8 * 20; c++) {
        size_t item = sizes[c % 8], most = counts[c / 8 % 8], count = 0, stride = 0;
        size_t record = item <= 32 ? 64 : 64 + (item + 63) / 64 * 64;
        if (test_random_below(&state, 3) == 0 && item < 4096) { /* before it */
            uint8_t payload[100];
            message_write(sent.first, payload, 100);
            CHECK_OK(tachyon_send(pair.connector, payload, 100, 9, 0, 0));
            note(&sent, 1, 100, 9);
        }
        uint64_t before = sent.count ? 64 + 128 : 0;
        uint8_t *at =
            tachyon_acquire_tx_batch(pair.connector, item, most, &count, &stride, 0, 0);
        CHECK(at);
        CHECK_EQ(stride, record);
        uint64_t room = (16384 - 64 - before) / record;
        CHECK_EQ(count, most < room ? most : room);
        CHECK_EQ((uintptr_t)at % (item <= 32 ? 32 : 64), 0);
        CHECK(at >= data && at + (count - 1) * stride + item <= data + mapped);
        wrapped |= at < data + 16384 && at + count * stride > data + 16384;
        size_t commits = c % 3 ? count : 1 + test_random_below(&state, count);
        write_items(at, count, stride, item, sent.first + sent.count);
        CHECK_OK(tachyon_commit_tx_batch(pair.connector, commits, (uint32_t)c));
        note(&sent, commits, item, (uint32_t)c);
        if (test_random_below(&state, 3) == 0) { /* behind it, if it still fits */
            uint8_t *one = tachyon_acquire_tx(pair.connector, 7);
            if (one) {
                message_write(sent.first + sent.count, one, 7);
                CHECK_OK(tachyon_commit_tx(pair.connector, 7, 8));
                note(&sent, 1, 7, 8);
            }
        }
        tachyon_flush(pair.connector);
        take_all(pair.listener, &sent, (int)test_random_below(&state, CONSUMERS));
    }
    CHECK(wrapped);
    tachyon_stats_t stats;
    CHECK_OK(tachyon_bus_get_stats(pair.connector, &stats));
    CHECK_EQ(stats.messages, sent.first - 1);
    pair_close(&pair);
}

TEST(a_batch_in_place_is_shown_by_a_flush_or_with_the_32nd) {
    struct pair pair = pair_open(8192);
    struct sent sent = {.first = 1};
    size_t count, stride;
    uint8_t *at =
        tachyon_acquire_tx_batch(pair.connector, 40, 31, &count, &stride, 0, 0);
    CHECK_EQ(count, 31);
    write_items(at, count, stride, 40, 1);
    CHECK_OK(tachyon_commit_tx_batch(pair.connector, 31, 5));
    CHECK_REFUSED(tachyon_acquire_rx(pair.listener, &type, &size), TACHYON_ERR_EMPTY);
    tachyon_flush(pair.connector);
    note(&sent, 31, 40, 5);
    take_all(pair.listener, &sent, VIEWS);
    for (int round = 0; round < 2; round++) { /* 20 are not enough, 40 are too many */
        at = tachyon_acquire_tx_batch(pair.connector, 40, 20, &count, &stride, 0, 0);
        CHECK_EQ(count, 20);
        CHECK_REFUSED(tachyon_acquire_rx(pair.listener, &type, &size),
                      TACHYON_ERR_EMPTY);
        write_items(at, count, stride, 40, sent.first + sent.count);
        CHECK_OK(tachyon_commit_tx_batch(pair.connector, 20, 6));
        note(&sent, 20, 40, 6);
    }
    take_all(pair.listener, &sent, ARRAYS);
    pair_close(&pair);
}

TEST(what_is_given_back_of_a_batch_was_never_there) {
    struct pair pair = pair_open(4096);
    struct sent sent = {.first = 1};
    size_t count, stride;
    for (int round = 0; round < 200; round++) {
        size_t item = round % 2 ? 20 : 100, commits = (size_t)round % 4;
        uint8_t *at =
            tachyon_acquire_tx_batch(pair.connector, item, 9, &count, &stride, 0, 0);
        CHECK_EQ(count, 9);
        for (size_t i = 0; i < count; i++) /* what would be the word of a record */
            memset(at + i * stride, 0x81, item);
        write_items(at, commits, stride, item, sent.first + sent.count);
        if (round % 8 == 7) {
            CHECK_OK(tachyon_rollback_tx(pair.connector));
            commits = 0;
        } else {
            CHECK_ERROR(tachyon_commit_tx_batch(pair.connector, 10, 4),
                        TACHYON_ERR_INVALID_SZ); /* they stay reserved */
            CHECK_SAYS("10 messages cannot be committed: 9 are reserved");
            CHECK_OK(tachyon_commit_tx_batch(pair.connector, commits, 4));
        }
        CHECK_ERROR(tachyon_commit_tx_batch(pair.connector, 1, 4), TACHYON_ERR_EMPTY);
        CHECK_SAYS("no batch is reserved");
        CHECK_ERROR(tachyon_rollback_tx(pair.connector), TACHYON_ERR_EMPTY);
        note(&sent, commits, item, 4);
        if (round % 3 == 0)
            tachyon_flush(pair.connector);
        if (round % 3 == 0)
            take_all(pair.listener, &sent, round % CONSUMERS);
    }
    pair_close(&pair);
}

TEST(a_reservation_of_one_kind_is_not_finished_as_the_other) {
    struct pair pair = pair_open(4096);
    size_t count, stride;
    CHECK(tachyon_acquire_tx_batch(pair.connector, 20, 5, &count, &stride, 0, 0));
    CHECK_ERROR(tachyon_commit_tx(pair.connector, 0, 1), TACHYON_ERR_EMPTY);
    CHECK_SAYS("no message is reserved, but a batch");
    CHECK_ERROR(tachyon_commit_tx(pair.connector, 20, 1), TACHYON_ERR_EMPTY);
    uint8_t *one =
        tachyon_acquire_tx(pair.connector, 20); /* replaces it, in its place */
    CHECK_ERROR(tachyon_commit_tx_batch(pair.connector, 1, 1), TACHYON_ERR_EMPTY);
    CHECK_SAYS("no batch is reserved, but a message");
    memcpy(one, "one", 3);
    CHECK_OK(tachyon_commit_tx(pair.connector, 3, 1));
    CHECK(tachyon_acquire_tx_batch(pair.connector, 20, 5, &count, &stride, 0, 0));
    CHECK_OK(tachyon_send(pair.connector, "two", 3, 2, 0, 0)); /* replaces it too */
    CHECK_ERROR(tachyon_commit_tx_batch(pair.connector, 1, 1), TACHYON_ERR_EMPTY);
    CHECK(tachyon_acquire_tx_batch(pair.connector, 20, 5, &count, &stride, 0, 0));
    CHECK_EQ(tachyon_send_batch(pair.connector, "threefour", 5, 1, 3, 0, 0), 1);
    CHECK_ERROR(tachyon_rollback_tx(pair.connector), TACHYON_ERR_EMPTY);
    for (uint32_t number = 1; number <= 3; number++) {
        CHECK(tachyon_acquire_rx(pair.listener, &type, &size));
        CHECK_EQ(type, number);
        CHECK_OK(tachyon_commit_rx(pair.listener));
    }
    CHECK_REFUSED(tachyon_acquire_rx(pair.listener, &type, &size), TACHYON_ERR_EMPTY);
    pair_close(&pair);
}

static void *release_one_later(void *context) {
    test_sleep_ms(20);
    CHECK(tachyon_acquire_rx(context, &type, &size));
    CHECK_OK(tachyon_commit_rx(context));
    return NULL;
}

TEST(a_batch_waits_only_while_not_one_fits) {
    struct pair pair = pair_open(4096);
    size_t count, stride;
    CHECK(tachyon_acquire_tx_batch(pair.connector, 32, 1000, &count, &stride, 0, -1));
    CHECK_EQ(count, 63);
    CHECK_OK(tachyon_commit_tx_batch(pair.connector, 60, 1)); /* flushes */
    CHECK(tachyon_acquire_tx_batch(pair.connector, 32, 1000, &count, &stride, 0, -1));
    CHECK_EQ(count, 3);
    CHECK_OK(tachyon_commit_tx_batch(pair.connector, 3, 1)); /* does not */
    CHECK_REFUSED(
        tachyon_acquire_tx_batch(pair.connector, 32, 9, &count, &stride, 0, 0),
        TACHYON_ERR_FULL); /* and has flushed them */
    CHECK_TAKES(30, 300,
                CHECK_REFUSED(tachyon_acquire_tx_batch(pair.connector, 32, 9, &count,
                                                       &stride, 0, 30 * MS),
                              TACHYON_ERR_TIMEOUT));
    CHECK_ERROR(tachyon_commit_tx_batch(pair.connector, 1, 1), TACHYON_ERR_EMPTY);
    pthread_t thread = test_thread(release_one_later, pair.listener);
    CHECK(tachyon_acquire_tx_batch(pair.connector, 32, 9, &count, &stride, 0, -1));
    CHECK_EQ(count, 1); /* what there is room for by then */
    CHECK_OK(tachyon_commit_tx_batch(pair.connector, 1, 1));
    test_join(thread);
    tachyon_msg_view_t views[64];
    CHECK_EQ(tachyon_acquire_rx_batch(pair.listener, views, 64), 62);
    CHECK_OK(tachyon_commit_rx_batch(pair.listener, views, 10));
    CHECK(tachyon_acquire_tx_batch(pair.connector, 100, 1000, &count, &stride, 0, 0));
    CHECK_EQ(stride, 192);
    CHECK_EQ(count, 3); /* of 192 bytes, in 10 lines */
    pair_close(&pair);
}

TEST(bad_batches_in_place_are_refused_by_name) {
    struct pair pair = pair_open(4096);
    size_t count, stride;
    CHECK_REFUSED(tachyon_acquire_tx_batch(NULL, 1, 1, &count, &stride, 0, 0),
                  TACHYON_ERR_NULL_PTR);
    CHECK_SAYS("bus is NULL");
    CHECK_REFUSED(tachyon_acquire_tx_batch(pair.connector, 1, 1, NULL, &stride, 0, 0),
                  TACHYON_ERR_NULL_PTR);
    CHECK_SAYS("count is NULL");
    CHECK_REFUSED(tachyon_acquire_tx_batch(pair.connector, 1, 1, &count, NULL, 0, 0),
                  TACHYON_ERR_NULL_PTR);
    CHECK_SAYS("stride is NULL");
    CHECK_REFUSED(tachyon_acquire_tx_batch(pair.connector, 0, 1, &count, &stride, 0, 0),
                  TACHYON_ERR_INVALID_SZ);
    CHECK_SAYS("item_size is 0");
    CHECK_REFUSED(tachyon_acquire_tx_batch(pair.connector, 1, 0, &count, &stride, 0, 0),
                  TACHYON_ERR_INVALID_SZ);
    CHECK_SAYS("max_count is 0");
    static const size_t sizes[] = {3969, SIZE_MAX / 2, SIZE_MAX};
    for (int i = 0; i < 3; i++) {
        CHECK_REFUSED(tachyon_acquire_tx_batch(pair.connector, sizes[i], SIZE_MAX,
                                               &count, &stride, 0, -1),
                      TACHYON_ERR_INVALID_SZ);
        CHECK_SAYS("can never fit: this ring takes 3968 at most");
    }
    CHECK_ERROR(tachyon_commit_tx_batch(NULL, 1, 1), TACHYON_ERR_NULL_PTR);
    CHECK_ERROR(tachyon_commit_tx_batch(pair.connector, 0, 1), TACHYON_ERR_EMPTY);
    CHECK_REFUSED(tachyon_acquire_rx(pair.listener, &type, &size), TACHYON_ERR_EMPTY);
    CHECK_REFUSED(tachyon_acquire_tx_batch(pair.listener, 1, 1, &count, &stride, 0, 0),
                  TACHYON_ERR_BUSY);
    tachyon_bus_close(pair.connector);
    CHECK_REFUSED(tachyon_acquire_tx_batch(pair.connector, 1, 1, &count, &stride, 0, 0),
                  TACHYON_ERR_CLOSED);
    CHECK_ERROR(tachyon_commit_tx_batch(pair.connector, 1, 1), TACHYON_ERR_CLOSED);
    pair_close(&pair);
}

/* Killed in its batch, with what was committed before not flushed either. */
static void die_in_a_batch(void *context) {
    const char *path = context;
    tachyon_options_t options = options_with_timeout_ms(10000);
    tachyon_bus_t *bus;
    size_t count, stride;
    CHECK_OK(tachyon_bus_connect_with(path, &options, &bus));
    CHECK_OK(tachyon_send(bus, "flushed", 7, 1, 0, 0));
    for (int i = 0; i < 2; i++) {
        uint8_t *at = tachyon_acquire_tx_batch(bus, 40, 10, &count, &stride, 0, 0);
        CHECK_EQ(count, 10);
        for (size_t item = 0; item < count; item++)
            memset(at + item * stride, 0x81, 40);
        if (i == 0)
            CHECK_OK(tachyon_commit_tx_batch(bus, 10, 2));
    }
    raise(SIGKILL);
}

TEST(nothing_is_shown_of_the_batch_of_a_producer_that_was_killed) {
    const char *path = test_path("killed");
    tachyon_bus_t *bus;
    pid_t child = test_spawn(die_in_a_batch, (void *)(uintptr_t)path);
    CHECK_OK(tachyon_bus_listen(path, 4096, &bus));
    CHECK(tachyon_acquire_rx_timed(bus, &type, &size, 0, 10000 * MS));
    CHECK_EQ(size, 7);
    CHECK_OK(tachyon_commit_rx(bus));
    CHECK_REFUSED(tachyon_acquire_rx_timed(bus, &type, &size, 0, 10000 * MS),
                  TACHYON_ERR_PEER_DEAD);
    CHECK_EQ(test_wait(child), -SIGKILL);
    tachyon_bus_destroy(bus);
}
