# SPDX-License-Identifier: Apache-2.0
"""Same-machine messaging between processes through shared memory.

One process listens on a socket path, another connects; either end sends:

    with Bus.listen("/tmp/ticks.sock", 1 << 20) as bus:
        for type_id, size, data in bus:
            ...

    with Bus.connect("/tmp/ticks.sock") as bus:
        bus.send(b"hello", type_id=1)

Threads: one thread may send and one receive on a bus at a time; a second one gets a
TachyonError. Every call that waits does so without the interpreter's lock, and Ctrl-C
ends it. A free-threaded interpreter turns its lock on when it imports this package.

Fork: a bus belongs to the process that made it; in a child its use is a TachyonError.
"""

from ._native import (
    ClosedError,
    PeerDeadError,
    RingFull,
    RxBatchGuard,
    RxGuard,
    RxMsgView,
    TachyonBus,
    TachyonError,
    TxGuard,
    tachyon_version,
)
from .bus import Bus, Peer, Role, Stats
from .message import Message
from .type_id import make_type_id, msg_type, route_id

__version__ = tachyon_version()

__all__ = [
    "Bus",
    "ClosedError",
    "Message",
    "Peer",
    "PeerDeadError",
    "RingFull",
    "Role",
    "RxBatchGuard",
    "RxGuard",
    "RxMsgView",
    "Stats",
    "TachyonBus",
    "TachyonError",
    "TxGuard",
    "make_type_id",
    "msg_type",
    "route_id",
]
