# SPDX-License-Identifier: Apache-2.0
"""Statistics pages: what an end of a bus shows of itself to other processes.

docs/WIRE.md has each byte. Nothing is written, and nobody is stopped or slowed down.
Anybody may have made what is called a page: so it is read only where it cannot shrink
under our eyes, and what it says of itself is data.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
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
    try:
        # A pipe may have that name, and nobody at its other end.
        fd = os.open(link, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return None
    try:
        sealed = fcntl.fcntl(fd, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK
        if not sealed or os.fstat(fd).st_size != SIZE:
            return None
        with mmap.mmap(fd, SIZE, prot=mmap.PROT_READ) as mapped:
            return _page(mapped, pid)
    except OSError:
        return None
    finally:
        os.close(fd)


def _page(mapped: mmap.mmap, pid: int) -> Page | None:
    # Each number is loaded by itself, of its own size: so it is whole.
    with memoryview(mapped) as view:
        with view.cast("I") as words:
            magic, version, kind, side, role, *peers = words[:8].tolist()
        with view.cast("Q") as words:
            numbers = [words[i] for i in range(4, FIRST_TEXT // 8)]
    if (magic, version) != (MAGIC, VERSION):
        return None
    ends = KINDS.get(kind, "?"), SIDES.get(side, "?"), ROLES.get(role, "?")
    texts = map(_text, TEXTS.unpack_from(mapped, FIRST_TEXT))
    fields: list[Any] = [pid, *ends, *peers, *numbers, *texts]
    return Page(*fields)
