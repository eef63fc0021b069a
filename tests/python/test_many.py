# SPDX-License-Identifier: Apache-2.0
"""One listener, many peers: who comes and goes, and what they read."""

import contextlib
import ctypes
import gc
import json
import os
import pickle
import select
import signal
import subprocess
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tachyon
from tachyon import (
    Bus,
    ClosedError,
    Event,
    EventKind,
    LaggedError,
    Peer,
    PeerDeadError,
    Position,
    Role,
    SlowPeer,
    Start,
    TachyonError,
    WithoutPeers,
)

from floor import Watch

LEFT = EventKind.LEFT
US = Peer(os.getpid(), os.geteuid(), os.getegid())
StartPeer = Callable[..., "subprocess.Popen[str]"]


class Crowd:
    """A listener, and those that connect to it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.buses: list[Bus] = []

    def listen(self, role: Role, capacity: int = 1 << 16, **options: Any) -> Bus:
        """Let up to four peers connect, unless told otherwise."""
        options = {"max_peers": 4} | options
        bus = Bus.listen(self.path, capacity, role=role, **options)
        self.buses.append(bus)
        return bus

    def join(self, listener: Bus, **options: Any) -> Bus:
        """Connect, and fetch the event of it."""
        events: list[Event] = []
        thread = threading.Thread(target=lambda: events.append(listener.accept(5)))
        thread.start()
        try:
            bus = Bus.connect(self.path, timeout=5, **options)
        finally:
            thread.join()
        self.buses.append(bus)
        assert events[0].kind is EventKind.JOINED
        return bus


@pytest.fixture
def crowd(socket_path: str) -> Iterator[Crowd]:
    """Return what listens and connects; all is closed after the test."""
    crowd = Crowd(socket_path)
    yield crowd
    for bus in crowd.buses:
        bus.abort()


LOSSY = {
    "slow_peer": SlowPeer.DISCONNECT,
    "slow_after": 0.02,
    "without_peers": WithoutPeers.FREE_RUN,
}


def next_of_sender(feed: Bus) -> Event:
    """Return the next event while this end goes on sending, which lets peers go."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        feed.send(b"")
        try:
            return feed.accept(0.01)
        except TimeoutError:
            pass
    raise AssertionError("no event")


def overtake(feed: Bus) -> None:
    """Write once round the ring and more."""
    for _ in range(5):
        feed.send(bytes(30000))


# ---- Who is there ----


def test_a_collector_knows_whose_message_it_has(crowd: Crowd) -> None:
    collector = crowd.listen(Role.CONSUMER)
    one = crowd.join(collector, name="first")
    other = crowd.join(collector)
    assert collector.sender == 0
    other.send(b"b")
    assert collector.recv(5).data == b"b"
    assert collector.sender == 2
    one.send(b"a")
    assert collector.recv(5).data == b"a"
    assert collector.sender == 1
    assert one.sender == 0
    who = sorted(collector.peers())
    assert [(p.peer, p.name, p.who) for p in who] == [(1, "first", US), (2, "", US)]
    assert [p.messages for p in who] == [1, 1]
    assert repr(collector) == "<tachyon.Bus of 65536 bytes, 2 peers>"


def test_events_tell_who_comes_and_why_they_go(
    crowd: Crowd, start_peer: StartPeer
) -> None:
    collector = crowd.listen(Role.CONSUMER)
    code = (
        "bus = Bus.connect(path, timeout=9, name=sys.argv[0] or 'n'); bus.send(b'x');"
    )
    closes = start_peer(code + "bus.close()")
    joined = collector.accept(9)
    assert joined == (EventKind.JOINED, 1, None, joined.who, joined.name)
    assert joined.who.pid == closes.pid
    assert collector.recv(9).data == b"x"
    with pytest.raises(TimeoutError):
        collector.recv(0.05)
    assert collector.accept(9)[:3] == (EventKind.LEFT, 1, ClosedError)

    dies = start_peer(code + "os.kill(os.getpid(), 9)")
    assert collector.recv(9).data == b"x"
    assert collector.accept(9).who.pid == dies.pid
    with pytest.raises(TimeoutError):
        collector.recv(0.2)
    assert collector.accept(9)[:3] == (EventKind.LEFT, 2, PeerDeadError)

    aborts = crowd.join(collector)
    aborts.abort()
    with pytest.raises(TimeoutError):
        collector.recv(0.05)
    assert collector.accept(9)[:3] == (EventKind.LEFT, 3, tachyon.AbortedError)


def test_who_is_dropped_finds_the_end(crowd: Crowd) -> None:
    feed = crowd.listen(Role.PRODUCER)
    stays, goes = crowd.join(feed), crowd.join(feed)
    feed.send(b"a")
    assert goes.recv(5).data == b"a"
    assert feed.drop(2) is None
    with pytest.raises(ClosedError):
        goes.recv(5)
    feed.send(b"b")
    assert next_of_sender(feed)[:2] == (EventKind.LEFT, 2)
    assert [stays.recv(5).data for _ in "ab"] == [b"a", b"b"]
    for peer in (2, 77):
        with pytest.raises(ValueError, match=f"no peer {peer} is connected"):
            feed.drop(peer)
    with pytest.raises(ValueError, match="peer must be from 1 to"):
        feed.drop(0)
    with pytest.raises(TypeError, match="peer must be an integer"):
        feed.drop("feed-a")  # type: ignore[arg-type]


def test_many_events_are_counted(crowd: Crowd) -> None:
    collector = crowd.listen(Role.CONSUMER)
    with collector.accept_in_background():
        for _ in range(600):
            Bus.connect(crowd.path, timeout=5, role=Role.PRODUCER).close()
            with pytest.raises(TimeoutError):
                collector.recv(0)
        with pytest.raises(TimeoutError):
            collector.recv(0.2)
    events = drained(collector)
    missed = [e.peer for e in events if e.kind is EventKind.MISSED]
    assert missed
    assert len(events) - len(missed) + sum(missed) == 1200


def drained(bus: Bus) -> list[Event]:
    """Return all events that there are."""
    events: list[Event] = []
    while True:
        try:
            events.append(bus.accept(0.3))
        except TimeoutError:
            return events


# ---- Waiting for them ----


def test_accept_waits_as_long_as_it_is_told(crowd: Crowd) -> None:
    feed = crowd.listen(Role.PRODUCER)
    with pytest.raises(TimeoutError, match=r"no peer has come or gone \(timeout=0\)"):
        feed.accept(0)
    watch = Watch()
    with pytest.raises(TimeoutError, match=r"\(timeout=0\.05\)"):
        feed.accept(timeout=0.05)
    watch.check(0.05, 2)
    for bad in (-1, "1", float("nan")):
        with pytest.raises((ValueError, TypeError), match="timeout must be"):
            feed.accept(bad)  # type: ignore[arg-type]


def outcome_of(call: Callable[[], Any]) -> Callable[[], Any]:
    """Run a call in a thread; what is returned waits for what it returns or raises."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(call())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()

    def wait() -> Any:
        thread.join(10)
        return outcome[0]

    return wait


def until_another_waits(bus: Bus) -> TachyonError:
    """Return what a second thread in accept() gets."""
    while True:
        try:
            bus.accept(0.001)
        except TimeoutError:
            continue
        except TachyonError as error:
            return error


def test_one_thread_waits_beside_the_one_that_sends(crowd: Crowd) -> None:
    feed = crowd.listen(Role.PRODUCER, **LOSSY)
    waits = outcome_of(lambda: patient_accept(feed))
    error = until_another_waits(feed)
    assert error.code == tachyon._native.ERR_BUSY
    assert "another thread waits for peers" in str(error)
    feed.send(b"goes on")
    feed.close()
    assert isinstance(waits(), ClosedError)
    with pytest.raises(ClosedError):
        feed.accept()


def patient_accept(bus: Bus) -> Event:
    """Wait again where the other thread was before this one."""
    while True:
        try:
            return bus.accept()
        except TachyonError as error:
            if error.code != tachyon._native.ERR_BUSY:
                raise


def test_ctrl_c_ends_accept_once(crowd: Crowd) -> None:
    feed = crowd.listen(Role.PRODUCER)
    for background in (False, True):
        if background:
            feed.accept_in_background()
        pid, main = os.getpid(), threading.main_thread().ident
        timer = threading.Timer(0.1, lambda: os.kill(pid, signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            feed.accept(10)
        timer.join()
        assert main == threading.get_ident()
        with pytest.raises(TimeoutError):
            feed.accept(0.05)


def test_a_handler_that_returns_does_not_end_accept(crowd: Crowd) -> None:
    feed = crowd.listen(Role.PRODUCER)
    seen: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, _: seen.append(number))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(TimeoutError):
            feed.accept(0.2)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert seen == [signal.SIGALRM]


def test_a_producer_with_nothing_to_send_sees_who_has_gone(crowd: Crowd) -> None:
    feed = crowd.listen(Role.PRODUCER, max_peers=2)
    ready = select.poll()
    ready.register(feed, select.POLLIN)
    for number in range(1, 4):
        crowd.join(feed).close()
        left: list[Event] = []
        for _ in range(5):
            if ready.poll(50):
                feed.flush()
                with contextlib.suppress(TimeoutError):
                    while True:
                        left.append(feed.accept(0))
        assert not ready.poll(0)
        assert [(event.kind, event.peer) for event in left] == [(LEFT, number)]
    assert len(feed.peers()) == 0


# ---- In the background ----


def test_a_thread_lets_peers_in_while_nobody_waits(crowd: Crowd) -> None:
    feed = crowd.listen(Role.PRODUCER, **LOSSY)
    background = feed.accept_in_background()
    assert feed.accept_in_background() is background
    readers = [Bus.connect(crowd.path, timeout=5) for _ in range(3)]
    crowd.buses += readers
    feed.send(b"a")
    assert [r.recv(5).data for r in readers] == [b"a"] * 3
    assert [feed.accept(5).peer for _ in readers] == [1, 2, 3]
    threads = threading.active_count()
    feed.close()
    assert threading.active_count() == threads - 1
    assert list(feed.events()) == []


def test_events_end_with_the_bus(crowd: Crowd) -> None:
    feed = crowd.listen(Role.PRODUCER)
    seen: list[Event] = []
    end = outcome_of(lambda: seen.extend(feed.events()))
    Bus.connect(crowd.path, timeout=5).close()
    while len(seen) < 2:
        time.sleep(0.01)
        feed.send(b"", timeout=5)
    feed.close()
    assert end() is None
    assert [e.kind for e in seen] == [EventKind.JOINED, EventKind.LEFT]


def test_a_block_ends_the_thread_but_not_the_bus(crowd: Crowd) -> None:
    feed = crowd.listen(Role.PRODUCER)
    with feed.accept_in_background() as background:
        reader = Bus.connect(crowd.path, timeout=5)
        assert background.is_running()
    assert not background.is_running()
    assert feed.accept(0).kind is EventKind.JOINED  # it was kept
    with pytest.raises(TimeoutError):
        feed.accept(0.01)
    reader.close()
    assert next_of_sender(feed).kind is EventKind.LEFT
    assert feed.accept_in_background() is not background


def test_a_bus_that_is_dropped_ends_its_thread(socket_path: str) -> None:
    threads = threading.active_count()
    feed = Bus.listen(socket_path, 4096, role=Role.PRODUCER, max_peers=2)
    feed.accept_in_background()
    reader = Bus.connect(socket_path, timeout=5)
    del feed
    assert threading.active_count() == threads
    with pytest.raises(ClosedError):
        reader.recv(5)


def test_what_ends_the_thread_is_told(crowd: Crowd, monkeypatch: Any) -> None:
    feed = crowd.listen(Role.PRODUCER)

    def fails(_: object) -> Event:
        raise MemoryError("no more")

    monkeypatch.setattr("tachyon.peers.event_of", fails)
    feed.accept_in_background()
    Bus.connect(crowd.path, timeout=5).close()
    for _ in range(2):
        with pytest.raises(MemoryError, match="no more"):
            feed.accept(5)


def test_a_new_thread_has_what_the_former_one_has_found(
    crowd: Crowd, monkeypatch: Any
) -> None:
    monkeypatch.setattr("tachyon._native.TACHYON_MAX_EVENTS", 1)
    feed = crowd.listen(Role.PRODUCER, **LOSSY)
    with feed.accept_in_background() as former:
        readers = [Bus.connect(crowd.path, timeout=5) for _ in range(3)]
        crowd.buses += readers
        deadline = time.monotonic() + 5
        while former._missed < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
    feed.accept_in_background()
    kinds = [(event.kind, event.peer) for event in (feed.accept(5), feed.accept(5))]
    assert kinds == [(EventKind.JOINED, 1), (EventKind.MISSED, 2)]


def test_threads_agree_on_the_one_that_lets_peers_in(crowd: Crowd) -> None:
    feed = crowd.listen(Role.PRODUCER)
    answers = [outcome_of(feed.accept_in_background) for _ in range(8)]
    assert len({id(answer()) for answer in answers}) == 1


def test_a_bus_whose_thread_has_ended_is_freed_although_its_error_was_told(
    socket_path: str,
) -> None:
    def use() -> "weakref.ref[Bus]":
        feed = Bus.listen(socket_path, 4096, role=Role.PRODUCER, max_peers=2)
        for _ in range(3):
            with feed.accept_in_background():
                pass
        feed.accept_in_background()
        feed.close()
        with pytest.raises(ClosedError):
            feed.accept(5)
        return weakref.ref(feed)

    gc.collect()
    finalizers = len(weakref.finalize._registry)
    bus = use()
    gc.collect()
    assert bus() is None
    assert len(weakref.finalize._registry) == finalizers


def test_accept_waits_no_longer_than_told_when_the_thread_is_stopped(
    crowd: Crowd,
) -> None:
    feed = crowd.listen(Role.PRODUCER)
    background = feed.accept_in_background()
    timer = threading.Timer(0.3, background.stop)
    timer.start()
    watch = Watch()
    with pytest.raises(TimeoutError, match="come"):
        feed.accept(0.8)
    watch.check(0.8, 1.05)
    timer.join()


@pytest.mark.parametrize("ends", ["close", "abort", "leave"])
def test_every_end_waits_for_the_thread(crowd: Crowd, ends: str) -> None:
    feed = crowd.listen(Role.PRODUCER)
    background = feed.accept_in_background()
    with feed:
        if ends != "leave":
            getattr(feed, ends)()
    assert not background._thread.is_alive()


# ---- Where a reader begins ----


def test_a_reader_goes_on_from_its_position(crowd: Crowd) -> None:
    feed = crowd.listen(Role.PRODUCER)
    first = crowd.join(feed)
    for data in (b"a", b"b", b"c"):
        feed.send(data)
    first.recv(5)
    position = first.position()
    assert isinstance(position, Position)
    assert position.position % 64 == 0
    assert feed.position() == (position.position + 128, position.epoch)
    for start in (
        position,
        tuple(position),
        json.loads(json.dumps(position)),
        pickle.loads(pickle.dumps(position)),
    ):
        reader = crowd.join(feed, start=start)
        assert [reader.recv(5).data for _ in "bc"] == [b"b", b"c"]
        reader.close()
        assert next_of_sender(feed).kind is EventKind.LEFT
    oldest = crowd.join(feed, start=Start.OLDEST)
    now = crowd.join(feed, start=Start.NOW)
    feed.send(b"e")
    assert now.recv(5).data == b"e"
    assert oldest.recv(5).data in {b"a", b"b"}


@pytest.mark.parametrize("wrong", ["epoch", "overwritten", "other kind"])
def test_a_position_that_is_gone_is_an_error(crowd: Crowd, wrong: str) -> None:
    feed = crowd.listen(Role.PRODUCER, **LOSSY)
    position = feed.position()
    if wrong == "epoch":
        position = position._replace(epoch=position.epoch + 1)
    elif wrong == "overwritten":
        overtake(feed)
    else:
        feed.close()
        feed = crowd.listen(Role.PRODUCER, max_peers=1)
    with feed.accept_in_background(), pytest.raises(LaggedError, match=crowd.path):
        Bus.connect(crowd.path, timeout=5, start=position)


def test_a_kept_place_is_for_the_next_of_that_name(
    crowd: Crowd, start_peer: StartPeer
) -> None:
    feed = crowd.listen(Role.PRODUCER, keep_place=30)
    waits = outcome_of(lambda: feed.accept(9))
    dies = start_peer(
        "bus = Bus.connect(path, timeout=9, name='feed-a', role=Role.CONSUMER)\n"
        "bus.recv(9); os.kill(os.getpid(), 9)"
    )
    assert waits().name == "feed-a"
    for data in (b"a", b"b", b"c"):
        feed.send(data)
    dies.wait(9)
    assert feed.accept(9).reason is PeerDeadError
    assert crowd.join(feed, name="feed-a").recv(5).data == b"b"


def test_no_two_of_one_name_live(crowd: Crowd) -> None:
    feed = crowd.listen(Role.PRODUCER)
    crowd.join(feed, name="é" * 15)
    with feed.accept_in_background(), pytest.raises(TachyonError, match="name"):
        Bus.connect(crowd.path, timeout=1, name="é" * 15)


# ---- A slow reader ----

TICK = np.dtype([("a", "u4"), ("b", "u4")])


@pytest.mark.parametrize(
    "receive",
    [
        lambda bus: bus.recv(1),
        lambda bus: next(bus),
        lambda bus: bus.recv_zero_copy(1),
        lambda bus: bus.drain_batch(timeout=1),
        lambda bus: bus.recv_batch_into(bytearray(8), 1),
        lambda bus: bus.channel(TICK, 1).recv(1),
        lambda bus: bus.channel(TICK, 1).recv_batch_into(np.empty(1, TICK), 1),
    ],
)
def test_who_is_too_slow_is_told(crowd: Crowd, receive: Callable[[Bus], Any]) -> None:
    feed = crowd.listen(Role.PRODUCER, **LOSSY)
    reader = crowd.join(feed)
    feed.send(bytes(8), 1)
    overtake(feed)
    for _ in range(2):
        with pytest.raises(LaggedError) as told, receive(reader):
            pass
        assert told.value.code == tachyon._native.ERR_LAGGED
    assert feed.accept(5)[:3] == (EventKind.LEFT, 1, LaggedError)


@pytest.mark.parametrize(
    "receive", [lambda b: b.recv_zero_copy(1), lambda b: b.drain_batch(timeout=1)]
)
def test_what_was_read_in_place_is_told_to_be_stale(
    crowd: Crowd, receive: Callable[[Bus], Any]
) -> None:
    feed = crowd.listen(Role.PRODUCER, **LOSSY)
    reader = crowd.join(feed)
    feed.send(b"old")
    with pytest.raises(LaggedError), receive(reader):
        overtake(feed)


def test_the_others_never_notice(crowd: Crowd) -> None:
    feed = crowd.listen(Role.PRODUCER, **LOSSY)
    crowd.join(feed)
    fast = crowd.join(feed)
    for i in range(100):
        feed.send(i.to_bytes(4, "big") * 2000)
        assert fast.recv(5).data[:4] == i.to_bytes(4, "big")
    assert [p.peer for p in feed.peers()] == [2]


# ---- Nobody writes to what others read ----


def views_of(reader: Bus) -> Iterator[tuple[str, Any]]:
    """Take one message after the other in each of the ways to see it in place."""
    with reader.recv_zero_copy(5) as message:
        yield "buf", message.buf
        yield "memoryview", memoryview(message)
        yield "numpy", np.frombuffer(message, "u1")
    with reader.drain_batch(1, timeout=5) as batch:
        yield "batch", memoryview(batch)
        yield "asarray", np.asarray(batch)
        yield "array", batch.array("u8")
        yield "item", memoryview(batch[0])
    with reader.drain_batch(1, timeout=5) as batch:
        yield "dlpack", np.from_dlpack(batch[0])
    with reader.channel(TICK).drain_batch(1, timeout=5) as batch:
        yield "channel", batch.array
        yield "field", batch["a"]


def test_views_of_a_broadcast_cannot_be_written_to(crowd: Crowd) -> None:
    feed = crowd.listen(Role.PRODUCER)
    reader = crowd.join(feed)
    for _ in range(4):
        feed.send(bytes(8))
    seen = []
    for name, view in views_of(reader):
        seen.append(name)
        if isinstance(view, memoryview):
            assert view.readonly
            with pytest.raises(TypeError, match=r"read-only|cannot modify"):
                view[(0,) * view.ndim] = 1
            with pytest.raises((TypeError, BufferError), match="writable"):
                (ctypes.c_char * 1).from_buffer(view)
            view.release()
        else:
            assert not view.flags.writeable
            with pytest.raises(ValueError, match="WRITEABLE"):
                view.flags.writeable = True
            with pytest.raises(ValueError, match="read-only"):
                view[0] = 1
        del view
    assert len(seen) == 10


def test_dlpack_says_that_a_broadcast_is_read_only(crowd: Crowd) -> None:
    feed = crowd.listen(Role.PRODUCER)
    reader = crowd.join(feed)
    feed.send(bytes(8))
    with reader.drain_batch(timeout=5) as batch:
        capsule = batch[0].__dlpack__(max_version=(1, 0))
        assert "dltensor_versioned" in repr(capsule)
        pointer = ctypes.pythonapi.PyCapsule_GetPointer
        pointer.restype = ctypes.c_void_p
        pointer.argtypes = (ctypes.py_object, ctypes.c_char_p)
        address = pointer(capsule, b"dltensor_versioned")
        flags = ctypes.c_uint64.from_address(address + 8 + 16).value
        assert flags & 1  # DLPACK_FLAG_BITMASK_READ_ONLY
        with pytest.raises(BufferError):
            batch[0].__dlpack__()
        del capsule


# ---- What cannot be ----


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"max_peers": 0}, ValueError, "max_peers must be from 1 to 1024, not 0"),
        ({"max_peers": -1}, ValueError, "max_peers must be from 1 to 1024, not -1"),
        ({"max_peers": 1025}, ValueError, "max_peers must be from 1 to 1024, not 1025"),
        ({"max_peers": 2.0}, TypeError, "max_peers must be an integer"),
        ({"role": Role.NONE}, ValueError, "max_peers is 4 and options.role 0"),
        ({"slow_peer": 2}, ValueError, "slow_peer must be from 0 to 1, not 2"),
        ({"without_peers": 2}, ValueError, "without_peers must be from 0 to 1"),
        ({"slow_after": -1}, ValueError, "slow_after must be at least 0 seconds"),
        ({"slow_after": None}, TypeError, "slow_after must be a number, not None"),
        ({"slow_after": 1}, ValueError, "slow_after_ns is 1000000000; it goes with"),
        ({"slow_peer": SlowPeer.DISCONNECT}, ValueError, "slow_after_ns is 0"),
        ({"keep_place": float("nan")}, ValueError, "keep_place must be at least 0"),
        ({"max_peers": 1, "keep_place": 1}, ValueError, "keep_place"),
        ({"role": Role.CONSUMER, "keep_place": 1}, ValueError, "keep_place"),
        ({"max_peers": None, "keep_place": 1}, ValueError, "keep_place"),
    ],
)
def test_listen_refuses_what_cannot_be(
    socket_path: str, options: dict[str, Any], error: type[Exception], text: str
) -> None:
    options = {"role": Role.PRODUCER, "max_peers": 4} | options
    with pytest.raises(error, match=text):
        Bus.listen(socket_path, 4096, timeout=0, **options)
    assert not os.path.exists(socket_path)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"name": "a" * 32}, ValueError, "name must be at most 31 bytes"),
        ({"name": "é" * 16}, ValueError, "name must be at most 31 bytes"),
        ({"name": "a\0b"}, ValueError, r"without a NUL, not 'a\\x00b'"),
        ({"name": b"a"}, TypeError, "name must be a str or None, not b'a'"),
        ({"name": "\ud800"}, ValueError, "surrogates"),
        ({"start": 2}, ValueError, "start must be from 0 to 1, not 2"),
        ({"start": "now"}, TypeError, "start must be an integer, not 'now'"),
        ({"start": (1, 2, 3)}, ValueError, "a Position, two integers"),
        ({"start": ("a", 1)}, TypeError, "position of start must be an integer"),
        ({"start": (64, -1)}, ValueError, "epoch of start must be from 0"),
        ({"start": (63, 1)}, ValueError, "start_position is 63, no multiple of 64"),
        ({"start": Start.OLDEST, "role": Role.PRODUCER}, ValueError, "start"),
    ],
)
def test_connect_refuses_what_cannot_be(
    socket_path: str, options: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        Bus.connect(socket_path, **options)


def test_a_bus_with_a_single_peer_has_no_events(connect: Callable[..., Any]) -> None:
    pair = connect()
    for call in (
        pair.consumer.accept,
        pair.consumer.peers,
        pair.consumer.accept_in_background,
        lambda: next(pair.consumer.events()),
        lambda: pair.consumer.drop(1),
    ):
        with pytest.raises(ValueError, match="single peer"):
            call()
    with pytest.raises(ValueError, match="one producer and many consumers"):
        pair.consumer.position()
    assert pair.consumer.sender == 0
    pair.consumer.close()
    for call in (pair.consumer.accept, pair.consumer.peers, pair.consumer.position):
        with pytest.raises(ClosedError):
            call()


def test_one_more_than_there_may_be_is_refused(crowd: Crowd) -> None:
    feed = crowd.listen(Role.PRODUCER, max_peers=1)
    crowd.join(feed)
    with feed.accept_in_background(), pytest.raises(TachyonError, match="no place"):
        Bus.connect(crowd.path, timeout=1)


def test_options_are_shown_as_they_are_written() -> None:
    assert repr(SlowPeer.DISCONNECT) == "SlowPeer.DISCONNECT"
    assert repr(WithoutPeers.FREE_RUN) == "WithoutPeers.FREE_RUN"
    assert repr(Start.OLDEST) == "Start.OLDEST"
    assert repr(EventKind.LEFT) == "EventKind.LEFT"
