# SPDX-License-Identifier: Apache-2.0
"""market_tick.rs: types that are sound for any bytes, and assertions of all offsets.

A peer chooses the bytes. So bool is `Bool`, an enum is an integer with constants, and
padding is spelt out as fields; then each type is plain old data, which the crate's
`plain!` checks: `bindings/rust/src/message.rs` has what all such files share.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .description import describe, fnv1a, text_of
from .model import Enum, Field, Scalar, Schema, Struct, Type
from .names import check_flat, first_line, first_of_each, flat, free, stem

KEYWORDS = {
    *("as", "async", "await", "become", "box", "break", "const"),
    *("continue", "do", "dyn", "else", "enum", "extern", "false"),
    *("final", "fn", "for", "gen", "if", "impl", "in"),
    *("let", "loop", "macro", "match", "mod", "move", "mut"),
    *("override", "priv", "pub", "ref", "return", "static", "struct"),
    *("trait", "true", "try", "type", "typeof", "unsafe", "unsized"),
    *("use", "virtual", "where", "while", "yield", "abstract"),
}
OWN = {"Bool", "U16Be", "U32Be", "U64Be", "TYPES", "FINGERPRINT"}
BYTE = Scalar("u8", 1)
SCALARS = {"bool": "Bool", "char": "u8", "u16be": "U16Be"}
SCALARS |= {"u32be": "U32Be", "u64be": "U64Be"}
SKIP = "#[rustfmt::skip]"
ALLOW = f"#[allow(dead_code, nonstandard_style)]\n{SKIP}"
FMT = """\
    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {"""
DEBUG_ENUM = """
impl ::core::fmt::Debug for {name} {{
    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {{
        match self.name() {{
            ::core::option::Option::Some(name) => f.write_str(name),
            ::core::option::Option::None => ::core::fmt::Debug::fmt(&self.0, f),
        }}
    }}
}}
"""


def write(schema: Schema) -> dict[str, str]:
    """Return the file's name and text."""
    check_flat(schema, OWN | {"str", "usize"})
    text = describe(schema)
    parts = [
        f"// {first_line(schema)}\n",
        f"/// The description of the messages of {schema.header}.",
        "#[allow(dead_code)]",
        f'pub const TYPES: &str = "{text}";',
        "",
        "/// FNV-1a 64 of TYPES.",
        "#[allow(dead_code)]",
        f"pub const FINGERPRINT: u64 = {grouped(fnv1a(text.encode()))};",
        "",
    ]
    for name, value in schema.constants.items():
        parts += [ALLOW, f"pub const {ident(free(name, OWN))}: {integer(value)};", ""]
    scalars = {
        field.type.name
        for kind in schema.types()
        if isinstance(kind, Struct)
        for field in kind.fields
        if isinstance(field.type, Scalar)
    }
    for name in ("bool", "u16be", "u32be", "u64be"):
        if name in scalars:
            parts += [f"pub use ::tachyon_ipc::{SCALARS[name]};", ""]
    ids = {id(struct): type_id for type_id, struct in schema.messages.items()}
    layouts = Layouts()
    for kind in schema.types():
        if isinstance(kind, Struct):
            parts += [*struct_lines(kind, layouts, ids.get(id(kind))), ""]
    for enum in schema.enums:
        parts.append("\n".join(enum_lines(enum)))
    return {f"{stem(schema)}.rs": "\n".join(parts).rstrip("\n") + "\n"}


def ident(name: str) -> str:
    """Return what Rust calls a name of C."""
    if name in ("self", "Self", "super", "crate", "_"):
        return name + "_"
    return f"r#{name}" if name in KEYWORDS else name


def grouped(value: int) -> str:
    """Spell 64 bits as clippy likes them."""
    digits = f"{value:016x}"
    return "0x" + "_".join(digits[i : i + 4] for i in range(0, 16, 4))


def integer(value: int) -> str:
    """Return the type and the value of a constant."""
    if value < 0:
        kind = "i32" if value >= -(1 << 31) else "i64"
    else:
        kind = "u32" if value < 1 << 32 else "u64"
    return f"{kind} = {value}"


class Layouts:
    """How each struct is laid out in Rust, so that every offset is that of C."""

    def __init__(self) -> None:
        self._aligns: dict[int, int] = {}

    def align(self, kind: Type) -> int:
        """Return the alignment that a type has in Rust."""
        if isinstance(kind, Struct):
            return self._aligns[id(kind)]
        scalar = kind.kind if isinstance(kind, Enum) else kind
        return 1 if scalar.name.endswith("be") else scalar.size

    def representation(self, struct: Struct) -> str:
        """Choose the least packing by which all fields come to lie where C has them.

        Gaps are fields of their own, so in the last resort all is packed.
        """
        aligns = [self.align(field.type) for field in struct.fields]
        for pack in (16, 8, 4, 2):
            each = [min(align, pack) for align in aligns]
            whole = max(each)
            if struct.size % whole == 0 and not any(
                field.offset % align
                for field, align in zip(struct.fields, each, strict=True)
            ):
                self._aligns[id(struct)] = whole
                return "C" if pack == 16 else f"C, packed({pack})"
        self._aligns[id(struct)] = 1
        return "C, packed"


def type_of(field: Field) -> str:
    """Spell the type of a field."""
    kind = field.type
    if isinstance(kind, Scalar):
        text = SCALARS.get(kind.name, kind.name)
    else:
        text = ident(flat(kind))
    for length in reversed(field.shape):
        text = f"[{text}; {length}]"
    return text


def zero(field: Field) -> str:
    """Spell the value of a field whose bytes are all zero."""
    kind = field.type
    if isinstance(kind, Struct):
        text = f"{ident(flat(kind))}::ZERO"
    elif isinstance(kind, Enum):
        text = f"{ident(flat(kind))}(0)"
    elif kind.name.endswith("be"):
        text = f"{SCALARS[kind.name]}([0; {kind.size}])"
    else:
        text = {"bool": "Bool(0)", "f32": "0.0", "f64": "0.0"}.get(kind.name, "0")
    for length in reversed(field.shape):
        text = f"[{text}; {length}]"
    return text


def gapless(struct: Struct) -> Iterator[tuple[Field, bool]]:
    """Go through the fields, with one for each gap; tell which these are."""
    names = {field.name for field in struct.fields}
    end = gaps = 0
    for field in [*struct.fields, None]:
        offset = field.offset if field else struct.size
        if offset > end:
            name = free(f"_padding{gaps}", names)
            yield Field(name, BYTE, (offset - end,), end), True
            gaps += 1
        if field:
            yield field, False
            end = field.end


def struct_lines(
    struct: Struct, layouts: Layouts, type_id: int | None
) -> Iterator[str]:
    """Go through the lines of a struct, its constants, traits and assertions."""
    name, fields = ident(flat(struct)), list(gapless(struct))
    what = "Part of a message" if type_id is None else f"Message {type_id}"
    yield f"/// {what}: {struct.size} bytes."
    yield f"#[repr({layouts.representation(struct)})]"
    yield ALLOW
    yield "#[derive(Clone, Copy)]"
    yield f"pub struct {name} {{"
    for field, gap in fields:
        if gap:
            yield "    #[doc(hidden)]"
        yield f"    pub {ident(field.name)}: {type_of(field)},"
    yield "}\n"
    yield ALLOW
    yield f"impl {name} {{"
    yield "    /// All bytes zero."
    yield "    pub const ZERO: Self = Self {"
    for field, _ in fields:
        yield f"        {ident(field.name)}: {zero(field)},"
    yield "    };"
    yield "}\n"
    yield from plain(name, [(ident(f.name), type_of(f)) for f, _ in fields])
    if type_id is not None:
        yield from message(struct, name, type_id)
    yield from debug(struct, name)
    yield "// Each begins where the one before it ends, so there is no gap."
    yield SKIP
    yield "const _: () = {"
    yield f"    assert!(::core::mem::size_of::<{name}>() == {struct.size});"
    for field, _ in fields:
        place = f"::core::mem::offset_of!({name}, {ident(field.name)})"
        yield f"    assert!({place} == {field.offset});"
        size = f"::core::mem::size_of::<{type_of(field)}>()"
        yield f"    assert!({size} == {field.size});"
    yield "};"


def plain(name: str, fields: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Go through the lines by which the crate checks a type; fields: name and type."""
    yield SKIP
    yield f"::tachyon_ipc::plain!({name} {{"
    for field, kind in fields:
        yield f"    {field}: {kind},"
    yield "});\n"


def message(struct: Struct, name: str, type_id: int) -> Iterator[str]:
    """Go through the lines that make a struct a message."""
    yield SKIP
    yield f"impl ::tachyon_ipc::Message for {name} {{"
    yield f"    const TYPE_ID: u32 = {type_id};"
    yield f'    const TYPES: &\'static str = "{text_of({type_id: struct})}";'
    if struct.grows:
        ends = [field.end for field in struct.fields if field.since > 1]
        growth = "::core::option::Option<&'static [usize]>"
        yield f"    const SMALLEST: usize = {struct.smallest};"
        yield f"    const GROWTH: {growth} = ::core::option::Option::Some(&{ends});"
    yield "}\n"


def debug(struct: Struct, name: str) -> Iterator[str]:
    """Go through the lines that print a struct; a packed field can only be copied."""
    yield SKIP
    yield f"impl ::core::fmt::Debug for {name} {{"
    yield FMT
    yield f'        f.debug_struct("{struct.name}")'
    for field in struct.fields:
        yield f'            .field("{field.name}", &{{ self.{ident(field.name)} }})'
    yield "            .finish()"
    yield "    }"
    yield "}\n"


def enum_lines(enum: Enum) -> Iterator[str]:
    """Go through the lines of an enum, which has any value of its integer."""
    name = ident(flat(enum))
    yield f"/// {enum.name}; a peer may send any value."
    yield "#[repr(transparent)]"
    yield ALLOW
    yield "#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]"
    yield f"pub struct {name}(pub {enum.kind.name});\n"
    yield from plain(name, [("0", enum.kind.name)])
    yield ALLOW
    yield f"impl {name} {{"
    for member, value in enum.members:
        yield f"    pub const {ident(free(member, {'name'}))}: Self = Self({value});"
    yield ""
    yield "    /// The name of the value, None for one that the header does not have."
    yield "    pub const fn name(self) -> ::core::option::Option<&'static str> {"
    yield "        match self.0 {"
    for member, value in first_of_each(enum):
        yield f'            {value} => ::core::option::Option::Some("{member}"),'
    yield "            #[allow(unreachable_patterns)]"
    yield "            _ => ::core::option::Option::None,"
    yield "        }"
    yield "    }"
    yield "}"
    yield DEBUG_ENUM.format(name=name)
