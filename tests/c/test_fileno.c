/* SPDX-License-Identifier: Apache-2.0 */
/* The descriptor for event loops: readable when there is something to do. */
#include "bus.h"
#include "peers.h"

#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <unistd.h>

#define MS INT64_C(1000000)

static _Thread_local uint32_t type;
static _Thread_local size_t size;

static bool take(tachyon_bus_t *bus) {
    if (!tachyon_acquire_rx(bus, &type, &size))
        return false;
    CHECK_OK(tachyon_commit_rx(bus));
    return true;
}

static int fd_of(tachyon_bus_t *bus) {
    int fd = tachyon_bus_fileno(bus);
    if (fd < 0)
        FAIL("%s", tachyon_last_error_message());
    CHECK_EQ(tachyon_bus_fileno(bus), fd);
    return fd;
}

TEST(it_is_readable_from_a_message_until_empty) {
    struct pair pair = pair_open(4096);
    int fd = fd_of(pair.listener);
    CHECK(!take(pair.listener));
    CHECK(!test_readable(fd, 20));
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < 3; i++)
            CHECK_OK(tachyon_send(pair.connector, "x", 1, 1, 0, 0));
        CHECK(test_readable(fd, 0));
        CHECK(take(pair.listener));
        CHECK(test_readable(fd, 0));
        CHECK(take(pair.listener));
        CHECK(take(pair.listener));
        CHECK(!take(pair.listener));
        CHECK(!test_readable(fd, 0));
    }
    pair_close(&pair);
}

TEST(what_was_there_before_it_makes_it_readable) {
    struct pair pair = pair_open(4096);
    CHECK_OK(tachyon_send(pair.connector, "x", 1, 1, 0, 0));
    int fd = fd_of(pair.listener); /* an end without a role yet */
    CHECK(test_readable(fd, 0));
    CHECK(take(pair.listener));
    CHECK_OK(tachyon_send(pair.connector, "x", 1, 1, 0, 0));
    CHECK(test_readable(fd, 0));
    CHECK(take(pair.listener));
    CHECK(!take(pair.listener));
    CHECK(!test_readable(fd, 0));
    pair_close(&pair);
}

TEST(select_and_a_nested_epoll_see_it) {
    struct pair pair = pair_open(4096);
    int fd = fd_of(pair.listener);
    CHECK(!take(pair.listener));
    int outer = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    CHECK_EQ(epoll_ctl(outer, EPOLL_CTL_ADD, fd, &event), 0);
    CHECK_EQ(epoll_wait(outer, &event, 1, 0), 0);
    CHECK_OK(tachyon_send(pair.connector, "x", 1, 1, 0, 0));
    CHECK_EQ(epoll_wait(outer, &event, 1, 1000), 1);
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    CHECK_EQ(select(fd + 1, &set, NULL, NULL, &(struct timeval){0}), 1);
    CHECK(take(pair.listener));
    CHECK(!take(pair.listener));
    CHECK_EQ(epoll_wait(outer, &event, 1, 0), 0);
    close(outer);
    pair_close(&pair);
}

TEST(a_batch_that_finds_nothing_arms_it_too) {
    struct pair pair = pair_open(4096);
    tachyon_msg_view_t views[4];
    char items[4];
    int fd = fd_of(pair.listener);
    for (int round = 0; round < 10; round++) {
        CHECK_EQ(tachyon_send_batch(pair.connector, "ab", 1, 2, 1, 0, 0), 2);
        CHECK(test_readable(fd, 0));
        if (round % 2) {
            CHECK_EQ(tachyon_acquire_rx_batch(pair.listener, views, 4), 2);
            CHECK_OK(tachyon_commit_rx_batch(pair.listener, views, 2));
            CHECK_EQ(tachyon_acquire_rx_batch(pair.listener, views, 4), 0);
        } else {
            CHECK_EQ(tachyon_recv_batch(pair.listener, items, 1, 4, &type, 0, 0), 2);
            CHECK_EQ(tachyon_recv_batch(pair.listener, items, 1, 4, &type, 0, 0), 0);
        }
        CHECK(!test_readable(fd, 0));
    }
    pair_close(&pair);
}

TEST(blocking_calls_may_be_mixed_in) {
    struct pair pair = pair_open(4096);
    int fd = fd_of(pair.listener);
    CHECK(!take(pair.listener));
    for (int round = 0; round < 10; round++) {
        CHECK_REFUSED(tachyon_acquire_rx_timed(pair.listener, &type, &size, 0, 5 * MS),
                      TACHYON_ERR_TIMEOUT);
        CHECK_OK(tachyon_send(pair.connector, "x", 1, 1, 0, 0));
        CHECK_OK(tachyon_send(pair.connector, "x", 1, 1, 0, 0));
        CHECK(test_readable(fd, 0));
        CHECK(tachyon_acquire_rx_timed(pair.listener, &type, &size, 0, -1));
        CHECK_OK(tachyon_commit_rx(pair.listener));
        CHECK(test_readable(fd, 0));
        CHECK(take(pair.listener));
        CHECK(!take(pair.listener));
        CHECK(!test_readable(fd, 0));
    }
    pair_close(&pair);
}

static void *send_later(void *bus) {
    test_sleep_ms(30);
    CHECK_OK(tachyon_send(bus, "x", 1, 1, 0, 0));
    CHECK_OK(tachyon_send(bus, "x", 1, 1, 0, 0));
    return NULL;
}

TEST(a_blocking_call_that_slept_leaves_it_right) {
    struct pair pair = pair_open(4096);
    int fd = fd_of(pair.listener);
    CHECK(!take(pair.listener));
    pthread_t sender = test_thread(send_later, pair.connector);
    CHECK(tachyon_acquire_rx_blocking(pair.listener, &type, &size, 0));
    CHECK_OK(tachyon_commit_rx(pair.listener));
    test_join(sender);
    CHECK(test_readable(fd, 0)); /* there is a second one */
    CHECK(take(pair.listener));
    CHECK(!take(pair.listener));
    CHECK(!test_readable(fd, 0));
    pair_close(&pair);
}

TEST(the_end_makes_it_readable_for_good) {
    struct pair pair = pair_open(4096);
    int fd = fd_of(pair.listener);
    CHECK(!take(pair.listener));
    CHECK_OK(tachyon_send(pair.connector, "x", 1, 1, 0, 0));
    tachyon_bus_destroy(pair.connector);
    CHECK(test_readable(fd, 0));
    CHECK(take(pair.listener));
    CHECK(test_readable(fd, 0));
    CHECK_REFUSED(tachyon_acquire_rx(pair.listener, &type, &size), TACHYON_ERR_CLOSED);
    CHECK(test_readable(fd, 0));
    tachyon_bus_destroy(pair.listener);
}

TEST(a_close_by_another_thread_makes_it_readable) {
    struct pair pair = pair_open(4096);
    int fd = fd_of(pair.listener);
    CHECK(!take(pair.listener));
    CHECK(!test_readable(fd, 0));
    tachyon_bus_close(pair.listener);
    CHECK(test_readable(fd, 0));
    CHECK_REFUSED(tachyon_acquire_rx(pair.listener, &type, &size), TACHYON_ERR_CLOSED);
    pair_close(&pair);
}

static const char *death_path;

static void connect_and_die(void *context) {
    (void)context;
    tachyon_bus_t *bus;
    tachyon_options_t options = options_with_timeout_ms(5000);
    CHECK_OK(tachyon_bus_connect_with(death_path, &options, &bus));
    CHECK_OK(tachyon_send(bus, "x", 1, 1, 0, 0));
    for (;;)
        pause();
}

TEST(a_death_makes_it_readable_at_once) {
    death_path = test_path("bus");
    pid_t child = test_spawn(connect_and_die, NULL);
    tachyon_bus_t *bus;
    CHECK_OK(tachyon_bus_listen(death_path, 4096, &bus));
    int fd = fd_of(bus);
    CHECK(test_readable(fd, 5000));
    while (!take(bus))
        CHECK(test_readable(fd, 5000));
    CHECK(!take(bus));
    CHECK(!test_readable(fd, 20));
    kill(child, SIGKILL);
    CHECK(test_readable(fd, 5000));
    CHECK_REFUSED(tachyon_acquire_rx(bus, &type, &size), TACHYON_ERR_PEER_DEAD);
    CHECK_EQ(test_wait(child), -SIGKILL);
    tachyon_bus_destroy(bus);
}

TEST(a_sending_end_learns_of_room_and_of_the_end) {
    struct pair pair = pair_open(4096);
    char byte = 'x';
    int fd = fd_of(pair.connector);
    CHECK(test_readable(fd, 0)); /* it may be a receiving end, for all we know */
    CHECK_OK(tachyon_send(pair.connector, &byte, 1, 1, 0, 0));
    CHECK(!test_readable(fd, 0));
    for (int round = 0; round < 10; round++) {
        while (tachyon_send(pair.connector, &byte, 1, 1, 0, 0) == TACHYON_SUCCESS)
            ;
        CHECK_EQ(tachyon_last_error(), TACHYON_ERR_FULL);
        CHECK(!test_readable(fd, 0));
        CHECK(take(pair.listener));
        CHECK(test_readable(fd, 0));
        CHECK_OK(tachyon_send(pair.connector, &byte, 1, 1, 0, 0));
        CHECK(!test_readable(fd, 0));
        /* A large message needs much more room. */
        CHECK_REFUSED(tachyon_acquire_tx(pair.connector, 1000), TACHYON_ERR_FULL);
        for (int i = 0; i < 17; i++) {
            CHECK(!test_readable(fd, 0));
            CHECK(take(pair.listener));
        }
        CHECK(test_readable(fd, 0));
        CHECK(tachyon_acquire_tx(pair.connector, 1000));
        CHECK_OK(tachyon_rollback_tx(pair.connector));
    }
    tachyon_bus_destroy(pair.listener);
    CHECK(test_readable(fd, 0));
    CHECK_EQ(tachyon_get_state(pair.connector), TACHYON_STATE_DISCONNECTED);
    tachyon_bus_destroy(pair.connector);
}

static void *send_blocking(void *bus) {
    CHECK_OK(tachyon_send(bus, "x", 1, 1, 0, 10000 * MS));
    return NULL;
}

TEST(a_sending_end_that_slept_for_room_is_quiet) {
    struct pair pair = pair_open(4096);
    tachyon_bus_t *bus = pair.connector;
    CHECK_OK(tachyon_send(bus, "x", 1, 1, 0, 0));
    int fd = fd_of(bus);
    CHECK(!test_readable(fd, 20));
    while (tachyon_send(bus, "x", 1, 1, 0, 0) == TACHYON_SUCCESS)
        ;
    CHECK(take(pair.listener));
    CHECK_OK(tachyon_send(bus, "x", 1, 1, 0, 0));
    CHECK(!test_readable(fd, 20));
    uint64_t sleeps = atomic_load(&bus->link.sleeps);
    pthread_t thread = test_thread(send_blocking, bus);
    while (atomic_load(&bus->link.sleeps) == sleeps)
        test_sleep_ms(1);
    test_sleep_ms(20);
    CHECK(take(pair.listener));
    test_join(thread);
    for (int i = 0; i < 10; i++) {
        CHECK(take(pair.listener));
        CHECK(take(pair.listener));
        tachyon_flush(bus);
        CHECK_EQ(tachyon_get_state(bus), TACHYON_STATE_READY);
        CHECK(!test_readable(fd, 20));
    }
    pair_close(&pair);
}

TEST(who_was_refused_before_it_is_told_to_look_again) {
    struct pair pair = pair_open(4096);
    char byte = 'x';
    while (tachyon_send(pair.connector, &byte, 1, 1, 0, 0) == TACHYON_SUCCESS)
        ;
    int fd = fd_of(pair.connector);
    CHECK(take(pair.listener));
    CHECK(test_readable(fd, 0));
    CHECK_OK(tachyon_send(pair.connector, &byte, 1, 1, 0, 0));
    CHECK(!test_readable(fd, 0));
    pair_close(&pair);
}

TEST(a_corrupt_ring_makes_it_readable) {
    struct pair pair = pair_open(4096);
    int fd = fd_of(pair.listener);
    CHECK(!take(pair.listener));
    CHECK(!test_readable(fd, 0));
    struct ring_line *line = (void *)region_data(&pair.connector->regions[0]);
    atomic_store(&line->word, 40); /* inline, but larger than that */
    CHECK_REFUSED(tachyon_acquire_rx(pair.listener, &type, &size), TACHYON_ERR_CORRUPT);
    CHECK(test_readable(fd, 0));
    pair_close(&pair);
}

/* Nothing but polls and looks between: one wake-up lost would end it. */
#define PING_PONGS (test_sanitized() ? 2000 : 20000)

static void *pong(void *context) {
    struct pair *pair = context;
    uint64_t state = 2;
    int fd = fd_of(pair[0].listener);
    for (int i = 0; i < PING_PONGS; i++) {
        while (!take(pair[0].listener))
            if (!test_readable(fd, 5000))
                FAIL("round trip %d: no ping", i);
        for (uint64_t pauses = test_random_below(&state, 2000); pauses > 0; pauses--)
            ty_pause();
        CHECK_OK(tachyon_send(pair[1].connector, "x", 1, 1, 0, 0));
    }
    return NULL;
}

TEST(no_wakeup_is_lost_to_a_poller) {
    struct pair pair[2] = {pair_open(4096), pair_open(4096)};
    uint64_t state = 1;
    pthread_t other = test_thread(pong, pair);
    int fd = fd_of(pair[1].listener);
    for (int i = 0; i < PING_PONGS; i++) {
        CHECK_OK(tachyon_send(pair[0].connector, "x", 1, 1, 0, 0));
        for (uint64_t pauses = test_random_below(&state, 2000); pauses > 0; pauses--)
            ty_pause();
        while (!take(pair[1].listener))
            if (!test_readable(fd, 5000))
                FAIL("round trip %d: no pong", i);
    }
    test_join(other);
    pair_close(&pair[0]);
    pair_close(&pair[1]);
}

TEST(no_room_is_lost_to_a_poller) {
    struct pair pair = pair_open(4096);
    int fd = fd_of(pair.connector);
    uint8_t payload[700] = {0};
    for (int i = 0; i < 2000; i++) {
        while (tachyon_send(pair.connector, payload, (size_t)i % 700, 1, 0, 0) !=
               TACHYON_SUCCESS) {
            CHECK_EQ(tachyon_last_error(), TACHYON_ERR_FULL);
            while (!test_readable(fd, 0))
                CHECK(take(pair.listener));
        }
    }
    pair_close(&pair);
}

TEST(it_is_refused_by_name) {
    CHECK_EQ(tachyon_bus_fileno(NULL), -1);
    CHECK_EQ(tachyon_last_error(), TACHYON_ERR_NULL_PTR);
    CHECK_SAYS("bus is NULL");
    CHECK_EQ(tachyon_rpc_fileno(NULL), -1);
    CHECK_SAYS("rpc is NULL");
}

static void use_in_child(void *context) {
    struct pair *pair = context;
    CHECK_EQ(tachyon_bus_fileno(pair->listener), -1);
    CHECK_EQ(tachyon_last_error(), TACHYON_ERR_FORKED);
    pair_close(pair);
}

TEST(a_child_does_not_get_it) {
    struct pair pair = pair_open(4096);
    int fd = fd_of(pair.listener);
    CHECK(!take(pair.listener));
    CHECK_EQ(test_wait(test_spawn(use_in_child, &pair)), 0);
    CHECK(!test_readable(fd, 0));
    CHECK_OK(tachyon_send(pair.connector, "x", 1, 1, 0, 0));
    CHECK(test_readable(fd, 0));
    pair_close(&pair);
}
