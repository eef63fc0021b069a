# SPDX-License-Identifier: Apache-2.0
"""Who reads a batch in the ring without a copy: told by the addresses of buffers."""

import gc
from collections.abc import Iterator
from typing import Any

import pytest

from tachyon.arrow import ArrowBatch

from conftest import Connect, Pair

RUN_BY = "run by CTest, which installs it"
pa = pytest.importorskip("pyarrow", reason=RUN_BY)
duckdb = pytest.importorskip("duckdb", reason=RUN_BY)
pd = pytest.importorskip("pandas", reason=RUN_BY)
pl = pytest.importorskip("polars", reason=RUN_BY)
np = pytest.importorskip("numpy")

ROWS = 100_000
NUMBERS = ["i64", "f64", "u8", "f32"]
TABLE = pa.table(
    {
        "i64": pa.array(range(ROWS), pa.int64()),
        "f64": pa.array(np.arange(ROWS) / 8),
        "u8": pa.array(np.arange(ROWS) % 251, pa.uint8()),
        "f32": pa.array(np.arange(ROWS), pa.float32()),
        "nulls": pa.array([None if i % 3 else i for i in range(ROWS)], pa.int64()),
        "text": pa.array(
            [f"a text that is longer than a view {i}" for i in range(ROWS)]
        ),
    }
)


class Slot:
    """A batch in the ring, and where that is."""

    def __init__(self, batch: ArrowBatch) -> None:
        self.batch = batch
        slot = pa.py_buffer(batch._guard)
        self._addresses = range(slot.address, slot.address + slot.size)

    def has(self, address: int) -> bool:
        """Tell whether an address lies in the ring."""
        return address in self._addresses

    def has_array(self, array: Any) -> bool:
        """Tell whether the items of a NumPy array lie in the ring."""
        return self.has(array.__array_interface__["data"][0])

    def buffers_of(self, column: Any) -> list[bool]:
        """Tell of each buffer of an Arrow array whether it lies in the ring."""
        if isinstance(column, pa.ChunkedArray):
            (column,) = column.chunks
        return [self.has(b.address) for b in column.buffers() if b and b.size]


@pytest.fixture
def pair(connect: Connect) -> Pair:
    return connect(1 << 25)


@pytest.fixture
def slot(pair: Pair) -> Iterator[Slot]:
    """Return TABLE in the ring; whoever reads it must let go of it."""
    pair.producer.send_arrow(TABLE)
    with pair.consumer.recv_arrow_zero_copy(1) as batch:
        yield Slot(batch)
        gc.collect()
    with pytest.raises(TimeoutError):
        pair.consumer.recv(0)


def test_pyarrow_reads_all_in_the_ring(slot: Slot) -> None:
    before = pa.total_allocated_bytes()
    for column in slot.batch.columns:
        assert all(slot.buffers_of(column)), column.type
    for name in NUMBERS:
        assert slot.has_array(slot.batch[name].to_numpy(zero_copy_only=True))
    assert pa.total_allocated_bytes() == before


def test_polars_reads_numbers_in_the_ring_and_the_bytes_of_text(slot: Slot) -> None:
    frame = pl.DataFrame(slot.batch)
    for name in NUMBERS:
        assert slot.has_array(frame[name].to_numpy(allow_copy=False)), name
    nulls = frame["nulls"].to_arrow()
    assert slot.buffers_of(nulls)[-1]
    views = frame["text"].to_arrow(compat_level=pl.CompatLevel.newest())
    inside = slot.buffers_of(views)
    assert inside[-1]  # the bytes
    assert not inside[0]  # the views of them, which the stream does not have
    assert frame["text"].to_list() == TABLE["text"].to_pylist()


def test_pandas_reads_numbers_in_the_ring(slot: Slot) -> None:
    frame = slot.batch.to_pandas(split_blocks=True)
    for name in NUMBERS:
        assert slot.has_array(frame[name].to_numpy()), name
    assert frame["i64"].sum() == sum(range(ROWS))


def test_pandas_reads_all_in_the_ring_with_types_of_arrow(slot: Slot) -> None:
    frame = slot.batch.to_pandas(types_mapper=pd.ArrowDtype)
    for name in TABLE.column_names:
        assert all(slot.buffers_of(frame[name].array.__arrow_array__())), name


def test_pandas_copies_columns_of_one_type_into_one_block(slot: Slot) -> None:
    pairs = pa.record_batch({"a": slot.batch["f64"], "b": slot.batch["f64"]})
    assert not slot.has_array(pairs.to_pandas()["a"].to_numpy())
    assert slot.has_array(pairs.to_pandas(split_blocks=True)["a"].to_numpy())


def test_duckdb_queries_the_ring_within_less_memory_than_a_copy_takes(
    connect: Connect,
) -> None:
    pair = connect(1 << 28)
    count = 8_000_000  # 64 MB
    pair.producer.send_arrow(pa.record_batch({"a": np.arange(count)}))
    with duckdb.connect() as db:
        db.execute("SET memory_limit='16MB'; SET temp_directory=''; SET threads=1")
        with pair.consumer.recv_arrow_zero_copy(1) as batch:
            with pytest.raises(duckdb.OutOfMemoryException):
                db.sql("CREATE TABLE copied AS SELECT a FROM batch")
            gc.collect()
            answer = db.sql("SELECT sum(a), count(*) FROM batch").fetchall()
            assert answer == [(count * (count - 1) // 2, count)]
            assert batch.num_rows == count
            gc.collect()


@pytest.mark.parametrize(
    "data",
    [pl.DataFrame(TABLE), TABLE.to_pandas(), duckdb.from_arrow(TABLE)],
    ids=["polars", "pandas", "duckdb"],
)
def test_what_they_have_is_sent_and_arrives(pair: Pair, data: Any) -> None:
    pair.producer.send_arrow(data, 4)
    received = pair.consumer.recv_arrow(1)
    assert received.num_rows == ROWS
    assert pl.DataFrame(received).equals(pl.DataFrame(TABLE))
