# tachyon.schema 1, market_tick.h 8734ad7852bd0ba0: written by python -m tachyon.schema
# ruff: noqa
# fmt: off
"""The messages of market_tick.h."""

from __future__ import annotations

from enum import IntEnum

import tachyon

FINGERPRINT = 0xdbadd98bea05920f
TYPES = """\
tachyon-types 1 little
message 1 MarketTick
 symbol char[8] @0
 price f64 @8
 quantity u32 @16
 timestamp u64 @20
 padding u8[4] @28
 = 32 align 1
"""


class MarketTickType(IntEnum):
    """MarketTickType, held by u32; a peer may send any value."""

    MARKET_TICK_SENTINEL = 0
    MARKET_TICK_BID = 1
    MARKET_TICK_ASK = 2


class MarketTick(
    tachyon.Message,
    type_id=1,
    types="""\
tachyon-types 1 little
message 1 MarketTick
 symbol char[8] @0
 price f64 @8
 quantity u32 @16
 timestamp u64 @20
 padding u8[4] @28
 = 32 align 1
""",
):
    """Message 1: 32 bytes."""

    symbol: bytes
    price: float
    quantity: int
    timestamp: int
    padding: bytes
