/* SPDX-License-Identifier: Apache-2.0 */
/* The calls that run once a message, bound by hand: those of TachyonRpcBus and those of
   RpcBusBase. */

typedef TachyonRpcBus RpcBusBase; /* another face of the same struct */

/* ---- Calls of both ---- */

static PyObject *call_wait(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                           PyObject *kwnames) {
    static Signature signature = {
        "wait", 1, 3, {"correlation_id", "spin_threshold", "timeout"}, {NULL}, 1};
    PyObject *bound[MAX_PARAMETERS] = {NULL};
    return bind_arguments(&signature, args, nargs, kwnames, bound) < 0
               ? NULL
               : rpc_wait(bus_of(self), bound[0], bound[1], bound[2]);
}

static PyObject *call_wait_any(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                               PyObject *kwnames) {
    static Signature signature = {"wait_any", 0, 2, {"spin_threshold", "timeout"},
                                  {NULL},     1};
    PyObject *bound[MAX_PARAMETERS] = {NULL};
    return bind_arguments(&signature, args, nargs, kwnames, bound) < 0
               ? NULL
               : rpc_wait_any(bus_of(self), bound[0], bound[1]);
}

static PyObject *call_serve(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                            PyObject *kwnames) {
    static Signature signature = {"serve", 0, 2, {"spin_threshold", "timeout"},
                                  {NULL},  1};
    PyObject *bound[MAX_PARAMETERS] = {NULL};
    return bind_arguments(&signature, args, nargs, kwnames, bound) < 0
               ? NULL
               : rpc_serve(bus_of(self), bound[0], bound[1]);
}

static PyObject *call_cancel(PyObject *self, PyObject *correlation_id) {
    return rpc_cancel(bus_of(self), correlation_id);
}

#define RECEIVING_METHODS                                                              \
    {"wait", (PyCFunction)(void (*)(void))call_wait, METH_FASTCALL | METH_KEYWORDS,    \
     "wait($self, /, correlation_id, spin_threshold=10000, *, timeout=None)\n--\n\n"   \
     "Wait for the reply to one call and read it in place.\n\n"                        \
     "correlation_id: what RpcBus.call() returned; replies may come in any order.\n"   \
     "spin_threshold: looks before this end goes to sleep, 0 to 2**32 - 1.\n"          \
     "timeout: seconds, then TimeoutError: the call stays outstanding, wait again\n"   \
     "    or cancel it. None waits for ever.\n\n"                                      \
     "Returns an RpcRxGuard, whose memory is the bus's again when its block ends.\n"   \
     "ValueError when no such call is outstanding; PeerDeadError or ClosedError\n"     \
     "when nobody will answer it; TachyonError on the callee's end."},                 \
        {"wait_any", (PyCFunction)(void (*)(void))call_wait_any,                       \
         METH_FASTCALL | METH_KEYWORDS,                                                \
         "wait_any($self, /, spin_threshold=10000, *, timeout=None)\n--\n\n"           \
         "Wait for the reply that comes first, to any outstanding call.\n\n"           \
         "The guard's correlation_id tells which call that is. The arguments and\n"    \
         "what is raised are those of wait(); ValueError when no call is "             \
         "outstanding."},                                                              \
        {"serve", (PyCFunction)(void (*)(void))call_serve,                             \
         METH_FASTCALL | METH_KEYWORDS,                                                \
         "serve($self, /, spin_threshold=10000, *, timeout=None)\n--\n\n"              \
         "Wait for the next request and read it in place.\n\n"                         \
         "spin_threshold, timeout: as for wait().\n\n"                                 \
         "Returns an RpcRxGuard; leaving it releases the request, which "              \
         "RpcBus.reply()\n"                                                            \
         "or RpcBus.reply_zero_copy() answers before or after. ClosedError when the\n" \
         "caller has closed, PeerDeadError when it died; what it had sent comes\n"     \
         "first."},                                                                    \
        {"cancel", call_cancel, METH_O,                                                \
         "cancel($self, correlation_id, /)\n--\n\n"                                    \
         "Give a call up; its reply will be dropped and counted.\n\n"                  \
         "correlation_id: of an outstanding call, else ValueError."}

/* ---- TachyonRpcBus ---- */

static PyObject *call_acquire_call(PyObject *self, PyObject *const *args,
                                   Py_ssize_t nargs, PyObject *kwnames) {
    static Signature signature = {"acquire_call", 1, 2, {"max_payload_size", "timeout"},
                                  {NULL},         1};
    PyObject *bound[MAX_PARAMETERS] = {NULL};
    return bind_arguments(&signature, args, nargs, kwnames, bound) < 0
               ? NULL
               : rpc_acquire(bus_of(self), NULL, bound[0], NULL, bound[1]);
}

static PyObject *call_acquire_reply(PyObject *self, PyObject *const *args,
                                    Py_ssize_t nargs, PyObject *kwnames) {
    static Signature signature = {
        "acquire_reply", 2, 3, {"correlation_id", "max_payload_size", "timeout"},
        {NULL},          1};
    PyObject *bound[MAX_PARAMETERS] = {NULL};
    return bind_arguments(&signature, args, nargs, kwnames, bound) < 0
               ? NULL
               : rpc_acquire(bus_of(self), bound[0], bound[1], NULL, bound[2]);
}

static PyMethodDef rpc_hot_methods[] = {
    {"acquire_call", (PyCFunction)(void (*)(void))call_acquire_call,
     METH_FASTCALL | METH_KEYWORDS,
     "acquire_call($self, /, max_payload_size, *, timeout=None)\n--\n\n"
     "Reserve a slot for a request; leaving the guard sends it.\n\n"
     "As RpcBus.call_zero_copy(); set `msg_type` of the guard."},
    {"acquire_reply", (PyCFunction)(void (*)(void))call_acquire_reply,
     METH_FASTCALL | METH_KEYWORDS,
     "acquire_reply($self, /, correlation_id, max_payload_size, *, "
     "timeout=None)\n--\n\n"
     "Reserve a slot for a reply; leaving the guard sends it.\n\n"
     "As RpcBus.reply_zero_copy(); set `msg_type` of the guard."},
    RECEIVING_METHODS,
    {NULL, NULL, 0, NULL},
};

/* ---- RpcBusBase ---- */

static PyObject *rpc_bus_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    return face_new(
        type, SWIGTYPE_p_RpcBusBase,
        tachyon_rpc_bus_new(type_of(SWIGTYPE_p_TachyonRpcBus), args, kwargs));
}

static PyObject *call_call(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                           PyObject *kwnames) {
    static Signature signature = {
        "call",
        2,
        5,
        {"payload", "msg_type", "max_payload_size", "spin_threshold", "timeout"},
        {NULL},
        1};
    PyObject *bound[MAX_PARAMETERS] = {NULL};
    return bind_arguments(&signature, args, nargs, kwnames, bound) < 0
               ? NULL
               : rpc_call(bus_of(self), bound[0], bound[1], bound[2], bound[3],
                          bound[4]);
}

static PyObject *call_reply(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                            PyObject *kwnames) {
    static Signature signature = {
        "reply",
        3,
        5,
        {"correlation_id", "payload", "msg_type", "max_payload_size", "timeout"},
        {NULL},
        1};
    PyObject *bound[MAX_PARAMETERS] = {NULL};
    return bind_arguments(&signature, args, nargs, kwnames, bound) < 0
               ? NULL
               : rpc_reply(bus_of(self), bound[0], bound[1], bound[2], bound[3],
                           bound[4]);
}

static PyObject *call_call_zero_copy(PyObject *self, PyObject *const *args,
                                     Py_ssize_t nargs, PyObject *kwnames) {
    static Signature signature = {
        "call_zero_copy", 2, 3, {"max_payload_size", "msg_type", "timeout"}, {NULL}, 1};
    PyObject *bound[MAX_PARAMETERS] = {NULL};
    return bind_arguments(&signature, args, nargs, kwnames, bound) < 0
               ? NULL
               : rpc_acquire(bus_of(self), NULL, bound[0], bound[1], bound[2]);
}

static PyObject *call_reply_zero_copy(PyObject *self, PyObject *const *args,
                                      Py_ssize_t nargs, PyObject *kwnames) {
    static Signature signature = {
        "reply_zero_copy",
        3,
        4,
        {"correlation_id", "max_payload_size", "msg_type", "timeout"},
        {NULL},
        1};
    PyObject *bound[MAX_PARAMETERS] = {NULL};
    return bind_arguments(&signature, args, nargs, kwnames, bound) < 0
               ? NULL
               : rpc_acquire(bus_of(self), bound[0], bound[1], bound[2], bound[3]);
}

static PyGetSetDef rpc_bus_getset[] = {
    {"_rpc", bus_get_low, NULL, "The low-level TachyonRpcBus of this bus.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef rpc_bus_methods[] = {
    {"call", (PyCFunction)(void (*)(void))call_call, METH_FASTCALL | METH_KEYWORDS,
     "call($self, /, payload, msg_type, max_payload_size=None, spin_threshold=10000, "
     "*, timeout=None)\n--\n\n"
     "Copy one request into the ring, send it and return its correlation id.\n\n"
     "payload: bytes or any C-contiguous buffer, as for Bus.send().\n"
     "msg_type: a number for the callee, 0 to 2**32 - 1.\n"
     "max_payload_size: bytes, ValueError for a longer payload; None is no limit.\n"
     "spin_threshold: looks before this end goes to sleep, 0 to 2**32 - 1.\n"
     "timeout: seconds to wait for room, then TimeoutError; None waits for ever.\n\n"
     "Ids start at 1 and grow by 1. ValueError when the payload can never fit;\n"
     "PeerDeadError or ClosedError when nobody will answer; TachyonError on the\n"
     "callee's end, while another thread uses the bus or a guard is open."},
    {"reply", (PyCFunction)(void (*)(void))call_reply, METH_FASTCALL | METH_KEYWORDS,
     "reply($self, /, correlation_id, payload, msg_type, max_payload_size=None, *, "
     "timeout=None)\n--\n\n"
     "Copy the answer to one request into the ring and send it.\n\n"
     "correlation_id: of a request that serve() gave and that has no reply yet, else\n"
     "    ValueError.\n\n"
     "The other arguments, how it waits and fails are those of call()."},
    {"call_zero_copy", (PyCFunction)(void (*)(void))call_call_zero_copy,
     METH_FASTCALL | METH_KEYWORDS,
     "call_zero_copy($self, /, max_payload_size, msg_type, *, timeout=None)\n--\n\n"
     "Reserve room for a request in the ring; leaving the guard sends it.\n\n"
     "max_payload_size: bytes to reserve, 0 to max_payload.\n"
     "msg_type, timeout: as for call().\n\n"
     "Returns an RpcTxGuard: write through its `buf`, set its `actual_size` if that "
     "were\n"
     "fewer bytes; its `out_cid` is the correlation id when it was left. The\n"
     "memory is the bus's, as for Bus.send_zero_copy(). Otherwise fails as call()."},
    {"reply_zero_copy", (PyCFunction)(void (*)(void))call_reply_zero_copy,
     METH_FASTCALL | METH_KEYWORDS,
     "reply_zero_copy($self, /, correlation_id, max_payload_size, msg_type, *, "
     "timeout=None)\n--\n\n"
     "Reserve room for a reply in the ring; leaving the guard sends it.\n\n"
     "max_payload_size, msg_type, timeout: as for call_zero_copy(); ValueError when "
     "the\n"
     "guard is left and no request of correlation_id is to be answered."},
    RECEIVING_METHODS,
    ENDING_METHODS,
    {NULL, NULL, 0, NULL},
};
