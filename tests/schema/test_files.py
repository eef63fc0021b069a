# SPDX-License-Identifier: Apache-2.0
"""The command: what it writes, and how it tells that a file is not up to date."""

import subprocess
import sys
from pathlib import Path

import pytest

from tachyon.schema import fnv1a
from tachyon.schema.__main__ import main

from conftest import MARKET_TICK

LANGUAGES = ("--c", "--python", "--rust")


def schema(
    *arguments: str | Path, **environment: str
) -> "subprocess.CompletedProcess[str]":
    """Run the command as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "tachyon.schema", *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
    )


@pytest.fixture
def tick(tmp_path: Path) -> Path:
    """Return a header beside which files can be written."""
    header = tmp_path / "tick.h"
    header.write_text("typedef struct { int x; double y; } Tick;\n")
    return header


def test_files_lie_beside_the_header_or_where_they_are_wanted(tick: Path) -> None:
    assert schema(tick, "--types", "Tick=1", *LANGUAGES).returncode == 0
    names = {"tick.types.h", "tick.py", "tick.rs"}
    assert {p.name for p in tick.parent.iterdir()} == {*names, "tick.h"}
    output = tick.parent / "new/directory"
    main([str(tick), "--types", "Tick=1", *LANGUAGES, "--output", str(output)])
    assert {p.name for p in output.iterdir()} == names
    for name in names:
        assert (output / name).read_text() == (tick.parent / name).read_text()


def test_the_first_line_has_the_generator_and_the_headers_checksum(tick: Path) -> None:
    main([str(tick), "--types", "Tick=1", *LANGUAGES])
    checksum = f"{fnv1a(tick.read_bytes()):016x}"
    for name in ("tick.types.h", "tick.py", "tick.rs"):
        first = (tick.parent / name).read_text().splitlines()[0]
        assert f"tachyon.schema 1, tick.h {checksum}: written by" in first


def test_the_message_of_the_examples_is_written_for_all(tmp_path: Path) -> None:
    languages = [*LANGUAGES, "--go", "--java"]
    types = ["--types", "MarketTick=1"]
    assert main([str(MARKET_TICK), *types, *languages, "-o", str(tmp_path)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        *("market_tick.types.h", "market_tick.py", "market_tick.rs", "market_tick.go"),
        *("MarketTick.java", "MarketTickTypes.java"),
    }


def test_a_package_is_that_of_java_and_its_last_part_that_of_go(tick: Path) -> None:
    arguments = [str(tick), "--types", "Tick=1", "--go", "--java"]
    assert main([*arguments, "--package", "com.example.ticks"]) == 0
    for name in ("Tick.java", "TickTypes.java"):
        lines = (tick.parent / name).read_text().splitlines()
        assert lines[1] == "package com.example.ticks;"
    assert "\npackage ticks\n" in (tick.parent / "tick.go").read_text()
    main(arguments)
    assert "package" not in (tick.parent / "Tick.java").read_text()
    assert "\npackage tick\n" in (tick.parent / "tick.go").read_text()


def test_a_file_of_somebody_else_is_not_overwritten(
    tick: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tick.with_suffix(".py")
    mine.write_text("print('mine')\n")
    assert main([str(tick), "--types", "Tick=1", "--python"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"{mine}: was not written by this program, which leaves it")
    assert main([str(tick), "--types", "Tick=1", "--python", "--check"]) == 1
    assert "was not written by this program" in capsys.readouterr().err
    assert mine.read_text() == "print('mine')\n"


def test_without_a_language_the_description_is_printed() -> None:
    done = schema(MARKET_TICK, "--types", "MarketTick=1")
    assert done.returncode == 0
    assert done.stdout.startswith("tachyon-types 1 little\nmessage 1 MarketTick\n")
    assert done.stderr == "fingerprint cb15b587fe0eebb4\n"


def test_check_passes_on_what_was_written_and_changes_nothing(tick: Path) -> None:
    main([str(tick), "--types", "Tick=1", *LANGUAGES])
    before = {p: p.stat().st_mtime_ns for p in tick.parent.iterdir()}
    assert main([str(tick), "--types", "Tick=1", *LANGUAGES]) == 0
    assert main([str(tick), "--types", "Tick=1", *LANGUAGES, "--check"]) == 0
    assert before == {p: p.stat().st_mtime_ns for p in tick.parent.iterdir()}


def test_check_says_why_a_file_is_not_up_to_date(
    tick: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    check = [str(tick), "--types", "Tick=1", "--c", "--check"]
    file = tick.with_suffix(".types.h")

    def reason() -> str:
        assert main(check) == 1
        text = capsys.readouterr().err
        assert text.startswith(f"{file} ")
        assert text.endswith(
            "; run python -m tachyon.schema without --check, or with TACHYON_UPDATE=1\n"
        )
        return text.removeprefix(f"{file} ").partition(";")[0]

    assert reason() == "is missing"
    main(check[:-1])
    written = file.read_text()
    file.write_text(written.replace("tachyon.schema 1,", "tachyon.schema 0,"))
    assert reason() == "was written by generator 0, this is 1"
    file.write_text(written.replace("Tick_of", "Tick_at"))
    assert reason().startswith("differs: it was changed by hand")
    file.write_text(written)
    assert main(check) == 0
    tick.write_text(tick.read_text() + "// a comment\n")
    assert reason() == "is of another tick.h, which has changed since"
    monkeypatch.setenv("TACHYON_UPDATE", "1")
    assert main(check) == 0
    monkeypatch.delenv("TACHYON_UPDATE")
    assert main(check) == 0


def test_what_clang_takes_is_handed_on(tick: Path) -> None:
    inner = tick.parent / "inner"
    inner.mkdir()
    (inner / "part.h").write_text("typedef struct { uint8_t x[N]; } Part;\n")
    tick.write_text("#include <part.h>\ntypedef struct { Part part; } Tick;\n")
    arguments = (tick, "--types", "Tick=0x10", "-I", inner, "-DN=3")
    assert "unknown type name 'uint8_t'" in schema(*arguments).stderr
    done = schema(*arguments, "-include", "stdint.h", "--c")
    assert (done.returncode, done.stderr) == (0, "")
    text = tick.with_suffix(".types.h").read_text()
    assert '#include <stdint.h>\n#include "tick.h"\n' in text
    assert "#define Tick_TYPE 16u\n" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--types", "Tick"], "'Tick' is no type; give NAME=ID, as in MarketTick=1\n"),
        (["--types", "Tock=1"], "tick.h: there is no struct Tock; is it Tick?\n"),
        (
            ["--types", "Tick=1", "--java", "--package", "a-b"],
            "'a-b' is no package; give one as in com.example.ticks\n",
        ),
        (["--types", "Tick=1", "--c", "-o", "tick.h/x"], "Not a directory: 'tick.h/x"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    tick: Path, arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tick.parent)
    done = schema("tick.h", *arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_header_whose_name_begins_with_a_digit_gets_a_letter(tmp_path: Path) -> None:
    header = tmp_path / "3tick.h"
    header.write_text("typedef struct { int x; } Tick;")
    assert main([str(header), "--types", "Tick=1", "--c", "--python"]) == 0
    assert "#define X3TICK_TYPES " in (tmp_path / "x3tick.types.h").read_text()
    assert (tmp_path / "x3tick.py").exists()


def test_two_types_that_would_be_called_the_same_are_refused(
    tick: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tick.write_text(
        "struct Tick_in { int x; };"
        "typedef struct { struct { int y; } in; struct Tick_in other; } Tick;"
    )
    for language in ("--python", "--rust"):
        assert main([str(tick), "--types", "Tick=1", language]) == 1
        assert capsys.readouterr().err == (
            "tick.h: Tick_in and Tick.in are both called Tick_in elsewhere than in C; "
            "give the inner one a tag\n"
        )
    assert main([str(tick), "--types", "Tick=1", "--c"]) == 0
