# SPDX-License-Identifier: Apache-2.0
"""The canonical text, byte by byte, and its fingerprint."""

import sys
from pathlib import Path

import pytest

from tachyon import schema
from tachyon.schema import SchemaError, fnv1a

from conftest import MARKET_TICK, Read, merged, struct

pytestmark = pytest.mark.skipif(
    sys.byteorder != "little", reason="the vectors are for little-endian machines"
)
MARKET_TICK_TEXT = """\
tachyon-types 1 little
message 1 MarketTick
 symbol u8[8] @0
 price f64 @8
 quantity u32 @16
 timestamp u64 @20
 padding u8[4] @28
 = 32 align 1
"""
EVERYTHING = """
#include <tachyon.h>
enum Side { BID = 1, ASK = 2 };
typedef struct TACHYON_MAY_GROW {
    char symbol[8];
    double price;
    enum Side side;
    bool halted;
    uint8_t reserved[3];
    uint32_t venue[2];
    struct { float bid; float ask; } spread[2];
} Tick;
"""
EVERYTHING_TEXT = """\
tachyon-types 1 little
enum Side u32
 BID 1
 ASK 2
struct Tick.spread
 bid f32 @0
 ask f32 @4
 = 8 align 4
message 1 Tick +
 symbol char[8] @0
 price f64 @8
 side Side @16
 halted bool @20
 reserved u8[3] @21
 venue u32[2] @24
 spread Tick.spread[2] @32
 = 48 align 8
"""


def test_fnv1a_of_the_published_vectors() -> None:
    assert fnv1a(b"") == 0xCBF29CE484222325
    assert fnv1a(b"a") == 0xAF63DC4C8601EC8C
    assert fnv1a(b"foobar") == 0x85944171F73967E8


def test_a_hash_of_zero_becomes_one() -> None:
    assert fnv1a(bytes.fromhex("d5 6b b9 53 42 87 08 36")) == 1


def test_market_tick_is_the_test_vector() -> None:
    found = schema.read(MARKET_TICK, {"MarketTick": 1})
    assert schema.describe(found) == MARKET_TICK_TEXT
    assert len(MARKET_TICK_TEXT) == 145
    assert schema.fingerprint(found) == 0xCB15B587FE0EEBB4


def test_each_kind_of_line(read: Read) -> None:
    assert schema.describe(read(EVERYTHING)) == EVERYTHING_TEXT


def test_the_order_in_which_types_are_given_does_not_matter(tmp_path: Path) -> None:
    header = tmp_path / "two.h"
    header.write_text("struct A { int x; }; struct B { int x; };")
    one = schema.describe(schema.read(header, {"A": 2, "B": 1}))
    assert one == schema.describe(schema.read(header, {"B": 1, "A": 2}))
    assert one.index("message 1 B") < one.index("message 2 A")


def test_a_message_in_a_later_one_is_not_written_again(read: Read) -> None:
    text = "typedef struct { int x; } In; typedef struct { In in; } Out;"
    assert schema.describe(read(text, "In", "Out")).split("\n")[1:] == [
        *("message 1 In", " x i32 @0", " = 4 align 4"),
        *("message 2 Out", " in In @0", " = 4 align 4", ""),
    ]
    assert schema.describe(read(text, "Out", "In")).split("\n")[1:] == [
        *("struct In", " x i32 @0", " = 4 align 4"),
        *("message 1 Out", " in In @0", " = 4 align 4"),
        *("message 2 In", " x i32 @0", " = 4 align 4", ""),
    ]


@pytest.mark.parametrize("names", [("In", "Out", "Far"), ("Far", "Out", "In")])
def test_descriptions_of_single_messages_merge_to_that_of_all(
    read: Read, names: tuple[str, ...]
) -> None:
    text = (
        "enum Side { BID, ASK }; typedef struct { enum Side s; } In;"
        "typedef struct { In in; enum Side s; } Out; typedef struct { In in; } Far;"
    )
    whole = read(text, *names)
    single = [
        schema.describe(schema.Schema("", 0, {type_id: struct}))
        for type_id, struct in whole.messages.items()
    ]
    assert len(set(single)) == 3
    assert merged(single) == schema.fingerprint(whole)
    assert merged(reversed(single)) == schema.fingerprint(whole)
    for one in single:
        assert merged([schema.describe(whole), one]) == schema.fingerprint(whole)


def test_a_line_has_255_bytes_at_most(read: Read) -> None:
    fits = "a" * (255 - len("  i32 @0"))
    assert f" {fits} i32 @0\n" in schema.describe(read(struct(f"int {fits};")))
    with pytest.raises(SchemaError, match=r"has 256 bytes, more than 255; shorten the"):
        schema.describe(read(struct(f"int {fits}a;")))


def test_a_description_has_64_kib_at_most(read: Read) -> None:
    names = [f"f{i}" for i in range(1000, 4000)]

    def described() -> str:
        fields = "".join(f"char {name};" for name in names)
        return schema.describe(read(struct(fields)))

    room, around = 65536 - len(described()), len("  char @3000\n")
    while room > 400:
        names.append(f"x{len(names)}".ljust(200, "x"))
        room -= 200 + around
    for length in (room // 2, room - room // 2):
        names.append(f"y{len(names)}".ljust(length - around, "y"))
    assert len(described()) == 65536
    names[-1] += "y"
    with pytest.raises(SchemaError, match="has 65537 bytes, more than 65536; give few"):
        described()
