#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long a connect takes, with messages declared and without.

One process listens, the other one connects, each on a core of its own; what is timed is
Bus.connect() alone, which the listener is asleep for. Equal descriptions cost nothing
that no description does not; where they differ, but only by what messages may grow by,
both texts travel. The cases take turns, round after round.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import time
from multiprocessing.connection import Connection
from typing import Any

import results

import tachyon

LIMIT_S = 60
GOAL_US = 1000  # where descriptions differ
ASLEEP_S = 0.002  # after which the listener waits


def describe(messages: int, fields: int) -> str:
    """Describe messages that may grow, which have so many fields of 4 bytes."""
    lines = ["tachyon-types 1 little"]
    for type_id in range(1, messages + 1):
        lines.append(f"message {type_id} Message{type_id} +")
        lines += [f" field{i} u32 @{4 * i}" for i in range(fields)]
        lines.append(f" = {4 * fields} align 4")
    return "\n".join(lines) + "\n"


# What the listener and the connector declare.
CASES: dict[str, tuple[str | None, str | None]] = {
    "no messages": (None, None),
    "one message, the same": (describe(1, 4), describe(1, 4)),
    "one message that has grown": (describe(1, 4), describe(1, 5)),
    "900 messages, the same": (describe(900, 1), describe(900, 1)),
    "900 messages that have grown": (describe(900, 1), describe(900, 2)),
}


def listen(link: Connection, core: int) -> None:
    """Take a peer in each case that the other process asks for."""
    os.sched_setaffinity(0, {core})
    while True:
        path, name = link.recv()
        link.send("now")
        with tachyon.Bus.listen(path, 4096, timeout=LIMIT_S, types=CASES[name][0]):
            link.recv()
        link.send("gone")


def connect(link: Connection, path: str, name: str) -> float:
    """Return the microseconds of one connect."""
    link.send((path, name))
    link.recv()
    time.sleep(ASLEEP_S)
    begin = time.perf_counter_ns()
    bus = tachyon.Bus.connect(path, timeout=LIMIT_S, types=CASES[name][1])
    took = time.perf_counter_ns() - begin
    link.send("close")
    link.recv()
    bus.close()
    return took / 1000


def measure(rounds: int) -> list[dict[str, Any]]:
    """Rows for the cases, each against none of the same round."""
    link, other = multiprocessing.Pipe()
    cores = sorted(os.sched_getaffinity(0))
    worker = multiprocessing.Process(
        target=listen, args=(other, cores[-1]), daemon=True
    )
    worker.start()
    os.sched_setaffinity(0, {cores[0]})
    samples: dict[str, list[float]] = {name: [] for name in CASES}
    for i in range(rounds):
        for number, (name, taken) in enumerate(samples.items()):
            taken.append(connect(link, f"@connect-{os.getpid()}-{i}-{number}", name))
    worker.terminate()
    return [row(name, taken, samples["no messages"]) for name, taken in samples.items()]


def row(name: str, taken: list[float], yardstick: list[float]) -> dict[str, Any]:
    """Return a median, and the one of the ratios."""
    size = len(CASES[name][1] or "")
    value = statistics.median(taken)
    ratio = statistics.median(a / b for a, b in zip(taken, yardstick, strict=True))
    grown = name.endswith("grown")
    return {
        "id": f"connect {name}",
        "title": f"connect, {name}{f', {size:,} bytes' if size else ''}",
        "regime": "any",
        "value": value,
        "unit": "us",
        "ratio": ratio if size else None,
        "ratio_to": "no messages",
        "goal": f"<= {GOAL_US} us" if grown else None,
        "met": value <= GOAL_US if grown else None,
        "samples": len(taken),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--json", action="store_true", help="as a JSON array")
    args = parser.parse_args()
    rows = measure(args.rounds)
    print(json.dumps(rows) if args.json else results.table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
