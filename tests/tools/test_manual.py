# SPDX-License-Identifier: Apache-2.0
"""The manual page says what --help does, and man reads it; shells complete."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tachyon.tools.ending import STATUSES
from tachyon.tools.manual import page, quoted
from tachyon.tools.program import program

from conftest import run

TOOLS = Path(__file__).resolve().parents[2] / "docs/TOOLS.md"


def plain(text: str) -> str:
    """Return roff without its marks, as one line."""
    text = re.sub(r"\\f[BIR]|^\.\w+ ?", "", text.replace("\\-", "-"), flags=re.M)
    return " ".join(text.replace("\\e", "\\").replace("\\&", "").split())


def test_each_command_and_option_is_on_the_page() -> None:
    text = plain(page(program))
    for name, command in program.commands.items():
        assert f"tachyon {name} " in text
        assert " ".join(command.help.split()) in text
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.opts[0] in text
                assert " ".join(option.help.split()) in text
    for status, meaning in STATUSES.items():
        assert f"{status} {meaning}" in text


def test_each_command_is_in_the_docs() -> None:
    for name in program.commands:
        assert f"`tachyon {name}" in TOOLS.read_text()


@pytest.mark.parametrize(
    ("text", "roff"),
    [(".TH is none", "\\&.TH is none"), ("'x", "\\&'x"), ("a\\b -c", "a\\eb \\-c")],
)
def test_no_text_is_a_request(text: str, roff: str) -> None:
    assert quoted(text) == roff


def test_the_command_writes_it() -> None:
    done = run("manual")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode().strip() == page(program)


@pytest.mark.skipif(not shutil.which("man"), reason="there is no man")
def test_man_reads_it_without_a_complaint(tmp_path: Path) -> None:
    (tmp_path / "tachyon.1").write_bytes(run("manual").stdout)
    done = subprocess.run(
        ["man", "--warnings=all", "-l", str(tmp_path / "tachyon.1")],
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "MANWIDTH": "120",
            "MAN_KEEP_FORMATTING": "",
            "PAGER": "cat",
        },
    )
    if "No manual entry" in done.stderr or "minimized" in done.stdout:
        pytest.skip("this system has man without its pages")
    assert (done.returncode, done.stderr) == (0, "")
    assert "--capacity" in done.stdout


@pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash")
def test_bash_completes_commands_and_options() -> None:
    """As bash asks for it; the script that asks is click's, for `tachyon`."""
    environment = {
        **os.environ,
        "COMP_CWORD": "1",
        "_TACHYON_COMPLETE": "bash_complete",
    }

    def completed(words: str, at: int) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-m", "tachyon.tools"],
            env={**environment, "COMP_WORDS": words, "COMP_CWORD": str(at)},
            capture_output=True,
            text=True,
            check=True,
        )
        return [line.partition(",")[2] for line in done.stdout.splitlines()]

    assert completed("tachyon do", 1) == ["doctor"]
    assert "--interval" in completed("tachyon top --", 2)
    assert completed("tachyon top --sort f", 3) == ["fill", "full"]
