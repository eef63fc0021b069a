/* SPDX-License-Identifier: Apache-2.0 */
/* Receiving replies and requests: RpcRxGuard. */

typedef struct RpcRxGuard {
    RxGuard rx; /* first: its methods are this type's too */
    uint64_t correlation_id;
} RpcRxGuard;

typedef struct RpcRxCall {
    RxCall rx;
    uint64_t id;
} RpcRxCall;

static bool attempt_wait(TachyonBus *bus, void *context, int64_t timeout_ns) {
    RpcRxCall *call = context;
    call->rx.data =
        tachyon_rpc_wait_timed(bus->handle, call->id, &call->rx.size, &call->rx.type_id,
                               call->rx.spin_threshold, timeout_ns);
    return call->rx.data != NULL;
}

static bool attempt_wait_any(TachyonBus *bus, void *context, int64_t timeout_ns) {
    RpcRxCall *call = context;
    call->rx.data =
        tachyon_rpc_wait_any(bus->handle, &call->id, &call->rx.size, &call->rx.type_id,
                             call->rx.spin_threshold, timeout_ns);
    return call->rx.data != NULL;
}

static bool attempt_serve(TachyonBus *bus, void *context, int64_t timeout_ns) {
    RpcRxCall *call = context;
    call->rx.data =
        tachyon_rpc_serve_timed(bus->handle, &call->id, &call->rx.type_id,
                                &call->rx.size, call->rx.spin_threshold, timeout_ns);
    return call->rx.data != NULL;
}

static tachyon_error_t release_reply(void *handle) {
    return tachyon_rpc_commit_rx(handle);
}

static tachyon_error_t release_request(void *handle) {
    return tachyon_rpc_commit_serve(handle);
}

static PyObject *rpc_receive(TachyonRpcBus *bus, Attempt attempt, RpcRxCall *call,
                             GiveBack give_back, PyObject *spin_threshold,
                             PyObject *timeout) {
    call->rx.spin_threshold = DEFAULT_SPIN;
    if (parse_spin(spin_threshold, &call->rx.spin_threshold) < 0) {
        return NULL;
    }
    if (!bus->rx.waiting) {
        bus->rx.call = call->id;
    }
    if (receive_by(bus, attempt, call, timeout) < 0) {
        return NULL;
    }
    RpcRxGuard *guard = rx_guard_new(bus, SWIGTYPE_p_RpcRxGuard, &call->rx, give_back);
    if (!guard) {
        give_back(bus->handle); /* it would not come again */
        return NULL;
    }
    guard->correlation_id = call->id;
    return (PyObject *)guard;
}

static PyObject *rpc_wait(TachyonRpcBus *bus, PyObject *correlation_id,
                          PyObject *spin_threshold, PyObject *timeout) {
    RpcRxCall call = {.id = 0};
    return parse_correlation_id(correlation_id, &call.id) < 0
               ? NULL
               : rpc_receive(bus, attempt_wait, &call, release_reply, spin_threshold,
                             timeout);
}

static PyObject *rpc_wait_any(TachyonRpcBus *bus, PyObject *spin_threshold,
                              PyObject *timeout) {
    RpcRxCall call = {.id = 0};
    return rpc_receive(bus, attempt_wait_any, &call, release_reply, spin_threshold,
                       timeout);
}

static PyObject *rpc_serve(TachyonRpcBus *bus, PyObject *spin_threshold,
                           PyObject *timeout) {
    RpcRxCall call = {.id = 0};
    return rpc_receive(bus, attempt_serve, &call, release_request, spin_threshold,
                       timeout);
}

static PyMemberDef rpc_rx_guard_members[] = {
    MEMBERS_OF_RX_GUARD,
    {"correlation_id", T_ULONGLONG, offsetof(RpcRxGuard, correlation_id), READONLY,
     "The call that this is of."},
    {NULL, 0, 0, 0, NULL},
};
