# SPDX-License-Identifier: Apache-2.0
"""One listener, many peers: who comes and goes, and the thread that lets them in."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
import weakref
from collections import deque
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, SupportsIndex

from . import _native
from .aio import deadline_after, running_loop, seconds_left, wake, woken

if TYPE_CHECKING:
    from typing_extensions import Self

    from .aio import Deadline, Waiter

STOP_INTERVAL_S = 0.2  # between two looks whether to stop
NOBODY = "no peer has come or gone"


class SlowPeer(IntEnum):
    """What a producer with many consumers does with one that is slow.

    BLOCK, the default, waits for it as long as it lives; DISCONNECT lets it go after
    `slow_after` seconds, and it gets a LaggedError.
    """

    BLOCK = _native.SLOW_BLOCK
    DISCONNECT = _native.SLOW_DISCONNECT

    def __repr__(self) -> str:
        return f"SlowPeer.{self.name}"


class WithoutPeers(IntEnum):
    """What a producer with many consumers does while there is none.

    WAIT, the default, fills the ring, then waits for one; FREE_RUN goes on and
    overwrites.
    """

    WAIT = _native.WITHOUT_PEERS_WAIT
    FREE_RUN = _native.WITHOUT_PEERS_FREE_RUN

    def __repr__(self) -> str:
        return f"WithoutPeers.{self.name}"


class Start(IntEnum):
    """Where a consumer of a producer with many consumers begins.

    NOW, the default, with what is sent from now on; OLDEST with the oldest message that
    is still there. A Position goes on from there.
    """

    NOW = _native.START_NOW
    OLDEST = _native.START_OLDEST

    def __repr__(self) -> str:
        return f"Start.{self.name}"


class Position(NamedTuple):
    """Where one end of a broadcast stands: what Bus.connect() takes as `start`.

    position: in the stream of bytes, a multiple of 64.
    epoch: the life of one listener, in which that means anything.
    """

    position: int
    epoch: int


class Peer(NamedTuple):
    """Who is at the other end, as the kernel said at the handshake.

    pid: process id, 0 when it lives in a pid namespace this process cannot see.
    uid, gid: effective user and group id.
    """

    pid: int
    uid: int
    gid: int


class EventKind(IntEnum):
    """What has happened to a peer: it has JOINED or LEFT.

    MISSED counts events that were not kept, since nobody has fetched them.
    """

    JOINED = _native.EVENT_JOINED
    LEFT = _native.EVENT_LEFT
    MISSED = _native.EVENT_MISSED

    def __repr__(self) -> str:
        return f"EventKind.{self.name}"


class Event(NamedTuple):
    """A peer has come or gone.

    kind: an EventKind.
    peer: its number, which grows and is not used again; of MISSED, how many events.
    reason: why it has LEFT, a class: ClosedError when either end has closed,
        AbortedError, PeerDeadError, LaggedError when it was too slow, TachyonError when
        it has broken the ring; else None.
    who: its process, user and group id.
    name: as it has connected, "" for none.
    """

    kind: EventKind
    peer: int
    reason: type[_native.TachyonError] | None = None
    who: Peer = Peer(0, 0, 0)
    name: str = ""


class PeerInfo(NamedTuple):
    """A peer that is connected.

    peer: its number.
    who: its process, user and group id.
    name: as it has connected, "" for none.
    messages: received from it; of a consumer 0.
    behind: of a consumer of many, bytes it has still to read; else 0.
    sleeps: times this end slept for it alone.
    wakes: times this end woke it.
    """

    peer: int
    who: Peer
    name: str
    messages: int
    behind: int
    sleeps: int
    wakes: int


REASONS: dict[int, type[_native.TachyonError]] = {
    _native.ERR_CLOSED: _native.ClosedError,
    _native.ERR_ABORTED: _native.AbortedError,
    _native.ERR_PEER_DEAD: _native.PeerDeadError,
    _native.ERR_LAGGED: _native.LaggedError,
}


class Low(Protocol):
    """What the low-level buses have for many peers."""

    def accept(self, timeout: float | None = None) -> _native.Event:
        """Wait for an event."""

    def peers(self) -> list[_native.PeerInfo]:
        """List who is connected."""

    def peer(self) -> _native.Peer:
        """Tell who a single one is."""

    def sender(self) -> int:
        """Tell whose message was received last."""

    def drop_peer(self, peer: SupportsIndex) -> None:
        """Disconnect one."""

    def destroy(self) -> None:
        """Close the bus."""

    def abort(self) -> None:
        """Cut the stream off."""


class Listener:
    """What a bus has for its many peers."""

    _background: Background | None = None

    @property
    def _low(self) -> Low:
        raise NotImplementedError

    def accept(self, timeout: float | None = None) -> Event:
        """Let peers in and out, and wait until one has come or gone.

        timeout: seconds, then TimeoutError; None waits for ever, 0 does not wait.

        Any thread may call this while others send and receive; it is not needed by who
        waits in another call on this bus, but a bus that never waits needs it, or
        accept_in_background(), for peers to be let in. Events are kept until they are
        fetched, 1,024 of them; more are counted.

        Ctrl-C ends it. ValueError when the bus has a single peer, ClosedError when this
        end was closed, TachyonError while another thread waits in it.
        """
        background = self._background
        if background is not None and background.has_news():
            deadline = deadline_after(timeout)
            with contextlib.suppress(Stopped):
                return background.accept(deadline)
            timeout = timeout and seconds_left(deadline, NOBODY)
        return event_of(self._low.accept(timeout))

    @property
    def sender(self) -> int:
        """Number of the peer whose message or request was received last.

        0 before the first, on a bus with a single peer and on one that sends.
        """
        return self._low.sender()

    def peers(self) -> list[PeerInfo]:
        """List who is connected, in no order; for any thread.

        ValueError when the bus has a single peer.
        """
        return [
            PeerInfo(
                info.peer,
                Peer(info.pid, info.uid, info.gid),
                info.name,
                info.messages,
                info.behind,
                info.sleeps,
                info.wakes,
            )
            for info in self._low.peers()
        ]

    def drop(self, peer: SupportsIndex) -> None:
        """Disconnect a peer; for any thread.

        peer: its number, of an Event or PeerInfo; ValueError when it is not connected.

        It reads what there is and finds that the stream has ended, or a LaggedError
        once a broadcast goes on without it. What it has sent and nobody has received
        is lost. The event LEFT follows.
        """
        self._low.drop_peer(peer)

    def _described(self) -> str:
        try:
            count = len(self._low.peers())
        except ValueError:  # it is a single one
            return f"peer {self._low.peer().pid}"
        return f"{count} peer{'s' * (count != 1)}"

    def events(self) -> Events:
        """Iterate over the events of peers, until this end is closed.

        `for` waits in accept(); `async for` waits in an event loop, while a thread as
        that of accept_in_background() lets peers in. Fails as accept().
        """
        return Events(self)

    def accept_in_background(self) -> Background:
        """Let peers in and out in a thread of its own, until this end is closed.

        The thread waits without the interpreter's lock, does not keep the process or
        the bus alive, and close() waits for its end. Events are kept for accept() and
        events(), and so is what ends it before. Leaving a `with` block of what this
        returns ends it too. Where there is one already, that is returned.

        Fails as peers().
        """
        self._low.peers()  # fails where there can be none
        with starting:
            background = self._background
            if background is None or not background.is_running():
                self._background = background = Background(self, background)
            return background


class Events:
    """The events of a bus with many peers, one after the other."""

    def __init__(self, bus: Listener) -> None:
        self._bus = bus

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        try:
            return self._bus.accept()
        except _native.ClosedError:
            raise StopIteration from None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        bus = self._bus
        try:
            while True:
                background = bus._background
                if background is None or not background.has_news():
                    background = bus.accept_in_background()
                with contextlib.suppress(Stopped):
                    return await background.accept_async()
        except _native.ClosedError:
            raise StopAsyncIteration from None


starting = threading.Lock()


class Stopped(Exception):  # noqa: N818
    """The thread was stopped, and there is nothing left to fetch."""


class Background:
    """A thread that lets peers in and out, and the events that it has found."""

    _end_dropped: weakref.finalize[..., Listener]

    def __init__(self, bus: Listener, former: Background | None) -> None:
        self._low = bus._low
        self._events: deque[Event] = deque()
        self._missed = 0
        self._error: BaseException | None = None  # that has ended it
        self._stops = False
        self._changed = threading.Condition()
        self._waiters: set[Waiter] = set()
        self._thread = threading.Thread(
            target=self._run, name="tachyon-accept", daemon=True
        )
        with self._changed:
            self._thread.start()
            if former is not None:
                self._events, self._missed = former.take_events()
                former._end_dropped.detach()
        # Not of this: it would keep what the traceback of an error does, the bus too.
        self._end_dropped = weakref.finalize(bus, end_dropped, self._low, self._thread)

    def is_running(self) -> bool:
        """Tell whether peers are let in."""
        return self._thread.is_alive() and not self._stops

    def has_news(self) -> bool:
        """Tell whether accept() has, or will have, something to give or to raise."""
        return bool(self._events or self._missed or self._error) or self.is_running()

    def accept(self, deadline: Deadline | None) -> Event:
        """Wait for the next event."""
        with self._changed:
            while (event := self._next()) is None:
                left = seconds_left(deadline, NOBODY)
                self._changed.wait(left)
        return event

    async def accept_async(self) -> Event:
        """Wait for the next event in an event loop."""
        loop = running_loop()
        while True:
            waiter = loop.create_future()
            with self._changed:
                if (event := self._next()) is not None:
                    return event
                self._waiters.add(waiter)
            try:
                await woken(waiter, None)
            finally:
                with self._changed:
                    self._waiters.discard(waiter)

    def take_events(self) -> tuple[deque[Event], int]:
        """Give away what nobody has fetched, and how many were not kept."""
        with self._changed:
            events, self._events = self._events, deque()
            missed, self._missed = self._missed, 0
        return events, missed

    def stop(self) -> None:
        """End the thread and wait for it; the bus stays open."""
        self._stops = True
        self.join()
        with self._changed:
            self._tell()

    def join(self) -> None:
        """Wait until the thread has ended, as it does when the bus is closed."""
        if self._thread is not threading.current_thread():
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.stop()

    def _next(self) -> Event | None:
        """Take an event, under the lock; or raise what has ended the thread."""
        if self._events:
            return self._events.popleft()
        if self._missed:
            missed, self._missed = self._missed, 0
            return Event(EventKind.MISSED, missed)
        if self._error is not None:
            raise self._error.with_traceback(None)
        if not self.is_running():
            raise Stopped
        return None

    def _run(self) -> None:
        # A signal is for a thread that runs handlers, and must find that one asleep.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while not self._stops:
            try:
                event = event_of(self._low.accept(STOP_INTERVAL_S))
            except TimeoutError:
                continue
            except _native.TachyonError as error:
                if error.code != _native.ERR_BUSY:
                    return self._end(error)
                time.sleep(STOP_INTERVAL_S)  # another thread lets them in
            except BaseException as error:
                return self._end(error)
            else:
                self._keep(event)

    def _keep(self, event: Event) -> None:
        with self._changed:
            if event.kind is EventKind.MISSED:
                self._missed += event.peer
            elif self._missed or len(self._events) == _native.TACHYON_MAX_EVENTS:
                self._missed += 1
            else:
                self._events.append(event)
            self._tell()

    def _end(self, error: BaseException) -> None:
        with self._changed:
            self._error = error
            self._tell()

    def _tell(self) -> None:
        self._changed.notify_all()
        for waiter in self._waiters:
            with contextlib.suppress(RuntimeError):  # its loop was closed
                waiter.get_loop().call_soon_threadsafe(wake, waiter)


def event_of(event: _native.Event) -> Event:
    """Make an event of the one in C."""
    kind = EventKind(event.kind)
    reason = None
    if kind is EventKind.LEFT:
        reason = REASONS.get(event.reason, _native.TachyonError)
    who = Peer(event.pid, event.uid, event.gid)
    return Event(kind, event.peer, reason, who, event.name)


def end_dropped(low: Low, thread: threading.Thread) -> None:
    """Close a bus that was dropped, whose thread would keep it."""
    try:
        low.destroy()
    except BufferError:  # a view of the ring is still there
        low.abort()
    if thread is not threading.current_thread():  # which may collect it
        thread.join()
