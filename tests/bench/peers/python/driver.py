#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: D102
"""Run one workload once through one adapter in Python.

    driver.py ADAPTER.py WORKLOAD MODE SIZE BATCH COUNT PAUSE_NS LEAD_CORE PEER_CORE DIR

The words, and what comes of them, are those of ../c/driver.c.
"""

import array
import importlib.util
import json
import mmap
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

SPIN, ADAPTIVE, SLEEP = range(3)
RING_BYTES = 4 << 20
LIMIT_S = 5  # how long the other may take to be there

Send = Callable[[bytes], object]
Receive = Callable[[int], Any]  # of how many bytes, for those that cannot tell


class CannotError(Exception):
    """Why there is no number: the row has that text."""


class Setting(NamedTuple):
    """What an adapter is told."""

    directory: str
    mode: int
    size: int
    batch: int
    rpc: bool = False  # the lead's send is a call, the other's an answer

    def ring_bytes(self) -> int:
        """Return those of every ring, where one can say: room for some messages."""
        return max(RING_BYTES, 4 * self.size)


class InPlace(NamedTuple):
    """The calls that work in place, on one message at a time."""

    reserve: Callable[[int], Any]  # of how many bytes; a buffer to write
    commit: Callable[[], object]  # to be seen at once
    acquire: Callable[[int], Any]  # the next message; a buffer to read
    release: Callable[[], object]


class Link:
    """A connection in both directions; made before the fork, opened after it."""

    rpc = False  # whether it knows what `rpc` of a setting asks for

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    def path(self, name: str) -> str:
        """Return a path that both processes have."""
        return f"{self.setting.directory}/{name}"

    def open(self, lead: bool) -> tuple[Send, Receive]:
        """Return how this end sends and receives; both processes at the same time."""
        raise NotImplementedError

    def close(self) -> None:
        """Leave nothing behind that the end of the process would."""

    def batches(self) -> tuple[Callable[[list[bytes]], object], Callable[[int], Any]]:
        """Return how to send several at once, and to receive some of so many."""
        raise CannotError("has no call that sends several messages")

    def in_place(self) -> InPlace:
        """Return the calls for that."""
        raise CannotError("is not measured in place here")


def until_there(attempt: Callable[[], Any], errors: tuple[type[Exception], ...]) -> Any:
    """Return what comes of it once the other process is there."""
    start = time.monotonic()
    while True:
        try:
            return attempt()
        except errors:
            if time.monotonic() > start + LIMIT_S:
                raise


class Control:
    """What the two processes tell each other beside the link."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 4096)
        self.words = memoryview(self._memory).cast("Q")

    def meet(self, lead: bool) -> None:
        own, other = (0, 8) if lead else (8, 0)
        self.words[own] += 1
        while self.words[other] < self.words[own]:
            pass


SEEN, CONNECT_NS, WALL_NS, CPU_NS = 16, 24, 25, 26
RESIDENT, SHARED = (27, 28), (29, 30)  # of the lead, of the other


class Half:
    """One of the two processes: the lead, which measures, or the other one."""

    def __init__(self, lead: bool, setting: Setting, control: Control) -> None:
        self.lead, self.setting, self.control = lead, setting, control
        self.values = array.array("Q")

    def connect_by(self, link: Link) -> None:
        self.meet()
        start = time.perf_counter_ns()
        self.link = link
        self.send, self.receive = link.open(self.lead)
        self.exchange(1, 1)
        if self.lead:
            self.control.words[CONNECT_NS] = time.perf_counter_ns() - start

    def meet(self) -> None:
        self.control.meet(self.lead)

    def message(self, number: int) -> bytes:
        return number.to_bytes(8, "little") + bytes(self.setting.size - 8)

    def check(self, message: Any, number: int) -> None:
        if bytes(message[:8]) != number.to_bytes(8, "little"):
            raise CannotError("a message has arrived changed or out of turn")

    def exchange(self, first: int, count: int) -> None:
        size, send, receive = self.setting.size, self.send, self.receive
        if not self.lead:
            for _ in range(count):
                send(receive(size))
            return
        now, note = time.perf_counter_ns, self.values.append
        for number in range(first, first + count):
            message = self.message(number)
            start = now()
            send(message)
            answer = receive(size)
            note(now() - start)
            self.check(answer, number)

    def trip(self, count: int, _: int) -> None:
        self.exchange(1, count // 10 + 10)
        self.meet()
        del self.values[:]
        self.exchange(1, count)

    def stream(self, count: int) -> None:
        size, batch = self.setting.size, self.setting.batch
        # Made before: what making it takes is not the link's.
        kinds = max(2, min(250, (8 << 20) // size))
        sample = [self.message(number) for number in range(kinds)]
        if batch > 1:
            send_many, receive_many = self.link.batches()
            if self.lead:
                several = [sample[i % kinds] for i in range(batch)]
                for _ in range(count // batch):
                    send_many(several)
            else:
                while count:
                    count -= receive_many(min(batch, count))
        elif self.lead:
            send = self.send
            for i in range(count):
                send(sample[i % kinds])
        else:
            receive, total = self.receive, 0
            for _ in range(count):
                total += receive(size)[0]
            if total != sum(i % kinds for i in range(count)):
                raise CannotError("not all messages have arrived whole")

    def way(self, count: int, _: int) -> None:
        batch = self.setting.batch
        self.meet()
        self.stream(10 * batch)
        self.meet()
        start = time.perf_counter_ns()
        self.stream((count + batch - 1) // batch * batch)
        self.meet()
        if self.lead:
            self.control.words[WALL_NS] = time.perf_counter_ns() - start

    def place(self, count: int, _: int) -> None:
        import numpy  # noqa: PLC0415 - only here

        size = self.setting.size
        calls, words = self.link.in_place(), numpy.dtype("u8")
        # As ../c/touch.h: all is written, and one word of each line is read.
        for amount in (10, count):
            self.meet()
            start = time.perf_counter_ns()
            for number in range(1, amount + 1):
                if self.lead:
                    room = numpy.frombuffer(calls.reserve(size), words, size // 8)
                    room[:] = (number & 0xFF) * 0x0101010101010101
                    room[0] = number
                    del room
                    calls.commit()
                    continue
                message = numpy.frombuffer(calls.acquire(size), words, size // 8)
                found = int(message[::8].sum())
                del message
                calls.release()
                rest = (size - 8) // 64 * (number & 0xFF) * 0x0101010101010101
                if found != (number + rest) % (1 << 64):
                    raise CannotError("a message has arrived changed or out of turn")
            self.meet()
            if self.lead:
                self.control.words[WALL_NS] = time.perf_counter_ns() - start

    def memory(self, _: int, __: int) -> None:
        self.meet()
        after = memory_now()
        own = 0 if self.lead else 1
        for at, now, before in zip((RESIDENT, SHARED), after, BEFORE, strict=True):
            self.control.words[at[own]] = max(0, now - before)
        self.meet()

    def connect(self, _: int, __: int) -> None:
        self.meet()  # all there is to it has been done

    rpc = trip

    def wake(self, count: int, pause_ns: int) -> None:
        words, now = self.control.words, time.perf_counter_ns
        del self.values[:]
        self.meet()
        for number in range(1, count + 1):
            if not self.lead:
                self.check(self.receive(self.setting.size), number)
                words[SEEN] = number
                continue
            message = self.message(number)
            until = now() + pause_ns
            while now() < until:
                pass
            start = now()
            self.send(message)
            while words[SEEN] != number:
                pass
            self.values.append(now() - start)

    def idle(self, _: int, pause_ns: int) -> None:
        self.meet()
        if self.lead:
            time.sleep(pause_ns / 1e9)
            self.send(self.message(1))
        else:
            before, start = cpu_ns(), time.perf_counter_ns()
            self.receive(self.setting.size)
            self.control.words[CPU_NS] = cpu_ns() - before
            self.control.words[WALL_NS] = time.perf_counter_ns() - start
        self.meet()

    def paced(self, count: int, pause_ns: int) -> None:
        now, size = time.perf_counter_ns, self.setting.size
        rest = bytes(size - 8)
        del self.values[:]
        self.meet()
        start = now()
        if self.lead:
            send, due = self.send, start
            for _ in range(count):
                while (at := now()) < due:
                    pass
                send((due if pause_ns else at).to_bytes(8, "little") + rest)
                due += pause_ns
        else:
            receive, note = self.receive, self.values.append
            for _ in range(count):
                message = receive(size)
                note(now() - int.from_bytes(message[:8], "little"))
        self.meet()
        if self.lead:
            self.control.words[WALL_NS] = now() - start


def cpu_ns() -> int:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return int((usage.ru_utime + usage.ru_stime) * 1e9)


def memory_now() -> tuple[int, int]:
    """Return the bytes of this process alone, and its part of what it shares."""
    kinds = {}
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]:
        kind, kib, *_ = line.split()
        kinds[kind] = int(kib) * 1024
    try:
        return kinds["Pss_Anon:"], kinds["Pss_Shmem:"]
    except KeyError:
        text = "the kernel does not tell the memory of a process by kind"
        raise CannotError(text) from None


BEFORE = (0, 0)  # after the fork, and before the adapter's packages are there


def load(path: str) -> type[Link]:
    spec = importlib.util.spec_from_file_location("adapter", path)
    if spec is None or spec.loader is None:
        sys.exit(f"{path} is no adapter")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    adapter: type[Link] = module.Adapter
    return adapter


def main() -> None:
    sys.modules["driver"] = sys.modules["__main__"]  # for the adapters
    adapter, workload, *numbers, directory = sys.argv[1:]
    mode, size, batch, count, pause_ns, lead_core, peer_core = map(int, numbers)
    rpc = workload == "rpc"
    setting, control = Setting(directory, mode, size, batch, rpc), Control()
    global BEFORE  # noqa: PLW0603
    try:
        if workload == "memory":
            # Of both together; the interpreter itself is not the link's.
            BEFORE = tuple(each // 2 for each in memory_now())
        link = load(adapter)(setting)
        if rpc and not link.rpc:
            raise CannotError("is not measured by calls here")
        other = os.fork()
        lead = other != 0
        os.sched_setaffinity(0, {lead_core if lead else peer_core})
        half = Half(lead, setting, control)
        half.connect_by(link)
        getattr(half, workload)(count, pause_ns)
        timed = workload in ("trip", "rpc", "wake", "paced")
        noted = half.values if timed else None
        if noted and lead != (workload == "paced"):
            Path(directory, "values").write_bytes(noted.tobytes())
        half.meet()
        link.close()
    except BaseException as error:
        if not isinstance(error, CannotError):
            traceback.print_exc()
        text = str(error) if isinstance(error, CannotError) else repr(error)
        print(json.dumps({"cannot": text}), flush=True)
        os.killpg(0, signal.SIGKILL)
    if not lead:
        os._exit(0)
    os.waitpid(other, 0)
    words = control.words
    names = {"connect_ns": CONNECT_NS, "wall_ns": WALL_NS, "cpu_ns": CPU_NS}
    found = {name: words[at] for name, at in names.items()}
    found["resident"] = sum(words[at] for at in RESIDENT)
    found["shared"] = sum(words[at] for at in SHARED)
    print(json.dumps(found), flush=True)
    os._exit(0)  # threads of the link are not waited for


if __name__ == "__main__":
    main()
