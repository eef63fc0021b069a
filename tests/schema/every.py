# tachyon.schema 1, every.h f87bb6f5715b7a35: written by python -m tachyon.schema
# ruff: noqa
# fmt: off
"""The messages of every.h."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

import tachyon

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

FINGERPRINT = 0x0fed4c1accdba15c
TYPES = """\
tachyon-types 1 little
enum Side u32
 BID 1
 ASK 2
struct Tick.spread
 bid f32 @0
 ask f32 @4
 = 8 align 4
message 1 Tick +
 symbol char[8] @0
 price f64 @8
 side Side @16
 halted bool @20
 reserved u8[3] @21
 venue u32[2] @24
 spread Tick.spread[2] @32
 late u64 @48
 port u16 @56
 flags bool[6] @58
 = 64 align 8
struct part
 a char @0
 b f64 @8
 = 16 align 8
message 2 Cancel
 order u32 @0
 len u8 @4
 net u16be @6
 parts part[2][3] @8
 sides Side[3] @104
 type i32 @116
 = 120 align 8
"""
LEVELS = 10


class Side(IntEnum):
    """Side, held by u32; a peer may send any value."""

    BID = 1
    ASK = 2


if TYPE_CHECKING:
    class Tick_spread:
        """A part of a message."""

        bid: float
        ask: float

    class part:
        """A part of a message."""

        a: bytes
        b: float


class Tick(
    tachyon.Message,
    type_id=1,
    types="""\
tachyon-types 1 little
enum Side u32
 BID 1
 ASK 2
struct Tick.spread
 bid f32 @0
 ask f32 @4
 = 8 align 4
message 1 Tick +
 symbol char[8] @0
 price f64 @8
 side Side @16
 halted bool @20
 reserved u8[3] @21
 venue u32[2] @24
 spread Tick.spread[2] @32
 late u64 @48
 port u16 @56
 flags bool[6] @58
 = 64 align 8
""",
    smallest=48,
    enums={"Side": Side},
):
    """Message 1: 64 bytes, and later versions more."""

    symbol: bytes
    price: float
    side: Side | int
    halted: bool
    reserved: bytes
    venue: npt.NDArray[np.uint32]
    spread: tuple[Tick_spread, ...]
    late: int
    port: int
    flags: npt.NDArray[np.bool_]


class Cancel(
    tachyon.Message,
    type_id=2,
    types="""\
tachyon-types 1 little
struct part
 a char @0
 b f64 @8
 = 16 align 8
enum Side u32
 BID 1
 ASK 2
message 2 Cancel
 order u32 @0
 len u8 @4
 net u16be @6
 parts part[2][3] @8
 sides Side[3] @104
 type i32 @116
 = 120 align 8
""",
    enums={"Side": Side},
    aliases={"dlc": "len"},
):
    """Message 2: 120 bytes."""

    order: int
    len: int
    dlc: int
    net: int
    parts: tuple[tuple[part, ...], ...]
    sides: npt.NDArray[np.uint32]
    type: int
