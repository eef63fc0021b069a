# SPDX-License-Identifier: Apache-2.0
"""Rings as a table, of `list` and `top`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath

from rich import box
from rich.table import Table
from rich.text import Text

from .flow import Flow
from .processes import printable
from .rings import End, Ring

UNITS = ((1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K"))
THOUSANDS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
TIMES = ((48 * 3600, 86400, "d"), (5400, 3600, "h"), (100, 60, "m"))  # from, unit
UNKNOWN = "?"
WIDTHS = {
    "KIND": 9, "SIZE": 4, "FILL": 12, "TAKEN": 7, "MSG/S": 5, "MB/S": 7, "SLEEP/S": 7,
    "WAKE/S": 6, "FULL/S": 6, "AGE": 5,
}  # fmt: skip
LEFT = ("PATH", "KIND", "FROM", "TO")
OF_LIST = (*LEFT, "SIZE", "FILL", "TAKEN", "")
OF_TOP = (
    *LEFT, "SIZE", "FILL", "MSG/S", "MB/S", "SLEEP/S", "WAKE/S", "FULL/S", "AGE", "",
)  # fmt: skip
# What goes, one after the other, until the columns without a width of theirs have ROOM.
LEAST = ("SIZE", "KIND", "WAKE/S", "SLEEP/S", "FULL/S", "AGE")
ROOM = 36
BETWEEN = 2


def size(count: int) -> str:
    """Return bytes as people read them."""
    for unit, letter in UNITS:
        if count >= unit:
            return f"{count / unit:.{int(count % unit > 0)}f}{letter}"
    return str(count)


def count(number: float | None) -> str:
    """Return a number in three digits; nothing where it is not known."""
    if number is None:
        return ""
    for unit, letter in THOUSANDS:
        if number >= unit:
            return f"{number / unit:.{int(number < 100 * unit)}f}{letter}"
    return f"{number:.{int(number < 10 and number % 1 > 0)}f}"


def age(seconds: float | None) -> str:
    """Return a time that has passed; nothing where it is not known."""
    if seconds is None:
        return ""
    for least, unit, letter in TIMES:
        if seconds >= least:
            return f"{seconds / unit:,.0f}{letter}"
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    return f"{seconds:.{int(seconds < 10)}f}s"


def used_part(ring: Ring) -> float:
    """Return how full it is, from 0 to 1; -1: not known."""
    if ring.used is None or not ring.capacity:
        return -1
    return ring.used / ring.capacity


def path(ring: Ring) -> str:
    """Return the path, or those that it may be."""
    return printable(" | ".join(ring.paths)) or UNKNOWN


def _end(end: End | None) -> Text:
    if not end:
        return Text("-")
    text = Text.assemble((f"{end.process.pid} ", "bold"))
    program, _, arguments = end.process.command.partition(" ")
    text.append(
        f"{PurePath(program).name} {arguments}",
    )
    return text


def _ends(ring: Ring) -> tuple[Text, Text]:
    """Return producer and consumer, or both ends where it is not known who sends."""
    producer, consumer = ring.end("producer"), ring.end("consumer")
    others = [end for end in ring.ends if not end.role]
    if ring.kind == "listener":
        return _end(others[0]), Text("listens")
    if not producer and others:
        producer = others.pop(0)
    if not consumer and others:
        consumer = others.pop(0)
    return _end(producer), _end(consumer)


def _flags(ring: Ring) -> str:
    unknown = len(ring.ends) == 2 and not any(end.role for end in ring.ends)
    return ", ".join([*ring.flags, *(["who sends is not known"] if unknown else [])])


def _fill(ring: Ring) -> str:
    if ring.kind == "listener":
        return "-"
    part = used_part(ring)
    if part < 0 or ring.messages is None:
        return UNKNOWN
    return f"{part:.0%} ({count(ring.messages)})"


def _taken(ring: Ring) -> str:
    if ring.kind == "listener":
        return "-"
    return UNKNOWN if ring.taken is None else size(ring.taken)


def _megabytes(ring: Ring, flow: Flow) -> str:
    if flow.bytes is None:
        return "-" if ring.kind == "listener" else UNKNOWN
    megabytes = flow.bytes / 1e6
    return f"{megabytes:,.{2 if megabytes < 10 else 1}f}"


def _cells(ring: Ring, flow: Flow) -> dict[str, Text]:
    """Return what is in each column."""
    producer, consumer = _ends(ring)
    texts = {
        "PATH": path(ring),
        "KIND": ring.kind or UNKNOWN,
        "SIZE": size(ring.capacity) if ring.capacity else UNKNOWN,
        "FILL": _fill(ring),
        "TAKEN": _taken(ring),
        "MSG/S": count(flow.messages),
        "MB/S": _megabytes(ring, flow),
        "SLEEP/S": count(flow.sleeps),
        "WAKE/S": count(flow.wakes),
        "FULL/S": count(flow.full),
        "AGE": age(flow.age_s),
        "": _flags(ring),
    }
    cells = {name: Text(text) for name, text in texts.items()}
    return {**cells, "FROM": producer, "TO": consumer}


def _columns(names: Sequence[str], width: int) -> tuple[list[str], int]:
    """Return the columns that there is room for, and what is left for the long ones."""
    shown = list(names)

    def left() -> int:
        taken = sum(WIDTHS.get(name, 0) for name in shown)
        return width - taken - BETWEEN * (len(shown) - 1)

    for name in LEAST:
        if name in shown and left() < ROOM:
            shown.remove(name)
    return shown, max(left(), ROOM // 2)


def _shares(needs: Mapping[str, int], left: int) -> dict[str, int]:
    """Share room out equally, but to none more than it needs."""
    shares = {}
    for number, (name, need) in enumerate(sorted(needs.items(), key=lambda x: x[1])):
        shares[name] = min(need, left // (len(needs) - number))
        left -= shares[name]
    return shares


def table(
    rings: Sequence[Ring],
    width: int,
    flows: Mapping[tuple[int, ...], Flow] | None = None,
) -> Table:
    """Return the table; with `flows` by the key of the ring that of `top`."""
    names, left = _columns(OF_LIST if flows is None else OF_TOP, width)
    rows = [_cells(ring, (flows or {}).get(ring.key, Flow())) for ring in rings]
    long = [name for name in names if name not in WIDTHS]
    needs = {x: max([len(x), *(row[x].cell_len for row in rows)]) for x in long}
    shares = _shares(needs, left)
    shown = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True
    )
    for name in names:
        shown.add_column(
            name,
            no_wrap=True,
            overflow="ellipsis",
            justify="left" if name in (*LEFT, "") else "right",
            width=shares.get(name) or WIDTHS.get(name),
        )
    for row in rows:
        text = row["PATH"].plain
        if len(text) > shares["PATH"]:  # its end says more than its beginning
            row["PATH"] = Text("…" + text[1 - shares["PATH"] :])
        shown.add_row(*(row[name] for name in names))
    return shown
