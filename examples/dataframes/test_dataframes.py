# SPDX-License-Identifier: Apache-2.0
"""Both engines sum up what is in the file, in batches of any size."""

import csv
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import pytest

from conftest import Start, wait_until_listening

for package in ("pyarrow", "polars", "duckdb"):
    pytest.importorskip(package, reason="run by CTest, which installs requirements.txt")

HERE = Path(__file__).resolve().parent
QUOTES = HERE.parent / "data" / "quotes.csv"


def expected() -> list[str]:
    """Return what the program is to print, worked out without any of it."""
    found = defaultdict(list)
    with QUOTES.open() as file:
        for row in csv.DictReader(file):
            found[row["symbol"]].append(row)
    lines = []
    for symbol, rows in sorted(found.items()):
        shares = sum(int(row["quantity"]) for row in rows)
        worth = sum(Decimal(row["price"]) * int(row["quantity"]) for row in rows)
        days = sorted(row["date"] for row in rows)
        lines.append(
            f"{symbol}: {len(rows)} quotes of {shares} shares at {worth / shares:.2f}, "
            f"{days[0]} to {days[-1]}"
        )
    return lines


@pytest.mark.parametrize("engine", ["polars", "duckdb"])
@pytest.mark.parametrize(("block", "batches"), [(1 << 20, 1), (8192, 5), (400, 85)])
def test_the_summary_is_that_of_the_file(
    start: Start, socket: Path, engine: str, block: int, batches: int
) -> None:
    summary = start(HERE / "summary.py", "--engine", engine, "--socket", socket)
    wait_until_listening(socket)
    reader = start(HERE / "reader.py", "--block", block, "--socket", socket)
    assert reader.output() == f"1120 rows in {batches} batches\n"
    assert summary.output().splitlines() == expected()


def test_a_reader_that_fails_is_told(
    start: Start, socket: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text(QUOTES.read_text() + "not,a,row,at,all\n")
    summary = start(HERE / "summary.py", "--socket", socket)
    wait_until_listening(socket)
    reader = start(HERE / "reader.py", "--file", bad, "--socket", socket)
    assert reader.finish()[0] == 1
    status, out, err = summary.finish()
    assert (status, out) == (1, "")
    assert "AbortedError" in err
