# SPDX-License-Identifier: Apache-2.0
"""Rings as a table, of `list` and `top`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from rich import box
from rich.table import Table
from rich.text import Text

from .processes import printable
from .rings import End, Ring

UNITS = ((1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K"))
UNKNOWN = "?"
COLUMNS = ("PATH", "KIND", "FROM", "TO", "SIZE", "FULL", "MOVED", "")
FIXED = {"KIND": 9, "SIZE": 4, "FULL": 8, "MOVED": 7}


def size(count: int) -> str:
    """Return bytes as people read them."""
    for unit, letter in UNITS:
        if count >= unit:
            return f"{count / unit:.{int(count % unit > 0)}f}{letter}"
    return str(count)


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
        return _end(others[0]), Text("-")
    if not producer and others:
        producer = others.pop(0)
    if not consumer and others:
        consumer = others.pop(0)
    return _end(producer), _end(consumer)


def _flags(ring: Ring) -> str:
    unknown = len(ring.ends) == 2 and not any(end.role for end in ring.ends)
    return ", ".join([*ring.flags, *(["who sends is not known"] if unknown else [])])


def _fill(ring: Ring) -> str:
    part = used_part(ring)
    if part < 0 or ring.messages is None:
        return UNKNOWN
    return f"{part:.0%} ({ring.messages:,})"


def _columns(shown: Table, width: int, moved: str) -> int:
    """Add the columns. What is long shares what the others leave; return a path's."""
    left = max(width - sum(FIXED.values()) - 3 * len(COLUMNS), 30)
    share = {"PATH": left * 4 // 10, "FROM": left // 4, "TO": left // 4, "": left // 10}
    for name in COLUMNS:
        shown.add_column(
            moved if name == "MOVED" else name,
            no_wrap=True,
            overflow="ellipsis",
            justify="right" if name in ("SIZE", "FULL", "MOVED") else "left",
            min_width=FIXED.get(name, 4),
            max_width=share.get(name),
        )
    return share["PATH"]


def table(
    rings: Sequence[Ring],
    width: int,
    rates: dict[tuple[int, ...], float] | None = None,
) -> Table:
    """Return the table; with `rates`, bytes a second by the key of the ring."""
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    longest = _columns(shown, width, "TAKEN" if rates is None else "MB/S")
    for ring in rings:
        if rates is not None:
            rate = rates.get(ring.key)
            moved = UNKNOWN if rate is None else f"{rate / 1e6:,.1f}"
        else:
            moved = UNKNOWN if ring.taken is None else size(ring.taken)
        waits = ring.kind == "listener"
        name = path(ring)
        if len(name) > longest:  # its end says more than its beginning
            name = "…" + name[1 - longest :]
        shown.add_row(
            Text(name),
            ring.kind or UNKNOWN,
            *_ends(ring),
            size(ring.capacity) if ring.capacity else UNKNOWN,
            "-" if waits else _fill(ring),
            "-" if waits else moved,
            Text(_flags(ring)),
        )
    return shown
