# SPDX-License-Identifier: Apache-2.0
"""tachyon bench: how fast it is here."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import IO

import click
from rich.console import Console
from rich.table import Table

import tachyon
from tachyon import Bus, Role, RpcBus

from .ending import CANNOT_OPEN, Ended
from .endpoint import LARGEST, Size

BATCH_BYTES = 64 << 10
SHARES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "max": 1.0}


@click.command()
@click.argument("path", required=False)
@click.option(
    "--size", type=Size(), default="32", show_default=True, help="Bytes of a message."
)
@click.option(
    "--count", type=click.IntRange(1), default=100_000, show_default=True,
    help="Messages of each measurement.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="The numbers as one JSON object.")
def bench(path: str | None, size: int, count: int, as_json: bool) -> None:
    """Measure messages a second, and the time of a call and its answer.

    Between this and another process, both in Python: with PATH the call to `tachyon
    echo PATH`, otherwise to a process of its own, and messages one way as well.
    """
    if not 1 <= size < LARGEST // 4:
        raise click.UsageError("--size is 1 to 511M")
    found: dict[str, float] = {}
    if path is not None:
        found |= calls(path, size, count, 0)
    else:
        with tempfile.TemporaryDirectory(prefix="tachyon-bench-") as folder:
            found |= one_way(f"{folder}/bus.sock", size, count)
            own = f"{folder}/rpc.sock"
            with started("echo", own, "--timeout", "10", "--capacity", room(size)):
                found |= calls(own, size, count, 10)
    if as_json:
        print(json.dumps({"size": size, "count": count, **found}))
        return
    table = Table("", f"{count:,} of {size:,} bytes")
    for name, value in found.items():
        table.add_row(name.replace("_", " "), f"{value:,.2f}")
    Console().print(table)


def room(size: int) -> str:
    """Return a capacity that takes some messages."""
    return str(max(1 << 20, 1 << (4 * size).bit_length()))


@contextlib.contextmanager
def started(*arguments: str) -> Iterator[IO[bytes]]:
    """Start another command, which ends as we do; give what it writes."""
    command = [sys.executable, "-m", "tachyon.tools", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as peer:
        try:
            assert peer.stdout is not None
            yield peer.stdout
            with contextlib.suppress(subprocess.TimeoutExpired):
                peer.wait(10)
        finally:
            peer.kill()  # it may still wait for us


def one_way(path: str, size: int, count: int) -> dict[str, float]:
    """Measure until the receiver has released all."""
    receiver = ("recv", path, "--listen", "--format", "none", "--quiet",
                "--capacity", room(size), "--count", str(count + 1))  # fmt: skip
    batch = min(count, max(1, BATCH_BYTES // size))
    items = memoryview(bytes(batch * size)).cast("B", (batch, size))
    with started(*receiver) as written:
        with Bus.connect(path, timeout=10, role=Role.PRODUCER) as bus:
            bus.send(bytes(size))  # until it is there
            began = time.perf_counter()
            left = count
            while left:
                left -= bus.send_batch(items[: min(left, batch)])
            line = written.readline()  # when it has released the last one
            took = time.perf_counter() - began
        if f" {count + 1:,} messages".encode() not in line:
            raise tachyon.TachyonError(f"not all has arrived: {line!r}")
    return {"messages_per_s": count / took, "MB_per_s": count * size / took / 1e6}


def calls(path: str, size: int, count: int, timeout: float) -> dict[str, float]:
    """Measure each call until its answer is there."""
    try:
        bus = RpcBus.rpc_connect(path, timeout=timeout)
    except (ConnectionError, PermissionError, TimeoutError) as error:
        advice = f"start `tachyon echo {path}`"
        raise Ended(CANNOT_OPEN, f"{path}: {error}; {advice}") from error
    data = bytes(size)
    times: list[int] = []
    with bus:
        if size > bus.max_payload:
            raise click.UsageError(f"--size {size}: {path} takes {bus.max_payload}")
        for _ in range(count):
            began = time.perf_counter_ns()
            with bus.wait(bus.call(data, 1), timeout=10) as answer:
                if answer.actual_size != size:
                    raise tachyon.TachyonError(f"{path} does not answer with the call")
            times.append(time.perf_counter_ns() - began)
    times.sort()
    last = count - 1
    return {f"call_us_{name}": times[int(last * n)] / 1e3 for name, n in SHARES.items()}
