# SPDX-License-Identifier: Apache-2.0
"""Same-machine messaging between processes through shared memory.

One process listens on a socket path, another connects; either end sends:

    with Bus.listen("/tmp/ticks.sock", 1 << 20) as bus:
        for type_id, size, data in bus:
            ...

    with Bus.connect("/tmp/ticks.sock") as bus:
        bus.send(b"hello", type_id=1)

with fields of one layout, one message at a time or an array of them:

        tick = bus.channel([("symbol", "S8"), ("price", "f8")], type_id=2)
        tick(b"AAPL", 189.5)
        tick.send_batch(array)

        symbol, price = tick.recv()
        count = tick.recv_batch_into(array)
        with tick.drain_batch() as ticks:  # in the ring itself, without a copy
            total += ticks["price"].sum()

or one calls what the other serves:

    @tachyon_rpc(msg_type=1)
    def double(request: memoryview) -> bytes:
        return bytes(request) * 2

    with RpcBus.rpc_listen("/tmp/rpc.sock", 1 << 16, 1 << 16) as bus:
        RpcDispatcher().register(double).serve_forever(bus)

    with RpcBus.rpc_connect("/tmp/rpc.sock") as bus:
        double.call(bus, b"spam", timeout=1)

In an event loop of asyncio or uvloop the same waits are awaited:

    async for type_id, size, data in bus:
        ...
    reply = await rpc.call_async(b"spam", msg_type=1, timeout=1)

A bus has a fileno(), so select, poll and selectors take it as it is.

Threads: one thread may send and one receive on a bus at a time, and one thread use an
RPC bus; a second one gets a TachyonError. Every call that waits does so without the
interpreter's lock, and Ctrl-C ends it. A free-threaded interpreter turns its lock on
when it imports this package.

Fork: a bus belongs to the process that made it; in a child its use is a TachyonError.
"""

from ._native import (
    ClosedError,
    PeerDeadError,
    RingFull,
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
    tachyon_version,
)
from .bus import Bus, Peer, Role, Stats
from .channel import Channel, ChannelBatch
from .dispatch import (
    MSG_TYPE_ERROR,
    RpcDispatcher,
    RpcEndpoint,
    RpcError,
    tachyon_rpc,
)
from .message import Message, Received, Request
from .rpc import RpcBus, RpcStats
from .type_id import make_type_id, msg_type, route_id

__version__ = tachyon_version()

__all__ = [
    "MSG_TYPE_ERROR",
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
