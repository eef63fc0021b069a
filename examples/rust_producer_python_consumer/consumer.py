#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compute on the Rust producer's frames as arrays, where they lie in shared memory."""

import argparse
import sys
import time
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from frames import End, Frame

from tachyon import Bus, ClosedError, PeerDeadError, RxMsgView

CAPACITY = 1 << 22
SOCKET = "/tmp/tachyon_frames.sock"


def from_buffer(view: RxMsgView) -> Any:
    return np.frombuffer(view, np.float32)


def from_dlpack(view: RxMsgView) -> Any:
    return np.from_dlpack(view).view(np.float32)


def torch_from_dlpack(view: RxMsgView) -> Any:
    import torch  # noqa: PLC0415  (large, and the others do without)

    return torch.from_dlpack(view).view(torch.float32)


ARRAYS: dict[str, Callable[[RxMsgView], Any]] = {
    "frombuffer": from_buffer,
    "dlpack": from_dlpack,
    "torch": torch_from_dlpack,
}


class StreamError(Exception):
    """What came is not what was sent."""


class Tally:
    """What is computed while frames come in."""

    def __init__(self, array: Callable[[RxMsgView], Any]) -> None:
        self.frames = 0
        self.energy = 0.0
        self.checksum = 1
        self.complete = False
        self._array = array

    def take(self, view: RxMsgView) -> None:
        """Take one message; no array of it is left afterwards."""
        if (view.type_id, view.actual_size) == (Frame.type_id, Frame.size):
            frame = self._array(view)
            self.frames += 1
            self.energy += float(frame @ frame)
            self.checksum = zlib.adler32(np.asarray(frame), self.checksum)
        elif (view.type_id, view.actual_size) == (End.type_id, End.size):
            self._compare(End.from_bytes(view))
        else:
            raise StreamError(
                f"a message of type {view.type_id} and {view.actual_size} bytes came"
            )

    def _compare(self, end: End) -> None:
        if (end.frames, end.adler32) != (self.frames, self.checksum):
            raise StreamError(
                f"{self.frames:,} frames with Adler-32 {self.checksum:08x} came, "
                f"{end.frames:,} with {end.adler32:08x} were sent"
            )
        self.complete = True


def receive(bus: Bus, tally: Tally) -> float:
    """Take everything up to the end of the stream, and return the seconds."""
    start = time.perf_counter()
    while True:
        try:
            batch = bus.drain_batch()
        except ClosedError:
            break
        with batch:  # leaving releases its messages to the producer
            for view in batch:
                tally.take(view)
    if not tally.complete:
        raise StreamError("the stream ended without its last message")
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--array",
        choices=ARRAYS,
        default="frombuffer",
        help="how a message becomes an array (default: %(default)s)",
    )
    parser.add_argument("--socket", default=SOCKET, metavar="PATH")
    args = parser.parse_args()

    tally = Tally(ARRAYS[args.array])
    try:
        with Bus.listen(args.socket, CAPACITY, types=[Frame, End]) as bus:
            seconds = receive(bus, tally)
    except (PeerDeadError, StreamError) as error:
        sys.exit(f"consumer: {error}; {tally.frames:,} frames had come")
    rate = tally.frames / seconds
    print(f"received: {tally.frames:,} frames, Adler-32 {tally.checksum:08x} as sent")
    print(f"mean energy of a frame: {tally.energy / max(tally.frames, 1):.4f}")
    print(
        f"{rate / 1e6:.3f} M frames/s, {rate * Frame.size / 1e9:.3f} GB/s "
        f"({seconds:.3f} s)"
    )


if __name__ == "__main__":
    main()
