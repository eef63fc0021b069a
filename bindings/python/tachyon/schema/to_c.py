# SPDX-License-Identifier: Apache-2.0
"""market_tick.types.h: the description for C and C++, and assertions of all offsets."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from .description import describe, fnv1a
from .model import Schema, Struct
from .names import first_line, stem

FIELDS = """\
#ifdef __cplusplus
#define {own}_ASSERT(holds, what) static_assert(holds, what)
#define {own}_ALIGNOF(type) alignof(type)
#else
#define {own}_ASSERT(holds, what) _Static_assert(holds, what)
#define {own}_ALIGNOF(type) _Alignof(type)
#endif
"""
OF = """\
/** The {name} in a payload, where it lies; NULL unless type_id and size are those of
 * {name}{growing}. */
static inline const {spelling} *{name}_of(const void *payload, uint32_t type_id,
{indent}size_t size)
{{
    return payload && type_id == {name}_TYPE && size {compare} sizeof({spelling})
               ? (const {spelling} *)payload
               : NULL;
}}
"""
COPY = """\
/** Copy the {name} in a payload, of any version; fields that it does not wholly have
 * become zero. False, and nothing is copied, unless type_id and size are its. */
static inline bool {name}_copy({spelling} *to, const void *payload, uint32_t type_id,
{indent}size_t size)
{{
    if (!payload || type_id != {name}_TYPE || size < {smallest})
        return false;
    size_t whole = {smallest};
{steps}    memset(to, 0, sizeof *to);
    memcpy(to, payload, whole);
    return true;
}}
"""


def write(schema: Schema) -> dict[str, str]:
    """Return the file's name and text."""
    text, name = describe(schema), stem(schema).upper()
    own = f"TACHYON_{name}"  # where a header has names of its own, tick_types.h say
    grows = any(struct.grows for struct in schema.messages.values())
    literal = " \\\n".join(f'    "{line}\\n"' for line in text.splitlines())
    includes = [f"#include <{include}>" for include in schema.includes]
    system = (
        ["stdbool", "stddef", "stdint", "string"] if grows else ["stddef", "stdint"]
    )
    parts = [
        f"/* {first_line(schema)} */",
        "/* clang-format off */",
        f"#ifndef {own}_TYPES_H",
        f"#define {own}_TYPES_H",
        "",
        *includes,
        f'#include "{schema.header}"',
        *(f"#include <{header}.h>" for header in system),
        "",
        "/** What tachyon_options_t has of the messages. */",
        f"#define {name}_TYPES \\",
        literal,
        f"#define {name}_TYPES_SIZE {len(text)}",
        f"#define {name}_FINGERPRINT UINT64_C({fnv1a(text.encode()):#018x})",
        "",
        *(f"#define {s.name}_TYPE {i}u" for i, s in schema.messages.items()),
        "",
        "/* The layout is what the description says, and no other compiler's. */",
        FIELDS.format(own=own),
        f"{own}_ASSERT(__BYTE_ORDER__ == __ORDER_{sys.byteorder.upper()}_ENDIAN__,"
        ' "byte order");',
        *(
            f'{own}_ASSERT({condition}, "{what}");'
            for kind in schema.types()
            if isinstance(kind, Struct) and kind.spelling
            for condition, what in layout(kind, f"{own}_ALIGNOF")
        ),
        f"#undef {own}_ASSERT",
        f"#undef {own}_ALIGNOF",
        "",
        *(functions(struct) for struct in schema.messages.values()),
        "#endif",
        "",
    ]
    return {f"{stem(schema)}.types.h": "\n".join(parts)}


def layout(struct: Struct, alignof: str) -> Iterator[tuple[str, str]]:
    """Go through what holds for a struct that C has a name for."""
    size = f"sizeof({struct.spelling}) == {struct.size}"
    yield f"{size} && {alignof}({struct.spelling}) == {struct.align}", struct.name
    yield from fields(struct, struct, "", 0)


def fields(
    outer: Struct, struct: Struct, path: str, base: int
) -> Iterator[tuple[str, str]]:
    """Go through the fields of a struct; path and base: its place in the outer one."""
    for field in struct.fields:
        for name in (field.name, *field.aliases):
            at, offset = path + name, base + field.offset
            size = f"sizeof((({outer.spelling} *)0)->{at}) == {field.size}"
            place = f"offsetof({outer.spelling}, {at}) == {offset}"
            yield f"{place} && {size}", f"{outer.name}.{at}"
            if isinstance(field.type, Struct) and not field.type.spelling:
                items = "[0]" * len(field.shape)
                yield from fields(outer, field.type, f"{at}{items}.", offset)


def functions(struct: Struct) -> str:
    """Return what finds a message in a payload."""
    begin = f"static inline const {struct.spelling} *{struct.name}_of("
    text = OF.format(
        name=struct.name,
        spelling=struct.spelling,
        growing=", this version or a later one" if struct.grows else "",
        compare=">=" if struct.grows else "==",
        indent=" " * len(begin),
    )
    if struct.grows:
        begin = f"static inline bool {struct.name}_copy("
        steps = "".join(
            f"    if (size >= {field.end})\n        whole = {field.end};\n"
            for field in struct.fields
            if field.since > 1
        )
        text += "\n" + COPY.format(
            name=struct.name,
            spelling=struct.spelling,
            smallest=struct.smallest,
            steps=steps,
            indent=" " * len(begin),
        )
    return text
