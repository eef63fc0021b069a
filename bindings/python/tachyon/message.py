# SPDX-License-Identifier: Apache-2.0
"""A received message."""

from typing import NamedTuple


class Message(NamedTuple):
    """One message, copied out of the ring."""

    type_id: int
    size: int
    data: bytes
