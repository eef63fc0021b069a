/* SPDX-License-Identifier: Apache-2.0 */
/* Sending: TxGuard, whose parts RpcTxGuard shares, and send(), which needs none. */
#include "slots.h"

/* ---- Reserving ---- */

int may_wait_for_room(const End *end, const Patience *patience) {
    if (patience->block || tachyon_last_error() != TACHYON_ERR_FULL)
        return may_wait(&end->tx, TACHYON_ERR_FULL, patience->timeout_ns);
    raise_error(TACHYON_ERR_FULL, end->tx.lack, 0);
    return -1;
}

/* What was copied while another thread closed the bus may have come behind the end. */
int send_unlocked(End *end, Attempt attempt, void *call, const Patience *patience) {
    if (end_claim(end, &end->tx) < 0)
        return -1;
    int sent = end_try(end, &end->tx, attempt, call, TACHYON_ERR_FULL, 0);
    if (sent == 0)
        sent = may_wait_for_room(end, patience) < 0 ||
                       end_wait(end, &end->tx, attempt, call, patience->timeout_ns) < 0
                   ? -1
                   : 1;
    if (sent > 0 && !end->open) {
        raise_closed_meanwhile();
        return -1;
    }
    return sent;
}

TxGuard *reserve_by(End *end, swig_type_info *info, Attempt attempt, TxCall *call,
                    const Patience *patience, GiveBack give_back, Commit commit) {
    int done = try_to_send(end, attempt, call, patience);
    if (done < 0 || (done == 0 && end_wait_open(end, &end->tx, attempt, call,
                                                patience->timeout_ns) < 0))
        return NULL;
    TxGuard *tx = object_new(&end->tx_guards, info);
    if (!tx) {
        give_back(end);
        return NULL;
    }
    guard_init(&tx->guard, end, &end->tx, &end->tx_guards, give_back);
    tx->guard.readonly = false;
    tx->guard.data = call->data;
    tx->guard.size = tx->actual_size = call->size;
    tx->commit = commit;
    return tx;
}

static inline bool attempt_acquire_tx(End *end, void *context, int64_t timeout_ns) {
    TxCall *call = context;
    call->data = tachyon_acquire_tx_timed(end->handle, call->size, TACHYON_DEFAULT_SPIN,
                                          timeout_ns);
    return call->data != NULL;
}

static tachyon_error_t roll_back(End *end) {
    return tachyon_rollback_tx(end->handle);
}

static tachyon_error_t commit(TxGuard *tx) {
    return tachyon_commit_tx(tx->guard.handle, tx->actual_size, tx->guard.type_id);
}

static tachyon_error_t commit_and_flush(TxGuard *tx) {
    tachyon_error_t error = commit(tx);
    if (error == TACHYON_SUCCESS)
        tachyon_flush(tx->guard.handle);
    return error;
}

static PyObject *acquire(End *end, PyObject *size, const char *size_name,
                         uint32_t type_id, PyObject *timeout, PyObject *block,
                         Commit how) {
    TxCall call;
    Patience patience;
    if (parse_size(end, size, size_name, &call) < 0 ||
        parse_patience(block, timeout, &patience) < 0)
        return NULL;
    TxGuard *tx = reserve_by(end, types.TxGuard, attempt_acquire_tx, &call, &patience,
                             roll_back, how);
    if (tx)
        tx->guard.type_id = type_id;
    return (PyObject *)tx;
}

METHOD(acquire_tx) {
    BIND("acquire_tx", 1, 3, 0, {"max_payload_size", "timeout", "block"});
    return acquire(end_of(self), bound[0], "max_payload_size", 0, bound[1], bound[2],
                   commit);
}

METHOD(send_zero_copy) {
    BIND("send_zero_copy", 1, 4, 0, {"size", "type_id", "timeout", "block"});
    uint32_t type_id = 0;
    if (parse_u32(bound[1], "type_id", &type_id) < 0)
        return NULL;
    return acquire(end_of(self), bound[0], "size", type_id, bound[2], bound[3],
                   commit_and_flush);
}

static tachyon_error_t commit_aside(TxGuard *tx) {
    memcpy(tx->slot, tx->aside, tx->actual_size);
    return commit_and_flush(tx);
}

TxGuard *reserve_message(End *end, size_t size, uint32_t type_id,
                         const Patience *patience) {
    TxCall call = {.size = size};
    TxGuard *tx =
        reserve_by(end, types.TxGuard, attempt_acquire_tx, &call, patience, roll_back,
                   size > IN_LINE_BYTES ? commit_and_flush : commit_aside);
    if (!tx)
        return NULL;
    tx->guard.type_id = type_id;
    if (size <= IN_LINE_BYTES) {
        tx->slot = call.data;
        tx->guard.data = tx->aside;
    }
    return tx;
}

METHOD(send) {
    BIND("send", 1, 4, 0, {"data", "type_id", "timeout", "block"});
    SendCall call;
    Patience patience;
    call.type_id = 0;
    if (parse_u32(bound[1], "type_id", &call.type_id) < 0 ||
        parse_patience(bound[3], bound[2], &patience) < 0 ||
        payload_get(bound[0], &call.payload) < 0)
        return NULL;
    int sent =
        send_copy_by(end_of(self), attempt_send, &call, call.payload.size, &patience);
    payload_release(&call.payload);
    return sent < 0 ? NULL : Py_NewRef(Py_None);
}

/* ---- The guard ---- */

PyObject *tx_guard_exit(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
    TxGuard *tx = (TxGuard *)self;
    PyObject *exception = exception_of(args, nargs);
    int finish = guard_leave(&tx->guard, exception);
    if (finish < 0)
        return NULL;
    if (finish > 0 && exception) {
        tx->guard.give_back(end_of(tx->guard.owner));
    } else if (finish > 0) {
        if (tx->commit(tx) != TACHYON_SUCCESS) {
            raise_last();
            tx->guard.give_back(end_of(tx->guard.owner));
            return NULL;
        }
    } else if (tx->guard.state == GUARD_LOST && !exception) {
        return raise_error(TACHYON_ERR_CLOSED,
                           "the bus was closed before this message was sent", 0);
    }
    Py_RETURN_FALSE;
}

/* May an attribute be set to the number that `value` has turned out to be? Asked last:
   its __index__ may have left the guard. */
static int check_writable(const TxGuard *tx, PyObject *value, const char *name) {
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

static PyObject *get_actual_size(PyObject *self, void *unused) {
    (void)unused;
    return PyLong_FromSize_t(((TxGuard *)self)->actual_size);
}

static int set_actual_size(PyObject *self, PyObject *value, void *unused) {
    (void)unused;
    TxGuard *tx = (TxGuard *)self;
    uint64_t size = 0;
    if (parse_integer(value, "actual_size", 0, tx->guard.size, &size) < 0 ||
        check_writable(tx, value, "actual_size") < 0)
        return -1;
    tx->actual_size = (size_t)size;
    return 0;
}

static PyObject *get_type_id(PyObject *self, void *unused) {
    (void)unused;
    return PyLong_FromUnsignedLong(((TxGuard *)self)->guard.type_id);
}

static int set_type_id(PyObject *self, PyObject *value, void *name) {
    TxGuard *tx = (TxGuard *)self;
    uint32_t type_id = 0;
    if (parse_u32(value, name, &type_id) < 0 || check_writable(tx, value, name) < 0)
        return -1;
    tx->guard.type_id = type_id;
    return 0;
}

#define ATTRIBUTES(type_name)                                                          \
    {"actual_size", get_actual_size, set_actual_size,                                  \
     "Bytes to send, all that are reserved until set; ValueError for more.", NULL},    \
        {type_name, get_type_id, set_type_id, "Type of the message, 0 to 2**32 - 1.",  \
         (void *)(uintptr_t)(type_name)},                                              \
        {"buf", guard_get_buf, NULL,                                                   \
         "A writable memoryview of the slot's bytes, released with the guard.", NULL}, \
    {                                                                                  \
        NULL, NULL, NULL, NULL, NULL                                                   \
    }

PyGetSetDef tx_guard_getset[] = {ATTRIBUTES("type_id")};
PyGetSetDef rpc_tx_getset[] = {ATTRIBUTES("msg_type")};

PyMemberDef rpc_tx_members[] = {
    {"out_cid", T_ULONGLONG, offsetof(TxGuard, out_cid), READONLY,
     "Correlation id of the call; 0 until the guard is left, and of a reply."},
    {NULL, 0, 0, 0, NULL}};

PyMethodDef tx_guard_methods[] = {PLAIN("__enter__", guard_enter, METH_NOARGS),
                                  PLAIN("__exit__", tx_guard_exit, METH_FASTCALL),
                                  {NULL, NULL, 0, NULL}};
