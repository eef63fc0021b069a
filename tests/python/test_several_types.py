# SPDX-License-Identifier: Apache-2.0
"""Bus.messages(): messages of several types, each as an object of its class."""

import asyncio
import threading
from collections.abc import Iterator
from typing import ClassVar

import pytest

import tachyon
from tachyon import Bus, ClosedError, Messages, PeerDeadError, UnexpectedMessage

from conftest import Pair, Run, open_both


class Tick(tachyon.Message, type_id=1):
    """A message of one size."""

    symbol: tachyon.char[8]
    price: tachyon.f64


class Order(tachyon.Message, type_id=2, may_grow=True):
    """A message that has grown."""

    number: tachyon.u32
    late: tachyon.u32 = tachyon.since(2)


class Other(tachyon.Message, type_id=2):
    """One with the same type_id."""

    x: tachyon.u8


@pytest.fixture
def typed(socket_path: str) -> Iterator[Pair]:
    """Return a pair whose ends have both types."""
    pair = Pair(
        *open_both(
            lambda: Bus.listen(socket_path, 1 << 16, timeout=10, types=[Tick, Order]),
            lambda: Bus.connect(socket_path, timeout=10, types=iter([Order, Tick])),
        )
    )
    yield pair
    for bus in pair:
        bus._bus.destroy()


def fill(bus: Bus) -> None:
    """Send some of both."""
    bus.channel(Tick)("AAPL", 1.5)
    bus.channel(Order)(7, late=8)
    bus.channel(Tick)("MSFT", 2.5)


def test_each_message_is_of_the_class_of_its_type_id(typed: Pair) -> None:
    fill(typed.producer)
    typed.producer.close()
    seen = []
    for message in typed.consumer.messages():
        match message:
            case Tick(symbol=symbol, price=price):
                seen.append((symbol, price))
            case Order(number, late):
                seen.append((number, late))
    assert seen == [(b"AAPL", 1.5), (7, 8), (b"MSFT", 2.5)]
    assert isinstance(message, tachyon.Message)


def test_one_after_another_with_a_time_out(typed: Pair) -> None:
    messages = typed.consumer.messages()
    assert repr(messages) == "<tachyon.Messages of Tick, Order>"
    with pytest.raises(TimeoutError, match=r"timeout=0.01\)"):
        messages.recv(0.01)
    with pytest.raises(TimeoutError, match=r"timeout=0.02\)"):
        next(typed.consumer.messages(timeout=0.02))
    with pytest.raises(ValueError, match="timeout must be"):
        messages.recv(-1)
    fill(typed.producer)
    assert messages.recv(timeout=5) == Tick("AAPL", 1.5)
    assert next(messages) == Order(7, 8)
    assert typed.consumer.recv(5).type_id == 1
    thread = threading.Timer(0.05, typed.producer.channel(Order), [9])
    thread.start()
    assert messages.recv() == Order(9)
    thread.join()


def test_what_is_of_no_class_or_another_size_stays(typed: Pair) -> None:
    messages = typed.consumer.messages()
    for data, type_id, text in (
        (b"abc", 9, "of type_id 9 and 3 bytes, and of none of the classes"),
        (b"", 0, "of type_id 0 and 0 bytes, and of none"),
        (bytes(15), 1, "type_id 1 and 15 bytes, not of type_id 1 and 16 bytes;"),
        (bytes(17), 1, "type_id 1 and 17 bytes, not of type_id 1 and 16 bytes;"),
        (bytes(3), 2, "type_id 2 and 3 bytes, not of type_id 2 and 4 bytes or more;"),
    ):
        typed.producer.send(data, type_id)
        for _ in range(2):
            with pytest.raises(UnexpectedMessage, match=text) as caught:
                messages.recv(5)
            assert (caught.value.type_id, caught.value.size) == (type_id, len(data))
        assert typed.consumer.recv(0) == (type_id, len(data), data)
    for data in (
        bytes([7, 0, 0, 0]),
        bytes([7, 0, 0, 0, 8, 0]),
        bytes([7, *bytes(20)]),
    ):
        typed.producer.send(data, 2)
        assert messages.recv(5) == Order(7)


def test_the_classes_are_those_given_here_or_at_opening(pair: Pair) -> None:
    with pytest.raises(ValueError, match="give Message classes as `types`"):
        pair.consumer.messages()
    with pytest.raises(ValueError, match="Order and Other both have the type_id 2"):
        pair.consumer.messages(Order, Other)
    for wrong in (tachyon.Message, int, Tick("A", 1), "Tick"):
        with pytest.raises(TypeError, match="must be a Message class"):
            pair.consumer.messages(wrong)
    fill(pair.producer)
    messages = pair.consumer.messages(Tick, Tick)
    assert messages.recv(5) == Tick("AAPL", 1.5)
    with pytest.raises(UnexpectedMessage):
        messages.recv(5)
    assert Messages(pair.consumer, [Order]).recv(5) == Order(7, 8)


def test_the_end_of_a_stream_ends_iterating_and_a_death_does_not(typed: Pair) -> None:
    messages = typed.consumer.messages()
    fill(typed.producer)
    typed.producer.abort()
    assert [messages.recv(5) for _ in range(3)][1] == Order(7, 8)
    with pytest.raises(PeerDeadError):
        next(messages)
    typed.consumer.close()
    with pytest.raises(ClosedError):
        next(messages)


def test_in_an_event_loop(typed: Pair, run: Run) -> None:
    async def main() -> None:
        messages = typed.consumer.messages()
        with pytest.raises(TimeoutError):
            await messages.recv_async(0.01)
        waiting = asyncio.create_task(messages.recv_async())
        await asyncio.sleep(0.01)
        fill(typed.producer)
        assert await waiting == Tick("AAPL", 1.5)
        typed.producer.send(b"", 9)
        typed.producer.close()
        seen = []
        with pytest.raises(UnexpectedMessage):
            async for message in messages:
                seen.append(message)
        assert seen == [Order(7, 8), Tick("MSFT", 2.5)]
        assert (await typed.consumer.recv_async()).type_id == 9
        assert [message async for message in messages] == []
        typed.consumer.close()
        with pytest.raises(ClosedError):
            await anext(messages)

    run(main())


class Closing(int):
    """A number that closes a bus when it is compared."""

    buses: ClassVar[list[Bus]] = []

    __hash__ = int.__hash__

    def __eq__(self, other: object) -> bool:
        while self.buses:
            self.buses.pop()._bus.destroy()
        return int(self) == other


def test_a_number_that_closes_the_bus_is_not_asked(pair: Pair) -> None:
    class Odd(tachyon.Message, type_id=Closing(5)):
        x: tachyon.u8

    messages = pair.consumer.messages(Odd)
    Closing.buses.append(pair.consumer)
    pair.producer.send(b"\x07", type_id=5)
    assert messages.recv(timeout=10).x == 7
    pair.producer.send(b"\x07", type_id=5)
    with pytest.raises(ClosedError):
        pair.consumer._recv_record({Closing(5): Odd}, 10)
    assert not Closing.buses


def test_a_peer_of_many_sizes_fills_no_memory(pair: Pair) -> None:
    order = pair.consumer.channel(Order)
    for size in range(8, 208):
        pair.producer.send(bytes(size), type_id=2)
        with order.drain_batch(timeout=10) as batch:
            assert batch.array.dtype.itemsize == size
    assert len(Order.__tachyon__.dtypes) <= 64
