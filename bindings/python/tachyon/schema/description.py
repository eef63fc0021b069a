# SPDX-License-Identifier: Apache-2.0
"""The canonical text of a set of messages, and its fingerprint.

Two ends of a bus have the same messages if their texts are equal. The format is in
docs/TYPED_MESSAGES.md.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator

from .model import SCALARS, Enum, Field, Scalar, Schema, SchemaError, Struct, Type

MAX_SIZE = 65536
"""Bytes of a text."""
MAX_LINE = 255
"""Bytes of a line of it, without the line feed."""
FIRST_LINE = f"tachyon-types 1 {sys.byteorder}"

HEAD = re.compile(r"(?:enum (\w+(?:\.\w+)*) (\w+)|(?:struct|message (\d+)) "
                  r"(\w+(?:\.\w+)*)( \+)?)", re.ASCII)  # fmt: skip
MEMBER = re.compile(r" (\w+) (-?\d+)", re.ASCII)
FIELD = re.compile(r" (\w+) (\w+(?:\.\w+)*)((?:\[\d+\])*) @(\d+)", re.ASCII)
LAST = re.compile(r" = (\d+) align (\d+)", re.ASCII)


def fnv1a(data: bytes) -> int:
    """Return the FNV-1a hash of 64 bits; 1 where that is 0, which means "none"."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value or 1


def describe(schema: Schema) -> str:
    """Return the text of all messages of a schema; SchemaError if it is too large."""
    return text_of(schema.messages)


def fingerprint(schema: Schema) -> int:
    """Return the fingerprint of the text of a schema, 1 to 2**64 - 1."""
    return fnv1a(describe(schema).encode())


def text_of(messages: dict[int, Struct]) -> str:
    """Describe messages, given by type_id; SchemaError if that is too large."""
    written: set[str] = set()
    lines = [FIRST_LINE]
    for type_id, struct in sorted(messages.items()):
        written.discard(struct.name)  # it may have been written as part of another
        lines += block(struct, written, f"message {type_id} {struct.name}")
    return checked(lines)


def block(kind: Type, written: set[str], head: str = "") -> Iterator[str]:
    """Go through the lines of a type, and before of what it holds; each type once."""
    if isinstance(kind, Scalar) or kind.name in written:
        return
    written.add(kind.name)
    if isinstance(kind, Enum):
        yield f"enum {kind.name} {kind.kind.name}"
        for name, value in kind.sorted:
            yield f" {name} {value}"
        return
    for each in kind.fields:
        yield from block(each.type, written)
    yield (head or f"struct {kind.name}") + (" +" if kind.grows else "")
    for each in kind.fields:
        yield f" {each.name} {kind_of(each)} @{each.offset}"
    yield f" = {kind.size} align {kind.align}"


def kind_of(field: Field) -> str:
    """Spell the type of a field with its dimensions, as in "u8[3]"."""
    return field.type.name + "".join(f"[{n}]" for n in field.shape)


def checked(lines: Iterable[str]) -> str:
    """Join lines to a text within the limits."""
    lines = list(lines)
    for line in lines:
        if len(line) > MAX_LINE:
            raise SchemaError(
                f"the line {line[:60]!r}... of the description has {len(line)} bytes, "
                f"more than {MAX_LINE}; shorten the names"
            )
    text = "\n".join(lines) + "\n"
    if len(text) > MAX_SIZE:
        raise SchemaError(
            f"the description of the messages has {len(text)} bytes, more than "
            f"{MAX_SIZE}; give fewer of them to a bus, or shorten names"
        )
    return text


def blocks(text: str) -> Iterator[list[str]]:
    """Go through the blocks of a description, each a list of its lines."""
    lines: list[str] = []
    for line in text.splitlines()[1:]:
        if not line.startswith(" ") and lines:
            yield lines
            lines = []
        lines.append(line)
    if lines:
        yield lines


def parse(text: str) -> dict[int, Struct]:
    """Read a description back: its messages by type_id; SchemaError if it is none.

    What is not in the text is as if there were none: further names, later versions.
    """
    first = text.partition("\n")[0]
    if first != FIRST_LINE:
        raise SchemaError(
            f"a description begins with {FIRST_LINE!r} here, not with {first[:60]!r}"
        )
    checked(text.splitlines())
    kinds: dict[str, Type] = {**SCALARS}
    messages: dict[int, Struct] = {}
    for lines in blocks(text):
        head = HEAD.fullmatch(lines[0])
        if not head:
            raise unlike(lines[0], "enum NAME KIND", "message TYPE_ID NAME")
        enum, kind, type_id, name, grows = head.groups()
        if enum:
            kinds[enum] = parse_enum(enum, kind, lines[1:])
            continue
        struct = parse_struct(name, lines[1:], kinds)
        struct.grows = bool(grows)
        kinds[name] = struct
        if type_id:
            messages[int(type_id)] = struct
    return messages


def parse_enum(name: str, kind: str, lines: list[str]) -> Enum:
    """Read the lines of an enum."""
    if not re.fullmatch(r"[ui]\d+", kind) or kind not in SCALARS:
        raise SchemaError(f"enum {name} is held by {kind[:60]}, which is no integer")
    members = []
    for line in lines:
        member = MEMBER.fullmatch(line)
        if not member:
            raise unlike(line, " NAME value")
        members.append((member[1], int(member[2])))
    return Enum(name, SCALARS[kind], members)


def parse_struct(name: str, lines: list[str], kinds: dict[str, Type]) -> Struct:
    """Read the lines of a struct, whose fields are of kinds that came before."""
    last = LAST.fullmatch(lines[-1]) if lines else None
    if not last:
        raise unlike(lines[-1] if lines else "", " = size align alignment")
    fields: list[Field] = []
    for line in lines[:-1]:
        found = FIELD.fullmatch(line)
        if not found:
            raise unlike(line, " name kind[dimensions] @offset")
        field, kind, dimensions, offset = found.groups()
        if kind not in kinds:
            raise SchemaError(f"{name}.{field} is of {kind}, which nothing before is")
        shape = tuple(map(int, re.findall(r"\d+", dimensions)))
        fields.append(Field(field, kinds[kind], shape, int(offset)))
        if fields[-1].end > int(last[1]) or 0 in shape:
            raise SchemaError(f"{name}.{field} is not within the {last[1]} bytes of it")
    if len({each.name for each in fields}) < len(fields):
        raise SchemaError(f"{name} has two fields of one name")
    return Struct(name, name, "", int(last[1]), int(last[2]), fields)


def unlike(line: str, *forms: str) -> SchemaError:
    """Say what a line should look like."""
    wanted = " or ".join(map(repr, forms))
    return SchemaError(f"a line of the description is {line[:60]!r}, not {wanted}")
