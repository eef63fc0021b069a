# SPDX-License-Identifier: Apache-2.0
"""Runs two peers, or two samples, and compares what they print; see README.md."""

import contextlib
import os
import re
import subprocess
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cases import Case, Side

TIME_LIMIT = 45.0  # of the first to end; a peer itself gives up after 20
GRACE = 25.0  # for a peer whose other end has ended

Peers = dict[str, Any]
serial = count()


class Running(NamedTuple):
    """A program, what it should print and how it should end."""

    command: list[str]
    prints: str
    status: int
    process: subprocess.Popen[str]
    printed: list[str]


class Pair:
    """Programs that run at once."""

    def __init__(self) -> None:
        self._running: list[Running] = []

    def start(self, peer: dict[str, Any], command: list[str], prints: tuple[str, ...],
              status: int = 0) -> None:  # fmt: skip
        """Start a program of a language."""
        environment = dict(word.split("=", 1) for word in peer["environment"])
        process = subprocess.Popen(
            command, text=True, errors="replace", stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, **environment},
        )  # fmt: skip
        pattern = "".join(f"({line}\n)" for line in prints)
        self._running.append(Running(command, pattern, status, process, []))

    def wait_for_a_line(self) -> None:
        """Wait until what was started last has printed one, and take no more."""
        last, line = self._running[-1], b""
        while last.process.stdout and not line.endswith(b"\n"):
            byte = os.read(last.process.stdout.fileno(), 1)
            if not byte:
                break
            line += byte
        last.printed.append(line.decode())

    def finish(self, killed: int | None = None) -> None:
        """Wait for all; fail unless each printed and ended as it should."""
        ended = self._wait_for_any(killed)
        deadline = time.monotonic() + (GRACE if ended else 0)
        right, report = True, ""
        for i, running in enumerate(self._running):
            process, first = running.process, "".join(running.printed)
            if i == killed:
                if running.prints and process.stdout:  # it may not have come so far
                    first += process.stdout.readline()
                process.kill()
            hung = False
            try:
                limit = max(0.0, deadline - time.monotonic())
                rest, errors = process.communicate(timeout=limit)
            except subprocess.TimeoutExpired:
                hung = True
                process.kill()
                rest, errors = process.communicate()
            out, status = first + rest, process.returncode
            right &= not hung and status == running.status
            right &= re.fullmatch(running.prints, out) is not None
            report += (
                f"\n$ {' '.join(running.command)}\n"
                f"{'hung and was killed' if hung else f'status {status}'}, "
                f"expected {running.status} and {running.prints!r}\n{out}{errors}"
            )
        if not right:
            pytest.fail(report, pytrace=False)

    def _wait_for_any(self, killed: int | None) -> bool:
        watched = [r.process for i, r in enumerate(self._running) if i != killed]
        deadline = time.monotonic() + TIME_LIMIT
        while time.monotonic() < deadline:
            if any(process.poll() is not None for process in watched):
                return True
            time.sleep(0.002)
        return False

    def kill(self) -> None:
        """End what is still running."""
        for running in self._running:
            running.process.kill()
            with contextlib.suppress(ValueError):  # its output was taken
                running.process.communicate()


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair()
    yield pair
    pair.kill()


@pytest.fixture
def path(tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """Give a path of its own, every other one in the file system."""
    number = next(serial)
    if number % 2 or "taken" in request.node.name:
        return str(tmp_path / "bus")
    return f"@tachyon-interop-{os.getpid()}-{number}"


def missing(side: Side, without: list[str]) -> set[str]:
    words = {side.operation, str(side.keys.get("how")), str(side.keys.get("finish"))}
    return (words | {key for key, value in side.keys.items() if value}) & set(without)


def test_case(
    peers: Peers, case: Case, languages: tuple[str, ...], pair: Pair, path: str
) -> None:
    if case.path == "long":
        path = "@" + 200 * "x"
    elif case.path == "taken":
        Path(path).touch()
    for side, language in zip(case.sides, languages, strict=True):
        peer = peers[language]
        if words := missing(side, peer["without"]):
            pytest.skip(f"{language} has no {' or '.join(sorted(words))}")
        keys = [f"{key}={value}" for key, value in side.keys.items()]
        command = [*peer["command"], side.operation, path, *keys]
        pair.start(peer, command, side.prints, side.status)
        if case.in_turn:
            pair.wait_for_a_line()
    pair.finish(case.killed)


def test_samples(
    peers: Peers, languages: tuple[str, ...], samples: tuple[str, str], pair: Pair,
    path: str,
) -> None:  # fmt: skip
    ticks = tuple(f"type 1: tick {i}" for i in range(25))
    words = ("hello", "Tachyon", "x-1", "two words")
    told: dict[str, tuple[list[str], tuple[str, ...]]] = {
        "send": (["25"], ("sent 25",)),
        "recv": ([], (*ticks, "received 25")),
        "rpc_server": ([], ("served 4",)),
        "rpc_client": (list(words), tuple(f"{w} -> {w.upper()}" for w in words)),
    }
    for sample, language in zip(samples, languages, strict=True):
        peer = peers[language]
        if not peer[sample]:
            pytest.skip(f"{language} has no sample {sample}")
        arguments, prints = told[sample]
        pair.start(peer, [*peer[sample], path, *arguments], prints)
    pair.finish()
