/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays: send_batch, recv_batch, and a batch that is one array in the ring. */
#include "bus.h"
#include "peers.h"

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
    int64_t begin = test_now_ms();
    CHECK_EQ(tachyon_send_batch(pair.connector, items, sizeof *items, 1, 7, 0, 30 * MS),
             0);
    CHECK_EQ(tachyon_last_error(), TACHYON_ERR_TIMEOUT);
    CHECK_IN(test_now_ms() - begin, 29, 1000);
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
