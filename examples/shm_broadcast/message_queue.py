# SPDX-License-Identifier: Apache-2.0
"""A queue of Python objects from one process to several, each of which gets them all.

It has the interface that LLM servers use between a scheduler and its workers.
"""

import contextlib
import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import frame

from tachyon import (
    Bus,
    ClosedError,
    Event,
    PeerDeadError,
    Role,
    RxGuard,
    SlowPeer,
    Start,
    WithoutPeers,
)

FIRST, MORE = 1, 2  # types of messages: a frame begins, a frame goes on
LEAST_CHUNK = 4096
MOST_RING = 1 << 31
SPIN = 10_000  # looks before it sleeps, of a reader that has a processor for itself
CANCEL_INTERVAL_S = 0.05  # between two looks at `cancel`


class Handle(NamedTuple):
    """What a reader needs, to be pickled and brought to it in another way."""

    path: str
    ranks: tuple[int, ...]


class MessageQueue:
    """The writer's end; create_from_handle() makes a reader's.

    One thread at a time may use an end, but any may close it: what waits in another
    raises ClosedError then.
    """

    _rank: int | None = None  # of a reader
    _spin = 0  # looks before it sleeps
    _frame: bytearray | None = None  # of an object that is here in part ...
    _filled = 0  # ... this part

    def __init__(
        self,
        n_reader: int,
        n_local_reader: int,
        local_reader_ranks: Iterable[int] | None = None,
        max_chunk_bytes: int = 24 << 20,
        max_chunks: int = 10,
    ) -> None:
        """Make a queue for readers on this machine.

        max_chunk_bytes: what is sent in one piece; larger objects take several.
        max_chunks: the ring has room for as many of that size, rounded up to a power of
            two bytes.
        """
        ranks = tuple(
            range(n_local_reader) if local_reader_ranks is None else local_reader_ranks
        )
        if n_reader < 1 or n_reader != n_local_reader:
            raise ValueError(
                f"n_reader is {n_reader}, n_local_reader {n_local_reader}: all, one or "
                "more, must be on this machine"
            )
        if len(set(ranks)) != n_reader:
            raise ValueError(f"{ranks} are not the ranks of {n_reader} readers")
        capacity = 1 << (max_chunk_bytes * max_chunks - 1).bit_length()
        if max_chunk_bytes < LEAST_CHUNK or max_chunks < 2 or capacity > MOST_RING:
            raise ValueError(
                f"{max_chunks} chunks of {max_chunk_bytes} bytes: fewer than 2, less "
                f"than {LEAST_CHUNK} each, or more than {MOST_RING} in all"
            )
        path = f"@tachyon-queue-{os.getpid()}-{secrets.token_hex(8)}"
        self._handle = Handle(path, ranks)
        self._chunk = max_chunk_bytes
        self._news = threading.Condition()
        self._events: deque[Event] = deque(maxlen=1024)
        self._present = 0
        # With nobody left it runs free instead of waiting for ever: enqueue() raises.
        self._bus = Bus.listen(
            path,
            capacity,
            role=Role.PRODUCER,
            max_peers=2
            * n_reader,  # some may come again before they are known to be gone
            slow_peer=SlowPeer.BLOCK,
            without_peers=WithoutPeers.FREE_RUN,
        )
        self._door = threading.Thread(target=self._let_in, name=path, daemon=True)
        self._door.start()

    @classmethod
    def create_from_handle(cls, handle: Handle, rank: int) -> "MessageQueue":
        """Make a reader's end, which wait_until_ready() connects."""
        if rank not in handle.ranks:
            raise ValueError(f"rank {rank} is none of {handle.ranks}")
        queue = cls.__new__(cls)
        queue._handle = handle
        queue._rank = rank
        queue._bus = Bus()
        if len(os.sched_getaffinity(0)) > len(handle.ranks):
            queue._spin = SPIN
        return queue

    def export_handle(self) -> Handle:
        return self._handle

    def wait_until_ready(self, timeout: float | None = None) -> None:
        """Wait at the writer for all readers, at a reader for its connection.

        A reader gets what is sent from then on; one that is started again too.
        """
        if self._rank is not None:
            self._bus = Bus.connect(
                self._handle.path,
                timeout=timeout,
                role=Role.CONSUMER,
                start=Start.NOW,
                name=f"rank {self._rank}",
            )
            return
        every = len(self._handle.ranks)
        with self._news:
            if not self._news.wait_for(lambda: self._present == every, timeout):
                raise TimeoutError(f"{self._present} of {every} readers have connected")

    # ---- The writer ----

    def enqueue(self, obj: object, timeout: float | None = None) -> None:
        """Send an object to all readers, waiting for the slowest where it has no room.

        Raises TimeoutError when the time ends before all of it is sent: then no reader
        gets it; PeerDeadError when no reader is left.
        """
        if self._present == 0:
            raise PeerDeadError("no reader is connected")
        left = countdown(timeout)
        parts = frame.Frame(obj)
        for start in range(0, parts.size, self._chunk):
            size = min(self._chunk, parts.size - start)
            kind = MORE if start else FIRST
            with self._bus.send_zero_copy(size, kind, left()) as slot:
                parts.write(slot.buf, start)

    def events(self) -> list[Event]:
        """Return which readers have come and gone since the last call, and why."""
        with self._news:
            events = list(self._events)
            self._events.clear()
        return events

    def _let_in(self) -> None:
        """Let readers in and out, in a thread of its own, until the queue is closed."""
        with contextlib.suppress(ClosedError):
            for event in self._bus.events():
                present = len(self._bus.peers())
                with self._news:
                    self._events.append(event)
                    self._present = present
                    self._news.notify_all()

    # ---- A reader ----

    def dequeue(
        self,
        timeout: float | None = None,
        cancel: threading.Event | None = None,
        indefinite: bool = False,
    ) -> Any:
        """Return the next object.

        cancel: ends the wait with a RuntimeError within 50 ms after it is set.
        indefinite: of no effect; a long wait is no reason to warn, since the end of the
            writer ends it.

        Raises TimeoutError; ClosedError when the writer has closed and all is received,
        PeerDeadError when it died.
        """
        left = countdown(timeout)
        while True:
            with self._next_piece(left, cancel) as piece:
                if piece.type_id == FIRST:
                    size = frame.size_of(piece.buf)
                    if size == piece.actual_size:
                        self._frame = None
                        return frame.read(piece.buf)
                    self._frame, self._filled = bytearray(size), 0
                if self._frame is None:  # joined in the middle
                    continue
                end = self._filled + piece.actual_size
                self._frame[self._filled : end] = piece.buf
                self._filled = end
            if self._filled == len(self._frame):
                whole, self._frame = self._frame, None
                return frame.take(memoryview(whole))

    def _next_piece(
        self, left: Callable[[], float | None], cancel: threading.Event | None
    ) -> RxGuard:
        if cancel is None:
            return self._bus.recv_zero_copy(left(), self._spin)
        while not cancel.is_set():
            rest = left()
            try:
                return self._bus.recv_zero_copy(
                    min(rest, CANCEL_INTERVAL_S), self._spin
                )
            except TimeoutError:
                if rest <= CANCEL_INTERVAL_S:
                    raise
        raise RuntimeError("cancelled")

    # ---- Both ----

    def broadcast_object(self, obj: object = None) -> Any:
        """Send an object at the writer, receive one at a reader; return it."""
        if self._rank is not None:
            return self.dequeue()
        self.enqueue(obj)
        return obj

    def close(self) -> None:
        """Send what is left, and tell the readers that this was all."""
        self.__exit__(None, None, None)

    def __enter__(self) -> "MessageQueue":
        return self

    def __exit__(self, *exception: Any) -> None:
        self._bus.__exit__(*exception)
        if self._rank is None:
            self._door.join()


def countdown(timeout: float | None) -> Callable[[], float | None]:
    """Return a function that tells how much is left of a time from now on."""
    if timeout is None:
        return lambda: None
    end = time.monotonic() + timeout
    return lambda: max(0.0, end - time.monotonic())
