# SPDX-License-Identifier: Apache-2.0
"""Awaiting a bus in an event loop of asyncio, without a thread and without polling.

A task that finds nothing to do waits until the bus's descriptor is readable, and then
looks again. It takes a message in the same step in which it returns it, so cancelling
an await loses none. The loop has the descriptor only while somebody waits.

Tasks that send to one peer do so one after the other, in the order in which they came:
only the first one waits for room, of the size of its own message, and no small message
overtakes a large one.
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Callable, Generator
from types import coroutine
from typing import TYPE_CHECKING, TypeVar

from . import _native
from .arguments import seconds_or_none
from .message import AnyMessage

if TYPE_CHECKING:
    import asyncio

    Waiter = asyncio.Future[None]

Result = TypeVar("Result")

TURN = 64  # operations that did not wait, after which other tasks have their turn


def running_loop() -> asyncio.AbstractEventLoop:
    """Return the event loop that runs; asyncio is imported when it is first awaited."""
    import asyncio  # noqa: PLC0415 - it takes longer than the rest of the package

    return asyncio.get_running_loop()


@coroutine
def turn() -> Generator[None]:
    """Let the loop's other tasks run, as asyncio.sleep(0) does."""
    yield


class Deadline(float):
    """When `timeout` seconds are over."""

    timeout: float


async def open_in_steps(
    bus: _native.TachyonBus | _native.TachyonRpcBus, fd: int
) -> None:
    """Go on with a listen or connect that has been started, until the bus is open.

    fd: of listen_start() or connect_start(). Cancelled, it leaves nothing behind.
    """
    loop = running_loop()
    try:
        while not bus.opening_step():
            waiter = loop.create_future()
            loop.add_reader(fd, wake, waiter)
            try:
                await waiter
            finally:
                if not loop.is_closed():  # under the task, which is being dropped
                    loop.remove_reader(fd)
    finally:
        bus.opening_cancel()


class Line:
    """Tasks that do one thing one after the other, in the order in which they came."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._first: object = None  # whose turn it is
        self._waiters: OrderedDict[Waiter, None] = OrderedDict()

    def is_empty(self) -> bool:
        """Tell whether it is nobody's turn."""
        return self._first is None

    def enter(self) -> object:
        """Take one's turn; None when others are before."""
        if self._first is None:
            self._loop = running_loop()
            self._first = object()
            return self._first
        return None

    async def wait(self, deadline: Deadline | None) -> object:
        """Wait for one's turn; return what leave() takes."""
        loop = running_loop()
        if self._loop is not loop and self._loop is not None:
            if not self._loop.is_closed():
                raise _native.TachyonError("another event loop awaits this bus")
            self._first = None  # its loop was closed under it
            self._waiters.clear()
            return self.enter()
        reason = "no room to send, other messages wait for it"
        left = seconds_left(deadline, reason)
        waiter = loop.create_future()
        self._waiters[waiter] = None
        try:
            await woken(waiter, left)
            if deadline and self._first is not waiter:  # woken by the clock
                raise timed_out(deadline, reason)
        except BaseException:
            self._waiters.pop(waiter, None)
            self.leave(waiter)
            raise
        return waiter

    def leave(self, turn: object) -> None:
        """End one's turn, if it is or has come."""
        if self._first is not turn:
            return
        self._first = None
        while self._waiters and self._first is None:
            waiter, _ = self._waiters.popitem(last=False)
            if wake(waiter):
                self._first = waiter


class Watch:
    """The tasks that wait for one bus, and its descriptor in their event loop."""

    def __init__(self, bus: _native.TachyonBus | _native.TachyonRpcBus) -> None:
        self._bus = bus
        self._loop: asyncio.AbstractEventLoop | None = None  # that has the descriptor
        self._fd = -1
        self._waiters: OrderedDict[Waiter, None] = OrderedDict()  # for messages
        self._lines: dict[int, Line] = {}  # to send, to each peer
        self._senders: set[Waiter] = set()  # the first ones in them, for room
        self._at_once = 0  # operations since the last one that waited

    def may_hurry(self) -> bool:
        """Tell whether an operation may be tried at once: no other task is due yet."""
        if self._fd >= 0 and self._at_once < TURN:
            self._at_once += 1
            return True
        return False

    def may_send(self, peer: int = 0) -> bool:
        """Tell the same of sending: no other task is before this one either."""
        return peer not in self._lines and self.may_hurry()

    async def receive(
        self, attempt: Callable[[], Result], deadline: Deadline | None
    ) -> Result:
        """Return what an attempt returns; after TimeoutError wait for a message."""
        await self.take_turns()
        self._want_descriptor()
        again = False
        while True:
            try:
                return attempt()
            except TimeoutError as error:
                self._wake_senders()  # the look has taken the news of room as well
                left = seconds_left(deadline, error)
            await self._message(left, again)
            again = True

    async def send(
        self,
        attempt: Callable[[], Result],
        no_room: type[Exception],
        deadline: Deadline | None,
        peer: int = 0,
    ) -> Result:
        """Return what an attempt returns, in its turn; after `no_room` wait.

        peer: which one of many it is for, who have a ring each.
        """
        line = self._lines.setdefault(peer, Line())
        turn = line.enter() or await line.wait(deadline)
        try:
            await self.take_turns()
            self._want_descriptor()
            while True:
                try:
                    return attempt()
                except no_room as error:
                    left = seconds_left(deadline, error)
                await self._room(left)
        finally:
            line.leave(turn)
            if line.is_empty() and self._lines.get(peer) is line:
                del self._lines[peer]

    def _want_descriptor(self) -> None:
        if self._fd < 0:  # a look arms the descriptor only if there is one
            self._fd = self._bus.fileno()

    async def take_turns(self) -> None:
        """Let the loop's other tasks run, now and then."""
        if self._at_once >= TURN:
            self._at_once = 0
            await turn()
        self._at_once += 1

    async def _message(self, timeout: float | None, again: bool) -> None:
        """Wait until there may be a message, or for a time.

        again: woken in vain, and so the first to be woken next.
        """
        loop = running_loop()
        self._start(loop)
        waiter = loop.create_future()
        self._waiters[waiter] = None
        self._waiters.move_to_end(waiter, last=not again)
        try:
            await self._woken(waiter, timeout)
        except BaseException:
            if not waiter.cancelled():  # woken, but it will not look
                self._wake_receiver()
            raise
        finally:
            self._waiters.pop(waiter, None)
            self._stop_if_idle()

    async def _room(self, timeout: float | None) -> None:
        """Wait until there may be room, or for a time."""
        loop = running_loop()
        self._start(loop)
        waiter = loop.create_future()
        self._senders.add(waiter)
        try:
            await self._woken(waiter, timeout)
        finally:
            self._senders.discard(waiter)
            self._stop_if_idle()

    async def _woken(self, waiter: Waiter, timeout: float | None) -> None:
        self._at_once = 0
        await woken(waiter, timeout)

    def _on_readable(self) -> None:
        self._wake_receiver()
        self._wake_senders()
        self._stop_if_idle()

    def _wake_receiver(self) -> None:
        """Wake the task that has waited longest and is not being cancelled."""
        while self._waiters:
            if wake(self._waiters.popitem(last=False)[0]):
                return

    def _wake_senders(self) -> None:
        for waiter in self._senders:
            wake(waiter)

    def _is_idle(self) -> bool:
        return not self._waiters and not self._senders

    def _start(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Give the descriptor to the loop; tell whether it had not got it yet."""
        if self._loop is loop:
            return False
        if self._loop is not None:
            if not self._loop.is_closed():
                raise _native.TachyonError("another event loop awaits this bus")
            self._forget_tasks()
            self._stop()
        self._fd = self._bus.watch()
        try:
            loop.add_reader(self._fd, self._on_readable)
        except BaseException:
            self._bus.unwatch()
            raise
        self._loop = loop
        return True

    def _forget_tasks(self) -> None:
        """Their loop was closed under them."""
        self._waiters.clear()
        self._senders.clear()

    def _stop_if_idle(self) -> None:
        if self._loop is not None and self._is_idle():
            self._stop()

    def _stop(self) -> None:
        """Take the descriptor back; a bus that was closed meanwhile is freed."""
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.remove_reader(self._fd)
            self._bus.unwatch()


class Replies(Watch):
    """The same for an RPC bus: the replies that its tasks wait for as well."""

    def __init__(self, rpc: _native.TachyonRpcBus) -> None:
        super().__init__(rpc)
        self._rpc = rpc
        self._calls: dict[int, Waiter] = {}
        self._arrived: dict[int, AnyMessage] = {}  # and not yet returned
        self._watches_messages = True

    def try_to_send(self, attempt: Callable[[], Result]) -> Result:
        """Attempt to send without waiting.

        While nobody takes messages, one that is there must not keep the descriptor
        readable for the task that waits for room.
        """
        wanted = bool(self._waiters or self._calls)
        if wanted is not self._watches_messages:  # a system call, so only if it waits
            try:
                return attempt()
            except TimeoutError:
                self._watch_messages(wanted)
        return attempt()

    def _watch_messages(self, wanted: bool) -> None:
        if self._watches_messages is not wanted:
            self._watches_messages = wanted
            self._rpc.watch_messages(wanted)

    async def reply(self, correlation_id: int, deadline: Deadline | None) -> AnyMessage:
        """Wait for the reply to a call."""
        while correlation_id not in self._arrived:
            left = seconds_left(deadline, f"no reply to call {correlation_id} yet")
            await self._signal(correlation_id, left)
            if correlation_id not in self._arrived:
                self.look_for(correlation_id)
        return self._arrived.pop(correlation_id)

    def look_for(self, correlation_id: int) -> None:
        """See whether a reply is there, and whether there can be one."""
        if correlation_id in self._arrived:
            return
        try:
            with self._rpc.wait(correlation_id, 0, timeout=0) as reply:
                self._arrived[correlation_id] = copy_of(reply)
        except TimeoutError:
            self._wake_senders()  # the look has taken the news of room as well
            self._deliver()  # others that the look has come by

    def forget(self, correlation_id: int) -> bool:
        """Drop a reply that has arrived; who awaits it finds out that it is gone."""
        if waiter := self._calls.get(correlation_id):
            wake(waiter)
        return self._arrived.pop(correlation_id, None) is not None

    async def _signal(self, correlation_id: int, timeout: float | None) -> None:
        if correlation_id in self._calls:
            raise _native.TachyonError(
                f"another task awaits the reply to call {correlation_id}"
            )
        loop = running_loop()
        waiter = loop.create_future()
        started = self._start(loop)
        self._calls[correlation_id] = waiter
        try:
            self._watch_messages(True)
            if started:
                self._deliver()
            await self._woken(waiter, timeout)
        finally:
            if self._calls.get(correlation_id) is waiter:
                del self._calls[correlation_id]
            self._stop_if_idle()

    def _deliver(self) -> None:
        """Take all replies that are there. An error is for each task to find itself."""
        try:
            while self._calls:
                with self._rpc.wait_any(0, timeout=0) as reply:
                    self._arrived[reply.correlation_id] = copy_of(reply)
                if waiter := self._calls.get(reply.correlation_id):
                    wake(waiter)
        except TimeoutError:
            self._wake_senders()
        except Exception:
            for waiter in self._calls.values():
                wake(waiter)

    async def _message(self, timeout: float | None, again: bool) -> None:
        self._watch_messages(True)
        await super()._message(timeout, again)

    def _on_readable(self) -> None:
        self._deliver()
        super()._on_readable()

    def _is_idle(self) -> bool:
        return not self._calls and super()._is_idle()

    def _forget_tasks(self) -> None:
        self._calls.clear()
        super()._forget_tasks()


def copy_of(reply: _native.RpcRxGuard) -> AnyMessage:
    """Copy a message out of the ring."""
    return AnyMessage(reply.type_id, reply.actual_size, bytes(reply.buf))


async def woken(waiter: Waiter, timeout: float | None) -> None:
    """Wait until somebody wakes this, or for a time."""
    if timeout is None:
        return await waiter
    timer = waiter.get_loop().call_later(timeout, wake, waiter)
    try:
        await waiter
    finally:
        timer.cancel()


def wake(waiter: Waiter) -> bool:
    """Let the task that awaits this go on; False: it does so already, or never will."""
    if waiter.done() or waiter.get_loop().is_closed():
        return False
    waiter.set_result(None)
    return True


def deadline_after(timeout: float | None) -> Deadline | None:
    """Return when `timeout` seconds from now are over; None: never."""
    seconds = seconds_or_none(timeout)
    if seconds is None:
        return None
    deadline = Deadline(time.monotonic() + seconds)
    deadline.timeout = seconds
    return deadline


def timed_out(deadline: Deadline, reason: object) -> TimeoutError:
    """Make the error for a time that is over; the reason may be that of one look."""
    what = re.sub(r" \(timeout=[^)]*\)$", "", str(reason))
    return TimeoutError(f"{what} (timeout={deadline.timeout:.10g})")


def seconds_left(deadline: Deadline | None, reason: object) -> float | None:
    """Return how long it is to a deadline; TimeoutError with the reason after it."""
    if deadline is None:
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise timed_out(deadline, reason) from None
    return left
