# SPDX-License-Identifier: Apache-2.0
"""What type checkers make of messages with fields; python.mypy_messages reads it."""

from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import assert_type

from tachyon import Bus, Channel, Message, MessageChannel, UnexpectedMessage

from every import Cancel, Side, Tick, Tick_spread


def send(bus: Bus) -> None:
    """Send in all ways."""
    channel = bus.channel(Tick)
    assert_type(channel, MessageChannel[Tick])
    channel("AAPL", 189.5, side=Side.ASK, timeout=1)
    with channel.send(timeout=1) as tick:
        assert_type(tick, Tick)
        tick.price = 189.5
        tick.side = Side.BID
        tick.volume = 3  # type: ignore[attr-defined]
        tick.price = "much"  # type: ignore[assignment]
    channel.send_batch(np.zeros(5, Tick.dtype))
    bus.send(Tick("AAPL"), Tick.type_id)


def receive(bus: Bus) -> None:
    """Receive in all ways."""
    for tick in bus.channel(Tick):
        assert_type(tick, Tick)
        assert_type(tick.symbol, bytes)
        assert_type(tick.side, Side | int)
        assert_type(tick.venue, npt.NDArray[np.uint32])
        assert_type(tick.spread, tuple[Tick_spread, ...])
    assert_type(bus.channel(Cancel).recv(timeout=1).dlc, int)
    assert_type(bus.channel("<I", 1), Channel)
    with bus.channel(Tick).drain_batch() as batch:
        len(batch)


def receive_any(bus: Bus) -> None:
    """Receive what has no class of its own."""
    for type_id, size, data in bus:
        assert_type(type_id, int)
        assert_type(size, int)
        assert_type(data, bytes)
    message: Message = bus.recv()
    assert_type(bus.recv().data, bytes)
    assert_type(message == Message(1, 2, b"ab"), bool)


def describe(message: Tick | Cancel) -> str:
    """Tell messages apart."""
    match message:
        case Tick(price=price):
            assert_type(price, float)
            return str(price)
        case Cancel(order=order):
            assert_type(order, int)
            return str(order)


def make() -> tuple[Any, ...]:
    """Make some by themselves."""
    tick = Tick("AAPL", price=1)
    assert_type(Tick.type_id, int)
    assert_type(Tick.types, str)
    assert_type(tick, Tick)
    symbol, price, *_ = tick
    return (symbol, price, Tick(), Tick.from_bytes(bytes(64)), UnexpectedMessage)
