# SPDX-License-Identifier: Apache-2.0
"""Typed channels: fields in, fields out, arrays of them, and what does not fit."""

import array
import ctypes
import gc
import mmap
import os
import struct
import sys
import threading
import time
import tracemalloc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from tachyon import (
    Bus,
    Channel,
    ClosedError,
    Message,
    PeerDeadError,
    RingFull,
    TachyonError,
    UnexpectedMessage,
)
from tachyon.layout import dtype_of, layout_of, runs_of, same_runs

from conftest import Connect, Pair, StartPeer

FORMAT = "<8sdIQ4x"
TICK = np.dtype(
    {
        "names": ["symbol", "price", "quantity", "time"],
        "formats": ["S8", "<f8", "<u4", "<u8"],
        "offsets": [0, 8, 16, 20],
        "itemsize": 32,
    }
)
FIELDS = (b"AAPL\0\0\0\0", 1.5, 3, 4)
OTHER = [("symbol", "S8"), ("price", "<i8"), ("quantity", "<u4"), ("time", "<u8")]


def ticks(count: int) -> Any:
    """Make an array of numbered ticks."""
    made = np.zeros(count, TICK)
    made["symbol"] = b"AAPL"
    made["quantity"] = np.arange(count)
    made["price"] = made["quantity"] / 4
    return made


def fields_of(items: Any) -> list[tuple[Any, ...]]:
    """Unpack an array of ticks."""
    return list(struct.iter_unpack(FORMAT, items.tobytes()))


# ---- Layouts ----


class Point(ctypes.Structure):
    """As C has it, with padding."""

    _fields_ = (("tag", ctypes.c_char), ("xy", ctypes.c_double * 2))


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (FORMAT, FORMAT),
        (FORMAT.encode(), FORMAT),
        (struct.Struct("3h"), "3h"),
        (TICK, FORMAT),
        (TICK.newbyteorder(">"), ">8sdIQ4x"),
        (np.float64, "<d"),
        (np.dtype(">u2"), ">H"),
        (np.dtype("S5"), "<5s"),
        ([("a", "u1"), ("b", "V3"), ("c", "?"), ("d", "<f2")], "<B3s?e"),
        (np.dtype([("a", "u1"), ("b", "<i8")], align=True), "<B7xq"),
        (np.dtype([("a", "<i8"), ("b", "u1")], align=True), "<qB7x"),
        ([("a", [("x", "<i2"), ("y", "<f4")], (2,)), ("b", "i1")], "<hfhfb"),
        ([("m", ">i4", (2, 2))], ">4i"),
        (np.dtype({"names": [], "formats": [], "itemsize": 4}), "<4x"),
        (Point, "<1s7x2d"),
        ((np.float32, (3,)), "<3f"),
        ([("a", "S3", (2,)), ("b", [("c", "<u2", (2,))], (2,))], "<3s3s2H2H"),
        ([("b", "i1"), ("h", "<i2"), ("i", "<i4"), ("q", "<i8")], "<bhiq"),
        ([("b", "u1"), ("h", "<u2"), ("i", "<u4"), ("q", "<u8")], "<BHIQ"),
    ],
    ids=str,
)
def test_layout_as_a_struct_format(pair: Pair, spec: Any, expected: str) -> None:
    channel = pair.producer.channel(spec)
    assert channel.format == expected
    assert channel.size == struct.calcsize(expected)


@pytest.mark.parametrize(
    "text",
    [
        FORMAT,
        "@bq",
        "=bq",
        ">3hxI",
        "!H",
        "<?",
        "10s c 2d",
        "@i0q",
        "5p2x",
        "@nNP",
        "<e",
        "bBhHiIlLqQfd",
        "=lL",
        "<2x3H",
    ],
)
def test_layout_as_a_dtype_has_the_same_values(text: str) -> None:
    packer = struct.Struct(text)
    dtype = dtype_of(packer)
    assert dtype.itemsize == packer.size
    rng = np.random.default_rng(1)
    data = rng.integers(0, 2, (20, packer.size), np.uint8)
    for item, raw in zip(data.view(dtype)[:, 0], data, strict=True):
        values = [
            value
            for name in dtype.names or ()
            for value in np.atleast_1d(item[name]).tolist()
        ]
        unpacked = packer.unpack(raw.tobytes())
        if "p" in text:
            continue  # NumPy has no Pascal strings: their bytes as they are
        expected = [v.rstrip(b"\0") if isinstance(v, bytes) else v for v in unpacked]
        assert [bytes(v) if isinstance(v, bytes) else v for v in values] == expected


@pytest.mark.parametrize(
    ("spec", "error", "text"),
    [
        (None, TypeError, "needs the layout of its messages"),
        ("", ValueError, "'' have 0 bytes"),
        ("0s", ValueError, "0 bytes"),
        (np.dtype("V0"), ValueError, "0 bytes"),
        (np.dtype([]), ValueError, "0 bytes"),
        ("65409s", ValueError, "have 65409 bytes; this ring takes 65408 at most"),
        (np.dtype("V65409"), ValueError, "65409 bytes"),
        ("no", struct.error, "bad char"),
        (object, TypeError, "an item of object is a Python object"),
        ([("a", "i4"), ("what", "O")], TypeError, "'what'.*Python object"),
        ([("a", [("in", "O")])], TypeError, r"'a\.in'.*Python object"),
        ([("a", "no such type")], TypeError, "no such type"),
    ],
    ids=str,
)
def test_impossible_layout_is_refused(
    pair: Pair, spec: Any, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        pair.producer.channel(spec)


@pytest.mark.parametrize(
    ("type_id", "error"), [(-1, ValueError), (1 << 32, ValueError), ("1", TypeError)]
)
def test_impossible_type_is_refused(
    pair: Pair, type_id: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        pair.producer.channel(FORMAT, type_id)


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ([("a", "i4"), ("when", "M8[s]")], r"the field 'when' of type datetime64\[s\]"),
        ([("in", [("name", "<U4")])], r"the field 'in\.name' of type <U4"),
        (np.dtype("c16"), "an item of type complex128"),
        ([("a", "m8[ns]", (2,))], "the field 'a' of type timedelta64"),
        ([("a", "<i4"), ("b", ">i4")], "'b' has the byte order '>', those before '<'"),
        (
            np.dtype({"names": "ab", "formats": ["i4", "i4"], "offsets": [0, 2]}),
            "'b' begins at 2, before the last one ends at 4",
        ),
        (
            np.dtype({"names": "ab", "formats": ["i4", "i4"], "offsets": [4, 0]}),
            "'b' begins at 0, before the last one ends at 8",
        ),
    ],
    ids=["date", "str", "complex", "duration", "order", "overlap", "unordered"],
)
def test_field_without_a_format_is_refused_when_packed_and_sent_in_arrays(
    pair: Pair, spec: Any, text: str
) -> None:
    sender, receiver = pair.producer.channel(spec, 2), pair.consumer.channel(spec, 2)
    items = np.frombuffer(os.urandom(3 * sender.size), f"V{sender.size}").view(
        sender.dtype
    )
    into = np.zeros(3, sender.dtype)
    for call in (lambda: sender(1, 2), lambda: sender.format):
        with pytest.raises(TypeError, match=text):
            call()
    assert sender.send_batch(items) == 3
    for call in (receiver.recv, lambda: next(receiver)):
        with pytest.raises(TypeError, match=text):
            call()
    assert receiver.recv_batch_into(into) == 3
    assert into.tobytes() == items.tobytes()
    sender.send_batch(items)
    with receiver.drain_batch() as batch:
        with pytest.raises(TypeError, match=text):
            batch[0]
        assert batch.array.tobytes() == items.tobytes()


# ---- One message ----


@pytest.mark.parametrize("spec", [FORMAT, struct.Struct(FORMAT), TICK], ids=str)
def test_call_sends_what_struct_packs(pair: Pair, spec: Any) -> None:
    channel = pair.producer.channel(spec, 7)
    assert channel(*FIELDS) is None
    assert pair.consumer.recv(timeout=0) == Message(7, 32, struct.pack(FORMAT, *FIELDS))
    channel(*FIELDS, timeout=1, block=True)
    assert pair.consumer.channel(spec, 7).recv(0) == FIELDS


def test_scalars_and_inner_fields_are_flat(pair: Pair) -> None:
    for spec, values in (
        (np.float64, (0.5,)),
        ([("at", [("x", "<u2"), ("y", "<f4")]), ("side", "S1")], (1, 2.0, b"b")),
    ):
        pair.producer.channel(spec)(*values)
        assert pair.consumer.channel(spec).recv(timeout=0) == values


@pytest.mark.parametrize(
    ("fields", "keywords", "error"),
    [
        ((), {}, struct.error),
        (FIELDS[:3], {}, struct.error),
        ((*FIELDS, 1), {}, struct.error),
        ((b"", "1.5", 3, 4), {}, struct.error),
        ((b"", 1.5, -1, 4), {}, struct.error),
        (("", 1.5, 3, 4), {}, struct.error),
        (FIELDS, {"time": 1}, TypeError),
        (FIELDS, {"timeout": -1}, ValueError),
        (FIELDS, {"timeout": "1"}, TypeError),
    ],
)
def test_bad_call_sends_nothing(
    pair: Pair, fields: Any, keywords: dict[str, Any], error: type[Exception]
) -> None:
    channel = pair.producer.channel(FORMAT)
    with pytest.raises(error):
        channel(*fields, **keywords)
    channel(*FIELDS)
    assert pair.consumer.channel(FORMAT).recv(timeout=0) == FIELDS
    with pytest.raises(TimeoutError):
        pair.consumer.recv(timeout=0)


def test_field_whose_conversion_uses_the_bus(pair: Pair) -> None:
    channel = pair.producer.channel("<Q")

    class Number:
        def __index__(self) -> int:
            pair.producer.send(b"before")
            return 5

    channel(Number())
    assert pair.consumer.recv(timeout=0).data == b"before"
    assert pair.consumer.channel("<Q").recv(timeout=0) == (5,)


def test_call_on_a_full_ring(pair: Pair) -> None:
    channel = pair.producer.channel(FORMAT)
    with pytest.raises(RingFull):
        while True:
            channel(*FIELDS, block=False)
    with pytest.raises(TimeoutError):
        channel(*FIELDS, timeout=0.01)
    timer = threading.Timer(0.1, pair.consumer.recv)  # runs while the call waits
    timer.start()
    channel(*FIELDS)
    timer.join()


def test_receiving_ends_with_the_stream(pair: Pair) -> None:
    sender = pair.producer.channel("<I", 3)
    for i in range(5):
        sender(i)
    pair.producer._bus.destroy()
    receiver = pair.consumer.channel("<I", 3)
    assert iter(receiver) is receiver
    assert list(receiver) == [(i,) for i in range(5)]
    with pytest.raises(ClosedError):
        receiver.recv()


def test_receiving_waits_without_the_interpreter(pair: Pair) -> None:
    receiver = pair.consumer.channel("<I")
    with pytest.raises(TimeoutError):
        receiver.recv(timeout=0.01)
    threading.Timer(0.1, pair.producer.channel("<I"), (9,)).start()
    assert receiver.recv(timeout=60) == (9,)


def test_keywords_made_up_at_run_time(pair: Pair) -> None:
    channel = pair.producer.channel("<I")
    channel(1, **{"".join(["time", "out"]): 1})
    assert Channel.__call__(channel, 2) is None
    receive = pair.consumer.channel("<I").recv
    assert (receive(0), receive(0)) == ((1,), (2,))


# ---- Sub-arrays ----

LEVELS = np.dtype([("side", "S1"), ("levels", "<u2", (2, 2)), ("at", "<f4")])
IMAGE = np.dtype([("stamp", "f8"), ("frame", "u1", (1080, 1920, 3))])


@pytest.mark.parametrize(
    "levels",
    [
        np.array([[1, 2], [3, 4]], "<u2"),
        np.array([[1, 3], [2, 4]], "<u2").T,
        [[1, 2], [3, 4]],
        ((1, 2), (3, 4)),
        np.array([[1, 2], [3, 4]], "<u2").tobytes(),
        bytearray(np.array([[1, 2], [3, 4]], "<u2").tobytes()),
        memoryview(np.array([[1, 2], [3, 4]], "<u2")),
    ],
    ids=lambda levels: type(levels).__name__,
)
def test_sub_array_is_one_value(pair: Pair, levels: Any) -> None:
    sender, receiver = pair.producer.channel(LEVELS), pair.consumer.channel(LEVELS)
    expected = np.array([(b"b", [[1, 2], [3, 4]], 0.5)], LEVELS)
    sender(b"b", levels, 0.5)
    sender(b"b", levels, 0.5)
    sender(b"b", levels, 0.5)
    for received in (receiver.recv(timeout=0), next(receiver)):
        side, got, at = received
        assert (side, at) == (b"b", 0.5)
        assert got.dtype == np.dtype("<u2")
        assert got.tolist() == [[1, 2], [3, 4]]
    with receiver.drain_batch(timeout=0) as batch:
        assert batch.array.tobytes() == expected.tobytes()
        kept = [*batch, batch[0]]
    assert [got.tolist() for _, got, _ in kept] == [[[1, 2], [3, 4]]] * 2


@pytest.mark.parametrize(
    ("levels", "error"),
    [
        (np.zeros((2, 2), "<u4"), TypeError),
        (np.zeros((2, 2), ">u2"), TypeError),
        (np.zeros((2, 2), "<f8"), TypeError),
        (np.zeros(4, "<u2"), TypeError),
        (np.zeros((2, 3), "<u2"), TypeError),
        ([1, 2, 3, 4], TypeError),
        ([[1, 2], [3]], TypeError),
        (bytes(7), TypeError),
        (bytearray(9), TypeError),
        (b"", TypeError),
        (5, TypeError),
        (None, TypeError),
        ("abcdefgh", TypeError),
        ([[1, 2], [3, 1 << 16]], struct.error),
        ([[1, 2], [3, -1]], struct.error),
        ([[1, 2], [3, 0.5]], struct.error),
        ([[1, 2], [3, None]], struct.error),
        ([["1", "2"], ["3", "4"]], struct.error),
    ],
    ids=repr,
)
def test_what_is_not_the_sub_array_is_refused(
    pair: Pair, levels: Any, error: type[Exception]
) -> None:
    sender = pair.producer.channel(LEVELS)
    with pytest.raises(error) as caught:
        sender(b"b", levels, 0.5)
    if error is TypeError:
        assert "the field 'levels' takes an array of uint16 of shape (2, 2)" in str(
            caught.value
        )
    for count in ((), (b"b", levels), (b"b", levels, 0.5, 1)):
        with pytest.raises(struct.error, match="3 items"):
            sender(*count)
    with pytest.raises(TimeoutError):
        pair.consumer.recv(timeout=0)


@pytest.mark.parametrize(
    ("spec", "value"),
    [
        ((np.float32, (3,)), [1, 2.5, 3]),
        ((np.uint8, (2, 2)), [[1, 2], [3, 4]]),
        (ctypes.c_double * 3, [1, 2, 3]),
        ((np.dtype((np.int16, (2,))), (3,)), [[1, 2], [3, 4], [5, 6]]),
        ([("", ">i4", (1, 2))], [[1, 2]]),
        ([("tags", "S3", (2,))], [b"abc", b"de"]),
        ([("flags", "?", (3,))], [True, False, True]),
        ((np.void, 8), b"12345678"),
    ],
    ids=str,
)
def test_channel_of_sub_arrays_is_of_one_mind(
    pair: Pair, spec: Any, value: Any
) -> None:
    sender, receiver = pair.producer.channel(spec, 1), pair.consumer.channel(spec, 1)
    sender(value)
    item = receiver.recv(timeout=0)[0]
    assert getattr(item, "tolist", lambda: item)() == value
    made = np.zeros(5, sender.dtype)
    made[:] = np.array([(value,)], sender.dtype) if made.dtype.names else value
    for items in (made, np.ascontiguousarray(made)):
        assert sender.send_batch(items) == 5
    into = np.zeros(5, receiver.dtype)
    assert receiver.recv_batch_into(into, timeout=0) == 5
    assert into.tobytes() == made.tobytes()
    with receiver.drain_batch(timeout=0) as batch:
        got = batch.array.copy()
    assert (got.shape, got.dtype) == (made.shape, made.dtype)
    assert got.tobytes() == made.tobytes()
    assert sender.send_batch(got) == 5


@pytest.mark.parametrize(
    ("spec", "items"),
    [
        ((np.float32, (3,)), np.zeros((5, 4), "f4")),
        ((np.float32, (3,)), np.zeros((5, 3), "i4")),
        ((np.float32, (3,)), np.zeros((5, 3), ">f4")),
        ((np.float32, (3,)), np.zeros(15, "f4")),
        ((np.float32, (3,)), np.zeros(5, [("f", "f4", (3,))])),
        ((np.uint8, (2, 2)), np.zeros((5, 4), "u1")),
        ((np.uint8, (2, 2)), np.zeros((5, 4, 1), "u1")),
        ([("f", "f4", (3,))], np.zeros((5, 3), "f4")),
        ("3f", np.zeros((5, 4), "f4")),
        ("3f", np.zeros((5, 3), "i4")),
    ],
    ids=str,
)
def test_array_of_other_sub_arrays_is_refused(
    pair: Pair, spec: Any, items: Any
) -> None:
    sender = pair.producer.channel(spec)
    good = np.zeros((5, *sender.dtype.shape), sender.dtype.base)
    assert sender.send_batch(good) == 5  # and what fits is remembered
    with pytest.raises(TypeError, match=r"the array has dtype .*, the channel's"):
        sender.send_batch(items)


def test_array_may_have_the_shape_of_a_format(pair: Pair) -> None:
    items = np.arange(15, dtype="f4").reshape(5, 3)
    assert pair.producer.channel("<3f").send_batch(items) == 5
    assert pair.producer.channel("<fff").send_batch(items) == 5
    assert pair.consumer.channel("<f2f").recv(timeout=0) == (0, 1, 2)


@pytest.mark.parametrize(
    "spec",
    [
        IMAGE,
        np.dtype(("u1", (1080, 1920, 3))),
        np.dtype([("frame", [("r", "u1"), ("g", "u1"), ("b", "u1")], (1080, 1920))]),
        np.dtype([("frame", [("r", "u1"), ("a", "<f4")], (1080, 1920))]),
    ],
    ids=str,
)
def test_channel_for_images_is_made_at_once(connect: Connect, spec: Any) -> None:
    pair = connect(1 << 25)
    gc.collect()
    tracemalloc.start()
    start = time.thread_time()
    sender, receiver = pair.producer.channel(spec), pair.consumer.channel(spec)
    took = time.thread_time() - start
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert took < 0.2
    assert peak < 1 << 20
    item = np.frombuffer(os.urandom(sender.size), spec.base).reshape(1, *spec.shape)
    assert sender.send_batch(item) == 1
    with receiver.drain_batch(timeout=0) as batch:
        assert batch.array.tobytes() == item.tobytes()
    values = [item[0][name] for name in spec.names] if spec.names else [item[0]]
    sender(*values)
    for value, got in zip(values, receiver.recv(timeout=0), strict=True):
        assert np.array_equal(value, got) or value.tobytes() == got.tobytes()


def test_array_of_images_is_compared_with_a_format_at_once(pair: Pair) -> None:
    pixels = [("frame", [("r", "u1"), ("a", "<f4")], (1080, 1920))]
    channel = pair.producer.channel("<1024B")
    start = time.thread_time()
    with pytest.raises(TypeError, match="the channel's messages '<1024B'"):
        channel.send_batch(np.zeros(1, pixels))
    assert time.thread_time() - start < 0.2


# ---- Every kind of dtype ----

ANY = "sends and receives arrays only"
KINDS: dict[str, tuple[Any, tuple[Any, ...] | str]] = {
    "padding": (
        {"names": ["a", "b"], "formats": ["u1", "<i8"], "offsets": [2, 9]},
        (1, 2),
    ),
    "aligned": (np.dtype([("a", "u1"), ("b", "<i8")], align=True), (1, 2)),
    "titles": ([(("The first", "a"), "u1"), (("The second", "b"), "<i8")], (1, 2)),
    "overlap": (
        {"names": ["a", "b"], "formats": ["<i4", "<i2"], "offsets": [0, 2]},
        "the field 'b' begins at 2, before the last one ends at 4",
    ),
    "date": ([("when", "M8[s]")], f"'when' of type datetime64.s. .*{ANY}"),
    "duration": ([("when", "m8[ns]")], f"'when' of type timedelta64.ns. .*{ANY}"),
    "no bytes": ([("none", "S0"), ("b", "u1")], (b"", 1)),
    "bool": ([("a", "?"), ("b", "?", (2,))], (True, [True, False])),
    "complex": ([("z", "c8")], f"the field 'z' of type complex64 .*{ANY}"),
    "void": ([("v", "V5"), ("w", "V0")], (b"12345", b"")),
    "text": ([("name", "U4")], f"the field 'name' of type <U4 .*{ANY}"),
    "big-endian": ([("a", ">f8"), ("b", ">U4", (0,))], "'b' of type >U4"),
    "big numbers": ([("a", ">f8"), ("b", ">u2", (2,))], (1.5, [1, 2])),
    "mixed orders": ([("a", ">f8"), ("b", "<f8")], "'b' has the byte order '<'"),
    "mixed, but whole": ([("a", ">f8"), ("b", "<u2", (2,))], (1.5, [1, 2])),
    "half": ([("h", "<f2")], (0.5,)),
    "long double": ([("g", "g")], f"the field 'g' of type .*128 .*{ANY}"),
    "no name": (np.dtype({"names": [""], "formats": ["<i4"]}), (5,)),
    "odd names": ([("a:b", "u1"), ("ä ö", "u1"), ("O", "u1")], (1, 2, 3)),
}


@pytest.mark.parametrize("name", KINDS)
def test_dtype_of_any_kind_works_or_says_what_does_not(pair: Pair, name: str) -> None:
    spec, values = KINDS[name]
    sender, receiver = pair.producer.channel(spec, 3), pair.consumer.channel(spec, 3)
    if isinstance(values, str):
        with pytest.raises(TypeError, match=values):
            sender(1)
    else:
        sender(*values)
        got = receiver.recv(timeout=0)
        assert tuple(getattr(g, "tolist", lambda g=g: g)() for g in got) == values
    items = np.frombuffer(os.urandom(4 * sender.size), f"V{sender.size}")
    items = items.view(sender.dtype)
    assert sender.send_batch(items) == 4
    into = np.zeros(2, receiver.dtype)
    assert receiver.recv_batch_into(into, timeout=0) == 2
    assert into.tobytes() == items[:2].tobytes()
    with receiver.drain_batch(timeout=0) as batch:
        assert batch.array.dtype == sender.dtype
        for field in sender.dtype.names or ():
            assert batch[field].tobytes() == items[2:][field].tobytes()


# ---- Buffers without a dtype ----


class Packed(ctypes.Structure):
    """Without padding, of which ctypes says no more than that it is bytes."""

    _pack_ = 1
    _fields_ = (("tag", ctypes.c_char), ("x", ctypes.c_double))


@pytest.mark.parametrize(
    ("spec", "buffer"),
    [
        ("<d", array.array("d", [1, 2])),
        ("@d", memoryview(array.array("d", [1, 2]))),
        ("<q", array.array("q", [1, 2])),
        ("<q", array.array("l", [1, 2])),
        ("@l", array.array("q", [1, 2])),
        (np.int64, array.array("l", [1, 2])),
        (">d", memoryview(np.arange(2.0, dtype=">f8"))),
        ("2d", (ctypes.c_double * 2 * 3)()),
        ((np.float64, (2,)), (ctypes.c_double * 2 * 3)()),
        ((np.float64, (2,)), memoryview(np.zeros((3, 2)))),
        ("dd", memoryview(array.array("d", [1, 2])).cast("B").cast("d", [1, 2])),
        (Point, (Point * 3)()),
        ("@c2d", (Point * 3)()),
        (Packed, (Packed * 3)()),
        ("<cd", (Packed * 3)()),
        (TICK, memoryview(ticks(3))),
        (FORMAT, memoryview(ticks(3))),
        (
            "<H2xI",
            memoryview(np.zeros(2, np.dtype([("a", "u2"), ("b", "u4")], align=True))),
        ),
        ("?", memoryview(np.array([True, False]))),
        (np.complex128, memoryview(np.array([1j, 2j]))),
        (np.dtype("U4"), memoryview(np.array(["text"]))),
        ("<d", bytes(24)[:0] or memoryview(bytes(24)).cast("B", [3, 8])),
        (TICK, (ctypes.c_char * 32 * 2)()),
        ("B", b"bytes"),
        ("b", bytearray(b"bytes")),
        ("c", mmap.mmap(-1, 4096)),
    ],
    ids=str,
)
def test_buffer_of_the_same_meaning_is_taken(
    pair: Pair, spec: Any, buffer: Any
) -> None:
    sender, receiver = pair.producer.channel(spec), pair.consumer.channel(spec)
    count = len(buffer)
    for _ in range(2):  # the second time it is known
        sent = sender.send_batch(buffer, block=False)
        assert 0 < sent <= count
        room = bytearray(count * sender.size)
        into = memoryview(room).cast("B", [count, sender.size])
        assert receiver.recv_batch_into(into, timeout=0) == sent
        assert room[: sent * sender.size] == bytes(buffer)[: sent * sender.size]


@pytest.mark.parametrize(
    ("spec", "buffer"),
    [
        ("<d", array.array("q", [1])),
        ("<d", memoryview(np.array([1]))),
        ("<d", memoryview(np.array([1.0], ">f8"))),
        ("<q", array.array("Q", [1])),
        ("<d", memoryview(array.array("f", [1, 2])).cast("B").cast("f", [1, 2])),
        ("<d", memoryview(np.zeros(2, "c8"))),
        ("<d", (ctypes.c_longlong * 2)()),
        ("<8s", memoryview(np.zeros(2, "f8"))),
        ("<16s", (Point * 3)()),
        ("<25s", (Point * 3)()),
        ("<24s", (Point * 3)()),
        ("<9s", (Packed * 3)()),
        (TICK, memoryview(np.zeros(3, OTHER))),
        (FORMAT, memoryview(np.zeros(3, [*OTHER, ("", "V4")]))),
        (np.float64, array.array("q", [1])),
        ((np.float32, (2,)), array.array("d", [1])),
        ("<I", array.array("u", "text")),
        ("B", memoryview(bytearray(b"text")).cast("b")),
        ("b", memoryview(np.zeros(3, "?"))),
    ],
    ids=str,
)
def test_buffer_of_another_meaning_is_refused(
    pair: Pair, spec: Any, buffer: Any
) -> None:
    sender, receiver = pair.producer.channel(spec), pair.consumer.channel(spec)
    raw = memoryview(bytes(sender.size)).cast("B", [1, sender.size])
    assert sender.send_batch(raw) == 1
    for call in (sender.send_batch, receiver.recv_batch_into):
        with pytest.raises(TypeError) as caught:
            call(buffer)
        text = str(caught.value)
        assert repr(memoryview(buffer).format) in text or "items have" in text
        assert repr(sender.layout) in text
    assert len(receiver.recv(timeout=0)) > 0
    with pytest.raises(TimeoutError):
        receiver.recv(timeout=0)


def test_flat_bytes_say_how_to_send_them(pair: Pair) -> None:
    channel = pair.producer.channel("<d")
    data = struct.pack("<3d", 1, 2, 3)
    with pytest.raises(TypeError, match=r"1 bytes.* have 8.*cast\('B', \(n, 8\)\)"):
        channel.send_batch(data)
    assert channel.send_batch(memoryview(data).cast("B", (3, 8))) == 3
    assert pair.consumer.channel("<d").recv(timeout=0) == (1,)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("f8", r"'<d'"),
        (b"f8", r"numpy\.dtype\(b'f8'\)"),
        ("<u4", r"numpy\.dtype\('<u4'\) or '<I'"),
        ("S8", r"or '<8s'"),
        ("i4,f8", r"or '<id'"),
        ("M8[s]", r"numpy\.dtype\('M8\[s\]'\)$"),
        ("float64", r"numpy\.dtype\('float64'\) or '<d'"),
        ("no", r"\(bad char in struct format\)$"),
        ("ä", r"ascii"),
    ],
)
def test_name_of_numpy_is_no_format_and_says_so(
    pair: Pair, text: Any, hint: str
) -> None:
    with pytest.raises(struct.error, match=f"no format of the struct module.*{hint}"):
        pair.producer.channel(text)


def test_struct_of_a_class_of_its_own_is_its_format_only(pair: Pair) -> None:
    class Wild(struct.Struct):
        def pack(self, *values: Any) -> Any:
            return "no bytes"

    wild = Wild("<I")
    sender = pair.producer.channel(wild)
    wild.__init__("<Q")  # type: ignore[misc]
    sender(7)
    assert pair.consumer.channel("<I").recv(timeout=0) == (7,)
    assert sender.size == 4


# ---- What is not the channel's ----

RECEIVE: dict[str, Callable[[Channel], Any]] = {
    "recv": lambda channel: channel.recv(timeout=0),
    "next": next,
    "recv_batch_into": lambda channel: channel.recv_batch_into(ticks(3), timeout=0),
    "drain_batch": lambda channel: channel.drain_batch(timeout=0),
}


@pytest.mark.parametrize("how", RECEIVE)
@pytest.mark.parametrize(
    ("type_id", "size"), [(2, 32), (1, 31), (1, 33), (1, 0), (0, 4000)]
)
def test_other_message_stays_in_the_ring(
    pair: Pair, how: str, type_id: int, size: int
) -> None:
    channel = pair.consumer.channel(FORMAT, 1)
    pair.producer.send(bytes(size), type_id)
    pair.producer.channel(FORMAT, 1)(*FIELDS)
    for _ in range(2):
        with pytest.raises(
            UnexpectedMessage,
            match=f"type_id {type_id} and {size} bytes, not of type_id 1 and 32 bytes",
        ) as caught:
            RECEIVE[how](channel)
        assert (caught.value.type_id, caught.value.size) == (type_id, size)
    assert pair.consumer.recv(timeout=0) == Message(type_id, size, bytes(size))
    assert channel.recv(timeout=0) == FIELDS


@pytest.mark.parametrize(
    ("spec", "items"),
    [
        (TICK, np.zeros(3, OTHER)),
        (TICK, np.zeros(3, [*TICK.descr[:3], ("at", "<u8"), ("", "V4")])),
        (TICK, np.zeros(3, "V32")),
        (TICK, np.zeros((3, 32), "u1")),
        (TICK, np.zeros((3, 2), TICK)),
        (FORMAT, np.zeros(3, OTHER)),
        (FORMAT, np.zeros(3, "<f8")),
        (FORMAT, np.zeros((3, 4), "<f8")),
        (np.float64, np.zeros(3, "<i8")),
        (np.float64, np.zeros(3, ">f8")),
    ],
    ids=[
        "type",
        "name",
        "void",
        "bytes",
        "2-d",
        "fmt",
        "fmt size",
        "4 f8",
        "i8",
        ">f8",
    ],
)
def test_array_of_another_dtype_is_refused(pair: Pair, spec: Any, items: Any) -> None:
    sender, receiver = pair.producer.channel(spec), pair.consumer.channel(spec)
    sender.send_batch(memoryview(bytes(sender.size)).cast("B", [1, sender.size]))
    for call in (sender.send_batch, receiver.recv_batch_into):
        with pytest.raises(TypeError) as caught:
            call(items)
        text = str(caught.value)
        assert str(items.dtype) in text or "have 64 bytes" in text
        assert repr(sender.layout) in text
    assert len(receiver.recv(timeout=0)) > 0
    with pytest.raises(TimeoutError):
        receiver.recv(timeout=0)


@pytest.mark.parametrize("items", [bytearray(64), bytearray(31)], ids=len)
def test_buffer_of_other_items_is_refused(pair: Pair, items: Any) -> None:
    for call in (
        pair.producer.channel(TICK).send_batch,
        pair.consumer.channel(FORMAT).recv_batch_into,
    ):
        with pytest.raises(TypeError, match=r"items have 1 bytes, the messages .* 32"):
            call(items)


@pytest.mark.parametrize(
    ("items", "error"),
    [
        (np.zeros(6, TICK)[::2], ValueError),
        ([1], TypeError),
        (np.zeros((), TICK), ValueError),
    ],
    ids=["strided", "list", "0-d"],
)
def test_bad_array_is_refused(pair: Pair, items: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        pair.producer.channel(TICK).send_batch(items)
    with pytest.raises(error):
        pair.consumer.channel(TICK).recv_batch_into(items)


def test_read_only_target_is_refused(pair: Pair) -> None:
    into = ticks(3)
    into.flags.writeable = False
    pair.producer.channel(TICK).send_batch(into)
    channel = pair.consumer.channel(TICK)
    with pytest.raises(TypeError, match="read-only"):
        channel.recv_batch_into(into)
    assert channel.recv(timeout=0) == fields_of(into)[0]


# ---- Arrays ----


@pytest.mark.parametrize("spec", [FORMAT, TICK], ids=str)
def test_arrays_go_both_ways(pair: Pair, spec: Any) -> None:
    sender, receiver = pair.producer.channel(spec, 4), pair.consumer.channel(spec, 4)
    items, into = ticks(10), np.zeros(20, TICK)
    for _ in range(2):  # the second time the dtype is known
        assert sender.send_batch(items) == 10
        count = receiver.recv_batch_into(into, timeout=0)
        assert (count, count.type_id) == (10, 4)
        assert (into[:10] == items).all()
    assert sender.send_batch(ticks(5000), block=False) < 5000


def test_array_with_the_layout_of_a_format_may_name_its_padding(pair: Pair) -> None:
    named = np.dtype([*OTHER[:1], ("p", "<f8"), *OTHER[2:], ("rest", "V4")])
    assert same_runs(runs_of(named), runs_of(struct.Struct(FORMAT)))
    assert pair.producer.channel(FORMAT).send_batch(np.zeros(2, named)) == 2


def test_batch_is_a_sequence_of_tuples_and_an_array(pair: Pair) -> None:
    items = ticks(6)
    pair.producer.channel(FORMAT, 1).send_batch(items)
    with pair.consumer.channel(TICK, 1).drain_batch() as batch:
        assert len(batch) == 6
        assert list(batch) == fields_of(items)
        assert batch[2] == batch[-4] == batch[np.int64(2)] == fields_of(items)[2]
        with pytest.raises(IndexError):
            batch[6]
        assert batch["price"].sum() == items["price"].sum()
        assert (batch[1:3] == items[1:3]).all()
        assert (batch[["price", "time"]] == items[["price", "time"]]).all()
        assert (batch[batch["quantity"] > 3] == items[4:]).all()
        assert np.shares_memory(np.asarray(batch), batch.array)
        assert batch.array.dtype == TICK
        assert not batch.array.flags.writeable
        copy = np.array(batch)
        assert copy.flags.owndata
        assert np.asarray(batch["price"], "<f4").dtype == np.float32
        with pytest.raises(ValueError, match="no field of name"):
            batch["none"]
    assert (copy == items).all()
    with pytest.raises(TimeoutError):
        pair.consumer.recv(timeout=0)


def test_batch_as_another_dtype_is_a_copy(pair: Pair) -> None:
    pair.producer.channel(np.float64).send_batch(np.arange(3.0))
    with pair.consumer.channel(np.float64).drain_batch() as batch:
        assert np.asarray(batch, "<f4").tolist() == [0, 1, 2]
        with pytest.raises(ValueError, match="are a copy"):
            batch.__array__("<f4", copy=False)


def test_batch_ends_before_what_is_not_the_channels(pair: Pair) -> None:
    sender, receiver = pair.producer.channel("<I", 1), pair.consumer.channel("<I", 1)
    for i in range(3):
        sender(i)
    pair.producer.send(b"stop", 2)
    pair.producer.send(b"other", 1)
    sender(9)
    with receiver.drain_batch() as batch:
        assert list(batch) == [(0,), (1,), (2,)]
    assert pair.consumer.recv(timeout=0) == Message(2, 4, b"stop")
    assert pair.consumer.recv(timeout=0).data == b"other"
    with receiver.drain_batch(timeout=0) as batch:
        assert batch.array["f0"].tolist() == [9]


def test_batch_takes_at_most_so_many(pair: Pair) -> None:
    pair.producer.channel("<I").send_batch(np.arange(10, dtype="<u4"))
    receiver = pair.consumer.channel("<I")
    for count in (4, 4, 2):
        with receiver.drain_batch(4) as batch:
            assert len(batch) == count
    with pytest.raises(TimeoutError):
        receiver.drain_batch(timeout=0.01)


def test_column_kept_after_the_batch_holds_it(pair: Pair) -> None:
    items = ticks(4)
    pair.producer.channel(TICK).send_batch(items)
    with pytest.raises(BufferError, match="still point"):
        with pair.consumer.channel(TICK).drain_batch() as batch:
            price = batch["price"]
    with pytest.raises(BufferError):
        pair.consumer.recv(timeout=0)
    assert (price == items["price"]).all()
    with pytest.raises(BufferError, match="was left"):
        batch["price"]
    with pytest.raises(TachyonError, match="was left"):
        batch[0]
    del price
    gc.collect()
    with pytest.raises(TimeoutError):
        pair.consumer.recv(timeout=0)


# ---- Its bus ----


def test_channel_keeps_its_bus(connect: Connect) -> None:
    pair = connect()
    sender = pair.producer.channel("<I")
    assert sender.bus is pair.producer
    watched = weakref.ref(sender)
    assert (sender.size, sender.type_id, sender.layout) == (4, 0, "<I")
    assert repr(sender) == "<tachyon.Channel of '<I', type_id 0>"
    del sender
    assert watched() is None


def test_channel_outlives_the_name_of_its_bus(socket_path: str) -> None:
    made: list[Channel] = []
    thread = threading.Thread(
        target=lambda: made.append(Bus.listen(socket_path, 4096).channel("<I"))
    )
    thread.start()
    sender = Bus.connect(socket_path, timeout=60).channel("<I")
    thread.join()
    gc.collect()
    sender(7)
    assert made[0].recv(timeout=5) == (7,)
    del sender
    with pytest.raises(ClosedError):
        made[0].recv(timeout=5)


def test_closed_bus_closes_its_channels(pair: Pair) -> None:
    channel = pair.producer.channel(TICK)
    pair.producer._bus.destroy()
    for call in (
        lambda: channel(*FIELDS),
        channel.recv,
        lambda: next(channel),
        lambda: channel.send_batch(ticks(1)),
        lambda: channel.recv_batch_into(ticks(1)),
        channel.drain_batch,
        lambda: pair.producer.channel(TICK),
    ):
        with pytest.raises(ClosedError, match="not open"):
            call()


def test_forked_child_may_not_use_it(pair: Pair) -> None:
    channel = pair.producer.channel("<I")
    child = os.fork()
    if child == 0:
        try:
            channel(1)
        except TachyonError as error:
            os._exit(0 if error.code == 22 else 2)  # TACHYON_ERR_FORKED
        os._exit(3)
    assert os.waitpid(child, 0)[1] == 0
    channel(2)
    assert pair.consumer.channel("<I").recv(timeout=0) == (2,)


def test_guard_that_is_open_excludes_channels(pair: Pair) -> None:
    channel = pair.producer.channel("<I")
    with pair.producer.send_zero_copy(4):
        with pytest.raises(TachyonError, match="another guard"):
            channel(1)


def test_dead_peer(start_peer: StartPeer, socket_path: str) -> None:
    start_peer(
        "bus = Bus.connect(path, timeout=60); bus.channel('<I', 1)(5)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    with Bus.listen(socket_path, 4096, timeout=60) as bus:
        channel = bus.channel("<I", 1)
        assert channel.recv(timeout=60) == (5,)
        with pytest.raises(PeerDeadError):
            channel.recv(timeout=60)


def test_channel_is_made_by_a_bus_only(pair: Pair) -> None:
    base: Any = Channel.__base__
    for arguments in ((), (pair.producer,), (object(), 0, "<I", 4, "no packer")):
        with pytest.raises(TypeError):
            base(*arguments)


def test_channel_needs_a_bus(pair: Pair) -> None:
    for wrong in (
        np.zeros(3),
        1.5,
        None,
        pair.producer._bus,
        pair.producer.channel("I"),
    ):
        with pytest.raises(TypeError, match="bus must be a Bus, not"):
            Channel(wrong, "<I")  # type: ignore[arg-type]


def test_subclass_may_take_the_call_over(pair: Pair) -> None:
    class Doubling(Channel):
        def __call__(self, *fields: Any, **keywords: Any) -> None:
            super().__call__(*(2 * field for field in fields), **keywords)

    Doubling(pair.producer, "<I", 1)(21)
    assert pair.consumer.channel("<I", 1).recv(timeout=0) == (42,)


def test_channels_leak_nothing(pair: Pair) -> None:
    def exchange(count: int) -> None:
        into = ticks(2)
        for _ in range(count):
            sender, receiver = pair.producer.channel(TICK), pair.consumer.channel(TICK)
            sender(*FIELDS)
            receiver.recv()
            sender.send_batch(into)
            receiver.recv_batch_into(into)
            sender.send_batch(into)
            with receiver.drain_batch() as batch:
                batch["price"].sum()
            pair.producer.send(b"x")
            with pytest.raises(UnexpectedMessage):
                receiver.recv()
            pair.consumer.recv()

    exchange(50)
    gc.collect()
    blocks, references = sys.getallocatedblocks(), sys.getrefcount(Channel)
    exchange(1000)
    gc.collect()
    assert sys.getallocatedblocks() - blocks < 500
    assert sys.getrefcount(Channel) - references < 10


@settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.sampled_from("xbBhHiIlLqQ?"), min_size=1))
def test_any_format_goes_round(pair: Pair, codes: list[str]) -> None:
    packer = struct.Struct("@" + "".join(codes))
    layout = layout_of(dtype_of(packer))
    assert layout.size == packer.size
    values = tuple(code == "?" or ord(code) % 100 for code in codes if code != "x")
    pair.producer.channel(packer, 1)(*values)
    pair.producer.channel(layout.given, 1)(*values)
    receiver = pair.consumer.channel(packer, 1)
    assert [receiver.recv(timeout=0) for _ in range(2)] == [values] * 2
