# SPDX-License-Identifier: Apache-2.0
"""The Python peer of the interop tests; test_interop.py has the rules it follows."""

import argparse
import itertools
import os
import signal
import struct
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tachyon import Bus, ClosedError, PeerDeadError

TAPE_BYTES = 1 << 19
CONNECT_TIMEOUT = 10.0
EXIT_PEER_DEAD = 3
UINT64_MAX = 2**64 - 1


class Message(NamedTuple):
    """What to send, and how much room to reserve for it."""

    data: memoryview
    reserved: int
    type_id: int


def splitmix64(seed: int) -> Iterator[int]:
    state = seed
    while True:
        state = (state + 0x9E3779B97F4A7C15) & UINT64_MAX
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & UINT64_MAX
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & UINT64_MAX
        yield z ^ (z >> 31)


def messages(sizes: list[int], seed: int) -> Iterator[Message]:
    """Derive the stream that both peers know."""
    words = splitmix64(seed)
    tape_words = TAPE_BYTES // 8
    tape = memoryview(
        struct.pack(f"<{tape_words}Q", *itertools.islice(words, tape_words))
    )
    while True:
        pick, type_id, place = next(words), next(words), next(words)
        size = sizes[pick % len(sizes)]
        start = place % (TAPE_BYTES - size + 1)
        yield Message(
            tape[start : start + size], size + (pick >> 32) % 64, type_id & 0xFFFFFFFF
        )


@dataclass
class Totals:
    """What was sent or received, as both peers print it."""

    die_after: int | None
    count: int = 0
    size: int = 0
    adler: int = 1

    def add(self, data: memoryview | bytes) -> None:
        """Count one message."""
        self.count += 1
        self.size += len(data)
        self.adler = zlib.adler32(data, self.adler)

    def print(self) -> None:
        """Print the line that the test compares."""
        print(
            f"count={self.count} bytes={self.size} adler32={self.adler:08x}", flush=True
        )

    def die_when_due(self) -> None:
        """Leave as abruptly as a process can."""
        if self.die_after is not None and self.count >= self.die_after:
            self.print()
            os.kill(os.getpid(), signal.SIGKILL)


def produce(bus: Bus, args: argparse.Namespace, totals: Totals) -> None:
    largest = bus._bus.max_payload()
    unflushed = 0
    for message in itertools.islice(messages(args.sizes, args.seed), args.count):
        size = len(message.data)
        if args.batch == 1:
            bus.send(message.data, message.type_id)
        else:
            reserved = message.reserved if message.reserved <= largest else size
            with bus._bus.acquire_tx(reserved) as tx:
                with memoryview(tx) as slot:
                    slot[:size] = message.data
                tx.actual_size = size
                tx.type_id = message.type_id
            unflushed += 1
            if unflushed == args.batch:
                bus._bus.flush()
                unflushed = 0
        totals.add(message.data)
        if not unflushed:
            totals.die_when_due()


def consume(bus: Bus, args: argparse.Namespace, totals: Totals) -> None:
    """Compare what comes with what should, up to the end of the stream."""
    stream = messages(args.sizes, args.seed)

    def take(data: memoryview | bytes, type_id: int) -> None:
        expected = next(stream)
        if data != expected.data or type_id != expected.type_id:
            sys.exit(
                f"peer: message {totals.count} is not the one sent: size {len(data)} "
                f"and type {type_id}, expected {len(expected.data)} and "
                f"{expected.type_id}"
            )
        totals.add(data)

    if args.batch == 1:
        for message in bus:
            take(message.data, message.type_id)
            totals.die_when_due()
        return
    while True:
        try:
            batch = bus.drain_batch(max_msgs=args.batch)
        except ClosedError:
            return
        with batch:
            for view in batch:
                with memoryview(view) as data:
                    take(data, view.type_id)
        totals.die_when_due()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=("produce", "consume"))
    parser.add_argument("--socket", required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument(
        "--sizes",
        required=True,
        type=lambda text: [int(size) for size in text.split(",")],
    )
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--listen", type=int, metavar="CAPACITY")
    parser.add_argument("--die-after", type=int)
    return parser.parse_args()


def main() -> int:
    args = parse_arguments()
    totals = Totals(args.die_after)
    status = 0
    if args.listen:
        bus = Bus.listen(args.socket, args.listen, timeout=CONNECT_TIMEOUT)
    else:
        bus = Bus.connect(args.socket, timeout=CONNECT_TIMEOUT)
    with bus:
        try:
            if args.role == "produce":
                produce(bus, args, totals)
            else:
                consume(bus, args, totals)
        except PeerDeadError as error:
            print(f"peer: {error}", file=sys.stderr)
            status = EXIT_PEER_DEAD
    totals.print()
    return status


if __name__ == "__main__":
    sys.exit(main())
