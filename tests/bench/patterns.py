# SPDX-License-Identifier: Apache-2.0
"""What a user of the package writes for each message, in loops that time themselves.

Each takes a bus and a number of messages and returns the nanoseconds that all of them
took. But for the class of messages they use no name of the package, so they run on any
bus with its methods.
"""

import struct
import sys
import time
from collections.abc import Callable
from typing import Any

import tachyon

FMT = "<8sdIQ4x"  # the example's MarketTick
SIZE = struct.calcsize(FMT)
PAYLOAD = bytes(range(SIZE))
SYMBOL, PRICE, QUANTITY = b"AAPL", 189.5, 100

Pattern = Callable[[Any, int], int]


class MarketTick(
    tachyon.Message,
    type_id=1,
    types=f"""\
tachyon-types 1 {sys.byteorder}
message 1 MarketTick
 symbol char[8] @0
 price f64 @8
 quantity u32 @16
 timestamp u64 @20
 padding u8[4] @28
 = 32 align 1
""",
):
    """The same as a class of messages."""

    symbol: bytes
    price: float
    quantity: int
    timestamp: int
    padding: bytes


# ---- The floor: the same statements, no bus ----


class NullGuard:
    """What a guard costs whose entering and leaving do nothing."""

    __slots__ = ("actual_size",)
    actual_size: int

    def __enter__(self) -> "NullGuard":
        return self

    def __exit__(self, *_: object) -> None:
        return None


GUARD, BUFFER = NullGuard(), bytearray(SIZE)


def null_send_zero_copy(size: int, type_id: int) -> NullGuard:
    return GUARD


def floor(bus: Any, count: int) -> int:
    start = time.perf_counter_ns()
    for _ in range(count):
        with null_send_zero_copy(size=SIZE, type_id=1) as tx:
            with memoryview(BUFFER) as mv:
                struct.pack_into(FMT, mv, 0, SYMBOL, PRICE, QUANTITY, time.time_ns())
            tx.actual_size = SIZE
    return time.perf_counter_ns() - start


def floor_without_timestamp(bus: Any, count: int) -> int:
    start = time.perf_counter_ns()
    for i in range(count):
        with null_send_zero_copy(size=SIZE, type_id=1) as tx:
            with memoryview(BUFFER) as mv:
                struct.pack_into(FMT, mv, 0, SYMBOL, PRICE, QUANTITY, i)
            tx.actual_size = SIZE
    return time.perf_counter_ns() - start


# ---- Sending ----


def send_zero_copy(bus: Any, count: int) -> int:
    start = time.perf_counter_ns()
    for _ in range(count):
        with bus.send_zero_copy(size=SIZE, type_id=1) as tx:
            with memoryview(tx) as mv:
                struct.pack_into(FMT, mv, 0, SYMBOL, PRICE, QUANTITY, time.time_ns())
            tx.actual_size = SIZE
    return time.perf_counter_ns() - start


def send_zero_copy_without_timestamp(bus: Any, count: int) -> int:
    start = time.perf_counter_ns()
    for i in range(count):
        with bus.send_zero_copy(size=SIZE, type_id=1) as tx:
            with memoryview(tx) as mv:
                struct.pack_into(FMT, mv, 0, SYMBOL, PRICE, QUANTITY, i)
            tx.actual_size = SIZE
    return time.perf_counter_ns() - start


def send_zero_copy_by_buf(bus: Any, count: int) -> int:
    start = time.perf_counter_ns()
    for _ in range(count):
        with bus.send_zero_copy(size=SIZE, type_id=1) as tx:
            struct.pack_into(FMT, tx.buf, 0, SYMBOL, PRICE, QUANTITY, time.time_ns())
            tx.actual_size = SIZE
    return time.perf_counter_ns() - start


def send(bus: Any, count: int) -> int:
    start = time.perf_counter_ns()
    for _ in range(count):
        bus.send(PAYLOAD, 1)
    return time.perf_counter_ns() - start


def channel(bus: Any, count: int) -> int:
    send = bus.channel(FMT, 1)
    start = time.perf_counter_ns()
    for _ in range(count):
        send(SYMBOL, PRICE, QUANTITY, time.time_ns())
    return time.perf_counter_ns() - start


def message_in_place(bus: Any, count: int) -> int:
    channel = bus.channel(MarketTick)
    start = time.perf_counter_ns()
    for _ in range(count):
        with channel.send() as tick:
            tick.symbol = SYMBOL
            tick.price = PRICE
            tick.quantity = QUANTITY
            tick.timestamp = time.time_ns()
    return time.perf_counter_ns() - start


def message_call(bus: Any, count: int) -> int:
    send = bus.channel(MarketTick)
    start = time.perf_counter_ns()
    for _ in range(count):
        send(SYMBOL, PRICE, QUANTITY, time.time_ns())
    return time.perf_counter_ns() - start


def message_keywords(bus: Any, count: int) -> int:
    send = bus.channel(MarketTick)
    start = time.perf_counter_ns()
    for _ in range(count):
        send(symbol=SYMBOL, price=PRICE, quantity=QUANTITY, timestamp=time.time_ns())
    return time.perf_counter_ns() - start


# ---- Receiving ----


def channel_iterate(bus: Any, count: int) -> int:
    left = count
    start = time.perf_counter_ns()
    for _symbol, _price, _quantity, _timestamp in bus.channel(FMT, 1):
        left -= 1
        if not left:
            break
    return time.perf_counter_ns() - start


def message_iterate(bus: Any, count: int) -> int:
    left = count
    start = time.perf_counter_ns()
    for tick in bus.channel(MarketTick):
        _symbol = tick.symbol
        _price = tick.price
        _quantity = tick.quantity
        _timestamp = tick.timestamp
        left -= 1
        if not left:
            break
    return time.perf_counter_ns() - start


def iterate(bus: Any, count: int) -> int:
    left = count
    start = time.perf_counter_ns()
    for _ in bus:
        left -= 1
        if not left:
            break
    return time.perf_counter_ns() - start


def recv_zero_copy(bus: Any, count: int) -> int:
    start = time.perf_counter_ns()
    for _ in range(count):
        with bus.recv_zero_copy() as rx:
            with memoryview(rx) as mv:
                struct.unpack_from(FMT, mv)
    return time.perf_counter_ns() - start


def drain_batch(bus: Any, count: int) -> int:
    left = count
    start = time.perf_counter_ns()
    while left:
        with bus.drain_batch() as batch:
            for message in batch:
                bytes(message)
            left -= len(batch)
    return time.perf_counter_ns() - start
