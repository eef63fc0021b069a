/* SPDX-License-Identifier: Apache-2.0 */
/* Receiving many messages: RxBatchGuard. Their places lie in the bus's own array, since
   only one batch is open at a time. */

typedef struct RxBatchGuard {
    Guard guard;
    Py_ssize_t count;
    Py_ssize_t shape[2]; /* of the batch as one array of bytes */
    Py_ssize_t strides[2];
    bool whole; /* a view is to have all from the first message to the last */
} RxBatchGuard;

typedef struct DrainCall {
    size_t max_msgs;
    size_t count;
    uint32_t spin_threshold;
} DrainCall;

enum { DEFAULT_BATCH = 1024, LINE_BYTES = 64 };

static bool attempt_drain(TachyonBus *bus, void *context, int64_t timeout_ns) {
    DrainCall *call = context;
    call->count = tachyon_drain_batch_timed(bus->handle, bus->views, call->max_msgs,
                                            call->spin_threshold, timeout_ns);
    return call->count > 0;
}

/* Room for `*count` views, or for as many messages as the ring can hold. */
static int reserve_views(TachyonBus *bus, size_t *count) {
    if (*count <= bus->views_capacity) {
        return 0;
    }
    tachyon_stats_t stats;
    if (tachyon_bus_get_stats(bus->handle, &stats) != TACHYON_SUCCESS) {
        raise_last();
        return -1;
    }
    size_t possible = (size_t)stats.capacity / LINE_BYTES;
    if (*count > possible) {
        *count = possible;
    }
    if (*count > bus->views_capacity) {
        tachyon_msg_view_t *views = PyMem_New(tachyon_msg_view_t, *count);
        if (!views) {
            PyErr_NoMemory();
            return -1;
        }
        PyMem_Free(bus->views);
        bus->views = views;
        bus->views_capacity = *count;
    }
    return 0;
}

static PyObject *drain_batch(TachyonBus *bus, PyObject *max_msgs,
                             PyObject *spin_threshold, PyObject *timeout) {
    DrainCall call = {.spin_threshold = DEFAULT_SPIN};
    seconds_t timeout_ns;
    uint64_t most = DEFAULT_BATCH;
    if (parse_integer(max_msgs, "max_msgs", 1, SIZE_MAX, &most) < 0 ||
        parse_spin(spin_threshold, &call.spin_threshold) < 0 ||
        parse_timeout(timeout, &timeout_ns) < 0) {
        return NULL;
    }
    call.max_msgs = (size_t)most;
    if (bus_claim(bus, &bus->rx) < 0 || reserve_views(bus, &call.max_msgs) < 0) {
        return NULL;
    }
    call.count = tachyon_acquire_rx_batch(bus->handle, bus->views, call.max_msgs);
    if (call.count == 0 &&
        (may_wait(&bus->rx, TACHYON_ERR_EMPTY, timeout_ns) < 0 ||
         bus_wait_open(bus, &bus->rx, attempt_drain, &call, timeout_ns) < 0)) {
        return NULL;
    }
    RxBatchGuard *batch = object_new(&bus->rx_batches, SWIGTYPE_p_RxBatchGuard);
    if (!batch) {
        return NULL; /* not committed: the messages come again */
    }
    guard_init(&batch->guard, bus->self, bus->handle, &bus->rx, release);
    batch->count = (Py_ssize_t)call.count;
    batch->whole = false;
    return (PyObject *)batch;
}

static Py_ssize_t rx_batch_length(PyObject *self) {
    return ((RxBatchGuard *)self)->count;
}

static void rx_batch_dealloc(PyObject *self) {
    RxBatchGuard *batch = (RxBatchGuard *)self;
    guard_dealloc(&batch->guard, &bus_of(batch->guard.owner)->rx_batches);
}

/* ---- As one array in the ring ---- */

enum {
    ANY_CONTIGUOUS = (PyBUF_C_CONTIGUOUS | PyBUF_F_CONTIGUOUS | PyBUF_ANY_CONTIGUOUS) &
                     ~PyBUF_STRIDES
};

/* Find the batch's shape and strides, and whether a view may be had with `flags`. */
static int rx_batch_measure(RxBatchGuard *batch, int flags) {
    const tachyon_msg_view_t *views = bus_of(batch->guard.owner)->views;
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

static int rx_batch_getbuffer(PyObject *self, Py_buffer *view, int flags) {
    RxBatchGuard *batch = (RxBatchGuard *)self;
    const tachyon_msg_view_t *first = bus_of(batch->guard.owner)->views;
    view->obj = NULL;
    if (batch->whole) {
        size_t all = (size_t)((batch->count - 1) * batch->strides[0] + batch->shape[1]);
        return guard_get_view(&batch->guard, self, view, first->ptr, all, true, flags);
    }
    if (batch->guard.state == GUARD_OPEN && rx_batch_measure(batch, flags) < 0) {
        return -1;
    }
    if (guard_get_view(&batch->guard, self, view, first->ptr, first->actual_size, true,
                       flags) < 0) {
        return -1;
    }
    view->len *= batch->count;
    if ((flags & PyBUF_ND) == PyBUF_ND) {
        view->ndim = 2;
        view->shape = batch->shape;
    }
    if ((flags & PyBUF_STRIDES) == PyBUF_STRIDES) {
        view->strides = batch->strides;
    }
    return 0;
}

static void rx_batch_releasebuffer(PyObject *self, Py_buffer *view) {
    (void)view;
    guard_release_view(&((RxBatchGuard *)self)->guard);
}

/* NumPy makes an array with strides soonest from one view of all the memory. The rest
   is in Python, imported with NumPy when it is first wanted. */
static PyObject *rx_batch_array(PyObject *self, PyObject *dtype) {
    static PyObject *array_over;
    RxBatchGuard *batch = (RxBatchGuard *)self;
    if (!array_over) {
        PyObject *module = PyImport_ImportModule("tachyon.ndarray");
        array_over = module ? PyObject_GetAttrString(module, "array_over") : NULL;
        Py_XDECREF(module);
    }
    if (!array_over || (batch->guard.state == GUARD_OPEN &&
                        rx_batch_measure(batch, PyBUF_STRIDES) < 0)) {
        return NULL;
    }
    batch->whole = true;
    PyObject *memory = PyMemoryView_FromObject(self);
    batch->whole = false;
    if (!memory) {
        return NULL;
    }
    return PyObject_CallFunction(array_over, "NnnnO", memory, batch->count,
                                 batch->strides[0], batch->shape[1], dtype);
}

static PyMethodDef rx_batch_methods[] = {
    {"array", rx_batch_array, METH_O,
     "array($self, dtype, /)\n--\n\n"
     "The batch as a read-only NumPy array in the ring itself, without a copy.\n\n"
     "dtype: what np.dtype() takes; its itemsize is the size of the messages. The\n"
     "    array has shape (n,) and strides that skip what lies between messages.\n\n"
     "The memory is the batch's: an array, or a part of one, that is left over when "
     "the\n"
     "block ends is a BufferError there, and what it shows stays in the ring until it "
     "is\n"
     "gone. ValueError: messages of another size; TypeError: a dtype with objects;\n"
     "BufferError: messages that are not all of one size."},
    {"__enter__", guard_enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))rx_guard_exit, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};
