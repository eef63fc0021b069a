/* SPDX-License-Identifier: Apache-2.0 */
/* The calls that run once a message, bound by hand: those of TachyonBus, whose guards
   do not flush, and those of BusBase, whose guards do. */

typedef TachyonBus BusBase; /* another face of the same struct */

/* ---- Calls of both ---- */

static PyObject *call_acquire_rx(PyObject *self, PyObject *const *args,
                                 Py_ssize_t nargs, PyObject *kwnames) {
    static Signature signature = {
        "acquire_rx", 0, 2, {"spin_threshold", "timeout"}, {NULL}};
    PyObject *bound[MAX_PARAMETERS] = {NULL};
    return bind_arguments(&signature, args, nargs, kwnames, bound) < 0
               ? NULL
               : acquire_rx(bus_of(self), bound[0], bound[1]);
}

static PyObject *call_drain_batch(PyObject *self, PyObject *const *args,
                                  Py_ssize_t nargs, PyObject *kwnames) {
    static Signature signature = {
        "drain_batch", 0, 3, {"max_msgs", "spin_threshold", "timeout"}, {NULL}};
    PyObject *bound[MAX_PARAMETERS] = {NULL};
    return bind_arguments(&signature, args, nargs, kwnames, bound) < 0
               ? NULL
               : drain_batch(bus_of(self), bound[0], bound[1], bound[2]);
}

/* ---- TachyonBus ---- */

static PyObject *call_acquire_tx(PyObject *self, PyObject *const *args,
                                 Py_ssize_t nargs, PyObject *kwnames) {
    static Signature signature = {
        "acquire_tx", 1, 3, {"max_payload_size", "timeout", "block"}, {NULL}};
    PyObject *bound[MAX_PARAMETERS] = {NULL};
    return bind_arguments(&signature, args, nargs, kwnames, bound) < 0
               ? NULL
               : acquire_tx(bus_of(self), bound[0], 0, bound[1], bound[2], false);
}

#define DRAIN_BATCH                                                                    \
    {"drain_batch", (PyCFunction)(void (*)(void))call_drain_batch,                     \
     METH_FASTCALL | METH_KEYWORDS,                                                    \
     "drain_batch($self, /, max_msgs=1024, spin_threshold=10000, "                     \
     "timeout=None)\n--\n\n"                                                           \
     "Wait for one message, then take up to max_msgs that are there.\n\n"              \
     "max_msgs: 1 or more, else ValueError.\n"                                         \
     "spin_threshold, timeout: as for Bus.recv_zero_copy().\n\n"                       \
     "Returns an RxBatchGuard, a sequence of messages in the ring itself, which are\n" \
     "the bus's again when its `with` block ends. Fails as Bus.recv()."}

static PyMethodDef hot_methods[] = {
    {"acquire_tx", (PyCFunction)(void (*)(void))call_acquire_tx,
     METH_FASTCALL | METH_KEYWORDS,
     "acquire_tx($self, /, max_payload_size, timeout=None, block=True)\n--\n\n"
     "Reserve max_payload_size bytes; leaving the guard commits without a flush.\n\n"
     "The other arguments, the guard and what is raised are those of\n"
     "Bus.send_zero_copy(); set `actual_size` and `type_id` of the guard."},
    {"acquire_rx", (PyCFunction)(void (*)(void))call_acquire_rx,
     METH_FASTCALL | METH_KEYWORDS,
     "acquire_rx($self, /, spin_threshold=10000, timeout=None)\n--\n\n"
     "Wait for one message and read it in place; leaving the guard releases it.\n\n"
     "Arguments, guard and what is raised are those of Bus.recv_zero_copy()."},
    DRAIN_BATCH,
    {NULL, NULL, 0, NULL},
};

/* Beside SWIG's own methods, not in their place: no table to fall out of step. */
static int add_hot_methods(swig_type_info *info, PyMethodDef *methods) {
    for (PyMethodDef *method = methods; method->ml_name; ++method) {
        if (add_method(type_of(info), method) < 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- BusBase ---- */

/* An object of `type` round `low`, whose reference it takes over. */
static PyObject *face_new(PyTypeObject *type, swig_type_info *info, PyObject *low) {
    /* Not by tp_alloc: Python 3.12 would then look each method up in the slow way. */
    PyObject *nothing = PyTuple_New(0);
    SwigPyObject *object =
        low && nothing ? (SwigPyObject *)PyBaseObject_Type.tp_new(type, nothing, NULL)
                       : NULL;
    Py_XDECREF(nothing);
    if (!object) {
        Py_XDECREF(low);
        return NULL;
    }
    object->ptr = bus_of(low);
    object->ty = info;
    return (PyObject *)object;
}

static PyObject *bus_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    return face_new(type, SWIGTYPE_p_BusBase,
                    tachyon_bus_new(type_of(SWIGTYPE_p_TachyonBus), args, kwargs));
}

static int bus_init(PyObject *self, PyObject *args, PyObject *kwargs) {
    return tachyon_bus_init(self, args, kwargs);
}

static int bus_traverse(PyObject *self, visitproc visit, void *arg) {
    TachyonBus *bus = bus_of(self);
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(bus ? bus->self : NULL);
    return 0;
}

static void bus_dealloc(PyObject *self) {
    TachyonBus *bus = bus_of(self);
    PyObject_GC_UnTrack(self);
    if (bus) {
        Py_DECREF(bus->self);
    }
    object_free(self);
}

static PyObject *bus_next(PyObject *self) {
    return next_message(bus_of(self));
}

static PyObject *call_send(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                           PyObject *kwnames) {
    static Signature signature = {
        "send", 1, 4, {"data", "type_id", "timeout", "block"}, {NULL}};
    PyObject *bound[MAX_PARAMETERS] = {NULL};
    return bind_arguments(&signature, args, nargs, kwnames, bound) < 0
               ? NULL
               : bus_send(bus_of(self), bound[0], bound[1], bound[2], bound[3]);
}

static PyObject *call_send_zero_copy(PyObject *self, PyObject *const *args,
                                     Py_ssize_t nargs, PyObject *kwnames) {
    static Signature signature = {
        "send_zero_copy", 1, 4, {"size", "type_id", "timeout", "block"}, {NULL}};
    PyObject *bound[MAX_PARAMETERS] = {NULL};
    uint32_t type_id = 0;
    if (bind_arguments(&signature, args, nargs, kwnames, bound) < 0 ||
        parse_u32(bound[1], "type_id", &type_id) < 0) {
        return NULL;
    }
    return acquire_tx(bus_of(self), bound[0], type_id, bound[2], bound[3], true);
}

static PyObject *call_recv(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                           PyObject *kwnames) {
    static Signature signature = {"recv", 0, 1, {"timeout"}, {NULL}};
    PyObject *bound[MAX_PARAMETERS] = {NULL};
    return bind_arguments(&signature, args, nargs, kwnames, bound) < 0
               ? NULL
               : receive_message(bus_of(self), bound[0]);
}

static PyObject *call_recv_zero_copy(PyObject *self, PyObject *const *args,
                                     Py_ssize_t nargs, PyObject *kwnames) {
    static Signature signature = {
        "recv_zero_copy", 0, 2, {"timeout", "spin_threshold"}, {NULL}};
    PyObject *bound[MAX_PARAMETERS] = {NULL};
    return bind_arguments(&signature, args, nargs, kwnames, bound) < 0
               ? NULL
               : acquire_rx(bus_of(self), bound[1], bound[0]);
}

static PyObject *bus_enter(PyObject *self, PyObject *unused) {
    (void)unused;
    const TachyonBus *bus = bus_of(self);
    return bus->open ? Py_NewRef(self) : raise_not_open(bus);
}

static PyObject *bus_exit(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
    return bus_leave(bus_of(self), exception_of(args, nargs));
}

static PyObject *call_close(PyObject *self, PyObject *unused) {
    (void)unused;
    return TachyonBus_destroy(bus_of(self));
}

static PyObject *call_abort(PyObject *self, PyObject *unused) {
    (void)unused;
    return TachyonBus_abort(bus_of(self));
}

#define ENDING_METHODS                                                                 \
    {"close", call_close, METH_NOARGS,                                                 \
     "close($self, /)\n--\n\n"                                                         \
     "Flush, end the stream and release the ring, as leaving a `with` block does.\n\n" \
     "From any thread, and as often as one likes. A call that waits in another\n"      \
     "thread or task ends with ClosedError, and so does every later one. "             \
     "BufferError,\n"                                                                  \
     "and nothing is done, while a view points into the ring."},                       \
        {"abort", call_abort, METH_NOARGS,                                             \
         "abort($self, /)\n--\n\n"                                                     \
         "Cut the stream off, as leaving a `with` block by an exception does.\n\n"     \
         "The peer gets what was sent before and then AbortedError, so that it "       \
         "takes\n"                                                                     \
         "no half for the whole. A guard that is open sends nothing. Otherwise as\n"   \
         "close(), but views do not stop it: what they show is kept for them."},       \
        {"__enter__", bus_enter, METH_NOARGS, NULL}, {                                 \
        "__exit__", (PyCFunction)(void (*)(void))bus_exit, METH_FASTCALL, NULL         \
    }

static PyObject *bus_get_low(PyObject *self, void *unused) {
    (void)unused;
    return Py_NewRef(bus_of(self)->self);
}

static PyGetSetDef bus_getset[] = {
    {"_bus", bus_get_low, NULL, "The low-level TachyonBus of this bus.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef bus_methods[] = {
    {"send", (PyCFunction)(void (*)(void))call_send, METH_FASTCALL | METH_KEYWORDS,
     "send($self, /, data, type_id=0, timeout=None, block=True)\n--\n\n"
     "Copy one message into the ring and make it visible.\n\n"
     "data: bytes or any C-contiguous buffer, 0 to max_payload bytes of it. One of\n"
     "    Python objects or pointers is a TypeError: they mean nothing elsewhere.\n"
     "type_id: a number for the receiver, 0 to 2**32 - 1.\n"
     "timeout: seconds to wait for room, then TimeoutError; None waits for ever.\n"
     "block: False raises RingFull at once where there is no room.\n\n"
     "ValueError when data can never fit or an argument is out of range, BufferError\n"
     "when it is not contiguous; PeerDeadError or ClosedError when nobody will read\n"
     "it; TachyonError when this end receives, another thread is sending or a guard\n"
     "is open. Nothing is sent then."},
    {"send_zero_copy", (PyCFunction)(void (*)(void))call_send_zero_copy,
     METH_FASTCALL | METH_KEYWORDS,
     "send_zero_copy($self, /, size, type_id=0, timeout=None, block=True)\n--\n\n"
     "Reserve `size` bytes in the ring; leaving the guard sends them.\n\n"
     "size: 0 to max_payload.\n"
     "type_id, timeout, block: as for send().\n\n"
     "Returns a TxGuard for a `with` block: write through its `buf`, or through\n"
     "memoryview() of it, and set its `actual_size` if that were fewer bytes. The\n"
     "memory is the bus's: a view that outlives the block is a BufferError there, and\n"
     "the slot is kept until it is gone. An exception in the block sends nothing.\n"
     "Otherwise waits and fails as send()."},
    {"recv", (PyCFunction)(void (*)(void))call_recv, METH_FASTCALL | METH_KEYWORDS,
     "recv($self, /, timeout=None)\n--\n\n"
     "Wait for one message and return a copy of it, a Message.\n\n"
     "timeout: seconds, then TimeoutError; None waits for ever, 0 does not wait.\n\n"
     "ClosedError at the end of the stream, PeerDeadError when the peer died; what it\n"
     "had sent comes first. TachyonError when this end sends, another thread is\n"
     "receiving or a guard is open."},
    {"recv_zero_copy", (PyCFunction)(void (*)(void))call_recv_zero_copy,
     METH_FASTCALL | METH_KEYWORDS,
     "recv_zero_copy($self, /, timeout=None, spin_threshold=10000)\n--\n\n"
     "Wait for one message and read it in place; leaving the guard releases it.\n\n"
     "timeout: as for recv().\n"
     "spin_threshold: looks before this end goes to sleep, 0 to 2**32 - 1.\n\n"
     "Returns an RxGuard for a `with` block: read its `buf`, or memoryview() of it. "
     "The\n"
     "memory is the bus's: a view that outlives the block is a BufferError there, and\n"
     "the message stays in the ring until it is gone. Otherwise fails as recv()."},
    DRAIN_BATCH,
    SEND_BATCH,
    RECV_BATCH_INTO,
    ENDING_METHODS,
    {NULL, NULL, 0, NULL},
};
