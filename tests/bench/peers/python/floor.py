#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Yardstick: what the interpreter takes for calls into C that do nothing.

    floor.py trip|rpc|way MODE SIZE BATCH COUNT PAUSE_NS LEAD_CORE PEER_CORE DIR

The loops of driver.py with the emptiest function of one argument that there is. A round
trip is four calls one after another, two on each side; one way it is one: the other
side's is made at the same time.
"""

import array
import json
import os
import sys
import time
from pathlib import Path

EMPTY = callable


def trips(count: int, message: bytes) -> "array.array[int]":
    """Return how long each took."""
    send = receive = EMPTY
    now, values = time.perf_counter_ns, array.array("Q")
    note = values.append
    for _ in range(count):
        start = now()
        send(message)
        receive(message)
        send(message)
        receive(message)
        note(now() - start)
    return values


def way(count: int, sample: list[bytes]) -> int:
    """Return how long all of them took."""
    send, kinds = EMPTY, len(sample)
    start = time.perf_counter_ns()
    for i in range(count):
        send(sample[i % kinds])
    return time.perf_counter_ns() - start


def main() -> None:
    workload, *numbers, directory = sys.argv[1:]
    _, size, batch, count, _, core, _ = map(int, numbers)
    os.sched_setaffinity(0, {core})
    wall_ns = 0
    if workload in ("trip", "rpc"):
        trips(count // 10 + 10, bytes(size))
        Path(directory, "values").write_bytes(trips(count, bytes(size)).tobytes())
    elif workload == "way" and batch == 1:
        sample = [bytes(size)] * 2
        way(10, sample)
        wall_ns = way(count, sample)
    else:
        print(json.dumps({"cannot": "only calls, and sends nothing"}))
        return
    print(json.dumps({"connect_ns": 0, "wall_ns": wall_ns, "cpu_ns": 0}))


if __name__ == "__main__":
    main()
