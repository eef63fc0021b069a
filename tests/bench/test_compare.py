# SPDX-License-Identifier: Apache-2.0
"""The comparison from Python measures every way, checks it, and writes a table."""

import re
import subprocess
import sys
from pathlib import Path

import compare
import pytest

HERE = Path(__file__).resolve().parent


def run(*options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, HERE / "compare.py", *map(str, options)],
        check=False,
        text=True,
        capture_output=True,
    )


def test_text_stands_between_the_comments_and_nothing_else_changes(
    tmp_path: Path,
) -> None:
    page = tmp_path / "page.md"
    page.write_text("Before.\n<begin>\nold\n<end>\nAfter.\n")
    compare.write(page, "new", "<begin>\n", "<end>\n")
    assert page.read_text() == "Before.\n<begin>\nnew\n<end>\nAfter.\n"


def test_the_table_has_every_way() -> None:
    done = run("--rounds", 1)
    assert done.returncode == 0, done.stderr
    rows = done.stdout.splitlines()[2 : 2 + len(compare.WAYS)]
    titles = {row.split("|")[1].strip() for row in rows}
    assert titles == {way.title for way in compare.WAYS}
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split("|")][1:]
        if "not measured: " not in row:
            assert [re.sub(r"[\d.,]+ ", "", cell) for cell in cells] == [
                "µs",
                "µs",
                "µs",
                "M/s",
                "GB/s",
            ]


FORGETFUL = """
import unix_socket

class Adapter(unix_socket.Adapter):
    def open(self, lead):
        send, receive = super().open(lead)

        def lossy(message):
            return send(message[:-1] + bytes(1)) if lead else send(message)

        return lossy, receive
"""


def test_a_message_that_arrives_changed_is_noticed(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "forgetful.py").write_text(FORGETFUL)
    way = compare.Way("forgetful", str(tmp_path / "forgetful"))
    with pytest.raises(SystemExit, match="the sample failed"):
        compare.sample(way, (0, 1), compare.QUICK)
    assert "came back as" in capfd.readouterr().err
