# SPDX-License-Identifier: Apache-2.0
"""What the files of all languages have in common: first line, names, and zeros."""

from __future__ import annotations

import re
from collections.abc import Container

from .model import Enum, Schema, SchemaError, Struct

GENERATOR = 1
"""Rises with each change of what is written for the same header."""
FIRST = re.compile(r"tachyon\.schema (\d+), (\S+) ([0-9a-f]{16})")


def first_line(schema: Schema) -> str:
    """Say what a file was written from; FIRST reads it."""
    return (
        f"tachyon.schema {GENERATOR}, {schema.header} {schema.checksum:016x}: "
        "written by python -m tachyon.schema"
    )


def stem(schema: Schema) -> str:
    """Return the name of the header without its suffix, as an identifier."""
    name = re.sub(r"\W", "_", schema.header.removesuffix(".h"))
    return f"x{name}" if name[:1].isdigit() else name


def flat(kind: Enum | Struct) -> str:
    """Return the name of a type as one identifier: Outer_field."""
    return kind.name.replace(".", "_")


def check_flat(schema: Schema, taken: Container[str] = ()) -> None:
    """Refuse two types that would be called the same, or one as what is written."""
    names: dict[str, str] = {}
    for kind in [*schema.types(), *schema.enums]:
        other = names.setdefault(flat(kind), kind.name)
        if other != kind.name:
            raise SchemaError(
                f"{schema.header}: {kind.name} and {other} are both called "
                f"{flat(kind)} elsewhere than in C; give the inner one a tag"
            )
        if kind.name in taken:
            raise SchemaError(
                f"{schema.header}: a type cannot be called {kind.name}, which is what "
                "this language's file calls something else; rename it"
            )


def camel(name: str) -> str:
    """Return a name as Go and Java like them: OuterField."""
    parts = re.split(r"[_.]+", name)
    return "".join(part[:1].upper() + part[1:] for part in parts) or "X"


def free(name: str, taken: Container[str]) -> str:
    """Append underscores to a name until nothing else has it."""
    while name in taken:
        name += "_"
    return name


def first_of_each(enum: Enum) -> list[tuple[str, int]]:
    """Return the members of an enum by value, of equal ones the first by name."""
    found: dict[int, str] = {}
    for name, value in enum.sorted:
        found.setdefault(value, name)
    return [(name, value) for value, name in found.items()]
