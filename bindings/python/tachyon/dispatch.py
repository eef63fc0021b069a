# SPDX-License-Identifier: Apache-2.0
"""Functions as remote procedures: endpoints and what serves them."""

from __future__ import annotations

import contextlib
import functools
import logging
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol, SupportsIndex, TypeVar, overload

from ._native import (
    ClosedError,
    PeerDeadError,
    RpcError,
    RpcRxGuard,
    TachyonError,
    integer,
)
from .aio import deadline_after, seconds_left
from .rpc import RpcBus

if TYPE_CHECKING:
    from typing_extensions import Buffer

MSG_TYPE_ERROR = 0xFFFF
"""Type of a reply that says that the call of the type in its body has failed."""

Handler = Callable[[memoryview], bytes]
Result = TypeVar("Result")

STOP_INTERVAL_S = 0.05  # between two looks whether to stop
ENDS = (KeyboardInterrupt, SystemExit)  # a server; all else that a handler raises not

_log = logging.getLogger("tachyon")


class Flag(Protocol):
    """An Event of threading or multiprocessing."""

    def is_set(self) -> bool:
        """Tell whether it is set."""


class RpcEndpoint:
    """A handler and the message type that it is called with.

    The handler takes a read-only view of a copy of the request, which it may keep, and
    returns the reply as bytes; another buffer is good too. Calling the endpoint calls
    the handler in this process; call() calls it at the other end of a bus.
    """

    def __init__(self, fn: Handler, msg_type: SupportsIndex) -> None:
        number = integer("msg_type", msg_type, 0, MSG_TYPE_ERROR - 1)
        if not callable(fn):
            raise TypeError(f"the handler must be callable, not {fn!r}")
        self.__name__ = repr(fn)
        functools.update_wrapper(self, fn, updated=())
        self.msg_type = number
        self._handler = fn

    def __call__(self, payload: Buffer) -> bytes:
        """Call the handler in this process."""
        return self._handler(
            payload if isinstance(payload, memoryview) else memoryview(payload)
        )

    @overload
    def call(
        self,
        bus: RpcBus,
        payload: Buffer,
        on_response: None = None,
        spin_threshold: SupportsIndex = 10000,
        *,
        timeout: float | None = None,
    ) -> bytes: ...
    @overload
    def call(
        self,
        bus: RpcBus,
        payload: Buffer,
        on_response: Callable[[memoryview], Result],
        spin_threshold: SupportsIndex = 10000,
        *,
        timeout: float | None = None,
    ) -> Result: ...
    def call(
        self,
        bus: RpcBus,
        payload: Buffer,
        on_response: Callable[[memoryview], Result] | None = None,
        spin_threshold: SupportsIndex = 10000,
        *,
        timeout: float | None = None,
    ) -> bytes | Result:
        """Call the handler at the other end of a bus and return its reply.

        bus: the caller's end.
        payload: as for RpcBus.call(), spin_threshold too.
        on_response: takes a view of the reply in the ring; what it returns is returned.
            Without it the reply is copied.
        timeout: seconds for the whole call; None waits for ever.

        Raises RpcError when the callee has no such handler or the handler failed, and
        TimeoutError; a call that is not waited for any longer is cancelled.
        """
        deadline = deadline_after(timeout)
        call = bus.call(payload, self.msg_type, None, spin_threshold, timeout=timeout)
        try:
            left = None if deadline is None else max(0, deadline - time.monotonic())
            reply = bus.wait(call, spin_threshold, timeout=left)
        except BaseException as error:
            with contextlib.suppress(TachyonError, ValueError):  # not there any more
                bus.cancel(call)
            if isinstance(error, TimeoutError):
                seconds_left(deadline, error)  # says so of the whole time
            raise
        with reply:
            if reply.type_id == MSG_TYPE_ERROR:
                raise self._error(reply)
            if on_response is None:
                return bytes(reply.buf)
            return _with_view(on_response, reply)

    def _error(self, reply: RpcRxGuard) -> RpcError:
        error = RpcError(
            f"call {reply.correlation_id} of {self!r} failed: the callee has no "
            f"handler for the type, or it raised (replied {bytes(reply.buf)!r})"
        )
        error.msg_type = self.msg_type
        return error

    def __repr__(self) -> str:
        return f"RpcEndpoint({self.__name__}, msg_type={self.msg_type})"


def tachyon_rpc(msg_type: SupportsIndex) -> Callable[[Handler], RpcEndpoint]:
    """Make a function the handler of a message type; a decorator.

    msg_type: 0 to 65534, else ValueError.

    The function takes a memoryview of the request and returns the reply as bytes or
    another buffer. It becomes an RpcEndpoint.
    """
    number = integer("msg_type", msg_type, 0, MSG_TYPE_ERROR - 1)
    return lambda fn: RpcEndpoint(fn, number)


class RpcDispatcher:
    """Serves requests with the endpoints registered for their message types.

    A request that cannot be answered, since there is no handler or the handler failed,
    gets a reply of type MSG_TYPE_ERROR with the request's type, 2 bytes big-endian.

    Handlers get a copy of the request, so that nothing they keep, nor an exception's
    traceback, holds the ring; RpcBus.serve() reads requests in place.
    """

    __slots__ = ("_endpoints",)

    def __init__(self) -> None:
        self._endpoints: dict[int, RpcEndpoint] = {}

    def register(self, endpoint: RpcEndpoint) -> RpcDispatcher:
        """Add an endpoint and return the dispatcher.

        endpoint: what tachyon_rpc() has made; ValueError when its type has another.
        """
        if not isinstance(endpoint, RpcEndpoint):
            raise TypeError(
                "endpoint must be an RpcEndpoint, as tachyon_rpc() makes, not "
                f"{endpoint!r}"
            )
        other = self._endpoints.setdefault(endpoint.msg_type, endpoint)
        if other is not endpoint:
            raise ValueError(f"{endpoint!r}: the type is taken by {other!r}")
        return self

    def handler(self, msg_type: SupportsIndex) -> Callable[[Handler], RpcEndpoint]:
        """Make a function the handler of a message type and register it.

        msg_type: 0 to 65534 and not taken, else ValueError.
        """
        make = tachyon_rpc(msg_type)

        def decorate(fn: Handler) -> RpcEndpoint:
            endpoint = make(fn)
            self.register(endpoint)
            return endpoint

        return decorate

    def serve_once(
        self,
        bus: RpcBus,
        spin_threshold: SupportsIndex = 10000,
        *,
        timeout: float | None = None,
    ) -> None:
        """Wait for one request and answer it.

        bus: the callee's end. spin_threshold, timeout: as for RpcBus.serve().

        Raises, when the caller has its error reply, KeyError for a type without a
        handler and RuntimeError from what the handler raised, also when it returned
        something that cannot be sent; what is no Exception, as KeyboardInterrupt, it
        raises as it is. TimeoutError, ClosedError, PeerDeadError as RpcBus.serve().
        """
        failure = _serve(self._endpoints, bus, spin_threshold, timeout)
        if failure is not None:
            raise failure

    def serve_forever(
        self,
        bus: RpcBus,
        spin_threshold: SupportsIndex = 10000,
        *,
        stop: Callable[[], object] | Flag | None = None,
    ) -> None:
        """Answer requests until the caller closes, or until `stop`.

        bus, spin_threshold: as for serve_once().
        stop: a function that returns something true, or an event that is set; looked at
            before each request, every 50 ms while there is none, and while there is no
            room for a reply, which then is not sent.

        A request that failed is logged by the logger "tachyon", whatever its handler
        raised; KeyboardInterrupt and SystemExit alone, or in a group, end this. Raises
        PeerDeadError when the caller died.
        """
        if not (stop is None or callable(stop) or hasattr(stop, "is_set")):
            raise TypeError(f"stop must be a function or an event, not {stop!r}")
        stopped: Callable[[], object] | None = (
            stop if stop is None or callable(stop) else stop.is_set
        )
        timeout = None if stopped is None else STOP_INTERVAL_S
        while stopped is None or not stopped():
            try:
                failure = _serve(self._endpoints, bus, spin_threshold, timeout, stopped)
            except TimeoutError:
                if timeout is None:  # a signal handler's
                    raise
                continue
            except ClosedError:
                return
            if failure is not None:
                if _is_end(failure):
                    raise failure
                _report(failure)


def _serve(
    endpoints: dict[int, RpcEndpoint],
    bus: RpcBus,
    spin_threshold: SupportsIndex,
    timeout: float | None,
    stopped: Callable[[], object] | None = None,
) -> BaseException | None:
    """Answer one request; return why it has an error reply instead, or none.

    What this raises comes from the bus. The handler gets a copy: whatever keeps a
    view of it, an exception's traceback or the handler itself, keeps no slot.
    """
    with bus.serve(spin_threshold, timeout=timeout) as request:
        call, type_id = request.correlation_id, request.type_id
        try:
            payload = bytes(request)
        except MemoryError as error:
            return _refuse(bus, call, type_id, error, stopped=stopped)
    endpoint = endpoints.get(type_id)
    try:
        if endpoint is None:
            raise KeyError(f"no handler for message type {type_id} (call {call})")
        response = endpoint(memoryview(payload))
    except BaseException as error:
        return _refuse(bus, call, type_id, error, endpoint, stopped=stopped)
    try:
        _reply(bus, call, response, type_id, stopped=stopped)
    except (ClosedError, PeerDeadError):
        raise
    except Exception as error:  # it cannot be sent
        return _refuse(bus, call, type_id, error, endpoint, stopped=stopped)
    return None


def _reply(
    bus: RpcBus,
    call: int,
    body: bytes,
    type_id: int,
    *,
    stopped: Callable[[], object] | None,
    timeout: float | None = None,
) -> None:
    """Send a reply; while it may wait for ever, it asks whether to stop as well."""
    while timeout is None and stopped is not None:
        try:
            return bus.reply(call, body, type_id, timeout=STOP_INTERVAL_S)
        except TimeoutError:
            if stopped():
                raise
    return bus.reply(call, body, type_id, timeout=timeout)


def _refuse(
    bus: RpcBus,
    call: int,
    type_id: int,
    error: BaseException,
    endpoint: RpcEndpoint | None = None,
    *,
    stopped: Callable[[], object] | None,
) -> BaseException:
    """Send the error reply to a call; return what serving it has failed with."""
    body = (type_id & 0xFFFF).to_bytes(2, "big")
    patience = 0 if _is_end(error) else None
    try:
        _reply(bus, call, body, MSG_TYPE_ERROR, stopped=stopped, timeout=patience)
    except (ClosedError, PeerDeadError):
        if patience is None:
            raise
    except Exception:  # the handler has answered it already, or holds the slot
        pass
    if endpoint is None or not isinstance(error, Exception):
        return error
    # Not its own text: an exception's __str__ may fail, and its class's __name__.
    name = vars(type)["__name__"].__get__(type(error))
    failure = RuntimeError(f"{endpoint!r} failed on call {call}: {name}")
    failure.__cause__ = error
    return failure


def _report(failure: BaseException) -> None:
    """Log why a request has an error reply, whatever comes of showing that."""
    try:
        _log.error("%s", failure, exc_info=failure)
    except ENDS:
        raise
    except BaseException:  # its own, as it is shown, or of a handler of the log
        what = failure if isinstance(failure, Exception) else type(failure)
        with contextlib.suppress(Exception):
            _log.error("%s (why cannot be shown)", what)


def _is_end(error: BaseException) -> bool:
    """Tell whether an exception, or one of the group that it is, ends a server."""
    return any(issubclass(type(one), ENDS) for one in _all_of([error], _members))


def _members(error: BaseException) -> tuple[BaseException, ...]:
    if sys.version_info < (3, 11):
        return ()
    if issubclass(type(error), BaseExceptionGroup):  # noqa: F821
        return error.exceptions  # type: ignore[attr-defined, no-any-return]
    return ()


def _origins(error: BaseException) -> tuple[BaseException | None, ...]:
    return (error.__cause__, error.__context__, *_members(error))


def _all_of(
    left: list[BaseException | None],
    more: Callable[[BaseException], tuple[BaseException | None, ...]],
) -> Iterator[BaseException]:
    """Go through exceptions and more of each, once, though they go in a circle."""
    seen: set[int] = set()
    while left:
        error = left.pop()
        if error is not None and id(error) not in seen:
            seen.add(id(error))
            yield error
            left.extend(more(error))


def _with_view(use: Callable[[memoryview], Result], guard: RpcRxGuard) -> Result:
    """Call a function with a view of a message that ends with the guard."""
    try:
        return use(guard.buf)
    except BaseException as error:
        # A traceback keeps the variables of the frames it passed, and so their views.
        _clear_frames(error)
        raise


def _clear_frames(error: BaseException) -> None:
    for one in _all_of([error], _origins):
        traceback.clear_frames(one.__traceback__)
