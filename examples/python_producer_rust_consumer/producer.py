#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Send market ticks to the Rust consumer through Tachyon, or to any number of readers.

The messages and the closing sentinel are described in market_tick.h. The exit status is
0 only when the consumer has taken every tick and found the stream to be complete. With
--readers it listens itself, and its readers come and go without being its business.
"""

import argparse
import contextlib
import csv
import errno
import functools
import itertools
import json
import math
import struct
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from market_tick import MarketTick, MarketTickType

from tachyon import (
    Bus,
    ClosedError,
    Event,
    EventKind,
    LaggedError,
    PeerDeadError,
    Role,
    SlowPeer,
    TachyonError,
    WithoutPeers,
)

FMT = "<8sdIQ4x"  # MarketTick; compared with market_tick.py by test_market_tick.py
TICK_SIZE = MarketTick.size
SENTINEL, BID, ASK = map(int, MarketTickType)
SIDES = {"bid": BID, "ask": ASK}
UINT32_MAX = 2**32 - 1

COLUMNS = ("symbol", "side", "price", "quantity")
QUOTES = Path(__file__).resolve().parent.parent / "data" / "quotes.csv"
SOCKET = "/tmp/tachyon_market_ticks.sock"
BATCH = 64  # messages between two explicit flushes
SPIN_NS = 1_000_000  # a paced producer sleeps while a tick is due later than this
# With --readers.
CAPACITY = 1 << 20
MAX_READERS = 16
SLOW_AFTER = 2.0  # seconds that a reader is waited for, once the ring is full
KEEP_PLACE = 10.0  # seconds for one that has died to come back
MAX_RATE = 10**9  # ticks a second; a schedule in nanoseconds has no more

Row = tuple[bytes, float, int, int]  # symbol, price, quantity, type_id
Send = Callable[[Bus, Sequence[Row], int, bool], None]  # bus, rows, count, timestamped


class InputError(ValueError):
    """The input file cannot be sent; the text names file, line and value."""


def read_rows(path: Path) -> list[Row]:
    """Read and check the whole file, so that nothing is sent of a broken one."""
    rows = []
    # Undecodable bytes become characters that no field accepts.
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        reader = csv.DictReader(file, strict=True)
        try:
            missing = [
                name for name in COLUMNS if name not in (reader.fieldnames or ())
            ]
            if missing:
                raise ValueError(f"the header has no column {', '.join(missing)}")
            for record in reader:
                if None in record or None in record.values():
                    raise ValueError(
                        f"not the {len(reader.fieldnames or ())} fields of the header"
                    )
                rows.append(parse_row(*(record[name] for name in COLUMNS)))
            if not rows:
                raise ValueError("no row after the header")
        except (ValueError, csv.Error) as error:
            # An empty file has no line yet; people count from 1.
            line = max(reader.reader.line_num, 1)
            raise InputError(f"{path}, line {line}: {error}") from None
    return rows


def parse_row(symbol: str, side: str, price: str, quantity: str) -> Row:
    if not (symbol.isascii() and symbol.isprintable() and 1 <= len(symbol) <= 8):
        raise ValueError(f"symbol {symbol!r} is not 1 to 8 ASCII characters")
    if side not in SIDES:
        raise ValueError(f"side {side!r} is neither 'bid' nor 'ask'")
    try:
        price_value = float(price)
    except ValueError:
        price_value = math.nan
    if not 0 < price_value < math.inf:
        raise ValueError(f"price {price!r} is not a positive number")
    if not (quantity.isascii() and quantity.isdigit() and int(quantity) <= UINT32_MAX):
        raise ValueError(
            f"quantity {quantity!r} is not a whole number up to {UINT32_MAX}"
        )
    return symbol.encode("ascii"), price_value, int(quantity), SIDES[side]


def checksum(rows: Sequence[Row], count: int) -> int:
    """Sum up `count` ticks cycled from `rows` as the sentinel does, but per row."""
    terms = [
        int.from_bytes(struct.pack("<d", price), "little") + quantity + type_id
        for _, price, quantity, type_id in rows
    ]
    cycles, rest = divmod(count, len(rows))
    return (cycles * sum(terms) + sum(terms[:rest])) % 2**64


class Progress:
    """A line on stderr: rewritten in a terminal, else a new one each second."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._terminal = sys.stderr.isatty()
        self._interval = 0.1 if self._terminal else 1.0
        self._due = time.monotonic() + self._interval

    def update(self, sent: int) -> None:
        now = time.monotonic()
        if now >= self._due:
            self._due = now + self._interval
            start, end = ("\r", "") if self._terminal else ("", "\n")
            print(
                f"{start}sent {sent:,} of {self._count:,}",
                end=end,
                file=sys.stderr,
                flush=True,
            )

    def clear(self) -> None:
        if self._terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def connect(path: str) -> Bus:
    """Connect to the consumer, waiting for it when it does not listen yet."""
    try:
        return Bus.connect(path, types=[MarketTick])
    except ConnectionError as error:
        if error.errno not in (errno.ENOENT, errno.ECONNREFUSED):
            raise
    print(f"waiting for a consumer to listen on {path}", file=sys.stderr, flush=True)
    return Bus.connect(path, types=[MarketTick], timeout=None)


def broadcast(path: str, readers: int) -> Bus:
    """Listen, and wait for so many readers; others may come later."""
    bus = Bus.listen(
        path,
        CAPACITY,
        types=[MarketTick],
        role=Role.PRODUCER,
        max_peers=MAX_READERS,
        slow_peer=SlowPeer.DISCONNECT,
        slow_after=SLOW_AFTER,
        without_peers=WithoutPeers.FREE_RUN,
        keep_place=KEEP_PLACE,
    )
    print(f"waiting for {readers} readers on {path}", file=sys.stderr, flush=True)
    while len(bus.peers()) < readers:
        announce(bus.accept())
    threading.Thread(target=announce_all, args=[bus], daemon=True).start()
    return bus


def announce(event: Event) -> None:
    """Say who has come, or why somebody has gone."""
    reader = f"reader {event.peer} ({event.name or event.who.pid})"
    if event.kind is EventKind.JOINED:
        print(f"{reader} has joined", file=sys.stderr, flush=True)
    elif event.kind is EventKind.LEFT and event.reason is not ClosedError:
        reason = "was too slow" if event.reason is LaggedError else "has died"
        print(f"{reader} {reason}", file=sys.stderr, flush=True)


def announce_all(bus: Bus) -> None:
    """Say who comes and goes, and let them in meanwhile, until the bus is closed."""
    for event in bus.events():
        announce(event)


def send_ticks(bus: Bus, rows: Sequence[Row], count: int, timestamped: bool) -> None:
    progress = Progress(count)
    ticks = itertools.cycle(rows)
    time_ns = time.time_ns
    try:
        for sent in range(0, count, BATCH):
            for symbol, price, qty, t in itertools.islice(
                ticks, min(BATCH, count - sent)
            ):
                ts = time_ns() if timestamped else 0
                with bus.send_zero_copy(size=TICK_SIZE, type_id=t) as tx:
                    with memoryview(tx) as mv:
                        struct.pack_into(FMT, mv, 0, symbol, price, qty, ts)
                    tx.actual_size = TICK_SIZE
            bus._bus.flush()
            progress.update(sent)
    finally:
        progress.clear()


def send_paced(
    bus: Bus, rows: Sequence[Row], count: int, timestamped: bool, *, rate: int
) -> None:
    """Send each tick when it is due, `rate` a second by one schedule.

    A tick is stamped with the time at which it was due, not with that at which it was
    sent. A producer that is held up then sends the ticks that are due meanwhile at
    once, and their latencies contain the delay. Leaving those out of the measurement is
    known as coordinated omission.
    """
    progress = Progress(count)
    time_ns = time.time_ns
    start = time_ns()
    try:
        for sent, (symbol, price, qty, t) in enumerate(
            itertools.islice(itertools.cycle(rows), count)
        ):
            due = start + sent * 10**9 // rate
            while (left := due - time_ns()) > 0:
                if left > SPIN_NS:
                    time.sleep((left - SPIN_NS) / 1e9)
            with bus.send_zero_copy(size=TICK_SIZE, type_id=t) as tx:
                with memoryview(tx) as mv:
                    ts = due if timestamped else 0
                    struct.pack_into(FMT, mv, 0, symbol, price, qty, ts)
                tx.actual_size = TICK_SIZE
            progress.update(sent)
    finally:
        progress.clear()


def finish(bus: Bus, count: int, total: int, rate: int | None) -> None:
    """Send the sentinel and wait until the consumer has released it, content."""
    bus.send(struct.pack(FMT, b"", rate or 0, count, total), SENTINEL)
    with contextlib.suppress(ClosedError):  # it closes after that
        # There is room for the largest message only when all the others are released.
        bus.send_zero_copy(size=bus.max_payload)


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    def whole_number(most: int) -> Callable[[str], int]:
        def number(text: str) -> int:
            value = int(text)
            if not 1 <= value <= most:
                raise argparse.ArgumentTypeError(f"{value} is not in 1 to {most}")
            return value

        return number

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--input",
        type=Path,
        default=QUOTES,
        metavar="FILE",
        help=f"CSV with the columns {', '.join(COLUMNS)}, cycled "
        "(default: the monthly closes in data/quotes.csv)",
    )
    parser.add_argument(
        "--count",
        type=whole_number(UINT32_MAX),
        default=500_000,
        metavar="N",
        help="ticks to send (default: 500,000)",
    )
    parser.add_argument(
        "--rate",
        type=whole_number(MAX_RATE),
        metavar="N",
        help="ticks to send each second (default: as fast as possible)",
    )
    parser.add_argument(
        "--socket",
        default=SOCKET,
        metavar="PATH",
        help="where the consumer listens (default: %(default)s)",
    )
    parser.add_argument(
        "--no-timestamp",
        dest="timestamped",
        action="store_false",
        help="send 0 instead of the time, so no latency is measured",
    )
    parser.add_argument(
        "--readers",
        type=whole_number(MAX_READERS),
        metavar="N",
        help="listen, begin when so many readers have connected, and send to all",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser.parse_args(argv)


def main(send: Send | None = None, argv: Sequence[str] | None = None) -> int:
    """Run the program; `send` is another way to send, as fast as it can."""
    args = parse_arguments(argv)
    if send is None:
        send = (
            functools.partial(send_paced, rate=args.rate) if args.rate else send_ticks
        )
    elif args.rate:
        print("producer: only producer.py itself has a --rate", file=sys.stderr)
        return 2
    try:
        rows = read_rows(args.input)
        with (
            broadcast(args.socket, args.readers)
            if args.readers
            else connect(args.socket)
        ) as bus:
            start = time.perf_counter()
            send(bus, rows, args.count, args.timestamped)
            seconds = time.perf_counter() - start
            finish(bus, args.count, checksum(rows, args.count), args.rate)
    except KeyboardInterrupt:
        print("producer: interrupted", file=sys.stderr)
        return 130
    except PeerDeadError as error:
        print(
            f"producer: the consumer died or refused the ticks: {error}",
            file=sys.stderr,
        )
        return 1
    except (TachyonError, OSError, ValueError) as error:
        print(f"producer: {error}", file=sys.stderr)
        return 1
    if args.json:
        print(
            json.dumps(
                {
                    "sent": args.count,
                    "timestamped": args.timestamped,
                    "rate": args.rate,
                    "seconds": seconds,
                    "ticks_per_second": args.count / seconds,
                }
            )
        )
    else:
        print(
            f"sent: {args.count:,} ticks in {seconds:.3f} s, "
            f"{args.count / seconds / 1e6:.2f} M ticks/s"
        )
        if args.rate and args.count / seconds < 0.99 * args.rate:
            print(f"that is too slow for {args.rate:,} a second: the latencies grow")
    return 0


if __name__ == "__main__":
    sys.exit(main())
