# tachyon.schema 1, tick.h 7c75ce240f0637cd: written by python -m tachyon.schema
# ruff: noqa
# fmt: off
"""The messages of tick.h."""

from __future__ import annotations

from enum import IntEnum

import tachyon

FINGERPRINT = 0x4697e9c81ab5c768
TYPES = """\
tachyon-types 1 little
enum Side u32
 BID 1
 ASK 2
message 1 Tick +
 symbol char[8] @0
 price f64 @8
 timestamp u64 @16
 quantity u32 @24
 side Side @28
 = 32 align 8
"""


class Side(IntEnum):
    """Side, held by u32; a peer may send any value."""

    BID = 1
    ASK = 2


class Tick(
    tachyon.Message,
    type_id=1,
    types="""\
tachyon-types 1 little
enum Side u32
 BID 1
 ASK 2
message 1 Tick +
 symbol char[8] @0
 price f64 @8
 timestamp u64 @16
 quantity u32 @24
 side Side @28
 = 32 align 8
""",
    smallest=32,
    enums={"Side": Side},
):
    """Message 1: 32 bytes, and later versions more."""

    symbol: bytes
    price: float
    timestamp: int
    quantity: int
    side: Side | int
