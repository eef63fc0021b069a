# SPDX-License-Identifier: Apache-2.0
"""Messages that are written as classes: they are those of the same structs in C."""

import enum
import random
import subprocess
from pathlib import Path
from typing import Any, ClassVar

import pytest

import tachyon
from tachyon import schema
from tachyon.schema import SchemaError
from tachyon.schema.__main__ import main

import every_class
from conftest import EVERY, MARKET_TICK, ROOT


class MarketTick(tachyon.Message, type_id=1, packed=True):
    symbol: tachyon.u8[8]
    price: tachyon.f64
    quantity: tachyon.u32
    timestamp: tachyon.u64
    padding: tachyon.u8[4]


class Low(enum.IntEnum):
    LEAST = -(2**63)
    NONE = 0


class High(enum.IntEnum):
    MOST = 2**64 - 1


class Small(enum.IntEnum):
    MINUS = -1
    ONE = 1
    ALSO_ONE = 1


class Inner:
    order: tachyon.u16be
    wide: tachyon.array[tachyon.u64be, 2]


class Every(tachyon.Message, type_id=4_000_000_000):
    letter: tachyon.char
    low: Low
    octet: tachyon.i8
    high: High
    small: tachyon.array[Small, (2, 3)]
    inner: tachyon.array[Inner, 2]
    one: Inner
    class_: tachyon.i16[2][3]
    yes: bool
    shorts: tachyon.u16[2, 2]
    net: tachyon.u32be
    single: tachyon.f32
    names: ClassVar[int] = 3


def texts(cls: Any, path: Path) -> tuple[str, str]:
    """Return the description of a class, and that of the header it gives."""
    header = path / f"{cls.__name__.lower()}.h"
    header.write_text(cls.header())
    read = schema.read(
        header, {cls.__name__: cls.type_id}, include_dirs=[ROOT / "core/include"]
    )
    return cls.types, schema.describe(read)


@pytest.mark.parametrize(
    "cls", [MarketTick, Every, every_class.Tick, every_class.Cancel]
)
def test_a_class_and_the_header_it_gives_have_one_description(
    tmp_path: Path, cls: Any
) -> None:
    ours, read = texts(cls, tmp_path)
    assert ours == read
    for compiler, standard in (("cc", "c11"), ("c++", "c++17")):
        compile_as = [compiler, f"-std={standard}", "-fsyntax-only", "-Wall", "-Werror"]
        source = tmp_path / f"use{standard[:-2]}.{'c' if compiler == 'cc' else 'cpp'}"
        source.write_text(f'#include "{cls.__name__.lower()}.h"\n')
        if "class" not in ours or compiler == "cc":
            compile_as += [f"-I{ROOT / 'core/include'}", str(source)]
            subprocess.run(compile_as, check=True)


def random_class(rng: random.Random, name: str, depth: int, **options: Any) -> Any:
    """Make a class of random fields, a message if it has options."""
    kinds = [
        *(tachyon.u8, tachyon.u16, tachyon.u32, tachyon.u64, tachyon.i8, tachyon.i16),
        *(tachyon.i32, tachyon.i64, tachyon.f32, tachyon.f64, tachyon.char, bool),
        *(tachyon.u16be, tachyon.u32be, tachyon.u64be, Low, High, Small),
    ]
    fields: dict[str, Any] = {}
    for i in range(rng.randint(1, 6)):
        kind: Any = rng.choice(kinds)
        if depth and rng.random() < 0.3:
            kind = random_class(rng, f"{name}_{i}", depth - 1)
        shape = tuple(rng.randint(1, 3) for _ in range(rng.choice((0, 0, 1, 2))))
        fields[f"f{i}"] = tachyon.array[kind, shape] if shape else kind  # type: ignore[valid-type]
    body = {"__annotations__": fields, "__module__": __name__}
    bases = (tachyon.Message,) if options else ()
    make_it: Any = type(tachyon.Message) if options else type
    return make_it(name, bases, body, **options)


@pytest.mark.parametrize("seed", range(40))
def test_random_classes_are_laid_out_as_clang_does(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    cls = random_class(rng, "Any", 2, type_id=seed, packed=rng.random() < 0.3)
    ours, read = texts(cls, tmp_path)
    assert ours == read
    assert cls.from_bytes(bytes(cls.size)) == cls()


def test_class_and_header_written_by_hand_have_one_fingerprint() -> None:
    assert tachyon.schema.fnv1a(MarketTick.types.encode()) == 0xCB15B587FE0EEBB4
    cancel = schema.read(EVERY, {"Cancel": 2})
    assert every_class.Cancel.types == schema.describe(cancel)
    tick = schema.describe(schema.read(EVERY, {"Tick": 1}))
    # But for the name of a struct that has none in C.
    assert every_class.Tick.types == tick.replace("Tick.spread", "Spread")
    market = schema.read(MARKET_TICK, {"MarketTick": 1})
    fields = [(f.name, f.offset) for f in market.messages[1].fields]
    assert fields[1:3] == [("price", 8), ("quantity", 16)]


def test_a_class_is_a_message_like_those_that_are_generated() -> None:
    tick = every_class.Tick("AAPL", 189.5, every_class.Side.ASK, late=2)
    assert (tick.symbol, tick.price, tick.side, tick.late) == (b"AAPL", 189.5, 2, 2)
    assert tick.side is every_class.Side.ASK
    assert tick == every_class.Tick("AAPL", 189.5, 2, late=2)
    every = Every(b"x", Low.LEAST, -1, High.MOST, class_=[[1, 2, 3], [4, 5, 6]])
    assert every.low is Low.LEAST
    assert every.high is High.MOST
    assert [list(row) for row in every.class_] == [[1, 2, 3], [4, 5, 6]]
    assert Every.type_id == 4_000_000_000
    assert Every.names == 3


def test_the_program_writes_the_header_and_what_follows_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(EVERY.parent)
    classes = "every_class:Tick,Cancel"
    arguments = [classes, "--header", "--c", "--rust", "-o", str(tmp_path)]
    assert main(arguments) == 0
    header = (tmp_path / "every_class.h").read_text()
    assert "TACHYON_SINCE(3)" in header
    assert main([*arguments, "--check"]) == 0
    (tmp_path / "every_class.h").write_text(header.replace("price", "cost"))
    assert main([*arguments, "--check"]) == 1
    assert "every_class.h differs" in capsys.readouterr().err
    program = tmp_path / "use.c"
    program.write_text('#include "every_class.types.h"\nint main(void) { return 0; }\n')
    (tmp_path / "every_class.h").write_text(header)
    include = f"-I{ROOT / 'core/include'}"
    subprocess.run(
        ["cc", "-std=c11", "-fsyntax-only", "-Werror", include, program], check=True
    )
    assert main([classes]) == 0
    printed = capsys.readouterr()
    read = schema.read(
        tmp_path / "every_class.h",
        {"Tick": 1, "Cancel": 2},
        include_dirs=[ROOT / "core/include"],
    )
    assert printed.out == schema.describe(read)
    for arguments, text in (
        (["every_class:Nobody"], "every_class has no class Nobody"),
        (["every_class:Side"], "every_class.Side is no message"),
        ([classes, "--python"], "classes have their type_ids, and are Python"),
        ([str(EVERY), "--types", "Tick=1", "--header"], "--header is for classes"),
        ([str(EVERY)], "no message; give --types NAME=ID"),
    ):
        assert main(arguments) == 1
        assert text in capsys.readouterr().err


def make(
    fields: dict[str, Any], values: dict[str, Any] | None = None, **given: Any
) -> Any:
    """Make a class Tick of these fields."""
    body = {"__annotations__": fields, "__module__": __name__, **(values or {})}
    return type(tachyon.Message)("Tick", (tachyon.Message,), body, type_id=1, **given)


class Twice(enum.IntEnum):
    NONE = 1


class Empty(enum.IntEnum):
    pass


class Register(enum.IntEnum):
    register = 1


class Huge(enum.IntEnum):
    LOW = -1
    HIGH = 2**63


class Limited:
    limit: ClassVar[int] = 3


class Part(Limited):
    x: tachyon.u8


class Derived(Part):
    y: tachyon.u8


class Growing(tachyon.Message, type_id=9, may_grow=True):
    x: tachyon.u8


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "has no field"),
        ({"x": int}, r"Tick.x is of type <class 'int'>.*an int has no size"),
        ({"x": float}, r"use tachyon.f64 or tachyon.f32"),
        ({"x": str}, r"give the length in bytes: tachyon.char\[8\]"),
        ({"x": bytes}, r"tachyon.u8\[8\] for bytes"),
        ({"x": list[int]}, "no kind of field; use one of tachyon's"),
        ({"x": object}, "no kind of field; use one of tachyon's"),
        ({"x": "Nowhere"}, r"Tick.x: 'Nowhere' means nothing here: .*Nowhere"),
        ({"int": tachyon.u8}, "Tick.int: int is a word of C"),
        ({"unix": tachyon.u8}, "Tick.unix: unix is a word of C"),
        ({"é": tachyon.u8}, "is no name in every language"),
        ({"x": Low, "y": Twice, "z": Low}, "Twice.NONE is a member of Low, too"),
        ({"x": Empty}, "Empty has no member"),
        ({"x": Register}, "register is a word of C"),
        ({"x": Huge}, "which no integer of 64 bits has"),
        ({"x": Growing}, "which is to grow"),
        ({"x": Part, "y": Derived}, r"Derived is derived from \S+Part, whose fields"),
        ({"x": tachyon.u8[1 << 31]}, "more than the 2147483520 that the largest ring"),
    ],
)
def test_what_can_be_no_message_is_refused(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(SchemaError, match=text):
        make(fields)


def test_versions_are_checked_as_in_a_header() -> None:
    since = tachyon.since(2)
    u8, u32 = tachyon.u8, tachyon.u32
    for fields, values, grows, text in (
        ({"x": u8, "y": u8}, {"y": since}, False, "Tick may not grow"),
        ({"x": u8, "y": u32}, {"y": since}, True, r"put `uint8_t reserved\[3\];`"),
        ({"x": u32, "y": u8}, {}, True, r"3 bytes of padding at its end"),
        ({"x": u8}, {"x": since}, True, "the first field, so it is there since"),
        ({"x": u8}, {"x": 5}, True, "has the value 5; a field has none but"),
    ):
        with pytest.raises(SchemaError, match=text):
            make(fields, values, may_grow=grows)
    for version, error in ((0, ValueError), (1.5, TypeError)):
        with pytest.raises(error):
            tachyon.since(version)  # type: ignore[arg-type]


def test_lengths_of_arrays_are_integers_above_zero() -> None:
    for length, error in ((0, ValueError), (-1, ValueError), (1.5, TypeError)):
        with pytest.raises(error, match="the length of an array must be"):
            tachyon.u8[length]  # type: ignore[misc, valid-type]
    for items in (Low, (Low,), (Low, 2, 3)):
        with pytest.raises(TypeError, match=r"tachyon.array\[Side, 3\]"):
            tachyon.array[items]  # type: ignore[misc, valid-type]
    assert repr(tachyon.u8[2][3]) == "tachyon.u8[2, 3]"


def test_a_class_may_be_inside_a_function() -> None:
    class Part:
        x: "tachyon.u8"

    class Whole(tachyon.Message, type_id=3):
        part: "Part"

    assert Whole.types == (
        "tachyon-types 1 little\nstruct Part\n x u8 @0\n = 1 align 1\n"
        "message 3 Whole\n part Part @0\n = 1 align 1\n"
    )
