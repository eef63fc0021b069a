# SPDX-License-Identifier: Apache-2.0
"""Functions as remote procedures: endpoints and what serves them."""

from __future__ import annotations

import contextlib
import functools
import logging
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn, Protocol, TypeVar, overload

from ._native import ClosedError, RpcRxGuard, TachyonError
from .rpc import RpcBus
from .type_id import check_range

if TYPE_CHECKING:
    from typing_extensions import Buffer

MSG_TYPE_ERROR = 0xFFFF
"""Type of a reply that says that the call of the type in its body has failed."""

Handler = Callable[[memoryview], bytes]
Result = TypeVar("Result")

STOP_INTERVAL_S = 0.05  # between two looks whether to stop

_log = logging.getLogger(__name__)


class Flag(Protocol):
    """An Event of threading or multiprocessing."""

    def is_set(self) -> bool:
        """Tell whether it is set."""


class RpcError(TachyonError):
    """The callee could not answer: it has no handler, or the handler failed.

    msg_type: type of the call.
    """

    msg_type: int | None = None


class RpcEndpoint:
    """A handler and the message type that it is called with.

    The handler takes a view of the request, which ends with the handler, and returns
    the reply as bytes; another buffer is good too. Calling the endpoint calls the
    handler in this process; call() calls it at the other end of a bus.
    """

    def __init__(self, fn: Handler, msg_type: int) -> None:
        check_range("msg_type", msg_type, MSG_TYPE_ERROR - 1)
        self.__name__ = repr(fn)
        functools.update_wrapper(self, fn, updated=())
        self.msg_type = msg_type
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
        spin_threshold: int = 10000,
        *,
        timeout: float | None = None,
    ) -> bytes: ...
    @overload
    def call(
        self,
        bus: RpcBus,
        payload: Buffer,
        on_response: Callable[[memoryview], Result],
        spin_threshold: int = 10000,
        *,
        timeout: float | None = None,
    ) -> Result: ...
    def call(
        self,
        bus: RpcBus,
        payload: Buffer,
        on_response: Callable[[memoryview], Result] | None = None,
        spin_threshold: int = 10000,
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
        deadline = None if timeout is None else time.monotonic() + timeout
        call = bus.call(payload, self.msg_type, None, spin_threshold, timeout=timeout)
        try:
            left = None if deadline is None else max(0, deadline - time.monotonic())
            reply = bus.wait(call, spin_threshold, timeout=left)
        except BaseException:
            with contextlib.suppress(TachyonError, ValueError):  # not there any more
                bus.cancel(call)
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


def tachyon_rpc(msg_type: int) -> Callable[[Handler], RpcEndpoint]:
    """Make a function the handler of a message type; a decorator.

    msg_type: 0 to 65534, else ValueError.

    The function takes a memoryview of the request, which ends when it returns, and
    returns the reply as bytes or another buffer. It becomes an RpcEndpoint.
    """
    check_range("msg_type", msg_type, MSG_TYPE_ERROR - 1)
    return lambda fn: RpcEndpoint(fn, msg_type)


class RpcDispatcher:
    """Serves requests with the endpoints registered for their message types.

    A request that cannot be answered, since there is no handler or the handler failed,
    gets a reply of type MSG_TYPE_ERROR with the request's type, 2 bytes big-endian.
    """

    __slots__ = ("_endpoints",)

    def __init__(self) -> None:
        self._endpoints: dict[int, RpcEndpoint] = {}

    def register(self, endpoint: RpcEndpoint) -> RpcDispatcher:
        """Add an endpoint and return the dispatcher.

        endpoint: what tachyon_rpc() has made; ValueError when its type has another.
        """
        other = self._endpoints.setdefault(endpoint.msg_type, endpoint)
        if other is not endpoint:
            raise ValueError(f"{endpoint!r}: the type is taken by {other!r}")
        return self

    def handler(self, msg_type: int) -> Callable[[Handler], RpcEndpoint]:
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
        spin_threshold: int = 10000,
        *,
        timeout: float | None = None,
    ) -> None:
        """Wait for one request and answer it.

        bus: the callee's end. spin_threshold, timeout: as for RpcBus.serve().

        Raises, when the caller has its error reply, KeyError for a type without a
        handler and RuntimeError from what the handler raised, also when it returned
        something that cannot be sent. BufferError when the handler kept a view of the
        request; TimeoutError, ClosedError, PeerDeadError as RpcBus.serve().
        """
        with bus.serve(spin_threshold, timeout=timeout) as request:
            endpoint = self._endpoints.get(request.type_id)
            if endpoint is None:
                _reply_error(bus, request)
                raise KeyError(
                    f"no handler for message type {request.type_id} "
                    f"(call {request.correlation_id})"
                )
            _answer(endpoint, bus, request)

    def serve_forever(
        self,
        bus: RpcBus,
        spin_threshold: int = 10000,
        *,
        stop: Callable[[], object] | Flag | None = None,
    ) -> None:
        """Answer requests until the caller closes, or until `stop`.

        bus, spin_threshold: as for serve_once().
        stop: a function that returns something true, or an event that is set; looked at
            before each request, every 50 ms while there is none.

        Requests that failed are logged. Raises PeerDeadError when the caller died.
        """
        stopped: Callable[[], object] | None = (
            stop if stop is None or callable(stop) else stop.is_set
        )
        timeout = None if stopped is None else STOP_INTERVAL_S
        while stopped is None or not stopped():
            try:
                self.serve_once(bus, spin_threshold, timeout=timeout)
            except TimeoutError:
                pass
            except ClosedError:
                return
            except (KeyError, RuntimeError) as error:
                _log.error("%s", error, exc_info=error)


def _answer(endpoint: RpcEndpoint, bus: RpcBus, request: RpcRxGuard) -> None:
    try:
        response = _with_view(endpoint, request)
    except BaseException as error:
        _refuse(endpoint, bus, request, error)
    try:
        bus.reply(request.correlation_id, response, request.type_id)
    except (TypeError, ValueError, BufferError) as error:  # it cannot be sent
        del response  # it may be a view of the request
        _refuse(endpoint, bus, request, error)


def _refuse(
    endpoint: RpcEndpoint, bus: RpcBus, request: RpcRxGuard, error: BaseException
) -> NoReturn:
    _reply_error(bus, request)
    if not isinstance(error, Exception):
        raise error
    raise RuntimeError(
        f"{endpoint!r} failed on call {request.correlation_id}: {error!r}"
    ) from error


def _reply_error(bus: RpcBus, request: RpcRxGuard) -> None:
    body = (request.type_id & 0xFFFF).to_bytes(2, "big")
    bus.reply(request.correlation_id, body, MSG_TYPE_ERROR)


def _with_view(use: Callable[[memoryview], Result], guard: RpcRxGuard) -> Result:
    """Call a function with a view of a message that ends with the guard."""
    try:
        return use(guard.buf)
    except BaseException as error:
        # A traceback keeps the variables of the frames it passed, and so their views.
        link: BaseException | None = error
        while link is not None:
            traceback.clear_frames(link.__traceback__)
            link = link.__cause__ or link.__context__
        raise
