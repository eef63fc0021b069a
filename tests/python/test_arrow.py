# SPDX-License-Identifier: Apache-2.0
"""Arrow batches: what can be sent, what arrives, and what becomes of bad ones."""

import asyncio
import datetime
import decimal
import gc
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tachyon import (
    Bus,
    LaggedError,
    RingFull,
    Role,
    SlowPeer,
    UnexpectedMessage,
    WithoutPeers,
)
from tachyon.arrow import END, ArrowBatch

from conftest import Connect, Pair, Run, StartPeer, settle
from test_blocking import PEER, WITH_PYARROW, check

pa = pytest.importorskip("pyarrow", "16", "run by CTest, which installs pyarrow")

ROWS = 1000
DAY = datetime.date(2000, 1, 1)

COLUMNS: dict[str, Any] = {
    "integers": pa.array(range(ROWS), pa.int64()),
    "bits": pa.array([i % 3 == 0 for i in range(ROWS)]),
    "nulls": pa.array([None if i % 2 else i / 4 for i in range(ROWS)]),
    "nothing": pa.nulls(ROWS),
    "text": pa.array([f"é{i}" for i in range(ROWS)]),
    "large_text": pa.array([f"{i}" for i in range(ROWS)], pa.large_string()),
    "views": pa.array(
        ["long enough for a buffer" * (i % 2) for i in range(ROWS)], pa.string_view()
    ),
    "decimals": pa.array([decimal.Decimal(i) for i in range(ROWS)]),
    "times": pa.array(range(ROWS), pa.timestamp("ns", "UTC")),
    "days": pa.array([DAY + datetime.timedelta(i) for i in range(ROWS)]),
    "category": pa.array([f"{i % 7}" for i in range(ROWS)]).dictionary_encode(),
    "lists": pa.array([list(range(i % 4)) for i in range(ROWS)]),
    "fixed": pa.array([[i, i] for i in range(ROWS)], pa.list_(pa.int16(), 2)),
    "structs": pa.array([{"a": i, "b": [{"c": str(i)}]} for i in range(ROWS)]),
    "maps": pa.array(
        [[(str(i), i % 100)] for i in range(ROWS)], pa.map_(pa.string(), pa.int8())
    ),
    "runs": pa.RunEndEncodedArray.from_arrays([ROWS // 2, ROWS], ["x", "y"]),
    "union": pa.UnionArray.from_sparse(
        pa.array([i % 2 for i in range(ROWS)], pa.int8()),
        [pa.array(range(ROWS)), pa.array([str(i) for i in range(ROWS)])],
    ),
}
BATCH = pa.record_batch(COLUMNS)
SMALL = pa.record_batch({"a": [1, 2, 3], "b": ["x", None, "z"]})


def stream_of(*batches: Any, options: Any = None) -> bytes:
    """Return an Arrow stream as another program would write it."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, SMALL.schema, options=options) as stream:
        for batch in batches:
            stream.write_batch(batch)
    return bytes(sink.getvalue())


def nothing_is_there(bus: Bus) -> None:
    with pytest.raises(TimeoutError):
        bus.recv(0)


@pytest.fixture
def wide(connect: Connect) -> Pair:
    """Return a pair with room for BATCH."""
    return connect(1 << 20)


# ---- What arrives ----


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_of_every_kind_arrives(wide: Pair, name: str) -> None:
    batch = pa.record_batch({name: COLUMNS[name]})
    for sent in (batch, batch.slice(333, 5), batch.slice(0, 0)):
        wide.producer.send_arrow(sent)
        assert wide.consumer.recv_arrow(1).equals(sent)
        wide.producer.send_arrow(sent)
        with wide.consumer.recv_arrow_zero_copy(1) as received:
            assert received.record_batch.equals(sent)


def test_metadata_arrives(wide: Pair) -> None:
    batch = BATCH.replace_schema_metadata({"made": "here"})
    wide.producer.send_arrow(batch)
    assert wide.consumer.recv_arrow(1).schema.metadata == {b"made": b"here"}


def test_the_message_is_one_stream_of_the_exact_size(pair: Pair) -> None:
    pair.producer.send_arrow(SMALL, 7)
    type_id, size, data = pair.consumer.recv(1)
    assert (type_id, data) == (7, stream_of(SMALL))
    assert size == len(data)


def test_what_arrives_is_in_memory_of_its_own(wide: Pair) -> None:
    wide.producer.send_arrow(BATCH)
    received = wide.consumer.recv_arrow(1)
    wide.producer.send_arrow(pa.record_batch({"a": [0] * ROWS}))
    wide.consumer.close()
    wide.producer.close()
    assert received.equals(BATCH)


def test_what_is_read_in_place_is_in_the_ring(wide: Pair) -> None:
    wide.producer.send_arrow(BATCH)
    before = pa.total_allocated_bytes()
    with wide.consumer.recv_arrow_zero_copy(1) as batch:
        assert pa.total_allocated_bytes() == before
        slot = pa.py_buffer(batch._guard)
        inside = range(slot.address, slot.address + slot.size)
        buffers = [b for c in batch.columns for b in c.buffers() if b]
        assert len(buffers) > len(COLUMNS)
        assert all(b.address in inside for b in buffers if b.size)
        del slot, buffers


def test_what_is_sent_is_written_once(wide: Pair) -> None:
    gc.collect()
    before = pa.total_allocated_bytes()
    batch = pa.record_batch({"a": pa.array(range(ROWS))})
    peak = pa.default_memory_pool().max_memory()
    wide.producer.send_arrow(batch)
    assert pa.default_memory_pool().max_memory() == peak
    assert pa.total_allocated_bytes() == before + batch.nbytes
    assert wide.consumer.recv_arrow(1).equals(batch)


# ---- What can be sent ----


class ByArray:
    """What has one batch for others."""

    def __arrow_c_array__(self, requested_schema: Any = None) -> Any:
        return SMALL.__arrow_c_array__(requested_schema)


class ByStream:
    """What has a stream of batches for others."""

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        table = pa.Table.from_batches([SMALL.slice(0, 1), SMALL.slice(1)])
        return table.__arrow_c_stream__(requested_schema)


@pytest.mark.parametrize(
    "given",
    [
        pa.Table.from_batches([SMALL]),
        pa.Table.from_batches([SMALL.slice(0, 2), SMALL.slice(2)]),
        pa.RecordBatchReader.from_batches(SMALL.schema, [SMALL]),
        SMALL.to_struct_array(),
        ByArray(),
        ByStream(),
    ],
    ids=lambda given: type(given).__name__,
)
def test_what_is_like_a_batch_can_be_sent(pair: Pair, given: Any) -> None:
    pair.producer.send_arrow(given)
    assert pair.consumer.recv_arrow(1).equals(SMALL)


@pytest.mark.parametrize("table", [SMALL.schema.empty_table(), pa.table({})])
def test_a_table_of_no_batch_is_an_empty_one(pair: Pair, table: Any) -> None:
    pair.producer.send_arrow(table)
    received = pair.consumer.recv_arrow(1)
    assert (received.num_rows, received.schema) == (0, table.schema)


def test_a_table_of_one_chunk_is_not_copied() -> None:
    from tachyon.arrow import one_batch  # noqa: PLC0415

    table = pa.Table.from_batches([BATCH])
    sent = one_batch(table)
    assert sent["integers"].buffers()[1].address == (
        BATCH["integers"].buffers()[1].address
    )


def test_chunks_with_different_dictionaries_are_combined(pair: Pair) -> None:
    def chunk(word: str) -> Any:
        return pa.table({"word": pa.array([word]).dictionary_encode()})

    pair.producer.send_arrow(pa.concat_tables([chunk("one"), chunk("two")]))
    assert pair.consumer.recv_arrow(1).to_pydict() == {"word": ["one", "two"]}


def test_a_type_is_an_integer_of_32_bits(pair: Pair) -> None:
    def send_in_loop(type_id: Any) -> None:
        asyncio.run(pair.producer.send_arrow_async(SMALL, type_id))

    for send in (lambda n: pair.producer.send_arrow(SMALL, n), send_in_loop):
        send(np.uint32(2**32 - 1))
        assert pair.consumer.recv(1).type_id == 2**32 - 1
        for wrong in (-1, 2**32):
            with pytest.raises(ValueError, match=f"type_id must be .* not {wrong}"):
                send(wrong)
        with pytest.raises(TypeError, match="type_id"):
            send("1")
    nothing_is_there(pair.consumer)


@pytest.mark.parametrize("given", [None, 1, b"bytes", [SMALL], {"a": [1]}])
def test_what_is_no_batch_is_refused(pair: Pair, given: Any) -> None:
    with pytest.raises(TypeError, match="__arrow_c_stream__") as told:
        pair.producer.send_arrow(given)
    assert repr(given)[:20] in str(told.value)
    nothing_is_there(pair.consumer)


@pytest.mark.parametrize("column", [pa.array([1]), pa.chunked_array([[1], [2]])])
def test_a_column_alone_is_refused_with_a_hint(pair: Pair, column: Any) -> None:
    with pytest.raises(ValueError, match=r"pyarrow.table\({name: column}\)"):
        pair.producer.send_arrow(column)
    nothing_is_there(pair.consumer)


def test_a_batch_that_is_larger_than_the_ring_is_refused(pair: Pair) -> None:
    large = pa.record_batch({"a": pa.array(range(10_000))})
    with pytest.raises(ValueError, match=r"10000 rows takes 80\d{3} bytes.* 65408 at"):
        pair.producer.send_arrow(large)
    pair.producer.send_arrow(large.slice(0, 5000))
    assert pair.consumer.recv_arrow(1).equals(large.slice(0, 5000))


def test_a_full_ring_is_told_or_waited_for(pair: Pair) -> None:
    batch = pa.record_batch({"a": pa.array(range(5000))})
    pair.producer.send_arrow(batch)
    with pytest.raises(RingFull):
        pair.producer.send_arrow(batch, block=False)
    with pytest.raises(TimeoutError):
        pair.producer.send_arrow(batch, timeout=0.01)
    assert pair.consumer.recv_arrow(1).equals(batch)
    pair.producer.send_arrow(SMALL)
    assert pair.consumer.recv_arrow(1).equals(SMALL)


# ---- The block ----


def test_a_batch_is_what_pyarrow_has(pair: Pair) -> None:
    pair.producer.send_arrow(SMALL, 9)
    with pair.consumer.recv_arrow_zero_copy(1) as batch:
        assert isinstance(batch, ArrowBatch)
        assert (batch.type_id, batch.actual_size) == (9, len(stream_of(SMALL)))
        assert (batch.num_rows, len(batch), batch.schema) == (3, 3, SMALL.schema)
        assert batch["b"].to_pylist() == ["x", None, "z"]
        assert batch[1:].to_pydict() == {"a": [2, 3], "b": [None, "z"]}
        assert pa.table(batch).to_batches() == [SMALL]
        assert pa.record_batch(batch) == SMALL
        assert repr(batch) == (
            "<tachyon.arrow.ArrowBatch of 3 rows, 2 columns, type_id 9>"
        )
        with pytest.raises(AttributeError, match="no attribute 'colour'"):
            _ = batch.colour
    assert repr(batch) == "<tachyon.arrow.ArrowBatch, left>"
    with pytest.raises(BufferError, match="was left"):
        _ = batch.num_rows
    nothing_is_there(pair.consumer)


@pytest.mark.parametrize(
    "keep",
    [
        lambda batch: batch.record_batch,
        lambda batch: batch["a"],
        lambda batch: batch["a"].buffers()[1],
        lambda batch: batch["a"].to_numpy(),
        lambda batch: memoryview(batch["a"].buffers()[1]),
        lambda batch: batch.__arrow_c_array__(),
        lambda batch: pa.RecordBatchReader.from_stream(pa.table(batch)),
    ],
)
def test_what_outlives_the_block_is_told_and_keeps_the_slot(
    pair: Pair, keep: Callable[[Any], Any]
) -> None:
    pair.producer.send_arrow(SMALL)
    pair.producer.send_arrow(SMALL)
    with pytest.raises(BufferError, match=r"Arrow buffers .*recv_arrow\(\)"):
        with pair.consumer.recv_arrow_zero_copy(1) as batch:
            kept = keep(batch)
    with pytest.raises(BufferError, match="still points into the slot"):
        pair.consumer.recv(0)
    del kept
    gc.collect()
    assert pair.consumer.recv_arrow(1).equals(SMALL)
    nothing_is_there(pair.consumer)


def test_an_exception_goes_through_and_says_what_is_kept(pair: Pair) -> None:
    pair.producer.send_arrow(SMALL)
    with pytest.raises(KeyError) as told:
        with pair.consumer.recv_arrow_zero_copy(1) as batch:
            column = batch["a"]
            raise KeyError("mine")
    if sys.version_info >= (3, 11):
        assert "still point" in told.value.__notes__[0]
    assert column.to_pylist() == [1, 2, 3]
    del column
    nothing_is_there(pair.consumer)


def test_one_that_nobody_enters_is_released(pair: Pair) -> None:
    pair.producer.send_arrow(SMALL)
    batch = pair.consumer.recv_arrow_zero_copy(1)
    assert batch.num_rows == 3
    del batch
    nothing_is_there(pair.consumer)


def test_memory_stays_while_a_column_lives_though_the_bus_was_aborted(
    pair: Pair,
) -> None:
    pair.producer.send_arrow(SMALL)
    with pair.consumer.recv_arrow_zero_copy(1) as batch:
        column = batch["a"]
        with pytest.raises(BufferError):
            pair.consumer.close()
        pair.consumer.abort()
    assert column.to_pylist() == [1, 2, 3]


# ---- Bad messages ----

STREAM = stream_of(SMALL)
BAD: dict[str, bytes] = {
    "nothing": b"",
    "text": b"hello",
    "zeros": bytes(100),
    "only its end": END,
    "no batch": stream_of(),
    "two batches": stream_of(SMALL, SMALL),
    "no end": STREAM[: -len(END)],
    "more after its end": STREAM + b"more",
    "half": STREAM[: len(STREAM) // 2],
}


def lying(name: str) -> bytes:
    """Return a stream that is whole, with offsets or indices that lead outside."""
    if name == "offsets":
        batch = pa.record_batch({"a": pa.array(["abc", "def"])})
        _, offsets, _ = batch["a"].buffers()
        where, lie = bytes(offsets)[:12], (0, 3, 1 << 30)
    else:
        batch = pa.record_batch({"a": pa.array(["u", "v"]).dictionary_encode()})
        where, lie = bytes(batch["a"].indices.buffers()[1])[:8], (0, 1 << 30)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    whole = bytes(sink.getvalue())
    at = whole.rindex(where)
    packed = b"".join(number.to_bytes(4, "little") for number in lie)
    return whole[:at] + packed + whole[at + len(packed) :]


@pytest.mark.parametrize("receive", ["recv_arrow", "recv_arrow_zero_copy"])
@pytest.mark.parametrize("name", BAD)
def test_what_is_no_stream_of_one_batch_stays(
    pair: Pair, name: str, receive: str
) -> None:
    pair.producer.send(BAD[name], 3)
    pair.producer.send(b"next")
    for _ in range(2):
        with pytest.raises(UnexpectedMessage, match="no Arrow stream of one") as told:
            getattr(pair.consumer, receive)(1)
        assert (told.value.type_id, told.value.size) == (3, len(BAD[name]))
        assert f"{len(BAD[name])} bytes" in str(told.value)
    assert pair.consumer.recv(1) == (3, len(BAD[name]), BAD[name])
    assert pair.consumer.recv(1).data == b"next"


@pytest.mark.parametrize("cut", range(len(STREAM)))
def test_a_stream_that_is_cut_anywhere_is_refused(pair: Pair, cut: int) -> None:
    pair.producer.send(STREAM[:cut])
    with pytest.raises(UnexpectedMessage):
        pair.consumer.recv_arrow(1)
    assert pair.consumer.recv(1).data == STREAM[:cut]


@pytest.mark.parametrize("what", ["offsets", "indices"])
def test_a_stream_that_lies_is_refused_where_it_is_copied(
    pair: Pair, what: str
) -> None:
    pair.producer.send(lying(what), 3)
    with pytest.raises(UnexpectedMessage, match=r"stays in the ring"):
        pair.consumer.recv_arrow(1)
    assert pair.consumer.recv(1).data == lying(what)


def test_a_compressed_stream_is_read(pair: Pair) -> None:
    if not pa.Codec.is_available("lz4"):
        pytest.skip("this pyarrow has no LZ4")
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    pair.producer.send(stream_of(SMALL, options=options))
    assert pair.consumer.recv_arrow(1).equals(SMALL)


def test_what_is_no_batch_stays_for_a_collector_too(socket_path: str) -> None:
    with Bus.listen(socket_path, 1 << 16, role=Role.CONSUMER, max_peers=4) as bus:
        with bus.accept_in_background():
            producers = [Bus.connect(socket_path, timeout=5) for _ in range(2)]
            for number, producer in enumerate(producers):
                producer.send(b"no batch", number)
                producer.send_arrow(SMALL)
        seen = []
        for _ in range(4):
            try:
                assert bus.recv_arrow(1).equals(SMALL)
            except UnexpectedMessage as error:
                message = bus.recv(1)
                assert message.type_id == error.type_id
                seen.append(message)
        assert sorted(seen) == [(0, 8, b"no batch"), (1, 8, b"no batch")]
        for producer in producers:
            producer.close()


def test_behind_what_is_held_it_stays_too(pair: Pair) -> None:
    pair.producer.send_array(np.arange(3))
    pair.producer.send(b"no batch")
    pair.producer.send_arrow(SMALL)
    with pair.consumer.recv_array_zero_copy(1) as frame:
        for receive in (pair.consumer.recv_arrow, pair.consumer.recv_arrow_zero_copy):
            with pytest.raises(UnexpectedMessage):
                receive(1)
        assert pair.consumer.recv(1).data == b"no batch"
        assert pair.consumer.recv_arrow(1).equals(SMALL)
        assert np.asarray(frame).tolist() == [0, 1, 2]


def test_what_was_overwritten_meanwhile_is_told(
    socket_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Bus.listen(
        socket_path,
        1 << 16,
        role=Role.PRODUCER,
        max_peers=2,
        slow_peer=SlowPeer.DISCONNECT,
        slow_after=0.02,
        without_peers=WithoutPeers.FREE_RUN,
    ) as feed:
        with feed.accept_in_background():
            reader = Bus.connect(socket_path, timeout=5)
        feed.send_arrow(SMALL)

        def overtake(buffer: Any) -> Any:
            for _ in range(10):
                feed.send(bytes(20_000))
            raise ValueError("what was read was overwritten")

        monkeypatch.setattr("tachyon.arrow.read", overtake)
        with pytest.raises(LaggedError):
            reader.recv_arrow(1)


def test_one_that_is_interrupted_stays(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(buffer: Any) -> Any:
        raise KeyboardInterrupt

    pair.producer.send_arrow(SMALL)
    for receive in (pair.consumer.recv_arrow, pair.consumer.recv_arrow_zero_copy):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr("tachyon.arrow.read", interrupted)
            receive(1)
    assert pair.consumer.recv_arrow(1).equals(SMALL)


# ---- Waiting ----


@pytest.mark.parametrize("receive", ["recv_arrow", "recv_arrow_zero_copy"])
def test_waiting_ends_with_the_time(pair: Pair, receive: str) -> None:
    for timeout in (0, 0.01):
        with pytest.raises(TimeoutError):
            getattr(pair.consumer, receive)(timeout)


@pytest.mark.parametrize("call", WITH_PYARROW)
def test_a_call_that_waits_can_be_interrupted(
    start_peer: StartPeer, socket_path: str, call: str
) -> None:
    connect = "Bus.connect(path, timeout=10)"
    code = PEER.replace("OPEN", connect).replace("WAIT", WITH_PYARROW[call])
    peer = start_peer(code)
    with Bus.listen(socket_path, 4096, timeout=10):
        check(peer, call)


def test_another_thread_runs_while_a_large_batch_is_written(connect: Connect) -> None:
    pair = connect(1 << 26)
    batch = pa.record_batch({"a": pa.array(range(1 << 22))})
    ticks, done = [], threading.Event()

    def tick() -> None:
        while not done.wait(0.001):
            ticks.append(1)

    thread = threading.Thread(target=tick)
    thread.start()
    for _ in range(5):
        pair.producer.send_arrow(batch)
        assert pair.consumer.recv_arrow(1).num_rows == 1 << 22
    done.set()
    thread.join()
    assert ticks


def test_tasks_send_and_receive(connect: Connect, run: Run) -> None:
    pair = connect(1 << 16)
    batch = pa.record_batch({"a": pa.array(range(5000))})  # one fits, not two

    async def main() -> None:
        async def send() -> None:
            for _ in range(40):
                await pair.producer.send_arrow_async(batch, 5, timeout=10)

        sending = asyncio.create_task(send())
        for _ in range(20):
            assert (await pair.consumer.recv_arrow_async(10)).equals(batch)
            with await pair.consumer.recv_arrow_zero_copy_async(10) as received:
                assert received.record_batch.equals(batch)
        await sending
        with pytest.raises(TimeoutError):
            await pair.consumer.recv_arrow_async(0.01)

    run(main())


def test_a_cancelled_task_takes_nothing(pair: Pair, run: Run) -> None:
    async def main() -> None:
        waiting = asyncio.create_task(pair.consumer.recv_arrow_async())
        await settle()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        pair.producer.send(b"no batch")
        with pytest.raises(UnexpectedMessage):
            await pair.consumer.recv_arrow_async(1)
        assert (await pair.consumer.recv_async(1)).data == b"no batch"

    run(main())


def test_a_message_is_put_back_once_and_with_no_view_of_it(pair: Pair) -> None:
    pair.producer.send(b"one")
    guard = pair.consumer.recv_zero_copy(1)
    guard._put_back()
    guard._put_back()
    assert pair.consumer.recv_zero_copy(1).actual_size == 3
    nothing_is_there(pair.consumer)
    pair.producer.send(b"two")
    guard = pair.consumer.recv_zero_copy(1)
    with memoryview(guard), pytest.raises(BufferError, match="still points"):
        guard._put_back()
    nothing_is_there(pair.consumer)
