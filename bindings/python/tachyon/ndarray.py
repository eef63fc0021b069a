# SPDX-License-Identifier: Apache-2.0
"""Batches as NumPy arrays. NumPy is imported here, when the first array is wanted."""

from typing import Any

import numpy as np
import numpy.typing as npt


def array_over(
    memory: memoryview, count: int, stride: int, size: int, dtype: npt.DTypeLike
) -> npt.NDArray[Any]:
    """Make an array of `count` messages of `size` bytes, `stride` bytes apart."""
    dtype = np.dtype(dtype)
    if dtype.hasobject:
        raise TypeError(f"messages have no Python objects, as {dtype} would")
    if dtype.itemsize != size:
        raise ValueError(
            f"the messages have {size} bytes, items of {dtype} {dtype.itemsize}"
        )
    # An array of the bytes keeps the memory exported; from a buffer NumPy would take no
    # more than the address.
    content = np.asarray(memory)
    if dtype.subdtype is not None:  # NumPy would make it dimensions of its own
        fields = np.dtype([("item", dtype)])
        items: npt.NDArray[Any] = np.ndarray((count,), fields, content, 0, (stride,))
        return items["item"]
    return np.ndarray((count,), dtype, content, 0, (stride,))
