#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measure Tachyon beside its yardsticks and its peers, all in turns.

Each sample is a pair of new processes on two cores of their own; in every round each
peer does each workload once, so that what the machine does meanwhile happens to all of
them. A figure is the median of the rounds. What cannot be measured is a row that says
why, and never the end of the run. Writes peers.json, the table (peers.md) and plots.
"""

import argparse
import json
import os
import platform
import re
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import adapters
import catalogue
import sample
from adapters import CannotError, Command
from catalogue import SLEEP, Peer, Workload

QUICK_COUNT = 50
FASTEST_PAUSE_NS = 100  # the sender reads the clock for each message
QUANTILES = {"p50": 50.0, "p99": 99.0, "p999": 99.9}
HIGHEST_NS = 60_000_000_000

Row = dict[str, Any]
Say = Callable[[str], None]


# ---- Percentiles ----


def quantiles(values: Sequence[int]) -> dict[str, float]:
    """Return them from a histogram of the field's library, 3 digits; else exactly."""
    try:
        from hdrh.histogram import HdrHistogram  # noqa: PLC0415
    except ImportError:
        ordered = sorted(values)
        return {
            name: ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
            for name, percent in QUANTILES.items()
        }
    histogram = HdrHistogram(1, HIGHEST_NS, 3)
    for value in values:
        histogram.record_value(min(max(value, 1), HIGHEST_NS))
    return {
        name: histogram.get_value_at_percentile(percent)
        for name, percent in QUANTILES.items()
    }


# ---- A run ----


class Entry:
    """What one peer has done of one workload, or why it has not."""

    def __init__(self, peer: Peer, workload: Workload) -> None:
        self.peer, self.workload = peer, workload
        self.reason = ""
        self.count, self.pause_ns = QUICK_COUNT, workload.pause_ns
        self.samples: list[dict[str, float]] = []

    def note(self, taken: sample.Sample) -> None:
        """Keep the figures of a sample."""
        figures: dict[str, float] = {}
        if taken.values:
            figures |= quantiles(taken.values)
        if self.workload.name == "way":
            whole = -(-taken.count // self.workload.batch) * self.workload.batch
            figures["ns"] = taken.wall_ns / whole
        elif self.workload.id == "rate":
            figures["ns"] = taken.wall_ns / taken.count
        elif self.workload.name == "idle":
            figures["percent"] = 100 * taken.cpu_ns / taken.wall_ns
        if taken.connect_ns:
            figures["connect_us"] = taken.connect_ns / 1000
        self.samples.append(figures)

    def ns_each(self) -> float:
        """Return how long one message or exchange took in the last sample."""
        figures = self.samples[-1]
        return figures.get("ns") or figures.get("p50") or 1

    def row(self) -> Row:
        """Return it for the JSON: the median of each figure."""
        names = self.samples[0] if self.samples and not self.reason else ()
        return {
            "peer": self.peer.id,
            "workload": self.workload.id,
            "count": self.count,
            "pause_ns": self.pause_ns,
            "rounds": len(self.samples),
            "figures": {
                name: statistics.median(figures[name] for figures in self.samples)
                for name in names
            },
            "samples": self.samples,
            "reason": self.reason,
        }


class Run:
    """Some peers, some workloads, some rounds."""

    def __init__(
        self,
        cores: Sequence[int],
        *,
        quick: bool,
        budget_ms: float,
        limit_s: float,
        say: Say,
    ) -> None:
        self._cores, self._quick, self._budget_ns = cores, quick, budget_ms * 1e6
        self._limit_s, self._say = limit_s, say

    def take(self, row: Entry, command: Command) -> None:
        """Take one sample; a row with a reason stays as it is."""
        if row.reason:
            return
        if len(set(self._cores)) < 2 and row.workload.mode != SLEEP:
            row.reason = "one core: two processes that look for messages need two"
            return
        pause_ns = row.pause_ns
        try:
            row.note(
                sample.take(
                    command, row.workload, row.count, pause_ns, cores=self._cores,
                    limit_s=self._limit_s,
                )
            )  # fmt: skip
        except CannotError as error:
            row.reason = str(error)
            self._say(f"{row.peer.id} {row.workload.id}: {row.reason}")

    def plan(self, rows: dict[str, Entry], command: Command) -> None:
        """Find out how many messages of each workload fit into the time."""
        for row in rows.values():
            workload = row.workload
            row.count = max(1, min(QUICK_COUNT, workload.most))
            if workload.share:
                self._pace(row, rows)
            for _ in range(1 if self._quick else 2):
                self.take(row, command)
                if row.reason or self._quick:
                    break
                each = row.pause_ns + row.ns_each() * (workload.name != "paced")
                if workload.id == "rate":
                    each = row.ns_each()
                row.count = int(self._budget_ns / max(each, 1))
                row.count = max(workload.fewest, min(workload.most, row.count))
            if not self._quick:
                row.samples = row.samples[1:] or row.samples
        if not self._quick:
            for row in rows.values():
                row.samples = []

    @staticmethod
    def _pace(row: Entry, rows: dict[str, Entry]) -> None:
        """Set the pause to a share of the rate that this peer has by itself."""
        rate = rows.get("rate")
        if rate is None or rate.reason or not rate.samples:
            row.reason = (
                f"its maximum rate is not known: {rate.reason if rate else '-'}"
            )
            return
        pause_ns = rate.ns_each() / row.workload.share
        row.pause_ns = max(FASTEST_PAUSE_NS, int(pause_ns))


def measure(
    peers: Sequence[Peer],
    workloads: Sequence[Workload],
    builder: adapters.Builder,
    cores: Sequence[int],
    *,
    rounds: int = 1,
    quick: bool = False,
    budget_ms: float = 150,
    limit_s: float = 20,
    say: Say = lambda _: None,
) -> dict[str, Any]:
    """Return the run: what the peers are, and a row for each and each workload."""
    run = Run(cores, quick=quick, budget_ms=budget_ms, limit_s=limit_s, say=say)
    commands: dict[str, Command] = {}
    about: list[dict[str, str]] = []
    rows = {p.id: {w.id: Entry(p, w) for w in workloads} for p in peers}
    for peer in peers:
        reason = version = ""
        say(f"making {peer.id}")
        try:
            commands[peer.id] = builder.make(peer)
            version = commands[peer.id].version
        except CannotError as error:
            reason = str(error)
            say(f"{peer.id}: {reason}")
            for row in rows[peer.id].values():
                row.reason = reason
        about.append(
            {
                "id": peer.id, "title": peer.title, "language": peer.language,
                "kind": peer.kind, "version": version, "unfair": peer.unfair,
                "reason": reason,
            }
        )  # fmt: skip
    load_before = os.getloadavg()[0]
    for peer in peers:
        if peer.id in commands:
            say(f"trying {peer.id}")
            run.plan(rows[peer.id], commands[peer.id])
    for done in range(0 if quick else rounds):
        for workload in workloads:
            for peer in peers:
                if peer.id in commands:
                    run.take(rows[peer.id][workload.id], commands[peer.id])
        say(f"round {done + 1} of {rounds}")
    return {
        "mode": "quick" if quick else "full",
        "rounds": 1 if quick else rounds,
        "machine": machine(cores, load_before),
        "peers": about,
        "workloads": [workload._asdict() for workload in workloads],
        "rows": [row.row() for of_peer in rows.values() for row in of_peer.values()],
    }


# ---- The machine ----


def machine(cores: Sequence[int], load_before: float) -> dict[str, Any]:
    """Return what it is, and what is wrong with it."""
    info = Path("/proc/cpuinfo").read_text()
    models = re.findall(r"model name\s*: (.*)", info)
    virtual = " hypervisor" in info
    notes = []
    if virtual:
        notes.append("a virtual machine: the hypervisor has a part in each wake-up")
    if len(set(cores)) < 2:
        notes.append("one core: whatever spins is not measured")
    if load_before > 0.5:
        notes.append(
            f"the machine was busy (load {load_before:.2f}): not to be relied on"
        )
    try:
        import hdrh  # noqa: F401, PLC0415
    except ImportError:
        notes.append("percentiles are exact: the histograms' package cannot be had")
    return {
        "cpu": models[0] if models else platform.machine(),
        "cpus": os.cpu_count(),
        "cores": list(cores),
        "kernel": platform.release().split("-")[0],
        "python": platform.python_version(),
        "load": round(load_before, 2),
        "time": time.strftime("%Y-%m-%d"),
        "notes": notes,
    }


def chosen(names: str, known: Sequence[Any]) -> list[Any]:
    """Return those whose id has one of the names in it; all for no names."""
    wanted = [name for name in names.split(",") if name]
    found = [thing for thing in known if any(name in thing.id for name in wanted)]
    if wanted and not found:
        sys.exit(f"{names}: there are {', '.join(thing.id for thing in known)}")
    return found or list(known)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--build",
        type=Path,
        required=True,
        metavar="DIR",
        help="where the peers go, and what the run has found",
    )
    parser.add_argument("--library", type=Path, required=True, help="libtachyon.a")
    parser.add_argument("--cc", default="cc")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument(
        "--limit",
        type=float,
        default=20,
        metavar="S",
        help="what takes longer has hung; default: %(default)s",
    )
    parser.add_argument(
        "--budget",
        type=float,
        default=150,
        metavar="MS",
        help="of a sample; default: %(default)s",
    )
    parser.add_argument("--only", default="", help="peers, with commas between")
    parser.add_argument("--workloads", default="", help="likewise")
    parser.add_argument("--quick", action="store_true",
                        help="show that it works; measures nothing")  # fmt: skip
    args = parser.parse_args()
    try:
        wanted = adapters.HERE / "packages.txt"
        sys.path += adapters.packages(wanted, args.build / "python")
    except CannotError as error:
        print(error, file=sys.stderr)  # no plots then, and exact percentiles
    cores = sorted(os.sched_getaffinity(0))[:2]
    run = measure(
        chosen(args.only, catalogue.PEERS),
        chosen(args.workloads, catalogue.workloads()),
        adapters.Builder(args.build, args.cc, args.library),
        cores, rounds=args.rounds, quick=args.quick, budget_ms=args.budget,
        limit_s=args.limit,
        say=lambda text: print(text, file=sys.stderr, flush=True),
    )  # fmt: skip
    path = args.build / "peers.json"
    path.write_text(json.dumps(run, indent=1) + "\n")
    import report  # noqa: PLC0415 - after the packages are there

    (args.build / "peers.md").write_text(report.section(run))
    print(report.section(run))
    print(report.draw(run, args.build))


if __name__ == "__main__":
    main()
