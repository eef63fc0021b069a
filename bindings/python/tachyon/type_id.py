# SPDX-License-Identifier: Apache-2.0
"""Type ids, by convention a route and a message type of 16 bits each."""

from __future__ import annotations

from typing import SupportsIndex

from ._native import integer


def make_type_id(route: SupportsIndex, msg_type: SupportsIndex) -> int:
    """Join a route and a message type to a type_id.

    route, msg_type: 0 to 65535, else ValueError.
    """
    upper = integer("route", route, 0, 0xFFFF)
    return upper << 16 | integer("msg_type", msg_type, 0, 0xFFFF)


def route_id(type_id: SupportsIndex) -> int:
    """Return the route of a type_id, its upper 16 bits; ValueError beyond 32 bits."""
    return integer("type_id", type_id, 0, 0xFFFFFFFF) >> 16


def msg_type(type_id: SupportsIndex) -> int:
    """Return the message type of a type_id, its lower 16 bits.

    ValueError beyond 32 bits.
    """
    return integer("type_id", type_id, 0, 0xFFFFFFFF) & 0xFFFF
