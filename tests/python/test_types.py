# SPDX-License-Identifier: Apache-2.0
"""Typed messages at connect: ends that have the same are connected, others told why."""

import asyncio
import threading
from collections.abc import Callable
from enum import IntEnum
from typing import Any

import pytest

import tachyon
from tachyon import Bus, EventKind, Role, RpcBus

from conftest import Run, open_both


class Side(IntEnum):
    """An enum of C."""

    BID = 1
    ASK = 2


HEAD = "tachyon-types 1 little\n"
SIDE = "enum Side u32\n BID 1\n ASK 2\n"
TICK = HEAD + "message 1 Tick\n price f64 @0\n quantity u32 @8\n = 16 align 8\n"
WIDE = TICK.replace("u32", "u64")
ORDER = HEAD + SIDE + "message 2 Order\n side Side @0\n = 4 align 4\n"
BOTH = TICK + ORDER.removeprefix(HEAD)

HERE = "Tick.quantity: u32 at 8 here, u64 at 8 at the peer"
THERE = "Tick.quantity: u64 at 8 here, u32 at 8 at the peer"


def listen_bus(path: str, **options: Any) -> Any:
    return Bus.listen(path, 4096, **options)


def listen_rpc(path: str, **options: Any) -> Any:
    return RpcBus.rpc_listen(path, 4096, 4096, **options)


def listen_async(run: Run) -> Callable[..., Any]:
    return lambda path, **options: run(Bus.listen_async(path, 4096, **options))


def connect_async(run: Run) -> Callable[..., Any]:
    return lambda path, **options: run(Bus.connect_async(path, **options))


def listen_rpc_async(run: Run) -> Callable[..., Any]:
    return lambda path, **options: run(
        RpcBus.rpc_listen_async(path, 4096, 4096, **options)
    )


def connect_rpc_async(run: Run) -> Callable[..., Any]:
    return lambda path, **options: run(RpcBus.rpc_connect_async(path, **options))


@pytest.fixture(params=["bus", "rpc", "async", "rpc async"])
def ways(request: pytest.FixtureRequest) -> tuple[Callable[..., Any], ...]:
    """Return a way to listen and one to connect."""
    return {
        "bus": (listen_bus, Bus.connect),
        "rpc": (listen_rpc, RpcBus.rpc_connect),
        "async": (listen_async(asyncio.run), connect_async(asyncio.run)),
        "rpc async": (listen_rpc_async(asyncio.run), connect_rpc_async(asyncio.run)),
    }[request.param]


Ways = tuple[Callable[..., Any], Callable[..., Any]]


def meet(ways: Ways, path: str, listener: Any, connector: Any) -> None:
    """Open both ends with these options, and close them."""
    listen, connect = ways
    ends = open_both(
        lambda: listen(path, timeout=10, **listener),
        lambda: connect(path, timeout=10, **connector),
    )
    for end in ends:
        end.close()


def refusals(ways: Ways, path: str, listener: Any, connector: Any) -> tuple[str, str]:
    """Return what the listener and the connector are told."""
    listen, connect = ways
    for patience in (0.1, 1, 10):  # of an end that must wait in vain
        heard: list[str] = []

        def refuse(patience: float = patience) -> None:
            try:
                listen(path, timeout=patience, **listener)
            except TimeoutError as error:
                heard.append(str(error))

        thread = threading.Thread(target=refuse)
        thread.start()
        with pytest.raises((ConnectionError, TimeoutError)) as caught:
            connect(path, timeout=patience, **connector)
        thread.join()
        if caught.value.errno is None and caught.type is not TimeoutError:
            break  # else nobody listened yet, or any more
    assert caught.type is not TimeoutError
    return heard[0], str(caught.value)


class Order(tachyon.Message, type_id=2):
    """The message of ORDER, as a class."""

    side: Side


class Moved(tachyon.Message, type_id=2):
    """One that differs in a field."""

    number: tachyon.u32
    side: Side


@pytest.mark.parametrize(
    ("listener", "connector"),
    [
        (TICK, TICK),
        ([TICK], TICK),
        ([ORDER, TICK], BOTH),
        ([TICK, ORDER, TICK], [ORDER, TICK]),
        (TICK, None),
        (None, TICK),
        (ORDER, ORDER.replace("ASK 2\n", "ASK 2\n MID 3\n")),
        ([Order, TICK], BOTH),
    ],
)
def test_ends_whose_messages_fit_are_connected(
    socket_path: str, ways: Ways, listener: Any, connector: Any
) -> None:
    meet(ways, socket_path, {"types": listener}, {"types": connector})


def test_both_ends_are_told_the_field_that_differs(
    socket_path: str, ways: Ways
) -> None:
    told = refusals(ways, socket_path, {"types": TICK}, {"types": [WIDE, ORDER]})
    assert HERE in told[0]
    assert THERE in told[1]
    assert socket_path in told[1]


def test_classes_that_differ_are_refused_by_the_field(
    socket_path: str, ways: Ways
) -> None:
    told = refusals(ways, socket_path, {"types": [Order]}, {"types": [Moved]})
    assert "message 2: Order here, Moved at the peer" in told[0]
    assert "message 2: Moved here, Order at the peer" in told[1]
    ours = Moved.types.replace("Moved", "Order")
    told = refusals(ways, socket_path, {"types": [Order]}, {"types": ours})
    assert "Order: side Side at 0 here, number u32 at 0 at the peer" in told[0]
    assert "Order: number u32 at 0 here, side Side at 0 at the peer" in told[1]


def test_a_peer_without_types_is_refused_where_they_are_required(
    socket_path: str, ways: Ways
) -> None:
    strict = {"types": TICK, "types_required": True}
    meet(ways, socket_path, strict, strict)
    meet(ways, socket_path, strict, {"types": TICK})
    assert "does not say what messages" in refusals(ways, socket_path, strict, {})[0]
    assert "does not say what messages" in refusals(ways, socket_path, {}, strict)[1]


def test_a_listener_with_many_peers_compares_with_each(socket_path: str) -> None:
    with Bus.listen(
        socket_path, 4096, role=Role.CONSUMER, max_peers=4, types=[TICK, ORDER]
    ) as collector:
        with collector.accept_in_background():
            with pytest.raises(ConnectionError) as caught:
                Bus.connect(socket_path, timeout=2, types=WIDE)
            assert THERE in str(caught.value)
            with Bus.connect(socket_path, timeout=5, types=BOTH) as bus:
                bus.send(b"good")
        assert collector.recv(5).data == b"good"
        assert collector.accept(5).kind is EventKind.JOINED


def test_what_is_no_set_of_types_is_refused(socket_path: str) -> None:
    for types, error, text in (
        (1, TypeError, "types must be"),
        ([1], TypeError, "each of types must be"),
        ([int], TypeError, "each of types must be"),
        (b"tachyon-types 1 little\n", TypeError, "types must be"),
        ([TICK, b""], TypeError, "each of types must be"),
        ("", ValueError, "does not begin with"),
        ([], ValueError, "has no Message classes"),
        (HEAD + "message\n\n", ValueError, "line 3 of options.types is empty"),
        (HEAD + "struct \udcff\n", ValueError, "no printable ASCII"),
        ([TICK, WIDE], ValueError, "two different types are called Tick"),
        (
            [TICK, ORDER.replace("age 2", "age 1")],
            ValueError,
            "two messages have the type_id 1: Tick and Order",
        ),
    ):
        for open_it in (Bus.connect, RpcBus.rpc_connect):
            with pytest.raises(error, match=text):
                open_it(socket_path, types=types)  # type: ignore[operator]
    with pytest.raises(ValueError, match=r"types_required is 1, and .*types is NULL"):
        Bus.connect(socket_path, types_required=True)
    with pytest.raises(ValueError, match="schema is 0000000000000001"):
        Bus.connect(socket_path, types=TICK, schema=1)
