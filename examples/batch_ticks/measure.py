#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measure the four ways in turns and write their table into the README.

Of each way the run with the median rate is shown whole, beside the range of the rates.
"""

import argparse
import statistics
import sys
from pathlib import Path
from typing import Any

from send_ticks import WAYS  # first: it finds the two below

from run_pair import CONSUMER, run_pair  # isort: skip
from update_results import circumstances, rate, write_results

HERE = Path(__file__).resolve().parent
TITLES = {
    "guard": "`with bus.send_zero_copy(...) as tx`, `with memoryview(tx) as mv`, "
    "`struct.pack_into(FMT, mv, ...)`",
    "buf": "`with bus.send_zero_copy(...) as tx`, `pack_into(tx.buf, ...)`",
    "channel": "`channel(symbol, price, quantity, timestamp)`",
    "batch": "`channel.send_batch(array)`, 1,120 ticks each",
}


def measure(consumer: Path, runs: int) -> dict[str, list[dict[str, Any]]]:
    results: dict[str, list[dict[str, Any]]] = {how: [] for how in WAYS}
    for _ in range(runs):
        for how, done in results.items():
            status, result = run_pair(
                consumer,
                ["--how", how],
                as_json=True,
                producer_program=HERE / "send_ticks.py",
            )
            if status:
                sys.exit("a run failed: nothing is written")
            done.append(result)
    return results


def table(results: dict[str, list[dict[str, Any]]]) -> str:
    lines = [
        "| | M ticks/s (range) | ns a tick | lost | latency p50 µs | p99 |",
        "|---|---|---|---|---|---|",
    ]
    for how, runs in results.items():
        rates = [rate(run) / 1e6 for run in runs]
        median = statistics.median_low(rates)
        shown = runs[rates.index(median)]["consumer"]
        lines.append(
            f"| {TITLES[how]} | {median:.2f} ({min(rates):.2f} to {max(rates):.2f}) "
            f"| {1e3 / median:.0f} | {shown['lost']} "
            f"| {shown['latency_ns']['p50'] / 1e3:,.1f} "
            f"| {shown['latency_ns']['p99'] / 1e3:,.1f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7, help="of each way (default: 7)")
    parser.add_argument("--consumer", type=Path, default=CONSUMER, metavar="PROGRAM")
    args = parser.parse_args()
    results = measure(args.consumer, args.runs)
    count = results["guard"][0]["consumer"]["messages"]
    text = (
        f"{count:,} ticks with timestamps; the run with the median rate of {args.runs} "
        f"each. {circumstances()}.\n\n{table(results)}"
    )
    write_results(HERE / "README.md", text)
    print(text)


if __name__ == "__main__":
    main()
