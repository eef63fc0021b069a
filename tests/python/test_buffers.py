# SPDX-License-Identifier: Apache-2.0
"""What of other objects' buffers is sent, and what means nothing to another process."""

import array
import asyncio
import ctypes
import mmap
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from tachyon import Bus, RpcBus

from conftest import Pair, RpcPair


class Ends(NamedTuple):
    """A pair of each kind."""

    tx: Bus
    rx: Bus
    caller: RpcBus
    callee: RpcBus


@pytest.fixture
def ends(pair: Pair, rpc: RpcPair) -> Ends:
    """Return a pair of each kind."""
    return Ends(*pair, *rpc)


def asked(ends: Ends) -> int:
    """Let the callee take a call that it has not answered yet."""
    call = ends.caller.call(b"", 1)
    with ends.callee.serve(timeout=1):
        return call


class Record(ctypes.Structure):
    """Plain numbers, with padding."""

    _fields_ = (("tag", ctypes.c_char), ("xy", ctypes.c_double * 2))


class Packed(ctypes.Structure):
    """Plain numbers, of which ctypes says no more than that they are bytes."""

    _pack_ = 1
    _fields_ = (("tag", ctypes.c_char), ("x", ctypes.c_double))


class Holder(ctypes.Structure):
    """A number and an object."""

    _fields_ = (("n", ctypes.c_int), ("what", ctypes.py_object))


class PackedHolder(Packed):
    """The same, in an array, hidden by the packing."""

    _pack_ = 1
    _fields_ = (("what", ctypes.py_object * 2),)


class Either(ctypes.Union):
    """A number or an object."""

    _fields_ = (("n", ctypes.c_long), ("what", ctypes.py_object))


class Node(ctypes.Structure):
    """As a list in C."""


Node._fields_ = [("value", ctypes.c_int), ("next", ctypes.POINTER(Node))]


class PackedNode(ctypes.Structure):
    """The same without padding."""

    _pack_ = 1
    _fields_ = (("value", ctypes.c_int), ("next", ctypes.POINTER(Node)))


OBJECTS = {
    "objects": np.array(["some", "text"], dtype=object),
    "field": np.zeros(2, [("n", "i4"), ("what", "O")]),
    "nested": np.zeros(2, [("n", "i4"), ("in", [("what", "O", (2,))])]),
    "without a format": np.zeros(2, [("t", "M8[s]"), ("what", "O")]),
    "memoryview": memoryview(np.array([None, 1])),
    "py_object": (ctypes.py_object * 2)(1, 2),
    "structure": (Holder * 2)(),
    "packed": (PackedHolder * 2)(),
    "memoryview of packed": memoryview((PackedHolder * 2)()),
    "union": (Either * 2)(),
}
POINTERS = {
    "char *": (ctypes.c_char_p * 2)(b"some", b"text"),
    "wchar_t *": (ctypes.c_wchar_p * 2)("some", "text"),
    "void *": (ctypes.c_void_p * 2)(1, 2),
    "int *": (ctypes.POINTER(ctypes.c_int) * 2)(),
    "function": (ctypes.CFUNCTYPE(ctypes.c_int) * 2)(),
    "structure": (Node * 2)(),
    "packed": (PackedNode * 2)(),
    "memoryview": memoryview(bytearray(16)).cast("P"),
}
ADDRESSES = {
    **{f"objects: {name}": value for name, value in OBJECTS.items()},
    **{f"pointers: {name}": value for name, value in POINTERS.items()},
}
Call = Callable[[Ends, Any], Any]
WAYS: dict[str, Call] = {
    "send": lambda e, data: e.tx.send(data),
    "send_async": lambda e, data: asyncio.run(e.tx.send_async(data)),
    "send_batch": lambda e, data: e.tx.send_batch(data),
    "channel": lambda e, data: (
        e.tx.channel(f"{data.itemsize}s").send_batch(data)
        if hasattr(data, "itemsize")
        else e.tx.channel(f"{ctypes.sizeof(data) // 2}s").send_batch(data)
    ),
    "call": lambda e, data: e.caller.call(data, 1),
    "call_async": lambda e, data: asyncio.run(e.caller.call_async(data, 1)),
    "reply": lambda e, data: e.callee.reply(asked(e), data, 1),
    "reply_async": lambda e, data: asyncio.run(e.callee.reply_async(asked(e), data, 1)),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ADDRESSES)
def test_addresses_are_not_sent(ends: Ends, way: str, name: str) -> None:
    what = "Python objects" if name.startswith("objects") else "pointers"
    with pytest.raises(
        TypeError, match=f"hold {what}, .* mean nothing elsewhere: send"
    ):
        WAYS[way](ends, ADDRESSES[name])
    with pytest.raises(TimeoutError):
        ends.rx.recv(timeout=0)


@pytest.mark.parametrize("name", ADDRESSES)
def test_addresses_are_not_received(pair: Pair, name: str) -> None:
    items = ADDRESSES[name]
    pair.producer.send(bytes(16))
    for receive in (
        pair.consumer.recv_batch_into,
        pair.consumer.channel("16s").recv_batch_into,
    ):
        with pytest.raises(TypeError, match="mean nothing elsewhere"):
            receive(items, timeout=0)
    assert pair.consumer.recv(timeout=0).data == bytes(16)


def test_addresses_themselves_can_be_sent_as_bytes(ends: Ends) -> None:
    for name, items in POINTERS.items():
        data = bytes(items)
        ends.tx.send(data)
        assert ends.rx.recv(timeout=0).data == data, name


PLAIN = {
    "bytes": b"data",
    "bytearray": bytearray(b"data"),
    "subclass": type("Own", (bytes,), {})(b"data"),
    "mmap": mmap.mmap(-1, 4096),
    "array": array.array("d", [1, 2]),
    "wide characters": array.array("u", "text"),
    "memoryview": memoryview(b"data")[1:3],
    "floats": np.arange(6.0).reshape(2, 3),
    "no items": np.zeros((2, 0)),
    "scalar": np.float64(1.5),
    "0-d": np.array(7),
    "complex": np.array([1j, 2j]),
    "complex fields": np.zeros(2, [("z", "c8"), ("Zebra", "c16"), ("O", "u1")]),
    "long doubles": np.zeros(2, "g"),
    "halves": np.zeros(2, "e"),
    "big-endian": np.arange(2, dtype=">i4"),
    "bools": np.array([True, False]),
    "text": np.array(["some", "text"]),
    "dates": np.array(["2026-01-01", "2026-01-02"], "M8[s]"),
    "dates in fields": np.zeros(2, [("t", "M8[s]"), ("&O", "u1"), ("P", "f4")]),
    "packed fields": np.zeros(2, [("a", "u1"), ("b", "f8"), ("c", "V3")]),
    "ctypes": ctypes.c_int(5),
    "structures": (Record * 2)(Record(b"a", (1, 2))),
    "packed": (Packed * 2)(Packed(b"a", 3)),
    "wchar_t": (ctypes.c_wchar * 2)("a", "b"),
    "long double": (ctypes.c_longdouble * 2)(1, 2),
}


@pytest.mark.parametrize("name", PLAIN)
def test_plain_data_arrive_as_they_are(ends: Ends, name: str) -> None:
    data: Any = PLAIN[name]
    expected = data.tobytes() if hasattr(data, "tobytes") else bytes(data)
    ends.tx.send(data)
    assert ends.rx.recv(timeout=0).data == expected
    call = ends.caller.call(data, 1)
    with ends.callee.serve(timeout=1) as request:
        assert bytes(request) == expected
    ends.callee.reply(call, data, 2)
    with ends.caller.wait(call, timeout=1) as reply:
        assert bytes(reply) == expected


@pytest.mark.parametrize(
    "data", [np.zeros(10)[::2], np.zeros((2, 3)).T, memoryview(b"data")[::2]], ids=repr
)
def test_data_with_gaps_are_refused(ends: Ends, data: Any) -> None:
    for send in (WAYS["send"], WAYS["call"], WAYS["reply"]):
        with pytest.raises((BufferError, ValueError), match="contiguous"):
            send(ends, data)


def test_buffers_are_given_back(ends: Ends) -> None:
    for good, data in ((True, bytearray(8)), (False, bytearray(8))):
        view: Any = memoryview(data) if good else memoryview(data).cast("P")
        for send in map(WAYS.__getitem__, ("send", "send_batch", "channel", "call")):
            if good:
                send(ends, view)
            else:
                with pytest.raises(TypeError):
                    send(ends, view)
        view.release()
        data.clear()  # BufferError while anything holds it
