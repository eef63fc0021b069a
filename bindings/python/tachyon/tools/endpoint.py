# SPDX-License-Identifier: Apache-2.0
"""Where a command's messages come from or go to: its options, and the open bus."""

from __future__ import annotations

import errno
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from tachyon import Bus, Role

from . import typed
from .ending import CANNOT_OPEN, Ended

UNITS = {"": 0, "K": 10, "M": 20, "G": 30}
LARGEST = 1 << 31  # bytes of a ring
MOST = 1 << 63  # bytes that a file can have
DECADES = 1e9  # seconds


class Size(click.ParamType):
    """Bytes, with K, M or G."""

    name = "size"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """Return the bytes."""
        if found := re.fullmatch(r"(\d{1,19})([KMG]?)", str(value).upper()):
            size = int(found[1]) << UNITS[found[2]]
            if size < MOST:
                return size
        text = f"{value!r} is no size: bytes, or with K, M, G"
        raise click.BadParameter(text, ctx, param)


class Number(click.FloatRange):
    """A number, so not NaN, which fits every range."""

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """Return the number."""
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            raise click.BadParameter(f"{value!r} is no number", ctx, param)
        return number


class Seconds(Number):
    """A time; no longer than every wait can take, which is for ever."""

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """Return the seconds."""
        return min(super().convert(value, param, ctx), DECADES)


@dataclass
class Endpoint:
    """The options of an end; path: of its socket."""

    path: str
    listen: bool
    capacity: int
    peers: int | None
    connect_timeout: float
    types: typed.Types

    def open(self, role: Role, types: str | None = None) -> Bus:
        """Open the bus.

        types: what its messages are, where --header does not say so.
        """
        declared = self.types.text or types or None
        try:
            if self.listen:
                bus = Bus.listen(
                    self.path,
                    self.capacity,
                    role=role,
                    types=declared,
                    max_peers=self.peers,
                    timeout=None if self.peers else self.connect_timeout or None,
                )
                if self.peers:
                    bus.accept_in_background()
                return bus
            return Bus.connect(
                self.path, timeout=self.connect_timeout, role=role, types=declared
            )
        except (ConnectionError, PermissionError, TimeoutError) as error:
            raise Ended(CANNOT_OPEN, f"{self.path}: {advice(error, self)}") from error
        except FileNotFoundError as error:
            raise Ended(CANNOT_OPEN, f"{self.path}: no such folder") from error


def advice(error: OSError, endpoint: Endpoint) -> str:
    """Return what is wrong, and what to do."""
    text = str(error)
    if isinstance(error, PermissionError):
        return f"{text}; `ls -l {endpoint.path}` says whose it is"
    if error.errno == errno.EADDRINUSE:
        return f"{text}; end that program, or choose another path"
    if "types" in text or "schema" in text or "field" in text:
        return f"{text}; give the --header and --types that the peer has"
    if endpoint.listen:
        return f"{text}; start the other end, or wait longer: --connect-timeout"
    return f"{text}; start the listener, or give --listen to one of the ends"


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the arguments of an Endpoint, as `endpoint`."""

    def run(
        path: str,
        listen: bool,
        capacity: int,
        peers: int | None,
        connect_timeout: float,
        header: str | None,
        types: tuple[str, ...],
        **others: Any,
    ) -> Any:
        if peers is not None and not listen:
            raise click.UsageError("--peers goes with --listen")
        declared = typed.from_options(header, types)
        end = Endpoint(path, listen, capacity, peers, connect_timeout, declared)
        return command(endpoint=end, **others)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__click_params__ = list(  # type: ignore[attr-defined]
        getattr(command, "__click_params__", [])
    )
    for decorate in reversed(OPTIONS):
        run = decorate(run)
    return run


OPTIONS = (
    click.argument("path"),
    click.option("--listen", is_flag=True, help="Make the ring, and wait for a peer."),
    click.option(
        "--capacity", type=Size(), default="1M", show_default=True,
        help="Bytes of the ring, a power of two; with --listen.",
    ),
    click.option(
        "--peers", type=click.IntRange(1, 1024), metavar="N",
        help="Up to so many peers, who come and go; with --listen.",
    ),
    click.option(
        "--connect-timeout", type=Seconds(0), default=10.0,
        show_default=True, metavar="SECONDS",
        help="Wait so long for the other end; 0: one try, or with --listen for ever.",
    ),
    *typed.OPTIONS,
)  # fmt: skip

# Of several commands, as decorators: `kinds`, `count`, and `timeout` of who sends.
of_types = click.option(
    "--type", "kinds", multiple=True, metavar="ID",
    help="Only messages of these type_ids or names.",
)  # fmt: skip
at_most = click.option("--count", type=click.IntRange(1), help="End after so many.")
with_patience = click.option(
    "--timeout", type=Seconds(0), metavar="SECONDS",
    help="Wait no longer for room in the ring.",
)  # fmt: skip
