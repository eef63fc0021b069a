# SPDX-License-Identifier: Apache-2.0
"""What MessageQueue is compared with: a ring of chunks with flags, polled.

Each chunk has a flag that it is written, and one for each reader that has read it. Who
waits looks at them over and over and lets others run in between; nobody is woken, and
nobody notices a death. It stands for the queues that are made of shared memory alone,
and has of MessageQueue what measure.py uses.
"""

import os
from multiprocessing.shared_memory import SharedMemory
from typing import Any, NamedTuple

import frame


class Handle(NamedTuple):
    name: str
    n_reader: int
    chunk: int
    chunks: int


class FlagRing:
    def __init__(
        self,
        n_reader: int,
        n_local_reader: int,
        *,
        max_chunk_bytes: int,
        max_chunks: int,
    ) -> None:
        flags = 1 + n_local_reader
        size = max_chunks * (max_chunk_bytes + flags)
        memory = SharedMemory(create=True, size=size)
        handle = Handle(memory.name, n_reader, max_chunk_bytes, max_chunks)
        self._attach(handle, memory, None)

    @classmethod
    def create_from_handle(cls, handle: Handle, rank: int) -> "FlagRing":
        ring = cls.__new__(cls)
        ring._attach(handle, SharedMemory(handle.name), rank)
        return ring

    def _attach(self, handle: Handle, memory: SharedMemory, rank: int | None) -> None:
        self._handle, self._memory, self._rank = handle, memory, rank
        self._next = 0

    def export_handle(self) -> Handle:
        return self._handle

    def wait_until_ready(self) -> None:
        """Do nothing: what is written waits for every reader that was announced."""

    def enqueue(self, obj: object) -> None:
        parts = frame.Frame(obj)
        if parts.size > self._handle.chunk:
            raise ValueError(f"{parts.size} bytes are more than a chunk has")
        flags, chunk = self._next_chunk()
        while flags[0] and not all(flags[1:]):
            os.sched_yield()
        flags[0] = 0
        parts.write(chunk)
        flags[1:] = bytes(self._handle.n_reader)
        flags[0] = 1

    def dequeue(self) -> Any:
        assert self._rank is not None
        flags, chunk = self._next_chunk()
        while not flags[0] or flags[1 + self._rank]:
            os.sched_yield()
        obj = frame.read(chunk[: frame.size_of(chunk)])
        flags[1 + self._rank] = 1
        return obj

    def _next_chunk(self) -> tuple[memoryview, memoryview]:
        """Return the flags and the bytes of the next chunk."""
        _, n_reader, size, chunks = self._handle
        flags_size = 1 + n_reader
        nth = self._next
        self._next = (nth + 1) % chunks
        flags = chunks * size + nth * flags_size
        view = self._memory.buf
        return view[flags : flags + flags_size], view[nth * size : (nth + 1) * size]

    def close(self) -> None:
        self._memory.close()
        if self._rank is None:
            self._memory.unlink()
