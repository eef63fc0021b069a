# SPDX-License-Identifier: Apache-2.0
"""market_tick.py: constants, enums, and classes that are made from descriptions."""

from __future__ import annotations

import keyword
import re
from collections.abc import Container, Iterator

from .description import describe, fingerprint, text_of
from .model import Enum, Field, Scalar, Schema, Struct
from .names import check_flat, first_line, flat, free, stem

NUMPY = {"f32": "float32", "f64": "float64", "bool": "bool_"}
OWN = {"FINGERPRINT", "TYPES", "IntEnum", "TYPE_CHECKING", "tachyon", "np", "npt"}


def write(schema: Schema) -> dict[str, str]:
    """Return the file's name and text."""
    check_flat(schema, OWN)
    structs = [kind for kind in schema.types() if isinstance(kind, Struct)]
    arrays = any("npt." in annotation(f) for s in structs for f in s.fields)
    held = [kind for kind in structs if kind not in schema.messages.values()]
    parts = [
        f"# {first_line(schema)}",
        "# ruff: noqa",
        "# fmt: off",
        f'"""The messages of {schema.header}."""',
        "",
        "from __future__ import annotations",
        "",
        *(["from enum import IntEnum"] if schema.enums else []),
        *(["from typing import TYPE_CHECKING"] if arrays or held else []),
        *([""] if schema.enums or arrays or held else []),
        "import tachyon",
        "",
    ]
    if arrays:
        parts += [
            "if TYPE_CHECKING:",
            "    import numpy as np",
            "    import numpy.typing as npt",
            "",
        ]
    parts += [f"FINGERPRINT = {fingerprint(schema):#018x}", "TYPES = " + quoted(schema)]
    for name, value in schema.constants.items():
        parts.append(f"{attribute(name, OWN)} = {value}")
    for enum in schema.enums:
        parts += ["", "", *enum_class(enum)]
    if held:
        parts += ["", "", "if TYPE_CHECKING:"]
        for i, struct in enumerate(held):
            lines = [f"class {called(struct)}:", *body(struct, "A part of a message.")]
            parts += [""] * (i > 0) + [f"    {line}".rstrip() for line in lines]
    for type_id, struct in schema.messages.items():
        parts += ["", "", *message_class(type_id, struct)]
    return {f"{stem(schema)}.py": "\n".join(parts) + "\n"}


def quoted(schema: Schema) -> str:
    """Return the description of all messages as a literal."""
    return f'"""\\\n{describe(schema)}"""'


def called(kind: Enum | Struct) -> str:
    """Return what Python calls a type."""
    return attribute(flat(kind))


def attribute(name: str, taken: Container[str] = ()) -> str:
    """Return what Python calls a name of C: its own names get an underscore."""
    own = keyword.iskeyword(name) or (name.startswith("__") and name.endswith("__"))
    return free(name + "_" if own else name, taken)


def enum_class(enum: Enum) -> Iterator[str]:
    """Go through the lines of an IntEnum."""
    yield f"class {called(enum)}(IntEnum):"
    yield f'    """{enum.name}, held by {enum.kind.name}; a peer may send any value."""'
    yield ""
    for name, value in members_of(enum).items():
        yield f"    {name} = {value}"


SUNDER = re.compile("_[^_](.*[^_])?_")
RESERVED_IN_ENUM = {"mro", "name", "value", "real", "imag", "numerator", "denominator"}


def members_of(enum: Enum) -> dict[str, int]:
    """Return the members by names that an IntEnum can have, each by one of its own.

    In the body of a class __x is no member but private, and _x_ is of enum itself.
    """
    members: dict[str, int] = {}
    for member, value in enum.members:
        private = member.startswith("__") and not member.endswith("__")
        name = attribute("_" + member.lstrip("_") if private else member)
        while name in RESERVED_IN_ENUM or name in members or SUNDER.fullmatch(name):
            name += "_"
        members[name] = value
    return members


def message_class(type_id: int, struct: Struct) -> Iterator[str]:
    """Go through the lines of the class of a message.

    types: the description of this message alone; those of several are merged.
    smallest: where it grows, the bytes of its first version.
    enums: the classes of its enums, by name. aliases: further names of fields.
    """
    enums = {
        kind.name: called(kind)
        for kind in Schema("", 0, {type_id: struct}).types()
        if isinstance(kind, Enum)
    }
    aliases = {
        attribute(alias): attribute(field.name)
        for field in struct.fields
        for alias in field.aliases
    }
    yield f"class {called(struct)}("
    yield "    tachyon.Message,"
    yield f"    type_id={type_id},"
    yield f'    types="""\\\n{text_of({type_id: struct})}""",'
    if struct.grows:
        yield f"    smallest={struct.smallest},"
    if enums:
        pairs = ", ".join(f'"{name}": {cls}' for name, cls in enums.items())
        yield f"    enums={{{pairs}}},"
    if aliases:
        pairs = ", ".join(f'"{alias}": "{name}"' for alias, name in aliases.items())
        yield f"    aliases={{{pairs}}},"
    yield "):"
    grows = ", and later versions more" if struct.grows else ""
    yield from body(struct, f"Message {type_id}: {struct.size} bytes{grows}.")


def body(struct: Struct, docstring: str) -> Iterator[str]:
    """Go through the lines in a class, which type checkers read."""
    yield f'    """{docstring}"""'
    yield ""
    for field in struct.fields:
        for name in (field.name, *field.aliases):
            yield f"    {attribute(name)}: {annotation(field)}"


def annotation(field: Field) -> str:
    """Return the type of what an attribute gives."""
    kind, depth = field.type, len(field.shape)
    if isinstance(kind, Scalar) and kind.name in ("char", "u8") and depth == 1:
        return "bytes"
    if isinstance(kind, Struct):
        item = called(kind)
    elif depth:
        scalar = kind.kind if isinstance(kind, Enum) else kind
        return f"npt.NDArray[np.{numpy_name(scalar)}]"
    elif isinstance(kind, Enum):
        item = f"{called(kind)} | int"
    else:
        item = {"f32": "float", "f64": "float", "bool": "bool", "char": "bytes"}.get(
            kind.name, "int"
        )
    for _ in range(depth):
        item = f"tuple[{item}, ...]"
    return item


def numpy_name(scalar: Scalar) -> str:
    """Return what NumPy calls a scalar."""
    if scalar.name == "char":
        return "bytes_"
    name = scalar.name.removesuffix("be")
    return NUMPY.get(name) or ("u" if name[0] == "u" else "") + f"int{name[1:]}"
