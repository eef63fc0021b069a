# tachyon.schema 1, frames.h 42f68b41e0d7c7f4: written by python -m tachyon.schema
# ruff: noqa
# fmt: off
"""The messages of frames.h."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tachyon

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

FINGERPRINT = 0x5e26ef1d3d779da0
TYPES = """\
tachyon-types 1 little
message 1 Frame
 samples f32[256] @0
 = 1024 align 4
message 2 End
 frames u64 @0
 adler32 u32 @8
 reserved u8[4] @12
 = 16 align 8
"""
FRAME_SAMPLES = 256


class Frame(
    tachyon.Message,
    type_id=1,
    types="""\
tachyon-types 1 little
message 1 Frame
 samples f32[256] @0
 = 1024 align 4
""",
):
    """Message 1: 1024 bytes."""

    samples: npt.NDArray[np.float32]


class End(
    tachyon.Message,
    type_id=2,
    types="""\
tachyon-types 1 little
message 2 End
 frames u64 @0
 adler32 u32 @8
 reserved u8[4] @12
 = 16 align 8
""",
):
    """Message 2: 16 bytes."""

    frames: int
    adler32: int
    reserved: bytes
