#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Run consumer and producer together: the demo, and what the tests start.

The exit status is 0 only when both had it. If one fails before they have met, the other
would wait for ever, so it is ended here.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
CONSUMER = HERE.parent.parent / "build" / "cargo" / "release" / "market-tick-consumer"
PRODUCER = HERE / "producer.py"
GRACE_SECONDS = 2.0  # for the other side to notice by itself
POLL_SECONDS = 0.01

Process = subprocess.Popen[str]


def wait_for_both(consumer: Process, producer: Process) -> None:
    # Sleeps until either has ended: to look now and then would disturb the measurement.
    os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
    # One of two that met ends soon after the other, however that went.
    for process in (consumer, producer):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
        process.terminate()


def start_consumer(program: Path, options: Sequence[str], socket: Path) -> Process:
    """Start it with the terminal: its progress and result are what one wants to see."""
    output = subprocess.PIPE if "--json" in options else None
    consumer = subprocess.Popen([program, *options], text=True, stdout=output)
    while consumer.poll() is None and not socket.exists():
        time.sleep(POLL_SECONDS)
    return consumer


def start_producer(program: Path, options: Sequence[str]) -> Process:
    """Start it without: its result, or what went wrong, is shown when it has ended."""
    return subprocess.Popen(
        [sys.executable, program, *options],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def run_pair(
    consumer_program: Path,
    producer_options: Sequence[str],
    *,
    as_json: bool,
    producer_program: Path = PRODUCER,
) -> tuple[int, dict[str, object]]:
    """Return the exit status and, with as_json, both results."""
    with tempfile.TemporaryDirectory(prefix="tachyon-") as directory:
        socket = Path(directory) / "ticks.sock"
        options = ["--socket", str(socket)] + ["--json"] * as_json
        consumer = start_consumer(consumer_program, options, socket)
        producer = start_producer(producer_program, [*options, *producer_options])
        try:
            wait_for_both(consumer, producer)
        except KeyboardInterrupt:
            # It went to both of them too.
            wait_for_both(consumer, producer)
        consumer_out, _ = consumer.communicate()
        producer_out, producer_err = producer.communicate()
        if consumer.returncode or producer.returncode:
            print(
                f"{producer_err}the pair failed: exit status "
                f"{consumer.returncode} of the consumer, "
                f"{producer.returncode} of the producer",
                file=sys.stderr,
            )
            return 1, {}
        if not as_json:
            print(producer_out, end="")
            return 0, {}
        return 0, {
            "consumer": json.loads(consumer_out),
            "producer": json.loads(producer_out),
        }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="Other options are the producer's: see there."
    )
    parser.add_argument(
        "--consumer",
        type=Path,
        default=CONSUMER,
        metavar="PROGRAM",
        help="the consumer (default: what CMake builds)",
    )
    parser.add_argument(
        "--json", action="store_true", help="print both results as JSON"
    )
    args, producer_options = parser.parse_known_args()
    status, results = run_pair(args.consumer, producer_options, as_json=args.json)
    if results:
        print(json.dumps(results, indent=2))
    return status


if __name__ == "__main__":
    sys.exit(main())
