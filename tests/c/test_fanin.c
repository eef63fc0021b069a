/* SPDX-License-Identifier: Apache-2.0 */
/* fanin.c: one consumer, many producers. */
#include "crowd.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define MANY 70u
#define SECOND INT64_C(1000000000)

static uint32_t type;
static size_t size;

static void send_number(tachyon_bus_t *bus, uint32_t number) {
    CHECK_OK(tachyon_send(bus, &number, sizeof number, number, 0, SECOND));
}

/* The next message, whoever sent it. */
static uint32_t receive(tachyon_bus_t *bus, int64_t timeout_ns) {
    uint32_t number = 0;
    CHECK_OK(tachyon_recv(bus, &number, sizeof number, &size, &type, 0, timeout_ns));
    CHECK_EQ(size, sizeof number);
    CHECK_EQ(type, number);
    return number;
}

static void expect(tachyon_bus_t *bus, uint32_t number, uint32_t sender) {
    CHECK_EQ(receive(bus, SECOND), number);
    CHECK_EQ(tachyon_bus_sender(bus), sender);
}

static void expect_nothing(tachyon_bus_t *bus) {
    CHECK_REFUSED(tachyon_acquire_rx(bus, &type, &size), TACHYON_ERR_EMPTY);
}

/* The next time the set is asked for news: what happens before, and what right after. */
static void (*before_news)(void), (*after_news)(void);
static tachyon_bus_t *listener, *producer; /* of these */

static void happen(void (**what)(void)) {
    void (*now)(void) = *what;
    *what = NULL;
    if (now)
        now();
}

/* The linker puts it in the place of libc's. */
int __real_epoll_wait(int set, struct epoll_event *events, int most, int timeout);
int __wrap_epoll_wait(int set, struct epoll_event *events, int most, int timeout);
int __wrap_epoll_wait(int set, struct epoll_event *events, int most, int timeout) {
    happen(&before_news);
    int count = __real_epoll_wait(set, events, most, timeout);
    happen(&after_news);
    return count;
}

/* ---- Whose message it is ---- */

TEST(messages_of_all_producers_arrive_and_say_whose_they_are) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_CONSUMER, 8), *from[3];
    tachyon_peer_t who;
    CHECK_EQ(tachyon_bus_sender(bus), 0);
    CHECK_ERROR(tachyon_bus_get_peer(bus, &who), TACHYON_ERR_EMPTY);
    expect_nothing(bus);
    for (unsigned i = 0; i < 3; i++)
        from[i] = crowd_join(bus, path, NULL);
    for (uint32_t round = 0; round < 300; round++)
        for (uint32_t i = 0; i < 3; i++) {
            send_number(from[i], round * 3 + i);
            expect(bus, round * 3 + i, i + 1);
        }
    expect_nothing(bus);
    CHECK_OK(tachyon_bus_get_peer(bus, &who));
    CHECK_EQ(who.pid, getpid());
    tachyon_stats_t stats;
    CHECK_OK(tachyon_bus_get_stats(bus, &stats));
    CHECK_EQ(stats.messages, 900);
    CHECK_EQ(stats.ring_bytes, 900 * 64);
    CHECK_EQ(stats.capacity, 4096);
    tachyon_peer_info_t infos[4];
    CHECK_EQ(tachyon_bus_get_peers(bus, infos, 4), 3);
    for (unsigned i = 0; i < 3; i++)
        CHECK_EQ(infos[i].messages, 300);
    for (unsigned i = 0; i < 3; i++)
        tachyon_bus_destroy(from[i]);
    tachyon_bus_destroy(bus);
}

TEST(a_message_that_is_not_committed_comes_again_and_a_batch_is_of_one) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_CONSUMER, 8), *from[2];
    tachyon_msg_view_t views[100];
    for (unsigned i = 0; i < 2; i++)
        from[i] = crowd_join(bus, path, NULL);
    for (uint32_t i = 0; i < 40; i++)
        for (uint32_t p = 0; p < 2; p++)
            send_number(from[p], 100 * p + i);
    CHECK_ERROR(tachyon_commit_rx(bus), TACHYON_ERR_EMPTY);
    const void *first = tachyon_acquire_rx(bus, &type, &size);
    for (int i = 0; i < 100; i++)
        CHECK_EQ(tachyon_acquire_rx(bus, &type, &size) == first, true);
    CHECK_OK(tachyon_commit_rx(bus));
    CHECK_ERROR(tachyon_commit_rx(bus), TACHYON_ERR_EMPTY);
    uint32_t begun = tachyon_bus_sender(bus);
    size_t count = tachyon_acquire_rx_batch(bus, views, 100);
    CHECK_EQ(count, 39); /* what is there of the same */
    CHECK_EQ(tachyon_bus_sender(bus), begun);
    CHECK_EQ(tachyon_batch_stride(views, count), 64);
    CHECK_OK(tachyon_commit_rx_batch(bus, views, 30));
    CHECK_ERROR(tachyon_commit_rx_batch(bus, views, 1), TACHYON_ERR_INVALID_SZ);
    CHECK_OK(tachyon_commit_rx_batch(bus, views + 30, 9));
    CHECK_ERROR(tachyon_commit_rx_batch(bus, views, 1), TACHYON_ERR_EMPTY);
    count = tachyon_drain_batch(bus, views, 100, 0);
    CHECK_EQ(count, 40);
    CHECK(tachyon_bus_sender(bus) != begun);
    CHECK_OK(tachyon_commit_rx(bus));
    for (uint32_t p = 0; p < 2; p++)
        for (uint32_t i = 0; i < 40; i++)
            CHECK_OK(tachyon_send(from[p], &i, sizeof i, 7, 0, 0));
    uint32_t items[80];
    for (int p = 0; p < 2; p++) {
        CHECK_EQ(tachyon_recv_batch(bus, items, 4, 80, &type, 0, SECOND), 40);
        for (uint32_t i = 0; i < 40; i++)
            CHECK_EQ(items[i], i);
    }
    for (unsigned i = 0; i < 2; i++)
        tachyon_bus_destroy(from[i]);
    tachyon_bus_destroy(bus);
}

TEST(a_batch_counts_as_many_as_it_has) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_CONSUMER, 8), *from[2];
    tachyon_msg_view_t views[31];
    uint32_t last = 0, in_a_row = 0;
    for (unsigned i = 0; i < 2; i++)
        from[i] = crowd_join(bus, path, NULL);
    for (int i = 0; i < 64; i++) /* both rings are full */
        for (unsigned p = 0; p < 2; p++)
            tachyon_send(from[p], "x", 1, 1, 0, 0);
    for (size_t n; (n = tachyon_acquire_rx_batch(bus, views, 7)) > 0;) {
        in_a_row =
            tachyon_bus_sender(bus) == last ? in_a_row + (uint32_t)n : (uint32_t)n;
        last = tachyon_bus_sender(bus);
        CHECK_IN(in_a_row, 1, 32 + 7);
        CHECK_OK(tachyon_commit_rx_batch(bus, views, n));
    }
    for (unsigned i = 0; i < 2; i++)
        tachyon_bus_destroy(from[i]);
    tachyon_bus_destroy(bus);
}

TEST(full_rings_have_their_turns_in_equal_shares) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_CONSUMER, MANY), *from[MANY];
    uint32_t got[MANY + 1] = {0};
    for (unsigned i = 0; i < MANY; i++)
        from[i] = crowd_join(bus, path, NULL);
    for (uint32_t round = 0; round < 200; round++) {
        for (unsigned i = 0; i < MANY; i++)
            while (tachyon_send(from[i], &i, sizeof i, i, 0, 0) == TACHYON_SUCCESS)
                continue;
        for (unsigned i = 0; i < MANY * 32; i++) {
            uint32_t sender = receive(bus, 0) + 1;
            CHECK_EQ(tachyon_bus_sender(bus), sender);
            got[sender]++;
        }
        for (unsigned i = 1; i <= MANY; i++)
            CHECK_IN(got[i], 32 * (round + 1) - 31, 32 * (round + 1) + 31);
    }
    for (unsigned i = 0; i < MANY; i++)
        tachyon_bus_destroy(from[i]);
    tachyon_bus_destroy(bus);
}

TEST(rings_that_have_gone_cold_are_heard_again) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_CONSUMER, MANY), *from[MANY];
    uint64_t state = 1;
    for (unsigned i = 0; i < MANY; i++)
        from[i] = crowd_join(bus, path, NULL);
    for (int i = 0; i < 5000; i++) { /* 64 looks each, and then one without */
        expect_nothing(bus);
        if (i % 10)
            continue;
        uint32_t p = (uint32_t)test_random_below(&state, MANY);
        send_number(from[p], p);
        expect(bus, p, p + 1);
    }
    for (unsigned i = 0; i < MANY; i++)
        tachyon_bus_destroy(from[i]);
    tachyon_bus_destroy(bus);
}

/* ---- Sleeping ---- */

struct crowd {
    const char *path;
    uint32_t producers, messages;
    int64_t pause_ms;
    _Atomic uint32_t started;
    bool cpu;
};

static void *produce(void *context) {
    struct crowd *crowd = context;
    tachyon_options_t options = {.size = sizeof options, .timeout_ns = 20 * SECOND};
    tachyon_bus_t *bus;
    uint32_t me = atomic_fetch_add(&crowd->started, 1);
    CHECK_OK(tachyon_bus_connect_with(crowd->path, &options, &bus));
    for (uint32_t i = 0; i < crowd->messages; i++) {
        uint32_t message[2] = {me, i};
        CHECK_OK(tachyon_send(bus, message, sizeof message, 1, i % 3 ? 1000 : 0, -1));
        if (crowd->pause_ms > 0 && i % 16 == 0)
            test_sleep_ms(crowd->pause_ms);
    }
    tachyon_bus_destroy(bus);
    return NULL;
}

/* All of them, each in its order, and then none is left. */
static void collect(struct crowd *crowd, tachyon_bus_t *bus, uint32_t spins) {
    uint32_t *next = calloc(crowd->producers, sizeof *next), message[2];
    for (uint64_t i = 0; i < (uint64_t)crowd->producers * crowd->messages; i++) {
        CHECK_OK(tachyon_recv(bus, message, sizeof message, &size, &type, spins,
                              20 * SECOND));
        CHECK(message[0] < crowd->producers);
        CHECK_EQ(message[1], next[message[0]]++);
    }
    uint32_t joined = 0, left = 0;
    tachyon_event_t event;
    while (left < crowd->producers) {
        tachyon_error_t error =
            tachyon_recv(bus, message, sizeof message, &size, &type, 0, 1000000);
        CHECK_EQ(error, TACHYON_ERR_TIMEOUT);
        while (tachyon_bus_accept(bus, &event, 0) == TACHYON_SUCCESS)
            if (event.kind == TACHYON_EVENT_LEFT) {
                CHECK_EQ(event.reason, TACHYON_ERR_CLOSED);
                left++;
            } else {
                joined++;
            }
    }
    CHECK_EQ(joined, crowd->producers);
    CHECK_EQ(tachyon_bus_get_peers(bus, NULL, 0), 0);
    free(next);
}

static void run_crowd(uint32_t producers, uint32_t messages, int64_t pause_ms,
                      uint32_t spins) {
    struct crowd crowd = {.path = test_path("bus"),
                          .producers = producers,
                          .messages = messages,
                          .pause_ms = pause_ms};
    tachyon_bus_t *bus = crowd_listen(crowd.path, TACHYON_ROLE_CONSUMER, producers);
    pthread_t threads[MANY];
    for (uint32_t i = 0; i < producers; i++)
        threads[i] = test_thread(produce, &crowd);
    collect(&crowd, bus, spins);
    for (uint32_t i = 0; i < producers; i++)
        test_join(threads[i]);
    tachyon_bus_destroy(bus);
}

TEST(a_receiver_that_sleeps_lets_producers_in_and_loses_no_wake_up) {
    run_crowd(1, 20000, 0, 0);
    run_crowd(8, 5000, 0, 0);
    run_crowd(8, 300, 1, 0);
    run_crowd(64, 100, 1, 0);
}

TEST(a_receiver_that_spins_does_too) {
    run_crowd(1, 20000, 0, 100000);
    run_crowd(8, 5000, 0, 100);
    run_crowd(16, 300, 1, 10000);
}

TEST(it_takes_no_processor_time_while_nobody_sends) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_CONSUMER, 64), *from[64];
    for (unsigned i = 0; i < 64; i++)
        from[i] = crowd_join(bus, path, NULL);
    clock_t begin = clock();
    CHECK_REFUSED(tachyon_acquire_rx_timed(bus, &type, &size, 100, SECOND),
                  TACHYON_ERR_TIMEOUT);
    CHECK_IN((clock() - begin) * 1000 / CLOCKS_PER_SEC, 0, 100); /* of a second */
    tachyon_stats_t stats;
    CHECK_OK(tachyon_bus_get_stats(bus, &stats));
    CHECK_IN(stats.sleeps, 1, 3);
    for (unsigned i = 0; i < 64; i++)
        tachyon_bus_destroy(from[i]);
    tachyon_bus_destroy(bus);
}

static bool is_readable(tachyon_bus_t *bus) {
    struct pollfd fd = {.fd = tachyon_bus_fileno(bus), .events = POLLIN};
    CHECK(fd.fd >= 0);
    return poll(&fd, 1, 0) == 1;
}

TEST(the_descriptor_tells_of_messages_of_peers_and_of_their_end) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_CONSUMER, MANY), *from[9];
    for (unsigned i = 0; i < 9; i++)
        from[i] = crowd_join(bus, path, NULL);
    CHECK(is_readable(bus));
    expect_nothing(bus);
    for (uint32_t round = 0; round < 100; round++) {
        CHECK(!is_readable(bus));
        send_number(from[round % 9], 1);
        send_number(from[(round + 4) % 9], 1);
        CHECK(is_readable(bus));
        receive(bus, 0);
        CHECK(is_readable(bus));
        if (round % 2)
            receive(bus, 0);
        else
            receive(bus, SECOND);
        if (is_readable(bus)) /* once more than needed */
            expect_nothing(bus);
    }
    int client = wire_connect(path);
    CHECK(is_readable(bus)); /* somebody knocks */
    close(client);
    while (is_readable(bus))
        expect_nothing(bus);
    tachyon_bus_destroy(from[0]);
    CHECK(is_readable(bus));
    expect_nothing(bus);
    crowd_left(bus, 1, TACHYON_ERR_CLOSED);
    while (is_readable(bus))
        expect_nothing(bus);
    for (unsigned i = 1; i < 9; i++)
        tachyon_bus_destroy(from[i]);
    tachyon_bus_destroy(bus);
}

TEST(the_descriptor_tells_of_a_message_of_one_that_has_just_joined) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_CONSUMER, 4);
    while (is_readable(bus))
        expect_nothing(bus);
    tachyon_bus_t *peer = crowd_join(bus, path, NULL);
    for (uint32_t i = 0; i < 3; i++)
        send_number(peer, i);
    for (uint32_t i = 0; i < 3; i++) {
        CHECK(is_readable(bus));
        CHECK_EQ(receive(bus, 0), i);
    }
    tachyon_bus_destroy(peer);
    tachyon_bus_destroy(bus);
}

/* ---- The end of a producer ---- */

static void close_listener(void) {
    tachyon_bus_close(listener);
}

static void send_hello(void) {
    CHECK_OK(tachyon_send(producer, "hello", 5, 7, 0, 0));
    before_news = close_listener; /* when the news are asked for again */
}

TEST(what_a_sleeper_has_found_outlives_a_close) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_CONSUMER, 8);
    tachyon_bus_t *peer = crowd_join(bus, path, NULL);
    listener = bus;
    producer = peer;
    expect_nothing(bus);
    after_news = send_hello; /* before the last look */
    const char *found = tachyon_acquire_rx_timed(bus, &type, &size, 0, SECOND);
    before_news = NULL;
    CHECK(found != NULL);
    CHECK_EQ(size, 5);
    CHECK_EQ(memcmp(found, "hello", 5), 0);
    tachyon_bus_destroy(bus);
    tachyon_bus_destroy(peer);
}

static void drop_first(void) {
    CHECK_OK(tachyon_bus_drop_peer(listener, 1));
}

TEST(one_that_is_dropped_right_before_a_sleep_leaves) {
    const char *path = test_path("bus");
    for (int by_descriptor = 0; by_descriptor < 2; by_descriptor++) {
        tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_CONSUMER, 8);
        tachyon_bus_t *a = crowd_join(bus, path, NULL),
                      *b = crowd_join(bus, path, NULL);
        listener = bus;
        while (by_descriptor && is_readable(bus))
            expect_nothing(bus);
        expect_nothing(bus);
        after_news = drop_first;
        if (by_descriptor) {
            expect_nothing(bus);
            CHECK(is_readable(bus));
            expect_nothing(bus);
        } else {
            CHECK_REFUSED(tachyon_acquire_rx_timed(bus, &type, &size, 0, SECOND / 100),
                          TACHYON_ERR_TIMEOUT);
        }
        tachyon_event_t event;
        CHECK_OK(tachyon_bus_accept(bus, &event, 0));
        CHECK_EQ(event.kind, TACHYON_EVENT_LEFT);
        send_number(b, 5);
        expect(bus, 5, 2);
        tachyon_bus_destroy(a);
        tachyon_bus_destroy(b);
        tachyon_bus_destroy(bus);
    }
}

TEST(what_was_flushed_is_delivered_before_the_event_whatever_the_end) {
    static const tachyon_error_t reasons[] = {TACHYON_ERR_CLOSED, TACHYON_ERR_ABORTED};
    for (int r = 0; r < 2; r++) {
        const char *path = test_path("bus");
        tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_CONSUMER, 8);
        tachyon_bus_t *stays = crowd_join(bus, path, NULL);
        tachyon_bus_t *goes = crowd_join(bus, path, NULL);
        tachyon_event_t event;
        for (uint32_t i = 0; i < 40; i++)
            send_number(goes, i);
        send_number(stays, 99);
        if (r)
            tachyon_bus_abort(goes);
        tachyon_bus_destroy(goes);
        bool seen = false;
        for (uint32_t i = 0; i < 40;) {
            CHECK_ERROR(tachyon_bus_accept(bus, &event, 0), TACHYON_ERR_EMPTY);
            uint32_t number = receive(bus, SECOND);
            seen = seen || number == 99;
            if (number != 99)
                CHECK_EQ(number, i++);
        }
        if (!seen)
            CHECK_EQ(receive(bus, SECOND), 99);
        expect_nothing(bus);
        crowd_left(bus, 2, reasons[r]);
        CHECK_EQ(tachyon_get_state(bus), TACHYON_STATE_READY);
        tachyon_bus_destroy(stays);
        expect_nothing(bus);
        crowd_left(bus, 1, TACHYON_ERR_CLOSED);
        CHECK_EQ(tachyon_get_state(bus), TACHYON_STATE_READY);
        tachyon_bus_destroy(bus);
    }
}

static void send_and_die(void *context) {
    struct crowd crowd = {.path = context};
    tachyon_options_t options = {.size = sizeof options, .timeout_ns = 5 * SECOND};
    tachyon_bus_t *bus;
    CHECK_OK(tachyon_bus_connect_with(crowd.path, &options, &bus));
    for (uint32_t i = 0; i < 20; i++)
        send_number(bus, i);
    uint32_t *slot = tachyon_acquire_tx(bus, 4);
    *slot = 20;
    tachyon_commit_tx(bus, 4, 20); /* never flushed */
    kill(getpid(), SIGKILL);
}

TEST(a_killed_producer_has_what_it_flushed_delivered) {
    char *path = strdup(test_path("bus"));
    size_t before = test_count_fds();
    tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_CONSUMER, 8);
    for (uint32_t round = 1; round <= 20; round++) {
        pid_t pid = test_spawn(send_and_die, path);
        for (uint32_t i = 0; i < 20; i++)
            expect(bus, i, round);
        CHECK_EQ(test_wait(pid), -SIGKILL);
        CHECK_EQ(crowd_event(bus, TACHYON_EVENT_JOINED).who.pid, pid);
        CHECK_REFUSED(tachyon_acquire_rx_timed(bus, &type, &size, 0, 20000000),
                      TACHYON_ERR_TIMEOUT);
        crowd_left(bus, round, TACHYON_ERR_PEER_DEAD);
    }
    tachyon_bus_destroy(bus);
    CHECK_EQ(test_count_fds(), before);
    free(path);
}

TEST(what_is_handed_out_outlives_its_producer) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_CONSUMER, 8);
    tachyon_bus_t *a = crowd_join(bus, path, NULL), *b = crowd_join(bus, path, NULL);
    tachyon_event_t event;
    send_number(a, 17);
    const uint32_t *held = tachyon_acquire_rx_timed(bus, &type, &size, 0, SECOND);
    tachyon_bus_destroy(a);
    send_number(b, 18);
    for (int i = 0; i < 300; i++) { /* dropped as well, and it stays */
        CHECK_EQ(tachyon_acquire_rx(bus, &type, &size) == held, true);
        CHECK_EQ(*held, 17);
        tachyon_bus_drop_peer(bus, 1);
        CHECK_ERROR(tachyon_bus_accept(bus, &event, 0), TACHYON_ERR_EMPTY);
    }
    CHECK_OK(tachyon_commit_rx(bus));
    expect(bus, 18, 2);
    expect_nothing(bus);
    crowd_left(bus, 1, TACHYON_ERR_CLOSED);
    tachyon_bus_destroy(b);
    tachyon_bus_destroy(bus);
}

TEST(a_dropped_producer_is_told_and_not_heard_any_more) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_CONSUMER, 8);
    tachyon_bus_t *a = crowd_join(bus, path, NULL), *b = crowd_join(bus, path, NULL);
    for (uint32_t i = 0; i < 10; i++) {
        send_number(a, 1000 + i);
        send_number(b, i);
    }
    CHECK_OK(tachyon_bus_drop_peer(bus, 1));
    CHECK_ERROR(tachyon_bus_drop_peer(bus, 1), TACHYON_ERR_INVALID_SZ);
    CHECK_ERROR(tachyon_bus_drop_peer(bus, 7), TACHYON_ERR_INVALID_SZ);
    CHECK_SAYS("no peer 7");
    for (uint32_t i = 0; i < 10; i++)
        expect(bus, i, 2);
    expect_nothing(bus);
    crowd_left(bus, 1, TACHYON_ERR_CLOSED);
    CHECK_EQ(tachyon_get_state(a), TACHYON_STATE_DISCONNECTED);
    CHECK_EQ(tachyon_last_error(), TACHYON_ERR_CLOSED);
    tachyon_bus_destroy(a);
    tachyon_bus_destroy(b);
    tachyon_bus_destroy(bus);
}

TEST(a_producer_that_is_dropped_in_its_turn_is_not_heard_any_more) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_CONSUMER, 8);
    tachyon_bus_t *a = crowd_join(bus, path, NULL), *b = crowd_join(bus, path, NULL);
    for (uint32_t i = 0; i < 10; i++)
        send_number(a, i);
    for (uint32_t i = 0; i < 3; i++)
        expect(bus, i, 1);
    send_number(b, 7);
    CHECK_OK(tachyon_bus_drop_peer(bus, 1));
    expect(bus, 7, 2);
    expect_nothing(bus);
    crowd_left(bus, 1, TACHYON_ERR_CLOSED);
    tachyon_bus_destroy(a);
    tachyon_bus_destroy(b);
    tachyon_bus_destroy(bus);
}

TEST(room_is_given_back_with_each_release) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_CONSUMER, 8);
    tachyon_bus_t *a = crowd_join(bus, path, NULL);
    uint32_t sent = 0;
    while (tachyon_send(a, &sent, sizeof sent, sent, 0, 0) == TACHYON_SUCCESS)
        sent++;
    for (uint32_t i = 0; i < 200; i++) { /* in the middle of a turn, too */
        expect(bus, i, 1);
        CHECK_OK(tachyon_send(a, &sent, sizeof sent, sent, 0, 0));
        CHECK_ERROR(tachyon_send(a, &sent, sizeof sent, sent, 0, 0), TACHYON_ERR_FULL);
        sent++;
    }
    tachyon_bus_destroy(a);
    tachyon_bus_destroy(bus);
}

TEST(a_corrupt_ring_ends_its_own_producer_only) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_CONSUMER, 8);
    tachyon_bus_t *bad = crowd_join(bus, path, NULL),
                  *good = crowd_join(bus, path, NULL);
    uint64_t *word = tachyon_bus_memory(bad, &size);
    *word = UINT64_C(0xFFFFFFFF);
    for (uint32_t i = 0; i < 100; i++) {
        send_number(good, i);
        expect(bus, i, 2);
    }
    expect_nothing(bus);
    crowd_left(bus, 1, TACHYON_ERR_CORRUPT);
    CHECK_EQ(tachyon_get_state(bus), TACHYON_STATE_READY);
    tachyon_bus_destroy(bad);
    tachyon_bus_destroy(good);
    tachyon_bus_destroy(bus);
}

TEST(a_ring_that_goes_bad_behind_what_is_handed_out_keeps_nobody_awake) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_CONSUMER, 8);
    tachyon_bus_t *bad = crowd_join(bus, path, NULL);
    char *data = tachyon_bus_memory(bad, &size);
    tachyon_msg_view_t views[3];
    for (uint32_t i = 0; i < 3; i++)
        send_number(bad, i);
    CHECK_EQ(tachyon_drain_batch(bus, views, 3, 0), 3);
    CHECK_OK(tachyon_commit_rx_batch(bus, views, 1));
    *(uint64_t *)(void *)(data + 64) = UINT64_C(0x7FFFFFFF);
    clock_t begin = clock();
    CHECK_REFUSED(tachyon_drain_batch_timed(bus, views, 3, 0, SECOND / 5),
                  TACHYON_ERR_TIMEOUT);
    CHECK_IN((clock() - begin) * 1000 / CLOCKS_PER_SEC, 0, 50);
    CHECK_OK(tachyon_commit_rx(bus)); /* to which they still belong */
    expect_nothing(bus);
    crowd_left(bus, 1, TACHYON_ERR_CORRUPT);
    tachyon_bus_destroy(bad);
    tachyon_bus_destroy(bus);
}

TEST(one_that_has_ended_and_still_writes_is_heard_for_one_ring_only) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_CONSUMER, 8);
    tachyon_bus_t *bad = crowd_join(bus, path, NULL);
    char *data = tachyon_bus_memory(bad, &size);
    tachyon_bus_close(bad);
    for (size_t at = 0; at < size; at += 64)
        *(uint64_t *)(void *)(data + at) = 5; /* 4 bytes, for ever */
    uint32_t taken = 0;
    while (tachyon_acquire_rx(bus, &type, &size)) {
        CHECK_OK(tachyon_commit_rx(bus));
        CHECK_IN(++taken, 1, 4096 / 64 + 32);
    }
    crowd_left(bus, 1, TACHYON_ERR_CLOSED);
    tachyon_bus_destroy(bad);
    tachyon_bus_destroy(bus);
}

/* ---- Names ---- */

TEST(the_older_ring_of_a_name_is_drained_first) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_CONSUMER, 8), *worker;
    for (uint32_t life = 0; life < 5; life++) {
        worker = crowd_join(bus, path, "worker");
        for (uint32_t i = 0; i < 10; i++)
            send_number(worker, life * 10 + i);
        tachyon_bus_destroy(worker);
    }
    for (uint32_t i = 0; i < 50; i++)
        expect(bus, i, i / 10 + 1);
    expect_nothing(bus);
    for (uint32_t life = 1; life <= 5; life++)
        crowd_left(bus, life, TACHYON_ERR_CLOSED);
    tachyon_bus_destroy(bus);
}

TEST(a_name_is_one_producers_at_a_time) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_CONSUMER, 8), *other;
    tachyon_bus_t *worker = crowd_join(bus, path, "worker");
    tachyon_options_t options = {.size = sizeof options, .name = "worker"};
    CHECK_ERROR(crowd_try(bus, path, &options, &other), TACHYON_ERR_BUSY);
    CHECK_SAYS("name");
    tachyon_bus_destroy(crowd_join(bus, path, "Worker"));
    tachyon_bus_destroy(worker);
    tachyon_bus_destroy(crowd_join(bus, path, "worker"));
    tachyon_bus_destroy(bus);
}
