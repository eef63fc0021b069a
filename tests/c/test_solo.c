/* SPDX-License-Identifier: Apache-2.0 */
/* solo.c: a producer with one consumer after the other. */
#include "bus.h"
#include "crowd.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)

static uint32_t type;
static size_t size;

static void expect(tachyon_bus_t *bus, uint64_t number) {
    uint64_t got = 0;
    CHECK_OK(crowd_take(bus, &got, SECOND));
    CHECK_EQ(got, number);
}

static void *receive_one(void *context) {
    uint64_t got;
    CHECK_OK(crowd_take(context, &got, -1));
    return NULL;
}

TEST(each_consumer_has_a_ring_of_its_own) {
    const char *path = test_path("bus");
    size_t before = test_count_fds();
    tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_PRODUCER, 1), *other;
    CHECK_ERROR(crowd_send(bus, 0, 0), TACHYON_ERR_FULL);
    CHECK_ERROR(tachyon_send(bus, "x", 1, 1, 0, 20000000), TACHYON_ERR_TIMEOUT);
    CHECK_REFUSED(tachyon_acquire_tx(bus, 4096), TACHYON_ERR_INVALID_SZ);
    CHECK_SAYS("can never fit");
    CHECK_REFUSED(tachyon_acquire_rx(bus, &type, &size), TACHYON_ERR_BUSY);
    for (uint32_t life = 1; life <= 20; life++) {
        tachyon_bus_t *peer = crowd_join(bus, path, NULL);
        CHECK_ERROR(crowd_try(bus, path, NULL, &other), TACHYON_ERR_BUSY);
        for (uint32_t i = 0; i < 200; i++) {
            CHECK_OK(crowd_send(bus, i, 0));
            expect(peer, i);
        }
        for (uint32_t i = 0; i < 5; i++)
            CHECK_OK(crowd_send(bus, 1000, 0)); /* gone with this one */
        if (life % 2)
            tachyon_bus_abort(peer);
        tachyon_bus_destroy(peer);
        crowd_left(bus, life, life % 2 ? TACHYON_ERR_ABORTED : TACHYON_ERR_CLOSED);
        if (life % 3 == 0)
            continue; /* the next one comes before the sender has noticed */
        while (crowd_send(bus, 1000, 0) == TACHYON_SUCCESS)
            continue;
        CHECK_EQ(tachyon_last_error(), TACHYON_ERR_FULL);
        CHECK_EQ(tachyon_get_state(bus), TACHYON_STATE_READY);
    }
    tachyon_bus_destroy(bus);
    CHECK_EQ(test_count_fds(), before);
}

TEST(wakes_are_of_all_consumers_and_of_nobody_else) {
    tachyon_stats_t stats;
    const char *path = test_path("bus");
    tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_PRODUCER, 1);
    for (uint32_t life = 1; life <= 3; life++) {
        tachyon_bus_t *peer = crowd_join(bus, path, NULL);
        pthread_t thread = test_thread(receive_one, peer);
        while (atomic_load(&peer->link.sleeps) == 0)
            test_sleep_ms(1);
        CHECK_OK(crowd_send(bus, 7, 0));
        test_join(thread);
        tachyon_bus_destroy(peer);
        while (crowd_send(bus, 7, 0) == TACHYON_SUCCESS)
            continue;
        crowd_left(bus, life, TACHYON_ERR_CLOSED);
        CHECK_OK(tachyon_bus_get_stats(bus, &stats));
        CHECK_EQ(stats.wakes, life);
    }
    tachyon_bus_destroy(bus);
}

TEST(a_reservation_outlives_the_consumer_it_was_made_for) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_PRODUCER, 1);
    tachyon_bus_t *first = crowd_join(bus, path, NULL);
    CHECK_OK(crowd_send(bus, 1, 0));
    char *slot = tachyon_acquire_tx(bus, 1000);
    tachyon_bus_destroy(first);
    crowd_left(bus, 1, TACHYON_ERR_CLOSED);
    tachyon_bus_t *second = crowd_join(bus, path, NULL);
    memset(slot, 7, 1000);
    CHECK_OK(tachyon_commit_tx(bus, 1000, 1));
    uint64_t *number = tachyon_acquire_tx(bus, sizeof *number);
    *number = 8;
    CHECK_OK(tachyon_commit_tx(bus, sizeof *number, 1));
    tachyon_flush(bus); /* both to the second: they were not flushed before */
    char got[1000];
    CHECK_OK(tachyon_recv(second, got, sizeof got, &size, &type, 0, SECOND));
    CHECK_EQ(size, 1000);
    for (size_t i = 0; i < size; i++)
        CHECK_EQ(got[i], 7);
    expect(second, 8);
    for (uint32_t i = 0; i < 500; i++) {
        CHECK_OK(crowd_send(bus, i, 0));
        expect(second, i);
    }
    tachyon_bus_destroy(second);
    tachyon_bus_destroy(bus);
}

static void *receive_some(void *context) {
    tachyon_options_t options = {.size = sizeof options, .timeout_ns = 5 * SECOND};
    for (int life = 0; life < 30; life++) {
        tachyon_bus_t *bus;
        uint32_t last = 0, got;
        tachyon_error_t error;
        while ((error = tachyon_bus_connect_with(context, &options, &bus)) ==
               TACHYON_ERR_BUSY)
            test_sleep_ms(1);
        CHECK_OK(error);
        for (int i = 0; i < 500; i++) {
            CHECK_OK(tachyon_recv(bus, &got, sizeof got, &size, &type, i % 2 ? 0 : 100,
                                  5 * SECOND));
            CHECK(i == 0 || got == last + 1); /* nothing between is lost */
            last = got;
        }
        tachyon_bus_destroy(bus);
    }
    return NULL;
}

TEST(a_sender_that_waits_lets_one_after_the_other_in) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_PRODUCER, 1);
    struct pollfd fd = {.fd = tachyon_bus_fileno(bus), .events = POLLIN};
    CHECK(fd.fd >= 0);
    pthread_t thread = test_thread(receive_some, (void *)(uintptr_t)path);
    tachyon_event_t event;
    uint32_t left = 0, number = 0;
    while (left < 30) {
        tachyon_error_t error = tachyon_send(bus, &number, sizeof number, 1,
                                             number % 7 ? 100 : 0, SECOND / 100);
        CHECK(error == TACHYON_SUCCESS || error == TACHYON_ERR_TIMEOUT);
        number += error == TACHYON_SUCCESS;
        while (tachyon_bus_accept(bus, &event, 0) == TACHYON_SUCCESS)
            left += event.kind == TACHYON_EVENT_LEFT;
    }
    test_join(thread);
    tachyon_stats_t stats;
    CHECK_OK(tachyon_bus_get_stats(bus, &stats));
    CHECK_EQ(stats.messages, number);
    tachyon_bus_destroy(bus);
}

TEST(the_descriptor_of_a_producer_is_quiet_again_once_it_has_flushed) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_PRODUCER, 1);
    CHECK_EQ(crowd_quiet(bus), 0);
    for (uint32_t life = 1; life <= 3; life++) {
        tachyon_bus_t *peer = crowd_join(bus, path, NULL);
        CHECK_EQ(crowd_quiet(bus), 0);
        CHECK_OK(crowd_send(bus, life, 0));
        expect(peer, life);
        if (life == 2) { /* what is reserved stays, and so does its ring */
            uint32_t *slot = tachyon_acquire_tx(bus, sizeof *slot);
            tachyon_bus_destroy(peer);
            tachyon_flush(bus);
            *slot = 4;
            CHECK_OK(tachyon_rollback_tx(bus));
        } else {
            tachyon_bus_destroy(peer);
        }
        CHECK_EQ(crowd_quiet(bus), 1);
    }
    tachyon_bus_destroy(bus);
}

TEST(the_last_messages_reach_the_consumer_before_the_end) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_PRODUCER, 1);
    tachyon_bus_t *peer = crowd_join(bus, path, NULL);
    for (uint32_t i = 0; i < 5; i++) {
        uint64_t *slot = tachyon_acquire_tx(bus, sizeof *slot);
        *slot = i;
        CHECK_OK(tachyon_commit_tx(bus, sizeof *slot, 1));
    }
    tachyon_bus_destroy(bus); /* flushes */
    for (uint32_t i = 0; i < 5; i++)
        expect(peer, i);
    CHECK_REFUSED(tachyon_acquire_rx_timed(peer, &type, &size, 0, SECOND),
                  TACHYON_ERR_CLOSED);
    tachyon_bus_destroy(peer);
}

TEST(consumers_that_die_before_anything_was_sent_do_not_pile_up) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_PRODUCER, 1);
    for (int i = 0; i < 100; i++) {
        tachyon_bus_t *peer;
        CHECK_OK(crowd_try(bus, path, NULL, &peer));
        tachyon_bus_destroy(peer);
    }
    uint32_t joined = 0, left = 0;
    tachyon_event_t event;
    while (tachyon_bus_accept(bus, &event, 0) == TACHYON_SUCCESS)
        *(event.kind == TACHYON_EVENT_JOINED ? &joined : &left) += 1;
    CHECK_EQ(joined, 100);
    CHECK_IN(left, 98, 100);
    tachyon_bus_destroy(bus);
}

TEST(a_position_is_refused) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_PRODUCER, 1), *peer;
    tachyon_options_t options = {.size = sizeof options,
                                 .role = TACHYON_ROLE_CONSUMER,
                                 .start = TACHYON_START_POSITION};
    CHECK_ERROR(crowd_try(bus, path, &options, &peer), TACHYON_ERR_LAGGED);
    tachyon_bus_destroy(bus);
}

TEST(a_consumer_that_lies_about_its_tail_ends_only_itself) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_PRODUCER, 1);
    tachyon_bus_t *bad = crowd_join(bus, path, NULL);
    char *shared = (char *)tachyon_bus_memory(bad, &size) - 8192;
    *(uint64_t *)(void *)(shared + 4096) = 64 * 1000;
    while (crowd_send(bus, 1, 0) == TACHYON_SUCCESS)
        continue;
    CHECK_EQ(tachyon_last_error(), TACHYON_ERR_FULL);
    crowd_left(bus, 1, TACHYON_ERR_CORRUPT);
    tachyon_bus_t *good = crowd_join(bus, path, NULL);
    CHECK_OK(crowd_send(bus, 5, 0));
    expect(good, 5);
    tachyon_bus_destroy(bad);
    tachyon_bus_destroy(good);
    tachyon_bus_destroy(bus);
}
