# SPDX-License-Identifier: Apache-2.0
"""stdin, whose waits every signal ends."""

from __future__ import annotations

import io
import os
import select
import signal
import sys
from typing import Any


class Input(io.RawIOBase):
    """stdin, unbuffered.

    A read of Python's own sleeps on where a signal comes just before it; here the
    signal itself writes to a pipe, for which poll() looks too.
    """

    def __init__(self) -> None:
        self._fd = sys.stdin.fileno()
        self._woken, wake = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(self._woken, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self._poll = select.poll()
        for fd in (self._fd, self._woken):
            self._poll.register(fd, select.POLLIN)

    def readable(self) -> bool:
        """Say that it is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Wait until there is something, and read it."""
        while True:
            ready = {fd for fd, _ in self._poll.poll()}
            if self._fd in ready:
                return os.readv(self._fd, [buffer])
            os.read(self._woken, 4096)


def opened() -> io.BufferedReader:
    """Return stdin as a file."""
    return io.BufferedReader(Input(), 1 << 16)
