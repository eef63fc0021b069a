# SPDX-License-Identifier: Apache-2.0
"""All rings of this machine, from outside: whose they are, and what is in them.

Who maps a ring is in /proc/*/maps, who is connected at which path in the kernel's list
of sockets. Both ends close the ring's descriptor once they are connected, so its words
are read through /proc/PID/mem, which takes the right to trace that process. Without it
the ring is listed, and what is in it is not known. Nothing is ever written.

Read are only words that docs/WIRE.md has, each checked as hostile: a tail, and the
words of records from there on, which lead to the place of the next one. What the ends
have counted is in their pages, which do not say of which ring they are: a page is an
end's where it fits no other, and what is in it is only shown.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from pathlib import PurePath
from typing import Any

from .page import Page
from .processes import Mapping, Process, processes
from .sockets import ESTABLISHED, LISTENING, RELATIVE, UnixSocket, unix_sockets

# Of struct ring_shared; a test compares them with docs/WIRE.md.
PRODUCER_SIDE = 128
WANTED_TAIL = 256
TAIL = 4096
WANTED_HEAD = 4224
CONSUMER_SIDE = 4352
EVICTED = 1
SIDES = ("", "listener", "connector")
OTHER = {"": "", "listener": "connector", "connector": "listener"}

LINE = 64
LENGTH_BITS = 0x7FFFFFFF
NEXT_LINE_BIT = 0x80000000
CHUNK = 1 << 16
LARGE = 4096  # payload from which on records are read one by one
MOST_RECORDS = 50_000  # looked at in one ring: 10 ms

# Of a page, what is not said of its end already.
SHOWN = (
    "name", "path", "max_peers", "peer_pid", "peer_uid", "opened_ns", "message_ns",
    "messages", "ring_bytes", "used", "flushes", "full", "sleeps", "wakes",
)  # fmt: skip

_End = tuple[Process, Mapping]


@dataclass(frozen=True)
class End:
    """An end of a ring; side and role are "" where they cannot be told."""

    process: Process
    side: str
    role: str
    page: Page | None = None  # None: cannot be read, or told from others

    def as_json(self) -> dict[str, Any]:
        """Return it as --json shows it."""
        page = asdict(self.page) if self.page else None
        return {
            "pid": self.process.pid,
            "uid": self.process.uid,
            "command": self.process.command,
            "side": self.side or None,
            "role": self.role or None,
            "page": page and {name: page[name] for name in SHOWN},
        }


@dataclass
class Ring:
    """A ring, or a listener that nobody has connected to."""

    paths: list[str]  # more than one where it cannot be told which of them it is
    kind: str  # bus, rpc, broadcast, listener, or ""
    key: tuple[int, ...]  # the same in each look
    capacity: int = 0  # 0: not known
    ends: list[End] = field(default_factory=list)
    taken: int | None = None  # bytes, headers included, since the beginning: the tail
    used: int | None = None  # bytes that the consumer has not released
    messages: int | None = None  # that these are
    flags: list[str] = field(default_factory=list)

    def end(self, role: str) -> End | None:
        """Return the end of that role."""
        return next((end for end in self.ends if end.role == role), None)

    def as_json(self) -> dict[str, Any]:
        """Return it as --json shows it."""
        return {
            "path": self.paths[0] if len(self.paths) == 1 else None,
            "paths": self.paths,
            "kind": self.kind or None,
            "capacity_bytes": self.capacity or None,
            "used_bytes": self.used,
            "messages": self.messages,
            "taken_bytes": self.taken,
            "flags": self.flags,
            "ends": [end.as_json() for end in self.ends],
        }


def look(part: str = "") -> tuple[list[Ring], int]:
    """Return all rings, and how many processes may not be looked at.

    part: only of paths that contain it.
    """
    found, refused = processes()
    sockets = unix_sockets()
    mapped: dict[int, list[_End]] = {}
    for process in found:
        for mapping in process.mappings:
            mapped.setdefault(mapping.inode, []).append((process, mapping))
    every = _listeners(found, mapped, sockets)
    groups: dict[tuple[int, ...], list[list[_End]]] = {}
    for ends in mapped.values():
        pids = tuple(sorted(process.pid for process, _ in ends))
        groups.setdefault(pids, []).append(ends)
    seen = {inode for process in found for inode in process.sockets}
    for group in groups.values():
        new = _connected(group, sockets, seen)
        for ring, ends in zip(new, group, strict=True):
            if _fits(ring, part):
                _read(ring, ends)
        every += new
    _give_pages(every)
    rings = [ring for ring in every if _fits(ring, part)]
    return sorted(rings, key=lambda ring: (ring.paths, ring.key)), refused


def document(found: list[Ring], refused: int) -> dict[str, Any]:
    """Return what --json shows."""
    shown = [ring.as_json() for ring in found]
    return {"rings": shown, "processes_not_looked_at": refused}


def _fits(ring: Ring, part: str) -> bool:
    return not part or any(part in path for path in ring.paths)


# ---- Whose it is ----


def _listeners(
    found: list[Process],
    mapped: dict[int, list[_End]],
    sockets: dict[int, UnixSocket],
) -> list[Ring]:
    """Return who listens. Memory that nobody has connected to is theirs."""
    rings = []
    for process in found:
        alone = [i for i in process.offered if len(mapped.get(i, ())) == 1]
        sizes = {mapped.pop(inode)[0][1].capacity for inode in alone}
        sizes |= {size for _, size in process.broadcast_data}
        for path in process.locks:
            ring = Ring([path], "listener", (process.pid, *os.fsencode(path)))
            ring.ends = [End(process, "listener", "")]
            if len(process.locks) == len(sizes) == 1:
                ring.capacity = sizes.copy().pop()
            if process.state in "Tt":
                ring.flags.append("stopped")
            if waiting := _backlog(process, path, sockets):
                ring.flags.append(f"{waiting} at the door")
            rings.append(ring)
    return rings


def _backlog(process: Process, path: str, sockets: dict[int, UnixSocket]) -> int:
    """Return how many clients a listener has not accepted."""
    return sum(
        one.waiting
        for inode in process.sockets
        if (one := sockets.get(inode)) and one.state == LISTENING
        if _shown(one.name) in (path, _shown(RELATIVE + PurePath(path).name))
    )


@dataclass(frozen=True)
class _Connection:
    path: str
    listener: int  # pid; 0: a process that may not be looked at
    lives: bool  # both of its sockets do


def _connections(
    ends: list[_End], sockets: dict[int, UnixSocket], seen: set[int]
) -> list[_Connection]:
    """Return what connects the two processes of a ring, or one and nobody that is seen.

    Of the two sockets of a connection only the one that was accepted has a name.
    """
    first = ends[0][0]
    second = ends[1][0] if len(ends) > 1 else None
    found = []
    for inode in first.sockets:
        one = sockets.get(inode)
        if not one or one.state != ESTABLISHED:
            continue
        other = sockets.get(one.peer)
        if one.peer in second.sockets if second else one.peer not in seen:
            if one.name:
                found.append(_Connection(_shown(one.name), first.pid, bool(other)))
            elif other and other.name and second is not first:
                pid = second.pid if second else 0
                found.append(_Connection(_shown(other.name), pid, True))
    return found


def _shown(path: str) -> str:
    """Return the path; of a relative one the directory is not known any more."""
    return "…/" + PurePath(path).name if path.startswith(RELATIVE) else path


def _connected(
    group: list[list[_End]], sockets: dict[int, UnixSocket], seen: set[int]
) -> list[Ring]:
    """Return the rings that the same processes have between them."""
    connections = _connections(group[0], sockets, seen)
    paths = sorted({connection.path for connection in connections})
    listeners = {connection.listener for connection in connections}
    rings = []
    for ends in group:
        ring = Ring(paths, _kind(ends, len(group), len(connections)), ())
        ring.key = (ends[0][1].inode,)
        pids = [process.pid for process, _ in ends]
        known = len(listeners) == 1 and len(set(pids)) == len(pids)
        for process, _ in ends:
            side = "listener" if process.pid in listeners else "connector"
            ring.ends.append(End(process, side if known else "", ""))
        if len(ends) == 1:
            hidden = any(connection.lives for connection in connections)
            ring.flags.append("other end not visible" if hidden else "other end gone")
        rings.append(ring)
    return rings


def _kind(ends: list[_End], rings: int, connections: int) -> str:
    """Return the kind, "" where processes are connected in several ways."""
    if any(mapping.shares_data for _, mapping in ends):
        return "broadcast"
    if connections == 0 or rings % connections:
        return ""
    return {1: "bus", 2: "rpc"}.get(rings // connections, "")


# ---- What is in it ----


class _UnreadableError(Exception):
    """It cannot be read: no right to, the process has ended, or it is no ring."""


@dataclass(frozen=True)
class _Memory:
    """Memory of another process."""

    file: int

    def read(self, address: int, size: int) -> bytes:
        """Return exactly so many bytes."""
        try:
            data = os.pread(self.file, size, address)
        except OSError as error:
            raise _UnreadableError from error
        if len(data) < size:
            raise _UnreadableError
        return data

    def word(self, address: int) -> int:
        """Return a word of 64 bits."""
        return int.from_bytes(self.read(address, 8), sys.byteorder)

    def side(self, address: int) -> int:
        """Return a word of 32 bits."""
        return int.from_bytes(self.read(address, 4), sys.byteorder)

    def tail(self, address: int) -> int:
        """Return a tail; two looks, for one may see half of a store."""
        first, second = self.word(address), self.word(address)
        if second < first or second % LINE:
            raise _UnreadableError
        return second


def _read(ring: Ring, ends: list[_End]) -> None:
    """Read the ring through whichever end lets us."""
    for process, mapping in sorted(ends, key=lambda end: -end[1].capacity):
        ring.capacity = ring.capacity or mapping.capacity
        try:
            file = os.open(f"/proc/{process.pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            _read_words(ring, _Memory(file), mapping)
        except _UnreadableError:
            continue
        finally:
            os.close(file)
        return
    ring.flags.append("memory not readable")


def _read_words(ring: Ring, memory: _Memory, mapping: Mapping) -> None:
    at = mapping.address
    taken = memory.tail(at + TAIL)
    producer, consumer = (
        memory.side(at + PRODUCER_SIDE),
        memory.side(at + CONSUMER_SIDE),
    )
    if max(producer, consumer) >= len(SIDES):
        raise _UnreadableError
    wanted_tail, wanted_head = (
        memory.word(at + WANTED_TAIL),
        memory.word(at + WANTED_HEAD),
    )
    if mapping.data_address:
        ring.used, ring.messages = _walk(memory, mapping)
    ring.taken = taken
    # Each end claims its side when it first sends or receives; readers of a broadcast
    # need not.
    sides = (SIDES[producer] or OTHER[SIDES[consumer]], SIDES[consumer])
    if mapping.shares_data:
        sides = ("listener", "connector")
    ring.ends = _with_roles(ring.ends, sides[0], sides[1] or OTHER[sides[0]])
    if wanted_tail == EVICTED:
        ring.flags.append("consumer let go")
    elif wanted_tail:
        ring.flags.append("producer waits for room")
    if wanted_head:
        ring.flags.append("consumer sleeps")


def _with_roles(ends: list[End], producer: str, consumer: str) -> list[End]:
    """Say who sends. A process that has both ends is what each of them says."""
    found = []
    for number, end in enumerate(ends):
        role = ""
        if len(ends) == 2 and not end.side and ends[0].process is ends[1].process:
            role = ("producer", "consumer")[number]
        elif end.side and end.side == producer:
            role = "producer"
        elif end.side and end.side == consumer:
            role = "consumer"
        found.append(replace(end, role=role))
    return found


def _walk(memory: _Memory, mapping: Mapping) -> tuple[int | None, int | None]:
    """Return bytes and messages that are published and not released.

    From the tail from record to record, to the word that is 0. A line at or after the
    tail is not overwritten; so what lies before the tail as it is after the look is not
    used. None: more than is looked at, or a ring that moves faster than we look.
    """
    capacity, data, tail = (
        mapping.capacity,
        mapping.data_address,
        mapping.address + TAIL,
    )
    position = memory.tail(tail)
    messages: list[int] = []  # where each begins
    size = min(CHUNK, capacity)
    for _ in range(MOST_RECORDS):
        inside = position % capacity  # the data is mapped twice in a row
        words = memoryview(memory.read(data + inside, size)).cast("Q")
        released = memory.tail(tail)
        begin, end = position, position + size
        position = max(position, released)
        while position < end and len(messages) < MOST_RECORDS:
            word = words[(position - begin) // 8]
            if word == 0:
                released = memory.tail(tail)
                if position - released > capacity:
                    raise _UnreadableError
                left = sum(start >= released for start in messages)
                return max(0, position - released), left
            length = (word & LENGTH_BITS) - 1
            if length < 0 or length > capacity - 2 * LINE:
                raise _UnreadableError
            messages.append(position)
            position += LINE
            if word & NEXT_LINE_BIT:
                position += (length + LINE - 1) & -LINE
            size = LINE if length > LARGE else min(CHUNK, capacity)
        if len(messages) == MOST_RECORDS:
            break
    return None, None


# ---- What its ends have counted ----


def _give_pages(rings: list[Ring]) -> None:
    """Give the ends their pages."""
    chosen = [[_page_of(ring, end) for end in ring.ends] for ring in rings]
    # An end has one page, of one ring, or of the two of an RPC bus.
    claims = Counter(id(page) for pages in chosen for page in pages)
    for ring, pages in zip(rings, chosen, strict=True):
        for number, page in enumerate(pages):
            most = 2 if page and page.kind == "rpc" else 1
            if page and (page.max_peers or claims[id(page)] <= most):
                ring.ends[number] = replace(ring.ends[number], page=page)
        told = {end.page.path for end in ring.ends if end.page}.intersection(ring.paths)
        if len(told) == 1:
            ring.paths = list(told)


def _page_of(ring: Ring, end: End) -> Page | None:
    """Return the one page that can be the end's."""
    others = [other.process for other in ring.ends if other is not end]
    found = [page for page in end.process.pages if _may_be(page, ring, end, others)]
    if len(found) > 1:  # a path may be a link, or relative
        same = [page for page in found if page.path in ring.paths]
        found = same or [page for page in found if _is_named(page, ring)] or found
    if len(found) > 1:  # it may not show its role yet
        found = [page for page in found if page.role == end.role] or found
    return found[0] if len(found) == 1 else None


def _is_named(page: Page, ring: Ring) -> bool:
    names = {os.path.basename(path) for path in ring.paths}
    return os.path.basename(page.path) in names


def _may_be(page: Page, ring: Ring, end: End, others: list[Process]) -> bool:
    """Say whether nothing speaks against its being a page of this end."""
    if ring.kind == "listener":
        return page.max_peers > 0 and page.side == end.side and _is_named(page, ring)
    kind = "bus" if ring.kind == "broadcast" else ring.kind
    of_size = page.kind == "rpc" or ring.capacity in (0, page.capacity)
    of_peer = not others or any(page.peer_pid in process.pids for process in others)
    return (
        kind in ("", page.kind)
        and end.side in ("", page.side)
        and (not end.role or page.role in ("none", "both", end.role))
        and of_size
        and (of_peer or not page.peer_pid)
    )
