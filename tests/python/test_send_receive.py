# SPDX-License-Identifier: Apache-2.0
"""Messages arrive whole, once and in order, by every way of sending and receiving."""

import array
import itertools
import struct
import threading

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from tachyon import Message

from conftest import Connect, Pair


def test_message_is_a_named_tuple(pair: Pair) -> None:
    pair.producer.send(b"hello", 7)
    message = pair.consumer.recv()
    assert message == Message(type_id=7, size=5, data=b"hello")
    type_id, size, data = message
    assert (type_id, size, data) == (7, 5, b"hello")
    assert hash(message) == hash(Message(7, 5, b"hello"))
    assert type(message) is Message


@pytest.mark.parametrize(
    "data",
    [
        b"bytes",
        bytearray(b"bytearray"),
        memoryview(b"memoryview")[2:7],
        array.array("d", [1.0, 2.0]),
        b"",
    ],
)
def test_any_contiguous_buffer_is_sent(pair: Pair, data: bytes) -> None:
    pair.producer.send(data, type_id=0)
    expected = bytes(data)
    assert pair.consumer.recv() == (0, len(expected), expected)


def test_type_id_takes_all_32_bits(pair: Pair) -> None:
    pair.producer.send(b"", type_id=0xFFFFFFFF)
    with pair.producer.send_zero_copy(0, 0x80000000):
        pass
    assert [pair.consumer.recv().type_id for _ in range(2)] == [0xFFFFFFFF, 0x80000000]


def test_zero_copy_sends_what_was_written(pair: Pair) -> None:
    with pair.producer.send_zero_copy(size=64, type_id=3) as tx:
        with memoryview(tx) as view:
            assert (view.nbytes, view.readonly) == (64, False)
            struct.pack_into("<QQ", view, 0, 1, 2)
        tx.actual_size = 16
        assert (tx.actual_size, tx.type_id) == (16, 3)
        tx.type_id = 4
    with pair.consumer.recv_zero_copy() as rx:
        assert (rx.actual_size, rx.type_id) == (16, 4)
        with memoryview(rx) as view:
            assert view.readonly
            assert struct.unpack("<QQ", view) == (1, 2)
        with pytest.raises(TypeError, match="read-write"):
            struct.pack_into("<Q", rx, 0, 3)


@pytest.mark.parametrize("acquire", ["high", "low"])
def test_unset_actual_size_sends_what_was_reserved(pair: Pair, acquire: str) -> None:
    guard = {
        "high": lambda size: pair.producer.send_zero_copy(size),
        "low": lambda size: pair.producer._bus.acquire_tx(size),
    }[acquire]
    with guard(16) as tx:
        assert tx.actual_size == 16
        struct.pack_into("<QQ", tx, 0, 1, 2)
    with guard(16) as tx:
        tx.actual_size = 0
    with guard(0):
        pass
    pair.producer._bus.flush()
    assert pair.consumer.recv(timeout=0) == (0, 16, struct.pack("<QQ", 1, 2))
    assert [pair.consumer.recv(timeout=0).size for _ in range(2)] == [0, 0]


def test_leaving_the_guard_makes_the_message_visible(pair: Pair) -> None:
    with pair.producer.send_zero_copy(8) as tx:
        tx.actual_size = 8
    assert pair.consumer.recv(timeout=0).size == 8


def test_low_level_guard_waits_for_the_flush(pair: Pair) -> None:
    with pair.producer._bus.acquire_tx(8) as tx:
        tx.actual_size = 8
        tx.type_id = 5
    with pytest.raises(TimeoutError):
        pair.consumer.recv(timeout=0)
    pair.producer._bus.flush()
    with pair.consumer._bus.acquire_rx(spin_threshold=100) as rx:
        assert (rx.actual_size, rx.type_id) == (8, 5)


def test_flush_inside_an_open_guard_touches_only_what_was_committed(pair: Pair) -> None:
    data = bytes(range(1, 101))
    for size in (len(data), 0):
        with pair.producer._bus.acquire_tx(0):
            pass
        with pair.producer._bus.acquire_tx(len(data)) as tx:
            memoryview(tx)[:50] = data[:50]
            pair.producer._bus.flush()
            memoryview(tx)[50:] = data[50:]
            tx.actual_size = size
        assert pair.consumer.recv(timeout=0).data == b""
        with pytest.raises(TimeoutError):
            pair.consumer.recv(timeout=0)
        pair.producer._bus.flush()
        assert pair.consumer.recv(timeout=0).data == data[:size]
        with pytest.raises(TimeoutError):
            pair.consumer.recv(timeout=0)


def test_exception_in_the_block_sends_nothing(pair: Pair) -> None:
    with pytest.raises(ZeroDivisionError), pair.producer.send_zero_copy(8) as tx:
        tx.actual_size = 8
        raise ZeroDivisionError
    pair.producer.send(b"next")
    assert pair.consumer.recv(timeout=0).data == b"next"


def test_exception_in_the_block_releases_a_received_message(pair: Pair) -> None:
    pair.producer.send(b"first")
    pair.producer.send(b"second")
    with pytest.raises(ZeroDivisionError), pair.consumer.recv_zero_copy():
        raise ZeroDivisionError
    assert pair.consumer.recv(timeout=0).data == b"second"


def test_batch_is_a_sequence_of_messages(pair: Pair) -> None:
    for i in range(5):
        pair.producer.send(bytes([i]) * i, type_id=10 + i)
    with pair.consumer.drain_batch() as batch:
        assert len(batch) == 5
        assert [(m.type_id, m.actual_size, bytes(m)) for m in batch] == [
            (10 + i, i, bytes([i]) * i) for i in range(5)
        ]
        assert bytes(batch[-1]) == bytes(batch[4])
        for index in (5, -6):
            with pytest.raises(IndexError):
                batch[index]
    with pytest.raises(TimeoutError):
        pair.consumer.recv(timeout=0)


def test_batch_takes_at_most_max_msgs(pair: Pair) -> None:
    for i in range(10):
        pair.producer.send(bytes([i]))
    got = []
    for wanted in (1, 4, 100):
        with pair.consumer.drain_batch(max_msgs=wanted, spin_threshold=0) as batch:
            got.append([m[0] for m in map(bytes, batch)])
    assert got == [[0], [1, 2, 3, 4], [5, 6, 7, 8, 9]]


def test_iteration_and_batches_take_turns(pair: Pair) -> None:
    for i in range(6):
        pair.producer.send(bytes([i]))
    assert next(pair.consumer).data == b"\0"
    with pair.consumer.drain_batch(2) as batch:
        assert [bytes(m) for m in batch] == [b"\1", b"\2"]
    with pair.consumer.recv_zero_copy() as rx:
        assert bytes(rx) == b"\3"
    assert [m.data for m in itertools.islice(pair.consumer, 2)] == [b"\4", b"\5"]


def test_largest_payload_fits_and_one_byte_more_does_not(connect: Connect) -> None:
    pair = connect(capacity=4096)
    largest = pair.producer.max_payload
    pair.producer.send(bytes(largest))
    assert pair.consumer.recv().size == largest
    for send in (
        lambda: pair.producer.send(bytes(largest + 1)),
        lambda: pair.producer.send_zero_copy(largest + 1),
    ):
        with pytest.raises(ValueError, match=str(largest + 1)):
            send()


@settings(
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(
        st.tuples(st.integers(0, 0xFFFFFFFF), st.binary(max_size=3000)), max_size=60
    ),
    st.integers(1, 40),
)
def test_any_history_arrives_in_order(
    pair: Pair, messages: list[tuple[int, bytes]], batch_size: int
) -> None:
    received: list[tuple[int, bytes]] = []

    def receive() -> None:
        while len(received) < len(messages):
            with pair.consumer.drain_batch(batch_size, timeout=60) as batch:
                received.extend((m.type_id, bytes(m)) for m in batch)

    thread = threading.Thread(target=receive)
    thread.start()
    for type_id, data in messages:
        if len(data) % 2:
            pair.producer.send(data, type_id)
        else:
            with pair.producer.send_zero_copy(len(data) + 100, type_id) as tx:
                memoryview(tx)[: len(data)] = data
                tx.actual_size = len(data)
    thread.join()
    assert received == messages
