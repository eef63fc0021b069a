# SPDX-License-Identifier: Apache-2.0
"""One end of a connection. What runs once a message is in the generated BusBase."""

from __future__ import annotations

import os
from collections.abc import Iterable
from enum import IntEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, SupportsIndex, TypeVar

from . import _native
from .aio import Watch, deadline_after, open_in_steps
from .channel import Channel
from .message import Message

if TYPE_CHECKING:
    from typing_extensions import Buffer, Self

    from .layout import LayoutLike
    from .rpc import RpcStats

StrPath = str | bytes | os.PathLike[str] | os.PathLike[bytes]
Fields = TypeVar("Fields", "Peer", "Stats", "RpcStats")


class Permissions(int):
    """Permission bits, shown as they are written."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"0o{self:o}"


OWNER_ONLY = Permissions(0o600)


class Role(IntEnum):
    """Direction of an end: PRODUCER, CONSUMER or NONE.

    With NONE, the default, the first send or receive decides.
    """

    NONE = _native.ROLE_NONE
    PRODUCER = _native.ROLE_PRODUCER
    CONSUMER = _native.ROLE_CONSUMER

    def __repr__(self) -> str:
        return f"Role.{self.name}"


class Peer(NamedTuple):
    """Who is at the other end, as the kernel said at the handshake.

    pid: process id, 0 when it lives in a pid namespace this process cannot see.
    uid, gid: effective user and group id.
    """

    pid: int
    uid: int
    gid: int


class Stats(NamedTuple):
    """Counters of one end since it was opened.

    capacity: bytes of the ring.
    used: bytes of it that this end knows to be in use.
    messages: committed by a producer, released by a consumer.
    ring_bytes: bytes of ring they took, headers and padding included.
    flushes: times a producer published.
    full: times a producer found no room.
    sleeps: times this end went to sleep.
    wakes: times this end woke its peer.
    """

    capacity: int
    used: int
    messages: int
    ring_bytes: int
    flushes: int
    full: int
    sleeps: int
    wakes: int


@_native.direct_calls
class Bus(_native.BusBase):
    """One end of a connection.

    Iterating yields a Message for each one received, ends when the peer has closed and
    everything is drained, and raises PeerDeadError when it died. Leaving a `with` block
    flushes and closes as close() does; by an exception it aborts as abort() does.
    `async for` and `async with` do the same in an event loop.

    The async methods are for one event loop at a time. A task may be cancelled while it
    awaits one, and no message is lost or sent in part; closing the bus, from any
    thread, ends them with ClosedError. Where there is always something to do they let
    other tasks run every 64 messages.
    """

    def __repr__(self) -> str:
        name = f"{type(self).__module__.split('.')[0]}.{type(self).__qualname__}"
        try:
            return f"<{name} of {self.stats().capacity} bytes, peer {self.peer.pid}>"
        except _native.TachyonError:
            return f"<{name}, not open>"

    @classmethod
    def listen(
        cls,
        socket_path: StrPath,
        capacity: SupportsIndex,
        *,
        timeout: float | None = None,
        mode: SupportsIndex = OWNER_ONLY,
        allowed_uids: Iterable[SupportsIndex] | None = None,
        role: SupportsIndex = Role.NONE,
        schema: SupportsIndex = 0,
    ) -> Self:
        """Create a ring and wait for a peer.

        It blocks; in an event loop await listen_async(), which can be cancelled.

        capacity: bytes of the ring, a power of two up to 2 GiB; at least a page.
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
        cls,
        socket_path: StrPath,
        *,
        timeout: float | None = 0,
        allowed_uids: Iterable[SupportsIndex] | None = None,
        role: SupportsIndex = Role.NONE,
        schema: SupportsIndex = 0,
    ) -> Self:
        """Attach to a listener.

        It blocks; in an event loop await connect_async().

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

    @classmethod
    async def listen_async(
        cls,
        socket_path: StrPath,
        capacity: SupportsIndex,
        *,
        timeout: float | None = None,
        mode: SupportsIndex = OWNER_ONLY,
        allowed_uids: Iterable[SupportsIndex] | None = None,
        role: SupportsIndex = Role.NONE,
        schema: SupportsIndex = 0,
    ) -> Self:
        """Wait for a peer in an event loop, without a thread.

        The arguments and what is raised are those of listen(). Cancelled, it is over at
        once and leaves nothing behind: the path is free again, and a peer that had
        connected already finds the stream closed.
        """
        bus = cls()
        fd = bus._bus.listen_start(
            socket_path,
            capacity,
            timeout=timeout,
            mode=mode,
            allowed_uids=allowed_uids,
            role=role,
            schema=schema,
        )
        await open_in_steps(bus._bus, fd)
        return bus

    @classmethod
    async def connect_async(
        cls,
        socket_path: StrPath,
        *,
        timeout: float | None = 0,
        allowed_uids: Iterable[SupportsIndex] | None = None,
        role: SupportsIndex = Role.NONE,
        schema: SupportsIndex = 0,
    ) -> Self:
        """Attach to a listener in an event loop, without a thread.

        The arguments and what is raised are those of connect(). Cancelled, it is over
        at once, and the listener listens on.
        """
        bus = cls()
        fd = bus._bus.connect_start(
            socket_path,
            timeout=timeout,
            allowed_uids=allowed_uids,
            role=role,
            schema=schema,
        )
        await open_in_steps(bus._bus, fd)
        return bus

    def channel(self, spec: LayoutLike, type_id: SupportsIndex = 0) -> Channel:
        """Make a channel for messages of one type and layout.

        spec: a format of the struct module or a struct.Struct, or what np.dtype()
            takes but a string: a NumPy dtype, a list of fields, a ctypes.Structure.
        type_id: of all its messages.

        A sub-array of a dtype is one field: it takes an array of its dtype and shape,
        a list of numbers or its bytes, and is received as an array, a read-only copy.

        Raises ValueError for a layout of 0 bytes or more than max_payload, TypeError
        for one with Python objects, struct.error for a bad format. Fields of a dtype
        that have no struct format (str, datetime64, complex) are refused by the first
        call that packs or unpacks them; arrays of them are sent and received.
        """
        return Channel(self, spec, type_id)

    async def recv_async(self, timeout: float | None = None) -> Message:
        """Wait for one message in an event loop and return a copy of it.

        Fails as recv(). Several tasks may wait: the one that has waited longest gets
        the next message.
        """
        deadline = None if timeout is None else deadline_after(timeout)
        if self._watch.may_hurry():
            try:
                return self.recv(0)
            except TimeoutError:
                pass
        return await self._watch.receive(lambda: self.recv(0), deadline)

    async def send_async(
        self, data: Buffer, type_id: SupportsIndex = 0, timeout: float | None = None
    ) -> None:
        """Copy one message into the ring, when there is room, and make it visible.

        Fails as send(). Cancelled while it waits for room, it has sent nothing. While
        tasks wait for room, send with this only: send() may take the news of it.
        """
        watch = self._watch
        if watch.may_send():
            try:
                return self.send(data, type_id, None, False)
            except _native.RingFull:
                pass
        await watch.send(
            lambda: self.send(data, type_id, None, False),
            _native.RingFull,
            deadline_after(timeout),
        )

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        try:
            return await self.recv_async()
        except _native.ClosedError:
            if self.fileno() < 0:  # this end was closed, not the peer's
                raise
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *exception: Any) -> None:
        self.__exit__(*exception)

    async def aclose(self) -> None:
        """Close as close() does, for contextlib.aclosing()."""
        self.close()

    @cached_property
    def _watch(self) -> Watch:
        return Watch(self._bus)

    def fileno(self) -> int:
        """Return the descriptor for select, poll, selectors and event loops.

        It is readable while there may be something to do: for a receiving end while a
        message is there, the stream has ended or the peer is gone; for a sending end
        when the peer is gone, and once there is room after send(block=False) has found
        none. It is level-triggered and may be readable once too often, never too
        seldom; a receive with timeout=0 that finds nothing makes it unreadable.

        Do not read, write or close it; it lives as long as the bus is open, and is -1
        from then on. Ask for it before the send that must not block.
        """
        return self._bus.fileno()

    def set_polling_mode(self, pure_spin: SupportsIndex) -> None:
        """Choose how this end waits.

        pure_spin: True or 1 never to sleep, False or 0, the default, to spin, then
            sleep. Raises ClosedError when the bus is not open.
        """
        self._bus.set_polling_mode(pure_spin)

    def set_numa_node(self, node_id: SupportsIndex) -> None:
        """Prefer a NUMA node for the ring's pages.

        node_id: 0 to 63, else ValueError. OSError has the kernel's reason for a
            refusal.
        """
        self._bus.set_numa_node(node_id)

    @property
    def max_payload(self) -> int:
        """Largest payload of one message in bytes: the ring's capacity - 128."""
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
