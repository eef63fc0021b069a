# SPDX-License-Identifier: Apache-2.0
"""How a bus ends: by close(), by abort(), and by leaving a `with` block."""

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tachyon import (
    AbortedError,
    Bus,
    ClosedError,
    PeerDeadError,
    RpcBus,
    RpcDispatcher,
    TachyonError,
)

from conftest import Pair, RpcPair, StartPeer, when_asleep

FAILURES = {
    "error": ZeroDivisionError("text"),
    "ctrl-c": KeyboardInterrupt(),
    "exit 1": SystemExit(1),
    "exit text": SystemExit("text"),
    "exit true": SystemExit(True),
    "cancelled": asyncio.CancelledError(),
    "stop iteration": StopIteration(),
    "closed": ClosedError(),
    "buffer": BufferError(),
    "base": BaseException(),
}
ORDERLY = {
    "exit": SystemExit(),
    "exit 0": SystemExit(0),
    "exit none": SystemExit(None),
    "generator": GeneratorExit(),
}
EVERY = [(FAILURES, kind) for kind in FAILURES] + [(ORDERLY, kind) for kind in ORDERLY]


def leave(bus: Bus | RpcBus, exception: BaseException | None) -> None:
    """Leave a `with` block."""
    if exception is None:
        with bus:
            return
    with pytest.raises(type(exception)) as caught:
        with bus:
            raise exception
    assert caught.value is exception
    assert exception.__context__ is None


def leave_async(bus: Bus | RpcBus, exception: BaseException | None) -> None:
    """Leave an `async with` block, without a loop that would have its own opinion."""

    async def block() -> None:
        async with bus:
            if exception is not None:
                raise exception

    task = block()
    if exception is None:
        with pytest.raises(StopIteration):
            task.send(None)
        return
    try:
        task.send(None)
    except RuntimeError as error:  # what a coroutine makes of StopIteration
        assert error.__cause__ is exception
    except BaseException as error:
        assert error is exception


LEAVE = {"with": leave, "async with": leave_async}


@pytest.mark.parametrize("how", LEAVE)
@pytest.mark.parametrize(("among", "kind"), EVERY)
@pytest.mark.parametrize("end", ["producer", "consumer"])
def test_exception_that_leaves_the_block_aborts(
    pair: Pair, how: str, among: dict[str, BaseException], kind: str, end: str
) -> None:
    pair.producer.send(b"whole")
    expected = AbortedError if among is FAILURES else ClosedError
    LEAVE[how](getattr(pair, end), among[kind])
    if end == "producer":
        assert pair.consumer.recv(timeout=1).data == b"whole"
        with pytest.raises(expected):
            pair.consumer.recv(timeout=1)
    else:
        with pytest.raises(expected):
            for _ in range(1000):
                pair.producer.send(bytes(100), timeout=1)
    with pytest.raises(ClosedError, match="not open"):
        getattr(pair, end).stats()


@pytest.mark.parametrize("how", LEAVE)
def test_leaving_without_an_exception_closes(pair: Pair, how: str) -> None:
    pair.producer.send(b"whole")
    LEAVE[how](pair.producer, None)
    assert [m.data for m in pair.consumer] == [b"whole"]


@pytest.mark.parametrize("how", LEAVE)
@pytest.mark.parametrize(("among", "kind"), EVERY)
@pytest.mark.parametrize("end", ["caller", "callee"])
def test_exception_that_leaves_an_rpc_block_aborts(
    rpc: RpcPair, how: str, among: dict[str, BaseException], kind: str, end: str
) -> None:
    call = rpc.caller.call(b"question", 1)
    expected = AbortedError if among is FAILURES else ClosedError
    if end == "callee":
        with rpc.callee.serve() as request:
            rpc.callee.reply(request.correlation_id, b"answer", 1)
        LEAVE[how](rpc.callee, among[kind])
        with rpc.caller.wait(call, timeout=1) as reply:
            assert bytes(reply) == b"answer"
        with pytest.raises(expected):
            rpc.caller.wait(rpc.caller.call(b"", 1), timeout=1)
    else:
        LEAVE[how](rpc.caller, among[kind])
        with rpc.callee.serve(timeout=1) as request:
            assert bytes(request) == b"question"
        with pytest.raises(expected):
            rpc.callee.serve(timeout=1)


def test_iteration_tells_an_abort(pair: Pair) -> None:
    for i in range(3):
        pair.producer.send(bytes([i]))
    pair.producer.abort()
    seen = []
    with pytest.raises(AbortedError) as caught:
        for message in pair.consumer:
            seen.append(message.data)
    assert seen == [b"\0", b"\1", b"\2"]
    assert isinstance(caught.value, PeerDeadError)
    assert caught.value.code == 23


def test_async_iteration_tells_an_abort(pair: Pair) -> None:
    async def consume() -> list[bytes]:
        seen = []
        with pytest.raises(AbortedError):
            async for message in pair.consumer:
                seen.append(message.data)
        return seen

    async def main() -> list[bytes]:
        task = asyncio.create_task(consume())
        await asyncio.sleep(0.01)
        pair.producer.send(b"one")
        pair.producer.abort()
        return await asyncio.wait_for(task, 5)

    assert asyncio.run(main()) == [b"one"]


def test_task_that_is_cancelled_in_its_block_aborts(pair: Pair) -> None:
    async def main() -> None:
        async def work() -> None:
            async with pair.producer:
                await asyncio.sleep(10)

        task = asyncio.create_task(work())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    with pytest.raises(AbortedError):
        pair.consumer.recv(timeout=1)


def test_generator_that_is_closed_early_ends_well(pair: Pair) -> None:
    def numbers() -> Iterator[int]:
        with pair.producer as bus:
            for i in range(10):
                bus.send(bytes([i]))
                yield i

    for i in numbers():
        if i == 2:
            break
    assert [m.data for m in pair.consumer] == [b"\0", b"\1", b"\2"]


def test_open_guard_and_unflushed_messages_of_an_abort_are_not_sent(pair: Pair) -> None:
    pair.producer.send(b"flushed")
    with pair.producer._bus.acquire_tx(8):
        pass
    guard = pair.producer.send_zero_copy(8)
    pair.producer.abort()
    with pytest.raises(ClosedError, match="before this message was sent"):
        guard.__exit__(None, None, None)
    assert pair.consumer.recv(timeout=1).data == b"flushed"
    with pytest.raises(AbortedError):
        pair.consumer.recv(timeout=1)


def mappings() -> int:
    """Count the rings that this process has mapped."""
    return Path("/proc/self/maps").read_text().count("memfd:")


@pytest.mark.parametrize("exception", [ZeroDivisionError(), GeneratorExit()])
@pytest.mark.parametrize("end", ["producer", "consumer"])
def test_view_does_not_replace_the_exception_and_keeps_its_memory(
    pair: Pair, exception: BaseException, end: str
) -> None:
    before = mappings()
    pair.producer.send(b"received")
    bus: Bus = getattr(pair, end)
    views: list[Any] = []
    with pytest.raises(type(exception)) as caught:
        with bus:
            guard: Any = (
                bus.send_zero_copy(8) if end == "producer" else bus.recv_zero_copy()
            )
            guard.__enter__()
            views += [guard.buf, np.frombuffer(guard, "u1"), memoryview(guard)]
            if end == "producer":
                views[2][:] = b"received"
            raise exception
    assert caught.value is exception
    assert exception.__context__ is None
    peer = pair.producer if end == "consumer" else pair.consumer
    with pytest.raises(
        ClosedError if isinstance(exception, GeneratorExit) else AbortedError
    ):
        for _ in range(1000):
            peer.send(bytes(100), timeout=1) if end == "consumer" else peer.recv(1)
    with pytest.raises(ClosedError):
        bus.send(b"")
    with pytest.raises(BufferError, match="closed"):
        memoryview(guard)
    assert views[1].tobytes() == bytes(views[2]) == b"received"
    assert mappings() == before
    views.clear()
    del guard
    assert mappings() < before


def test_abort_of_an_rpc_bus_keeps_what_is_viewed(rpc: RpcPair) -> None:
    before = mappings()
    rpc.caller.call(b"question", 1)
    view = memoryview(rpc.callee.serve())
    rpc.callee.abort()
    with pytest.raises(AbortedError):
        rpc.caller.wait(1, timeout=1)
    assert bytes(view) == b"question"
    assert mappings() == before
    view.release()
    assert mappings() < before


ENDS: list[Callable[[Any], Any]] = [
    lambda bus: bus.close(),
    lambda bus: bus.abort(),
    lambda bus: asyncio.run(bus.aclose()),
    lambda bus: contextlib.closing(bus).__exit__(None, None, None),
]


@pytest.mark.parametrize("again", ENDS)
@pytest.mark.parametrize("first", ENDS)
def test_what_ends_first_counts_and_the_rest_does_nothing(
    pair: Pair, rpc: RpcPair, first: Callable[[Any], Any], again: Callable[[Any], Any]
) -> None:
    expected = AbortedError if first is ENDS[1] else ClosedError
    for bus in (pair.producer, rpc.callee):
        first(bus)
        again(bus)
    with pytest.raises(expected):
        pair.consumer.recv(timeout=1)
    with pytest.raises(expected):
        rpc.caller.wait(rpc.caller.call(b"", 1), timeout=1)


def test_close_flushes(pair: Pair) -> None:
    with contextlib.closing(pair.producer) as bus:
        with bus._bus.acquire_tx(8) as tx:
            tx.buf[:] = b"no flush"
    assert [m.data for m in pair.consumer] == [b"no flush"]


def test_aclosing_closes(pair: Pair) -> None:
    async def main() -> None:
        async with contextlib.aclosing(pair.producer) as bus:
            await bus.send_async(b"x")

    asyncio.run(main())
    assert [m.data for m in pair.consumer] == [b"x"]


def test_close_with_a_view_is_refused_and_can_be_repeated(pair: Pair) -> None:
    view = memoryview(pair.producer.send_zero_copy(8))
    with pytest.raises(BufferError, match=r"1 view .*copy what you keep$"):
        pair.producer.close()
    pair.producer.stats()
    view.release()
    pair.producer.close()
    with pytest.raises(ClosedError):
        pair.producer.stats()


@pytest.mark.parametrize("end", [Bus.close, Bus.abort])
def test_another_thread_may_end_a_blocked_bus(
    pair: Pair, end: Callable[[Bus], None]
) -> None:
    ending = when_asleep(lambda: end(pair.consumer))
    with pytest.raises(ClosedError):
        pair.consumer.recv(timeout=60)
    ending.join()
    end(pair.consumer)


@pytest.mark.parametrize("end", [RpcBus.close, RpcBus.abort])
def test_another_thread_may_end_a_blocked_rpc_bus(
    rpc: RpcPair, end: Callable[[RpcBus], None]
) -> None:
    timer = threading.Timer(0.1, end, [rpc.callee])
    timer.start()
    with pytest.raises(ClosedError):
        rpc.callee.serve(timeout=60)
    timer.join()


@pytest.mark.parametrize("end", ["close", "abort"])
def test_ending_ends_the_tasks_that_wait(pair: Pair, rpc: RpcPair, end: str) -> None:
    async def main() -> None:
        tasks = [
            asyncio.create_task(pair.consumer.recv_async()),
            asyncio.create_task(rpc.caller.call_async(b"", 1)),
        ]
        await asyncio.sleep(0.02)
        for bus in (pair.consumer, rpc.caller):
            getattr(bus, end)()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(result, ClosedError), result

    asyncio.run(main())


@pytest.mark.parametrize("make", [Bus, RpcBus])
def test_entering_a_bus_that_is_not_open_is_an_error(
    pair: Pair, rpc: RpcPair, make: type[Any]
) -> None:
    closed = pair.producer if make is Bus else rpc.caller
    closed.close()

    async def enter(bus: Any) -> None:
        async with bus:
            pass

    for bus in (closed, make()):
        with pytest.raises(ClosedError, match="the bus is not open"):
            with bus:
                pass
        with pytest.raises(ClosedError, match="the bus is not open"):
            asyncio.run(enter(bus))
        bus.close()
        bus.abort()


def test_process_that_ends_by_an_exception_is_seen_as_aborted(
    start_peer: StartPeer, socket_path: str
) -> None:
    peer = start_peer(
        "with Bus.connect(path, timeout=60) as bus:\n"
        "    bus.send(b'half')\n"
        "    raise ZeroDivisionError\n"
    )
    with Bus.listen(socket_path, 1 << 16, timeout=60) as bus:
        assert bus.recv(timeout=60).data == b"half"
        with pytest.raises(AbortedError):
            bus.recv(timeout=60)
    assert "ZeroDivisionError" in peer.communicate(timeout=60)[1]


def test_ctrl_c_in_the_block_of_another_process_is_an_abort(
    start_peer: StartPeer, socket_path: str
) -> None:
    peer = start_peer(
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "with Bus.connect(path, timeout=60) as bus:\n"
        "    bus.send(b'half')\n"
        "    time.sleep(30)\n"
    )
    with Bus.listen(socket_path, 1 << 16, timeout=60) as bus:
        assert bus.recv(timeout=60).data == b"half"
        peer.send_signal(signal.SIGINT)
        with pytest.raises(AbortedError):
            bus.recv(timeout=60)
    peer.communicate(timeout=60)


def test_serve_forever_tells_that_the_caller_gave_up(rpc: RpcPair) -> None:

    rpc.caller.abort()
    with pytest.raises(AbortedError):
        RpcDispatcher().serve_forever(rpc.callee)
    with pytest.raises(TachyonError):
        rpc.callee.serve(timeout=0)
