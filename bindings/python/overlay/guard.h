/* SPDX-License-Identifier: Apache-2.0 */
/* What the guards of a slot share. A guard stands for a slot of the ring from the
   acquire to its end: OPEN, then LEFT when its `with` block ends. If a view still points
   into the slot by then it is HELD: neither released nor reused until the last view is
   gone. LOST is a guard whose bus was closed under it; views that it still has, after an
   abort, keep the memory. */
#ifndef TACHYON_PYTHON_GUARD_H
#define TACHYON_PYTHON_GUARD_H

#include "low.h"

typedef enum { GUARD_OPEN, GUARD_HELD, GUARD_LEFT, GUARD_LOST } GuardState;

struct Guard { /* RxGuard and RpcRxGuard are no more than this */
    SwigPyObject base;
    PyObject *owner; /* the bus: as long as a guard lives, so does the mapping */
    void *handle;
    Side *side;
    Pool *pool;
    GiveBack give_back;
    GuardState state;
    bool readonly;
    Py_ssize_t views;
    Py_ssize_t parts; /* of them structs of a message */
    PyObject *buf;    /* the view that the guard made itself; one of `views` */
    const void *data;
    size_t size;
    uint64_t correlation_id; /* of RPC, else not set */
    uint32_t type_id;
};

typedef struct RxBatchGuard {
    Guard guard;
    Py_ssize_t count;
    Py_ssize_t shape[2]; /* of the batch as one array of bytes */
    Py_ssize_t strides[2];
    bool whole; /* a view is to have all from the first message to the last */
} RxBatchGuard;

typedef struct RxMsgView {
    SwigPyObject base;
    RxBatchGuard *batch;
    const void *data;
    size_t actual_size;
    uint32_t type_id;
} RxMsgView;

static inline void guard_init(Guard *guard, End *end, Side *side, Pool *pool,
                              GiveBack give_back) {
    guard->owner = Py_NewRef(end->self);
    guard->handle = end->handle;
    guard->side = side;
    guard->pool = pool;
    guard->give_back = give_back;
    guard->state = GUARD_OPEN;
    guard->readonly = true;
    guard->views = 0;
    guard->parts = 0;
    guard->buf = NULL;
    side->guard = guard;
}

/* The slot leaves the guard, one way or the other. */
static inline void guard_end(Guard *guard) {
    guard->state = GUARD_LEFT;
    guard->side->guard = NULL;
}

void guard_drop_buf(Guard *guard);
int guard_stay(Guard *guard, PyObject *exception);

/* Views outlive their block: BufferError, or a note to the exception that leaves it.
   `parts` of them are structs of a message. */
void say_held(Py_ssize_t views, Py_ssize_t parts, PyObject *exception);

/* What __exit__ is called with: its exception, or NULL. */
static inline PyObject *exception_of(PyObject *const *args, Py_ssize_t nargs) {
    if (nargs == 0 || args[0] == Py_None)
        return NULL;
    return nargs > 1 && args[1] != Py_None ? args[1] : args[0];
}

/* The block is left: 1 to finish the slot, 0 when there is nothing to finish, -1 with
   an exception where it cannot be and none is leaving the block. */
static inline int guard_leave(Guard *guard, PyObject *exception) {
    if (guard->buf)
        guard_drop_buf(guard);
    if (guard->state == GUARD_OPEN && guard->views == 0 && !guard->side->waiting) {
        guard_end(guard);
        return 1;
    }
    return guard_stay(guard, exception);
}

int guard_get_view(Guard *guard, PyObject *exporter, Py_buffer *view, const void *data,
                   size_t size, int flags);
void guard_release_view(Guard *guard);
PyObject *guard_enter(PyObject *self, PyObject *unused);
PyObject *rx_guard_exit(PyObject *self, PyObject *const *args, Py_ssize_t nargs);

/* The last view of a guard counts: how many there are beside its own, which this
   releases. */
Py_ssize_t side_views(const Side *side);

/* The bus is closed: the guard keeps its memory, and that while it has views. */
void side_lose(End *end, Side *side);

#endif
