# SPDX-License-Identifier: Apache-2.0
"""Headers to read."""

import functools
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from tachyon import Bus, schema

ROOT = Path(__file__).resolve().parents[2]
EVERY = Path(__file__).parent / "every.h"
MARKET_TICK = EVERY.with_name("market_tick.h")

RUSTC = shutil.which(os.environ.get("RUSTC") or "rustc") or shutil.which(
    str(Path.home() / ".cargo/bin/rustc")
)

Read = Callable[..., schema.Schema]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Return a function that reads messages from the text of a header, tick.h."""

    def read_text(text: str, *types: str, **options: Any) -> schema.Schema:
        header = tmp_path / "tick.h"
        header.write_text("#include <stdbool.h>\n#include <stdint.h>\n" + text)
        ids = {name: i for i, name in enumerate(types or ("Tick",), 1)}
        return schema.read(header, ids, **options)

    return read_text


def struct(body: str, after: str = "") -> str:
    """Return a header with the struct Tick."""
    return f"typedef struct {{ {body} }} {after} Tick;"


def merged(texts: Iterable[str]) -> int:
    """Return the fingerprint of what the core makes of several descriptions."""
    with pytest.raises(ValueError, match=r"options\.types [0-9a-f]{16}") as caught:
        Bus.connect("@nobody", types=list(texts), schema=2)
    found = re.search("types ([0-9a-f]{16})", str(caught.value))
    assert found
    return int(found[1], 16)


@functools.cache
def rust_crate() -> tempfile.TemporaryDirectory[str]:
    """Compile what files for Rust need of tachyon-ipc: one file of it, by itself."""
    directory = tempfile.TemporaryDirectory()
    subprocess.run(
        [
            *(str(RUSTC), "--edition", "2021", "--crate-type", "lib"),
            *("--crate-name", "tachyon_ipc", "--out-dir", directory.name),
            *("-A", "dead_code", ROOT / "bindings/rust/src/message.rs"),
        ],
        check=True,
    )
    return directory


def rustc(*options: str | Path) -> list[str]:
    """Return a command line that compiles what is written for Rust."""
    command = [str(RUSTC), "--edition", "2021", "-L", rust_crate().name]
    return [*command, "--extern", "tachyon_ipc", *map(str, options)]


@pytest.fixture
def written(tmp_path: Path) -> bytes:
    """Return a Tick and a Cancel of every.h as C has them."""
    program = tmp_path / "write_messages"
    here = EVERY.parent
    subprocess.run(
        [
            *(os.environ.get("CC") or "cc", "-std=c11", f"-I{ROOT / 'core/include'}"),
            *(here / "write_messages.c", "-o", program),
        ],
        check=True,
    )
    return subprocess.check_output([program])
