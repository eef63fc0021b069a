# SPDX-License-Identifier: Apache-2.0
"""Threads: closing ends what waits; sharing a bus never corrupts."""

import random
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tachyon import Bus, ClosedError, RingFull, TachyonError

from conftest import Connect, Pair, await_sleep

RECEIVE = [
    lambda bus: bus.recv(),
    lambda bus: bus.recv_zero_copy(),
    lambda bus: bus.drain_batch(),
    next,
    lambda bus: bus.recv(timeout=60),
]
SEND = [
    lambda bus: bus.send(bytes(100)),
    lambda bus: bus.send_zero_copy(100),
]
Call = Callable[[Any], Any]


class Caller(threading.Thread):
    """A thread that makes one call and keeps what came of it."""

    def __init__(self, call: Call, bus: Any, spins: bool = False) -> None:
        super().__init__()
        self.error: BaseException | None = None
        self._call = call
        self._bus = bus
        self.start()
        if spins:
            time.sleep(0.1)
        else:
            await_sleep()  # it has reached its wait

    def run(self) -> None:
        """Make the call."""
        try:
            self._call(self._bus)
        except BaseException as error:
            self.error = error

    def outcome(self) -> BaseException | None:
        """Wait for the end of the call and return its exception."""
        self.join(5)
        assert not self.is_alive()
        return self.error


def fill(bus: Bus) -> None:
    """Send until the ring is full."""
    with pytest.raises(RingFull):
        while True:
            bus.send(bytes(100), block=False)


@pytest.mark.parametrize("call", RECEIVE)
def test_destroy_ends_a_waiting_receive(pair: Pair, call: Call) -> None:
    caller = Caller(call, pair.consumer)
    pair.consumer._bus.destroy()
    assert isinstance(caller.outcome(), ClosedError)
    with pytest.raises(ClosedError):
        pair.consumer.recv()


@pytest.mark.parametrize("call", SEND)
def test_destroy_ends_a_waiting_send(pair: Pair, call: Call) -> None:
    fill(pair.producer)
    caller = Caller(call, pair.producer)
    pair.producer._bus.destroy()
    assert isinstance(caller.outcome(), ClosedError)


def test_destroy_ends_a_spinning_receive(pair: Pair) -> None:
    pair.consumer.set_polling_mode(True)
    caller = Caller(lambda bus: bus.recv(), pair.consumer, spins=True)
    pair.consumer._bus.destroy()
    assert isinstance(caller.outcome(), ClosedError)


@pytest.mark.parametrize("call", RECEIVE)
def test_second_receiver_is_refused_while_one_waits(pair: Pair, call: Call) -> None:
    caller = Caller(call, pair.consumer)
    for second in RECEIVE:
        with pytest.raises(TachyonError, match="another thread is waiting to receive"):
            second(pair.consumer)
    pair.producer.send(b"x")
    assert caller.outcome() is None


@pytest.mark.parametrize("call", SEND)
def test_second_sender_is_refused_while_one_waits(pair: Pair, call: Call) -> None:
    fill(pair.producer)
    caller = Caller(call, pair.producer)
    for second in SEND:
        with pytest.raises(TachyonError, match="another thread is waiting to send"):
            second(pair.producer)
    pair.producer._bus.flush()
    pair.consumer.recv()
    assert caller.outcome() is None


def test_second_opening_is_refused_while_one_waits(socket_path: str) -> None:
    bus = Bus()
    caller = Caller(lambda bus: bus._bus.listen(socket_path, 4096, timeout=5), bus)
    for second in (
        lambda: bus._bus.listen(socket_path, 4096),
        lambda: bus._bus.connect(socket_path),
        bus._bus.destroy,
        bus.recv,
    ):
        with pytest.raises(TachyonError, match=r"another thread|being opened"):
            second()
    with Bus.connect(socket_path) as producer:
        producer.send(b"x")
        assert caller.outcome() is None
        assert bus.recv(timeout=1).data == b"x"
        with pytest.raises(TachyonError, match="open already"):
            bus._bus.connect(socket_path)
    bus._bus.destroy()


def test_threads_that_share_a_producer_lose_nothing(pair: Pair) -> None:
    """Each send either succeeds or says that another thread is at it."""
    count, threads = 2000, 4
    received: list[bytes] = []

    def send(number: int) -> None:
        for i in range(count):
            while True:
                try:
                    pair.producer.send(b"%d:%d" % (number, i) + bytes(200))
                    break
                except TachyonError as error:
                    assert "another thread is waiting" in str(error)
                    time.sleep(0)

    def receive() -> None:
        while len(received) < count * threads:
            with pair.consumer.drain_batch(50, timeout=60) as batch:
                received.extend(bytes(message)[:-200] for message in batch)

    workers = [threading.Thread(target=send, args=(n,)) for n in range(threads)]
    workers.append(threading.Thread(target=receive))
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for number in range(threads):
        mine = [data for data in received if data.startswith(b"%d:" % number)]
        assert mine == [b"%d:%d" % (number, i) for i in range(count)]


def test_guards_from_many_threads_never_share_a_slot(pair: Pair) -> None:
    count, threads = 500, 4
    refused = 0
    lock = threading.Lock()
    received: list[bytes] = []

    def send(number: int) -> None:
        nonlocal refused
        sent = 0
        while sent < count:
            try:
                with pair.producer.send_zero_copy(8) as tx:
                    with memoryview(tx) as view:
                        view[:4] = bytes([number]) * 4
                        time.sleep(0)
                        view[4:] = bytes([number]) * 4
                    tx.actual_size = 8
                sent += 1
            except TachyonError:
                with lock:
                    refused += 1
                time.sleep(0)

    def receive() -> None:
        while len(received) < count * threads:
            received.append(pair.consumer.recv(timeout=60).data)

    workers = [threading.Thread(target=send, args=(n,)) for n in range(threads)]
    workers.append(threading.Thread(target=receive))
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(received) == [
        bytes([n]) * 8 for n in range(threads) for _ in range(count)
    ]
    assert refused > 0


def storm(work: dict[Any, list[Call]], rng: random.Random, seconds: float) -> None:
    """Let threads make any of a bus's calls, and close the buses meanwhile."""
    stop = threading.Event()
    crashed: list[BaseException] = []

    def run(bus: Any, seed: float) -> None:
        choose = random.Random(seed).choice
        while not stop.is_set():
            try:
                choose(work[bus])(bus)
            except (TachyonError, TimeoutError, BufferError, ValueError):
                pass
            except BaseException as error:
                crashed.append(error)
                return

    threads = [
        threading.Thread(target=run, args=(bus, rng.random()))
        for bus in work
        for _ in range(4)
    ]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    for bus in rng.sample(list(work), len(work)):
        while True:
            try:
                bus.__exit__(None, None, None)
                break
            except BufferError:
                time.sleep(0.001)
        time.sleep(0.02)
    stop.set()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(interval)
    assert crashed == []


@pytest.mark.parametrize("seed", range(5))
def test_any_mix_of_calls_ends_in_a_result_or_an_error(
    connect: Connect, seed: int
) -> None:
    """Four threads on each end do what they like while the buses are closed."""
    pair = connect(capacity=4096)
    rng = random.Random(seed)

    def zero_copy(bus: Bus) -> None:
        with bus.send_zero_copy(50, timeout=0.001) as tx, memoryview(tx) as view:
            view[:] = bytes(50)
            tx.actual_size = 50

    def batch(bus: Bus) -> None:
        with bus.drain_batch(5, timeout=0.001) as messages:
            assert all(bytes(message) == bytes(50) for message in messages)

    def one(bus: Bus) -> None:
        with bus.recv_zero_copy(timeout=0.001) as rx:
            assert bytes(rx) == bytes(50)

    calls: list[Call] = [
        zero_copy,
        batch,
        one,
        lambda bus: bus.send(bytes(50), timeout=0.001),
        lambda bus: bus.recv(timeout=0.001),
        lambda bus: bus._bus.flush(),
        lambda bus: bus.stats(),
        lambda bus: bus.peer,
    ]

    pair.producer.send(bytes(50))
    storm(dict.fromkeys(pair, calls), rng, rng.uniform(0.05, 0.2))
