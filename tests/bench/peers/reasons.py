# SPDX-License-Identifier: Apache-2.0
"""Why a peer is better than Tachyon in a case, in one line: all such lines are here.

Each has been measured, or read in the source of both: what the two do otherwise there.
A case without a line says in the report that the reason is not known.
"""

from typing import NamedTuple

UNKNOWN = "not known"


class Reason(NamedTuple):
    """A case, by the beginnings of its names; * is any language."""

    language: str
    workload: str
    peer: str
    why: str


PARTS = (
    "it goes in parts, of which the reader has one while the writer copies the next; "
    "ours is there when all of it is"
)
WALKS = "ours lies behind the one before, through the whole ring; "
ONE_SLOT = WALKS + "it has one slot"
# What a subscriber has released comes back before a loan, onto the top of a stack.
REUSES = WALKS + "it lends first what was given back last"
# Each of ours begins with a cache line of its own, which has up to 32 bytes of it.
FOUR = "with its number it has 16 bytes, four to a cache line; ours has one of its own"
EIGHT = "nothing else is in its ring: eight to a cache line; ours has one of its own"
IN_ONE = "a batch is one copy; each message of ours has a size and a cache line"


def sleeps(on: str) -> str:
    """Return the reason; `benchmarks` and the rows of pipe and socket measure it."""
    return (
        f"it sleeps on {on}, ours on a socket, which tells of the peer's end, too: "
        f"a bare socket takes longer than {on}"
    )


FUTEX, PIPE, EVENTFD = sleeps("a futex"), sleeps("a pipe"), sleeps("an eventfd")
# 9 µs; docs/ARCHITECTURE.md says what it is for.
MEMBARRIER = "a sleep of ours begins with a membarrier, which spares each flush a fence"
# What a call into C costs is in the table of the languages.
JNI = "it is Java that the JVM compiles; each of ours is a call into C"
INHERITS = "the peer's ends are inherited: nothing is connected"
HANDSHAKE = "; ours greet each other, and have all pages of both rings at hand"
NO_MEMORY = "there is no memory to share" + HANDSHAKE
BY_PATH = "each opens the other's file, and they tell each other nothing" + HANDSHAKE
BY_FD = "each hands over its memory in one message" + HANDSHAKE
ALL_PAGES = "all pages of both rings are there from the beginning: no send faults"
KERNEL = "the peer's bytes are in the kernel, which smaps does not tell"
IN_THE_KERNEL = (
    "c.", "rust.zeromq", "rust.nng", "python.unix_socket", "python.os_pipe",
    "python.mp_pipe", "python.mp_queue", "python.zeromq", "python.nng",
)  # fmt: skip

# The first that fits.
SLOWER = (
    Reason("Python", "connect", "python.os_pipe", INHERITS),
    Reason("Python", "connect", "python.mp_", INHERITS),
    Reason("Python", "connect", "python.unix_socket", INHERITS),
    Reason("C", "connect", "", NO_MEMORY),
    Reason("Rust", "connect", "rust.ringfire", BY_PATH),
    Reason("Rust", "connect", "rust.shmem_ipc", BY_FD),
    *(Reason("*", "memory", peer, KERNEL) for peer in IN_THE_KERNEL),
    Reason("Rust", "memory", "rust.tachyon_0_5_1", UNKNOWN),
    Reason("Python", "memory", "python.tachyon_0_5_1", UNKNOWN),
    Reason("*", "memory", "", ALL_PAGES),
    Reason("C", "trip-spinning-1", "c.unix_socket", PARTS),
    Reason("C", "trip-spinning-16777216", "c.pipe", PARTS),
    Reason("Rust", "trip-spinning-1", "rust.iceoryx2", REUSES),
    Reason("Python", "trip-spinning-1", "python.iceoryx2", REUSES),
    Reason("Python", "trip-spinning-1", "python.mp_shared_memory", ONE_SLOT),
    Reason("Python", "place-1", "python.mp_shared_memory", ONE_SLOT),
    Reason("Rust", "way-8", "rust.ringfire", FOUR),
    Reason("Rust", "place-8", "rust.shmem_ipc", EIGHT),
    Reason("Python", "place-1", "python.iceoryx2", REUSES),
    Reason("C", "batch", "c.pipe", IN_ONE),
    Reason("Rust", "batch", "rust.shmem_ipc", IN_ONE),
    Reason("C", "idle", "c.", MEMBARRIER),
    Reason("Rust", "idle", "rust.shmem_ipc", MEMBARRIER),
    Reason("Java", "trip", "java.aeron", JNI),
    Reason("Java", "way", "java.aeron", JNI),
    Reason("Java", "place", "java.aeron", JNI),
    *(
        Reason("*", workload, peer, why)
        for workload in ("trip-asleep", "rpc-asleep", "wake")
        for peer, why in (
            ("rust.ringfire", FUTEX),
            ("rust.tachyon_0_5_1", FUTEX),
            ("python.tachyon_0_5_1", FUTEX),
            ("python.cloudtoid", FUTEX),
            ("rust.shmem_ipc", EVENTFD),
            ("c.pipe", PIPE),
            ("python.os_pipe", PIPE),
        )
    ),
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
