/* SPDX-License-Identifier: Apache-2.0 */
/* One end of a bus as Python holds it: who uses which direction, and who waits. All
   fields are protected by the interpreter's lock. When the handle goes is the facade's
   matter: not before the last thread that waits, the last descriptor that is watched and
   the last view of an aborted bus. */
#ifndef TACHYON_PYTHON_LOW_H
#define TACHYON_PYTHON_LOW_H

#include "arguments.h"
#include "errors.h"
#include "facade.h"
#include "held.h"

typedef struct Guard Guard;

/* How a guard that was not left gives its slot back. */
typedef tachyon_error_t (*GiveBack)(End *end);

/* One direction of a bus: at most one guard or one waiting call at a time. */
typedef struct Side {
    const char *purpose;
    const char *lack;    /* what is not there while it waits */
    uint64_t call;       /* whose reply that is, or 0 */
    Guard *guard;        /* OPEN or HELD; borrowed, it leaves here before it dies */
    const char *waiting; /* what a thread waits for without the interpreter's lock */
    GiveBack owed;       /* of a guard that ended while the handle was waited on */
} Side;

/* What differs between a bus and an RPC bus. */
typedef struct Kind {
    const char *purpose[2][2]; /* of who connects, who listens: to send, to receive */
    const char *lack[2][2];    /* and what there is not when it waits */
    bool rpc;                  /* both directions are one thread's at a time */
} Kind;

struct End {
    PyObject *self; /* the object that owns this struct; guards hold it */
    const Kind *kind;
    Bus *bus;     /* of the facade, for one opening; NULL before the first */
    void *handle; /* of the core, in that */
    bool open;    /* opened and not closed */
    bool opening; /* between the start of listen or connect and its outcome, ... */
    bool steps;   /* ... for an event loop */
    int watches;  /* of event loops that poll the descriptor */
    int64_t opening_timeout_ns;
    size_t max_payload; /* for one without a ring that is said later: SIZE_MAX */
    Side tx, rx;
    tachyon_msg_view_t *views; /* of the open batch */
    size_t views_capacity;
    Held held;
    Pool tx_guards, rx_guards, rx_batches, msg_views, frames;
};

static inline End *end_of(PyObject *object) {
    return ((SwigPyObject *)object)->ptr;
}

/* What generated methods call the facade with: NULL, and so an error, of a closed one. */
static inline Bus *bus_of(PyObject *object) {
    return end_of(object)->open ? end_of(object)->bus : NULL;
}

static inline bool side_is_free(const Side *side) {
    return !side->guard && !side->waiting;
}

PyObject *raise_not_open(const End *end);
void raise_waited_on(const Side *side);
int side_claim(const Side *side);

/* May a call use this direction of the bus now? 0, or -1 with an exception. */
static inline int end_claim(const End *end, const Side *side) {
    if (!end->open) {
        raise_not_open(end);
        return -1;
    }
    return side_is_free(side) ? 0 : side_claim(side);
}

/* The error that the facade has left; returns NULL. */
PyObject *raise_of(const End *end);

PyObject *end_close(End *end);
PyObject *end_abort(End *end);

/* The end of a `with` block. An exception that leaves it is not replaced by ours. */
PyObject *end_leave(End *end, PyObject *exception);

/* ---- What the generated methods do beside calling the facade ---- */

/* How to open: `options` has what needs no Python, and gets what the rest means. */
typedef struct Opening {
    Options options;
    seconds_t timeout_ns;
    PyObject *allowed_uids, *start, *name, *types; /* NULL, too */
} Opening;

/* Listen where there is a capacity, else connect; in steps: the descriptor. */
PyObject *end_open(End *end, bool steps, const char *path, size_t capacity, size_t back,
                   Opening *with);

/* Of what Bus_accept() gave: nobody has come or gone in the time. */
void raise_if_none(const tachyon_event_t *event, double timeout);
Result end_step(PyObject *self);
Result end_fileno(PyObject *self);

/* ---- Waiting without the interpreter's lock ---- */

/* One call into the core that may block. Callers try it without waiting first: where the
   message or the room is there already, the lock is kept. */
typedef bool (*Attempt)(End *end, void *call, int64_t timeout_ns);

/* What to do after such a try has failed: 0 to wait, -1 with an exception. `would_block`
   is EMPTY or FULL. */
int may_wait(const Side *side, tachyon_error_t would_block, int64_t timeout_ns);

/* The call with its time-out: 0, or -1 with an exception. A signal whose handler does
   not raise does not end the wait. */
int end_wait(End *end, Side *side, Attempt attempt, void *call, int64_t timeout_ns);

/* The same, with another end: 1 when it has done it, 0 after `would_block`, -1 with an
   exception. With a time-out of 0, for what copies much. */
int end_try(End *end, Side *side, Attempt attempt, void *call,
            tachyon_error_t would_block, int64_t timeout_ns);

PyObject *raise_closed_meanwhile(void);
void raise_lack(const Side *side, int64_t timeout_ns);
int64_t monotonic_ns(void);

/* end_wait() for what is worth nothing once another thread has closed the bus. */
int end_wait_open(End *end, Side *side, Attempt attempt, void *call,
                  int64_t timeout_ns);

#endif
