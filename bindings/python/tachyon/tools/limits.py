# SPDX-License-Identifier: Apache-2.0
"""What this machine and our limits allow: memory, seals, descriptors, filters."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import re
import resource
from collections.abc import Iterator

from .findings import BAD, GOOD, NOTE, Finding

NEEDED_DESCRIPTORS = 8
SMALLEST = 1 << 20  # bytes of a ring that should fit
FUTURE_WRITE = 0x0010  # F_SEAL_FUTURE_WRITE, which Python does not name


def limits() -> Iterator[Finding]:
    """Look at what no listener can change."""
    yield _shared_memory()
    yield from _resources()
    yield from _filter()


def _sysctl(name: str) -> str:
    try:
        with open(f"/proc/sys/{name}") as file:
            return file.read().strip()
    except OSError:
        return ""


def _shared_memory() -> Finding:
    """Make, seal and map a little of it, as a listener does."""
    step = "memfd_create"
    descriptor = -1
    try:
        descriptor = os.memfd_create(
            "tachyon-doctor", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
        )
        step = "fallocate"
        os.posix_fallocate(descriptor, 0, mmap.PAGESIZE)
        step = "mmap"
        mmap.mmap(descriptor, mmap.PAGESIZE).close()
        step = "a seal"
        for seals in (fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW, FUTURE_WRITE):
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    except OSError as error:
        text = f"{step}: {error.strerror}, so nothing of ours can listen"
        return Finding(NOTE, "memory", f"{text}; {_why(step, error)}")
    finally:
        if descriptor >= 0:
            os.close(descriptor)
    noexec = _sysctl("vm/memfd_noexec")
    more = f", vm.memfd_noexec={noexec}" if noexec not in ("", "0") else ""
    return Finding(GOOD, "memory", f"sealed memfds can be made{more}")


def _why(step: str, error: OSError) -> str:
    noexec = _sysctl("vm/memfd_noexec")
    if step == "memfd_create" and noexec == "2":
        return "vm.memfd_noexec is 2: sysctl vm.memfd_noexec=1"
    if error.errno in (errno.EPERM, errno.ENOSYS):
        return (
            "a seccomp filter, or a kernel before 5.1: allow what docs/SYSCALLS.md has"
        )
    if error.errno in (errno.ENOMEM, errno.ENOSPC):
        return "there is no memory left: free some, or raise the container's limit"
    return "see ulimit -a"


def _size(value: int) -> str:
    return "unlimited" if value == resource.RLIM_INFINITY else f"{value:,}"


def _resources() -> Iterator[Finding]:
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(os.listdir("/proc/self/fd"))
    enough = files == resource.RLIM_INFINITY or files >= used + NEEDED_DESCRIPTORS
    way = "" if enough else ": too few for a connection; raise it: ulimit -n"
    yield Finding(
        GOOD if enough else BAD, "descriptors", f"ulimit -n {_size(files)}{way}"
    )
    for name, number, option in (
        ("addresses", resource.RLIMIT_AS, "v"),
        ("size of a file", resource.RLIMIT_FSIZE, "f"),
    ):
        limit, _ = resource.getrlimit(number)
        if limit != resource.RLIM_INFINITY:
            text = f"ulimit -{option} allows {limit:,} bytes: what is larger cannot be"
            verdict = BAD if limit < SMALLEST else NOTE
            yield Finding(verdict, name, f"{text} mapped; raise it for large rings")
    locked, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    text = f"ulimit -l {_size(locked)} bytes"
    if locked != resource.RLIM_INFINITY:
        text += ": matters only to a program that calls mlockall(), whose rings count"
    yield Finding(GOOD, "memlock", text)


def _filter() -> Iterator[Finding]:
    try:
        with open("/proc/self/status") as file:
            found = re.search(r"^Seccomp:\s*(\d)", file.read(), re.MULTILINE)
    except OSError:
        return
    if found and found[1] != "0":
        text = "a filter is on, which our programs inherit"
        yield Finding(NOTE, "seccomp", f"{text}; docs/SYSCALLS.md has what they need")
    else:
        yield Finding(GOOD, "seccomp", "no filter")
