# SPDX-License-Identifier: Apache-2.0
"""One RPC server with many callers, its handlers in a pool, and event loops."""

import asyncio
import functools
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

import tachyon.dispatch
from tachyon import (
    Bus,
    ClosedError,
    EventKind,
    PeerDeadError,
    Role,
    RpcBus,
    RpcDispatcher,
    RpcError,
    WithoutPeers,
    tachyon_rpc,
)

from conftest import Run
from floor import Watch

StartPeer = Callable[..., "subprocess.Popen[str]"]


@tachyon_rpc(1)
def double(request: memoryview) -> bytes:
    return bytes(request) * 2


@tachyon_rpc(2)
def fails(_: memoryview) -> bytes:
    raise LookupError("not here")


@tachyon_rpc(3)
def sleeps(request: memoryview) -> bytes:
    time.sleep(float(bytes(request)))
    return str(threading.get_ident()).encode()


ALL_WAIT = threading.Barrier(4)  # three handlers and who has called them


@tachyon_rpc(5)
def waits(_: memoryview) -> bytes:
    ALL_WAIT.wait(20)
    return str(threading.get_ident()).encode()


def dispatcher(**options: Any) -> RpcDispatcher:
    """Return one that knows all handlers."""
    knows = RpcDispatcher(**options)
    return knows.register(double).register(fails).register(sleeps).register(waits)


@pytest.fixture
def server(socket_path: str) -> Iterator[RpcBus]:
    """Return an end for eight callers."""
    with RpcBus.rpc_listen(socket_path, 1 << 16, 1 << 16, max_peers=8) as bus:
        yield bus


@pytest.fixture
def serving(server: RpcBus) -> Iterator[Callable[..., None]]:
    """Return what starts to serve in a thread, which must end well."""
    threads: list[threading.Thread] = []
    outcomes: list[object] = []

    def serve(**options: Any) -> None:
        def run() -> None:
            try:
                outcomes.append(dispatcher(**options).serve_forever(server))
            except BaseException as error:
                outcomes.append(error)

        threads.append(threading.Thread(target=run))
        threads[-1].start()

    yield serve
    server.close()
    for thread in threads:
        thread.join(10)
    assert outcomes == [None] * len(threads)


WAYS: list[dict[str, Any]] = [{}, {"workers": 4}]


@pytest.mark.parametrize("options", WAYS)
def test_every_caller_gets_its_own_replies(
    serving: Callable[..., None], socket_path: str, options: dict[str, Any]
) -> None:
    serving(**options)

    def call_often(name: str) -> int:
        with RpcBus.rpc_connect(socket_path, timeout=5, name=name) as bus:
            return sum(
                double.call(bus, f"{name} {i}".encode(), timeout=9)
                == f"{name} {i}".encode() * 2
                for i in range(200)
            )

    with ThreadPoolExecutor(6) as callers:
        assert list(callers.map(call_often, "abcdef")) == [200] * 6


@pytest.mark.parametrize("options", WAYS)
def test_what_fails_is_told_to_its_caller(
    serving: Callable[..., None], socket_path: str, options: dict[str, Any], caplog: Any
) -> None:
    serving(**options)
    with RpcBus.rpc_connect(socket_path, timeout=5) as bus:
        with pytest.raises(RpcError):
            fails.call(bus, b"", timeout=5)
        with pytest.raises(RpcError):
            tachyon_rpc(9)(double._handler).call(bus, b"", timeout=5)
        assert double.call(bus, b"on", timeout=5) == b"onon"
    told = caplog.text
    assert "failed on call" in told
    assert "LookupError: not here" in told
    assert "no handler for message type 9" in told


@pytest.mark.parametrize("options", WAYS)
def test_a_caller_that_has_left_is_no_error(
    serving: Callable[..., None],
    socket_path: str,
    options: dict[str, Any],
    start_peer: StartPeer,
) -> None:
    serving(**options)
    dies = start_peer(
        "bus = RpcBus.rpc_connect(path, timeout=9)\n"
        "bus.call(b'0.3', 3); time.sleep(0.1); os.kill(os.getpid(), 9)"
    )
    dies.wait(9)
    with RpcBus.rpc_connect(socket_path, timeout=5) as bus:
        bus.call(b"0.2", 3)
        time.sleep(0.1)
    with RpcBus.rpc_connect(socket_path, timeout=5) as bus:
        assert double.call(bus, b"ab", timeout=5) == b"abab"


def test_who_asks_after_whom(server: RpcBus, socket_path: str) -> None:
    server.accept_in_background()
    one = RpcBus.rpc_connect(socket_path, timeout=5, name="one")
    other = RpcBus.rpc_connect(socket_path, timeout=5)
    assert [server.accept(5).name for _ in range(2)] == ["one", ""]
    assert server.sender == 0
    assert repr(server) == "<tachyon.RpcBus, 2 peers>"
    call = other.call(b"?", 7)
    with server.serve(timeout=5) as request:
        served = request.correlation_id
    assert server.sender == 2
    server.reply(served, b"!", 8)
    with other.wait(call, timeout=5) as reply:
        assert bytes(reply.buf) == b"!"
    assert {p.name for p in server.peers()} == {"one", ""}
    one.call(b"?", 7)
    with server.serve(timeout=5) as request:
        served = request.correlation_id
    server.drop(1)
    with pytest.raises(ClosedError):
        server.reply(served, b"!", 8)
    server.set_polling_mode(False)  # it is open
    with pytest.raises(TimeoutError):
        server.serve(timeout=0.05)
    assert server.accept(5)[:2] == (EventKind.LEFT, 1)
    with pytest.raises(ClosedError):
        one.wait_any(timeout=5)
    other.close()


# ---- A pool ----


def test_one_that_waits_does_not_hold_up_the_others(
    serving: Callable[..., None], socket_path: str
) -> None:
    with ThreadPoolExecutor(4) as pool:
        serving(pool=pool)
        with RpcBus.rpc_connect(socket_path, timeout=5) as bus:
            slow = [bus.call(b"", 5) for _ in range(3)]
            assert double.call(bus, b"ab", timeout=20) == b"abab"
            ALL_WAIT.wait(20)
            threads = set()
            for call in slow:
                with bus.wait(call, timeout=20) as reply:
                    threads.add(bytes(reply.buf))
            assert len(threads) == 3


def test_more_requests_than_are_taken_are_served(
    serving: Callable[..., None], socket_path: str
) -> None:
    serving(workers=2)
    with RpcBus.rpc_connect(socket_path, timeout=5) as bus:
        calls = [bus.call(str(i).encode(), 1, timeout=5) for i in range(600)]
        for i, call in enumerate(calls):
            with bus.wait(call, timeout=9) as reply:
                assert bytes(reply.buf) == str(i).encode() * 2


@pytest.mark.parametrize("options", WAYS)
def test_a_caller_that_takes_no_replies_is_dropped(
    serving: Callable[..., None],
    socket_path: str,
    options: dict[str, Any],
    monkeypatch: Any,
    caplog: Any,
) -> None:
    monkeypatch.setattr(tachyon.dispatch, "PATIENCE_S", 0.3)
    caplog.set_level(logging.WARNING)
    serving(**options)
    with RpcBus.rpc_connect(socket_path, timeout=5) as stuck:
        for _ in range(6):
            stuck.call(bytes(20000), 1, timeout=5)
        with RpcBus.rpc_connect(socket_path, timeout=5) as bus:
            assert double.call(bus, b"ab", timeout=9) == b"abab"
        with pytest.raises(ClosedError):
            while True:
                stuck.call(b"", 1, timeout=5)
                time.sleep(0.01)
    assert "is dropped: it has not taken its replies" in caplog.text


@pytest.mark.parametrize("options", WAYS)
def test_a_caller_that_takes_its_replies_slowly_gets_them_all(
    serving: Callable[..., None],
    server: RpcBus,
    socket_path: str,
    options: dict[str, Any],
    monkeypatch: Any,
) -> None:
    monkeypatch.setattr(tachyon.dispatch, "PATIENCE_S", 2)
    serving(**options)
    with RpcBus.rpc_connect(socket_path, timeout=5) as slow:
        calls = [slow.call(bytes(20000), 1, timeout=5) for _ in range(3)]
        while server.stats().calls < 2:  # who serves alone waits for room then
            time.sleep(0.01)
        time.sleep(0.1)  # their replies are before the small ones
        calls += [slow.call(b"a", 1, timeout=5) for _ in range(6)]
        taken = []
        for _ in calls:
            time.sleep(0.25)
            with slow.wait_any(timeout=5) as reply:
                taken.append(reply.correlation_id)
    assert sorted(taken) == calls
    assert sorted(taken[:3]) == calls[:3]  # of these none was overtaken


def test_stop_answers_what_is_taken(server: RpcBus, socket_path: str) -> None:
    stop = threading.Event()
    thread = threading.Thread(
        target=lambda: dispatcher(workers=2).serve_forever(server, stop=stop)
    )
    thread.start()
    with RpcBus.rpc_connect(socket_path, timeout=5) as bus:
        call = bus.call(b"0.3", 3)
        while server.stats().calls == 0:
            time.sleep(0.01)
        stop.set()
        with bus.wait(call, timeout=5) as reply:
            assert reply.type_id == 3
        thread.join(5)
        assert not thread.is_alive()


def test_what_ends_a_server_ends_one_with_a_pool(
    server: RpcBus, socket_path: str
) -> None:
    ends = RpcDispatcher(workers=1)

    @ends.handler(1)
    def leave(_: memoryview) -> bytes:
        raise SystemExit(3)

    server.accept_in_background()
    with RpcBus.rpc_connect(socket_path, timeout=5) as bus:
        call = bus.call(b"", 1)
        with pytest.raises(SystemExit):
            ends.serve_forever(server)
        with bus.wait(call, timeout=5) as reply:
            assert reply.type_id == tachyon.MSG_TYPE_ERROR


class Together:
    """A pool that begins when it has three jobs, and then does them all at once."""

    def __init__(self) -> None:
        self.jobs: list[tuple[Future[bytes], Callable[[], bytes]]] = []

    def submit(self, handle: Callable[..., bytes], *request: Any) -> "Future[bytes]":
        """Add a job, or do them all."""
        self.jobs.append((Future(), functools.partial(handle, *request)))
        for future, job in self.jobs if len(self.jobs) == 3 else ():
            try:
                future.set_result(job())
            except BaseException as error:
                future.set_exception(error)
        return self.jobs[-1][0]


def test_what_handlers_have_done_is_answered_though_one_ends_the_server(
    server: RpcBus, socket_path: str, caplog: pytest.LogCaptureFixture
) -> None:
    pool: Any = Together()
    ends = RpcDispatcher(pool=pool).register(double).register(fails)

    @ends.handler(4)
    def leave(_: memoryview) -> bytes:
        raise SystemExit(3)

    server.accept_in_background()
    with RpcBus.rpc_connect(socket_path, timeout=5) as bus:
        calls = [bus.call(b"a", type_id) for type_id in (4, 2, 1)]
        with pytest.raises(SystemExit):
            ends.serve_forever(server)
        for call, expected in zip(calls, (b"\0\4", b"\0\2", b"aa"), strict=True):
            with bus.wait(call, timeout=5) as reply:
                assert bytes(reply.buf) == expected
    assert "LookupError" in caplog.text


def test_a_request_that_no_handler_will_answer_has_an_error_reply(
    server: RpcBus, socket_path: str
) -> None:
    server.accept_in_background()
    with (
        RpcBus.rpc_connect(socket_path, timeout=5) as bus,
        ThreadPoolExecutor() as pool,
    ):
        call = bus.call(b"", 1)
        pool.shutdown()
        with pytest.raises(RuntimeError, match="after shutdown"):
            dispatcher(pool=pool).serve_forever(server)
        with bus.wait(call, timeout=5) as reply:
            assert reply.type_id == tachyon.MSG_TYPE_ERROR
            assert bytes(reply.buf) == b"\0\1"
        ends = RpcDispatcher(workers=1)

        @ends.handler(4)
        def interrupt(_: memoryview) -> bytes:
            time.sleep(0.5)  # all are taken
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.5)
            return b""

        calls = [bus.call(b"", 4) for _ in range(3)]
        with pytest.raises(KeyboardInterrupt):
            ends.serve_forever(server)
        for call in calls:
            with bus.wait(call, timeout=5) as reply:
                assert reply.type_id == tachyon.MSG_TYPE_ERROR


def test_close_ends_a_server_that_was_told_to_stop(
    server: RpcBus, socket_path: str
) -> None:
    stop = threading.Event()
    server.accept_in_background()
    with RpcBus.rpc_connect(socket_path, timeout=5) as bus:
        bus.call(b"1.5", 3)
        timers = [threading.Timer(0.2, stop.set), threading.Timer(0.4, server.close)]
        watch = Watch()
        for timer in timers:
            timer.start()
        dispatcher(workers=1).serve_forever(server, stop=stop)
        watch.check(0.4, 1.2)
        for timer in timers:
            timer.join()


def test_a_pool_serves_a_single_caller_too(socket_path: str) -> None:
    opened: list[object] = []

    def serve() -> None:
        with RpcBus.rpc_listen(socket_path, 1 << 16, 1 << 16, timeout=5) as bus:
            opened.append(dispatcher(workers=2).serve_forever(bus))

    thread = threading.Thread(target=serve)
    thread.start()
    with RpcBus.rpc_connect(socket_path, timeout=5) as bus:
        assert double.call(bus, b"ab", timeout=5) == b"abab"
    thread.join(5)
    assert opened == [None]


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"workers": 0}, ValueError, "workers must be from 1 to 1024, not 0"),
        ({"workers": "2"}, TypeError, "workers must be an integer"),
        ({"pool": 4}, TypeError, "pool must be a ThreadPoolExecutor or None, not 4"),
    ],
)
def test_a_pool_that_cannot_be_is_refused(
    options: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        RpcDispatcher(**options)
    with ThreadPoolExecutor(1) as pool, pytest.raises(ValueError, match="give one"):
        RpcDispatcher(pool=pool, workers=1)


# ---- Event loops ----


def test_a_caller_that_takes_no_replies_holds_up_no_other_in_an_event_loop(
    run: Run, socket_path: str
) -> None:
    async def serve(bus: RpcBus) -> None:
        replies = []
        while True:
            request = await bus.serve_async()
            reply = bus.reply_async(request.correlation_id, bytes(2000), 1)
            replies.append(asyncio.create_task(reply))

    async def main() -> None:
        bus = RpcBus.rpc_listen(socket_path, 4096, 4096, max_peers=2)
        server = asyncio.create_task(serve(bus))
        stuck = await RpcBus.rpc_connect_async(socket_path, timeout=5)
        other = await RpcBus.rpc_connect_async(socket_path, timeout=5)
        calls = [stuck.call(bytes([i]), 1) for i in range(6)]
        await asyncio.sleep(0.1)
        for _ in range(20):
            assert (await other.call_async(b"", 1, timeout=5)).size == 2000
        used = time.process_time()
        await asyncio.sleep(0.5)
        assert time.process_time() - used < 0.2
        for call in calls:
            assert (await stuck.wait_async(call, timeout=5)).size == 2000
        server.cancel()
        for end in (stuck, other, bus):
            end.abort()

    run(main())


def test_a_server_in_an_event_loop_serves_all(run: Run, socket_path: str) -> None:
    async def serve(bus: RpcBus) -> None:
        while True:
            request = await bus.serve_async()
            try:
                await bus.reply_async(request.correlation_id, request.data * 2, 1)
            except (ClosedError, PeerDeadError):
                bus.stats()  # that caller has left

    async def call(name: str) -> list[bytes]:
        path = socket_path
        async with await RpcBus.rpc_connect_async(path, timeout=5) as bus:
            return [(await bus.call_async(name.encode(), 1)).data for _ in range(50)]

    async def main() -> None:
        async with await RpcBus.rpc_listen_async(
            socket_path, 1 << 16, 1 << 16, max_peers=8
        ) as bus:
            server = asyncio.create_task(serve(bus))
            assert await asyncio.gather(*map(call, "abcd")) == [
                [name.encode() * 2] * 50 for name in "abcd"
            ]
            server.cancel()

    run(main())


def test_a_collector_in_an_event_loop(
    run: Run, socket_path: str, start_peer: StartPeer
) -> None:
    async def main() -> None:
        async with await Bus.listen_async(
            socket_path, 1 << 14, role=Role.CONSUMER, max_peers=8
        ) as bus:
            events = asyncio.create_task(first(6, bus))
            for _ in range(3):
                start_peer(
                    "with Bus.connect(path, timeout=9) as bus:\n"
                    "    for i in range(1000): bus.send(i.to_bytes(4, 'big'))"
                )
            of: dict[int, list[int]] = {}
            async for message in bus:
                number = int.from_bytes(message.data, "big")
                of.setdefault(bus.sender, []).append(number)
                if sum(map(len, of.values())) == 3000:
                    break
            assert list(of.values()) == [list(range(1000))] * 3
            with pytest.raises(TimeoutError):
                await bus.recv_async(0.2)
            kinds = [event.kind for event in await events]
            assert kinds.count(EventKind.JOINED) == kinds.count(EventKind.LEFT) == 3

    run(main())


async def first(count: int, bus: Bus) -> list[Any]:
    """Return the first events of a bus."""
    events = []
    async for event in bus.events():
        events.append(event)
        if len(events) == count:
            break
    return events


def test_a_broadcaster_in_an_event_loop(run: Run, socket_path: str) -> None:
    async def read(bus: Bus) -> list[bytes]:
        return [message.data async for message in bus]

    async def main() -> None:
        feed = await Bus.listen_async(
            socket_path,
            4096,
            role=Role.PRODUCER,
            max_peers=4,
            without_peers=WithoutPeers.FREE_RUN,
        )
        joined = asyncio.create_task(first(2, feed))
        readers = [await Bus.connect_async(socket_path, timeout=5) for _ in range(2)]
        assert [e.peer for e in await joined] == [1, 2]
        reading = [asyncio.create_task(read(bus)) for bus in readers]
        data = [bytes([i]) * 100 for i in range(200)]
        for item in data:
            await feed.send_async(item)
        events = asyncio.create_task(first(1, feed))
        await asyncio.sleep(0.01)
        feed.close()
        assert await asyncio.gather(*reading) == [data, data]
        assert await events == []

    run(main())


def test_cancelling_loses_no_event(run: Run, socket_path: str) -> None:
    async def main() -> None:
        with Bus.listen(socket_path, 4096, role=Role.PRODUCER, max_peers=4) as feed:
            events = feed.events()
            for _ in range(5):
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(anext(events), 0.01)
            await Bus.connect_async(socket_path, timeout=5)
            assert (await anext(events)).who.pid == os.getpid()

    run(main())
