/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The ring: one producer, one consumer, records of whole 64-byte lines.
 *
 * This file makes no system call and allocates nothing; the product, the unit tests,
 * the fuzzers and the model harness compile this same source.
 *
 * Owns: the layout of shared memory and the private state of the two ends.
 *
 * Shared words and their single writers
 *   record word    producer: 0 "nothing here yet", else the record it publishes
 *   tail           consumer: everything before it may be overwritten
 *   wanted_head    consumer: position whose publication it sleeps for, 0 when awake
 *   wanted_tail    producer: tail it sleeps for, 0 when awake; RING_EVICTED: what this
 *                  consumer has not released may be overwritten
 *   *_side         either, by one compare-and-swap: who claimed that direction
 *
 * A record's first line begins with the publication word and the correlation id. A
 * reservation of up to 32 bytes lies in the second half of that line, a larger one
 * starts at the next line. The publication word decodes the whole record in one load:
 *   bits 0..30  payload length + 1
 *   bit 31      payload is in the next line
 *   bits 32..63 type_id
 *
 * Invariants
 *   I1  The word at `head` is 0 before anything in front of it is published, so the
 *       consumer always stops at a word that the producer has cleared.
 *   I2  head + 64 <= tail + capacity: that word never lies in unreleased memory.
 *   I3  Positions are 64-bit byte counts that never wrap (at 100 GB/s: 5 years per
 *       2^64); only `position & mask` touches memory, and the data is mapped twice in
 *       a row, so a record may run over the end.
 *   I4  Bounds come from private values only. What is read from shared memory is read
 *       once, validated, and refused if it is not what an honest peer could write.
 */
#ifndef TACHYON_RING_H
#define TACHYON_RING_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RING_LINE 64u
#define RING_INLINE_BYTES 32u /* largest payload that shares the header's line */
#define RING_OVERHEAD 128u    /* the record's first line and the word after it */
/* Commits after which the producer flushes by itself. As the forerunner's: a program that
 * flushes every so many of its own waits for no message longer than it did there. */
#define RING_MAX_UNFLUSHED 32u
#define RING_ARRAY_BATCH 64u /* items of an array between two flushes, or releases */
#define RING_BURST 4u        /* more records than this between two empty looks */
/* How far ahead lines are taken over. */
#define RING_AHEAD_BYTES (UINT64_C(16) * RING_LINE)
#define RING_SHARED_BYTES 8192u /* one page the producer writes, one the consumer */

/* No message's own offset, and next to 0: one comparison tells both from a message. */
#define RING_BATCH 1u

/* A wanted_tail that is no position, and that each release has reached: so the consumer
 * learns of it where it would wake the producer. */
#define RING_EVICTED 1u

#define RING_LENGTH_BITS 0x7FFFFFFFu
#define RING_NEXT_LINE_BIT 0x80000000u

/* Who claimed a direction; the value of producer_side and consumer_side. */
enum ring_side { RING_SIDE_NONE, RING_SIDE_LISTENER, RING_SIDE_CONNECTOR };

struct ring_shared {
    struct {
        uint32_t magic;
        uint32_t version;
        uint64_t capacity_bytes;
        uint64_t data_offset;
        uint64_t max_payload_bytes;
    } about; /* for people and tools; neither end reads it back */
    alignas(128) _Atomic uint32_t producer_side;
    alignas(128) _Atomic uint64_t wanted_tail;
    alignas(4096) _Atomic uint64_t tail;
    alignas(128) _Atomic uint64_t wanted_head;
    alignas(128) _Atomic uint32_t consumer_side;
};
_Static_assert(sizeof(struct ring_shared) <= RING_SHARED_BYTES, "fits two pages");

struct ring_line {
    _Atomic uint64_t word;
    uint64_t correlation_id;
    uint8_t reserved[16];
    uint8_t payload[RING_INLINE_BYTES];
};
_Static_assert(sizeof(struct ring_line) == RING_LINE, "one line");

/* What an end looks at while it is disarmed: nothing there, and no room. */
extern struct ring_shared ty_ring_idle_shared;
extern struct ring_line ty_ring_idle_line;

struct ring_producer {
    uint8_t *data;
    uint64_t mask;    /* capacity - 1 */
    uint64_t head;    /* where the next record starts */
    uint64_t limit;   /* last valid tail + capacity; 0 while disarmed */
    uint64_t cleared; /* beyond head, a position whose word is known to be 0 */
    /* Everything before it is published, in the accept step's eyes too, ... */
    _Atomic uint64_t flushed;
    uint64_t first_word; /* ... word of the record there; 0: it is where head is */
    uint64_t reserved;   /* bytes of the open reservation, of each message in it */
    uint32_t offset;     /* payload's distance from head, RING_BATCH, or 0: none */
    uint32_t unflushed;
    /* Whose wanted_head a flush looks at; in broadcast the accept step turns it. */
    struct ring_shared *_Atomic shared;
    uint64_t capacity; /* 0 while disarmed */
    uint64_t woken;    /* value of wanted_head already answered */
    uint64_t messages, flushes, full;
    uint64_t batch_stride, batch_count; /* of a reserved batch */
};

struct ring_consumer {
    const uint8_t *data;
    uint64_t mask;
    uint64_t tail;   /* everything before it is released */
    uint64_t handed; /* bytes handed out after tail */
    struct ring_shared *shared;
    uint64_t capacity;
    uint64_t woken;          /* value of wanted_tail already answered */
    uint64_t messages;       /* released */
    uint64_t handed_count;   /* messages handed out after tail */
    uint64_t quiet_messages; /* `messages` at the last empty look */
};

struct ring_record {
    const uint8_t *payload;
    size_t size;
    uint64_t bytes; /* of ring, header and padding included */
    uint64_t correlation_id;
    uint32_t type_id;
};

enum ring_look { RING_EMPTY, RING_FOUND, RING_CORRUPT };

static inline struct ring_line *ring_line_at(const uint8_t *data, uint64_t mask,
                                             uint64_t position) {
    return (struct ring_line *)(uintptr_t)(data + (position & mask));
}

/* Bytes of ring for a payload of `size` bytes. */
static inline uint64_t ring_record_bytes(bool next_line, uint64_t size) {
    uint64_t payload = (size + RING_LINE - 1) & ~(uint64_t)(RING_LINE - 1);
    return next_line ? RING_LINE + payload : RING_LINE;
}

/*
 * Has the position a sleeper waits for been reached, and was it not told yet? Waking
 * only for a position that is reached makes every wake-up justified, so answering
 * each value once is enough.
 */
static inline bool ring_must_wake(uint64_t wanted, uint64_t reached, uint64_t *woken) {
    if (wanted == 0 || wanted == *woken || (int64_t)(reached - wanted) < 0)
        return false;
    *woken = wanted;
    return true;
}

/* ---- Producer ---- */

/*
 * Fetch a line from the consumer's cache for writing, before it is needed. It must lie
 * before `limit`: there the consumer has read it and does not look again.
 */
static inline void ring_take_over(struct ring_line *line) {
#if defined(__x86_64__) /* the builtin would only fetch it for reading */
    __asm__ volatile("prefetchw %0" : : "m"(*line));
#else
    __builtin_prefetch(line, 1);
#endif
}

static inline struct ring_shared *ring_producer_shared(const struct ring_producer *p) {
    return atomic_load_explicit(&p->shared, memory_order_relaxed);
}

static inline uint64_t ring_flushed(const struct ring_producer *p) {
    return atomic_load_explicit(&p->flushed, memory_order_relaxed); /* our own */
}

static inline void ring_producer_disarm(struct ring_producer *p) {
    atomic_store_explicit(&p->shared, &ty_ring_idle_shared, memory_order_relaxed);
    p->capacity = 0;
    p->limit = 0;
    p->offset = 0;
    p->first_word = 0;
    p->unflushed = 0;
}

static inline void ring_producer_arm(struct ring_producer *p,
                                     struct ring_shared *shared, uint8_t *data,
                                     uint64_t capacity) {
    *p = (struct ring_producer){.data = data,
                                .mask = capacity - 1,
                                .limit = capacity,
                                .shared = shared,
                                .capacity = capacity};
}

static inline uint64_t ring_max_payload(uint64_t capacity) {
    return capacity - RING_OVERHEAD;
}

/* Reserve `size` bytes; NULL when they do not fit now, or never will. */
static inline void *ring_reserve(struct ring_producer *p, size_t size) {
    uint32_t offset = size > RING_INLINE_BYTES ? RING_LINE : RING_INLINE_BYTES;
    uint64_t bytes = ring_record_bytes(offset == RING_LINE, size);
    if (size > p->capacity || p->head + bytes + RING_LINE > p->limit)
        return NULL;
    if (offset == RING_LINE)
        p->cleared = 0; /* the payload will overwrite the cleared word */
    p->offset = offset;
    p->reserved = size;
    return p->data + (p->head & p->mask) + offset;
}

/* Is one message reserved: neither none nor a batch? */
static inline bool ring_reserved_one(const struct ring_producer *p) {
    return p->offset > RING_BATCH;
}

/* How many records of so many bytes each fit now, as far as is known. */
static inline uint64_t ring_room_for(const struct ring_producer *p, uint64_t bytes) {
    return (p->limit - p->head - RING_LINE) / bytes;
}

/* Of one reserved message make `count` of its size. Their first lines are written when
 * they are committed, so a word that is known to be cleared remains so. */
static inline void ring_reserve_batch(struct ring_producer *p, uint64_t stride,
                                      uint64_t count) {
    p->batch_stride = stride;
    p->batch_count = count;
    p->offset = RING_BATCH;
}

/* Look how far the consumer has come. False: its tail is one it cannot have. */
static inline bool ring_refresh(struct ring_producer *p) {
    /* Pairs with the release store in ring_release(): the consumer has read what we
     * are about to overwrite. */
    uint64_t tail =
        atomic_load_explicit(&ring_producer_shared(p)->tail, memory_order_acquire);
    uint64_t seen = p->limit - p->capacity;
    uint64_t published = ring_flushed(p);
    if (tail - seen > published - seen || tail % RING_LINE != 0)
        return false;
    p->limit = tail + p->capacity;
    return true;
}

/* Finish the open reservation; the caller has checked offset and size. */
static inline void ring_commit(struct ring_producer *p, size_t size, uint32_t type_id,
                               uint64_t correlation_id) {
    bool next_line = p->offset == RING_LINE;
    uint64_t next = p->head + ring_record_bytes(next_line, size);
    struct ring_line *line = ring_line_at(p->data, p->mask, p->head);
    uint64_t word = (uint64_t)type_id << 32 | (next_line ? RING_NEXT_LINE_BIT : 0) |
                    (uint64_t)(size + 1);

    if (p->cleared != next) /* I1; ordered by the release store in ring_publish() */
        atomic_store_explicit(&ring_line_at(p->data, p->mask, next)->word, 0,
                              memory_order_relaxed);
    line->correlation_id = correlation_id;
    if (p->first_word == 0)
        p->first_word = word;
    else /* invisible behind the first; ordered by ring_publish() */
        atomic_store_explicit(&line->word, word, memory_order_relaxed);
    p->head = next;
    p->offset = 0;
    if (__builtin_expect(next + RING_AHEAD_BYTES + RING_LINE <= p->limit, 1))
        ring_take_over(ring_line_at(p->data, p->mask, next + RING_AHEAD_BYTES));
    p->unflushed++;
    p->messages++;
}

/* Finish the reserved batch with its first `count` messages, at least one; the caller has
 * checked that they are reserved. */
static inline void ring_commit_batch(struct ring_producer *p, uint64_t count,
                                     uint32_t type_id) {
    bool next_line = p->reserved > RING_INLINE_BYTES;
    uint64_t next = p->head + count * p->batch_stride;
    uint64_t word = (uint64_t)type_id << 32 | (next_line ? RING_NEXT_LINE_BIT : 0) |
                    (uint64_t)(p->reserved + 1);

    if (p->cleared != next) /* I1, as in ring_commit() */
        atomic_store_explicit(&ring_line_at(p->data, p->mask, next)->word, 0,
                              memory_order_relaxed);
    for (uint64_t at = p->head; at != next; at += p->batch_stride) {
        struct ring_line *line = ring_line_at(p->data, p->mask, at);
        line->correlation_id = 0;
        if (p->first_word == 0)
            p->first_word = word;
        else /* invisible behind the first; ordered by ring_publish() */
            atomic_store_explicit(&line->word, word, memory_order_relaxed);
    }
    p->head = next;
    p->offset = 0;
    p->unflushed += (uint32_t)count;
    p->messages += count;
}

/* Show everything committed, at once. The first record's word is the last store. */
static inline void ring_publish(struct ring_producer *p) {
    /* Pairs with the acquire load in ring_look_at(). */
    atomic_store_explicit(&ring_line_at(p->data, p->mask, ring_flushed(p))->word,
                          p->first_word, memory_order_release);
    /* Pairs with the acquire load of who lets a consumer in: it begins at a word that
     * has been cleared. */
    atomic_store_explicit(&p->flushed, p->head, memory_order_release);
    p->first_word = 0;
    p->unflushed = 0;
    /* Clear the word that a one-line record will need, now that waiting is free:
     * between that record's payload and its word it would cost a cache miss. Not under
     * an open reservation, whose payload may lie there. */
    uint64_t next = p->head + RING_LINE;
    if (__builtin_expect(p->offset == 0 && next + RING_LINE <= p->limit, 1)) {
        atomic_store_explicit(&ring_line_at(p->data, p->mask, next)->word, 0,
                              memory_order_relaxed);
        p->cleared = next;
    }
    p->flushes++;
}

/* Must the consumer be woken? The caller has ordered this load after the publication:
 * see ty_link_order_waker(). */
static inline bool ring_consumer_sleeps(struct ring_producer *p) {
    return ring_must_wake(atomic_load_explicit(&ring_producer_shared(p)->wanted_head,
                                               memory_order_relaxed),
                          p->head, &p->woken);
}

/* The producer is about to sleep until `size` bytes fit, or (0) is awake again. */
static inline void ring_want_space(struct ring_producer *p, uint64_t record_bytes) {
    uint64_t tail = record_bytes ? p->head + record_bytes + RING_LINE - p->capacity : 0;
    atomic_store_explicit(&ring_producer_shared(p)->wanted_tail, tail,
                          memory_order_relaxed);
}

/* ---- Consumer ---- */

static inline void ring_consumer_disarm(struct ring_consumer *c) {
    c->shared = &ty_ring_idle_shared;
    c->data = (const uint8_t *)&ty_ring_idle_line;
    c->mask = 0;
    c->handed = 0;
    c->handed_count = 0;
}

static inline void ring_consumer_arm(struct ring_consumer *c,
                                     struct ring_shared *shared, const uint8_t *data,
                                     uint64_t capacity) {
    *c = (struct ring_consumer){
        .data = data, .mask = capacity - 1, .shared = shared, .capacity = capacity};
}

/* The one decoder and validator of records: what stands `ahead` bytes after tail? */
static inline enum ring_look ring_look_at(const struct ring_consumer *c, uint64_t ahead,
                                          struct ring_record *record) {
    const struct ring_line *line = ring_line_at(c->data, c->mask, c->tail + ahead);
    /* Pairs with the release store in ring_publish(). */
    uint64_t word = atomic_load_explicit(&line->word, memory_order_acquire);
    if (word == 0)
        return RING_EMPTY;

    bool next_line = (word & RING_NEXT_LINE_BIT) != 0;
    uint64_t size = (word & RING_LENGTH_BITS) - 1; /* length 0: huge, refused below */
    if (size > (next_line ? RING_LENGTH_BITS : RING_INLINE_BYTES))
        return RING_CORRUPT;
    uint64_t bytes = ring_record_bytes(next_line, size);
    if (ahead + bytes > c->capacity - RING_LINE)
        return RING_CORRUPT;

    record->payload =
        (const uint8_t *)line + (next_line ? RING_LINE : RING_INLINE_BYTES);
    record->size = (size_t)size;
    record->bytes = bytes;
    record->correlation_id = line->correlation_id;
    record->type_id = (uint32_t)(word >> 32);
    return RING_FOUND;
}

/* The first `bytes` after tail, `count` messages, go to whoever reads them. */
static inline void ring_hand_out(struct ring_consumer *c, uint64_t bytes,
                                 uint64_t count) {
    c->handed = bytes;
    c->handed_count = count;
}

/* Give back the first `bytes` of what was handed out. */
static inline void ring_release(struct ring_consumer *c, uint64_t bytes,
                                uint64_t count) {
    c->tail += bytes;
    c->handed -= bytes;
    c->handed_count -= count;
    c->messages += count;
    /* Pairs with the acquire load in ring_refresh(). */
    atomic_store_explicit(&c->shared->tail, c->tail, memory_order_release);
}

/* Must the producer be woken? Ordered after the release like ring_consumer_sleeps(). */
static inline bool ring_producer_sleeps(struct ring_consumer *c) {
    return ring_must_wake(
        atomic_load_explicit(&c->shared->wanted_tail, memory_order_relaxed), c->tail,
        &c->woken);
}

/* The consumer is about to sleep until there is a record behind what is handed out, or is
 * awake again. */
static inline void ring_want_record(struct ring_consumer *c, bool asleep) {
    atomic_store_explicit(&c->shared->wanted_head,
                          asleep ? c->tail + c->handed + RING_LINE : 0,
                          memory_order_relaxed);
}

/*
 * Several records since the last empty look: they come in bursts. A round trip that
 * is answered at once yields two now and then, and must not pay for a burst.
 */
static inline bool ring_saw_burst(struct ring_consumer *c) {
    bool burst = c->messages - c->quiet_messages > RING_BURST;
    c->quiet_messages = c->messages;
    return burst;
}

#endif
