#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Send the ticks of python_producer_rust_consumer in four ways, to its consumer.

Input, messages, sentinel and options are those of its producer, but for --rate; --how
is the way.
"""

import argparse
import itertools
import struct
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tachyon import Bus

PAIR = Path(__file__).resolve().parent.parent / "python_producer_rust_consumer"
sys.path.append(str(PAIR))

from market_tick import MarketTick  # noqa: E402
from producer import (  # noqa: E402
    BATCH,
    FMT,
    TICK_SIZE,
    Progress,
    Row,
    Send,
    main,
    send_ticks,
)

BLOCK = 2048  # ticks of one send_batch() for each side, at least


def in_batches(rows: Sequence[Row], count: int) -> Iterator[Iterator[Row]]:
    """Cycle through the rows, and report the progress after every 64."""
    progress = Progress(count)
    ticks = itertools.cycle(rows)
    try:
        for sent in range(0, count, BATCH):
            yield itertools.islice(ticks, min(BATCH, count - sent))
            progress.update(sent)
    finally:
        progress.clear()


def by_buf(bus: Bus, rows: Sequence[Row], count: int, timestamped: bool) -> None:
    """Write into the slot through the view that its guard owns."""
    pack_into, time_ns = struct.Struct(FMT).pack_into, time.time_ns
    for batch in in_batches(rows, count):
        for symbol, price, qty, t in batch:
            with bus.send_zero_copy(TICK_SIZE, t) as tx:
                pack_into(
                    tx.buf, 0, symbol, price, qty, time_ns() if timestamped else 0
                )
                tx.actual_size = TICK_SIZE


def by_channel(bus: Bus, rows: Sequence[Row], count: int, timestamped: bool) -> None:
    """Call a channel with the fields; there is one for each type."""
    channels = {t: bus.channel(FMT, t) for t in {row[3] for row in rows}}
    time_ns = time.time_ns
    for batch in in_batches(rows, count):
        for symbol, price, qty, t in batch:
            channels[t](symbol, price, qty, time_ns() if timestamped else 0)


def by_batch(bus: Bus, rows: Sequence[Row], count: int, timestamped: bool) -> None:
    """Send arrays: of each block of rows first the bids, then the asks."""
    block = list(rows) * -(-BLOCK // len(rows))
    sides = []
    for t in {row[3] for row in rows}:
        places = [i for i, row in enumerate(block) if row[3] == t]
        ticks = np.zeros(len(places), MarketTick.dtype)
        for field, column in enumerate(("symbol", "price", "quantity")):
            ticks[column] = [block[i][field] for i in places]
        sides.append((bus.channel(MarketTick.dtype, t), ticks, places))
    progress = Progress(count)
    try:
        for sent in range(0, count, len(block)):
            for channel, ticks, places in sides:
                part = ticks[: np.searchsorted(places, count - sent)]
                if timestamped:
                    part["timestamp"] = time.time_ns()
                channel.send_batch(part)
            progress.update(sent)
    finally:
        progress.clear()


WAYS: dict[str, Send] = {
    "guard": send_ticks,
    "buf": by_buf,
    "channel": by_channel,
    "batch": by_batch,
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="Other options: those of the pair's producer.py."
    )
    parser.add_argument(
        "--how",
        choices=WAYS,
        default="batch",
        help="send_zero_copy() with a memoryview as there, with tx.buf, a channel's "
        "call, or send_batch() of NumPy arrays (default: %(default)s)",
    )
    arguments, others = parser.parse_known_args()
    sys.exit(main(WAYS[arguments.how], others))
