# SPDX-License-Identifier: Apache-2.0
"""From a ring to the network.

One thread takes messages from the ring, another hands samples to Zenoh, whose call may
wait as long as a link is stuck. What is on its way, sent and not yet said to be in the
ring of every receiving bridge, is at most a window.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from tachyon import Bus, ClosedError
from tachyon.schema.description import fnv1a

from . import network, stream
from .backlog import Backlog, Clock
from .ending import CANNOT_OPEN, LOST, BadData, Ended, say
from .progress import Progress
from .stream import Head, Kind

BATCH_MESSAGES = 1024
BATCH_BYTES = 256 << 10
LOOK_S = 0.25
ALIVE_S = 1.0
# For subscribers that confirm nothing: to close a session throws away what it has
# queued.
PLAIN_S = 2.0
GIVE_UP_S = 2.0  # for telling that this bridge gives up


class Sample(NamedTuple):
    """What the sending thread puts into the network."""

    publisher: Any
    payload: bytes
    attachment: bytes | None = None


class Outbound:
    """A stream that is sent.

    number: of the next message; dropped: those among them that were not sent.
    """

    def __init__(
        self, session: Any, keys: network.Keys, types: str, block: bool, single: bool,
        window: int,
    ) -> None:  # fmt: skip
        self.stream = secrets.randbits(64)
        self.number = 0
        self.dropped = 0
        self._types = types
        self._fingerprint = fnv1a(types.encode()) if types else 0
        self._block = block
        self._single = single
        self._window = window
        self._backlog: Backlog[Sample] = Backlog(window)
        self._alive = Clock(ALIVE_S)
        self._changed = threading.Condition()
        self._matching = False
        self._receivers: dict[str, int] = {}  # and before which message they are
        self._confirmed: set[str] = set()
        self._arrived = 0  # before this message all are at some receiving bridge's end
        self._bridged = False
        self._refused = False
        self._failure = ""
        self._sent: deque[tuple[int, int]] = deque()  # ends: number, and bytes so far
        self._sent_bytes = self._done_bytes = 0
        self._declare(session, keys)
        threading.Thread(target=self._send_all, daemon=True).start()

    def _declare(self, session: Any, keys: network.Keys) -> None:
        package = network.zenoh()
        own = f"{self.stream:016x}"
        reliably = {"congestion_control": package.CongestionControl.BLOCK}
        encoding = None if self._single else stream.BATCH_ENCODING
        self._control = session.declare_publisher(keys.control, **reliably)
        types = keys.types(self.stream)
        answer = network.direct(lambda query: query.reply(types, self._types))
        self._declared = [
            session.declare_queryable(types, answer),
            network.token(session, keys.senders, own),
            session.declare_subscriber(keys.delivered, network.direct(self._mark)),
            network.watch(session, keys.receivers, self._receiver),
        ]
        self._data = session.declare_publisher(keys.data, encoding=encoding, **reliably)
        self._declared.append(
            self._data.declare_matching_listener(network.direct(self._matches))
        )
        self._matches(self._data.matching_status)

    # Called by threads of Zenoh.

    def _matches(self, status: Any) -> None:
        with self._changed:
            self._matching = status.matching
            self._changed.notify_all()

    def _receiver(self, name: str, lives: bool) -> None:
        with self._changed:
            if lives:
                self._bridged = True
                self._receivers.setdefault(name, self.number)
            else:
                before = self._receivers.pop(name, self.number)
                if before < self.number:
                    say(
                        f"receiving bridge {name} is gone; it has not confirmed "
                        f"{stream.ranged(before, self.number)} of stream "
                        f"{self.stream:016x}"
                    )
            self._changed.notify_all()

    def _mark(self, sample: Any) -> None:
        data = sample.payload.to_bytes()
        try:
            head = stream.head_of(data)
        except BadData:
            return  # not of a bridge
        name = data[stream.HEAD.size :].decode("ascii", "replace")
        if head.stream != self.stream:
            return
        with self._changed:
            if head.kind == Kind.REFUSED:
                self._refused = True
            elif name in self._receivers:
                self._confirmed.add(name)
                self._arrived = max(self._arrived, head.number)
                self._receivers[name] = max(self._receivers[name], head.number)
            self._changed.notify_all()

    def _send_all(self) -> None:
        """Put what is in the backlog into the network, in its own thread."""
        error = network.zenoh().ZError
        while True:
            sample = self._backlog.get()
            if sample is None:
                return
            try:
                sample.publisher.put(sample.payload, attachment=sample.attachment)
            except error as failed:
                self._failure = network.said(failed)

    # Called by the thread of the ring.

    def _on_the_way(self) -> int:
        """Return the bytes that some receiving bridge has not confirmed."""
        low = min(self._receivers.values(), default=self.number)
        while self._sent and self._sent[0][0] <= low:
            self._done_bytes = self._sent.popleft()[1]
        return self._sent_bytes - self._done_bytes

    def _ready(self) -> bool:
        return self._matching and self._on_the_way() < self._window

    def _check(self) -> None:
        if self._refused:
            raise Ended(
                CANNOT_OPEN,
                f"stream {self.stream:016x} is refused: another bridge sends there; "
                f"end one of them, or give it another key",
            )
        if self._failure:
            raise Ended(CANNOT_OPEN, f"zenoh: {self._failure}")

    def is_ready(self, timeout: float) -> bool:
        """Wait until somebody receives, and has room."""
        self._check()
        self.say_alive()
        with self._changed:
            return self._changed.wait_for(self._ready, timeout)

    def send(self, type_ids: Sequence[int], payloads: Sequence[bytes]) -> None:
        """Send messages in samples of a size that suits the network."""
        self._check()
        first = size = 0
        for n, data in enumerate(payloads):
            size += len(data)
            if self._single or size >= BATCH_BYTES or n == len(payloads) - 1:
                self._ship(type_ids[first : n + 1], payloads[first : n + 1], size)
                first, size = n + 1, 0
        self.say_alive()

    def _ship(
        self, type_ids: Sequence[int], payloads: Sequence[bytes], size: int
    ) -> None:
        count = len(payloads)
        if self._single:
            head = self._head(Kind.MESSAGE, type_ids[0])
            sample = Sample(self._data, payloads[0], head.pack())
        else:
            head = self._head(Kind.BATCH, count)
            sample = Sample(self._data, stream.batch(head, type_ids, payloads))
        while self._block and not self.is_ready(LOOK_S):
            pass
        with self._changed:
            if not self._block and not self._ready():
                self.number += count
                self.dropped += count
                return
            self.number += count
            self._sent_bytes += size
            self._sent.append((self.number, self._sent_bytes))
        while not self._backlog.put(sample, size, LOOK_S if self._block else 0):
            self._check()
            if not self._block:
                self.dropped += count
                return

    def _head(self, kind: Kind, count: int = 0) -> Head:
        return Head(kind, self.stream, self.number, self._fingerprint, count)

    def say_alive(self) -> None:
        """Say now and then how far the stream is, for those who lost its last part."""
        if self._alive.due():
            self._tell(Kind.ALIVE, 0)

    def _tell(self, kind: Kind, timeout: float | None) -> None:
        self._backlog.put(Sample(self._control, self._head(kind).pack()), 0, timeout)

    def end(self) -> None:
        """End the stream in order: wait until every receiving bridge has all of it."""
        self._tell(Kind.END, None)
        while not self._backlog.done(LOOK_S):
            self._check()
        while True:
            self._check()
            with self._changed:
                low = min(self._receivers.values(), default=self.number)
                if low >= self.number:
                    break
                self._changed.wait(LOOK_S)
        if self._single or not self._confirmed:
            time.sleep(PLAIN_S)

    def give_up(self) -> None:
        """Tell the receiving bridges that what they have is not the whole."""
        self._tell(Kind.ABORTED, GIVE_UP_S)
        self._backlog.done(GIVE_UP_S)

    def verdict(self) -> None:
        """Say by the exit status that the last messages may have reached nobody.

        Once a bridge has received, that is: plain subscribers confirm nothing.
        """
        with self._changed:
            if not self._bridged or self._arrived >= self.number:
                return
            if not self._changed.wait_for(lambda: not self._matching, PLAIN_S):
                return  # one of those is there
        text = stream.ranged(self._arrived, self.number)
        raise Ended(
            LOST, f"{text} of stream {self.stream:016x} were confirmed by no bridge"
        )

    def close(self) -> None:
        """End the sending thread."""
        self._backlog.close()

    def note(self) -> str:
        """Return what is added to the line of progress."""
        dropped = f", {self.dropped:,} dropped" if self.dropped else ""
        if not self._confirmed:
            return f"{dropped}, confirmed by no bridge"
        return f"{dropped}, confirmed by {len(self._confirmed)}"


def send_out(
    bus: Bus, out: Outbound, block: bool, count: int | None, timeout: float | None,
    progress: Progress,
) -> None:  # fmt: skip
    """Carry the messages of a ring until it ends.

    block: take none while nobody receives; timeout: for the next message.
    """
    idle = Clock(timeout) if timeout is not None else None
    while count is None or progress.messages < count:
        if block and not out.is_ready(LOOK_S):
            continue
        most = BATCH_MESSAGES
        if count is not None:
            most = min(most, count - progress.messages)
        try:
            guard = bus.drain_batch(most, timeout=LOOK_S)
        except TimeoutError:
            out.say_alive()
            if idle and idle.due():
                raise TimeoutError(f"no message for {timeout} seconds") from None
            continue
        except ClosedError:
            break
        with guard:
            type_ids = [view.type_id for view in guard]
            payloads = [bytes(view) for view in guard]
        if idle:
            idle.restart()
        out.send(type_ids, payloads)
        progress.add(len(payloads), sum(map(len, payloads)))
        progress.note = out.note()
    out.end()
    progress.note = out.note()
