# SPDX-License-Identifier: Apache-2.0
"""A queue between two processes, in the place of multiprocessing.Queue."""

from __future__ import annotations

import os
import pickle
import select
import socket
import struct
import threading
import time
import weakref
from collections.abc import Callable
from queue import Empty, Full
from typing import Any, Generic, SupportsIndex, TypeVar

from . import _native
from .arguments import seconds_or_none
from .bus import Bus, Role

Item = TypeVar("Item")
Result = TypeVar("Result")

OBJECT = 0xFFFF0001  # type_id of what a queue sends
COUNTS = struct.Struct("<II")  # buffers, bytes of the pickle
OVERHEAD = 128  # bytes of a ring that no message can have
LINE = 64  # what each buffer begins at a multiple of
LOOK = 1.0  # seconds between two looks whether the other end has somebody else
SMALLEST, LARGEST = 1 << 12, 1 << 31
WHY_ONE_USER = (
    "tachyon.Queue is for processes of one user: what it receives is unpickled, which "
    "runs code of the sender's choosing"
)


class Queue(Generic[Item]):
    """A queue of Python objects from one process to one other.

    put() at one end and get() at the other are those of multiprocessing.Queue, and it
    goes to a child in the same ways: as an argument of a Process, under fork, spawn and
    forkserver. What is put is pickled at once, in the calling thread. Buffers, as those
    of NumPy arrays, are copied as they are, into the ring and out of it, and what get()
    returns may be written to.

    Otherwise than there: the first put() waits for a get() at the other end, since that
    one makes the ring; there is one process that puts and one that gets, whoever does
    so first, and a third is refused with a TachyonError; and when the other process has
    closed or died that is said, by a ClosedError or a PeerDeadError: to who gets after
    all that was put, to who puts when there is no room. Several threads may put, and
    several get.

    Both ends are of one user, else PermissionError: to unpickle is to run code of the
    sender's choosing.
    """

    def __init__(self, maxsize_bytes: SupportsIndex = 1 << 26) -> None:
        """Make a queue; nothing is there before it is used.

        maxsize_bytes: of memory for what was put and not yet got, up to 2 GiB, rounded
            up to a power of two. No object may take more. It is taken as it is used.
        """
        size = _native.integer("maxsize_bytes", maxsize_bytes, 1, LARGEST)
        capacity = max(SMALLEST, 1 << (size - 1).bit_length())
        self._begin(f"@tachyon-queue-{os.urandom(16).hex()}", capacity)

    def __reduce__(self) -> tuple[Any, tuple[str, int]]:
        return queue_of, (self._name, self._capacity)

    def _begin(self, name: str, capacity: int) -> None:
        self._name = name
        self._capacity = capacity
        self._forget()
        queues.add(self)

    def _forget(self) -> None:
        self._tx = End(self._name, self._capacity, "put")
        self._rx = End(self._name, self._capacity, "get")
        self._closed = False
        self._finalizer: object = None

    def __repr__(self) -> str:
        state = ", closed" if self._closed else ""
        return f"<tachyon.Queue of {self._capacity} bytes{state}>"

    def put(self, item: Item, block: bool = True, timeout: float | None = None) -> None:
        """Put an object, when there is room for it.

        item: what pickle can have.
        timeout: seconds, then queue.Full; None waits for ever, also for somebody who
            gets. block=False does not wait.

        ValueError for an object that is larger than the queue, or when this end was
        closed; what pickle raises for one that cannot be pickled.
        """
        parts = packed(item)
        size = size_of(parts)
        if size > self._capacity - OVERHEAD:
            raise ValueError(
                f"the object takes {size} bytes, this queue at most "
                f"{self._capacity - OVERHEAD}: make it with a larger maxsize_bytes"
            )
        left = Timer(timeout if block else 0)
        try:
            self._use(
                self._tx, left, lambda bus: bus._send_parts(parts, OBJECT, left())
            )
        except TimeoutError:
            raise Full from None

    def get(self, block: bool = True, timeout: float | None = None) -> Item:
        """Take the object that was put first.

        timeout: seconds, then queue.Empty; None waits for ever. block=False does not
            wait.

        ClosedError when the other end has closed and there is nothing left,
        PeerDeadError when it died; ValueError when this end was closed.
        """
        left = Timer(timeout if block else 0)
        try:
            data = self._use(
                self._rx, left, lambda bus: bus._recv_parts(OBJECT, left())
            )
        except TimeoutError:
            raise Empty from None
        item: Item = unpacked(data)
        return item

    def put_nowait(self, item: Item) -> None:
        """Put an item; queue.Full if there is no room, or nobody who gets."""
        self.put(item, False)

    def get_nowait(self) -> Item:
        """Take an object; queue.Empty if there is none."""
        return self.get(False)

    def qsize(self) -> int:
        """Return how many objects are there to be got.

        To ask is to be the one that gets, as long as this process has not put anything.
        NotImplementedError but in the process that gets: the other one knows of bytes
        only.
        """
        if self._tx.bus is not None and self._rx.bus is None:
            raise NotImplementedError(
                "the process that puts does not know how many objects were got"
            )
        try:
            return self._use(self._rx, Timer(0), lambda bus: bus._count_waiting())
        except TimeoutError:
            return 0

    def empty(self) -> bool:
        """Tell whether nothing is left to be got; where one puts, as of its put().

        To ask before that is to be the one that gets, as with qsize().
        """
        if self._tx.bus is not None and self._rx.bus is None:
            return self._tx.bus.stats().used == 0
        return self.qsize() == 0

    def full(self) -> bool:
        """Tell whether put() would wait: for room for any object, or for who gets.

        A large object may have to wait before that. False where one gets.
        """
        bus = self._tx.bus
        if bus is None:
            return self._rx.bus is None
        stats = bus.stats()
        return stats.capacity - stats.used < 4 * LINE

    def close(self) -> None:
        """Say that this process neither puts nor gets any more.

        What was put is still got. A call that waits in another thread ends with
        ClosedError.
        """
        self._closed = True
        self._tx.close()
        self._rx.close()

    def join_thread(self) -> None:
        """Do nothing: there is no thread that puts later."""

    cancel_join_thread = join_thread

    def _use(self, end: End, left: Timer, do: Callable[[Bus], Result]) -> Result:
        """Do something with an end, whose bus is opened when it is first used."""
        if self._closed:
            raise ValueError(f"{self!r} is closed")
        if self._finalizer is None:
            # Not sooner, since it takes a while: children of multiprocessing end
            # without dropping what they have.
            from multiprocessing import util  # noqa: PLC0415

            self._finalizer = util.Finalize(
                self, close_both, (self._tx, self._rx), exitpriority=10
            )
        seconds = left()
        timeout = -1 if seconds is None else seconds
        has_turn: list[bool] = []
        try:
            # In one step: a signal handler that raises must not come between the two.
            has_turn.extend(map(end.lock.acquire, [True], [timeout]))
            if not has_turn[0]:
                raise TimeoutError("another thread uses this end of the queue")
            return do(end.bus or end.open(left))
        finally:
            if has_turn and has_turn[0]:
                end.lock.release()


def queue_of(name: str, capacity: int) -> Queue[Any]:
    """Make what stands for the same queue in another process."""
    queue: Queue[Any] = Queue.__new__(Queue)
    queue._begin(name, capacity)
    return queue


class Timer:
    """What is left of a time."""

    def __init__(self, timeout: float | None) -> None:
        seconds = seconds_or_none(timeout)
        self._deadline = None if seconds is None else time.monotonic() + seconds
        self._at_once = seconds == 0

    def __call__(self) -> float | None:
        """Return how many seconds, or None for ever."""
        if self._deadline is None or self._at_once:
            return self._deadline and 0
        return max(self._deadline - time.monotonic(), 0)


class End:
    """What this process has of a queue where it puts, or where it gets."""

    def __init__(self, name: str, capacity: int, does: str) -> None:
        self.lock = threading.Lock()
        self.bus: Bus | None = None  # once it is open
        self._name = name
        self._capacity = capacity
        self._does = does
        self._opening: Bus | None = None
        self._fd = -1
        self._claims: list[socket.socket] = []

    def open(self, left: Timer) -> Bus:
        """Meet the other end; TimeoutError when it has not come in the time."""
        bus = self._opening
        try:
            if bus is None:
                bus = self._opening = Bus()
                self._claim(self._does)
            self._meet(bus, left)
        except TimeoutError:
            raise  # and the next call goes on with it
        except PermissionError as error:
            self.close()
            raise PermissionError(error.errno, WHY_ONE_USER) from error
        except BaseException:
            closed = self._opening is None
            self.close()
            if closed:
                raise _native.ClosedError(
                    "another thread has closed the queue"
                ) from None
            raise
        self.bus, self._opening = bus, None
        return bus

    def _meet(self, bus: Bus, left: Timer) -> None:
        low = bus._bus
        if self._fd < 0 and self._does == "get":
            self._fd = low.listen_start(
                self._name, self._capacity, timeout=None, role=Role.CONSUMER
            )
        elif self._fd < 0:
            self._fd = low.connect_start(self._name, timeout=None, role=Role.PRODUCER)
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        while not low.opening_step():
            seconds = left()
            if seconds == 0:
                raise TimeoutError(
                    f"nobody at the other end of the queue to {self._does}"
                )
            if self._does == "put" and is_claimed(self._name, "met"):
                raise _native.TachyonError(
                    "the process that gets from this queue has met another one that "
                    "puts: a queue is from one process to one other; use one for each"
                )
            seconds = LOOK if seconds is None else min(seconds, LOOK)
            poll.poll(seconds * 1000)
        if self._does == "get":
            self._claim("met")

    def _claim(self, what: str) -> None:
        """Be the only process that does something with this queue, while it lives."""
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._claims.append(claim)
        try:
            claim.bind(address(self._name, what))
        except OSError:
            raise _native.TachyonError(
                f"another process {what}s {'to' if what == 'put' else 'from'} this "
                "queue already: it is from one process to one other; use one for each"
            ) from None

    def close(self) -> None:
        """Close what is open of it, from any thread."""
        bus = self.bus or self._opening
        self.bus = self._opening = None
        self._fd = -1
        if bus is not None:
            bus.close()
        while self._claims:
            self._claims.pop().close()


def address(name: str, what: str) -> str:
    """Name a claim. The kernel takes it back from whoever dies."""
    return f"\0{name[1:]}-{what}"


def is_claimed(name: str, what: str) -> bool:
    """Tell whether some process has a claim."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as look:
        try:
            look.connect(address(name, what))
        except OSError:
            return False
    return True


def close_both(*ends: End) -> None:
    """Close what a queue has open when it is dropped, or its process ends."""
    for end in ends:
        end.close()


def packed(item: Any) -> list[Any]:
    """Pickle an object: what stands before its buffers, and these."""
    buffers: list[pickle.PickleBuffer] = []
    data = pickle.dumps(item, protocol=5, buffer_callback=buffers.append)
    if not buffers:  # of most objects, in a third of the time
        return [COUNTS.pack(0, len(data)) + data]
    raws = [buffer.raw() for buffer in buffers]
    sizes = struct.pack(f"<{len(raws)}Q", *(raw.nbytes for raw in raws))
    return [b"".join((COUNTS.pack(len(raws), len(data)), sizes, data)), *raws]


def size_of(parts: list[Any]) -> int:
    """Return the bytes of a message of such parts."""
    size = len(parts[0])
    for part in parts[1:]:
        size = -(-size // LINE) * LINE + len(part)
    return size


def unpacked(data: bytearray) -> Any:
    """Unpickle what packed() has made."""
    memory = memoryview(data)
    try:
        count, size = COUNTS.unpack_from(memory)
        sizes = struct.unpack_from(f"<{count}Q", memory, COUNTS.size) if count else ()
    except struct.error as error:
        raise pickle.UnpicklingError(
            f"this is nothing that a queue sends: {error}"
        ) from None
    if not count and len(memory) == COUNTS.size + size:  # as of most objects
        return pickle.loads(memory[COUNTS.size :], buffers=())
    begin = COUNTS.size + 8 * count
    end = begin + size
    buffers = []
    for length in sizes:
        at = -(-end // LINE) * LINE
        end = at + length
        buffers.append(memory[at:end])
    if end != len(memory):
        raise pickle.UnpicklingError(
            f"this is nothing that a queue sends: {len(memory)} bytes instead of {end}"
        )
    return pickle.loads(memory[begin : begin + size], buffers=buffers)


queues: weakref.WeakSet[Queue[Any]] = weakref.WeakSet()


def in_child() -> None:
    """Let go of what a forked child has got of its parent's queues."""
    for queue in [*queues]:
        ends = queue._tx, queue._rx
        queue._forget()
        close_both(*ends)


os.register_at_fork(after_in_child=in_child)
