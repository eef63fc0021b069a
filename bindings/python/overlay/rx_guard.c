/* SPDX-License-Identifier: Apache-2.0 */
/* Receiving one message: RxGuard in place, Message as a copy. */
#include "slots.h"

static PyObject *acquire(End *end, PyObject *spin_threshold, PyObject *timeout) {
    RxCall call;
    if (parse_spin(spin_threshold, &call.spin_threshold) < 0 ||
        receive_next(end, &call, timeout, false) < 0)
        return NULL;
    return (PyObject *)rx_guard_new(end, types.RxGuard, &call, release_message);
}

METHOD(acquire_rx) {
    BIND("acquire_rx", 0, 2, 0, {"spin_threshold", "timeout"});
    return acquire(end_of(self), bound[0], bound[1]);
}

METHOD(recv_zero_copy) {
    BIND("recv_zero_copy", 0, 2, 0, {"timeout", "spin_threshold"});
    return acquire(end_of(self), bound[1], bound[0]);
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

typedef struct CopyMessage {
    const RxCall *from;
    char *into;
} CopyMessage;

static inline bool attempt_copy(End *end, void *context, int64_t timeout_ns) {
    const CopyMessage *call = context;
    (void)end;
    (void)timeout_ns;
    memcpy(call->into, call->from->data, call->from->size);
    return true;
}

static inline PyObject *receive_message(End *end, PyObject *timeout) {
    RxCall call = {.spin_threshold = TACHYON_DEFAULT_SPIN};
    if (receive_next(end, &call, timeout, false) < 0)
        return NULL;
    PyObject *type_id = PyLong_FromUnsignedLong(call.type_id);
    PyObject *size = PyLong_FromSize_t(call.size);
    PyObject *data = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)call.size);
    /* Copied and released before the tuple: making that may collect garbage, whose
       finalizers may receive. What was not comes again. */
    if (type_id && size && data) {
        CopyMessage copy = {&call, PyBytes_AS_STRING(data)};
        expect_filled(copy.into, call.size);
        if (copy_out(end, attempt_copy, &copy, call.size) == 0)
            return message_new(type_id, size, data);
    }
    Py_XDECREF(type_id);
    Py_XDECREF(size);
    Py_XDECREF(data);
    return NULL;
}

METHOD(recv) {
    BIND("recv", 0, 1, 0, {"timeout"});
    return receive_message(end_of(self), bound[0]);
}

PyObject *bus_base_next(PyObject *self) {
    End *end = end_of(self);
    return next_or_end(end, receive_message(end, NULL));
}

/* What a class made in Python does for slots, weak references and finalizers takes
   longer than all the rest, and a Message has none of them; a class derived from it
   sees to its own and then calls this. */
static void message_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_TRASHCAN_BEGIN(self, message_dealloc); /* messages in messages in messages */
    for (Py_ssize_t i = Py_SIZE(self); i-- > 0;)
        Py_XDECREF(PyTuple_GET_ITEM(self, i));
    type->tp_free(self);
    Py_DECREF(type);
    Py_TRASHCAN_END;
}

int message_init(void) {
    Message = (PyTypeObject *)import_from("tachyon.message", "Message");
    if (!Message)
        return -1;
    Message->tp_dealloc = message_dealloc;
    return 0;
}

/* ---- The guard, of one message or of a batch ---- */

PyObject *rx_guard_exit(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
    Guard *guard = (Guard *)self;
    PyObject *exception = exception_of(args, nargs);
    int finish = guard_leave(guard, exception);
    if (finish < 0)
        return NULL;
    if (finish > 0 && guard->give_back(end_of(guard->owner)) != TACHYON_SUCCESS &&
        !exception)
        return raise_last();
    Py_RETURN_FALSE;
}

/* The block is over, and the message stays, so that it comes again: it was not what the
   caller takes. */
static PyObject *put_back(PyObject *self, PyObject *unused) {
    (void)unused;
    if (guard_leave((Guard *)self, NULL) < 0)
        return NULL;
    Py_RETURN_NONE;
}

#define MEMBERS                                                                        \
    {"actual_size", T_PYSSIZET, offsetof(Guard, size), READONLY,                       \
     "Size of the payload in bytes."},                                                 \
        {"type_id", T_UINT, offsetof(Guard, type_id), READONLY,                        \
         "Type of the message, 0 to 2**32 - 1."}

PyMemberDef rx_guard_members[] = {MEMBERS, {NULL, 0, 0, 0, NULL}};
PyMemberDef rpc_rx_members[] = {MEMBERS,
                                {"correlation_id", T_ULONGLONG,
                                 offsetof(Guard, correlation_id), READONLY,
                                 "The call that this is of."},
                                {NULL, 0, 0, 0, NULL}};

PyGetSetDef rx_guard_getset[] = {
    {"buf", guard_get_buf, NULL,
     "A read-only memoryview of the payload, released with the guard.", NULL},
    {NULL, NULL, NULL, NULL, NULL}};

#define BLOCK                                                                          \
    PLAIN("__enter__", guard_enter, METH_NOARGS),                                      \
        PLAIN("__exit__", rx_guard_exit, METH_FASTCALL), {                             \
        NULL, NULL, 0, NULL                                                            \
    }

PyMethodDef rx_guard_methods[] = {PLAIN("_put_back", put_back, METH_NOARGS), BLOCK};
PyMethodDef rpc_rx_methods[] = {BLOCK};
