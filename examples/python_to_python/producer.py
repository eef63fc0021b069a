#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Send the numbers from 0 up to consumer.py, one message each."""

import argparse
import sys
import time

from number import Number

from tachyon import Bus, TachyonError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--socket", default="/tmp/tachyon_numbers.sock", metavar="PATH")
    parser.add_argument("--count", type=int, default=500_000, metavar="N")
    args = parser.parse_args()

    try:
        # With a time-out it waits for the consumer to listen.
        with Bus.connect(args.socket, timeout=60, types=[Number]) as bus:
            send = bus.channel(Number)
            start = time.perf_counter()
            for number in range(args.count):
                send(number)
            seconds = time.perf_counter() - start
    except (TachyonError, OSError) as error:  # the consumer died, or never came
        sys.exit(f"producer: {error}")
    print(
        f"sent: {args.count:,} messages in {seconds:.3f} s, "
        f"{args.count / seconds / 1e6:.2f} M messages/s"
    )


if __name__ == "__main__":
    main()
