/* SPDX-License-Identifier: Apache-2.0 */
/* Sending: TxGuard, and send() which needs none. */

typedef struct TxGuard {
    Guard guard;
    void *data;
    size_t reserved;
    size_t actual_size;
    uint32_t type_id;
    bool flush; /* leaving the block flushes */
} TxGuard;

/* ---- Acquiring ---- */

typedef struct TxCall {
    size_t size;
    void *data;
} TxCall;

static bool attempt_acquire_tx(TachyonBus *bus, void *context, int64_t timeout_ns) {
    TxCall *call = context;
    call->data =
        tachyon_acquire_tx_timed(bus->handle, call->size, DEFAULT_SPIN, timeout_ns);
    return call->data != NULL;
}

/* Whether and how long to wait for room. */
typedef struct Patience {
    bool block;
    seconds_t timeout_ns;
} Patience;

static int parse_patience(PyObject *block, PyObject *timeout, Patience *patience) {
    int truth = block ? PyObject_IsTrue(block) : 1;
    patience->block = truth > 0;
    return truth < 0 ? -1 : parse_timeout(timeout, &patience->timeout_ns);
}

/* After an attempt that did not wait: 0 to wait, -1 with an exception. */
static int may_wait_for_room(const Patience *patience) {
    if (!patience->block) {
        raise_last();
        return -1;
    }
    return may_wait(TACHYON_ERR_FULL, patience->timeout_ns);
}

static PyObject *acquire_tx(TachyonBus *bus, PyObject *size, uint32_t type_id,
                            PyObject *timeout, PyObject *block, bool flush) {
    TxCall call;
    Patience patience;
    uint64_t bytes = 0;
    if (parse_unsigned(size, "size", SIZE_MAX, &bytes) < 0 ||
        parse_patience(block, timeout, &patience) < 0 || bus_claim(bus, &bus->tx) < 0) {
        return NULL;
    }
    call.size = (size_t)bytes;
    call.data = tachyon_acquire_tx(bus->handle, call.size);
    if (!call.data && (may_wait_for_room(&patience) < 0 ||
                       bus_wait_open(bus, &bus->tx, attempt_acquire_tx, &call,
                                     patience.timeout_ns) < 0)) {
        return NULL;
    }
    TxGuard *tx = object_new(&bus->tx_guards, SWIGTYPE_p_TxGuard, sizeof *tx);
    if (!tx) {
        tachyon_rollback_tx(bus->handle);
        return NULL;
    }
    guard_init(&tx->guard, bus->self, bus->handle, &bus->tx, tachyon_rollback_tx);
    tx->data = call.data;
    tx->reserved = call.size;
    tx->actual_size = 0;
    tx->type_id = type_id;
    tx->flush = flush;
    return (PyObject *)tx;
}

/* ---- send() ---- */

typedef struct SendCall {
    const void *payload;
    size_t size;
    uint32_t type_id;
} SendCall;

static bool attempt_send(TachyonBus *bus, void *context, int64_t timeout_ns) {
    const SendCall *call = context;
    return tachyon_send(bus->handle, call->payload, call->size, call->type_id,
                        DEFAULT_SPIN, timeout_ns) == TACHYON_SUCCESS;
}

static int send_payload(TachyonBus *bus, SendCall *call, const Patience *patience) {
    if (bus_claim(bus, &bus->tx) < 0) {
        return -1;
    }
    if (attempt_send(bus, call, 0)) {
        return 0;
    }
    if (may_wait_for_room(patience) < 0) {
        return -1;
    }
    return bus_wait(bus, &bus->tx, attempt_send, call, patience->timeout_ns);
}

static PyObject *bus_send(TachyonBus *bus, PyObject *data, PyObject *type_id,
                          PyObject *timeout, PyObject *block) {
    SendCall call = {0};
    Patience patience;
    int sent;
    if (parse_type_id(type_id, &call.type_id) < 0 ||
        parse_patience(block, timeout, &patience) < 0) {
        return NULL;
    }
    if (PyBytes_CheckExact(data)) {
        call.payload = PyBytes_AS_STRING(data);
        call.size = (size_t)PyBytes_GET_SIZE(data);
        sent = send_payload(bus, &call, &patience);
    } else {
        Py_buffer view;
        if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) {
            return NULL;
        }
        call.payload = view.buf;
        call.size = (size_t)view.len;
        sent = send_payload(bus, &call, &patience);
        PyBuffer_Release(&view);
    }
    return sent < 0 ? NULL : Py_NewRef(Py_None);
}

/* ---- The guard ---- */

static PyObject *tx_guard_exit(PyObject *self, PyObject *const *args,
                               Py_ssize_t nargs) {
    TxGuard *tx = (TxGuard *)self;
    int finish = guard_leave(&tx->guard);
    if (finish < 0) {
        return NULL;
    }
    bool failed = nargs > 0 && args[0] != Py_None;
    if (finish > 0 && failed) {
        tachyon_rollback_tx(tx->guard.handle);
    } else if (finish > 0) {
        if (tachyon_commit_tx(tx->guard.handle, tx->actual_size, tx->type_id) !=
            TACHYON_SUCCESS) {
            raise_last();
            tachyon_rollback_tx(tx->guard.handle);
            return NULL;
        }
        if (tx->flush) {
            tachyon_flush(tx->guard.handle);
        }
    } else if (tx->guard.state == GUARD_LOST && !failed) {
        return raise_error(TACHYON_ERR_CLOSED,
                           "the bus was closed before this message was sent", 0);
    }
    Py_RETURN_FALSE;
}

static int tx_guard_getbuffer(PyObject *self, Py_buffer *view, int flags) {
    TxGuard *tx = (TxGuard *)self;
    return guard_get_view(&tx->guard, self, view, tx->data, tx->reserved, false, flags);
}

static void tx_guard_releasebuffer(PyObject *self, Py_buffer *view) {
    (void)view;
    guard_release_view(&((TxGuard *)self)->guard);
}

static void tx_guard_dealloc(PyObject *self) {
    TxGuard *tx = (TxGuard *)self;
    guard_dealloc(&tx->guard, &bus_of(tx->guard.owner)->tx_guards);
}

static int tx_guard_writable(const TxGuard *tx, PyObject *value, const char *name) {
    if (!value) {
        PyErr_Format(PyExc_AttributeError, "cannot delete %s", name);
        return -1;
    }
    if (tx->guard.state != GUARD_OPEN) {
        PyErr_Format(TachyonError, "cannot set %s: this guard was left", name);
        return -1;
    }
    return 0;
}

static PyObject *tx_guard_get_actual_size(PyObject *self, void *unused) {
    (void)unused;
    return PyLong_FromSize_t(((TxGuard *)self)->actual_size);
}

static int tx_guard_set_actual_size(PyObject *self, PyObject *value, void *unused) {
    (void)unused;
    TxGuard *tx = (TxGuard *)self;
    uint64_t size = 0;
    if (tx_guard_writable(tx, value, "actual_size") < 0 ||
        parse_unsigned(value, "actual_size", tx->reserved, &size) < 0) {
        return -1;
    }
    tx->actual_size = (size_t)size;
    return 0;
}

static PyObject *tx_guard_get_type_id(PyObject *self, void *unused) {
    (void)unused;
    return PyLong_FromUnsignedLong(((TxGuard *)self)->type_id);
}

static int tx_guard_set_type_id(PyObject *self, PyObject *value, void *unused) {
    (void)unused;
    TxGuard *tx = (TxGuard *)self;
    return tx_guard_writable(tx, value, "type_id") < 0
               ? -1
               : parse_type_id(value, &tx->type_id);
}

static PyGetSetDef tx_guard_getset[] = {
    {"actual_size", tx_guard_get_actual_size, tx_guard_set_actual_size,
     "Bytes to send, at most those reserved; 0 until set.", NULL},
    {"type_id", tx_guard_get_type_id, tx_guard_set_type_id, "Type of the message.",
     NULL},
    {"buf", guard_get_buf, NULL, "A view of the slot, released with the guard.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef tx_guard_methods[] = {
    {"__enter__", guard_enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))tx_guard_exit, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};
