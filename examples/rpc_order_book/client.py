#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trade with the order books of the Rust server, and time the calls.

The calls are described in order_book.h.
"""

import argparse
import math
import sys
import time
from collections import deque
from typing import NamedTuple

from order_book import (
    OrderBookAdd,
    OrderBookCancel,
    OrderBookLook,
    OrderBookOrder,
    OrderBookSide,
    OrderBookSnapshot,
)

from tachyon import MSG_TYPE_ERROR, Message, RpcBus, RpcError, TachyonError

MESSAGES = [
    OrderBookLook,
    OrderBookAdd,
    OrderBookCancel,
    OrderBookSnapshot,
    OrderBookOrder,
]
BID, ASK = OrderBookSide

OUTSTANDING = 64  # calls at once, in the second timing


class Level(NamedTuple):
    price: float
    quantity: float


class Snapshot(NamedTuple):
    """The best levels of one book."""

    symbol: str
    sequence: int
    bids: list[Level]
    asks: list[Level]


def snapshot_of(reply: OrderBookSnapshot) -> Snapshot:
    bids, asks = (
        [Level(*level) for level in side if level.quantity]
        for side in (reply.bids, reply.asks)
    )
    return Snapshot(reply.symbol.decode("ascii"), reply.sequence, bids, asks)


class OrderBooks:
    """The server's calls as methods. What it refuses raises RpcError."""

    def __init__(self, rpc: RpcBus) -> None:
        self._rpc = rpc

    def snapshot(self, symbol: str) -> Snapshot:
        reply = self._call(OrderBookLook(symbol))
        return snapshot_of(OrderBookSnapshot.from_bytes(reply))

    def add(self, symbol: str, side: int, price: float, quantity: float) -> int:
        """Return the order's id."""
        reply = self._call(OrderBookAdd(symbol, price, quantity, side))
        return OrderBookOrder.from_bytes(reply).order_id

    def cancel(self, order_id: int) -> None:
        self._call(OrderBookCancel(order_id))

    def _call(self, request: Message) -> bytes:
        with self._rpc.wait(self._rpc.call(request, type(request).type_id)) as reply:
            if reply.type_id == MSG_TYPE_ERROR:
                raise RpcError(bytes(reply)[2:].decode())
            return bytes(reply)


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
    request = OrderBookLook(symbol)
    outstanding: deque[int] = deque()

    def take_one() -> None:
        with rpc.wait(outstanding.popleft()) as reply:
            snapshot_of(OrderBookSnapshot.from_bytes(reply))

    start = time.perf_counter()
    for _ in range(calls):
        if len(outstanding) == OUTSTANDING:
            take_one()
        outstanding.append(rpc.call(request, OrderBookLook.type_id))
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
        with RpcBus.rpc_connect(args.socket, timeout=math.inf, types=MESSAGES) as rpc:
            books = OrderBooks(rpc)
            trade(books, args.symbol)
            time_one_by_one(books, args.symbol, args.calls)
            time_outstanding(rpc, args.symbol, args.calls)
    except (TachyonError, OSError, ValueError) as error:
        sys.exit(f"client: {error}")


if __name__ == "__main__":
    main()
