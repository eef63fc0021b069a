# SPDX-License-Identifier: Apache-2.0
"""A guard, its views and its bus: who may outlive whom, and what is refused."""

import asyncio
import copy
import gc
import os
import pickle
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import tachyon
from tachyon import Bus, ClosedError, TachyonError, _native

from conftest import Connect, Pair, RpcPair, StartPeer

LEFT_WITH_A_VIEW = "still points into the slot"


def test_view_kept_after_a_tx_guard_holds_the_slot(pair: Pair) -> None:
    view = None
    with pytest.raises(BufferError, match=LEFT_WITH_A_VIEW):
        with pair.producer.send_zero_copy(8) as tx:
            view = memoryview(tx)
            tx.actual_size = 8
    for acquire in (
        lambda: pair.producer.send(b"x"),
        lambda: pair.producer.send_zero_copy(8),
        lambda: pair.producer._bus.acquire_tx(8),
    ):
        with pytest.raises(BufferError, match="release the view"):
            acquire()
    view[:] = b"harmless"
    assert bytes(view) == b"harmless"
    view.release()
    pair.producer.send(b"next")
    assert pair.consumer.recv(timeout=0).data == b"next", "the held slot was sent"


def test_view_kept_after_an_rx_guard_holds_the_slot(pair: Pair) -> None:
    pair.producer.send(b"first")
    pair.producer.send(b"second")
    view = None
    with pytest.raises(BufferError, match=LEFT_WITH_A_VIEW):
        with pair.consumer.recv_zero_copy() as rx:
            view = memoryview(rx)[1:]
    for acquire in (
        lambda: pair.consumer.recv(timeout=0),
        lambda: pair.consumer.recv_zero_copy(timeout=0),
        lambda: pair.consumer._bus.acquire_rx(timeout=0),
        lambda: pair.consumer.drain_batch(timeout=0),
        lambda: next(pair.consumer),
    ):
        with pytest.raises(BufferError, match="release the view"):
            acquire()
    for _ in range(200):
        pair.producer.send(bytes(64))
    assert bytes(view) == b"irst", "the slot was reused"
    del view
    assert pair.consumer.recv(timeout=0).data == b"second"


def test_view_kept_after_a_batch_holds_all_of_it(pair: Pair) -> None:
    for i in range(3):
        pair.producer.send(bytes([i]))
    views: list[memoryview] = []
    with pytest.raises(BufferError, match="2 views still point into the slot"):
        with pair.consumer.drain_batch(2) as batch:
            views = [memoryview(message) for message in batch]
    views.pop().release()
    with pytest.raises(BufferError, match="release the view"):
        pair.consumer.recv(timeout=0)
    views.pop().release()
    assert pair.consumer.recv(timeout=0).data == b"\2"


def test_leaving_twice_does_nothing_more(pair: Pair) -> None:
    with pair.producer.send_zero_copy(8) as tx:
        tx.actual_size = 8
    tx.__exit__(None, None, None)
    assert pair.consumer.recv(timeout=0).size == 8
    with pytest.raises(TimeoutError):
        pair.consumer.recv(timeout=0)


def test_leaving_again_while_held_is_refused_again(pair: Pair) -> None:
    tx = pair.producer.send_zero_copy(8)
    view = memoryview(tx)
    for _ in range(2):
        with pytest.raises(BufferError, match=LEFT_WITH_A_VIEW):
            tx.__exit__(None, None, None)
    view.release()
    tx.__exit__(None, None, None)


class Leaving(NamedTuple):
    """A guard of either direction, and what comes through when its slot is free."""

    guard: Any
    make_view: Callable[[Any], Any]
    next_message: Callable[[], bytes]


def every_guard(pair: Pair, rpc: RpcPair) -> dict[str, Callable[[], Leaving]]:
    """Return what opens each kind of guard there is."""

    def received() -> bytes:
        return pair.consumer.recv(timeout=0).data

    def after(send: Callable[[], Any]) -> Callable[[], bytes]:
        def through() -> bytes:
            send()
            return received()

        return through

    def two(use: Callable[[], Any]) -> Any:
        pair.producer.send(bytes(8))
        pair.producer.send(b"next")
        return use()

    def request() -> int:
        return rpc.caller.call(bytes(8), 1)

    def served() -> bytes:
        with rpc.callee.serve(timeout=0) as guard:
            return bytes(guard)

    def answered() -> bytes:
        call = request()
        with rpc.callee.serve(timeout=0):
            pass
        rpc.callee.reply(call, b"next", 1)
        with rpc.caller.wait(call, timeout=0) as guard:
            return bytes(guard)

    def called() -> bytes:
        rpc.caller.call(b"next", 1)
        return served()

    def reply_to() -> int:
        call = request()
        with rpc.callee.serve(timeout=0):
            pass
        return call

    def replied() -> Any:
        call = reply_to()
        rpc.callee.reply(call, bytes(8), 1)
        return rpc.caller.wait(call, timeout=0)

    tick = pair.consumer.channel("<d")
    send_next = after(lambda: pair.producer.send(b"next"))
    return {
        "tx": lambda: Leaving(pair.producer.send_zero_copy(8), memoryview, send_next),
        "low tx": lambda: Leaving(
            pair.producer._bus.acquire_tx(8), memoryview, send_next
        ),
        "rx": lambda: Leaving(
            two(pair.consumer.recv_zero_copy), np.frombuffer, received
        ),
        "low rx": lambda: Leaving(
            two(pair.consumer._bus.acquire_rx), memoryview, received
        ),
        "buf": lambda: Leaving(
            two(pair.consumer.recv_zero_copy), lambda rx: rx.buf[1:], received
        ),
        "batch": lambda: Leaving(
            two(lambda: pair.consumer.drain_batch(1)),
            lambda b: b.array("<i8"),
            received,
        ),
        "batch item": lambda: Leaving(
            two(lambda: pair.consumer.drain_batch(1)),
            lambda b: memoryview(b[0]),
            received,
        ),
        "channel": lambda: Leaving(
            two(lambda: tick.drain_batch(1)), lambda b: b.array, received
        ),
        "call": lambda: Leaving(rpc.caller.call_zero_copy(8, 1), memoryview, called),
        "reply": lambda: Leaving(
            rpc.callee.reply_zero_copy(reply_to(), 8, 1), memoryview, answered
        ),
        "wait": lambda: Leaving(replied(), memoryview, answered),
        "serve": lambda: Leaving(
            request() and rpc.callee.serve(timeout=0), memoryview, called
        ),
    }


KINDS = ("tx", "low tx", "rx", "low rx", "buf", "batch", "batch item", "channel")
RPC_KINDS = ("call", "reply", "wait", "serve")
ERRORS = (
    ZeroDivisionError,
    KeyboardInterrupt,
    SystemExit,
    GeneratorExit,
    asyncio.CancelledError,
)


@pytest.mark.parametrize("kind", [*KINDS, *RPC_KINDS])
@pytest.mark.parametrize("error", ERRORS)
def test_exception_that_leaves_goes_through_and_the_view_holds_the_slot(
    pair: Pair, rpc: RpcPair, kind: str, error: type[BaseException]
) -> None:
    leaving = every_guard(pair, rpc)[kind]()
    view = None
    raised = error("the program's own")
    with pytest.raises(error) as caught:
        with leaving.guard as guard:
            view = leaving.make_view(guard)
            raise raised
    assert caught.value is raised
    assert raised.__context__ is None
    notes = getattr(raised, "__notes__", [])
    if sys.version_info >= (3, 11):
        assert len(notes) == 1
        assert notes[0].endswith("copy what you keep")
    with pytest.raises(BufferError, match="release the view"):
        leaving.next_message()
    del view
    assert leaving.next_message() == b"next"


@pytest.mark.parametrize("kind", [*KINDS, *RPC_KINDS])
def test_without_an_exception_the_view_is_a_buffer_error(
    pair: Pair, rpc: RpcPair, kind: str
) -> None:
    leaving = every_guard(pair, rpc)[kind]()
    view = None
    with pytest.raises(BufferError, match=r"^1 view still points.*copy what you keep$"):
        with leaving.guard as guard:
            view = leaving.make_view(guard)
    del view
    assert leaving.next_message() == b"next"


def test_ctrl_c_ends_a_consumer_that_has_an_array_of_the_slot(
    start_peer: StartPeer, socket_path: str
) -> None:
    peer = start_peer(
        """
import numpy as np
signal.signal(signal.SIGINT, signal.default_int_handler)
bus = Bus.connect(path, timeout=60)
print("ready", flush=True)
while True:
    try:
        with bus.recv_zero_copy() as message:
            array = np.frombuffer(message, "u1")
            while True:
                array.sum()
            del array
    except Exception as error:
        print("swallowed", error, flush=True)
"""
    )
    assert peer.stdout is not None
    with Bus.listen(socket_path, 1 << 16, timeout=60) as bus:
        bus.send(b"one")
        assert peer.stdout.readline() == "ready\n"
        time.sleep(0.2)
        peer.send_signal(signal.SIGINT)
        output, errors = peer.communicate(timeout=60)
    assert "KeyboardInterrupt" in errors
    assert output == ""


def test_guard_left_by_an_exception_while_another_thread_waits(rpc: RpcPair) -> None:
    call = rpc.caller.call(b"first", 1)
    waiting = threading.Event()

    def wait_for_more() -> None:
        waiting.set()
        with rpc.callee.serve(timeout=60) as request:
            seen.append(bytes(request))

    seen: list[bytes] = []
    thread = threading.Thread(target=wait_for_more)
    with pytest.raises(ZeroDivisionError):
        with rpc.callee.reply_zero_copy(serve_one(rpc), 8, 1):
            thread.start()
            waiting.wait()
            time.sleep(0.05)
            raise ZeroDivisionError
    rpc.caller.call(b"second", 1)
    thread.join(10)
    assert seen == [b"second"]
    rpc.callee.reply(call, b"answer", 1)
    with rpc.caller.wait(call, timeout=1) as reply:
        assert bytes(reply) == b"answer"


def serve_one(rpc: RpcPair) -> int:
    """Take the next request and return its id."""
    with rpc.callee.serve(timeout=1) as request:
        return request.correlation_id


def test_numpy_array_over_a_guard_counts_as_a_view(pair: Pair) -> None:
    array = None
    with pytest.raises(BufferError, match=LEFT_WITH_A_VIEW):
        with pair.producer.send_zero_copy(16) as tx:
            array = np.frombuffer(tx, dtype=np.uint64)
            array[:] = 1
    del array
    pair.producer.send(b"next")


def test_buf_is_released_with_the_guard(pair: Pair) -> None:
    with pair.producer.send_zero_copy(8) as tx:
        view = tx.buf
        assert tx.buf is view
        view[:] = b"in place"
        tx.actual_size = 8
    with pair.consumer.recv_zero_copy(timeout=0) as rx:
        assert (bytes(rx.buf), rx.buf.readonly) == (b"in place", True)
        received = rx.buf
    for stale in (view, received):
        with pytest.raises(ValueError, match="released"):
            stale[0]


def test_array_over_buf_holds_the_slot(pair: Pair) -> None:
    array = None
    with pytest.raises(BufferError, match=LEFT_WITH_A_VIEW):
        with pair.producer.send_zero_copy(8) as tx:
            array = np.frombuffer(tx.buf, np.uint8)
            tx.actual_size = 8
    with pytest.raises(BufferError, match="release the view"):
        pair.producer.send(b"x")
    del array
    pair.producer.send(b"next")
    assert pair.consumer.recv(timeout=0).data == b"next"


def test_slice_of_buf_holds_the_slot(pair: Pair) -> None:
    pair.producer.send(b"first")
    pair.producer.send(b"second")
    part = None
    with pytest.raises(BufferError, match=LEFT_WITH_A_VIEW):
        with pair.consumer.recv_zero_copy() as rx:
            part = rx.buf[1:]
    assert bytes(part) == b"irst"
    part.release()
    assert pair.consumer.recv(timeout=0).data == b"second"


def test_abandoned_guard_with_buf_is_rolled_back(pair: Pair) -> None:
    pair.producer.send_zero_copy(8).buf[:] = b"nothing!"
    pair.producer.send(b"next")
    assert pair.consumer.recv(timeout=0).data == b"next"
    pair.producer.send_zero_copy(8).buf[:] = b"nothing!"
    pair.producer._bus.destroy()
    assert list(pair.consumer) == []


def test_guard_that_was_left_gives_no_views(pair: Pair) -> None:
    with pair.producer.send_zero_copy(8) as tx:
        tx.actual_size = 8
    with pair.consumer.recv_zero_copy() as rx:
        pass
    for guard in (tx, rx):
        with pytest.raises(BufferError, match="was left"):
            memoryview(guard)
        with pytest.raises(TachyonError, match="was left"):
            guard.__enter__()
    assert (rx.actual_size, rx.type_id) == (8, 0)
    for name in ("actual_size", "type_id"):
        with pytest.raises(TachyonError, match="was left"):
            setattr(tx, name, 1)


def test_batch_that_was_left_gives_no_messages(pair: Pair) -> None:
    pair.producer.send(b"x")
    with pair.consumer.drain_batch() as batch:
        message = batch[0]
    assert len(batch) == 1
    with pytest.raises(TachyonError, match="was left"):
        batch[0]
    with pytest.raises(BufferError, match="was left"):
        memoryview(message)


def test_second_guard_while_one_is_open_is_refused(pair: Pair) -> None:
    with pair.producer.send_zero_copy(8) as tx:
        for acquire in (
            lambda: pair.producer.send_zero_copy(8),
            lambda: pair.producer._bus.acquire_tx(8),
            lambda: pair.producer.send(b"x"),
        ):
            with pytest.raises(TachyonError, match="still open"):
                acquire()
        tx.actual_size = 8
    pair.producer.send(b"x")
    with pair.consumer.recv_zero_copy() as rx:
        for acquire in (
            lambda: pair.consumer.recv_zero_copy(),
            lambda: pair.consumer.recv(),
            lambda: pair.consumer.drain_batch(),
            lambda: next(pair.consumer),
        ):
            with pytest.raises(TachyonError, match="still open"):
                acquire()
        assert rx.actual_size == 8
    assert pair.consumer.recv(timeout=0).data == b"x"


def test_abandoned_tx_guard_is_rolled_back(pair: Pair) -> None:
    tx = pair.producer.send_zero_copy(8)
    tx.actual_size = 8
    del tx
    pair.producer.send(b"next")
    assert pair.consumer.recv(timeout=0).data == b"next"


def test_abandoned_rx_guards_release_their_messages(pair: Pair) -> None:
    for i in range(4):
        pair.producer.send(bytes([i]))
    pair.consumer.recv_zero_copy()
    pair.consumer.drain_batch(2)
    assert pair.consumer.recv(timeout=0).data == b"\3"


@pytest.mark.parametrize("size", [-1, 9, 2**70])
def test_actual_size_beyond_the_reservation_is_refused(pair: Pair, size: int) -> None:
    with pair.producer.send_zero_copy(8) as tx:
        with pytest.raises(ValueError, match=f"from 0 to 8, not {size}"):
            tx.actual_size = size
        tx.actual_size = 8
    assert pair.consumer.recv(timeout=0).size == 8


def test_attributes_of_a_guard_cannot_be_deleted_or_mistyped(pair: Pair) -> None:
    with pair.producer.send_zero_copy(8) as tx:
        with pytest.raises(AttributeError):
            del tx.actual_size
        with pytest.raises(AttributeError):
            tx.actualsize = 8  # type: ignore[attr-defined]
        for value in ("8", 8.0, None):
            with pytest.raises(TypeError):
                tx.actual_size = value  # type: ignore[assignment]
        with pytest.raises(ValueError, match="4294967296"):
            tx.type_id = 1 << 32


def test_destroy_with_live_views_is_refused(pair: Pair) -> None:
    tx = pair.producer.send_zero_copy(8)
    view = memoryview(tx)
    for close in (
        pair.producer._bus.destroy,
        lambda: pair.producer.__exit__(None, None, None),
    ):
        with pytest.raises(BufferError, match="cannot close the bus"):
            close()
    view.release()
    pair.producer._bus.destroy()
    with pytest.raises(ClosedError):
        tx.__exit__(None, None, None)


def test_guard_of_a_closed_bus_is_dead(pair: Pair) -> None:
    pair.producer.send(b"x")
    rx = pair.consumer.recv_zero_copy()
    with pytest.raises(ClosedError, match="before this message was sent"):
        with pair.producer.send_zero_copy(8) as tx:
            tx.actual_size = 8
            pair.producer._bus.destroy()
    pair.consumer._bus.destroy()
    for guard in (tx, rx):
        with pytest.raises(BufferError, match="closed"):
            memoryview(guard)
    rx.__exit__(None, None, None)


def test_message_of_a_closed_bus_is_dead(pair: Pair) -> None:
    pair.producer.send(b"x")
    batch = pair.consumer.drain_batch()
    message = batch[0]
    pair.consumer._bus.destroy()
    with pytest.raises(BufferError, match="closed"):
        memoryview(message)
    with pytest.raises(TachyonError):
        batch[0]


def test_ring_lives_as_long_as_a_view(socket_path: str, connect: Connect) -> None:
    ends: list[Bus] = []
    thread = threading.Thread(
        target=lambda: ends.append(Bus.listen(socket_path, 1 << 16, timeout=60))
    )
    thread.start()
    producer = Bus.connect(socket_path, timeout=60)
    thread.join()
    producer.send(b"first")
    view = memoryview(ends.pop().recv_zero_copy())
    gc.collect()
    producer.send(b"the consumer is still there")
    assert bytes(view) == b"first"
    del view
    with pytest.raises(ClosedError):
        for _ in range(1000):
            producer.send(bytes(100), timeout=60)


@pytest.mark.parametrize(
    "use",
    [
        lambda bus: bus.send(b"x"),
        lambda bus: bus.send_zero_copy(1),
        lambda bus: bus.recv(),
        lambda bus: bus.recv_zero_copy(),
        lambda bus: bus.drain_batch(),
        next,
        lambda bus: bus.stats(),
        lambda bus: bus.peer,
        lambda bus: bus.max_payload,
        lambda bus: bus.set_polling_mode(True),
        lambda bus: bus.set_numa_node(0),
        lambda bus: bus._bus.flush(),
        lambda bus: bus._bus.acquire_tx(1),
        lambda bus: bus._bus.acquire_rx(),
        lambda bus: bus._bus.drain_batch(),
    ],
)
def test_use_after_close_is_an_error(pair: Pair, use: Callable[[Bus], Any]) -> None:
    with pair.producer:
        pass
    with pytest.raises(ClosedError, match="not open"):
        use(pair.producer)
    with pytest.raises(ClosedError, match="not open"):
        use(Bus())


def test_repr_names_size_and_peer(pair: Pair) -> None:
    assert repr(pair.producer) == f"<tachyon.Bus of 65536 bytes, peer {os.getpid()}>"
    assert repr(Bus()) == "<tachyon.Bus, not open>"


def test_destroy_twice_is_harmless(pair: Pair) -> None:
    pair.producer._bus.destroy()
    pair.producer._bus.destroy()
    tachyon.TachyonBus().destroy()


@pytest.mark.parametrize(
    "kind", [tachyon.TxGuard, tachyon.RxGuard, tachyon.RxBatchGuard, tachyon.RxMsgView]
)
def test_guards_are_made_by_a_bus_only(kind: Any) -> None:
    with pytest.raises(TypeError):
        kind()
    with pytest.raises(TypeError):
        kind.__new__(kind)
    with pytest.raises(TypeError):
        object.__new__(kind)
    with pytest.raises(TypeError):
        type("Sub", (kind,), {})()


def test_what_swig_adds_to_an_object_cannot_break_it(pair: Pair) -> None:
    swig_base = tachyon.TachyonBus.__mro__[1]
    for kind in (tachyon.TachyonBus, tachyon.TxGuard, Bus):
        with pytest.raises(TypeError):
            swig_base.__new__(kind)
    for _ in range(10):
        tx: Any = pair.producer.send_zero_copy(8)
        tx.actual_size = 8
        with pytest.raises(AttributeError):
            tx.thisown = True
        for copier in (copy.copy, pickle.dumps):
            with pytest.raises(TypeError):
                copier(tx)
        del tx
    pair.producer.send(b"still there")
    assert pair.consumer.recv(timeout=0).data == b"still there"


def test_weak_references_die_with_their_guard(pair: Pair) -> None:
    tx = pair.producer.send_zero_copy(8)
    reference = weakref.ref(tx)
    del tx
    assert reference() is None
    with pair.producer.send_zero_copy(8):
        assert reference() is None


def test_foreign_self_is_refused(pair: Pair) -> None:
    with pytest.raises(TypeError):
        tachyon.TxGuard.__enter__(pair.producer)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        _native.TachyonBus.flush(pair.producer)  # type: ignore[arg-type]


def test_a_bus_of_a_subclass_is_of_the_subclass(
    socket_path: str, connect: Connect
) -> None:
    class Ticks(Bus):
        def __init__(self) -> None:
            super().__init__()
            self.count = 0

    assert isinstance(Ticks()._bus, tachyon.TachyonBus)
    with pytest.raises(ConnectionError):
        Ticks.connect(socket_path)


def test_guards_and_buses_leak_nothing(connect: Connect) -> None:
    pair = connect()
    kinds = (tachyon.TxGuard, tachyon.RxGuard, tachyon.RxBatchGuard, tachyon.RxMsgView)

    def exchange(count: int) -> None:
        for _ in range(count):
            with pair.producer.send_zero_copy(8) as tx, memoryview(tx):
                pass
            pair.producer.send(b"x")
            pair.producer.send(b"y")
            with pair.consumer.recv_zero_copy() as rx, memoryview(rx):
                pass
            with pair.consumer.drain_batch(1) as batch:
                bytes(batch[0])
            pair.consumer.recv()

    exchange(10)
    gc.collect()
    before = [sys.getrefcount(kind) for kind in kinds], sys.getallocatedblocks()
    exchange(1000)
    gc.collect()
    after = [sys.getrefcount(kind) for kind in kinds], sys.getallocatedblocks()
    assert after[0] == before[0]
    assert abs(after[1] - before[1]) < 50
