# tachyon.schema 1, order_book.h 28f464cc07830a1f: written by python -m tachyon.schema
# ruff: noqa
# fmt: off
"""The messages of order_book.h."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

import tachyon

FINGERPRINT = 0x3f55d401a5b16244
TYPES = """\
tachyon-types 1 little
message 1 OrderBookLook
 symbol char[8] @0
 = 8 align 1
enum OrderBookSide u32
 ORDER_BOOK_BID 1
 ORDER_BOOK_ASK 2
message 2 OrderBookAdd
 symbol char[8] @0
 price f64 @8
 quantity f64 @16
 side OrderBookSide @24
 = 32 align 8
message 3 OrderBookCancel
 order_id u64 @0
 = 8 align 8
struct OrderBookLevel
 price f64 @0
 quantity f64 @8
 = 16 align 8
message 4 OrderBookSnapshot
 symbol char[8] @0
 sequence u64 @8
 bids OrderBookLevel[5] @16
 asks OrderBookLevel[5] @96
 = 176 align 8
message 5 OrderBookOrder
 order_id u64 @0
 = 8 align 8
"""
ORDER_BOOK_DONE = 6
ORDER_BOOK_ERROR = 65535
ORDER_BOOK_DEPTH = 5


class OrderBookSide(IntEnum):
    """OrderBookSide, held by u32; a peer may send any value."""

    ORDER_BOOK_BID = 1
    ORDER_BOOK_ASK = 2


if TYPE_CHECKING:
    class OrderBookLevel:
        """A part of a message."""

        price: float
        quantity: float


class OrderBookLook(
    tachyon.Message,
    type_id=1,
    types="""\
tachyon-types 1 little
message 1 OrderBookLook
 symbol char[8] @0
 = 8 align 1
""",
):
    """Message 1: 8 bytes."""

    symbol: bytes


class OrderBookAdd(
    tachyon.Message,
    type_id=2,
    types="""\
tachyon-types 1 little
enum OrderBookSide u32
 ORDER_BOOK_BID 1
 ORDER_BOOK_ASK 2
message 2 OrderBookAdd
 symbol char[8] @0
 price f64 @8
 quantity f64 @16
 side OrderBookSide @24
 = 32 align 8
""",
    enums={"OrderBookSide": OrderBookSide},
):
    """Message 2: 32 bytes."""

    symbol: bytes
    price: float
    quantity: float
    side: OrderBookSide | int


class OrderBookCancel(
    tachyon.Message,
    type_id=3,
    types="""\
tachyon-types 1 little
message 3 OrderBookCancel
 order_id u64 @0
 = 8 align 8
""",
):
    """Message 3: 8 bytes."""

    order_id: int


class OrderBookSnapshot(
    tachyon.Message,
    type_id=4,
    types="""\
tachyon-types 1 little
struct OrderBookLevel
 price f64 @0
 quantity f64 @8
 = 16 align 8
message 4 OrderBookSnapshot
 symbol char[8] @0
 sequence u64 @8
 bids OrderBookLevel[5] @16
 asks OrderBookLevel[5] @96
 = 176 align 8
""",
):
    """Message 4: 176 bytes."""

    symbol: bytes
    sequence: int
    bids: tuple[OrderBookLevel, ...]
    asks: tuple[OrderBookLevel, ...]


class OrderBookOrder(
    tachyon.Message,
    type_id=5,
    types="""\
tachyon-types 1 little
message 5 OrderBookOrder
 order_id u64 @0
 = 8 align 8
""",
):
    """Message 5: 8 bytes."""

    order_id: int
