# SPDX-License-Identifier: Apache-2.0
"""Every waiting call comes back when its time is up, and not before."""

import math
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tachyon import Bus, RingFull, TachyonError

from conftest import Connect, Pair
from floor import Watch

RECEIVE = [
    lambda bus, timeout: bus.recv(timeout),
    lambda bus, timeout: bus.recv_zero_copy(timeout),
    lambda bus, timeout: bus.recv_zero_copy(timeout, spin_threshold=1_000_000),
    lambda bus, timeout: bus.drain_batch(timeout=timeout),
    lambda bus, timeout: bus._bus.acquire_rx(timeout=timeout),
    lambda bus, timeout: bus._bus.drain_batch(spin_threshold=0, timeout=timeout),
]
SEND = [
    lambda bus, timeout: bus.send(bytes(100), timeout=timeout),
    lambda bus, timeout: bus.send_zero_copy(100, timeout=timeout),
    lambda bus, timeout: bus._bus.acquire_tx(100, timeout=timeout),
]
Call = Callable[[Bus, Any], Any]


def fill(bus: Bus) -> int:
    """Send until the ring is full; return how many went in."""
    count = 0
    try:
        while True:
            bus.send(bytes(100), block=False)
            count += 1
    except RingFull:
        return count


def times_out(call: Callable[[], Any], seconds: float) -> None:
    """Run a call that must time out after that long."""
    watch = Watch()
    with pytest.raises(TimeoutError):
        call()
    watch.check(seconds, seconds + 0.2)


@pytest.mark.parametrize("seconds", [0, 0.001, 0.05, 0.3])
@pytest.mark.parametrize("call", RECEIVE)
def test_receive_times_out(pair: Pair, call: Call, seconds: float) -> None:
    times_out(lambda: call(pair.consumer, seconds), seconds)


@pytest.mark.parametrize("seconds", [0, 0.001, 0.05, 0.3])
@pytest.mark.parametrize("call", SEND)
def test_send_times_out_on_a_full_ring(pair: Pair, call: Call, seconds: float) -> None:
    fill(pair.producer)
    times_out(lambda: call(pair.producer, seconds), seconds)


@pytest.mark.parametrize("pure_spin", [True, 1])
def test_pure_spin_times_out(pair: Pair, pure_spin: int) -> None:
    pair.consumer.set_polling_mode(pure_spin)
    times_out(lambda: pair.consumer.recv(0.1), 0.1)


def test_polling_mode_is_a_switch(pair: Pair) -> None:
    pair.consumer.set_polling_mode(pure_spin=0)
    wrong: Any
    for wrong in ("1", None, 1.0):
        with pytest.raises(TypeError, match="pure_spin must be"):
            pair.consumer.set_polling_mode(wrong)


def test_listen_times_out_and_frees_the_path(socket_path: str) -> None:
    for seconds in (0, 0.05):
        times_out(
            lambda seconds=seconds: Bus.listen(socket_path, 4096, timeout=seconds),
            seconds,
        )


def test_connect_keeps_trying_until_its_time_is_up(socket_path: str) -> None:
    watch = Watch()
    with pytest.raises((ConnectionError, TimeoutError)):
        Bus.connect(socket_path, timeout=0.2)
    watch.check(0.2, 0.5)


def test_connect_tries_once_by_default(socket_path: str) -> None:
    watch = Watch()
    with pytest.raises(ConnectionError):
        Bus.connect(socket_path)
    watch.check(0, 0.1)


def test_connect_finds_a_listener_that_comes_later(
    socket_path: str, connect: Connect
) -> None:
    ends: list[Bus] = []
    thread = threading.Thread(
        target=lambda: ends.append(Bus.connect(socket_path, timeout=10))
    )
    thread.start()
    time.sleep(0.1)
    with Bus.listen(socket_path, 4096, timeout=10) as consumer:
        thread.join()
        with ends[0] as producer:
            producer.send(b"x")
            assert consumer.recv(timeout=1).data == b"x"


@pytest.mark.parametrize("call", SEND)
def test_full_ring_without_blocking_is_ring_full(pair: Pair, call: Call) -> None:
    assert fill(pair.producer) > 100
    for full in (
        lambda: pair.producer.send(b"x", block=False),
        lambda: pair.producer.send_zero_copy(1, block=False),
        lambda: pair.producer._bus.acquire_tx(1, block=False),
    ):
        with pytest.raises(RingFull) as caught:
            full()
        assert isinstance(caught.value, TachyonError)
    pair.consumer.recv()
    call(pair.producer, 1)


@pytest.mark.parametrize("call", SEND)
@pytest.mark.parametrize("timeout", [None, 10])
def test_send_waits_for_room(pair: Pair, call: Call, timeout: float | None) -> None:
    fill(pair.producer)
    done = threading.Event()

    def send() -> None:
        call(pair.producer, timeout)
        done.set()

    thread = threading.Thread(target=send)
    thread.start()
    assert not done.wait(0.05)
    pair.consumer.recv()
    assert done.wait(5)
    thread.join()


@pytest.mark.parametrize("call", RECEIVE)
@pytest.mark.parametrize("timeout", [None, 10, math.inf, 1e30])
def test_receive_waits_for_a_message(
    pair: Pair, call: Call, timeout: float | None
) -> None:
    thread = threading.Timer(0.02, pair.producer.send, [b"x"])
    thread.start()
    call(pair.consumer, timeout)
    thread.join()


@pytest.mark.parametrize("timeout", [-1, -0.001, math.nan])
@pytest.mark.parametrize("call", RECEIVE)
def test_negative_timeout_is_refused(pair: Pair, call: Call, timeout: float) -> None:
    with pytest.raises(ValueError, match="timeout must be None or at least 0"):
        call(pair.consumer, timeout)


def test_timeout_must_be_a_number(pair: Pair) -> None:
    with pytest.raises(TypeError):
        pair.consumer.recv(timeout="1")  # type: ignore[arg-type]


def test_idle_receiver_uses_no_cpu(pair: Pair) -> None:
    before = time.process_time()
    with pytest.raises(TimeoutError):
        pair.consumer.recv(timeout=0.5)
    assert time.process_time() - before < 0.05
