/* SPDX-License-Identifier: Apache-2.0 */
/* Requests and replies: RpcTxGuard and RpcRxGuard in place, call() and reply() by copy. */
#include "slots.h"

/* ---- Writing in place ---- */

static bool attempt_acquire_call(End *end, void *context, int64_t timeout_ns) {
    TxCall *call = context;
    call->data = tachyon_rpc_acquire_tx_timed(end->handle, call->size,
                                              TACHYON_DEFAULT_SPIN, timeout_ns);
    return call->data != NULL;
}

static bool attempt_acquire_reply(End *end, void *context, int64_t timeout_ns) {
    TxCall *call = context;
    call->data = tachyon_rpc_acquire_reply_tx_timed(end->handle, call->size,
                                                    TACHYON_DEFAULT_SPIN, timeout_ns);
    return call->data != NULL;
}

static tachyon_error_t roll_back_call(End *end) {
    tachyon_rpc_rollback_call(end->handle);
    return TACHYON_SUCCESS;
}

static tachyon_error_t roll_back_reply(End *end) {
    tachyon_rpc_rollback_reply(end->handle);
    return TACHYON_SUCCESS;
}

static tachyon_error_t commit_call(TxGuard *tx) {
    return tachyon_rpc_commit_call(tx->guard.handle, tx->actual_size, tx->guard.type_id,
                                   &tx->out_cid);
}

static tachyon_error_t commit_reply(TxGuard *tx) {
    return tachyon_rpc_commit_reply(tx->guard.handle, tx->guard.correlation_id,
                                    tx->actual_size, tx->guard.type_id);
}

/* A slot for a request, or for the reply to the request `correlation_id`. */
static PyObject *acquire(End *end, PyObject *correlation_id, PyObject *size,
                         PyObject *msg_type, PyObject *timeout) {
    TxCall call;
    Patience patience;
    uint64_t id = 0;
    uint32_t type = 0;
    bool reply = correlation_id != NULL;
    if ((reply && parse_correlation_id(correlation_id, &id) < 0) ||
        parse_size(end, size, "max_payload_size", &call) < 0 ||
        parse_u32(msg_type, "msg_type", &type) < 0 ||
        parse_patience(NULL, timeout, &patience) < 0)
        return NULL;
    TxGuard *tx = reserve_by(end, types.RpcTxGuard,
                             reply ? attempt_acquire_reply : attempt_acquire_call,
                             &call, &patience, reply ? roll_back_reply : roll_back_call,
                             reply ? commit_reply : commit_call);
    if (tx) {
        tx->guard.type_id = type;
        tx->guard.correlation_id = id;
        tx->out_cid = 0;
    }
    return (PyObject *)tx;
}

METHOD(acquire_call) {
    BIND("acquire_call", 1, 2, 1, {"max_payload_size", "timeout"});
    return acquire(end_of(self), NULL, bound[0], NULL, bound[1]);
}

METHOD(acquire_reply) {
    BIND("acquire_reply", 2, 3, 1, {"correlation_id", "max_payload_size", "timeout"});
    return acquire(end_of(self), bound[0], bound[1], NULL, bound[2]);
}

METHOD(call_zero_copy) {
    BIND("call_zero_copy", 2, 3, 1, {"max_payload_size", "msg_type", "timeout"});
    return acquire(end_of(self), NULL, bound[0], bound[1], bound[2]);
}

METHOD(reply_zero_copy) {
    BIND("reply_zero_copy", 3, 4, 1,
         {"correlation_id", "max_payload_size", "msg_type", "timeout"});
    return acquire(end_of(self), bound[0], bound[1], bound[2], bound[3]);
}

/* ---- Sending copies ---- */

typedef struct RpcSend {
    Payload payload;
    uint64_t id;
    uint32_t msg_type;
    uint32_t spin_threshold;
} RpcSend;

static bool attempt_call(End *end, void *context, int64_t timeout_ns) {
    RpcSend *send = context;
    return tachyon_rpc_call_timed(end->handle, send->payload.data, send->payload.size,
                                  send->msg_type, &send->id, send->spin_threshold,
                                  timeout_ns) == TACHYON_SUCCESS;
}

static bool attempt_reply(End *end, void *context, int64_t timeout_ns) {
    const RpcSend *send = context;
    return tachyon_rpc_reply_timed(end->handle, send->id, send->payload.data,
                                   send->payload.size, send->msg_type,
                                   send->spin_threshold, timeout_ns) == TACHYON_SUCCESS;
}

/* What the caller says is the most that he sends must be true and possible. */
static int check_most(const End *end, PyObject *max_payload_size, size_t size) {
    uint64_t most = 0;
    if (!max_payload_size || max_payload_size == Py_None)
        return 0;
    if (parse_integer(max_payload_size, "max_payload_size", 0, end->max_payload,
                      &most) < 0)
        return -1;
    if (size <= most)
        return 0;
    PyErr_Format(PyExc_ValueError,
                 "the payload has %zu bytes, max_payload_size is %llu", size,
                 (unsigned long long)most);
    return -1;
}

static int send_copy(End *end, Attempt attempt, RpcSend *send, PyObject *payload,
                     PyObject *msg_type, PyObject *max_payload_size,
                     PyObject *timeout) {
    Patience patience;
    send->msg_type = 0;
    if (parse_u32(msg_type, "msg_type", &send->msg_type) < 0 ||
        parse_patience(NULL, timeout, &patience) < 0 ||
        payload_get(payload, &send->payload) < 0)
        return -1;
    int sent = check_most(end, max_payload_size, send->payload.size);
    if (sent == 0)
        sent = send_copy_by(end, attempt, send, send->payload.size, &patience);
    payload_release(&send->payload);
    return sent;
}

METHOD(call) {
    BIND("call", 2, 5, 1,
         {"payload", "msg_type", "max_payload_size", "spin_threshold", "timeout"});
    RpcSend send;
    send.id = 0;
    return parse_spin(bound[3], &send.spin_threshold) < 0 ||
                   send_copy(end_of(self), attempt_call, &send, bound[0], bound[1],
                             bound[2], bound[4]) < 0
               ? NULL
               : PyLong_FromUnsignedLongLong(send.id);
}

METHOD(reply) {
    BIND("reply", 3, 5, 1,
         {"correlation_id", "payload", "msg_type", "max_payload_size", "timeout"});
    RpcSend send;
    send.spin_threshold = TACHYON_DEFAULT_SPIN;
    return parse_correlation_id(bound[0], &send.id) < 0 ||
                   send_copy(end_of(self), attempt_reply, &send, bound[1], bound[2],
                             bound[3], bound[4]) < 0
               ? NULL
               : Py_NewRef(Py_None);
}

/* ---- Receiving ---- */

static bool attempt_wait(End *end, void *context, int64_t timeout_ns) {
    RxCall *call = context;
    call->data =
        tachyon_rpc_wait_timed(end->handle, call->id, &call->size, &call->type_id,
                               call->spin_threshold, timeout_ns);
    return call->data != NULL;
}

static bool attempt_wait_any(End *end, void *context, int64_t timeout_ns) {
    RxCall *call = context;
    call->data = tachyon_rpc_wait_any(end->handle, &call->id, &call->size,
                                      &call->type_id, call->spin_threshold, timeout_ns);
    return call->data != NULL;
}

static bool attempt_serve(End *end, void *context, int64_t timeout_ns) {
    RxCall *call = context;
    call->data = tachyon_rpc_serve_timed(end->handle, &call->id, &call->type_id,
                                         &call->size, call->spin_threshold, timeout_ns);
    return call->data != NULL;
}

static tachyon_error_t release_reply(End *end) {
    return tachyon_rpc_commit_rx(end->handle);
}

static tachyon_error_t release_request(End *end) {
    return tachyon_rpc_commit_serve(end->handle);
}

static PyObject *receive(End *end, Attempt attempt, RxCall *call, GiveBack give_back,
                         PyObject *spin_threshold, PyObject *timeout) {
    if (parse_spin(spin_threshold, &call->spin_threshold) < 0)
        return NULL;
    if (!end->rx.waiting)
        end->rx.call = call->id;
    if (receive_by(end, attempt, call, timeout) < 0)
        return NULL;
    Guard *guard = rx_guard_new(end, types.RpcRxGuard, call, give_back);
    if (!guard)
        give_back(end); /* it would not come again */
    return (PyObject *)guard;
}

METHOD(wait) {
    BIND("wait", 1, 3, 1, {"correlation_id", "spin_threshold", "timeout"});
    RxCall call = {.id = 0};
    return parse_correlation_id(bound[0], &call.id) < 0
               ? NULL
               : receive(end_of(self), attempt_wait, &call, release_reply, bound[1],
                         bound[2]);
}

METHOD(wait_any) {
    BIND("wait_any", 0, 2, 1, {"spin_threshold", "timeout"});
    RxCall call = {.id = 0};
    return receive(end_of(self), attempt_wait_any, &call, release_reply, bound[0],
                   bound[1]);
}

METHOD(serve) {
    BIND("serve", 0, 2, 1, {"spin_threshold", "timeout"});
    RxCall call = {.id = 0};
    return receive(end_of(self), attempt_serve, &call, release_request, bound[0],
                   bound[1]);
}

PyObject *method_cancel(PyObject *self, PyObject *correlation_id) {
    End *end = end_of(self);
    uint64_t id = 0;
    if (parse_correlation_id(correlation_id, &id) < 0)
        return NULL;
    if (!end->open)
        return raise_not_open(end);
    if (end->rx.waiting) {
        raise_waited_on(&end->rx);
        return NULL;
    }
    return tachyon_rpc_cancel(end->handle, id) == TACHYON_SUCCESS ? Py_NewRef(Py_None)
                                                                  : raise_last();
}
