# SPDX-License-Identifier: Apache-2.0
"""Messages of a batch as arrays, without a copy."""

import ctypes
import gc
from typing import Any

import numpy as np
import pytest

from tachyon import RxBatchGuard

from conftest import Pair

READ_ONLY, COPIED = 1, 2
api = ctypes.pythonapi
api.PyCapsule_GetPointer.restype = ctypes.c_void_p
api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
api.PyCapsule_SetName.argtypes = [ctypes.py_object, ctypes.c_char_p]


class Tensor(ctypes.Structure):
    """DLTensor of dlpack.h."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device", ctypes.c_int32 * 2),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


Deleter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class Legacy(ctypes.Structure):
    """DLManagedTensor."""

    _fields_ = (("tensor", Tensor), ("context", ctypes.c_void_p), ("deleter", Deleter))


class Versioned(ctypes.Structure):
    """DLManagedTensorVersioned."""

    _fields_ = (
        ("version", ctypes.c_uint32 * 2),
        ("context", ctypes.c_void_p),
        ("deleter", Deleter),
        ("flags", ctypes.c_uint64),
        ("tensor", Tensor),
    )


def taken(capsule: Any, name: bytes) -> Any:
    """Take a tensor over, as a consumer does: it must be deleted then."""
    kind = Versioned if name == b"dltensor_versioned" else Legacy
    pointer = api.PyCapsule_GetPointer(capsule, name)
    api.PyCapsule_SetName(capsule, {Legacy: b"used", Versioned: b"used_v"}[kind])
    return kind.from_address(pointer)


def content(tensor: Tensor) -> bytes:
    """Return the bytes of a tensor, which is one of bytes on the CPU."""
    assert (tensor.ndim, tensor.code, tensor.bits, tensor.lanes) == (1, 1, 8, 1)
    assert (*tensor.device, tensor.byte_offset, tensor.strides[0]) == (1, 0, 0, 1)
    return ctypes.string_at(tensor.data, tensor.shape[0])


def batch_of(pair: Pair, data: bytes) -> RxBatchGuard:
    """Send one message and return a batch of it."""
    pair.producer.send(data)
    return pair.consumer.drain_batch()


def test_numpy_takes_a_message(pair: Pair) -> None:
    with batch_of(pair, b"abc") as batch:
        assert batch[0].__dlpack_device__() == (1, 0)
        array = np.from_dlpack(batch[0])
        assert (array.dtype, array.tobytes()) == (np.uint8, b"abc")
        assert not array.flags.writeable
        assert np.shares_memory(array, np.frombuffer(batch[0], np.uint8))
        del array


@pytest.mark.parametrize("data", [b"abc", b"", bytes(100)])
def test_numpy_takes_a_copy(pair: Pair, data: bytes) -> None:
    with batch_of(pair, data) as batch:
        array = np.from_dlpack(batch[0], copy=True)
        assert not np.shares_memory(array, np.frombuffer(batch[0], np.uint8))
        same = np.from_dlpack(batch[0], copy=False, device="cpu")
        del same
    assert array.tobytes() == data  # and the block could be left
    assert array.flags.writeable
    array[:] = 7


@pytest.mark.parametrize("max_version", [None, (0, 8)])
def test_consumer_that_cannot_know_gets_no_read_only_memory(
    pair: Pair, max_version: tuple[int, int] | None
) -> None:
    with batch_of(pair, b"abc") as batch:
        for keywords in ({}, {"copy": None}, {"copy": False}):
            with pytest.raises(BufferError, match=r"max_version.*numpy\.array"):
                batch[0].__dlpack__(max_version=max_version, **keywords)
        capsule = batch[0].__dlpack__(max_version=max_version, copy=True)
        managed = taken(capsule, b"dltensor")
        assert content(managed.tensor) == b"abc"
        ctypes.memset(managed.tensor.data, 255, 3)
        assert bytes(batch[0]) == b"abc"
    managed.deleter(ctypes.addressof(managed))
    assert pair.consumer.stats().messages == 1


@pytest.mark.parametrize("max_version", [(1, 0), (1, 3), (2, 0)])
def test_consumer_of_version_1_is_told(
    pair: Pair, max_version: tuple[int, int]
) -> None:
    with pytest.raises(BufferError, match="still points"):
        with batch_of(pair, b"abc") as batch:
            capsule = batch[0].__dlpack__(max_version=max_version)
            managed = taken(capsule, b"dltensor_versioned")
            assert managed.version[0] == 1
            assert managed.flags == READ_ONLY
            assert managed.tensor.data == np.asarray(batch[0]).ctypes.data
            copied = batch[0].__dlpack__(max_version=max_version, copy=True)
            copy = taken(copied, b"dltensor_versioned")
            assert copy.flags == COPIED
            assert copy.tensor.data % 64 == 0
    assert content(managed.tensor) == content(copy.tensor) == b"abc"
    copy.deleter(ctypes.addressof(copy))
    managed.deleter(ctypes.addressof(managed))
    with pytest.raises(TimeoutError):  # and the slot is the ring's again
        pair.consumer.recv(timeout=0)


def test_array_kept_after_the_batch_holds_it(pair: Pair) -> None:
    with (
        pytest.raises(BufferError, match="still points"),
        batch_of(pair, b"abc") as batch,
    ):
        array = np.from_dlpack(batch[0])
    with pytest.raises(BufferError):
        pair.consumer.recv(timeout=0)
    assert array.tobytes() == b"abc"
    del array
    gc.collect()
    with pytest.raises(TimeoutError):
        pair.consumer.recv(timeout=0)


@pytest.mark.parametrize(
    ("keywords", "name"),
    [
        ({"copy": True}, "dltensor"),
        ({"max_version": (0, 8), "copy": 1}, "dltensor"),
        ({"max_version": (1, 0)}, "dltensor_versioned"),
        ({"max_version": (np.int64(1), True)}, "dltensor_versioned"),
        ({"max_version": (1, 0), "dl_device": (1, 0)}, "dltensor_versioned"),
        ({"max_version": (1, 0), "copy": True}, "dltensor_versioned"),
        ({"max_version": (1, 0), "copy": np.True_}, "dltensor_versioned"),
        ({"max_version": (1, 0), "copy": False}, "dltensor_versioned"),
    ],
)
def test_capsule_that_nobody_takes_is_freed(
    pair: Pair, keywords: dict[str, Any], name: str
) -> None:
    with batch_of(pair, b"abc") as batch:
        capsule = batch[0].__dlpack__(**keywords)
        assert f'"{name}"' in repr(capsule)
        del capsule


@pytest.mark.parametrize(
    ("keywords", "error"),
    [
        ({"stream": 1}, BufferError),
        ({"stream": -1}, BufferError),
        ({"dl_device": (2, 0)}, BufferError),
        ({"dl_device": (1, 1)}, BufferError),
        ({"dl_device": 1}, TypeError),
        ({"dl_device": [1, 0]}, TypeError),
        ({"dl_device": (1,)}, TypeError),
        ({"dl_device": ("cpu", 0)}, TypeError),
        ({"dl_device": (1, -1)}, ValueError),
        ({"dl_device": (2**64, 0)}, ValueError),
        ({"max_version": 1}, TypeError),
        ({"max_version": "1.0"}, TypeError),
        ({"max_version": (1.0, 0)}, TypeError),
        ({"max_version": ()}, TypeError),
        ({"max_version": (-1, 0)}, ValueError),
        ({"version": (1, 0)}, TypeError),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(
    pair: Pair, keywords: dict[str, Any], error: type[Exception]
) -> None:
    keywords = {"max_version": (1, 0), **keywords}
    with batch_of(pair, b"abc") as batch, pytest.raises(error) as caught:
        batch[0].__dlpack__(**keywords)
    assert [*keywords][-1] in str(caught.value) or "stream" in str(caught.value)


def test_message_of_a_left_batch_is_refused(pair: Pair) -> None:
    with batch_of(pair, b"abc") as batch:
        message = batch[0]
    for copy in (None, True):
        with pytest.raises(BufferError, match="was left"):
            np.from_dlpack(message, copy=copy)
