# SPDX-License-Identifier: Apache-2.0
"""Queue, in the place of multiprocessing.Queue."""

import gc
import multiprocessing
import os
import pickle
import queue
import random
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.context import BaseContext
from typing import Any

import numpy as np
import pytest

from tachyon import (
    Bus,
    ClosedError,
    PeerDeadError,
    Queue,
    TachyonError,
    UnexpectedMessage,
)
from tachyon.queue import OBJECT, packed, unpacked

METHODS = ["fork", "spawn", "forkserver"]
WAIT = 60  # seconds, for what takes none


@pytest.fixture(params=METHODS)
def context(request: pytest.FixtureRequest) -> BaseContext:
    """Return each way in which multiprocessing starts children."""
    return multiprocessing.get_context(request.param)


@pytest.fixture
def fork() -> BaseContext:
    """Return the fastest one."""
    return multiprocessing.get_context("fork")


@pytest.fixture
def queues() -> Iterator[Callable[..., "Queue[Any]"]]:
    """Return what makes queues; they are closed after the test."""
    made: list[Queue[Any]] = []

    def make(*arguments: Any) -> "Queue[Any]":
        made.append(Queue(*arguments))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def both(queues: Callable[..., "Queue[Any]"]) -> "Queue[Any]":
    """Return a queue whose ends are both in this process, and have met."""
    both = queues(1 << 16)
    thread = threading.Thread(target=both.put, args=("met",))
    thread.start()
    assert both.get(timeout=WAIT) == "met"
    thread.join()
    return both


def echo(requests: "Queue[Any]", replies: "Queue[Any]") -> None:
    """Give back what comes, until None does."""
    while (item := requests.get(timeout=WAIT)) is not None:
        replies.put(item, timeout=WAIT)
    replies.put(None, timeout=WAIT)


# ---- Where multiprocessing.Queue was ----


def test_objects_go_to_a_child_and_back(
    context: BaseContext, queues: Callable[..., "Queue[Any]"]
) -> None:
    requests, replies = queues(), queues()
    child = context.Process(target=echo, args=(requests, replies))  # type: ignore[attr-defined]
    child.start()
    items = [1, "two", {"three": [3.0, b"bytes"]}, {"a": np.arange(1000.0)}, (), [[]]]
    for item in items:
        requests.put(item, timeout=WAIT)
    for item in items:
        received = replies.get(timeout=WAIT)
        assert repr(received) == repr(item)
    requests.put(None)
    assert replies.get(timeout=WAIT) is None
    child.join(WAIT)
    assert child.exitcode == 0


def test_arrays_go_out_of_band_and_come_back_writable(both: "Queue[Any]") -> None:
    sent = {
        "x": np.arange(6.0).reshape(2, 3),
        "f": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "strided": np.arange(20)[::3],
        "empty": np.zeros(0),
        "records": np.zeros(2, [("a", "i4"), ("b", "f8")]),
        "objects": np.array([None, {}]),
        "buffer": pickle.PickleBuffer(bytearray(b"raw")),
    }
    head, *buffers = packed(sent)
    assert len(buffers) >= 4
    assert np.arange(6.0).tobytes() not in head
    both.put(sent)
    received = both.get(timeout=WAIT)
    assert bytes(received.pop("buffer")) == b"raw"
    sent.pop("buffer")
    for name, array in received.items():
        assert np.array_equal(array, sent[name]), name
        assert array.flags.writeable, name
    received["x"] += 1
    assert received["f"].flags.f_contiguous


def test_what_is_in_the_ring(both: "Queue[Any]") -> None:
    sent = [np.arange(3, dtype="u1"), np.arange(70, dtype="u1")]
    both.put(sent)
    bus = both._rx.bus
    assert bus is not None
    type_id, size, data = bus.recv(WAIT)
    assert type_id == 0xFFFF0001
    count, length, *sizes = struct.unpack_from("<II2Q", data)
    assert (count, sizes) == (2, [3, 70])
    at = -(-(24 + length) // 64) * 64
    assert data[at : at + 3] == bytes([0, 1, 2])
    assert data[at + 64 : at + 134] == bytes(range(70))
    assert size == at + 134
    assert repr(unpacked(bytearray(data))) == repr(sent)


@pytest.mark.parametrize(
    "size", [1, 4096, 4097, 1 << 16, np.int64(1 << 20), (1 << 31) - 1]
)
def test_its_size_is_rounded_up(size: Any) -> None:
    rounded = max(4096, 1 << (int(size) - 1).bit_length())
    assert repr(Queue(size)) == f"<tachyon.Queue of {rounded} bytes>"


@pytest.mark.parametrize("size", [0, -1, (1 << 31) + 1, 2.0, "1", None])
def test_its_size_is_checked(size: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="maxsize_bytes"):
        Queue(size)


def test_an_object_that_is_too_large(both: "Queue[Any]") -> None:
    with pytest.raises(ValueError, match="maxsize_bytes"):
        both.put(bytes(1 << 16))
    both.put("next")
    assert both.get(timeout=WAIT) == "next"


def test_an_object_that_cannot_be_pickled(both: "Queue[Any]") -> None:
    with pytest.raises(Exception, match=r"lambda|local object"):
        both.put(lambda: None)
    both.put("next")
    assert both.get(timeout=WAIT) == "next"


# ---- Full and empty ----


def test_full_and_empty(both: "Queue[Any]") -> None:
    assert both.empty()
    assert not both.full()
    assert both.qsize() == 0
    for block, timeout in ((False, None), (True, 0), (True, 0.02)):
        with pytest.raises(queue.Empty):
            both.get(block, timeout)
    with pytest.raises(queue.Empty):
        both.get_nowait()
    count = 0
    try:
        while True:
            both.put_nowait(bytes(1000))
            count += 1
    except queue.Full:
        pass
    assert count > 50
    for block, timeout in ((False, None), (True, 0), (True, 0.02)):
        with pytest.raises(queue.Full):
            both.put(bytes(1000), block, timeout)
    assert not both.empty()
    assert both.qsize() == count
    for _ in range(count):
        assert both.get_nowait() == bytes(1000)
    assert both.empty()


def test_full_tells_where_one_puts(
    fork: BaseContext, queues: Callable[..., "Queue[Any]"]
) -> None:
    there, gone = queues(1 << 12), fork.Event()
    child = fork.Process(target=take_one, args=(there, gone))  # type: ignore[attr-defined]
    child.start()
    there.put("first")
    try:
        while True:
            there.put_nowait(b"")
    except queue.Full:
        pass
    assert there.full()
    assert not there.empty()
    with pytest.raises(NotImplementedError, match="how many objects were got"):
        there.qsize()
    gone.set()
    child.join(WAIT)


def take_one(there: "Queue[Any]", gone: Any) -> None:
    """Get one object and stay."""
    there.get(timeout=WAIT)
    gone.wait(WAIT)


def test_nobody_is_there_yet(queues: Callable[..., "Queue[Any]"]) -> None:
    there, other = queues(), queues()
    assert there.full()  # there is nobody for whom to put
    for block, timeout in ((False, None), (True, 0), (True, 0.02)):
        with pytest.raises(queue.Full):
            other.put(1, block, timeout)
        with pytest.raises(queue.Empty):
            there.get(block, timeout)
    assert there.qsize() == 0
    thread = threading.Thread(target=there.put, args=("now",))
    thread.start()
    assert there.get(timeout=WAIT) == "now"
    thread.join()


# ---- The end ----


def test_it_ends_with_what_was_put(
    context: BaseContext, queues: Callable[..., "Queue[Any]"]
) -> None:
    there = queues()
    child = context.Process(target=put_some, args=(there,))  # type: ignore[attr-defined]
    child.start()
    assert [there.get(timeout=WAIT) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ClosedError):
        there.get(timeout=WAIT)
    child.join(WAIT)
    assert child.exitcode == 0


def put_some(there: "Queue[Any]") -> None:
    """Put three objects, and end as children do, without closing."""
    for i in range(3):
        there.put(i, timeout=WAIT)


def die_after(there: "Queue[Any]", what: str) -> None:
    """Put or get one object and be killed."""
    if what == "put":
        there.put("last", timeout=WAIT)
    else:
        there.get(timeout=WAIT)
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_producer_is_an_error(
    context: BaseContext, queues: Callable[..., "Queue[Any]"]
) -> None:
    there = queues()
    child = context.Process(target=die_after, args=(there, "put"))  # type: ignore[attr-defined]
    child.start()
    assert there.get(timeout=WAIT) == "last"
    for _ in range(2):
        with pytest.raises(PeerDeadError):
            there.get()
    child.join(WAIT)


def test_a_killed_consumer_is_an_error(
    context: BaseContext, queues: Callable[..., "Queue[Any]"]
) -> None:
    there = queues(1 << 16)
    child = context.Process(target=die_after, args=(there, "get"))  # type: ignore[attr-defined]
    child.start()
    with pytest.raises(PeerDeadError):
        while True:
            there.put(bytes(1000))
    child.join(WAIT)


def test_closed_is_closed(both: "Queue[Any]") -> None:
    both.put("last")
    both.close()
    both.close()
    both.join_thread()
    both.cancel_join_thread()
    for call in (lambda: both.put(1), both.get, both.qsize):
        with pytest.raises(ValueError, match="closed"):
            call()
    assert repr(both) == "<tachyon.Queue of 65536 bytes, closed>"


def test_a_close_ends_a_wait(both: "Queue[Any]") -> None:
    closer = threading.Timer(0.05, both.close)
    closer.start()
    with pytest.raises(ClosedError):
        both.get(timeout=WAIT)
    closer.join()


def test_a_close_ends_a_wait_for_the_other_end(
    queues: Callable[..., "Queue[Any]"],
) -> None:
    there = queues()
    closer = threading.Timer(0.05, there.close)
    closer.start()
    with pytest.raises(ClosedError, match="another thread has closed the queue"):
        there.put(1, timeout=WAIT)
    closer.join()


def test_a_dropped_queue_is_closed() -> None:
    mine: Queue[str] = Queue()
    other: Queue[str] = pickle.loads(pickle.dumps(mine))
    outcomes: list[Any] = []

    def get() -> None:
        outcomes.append(other.get(timeout=WAIT))
        try:
            other.get(timeout=WAIT)
        except TachyonError as error:
            outcomes.append(type(error))

    thread = threading.Thread(target=get)
    thread.start()
    mine.put("last", timeout=WAIT)
    del mine
    gc.collect()
    thread.join(WAIT)
    other.close()
    assert outcomes == ["last", ClosedError]


# ---- One that puts, one that gets ----


def third(there: "Queue[Any]", what: str, outcomes: Any) -> None:
    """Do what another process does already."""
    try:
        there.put(1, timeout=WAIT) if what == "put" else there.get(timeout=WAIT)
    except TachyonError as error:
        outcomes.send(str(error))
    else:
        outcomes.send("did")


@pytest.mark.parametrize("what", ["put", "get"])
def test_a_third_process_is_refused(
    context: BaseContext, both: "Queue[Any]", what: str
) -> None:
    ours, theirs = context.Pipe()
    child = context.Process(target=third, args=(both, what, theirs))  # type: ignore[attr-defined]
    child.start()
    assert ours.poll(WAIT)
    assert f"another process {what}s" in ours.recv()
    child.join(WAIT)
    both.put("on")
    assert both.get(timeout=WAIT) == "on"


def test_the_next_producer_is_refused_where_the_first_has_gone(
    fork: BaseContext, queues: Callable[..., "Queue[Any]"]
) -> None:
    there = queues()
    child = fork.Process(target=put_some, args=(there,))  # type: ignore[attr-defined]
    child.start()
    assert there.get(timeout=WAIT) == 0
    child.join(WAIT)
    with pytest.raises(TachyonError, match="has met another one"):
        there.put(1, timeout=WAIT)


def test_threads_of_one_process_take_turns(both: "Queue[Any]") -> None:
    got: list[int] = []

    def put(first: int) -> None:
        for i in range(first, first + 200):
            both.put(i, timeout=WAIT)

    def get() -> None:
        for _ in range(200):
            got.append(both.get(timeout=WAIT))

    threads = [
        *(threading.Thread(target=put, args=(n * 200,)) for n in range(3)),
        *(threading.Thread(target=get) for _ in range(3)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [*range(600)]


def test_a_thread_waits_for_its_turn_in_time(both: "Queue[Any]") -> None:
    outcomes: list[Any] = []

    def get() -> None:
        outcomes.append(both.get(timeout=WAIT))

    thread = threading.Thread(target=get)
    thread.start()
    while both._rx.lock.acquire(blocking=False):
        both._rx.lock.release()
        time.sleep(0.001)
    for block, timeout in ((False, None), (True, 0.02)):
        with pytest.raises(queue.Empty):
            both.get(block, timeout)
    both.put("mine")
    thread.join()
    assert outcomes == ["mine"]


# ---- What is not a queue's ----


def test_a_signal_handler_that_raises_ends_only_its_call(both: "Queue[Any]") -> None:
    class SignalError(Exception):
        pass

    def handler(*_: object) -> None:
        raise SignalError

    before = signal.signal(signal.SIGALRM, handler)
    limit = signal.setitimer(signal.ITIMER_REAL, 0)  # of the whole test
    try:
        for _ in range(3000):
            if both.empty():
                both.put(None)
            try:
                signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, 1e-5))
                both.get(timeout=WAIT)
                signal.setitimer(signal.ITIMER_REAL, 0)
            except SignalError:
                assert not both._rx.lock.locked()
    finally:
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *limit)


def test_a_message_of_something_else(both: "Queue[Any]") -> None:
    assert both._tx.bus is not None
    assert both._rx.bus is not None
    both._tx.bus.send(b"spam", 1)
    with pytest.raises(UnexpectedMessage):
        both.get(timeout=WAIT)
    assert both._rx.bus.recv(WAIT).data == b"spam"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 7,
        struct.pack("<II", 1, 0),
        struct.pack("<II", 0xFFFFFFFF, 0xFFFFFFFF),
        struct.pack("<IIQ", 1, 0, 1 << 63),
        struct.pack("<II", 0, 5) + b"N.",
        struct.pack("<II", 0, 1) + b"N.",
        struct.pack("<II", 0, 2) + b"XX",
    ],
)
def test_what_is_cut_or_lies(both: "Queue[Any]", data: bytes) -> None:
    assert both._tx.bus is not None
    both._tx.bus.send(data, OBJECT)
    both.put("next")
    with pytest.raises(pickle.UnpicklingError):
        both.get(timeout=WAIT)
    assert both.get(timeout=WAIT) == "next"


def test_another_user_is_refused_and_told_why(
    queues: Callable[..., "Queue[Any]"],
) -> None:
    there = queues()
    if os.getuid() != 0:
        pytest.skip("only root can be another user")
    code = (
        "import multiprocessing.util, os, sys\n"
        "from tachyon.queue import queue_of\n"
        "os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)\n"
        f"queue = queue_of({there._name!r}, {there._capacity})\n"
        "try:\n"
        "    queue.put(1, timeout=20)\n"
        "except PermissionError as error:\n"
        "    sys.exit('refused: ' + str(error))\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code], stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + WAIT
    while child.poll() is None and time.monotonic() < deadline:
        with pytest.raises(queue.Empty):
            there.get(timeout=0.05)
    _, said = child.communicate()
    assert "refused" in said
    assert "processes of one user" in said
    assert "unpickled" in said


def test_a_fork_of_a_used_queue_is_a_third(
    fork: BaseContext, both: "Queue[Any]"
) -> None:
    both.put("mine")
    ours, theirs = fork.Pipe()
    child = fork.Process(target=third, args=(both, "get", theirs))  # type: ignore[attr-defined]
    child.start()
    assert ours.poll(WAIT)
    assert "another process gets" in ours.recv()
    child.join(WAIT)
    assert both.get(timeout=WAIT) == "mine"
    bus = both._rx.bus
    assert isinstance(bus, Bus)
