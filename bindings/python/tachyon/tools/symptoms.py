# SPDX-License-Identifier: Apache-2.0
"""What may keep a program from connecting to a path, in the order in which it would.

Each step says what it has found; the first that is bad ends those that hang on it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from . import knock, rings
from .findings import BAD, GOOD, NOTE, Finding
from .limits import limits
from .processes import LOCK_SUFFIX, Process, holder, printable, user_name
from .rings import Ring
from .sockets import LISTENING, is_listening, unix_sockets

FOREIGN = 65534  # the user id of whoever has none here
MOST_BYTES = 107  # of a socket's path


def examine(path: str, timeout: float) -> Iterator[Finding]:
    """Look at all that connecting to the path takes."""
    bad = False
    for finding in _way_in(path, timeout):
        bad = bad or finding.verdict == BAD
        yield finding
    yield from limits()


def _way_in(path: str, timeout: float) -> Iterator[Finding]:
    for step in (_path, _folder, _socket, _listener):
        for finding in step(path):
            yield finding
            if finding.verdict == BAD:
                return
    yield from _answer(path, timeout)


def _abstract(path: str) -> bool:
    return path.startswith("@")


# ---- The path ----


def _path(path: str) -> Iterator[Finding]:
    size = len(os.fsencode(path))
    if size > MOST_BYTES:
        text = f"{size} bytes, and a socket's path has at most {MOST_BYTES}"
        yield Finding(BAD, "path", f"{text}; choose a shorter one, as in /run or /tmp")
    elif size == 0 or path == "@" or "\0" in path:
        yield Finding(BAD, "path", f"{path!r} names nothing; give the listener's path")
    elif _abstract(path):
        yield Finding(NOTE, "path", "an abstract name: of this network namespace only")
    elif not os.path.isabs(path):
        text = f"relative, {printable(os.path.abspath(path))} from here"
        yield Finding(NOTE, "path", f"{text}; the listener's may begin elsewhere")
    else:
        yield Finding(GOOD, "path", printable(path))


def _about(found: os.stat_result) -> str:
    """Return mode and owner."""
    owner = f"user {user_name(found.st_uid)} ({found.st_uid})"
    return f"mode {stat.S_IMODE(found.st_mode):04o}, {owner}"


def _we() -> str:
    return f"we are {user_name(os.geteuid())} ({os.geteuid()})"


def _folder(path: str) -> Iterator[Finding]:
    if _abstract(path):
        return
    folder = Path(os.path.abspath(path)).parent
    for part in (*reversed(folder.parents), folder):
        name = printable(str(part))
        try:
            found = part.stat()
        except (FileNotFoundError, NotADirectoryError):
            text = f"{name} does not exist; the listener does not make it: mkdir"
            yield Finding(BAD, "folder", f"{text}, or give the path that it has")
            return
        except OSError as error:
            yield Finding(BAD, "folder", f"{name}: {error.strerror}")
            return
        if not stat.S_ISDIR(found.st_mode):
            text = f"{name} is no folder; give the path that the listener has"
            yield Finding(BAD, "folder", text)
            return
        if not os.access(part, os.X_OK, effective_ids=True):
            text = f"{name} may not be entered ({_about(found)}; {_we()})"
            yield Finding(BAD, "folder", f"{text}; chmod o+x, or use another folder")
            return
    yield Finding(GOOD, "folder", f"{printable(str(folder))}, {_about(folder.stat())}")


# ---- The socket ----


def _socket(path: str) -> Iterator[Finding]:
    if _abstract(path):
        return
    try:
        found = os.stat(path)
    except FileNotFoundError:
        yield Finding(BAD, "socket", f"nothing is at the path; {_whereabouts(path)}")
        return
    except OSError as error:
        yield Finding(BAD, "socket", f"{error.strerror}; is the path the right one?")
        return
    if not stat.S_ISSOCK(found.st_mode):
        text = "a file that is no socket is at the path; no listener can be there"
        yield Finding(BAD, "socket", f"{text}: remove it, or choose another path")
        return
    about = _about(found)
    if not os.access(path, os.W_OK, effective_ids=True):
        text = f"{about}; {_we()}, and may not write to it"
        yield Finding(BAD, "socket", f"{text}; {ADMIT}")
        return
    yield Finding(GOOD, "socket", about)


START = "nobody listens here: start the listener"
ADMIT = (
    "listen with mode=0o666 (or a group's) and allowed_uids=[...], and connect with "
    "allowed_uids=[...], or run both as one user"
)


def _whereabouts(path: str) -> str:
    """Return what stands in for a listener that is not there."""
    known, refused = rings.look()
    wanted = os.path.abspath(path)
    for ring in known:
        if ring.kind != "listener" and wanted in ring.paths:
            text = f"{_listening_end(ring)} has its peer, and takes one at a time"
            return f"{text}: listen again, or with max_peers for many"
    name = os.path.basename(wanted)
    for ring in known:
        for other in ring.paths if ring.kind == "listener" else ():
            owner = ring.ends[0].process
            if other == wanted and _elsewhere(owner, "mnt"):
                text = f"{_who(owner)} has it in another mount namespace"
                return f"{text} (a container, PrivateTmp): share the folder"
            if os.path.basename(other) == name and other != wanted:
                text = f"{_who(owner)} listens at {printable(other)}"
                return f"{START}, or give the path that is meant: {text}"
    if os.path.lexists(path):
        return "it is a link that leads nowhere: remove it"
    text = f"{START}, or connect with a timeout, which waits for it"
    return text + (f" (not looked at: {refused} processes)" if refused else "")


def _listening_end(ring: Ring) -> str:
    listening = (_who(end.process) for end in ring.ends if end.side == "listener")
    return next(listening, "the listener")


def _elsewhere(found: Process, kind: str) -> bool:
    """Say whether a process is known to be in another namespace than we are."""
    try:
        return not os.path.samefile(
            f"/proc/{found.pid}/ns/{kind}", f"/proc/self/ns/{kind}"
        )
    except OSError:
        return False


def _who(found: Process) -> str:
    return f"process {found.pid} ({found.command[:60]})"


# ---- Who listens ----


def _listener(path: str) -> Iterator[Finding]:
    listens = is_listening(path)
    if listens is False:
        text = "nobody listens" if _abstract(path) else "the socket's process is gone"
        way = (
            "start the listener"
            if _abstract(path)
            else "start it again: it replaces it"
        )
        yield Finding(BAD, "listener", f"{text}; {way}")
        return
    if listens is None:
        yield Finding(
            BAD, "listener", f"whether anybody listens cannot be told; {_we()}"
        )
        return
    owner = _owner(path)
    if owner and owner.state in "Tt":
        text = f"{_who(owner)} is stopped; kill -CONT {owner.pid}"
        yield Finding(BAD, "listener", text)
        return
    if owner:
        yield Finding(GOOD, "listener", f"{_who(owner)}, {user_name(owner.uid)}'s")
    if not _abstract(path) and not os.path.lexists(
        os.path.realpath(path) + LOCK_SUFFIX
    ):
        text = (
            f"without its {LOCK_SUFFIX} file: no listener of this version, but of 0.5, "
            "or another program. Not asked, which might take its place"
        )
        yield Finding(BAD, "version", f"{text}; move both ends to one version")


def _owner(path: str) -> Process | None:
    """Return the process that listens, if it may be looked at."""
    try:
        found = None if _abstract(path) else os.stat(path)
    except OSError:
        return None
    for one in unix_sockets().values():
        same = one.file == (found.st_ino, found.st_dev) if found else one.name == path
        if one.state == LISTENING and (same or one.name == path):
            return holder(one.inode)
    return None


# ---- What it answers ----


def _answer(path: str, timeout: float) -> Iterator[Finding]:
    answer = knock.knock(path, timeout)
    if answer.status == knock.NOT_ASKED:
        text = f"{answer.text}; its program has to be in a call that lets peers in"
        yield Finding(BAD, "answer", f"{text}: waiting on the bus, or in accept")
        return
    if answer.version != knock.VERSION:
        text = f"its wire version is {answer.version}, ours {knock.VERSION}"
        yield Finding(BAD, "version", f"{text}; move both ends to one version")
        return
    yield Finding(GOOD, "version", f"wire version {answer.version}")
    what = "broadcast" if answer.broadcast else knock.KINDS.get(answer.kind, "unknown")
    if answer.status == knock.PERMISSION:
        yield Finding(BAD, "user", f"it does not let us in: {_we()}; {ADMIT}")
    elif answer.uid != os.geteuid():
        text = f"the listener is {user_name(answer.uid)} ({answer.uid}), {_we()}"
        if answer.uid == FOREIGN:
            text += ", which is how this user namespace shows an id of another"
        yield Finding(BAD, "user", f"{text}: connect with allowed_uids=[{answer.uid}]")
    elif answer.status == knock.BUSY:
        text = "no place is left: max_peers are there, or memory or descriptors are not"
        yield Finding(BAD, "answer", f"{text}; end a peer, or raise max_peers")
    elif answer.status == knock.MISFIT:
        text = "it refuses messages that nobody describes (types_required)"
        yield Finding(BAD, "answer", f"{text}; declare its types")
    elif answer.status != knock.OK:
        yield Finding(BAD, "answer", f"it refuses, with status {answer.status}")
    elif not answer.sealed:
        yield Finding(
            BAD, "answer", "its memory is not sealed; it is no honest listener"
        )
    else:
        yield Finding(GOOD, "answer", f"it lets us in: {_offer(what, answer)}")


def _offer(what: str, answer: knock.Answer) -> str:
    text = f"{what}, {answer.capacity:,} bytes"
    if answer.role:
        other = "consumer" if answer.role == "producer" else "producer"
        text += f", it is the {answer.role}: connect as {other}"
    if answer.schema:
        text += f"; messages of the fingerprint {answer.schema:016x}"
    return text
