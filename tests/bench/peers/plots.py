# SPDX-License-Identifier: Apache-2.0
"""The pictures of a run, as SVG and PNG."""

from pathlib import Path
from typing import Any

import catalogue
import matplotlib as mpl

mpl.use("Agg")
mpl.rcParams["svg.hashsalt"] = "tachyon"  # the same run, the same file
from matplotlib import pyplot as plt  # noqa: E402

OWN, YARDSTICK = "#c0392b", "#7f8c8d"
COLOURS = {"C": "#2c3e50", "Rust": "#b9770e", "Python": "#2471a3", "Java": "#1e8449"}


def colour(peer: dict[str, str]) -> str:
    kinds = {"own": OWN, "yardstick": YARDSTICK}
    return kinds.get(peer["kind"], COLOURS[peer["language"]])


def label(peer: dict[str, str]) -> str:
    return f"{peer['title'].replace('`', '')}, {peer['language']}"


def save(figure: Any, directory: Path, name: str) -> list[Path]:
    paths = [directory / f"{name}.{form}" for form in ("svg", "png")]
    for path in paths:
        # Without the date, of which each run would have another.
        metadata = {"Date": None} if path.suffix == ".svg" else {}
        figure.savefig(path, bbox_inches="tight", dpi=120, metadata=metadata)
    plt.close(figure)
    return paths


def bars(table: Any, directory: Path) -> list[Path]:
    """Draw the round trip of 32 bytes of each, the fastest at the top."""
    found = []
    for peer in table.peers():
        for mode in ("spinning", "adaptive", "asleep"):
            if value := table.figure(peer["id"], f"trip-{mode}-32", "p50"):
                tail = table.figure(peer["id"], f"trip-{mode}-32", "p99")
                found.append((value, tail, peer))
                break
    if not found:
        return []
    found.sort(key=lambda each: -each[0])
    figure, axes = plt.subplots(figsize=(8, 0.5 + 0.27 * len(found)))
    axes.barh(
        [label(peer) for *_, peer in found],
        [value / 1e3 for value, *_ in found],
        color=[colour(peer) for *_, peer in found],
    )
    for at, (value, tail, _) in enumerate(found):
        axes.plot([value / 1e3, tail / 1e3], [at, at], color="black", linewidth=0.8)
        axes.plot([tail / 1e3], [at], "|", color="black")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("round trip of 32 bytes, µs: the bar to p50, the line to p99")
    axes.grid(axis="x", alpha=0.3)
    return save(figure, directory, "round_trip")


def lines(table: Any, directory: Path, name: str) -> list[Path]:
    """Draw the rate, or the round trip, of each by the size of a message."""
    kind, axis = {
        "one_way": ("way-{}", "GB/s, one way"),
        "in_place": ("place-{}", "GB/s, one way in place"),
        "by_size": ("trip-spinning-{}", "round trip, µs, p50"),
    }[name]
    figure, axes = plt.subplots(figsize=(8, 5))
    for peer in table.peers():
        points = []
        for size in catalogue.SIZES:
            figure_name = "p50" if name == "by_size" else "ns"
            if ns := table.figure(peer["id"], kind.format(size), figure_name):
                points.append((size, ns / 1e3 if name == "by_size" else size / ns))
        if points:
            style = {"own": "-", "yardstick": ":"}.get(peer["kind"], "--")
            axes.plot(*zip(*points, strict=True), style, marker=".", label=label(peer))
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(catalogue.SIZES, map(catalogue.size_text, catalogue.SIZES))
    axes.set_ylabel(axis)
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend(fontsize=6, loc="center left", bbox_to_anchor=(1, 0.5))
    return save(figure, directory, name)


def open_loop(table: Any, directory: Path) -> list[Path]:
    """Draw the tail of the latency by the share of the maximum rate."""
    figure, axes = plt.subplots(figsize=(8, 5))
    for peer in table.peers():
        points = [
            (100 * share, value / 1e3)
            for share in catalogue.SHARES
            if (value := table.figure(peer["id"], f"open-{share:.0%}", "p99"))
        ]
        if points:
            style = {"own": "-", "yardstick": ":"}.get(peer["kind"], "--")
            axes.plot(*zip(*points, strict=True), style, marker=".", label=label(peer))
    axes.set_yscale("log")
    axes.set_xlabel("% of its own maximum rate")
    axes.set_ylabel("latency since due, µs, p99")
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend(fontsize=6, loc="center left", bbox_to_anchor=(1, 0.5))
    return save(figure, directory, "open_loop")


def draw(table: Any, directory: Path) -> list[Path]:
    """Draw all there is something of, and return the files."""
    paths = bars(table, directory)
    for name in ("one_way", "in_place", "by_size"):
        paths += lines(table, directory, name)
    return paths + open_loop(table, directory)
