#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draw what arrays.py has measured: its figures, as a JSON file, to an SVG file.

The same figures make the same file.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt
from matplotlib.ticker import NullLocator

# Text stays text, so that the file is small; nothing in it is random or a date.
mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "arrays", "font.size": 9})
NO_DATE = {"Date": None, "Creator": None}
KINDS = {"memcpy": "0.5", "frame": "tab:blue", "tachyon": "tab:cyan"}
OTHERS = ["tab:orange", "tab:red", "tab:brown", "tab:green", "tab:purple"]
STYLES = ["-", "--", ":"]


def styles(titles: list[str]) -> dict[str, dict[str, Any]]:
    """Tachyon's lines are blue, those of memory alone grey, each other has a colour."""
    chosen, used, others = {}, dict.fromkeys(KINDS, 0), iter(OTHERS)
    for title in titles:
        kind = next((kind for kind in KINDS if title.startswith(kind)), None)
        if kind is None:
            chosen[title] = {"color": next(others), "linewidth": 1}
        else:
            line = STYLES[used[kind] % len(STYLES)]
            chosen[title] = {"color": KINDS[kind], "linestyle": line, "linewidth": 1.8}
            used[kind] += 1
    return chosen


def draw(results: dict[str, dict[str, dict[str, float]]], file: Path) -> None:
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 5))
    chosen = styles(list(results))
    lines = {}
    for title, by_size in results.items():
        sizes = sorted(map(int, by_size))
        rows = [by_size[str(size)] for size in sizes]
        speeds = [
            size / row["one_way_ns"] for size, row in zip(sizes, rows, strict=True)
        ]
        lines[title] = left.plot(sizes, speeds, **chosen[title])[0]
        if "p50_ns" in rows[0]:
            right.plot(sizes, [row["p50_ns"] / 1e3 for row in rows], **chosen[title])
    left.set_title("one way, GB/s")
    right.set_title("there and back, median, µs")
    ticks = [1 << shift for shift in range(10, 27, 4)]
    names = [f"{t >> 10} KiB" if t < 1 << 20 else f"{t >> 20} MiB" for t in ticks]
    for side in (left, right):
        side.set_xscale("log", base=2)
        side.set_yscale("log")
        side.set_xticks(ticks, names)
        side.xaxis.set_minor_locator(NullLocator())
        side.yaxis.set_minor_locator(NullLocator())
        side.grid(True, color="0.9", linewidth=0.5)
    figure.legend(lines.values(), lines.keys(), loc="lower center", ncols=4)
    figure.tight_layout(rect=(0, 0.14, 1, 1))
    figure.savefig(file, format="svg", metadata=NO_DATE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figures", type=Path, help="what arrays.py --json has written")
    parser.add_argument("file", type=Path, help="the SVG file")
    args = parser.parse_args()
    draw(json.loads(args.figures.read_text())["results"], args.file)


if __name__ == "__main__":
    main()
