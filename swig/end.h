/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the facade: who is in the core, and how a call waits. end.c opens and ends what
 * facade.c sends and receives with.
 *
 * The handle hangs up when an ended bus has nobody in it, which leaves its memory, and goes
 * when none of that is handed out. Two words say who is inside: `busy`, the one call that
 * sends, receives or calls, and `visitors`, what any thread may do beside it, with CLOSED
 * until the bus is open and again from its close on. Whoever finds CLOSED turns back;
 * whoever leaves, and whoever gives back memory, looks whether that was the last.
 *
 * `busy` is taken with an exchange, which also refuses a second thread, and given back
 * with a plain store: that is half of the price. The look at `ended` behind it is ordered
 * by the one who ends the bus, with membarrier(), or by a fence where there is none.
 */
#ifndef TACHYON_END_H
#define TACHYON_END_H

#include "facade.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

/* What there is of the handle. */
enum left { LEFT_NOTHING, LEFT_WHOLE, LEFT_HANGING_UP, LEFT_MEMORY };

enum held { HELD_NONE, HELD_MESSAGE, HELD_REPLY, HELD_REQUEST };

typedef struct Whole {
    Bus bus; /* first: what the language sees */
    _Atomic bool busy;
    _Atomic unsigned visitors;
    _Atomic unsigned shares; /* handed out: the mapping stays */
    _Atomic unsigned owners; /* shares, and the language's object: the struct stays */
    _Atomic bool ended;
    _Atomic bool tells; /* a thread writes the text of its error */
    _Atomic enum left remains;
    tachyon_opening_t *opening; /* of whoever is `busy` */
    bool left;                  /* it waits for a handler of the language's */
    int interrupt_fd;
    _Atomic bool interruptible;    /* that descriptor is kept open for the object */
    _Atomic unsigned interrupters; /* who may use it now: those in a call, the object */
    Memory ring;
    _Atomic enum held
        held; /* what bytes_taken() releases; the bus is busy until then */
    _Atomic pthread_t holder; /* whose call that was: to others the bus is busy */
    const void *held_data;
    unsigned taken;    /* views that are shown ... */
    unsigned released; /* ... of which so many are released */
    bool one;          /* Bus_acquire() was later: the first of `raw` is that */
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

/* Of the object's last call, whichever thread's: two may call at once where one waits for
 * peers. */
extern _Thread_local int facade_error; /* of this thread's call */

static inline void set_error(Bus *bus, int error) {
    facade_error = error;
    __atomic_store_n(&bus->error, error, __ATOMIC_RELAXED);
}

Result facade_fail(Bus *bus, tachyon_error_t error, const char *text);
Result facade_fail_last(Bus *bus);
Result facade_fail_closed(Bus *bus);

static inline Result checked(Bus *bus, tachyon_error_t error) {
    return error == TACHYON_SUCCESS ? 0 : facade_fail_last(bus);
}

/* ---- Who is inside ---- */

void facade_settle(Whole *w);
extern bool facade_fences; /* there is no membarrier() */

/* For the one call that sends, receives or calls. */
static inline bool enter(Bus *bus) {
    if (atomic_exchange(&whole(bus)->busy, true))
        return false;
    if (!(atomic_load(&whole(bus)->visitors) & CLOSED))
        return true;
    atomic_store(&whole(bus)->busy, false);
    facade_settle(whole(bus));
    return false;
}

/* Pairs with order_leavers(). */
static inline void leave(Bus *bus) {
    atomic_store_explicit(&whole(bus)->busy, false, memory_order_release);
    if (facade_fences)
        atomic_thread_fence(memory_order_seq_cst);
    else
        atomic_signal_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&whole(bus)->ended, memory_order_relaxed))
        facade_settle(whole(bus));
}

/* After enter() has refused. */
Result facade_refuse(Bus *bus);

/* For what any thread may do, also while another waits. */
static inline void depart(Bus *bus) {
    if (atomic_fetch_sub(&whole(bus)->visitors, 1) == CLOSED + 1)
        facade_settle(whole(bus));
}

static inline bool visit(Bus *bus) {
    if (!(atomic_fetch_add(&whole(bus)->visitors, 1) & CLOSED))
        return true;
    depart(bus);
    return false;
}

/* The body of a call that does not wait: what it gives, or the error of not being let
 * in. */
#define BETWEEN(enters, leaves, refused, call, value)                                  \
    do {                                                                               \
        set_error(bus, 0);                                                             \
        if (!enters(bus))                                                              \
            return refused;                                                            \
        call;                                                                          \
        leaves(bus);                                                                   \
        return value;                                                                  \
    } while (0)
#define ENTERED(call)                                                                  \
    BETWEEN(enter, leave, facade_refuse(bus), Result result = call, result)
#define VISITED(call)                                                                  \
    BETWEEN(visit, depart, facade_fail_closed(bus), Result result = call, result)

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

/* For who has entered: the time-out is not a number. */
Result facade_not_a_time(Bus *bus);

/* After an attempt without waiting has failed: as perform(). */
Result facade_wait(Attempt *attempt, Call *call, double timeout);

/* For who has entered. 0: done, and still inside; less: the error, and outside. First
 * without waiting, and so without giving up the interpreter's lock. */
static inline Result perform_inside(Attempt *attempt, Call *call, double timeout) {
    if (timeout != timeout)
        return facade_not_a_time(call->bus);
    set_error(call->bus, 0);
    return attempt(call, 0) ? 0 : facade_wait(attempt, call, timeout);
}

static inline Result perform(Attempt *attempt, Call *call, double timeout) {
    return enter(call->bus) ? perform_inside(attempt, call, timeout)
                            : facade_refuse(call->bus);
}

/* The same for what needs nothing from the handle afterwards. */
static inline Result perform_whole(Attempt *attempt, Call *call, double timeout) {
    Result result = perform(attempt, call, timeout);
    if (result == 0)
        leave(call->bus);
    return result;
}

/* The same for what any thread may do, also while another waits. */
Result facade_visit(Attempt *attempt, Call *call, double timeout);

#endif
