# SPDX-License-Identifier: Apache-2.0
"""A bus in select, poll and selectors."""

import select
import selectors
import threading
from typing import Any

import pytest

from tachyon import Bus, ClosedError, PeerDeadError, RingFull, TachyonError

from conftest import Connect, Pair, RpcPair, StartPeer, await_sleep
from floor import Watch

SELECTORS = [
    selectors.SelectSelector,
    selectors.PollSelector,
    selectors.EpollSelector,
]


def readable(bus: Any, timeout: float = 0) -> bool:
    """Tell whether select() finds a bus readable."""
    return bool(select.select([bus], [], [], timeout)[0])


@pytest.mark.parametrize("kind", SELECTORS)
def test_readable_while_there_is_a_message(
    pair: Pair, kind: type[selectors.BaseSelector]
) -> None:
    with kind() as selector:
        selector.register(pair.consumer, selectors.EVENT_READ)
        with pytest.raises(TimeoutError):
            pair.consumer.recv(timeout=0)
        assert selector.select(0) == []
        for _ in range(3):
            pair.producer.send(b"a")
            pair.producer.send(b"b")
            for data in (b"a", b"b"):
                [(key, events)] = selector.select(1)
                assert key.fileobj is pair.consumer
                assert events == selectors.EVENT_READ
                assert pair.consumer.recv(timeout=0).data == data
            with pytest.raises(TimeoutError):
                pair.consumer.recv(timeout=0)
            assert selector.select(0) == []


def test_descriptor_stays_the_same_and_ends_with_the_bus(pair: Pair) -> None:
    fd = pair.consumer.fileno()
    assert fd >= 0
    assert pair.consumer.fileno() == pair.consumer._bus.fileno() == fd
    selector = selectors.DefaultSelector()
    selector.register(pair.consumer, selectors.EVENT_READ)
    selector.unregister(pair.consumer)
    selector.register(pair.consumer, selectors.EVENT_READ)
    pair.consumer._bus.destroy()
    assert pair.consumer.fileno() == -1
    selector.unregister(pair.consumer)  # as with a closed socket
    assert Bus().fileno() == -1
    with pytest.raises(ValueError, match="negative"):
        select.select([pair.consumer], [], [])


def test_end_of_stream_and_death_are_readable(
    pair: Pair, start_peer: StartPeer, connect: Connect, tmp_path: Any
) -> None:
    assert readable(pair.consumer)  # may be, before the first look
    with pytest.raises(TimeoutError):
        pair.consumer.recv(timeout=0)
    assert not readable(pair.consumer)
    pair.producer._bus.destroy()
    assert readable(pair.consumer, 1)
    with pytest.raises(ClosedError):
        pair.consumer.recv(timeout=0)

    path = str(tmp_path / "other.sock")
    peer = start_peer(f"bus = Bus.connect({path!r}, timeout=60)\nsys.stdin.read()")
    with Bus.listen(path, 4096, timeout=60) as bus:
        bus.fileno()
        with pytest.raises(TimeoutError):
            bus.recv(timeout=0)
        assert not readable(bus)
        peer.kill()
        watch = Watch()
        assert readable(bus, 5)
        watch.check(0, 0.05)
        with pytest.raises(PeerDeadError):
            bus.recv(timeout=0)


def test_a_sending_end_is_readable_when_there_is_room(connect: Connect) -> None:
    pair = connect(4096)
    pair.producer.send(b"x")
    pair.producer.fileno()
    for _ in range(5):
        with pytest.raises(RingFull):
            while True:
                pair.producer.send(b"x", block=False)
        assert not readable(pair.producer)
        pair.consumer.recv(timeout=0)
        assert readable(pair.producer, 1)
        pair.producer.send(b"x", block=False)


def test_both_ends_of_an_rpc_bus_can_be_selected(rpc: RpcPair) -> None:
    for _ in range(5):
        first, second = rpc.caller.call(b"1", 1), rpc.caller.call(b"2", 1)
        with pytest.raises(TimeoutError):
            rpc.caller.fileno()
            rpc.caller.wait_any(timeout=0)
        assert not readable(rpc.caller)
        requests = []
        while readable(rpc.callee, 0.1):
            try:
                with rpc.callee.serve(timeout=0) as request:
                    requests.append(request.correlation_id)
            except TimeoutError:
                pass
        assert requests == [first, second]
        for request in reversed(requests):
            rpc.callee.reply(request, b"", 1)
        assert readable(rpc.caller, 1)
        with rpc.caller.wait_any(timeout=1) as reply:
            assert reply.correlation_id == second
        with rpc.caller.wait_any() as reply:
            assert reply.correlation_id == first
    with pytest.raises(ValueError, match="no call is outstanding"):
        rpc.caller.wait_any()
    with pytest.raises(TachyonError):
        rpc.callee.wait_any()


def test_a_watched_bus_keeps_its_descriptor_until_it_is_let_go(pair: Pair) -> None:
    fd = pair.consumer._bus.watch()
    with pytest.raises(TimeoutError):
        pair.consumer.recv(timeout=0)
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    assert poll.poll(0) == []
    pair.consumer._bus.destroy()
    assert poll.poll(0) == [(fd, select.POLLIN)]
    with pytest.raises(ClosedError):
        pair.consumer._bus.watch()
    pair.consumer._bus.unwatch()
    assert poll.poll(0) == [(fd, select.POLLNVAL)]
    with pytest.raises(TachyonError, match="nobody watches"):
        pair.consumer._bus.unwatch()


def test_a_thread_that_waits_keeps_the_descriptor_to_itself(pair: Pair) -> None:
    thread = threading.Thread(target=pair.consumer.recv)
    thread.start()
    await_sleep()
    with pytest.raises(TachyonError, match="another thread is waiting to receive"):
        pair.consumer.fileno()
    pair.producer.send(b"x")
    thread.join()
    assert pair.consumer.fileno() >= 0
