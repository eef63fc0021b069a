#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write the results section of docs/BENCHMARKS.md from the JSON of a run."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[2] / "docs" / "BENCHMARKS.md"
BEGIN = "<!-- results: written by tests/bench/results.py -->\n"
END = "<!-- end of results -->\n"
SECTIONS = {
    "line": "The yardstick",
    "core": "The core, two processes",
    "many": "One listener, many peers",
    "instructions": "Instructions per 32-byte message",
    "python": "Python",
}
TYPED_BEGIN = "<!-- typed: written by tests/bench/typed.py -->\n"
TYPED_END = "<!-- end of typed -->\n"

Row = dict[str, Any]


def number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def cells(row: Row) -> list[str]:
    ratio = f"{row['ratio']:.2f} x {row['ratio_to']}" if row["ratio"] else ""
    return [
        row["title"],
        row["regime"],
        f"{number(row['value'])} {row['unit']}".strip(),
        ratio.removesuffix(" x "),
        row["goal"] or "",
        {True: "yes", False: "no", None: ""}[row["met"]],
    ]


def table(rows: list[Row]) -> str:
    lines = ["| what | regime | median | ratio | goal | met |", "|---" * 6 + "|"]
    lines += [f"| {' | '.join(cells(row))} |" for row in rows]
    return "\n".join(lines)


def results(run: dict[str, Any]) -> str:
    machine = run["machine"]
    text = (
        f"Tachyon {run['version']} on {machine['cpu']}, {machine['cores']} cores"
        f"{' of a virtual machine' if machine['virtual_machine'] else ''}, Linux "
        f"{machine['kernel']}, load {machine['load']} before the run; the processes "
        f"pinned to cores {machine['lead_on_core']} and {machine['peer_on_core']}. "
        f"Near is a raw line below {run['near_below_ns']:.0f} ns. Left out: "
        f"{run['left_out']:,} of {run['values']:,} values.\n"
    )
    for key, heading in SECTIONS.items():
        if run.get(key):
            text += f"\n### {heading}\n\n{table(run[key])}\n"
    return text


def write(text: str, begin: str, end: str) -> None:
    """Write what stands between two lines of the page."""
    before, rest = PAGE.read_text().split(begin)
    _, after = rest.split(end)
    PAGE.write_text(f"{before}{begin}{text}{end}{after}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="what `benchmarks --json` has written")
    args = parser.parse_args()
    run = json.loads(args.run.read_text())
    if run["mode"] != "full":
        sys.exit(f"{args.run}: a quick run says nothing about speed")
    write(results(run), BEGIN, END)


if __name__ == "__main__":
    main()
