# SPDX-License-Identifier: Apache-2.0
"""The other process: its name, its close, its death."""

import os
import threading
from pathlib import Path

import pytest

from tachyon import Bus, ClosedError, PeerDeadError, TachyonError

from conftest import Connect, Pair, StartPeer
from floor import Watch

SEND_TEN = """
with Bus.connect(path, timeout=60) as bus:
    for i in range(10):
        bus.send(bytes([i]), type_id=i)
"""
SEND_TEN_AND_DIE = """
bus = Bus.connect(path, timeout=60)
for i in range(10):
    bus.send(bytes([i]), type_id=i)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_iteration_ends_with_the_stream(
    start_peer: StartPeer, socket_path: str
) -> None:
    peer = start_peer(SEND_TEN)
    with Bus.listen(socket_path, 4096, timeout=60) as bus:
        assert [message.type_id for message in bus] == list(range(10))
        assert list(bus) == []
        for receive in (bus.recv, bus.recv_zero_copy, bus.drain_batch):
            with pytest.raises(ClosedError):
                receive()
    assert peer.communicate(timeout=60) == ("", "")


def test_unflushed_commits_arrive_when_the_bus_is_closed(
    start_peer: StartPeer, socket_path: str
) -> None:
    start_peer(
        """
bus = Bus.connect(path, timeout=60)
for i in range(10):
    with bus._bus.acquire_tx(8) as tx:
        tx.actual_size = 8
        tx.type_id = i
del bus
"""
    )
    with Bus.listen(socket_path, 4096, timeout=60) as bus:
        assert [message.type_id for message in bus] == list(range(10))


def test_death_comes_after_all_that_was_sent(
    start_peer: StartPeer, socket_path: str
) -> None:
    start_peer(SEND_TEN_AND_DIE)
    with Bus.listen(socket_path, 4096, timeout=60) as bus:
        assert [bus.recv(timeout=5).type_id for _ in range(10)] == list(range(10))
        for receive in (bus.recv, bus.recv_zero_copy, bus.drain_batch, bus.__next__):
            with pytest.raises(PeerDeadError) as caught:
                receive()
            assert isinstance(caught.value, TachyonError)


@pytest.mark.parametrize("wait", ["recv", "recv_zero_copy", "drain_batch", "__next__"])
def test_death_ends_a_waiting_receive(
    start_peer: StartPeer, socket_path: str, wait: str
) -> None:
    peer = start_peer("bus = Bus.connect(path, timeout=60)\nsys.stdin.read()")
    with Bus.listen(socket_path, 4096, timeout=60) as bus:
        killer = threading.Timer(0.1, peer.kill)
        watch = Watch()
        killer.start()
        with pytest.raises(PeerDeadError):
            getattr(bus, wait)()
        watch.check(0.1, 0.5)
        killer.join()


@pytest.mark.parametrize(
    ("ending", "error"),
    [("os.kill(os.getpid(), 9)", PeerDeadError), ("bus._bus.destroy()", ClosedError)],
)
def test_end_of_the_consumer_ends_a_waiting_send(
    start_peer: StartPeer, socket_path: str, ending: str, error: type[TachyonError]
) -> None:
    start_peer(
        f"bus = Bus.connect(path, timeout=60)\nbus.recv()\ntime.sleep(0.2)\n{ending}"
    )
    with Bus.listen(socket_path, 4096, timeout=60) as bus, pytest.raises(error):
        while True:
            bus.send(bytes(100))


def test_peer_is_named(pair: Pair, start_peer: StartPeer, tmp_path: Path) -> None:
    assert pair.producer.peer == (os.getpid(), os.getuid(), os.getgid())
    path = str(tmp_path / "other.sock")
    peer = start_peer(f"bus = Bus.connect({path!r}, timeout=60)\nsys.stdin.read()")
    with Bus.listen(path, 4096, timeout=60) as bus:
        assert bus.peer.pid == peer.pid
        assert bus.peer._asdict() == {
            "pid": peer.pid,
            "uid": os.getuid(),
            "gid": os.getgid(),
        }


def test_stats_count_what_happened(pair: Pair) -> None:
    for _ in range(3):
        pair.producer.send(bytes(100))
    pair.consumer.recv()
    producer, consumer = pair.producer.stats(), pair.consumer.stats()
    assert (producer.capacity, producer.messages, producer.flushes) == (1 << 16, 3, 3)
    assert (consumer.capacity, consumer.messages) == (1 << 16, 1)
    assert producer.ring_bytes == 3 * consumer.ring_bytes > 300


def test_listener_that_leaves_frees_the_path_for_the_next(connect: Connect) -> None:
    for data in (b"first", b"second"):
        pair = connect()
        pair.producer.send(data)
        assert pair.consumer.recv(timeout=1).data == data


def test_two_producers_on_one_ring_are_refused(pair: Pair) -> None:
    pair.producer.send(b"x")
    with pytest.raises(TachyonError):
        pair.consumer.send(b"y")
    with pytest.raises(TachyonError):
        pair.producer.recv(timeout=0)
    assert pair.consumer.recv(timeout=1).data == b"x"
