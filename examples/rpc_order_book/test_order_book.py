# SPDX-License-Identifier: Apache-2.0
"""Server and client in their own processes, and the server against a model."""

import os
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from client import ASK, BID, Level, OrderBooks, Snapshot
from order_book import (
    ORDER_BOOK_DEPTH,
    ORDER_BOOK_DONE,
    OrderBookAdd,
    OrderBookCancel,
    OrderBookLook,
)

from tachyon import MSG_TYPE_ERROR, PeerDeadError, RpcBus, RpcError

from conftest import Program, Start, wait_until_connected, wait_until_listening

CLIENT = Path(__file__).resolve().parent / "client.py"
SERVER = os.environ["ORDER_BOOK_SERVER"]


@pytest.fixture
def server(start: Start, socket: Path) -> Program:
    """Return a server that serves one client."""
    return start(SERVER, "--socket", socket, "--once")


@pytest.fixture
def rpc(server: Program, socket: Path) -> Iterator[RpcBus]:
    """Return a connection to it."""
    with RpcBus.rpc_connect(socket, timeout=10) as rpc:
        yield rpc


@pytest.fixture
def books(rpc: RpcBus) -> OrderBooks:
    return OrderBooks(rpc)


class Model:
    """One book, as simple as can be."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.sequence = 0
        self.orders: dict[int, tuple[int, float, float]] = {}

    def add(self, order_id: int, side: int, price: float, quantity: float) -> None:
        self.sequence += 1
        self.orders[order_id] = (side, price, quantity)

    def cancel(self, order_id: int) -> None:
        self.sequence += 1
        del self.orders[order_id]

    def crosses(self, side: int, price: float) -> bool:
        others = self.levels(ASK if side == BID else BID)[:1]
        return any(
            o.price <= price if side == BID else o.price >= price for o in others
        )

    def levels(self, wanted: int) -> list[Level]:
        quantities: dict[float, float] = {}
        for side, price, quantity in self.orders.values():
            if side == wanted:
                quantities[price] = quantities.get(price, 0.0) + quantity
        return [
            Level(*level) for level in sorted(quantities.items(), reverse=wanted == BID)
        ]

    def snapshot(self) -> Snapshot:
        bids, asks = (self.levels(side)[:ORDER_BOOK_DEPTH] for side in (BID, ASK))
        return Snapshot(self.symbol, self.sequence, bids, asks)


def test_books_are_those_of_the_model(books: OrderBooks) -> None:
    rng = random.Random(20260101)
    models = {symbol: Model(symbol) for symbol in ("A", "EIGHTLNG")}
    last_id = 0
    for _ in range(3_000):
        model = models[rng.choice(list(models))]
        if model.orders and rng.random() < 0.4:
            order_id = rng.choice(list(model.orders))
            books.cancel(order_id)
            model.cancel(order_id)
        else:
            side = rng.choice((BID, ASK))
            price = 100 + rng.randrange(-10, 11) / 4
            quantity = rng.uniform(0.1, 1e6)
            if model.crosses(side, price):
                with pytest.raises(RpcError, match="would trade at once"):
                    books.add(model.symbol, side, price, quantity)
            else:
                last_id += 1
                assert books.add(model.symbol, side, price, quantity) == last_id
                model.add(last_id, side, price, quantity)
        if model.sequence:
            assert books.snapshot(model.symbol) == model.snapshot()
    assert all(model.sequence > 100 for model in models.values())


@pytest.mark.parametrize(
    ("order", "cause"),
    [
        (("A", BID, 0.0, 1.0), "the price 0 is not a positive number"),
        (("A", BID, -1.5, 1.0), "the price -1.5 is not"),
        (("A", BID, float("nan"), 1.0), "the price NaN is not"),
        (("A", ASK, float("inf"), 1.0), "the price inf is not"),
        (("A", ASK, 1.0, 0.0), "the quantity 0 is not"),
        (("A", 3, 1.0, 1.0), "the side 3 is neither bid nor ask"),
        (("A B", BID, 1.0, 1.0), "is not a symbol"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(
    books: OrderBooks, order: tuple[str, int, float, float], cause: str
) -> None:
    with pytest.raises(RpcError, match=re.escape(cause)):
        books.add(*order)
    assert books.add("A", BID, 1.0, 1.0) == 1  # a refusal takes no id


def test_unknown_orders_and_books_are_refused(books: OrderBooks) -> None:
    with pytest.raises(RpcError, match="there is no order 7"):
        books.cancel(7)
    with pytest.raises(RpcError, match="there is no book of NONE"):
        books.snapshot("NONE")


def test_a_symbol_that_does_not_fit_is_not_cut(books: OrderBooks) -> None:
    with pytest.raises(ValueError, match="symbol"):
        books.snapshot("NINECHARS")
    with pytest.raises(RpcError, match="is not a symbol"):
        books.snapshot("")


@pytest.mark.parametrize(
    ("msg_type", "request_", "cause"),
    [
        (9, b"", "there is no call of type 9"),
        (OrderBookLook.type_id, bytes(7), "the request has 7 bytes instead of 8"),
        (OrderBookAdd.type_id, bytes(31), "the request has 31 bytes instead of 32"),
        (OrderBookCancel.type_id, b"", "the request has 0 bytes instead of 8"),
    ],
)
def test_an_error_reply_names_the_call_and_the_cause(
    rpc: RpcBus, msg_type: int, request_: bytes, cause: str
) -> None:
    with rpc.wait(rpc.call(request_, msg_type)) as reply:
        assert reply.type_id == MSG_TYPE_ERROR
        assert bytes(reply) == msg_type.to_bytes(2, "big") + cause.encode()


def test_a_cancellation_is_answered_with_nothing(
    rpc: RpcBus, books: OrderBooks
) -> None:
    order = books.add("A", BID, 1.0, 1.0)
    call = rpc.call(OrderBookCancel(order), OrderBookCancel.type_id)
    with rpc.wait(call) as reply:
        assert (reply.type_id, reply.actual_size) == (ORDER_BOOK_DONE, 0)


def test_the_demonstration_runs_as_the_readme_has_it(
    start: Start, server: Program, socket: Path
) -> None:
    out = start(CLIENT, "--socket", socket, "--calls", 1_000).output()
    status, _, err = server.finish()
    assert status == 0
    assert err.endswith("the client closed after 2,019 calls\n")
    lines = out.splitlines()
    assert lines[0] == "AAPL after 14 changes"
    assert [line.split() for line in lines[1:11]] == [
        *(["189." + str(50 + i), f"{100 * i}"] for i in range(5, 0, -1)),
        *([f"{100 * i}", "189." + str(50 - i)] for i in range(1, 6)),
    ]
    assert lines[11] == "best bid without the first order: 200 at 189.48"
    assert "would trade at once" in lines[12]
    assert lines[13].endswith("there is no order 1")
    assert re.fullmatch(r"one by one: .* M calls/s, p50 .* µs, p99 .* µs", lines[14])
    assert re.fullmatch(r"64 outstanding: \d+\.\d{3} M calls/s", lines[15])


def test_the_books_outlive_a_client(start: Start, socket: Path) -> None:
    start(SERVER, "--socket", socket)
    for order_id in (1, 2):
        with RpcBus.rpc_connect(socket, timeout=10) as rpc:
            assert OrderBooks(rpc).add("A", BID, 1.0, 1.0) == order_id


def test_the_death_of_the_server_ends_the_client(
    start: Start, server: Program, socket: Path
) -> None:
    wait_until_listening(socket)
    program = start(CLIENT, "--socket", socket, "--calls", 2**40)
    wait_until_connected(socket)
    server.kill()
    status, _, err = program.finish()
    assert status == 1
    assert re.match("client: .*peer.*died", err)


def test_a_call_that_the_server_cannot_answer_any_more_fails(
    server: Program, rpc: RpcBus
) -> None:
    server.kill()
    with pytest.raises(PeerDeadError):
        rpc.wait(rpc.call(b"", OrderBookLook.type_id), timeout=10)


def test_the_death_of_the_client_ends_a_server_that_serves_it_only(
    start: Start, server: Program, socket: Path
) -> None:
    wait_until_listening(socket)
    program = start(CLIENT, "--socket", socket, "--calls", 2**40)
    wait_until_connected(socket)
    program.kill()
    status, _, err = server.finish()
    assert status == 1
    assert re.search("server: .*peer.*died", err)
