#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measure Tachyon beside its yardsticks and its peers, all in turns.

Each sample is a pair of new processes on two cores of their own; in every round each
peer does each workload once, so that what the machine does meanwhile happens to all of
them. There are as many rounds as the time is for, and one at least; a figure is the
median of them. What cannot be measured is a row that says
why, and never the end of the run. Writes peers.json, the table (peers.md) and plots.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import adapters
import catalogue
import circumstances
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
        # Where there is a pause it says how many; else each sample tells the next.
        planned = workload.pause_ns or workload.most == 1
        self.count = workload.most if planned else QUICK_COUNT
        self.taken, self.pause_ns = 0, workload.pause_ns
        self.samples: list[dict[str, float]] = []

    def note(self, taken: sample.Sample) -> None:
        """Keep the figures of a sample."""
        self.taken = taken.count
        figures: dict[str, float] = {}
        if taken.values:
            figures |= quantiles(taken.values)
        if self.workload.name == "way":
            whole = -(-taken.count // self.workload.batch) * self.workload.batch
            figures["ns"] = taken.wall_ns / whole
        elif self.workload.name == "memory":
            figures["resident"], figures["shared"] = taken.resident, taken.shared
            figures["bytes"] = taken.resident + taken.shared
        elif self.workload.name == "place" or self.workload.id == "rate":
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

    def aim(self, budget_ns: float) -> None:
        """Have as many messages in the next sample as fit into the time."""
        workload = self.workload
        if workload.pause_ns or workload.most == 1 or not self.samples:
            return
        each = self.pause_ns if workload.share else self.ns_each()
        count = int(budget_ns / max(each, 1))
        self.count = max(workload.fewest, min(workload.most, count))

    def row(self) -> Row:
        """Return it for the JSON: the median of each figure."""
        names = self.samples[0] if self.samples and not self.reason else ()
        return {
            "peer": self.peer.id,
            "workload": self.workload.id,
            "count": self.taken,
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
            if not self._quick:
                row.aim(self._budget_ns)
        except CannotError as error:
            row.reason = str(error)
            self._say(f"{row.peer.id} {row.workload.id}: {row.reason}")

    def plan(self, rows: dict[str, Entry], command: Command) -> None:
        """Find out what each workload takes, and so how many messages to send."""
        for row in rows.values():
            if self._quick:
                row.count = max(1, min(QUICK_COUNT, row.count))
            elif row.taken or row.count != QUICK_COUNT:
                continue  # known beforehand
            if row.workload.share:
                self._pace(row, rows)
            self.take(row, command)
            if row.workload.id == "rate" and not self._quick:
                self.take(row, command)  # the open loops go by it
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
    minutes: float = 60,
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
    before = circumstances.Before(0 if quick else circumstances.LOOK_S)
    end = time.monotonic() + 60 * minutes
    for peer in peers:
        if peer.id in commands:
            say(f"trying {peer.id}")
            run.plan(rows[peer.id], commands[peer.id])
    turns = [] if quick else [(w, p) for w in workloads for p in peers]
    done = 1 if quick else 0
    while turns and done < rounds and not (done and time.monotonic() > end):
        for workload, peer in turns:
            if done and time.monotonic() > end:
                say("the time is over")
                break
            if peer.id in commands:
                run.take(rows[peer.id][workload.id], commands[peer.id])
        else:
            done += 1
            say(f"round {done}")
    return {
        "mode": "quick" if quick else "full",
        "rounds": done,
        "machine": before.machine(cores),
        "peers": about,
        "workloads": [workload._asdict() for workload in workloads],
        "rows": [row.row() for of_peer in rows.values() for row in of_peer.values()],
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
    parser.add_argument("--jar", type=Path, help="tachyon-ipc.jar")
    parser.add_argument("--cc", default="cc")
    parser.add_argument(
        "--minutes",
        type=float,
        default=30,
        metavar="M",
        help="when no round begins any more; default: %(default)s",
    )
    parser.add_argument("--rounds", type=int, default=5,
                        help="at most; default: %(default)s")  # fmt: skip
    parser.add_argument(
        "--limit",
        type=float,
        default=8,
        metavar="S",
        help="what takes longer has hung; default: %(default)s",
    )
    parser.add_argument(
        "--budget",
        type=float,
        default=60,
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
        adapters.Builder(args.build, args.cc, args.library, args.jar),
        cores, rounds=args.rounds, minutes=args.minutes, quick=args.quick,
        budget_ms=args.budget, limit_s=args.limit,
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
