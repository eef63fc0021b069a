#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Time per message in the loop of each language, beside the loop in C.

The peers of the conformance tests, two processes: one sends 32-byte ticks, filling in
every field, the other receives them and reads every field. The other end is always the
peer in C, which takes or sends them in place, so that only what is measured differs.
All cases are taken in turns, C in each; what is printed is the median of each, and the
median of the ratios to C's loop of the same turn.
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
CAPACITY = 1 << 22
LINE = re.compile(r"count (\d+) qty (\d+) price ([0-9.]+) ns ([0-9.]+)\n")
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


class Case(NamedTuple):
    """One language, one way, one end."""

    language: str
    how: str
    end: str  # produce or consume

    @property
    def yardstick(self) -> "Case":
        """The loop in C to compare with."""
        return self._replace(language="c")


def expected(messages: int) -> tuple[int, int, float]:
    cycles, rest = divmod(messages, 1000)
    qty = cycles * 499_500 + rest * (rest - 1) // 2
    return messages, qty, messages * 100 + 0.25 * messages * (messages - 1) / 2


def measure(peers: dict[str, Any], case: Case, messages: int) -> float:
    """Nanoseconds per message of one run, which must be right."""
    path = f"@tachyon-languages-{os.getpid()}-{next(serial)}"
    running = []
    for language, end, how in (
        ("c", "consume" if case.end == "produce" else "produce", "in_place"),
        (case.language, case.end, case.how),
    ):
        peer = peers[language]
        keys = [f"how={how}", f"count={messages}", f"capacity={CAPACITY}"]
        listens = ["end=listen"] if not running else []
        environment = dict(word.split("=", 1) for word in peer["environment"])
        running.append(
            subprocess.Popen(
                [*peer["command"], end, path, *keys, *listens], text=True,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                env={**os.environ, **environment},
            )
        )  # fmt: skip
    times = []
    try:
        for process in reversed(running):
            out, errors = process.communicate(timeout=TIME_LIMIT)
            line = LINE.fullmatch(out)
            if not line or process.returncode:
                sys.exit(
                    f"{' '.join(process.args)}: {process.returncode}\n{out}{errors}"
                )
            number, qty, price = expected(messages)
            if [int(line[1]), int(line[2])] != [number, qty] or not math.isclose(
                float(line[3]),
                price,
                rel_tol=1e-14,  # Mono prints 15 digits
            ):
                sys.exit(f"{' '.join(process.args)}: wrong sums\n{out}")
            times.append(float(line[4]))
    finally:
        for process in running:
            process.kill()
    return times[0]


def cases_of(peers: dict[str, Any]) -> list[Case]:
    languages = ["c", *sorted(set(peers) - {"c"})]
    return [
        Case(language, how, end)
        for how in HOW
        for end in WAY
        for language in languages
        if not {how, end} & set(peers[language]["without"])
    ]


class Table:
    """The samples, and what is made of them."""

    def __init__(self, samples: dict[Case, list[float]]) -> None:
        self._samples = samples

    def ns(self, case: Case) -> float:
        """Return the median."""
        return median(self._samples[case])

    def ratio(self, case: Case) -> float:
        """Return the median of the ratios to C's loop."""
        pairs = zip(self._samples[case], self._samples[case.yardstick], strict=True)
        return median(own / reference for own, reference in pairs)

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
        """Return a row for each language and way."""
        lines = [
            "| language | how | send, ns | x C | receive, ns | x C | goal | met "
            "| 0.5.1 |",
            "|---|---|---:|---:|---:|---:|---|---|---|",
        ]
        ways = dict.fromkeys((c.language, c.how) for c in self._samples)
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


def yes_or_no(met: bool) -> str:
    return "yes" if met else "no"


def run(peers: dict[str, Any], turns: int, budget_ns: float) -> dict[Case, list[float]]:
    """Take the samples; each run has as many messages as fit into the budget."""
    cases = cases_of(peers)
    messages = {}
    for case in cases:
        messages[case] = 5_000
        for _ in range(3 if budget_ns else 0):  # a compiler at run time takes its time
            fitting = int(budget_ns / measure(peers, case, messages[case]))
            messages[case] = max(5_000, min(10_000_000, fitting))
    samples: dict[Case, list[float]] = {case: [] for case in cases}
    for turn in range(turns):
        for case in cases:
            samples[case].append(measure(peers, case, messages[case]))
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
    samples = run(peers, 1 if args.quick else args.turns, 0 if args.quick else 3e8)
    table = Table(samples).markdown()
    print(table)
    if args.json:
        rows = [{**case._asdict(), "ns": ns} for case, ns in samples.items()]
        args.json.write_text(json.dumps(rows, indent=1) + "\n")
    if args.page:
        before, rest = args.page.read_text().split(BEGIN)
        _, after = rest.split(END)
        text = f"Medians of {args.turns} turns.\n\n{table}"
        args.page.write_text(f"{before}{BEGIN}{text}{END}{after}")


if __name__ == "__main__":
    main()
