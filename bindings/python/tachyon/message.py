# SPDX-License-Identifier: Apache-2.0
"""Received messages, and what classes of messages with fields are derived from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from .record import MessageClass


class Copied(NamedTuple):
    """What there is in a message of any type."""

    type_id: int
    size: int
    data: bytes


class CopiedClass(type):
    """The class of Message: with a type_id, a class is made of a description instead.

    Such a class has fields, and its instances are no tuples; it counts as derived from
    Message all the same.
    """

    def __new__(
        mcls,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        **options: Any,
    ) -> Any:
        """Make a class; options are what tachyon.record.message_class() takes."""
        if not options:
            return super().__new__(mcls, name, bases, namespace)
        from .record import message_class  # noqa: PLC0415 (it needs _native)

        return message_class(name, bases, namespace, **options)

    def __instancecheck__(cls, instance: Any) -> bool:
        return super().__instancecheck__(instance) or cls.__subclasscheck__(
            type(instance)
        )

    def __subclasscheck__(cls, subclass: type) -> bool:
        return super().__subclasscheck__(subclass) or (
            cls is Message and getattr(type(subclass), "is_of_messages", False)
        )


if TYPE_CHECKING:

    class Message(metaclass=MessageClass):
        """As a base: what it has itself is in the way of no field."""

        type_id: Any
        size: Any
        data: Any

        def __new__(cls, *values: Any, **fields: Any) -> Self:
            """Make a message, of what its class says."""

        def __iter__(self) -> Iterator[Any]: ...
        def __enter__(self) -> Self: ...
        def __exit__(
            self,
            exc_type: type[BaseException] | None,
            exc: BaseException | None,
            traceback: TracebackType | None,
        ) -> Literal[False]: ...
        def __buffer__(self, flags: int, /) -> memoryview: ...

    class AnyMessage(Copied, Message):
        """A Message that is a tuple: what is received without a class of its own."""

else:

    class Message(Copied, metaclass=CopiedClass):
        """One message, copied out of the ring; and the base of classes with fields.

        type_id: its type, 0 to 2**32 - 1.
        size: its bytes, len(data).
        data: the payload as bytes.

        `class MarketTick(tachyon.Message, type_id=1, types="...")`, as
        `python -m tachyon.schema --python` writes it, is made from the description in
        `types`: its instances have the attributes that this names, and no others.
        """

        __slots__ = ()

    AnyMessage = Message


class Received(int):
    """How many messages were received into an array.

    type_id: the type of all of them.
    """

    type_id: int


class Request(NamedTuple):
    """One request, copied out of the ring.

    type_id: its message type, 0 to 2**32 - 1.
    size: its bytes, len(data).
    data: the payload as bytes.
    correlation_id: to be given to RpcBus.reply_async() or RpcBus.reply().
    """

    type_id: int
    size: int
    data: bytes
    correlation_id: int
