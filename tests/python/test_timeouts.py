# SPDX-License-Identifier: Apache-2.0
"""Every waiting call comes back when its time is up, and not before."""

import asyncio
import math
import re
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tachyon import Bus, RingFull, RpcBus, RpcDispatcher, TachyonError, tachyon_rpc

import every
from conftest import Connect, Pair, RpcPair
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
        target=lambda: ends.append(Bus.connect(socket_path, timeout=60))
    )
    thread.start()
    time.sleep(0.1)
    with Bus.listen(socket_path, 4096, timeout=60) as consumer:
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


# ---- What their texts say ----

NO_MESSAGE = "no message to receive, the ring is empty"
EMPTY: dict[str, Call] = {
    "recv": lambda bus, t: bus.recv(t),
    "recv_zero_copy": lambda bus, t: bus.recv_zero_copy(t),
    "drain_batch": lambda bus, t: bus.drain_batch(timeout=t),
    "recv_batch_into": lambda bus, t: bus.recv_batch_into(bytearray(4), t),
    "recv_async": lambda bus, t: asyncio.run(bus.recv_async(t)),
    "Channel.recv": lambda bus, t: bus.channel("I").recv(t),
    "Channel.drain_batch": lambda bus, t: bus.channel("I").drain_batch(timeout=t),
    "MessageChannel.recv": lambda bus, t: bus.channel(every.Tick).recv(t),
    "acquire_rx": lambda bus, t: bus._bus.acquire_rx(timeout=t),
}
FULL: dict[str, Call] = {
    "send": lambda bus, t: bus.send(bytes(500), 0, t),
    "send_zero_copy": lambda bus, t: bus.send_zero_copy(500, 0, t),
    "send_batch": lambda bus, t: bus.send_batch(bytearray(500), 0, t),
    "send_async": lambda bus, t: asyncio.run(bus.send_async(bytes(500), 0, t)),
    "Channel": lambda bus, t: bus.channel("500s")(b"", timeout=t),
    "MessageChannel": lambda bus, t: bus.channel(every.Cancel)(timeout=t),
    "MessageChannel.send": lambda bus, t: bus.channel(every.Cancel).send(t),
    "acquire_tx": lambda bus, t: bus._bus.acquire_tx(500, t),
}


@pytest.mark.parametrize("seconds", [0, 0.0125])
def test_time_out_says_what_it_waited_for(pair: Pair, seconds: float) -> None:
    fill(pair.producer)
    full = {name: (pair.producer, call) for name, call in FULL.items()}
    for name, (bus, call) in full.items():
        with pytest.raises(TimeoutError) as caught:
            call(bus, seconds)
        text = f"no room to send, the ring is full (timeout={seconds})"
        assert str(caught.value) == text, name
    with pytest.raises(RingFull, match=r"^no room to send, the ring is full$"):
        pair.producer.send(bytes(500), block=False)
    with pair.consumer.drain_batch(10_000):
        pass
    for name, call in EMPTY.items():
        with pytest.raises(TimeoutError) as caught:
            call(pair.consumer, seconds)
        assert str(caught.value) == f"{NO_MESSAGE} (timeout={seconds})", name


@pytest.mark.parametrize("seconds", [0, 0.0125])
def test_time_out_of_a_call_says_of_which(rpc: RpcPair, seconds: float) -> None:
    caller, callee = rpc
    endpoint = tachyon_rpc(5)(bytes)
    call = caller.call(b"", 1)
    later = str(call + 1)
    with callee.serve(timeout=1):
        pass
    texts: list[tuple[Callable[[], Any], str]] = [
        (lambda: caller.wait(call, timeout=seconds), "no reply to call 1 yet"),
        (lambda: caller.wait_any(timeout=seconds), "no reply to any call yet"),
        (
            lambda: asyncio.run(caller.wait_async(call, timeout=seconds)),
            "no reply to call 1 yet",
        ),
        (
            lambda: asyncio.run(caller.call_async(b"", 1, timeout=seconds)),
            f"no reply to call {later} yet",
        ),
        (
            lambda: endpoint.call(caller, b"", timeout=seconds),
            f"no reply to call {int(later) + 1} yet",
        ),
    ]
    for make, text in texts:
        with pytest.raises(TimeoutError, match=rf"^{text} \(timeout={seconds}\)$"):
            make()
    with pytest.raises(TimeoutError):
        while True:
            with callee.serve(timeout=0):
                pass
    for make in (
        lambda: callee.serve(timeout=seconds),
        lambda: asyncio.run(callee.serve_async(timeout=seconds)),
        lambda: RpcDispatcher().serve_once(callee, timeout=seconds),
    ):
        with pytest.raises(
            TimeoutError, match=rf"^no request to serve yet \(timeout={seconds}\)$"
        ):
            make()


@pytest.mark.parametrize("seconds", [0, 0.0125])
def test_time_out_of_a_call_that_finds_no_room(rpc: RpcPair, seconds: float) -> None:
    caller, callee = rpc
    with pytest.raises(TimeoutError):
        while True:
            caller.call(bytes(400), 1, timeout=0)
    for make in (
        lambda: caller.call(bytes(400), 1, timeout=seconds),
        lambda: caller.call_zero_copy(400, 1, timeout=seconds),
        lambda: asyncio.run(caller.call_async(bytes(400), 1, timeout=seconds)),
    ):
        with pytest.raises(
            TimeoutError,
            match=rf"^no room to call, the ring is full \(timeout={seconds}\)$",
        ):
            make()
    with pytest.raises(TimeoutError, match=r"^no room to reply, the ring is full"):
        while True:
            with callee.serve(timeout=0) as request:
                last = request.correlation_id
            callee.reply(last, bytes(500), 1, timeout=0)
    for make in (
        lambda: callee.reply(last, bytes(500), 1, timeout=seconds),
        lambda: callee.reply_zero_copy(last, 500, 1, timeout=seconds),
        lambda: asyncio.run(callee.reply_async(last, bytes(500), 1, timeout=seconds)),
    ):
        with pytest.raises(
            TimeoutError,
            match=rf"^no room to reply, the ring is full \(timeout={seconds}\)$",
        ):
            make()


@pytest.mark.parametrize("seconds", [0, 0.0125])
def test_time_out_of_opening_names_the_path(socket_path: str, seconds: float) -> None:
    for make in (
        lambda: Bus.listen(socket_path, 4096, timeout=seconds),
        lambda: RpcBus.rpc_listen(socket_path, 4096, 4096, timeout=seconds),
        lambda: asyncio.run(Bus.listen_async(socket_path, 4096, timeout=seconds)),
    ):
        with pytest.raises(TimeoutError) as caught:
            make()
        text = f"no peer connected to {re.escape(socket_path)} .*"
        assert re.fullmatch(rf"{text}\(timeout={seconds}\)", str(caught.value))
    if seconds:
        with pytest.raises(
            TimeoutError, match=rf"{re.escape(socket_path)} .*\(timeout=0.0125\)$"
        ):
            Bus.connect(socket_path, timeout=seconds)
