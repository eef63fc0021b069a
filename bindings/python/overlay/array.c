/* SPDX-License-Identifier: Apache-2.0 */
/* send_array(), recv_array() and recv_array_zero_copy(). */
#include "frame.h"
#include "slots.h"

#include <stdlib.h>

enum {
    HEADER_BYTES = TACHYON_FRAME_HEADER_BYTES,
    ITEM_ALIGNMENT = 64,
    EXPLANATION = 128
};

/* ---- Sending ---- */

typedef struct SendArray {
    Strided from;
    tachyon_frame_t header;
    Py_ssize_t strides[TACHYON_FRAME_MAX_NDIM]; /* in the ring */
    size_t size;
    uint32_t type_id;
} SendArray;

/* Reserve, gather and show it in one step, in which nothing of Python is touched. */
static bool attempt_send_array(End *end, void *context, int64_t timeout_ns) {
    const SendArray *call = context;
    char *slot = tachyon_acquire_tx_timed(end->handle, call->size, TACHYON_DEFAULT_SPIN,
                                          timeout_ns);
    if (!slot)
        return false;
    memcpy(slot, &call->header, HEADER_BYTES);
    copy_items(slot + HEADER_BYTES, call->strides, call->from.data, &call->from.layout);
    if (tachyon_commit_tx(end->handle, call->size, call->type_id) != TACHYON_SUCCESS)
        return false;
    tachyon_flush(end->handle);
    return true;
}

/* An array that is column-major and has no gaps is copied as it is, and says so. */
static int make_header(SendArray *call, uint32_t tag) {
    ArrayLayout dense = call->from.layout;
    int64_t shape[TACHYON_FRAME_MAX_NDIM] = {0};
    uint64_t size = 0;
    bool column_major = !is_dense(&dense, false) && is_dense(&dense, true);
    make_dense(&dense, column_major);
    for (int i = 0; i < dense.ndim; ++i) {
        shape[i] = dense.shape[i];
        call->strides[i] = dense.strides[i];
    }
    tachyon_frame_error_t error = tachyon_frame_fill(
        &call->header, dense.kind->code, dense.kind->bits, (unsigned)dense.ndim, shape,
        column_major ? TACHYON_FRAME_COLUMN_MAJOR : 0, tag, &size);
    call->size = (size_t)size;
    if (error == TACHYON_FRAME_OK)
        return 0;
    char why[EXPLANATION];
    tachyon_frame_explain(error, &call->header, 0, why, sizeof why);
    PyErr_Format(PyExc_ValueError, "the array would make %s", why);
    return -1;
}

METHOD(send_array) {
    BIND("send_array", 1, 5, 0, {"array", "type_id", "tag", "timeout", "block"});
    SendArray call = {.type_id = 0};
    Patience patience;
    uint32_t tag = 0;
    if (parse_u32(bound[1], "type_id", &call.type_id) < 0 ||
        parse_u32(bound[2], "tag", &tag) < 0 ||
        parse_patience(bound[4], bound[3], &patience) < 0 ||
        strided_get(bound[0], false, &call.from) < 0)
        return NULL;
    int sent = make_header(&call, tag);
    if (sent == 0)
        sent =
            send_copy_by(end_of(self), attempt_send_array, &call, call.size, &patience);
    strided_release(&call.from);
    return sent < 0 ? NULL : Py_NewRef(Py_None);
}

/* ---- What has come ---- */

/* The header as a copy of what is in the ring, and what it says; false: `why` says what
   is the matter. */
static bool read_header(const RxCall *call, tachyon_frame_t *header,
                        ArrayLayout *layout, char *why) {
    tachyon_frame_error_t error = tachyon_frame_read(call->data, call->size, header);
    layout->kind = kind_of(header->code, header->bits);
    if (error != TACHYON_FRAME_OK)
        tachyon_frame_explain(error, header, call->size, why, EXPLANATION);
    else if (!layout->kind)
        PyOS_snprintf(why, EXPLANATION,
                      "a frame of items of code %d with %d bits, which have no name in "
                      "Python",
                      header->code, header->bits);
    if (error != TACHYON_FRAME_OK || !layout->kind)
        return false;
    layout->ndim = header->ndim;
    for (int i = 0; i < layout->ndim; ++i)
        layout->shape[i] = (Py_ssize_t)header->shape[i];
    make_dense(layout, header->flags & TACHYON_FRAME_COLUMN_MAJOR);
    return true;
}

/* Not what is wanted, unless it was overwritten meanwhile, in a broadcast. */
static int raise_wrong(const End *end, const RxCall *call, PyObject *text) {
    if (held_lagged(end)) {
        Py_XDECREF(text);
        raise_last();
    } else {
        raise_unexpected_message(text, call->type_id, call->size);
    }
    return -1;
}

static int read_frame(const End *end, const RxCall *call, ArrayLayout *layout,
                      uint32_t *tag) {
    tachyon_frame_t header;
    char why[EXPLANATION];
    bool good = read_header(call, &header, layout, why);
    *tag = header.tag;
    if (good)
        return 0;
    return raise_wrong(
        end, call,
        PyUnicode_FromFormat("the next message, of type_id %u, is %s; it stays in the "
                             "ring, and recv() takes it",
                             call->type_id, why));
}

/* A frame without its place in the ring, and without memory. */
static Frame *frame_new(End *end, const RxCall *call, bool in_ring) {
    ArrayLayout layout;
    uint32_t tag;
    if (read_frame(end, call, &layout, &tag) < 0)
        return NULL;
    Frame *frame =
        in_ring ? object_new(&end->frames, types.Frame) : object_allocate(types.Frame);
    if (!frame)
        return NULL;
    frame->owner = in_ring ? Py_NewRef(end->self) : NULL;
    frame->memory = NULL;
    frame->state = GUARD_OPEN;
    frame->views = 0;
    frame->data = (const char *)call->data + HEADER_BYTES;
    frame->size = call->size - HEADER_BYTES;
    frame->layout = layout;
    frame->tag = tag;
    frame->type_id = call->type_id;
    return frame;
}

/* ---- In the ring ---- */

static PyObject *receive_held(End *end, PyObject *timeout) {
    RxCall call = {.spin_threshold = TACHYON_DEFAULT_SPIN};
    if (receive_next(end, &call, timeout, true) < 0)
        return NULL;
    Frame *frame = frame_new(end, &call, true);
    if (!frame) {
        held_put_back(&end->held);
        return NULL;
    }
    held_take(end, frame);
    return (PyObject *)frame;
}

METHOD(recv_array_zero_copy) {
    BIND("recv_array_zero_copy", 0, 1, 0, {"timeout"});
    return receive_held(end_of(self), bound[0]);
}

/* ---- Copied out ---- */

typedef struct CopyArray {
    const char *from;
    ArrayLayout layout;
    char *to;
    const Py_ssize_t *strides;
} CopyArray;

static bool attempt_copy_array(End *end, void *context, int64_t timeout_ns) {
    const CopyArray *call = context;
    (void)end;
    (void)timeout_ns;
    copy_items(call->to, call->strides, call->from, &call->layout);
    return true;
}

static PyObject *receive_copy(End *end, PyObject *timeout) {
    RxCall call = {.spin_threshold = TACHYON_DEFAULT_SPIN};
    if (receive_next(end, &call, timeout, false) < 0)
        return NULL;
    Frame *frame = frame_new(end, &call, false);
    if (!frame)
        return NULL; /* not released: the message comes again */
    frame->memory = aligned_alloc(ITEM_ALIGNMENT,
                                  (frame->size / ITEM_ALIGNMENT + 1) * ITEM_ALIGNMENT);
    if (!frame->memory) {
        Py_DECREF(frame);
        return PyErr_NoMemory();
    }
    expect_filled(frame->memory, frame->size);
    CopyArray copy = {frame->data, frame->layout, frame->memory, frame->layout.strides};
    frame->data = frame->memory;
    if (copy_out(end, attempt_copy_array, &copy, frame->size) < 0)
        Py_CLEAR(frame);
    return (PyObject *)frame;
}

/* A target must be what the frame is. */
static int check_target(const End *end, const RxCall *call, const ArrayLayout *frame,
                        const ArrayLayout *target) {
    bool same = frame->kind == target->kind && frame->ndim == target->ndim &&
                memcmp(frame->shape, target->shape,
                       (size_t)frame->ndim * sizeof frame->shape[0]) == 0;
    if (same)
        return 0;
    PyObject *shape = shape_of(frame), *other = shape_of(target);
    PyObject *text =
        shape && other
            ? PyUnicode_FromFormat("the next message is a frame of %s %R, out is of %s "
                                   "%R; it stays in the ring",
                                   frame->kind->name, shape, target->kind->name, other)
            : NULL;
    Py_XDECREF(shape);
    Py_XDECREF(other);
    return raise_wrong(end, call, text);
}

static int receive_to(End *end, const Strided *out, PyObject *timeout) {
    RxCall call = {.spin_threshold = TACHYON_DEFAULT_SPIN};
    CopyArray copy = {.to = out->data, .strides = out->layout.strides};
    uint32_t tag;
    if (receive_next(end, &call, timeout, false) < 0 ||
        read_frame(end, &call, &copy.layout, &tag) < 0 ||
        check_target(end, &call, &copy.layout, &out->layout) < 0)
        return -1;
    copy.from = (const char *)call.data + HEADER_BYTES;
    return copy_out(end, attempt_copy_array, &copy, call.size);
}

static PyObject *receive_into(End *end, PyObject *out, PyObject *timeout) {
    Strided target;
    if (strided_get(out, true, &target) < 0)
        return NULL;
    int received = receive_to(end, &target, timeout);
    strided_release(&target);
    return received < 0 ? NULL : Py_NewRef(out);
}

/* What makes an array of a frame, or None where there is no NumPy; borrowed. */
static PyObject *converter(void) {
    static PyObject *convert;
    if (!convert) {
        PyObject *find = import_from("tachyon.frames", "converter");
        convert = find ? PyObject_CallNoArgs(find) : NULL;
        Py_XDECREF(find);
    }
    return convert;
}

/* Takes the frame over. What has no format has no dtype in NumPy either. */
static PyObject *array_of(PyObject *frame, PyObject *convert) {
    if (!frame || convert == Py_None || !((Frame *)frame)->layout.kind->format)
        return frame;
    PyObject *array = PyObject_CallOneArg(convert, frame);
    Py_DECREF(frame);
    return array;
}

METHOD(recv_array) {
    BIND("recv_array", 0, 3, 0, {"out", "hold", "timeout"});
    End *end = end_of(self);
    int hold = bound[1] ? PyObject_IsTrue(bound[1]) : 0;
    bool into = bound[0] && bound[0] != Py_None;
    PyObject *convert = into ? Py_None : converter(); /* before there is what to lose */
    if (hold < 0 || !convert)
        return NULL;
    if (hold && into) {
        PyErr_SetString(PyExc_ValueError,
                        "out= is copied into, hold=True is not copied: one of them");
        return NULL;
    }
    return into ? receive_into(end, bound[0], bound[2])
                : array_of(hold ? receive_held(end, bound[2])
                                : receive_copy(end, bound[2]),
                           convert);
}
