/* SPDX-License-Identifier: Apache-2.0 */
/* cursors.h by itself: one ring, consumers that come and go. */
#include "arena.h"
#include "cursors.h"
#include "harness.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#define MOST 24
#define CAPACITY 4096u

struct feed {
    struct arena arena;
    struct ring_producer *tx;
    struct cursors cursors;
    struct place all[MOST];
    struct ring_shared everyone, words[MOST];
    struct cursor cursor[MOST];
    struct ring_consumer rx[MOST];
};

static struct feed *feed_make(bool free_run) {
    struct feed *feed = aligned_alloc(4096, sizeof *feed + 4096 - sizeof *feed % 4096);
    CHECK(feed);
    memset(feed, 0, sizeof *feed);
    feed->arena = arena_make(CAPACITY);
    feed->tx = &feed->arena.producer;
    cursors_init(&feed->cursors, feed->all, &feed->everyone, free_run);
    cursors_aim(&feed->cursors, feed->tx);
    return feed;
}

static void feed_free(struct feed *feed) {
    arena_free(&feed->arena);
    free(feed);
}

static uint64_t join(struct feed *feed, unsigned i, uint64_t wish) {
    feed->cursor[i].shared = &feed->words[i];
    feed->cursor[i].wish = wish;
    uint64_t start = cursors_insert(&feed->cursors, feed->tx, &feed->cursor[i]);
    ring_consumer_arm(&feed->rx[i], &feed->words[i], feed->arena.data, CAPACITY);
    feed->rx[i].tail = start;
    return start;
}

/* Its payload is its position. */
static bool send_at(struct feed *feed) {
    void *slot = ring_reserve(feed->tx, 8);
    if (!slot)
        return false;
    memcpy(slot, &feed->tx->head, 8);
    ring_commit(feed->tx, 8, 1, 0);
    return true;
}

static bool send_one(struct feed *feed) {
    bool sent = send_at(feed);
    if (sent)
        ring_publish(feed->tx);
    return sent;
}

static unsigned send_all(struct feed *feed, unsigned most) {
    unsigned sent = 0;
    while (sent < most && send_one(feed))
        sent++;
    return sent;
}

static void refresh(struct feed *feed) {
    cursors_refresh(&feed->cursors, feed->tx, cursors_wanted(feed->tx, RING_LINE));
}

/* False: there is none. */
static bool take(struct feed *feed, unsigned i) {
    struct ring_record record;
    uint64_t at = feed->rx[i].tail, says;
    enum ring_look look = ring_look_at(&feed->rx[i], 0, &record);
    CHECK(look != RING_CORRUPT);
    if (look == RING_EMPTY)
        return false;
    memcpy(&says, record.payload, 8);
    CHECK_EQ(says, at);
    ring_hand_out(&feed->rx[i], record.bytes, 1);
    ring_release(&feed->rx[i], record.bytes, 1);
    return true;
}

static unsigned take_all(struct feed *feed, unsigned i) {
    unsigned taken = 0;
    while (take(feed, i))
        taken++;
    return taken;
}

#define RING_FULL (CAPACITY / RING_LINE - 1) /* records of one line */

/* ---- Nobody there ---- */

TEST(without_consumers_waiting_stops_at_a_full_ring) {
    struct feed *feed = feed_make(false);
    CHECK_EQ(send_all(feed, 1000), RING_FULL);
    refresh(feed);
    CHECK_EQ(send_all(feed, 1000), 0);
    CHECK_EQ(join(feed, 0, CURSOR_OLDEST), 0); /* and who comes then has all of it */
    refresh(feed);
    CHECK_EQ(send_all(feed, 1000), 0);
    CHECK_EQ(take_all(feed, 0), RING_FULL);
    refresh(feed);
    CHECK_EQ(send_all(feed, 1000), RING_FULL);
    feed_free(feed);
}

TEST(a_free_run_goes_on_and_keeps_most_of_the_ring) {
    struct feed *feed = feed_make(true);
    for (unsigned i = 0; i < 1000; i++) {
        if (send_one(feed))
            continue;
        uint64_t before = feed->tx->limit;
        refresh(feed);
        CHECK_EQ(feed->tx->limit - before, CAPACITY / CURSORS_FREE_RUN_PART);
    }
    uint64_t oldest = join(feed, 0, CURSOR_OLDEST);
    CHECK(feed->tx->head - oldest >= CAPACITY * 3 / 4);
    CHECK_EQ(take_all(feed, 0), (feed->tx->head - oldest) / RING_LINE);
    feed_free(feed);
}

TEST(a_large_record_of_a_free_run_gets_the_room_that_it_takes) {
    struct feed *feed = feed_make(true);
    CHECK_EQ(send_all(feed, 1000), RING_FULL);
    CHECK(!ring_reserve(feed->tx, CAPACITY - RING_OVERHEAD));
    cursors_refresh(&feed->cursors, feed->tx,
                    cursors_wanted(feed->tx, CAPACITY - RING_LINE));
    CHECK(ring_reserve(feed->tx, CAPACITY - RING_OVERHEAD));
    feed_free(feed);
}

TEST(a_free_run_ends_where_somebody_reads) {
    struct feed *feed = feed_make(true);
    uint64_t start = join(feed, 0, CURSOR_NOW);
    CHECK_EQ(send_all(feed, 1000), RING_FULL);
    refresh(feed);
    CHECK_EQ(send_all(feed, 1000), 0);
    CHECK_EQ(feed->rx[0].tail, start);
    cursors_drop(&feed->cursors, feed->tx, &feed->cursor[0]);
    refresh(feed);
    CHECK(send_one(feed));
    feed_free(feed);
}

/* ---- Where somebody begins ---- */

TEST(now_is_what_is_flushed_not_what_is_committed) {
    struct feed *feed = feed_make(false);
    CHECK_EQ(send_all(feed, 3), 3);
    CHECK(send_at(feed));
    CHECK(send_at(feed));
    CHECK_EQ(join(feed, 0, CURSOR_NOW), 3 * RING_LINE);
    CHECK_EQ(atomic_load(&feed->words[0].tail), 3 * RING_LINE);
    CHECK(!take(feed, 0));
    ring_publish(feed->tx);
    CHECK_EQ(take_all(feed, 0), 2);
    feed_free(feed);
}

TEST(a_position_is_granted_while_it_is_kept_and_not_beyond_what_is_flushed) {
    struct feed *feed = feed_make(false);
    CHECK_EQ(send_all(feed, 10), 10);
    CHECK_EQ(join(feed, 0, 4 * RING_LINE), 4 * RING_LINE);
    CHECK_EQ(take_all(feed, 0), 6);
    CHECK_EQ(join(feed, 1, 11 * RING_LINE), 10 * RING_LINE); /* of the future */
    CHECK_EQ(cursors_would_grant(&feed->cursors, feed->tx, 0), 0);
    refresh(feed); /* nobody needs the first ten any more */
    CHECK_EQ(cursors_would_grant(&feed->cursors, feed->tx, 0), 10 * RING_LINE);
    CHECK_EQ(join(feed, 2, 4 * RING_LINE), 10 * RING_LINE);
    CHECK_EQ(join(feed, 3, 10 * RING_LINE), 10 * RING_LINE);
    feed_free(feed);
}

TEST(whoever_comes_first_says_where_it_begins) {
    struct feed *feed = feed_make(false);
    struct cursor *cursor = &feed->cursor[0];
    CHECK_EQ(send_all(feed, 2), 2);
    /* The accept step has pushed and is held up. */
    cursor->shared = &feed->words[0];
    cursor->wish = CURSOR_NOW;
    atomic_store(&cursor->start, CURSOR_UNDECIDED);
    atomic_store(&feed->cursors.joined, cursor);
    CHECK(cursors_take_in(&feed->cursors, feed->tx));
    CHECK_EQ(cursor->seen, 2 * RING_LINE);
    CHECK_EQ(send_all(feed, 1000), RING_FULL - 2);
    refresh(feed); /* its tail is still 0: no progress, and no lie */
    CHECK_EQ(feed->cursors.count, 1);
    CHECK_EQ(send_all(feed, 1000), 2);
    CHECK_EQ(cursor_settle(cursor, feed->tx->head), 2 * RING_LINE);
    feed_free(feed);
}

TEST(oldest_is_a_mark_never_a_tail_that_somebody_made_up) {
    struct feed *feed = feed_make(false);
    join(feed, 0, CURSOR_NOW);
    refresh(feed);
    for (unsigned round = 0; round < 50; round++) { /* records of three lines */
        void *slot = ring_reserve(feed->tx, 100);
        if (slot) {
            ring_commit(feed->tx, 100, 1, 0);
            ring_publish(feed->tx);
        } else {
            /* a position inside of a record */
            atomic_store(&feed->words[0].tail, ring_flushed(feed->tx) - RING_LINE);
            refresh(feed);
        }
        uint64_t oldest = cursors_would_grant(&feed->cursors, feed->tx, CURSOR_OLDEST);
        CHECK_EQ(oldest % (3 * RING_LINE), 0);
        CHECK(oldest + CAPACITY >= feed->tx->limit);
    }
    feed_free(feed);
}

/* ---- Who holds the producer up ---- */

TEST(the_slowest_says_how_far_the_producer_may_go) {
    struct feed *feed = feed_make(false);
    for (unsigned i = 0; i < 3; i++)
        CHECK_EQ(join(feed, i, CURSOR_NOW), 0);
    CHECK_EQ(send_all(feed, 1000), RING_FULL);
    CHECK_EQ(take_all(feed, 0), RING_FULL);
    CHECK_EQ(take_all(feed, 1), RING_FULL);
    for (unsigned i = 0; i < 5; i++)
        CHECK(take(feed, 2));
    refresh(feed);
    CHECK_EQ(send_all(feed, 1000), 5);
    cursors_drop(&feed->cursors, feed->tx, &feed->cursor[2]);
    refresh(feed);
    CHECK_EQ(send_all(feed, 1000), RING_FULL - 5);
    feed_free(feed);
}

TEST(a_tail_that_cannot_be_evicts_its_owner_alone) {
    static const uint64_t wrong[] = {RING_FULL * RING_LINE + RING_LINE,
                                     65,
                                     1,
                                     UINT64_MAX,
                                     UINT64_MAX - 63,
                                     UINT64_C(1) << 63};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct feed *feed = feed_make(false);
        for (unsigned k = 0; k < 3; k++)
            join(feed, k, CURSOR_NOW);
        CHECK_EQ(send_all(feed, 1000), RING_FULL);
        CHECK_EQ(take_all(feed, 0) + take_all(feed, 2), 2 * RING_FULL);
        atomic_store(&feed->words[1].tail, wrong[i]);
        refresh(feed);
        CHECK(feed->cursors.dropped == &feed->cursor[1]);
        CHECK(!feed->cursors.dropped->next);
        CHECK_EQ(feed->cursors.count, 2);
        CHECK_EQ(atomic_load(&feed->words[1].wanted_tail), RING_EVICTED);
        CHECK_EQ(atomic_load(&feed->words[0].wanted_tail), 0);
        CHECK_EQ(send_all(feed, 1000), RING_FULL);
        CHECK_EQ(take_all(feed, 0) + take_all(feed, 2), 2 * RING_FULL);
        feed_free(feed);
    }
}

TEST(a_tail_that_goes_back_is_no_progress) {
    struct feed *feed = feed_make(false);
    join(feed, 0, CURSOR_NOW);
    CHECK_EQ(send_all(feed, 10), 10);
    CHECK_EQ(take_all(feed, 0), 10);
    refresh(feed);
    uint64_t limit = feed->tx->limit;
    atomic_store(&feed->words[0].tail, 0);
    refresh(feed);
    CHECK_EQ(feed->tx->limit, limit);
    CHECK_EQ(feed->cursors.count, 1);
    feed_free(feed);
}

TEST(who_sleeps_for_room_asks_each_laggard_and_nobody_else) {
    struct feed *feed = feed_make(false);
    for (unsigned i = 0; i < 3; i++)
        join(feed, i, CURSOR_NOW);
    CHECK_EQ(send_all(feed, 1000), RING_FULL);
    CHECK_EQ(take_all(feed, 0), RING_FULL);
    refresh(feed);
    uint64_t wanted = cursors_wanted(feed->tx, RING_LINE);
    CHECK_EQ(wanted, RING_LINE);
    cursors_ask(&feed->cursors, feed->tx, wanted);
    CHECK_EQ(atomic_load(&feed->words[0].wanted_tail), 0);
    CHECK_EQ(atomic_load(&feed->words[1].wanted_tail), wanted);
    CHECK_EQ(atomic_load(&feed->words[2].wanted_tail), wanted);
    cursors_ask(&feed->cursors, feed->tx, 0);
    CHECK_EQ(atomic_load(&feed->words[1].wanted_tail), 0);
    CHECK_EQ(atomic_load(&feed->words[2].wanted_tail), 0);
    feed_free(feed);
}

TEST(who_is_in_the_way_is_evicted_before_anything_is_overwritten) {
    struct feed *feed = feed_make(false);
    for (unsigned i = 0; i < 4; i++)
        join(feed, i, CURSOR_NOW);
    CHECK_EQ(send_all(feed, 1000), RING_FULL);
    CHECK_EQ(take_all(feed, 1), RING_FULL);
    refresh(feed);
    uint64_t wanted = cursors_wanted(feed->tx, RING_LINE), limit = feed->tx->limit;
    cursors_evict_slow(&feed->cursors, feed->tx, wanted);
    CHECK_EQ(feed->tx->limit, limit);
    CHECK_EQ(feed->cursors.count, 1);
    unsigned evicted = 0;
    for (struct cursor *c = feed->cursors.dropped; c; c = c->next, evicted++)
        CHECK_EQ(atomic_load(&c->shared->wanted_tail), RING_EVICTED);
    CHECK_EQ(evicted, 3);
    CHECK_EQ(atomic_load(&feed->words[1].wanted_tail), 0);
    refresh(feed);
    CHECK_EQ(send_all(feed, 1000), RING_FULL);
    cursors_ask(&feed->cursors, feed->tx, 0); /* who is out is not asked, nor cleared */
    CHECK_EQ(atomic_load(&feed->words[0].wanted_tail), RING_EVICTED);
    feed_free(feed);
}

/* ---- Whom a flush looks at ---- */

TEST(who_wants_what_everyone_wants_hides_nobody_that_joins) {
    struct feed *feed = feed_make(true);
    join(feed, 0, CURSOR_NOW);
    CHECK(cursors_take_in(&feed->cursors, feed->tx));
    atomic_store(&feed->words[0].wanted_head, 1); /* no consumer of ours does that */
    CHECK(send_one(feed));
    CHECK(ring_consumer_sleeps(feed->tx));
    cursors_woken(feed->tx);
    join(feed, 1, CURSOR_NOW);
    CHECK(send_one(feed));
    CHECK(ring_consumer_sleeps(feed->tx));
    feed_free(feed);
}

TEST(the_flush_looks_at_the_only_consumer_itself_else_at_all) {
    struct feed *feed = feed_make(true);
    CHECK(ring_producer_shared(feed->tx) == &feed->everyone);
    for (unsigned i = 0; i < 5; i++) { /* always reached, flush after flush */
        CHECK(send_one(feed));
        CHECK(ring_consumer_sleeps(feed->tx));
        cursors_woken(feed->tx);
    }
    join(feed, 0, CURSOR_NOW);
    CHECK(ring_producer_shared(feed->tx) == &feed->everyone);
    CHECK(cursors_take_in(&feed->cursors, feed->tx));
    CHECK(ring_producer_shared(feed->tx) == &feed->words[0]);
    CHECK(send_one(feed));
    CHECK(!ring_consumer_sleeps(feed->tx));

    join(feed, 1, CURSOR_NOW); /* at once, though nobody has taken it in */
    CHECK(ring_producer_shared(feed->tx) == &feed->everyone);
    CHECK(cursors_take_in(&feed->cursors, feed->tx));
    CHECK(ring_producer_shared(feed->tx) == &feed->everyone);
    cursors_drop(&feed->cursors, feed->tx, &feed->cursor[0]);
    CHECK(ring_producer_shared(feed->tx) == &feed->words[1]);

    join(feed, 2, CURSOR_NOW);
    cursors_aim(&feed->cursors, feed->tx); /* looks again who has come meanwhile */
    CHECK(ring_producer_shared(feed->tx) == &feed->everyone);
    CHECK(cursors_take_in(&feed->cursors, feed->tx));
    cursors_drop(&feed->cursors, feed->tx, &feed->cursor[1]);
    cursors_drop(&feed->cursors, feed->tx, &feed->cursor[2]);
    CHECK(ring_producer_shared(feed->tx) == &feed->everyone);
    feed_free(feed);
}

TEST(each_sleeper_is_woken_once_for_each_position) {
    struct feed *feed = feed_make(false);
    for (unsigned i = 0; i < 3; i++)
        join(feed, i, CURSOR_NOW);
    cursors_take_in(&feed->cursors, feed->tx);
    ring_want_record(&feed->rx[0], true);
    ring_want_record(&feed->rx[2], true);
    CHECK(!cursor_sleeps(&feed->cursor[0], feed->tx->head));
    CHECK(send_one(feed));
    CHECK(cursor_sleeps(&feed->cursor[0], feed->tx->head));
    CHECK(!cursor_sleeps(&feed->cursor[0], feed->tx->head));
    CHECK(!cursor_sleeps(&feed->cursor[1], feed->tx->head));
    CHECK(cursor_sleeps(&feed->cursor[2], feed->tx->head));
    /* Another one's answer does not count when the flush is aimed elsewhere. */
    cursors_drop(&feed->cursors, feed->tx, &feed->cursor[0]);
    cursors_drop(&feed->cursors, feed->tx, &feed->cursor[1]);
    CHECK(ring_consumer_sleeps(feed->tx));
    feed_free(feed);
}

/* ---- Threads: joins, leaves, evictions, free run; every message checked ---- */

enum fate { LEAVES, STUCK };

struct stress {
    struct feed *feed;
    _Atomic bool stop;
    struct {
        _Atomic bool gone, stuck, handed_back;
        enum fate fate;
        uint64_t count;
        pthread_t thread;
        bool joined_thread;
    } slot[MOST];
    _Atomic uint64_t taken, evicted;
    uint64_t joins;
    uint64_t random;
};

static struct stress *stress;

/* The sending thread: who has gone is dropped, then nobody's. */
static void let_go(struct feed *feed) {
    for (unsigned i = 0; i < MOST; i++)
        if (atomic_load(&stress->slot[i].gone) &&
            !atomic_load(&stress->slot[i].handed_back)) {
            for (unsigned k = 0; k < feed->cursors.count; k++)
                if (feed->cursors.all[k].cursor == &feed->cursor[i]) {
                    cursors_drop(&feed->cursors, feed->tx, &feed->cursor[i]);
                    atomic_store(&stress->slot[i].handed_back, true);
                    break;
                }
        }
    for (struct cursor *c = feed->cursors.dropped, *next; c; c = next) {
        next = c->next;
        atomic_store(&stress->slot[c - feed->cursor].handed_back, true);
    }
    feed->cursors.dropped = NULL;
}

/* Nobody is in the way who still reads: what he has read would have to be checked. */
static bool only_stuck(struct feed *feed, uint64_t wanted) {
    for (unsigned i = 0; i < feed->cursors.count; i++) {
        struct cursor *cursor = feed->cursors.all[i].cursor;
        if (cursor->seen < wanted &&
            !atomic_load(&stress->slot[cursor - feed->cursor].stuck))
            return false;
    }
    return true;
}

static void *stress_producer(void *context) {
    struct feed *feed = context;
    unsigned waits = 0;
    while (!atomic_load_explicit(&stress->stop, memory_order_relaxed)) {
        if (ring_flushed(feed->tx) / RING_LINE % 3 ? send_one(feed) : send_at(feed)) {
            if (ring_consumer_sleeps(feed->tx)) {
                cursors_take_in(&feed->cursors, feed->tx);
                cursors_woken(feed->tx);
            }
            waits = 0;
            continue;
        }
        if (feed->tx->first_word)
            ring_publish(feed->tx);
        refresh(feed);
        uint64_t wanted = cursors_wanted(feed->tx, RING_LINE);
        if (++waits > 20 && only_stuck(feed, wanted)) {
            cursors_evict_slow(&feed->cursors, feed->tx, wanted);
            atomic_thread_fence(memory_order_seq_cst);
            waits = 0;
        }
        let_go(feed);
        sched_yield();
    }
    return NULL;
}

static void *stress_reader(void *context) {
    unsigned i = (unsigned)(uintptr_t)context;
    struct feed *feed = stress->feed;
    uint64_t taken = 0;
    while (taken < stress->slot[i].count &&
           atomic_load(&feed->words[i].wanted_tail) != RING_EVICTED &&
           !atomic_load_explicit(&stress->stop, memory_order_relaxed)) {
        if (take(feed, i))
            taken++;
        else
            sched_yield();
    }
    if (stress->slot[i].fate == STUCK) {
        atomic_store(&stress->slot[i].stuck, true);
        while (atomic_load(&feed->words[i].wanted_tail) != RING_EVICTED &&
               !atomic_load_explicit(&stress->stop, memory_order_relaxed))
            sched_yield();
    }
    if (atomic_load(&feed->words[i].wanted_tail) == RING_EVICTED)
        atomic_fetch_add(&stress->evicted, 1);
    atomic_fetch_add(&stress->taken, taken);
    atomic_store(&stress->slot[i].gone, true);
    return NULL;
}

static void let_in(unsigned i) {
    static const uint64_t wishes[] = {CURSOR_NOW, CURSOR_OLDEST, CURSOR_NOW};
    struct feed *feed = stress->feed;
    memset(&feed->words[i], 0, sizeof feed->words[i]);
    stress->slot[i].fate = test_random_below(&stress->random, 40) ? LEAVES : STUCK;
    stress->slot[i].count = test_random_below(&stress->random, 300);
    atomic_store(&stress->slot[i].gone, false);
    atomic_store(&stress->slot[i].stuck, false);
    atomic_store(&stress->slot[i].handed_back, false);
    uint64_t flushed = atomic_load(&feed->tx->flushed);
    unsigned kind = (unsigned)test_random_below(&stress->random, 4);
    join(feed, i, kind == 3 ? flushed : wishes[kind]);
    stress->joins++;
    stress->slot[i].thread = test_thread(stress_reader, (void *)(uintptr_t)i);
    stress->slot[i].joined_thread = false;
}

static void run_stress(bool free_run, unsigned most, int64_t milliseconds) {
    struct feed *feed = feed_make(free_run);
    stress = calloc(1, sizeof *stress);
    CHECK(stress);
    stress->feed = feed;
    stress->random = 7;
    for (unsigned i = 0; i < MOST; i++) {
        atomic_store(&stress->slot[i].handed_back, true);
        stress->slot[i].joined_thread = true;
    }
    pthread_t producer = test_thread(stress_producer, feed);
    for (int64_t end = test_now_ms() + milliseconds; test_now_ms() < end;) {
        unsigned i = (unsigned)test_random_below(&stress->random, most);
        if (!atomic_load(&stress->slot[i].handed_back) ||
            (!stress->slot[i].joined_thread && !atomic_load(&stress->slot[i].gone))) {
            sched_yield();
            continue;
        }
        if (!stress->slot[i].joined_thread)
            test_join(stress->slot[i].thread);
        let_in(i);
    }
    atomic_store(&stress->stop, true);
    test_join(producer);
    for (unsigned i = 0; i < MOST; i++)
        if (!stress->slot[i].joined_thread)
            test_join(stress->slot[i].thread);
    CHECK(stress->joins > 2);
    CHECK(atomic_load(&stress->taken) > 100);
    /* One in 40 gets stuck; a slow machine may not come to one. */
    CHECK(most == 1 || stress->joins < 400 || atomic_load(&stress->evicted) > 0);
    free(stress);
    feed_free(feed);
}

TEST(joins_leaves_and_evictions_under_load_lose_no_message) {
    run_stress(false, MOST, 1500);
}

TEST(one_consumer_after_the_other_in_a_free_run_reads_what_was_written) {
    run_stress(true, 1, 1000);
    run_stress(true, 3, 1000);
}
