# SPDX-License-Identifier: Apache-2.0
"""One sample: a pair of new processes that end, whatever becomes of them."""

import array
import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from adapters import CannotError, Command
from catalogue import Workload

LAST_LINES = 2


class Sample(NamedTuple):
    """What one run of a driver has found."""

    values: "array.array[int]"  # nanoseconds of each, where there are such
    count: int
    connect_ns: int
    wall_ns: int
    cpu_ns: int
    resident: int  # bytes that both have got by connecting
    shared: int


def take(
    command: Command,
    workload: Workload,
    count: int,
    pause_ns: int,
    *,
    cores: Sequence[int],
    limit_s: float,
) -> Sample:
    """Run it; CannotError tells why there is nothing."""
    with tempfile.TemporaryDirectory(prefix="tachyon-peer-") as directory:
        words = [workload.name, workload.mode, workload.size, workload.batch, count]
        words += [pause_ns, cores[0], cores[-1], directory]
        try:
            said = run([*command.words, *map(str, words)], command.environment, limit_s)
        finally:
            # What an adapter has in memory, had it no time to remove it.
            for path in Path("/dev/shm").glob(f"tachyon-bench-{Path(directory).name}*"):
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
        values = array.array("Q")
        path = Path(directory, "values")
        if path.exists():
            values.frombytes(path.read_bytes())
    return Sample(
        values, count, said["connect_ns"], said["wall_ns"], said["cpu_ns"],
        said.get("resident", 0), said.get("shared", 0),
    )  # fmt: skip


def run(
    words: list[str], environment: dict[str, str], limit_s: float
) -> dict[str, Any]:
    """Return what it says; nothing of it is left, also where it hangs."""
    try:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, errors="replace",
            start_new_session=True, env={**os.environ, **environment},
        )  # fmt: skip
    except OSError as error:
        raise CannotError(f"cannot be run: {error}") from error
    try:
        out, errors = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        raise CannotError(f"hung: nothing after {limit_s:g} s") from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    for line in out.splitlines():
        with contextlib.suppress(ValueError):
            # Both processes may have said so, on one line.
            said: dict[str, Any] = json.JSONDecoder().raw_decode(line)[0]
            if "cannot" in said:
                raise CannotError(said["cannot"])
            return said
    lines = [line for line in errors.splitlines() if line.strip()]
    why = " ".join(lines[-LAST_LINES:])[-200:]
    raise CannotError(f"ended with {process.returncode}: {why or 'it said nothing'}")
