# SPDX-License-Identifier: Apache-2.0
"""Type ids, by convention a route and a message type of 16 bits each."""


def make_type_id(route: int, msg_type: int) -> int:
    """Join a route and a message type to a type_id.

    route, msg_type: 0 to 65535, else ValueError.
    """
    check_range("route", route, 0xFFFF)
    check_range("msg_type", msg_type, 0xFFFF)
    return route << 16 | msg_type


def route_id(type_id: int) -> int:
    """Return the route of a type_id, its upper 16 bits; ValueError beyond 32 bits."""
    check_range("type_id", type_id, 0xFFFFFFFF)
    return type_id >> 16


def msg_type(type_id: int) -> int:
    """Return the message type of a type_id, its lower 16 bits.

    ValueError beyond 32 bits.
    """
    check_range("type_id", type_id, 0xFFFFFFFF)
    return type_id & 0xFFFF


def check_range(name: str, value: int, limit: int) -> None:
    """Raise ValueError unless a value is from 0 to a limit."""
    if not 0 <= value <= limit:
        raise ValueError(f"{name} must be from 0 to {limit}, not {value!r}")
