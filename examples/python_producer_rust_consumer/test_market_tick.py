# SPDX-License-Identifier: Apache-2.0
"""The producer packs by hand what market_tick.py has from the header."""

import struct

import producer
from market_tick import MarketTick


def test_every_field_is_where_the_header_has_it() -> None:
    values = (b"ABCDEFGH", 0.1, 0xA1A2A3A4, 0xB1B2B3B4B5B6B7B8)
    tick = MarketTick.from_bytes(struct.pack(producer.FMT, *values))
    assert tuple(tick) == (*values, bytes(4))
    assert bytes(MarketTick(*values)) == struct.pack(producer.FMT, *values)
