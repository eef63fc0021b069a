# SPDX-License-Identifier: Apache-2.0
"""One end of a connection. What runs once a message is in the generated BusBase."""

import os
from collections.abc import Iterable
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from . import _native
from .channel import Channel

if TYPE_CHECKING:
    from .layout import LayoutLike
    from .rpc import RpcStats

StrPath = str | bytes | os.PathLike[str] | os.PathLike[bytes]
AnyBus = TypeVar("AnyBus", bound="Bus")
Fields = TypeVar("Fields", "Peer", "Stats", "RpcStats")


class Role(IntEnum):
    """Direction of an end."""

    NONE = _native.TACHYON_ROLE_NONE
    """Decided by the first send or receive."""
    PRODUCER = _native.TACHYON_ROLE_PRODUCER
    CONSUMER = _native.TACHYON_ROLE_CONSUMER


class Peer(NamedTuple):
    """Who is at the other end, as the kernel said at the handshake."""

    pid: int
    """0 when it lives in a pid namespace this process cannot see."""
    uid: int
    gid: int


class Stats(NamedTuple):
    """Counters of one end since it was opened."""

    capacity: int
    """Bytes of the ring."""
    used: int
    """Bytes of it that this end knows to be in use."""
    messages: int
    """Committed by a producer, released by a consumer."""
    ring_bytes: int
    """Bytes of ring they took, headers and padding included."""
    flushes: int
    """Times a producer published."""
    full: int
    """Times a producer found no room."""
    sleeps: int
    """Times this end went to sleep."""
    wakes: int
    """Times this end woke its peer."""


@_native.direct_calls
class Bus(_native.BusBase):
    """One end of a connection.

    Iterating yields a Message for each one received, ends when the peer has closed and
    everything is drained, and raises PeerDeadError when it died. Leaving a `with` block
    flushes and closes.
    """

    def __repr__(self) -> str:
        name = f"{type(self).__module__.split('.')[0]}.{type(self).__qualname__}"
        try:
            return f"<{name} of {self.stats().capacity} bytes, peer {self.peer.pid}>"
        except _native.TachyonError:
            return f"<{name}, not open>"

    @classmethod
    def listen(
        cls: type[AnyBus],
        socket_path: StrPath,
        capacity: int,
        *,
        timeout: float | None = None,
        mode: int = 0o600,
        allowed_uids: Iterable[int] | None = None,
        role: Role = Role.NONE,
        schema: int = 0,
    ) -> AnyBus:
        """Create a ring of `capacity` bytes, a power of two, and wait for a peer.

        socket_path: at most 107 bytes, or "@name" for the abstract namespace.
        timeout: seconds to wait for a peer; None waits for ever.
        mode: permission bits of the socket.
        allowed_uids: user ids that may connect; None means only this process's own.
        role: if declared, a peer that declares the same one is refused.
        schema: fingerprint of the message types; ends whose fingerprints differ do not
            connect, 0 is not compared.

        Raises ValueError for a capacity or path out of range, ConnectionError with
        errno EADDRINUSE where a listener or another file has the path and with the
        cause otherwise, PermissionError, TimeoutError.
        """
        bus = cls()
        bus._bus.listen(
            socket_path,
            capacity,
            timeout=timeout,
            mode=mode,
            allowed_uids=allowed_uids,
            role=role,
            schema=schema,
        )
        return bus

    @classmethod
    def connect(
        cls: type[AnyBus],
        socket_path: StrPath,
        *,
        timeout: float | None = 0,
        allowed_uids: Iterable[int] | None = None,
        role: Role = Role.NONE,
        schema: int = 0,
    ) -> AnyBus:
        """Attach to a listener.

        timeout: seconds to keep trying while nobody listens; 0 is one try, None is for
            ever. The other arguments are those of listen().

        Raises ConnectionError when nobody listens or the listener is no Tachyon of this
        version, PermissionError when one end refuses the other, ValueError for a path
        out of range, TimeoutError when the listener does not answer.
        """
        bus = cls()
        bus._bus.connect(
            socket_path,
            timeout=timeout,
            allowed_uids=allowed_uids,
            role=role,
            schema=schema,
        )
        return bus

    def channel(self, spec: "LayoutLike", type_id: int = 0) -> Channel:
        """Make a channel for messages of one type and layout.

        spec: a format of the struct module or a struct.Struct, or what np.dtype()
            takes but a string: a NumPy dtype, a list of fields, a ctypes.Structure.
        type_id: of all its messages.

        Raises ValueError for a layout of 0 bytes or more than max_payload, TypeError
        for one with Python objects, struct.error for a bad format. Fields of a dtype
        that have no struct format (str, datetime64, complex) are refused by the first
        call that packs or unpacks them; arrays of them are sent and received.
        """
        return Channel(self, spec, type_id)

    def set_polling_mode(self, pure_spin: int) -> None:
        """Choose how this end waits: spin only, or (the default) spin, then sleep."""
        self._bus.set_polling_mode(pure_spin)

    def set_numa_node(self, node_id: int) -> None:
        """Prefer a NUMA node, 0 to 63, for the ring's pages.

        Raises ValueError for another node and OSError with the kernel's reason.
        """
        self._bus.set_numa_node(node_id)

    @property
    def max_payload(self) -> int:
        """Largest payload of one message in bytes."""
        return self._bus.max_payload()

    @property
    def peer(self) -> Peer:
        """Process, user and group id at the other end."""
        return from_struct(Peer, self._bus.peer())

    def stats(self) -> Stats:
        """Counters of this end; exact on the thread that uses the bus."""
        return from_struct(Stats, self._bus.stats())


def from_struct(kind: type[Fields], struct: object) -> Fields:
    """Make a named tuple of a struct with the same fields."""
    return kind(*(getattr(struct, field) for field in kind._fields))
