# SPDX-License-Identifier: Apache-2.0
"""Classes of messages with fields, made from a description.

docs/TYPED_MESSAGES.md has the format of that. The objects, and what runs for each of
them, are the generated Record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MethodType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from . import _native
from .message import Message
from .schema import classes
from .schema.description import fnv1a, parse
from .schema.model import Enum, Field, Scalar, SchemaError, Struct
from .schema.names import flat
from .schema.to_python import attribute, members_of

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from .layout import DType

Enums = Mapping[str, type[IntEnum]]
Parts = Mapping[str, "RecordClass"]

NUMPY = {"bool": "?", "char": "S1", "f32": "f4", "f64": "f8"}
MOST = 1 << 31  # bytes: no ring is larger
VERSIONS = 64  # whose dtypes are kept; a peer chooses the sizes


@dataclass
class About:
    """What a class knows of itself.

    struct: of its bytes.
    type_id, types: of a message, its number and its description.
    message: the class that a part was made for.
    parts: the classes of the structs in a message, by their names in C.
    dtypes: those that were made, by their size.
    """

    struct: Struct
    type_id: int = 0
    types: str = ""
    message: RecordClass | None = None
    parts: dict[str, RecordClass] = field(default_factory=dict)
    dtypes: dict[int, DType] = field(default_factory=dict)


F = TypeVar("F", bound=Callable[..., Any])


class BeforeFields:
    """A method of a metaclass that is found before a field of its name, as data is."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.__doc__ = function.__doc__

    def __get__(self, cls: Any, metaclass: Any = None) -> Any:
        return self._function if cls is None else MethodType(self._function, cls)

    def __set__(self, cls: Any, value: Any) -> None:
        raise AttributeError(f"cannot set {self._function.__name__}")


def before_fields(method: F) -> F:
    """Make a method one that no field hides."""
    return cast(F, BeforeFields(method))


class RecordClass(type):
    """The class of a struct's class: what it has that is no field."""

    __tachyon__: About
    is_of_messages = False

    def __new__(
        mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]
    ) -> Any:
        """Derive a class from that of a struct; it has the same fields."""
        if len(bases) != 1:
            raise TypeError(f"{name} can have no other base beside {bases[0].__name__}")
        return super().__new__(mcls, name, bases, {**namespace, "__slots__": ()})

    @property
    def size(cls) -> int:
        """Bytes of one."""
        return cls.__tachyon__.struct.size

    @property
    def dtype(cls) -> DType:
        """The layout as a NumPy dtype."""
        return dtype_of(cls, cls.size)

    @before_fields
    def from_bytes(cls, data: Buffer) -> Any:
        """Make one of a copy of its bytes; ValueError for more or less than it has.

        One that may grow takes more, and what less does not have is zero.
        """
        return _native.record_from(cls, data)


class MessageClass(RecordClass):
    """The class of a message's class."""

    is_of_messages = True

    @property
    def type_id(cls) -> int:
        """The type of its messages."""
        return cls.__tachyon__.type_id

    @property
    def types(cls) -> str:
        """Its description."""
        return cls.__tachyon__.types

    @before_fields
    def header(cls) -> str:
        """Return the C header of a message that is written as a class."""
        from .schema import to_header  # noqa: PLC0415

        (text,) = to_header.write(classes.schema_of([cls], cls.__name__)).values()
        return text

    @property
    def fingerprint(cls) -> int:
        """That of its description."""
        return fnv1a(cls.types.encode())


def message_class(
    name: str,
    bases: tuple[type, ...],
    namespace: dict[str, Any],
    *,
    type_id: int,
    types: str | None = None,
    smallest: int | None = None,
    enums: Enums | None = None,
    aliases: Mapping[str, str] | None = None,
    may_grow: bool = False,
    packed: bool = False,
) -> MessageClass:
    """Make the class of a message.

    type_id, types: its number and its description, which is of it alone; without that,
        its annotations are what it is described by.
    smallest: where it may grow, the bytes of its first version; else that of its size.
    enums: the classes of its enums by their names in C; where there is none, one is
        made.
    aliases: further attributes, and whose they are.
    may_grow, packed: what is said of a struct in C; without `types` only.

    Raises SchemaError for what is no description, TypeError for a class that cannot be.
    """
    if bases != (Message,):
        raise TypeError(f"{name} can have no other base than tachyon.Message")
    declared = None
    if types is None and (smallest is not None or enums or aliases):
        raise TypeError(
            f"smallest, enums and aliases go with `types`, which {name} lacks"
        )
    if types is None:
        declared = classes.Declared(name, namespace, type_id, may_grow, packed)
        namespace = declared.namespace
        types, smallest, enums = declared.types, declared.smallest, declared.enums
    elif may_grow or packed:
        raise TypeError(f"the description of {name} says whether it may grow")
    messages = parse(types)
    if list(messages) != [type_id]:
        raise SchemaError(
            f"the description of {name} has messages of the types {[*messages]}, not "
            f"one of {type_id}"
        )
    struct = messages[type_id]
    about = About(struct, type_id, types)
    namespace = {"type_id": type_id, **namespace}
    cls: MessageClass = new_class(MessageClass, name, namespace, about)
    define(cls, struct, kinds_of(cls, struct, enums or {}), smallest, aliases or {})
    if declared:
        declared.is_of(cls)
    return cls


def new_class(
    kind: type[RecordClass], name: str, namespace: dict[str, Any], about: About
) -> Any:
    """Make a class without fields yet."""
    names = {attribute(each.name) for each in about.struct.fields}
    taken = names & namespace.keys() - {"type_id"}
    if taken:
        raise TypeError(
            f"{name} has fields and attributes of one name: {', '.join(sorted(taken))}"
        )
    if len(names) < len(about.struct.fields):
        raise TypeError(f"{name} has two fields that Python calls the same")
    own = {
        "__slots__": (),
        "__tachyon__": about,
        "__match_args__": tuple(attribute(each.name) for each in about.struct.fields),
    }
    return type.__new__(kind, name, (_native.Record,), {**namespace, **own})


def define(
    cls: RecordClass,
    struct: Struct,
    kinds: Mapping[str, Any],
    smallest: int | None = None,
    aliases: Mapping[str, str] | None = None,
) -> None:
    """Give a class its fields, and `aliases` of them.

    kinds: the classes of enums and structs.
    """
    if not 0 < struct.size <= MOST:
        raise SchemaError(f"{struct.name} has {struct.size} bytes")
    least = struct.size if smallest is None else smallest
    type_id = cls.__tachyon__.type_id
    rows = tuple(row(cls, each, kinds, aliases or {}) for each in struct.fields)
    missing = {*(aliases or {}).values()} - {each[0] for each in rows}
    if missing:
        raise TypeError(f"{cls.__name__} has no fields {sorted(missing)}, of aliases")
    _native.define_record(cls, (struct.size, least, struct.grows, type_id), rows)


def row(
    cls: type, each: Field, kinds: Mapping[str, Any], aliases: Mapping[str, str]
) -> tuple[Any, ...]:
    """Return a field as C takes it."""
    name, kind, held = attribute(each.name), each.type.name, None
    if isinstance(each.type, Enum):
        kind, held = each.type.kind.name, kinds[kind]._value2member_map_
    elif isinstance(each.type, Struct):
        held = kinds[kind]
    elif kind == "u8" and len(each.shape) == 1:
        kind = "bytes"
    others = tuple(alias for alias, of in aliases.items() if of == name)
    title = f"{cls.__name__}.{name}"
    return (name, each.name, title, kind, each.shape, each.offset, held, others)


def kinds_of(cls: RecordClass, struct: Struct, enums: Enums) -> dict[str, Any]:
    """Return the classes of all that a message holds, by their names in C."""
    kinds: dict[str, Any] = {}

    def visit(inner: Struct) -> None:
        for kind in (each.type for each in inner.fields):
            if isinstance(kind, Scalar) or kind.name in kinds:
                continue
            if isinstance(kind, Enum):
                kinds[kind.name] = enums.get(kind.name) or enum_class(cls, kind)
            else:
                visit(kind)
                kinds[kind.name] = part_class(cls, kind, kinds)

    visit(struct)
    return kinds


def enum_class(cls: type, enum: Enum) -> type[IntEnum]:
    """Make the class of an enum that none was given for."""
    name, members = attribute(flat(enum)), members_of(enum)
    return IntEnum(name, members, module=cls.__module__)  # type: ignore[return-value]


def part_class(
    cls: RecordClass, struct: Struct, kinds: Mapping[str, Any]
) -> RecordClass:
    """Make the class of a struct in a message."""
    name = attribute(flat(struct))
    about = About(struct, message=cls)
    namespace = {"__module__": cls.__module__, "__doc__": f"A part of {cls.__name__}."}
    part: RecordClass = new_class(RecordClass, name, namespace, about)
    define(part, struct, kinds)
    cls.__tachyon__.parts[struct.name] = part
    return part


# ---- Pickling ----


def reduce(record: Any) -> tuple[Any, ...]:
    """Say what a record is made of; parts are found by the message that has them."""
    cls = type(record)
    about = cls.__tachyon__
    if about.message is None:
        return restore, (cls, "", bytes(record))
    return restore, (about.message, about.struct.name, bytes(record))


def restore(cls: RecordClass, part: str, data: bytes) -> Any:
    """Make what reduce() has said."""
    return _native.record_from(cls.__tachyon__.parts[part] if part else cls, data)


# ---- NumPy ----


def dtype_of(cls: RecordClass, size: int) -> DType:
    """Return the dtype of messages of a size, which may be of another version."""
    about = cls.__tachyon__
    if size not in about.dtypes:
        if len(about.dtypes) == VERSIONS:
            about.dtypes.clear()
        about.dtypes[size] = dtype_of_struct(about.struct, size)
    return about.dtypes[size]


def dtype_of_struct(struct: Struct, size: int) -> DType:
    """Make the dtype of those fields of a struct that are within a size."""
    import numpy as np  # noqa: PLC0415

    fields = [each for each in struct.fields if each.end <= size]
    return np.dtype(
        {
            "names": [attribute(each.name) for each in fields],
            "formats": [format_of(each) for each in fields],
            "offsets": [each.offset for each in fields],
            "itemsize": size,
        }
    )


def format_of(each: Field) -> Any:
    """Return the dtype of a field."""
    kind, shape = each.type, each.shape
    if isinstance(kind, Struct):
        return (dtype_of_struct(kind, kind.size), shape)
    name = kind.kind.name if isinstance(kind, Enum) else kind.name
    if name == "char" and shape:
        return (f"S{shape[-1]}", shape[:-1])
    if name.endswith("be"):
        return (f">u{kind.size}", shape)
    return (NUMPY.get(name) or f"{name[0]}{kind.size}", shape)
