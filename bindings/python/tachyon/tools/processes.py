# SPDX-License-Identifier: Apache-2.0
"""What /proc shows of the processes of this machine: who maps which ring, whose page.

Nothing of it is taken for granted: a process may end, or become another program's,
between two looks at it, and what others named themselves may be anything.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import pwd
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from . import page
from .page import Page

MEMFD = b"/memfd:tachyon (deleted)"
LOCK_SUFFIX = ".tachyon-lock"
DATA_OFFSET = max(8192, mmap.PAGESIZE)
VMA = re.compile(rb"([0-9a-f]+)-([0-9a-f]+) \S+ ([0-9a-f]+) \S+ (\d+) +(\S.*)")
STATUS = re.compile(rb"^(Name|State|NSpid):\t(.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Mapping:
    """The control words of a ring that a process has mapped.

    inode: of the memfd that they are in, the same in both ends' processes.
    shares_data: with other readers, as in a broadcast.
    """

    inode: int
    address: int
    data_address: int  # 0: not told, for the producer of a broadcast
    capacity: int  # 0: as above
    shares_data: bool


@dataclass
class Process:
    """A process that may be looked at."""

    pid: int
    uid: int
    command: str
    state: str  # one letter, as in ps
    mappings: list[Mapping] = field(default_factory=list)
    broadcast_data: list[tuple[int, int]] = field(default_factory=list)  # where, size
    sockets: set[int] = field(default_factory=set)  # inodes
    locks: list[str] = field(default_factory=list)  # paths that it listens on
    offered: set[int] = field(default_factory=set)  # memfds that nobody has yet
    pages: list[Page] = field(default_factory=list)
    pids: set[int] = field(default_factory=set)  # its numbers in all pid namespaces


def printable(text: str) -> str:
    """Return text of others without what a terminal would obey."""
    return "".join(c if c.isprintable() else "?" for c in text)


def user_name(uid: int) -> str:
    """Return a user's name, or the number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


@dataclass
class _Segment:
    inode: int
    start: int
    end: int
    file_end: int


def _segments(maps: bytes) -> list[_Segment]:
    """Each begins at the start of a file; the kernel may have split it."""
    found: list[_Segment] = []
    for text in maps.split(b"\n"):
        line = VMA.fullmatch(text) if text.endswith(MEMFD) else None
        if not line or line[5] != MEMFD:
            continue
        start, end, offset = (int(line[i], 16) for i in (1, 2, 3))
        inode, last = int(line[4]), found[-1] if found else None
        if offset and last and last.inode == inode and last.end == start:
            last.end = end
            last.file_end = max(last.file_end, offset + end - start)
        elif offset == 0:
            found.append(_Segment(inode, start, end, end - start))
    return found


def _is_pair(segments: list[_Segment], i: int) -> bool:
    """Tell the data of a broadcast: a file twice in a row, each time from its start."""
    if i + 1 >= len(segments):
        return False
    first, second = segments[i : i + 2]
    return first.inode == second.inode and first.end == second.start


def _read_maps(process: Process, maps: bytes) -> None:
    """Tell rings from the control words and the data of a broadcast.

    See docs/WIRE.md: a ring is one file, its data mapped a second time behind it. In a
    broadcast control words and data are files of their own; a reader has the data
    behind its control words, the producer elsewhere.
    """
    segments = _segments(maps) if MEMFD in maps else []
    i = 0
    while i < len(segments):
        one = segments[i]
        length = one.end - one.start
        if length > one.file_end:
            capacity, data = one.file_end - DATA_OFFSET, one.start + DATA_OFFSET
            process.mappings.append(
                Mapping(one.inode, one.start, data, capacity, False)
            )
        elif _is_pair(segments, i):
            process.broadcast_data.append((one.start, length))
            i += 1
        elif _is_pair(segments, i + 1) and segments[i + 1].start == one.end:
            data, capacity = one.end, segments[i + 1].file_end
            process.mappings.append(Mapping(one.inode, one.start, data, capacity, True))
            i += 2
        elif length == DATA_OFFSET:
            process.mappings.append(Mapping(one.inode, one.start, 0, 0, True))
        i += 1


def _descriptors(pid: int) -> Iterator[tuple[str, str]]:
    """Return each descriptor of a process: its link, and where that leads."""
    folder = f"/proc/{pid}/fd"
    for number in os.listdir(folder):
        link = f"{folder}/{number}"
        try:
            target = os.readlink(link)
        except FileNotFoundError:
            continue
        yield link, target


def _read_descriptors(process: Process) -> None:
    for link, target in _descriptors(process.pid):
        if target.startswith("socket:["):
            process.sockets.add(int(target[8:-1]))
        elif target == page.LINK:
            if found := page.read(link, process.pid):
                process.pages.append(found)
        elif target.endswith(LOCK_SUFFIX):
            process.locks.append(target.removesuffix(LOCK_SUFFIX))
        elif os.fsencode(target) == MEMFD:
            with contextlib.suppress(FileNotFoundError):
                process.offered.add(os.stat(link).st_ino)


def process(pid: int) -> Process | None:
    """Return who a process is, without its rings; None: it has ended."""
    folder = f"/proc/{pid}"
    try:
        with open(f"{folder}/cmdline", "rb") as file:
            command = file.read(4096).rstrip(b"\0").replace(b"\0", b" ")
        with open(f"{folder}/status", "rb") as file:
            status = dict(STATUS.findall(file.read()))
        uid = os.stat(folder).st_uid
    except (FileNotFoundError, ProcessLookupError):
        return None
    text = printable(os.fsdecode(command or b"[%s]" % status[b"Name"]))
    one = Process(pid, uid, text, os.fsdecode(status[b"State"][:1]))
    one.pids = {pid, *map(int, status.get(b"NSpid", b"").split())}
    return one


def processes() -> tuple[list[Process], int]:
    """Return those that have rings or listen, and how many may not be looked at."""
    found, refused = [], 0
    for pid in _pids():
        try:
            with open(f"/proc/{pid}/maps", "rb") as file:
                maps = file.read()
            if not maps:  # a thread of the kernel's
                continue
            one = Process(pid, 0, "", "")
            _read_maps(one, maps)
            _read_descriptors(one)
            if not (one.mappings or one.broadcast_data or one.locks):
                continue
            if known := process(pid):
                one.uid, one.command, one.state = known.uid, known.command, known.state
                one.pids = known.pids
                found.append(one)
        except (FileNotFoundError, ProcessLookupError):
            continue
        except PermissionError:
            refused += _is_a_program(pid)
    return found, refused


def pages(pid: int | None = None) -> list[Page]:
    """Return the pages of a process, or of all that may be looked at.

    Raises PermissionError, or FileNotFoundError, for a process that is named.
    """
    if pid is not None:
        one = Process(pid, 0, "", "")
        _read_descriptors(one)
        return one.pages
    found: list[Page] = []
    for number in _pids():
        with contextlib.suppress(OSError):
            found += pages(number)
    return found


def holder(inode: int) -> Process | None:
    """Return the process that has a socket, if it may be looked at."""
    for pid in _pids():
        with contextlib.suppress(OSError):
            if any(target == f"socket:[{inode}]" for _, target in _descriptors(pid)):
                return process(pid)
    return None


def _pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def _is_a_program(pid: int) -> bool:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
        return bool(file.read(1))
    return False
