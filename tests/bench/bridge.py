#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a bridge adds to Zenoh: messages a second, and the time of one on its way.

By turns, on loopback, all in Python: Zenoh alone with a message a sample, Zenoh alone
with as many a sample as a bridge puts into one, and two bridges between two buses. The
time is from before the send until the receiver has the message, at a rate that neither
queues at. See docs/BRIDGE.md.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import queue
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import zenoh

from tachyon import Bus, Role

KEY = "bench/bridge"
NOW = struct.Struct("<Q")
BATCH = 1024
WAIT = 60
WAYS = ("zenoh", "zenoh, batches", "bridges")


def session(place: str, *, listen: bool) -> Any:
    config = zenoh.Config()
    config.insert_json5("scouting/multicast/enabled", "false")
    config.insert_json5("listen/endpoints", json.dumps([place] * listen))
    config.insert_json5("connect/endpoints", json.dumps([place] * (not listen)))
    return zenoh.open(config)


def paced(count: int, rate: float) -> Iterator[None]:
    """Go on when each is due; rate 0: at once."""
    began = time.perf_counter()
    for n in range(count):
        if rate and (left := began + n / rate - time.perf_counter()) > 0:
            time.sleep(left)
        yield


def send(way: str, place: str, count: int, size: int, rate: float) -> None:
    """Send messages with the time in them: what the other process does."""
    rest = bytes(size - NOW.size)

    def message() -> bytes:
        return NOW.pack(time.monotonic_ns()) + rest

    if way == "bridges":
        with Bus.connect(place, timeout=WAIT, role=Role.PRODUCER) as bus:
            for _ in paced(count, rate):
                bus.send(message())
        return
    with session(place, listen=False) as opened:
        publisher = opened.declare_publisher(
            KEY, congestion_control=zenoh.CongestionControl.BLOCK
        )
        while not publisher.matching_status.matching:
            time.sleep(0.01)
        most = 1 if rate or way == "zenoh" else BATCH
        for _ in paced(-(-count // most), rate):
            publisher.put(b"".join(message() for _ in range(most)))
        sys.stdin.read()  # to close throws away what is queued


def sender(
    way: str, place: str, count: int, size: int, rate: float
) -> subprocess.Popen[bytes]:
    arguments = ["--send", way, place, str(count), str(size), str(rate)]
    command = [sys.executable, __file__, *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE)


def through_zenoh(
    way: str, place: str, count: int, size: int, rate: float
) -> Iterator[bytes]:
    """Go through what Zenoh alone carries."""
    got: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    with session(place, listen=True) as opened:
        opened.declare_subscriber(
            KEY,
            zenoh.handlers.Callback(
                lambda sample: got.put(sample.payload.to_bytes()), indirect=False
            ),
        )
        process = sender(way, place, count, size, rate)
        seen = 0
        while seen < count:
            data = got.get(timeout=WAIT)
            for at in range(0, len(data), size):
                yield data[at : at + size]
                seen += 1
        process.communicate(timeout=WAIT)


def through_bridges(
    place: str, folder: str, count: int, size: int, rate: float
) -> Iterator[bytes]:
    """Go through what two bridges carry."""
    near, far = f"{folder}/near.sock", f"{folder}/far.sock"
    common = ("--listen", "--connect-timeout", str(WAIT), "--quiet")
    tool = [sys.executable, "-m", "tachyon.tools", "bridge"]
    with contextlib.ExitStack() as stack:
        for arguments in (
            ("--from", f"zenoh:{KEY}", "--to", far, "--listen-at", place),
            ("--from", near, "--to", f"zenoh:{KEY}", "--connect", place),
        ):
            process = subprocess.Popen([*tool, *arguments, *common])
            stack.callback(process.wait, WAIT)
        sending = sender("bridges", near, count, size, rate)
        stack.callback(sending.wait, WAIT)
        with Bus.connect(far, timeout=WAIT, role=Role.CONSUMER) as bus:
            for message in bus:
                yield message.data


def carried(
    way: str, folder: str, count: int, size: int, rate: float
) -> tuple[float, list[float]]:
    """Return messages a second, and how many microseconds each took."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        place = f"tcp/127.0.0.1:{probe.getsockname()[1]}"
    messages = (
        through_bridges(place, folder, count, size, rate)
        if way == "bridges"
        else through_zenoh(way, place, count, size, rate)
    )
    took: list[float] = []
    began = 0.0
    for data in messages:
        began = began or time.perf_counter()
        took.append((time.monotonic_ns() - NOW.unpack_from(data)[0]) / 1e3)
        last = time.perf_counter()
    assert len(took) >= count, f"{way}: {len(took)} of {count} messages"
    return len(took) / (last - began), took


def share(times: list[float], part: float) -> float:
    return sorted(times)[int(part * (len(times) - 1))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--rate", type=float, default=1000.0)
    parser.add_argument("--slow", type=int, default=3000, help="messages at --rate")
    parser.add_argument("--send", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.send:
        way, place, count, size, rate = options.send
        send(way, place, int(count), int(size), float(rate))
        return
    rates: dict[str, list[float]] = {way: [] for way in WAYS}
    shares: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory(prefix="tachyon-bench-") as folder:
        for _ in range(options.rounds):
            for way in WAYS:
                speed, _ = carried(way, folder, options.count, options.size, 0)
                rates[way].append(speed)
                _, took = carried(way, folder, options.slow, options.size, options.rate)
                shares[way].append((share(took, 0.5), share(took, 0.99)))
    print(f"| {options.size} bytes | messages/s | p50, µs | p99, µs |")
    print("|---|---:|---:|---:|")
    for way in WAYS:
        p50, p99 = (statistics.median(each) for each in zip(*shares[way], strict=True))
        speed = statistics.median(rates[way])
        print(f"| {way} | {speed:,.0f} | {p50:,.0f} | {p99:,.0f} |")


if __name__ == "__main__":
    main()
