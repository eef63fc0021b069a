# SPDX-License-Identifier: Apache-2.0
"""Received messages."""

from typing import NamedTuple


class Message(NamedTuple):
    """One message, copied out of the ring.

    type_id: its type, 0 to 2**32 - 1.
    size: its bytes, len(data).
    data: the payload as bytes.
    """

    type_id: int
    size: int
    data: bytes


class Received(int):
    """How many messages were received into an array.

    type_id: the type of all of them.
    """

    type_id: int


class Request(NamedTuple):
    """One request, copied out of the ring.

    type_id: its message type, 0 to 2**32 - 1.
    size: its bytes, len(data).
    data: the payload as bytes.
    correlation_id: to be given to RpcBus.reply_async() or RpcBus.reply().
    """

    type_id: int
    size: int
    data: bytes
    correlation_id: int
