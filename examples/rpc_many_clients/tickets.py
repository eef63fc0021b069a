# tachyon.schema 1, tickets.h a5d83e91c150bbdc: written by python -m tachyon.schema
# ruff: noqa
# fmt: off
"""The messages of tickets.h."""

from __future__ import annotations

import tachyon

FINGERPRINT = 0x6a920d2ad5956fd8
TYPES = """\
tachyon-types 1 little
message 1 Ticket
 number u64 @0
 ticket u64 @8
 = 16 align 8
"""
TICKET_ERROR = 65535


class Ticket(
    tachyon.Message,
    type_id=1,
    types="""\
tachyon-types 1 little
message 1 Ticket
 number u64 @0
 ticket u64 @8
 = 16 align 8
""",
):
    """Message 1: 16 bytes."""

    number: int
    ticket: int
