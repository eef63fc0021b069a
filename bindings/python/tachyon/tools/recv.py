# SPDX-License-Identifier: Apache-2.0
"""tachyon recv: messages to stdout."""

from __future__ import annotations

import sys

import click

from tachyon import ClosedError, Role

from . import formats
from .endpoint import Endpoint, Seconds, at_most, of_types, options
from .progress import Progress

BATCH = 256


@click.command()
@options
@click.option(
    "--format", "name", type=click.Choice((*formats.NAMES, "none")), default="lines",
    show_default=True, help=f"{formats.HELP} none: count only.",
)  # fmt: skip
@of_types
@at_most
@click.option(
    "--timeout", type=Seconds(0), metavar="SECONDS",
    help="Wait no longer for the next message.",
)  # fmt: skip
@click.option("--quiet", is_flag=True, help="No progress on the terminal.")
def recv(
    endpoint: Endpoint,
    name: str,
    kinds: tuple[str, ...],
    count: int | None,
    timeout: float | None,
    quiet: bool,
) -> None:
    """Receive messages from PATH and write them to stdout.

    Ends with the stream. A message counts as received when it is written: a reader of
    stdout that goes away may have been given fewer than the ring was.
    """
    wanted = {endpoint.types.id_of(kind) for kind in kinds}
    text = None if name == "none" else formats.outgoing(name, endpoint.types)
    write, flush = sys.stdout.buffer.write, sys.stdout.buffer.flush
    quiet = quiet or sys.stdout.isatty()
    with endpoint.open(Role.CONSUMER) as bus, Progress("received", quiet) as progress:
        while count is None or progress.messages < count:
            most = BATCH if count is None else min(BATCH, count - progress.messages)
            try:
                batch = bus.drain_batch(most, timeout=timeout)
            except ClosedError:
                break
            taken = size = 0
            with batch:
                for view in batch:
                    if wanted and view.type_id not in wanted:
                        continue
                    taken += 1
                    size += view.actual_size
                    if text:
                        write(text(view.type_id, bytes(view)))
            flush()
            progress.add(taken, size)
    if name == "none":
        print(progress.line())
