#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: D102
"""Write the tables of a run into docs/BENCHMARKS.md and README.md, and the picture.

The README has figures of a machine that had nothing else to do: a run on a busy one
leaves it as it is.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import catalogue
import reasons

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "BENCHMARKS.md"
README = ROOT / "README.md"
PICTURE = ROOT / "docs" / "benchmarks.svg"
# Of what each page has, whoever wrote it last.
PARTS = {
    "docs": re.compile(
        r"(?<=<!-- peers: written by ).*?(?=<!-- end of peers -->)", re.S
    ),
    "README": re.compile(
        r"(?<=<!-- comparison: written by ).*?(?=<!-- end of comparison -->)", re.S
    ),
}
WRITER = "tests/bench/peers/report.py -->\n"

Run = dict[str, Any]
LANGUAGES = ("C", "Rust", "Python", "Java")

# ---- Numbers ----


def time_text(ns: float | None) -> str:
    """Return 1.23 µs and the like."""
    if ns is None:
        return ""
    for unit, factor in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if ns >= factor:
            return f"{digits(ns / factor)} {unit}"
    return f"{digits(ns)} ns"


def digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def bytes_text(value: float | None) -> str:
    """Return 1.5 MiB and the like."""
    if value is None:
        return ""
    for unit, factor in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if value >= factor:
            return f"{digits(value / factor)} {unit}"
    return f"{value:.0f} B"


def rate_text(ns: float | None) -> str:
    return "" if not ns else f"{digits(1e3 / ns)} M/s"


class Table:
    """The figures of a run by peer and workload."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._rows = {(row["peer"], row["workload"]): row for row in run["rows"]}
        self.workloads = {w["id"]: w for w in run["workloads"]}

    def peers(self, language: str | None = None) -> list[dict[str, str]]:
        """Return them, without those of which nothing could be had."""
        return [
            peer
            for peer in self.run["peers"]
            if not peer["reason"] and language in (None, peer["language"])
        ]

    def figure(self, peer: str, workload: str, name: str) -> float | None:
        """Return a figure, None where there is none."""
        row = self._rows.get((peer, workload))
        return row["figures"].get(name) if row else None

    def connect_us(self, peer: str) -> float | None:
        """Return the median over the workloads, each a median over the rounds."""
        found = sorted(
            us
            for workload in self.workloads
            if (us := self.figure(peer, workload, "connect_us")) is not None
        )
        return found[len(found) // 2] if found else None

    def markdown(
        self, peers: Iterable[dict[str, str]], columns: list[tuple[str, Any]]
    ) -> str:
        """Return a table; a column is its head and what makes a peer's cell."""
        lines = [
            f"| | {' | '.join(head for head, _ in columns)} |",
            "|---" + "|--:" * len(columns) + "|",
        ]
        for peer in peers:
            cells = [cell(peer["id"]) for _, cell in columns]
            if any(cells):
                lines.append(f"| {name_of(peer)} | {' | '.join(cells)} |")
        return "\n".join(lines) + "\n"

    def time(self, workload: str, name: str) -> Any:
        return lambda peer: time_text(self.figure(peer, workload, name))

    def size(self, workload: str, name: str) -> Any:
        return lambda peer: bytes_text(self.figure(peer, workload, name))

    def rate(self, workload: str) -> Any:
        return lambda peer: rate_text(self.figure(peer, workload, "ns"))

    def throughput(self, workload: str) -> Any:
        size = self.workloads[workload]["size"]

        def cell(peer: str) -> str:
            ns = self.figure(peer, workload, "ns")
            if not ns:
                return ""
            return f"{digits(size / ns)} GB/s" if size >= 4096 else rate_text(ns)

        return cell


def name_of(peer: dict[str, str]) -> str:
    text = f"{peer['title']} {peer['version']}".strip()
    text = (
        peer["title"] if peer["version"] and peer["version"] in peer["title"] else text
    )
    form = {"own": f"**{text}**", "yardstick": f"*{text}*"}.get(peer["kind"], text)
    return f"{form}, {peer['language']}"


# ---- The section of docs/BENCHMARKS.md ----


def section(run: Run) -> str:
    """Return all that is to be said of a run."""
    table = Table(run)
    parts = [circumstances(run)]
    tables = {
        "Round trip, 32 bytes": [
            (f"{mode}, {name.replace('999', '99.9')}",
             table.time(f"trip-{mode}-32", name))
            for mode in catalogue.MODES
            for name in ("p50", "p99")
        ],
        "Round trip by size, spinning, p50": [
            (catalogue.size_text(size), table.time(f"trip-spinning-{size}", "p50"))
            for size in catalogue.SIZES
        ],
        "One way by size, messages or bytes a second": [
            (catalogue.size_text(size), table.throughput(f"way-{size}"))
            for size in catalogue.SIZES
            if f"way-{size}" in table.workloads
        ],
        "One way in place by size: written and read where it is": [
            (catalogue.size_text(size), table.throughput(f"place-{size}"))
            for size in catalogue.SIZES
            if f"place-{size}" in table.workloads
        ],
        "Call and reply, p50": [
            *((catalogue.size_text(size), table.time(f"rpc-{size}", "p50"))
              for size in catalogue.RPC_SIZES),
            ("32 B, p99", table.time("rpc-32", "p99")),
            ("32 B, asleep", table.time("rpc-asleep-32", "p50")),
        ],
        "One way in batches of 32 bytes, messages a second": [
            ("one by one", table.rate("way-32")),
            *((f"{batch}", table.rate(f"batch-{batch}"))
              for batch in catalogue.BATCHES),
        ],
        "Asleep: time until the receiver has it": [
            *((f"{pause}, {name}", table.time(f"wake-{pause.replace(' ', '')}", name))
              for pause in catalogue.PAUSES
              for name in ("p50", "p99")),
        ],
        "Connecting, and what waiting costs": [
            ("connect, until the first answer",
             lambda peer: time_text((table.connect_us(peer) or 0) * 1e3 or None)),
            ("processor while it sleeps", lambda peer: percent(table, peer)),
            ("resident, both", table.size("memory", "resident")),
            ("shared", table.size("memory", "shared")),
        ],
        "Open loop, 32 bytes: latency since a message was due": [
            ("maximum rate", table.rate("rate")),
            *((f"{share:.0%}, {name.replace('999', '99.9')}",
               table.time(f"open-{share:.0%}", name))
              for share in catalogue.SHARES
              for name in ("p50", "p99", "p999")),
        ],
    }  # fmt: skip
    for heading, columns in tables.items():
        text = table.markdown(table.peers(), columns)
        if text.count("\n") > 2:
            parts.append(f"### {heading}\n\n{text}")
    parts += [ratios(table), beside_yardsticks(table), unfair(run), missing(run)]
    return "\n".join(part for part in parts if part)


def percent(table: Table, peer: str) -> str:
    value = table.figure(peer, "idle", "percent")
    return "" if value is None else f"{value:.2g} %"


def circumstances(run: Run) -> str:
    about = run["machine"]
    rounds = "round" if run["rounds"] == 1 else "rounds"
    text = (
        f"Median of {run['rounds']} {rounds} in turns; a core for each of the two "
        f"processes. {about['cpu']}, {about['cpus']} CPUs, Linux {about['kernel']}, "
        f"Python {about['python']}.\n"
    )
    if run["mode"] != "full":
        text = f"**A quick run, which says nothing about speed.** {text}"
    return text + "".join(f"- {note}\n" for note in about["notes"])


FIGURES = {
    "trip": "p50", "way": "ns", "place": "ns", "rpc": "p50", "wake": "p50",
    "paced": "p99", "idle": "percent", "memory": "bytes", "connect": "connect_us",
}  # fmt: skip


def value_of(table: Table, peer: str, workload: dict[str, Any]) -> float | None:
    """Return what a peer is measured by in a workload; less is better."""
    if workload["name"] == "connect":
        return table.connect_us(peer)  # each sample of each workload connects
    name = "ns" if workload["id"] == "rate" else FIGURES[workload["name"]]
    return table.figure(peer, workload["id"], name)


def value_text(workload: dict[str, Any], value: float) -> str:
    if workload["name"] == "idle":
        return f"{value:.2g} %"
    if workload["name"] == "memory":
        return bytes_text(value)
    return time_text(value * (1e3 if workload["name"] == "connect" else 1))


def best_of(table: Table, language: str, workload: dict[str, Any]) -> Any:
    """Return our figure, the best peer's and the peer; None where one is missing."""
    own = best = peer_of_best = None
    for peer in table.peers(language):
        value = value_of(table, peer["id"], workload)
        if value is None or peer["kind"] == "yardstick":
            continue
        if peer["kind"] == "own":
            own = value
        elif best is None or value < best:
            best, peer_of_best = value, peer
    return None if own is None or best is None else (own, best, peer_of_best)


def ratios(table: Table) -> str:
    """Return how many times as good as the best peer we are; where we are not, why."""
    lines = ["| | ours | best peer | | ours / best peer | where below 1, why |"]
    lines.append("|---|--:|--:|---|--:|---|")
    for language in LANGUAGES:
        for workload in table.run["workloads"]:
            # At a share of each one's own rate the loads differ: nothing to divide.
            if workload["share"] or not (found := best_of(table, language, workload)):
                continue
            own, best, peer = found
            ratio = best / own if own else float("inf")
            case = f"{language} {workload['id']}"
            why = "" if ratio >= 1 else reasons.slower(case, peer["id"])
            lines.append(
                f"| {language}: {workload['title']} | {value_text(workload, own)} "
                f"| {value_text(workload, best)} | {peer['title']} | {ratio:.2f} "
                f"| {why} |"
            )
    if len(lines) == 2:
        return ""
    about = (
        "How many times as fast, or as little, ours is: the best peer's time divided "
        "by ours, which is our rate divided by the best peer's."
    )
    heading = "### Beside the best peer of the same language"
    return f"{heading}\n\n{about}\n\n" + "\n".join(lines) + "\n"


class Reach(NamedTuple):
    """What Tachyon in C is to reach, beside a yardstick."""

    what: str
    workload: str
    figure: str
    yardstick: str
    most: float  # of ours / the yardstick's, both times


REACHES = (
    Reach("round trip, p50", "trip-spinning-32", "p50", "c.raw_line", 1.15),
    Reach("round trip, p99", "trip-spinning-32", "p99", "c.raw_line", 1.4),
    Reach("64 KiB in place", "place-65536", "ns", "c.dirty", 1 / 0.9),
    Reach("64 KiB copied", "way-65536", "ns", "c.memcpy", 1 / 0.9),
    Reach("wake after 50 µs", "wake-50µs", "p50", "c.bare_futex", 1.05),
    Reach("open loop at 50%, p99.9", "open-50%", "p999", "c.ideal_ring", 1.5),
)


def beside_yardsticks(table: Table) -> str:
    """Return how far Tachyon is from what nothing can be better than."""
    titles = {peer["id"]: peer["title"] for peer in table.run["peers"]}
    lines = []
    for reach in REACHES:
        own = table.figure("c.tachyon", reach.workload, reach.figure)
        least = table.figure(reach.yardstick, reach.workload, reach.figure)
        if own is None or not least:
            continue
        met = "yes" if own / least <= reach.most else "no"
        lines.append(
            f"| {reach.what} | {time_text(own)} | {time_text(least)} "
            f"| {titles[reach.yardstick]} | {own / least:.2f} | {reach.most:.2f} "
            f"| {met} |"
        )
    if not lines:
        return ""
    head = "| C | ours | yardstick | | ours / yardstick | at most | met |\n"
    head += "|---|--:|--:|---|--:|--:|---|\n"
    return f"### Beside the yardsticks\n\n{head}" + "\n".join(lines) + "\n"


def unfair(run: Run) -> str:
    lines = [
        f"- {name_of(peer)}: {peer['unfair']}"
        for peer in run["peers"]
        if peer["unfair"]
    ]
    return "### What is unfair to whom\n\n" + "\n".join(lines) + "\n" if lines else ""


def missing(run: Run) -> str:
    """Return what was not measured, and why; what is alike is said once."""
    absent = {peer["id"]: peer for peer in run["peers"] if peer["reason"]}
    lines = [f"- {name_of(peer)}: {peer['reason']}" for peer in absent.values()]
    titles = {workload["id"]: workload["title"] for workload in run["workloads"]}
    for peer in run["peers"]:
        reasons: dict[str, list[str]] = {}
        for row in run["rows"]:
            if row["peer"] == peer["id"] and row["reason"] and peer["id"] not in absent:
                reasons.setdefault(row["reason"], []).append(titles[row["workload"]])
        for why, what in reasons.items():
            some = "; ".join(what) if len(what) < 4 else f"{len(what)} workloads"
            lines.append(f"- {name_of(peer)}: {why} ({some})")
    return "### Not measured\n\n" + "\n".join(lines) + "\n" if lines else ""


# ---- The README's table and picture ----


def readme_table(run: Run) -> str:
    table = Table(run)
    columns = [
        ("round trip, p50", best_trip(table, "p50")),
        ("p99", best_trip(table, "p99")),
        ("wake after 1 ms asleep", table.time("wake-1ms", "p50")),
        ("one way, 32 bytes", table.rate("way-32")),
        ("64 KiB", table.throughput("way-65536")),
    ]
    peers = [
        peer
        for language in ("Python", "Rust", "C", "Java")
        for peer in table.peers(language)
        if peer["kind"] != "yardstick"
    ]
    return (
        table.markdown(peers, columns)
        + f"\n![Round trip of 32 bytes](docs/{PICTURE.name})\n\n"
        + circumstances(run)
    )


def best_trip(table: Table, name: str) -> Any:
    """Return the round trip of who spins where it can, else as it comes."""

    def cell(peer: str) -> str:
        for mode in ("spinning", "adaptive"):
            if value := table.figure(peer, f"trip-{mode}-32", name):
                return time_text(value)
        return ""

    return cell


def draw(run: Run, directory: Path) -> str:
    """Draw the plots; return what became of them."""
    try:
        import plots  # noqa: PLC0415
    except ImportError as error:
        return f"no plots: {error}"
    return (
        f"plots: {', '.join(str(path) for path in plots.draw(Table(run), directory))}"
    )


def put(page: Path, part: re.Pattern[str], text: str) -> None:
    """Put the text between the two comments that the page has for it."""
    new, times = part.subn(lambda _: f"{WRITER}{text}", page.read_text())
    if times != 1:
        sys.exit(f"{page} has {times} places for it")
    page.write_text(new)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="what peers.py has written")
    args = parser.parse_args()
    run = json.loads(args.run.read_text())
    if run["mode"] != "full":
        sys.exit(f"{args.run}: a quick run says nothing about speed")
    picture = args.run.parent / "round_trip.svg"
    if not picture.exists():
        sys.exit(f"{picture} is not there: the run could not draw it")
    PICTURE.write_text(picture.read_text())
    shown = f"![Round trip of 32 bytes]({PICTURE.name})\n\n"
    put(PAGE, PARTS["docs"], shown + section(run))
    if run["machine"]["reliable"]:
        put(README, PARTS["README"], readme_table(run))
    else:
        print(f"the machine was busy: {README.name} is left as it is")


if __name__ == "__main__":
    main()
