# SPDX-License-Identifier: Apache-2.0
"""Same-machine messaging between processes through shared memory.

Two processes share a ring of memory. One writes messages into it, the other reads them
where they lie: nothing is copied on the way, and the kernel is called only to put a
process to sleep and to wake it.


A FIRST EXAMPLE

One process listens on a socket path and receives:

    with Bus.listen("/tmp/ticks.sock", 1 << 20) as bus:
        for type_id, size, data in bus:
            print(type_id, data)

Another one connects and sends; the loop above ends when it has closed:

    with Bus.connect("/tmp/ticks.sock", timeout=10) as bus:
        bus.send(b"hello", type_id=1)
        with bus.send_zero_copy(size=8, type_id=2) as tx:
            tx.buf[:] = b"in place"


LIFE OF A BUS

Bus.listen() makes the ring and waits for a peer, Bus.connect() attaches to it. The
socket serves to meet, and afterwards to sleep and to notice each other's end; the path
is free again for the next one. The first send or receive decides which end is which, or
`role` does; there is one producer and one consumer for good.

Leaving the `with` block flushes and closes, and so does close(). An exception that
leaves it aborts instead, and so does abort(): the peer is not to take half of a stream
for the whole. Only GeneratorExit and sys.exit() without a status, or with 0, close.
Ctrl-C and a cancelled task abort; who means that to be a good end catches it inside the
block. A bus that is dropped without either is closed.

What was sent before the end is still received. Then iterating stops after a close and
every other receive raises ClosedError; after a death all raise PeerDeadError, after an
abort AbortedError.

A ring that is full holds its producer up until the consumer has released something.


WAYS TO SEND AND TO RECEIVE

One message, copied: send(), recv(), `for message in bus`.

One message in place: send_zero_copy() and recv_zero_copy() give a guard for a `with`
block, whose `buf` is a memoryview of the ring itself. The memory is the bus's: a view
that is still there when the block ends is a BufferError, and what it shows stays as it
is until the view is gone: copy what you keep. An exception that leaves the block goes
through as it is.

Many in place: drain_batch() gives a sequence of what is there, which NumPy and DLPack
take without a copy.

Many as an array: send_batch() takes any buffer or NumPy array, one message for each
item, recv_batch_into() fills one.

With fields of one layout, one message at a time or an array of them:

    tick = bus.channel([("symbol", "S8"), ("price", "f8")], type_id=2)
    tick(b"AAPL", 189.5)
    tick.send_batch(array)

    symbol, price = tick.recv()
    count = tick.recv_batch_into(array)
    with tick.drain_batch() as ticks:  # in the ring itself, without a copy
        total += ticks["price"].sum()

In an event loop of asyncio or uvloop:

    async with await Bus.listen_async("/tmp/ticks.sock", 1 << 20) as bus:
        async for type_id, size, data in bus:
            ...

A listen() in a thread could not be cancelled, nor could Ctrl-C end it there.

A bus has a fileno(), so select, poll and selectors take it as it is.


CALLS

One process serves functions:

    @tachyon_rpc(msg_type=1)
    def double(request: memoryview) -> bytes:
        return bytes(request) * 2

    with RpcBus.rpc_listen("/tmp/rpc.sock", 1 << 16, 1 << 16) as bus:
        RpcDispatcher().register(double).serve_forever(bus)

and the other calls them:

    @tachyon_rpc(msg_type=1)
    def double(request: memoryview) -> bytes: ...

    with RpcBus.rpc_connect("/tmp/rpc.sock", timeout=10) as bus:
        print(double.call(bus, b"spam", timeout=1))

Without these, call() and wait() at one end and serve() and reply() at the other do the
same, with any number of calls outstanding and replies in any order; call_async() awaits
one. A reply of type MSG_TYPE_ERROR says that a call has failed.


WAITING, THREADS, SIGNALS, FORK

Every `timeout` is in seconds; None waits for ever, 0 does not wait. A wait looks a
while before it goes to sleep (`spin_threshold` looks); with set_polling_mode(True) it
never sleeps.

A call that waits lets other threads run. Ctrl-C ends it at once, other signals when
their handler raises; another thread ends it by closing the bus.

One thread may send and one receive on a bus at a time, and one thread use an RPC bus; a
second one gets a TachyonError. A free-threaded interpreter turns its lock on when it
imports this package.

A bus belongs to the process that made it; in a forked child its use is a TachyonError.


ERRORS

    ValueError, TypeError   an argument that cannot be right, a message that can never
                            fit; the text has the name and the value. An integer is
                            whatever has an __index__, as NumPy's have; no float
    TimeoutError            `timeout` seconds are over; nothing was sent or taken
    RingFull                block=False, and there is no room
    ClosedError             the stream has ended: this end or the peer closed
    PeerDeadError           the peer died without closing
    AbortedError            a PeerDeadError: the peer gave up in the middle, and said so
    UnexpectedMessage       not what a channel or an array takes; it stays in the ring
    RpcError                the callee could not answer
    TachyonError            base of the six above; itself for all that is wrong in the
                            order of calls: two threads, two guards, the wrong end, a
                            forked child, and for a peer that has broken the ring
    BufferError             a view outlives its guard, or the bus, that should go
    ConnectionError         nobody listens, the path is taken, another version
    PermissionError         refused by the socket's mode, the user id or a seal
    OSError, MemoryError    another system call failed; no memory
"""

from ._native import (
    AbortedError,
    ClosedError,
    PeerDeadError,
    RingFull,
    RpcError,
    RpcRxGuard,
    RpcTxGuard,
    RxBatchGuard,
    RxGuard,
    RxMsgView,
    TachyonBus,
    TachyonError,
    TachyonRpcBus,
    TxGuard,
    UnexpectedMessage,
    version,
)
from .bus import Bus, Peer, Role, Stats
from .channel import Channel, ChannelBatch
from .dispatch import (
    MSG_TYPE_ERROR,
    RpcDispatcher,
    RpcEndpoint,
    tachyon_rpc,
)
from .message import Message, Received, Request
from .rpc import RpcBus, RpcStats
from .type_id import make_type_id, msg_type, route_id

__version__ = version()

__all__ = [
    "MSG_TYPE_ERROR",
    "AbortedError",
    "Bus",
    "Channel",
    "ChannelBatch",
    "ClosedError",
    "Message",
    "Peer",
    "PeerDeadError",
    "Received",
    "Request",
    "RingFull",
    "Role",
    "RpcBus",
    "RpcDispatcher",
    "RpcEndpoint",
    "RpcError",
    "RpcRxGuard",
    "RpcStats",
    "RpcTxGuard",
    "RxBatchGuard",
    "RxGuard",
    "RxMsgView",
    "Stats",
    "TachyonBus",
    "TachyonError",
    "TachyonRpcBus",
    "TxGuard",
    "UnexpectedMessage",
    "make_type_id",
    "msg_type",
    "route_id",
    "tachyon_rpc",
]
