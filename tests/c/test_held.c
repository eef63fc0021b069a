/* SPDX-License-Identifier: Apache-2.0 */
/* consumer.c: several messages held at once, by tachyon_acquire_rx_next_timed(). */
#include "bus.h"
#include "crowd.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define MILLI INT64_C(1000000)
#define SECOND INT64_C(1000000000)
#define MOST_HELD 64

static uint32_t type;
static size_t size;

static void send_message(tachyon_bus_t *bus, uint32_t number, int64_t timeout_ns) {
    uint8_t payload[600];
    size_t bytes = message_size(number, sizeof payload);
    message_write(number, payload, bytes);
    CHECK_OK(tachyon_send(bus, payload, bytes, number, 0, timeout_ns));
}

static void check_message(const tachyon_msg_view_t *view, uint32_t number) {
    CHECK_EQ(view->type_id, number);
    CHECK_EQ(view->actual_size, message_size(number, 600));
    CHECK(message_is(number, view->ptr, view->actual_size));
    CHECK_EQ(view->padding_, 0);
}

/* What is held, oldest first: messages `first` and those after it. */
struct held {
    tachyon_bus_t *bus;
    tachyon_msg_view_t views[MOST_HELD];
    uint32_t first, count;
};

static void check_held(const struct held *held) {
    for (uint32_t i = 0; i < held->count; i++)
        check_message(&held->views[i], held->first + i);
}

static bool hold(struct held *held, uint32_t spin, int64_t timeout_ns) {
    tachyon_msg_view_t *view = &held->views[held->count];
    CHECK(held->count < MOST_HELD);
    const void *message =
        tachyon_acquire_rx_next_timed(held->bus, view, spin, timeout_ns);
    if (!message)
        return false;
    CHECK(message == view->ptr);
    check_message(view, held->first + held->count++);
    return true;
}

static void release(struct held *held, uint32_t count) {
    CHECK_OK(tachyon_commit_rx_batch(held->bus, held->views, count));
    held->first += count;
    held->count -= count;
    memmove(held->views, held->views + count, held->count * sizeof *held->views);
}

static uint64_t bytes_held(tachyon_bus_t *bus) {
    tachyon_stats_t stats;
    CHECK_OK(tachyon_bus_get_stats(bus, &stats));
    return stats.used;
}

/* ---- In order ---- */

/* Whatever is sent, held and released, at whichever place of the ring: what is held is
 * whole, what comes next is the next. */
TEST(several_are_held_and_released_oldest_first) {
    for (unsigned membarrier = 0; membarrier < 2; membarrier++) {
        struct pair pair = pair_open(4096);
        struct held held = {.bus = pair.listener};
        uint32_t sent = 0, most = 0, full = 0;
        uint64_t state = 7;
        if (!membarrier)
            pair_without_membarrier(&pair);
        while (sent < 20000) {
            uint8_t payload[600];
            size_t bytes = message_size(sent, sizeof payload);
            message_write(sent, payload, bytes);
            if (tachyon_send(pair.connector, payload, bytes, sent, 0, 0) ==
                TACHYON_SUCCESS)
                sent++;
            for (uint64_t more = test_random_below(&state, 4); more > 0; more--) {
                uint64_t used = bytes_held(held.bus);
                if (hold(&held, 0, 0))
                    continue;
                tachyon_error_t error =
                    used > 2048 ? TACHYON_ERR_FULL : TACHYON_ERR_EMPTY;
                CHECK_REFUSED(false, error);
                full += error == TACHYON_ERR_FULL;
                CHECK(error == TACHYON_ERR_FULL || held.first + held.count == sent);
                break;
            }
            check_held(&held);
            most = held.count > most ? held.count : most;
            if (test_random_below(&state, 3) == 0) {
                uint32_t count = (uint32_t)test_random_below(&state, held.count + 1);
                if (count < held.count || test_random_below(&state, 2)) {
                    release(&held, count);
                } else if (held.count > 0) {
                    CHECK_OK(tachyon_commit_rx(held.bus)); /* all of it */
                    held.first += held.count;
                    held.count = 0;
                }
            }
        }
        CHECK(most > 5 && full > 0);
        pair_close(&pair);
    }
}

static void *send_many(void *context) {
    for (uint32_t number = 0; number < 20000; number++)
        send_message(context, number, -1);
    tachyon_bus_close(context);
    return NULL;
}

TEST(a_producer_that_waits_for_room_goes_on_with_each_release) {
    struct pair pair = pair_open(4096);
    struct held held = {.bus = pair.listener};
    pthread_t thread = test_thread(send_many, pair.connector);
    uint64_t state = 3;
    for (;;) {
        if (hold(&held, (uint32_t)test_random_below(&state, 2) * 100, -1))
            continue;
        check_held(&held);
        if (tachyon_last_error() != TACHYON_ERR_FULL)
            break;
        release(&held, 1 + (uint32_t)test_random_below(&state, held.count));
    }
    CHECK_REFUSED(false, TACHYON_ERR_CLOSED);
    CHECK_EQ(held.first + held.count, 20000);
    test_join(thread);
    pair_close(&pair);
}

TEST(with_nothing_handed_out_it_is_a_receive) {
    struct pair pair = pair_open(4096);
    tachyon_msg_view_t view = {0};
    CHECK_REFUSED(tachyon_acquire_rx_next_timed(NULL, &view, 0, 0),
                  TACHYON_ERR_NULL_PTR);
    CHECK_SAYS("bus is NULL");
    CHECK_REFUSED(tachyon_acquire_rx_next_timed(pair.listener, NULL, 0, 0),
                  TACHYON_ERR_NULL_PTR);
    CHECK_SAYS("view is NULL");
    CHECK_REFUSED(tachyon_acquire_rx_next_timed(pair.listener, &view, 0, 0),
                  TACHYON_ERR_EMPTY); /* and now it receives */
    CHECK_REFUSED(tachyon_acquire_tx(pair.listener, 1), TACHYON_ERR_BUSY);
    send_message(pair.connector, 0, 0);
    CHECK_REFUSED(tachyon_acquire_rx_next_timed(pair.connector, &view, 0, 0),
                  TACHYON_ERR_BUSY);
    CHECK(tachyon_acquire_rx_next_timed(pair.listener, &view, 0, 0));
    check_message(&view, 0);
    CHECK_OK(tachyon_commit_rx_batch(pair.listener, &view, 1));
    CHECK_ERROR(tachyon_commit_rx_batch(pair.listener, &view, 1), TACHYON_ERR_EMPTY);
    tachyon_bus_close(pair.connector);
    CHECK_REFUSED(tachyon_acquire_rx_next_timed(pair.listener, &view, 0, -1),
                  TACHYON_ERR_CLOSED);
    CHECK_SAYS("the peer");
    pair_close(&pair);
}

TEST(it_goes_on_behind_whatever_was_handed_out) {
    struct pair pair = pair_open(1 << 16);
    struct held held = {.bus = pair.listener};
    for (uint32_t number = 0; number < 8; number++)
        send_message(pair.connector, number, 0);
    CHECK_EQ(tachyon_acquire_rx_batch(held.bus, held.views, 3), 3);
    held.count = 3;
    CHECK(hold(&held, 0, 0) && hold(&held, 0, 0));
    check_held(&held);
    CHECK_EQ(tachyon_batch_stride(held.views, 5), 0);
    tachyon_msg_view_t wrong[2] = {held.views[1], held.views[0]};
    CHECK_ERROR(tachyon_commit_rx_batch(held.bus, wrong, 2), TACHYON_ERR_INVALID_SZ);
    CHECK_SAYS("not the first of the 5 handed out");
    release(&held, 4); /* of both */
    CHECK(hold(&held, 0, 0));
    CHECK_EQ(held.first + held.count, 6);
    release(&held, 2);

    const void *one = tachyon_acquire_rx(held.bus, &type, &size);
    CHECK(one && type == 6);
    held.count = 0;
    held.first = 7;
    CHECK(hold(&held, 0, 0));
    CHECK_OK(tachyon_commit_rx(held.bus)); /* both */
    CHECK_EQ(bytes_held(held.bus), 0);
    pair_close(&pair);
}

TEST(every_other_receive_begins_at_the_oldest) {
    struct pair pair = pair_open(1 << 16);
    struct held held = {.bus = pair.listener};
    char copy[600];
    for (uint32_t number = 0; number < 4; number++)
        send_message(pair.connector, number, 0);
    CHECK(hold(&held, 0, 0) && hold(&held, 0, 0));
    CHECK_OK(tachyon_recv(held.bus, copy, sizeof copy, &size, &type, 0, 0));
    CHECK_EQ(type, 0);
    CHECK_ERROR(tachyon_commit_rx_batch(held.bus, held.views + 1, 1),
                TACHYON_ERR_EMPTY); /* it is not handed out any more */
    held = (struct held){.bus = pair.listener, .first = 1};
    CHECK(hold(&held, 0, 0) && hold(&held, 0, 0) && hold(&held, 0, 0));
    CHECK(tachyon_acquire_rx(held.bus, &type, &size) == held.views[0].ptr);
    CHECK_ERROR(tachyon_commit_rx_batch(held.bus, held.views, 2),
                TACHYON_ERR_INVALID_SZ);
    release(&held, 1);
    CHECK_EQ(bytes_held(held.bus), 0);
    pair_close(&pair);
}

/* ---- The bound ---- */

TEST(more_than_half_of_the_ring_is_not_added_to) {
    static const size_t sizes[] = {1, 32, 500, 1920, 1985, 3968};
    static const uint32_t counts[] = {33, 33, 4, 2, 1, 1};
    for (size_t i = 0; i < 6; i++) {
        struct pair pair = pair_open(4096);
        tachyon_msg_view_t views[40];
        char payload[3968] = {0};
        uint32_t count = 0;
        while (tachyon_send(pair.connector, payload, sizes[i], 1, 0, 0) ==
               TACHYON_SUCCESS)
            continue;
        while (tachyon_acquire_rx_next_timed(pair.listener, &views[count], 0, 0))
            count++;
        CHECK_REFUSED(false, TACHYON_ERR_FULL);
        CHECK_EQ(count, counts[i]);
        CHECK_IN(bytes_held(pair.listener), 2049, 4032);
        CHECK_TAKES(0, 500, { /* it is no matter of time */
                              CHECK_REFUSED(tachyon_acquire_rx_next_timed(
                                                pair.listener, &views[count], 0, -1),
                                            TACHYON_ERR_FULL);
        });
        CHECK_SAYS("of the ring's 4096 bytes, more than half: release the oldest");
        CHECK_EQ(tachyon_get_state(pair.listener), TACHYON_STATE_READY);
        CHECK_OK(tachyon_commit_rx_batch(pair.listener, views, 1));
        CHECK_OK(tachyon_send(pair.connector, payload, sizes[i], 1, 0, 0));
        CHECK(tachyon_acquire_rx_next_timed(pair.listener, &views[0], 0, 0));
        pair_close(&pair);
    }
}

/* ---- Waiting ---- */

struct later {
    tachyon_bus_t *bus;
    uint32_t number;
};

static void *send_later(void *context) {
    const struct later *later = context;
    test_sleep_ms(3);
    send_message(later->bus, later->number, 0);
    return NULL;
}

/* Each time the sleeper's word is another, and whatever was handed out before it has
 * already been told of. */
TEST(a_sleeper_is_woken_for_what_comes_behind) {
    for (unsigned membarrier = 0; membarrier < 2; membarrier++) {
        struct pair pair = pair_open(1 << 16);
        struct held held = {.bus = pair.listener};
        tachyon_stats_t stats;
        if (!membarrier)
            pair_without_membarrier(&pair);
        for (uint32_t number = 0; number < 60; number++) {
            struct later later = {pair.connector, number};
            pthread_t thread = test_thread(send_later, &later);
            CHECK(hold(&held, 0, 10 * SECOND));
            test_join(thread);
            if (number % 7 == 6)
                release(&held, 1 + number % held.count);
        }
        check_held(&held);
        CHECK_OK(tachyon_bus_get_stats(pair.listener, &stats));
        CHECK(stats.sleeps >= 30);
        CHECK_OK(tachyon_bus_get_stats(pair.connector, &stats));
        CHECK(stats.wakes >= 30);
        pair_close(&pair);
    }
}

TEST(a_wait_behind_what_is_held_ends_in_time) {
    static const uint32_t spins[] = {0, 1, 10000};
    int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    tachyon_options_t options = options_with_timeout_ms(10000);
    options.interrupt_fd = event;
    struct pair pair = pair_open_with(4096, &options, NULL);
    struct held held = {.bus = pair.listener};
    send_message(pair.connector, 0, 0);
    CHECK(hold(&held, 0, 0));
    for (size_t i = 0; i < 3; i++) {
        CHECK_REFUSED(hold(&held, spins[i], 0), TACHYON_ERR_EMPTY);
        CHECK_TAKES(
            30, 100,
            CHECK_REFUSED(hold(&held, spins[i], 30 * MILLI), TACHYON_ERR_TIMEOUT));
    }
    CHECK_EQ(eventfd_write(event, 1), 0);
    CHECK_REFUSED(hold(&held, 0, -1), TACHYON_ERR_INTERRUPTED);
    CHECK_REFUSED(hold(&held, 10000000, -1), TACHYON_ERR_INTERRUPTED);
    check_held(&held);
    release(&held, 1);
    pair_close(&pair);
    close(event);
}

TEST(the_descriptor_tells_of_what_comes_behind) {
    struct pair pair = pair_open(4096);
    struct held held = {.bus = pair.listener};
    struct pollfd fd = {.fd = tachyon_bus_fileno(held.bus), .events = POLLIN};
    for (uint32_t number = 0; number < 10; number++) {
        CHECK_REFUSED(hold(&held, 0, 0), TACHYON_ERR_EMPTY);
        CHECK_EQ(poll(&fd, 1, 0), 0);
        send_message(pair.connector, number, 0);
        CHECK_EQ(poll(&fd, 1, 10000), 1);
        CHECK(hold(&held, 0, 0));
        if (held.count == 3)
            release(&held, 2);
    }
    CHECK_REFUSED(hold(&held, 0, 0), TACHYON_ERR_EMPTY);
    tachyon_bus_close(pair.connector);
    CHECK_EQ(poll(&fd, 1, 10000), 1);
    CHECK_REFUSED(hold(&held, 0, 0), TACHYON_ERR_CLOSED);
    pair_close(&pair);
}

static void *wait_behind(void *context) {
    struct held *held = context;
    while (hold(held, 0, -1))
        continue;
    CHECK_REFUSED(false, TACHYON_ERR_CLOSED);
    return NULL;
}

/* ---- The end ---- */

/* However the peer ends, what came before is given first; then what is held stays good,
 * is released in peace, and only then the handle is over. */
TEST(the_end_of_the_peer_leaves_what_is_held) {
    for (unsigned how = 0; how < 3; how++) {
        tachyon_error_t error = how == 1 ? TACHYON_ERR_ABORTED : TACHYON_ERR_CLOSED;
        struct pair pair = pair_open(1 << 14);
        struct held held = {.bus = pair.listener};
        for (uint32_t number = 0; number < 4; number++)
            send_message(pair.connector, number, 0);
        CHECK(hold(&held, 0, 0) && hold(&held, 0, 0));
        if (how == 1)
            tachyon_bus_abort(pair.connector);
        else
            tachyon_bus_close(pair.connector);
        CHECK(hold(&held, 0, -1) && hold(&held, 0, how == 2 ? 0 : -1));
        for (unsigned looks = 0; how == 2 && looks < 10000; looks++)
            CHECK(!hold(&held, 0, 0)); /* one in thousands asks for the peer */
        CHECK_REFUSED(hold(&held, 0, how == 2 ? 0 : SECOND), error);
        CHECK_SAYS("the peer");
        CHECK_EQ(tachyon_get_state(held.bus), TACHYON_STATE_READY);
        check_held(&held);
        release(&held, 3);
        CHECK_REFUSED(hold(&held, 0, 0), error);
        check_held(&held);
        release(&held, 1);
        CHECK(tachyon_get_state(held.bus) != TACHYON_STATE_READY);
        CHECK_REFUSED(hold(&held, 0, 0), error);
        CHECK_REFUSED(tachyon_acquire_rx(held.bus, &type, &size), error);
        CHECK_ERROR(tachyon_commit_rx(held.bus), error);
        pair_close(&pair);
    }
}

TEST(a_close_from_another_thread_ends_a_wait_behind_what_is_held) {
    for (unsigned who = 0; who < 2; who++) {
        struct pair pair = pair_open(4096);
        struct held held = {.bus = pair.listener};
        send_message(pair.connector, 0, 0);
        CHECK(hold(&held, 0, 0));
        pthread_t thread = test_thread(wait_behind, &held);
        while (atomic_load(&pair.listener->link.sleeps) == 0)
            test_sleep_ms(1);
        tachyon_bus_close(who ? pair.listener : pair.connector);
        test_join(thread);
        check_held(&held); /* the memory is there until the handle goes */
        CHECK_REFUSED(hold(&held, 0, -1), TACHYON_ERR_CLOSED);
        CHECK_SAYS(who ? "this handle" : "the peer");
        CHECK_ERROR(tachyon_commit_rx_batch(held.bus, held.views, 1),
                    who ? TACHYON_ERR_CLOSED : TACHYON_SUCCESS);
        pair_close(&pair);
    }
}

static void *wait_until_destroyed(void *context) {
    struct held *held = context;
    CHECK_REFUSED(hold(held, 0, -1), TACHYON_ERR_CLOSED);
    return NULL;
}

/* Nothing of the handle is touched once the closing thread may go on. */
TEST(a_handle_may_be_destroyed_while_a_thread_waits_behind_what_is_held) {
    for (unsigned round = 0; round < 20; round++) {
        struct pair pair = pair_open(4096);
        struct held held = {.bus = pair.listener};
        send_message(pair.connector, 0, 0);
        CHECK(hold(&held, 0, 0));
        pthread_t thread = test_thread(wait_until_destroyed, &held);
        while (atomic_load(&pair.listener->link.sleeps) == 0)
            sched_yield();
        tachyon_bus_destroy(pair.listener);
        test_join(thread);
        tachyon_bus_destroy(pair.connector);
    }
}

/* As any handle that is over: a loop that ignores it does not keep a processor busy. */
TEST(who_asks_again_at_the_end_is_slowed_down) {
    struct pair pair = pair_open(4096);
    struct held held = {.bus = pair.listener};
    send_message(pair.connector, 0, 0);
    CHECK(hold(&held, 0, 0));
    tachyon_bus_close(pair.connector);
    CHECK_REFUSED(hold(&held, 0, -1), TACHYON_ERR_CLOSED);
    CHECK_REFUSED(hold(&held, 0, -1), TACHYON_ERR_CLOSED);
    int64_t begin = test_now_ms();
    for (unsigned i = 0; i < 5; i++) { /* 1, 2, 4, 8 and 16 ms */
        CHECK_REFUSED(hold(&held, 0, -1), TACHYON_ERR_CLOSED);
        CHECK_SAYS("the peer");
    }
    CHECK_IN(test_now_ms() - begin, 30, 10000);
    release(&held, 1);
    pair_close(&pair);
}

static void send_for_ever(void *context) {
    tachyon_bus_t *bus;
    tachyon_options_t options = options_with_timeout_ms(10000);
    CHECK_OK(tachyon_bus_connect_with(context, &options, &bus));
    for (uint32_t number = 0;; number++)
        send_message(bus, number, -1);
}

TEST(a_killed_peer_leaves_what_is_held) {
    struct listening listening = {.path = test_path("bus"), .capacity = 1 << 14};
    listening_start(&listening);
    pid_t peer = test_spawn(send_for_ever, (void *)(uintptr_t)listening.path);
    CHECK_OK(listening_join(&listening));
    struct held held = {.bus = listening.bus};
    while (hold(&held, 0, 10 * SECOND))
        continue;
    CHECK_REFUSED(false, TACHYON_ERR_FULL);
    release(&held, held.count - 2);
    kill(peer, SIGKILL);
    CHECK_EQ(test_wait(peer), -SIGKILL);
    check_held(&held);
    for (;;) { /* what it had flushed comes first */
        while (hold(&held, 0, 10 * SECOND))
            continue;
        if (tachyon_last_error() != TACHYON_ERR_FULL)
            break;
        release(&held, 1);
    }
    CHECK_REFUSED(false, TACHYON_ERR_PEER_DEAD);
    CHECK_SAYS("died without closing");
    CHECK(held.count > 0);
    check_held(&held);
    release(&held, held.count);
    CHECK_REFUSED(hold(&held, 0, -1), TACHYON_ERR_PEER_DEAD);
    tachyon_bus_destroy(held.bus);
}

TEST(a_forked_child_holds_nothing) {
    struct pair pair = pair_open(4096);
    struct held held = {.bus = pair.listener};
    send_message(pair.connector, 0, 0);
    send_message(pair.connector, 1, 0);
    CHECK(hold(&held, 0, 0));
    pid_t child = fork();
    if (child == 0) {
        tachyon_msg_view_t view;
        bool told = !tachyon_acquire_rx_next_timed(held.bus, &view, 0, -1) &&
                    tachyon_last_error() == TACHYON_ERR_FORKED &&
                    tachyon_commit_rx(held.bus) == TACHYON_ERR_FORKED;
        _exit(told ? 0 : 1);
    }
    CHECK_EQ(test_wait(child), 0);
    CHECK(hold(&held, 0, 0));
    check_held(&held);
    pair_close(&pair);
}

/* ---- Peers that are no honest single producer ---- */

TEST(what_is_corrupt_behind_what_is_held_is_told_and_left_there) {
    struct pair pair = pair_open(4096);
    struct held held = {.bus = pair.listener};
    send_message(pair.connector, 0, 0);
    send_message(pair.connector, 1, 0);
    CHECK(hold(&held, 0, 0) && hold(&held, 0, 0));
    _Atomic uint64_t *word =
        (void *)(uintptr_t)(held.bus->rx.data + bytes_held(held.bus));
    CHECK_EQ(atomic_load(word), 0);
    atomic_store(word, 0x7FFFFFFF); /* longer than inline data may be */
    CHECK_REFUSED(hold(&held, 0, -1), TACHYON_ERR_CORRUPT);
    CHECK_REFUSED(hold(&held, 0, 0), TACHYON_ERR_CORRUPT);
    check_held(&held);
    release(&held, 1);
    CHECK_REFUSED(hold(&held, 0, 0), TACHYON_ERR_CORRUPT);
    release(&held, 1);
    CHECK_REFUSED(hold(&held, 0, 0), TACHYON_ERR_CORRUPT);
    CHECK_EQ(tachyon_get_state(held.bus), TACHYON_STATE_FATAL_ERROR);
    CHECK_ERROR(tachyon_commit_rx(held.bus), TACHYON_ERR_CORRUPT);
    pair_close(&pair);
}

TEST(of_many_producers_one_message_is_held_at_a_time) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_CONSUMER, 4);
    tachyon_bus_t *one = crowd_join(bus, path, NULL);
    tachyon_bus_t *other = crowd_join(bus, path, NULL);
    struct held held = {.bus = bus};
    send_message(one, 0, 0);
    CHECK(hold(&held, 0, SECOND));
    CHECK_EQ(tachyon_bus_sender(bus), 1);
    send_message(one, 1, 0);
    send_message(other, 1, 0);
    CHECK_REFUSED(hold(&held, 0, -1), TACHYON_ERR_BUSY);
    CHECK_SAYS("of many peers one message, or batch, is handed out at a time");
    check_held(&held);
    release(&held, 1);
    CHECK(hold(&held, 0, SECOND));
    release(&held, 1);
    held.first = 1;
    CHECK(hold(&held, 0, SECOND));
    release(&held, 1);
    tachyon_bus_destroy(one);
    tachyon_bus_destroy(other);
    tachyon_bus_destroy(bus);
}

static tachyon_bus_t *feed_of(const char *path, int64_t slow_after_ns) {
    tachyon_bus_t *bus;
    tachyon_options_t options = {.size = sizeof options,
                                 .role = TACHYON_ROLE_PRODUCER,
                                 .max_peers = 4,
                                 .slow_peer = TACHYON_SLOW_DISCONNECT,
                                 .without_peers = TACHYON_WITHOUT_PEERS_FREE_RUN,
                                 .slow_after_ns = slow_after_ns};
    CHECK_OK(tachyon_bus_listen_with(path, 4096, &options, &bus));
    return bus;
}

TEST(each_reader_of_a_broadcast_holds_its_own) {
    const char *path = test_path("bus");
    tachyon_bus_t *feed = feed_of(path, 100 * SECOND);
    struct held held[2] = {{.bus = crowd_join(feed, path, NULL)},
                           {.bus = crowd_join(feed, path, NULL)}};
    uint64_t position, epoch, before;
    for (uint32_t number = 0; number < 2000; number++) {
        send_message(feed, number, 10 * SECOND);
        for (unsigned i = 0; i < 2; i++) {
            CHECK(hold(&held[i], 0, 10 * SECOND));
            if (held[i].count < 2 + i)
                continue;
            check_held(&held[i]);
            CHECK_OK(tachyon_bus_position(held[i].bus, &before, &epoch));
            release(&held[i], 1);
            CHECK_OK(tachyon_bus_position(held[i].bus, &position, &epoch));
            CHECK(position > before); /* it stands behind what is released */
        }
    }
    for (unsigned i = 0; i < 2; i++)
        tachyon_bus_destroy(held[i].bus);
    tachyon_bus_destroy(feed);
}

TEST(who_is_let_go_is_told_that_what_it_holds_is_lost) {
    for (unsigned how = 0; how < 4; how++) {
        const char *path = test_path("bus");
        tachyon_bus_t *feed = feed_of(path, 20 * MILLI);
        struct held held = {.bus = crowd_join(feed, path, NULL)};
        send_message(feed, 0, 0);
        send_message(feed, 1, 0);
        CHECK(hold(&held, 0, SECOND));
        for (uint32_t number = 2; number < 200; number++)
            send_message(feed, number, 10 * SECOND);
        crowd_left(feed, 1, TACHYON_ERR_LAGGED);
        if (how == 0)
            CHECK_ERROR(tachyon_commit_rx_batch(held.bus, held.views, 1),
                        TACHYON_ERR_LAGGED);
        CHECK_REFUSED(tachyon_acquire_rx_next_timed(held.bus, &held.views[1], 0,
                                                    (int64_t)how - 2),
                      TACHYON_ERR_LAGGED);
        CHECK_SAYS("connect again");
        CHECK_ERROR(tachyon_commit_rx(held.bus), TACHYON_ERR_LAGGED);
        tachyon_bus_destroy(held.bus);
        tachyon_bus_destroy(feed);
    }
}
