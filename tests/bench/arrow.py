#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long an Arrow record batch takes from one process to another.

A batch of 10 MB and five columns is sent, read by the peer, which looks into a column,
and acknowledged; each on a core of its own. The ways take turns, round after round.
Beside them stands what nothing can beat: writing the same stream into private memory,
which nobody reads, and copying that.

pyarrow is not needed by the build: tests/with_packages.py runs this with it.
"""

import argparse
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import pyarrow as pa

import tachyon
from tachyon.arrow import write

ROWS = 356_000
CAPACITY = 1 << 26
LIMIT = 2.0  # of writing into private memory
LIMIT_S = 60
IN_A_ROW = 5
Way = Callable[[], object]


def make_batch() -> Any:
    dice = np.random.default_rng(1)
    return pa.record_batch(
        {
            "time": np.arange(ROWS),
            "price": dice.random(ROWS),
            "quantity": dice.integers(0, 1000, ROWS, dtype="i4"),
            "symbol": ["AAPL", "MSFT", "GOOG", "TSLA"] * (ROWS // 4),
            "traded": dice.random(ROWS) > 0.1,
        }
    )


def look_into(batch: Any) -> None:
    if batch["price"][batch.num_rows - 1].as_py() < 0:
        sys.exit("not what was sent")


def stream_of(batch: Any) -> Any:
    sink = pa.BufferOutputStream()
    write(batch, sink)
    return sink.getvalue()


def batch_of(stream: bytes) -> Any:
    return pa.ipc.open_stream(pa.py_buffer(stream)).read_next_batch()


# ---- The peer: one process for each way, which does the same until it is told to stop.


def answer_in_place(path: str) -> None:
    with tachyon.Bus.listen(path, CAPACITY) as bus:
        with tachyon.Bus.connect(path + "b", timeout=LIMIT_S) as back:
            while True:
                with bus.recv_arrow_zero_copy() as batch:
                    look_into(batch)
                back.send(b"")


def answer_copied(path: str) -> None:
    with tachyon.Bus.listen(path, CAPACITY) as bus:
        with tachyon.Bus.connect(path + "b", timeout=LIMIT_S) as back:
            while True:
                look_into(bus.recv_arrow())
                back.send(b"")


def answer_stream(end: Connection) -> None:
    while True:
        look_into(batch_of(end.recv_bytes()))
        end.send_bytes(b"")


def answer_pickled(end: Connection) -> None:
    while True:
        look_into(end.recv())
        end.send_bytes(b"")


def answer_queue(forth: Any, back: Any) -> None:
    while True:
        look_into(forth.get())
        back.put(None)


class Peers:
    """The other processes."""

    def __init__(self, core: int) -> None:
        self._core = core
        self._context = multiprocessing.get_context("fork")
        self._processes: list[Any] = []

    def start(self, work: Callable[..., None], *args: Any) -> None:
        """Start one, on the core of all."""

        def pinned() -> None:
            os.sched_setaffinity(0, {self._core})
            work(*args)

        self._processes.append(self._context.Process(target=pinned, daemon=True))
        self._processes[-1].start()

    def stop(self) -> None:
        """End them all."""
        for process in self._processes:
            process.terminate()
            process.join()

    def tachyon(self, batch: Any, answer: Callable[[str], None]) -> Way:
        """Send in place."""
        path = f"@tachyon-arrow-{os.getpid()}-{len(self._processes)}"
        self.start(answer, path)
        bus = tachyon.Bus.connect(path, timeout=LIMIT_S)
        back = tachyon.Bus.listen(path + "b", 4096)

        def way() -> None:
            bus.send_arrow(batch)
            back.recv(LIMIT_S)

        return way

    def pipe(self, batch: Any, pickled: bool) -> Way:
        """Send through a pipe, as a stream or as pickle has it."""
        ours, theirs = self._context.Pipe()
        self.start(answer_pickled if pickled else answer_stream, theirs)

        def way() -> None:
            if pickled:
                ours.send(batch)
            else:
                ours.send_bytes(stream_of(batch))
            ours.recv_bytes()

        return way

    def queue(self, batch: Any) -> Way:
        """Send through a thread that pickles."""
        forth, back = self._context.Queue(), self._context.Queue()
        self.start(answer_queue, forth, back)

        def way() -> None:
            forth.put(batch)
            back.get()

        return way


def ways(batch: Any, peers: Peers) -> Iterator[tuple[str, Way]]:
    """Yield what each is called, and what does it once."""
    stream = stream_of(batch)
    memory, copy = pa.allocate_buffer(stream.size), bytearray(stream.size)
    memory_of_it = np.frombuffer(stream, np.uint8)
    target = np.frombuffer(copy, np.uint8)

    def private() -> None:
        with pa.FixedSizeBufferWriter(memory) as writer:
            write(batch, writer)

    yield "written into private memory", private
    yield "memcpy of the stream", lambda: np.copyto(target, memory_of_it)
    yield (
        "**Tachyon**, `send_arrow`, `recv_arrow_zero_copy`",
        peers.tachyon(batch, answer_in_place),
    )
    yield (
        "**Tachyon**, `send_arrow`, `recv_arrow` (copied, validated)",
        peers.tachyon(batch, answer_copied),
    )
    yield "`multiprocessing.Pipe`, the stream as bytes", peers.pipe(batch, False)
    yield "`multiprocessing.Pipe`, pickled", peers.pipe(batch, True)
    yield "`multiprocessing.Queue`", peers.queue(batch)


def sample(way: Way) -> int:
    """Return how many nanoseconds it takes."""
    start = time.perf_counter_ns()
    way()
    return time.perf_counter_ns() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12, metavar="N")
    parser.add_argument("--check", action="store_true", help="fail above the limit")
    args = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[0]})
    pa.set_cpu_count(1)
    batch = make_batch()
    peers = Peers(cores[-1])
    took: dict[str, list[int]] = {}
    try:
        todo = dict(ways(batch, peers))
        for way in todo.values():  # imports and first uses
            way()
        for _ in range(args.rounds):
            for name, way in todo.items():
                way()  # what the others have pushed out of the caches comes back
                took.setdefault(name, []).extend(sample(way) for _ in range(IN_A_ROW))
    finally:
        peers.stop()
    medians = {name: statistics.median(each) for name, each in took.items()}
    floor = next(iter(medians.values()))
    print(
        f"{batch.num_rows} rows, {stream_of(batch).size:,} bytes, {args.rounds} rounds"
    )
    print("| until acknowledged | p50 | best | p50 of writing |\n|---|--:|--:|--:|")
    for name, each in took.items():
        cells = f"{medians[name] / 1e6:.2f} ms | {min(each) / 1e6:.2f} ms"
        print(f"| {name} | {cells} | {medians[name] / floor:.2f} |")
    in_place = list(medians.values())[2] / floor
    if args.check and in_place > LIMIT:
        sys.exit(f"in place takes {in_place:.2f} times as long, not {LIMIT} at most")


if __name__ == "__main__":
    main()
