# SPDX-License-Identifier: Apache-2.0
"""Any history of guards, views and sends agrees with a model made of plain lists."""

import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tachyon import Bus, TachyonError

PAYLOAD = st.binary(max_size=200)


class Slot:
    """A guard, the views into it, and whether it was left under them."""

    def __init__(self, guard: Any, contents: list[bytearray]) -> None:
        self.guard = guard
        self.contents = contents
        self.views: list[tuple[memoryview, bytearray]] = []
        self.held = False


class Guards(RuleBasedStateMachine):
    """Both ends of one ring in one thread."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        path = str(Path(self.directory.name) / "bus.sock")
        ends: list[Bus] = []
        thread = threading.Thread(
            target=lambda: ends.append(Bus.listen(path, 1 << 16, timeout=60))
        )
        thread.start()
        self.producer = Bus.connect(path, timeout=60)
        thread.join()
        self.consumer = ends[0]
        self.tx: Slot | None = None
        self.rx: Slot | None = None
        self.visible: list[bytes] = []
        self.committed: list[bytes] = []  # without a flush, so not visible yet

    def teardown(self) -> None:
        """Close both ends, whatever is still open."""
        for slot in (self.tx, self.rx):
            if slot:
                slot.views.clear()
        for bus in (self.producer, self.consumer):
            bus._bus.destroy()
        self.directory.cleanup()

    def refused(self, slot: Slot) -> type[Exception]:
        """Return what an acquire raises while a slot is taken."""
        return BufferError if slot.held else TachyonError

    # ---- Sending ----

    @precondition(lambda self: len(self.visible) < 100)
    @rule(data=PAYLOAD)
    def send(self, data: bytes) -> None:
        """Send a copy."""
        if self.tx:
            with pytest.raises(self.refused(self.tx)):
                self.producer.send(data)
        else:
            self.producer.send(data)
            self.visible += [*self.committed, data]
            self.committed.clear()

    @precondition(lambda self: len(self.visible) + len(self.committed) < 60)
    @rule(size=st.integers(0, 200), flush=st.booleans())
    def open_tx(self, size: int, flush: bool) -> None:
        """Reserve a slot."""
        acquire: Any = (
            self.producer.send_zero_copy if flush else self.producer._bus.acquire_tx
        )
        if self.tx:
            with pytest.raises(self.refused(self.tx)):
                acquire(size)
            return
        self.tx = Slot(acquire(size), [bytearray(size)])
        self.flush = flush
        with memoryview(self.tx.guard) as view:
            view[:] = bytes(size)

    @precondition(lambda self: self.tx)
    @rule(data=PAYLOAD, keep=st.booleans(), by_buf=st.booleans())
    def write(self, data: bytes, keep: bool, by_buf: bool) -> None:
        """Write through a view, and perhaps keep it."""
        assert self.tx
        if self.tx.held:
            with pytest.raises(BufferError):
                memoryview(self.tx.guard)
            return
        content = self.tx.contents[0]
        view = self.tx.guard.buf[:] if by_buf else memoryview(self.tx.guard)
        part = data[: len(content)]
        view[: len(part)] = part
        content[: len(part)] = part
        if keep:
            self.tx.views.append((view, content))
        else:
            view.release()

    @precondition(lambda self: self.tx and not self.tx.held)
    @rule(size=st.integers(0, 250))
    def set_size(self, size: int) -> None:
        """Set what will be sent."""
        assert self.tx
        if size > len(self.tx.contents[0]):
            with pytest.raises(ValueError, match="actual_size"):
                self.tx.guard.actual_size = size
        else:
            self.tx.guard.actual_size = size

    @precondition(lambda self: self.tx and not self.tx.held)
    @rule(fail=st.booleans())
    def leave_tx(self, fail: bool) -> None:
        """Leave the guard, with an exception or without."""
        assert self.tx
        slot = self.tx
        size = slot.guard.actual_size
        reason = (ValueError, ValueError(), None) if fail else (None, None, None)
        if slot.views:
            if fail:
                assert slot.guard.__exit__(*reason) is False
            else:
                with pytest.raises(BufferError):
                    slot.guard.__exit__(*reason)
            slot.held = True
            return
        assert slot.guard.__exit__(*reason) is False
        self.tx = None
        if not fail:
            self.committed.append(bytes(slot.contents[0][:size]))
            if self.flush:
                self.do_flush()

    @rule()
    def do_flush(self) -> None:
        """Flush; what was committed becomes visible."""
        self.producer._bus.flush()
        self.visible += self.committed
        self.committed.clear()

    # ---- Receiving ----

    def take(self, count: int) -> list[bytes]:
        """Take messages out of the model."""
        taken, self.visible = self.visible[:count], self.visible[count:]
        return taken

    @rule()
    def receive(self) -> None:
        """Receive a copy."""
        if self.rx:
            with pytest.raises(self.refused(self.rx)):
                self.consumer.recv(timeout=0)
        elif not self.visible:
            with pytest.raises(TimeoutError):
                self.consumer.recv(timeout=0)
        else:
            assert [self.consumer.recv(timeout=0).data] == self.take(1)

    @precondition(lambda self: self.visible)
    @rule(count=st.integers(0, 5))
    def open_rx(self, count: int) -> None:
        """Open a batch, or with count 0 a single message."""
        if self.rx:
            with pytest.raises(self.refused(self.rx)):
                self.consumer.drain_batch(timeout=0)
            return
        guard: Any = (
            self.consumer.drain_batch(count, timeout=0)
            if count
            else self.consumer.recv_zero_copy(timeout=0)
        )
        contents = [bytearray(data) for data in self.take(count or 1)]
        self.rx = Slot(guard, contents)
        messages = list(guard) if count else [guard]
        assert [bytes(message) for message in messages] == contents

    @precondition(lambda self: self.rx and not self.rx.held)
    @rule(index=st.integers(0, 4))
    def view_rx(self, index: int) -> None:
        """Keep a view of a message."""
        assert self.rx
        guard, contents = self.rx.guard, self.rx.contents
        index %= len(contents)
        message = guard[index] if hasattr(guard, "__getitem__") else guard
        self.rx.views.append((memoryview(message), contents[index]))

    @precondition(lambda self: self.rx and not self.rx.held)
    @rule()
    def leave_rx(self) -> None:
        """Leave the guard or the batch."""
        assert self.rx
        if self.rx.views:
            with pytest.raises(BufferError):
                self.rx.guard.__exit__(None, None, None)
            self.rx.held = True
        else:
            self.rx.guard.__exit__(None, None, None)
            self.rx = None

    # ---- Views ----

    @rule(of_tx=st.booleans(), newest=st.booleans())
    def release_view(self, of_tx: bool, newest: bool) -> None:
        """Release one view; the last one of a held slot frees it."""
        slot = self.tx if of_tx else self.rx
        if not slot or not slot.views:
            return
        slot.views.pop(-1 if newest else 0)[0].release()
        if slot.held and not slot.views:
            if of_tx:
                self.tx = None
            else:
                self.rx = None

    @rule(of_tx=st.booleans())
    def abandon(self, of_tx: bool) -> None:
        """Drop a guard without leaving it."""
        slot = self.tx if of_tx else self.rx
        if not slot or slot.views:
            return
        if of_tx:
            self.tx = None
        else:
            self.rx = None

    @invariant()
    def views_show_what_they_should(self) -> None:
        """No slot with a view was reused."""
        for slot in (self.tx, self.rx):
            for view, content in slot.views if slot else []:
                assert view == content

    @invariant()
    def bus_with_views_stays_open(self) -> None:
        """destroy() refuses to pull the ring from under a view."""
        for bus, slot in ((self.producer, self.tx), (self.consumer, self.rx)):
            if slot and slot.views:
                with pytest.raises(BufferError):
                    bus._bus.destroy()


Guards.TestCase.settings = settings(
    deadline=None,
    max_examples=150,
    stateful_step_count=60,
    suppress_health_check=[HealthCheck.too_slow],
)
TestGuardsAgreeWithTheModel = Guards.TestCase
