# SPDX-License-Identifier: Apache-2.0
"""MarketTick.java: methods over the bytes of a message, where they lie.

Besides a class of each message one with the description of all, MarketTickTypes, which
has the constants, the enums and the structs that messages hold.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from .description import describe, fnv1a, text_of
from .model import Enum, Field, Scalar, Schema, SchemaError, Struct, Type
from .names import camel, check_flat, first_line, first_of_each, flat, free, stem

KEYWORDS = {
    *("abstract", "assert", "boolean", "break", "byte", "case", "catch", "char"),
    *("class", "const", "continue", "default", "do", "double", "else", "enum"),
    *("extends", "final", "finally", "float", "for", "goto", "if", "implements"),
    *("import", "instanceof", "int", "interface", "long", "native", "new", "package"),
    *("private", "protected", "public", "return", "short", "static", "strictfp"),
    *("super", "switch", "synchronized", "this", "throw", "throws", "transient"),
    *("try", "void", "volatile", "while", "_", "true", "false", "null"),
}
OWN = {
    *("clone", "equals", "finalize", "getClass", "hashCode", "notify", "notifyAll"),
    *("toString", "wait", "wrap", "of", "name"),
}
"""Methods that each class has."""
SAID = {"String", "IllegalArgumentException", "Short", "Integer", "Long", "java"}
"""Classes, and the package, that the files mention by these names."""
WIDE = {"u8": "int", "u16": "int", "u32": "long", "u64": "long"}
WIDE |= {"i8": "byte", "i16": "short", "i32": "int", "i64": "long"}
WIDE |= {"f32": "float", "f64": "double", "bool": "boolean", "char": "byte"}
GETTERS = {
    1: ("", "byte"),
    2: ("Short", "short"),
    4: ("Int", "int"),
    8: ("Long", "long"),
}
BOXES = {2: "Short", 4: "Integer", 8: "Long"}
MAX_LITERAL = 60000
"""A constant of Java has 65,535 bytes at most, which a description may exceed."""
ORDER = f"java.nio.ByteOrder.{sys.byteorder.upper()}_ENDIAN"


class Classes:
    """What the classes of structs are called from each other."""

    def __init__(self, schema: Schema) -> None:
        self.holder = camel(stem(schema)) + "Types"
        self._messages = {struct.name for struct in schema.messages.values()}

    def of(self, struct: Struct) -> str:
        """Return the name of a struct's class."""
        name = ident(flat(struct))
        return name if struct.name in self._messages else f"{self.holder}.{name}"


def write(schema: Schema) -> dict[str, str]:
    """Return the names and texts of the files."""
    classes = Classes(schema)
    check_flat(schema, SAID | {classes.holder})
    files = {classes.holder: holder_lines(schema, classes)}
    for type_id, struct in schema.messages.items():
        files[ident(flat(struct))] = struct_lines(struct, classes, type_id)
    lower = {name.lower() for name in files}
    if len(lower) != len(files):
        raise SchemaError(
            f"{schema.header}: two messages differ only in capitals, which Java's "
            "files cannot on every file system; rename one"
        )
    head = f"// {first_line(schema)}\n"
    if schema.package:
        head += f"package {schema.package};\n\n"
    return {
        f"{name}.java": head + "\n".join(lines) + "\n" for name, lines in files.items()
    }


def ident(name: str, taken: set[str] | None = None) -> str:
    """Return what Java calls a name of C."""
    return free(name + "_" if name in KEYWORDS else name, taken or set())


def literal(text: str) -> str:
    """Spell a text of several lines."""
    lines = text.splitlines()
    groups: list[list[str]] = [[]]
    for line in lines:
        if sum(map(len, groups[-1])) + len(groups[-1]) > MAX_LITERAL:
            groups.append([])
        groups[-1].append(f'"{line}\\n"')
    joined = [" + ".join(group) for group in groups]
    return joined[0] if len(joined) == 1 else f'String.join("", {", ".join(joined)})'


def integer(value: int) -> str:
    """Spell a constant."""
    if -(1 << 31) <= value < 1 << 31:
        return f"int {{}} = {value}"
    return f"long {{}} = {value - (1 << 64) if value >= 1 << 63 else value}L"


def indented(lines: Iterator[str]) -> Iterator[str]:
    """Indent the lines of an inner class."""
    return (f"    {line}" if line else "" for line in lines)


def holder_lines(schema: Schema, classes: Classes) -> Iterator[str]:
    """Go through the lines of the class that is no message."""
    text, taken = describe(schema), {"TYPES", "FINGERPRINT", "java"}
    holder = classes.holder
    yield f"/** The messages of {schema.header}. */"
    yield f"public final class {holder} {{"
    yield "    /** The description of all messages. */"
    yield f"    public static final String TYPES = {literal(text)};"
    yield "    /** FNV-1a 64 of TYPES. */"
    yield f"    public static final long FINGERPRINT = {fnv1a(text.encode()):#x}L;"
    for name, value in schema.constants.items():
        declared = integer(value).format(ident(name, taken))
        yield f"    public static final {declared};"
    yield f"\n    private {holder}() {{}}"
    yield CHECKED
    for enum in schema.enums:
        yield from indented(enum_lines(enum))
    for kind in schema.types():
        if isinstance(kind, Struct) and kind not in schema.messages.values():
            yield from indented(struct_lines(kind, classes, None))
    yield "}"


CHECKED = """
    static long checked(String field, long value, long max) {
        if (value < 0 || value > max) {
            throw new IllegalArgumentException(
                    field + " takes 0 to " + max + ", not " + value);
        }
        return value;
    }
"""


def enum_lines(enum: Enum) -> Iterator[str]:
    """Go through the lines of an enum, whose values are those of its integer."""
    kind = WIDE[enum.kind.name]
    yield f"/** {enum.name}; a peer may send any value. */"
    yield f"public static final class {ident(flat(enum))} {{"
    for member, value in enum.members:
        cast = f"({kind}) " if kind in ("byte", "short") else ""
        number = f"{value - (1 << 64) if value >= 1 << 63 else value}"
        number += "L" if kind == "long" else ""
        yield f"    public static final {kind} {ident(member)} = {cast}{number};"
    yield ""
    yield f"    private {ident(flat(enum))}() {{}}"
    yield ""
    yield "    /** The name of a value, null for one that the header does not have. */"
    yield f"    public static String name({kind} value) {{"
    for member, _ in first_of_each(enum):
        yield f'        if (value == {ident(member)}) return "{member}";'
    yield "        return null;"
    yield "    }"
    yield "}"
    yield ""


def struct_lines(
    struct: Struct, classes: Classes, type_id: int | None
) -> Iterator[str]:
    """Go through the lines of a message, or of a struct that messages hold."""
    name = ident(flat(struct))
    static = "static " if type_id is None else ""
    what = "Part of a message" if type_id is None else f"Message {type_id}"
    wrong = f"size {'<' if struct.grows else '!='} SMALLEST"
    yield f"/** {what}, {struct.size} bytes; one object serves for many. */"
    yield f"public {static}final class {name} {{"
    if type_id is not None:
        signed = type_id - (1 << 32) if type_id >> 31 else type_id
        yield f"    public static final int TYPE_ID = {signed};"
        yield "    /** The description of this message alone. */"
        yield "    public static final String TYPES = "
        yield f"            {literal(text_of({type_id: struct}))};"
    yield f"    public static final int SIZE = {struct.size};"
    yield "    /** Bytes of the smallest one that there may be. */"
    yield f"    public static final int SMALLEST = {struct.smallest};"
    yield "    private java.nio.ByteBuffer buffer;"
    yield "    private int at, size;"
    yield ""
    yield "    /** Use the bytes from a buffer's position to its limit. */"
    yield f"    public {name} wrap(java.nio.ByteBuffer payload) {{"
    yield "        size = payload.remaining();"
    yield f"        if ({wrong}) {{"
    yield "            throw new IllegalArgumentException("
    yield f'                    "{struct.name} has " + SIZE + " bytes, not " + size);'
    yield "        }"
    yield f"        buffer = payload.order() == {ORDER}"
    yield f"                ? payload : payload.duplicate().order({ORDER});"
    yield "        at = payload.position();"
    yield "        return this;"
    yield "    }"
    if type_id is not None:
        yield ""
        yield "    /** What a payload is, null unless it is one of these. */"
        yield f"    public static {name} of(java.nio.ByteBuffer payload, int typeId) {{"
        yield "        int size = payload.remaining();"
        yield f"        return typeId != TYPE_ID || {wrong} ? null"
        yield f"                : new {name}().wrap(payload);"
        yield "    }"
    used = OWN | {
        f"{ident(field.name, OWN)}Text" for field in struct.fields if is_text(field)
    }
    for field in struct.fields:
        for each in (field.name, *field.aliases):
            accessor = ident(each, used)
            used.add(accessor)
            yield ""
            yield from indented(
                methods(f"{struct.name}.{each}", accessor, field, classes)
            )
    yield "}"
    yield ""


def is_text(field: Field) -> bool:
    """Tell whether there is a method for it without the zeros at its end, too."""
    return field.type.name == "char" and len(field.shape) == 1


def methods(label: str, name: str, field: Field, classes: Classes) -> Iterator[str]:
    """Go through the methods of a field: what gets it, and what sets it."""
    kind, place = field.type, f"at + {field.offset}"
    if kind.name in ("char", "u8") and len(field.shape) == 1:
        yield from byte_methods(label, name, field)
        return
    indices = [f"i{n}" for n in range(len(field.shape))]
    arguments = ", ".join(f"int {index}" for index in indices)
    size = field.size
    for index, length in zip(indices, field.shape, strict=True):
        size //= length
        place += f" + java.util.Objects.checkIndex({index}, {length}) * {size}"
    result = java_type(kind, classes)
    late = field.since > 1
    yield f"public {result} {name}({arguments}) {{"
    if isinstance(kind, Struct):
        yield f"    java.nio.ByteBuffer part = {part(kind, place, field)};"
        yield f"    return new {result}().wrap(part);"
        yield "}"
        return
    if late:
        nothing = "false" if kind.name == "bool" else "0"
        yield f"    if (size < {field.end}) return {nothing};"
    yield f"    return {get(kind, place)};"
    yield "}\n"
    arguments += ", " if arguments else ""
    yield f"public void {name}({arguments}{result} value) {{"
    yield f"    {put(kind, place, label, classes)};"
    yield "}"


def part(kind: Struct, place: str, field: Field) -> str:
    """Return a buffer of a struct that a message holds."""
    there = f"buffer.slice({place}, {kind.size}).order({ORDER})"
    if field.since == 1:
        return there
    return f"size < {field.end} ? java.nio.ByteBuffer.allocate({kind.size}) : {there}"


def byte_methods(label: str, name: str, field: Field) -> Iterator[str]:
    """Go through the methods of an array of bytes, or of text filled up with zeros."""
    yield f"public byte[] {name}() {{"
    yield f"    byte[] value = new byte[{field.size}];"
    late = f"if (size >= {field.end}) " if field.since > 1 else ""
    yield f"    {late}buffer.get({f'at + {field.offset}'}, value);"
    yield "    return value;"
    yield "}\n"
    yield "/** Fills it up with zeros. */"
    yield f"public void {name}(byte[] value) {{"
    yield f"    if (value.length > {field.size}) {{"
    yield "        throw new IllegalArgumentException("
    yield f'                "{label} has {field.size} bytes, not " + value.length);'
    yield "    }"
    yield f"    byte[] filled = java.util.Arrays.copyOf(value, {field.size});"
    yield f"    buffer.put(at + {field.offset}, filled);"
    yield "}"
    if is_text(field):
        charset = "java.nio.charset.StandardCharsets.UTF_8"
        yield ""
        yield f"/** {name} without the zeros at its end. */"
        yield f"public String {name}Text() {{"
        yield f"    byte[] value = {name}();"
        yield "    int length = value.length;"
        yield "    while (length > 0 && value[length - 1] == 0) length--;"
        yield f"    return new String(value, 0, length, {charset});"
        yield "}\n"
        yield f"public void {name}(String value) {{"
        yield f"    {name}(value.getBytes({charset}));"
        yield "}"


def java_type(kind: Type, classes: Classes) -> str:
    """Return what Java calls a type; enums are the integers that they are."""
    if isinstance(kind, Struct):
        return classes.of(kind)
    scalar = kind.kind if isinstance(kind, Enum) else kind
    return WIDE[scalar.name.removesuffix("be")]


def get(kind: Enum | Scalar, place: str) -> str:
    """Return an expression for the value at a place."""
    scalar = kind.kind if isinstance(kind, Enum) else kind
    name = scalar.name.removesuffix("be")
    if name in ("f32", "f64"):
        return f"buffer.get{WIDE[name].capitalize()}({place})"
    raw = f"buffer.get{GETTERS[scalar.size][0]}({place})"
    if name != scalar.name and sys.byteorder == "little":
        raw = f"{BOXES[scalar.size]}.reverseBytes({raw})"
    if name == "bool":
        return f"{raw} != 0"
    mask = {"u8": "0xFF", "u16": "0xFFFF", "u32": "0xFFFFFFFFL"}.get(name)
    return f"{raw} & {mask}" if mask else raw


def put(kind: Enum | Scalar, place: str, label: str, classes: Classes) -> str:
    """Return a call that writes `value` at a place."""
    scalar = kind.kind if isinstance(kind, Enum) else kind
    name = scalar.name.removesuffix("be")
    if name in ("f32", "f64"):
        return f"buffer.put{WIDE[name].capitalize()}({place}, value)"
    suffix, narrow = GETTERS[scalar.size]
    value = "value"
    if name == "bool":
        value = "(byte) (value ? 1 : 0)"
    elif WIDE[name] != narrow:
        most = (1 << 8 * scalar.size) - 1
        value = f'({narrow}) {classes.holder}.checked("{label}", value, {most}L)'
    if name != scalar.name and sys.byteorder == "little":
        value = f"{BOXES[scalar.size]}.reverseBytes({value})"
    return f"buffer.put{suffix}({place}, {value})"
