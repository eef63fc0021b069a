# SPDX-License-Identifier: Apache-2.0
"""Calls and replies. What runs once a call is in the generated RpcBusBase."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, SupportsIndex, TypeVar

from . import _native
from .aio import Deadline, Replies, deadline_after, open_in_steps
from .bus import OWNER_ONLY, StrPath, Types, from_struct
from .message import AnyMessage, Request
from .peers import Listener, Peer

if TYPE_CHECKING:
    from typing_extensions import Buffer, Self

Result = TypeVar("Result")

SLOT_SHIFT = 48  # the bits of an id above tell callers apart, of those that are there


class RpcStats(NamedTuple):
    """Counters of one end of an RPC bus since it was opened.

    calls: requests sent by a caller, taken by a callee.
    replies: replies delivered to a caller, sent by a callee.
    dropped: replies to calls that a caller had given up.
    kept: replies that a caller copied because it awaited another one.
    outstanding: calls without a delivered or sent reply.
    """

    calls: int
    replies: int
    dropped: int
    kept: int
    outstanding: int


@_native.direct_calls
class RpcBus(Listener, _native.RpcBusBase):
    """One end of a pair of rings: the callee listens, the caller connects.

    The caller repeats call() and wait(), with any number of calls outstanding; the
    callee serve() and reply(), in any order, with one caller or, with max_peers, with
    many. One thread at a time may use a bus; another one gets a TachyonError. Leaving a
    `with` or `async with` block closes as close() does; by an exception it aborts as
    abort() does.

    The async methods are for one event loop at a time, any number of tasks may await
    them at once, and closing the bus, from any thread, ends them with ClosedError.
    While one awaits a reply, every reply is for them: take that to an earlier call()
    with wait_async(). They send one after the other, in the order in which they came,
    to each of many callers; one that takes no replies holds up its own alone.
    """

    @property
    def _low(self) -> _native.TachyonRpcBus:
        return self._rpc

    def __repr__(self) -> str:
        name = f"{type(self).__module__.split('.')[0]}.{type(self).__qualname__}"
        try:
            return f"<{name}, {self._described()}>"
        except _native.TachyonError:
            return f"<{name}, not open>"

    @classmethod
    def rpc_listen(
        cls,
        socket_path: StrPath,
        cap_fwd: SupportsIndex,
        cap_rev: SupportsIndex,
        *,
        timeout: float | None = None,
        mode: SupportsIndex = OWNER_ONLY,
        allowed_uids: Iterable[SupportsIndex] | None = None,
        schema: SupportsIndex = 0,
        types: Types = None,
        types_required: bool = False,
        max_peers: SupportsIndex | None = None,
    ) -> Self:
        """Create rings for requests and for replies, and wait for a caller.

        It blocks; in an event loop await rpc_listen_async(), which can be cancelled.

        cap_fwd, cap_rev: bytes of the request and of the reply ring, powers of two.
        max_peers: 1 to 1024 callers at a time, each with rings of its own; then it does
            not wait, the path stays, and callers come and go. None: a single one, ever.
        The other arguments and what is raised are those of Bus.listen().
        """
        bus = cls()
        bus._rpc.listen(
            socket_path,
            cap_fwd,
            cap_rev,
            timeout=timeout,
            mode=mode,
            allowed_uids=allowed_uids,
            schema=schema,
            types=types,
            types_required=types_required,
            max_peers=max_peers,
        )
        return bus

    @classmethod
    def rpc_connect(
        cls,
        socket_path: StrPath,
        *,
        timeout: float | None = 0,
        allowed_uids: Iterable[SupportsIndex] | None = None,
        schema: SupportsIndex = 0,
        types: Types = None,
        types_required: bool = False,
        name: str | None = None,
    ) -> Self:
        """Attach to a callee.

        It blocks; in an event loop await rpc_connect_async().

        The arguments and what is raised are those of Bus.connect().
        """
        bus = cls()
        bus._rpc.connect(
            socket_path,
            timeout=timeout,
            allowed_uids=allowed_uids,
            schema=schema,
            types=types,
            types_required=types_required,
            name=name,
        )
        return bus

    @classmethod
    async def rpc_listen_async(
        cls,
        socket_path: StrPath,
        cap_fwd: SupportsIndex,
        cap_rev: SupportsIndex,
        *,
        timeout: float | None = None,
        mode: SupportsIndex = OWNER_ONLY,
        allowed_uids: Iterable[SupportsIndex] | None = None,
        schema: SupportsIndex = 0,
        types: Types = None,
        types_required: bool = False,
        max_peers: SupportsIndex | None = None,
    ) -> Self:
        """Wait for a caller in an event loop, without a thread.

        The arguments and what is raised are those of rpc_listen(). Cancelled, it leaves
        nothing behind, as Bus.listen_async().
        """
        bus = cls()
        fd = bus._rpc.listen_start(
            socket_path,
            cap_fwd,
            cap_rev,
            timeout=timeout,
            mode=mode,
            allowed_uids=allowed_uids,
            schema=schema,
            types=types,
            types_required=types_required,
            max_peers=max_peers,
        )
        await open_in_steps(bus._rpc, fd)
        return bus

    @classmethod
    async def rpc_connect_async(
        cls,
        socket_path: StrPath,
        *,
        timeout: float | None = 0,
        allowed_uids: Iterable[SupportsIndex] | None = None,
        schema: SupportsIndex = 0,
        types: Types = None,
        types_required: bool = False,
        name: str | None = None,
    ) -> Self:
        """Attach to a callee in an event loop, without a thread.

        The arguments and what is raised are those of rpc_connect(). Cancelled, it is
        over at once, and the listener listens on.
        """
        bus = cls()
        fd = bus._rpc.connect_start(
            socket_path,
            timeout=timeout,
            allowed_uids=allowed_uids,
            schema=schema,
            types=types,
            types_required=types_required,
            name=name,
        )
        await open_in_steps(bus._rpc, fd)
        return bus

    async def call_async(
        self,
        payload: Buffer,
        msg_type: SupportsIndex,
        max_payload_size: SupportsIndex | None = None,
        *,
        timeout: float | None = None,
    ) -> AnyMessage:
        """Call in an event loop and return a copy of the reply.

        timeout: seconds for the whole call; None waits for ever.

        Any number of calls may be outstanding and their replies come in any order.
        Fails as call() and wait(). A call that is not awaited any longer, because its
        task was cancelled or the time is over, is cancelled; its reply is dropped.
        """
        deadline = deadline_after(timeout)
        call = await self._send(
            lambda: self.call(payload, msg_type, max_payload_size, 0, timeout=0),
            deadline,
        )
        try:
            return await self._watch.reply(call, deadline)
        except BaseException:
            with contextlib.suppress(_native.TachyonError, ValueError):  # gone already
                self.cancel(call)
            raise

    async def wait_async(
        self, correlation_id: SupportsIndex, *, timeout: float | None = None
    ) -> AnyMessage:
        """Wait in an event loop for the reply to one call and return a copy of it.

        The call was made by call() or call_zero_copy(). Fails as wait(). Cancelled or
        timed out, the call stays outstanding: wait again, or cancel it. What comes
        while tasks await replies is taken off the ring, to whatever call it is: this
        finds it, but wait() and wait_any() do not any more.
        """
        deadline = deadline_after(timeout)
        call = _native.integer("correlation_id", correlation_id, 1)
        self._watch.look_for(call)
        return await self._watch.reply(call, deadline)

    def cancel(self, correlation_id: SupportsIndex, /) -> None:
        """Give a call up; its reply will be dropped and counted.

        correlation_id: of an outstanding call, else ValueError. A task that awaits it
            gets a ValueError.
        """
        call = _native.integer("correlation_id", correlation_id, 1)
        if not self._watch.forget(call):
            super().cancel(call)

    async def serve_async(self, *, timeout: float | None = None) -> Request:
        """Wait in an event loop for the next request and return a copy of it.

        Fails as serve(). Cancelled while it waits, it has taken no request.
        """
        return await self._watch.receive(self._serve_copy, deadline_after(timeout))

    async def reply_async(
        self,
        correlation_id: SupportsIndex,
        payload: Buffer,
        msg_type: SupportsIndex,
        max_payload_size: SupportsIndex | None = None,
        *,
        timeout: float | None = None,
    ) -> None:
        """Answer one request, when there is room, without blocking the event loop.

        Fails as reply(). Cancelled while it waits for room, it has sent nothing.
        """
        await self._send(
            lambda: self.reply(
                correlation_id, payload, msg_type, max_payload_size, timeout=0
            ),
            deadline_after(timeout),
            _native.integer("correlation_id", correlation_id, 1) >> SLOT_SHIFT,
        )

    async def _send(
        self, attempt: Callable[[], Result], deadline: Deadline | None, peer: int = 0
    ) -> Result:
        watch = self._watch
        if watch.may_send(peer):
            try:
                return watch.try_to_send(attempt)
            except TimeoutError:
                pass
        return await watch.send(
            lambda: watch.try_to_send(attempt), TimeoutError, deadline, peer
        )

    def _serve_copy(self) -> Request:
        with self.serve(0, timeout=0) as request:
            return Request(
                request.type_id,
                request.actual_size,
                bytes(request.buf),
                request.correlation_id,
            )

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *exception: Any) -> None:
        self.__exit__(*exception)

    async def aclose(self) -> None:
        """Close as close() does, for contextlib.aclosing()."""
        self.close()

    @cached_property
    def _watch(self) -> Replies:
        return Replies(self._rpc)

    def fileno(self) -> int:
        """Return the descriptor for select, poll, selectors and event loops.

        It is readable while a reply (caller) or a request (callee) may be there or the
        peer is gone, and when a request or reply fits that found no room with
        timeout=0; otherwise as that of a Bus. Who waits for both takes messages until
        there is none, then tries to send, then polls.
        """
        return self._rpc.fileno()

    def set_polling_mode(self, pure_spin: SupportsIndex) -> None:
        """Choose how this end waits.

        pure_spin: True or 1 never to sleep, False or 0, the default, to spin, then
            sleep. Raises ClosedError when the bus is not open.
        """
        self._rpc.set_polling_mode(pure_spin)

    @property
    def max_payload(self) -> int:
        """Largest payload that this end can send in bytes."""
        return self._rpc.max_payload()

    @property
    def peer(self) -> Peer:
        """Process, user and group id at the other end."""
        return from_struct(Peer, self._rpc.peer())

    def stats(self) -> RpcStats:
        """Counters of this end; exact on the thread that uses the bus."""
        return from_struct(RpcStats, self._rpc.stats())
