#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measure what further readers cost, and one that is stopped, and write the README.

The latency is that of the Rust consumer, which is never the slow one: from the time at
which a tick was due until it has it. The others are displays. Of each kind, the run
with the median p99 is shown.
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PAIR = HERE.parent / "python_producer_rust_consumer"
sys.path.append(str(PAIR))

from producer import SLOW_AFTER  # noqa: E402
from run_pair import CONSUMER  # noqa: E402
from update_results import circumstances, write_results  # noqa: E402

DISPLAY = HERE.parents[1] / "build/examples/market_broadcast/market_display"
RATE, COUNT = 20_000, 200_000
STOPPED_AT = 2.0  # seconds from the beginning
KINDS = {  # how many displays, and whether one of them is stopped
    "the consumer alone": (0, False),
    "with two displays": (2, False),
    "with two displays, one of them stopped for good": (2, True),
}
Result = dict[str, Any]


def run(consumer: Path, display: Path, displays: int, stopped: bool) -> Result:
    """Return the consumer's report."""
    with tempfile.TemporaryDirectory(prefix="tachyon-") as directory:
        socket = f"{directory}/ticks.sock"
        numbers = ("--readers", displays + 1, "--rate", RATE, "--count", COUNT)
        producer = start(
            sys.executable, PAIR / "producer.py", "--socket", socket, *numbers
        )
        shows = [start(display, socket) for _ in range(displays)]
        reader = start(consumer, "--connect", "--json", "--socket", socket)
        time.sleep(STOPPED_AT)
        if stopped:
            shows[0].send_signal(signal.SIGSTOP)
        out, _ = reader.communicate()
        producer.wait()
        for each in shows:
            each.send_signal(signal.SIGKILL)
            each.wait()
    if reader.returncode or producer.returncode:
        sys.exit("a run failed: nothing is written")
    report: Result = json.loads(out)
    return report


def start(*command: object) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def table(results: dict[str, list[Result]]) -> str:
    lines = ["| readers | lost | latency p50 µs | p90 | p99 | max |", "|---" * 6 + "|"]
    for kind, runs in results.items():
        shown = sorted(runs, key=lambda run: float(run["latency_ns"]["p99"]))
        report = shown[(len(runs) - 1) // 2]
        latency = report["latency_ns"]
        cells = [f"{latency[key] / 1e3:,.1f}" for key in ("p50", "p90", "p99", "max")]
        lines.append(f"| {' | '.join([kind, str(report['lost']), *cells])} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="of each kind (default: 3)")
    parser.add_argument("--consumer", type=Path, default=CONSUMER, metavar="PROGRAM")
    parser.add_argument("--display", type=Path, default=DISPLAY, metavar="PROGRAM")
    args = parser.parse_args()
    results: dict[str, list[Result]] = {kind: [] for kind in KINDS}
    for _ in range(args.runs):
        for kind, (displays, stopped) in KINDS.items():
            results[kind].append(run(args.consumer, args.display, displays, stopped))
    text = (
        f"{COUNT:,} ticks, {RATE:,} a second, a ring of 1 MiB, a reader waited for "
        f"{SLOW_AFTER:g} s; the run with the median p99 of {args.runs} each. "
        f"{circumstances()}.\n\n{table(results)}"
    )
    write_results(HERE / "README.md", text)
    print(text)


if __name__ == "__main__":
    main()
