/* SPDX-License-Identifier: Apache-2.0 */
#include "slots.h"

static PyObject *release_name; /* "release", interned */

/* Release the guard's own view, unless something still uses that. */
void guard_drop_buf(Guard *guard) {
    PyObject *buf = guard->buf;
    if (!buf)
        return;
    guard->buf = NULL; /* now: an abandoned guard dies with the view */
    PyObject_GC_UnTrack(guard);
    PyObject *result = PyObject_CallMethodNoArgs(buf, release_name);
    if (!result)
        PyErr_Clear(); /* it counts among `views` until its last user is gone */
    Py_XDECREF(result);
    Py_DECREF(buf);
}

/* A guard and its own view hold each other: nobody else may be left that holds them. */
static void side_drop_abandoned(const Side *side) {
    Guard *guard = side->guard;
    if (guard && guard->buf && Py_REFCNT(guard) == 1 && Py_REFCNT(guard->buf) == 1)
        guard_drop_buf(guard);
}

void raise_waited_on(const Side *side) {
    PyErr_Format(TachyonError, "another thread is waiting to %s on this bus",
                 side->waiting);
}

int side_claim(const Side *side) {
    side_drop_abandoned(side);
    if (side_is_free(side))
        return 0;
    if (side->waiting)
        raise_waited_on(side);
    else if (side->guard->state == GUARD_HELD)
        PyErr_Format(PyExc_BufferError,
                     "cannot %s: a view still points into the slot of a guard that was "
                     "left; release the view first",
                     side->purpose);
    else
        PyErr_Format(TachyonError,
                     "cannot %s: another guard of this bus is still open; "
                     "leave it first",
                     side->purpose);
    return -1;
}

/* Nobody will finish the slot. A handle that one thread may use at a time is not
   touched while that thread waits: the slot is given back after the wait. */
static void guard_abandon(Guard *guard) {
    if (guard->side->waiting)
        guard->side->owed = guard->give_back;
    else
        guard->give_back(end_of(guard->owner));
    guard_end(guard);
}

/* What a view that outlives the block is told, and how to do better. */
static PyObject *held_text(Py_ssize_t views, Py_ssize_t parts) {
    bool one = views == 1;
    const char *holder = parts == 0       ? "memoryview or array"
                         : parts == views ? "struct of the message"
                                          : "struct, memoryview or array";
    const char *copy = parts == 0       ? "bytes(view) or array.copy()"
                       : parts == views ? "copy.copy(struct)"
                                        : "copy.copy() or bytes()";
    return PyUnicode_FromFormat("%zd view%s still point%s into the slot: it is kept "
                                "until the %s that holds it is gone; by %s, copy what "
                                "you keep",
                                views, one ? "" : "s", one ? "s" : "", holder, copy);
}

/* Python 3.10 has no notes, and then the exception goes without one. */
void say_held(Py_ssize_t views, Py_ssize_t parts, PyObject *exception) {
    PyObject *text = held_text(views, parts), *none = NULL;
    if (text && !exception)
        PyErr_SetObject(PyExc_BufferError, text);
    else if (text)
        none = PyObject_CallMethod(exception, "add_note", "O", text);
    if (exception && !none)
        PyErr_Clear();
    Py_XDECREF(none);
    Py_XDECREF(text);
}

/* The block is left, but there is nothing to finish: 0; or it cannot be: -1. What is
   leaving by an exception goes on with that, whatever becomes of the slot. */
int guard_stay(Guard *guard, PyObject *exception) {
    if (guard->state == GUARD_LEFT || guard->state == GUARD_LOST)
        return 0;
    if (guard->views > 0) {
        guard->state = GUARD_HELD;
        say_held(guard->views, guard->parts, exception);
        return exception ? 0 : -1;
    }
    if (exception) {
        guard_abandon(guard);
        return 0;
    }
    raise_waited_on(guard->side);
    return -1;
}

/* ---- Views ---- */

int guard_get_view(Guard *guard, PyObject *exporter, Py_buffer *view, const void *data,
                   size_t size, int flags) {
    if (guard->state != GUARD_OPEN) {
        view->obj = NULL;
        PyErr_SetString(PyExc_BufferError,
                        guard->state == GUARD_LOST
                            ? "the bus of this guard was closed"
                            : "this guard was left; its slot is gone");
        return -1;
    }
    if (PyBuffer_FillInfo(view, exporter, (void *)(uintptr_t)data, (Py_ssize_t)size,
                          guard->readonly, flags) < 0)
        return -1;
    ++guard->views;
    return 0;
}

void guard_release_view(Guard *guard) {
    if (--guard->views > 0)
        return;
    if (guard->state == GUARD_HELD)
        guard_abandon(guard);
    else if (guard->state == GUARD_LOST)
        bus_unref(end_of(guard->owner)->bus);
}

int guard_getbuffer(PyObject *self, Py_buffer *view, int flags) {
    Guard *guard = (Guard *)self;
    return guard_get_view(guard, self, view, guard->data, guard->size, flags);
}

void guard_releasebuffer(PyObject *self, Py_buffer *view) {
    (void)view;
    guard_release_view((Guard *)self);
}

PyObject *guard_get_buf(PyObject *self, void *unused) {
    (void)unused;
    Guard *guard = (Guard *)self;
    if (!release_name)
        release_name = PyUnicode_InternFromString("release");
    if (!guard->buf) {
        guard->buf = release_name ? PyMemoryView_FromObject(self) : NULL;
        if (!guard->buf)
            return NULL;
        PyObject_GC_Track(self); /* now: they hold each other */
    }
    return Py_NewRef(guard->buf);
}

Py_ssize_t side_views(const Side *side) {
    Guard *guard = side->guard;
    if (!guard)
        return 0;
    Py_INCREF(guard);
    guard_drop_buf(guard);
    Py_ssize_t views = guard->views;
    Py_DECREF(guard); /* an abandoned one goes here */
    return views;
}

void side_lose(End *end, Side *side) {
    if (side->guard) {
        side->guard->state = GUARD_LOST;
        if (side->guard->views > 0)
            bus_ref(end->bus);
        side->guard = NULL;
    }
}

/* ---- The object ---- */

PyObject *guard_enter(PyObject *self, PyObject *unused) {
    (void)unused;
    if (((Guard *)self)->state != GUARD_OPEN) {
        PyErr_SetString(TachyonError, "this guard was left already");
        return NULL;
    }
    return Py_NewRef(self);
}

int guard_traverse(PyObject *self, visitproc visit, void *arg) {
    Guard *guard = (Guard *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(guard->owner);
    Py_VISIT(guard->buf);
    return 0;
}

int guard_clear(PyObject *self) {
    guard_drop_buf((Guard *)self);
    return 0;
}

void guard_dealloc(PyObject *self) {
    Guard *guard = (Guard *)self;
    PyObject *owner = guard->owner;
    guard_drop_buf(guard); /* one that was released already */
    if (guard->state == GUARD_OPEN)
        guard_abandon(guard);
    object_recycle(guard->pool, guard);
    Py_DECREF(owner); /* last: the pool is the bus's */
}
