# SPDX-License-Identifier: Apache-2.0
"""How a command ends: exit statuses, and what is said on stderr."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Sequence
from typing import Any

import click

import tachyon
from tachyon.schema import SchemaError

STATUSES = {
    0: "done",
    1: "an error of Tachyon: a peer that broke the ring, a wrong order of calls",
    2: "the command line is wrong",
    3: "cannot connect or listen: nobody there, refused, another version, other types",
    4: "the time is over",
    5: "the peer died, gave up in the middle, or let this end go as too slow",
    6: "bad data: input not of its format, a message of no type, no recording",
    7: "a file: cannot be opened or written, the disk is full",
    8: "the extra is missing: pip install 'tachyon-ipc[tools]'",
    9: "a bridge has lost messages on the way, and named them",
    130: "Ctrl-C; what was begun is ended in order",
    141: "nobody reads our output any more",
    143: "SIGTERM; as Ctrl-C",
}
FAILED, CANNOT_OPEN, TIME_IS_OVER, PEER_GONE, BAD_DATA, BAD_FILE, NO_EXTRA, LOST = (
    1, 3, 4, 5, 6, 7, 8, 9,
)  # fmt: skip


class Ended(Exception):  # noqa: N818 - with what status, which is not always an error
    """The command ends with this status and text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class BadData(Ended):
    """What was read is not of its format."""

    def __init__(self, text: str) -> None:
        super().__init__(BAD_DATA, text)


class TooLarge(Ended):
    """A message that no place in the ring can take; in itself it may be right."""

    def __init__(self, which: str, size: int, most: int) -> None:
        super().__init__(
            BAD_DATA,
            f"{which} has {size} bytes, the ring takes {most}: give its listener a "
            "larger --capacity",
        )


# The first that fits.
KINDS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], int], ...] = (
    (BrokenPipeError, 128 + signal.SIGPIPE),
    ((click.Abort, KeyboardInterrupt), 128 + signal.SIGINT),
    ((tachyon.PeerDeadError, tachyon.LaggedError), PEER_GONE),
    ((tachyon.UnexpectedMessage, SchemaError), BAD_DATA),
    (tachyon.TachyonError, FAILED),
    (TimeoutError, TIME_IS_OVER),
    (ConnectionError, CANNOT_OPEN),
    (OSError, BAD_FILE),
    (ImportError, NO_EXTRA),
    (ValueError, 2),
)


def status_of(program: Any, arguments: Sequence[str] | None) -> int:
    """Run a command and return its exit status; an error is one line on stderr."""
    try:
        status = int(program.main(arguments, "tachyon", standalone_mode=False) or 0)
        sys.stdout.flush()
        return status
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    except click.ClickException as error:
        error.show()
        return int(error.exit_code)
    except Ended as end:
        if str(end):
            say(str(end))
        return end.status
    except BaseException as error:
        for kind, status in KINDS:
            if isinstance(error, kind):
                if status < 128:
                    say(str(error) or type(error).__name__)
                return status
        raise


def say(text: str) -> None:
    """Write a line to stderr, and nothing where nobody reads that."""
    with contextlib.suppress(OSError, ValueError):
        print(f"tachyon: {text}", file=sys.stderr, flush=True)
