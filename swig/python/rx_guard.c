/* SPDX-License-Identifier: Apache-2.0 */
/* Receiving one message: RxGuard in place, Message as a copy. */

typedef struct RxGuard {
    Guard guard;
    const void *data;
    size_t actual_size;
    uint32_t type_id;
} RxGuard;

typedef struct RxCall {
    const void *data;
    size_t size;
    uint32_t type_id;
    uint32_t spin_threshold;
} RxCall;

static bool attempt_acquire_rx(TachyonBus *bus, void *context, int64_t timeout_ns) {
    RxCall *call = context;
    call->data = tachyon_acquire_rx_timed(bus->handle, &call->type_id, &call->size,
                                          call->spin_threshold, timeout_ns);
    return call->data != NULL;
}

static inline int receive_by(TachyonBus *bus, Attempt attempt, void *call,
                             PyObject *timeout) {
    seconds_t timeout_ns;
    if (parse_timeout(timeout, &timeout_ns) < 0 || bus_claim(bus, &bus->rx) < 0) {
        return -1;
    }
    if (attempt(bus, call, 0)) {
        return 0;
    }
    if (may_wait(&bus->rx, TACHYON_ERR_EMPTY, timeout_ns) < 0) {
        return -1;
    }
    return bus_wait_open(bus, &bus->rx, attempt, call, timeout_ns);
}

static tachyon_error_t release(void *handle) {
    return tachyon_commit_rx(handle);
}

/* A guard of what `call` has received. NULL: not released, so it comes again. */
static void *rx_guard_new(TachyonBus *bus, swig_type_info *info, const RxCall *call,
                          GiveBack give_back) {
    RxGuard *rx = object_new(&bus->rx_guards, info);
    if (rx) {
        guard_init(&rx->guard, bus->self, bus->handle, &bus->rx, give_back);
        rx->data = call->data;
        rx->actual_size = call->size;
        rx->type_id = call->type_id;
    }
    return rx;
}

static PyObject *acquire_rx(TachyonBus *bus, PyObject *spin_threshold,
                            PyObject *timeout) {
    RxCall call = {.spin_threshold = DEFAULT_SPIN};
    if (parse_spin(spin_threshold, &call.spin_threshold) < 0 ||
        receive_by(bus, attempt_acquire_rx, &call, timeout) < 0) {
        return NULL;
    }
    return rx_guard_new(bus, SWIGTYPE_p_RxGuard, &call, release);
}

/* ---- Message ---- */

static PyTypeObject *Message; /* the NamedTuple of tachyon.message */

/* What tuple.__new__ does for a subclass, without the tuple to copy from. Steals. */
static inline PyObject *message_new(PyObject *type_id, PyObject *size, PyObject *data) {
    PyObject *message = Message->tp_alloc(Message, 3);
    if (!message) {
        Py_DECREF(type_id);
        Py_DECREF(size);
        Py_DECREF(data);
        return NULL;
    }
#if PY_VERSION_HEX >= 0x030E0000
    ((PyTupleObject *)message)->ob_hash = -1; /* not computed yet */
#endif
    PyTuple_SET_ITEM(message, 0, type_id);
    PyTuple_SET_ITEM(message, 1, size);
    PyTuple_SET_ITEM(message, 2, data);
    return message;
}

static inline PyObject *receive_message(TachyonBus *bus, PyObject *timeout) {
    RxCall call = {.spin_threshold = DEFAULT_SPIN};
    if (receive_by(bus, attempt_acquire_rx, &call, timeout) < 0) {
        return NULL;
    }
    PyObject *type_id = PyLong_FromUnsignedLong(call.type_id);
    PyObject *size = PyLong_FromSize_t(call.size);
    PyObject *data = PyBytes_FromStringAndSize(call.data, (Py_ssize_t)call.size);
    if (!type_id || !size || !data) {
        Py_XDECREF(type_id);
        Py_XDECREF(size);
        Py_XDECREF(data);
        return NULL; /* not committed: the message comes again */
    }
    /* Before the tuple: making that may collect garbage, whose finalizers may receive.
     */
    tachyon_commit_rx(bus->handle);
    return message_new(type_id, size, data);
}

/* tp_iternext: ends with the stream. */
static PyObject *next_message(TachyonBus *bus) {
    PyObject *message = receive_message(bus, NULL);
    if (!message && bus->open && PyErr_ExceptionMatches(ClosedError)) {
        PyErr_Clear();
    }
    return message;
}

/* What a class made in Python does for slots, weak references and finalizers takes
   longer than all the rest, and a Message has none of them; a class derived from it
   sees to its own and then calls this. */
static void message_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_TRASHCAN_BEGIN(self, message_dealloc); /* messages in messages in messages */
    for (Py_ssize_t i = Py_SIZE(self); i-- > 0;) {
        Py_XDECREF(PyTuple_GET_ITEM(self, i));
    }
    type->tp_free(self);
    Py_DECREF(type);
    Py_TRASHCAN_END;
}

static int message_init(void) {
    PyObject *module = PyImport_ImportModule("tachyon.message");
    if (!module) {
        return -1;
    }
    Message = (PyTypeObject *)PyObject_GetAttrString(module, "Message");
    Py_DECREF(module);
    if (!Message) {
        return -1;
    }
    Message->tp_dealloc = message_dealloc;
    return 0;
}

/* ---- The guard ---- */

static PyObject *rx_guard_exit(PyObject *self, PyObject *const *args,
                               Py_ssize_t nargs) {
    Guard *guard = (Guard *)self; /* of one message or of a batch */
    PyObject *exception = exception_of(args, nargs);
    int finish = guard_leave(guard, exception);
    if (finish < 0) {
        return NULL;
    }
    if (finish > 0 && guard->give_back(guard->handle) != TACHYON_SUCCESS &&
        !exception) {
        return raise_last();
    }
    Py_RETURN_FALSE;
}

static int rx_guard_getbuffer(PyObject *self, Py_buffer *view, int flags) {
    RxGuard *rx = (RxGuard *)self;
    return guard_get_view(&rx->guard, self, view, rx->data, rx->actual_size, true,
                          flags);
}

static void rx_guard_releasebuffer(PyObject *self, Py_buffer *view) {
    (void)view;
    guard_release_view(&((RxGuard *)self)->guard);
}

static void rx_guard_dealloc(PyObject *self) {
    RxGuard *rx = (RxGuard *)self;
    guard_dealloc(&rx->guard, &bus_of(rx->guard.owner)->rx_guards);
}

#define MEMBERS_OF_RX_GUARD                                                            \
    {"actual_size", T_PYSSIZET, offsetof(RxGuard, actual_size), READONLY,              \
     "Size of the payload in bytes."},                                                 \
        {"type_id", T_UINT, offsetof(RxGuard, type_id), READONLY,                      \
         "Type of the message, 0 to 2**32 - 1."}

static PyMemberDef rx_guard_members[] = {
    MEMBERS_OF_RX_GUARD,
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef rx_guard_getset[] = {
    {"buf", guard_get_buf, NULL,
     "A read-only memoryview of the payload, released with the guard.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef rx_guard_methods[] = {
    {"__enter__", guard_enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))rx_guard_exit, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};
