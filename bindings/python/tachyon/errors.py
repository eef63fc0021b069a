# SPDX-License-Identifier: Apache-2.0
"""What only Tachyon can run into. _native raises these, and hands them on."""


class TachyonError(Exception):
    """Something that only Tachyon can run into.

    `code` is the number from the C API, TACHYON_ERR_*.
    """

    code: int | None = None


class PeerDeadError(TachyonError):
    """The peer died without closing; all it had flushed has been delivered."""


class AbortedError(PeerDeadError):
    """The peer has given up in the middle, and said so.

    All it had flushed has been delivered.
    """


class ClosedError(TachyonError):
    """The stream has ended: this end or the peer closed the bus."""


class LaggedError(TachyonError):
    """What was to be read of a broadcast is overwritten, or may have been.

    This end was too slow and has been let go, or asked for a position that is gone.
    """


class RingFull(TachyonError):  # noqa: N818 - what it is, not that it is an error
    """No room in the ring, and the caller did not want to wait."""


class RpcError(TachyonError):
    """The callee could not answer: it has no handler, or the handler failed.

    msg_type: type of the call.
    """

    msg_type: int | None = None


class UnexpectedMessage(TachyonError, ValueError):  # noqa: N818
    """The next message has another type or size than what was to be received.

    It stays in the ring; `type_id` and `size` are its own.
    """

    type_id: int = 0
    size: int = 0


for _class in [*TachyonError.__subclasses__(), TachyonError, AbortedError]:
    _class.__module__ = "tachyon"
