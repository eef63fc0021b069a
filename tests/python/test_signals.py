# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C is not slept through; signals whose handlers do not raise end no wait."""

import signal
import time

import pytest

from tachyon import Bus

from conftest import Pair, StartPeer, alarm_when_asleep
from floor import Watch

PROLOGUE = """
def report():
    print("waiting", flush=True)

signal.signal(signal.SIGINT, signal.default_int_handler)
"""


def test_ctrl_c_is_not_lost_between_looking_and_sleeping(
    start_peer: StartPeer, socket_path: str
) -> None:
    peer = start_peer(
        PROLOGUE
        + """
bus = Bus.connect(path, timeout=60)
for _ in range(200):
    try:
        report()
        bus.recv_zero_copy(spin_threshold=100)
    except KeyboardInterrupt:
        pass
"""
    )
    assert peer.stdout is not None
    with Bus.listen(socket_path, 1 << 16, timeout=60):
        for i in range(200):
            assert peer.stdout.readline() == "waiting\n"
            time.sleep(i * 1e-6)  # sweep the signal over the way into the sleep
            peer.send_signal(signal.SIGINT)
        assert peer.wait(10) == 0


@pytest.mark.parametrize("spin", [0, 10000])
def test_handler_that_does_not_raise_does_not_end_the_wait(
    pair: Pair, spin: int
) -> None:
    calls = []

    def handler(*_: object) -> None:
        calls.append(time.monotonic())
        if len(calls) == 5:
            pair.producer.send(b"sent by the handler")

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
        with pair.consumer.recv_zero_copy(timeout=10, spin_threshold=spin) as rx:
            assert bytes(rx) == b"sent by the handler"
        so_far = len(calls)
        watch = Watch()
        with pytest.raises(TimeoutError):
            pair.consumer.recv_zero_copy(timeout=0.09, spin_threshold=spin)
        watch.check(0.09, 0.3)
        assert len(calls) > so_far
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_handler_that_raises_ends_the_wait(pair: Pair) -> None:
    def handler(*_: object) -> None:
        raise ZeroDivisionError

    before = signal.signal(signal.SIGALRM, handler)
    try:
        with pytest.raises(ZeroDivisionError):
            alarm_when_asleep()
            pair.consumer.recv()
    finally:
        signal.signal(signal.SIGALRM, before)
    pair.producer.send(b"still usable")
    assert pair.consumer.recv(timeout=1).data == b"still usable"


def test_listen_survives_signals(socket_path: str, start_peer: StartPeer) -> None:
    peer = start_peer(
        """
signal.signal(signal.SIGUSR1, lambda *_: None)
print("ready", flush=True)
with Bus.listen(path, 4096, timeout=60) as bus:
    print(bus.recv(timeout=60).data, flush=True)
"""
    )
    assert peer.stdout is not None
    assert peer.stdout.readline() == "ready\n"
    for _ in range(20):
        peer.send_signal(signal.SIGUSR1)
        time.sleep(0.002)
    with Bus.connect(socket_path, timeout=5) as bus:
        bus.send(b"x")
        assert peer.communicate(timeout=60) == ("b'x'\n", "")
