#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measure MessageQueue beside a ring of polled flags, in turns, with the same readers.

A step is a small dictionary as a scheduler sends it. Latency is from before a step is
pickled until a reader has it, at 1,000 steps a second, over all readers.
"""

import argparse
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from flag_ring import FlagRing
from message_queue import MessageQueue

KINDS = {"Tachyon": MessageQueue, "flag ring": FlagRing}
ARRAY_BYTES = 1 << 20
CHUNK_BYTES = ARRAY_BYTES + 4096
CHUNKS = 10
PACE_S = 0.001
IDLE_S = 1.0
SETTLE_S = 0.2

Queue = Any  # one of KINDS
Figures = dict[str, float]


def step(number: int) -> dict[str, object]:
    """Return what a scheduler may send for each forward pass."""
    return {
        "step": number,
        "requests": [f"request-{i}" for i in range(8)],
        "tokens": list(range(32)),
        "sent": time.perf_counter_ns(),
    }


# ---- What each reader does, until told otherwise it waits at its pipe ----


def take_times(queue: Queue, count: int) -> list[int]:
    """Return the latency of each step."""
    return [-queue.dequeue()["sent"] + time.perf_counter_ns() for _ in range(count)]


def take_all(queue: Queue, count: int) -> int:
    """Return when the last object has come."""
    for _ in range(count):
        queue.dequeue()
    return time.perf_counter_ns()


def read(handles: dict[str, Any], rank: int, pipe: Connection) -> None:
    queues = {
        name: KINDS[name].create_from_handle(handle, rank)
        for name, handle in handles.items()
    }
    for queue in queues.values():
        queue.wait_until_ready()
    while (task := pipe.recv()) is not None:
        name, take, count = task
        pipe.send(take(queues[name], count))


# ---- What the writer does meanwhile ----


class Readers:
    """The reading processes, seen from the writer."""

    def __init__(self, handles: dict[str, Any], count: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipes = []
        self._pids: list[int | None] = []
        for rank in range(count):
            here, there = context.Pipe()
            process = context.Process(
                target=read, args=(handles, rank, there), daemon=True
            )
            process.start()
            self._pipes.append(here)
            self._pids.append(process.pid)

    def run(
        self,
        name: str,
        take: Callable[..., Any],
        count: int,
        send: Callable[[], object],
    ) -> list[Any]:
        """Let all readers take while send() sends; return their results."""
        for pipe in self._pipes:
            pipe.send((name, take, count))
        send()
        return [pipe.recv() for pipe in self._pipes]

    def load(self, doing: Callable[[], object]) -> float:
        """Return how many processors the readers and the writer use while doing()."""
        of_readers = self._cpu_ns()
        of_writer, start = time.process_time_ns(), time.perf_counter_ns()
        doing()
        of_writer, end = time.process_time_ns() - of_writer, time.perf_counter_ns()
        return (self._cpu_ns() - of_readers + of_writer) / (end - start)

    def _cpu_ns(self) -> int:
        return sum(
            int((thread / "schedstat").read_text().split()[0])
            for pid in self._pids
            for thread in Path(f"/proc/{pid}/task").iterdir()
        )

    def end(self) -> None:
        for pipe in self._pipes:
            pipe.send(None)


def measure(name: str, queue: Queue, readers: Readers, count: int) -> Figures:
    """Measure one of the queues once."""

    def send_paced() -> None:
        for i in range(count):
            time.sleep(PACE_S)
            queue.enqueue(step(i))

    def send_steps() -> None:
        for i in range(count):
            queue.enqueue(step(i))

    def send_arrays() -> None:
        for _ in range(arrays):
            queue.enqueue(array)

    def send_late() -> None:
        time.sleep(SETTLE_S)
        loads.append(readers.load(lambda: time.sleep(IDLE_S)))
        queue.enqueue(None)

    def rate(number: int, send: Callable[[], None]) -> float:
        start = time.perf_counter_ns()
        return number * 1e9 / (max(readers.run(name, take_all, number, send)) - start)

    array, arrays = np.zeros(ARRAY_BYTES, np.uint8), max(1, count // 10)
    loads: list[float] = []
    taken = readers.run(
        name, take_times, count, lambda: loads.append(readers.load(send_paced))
    )
    times = sorted(time for one in taken for time in one)
    readers.run(name, take_all, 1, send_late)
    return {
        "latency p50, µs": times[len(times) // 2] / 1e3,
        "latency p99, µs": times[len(times) * 99 // 100] / 1e3,
        "processors at 1,000 steps/s": loads[0],
        "steps/s": rate(count, send_steps),
        "arrays of 1 MiB/s": rate(arrays, send_arrays),
        "processors while idle": loads[1],
    }


def table(rounds: dict[str, list[Figures]]) -> str:
    """Return the median of each figure over the rounds, and the median ratio."""
    (_, ours), (_, theirs) = rounds.items()
    lines = [f"| | {' | '.join(rounds)} | ratio |", "|---|---|---|---|"]
    for title in ours[0]:
        pairs = [(a[title], b[title]) for a, b in zip(ours, theirs, strict=True)]
        here, there = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(a / b for a, b in pairs)
        lines.append(f"| {title} | {shown(here)} | {shown(there)} | {ratio:.2g} |")
    return "\n".join(lines)


def shown(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readers", type=int, default=4, metavar="N")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument(
        "--count", type=int, default=2_000, metavar="N", help="of steps"
    )
    args = parser.parse_args()
    queues = {
        name: kind(
            args.readers, args.readers, max_chunk_bytes=CHUNK_BYTES, max_chunks=CHUNKS
        )
        for name, kind in KINDS.items()
    }
    readers = Readers({n: q.export_handle() for n, q in queues.items()}, args.readers)
    for queue in queues.values():
        queue.wait_until_ready()
    rounds: dict[str, list[Figures]] = {name: [] for name in queues}
    for _ in range(args.rounds):
        for name, queue in queues.items():
            rounds[name].append(measure(name, queue, readers, args.count))
    readers.end()
    for queue in queues.values():
        queue.close()
    cores = len(os.sched_getaffinity(0))
    print(f"readers: {args.readers}, processors: {cores}, rounds: {args.rounds}")
    print(table(rounds))


if __name__ == "__main__":
    main()
