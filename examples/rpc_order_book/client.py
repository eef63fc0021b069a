#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trade with the order books of the Rust server, and time the calls.

The calls are described in order_book.h.
"""

import argparse
import math
import struct
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from tachyon import MSG_TYPE_ERROR, RpcBus, RpcError, RpcRxGuard, TachyonError

# Compared with order_book.h by test_order_book_abi.py.
SNAPSHOT, ADD, CANCEL = 1, 2, 3
BID, ASK = 1, 2
DEPTH = 5
SNAPSHOT_FORMAT = struct.Struct(f"<8sQ{4 * DEPTH}d")
REQUEST_FORMAT = struct.Struct("<8s")
ADD_FORMAT = struct.Struct("<8sddI4x")
ORDER_FORMAT = struct.Struct("<Q")

OUTSTANDING = 64  # calls at once, in the second timing

Result = TypeVar("Result")


class Level(NamedTuple):
    price: float
    quantity: float


class Snapshot(NamedTuple):
    """The best levels of one book."""

    symbol: str
    sequence: int
    bids: list[Level]
    asks: list[Level]


def parse_snapshot(reply: RpcRxGuard | bytes) -> Snapshot:
    symbol, sequence, *numbers = SNAPSHOT_FORMAT.unpack(reply)
    levels = [Level(*numbers[i : i + 2]) for i in range(0, len(numbers), 2)]
    bids, asks = (
        [level for level in side if level.quantity]
        for side in (levels[:DEPTH], levels[DEPTH:])
    )
    return Snapshot(symbol.rstrip(b"\0").decode("ascii"), sequence, bids, asks)


def parse_order(reply: RpcRxGuard) -> int:
    return int(ORDER_FORMAT.unpack(reply)[0])


def encode(symbol: str) -> bytes:
    data = symbol.encode("ascii")
    if not 1 <= len(data) <= 8:
        raise ValueError(f"symbol {symbol!r} is not 1 to 8 characters")
    return data


class OrderBooks:
    """The server's calls as methods. What it refuses raises RpcError."""

    def __init__(self, rpc: RpcBus) -> None:
        self._rpc = rpc

    def snapshot(self, symbol: str) -> Snapshot:
        return self._call(SNAPSHOT, REQUEST_FORMAT.pack(encode(symbol)), parse_snapshot)

    def add(self, symbol: str, side: int, price: float, quantity: float) -> int:
        """Return the order's id."""
        request = ADD_FORMAT.pack(encode(symbol), price, quantity, side)
        return self._call(ADD, request, parse_order)

    def cancel(self, order_id: int) -> None:
        self._call(CANCEL, ORDER_FORMAT.pack(order_id), bytes)

    def _call(
        self, msg_type: int, request: bytes, parse: Callable[[RpcRxGuard], Result]
    ) -> Result:
        with self._rpc.wait(self._rpc.call(request, msg_type)) as reply:
            if reply.type_id == MSG_TYPE_ERROR:
                raise RpcError(bytes(reply)[2:].decode())
            return parse(reply)


def show(snapshot: Snapshot) -> None:
    print(f"{snapshot.symbol} after {snapshot.sequence} changes")
    for ask in reversed(snapshot.asks):
        print(f"{'':22} {ask.price:9.2f} {ask.quantity:10,.0f}")
    for bid in snapshot.bids:
        print(f"{bid.quantity:12,.0f} {bid.price:9.2f}")


def trade(books: OrderBooks, symbol: str) -> None:
    """Fill a book, show it, change it, and try what cannot be done."""
    orders = [
        books.add(symbol, side, middle + step * i, 100 * i)
        for side, middle, step in ((BID, 189.50, -0.01), (ASK, 189.50, 0.01))
        for i in range(1, 8)
    ]
    show(books.snapshot(symbol))
    books.cancel(orders[0])
    best = books.snapshot(symbol).bids[0]
    print(f"best bid without the first order: {best.quantity:,.0f} at {best.price:.2f}")
    for what, attempt in (
        ("a bid at 200", lambda: books.add(symbol, BID, 200.0, 1)),
        ("to cancel it again", lambda: books.cancel(orders[0])),
    ):
        try:
            attempt()
        except RpcError as error:
            print(f"{what}: {error}")


def time_one_by_one(books: OrderBooks, symbol: str, calls: int) -> None:
    times = []
    for _ in range(calls):
        start = time.perf_counter_ns()
        books.snapshot(symbol)
        times.append(time.perf_counter_ns() - start)
    times.sort()
    p50, p99 = (times[int(q * (calls - 1))] / 1e3 for q in (0.5, 0.99))
    print(
        f"one by one: {calls / sum(times) * 1e3:.3f} M calls/s, "
        f"p50 {p50:.2f} µs, p99 {p99:.2f} µs"
    )


def time_outstanding(rpc: RpcBus, symbol: str, calls: int) -> None:
    request = REQUEST_FORMAT.pack(encode(symbol))
    outstanding: deque[int] = deque()

    def take_one() -> None:
        with rpc.wait(outstanding.popleft()) as reply:
            parse_snapshot(reply)

    start = time.perf_counter()
    for _ in range(calls):
        if len(outstanding) == OUTSTANDING:
            take_one()
        outstanding.append(rpc.call(request, SNAPSHOT))
    while outstanding:
        take_one()
    seconds = time.perf_counter() - start
    print(f"{OUTSTANDING} outstanding: {calls / seconds / 1e6:.3f} M calls/s")


def main() -> None:
    def positive(text: str) -> int:
        if (value := int(text)) < 1:
            raise argparse.ArgumentTypeError(f"{value} is not positive")
        return value

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--socket", default="/tmp/tachyon_order_book.sock", metavar="PATH"
    )
    parser.add_argument("--symbol", default="AAPL")
    parser.add_argument(
        "--calls",
        type=positive,
        default=100_000,
        metavar="N",
        help="snapshots of each timing (default: 100,000)",
    )
    args = parser.parse_args()
    try:
        # With a time-out it waits for the server to listen.
        with RpcBus.rpc_connect(args.socket, timeout=math.inf) as rpc:
            books = OrderBooks(rpc)
            trade(books, args.symbol)
            time_one_by_one(books, args.symbol, args.calls)
            time_outstanding(rpc, args.symbol, args.calls)
    except (TachyonError, OSError, ValueError) as error:
        sys.exit(f"client: {error}")


if __name__ == "__main__":
    main()
