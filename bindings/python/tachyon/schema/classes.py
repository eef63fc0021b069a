# SPDX-License-Identifier: Apache-2.0
"""Messages from classes: what a header says by structs, said by annotations.

Sizes and offsets are those that C gives the same struct.
"""

from __future__ import annotations

import enum
import inspect
import keyword
import operator
import sys
import typing
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import Any
from weakref import WeakKeyDictionary

from ..kinds import Kind, Since
from .description import fnv1a, text_of
from .model import SCALARS, Enum, Field, Scalar, Schema, SchemaError, Struct, Type
from .rules import check_message, check_name, check_type_name, check_types
from .versions import check_versions

C_KEYWORDS = {
    *("alignas", "alignof", "asm", "auto", "bool", "break", "case", "char", "const"),
    *("constexpr", "continue", "default", "do", "double", "else", "enum", "extern"),
    *("false", "float", "for", "goto", "if", "inline", "int", "long", "nullptr"),
    *("register", "restrict", "return", "short", "signed", "sizeof", "static"),
    *("static_assert", "struct", "switch", "thread_local", "true", "typedef", "typeof"),
    *("typeof_unqual", "union", "unsigned", "void", "volatile", "while"),
    *("linux", "unix"),
}
"""What C, GNU's or of 2023, takes for itself."""
HINTS: dict[Any, str] = {
    int: "an int has no size; use tachyon.i64, tachyon.u32, ...",
    float: "use tachyon.f64 or tachyon.f32",
    bytes: "give the length: tachyon.char[8] for text, tachyon.u8[8] for bytes",
    str: "give the length in bytes: tachyon.char[8]",
}

_known: WeakKeyDictionary[type, Enum | Struct] = WeakKeyDictionary()
_type_ids: WeakKeyDictionary[type, int] = WeakKeyDictionary()
_open: set[type] = set()  # those that are being read


class Declared:
    """What the body of a message's class says.

    types, smallest, enums: its description, the bytes of its first version, and its
        enums by their names in C.
    namespace: what the body has beside that.
    """

    def __init__(
        self,
        name: str,
        namespace: dict[str, Any],
        type_id: int,
        may_grow: bool,
        packed: bool,
    ) -> None:
        """Read a body.

        may_grow, packed: as TACHYON_MAY_GROW and __attribute__((packed)) of a header.

        Raises SchemaError for what can be no message, with the class, the field and a
        way out.
        """
        body = {key: namespace[key] for key in namespace if key != "__classcell__"}
        plain = type(name, (), body)
        self._type_id = checked_type_id(plain, type_id)
        self._struct = _struct(plain, may_grow, packed)
        check_message(self._struct)
        self.is_of(plain)
        schema = schema_of([plain], name)
        held = {id(kind) for kind in schema.enums}
        self.types = text_of(schema.messages)
        self.smallest = self._struct.smallest
        self.enums = {
            kind.name: cls for cls, kind in _known.items() if id(kind) in held
        }
        self.namespace = {
            key: value for key, value in namespace.items() if type(value) is not Since
        }

    def is_of(self, cls: type) -> None:
        """Remember the class that was made of it."""
        _known[cls] = self._struct
        _type_ids[cls] = self._type_id


def checked_type_id(cls: type, type_id: Any) -> int:
    """Return a type_id, if it is one."""
    number = operator.index(type_id)
    if not 0 <= number <= 0xFFFFFFFF:
        raise SchemaError(
            f"the type_id of {label_of(cls)} is {number}; give 0 to 4294967295"
        )
    return number


def schema_of(classes: Iterable[type], name: str) -> Schema:
    """Make a schema of the messages of several classes.

    name: of the header, without its suffix.
    """
    messages: dict[int, Struct] = {}
    for cls in classes:
        struct, type_id = _known.get(cls), _type_ids.get(cls)
        if not isinstance(struct, Struct) or type_id is None:
            raise SchemaError(
                f"{label_of(cls)} is no message that is written as a class, with a "
                "type_id, and fields as in `price: tachyon.f64`"
            )
        other = messages.setdefault(type_id, struct)
        if other is not struct:
            raise SchemaError(
                f"{other.where} and {struct.where} both have the type_id {type_id}; "
                "give each its own"
            )
    schema = Schema(f"{name}.h", 0, dict(sorted(messages.items())))
    check_types(schema, name)
    check_enumerators(schema)
    schema.checksum = fnv1a(text_of(schema.messages).encode())
    schema.enums = [kind for kind in schema.types() if isinstance(kind, Enum)]
    return schema


def check_enumerators(schema: Schema) -> None:
    """Refuse names of enumerators that are one in C, but Python has in each class."""
    owners: dict[str, str] = {}
    for kind in schema.types():
        if isinstance(kind, Struct):
            owners.setdefault(kind.name, "")
    for kind in schema.types():
        if not isinstance(kind, Enum):
            continue
        for name, _ in kind.members:
            owner = owners.setdefault(name, kind.name)
            if owner != kind.name:
                other = f"a member of {owner}, too" if owner else "a struct, too"
                raise SchemaError(
                    f"{kind.name}.{name} is {other}, and C has one name for both; "
                    f"rename it, as in {kind.name.upper()}_{name}"
                )


# ---- Structs ----


def _struct(cls: type, grows: bool, packed: bool) -> Struct:
    where = label_of(cls)
    check_type_name(where, cls.__name__)
    check_c_name(where, cls.__name__)
    for base in cls.__mro__[1:]:
        if fields_of(base):
            raise SchemaError(
                f"{where} is derived from {label_of(base)}, whose fields it would not "
                "have; name all fields in the class itself"
            )
    struct = Struct(cls.__name__, cls.__name__, where, 0, 1, [], grows, packed)
    _open.add(cls)
    try:
        for name, annotation in fields_of(cls).items():
            field = _field(cls, struct, name, annotation)
            struct.align = max(struct.align, field.align)
            struct.fields.append(field)
            struct.size = field.end
    finally:
        _open.discard(cls)
    if not struct.fields:
        raise SchemaError(
            f"{where} has no field; give it some, as in `price: tachyon.f64`; a "
            "message without content needs no type, send b''"
        )
    struct.size += -struct.size % struct.align
    check_versions(struct)
    return struct


def _field(cls: type, struct: Struct, attribute: str, annotation: Any) -> Field:
    where = f"{struct.where}.{attribute}"
    bare = attribute.removesuffix("_")
    name = bare if keyword.iskeyword(bare) else attribute  # class_ is C's class
    check_name(where, name)
    check_c_name(where, name)
    kind, shape = _type(cls, annotation, where)
    align = 1 if struct.packed else kind.align
    offset = struct.size + -struct.size % align
    version = vars(cls).get(attribute)
    if not (version is None or isinstance(version, Since)):
        raise SchemaError(
            f"{where} has the value {version!r:.60}; a field has none but "
            "tachyon.since(version): what is left out of a message is zero"
        )
    return Field(name, kind, shape, offset, align, version.version if version else 1)


def _type(cls: type, annotation: Any, where: str) -> tuple[Type, tuple[int, ...]]:
    kind: Any = annotation
    shape: tuple[int, ...] = ()
    if isinstance(annotation, Kind):
        kind, shape = annotation.type, annotation.shape
    if isinstance(kind, str):
        return SCALARS[kind], shape
    if kind is bool:
        return SCALARS["bool"], shape
    if not isinstance(kind, type):
        raise unfit(where, annotation)
    if issubclass(kind, enum.IntEnum):
        return _known.get(kind) or _known.setdefault(kind, _enum(kind)), shape
    if kind in _open:
        raise SchemaError(f"{where}: a {kind.__name__} cannot hold another one")
    if kind in HINTS or not annotations_of(kind):
        raise unfit(where, annotation)
    part = _known.get(kind) or _known.setdefault(kind, _struct(kind, False, False))
    return part, shape


def unfit(where: str, annotation: Any) -> SchemaError:
    """Say that an annotation is no kind of field, and what is."""
    hint = "use one of tachyon's, bool, an IntEnum, or a class with such fields"
    if isinstance(annotation, type):
        hint = HINTS.get(annotation, hint)
    return SchemaError(
        f"{where} is of type {annotation!r:.80}, no kind of field; {hint}"
    )


def _enum(cls: type[enum.IntEnum]) -> Enum:
    where = label_of(cls)
    check_type_name(where, cls.__name__)
    check_c_name(where, cls.__name__)
    members = [(name, int(each)) for name, each in cls.__members__.items()]
    for name, _ in members:
        check_name(where, name)
        check_c_name(where, name)
    if not members:
        raise SchemaError(f"{where} has no member; C has no such enum")
    return Enum(
        cls.__name__, holder_of([value for _, value in members], where), members
    )


def holder_of(values: list[int], where: str) -> Scalar:
    """Return the integer that C holds these enumerators by."""
    least, most = min(values), max(values)
    for bits in (32, 64):
        if least >= 0 and most < 1 << bits:
            return SCALARS[f"u{bits}"]
        if -1 << (bits - 1) <= least < 0 and most < 1 << (bits - 1):
            return SCALARS[f"i{bits}"]
    raise SchemaError(
        f"{where} has values from {least} to {most}, which no integer of 64 bits has"
    )


# ---- Names and annotations ----


def label_of(cls: type) -> str:
    """Say where a class is, as errors have it."""
    return f"{cls.__module__}.{cls.__qualname__}"


def check_c_name(where: str, name: str) -> None:
    """Refuse a name that C, which has to read it as well, takes for itself."""
    if name in C_KEYWORDS:
        raise SchemaError(f"{where}: {name} is a word of C; use another name")


def annotations_of(cls: type) -> dict[str, Any]:
    """Return the annotations of a class itself, those that are texts evaluated."""
    found = inspect.get_annotations(cls)
    return {name: evaluated(cls, name, each) for name, each in found.items()}


def fields_of(cls: type) -> dict[str, Any]:
    """Return those annotations that are of fields."""
    return {
        name: each
        for name, each in annotations_of(cls).items()
        if typing.get_origin(each) is not typing.ClassVar
    }


def evaluated(cls: type, name: str, annotation: Any) -> Any:
    """Evaluate an annotation that is a text, where the class is defined."""
    if not isinstance(annotation, str):
        return annotation
    names = vars(sys.modules.get(cls.__module__, typing))
    last: Exception | None = None
    for scope in scopes(names):
        try:
            return eval(annotation, names, scope)
        except Exception as error:
            last = last or error
    raise SchemaError(
        f"{label_of(cls)}.{name}: {annotation!r:.80} means nothing here: {last}"
    ) from last


def scopes(names: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Go through where a name may be: a module, then the functions that run in it."""
    yield {}
    frame: FrameType | None = sys._getframe()
    while frame:
        if frame.f_globals is names and frame.f_locals is not names:
            yield frame.f_locals
        frame = frame.f_back
