/* SPDX-License-Identifier: Apache-2.0 */
/* TachyonRpcBus: the low-level handle of an RPC bus. */
%{
#include "tachyon_rpc_bus.c"
%}

%typemap(in) TachyonRpcBus *self
    "$1 = (TachyonRpcBus *)((SwigPyObject *)$input)->ptr;"

OBJECT_TYPE(TachyonRpcBus, FINAL_TYPE, object_traverse)
%feature("python:tp_new") TachyonRpcBus "tachyon_rpc_bus_new";
%feature("python:tp_init") TachyonRpcBus "tachyon_bus_init";
%feature("python:tp_dealloc") TachyonRpcBus "tachyon_bus_dealloc";

%feature("docstring") TachyonRpcBus::fileno
"fileno($self, /)
--

The descriptor for event loops; -1 when the bus is not open.";
%feature("docstring") TachyonRpcBus::watch
"watch($self, /)
--

Return the descriptor and keep it, until unwatch(), even when the bus is closed.

A close makes it readable.";
%feature("docstring") TachyonRpcBus::unwatch
"unwatch($self, /)
--

Say that the descriptor is not polled any more, once for each watch().";

%feature("docstring") TachyonRpcBus
"The low-level end of an RPC bus: the callee listens, the caller connects.";

%feature("kwargs") TachyonRpcBus::listen;
%feature("kwargs") TachyonRpcBus::connect;
%feature("kwargs") TachyonRpcBus::listen_start;
%feature("kwargs") TachyonRpcBus::connect_start;
%feature("kwargs") TachyonRpcBus::set_polling_mode;
%feature("docstring") TachyonRpcBus::watch_messages
"watch_messages($self, /, watch)
--

Let the descriptor tell of messages, or only of room and of the end.

watch: False for a time in which nobody takes messages; then a call that finds no room
    makes it unreadable until there is some.";

%feature("docstring") TachyonRpcBus::listen
"listen($self, /, socket_path, cap_fwd, cap_rev, timeout=None, mode=0, allowed_uids=None,
schema=0)
--

Create both rings and wait for a caller.

Arguments as for RpcBus.rpc_listen().";
%feature("docstring") TachyonRpcBus::connect
"connect($self, /, socket_path, timeout=0, allowed_uids=None, schema=0)
--

Attach to a callee.

Arguments as for RpcBus.rpc_connect().";
%feature("docstring") TachyonRpcBus::listen_start
"listen_start($self, /, socket_path, cap_fwd, cap_rev, timeout=None, mode=0,
allowed_uids=None, schema=0)
--

Begin to listen and return the descriptor to wait on between the steps.

Arguments as for RpcBus.rpc_listen().";
%feature("docstring") TachyonRpcBus::connect_start
"connect_start($self, /, socket_path, timeout=0, allowed_uids=None, schema=0)
--

Begin to connect and return the descriptor to wait on between the steps.

Arguments as for RpcBus.rpc_connect().";
%feature("docstring") TachyonRpcBus::opening_step
"opening_step($self, /)
--

Go on with what listen_start() or connect_start() has begun, without waiting.

Return True when the bus is open, False when the descriptor must become readable first.
Raises what listen() and connect() raise.";
%feature("docstring") TachyonRpcBus::opening_cancel
"opening_cancel($self, /)
--

Give up what listen_start() or connect_start() has begun. Idempotent.";
%feature("docstring") TachyonRpcBus::destroy
"destroy($self, /)
--

End the connection and release the rings. Idempotent.

A call that waits in another thread ends with ClosedError. Raises BufferError, and does
nothing, while a view points into a ring.";
%feature("docstring") TachyonRpcBus::abort
"abort($self, /)
--

Cut all calls off, as RpcBus.abort().";
%feature("docstring") TachyonRpcBus::set_polling_mode
"set_polling_mode($self, /, pure_spin)
--

Choose how this end waits.

pure_spin: True or 1 never to sleep, False or 0, the default, to spin, then sleep.";
%feature("docstring") TachyonRpcBus::max_payload
"max_payload($self, /)
--

Largest payload that this end can send in bytes.";
%feature("docstring") TachyonRpcBus::stats
"stats($self, /)
--

Counters of this end since it was opened, with the fields of RpcStats.";
%feature("docstring") TachyonRpcBus::peer
"peer($self, /)
--

Process, user and group id at the other end, as the kernel told them.";

typedef struct {} TachyonRpcBus;
%extend TachyonRpcBus {
    PyObject *listen(const char *socket_path, size_t cap_fwd, size_t cap_rev,
                     seconds_t timeout = -1, uint32_t mode = 0,
                     PyObject *allowed_uids = NULL, uint64_t schema = 0);
    PyObject *connect(const char *socket_path, seconds_t timeout = 0,
                      PyObject *allowed_uids = NULL, uint64_t schema = 0);
    PyObject *listen_start(const char *socket_path, size_t cap_fwd, size_t cap_rev,
                           seconds_t timeout = -1, uint32_t mode = 0,
                           PyObject *allowed_uids = NULL, uint64_t schema = 0);
    PyObject *connect_start(const char *socket_path, seconds_t timeout = 0,
                            PyObject *allowed_uids = NULL, uint64_t schema = 0);
    PyObject *opening_step(void) { return TachyonBus_opening_step($self); }
    PyObject *opening_cancel(void) { return TachyonBus_opening_cancel($self); }
    PyObject *destroy(void) { return TachyonBus_destroy($self); }
    PyObject *abort(void) { return TachyonBus_abort($self); }
    PyObject *set_polling_mode(bool pure_spin) {
        return TachyonBus_set_polling_mode($self, pure_spin);
    }
    PyObject *max_payload(void) { return TachyonBus_max_payload($self); }
    PyObject *stats(void);
    PyObject *peer(void) { return TachyonBus_peer($self); }
    PyObject *fileno(void) { return TachyonBus_fileno($self); }
    PyObject *watch_messages(bool watch);
    PyObject *watch(void) { return TachyonBus_watch($self); }
    PyObject *unwatch(void) { return TachyonBus_unwatch($self); }
}
