/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Cursors: one producer, many consumers of one ring.
 *
 * This file makes no system call and allocates nothing, as ring.h.
 *
 * Owns: where each consumer stands, in the eyes of the one thread that sends; and the
 * protocol by which another thread, the accept step, lets one in while that thread sends.
 * Each consumer has control words (struct ring_shared) of its own, shared with nobody but
 * the producer; the data is one for all.
 *
 * Words and their writers, besides those of ring.h
 *   cursor.start   decided once, by compare-and-swap, by whoever comes first
 *   joined         accept step pushes, sending thread takes all
 *   floor, marks   sending thread; the accept step reads them
 *   called         accept step sets, sending thread clears
 *   tx.shared      either: the accept step only ever to `everyone`
 *   the rest       sending thread alone
 *
 * Invariants
 *   C1  The producer overwrites nothing at or after the `seen` of a cursor: limit is the
 *       lowest `seen` + capacity, `seen` never exceeds a tail that its consumer has
 *       published, and never falls.
 *   C2  Who joins begins at `start`, and both sides know it as the same: nothing at or
 *       after it has been overwritten, and everything before it was flushed. Either the
 *       accept step, having pushed, sees the floor of a refresh, or that refresh sees the
 *       push: both have a fence in between, and the refresh applies its floor afterwards.
 *   C3  With one cursor the flush looks at that consumer's wanted_head itself; with none,
 *       several, or somebody on `joined`, or `called`, at `everyone`, whose wanted_head is always
 *       reached: then the slow path looks at each.
 *   C4  A consumer's words are touched only while its cursor is in the array or, before
 *       that, by the accept step. A cursor that has left the array is nobody's: the flush
 *       is aimed elsewhere before it is handed on.
 *   C5  Whoever is evicted can learn of it before anything is overwritten that it has not
 *       released: RING_EVICTED, a fence, then the new limit.
 *
 * What a consumer writes can only harm itself: a tail that it cannot have evicts it, one
 * that goes back is no progress, and a floor is a position to compare with, never one to
 * read at: where somebody begins is a mark of ours, or his own wish.
 */
#ifndef TACHYON_CURSORS_H
#define TACHYON_CURSORS_H

#include "ring.h"

#define CURSOR_UNDECIDED 1u /* as a start: no position is odd */
/* Wishes that are no positions. */
#define CURSOR_NOW UINT64_MAX
#define CURSOR_OLDEST (UINT64_MAX - 1)
#define CURSORS_MARKS 16u
/* Without consumers a free run gives up that much at a time: what is older stays for who
 * joins and wants it. */
#define CURSORS_FREE_RUN_PART 8u

struct cursor {
    struct ring_shared *shared; /* this consumer's control words */
    uint64_t wish;              /* where it would begin; set before it is inserted */
    _Atomic uint64_t start;
    uint64_t seen;       /* its tail, as far as it was believed */
    uint64_t woken;      /* value of its wanted_head already answered */
    struct cursor *next; /* on joined, or on dropped */
};

/* Its place in the array. A flush looks at all of the words: here they are found without a
 * look at the cursors. */
struct place {
    const _Atomic uint64_t *wanted_head;
    struct cursor *cursor;
};

struct cursors {
    struct place *all;            /* the caller's memory */
    unsigned count, taken;        /* taken in, ever */
    bool free_run;                /* nobody there: overwrite; else wait for somebody */
    struct ring_shared *everyone; /* nobody's; wanted_head is 1 */
    struct cursor *dropped;       /* left the array because of their tails */
    uint64_t marked;              /* the last mark */
    unsigned marks_made;
    alignas(128) _Atomic(struct cursor *) joined;
    _Atomic bool called;                   /* the next flush is to look around */
    _Atomic uint64_t floor;                /* nothing before it is kept */
    _Atomic uint64_t marks[CURSORS_MARKS]; /* beginnings of records */
};

static inline void cursors_init(struct cursors *c, struct place *all,
                                struct ring_shared *everyone, bool free_run) {
    *c = (struct cursors){.all = all, .everyone = everyone, .free_run = free_run};
    atomic_store_explicit(&everyone->wanted_head, 1,
                          memory_order_relaxed); /* private */
}

/* ---- Where somebody begins ---- */

static inline bool cursors_somebody_joins(const struct cursors *c) {
    /* Ordered by the caller's fence where that matters. */
    return atomic_load_explicit(&c->joined, memory_order_relaxed) != NULL;
}

static inline uint64_t cursor_settle(struct cursor *cursor, uint64_t position) {
    uint64_t undecided = CURSOR_UNDECIDED;
    return atomic_compare_exchange_strong(&cursor->start, &undecided, position)
               ? position
               : undecided;
}

/* What of a wish can be had, if everything from `kept` on is kept? */
static inline uint64_t cursors_grant(const struct cursors *c, uint64_t wish,
                                     uint64_t kept, uint64_t flushed) {
    if (wish == CURSOR_NOW)
        return flushed;
    if (wish != CURSOR_OLDEST)
        return wish >= kept && wish <= flushed ? wish : flushed;
    uint64_t oldest = flushed;
    for (unsigned i = 0; i < CURSORS_MARKS; i++) {
        /* Relaxed: a mark up to `flushed` is as old as that, which was acquired. */
        uint64_t mark = atomic_load_explicit(&c->marks[i], memory_order_relaxed);
        if (mark >= kept && mark < oldest)
            oldest = mark;
    }
    return oldest;
}

/* Could a wish be granted now? Any thread. */
static inline uint64_t cursors_would_grant(const struct cursors *c,
                                           const struct ring_producer *tx,
                                           uint64_t wish) {
    /* Pairs with the release store in ring_publish(). */
    uint64_t flushed = atomic_load_explicit(&tx->flushed, memory_order_acquire);
    return cursors_grant(c, wish, atomic_load_explicit(&c->floor, memory_order_relaxed),
                         flushed);
}

/* The accept step lets a cursor in. Returns where it begins; its tail says so too. */
static inline uint64_t cursors_insert(struct cursors *c, struct ring_producer *tx,
                                      struct cursor *cursor) {
    atomic_store_explicit(&cursor->start, CURSOR_UNDECIDED, memory_order_relaxed);
    atomic_store_explicit(&cursor->shared->tail, 0, memory_order_relaxed);
    cursor->woken = 0;
    cursor->next = atomic_load_explicit(&c->joined, memory_order_relaxed);
    /* Pairs with the exchange in cursors_take_in(). */
    while (!atomic_compare_exchange_weak_explicit(
        &c->joined, &cursor->next, cursor, memory_order_release, memory_order_relaxed))
        ;
    /* Pairs with the fence in cursors_aim(): it sees whom we have pushed, or its store
     * comes before ours. */
    atomic_thread_fence(memory_order_seq_cst);
    atomic_store_explicit(&tx->shared, c->everyone, memory_order_relaxed);
    /* C2, C3: pairs with the fences in cursors_refresh() and cursors_aim(). */
    atomic_thread_fence(memory_order_seq_cst);
    uint64_t position = cursor_settle(cursor, cursors_would_grant(c, tx, cursor->wish));
    /* Until now it was 0, which is no progress. */
    atomic_store_explicit(&cursor->shared->tail, position, memory_order_release);
    return position;
}

/* The accept step has something to be looked at, by the next flush at the latest. */
static inline void cursors_call(struct cursors *c, struct ring_producer *tx) {
    atomic_store_explicit(&c->called, true, memory_order_relaxed);
    /* As in cursors_insert(). */
    atomic_thread_fence(memory_order_seq_cst);
    atomic_store_explicit(&tx->shared, c->everyone, memory_order_relaxed);
}

/* ---- The sending thread ---- */

/* C3, after each change of the array. */
static inline void cursors_aim(struct cursors *c, struct ring_producer *tx) {
    struct ring_shared *only = c->count == 1 ? c->all[0].cursor->shared : c->everyone;
    tx->woken = 0; /* it was another's */
    atomic_store_explicit(&tx->shared, only, memory_order_relaxed);
    /* Pairs with the fence in cursors_insert(): its store comes after ours, or we see
     * whom it has pushed. */
    atomic_thread_fence(memory_order_seq_cst);
    if (cursors_somebody_joins(c) ||
        atomic_load_explicit(&c->called, memory_order_relaxed))
        atomic_store_explicit(&tx->shared, c->everyone, memory_order_relaxed);
}

/* True: somebody was. */
static inline bool cursors_take_in(struct cursors *c, struct ring_producer *tx) {
    if (!cursors_somebody_joins(c))
        return false;
    /* Pairs with the push in cursors_insert(). */
    struct cursor *joined =
        atomic_exchange_explicit(&c->joined, NULL, memory_order_acquire);
    for (struct cursor *next; joined; joined = next) {
        next = joined->next;
        joined->seen = cursor_settle(
            joined,
            cursors_grant(c, joined->wish, tx->limit - tx->capacity, ring_flushed(tx)));
        c->all[c->count++] = (struct place){&joined->shared->wanted_head, joined};
        c->taken++;
    }
    cursors_aim(c, tx);
    return true;
}

/* True, once: it was called. */
static inline bool cursors_answer(struct cursors *c, struct ring_producer *tx) {
    if (!atomic_load_explicit(&c->called, memory_order_relaxed))
        return false;
    atomic_store_explicit(&c->called, false, memory_order_relaxed);
    cursors_aim(c, tx);
    return true;
}

/* Remember a beginning of a record, now and then. */
static inline void cursors_mark(struct cursors *c, const struct ring_producer *tx) {
    uint64_t flushed = ring_flushed(tx);
    if (flushed - c->marked < tx->capacity / CURSORS_MARKS)
        return;
    c->marked = flushed;
    atomic_store_explicit(&c->marks[++c->marks_made % CURSORS_MARKS], flushed,
                          memory_order_relaxed);
}

/* Take number `i` out of the array; the last one moves there. */
static inline struct cursor *cursors_remove(struct cursors *c, unsigned i) {
    struct cursor *cursor = c->all[i].cursor;
    c->all[i] = c->all[--c->count];
    return cursor;
}

/* Take a cursor out; C4. */
static inline void cursors_drop(struct cursors *c, struct ring_producer *tx,
                                const struct cursor *cursor) {
    for (unsigned i = 0; i < c->count; i++)
        if (c->all[i].cursor == cursor) {
            cursors_remove(c, i);
            cursors_aim(c, tx);
            return;
        }
}

/* C5: the caller orders this before it overwrites anything. */
static inline void cursor_evict(struct cursor *cursor) {
    atomic_store_explicit(&cursor->shared->wanted_tail, RING_EVICTED,
                          memory_order_relaxed);
}

/* Read a tail once. False: one that this consumer cannot have. */
static inline bool cursor_look(struct cursor *cursor, uint64_t flushed) {
    /* Pairs with the release store in ring_release(), as in ring_refresh(). */
    uint64_t tail = atomic_load_explicit(&cursor->shared->tail, memory_order_acquire);
    if (tail > flushed || tail % RING_LINE != 0)
        return false;
    if (tail > cursor->seen)
        cursor->seen = tail;
    return true;
}

/* The lowest tail that leaves room for a record of so many bytes. */
static inline uint64_t cursors_wanted(const struct ring_producer *tx, uint64_t bytes) {
    uint64_t end = tx->head + bytes + RING_LINE;
    return end > tx->capacity ? end - tx->capacity : 0;
}

/* What is given up while nobody is there. */
static inline uint64_t cursors_without(const struct cursors *c,
                                       const struct ring_producer *tx,
                                       uint64_t wanted) {
    uint64_t kept = tx->limit - tx->capacity, flushed = ring_flushed(tx);
    if (!c->free_run || wanted <= kept)
        return kept;
    uint64_t low = kept + tx->capacity / CURSORS_FREE_RUN_PART;
    if (low < wanted)
        low = wanted;
    return low < flushed ? low : flushed;
}

/*
 * Look how far everybody has come; `wanted` is the tail that would do. Cursors whose
 * tail cannot be are evicted: they are on `dropped`.
 */
static inline void cursors_refresh(struct cursors *c, struct ring_producer *tx,
                                   uint64_t wanted) {
    struct cursor *dropped = c->dropped;
    uint64_t low;
    do {
        cursors_take_in(c, tx);
        uint64_t flushed = ring_flushed(tx);
        low = flushed;
        for (unsigned i = 0; i < c->count;) {
            struct cursor *cursor = c->all[i].cursor;
            if (!cursor_look(cursor, flushed)) {
                cursor_evict(cursor);
                cursors_remove(c, i);
                cursor->next = c->dropped;
                c->dropped = cursor;
                continue;
            }
            if (cursor->seen < low)
                low = cursor->seen;
            i++;
        }
        if (c->count == 0)
            low = cursors_without(c, tx, wanted);
        atomic_store_explicit(&c->floor, low, memory_order_relaxed);
        /* C2, C5: pairs with the fence in cursors_insert(). */
        atomic_thread_fence(memory_order_seq_cst);
    } while (cursors_somebody_joins(c));
    tx->limit = low + tx->capacity;
    cursors_mark(c, tx);
    if (c->dropped != dropped)
        cursors_aim(c, tx);
}

/* About to sleep until everybody has come as far as `wanted`, or (0) awake again. Who
 * joins later is not asked: he rings. */
static inline void cursors_ask(struct cursors *c, struct ring_producer *tx,
                               uint64_t wanted) {
    cursors_take_in(c, tx);
    for (unsigned i = 0; i < c->count; i++)
        atomic_store_explicit(&c->all[i].cursor->shared->wanted_tail,
                              c->all[i].cursor->seen < wanted ? wanted : 0,
                              memory_order_relaxed);
}

/* Evict whoever has not come as far as `wanted`. The caller orders that before the next
 * refresh, and then deals with `dropped`. */
static inline void cursors_evict_slow(struct cursors *c, struct ring_producer *tx,
                                      uint64_t wanted) {
    for (unsigned i = 0; i < c->count;) {
        if (c->all[i].cursor->seen >= wanted) {
            i++;
            continue;
        }
        struct cursor *cursor = cursors_remove(c, i);
        cursor_evict(cursor);
        cursor->next = c->dropped;
        c->dropped = cursor;
    }
    cursors_aim(c, tx);
}

/* After a flush: may number `i` sleep? Ordered as in ring_consumer_sleeps(). */
static inline bool cursors_may_sleep(const struct cursors *c, unsigned i) {
    return atomic_load_explicit(c->all[i].wanted_head, memory_order_relaxed) != 0;
}

/* Then: must it be woken? */
static inline bool cursor_sleeps(struct cursor *cursor, uint64_t head) {
    return ring_must_wake(
        atomic_load_explicit(&cursor->shared->wanted_head, memory_order_relaxed), head,
        &cursor->woken);
}

/* The flush has gone through all of them: so shall the next. Whoever the 1 was of: a
 * consumer that says it too must not keep the next joiner from being seen. */
static inline void cursors_woken(struct ring_producer *tx) {
    if (tx->woken == 1)
        tx->woken = 0;
}

#endif
