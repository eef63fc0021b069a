# SPDX-License-Identifier: Apache-2.0
"""Ask a listener whether it would let us in, without going in.

The first half of the handshake of docs/WIRE.md: we greet, it answers, and we leave
without the byte that would make a connection. A listener goes on as if nobody had come:
the memory that it has offered goes with us, and it allocates the next.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import socket
import struct
from dataclasses import dataclass

GREETING = struct.Struct("=8I5Q2I32s16x")
MAGIC = 0x54414348
VERSION = 101
BUS, RPC = 1, 2
KINDS = {BUS: "bus", RPC: "RPC bus"}
BROADCAST = 2  # bit of the flags
OK, MISFIT, BUSY, PERMISSION = 0, 14, 18, 21
ROLES = ("", "producer", "consumer")
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
NOT_ASKED = -1  # `status`: we have no answer


@dataclass(frozen=True)
class Answer:
    """What a listener says of itself; without an answer `text` says why."""

    status: int
    text: str = ""
    uid: int = -1
    pid: int = 0
    version: int = 0
    kind: int = 0
    broadcast: bool = False
    role: str = ""
    schema: int = 0
    capacity: int = 0
    sealed: bool = True


def knock(path: str, timeout: float) -> Answer:
    """Ask, of a bus and then, if it is none, of an RPC bus."""
    answer = _ask(path, BUS, timeout)
    if answer.status == MISFIT and answer.version == VERSION and answer.kind == RPC:
        return _ask(path, RPC, timeout)
    return answer


def _ask(path: str, kind: int, timeout: float) -> Answer:
    address = "\0" + path[1:] if path.startswith("@") else path
    hello = GREETING.pack(MAGIC, VERSION, 0, kind, 0, 0, os.getpid(), *8 * [0], b"")
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(timeout)
        try:
            link.connect(address)
            who = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            pid, uid, _ = struct.unpack("=iII", who)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                link.sendall(hello)  # it may have refused already
            data, ancillary, _, _ = link.recvmsg(GREETING.size, socket.CMSG_SPACE(16))
        except TimeoutError:
            return Answer(NOT_ASKED, "it does not answer")
        except OSError as error:
            return Answer(NOT_ASKED, f"it ended the connection: {error.strerror}")
    descriptors = _descriptors(ancillary)
    try:
        return _answer(data, uid, pid, descriptors)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    found = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return found.tolist()


def _answer(data: bytes, uid: int, pid: int, descriptors: list[int]) -> Answer:
    magic, version = struct.unpack_from("=II", data.ljust(8, b"\0"))
    if magic != MAGIC:
        said = "it ended the connection" if not data else "its answer is no Tachyon's"
        return Answer(NOT_ASKED, said, uid, pid)
    if version != VERSION or len(data) < GREETING.size:
        return Answer(MISFIT, "", uid, pid, version)
    _, _, status, kind, flags, role, _, _, schema, _, *rest = GREETING.unpack(data)
    sealed = True
    if status == OK:
        for descriptor in descriptors:
            with contextlib.suppress(OSError):
                sealed &= fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & SEALS == SEALS
    return Answer(
        status,
        "",
        uid,
        pid,
        version,
        kind,
        bool(flags & BROADCAST),
        ROLES[role] if role < len(ROLES) else "",
        schema,
        rest[0],
        sealed,
    )
