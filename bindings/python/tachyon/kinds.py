# SPDX-License-Identifier: Apache-2.0
"""Kinds of fields, for messages that are written as classes.

    class Tick(tachyon.Message, type_id=1, may_grow=True):
        symbol: tachyon.char[8]
        price: tachyon.f64
        side: Side  # an IntEnum
        halted: bool
        reserved: tachyon.u8[3]
        parts: tachyon.array[Part, 4]  # of a class with fields of these kinds
        late: tachyon.u64 = tachyon.since(2)

The layout is that of the same struct in C. For type checkers, which read kinds.pyi, the
length of an array is a Literal, `char[Literal[8]]`, and of two dimensions
`u32[tuple[Literal[2], Literal[3]]]`; they see what the attribute of a message gives.
"""

from __future__ import annotations

import operator
from typing import Any, Literal, get_args, get_origin


class Kind:
    """What a field holds: items of a type, and how many.

    type: the name of a kind of number, an IntEnum, or a class with fields.
    shape: the dimensions of an array, else ().
    """

    __slots__ = ("shape", "type")

    def __init__(self, type: Any, shape: tuple[int, ...] = ()) -> None:
        self.type = type
        self.shape = shape

    def __getitem__(self, shape: Any) -> Kind:
        """Make an array of it: [8], or [2, 3] of two dimensions."""
        return Kind(self.type, self.shape + lengths_of(shape))

    def __repr__(self) -> str:
        name = self.type if isinstance(self.type, str) else self.type.__qualname__
        return f"tachyon.{name}" + (str(list(self.shape)) if self.shape else "")


class Since:
    """The version of a message that has a field first."""

    __slots__ = ("version",)

    def __init__(self, version: int) -> None:
        self.version = version


def since(version: int) -> Any:
    """Say which version of a message has a field first.

    version: 1 or more, of which 1 is that of a field without this. It is the value that
        the field has in the class: `late: tachyon.u64 = tachyon.since(2)`, after all
        fields of earlier versions.
    """
    number = operator.index(version)
    if number < 1:
        raise ValueError(f"version must be 1 or more, not {version!r}")
    return Since(number)


def lengths_of(shape: Any) -> tuple[int, ...]:
    """Return the dimensions of an array, given as one or several, or as tuple[...]."""
    if get_origin(shape) is tuple:
        shape = get_args(shape)
    return tuple(map(length_of, shape if isinstance(shape, tuple) else (shape,)))


def length_of(length: Any) -> int:
    """Return the length of an array, given as an integer or a Literal of one."""
    if get_origin(length) is Literal and len(get_args(length)) == 1:
        (length,) = get_args(length)
    try:
        number = operator.index(length)
    except TypeError:
        raise TypeError(
            f"the length of an array must be an integer, not {length!r:.100}"
        ) from None
    if number < 1:
        raise ValueError(f"the length of an array must be 1 or more, not {number}")
    return number


u8, u16, u32, u64 = map(Kind, ("u8", "u16", "u32", "u64"))
i8, i16, i32, i64 = map(Kind, ("i8", "i16", "i32", "i64"))
u16be, u32be, u64be = map(Kind, ("u16be", "u32be", "u64be"))
f32, f64, char = map(Kind, ("f32", "f64", "char"))


class array:  # noqa: N801 - beside u32 and the others
    """Items of an enum, of a class with fields, or of a kind.

    array[Side, 3]; of two dimensions array[Side, (2, 3)].
    """

    def __class_getitem__(cls, items: Any) -> Kind:
        """Make an array: of what, and how many there are."""
        if not isinstance(items, tuple) or len(items) != 2:
            raise TypeError(
                "give the type of the items and how many there are, as in "
                f"tachyon.array[Side, 3], not {items!r:.100}"
            )
        item = items[0] if isinstance(items[0], Kind) else Kind(items[0])
        return Kind(item.type, lengths_of(items[1]) + item.shape)
