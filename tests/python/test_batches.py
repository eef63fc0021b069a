# SPDX-License-Identifier: Apache-2.0
"""Arrays: sent, received into, and looked at in the ring; and what is no array."""

import array
import gc
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from tachyon import (
    Bus,
    ClosedError,
    Message,
    PeerDeadError,
    RingFull,
    TachyonError,
    UnexpectedMessage,
)

from conftest import (
    Connect,
    Pair,
    StartPeer,
    alarm_when_asleep,
    await_sleep,
    when_asleep,
)
from floor import Watch

TICK = np.dtype(
    [("symbol", "S8"), ("price", "<f8"), ("quantity", "<u4"), ("time", "<u8")]
)


def ticks(count: int, first: int = 0) -> Any:
    """Make an array of ticks numbered from `first`."""
    made = np.zeros(count, TICK)
    made["symbol"] = b"AAPL"
    made["price"] = np.arange(first, first + count) / 4
    made["quantity"] = np.arange(first, first + count)
    return made


def received(bus: Bus) -> list[bytes]:
    """Take all messages that are there."""
    messages = []
    while True:
        try:
            messages.append(bus.recv(timeout=0).data)
        except TimeoutError:
            return messages


def fill(bus: Bus, size: int) -> int:
    """Send messages of `size` bytes until the ring is full; return how many."""
    for sent in range(1 << 30):
        try:
            bus.send(bytes(size), block=False)
        except RingFull:
            return sent
    raise AssertionError


# ---- Sending ----


@pytest.mark.parametrize(
    ("buffer", "messages"),
    [
        (b"abc", [b"a", b"b", b"c"]),
        (bytearray(b"ab"), [b"a", b"b"]),
        (array.array("H", [1, 515]), [b"\1\0", b"\3\2"]),
        (memoryview(b"abcdef").cast("B", [2, 3]), [b"abc", b"def"]),
        (memoryview(b"abcdef")[2:4], [b"c", b"d"]),
        (np.arange(3, dtype="<u2"), [b"\0\0", b"\1\0", b"\2\0"]),
        (np.arange(8, dtype="u1").reshape(2, 2, 2), [b"\0\1\2\3", b"\4\5\6\7"]),
        (np.array(["ab", "c"]), [b"a\0\0\0b\0\0\0", b"c\0\0\0\0\0\0\0"]),
        (np.array([1, 2], "<M8[s]"), [b"\1" + bytes(7), b"\2" + bytes(7)]),
        (np.array([(1, 2)], [("Open", "u1"), ("t", "<M8[s]")]), [b"\1\2" + bytes(7)]),
        (np.zeros(2, [("Open:", "u1")]), [b"\0", b"\0"]),
        (np.arange(4, dtype="u1")[::-2][:1], [b"\3"]),
        (b"", []),
        (np.zeros((0, 5)), []),
    ],
    ids=repr,
)
def test_each_item_is_a_message(pair: Pair, buffer: Any, messages: list[bytes]) -> None:
    assert pair.producer.send_batch(buffer, 7) == len(messages)
    assert [pair.consumer.recv(timeout=0) for _ in messages] == [
        Message(7, len(data), data) for data in messages
    ]
    assert received(pair.consumer) == []


def test_batch_is_visible_when_the_call_returns(pair: Pair) -> None:
    pair.producer.send_batch(b"a", type_id=0xFFFFFFFF)
    assert pair.consumer.recv(timeout=0).type_id == 0xFFFFFFFF


def test_read_only_array_is_sent(pair: Pair) -> None:
    items = np.frombuffer(b"abcd", "<u2")
    assert not items.flags.writeable
    assert pair.producer.send_batch(items) == 2


@pytest.mark.parametrize(
    ("buffer", "error", "text"),
    [
        (np.arange(8)[::2], ValueError, r"not with strides \(16,\)"),
        (np.zeros((4, 4))[:, :2], ValueError, r"strides \(32, 8\)"),
        (np.asfortranarray(np.zeros((2, 3))), ValueError, r"strides \(8, 16\)"),
        (memoryview(b"abcd")[::-1], ValueError, r"strides \(-1,\)"),
        (np.zeros(3, "V0"), ValueError, "0 bytes"),
        (np.zeros(3, np.dtype([])), ValueError, "0 bytes"),
        (np.zeros((3, 0)), ValueError, "0 bytes"),
        (np.array([None, 1]), TypeError, "format 'O' hold Python objects"),
        (np.zeros(2, [("n", "i4"), ("what", "O")]), TypeError, "what.*Python objects"),
        (np.zeros(2, [("O", "O"), ("t", "M8[s]")]), TypeError, "Python objects"),
        (np.float64(1), ValueError, "without dimensions"),
        (np.array(1), ValueError, "without dimensions"),
        (np.zeros((2, 65409), "u1"), ValueError, "65409 bytes.*65408 at most"),
        ([1, 2], TypeError, "bytes-like object is required, not 'list'"),
        ("ab", TypeError, "bytes-like object is required, not 'str'"),
        (None, TypeError, "bytes-like object is required, not 'NoneType'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_items_are_refused(
    pair: Pair, buffer: Any, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        pair.producer.send_batch(buffer)
    pair.producer.send(b"still usable")
    assert received(pair.consumer) == [b"still usable"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"type_id": -1}, ValueError),
        ({"type_id": 1 << 32}, ValueError),
        ({"type_id": "1"}, TypeError),
        ({"timeout": -1}, ValueError),
        ({"timeout": "1"}, TypeError),
        ({"typeid": 1}, TypeError),
    ],
    ids=str,
)
def test_bad_argument_is_refused(
    pair: Pair, arguments: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        pair.producer.send_batch(b"ab", **arguments)
    assert received(pair.consumer) == []


def test_buffer_is_given_back(pair: Pair) -> None:
    good, bad = bytearray(b"ab"), bytearray(200_000)
    pair.producer.send_batch(good)
    with pytest.raises(ValueError, match="can never fit"):
        pair.producer.send_batch(memoryview(bad).cast("B", [2, 100_000]))
    good += b"c"  # a BufferError, were it still exported
    bad += b"c"


# ---- A full ring ----


@pytest.mark.parametrize("count", [1500, 1 << 17], ids=["small", "large"])
@pytest.mark.parametrize(
    "patience", [{"block": False}, {"timeout": 0}, {"timeout": 0.05}], ids=str
)
def test_what_fits_is_sent_and_counted(
    pair: Pair, count: int, patience: dict[str, Any]
) -> None:
    items = ticks(count)
    sent = pair.producer.send_batch(items, **patience)
    assert 1000 < sent < count
    assert b"".join(received(pair.consumer)) == items[:sent].tobytes()


@pytest.mark.parametrize("count", [100, 1 << 16], ids=["small", "large"])
@pytest.mark.parametrize(
    ("patience", "error"),
    [
        ({"block": False}, RingFull),
        ({"timeout": 0}, TimeoutError),
        ({"timeout": 0.05}, TimeoutError),
    ],
    ids=str,
)
def test_nothing_sent_is_an_error(
    pair: Pair, count: int, patience: dict[str, Any], error: type[Exception]
) -> None:
    before = fill(pair.producer, 28)
    with pytest.raises(error) as caught:
        pair.producer.send_batch(ticks(count), **patience)
    assert caught.value.sent == 0  # type: ignore[attr-defined]
    assert len(received(pair.consumer)) == before


def test_timeout_is_for_the_whole_batch(pair: Pair) -> None:
    stop = threading.Event()

    def trickle() -> None:
        while not stop.wait(0.005):
            pair.consumer.recv()

    thread = threading.Thread(target=trickle)
    thread.start()
    watch = Watch()
    sent = pair.producer.send_batch(ticks(1 << 17), timeout=0.3)
    watch.check(0.3, 1)
    stop.set()
    thread.join()
    assert 1000 < sent < 1 << 17


def test_wait_leaves_the_interpreter_to_others(pair: Pair) -> None:
    items = ticks(50_000)
    taken: list[bytes] = []

    def consume() -> None:
        time.sleep(0.1)  # runs while the producer is inside its only call
        while len(taken) < len(items):
            taken.append(pair.consumer.recv(timeout=60).data)

    thread = threading.Thread(target=consume)
    thread.start()
    assert pair.producer.send_batch(items) == len(items)
    thread.join()
    assert b"".join(taken) == items.tobytes()


def test_another_thread_may_not_send_meanwhile(pair: Pair) -> None:
    items = ticks(5000)
    thread = threading.Thread(target=pair.producer.send_batch, args=(items,))
    thread.start()
    await_sleep()
    with pytest.raises(TachyonError, match="another thread is waiting to send"):
        pair.producer.send_batch(items)
    with pytest.raises(TachyonError, match="another thread is waiting to send"):
        pair.producer.send(b"x")
    while thread.is_alive():
        received(pair.consumer)
    thread.join()


# ---- Interrupted in the middle ----

INTERRUPTED = """
import numpy as np
signal.signal(signal.SIGINT, signal.default_int_handler)
with Bus.connect(path, timeout=60) as bus:
    items = np.arange(ITEMS, dtype="<u4")  # may take long
    try:
        print("sending", flush=True)
        bus.send_batch(items)
    except KeyboardInterrupt as error:
        print(error.sent, flush=True)
"""


@pytest.mark.parametrize("items", [2000, 1 << 22], ids=["small", "large"])
def test_ctrl_c_keeps_the_count(
    start_peer: StartPeer, socket_path: str, items: int
) -> None:
    peer = start_peer(INTERRUPTED.replace("ITEMS", str(items)))
    assert peer.stdout is not None
    with Bus.listen(socket_path, 1 << 16, timeout=60) as bus:
        assert peer.stdout.readline() == "sending\n"
        into = np.zeros(500, "<u4")
        taken = int(bus.recv_batch_into(into, timeout=60))
        await_sleep(peer.pid)  # it waits for room again
        peer.send_signal(signal.SIGINT)
        output, errors = peer.communicate(timeout=60)
        assert errors == ""
        rest = b"".join(message.data for message in bus)
    numbers = np.concatenate([into[:taken], np.frombuffer(rest, "<u4")])
    assert int(output) == len(numbers) > 1000
    assert (numbers == np.arange(len(numbers))).all()


def test_ctrl_c_is_not_put_off_until_a_large_batch_is_sent(
    start_peer: StartPeer, socket_path: str
) -> None:
    peer = start_peer(INTERRUPTED.replace("ITEMS", "1 << 26"))
    assert peer.stdout is not None
    with Bus.listen(socket_path, 1 << 20, timeout=60) as bus:
        assert peer.stdout.readline() == "sending\n"
        into = np.zeros(1 << 16, "<u4")
        taken = 0
        while taken < 1 << 20:  # the ring is never full for long
            taken += bus.recv_batch_into(into, timeout=60)
        peer.send_signal(signal.SIGINT)
        try:
            while True:
                taken += bus.recv_batch_into(into, timeout=60)
        except ClosedError:
            pass
        output, errors = peer.communicate(timeout=60)
    assert errors == ""
    assert int(output) == taken < 1 << 26


def test_signal_that_does_not_raise_does_not_end_the_batch(pair: Pair) -> None:
    items = ticks(5000)
    seen = []
    before = signal.signal(signal.SIGALRM, lambda *_: seen.append(1))
    rest: list[bytes] = []

    def drain_all() -> None:
        while len(rest) < len(items):
            rest.extend(received(pair.consumer))

    alarm = alarm_when_asleep()
    drains = threading.Thread(target=lambda: (alarm.join(), await_sleep(), drain_all()))
    drains.start()
    try:
        assert pair.producer.send_batch(items) == len(items)
    finally:
        signal.signal(signal.SIGALRM, before)
    drains.join()
    assert seen == [1]
    assert b"".join(rest) == items.tobytes()


def test_timeout_error_of_a_signal_handler_is_not_taken_for_the_rings(
    pair: Pair,
) -> None:
    def handler(*_: object) -> None:
        raise TimeoutError("of the handler")

    before = signal.signal(signal.SIGALRM, handler)
    try:
        with pytest.raises(TimeoutError, match="of the handler") as caught:
            alarm_when_asleep()
            pair.producer.send_batch(ticks(5000), timeout=30)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert caught.value.sent == len(received(pair.consumer)) > 0  # type: ignore[attr-defined]


def test_death_of_the_consumer_keeps_the_count(
    start_peer: StartPeer, socket_path: str
) -> None:
    peer = start_peer("bus = Bus.connect(path, timeout=60); bus.recv(); time.sleep(60)")
    with Bus.listen(socket_path, 1 << 16, timeout=60) as bus:
        when_asleep(peer.kill)
        with pytest.raises(PeerDeadError) as caught:
            bus.send_batch(ticks(100_000))
    assert 1000 < caught.value.sent < 100_000  # type: ignore[attr-defined]


def test_close_by_another_thread_keeps_the_count(pair: Pair) -> None:
    when_asleep(pair.producer._bus.destroy)
    with pytest.raises(ClosedError, match="another thread") as caught:
        pair.producer.send_batch(ticks(5000))
    assert caught.value.sent == len(received(pair.consumer)) > 1000  # type: ignore[attr-defined]


@pytest.mark.parametrize("count", [1, 100_000], ids=["small", "large"])
def test_closed_bus_is_refused(pair: Pair, count: int) -> None:
    pair.producer._bus.destroy()
    for call in (pair.producer.send_batch, pair.producer.recv_batch_into):
        with pytest.raises(ClosedError, match="not open"):
            call(ticks(count))


# ---- Receiving ----


@pytest.mark.parametrize(
    "into",
    [
        np.zeros(10, TICK),
        np.zeros((10, 28), "u1"),
        np.zeros((10, 7), "<f4"),
        bytearray(280),
        array.array("B", bytes(280)),
    ],
    ids=lambda into: type(into).__name__,
)
def test_items_of_any_shape_are_filled(pair: Pair, into: Any) -> None:
    items = ticks(4)
    if np.asarray(into).itemsize * np.asarray(into).size == len(np.asarray(into)):
        items = np.frombuffer(items.tobytes(), "u1")  # one byte a message
    pair.producer.send_batch(items, 3)
    count = pair.consumer.recv_batch_into(into)
    assert (count, count.type_id) == (len(items), 3)
    content = memoryview(into).cast("B") if not isinstance(into, np.ndarray) else into
    assert bytes(content)[: items.nbytes] == items.tobytes()
    assert not any(bytes(content)[items.nbytes :])


def test_array_with_dates_is_filled(pair: Pair) -> None:
    days = np.array(["2026-11-23", "2026-11-24"], "M8[D]")
    pair.producer.send_batch(days)
    into = np.zeros(2, "M8[D]")
    assert pair.consumer.recv_batch_into(into) == 2
    assert (into == days).all()


def test_batch_ends_where_the_array_does(pair: Pair) -> None:
    pair.producer.send_batch(ticks(10))
    into = np.zeros(4, TICK)
    counts = [int(pair.consumer.recv_batch_into(into)) for _ in range(3)]
    assert counts == [4, 4, 2]
    assert (into == np.concatenate([ticks(2, 8), ticks(2, 6)])).all()


def test_batch_ends_where_type_or_size_changes(pair: Pair) -> None:
    for data, type_id in (
        (b"aa", 1),
        (b"bb", 1),
        (b"cc", 2),
        (b"dd", 2),
        (b"e", 2),
        (b"ff", 2),
    ):
        pair.producer.send(data, type_id)
    into = bytearray(100)
    pairs = memoryview(into).cast("B", [50, 2])
    got = []
    for _ in range(2):
        count = pair.consumer.recv_batch_into(pairs)
        got.append((bytes(into[: 2 * count]), count.type_id))
    assert got == [(b"aabb", 1), (b"ccdd", 2)]
    with pytest.raises(UnexpectedMessage, match="type_id 2 and 1 bytes, not of 2 byt"):
        pair.consumer.recv_batch_into(pairs)
    assert pair.consumer.recv() == Message(2, 1, b"e")
    assert pair.consumer.recv_batch_into(pairs) == 1
    assert into[:2] == b"ff"


def test_type_may_be_asked_for(pair: Pair) -> None:
    pair.producer.send(b"a", 1)
    pair.producer.send(b"b", 2)
    into = bytearray(9)
    with pytest.raises(
        UnexpectedMessage, match="type_id 1 and 1 bytes, not of type_id 2 and 1 bytes"
    ) as caught:
        pair.consumer.recv_batch_into(into, type_id=2)
    assert (caught.value.type_id, caught.value.size, caught.value.code) == (1, 1, 8)
    assert isinstance(caught.value, (ValueError, TachyonError))
    assert pair.consumer.recv_batch_into(into, type_id=1) == 1
    assert pair.consumer.recv_batch_into(into, timeout=0, type_id=2) == 1
    assert into == b"b" + bytes(8)


@pytest.mark.parametrize("size", [0, 1, 27, 29, 60_000])
def test_message_of_another_size_stays(pair: Pair, size: int) -> None:
    pair.producer.send(bytes(size), 5)
    into = ticks(3)
    with pytest.raises(UnexpectedMessage, match=f"type_id 5 and {size} bytes") as error:
        pair.consumer.recv_batch_into(into)
    assert error.value.size == size
    assert (into == ticks(3)).all()
    assert pair.consumer.recv() == Message(5, size, bytes(size))


@pytest.mark.parametrize(
    ("into", "error", "text"),
    [
        (b"abc", TypeError, "read-only"),
        (memoryview(bytearray(3)).toreadonly(), TypeError, "read-only"),
        (np.frombuffer(b"abc", "u1"), TypeError, "read-only"),
        (np.zeros(8, "u1")[::2], ValueError, r"strides \(2,\)"),
        (np.zeros((4, 4), "u1")[:, 1:], ValueError, r"strides \(4, 1\)"),
        (np.zeros(3, "V0"), ValueError, "0 bytes"),
        (np.zeros((3, 0)), ValueError, "0 bytes"),
        (bytearray(), ValueError, "0 items"),
        (np.array([None]), TypeError, "Python objects"),
        (np.array(1), ValueError, "without dimensions"),
        ([0], TypeError, "bytes-like object is required, not 'list'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_target_is_refused_and_nothing_is_lost(
    pair: Pair, into: Any, error: type[Exception], text: str
) -> None:
    pair.producer.send(b"a")
    with pytest.raises(error, match=text):
        pair.consumer.recv_batch_into(into)
    assert received(pair.consumer) == [b"a"]


def test_target_cannot_be_resized_while_it_waits(pair: Pair) -> None:
    into = bytearray(4)
    counts: list[int] = []
    thread = threading.Thread(
        target=lambda: counts.append(pair.consumer.recv_batch_into(into))
    )
    thread.start()
    await_sleep()
    with pytest.raises(BufferError):
        into += b"more"
    pair.producer.send(b"a")
    thread.join()
    assert counts == [1]
    into += b"more"


def test_wait_for_the_first_ends(pair: Pair) -> None:
    into = bytearray(4)
    with pytest.raises(TimeoutError):
        pair.consumer.recv_batch_into(into, timeout=0)
    with pytest.raises(TimeoutError):
        pair.consumer.recv_batch_into(into, 0.01)
    pair.producer.send_batch(b"ab")
    pair.producer._bus.destroy()
    assert pair.consumer.recv_batch_into(into) == 2
    with pytest.raises(ClosedError):
        pair.consumer.recv_batch_into(into)


def test_ring_of_a_dead_producer_is_emptied_first(
    start_peer: StartPeer, socket_path: str
) -> None:
    start_peer(
        "bus = Bus.connect(path, timeout=60)\n"
        "bus.send_batch(b'abc')\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    with Bus.listen(socket_path, 1 << 16, timeout=60) as bus:
        into = bytearray(2)
        assert bus.recv_batch_into(into) == 2
        assert bus.recv_batch_into(into) == 1
        with pytest.raises(PeerDeadError):
            bus.recv_batch_into(into)


def test_guard_that_is_open_excludes_batches(pair: Pair) -> None:
    pair.producer.send(b"a")
    with pair.consumer.recv_zero_copy():
        with pytest.raises(TachyonError, match="another guard"):
            pair.consumer.recv_batch_into(bytearray(4))
    with pair.producer.send_zero_copy(4):
        with pytest.raises(TachyonError, match="another guard"):
            pair.producer.send_batch(b"a")


@pytest.mark.parametrize("capacity", [1 << 12, 1 << 20])
def test_more_than_the_ring_holds_arrives_in_order(
    connect: Connect, capacity: int
) -> None:
    pair = connect(capacity)
    items = np.arange(300_000, dtype="<u8")
    thread = threading.Thread(target=pair.producer.send_batch, args=(items, 9))
    thread.start()
    into = np.zeros(len(items), "<u8")
    taken = 0
    while taken < len(items):
        count = pair.consumer.recv_batch_into(into[taken:], timeout=60)
        assert count.type_id == 9
        taken += count
    thread.join()
    assert (into == items).all()
    assert pair.producer.stats().messages == pair.consumer.stats().messages == taken


# ---- A batch as an array in the ring ----


def test_batch_is_a_buffer_of_two_dimensions(pair: Pair) -> None:
    items = ticks(5)
    pair.producer.send_batch(items)
    with pair.consumer.drain_batch() as batch:
        with memoryview(batch) as view:
            assert (view.shape, view.strides) == ((5, 28), (64, 1))
            assert (view.format, view.itemsize, view.nbytes) == ("B", 1, 140)
            assert view.readonly
            assert view.tobytes() == items.tobytes()
        assert len(batch) == 5
        assert [bytes(message) for message in batch] == [
            item.tobytes() for item in items
        ]


def test_batch_is_an_array_of_a_dtype(pair: Pair) -> None:
    items = ticks(5)
    pair.producer.send_batch(items)
    with pair.consumer.drain_batch() as batch:
        taken = batch.array(TICK)
        assert (taken.dtype, taken.shape, taken.strides) == (TICK, (5,), (64,))
        assert not taken.flags.writeable
        assert not taken.flags.owndata
        assert (taken == items).all()
        assert taken["price"].sum() == items["price"].sum()
        del taken
    assert received(pair.consumer) == []


@pytest.mark.parametrize("dtype", ["<f8", ">i8", "S8", "V8", "M8[s]", "2<u4", "<U2"])
def test_dtype_may_be_plain(pair: Pair, dtype: str) -> None:
    pair.producer.send_batch(np.arange(4, dtype="<u8"))
    with pair.consumer.drain_batch() as batch:
        expected = np.arange(4, dtype="<u8").view(dtype)
        shape = (4, 2) if dtype == "2<u4" else (4,)
        assert batch.array(dtype).shape == shape
        assert batch.array(dtype).tobytes() == expected.tobytes()


@pytest.mark.parametrize("size", [1, 32, 33, 96, 1000])
def test_array_goes_on_over_the_end_of_the_ring(connect: Connect, size: int) -> None:
    pair = connect(1 << 12)
    rng = np.random.default_rng(size)
    wrapped = 0
    for _ in range(200):
        items = rng.integers(0, 256, (int(rng.integers(1, 4)), size), np.uint8)
        pair.producer.send_batch(items)
        with pair.consumer.drain_batch() as batch:
            base = np.asarray(batch)
            assert (base == items).all()
            assert batch.array(f"V{size}").tobytes() == items.tobytes()
            assert all(
                memoryview(message) == items[i].tobytes()
                for i, message in enumerate(batch)
            )
            used = base.strides[0] * len(items)
            wrapped += pair.consumer.stats().ring_bytes % (1 << 12) + used > 1 << 12
            del base
    assert wrapped > 2


@pytest.mark.parametrize(
    ("dtype", "error", "text"),
    [
        ("<f4", ValueError, "the messages have 28 bytes, items of float32 4"),
        ([("a", "V29")], ValueError, "28 bytes.*29"),
        ("V0", ValueError, "28 bytes"),
        ("O", TypeError, "Python objects"),
        ([("a", "O"), ("b", "V20")], TypeError, "Python objects"),
        ("no such type", TypeError, "no such type"),
    ],
    ids=str,
)
def test_dtype_that_does_not_fit_is_refused(
    pair: Pair, dtype: Any, error: type[Exception], text: str
) -> None:
    pair.producer.send_batch(ticks(3))
    with pair.consumer.drain_batch() as batch:
        with pytest.raises(error, match=text):
            batch.array(dtype)
        assert len(batch.array(TICK)) == 3


@pytest.mark.parametrize("sizes", [(1, 2), (32, 33), (8, 8, 0)])
def test_messages_of_different_sizes_are_a_list(
    pair: Pair, sizes: tuple[int, ...]
) -> None:
    for size in sizes:
        pair.producer.send(bytes(size))
    with pair.consumer.drain_batch() as batch:
        with pytest.raises(BufferError, match="not all of one size"):
            memoryview(batch)
        with pytest.raises(BufferError, match="not all of one size"):
            batch.array(f"V{sizes[0]}")
        assert [message.actual_size for message in batch] == list(sizes)


def test_messages_that_take_different_room_are_a_list(pair: Pair) -> None:
    pair.producer.send(bytes(8))
    with pair.producer.send_zero_copy(100) as tx:  # begins in its second line
        tx.actual_size = 8
    with pair.consumer.drain_batch() as batch:
        with pytest.raises(BufferError):
            memoryview(batch)
        assert [bytes(message) for message in batch] == [bytes(8)] * 2


def test_view_says_whether_it_is_contiguous(pair: Pair) -> None:
    pair.producer.send_batch(ticks(1))
    with pair.consumer.drain_batch() as batch:
        assert bytes(batch) == ticks(1).tobytes()
        assert len(np.frombuffer(batch, TICK)) == 1
    pair.producer.send_batch(ticks(2))
    with pair.consumer.drain_batch() as batch:
        with pytest.raises(BufferError, match="not C-contiguous"):
            np.frombuffer(batch, TICK)
        with pytest.raises(BufferError, match="64 bytes apart"):
            pair.producer.send(batch)


def test_batch_can_be_sent_on(connect: Connect, tmp_path: Any) -> None:
    first, second = connect(), connect(path=str(tmp_path / "second.sock"))
    first.producer.send_batch(ticks(3))
    with first.consumer.drain_batch() as batch:
        assert second.producer.send_batch(np.asarray(batch).copy()) == 3
        with pytest.raises(ValueError, match=r"strides \(64, 1\)"):
            second.producer.send_batch(batch)
    assert b"".join(received(second.consumer)) == ticks(3).tobytes()


@pytest.mark.parametrize(
    "look",
    [
        memoryview,
        np.asarray,
        lambda batch: batch.array(TICK),
        lambda batch: batch.array(TICK)["price"],
        lambda batch: batch.array(TICK)[1],
        lambda batch: memoryview(batch.array(TICK)),
    ],
    ids=["memoryview", "asarray", "array", "column", "item", "view of array"],
)
def test_array_kept_after_the_batch_holds_it(
    pair: Pair, look: Callable[[Any], Any]
) -> None:
    pair.producer.send_batch(ticks(3))
    with pytest.raises(BufferError, match="still point"):
        with pair.consumer.drain_batch() as batch:
            kept = look(batch)
    before = bytes(kept)
    with pytest.raises(BufferError):
        pair.consumer.recv(timeout=0)
    with pytest.raises(BufferError):
        pair.consumer._bus.destroy()
    with pytest.raises(BufferError):
        memoryview(batch)
    assert pair.producer.send_batch(ticks(2000, 50), block=False) > 0
    assert bytes(kept) == before
    del kept
    gc.collect()
    assert len(received(pair.consumer)) > 0


def test_batch_that_was_left_gives_no_array(pair: Pair) -> None:
    pair.producer.send_batch(ticks(3))
    with pair.consumer.drain_batch() as batch:
        pass
    for look in (memoryview, lambda b: b.array(TICK)):
        with pytest.raises(BufferError, match="was left"):
            look(batch)
    pair.producer.send_batch(ticks(3))
    with pair.consumer.drain_batch() as batch:
        pair.consumer._bus.destroy()
        with pytest.raises(BufferError, match="was closed"):
            memoryview(batch)


def test_array_outlives_the_bus_objects(pair: Pair) -> None:
    pair.producer.send_batch(ticks(3))
    batch = pair.consumer.drain_batch()
    kept = batch.array(TICK)
    del batch
    gc.collect()
    assert (kept == ticks(3)).all()


# ---- Random histories ----

Step = tuple[int, int, int]  # items, bytes of each, type


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(
        st.tuples(
            st.integers(1, 90), st.sampled_from([1, 8, 32, 33]), st.integers(0, 1)
        )
    ),
    st.data(),
)
def test_any_history_arrives_whole(
    connect: Connect, steps: list[Step], data: st.DataObject
) -> None:
    pair = connect(1 << 12)
    sent: list[Message] = []
    taken: list[Message] = []
    number = 0
    for count, size, type_id in steps:
        items = (number + np.arange(count * size)).astype("u1").reshape(count, size)
        number += count
        try:
            done = pair.producer.send_batch(items, type_id, block=False)
        except RingFull:
            done = 0
        sent += [Message(type_id, size, item.tobytes()) for item in items[:done]]
        while len(taken) < len(sent) and data.draw(st.booleans()):
            taken += take(pair.consumer, sent[len(taken)], data.draw(st.integers(0, 3)))
            assert taken == sent[: len(taken)]
    while len(taken) < len(sent):
        taken += take(pair.consumer, sent[len(taken)], 0)
    assert taken == sent
    for bus in pair:
        bus._bus.destroy()


def take(bus: Bus, head: Message, how: int) -> list[Message]:
    """Take messages, of which `head` is the next, in one of several ways."""
    if how == 0:
        return [bus.recv(timeout=0)]
    if how == 1:
        with bus.drain_batch(7) as batch:
            return [Message(m.type_id, m.actual_size, bytes(m)) for m in batch]
    into = np.zeros((5, head.size + (how == 3)), "u1")
    if how == 3:
        with pytest.raises(UnexpectedMessage):
            bus.recv_batch_into(into, timeout=0)
        return []
    count = bus.recv_batch_into(into, timeout=0)
    return [Message(count.type_id, head.size, item.tobytes()) for item in into[:count]]
