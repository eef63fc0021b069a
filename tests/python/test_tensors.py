# SPDX-License-Identifier: Apache-2.0
"""Arrays of JAX and tensors of PyTorch, where those are installed."""

import gc
from typing import Any

import numpy as np
import pytest

from tachyon import Frame

from conftest import Pair

DTYPES = ["bool", "int8", "uint8", "int16", "int32", "float16", "float32", "complex64"]


def place(array: Any) -> int:
    """Return where the items of a NumPy array or of a frame are."""
    return int(np.asarray(array).__array_interface__["data"][0])


@pytest.fixture
def jax() -> Any:
    """Return the package."""
    return pytest.importorskip("jax", reason="JAX is not installed")


@pytest.fixture
def torch() -> Any:
    """Return the package."""
    return pytest.importorskip("torch", reason="PyTorch is not installed")


@pytest.mark.parametrize("dtype", DTYPES)
def test_jax_there_and_back(pair: Pair, jax: Any, dtype: str) -> None:
    sent = jax.numpy.arange(12).reshape(3, 4).astype(dtype)
    for array in (sent, sent.T, sent[0, 0]):
        pair.producer.send_array(array)
        with pair.consumer.recv_array_zero_copy() as frame:
            assert frame.dtype == dtype
            received = jax.dlpack.from_dlpack(frame)
            assert received.unsafe_buffer_pointer() == place(frame)  # in the ring
            assert np.array_equal(received, array)
            del received
            gc.collect()


def test_jax_bfloat16(pair: Pair, jax: Any) -> None:
    sent = jax.numpy.arange(12).astype("bfloat16")
    pair.producer.send_array(sent)
    frame: Any = pair.consumer.recv_array()
    assert isinstance(frame, Frame)
    received = jax.dlpack.from_dlpack(frame)
    assert received.dtype == sent.dtype
    assert np.array_equal(received, sent)


@pytest.mark.parametrize("dtype", DTYPES)
def test_torch_there_and_back(pair: Pair, torch: Any, dtype: str) -> None:
    sent = torch.arange(12).reshape(3, 4).to(getattr(torch, dtype))
    try:
        sent.__dlpack__()
    except RuntimeError as error:  # of versions before 2.0
        pytest.skip(f"PyTorch {torch.__version__}: {error}")
    for array in (sent, sent.T, sent[::2]):
        pair.producer.send_array(array)
        with pair.consumer.recv_array_zero_copy() as frame:
            assert frame.dtype == dtype
            received = torch.from_dlpack(frame)
            assert received.data_ptr() == place(frame)  # in the ring
            assert torch.equal(received, array)
            del received
            gc.collect()


def test_torch_into_a_tensor(pair: Pair, torch: Any) -> None:
    sent, out = torch.arange(12.0).reshape(3, 4), torch.zeros(3, 4)
    pair.producer.send_array(sent)
    assert pair.consumer.recv_array(out) is out
    assert torch.equal(out, sent)
    with pytest.raises((BufferError, RuntimeError), match="grad"):  # as its age
        pair.producer.send_array(torch.zeros(3, requires_grad=True))
