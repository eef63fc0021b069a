# SPDX-License-Identifier: Apache-2.0
"""Typed messages as fields and back, by their description alone."""

from __future__ import annotations

import itertools
import math
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import click

from tachyon import schema
from tachyon.schema.description import parse
from tachyon.schema.model import Enum, Field, Struct

from .ending import BadData

MOST_ID = (1 << 32) - 1
ORDER = "<" if sys.byteorder == "little" else ">"
CODES = {
    "u8": "B", "u16": "H", "u32": "I", "u64": "Q", "i8": "b", "i16": "h", "i32": "i",
    "i64": "q", "f32": "f", "f64": "d", "bool": "?", "char": "c",
}  # fmt: skip


@dataclass
class Types:
    """The messages that may pass.

    text: their description, "" for none; messages: by type_id.
    """

    text: str = ""
    messages: dict[int, Struct] = field(default_factory=dict)

    def name(self, type_id: int) -> str:
        """Return what a message is called: by its type, else by its number."""
        found = self.messages.get(type_id)
        return found.name if found else str(type_id)

    def unpack(self, type_id: int, data: bytes) -> dict[str, Any]:
        """Return a message's fields."""
        found = self.messages.get(type_id)
        if found is None:
            raise BadData(f"a message of type_id {type_id}: {self.known()}")
        too_long = len(data) > found.size and not found.grows
        if too_long or len(data) < found.smallest:
            raise BadData(
                f"a {found.name} of {len(data)} bytes, which has {found.size}: the "
                f"sender's header is another; give that one"
            )
        return unpack(found, data.ljust(found.size, b"\0"), 0)

    def pack(self, name: str, fields: Any) -> tuple[int, bytes]:
        """Return the type_id and the bytes of a message."""
        for type_id, found in self.messages.items():
            if found.name == name:
                into = bytearray(found.size)
                pack(found, fields, into, 0, name)
                return type_id, bytes(into)
        raise BadData(f"{name!r:.60} is no message: {self.known()}")

    def id_of(self, name: str) -> int:
        """Return the type_id of a name, or of a number as text."""
        for type_id, found in self.messages.items():
            if found.name == name:
                return type_id
        try:
            type_id = int(name, 0)
        except ValueError:
            raise click.UsageError(f"no type {name!r}: {self.known()}") from None
        if not 0 <= type_id <= MOST_ID:
            raise click.UsageError(f"--type is 0 to {MOST_ID}, not {type_id}")
        return type_id

    def known(self) -> str:
        """Say which there are."""
        pairs = (f"{found.name}={each}" for each, found in self.messages.items())
        return f"known are {', '.join(pairs) or 'none; give --header and --types'}"


def of_text(text: str) -> Types:
    """Return the types of a description."""
    return Types(text, parse(text)) if text else Types()


def from_options(header: str | None, pairs: tuple[str, ...]) -> Types:
    """Return the types of a header; SchemaError says what is wrong with it."""
    ids: dict[str, int] = {}
    for pair in itertools.chain.from_iterable(each.split(",") for each in pairs):
        name, _, number = pair.partition("=")
        if name in ids:
            raise click.UsageError(f"--types has {name} twice")
        try:
            ids[name] = int(number, 0)
        except ValueError:
            raise click.UsageError(f"--types has {pair!r}, not NAME=TYPE_ID") from None
    if bool(header) != bool(ids):
        raise click.UsageError("--header and --types go together")
    if header is None:
        return Types()
    return of_text(schema.describe(schema.read(header, ids)))


def code_of(kind: Any) -> str:
    """Return a scalar's format of the struct module."""
    name: str = kind.kind.name if isinstance(kind, Enum) else kind.name
    return f">{CODES[name[:-2]]}" if name.endswith("be") else ORDER + CODES[name]


def is_text(each: Field) -> bool:
    """Whether a field's last dimension is one string."""
    return getattr(each.type, "name", "") == "char" and bool(each.shape)


def is_bytes(each: Field) -> bool:
    """Whether a field is written as hex."""
    return getattr(each.type, "name", "") == "u8" and len(each.shape) == 1


def parts(each: Field) -> tuple[tuple[int, ...], int]:
    """Return the dimensions as lists, and the bytes of an item."""
    if is_text(each) or is_bytes(each):
        return each.shape[:-1], each.shape[-1]
    return each.shape, each.type.size


def unpack(of: Struct, data: bytes, base: int) -> dict[str, Any]:
    """Return the fields of a struct in `data`."""
    fields: dict[str, Any] = {}
    for each in of.fields:
        shape, size = parts(each)
        first = base + each.offset
        offsets = range(first, first + size * math.prod(shape), size)
        fields[each.name] = nested([item(each, data, o, size) for o in offsets], shape)
    return fields


def item(each: Field, data: bytes, offset: int, size: int) -> Any:
    """Return one item of a field."""
    if isinstance(each.type, Struct):
        return unpack(each.type, data, offset)
    if is_bytes(each):
        return data[offset : offset + size].hex()
    if each.type.name == "char":
        text = data[offset : offset + size].rstrip(b"\0")
        return text.decode("utf-8", "surrogateescape")
    (value,) = struct.unpack_from(code_of(each.type), data, offset)
    if isinstance(each.type, Enum):
        return next((name for name, n in each.type.members if n == value), str(value))
    return value


def nested(items: list[Any], shape: tuple[int, ...]) -> Any:
    """Return items as lists of the shape; without one, the item."""
    if not shape:
        return items[0]
    step = math.prod(shape[1:])
    return [
        nested(items[i * step : (i + 1) * step], shape[1:]) for i in range(shape[0])
    ]


def pack(of: Struct, fields: Any, into: bytearray, base: int, where: str) -> None:
    """Write fields into the bytes of a struct; what is not named is zero."""
    if not isinstance(fields, dict):
        raise BadData(f"{where} takes an object of its fields, not {fields!r:.60}")
    known = {each.name: each for each in of.fields}
    for name, value in fields.items():
        each = known.get(name)
        if each is None:
            raise BadData(f"{where} has no {name!r:.60}, but {', '.join(known)}")
        shape, size = parts(each)
        at = base + each.offset
        for one in flat(value, shape, f"{where}.{name}"):
            put(each, one, into, at, size, f"{where}.{name}")
            at += size


def put(
    each: Field, value: Any, into: bytearray, offset: int, size: int, where: str
) -> None:
    """Write one item of a field."""
    if isinstance(each.type, Struct):
        return pack(each.type, value, into, offset, where)
    if is_bytes(each) or each.type.name == "char":
        try:
            data = (
                bytes.fromhex(value)
                if is_bytes(each)
                else value.encode("utf-8", "surrogateescape")
            )
        except (TypeError, ValueError, AttributeError):
            kind = "hex" if is_bytes(each) else "text"
            raise BadData(f"{where} takes {kind}, not {value!r:.60}") from None
        if len(data) > size:
            raise BadData(f"{where} takes {size} bytes, not {len(data)}")
        into[offset : offset + len(data)] = data
        return None
    if isinstance(each.type, Enum) and isinstance(value, str):
        members = dict(each.type.members)
        try:
            value = members[value] if value in members else int(value)
        except ValueError:
            names = ", ".join(name for name, _ in each.type.members)
            raise BadData(f"{where} is one of {names}, not {value!r:.60}") from None
    code = code_of(each.type)
    wanted: tuple[type, ...] = (int, float) if code[1] in "fd" else (int,)
    if isinstance(value, bool) is not (code[1] == "?") or not isinstance(value, wanted):
        raise BadData(f"{where} is of {each.type.name}, not {value!r:.60}")
    try:
        struct.pack_into(code, into, offset, value)
    except (struct.error, OverflowError):
        raise BadData(f"{where} is of {each.type.name}, not {value!r:.60}") from None
    return None


def flat(value: Any, shape: tuple[int, ...], where: str) -> Iterator[Any]:
    """Go through the items of lists of the shape."""
    if not shape:
        yield value
        return
    if not isinstance(value, list) or len(value) != shape[0]:
        raise BadData(f"{where} takes a list of {shape[0]}, not {value!r:.60}")
    for each in value:
        yield from flat(each, shape[1:], where)


OPTIONS = (
    click.option(
        "--header", metavar="FILE", type=click.Path(exists=True, dir_okay=False),
        help="A C header, whose structs the messages are.",
    ),
    click.option(
        "--types", multiple=True, metavar="NAME=ID,...",
        help="The structs of --header that are messages, and their type_ids.",
    ),
)  # fmt: skip
