#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Read quotes from a file of any size, some at a time, and send them as Arrow batches.

pyarrow parses; each batch is written once more, into the ring, and not pickled.
"""

import argparse
from pathlib import Path

import pyarrow as pa
from pyarrow import csv

from tachyon import Bus

SOCKET = "/tmp/tachyon_dataframes.sock"
QUOTES = Path(__file__).resolve().parents[1] / "data" / "quotes.csv"
TYPES = {
    "date": pa.date32(),
    "symbol": pa.string(),
    "side": pa.string(),
    "price": pa.float64(),
    "quantity": pa.int64(),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", type=Path, default=QUOTES, metavar="CSV")
    parser.add_argument("--block", type=int, default=8192, metavar="BYTES")
    parser.add_argument("--socket", default=SOCKET, metavar="PATH")
    args = parser.parse_args()

    rows = batches = 0
    blocks = csv.open_csv(
        args.file,
        csv.ReadOptions(block_size=args.block),
        convert_options=csv.ConvertOptions(column_types=TYPES),
    )
    with Bus.connect(args.socket, timeout=10) as bus:
        for batch in blocks:
            bus.send_arrow(batch)
            rows += batch.num_rows
            batches += 1
    print(f"{rows} rows in {batches} batches")


if __name__ == "__main__":
    main()
