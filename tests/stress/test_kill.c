/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One end, or both, ended at a random instant, by SIGKILL, or by a thread of its own
 * that closes or aborts it: while idle, in a write, between commits, where the ring
 * wraps, in a batch or an array, asleep for want of messages or of room, and the killed
 * ones in the handshake too. Every message whose flush has returned by then arrives,
 * whole, once and in order; then the survivor is told which end it was.
 */
#include "length.h"
#include "peers.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)
#define MOST_ITEM 200  /* bytes */
#define MOST_ITEMS 150 /* of one array */
#define ARRAY_TYPE 77u

enum ending { END_KILL, END_CLOSE, END_ABORT };

/* How the ends behave in one run; all of it follows from one number. */
struct habit {
    size_t capacity;
    size_t most;             /* largest message */
    unsigned batch;          /* messages per flush, at most */
    unsigned producer_nap;   /* one nap of 0.2 ms every so many flushes, 0 never */
    unsigned consumer_nap;   /* likewise, for messages */
    unsigned consumer_batch; /* messages taken at a time, at most; 1: one by one */
    bool arrays;             /* all messages have `most` bytes, sent as arrays */
    bool in_place;           /* which are written in the ring */
    bool into_arrays;        /* and received as such */
    uint32_t spin;
    bool child_listens;
    enum ending ending;
    bool destroys;         /* who was closed or aborted; else its process just ends */
    int64_t kill_after_us; /* since the start, or ... */
    uint64_t kill_at;      /* ... when so many messages are through, if not 0 */
};

/* What outlives the dead. */
struct progress {
    _Atomic uint64_t flushed;  /* messages whose flush has returned ... */
    _Atomic uint64_t promised; /* ... before the end of the producer began */
    _Atomic uint64_t received; /* messages checked by the consumer */
    _Atomic uint64_t wrong;    /* number of the first wrong one, + 1 */
};

static struct progress *progress;
static const char *path;

static struct habit random_habit(uint64_t *random) {
    struct habit habit = {.capacity = (size_t)4096 << test_random_below(random, 5)};
    switch (test_random_below(random, 3)) {
    case 0:
        habit.most = 32;
        break;
    case 1:
        habit.most = 1 + test_random_below(random, 1000);
        break;
    default: /* a write takes long */
        habit.most = habit.capacity - 128;
    }
    habit.batch =
        test_random_below(random, 2) ? 1 : 2 + (unsigned)test_random_below(random, 80);
    habit.producer_nap = test_random_below(random, 3) == 0
                             ? 1 + (unsigned)test_random_below(random, 50)
                             : 0;
    habit.consumer_nap = test_random_below(random, 3) == 0
                             ? 1 + (unsigned)test_random_below(random, 50)
                             : 0;
    habit.consumer_batch =
        test_random_below(random, 2) ? 1 : 2 + (unsigned)test_random_below(random, 30);
    habit.arrays = test_random_below(random, 4) == 0;
    habit.into_arrays = habit.arrays && test_random_below(random, 2);
    habit.in_place = habit.arrays && test_random_below(random, 2);
    if (habit.arrays) {
        habit.most = 1 + test_random_below(random, MOST_ITEM);
        habit.batch = 1 + (unsigned)test_random_below(random, MOST_ITEMS);
    }
    habit.spin = test_random_below(random, 2) ? 0 : 1000;
    habit.child_listens = test_random_below(random, 2);
    habit.ending = (enum ending)test_random_below(random, 3);
    habit.destroys = test_random_below(random, 2);
    habit.kill_after_us = (int64_t)test_random_below(random, 1500);
    if (test_random_below(random, 2))
        habit.kill_at = 1 + test_random_below(random, 2000);
    return habit;
}

static size_t size_of_message(uint64_t number, const struct habit *habit) {
    return habit->arrays ? habit->most : message_size(number, habit->most);
}

static void nap(unsigned every, uint64_t number) {
    if (every != 0 && number % every == every - 1)
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
}

/* One batch, written in place; what cannot be reserved at once is left for the next. How
 * many were flushed; fewer than all that were committed: last_error tells. */
static size_t send_in_place(tachyon_bus_t *bus, const struct habit *habit,
                            uint64_t number, size_t most, bool *failed) {
    size_t count, stride;
    uint8_t *at = tachyon_acquire_tx_batch(bus, habit->most, most, &count, &stride,
                                           habit->spin, 10 * SECOND);
    *failed = !at;
    for (size_t i = 0; at && i < count; i++)
        message_write(number + i, at + i * stride, habit->most);
    if (!at || tachyon_commit_tx_batch(bus, count, ARRAY_TYPE) != TACHYON_SUCCESS) {
        *failed = true;
        return 0;
    }
    tachyon_flush(bus);
    return count;
}

/* Send until the other end is gone; returns the error. */
static tachyon_error_t produce_arrays(tachyon_bus_t *bus, const struct habit *habit) {
    static uint8_t items[MOST_ITEMS * MOST_ITEM];
    uint64_t number = 0;
    for (uint64_t arrays = 0;; arrays++) {
        uint64_t random = arrays;
        size_t count = 1 + test_random_below(&random, habit->batch);
        for (size_t i = 0; i < count && !habit->in_place; i++)
            message_write(number + i, items + i * habit->most, habit->most);
        bool failed = false;
        size_t sent = habit->in_place
                          ? send_in_place(bus, habit, number, count, &failed)
                          : tachyon_send_batch(bus, items, habit->most, count,
                                               ARRAY_TYPE, habit->spin, 10 * SECOND);
        number += sent;
        atomic_store(&progress->flushed, number);
        if (failed || (sent < count && !habit->in_place))
            return tachyon_last_error();
        nap(habit->producer_nap, arrays);
    }
}

static tachyon_error_t produce(tachyon_bus_t *bus, const struct habit *habit) {
    uint64_t number = 0;
    if (habit->arrays)
        return produce_arrays(bus, habit);
    for (uint64_t flushes = 0;; flushes++) {
        uint64_t random = flushes;
        unsigned count = 1 + (unsigned)test_random_below(&random, habit->batch);
        for (unsigned i = 0; i < count; i++) {
            size_t size = size_of_message(number, habit);
            void *slot = tachyon_acquire_tx_timed(bus, size, habit->spin, 10 * SECOND);
            if (!slot)
                return tachyon_last_error();
            message_write(number, slot, size);
            tachyon_error_t error = tachyon_commit_tx(bus, size, (uint32_t)number);
            if (error != TACHYON_SUCCESS)
                return error;
            number++;
        }
        tachyon_flush(bus);
        atomic_store(&progress->flushed, number);
        nap(habit->producer_nap, flushes);
    }
}

static bool is_right(uint64_t number, const struct habit *habit, uint32_t type,
                     const void *payload, size_t size) {
    return type == (habit->arrays ? ARRAY_TYPE : (uint32_t)number) &&
           size == size_of_message(number, habit) && message_is(number, payload, size);
}

/* Receive and check until the other end is gone; returns the error. */
static tachyon_error_t consume_arrays(tachyon_bus_t *bus, const struct habit *habit) {
    static uint8_t items[MOST_ITEMS * MOST_ITEM];
    for (uint64_t number = 0;;) {
        uint32_t type;
        size_t count = tachyon_recv_batch(bus, items, habit->most, MOST_ITEMS, &type,
                                          habit->spin, 10 * SECOND);
        if (count == 0)
            return tachyon_last_error();
        for (size_t i = 0; i < count; i++, number++)
            if (!is_right(number, habit, type, items + i * habit->most, habit->most)) {
                atomic_store(&progress->wrong, number + 1);
                return TACHYON_ERR_CORRUPT;
            }
        atomic_store(&progress->received, number);
        nap(habit->consumer_nap, number);
    }
}

static tachyon_error_t consume(tachyon_bus_t *bus, const struct habit *habit) {
    tachyon_msg_view_t views[32];
    if (habit->into_arrays)
        return consume_arrays(bus, habit);
    for (uint64_t number = 0;;) {
        size_t count = 1;
        if (habit->consumer_batch > 1) {
            count = tachyon_drain_batch_timed(bus, views, habit->consumer_batch,
                                              habit->spin, 10 * SECOND);
        } else {
            views[0].ptr =
                tachyon_acquire_rx_timed(bus, &views[0].type_id, &views[0].actual_size,
                                         habit->spin, 10 * SECOND);
            count = views[0].ptr ? 1 : 0;
        }
        if (count == 0)
            return tachyon_last_error();
        for (size_t i = 0; i < count; i++, number++)
            if (!is_right(number, habit, views[i].type_id, views[i].ptr,
                          views[i].actual_size)) {
                atomic_store(&progress->wrong, number + 1);
                return TACHYON_ERR_CORRUPT;
            }
        tachyon_error_t error = habit->consumer_batch > 1
                                    ? tachyon_commit_rx_batch(bus, views, count)
                                    : tachyon_commit_rx(bus);
        if (error != TACHYON_SUCCESS)
            return error;
        atomic_store(&progress->received, number);
        nap(habit->consumer_nap, number);
    }
}

/* ---- The ones to be ended ---- */

struct victim {
    const struct habit *habit;
    bool listens, produces;
    tachyon_bus_t *bus;
};

/* The moment of the end has come. */
static void await_the_end(const struct habit *habit) {
    int64_t end_ns =
        ty_now_ns() + (habit->kill_at != 0 ? SECOND / 50 : habit->kill_after_us * 1000);
    while (ty_now_ns() < end_ns &&
           (habit->kill_at == 0 || atomic_load(&progress->received) < habit->kill_at))
        nanosleep(&(struct timespec){.tv_nsec = 1000}, NULL);
}

static void *end_victim(void *context) {
    const struct victim *victim = context;
    await_the_end(victim->habit);
    atomic_store(&progress->promised, atomic_load(&progress->flushed));
    (victim->habit->ending == END_CLOSE ? tachyon_bus_close
                                        : tachyon_bus_abort)(victim->bus);
    return NULL;
}

static void be_victim(void *context) {
    struct victim *victim = context;
    const struct habit *habit = victim->habit;
    tachyon_options_t options = options_with_timeout_ms(10000);
    tachyon_bus_t *bus;
    tachyon_error_t error =
        victim->listens ? tachyon_bus_listen_with(path, habit->capacity, &options, &bus)
                        : tachyon_bus_connect_with(path, &options, &bus);
    pthread_t thread;
    bool ends_itself = error == TACHYON_SUCCESS && habit->ending != END_KILL;
    victim->bus = bus;
    if (ends_itself)
        thread = test_thread(end_victim, victim);
    if (error == TACHYON_SUCCESS)
        error = victim->produces ? produce(bus, habit) : consume(bus, habit);
    if (ends_itself)
        test_join(thread);
    if (ends_itself && habit->destroys)
        tachyon_bus_destroy(bus);
    /* The other may have been killed first; anything else must not happen. */
    tachyon_error_t expected = ends_itself ? TACHYON_ERR_CLOSED : TACHYON_ERR_PEER_DEAD;
    _exit(error == expected ? 0 : 100 + (int)error);
}

struct killer {
    const struct habit *habit;
    pid_t victims[2];
    bool survivor_listens;
    _Atomic bool open; /* the survivor has a connection */
    _Atomic bool stand_in;
};

/* The listener whose only client dies in the handshake listens on; end that. */
static void connect_instead(struct killer *killer) {
    for (int64_t end = test_now_ms() + 5000;
         !atomic_load(&killer->open) && test_now_ms() < end; test_sleep_ms(1)) {
        tachyon_options_t options = options_with_timeout_ms(20);
        tachyon_bus_t *bus;
        if (tachyon_bus_connect_with(path, &options, &bus) == TACHYON_SUCCESS) {
            atomic_store(&killer->stand_in, true);
            tachyon_bus_destroy(bus);
            return;
        }
    }
}

static void *kill_victims(void *context) {
    struct killer *killer = context;
    await_the_end(killer->habit);
    for (int i = 0; i < 2; i++)
        if (killer->victims[i] > 0)
            kill(killer->victims[i], SIGKILL);
    if (killer->survivor_listens)
        connect_instead(killer);
    return NULL;
}

/* ---- One run ---- */

static void check_progress(const char *what, bool all_arrive) {
    uint64_t flushed = atomic_load(&progress->promised);
    uint64_t received = atomic_load(&progress->received);
    if (atomic_load(&progress->wrong))
        FAIL("%s: message %" PRIu64 " is not what was sent", what,
             atomic_load(&progress->wrong) - 1);
    if (all_arrive && received < flushed)
        FAIL("%s: %" PRIu64 " messages were flushed, %" PRIu64 " arrived", what,
             flushed, received);
}

/* The other end is killed, closes or aborts; this one is told which, and gets all. */
static void survive(const struct habit *habit, bool produces) {
    static const struct {
        const char *names[2];
        tachyon_error_t error;
        tachyon_state_t state;
    } endings[] = {
        {{"producer killed", "consumer killed"},
         TACHYON_ERR_PEER_DEAD,
         TACHYON_STATE_FATAL_ERROR},
        {{"producer closes", "consumer closes"},
         TACHYON_ERR_CLOSED,
         TACHYON_STATE_DISCONNECTED},
        {{"producer aborts", "consumer aborts"},
         TACHYON_ERR_ABORTED,
         TACHYON_STATE_FATAL_ERROR},
    };
    bool killed = habit->ending == END_KILL;
    const char *what = endings[habit->ending].names[produces];
    struct victim victim = {habit, habit->child_listens, !produces, NULL};
    struct killer killer = {.habit = habit,
                            .victims = {test_spawn(be_victim, &victim)},
                            .survivor_listens = !victim.listens};
    tachyon_bus_t *bus = NULL;
    tachyon_options_t options = options_with_timeout_ms(10000);
    pthread_t thread;
    if (killed)
        thread = test_thread(kill_victims, &killer);
    tachyon_error_t error;
    if (killer.survivor_listens) {
        error = tachyon_bus_listen_with(path, habit->capacity, &options, &bus);
        CHECK_OK(error);
    } else {
        /* The listener may be dead already. */
        options.timeout_ns = SECOND / 20;
        for (int64_t end = test_now_ms() + (killed ? 200 : 10000);
             !bus && test_now_ms() < end;)
            error = tachyon_bus_connect_with(path, &options, &bus);
    }
    atomic_store(&killer.open, true);
    if (bus) {
        error = produces ? produce(bus, habit) : consume(bus, habit);
        if (error != endings[habit->ending].error && !atomic_load(&killer.stand_in))
            FAIL("%s: the end of it is %s", what, tachyon_last_error_message());
        if (!atomic_load(&killer.stand_in))
            CHECK_EQ(tachyon_get_state(bus), endings[habit->ending].state);
    }
    if (killed)
        test_join(thread);
    CHECK_EQ(test_wait(killer.victims[0]), killed ? -SIGKILL : 0);
    if (killed)
        atomic_store(&progress->promised, atomic_load(&progress->flushed));
    check_progress(what, !produces && bus && !atomic_load(&killer.stand_in));
    tachyon_bus_destroy(bus);
}

static void both_die(const struct habit *habit) {
    struct victim producer = {habit, habit->child_listens, true, NULL};
    struct victim consumer = {habit, !habit->child_listens, false, NULL};
    struct killer killer = {.habit = habit,
                            .victims = {test_spawn(be_victim, &producer),
                                        test_spawn(be_victim, &consumer)}};
    kill_victims(&killer);
    for (int i = 0; i < 2; i++) {
        int status = test_wait(killer.victims[i]);
        if (status != -SIGKILL && status != 0)
            FAIL("a victim ended by itself with %d", status);
    }
    check_progress("both killed", false);
}

TEST(however_an_end_ends_no_flushed_message_is_lost) {
    struct length length = length_begin("R1", "ends", 500, 20000);
    uint64_t messages = 0, random = 1;
    progress = mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(progress != MAP_FAILED);
    path = test_path("kill");
    for (; length_goes_on(&length); length.done++) {
        memset(progress, 0, sizeof *progress);
        struct habit habit = random_habit(&random);
        if (length.done % 3 == 2) {
            habit.ending = END_KILL;
            both_die(&habit);
        } else {
            survive(&habit, length.done % 3 == 1);
        }
        messages += atomic_load(&progress->received);
    }
    length_end(&length, "%" PRIu64 " messages checked", messages);
}
