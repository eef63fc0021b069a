# SPDX-License-Identifier: Apache-2.0
"""tachyon send: messages from stdin."""

from __future__ import annotations

import itertools

import click

from tachyon import Role

from . import formats, stdin
from .ending import TooLarge
from .endpoint import LARGEST, Endpoint, Number, Size, options, with_patience
from .progress import Pace, Progress


@click.command()
@options
@click.option(
    "--format", "name", type=click.Choice(formats.NAMES), default="lines",
    show_default=True, help=formats.HELP,
)  # fmt: skip
@click.option(
    "--type", "kind", default="0", metavar="ID", help="Their type_id or name."
)
@click.option("--size", type=Size(), help="With raw: bytes of a message.")
@click.option("--rate", type=Number(0, min_open=True), help="So many a second.")
@click.option("--count", type=click.IntRange(0), help="End after so many.")
@with_patience
@click.option("--quiet", is_flag=True, help="No progress on the terminal.")
def send(
    endpoint: Endpoint,
    name: str,
    kind: str,
    size: int | None,
    rate: float | None,
    count: int | None,
    timeout: float | None,
    quiet: bool,
) -> None:
    """Send messages from stdin to PATH.

    Its end ends the stream in order; an error and Ctrl-C abort it, so that the receiver
    does not take a part for the whole.
    """
    if size is not None and not (name == "raw" and 1 <= size <= LARGEST):
        raise click.UsageError("--size is 1 to 2G, and goes with --format raw")
    type_id = endpoint.types.id_of(kind)
    messages = formats.incoming(name, stdin.opened(), endpoint.types, type_id, size)
    with endpoint.open(Role.PRODUCER) as bus, Progress("sent", quiet) as progress:
        pace = Pace(rate)
        for number, (each, data) in enumerate(itertools.islice(messages, count), 1):
            if len(data) > bus.max_payload:
                raise TooLarge(f"message {number}", len(data), bus.max_payload)
            pace.wait()
            bus.send(data, each, timeout)
            progress.add(1, len(data))
