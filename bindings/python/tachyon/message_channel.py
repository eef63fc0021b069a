# SPDX-License-Identifier: Apache-2.0
"""Channels of message classes. What runs once a message is in MessageChannelBase."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, SupportsIndex, TypeVar

from . import _native
from .channel import ChannelBatch
from .layout import items_of, runs_of, same_runs
from .message import Message

if TYPE_CHECKING:
    from typing_extensions import Self

    from .layout import DType

M = TypeVar("M", bound=Message)


@_native.direct_calls
class MessageChannel(_native.MessageChannelBase[M]):
    """Messages of a class on a bus; made by Bus.channel().

    Calling it sends one message of values by position, by keyword or both; what is left
    out is zero. A field has precedence over the keywords timeout and block. send()
    writes one in place; recv() and iterating give copies; send_batch(),
    recv_batch_into() and drain_batch() do so with arrays of the class's dtype.
    """

    __slots__ = ()

    def __new__(cls, bus: _native.BusBase, messages: type[M]) -> Self:
        """Make a channel as Bus.channel() does."""
        if not isinstance(bus, _native.BusBase):
            raise TypeError(f"bus must be a Bus, not {bus!r:.100}")
        if not getattr(type(messages), "is_of_messages", False):
            raise TypeError(f"a class of messages is wanted, not {messages!r:.100}")
        channel = super().__new__(cls, bus, messages)
        most = bus._bus.max_payload()
        if channel.size > most:
            raise ValueError(
                f"a {messages.__name__} has {channel.size} bytes; this ring takes "
                f"{most} at most"
            )
        return channel

    def __repr__(self) -> str:
        return f"<tachyon.MessageChannel of {self.layout.__name__}>"

    @property
    def dtype(self) -> DType:
        """The layout as a NumPy dtype."""
        return self.layout.dtype

    def drain_batch(
        self,
        max_msgs: SupportsIndex = 1024,
        spin_threshold: SupportsIndex = 10000,
        *,
        timeout: float | None = None,
    ) -> ChannelBatch:
        """Wait for one message, then take up to max_msgs of the channel's, in place.

        The batch ends before a message of another type or size; UnexpectedMessage when
        that is the first one. Its array has the fields that are in all of its messages,
        which may be of another version than the class. Otherwise fails as
        Bus.drain_batch().
        """
        return ChannelBatch(self, self._drain(max_msgs, spin_threshold, timeout))

    def _unpack(self, message: _native.RxMsgView) -> Any:
        return _native.record_from(self.layout, message)

    def _dtype_of_batch(self, batch: _native.RxBatchGuard) -> DType:
        from .record import dtype_of  # noqa: PLC0415

        return dtype_of(self.layout, batch[0].actual_size)

    def _check_items(
        self, buffer: Any, dtype: Any, text: str, shape: tuple[int, ...]
    ) -> object:
        """Refuse a buffer whose items, each of a shape, are not the messages.

        Return the dtype or format with which more buffers may come.
        """
        if hasattr(dtype, "itemsize"):
            fits = dtype == self.dtype and not shape
            what, known = f"array has dtype {dtype}", dtype
        else:
            fits = self._fits_format(buffer, text, math.prod(shape))
            what, known = f"buffer has items of the format {text!r}", text
        if not fits:
            raise TypeError(
                f"the {what}{f' and shape {shape}' if shape else ''}, "
                f"{self.layout.__name__} the dtype {self.dtype}"
            )
        return known

    def _fits_format(self, buffer: Any, text: str, count: int) -> bool:
        try:
            return same_runs(items_of(buffer, text, count), runs_of(self.dtype))
        except Exception:  # of NumPy, for a format that it cannot have
            return False
