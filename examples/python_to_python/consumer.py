#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Receive what producer.py sends, up to the end of the stream."""

import argparse
import sys
import time

from number import Number

from tachyon import Bus, PeerDeadError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--socket", default="/tmp/tachyon_numbers.sock", metavar="PATH")
    args = parser.parse_args()

    count = 0
    with Bus.listen(args.socket, 1 << 20, types=[Number]) as bus:
        start = time.perf_counter()
        try:
            # Ends when the producer has closed and all is drained.
            for number in bus.channel(Number):
                if number.value != count:
                    sys.exit(f"consumer: {number.value} came where {count} was due")
                count += 1
        except PeerDeadError as error:
            sys.exit(f"consumer: {error}; {count:,} messages had come")
        seconds = time.perf_counter() - start
    print(
        f"received: {count:,} messages in {seconds:.3f} s, "
        f"{count / seconds / 1e6:.2f} M messages/s"
    )


if __name__ == "__main__":
    main()
