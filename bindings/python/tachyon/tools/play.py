# SPDX-License-Identifier: Apache-2.0
"""tachyon play: a recording into a bus."""

from __future__ import annotations

import contextlib
import time

import click

from tachyon import Role

from .ending import BadData, TooLarge, say
from .endpoint import Endpoint, Number, at_most, of_types, options, with_patience
from .progress import Progress, sleep_until
from .recording import Recording


@click.command()
@options
@click.argument("file", type=click.Path(dir_okay=False))
@click.option(
    "--speed", type=Number(0, min_open=True), default=1.0, show_default=True,
    help="So many times as fast as recorded.",
)  # fmt: skip
@click.option("--as-fast-as-possible", "hurry", is_flag=True, help="Without waiting.")
@of_types
@at_most
@with_patience
@click.option("--quiet", is_flag=True, help="Say nothing of what was played.")
def play(
    endpoint: Endpoint,
    file: str,
    speed: float,
    hurry: bool,
    kinds: tuple[str, ...],
    count: int | None,
    timeout: float | None,
    quiet: bool,
) -> None:
    """Send the messages of FILE, a recording, to PATH, at the pace of the recording.

    The types of the recording are those of the bus: a peer with others is refused.
    """
    recording = Recording(file)
    types = recording.types
    wanted = {types.id_of(kind) for kind in kinds}
    with contextlib.ExitStack() as stack:
        stack.callback(recording.close)
        bus = stack.enter_context(endpoint.open(Role.PRODUCER, types.text))
        progress = stack.enter_context(Progress("played", quiet))
        if not quiet:
            stack.callback(lambda: say(progress.line()))
        largest = bus.max_payload
        began = time.monotonic()
        first: int | None = None
        for number, message in enumerate(recording, 1):
            if wanted and message.type_id not in wanted:
                continue
            if len(message.data) > largest:
                which = f"{file}: message {number}"
                raise TooLarge(which, len(message.data), largest)
            if not hurry:
                first = message.time_ns if first is None else first
                sleep_until(began + (message.time_ns - first) / 1e9 / speed)
            bus.send(message.data, message.type_id, timeout)
            progress.add(1, len(message.data))
            if count is not None and progress.messages >= count:
                return
        if recording.cut:
            raise BadData(f"{file}: {recording.cut}; all before it was played")
