# SPDX-License-Identifier: Apache-2.0
"""A stream between bridges: what its samples hold, and which messages are missing.

docs/BRIDGE.md has the format. Nothing here knows the network.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from .ending import BadData

VERSION = 1
HEAD = struct.Struct("<BBHIQQQ")
ENTRY_BYTES = 8
BATCH_ENCODING = "application/x-tachyon-batch"


class Kind(IntEnum):
    """What a sample is."""

    BATCH = 1
    MESSAGE = 2
    END = 3
    ABORTED = 4
    ALIVE = 5
    DELIVERED = 6
    REFUSED = 7


@dataclass(frozen=True)
class Head:
    """What stands before, or beside, all that a bridge puts into the network.

    count: of the messages of a BATCH; the type_id of a MESSAGE. stream: chosen at
    random by each sending bridge. number: of the first message, or of the next.
    """

    kind: Kind
    stream: int
    number: int
    fingerprint: int = 0
    count: int = 0

    def pack(self) -> bytes:
        """Return its bytes."""
        return HEAD.pack(VERSION, self.kind, 0, self.count, self.stream, self.number,
                         self.fingerprint)  # fmt: skip


def head_of(data: bytes) -> Head:
    """Return the head that the bytes begin with."""
    if len(data) < HEAD.size:
        raise BadData(f"{len(data)} bytes, less than the {HEAD.size} of a head")
    version, kind, _, count, stream, number, fingerprint = HEAD.unpack_from(data)
    if version != VERSION:
        raise BadData(
            f"version {version} of the format, here is {VERSION}: let both bridges be "
            f"of one version of tachyon-ipc"
        )
    try:
        return Head(Kind(kind), stream, number, fingerprint, count)
    except ValueError:
        raise BadData(f"a sample of kind {kind}, which there is not") from None


def batch(head: Head, type_ids: Sequence[int], payloads: Sequence[bytes]) -> bytes:
    """Return a sample of messages: head, type_ids and lengths, bytes."""
    table = itertools.chain.from_iterable(
        zip(type_ids, map(len, payloads), strict=True)
    )
    packed = struct.pack(f"<{2 * len(payloads)}I", *table)
    return b"".join((head.pack(), packed, *payloads))


@dataclass(frozen=True)
class Run:
    """Messages of one type and one length, one after another."""

    type_id: int
    size: int
    count: int
    data: memoryview


def runs(head: Head, data: bytes, skip: int = 0) -> Iterator[Run]:
    """Go through the messages of a batch but for the first `skip`."""
    table_end = HEAD.size + head.count * ENTRY_BYTES
    if len(data) < table_end:
        raise BadData(f"a batch of {head.count} messages is cut off in its table")
    table = struct.unpack_from(f"<{2 * head.count}I", data, HEAD.size)
    if table_end + sum(table[1::2]) != len(data):
        raise BadData(
            f"a batch whose messages have {sum(table[1::2])} bytes has "
            f"{len(data) - table_end} of them"
        )
    view = memoryview(data)
    place = table_end + sum(table[1 : 2 * skip : 2])
    pairs = zip(table[2 * skip :: 2], table[2 * skip + 1 :: 2], strict=True)
    for (type_id, size), group in itertools.groupby(pairs):
        count = sum(1 for _ in group)
        yield Run(type_id, size, count, view[place : place + count * size])
        place += count * size


class Follower:
    """Which messages have come: one stream is followed at a time.

    tell: is told what is missing, a line each.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.stream: int | None = None
        self.next = 0
        self.lost = 0
        self.strangers: set[int] = set()
        self._tell = tell

    def accepts(self, head: Head, lives: Callable[[int], bool]) -> bool:
        """Whether a sample is of the stream that is followed, or begins the next one.

        lives: whether the bridge of a stream is still there. While that of ours is,
        there are two for one key, and mixing them would make neither.
        """
        if head.stream == self.stream:
            return True
        if self.stream is not None:
            if lives(self.stream):
                self._refuse(head.stream)
                return False
            self._tell(
                f"stream {self.stream:016x} stopped before message {self.next:,}, "
                f"without an end; what its bridge had taken and not sent is lost; "
                f"stream {head.stream:016x} follows"
            )
        self.stream, self.next = head.stream, head.number
        if head.number:
            self._tell(
                f"stream {head.stream:016x} begins here with message {head.number:,}: "
                f"{ranged(0, head.number)} went before this bridge came"
            )
        return True

    def _refuse(self, stream: int) -> None:
        if stream not in self.strangers:
            self.strangers.add(stream)
            self._tell(
                f"two bridges send here: stream {self.stream or 0:016x} goes on, "
                f"{stream:016x} is refused; end one of them, or give it another key"
            )

    def repeated(self, head: Head, count: int) -> int:
        """Return how many messages of a sample have come before; tell what has not."""
        if head.number > self.next:
            self.lost += head.number - self.next
            self._tell(
                f"lost {ranged(self.next, head.number)} of stream {head.stream:016x}"
            )
        known = min(max(self.next - head.number, 0), count)
        self.next = max(self.next, head.number + count)
        return known


def ranged(first: int, end: int) -> str:
    """Name the messages from `first` to before `end`."""
    return f"messages {first:,} to {end - 1:,} ({end - first:,})"
