# SPDX-License-Identifier: Apache-2.0
"""The messages of every.h as classes. mypy checks what attributes give."""

from enum import IntEnum
from typing import Any, Literal

from typing_extensions import assert_type

import tachyon


class Side(IntEnum):
    """An enum of C."""

    BID = 1
    ASK = 2


class Spread:
    """A part of a message."""

    bid: tachyon.f32
    ask: tachyon.f32


class part:  # noqa: N801 - as the header has it
    """Another one."""

    a: tachyon.char
    b: tachyon.f64


class Tick(tachyon.Message, type_id=1, may_grow=True):
    """A message that has grown twice."""

    symbol: tachyon.char[Literal[8]]
    price: tachyon.f64
    side: Side
    halted: bool
    reserved: tachyon.u8[Literal[3]]
    venue: tachyon.u32[Literal[2]]
    spread: tachyon.array[Spread, Literal[2]]
    late: tachyon.u64 = tachyon.since(2)
    port: tachyon.u16 = tachyon.since(3)
    flags: tachyon.array[bool, Literal[6]] = tachyon.since(3)


class Cancel(tachyon.Message, type_id=2):
    """A message with all that is rare."""

    order: tachyon.u32
    len: tachyon.u8
    net: tachyon.u16be
    parts: tachyon.array[part, tuple[Literal[2], Literal[3]]]
    sides: tachyon.array[Side, Literal[3]]
    type: tachyon.i32


def types_of_attributes(tick: Tick, cancel: Cancel) -> None:
    """Say what type checkers are to see."""
    assert_type(tick.symbol, bytes)
    assert_type(tick.price, float)
    assert_type(tick.side, Side)
    assert_type(tick.halted, bool)
    assert_type(tick.reserved, bytes)
    assert_type(tick.venue, Any)
    assert_type(tick.late, int)
    assert_type(cancel.net, int)
    assert_type(cancel.len, int)
    tick.symbol = "AAPL"
    tick.price = 1.5
