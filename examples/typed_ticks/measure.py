#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measure typed ticks and the first pair in turns and write the table into the README.

Each row has the median rate, beside the range.
"""

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAIR = HERE.parent / "python_producer_rust_consumer"
sys.path.append(str(PAIR))

from run_pair import CONSUMER, run_pair  # noqa: E402
from update_results import circumstances, rate, write_results  # noqa: E402

PROGRAMS = HERE.parent.parent / "build" / "cargo" / "release"
COUNT = 500_000

Run = Callable[[Path], float]


def first_pair(programs: Path) -> float:
    """Return the rate of the first pair in M ticks/s."""
    status, result = run_pair(programs / CONSUMER.name, [], as_json=True)
    if status:
        sys.exit("a run failed: nothing is written")
    return rate(result) / 1e6


def typed(receiver: str, sender: str, *options: str) -> Run:
    """Return a function that runs two programs and returns their rate."""

    def run(programs: Path) -> float:
        with tempfile.TemporaryDirectory(prefix="tachyon-") as directory:
            socket = Path(directory) / "ticks.sock"
            arguments = ["--socket", str(socket)]
            receive = subprocess.Popen(
                [*command(programs, receiver), *arguments],
                stdout=subprocess.PIPE,
                text=True,
            )
            while receive.poll() is None and not socket.exists():
                time.sleep(0.01)
            arguments += ["--count", str(COUNT), *options]
            subprocess.run(
                [*command(programs, sender), *arguments],
                stdout=subprocess.DEVNULL,
                check=True,
            )
            out, _ = receive.communicate()
        found = re.match(rf"received: {COUNT:,} ticks .* ([\d.]+) M ticks/s\n", out)
        if found is None:
            sys.exit("a run failed: nothing is written")
        return float(found[1])

    return run


def command(programs: Path, name: str) -> Sequence[str | Path]:
    """Return the command line of a program in Python or in Rust."""
    if name.endswith(".py"):
        return [sys.executable, HERE / name]
    return [programs / name]


WAYS: dict[str, Run] = {
    "the first pair, Python to Rust: a guard, a memoryview, `struct.pack_into`": (
        first_pair
    ),
    "Python to Rust: `with channel.send() as tick`, five attributes written": typed(
        "ticks-receive", "send.py", "--how", "place"
    ),
    "Python to Rust: `channel(symbol, price, ...)`": typed(
        "ticks-receive", "send.py", "--how", "call"
    ),
    "Rust to Python: `loan`, and `for tick in channel`": typed(
        "receive.py", "ticks-send"
    ),
    "Rust to Rust: `loan`, `recv_message`": typed("ticks-receive", "ticks-send"),
}


def table(results: dict[str, list[float]]) -> str:
    lines = ["| | M ticks/s (range) | ns a tick |", "|---|---|---|"]
    for title, rates in results.items():
        median = statistics.median_low(rates)
        lines.append(
            f"| {title} | {median:.2f} ({min(rates):.2f} to {max(rates):.2f}) "
            f"| {1e3 / median:.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7, help="of each way (default: 7)")
    parser.add_argument("--programs", type=Path, default=PROGRAMS, metavar="DIR")
    args = parser.parse_args()
    results: dict[str, list[float]] = {title: [] for title in WAYS}
    for _ in range(args.runs):
        for title, run in WAYS.items():
            results[title].append(run(args.programs))
    text = (
        f"{COUNT:,} ticks with timestamps; the median of {args.runs} runs each. "
        f"{circumstances()}.\n\n{table(results)}"
    )
    write_results(HERE / "README.md", text)
    print(text)


if __name__ == "__main__":
    main()
