# SPDX-License-Identifier: Apache-2.0
"""What the tests of the examples share: the programs, run as a user runs them."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

TIME_LIMIT = 60.0


class Program:
    """A running example."""

    def __init__(self, *command: object, stdin: int | IO[bytes]) -> None:
        if str(command[0]).endswith(".py"):
            command = (sys.executable, *command)
        self.process = subprocess.Popen(
            [str(part) for part in command],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self) -> tuple[int, str, str]:
        """Wait for its end and return exit status, output and errors."""
        out, err = self.process.communicate(timeout=TIME_LIMIT)
        return self.process.returncode, out, err

    def output(self) -> str:
        """Wait for its end, which must be a good one."""
        status, out, err = self.finish()
        assert (status, err) == (0, "")
        return out

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)


Start = Callable[..., Program]


@pytest.fixture
def socket(tmp_path: Path) -> Path:
    """Return a path that nothing occupies."""
    return tmp_path / "example.sock"


@pytest.fixture
def start() -> Iterator[Start]:
    """Return a function that starts a program; those still running are killed."""
    programs: list[Program] = []

    def run(*command: object, stdin: int | IO[bytes] = subprocess.DEVNULL) -> Program:
        programs.append(Program(*command, stdin=stdin))
        return programs[-1]

    yield run
    for program in programs:
        program.kill()
        program.process.communicate()


def wait_until_listening(socket: Path) -> None:
    """Wait for a listener that no peer may have found yet."""
    _wait(socket.exists)


def wait_until_connected(socket: Path) -> None:
    """Wait for a listener to have its peer: it gives the path free again."""
    _wait(lambda: not socket.exists())


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIME_LIMIT
    while not condition():
        assert time.monotonic() < deadline, "the two do not meet"
        time.sleep(0.001)
