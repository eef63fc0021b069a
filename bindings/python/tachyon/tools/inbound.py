# SPDX-License-Identifier: Apache-2.0
"""From the network into a ring.

A thread of Zenoh puts samples into a backlog; another takes them out, looks which are
missing, and writes the ring.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from typing import Any

from tachyon import Bus, RingFull, Role
from tachyon.schema.description import fnv1a

from . import network, stream
from .backlog import Backlog, Clock
from .ending import (
    CANNOT_OPEN,
    LOST,
    PEER_GONE,
    TIME_IS_OVER,
    BadData,
    Ended,
    TooLarge,
    say,
)
from .endpoint import Endpoint
from .progress import Progress
from .stream import Follower, Head, Kind, Run

LOOK_S = 0.25
ASK_S = 10.0
COMPARE_S = 5.0
MARK_S = 0.02
FAREWELL_S = 2.0  # for the sending bridge to see that all has arrived


class Inbound:
    """A stream that is received."""

    def __init__(
        self,
        session: Any,
        keys: network.Keys,
        endpoint: Endpoint,
        plain_type: int,
        block: bool,
        window: int,
        progress: Progress,
    ) -> None:
        self.follower = Follower(say)
        self.dropped = self.foreign = 0
        self._session = session
        self._keys = keys
        self._endpoint = endpoint
        self._plain_type = plain_type
        self._block = block
        self._progress = progress
        self._bus: Bus | None = None
        self._open = contextlib.ExitStack()
        self._types = endpoint.types.text
        self._fits = {0, fnv1a(self._types.encode()) if self._types else 0}
        self._senders: set[int] = set()
        self._backlog: Backlog[Any] = Backlog(window)
        self._unmarked = 0
        self._marks = Clock(MARK_S)
        self._mark_every = max(window // 8, 1)
        self._name = str(session.info.zid())
        self._delivered = session.declare_publisher(
            keys.delivered,
            congestion_control=network.zenoh().CongestionControl.BLOCK,
        )
        take = network.direct(self._take)
        self._declared = [
            network.watch(session, keys.senders, self._sender),
            network.token(session, keys.receivers, self._name),
            session.declare_subscriber(keys.control, take),
            session.declare_subscriber(keys.data, take),
        ]

    # Called by threads of Zenoh.

    def _take(self, sample: Any) -> None:
        self._backlog.put(sample, len(sample.payload))

    def _sender(self, name: str, lives: bool) -> None:
        with contextlib.suppress(ValueError):
            (self._senders.add if lives else self._senders.discard)(int(name, 16))

    # Called by the thread of the ring.

    def __enter__(self) -> Inbound:
        self._open.__enter__()
        if self._types:
            self._open_bus("")
        return self

    def __exit__(self, *error: Any) -> None:
        self._backlog.close()
        self._open.__exit__(*error)

    def receive(self, count: int | None, timeout: float | None) -> None:
        """Carry samples into the ring until the stream ends."""
        idle = Clock(timeout) if timeout is not None else None
        while count is None or self._progress.messages < count:
            sample = self._backlog.get(LOOK_S)
            if sample is None:
                if idle and idle.due():
                    raise Ended(TIME_IS_OVER, f"no sample for {timeout} seconds")
                continue
            if idle:
                idle.restart()
            most = None if count is None else count - self._progress.messages
            try:
                if self._is_end(sample, most):
                    self._await_farewell()
                    break
            except BadData as error:
                self.foreign += 1
                if self.foreign == 1:
                    say(f"{sample.key_expr}: refused what no bridge has sent: {error}")
            self._progress.note = self.note()

    def _is_end(self, sample: Any, most: int | None) -> bool:
        """Deliver what is in a sample; whether it is the end of the stream."""
        data = sample.payload.to_bytes()
        control = str(sample.key_expr) == self._keys.control
        if control or str(sample.encoding) == stream.BATCH_ENCODING:
            head = stream.head_of(data)
        elif sample.attachment is not None:
            head = stream.head_of(sample.attachment.to_bytes())
        else:
            self._open_bus("")
            self._deliver(Run(self._plain_type, len(data), 1, memoryview(data)))
            return False
        wanted = {Kind.MESSAGE, Kind.BATCH}
        if control:
            wanted = {Kind.ALIVE, Kind.END, Kind.ABORTED}
        if head.kind not in wanted:
            raise BadData(f"a sample of kind {head.kind.name}, which is not for here")
        return self._follow(head, data, most)

    def _follow(self, head: Head, data: bytes, most: int | None) -> bool:
        if not self.follower.accepts(head, self._senders.__contains__):
            self._mark(Kind.REFUSED, head.stream, head.number)
            return False
        if head.fingerprint not in self._fits or self._bus is None:
            self._open_bus(self._types_of(head))
        if head.kind == Kind.BATCH:
            list(stream.runs(head, data))  # all of it is right, or none is taken
        count = {Kind.BATCH: head.count, Kind.MESSAGE: 1}.get(head.kind, 0)
        skip = self.follower.repeated(head, count)
        if head.kind == Kind.MESSAGE and not skip:
            self._deliver(Run(head.count, len(data), 1, memoryview(data)))
        elif head.kind == Kind.BATCH:
            for run in stream.runs(head, data, skip):
                left = run.count if most is None else min(run.count, most)
                self._deliver(
                    Run(run.type_id, run.size, left, run.data[: left * run.size])
                )
                if most is not None:
                    most -= left
                    if not most:
                        return False  # --count: the rest is not said to be here
        self._unmarked += len(data)
        ends = head.kind in {Kind.END, Kind.ABORTED}
        if ends or self._unmarked >= self._mark_every or self._marks.due():
            self._unmarked = 0
            self._mark(Kind.DELIVERED, head.stream, self.follower.next)
        if head.kind == Kind.ABORTED:
            raise Ended(
                PEER_GONE,
                f"the sending end gave up before message {head.number:,}: its program "
                f"died, or its bridge was ended",
            )
        return ends

    def _mark(self, kind: Kind, number: int, before: int) -> None:
        head = Head(kind, number, before)
        self._delivered.put(head.pack() + self._name.encode())

    def _types_of(self, head: Head) -> str:
        """Return the description of a stream that fits ours, "" if it has none."""
        if head.fingerprint in self._fits:
            return ""
        text = self._ask(head)
        if self._types and (found := difference(self._types, text)):
            raise Ended(
                CANNOT_OPEN,
                f"stream {head.stream:016x} has other types: {found}; give the "
                f"--header and --types that its bridge has",
            )
        self._fits.add(head.fingerprint)
        self._types = self._types or text
        return text

    def _ask(self, head: Head) -> str:
        """Return the description that the sending bridge has."""
        key = self._keys.types(head.stream)
        for reply in self._session.get(key, timeout=ASK_S):
            if reply.ok is not None:
                text: str = reply.ok.payload.to_string()
                if fnv1a(text.encode()) == head.fingerprint:
                    return text
        raise Ended(
            CANNOT_OPEN,
            f"zenoh: {key}: nobody says what the types of the stream are; give "
            f"--header and --types, or start the bridges again",
        )

    def _open_bus(self, types: str) -> None:
        if self._bus is None:
            bus = self._endpoint.open(Role.PRODUCER, types or None)
            self._bus = self._open.enter_context(bus)

    def _deliver(self, run: Run) -> None:
        bus = self._bus
        assert bus is not None
        if run.size > bus.max_payload:
            raise TooLarge("a message", run.size, bus.max_payload)
        done = 0
        try:
            if run.count == 1 or run.size == 0:
                for done in range(run.count):  # noqa: B007 - how many, if it is full
                    bus.send(run.data, run.type_id, block=self._block)
                done = run.count
            else:
                items = run.data.cast("B", (run.count, run.size))
                while done < run.count:
                    done += bus.send_batch(items[done:], run.type_id, block=self._block)
        except RingFull:
            self.dropped += run.count - done
        self._progress.add(done, done * run.size)

    def _await_farewell(self) -> None:
        """Stay until the sending bridge has seen that all has arrived."""
        until = time.monotonic() + FAREWELL_S
        while self.follower.stream in self._senders and time.monotonic() < until:
            time.sleep(0.01)

    def note(self) -> str:
        """Return what is added to the line of progress."""
        counts = {"lost": self.follower.lost, "dropped": self.dropped,
                  "foreign samples": self.foreign}  # fmt: skip
        return "".join(f", {n:,} {what}" for what, n in counts.items() if n)

    def verdict(self) -> None:
        """Say by the exit status that not all has come."""
        if self.follower.lost:
            raise Ended(LOST, f"{self.follower.lost:,} messages were lost on the way")


def difference(ours: str, theirs: str) -> str:
    """Return in what two descriptions do not fit each other, "" if they do.

    The core compares, as it does for two programs: they meet within this process.
    """
    place = f"@tachyon-bridge-{os.getpid()}-{secrets.token_hex(8)}"

    def listen() -> None:
        with contextlib.suppress(OSError):
            Bus.listen(place, 4096, types=theirs, timeout=COMPARE_S).close()

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        Bus.connect(place, types=ours, timeout=COMPARE_S).close()
    except ConnectionError as error:
        return str(error)
    return ""
