# SPDX-License-Identifier: Apache-2.0
"""Messages as they are on stdin and stdout."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from typing import IO, Any

from .ending import BadData
from .typed import MOST_ID, Types

Outgoing = Iterator[tuple[int, bytes]]
HEAD = struct.Struct("<II")
NAMES = ("lines", "raw", "framed", "hex", "json")
HELP = (
    "lines: one a line, without its end. raw: the bytes alone; from stdin all of it is "
    "one message, or --size of it. framed: type_id and length, 4 bytes each, "
    'little-endian, then the bytes. hex: one a line. json: {"Tick": {"price": 1.5}} a '
    'line, with --header; {"type_id": 1, "hex": "00ff"} for others.'
)


def incoming(name: str, source: IO[bytes], types: Types, type_id: int, size: int | None
) -> Outgoing:  # fmt: skip
    """Go through the messages of a file, with their type_ids."""
    if name == "raw":
        yield from ((type_id, data) for data in pieces(source, size))
    elif name == "framed":
        yield from framed(source)
    else:
        convert = {"lines": lambda line: (type_id, line), "hex": from_hex(type_id)}.get(
            name, from_json(types)
        )
        for number, line in enumerate(source, 1):
            try:
                yield convert(line.removesuffix(b"\n"))
            except BadData as error:
                raise BadData(f"line {number}: {error}") from None


def pieces(source: IO[bytes], size: int | None) -> Iterator[bytes]:
    """Cut a file; the last piece may be shorter."""
    if size is None:
        yield source.read()
        return
    while data := source.read(size):
        yield data


def framed(source: IO[bytes]) -> Outgoing:
    """Go through the frames; one that is cut off is an error."""
    number = 0
    while head := source.read(HEAD.size):
        number += 1
        if len(head) < HEAD.size:
            raise BadData(f"message {number}: the input ends within its head")
        type_id, length = HEAD.unpack(head)
        if length > 1 << 31:
            raise BadData(f"message {number} of {length} bytes: this is not framed")
        data = source.read(length)
        if len(data) < length:
            raise BadData(f"message {number}: {len(data)} of its {length} bytes")
        yield type_id, data


def from_hex(type_id: int) -> Callable[[bytes], tuple[int, bytes]]:
    """Return what reads a line."""

    def convert(line: bytes) -> tuple[int, bytes]:
        try:
            return type_id, bytes.fromhex(line.decode("ascii"))
        except ValueError:
            raise BadData(f"{line[:60]!r} is not hex") from None

    return convert


def from_json(types: Types) -> Callable[[bytes], tuple[int, bytes]]:
    """Return what reads a line."""

    def convert(line: bytes) -> tuple[int, bytes]:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise BadData(f"no JSON: {error}") from None
        if not isinstance(found, dict):
            raise BadData('no message; one is {"NAME": {...}}')
        if found.keys() == {"type_id", "hex"}:
            number = found["type_id"]
            if type(number) is not int or not 0 <= number <= MOST_ID:
                raise BadData(f"type_id is 0 to {MOST_ID}, not {number!r:.60}")
            return from_hex(number)(str(found["hex"]).encode("ascii", "replace"))
        if len(found) != 1:
            raise BadData('no message; one is {"NAME": {...}}, with one name')
        ((name, fields),) = found.items()
        return types.pack(name, fields)

    return convert


def outgoing(name: str, types: Types) -> Callable[[int, bytes], bytes]:
    """Return what makes a message into what is written."""

    def as_json(type_id: int, data: bytes) -> bytes:
        found: dict[str, Any] = {"type_id": type_id, "hex": data.hex()}
        if type_id in types.messages:
            found = {types.name(type_id): types.unpack(type_id, data)}
        return json.dumps(found).encode() + b"\n"

    return {
        "lines": lambda _, data: data + b"\n",
        "raw": lambda _, data: data,
        "framed": lambda type_id, data: HEAD.pack(type_id, len(data)) + data,
        "hex": lambda _, data: data.hex().encode() + b"\n",
        "json": as_json,
    }[name]
