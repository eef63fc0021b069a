/* SPDX-License-Identifier: Apache-2.0 */
/* Receiving many messages: RxBatchGuard, and RxMsgView for one of them, whose views count
   as views of the batch. Their places lie in the bus's own array, since only one batch
   is open at a time. */
#include "slots.h"

typedef struct DrainCall {
    size_t max_msgs;
    size_t count;
    uint32_t spin_threshold;
} DrainCall;

enum { DEFAULT_BATCH = 1024, LINE_BYTES = 64 };

static bool attempt_drain(End *end, void *context, int64_t timeout_ns) {
    DrainCall *call = context;
    call->count = tachyon_drain_batch_timed(end->handle, end->views, call->max_msgs,
                                            call->spin_threshold, timeout_ns);
    return call->count > 0;
}

/* Room for `*count` views, or for as many messages as the ring can hold. */
static int reserve_views(End *end, size_t *count) {
    if (*count <= end->views_capacity)
        return 0;
    tachyon_stats_t stats;
    if (tachyon_bus_get_stats(end->handle, &stats) != TACHYON_SUCCESS) {
        raise_last();
        return -1;
    }
    size_t possible = (size_t)stats.capacity / LINE_BYTES;
    if (*count > possible)
        *count = possible;
    if (*count > end->views_capacity) {
        tachyon_msg_view_t *views = PyMem_New(tachyon_msg_view_t, *count);
        if (!views) {
            PyErr_NoMemory();
            return -1;
        }
        PyMem_Free(end->views);
        end->views = views;
        end->views_capacity = *count;
    }
    return 0;
}

PyObject *drain_batch(End *end, PyObject *max_msgs, PyObject *spin_threshold,
                      PyObject *timeout) {
    DrainCall call;
    seconds_t timeout_ns;
    uint64_t most = DEFAULT_BATCH;
    if (parse_integer(max_msgs, "max_msgs", 1, SIZE_MAX, &most) < 0 ||
        parse_spin(spin_threshold, &call.spin_threshold) < 0 ||
        parse_timeout(timeout, &timeout_ns) < 0) {
        return NULL;
    }
    call.max_msgs = (size_t)most;
    if (end_claim(end, &end->rx) < 0 || refuse_held(end, "drain a batch") < 0 ||
        reserve_views(end, &call.max_msgs) < 0)
        return NULL;
    call.count = tachyon_acquire_rx_batch(end->handle, end->views, call.max_msgs);
    if (call.count == 0 &&
        (may_wait(&end->rx, TACHYON_ERR_EMPTY, timeout_ns) < 0 ||
         end_wait_open(end, &end->rx, attempt_drain, &call, timeout_ns) < 0)) {
        return NULL;
    }
    RxBatchGuard *batch = object_new(&end->rx_batches, types.RxBatchGuard);
    if (!batch)
        return NULL; /* not committed: the messages come again */
    guard_init(&batch->guard, end, &end->rx, &end->rx_batches, release_message);
    batch->count = (Py_ssize_t)call.count;
    batch->whole = false;
    return (PyObject *)batch;
}

Py_ssize_t rx_batch_length(PyObject *self) {
    return ((RxBatchGuard *)self)->count;
}

/* ---- As one array in the ring ---- */

/* The bits that ask for contiguity, beside those of PyBUF_STRIDES in each. */
enum {
    IN_ORDER_OF_C = PyBUF_C_CONTIGUOUS & ~PyBUF_STRIDES,
    IN_ORDER_OF_F = PyBUF_F_CONTIGUOUS & ~PyBUF_STRIDES,
    IN_EITHER = PyBUF_ANY_CONTIGUOUS & ~PyBUF_STRIDES,
    ANY_CONTIGUOUS = IN_ORDER_OF_C | IN_ORDER_OF_F | IN_EITHER
};

/* Find the batch's shape and strides, and whether a view may be had with `flags`. */
static int rx_batch_measure(RxBatchGuard *batch, int flags) {
    const tachyon_msg_view_t *views = end_of(batch->guard.owner)->views;
    size_t stride = tachyon_batch_stride(views, (size_t)batch->count);
    bool takes_strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES;
    if (stride == 0) {
        PyErr_SetString(PyExc_BufferError,
                        "the messages of this batch are no array: they are not all of "
                        "one size; take them one by one");
        return -1;
    }
    if (batch->count > 1 && (!takes_strides || (flags & ANY_CONTIGUOUS))) {
        PyErr_Format(PyExc_BufferError,
                     "messages of %zu bytes lie %zu bytes apart in the ring: the array "
                     "has strides and is not contiguous",
                     views[0].actual_size, stride);
        return -1;
    }
    batch->shape[0] = batch->count;
    batch->shape[1] = (Py_ssize_t)views[0].actual_size;
    batch->strides[0] = (Py_ssize_t)stride;
    batch->strides[1] = 1;
    return 0;
}

int rx_batch_getbuffer(PyObject *self, Py_buffer *view, int flags) {
    RxBatchGuard *batch = (RxBatchGuard *)self;
    const tachyon_msg_view_t *first = end_of(batch->guard.owner)->views;
    view->obj = NULL;
    if (batch->whole) {
        size_t all = (size_t)((batch->count - 1) * batch->strides[0] + batch->shape[1]);
        return guard_get_view(&batch->guard, self, view, first->ptr, all, flags);
    }
    if (batch->guard.state == GUARD_OPEN && rx_batch_measure(batch, flags) < 0)
        return -1;
    if (guard_get_view(&batch->guard, self, view, first->ptr, first->actual_size,
                       flags) < 0) {
        return -1;
    }
    view->len *= batch->count;
    if ((flags & PyBUF_ND) == PyBUF_ND) {
        view->ndim = 2;
        view->shape = batch->shape;
    }
    if ((flags & PyBUF_STRIDES) == PyBUF_STRIDES)
        view->strides = batch->strides;
    return 0;
}

/* NumPy makes an array with strides soonest from one view of all the memory. The rest
   is in Python, imported with NumPy when it is first wanted. */
static PyObject *rx_batch_array(PyObject *self, PyObject *dtype) {
    static PyObject *array_over;
    RxBatchGuard *batch = (RxBatchGuard *)self;
    if (!array_over)
        array_over = import_from("tachyon.ndarray", "array_over");
    if (!array_over || (batch->guard.state == GUARD_OPEN &&
                        rx_batch_measure(batch, PyBUF_STRIDES) < 0)) {
        return NULL;
    }
    batch->whole = true;
    PyObject *memory = PyMemoryView_FromObject(self);
    batch->whole = false;
    if (!memory)
        return NULL;
    return PyObject_CallFunction(array_over, "NnnnO", memory, batch->count,
                                 batch->strides[0], batch->shape[1], dtype);
}

PyMethodDef rx_batch_methods[] = {PLAIN("array", rx_batch_array, METH_O),
                                  PLAIN("__enter__", guard_enter, METH_NOARGS),
                                  PLAIN("__exit__", rx_guard_exit, METH_FASTCALL),
                                  {NULL, NULL, 0, NULL}};

METHOD(drain_batch) {
    BIND("drain_batch", 0, 3, 0, {"max_msgs", "spin_threshold", "timeout"});
    return drain_batch(end_of(self), bound[0], bound[1], bound[2]);
}

/* How many messages are there; they are handed out, and come again. */
METHOD(count_waiting) {
    BIND("_count_waiting", 0, 0, 0, {NULL});
    End *end = end_of(self);
    size_t most = SIZE_MAX;
    if (end_claim(end, &end->rx) < 0 || refuse_held(end, "count messages") < 0 ||
        reserve_views(end, &most) < 0)
        return NULL;
    size_t count = tachyon_acquire_rx_batch(end->handle, end->views, most);
    if (count == 0 && tachyon_last_error() != TACHYON_ERR_EMPTY)
        return raise_last();
    return PyLong_FromSize_t(count);
}

/* ---- One message ---- */

PyObject *rx_batch_item(PyObject *self, Py_ssize_t index) {
    RxBatchGuard *batch = (RxBatchGuard *)self;
    End *end = end_of(batch->guard.owner);
    if (index < 0 || index >= batch->count) {
        PyErr_SetString(PyExc_IndexError, "batch index out of range");
        return NULL;
    }
    if (batch->guard.state != GUARD_OPEN) {
        PyErr_SetString(TachyonError, "this batch was left; its messages are released");
        return NULL;
    }
    RxMsgView *view = object_new(&end->msg_views, types.RxMsgView);
    if (!view)
        return NULL;
    view->batch = (RxBatchGuard *)Py_NewRef(self);
    view->data = end->views[index].ptr;
    view->actual_size = end->views[index].actual_size;
    view->type_id = end->views[index].type_id;
    return (PyObject *)view;
}

int msg_view_traverse(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((RxMsgView *)self)->batch);
    return 0;
}

int msg_view_clear(PyObject *self) { /* the batch is cleared */
    (void)self;
    return 0;
}

void msg_view_dealloc(PyObject *self) {
    RxBatchGuard *batch = ((RxMsgView *)self)->batch;
    object_recycle(&end_of(batch->guard.owner)->msg_views, self);
    Py_DECREF(batch); /* last: the pool is the bus's */
}

int msg_view_getbuffer(PyObject *self, Py_buffer *view, int flags) {
    RxMsgView *message = (RxMsgView *)self;
    return guard_get_view(&message->batch->guard, self, view, message->data,
                          message->actual_size, flags);
}

void msg_view_releasebuffer(PyObject *self, Py_buffer *view) {
    (void)view;
    guard_release_view(&((RxMsgView *)self)->batch->guard);
}

PyMemberDef msg_view_members[] = {{"actual_size", T_PYSSIZET,
                                   offsetof(RxMsgView, actual_size), READONLY,
                                   "Size of the payload in bytes."},
                                  {"type_id", T_UINT, offsetof(RxMsgView, type_id),
                                   READONLY, "Type of the message, 0 to 2**32 - 1."},
                                  {NULL, 0, 0, 0, NULL}};

PyMethodDef msg_view_methods[] = {
    FAST("__dlpack__", dlpack),
    PLAIN("__dlpack_device__", dlpack_device, METH_NOARGS),
    {NULL, NULL, 0, NULL}};
