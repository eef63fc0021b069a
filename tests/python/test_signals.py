# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C ends every waiting call within 50 ms; other signals do not end it at all."""

import signal
import subprocess
import time

import pytest

from tachyon import Bus

from conftest import Pair, StartPeer

PROMPT_S = 0.05
SLACK_S = 0.1  # of the test's own: a process of a loaded machine has to be scheduled

WAIT = {
    "listen": "Bus.listen(path, 4096)",
    "connect": "Bus.connect(path, timeout=None)",
    "recv": "bus.recv()",
    "recv_spinning": "bus.set_polling_mode(True); report(); bus.recv()",
    "recv_zero_copy": "bus.recv_zero_copy()",
    "recv_zero_copy_long_spin": "bus.recv_zero_copy(spin_threshold=4294967295)",
    "iterate": "next(bus)",
    "drain_batch": "bus.drain_batch()",
    "drain_batch_long_spin": "bus.drain_batch(spin_threshold=4294967295)",
    "recv_with_timeout": "bus.recv(timeout=60)",
    "send": "fill(); bus.send(bytes(100))",
    "send_zero_copy": "fill(); bus.send_zero_copy(100)",
}

PROLOGUE = """
def report():
    print("waiting", flush=True)

def fill():
    try:
        while True:
            bus.send(bytes(100), block=False)
    except RingFull:
        pass

signal.signal(signal.SIGINT, signal.default_int_handler)
"""

MEASURE = """
try:
    report()
    WAIT
except KeyboardInterrupt:
    print(f"{time.monotonic_ns()}", flush=True)
"""


def seconds_to_interrupt(peer: "subprocess.Popen[str]") -> float:
    """Interrupt a process that runs MEASURE; return how long its wait went on."""
    assert peer.stdout is not None
    assert peer.stdout.readline() == "waiting\n"
    time.sleep(0.2)
    sent = time.monotonic_ns()
    peer.send_signal(signal.SIGINT)
    output, error = peer.communicate(timeout=10)
    assert error == ""
    return (int(output.split()[-1]) - sent) / 1e9


@pytest.mark.parametrize("call", WAIT)
def test_ctrl_c_ends_the_wait_at_once(
    start_peer: StartPeer, socket_path: str, call: str
) -> None:
    needs_bus = call not in {"listen", "connect"}
    peer = start_peer(
        PROLOGUE
        + ("bus = Bus.connect(path, timeout=10)\n" if needs_bus else "")
        + MEASURE.replace("WAIT", WAIT[call])
    )
    if needs_bus:
        bus = Bus.listen(socket_path, 1 << 16, timeout=10)
    assert seconds_to_interrupt(peer) < PROMPT_S + SLACK_S
    if needs_bus:
        bus._bus.destroy()


def test_ctrl_c_is_not_lost_between_looking_and_sleeping(
    start_peer: StartPeer, socket_path: str
) -> None:
    peer = start_peer(
        PROLOGUE
        + """
bus = Bus.connect(path, timeout=10)
for _ in range(200):
    try:
        report()
        bus.recv_zero_copy(spin_threshold=100)
    except KeyboardInterrupt:
        pass
"""
    )
    assert peer.stdout is not None
    with Bus.listen(socket_path, 1 << 16, timeout=10):
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
        start = time.monotonic()
        with pytest.raises(TimeoutError):
            pair.consumer.recv_zero_copy(timeout=0.09, spin_threshold=spin)
        assert 0.09 <= time.monotonic() - start < 0.3
        assert len(calls) > so_far
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_handler_that_raises_ends_the_wait(pair: Pair) -> None:
    def handler(*_: object) -> None:
        raise ZeroDivisionError

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(ZeroDivisionError):
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
with Bus.listen(path, 4096, timeout=10) as bus:
    print(bus.recv(timeout=10).data, flush=True)
"""
    )
    assert peer.stdout is not None
    assert peer.stdout.readline() == "ready\n"
    for _ in range(20):
        peer.send_signal(signal.SIGUSR1)
        time.sleep(0.002)
    with Bus.connect(socket_path, timeout=5) as bus:
        bus.send(b"x")
        assert peer.communicate(timeout=10) == ("b'x'\n", "")
