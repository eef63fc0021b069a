# SPDX-License-Identifier: Apache-2.0
"""The plot has a line for each way, through the figures that were measured."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from arrays import FRESH, MEMCPY, SIZES, WAYS, View

pytest.importorskip("matplotlib", reason="run by CTest, which installs plot.txt")

from plot import draw

SVG = "{http://www.w3.org/2000/svg}"


def figures(fast: float) -> dict[str, dict[str, dict[str, float]]]:
    """Return what arrays.py might measure, `fast` times as fast as a view."""
    ways = {MEMCPY: 1.0, FRESH: 2.0}
    ways |= {way.title: 3.0 + i for i, way in enumerate(WAYS)}
    ways[View.title] = 1 / fast
    results: dict[str, dict[str, dict[str, float]]] = {}
    for title, slow in ways.items():
        for size in SIZES:
            row = {"one_way_ns": slow * size / 10}
            if not title.startswith("memcpy"):
                row |= {"p50_ns": slow * size, "p99_ns": 2 * slow * size}
            results.setdefault(title, {})[str(size)] = row
    return results


def drawn(tmp_path: Path, fast: float) -> str:
    file = tmp_path / "plot.svg"
    draw(figures(fast), file)
    return file.read_text()


def test_a_line_for_each_way_and_a_point_for_each_size(tmp_path: Path) -> None:
    text = drawn(tmp_path, 1)
    tree = ET.fromstring(text)
    words = ["".join(each.itertext()).strip() for each in tree.iter(f"{SVG}text")]
    for title in (MEMCPY, FRESH, *(way.title for way in WAYS)):
        assert words.count(title) == 1
    assert {"1 KiB", "64 MiB", "one way, GB/s"} <= {*words}
    points = [
        len(re.findall(r"[ML] ", path.get("d", "")))
        for path in tree.iter(f"{SVG}path")
        if "fill: none" in path.get("style", "")
    ]
    assert points.count(len(SIZES)) == 2 + 2 * len(WAYS)  # memcpy goes one way only
    assert len(text) < 40_000


def test_other_figures_are_another_plot_and_the_same_are_the_same(
    tmp_path: Path,
) -> None:
    first = drawn(tmp_path, 1)
    assert drawn(tmp_path, 1) == first
    assert drawn(tmp_path, 4) != first
