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

With a class of messages, from the file that `python -m tachyon.schema` has written
from a C header, as attributes:

    tick = bus.channel(MarketTick)  # a MessageChannel
    tick("AAPL", price=189.5)
    with tick.send() as message:  # in place
        message.symbol, message.price = "AAPL", 189.5

    for message in tick:
        print(message.symbol, message.price)

tachyon.schema.load("ticks.h", MarketTick=1) makes it without a file, and a class whose
annotations are kinds needs no header:

    class Tick(tachyon.Message, type_id=1):
        symbol: tachyon.char[8]
        price: tachyon.f64

Two programs that are opened with types=[Tick, Order] and the like do not connect if
their messages differ, and are told why; bus.messages() receives all of them, each as
an object of its class.

Whole arrays, with their shape and dtype, of NumPy, PyTorch, JAX or any other buffer:

    bus.send_array(image, tag=camera)

    image = bus.recv_array()  # a copy; out=image for memory that is there already
    with bus.recv_array_zero_copy() as frame:  # a Frame, in the ring itself
        total += np.asarray(frame).sum()
    images = [bus.recv_array(hold=True) for _ in range(3)]  # as long as one likes

Any object, between two processes of one user: tachyon.Queue, in the place of
multiprocessing.Queue:

    queue = tachyon.Queue()
    Process(target=work, args=(queue,)).start()  # whose queue.get() gives what is put
    queue.put({"image": image, "label": "cat"})

Data frames, as Arrow record batches, with pyarrow: send_arrow(), recv_arrow() and, in
place, recv_arrow_zero_copy().

In an event loop of asyncio or uvloop:

    async with await Bus.listen_async("/tmp/ticks.sock", 1 << 20) as bus:
        async for type_id, size, data in bus:
            ...

A listen() in a thread could not be cancelled, nor could Ctrl-C end it there.

A bus has a fileno(), so select, poll and selectors take it as it is.


MANY PEERS

With max_peers and a role, listen() returns at once and goes on listening: peers come
and go, in whatever way, and never end the bus. Those who connect do so as always.

A producer broadcasts: each of its consumers reads every message, from one copy that
none of them can write to. The slowest holds it up, or is let go:

    with Bus.listen(path, 1 << 20, role=Role.PRODUCER, max_peers=16,
                    slow_peer=SlowPeer.DISCONNECT, slow_after=0.1,
                    without_peers=WithoutPeers.FREE_RUN) as feed:
        feed.accept_in_background()
        for tick in ticks:
            feed.send(tick)

    with Bus.connect(path, start=Start.OLDEST, name="feed-a") as bus:
        for message in bus:
            ...  # LaggedError: this end was too slow, and was let go
            save(bus.position())  # with which a later connect() goes on

A consumer collects from many producers, in order from each, and `sender` tells whose
message it was:

    with Bus.listen(path, 1 << 16, role=Role.CONSUMER, max_peers=64) as bus:
        for message in bus:
            print(bus.sender, message.data)

Peers are let in by whoever waits on the bus; one that never waits calls accept() now
and then, or accept_in_background() once. events() and peers() tell who comes, goes and
is there. A producer has the places of those that have gone for others when it sends, or
calls flush().


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

With max_peers it has any number of callers, and RpcDispatcher(workers=4) runs handlers
in a pool.

Without these, call() and wait() at one end and serve() and reply() at the other do the
same, with any number of calls outstanding and replies in any order; call_async() awaits
one. A reply of type MSG_TYPE_ERROR says that a call has failed.


WAITING, THREADS, SIGNALS, FORK

Every `timeout` is in seconds; None waits for ever, 0 does not wait. A wait looks a
while before it goes to sleep (`spin_threshold` looks); with set_polling_mode(True) it
never sleeps.

A call that waits, or copies more than 64 KiB, lets other threads run. Ctrl-C ends a
wait at once, other signals when their handler raises; another thread ends it by closing
the bus.

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
    LaggedError             what was to be read of a broadcast is overwritten
    UnexpectedMessage       not what a channel, an array or a batch takes; it stays in
                            the ring
    RpcError                the callee could not answer
    TachyonError            base of the seven above; itself for all that is wrong in the
                            order of calls: two threads, two guards, the wrong end, a
                            forked child, and for a peer that has broken the ring
    BufferError             a view outlives its guard, or the bus, that should go
    ConnectionError         nobody listens, the path is taken, another version
    PermissionError         refused by the socket's mode, the user id or a seal
    OSError, MemoryError    another system call failed; no memory
"""

import importlib
from typing import TYPE_CHECKING

from ._native import (
    AbortedError,
    ClosedError,
    Frame,
    LaggedError,
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
from .bus import Bus, Role, Stats
from .channel import Channel, ChannelBatch
from .dispatch import (
    MSG_TYPE_ERROR,
    RpcDispatcher,
    RpcEndpoint,
    tachyon_rpc,
)
from .kinds import (
    array as array,
    char as char,
    f32 as f32,
    f64 as f64,
    i8 as i8,
    i16 as i16,
    i32 as i32,
    i64 as i64,
    since as since,
    u8 as u8,
    u16 as u16,
    u16be as u16be,
    u32 as u32,
    u32be as u32be,
    u64 as u64,
    u64be as u64be,
)
from .message import Message, Received, Request
from .message_channel import MessageChannel
from .messages import Messages
from .peers import (
    Event,
    EventKind,
    Peer,
    PeerInfo,
    Position,
    SlowPeer,
    Start,
    WithoutPeers,
)
from .queue import Queue
from .rpc import RpcBus, RpcStats
from .type_id import make_type_id, msg_type, route_id

if TYPE_CHECKING:
    from . import schema as schema
else:

    def __getattr__(name: str):
        """Import tachyon.schema when it is asked for."""
        if name == "schema":
            return importlib.import_module(".schema", __name__)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__version__ = version()

__all__ = [
    "MSG_TYPE_ERROR",
    "AbortedError",
    "Bus",
    "Channel",
    "ChannelBatch",
    "ClosedError",
    "Event",
    "EventKind",
    "Frame",
    "LaggedError",
    "Message",
    "MessageChannel",
    "Messages",
    "Peer",
    "PeerDeadError",
    "PeerInfo",
    "Position",
    "Queue",
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
    "SlowPeer",
    "Start",
    "Stats",
    "TachyonBus",
    "TachyonError",
    "TachyonRpcBus",
    "TxGuard",
    "UnexpectedMessage",
    "WithoutPeers",
    "make_type_id",
    "msg_type",
    "route_id",
    "tachyon_rpc",
]
