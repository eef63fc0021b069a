# SPDX-License-Identifier: Apache-2.0
"""What a header says of its messages: types, and where each field lies."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field


class SchemaError(Exception):
    """A header, or what was asked of it, that no messages can be made of.

    Its text names the file, the line and the field where there are any, and a way out.
    """


MAX_ALIGN = 64
"""What a message is aligned to."""
MAX_MESSAGE = (2 << 30) - 128
"""Bytes of the largest message in the largest ring."""
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")


@dataclass(frozen=True)
class Scalar:
    """A kind of number, a truth value or a character.

    name: as the description has it, such as "u32".
    size: its bytes.
    """

    name: str
    size: int

    @property
    def align(self) -> int:
        """What it is aligned to in a struct that is not packed."""
        return self.size


SCALARS = {
    scalar.name: scalar
    for scalar in (
        *(Scalar(f"{sign}{8 * size}", size) for sign in "ui" for size in (1, 2, 4, 8)),
        *(Scalar(f"u{8 * size}be", size) for size in (2, 4, 8)),
        *(Scalar("f32", 4), Scalar("f64", 8), Scalar("bool", 1), Scalar("char", 1)),
    )
}


@dataclass
class Enum:
    """An enum.

    name: of the typedef, else the tag, else Outer.field.
    kind: the integer that holds it.
    members: name and value, as they are declared.
    """

    name: str
    kind: Scalar
    members: list[tuple[str, int]]

    @property
    def size(self) -> int:
        """Its bytes."""
        return self.kind.size

    @property
    def align(self) -> int:
        """What it is aligned to in a struct that is not packed."""
        return self.kind.align

    @property
    def sorted(self) -> list[tuple[str, int]]:
        """Its members by value, then by name."""
        return sorted(self.members, key=lambda member: (member[1], member[0]))


@dataclass
class Field:
    """A field of a struct.

    type: of one item; shape: the dimensions of an array, else ().
    offset: in bytes, from the beginning of the struct.
    align: what its type asks for.
    since: the version of the message that has it first.
    aliases: further names, of an anonymous union whose members are alike.
    """

    name: str
    type: Type
    shape: tuple[int, ...]
    offset: int
    align: int = 1
    since: int = 1
    aliases: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all its items."""
        return self.type.size * math.prod(self.shape)

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.offset + self.size


@dataclass
class Struct:
    """A struct.

    name: of the typedef, else the tag, else Outer.field.
    spelling: what C calls it, "" where it has no name of its own.
    where: file and line, as errors have them.
    grows: whether later versions may have more fields.
    packed: whether C has to be told that there is no padding; only of a class.
    """

    name: str
    spelling: str
    where: str
    size: int
    align: int
    fields: list[Field]
    grows: bool = False
    packed: bool = False

    @property
    def smallest(self) -> int:
        """Bytes of the smallest message of the type that there may be."""
        later = (f.offset for f in self.fields if f.since > 1)
        return min(later, default=self.size) if self.grows else self.size


Type = Scalar | Enum | Struct


@dataclass
class Schema:
    """The messages of a header.

    header: its file name, without directories.
    checksum: FNV-1a 64 of its bytes.
    messages: by type_id, which rise.
    enums: those that it defines, whether a message has them or not.
    constants: its macros that are an integer, and enumerators of enums without a name.
    includes: what has to be included before it.
    depends: paths of all files that were read.
    package: of Java's files, "" for none; its last part is that of Go's.
    """

    header: str
    checksum: int
    messages: dict[int, Struct]
    enums: list[Enum] = field(default_factory=list)
    constants: dict[str, int] = field(default_factory=dict)
    includes: tuple[str, ...] = ()
    depends: tuple[str, ...] = ()
    package: str = ""

    def types(self) -> Iterator[Enum | Struct]:
        """Go through all enums and structs of the messages, what is held first."""
        seen: set[int] = set()
        for struct in self.messages.values():
            yield from held_by(struct, seen)


def held_by(kind: Type, seen: set[int]) -> Iterator[Enum | Struct]:
    """Go through what a type holds, depth first, then the type; each once."""
    if isinstance(kind, Scalar) or id(kind) in seen:
        return
    seen.add(id(kind))
    if isinstance(kind, Struct):
        for each in kind.fields:
            yield from held_by(each.type, seen)
    yield kind
