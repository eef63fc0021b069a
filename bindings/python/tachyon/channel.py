# SPDX-License-Identifier: Apache-2.0
"""Typed channels. What runs once a message is in the generated ChannelBase."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, SupportsIndex, overload

from . import _native
from .layout import (
    dtype_of,
    format_of,
    items_of,
    layout_of,
    repeated,
    runs_of,
    same_runs,
    without_shape,
)

if TYPE_CHECKING:
    import numpy.typing as npt
    from typing_extensions import Self

    from .layout import ArrayPacker, DType, LayoutLike, Run
    from .message_channel import MessageChannel

Fields = tuple[Any, ...]


@_native.direct_calls
class Channel(_native.ChannelBase):
    """Messages of one type and layout on a bus; made by Bus.channel().

    Calling it sends one message, its fields as positional arguments; recv() and
    iterating give the fields of one back as a tuple; send_batch(), recv_batch_into()
    and drain_batch() do so with arrays. It keeps its bus alive, shares its ring with
    all else that uses that, and fails like it when it is closed.
    """

    __slots__ = ("_dtype", "_packer_or_reason")
    _dtype: DType | None
    _packer_or_reason: struct.Struct | ArrayPacker | str

    def __new__(
        cls, bus: _native.BusBase, spec: LayoutLike, type_id: SupportsIndex = 0
    ) -> Self:
        """Make a channel as Bus.channel() does."""
        if not isinstance(bus, _native.BusBase):
            raise TypeError(f"bus must be a Bus, not {bus!r:.100}")
        given, size, packer = layout_of(spec)
        most = bus._bus.max_payload()
        if size > most:
            raise ValueError(
                f"messages of {given!r} have {size} bytes; this ring takes {most} at "
                "most"
            )
        channel = super().__new__(cls, bus, type_id, given, size, packer)
        channel._dtype = None if isinstance(given, str) else given
        channel._packer_or_reason = packer
        return channel

    def __repr__(self) -> str:
        return f"<tachyon.Channel of {self.layout!r}, type_id {self.type_id}>"

    @property
    def dtype(self) -> DType:
        """The layout as a NumPy dtype; of a struct format, with fields f0, f1, ..."""
        if self._dtype is None:
            assert isinstance(self._packer_or_reason, struct.Struct)
            self._dtype = dtype_of(self._packer_or_reason)
        return self._dtype

    @property
    def format(self) -> str:
        """The layout as a struct format; TypeError when it has a field without one.

        The items of sub-arrays are fields of their own in it.
        """
        return self.layout if isinstance(self.layout, str) else format_of(self.layout)

    def drain_batch(
        self,
        max_msgs: SupportsIndex = 1024,
        spin_threshold: SupportsIndex = 10000,
        *,
        timeout: float | None = None,
    ) -> ChannelBatch:
        """Wait for one message, then take up to max_msgs of the channel's, in place.

        The batch ends before a message of another type or size; UnexpectedMessage when
        that is the first one. Otherwise fails as Bus.drain_batch().
        """
        return ChannelBatch(self, self._drain(max_msgs, spin_threshold, timeout))

    def _unpack(self, message: _native.RxMsgView) -> Fields:
        return self._packer().unpack(message)

    def _dtype_of_batch(self, batch: _native.RxBatchGuard) -> DType:
        return self.dtype

    def _packer(self) -> struct.Struct | ArrayPacker:
        if isinstance(self._packer_or_reason, str):
            raise TypeError(self._packer_or_reason)
        return self._packer_or_reason

    def _check_items(
        self, buffer: Any, dtype: Any, text: str, shape: tuple[int, ...]
    ) -> object:
        """Refuse a buffer whose items, each of a shape, are not the channel's.

        Those of an array must have the channel's dtype, others its layout. Return the
        dtype or format with which more buffers may come, or None.
        """
        if hasattr(dtype, "itemsize"):
            fits = self._fits_dtype(dtype, shape)
            what, known = f"array has dtype {dtype}", dtype
        else:
            fits = self._fits_format(buffer, text, math.prod(shape))
            what, known = f"buffer has items of the format {text!r}", text
        if not fits:
            if shape:
                what = f"{what} and shape {shape}"
            raise TypeError(f"the {what}, the channel's messages {self.layout!r}")
        exact = not isinstance(self.layout, str) and self.layout.subdtype is not None
        return None if exact else known

    def _fits_dtype(self, dtype: DType, shape: tuple[int, ...]) -> bool:
        if isinstance(self.layout, str):
            item = repeated(dtype, math.prod(shape), dtype.itemsize)
            return same_runs(item, self._runs())
        base, inner = without_shape(self.layout)
        return dtype == base and shape == (inner or shape)

    def _fits_format(self, buffer: Any, text: str, count: int) -> bool:
        try:
            return same_runs(items_of(buffer, text, count), self._runs())
        except Exception:  # of NumPy, for a format that it cannot have
            return False

    def _runs(self) -> Iterator[Run]:
        if isinstance(self._packer_or_reason, struct.Struct):
            return runs_of(self._packer_or_reason)
        return runs_of(self.dtype)


class ChannelBatch:
    """Messages of a channel, in the ring itself, until the `with` block is left.

    A sequence of what Channel.recv() or MessageChannel.recv() returns; with the name of
    a field, a slice or anything else that NumPy takes, a part of `array`. Whatever of
    that is kept after the block must be a copy: leaving raises BufferError while an
    array still points into the ring.
    """

    __slots__ = ("_array", "_batch", "_channel")

    def __init__(
        self, channel: Channel | MessageChannel[Any], batch: _native.RxBatchGuard
    ) -> None:
        self._channel = channel
        self._batch = batch
        self._array: npt.NDArray[Any] | None = None

    def __enter__(self) -> Self:
        self._batch.__enter__()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        self._array = None
        return self._batch.__exit__(exc_type, exc, traceback)

    @property
    def array(self) -> npt.NDArray[Any]:
        """The messages as a read-only array of the channel's dtype, without a copy."""
        if self._array is None:
            dtype = self._channel._dtype_of_batch(self._batch)
            self._array = self._batch.array(dtype)
        return self._array

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> npt.NDArray[Any]:
        if dtype is not None and dtype != self.array.dtype:
            if copy is False:
                raise ValueError(f"items of {self.array.dtype} as {dtype} are a copy")
            return self.array.astype(dtype)
        return self.array.copy() if copy else self.array

    def __len__(self) -> int:
        return len(self._batch)

    @overload
    def __getitem__(self, key: SupportsIndex, /) -> Fields: ...
    @overload
    def __getitem__(self, key: Any, /) -> Any: ...
    def __getitem__(self, key: Any, /) -> Any:
        if isinstance(key, SupportsIndex) and getattr(key, "shape", ()) == ():
            return self._channel._unpack(self._batch[key])
        return self.array[key]

    def __iter__(self) -> Iterator[Fields]:
        return map(self._channel._unpack, self._batch)
