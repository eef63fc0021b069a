# SPDX-License-Identifier: Apache-2.0
"""The README of each binding is what its README.in and the shared blocks make of it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEADER = Path("core") / "include" / "tachyon.h"


def check(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, root / "bindings" / "readmes.py", "--check"],
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a tree with the pages, what they are made of, and the header alone."""
    files = [*ROOT.glob("bindings/*/README.*"), ROOT / "bindings" / "readmes.py"]
    for file in [*files, ROOT / HEADER]:
        there = tmp_path / file.relative_to(ROOT)
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, there)
    return tmp_path


def test_each_is_as_written() -> None:
    done = check(ROOT)
    assert done.returncode == 0, done.stdout


def test_each_binding_has_a_source() -> None:
    pages = {page.parent.name for page in ROOT.glob("bindings/*/README.md")}
    assert pages == {file.parent.name for file in ROOT.glob("bindings/*/README.in")}


def test_a_page_that_was_changed_by_hand_is_named(copy: Path) -> None:
    page = copy / "bindings" / "lua" / "README.md"
    page.write_text(page.read_text().replace("Lua 5.3", "Lua 5.2"))
    done = check(copy)
    assert done.returncode == 1
    assert "-Lua 5.2 or later" in done.stdout
    assert "bindings/ruby" not in done.stdout


def test_a_new_version_reaches_the_pages(copy: Path) -> None:
    header = copy / HEADER
    text = re.sub(r"(VERSION_MINOR) \d+", r"\1 77", header.read_text())
    header.write_text(text)
    done = check(copy)
    assert done.returncode == 1
    assert ".77." in done.stdout


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("@limits@ => @limit@", "there is no block @limit@"),
        ("send: bus:send => sand: bus:send", "@names@ needs 'send'"),
        ("title: Lua => title Lua", "is not `key: value`"),
    ],
)
def test_a_mistake_in_a_source_is_named(copy: Path, wrong: str, said: str) -> None:
    source = copy / "bindings" / "lua" / "README.in"
    old, new = wrong.split(" => ")
    source.write_text(source.read_text().replace(old, new, 1))
    done = check(copy)
    assert done.returncode == 1
    assert said in done.stdout
    assert "Traceback" not in done.stdout


def test_signatures_are_of_functions_that_there_are() -> None:
    facade = (ROOT / "swig" / "facade.h").read_text() + "".join(
        file.read_text() for file in (ROOT / "swig").glob("*.i")
    )
    seen = 0
    for source in ROOT.glob("bindings/*/README.in"):
        head = source.read_text().partition("\n\n")[0]
        for name in re.findall(r"^(send|recv_batch|call): ", head, re.MULTILINE):
            assert re.search(rf"\b{name}\(", facade), f"{source}: {name}"
            seen += 1
    assert seen == 21
