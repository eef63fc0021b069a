/* SPDX-License-Identifier: Apache-2.0 */
/* What the guards of a slot share. A guard stands for a slot of the ring from the
   acquire to its end: OPEN, then LEFT when its `with` block ends. If a view still
   points into the slot by then it is HELD: neither released nor reused until the last
   view is gone. LOST is a guard whose bus was closed under it; views that it still has,
   after an abort, keep the memory. */

typedef enum { GUARD_OPEN, GUARD_HELD, GUARD_LEFT, GUARD_LOST } GuardState;

typedef struct Guard Guard;

/* How a guard that was not left gives its slot back. */
typedef tachyon_error_t (*GiveBack)(void *handle);

/* One direction of a bus: at most one guard or one waiting call at a time. */
typedef struct Side {
    const char *purpose;
    const char *lack;    /* what is not there while it waits */
    uint64_t call;       /* whose reply that is, or 0 */
    Guard *guard;        /* OPEN or HELD; borrowed, it leaves here before it dies */
    const char *waiting; /* what a thread waits for without the interpreter's lock */
    GiveBack owed;       /* of a guard that ended while the handle was waited on */
} Side;

struct Guard {
    SwigPyObject base;
    PyObject *owner; /* the bus: as long as a guard lives, so does the mapping */
    void *handle;
    Side *side;
    GiveBack give_back;
    GuardState state;
    Py_ssize_t views;
    PyObject *buf; /* the view that the guard made itself; one of `views` */
};

static PyObject *release_name; /* "release", interned */

static int guard_module_init(void) {
    release_name = PyUnicode_InternFromString("release");
    return release_name ? 0 : -1;
}

/* Release the guard's own view, unless something still uses that. */
static void guard_drop_buf(Guard *guard) {
    PyObject *buf = guard->buf;
    if (!buf) {
        return;
    }
    guard->buf = NULL; /* now: an abandoned guard dies with the view */
    PyObject_GC_UnTrack(guard);
    PyObject *result = PyObject_CallMethodNoArgs(buf, release_name);
    if (!result) {
        PyErr_Clear(); /* it counts among `views` until its last user is gone */
    }
    Py_XDECREF(result);
    Py_DECREF(buf);
}

/* A guard and its own view hold each other: nobody else may be left that holds them. */
static void side_drop_abandoned(const Side *side) {
    Guard *guard = side->guard;
    if (guard && guard->buf && Py_REFCNT(guard) == 1 && Py_REFCNT(guard->buf) == 1) {
        guard_drop_buf(guard);
    }
}

static void raise_waited_on(const Side *side) {
    PyErr_Format(TachyonError, "another thread is waiting to %s on this bus",
                 side->waiting);
}

static inline bool side_is_free(const Side *side) {
    return !side->guard && !side->waiting;
}

/* May a call use this direction now, which is not free? 0, or -1 with an exception. */
static int side_claim(const Side *side) {
    side_drop_abandoned(side);
    if (side_is_free(side)) {
        return 0;
    }
    if (side->waiting) {
        raise_waited_on(side);
    } else if (side->guard->state == GUARD_HELD) {
        PyErr_Format(PyExc_BufferError,
                     "cannot %s: a view still points into the slot of a guard that was "
                     "left; release the view first",
                     side->purpose);
    } else {
        PyErr_Format(TachyonError,
                     "cannot %s: another guard of this bus is still open; "
                     "leave it first",
                     side->purpose);
    }
    return -1;
}

static inline void guard_init(Guard *guard, PyObject *owner, void *handle, Side *side,
                              GiveBack give_back) {
    guard->owner = Py_NewRef(owner);
    guard->handle = handle;
    guard->side = side;
    guard->give_back = give_back;
    guard->state = GUARD_OPEN;
    guard->views = 0;
    guard->buf = NULL;
    side->guard = guard;
}

/* The slot leaves the guard, one way or the other. */
static void guard_end(Guard *guard) {
    guard->state = GUARD_LEFT;
    guard->side->guard = NULL;
}

/* Nobody will finish the slot. A handle that one thread may use at a time is not
   touched while that thread waits: the slot is given back after the wait. */
static void guard_abandon(Guard *guard) {
    if (guard->side->waiting) {
        guard->side->owed = guard->give_back;
    } else {
        guard->give_back(guard->handle);
    }
    guard_end(guard);
}

/* What a view that outlives the block is told, and how to do better. */
static PyObject *held_text(const Guard *guard) {
    bool one = guard->views == 1;
    return PyUnicode_FromFormat(
        "%zd view%s still point%s into the slot: it is kept until the memoryview or "
        "array that holds it is gone; by bytes(view) or array.copy(), copy what you "
        "keep",
        guard->views, one ? "" : "s", one ? "s" : "");
}

static void raise_held(const Guard *guard) {
    PyObject *text = held_text(guard);
    if (text) {
        PyErr_SetObject(PyExc_BufferError, text);
        Py_DECREF(text);
    }
}

/* Python 3.10 has no notes, and then the exception goes without one. */
static void add_held_note(const Guard *guard, PyObject *exception) {
    PyObject *text = held_text(guard);
    PyObject *none =
        text ? PyObject_CallMethod(exception, "add_note", "O", text) : NULL;
    if (!none) {
        PyErr_Clear();
    }
    Py_XDECREF(none);
    Py_XDECREF(text);
}

/* What __exit__ is called with: its exception, or NULL. */
static inline PyObject *exception_of(PyObject *const *args, Py_ssize_t nargs) {
    if (nargs == 0 || args[0] == Py_None) {
        return NULL;
    }
    return nargs > 1 && args[1] != Py_None ? args[1] : args[0];
}

/* The block is left, but there is nothing to finish: 0; or it cannot be: -1. What is
   leaving by an exception goes on with that, whatever becomes of the slot. */
static int guard_stay(Guard *guard, PyObject *exception) {
    if (guard->state == GUARD_LEFT || guard->state == GUARD_LOST) {
        return 0;
    }
    if (guard->views > 0) {
        guard->state = GUARD_HELD;
        if (exception) {
            add_held_note(guard, exception);
            return 0;
        }
        raise_held(guard);
        return -1;
    }
    if (exception) {
        guard_abandon(guard);
        return 0;
    }
    raise_waited_on(guard->side);
    return -1;
}

/* The block is left: 1 to finish the slot, 0 when there is nothing to finish, -1 with
   an exception where it cannot be and none is leaving the block. */
static inline int guard_leave(Guard *guard, PyObject *exception) {
    if (guard->buf) {
        guard_drop_buf(guard);
    }
    if (guard->state == GUARD_OPEN && guard->views == 0 && !guard->side->waiting) {
        guard_end(guard);
        return 1;
    }
    return guard_stay(guard, exception);
}

static int guard_get_view(Guard *guard, PyObject *exporter, Py_buffer *view,
                          const void *data, size_t size, bool readonly, int flags) {
    if (guard->state != GUARD_OPEN) {
        view->obj = NULL;
        PyErr_SetString(PyExc_BufferError,
                        guard->state == GUARD_LOST
                            ? "the bus of this guard was closed"
                            : "this guard was left; its slot is gone");
        return -1;
    }
    if (PyBuffer_FillInfo(view, exporter, (void *)(uintptr_t)data, (Py_ssize_t)size,
                          readonly, flags) < 0) {
        return -1;
    }
    ++guard->views;
    return 0;
}

static void bus_let_go(PyObject *owner);

static void guard_release_view(Guard *guard) {
    if (--guard->views > 0) {
        return;
    }
    if (guard->state == GUARD_HELD) {
        guard_abandon(guard);
    } else if (guard->state == GUARD_LOST) {
        bus_let_go(guard->owner);
    }
}

static PyObject *guard_get_buf(PyObject *self, void *unused) {
    (void)unused;
    Guard *guard = (Guard *)self;
    if (!guard->buf) {
        guard->buf = PyMemoryView_FromObject(self);
        if (!guard->buf) {
            return NULL;
        }
        PyObject_GC_Track(self); /* now: they hold each other */
    }
    return Py_NewRef(guard->buf);
}

static PyObject *guard_enter(PyObject *self, PyObject *unused) {
    (void)unused;
    if (((Guard *)self)->state != GUARD_OPEN) {
        PyErr_SetString(TachyonError, "this guard was left already");
        return NULL;
    }
    return Py_NewRef(self);
}

static int guard_traverse(PyObject *self, visitproc visit, void *arg) {
    Guard *guard = (Guard *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(guard->owner);
    Py_VISIT(guard->buf);
    return 0;
}

static int guard_clear(PyObject *self) {
    guard_drop_buf((Guard *)self);
    return 0;
}

static void guard_dealloc(Guard *guard, Pool *pool) {
    PyObject *owner = guard->owner;
    guard_drop_buf(guard); /* one that was released already */
    if (guard->state == GUARD_OPEN) {
        guard_abandon(guard);
    }
    object_recycle(pool, guard);
    Py_DECREF(owner); /* last: the pool is the bus's */
}
