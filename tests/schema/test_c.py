# SPDX-License-Identifier: Apache-2.0
"""market_tick.types.h, as C and C++ compilers take it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tachyon.schema import fnv1a
from tachyon.schema.__main__ import main

from conftest import EVERY, ROOT

CC = os.environ.get("CC", "cc")
STRICT = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror")
PROGRAM = EVERY.with_suffix(".c").read_text()


@pytest.fixture
def every(tmp_path: Path) -> Path:
    """Return a header with one of everything, its types.h beside it."""
    header = tmp_path / "every.h"
    header.write_text(EVERY.read_text())
    assert main([str(header), "--types", "Tick=1", "Cancel=2", "--c"]) == 0
    return header


def compile_text(directory: Path, text: str, *options: str) -> str:
    """Compile a program; return what the compiler says, "" if it is content."""
    (directory / "program.c").write_text(text)
    return subprocess.run(
        [
            *(CC, "-std=c11", f"-I{ROOT / 'core/include'}", *options),
            *("program.c", "-o", "program"),
        ],
        cwd=directory,
        check=False,
        stderr=subprocess.PIPE,
        text=True,
    ).stderr


def test_a_program_finds_and_copies_messages(every: Path) -> None:
    assert compile_text(every.parent, PROGRAM, *STRICT) == ""
    out = subprocess.check_output([every.parent / "program"], text=True)
    found, copied, *text, last = out.splitlines()
    assert found == "1 AAPL 189.5 1 0 0 0 1 0"
    # 52 bytes have part of `late`, 60 part of what follows `port`.
    assert copied == ("48:0,0 52:0,0 56:7,0 60:7,9 64:7,9 68:7,9 72:7,9 0")
    described = "\n".join(text) + "\n"
    assert described.startswith("tachyon-types 1 little\nenum Side u32\n BID 1\n")
    number, size = last.split()
    assert int(size) == len(described) + 1
    assert int(number, 16) == fnv1a(described.encode())


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        ("double price;", "float price; float rest;", "Tick.price"),
        ("uint32_t venue[2];", "uint16_t venue[4];", None),
        ("float bid;", "float first; float bid;", "Tick"),
        ("char a;", "short a;", "part.a"),
        ("uint32_t order;", "uint64_t order;", "Cancel"),
        ("uint64_t late", "uint64_t late __attribute__((aligned(16)))", "Tick"),
    ],
)
def test_another_layout_does_not_compile(
    every: Path, before: str, after: str, named: str | None
) -> None:
    text = every.read_text()
    assert before in text
    every.write_text(text.replace(before, after))
    said = compile_text(every.parent, PROGRAM, "-Wno-overflow")
    if named is None:
        # As large as before, at the same place: that is for the description to say.
        assert "assert" not in said
        assert (
            main([str(every), "--types", "Tick=1", "Cancel=2", "--c", "--check"]) == 1
        )
    else:
        assert f'static assertion failed: "{named}"' in said or (
            f"'{named}'" in said or f": {named}\n" in said
        )


def test_it_takes_no_name_of_a_header_beside_it(tmp_path: Path) -> None:
    (tmp_path / "tick_types.h").write_text(
        "#ifndef TICK_TYPES_H\n#define TICK_TYPES_H\ntypedef int count_t;\n#endif\n"
    )
    header = tmp_path / "tick.h"
    header.write_text(
        '#include "tick_types.h"\n#define TICK_ASSERT(x) x\n'
        "typedef struct { count_t x; } Tick;\n"
    )
    assert main([str(header), "--types", "Tick=1", "--c"]) == 0
    text = '#include "tick.types.h"\nint main(void) { return TICK_ASSERT(0); }\n'
    assert compile_text(tmp_path, text) == ""


def test_it_is_cxx_too(every: Path) -> None:
    cxx = shutil.which("c++") or shutil.which("g++")
    if cxx is None:
        pytest.skip("no C++ compiler")
    subprocess.run(
        [
            *(
                cxx,
                "-std=c++17",
                "-fsyntax-only",
                *STRICT,
                "-Wno-missing-field-initializers",
            ),
            *(f"-I{ROOT / 'core/include'}", "-x", "c++", every.with_suffix(".types.h")),
        ],
        check=True,
    )
