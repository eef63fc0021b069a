# SPDX-License-Identifier: Apache-2.0
"""market_tick.h: the structs of messages that are written as classes of Python."""

from __future__ import annotations

from collections.abc import Iterator

from .model import Enum, Field, Scalar, Schema, Struct
from .names import first_line, stem

SPELLING = {"f32": "float", "f64": "double", "bool": "bool", "char": "char"}


def write(schema: Schema) -> dict[str, str]:
    """Return the file's name and text."""
    guard = f"{stem(schema).upper()}_H"
    kinds = list(schema.types())
    parts = [
        f"/* {first_line(schema)} */",
        "/* clang-format off */",
        f"#ifndef {guard}",
        f"#define {guard}",
        "",
        *(f"#include <{name}>" for name in includes(kinds)),
        "",
        *("\n".join([*definition(kind), ""]) for kind in kinds),
        "#endif",
        "",
    ]
    return {schema.header: "\n".join(parts)}


def includes(kinds: list[Enum | Struct]) -> Iterator[str]:
    """Go through what has to be included before these types."""
    structs = [kind for kind in kinds if isinstance(kind, Struct)]
    held = {
        f.type.name for s in structs for f in s.fields if isinstance(f.type, Scalar)
    }
    if any(name.endswith("be") for name in held):
        yield "linux/types.h"
    if "bool" in held:
        yield "stdbool.h"
    yield "stdint.h"
    if any(struct.grows for struct in structs):
        yield "tachyon.h"


def definition(kind: Enum | Struct) -> Iterator[str]:
    """Go through the lines that define a type."""
    if isinstance(kind, Enum):
        yield "typedef enum {"
        for name, value in kind.members:
            yield f"    {name} = {literal(value)},"
    else:
        attributes = " TACHYON_MAY_GROW" if kind.grows else ""
        attributes += " __attribute__((packed))" if kind.packed else ""
        yield f"typedef struct{attributes} {{"
        for field in kind.fields:
            yield f"    {declaration(field)};"
    yield f"}} {kind.name};"


def literal(value: int) -> str:
    """Spell the value of an enumerator; the lowest of all is no literal in C."""
    if value == -(1 << 63):
        return f"{value + 1} - 1"
    return f"{value}u" if value >= 1 << 63 else str(value)


def declaration(field: Field) -> str:
    """Declare a field, as in `uint8_t reserved[3]`."""
    kind = field.type
    name = spelling(kind) if isinstance(kind, Scalar) else kind.name
    shape = "".join(f"[{length}]" for length in field.shape)
    since = f" TACHYON_SINCE({field.since})" if field.since > 1 else ""
    return f"{name} {field.name}{shape}{since}"


def spelling(kind: Scalar) -> str:
    """Return what C calls a kind of number."""
    name = kind.name
    if name.endswith("be"):
        return f"__be{name[1:-2]}"
    return SPELLING.get(name) or ("u" if name[0] == "u" else "") + f"int{name[1:]}_t"
