# SPDX-License-Identifier: Apache-2.0
"""Batches as NumPy arrays. NumPy is imported here, when the first array is wanted."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ._native import RxBatchGuard


def view_of(batch: RxBatchGuard, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return the messages of a batch as items of a dtype, in place."""
    dtype = np.dtype(dtype)
    if dtype.hasobject:
        raise TypeError(f"messages have no Python objects, as {dtype} would")
    content = np.asarray(memoryview(batch))
    size = content.shape[1]
    if dtype.itemsize != size:
        raise ValueError(
            f"the messages have {size} bytes, items of {dtype} {dtype.itemsize}"
        )
    if dtype.subdtype is not None:  # NumPy would make it dimensions of its own
        return content.view([("item", dtype)])[:, 0]["item"]
    return content.view(dtype)[:, 0]
