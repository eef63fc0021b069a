#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Hash what the C producer streams, where it lies in shared memory."""

import argparse
import hashlib
import sys
import time

from tachyon import Bus, ClosedError, PeerDeadError

CAPACITY = 1 << 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--socket", default="/tmp/tachyon_stream.sock", metavar="PATH")
    args = parser.parse_args()

    digest = hashlib.sha256()
    size = messages = 0
    with Bus.listen(args.socket, CAPACITY) as bus:
        start = time.perf_counter()
        try:
            while True:
                with bus.recv_zero_copy() as rx:
                    digest.update(rx)
                    size += rx.actual_size
                messages += 1
        except ClosedError:  # the end of the stream
            seconds = time.perf_counter() - start
        except PeerDeadError as error:
            sys.exit(f"consumer: {error}; {size} bytes had come")
    rate = size / seconds / 1e6
    print(f"received: {size} bytes in {messages} messages, {rate:.0f} MB/s")
    print(f"sha256: {digest.hexdigest()}")


if __name__ == "__main__":
    main()
