/* SPDX-License-Identifier: Apache-2.0 */
/* Sending: TxGuard, and send() which needs none. */

typedef struct TxGuard TxGuard;

struct TxGuard {
    Guard guard;
    void *data;
    size_t reserved;
    size_t actual_size;
    uint32_t type_id;
    tachyon_error_t (*commit)(TxGuard *);
};

/* ---- Waiting for room ---- */

/* Whether and how long to wait for it. */
typedef struct Patience {
    bool block;
    seconds_t timeout_ns;
} Patience;

static int parse_patience(PyObject *block, PyObject *timeout, Patience *patience) {
    int truth = block ? PyObject_IsTrue(block) : 1;
    patience->block = truth > 0;
    return truth < 0 ? -1 : parse_timeout(timeout, &patience->timeout_ns);
}

/* One attempt to send without waiting: 1 when it has done it, 0 to wait, -1 with an
   exception. In line, as what calls it, so that each attempt is a direct call. */
static inline int try_to_send(TachyonBus *bus, Attempt attempt, void *call,
                              const Patience *patience) {
    if (bus_claim(bus, &bus->tx) < 0) {
        return -1;
    }
    if (attempt(bus, call, 0)) {
        return 1;
    }
    if (!patience->block && tachyon_last_error() == TACHYON_ERR_FULL) {
        raise_error(TACHYON_ERR_FULL, bus->tx.lack, 0);
        return -1;
    }
    return may_wait(&bus->tx, TACHYON_ERR_FULL, patience->timeout_ns);
}

static inline int send_by(TachyonBus *bus, Attempt attempt, void *call,
                          const Patience *patience) {
    int sent = try_to_send(bus, attempt, call, patience);
    return sent != 0 ? sent
                     : bus_wait(bus, &bus->tx, attempt, call, patience->timeout_ns);
}

static inline int reserve_by(TachyonBus *bus, Attempt attempt, void *call,
                             const Patience *patience) {
    int done = try_to_send(bus, attempt, call, patience);
    return done != 0
               ? done
               : bus_wait_open(bus, &bus->tx, attempt, call, patience->timeout_ns);
}

/* ---- Acquiring ---- */

typedef struct TxCall {
    size_t size;
    void *data;
} TxCall;

/* What a message may have at most; for one without a ring that is said later. */
static inline size_t most_of(const TachyonBus *bus) {
    return bus->open ? bus->kind->max_payload(bus->handle) : SIZE_MAX;
}

static int parse_size(const TachyonBus *bus, PyObject *value, const char *name,
                      TxCall *call) {
    uint64_t size = 0;
    if (parse_integer(value, name, 0, most_of(bus), &size) < 0) {
        return -1;
    }
    call->size = (size_t)size;
    return 0;
}

/* A guard of the slot that `call` has reserved. */
static void *tx_guard_new(TachyonBus *bus, swig_type_info *info, const TxCall *call,
                          GiveBack give_back, tachyon_error_t (*commit)(TxGuard *)) {
    TxGuard *tx = object_new(&bus->tx_guards, info);
    if (!tx) {
        give_back(bus->handle);
        return NULL;
    }
    guard_init(&tx->guard, bus->self, bus->handle, &bus->tx, give_back);
    tx->data = call->data;
    tx->reserved = call->size;
    tx->actual_size = call->size;
    tx->type_id = 0;
    tx->commit = commit;
    return tx;
}

static bool attempt_acquire_tx(TachyonBus *bus, void *context, int64_t timeout_ns) {
    TxCall *call = context;
    call->data =
        tachyon_acquire_tx_timed(bus->handle, call->size, DEFAULT_SPIN, timeout_ns);
    return call->data != NULL;
}

static tachyon_error_t roll_back(void *handle) {
    return tachyon_rollback_tx(handle);
}

static tachyon_error_t commit(TxGuard *tx) {
    return tachyon_commit_tx(tx->guard.handle, tx->actual_size, tx->type_id);
}

static tachyon_error_t commit_and_flush(TxGuard *tx) {
    tachyon_error_t error = commit(tx);
    if (error == TACHYON_SUCCESS) {
        tachyon_flush(tx->guard.handle);
    }
    return error;
}

static PyObject *acquire_tx(TachyonBus *bus, PyObject *size, uint32_t type_id,
                            PyObject *timeout, PyObject *block, bool flush) {
    TxCall call;
    Patience patience;
    if (parse_size(bus, size, flush ? "size" : "max_payload_size", &call) < 0 ||
        parse_patience(block, timeout, &patience) < 0 ||
        reserve_by(bus, attempt_acquire_tx, &call, &patience) < 0) {
        return NULL;
    }
    TxGuard *tx = tx_guard_new(bus, SWIGTYPE_p_TxGuard, &call, roll_back,
                               flush ? commit_and_flush : commit);
    if (tx) {
        tx->type_id = type_id;
    }
    return (PyObject *)tx;
}

/* ---- send() ---- */

typedef struct SendCall {
    Payload payload;
    uint32_t type_id;
} SendCall;

static bool attempt_send(TachyonBus *bus, void *context, int64_t timeout_ns) {
    const SendCall *call = context;
    return tachyon_send(bus->handle, call->payload.data, call->payload.size,
                        call->type_id, DEFAULT_SPIN, timeout_ns) == TACHYON_SUCCESS;
}

static PyObject *bus_send(TachyonBus *bus, PyObject *data, PyObject *type_id,
                          PyObject *timeout, PyObject *block) {
    SendCall call;
    Patience patience;
    call.type_id = 0;
    if (parse_u32(type_id, "type_id", &call.type_id) < 0 ||
        parse_patience(block, timeout, &patience) < 0 ||
        payload_get(data, &call.payload) < 0) {
        return NULL;
    }
    int sent = send_by(bus, attempt_send, &call, &patience);
    payload_release(&call.payload);
    return sent < 0 ? NULL : Py_NewRef(Py_None);
}

/* ---- The guard ---- */

static PyObject *tx_guard_exit(PyObject *self, PyObject *const *args,
                               Py_ssize_t nargs) {
    TxGuard *tx = (TxGuard *)self;
    PyObject *exception = exception_of(args, nargs);
    int finish = guard_leave(&tx->guard, exception);
    if (finish < 0) {
        return NULL;
    }
    if (finish > 0 && exception) {
        tx->guard.give_back(tx->guard.handle);
    } else if (finish > 0) {
        if (tx->commit(tx) != TACHYON_SUCCESS) {
            raise_last();
            tx->guard.give_back(tx->guard.handle);
            return NULL;
        }
    } else if (tx->guard.state == GUARD_LOST && !exception) {
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

/* May an attribute be set to the number that `value` has turned out to be? Asked last:
   its __index__ may have left the guard. */
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
    if (parse_integer(value, "actual_size", 0, tx->reserved, &size) < 0 ||
        tx_guard_writable(tx, value, "actual_size") < 0) {
        return -1;
    }
    tx->actual_size = (size_t)size;
    return 0;
}

static PyObject *tx_guard_get_type_id(PyObject *self, void *unused) {
    (void)unused;
    return PyLong_FromUnsignedLong(((TxGuard *)self)->type_id);
}

static int tx_guard_set_type_id(PyObject *self, PyObject *value, void *name) {
    TxGuard *tx = (TxGuard *)self;
    uint32_t type_id = 0;
    if (parse_u32(value, name, &type_id) < 0 ||
        tx_guard_writable(tx, value, name) < 0) {
        return -1;
    }
    tx->type_id = type_id;
    return 0;
}

#define ACTUAL_SIZE_OF_TX_GUARD                                                        \
    {"actual_size", tx_guard_get_actual_size, tx_guard_set_actual_size,                \
     "Bytes to send, all that are reserved until set; ValueError for more.", NULL}
#define BUF_OF_TX_GUARD                                                                \
    {"buf", guard_get_buf, NULL,                                                       \
     "A writable memoryview of the slot's bytes, released with the guard.", NULL}

static PyGetSetDef tx_guard_getset[] = {
    ACTUAL_SIZE_OF_TX_GUARD,
    {"type_id", tx_guard_get_type_id, tx_guard_set_type_id,
     "Type of the message, 0 to 2**32 - 1.", (void *)(uintptr_t)"type_id"},
    BUF_OF_TX_GUARD,
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef tx_guard_methods[] = {
    {"__enter__", guard_enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))tx_guard_exit, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};
