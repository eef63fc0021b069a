/* SPDX-License-Identifier: Apache-2.0 */
/* broadcast.c: one producer, many consumers of one ring. */
#include "bus.h"
#include "crowd.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)
#define MILLI INT64_C(1000000)
#define CAPACITY 4096
#define FULL (CAPACITY / 64 - 1) /* messages of one line */

static tachyon_options_t listening(uint32_t max_peers) {
    return (tachyon_options_t){.size = sizeof(tachyon_options_t),
                               .role = TACHYON_ROLE_PRODUCER,
                               .max_peers = max_peers};
}

static tachyon_bus_t *listen_as(const char *path, tachyon_options_t options) {
    tachyon_bus_t *bus;
    CHECK_OK(tachyon_bus_listen_with(path, CAPACITY, &options, &bus));
    return bus;
}

static tachyon_options_t starting(uint32_t start) {
    return (tachyon_options_t){.size = sizeof(tachyon_options_t),
                               .role = TACHYON_ROLE_CONSUMER,
                               .start = start,
                               .timeout_ns = 10 * SECOND};
}

static tachyon_bus_t *join_as(tachyon_bus_t *listener, const char *path,
                              tachyon_options_t options) {
    tachyon_bus_t *bus;
    CHECK_OK(crowd_try(listener, path, &options, &bus));
    crowd_event(listener, TACHYON_EVENT_JOINED);
    return bus;
}

static uint64_t send_all(tachyon_bus_t *bus, uint64_t from, uint64_t count) {
    while (count-- > 0 && crowd_send(bus, from, 0) == TACHYON_SUCCESS)
        from++;
    return from;
}

static void expect(tachyon_bus_t *bus, uint64_t from, uint64_t to) {
    for (uint64_t number; from < to; from++) {
        CHECK_OK(crowd_take(bus, &number, 10 * SECOND));
        CHECK_EQ(number, from);
    }
}

static void expect_nothing(tachyon_bus_t *bus) {
    uint64_t number;
    CHECK_ERROR(crowd_take(bus, &number, 0), TACHYON_ERR_EMPTY);
}

/* ---- Reading ---- */

TEST(each_consumer_reads_every_message_from_when_it_joined) {
    const char *path = test_path("bus");
    size_t before = test_count_fds();
    tachyon_bus_t *bus = listen_as(path, listening(4)), *reader[3];
    uint64_t number;
    CHECK_EQ(send_all(bus, 0, 3), 3); /* nobody there: seen by nobody */
    for (unsigned i = 0; i < 3; i++) {
        reader[i] = join_as(bus, path, starting(TACHYON_START_NOW));
        CHECK_EQ(send_all(bus, 3 + i, 1), 4 + i);
    }
    for (unsigned i = 0; i < 3; i++)
        expect(reader[i], 3 + i, 6);
    for (uint64_t round = 6; round < 3000;
         round += 10) { /* many times round the ring */
        CHECK_EQ(send_all(bus, round, 10), round + 10);
        for (unsigned i = 0; i < 3; i++)
            expect(reader[i], round, round + 10);
    }
    for (unsigned i = 0; i < 3; i++) {
        if (i == 0)
            expect_nothing(reader[i]);
        tachyon_bus_destroy(reader[i]);
        send_all(bus, 0, 2 * FULL); /* so that it is noticed */
        crowd_event(bus, TACHYON_EVENT_LEFT);
        while (i < 2 && crowd_take(reader[i + 1], &number, 0) == TACHYON_SUCCESS)
            continue;
    }
    tachyon_bus_destroy(bus);
    CHECK_EQ(test_count_fds(), before);
}

TEST(batches_reach_each_consumer) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = listen_as(path, listening(2));
    tachyon_bus_t *a = join_as(bus, path, starting(0)),
                  *b = join_as(bus, path, starting(0));
    uint64_t items[40], got[40];
    uint32_t type;
    for (uint64_t round = 0; round < 50; round++) {
        for (uint64_t i = 0; i < 40; i++)
            items[i] = round * 40 + i;
        size_t count, stride;
        if (round % 2) {
            CHECK_EQ(tachyon_send_batch(bus, items, 8, 40, 1, 0, 0), 40);
        } else {
            for (size_t sent = 0; sent < 40; sent += count) {
                char *slots =
                    tachyon_acquire_tx_batch(bus, 8, 40 - sent, &count, &stride, 0, 0);
                CHECK(slots);
                for (size_t i = 0; i < count; i++)
                    memcpy(slots + i * stride, &items[sent + i], 8);
                CHECK_OK(tachyon_commit_tx_batch(bus, count, 1));
            }
            tachyon_flush(bus);
        }
        CHECK_EQ(tachyon_recv_batch(a, got, 8, 40, &type, 0, SECOND), 40);
        CHECK_EQ(memcmp(got, items, sizeof got), 0);
        expect(b, round * 40, round * 40 + 40);
    }
    tachyon_bus_destroy(a);
    tachyon_bus_destroy(b);
    tachyon_bus_destroy(bus);
}

TEST(a_consumer_cannot_send_nor_write_what_it_reads) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = listen_as(path, listening(2));
    tachyon_bus_t *reader = join_as(bus, path, starting(0)), *other;
    tachyon_options_t sends = {.size = sizeof sends, .role = TACHYON_ROLE_PRODUCER};
    CHECK_ERROR(crowd_send(reader, 1, 0), TACHYON_ERR_BUSY);
    CHECK_ERROR(crowd_try(bus, path, &sends, &other), TACHYON_ERR_BUSY);
    tachyon_bus_t *undeclared = crowd_join(bus, path, NULL);
    CHECK_ERROR(crowd_send(undeclared, 1, 0), TACHYON_ERR_BUSY);
    /* Nor if the listener lies. */
    atomic_store(&region_shared(&undeclared->regions[0])->producer_side, 0);
    CHECK_ERROR(crowd_send(undeclared, 1, 0), TACHYON_ERR_BUSY);
    size_t mapped;
    CHECK(tachyon_bus_memory(bus, NULL));
    void *memory = tachyon_bus_memory(reader, &mapped);
    CHECK_EQ(mapped, 2 * CAPACITY);
    CHECK_EQ(mprotect(memory, mapped, PROT_READ | PROT_WRITE), -1);
    CHECK_ERROR(tachyon_bus_set_numa_node(reader, 0), TACHYON_ERR_PERMISSION);
    CHECK_ERROR(crowd_try(bus, path, NULL, &other),
                TACHYON_ERR_BUSY); /* two are here */
    tachyon_bus_destroy(undeclared);
    tachyon_bus_destroy(reader);
    tachyon_bus_destroy(bus);
}

TEST(what_was_flushed_before_the_listener_closed_is_read_first) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = listen_as(path, listening(2));
    tachyon_bus_t *a = join_as(bus, path, starting(0)),
                  *b = join_as(bus, path, starting(0));
    uint64_t number;
    CHECK_EQ(send_all(bus, 0, 20), 20);
    tachyon_bus_destroy(bus);
    expect(a, 0, 20);
    CHECK_ERROR(crowd_take(a, &number, SECOND), TACHYON_ERR_CLOSED);
    expect(b, 0, 20);
    CHECK_ERROR(crowd_take(b, &number, SECOND), TACHYON_ERR_CLOSED);
    tachyon_bus_destroy(a);
    tachyon_bus_destroy(b);
}

static void *end_soon(void *bus) {
    test_sleep_ms(50);
    tachyon_bus_close(bus);
    return NULL;
}

TEST(a_producer_that_is_closed_while_it_waits_takes_nothing_back) {
    const char *path = test_path("bus");
    for (unsigned free_run = 0; free_run < 2; free_run++) {
        tachyon_options_t options = listening(2);
        options.without_peers = free_run;
        tachyon_bus_t *bus = listen_as(path, options);
        tachyon_bus_t *reader = join_as(bus, path, starting(0));
        CHECK_EQ(send_all(bus, 0, 1000), FULL);
        pthread_t thread = test_thread(end_soon, bus);
        CHECK_ERROR(crowd_send(bus, FULL, 10 * SECOND), TACHYON_ERR_CLOSED);
        test_join(thread);
        expect(reader, 0, FULL);
        uint64_t number;
        CHECK_ERROR(crowd_take(reader, &number, SECOND), TACHYON_ERR_CLOSED);
        tachyon_bus_destroy(reader);
        tachyon_bus_destroy(bus);
    }
}

/* ---- Who is slow, or not there ---- */

TEST(the_slowest_holds_the_producer_up) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = listen_as(path, listening(2));
    tachyon_bus_t *fast = join_as(bus, path, starting(0));
    tachyon_bus_t *slow = join_as(bus, path, starting(0));
    CHECK_EQ(send_all(bus, 0, 1000), FULL);
    expect(fast, 0, FULL);
    CHECK_ERROR(crowd_send(bus, FULL, 0), TACHYON_ERR_FULL);
    CHECK_ERROR(crowd_send(bus, FULL, 20 * MILLI), TACHYON_ERR_TIMEOUT);
    expect(slow, 0, 5);
    CHECK_EQ(send_all(bus, FULL, 1000), FULL + 5);
    tachyon_peer_info_t info[2];
    CHECK_EQ(tachyon_bus_get_peers(bus, info, 2), 2);
    CHECK_EQ(info[0].behind + info[1].behind, (5 + FULL) * 64);
    tachyon_bus_destroy(slow); /* it is in nobody's way any more */
    CHECK_OK(crowd_send(bus, FULL + 5, SECOND));
    expect(fast, FULL, FULL + 6);
    tachyon_bus_destroy(fast);
    tachyon_bus_destroy(bus);
}

TEST(who_is_in_the_way_too_long_is_let_go_and_told) {
    const char *path = test_path("bus");
    for (unsigned how = 0; how < 6; how++) {
        tachyon_options_t options = listening(3);
        options.slow_peer = TACHYON_SLOW_DISCONNECT;
        options.slow_after_ns = 50 * MILLI;
        tachyon_bus_t *bus = listen_as(path, options);
        tachyon_bus_t *fast = join_as(bus, path, starting(0));
        tachyon_bus_t *slow = join_as(bus, path, starting(0));
        uint32_t type, id = 2;
        uint64_t number, items[80];
        uint32_t
            half[80]; /* the size does not fit, which is no more true than the rest */
        size_t size;
        int64_t begin = test_now_ms(); /* no later than it is in the way */
        CHECK_EQ(send_all(bus, 0, 1000), FULL);
        expect(fast, 0, FULL);
        const void *view = how == 0 ? tachyon_acquire_rx(slow, &type, &size) : NULL;
        CHECK(how != 0 || view);
        CHECK_OK(crowd_send(bus, FULL, 10 * SECOND));
        CHECK(test_now_ms() - begin >= 50);
        CHECK_OR_AGAIN(test_now_ms() - begin < 200);
        crowd_left(bus, id, TACHYON_ERR_LAGGED);
        CHECK_EQ(send_all(bus, FULL + 1, 10), FULL + 11);
        expect(fast, FULL, FULL + 11);
        CHECK_EQ(send_all(bus, FULL + 11, 20), FULL + 31);
        if (how == 0)
            CHECK_ERROR(tachyon_commit_rx(slow), TACHYON_ERR_LAGGED);
        else if (how == 1)
            CHECK_ERROR(crowd_take(slow, &number, SECOND), TACHYON_ERR_LAGGED);
        else if (how == 2)
            CHECK_REFUSED(tachyon_recv_batch(slow, items, 8, 80, &type, 0, SECOND),
                          TACHYON_ERR_LAGGED);
        else if (how == 5)
            CHECK_ERROR(tachyon_recv(slow, &number, 1, &size, &type, 0, SECOND),
                        TACHYON_ERR_LAGGED);
        else if (how == 3)
            CHECK_REFUSED(tachyon_recv_batch(slow, half, 4, 80, &type, 0, SECOND),
                          TACHYON_ERR_LAGGED);
        CHECK_SAYS(how == 4 ? "" : "connect again");
        CHECK_EQ(tachyon_get_state(slow), TACHYON_STATE_FATAL_ERROR);
        CHECK_EQ(tachyon_last_error(), TACHYON_ERR_LAGGED);
        if (how != 4)
            CHECK_ERROR(crowd_take(slow, &number, SECOND), TACHYON_ERR_LAGGED);
        tachyon_bus_destroy(slow);
        slow = join_as(bus, path, starting(0)); /* and is welcome again */
        CHECK_EQ(send_all(bus, FULL + 31, 5), FULL + 36);
        expect(slow, FULL + 31, FULL + 36);
        tachyon_bus_destroy(slow);
        tachyon_bus_destroy(fast);
        tachyon_bus_destroy(bus);
    }
}

TEST(who_is_disconnected_reads_on_until_the_ring_goes_on_without_it) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = listen_as(path, listening(2));
    uint64_t number = 0;
    for (uint32_t id = 1; id <= 2; id++) {
        tachyon_bus_t *reader = join_as(bus, path, starting(0));
        CHECK_EQ(send_all(bus, 0, 3), 3);
        CHECK_OK(tachyon_bus_drop_peer(bus, id));
        expect(reader, 0, 3);
        CHECK(id == 1 || send_all(bus, 3, 1000) > FULL);
        CHECK_ERROR(crowd_take(reader, &number, SECOND),
                    id == 1 ? TACHYON_ERR_CLOSED : TACHYON_ERR_LAGGED);
        tachyon_bus_destroy(reader);
    }
    tachyon_bus_destroy(bus);
}

/* As a loop does that waits elsewhere. */
static void send_by_descriptor(tachyon_bus_t *bus, uint64_t number) {
    struct pollfd fd = {.fd = tachyon_bus_fileno(bus), .events = POLLIN};
    unsigned rounds = 0;
    for (; crowd_send(bus, number, 0) == TACHYON_ERR_FULL; rounds++)
        CHECK_EQ(poll(&fd, 1, 10000), 1);
    CHECK(rounds <= 10);
    CHECK_OR_AGAIN(rounds > 0); /* else there was room before we came to wait */
}

TEST(who_is_slow_is_let_go_by_a_producer_that_waits_on_its_descriptor) {
    const char *path = test_path("bus");
    tachyon_options_t options = listening(2);
    options.slow_peer = TACHYON_SLOW_DISCONNECT;
    options.slow_after_ns = 50 * MILLI;
    options.without_peers = TACHYON_WITHOUT_PEERS_FREE_RUN;
    tachyon_bus_t *bus = listen_as(path, options);
    uint64_t number = 0;
    for (unsigned round = 0; round < 2; round++) {
        tachyon_bus_t *slow = join_as(bus, path, starting(0));
        int64_t begin = test_now_ms();
        number = send_all(bus, number, 1000);
        send_by_descriptor(bus, number++);
        CHECK(test_now_ms() - begin >= 50);
        CHECK_OR_AGAIN(test_now_ms() - begin < 200);
        crowd_left(bus, round + 1, TACHYON_ERR_LAGGED);
        tachyon_bus_destroy(slow);
    }
    tachyon_bus_destroy(bus);
}

TEST(who_releases_a_little_before_each_end_is_let_go_too) {
    const char *path = test_path("bus");
    tachyon_options_t options = listening(2);
    options.slow_peer = TACHYON_SLOW_DISCONNECT;
    options.slow_after_ns = 300 * MILLI;
    options.without_peers = TACHYON_WITHOUT_PEERS_FREE_RUN;
    tachyon_bus_t *bus = listen_as(path, options);
    tachyon_bus_t *slow = join_as(bus, path, starting(0));
    uint64_t number = send_all(bus, 0, 1000), taken = 0;
    CHECK_EQ(number, FULL);
    tachyon_error_t error;
    unsigned rounds = 0; /* waits of 20 ms, of which 300 ms are too much */
    while ((error = crowd_send(bus, number, 20 * MILLI)) == TACHYON_ERR_TIMEOUT) {
        CHECK_IN(++rounds, 1, 16);
        CHECK_OK(crowd_take(slow, &taken, 0));
        CHECK_OK(crowd_send(bus, number++, 0));
    }
    CHECK_OK(error);
    CHECK_ERROR(crowd_take(slow, &taken, SECOND), TACHYON_ERR_LAGGED);
    uint64_t position, epoch;
    CHECK_ERROR(tachyon_bus_position(slow, &position, &epoch), TACHYON_ERR_LAGGED);
    crowd_left(bus, 1, TACHYON_ERR_LAGGED);
    tachyon_bus_destroy(slow);
    tachyon_bus_destroy(bus);
}

TEST(who_keeps_up_is_not_let_go_however_often_it_is_waited_for) {
    const char *path = test_path("bus");
    tachyon_options_t options = listening(2);
    options.slow_peer = TACHYON_SLOW_DISCONNECT;
    options.slow_after_ns = SECOND;
    tachyon_bus_t *bus = listen_as(path, options);
    tachyon_bus_t *reader = join_as(bus, path, starting(0));
    uint64_t number = send_all(bus, 0, 1000), round = 0, taken;
    /* More than a second of waits in all, and much less in each half of the ring. */
    for (int64_t waited = 0, half = 0; waited < 1200 * MILLI; round++) {
        int64_t begin = ty_now_ns();
        CHECK_ERROR(crowd_send(bus, number, MILLI / 2), TACHYON_ERR_TIMEOUT);
        half = (round % (FULL / 2) ? half : 0) + ty_now_ns() - begin;
        CHECK_OR_AGAIN(half < 400 * MILLI);
        waited += ty_now_ns() - begin;
        CHECK_OK(crowd_take(reader, &taken, 0));
        CHECK_EQ(taken, round);
        CHECK_OK(crowd_send(bus, number++, 0));
    }
    tachyon_bus_destroy(reader);
    tachyon_bus_destroy(bus);
}

TEST(a_batch_is_reserved_in_all_the_room_there_is) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = listen_as(path, listening(2));
    tachyon_bus_t *reader = join_as(bus, path, starting(0));
    size_t count, stride;
    CHECK_EQ(send_all(bus, 0, FULL - 1), FULL - 1); /* room for one is known ... */
    expect(reader, 0, FULL - 1);
    CHECK(tachyon_acquire_tx_batch(bus, 8, 1000, &count, &stride, 0, 0) != NULL);
    CHECK_EQ(count, FULL); /* ... and for the others there is */
    CHECK_OK(tachyon_rollback_tx(bus));
    tachyon_bus_destroy(reader);
    tachyon_bus_destroy(bus);
}

TEST(a_time_without_end_is_one) {
    const char *path = test_path("bus");
    tachyon_options_t options = listening(2);
    options.slow_peer = TACHYON_SLOW_DISCONNECT;
    options.slow_after_ns = INT64_MAX;
    tachyon_bus_t *bus = listen_as(path, options);
    tachyon_bus_t *reader = join_as(bus, path, starting(0));
    CHECK_EQ(send_all(bus, 0, 1000), FULL);
    CHECK_ERROR(crowd_send(bus, FULL, 20 * MILLI), TACHYON_ERR_TIMEOUT);
    expect(reader, 0, FULL);
    tachyon_bus_destroy(reader);
    tachyon_bus_destroy(bus);
}

TEST(readers_that_have_gone_leave_at_a_flush_of_nothing_too) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = listen_as(path, listening(2)), *reader;
    for (uint64_t number = 0; number < 20; number++) {
        const tachyon_options_t options = starting(0);
        tachyon_event_t event;
        CHECK_OK(crowd_try(bus, path, &options, &reader));
        tachyon_bus_destroy(reader);
        while (tachyon_bus_accept(bus, &event, 0) == TACHYON_SUCCESS)
            continue;
        tachyon_flush(bus);
    }
    tachyon_bus_destroy(bus);
}

TEST(the_descriptor_of_a_producer_is_quiet_again_once_it_has_flushed) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = listen_as(path, listening(4)), *reader[3];
    CHECK_EQ(crowd_quiet(bus), 0);
    for (unsigned i = 0; i < 3; i++) {
        reader[i] = join_as(bus, path, starting(0));
        if (i == 1) /* taken in by a flush of something */
            CHECK_OK(crowd_send(bus, i, 0));
        if (i == 2) /* taken in by a look for room */
            send_all(bus, i, FULL);
        CHECK_EQ(crowd_quiet(bus), 0);
    }
    for (unsigned i = 0; i < 3; i++) {
        tachyon_bus_destroy(reader[i]);
        CHECK_EQ(crowd_quiet(bus), 1);
    }
    tachyon_bus_destroy(bus);
}

TEST(readers_that_have_gone_leave_their_places_at_the_next_flush) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = listen_as(path, listening(2)), *reader;
    tachyon_bus_t *stays = join_as(bus, path, starting(0));
    for (uint64_t number = 0; number < 20; number++) {
        const tachyon_options_t options = starting(0);
        tachyon_event_t event;
        CHECK_OK(crowd_try(bus, path, &options, &reader));
        tachyon_bus_destroy(reader);
        while (tachyon_bus_accept(bus, &event, 0) == TACHYON_SUCCESS)
            continue;
        CHECK_OK(crowd_send(bus, number, 0));
        expect(stays, number, number + 1);
    }
    tachyon_bus_destroy(stays);
    tachyon_bus_destroy(bus);
}

TEST(without_consumers_it_waits_for_one_or_runs_on) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = listen_as(path, listening(2));
    CHECK_EQ(send_all(bus, 0, 1000), FULL);
    CHECK_ERROR(crowd_send(bus, 0, 10 * MILLI), TACHYON_ERR_TIMEOUT);
    tachyon_bus_t *reader = join_as(bus, path, starting(TACHYON_START_OLDEST));
    expect(reader, 0, FULL);
    CHECK_EQ(send_all(bus, FULL, 10), FULL + 10);
    expect(reader, FULL, FULL + 10);
    tachyon_bus_destroy(reader);
    tachyon_bus_destroy(bus);

    tachyon_options_t options = listening(2);
    options.without_peers = TACHYON_WITHOUT_PEERS_FREE_RUN;
    bus = listen_as(path, options);
    CHECK_EQ(send_all(bus, 0, 5000), 5000);
    reader = join_as(bus, path, starting(TACHYON_START_OLDEST));
    uint64_t first;
    CHECK_OK(crowd_take(reader, &first, 0));
    CHECK_IN(first, 5000 - FULL, 5000 - FULL * 3 / 4);
    expect(reader, first + 1, 5000);
    expect_nothing(reader);
    tachyon_bus_destroy(reader);
    CHECK_EQ(send_all(bus, 5000, 1000), 6000); /* and on */
    tachyon_bus_destroy(bus);
}

#define SLOW_AFTER_MS 400

/* Returns NULL, or what it was given: it was let go, and it was too slow indeed. */
static void *join_late(void *path) {
    tachyon_bus_t *bus;
    tachyon_options_t options = starting(TACHYON_START_OLDEST);
    uint64_t first;
    test_sleep_ms(SLOW_AFTER_MS + 100);
    int64_t begin = test_now_ms();
    CHECK_OK(tachyon_bus_connect_with(path, &options, &bus));
    test_sleep_ms(20);
    tachyon_error_t error = crowd_take(bus, &first, 10 * SECOND);
    bool slow = error == TACHYON_ERR_LAGGED && test_now_ms() - begin >= SLOW_AFTER_MS;
    if (!slow) {
        CHECK_OK(error);
        CHECK_EQ(first, 0);
        expect(bus, 1, FULL + 1);
    }
    tachyon_bus_destroy(bus);
    return slow ? path : NULL;
}

TEST(a_producer_that_sleeps_lets_in_whom_it_waits_for) {
    const char *path = test_path("bus");
    for (unsigned disconnect = 0; disconnect < 2;) {
        tachyon_options_t options = listening(2);
        options.slow_peer = disconnect; /* and nobody is to blame for the time before */
        options.slow_after_ns = disconnect ? SLOW_AFTER_MS * MILLI : 0;
        tachyon_bus_t *bus = listen_as(path, options);
        CHECK_EQ(send_all(bus, 0, 1000), FULL);
        pthread_t thread = test_thread(join_late, (void *)(uintptr_t)path);
        CHECK_OK(crowd_send(bus, FULL, 20 * SECOND));
        disconnect += test_join(thread) == NULL;
        tachyon_bus_destroy(bus);
    }
}

/* ---- Where somebody begins ---- */

TEST(a_position_of_this_epoch_is_gone_on_from_while_it_is_there) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = listen_as(path, listening(3)), *other;
    tachyon_bus_t *keeper = join_as(bus, path, starting(0));
    tachyon_bus_t *reader = join_as(bus, path, starting(0));
    tachyon_options_t again = starting(TACHYON_START_POSITION);
    CHECK_EQ(send_all(bus, 0, 20), 20);
    tachyon_bus_t *fresh = join_as(bus, path, starting(0));
    CHECK_OK(tachyon_bus_position(fresh, &again.start_position, &again.start_epoch));
    CHECK_EQ(again.start_position, 20 * 64);
    tachyon_bus_destroy(fresh);
    crowd_event(bus, TACHYON_EVENT_LEFT);
    expect(reader, 0, 7);
    CHECK_OK(tachyon_bus_position(reader, &again.start_position, &again.start_epoch));
    CHECK_EQ(again.start_position, 7 * 64);
    tachyon_bus_destroy(reader);
    crowd_event(bus, TACHYON_EVENT_LEFT);
    reader = join_as(bus, path, again);
    expect(reader, 7, 20);

    char epoch_is[32];
    snprintf(epoch_is, sizeof epoch_is, "in epoch %016jx",
             (uintmax_t)again.start_epoch);
    again.start_epoch++;
    CHECK_ERROR(crowd_try(bus, path, &again, &other), TACHYON_ERR_LAGGED);
    CHECK_SAYS(epoch_is);
    again.start_epoch--;
    again.start_position = 21 * 64; /* nothing is there yet */
    CHECK_ERROR(crowd_try(bus, path, &again, &other), TACHYON_ERR_LAGGED);
    again.start_position = 7 * 64;
    expect(keeper, 0, 20);
    CHECK_EQ(send_all(bus, 20, 1000), 20 + FULL);
    CHECK_ERROR(crowd_try(bus, path, &again, &other), TACHYON_ERR_LAGGED);
    CHECK_SAYS("448");

    uint64_t position, epoch;
    CHECK_OK(tachyon_bus_position(bus, &position, &epoch));
    CHECK_EQ(position, (20 + FULL) * 64);
    CHECK_EQ(epoch, again.start_epoch);
    tachyon_bus_destroy(reader);
    tachyon_bus_destroy(keeper);
    tachyon_bus_destroy(bus);
    struct pair pair = pair_open(4096);
    CHECK_ERROR(tachyon_bus_position(pair.listener, &position, &epoch),
                TACHYON_ERR_INVALID_SZ);
    pair_close(&pair);
}

/* ---- Processes ---- */

struct child {
    const char *path;
    const char *name;
    uint64_t count; /* then die by SIGKILL; 0: read to the end */
    uint32_t start;
    int64_t pause_ns;
};

/* Numbers follow one another; at least `count` of them, then it is killed. */
static void read_on(void *context) {
    const struct child *child = context;
    tachyon_options_t options = starting(child->start);
    tachyon_bus_t *bus;
    uint64_t number, next = 0;
    options.name = child->name;
    CHECK_OK(tachyon_bus_connect_with(child->path, &options, &bus));
    for (uint64_t got = 0;; got++) {
        tachyon_error_t error = crowd_take(bus, &number, 20 * SECOND);
        if (error == TACHYON_ERR_CLOSED && child->count == 0)
            break;
        CHECK_EQ(error, TACHYON_SUCCESS);
        if (got > 0)
            CHECK_EQ(number, next);
        next = number + 1;
        if (child->count > 0 && got == child->count)
            kill(getpid(), SIGKILL);
        if (child->pause_ns > 0)
            test_sleep_ms(child->pause_ns / MILLI);
    }
    tachyon_bus_destroy(bus);
}

static void await_peers(tachyon_bus_t *bus, size_t count) {
    while (tachyon_bus_get_peers(bus, NULL, 0) != count) {
        tachyon_event_t event;
        tachyon_bus_accept(bus, &event, 10 * MILLI);
    }
}

TEST(readers_that_are_killed_under_load_cost_the_others_nothing_but_time) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = listen_as(path, listening(4));
    struct child stays = {.path = path}, dies = {.path = path, .count = 300};
    pid_t stayer = test_spawn(read_on, &stays), mortal = 0;
    unsigned deaths = 0, rounds = test_sanitized() ? 10 : 60;
    await_peers(bus, 1);
    uint64_t number = 0;
    while (deaths < rounds) {
        int status;
        if (mortal == 0)
            mortal = test_spawn(read_on, &dies);
        for (unsigned i = 0; i < 50; i++)
            CHECK_OK(crowd_send(bus, number++, 10 * SECOND));
        tachyon_event_t event;
        tachyon_bus_accept(bus, &event, 0);
        if (waitpid(mortal, &status, WNOHANG) == mortal) {
            CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
            mortal = 0;
            deaths++;
        }
    }
    tachyon_bus_destroy(bus);
    CHECK_EQ(test_wait(stayer), 0);
}

TEST(a_stopped_reader_holds_up_or_is_let_go) {
    const char *path = test_path("bus");
    for (unsigned disconnect = 0; disconnect < 2; disconnect++) {
        tachyon_options_t options = listening(2);
        options.slow_peer = disconnect;
        options.slow_after_ns = disconnect ? 100 * MILLI : 0;
        tachyon_bus_t *bus = listen_as(path, options);
        struct child reads = {.path = path};
        pid_t stopped = test_spawn(read_on, &reads);
        await_peers(bus, 1);
        tachyon_bus_t *other = join_as(bus, path, starting(0));
        uint64_t number = send_all(bus, 0, 20);
        expect(other, 0, 20);
        CHECK_EQ(kill(stopped, SIGSTOP), 0);
        test_sleep_ms(20);
        for (; number < 20 + FULL; number++) {
            if (crowd_send(bus, number, 0) != TACHYON_SUCCESS)
                break;
            expect(other, number, number + 1);
        }
        while (crowd_send(bus, number, 0) == TACHYON_SUCCESS) {
            expect(other, number, number + 1);
            number++;
        }
        if (disconnect) {
            CHECK_OK(crowd_send(bus, number, 5 * SECOND));
            expect(other, number, number + 1);
            CHECK_EQ(kill(stopped, SIGKILL), 0);
            CHECK_EQ(test_wait(stopped), -SIGKILL);
        } else {
            CHECK_ERROR(crowd_send(bus, number, 200 * MILLI), TACHYON_ERR_TIMEOUT);
            CHECK_EQ(kill(stopped, SIGCONT), 0);
            CHECK_OK(crowd_send(bus, number, 5 * SECOND));
            expect(other, number, number + 1);
        }
        tachyon_bus_destroy(other);
        tachyon_bus_destroy(bus);
        if (!disconnect)
            CHECK_EQ(test_wait(stopped), 0);
    }
}

TEST(a_kept_place_loses_nothing) {
    const char *path = test_path("bus");
    tachyon_options_t options = listening(3);
    options.keep_place_ns = 10 * SECOND;
    tachyon_bus_t *bus = listen_as(path, options);
    struct child dies = {.path = path, .name = "one", .count = 10};
    pid_t first = test_spawn(read_on, &dies);
    await_peers(bus, 1);
    uint64_t number = send_all(bus, 0, 30);
    CHECK_EQ(test_wait(first), -SIGKILL); /* it had released ten, or eleven */
    number = send_all(bus, number, 1000); /* the place is kept: not overwritten */
    CHECK(number < 11 + 1 + FULL);
    CHECK_ERROR(crowd_send(bus, number, 50 * MILLI), TACHYON_ERR_TIMEOUT);
    tachyon_options_t again = starting(TACHYON_START_NOW);
    again.name = "one";
    tachyon_bus_t *heir;
    CHECK_OK(crowd_try(bus, path, &again, &heir));
    uint64_t got;
    CHECK_OK(crowd_take(heir, &got, SECOND));
    CHECK_IN(got, 10, 11);
    expect(heir, got + 1, number);
    CHECK_OK(crowd_send(bus, number, SECOND));
    expect(heir, number, number + 1);
    CHECK_EQ(send_all(bus, number + 1, FULL - 5), number + FULL - 4); /* one cursor */
    tachyon_bus_destroy(heir);
    tachyon_bus_destroy(bus);
}

TEST(a_place_is_kept_no_longer_than_promised) {
    const char *path = test_path("bus");
    tachyon_options_t options = listening(3);
    options.keep_place_ns = 300 * MILLI;
    tachyon_bus_t *bus = listen_as(path, options);
    struct child dies = {.path = path, .name = "one", .count = 10};
    pid_t first = test_spawn(read_on, &dies);
    await_peers(bus, 1);
    tachyon_bus_t *other = join_as(bus, path, starting(TACHYON_START_NOW));
    uint64_t number = send_all(bus, 0, 30);
    CHECK_EQ(test_wait(first), -SIGKILL);
    expect(other, 0, number);
    number = send_all(bus, number, 1000);
    expect(other, 30, number);
    CHECK_OK(crowd_send(bus, number, 5 * SECOND));
    crowd_left(bus, 1, TACHYON_ERR_PEER_DEAD);
    expect(other, number, number + 1);
    tachyon_bus_destroy(other);
    tachyon_bus_destroy(bus);
}

TEST(a_place_that_was_kept_leaves_no_alarm_behind) {
    const char *path = test_path("bus");
    for (unsigned elsewhere = 0; elsewhere < 2; elsewhere++) {
        tachyon_options_t options = listening(3);
        options.keep_place_ns = 100 * MILLI;
        tachyon_bus_t *bus = listen_as(path, options);
        struct child dies = {.path = path, .name = "one", .count = 10};
        pid_t first = test_spawn(read_on, &dies);
        await_peers(bus, 1);
        tachyon_bus_t *other = join_as(bus, path, starting(TACHYON_START_NOW));
        uint64_t number = send_all(bus, 0, 30);
        CHECK_EQ(test_wait(first), -SIGKILL);
        if (elsewhere) {
            expect(other, 0, number);
            number = send_all(bus, number, 1000);
            expect(other, 30, number);
            send_by_descriptor(bus, number);
        } else {
            tachyon_stats_t stats;
            send_all(bus, number, 1000);
            CHECK_ERROR(crowd_send(bus, 0, 500 * MILLI), TACHYON_ERR_TIMEOUT);
            CHECK_OK(tachyon_bus_get_stats(bus, &stats));
            CHECK_IN(stats.sleeps, 1, 20);
        }
        tachyon_bus_destroy(other);
        tachyon_bus_destroy(bus);
    }
}

TEST(a_listener_that_dies_is_drained_first) {
    const char *path = test_path("bus");
    int ready[2];
    CHECK_EQ(pipe(ready), 0);
    pid_t listener = fork();
    if (listener == 0) {
        tachyon_bus_t *bus = listen_as(path, listening(2));
        for (tachyon_event_t event; tachyon_bus_get_peers(bus, NULL, 0) < 2;)
            tachyon_bus_accept(bus, &event, 10 * MILLI);
        for (uint64_t number = 0;; number++) {
            crowd_send(bus, number, 10 * SECOND);
            if (number == FULL - 1)
                (void)!write(ready[1], "x", 1);
        }
    }
    tachyon_options_t options = starting(0);
    tachyon_bus_t *reader[2];
    char byte;
    for (unsigned i = 0; i < 2; i++)
        CHECK_OK(tachyon_bus_connect_with(path, &options, &reader[i]));
    CHECK_EQ(read(ready[0], &byte, 1), 1);
    CHECK_EQ(kill(listener, SIGKILL), 0);
    CHECK_EQ(test_wait(listener), -SIGKILL);
    for (unsigned i = 0; i < 2; i++) {
        uint64_t number, next = 0;
        while (crowd_take(reader[i], &number, SECOND) == TACHYON_SUCCESS)
            CHECK_EQ(number, next++);
        CHECK_EQ(tachyon_last_error(), TACHYON_ERR_PEER_DEAD);
        CHECK_EQ(next, FULL); /* all that were flushed */
        tachyon_bus_destroy(reader[i]);
    }
    close(ready[0]);
    close(ready[1]);
}

TEST(a_forked_child_has_no_part_in_it) {
    const char *path = test_path("bus");
    size_t before = test_count_fds();
    tachyon_bus_t *bus = listen_as(path, listening(2));
    tachyon_bus_t *reader = join_as(bus, path, starting(0));
    pid_t child = fork();
    if (child == 0) {
        uint64_t number;
        bool right = test_count_fds() == before &&
                     crowd_send(bus, 1, 0) == TACHYON_ERR_FORKED &&
                     crowd_take(reader, &number, 0) == TACHYON_ERR_FORKED;
        tachyon_bus_destroy(reader);
        tachyon_bus_destroy(bus);
        _exit(right ? 0 : 1);
    }
    CHECK_EQ(test_wait(child), 0);
    CHECK_EQ(send_all(bus, 0, 10), 10);
    expect(reader, 0, 10);
    tachyon_bus_destroy(reader);
    tachyon_bus_destroy(bus);
}

/* ---- Hostile readers ---- */

TEST(a_reader_that_lies_harms_nobody_but_itself) {
    const char *path = test_path("bus");
    static const uint64_t lies[] = {1, 63, 65, 1 << 20, UINT64_MAX, UINT64_MAX - 63, 0};
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        tachyon_bus_t *bus = listen_as(path, listening(3));
        tachyon_bus_t *good = join_as(bus, path, starting(0));
        tachyon_bus_t *liar = join_as(bus, path, starting(0));
        uint64_t number;
        CHECK_EQ(send_all(bus, 0, 30), 30);
        expect(good, 0, 30);
        expect(liar, 0, 30);
        atomic_store(&region_shared(&liar->regions[0])->tail, lies[i]);
        if (lies[i] == 0) { /* a step back is no progress: it is where it was */
            CHECK_EQ(send_all(bus, 30, 1000), FULL); /* not looked at before */
            expect(good, 30, FULL);
            atomic_store(&region_shared(&liar->regions[0])->tail, 30 * 64);
            CHECK_EQ(send_all(bus, FULL, 1000), 30 + FULL);
            atomic_store(&region_shared(&liar->regions[0])->tail, 0);
            CHECK_ERROR(crowd_send(bus, 0, 0), TACHYON_ERR_FULL);
            expect(liar, 30, 30 + FULL);
            expect(good, FULL, 30 + FULL);
            CHECK_EQ(send_all(bus, 30 + FULL, 1000), 30 + 2 * FULL);
        } else {
            uint64_t next = 30;
            for (; next < 200; next++) {
                CHECK_OK(crowd_send(bus, next, SECOND));
                expect(good, next, next + 1);
            }
            crowd_left(bus, 2, TACHYON_ERR_CORRUPT);
            while (crowd_take(liar, &number, SECOND) == TACHYON_SUCCESS)
                continue;
            CHECK_EQ(tachyon_last_error(), TACHYON_ERR_LAGGED);
        }
        tachyon_bus_destroy(liar);
        tachyon_bus_destroy(good);
        tachyon_bus_destroy(bus);
    }
}

struct scribbler {
    struct ring_shared *shared;
    _Atomic bool stop;
};

static void *scribble(void *context) {
    struct scribbler *scribbler = context;
    uint64_t random = 3;
    _Atomic uint64_t *words = (_Atomic uint64_t *)(void *)scribbler->shared;
    while (!atomic_load(&scribbler->stop)) {
        atomic_store_explicit(&words[test_random_below(&random, RING_SHARED_BYTES / 8)],
                              test_random(&random), memory_order_relaxed);
        atomic_store_explicit(&scribbler->shared->tail,
                              test_random_below(&random, 500) * 64,
                              memory_order_relaxed);
        atomic_store_explicit(&scribbler->shared->wanted_head,
                              test_random_below(&random, 500), memory_order_relaxed);
    }
    return NULL;
}

TEST(a_reader_that_scribbles_over_its_control_words_costs_time_only) {
    const char *path = test_path("bus");
    tachyon_options_t options = listening(3);
    options.slow_peer = TACHYON_SLOW_DISCONNECT;
    options.slow_after_ns = 20 * MILLI;
    tachyon_bus_t *bus = listen_as(path, options);
    tachyon_bus_t *good = join_as(bus, path, starting(0));
    uint64_t next = 0;
    for (unsigned round = 0; round < 20; round++) {
        tachyon_bus_t *bad = join_as(bus, path, starting(0));
        struct scribbler scribbler = {.shared = region_shared(&bad->regions[0])};
        pthread_t thread = test_thread(scribble, &scribbler);
        for (uint64_t end = next + 2000; next < end; next++) {
            CHECK_OK(crowd_send(bus, next, 5 * SECOND));
            expect(good, next, next + 1);
        }
        atomic_store(&scribbler.stop, true);
        test_join(thread);
        tachyon_bus_destroy(bad);
        for (tachyon_event_t event; tachyon_bus_get_peers(bus, NULL, 0) > 1;)
            tachyon_bus_accept(bus, &event, MILLI);
        for (tachyon_event_t event;
             tachyon_bus_accept(bus, &event, 0) == TACHYON_SUCCESS;)
            CHECK_EQ(event.kind, TACHYON_EVENT_LEFT);
    }
    tachyon_bus_destroy(good);
    tachyon_bus_destroy(bus);
}

/* ---- Who sends nothing ---- */

TEST(that_a_reader_has_left_is_told_once_whether_or_not_anything_is_sent) {
    const char *path = test_path("bus");
    tachyon_event_t event;
    for (int sends = 0; sends < 2; sends++)
        for (uint32_t peers = 1; peers < 3; peers++) {
            tachyon_options_t options = {.size = sizeof options,
                                         .role = TACHYON_ROLE_PRODUCER,
                                         .max_peers = peers};
            tachyon_bus_t *bus = listen_as(path, options);
            tachyon_bus_t *reader = crowd_join(bus, path, "reader");
            uint32_t number = 0;
            if (sends)
                CHECK_OK(
                    crowd_send(bus, 0, SECOND)); /* the sender has it in its array */
            tachyon_bus_abort(reader);
            tachyon_bus_destroy(reader);
            event = crowd_event(bus, TACHYON_EVENT_LEFT);
            CHECK_EQ(event.reason, TACHYON_ERR_ABORTED);
            CHECK_EQ(strcmp(event.name, "reader"), 0);
            number = event.peer;
            CHECK_EQ(tachyon_bus_get_peers(bus, NULL, 0), 0);
            tachyon_flush(bus); /* lets it out, of which no more is said */
            CHECK_ERROR(tachyon_bus_accept(bus, &event, 50 * MILLI),
                        TACHYON_ERR_TIMEOUT);
            CHECK_ERROR(tachyon_bus_drop_peer(bus, number), TACHYON_ERR_INVALID_SZ);
            tachyon_bus_destroy(bus);
        }
}

/* ---- Joins and leaves under load ---- */

static _Atomic bool stop;

static void *accept_always(void *bus) {
    tachyon_event_t event;
    while (!atomic_load(&stop))
        tachyon_bus_accept(bus, &event, 10 * MILLI);
    return NULL;
}

static void *send_always(void *bus) {
    uint64_t number = 0;
    while (!atomic_load(&stop))
        number += crowd_send(bus, number, 100 * MILLI) == TACHYON_SUCCESS;
    return NULL;
}

static void *look_always(void *bus) {
    tachyon_peer_info_t info[8];
    while (!atomic_load(&stop))
        for (size_t i = 0, count = tachyon_bus_get_peers(bus, info, 8); i < count; i++)
            CHECK(info[i].peer > 0);
    return NULL;
}

struct visitor {
    const char *path;
    unsigned visits;
    uint64_t seed, messages;
};

static void *visit(void *context) {
    struct visitor *visitor = context;
    uint64_t random = visitor->seed;
    for (unsigned i = 0; i < visitor->visits; i++) {
        tachyon_options_t options = starting((uint32_t)test_random_below(&random, 2));
        uint64_t count = test_random_below(&random, 400), number, next = 0;
        tachyon_bus_t *bus;
        tachyon_error_t error;
        while ((error = tachyon_bus_connect_with(visitor->path, &options, &bus)) ==
               TACHYON_ERR_BUSY)
            sched_yield(); /* those before us are not let out yet */
        CHECK_EQ(error, TACHYON_SUCCESS);
        for (uint64_t got = 0; got < count; got++) {
            CHECK_OK(crowd_take(bus, &number, 10 * SECOND));
            if (got > 0)
                CHECK_EQ(number, next);
            next = number + 1;
        }
        visitor->messages += count;
        tachyon_bus_destroy(bus);
    }
    return NULL;
}

TEST(a_thousand_joins_and_leaves_under_load_with_every_message_checked) {
    enum { VISITORS = 4 };
    const char *path = test_path("bus");
    tachyon_options_t options = listening(8);
    options.without_peers = TACHYON_WITHOUT_PEERS_FREE_RUN;
    size_t before = test_count_fds();
    tachyon_bus_t *bus = listen_as(path, options);
    struct visitor visitor[VISITORS];
    pthread_t thread[VISITORS + 3];
    thread[0] = test_thread(accept_always, bus);
    thread[1] = test_thread(send_always, bus);
    thread[2] = test_thread(look_always, bus);
    for (unsigned i = 0; i < VISITORS; i++) {
        visitor[i] = (struct visitor){path, test_sanitized() ? 50 : 250, i + 1, 0};
        thread[3 + i] = test_thread(visit, &visitor[i]);
    }
    for (unsigned i = 0; i < VISITORS; i++)
        test_join(thread[3 + i]);
    atomic_store(&stop, true);
    for (unsigned i = 0; i < 3; i++)
        test_join(thread[i]);
    tachyon_bus_destroy(bus);
    CHECK_EQ(test_count_fds(), before);
}

static void die(tachyon_bus_t *bus) {
    ty_close(&bus->link.socket);
    tachyon_bus_destroy(bus);
}

TEST(places_whose_time_is_over_make_room_when_flushed) {
    const char *path = test_path("bus");
    tachyon_options_t options = {.size = sizeof options,
                                 .role = TACHYON_ROLE_PRODUCER,
                                 .max_peers = 2,
                                 .keep_place_ns = SECOND};
    tachyon_bus_t *bus, *peer;
    tachyon_event_t event;
    char name[] = "a";
    CHECK_OK(tachyon_bus_listen_with(path, 1 << 16, &options, &bus));
    for (int i = 0; i < 4; i++, name[0]++) {
        tachyon_options_t named = {.size = sizeof named, .name = name};
        CHECK_OK(crowd_try(bus, path, &named, &peer));
        CHECK_OK(crowd_send(bus, 1, 0));
        die(peer);
        while (tachyon_bus_accept(bus, &event, 0) == TACHYON_SUCCESS)
            ;
        CHECK_OK(crowd_send(bus, 1, 0));
        tachyon_flush(bus);
    }
    test_sleep_ms(1500);
    for (int i = 0; i < 100; i++) {
        CHECK_OK(crowd_send(bus, 1, 0));
        tachyon_flush(bus);
        while (tachyon_bus_accept(bus, &event, 0) == TACHYON_SUCCESS)
            ;
    }
    CHECK_OK(crowd_try(bus, path, NULL, &peer));
    tachyon_bus_destroy(peer);
    tachyon_bus_destroy(bus);
}
