# tachyon.schema 1, detections.h 9624e48c557055cc: written by python -m tachyon.schema
# ruff: noqa
# fmt: off
"""The messages of detections.h."""

from __future__ import annotations

import tachyon

FINGERPRINT = 0x4f3f56cddf2d9ceb
TYPES = """\
tachyon-types 1 little
message 1 Detection
 picture u32 @0
 pixels u32 @4
 x f32 @8
 y f32 @12
 left u16 @16
 top u16 @18
 right u16 @20
 bottom u16 @22
 = 24 align 4
"""


class Detection(
    tachyon.Message,
    type_id=1,
    types="""\
tachyon-types 1 little
message 1 Detection
 picture u32 @0
 pixels u32 @4
 x f32 @8
 y f32 @12
 left u16 @16
 top u16 @18
 right u16 @20
 bottom u16 @22
 = 24 align 4
""",
):
    """Message 1: 24 bytes."""

    picture: int
    pixels: int
    x: float
    y: float
    left: int
    top: int
    right: int
    bottom: int
