#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: D102
"""Send arrays through Tachyon and through what one would use instead.

Two Python processes on two cores of their own exchange NumPy arrays of uint8; the
receiver looks at the first and at the last item of each, and what it saw is checked.
Every sample is a pair of new processes; all ways take turns, round after round, and
each figure is the median of the rounds. For each size:

    one way      GB/s until the peer says that all are there
    round trip   there and back, p50 and p99 in microseconds

memcpy is one process that copies into memory it has had for long, `fresh memory` into
such as the kernel has just given it, with huge pages where NumPy asks for them. pyzmq
is fetched as by compare.py. plot.py draws what --json has written.
"""

import argparse
import json
import mmap
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import shared_memory
from pathlib import Path
from typing import Any

import compare
import numpy as np
from compare import circumstances, find_zmq, in_child, write

import tachyon

SIZES = sorted([*(1 << shift for shift in range(10, 27, 2)), 1 << 23])  # to 64 MiB
QUICK_SIZES = [1 << 10, 1 << 20]
SLOTS = 4
HUGE_FROM = 1 << 22  # NumPy asks for huge pages from here on, and so does a frame
MEMCPY, FRESH = "memcpy", "memcpy into fresh memory"
LIMIT_S = compare.LIMIT_S

# Where docs/ARRAYS.md has the tables.
BEGIN = "<!-- figures: written by tests/bench/arrays.py -->\n"
END = "<!-- end of figures -->\n"

Array = Any
Take = Callable[[], int]  # receive one, and return the sum of its first and last item


def seen(array: Array) -> int:
    return int(array[0]) + int(array[-1])


class Way:
    """A connection in both directions; made before the fork, opened after it."""

    title = ""

    def __init__(self, directory: Path, size: int) -> None:
        self.directory = directory
        self.size = size

    def open(self, lead: bool) -> tuple[Callable[[Array], object], Take]:
        raise NotImplementedError

    def close(self) -> None:
        """Give back what outlives the processes."""


class View(Way):
    title = "frame, as a view"

    def open(self, lead: bool) -> tuple[Callable[[Array], object], Take]:
        paths = [str(self.directory / name) for name in ("forth", "back")]
        capacity = max(1 << 20, 1 << (4 * self.size - 1).bit_length())
        if lead:
            self._tx = tachyon.Bus.connect(paths[0], timeout=LIMIT_S)
            self._rx = tachyon.Bus.listen(paths[1], capacity)
        else:
            self._rx = tachyon.Bus.listen(paths[0], capacity)
            self._tx = tachyon.Bus.connect(paths[1], timeout=LIMIT_S)
        return self._tx.send_array, self.take

    def take(self) -> int:
        with self._rx.recv_array_zero_copy() as frame:
            return seen(np.asarray(frame))


class Copied(View):
    title = "frame, copied out"

    def take(self) -> int:
        return seen(self._rx.recv_array())


class Into(View):
    title = "frame, copied into an array"

    def take(self) -> int:
        if not hasattr(self, "_out"):
            self._out = np.empty(self.size, "u1")
        return seen(self._rx.recv_array(self._out))


class Objects(Way):
    title = "tachyon.Queue"

    def __init__(self, directory: Path, size: int) -> None:
        super().__init__(directory, size)
        bytes_ = max(1 << 20, 4 * size)
        self._queues: list[Any] = [tachyon.Queue(bytes_) for _ in range(2)]

    def open(self, lead: bool) -> tuple[Callable[[Array], object], Take]:
        into, out_of = self._queues if lead else reversed(self._queues)
        return into.put, lambda: seen(out_of.get())


class Standard(Objects):
    title = "multiprocessing.Queue"

    def __init__(self, directory: Path, size: int) -> None:
        super().__init__(directory, size)
        context = multiprocessing.get_context("fork")
        self._queues = [context.Queue(SLOTS) for _ in range(2)]


class Pipe(Way):
    title = "multiprocessing.Pipe"

    def __init__(self, directory: Path, size: int) -> None:
        super().__init__(directory, size)
        self._ends = multiprocessing.Pipe()

    def open(self, lead: bool) -> tuple[Callable[[Array], object], Take]:
        end = self._ends[0 if lead else 1]
        return end.send, lambda: seen(end.recv())


class Shared(Way):
    """Some slots each way, counted by semaphores, and a pipe that says when."""

    title = "shared_memory and Pipe"

    def __init__(self, directory: Path, size: int) -> None:
        super().__init__(directory, size)
        context = multiprocessing.get_context("fork")
        self._memory = [
            shared_memory.SharedMemory(create=True, size=SLOTS * size) for _ in range(2)
        ]
        self._ends = context.Pipe()
        self._free = [context.Semaphore(SLOTS) for _ in range(2)]

    def slots(self, which: int) -> list[Array]:
        memory = self._memory[which].buf
        return [
            np.ndarray(self.size, "u1", memory, i * self.size) for i in range(SLOTS)
        ]

    def open(self, lead: bool) -> tuple[Callable[[Array], object], Take]:
        mine, theirs = (0, 1) if lead else (1, 0)
        end = self._ends[mine]
        into, out_of = self.slots(mine), self.slots(theirs)
        room, taken = self._free[mine], self._free[theirs]
        counts = [0, 0]

        def send(array: Array) -> None:
            room.acquire()
            np.copyto(into[counts[0] % SLOTS], array)
            counts[0] += 1
            end.send_bytes(b"1")

        def take() -> int:
            end.recv_bytes()
            saw = seen(out_of[counts[1] % SLOTS])
            counts[1] += 1
            taken.release()
            return saw

        return send, take

    def close(self) -> None:
        for memory in self._memory:
            memory.unlink()


class ZeroMq(Way):
    title = "ZeroMQ, copy=False"

    def open(self, lead: bool) -> tuple[Callable[[Array], object], Take]:
        import zmq  # noqa: PLC0415

        end = zmq.Context().socket(zmq.PAIR)
        end.set_hwm(8)
        address = f"ipc://{self.directory}/zmq"
        (end.bind if lead else end.connect)(address)
        self._end = end
        return (
            lambda array: end.send(array, copy=False),
            lambda: seen(np.frombuffer(end.recv(copy=False), "u1")),
        )


WAYS: list[type[Way]] = [
    *(View, Copied, Into, Objects),
    *(Shared, Pipe, Standard, ZeroMq),
]


# ---- One sample. ----


def arrays_of(size: int) -> list[Array]:
    """Return arrays that can be told from each other by their ends."""
    arrays = [np.full(size, i, "u1") for i in range(2)]
    for i, array in enumerate(arrays):
        array[0], array[-1] = 2 * i + 1, 3 * i + 2
    return arrays


def check(saw: int, expected: int) -> None:
    if saw != expected:
        sys.exit(f"the ends of an array are {saw}, not {expected}")


def measure(way: Way, cores: list[int], trips: int, count: int) -> dict[str, float]:
    """Fork a peer, do all the work once and return the figures."""
    arrays = arrays_of(way.size)
    ends = [seen(array) for array in arrays]
    total = sum(ends[i & 1] for i in range(count))

    def other_half() -> None:
        os.sched_setaffinity(0, {cores[1]})
        send, take = way.open(False)
        for i in range(trips):
            check(take(), ends[i & 1])
            send(arrays[i & 1])
        check(sum(take() for _ in range(count)), total)
        send(arrays[0])
        take()  # the lead has read the last one

    peer = in_child(other_half)
    os.sched_setaffinity(0, {cores[0]})
    send, take = way.open(True)
    took = []
    for i in range(trips):
        start = time.perf_counter_ns()
        send(arrays[i & 1])
        saw = take()
        took.append(time.perf_counter_ns() - start)
        check(saw, ends[i & 1])
    start = time.perf_counter_ns()
    for i in range(count):
        send(arrays[i & 1])
    take()
    one_way = (time.perf_counter_ns() - start) / count
    send(arrays[0])
    if os.waitpid(peer, 0)[1]:
        sys.exit("the peer failed")
    took = sorted(
        took[len(took) // 10 :]
    )  # the first ones touch memory for the first time
    return {
        "one_way_ns": one_way,
        "p50_ns": took[len(took) // 2],
        "p99_ns": took[len(took) * 99 // 100],
    }


def fresh_memory(size: int) -> Array:
    """Map memory: what malloc gives again is not fresh, from the second time on."""
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if size >= HUGE_FROM:
        memory.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(memory, "u1")


def copy_alone(size: int, fresh: bool) -> dict[str, float]:
    """Copy within one process: the least that any way can take."""
    arrays, out = arrays_of(size), np.zeros(size, "u1")
    took = []
    for i in range(max(20, min(2000, (1 << 28) // size))):
        start = time.perf_counter_ns()
        if fresh:
            out = fresh_memory(size)  # instead of the one before
        np.copyto(out, arrays[i & 1])
        took.append(time.perf_counter_ns() - start)
        check(seen(out), seen(arrays[i & 1]))
    return {"one_way_ns": statistics.median(took)}


def in_process(work: Callable[[], dict[str, float]]) -> dict[str, float]:
    """Do the work in a process of its own, which leaves nothing behind."""
    out_of, into = os.pipe()
    child = in_child(lambda: os.write(into, json.dumps(work()).encode()) and None)
    os.close(into)
    with open(out_of, "rb") as pipe:
        text = pipe.read()
    if os.waitpid(child, 0)[1]:
        sys.exit("the sample failed")
    figures: dict[str, float] = json.loads(text)
    return figures


def sample(
    kind: type[Way], size: int, cores: list[int], quick: bool
) -> dict[str, float]:
    trips = 20 if quick else max(8, min(1000, (1 << 26) // size))
    count = 20 if quick else max(8, min(2000, (1 << 27) // size))
    with tempfile.TemporaryDirectory(prefix="tachyon-") as directory:
        way = kind(Path(directory), size)
        try:
            return in_process(lambda: measure(way, cores, trips, count))
        finally:
            way.close()


# ---- A small object. ----

SMALL = {"id": 7, "name": "AAPL", "xs": [1, 2, 3]}


def object_trips(kind: type[Objects], cores: list[int], count: int) -> dict[str, float]:
    """Send a small dict there and back."""
    queues = kind(Path(), 1)._queues

    def other_half() -> None:
        os.sched_setaffinity(0, {cores[1]})
        for _ in range(count):
            queues[1].put(queues[0].get())
        queues[0].get()

    peer = in_child(other_half)
    os.sched_setaffinity(0, {cores[0]})
    took = []
    for _ in range(count):
        start = time.perf_counter_ns()
        queues[0].put(SMALL)
        received = queues[1].get()
        took.append(time.perf_counter_ns() - start)
        if received != SMALL:
            sys.exit(f"{SMALL} came back as {received}")
    queues[0].put(None)
    os.waitpid(peer, 0)
    took = sorted(took[len(took) // 10 :])
    return {"p50_ns": took[len(took) // 2], "p99_ns": took[len(took) * 99 // 100]}


# ---- What a frame costs more than a message of bytes. ----


def beyond_bytes(cores: list[int], count: int) -> dict[str, float]:
    """Return the cost of a call with an array of 1 KiB beyond that with its bytes.

    Both ends are in one thread, which fills the ring and empties it, so that nothing
    waits and nothing but the calls is timed; the two take turns.
    """
    os.sched_setaffinity(0, {cores[0]})
    path = f"@tachyon-arrays-{os.getpid()}"
    with ThreadPoolExecutor() as pool:
        opening = pool.submit(tachyon.Bus.listen, path, 1 << 20)
        tx = tachyon.Bus.connect(path, timeout=LIMIT_S)
        rx = opening.result()
    array = arrays_of(1 << 10)[0]
    data = array.tobytes()
    turn = 500  # fit the ring

    def timed(work: Callable[[], object]) -> float:
        start = time.perf_counter_ns()
        for _ in range(turn):
            work()
        return (time.perf_counter_ns() - start) / turn

    def view() -> None:
        with rx.recv_array_zero_copy():
            pass

    took: dict[str, list[float]] = {"send": [], "receive": []}
    for _ in range(count):
        send, receive = timed(lambda: tx.send(data)), timed(rx.recv)
        took["send"].append(timed(lambda: tx.send_array(array)) - send)
        took["receive"].append(timed(view) - receive)
    tx.close()
    rx.close()
    return {what: statistics.median(each) for what, each in took.items()}


# ---- The tables. ----

Results = dict[str, dict[int, dict[str, float]]]


def name_of(size: int) -> str:
    return f"{size >> 10} KiB" if size < 1 << 20 else f"{size >> 20} MiB"


def table(
    results: Results, sizes: list[int], figure: str, cell: Callable[[int, float], str]
) -> str:
    """Return a row for each way that has the figure, a column for each size."""
    lines = [
        f"| | {' | '.join(map(name_of, sizes))} |",
        f"|---|{'--:|' * len(sizes)}",
    ]
    for title, by_size in results.items():
        if figure in by_size[sizes[0]]:
            cells = [cell(size, by_size[size][figure]) for size in sizes]
            lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def speed(size: int, took_ns: float) -> str:
    per_s = size / took_ns
    return f"{per_s:.1f}" if per_s >= 10 else f"{per_s:.2g}"


def micro(_: int, took_ns: float) -> str:
    took = took_ns / 1e3
    return f"{took:,.0f}" if took >= 100 else f"{took:.3g}"


def tables(results: Results, sizes: list[int]) -> str:
    parts = [
        ("GB/s, one way", "one_way_ns", speed),
        ("Microseconds there and back, median", "p50_ns", micro),
        ("99 of 100 in less than", "p99_ns", micro),
    ]
    return "\n\n".join(
        f"{title}:\n\n{table(results, sizes, *which)}" for title, *which in parts
    )


def middle(taken: list[dict[str, float]]) -> dict[str, float]:
    return {
        name: statistics.median(figures[name] for figures in taken) for name in taken[0]
    }


@dataclass
class Goal:
    """What a figure has to be."""

    what: str
    value: float
    limit: float
    unit: str
    least: bool = False

    def is_met(self) -> bool:
        return self.value >= self.limit if self.least else self.value <= self.limit

    def cells(self) -> tuple[str, ...]:
        number = f"{self.value:.2f} {self.unit}".strip()
        bound = f"{'≥' if self.least else '≤'} {self.limit:g} {self.unit}".strip()
        return self.what, number, bound, "yes" if self.is_met() else "no"


def goals_of(run: dict[str, Any]) -> list[Goal]:
    """Return the goals for which there are figures."""
    results, goals = run["results"], []

    def ratio(title: str, other: str, size: int, figure: str) -> float | None:
        of = [results[name].get(size, {}).get(figure) for name in (title, other)]
        return of[0] / of[1] if all(of) else None

    view, shared = View.title, Shared.title
    if (times := ratio(MEMCPY, view, 1 << 20, "one_way_ns")) is not None:
        goals.append(
            Goal("1 MiB one way as a view, of memcpy", times, 0.9, "", least=True)
        )
    if (times := ratio(view, shared, 1 << 20, "p50_ns")) is not None:
        what = "1 MiB there and back as a view, of shared_memory and Pipe"
        goals.append(Goal(what, times, 0.55, ""))
    if (times := ratio(Copied.title, FRESH, 1 << 23, "one_way_ns")) is not None:
        what = "8 MiB copied out, time of a memcpy into fresh memory"
        goals.append(Goal(what, times, 1, ""))
    for what, limit in (("send", 0.4), ("receive", 0.5)):
        figure = run["beyond_bytes"][what] / 1e3
        goals.append(Goal(f"1 KiB, {what} beyond that of bytes", figure, limit, "µs"))
    figure = run["objects"][Objects.title]["p50_ns"] / 1e3
    goals.append(Goal("a small dict there and back by Queue", figure, 10, "µs"))
    return goals


def goal_table(goals: list[Goal]) -> str:
    lines = ["| what | median | goal | met |", "|---|--:|--:|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(goal.cells())} |" for goal in goals)])


def measure_all(
    rounds: int, quick: bool, sizes: list[int], ways: list[type[Way]]
) -> dict[str, Any]:
    """Return the medians of the rounds."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("two processes that wait for each other need two cores")
    samples: dict[tuple[str, int], list[dict[str, float]]] = {}
    objects: dict[str, list[dict[str, float]]] = {}
    beyond = []
    for done in range(rounds):
        for size in sizes:
            for title, fresh in ((MEMCPY, False), (FRESH, True)):
                figures = in_process(lambda: copy_alone(size, fresh))
                samples.setdefault((title, size), []).append(figures)
            for way in ways:
                figures = sample(way, size, cores, quick)
                samples.setdefault((way.title, size), []).append(figures)
        for kind in (Objects, Standard):
            figures = in_process(
                lambda: object_trips(kind, cores, 20 if quick else 5000)
            )
            objects.setdefault(kind.title, []).append(figures)
        beyond.append(in_process(lambda: beyond_bytes(cores, 3 if quick else 100)))
        print(f"round {done + 1} of {rounds}", file=sys.stderr)
    results: Results = {}
    for (title, size), taken in samples.items():
        results.setdefault(title, {})[size] = middle(taken)
    return {
        "results": results,
        "objects": {title: middle(taken) for title, taken in objects.items()},
        "beyond_bytes": middle(beyond),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument(
        "--quick", action="store_true", help="show that it works; measures nothing"
    )
    parser.add_argument("--install", type=Path, metavar="DIR", help="as of compare.py")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument("--sizes", type=int, nargs="+", metavar="BYTES")
    parser.add_argument(
        "--page",
        type=Path,
        metavar="FILE",
        help="write the tables between the comments of this page, docs/ARRAYS.md",
    )
    args = parser.parse_args()
    missing = find_zmq(args.install)
    ways = [way for way in WAYS if way is not ZeroMq or not missing]
    sizes = args.sizes or (QUICK_SIZES if args.quick else SIZES)
    rounds = 1 if args.quick else args.rounds
    run = measure_all(rounds, args.quick, sizes, ways)
    parts = [circumstances(rounds, missing), tables(run["results"], sizes)]
    if missing:
        parts.append(f"{ZeroMq.title}: not measured, {missing}.")
    parts += [
        f"A small dict there and back by {title}: {figures['p50_ns'] / 1e3:.1f} µs, 99 "
        f"of 100 in less than {figures['p99_ns'] / 1e3:.1f}."
        for title, figures in run["objects"].items()
    ]
    text = "\n\n".join([*parts, goal_table(goals_of(run))])
    print(text)
    if args.json:
        args.json.write_text(json.dumps(run, indent=1))
    if args.page is not None:
        if args.quick or args.sizes:
            sys.exit("nothing is written: this is a part of the figures, or quick")
        write(args.page, text, BEGIN, END)


if __name__ == "__main__":
    main()
