# SPDX-License-Identifier: Apache-2.0
"""The commands, each in a process of its own."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tachyon.tools.__main__ import main

HEADER = Path(__file__).resolve().parents[2] / "examples/typed_ticks/tick.h"
TYPED = ("--header", HEADER, "--types", "Tick=1")
FOR_EVER = ("--listen", "--connect-timeout", "0")  # however long the test takes
Start = Callable[..., "subprocess.Popen[bytes]"]


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "tachyon.tools", *map(str, arguments)]


def run(
    *arguments: object, given: bytes = b"", **options: Any
) -> "subprocess.CompletedProcess[bytes]":
    """Run a command until it ends."""
    return subprocess.run(
        command(*arguments),
        input=given,
        capture_output=True,
        timeout=50,
        check=False,
        **options,
    )


@pytest.fixture
def path(tmp_path: Path) -> str:
    # By a name of its own: `doctor` names listeners at other places with the same one.
    return str(tmp_path / f"bus-{os.getpid()}.sock")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Return a folder that other users may enter, unlike pytest's."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def start() -> Iterator[Start]:
    """Return a function that starts a command; what still runs is killed."""
    with contextlib.ExitStack() as stack:

        def begin(*arguments: object, **options: Any) -> "subprocess.Popen[bytes]":
            options = {"stdin": subprocess.DEVNULL, **options}
            process = subprocess.Popen(
                command(*arguments),
                stdout=options.pop("stdout", subprocess.PIPE),
                stderr=subprocess.PIPE,
                **options,
            )
            stack.callback(process.communicate)
            stack.callback(process.kill)
            return process

        yield begin


def ended(process: "subprocess.Popen[bytes]") -> tuple[int, bytes, bytes]:
    """Wait for a command; return its status and what it has written."""
    out, error = process.communicate(timeout=50)
    return process.returncode, out, error


def without(package: str, folder: Path) -> dict[str, str]:
    """Return an environment in which a package cannot be imported."""
    folder.mkdir(exist_ok=True)
    said = f"No module named {package!r}"
    text = f"raise ModuleNotFoundError({said!r}, name={package!r})"
    (folder / f"{package}.py").write_text(text)
    given = os.environ.get("PYTHONPATH", "")
    return {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{given}"}


def wait_for(condition: Callable[[], Any], seconds: float = 30) -> Any:
    """Wait until a condition holds; return what it is."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "it never was so"
        time.sleep(0.02)
    return value


NOBODY = 65534


def as_nobody(*arguments: object) -> tuple[int, str, str]:
    """Run a command as another user, who may not even see its files.

    In a child of ours: first as we are, so that all is loaded, then as the other.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as error:
        child = os.fork()
        if child == 0:
            status = 99
            try:
                os.dup2(out.fileno(), 1)
                os.dup2(error.fileno(), 2)
                sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
                sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
                given = [str(argument) for argument in arguments]
                main(given)
                sys.stdout.flush()
                sys.stderr.flush()
                os.ftruncate(1, 0)
                os.ftruncate(2, 0)
                os.setgroups([])
                os.setresgid(NOBODY, NOBODY, NOBODY)
                os.setresuid(NOBODY, NOBODY, NOBODY)
                status = main(given)
                sys.stderr.flush()
            finally:
                os._exit(status)
        _, ending = os.waitpid(child, 0)
        out.seek(0)
        error.seek(0)
        said = out.read().lstrip(b"\0").decode(), error.read().lstrip(b"\0").decode()
        return os.waitstatus_to_exitcode(ending), *said
