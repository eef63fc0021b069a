# SPDX-License-Identifier: Apache-2.0
"""Listening and connecting in an event loop: given up at any time, and nothing left."""

import asyncio
import contextlib
import errno
import gc
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from tachyon import Bus, ClosedError, Role, RpcBus, TachyonError

from conftest import Run, StartPeer, await_sleep, outcome, settle
from floor import Watch

Opener = Callable[..., Coroutine[Any, Any, Any]]
README = Path(__file__).resolve().parents[2] / "README.md"
TIMED_OUT = (TimeoutError, asyncio.TimeoutError)  # two types before Python 3.11


class Kind:
    """Bus and RpcBus by the same names."""

    def __init__(self, name: str) -> None:
        self.is_rpc = name == "RpcBus"

    def listen_async(self, path: str, **options: Any) -> Coroutine[Any, Any, Any]:
        """Listen with rings of a page."""
        if self.is_rpc:
            return RpcBus.rpc_listen_async(path, 4096, 4096, **options)
        return Bus.listen_async(path, 4096, **options)

    def connect_async(self, path: str, **options: Any) -> Coroutine[Any, Any, Any]:
        """Connect."""
        return (RpcBus.rpc_connect_async if self.is_rpc else Bus.connect_async)(
            path, **options
        )

    def listen(self, path: str, **options: Any) -> Any:
        """Listen, and block."""
        if self.is_rpc:
            return RpcBus.rpc_listen(path, 4096, 4096, **options)
        return Bus.listen(path, 4096, **options)

    def connect(self, path: str, **options: Any) -> Any:
        """Connect, and block."""
        return (RpcBus.rpc_connect if self.is_rpc else Bus.connect)(path, **options)

    def talk(self, listener: Any, connector: Any) -> None:
        """See that the connection carries something."""
        if self.is_rpc:
            call = connector.call(b"ping", 1, timeout=5)
            with listener.serve(timeout=5) as request:
                assert bytes(request.buf) == b"ping"
                answered = request.correlation_id
            listener.reply(answered, b"pong", 2, timeout=5)
            with connector.wait(call, timeout=5) as reply:
                assert bytes(reply.buf) == b"pong"
        else:
            connector.send(b"ping", 1)
            assert listener.recv(timeout=5).data == b"ping"

    def close(self, *ends: Any) -> None:
        """Close."""
        for end in ends:
            (end._rpc if self.is_rpc else end._bus).destroy()


@pytest.fixture(params=["Bus", "RpcBus"])
def kind(request: pytest.FixtureRequest) -> Kind:
    """Return the kind of bus that is opened."""
    return Kind(request.param)


def descriptors() -> set[tuple[int, str]]:
    """Return the open descriptors and what they are."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add((int(name), os.readlink(f"/proc/self/fd/{name}")))
        except OSError:  # that of the directory itself
            continue
    return found


def mappings() -> int:
    """Return how many rings are mapped."""
    return Path("/proc/self/maps").read_text().count("memfd:")


@pytest.fixture
def nothing_left(socket_path: str) -> Iterator[Callable[[], None]]:
    """Return what checks that neither files nor descriptors nor memory are left."""
    gc.collect()
    rings = mappings()
    before: list[set[tuple[int, str]]] = []

    def check() -> None:
        directory = Path(socket_path).parent
        assert [entry.name for entry in directory.iterdir()] == []
        gc.collect()
        assert mappings() == rings
        if before:
            assert descriptors() == before[0]
        else:  # in the loop, which has descriptors of its own
            before.append(descriptors())

    yield check
    check_files = [entry.name for entry in Path(socket_path).parent.iterdir()]
    assert check_files == []


def nobody_connects(path: str) -> bool:
    """Tell whether a client is refused by the kernel."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(path) in (errno.ENOENT, errno.ECONNREFUSED)


# ---- Opening ----


def test_two_ends_meet_in_one_loop(
    run: Run, kind: Kind, socket_path: str, nothing_left: Callable[[], None]
) -> None:
    async def main() -> None:
        nothing_left()
        for _ in range(20):
            listener, connector = await asyncio.gather(
                kind.listen_async(socket_path),
                kind.connect_async(socket_path, timeout=5),
            )
            kind.talk(listener, connector)
            kind.close(listener, connector)
            nothing_left()
        assert len(asyncio.all_tasks()) <= 2  # this one, and what limits its time

    run(main())


def test_any_number_opens_in_one_loop(run: Run, kind: Kind, socket_path: str) -> None:
    async def main() -> None:
        # Each takes a dozen descriptors, of which 1,024 are usual.
        paths = [f"{socket_path}.{number}" for number in range(40)]
        connecting = [
            asyncio.ensure_future(kind.connect_async(path, timeout=60))
            for path in paths
        ]
        await asyncio.sleep(0.05)  # nobody listens yet
        listeners = await asyncio.gather(*(kind.listen_async(path) for path in paths))
        for listener, task in zip(listeners, connecting, strict=True):
            connector = await task
            kind.talk(listener, connector)
            kind.close(listener, connector)

    run(main())


def test_a_peer_in_another_process_is_awaited(
    run: Run, start_peer: StartPeer, socket_path: str
) -> None:
    async def main() -> None:
        turns = 0
        listening = asyncio.ensure_future(Bus.listen_async(socket_path, 4096))
        await settle()
        start_peer(
            "time.sleep(0.3)\nwith Bus.connect(path) as bus: bus.send(b'x', 7)\n"
        )
        while not listening.done():  # other tasks have their turn meanwhile
            turns += 1
            await asyncio.sleep(0.01)
        assert turns > 10
        async with await listening as bus:
            assert [message.type_id async for message in bus] == [7]

    run(main())


def test_the_options_are_those_of_the_calls_that_block(
    run: Run, socket_path: str
) -> None:
    class Mine(Bus):
        pass

    class MineToo(RpcBus):
        pass

    async def main() -> None:
        listening = asyncio.ensure_future(
            Mine.listen_async(
                socket_path.encode(),
                8192,
                mode=0o640,
                allowed_uids=iter([os.geteuid()]),
                role=Role.PRODUCER,
                schema=7,
                timeout=5,
            )
        )
        await settle()
        assert os.stat(socket_path).st_mode & 0o777 == 0o640
        with pytest.raises(OSError, match="schema"):
            await Bus.connect_async(socket_path, schema=8)
        with pytest.raises(TachyonError, match="role"):
            await Bus.connect_async(socket_path, schema=7, role=Role.PRODUCER)
        connector = await Mine.connect_async(Path(socket_path), schema=7)
        listener = await listening
        assert type(listener) is type(connector) is Mine
        assert listener.max_payload == 8192 - 128
        listener.send(b"x")
        assert connector.recv(timeout=5).data == b"x"
        ends = await asyncio.gather(
            MineToo.rpc_listen_async(socket_path, 4096, 8192, schema=1),
            MineToo.rpc_connect_async(socket_path, timeout=5, schema=1),
        )
        assert [type(end) for end in ends] == [MineToo, MineToo]
        assert ends[0].max_payload == 8192 - 128
        assert ends[1].max_payload == 4096 - 128

    run(main())


def raised(error: BaseException | None) -> tuple[Any, ...]:
    """Return what is the same of two errors."""
    return (
        type(error),
        str(error),
        getattr(error, "errno", None),
        getattr(error, "code", None),
    )


@pytest.mark.parametrize(
    "arguments",
    [
        {"timeout": 0.01},
        {"timeout": 0},
        {"timeout": -1},
        {"timeout": "1"},
        {"mode": 0o1000},
        {"mode": 1.5},
        {"schema": -1},
        {"allowed_uids": 5},
        {"allowed_uids": [-1]},
        {"path": ""},
        {"path": "x" * 200},
        {"path": "/nonexistent/bus"},
        {"path": 5},
    ],
    ids=str,
)
@pytest.mark.parametrize("verb", ["listen", "connect"])
def test_errors_are_those_of_the_calls_that_block(
    run: Run, kind: Kind, socket_path: str, verb: str, arguments: dict[str, Any]
) -> None:
    options = dict(arguments)
    path = options.pop("path", socket_path)
    if verb == "connect" and "mode" in options:
        pytest.skip("connect() has no mode")

    async def main() -> None:
        blocking = await outcome(
            asyncio.to_thread(getattr(kind, verb), path, **options)
        )
        awaited = await outcome(getattr(kind, f"{verb}_async")(path, **options))
        names = [f"{prefix}{verb}" for prefix in ("", "rpc_")]
        assert isinstance(blocking, Exception)
        expected = list(raised(blocking))
        for name in names:  # Python names the function that it was
            expected[1] = re.sub(rf"\b{name}\(\)", f"{name}_async()", expected[1])
        assert raised(awaited) == tuple(expected)
        assert not os.path.exists(socket_path)

    run(main())


def test_a_path_that_is_taken_is_an_error_at_once(
    run: Run, kind: Kind, socket_path: str
) -> None:
    async def main() -> None:
        first = asyncio.ensure_future(kind.listen_async(socket_path))
        await settle()
        with pytest.raises(ConnectionError) as taken:
            await kind.listen_async(socket_path)
        assert taken.value.errno == errno.EADDRINUSE
        connector = await kind.connect_async(socket_path)  # the first is undisturbed
        kind.talk(await first, connector)

    run(main())


# ---- Giving up ----


def test_a_listen_that_is_given_up_leaves_nothing(
    run: Run, kind: Kind, socket_path: str, nothing_left: Callable[[], None]
) -> None:
    async def main() -> None:
        nothing_left()
        for _ in range(10):
            with pytest.raises(TIMED_OUT):
                await asyncio.wait_for(kind.listen_async(socket_path), 0.02)
            nothing_left()
            assert nobody_connects(socket_path)
            with pytest.raises(ConnectionError):
                kind.connect(socket_path)
        with pytest.raises(TimeoutError):  # and the path can be had at once
            kind.listen(socket_path, timeout=0.01)
        nothing_left()

    run(main())


def test_a_connect_that_is_given_up_leaves_nothing(
    run: Run, kind: Kind, socket_path: str, nothing_left: Callable[[], None]
) -> None:
    async def main() -> None:
        nothing_left()
        with pytest.raises(TIMED_OUT):  # while nobody listens
            await asyncio.wait_for(kind.connect_async(socket_path, timeout=None), 0.05)
        nothing_left()
        with socket.socket(socket.AF_UNIX) as silent:  # in the handshake
            silent.bind(socket_path)
            silent.listen()
            with pytest.raises(TIMED_OUT):
                await asyncio.wait_for(
                    kind.connect_async(socket_path, timeout=None), 0.05
                )
            os.unlink(socket_path)
        nothing_left()

    run(main())


@pytest.mark.parametrize("victim", ["listener", "connector"])
def test_it_may_be_given_up_at_any_step(
    run: Run,
    kind: Kind,
    socket_path: str,
    nothing_left: Callable[[], None],
    victim: str,
) -> None:
    async def main() -> None:
        nothing_left()
        met = 0
        for turns in range(12):
            listening = asyncio.ensure_future(kind.listen_async(socket_path))
            connecting = asyncio.ensure_future(
                kind.connect_async(socket_path, timeout=None)
            )
            chosen, other = listening, connecting
            if victim == "connector":
                chosen, other = connecting, listening
            await settle(turns)
            chosen.cancel()
            await asyncio.wait([chosen])
            if chosen.cancelled():
                # The other has nobody, or believed in a connection that has ended.
                await asyncio.sleep(0.01)
                if other.done():
                    with pytest.raises(ClosedError):
                        end = other.result()
                        if kind.is_rpc and victim == "connector":
                            end.serve(timeout=5)
                        elif kind.is_rpc:
                            end.wait(end.call(b"", 1, timeout=5), timeout=5)
                        else:
                            end.recv(timeout=5)
                    kind.close(end)
                else:
                    partner = await (
                        kind.listen_async(socket_path)
                        if victim == "listener"
                        else kind.connect_async(socket_path)
                    )
                    kind.close(partner, await other)
            else:
                met += 1
                kind.close(chosen.result(), await other)
            del chosen, other, listening, connecting
            nothing_left()
        assert met > 0

    run(main())


def test_a_connection_that_nobody_took_ends_in_order(
    run: Run, kind: Kind, socket_path: str, nothing_left: Callable[[], None]
) -> None:
    async def main() -> None:
        nothing_left()
        listening = asyncio.ensure_future(kind.listen_async(socket_path))
        await settle()
        peer = asyncio.ensure_future(
            asyncio.to_thread(kind.connect, socket_path, timeout=5)
        )
        end: Any = None
        while end is None:
            await asyncio.sleep(0)
            if peer.done():
                end = peer.result()
        # It stands, whether this loop has noticed or not.
        listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            kind.close(await listening)
        with pytest.raises(ClosedError):
            if kind.is_rpc:
                end.wait(end.call(b"", 1, timeout=5), timeout=5)
            else:
                end.recv(timeout=5)
        kind.close(end)

    run(main())


def count_threads() -> int:
    """Those of this process, without the kernel's, which work for uvloop's io_uring."""
    count = 0
    for path in Path("/proc/self/task").glob("*/comm"):
        with contextlib.suppress(OSError):  # it has ended
            count += not path.read_text().startswith("iou-")
    return count


def test_it_needs_no_thread_and_no_time(run: Run, kind: Kind, socket_path: str) -> None:
    async def main() -> None:
        threads = count_threads()
        tasks = [
            asyncio.ensure_future(kind.listen_async(f"{socket_path}.{number}"))
            for number in range(50)
        ]
        await asyncio.sleep(0.1)
        assert count_threads() <= threads
        before = time.process_time()
        await asyncio.sleep(0.5)
        assert time.process_time() - before < 0.05
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run(main())
    assert os.listdir(Path(socket_path).parent) == []


def test_a_loop_that_is_closed_takes_its_listeners_along(
    kind: Kind, socket_path: str
) -> None:
    loop = asyncio.new_event_loop()
    task = loop.create_task(kind.listen_async(socket_path))
    loop.run_until_complete(asyncio.sleep(0.01))
    assert os.path.exists(socket_path)
    loop.close()
    coroutine = task.get_coro()
    assert coroutine is not None
    coroutine.close()
    assert os.listdir(Path(socket_path).parent) == []


def test_a_coroutine_that_is_never_awaited_does_nothing(
    kind: Kind, socket_path: str
) -> None:
    coroutine = kind.listen_async(socket_path)
    assert os.listdir(Path(socket_path).parent) == []
    coroutine.close()


# ---- Ctrl-C ----


def interrupt(code: str, path: str) -> tuple[int, str]:
    """Run a program until it listens, send one SIGINT; exit status and stderr."""
    program = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code], stderr=subprocess.PIPE, text=True
    )
    for _ in range(1000):
        if os.path.exists(path) or program.poll() is not None:
            break
        time.sleep(0.01)
    await_sleep(program.pid)
    watch = Watch()
    program.send_signal(signal.SIGINT)
    try:
        _, errors = program.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        program.kill()
        program.communicate()
        pytest.fail("one Ctrl-C does not end it")
    watch.check(0, 2)
    return program.returncode, errors


def test_one_ctrl_c_ends_the_program_of_the_readme(socket_path: str) -> None:
    text = README.read_text()
    found = re.search(
        r"<!-- program: receive_async\.py.*?```python\n(.*?)```", text, re.S
    )
    assert found
    assert "listen_async" in found[1]
    code = found[1].replace("/tmp/ticks.sock", socket_path)
    assert socket_path in code
    status, errors = interrupt(code, socket_path)
    assert status == -signal.SIGINT
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert os.listdir(Path(socket_path).parent) == []


@pytest.mark.parametrize(
    "opening",
    [
        "RpcBus.rpc_listen_async(path, 4096, 4096)",
        "Bus.connect_async(path + '.nobody', timeout=None)",
        "RpcBus.rpc_connect_async(path + '.nobody', timeout=None)",
    ],
)
def test_one_ctrl_c_ends_every_kind_of_opening(opening: str, socket_path: str) -> None:
    code = f"""
import asyncio
from tachyon import *
path = {socket_path!r}
async def main():
    if "connect" in {opening!r}:
        open(path, "w").close()
    await {opening}
asyncio.run(main())
"""
    status, errors = interrupt(code, socket_path)
    assert status == -signal.SIGINT, errors


# ---- The low level ----


def test_the_low_level_refuses_what_is_out_of_order(
    kind: Kind, socket_path: str
) -> None:
    bus = RpcBus()._rpc if kind.is_rpc else Bus()._bus
    capacities = (4096, 4096) if kind.is_rpc else (4096,)
    with pytest.raises(TachyonError, match="in steps"):
        bus.opening_step()
    bus.opening_cancel()
    fd = bus.listen_start(socket_path, *capacities)
    assert fd >= 0
    assert bus.opening_step() is False
    for again in (bus.listen_start, bus.listen):
        with pytest.raises(TachyonError, match="opening"):
            again(socket_path, *capacities)
    bus.opening_cancel()
    for give_up in (bus.opening_cancel, bus.destroy, bus.abort):
        bus.listen_start(socket_path, *capacities)
        give_up()
        assert os.listdir(Path(socket_path).parent) == []
        give_up()
    bus.listen_start(socket_path, *capacities)  # once more, and forgotten
    del bus, again, give_up
    gc.collect()
    assert os.listdir(Path(socket_path).parent) == []


def test_a_forked_child_gives_up_without_harm(kind: Kind, socket_path: str) -> None:
    bus = RpcBus()._rpc if kind.is_rpc else Bus()._bus
    bus.listen_start(socket_path, *((4096, 4096) if kind.is_rpc else (4096,)))
    pid = os.fork()
    if pid == 0:
        try:
            bus.opening_step()
        except TachyonError:
            del bus
            os._exit(0 if os.path.exists(socket_path) else 2)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert bus.opening_step() is False
    bus.opening_cancel()
    assert os.listdir(Path(socket_path).parent) == []
