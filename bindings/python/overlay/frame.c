/* SPDX-License-Identifier: Apache-2.0 */
/* A received array: Frame, in the ring or in memory of its own. It shows its items by
   PEP 3118 and by DLPack, with shape and dtype, and needs nobody for that. */
#include "frame.h"
#include "slots.h"

#include <stdlib.h>

/* ---- Views ---- */

static int is_there(const Frame *frame) {
    if (frame->state == GUARD_OPEN)
        return 0;
    PyErr_SetString(PyExc_BufferError, frame->state == GUARD_LOST
                                           ? "the bus of this frame was closed"
                                           : "this frame was left; its slot is gone");
    return -1;
}

/* Why a view cannot be had with such flags; NULL: it can. */
static const char *refusal(const Frame *frame, int flags) {
    bool in_order = is_dense(&frame->layout, false);
    if ((flags & PyBUF_WRITABLE) && frame->owner)
        return "a frame in the ring is read-only; recv_array() without hold copies it";
    if ((flags & PyBUF_FORMAT) && !frame->layout.kind->format)
        return "bfloat16 has no buffer format: torch.from_dlpack(frame) or "
               "jax.dlpack.from_dlpack(frame) take it, and copies of its bytes";
    if (!in_order && ((flags & PyBUF_STRIDES) != PyBUF_STRIDES ||
                      (flags & PyBUF_C_CONTIGUOUS & ~PyBUF_STRIDES)))
        return "this frame is column-major, which the view is not to be";
    if ((flags & PyBUF_F_CONTIGUOUS & ~PyBUF_STRIDES) &&
        !is_dense(&frame->layout, true))
        return "this frame is row-major, which the view is not to be";
    return NULL;
}

int frame_getbuffer(PyObject *self, Py_buffer *view, int flags) {
    Frame *frame = (Frame *)self;
    ArrayLayout *layout = &frame->layout;
    view->obj = NULL;
    if (is_there(frame) < 0)
        return -1;
    const char *why = refusal(frame, flags);
    if (why) {
        PyErr_SetString(PyExc_BufferError, why);
        return -1;
    }
    *view = (Py_buffer){
        .buf = (void *)(uintptr_t)frame->data,
        .obj = Py_NewRef(self),
        .len = (Py_ssize_t)frame->size,
        .itemsize = layout->kind->bits / 8,
        .readonly = frame->owner != NULL,
        .ndim = layout->ndim,
        .format = flags & PyBUF_FORMAT ? (char *)(uintptr_t)layout->kind->format : NULL,
        .shape = (flags & PyBUF_ND) == PyBUF_ND ? layout->shape : NULL,
        .strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? layout->strides : NULL};
    ++frame->views;
    return 0;
}

/* The slot is the ring's again; of a block that is left, the last view ends it. */
static tachyon_error_t let_go(Frame *frame) {
    frame->state = GUARD_LEFT;
    return held_free(end_of(frame->owner), frame);
}

void frame_releasebuffer(PyObject *self, Py_buffer *view) {
    Frame *frame = (Frame *)self;
    (void)view;
    if (--frame->views > 0 || !frame->owner)
        return;
    if (frame->state == GUARD_HELD)
        let_go(frame);
    else if (frame->state == GUARD_LOST)
        bus_unref(end_of(frame->owner)->bus);
}

/* ---- The block ---- */

static PyObject *frame_enter(PyObject *self, PyObject *unused) {
    (void)unused;
    return is_there((Frame *)self) < 0 ? NULL : Py_NewRef(self);
}

static PyObject *frame_exit(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
    Frame *frame = (Frame *)self;
    PyObject *exception = exception_of(args, nargs);
    if (frame->owner && frame->state == GUARD_OPEN) {
        if (frame->views > 0) {
            frame->state = GUARD_HELD;
            say_held(frame->views, 0, exception);
            return exception ? Py_NewRef(Py_False) : NULL;
        }
        const End *end = end_of(frame->owner);
        bool failed = let_go(frame) != TACHYON_SUCCESS;
        /* Where what is older is held, no release has told. */
        if ((failed || (end->held.count > 0 && held_lagged(end))) && !exception)
            return raise_last();
    }
    Py_RETURN_FALSE;
}

/* ---- Attributes ---- */

PyObject *shape_of(const ArrayLayout *layout) {
    PyObject *shape = PyTuple_New(layout->ndim);
    for (int i = 0; shape && i < layout->ndim; ++i) {
        PyObject *length = PyLong_FromSsize_t(layout->shape[i]);
        if (!length)
            Py_CLEAR(shape);
        else
            PyTuple_SET_ITEM(shape, i, length);
    }
    return shape;
}

static PyObject *get_shape(PyObject *self, void *unused) {
    (void)unused;
    return shape_of(&((Frame *)self)->layout);
}

static PyObject *get_dtype(PyObject *self, void *unused) {
    (void)unused;
    return PyUnicode_FromString(((Frame *)self)->layout.kind->name);
}

PyGetSetDef frame_getset[] = {
    {"shape", get_shape, NULL, "Lengths of the dimensions, none to six.", NULL},
    {"dtype", get_dtype, NULL,
     "Kind of the items, as NumPy, PyTorch and JAX name it: \"float32\".", NULL},
    {NULL, NULL, NULL, NULL, NULL}};

PyMemberDef frame_members[] = {{"tag", T_UINT, offsetof(Frame, tag), READONLY,
                                "What the sender gave it, 0 to 2**32 - 1."},
                               {"type_id", T_UINT, offsetof(Frame, type_id), READONLY,
                                "Type of the message, 0 to 2**32 - 1."},
                               {NULL, 0, 0, 0, NULL}};

PyMethodDef frame_methods[] = {PLAIN("__enter__", frame_enter, METH_NOARGS),
                               PLAIN("__exit__", frame_exit, METH_FASTCALL),
                               FAST("__dlpack__", frame_dlpack),
                               PLAIN("__dlpack_device__", dlpack_device, METH_NOARGS),
                               {NULL, NULL, 0, NULL}};

PyObject *frame_repr(PyObject *self) {
    const Frame *frame = (Frame *)self;
    PyObject *shape = get_shape(self, NULL);
    PyObject *text =
        shape ? PyUnicode_FromFormat("<tachyon.Frame of %s %R, tag %u>",
                                     frame->layout.kind->name, shape, frame->tag)
              : NULL;
    Py_XDECREF(shape);
    return text;
}

/* ---- The object ---- */

int frame_traverse(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((Frame *)self)->owner);
    return 0;
}

int frame_clear(PyObject *self) { /* a view of it is in the cycle, and goes first */
    (void)self;
    return 0;
}

void frame_dealloc(PyObject *self) {
    Frame *frame = (Frame *)self;
    PyObject *owner = frame->owner;
    free(frame->memory);
    if (!owner) {
        static Pool none = {.count = POOL_SIZE};
        object_recycle(&none, frame);
        return;
    }
    if (frame->state == GUARD_OPEN)
        let_go(frame);
    object_recycle(&end_of(owner)->frames, frame);
    Py_DECREF(owner); /* last: the pool is the bus's */
}

/* SWIG makes its types without room for what follows its own fields. */
void frame_type_init(void) {
    type_of(types.Frame)->tp_basicsize = sizeof(Frame);
}
