#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Instructions per message, of the package and of the extension made by hand.

callgrind runs this file as a program with two numbers of messages; the difference of
what it counts is free of everything but the messages. It is the one measure that no
neighbour on the machine disturbs.
"""

import functools
import os
import re
import subprocess
import sys
import threading
from typing import Any

import handmade
from patterns import PAYLOAD, iterate, send, send_zero_copy_without_timestamp

import tachyon

PATTERNS = {
    "send_zero_copy": send_zero_copy_without_timestamp,
    "send": send,
    "iterate": iterate,
}
LIMIT = 1.1  # of what the extension made by hand takes
FEW, MANY = 1_000, 11_000
CAPACITY = 1 << 20  # holds MANY, so that nothing ever waits


class LayeredBus(tachyon.Bus):
    """What a layer of Python round each call would cost: the planted slow-down."""

    def send_zero_copy(self, *args: Any, **kwargs: Any) -> tachyon.TxGuard:
        """Send as the bus does."""
        return super().send_zero_copy(*args, **kwargs)

    def send(self, *args: Any, **kwargs: Any) -> None:
        """Send as the bus does."""
        super().send(*args, **kwargs)

    def __next__(self) -> tachyon.Message:
        return super().__next__()


BUSES: dict[str, Any] = {
    "product": tachyon.Bus,
    "handmade": handmade.Bus,
    "layered": LayeredBus,
}


def open_pair(kind: Any, path: str) -> tuple[Any, Any]:
    """Return both ends of a bus in this process: the producer and the consumer."""
    ends: list[Any] = []
    listener = threading.Thread(target=lambda: ends.append(kind.listen(path, CAPACITY)))
    listener.start()
    patience = {} if kind is handmade.Bus else {"timeout": None}
    producer = kind.connect(path, **patience)
    listener.join()
    return producer, ends[0]


def run(name: str, counts: dict[str, int]) -> None:
    """Run each pattern on a bus of its own: what callgrind counts."""
    for pattern, count in counts.items():
        path = f"@tachyon-bench-{os.getpid()}-{pattern}"
        producer, consumer = open_pair(BUSES[name], path)
        if pattern == "iterate":
            send(producer, MANY)
            iterate(consumer, count)
        else:
            PATTERNS[pattern](producer, count)
            if next(consumer).size != len(PAYLOAD):
                raise RuntimeError(f"{pattern} sent another message")


@functools.cache
def count_instructions(name: str, more_of: str | None) -> int:
    """Run all patterns under callgrind, one of them with more messages."""
    valgrind = ("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null")
    counts = [f"{p}={MANY if p == more_of else FEW}" for p in PATTERNS]
    result = subprocess.run(
        [*valgrind, sys.executable, __file__, name, *counts],
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    collected = re.search(r"Collected : (\d+)", result.stderr)
    if result.returncode != 0 or not collected:
        raise RuntimeError(f"callgrind failed: {result.stdout}{result.stderr}")
    return int(collected[1])


def per_message(name: str, pattern: str) -> float:
    """Return how many instructions one message takes in a pattern."""
    more = count_instructions(name, pattern) - count_instructions(name, None)
    return more / (MANY - FEW)


if __name__ == "__main__":
    run(sys.argv[1], {p: int(n) for p, n in (a.split("=") for a in sys.argv[2:])})
