# SPDX-License-Identifier: Apache-2.0
"""Statistics pages: what the ends of buses on this machine show of themselves.

docs/WIRE.md has each byte. Nothing is written, and nobody is stopped or slowed down.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LINK = "/memfd:tachyon-page (deleted)"
MAGIC, VERSION, SIZE = 0x50434154, 1, 256
KINDS = {1: "bus", 2: "rpc"}
SIDES = {1: "listener", 2: "connector"}
ROLES = {0: "none", 1: "producer", 2: "consumer", 3: "both"}
TEXTS = struct.Struct("32s112s")
FIRST_TEXT = 112


@dataclass(frozen=True)
class Page:
    """One end; docs/WIRE.md says what each number is. Times are since 1970."""

    pid: int
    kind: str
    side: str
    role: str
    max_peers: int
    peer_pid: int
    peer_uid: int
    opened_ns: int
    message_ns: int
    capacity: int
    used: int
    messages: int
    ring_bytes: int
    flushes: int
    full: int
    sleeps: int
    wakes: int
    name: str
    path: str


def _text(raw: bytes) -> str:
    return os.fsdecode(raw.split(b"\0", 1)[0])


def read(link: str | Path, pid: int) -> Page | None:
    """Read a page by its link in /proc/PID/fd; None: it is none that is known here."""
    fd = os.open(link, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if os.fstat(fd).st_size < SIZE:
            return None
        with mmap.mmap(fd, SIZE, prot=mmap.PROT_READ) as mapped:
            # Each number is loaded by itself, of its own size: so it is whole.
            with memoryview(mapped) as view:
                with view.cast("I") as words:
                    head = words[:8].tolist()
                with view.cast("Q") as words:
                    numbers = [words[i] for i in range(4, FIRST_TEXT // 8)]
            name, path = TEXTS.unpack_from(mapped, FIRST_TEXT)
    finally:
        os.close(fd)
    magic, version, kind, side, role, *peers = head
    if (magic, version) != (MAGIC, VERSION):
        return None
    ends = KINDS.get(kind, "?"), SIDES.get(side, "?"), ROLES.get(role, "?")
    fields: list[Any] = [pid, *ends, *peers, *numbers, _text(name), _text(path)]
    return Page(*fields)


def _pages_of(pid: int) -> Iterator[Page]:
    for link in Path(f"/proc/{pid}/fd").iterdir():
        # A descriptor, or its process, may end while it is looked at.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if str(link.readlink()) == LINK and (page := read(link, pid)):
                yield page


def find(pid: int | None = None) -> list[Page]:
    """Read all pages: of one process, or of each that we may look into.

    Raises PermissionError, or FileNotFoundError, for a process that is named.
    """
    if pid is not None:
        return list(_pages_of(pid))
    found: list[Page] = []
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with contextlib.suppress(OSError):
                found += _pages_of(int(name))
    return found
