# SPDX-License-Identifier: Apache-2.0
"""RPC across threads, processes, signals, forks and deaths."""

import random
import signal
import time
from typing import Any

import pytest

from tachyon import ClosedError, PeerDeadError, RpcBus, TachyonError

from conftest import ConnectRpc, RpcPair, StartPeer
from floor import Watch
from test_fork import in_child
from test_threads import Call, Caller, storm

# ---- Death and the end of the stream ----


@pytest.mark.parametrize(
    ("ending", "error"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", PeerDeadError),
        ("bus._rpc.destroy()", ClosedError),
    ],
)
def test_end_of_the_callee_fails_every_outstanding_call(
    start_peer: StartPeer, socket_path: str, ending: str, error: type[TachyonError]
) -> None:
    start_peer(f"""
bus = RpcBus.rpc_listen(path, 4096, 4096, timeout=60)
for _ in range(3):
    with bus.serve() as request:
        pass
bus.reply(2, b"last words", 1)
time.sleep(0.2)
{ending}
""")
    with RpcBus.rpc_connect(socket_path, timeout=60) as bus:
        calls = [bus.call(b"", 1) for _ in range(3)]
        watch = Watch()
        with pytest.raises(error):
            bus.wait(calls[0])
        watch.check(0, 2)
        with bus.wait(calls[1]) as reply:
            assert bytes(reply) == b"last words"
        for use in (lambda: bus.wait(calls[2]), lambda: bus.call(b"", 1)):
            with pytest.raises(error):
                use()


def test_callee_gets_what_was_sent_before_the_end(rpc: RpcPair) -> None:
    for i in range(3):
        rpc.caller.call(bytes([i]), 1)
    rpc.caller._rpc.destroy()
    for i in range(3):
        with rpc.callee.serve(timeout=5) as request:
            assert bytes(request) == bytes([i])
    with pytest.raises(ClosedError):
        rpc.callee.serve(timeout=5)


# ---- Signals ----


def test_handler_that_does_not_raise_does_not_end_the_wait(rpc: RpcPair) -> None:
    def handler(*_: object) -> None:
        with rpc.callee.serve() as request:
            rpc.callee.reply(request.correlation_id, b"by the handler", 1)

    before = signal.signal(signal.SIGALRM, handler)
    try:
        call = rpc.caller.call(b"", 1)
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with rpc.caller.wait(call, timeout=5) as reply:
            assert bytes(reply) == b"by the handler"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# ---- Threads ----


def wait_for_bytes(bus: RpcBus) -> None:
    """Wait for the reply to the first call, which must be b"y"."""
    with bus.wait(1) as reply:
        assert bytes(reply) == b"y"


def test_close_from_another_thread_ends_a_wait(rpc: RpcPair) -> None:
    rpc.caller.call(b"", 1)
    rpc.callee.serve().__exit__(None, None, None)
    callers = [
        Caller(wait_for_bytes, rpc.caller),
        Caller(lambda bus: bus.serve(), rpc.callee),
    ]
    for bus in rpc:
        bus._rpc.destroy()
    assert [type(caller.outcome()) for caller in callers] == [ClosedError] * 2


def test_second_thread_is_refused_while_one_waits(rpc: RpcPair) -> None:
    call = rpc.caller.call(b"", 1)
    waiter = Caller(wait_for_bytes, rpc.caller)
    for use in (
        lambda: rpc.caller.call(b"", 1),
        lambda: rpc.caller.call_zero_copy(8, 1),
        lambda: rpc.caller.wait(2),
        lambda: rpc.caller.cancel(call),
    ):
        with pytest.raises(
            TachyonError, match="another thread is waiting to get a reply"
        ):
            use()
    with rpc.callee.serve() as request:
        rpc.callee.reply(request.correlation_id, b"y", 1)
    assert waiter.outcome() is None


def test_guard_of_one_thread_and_wait_of_another(rpc: RpcPair) -> None:
    """The handle is not touched meanwhile; the slot is given back after the wait."""
    call = rpc.caller.call(b"", 1)
    tx = rpc.caller.call_zero_copy(8, 1)
    waiter = Caller(wait_for_bytes, rpc.caller)
    with pytest.raises(TachyonError, match="another thread"):
        tx.__exit__(None, None, None)
    del tx  # abandoned while the other thread waits
    rpc.callee.serve().__exit__(None, None, None)
    rpc.callee.reply(call, b"y", 1)
    assert waiter.outcome() is None
    assert rpc.caller.call(b"next", 1) == 2
    with rpc.callee.serve(timeout=1) as request:
        assert bytes(request) == b"next"


def test_held_view_of_one_thread_and_wait_of_another(rpc: RpcPair) -> None:
    rpc.caller.call(b"", 1)
    tx = rpc.caller.call_zero_copy(8, 1)
    view = memoryview(tx)
    with pytest.raises(BufferError):
        tx.__exit__(None, None, None)
    waiter = Caller(wait_for_bytes, rpc.caller)
    view.release()
    rpc.callee.serve().__exit__(None, None, None)
    rpc.callee.reply(1, b"y", 1)
    assert waiter.outcome() is None
    assert rpc.caller.call(b"", 1) == 2


@pytest.mark.parametrize("seed", range(4))
def test_any_mix_of_calls_ends_in_a_result_or_an_error(
    connect_rpc: ConnectRpc, seed: int
) -> None:
    """Four threads on each end do what they like while the buses are closed."""
    rpc = connect_rpc(4096, 4096)
    rng = random.Random(seed)

    def ask(bus: RpcBus) -> None:
        call = bus.call(b"%d" % rng.randrange(10), 1, timeout=0.001)
        with bus.wait(call, timeout=0.02) as reply:
            assert bytes(reply) == b"echo"

    def ask_in_place(bus: RpcBus) -> None:
        with bus.call_zero_copy(50, 1, timeout=0.001) as tx, memoryview(tx) as view:
            view[:] = bytes(50)
            time.sleep(0)
            tx.actual_size = 50

    def give_up(bus: RpcBus) -> None:
        bus.cancel(bus.call(b"", 1, timeout=0.001))

    def serve(bus: RpcBus) -> None:
        with bus.serve(timeout=0.001) as request:
            bus.reply(request.correlation_id, b"echo", 1, timeout=0.001)

    def abandon(bus: RpcBus) -> None:
        request = bus.serve(timeout=0.001)
        bus.reply_zero_copy(request.correlation_id, 8, 1, timeout=0.001)

    work: dict[Any, list[Call]] = {
        rpc.caller: [ask, ask, ask_in_place, give_up],
        rpc.callee: [serve, abandon],
    }

    storm(work, rng, rng.uniform(0.2, 0.4))


# ---- Fork ----


def test_use_in_a_child_is_an_error(rpc: RpcPair) -> None:
    call = rpc.caller.call(b"from the parent", 1)

    def child() -> None:
        for use in (
            lambda: rpc.caller.call(b"", 1),
            lambda: rpc.caller.call_zero_copy(8, 1),
            lambda: rpc.caller.wait(call),
            lambda: rpc.callee.serve(),
            lambda: rpc.callee.reply(1, b"", 1),
        ):
            with pytest.raises(TachyonError, match=r"parent|fork"):
                use()
        for bus in rpc:
            bus._rpc.destroy()

    in_child(child)
    with rpc.callee.serve(timeout=1) as request:
        rpc.callee.reply(request.correlation_id, b"y", 1)
    with rpc.caller.wait(call, timeout=1) as reply:
        assert bytes(reply) == b"y"


def test_guard_left_in_a_child_sends_nothing(rpc: RpcPair) -> None:
    tx = rpc.caller.call_zero_copy(8, 1)

    def child() -> None:
        with pytest.raises(TachyonError, match=r"parent|fork"):
            tx.__exit__(None, None, None)

    in_child(child)
    with pytest.raises(TimeoutError):
        rpc.callee.serve(timeout=0.02)
    tx.__exit__(None, None, None)
    assert tx.out_cid == 1
