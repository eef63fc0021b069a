# SPDX-License-Identifier: Apache-2.0
"""Arrays as messages, with their shape and dtype."""

import array
import asyncio
import ctypes
import gc
import itertools
import resource
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tachyon import (
    Bus,
    ClosedError,
    Frame,
    LaggedError,
    PeerDeadError,
    RingFull,
    Role,
    SlowPeer,
    TachyonError,
    UnexpectedMessage,
    WithoutPeers,
)

from conftest import Pair, Run, StartPeer
from test_dlpack import READ_ONLY, Legacy, taken

HEADER = struct.Struct("<IBBBBHHI6q")
MAGIC = 0x46434154
DTYPES = [
    *("bool", "int8", "int16", "int32", "int64"),
    *("uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
]


def header(shape: tuple[int, ...], code: int = 1, bits: int = 8, **other: int) -> bytes:
    """Return the header of a frame."""
    values = {"magic": MAGIC, "version": 1, "ndim": len(shape), "lanes": 1}
    values |= {"flags": 0, "tag": 0, **other}
    return HEADER.pack(
        *(values["magic"], values["version"], values["ndim"], code, bits),
        *(values["lanes"], values["flags"], values["tag"]),
        *(*shape, 0, 0, 0, 0, 0, 0)[:6],
    )


def numbers(shape: tuple[int, ...], dtype: str = "float32") -> Any:
    """Return an array with a number of its own in each place."""
    return np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)


def nothing_left(bus: Bus) -> bool:
    """Tell whether a receiving end has released all, and there is no message."""
    gc.collect()
    with pytest.raises(TimeoutError):
        bus.recv(0)
    return bus.stats().used == 0


# ---- What is sent ----


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtype_arrives(pair: Pair, dtype: str) -> None:
    sent = numbers((3, 4), dtype)
    pair.producer.send_array(sent, 5, 7)
    with pair.consumer.recv_array_zero_copy() as frame:
        assert (frame.dtype, frame.shape) == (dtype, (3, 4))
        assert (frame.type_id, frame.tag) == (5, 7)
        there = np.asarray(frame)
        assert there.dtype == np.dtype(dtype)
        assert there.dtype.num == np.dtype(dtype).num  # int64 is no "long long"
        assert np.array_equal(there, sent)
        del there
    assert nothing_left(pair.consumer)


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4", "f8", "c16"])
def test_any_strides_arrive(pair: Pair, dtype: str) -> None:
    whole = numbers((4, 5, 6), dtype)
    steps = [slice(None), slice(None, None, -1), slice(1, None, 2), slice(2, 2)]
    views = [
        *(whole[picked] for picked in itertools.product(steps, repeat=3)),
        *(whole.transpose(axes) for axes in itertools.permutations(range(3))),
        *(whole[1], whole[:, 2], whole[..., 3], whole[1, 2, 3:4], whole[1, 2, 3]),
        np.broadcast_to(whole[0, 0], (3, 6)),
        whole[None, :, None],
        np.asfortranarray(whole)[::2],
    ]
    out_of_order = np.zeros((6, 5, 4), dtype).T
    for view in views:
        pair.producer.send_array(view)
        pair.producer.send_array(view)
        received = pair.consumer.recv_array()
        assert received.shape == view.shape
        assert np.array_equal(received, view)
        out = np.zeros_like(view, order="C")
        if view.shape == out_of_order.shape:
            out = out_of_order
        assert pair.consumer.recv_array(out) is out
        assert np.array_equal(out, view)
    assert nothing_left(pair.consumer)


def test_column_major_stays_so(pair: Pair) -> None:
    sent = np.asfortranarray(numbers((3, 4, 5)))
    pair.producer.send_array(sent)
    pair.producer.send_array(sent)
    message = pair.consumer.recv()
    assert message.data == header((3, 4, 5), 2, 32, flags=1) + sent.tobytes("A")
    with pair.consumer.recv_array_zero_copy() as frame:
        view = memoryview(frame)
        assert (view.shape, view.strides) == (sent.shape, sent.strides)
        assert view.f_contiguous
        assert not view.c_contiguous
        there = np.from_dlpack(frame)
        assert there.strides == sent.strides
        assert np.array_equal(there, sent)
        view.release()
        del there


def test_what_is_in_the_ring(pair: Pair) -> None:
    pair.producer.send_array(numbers((2, 3), "int16"), 3, 0xFFFFFFFF)
    assert pair.consumer.recv() == (
        3,
        76,
        header((2, 3), 0, 16, tag=0xFFFFFFFF) + struct.pack("<6h", *range(6)),
    )


def test_items_lie_at_a_multiple_of_64(pair: Pair) -> None:
    for size in (0, 1, 63, 64, 65, 1000):
        pair.producer.send_array(np.zeros(size, "u1"))
        with pair.consumer.recv_array_zero_copy() as frame:
            there = np.asarray(frame)
            assert there.__array_interface__["data"][0] % 64 == 0
            del there


@pytest.mark.parametrize(
    ("sent", "dtype", "shape"),
    [
        (b"abc", "uint8", (3,)),
        (bytearray(), "uint8", (0,)),
        (memoryview(b"abcd").cast("H"), "uint16", (2,)),
        (memoryview(b"abcdef").cast("B", (3, 2)), "uint8", (3, 2)),
        (array.array("d", [1.5, 2]), "float64", (2,)),
        (array.array("l", [1]), "int64", (1,)),
        (((ctypes.c_int32 * 3) * 2)(), "int32", (2, 3)),
        (np.float32(2.5), "float32", ()),
        (np.zeros((2, 0, 3)), "float64", (2, 0, 3)),
        (np.zeros((1,) * 6, "?"), "bool", (1,) * 6),
        (np.zeros(3, ">u1"), "uint8", (3,)),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_whatever_has_a_buffer(
    pair: Pair, sent: Any, dtype: str, shape: tuple[int, ...]
) -> None:
    pair.producer.send_array(sent)
    with pair.consumer.recv_array_zero_copy() as frame:
        assert (frame.dtype, frame.shape) == (dtype, shape)
        assert memoryview(frame).tobytes() == memoryview(sent).tobytes()


class Tensor:
    """What other libraries' arrays are like: DLPack, and no buffer."""

    def __init__(self, content: Any, device: tuple[int, int] = (1, 0)) -> None:
        self.content = content
        self.device = device

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device

    def __dlpack__(self, **keywords: Any) -> Any:
        return self.content.__dlpack__(**keywords)


class OldTensor(Tensor):
    """One from before version 1."""

    def __dlpack__(self) -> Any:
        return self.content.__dlpack__()


@pytest.mark.parametrize("kind", [Tensor, OldTensor])
def test_whatever_has_dlpack(pair: Pair, kind: type[Tensor]) -> None:
    content = numbers((4, 6))
    for sent in (content, content[::2, ::-1], content.T, content[:0]):
        pair.producer.send_array(kind(sent))
        assert np.array_equal(pair.consumer.recv_array(), sent)
    count = sys.getrefcount(content)
    pair.producer.send_array(kind(content))
    assert sys.getrefcount(content) == count
    out = np.zeros((4, 6), "f4")
    assert isinstance(pair.consumer.recv_array(kind(out)), kind)
    assert np.array_equal(out, content)


def test_tensor_on_another_device_is_refused(pair: Pair) -> None:
    with pytest.raises(BufferError, match=r"type 2, number 1.*\.cpu\(\)"):
        pair.producer.send_array(Tensor(numbers((2,)), (2, 1)))


def test_tensor_that_is_read_only_is_no_target(pair: Pair) -> None:
    out = np.zeros(3, "f4")
    out.flags.writeable = False
    pair.producer.send_array(numbers((3,)))
    for target in (out, Tensor(out), b"abc"):
        with pytest.raises(TypeError, match="read-only"):
            pair.consumer.recv_array(target)
    assert pair.consumer.recv_array().tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("sent", "error", "hint"),
    [
        (np.array([object()]), TypeError, "Python objects.*tachyon.Queue"),
        (np.zeros(2, [("a", "O")]), TypeError, "Python objects"),
        ((ctypes.py_object * 2)(), TypeError, "Python objects"),
        (np.array(["text"]), TypeError, "holds text"),
        (np.array([b"text"]), TypeError, "holds text"),
        *(
            (np.array(["text"], kind()), TypeError, "holds text")
            for kind in [getattr(np.dtypes, "StringDType", None)]  # of NumPy 2
            if kind
        ),
        ((ctypes.c_char * 2)(), TypeError, "holds text"),
        (np.zeros(2, "M8[ns]"), TypeError, r'\.view\("i8"\)'),
        (np.zeros(2, "m8[s]"), TypeError, r'\.view\("i8"\)'),
        (np.zeros(2, "i4,f4"), TypeError, r"channel\(array\.dtype\)\.send_batch"),
        (np.zeros(2, ">i4"), TypeError, "byte order.*newbyteorder"),
        (np.zeros(2, ">c16"), TypeError, "byte order.*newbyteorder"),
        (np.zeros(2, "g"), TypeError, "convert it"),
        (np.zeros(2, "V3"), TypeError, "convert it"),
        (np.zeros((1,) * 7), ValueError, "7 dimensions, a frame at most 6"),
        ([1, 2], TypeError, r"a buffer or __dlpack__.*\[1, 2\]"),
        (None, TypeError, "a buffer or __dlpack__"),
        ("text", TypeError, "a buffer or __dlpack__"),
        (np.zeros(1 << 16, "u1"), ValueError, "can never fit"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_cannot_be_sent_is_refused(
    pair: Pair, sent: Any, error: type[Exception], hint: str
) -> None:
    with pytest.raises(error, match=hint):
        pair.producer.send_array(sent)
    pair.producer.send_array(b"next")
    assert pair.consumer.recv_array().tobytes() == b"next"
    assert nothing_left(pair.consumer)


def test_a_full_ring_refuses_or_waits(pair: Pair) -> None:
    sent = np.zeros(20000, "u1")
    for _ in range(3):
        pair.producer.send_array(sent)
    with pytest.raises(RingFull):
        pair.producer.send_array(sent, block=False)
    with pytest.raises(TimeoutError, match="no room to send"):
        pair.producer.send_array(sent, timeout=0.01)
    pair.consumer.recv_array()
    pair.producer.send_array(sent, timeout=5)


# ---- What is received ----


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "0 bytes, fewer than the 64"),
        (header((1,))[:63], "63 bytes, fewer than the 64"),
        (bytes(64), "begins with 0x00000000"),
        (header((1,)), "makes 1 bytes of items, in a message with 0"),
        (header((1,)) + b"ab", "makes 1 bytes of items, in a message with 2"),
        (header((1,), version=2) + b"a", "format 2"),
        (header((1,), ndim=7) + b"a", "7 dimensions"),
        (header((1,), code=3) + b"a", "code 3"),
        (header((1,), code=0, bits=12) + b"a", "12 bits"),
        (header((1,), code=0, bits=24) + b"abc", "no name in Python"),
        (header((1,), lanes=2) + b"ab", "2 lanes"),
        (header((1,), flags=2) + b"a", "flags 0x0002"),
        (header((-1,)) + b"a", "-1 items"),
        (header((1, 5), ndim=1) + b"a", "5 items along dimension 1"),
        (header((1 << 62, 4)), r"2\^63 bytes"),
        (header((1 << 32, 1 << 32)), r"2\^63 bytes"),
        (header((0, 1 << 62, 1 << 62)), r"2\^63 bytes"),
    ],
    ids=lambda value: str(value)[-30:],
)
def test_a_message_that_is_no_frame_stays(pair: Pair, data: bytes, why: str) -> None:
    pair.producer.send(data, 9)
    out = np.zeros(1, "u1")
    for call in (
        pair.consumer.recv_array,
        pair.consumer.recv_array_zero_copy,
        lambda: pair.consumer.recv_array(hold=True),
        lambda: pair.consumer.recv_array(out),
    ):
        with pytest.raises(UnexpectedMessage, match=why) as caught:
            call()
        assert (caught.value.type_id, caught.value.size) == (9, len(data))
    assert pair.consumer.recv() == (9, len(data), data)
    assert nothing_left(pair.consumer)


def test_a_message_that_is_no_frame_stays_behind_held_ones(pair: Pair) -> None:
    pair.producer.send_array(b"held")
    pair.producer.send(b"no frame")
    held = pair.consumer.recv_array(hold=True)
    for call in (pair.consumer.recv_array, pair.consumer.recv_array_zero_copy):
        with pytest.raises(UnexpectedMessage, match="stays in the ring"):
            call()
    assert pair.consumer.recv().data == b"no frame"
    assert held.tobytes() == b"held"
    del held
    assert nothing_left(pair.consumer)


@pytest.mark.parametrize(
    ("out", "what"),
    [
        (np.zeros((3, 4), "f8"), r"float64 \(3, 4\)"),
        (np.zeros((3, 4), "i4"), r"int32 \(3, 4\)"),
        (np.zeros((4, 3), "f4"), r"float32 \(4, 3\)"),
        (np.zeros(12, "f4"), r"float32 \(12,\)"),
        (bytearray(48), r"uint8 \(48,\)"),
    ],
    ids=str,
)
def test_a_target_of_another_kind_takes_nothing(
    pair: Pair, out: Any, what: str
) -> None:
    pair.producer.send_array(numbers((3, 4)))
    with pytest.raises(
        UnexpectedMessage, match=rf"float32 \(3, 4\), out is of {what}; it stays"
    ):
        pair.consumer.recv_array(out)
    assert bytes(out) == bytes(len(bytes(out)))
    assert np.array_equal(pair.consumer.recv_array(), numbers((3, 4)))


def test_target_and_hold_exclude_each_other(pair: Pair) -> None:
    with pytest.raises(ValueError, match="one of them"):
        pair.consumer.recv_array(np.zeros(3), hold=True)


def test_a_copy_is_the_callers(pair: Pair) -> None:
    pair.producer.send_array(numbers((3, 4)))
    copy = pair.consumer.recv_array()
    assert type(copy) is np.ndarray
    assert nothing_left(pair.consumer)
    copy += 1
    pair.consumer.close()
    assert np.array_equal(copy, numbers((3, 4)) + 1)
    assert copy.__array_interface__["data"][0] % 64 == 0


def test_header_that_changes_after_it_was_read(pair: Pair) -> None:
    with pair.producer.send_zero_copy(64 + 12) as tx:
        tx.buf[:] = header((3,), 2, 32, tag=4) + struct.pack("<3f", 1, 2, 3)
        address = ctypes.addressof(ctypes.c_char.from_buffer(tx.buf))
    with pair.consumer.recv_array_zero_copy() as frame:
        # The producer's mapping of the slot is still there, for a hostile one.
        ctypes.memmove(address, header((1 << 40,), 5, 128, tag=9), 64)
        assert (frame.shape, frame.dtype, frame.tag) == ((3,), "float32", 4)
        assert memoryview(frame).tolist() == [1, 2, 3]
        assert np.from_dlpack(frame).tolist() == [1, 2, 3]


# ---- The block ----


def test_an_array_outlives_its_block(pair: Pair) -> None:
    for tag in range(4):
        pair.producer.send_array(numbers((3, 4)), tag=tag)
    with (
        pytest.raises(BufferError, match="1 view still points"),
        pair.consumer.recv_array_zero_copy() as frame,
    ):
        kept = np.asarray(frame)
    with pytest.raises(BufferError, match="this frame was left"):
        memoryview(frame)
    with pytest.raises(BufferError, match="this frame was left"):
        np.from_dlpack(frame)
    # Which blocks nobody.
    assert pair.consumer.recv_array().shape == (3, 4)
    with pair.consumer.recv_array_zero_copy() as other:
        assert other.tag == 2
    assert pair.consumer.recv().size == 64 + 48
    assert np.array_equal(kept, numbers((3, 4)))
    assert pair.consumer.stats().used > 0
    del kept
    assert nothing_left(pair.consumer)


def test_an_exception_is_not_replaced(pair: Pair) -> None:
    pair.producer.send_array(numbers((3, 4)))
    kept = []

    def fail() -> None:
        with pair.consumer.recv_array_zero_copy() as frame:
            kept.append(np.asarray(frame))
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine") as caught:
        fail()
    if sys.version_info >= (3, 11):
        assert "still points" in caught.value.__notes__[0]
    kept.clear()
    del caught
    assert nothing_left(pair.consumer)


def test_a_frame_that_nobody_enters_is_released(pair: Pair) -> None:
    for _ in range(100):
        pair.producer.send_array(np.zeros(8000, "u1"), timeout=5)
        frame = pair.consumer.recv_array_zero_copy()
        assert repr(frame) == "<tachyon.Frame of uint8 (8000,), tag 0>"
        del frame
    assert nothing_left(pair.consumer)


def test_two_frames_at_once(pair: Pair) -> None:
    for tag in range(2):
        pair.producer.send_array(numbers((3,)), tag=tag)
    with (
        pair.consumer.recv_array_zero_copy() as first,
        pair.consumer.recv_array_zero_copy() as second,
    ):
        assert (first.tag, second.tag) == (0, 1)
        assert bytes(first) == bytes(second)
    assert nothing_left(pair.consumer)


def test_views_of_a_frame(pair: Pair) -> None:
    pair.producer.send_array(numbers((3, 4), "int32"))
    with pair.consumer.recv_array_zero_copy() as frame:
        with memoryview(frame) as view:
            assert (view.format, view.itemsize, view.ndim) == ("i", 4, 2)
            assert view.readonly
            assert view.tolist() == numbers((3, 4)).tolist()
        with pytest.raises((TypeError, BufferError), match=r"not writable|read-only"):
            ctypes.c_char.from_buffer(frame)
        assert np.frombuffer(frame, "i4").tolist() == [*range(12)]
    with pytest.raises(BufferError, match="was left"):
        frame.__enter__()


# ---- DLPack ----


def test_both_capsules(pair: Pair) -> None:
    pair.producer.send_array(numbers((3, 4)))
    with pair.consumer.recv_array_zero_copy() as frame:
        assert frame.__dlpack_device__() == (1, 0)
        place = np.asarray(frame).__array_interface__["data"][0]
        for name, keywords in {
            b"dltensor": {},
            b"dltensor_versioned": {"max_version": (1, 0)},
        }.items():
            managed = taken(frame.__dlpack__(**keywords), name)
            tensor = managed.tensor
            assert tensor.data == place
            assert (tensor.ndim, tensor.code, tensor.bits, tensor.lanes) == (
                2,
                2,
                32,
                1,
            )
            assert tensor.shape[:2] == [3, 4]
            assert tensor.strides[:2] == [4, 1]
            assert name == b"dltensor" or managed.flags == READ_ONLY
            managed.deleter(ctypes.addressof(managed))
        with pytest.raises(BufferError, match="dl_device"):
            frame.__dlpack__(dl_device=(2, 0))
        copy = np.from_dlpack(frame, copy=True)
    assert np.array_equal(copy, numbers((3, 4)))
    assert nothing_left(pair.consumer)


def test_a_tensor_outlives_the_block(pair: Pair) -> None:
    pair.producer.send_array(numbers((3, 4)))
    with (
        pytest.raises(BufferError, match="still points"),
        pair.consumer.recv_array_zero_copy() as frame,
    ):
        managed: Legacy = taken(frame.__dlpack__(), b"dltensor")
    assert pair.consumer.stats().used > 0
    managed.deleter(ctypes.addressof(managed))
    assert nothing_left(pair.consumer)


def test_bfloat16(pair: Pair) -> None:
    data = header((2, 2), 4, 16) + struct.pack("<4H", 1, 2, 3, 4)
    pair.producer.send(data)
    pair.producer.send(data)
    with pair.consumer.recv_array_zero_copy() as frame:
        assert frame.dtype == "bfloat16"
        with pytest.raises(BufferError, match=r"torch\.from_dlpack"):
            memoryview(frame)
        managed = taken(frame.__dlpack__(), b"dltensor")
        assert (managed.tensor.code, managed.tensor.bits) == (4, 16)
        pair.producer.send_array(Tensor(frame))
        managed.deleter(ctypes.addressof(managed))
    copy: Any = pair.consumer.recv_array()
    assert isinstance(copy, Frame)
    assert copy.shape == (2, 2)
    assert pair.consumer.recv().data == data


# ---- Held ----


def test_held_arrays_live_as_long_as_they_like(pair: Pair) -> None:
    held = []
    for tag in range(5):
        pair.producer.send_array(np.full(1000, tag, "u1"))
        held.append(pair.consumer.recv_array(hold=True))
        assert not held[-1].flags.writeable
        pair.producer.send(b"between")
        assert pair.consumer.recv().data == b"between"
    assert [int(a[0]) for a in held] == [0, 1, 2, 3, 4]
    all_of_it = pair.consumer.stats().used
    del held[2]  # waits for what is older
    assert pair.consumer.stats().used == all_of_it
    part = held[0][10:20]
    del held[0]
    assert pair.consumer.stats().used == all_of_it
    del part
    assert pair.consumer.stats().used < all_of_it
    assert [int(a[0]) for a in held] == [1, 3, 4]
    del held
    assert nothing_left(pair.consumer)


@pytest.mark.parametrize("seed", range(5))
def test_held_in_any_order(pair: Pair, seed: int) -> None:
    random = np.random.default_rng(seed)
    held: list[tuple[int, Any]] = []
    number = 0
    for _ in range(2000):
        if random.random() < 0.5 or len(held) > 12:
            if held:
                del held[random.integers(len(held))]
            continue
        size = int(random.integers(1, 1200))
        number = number % 250 + 1
        pair.producer.send_array(np.full(size, number, "u1"), timeout=5)
        kind = random.integers(4)
        try:
            if kind == 0:
                assert pair.consumer.recv_array().tolist() == [number] * size
            elif kind == 1:
                assert pair.consumer.recv().data[64:] == bytes([number]) * size
            elif kind == 2:
                with pair.consumer.recv_zero_copy() as rx:
                    assert rx.buf[64] == number
            else:
                held.append((number, pair.consumer.recv_array(hold=True)))
        except BufferError as error:
            assert "more than half of the ring" in str(error)
            del held[0]  # the oldest
            assert pair.consumer.recv_array().tolist() == [number] * size
        for expected, array_ in held:
            assert array_[0] == array_[-1] == expected
    held.clear()
    del array_
    assert nothing_left(pair.consumer)


# Of a program of its own: both ends of a bus.
PAIR = """
import threading
from tachyon import Bus
ends = []
thread = threading.Thread(target=lambda: ends.append(Bus.listen(PATH, 1 << 16)))
thread.start()
tx = Bus.connect(PATH, timeout=10)
thread.join()
rx, = ends
"""

MANY_BEHIND = f"""
{PAIR}
for number in range(100):
    tx.send_array(bytes([number]))
held = rx.recv_array(hold=True)
for number in range(1, 100):
    assert rx.recv_array().tobytes() == bytes([number])
"""


def test_many_are_received_behind_one_that_is_held(socket_path: str) -> None:
    code = f"PATH = {socket_path!r}\n{MANY_BEHIND}"
    subprocess.run([sys.executable, "-X", "dev", "-c", code], check=True, timeout=60)


def test_more_than_half_of_the_ring_is_refused(pair: Pair) -> None:
    held = []
    for tag in range(3):
        pair.producer.send_array(np.zeros(16000, "u1"), tag=tag)
    for _ in range(3):
        held.append(pair.consumer.recv_array(hold=True))
    pair.producer.send(b"next")
    for call in (
        pair.consumer.recv,
        pair.consumer.recv_array,
        pair.consumer.recv_zero_copy,
        pair.consumer.recv_array_zero_copy,
        lambda: pair.consumer.recv_array(hold=True),
    ):
        with pytest.raises(BufferError, match="more than half of the ring; drop"):
            call()
    del held[0]
    assert pair.consumer.recv().data == b"next"
    held.clear()
    assert nothing_left(pair.consumer)


def test_batches_are_refused_while_one_is_held(pair: Pair) -> None:
    pair.producer.send_array(b"held")
    pair.producer.send(b"next")
    held = pair.consumer.recv_array(hold=True)
    for call in (
        pair.consumer.drain_batch,
        pair.consumer.channel("<I").drain_batch,
        lambda: pair.consumer.recv_batch_into(bytearray(4)),
    ):
        with pytest.raises(BufferError, match="drop it first"):
            call()
    assert held.tobytes() == b"held"
    del held
    with pair.consumer.drain_batch() as batch:
        assert bytes(batch[0]) == b"next"
    assert nothing_left(pair.consumer)


def test_channels_go_on_behind_what_is_held(pair: Pair) -> None:
    numbers_, words = pair.consumer.channel("<I", 1), pair.consumer.channel("4s", 2)
    pair.producer.send_array(b"held")
    held = pair.consumer.recv_array(hold=True)
    for i in range(200):
        pair.producer.send(struct.pack("<I", i), 1)
        assert numbers_.recv() == (i,)
    del held
    pair.producer.send(struct.pack("<I", 200), 1)
    assert next(iter(numbers_)) == (200,)
    pair.producer.send_array(b"held")
    held = pair.consumer.recv_array(hold=True)
    pair.producer.send(b"word", 2)
    for _ in range(2):
        with pytest.raises(UnexpectedMessage, match="stays"):
            numbers_.recv()
    assert words.recv() == (b"word",)
    assert held.tobytes() == b"held"
    del held
    assert nothing_left(pair.consumer)


def test_a_wait_releases_what_is_let_go_meanwhile(pair: Pair) -> None:
    pair.producer.send_array(np.zeros(30000, "u1"))
    held = [pair.consumer.recv_array(hold=True)]
    large = np.ones(40000, "u1")  # for which there is no room beside it
    with pytest.raises(RingFull):
        pair.producer.send_array(large, block=False)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        sent = loop.run_in_executor(None, pair.producer.send_array, large)
        received = loop.run_in_executor(None, pair.consumer.recv_array)
        await asyncio.sleep(0.05)
        held.clear()
        await asyncio.wait_for(sent, 20)
        assert np.array_equal(await asyncio.wait_for(received, 20), large)

    asyncio.run(main())
    assert nothing_left(pair.consumer)


def test_a_wait_behind_a_held_one_ends_in_time(pair: Pair) -> None:
    pair.producer.send_array(b"held")
    held = pair.consumer.recv_array(hold=True)
    for timeout in (0, 0.03):
        with pytest.raises(TimeoutError, match=rf"no message.*timeout={timeout}"):
            pair.consumer.recv_array(timeout=timeout)
    assert held.tobytes() == b"held"


# ---- The end ----


def test_closing_with_a_held_frame_is_refused(pair: Pair) -> None:
    pair.producer.send_array(numbers((3,)))
    held = pair.consumer.recv_array(hold=True)
    with pytest.raises(BufferError, match="1 view still points into its ring"):
        pair.consumer.close()
    assert held.tolist() == [0, 1, 2]
    del held
    pair.consumer.close()


def test_an_abort_keeps_what_is_held(pair: Pair) -> None:
    pair.producer.send_array(numbers((3,)))
    pair.producer.send_array(numbers((3,)))
    held = pair.consumer.recv_array(hold=True)
    frame = pair.consumer.recv_array_zero_copy()
    pair.consumer.abort()
    assert held.tolist() == [0, 1, 2]
    with pytest.raises(BufferError, match="the bus of this frame was closed"):
        memoryview(frame)
    with pytest.raises(BufferError, match="the bus of this frame was closed"):
        frame.__enter__()
    with pytest.raises(ClosedError):
        pair.consumer.recv_array(timeout=0)
    del frame, held


def test_a_wait_behind_what_is_held_sleeps(pair: Pair) -> None:
    pair.producer.send_array(b"held")
    held = pair.consumer.recv_array(hold=True)
    before, awake = resource.getrusage(resource.RUSAGE_THREAD), time.thread_time()
    with pytest.raises(TimeoutError):
        pair.consumer.recv_zero_copy(spin_threshold=1 << 20, timeout=1)
    awake = time.thread_time() - awake
    after = resource.getrusage(resource.RUSAGE_THREAD)
    assert awake < 0.1
    assert after.ru_nvcsw - before.ru_nvcsw < 40
    assert held.tobytes() == b"held"


def test_a_frame_whose_bus_is_closed(pair: Pair) -> None:
    pair.producer.send_array(numbers((3,)))
    with pair.consumer.recv_array_zero_copy() as frame:
        pair.consumer.close()
        with pytest.raises(BufferError, match="the bus of this frame was closed"):
            bytes(frame)


def test_what_is_held_outlives_the_peer(
    start_peer: StartPeer, socket_path: str
) -> None:
    peer = start_peer(
        "bus = Bus.connect(path, timeout=10)\n"
        "bus.send_array(b'first'); bus.send_array(b'second')\n"
        "os.kill(os.getpid(), 9)\n"
    )
    with Bus.listen(socket_path, 1 << 16, timeout=10) as bus:
        peer.wait()
        held = [bus.recv_array(hold=True), bus.recv_array(hold=True)]
        for _ in range(2):
            with pytest.raises(PeerDeadError):
                bus.recv_array(hold=True, timeout=5)
        assert [a.tobytes() for a in held] == [b"first", b"second"]
        held.clear()
        with pytest.raises(PeerDeadError):
            bus.recv_array(timeout=5)


def test_a_closed_stream_ends_behind_what_is_held(pair: Pair) -> None:
    pair.producer.send_array(b"held")
    held = pair.consumer.recv_array(hold=True)
    pair.producer.close()
    with pytest.raises(ClosedError):
        pair.consumer.recv_array(timeout=5)
    assert held.tobytes() == b"held"
    del held
    assert list(pair.consumer) == []


def test_many_producers_hold_one_at_a_time(socket_path: str) -> None:
    with Bus.listen(
        socket_path, 1 << 16, role=Role.CONSUMER, max_peers=2, timeout=5
    ) as bus:
        bus.accept_in_background()
        senders = [Bus.connect(socket_path, timeout=5) for _ in range(2)]
        for sender in senders:
            sender.send_array(b"one")
        held = bus.recv_array(hold=True, timeout=5)
        with pytest.raises(TachyonError, match="one message, or batch"):
            bus.recv_array(timeout=5)
        assert held.tobytes() == b"one"
        del held
        assert bus.recv_array(timeout=5).tobytes() == b"one"
        for sender in senders:
            sender.close()


@pytest.fixture
def broadcast(socket_path: str) -> Iterator[Pair]:
    """Return a producer of many that waits for nobody, and a consumer."""
    with Bus.listen(
        socket_path,
        1 << 16,
        role=Role.PRODUCER,
        max_peers=2,
        slow_peer=SlowPeer.DISCONNECT,
        slow_after=0.001,
        without_peers=WithoutPeers.FREE_RUN,
    ) as feed:
        feed.accept_in_background()
        reader = Bus.connect(socket_path, timeout=5, role=Role.CONSUMER)
        deadline = time.monotonic() + 20
        while not feed.peers() and time.monotonic() < deadline:
            time.sleep(0.001)
        yield Pair(feed, reader)
        reader.close()


def test_a_reader_that_was_let_go_is_told(broadcast: Pair) -> None:
    feed, reader = broadcast
    feed.send_array(np.zeros(10000, "u1"))
    feed.send(b"next")
    held = reader.recv_array(hold=True, timeout=5)
    for _ in range(20):
        feed.send_array(np.ones(10000, "u1"), timeout=5)
    for _ in range(2):
        with pytest.raises(LaggedError):
            reader.recv(timeout=5)
    del held


@pytest.mark.parametrize("out", [None, np.zeros(2)])
def test_what_was_overwritten_is_no_unexpected_message(
    broadcast: Pair, out: Any
) -> None:
    feed, reader = broadcast
    for _ in range(2):
        feed.send_array(np.zeros(3))
    held = reader.recv_array(hold=True, timeout=5)
    with pytest.raises(UnexpectedMessage, match="out is of float64"):
        reader.recv_array(np.zeros(4))
    for _ in range(300):
        feed.send(bytes(1000), timeout=5)
    with pytest.raises(LaggedError):
        reader.recv_array(out)
    del held


def test_a_frame_that_was_overwritten_says_so_behind_what_is_held(
    broadcast: Pair,
) -> None:
    feed, reader = broadcast
    for _ in range(2):
        feed.send_array(np.zeros(3))
    held = reader.recv_array(hold=True, timeout=5)
    with pytest.raises(LaggedError), reader.recv_array_zero_copy():
        for _ in range(300):
            feed.send(bytes(1000), timeout=5)
    del held


# ---- Without NumPy, and in an event loop ----

WITHOUT_NUMPY = f"""
import array, sys
sys.modules["numpy"] = None
from tachyon import Frame
{PAIR}
sent = memoryview(array.array("f", range(12))).cast("B").cast("f", (3, 4))
for _ in range(4):
    tx.send_array(sent, tag=3)
copy = rx.recv_array()
assert type(copy) is Frame, copy
view = memoryview(copy)
assert view.tolist() == sent.tolist() and not view.readonly
view[1, 2] = 7
held = rx.recv_array(hold=True)
assert type(held) is Frame and memoryview(held).readonly
out = memoryview(bytearray(48)).cast("f", (3, 4))
assert rx.recv_array(out) is out and out == sent
with rx.recv_array_zero_copy() as frame:
    assert (frame.shape, frame.dtype, frame.tag) == ((3, 4), "float32", 3)
    assert memoryview(frame) == sent
with copy:
    pass
assert copy.__dlpack__(max_version=(1, 0))
del held
rx.close()
assert memoryview(copy)[1, 2] == 7
assert sys.modules["numpy"] is None
"""


def test_without_numpy(socket_path: str) -> None:
    code = f"PATH = {socket_path!r}\n{WITHOUT_NUMPY}"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_sending_imports_no_numpy(socket_path: str) -> None:
    code = "\n".join(
        line for line in WITHOUT_NUMPY.splitlines() if "numpy" not in line
    ).partition("copy = ")[0]
    code += "\nassert 'numpy' not in sys.modules\ntx.close(); rx.close()"
    code = f"PATH = {socket_path!r}\n{code}"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_in_an_event_loop(pair: Pair, run: Run) -> None:
    async def receive() -> list[Any]:
        first = await pair.consumer.recv_array_async(timeout=20)
        out = await pair.consumer.recv_array_async(np.zeros(30000, "u1"))
        with await pair.consumer.recv_array_zero_copy_async(timeout=20) as frame:
            third = bytes(frame)
        held = await pair.consumer.recv_array_async(hold=True)
        assert (await pair.consumer.recv_async(20)).data == b"behind"
        with pytest.raises(TimeoutError):
            await pair.consumer.recv_array_async(timeout=0.01)
        return [first, out, third, held.copy()]

    async def main() -> None:
        receiving = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        for fill in range(4):  # of which only one or two have room at a time
            sent = np.full(30000, fill, "u1")
            await pair.producer.send_array_async(sent, timeout=20)
        await pair.producer.send_async(b"behind")
        for fill, received in enumerate(await receiving):
            assert bytes(received) == bytes([fill]) * 30000

    run(main())
    assert nothing_left(pair.consumer)
