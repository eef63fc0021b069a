/* SPDX-License-Identifier: Apache-2.0 */
/* TachyonBus: the low-level handle. */
%{
#include "tachyon_bus.c"
#include "wait.c"
%}

/* The descriptor has checked the type of self already. */
%typemap(in) TachyonBus *self "$1 = (TachyonBus *)((SwigPyObject *)$input)->ptr;"

OBJECT_TYPE(TachyonBus, FINAL_TYPE, object_traverse)
%feature("python:tp_new") TachyonBus "tachyon_bus_new";
%feature("python:tp_init") TachyonBus "tachyon_bus_init";
%feature("python:tp_dealloc") TachyonBus "tachyon_bus_dealloc";

%feature("docstring") TachyonBus::fileno
"fileno($self, /)
--

The descriptor for event loops; -1 when the bus is not open.";
%feature("docstring") TachyonBus::watch
"watch($self, /)
--

Return the descriptor and keep it, until unwatch(), even when the bus is closed.

A close makes it readable.";
%feature("docstring") TachyonBus::unwatch
"unwatch($self, /)
--

Say that the descriptor is not polled any more, once for each watch().";

%feature("docstring") TachyonBus
"The low-level end of a bus. Its guards commit without a flush, so what they send is
seen by the consumer after the next flush(), or after 32 messages.";

%feature("kwargs") TachyonBus::listen;
%feature("kwargs") TachyonBus::connect;
%feature("kwargs") TachyonBus::listen_start;
%feature("kwargs") TachyonBus::connect_start;
%feature("kwargs") TachyonBus::set_polling_mode;
%feature("kwargs") TachyonBus::set_numa_node;

%feature("docstring") TachyonBus::listen
"listen($self, /, socket_path, capacity, timeout=None, mode=0, allowed_uids=None,
role=0, schema=0)
--

Create the ring and wait for a peer.

Arguments as for Bus.listen().";
%feature("docstring") TachyonBus::connect
"connect($self, /, socket_path, timeout=0, allowed_uids=None, role=0, schema=0)
--

Attach to a listener.

Arguments as for Bus.connect().";
%feature("docstring") TachyonBus::listen_start
"listen_start($self, /, socket_path, capacity, timeout=None, mode=0,
allowed_uids=None, role=0, schema=0)
--

Begin to listen and return the descriptor to wait on between the steps.

Arguments as for Bus.listen().";
%feature("docstring") TachyonBus::connect_start
"connect_start($self, /, socket_path, timeout=0, allowed_uids=None, role=0, schema=0)
--

Begin to connect and return the descriptor to wait on between the steps.

Arguments as for Bus.connect().";
%feature("docstring") TachyonBus::opening_step
"opening_step($self, /)
--

Go on with what listen_start() or connect_start() has begun, without waiting.

Return True when the bus is open, False when the descriptor must become readable first.
Raises what listen() and connect() raise.";
%feature("docstring") TachyonBus::opening_cancel
"opening_cancel($self, /)
--

Give up what listen_start() or connect_start() has begun. Idempotent.";
%feature("docstring") TachyonBus::destroy
"destroy($self, /)
--

Flush, end the stream and release the ring. Idempotent.

A call that waits in another thread ends with ClosedError. Raises BufferError, and does
nothing, while a view points into the ring.";
%feature("docstring") TachyonBus::abort
"abort($self, /)
--

Cut the stream off, as Bus.abort().";
%feature("docstring") TachyonBus::flush
"flush($self, /)
--

Make all committed messages visible and wake the consumer.";
%feature("docstring") TachyonBus::set_polling_mode
"set_polling_mode($self, /, pure_spin)
--

Choose how this end waits.

pure_spin: True or 1 never to sleep, False or 0, the default, to spin, then sleep.";
%feature("docstring") TachyonBus::set_numa_node
"set_numa_node($self, /, node_id)
--

Prefer a NUMA node for the ring's pages.

node_id: 0 to 63, else ValueError. OSError has the kernel's reason for a refusal.";
%feature("docstring") TachyonBus::max_payload
"max_payload($self, /)
--

Largest payload of one message in bytes.";
%feature("docstring") TachyonBus::stats
"stats($self, /)
--

Counters of this end since it was opened, with the fields of Stats.";
%feature("docstring") TachyonBus::peer
"peer($self, /)
--

Process, user and group id at the other end, as the kernel told them.";

typedef struct {} TachyonBus;
%extend TachyonBus {
    PyObject *listen(const char *socket_path, size_t capacity, seconds_t timeout = -1,
                     uint32_t mode = 0, PyObject *allowed_uids = NULL,
                     uint32_t role = TACHYON_ROLE_NONE, uint64_t schema = 0);
    PyObject *connect(const char *socket_path, seconds_t timeout = 0,
                      PyObject *allowed_uids = NULL,
                      uint32_t role = TACHYON_ROLE_NONE, uint64_t schema = 0);
    PyObject *listen_start(const char *socket_path, size_t capacity,
                           seconds_t timeout = -1, uint32_t mode = 0,
                           PyObject *allowed_uids = NULL,
                           uint32_t role = TACHYON_ROLE_NONE, uint64_t schema = 0);
    PyObject *connect_start(const char *socket_path, seconds_t timeout = 0,
                            PyObject *allowed_uids = NULL,
                            uint32_t role = TACHYON_ROLE_NONE, uint64_t schema = 0);
    PyObject *opening_step(void);
    PyObject *opening_cancel(void);
    PyObject *destroy(void);
    PyObject *abort(void);
    PyObject *flush(void);
    PyObject *set_polling_mode(bool pure_spin);
    PyObject *set_numa_node(int node_id);
    PyObject *max_payload(void);
    PyObject *stats(void);
    PyObject *peer(void);
    PyObject *fileno(void);
    PyObject *watch(void);
    PyObject *unwatch(void);
}
