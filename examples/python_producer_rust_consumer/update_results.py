#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measure the pair and write the table of results into its README.

Runs with and without the timestamp take turns; of each kind, the run with the median
rate is shown whole, beside the range of the rates.
"""

import argparse
import os
import platform
import re
import statistics
import sys
from pathlib import Path
from typing import Any

from run_pair import CONSUMER, HERE, run_pair

README = HERE / "README.md"
KINDS = {"with timestamp": [], "without timestamp": ["--no-timestamp"]}
Result = dict[str, Any]


def rate(result: Result) -> float:
    return float(result["consumer"]["ticks_per_second"])


def measure(consumer: Path, runs: int) -> dict[str, list[Result]]:
    results: dict[str, list[Result]] = {kind: [] for kind in KINDS}
    for _ in range(runs):
        for kind, options in KINDS.items():
            status, result = run_pair(consumer, options, as_json=True)
            if status:
                sys.exit("a run failed: nothing is written")
            results[kind].append(result)
    return results


def table(results: dict[str, list[Result]]) -> str:
    lines = [
        "| | M ticks/s (range) | lost | p50 µs | p90 | p99 | p99.9 | max |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind, runs in results.items():
        rates = [rate(run) / 1e6 for run in runs]
        shown = statistics.median_low([(rate(run), i) for i, run in enumerate(runs)])[1]
        consumer = runs[shown]["consumer"]
        latency = consumer["latency_ns"]
        quantiles = (
            [f"{ns / 1e3:,.1f}" for ns in latency.values()] if latency else ["-"] * 5
        )
        cells = [
            kind,
            f"{rates[shown]:.2f} ({min(rates):.2f} to {max(rates):.2f})",
            str(consumer["lost"]),
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
        f"{count:,} ticks; the run with the median rate of {args.runs} each. "
        f"{circumstances()}.\n\n{table(results)}"
    )
    write_results(README, text)
    print(text)


if __name__ == "__main__":
    main()
