# SPDX-License-Identifier: Apache-2.0
"""The client's struct formats are order_book.h as SWIG and the C compiler see it."""

import client
import order_book_abi as abi


def test_sizes_are_those_of_the_header() -> None:
    assert client.SNAPSHOT_FORMAT.size == abi.SNAPSHOT_SIZE == 176
    assert client.REQUEST_FORMAT.size == abi.REQUEST_SIZE
    assert client.ADD_FORMAT.size == abi.ADD_SIZE
    assert client.ORDER_FORMAT.size == abi.ORDER_SIZE


def test_constants_are_those_of_the_header() -> None:
    assert (client.SNAPSHOT, client.ADD, client.CANCEL) == (
        abi.ORDER_BOOK_SNAPSHOT,
        abi.ORDER_BOOK_ADD,
        abi.ORDER_BOOK_CANCEL,
    )
    assert (client.BID, client.ASK) == (abi.ORDER_BOOK_BID, abi.ORDER_BOOK_ASK)
    assert client.DEPTH == abi.ORDER_BOOK_DEPTH


def test_every_field_of_a_snapshot_is_where_the_header_has_it() -> None:
    numbers = [0.5 + i for i in range(4 * client.DEPTH)]
    snapshot = abi.OrderBookSnapshot()
    data = client.SNAPSHOT_FORMAT.pack(b"ABCDEFGH", 0xB1B2B3B4B5B6B7B8, *numbers)
    abi.memmove(snapshot, data)
    assert (snapshot.symbol, snapshot.sequence) == (b"ABCDEFGH", 0xB1B2B3B4B5B6B7B8)
    levels = [
        abi.level_at(side, i)
        for side in (snapshot.bids, snapshot.asks)
        for i in range(client.DEPTH)
    ]
    assert [n for level in levels for n in (level.price, level.quantity)] == numbers
    parsed = client.parse_snapshot(data)
    assert [n for side in parsed[2:] for level in side for n in level] == numbers


def test_every_field_of_an_order_is_where_the_header_has_it() -> None:
    values = (b"ABCDEFGH", 0.1, 0.2, 0xA1A2A3A4)
    add = abi.OrderBookAdd()
    abi.memmove(add, b"\xff" * client.ADD_FORMAT.size)
    abi.memmove(add, client.ADD_FORMAT.pack(*values))
    assert (add.symbol, add.price, add.quantity, add.side) == values
    assert add.padding == bytes(4)

    request = abi.OrderBookSnapshotRequest()
    abi.memmove(request, client.REQUEST_FORMAT.pack(b"ABC"))
    assert request.symbol == b"ABC\0\0\0\0\0"
    order = abi.OrderBookOrder()
    abi.memmove(order, client.ORDER_FORMAT.pack(0xB1B2B3B4B5B6B7B8))
    assert order.order_id == 0xB1B2B3B4B5B6B7B8


def test_the_header_has_no_other_field() -> None:
    def fields(struct: type) -> list[str]:
        return [
            name
            for name, value in vars(struct).items()
            if isinstance(value, property) and name != "thisown"
        ]

    assert fields(abi.OrderBookSnapshot) == ["symbol", "sequence", "bids", "asks"]
    assert fields(abi.OrderBookLevel) == ["price", "quantity"]
    assert fields(abi.OrderBookAdd) == [
        "symbol",
        "price",
        "quantity",
        "side",
        "padding",
    ]
    assert fields(abi.OrderBookSnapshotRequest) == ["symbol"]
    assert fields(abi.OrderBookOrder) == ["order_id"]
