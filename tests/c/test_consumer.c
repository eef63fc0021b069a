/* SPDX-License-Identifier: Apache-2.0 */
/* consumer.c: acquire, wait, batches, release. */
#include "bus.h"
#include "peers.h"

#include <stdio.h>
#include <string.h>

static uint32_t type;
static size_t size;

static void send_number(tachyon_bus_t *bus, uint32_t number) {
    CHECK_OK(tachyon_send(bus, &number, sizeof number, number, 0, 0));
}

static void take_number(tachyon_bus_t *bus, uint32_t number) {
    const uint32_t *message = tachyon_acquire_rx(bus, &type, &size);
    if (!message)
        FAIL("message %u: %s", number, tachyon_last_error_message());
    CHECK_EQ(*message, number);
    CHECK_EQ(type, number);
    CHECK_EQ(size, sizeof number);
    CHECK_OK(tachyon_commit_rx(bus));
}

TEST(a_message_that_is_not_committed_comes_again) {
    struct pair pair = pair_open(4096);
    send_number(pair.connector, 1);
    send_number(pair.connector, 2);
    const void *first = tachyon_acquire_rx(pair.listener, &type, &size);
    CHECK(tachyon_acquire_rx(pair.listener, &type, &size) == first);
    CHECK(tachyon_acquire_rx_blocking(pair.listener, &type, &size, 0) == first);
    CHECK_EQ(type, 1);
    CHECK_OK(tachyon_commit_rx(pair.listener));
    take_number(pair.listener, 2);
    pair_close(&pair);
}

TEST(commit_needs_a_message) {
    struct pair pair = pair_open(4096);
    tachyon_msg_view_t view = {0};
    CHECK_ERROR(tachyon_commit_rx(pair.listener), TACHYON_ERR_EMPTY);
    CHECK_SAYS("no message is handed out");
    CHECK_ERROR(tachyon_commit_rx_batch(pair.listener, &view, 1), TACHYON_ERR_EMPTY);
    CHECK_OK(tachyon_commit_rx_batch(pair.listener, NULL, 0));
    send_number(pair.connector, 1);
    CHECK_ERROR(tachyon_commit_rx(pair.listener), TACHYON_ERR_EMPTY);
    take_number(pair.listener, 1);
    CHECK_ERROR(tachyon_commit_rx(pair.listener), TACHYON_ERR_EMPTY);
    pair_close(&pair);
}

TEST(recv_copies_what_fits_and_leaves_what_does_not) {
    static const size_t sizes[] = {0, 1, 16, 31, 32, 33, 64, 65, 1000, 3968};
    struct pair pair = pair_open(4096);
    uint8_t sent[3968], room[3968 + 1];
    for (uint64_t number = 0; number < 100; number++) {
        size_t length = sizes[number % 10];
        message_write(number, sent, length);
        CHECK_OK(tachyon_send(pair.connector, sent, length, (uint32_t)number, 0, 0));
        size = 0;
        if (length > 0) { /* a byte too little: it stays, and nothing is touched */
            memset(room, 0xEE, sizeof room);
            CHECK_ERROR(tachyon_recv(pair.listener, room, length - 1, &size, &type, 0,
                                     number % 2 ? -1 : 0),
                        TACHYON_ERR_INVALID_SZ);
            CHECK_EQ(size, length);
            CHECK_EQ(type, number);
            CHECK_SAYS("bytes, there is room for");
            CHECK_EQ(room[0], 0xEE);
            CHECK_ERROR(tachyon_commit_rx(pair.listener), TACHYON_ERR_EMPTY);
        }
        room[length] = 0xEE;
        CHECK_OK(tachyon_recv(pair.listener, length > 0 ? room : NULL, length, &size,
                              &type, 0, 0));
        CHECK_EQ(size, length);
        CHECK_EQ(type, number);
        CHECK_EQ(memcmp(room, sent, length), 0);
        CHECK_EQ(room[length], 0xEE);
        CHECK_ERROR(tachyon_commit_rx(pair.listener), TACHYON_ERR_EMPTY);
    }
    CHECK_ERROR(tachyon_recv(pair.listener, room, 1, &size, &type, 0, 0),
                TACHYON_ERR_EMPTY);
    CHECK_ERROR(tachyon_recv(pair.listener, room, 1, &size, &type, 0, 1000000),
                TACHYON_ERR_TIMEOUT);
    CHECK_ERROR(tachyon_recv(pair.connector, room, 1, &size, &type, 0, 0),
                TACHYON_ERR_BUSY);
    pair_close(&pair);
}

/* What was handed out before is the next message, for recv too. */
TEST(recv_takes_the_message_that_was_handed_out) {
    struct pair pair = pair_open(4096);
    uint32_t number;
    send_number(pair.connector, 1);
    send_number(pair.connector, 2);
    CHECK(tachyon_acquire_rx(pair.listener, &type, &size));
    CHECK_OK(tachyon_recv(pair.listener, &number, sizeof number, &size, &type, 0, 0));
    CHECK_EQ(number, 1);
    take_number(pair.listener, 2);
    pair_close(&pair);
}

TEST(an_empty_ring_says_empty_or_timeout) {
    static const uint32_t spins[] = {0, 1, 10000};
    struct pair pair = pair_open(4096);
    tachyon_msg_view_t view;
    for (size_t i = 0; i < 3; i++) {
        CHECK_REFUSED(tachyon_acquire_rx(pair.listener, &type, &size),
                      TACHYON_ERR_EMPTY);
        CHECK_REFUSED(
            tachyon_acquire_rx_timed(pair.listener, &type, &size, spins[i], 0),
            TACHYON_ERR_EMPTY);
        CHECK_REFUSED(tachyon_acquire_rx_batch(pair.listener, &view, 1),
                      TACHYON_ERR_EMPTY);
        CHECK_REFUSED(tachyon_drain_batch_timed(pair.listener, &view, 1, spins[i], 0),
                      TACHYON_ERR_EMPTY);
        CHECK_REFUSED(
            tachyon_acquire_rx_spin(pair.listener, &type, &size, 1 + spins[i]),
            TACHYON_ERR_EMPTY);
        CHECK_TAKES(60, 1000, {
            CHECK_REFUSED(tachyon_acquire_rx_timed(pair.listener, &type, &size,
                                                   spins[i], 30000000),
                          TACHYON_ERR_TIMEOUT);
            CHECK_REFUSED(
                tachyon_drain_batch_timed(pair.listener, &view, 1, spins[i], 30000000),
                TACHYON_ERR_TIMEOUT);
        });
    }
    pair_close(&pair);
}

enum wait_call {
    WAIT_BLOCKING,
    WAIT_TIMED,
    WAIT_SPIN,
    WAIT_DRAIN,
    WAIT_DRAIN_TIMED,
    WAIT_RECV,
};
#define WAIT_CALLS (WAIT_RECV + 1)

static const void *wait_for_message(tachyon_bus_t *bus, enum wait_call call) {
    tachyon_msg_view_t view = {0};
    size_t count = 1;
    switch (call) {
    case WAIT_BLOCKING:
        return tachyon_acquire_rx_blocking(bus, &type, &size, 10);
    case WAIT_TIMED:
        return tachyon_acquire_rx_timed(bus, &type, &size, 10, INT64_C(5000000000));
    case WAIT_SPIN:
        return tachyon_acquire_rx_spin(bus, &type, &size, 0);
    case WAIT_RECV: {
        static uint32_t item;
        return tachyon_recv(bus, &item, sizeof item, &size, &type, 10, -1) ? NULL
                                                                           : &item;
    }
    case WAIT_DRAIN:
        count = tachyon_drain_batch(bus, &view, 1, 10);
        break;
    case WAIT_DRAIN_TIMED:
        count = tachyon_drain_batch_timed(bus, &view, 1, 10, INT64_C(5000000000));
        break;
    }
    type = view.type_id;
    size = view.actual_size;
    return count ? view.ptr : NULL;
}

static void *send_to_a_sleeper(void *context) {
    test_await_sleep();
    send_number(context, 7);
    return NULL;
}

static void *send_later(void *context) {
    test_sleep_ms(20);
    send_number(context, 7);
    return NULL;
}

static void *close_later(void *context) {
    test_sleep_ms(20);
    tachyon_bus_close(context);
    return NULL;
}

TEST(every_wait_ends_with_the_message) {
    for (enum wait_call call = WAIT_BLOCKING; call < WAIT_CALLS; call++)
        for (int pure_spin = 0; pure_spin < 2; pure_spin++) {
            struct pair pair = pair_open(4096);
            tachyon_stats_t stats;
            tachyon_bus_set_polling_mode(pair.listener, pure_spin);
            bool sleeps = !pure_spin && call != WAIT_SPIN;
            pthread_t thread =
                test_thread(sleeps ? send_to_a_sleeper : send_later, pair.connector);
            const uint32_t *message = wait_for_message(pair.listener, call);
            if (!message)
                FAIL("call %d: %s", (int)call, tachyon_last_error_message());
            CHECK_EQ(*message, 7);
            CHECK_EQ(size, 4);
            CHECK_EQ(type, 7);
            CHECK_ERROR(tachyon_commit_rx(pair.listener),
                        call == WAIT_RECV ? TACHYON_ERR_EMPTY : TACHYON_SUCCESS);
            test_join(thread);
            CHECK_OK(tachyon_bus_get_stats(pair.listener, &stats));
            CHECK_EQ(stats.sleeps > 0, sleeps);
            CHECK_OK(tachyon_bus_get_stats(pair.connector, &stats));
            CHECK_EQ(stats.wakes > 0, sleeps);
            pair_close(&pair);
        }
}

TEST(every_wait_ends_with_the_stream) {
    for (enum wait_call call = WAIT_BLOCKING; call < WAIT_CALLS; call++)
        for (int who = 0; who < 2; who++) {
            struct pair pair = pair_open(4096);
            pthread_t thread =
                test_thread(close_later, who ? pair.listener : pair.connector);
            CHECK_REFUSED(wait_for_message(pair.listener, call), TACHYON_ERR_CLOSED);
            CHECK_SAYS(who ? "this handle" : "the peer");
            test_join(thread);
            CHECK_REFUSED(wait_for_message(pair.listener, call), TACHYON_ERR_CLOSED);
            CHECK_REFUSED(tachyon_acquire_rx(pair.listener, &type, &size),
                          TACHYON_ERR_CLOSED);
            CHECK_ERROR(tachyon_commit_rx(pair.listener), TACHYON_ERR_CLOSED);
            pair_close(&pair);
        }
}

TEST(fault_7_a_clean_close_loses_nothing_that_was_committed) {
    static const uint32_t counts[] = {1, 31, 63, 64, 65, 100};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        for (int destroy = 0; destroy < 2; destroy++) {
            struct pair pair = pair_open(1 << 16);
            for (uint32_t number = 0; number < counts[i]; number++) {
                uint32_t *slot = tachyon_acquire_tx(pair.connector, sizeof *slot);
                *slot = number;
                CHECK_OK(tachyon_commit_tx(pair.connector, sizeof *slot, number));
            }
            CHECK(tachyon_acquire_tx(pair.connector, 100)); /* this one is given up */
            if (destroy) {
                tachyon_bus_destroy(pair.connector);
                pair.connector = NULL;
            } else { /* which does not flush */
                tachyon_flush(pair.connector);
                tachyon_bus_close(pair.connector);
            }
            CHECK_EQ(tachyon_get_state(pair.listener), TACHYON_STATE_READY);
            for (uint32_t number = 0; number < counts[i]; number++)
                take_number(pair.listener, number);
            CHECK_EQ(tachyon_get_state(pair.listener), TACHYON_STATE_DISCONNECTED);
            CHECK_EQ(tachyon_last_error(), TACHYON_ERR_CLOSED);
            CHECK_REFUSED(tachyon_acquire_rx_blocking(pair.listener, &type, &size, 0),
                          TACHYON_ERR_CLOSED);
            pair_close(&pair);
        }
}

static void *wait_until_closed(void *context) {
    uint32_t its_type;
    size_t its_size;
    CHECK_REFUSED(tachyon_acquire_rx_blocking(context, &its_type, &its_size, 0),
                  TACHYON_ERR_CLOSED);
    return NULL;
}

TEST(a_second_thread_that_waits_on_a_handle_is_told_busy) {
    if (test_race_detector())
        test_skip("two threads on one end race, even if one of them is refused");
    struct pair pair = pair_open(4096);
    tachyon_msg_view_t view;
    pthread_t thread = test_thread(wait_until_closed, pair.listener);
    while (atomic_load(&pair.listener->link.sleeps) == 0)
        test_sleep_ms(1);
    CHECK_REFUSED(tachyon_acquire_rx_blocking(pair.listener, &type, &size, 0),
                  TACHYON_ERR_BUSY);
    CHECK_SAYS("another thread is waiting");
    CHECK_REFUSED(tachyon_acquire_rx_spin(pair.listener, &type, &size, 5),
                  TACHYON_ERR_BUSY);
    CHECK_REFUSED(tachyon_drain_batch_timed(pair.listener, &view, 1, 0, 1000000),
                  TACHYON_ERR_BUSY);
    CHECK_EQ(tachyon_get_state(pair.listener), TACHYON_STATE_READY);
    tachyon_bus_close(pair.connector);
    test_join(thread);
    pair_close(&pair);
}

/* ---- Batches ---- */

TEST(a_batch_holds_what_is_there_in_order) {
    struct pair pair = pair_open(1 << 16);
    tachyon_msg_view_t views[100];
    uint32_t sent = 0, taken = 0;
    uint64_t state = 1;
    while (taken < 5000) {
        for (uint64_t n = test_random_below(&state, 30); n > 0; n--, sent++) {
            uint8_t payload[600];
            size_t bytes = message_size(sent, sizeof payload);
            message_write(sent, payload, bytes);
            CHECK_OK(tachyon_send(pair.connector, payload, bytes, sent, 0, 0));
        }
        size_t most = 1 + test_random_below(&state, 40);
        size_t count = tachyon_acquire_rx_batch(pair.listener, views, most);
        CHECK_EQ(count, sent - taken < most ? sent - taken : most);
        for (size_t i = 0; i < count; i++) {
            CHECK_EQ(views[i].type_id, taken + i);
            CHECK_EQ(views[i].actual_size, message_size(taken + i, 600));
            CHECK(message_is(taken + i, views[i].ptr, views[i].actual_size));
            CHECK_EQ(views[i].padding_, 0);
        }
        if (count == 0) {
            CHECK_EQ(tachyon_last_error(), TACHYON_ERR_EMPTY);
            continue;
        }
        /* All at once, in parts, or one by one; the rest comes again. */
        size_t first = test_random_below(&state, count + 1), second = 0;
        CHECK_OK(tachyon_commit_rx_batch(pair.listener, views, first));
        if (first < count && test_random_below(&state, 2)) {
            second = 1 + test_random_below(&state, count - first);
            CHECK_OK(tachyon_commit_rx_batch(pair.listener, views + first, second));
        }
        taken += (uint32_t)(first + second);
        if (first + second < count && test_random_below(&state, 2)) {
            CHECK_OK(tachyon_commit_rx(pair.listener)); /* releases all that is left */
            taken += (uint32_t)(count - first - second);
        }
    }
    pair_close(&pair);
}

TEST(drain_waits_for_the_first_and_takes_the_rest) {
    struct pair pair = pair_open(4096);
    tachyon_msg_view_t views[10];
    for (uint32_t number = 0; number < 5; number++)
        send_number(pair.connector, number);
    CHECK_EQ(tachyon_drain_batch(pair.listener, views, 3, 0), 3);
    CHECK_OK(tachyon_commit_rx_batch(pair.listener, views, 3));
    CHECK_EQ(tachyon_drain_batch_timed(pair.listener, views, 10, 0, -1), 2);
    CHECK_EQ(views[0].type_id, 3);
    CHECK_OK(tachyon_commit_rx(pair.listener));
    pair_close(&pair);
}

TEST(a_batch_of_no_room_is_refused) {
    struct pair pair = pair_open(4096);
    tachyon_msg_view_t view;
    send_number(pair.connector, 1);
    CHECK_REFUSED(tachyon_acquire_rx_batch(pair.listener, &view, 0),
                  TACHYON_ERR_INVALID_SZ);
    CHECK_REFUSED(tachyon_drain_batch(pair.listener, &view, 0, 0),
                  TACHYON_ERR_INVALID_SZ);
    CHECK_REFUSED(tachyon_drain_batch_timed(pair.listener, &view, 0, 0, 5),
                  TACHYON_ERR_INVALID_SZ);
    pair_close(&pair);
}

/* Four messages of 64, 128, 192 and 64 bytes of ring, all handed out. */
static void hand_out_four(struct pair *pair, tachyon_msg_view_t *views) {
    static const size_t sizes[] = {10, 40, 100, 5};
    char payload[100] = {1};
    *pair = pair_open(4096);
    for (uint32_t number = 0; number < 4; number++)
        CHECK_OK(tachyon_send(pair->connector, payload, sizes[number], number, 0, 0));
    CHECK_EQ(tachyon_acquire_rx_batch(pair->listener, views, 10), 4);
}

TEST(a_commit_of_anything_but_the_first_of_the_batch_releases_nothing) {
    tachyon_msg_view_t views[10], wrong[10];
    struct pair pair;
    for (int mistake = 0; mistake < 10; mistake++) {
        memset(views, 0, sizeof views);
        hand_out_four(&pair, views);
        memcpy(wrong, views, sizeof wrong);
        const tachyon_msg_view_t *given = wrong;
        size_t count = 4;
        switch (mistake) {
        case 0: /* not the first */
            given = views + 1;
            count = 1;
            break;
        case 1:
            given = views + 1;
            count = 2;
            break;
        case 2:
            given = views + 1;
            count = 3;
            break;
        case 3: /* more than there are */
            count = 5;
            break;
        case 4:
            count = SIZE_MAX;
            break;
        case 5: /* what commit needs unchanged */
            wrong[0].reserved_ = 0;
            count = 1;
            break;
        case 6:
            wrong[0].reserved_ = 128;
            count = 1;
            break;
        case 7:
            wrong[1].reserved_ += 64;
            count = 2;
            break;
        case 8:
            wrong[0].reserved_ = SIZE_MAX - 63;
            wrong[1].reserved_ = 192;
            count = 2;
            break;
        case 9: /* in another order */
            wrong[0] = views[1];
            wrong[1] = views[0];
            count = 1;
            break;
        }
        tachyon_error_t error = tachyon_commit_rx_batch(pair.listener, given, count);
        if (error != TACHYON_ERR_INVALID_SZ)
            FAIL("mistake %d: %s", mistake, tachyon_strerror(error));
        CHECK_EQ(tachyon_last_error(), TACHYON_ERR_INVALID_SZ);
        /* Nothing was released: the right ones still are. */
        CHECK_OK(tachyon_commit_rx_batch(pair.listener, views, 2));
        CHECK_OK(tachyon_commit_rx_batch(pair.listener, views + 2, 2));
        CHECK_REFUSED(tachyon_acquire_rx(pair.listener, &type, &size),
                      TACHYON_ERR_EMPTY);
        pair_close(&pair);
    }
}

TEST(fault_11_a_batch_over_the_wrap_loses_nothing) {
    static char payload[3000];
    struct pair pair = pair_open(4096);
    tachyon_msg_view_t views[64];
    uint32_t sent = 0, taken = 0;
    for (int lap = 0; lap < 500; lap++) {
        while (tachyon_send(pair.connector, payload, (size_t)lap % 700, sent, 0, 0) ==
               TACHYON_SUCCESS)
            sent++;
        size_t count = tachyon_acquire_rx_batch(pair.listener, views, 64);
        CHECK_EQ(count, sent - taken);
        for (size_t i = 0; i < count; i++)
            CHECK_EQ(views[i].type_id, taken + i);
        size_t half = count / 2;
        CHECK_OK(tachyon_commit_rx_batch(pair.listener, views, half));
        taken += (uint32_t)half;
        if (half < count) /* dropped: it comes again */
            CHECK(tachyon_acquire_rx(pair.listener, &type, &size));
        CHECK_EQ(type, taken);
    }
    pair_close(&pair);
}

/* ---- A hostile producer ---- */

TEST(fault_13_corrupt_is_sticky_and_private) {
    static const uint64_t words[] = {
        0x22,               /* 33 bytes in one line */
        0x80000000,         /* no length */
        0x80001000,         /* longer than the ring */
        UINT64_MAX,         //
        0x7FFFFFFF,         //
        0xFFFFFFFF00000000, /* a type and nothing else */
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        struct pair pair = pair_open(4096);
        struct region *region = &pair.connector->regions[0];
        struct ring_line *line = ring_line_at(region_data(region), 4095, 0);
        tachyon_msg_view_t view;
        atomic_store(&line->word, words[i]);
        switch (i % 3) {
        case 0:
            CHECK_REFUSED(tachyon_acquire_rx(pair.listener, &type, &size),
                          TACHYON_ERR_CORRUPT);
            break;
        case 1:
            CHECK_REFUSED(tachyon_acquire_rx_blocking(pair.listener, &type, &size, 9),
                          TACHYON_ERR_CORRUPT);
            break;
        case 2:
            CHECK_REFUSED(tachyon_drain_batch(pair.listener, &view, 1, 0),
                          TACHYON_ERR_CORRUPT);
            break;
        }
        /* Whatever the peer writes now, it is over. */
        memset(region->map, 0, region->data_offset + region->capacity);
        atomic_store(&line->word, 1);
        CHECK_REFUSED(tachyon_acquire_rx(pair.listener, &type, &size),
                      TACHYON_ERR_CORRUPT);
        CHECK_REFUSED(tachyon_acquire_rx_batch(pair.listener, &view, 1),
                      TACHYON_ERR_CORRUPT);
        CHECK_ERROR(tachyon_commit_rx(pair.listener), TACHYON_ERR_CORRUPT);
        CHECK_ERROR(tachyon_commit_rx_batch(pair.listener, &view, 1),
                    TACHYON_ERR_CORRUPT);
        CHECK_EQ(tachyon_get_state(pair.listener), TACHYON_STATE_FATAL_ERROR);
        CHECK_EQ(tachyon_last_error(), TACHYON_ERR_CORRUPT);
        pair_close(&pair);
    }
}

TEST(a_batch_ends_before_what_is_corrupt) {
    struct pair pair = pair_open(4096);
    tachyon_msg_view_t views[10];
    send_number(pair.connector, 1);
    send_number(pair.connector, 2);
    uint8_t *data = region_data(&pair.connector->regions[0]);
    atomic_store(&ring_line_at(data, 4095, 128)->word, 0x22);
    CHECK_EQ(tachyon_acquire_rx_batch(pair.listener, views, 10), 2);
    CHECK_OK(tachyon_commit_rx_batch(pair.listener, views, 2));
    CHECK_REFUSED(tachyon_acquire_rx_batch(pair.listener, views, 10),
                  TACHYON_ERR_CORRUPT);
    pair_close(&pair);
}

struct scribbler {
    struct region *region;
    _Atomic bool stop;
};

static void *scribble(void *context) {
    struct scribbler *scribbler = context;
    uint64_t state = 5;
    while (!atomic_load(&scribbler->stop)) {
        size_t lines = scribbler->region->capacity / 64;
        struct ring_line *line = ring_line_at(region_data(scribbler->region),
                                              scribbler->region->capacity - 1,
                                              64 * test_random_below(&state, lines));
        uint64_t word = test_random(&state);
        if (test_random_below(&state, 4) > 0) /* mostly plausible */
            word = (word & 0x80000000) | test_random_below(&state, 600);
        atomic_store_explicit(&line->word, word, memory_order_relaxed);
        atomic_store_explicit(&region_shared(scribbler->region)->wanted_tail, word,
                              memory_order_relaxed);
    }
    return NULL;
}

TEST(a_peer_that_scribbles_cannot_lead_the_consumer_out_of_the_ring) {
    int64_t end = test_now_ms() + 1500;
    uint64_t found = 0, corrupt = 0, sum = 0;
    while (test_now_ms() < end) {
        struct pair pair = pair_open(4096);
        const uint8_t *data = region_data(&pair.listener->regions[0]);
        struct scribbler scribbler = {.region = &pair.connector->regions[0]};
        pthread_t thread = test_thread(scribble, &scribbler);
        tachyon_msg_view_t views[80];
        for (int i = 0; i < 2000; i++) {
            size_t count =
                tachyon_drain_batch_timed(pair.listener, views, 80, 10, 1000);
            for (size_t v = 0; v < count; v++) {
                const uint8_t *payload = views[v].ptr;
                CHECK(payload >= data && payload + views[v].actual_size <= data + 8192);
                CHECK(views[v].actual_size <= 4096 - 128);
                for (size_t b = 0; b < views[v].actual_size; b += 32)
                    sum += ((const volatile uint8_t *)payload)[b];
            }
            found += count;
            tachyon_error_t error = tachyon_last_error();
            if (count > 0)
                error =
                    tachyon_commit_rx_batch(pair.listener, views, count - count / 2);
            if (error == TACHYON_ERR_CORRUPT || error == TACHYON_ERR_LAGGED)
                break; /* LAGGED: it scribbled what an eviction would */
            CHECK(count == 0 || error == TACHYON_SUCCESS);
        }
        corrupt += tachyon_get_state(pair.listener) == TACHYON_STATE_FATAL_ERROR;
        atomic_store(&scribbler.stop, true);
        test_join(thread);
        pair_close(&pair);
    }
    CHECK(found > 0 && corrupt > 0);
    (void)sum;
}
