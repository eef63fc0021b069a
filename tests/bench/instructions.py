#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Instructions per message, of the package and of the extension made by hand.

callgrind runs this file as a program that sends two numbers of messages; the difference
of what it counts is free of everything but the messages. It is the one measure that no
neighbour on the machine disturbs.
"""

import functools
import os
import re
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import handmade
import patterns
from patterns import PAYLOAD, iterate, send, send_zero_copy_without_timestamp

import tachyon

PATTERNS = {
    "send_zero_copy": send_zero_copy_without_timestamp,
    "send": send,
    "iterate": iterate,
}
LIMIT = 1.1  # of what the extension made by hand takes
# Messages with fields, which that does not have: beside which pattern, and how many
# times its instructions at most.
TYPED = {
    "message_in_place": ("send_zero_copy_and_time", 0.7),
    "message_call": ("send_zero_copy_and_time", 0.3),
    "message_keywords": ("send_zero_copy_and_time", 0.3),
    "message_iterate": ("channel_iterate", 1.25),
}
OWN = {
    "send_zero_copy_and_time": patterns.send_zero_copy,
    "channel_iterate": patterns.channel_iterate,
    **{name: getattr(patterns, name) for name in TYPED},
}
FEW, MANY = 1_000, 11_000
CAPACITY = 1 << 20  # holds MANY, so that nothing ever waits
MARK = "--dump-before=getppid"  # a function that nothing else calls
TOTALS = re.compile(r"^totals: (\d+)$", re.MULTILINE)


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


def run(name: str) -> None:
    """Run each pattern with FEW and with MANY messages between marks."""
    for pattern, loop in patterns_of(name).items():
        for count in (FEW, MANY):
            path = f"@tachyon-bench-{os.getpid()}-{pattern}-{count}"
            producer, consumer = open_pair(BUSES[name], path)
            iterates = "iterate" in pattern
            if iterates:
                send(producer, MANY)
            os.getppid()  # a mark, for MARK
            loop(consumer if iterates else producer, count)
            os.getppid()
            if not iterates and next(consumer).size != len(PAYLOAD):
                raise RuntimeError(f"{pattern} sent another message")


def patterns_of(name: str) -> dict[str, Any]:
    """Return the loops that a kind of bus has."""
    return PATTERNS | OWN if name == "product" else PATTERNS


@functools.cache
def count_instructions(name: str) -> dict[str, float]:
    """Run all patterns under callgrind: instructions per message of each."""
    with tempfile.TemporaryDirectory() as directory:
        profile = Path(directory) / "profile"  # .1, .2, ...: up to each mark
        valgrind = ("valgrind", "--tool=callgrind", f"--callgrind-out-file={profile}")
        result = subprocess.run(
            [*valgrind, MARK, sys.executable, __file__, name],
            env={**os.environ, "PYTHONHASHSEED": "0"},
            capture_output=True,
            text=True,
            check=False,
        )
        dumps = sorted((len(d.name), d) for d in Path(directory).glob("profile.*"))
        totals = [int(TOTALS.findall(dump.read_text())[0]) for _, dump in dumps]
    loops = patterns_of(name)
    if result.returncode != 0 or len(totals) != 4 * len(loops):
        raise RuntimeError(f"callgrind failed: {result.stdout}{result.stderr}")
    few, many = totals[1::4], totals[3::4]
    return {
        pattern: (more - less) / (MANY - FEW)
        for pattern, less, more in zip(loops, few, many, strict=True)
    }


def per_message(name: str, pattern: str) -> float:
    """Return how many instructions one message takes in a pattern."""
    return count_instructions(name)[pattern]


if __name__ == "__main__":
    run(sys.argv[1])
