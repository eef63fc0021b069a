/* SPDX-License-Identifier: Apache-2.0 */
/* tachyon._native. SWIG generates the API from swig/tachyon.i: the low-level buses,
   constants, structs. What runs once a message is an overlay by hand (overlay/), as
   buffers, vectorcall and guards cannot be expressed in SWIG; its types are SWIG's,
   with slots of ours. The docstrings of both are in tachyon/_docs.py. */
%module(package="tachyon") _native
%begin %{
#define SWIG_TYPE_TABLE tachyon /* the base type is changed, so nobody shares it */
%}
%{
#include "slots.h"
/* Before all that SWIG does, which would touch what the main interpreter uses: its
   array of slots names Py_mod_exec once, and so has one more. */
enum { MOD_EXEC = Py_mod_exec };
#undef Py_mod_exec
#define Py_mod_exec MOD_EXEC, (void *)(uintptr_t)refuse_subinterpreters}, {MOD_EXEC
%}
%init %{ if (module_restore(m)) return PyErr_Occurred() ? -1 : 0; /* no new types */ %}
%include <stdint.i>
%nodefaultctor;
%nodefaultdtor;

/* ---- Arguments and results ---- */

%define INTEGER(TYPE, NAME, LEAST, LIMIT)
%typemap(in) TYPE NAME (uint64_t number = 0) {
    if (parse_integer($input, "$1_name", LEAST, LIMIT, &number) < 0) SWIG_fail;
    $1 = ($1_ltype)number; }
%enddef
INTEGER(size_t, capacity, 1, 1u << 31)
%apply size_t capacity { size_t cap_fwd, size_t cap_rev };
INTEGER(uint32_t, mode, 0, 0777)
INTEGER(uint32_t, role, TACHYON_ROLE_NONE, TACHYON_ROLE_CONSUMER)
INTEGER(uint64_t, schema, 0, UINT64_MAX)
INTEGER(int, node_id, 0, 63)
INTEGER(int, slow_peer, TACHYON_SLOW_BLOCK, TACHYON_SLOW_DISCONNECT)
INTEGER(int, without_peers, TACHYON_WITHOUT_PEERS_WAIT, TACHYON_WITHOUT_PEERS_FREE_RUN)
INTEGER(uint32_t, peer, 1, UINT32_MAX)
INTEGER(uint32_t, index, 0, UINT32_MAX)
%typemap(in) uint32_t max_peers (uint64_t number = 0) { /* None: a single peer, ever */
    if ($input != Py_None &&
        parse_integer($input, "$1_name", 1, TACHYON_MAX_PEERS, &number) < 0) SWIG_fail;
    $1 = (uint32_t)number; }
%typemap(in) double slow_after, double keep_place
    "if (parse_duration($input, \"$1_name\", &$1) < 0) SWIG_fail;"
INTEGER(tachyon_error_t, error, 0, INT_MAX)
%typemap(in) seconds_t timeout "if (parse_timeout($input, &$1) < 0) SWIG_fail;"
%typemap(in) double timeout (seconds_t time) {
    if (parse_timeout($input, &time) < 0) SWIG_fail;
    $1 = seconds_of(time); }
%typemap(in) int pure_spin "if (parse_switch($input, \"$1_name\", &$1) < 0) SWIG_fail;"
%apply int pure_spin { int watch, int types_required };
%typemap(in) const char *socket_path (PyObject *path = NULL)
    "if (!($1 = path_of($input, &path))) SWIG_fail;"
%typemap(freearg) const char *socket_path "Py_XDECREF(path$argnum);"
%typemap(in) Bus *self, RpcBus *self "$1 = bus_of($input);"
%typemap(in, numinputs=0) End *end "$1 = end_of(self);"
%typemap(out) PyObject * "$result = $1; if (!$result) SWIG_fail;"
%typemap(out) Result set_numa_node, Result flush, Result drop_peer
    "$result = Py_NewRef(Py_None);"
%typemap(out) Result open_step "$result = PyBool_FromLong((long)$1);"
%typemap(out) tachyon_stats_t, tachyon_rpc_stats_t, tachyon_peer_t, tachyon_event_t
    "$result = struct_object($&descriptor, &$1, sizeof $1); if (!$result) SWIG_fail;"
%typemap(out) Peers * {
    $result = struct_list(SWIGTYPE_p_tachyon_peer_info_t, $1->all, sizeof $1->all[0],
                          $1->count);
    delete_Peers($1);
    if (!$result) SWIG_fail; }
%typemap(out) Result position
    "$result = Py_BuildValue(\"LK\", (long long)$1, (unsigned long long)arg1->epoch);"

/* ---- Types ---- */

%define SET(NAME, KIND, FUNCTION)
%feature("python:" #KIND) NAME #FUNCTION;
%enddef
%define TYPE(NAME, FLAGS, PREFIX)
SET(NAME, tp_flags, FLAGS) SET(NAME, tp_traverse, PREFIX##_traverse)
SET(NAME, tp_dealloc, PREFIX##_dealloc)
%enddef
%define VIEWED(NAME, PREFIX, METHODS, MEMBERS, GETSET, BUFFER) /* made by a bus */
TYPE(NAME, FINAL, PREFIX) SET(NAME, tp_new, no_new) SET(NAME, tp_methods, METHODS)
SET(NAME, tp_members, MEMBERS) SET(NAME, tp_getset, GETSET)
SET(NAME, tp_clear, PREFIX##_clear) SET(NAME, bf_getbuffer, BUFFER##_getbuffer)
SET(NAME, bf_releasebuffer, PREFIX##_releasebuffer)
typedef struct {} NAME;
%enddef
%define BASE(NAME, PREFIX, SHARED, INIT) /* of classes in Python */
TYPE(NAME, OPEN, SHARED) SET(NAME, tp_new, PREFIX##_new) SET(NAME, tp_init, INIT)
SET(NAME, tp_methods, PREFIX##_methods)
typedef struct {} NAME;
%enddef
%define LOW(NAME, PREFIX)
TYPE(NAME, FINAL, low) SET(NAME, tp_new, PREFIX##_new) SET(NAME, tp_init, low_init)
%feature("action") NAME::close "if (!end_close(end_of(self))) SWIG_fail;"
%feature("action") NAME::abort "if (!end_abort(end_of(self))) SWIG_fail;"
%feature("action") NAME::fileno "if ((result = end_fileno(self)) < -1) SWIG_fail;"
%feature("action") NAME::open_step "if ((result = end_step(self)) < 0) SWIG_fail;"
%feature("action") NAME::accept
    "result = Bus_accept(arg1, arg2); raise_if_none(&result, arg2);"
%feature("kwargs") NAME::accept;
%feature("kwargs") NAME::set_polling_mode;
%rename("$ignore", regextarget=1, fullname=1) "^" #NAME "::(?!(abort|close|fileno|"
    "flush|max_payload|open_step|peer|py_.*|set_.*|stats|watch_messages|accept|peers|"
    "drop_peer|sender|position)$)";
%enddef

SET(RxBatchGuard, sq_length, rx_batch_length) SET(RxBatchGuard, sq_item, rx_batch_item)
SET(RxBatchGuard, tp_iter, PySeqIter_New) SET(ChannelBase, tp_call, PyVectorcall_Call)
VIEWED(TxGuard, guard, tx_guard_methods, no_members, tx_guard_getset, guard)
VIEWED(RxGuard, guard, rx_guard_methods, rx_guard_members, rx_guard_getset, guard)
VIEWED(RpcTxGuard, guard, tx_guard_methods, rpc_tx_members, rpc_tx_getset, guard)
VIEWED(RpcRxGuard, guard, rpc_rx_methods, rpc_rx_members, rx_guard_getset, guard)
VIEWED(RxBatchGuard, guard, rx_batch_methods, no_members, no_getset, rx_batch)
VIEWED(RxMsgView, msg_view, msg_view_methods, msg_view_members, no_getset, msg_view)
SET(Frame, tp_repr, frame_repr)
VIEWED(Frame, frame, frame_methods, frame_members, frame_getset, frame)
SET(BusBase, tp_getset, bus_base_getset) SET(RpcBusBase, tp_getset, rpc_base_getset)
SET(BusBase, tp_iter, PyObject_SelfIter) SET(BusBase, tp_iternext, bus_base_next)
SET(ChannelBase, tp_iter, PyObject_SelfIter) SET(ChannelBase, tp_iternext, channel_next)
SET(ChannelBase, tp_members, channel_members)
BASE(BusBase, bus_base, base, low_init) BASE(RpcBusBase, rpc_base, base, low_init)
BASE(ChannelBase, channel, channel, channel_init)
SET(MessageChannelBase, tp_call, PyVectorcall_Call)
SET(MessageChannelBase, tp_iter, PyObject_SelfIter)
SET(MessageChannelBase, tp_iternext, message_channel_next)
SET(MessageChannelBase, tp_members, channel_members)
BASE(MessageChannelBase, message_channel, message_channel, channel_init)
TYPE(tachyon_stats_t, FINAL, struct) TYPE(tachyon_rpc_stats_t, FINAL, struct)
TYPE(tachyon_peer_t, FINAL, struct) TYPE(tachyon_event_t, FINAL, struct)
TYPE(tachyon_peer_info_t, FINAL, struct)
LOW(Bus, low_bus) LOW(RpcBus, low_rpc)
%feature("action") Bus::flush "result = end_of(self)->tx.waiting ? 0 : Bus_flush(arg1);"
%ignore Options; %ignore Peers; %ignore error; %ignore type_id; %ignore size;
%ignore count; %ignore stride; %ignore spin; %ignore id; %ignore epoch;

/* ---- The interface ---- */

PyObject *direct_calls(PyObject *cls);
PyObject *define_record(PyObject *cls, PyObject *sizes, PyObject *rows);
PyObject *record_from(PyObject *cls, PyObject *data);
PyObject *integer(const char *name, PyObject *value, PyObject *least = 0,
                  PyObject *limit = 0);

%rename(TachyonBus) Bus; %rename(TachyonRpcBus) RpcBus;
%rename(destroy) close; %rename(opening_step) open_step;
%feature("kwargs") Bus::set_numa_node;
#define TACHYON_OWN_BYTES
#define TACHYON_OWN_MEMORY
#define TACHYON_RAISE(bus) raise_of(end_of(self)); SWIG_fail
%include "tachyon.i"

/* Beside it: opening with options by name, and what event loops need. */
%define OPENING(KIND, NAME, STEPS, CAPACITY, BACK, SET, ...)
%rename(NAME) KIND::py_##NAME; %feature("kwargs") KIND::py_##NAME;
%extend KIND {
    PyObject *py_##NAME(End *end, const char *socket_path, __VA_ARGS__) {
        Opening with = {
            .timeout_ns = timeout, .allowed_uids = allowed_uids, .types = types};
        (void)self;
        with.options.schema = schema;
        with.options.types_required = types_required;
        SET
        return end_open(end, STEPS, socket_path, CAPACITY, BACK, &with);
    }
}
%enddef
%define OPENINGS(SUFFIX, STEPS)
OPENING(Bus, listen##SUFFIX, STEPS, capacity, 0,
        with.options.mode = mode; with.options.role = (int)role;
        with.options.max_peers = max_peers; with.options.slow_peer = slow_peer;
        with.options.slow_after = slow_after; with.options.keep_place = keep_place;
        with.options.without_peers = without_peers;,
        size_t capacity, seconds_t timeout = -1, uint32_t mode = 0,
        PyObject *allowed_uids = 0, uint32_t role = 0, uint64_t schema = 0,
        uint32_t max_peers = 0, int slow_peer = 0, double slow_after = 0,
        int without_peers = 0, double keep_place = 0, PyObject *types = 0,
        int types_required = 0)
OPENING(Bus, connect##SUFFIX, STEPS, 0, 0,
        with.options.role = (int)role; with.start = start; with.name = name;,
        seconds_t timeout = 0, PyObject *allowed_uids = 0, uint32_t role = 0,
        uint64_t schema = 0, PyObject *start = 0, PyObject *name = 0,
        PyObject *types = 0, int types_required = 0)
OPENING(RpcBus, listen##SUFFIX, STEPS, cap_fwd, cap_rev,
        with.options.mode = mode; with.options.max_peers = max_peers;,
        size_t cap_fwd, size_t cap_rev, seconds_t timeout = -1, uint32_t mode = 0,
        PyObject *allowed_uids = 0, uint64_t schema = 0, uint32_t max_peers = 0,
        PyObject *types = 0, int types_required = 0)
OPENING(RpcBus, connect##SUFFIX, STEPS, 0, 1, with.name = name;,
        seconds_t timeout = 0, PyObject *allowed_uids = 0, uint64_t schema = 0,
        PyObject *name = 0, PyObject *types = 0, int types_required = 0)
%enddef
OPENINGS(, false)
OPENINGS(_start, true)

%init %{
    types = (struct Types){SWIGTYPE_p_Bus, SWIGTYPE_p_RpcBus, SWIGTYPE_p_BusBase,
        SWIGTYPE_p_RpcBusBase, SWIGTYPE_p_ChannelBase, SWIGTYPE_p_MessageChannelBase,
        SWIGTYPE_p_TxGuard, SWIGTYPE_p_RxGuard, SWIGTYPE_p_RpcTxGuard, SWIGTYPE_p_RpcRxGuard,
        SWIGTYPE_p_RxBatchGuard, SWIGTYPE_p_RxMsgView, SWIGTYPE_p_Frame};
    if (module_init(m) < 0) return -1;
%}
