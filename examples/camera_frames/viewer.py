#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Show what the detector has found in each picture."""

import argparse
import sys

from detections import Detection

from tachyon import Bus, TachyonError

SOCKET = "/tmp/tachyon_detections.sock"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--socket", default=SOCKET, metavar="PATH")
    args = parser.parse_args()

    pictures = balls = missing = 0
    following = 0  # the number of the picture that comes next, if none is dropped
    try:
        with Bus.listen(args.socket, 1 << 16, types=[Detection]) as bus:
            for seen in bus.channel(Detection):
                missing += seen.picture - following
                following = seen.picture + 1
                pictures += 1
                if not seen.pixels:
                    print(f"{seen.picture}: no ball")
                    continue
                balls += 1
                print(
                    f"{seen.picture}: a ball at ({seen.x:.1f}, {seen.y:.1f}), "
                    f"{seen.right - seen.left + 1} x {seen.bottom - seen.top + 1}, "
                    f"{seen.pixels} pixels"
                )
    except TachyonError as error:
        sys.exit(f"viewer: {error}")
    print(f"viewer: {pictures} pictures, {balls} with a ball, {missing} missing")


if __name__ == "__main__":
    main()
