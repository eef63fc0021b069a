/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the facade: who is in the core, and how a call waits. end.c opens and ends what
 * facade.c sends and receives with.
 *
 * Who may use the core's handle is one word, `inside`: the calls that are in the core,
 * and CLOSED until it is open and again from its close on. Who finds CLOSED leaves at
 * once. The handle goes when an ended bus has nobody inside and no share handed out;
 * both the last to leave and the last to give back look at both, and one of them sees it.
 */
#ifndef TACHYON_END_H
#define TACHYON_END_H

#include "facade.h"

#include <stdatomic.h>
#include <stdbool.h>

enum held { HELD_NONE, HELD_MESSAGE, HELD_REPLY, HELD_REQUEST };

typedef struct Whole {
    Bus bus; /* first: what the language sees */
    _Atomic unsigned inside;
    _Atomic unsigned shares; /* handed out: the mapping stays */
    _Atomic unsigned owners; /* shares, and the language's object: the struct stays */
    _Atomic bool ended;
    _Atomic bool gone; /* there is no handle to release, yet or any more */
    tachyon_opening_t *opening;
    int interrupt_fd;
    Memory ring;
    enum held held; /* what bytes_taken() releases, who got it is inside */
    const void *held_data;
    unsigned released; /* of the views of the last Bus_take() */
    char *scratch;
    size_t scratch_size;
    View views[MAX_VIEWS];
    tachyon_msg_view_t raw[MAX_VIEWS];
} Whole;

#define CLOSED (1u << 31)

static inline Whole *whole(Bus *bus) {
    return (Whole *)bus;
}

/* ---- Errors: all return what the call returns ---- */

Result facade_fail(Bus *bus, tachyon_error_t error, const char *text);
Result facade_fail_last(Bus *bus);
Result facade_fail_closed(Bus *bus);

static inline Result checked(Bus *bus, tachyon_error_t error) {
    return error == TACHYON_SUCCESS ? 0 : facade_fail_last(bus);
}

/* ---- Who is inside ---- */

void facade_settle(Whole *w);

static inline void leave(Bus *bus) {
    if (atomic_fetch_sub(&whole(bus)->inside, 1) == CLOSED + 1)
        facade_settle(whole(bus));
}

static inline bool enter(Bus *bus) {
    if (!(atomic_fetch_add(&whole(bus)->inside, 1) & CLOSED))
        return true;
    leave(bus);
    return false;
}

/* Without waiting: `call` where the bus is open, else the error, or `otherwise`. */
#define INSIDE(otherwise, call)                                                        \
    do {                                                                               \
        bus->error = 0;                                                                \
        if (!enter(bus))                                                               \
            return otherwise;                                                          \
        Result result = call;                                                          \
        leave(bus);                                                                    \
        return result;                                                                 \
    } while (0)

/* ---- Waiting ---- */

typedef struct Call {
    Bus *bus;
    const void *data;
    void *room;
    size_t size, count, done;
    uint64_t id;
    uint32_t type_id;
} Call;

/* One attempt; false: tachyon_last_error(). */
typedef bool Attempt(Call *call, int64_t timeout_ns);

/* After an attempt without waiting has failed: as perform(). */
Result facade_wait(Attempt *attempt, Call *call, double timeout);

/* 0: done, and still inside; less: the error, and outside. First without waiting, and so
 * without giving up the interpreter's lock. */
static inline Result perform(Attempt *attempt, Call *call, double timeout) {
    if (!enter(call->bus))
        return facade_fail_closed(call->bus);
    call->bus->error = 0;
    return attempt(call, 0) ? 0 : facade_wait(attempt, call, timeout);
}

/* The same for what needs nothing from the handle afterwards. */
static inline Result perform_whole(Attempt *attempt, Call *call, double timeout) {
    Result result = perform(attempt, call, timeout);
    if (result == 0)
        leave(call->bus);
    return result;
}

#endif
