# SPDX-License-Identifier: Apache-2.0
"""Pairs of connected buses, and peers in other processes."""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tachyon import Bus, RpcBus

# every.py: classes of messages.
sys.path.append(str(Path(__file__).resolve().parents[1] / "schema"))


class Pair(NamedTuple):
    """Two ends of one ring in this process."""

    producer: Bus
    consumer: Bus


class RpcPair(NamedTuple):
    """Two ends of one RPC bus in this process."""

    caller: RpcBus
    callee: RpcBus


Connect = Callable[..., Pair]
ConnectRpc = Callable[..., RpcPair]
Run = Callable[[Coroutine[Any, Any, Any]], Any]
StartPeer = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def socket_path(tmp_path: Path) -> str:
    """Return a path that nothing occupies."""
    return str(tmp_path / "bus.sock")


def open_both(listen: Callable[[], Any], connect: Callable[[], Any]) -> tuple[Any, Any]:
    """Open two ends at once; return the one that connects and the one that listens."""
    ends: list[Any] = []
    thread = threading.Thread(target=lambda: ends.append(listen()))
    thread.start()
    end = connect()
    thread.join()
    return end, ends[0]


@pytest.fixture
def connect(socket_path: str) -> Iterator[Connect]:
    """Return a function that makes a pair; the pairs are closed after the test."""
    pairs: list[Pair] = []

    def make(capacity: int = 1 << 16, path: str = socket_path, **options: Any) -> Pair:
        pair = Pair(
            *open_both(
                lambda: Bus.listen(path, capacity, timeout=10, **options),
                lambda: Bus.connect(path, timeout=60),
            )
        )
        pairs.append(pair)
        return pair

    yield make
    for pair in pairs:
        for bus in pair:
            bus._bus.destroy()


@pytest.fixture
def pair(connect: Connect) -> Pair:
    """Return a pair with a ring of 64 KiB."""
    return connect()


@pytest.fixture
def connect_rpc(socket_path: str) -> Iterator[ConnectRpc]:
    """Return a function that makes an RPC pair; it is closed after the test."""
    ends: list[RpcBus] = []

    def make(cap_fwd: int = 1 << 16, cap_rev: int = 1 << 16) -> RpcPair:
        pair = RpcPair(
            *open_both(
                lambda: RpcBus.rpc_listen(socket_path, cap_fwd, cap_rev, timeout=60),
                lambda: RpcBus.rpc_connect(socket_path, timeout=60),
            )
        )
        ends.extend(pair)
        return pair

    yield make
    for bus in ends:
        bus._rpc.destroy()


@pytest.fixture
def rpc(connect_rpc: ConnectRpc) -> RpcPair:
    """Return an RPC pair with rings of 64 KiB."""
    return connect_rpc()


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Return what runs a coroutine in a new event loop, for at most 30 s."""
    runner: Run = (
        asyncio.run
        if request.param == "asyncio"
        else pytest.importorskip("uvloop", reason="uvloop is not installed").run
    )

    async def limited(main: Coroutine[Any, Any, Any]) -> Any:
        return await asyncio.wait_for(main, 30)

    return lambda main: runner(limited(main))


async def settle(turns: int = 10) -> None:
    """Let the other tasks go on until they wait."""
    for _ in range(turns):
        await asyncio.sleep(0)


async def outcome(awaitable: Awaitable[Any]) -> Any:
    """Return what an await returns or raises."""
    try:
        return await awaitable
    except Exception as error:
        return error


# ---- Conditions, where a time would depend on the machine ----


def sleeps_of(pid: int) -> list[str] | None:
    """Return how often each thread but ours has gone to sleep; None: one is awake."""
    counts = []
    for path in Path(f"/proc/{pid}/task").glob("*/status"):
        if int(path.parent.name) == threading.get_native_id():
            continue
        with contextlib.suppress(OSError):  # it has ended
            text = path.read_text()
            if not re.search("^State:\t[SZ]", text, re.M):  # Z: it has died
                return None
            counts += re.findall(r"^voluntary_ctxt_switches:.*", text, re.M)
    return counts


def await_sleep(pid: int | None = None) -> None:
    """Wait until all other threads wait in a call, or all of another process."""
    before, alike = None, 0
    while alike < 3:
        now = sleeps_of(pid or os.getpid())
        # Of ours not for the interpreter, which each gets while we sleep. Another
        # process does not wait for that, but may wake now and then to try again.
        alike = alike + 1 if now is not None and (pid or now == before) else 0
        before = now
        time.sleep(0.01)


def when_asleep(do: Callable[[], object]) -> threading.Thread:
    """Do it in a thread of its own once all others wait in a call."""

    def run() -> None:
        await_sleep()
        do()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def alarm_when_asleep() -> threading.Thread:
    """Send this thread SIGALRM once it waits in a call."""
    ours = threading.get_ident()
    return when_asleep(lambda: signal.pthread_kill(ours, signal.SIGALRM))


@pytest.fixture
def start_peer(socket_path: str) -> Iterator[StartPeer]:
    """Return a function that runs Python code in another process.

    The code finds the socket's path in `path`. Processes that still run after the test
    are killed.
    """
    peers: list[subprocess.Popen[str]] = []

    def start(code: str) -> "subprocess.Popen[str]":
        prologue = (
            "import os, signal, sys, time\n"
            "from tachyon import *\n"
            f"path = {socket_path!r}\n"
        )
        peer = subprocess.Popen(
            [sys.executable, "-c", prologue + code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        peers.append(peer)
        return peer

    yield start
    for peer in peers:
        peer.kill()
        peer.communicate()
