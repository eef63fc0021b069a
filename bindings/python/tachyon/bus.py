# SPDX-License-Identifier: Apache-2.0
"""One end of a connection. What runs once a message is in the generated BusBase."""

from __future__ import annotations

import os
from collections.abc import Iterable
from enum import IntEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, SupportsIndex, TypeVar, overload

from . import _native, arrow
from .aio import Watch, deadline_after, open_in_steps
from .channel import Channel
from .message import AnyMessage, Message
from .message_channel import MessageChannel
from .messages import Messages
from .peers import (
    Listener,
    Peer,
    Position,
    SlowPeer,
    Start,
    WithoutPeers,
)

if TYPE_CHECKING:
    import pyarrow as pa
    from typing_extensions import Buffer, Self

    from .layout import LayoutLike
    from .rpc import RpcStats

StrPath = str | bytes | os.PathLike[str] | os.PathLike[bytes]
Types = str | Iterable[type[Message] | str] | None
Fields = TypeVar("Fields", "Peer", "Stats", "RpcStats")
M = TypeVar("M", bound=Message)


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
class Bus(Listener, _native.BusBase):
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

    _types: tuple[Any, ...] = ()  # the Message classes of `types`

    @property
    def _low(self) -> _native.TachyonBus:
        return self._bus

    def _declare(self, types: Types) -> Types:
        """Keep the classes of its types, and return what they are."""
        if isinstance(types, Iterable) and not isinstance(types, (str, bytes)):
            types = tuple(types)
            self._types = tuple(each for each in types if isinstance(each, type))
        return types

    def __repr__(self) -> str:
        name = f"{type(self).__module__.split('.')[0]}.{type(self).__qualname__}"
        try:
            capacity = self.stats().capacity
            return f"<{name} of {capacity} bytes, {self._described()}>"
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
        types: Types = None,
        types_required: bool = False,
        max_peers: SupportsIndex | None = None,
        slow_peer: SupportsIndex = SlowPeer.BLOCK,
        slow_after: float = 0,
        without_peers: SupportsIndex = WithoutPeers.WAIT,
        keep_place: float = 0,
    ) -> Self:
        """Create a ring and wait for a peer; with max_peers, do not wait.

        It blocks; in an event loop await listen_async(), which can be cancelled.

        capacity: bytes of the ring, a power of two up to 2 GiB; at least a page.
        socket_path: at most 107 bytes, or "@name" for the abstract namespace.
        timeout: seconds to wait for a peer; None waits for ever.
        mode: permission bits of the socket.
        allowed_uids: user ids that may connect; None means only this process's own.
        role: if declared, a peer that declares the same one is refused.
        schema: fingerprint of the message types; ends whose fingerprints differ do not
            connect, 0 is not compared. It follows from `types`.
        types: the Message classes of all messages that may pass, or their description
            as a str. A peer whose messages are not the same is refused: its
            ConnectionError and our TimeoutError name the first field that differs.
        types_required: a peer that declares neither types nor schema is refused.
        max_peers: 1 to 1024 peers at a time; it needs a role. The path stays, and peers
            come and go: see MANY PEERS in help("tachyon"). None: a single peer, ever.
        slow_peer: a SlowPeer, of a producer with more than one, as all below.
        slow_after: with SlowPeer.DISCONNECT, after how many seconds.
        without_peers: a WithoutPeers.
        keep_place: for how many seconds the place of a consumer with a name that died
            is kept for the next one of that name; 0: not.

        Raises ValueError for a capacity or path out of range and for types that cannot
        be on one bus, ConnectionError with errno EADDRINUSE where a listener or another
        file has the path and with the cause otherwise, PermissionError, TimeoutError,
        which tells what a peer was last refused for.
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
            types=bus._declare(types),
            types_required=types_required,
            max_peers=max_peers,
            slow_peer=slow_peer,
            slow_after=slow_after,
            without_peers=without_peers,
            keep_place=keep_place,
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
        types: Types = None,
        types_required: bool = False,
        start: SupportsIndex | tuple[int, int] = Start.NOW,
        name: str | None = None,
    ) -> Self:
        """Attach to a listener.

        It blocks; in an event loop await connect_async().

        timeout: seconds to keep trying while nobody listens; 0 is one try, None is for
            ever.
        start: where a consumer of many begins: a Start, or a Position from position(),
            as two integers, too. But for Start.NOW it makes a consumer of this end.
        name: at most 31 bytes; at one listener no two living peers of one user have the
            same.
        The other arguments are those of listen().

        Raises ConnectionError when nobody listens or the listener is no Tachyon of this
        version, PermissionError when one end refuses the other, ValueError for a path
        out of range, TimeoutError when the listener does not answer, LaggedError when a
        position is not there any more, or is of another epoch, TachyonError when the
        listener has no place for another peer or one of that name lives.
        """
        bus = cls()
        bus._bus.connect(
            socket_path,
            timeout=timeout,
            allowed_uids=allowed_uids,
            role=role,
            schema=schema,
            types=bus._declare(types),
            types_required=types_required,
            start=start,
            name=name,
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
        types: Types = None,
        types_required: bool = False,
        max_peers: SupportsIndex | None = None,
        slow_peer: SupportsIndex = SlowPeer.BLOCK,
        slow_after: float = 0,
        without_peers: SupportsIndex = WithoutPeers.WAIT,
        keep_place: float = 0,
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
            types=bus._declare(types),
            types_required=types_required,
            max_peers=max_peers,
            slow_peer=slow_peer,
            slow_after=slow_after,
            without_peers=without_peers,
            keep_place=keep_place,
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
        types: Types = None,
        types_required: bool = False,
        start: SupportsIndex | tuple[int, int] = Start.NOW,
        name: str | None = None,
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
            types=bus._declare(types),
            types_required=types_required,
            start=start,
            name=name,
        )
        await open_in_steps(bus._bus, fd)
        return bus

    @overload
    def channel(self, spec: type[M]) -> MessageChannel[M]: ...  # type: ignore[overload-overlap]
    @overload
    def channel(self, spec: LayoutLike, type_id: SupportsIndex = 0) -> Channel: ...
    def channel(self, spec: Any, type_id: SupportsIndex = 0) -> Any:
        """Make a channel for messages of one type and layout.

        spec: a class of messages, derived from tachyon.Message, for a MessageChannel.
            Else, for a Channel, a format of the struct module or a struct.Struct, or
            what np.dtype() takes but a string: a NumPy dtype, a list of fields, a
            ctypes.Structure.
        type_id: of all its messages; a class has its own.

        A sub-array of a dtype is one field: it takes an array of its dtype and shape,
        a list of numbers or its bytes, and is received as an array, a read-only copy.

        Raises ValueError for a layout of 0 bytes or more than max_payload, TypeError
        for one with Python objects, struct.error for a bad format. Fields of a dtype
        that have no struct format (str, datetime64, complex) are refused by the first
        call that packs or unpacks them; arrays of them are sent and received.
        """
        if not getattr(type(spec), "is_of_messages", False):
            return Channel(self, spec, type_id)
        if type_id not in (0, spec.type_id):
            raise TypeError(
                f"messages of {spec.__name__} have the type_id {spec.type_id}, not "
                f"{type_id!r:.100}"
            )
        return MessageChannel(self, spec)

    def messages(self, *types: Any, timeout: float | None = None) -> Messages:
        """Receive messages of several types, each as an object of its class.

            for message in bus.messages():
                match message:
                    case MarketTick(price=price): ...
                    case Cancel(order=order): ...

        types: the Message classes; none: those that were given to listen() or
            connect().
        timeout: seconds to wait for each one, when it is iterated.

        Raises ValueError where there are no classes, or two of one type_id.
        """
        return Messages(self, types or self._types, timeout)

    async def recv_async(self, timeout: float | None = None) -> AnyMessage:
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

    async def recv_array_async(
        self,
        out: _native._Array | None = None,
        hold: bool = False,
        timeout: float | None = None,
    ) -> Any:
        """Wait for an array in an event loop, as recv_array() does."""
        return await self._watch.receive(
            lambda: self.recv_array(out, hold, 0), deadline_after(timeout)
        )

    async def recv_array_zero_copy_async(
        self, timeout: float | None = None
    ) -> _native.Frame:
        """Wait for an array in an event loop, as recv_array_zero_copy() does."""
        return await self._watch.receive(
            lambda: self.recv_array_zero_copy(0), deadline_after(timeout)
        )

    async def send_array_async(
        self,
        array: _native._Array,
        type_id: SupportsIndex = 0,
        tag: SupportsIndex = 0,
        timeout: float | None = None,
    ) -> None:
        """Copy an array into the ring, when there is room, as send_array() does.

        The array must not change until this returns. Otherwise as send_async().
        """
        await self._watch.send(
            lambda: self.send_array(array, type_id, tag, None, False),
            _native.RingFull,
            deadline_after(timeout),
        )

    def send_arrow(
        self,
        batch: Any,
        type_id: SupportsIndex = 0,
        timeout: float | None = None,
        block: bool = True,
    ) -> None:
        """Send an Arrow record batch, written once: as a stream, into the ring.

        batch: a pyarrow.RecordBatch or Table, or what has __arrow_c_stream__ or
            __arrow_c_array__, as data frames of polars and pandas have. Chunks of a
            table are made one batch, by a copy if there are several.
        type_id, timeout, block: as for send().

        Fails as send_zero_copy(), and with ImportError without pyarrow (the extra
        `arrow` of the package), TypeError for what is no batch, ValueError for one that
        is larger than the ring takes; nothing was sent then.
        """
        outgoing = arrow.measured(self, batch)
        arrow.send_arrow(self, outgoing, type_id, timeout, block=block)

    def recv_arrow(self, timeout: float | None = None) -> pa.RecordBatch:
        """Wait for an Arrow record batch and return a copy of it, validated.

        Fails as recv(), and with UnexpectedMessage for a message that is no Arrow
        stream of one batch, is cut off, or lies about what is in it: that stays in the
        ring. ImportError without pyarrow (the extra `arrow` of the package).
        """
        return arrow.recv_arrow(self, timeout)

    def recv_arrow_zero_copy(self, timeout: float | None = None) -> arrow.ArrowBatch:
        """Wait for an Arrow record batch and read it in place.

        Returns an ArrowBatch for a `with` block, which pyarrow, polars, pandas and
        DuckDB take like a pyarrow.RecordBatch. It is not validated, and the peer can
        change it: for peers that are trusted as this process is; a lie can crash it.
        Leaving the block releases the message, or raises BufferError while an Arrow
        buffer still points into it. Otherwise fails as recv_arrow().
        """
        return arrow.ArrowBatch(self, timeout)

    async def send_arrow_async(
        self, batch: Any, type_id: SupportsIndex = 0, timeout: float | None = None
    ) -> None:
        """Send an Arrow record batch when there is room.

        Fails as send_arrow() and, cancelled, like send_async() has sent nothing.
        """
        outgoing = arrow.measured(self, batch)
        await self._watch.send(
            lambda: arrow.send_arrow(self, outgoing, type_id),
            _native.RingFull,
            deadline_after(timeout),
        )

    async def recv_arrow_async(self, timeout: float | None = None) -> pa.RecordBatch:
        """Wait for an Arrow record batch in an event loop, as recv_arrow() does."""
        return await self._watch.receive(
            lambda: arrow.recv_arrow(self, 0), deadline_after(timeout)
        )

    async def recv_arrow_zero_copy_async(
        self, timeout: float | None = None
    ) -> arrow.ArrowBatch:
        """Wait for a batch in an event loop, as recv_arrow_zero_copy() does."""
        return await self._watch.receive(
            lambda: arrow.ArrowBatch(self, 0), deadline_after(timeout)
        )

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AnyMessage:
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

        With many peers it is readable, too, when one comes or goes: a receiving end
        sees to that where it finds nothing, a sending one where it sends, or by flush()
        and accept(0) until TimeoutError.

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

    def flush(self) -> None:
        """See who has come and gone, though there is nothing to send.

        What is sent is visible at once without this. A producer with many peers has the
        places of those that have gone for others when it sends: one that sends nothing
        for long calls this now and then. Raises ClosedError when this end was closed.
        """
        self._bus.flush()

    def position(self) -> Position:
        """Return where this end of a broadcast stands, for `start` of connect().

        That is after what a consumer has released, or a producer has sent. Of any
        other bus ValueError; ClosedError when this end was closed.
        """
        return Position(*self._bus.position())

    def stats(self) -> Stats:
        """Counters of this end; exact on the thread that uses the bus."""
        return from_struct(Stats, self._bus.stats())


def from_struct(kind: type[Fields], struct: object) -> Fields:
    """Make a named tuple of a struct with the same fields."""
    return kind(*(getattr(struct, field) for field in kind._fields))
