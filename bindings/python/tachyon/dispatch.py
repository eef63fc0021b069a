# SPDX-License-Identifier: Apache-2.0
"""Functions as remote procedures: endpoints and what serves them."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import select
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
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
    from concurrent.futures import Executor, Future

    from typing_extensions import Buffer

MSG_TYPE_ERROR = 0xFFFF
"""Type of a reply that says that the call of the type in its body has failed."""

Handler = Callable[[memoryview], bytes]
Result = TypeVar("Result")

MOST_TAKEN = 256  # requests that handlers of a pool are at
STOP_INTERVAL_S = 0.05  # between two looks whether to stop
PATIENCE_S = 5.0  # with one of many callers that takes no replies
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

    pool, workers: a ThreadPoolExecutor, or how many threads to have while it serves,
        for serve_forever() to run handlers in, so that one that waits does not hold up
        the others. At most 256 requests are taken at a time. Without these they run in
        the thread that serves, which alone sends all replies.
    """

    __slots__ = ("_endpoints", "_pool", "_workers")

    def __init__(
        self, *, pool: Executor | None = None, workers: SupportsIndex | None = None
    ) -> None:
        if pool is not None and workers is not None:
            raise ValueError("pool and workers are two ways to say the same: give one")
        if not (pool is None or callable(getattr(pool, "submit", None))):
            raise TypeError(f"pool must be a ThreadPoolExecutor or None, not {pool!r}")
        self._endpoints: dict[int, RpcEndpoint] = {}
        self._pool = pool
        self._workers = (
            None if workers is None else integer("workers", workers, 1, 1024)
        )

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

        bus: the callee's end. spin_threshold, timeout: as for RpcBus.serve(). The
            handler runs in this thread.

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

        With many callers they come and go, and one that has left is no error; it goes
        on until this end is closed. One that leaves no room for its next reply for 5 s
        is dropped, and that is logged.

        bus, spin_threshold: as for serve_once().
        stop: a function that returns something true, or an event that is set; looked at
            before each request, every 50 ms while there is none, and while there is no
            room for a reply, which then is not sent.

        A request that failed is logged by the logger "tachyon", whatever its handler
        raised; KeyboardInterrupt and SystemExit alone, or in a group, end this, and
        what handlers of a pool are at has an error reply. Raises PeerDeadError when the
        caller died.
        """
        if not (stop is None or callable(stop) or hasattr(stop, "is_set")):
            raise TypeError(f"stop must be a function or an event, not {stop!r}")
        stopped: Callable[[], object] | None = (
            stop if stop is None or callable(stop) else stop.is_set
        )
        if self._pool is not None:
            return Pooled(self._endpoints, bus, self._pool, stopped).serve()
        if self._workers is not None:
            pool = ThreadPoolExecutor(self._workers, "tachyon-rpc")
            try:
                return Pooled(self._endpoints, bus, pool, stopped).serve()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
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
    return _answer(
        bus,
        call,
        type_id,
        endpoint,
        lambda: _handle(endpoint, call, type_id, payload),
        stopped=stopped,
    )


def _handle(
    endpoint: RpcEndpoint | None, call: int, type_id: int, payload: bytes
) -> bytes:
    if endpoint is None:
        raise KeyError(f"no handler for message type {type_id} (call {call})")
    return endpoint(memoryview(payload))


def _answer(
    bus: RpcBus,
    call: int,
    type_id: int,
    endpoint: RpcEndpoint | None,
    respond: Callable[[], bytes],
    *,
    stopped: Callable[[], object] | None,
    timeout: float | None = None,
) -> BaseException | None:
    """Send what a handler responds; return why it is an error reply, or none.

    timeout: None or 0, of sending; with 0 TimeoutError: there is no room.
    """
    try:
        response = respond()
    except BaseException as error:
        return _refuse(
            bus, call, type_id, error, endpoint, stopped=stopped, timeout=timeout
        )
    try:
        _reply(bus, call, response, type_id, stopped=stopped, timeout=timeout)
    except (ClosedError, PeerDeadError):
        pass  # nobody to answer; what else was asked before is served all the same
    except Exception as error:  # it cannot be sent
        if isinstance(error, TimeoutError) and timeout == 0:
            raise
        return _refuse(
            bus, call, type_id, error, endpoint, stopped=stopped, timeout=timeout
        )
    return None


def _drop(bus: RpcBus, caller: int) -> None:
    _log.warning(
        "caller %d is dropped: it has not taken its replies for %g s",
        caller,
        PATIENCE_S,
    )
    with contextlib.suppress(ValueError, TachyonError):  # it has left by itself
        bus.drop(caller)


def _reply(
    bus: RpcBus,
    call: int,
    body: bytes,
    type_id: int,
    *,
    stopped: Callable[[], object] | None,
    timeout: float | None = None,
) -> None:
    """Send a reply; while it may wait for ever, it asks whether to stop as well.

    The caller is the one whose request was taken last, where it may wait.
    """
    caller = bus.sender if timeout is None else 0
    looks = 0
    while timeout is None and (stopped is not None or caller):
        try:
            return bus.reply(call, body, type_id, timeout=STOP_INTERVAL_S)
        except TimeoutError:
            looks += 1
            if stopped is not None and stopped():
                raise
            if caller and looks * STOP_INTERVAL_S >= PATIENCE_S:
                return _drop(bus, caller)
    return bus.reply(call, body, type_id, timeout=timeout)


def _refuse(
    bus: RpcBus,
    call: int,
    type_id: int,
    error: BaseException,
    endpoint: RpcEndpoint | None = None,
    *,
    stopped: Callable[[], object] | None,
    timeout: float | None = None,
) -> BaseException:
    """Send the error reply to a call; return what serving it has failed with."""
    body = (type_id & 0xFFFF).to_bytes(2, "big")
    ends = _is_end(error)
    patience = 0 if ends else timeout
    try:
        _reply(bus, call, body, MSG_TYPE_ERROR, stopped=stopped, timeout=patience)
    except (ClosedError, PeerDeadError):
        pass  # as in _answer()
    except Exception as failed:  # the handler has answered it, or holds the slot
        if isinstance(failed, TimeoutError) and timeout == 0 and not ends:
            raise
    if endpoint is None or not isinstance(error, Exception):
        return error
    # Not its own text: an exception's __str__ may fail, and its class's __name__.
    name = vars(type)["__name__"].__get__(type(error))
    failure = RuntimeError(f"{endpoint!r} failed on call {call}: {name}")
    failure.__cause__ = error
    return failure


class Job:
    """A request that a handler of a pool is at, or whose reply finds no room."""

    def __init__(self, call: int, type_id: int, caller: int) -> None:
        self.call = call
        self.type_id = type_id
        self.caller = caller
        self.endpoint: RpcEndpoint | None = None
        self.result: Future[bytes] | None = None

    def is_done(self) -> bool:
        """Tell whether its handler has ended; else it need not begin."""
        return (
            self.result is not None and not self.result.cancel() and self.result.done()
        )

    def respond(self) -> bytes:
        """Return or raise what the handler did; TimeoutError: it has not ended."""
        assert self.result is not None
        return self.result.result(0)


class Pooled:
    """Serves with handlers in other threads: takes requests, and sends all replies."""

    def __init__(
        self,
        endpoints: dict[int, RpcEndpoint],
        bus: RpcBus,
        pool: Executor,
        stopped: Callable[[], object] | None,
    ) -> None:
        self._endpoints = endpoints
        self._bus = bus
        self._pool = pool
        self._stopped = stopped
        self._lock = threading.Lock()
        self._news = -1  # an eventfd: a handler is done
        self._done: deque[Job] = deque()  # by handlers; the rest is this thread's
        self._ready: list[Job] = []  # replies that have found no room yet
        self._full: dict[int, float] = {}  # their callers, and since when
        self._taken: set[Job] = set()

    def serve(self) -> None:
        """Serve until the end of the bus, or until it is told to stop."""
        self._news = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        try:
            fd = self._bus._rpc.watch()
            try:
                self._loop(fd)
            finally:
                self._bus._rpc.unwatch()
        finally:
            with self._lock:
                os.close(self._news)
                self._news = -1
            for job in self._taken:
                done = job.is_done()
                with contextlib.suppress(Exception):  # closed, or no room
                    failure = self._answer(job)
                    if done and failure is not None and not _is_end(failure):
                        _report(failure)

    def _loop(self, fd: int) -> None:
        anything, news = select.poll(), select.poll()
        anything.register(fd, select.POLLIN)
        for poll in (anything, news):
            poll.register(self._news, select.POLLIN)
        end: TachyonError | None = None
        while end is None and (self._stopped is None or not self._stopped()):
            self._send_replies()
            room = len(self._taken) < MOST_TAKEN
            try:
                if room and self._take():
                    continue
            except (ClosedError, PeerDeadError) as error:
                end = error
                continue
            looks = self._stopped is not None or self._ready
            interval = STOP_INTERVAL_S * 1000 if looks else None
            (anything if room else news).poll(interval)
        while self._taken.difference(self._ready):  # what was taken is answered
            news.poll(STOP_INTERVAL_S * 1000)
            if self._bus.fileno() < 0:  # it was closed
                return
            self._send_replies()
        if isinstance(end, PeerDeadError):
            raise end

    def _take(self) -> bool:
        """Hand a request to the pool, if there is one."""
        bus = self._bus
        try:
            with bus.serve(0, timeout=0) as request:
                job = Job(request.correlation_id, request.type_id, bus.sender)
                payload = bytes(request)
        except TimeoutError:
            return False
        job.endpoint = self._endpoints.get(job.type_id)
        self._taken.add(job)
        job.result = self._pool.submit(
            _handle, job.endpoint, job.call, job.type_id, payload
        )
        job.result.add_done_callback(functools.partial(self._tell, job))
        return True

    def _tell(self, job: Job, _: Future[bytes]) -> None:
        """Let the serving thread know; in the handler's."""
        self._done.append(job)
        with self._lock:
            if self._news >= 0:
                os.eventfd_write(self._news, 1)

    def _send_replies(self) -> None:
        """Send what is ready, but for what finds no room."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._news)
        while self._done:
            self._ready.append(self._done.popleft())
        waiting, self._ready = self._ready, []
        full: set[int] = set()  # of one caller's, what is larger is not overtaken
        for job in waiting:
            if job.caller in full or not self._is_answered(job):
                full.add(job.caller)
                self._ready.append(job)
            else:
                self._taken.discard(job)

    def _answer(self, job: Job) -> BaseException | None:
        return _answer(
            self._bus,
            job.call,
            job.type_id,
            job.endpoint,
            job.respond,
            stopped=None,
            timeout=0,
        )

    def _is_answered(self, job: Job) -> bool:
        try:
            failure = self._answer(job)
        except TimeoutError:
            now = time.monotonic()
            since = self._full.setdefault(job.caller, now)
            if job.caller == 0 or now - since <= PATIENCE_S:
                return False
            _drop(self._bus, job.caller)
            failure = None
        self._full.pop(job.caller, None)
        if failure is not None:
            if _is_end(failure):
                raise failure
            _report(failure)
        return True


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
