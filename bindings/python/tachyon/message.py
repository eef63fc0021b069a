# SPDX-License-Identifier: Apache-2.0
"""Received messages."""

from typing import NamedTuple


class Message(NamedTuple):
    """One message, copied out of the ring."""

    type_id: int
    size: int
    data: bytes


class Received(int):
    """How many messages were received into an array; all are of one type."""

    type_id: int
    """Their type."""


class Request(NamedTuple):
    """One request, copied out of the ring."""

    type_id: int
    size: int
    data: bytes
    correlation_id: int
    """To be given to reply_async() or reply()."""
