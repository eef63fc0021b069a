# SPDX-License-Identifier: Apache-2.0
"""Reads the structs of a C header.

Sizes and offsets are those that clang gives the header for this machine.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from .description import fnv1a
from .libclang import (
    Cursor,
    Kind,
    enum_kind,
    enumerators,
    files_of,
    integer,
    is_anonymous,
    item_of,
    kind_of,
    notes_on,
    offset_of,
    parse,
    scalar,
    spelling,
    tag,
    type_text,
    where,
)
from .model import IDENTIFIER, Enum, Field, Schema, SchemaError, Struct, Type
from .rules import check_message, check_name, check_type_name, check_types
from .versions import check_versions

GROWS = "tachyon:extensible"
HELD = ", which no message can hold: "
OWN_WAY_OUT = {
    "wchar_t": "whose sign differs from machine to machine; use int32_t or uint32_t",
    "long double": "whose format differs from machine to machine; use double",
}
ANY_WAY_OUT = "which not every language has; use an integer or a float of fixed size"


def read(
    header: str | os.PathLike[str],
    types: dict[str, int],
    *,
    include_dirs: Sequence[str | os.PathLike[str]] = (),
    includes: Sequence[str] = (),
    defines: Sequence[str] = (),
) -> Schema:
    """Read the messages of a header.

    types: the type_id of each struct that is a message, by the name of its typedef or
        its tag.
    include_dirs, includes, defines: as -I, -include and -D of a compiler.
    """
    return Header(header, include_dirs, includes, defines).schema(types)


class Header:
    """A parsed header, from which structs are read by name."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        include_dirs: Sequence[str | os.PathLike[str]] = (),
        includes: Sequence[str] = (),
        defines: Sequence[str] = (),
    ) -> None:
        self.path = Path(path)
        self.includes = tuple(includes)
        try:
            self.checksum = fnv1a(self.path.read_bytes())
        except OSError as error:
            raise SchemaError(f"{path}: {error.strerror}; give a C header") from None
        arguments = [f"-I{directory}" for directory in include_dirs]
        arguments += [f"-D{define}" for define in defines]
        arguments += [word for name in includes for word in ("-include", name)]
        self._unit = parse(self.path, arguments)
        self._types: dict[int, Enum | Struct] = {}  # by the hash of the declaration
        self._refused: dict[int, str] = {}
        self._names: dict[int, str] = {}
        self._declarations: dict[str, Any] = {}
        self._here: list[Any] = []  # what the header itself declares
        for cursor in self._unit.cursor.get_children():
            self._declare(cursor)
        # Only now, since a typedef may come after the struct that it names.
        for cursor in self._here:
            if cursor.kind == Cursor.STRUCT_DECL:
                self._declarations.setdefault(self._name(cursor), cursor)

    def _declare(self, cursor: Any) -> None:
        if cursor.kind == Cursor.TYPEDEF_DECL:
            if GROWS in notes_on(cursor):
                raise SchemaError(
                    f"{where(cursor)}: TACHYON_MAY_GROW is of {cursor.spelling}, not "
                    "of its struct; write it after the word: struct TACHYON_MAY_GROW"
                )
            inner = cursor.underlying_typedef_type.get_canonical().get_declaration()
            if inner.kind in (Cursor.STRUCT_DECL, Cursor.ENUM_DECL, Cursor.UNION_DECL):
                self._names.setdefault(inner.hash, cursor.spelling)
                self._declarations[cursor.spelling] = inner
        elif cursor.kind == Cursor.STRUCT_DECL and cursor.spelling:
            self._declarations.setdefault(cursor.spelling, cursor)
        file = cursor.location.file
        if file is not None and file.name == str(self.path):
            self._here.append(cursor)

    # ---- What is asked for ----

    def schema(self, types: dict[str, int]) -> Schema:
        """Read the messages that are given with their type_ids."""
        messages: dict[int, Struct] = {}
        given: dict[int, str] = {}
        for name, type_id in sorted(types.items(), key=lambda item: item[1]):
            if not 0 <= type_id <= 0xFFFFFFFF:
                raise SchemaError(
                    f"the type_id of {name} is {type_id}; give 0 to 4294967295"
                )
            if type_id in messages:
                raise SchemaError(
                    f"{given[type_id]} and {name} both have the type_id {type_id}; "
                    "give each its own"
                )
            struct = self.struct(name)
            if any(struct is other for other in messages.values()):
                raise SchemaError(f"{struct.name} is given twice; give it one type_id")
            check_message(struct)
            messages[type_id], given[type_id] = struct, name
        if not messages:
            raise SchemaError(f"{self.path.name}: no message; give --types NAME=ID")
        schema = Schema(
            self.path.name,
            self.checksum,
            messages,
            includes=self.includes,
            depends=tuple(files_of(self._unit)),
        )
        check_types(schema, self.path.name)
        schema.constants = dict(self._constants())
        schema.enums = self._enums(schema)
        return schema

    def names(self) -> list[str]:
        """Return the names of the structs that the header itself defines."""
        return [
            name
            for name in dict.fromkeys(
                self._name(cursor)
                for cursor in self._here
                if cursor.kind == Cursor.STRUCT_DECL and cursor.is_definition()
            )
            if name
        ]

    def struct(self, name: str) -> Struct:
        """Read a struct; SchemaError with a reason if it can be no message."""
        cursor = self._declarations.get(name.removeprefix("struct "))
        if cursor is None:
            raise SchemaError(self._unknown(name))
        kind = cursor.get_definition()
        if kind is None:
            raise SchemaError(
                f"{where(cursor)}: struct {name} is declared, but not defined; include "
                "the header that defines it"
            )
        if kind.kind != Cursor.STRUCT_DECL:
            what = "union" if kind.kind == Cursor.UNION_DECL else "enum"
            raise SchemaError(
                f"{where(kind)}: {name} is of kind {what}; a message is a struct"
            )
        return self._struct(kind)

    def _unknown(self, name: str) -> str:
        names = self.names()
        near = difflib.get_close_matches(name, names, 1)
        hint = f"; is it {near[0]}?" if near else f"; it has {', '.join(names[:10])}"
        return f"{self.path.name}: there is no struct {name}{hint if names else ''}"

    # ---- Structs ----

    def _struct(self, cursor: Any) -> Struct:
        """Read a definition once; a second question gets the same answer."""
        key = cursor.hash
        if key in self._refused:
            raise SchemaError(self._refused[key])
        known = self._types.get(key)
        if known is None:
            try:
                known = self._types[key] = self._new_struct(cursor)
            except SchemaError as error:
                self._refused[key] = str(error)
                raise
        assert isinstance(known, Struct)
        return known

    def _new_struct(self, cursor: Any) -> Struct:
        name = self._name(cursor)
        check_type_name(where(cursor), name)
        struct = Struct(
            name=name,
            spelling=spelling(cursor),
            where=where(cursor),
            size=cursor.type.get_size(),
            align=cursor.type.get_align(),
            fields=list(self._fields(cursor, name, 0)),
            grows=GROWS in notes_on(cursor),
        )
        if not struct.fields:
            raise SchemaError(
                f"{struct.where}: {name} has no field; a message without content needs "
                "no type, send b''"
            )
        check_versions(struct)
        return struct

    def _fields(self, record: Any, name: str, base: int) -> Iterator[Field]:
        """Go through the fields of a struct or an anonymous one in it.

        base: where the record begins in the struct that is called `name`.
        """
        for cursor in record.type.get_fields():
            plain = not is_anonymous(cursor)
            label = f"{name}.{cursor.spelling if plain else '(unnamed)'}"
            if cursor.is_bitfield():
                raise SchemaError(
                    f"{where(cursor)}: {label} is a bit-field of "
                    f"{cursor.get_bitfield_width()} bits, whose place is the compiler's"
                    " choice; use a whole integer and masks"
                )
            offset = base + offset_of(record, cursor, plain, label)
            if plain:
                yield self._field(cursor, label, offset)
                continue
            inner = cursor.type.get_canonical().get_declaration()
            if inner.kind == Cursor.UNION_DECL:
                members = iter([self._union(cursor, inner, name, offset)])
            else:
                members = self._fields(inner, name, offset)
            since = since_of(cursor, label)
            for member in members:
                member.since = max(member.since, since)
                yield member

    def _union(self, cursor: Any, union: Any, name: str, offset: int) -> Field:
        """Read an anonymous union as its first member, if all are alike."""
        members = list(union.type.get_fields())
        plain = not any(is_anonymous(m) or m.is_bitfield() for m in members)
        fields = [
            self._field(member, f"{name}.{member.spelling}", offset)
            for member in (members if plain else ())
        ]
        if len({(field.type.name, field.shape) for field in fields}) != 1:
            raise SchemaError(f"{where(cursor)}: {name} has {self._union_text(union)}")
        fields[0].aliases = tuple(field.name for field in fields[1:])
        return fields[0]

    def _union_text(self, union: Any) -> str:
        members = ", ".join(
            "one without a name"
            if is_anonymous(member)
            else f"{member.spelling} ({type_text(member)})"
            for member in union.type.get_fields()
        )
        return (
            f"a union of {members}; nothing says which member is meant; use one message"
            " type for each"
        )

    def _field(self, cursor: Any, label: str, offset: int) -> Field:
        check_name(where(cursor), cursor.spelling)
        kind, shape = self._type(cursor, label)
        since = since_of(cursor, label)
        align = cursor.type.get_align()
        return Field(cursor.spelling, kind, shape, offset, align, since)

    # ---- Types of fields ----

    def _type(self, cursor: Any, label: str) -> tuple[Type, tuple[int, ...]]:
        """Return the type of an item of a field, and the dimensions of the field."""
        typedef, kind, shape = item_of(cursor.type)
        what = kind_of(kind)
        if what == Kind.INCOMPLETEARRAY:
            raise refusal(
                *(cursor, label, "is an array without a length; what follows a"),
                "message's fixed part is sent as bytes of its own",
            )
        if 0 in shape:
            raise refusal(
                *(cursor, label, "is an array without items, an old way to write one"),
                "without a length; what follows a message's fixed part is sent as",
                "bytes of its own",
            )
        found = scalar(typedef, kind)
        if found:
            return found, shape
        if what == Kind.ENUM:
            return self._enum(kind.get_declaration(), label), shape
        if what == Kind.RECORD:
            return self._record(cursor, kind.get_declaration(), label), shape
        if what == Kind.POINTER:
            raise refusal(
                *(cursor, label, f"is a pointer ({kind.spelling}), which means"),
                "nothing in another process; put the value itself here, or an index",
            )
        name = typedef or kind.spelling
        way_out = OWN_WAY_OUT.get(name, ANY_WAY_OUT)
        raise refusal(cursor, label, f"is of type {name}, {way_out}")

    def _record(self, cursor: Any, record: Any, label: str) -> Struct:
        if record.kind == Cursor.UNION_DECL:
            raise refusal(cursor, label, f"is {self._union_text(record)}")
        if not self._name(record):
            self._names[record.hash] = label
        try:
            return self._struct(record)
        except SchemaError as error:
            if not tag(record) and self._name(record) == label:
                raise  # a part of this struct: the reason is enough
            reason = str(error).rpartition(HELD)[2]
            text = f"holds {self._name(record)}{HELD}{reason}"
            raise refusal(cursor, label, text) from None

    def _enum(self, cursor: Any, label: str = "") -> Enum:
        known = self._types.get(cursor.hash)
        if known is None:
            name = self._name(cursor) or label
            check_type_name(where(cursor), name)
            kind = enum_kind(cursor)
            if kind is None:
                raise SchemaError(
                    f"{where(cursor)}: {name} is an enum of bool; use bool itself"
                )
            members = list(enumerators(cursor))
            for member, _ in members:
                check_name(where(cursor), member)
            known = self._types[cursor.hash] = Enum(name, kind, members)
        assert isinstance(known, Enum)
        return known

    def _name(self, cursor: Any) -> str:
        """Name a struct or enum: the first typedef, else the tag, else ""."""
        name: str = self._names.get(cursor.hash) or tag(cursor)
        return name

    # ---- What else the header has ----

    def _constants(self) -> Iterator[tuple[str, int]]:
        """Go through macros that are an integer, and enumerators without an enum."""
        for cursor in self._here:
            if cursor.kind == Cursor.MACRO_DEFINITION:
                value = integer([token.spelling for token in cursor.get_tokens()][1:])
                if value is not None and IDENTIFIER.fullmatch(cursor.spelling):
                    yield cursor.spelling, value
            elif (
                cursor.kind == Cursor.ENUM_DECL
                and not self._name(cursor)
                and cursor.hash not in self._types
            ):
                yield from enumerators(cursor)

    def _enums(self, schema: Schema) -> list[Enum]:
        """Return the enums of the messages, and then those of the header."""
        enums = {kind.name: kind for kind in schema.types() if isinstance(kind, Enum)}
        structs = {kind.name for kind in schema.types() if isinstance(kind, Struct)}
        for cursor in self._here:
            if cursor.kind == Cursor.ENUM_DECL and cursor.is_definition():
                name = self._name(cursor)
                if name and name not in structs:
                    enums.setdefault(name, self._enum(cursor))
        return list(enums.values())


def refusal(cursor: Any, label: str, *text: str) -> SchemaError:
    """Say where a field is, and why it can be in no message."""
    return SchemaError(f"{where(cursor)}: {label} {' '.join(text)}")


def since_of(cursor: Any, label: str) -> int:
    """Return the version that has a member first.

    Behind the brace of a struct without a name the note is the struct's.
    """
    since = 1
    inner = cursor.type.get_canonical().get_declaration()
    for note in notes_on(cursor) + ([] if tag(inner) else notes_on(inner)):
        version = re.fullmatch(r"tachyon:since=(.*)", note)
        if version and not re.fullmatch("[1-9][0-9]{0,8}", version[1]):
            raise refusal(
                *(cursor, label, f"is TACHYON_SINCE({version[1]}); give the number of"),
                "a version, 1 or more",
            )
        if version:
            since = int(version[1])
    return since


def by_name(words: Iterable[str]) -> dict[str, int]:
    """Read NAME=ID words; SchemaError for what is none, or comes twice."""
    types: dict[str, int] = {}
    for word in words:
        name, equals, number = word.partition("=")
        try:
            type_id = int(number, 0)
        except ValueError:
            type_id = -1
        if not (name and equals) or type_id < 0:
            raise SchemaError(f"{word!r} is no type; give NAME=ID, as in MarketTick=1")
        if name in types:
            raise SchemaError(f"{name} is given twice; give it one type_id")
        types[name] = type_id
    return types
