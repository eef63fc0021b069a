# SPDX-License-Identifier: Apache-2.0
"""What is asked of libclang, and where its answers are not what they seem.

No compiler and no C library is needed: what a header of plain structs includes is in
include/. A header that wants more finds it where the system has it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

try:
    from clang import cindex
except ImportError:
    raise ImportError(
        "tachyon.schema reads headers with libclang, which is not installed: "
        "pip install 'tachyon-ipc[schema]'"
    ) from None

from .model import SCALARS, Scalar, SchemaError

INCLUDE = Path(__file__).parent / "include"
Kind: Any = cindex.TypeKind
Cursor: Any = cindex.CursorKind
SIGNED = (Kind.SHORT, Kind.INT, Kind.LONG, Kind.LONGLONG, Kind.SCHAR)
UNSIGNED = (Kind.USHORT, Kind.UINT, Kind.ULONG, Kind.ULONGLONG, Kind.UCHAR)
OTHERS = {
    Kind.BOOL: "bool",
    Kind.CHAR_S: "char",
    Kind.CHAR_U: "char",
    Kind.FLOAT: "f32",
    Kind.DOUBLE: "f64",
}
TYPEDEFS = {
    "__be16": SCALARS["u16be"],
    "__be32": SCALARS["u32be"],
    "__be64": SCALARS["u64be"],
    "wchar_t": None,
}
"""Those that say more than the type they stand for; None: that it is none."""
IN_C = "; messages are described in C, as structs without methods"
UNNAMED = re.compile(r"\(unnamed[^)]*\)")
NUMBER = re.compile(r"(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)[uUlL]*")


# ---- Parsing ----


def parse(header: Path, arguments: list[str]) -> Any:
    """Parse a header with its own includes, else also with those of the system.

    Whatever clang calls an error is one: it goes on with `int` for an unknown type,
    and all sizes would be wrong.
    """
    errors: list[Any] = []
    for where_else in (["-nostdinc"], ["-nobuiltininc"]):
        unit: Any = cindex.Index.create().parse(
            str(header),
            [
                *("-x", "c", "-std=gnu11", "-D__TACHYON_SCHEMA__", *arguments),
                *(*where_else, "-isystem", str(INCLUDE)),
            ],
            options=cindex.TranslationUnit.PARSE_DETAILED_PROCESSING_RECORD
            | cindex.TranslationUnit.PARSE_SKIP_FUNCTION_BODIES,
        )
        errors = [d for d in unit.diagnostics if d.severity >= cindex.Diagnostic.Error]
        if not errors:
            return unit
        if not any(missing(error) for error in errors):
            break
    raise SchemaError("\n".join(map(error_text, errors[:5])) + way_out(errors))


def files_of(unit: Any) -> list[str]:
    """Return the header and all that it includes, each once."""
    included = [str(inclusion.include) for inclusion in unit.get_includes()]
    return list(dict.fromkeys([unit.spelling, *included]))


def error_text(error: Any) -> str:
    """Spell an error as clang does."""
    if error.location.file is None:
        return f"error: {error.spelling}"
    return f"{where(error)}: error: {error.spelling}"


def missing(error: Any) -> str | None:
    """Return the name of the header that clang has not found."""
    found = re.fullmatch(r"'(.*)' file not found", error.spelling)
    return found[1] if found else None


def way_out(errors: list[Any]) -> str:
    """Say what may help, by the first error."""
    name = missing(errors[0])
    if name:
        if "." not in name:
            return f"\n{name} is a header of C++{IN_C}"
        return f"\ngive the directory that {name} is in: -I DIRECTORY"
    if "unknown type name" in errors[0].spelling:
        kind = errors[0].spelling.split("'")[1]
        if kind in ("class", "namespace", "template", "using"):
            return f"\n{kind} is a word of C++{IN_C}"
        file = "stdint.h" if re.fullmatch(r"u?int\d+_t", kind) else "HEADER"
        return f"\ngive the header that defines {kind}: -include {file}"
    return "\nthe header must be C that a compiler takes by itself"


def where(thing: Any) -> str:
    """Spell where a cursor or a diagnostic is: file and line."""
    file = thing.location.file
    return f"{Path(file.name).name if file else '?'}:{thing.location.line}"


# ---- Types ----


def item_of(kind: Any) -> tuple[str, Any, tuple[int, ...]]:
    """Take a type apart: a typedef of TYPEDEFS or "", the item, its dimensions."""
    shape: tuple[int, ...] = ()
    while True:
        what = kind_of(kind)
        if what == Kind.ELABORATED:
            kind = kind.get_named_type()
        elif what == Kind.TYPEDEF:
            declaration = kind.get_declaration()
            if declaration.spelling in TYPEDEFS:
                return declaration.spelling, kind, shape
            kind = declaration.underlying_typedef_type
        elif what == Kind.CONSTANTARRAY:
            shape += (kind.element_count,)
            kind = kind.element_type
        elif kind_of(kind.get_canonical()) in (what, None):
            return "", kind, shape
        else:
            kind = kind.get_canonical()


def scalar(typedef: str, kind: Any) -> Scalar | None:
    """Return the scalar that an item is, None if it is none."""
    if typedef:
        return TYPEDEFS[typedef]
    what = kind_of(kind)
    if what in OTHERS:
        return SCALARS[OTHERS[what]]
    sign = "i" if what in SIGNED else "u" if what in UNSIGNED else ""
    return SCALARS[f"{sign}{8 * kind.get_size()}"] if sign else None


def enum_kind(cursor: Any) -> Scalar | None:
    """Return the integer that holds an enum, None for bool."""
    kind = cursor.enum_type.get_canonical()
    if kind_of(kind) == Kind.BOOL:
        return None
    sign = "i" if kind_of(kind) in (*SIGNED, Kind.CHAR_S) else "u"
    return SCALARS[f"{sign}{8 * kind.get_size()}"]


def type_text(cursor: Any) -> str:
    """Spell the type of a member, without a path where it has no name."""
    return UNNAMED.sub("without a name", cursor.type.spelling)


# ---- Cursors ----


def kind_of(kind: Any) -> Any:
    """Return the kind of a type; None for one that cindex has no name for."""
    try:
        return kind.kind
    except ValueError:
        return None


def tag(cursor: Any) -> str:
    """Return the tag of a struct or enum, "" if it has none."""
    name: str = cursor.spelling
    return "" if "(" in name else name  # "struct (unnamed at tick.h:3:1)"


def spelling(cursor: Any) -> str:
    """Return what C calls a struct, "" if nothing."""
    name: str = cursor.type.spelling
    return "" if "(" in name else name


def is_anonymous(cursor: Any) -> bool:
    """Tell whether a member has no name, so that its members are the struct's."""
    return not cursor.spelling or "(" in cursor.spelling


def offset_of(record: Any, cursor: Any, plain: bool, label: str) -> int:
    """Return where a member begins in a record, in bytes.

    libclang says -1 for one without a name. There its first named member is asked
    for, less that member's own offset in it.
    """
    bits = -1
    if plain:
        bits = record.type.get_offset(cursor.spelling)
    else:
        inner = cursor.type.get_canonical().get_declaration()
        name = next(named_members(inner), None)
        if name is not None:
            whole = record.type.get_offset(name)
            part = inner.type.get_offset(name)
            bits = whole - part if min(whole, part) >= 0 else -1
    if bits < 0 or bits % 8:
        raise SchemaError(
            f"{where(cursor)}: the place of {label} is not known; give it a name"
        )
    return bits // 8


def named_members(record: Any) -> Iterator[str]:
    """Go through the named members of a record, those of anonymous ones included."""
    for member in record.type.get_fields():
        if not is_anonymous(member):
            yield member.spelling
        elif not member.is_bitfield():
            yield from named_members(member.type.get_canonical().get_declaration())


def notes_on(cursor: Any) -> list[str]:
    """Return what the macros of tachyon.h have noted."""
    return [
        child.spelling
        for child in cursor.get_children()
        if child.kind == Cursor.ANNOTATE_ATTR
    ]


def enumerators(cursor: Any) -> Iterator[tuple[str, int]]:
    """Go through the members of an enum.

    libclang takes each value for a signed one where a typedef holds the enum.
    """
    kind = enum_kind(cursor)
    mask = (1 << 8 * kind.size) - 1 if kind and kind.name[0] == "u" else -1
    for child in cursor.get_children():
        if child.kind == Cursor.ENUM_CONSTANT_DECL:
            yield child.spelling, child.enum_value & mask


def integer(tokens: list[str]) -> int | None:
    """Return the value of a macro that is a plain integer, of 64 bits at most."""
    if tokens[:1] == ["("] and tokens[-1:] == [")"]:
        tokens = tokens[1:-1]
    sign = -1 if tokens[:1] == ["-"] else 1
    number = NUMBER.fullmatch(tokens[-1]) if tokens else None
    if number is None or len(tokens) != (2 if sign < 0 else 1):
        return None
    digits = number[1]
    octal = len(digits) > 1 and digits.isdigit() and digits[0] == "0"
    value = sign * int(digits, 8 if octal else 0)
    return value if -1 << 63 <= value < 1 << 64 else None
