#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Send pictures to the detector, as many a second as there are, and wait for nobody.

A picture that finds no room in the ring is dropped, and counted.
"""

import argparse
import importlib.util
import sys
import time

from pattern import FPS, SOURCES

from tachyon import Bus, TachyonError

SOCKET = "/tmp/tachyon_pictures.sock"


def main() -> None:
    have_av = importlib.util.find_spec("av") is not None
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--socket", default=SOCKET, metavar="PATH")
    parser.add_argument("--count", type=int, default=300, metavar="N")
    parser.add_argument("--fps", type=float, default=FPS, metavar="N")
    parser.add_argument(
        "--source", choices=SOURCES, default="clip" if have_av else "drawn"
    )
    args = parser.parse_args()

    dropped = 0
    try:
        with Bus.connect(args.socket, timeout=60) as bus:
            start = time.perf_counter()
            for number, picture in enumerate(SOURCES[args.source](args.count)):
                due = start + number / args.fps
                time.sleep(max(due - time.perf_counter(), 0))
                try:
                    bus.send_array(picture, tag=number, timeout=0)
                except TimeoutError:
                    dropped += 1
            seconds = time.perf_counter() - start
    except TachyonError as error:
        sys.exit(f"camera: {error}")
    print(
        f"camera: {args.count} pictures ({args.source}) in {seconds:.1f} s, "
        f"{dropped} dropped"
    )


if __name__ == "__main__":
    main()
