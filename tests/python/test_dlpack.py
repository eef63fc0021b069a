# SPDX-License-Identifier: Apache-2.0
"""Messages of a batch as arrays, without a copy."""

import gc
from typing import Any

import numpy as np
import pytest

from tachyon import RxBatchGuard

from conftest import Pair


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
    ("max_version", "name"),
    [(None, "dltensor"), ((0, 8), "dltensor"), ((1, 0), "dltensor_versioned")],
)
def test_capsule_that_nobody_takes_is_freed(
    pair: Pair, max_version: tuple[int, int] | None, name: str
) -> None:
    with batch_of(pair, b"abc") as batch:
        capsule = batch[0].__dlpack__(max_version=max_version)
        assert f'"{name}"' in repr(capsule)
        del capsule


@pytest.mark.parametrize(
    "arguments",
    [{"stream": 1}, {"dl_device": (2, 0)}, {"dl_device": (1, 1)}, {"copy": True}],
)
def test_what_cannot_be_is_refused(pair: Pair, arguments: dict[str, Any]) -> None:
    with batch_of(pair, b"abc") as batch, pytest.raises(BufferError):
        batch[0].__dlpack__(**arguments)


def test_message_of_a_left_batch_is_refused(pair: Pair) -> None:
    with batch_of(pair, b"abc") as batch:
        message = batch[0]
    with pytest.raises(BufferError, match="was left"):
        np.from_dlpack(message)
