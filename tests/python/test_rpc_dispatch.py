# SPDX-License-Identifier: Apache-2.0
"""Endpoints and dispatchers: every call gets a reply, and every failure is told."""

import asyncio
import builtins
import concurrent.futures
import gc
import logging
import signal
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

from conftest import ConnectRpc, RpcPair, StartPeer, alarm_when_asleep
from floor import Watch

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


def test_what_is_no_handler_is_refused_by_name(served: RpcBus) -> None:
    wrong: Any = 3
    with pytest.raises(TypeError, match="handler must be callable, not 3"):
        RpcEndpoint(wrong, 1)
    wrong = len
    with pytest.raises(TypeError, match="endpoint must be an RpcEndpoint"):
        RpcDispatcher().register(wrong)
    wrong = 3
    with pytest.raises(TypeError, match="stop must be a function or an event, not 3"):
        RpcDispatcher().serve_forever(served, stop=wrong)


def test_handler_may_keep_what_it_got(served: RpcBus) -> None:
    for data in (b"abc", b"defghi", bytes(60000)):
        assert keep.call(served, data, timeout=5) == b"answered"
    assert [bytes(view) for view in kept] == [b"abc", b"defghi", bytes(60000)]
    kept.clear()


Group: Any = getattr(builtins, "BaseExceptionGroup", None)
needs_groups = pytest.mark.skipif(Group is None, reason="Python has no groups yet")


class UnprintableError(Exception):
    """An exception that cannot even be shown."""

    def __str__(self) -> str:
        raise ZeroDivisionError

    __repr__ = __str__


class EndlessError(Exception):
    """An exception that is shown until the stack is full."""

    @property
    def __notes__(self) -> list[str]:
        return self.__notes__


class GeneratorEndError(Exception):
    """An exception whose text ends what shows it, but is no end of a server."""

    def __str__(self) -> str:
        raise GeneratorExit


class PretenderError(Exception):
    """An exception that looks as if it ended a server, once one looks."""

    @property
    def __class__(self) -> type[KeyboardInterrupt]:  # type: ignore[override]
        return KeyboardInterrupt


class NamelessMeta(type):
    """The type of a class without a name."""

    @property
    def __name__(cls) -> str:  # type: ignore[override]
        raise ZeroDivisionError


class NamelessError(Exception, metaclass=NamelessMeta):
    """An exception whose class cannot be named."""


class StubbornError(BaseException):
    """Not an Exception, but no reason to end a server either."""


def with_part_of_request(request: memoryview) -> bytes:
    raise KeyError(request[:2])


def with_array(request: memoryview) -> bytes:
    array = np.frombuffer(request, np.uint8)
    raise ValueError(array, array[1:])


def missing_attribute(request: memoryview) -> bytes:
    return bytes(np.frombuffer(request, np.uint8).no_such_thing)  # AttributeError.obj


def from_another(request: memoryview) -> bytes:
    try:
        raise KeyError(request[1:])
    except KeyError as error:
        raise TypeError(request) from error


def during_another(request: memoryview) -> bytes:
    part = request[1:]
    try:
        raise KeyError(part)
    except KeyError:
        return bytes(part[100])  # IndexError with the other as its context


def in_a_generator(request: memoryview) -> bytes:
    def parts() -> Iterator[memoryview]:
        try:
            yield request[:1]
        finally:
            kept.append(request[1:])

    generator = parts()
    kept.append((generator, next(generator)))
    return bytes(generator.throw(LookupError(request)))


def recursive(request: memoryview) -> bytes:
    return recursive(request[:])


def raising(error: BaseException) -> Callable[[memoryview], bytes]:
    def handler(request: memoryview) -> bytes:
        with request[:]:
            raise error

    return handler


def bad_result(value: Any) -> Callable[[memoryview], bytes]:
    return lambda request: value


FAILING = {
    "part of the request": with_part_of_request,
    "array": with_array,
    "attribute": missing_attribute,
    "cause": from_another,
    "context": during_another,
    "generator": in_a_generator,
    "recursion": recursive,
    "unprintable": raising(UnprintableError()),
    "generator end": raising(GeneratorEndError()),
    "pretender": raising(PretenderError()),
    "nameless": raising(NamelessError()),
    "stubborn": raising(StubbornError()),
    "asyncio": raising(asyncio.CancelledError()),
    "futures": raising(concurrent.futures.CancelledError()),
    "generator exit": raising(GeneratorExit()),
    "stop iteration": raising(StopIteration()),
    "timeout": raising(TimeoutError()),
    "closed": raising(ClosedError()),
    "dead": raising(PeerDeadError()),
    "memory": raising(MemoryError()),
    "none": bad_result(None),
    "number": bad_result(7),
    "text": bad_result("text"),
    "too long": bad_result(bytes(1 << 20)),
    "not contiguous": bad_result(memoryview(bytes(8))[::2]),
    "group": raising(TachyonError("from the handler")),
}


@pytest.mark.parametrize("kind", FAILING)
def test_a_request_that_fails_ends_no_server(
    served: RpcBus,
    dispatcher: RpcDispatcher,
    kind: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    failing = dispatcher.handler(50)(FAILING[kind])
    with caplog.at_level(logging.ERROR, logger="tachyon"):
        for i in range(3):
            with pytest.raises(RpcError):
                failing.call(served, b"%d bytes of it" % i, timeout=5)
            assert double.call(served, b"x", timeout=5) == b"xx"
    records = [r for r in caplog.records if r.name == "tachyon"]
    assert len(records) == 3
    for record in records:
        assert record.exc_info
        assert record.exc_info[2] or record.exc_info[1].__cause__.__traceback__
    assert served.stats().outstanding == 0
    kept.clear()


def test_unknown_type_ends_no_server(
    served: RpcBus, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(RpcError):
        tachyon_rpc(0x1234)(len).call(served, b"", timeout=5)
    assert double.call(served, b"x", timeout=5) == b"xx"
    assert [r.name for r in caplog.records] == ["tachyon"]
    assert "no handler for message type 4660 (call 1)" in caplog.text


def test_handler_that_uses_its_bus_itself_ends_no_server(
    rpc: RpcPair, dispatcher: RpcDispatcher
) -> None:
    @dispatcher.handler(51)
    def answers_itself(request: memoryview) -> bytes:
        rpc.callee.reply(1, b"by itself", 51)
        return b"once more"

    @dispatcher.handler(52)
    def keeps_a_slot(request: memoryview) -> bytes:
        kept.append(rpc.callee.reply_zero_copy(2, 8, 52))
        return b"refused"

    @dispatcher.handler(53)
    def gives_it_back(request: memoryview) -> bytes:
        kept.clear()
        return b"free"

    server = Server(dispatcher, rpc.callee)
    assert answers_itself.call(rpc.caller, b"", timeout=5) == b"by itself"
    with pytest.raises(TimeoutError):
        keeps_a_slot.call(rpc.caller, b"", timeout=0.1)
    assert gives_it_back.call(rpc.caller, b"", timeout=5) == b"free"
    rpc.caller._rpc.destroy()
    server.end()


def test_failures_have_a_traceback_to_the_handler(
    rpc: RpcPair, dispatcher: RpcDispatcher, caplog: pytest.LogCaptureFixture
) -> None:
    rpc.caller.call(b"abc", fail.msg_type)
    rpc.caller._rpc.destroy()
    dispatcher.serve_forever(rpc.callee)
    assert "in fail" in caplog.text
    assert "ZeroDivisionError: 2 bytes" in caplog.text


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_ctrl_c_and_exit_in_a_handler_end_the_server(
    rpc: RpcPair, dispatcher: RpcDispatcher, error: type[BaseException]
) -> None:
    raised = error("now")
    dispatcher.handler(54)(raising(raised))
    call = rpc.caller.call(b"abc", 54)
    with pytest.raises(error) as caught:
        dispatcher.serve_forever(rpc.callee)
    assert caught.value is raised
    with rpc.caller.wait(call, timeout=1) as reply:
        assert reply.type_id == MSG_TYPE_ERROR


@needs_groups
def test_ctrl_c_in_a_group_ends_the_server(
    rpc: RpcPair, dispatcher: RpcDispatcher
) -> None:
    raised = Group("tasks", [ValueError(), Group("more", [KeyboardInterrupt()])])
    dispatcher.handler(54)(raising(raised))
    dispatcher.handler(55)(raising(Group("no end", [StubbornError()])))
    calls = [rpc.caller.call(b"abc", type_id) for type_id in (55, 54)]
    with pytest.raises(Group) as caught:
        dispatcher.serve_forever(rpc.callee)
    assert caught.value is raised
    for call in calls:
        with rpc.caller.wait(call, timeout=1) as reply:
            assert reply.type_id == MSG_TYPE_ERROR


def test_failure_that_cannot_be_shown_is_logged_all_the_same(
    served: RpcBus, dispatcher: RpcDispatcher, caplog: pytest.LogCaptureFixture
) -> None:
    failing = dispatcher.handler(56)(raising(EndlessError()))
    with pytest.raises(RpcError):
        failing.call(served, b"", timeout=5)
    assert double.call(served, b"x", timeout=5) == b"xx"
    # Python 3.13 itself shows it without its notes; older ones cannot show it at all.
    assert "failed on call 1: EndlessError" in caplog.text


def test_log_that_fails_ends_no_server(
    served: RpcBus, dispatcher: RpcDispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(record: logging.LogRecord) -> bool:
        raise OSError("the disk of the log is full")

    failing = dispatcher.handler(56)(raising(ValueError()))
    monkeypatch.setattr(logging.getLogger("tachyon"), "filters", [refuse])
    for _ in range(2):
        with pytest.raises(RpcError):
            failing.call(served, b"", timeout=5)
    assert double.call(served, b"x", timeout=5) == b"xx"


def in_a_circle(view: memoryview) -> None:
    part = view[1:]
    error = ValueError(len(part))
    raise error from error


def after_one_without_a_truth(view: memoryview) -> None:
    class UndecidedError(Exception):
        def __bool__(self) -> bool:
            raise OSError

    try:
        in_a_circle(view)
    except ValueError as error:
        raise ValueError from UndecidedError(error)


def with_cause_and_context(view: memoryview) -> None:
    try:
        in_a_circle(view)
    except ValueError:
        raise ValueError from KeyError()


def with_a_view(view: memoryview) -> None:
    raise KeyError(view[1:])


def in_a_group(view: memoryview) -> None:
    try:
        in_a_circle(view)
    except ValueError as error:
        raise Group("tasks", [error]) from None


@pytest.mark.parametrize(
    "use",
    [
        in_a_circle,
        after_one_without_a_truth,
        with_cause_and_context,
        pytest.param(in_a_group, marks=needs_groups),
    ],
)
def test_exception_of_on_response_holds_no_reply(
    served: RpcBus, use: Callable[[memoryview], None]
) -> None:
    with pytest.raises((ValueError, Group or ValueError)) as caught:
        double.call(served, b"abc", use, timeout=5)
    assert double.call(served, b"x", timeout=5) == b"xx"
    del caught  # that has kept it


def test_view_in_an_exception_of_on_response_goes_with_it(served: RpcBus) -> None:
    gc.disable()
    try:
        with pytest.raises(KeyError) as caught:
            double.call(served, b"abc", with_a_view, timeout=5)
        with pytest.raises(BufferError):
            double.call(served, b"x", timeout=5)
        del caught
        assert double.call(served, b"x", timeout=5) == b"xx"
    finally:
        gc.enable()


def test_ctrl_c_is_not_held_up_by_a_full_ring(
    connect_rpc: ConnectRpc, dispatcher: RpcDispatcher
) -> None:
    rpc = connect_rpc(1 << 16, 4096)
    dispatcher.handler(54)(raising(KeyboardInterrupt()))
    call = rpc.caller.call(b"", 1)
    rpc.caller.call(b"", 54)
    with rpc.callee.serve(timeout=0):
        rpc.callee.reply(call, bytes(rpc.callee.max_payload), 1, timeout=0)
    watch = Watch()
    with pytest.raises(KeyboardInterrupt):
        dispatcher.serve_forever(rpc.callee)
    watch.check(0, 1)


def test_signal_handler_that_raises_ends_the_server(
    rpc: RpcPair, dispatcher: RpcDispatcher
) -> None:
    def handler(*_: object) -> None:
        raise TimeoutError("from the signal")

    before = signal.signal(signal.SIGALRM, handler)
    try:
        with pytest.raises(TimeoutError, match="from the signal"):
            alarm_when_asleep()
            dispatcher.serve_forever(rpc.callee)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_call_that_times_out_is_cancelled(
    rpc: RpcPair, dispatcher: RpcDispatcher
) -> None:
    watch = Watch()
    with pytest.raises(TimeoutError):
        double.call(rpc.caller, b"late", timeout=0.05)
    watch.check(0.05, 0.5)
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
    watch = Watch()
    server.end()
    watch.check(0, 0.5)
    with pytest.raises(TimeoutError):
        double.call(rpc.caller, b"x", timeout=0.02)
    with pytest.raises(TimeoutError):
        rpc.callee.serve(timeout=0) and rpc.callee.serve(timeout=0)


@pytest.mark.parametrize("handler", [lambda request: bytes(2000), raising(KeyError())])
def test_serve_forever_stops_though_nobody_takes_its_replies(
    connect_rpc: ConnectRpc,
    dispatcher: RpcDispatcher,
    handler: Callable[[memoryview], bytes],
) -> None:
    caller, callee = connect_rpc(1 << 16, 4096)
    dispatcher.handler(57)(handler)
    calls = [caller.call(b"", 57) for _ in range(200)]
    stop = threading.Event()
    server = Server(dispatcher, callee, stop=stop)
    served = 0
    while callee.stats().replies > served or not served:
        served = callee.stats().replies
        time.sleep(0.2)
    assert served < len(calls)
    stop.set()
    server.end()
    with caller.wait(calls[0], timeout=1):
        pass


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
        "bus = RpcBus.rpc_connect(path, timeout=60)\n"
        "assert tachyon_rpc(1)(len).call(bus, b'x') == b'xx'\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    with RpcBus.rpc_listen(socket_path, 4096, 4096, timeout=60) as bus:
        with pytest.raises(PeerDeadError):
            dispatcher.serve_forever(bus)
        assert bus.stats().replies == 1


@pytest.mark.parametrize("workers", [None, 1])
def test_what_a_caller_asked_before_it_closed_is_served(
    connect_rpc: ConnectRpc, workers: int | None
) -> None:
    caller, callee = connect_rpc(4096, 4096)
    seen = []
    dispatcher = RpcDispatcher(workers=workers)

    @dispatcher.handler(1)
    def large(request: memoryview) -> bytes:  # the second finds no room
        seen.append(bytes(request))
        return bytes(3000)

    for number in range(4):
        caller.call(b"%d" % number, 1)
    caller.close()
    dispatcher.serve_forever(callee)
    assert seen == [b"0", b"1", b"2", b"3"]
