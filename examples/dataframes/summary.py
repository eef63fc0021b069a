#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sum up what reader.py sends, by polars or by DuckDB, where it lies in the ring.

What is kept of a batch is Python's: nothing made of Arrow buffers outlives the block.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

import duckdb
import polars as pl

from tachyon import Bus, ClosedError
from tachyon.arrow import ArrowBatch

SOCKET = "/tmp/tachyon_dataframes.sock"
CAPACITY = 1 << 20

# Symbol, quotes, shares, worth, first and last day.
Row = tuple[str, int, int, float, date, date]


def by_polars(batch: ArrowBatch) -> list[Any]:
    return (
        pl.DataFrame(batch)
        .group_by("symbol")
        .agg(
            pl.len(),
            pl.col("quantity").sum(),
            (pl.col("price") * pl.col("quantity")).sum(),
            first=pl.col("date").min(),
            last=pl.col("date").max(),
        )
        .rows()
    )


def by_duckdb(batch: ArrowBatch) -> list[Any]:
    return duckdb.sql(
        "SELECT symbol, count(*), sum(quantity), sum(price * quantity), "
        "min(date), max(date) FROM batch GROUP BY symbol"
    ).fetchall()


ENGINES: dict[str, Callable[[ArrowBatch], list[Row]]] = {
    "polars": by_polars,
    "duckdb": by_duckdb,
}


@dataclass
class Total:
    """What all batches have had of a symbol."""

    quotes: int = 0
    shares: int = 0
    worth: float = 0.0
    first: date = date.max
    last: date = date.min

    def add(
        self, quotes: int, shares: int, worth: float, first: date, last: date
    ) -> None:
        self.quotes += quotes
        self.shares += int(shares)
        self.worth += worth
        self.first = min(self.first, first)
        self.last = max(self.last, last)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=ENGINES, default="polars")
    parser.add_argument("--socket", default=SOCKET, metavar="PATH")
    args = parser.parse_args()

    totals: dict[str, Total] = {}
    with Bus.listen(args.socket, CAPACITY) as bus:
        while True:
            try:
                with bus.recv_arrow_zero_copy() as batch:
                    for symbol, *row in ENGINES[args.engine](batch):
                        totals.setdefault(symbol, Total()).add(*row)
            except ClosedError:  # the end of the stream
                break
    for symbol, total in sorted(totals.items()):
        average = total.worth / total.shares
        print(
            f"{symbol}: {total.quotes} quotes of {total.shares} shares at "
            f"{average:.2f}, {total.first} to {total.last}"
        )


if __name__ == "__main__":
    main()
