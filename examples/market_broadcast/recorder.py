#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Record every tick of a broadcast into a file, also across the recorder's own death.

The producer keeps the place of a reader with a name that has died. What was taken and
not released comes again, so the file says at which position each of its blocks begins:
who comes back throws away what is about to come again, and records every tick once.
"""

import argparse
import contextlib
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from tachyon import Bus, Position, Role, TachyonError

PAIR = Path(__file__).resolve().parent.parent / "python_producer_rust_consumer"
sys.path.append(str(PAIR))

from market_tick import MarketTick  # noqa: E402
from producer import SENTINEL, SOCKET  # noqa: E402

BLOCK = struct.Struct("<QQI")  # epoch, position where it begins, ticks in it
RECORD = struct.Struct(f"<I{MarketTick.size}s")  # type_id, MarketTick


@dataclass
class Tally:
    """What the file has: for the sentinel's check."""

    ticks: int = 0
    total: int = 0  # the sum that market_tick.h describes
    again: int = 0  # ticks that came twice, and are in the file once
    sentinel: bytes | None = field(default=None, repr=False)

    def add(self, type_id: int, tick: bytes) -> None:
        if type_id == SENTINEL:
            self.sentinel = tick
            return
        _, price, quantity, *_ = MarketTick.from_bytes(tick)
        price_bits = int.from_bytes(struct.pack("<d", price), "little")
        self.total = (self.total + price_bits + quantity + type_id) % 2**64
        self.ticks += 1


def recover(file: BinaryIO, begins: Position) -> Tally:
    """Keep of the file the blocks before that position, and sum them up."""
    tally = Tally()
    end = 0
    while len(head := file.read(BLOCK.size)) == BLOCK.size:
        epoch, position, count = BLOCK.unpack(head)
        records = file.read(count * RECORD.size)
        if len(records) < count * RECORD.size:
            break  # it died while it wrote this one
        if epoch != begins.epoch:
            sys.exit("recorder: the file is of an earlier life of the producer")
        if position >= begins.position:
            tally.again += count
            break
        for type_id, tick in RECORD.iter_unpack(records):
            tally.add(type_id, tick)
        end = file.tell()
    file.seek(end)
    file.truncate()
    return tally


def record(bus: Bus, file: BinaryIO) -> Tally:
    tally = recover(file, bus.position())
    while tally.sentinel is None:
        begins = bus.position()
        with bus.drain_batch() as batch:
            records = [RECORD.pack(msg.type_id, bytes(msg)) for msg in batch]
            head = BLOCK.pack(begins.epoch, begins.position, len(records))
            file.write(head + b"".join(records))
        for type_id, tick in map(RECORD.unpack, records):
            tally.add(type_id, tick)
    return tally


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="where to record; it is gone on with")
    parser.add_argument("--socket", default=SOCKET, metavar="PATH")
    args = parser.parse_args(argv)
    with contextlib.ExitStack() as stack:
        try:
            args.file.touch()
            file = stack.enter_context(args.file.open("r+b", buffering=0))
            bus = stack.enter_context(
                Bus.connect(
                    args.socket,
                    types=[MarketTick],
                    role=Role.CONSUMER,
                    name="recorder",
                    timeout=60,
                )
            )
            tally = record(bus, file)
        except (TachyonError, OSError) as error:
            print(f"recorder: {error}", file=sys.stderr)
            return 1
    sentinel = MarketTick.from_bytes(tally.sentinel or bytes(MarketTick.size))
    count, total = sentinel.quantity, sentinel.timestamp
    whole = (tally.ticks, tally.total) == (count, total)
    print(
        f"recorded: {tally.ticks:,} of {count:,} ticks, {tally.again:,} came again, "
        f"the sum is {'right' if whole else 'wrong'}"
    )
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
