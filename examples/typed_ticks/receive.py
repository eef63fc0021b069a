#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Receive the ticks of send.py or ticks-send; ticks-receive is the same in Rust."""

import argparse
import sys
import time

from tick import Tick

from tachyon import Bus, TachyonError

SOCKET = "/tmp/tachyon_ticks.sock"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--socket", default=SOCKET, metavar="PATH")
    args = parser.parse_args()
    ticks, shares, last = 0, 0, None
    try:
        with Bus.listen(args.socket, 1 << 20, types=[Tick]) as bus:
            start = time.perf_counter()
            for tick in bus.channel(Tick):
                ticks += 1
                shares += tick.quantity
                last = tick
            seconds = time.perf_counter() - start
    except (TachyonError, OSError) as error:
        sys.exit(f"receive: {error}")
    print(
        f"received: {ticks:,} ticks of {shares:,} shares, "
        f"{ticks / seconds / 1e6:.2f} M ticks/s"
    )
    if last is not None:
        side = getattr(last.side, "name", last.side)  # a peer may send any number
        print(f"last: {last.symbol.decode()} {side} {last.price:g}")


if __name__ == "__main__":
    main()
