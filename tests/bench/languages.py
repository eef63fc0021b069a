#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Time per message and of round trips in each language, beside C.

The peers of the conformance tests, two processes. One way, one sends 32-byte ticks,
filling in every field, the other receives them and reads every field. A round trip is a
message of 32 bytes and its echo, or a call and its reply. The other end is always the
peer in C, which takes or sends ticks in place, echoes, or replies, so that only what is
measured differs. All cases are taken in turns, C in each; what is printed is the median
of each, and the median of the ratios to C in the same turn.
"""

import argparse
import json
import math
import os
import re
import subprocess
import sys
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

PAGE = Path(__file__).resolve().parents[2] / "docs" / "BENCHMARKS.md"
BEGIN = "<!-- languages: written by tests/bench/languages.py -->\n"
END = "<!-- end of languages -->\n"
HOW = {"single": "single", "batch": "batch", "in_place": "in place"}
WAY = {"produce": "send", "consume": "receive"}
# A round trip: the operation, and how long C lets it wait for each answer, in seconds.
TRIPS = {"round trip": ("ping", 0), "asleep": ("ping", 0.0005), "call": ("ask", 0)}
OTHER_END = {
    "produce": "consume", "consume": "produce", "ping": "echo", "ask": "answer",
}  # fmt: skip
NEVER_BLOCK = {"node": "promises", "kotlin": "coroutines"}
CAPACITY = 1 << 22
BUDGET_NS = 3e8
LINE = re.compile(r"count (\d+) qty (\d+) price ([0-9.]+) ns ([0-9.]+)\n")
TRIPS_LINE = re.compile(r"count (\d+) p50 ([0-9.]+) p99 ([0-9.]+)\n")
TIME_LIMIT = 120

SCRIPTING = ("lua", "ruby", "perl", "php", "tcl", "guile", "r", "octave")
# Times C's loop, by `how`; of scripting languages nanoseconds.
GOALS: dict[str, dict[str, float]] = {
    "cpp": {"single": 1, "batch": 1, "in_place": 1},
    "java": {"single": 3, "batch": 1.5},
    "go": {"single": 3.5, "batch": 1},
    "csharp": {"single": 3.5, "batch": 1},
    "dotnet": {"single": 3.5, "batch": 1},
    "node": {"batch": 4.5},
}
GOAL_NS = 800
EQUAL = 1.1  # "as C", on a machine that others use

serial = count()


Figures = dict[str, float]  # of one run, in nanoseconds


class Case(NamedTuple):
    """One language, and what it does."""

    language: str
    how: str  # one of HOW or of TRIPS
    end: str  # the operation

    @property
    def yardstick(self) -> "Case":
        """What C does, to compare with."""
        return self._replace(language="c")

    @property
    def least(self) -> int:
        """Return the messages of a short run."""
        return 300 if self.how in TRIPS else 5_000


def expected(messages: int) -> tuple[int, int, float]:
    cycles, rest = divmod(messages, 1000)
    qty = cycles * 499_500 + rest * (rest - 1) // 2
    return messages, qty, messages * 100 + 0.25 * messages * (messages - 1) / 2


def sums_are_right(line: re.Match[str] | None, messages: int) -> bool:
    if line is None:
        return False
    count, qty, price = expected(messages)
    return [int(line[1]), int(line[2])] == [count, qty] and math.isclose(
        float(line[3]),
        price,
        rel_tol=1e-14,  # Mono prints 15 digits
    )


def figures(case: Case, messages: int, own: str, other: str) -> Figures | None:
    """Return what was measured; None where something is wrong."""
    if case.how in TRIPS:
        line = TRIPS_LINE.fullmatch(other)
        if line and int(line[1]) == messages and own == f"answered {messages}\n":
            return {"p50": float(line[2]), "p99": float(line[3])}
        return None
    line = LINE.fullmatch(own)
    right = sums_are_right(LINE.fullmatch(other), messages)
    if line and right and sums_are_right(line, messages):
        return {"ns": float(line[4])}
    return None


def measure(peers: dict[str, Any], case: Case, messages: int) -> Figures:
    """Return the figures of one run."""
    path = f"@tachyon-languages-{os.getpid()}-{next(serial)}"
    keys = [f"count={messages}", f"capacity={CAPACITY}"]
    if case.how in TRIPS:
        listens, own = ["end=listen", f"pause={TRIPS[case.how][1]}"], []
    else:
        listens, own = ["end=listen", "how=in_place"], [f"how={case.how}"]
    running = []
    for language, end, more in (
        ("c", OTHER_END[case.end], listens),
        (case.language, case.end, own),
    ):
        peer = peers[language]
        environment = dict(word.split("=", 1) for word in peer["environment"])
        running.append(
            subprocess.Popen(
                [*peer["command"], end, path, *keys, *more], text=True,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                env={**os.environ, **environment},
            )
        )  # fmt: skip
    try:
        told = [process.communicate(timeout=TIME_LIMIT) for process in running[::-1]]
    finally:
        for process in running:
            process.kill()
    found = figures(case, messages, *(out for out, _ in told))
    if found is None or any(process.returncode for process in running):
        sys.exit(f"{case} with {messages} messages: {told}")
    return found


def cases_of(peers: dict[str, Any]) -> list[Case]:
    languages = ["c", *sorted(set(peers) - {"c"})]
    kinds = [
        *((how, end) for how in HOW for end in WAY),
        *((how, end) for how, (end, _) in TRIPS.items()),
    ]
    return [
        Case(language, *kind)
        for kind in kinds
        for language in languages
        if not set(kind) & set(peers[language]["without"])
    ]


class Table:
    """The samples, and what is made of them."""

    def __init__(self, samples: dict[Case, list[Figures]]) -> None:
        self._samples = samples

    def ns(self, case: Case, figure: str = "ns") -> float:
        """Return the median."""
        return median(sample[figure] for sample in self._samples[case])

    def ratio(self, case: Case, figure: str = "ns") -> float:
        """Return the median of the ratios to C."""
        pairs = zip(self._samples[case], self._samples[case.yardstick], strict=True)
        return median(own[figure] / reference[figure] for own, reference in pairs)

    def goal(self, case: Case) -> tuple[str, str]:
        """Return the goal, and whether it is met."""
        if case.language in SCRIPTING:
            return f"≤ {GOAL_NS} ns", yes_or_no(self.ns(case) <= GOAL_NS)
        if (limit := GOALS.get(case.language, {}).get(case.how)) is None:
            return "", ""
        if limit == 1 and case.language == "cpp":
            return "as C", yes_or_no(self.ratio(case) <= EQUAL)
        return f"≤ {limit:g} x C", yes_or_no(self.ratio(case) <= limit)

    def markdown(self) -> str:
        """Return both tables."""
        return f"{self.one_way()}\n{self.round_trips()}"

    def one_way(self) -> str:
        """Return a row for each language and way."""
        lines = [
            "| language | how | send, ns | x C | receive, ns | x C | goal | met "
            "| 0.5.1 |",
            "|---|---|---:|---:|---:|---:|---|---|---|",
        ]
        ways = dict.fromkeys((c.language, c.how) for c in self._samples if c.how in HOW)
        for language, how in sorted(ways, key=lambda way: (way[0] != "c", way)):
            cells, met, goal = [], [], ""
            for end in WAY:
                case = Case(language, how, end)
                if case in self._samples:
                    cells += [f"{self.ns(case):.0f}", f"{self.ratio(case):.2f}"]
                    goal, outcome = self.goal(case)
                    met.append(outcome)
                else:
                    cells += ["", ""]
            outcome = " / ".join(dict.fromkeys(met))
            row = [language, HOW[how], *cells, goal, outcome, ""]
            lines.append(f"| {' | '.join(row)} |")
        return "\n".join(lines) + "\n"

    def round_trips(self) -> str:
        """Return a row for each language."""
        columns = [(how, "p50") for how in TRIPS]
        columns.insert(1, ("round trip", "p99"))
        heads = [f" {how}, {figure}, µs | x C " for how, figure in columns]
        lines = [
            f"| language |{'|'.join(heads)}|",
            "|---|" + 2 * len(columns) * "---:|",
        ]
        for language in dict.fromkeys(c.language for c in self._samples):
            row = [language]
            if language in NEVER_BLOCK:
                row = [f"{language}, {NEVER_BLOCK[language]}"]
            for how, figure in columns:
                case = Case(language, how, TRIPS[how][0])
                if case in self._samples:
                    microseconds = self.ns(case, figure) / 1000
                    row += [f"{microseconds:.2f}", f"{self.ratio(case, figure):.2f}"]
                else:
                    row += ["", ""]
            lines.append(f"| {' | '.join(row)} |")
        return "\n".join(lines) + "\n"


def yes_or_no(met: bool) -> str:
    return "yes" if met else "no"


def fitting(peers: dict[str, Any], case: Case) -> int:
    """Return how many messages fit into the budget of a run."""
    if case.how == "asleep":  # it is the pauses that take the time
        return 10_000
    messages = case.least
    for _ in range(2):  # a compiler at run time takes its time
        found = measure(peers, case, messages)
        each = found.get("ns") or found["p50"]
        messages = max(1_000, min(10_000_000, int(BUDGET_NS / each)))
    return messages


def run(peers: dict[str, Any], turns: int, quick: bool) -> dict[Case, list[Figures]]:
    """Take the samples."""
    messages = {
        case: case.least if quick else fitting(peers, case) for case in cases_of(peers)
    }
    samples: dict[Case, list[Figures]] = {case: [] for case in messages}
    for turn in range(turns):
        for case, taken in samples.items():
            taken.append(measure(peers, case, messages[case]))
        print(f"turn {turn + 1} of {turns}", file=sys.stderr, flush=True)
    return samples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, required=True)
    parser.add_argument("--only", help="languages, with commas between")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one turn, few messages")
    parser.add_argument("--json", type=Path, help="where to write all samples")
    parser.add_argument("--page", type=Path, nargs="?", const=PAGE,
                        help="write the table into this page")  # fmt: skip
    args = parser.parse_args()
    peers = json.loads(args.peers.read_text())
    if args.only:
        names = {"c", *args.only.split(",")}
        peers = {name: peer for name, peer in peers.items() if name in names}
    samples = run(peers, 1 if args.quick else args.turns, args.quick)
    table = Table(samples).markdown()
    print(table)
    if args.json:
        rows = [
            {**case._asdict(), "runs": figures} for case, figures in samples.items()
        ]
        args.json.write_text(json.dumps(rows, indent=1) + "\n")
    if args.page:
        before, rest = args.page.read_text().split(BEGIN)
        _, after = rest.split(END)
        text = f"Medians of {args.turns} turns.\n\n{table}"
        args.page.write_text(f"{before}{BEGIN}{text}{END}{after}")


if __name__ == "__main__":
    main()
