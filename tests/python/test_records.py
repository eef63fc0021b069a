# SPDX-License-Identifier: Apache-2.0
"""Classes of messages: what they are made of, and what their fields take and give."""

import contextlib
import copy
import gc
import pickle
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from enum import IntEnum
from typing import Any

import numpy as np
import pytest

import tachyon
from tachyon import _native
from tachyon.schema import SchemaError, fnv1a

import every
from every import Cancel, Side, Tick

FIRST = f"tachyon-types 1 {sys.byteorder}\n"


def text_of(*fields: str, size: int = 8, grows: str = "", before: str = "") -> str:
    """Describe a message of type 1."""
    lines = "".join(f" {field}\n" for field in fields)
    return f"{FIRST}{before}message 1 X{grows}\n{lines} = {size} align 1\n"


def made(*fields: str, size: int = 8, before: str = "", **options: Any) -> Any:
    """Make a class of a message with fields, such as "x u8 @0"."""
    text = text_of(*fields, size=size, before=before)
    return type(tachyon.Message)("X", (tachyon.Message,), {}, type_id=1, types=text,
                                 **options)  # fmt: skip


def tick(**fields: Any) -> Any:
    """Make a Tick with a value in each kind of field."""
    values = {
        "symbol": "AAPL",
        "price": 189.5,
        "side": Side.ASK,
        "halted": True,
        "reserved": b"ab",
        "venue": [1, 2],
        "spread": [(1.5, 2), {"ask": 3}],
        "late": 7,
        "port": 80,
        "flags": [True, False] * 3,
    }
    return Tick(**{**values, **fields})


# ---- The class ----


def test_a_class_has_what_its_description_says() -> None:
    assert (Tick.type_id, Cancel.type_id) == (1, 2)
    assert Tick.types.startswith(FIRST)
    assert "message 1 Tick +\n" in Tick.types
    assert Tick.fingerprint == fnv1a(Tick.types.encode())
    assert (Tick.size, Cancel.size) == (64, 120)
    assert Tick.__name__ == "Tick"
    assert Tick.__doc__ == "Message 1: 64 bytes, and later versions more."
    assert Tick.__match_args__[:3] == ("symbol", "price", "side")
    assert repr(Tick.price) == "<field Tick.price>"
    assert Tick.price.__objclass__ is Tick


def test_it_counts_as_derived_from_message() -> None:
    assert issubclass(Tick, tachyon.Message)
    assert isinstance(Tick(), tachyon.Message)
    assert not isinstance(Tick(), Cancel)
    assert not isinstance(Tick().spread[0], tachyon.Message)
    assert not issubclass(int, tachyon.Message)


def test_a_message_without_fields_is_the_tuple_that_it_was() -> None:
    message = tachyon.Message(1, 2, b"ab")
    assert message == (1, 2, b"ab")
    assert message._replace(type_id=3) == tachyon.Message(type_id=3, size=2, data=b"ab")
    assert isinstance(message, tachyon.Message)
    assert tachyon.Message._fields == ("type_id", "size", "data")
    assert pickle.loads(pickle.dumps(message)) == message
    assert type(pickle.loads(pickle.dumps(message))) is tachyon.Message

    class Noted(tachyon.Message):
        """Has an attribute of its own."""

    noted = Noted(*message)
    noted.note = "x"  # type: ignore[attr-defined]
    assert noted == message


def test_a_derived_class_has_the_same_fields() -> None:
    class Priced(Tick):  # type: ignore[misc]
        """Knows more of itself."""

        @property
        def half(self) -> float:
            return self.price / 2  # type: ignore[no-any-return]

    priced = Priced(price=3)
    assert priced.half == 1.5
    assert priced == Tick(price=3)
    assert (Priced.type_id, Priced.size) == (1, 64)
    assert type(copy.copy(priced)) is Priced
    with pytest.raises(
        AttributeError, match="Priced has no field 'note'; it has symbol"
    ):
        priced.note = 1
    with pytest.raises(TypeError, match="can have no other base"):

        class Two(Tick, Cancel):  # type: ignore[misc]
            """Cannot be."""


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "begins with 'tachyon-types 1"),
        ("tachyon-types 2 little\n", "begins with 'tachyon-types 1"),
        (FIRST, r"has messages of the types \[\], not one of 1"),
        (text_of("x u8 @0") + text_of("y u8 @0")[len(FIRST) :], None),
        (text_of("x u8 @0").replace("message 1", "message 2"), r"types \[2\], not"),
        (text_of("x u3 @0"), "X.x is of u3, which nothing before is"),
        (text_of("x u8 @8"), "X.x is not within the 8 bytes of it"),
        (text_of("x u64 @1"), "X.x is not within the 8 bytes of it"),
        (text_of("x u8[9] @0"), "X.x is not within the 8 bytes of it"),
        (text_of("x u8[0] @0"), "X.x is not within the 8 bytes of it"),
        (text_of("x u8 @-1"), "a line of the description is ' x u8 @-1'"),
        (text_of("x u8 @0", "x u8 @1"), "X has two fields of one name"),
        (text_of("x X @0"), "X.x is of X, which nothing before is"),
        (text_of("x u8 @0", size=0), "X.x is not within the 0 bytes of it"),
        (text_of(size=0), "X has 0 bytes"),
        (text_of(size=1 << 40), "X has 1099511627776 bytes"),
        (FIRST + "struct X\n", "a line of the description is ''"),
        (FIRST + "enum X f32\n A 1\n", "enum X is held by f32, which is no integer"),
        (FIRST + "enum X u8\n A\n", "a line of the description is ' A'"),
        (FIRST + f"enum X u8\n A {'1' * 5000}\n", "5003 bytes, more than 255"),
        (FIRST + "union X\n", "a line of the description is 'union X'"),
        (
            text_of("class u8 @0", "class_ u8 @1"),
            "two fields that Python calls the same",
        ),
    ],
)
def test_what_is_no_description_is_refused(text: str, error: str | None) -> None:
    def make() -> Any:
        bases = (tachyon.Message,)
        return type(tachyon.Message)("X", bases, {}, type_id=1, types=text)

    if error is None:
        assert make()().x == 0 if hasattr(make(), "x") else make()().y == 0
        return
    with pytest.raises((SchemaError, TypeError), match=error):
        make()


def test_a_class_that_cannot_be_is_refused() -> None:
    text = text_of("x u8 @0")
    metaclass: Any = type(tachyon.Message)
    for bases in ((tachyon.Message, int), (tachyon.Message, dict)):
        with pytest.raises(TypeError, match=r"no other base than tachyon\.Message"):
            metaclass("X", bases, {}, type_id=1, types=text)
    with pytest.raises(TypeError, match="fields and attributes of one name: x"):
        metaclass("X", (tachyon.Message,), {"x": 5}, type_id=1, types=text)
    with pytest.raises(SchemaError, match="has no field; give it some"):
        metaclass("X", (tachyon.Message,), {}, type_id=1)
    with pytest.raises(TypeError, match="colour"):
        metaclass("X", (tachyon.Message,), {}, type_id=1, types=text, colour=1)
    with pytest.raises(TypeError, match=r"has no fields \['y'\], of aliases"):
        metaclass("X", (tachyon.Message,), {}, type_id=1, types=text,
                  aliases={"z": "y"})  # fmt: skip
    with pytest.raises(ValueError, match="at least 9"):
        metaclass("X", (tachyon.Message,), {}, type_id=1, types=text, smallest=9)


def test_fields_may_be_called_as_what_the_class_has() -> None:
    names = ("size", "types", "dtype", "fingerprint", "header", "from_bytes", "type_id")
    fields = [f"{name} u8 @{i}" for i, name in enumerate(names)]
    text = text_of(*fields, size=len(names))
    metaclass: Any = type(tachyon.Message)
    cls = metaclass("X", (tachyon.Message,), {}, type_id=1, types=text)
    assert (cls.size, cls.types, cls.type_id) == (len(names), text, 1)
    message = cls(*range(1, len(names) + 1))
    assert [getattr(message, name) for name in names] == [*range(1, len(names) + 1)]


def test_the_c_part_checks_what_it_is_given() -> None:
    record = _native.Record

    class Bare(record):  # type: ignore[misc, valid-type]
        """Has no fields."""

        __slots__ = ()

    with pytest.raises(TypeError, match="is no class of messages"):
        Bare()
    with pytest.raises(TypeError, match="is no class of messages"):
        record()
    for row in (
        ("x", "x", "X.x", "u9", (), 0, None, ()),
        ("x", "x", "X.x", "u8", (9,), 0, None, ()),
        ("x", "x", "X.x", "u8", (-1,), 0, None, ()),
        ("x", "x", "X.x", "char", (-3,), 0, None, ()),
        ("x", "x", "X.x", "char", (0,), 0, None, ()),
        ("x", "x", "X.x", "u8", (1 << 62, 4), 0, None, ()),
        ("x", "x", "X.x", "u8", (), -1, None, ()),
        ("x", "x", "X.x", "u8", (), 8, None, ()),
    ):
        with pytest.raises(ValueError, match=r"X\.x is"):
            _native.define_record(Bare, (8, 8, False, 1), (row,))
    with pytest.raises(TypeError):
        _native.define_record(Bare, (8, 8, False, 1), (("x",),))
    with pytest.raises(TypeError):
        _native.define_record(int, (8, 8, False, 1), ())


def test_a_class_of_its_class_cannot_lend_it_a_layout() -> None:
    given = [vars(made("x u8 @0")).get("__layout__")]
    gc.collect()

    class Lends(type(Tick)):  # type: ignore[misc]
        """Gives away a layout that nothing else has."""

        @property
        def __layout__(cls) -> Any:
            return given.pop()

    own = {"__slots__": ()}
    lends = type.__new__(Lends, "X", (_native.Record,), own)  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="is no class of messages"):
        lends(1)
    assert given


@pytest.mark.parametrize(
    "name", ["__tachyon__", "__match_args__", "__layout__", "__copy__", "__class__"]
)
def test_a_field_is_in_the_way_of_nothing_of_pythons(name: str) -> None:
    cls = made(f"{name} u8 @0", "last u8 @1", size=2)
    message = cls(7, last=8)
    match message:
        case cls(one, other):
            assert (one, other) == (7, 8)
    assert getattr(message, f"{name}_") == 7
    assert cls(**{name: 7, "last": 8}) == copy.copy(message) == message
    assert type(message) is message.__class__ is cls


def test_an_enumerator_may_be_called_as_what_its_class_has() -> None:
    enum = "enum E u8\n __doc__ 1\n __A__ 2\n"
    cls = made("e E @0", size=1, before=enum)
    assert repr(cls(2).e) == "<E.__A___: 2>"
    assert repr(cls(1).e) == "<E.__doc___: 1>"


def test_each_object_is_finalized() -> None:
    gone = []

    class Told(tachyon.Message, type_id=1):
        """Tells when it goes."""

        x: tachyon.u8

        def __del__(self) -> None:
            gone.append(self.x)

    for x in range(5):
        Told(x)
    assert gone == [0, 1, 2, 3, 4]


def test_it_works_without_numpy_and_libclang() -> None:
    code = """
import sys
sys.modules["numpy"] = sys.modules["clang"] = None
from every import Tick, Cancel
tick = Tick("AAPL", venue=[1, 2], flags=[True] * 6)
assert type(tick.venue) is memoryview and tick.venue.tolist() == [1, 2]
tick.venue[1] = 9
assert tick.venue[1] == 9 and tick.flags[5] is True
try:
    Tick.dtype
except ImportError:
    print("no dtype")
"""
    output = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        capture_output=True,
        text=True,
        cwd=every.__file__.rpartition("/")[0],
    )
    assert (output.stdout, output.stderr) == ("no dtype\n", "")


def test_an_array_that_no_memoryview_reads_is_a_list_without_numpy() -> None:
    text = text_of("a u16be[2] @0", "b char[2][2] @4")
    code = f"""
import sys
sys.modules["numpy"] = None
import tachyon
class X(tachyon.Message, type_id=1, types={text!r}):
    pass
print(X([1, 2], ["a", b"bc"]).a, X([1, 2], ["a", b"bc"]).b)
"""
    output = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert output.stdout == "[1, 2] [b'a', b'bc']\n"


# ---- Values ----


def test_fields_give_what_was_set() -> None:
    message = tick()
    assert message.symbol == b"AAPL"
    assert message.price == 189.5
    assert message.side is Side.ASK
    assert message.halted is True
    assert message.reserved == b"ab\0"
    assert message.venue.tolist() == [1, 2]
    assert [(part.bid, part.ask) for part in message.spread] == [(1.5, 2), (0, 3)]
    assert (message.late, message.port) == (7, 80)
    assert message.flags.tolist() == [True, False] * 3


INTEGERS = {
    **{f"u{8 * n}": (0, 2 ** (8 * n) - 1) for n in (1, 2, 4, 8)},
    **{f"i{8 * n}": (-(2 ** (8 * n - 1)), 2 ** (8 * n - 1) - 1) for n in (1, 2, 4, 8)},
    **{f"u{8 * n}be": (0, 2 ** (8 * n) - 1) for n in (2, 4, 8)},
}


@pytest.mark.parametrize("kind", INTEGERS)
def test_integers_have_the_range_of_their_kind(kind: str) -> None:
    least, most = INTEGERS[kind]
    cls = made(f"x {kind} @0")
    size, order = int(kind[1:].removesuffix("be")) // 8, sys.byteorder
    for value in (least, most, 1, np.int64(1), True, Side.ASK):
        message = cls(value)
        assert message.x == int(value)
        data = bytes(message)[:size]
        how: Any = "big" if kind.endswith("be") else order
        assert int.from_bytes(data, how, signed=least < 0) == int(value)
    for value in (least - 1, most + 1, 10**30, -(10**30), 10**5000):
        digits = "a number too long to print" if value == 10**5000 else value
        error = rf"^X\.x must be from {least} to {most}, not {digits}$"
        with pytest.raises(ValueError, match=error):
            message.x = value
    for value in (1.0, "1", None, b"1", [1]):
        with pytest.raises(TypeError, match=r"^X\.x must be an integer, not "):
            message.x = value
    assert message.x == 2


def test_numbers_are_floats_within_what_they_hold() -> None:
    cls = made("x f32 @0", "y f64 @4", size=12)
    message = cls(1, 2)
    message.x, message.y = np.float32(1.5), 10**300
    assert (message.x, message.y) == (1.5, 1e300)
    for value in (float("inf"), float("-inf")):
        message.x = message.y = value
        assert message.x == message.y == value
    message.x = float("nan")
    assert message.x != message.x
    with pytest.raises(ValueError, match=r"X\.x must be within what a float holds"):
        message.x = 1e39
    with pytest.raises(ValueError, match=r"X\.y must be within what a double holds"):
        message.y = 10**400
    for value in ("1", None, b"1"):
        with pytest.raises(TypeError, match=r"X\.y must be a number, not"):
            message.y = value


def test_a_truth_is_any_byte_that_is_not_zero() -> None:
    cls = made("x bool @0", "y bool[3] @1")
    message = cls.from_bytes(bytes([255, 0, 2, 1, 0, 0, 0, 0]))
    assert message.x is True
    assert message.y.tolist() == [False, True, True]
    assert bytes(message.y.tobytes()) == b"\0\1\1"
    for value in (True, 1, np.bool_(True)):
        assert cls(value).x is True
    with pytest.raises(ValueError, match=r"X\.x must be from 0 to 1, not 2"):
        message.x = 2
    with pytest.raises(TypeError, match=r"X\.x must be an integer, not 'False'"):
        message.x = "False"


def test_an_enumerator_that_nobody_knows_is_an_integer() -> None:
    message = Tick(side=1)
    assert message.side is Side.BID
    message.side = 77
    assert message.side == 77
    assert not isinstance(message.side, IntEnum)
    with pytest.raises(ValueError, match=r"Tick\.side must be from 0 to 4294967295"):
        message.side = -1


def test_no_field_hides_what_its_class_has() -> None:
    names = ("from_bytes", "header", "size", "types", "dtype", "fingerprint")
    cls = made(*(f"{name} u8 @{at}" for at, name in enumerate(names)))
    message = cls.from_bytes(bytes(range(8)))
    assert [getattr(message, name) for name in names] == [*range(6)]
    assert (cls.size, cls.types) == (
        8,
        text_of(*(f"{n} u8 @{i}" for i, n in enumerate(names))),
    )
    with pytest.raises(
        tachyon.schema.SchemaError, match="is no message that is written"
    ):
        cls.header()


def test_an_enum_is_made_where_none_was_given() -> None:
    cls = made("x Side.of @0", before="enum Side.of i8\n DOWN -1\n mro 2\n _x_ 3\n")
    assert cls(-1).x.name == "DOWN"
    assert [cls(2).x.name, cls(3).x.name] == ["mro_", "_x__"]
    assert type(cls(-1).x).__name__ == "Side_of"


def test_text_is_bytes_without_the_zeros_at_its_end() -> None:
    cls = made("x char[4] @0", "y char @4")
    message = cls("a\0b", "c")
    assert (message.x, message.y) == (b"a\0b", b"c")
    for value in (b"1234", "1234", bytearray(b"1234"), memoryview(b"1234"), "\u20acx"):
        message.x = value
        expected = value.encode() if isinstance(value, str) else bytes(value)
        assert message.x == expected
    message.x = message.y = b""
    assert (message.x, message.y) == (b"", b"")
    for value in (b"12345", "12345", "\u20ac\u20ac"):
        with pytest.raises(ValueError, match=r"^X\.x takes 4 bytes at most, not [56]$"):
            message.x = value
    with pytest.raises(UnicodeEncodeError):
        message.x = "\ud800"
    for value in (5, None, [1, 2]):
        with pytest.raises(TypeError, match=r"X\.x must be bytes or a str, not"):
            message.x = value
    with pytest.raises(TypeError, match=r"not items of 8 bytes"):
        message.x = np.zeros(1)


def test_an_array_of_bytes_keeps_its_zeros() -> None:
    cls = made("x u8[4] @0")
    assert cls(b"a").x == b"a\0\0\0"
    with pytest.raises(ValueError, match=r"X\.x takes 4 bytes at most, not 5"):
        cls(b"12345")
    for value in ("text", 1):
        with pytest.raises(TypeError, match=r"X\.x must be bytes, not"):
            cls(value)


def test_arrays_take_what_has_as_many_items() -> None:
    cls = made("x u16[2][3] @0", "y u32be[2] @12", "z char[2][2] @20", size=24)
    message = cls([[1, 2, 3], (4, 5, 6)], [7, 8], ["a", b"bc"])
    assert message.x.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert message.y.tolist() == [7, 8]
    assert message.z.tolist() == [b"a", b"bc"]
    message.x = np.arange(6, dtype="u2").reshape(2, 3)  # as they are
    assert message.x.tolist() == [[0, 1, 2], [3, 4, 5]]
    message.x = np.full((2, 3), 9, "i8")  # item by item
    assert message.x.tolist() == [[9] * 3] * 2
    message.y = message.y[::-1]
    assert message.y.tolist() == [8, 7]
    for value in ([[1, 2, 3]], [[1, 2], [3, 4]], np.zeros((3, 2), "u2"), []):
        with pytest.raises(ValueError, match=r"X\.x takes \d items, not \d"):
            message.x = value
    for value in (5, None, iter([1, 2])):
        with pytest.raises(TypeError, match=r"X\.x takes 2 items, not"):
            message.x = value
    with pytest.raises(ValueError, match=r"X\.x must be from 0 to 65535, not 70000"):
        message.x = np.full((2, 3), 70000)
    assert message.x.tolist() == [[9] * 3] * 2


def test_arrays_and_parts_are_the_memory_of_the_message() -> None:
    message = tick()
    message.venue[:] = [8, 9]
    message.spread[1].bid = 5
    venue, part = message.venue, message.spread[1]
    assert b"\x08\0\0\0\x09\0\0\0" in bytes(message)
    del message
    gc.collect()
    assert venue.tolist() == [8, 9]
    assert part.bid == 5
    assert repr(part) == "Tick_spread(bid=5.0, ask=3.0)"


def test_a_part_takes_a_record_a_tuple_or_a_dict() -> None:
    message = tick()
    message.spread = (message.spread[1], [4])
    assert [(part.bid, part.ask) for part in message.spread] == [(0, 3), (4, 0)]
    message.spread = message.spread[::-1]
    assert [(part.bid, part.ask) for part in message.spread] == [(4, 0), (0, 3)]
    for value in (5, "ab", [5, 5], [{"mid": 1}] * 2, [(1, 2, 3)] * 2, [None] * 2):
        with pytest.raises((TypeError, ValueError), match="spread"):
            message.spread = value
    assert [(part.bid, part.ask) for part in message.spread] == [(4, 0), (0, 3)]


def test_a_union_has_all_its_names() -> None:
    cancel = Cancel(dlc=3)
    assert (cancel.len, cancel.dlc) == (3, 3)
    cancel.dlc = 4
    assert cancel.len == 4
    with pytest.raises(TypeError, match=r"Cancel\.len is given twice"):
        Cancel(len=1, dlc=2)


def test_a_name_that_is_a_keyword_has_an_underscore() -> None:
    cls = made("class u8 @0", "x u8 @1")
    assert cls(**{"class": 1}).class_ == 1
    assert cls(class_=2).class_ == 2
    with pytest.raises(TypeError, match=r"X\.class_ is given twice"):
        cls(**{"class": 1, "class_": 2})


def test_a_value_that_is_refused_changes_nothing() -> None:
    message = tick()
    before = bytes(message)
    for name, value in (
        *(("symbol", b"123456789"), ("port", -1), ("venue", [1, -1])),
        *(("spread", [(1, 2), (1, "x")]), ("flags", [2] * 6)),
    ):
        with pytest.raises((TypeError, ValueError)):
            setattr(message, name, value)
    assert bytes(message) == before


# ---- The object ----


def test_a_call_takes_values_by_position_and_by_name() -> None:
    assert Tick() == Tick.from_bytes(bytes(64))
    assert Tick("A", 1, port=2) == Tick(port=2, price=1, symbol="A")
    with pytest.raises(TypeError, match="Tick has 10 fields, not 11"):
        Tick(*range(11))
    with pytest.raises(TypeError, match=r"Tick\.symbol is given twice"):
        Tick("A", symbol="B")
    with pytest.raises(
        TypeError, match="Tick has no field 'volume'; it has symbol, pri"
    ):
        Tick(volume=3)


def test_an_attribute_that_is_no_field_is_refused_with_the_fields() -> None:
    message = tick()
    with pytest.raises(
        AttributeError, match="Tick has no field 'volume'; it has symbol"
    ):
        message.volume = 3
    with pytest.raises(
        AttributeError, match="Tick has no field 'volume'; it has symbol"
    ):
        _ = message.volume
    with pytest.raises(AttributeError, match=r"cannot delete Tick\.price"):
        del message.price
    with pytest.raises(AttributeError):
        message.type_id = 5
    assert not hasattr(message, "__dict__")
    assert message.type_id == 1


def test_it_is_compared_by_its_values() -> None:
    assert tick() == tick()
    assert tick() != tick(port=81)
    assert tick() != tick(flags=[True] * 6)
    assert tick() != tick(spread=[(1, 2), (3, 4)])
    assert tick(price=0.0) == tick(price=-0.0)
    assert tick(price=float("nan")) != tick(price=float("nan"))
    assert Tick() != Cancel()
    assert tick() != 5
    with pytest.raises(TypeError):
        _ = tick() < tick()
    with pytest.raises(TypeError, match="unhashable type: 'Tick'"):
        hash(tick())


def test_it_can_be_unpacked_and_matched() -> None:
    symbol, price, *_, flags = tick()
    assert (symbol, price, flags.tolist()) == (b"AAPL", 189.5, [True, False] * 3)
    match tick():
        case Cancel():
            pytest.fail("matched another class")
        case Tick(symbol, side=Side.ASK, price=price):
            assert (symbol, price) == (b"AAPL", 189.5)
        case _:
            pytest.fail("matched no class")


def test_its_repr_shows_all_fields() -> None:
    assert repr(tick(spread=[(1, 2), (3, 4)])) == (
        "Tick(symbol=b'AAPL', price=189.5, side=<Side.ASK: 2>, halted=True, "
        "reserved=b'ab\\x00', venue=[1, 2], spread=[Tick_spread(bid=1.0, ask=2.0), "
        "Tick_spread(bid=3.0, ask=4.0)], late=7, port=80, flags=[True, False, True, "
        "False, True, False])"
    )


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m)),
     lambda m: type(m).from_bytes(bytes(m)), lambda m: type(m)(*m)],
    ids=["copy", "deepcopy", "pickle", "bytes", "values"],
)  # fmt: skip
def test_a_copy_is_equal_and_apart(copied: Callable[[Any], Any]) -> None:
    for message in (tick(), tick().spread[1]):
        other = copied(message)
        assert type(other) is type(message)
        assert other == message
        name = type(message).__match_args__[1]
        setattr(other, name, 77)
        assert other != message


def test_it_is_a_writable_buffer_of_its_bytes() -> None:
    message = tick()
    with memoryview(message) as view:
        assert (view.nbytes, view.readonly, view.format) == (64, False, "B")
        view[8:16] = np.float64(4.5).tobytes()
    assert message.price == 4.5
    assert np.frombuffer(message, Tick.dtype)["price"] == 4.5


def test_its_dtype_has_the_same_layout() -> None:
    assert Tick.dtype.itemsize == 64
    assert Tick.dtype.names == Tick.__match_args__
    assert Tick.dtype["symbol"] == "S8"
    assert Tick.dtype["spread"].shape == (2,)
    assert Cancel.dtype["net"] == ">u2"
    assert Tick.dtype is Tick.dtype
    array = np.frombuffer(tick(), Tick.dtype)[0]
    assert array["symbol"] == b"AAPL"
    assert array["flags"].tolist() == [True, False] * 3
    assert array["spread"]["ask"].tolist() == [2, 3]


def test_from_bytes_takes_all_versions() -> None:
    data = bytes(tick())
    assert Tick.from_bytes(data + b"more") == tick()
    old = Tick.from_bytes(data[:48])
    assert (old.price, old.late, old.port) == (189.5, 0, 0)
    cut = Tick.from_bytes(data[:57])  # within the port
    assert (cut.late, cut.port) == (7, 0)
    with pytest.raises(ValueError, match="Tick is 48 bytes or more, not 47"):
        Tick.from_bytes(data[:47])
    for size in (119, 121):
        with pytest.raises(ValueError, match=f"Cancel is 120 bytes, not {size}"):
            Cancel.from_bytes(bytes(size))
    with pytest.raises(TypeError):
        Tick.from_bytes("text")


def test_large_messages_work_too() -> None:
    cls = made("x u64[100000] @0", "y u8[100] @800000", size=800100)
    message = cls(np.arange(100000, dtype="u8"), b"end")
    assert message.x[99999] == 99999
    message.x = np.zeros(100000, "u8")
    message.x = [1] * 100000
    assert message.x.sum() == 100000
    assert copy.copy(message) == message


def test_a_field_is_only_for_its_own_class() -> None:
    for other in (Cancel(), 5, Tick, tick().spread[0]):
        with pytest.raises(TypeError, match=r"Tick\.price is a field of Tick, not of"):
            Tick.price.__get__(other, type(other))
        with pytest.raises(TypeError, match=r"Tick\.price is a field of Tick, not of"):
            Tick.price.__set__(other, 1)


def test_nothing_is_leaked() -> None:
    message = tick()
    refused = [("venue", [1]), ("spread", 5), ("note", 1), ("port", -1), ("side", "x")]

    def use() -> None:
        _ = (tick().symbol, message.side, message.venue, *message, repr(message))
        message.venue, message.spread = [3, 4], message.spread
        assert message == copy.copy(pickle.loads(pickle.dumps(message)))
        for name, value in refused:
            with contextlib.suppress(TypeError, ValueError, AttributeError):
                setattr(message, name, value)
            with contextlib.suppress(TypeError, ValueError):
                Tick(port=1, **{name: value})

    counted = (Tick, Tick.price, Tick.spread, Side.ASK, type(message.spread[0]))
    for _ in range(20):
        use()
    gc.collect()
    tracemalloc.start()
    use()
    counts = [sys.getrefcount(thing) for thing in counted]
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(500):
        use()
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert [sys.getrefcount(thing) for thing in counted] == counts
    assert grown < 5000


def test_a_class_that_nobody_needs_is_freed() -> None:
    def make() -> None:
        cls = made(
            "x u8 @0", "y Part @1", before="struct Part\n a u8 @0\n = 1 align 1\n"
        )
        cls(1, (2,)).y.a = 3

    make()
    gc.collect()
    tracemalloc.start()
    make()
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(50):
        make()
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 50_000
