# SPDX-License-Identifier: Apache-2.0
"""tachyon, or python -m tachyon.tools: run a command, and say how it ended."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

MISSING_EXTRA = 8
WITHOUT = "tachyon: {}: the command line needs it: pip install 'tachyon-ipc[tools]'"


def terminated(number: int, _frame: object) -> NoReturn:
    """End as Ctrl-C does, so that files and streams are ended in order."""
    raise SystemExit(128 + number)


def stand_in() -> None:
    """Put a file in the place of each standard stream that was closed.

    Otherwise a ring's descriptor would come there. To read from it or write to it is
    the error that it would be; nobody reads what is said on stderr.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDONLY if name == "stdout" else os.O_WRONLY)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; return its exit status."""
    signal.signal(signal.SIGTERM, terminated)
    stand_in()
    heeds_ctrl_c = signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
    if heeds_ctrl_c:  # while it loads there is nothing to be ended in order
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        from .ending import status_of  # noqa: PLC0415 (without click it says so)
        from .program import program  # noqa: PLC0415
    except ImportError as error:
        if (error.name or "").partition(".")[0] in ("tachyon", ""):
            raise
        print(WITHOUT.format(error), file=sys.stderr)
        return MISSING_EXTRA
    if heeds_ctrl_c:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    status = status_of(program, arguments)
    try:
        sys.stdout.flush()
    except OSError:
        # Nobody takes it: what is left in the buffer goes nowhere, silently.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return status


if __name__ == "__main__":
    sys.exit(main())
