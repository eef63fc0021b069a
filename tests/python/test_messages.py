# SPDX-License-Identifier: Apache-2.0
"""Channels of message classes: in, in place, out as copies, and arrays."""

import contextlib
import ctypes
import gc
import sys
import threading
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tachyon
from tachyon import (
    Bus,
    ClosedError,
    MessageChannel,
    RingFull,
    TachyonError,
    UnexpectedMessage,
)

from conftest import Connect, Pair, Run, StartPeer
from every import Cancel, Side, Tick

FIRST = f"tachyon-types 1 {sys.byteorder}\n"
Version = Callable[..., Any]


def make(body: str, smallest: int | None = None) -> Any:
    """Make a class of messages of type 1."""
    options = {} if smallest is None else {"smallest": smallest}
    metaclass: Any = type(tachyon.Message)
    return metaclass(
        "X", (tachyon.Message,), {}, type_id=1, types=FIRST + body, **options
    )


V1 = make("message 1 X +\n a u32 @0\n b u32 @4\n = 8 align 4\n", 8)
V2 = make("message 1 X +\n a u32 @0\n b u32 @4\n c u64 @8\n = 16 align 8\n", 8)
FIXED = make("message 1 X\n a u32 @0\n b u32 @4\n = 8 align 4\n")
SMALL = make(  # as large as what goes into its slot only when it is left
    "struct Part\n a u16 @0\n b u16 @2\n = 4 align 2\n"
    "message 1 X\n part Part[2] @0\n items u32[4] @8\n c u64 @24\n = 32 align 8\n"
)


# ---- The channel ----


def test_a_class_makes_a_channel_of_its_messages(pair: Pair) -> None:
    channel = pair.producer.channel(Tick)
    assert type(channel) is MessageChannel
    assert (channel.layout, channel.size, channel.type_id) == (Tick, 64, 1)
    assert channel.bus is pair.producer
    assert channel.dtype is Tick.dtype
    assert repr(channel) == "<tachyon.MessageChannel of Tick>"
    assert MessageChannel[Tick].__origin__ is MessageChannel
    assert pair.producer.channel(Tick, 1).type_id == 1
    with pytest.raises(TypeError, match="messages of Tick have the type_id 1, not 2"):
        pair.producer.channel(Tick, 2)


def test_a_message_that_no_ring_takes_is_an_error_at_once(connect: Connect) -> None:
    big = make("message 1 X\n a u8[4096] @0\n = 4096 align 1\n")
    pair = connect(4096)
    with pytest.raises(ValueError, match="a X has 4096 bytes; this ring takes 3968 "):
        pair.producer.channel(big)


def test_what_is_no_class_of_messages_is_refused(pair: Pair) -> None:
    for other in (int, 5, tachyon.Message, type(Tick().spread[0]), Tick()):
        with pytest.raises(TypeError):
            MessageChannel(pair.producer, other)
    with pytest.raises(TypeError, match="bus must be a Bus, not None"):
        MessageChannel(None, Tick)  # type: ignore[arg-type]


# ---- One message ----


def test_a_call_sends_a_message(pair: Pair) -> None:
    send, channel = pair.producer.channel(Tick), pair.consumer.channel(Tick)
    send("AAPL", 189.5, Side.ASK)
    send(price=1, port=2, symbol="MSFT")
    send("IBM", late=7, timeout=1, block=True)
    send()
    received = [channel.recv(timeout=1) for _ in range(4)]
    assert received == [
        Tick("AAPL", 189.5, Side.ASK),
        Tick("MSFT", 1, port=2),
        Tick("IBM", late=7),
        Tick(),
    ]
    assert all(type(each) is Tick for each in received)


def test_it_is_what_any_receiver_gets(pair: Pair) -> None:
    pair.producer.channel(Tick)("AAPL", 189.5)
    type_id, size, data = pair.consumer.recv(timeout=1)
    assert (type_id, size) == (1, 64)
    assert data == bytes(Tick("AAPL", 189.5))
    pair.producer.send(Tick("MSFT"), Tick.type_id)
    assert pair.consumer.channel(Tick).recv(timeout=1).symbol == b"MSFT"


def test_a_call_that_is_refused_sends_nothing(pair: Pair) -> None:
    send = pair.producer.channel(Tick)
    for args, kwargs in (
        (("x" * 9,), {}),
        ((), {"port": -1}),
        ((), {"volume": 1}),
        (("A",), {"symbol": "B"}),
        (range(11), {}),
        ((), {"timeout": "soon"}),
        ((), {"timeout": -1}),
    ):
        with pytest.raises((TypeError, ValueError)):
            send(*args, **kwargs)
    send(port=9)
    assert pair.consumer.channel(Tick).recv(timeout=1).port == 9


def test_a_field_comes_before_the_keyword_of_its_name(pair: Pair) -> None:
    cls = make("message 1 X\n timeout u32 @0\n block u32 @4\n = 8 align 4\n")
    pair.producer.channel(cls)(timeout=7, block=0)
    message = pair.consumer.channel(cls).recv(timeout=1)
    assert (message.timeout, message.block) == (7, 0)


def test_a_conversion_may_use_the_bus(pair: Pair) -> None:
    send = pair.producer.channel(Tick)

    class Sending:
        def __index__(self) -> int:
            send(port=1)
            with send.send() as tick:
                tick.port = 2
            return 3

    send(port=Sending())
    ports = [pair.consumer.channel(Tick).recv(timeout=1).port for _ in range(3)]
    assert ports == [1, 2, 3]


def test_a_full_ring_is_waited_for_or_not(pair: Pair) -> None:
    send = pair.producer.channel(Cancel)
    with pytest.raises(RingFull):
        while True:
            send(block=False)
    with pytest.raises(RingFull):
        send.send(block=False)
    with pytest.raises(TimeoutError, match=r"the ring is full \(timeout=0.01\)"):
        send.send(timeout=0.01)


# ---- In place ----


def test_a_slot_is_a_message_of_zeros_that_the_block_sends(pair: Pair) -> None:
    channel = pair.producer.channel(Tick)
    for _ in range(1000):  # through slots that others have written to
        pair.producer.send(b"\xff" * 64, 9)
        with channel.send(timeout=1) as tick:
            assert type(tick) is Tick
            assert tick == Tick()
            tick.symbol, tick.price, tick.side = "AAPL", 189.5, 2
        pair.consumer.recv(timeout=1)
        received = pair.consumer.channel(Tick).recv(timeout=1)
        assert received == Tick("AAPL", 189.5, Side.ASK)


def test_an_exception_gives_the_slot_back(pair: Pair) -> None:
    channel = pair.producer.channel(Tick)
    with pytest.raises(KeyError):
        with channel.send() as tick:
            tick.price = 1
            raise KeyError
    channel(price=2)
    assert pair.consumer.channel(Tick).recv(timeout=1).price == 2


def test_a_message_that_was_left_is_gone(pair: Pair) -> None:
    with pair.producer.channel(Tick).send() as tick:
        tick.price = 1
    for use in (
        lambda: tick.price,
        lambda: tick.venue,
        lambda: tick.spread,
        lambda: setattr(tick, "price", 2),
        lambda: setattr(tick, "venue", [1, 2]),
        lambda: tick == Tick(),
        lambda: Tick() == tick,
        lambda: [*tick],
        tick.__copy__,
        tick.__enter__,
    ):
        with pytest.raises(TachyonError, match="this message was left"):
            use()
    with pytest.raises(BufferError, match="this message was left"):
        memoryview(tick)
    assert repr(tick) == "<Tick, left>"
    assert tick.__exit__(None, None, None) is False
    assert pair.consumer.channel(Tick).recv(timeout=1).price == 1


def test_only_a_slot_is_entered() -> None:
    with pytest.raises(TachyonError, match="this Tick is no slot of a ring"):
        with Tick():
            pass


def test_a_conversion_that_leaves_the_block_writes_nothing(pair: Pair) -> None:
    channel = pair.producer.channel(Tick)
    tick: Any = None

    class Leaving:
        def __index__(self) -> int:
            tick.__exit__(None, None, None)
            return 5

    for name, value in (("port", Leaving()), ("venue", [Leaving(), 2])):
        tick = channel.send()
        with pytest.raises(TachyonError, match="this message was left"):
            setattr(tick, name, value)
        assert pair.consumer.channel(Tick).recv(timeout=1) == Tick()


def test_one_that_is_dropped_gives_its_slot_back(pair: Pair) -> None:
    channel = pair.producer.channel(Tick)
    for _ in range(3):
        channel.send().price = 5
    tick = channel.send()
    with pytest.raises(TachyonError, match="another guard of this bus is still open"):
        channel.send()
    del tick
    channel(price=6)
    assert pair.consumer.channel(Tick).recv(timeout=1).price == 6


@pytest.mark.parametrize(
    ("take", "holder"),
    [
        (
            lambda tick: tick.spread[1],
            "1 view still points .* struct of the message ",
        ),
        (lambda tick: tick.spread, "2 views still point .* struct of the message that"),
        (lambda tick: tick.venue, "1 view still points .* memoryview or array that"),
        (memoryview, "1 view still points .* memoryview or array that"),
        (
            lambda tick: [*tick],
            "4 views still point .* struct, memoryview or ",
        ),
    ],
    ids=["struct", "structs", "array", "memoryview", "all"],
)
def test_what_points_into_a_slot_holds_it(
    pair: Pair, take: Callable[[Any], Any], holder: str
) -> None:
    channel = pair.producer.channel(Tick)
    with pytest.raises(BufferError, match=holder):
        with channel.send() as tick:
            held = take(tick)
    with pytest.raises(BufferError, match="a view still points into the slot"):
        channel.send()
    with pytest.raises(TachyonError, match="this message was left"):
        _ = tick.price
    del held
    gc.collect()
    channel(price=6)  # it was given back, and not sent
    assert pair.consumer.channel(Tick).recv(timeout=1).price == 6


def test_parts_are_written_in_place(pair: Pair) -> None:
    channel = pair.producer.channel(Tick)
    with channel.send() as tick:
        tick.spread[1].ask = 4
        tick.venue[0] = 7
        tick.flags[:] = True
    received = pair.consumer.channel(Tick).recv(timeout=1)
    assert received.spread[1].ask == 4
    assert received.venue.tolist() == [7, 0]
    assert received.flags.all()


def test_a_bus_that_is_closed_under_a_slot(pair: Pair) -> None:
    tick = pair.producer.channel(Tick).send()
    pair.producer.abort()
    with pytest.raises(TachyonError):
        tick.price = 1
    with pytest.raises(ClosedError):
        tick.__exit__(None, None, None)


def test_a_part_keeps_the_memory_of_an_aborted_bus(pair: Pair) -> None:
    tick = pair.producer.channel(Tick).send()
    part, array = tick.spread[0], tick.venue
    with pytest.raises(BufferError, match="cannot close the bus: 2 views still"):
        pair.producer.close()
    pair.producer.abort()
    part.bid, array[:] = 2, 3
    assert (part.bid, array.tolist()) == (2, [3, 3])
    del part, array
    gc.collect()


# ---- Small ones in place ----


@pytest.mark.parametrize("size", [1, 7, 8, 31, 32, 33, 64])
def test_every_size_is_sent_whole(pair: Pair, size: int) -> None:
    cls = make(f"message 1 X\n a u8[{size}] @0\n = {size} align 1\n")
    channel = pair.producer.channel(cls)
    for value in (b"\xff" * size, bytes(range(size)), b"", b"\x01" * size):
        with channel.send(timeout=1) as message:
            assert bytes(message) == bytes(size)
            message.a = value
        received = pair.consumer.recv(timeout=1)
        assert (received.type_id, received.data) == (1, value.ljust(size, b"\0"))


def test_parts_of_a_small_one_are_written_in_place(pair: Pair) -> None:
    channel = pair.producer.channel(SMALL)
    for i in range(1000):  # through slots that others have written to
        pair.producer.send(b"\xff" * 32, 9)
        with channel.send(timeout=1) as message:
            message.part[1].b = i
            message.items[:] = i
            with memoryview(message) as view:
                view[24] = i % 256
        pair.consumer.recv(timeout=1)
        received = pair.consumer.channel(SMALL).recv(timeout=1)
        assert [(part.a, part.b) for part in received.part] == [(0, 0), (0, i)]
        assert received.items.tolist() == 4 * [i]
        assert received.c == i % 256


def test_what_points_into_a_small_one_outlives_it(pair: Pair) -> None:
    channel = pair.producer.channel(SMALL)
    message = channel.send()
    part, items = message.part[0], message.items
    del message  # without its end
    part.a, items[:] = 5, 6
    assert (part.a, part.b, items.tolist()) == (5, 0, 4 * [6])
    with pytest.raises(TachyonError, match="another guard of this bus is still open"):
        channel.send()
    del part, items
    gc.collect()
    with pytest.raises(BufferError, match="1 view still points"):
        with channel.send() as message:
            items = message.items
    items[:] = 7  # nobody is to see it
    del items
    gc.collect()
    channel(c=8)
    assert pair.consumer.channel(SMALL).recv(timeout=1) == SMALL(c=8)


def test_an_exception_gives_the_slot_of_a_small_one_back(pair: Pair) -> None:
    channel = pair.producer.channel(SMALL)
    with pytest.raises(KeyError):
        with channel.send() as message:
            message.c = 1
            raise KeyError
    message = channel.send()
    message.c = 2
    del message
    with channel.send() as message:
        assert message == SMALL()
        message.c = 3
    with pytest.raises(TachyonError, match="this message was left"):
        message.c = 4
    assert pair.consumer.channel(SMALL).recv(timeout=1).c == 3


def test_a_small_one_keeps_its_memory_when_its_bus_is_aborted(pair: Pair) -> None:
    message = pair.producer.channel(SMALL).send()
    part, items = message.part[1], message.items
    pair.producer.abort()
    with pytest.raises(ClosedError):
        message.__exit__(None, None, None)
    del message
    part.b, items[:] = 2, 3
    assert (part.b, items.tolist()) == (2, 4 * [3])


# ---- Receiving ----


def test_iterating_ends_with_the_stream(pair: Pair) -> None:
    send = pair.producer.channel(Tick)
    for price in range(5):
        send(price=price)
    pair.producer.close()
    assert [tick.price for tick in pair.consumer.channel(Tick)] == [0, 1, 2, 3, 4]
    with pytest.raises(ClosedError):
        pair.consumer.channel(Tick).recv()


def test_a_copy_outlives_its_slot_and_its_bus(pair: Pair) -> None:
    send, channel = pair.producer.channel(Tick), pair.consumer.channel(Tick)
    send("AAPL", venue=[1, 2])
    first = channel.recv(timeout=1)
    venue = first.venue
    for _ in range(2000):
        send("MSFT")
        channel.recv(timeout=1)
    pair.consumer.close()
    first.price = 5
    assert (first.symbol, first.price, venue.tolist()) == (b"AAPL", 5, [1, 2])


@pytest.mark.parametrize(
    ("data", "type_id"), [(bytes(64), 2), (bytes(47), 1), (b"", 1), (bytes(120), 2)]
)
def test_what_is_not_of_the_class_stays_in_the_ring(
    pair: Pair, data: bytes, type_id: int
) -> None:
    channel = pair.consumer.channel(Tick)
    pair.producer.send(data, type_id)
    calls: list[Callable[[], Any]] = [
        lambda: channel.recv(timeout=1),
        lambda: next(channel),
        lambda: channel.drain_batch(timeout=1),
        lambda: channel.recv_batch_into(np.zeros(2, Tick.dtype), timeout=1),
    ]
    for call in calls:
        text = rf"of type_id {type_id} and {len(data)} bytes, not of type_id 1 and \d+ "
        with pytest.raises(UnexpectedMessage, match=text) as error:
            call()
        assert (error.value.type_id, error.value.size) == (type_id, len(data))
    assert pair.consumer.recv(timeout=1).data == data


def test_hostile_values_are_values(pair: Pair) -> None:
    for byte in (1, 2, 127, 128, 255):
        pair.producer.send(bytes([byte]) * 64, 1)
        tick = pair.consumer.channel(Tick).recv(timeout=1)
        assert tick.halted is True
        assert tick.flags.tolist() == [True] * 6
        assert tick.side == int.from_bytes(bytes([byte]) * 4, sys.byteorder)
        assert tick.symbol == bytes([byte]) * 8
        repr(tick)


# ---- Versions ----


def send_all(pair: Pair, cls: Any, count: int, size: int) -> None:
    """Send numbered messages of a version."""
    for number in range(count):
        message = bytes(cls(number, number, *[number] * (cls is V2)))
        pair.producer.send(message[:size], 1)


def test_an_older_message_has_zeros_for_what_it_does_not_know(pair: Pair) -> None:
    pair.producer.channel(V1)(1, 2)
    assert pair.consumer.channel(V2).recv(timeout=1) == V2(1, 2, 0)
    pair.producer.send(bytes(V2(1, 2, 2**64 - 1))[:12], 1)  # within a field
    assert pair.consumer.channel(V2).recv(timeout=1) == V2(1, 2, 0)


def test_a_newer_message_is_read_as_far_as_it_is_known(pair: Pair) -> None:
    pair.producer.channel(V2)(1, 2, 3)
    assert pair.consumer.channel(V1).recv(timeout=1) == V1(1, 2)
    pair.producer.send(bytes(V1(3, 4)) + bytes(1000), 1)
    assert pair.consumer.channel(V1).recv(timeout=1) == V1(3, 4)


def test_one_that_does_not_grow_has_one_size(pair: Pair) -> None:
    for size in (7, 9):
        pair.producer.send(bytes(size), 1)
        text = f"{size} bytes, not of type_id 1 and 8 bytes; it"
        with pytest.raises(UnexpectedMessage, match=text):
            pair.consumer.channel(FIXED).recv(timeout=1)
        pair.consumer.recv(timeout=1)


@pytest.mark.parametrize(("peer", "size", "own"), [(V1, 8, V2), (V2, 16, V1)])
def test_a_batch_has_the_peers_size_and_the_fields_of_both(
    pair: Pair, peer: Any, size: int, own: Any
) -> None:
    send_all(pair, peer, 10, size)
    channel = pair.consumer.channel(own)
    with channel.drain_batch(timeout=1) as batch:
        assert len(batch) == 10
        assert batch.array.dtype.itemsize == size
        assert batch.array.dtype.names == ("a", "b")
        assert batch["b"].tolist() == list(range(10))
        assert [message.a for message in batch] == list(range(10))
        assert batch[3] == own(3, 3)


def test_a_batch_ends_where_the_size_changes(pair: Pair) -> None:
    send_all(pair, V1, 3, 8)
    send_all(pair, V2, 2, 16)
    channel = pair.consumer.channel(V2)
    with channel.drain_batch(timeout=1) as batch:
        assert len(batch) == 3
    with channel.drain_batch(timeout=1) as batch:
        assert [message.c for message in batch] == [0, 1]


@pytest.mark.parametrize(("peer", "size", "own"), [(V1, 8, V2), (V2, 16, V1)])
def test_an_array_takes_its_own_size_only(
    pair: Pair, peer: Any, size: int, own: Any
) -> None:
    send_all(pair, peer, 2, size)
    channel = pair.consumer.channel(own)
    with pytest.raises(UnexpectedMessage, match=f"and {size} bytes, not of type_id 1 "):
        channel.recv_batch_into(np.zeros(5, own.dtype), timeout=1)
    assert channel.recv(timeout=1) == own()


# ---- Arrays ----


def test_arrays_are_of_the_dtype_of_the_class(pair: Pair) -> None:
    send, channel = pair.producer.channel(Tick), pair.consumer.channel(Tick)
    ticks = np.zeros(5, Tick.dtype)
    ticks["price"], ticks["symbol"] = np.arange(5), b"AAPL"
    ticks["spread"]["ask"][:, 1] = 7
    assert send.send_batch(ticks) == 5
    assert channel.recv(timeout=1).symbol == b"AAPL"
    assert channel.recv(timeout=1).spread[1].ask == 7
    into = np.zeros(9, Tick.dtype)
    received = channel.recv_batch_into(into, timeout=1)
    assert (received, received.type_id) == (3, 1)
    assert into["price"][:3].tolist() == [2, 3, 4]
    send("MSFT")
    with channel.drain_batch(timeout=1) as batch:
        assert [tick.symbol for tick in batch] == [b"MSFT"]
        assert batch["symbol"].tolist() == [b"MSFT"]
        assert np.asarray(batch).dtype == Tick.dtype


def test_a_batch_gives_copies(pair: Pair) -> None:
    pair.producer.channel(Tick)("AAPL", venue=[1, 2])
    with pair.consumer.channel(Tick).drain_batch(timeout=1) as batch:
        first, venue = batch[0], batch[0].venue
    first.price = 3
    assert (first.symbol, first.price, venue.tolist()) == (b"AAPL", 3, [1, 2])


def test_other_arrays_are_refused(pair: Pair) -> None:
    send = pair.producer.channel(Tick)

    class Like(ctypes.Structure):
        _fields_ = (("a", ctypes.c_uint32), ("b", ctypes.c_uint32))

    others: list[Any] = [
        np.zeros(3),
        np.zeros((2, 8)),
        np.zeros(3, "V64"),
        bytearray(8),
    ]
    for other in others:
        with pytest.raises(TypeError):
            send.send_batch(other)
    assert send.send_batch(memoryview(bytes(128)).cast("B", (2, 64))) == 2
    assert pair.producer.channel(FIXED).send_batch((Like * 3)()) == 3
    with pytest.raises(TypeError, match="the array has dtype float64, X the dtype"):
        pair.producer.channel(FIXED).send_batch(np.zeros(3))


# ---- Threads, loops, processes ----


def test_a_slot_is_no_other_threads(pair: Pair) -> None:
    channel = pair.consumer.channel(Tick)
    got: list[Any] = []
    thread = threading.Thread(target=lambda: got.append(channel.recv(timeout=10)))
    thread.start()
    send = pair.producer.channel(Tick)
    send(price=4)
    thread.join()
    assert got == [Tick(price=4)]


def test_many_threads_read_and_write_one_message() -> None:
    message = Tick()

    def work(number: int) -> None:
        for _ in range(2000):
            message.price = number
            message.venue = [number, number]
            _ = (message.price, message.spread[0].bid, message.symbol, *message.venue)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert message.price in range(4)
    assert message.venue[0] == message.venue[1]


def test_an_event_loop_makes_messages_of_bytes(pair: Pair, run: Run) -> None:
    async def main() -> Any:
        await pair.producer.send_async(Tick("AAPL"), Tick.type_id, timeout=1)
        return Tick.from_bytes((await pair.consumer.recv_async(timeout=5)).data)

    assert run(main()) == Tick("AAPL")


def test_another_process_has_the_same(pair: Pair, start_peer: StartPeer) -> None:
    pair.producer.close()
    pair.consumer.close()
    peer = start_peer(f"""
sys.path.append({__file__.rpartition("/python/")[0] + "/schema"!r})
from every import Side, Tick
with Bus.connect(path, timeout=10, types=[Tick]) as bus:
    with bus.channel(Tick).send() as tick:
        tick.symbol, tick.side, tick.spread = "AAPL", Side.ASK, [(1, 2), (3, 4)]
""")
    path = pair_path(peer)
    with Bus.listen(path, 4096, timeout=10, types=[Tick]) as bus:
        assert list(bus.channel(Tick)) == [
            Tick("AAPL", side=2, spread=[(1, 2), (3, 4)]),
        ]
    assert peer.communicate(timeout=10) == ("", "")


def pair_path(peer: Any) -> str:
    """Return where a peer of start_peer() connects to."""
    return str(peer.args[-1].split("path = ", 1)[1].split("\n", 1)[0].strip("'"))


def test_nothing_is_leaked(pair: Pair) -> None:
    send, channel = pair.producer.channel(Tick), pair.consumer.channel(Tick)

    def use() -> None:
        send("AAPL", 1, port=2)
        with contextlib.suppress(ValueError):
            send(port=-1)
        with send.send() as tick:
            tick.price, tick.spread[0].bid, tick.venue[:] = 1, 2, 3
        with contextlib.suppress(KeyError):
            with send.send() as tick:
                raise KeyError
        with contextlib.suppress(BufferError):
            with send.send() as tick:
                _ = view = tick.spread
        del view, _, tick
        received = channel.recv(timeout=1)
        _ = (received.symbol, received.spread, received.venue)
        with channel.drain_batch(timeout=1) as batch:
            _ = batch[0]

    counted = (Tick, send, channel, pair.producer, pair.producer._bus, Tick.price)
    for _ in range(20):
        use()
    gc.collect()
    tracemalloc.start()
    use()
    counts = [sys.getrefcount(thing) for thing in counted]
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(300):
        use()
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert [sys.getrefcount(thing) for thing in counted] == counts
    assert grown < 5000


def test_a_large_message_is_copied_while_others_run(connect: Connect) -> None:
    big = make("message 1 X\n a u8[1000000] @0\n b u64 @1000000\n = 1000008 align 1\n")
    pair = connect(1 << 22)
    data = bytes(range(250)) * 4000
    send, channel = pair.producer.channel(big), pair.consumer.channel(big)
    for number in range(20):
        send(data, number)
        with send.send(timeout=1) as message:
            message.a, message.b = data, number
        for _ in range(2):
            received = channel.recv(timeout=1)
            assert (received.a == data, received.b) == (True, number)
