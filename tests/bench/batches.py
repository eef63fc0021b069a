# SPDX-License-Identifier: Apache-2.0
"""Time per message of arrays, against loops that are all C.

Two processes; the other half is always C's, so that only what is measured differs.
"""

import multiprocessing
import os
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

# Its threads would be looking for work on the cores of the measurement.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import handmade
import numpy as np

from tachyon import Bus

TICK = np.dtype(
    {
        "names": ["symbol", "price", "quantity", "timestamp"],
        "formats": ["S8", "<f8", "<u4", "<u8"],
        "offsets": [0, 8, 16, 20],
        "itemsize": 32,
    }
)
BATCH = 1024
CAPACITY = 1 << 20

Loop = Callable[[Any, Any, int], None]  # (bus, array of BATCH ticks, messages)


# ---- In Python ----


def send_batch(bus: Bus, ticks: Any, count: int) -> None:
    for _ in range(count // BATCH):
        bus.send_batch(ticks, 1)


def channel_send_batch(bus: Bus, ticks: Any, count: int) -> None:
    channel = bus.channel(TICK, 1)
    for _ in range(count // BATCH):
        channel.send_batch(ticks)


def recv_batch_into(bus: Bus, ticks: Any, count: int) -> None:
    while count:
        count -= bus.recv_batch_into(ticks if count >= BATCH else ticks[:count])


def batch_view(bus: Bus, ticks: Any, count: int) -> None:
    total = 0.0
    while count:
        with bus.drain_batch() as batch:
            total += batch.array(TICK)["price"].sum()
            count -= len(batch)
    ticks["price"][0] = total


# ---- In C ----


def in_c(loop: Callable[[Any, Any, int, int], None]) -> Loop:
    return lambda bus, ticks, count: loop(bus, ticks.view("u1"), TICK.itemsize, count)


send_in_c, recv_in_c, view_in_c = map(
    in_c, (handmade.send_batches, handmade.recv_batches, handmade.view_batches)
)


class Case(NamedTuple):
    """What is timed, what the other process does, and the loop in C to compare with."""

    id: str
    title: str
    loop: Loop
    other: Loop
    reference: str | None = None

    @property
    def sends(self) -> bool:
        """Whether the measuring process is the one that sends."""
        return self.other is recv_in_c

    @property
    def by_hand(self) -> bool:
        """Whether its loop runs on a bus of the extension."""
        return self.reference is None


LIMIT_RATIO = 1.3  # of the loop in C
LIMIT_NS = 10.0  # 100 million messages a second
CASES = (
    Case("send_batch_in_c", "sending arrays in C", send_in_c, recv_in_c),
    Case("send_batch", "bus.send_batch(array)", send_batch, recv_in_c,
         "send_batch_in_c"),
    Case("channel_send_batch", "channel.send_batch(array)", channel_send_batch,
         recv_in_c, "send_batch_in_c"),
    Case("recv_batch_in_c", "receiving into an array in C", recv_in_c, send_in_c),
    Case("recv_batch_into", "bus.recv_batch_into(array)", recv_batch_into, send_in_c,
         "recv_batch_in_c"),
    Case("batch_view_in_c", "summing a column in the ring in C", view_in_c, send_in_c),
    Case("batch_view", "batch.array(dtype)[field].sum()", batch_view, send_in_c,
         "batch_view_in_c"),
)  # fmt: skip


# ---- The two processes ----


def open_bus(path: str, case: Case, lead: bool) -> Any:
    kind = handmade.Bus if case.by_hand or not lead else Bus
    name = f"{path}-{case.id}"
    if lead == case.sends:  # the receiving end listens
        patience = {} if kind is handmade.Bus else {"timeout": 20}
        return kind.connect(name, **patience)
    return kind.listen(name, CAPACITY)


def open_all(path: str, lead: bool) -> dict[str, Any]:
    """Connect to the other process; each bus is closed with its last name."""
    return {case.id: open_bus(path, case, lead) for case in CASES}


def ticks_of_a_batch() -> Any:
    ticks = np.zeros(BATCH, TICK)
    ticks["symbol"], ticks["price"] = b"AAPL", np.arange(BATCH) / 4
    return ticks


def peer(path: str, core: int, link: Connection) -> None:
    """Do the other half of every measurement until told to stop."""
    os.sched_setaffinity(0, {core})
    others = {case.id: case.other for case in CASES}
    ticks = ticks_of_a_batch()
    buses = open_all(path, lead=False)
    while (command := link.recv())[0] != "stop":
        case, count = command
        others[case](buses[case], ticks, count)
        link.send("done")


def sample(case: Case, bus: Any, link: Connection, count: int) -> float:
    """Nanoseconds per message until both have done all of them."""
    ticks = ticks_of_a_batch()
    link.send((case.id, count))
    start = time.perf_counter_ns()
    case.loop(bus, ticks, count)
    if link.recv() != "done":
        raise RuntimeError("the other process answered out of turn")
    return (time.perf_counter_ns() - start) / count


def measure(cores: tuple[int, int], repeats: int, count: int) -> dict[str, list[float]]:
    """Take samples of every case, in turns."""
    path = f"@tachyon-batches-{os.getpid()}"
    samples: dict[str, list[float]] = {case.id: [] for case in CASES}
    context = multiprocessing.get_context("fork")
    link, peer_link = context.Pipe()
    other = context.Process(target=peer, args=(path, cores[1], peer_link), daemon=True)
    other.start()
    os.sched_setaffinity(0, {cores[0]})
    peer_link.close()  # so that its death ends a recv() here
    buses = open_all(path, lead=True)
    for case in CASES:  # imports and first uses
        sample(case, buses[case.id], link, BATCH)
    for _ in range(repeats):
        for case in CASES:
            samples[case.id].append(sample(case, buses[case.id], link, count))
    link.send(("stop", 0))
    other.join()
    if other.exitcode != 0:
        raise RuntimeError(f"the second process ended with status {other.exitcode}")
    return samples
