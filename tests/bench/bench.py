#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Time per message of the Python package, against the interpreter's own share of it.

Two processes on two cores; what is not measured is done by the other one. Everything is
timed in turns with what it is compared to: the public pattern's own statements on a
guard that does nothing and a bytearray, the extension made by hand, C. Prints a JSON
array of rows for the program `benchmarks`.

A new row is a pattern in patterns.py and a Case below.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import resource
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import batches
import handmade
import instructions
import patterns
import results
from patterns import PAYLOAD, Pattern

from tachyon import Bus, RpcBus

CAPACITY = 1 << 24  # holds all messages of a measurement, so that none waits for room


# ---- The two processes ----


class Ends(NamedTuple):
    """What a process has of each connection; the by_hand ones are of the extension."""

    outgoing: Bus
    incoming: Bus
    outgoing_by_hand: Any
    incoming_by_hand: Any
    rpc: RpcBus


@contextlib.contextmanager
def open_ends(path: str, lead: bool) -> Iterator[Ends]:
    """Connect to the other process, which does the same."""
    with contextlib.ExitStack() as stack:

        def bus(name: str, sends: bool) -> Bus:
            return stack.enter_context(
                Bus.connect(f"{path}-{name}", timeout=20)
                if sends
                else Bus.listen(f"{path}-{name}", CAPACITY, timeout=20)
            )

        def bus_by_hand(name: str, sends: bool) -> Any:
            name = f"{path}-{name}-by-hand"
            return (
                handmade.Bus.connect(name)
                if sends
                else handmade.Bus.listen(name, CAPACITY)
            )

        there, back = bus("there", lead), bus("back", not lead)
        there_by_hand = bus_by_hand("there", lead)
        back_by_hand = bus_by_hand("back", not lead)
        rpc = stack.enter_context(
            RpcBus.rpc_connect(f"{path}-rpc", timeout=20)
            if lead
            else RpcBus.rpc_listen(f"{path}-rpc", CAPACITY, CAPACITY, timeout=20)
        )
        if lead:
            yield Ends(there, back, there_by_hand, back_by_hand, rpc)
        else:
            yield Ends(back, there, back_by_hand, there_by_hand, rpc)


def drain(ends: Ends, count: int) -> None:
    while count:
        with ends.incoming.drain_batch() as batch:
            count -= len(batch)


def fill(ends: Ends, count: int) -> None:
    patterns.send(ends.outgoing, count)


def fill_by_hand(ends: Ends, count: int) -> None:
    patterns.send(ends.outgoing_by_hand, count)


def echo(ends: Ends, count: int) -> None:
    for message in ends.incoming:
        ends.outgoing.send(message.data, 1)
        count -= 1
        if not count:
            break


def echo_in_c(ends: Ends, count: int) -> None:
    handmade.echo(ends.incoming_by_hand, ends.outgoing_by_hand, count)


def serve(ends: Ends, count: int) -> None:
    for _ in range(count):
        with ends.rpc.serve() as request:
            ends.rpc.reply(request.correlation_id, request, 1)


WORK = {
    work.__name__: work for work in (drain, fill, fill_by_hand, echo, echo_in_c, serve)
}


def peer(path: str, core: int, link: Connection) -> None:
    """Do the other half of every measurement until told to stop."""
    os.sched_setaffinity(0, {core})
    with open_ends(path, lead=False) as ends:
        while (command := link.recv())[0] != "stop":
            work, count = command
            WORK[work](ends, count)
            link.send("done")


class Benchmark:
    """The measuring process's half."""

    def __init__(self, ends: Ends, link: Connection) -> None:
        self._ends, self._link = ends, link

    def _start(self, work: Callable[[Ends, int], None], count: int) -> None:
        self._link.send((work.__name__, count))

    def _done(self) -> None:
        if self._link.recv() != "done":
            raise RuntimeError("the other process answered out of turn")

    def sending(self, pattern: Pattern, count: int) -> float:
        """Time per message while the other process drains."""
        self._start(drain, count)
        ns = pattern(self._ends.outgoing, count)
        self._done()
        return ns / count

    def receiving(self, pattern: Pattern, count: int) -> float:
        """Time per message when all of them are there."""
        self._start(fill, count)
        self._done()
        return pattern(self._ends.incoming, count) / count

    def receiving_by_hand(self, pattern: Pattern, count: int) -> float:
        """As receiving(), with the extension."""
        self._start(fill_by_hand, count)
        self._done()
        return pattern(self._ends.incoming_by_hand, count) / count

    def alone(self, pattern: Pattern, count: int) -> float:
        """Time per message that is not sent."""
        return pattern(None, count) / count

    def round_trips(self, count: int) -> list[int]:
        """Nanoseconds of each: send, and the answer as the next of an iteration."""
        self._start(echo, count)
        outgoing, answers, times = self._ends.outgoing, iter(self._ends.incoming), []
        for _ in range(count):
            start = time.perf_counter_ns()
            outgoing.send(PAYLOAD, 1)
            next(answers)
            times.append(time.perf_counter_ns() - start)
        self._done()
        return times

    def round_trips_in_c(self, count: int) -> list[int]:
        """Nanoseconds of each, both ends in C."""
        self._start(echo_in_c, count)
        ends = self._ends
        times: list[int] = handmade.round_trips(
            ends.outgoing_by_hand, ends.incoming_by_hand, PAYLOAD, count
        )
        self._done()
        return times

    def calls(self, count: int) -> list[int]:
        """Nanoseconds of each: call, and the reply as bytes."""
        self._start(serve, count)
        rpc, times = self._ends.rpc, []
        for _ in range(count):
            start = time.perf_counter_ns()
            with rpc.wait(rpc.call(PAYLOAD, 1)) as reply:
                bytes(reply)
            times.append(time.perf_counter_ns() - start)
        self._done()
        return times


# ---- What is measured ----


class Case(NamedTuple):
    """What is timed, in which way, and against which other case of the same round."""

    id: str
    title: str
    how: Callable[[Benchmark, Pattern, int], float]
    pattern: Pattern
    reference: str | None = "floor"
    limit_ratio: float | None = None
    limit_ns: float | None = None


CASES = (
    Case("floor", "floor: the pattern without a bus",
         Benchmark.alone, patterns.floor, None),
    # A million ticks a second leave 1,000 ns for each.
    Case("send_zero_copy", "send_zero_copy pattern, with time stamp",
         Benchmark.sending, patterns.send_zero_copy, limit_ratio=1.3, limit_ns=1000),
    Case("floor_no_time", "floor, without time stamp",
         Benchmark.alone, patterns.floor_without_timestamp, None),
    Case("send_zero_copy_no_time", "send_zero_copy pattern, without time stamp",
         Benchmark.sending, patterns.send_zero_copy_without_timestamp, "floor_no_time"),
    Case("send_zero_copy_by_buf", "send_zero_copy with tx.buf",
         Benchmark.sending, patterns.send_zero_copy_by_buf),
    Case("send", "bus.send(bytes)",
         Benchmark.sending, patterns.send, limit_ratio=0.2),
    Case("channel", "channel(symbol, price, ...), with time stamp",
         Benchmark.sending, patterns.channel, limit_ratio=0.3),
    Case("message_in_place", "message in place, four attributes, with time stamp",
         Benchmark.sending, patterns.message_in_place, limit_ratio=0.6),
    Case("message_call", "messages(symbol, price, ...), with time stamp",
         Benchmark.sending, patterns.message_call, limit_ratio=0.25),
    Case("message_keywords", "messages(symbol=..., ...), with time stamp",
         Benchmark.sending, patterns.message_keywords, limit_ratio=0.25),
    Case("channel_iterate", "for symbol, price, ... in channel",
         Benchmark.receiving, patterns.channel_iterate),
    Case("message_iterate", "for message in messages, four attributes",
         Benchmark.receiving, patterns.message_iterate, "channel_iterate",
         limit_ratio=1),
    Case("iterate_by_hand", "for message in a bus made by hand",
         Benchmark.receiving_by_hand, patterns.iterate, None),
    Case("iterate", "for message in bus",
         Benchmark.receiving, patterns.iterate, "iterate_by_hand", limit_ratio=1.3),
    Case("recv_zero_copy", "recv_zero_copy, memoryview, unpack",
         Benchmark.receiving, patterns.recv_zero_copy),
    Case("drain_batch", "drain_batch, bytes() of each",
         Benchmark.receiving, patterns.drain_batch),
)  # fmt: skip

# What --typed measures: messages with fields, and what they are compared to.
TYPED = tuple(
    case
    for case in CASES
    if case.id in ("floor", "channel", "channel_iterate") or "message" in case.id
)
RATIO_TO = {"iterate_by_hand": "by hand", "channel_iterate": "channel"}

# Times of each of many round trips.
EXCHANGES = {
    "round_trip_in_c": ("round trip in C", Benchmark.round_trips_in_c),
    "round_trip": ("round trip, send and iteration", Benchmark.round_trips),
    "rpc": ("RPC, call and wait", Benchmark.calls),
}
EXCHANGE_LIMIT_NS = {("rpc", 50): 2000.0}
ROUND_TRIP_LIMIT_NS = 400.0  # beyond C's


def row(
    identity: str,
    title: str,
    samples: list[float],
    references: list[float] | None = None,
    *,
    unit: str = "ns",
    ratio_to: str = "",
    limit_ratio: float | None = None,
    limit: float | None = None,
) -> dict[str, Any]:
    """Medians of the samples and of their ratios to the references of their rounds."""
    value = statistics.median(samples)
    ratio = None
    goals, met = [], []
    if references is not None:
        ratio = statistics.median(
            own / other for own, other in zip(samples, references, strict=True)
        )
        if limit_ratio is not None:
            goals.append(f"<= {limit_ratio:g} x")
            met.append(ratio <= limit_ratio)
    if limit is not None:
        goals.append(f"<= {limit:g} {unit}")
        met.append(value <= limit)
    return {
        "id": identity,
        "title": title,
        "regime": "any",
        "value": value,
        "unit": unit,
        "ratio": ratio,
        "ratio_to": "" if ratio is None else ratio_to,
        "goal": ", ".join(goals) or None,
        "met": all(met) if met else None,
        "samples": len(samples),
    }


def preemptions() -> int:
    """How often the scheduler has given this process's core to another one."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def undisturbed(case: Case, bench: Benchmark, count: int) -> float:
    """One sample, taken again while other work gets in its way: ten times at most."""
    for _ in range(10):
        before = preemptions()
        ns = case.how(bench, case.pattern, count)
        if preemptions() == before:
            break
    return ns


def measure(
    bench: Benchmark, repeats: int, count: int, cases: Sequence[Case] = CASES
) -> list[dict[str, Any]]:
    """Rows for cases, each against its reference in the same round."""
    samples: dict[str, list[float]] = {case.id: [] for case in cases}
    for _ in range(repeats):
        for case in cases:
            samples[case.id].append(undisturbed(case, bench, count))
    return [
        row(
            case.id,
            case.title,
            samples[case.id],
            samples[case.reference] if case.reference else None,
            ratio_to=RATIO_TO.get(case.reference or "", "floor"),
            limit_ratio=case.limit_ratio,
            limit=case.limit_ns,
        )
        for case in cases
    ]


def measure_exchanges(
    bench: Benchmark, repeats: int, count: int
) -> list[dict[str, Any]]:
    """Rows for round trips and calls."""
    percentiles: dict[tuple[str, int], list[float]] = {
        (what, percent): [] for what in EXCHANGES for percent in (50, 99)
    }
    for _ in range(repeats):
        for what, (_, timed) in EXCHANGES.items():
            times = sorted(timed(bench, count // 2))
            for percent in (50, 99):
                percentiles[what, percent].append(times[len(times) * percent // 100])

    rows = []
    for (what, percent), values in percentiles.items():
        limit = EXCHANGE_LIMIT_NS.get((what, percent))
        title = f"{EXCHANGES[what][0]}, p{percent}"
        rows.append(row(f"{what}_p{percent}", title, values, limit=limit))
    beyond_c = [
        own - in_c
        for own, in_c in zip(
            percentiles["round_trip", 50],
            percentiles["round_trip_in_c", 50],
            strict=True,
        )
    ]
    title = "round trip's p50 - that in C"
    rows.append(row("beyond_c", title, beyond_c, limit=ROUND_TRIP_LIMIT_NS))
    return rows


def measure_batches(
    cores: tuple[int, int], repeats: int, count: int
) -> list[dict[str, Any]]:
    """Rows for arrays, each against its loop in C."""
    samples = batches.measure(cores, repeats, count)
    return [
        row(
            case.id,
            case.title,
            samples[case.id],
            samples[case.reference] if case.reference else None,
            ratio_to="C",
            limit_ratio=batches.LIMIT_RATIO,
            limit=batches.LIMIT_NS if case.reference else None,
        )
        for case in batches.CASES
    ]


def count_instructions() -> list[dict[str, Any]]:
    """Rows for the package against the extension made by hand."""
    return [
        row(
            f"{pattern}_instructions",
            f"{pattern} pattern",
            [instructions.per_message("product", pattern)],
            [instructions.per_message("handmade", pattern)],
            unit="instr",
            ratio_to="by hand",
            limit_ratio=instructions.LIMIT,
        )
        for pattern in instructions.PATTERNS
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="show only that it works")
    parser.add_argument(
        "--typed", action="store_true", help="only messages with fields, as a table"
    )
    parser.add_argument(
        "--json", action="store_true", help="that, too, as a JSON array"
    )
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
    repeats, count = (5, 5_000) if args.quick else (151, 5_000)
    with open_ends(path, lead=True) as ends:
        bench = Benchmark(ends, link)
        rows = measure(bench, repeats, count, TYPED if args.typed else CASES)
        if not args.typed:
            rows += measure_exchanges(bench, repeats, count)
        link.send(("stop", 0))
        other.join()
    if other.exitcode != 0:
        sys.exit(f"the second process ended with status {other.exitcode}")
    if args.typed:
        print(json.dumps(rows) if args.json else results.table(rows))
        return
    rows += measure_batches(
        (lead_core, peer_core), repeats, (64 if args.quick else 256) * batches.BATCH
    )
    if not args.quick and shutil.which("valgrind"):
        rows += count_instructions()
    json.dump(rows, sys.stdout)


if __name__ == "__main__":
    main()
