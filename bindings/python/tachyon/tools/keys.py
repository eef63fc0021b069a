# SPDX-License-Identifier: Apache-2.0
"""Single keys from a terminal, which is as it was afterwards."""

from __future__ import annotations

import os
import select
import sys
import termios
import time
import tty
from types import TracebackType
from typing import Any


class Keys:
    """Keys as they are pressed; none where stdin is no terminal."""

    def __init__(self) -> None:
        self._input = sys.stdin.fileno() if sys.stdin and sys.stdin.isatty() else -1
        self._before: list[Any] | None = None

    def __enter__(self) -> Keys:
        if self._input >= 0:
            self._before = termios.tcgetattr(self._input)
            tty.setcbreak(self._input)  # Ctrl-C still interrupts
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if self._before is not None:
            termios.tcsetattr(self._input, termios.TCSADRAIN, self._before)

    def wait(self, seconds: float) -> str:
        """Return the next key, "" if none comes in that time."""
        if self._input < 0:
            time.sleep(max(0.0, seconds))
            return ""
        ready, _, _ = select.select([self._input], [], [], max(0.0, seconds))
        pressed = os.read(self._input, 1) if ready else b""
        if ready and not pressed:  # the terminal has gone
            self._input = -1
        return pressed.decode("ascii", "replace")
