# SPDX-License-Identifier: Apache-2.0
"""Large copies, during which other threads run.

With an endless switch interval a thread gets the interpreter's lock only where another
one gives it away.
"""

import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from tachyon import Bus, ClosedError, RingFull, TachyonError

from conftest import Connect, ConnectRpc, Pair

RING, LARGE = 1 << 26, 1 << 25
TRIES = 200  # one is enough, unless the machine lets the other thread sleep


@pytest.fixture(autouse=True)
def _no_switches() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e6)
    yield
    sys.setswitchinterval(interval)


@pytest.fixture
def large(connect: Connect) -> Pair:
    """Return a pair with room for one large message."""
    return connect(RING)


def during(call: Callable[[], Any], action: Callable[[], Any]) -> tuple[Any, Any]:
    """Run an action in a thread that begins while a call runs; return both outcomes.

    The action's is None if the call was over too soon.
    """
    started, go = threading.Event(), threading.Event()
    outcomes: list[Any] = []

    def wait() -> None:
        started.set()
        go.wait()
        outcomes.append(outcome(action))

    thread = threading.Thread(target=wait)
    thread.start()
    started.wait()
    go.set()
    called = outcome(call)
    ran = [*outcomes]
    thread.join()
    return called, ran[0] if ran else None


def outcome(call: Callable[[], Any]) -> Any:
    """Return what a call returns or raises."""
    try:
        return call()
    except Exception as error:
        return error


def take(bus: Bus) -> Callable[[], int]:
    """Return a call that receives a message and returns its size."""
    return lambda: bus.recv(5).size


@pytest.mark.parametrize("block", [True, False])
@pytest.mark.parametrize("timeout", [None, 0, 5])
def test_other_threads_run_while_a_message_is_sent(
    large: Pair, block: bool, timeout: float | None
) -> None:
    data = bytearray(LARGE)
    for _ in range(TRIES):
        sent, ran = during(
            lambda: large.producer.send(data, 1, timeout, block), lambda: "ran"
        )
        assert sent is None
        assert take(large.consumer)() == LARGE
        if ran:
            return
    pytest.fail("the lock was held")


def test_other_threads_run_while_a_message_is_received(large: Pair) -> None:
    for _ in range(TRIES):
        large.producer.send(bytes(LARGE))
        received, ran = during(take(large.consumer), lambda: "ran")
        assert received == LARGE
        if ran:
            return
    pytest.fail("the lock was held")


def test_other_threads_run_while_a_request_is_sent(connect_rpc: ConnectRpc) -> None:
    rpc = connect_rpc(RING, RING)
    data = bytes(LARGE)
    for _ in range(TRIES):
        cid, ran = during(lambda: rpc.caller.call(data, 1), lambda: "ran")
        with rpc.callee.serve(timeout=5) as request:
            assert request.correlation_id == cid
            assert request.actual_size == LARGE
        if ran:
            return
    pytest.fail("the lock was held")


def test_other_threads_run_while_a_batch_is_sent_without_waiting(large: Pair) -> None:
    data = memoryview(bytes(LARGE)).cast("B", (LARGE >> 10, 1 << 10))
    for _ in range(TRIES):
        sent, ran = during(
            lambda: large.producer.send_batch(data, block=False), lambda: "ran"
        )
        assert sent == len(data)
        with large.consumer.drain_batch(len(data)) as batch:
            assert len(batch) == len(data)
        if ran:
            return
    pytest.fail("the lock was held")


def test_what_is_sent_cannot_be_resized_meanwhile(large: Pair) -> None:
    data = bytearray(b"x" * LARGE)
    for _ in range(TRIES):
        sent, grown = during(
            lambda: large.producer.send(data), lambda: data.extend(b"more")
        )
        assert sent is None
        message = large.consumer.recv(5)
        assert message.data == b"x" * LARGE
        if isinstance(grown, BufferError):
            data.extend(b"more")  # and now it can
            return
        del data[LARGE:]
    pytest.fail("nobody has tried in time")


@pytest.mark.parametrize("end", ["producer", "consumer"])
def test_a_second_thread_is_refused_meanwhile(large: Pair, end: str) -> None:
    bus: Bus = getattr(large, end)
    data = bytes(LARGE)
    for _ in range(TRIES):
        if end == "producer":
            done, refused = during(lambda: bus.send(data), lambda: bus.send(b"second"))
            assert done is None
        else:
            large.producer.send(data)
            done, refused = during(take(bus), lambda: bus.recv(0))
            assert done == LARGE
        if isinstance(refused, TachyonError):
            assert "another thread is waiting" in str(refused)
            return
        assert refused is None or isinstance(refused, TimeoutError)
        while outcome(lambda: large.consumer.recv(0)) and large.consumer.stats().used:
            pass
    pytest.fail("nobody has tried in time")


@pytest.mark.parametrize("end", ["producer", "consumer"])
def test_a_close_meanwhile_ends_it_in_safety(
    connect: Connect, tmp_path: Any, end: str
) -> None:
    data = bytes(LARGE)
    for attempt in range(TRIES):
        pair = connect(RING, str(tmp_path / f"{attempt}.sock"))
        bus: Bus = getattr(pair, end)
        if end == "consumer":
            pair.producer.send(data)
        call = take(bus) if end == "consumer" else lambda: bus.send(data)
        done, _ = during(call, bus.close)
        with pytest.raises(ClosedError):
            bus.send(b"") if end == "producer" else bus.recv(0)
        for each in pair:
            each.close()
        if isinstance(done, ClosedError):
            assert "another thread has closed the bus" in str(done)
            return
        assert done in (None, LARGE)
    pytest.fail("nobody has closed in time")


def test_without_room_it_is_said_as_of_small_ones(large: Pair) -> None:
    data = bytes(LARGE)
    large.producer.send(data)
    with pytest.raises(RingFull, match="no room to send, the ring is full"):
        large.producer.send(data, block=False)
    for timeout in (0, 0.01):
        with pytest.raises(TimeoutError, match=rf"no room to send.*timeout={timeout}"):
            large.producer.send(data, timeout=timeout)
    assert large.consumer.recv(5).data == data
    with pytest.raises(TimeoutError):
        large.consumer.recv(0)


@pytest.mark.parametrize("what", ["gathered", "copied", "into an array"])
def test_other_threads_run_while_an_array_is(large: Pair, what: str) -> None:
    array = np.ones((1 << 12, LARGE >> 12), "u1")
    out = np.zeros_like(array)
    calls: dict[str, Callable[[], Any]] = {
        "gathered": lambda: large.producer.send_array(array[:, ::2]),
        "copied": lambda: large.consumer.recv_array(timeout=5).shape,
        "into an array": lambda: large.consumer.recv_array(out, timeout=5).shape,
    }
    for _ in range(TRIES):
        if what != "gathered":
            large.producer.send_array(array)
        done, ran = during(calls[what], lambda: "ran")
        if what == "gathered":
            assert take(large.consumer)() == 64 + LARGE // 2
        else:
            assert done == array.shape
        if ran:
            return
    pytest.fail("the lock was held")
