/* SPDX-License-Identifier: Apache-2.0 */
/* Peers of one listener that are killed: readers, producers, an only consumer. */
#include "comeback.h"

#define BATCH 16

/* Reads all there is, to the end of the listener. */
static void stand_by(void *context) {
    tachyon_options_t options = reading();
    struct message message;
    tachyon_bus_t *bus;
    uint64_t next = 0;
    uint32_t type;
    size_t size;
    (void)context;
    CHECK_OK(tachyon_bus_connect_with(path, &options, &bus));
    for (uint64_t got = 0;; got++) {
        tachyon_error_t error =
            tachyon_recv(bus, &message, sizeof message, &size, &type, 100, 20 * SECOND);
        if (error == TACHYON_ERR_CLOSED)
            break;
        CHECK_OK(error);
        if (got > 0)
            CHECK_EQ(message.number, next);
        next = message.number + 1;
        atomic_store(&board->end[0], next);
    }
    tachyon_bus_destroy(bus);
}

/* ---- A reader that is killed ---- */

static bool ends_here(uint64_t got) {
    return atomic_load(&board->stay) && got > 100;
}

/* Each message: seen, and then released, one by one or some at a time. */
static void read_until_killed(tachyon_bus_t *bus, uint64_t life, bool notes) {
    tachyon_msg_view_t views[BATCH];
    size_t most = life % 3 == 0 && !notes ? BATCH : 1;
    uint64_t next = 0;
    for (uint64_t got = 0; !ends_here(got);) {
        size_t count = tachyon_drain_batch_timed(bus, views, most, 100, 20 * SECOND);
        CHECK(count > 0);
        for (size_t i = 0; i < count; i++, got++) {
            struct message message;
            CHECK_EQ(views[i].actual_size, sizeof message);
            memcpy(&message, views[i].ptr, sizeof message);
            if (got == 0)
                at_work(life, message.number);
            else
                CHECK_EQ(message.number, next);
            next = message.number + 1;
        }
        atomic_store(&board->seen, next);
        if (next % 64 == 0) /* a good time to be killed */
            nap_us(20);
        CHECK_OK(tachyon_commit_rx_batch(bus, views, count));
        atomic_store(&board->freed, next);
        if (notes) {
            unsigned at = (atomic_load(&board->note) & 1) + 1;
            struct note *note = &board->notes[at - 1];
            note->number = next;
            CHECK_OK(tachyon_bus_position(bus, &note->position, &note->epoch));
            atomic_store(&board->note, at);
        }
    }
    tachyon_bus_destroy(bus);
}

static void read_by_name(void *context) {
    tachyon_options_t options = reading();
    tachyon_bus_t *bus;
    (void)context;
    options.name = "reader";
    CHECK_OK(tachyon_bus_connect_with(path, &options, &bus));
    read_until_killed(bus, atomic_load(&board->life), false);
}

/* How far a life has come, before the next one writes there. */
struct place {
    uint64_t seen, freed, noted;
};

static struct place place_of_the_dead(void) {
    unsigned at = atomic_load(&board->note);
    return (struct place){atomic_load(&board->seen), atomic_load(&board->freed),
                          at > 0 ? board->notes[at - 1].number : 0};
}

/* What the life before has read and not released comes again, and nothing else. */
static void expect_the_next(struct place dead) {
    uint64_t first = atomic_load(&board->first);
    if (first > dead.seen || first < dead.freed)
        FAIL("released up to %" PRIu64 " and read up to %" PRIu64
             ", the next one begins at %" PRIu64,
             dead.freed, dead.seen, first);
    atomic_fetch_add(&board->repeats, dead.seen - first);
}

/* All lives of a reader, beside one that reads on and misses nothing. */
static void run_readers(struct broadcaster how, void (*body)(void *),
                        void (*after_each)(struct place dead), struct length *length) {
    struct samples samples = {0};
    struct watched before = {0};
    uint64_t random = 1;
    begin_board();
    pid_t listener = test_spawn(broadcast, &how);
    pid_t bystander = test_spawn(stand_by, NULL);
    await("the bystander", &board->end[0], 1);
    size_t fds = count_fds_of(listener);
    pid_t reader = live(body, NULL, NULL);
    for (; length_goes_on(length); length->done++) {
        end_life(reader, &random);
        struct place dead = place_of_the_dead();
        reader = live(body, NULL, &samples);
        after_each(dead);
        if (length->done <= WARM_UP)
            before = look_at(listener);
    }
    atomic_store(&board->stay, true);
    CHECK_EQ(test_wait(reader), 0);
    before.fds = fds;
    struct watched after = expect_no_growth(before);
    await("events of those that have left", &board->left, length->done + 1);
    /* One whose position is overwritten while it joins hangs up before it tries again. */
    CHECK_IN(atomic_load(&board->dead) - length->done, 0, atomic_load(&board->lagged));
    atomic_store(&board->stop, true);
    CHECK_EQ(test_wait(listener), 0);
    CHECK_EQ(test_wait(bystander), 0);
    CHECK_EQ(atomic_load(&board->end[0]), atomic_load(&board->flushed[0]));
    char more[120];
    snprintf(more, sizeof more,
             "; %" PRIu64 " messages read again, %" PRIu64 " positions overwritten",
             atomic_load(&board->repeats), atomic_load(&board->lagged));
    report(length, &samples, before, after, more);
}

TEST(a_reader_with_a_name_and_a_kept_place_loses_nothing) {
    struct length length =
        length_begin("comeback", "kills of a reader with a name", QUICK, FULL);
    struct broadcaster how = {
        .capacity = 65536, .keep_place_ns = 30 * SECOND, .max_peers = 4};
    run_readers(how, read_by_name, expect_the_next, &length);
}

/* Goes on from its own note, as long as that is in the ring. */
static void read_by_note(void *context) {
    tachyon_options_t options = reading();
    uint64_t life = atomic_load(&board->life);
    unsigned at = atomic_load(&board->note);
    tachyon_error_t error = TACHYON_ERR_LAGGED;
    tachyon_bus_t *bus;
    (void)context;
    if (at > 0) {
        options.start = TACHYON_START_POSITION;
        options.start_position = board->notes[at - 1].position;
        options.start_epoch = board->notes[at - 1].epoch;
        error = tachyon_bus_connect_with(path, &options, &bus);
        if (error == TACHYON_ERR_LAGGED) {
            atomic_store(&board->lagged_in, life);
            atomic_fetch_add(&board->lagged, 1);
        }
    }
    if (error == TACHYON_ERR_LAGGED) {
        options = reading();
        options.start = TACHYON_START_OLDEST;
        error = tachyon_bus_connect_with(path, &options, &bus);
    }
    CHECK_OK(error);
    read_until_killed(bus, life, true);
}

/* Granted: exactly what was noted. Refused: it begins later, and knows it. */
static void expect_the_noted(struct place dead) {
    if (atomic_load(&board->lagged_in) == atomic_load(&board->life))
        CHECK(atomic_load(&board->first) > dead.noted);
    else
        CHECK_EQ(atomic_load(&board->first), dead.noted);
    CHECK_IN(dead.seen - dead.noted, 0, 1);
    atomic_fetch_add(&board->repeats, dead.seen - dead.noted);
}

TEST(a_reader_that_keeps_its_position_itself_goes_on_from_there) {
    struct length length =
        length_begin("comeback", "kills of a reader with a position", QUICK, FULL);
    struct broadcaster how = {.capacity = 4 << 20, .max_peers = 4, .nap_us = 300};
    run_readers(how, read_by_note, expect_the_noted, &length);
    /* A ring lasts for many times as long as it takes to come back. */
    CHECK(4 * atomic_load(&board->lagged) <= length.done);
}

/* ---- A producer that is killed ---- */

/* Goes on with what the last life does not know to be flushed. */
static void write_until_killed(void *context) {
    const struct writer *writer = context;
    tachyon_options_t options = options_with_timeout_ms(10000);
    struct message message = {.writer = writer->number,
                              .life = atomic_load(&board->life)};
    tachyon_bus_t *bus;
    options.name = writer->name;
    CHECK_OK(tachyon_bus_connect_with(path, &options, &bus));
    message.number = atomic_load(&board->flushed[writer->number]);
    while (!atomic_load(&board->stop)) {
        CHECK_OK(tachyon_send(bus, &message, sizeof message, 1, 100, 20 * SECOND));
        atomic_store(&board->flushed[writer->number], ++message.number);
    }
    tachyon_bus_destroy(bus);
}

/* Numbers of each follow one another from life to life: one that was flushed and not
 * noted by the dead comes again, none is missing, and none of an older life comes late. */
static void collect(void *context) {
    const uint32_t *max_peers = context;
    tachyon_options_t options = {
        .size = sizeof options, .role = TACHYON_ROLE_CONSUMER, .max_peers = *max_peers};
    uint64_t next[WRITERS] = {0}, life[WRITERS] = {0};
    tachyon_bus_t *bus;
    CHECK_OK(tachyon_bus_listen_with(path, 16384, &options, &bus));
    bool stop = false;
    for (uint64_t turns = 0;; turns++) {
        struct message message;
        uint32_t type;
        size_t size;
        /* Before the last look: what they had flushed is there then. */
        bool alone = stop && tachyon_bus_get_peers(bus, NULL, 0) == 0;
        tachyon_error_t error =
            tachyon_recv(bus, &message, sizeof message, &size, &type, 100, 50 * MILLI);
        if (turns % 64 == 0 || error != TACHYON_SUCCESS)
            count_events(bus);
        if (error != TACHYON_SUCCESS) {
            CHECK_EQ(error, TACHYON_ERR_TIMEOUT);
            if (alone)
                break;
            stop = atomic_load(&board->stop);
            continue;
        }
        uint64_t writer = message.writer;
        CHECK(size == sizeof message && writer < WRITERS);
        if (message.life == life[writer]) {
            CHECK_EQ(message.number, next[writer]);
        } else {
            CHECK(message.life > life[writer]);
            CHECK(message.number <= next[writer] && message.number + 1 >= next[writer]);
            atomic_fetch_add(&board->repeats, next[writer] - message.number);
            life[writer] = message.life;
            if (writer == 0)
                at_work(message.life, message.number);
        }
        next[writer] = message.number + 1;
        atomic_store(&board->end[writer], next[writer]);
    }
    tachyon_bus_destroy(bus);
}

static const struct writer writers[WRITERS] = {{0, "mortal"}, {1, "first"}, {2, NULL}};

static void run_writers(uint32_t max_peers, struct length *length) {
    uint64_t bystanders = max_peers > 1 ? WRITERS - 1 : 0, random = 2;
    struct samples samples = {0};
    struct watched before = {0};
    pid_t pids[WRITERS];
    begin_board();
    pid_t listener = test_spawn(collect, &max_peers);
    for (uint64_t i = 1; i <= bystanders; i++)
        pids[i] = test_spawn(write_until_killed, (void *)(uintptr_t)&writers[i]);
    for (uint64_t i = 1; i <= bystanders; i++)
        await("a bystander", &board->end[i], 1);
    void *mortal = (void *)(uintptr_t)&writers[0];
    pids[0] = live(write_until_killed, mortal, NULL);
    for (; length_goes_on(length); length->done++) {
        end_life(pids[0], &random);
        pids[0] = live(write_until_killed, mortal, &samples);
        if (length->done <= WARM_UP)
            before = look_at(listener);
    }
    await("events of those that have left", &board->left, length->done);
    struct watched after = expect_no_growth(before);
    atomic_store(&board->stop, true);
    for (uint64_t i = 0; i <= bystanders; i++)
        CHECK_EQ(test_wait(pids[i]), 0);
    CHECK_EQ(test_wait(listener), 0);
    for (uint64_t i = 0; i <= bystanders; i++)
        CHECK_EQ(atomic_load(&board->end[i]), atomic_load(&board->flushed[i]));
    CHECK_EQ(atomic_load(&board->dead), length->done);
    char more[80];
    snprintf(more, sizeof more, "; %" PRIu64 " messages sent again",
             atomic_load(&board->repeats));
    report(length, &samples, before, after, more);
}

TEST(a_producer_beside_others_loses_nothing_that_it_flushed) {
    struct length length =
        length_begin("comeback", "kills of a producer beside others", QUICK, FULL);
    run_writers(WRITERS, &length);
}

TEST(a_producer_that_is_the_only_one_loses_nothing_that_it_flushed) {
    struct length length =
        length_begin("comeback", "kills of an only producer", QUICK, FULL);
    run_writers(1, &length);
}

/* ---- A consumer that is killed, of a producer with one at a time ---- */

static void read_alone(void *context) {
    tachyon_options_t options = reading();
    uint64_t life = atomic_load(&board->life), next = 0;
    struct message message;
    tachyon_bus_t *bus;
    uint32_t type;
    size_t size;
    (void)context;
    CHECK_OK(tachyon_bus_connect_with(path, &options, &bus));
    for (uint64_t got = 0; !ends_here(got); got++) {
        CHECK_OK(tachyon_recv(bus, &message, sizeof message, &size, &type, 100,
                              20 * SECOND));
        if (got == 0)
            at_work(life, message.number);
        else
            CHECK_EQ(message.number, next);
        next = message.number + 1;
        atomic_store(&board->seen, next);
    }
    tachyon_bus_destroy(bus);
}

TEST(a_consumer_that_is_the_only_one_goes_on_where_the_ring_of_the_dead_ended) {
    struct length length =
        length_begin("comeback", "kills of an only consumer", QUICK, FULL);
    struct broadcaster how = {.capacity = 65536, .max_peers = 1};
    struct samples samples = {0};
    struct watched before = {0};
    uint64_t random = 3, lost = 0;
    begin_board();
    pid_t listener = test_spawn(broadcast, &how);
    pid_t reader = live(read_alone, NULL, NULL);
    for (; length_goes_on(&length); length.done++) {
        end_life(reader, &random);
        uint64_t seen = atomic_load(&board->seen);
        reader = live(read_alone, NULL, &samples);
        /* What it had not taken is gone with its ring, and no more than that. */
        CHECK_IN(atomic_load(&board->first) - seen, 0, how.capacity / 64);
        lost += atomic_load(&board->first) - seen;
        if (length.done <= WARM_UP)
            before = look_at(listener);
    }
    await("events of those that have left", &board->left, length.done);
    struct watched after = expect_no_growth(before);
    atomic_store(&board->stay, true);
    CHECK_EQ(test_wait(reader), 0);
    atomic_store(&board->stop, true);
    CHECK_EQ(test_wait(listener), 0);
    CHECK_EQ(atomic_load(&board->dead), length.done);
    char more[80];
    snprintf(more, sizeof more, "; %" PRIu64 " messages gone with rings", lost);
    report(&length, &samples, before, after, more);
}
