# SPDX-License-Identifier: Apache-2.0
"""tachyon top: the rings of this machine, as they run."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import click
from rich.console import Group
from rich.live import Live
from rich.text import Text

from . import rings
from .endpoint import Seconds
from .flow import Flow, flow
from .keys import Keys
from .rings import Ring
from .screen import Screen
from .table import path, table, used_part

LINES_BESIDE = 5  # of the screen: ours above, the table's head, one below
KEYS = (
    "q quit  space pause  r reverse  m MB/s  n msg/s  f fill  u full  l sleep  w wake  "
    "a age  s size  p path"
)


@dataclass
class View:
    """What has been seen, and how it is shown. Flows are of the last interval."""

    part: str = ""
    sort: str = "m"
    reverse: bool = False
    paused: bool = False
    found: list[Ring] = field(default_factory=list)
    refused: int = 0
    flows: dict[tuple[int, ...], Flow] = field(default_factory=dict)
    looked: float = 0.0

    def look(self) -> None:
        """Look again."""
        before = {ring.key: ring for ring in self.found}
        now, last = time.monotonic(), self.looked
        self.found, self.refused = rings.look(self.part)
        self.looked = now
        self.flows = {
            ring.key: flow(ring, before.get(ring.key), now - last, time.time_ns())
            for ring in self.found
        }

    def sorted(self) -> list[Ring]:
        """Return the rings in the order that was asked for."""
        return sorted(self.found, key=ORDERS[self.sort](self), reverse=self.reverse)

    def as_json(self) -> dict[str, Any]:
        """Return one look as a document."""
        shown = [
            {**ring.as_json(), **self.flows[ring.key].as_json()}
            for ring in self.sorted()
        ]
        refused = {"processes_not_looked_at": self.refused}
        return {"time_s": round(time.time(), 3), "rings": shown, **refused}


Order = Callable[[View], Callable[[Ring], Any]]


def _by(name: str) -> Order:
    """Return the order by a rate, the largest first, those that are unknown last."""

    def order(view: View, ring: Ring) -> Any:
        rate = getattr(view.flows[ring.key], name)
        return -(-1 if rate is None else rate), path(ring)

    return lambda view: lambda ring: order(view, ring)


def _age(view: View, ring: Ring) -> Any:
    seconds = view.flows[ring.key].age_s
    return seconds is None, seconds, path(ring)


# The keys to sort by.
ORDERS: dict[str, Order] = {
    "m": _by("bytes"),
    "n": _by("messages"),
    "f": lambda _: lambda ring: (-used_part(ring), path(ring)),
    "u": _by("full"),
    "l": _by("sleeps"),
    "w": _by("wakes"),
    "a": lambda view: lambda ring: _age(view, ring),
    "s": lambda _: lambda ring: (-ring.capacity, path(ring)),
    "p": lambda _: path,
}
NAMES = {
    "mbs": "m", "messages": "n", "fill": "f", "full": "u", "sleeps": "l", "wakes": "w",
    "age": "a", "size": "s", "path": "p",
}  # fmt: skip


@click.command()
@click.argument("part", default="", metavar="[PART]")
@click.option(
    "--interval",
    type=Seconds(0.05),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Look so often.",
)
@click.option("--count", type=click.IntRange(1), help="End after so many looks.")
@click.option("--once", is_flag=True, help="As --count 1.")
@click.option("--json", "as_json", is_flag=True, help="A JSON document a look.")
@click.option(
    "--sort", type=click.Choice(list(NAMES)), default="mbs", show_default=True,
    help="By what to sort at first.",
)  # fmt: skip
def top(
    part: str,
    interval: float,
    count: int | None,
    once: bool,
    as_json: bool,
    sort: str,
) -> None:
    """Show the rings of this machine and what moves through them, again and again.

    With PART only those whose path contains it. On a terminal keys sort: m by MB/s,
    n messages/s, f fill, u full/s, l sleeps/s, w wakes/s, a age, s size, p path; r
    reverses, space pauses, q ends. MB/s are bytes of ring that the consumer has
    released, the 64 of each message's header included. What its ends do not show is
    empty. Elsewhere each look is a table, or with --json a line.
    """
    view = View(part, NAMES[sort])
    view.look()
    looks = 1 if once else count
    if as_json or not sys.stdout.isatty() or once:
        _print(view, interval, looks, as_json)
    else:
        _watch(view, interval, looks)


def _print(view: View, interval: float, looks: int | None, as_json: bool) -> None:
    screen, done = Screen(), 0
    while looks is None or done < looks:
        time.sleep(interval)
        view.look()
        done += 1
        if as_json:
            print(json.dumps(view.as_json()), flush=True)
        else:
            screen.print(table(view.sorted(), screen.width, view.flows))
            sys.stdout.flush()


def _watch(view: View, interval: float, looks: int | None) -> None:
    screen, done = Screen(), 0
    with Keys() as keys, Live(console=screen, screen=True, auto_refresh=False) as live:
        next_look = time.monotonic() + interval
        while looks is None or done < looks:
            live.update(_picture(view, screen), refresh=True)
            key = keys.wait(next_look - time.monotonic())
            if key == "q":
                return
            if key in ORDERS:
                view.sort = key
            view.reverse ^= key == "r"
            view.paused ^= key == " "
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + interval
                if not view.paused:
                    view.look()
                    done += 1


def _picture(view: View, screen: Screen) -> Group:
    found = view.sorted()
    room = max(1, screen.size.height - LINES_BESIDE)
    head = Text(f"tachyon top: {len(found)} rings", style="bold")
    if view.paused:
        head.append("  paused", style="bold yellow")
    if view.refused:
        head.append(f"  not looked at: {view.refused} processes", style="")
    parts = [
        head,
        Text(KEYS, style="dim", no_wrap=True, overflow="ellipsis"),
        table(found[:room], screen.width, view.flows),
    ]
    if len(found) > room:
        parts.append(Text(f"and {len(found) - room} more"))
    return Group(*parts)
