# SPDX-License-Identifier: Apache-2.0
"""tachyon record: the messages of a bus into MCAP files."""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import click

from tachyon import Bus, ClosedError, Role

from .ending import BAD_FILE, Ended, say
from .endpoint import Endpoint, Seconds, Size, at_most, options
from .progress import Progress
from .recording import Recorder

BATCH = 1024
LOOK_S = 0.25  # for how long a chunk may be overdue


@click.command()
@options
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--rotate-size", type=Size(), help="A new file after so many bytes.")
@click.option(
    "--rotate-time", type=Seconds(0, min_open=True), metavar="SECONDS",
    help="A new file after so long.",
)  # fmt: skip
@click.option(
    "--chunk-size", type=Size(), default="1M", show_default=True,
    help="Bytes of messages that are compressed together.",
)  # fmt: skip
@click.option(
    "--chunk-time", type=Seconds(0), default=1.0, show_default=True,
    metavar="SECONDS", help="Write a chunk at the latest after so long.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@at_most
@click.option(
    "--timeout", type=Seconds(0), metavar="SECONDS",
    help="End with status 4 when so long no message comes.",
)  # fmt: skip
@click.option("--quiet", is_flag=True, help="Say nothing of what was recorded.")
def record(
    endpoint: Endpoint,
    file: str,
    rotate_size: int | None,
    rotate_time: float | None,
    chunk_size: int,
    chunk_time: float,
    force: bool,
    count: int | None,
    timeout: float | None,
    quiet: bool,
) -> None:
    """Record the messages of PATH in FILE, an MCAP file.

    Its end, Ctrl-C and SIGTERM finish the file. With a --rotate option, FILE is a
    pattern: ticks.mcap becomes ticks-0001.mcap and so on. A message is released in the
    ring when it is in memory; a recorder that is killed loses at most the chunk that it
    had not written.
    """
    if rotate_size is not None and rotate_size < 4096:
        raise click.UsageError("--rotate-size is 4K or more")
    rotates = rotate_size is not None or rotate_time is not None
    names = numbered(file) if rotates else iter([file])
    with contextlib.ExitStack() as stack:
        files = Files(names, endpoint, force, chunk_size, chunk_time)
        stack.callback(files.close)
        files.next()
        try:
            bus = stack.enter_context(endpoint.open(Role.CONSUMER))
        except BaseException:
            files.discard()
            raise
        progress = stack.enter_context(Progress("recorded", quiet))
        if not quiet:
            stack.callback(lambda: say(progress.line()))
        stack.callback(files.finish)
        heard = time.monotonic()
        while count is None or progress.messages < count:
            most = BATCH if count is None else min(BATCH, count - progress.messages)
            try:
                taken = received(bus, most, files.recorder, progress)
            except ClosedError:
                break
            now = time.monotonic()
            if taken:
                heard = now
            elif timeout is not None and now - heard >= timeout:
                raise TimeoutError(f"no message for {timeout} seconds")
            if files.due(rotate_size, rotate_time, now):
                files.finish()
                files.next()


def received(bus: Bus, most: int, recorder: Recorder, progress: Progress) -> int:
    """Record what is there; return how many."""
    try:
        batch = bus.drain_batch(most, timeout=LOOK_S)
    except TimeoutError:
        recorder.flush_if_due()
        return 0
    with batch:
        type_ids = [view.type_id for view in batch]
        payloads = [bytes(view) for view in batch]
    recorder.add(type_ids, payloads)
    progress.add(len(payloads), sum(map(len, payloads)))
    return len(payloads)


def numbered(file: str) -> Iterator[str]:
    """Go through the names of files that rotate."""
    path = Path(file)
    for number in itertools.count(1):
        yield str(path.with_name(f"{path.stem}-{number:04}{path.suffix}"))


class Files:
    """The file that is written, and those after it.

    A failure to write says which, and that what is in it can be read.
    """

    recorder: Recorder

    def __init__(
        self,
        names: Iterator[str],
        endpoint: Endpoint,
        force: bool,
        chunk_size: int,
        chunk_time: float,
    ) -> None:
        self._names = names
        self._types = endpoint.types
        self._mode = "wb" if force else "xb"
        self._chunk = (chunk_size, chunk_time)
        self._file: IO[bytes] | None = None
        self._began = 0.0

    def next(self) -> None:
        """Begin the next file."""
        name = next(self._names)
        try:
            self._file = open(name, self._mode, buffering=0)  # noqa: SIM115
        except FileExistsError:
            text = f"{name}: is there already; --force replaces it"
            raise Ended(BAD_FILE, text) from None
        except OSError as error:
            text = f"{name}: {error.strerror}; choose another place"
            raise Ended(BAD_FILE, text) from None
        self.recorder = Recorder(self._file, name, self._types, *self._chunk)
        self._began = time.monotonic()

    def due(self, size: int | None, seconds: float | None, now: float) -> bool:
        """Whether it is time for the next one; not while this one is empty."""
        late = seconds is not None and now - self._began >= seconds
        large = size is not None and self.recorder.bytes >= size
        return (late or large) and self.recorder.messages > 0

    def finish(self) -> None:
        """End the file, unless it could not be written before."""
        if self._file and not self.recorder.failed:
            self.recorder.finish()
            self.close()

    def discard(self) -> None:
        """Remove a file that was made and has no message: the next try wants it."""
        if self._file and self._mode == "xb":
            os.unlink(self._file.name)

    def close(self) -> None:
        """Close the file as it is."""
        if self._file:
            self._file.close()
            self._file = None
