#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measure the pair and write the table of results into its README.

The kinds of runs take turns; of each kind, the run with the median rate is shown whole,
beside the range of the rates; of the paced ones, whose rates are alike, the run with
the median p99.
"""

import argparse
import os
import platform
import re
import sys
from pathlib import Path
from typing import Any

from run_pair import CONSUMER, HERE, run_pair

README = HERE / "README.md"
KINDS = {
    "as fast as possible": [],
    "the same without timestamps": ["--no-timestamp"],
    "100,000 ticks a second": ["--rate", "100000"],
}
Result = dict[str, Any]


def rate(result: Result) -> float:
    return float(result["consumer"]["ticks_per_second"])


def median(runs: list[Result]) -> Result:
    def key(run: Result) -> float:
        return float(
            run["consumer"]["latency_ns"]["p99"]
            if run["producer"]["rate"]
            else rate(run)
        )

    return sorted(runs, key=key)[(len(runs) - 1) // 2]


def measure(consumer: Path, runs: int) -> dict[str, list[Result]]:
    results: dict[str, list[Result]] = {kind: [] for kind in KINDS}
    for _ in range(runs):
        for kind, options in KINDS.items():
            status, result = run_pair(consumer, options, as_json=True)
            if status:
                sys.exit("a run failed: nothing is written")
            results[kind].append(result)
    return results


def meaning(run: Result) -> str:
    if not run["consumer"]["latency_ns"]:
        return "-"
    return "**latency**" if run["consumer"]["rate"] else "time in the queue"


def table(results: dict[str, list[Result]]) -> str:
    lines = [
        "| sent | M ticks/s (range) | lost | from timestamp to receipt | p50 µs | p90 "
        "| p99 | p99.9 | max |",
        "|---" * 9 + "|",
    ]
    for kind, runs in results.items():
        rates = [rate(run) / 1e6 for run in runs]
        shown = median(runs)
        consumer = shown["consumer"]
        latency = consumer["latency_ns"]
        quantiles = (
            [f"{ns / 1e3:,.1f}" for ns in latency.values()] if latency else ["-"] * 5
        )
        cells = [
            kind,
            f"{rate(shown) / 1e6:.2f} ({min(rates):.2f} to {max(rates):.2f})",
            str(consumer["lost"]),
            meaning(shown),
            *quantiles,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def circumstances() -> str:
    models = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    parts = [
        models[0] if models else platform.machine(),
        f"{os.cpu_count()} CPUs",
        f"Linux {platform.release().split('-')[0]}",
        f"Python {platform.python_version()}",
        "no pinning",
    ]
    if os.sched_getscheduler(0) == os.SCHED_FIFO:
        parts.append(
            "both sides at real-time priority, so that nothing else runs between"
        )
    return ", ".join(parts)


def write_results(readme: Path, text: str) -> None:
    """Put the text between the two comments that a README has for it."""
    start, end = "<!-- results: written by ", "<!-- end of results -->"
    before, rest = readme.read_text().split(start)
    script, rest = rest.split("\n", 1)
    after = rest[rest.index(end) :]
    readme.write_text(f"{before}{start}{script}\n{text}\n{after}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7, help="of each kind (default: 7)")
    parser.add_argument("--consumer", type=Path, default=CONSUMER, metavar="PROGRAM")
    args = parser.parse_args()
    results = measure(args.consumer, args.runs)
    count = next(iter(results.values()))[0]["consumer"]["messages"]
    text = (
        f"{count:,} ticks; the median run of {args.runs} each. "
        f"{circumstances()}.\n\n{table(results)}"
    )
    write_results(README, text)
    print(text)


if __name__ == "__main__":
    main()
