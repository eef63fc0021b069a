# SPDX-License-Identifier: Apache-2.0
"""The producer's struct format is market_tick.h as SWIG and the C compiler see it."""

import struct

import market_tick_abi as abi
import producer


def test_size_is_that_of_the_header() -> None:
    assert producer.TICK_SIZE == abi.MARKET_TICK_SIZE


def test_types_are_those_of_the_header() -> None:
    assert (producer.SENTINEL, producer.BID, producer.ASK) == (
        abi.MARKET_TICK_SENTINEL,
        abi.MARKET_TICK_BID,
        abi.MARKET_TICK_ASK,
    )


def test_every_field_is_where_the_header_has_it() -> None:
    values = (b"ABCDEFGH", 0.1, 0xA1A2A3A4, 0xB1B2B3B4B5B6B7B8)
    tick = abi.MarketTick()
    abi.memmove(tick, b"\xff" * producer.TICK_SIZE)
    abi.memmove(tick, struct.pack(producer.FMT, *values))
    assert (tick.symbol, tick.price, tick.quantity, tick.timestamp) == values
    assert tick.padding == bytes(4)


def test_the_header_has_no_other_field() -> None:
    fields = [
        name
        for name, value in vars(abi.MarketTick).items()
        if isinstance(value, property) and name != "thisown"
    ]
    assert fields == ["symbol", "price", "quantity", "timestamp", "padding"]
