#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make quotes.csv from the closing prices in PyPI's `vega_datasets`.

Source: `stocks.csv` of the package `vega_datasets` 0.9.0 (MIT licence, by Jake
VanderPlas and contributors): 560 real closing prices of AAPL, AMZN, GOOG, IBM and
MSFT from January 2000 to March 2010. They are monthly closes, one row a month, although
the package's own description calls them daily.

Added here, by rule and not from any market: each close becomes two quotes, a bid below
and an ask above it (0.05 % of the close away, at least a cent), and each quote a
quantity in lots of 100, derived from its own text. The rows are put in order of date.
The same input gives the same output, byte for byte.

    python -m pip download --no-deps vega_datasets==0.9.0
    unzip vega_datasets-0.9.0-py3-none-any.whl vega_datasets/_data/stocks.csv
    python make_quotes.py vega_datasets/_data/stocks.csv > quotes.csv
"""

import argparse
import csv
import sys
import zlib
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import TextIO

CENT = Decimal("0.01")
HALF_SPREAD = Decimal("0.0005")
LOT = 100
MAX_LOTS = 9


def quotes(closes: TextIO) -> Iterator[tuple[str, str, str, Decimal, int]]:
    """Yield (date, symbol, side, price, quantity), a bid and an ask for each close."""
    rows = [
        (datetime.strptime(row["date"], "%b %d %Y").date(), row["symbol"], row["price"])
        for row in csv.DictReader(closes)
    ]
    for date, symbol, close in sorted(rows, key=lambda row: row[0]):
        middle = Decimal(close)
        distance = max(CENT, (middle * HALF_SPREAD).quantize(CENT))
        for side, price in (("bid", middle - distance), ("ask", middle + distance)):
            lots = 1 + zlib.crc32(f"{date} {symbol} {side}".encode()) % MAX_LOTS
            yield str(date), symbol, side, price, lots * LOT


def main() -> None:
    parser = argparse.ArgumentParser(description="Make quotes.csv from stocks.csv.")
    parser.add_argument("stocks", type=argparse.FileType("r", encoding="utf-8"))
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(("date", "symbol", "side", "price", "quantity"))
    out.writerows(quotes(parser.parse_args().stocks))


if __name__ == "__main__":
    main()
