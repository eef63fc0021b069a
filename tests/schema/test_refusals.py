# SPDX-License-Identifier: Apache-2.0
"""Every header that no messages can be made of: where, why, and what to do."""

from pathlib import Path

import pytest

from tachyon import schema
from tachyon.schema import SchemaError
from tachyon.schema.parser import by_name

from conftest import Read, struct

FIELDS = {
    "void *x;": "Tick.x is a pointer (void *), which means nothing in another "
    "process; put the value itself here, or an index",
    "int (*x)(void);": "Tick.x is a pointer (int (*)(void)), which means",
    "char *x[3];": "Tick.x is a pointer (char *), which means",
    "int x : 3;": "Tick.x is a bit-field of 3 bits, whose place is the "
    "compiler's choice; use a whole integer and masks",
    "int a; int : 8; int b;": "Tick.(unnamed) is a bit-field of 8 bits",
    "int a; int x[];": "Tick.x is an array without a length; what follows a "
    "message's fixed part is sent as bytes of its own",
    "int a; int x[0];": "Tick.x is an array without items, an old way",
    "long double x;": "Tick.x is of type long double, whose format differs "
    "from machine to machine; use double",
    "wide x;": "Tick.x is of type wchar_t, whose sign differs from machine to "
    "machine; use int32_t or uint32_t",
    "wchar_t x[4];": "Tick.x is of type wchar_t",
    "_Float16 x;": "Tick.x is of type _Float16, which not every language has; "
    "use an integer or a float of fixed size",
    "__int128 x;": "Tick.x is of type __int128, which not every language has",
    "_Complex double x;": "Tick.x is of type _Complex double, which",
    "_Atomic int x;": "Tick.x is of type _Atomic(int), which",
    "int x __attribute__((vector_size(16)));": "Tick.x is of type "
    "__attribute__((__vector_size__(4 * sizeof(int)))) int, which",
    "_BitInt(7) x;": "Tick.x is of type _BitInt(7), which",
    "union { int i; float f; } x;": "Tick.x is a union of i (int), f (float); "
    "nothing says which member is meant; use one message type for each",
    "union { int i; float f; };": "Tick has a union of i (int), f (float); ",
    "union { int i[2]; int j; };": "Tick has a union of i (int[2]), j (int); ",
    "union { int i; struct { int j; }; };": "Tick has a union of i (int), one "
    "without a name; ",
    "union { int i : 4; };": "Tick has a union of i (int); ",
    "struct { void *p; } x;": "Tick.x.p is a pointer (void *)",
    "struct Held x;": "Tick.x holds Held, which no message can hold: tick.h:3: "
    "Held.p is a pointer (void *)",
    "int \u00e9;": "'\u00e9' is no name in every language; use letters, digits "
    "and underscores of ASCII",
    "int a$b;": "'a$b' is no name in every language",
    "": "Tick has no field; a message without content needs no type",
}


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_that_no_message_can_have(read: Read, field: str) -> None:
    with pytest.raises(SchemaError) as error:
        read(
            "struct Held { void *p; }; typedef int wchar_t; typedef wchar_t wide; "
            + struct(field)
        )
    assert str(error.value).startswith(f"tick.h:3: {FIELDS[field]}")


HEADERS = {
    "what_is_held_is_named_with_the_cause_once": (
        "struct A { void *p; }; struct B { struct A a; };" + struct("struct B b;"),
        "tick.h:3: Tick.b holds B, which no message can hold: tick.h:3: A.p is a po",
    ),
    "unknown_type": (
        struct("foo_t x; int y;"),
        "tick.h:3: error: unknown type name 'foo_t'\n"
        "give the header that defines foo_t: -include HEADER",
    ),
    "syntax": (
        struct("int x; int y("),
        "tick.h:3: error: expected parameter declarator\n",
    ),
    "missing_header": (
        '#include "nowhere/inner.h"\n' + struct("int x;"),
        "tick.h:3: error: 'nowhere/inner.h' file not found\n"
        "give the directory that nowhere/inner.h is in: -I DIRECTORY",
    ),
    "missing_header_of_cxx": (
        "#include <no_such_string>\n" + struct("int x;"),
        "tick.h:3: error: 'no_such_string' file not found\n"
        "no_such_string is a header of C++; messages are described in C, as "
        "structs without methods",
    ),
    "error_in_another_struct": (
        "struct Other { no_t x; };" + struct("int x;"),
        "tick.h:3: error: unknown type name 'no_t'",
    ),
    "unknown_name": (
        "struct Tock { int x; };",
        "tick.h: there is no struct Tick; is it Tock?",
    ),
    "unknown_name_nothing_near": (
        "struct A { int x; }; struct B { int x; };",
        "tick.h: there is no struct Tick; it has A, B",
    ),
    "no_struct_at_all": ("", "tick.h: there is no struct Tick"),
    "declared_only": (
        "struct Tick;",
        "tick.h:3: struct Tick is declared, but not defined; include the header that "
        "defines it",
    ),
    "union": (
        "typedef union { int x; } Tick;",
        "tick.h:3: Tick is of kind union; a message is a struct",
    ),
    "enum": (
        "typedef enum { X } Tick;",
        "tick.h:3: Tick is of kind enum; a message is a struct",
    ),
    "alignment": (
        struct("int x;", "__attribute__((aligned(128)))"),
        "tick.h:3: Tick is to be aligned to 128 bytes, but a message in the ring is "
        "aligned to 64 at most; ask for less",
    ),
    "size": (
        struct("char x[(2ul << 30) - 127];"),
        "tick.h:3: Tick has 2147483521 bytes, more than the 2147483520 that the "
        "largest ring takes; send it in parts",
    ),
    "two_types_of_one_name": (
        "struct X { int a; }; typedef struct Y { int b; } X;"
        + struct("struct X x; struct Y y;"),
        "tick.h: two types are called X, one of which is a tag; rename one",
    ),
    "kind_as_name": (
        "typedef struct { int a; } u32;" + struct("u32 x;"),
        "tick.h:3: Tick.x holds u32, which no message can hold: tick.h:3: a type "
        "cannot be called u32, which is a kind of number in the "
        "description; rename it",
    ),
    "enum_of_bool": (
        "enum E : bool { NO, YES };" + struct("enum E x;"),
        "tick.h:3: E is an enum of bool; use bool itself",
    ),
}


@pytest.mark.parametrize("case", HEADERS)
def test_a_header_that_does_not_do(read: Read, case: str) -> None:
    text, message = HEADERS[case]
    with pytest.raises(SchemaError) as error:
        read(text)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize("word", ["class", "namespace", "template", "using"])
def test_a_header_of_cxx_is_told_so(read: Read, word: str) -> None:
    with pytest.raises(
        SchemaError, match=f"\n{word} is a word of C\\+\\+; messages are"
    ):
        read(f"{word} Tick {{ int x; }};")


def test_a_missing_file_is_no_header(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="No such file or directory; give a C header"):
        schema.read(tmp_path / "none.h", {"Tick": 1})


@pytest.mark.parametrize(
    ("types", "message"),
    [
        ({}, "tick.h: no message; give --types NAME=ID"),
        ({"Tick": -1}, "the type_id of Tick is -1; give 0 to 4294967295"),
        ({"Tick": 1 << 32}, "the type_id of Tick is 4294967296; give 0 to 4294967295"),
        (
            {"Tick": 1, "Tock": 1},
            "Tick and Tock both have the type_id 1; give each its",
        ),
        ({"Tick": 1, "tick": 2}, "Tick is given twice; give it one type_id"),
    ],
)
def test_type_ids_are_unique(
    tmp_path: Path, types: dict[str, int], message: str
) -> None:
    header = tmp_path / "tick.h"
    header.write_text("typedef struct tick { int x; } Tick; struct Tock { int x; };")
    with pytest.raises(SchemaError) as error:
        schema.read(header, types)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize("word", ["Tick", "=1", "Tick=", "Tick=x", "Tick=-1"])
def test_a_type_is_given_as_name_and_id(word: str) -> None:
    with pytest.raises(SchemaError, match="is no type; give NAME=ID"):
        by_name([word])


def test_a_type_is_given_once() -> None:
    assert by_name(["A=1", "B=0x10"]) == {"A": 1, "B": 16}
    with pytest.raises(SchemaError, match="A is given twice"):
        by_name(["A=1", "A=2"])


GROWING = "#include <tachyon.h>\ntypedef struct TACHYON_MAY_GROW {"
VERSIONS = {
    "uint64_t a; uint32_t b; } Tick;": "Tick is to grow, but has 4 bytes of "
    "padding at its end, in which a later field would start; add "
    "`uint8_t reserved[4];`",
    "uint32_t a; uint64_t b TACHYON_SINCE(2); } Tick;": "Tick.b is there since "
    "version 2, but the version before had 4 bytes of padding at its end",
    "uint64_t a; uint32_t b; uint32_t c TACHYON_SINCE(2); } Tick;": "Tick.c is "
    "there since version 2, but the version before had 4 bytes of padding",
    "int a; int b TACHYON_SINCE(3); int c TACHYON_SINCE(2); } Tick;": "Tick.c "
    "is there since version 2, but follows b, which is there since version 3; new "
    "fields are appended",
    "int a TACHYON_SINCE(2); } Tick;": "Tick.a is the first field, so it is "
    "there since version 1; remove its TACHYON_SINCE",
    "int a; int b TACHYON_SINCE(two); } Tick;": "Tick.b is TACHYON_SINCE(two);"
    " give the number of a version, 1 or more",
    "int a; int b TACHYON_SINCE(0); } Tick;": "Tick.b is TACHYON_SINCE(0)",
    "int a; } Tick; typedef struct { int b; } Tock TACHYON_MAY_GROW;": "TACHYON_MAY_"
    "GROW is of Tock, not of its struct; write it after the word: struct TACHYON_MAY_",
    "int a; } In; typedef struct { In in; } Tick;": "Tick.in is a In, which is "
    "to grow (TACHYON_MAY_GROW); only messages grow, not what they hold",
}


@pytest.mark.parametrize("body", VERSIONS)
def test_what_grows_has_no_padding_and_only_appends(read: Read, body: str) -> None:
    with pytest.raises(SchemaError) as error:
        read(GROWING + body)
    assert str(error.value).startswith(f"tick.h:4: {VERSIONS[body]}")


def test_what_may_not_grow_has_no_later_fields(read: Read) -> None:
    with pytest.raises(SchemaError, match="write `struct TACHYON_MAY_GROW Tick`"):
        read("#include <tachyon.h>\n" + struct("int a; int b TACHYON_SINCE(2);"))
