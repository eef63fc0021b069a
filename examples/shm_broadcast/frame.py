# SPDX-License-Identifier: Apache-2.0
"""Objects as bytes: a pickle, and beside it the buffers that it need not contain.

    u64 size of the frame | u64 parts | parts x u64 size | pickle | buffer | ...

Each buffer begins at a multiple of 64 bytes, so that an array made of it is aligned.
"""

import functools
import pickle
import struct
from typing import Any

PREFIX = struct.Struct("<QQ")
ALIGNMENT = 64


class Frame:
    """The parts of an object that is to be sent, its arrays not copied yet."""

    def __init__(self, obj: object) -> None:
        buffers: list[pickle.PickleBuffer] = []
        stream = pickle.dumps(obj, protocol=5, buffer_callback=buffers.append)
        parts = [memoryview(stream), *(buffer.raw() for buffer in buffers)]
        sizes = tuple(map(len, parts))
        places = _places(sizes)
        self.size = places[-1] + sizes[-1]
        header = PREFIX.pack(self.size, len(sizes)) + _table(len(sizes)).pack(*sizes)
        self._parts = [(0, memoryview(header)), *zip(places, parts, strict=True)]

    def write(self, into: memoryview, start: int = 0) -> None:
        """Copy as many bytes of the frame as there is room for, from `start` on."""
        end = start + len(into)
        for place, part in self._parts:
            first, last = max(start, place), min(end, place + len(part))
            if first < last:
                into[first - start : last - start] = part[first - place : last - place]


def size_of(beginning: memoryview) -> int:
    """Return the size of a frame of which the first bytes are here."""
    return int(PREFIX.unpack_from(beginning)[0])


def read(frame: memoryview) -> Any:
    """Make the object of a frame, of which nothing is kept.

    One with arrays is copied as a whole, once; they are writable, and share that copy.
    """
    _, count = PREFIX.unpack_from(frame)
    return take(frame if count == 1 else memoryview(bytearray(frame)))


def take(frame: memoryview) -> Any:
    """Make the object of a frame, whose memory is its arrays' from now on."""
    _, count = PREFIX.unpack_from(frame)
    sizes = _table(count).unpack_from(frame, PREFIX.size)
    stream, *buffers = (
        frame[place : place + size]
        for place, size in zip(_places(sizes), sizes, strict=True)
    )
    return pickle.loads(stream, buffers=buffers)


@functools.lru_cache
def _table(count: int) -> struct.Struct:
    return struct.Struct(f"<{count}Q")


def _places(sizes: tuple[int, ...]) -> list[int]:
    """Return where each part begins."""
    places = [PREFIX.size + 8 * len(sizes)]
    for size in sizes[:-1]:
        end = places[-1] + size
        places.append(end + -end % ALIGNMENT)
    return places
