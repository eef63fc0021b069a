# SPDX-License-Identifier: Apache-2.0
"""Messages of several types, received as objects of their classes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from . import _native
from .aio import deadline_after

if TYPE_CHECKING:
    from typing_extensions import Self

    from .bus import Bus


class Messages:
    """Messages of several types on a bus; made by Bus.messages().

    recv() and iterating wait for the next one and give a copy, an object of the class
    of its type_id, for which `match` has a `case` each. A message of no such type, or
    of a size that its type does not have, raises UnexpectedMessage and stays in the
    ring. Iterating ends with the stream; `async for` does the same in an event loop.
    """

    __slots__ = ("_bus", "_classes", "_timeout")

    def __init__(
        self, bus: Bus, classes: Iterable[Any], timeout: float | None = None
    ) -> None:
        """Do as Bus.messages() does, with all classes given."""
        self._bus = bus
        self._timeout = timeout
        self._classes = by_type_id(classes)

    def __repr__(self) -> str:
        names = ", ".join(cls.__name__ for cls in self._classes.values())
        return f"<tachyon.Messages of {names}>"

    def recv(self, timeout: float | None = None) -> Any:
        """Wait for the next message; fails as Bus.recv(), and UnexpectedMessage."""
        return self._bus._recv_record(self._classes, timeout)

    async def recv_async(self, timeout: float | None = None) -> Any:
        """Wait for the next message in an event loop; fails as recv()."""
        deadline = None if timeout is None else deadline_after(timeout)
        watch = self._bus._watch
        if watch.may_hurry():
            try:
                return self.recv(0)
            except TimeoutError:
                pass
        return await watch.receive(lambda: self.recv(0), deadline)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        try:
            return self._bus._recv_record(self._classes, self._timeout)
        except _native.ClosedError:
            if self._bus.fileno() < 0:  # this end was closed, not the peer's
                raise
        raise StopIteration

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        try:
            return await self.recv_async(self._timeout)
        except _native.ClosedError:
            if self._bus.fileno() < 0:
                raise
        raise StopAsyncIteration


def by_type_id(classes: Iterable[Any]) -> dict[int, Any]:
    """Return message classes by their type_ids, each of which one of them has."""
    found: dict[int, Any] = {}
    for cls in classes:
        kind = type(cls)
        if not (issubclass(kind, type) and getattr(kind, "is_of_messages", False)):
            raise TypeError(f"each of types must be a Message class, not {cls!r:.100}")
        # A plain int: comparing it runs nobody's code while a message is looked at.
        other = found.setdefault(int(cls.type_id), cls)
        if other is not cls:
            raise ValueError(
                f"{other.__name__} and {cls.__name__} both have the type_id "
                f"{cls.type_id}"
            )
    if not found:
        raise ValueError(
            "no classes to receive: give Message classes as `types` to listen() or "
            "connect(), or to messages()"
        )
    return found
