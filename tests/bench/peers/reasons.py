# SPDX-License-Identifier: Apache-2.0
"""Why a peer is better than Tachyon in a case, in one line: all such lines are here.

What has not been shown by a measurement of its own begins with "presumably". A case
without a line says so in the report.
"""

from typing import NamedTuple

UNKNOWN = "not explained yet"


class Reason(NamedTuple):
    """A case, by the beginnings of its names; * is any language."""

    language: str
    workload: str
    peer: str
    why: str


WHOLE = "presumably: the reader begins when all is there, a socket's parts overlap"
WALKS = "presumably: it walks through a ring, the peer stays in one place"
HEADER = "presumably: the peer's items have no header"
INHERITS = "the peer's ends are inherited: nothing is connected"
LESS = "presumably: the two agree on less when they meet"
ALL_PAGES = "all pages of both rings are there from the beginning: no send faults"
KERNEL = "the peer's bytes are in the kernel, which smaps does not tell"

# The first that fits.
SLOWER = (
    Reason("Python", "connect", "python.os_pipe", INHERITS),
    Reason("Python", "connect", "python.mp_", INHERITS),
    Reason("Python", "connect", "python.unix_socket", INHERITS),
    Reason("*", "connect", "", LESS),
    Reason("C", "memory", "", KERNEL),
    Reason("Python", "memory", "python.os_pipe", KERNEL),
    Reason("Python", "memory", "python.mp_pipe", KERNEL),
    Reason("Python", "memory", "python.unix_socket", KERNEL),
    Reason("Python", "memory", "python.mp_queue", KERNEL),
    Reason("*", "memory", "", ALL_PAGES),
    Reason("C", "trip-spinning-65536", "c.", WHOLE),
    Reason("C", "trip-spinning-1", "c.", WHOLE),
    Reason("*", "trip-spinning-1", "", WALKS),
    Reason("*", "place-1", "python.mp_shared_memory", WALKS),
    Reason("Rust", "trip-spinning-8", "rust.ringfire", HEADER),
    Reason("Rust", "way-8", "rust.ringfire", HEADER),
    Reason("Rust", "rate", "rust.ringfire", HEADER),
    Reason("Rust", "place-8", "rust.shmem_ipc", HEADER),
)


def slower(case: str, peer: str) -> str:
    """Return it for a case, such as "Rust way-8", and the id of the better peer."""
    language, _, workload = case.partition(" ")
    for reason in SLOWER:
        if (
            reason.language in ("*", language)
            and workload.startswith(reason.workload)
            and peer.startswith(reason.peer)
        ):
            return reason.why
    return UNKNOWN
