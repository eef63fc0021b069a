# SPDX-License-Identifier: Apache-2.0
"""How far a command is, on stderr: a line that moves on a terminal, else nothing."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.text import Text

INTERVAL_S = 0.25
DAY_S = 86400


class Progress:
    """Messages and bytes so far, and how many a second."""

    def __init__(self, verb: str, quiet: bool = False) -> None:
        self.verb = verb
        self.messages = self.bytes = 0
        self.note = ""
        self._began = self._shown = time.monotonic()
        console = Console(stderr=True, highlight=False)
        show = not quiet and sys.stderr.isatty()
        self._live = Live(console=console, auto_refresh=False) if show else None

    def add(self, messages: int, size: int) -> None:
        """Count, and show it now and then."""
        self.messages += messages
        self.bytes += size
        if self._live and time.monotonic() - self._shown >= INTERVAL_S:
            self._shown = time.monotonic()
            self._live.update(Text(self.line(), style="bold"), refresh=True)

    def line(self) -> str:
        """Return the line."""
        rate = self.messages / max(time.monotonic() - self._began, 1e-9)
        text = f"{self.verb} {self.messages:,} messages, {self.bytes / 1e6:,.1f} MB"
        return f"{text}, {rate:,.0f}/s{self.note}"

    def __enter__(self) -> Progress:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.update(Text(self.line()), refresh=True)
            self._live.stop()


class Pace:
    """So many a second, in the mean; None: as fast as possible."""

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._began = time.monotonic()
        self._sent = 0

    def wait(self) -> None:
        """Wait until the next one is due."""
        if self._rate is not None:
            sleep_until(self._began + self._sent / self._rate)
            self._sent += 1


def sleep_until(due: float) -> None:
    """Sleep until a time of time.monotonic(), which may be farther off than a sleep."""
    while (left := due - time.monotonic()) > 0:
        time.sleep(min(left, DAY_S))
