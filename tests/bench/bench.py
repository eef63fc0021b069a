#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Time per message of the Python package, against the interpreter's own share of it.

Two processes on two cores; what is not measured is done by the other one. The floor is
the public pattern's own statements on a guard that does nothing and a bytearray, timed
in turns with it. Prints a JSON array of rows for the program `benchmarks`.
"""

import argparse
import json
import multiprocessing
import os
import resource
import statistics
import struct
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from tachyon import Bus, RpcBus

FMT = "<8sdIQ4x"  # the example's MarketTick
SIZE = struct.calcsize(FMT)
PAYLOAD = bytes(range(SIZE))
CAPACITY = 1 << 24  # holds all messages of a measurement, so that none waits for room
SYMBOL, PRICE, QUANTITY = b"AAPL", 189.5, 100

Timed = Callable[[Bus, int], int]  # (bus, messages) -> nanoseconds for all of them


# ---- The floor: the same statements, no bus ----


class NullGuard:
    """What a guard costs whose entering and leaving do nothing."""

    __slots__ = ("actual_size",)
    actual_size: int

    def __enter__(self) -> "NullGuard":
        return self

    def __exit__(self, *_: object) -> None:
        return None


GUARD, BUFFER = NullGuard(), bytearray(SIZE)


def null_send_zero_copy(size: int, type_id: int) -> NullGuard:
    return GUARD


def floor(bus: Bus, count: int) -> int:
    start = time.perf_counter_ns()
    for _ in range(count):
        with null_send_zero_copy(size=SIZE, type_id=1) as tx:
            with memoryview(BUFFER) as mv:
                struct.pack_into(FMT, mv, 0, SYMBOL, PRICE, QUANTITY, time.time_ns())
            tx.actual_size = SIZE
    return time.perf_counter_ns() - start


def floor_without_timestamp(bus: Bus, count: int) -> int:
    start = time.perf_counter_ns()
    for i in range(count):
        with null_send_zero_copy(size=SIZE, type_id=1) as tx:
            with memoryview(BUFFER) as mv:
                struct.pack_into(FMT, mv, 0, SYMBOL, PRICE, QUANTITY, i)
            tx.actual_size = SIZE
    return time.perf_counter_ns() - start


# ---- Sending: the other process drains ----


def send_zero_copy(bus: Bus, count: int) -> int:
    start = time.perf_counter_ns()
    for _ in range(count):
        with bus.send_zero_copy(size=SIZE, type_id=1) as tx:
            with memoryview(tx) as mv:
                struct.pack_into(FMT, mv, 0, SYMBOL, PRICE, QUANTITY, time.time_ns())
            tx.actual_size = SIZE
    return time.perf_counter_ns() - start


def send_zero_copy_without_timestamp(bus: Bus, count: int) -> int:
    start = time.perf_counter_ns()
    for i in range(count):
        with bus.send_zero_copy(size=SIZE, type_id=1) as tx:
            with memoryview(tx) as mv:
                struct.pack_into(FMT, mv, 0, SYMBOL, PRICE, QUANTITY, i)
            tx.actual_size = SIZE
    return time.perf_counter_ns() - start


def send(bus: Bus, count: int) -> int:
    start = time.perf_counter_ns()
    for _ in range(count):
        bus.send(PAYLOAD, 1)
    return time.perf_counter_ns() - start


# ---- Receiving: all messages are there already ----


def iterate(bus: Bus, count: int) -> int:
    left = count
    start = time.perf_counter_ns()
    for _ in bus:
        left -= 1
        if not left:
            break
    return time.perf_counter_ns() - start


def recv_zero_copy(bus: Bus, count: int) -> int:
    start = time.perf_counter_ns()
    for _ in range(count):
        with bus.recv_zero_copy() as rx:
            with memoryview(rx) as mv:
                struct.unpack_from(FMT, mv)
    return time.perf_counter_ns() - start


def drain_batch(bus: Bus, count: int) -> int:
    left = count
    start = time.perf_counter_ns()
    while left:
        with bus.drain_batch() as batch:
            for message in batch:
                bytes(message)
            left -= len(batch)
    return time.perf_counter_ns() - start


# ---- The two processes ----


def peer(path: str, core: int, link: Connection) -> None:
    """Serve the other half of every measurement until told to stop."""
    os.sched_setaffinity(0, {core})
    with Bus.listen(f"{path}-in", CAPACITY) as incoming:
        with (
            Bus.connect(f"{path}-out", timeout=20) as outgoing,
            RpcBus.rpc_listen(f"{path}-rpc", CAPACITY, CAPACITY) as rpc,
        ):
            while (command := link.recv())[0] != "stop":
                work, count = command
                if work == "drain":
                    while count:
                        with incoming.drain_batch() as batch:
                            count -= len(batch)
                elif work == "fill":
                    for _ in range(count):
                        outgoing.send(PAYLOAD, 1)
                elif work == "serve":
                    for _ in range(count):
                        with rpc.serve() as request:
                            rpc.reply(request.correlation_id, request, 1)
                else:
                    for message in incoming:
                        outgoing.send(message.data, 1)
                        count -= 1
                        if not count:
                            break
                link.send("done")


class Benchmark:
    """The measuring process's half."""

    def __init__(
        self, outgoing: Bus, incoming: Bus, rpc: RpcBus, link: Connection
    ) -> None:
        self._outgoing, self._incoming, self._rpc = outgoing, incoming, rpc
        self._link = link

    def _done(self) -> None:
        if self._link.recv() != "done":
            raise RuntimeError("the other process answered out of turn")

    def sending(self, work: Timed, count: int) -> float:
        """Time per message while the other process drains."""
        self._link.send(("drain", count))
        ns = work(self._outgoing, count)
        self._done()
        return ns / count

    def receiving(self, work: Timed, count: int) -> float:
        """Time per message when all of them are there."""
        self._link.send(("fill", count))
        self._done()
        return work(self._incoming, count) / count

    def alone(self, work: Timed, count: int) -> float:
        """Time per message that is not sent."""
        return work(self._outgoing, count) / count

    def round_trips(self, count: int) -> list[int]:
        """Nanoseconds of each: send, and the answer as the next of an iteration."""
        self._link.send(("echo", count))
        outgoing, answers, times = self._outgoing, iter(self._incoming), []
        for _ in range(count):
            start = time.perf_counter_ns()
            outgoing.send(PAYLOAD, 1)
            next(answers)
            times.append(time.perf_counter_ns() - start)
        self._done()
        return times

    def calls(self, count: int) -> list[int]:
        """Nanoseconds of each: call, and the reply as bytes."""
        self._link.send(("serve", count))
        rpc, times = self._rpc, []
        for _ in range(count):
            start = time.perf_counter_ns()
            with rpc.wait(rpc.call(PAYLOAD, 1)) as reply:
                bytes(reply)
            times.append(time.perf_counter_ns() - start)
        self._done()
        return times


def row(
    identity: str,
    title: str,
    samples: list[float],
    floors: list[float] | None = None,
    limit_ns: float | None = None,
) -> dict[str, Any]:
    """Medians of the samples and of their ratios to the floor of the same round."""
    value = statistics.median(samples)
    ratio = None
    if floors is not None:
        ratio = statistics.median(
            own / floor for own, floor in zip(samples, floors, strict=True)
        )
    return {
        "id": identity,
        "title": title,
        "regime": "any",
        "value": value,
        "unit": "ns",
        "ratio": ratio,
        "ratio_to": "" if ratio is None else "floor",
        "goal": f"<= {limit_ns:.0f} ns" if limit_ns else None,
        "met": value <= limit_ns if limit_ns else None,
        "samples": len(samples),
    }


class Case(NamedTuple):
    """What is timed, in which way, and against which floor."""

    id: str
    title: str
    how: Callable[[Benchmark, Timed, int], float]
    work: Timed
    floor: str | None = "floor"
    limit_ns: float | None = None


CASES = (
    Case("floor", "floor: the pattern without a bus", Benchmark.alone, floor, None),
    # 0.8 M ticks a second leave 1,250 ns for each.
    Case("send_zero_copy", "send_zero_copy pattern, with time stamp",
         Benchmark.sending, send_zero_copy, limit_ns=1250),
    Case("floor_no_time", "floor, without time stamp",
         Benchmark.alone, floor_without_timestamp, None),
    Case("send_zero_copy_no_time", "send_zero_copy pattern, without time stamp",
         Benchmark.sending, send_zero_copy_without_timestamp, "floor_no_time"),
    Case("send", "bus.send(bytes)", Benchmark.sending, send),
    Case("iterate", "for message in bus", Benchmark.receiving, iterate),
    Case("recv_zero_copy", "recv_zero_copy, memoryview, unpack",
         Benchmark.receiving, recv_zero_copy),
    Case("drain_batch", "drain_batch, bytes() of each",
         Benchmark.receiving, drain_batch),
)  # fmt: skip


def preemptions() -> int:
    """How often the scheduler has given this process's core to another one."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def undisturbed(case: Case, bench: Benchmark, count: int) -> float:
    """One sample, taken again while other work gets in its way: ten times at most."""
    for _ in range(10):
        before = preemptions()
        ns = case.how(bench, case.work, count)
        if preemptions() == before:
            break
    return ns


def measure(bench: Benchmark, repeats: int, count: int) -> list[dict[str, Any]]:
    samples: dict[str, list[float]] = {case.id: [] for case in CASES}
    percentiles: dict[tuple[str, int], list[float]] = {
        (what, percent): [] for what in ("round_trip", "rpc") for percent in (50, 99)
    }
    for _ in range(repeats):
        for case in CASES:
            samples[case.id].append(undisturbed(case, bench, count))
        for what, timed in (("round_trip", bench.round_trips), ("rpc", bench.calls)):
            times = sorted(timed(count // 2))
            for percent in (50, 99):
                percentiles[what, percent].append(times[len(times) * percent // 100])

    rows = []
    for case in CASES:
        floors = samples[case.floor] if case.floor else None
        rows.append(row(case.id, case.title, samples[case.id], floors, case.limit_ns))
    titles = {
        "round_trip": "round trip, send and iteration",
        "rpc": "RPC, call and wait",
    }
    limits = {("rpc", 50): 2000}
    for (what, percent), values in percentiles.items():
        title = f"{titles[what]}, p{percent}"
        limit_ns = limits.get((what, percent))
        rows.append(row(f"{what}_p{percent}", title, values, limit_ns=limit_ns))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="show only that it works")
    parser.add_argument("--cores", default="0,1", metavar="LEAD,PEER")
    args = parser.parse_args()
    lead_core, peer_core = (int(core) for core in args.cores.split(","))
    path = f"@tachyon-bench-{os.getpid()}"

    context = multiprocessing.get_context("fork")
    link, peer_link = context.Pipe()
    other = context.Process(target=peer, args=(path, peer_core, peer_link), daemon=True)
    other.start()
    os.sched_setaffinity(0, {lead_core})
    peer_link.close()  # so that its death ends a recv() here
    with Bus.connect(f"{path}-in", timeout=20) as outgoing:
        with Bus.listen(f"{path}-out", CAPACITY) as incoming:
            repeats, count = (5, 5_000) if args.quick else (151, 5_000)
            with RpcBus.rpc_connect(f"{path}-rpc", timeout=20) as rpc:
                bench = Benchmark(outgoing, incoming, rpc, link)
                rows = measure(bench, repeats, count)
                link.send(("stop", 0))
            other.join()
    if other.exitcode != 0:
        sys.exit(f"the second process ended with status {other.exitcode}")
    json.dump(rows, sys.stdout)


if __name__ == "__main__":
    main()
