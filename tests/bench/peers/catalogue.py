# SPDX-License-Identifier: Apache-2.0
"""Who is measured, and at what.

A new peer is an adapter in a file of its own and a line below.
"""

from typing import NamedTuple

SPIN, ADAPTIVE, SLEEP = range(3)  # c/link.h has them too
MODES = ("spinning", "adaptive", "asleep")


class Peer(NamedTuple):
    """One way to get messages from one process to another, in one language."""

    id: str
    title: str
    language: str
    adapter: str  # file in c/ or python/, directory in rust/
    kind: str = "peer"  # or "own", or "yardstick"
    needs: tuple[str, ...] = ()  # programs, beside the compiler of its language
    unfair: str = ""  # to whom and why, beside the row


class Workload(NamedTuple):
    """What a pair of processes does; the drivers tell what a sample is."""

    id: str
    title: str
    name: str  # the driver's word
    mode: int
    size: int = 32
    batch: int = 1
    pause_ns: int = 0
    share: float = 0  # of the maximum rate, where the pause depends on it
    fewest: int = 20  # messages or exchanges
    most: int = 1_000_000


SIZES = (8, 32, 256, 4096, 65536, 1 << 20, 16 << 20)
RPC_SIZES = (32, 176, 4096, 65536)
BATCHES = (8, 32, 64, 256)
SHARES = (0.1, 0.5, 0.9)
PAUSES = {"50 µs": 50_000, "1 ms": 1_000_000, "10 ms": 10_000_000}


def size_text(size: int) -> str:
    """Return 4 KiB for 4096."""
    for unit, name in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{size // unit} {name}"
    return f"{size} B"


def fewest(size: int) -> int:
    """Return how many messages of that size a sample has at least."""
    return 20 if size <= 1 << 20 else 5


def workloads() -> list[Workload]:
    """Return all, in the order in which a round takes them."""
    found = []
    for mode in (SPIN, ADAPTIVE, SLEEP):
        for size in SIZES if mode == SPIN else (32,):
            text = f"round trip, {size_text(size)}, {MODES[mode]}"
            found.append(
                Workload(f"trip-{MODES[mode]}-{size}", text, "trip", mode, size,
                         fewest=fewest(size))
            )  # fmt: skip
    for name, place in (("way", ""), ("place", ", in place")):
        for size in SIZES:
            text = f"one way, {size_text(size)}{place}"
            found.append(
                Workload(f"{name}-{size}", text, name, ADAPTIVE, size,
                         fewest=fewest(size))
            )  # fmt: skip
    for batch in BATCHES:
        text = f"one way, 32 B, batches of {batch}"
        found.append(Workload(f"batch-{batch}", text, "way", ADAPTIVE, batch=batch))
    for size in RPC_SIZES:
        text = f"call and reply, {size_text(size)}"
        found.append(Workload(f"rpc-{size}", text, "rpc", ADAPTIVE, size))
    text = "call and reply, 32 B, asleep"
    found.append(Workload("rpc-asleep-32", text, "rpc", SLEEP))
    for pause, pause_ns in PAUSES.items():
        text = f"wake after {pause} asleep"
        most = max(20, 200_000_000 // pause_ns)
        found.append(
            Workload(f"wake-{pause.replace(' ', '')}", text, "wake", SLEEP, 8, 1,
                     pause_ns, fewest=10, most=most)
        )  # fmt: skip
    found.append(
        Workload("idle", "processor use while nothing comes", "idle", SLEEP, 8, 1,
                 500_000_000, fewest=1, most=1)
    )  # fmt: skip
    text = "connect, until the first answer"
    found.append(Workload("connect", text, "connect", ADAPTIVE, fewest=1, most=1))
    text = "memory of a connected pair"
    found.append(Workload("memory", text, "memory", ADAPTIVE, fewest=1, most=1))
    found.append(Workload("rate", "open loop, as fast as it goes", "paced", ADAPTIVE))
    for share in SHARES:
        text = f"open loop at {share:.0%} of the maximum rate"
        found.append(
            Workload(f"open-{share:.0%}", text, "paced", ADAPTIVE, share=share)
        )
    return found


THREADS = (
    "its threads have only the core of their process, as all pinned processes here: "
    "unfair to it on a machine with more cores"
)
FLATTERED = (
    "flattered: it takes no care of a peer that dies, checks nothing, and cannot sleep"
)
POLLS = (
    "as a peer that is asked nothing it is polled, which costs a core: flattered where "
    "others sleep now and then"
)
SLOTS = (
    "flattered: its items are of one size that the compiler knows; no message says how "
    "long it is"
)
STREAM = "flattered: both ends know the size, so that no message says how long it is"
NATIVE = "built for this very processor (-march=native), by clang"
BLOBS = (
    "in place it is polled, by the channel of its blobs, which loses what is not read "
    "in time: here the sender counts what it has room for"
)
JVM = (
    "the JVM compiles on the core that it measures on; as many messages as are "
    "measured go through before"
)
INHERITED = "flattered at connecting: its ends are inherited, nothing is connected"

PEERS = [
    Peer("c.raw_line", "raw cache line", "C", "raw_line", "yardstick", (), FLATTERED),
    Peer("c.ideal_ring", "idealised ring", "C", "ideal_ring", "yardstick", (),
         FLATTERED),
    Peer("c.memcpy", "memcpy, in and out", "C", "memory copy", "yardstick", (),
         "one process: nothing has to get from one core to the other"),
    Peer("c.dirty", "copy out of the other's cache", "C", "memory dirty", "yardstick",
         (), "the reader's part alone: nobody writes meanwhile"),
    Peer("c.bare_futex", "bare futex", "C", "bare_futex", "yardstick", (), FLATTERED),
    Peer("c.bare_eventfd", "bare eventfd", "C", "bare_eventfd", "yardstick", (),
         FLATTERED),
    Peer("python.floor", "calls into C that do nothing", "Python", "alone floor",
         "yardstick", (), "one process, and nothing is sent: what calling costs"),
    Peer("c.tachyon", "Tachyon", "C", "tachyon", "own"),
    Peer("c.pipe", "named pipe", "C", "pipe", "peer", (), STREAM),
    Peer("c.unix_socket", "UNIX socket, SOCK_SEQPACKET", "C", "unix_socket"),
    Peer("rust.tachyon", "Tachyon", "Rust", "tachyon", "own"),
    Peer("rust.tachyon_0_5_1", "tachyon-ipc 0.5.1", "Rust", "tachyon_0_5_1", "peer",
         ("clang++-19",), NATIVE),
    Peer("rust.iceoryx2", "iceoryx2", "Rust", "iceoryx2", "peer", (), POLLS),
    Peer("rust.ringfire", "ringfire", "Rust", "ringfire", "peer", (),
         f"{SLOTS}; {BLOBS}"),
    Peer("rust.shmem_ipc", "shmem-ipc", "Rust", "shmem_ipc", "peer", (),
         f"{STREAM}; {POLLS}"),
    Peer("rust.zeromq", "ZeroMQ (libzmq)", "Rust", "zeromq", "peer", ("c++",), THREADS),
    Peer("rust.nng", "nng (libnng)", "Rust", "nng", "peer", ("cmake",), THREADS),
    Peer("python.tachyon", "Tachyon", "Python", "tachyon_bus", "own"),
    Peer("python.tachyon_0_5_1", "tachyon-ipc 0.5.1", "Python", "tachyon_0_5_1", "peer",
         ("clang++-19", "ld.lld-19"), NATIVE),
    Peer("python.mp_shared_memory", "`shared_memory` and a flag", "Python",
         "mp_shared_memory", "peer", (), f"{FLATTERED}; one slot, no ring"),
    Peer("python.iceoryx2", "iceoryx2", "Python", "iceoryx2_wheel", "peer", (), POLLS),
    Peer("python.unix_socket", "UNIX socket, SOCK_SEQPACKET", "Python", "unix_socket",
         "peer", (), INHERITED),
    Peer("python.os_pipe", "`os.pipe`", "Python", "os_pipe", "peer", (),
         f"{STREAM}; {INHERITED}"),
    Peer("python.mp_pipe", "`multiprocessing.Pipe`", "Python", "mp_pipe", "peer", (),
         INHERITED),
    Peer("python.mp_queue", "`multiprocessing.Queue`", "Python", "mp_queue", "peer", (),
         f"it pickles, and {THREADS}; {INHERITED}"),
    Peer("python.zeromq", "ZeroMQ (pyzmq)", "Python", "zeromq_pair", "peer", (),
         THREADS),
    Peer("python.cloudtoid", "cloudtoid-interprocess", "Python", "cloudtoid_queue"),
    Peer("python.kickmsg", "kickmsg", "Python", "kickmsg_topic", "peer", (),
         "a reader that is too slow loses messages, unless the publisher runs out of "
         "slots before: here it does"),
    Peer("python.nng", "nng (pynng)", "Python", "nng_pair", "peer", (), THREADS),
    Peer("java.tachyon", "Tachyon", "Java", "Tachyon", "own", (), JVM),
    Peer("java.aeron", "Aeron", "Java", "Aeron", "peer", (),
         f"{POLLS}; its driver has only the core of the process that measures"),
    Peer("java.chronicle", "Chronicle Queue", "Java", "Chronicle", "peer", (),
         f"it keeps all messages; {POLLS}"),
]  # fmt: skip
