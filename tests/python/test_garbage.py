# SPDX-License-Identifier: Apache-2.0
"""Whatever holds its own bus in a circle is freed, and the peer is told."""

import asyncio
import functools
import gc
import struct
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tachyon
from tachyon import (
    Bus,
    Channel,
    ClosedError,
    RpcBus,
    RpcDispatcher,
    TachyonError,
    _native,
)

import every
from conftest import open_both

HAVE_GC = 1 << 14
BASETYPE = 1 << 10
TYPES = {n: t for n, t in vars(_native).items() if isinstance(t, type)}


class Feed(Bus):
    """A bus that a program has derived from, with what it keeps."""

    kept: Any


class Service(RpcBus):
    """The same for calls."""

    kept: Any


class SlottedChannel(Channel):
    """A channel with an attribute of its own."""

    __slots__ = ("kept",)


class DictChannel(Channel):
    """A channel with any attributes."""


class KeptStruct(struct.Struct):
    """A layout that keeps something."""

    kept: Any


@pytest.fixture(autouse=True)
def no_collection() -> Iterator[None]:
    """Collect when the tests say so."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_all_types_take_part_in_garbage_collection() -> None:
    assert len(TYPES) > 15
    for name, cls in TYPES.items():
        assert cls.__flags__ & HAVE_GC, name


def test_types_that_cannot_hold_attributes_are_final() -> None:
    bases = {"BusBase", "RpcBusBase", "ChannelBase", "MessageChannelBase", "Record"}
    for name, cls in TYPES.items():
        if not issubclass(cls, Exception):
            assert bool(cls.__flags__ & BASETYPE) == (name in bases), name


def feed_of(socket_path: str) -> tuple[Feed, Bus]:
    """Return both ends of a bus, the one that shall be freed first."""
    feed, peer = open_both(
        lambda: Bus.listen(socket_path, 1 << 16, timeout=60),
        lambda: Feed.connect(socket_path, timeout=60),
    )
    return feed, peer


def service_of(socket_path: str) -> tuple[Service, RpcBus]:
    """Return both ends of an RPC bus, the callee first."""
    caller, service = open_both(
        lambda: Service.rpc_listen(socket_path, 1 << 16, 1 << 16, timeout=60),
        lambda: RpcBus.rpc_connect(socket_path, timeout=60),
    )
    return service, caller


def received(use: Callable[[Feed], Any]) -> Callable[[Feed, Bus], Any]:
    """Let a feed keep what it makes of two messages."""

    def keep(feed: Feed, peer: Bus) -> Any:
        peer.send(bytes(8))
        peer.send(bytes(8))
        return use(feed)

    return keep


def batch_of(feed: Feed) -> tuple[Any, ...]:
    batch = feed.drain_batch()
    return batch, batch[0], memoryview(batch[1]), iter(batch), batch.array("<i8")


def failure_that_holds_a_view(feed: Feed) -> BaseException:
    try:
        with feed.recv_zero_copy() as message:
            array = np.frombuffer(message, "u1")
            raise KeyError(array)
    except KeyError as error:
        return error


def slotted(feed: Feed, cls: Any) -> Channel:
    channel = cls(feed, "<d")
    channel.kept = channel
    return channel  # type: ignore[no-any-return]


def struct_that_holds(feed: Feed) -> Channel:
    layout = KeptStruct("<d")
    channel = feed.channel(layout)
    layout.kept = channel
    return channel


def handler_of(feed: Feed) -> Any:
    @tachyon.tachyon_rpc(1)
    def handler(request: memoryview) -> bytes:
        return feed.kept  # type: ignore[no-any-return]

    return RpcDispatcher().register(handler), handler


def watch_of(feed: Feed) -> Any:
    async def wait() -> None:
        with pytest.raises(TimeoutError):
            await feed.recv_async(timeout=0.01)

    asyncio.run(wait())
    return feed._watch


CIRCLES: dict[str, Callable[[Feed, Bus], Any]] = {
    "itself": lambda feed, _: feed,
    "low": lambda feed, _: (feed, feed._bus),
    "method": lambda feed, _: (feed.send, feed._bus.flush, feed.stats),
    "partial": lambda feed, _: functools.partial(feed.send, b"", type_id=1),
    "structs": lambda feed, _: (feed, feed.peer, feed._bus.peer(), feed._bus.stats()),
    "iterator": lambda feed, _: (iter(feed), feed.__aiter__()),
    "channel": lambda feed, _: feed.channel("<d"),
    "dtype channel": lambda feed, _: feed.channel(np.dtype([("x", "<f8")])),
    "slotted channel": lambda feed, _: slotted(feed, SlottedChannel),
    "dict channel": lambda feed, _: slotted(feed, DictChannel),
    "channel method": lambda feed, _: feed.channel("<d").send_batch,
    "struct": lambda feed, _: struct_that_holds(feed),
    "message channel": lambda feed, _: feed.channel(every.Tick),
    "slot": lambda feed, _: (feed, feed.channel(every.Tick).send()),
    "part of a slot": lambda feed, _: (feed, feed.channel(every.Tick).send().spread),
    "array of a slot": lambda feed, _: (feed, feed.channel(every.Tick).send().venue),
    "tx": lambda feed, _: (feed, feed.send_zero_copy(8)),
    "low tx": lambda feed, _: (feed, feed._bus.acquire_tx(8)),
    "tx view": lambda feed, _: (feed, memoryview(feed.send_zero_copy(8))),
    "tx buf": lambda feed, _: (feed, feed.send_zero_copy(8).buf),
    "tx array": lambda feed, _: (feed, np.frombuffer(feed.send_zero_copy(8))),
    "rx": received(lambda feed: (feed, feed.recv_zero_copy())),
    "rx buf": received(lambda feed: (feed, feed.recv_zero_copy().buf[1:])),
    "batch": received(lambda feed: (feed, batch_of(feed))),
    "channel batch": received(lambda feed: feed.channel("<d").drain_batch()),
    "channel array": received(
        lambda feed: (feed, feed.channel("<d").drain_batch().array)
    ),
    "message": received(lambda feed: (feed, feed.recv())),
    "failure with a view": received(failure_that_holds_a_view),
    "handler": lambda feed, _: handler_of(feed),
    "watch": lambda feed, _: (feed, watch_of(feed)),
}


def sees_the_end(peer: Bus) -> bool:
    """Tell whether an end, whichever it is, learns that the other one is closed."""
    try:
        peer.recv(timeout=0.1)
    except ClosedError:
        return True
    except TachyonError:  # it sends
        with pytest.raises(ClosedError):
            for _ in range(1000):
                peer.send(bytes(100), timeout=1)
        return True
    return False


@pytest.mark.parametrize("kind", CIRCLES)
def test_a_bus_in_a_circle_is_freed(socket_path: str, kind: str) -> None:
    feed, peer = feed_of(socket_path)
    reference = weakref.ref(feed)
    feed.kept = CIRCLES[kind](feed, peer)
    del feed
    gc.collect()
    assert reference() is None
    assert sees_the_end(peer)


def served(use: Callable[[Service], Any]) -> Callable[[Service, RpcBus], Any]:
    """Let a service keep what it makes of a request."""

    def keep(service: Service, caller: RpcBus) -> Any:
        caller.call(b"question", 1)
        return use(service)

    return keep


def endpoint_of(service: Service) -> Any:
    @tachyon.tachyon_rpc(1)
    def handler(request: memoryview) -> bytes:
        return service.kept  # type: ignore[no-any-return]

    dispatcher = RpcDispatcher().register(handler)
    with pytest.raises(RuntimeError) as caught:
        dispatcher.serve_once(service)
    return dispatcher, caught.value


def answer_of(service: Service) -> Any:
    with service.serve() as request:
        return service, service.reply_zero_copy(request.correlation_id, 8, 1).buf


RPC_CIRCLES: dict[str, Callable[[Service, RpcBus], Any]] = {
    "itself": lambda service, _: (service, service._rpc, service._rpc.stats()),
    "method": lambda service, _: service.serve,
    "request": served(lambda service: (service, service.serve())),
    "request view": served(lambda service: (service, memoryview(service.serve()))),
    "request buf": served(lambda service: (service, service.serve().buf)),
    "reply buf": served(answer_of),
    "endpoint": served(endpoint_of),
    "watch": lambda service, _: (service, service._watch),
}


@pytest.mark.parametrize("kind", RPC_CIRCLES)
def test_an_rpc_bus_in_a_circle_is_freed(socket_path: str, kind: str) -> None:
    service, caller = service_of(socket_path)
    reference = weakref.ref(service)
    service.kept = RPC_CIRCLES[kind](service, caller)
    del service
    gc.collect()
    assert reference() is None
    with pytest.raises(ClosedError):
        caller.wait(caller.call(b"", 1), timeout=1)


def test_collector_sees_what_each_object_holds(socket_path: str) -> None:
    feed, peer = feed_of(socket_path)
    low = feed._bus
    channel = feed.channel("<d", type_id=1)
    tx, buf_tx = feed.send_zero_copy(8), None
    holders: list[tuple[Any, list[Any]]] = [
        (low, []),
        (feed, [low]),
        (channel, [feed, "<d"]),
        (tx, [low]),
        (low.peer(), []),
        (low.stats(), []),
    ]
    for holder, held in holders:
        referents = gc.get_referents(holder)
        for thing in (type(holder), *held):
            assert any(r is thing or r == thing for r in referents), (holder, thing)
    buf_tx = tx.buf
    assert any(r is buf_tx for r in gc.get_referents(tx))
    peer._bus.destroy()


@pytest.mark.parametrize("release", [False, True])
def test_abandoned_guard_and_its_buf_are_freed(socket_path: str, release: bool) -> None:
    feed, peer = feed_of(socket_path)
    for _ in range(5):
        tx = feed.send_zero_copy(8)
        reference, buf = weakref.ref(tx), tx.buf
        if release:
            buf.release()
        del tx, buf
        gc.collect()
        assert reference() is None
    feed.send(b"next")
    assert peer.recv(timeout=0).data == b"next"


def test_nothing_is_left_of_many_circles(socket_path: str) -> None:
    def circle() -> None:
        feed, peer = feed_of(socket_path)
        feed.kept = (feed.channel("<d"), feed.send_zero_copy(8).buf, peer)

    circle()
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(50):
        circle()
    gc.collect()
    assert len(gc.get_objects()) - before < 50
