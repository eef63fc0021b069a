/* SPDX-License-Identifier: Apache-2.0 */
/* producer.c: acquire, commit, roll back, flush, send. */
#include "bus.h"
#include "peers.h"

#include <stdio.h>
#include <string.h>

static size_t arrived(tachyon_bus_t *bus) {
    tachyon_msg_view_t views[256];
    return tachyon_acquire_rx_batch(bus, views, 256);
}

static void take(tachyon_bus_t *bus, uint32_t type, const void *bytes, size_t size) {
    uint32_t got_type;
    size_t got_size;
    const void *message = tachyon_acquire_rx(bus, &got_type, &got_size);
    if (!message)
        FAIL("no message: %s", tachyon_last_error_message());
    CHECK_EQ(got_type, type);
    CHECK_EQ(got_size, size);
    CHECK_EQ(memcmp(message, bytes, size), 0);
    CHECK_OK(tachyon_commit_rx(bus));
}

TEST(a_message_arrives_as_it_was_written) {
    static const size_t sizes[] = {0, 1, 31, 32, 33, 63, 64, 65, 1000, 3967, 3968};
    struct pair pair = pair_open(4096);
    CHECK_EQ(tachyon_max_payload(pair.connector), 3968);
    for (uint32_t lap = 0; lap < 50; lap++)
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            uint8_t expected[3968];
            message_write(lap * 100 + i, expected, sizes[i]);
            uint8_t *slot = tachyon_acquire_tx(pair.connector, sizes[i]);
            CHECK(slot);
            CHECK_EQ((uintptr_t)slot % (sizes[i] <= 32 ? 32 : 64), 0);
            memcpy(slot, expected, sizes[i]);
            CHECK_OK(tachyon_commit_tx(pair.connector, sizes[i], lap));
            tachyon_flush(pair.connector);
            take(pair.listener, lap, expected, sizes[i]);
        }
    pair_close(&pair);
}

TEST(publish_without_flush_stays_invisible) {
    struct pair pair = pair_open(1 << 16);
    for (int i = 0; i < 31; i++) {
        CHECK(tachyon_acquire_tx(pair.connector, 8));
        CHECK_OK(tachyon_commit_tx(pair.connector, 8, 1));
        CHECK_EQ(arrived(pair.listener), 0);
    }
    CHECK(tachyon_acquire_tx(pair.connector, 8));
    CHECK_EQ(arrived(pair.listener), 0);
    CHECK_OK(tachyon_commit_tx(pair.connector, 8, 1));
    CHECK_EQ(arrived(pair.listener), 32); /* the 32nd flushes by itself */
    pair_close(&pair);
}

/* The forerunner flushed at every 32nd commit since the last flush. Programs written for
 * it flush every so many of their own: no message is shown later here. */
TEST(a_message_waits_for_no_more_commits_than_in_the_forerunner) {
    for (int interval = 1; interval <= 200; interval++) {
        struct pair pair = pair_open(1 << 16);
        int shown = 0; /* by the forerunner's rule */
        for (int sent = 1; sent <= 250; sent++) {
            CHECK(tachyon_acquire_tx(pair.connector, 8));
            CHECK_OK(tachyon_commit_tx(pair.connector, 8, 1));
            if (sent - shown == 32)
                shown = sent;
            CHECK_IN(arrived(pair.listener), shown, sent);
            if (sent % interval == 0) {
                tachyon_flush(pair.connector);
                CHECK_EQ(arrived(pair.listener), sent);
                shown = sent;
            }
        }
        pair_close(&pair);
    }
}

TEST(a_full_ring_flushes_what_was_committed) {
    struct pair pair = pair_open(4096);
    int count = 0;
    while (tachyon_acquire_tx(pair.connector, 100)) {
        CHECK_OK(tachyon_commit_tx(pair.connector, 100, 1));
        CHECK_EQ(arrived(pair.listener), 0);
        count++;
    }
    CHECK_EQ(tachyon_last_error(), TACHYON_ERR_FULL);
    CHECK_EQ(count, 21); /* 192 bytes each, and 64 stay free */
    CHECK_EQ(arrived(pair.listener), 21);
    pair_close(&pair);
}

TEST(flush_of_nothing_does_nothing) {
    struct pair pair = pair_open(4096);
    tachyon_stats_t stats;
    tachyon_flush(pair.connector);
    CHECK(tachyon_acquire_tx(pair.connector, 8));
    tachyon_flush(pair.connector);
    CHECK_OK(
        tachyon_commit_tx(pair.connector, 8, 1)); /* a flush keeps the reservation */
    tachyon_flush(pair.connector);
    tachyon_flush(pair.connector);
    CHECK_OK(tachyon_bus_get_stats(pair.connector, &stats));
    CHECK_EQ(stats.flushes, 1);
    CHECK_EQ(arrived(pair.listener), 1);
    pair_close(&pair);
}

TEST(commit_needs_a_reservation) {
    struct pair pair = pair_open(4096);
    CHECK_ERROR(tachyon_commit_tx(pair.connector, 0, 1), TACHYON_ERR_EMPTY);
    CHECK_SAYS("no message is reserved");
    CHECK_ERROR(tachyon_rollback_tx(pair.connector), TACHYON_ERR_EMPTY);
    CHECK(tachyon_acquire_tx(pair.connector, 8));
    CHECK_OK(tachyon_commit_tx(pair.connector, 8, 1));
    CHECK_ERROR(tachyon_commit_tx(pair.connector, 8, 1), TACHYON_ERR_EMPTY);
    CHECK_ERROR(tachyon_rollback_tx(pair.connector), TACHYON_ERR_EMPTY);
    CHECK(tachyon_acquire_tx(pair.connector, 8));
    CHECK_OK(tachyon_rollback_tx(pair.connector));
    CHECK_ERROR(tachyon_rollback_tx(pair.connector), TACHYON_ERR_EMPTY);
    CHECK_ERROR(tachyon_commit_tx(pair.connector, 8, 1), TACHYON_ERR_EMPTY);
    pair_close(&pair);
}

TEST(a_commit_beyond_the_reservation_fails_and_keeps_it) {
    static const size_t reserved[] = {0, 10, 32, 33, 100, 3968};
    struct pair pair = pair_open(4096);
    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++) {
        char cause[64];
        uint8_t *slot = tachyon_acquire_tx(pair.connector, reserved[i]);
        CHECK(slot);
        memset(slot, 7, reserved[i]);
        CHECK_ERROR(tachyon_commit_tx(pair.connector, reserved[i] + 1, 1),
                    TACHYON_ERR_INVALID_SZ);
        snprintf(cause, sizeof cause, "%zu bytes, but only %zu", reserved[i] + 1,
                 reserved[i]);
        CHECK_SAYS(cause);
        CHECK_ERROR(tachyon_commit_tx(pair.connector, SIZE_MAX, 1),
                    TACHYON_ERR_INVALID_SZ);
        CHECK_OK(tachyon_commit_tx(pair.connector, reserved[i], 1));
        tachyon_flush(pair.connector);
        char expected[3968];
        memset(expected, 7, sizeof expected);
        take(pair.listener, 1, expected, reserved[i]);
    }
    pair_close(&pair);
}

TEST(a_message_may_be_shorter_than_its_reservation) {
    struct pair pair = pair_open(4096);
    tachyon_stats_t stats;
    for (int i = 0; i < 200; i++) {
        void *slot = tachyon_acquire_tx(pair.connector, 3000);
        CHECK(slot);
        memset(slot, 0xFF, 3000);
        memcpy(slot, "four", 4);
        CHECK_OK(tachyon_commit_tx(pair.connector, 4, 1));
        tachyon_flush(pair.connector);
        take(pair.listener, 1, "four", 4);
    }
    CHECK_OK(tachyon_bus_get_stats(pair.connector, &stats));
    CHECK_EQ(stats.ring_bytes, 200 * 128); /* two lines each, as the design says */
    pair_close(&pair);
}

TEST(a_second_acquire_replaces_the_reservation) {
    struct pair pair = pair_open(4096);
    char *first = tachyon_acquire_tx(pair.connector, 10);
    memset(first, 'a', 10);
    char *second = tachyon_acquire_tx(pair.connector, 2000);
    memset(second, 'b', 2000);
    char *third = tachyon_acquire_tx(pair.connector, 5);
    CHECK(third == first);
    memcpy(third, "third", 5);
    CHECK_ERROR(tachyon_commit_tx(pair.connector, 6, 1), TACHYON_ERR_INVALID_SZ);
    CHECK_OK(tachyon_commit_tx(pair.connector, 5, 3));
    tachyon_flush(pair.connector);
    CHECK_EQ(arrived(pair.listener), 1);
    take(pair.listener, 3, "third", 5);
    pair_close(&pair);
}

TEST(fault_3_rolled_back_reservation_leaves_no_phantom) {
    /* The forerunner delivered a phantom, and lost a message, when a reservation
     * that had wrapped was given back. */
    struct pair pair = pair_open(4096);
    uint64_t state = 3;
    for (uint32_t number = 0; number < 3000; number++) {
        for (int i = 0; i < 3; i++) {
            size_t size = test_random_below(&state, 3969);
            void *slot = tachyon_acquire_tx(pair.connector, size);
            CHECK(slot);
            memset(slot, 1, size); /* 0x0101...: it would be a record */
            CHECK_OK(tachyon_rollback_tx(pair.connector));
            CHECK_EQ(arrived(pair.listener), 0);
        }
        size_t size = message_size(number, 500);
        uint8_t expected[500];
        message_write(number, expected, size);
        CHECK_OK(tachyon_send(pair.connector, expected, size, number, 0, 0));
        CHECK_EQ(arrived(pair.listener), 1);
        take(pair.listener, number, expected, size);
    }
    pair_close(&pair);
}

TEST(a_message_that_can_never_fit_is_refused_at_once) {
    static const size_t capacities[] = {1, 4096, 8192, 1 << 20};
    for (size_t i = 0; i < 4; i++) {
        struct pair pair = pair_open(capacities[i]);
        size_t most = tachyon_max_payload(pair.connector);
        const size_t sizes[] = {most + 1, most + 128, SIZE_MAX, SIZE_MAX - 127};
        char text[64];
        CHECK_EQ(most, (capacities[i] < 4096 ? 4096 : capacities[i]) - 128);
        for (size_t s = 0; s < 4; s++) {
            CHECK_REFUSED(tachyon_acquire_tx(pair.connector, sizes[s]),
                          TACHYON_ERR_INVALID_SZ);
            snprintf(text, sizeof text, "%zu bytes can never fit", sizes[s]);
            CHECK_SAYS(text);
            snprintf(text, sizeof text, "takes %zu at most", most);
            CHECK_SAYS(text);
            CHECK_REFUSED(tachyon_acquire_tx_timed(pair.connector, sizes[s], 5, -1),
                          TACHYON_ERR_INVALID_SZ);
            CHECK_ERROR(tachyon_send(pair.connector, "", sizes[s], 1, 0, -1),
                        TACHYON_ERR_INVALID_SZ);
        }
        CHECK(tachyon_acquire_tx(pair.connector, most));
        CHECK_OK(tachyon_commit_tx(pair.connector, most, 1));
        tachyon_flush(pair.connector);
        CHECK_EQ(arrived(pair.listener), 1);
        pair_close(&pair);
    }
}

TEST(fault_1_a_full_ring_never_stalls) {
    /* The forerunner stopped after 15 messages of 64 KiB in 1 MiB, all received.
     */
    static char payload[65536];
    static const struct {
        size_t capacity, size;
    } table[] = {{1 << 20, 65536}, {4096, 3968}, {4096, 2000}, {4096, 32}, {8192, 1}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct pair pair = pair_open(table[i].capacity);
        uint32_t sent = 0, taken = 0;
        while (taken < 500) {
            while (tachyon_send(pair.connector, payload, table[i].size, sent, 0, 0) ==
                   TACHYON_SUCCESS)
                sent++;
            CHECK_EQ(tachyon_last_error(), TACHYON_ERR_FULL);
            CHECK(sent > taken);
            /* Every release makes room for one more, whether or not it is the last.
             */
            take(pair.listener, taken++, payload, table[i].size);
            CHECK_OK(
                tachyon_send(pair.connector, payload, table[i].size, sent++, 0, 0));
        }
        pair_close(&pair);
    }
}

TEST(fault_11_every_legal_size_is_sendable_at_every_offset) {
    struct pair pair = pair_open(4096);
    static char payload[3968];
    for (int offset = 0; offset < 64; offset++) {
        for (size_t size = 1800; size <= 3968; size += 271) {
            CHECK_OK(tachyon_send(pair.connector, payload, size, 1, 0, 0));
            take(pair.listener, 1, payload, size);
            CHECK_OK(tachyon_send(pair.connector, payload, 3968, 2, 0, 0));
            take(pair.listener, 2, payload, 3968);
        }
        CHECK_OK(tachyon_send(pair.connector, payload, 1, 3, 0, 0));
        take(pair.listener, 3, payload, 1);
    }
    pair_close(&pair);
}

TEST(a_full_ring_says_full_at_once_and_timeout_after_the_time) {
    static const uint32_t spins[] = {0, 1, 10000};
    struct pair pair = pair_open(4096);
    CHECK_OK(tachyon_send(pair.connector, (char[3968]){0}, 3968, 1, 0, 0));
    for (size_t i = 0; i < 3; i++) {
        CHECK_REFUSED(tachyon_acquire_tx(pair.connector, 1), TACHYON_ERR_FULL);
        CHECK_REFUSED(tachyon_acquire_tx_timed(pair.connector, 1, spins[i], 0),
                      TACHYON_ERR_FULL);
        CHECK_ERROR(tachyon_send(pair.connector, "x", 1, 1, spins[i], 0),
                    TACHYON_ERR_FULL);
        CHECK_TAKES(60, 1000, {
            CHECK_REFUSED(
                tachyon_acquire_tx_timed(pair.connector, 1, spins[i], 30000000),
                TACHYON_ERR_TIMEOUT);
            CHECK_ERROR(tachyon_send(pair.connector, "x", 1, 1, spins[i], 30000000),
                        TACHYON_ERR_TIMEOUT);
        });
    }
    CHECK_EQ(arrived(pair.listener), 1); /* what was refused was not sent */
    pair_close(&pair);
}

static void *release_to_a_sleeper(void *context) {
    test_await_sleep();
    CHECK_OK(tachyon_commit_rx(context));
    return NULL;
}

static void *release_later(void *context) {
    test_sleep_ms(30);
    CHECK_OK(tachyon_commit_rx(context));
    return NULL;
}

TEST(a_producer_that_waits_goes_on_when_there_is_room) {
    for (int spin = 0; spin < 2; spin++) {
        struct pair pair = pair_open(4096);
        uint32_t type;
        size_t size;
        CHECK_OK(tachyon_send(pair.connector, (char[3968]){0}, 3968, 1, 0, 0));
        CHECK(tachyon_acquire_rx(pair.listener, &type, &size));
        tachyon_bus_set_polling_mode(pair.connector, spin);
        pthread_t thread =
            test_thread(spin ? release_later : release_to_a_sleeper, pair.listener);
        CHECK_OK(tachyon_send(pair.connector, "go on", 5, 2, 10, -1));
        test_join(thread);
        take(pair.listener, 2, "go on", 5);
        tachyon_stats_t stats;
        CHECK_OK(tachyon_bus_get_stats(pair.connector, &stats));
        CHECK_EQ(stats.sleeps > 0, spin == 0);
        pair_close(&pair);
    }
}

static void *wait_until_closed(void *context) {
    CHECK_REFUSED(tachyon_acquire_tx_timed(context, 3000, 0, -1), TACHYON_ERR_CLOSED);
    return NULL;
}

TEST(a_second_thread_that_waits_on_a_handle_is_told_busy) {
    if (test_race_detector())
        test_skip("two threads on one end race, even if one of them is refused");
    struct pair pair = pair_open(4096);
    CHECK_OK(tachyon_send(pair.connector, (char[3000]){0}, 3000, 1, 0, 0));
    pthread_t thread = test_thread(wait_until_closed, pair.connector);
    while (atomic_load(&pair.connector->link.sleeps) == 0)
        test_sleep_ms(1);
    CHECK_REFUSED(tachyon_acquire_tx_timed(pair.connector, 3000, 0, -1),
                  TACHYON_ERR_BUSY);
    CHECK_SAYS("another thread is waiting");
    CHECK_ERROR(tachyon_send(pair.connector, (char[3000]){0}, 3000, 1, 0, 1000000),
                TACHYON_ERR_BUSY);
    CHECK_EQ(tachyon_get_state(pair.connector), TACHYON_STATE_READY);
    tachyon_bus_close(pair.listener);
    test_join(thread);
    pair_close(&pair);
}

TEST(an_empty_message_may_have_no_payload_pointer) {
    struct pair pair = pair_open(4096);
    CHECK_OK(tachyon_send(pair.connector, NULL, 0, 9, 0, 0));
    CHECK_ERROR(tachyon_send(pair.connector, NULL, 1, 9, 0, 0), TACHYON_ERR_NULL_PTR);
    CHECK_SAYS("payload is NULL, size is 1");
    take(pair.listener, 9, "", 0);
    CHECK_EQ(arrived(pair.listener), 0);
    pair_close(&pair);
}

TEST(a_consumer_that_writes_a_wrong_tail_makes_the_bus_corrupt_for_good) {
    static const uint64_t tails[] = {65, 8192, UINT64_MAX, UINT64_MAX - 63};
    for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
        struct pair pair = pair_open(4096);
        struct ring_shared *shared = region_shared(&pair.listener->regions[0]);
        atomic_store(&shared->tail, tails[i]);
        while (tachyon_acquire_tx(pair.connector, 2000))
            CHECK_OK(tachyon_commit_tx(pair.connector, 2000, 1));
        CHECK_EQ(tachyon_last_error(), TACHYON_ERR_CORRUPT);
        atomic_store(&shared->tail, 0); /* the peer cannot take it back */
        CHECK_REFUSED(tachyon_acquire_tx(pair.connector, 1), TACHYON_ERR_CORRUPT);
        CHECK_REFUSED(tachyon_acquire_tx_timed(pair.connector, 1, 9, -1),
                      TACHYON_ERR_CORRUPT);
        CHECK_ERROR(tachyon_send(pair.connector, "", 0, 1, 0, -1), TACHYON_ERR_CORRUPT);
        CHECK_ERROR(tachyon_commit_tx(pair.connector, 0, 1), TACHYON_ERR_CORRUPT);
        CHECK_ERROR(tachyon_rollback_tx(pair.connector), TACHYON_ERR_CORRUPT);
        CHECK_EQ(tachyon_get_state(pair.connector), TACHYON_STATE_FATAL_ERROR);
        CHECK_EQ(tachyon_last_error(), TACHYON_ERR_CORRUPT);
        pair_close(&pair);
    }
}

TEST(a_producer_whose_peer_has_closed_is_told_so) {
    struct pair pair = pair_open(4096);
    CHECK_OK(tachyon_send(pair.connector, "x", 1, 1, 0, 0));
    tachyon_bus_destroy(pair.listener);
    pair.listener = NULL;
    CHECK_REFUSED(tachyon_acquire_tx_timed(pair.connector, 3968, 0, -1),
                  TACHYON_ERR_CLOSED);
    CHECK_SAYS("the peer");
    CHECK_SAYS("closed the stream");
    CHECK_REFUSED(tachyon_acquire_tx(pair.connector, 1), TACHYON_ERR_CLOSED);
    CHECK_ERROR(tachyon_commit_tx(pair.connector, 1, 1), TACHYON_ERR_CLOSED);
    pair_close(&pair);
}

TEST(a_producer_with_room_learns_of_the_end_within_thousands_of_flushes) {
    struct pair pair = pair_open(1 << 20);
    int sent = 0;
    tachyon_bus_close(pair.listener);
    while (tachyon_send(pair.connector, "x", 1, 1, 0, 0) == TACHYON_SUCCESS)
        CHECK(++sent < 3000);
    CHECK_EQ(tachyon_last_error(), TACHYON_ERR_CLOSED);
    pair_close(&pair);
}
