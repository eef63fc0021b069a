#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A program of another age: its header is not tick.h.

That of tick_next.h has a field more at the end. It sends to those who do not know the
field, or with --receive takes theirs. With --retyped its header is tick_other.h, which
has another type of a field: the other side refuses it, and both say which.
"""

import argparse
import sys

import tick_next
import tick_other

from tachyon import Bus, TachyonError

SOCKET = "/tmp/tachyon_ticks.sock"


def receive(path: str) -> None:
    with Bus.listen(path, 1 << 20, types=[tick_next.Tick]) as bus:
        venues = [tick.venue.decode() or "none" for tick in bus.channel(tick_next.Tick)]
    print(f"received: {len(venues)} ticks, venues: {', '.join(sorted(set(venues)))}")


def send(path: str, count: int) -> None:
    with Bus.connect(path, timeout=60, types=[tick_next.Tick]) as bus:
        tick = bus.channel(tick_next.Tick)
        for number in range(count):
            tick("AAPL", 189.5, quantity=number, side=tick_next.Side.BID, venue="XNAS")
    print(f"sent: {count} ticks")


def send_retyped(path: str) -> None:
    with Bus.connect(path, timeout=60, types=[tick_other.Tick]) as bus:
        bus.channel(tick_other.Tick)("AAPL", quantity=1 << 40)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--socket", default=SOCKET, metavar="PATH")
    parser.add_argument("--count", type=int, default=1000, metavar="N")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--receive", action="store_true")
    what.add_argument("--retyped", action="store_true")
    args = parser.parse_args()
    try:
        if args.receive:
            receive(args.socket)
        elif args.retyped:
            send_retyped(args.socket)
        else:
            send(args.socket, args.count)
    except (TachyonError, OSError) as error:
        sys.exit(f"newer: {error}")


if __name__ == "__main__":
    main()
