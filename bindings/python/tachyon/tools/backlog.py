# SPDX-License-Identifier: Apache-2.0
"""What waits between a thread of the network and the one of the ring."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Backlog(Generic[T]):
    """Items in their order, up to so many bytes; one of any size where it is empty."""

    def __init__(self, limit: int) -> None:
        self._items: deque[tuple[T, int]] = deque()
        self._bytes = 0
        self._taken = False  # the last one that was got is not done yet
        self._limit = limit
        self._closed = False
        self._changed = threading.Condition()

    def put(self, item: T, size: int, timeout: float | None = None) -> bool:
        """Append an item when there is room; return whether there was."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._fits(size), timeout):
                return False
            if not self._closed:
                self._items.append((item, size))
                self._bytes += size
                self._changed.notify_all()
            return not self._closed

    def _fits(self, size: int) -> bool:
        fits = not self._items or self._bytes + size <= self._limit
        return self._closed or fits

    def get(self, timeout: float | None = None) -> T | None:
        """Take the next item; None: there was none in time, or it was closed.

        With that the one before counts as done.
        """
        with self._changed:
            if self._taken:
                self._taken = False
                self._changed.notify_all()
            self._changed.wait_for(lambda: self._items or self._closed, timeout)
            if self._closed or not self._items:
                return None
            item, size = self._items.popleft()
            self._bytes -= size
            self._taken = True
            self._changed.notify_all()
            return item

    def done(self, timeout: float) -> bool:
        """Wait until all is done that was put; return whether it is."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self._closed or not (self._items or self._taken), timeout
            )

    def close(self) -> None:
        """Let nobody wait any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class Clock:
    """Says when something is due, every so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.restart()

    def restart(self) -> None:
        """Begin the period now."""
        self._last = time.monotonic()

    def due(self) -> bool:
        """Whether it is time, which begins the next period."""
        now = time.monotonic()
        if now - self._last < self._seconds:
            return False
        self._last = now
        return True
