/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The calls that are outstanding: a table from their ids to the replies kept for them.
 *
 * This file makes no system call and knows nothing of rings; the product, the unit test
 * and the fuzzer compile this same source. It allocates a larger table when one is
 * needed, and a copy for each reply that must wait.
 *
 * Owns: the table and those copies. A caller's entry lives until its reply is released,
 * a callee's until its reply is sent.
 *
 * Ids are given out by the table, from 1 in steps of one. An entry stands at its id
 * modulo the size. What meets an older entry there makes the table grow, and at
 * CALLS_MAX forgets that entry, so memory stays bounded whatever the peer does.
 *
 * Invariants
 *   C1  Every id in the table is in (last - count, last]: the next one of the same slot
 *       is entered only when it is free. So no two share a slot, of a larger table
 *       neither, and growing moves entries without a look at what stands there.
 *   C2  Ids are 64-bit and never wrap (at a billion calls a second: 584 years); only
 *       `id & (count - 1)` touches memory, and a slot speaks for the id it names only.
 *   C3  A reply is kept at most once for each call; `settled` calls have one, or have
 *       lost it. None of them is older than `settled_from`.
 */
#ifndef TACHYON_CALLS_H
#define TACHYON_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CALLS_MIN 64u
#define CALLS_MAX 65536u

struct call {
    uint64_t id;   /* 0: free */
    void *reply;   /* kept copy, or NULL */
    size_t size;   /* of that copy */
    uint32_t type; /* of that copy */
    bool lost;     /* its reply came when there was no memory to keep it */
};

struct calls {
    struct call *slots;
    size_t count;  /* of slots: a power of two */
    uint64_t last; /* id given out last */
    size_t outstanding, settled;
    uint64_t settled_from;
};

/* False: no memory. */
static inline bool calls_init(struct calls *calls, size_t count) {
    *calls =
        (struct calls){.slots = calloc(count, sizeof(struct call)), .count = count};
    return calls->slots;
}

static inline void calls_free(struct calls *calls) {
    for (size_t i = 0; calls->slots && i < calls->count; i++)
        free(calls->slots[i].reply);
    free(calls->slots);
}

static inline bool call_settled(const struct call *call) {
    return call->reply || call->lost;
}

static inline struct call *calls_slot(const struct calls *calls, uint64_t id) {
    return &calls->slots[id & (calls->count - 1)];
}

/* NULL: not outstanding. */
static inline struct call *calls_find(const struct calls *calls, uint64_t id) {
    struct call *call = calls_slot(calls, id);
    return id != 0 && call->id == id ? call : NULL;
}

static inline void calls_end(struct calls *calls, struct call *call) {
    if (call_settled(call)) {
        calls->settled--;
        free(call->reply);
    }
    *call = (struct call){0};
    calls->outstanding--;
}

static inline bool calls_grow(struct calls *calls) {
    size_t count = calls->count * 2;
    struct call *slots = calloc(count, sizeof *slots);
    if (!slots)
        return false;
    for (size_t i = 0; i < calls->count; i++)
        if (calls->slots[i].id != 0)
            slots[calls->slots[i].id & (count - 1)] = calls->slots[i];
    free(calls->slots);
    calls->slots = slots;
    calls->count = count;
    return true;
}

/* An older call stands where the next one must. Not inlined, to keep its registers out
 * of the fast path. */
__attribute__((noinline)) static struct call *calls_vacate_slow(struct calls *calls,
                                                                uint64_t pinned) {
    struct call *slot;
    while ((slot = calls_slot(calls, calls->last + 1))->id != 0) {
        if (calls->count == CALLS_MAX && slot->id != pinned)
            calls_end(calls, slot);
        else if (calls->count == CALLS_MAX || !calls_grow(calls))
            return NULL;
    }
    return slot;
}

/* Make a free slot for the next call. NULL: no memory to grow, or at CALLS_MAX the call
 * to forget is `pinned`. */
static inline struct call *calls_vacate(struct calls *calls, uint64_t pinned) {
    struct call *slot = calls_slot(calls, calls->last + 1);
    return __builtin_expect(slot->id == 0, 1) ? slot : calls_vacate_slow(calls, pinned);
}

/* Enter the next call into the slot that was made free for it. */
static inline uint64_t calls_enter(struct calls *calls, struct call *slot) {
    slot->id = ++calls->last;
    calls->outstanding++;
    return slot->id;
}

/* The reply to `id` has come before it is waited for: keep a copy of it. False: it is
 * dropped. There is no such call, or it has its reply, or no memory: then it is lost.
 */
static inline bool calls_settle(struct calls *calls, uint64_t id, const void *reply,
                                size_t size, uint32_t type) {
    struct call *call = calls_find(calls, id);
    if (!call || call_settled(call))
        return false;
    calls->settled++;
    if (id < calls->settled_from)
        calls->settled_from = id;
    call->reply = malloc(size > 0 ? size : 1);
    call->lost = !call->reply;
    if (call->lost)
        return false;
    memcpy(call->reply, reply, size);
    call->size = size;
    call->type = type;
    return true;
}

/* The oldest of those that are settled; there must be one. */
static inline struct call *calls_oldest_settled(struct calls *calls) {
    struct call *call;
    if (calls->settled_from + calls->count <= calls->last) /* C1 */
        calls->settled_from = calls->last - calls->count + 1;
    while (!call_settled(call = calls_slot(calls, calls->settled_from)))
        calls->settled_from++;
    return call;
}

#endif
