#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Send ticks to receive.py or ticks-receive; ticks-send is the same in Rust."""

import argparse
import csv
import itertools
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from tick import Side, Tick

from tachyon import Bus, TachyonError

QUOTES = Path(__file__).resolve().parent.parent / "data" / "quotes.csv"
SOCKET = "/tmp/tachyon_ticks.sock"

Row = tuple[str, float, int, Side]  # symbol, price, quantity, side


def read_rows(path: Path) -> list[Row]:
    with path.open(newline="") as file:
        return [
            (
                row["symbol"],
                float(row["price"]),
                int(row["quantity"]),
                Side[row["side"].upper()],
            )
            for row in csv.DictReader(file)
        ]


def by_call(bus: Bus, rows: Iterable[Row]) -> int:
    """Send each tick by one call: packed, and copied into the ring."""
    tick, shares = bus.channel(Tick), 0
    for symbol, price, quantity, side in rows:
        tick(symbol, price, time.time_ns(), quantity, side)
        shares += quantity
    return shares


def in_place(bus: Bus, rows: Iterable[Row]) -> int:
    """Write each field of a tick where it lies in the ring."""
    channel, shares = bus.channel(Tick), 0
    for symbol, price, quantity, side in rows:
        with channel.send() as tick:
            tick.symbol, tick.price, tick.quantity = symbol, price, quantity
            tick.side, tick.timestamp = side, time.time_ns()
        shares += quantity
    return shares


WAYS = {"call": by_call, "place": in_place}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--socket", default=SOCKET, metavar="PATH")
    parser.add_argument("--count", type=int, default=500_000, metavar="N")
    parser.add_argument("--input", type=Path, default=QUOTES, metavar="FILE")
    parser.add_argument("--how", choices=WAYS, default="call")
    args = parser.parse_args()
    try:
        rows = itertools.islice(itertools.cycle(read_rows(args.input)), args.count)
        with Bus.connect(args.socket, timeout=60, types=[Tick]) as bus:
            start = time.perf_counter()
            shares = WAYS[args.how](bus, rows)
            seconds = time.perf_counter() - start
    except (TachyonError, OSError, LookupError, ValueError) as error:
        sys.exit(f"send: {error}")
    print(
        f"sent: {args.count:,} ticks of {shares:,} shares, "
        f"{args.count / seconds / 1e6:.2f} M ticks/s"
    )


if __name__ == "__main__":
    main()
