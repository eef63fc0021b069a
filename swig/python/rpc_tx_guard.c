/* SPDX-License-Identifier: Apache-2.0 */
/* Sending requests and replies: RpcTxGuard in place, call() and reply() by copy. */

typedef struct RpcTxGuard {
    TxGuard tx;              /* first: its methods are this type's too */
    uint64_t correlation_id; /* of the request that is answered, 0 for a call */
    uint64_t out_cid;
} RpcTxGuard;

/* ---- In place ---- */

static bool attempt_acquire_call(TachyonBus *bus, void *context, int64_t timeout_ns) {
    TxCall *call = context;
    call->data =
        tachyon_rpc_acquire_tx_timed(bus->handle, call->size, DEFAULT_SPIN, timeout_ns);
    return call->data != NULL;
}

static bool attempt_acquire_reply(TachyonBus *bus, void *context, int64_t timeout_ns) {
    TxCall *call = context;
    call->data = tachyon_rpc_acquire_reply_tx_timed(bus->handle, call->size,
                                                    DEFAULT_SPIN, timeout_ns);
    return call->data != NULL;
}

static tachyon_error_t roll_back_call(void *handle) {
    tachyon_rpc_rollback_call(handle);
    return TACHYON_SUCCESS;
}

static tachyon_error_t roll_back_reply(void *handle) {
    tachyon_rpc_rollback_reply(handle);
    return TACHYON_SUCCESS;
}

static tachyon_error_t commit_call(TxGuard *tx) {
    return tachyon_rpc_commit_call(tx->guard.handle, tx->actual_size, tx->type_id,
                                   &((RpcTxGuard *)tx)->out_cid);
}

static tachyon_error_t commit_reply(TxGuard *tx) {
    return tachyon_rpc_commit_reply(tx->guard.handle,
                                    ((RpcTxGuard *)tx)->correlation_id, tx->actual_size,
                                    tx->type_id);
}

/* A slot for a request, or for the reply to the request `correlation_id`. */
static PyObject *rpc_acquire(TachyonRpcBus *bus, PyObject *correlation_id,
                             PyObject *size, PyObject *msg_type, PyObject *timeout) {
    TxCall call;
    Patience patience;
    uint64_t id = 0;
    uint32_t type = 0;
    bool reply = correlation_id != NULL;
    if ((reply && parse_correlation_id(correlation_id, &id) < 0) ||
        parse_size(bus, size, "max_payload_size", &call) < 0 ||
        parse_u32(msg_type, "msg_type", &type) < 0 ||
        parse_patience(NULL, timeout, &patience) < 0 ||
        reserve_by(bus, reply ? attempt_acquire_reply : attempt_acquire_call, &call,
                   &patience) < 0) {
        return NULL;
    }
    RpcTxGuard *guard = tx_guard_new(bus, SWIGTYPE_p_RpcTxGuard, &call,
                                     reply ? roll_back_reply : roll_back_call,
                                     reply ? commit_reply : commit_call);
    if (guard) {
        guard->tx.type_id = type;
        guard->correlation_id = id;
        guard->out_cid = 0;
    }
    return (PyObject *)guard;
}

/* ---- By copy ---- */

typedef struct RpcSend {
    Payload payload;
    uint64_t id;
    uint32_t msg_type;
    uint32_t spin_threshold;
} RpcSend;

static bool attempt_call(TachyonBus *bus, void *context, int64_t timeout_ns) {
    RpcSend *send = context;
    return tachyon_rpc_call_timed(bus->handle, send->payload.data, send->payload.size,
                                  send->msg_type, &send->id, send->spin_threshold,
                                  timeout_ns) == TACHYON_SUCCESS;
}

static bool attempt_reply(TachyonBus *bus, void *context, int64_t timeout_ns) {
    const RpcSend *send = context;
    return tachyon_rpc_reply_timed(bus->handle, send->id, send->payload.data,
                                   send->payload.size, send->msg_type,
                                   send->spin_threshold, timeout_ns) == TACHYON_SUCCESS;
}

/* What the caller says is the most that he sends must be true and possible. */
static int check_most(TachyonRpcBus *bus, PyObject *max_payload_size, size_t size) {
    uint64_t most = 0;
    if (!max_payload_size || max_payload_size == Py_None) {
        return 0;
    }
    if (parse_integer(max_payload_size, "max_payload_size", 0, most_of(bus), &most) <
        0) {
        return -1;
    }
    if (size > most) {
        PyErr_Format(PyExc_ValueError,
                     "the payload has %zu bytes, max_payload_size is %llu", size,
                     (unsigned long long)most);
        return -1;
    }
    return 0;
}

static int rpc_send(TachyonRpcBus *bus, Attempt attempt, RpcSend *send,
                    PyObject *payload, PyObject *msg_type, PyObject *max_payload_size,
                    PyObject *timeout) {
    Patience patience;
    if (parse_u32(msg_type, "msg_type", &send->msg_type) < 0 ||
        parse_patience(NULL, timeout, &patience) < 0 ||
        payload_get(payload, &send->payload) < 0) {
        return -1;
    }
    int sent = check_most(bus, max_payload_size, send->payload.size);
    if (sent == 0) {
        sent = send_by(bus, attempt, send, &patience);
    }
    payload_release(&send->payload);
    return sent;
}

static PyObject *rpc_call(TachyonRpcBus *bus, PyObject *payload, PyObject *msg_type,
                          PyObject *max_payload_size, PyObject *spin_threshold,
                          PyObject *timeout) {
    RpcSend send;
    send.id = 0;
    send.msg_type = 0;
    send.spin_threshold = DEFAULT_SPIN;
    if (parse_spin(spin_threshold, &send.spin_threshold) < 0 ||
        rpc_send(bus, attempt_call, &send, payload, msg_type, max_payload_size,
                 timeout) < 0) {
        return NULL;
    }
    return PyLong_FromUnsignedLongLong(send.id);
}

static PyObject *rpc_reply(TachyonRpcBus *bus, PyObject *correlation_id,
                           PyObject *payload, PyObject *msg_type,
                           PyObject *max_payload_size, PyObject *timeout) {
    RpcSend send;
    send.id = 0;
    send.msg_type = 0;
    send.spin_threshold = DEFAULT_SPIN;
    if (parse_correlation_id(correlation_id, &send.id) < 0 ||
        rpc_send(bus, attempt_reply, &send, payload, msg_type, max_payload_size,
                 timeout) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* ---- The guard ---- */

static PyMemberDef rpc_tx_guard_members[] = {
    {"out_cid", T_ULONGLONG, offsetof(RpcTxGuard, out_cid), READONLY,
     "Correlation id of the call; 0 until the guard is left, and of a reply."},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef rpc_tx_guard_getset[] = {
    ACTUAL_SIZE_OF_TX_GUARD,
    {"msg_type", tx_guard_get_type_id, tx_guard_set_type_id,
     "Type of the message, 0 to 2**32 - 1.", (void *)(uintptr_t)"msg_type"},
    BUF_OF_TX_GUARD,
    {NULL, NULL, NULL, NULL, NULL},
};
