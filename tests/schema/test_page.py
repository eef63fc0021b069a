# SPDX-License-Identifier: Apache-2.0
"""The header and the programs of docs/TYPED_MESSAGES.md, as they stand there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tachyon.schema.__main__ import main

from conftest import ROOT, RUSTC

PAGE = (ROOT / "docs" / "TYPED_MESSAGES.md").read_text()
RECEIVED = "b'AAPL' 189.5\n"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return a directory with the header of the page, and what is written of it."""
    (tmp_path / "market_tick.h").write_text(block("#include <stdint.h>", tmp_path))
    options = ["--types", "MarketTick=1", "--c", "--python", "--rust"]
    assert main([str(tmp_path / "market_tick.h"), *options]) == 0
    return tmp_path


def block(first: str, directory: Path) -> str:
    """Return the block that begins so, with a socket in the directory."""
    (text,) = re.findall(rf"^```\n({re.escape(first)}.*?)^```$", PAGE, re.M | re.S)
    return str(text).replace("/tmp/", f"{directory}/")


def receives(directory: Path, *sender: str | Path) -> None:
    """Run receive.py and a sender of two ticks."""
    (directory / "receive.py").write_text(block("# receive.py", directory))
    receiver = subprocess.Popen(
        [sys.executable, "receive.py"], cwd=directory, stdout=subprocess.PIPE, text=True
    )
    try:
        subprocess.run(sender, cwd=directory, check=True)
        out, _ = receiver.communicate()
    finally:
        receiver.kill()
    assert (out, receiver.returncode) == (2 * RECEIVED, 0)


def test_python_sends(directory: Path) -> None:
    (directory / "send.py").write_text(block("# send.py", directory))
    receives(directory, sys.executable, "send.py")


def test_c_sends(directory: Path) -> None:
    (directory / "send.c").write_text(block("/* send.c */", directory))
    subprocess.run(
        [
            *(os.environ.get("CC", "cc"), "-std=c11", "-Wall", "-Wextra", "-Werror"),
            *(f"-I{ROOT / 'core/include'}", "send.c", os.environ["TACHYON_LIBRARY"]),
            *("-o", "send", "-lpthread", *sanitizers()),
        ],
        cwd=directory,
        check=True,
    )
    receives(directory, directory / "send")


def sanitizers() -> list[str]:
    """Return what the library has to be linked with."""
    names = os.environ.get("TACHYON_SANITIZE")
    return [f"-fsanitize={names}"] if names else []


def test_rust_sends(directory: Path) -> None:
    crates = Path(os.environ["TACHYON_CRATE"])
    if RUSTC is None or not (crates / "libtachyon_ipc.rlib").exists():
        pytest.skip("the crates are not built")
    (directory / "send.rs").write_text(block("// send.rs", directory))
    command = [RUSTC, "--edition", "2021", "-L", f"dependency={crates / 'deps'}"]
    for crate in ("tachyon_ipc", "tachyon_sys"):
        command += ["--extern", f"{crate}={crates / f'lib{crate}.rlib'}"]
    subprocess.run([*command, "send.rs", "-o", "send"], cwd=directory, check=True)
    receives(directory, directory / "send")
