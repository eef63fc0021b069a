# SPDX-License-Identifier: Apache-2.0
"""UNIX sockets of this machine as the kernel lists them: who is bound, to whom.

From a NETLINK_SOCK_DIAG socket, as `ss -x` does; it takes no rights. It has the
sockets of our own network namespace only. Where the kernel was built without it there
are none, and whoever asks goes on with less.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

SOCK_DIAG = 4  # NETLINK_SOCK_DIAG
BY_FAMILY = 20  # SOCK_DIAG_BY_FAMILY
REQUEST_DUMP = 0x301
DONE, ERROR = 3, 2
SHOW = 0x01 | 0x02 | 0x04 | 0x10  # name, file, peer, queues
NAME, FILE, PEER, QUEUES = 0, 1, 2, 4
ESTABLISHED, LISTENING = 1, 10
HEADER = struct.Struct("=IHHII")
QUERY = struct.Struct("=BxxxIIIII")
SOCKET = struct.Struct("=BBBxI8x")
# A relative path, as the core binds it: by its directory's descriptor.
RELATIVE = "/proc/thread-self/fd/"


@dataclass(frozen=True)
class UnixSocket:
    """A stream socket; inode: its own, as in the links of /proc/*/fd."""

    inode: int
    state: int
    name: str  # "" without one, "@..." if abstract
    file: tuple[int, int] | None  # inode and device of the bound file
    peer: int  # inode; 0: gone, or not connected
    waiting: int  # of a listener: clients that it has not accepted


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if length < 4:
            return
        yield kind, data[4:length]
        data = data[(length + 3) & ~3 :]


def _name(raw: bytes) -> str:
    if raw[:1] == b"\0":
        return "@" + os.fsdecode(raw[1:])
    return os.fsdecode(raw.split(b"\0")[0])


def _socket(message: bytes) -> UnixSocket | None:
    family, kind, state, inode = SOCKET.unpack_from(message)
    if family != socket.AF_UNIX or kind != socket.SOCK_STREAM:
        return None
    found = dict(_attributes(message[SOCKET.size :]))
    file = None
    if FILE in found:
        number, device = struct.unpack("=II", found[FILE][:8])
        file = number, os.makedev(device >> 20, device & 0xFFFFF)
    return UnixSocket(
        inode=inode,
        state=state,
        name=_name(found.get(NAME, b"")),
        file=file,
        peer=struct.unpack("=I", found.get(PEER, bytes(4))[:4])[0],
        waiting=struct.unpack("=I", found.get(QUEUES, bytes(8))[:4])[0],
    )


def unix_sockets() -> dict[int, UnixSocket]:
    """Return all stream sockets by their inode; none if the kernel does not say."""
    query = QUERY.pack(socket.AF_UNIX, 0xFFFFFFFF, 0, SHOW, 0, 0)
    size = HEADER.size + len(query)
    found: dict[int, UnixSocket] = {}
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, SOCK_DIAG) as kernel:
            kernel.settimeout(2)
            kernel.send(HEADER.pack(size, BY_FAMILY, REQUEST_DUMP, 1, 0) + query)
            while _take(kernel.recv(1 << 16), found):
                pass
    except OSError:
        return found
    return found


def _take(answer: bytes, found: dict[int, UnixSocket]) -> bool:
    """Take the messages of one answer. False: it was the last."""
    while len(answer) >= HEADER.size:
        length, kind, *_ = HEADER.unpack_from(answer)
        if kind in (DONE, ERROR) or length < HEADER.size:
            return False
        if one := _socket(answer[HEADER.size : length]):
            found[one.inode] = one
        answer = answer[(length + 3) & ~3 :]
    return True


def is_listening(path: str) -> bool | None:
    """Say whether a process listens at a path; None: the kernel refuses to tell.

    A datagram socket cannot connect to a stream socket, so asking disturbs nobody. An
    abstract name is another one for each type of socket.
    """
    if path.startswith("@"):
        known = unix_sockets().values()
        listening = any(s.name == path and s.state == LISTENING for s in known)
        return listening if known else None
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        refused = probe.connect_ex(path)
    if refused in (errno.ECONNREFUSED, errno.ENOENT):
        return False
    return True if refused in (0, errno.EPROTOTYPE) else None
