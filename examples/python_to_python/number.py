# tachyon.schema 1, number.h 65491ece62007027: written by python -m tachyon.schema
# ruff: noqa
# fmt: off
"""The messages of number.h."""

from __future__ import annotations

import tachyon

FINGERPRINT = 0x6ca22c346166ff1d
TYPES = """\
tachyon-types 1 little
message 1 Number
 value u64 @0
 = 8 align 8
"""


class Number(
    tachyon.Message,
    type_id=1,
    types="""\
tachyon-types 1 little
message 1 Number
 value u64 @0
 = 8 align 8
""",
):
    """Message 1: 8 bytes."""

    value: int
