# SPDX-License-Identifier: Apache-2.0
"""The commands, each in a process of its own."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HEADER = Path(__file__).resolve().parents[2] / "examples/typed_ticks/tick.h"
TYPED = ("--header", HEADER, "--types", "Tick=1")
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
    return str(tmp_path / "bus.sock")


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
