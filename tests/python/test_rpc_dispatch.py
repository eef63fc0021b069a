# SPDX-License-Identifier: Apache-2.0
"""Endpoints and dispatchers: every call gets a reply, and every failure is told."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from tachyon import (
    MSG_TYPE_ERROR,
    ClosedError,
    PeerDeadError,
    RpcBus,
    RpcDispatcher,
    RpcEndpoint,
    RpcError,
    TachyonError,
    tachyon_rpc,
)

from conftest import RpcPair, StartPeer

kept: list[Any] = []


@tachyon_rpc(msg_type=1)
def double(request: memoryview) -> bytes:
    """Say it twice."""
    return bytes(request) * 2


@tachyon_rpc(2)
def fail(request: memoryview) -> bytes:
    part = request[1:]  # the traceback keeps it
    raise ZeroDivisionError(f"{len(part)} bytes")


@tachyon_rpc(3)
def no_bytes(request: memoryview) -> bytes:
    return 42  # type: ignore[return-value]


@tachyon_rpc(4)
def too_large(request: memoryview) -> bytes:
    return bytes(1 << 20)


@tachyon_rpc(5)
def echo(request: memoryview) -> bytes:
    return request[1:]  # type: ignore[return-value]


@tachyon_rpc(6)
def keep(request: memoryview) -> bytes:
    kept.append(request[:])
    return b"answered"


@tachyon_rpc(7)
def fail_with_a_cause(request: memoryview) -> bytes:
    def inner(part: memoryview) -> bytes:
        raise KeyError(bytes(part))

    try:
        return inner(request[:2])
    except KeyError as error:
        raise TachyonError("from the handler") from error


@tachyon_rpc(8)
def strided(request: memoryview) -> bytes:
    return np.frombuffer(request, dtype=np.uint8)[::2]  # type: ignore[return-value]


@tachyon_rpc(9)
def interrupt(request: memoryview) -> bytes:
    raise KeyboardInterrupt


@tachyon_rpc(10)
def nothing(request: memoryview) -> bytes:
    return b""


ALL = (double, fail, no_bytes, too_large, echo, keep, fail_with_a_cause)
MORE = (strided, interrupt, nothing)


@pytest.fixture
def dispatcher() -> RpcDispatcher:
    """Return a dispatcher of all endpoints above."""
    made = RpcDispatcher()
    for endpoint in (*ALL, *MORE):
        assert made.register(endpoint) is made
    return made


class Server(threading.Thread):
    """A thread that serves until the caller closes, and keeps what that raised."""

    def __init__(self, dispatcher: RpcDispatcher, bus: RpcBus, **options: Any) -> None:
        super().__init__()
        self.error: BaseException | None = None
        self._serve = lambda: dispatcher.serve_forever(bus, **options)
        self.start()

    def run(self) -> None:
        """Serve."""
        try:
            self._serve()
        except BaseException as error:
            self.error = error

    def end(self) -> None:
        """Wait for the end, which must come without an exception."""
        self.join(5)
        assert not self.is_alive()
        assert self.error is None


@pytest.fixture
def served(rpc: RpcPair, dispatcher: RpcDispatcher) -> Iterator[RpcBus]:
    """Return a caller whose callee serves in a thread."""
    server = Server(dispatcher, rpc.callee)
    yield rpc.caller
    rpc.caller._rpc.destroy()
    server.end()


def test_endpoint_is_the_function_with_a_type() -> None:
    assert isinstance(double, RpcEndpoint)
    assert double.msg_type == 1
    assert double(b"ab") == double(memoryview(b"ab")) == b"abab"
    assert double.__name__ == "double"
    assert double.__doc__ == "Say it twice."
    assert repr(double) == "RpcEndpoint(double, msg_type=1)"


@pytest.mark.parametrize("msg_type", [-1, MSG_TYPE_ERROR, 1 << 16])
def test_msg_type_out_of_range(msg_type: int) -> None:
    for use in (tachyon_rpc, RpcDispatcher().handler, lambda t: RpcEndpoint(len, t)):
        with pytest.raises(ValueError, match=f"from 0 to 65534, not {msg_type}"):
            use(msg_type)


def test_type_is_registered_once() -> None:
    dispatcher = RpcDispatcher().register(double).register(double)

    with pytest.raises(ValueError, match=r"taken by .*double"):
        dispatcher.handler(1)(lambda request: b"")

    @dispatcher.handler(msg_type=30)
    def other(request: memoryview) -> bytes:
        return b""

    assert (type(other), other.msg_type) == (RpcEndpoint, 30)


def test_call_returns_the_reply(served: RpcBus) -> None:
    for i in range(100):
        assert double.call(served, b"%d" % i) == b"%d" % i * 2
    assert double.call(served, b"") == b""
    assert nothing.call(served, b"something", timeout=1) == b""
    assert echo.call(served, b"abc", timeout=1) == b"bc"


def test_on_response_reads_the_reply_in_place(served: RpcBus) -> None:
    def use(view: memoryview) -> int:
        assert view.readonly
        kept.append(view)
        return int.from_bytes(view, "big")

    assert double.call(served, b"\x01", use, 100) == 0x0101
    with pytest.raises(ValueError, match="released"):
        len(kept.pop())
    with pytest.raises(BufferError, match="still points"):
        double.call(served, b"x", lambda view: kept.append(view[:]))
    kept.clear()

    def use_and_fail(view: memoryview) -> None:
        part = view[1:]
        raise ZeroDivisionError(len(part))

    with pytest.raises(ZeroDivisionError):
        double.call(served, b"x", use_and_fail)
    assert double.call(served, b"y") == b"yy"


@pytest.mark.parametrize(
    "endpoint", [fail, no_bytes, too_large, fail_with_a_cause, strided]
)
def test_failing_handler_is_an_rpc_error_for_its_caller(
    served: RpcBus, endpoint: RpcEndpoint, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        with pytest.raises(RpcError, match=endpoint.__name__) as caught:
            endpoint.call(served, b"abc", timeout=5)
        assert isinstance(caught.value, TachyonError)
        assert caught.value.msg_type == endpoint.msg_type
        assert double.call(served, b"x", timeout=5) == b"xx", "serving did not go on"
    assert endpoint.__name__ in caplog.text


@pytest.mark.parametrize(
    ("endpoint", "cause"),
    [
        (fail, ZeroDivisionError),
        (no_bytes, TypeError),
        (too_large, ValueError),
        (fail_with_a_cause, TachyonError),
        (strided, ValueError),
    ],
)
def test_failing_handler_is_a_runtime_error_for_its_server(
    rpc: RpcPair,
    dispatcher: RpcDispatcher,
    endpoint: RpcEndpoint,
    cause: type[Exception],
) -> None:
    call = rpc.caller.call(b"abc", endpoint.msg_type)
    with pytest.raises(RuntimeError, match=rf"{endpoint.__name__}.*call 1") as caught:
        dispatcher.serve_once(rpc.callee)
    assert isinstance(caught.value.__cause__, cause)
    with rpc.caller.wait(call, timeout=1) as reply:
        assert reply.type_id == MSG_TYPE_ERROR
        assert bytes(reply) == endpoint.msg_type.to_bytes(2, "big")


@pytest.mark.parametrize("msg_type", [99, 0x1234, 0xFFFF, 0x70002])
def test_unknown_type_is_answered_and_a_key_error(
    rpc: RpcPair, dispatcher: RpcDispatcher, msg_type: int
) -> None:
    call = rpc.caller.call(b"abc", msg_type)
    with pytest.raises(KeyError, match=f"type {msg_type} "):
        dispatcher.serve_once(rpc.callee)
    with rpc.caller.wait(call, timeout=1) as reply:
        assert reply.type_id == MSG_TYPE_ERROR == 0xFFFF
        assert bytes(reply) == (msg_type & 0xFFFF).to_bytes(2, "big")


def test_unknown_type_is_an_rpc_error_for_its_caller(served: RpcBus) -> None:
    with pytest.raises(RpcError, match=r"msg_type=4660.*'\\x124'"):
        tachyon_rpc(0x1234)(len).call(served, b"", timeout=5)


def test_interrupted_handler_answers_and_ends_the_server(
    rpc: RpcPair, dispatcher: RpcDispatcher
) -> None:
    call = rpc.caller.call(b"", interrupt.msg_type)
    with pytest.raises(KeyboardInterrupt):
        dispatcher.serve_forever(rpc.callee)
    with rpc.caller.wait(call, timeout=1) as reply:
        assert reply.type_id == MSG_TYPE_ERROR


def test_handler_that_keeps_a_view_has_answered(
    rpc: RpcPair, dispatcher: RpcDispatcher
) -> None:
    call = rpc.caller.call(b"abc", keep.msg_type)
    with pytest.raises(BufferError, match="still points"):
        dispatcher.serve_once(rpc.callee)
    assert bytes(kept.pop()) == b"abc"
    with rpc.caller.wait(call) as reply:
        assert bytes(reply) == b"answered"


def test_call_that_times_out_is_cancelled(
    rpc: RpcPair, dispatcher: RpcDispatcher
) -> None:
    start = time.monotonic()
    with pytest.raises(TimeoutError):
        double.call(rpc.caller, b"late", timeout=0.05)
    assert 0.05 <= time.monotonic() - start < 0.5
    server = Server(dispatcher, rpc.callee)
    assert double.call(rpc.caller, b"x", timeout=5) == b"xx"
    stats = rpc.caller.stats()
    assert (stats.calls, stats.replies, stats.dropped) == (2, 1, 1)
    assert stats.outstanding == 0
    rpc.caller._rpc.destroy()
    server.end()


def test_serve_once_times_out(rpc: RpcPair, dispatcher: RpcDispatcher) -> None:
    with pytest.raises(TimeoutError):
        dispatcher.serve_once(rpc.callee, 100, timeout=0.01)


def test_serve_forever_ends_with_the_caller(
    rpc: RpcPair, dispatcher: RpcDispatcher
) -> None:
    server = Server(dispatcher, rpc.callee)
    assert double.call(rpc.caller, b"x") == b"xx"
    rpc.caller._rpc.destroy()
    server.end()


def test_serve_forever_ends_when_its_bus_is_closed(
    rpc: RpcPair, dispatcher: RpcDispatcher
) -> None:
    server = Server(dispatcher, rpc.callee)
    time.sleep(0.05)
    rpc.callee._rpc.destroy()
    server.end()
    with pytest.raises(ClosedError):
        double.call(rpc.caller, b"x", timeout=5)


def flag_of(kind: str) -> tuple[Any, Callable[[], None]]:
    """Return something to stop by, and what sets it."""
    event = threading.Event()
    return (event if kind == "event" else event.is_set), event.set


@pytest.mark.parametrize("kind", ["event", "function"])
def test_serve_forever_stops_when_told(
    rpc: RpcPair, dispatcher: RpcDispatcher, kind: str
) -> None:
    stop, set_it = flag_of(kind)
    server = Server(dispatcher, rpc.callee, stop=stop)
    time.sleep(0.12)  # more than one look
    assert double.call(rpc.caller, b"x", timeout=5) == b"xx"
    set_it()
    start = time.monotonic()
    server.end()
    assert time.monotonic() - start < 0.5
    with pytest.raises(TimeoutError):
        double.call(rpc.caller, b"x", timeout=0.02)
    with pytest.raises(TimeoutError):
        rpc.callee.serve(timeout=0) and rpc.callee.serve(timeout=0)


def test_serve_forever_with_a_set_flag_serves_nothing(
    rpc: RpcPair, dispatcher: RpcDispatcher
) -> None:
    rpc.caller.call(b"", 1)
    dispatcher.serve_forever(rpc.callee, stop=lambda: True)
    with rpc.callee.serve(timeout=0) as request:
        assert request.correlation_id == 1


def test_serve_forever_tells_the_death_of_the_caller(
    start_peer: StartPeer, socket_path: str, dispatcher: RpcDispatcher
) -> None:
    start_peer(
        "bus = RpcBus.rpc_connect(path, timeout=10)\n"
        "assert tachyon_rpc(1)(len).call(bus, b'x') == b'xx'\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    with RpcBus.rpc_listen(socket_path, 4096, 4096, timeout=10) as bus:
        with pytest.raises(PeerDeadError):
            dispatcher.serve_forever(bus)
        assert bus.stats().replies == 1
