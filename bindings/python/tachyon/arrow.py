# SPDX-License-Identifier: Apache-2.0
"""Arrow record batches as messages: a stream of a schema, one batch, and its end.

It is written once, into the slot. pyarrow is imported when it is first wanted.

What came from the peer is not true until it was looked at, and in the ring the peer can
change it afterwards. So recv_arrow() validates a copy; what reads in the ring believes
the peer.
"""

from __future__ import annotations

from itertools import islice
from traceback import clear_frames
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, SupportsIndex

from . import _native

if TYPE_CHECKING:
    import pyarrow as pa
    from typing_extensions import Self

END = b"\xff\xff\xff\xff\0\0\0\0"  # of a stream
HELD = (
    "Arrow buffers still point into the slot: it is kept until the batch, array or "
    "data frame that holds them is gone; recv_arrow() gives a copy that may be kept"
)


def import_pyarrow() -> Any:
    """Return the package, or say where it is to be had."""
    try:
        import pyarrow  # noqa: PLC0415
        import pyarrow.ipc  # noqa: PLC0415
    except ImportError as error:
        raise ImportError(
            "Arrow batches need pyarrow 16 or later, which comes with the extra: "
            f"pip install 'tachyon-ipc[arrow]' ({error})",
            name="pyarrow",
        ) from error
    return pyarrow


# ---- Sending ----


def imported(data: Any) -> pa.Table | pa.RecordBatch:
    """Return as pyarrow has it what another library has made."""
    pa = import_pyarrow()
    if hasattr(data, "__arrow_c_stream__"):
        convert = pa.table
    elif hasattr(data, "__arrow_c_array__"):
        convert = pa.record_batch
    else:
        raise TypeError(
            "a batch must be an Arrow RecordBatch or Table, or have "
            "__arrow_c_stream__ or __arrow_c_array__, as data frames of polars and "
            f"pandas and relations of DuckDB do, not {data!r:.100}"
        )
    try:
        return convert(data)
    except pa.ArrowInvalid as error:
        raise ValueError(
            f"{type(data).__name__} is no batch of columns, as which a single one can "
            f"be sent: pyarrow.table({{name: column}}) ({error})"
        ) from error


def one_batch(data: Any) -> pa.RecordBatch:
    """Return what is to be sent as one batch, without a copy if it is one already."""
    pa = import_pyarrow()
    if isinstance(data, pa.RecordBatch):
        return data
    table = data if isinstance(data, pa.Table) else imported(data)
    if isinstance(table, pa.RecordBatch):
        return table
    batches = table.to_batches()
    if len(batches) == 1:
        return batches[0]
    columns = [column.combine_chunks() for column in table.columns]
    if any(isinstance(column, pa.ChunkedArray) for column in columns):
        raise ValueError(
            "the table does not fit one batch, as offsets of 32 bits end at 2 GiB: "
            "send table.to_batches() one after the other"
        )
    return pa.RecordBatch.from_arrays(columns, schema=table.schema)


def write(batch: pa.RecordBatch, sink: Any) -> None:
    """Write a batch as a stream."""
    pa = import_pyarrow()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)


class Outgoing(NamedTuple):
    """A batch and the bytes of its stream, which fit the ring."""

    batch: pa.RecordBatch
    size: int


def measured(bus: _native.BusBase, data: Any) -> Outgoing:
    """Return what is to be sent."""
    batch = one_batch(data)
    sink = import_pyarrow().MockOutputStream()
    write(batch, sink)
    size: int = sink.size()
    most = bus._bus.max_payload()
    if size > most:
        raise ValueError(
            f"the batch of {batch.num_rows} rows takes {size} bytes as an Arrow "
            f"stream; this ring takes {most} at most: send parts, by batch.slice()"
        )
    return Outgoing(batch, size)


def write_into(memory: Any, outgoing: Outgoing) -> None:
    """Write a batch as a stream, which fills the memory."""
    pa = import_pyarrow()
    with pa.FixedSizeBufferWriter(pa.py_buffer(memory)) as sink:
        write(outgoing.batch, sink)
        if sink.tell() != outgoing.size:
            raise RuntimeError(
                f"{sink.tell()} bytes were written of {outgoing.size} measured"
            )


def send_arrow(
    bus: _native.BusBase,
    outgoing: Outgoing,
    type_id: SupportsIndex,
    timeout: float | None = None,
    *,
    block: bool = False,
) -> None:
    """Send what was measured."""
    with bus.send_zero_copy(outgoing.size, type_id, timeout, block) as tx:
        write_into(tx, outgoing)


# ---- Receiving ----


def read(buffer: pa.Buffer) -> pa.RecordBatch:
    """Return the one batch of a stream that ends where the buffer does."""
    with import_pyarrow().ipc.open_stream(buffer) as stream:
        batches = list(islice(stream, 2))
    if len(batches) != 1:
        raise ValueError(f"it has {'more than one' if batches else 'no'} batch")
    if buffer.size < len(END) or buffer[-len(END) :].to_pybytes() != END:
        raise ValueError("it is cut off: the mark of its end is missing")
    return batches[0]


def check_names(field: pa.Field) -> None:
    """Raise UnicodeDecodeError for a name that is no text, which is not validated."""
    len(field.name)
    kind = field.type
    if isinstance(kind, import_pyarrow().DictionaryType):
        kind = kind.value_type
    for index in range(kind.num_fields):
        check_names(kind.field(index))


def validated_copy(memory: _native.RxGuard) -> pa.RecordBatch:
    """Return the batch of a message in private memory, true to its own description."""
    pa = import_pyarrow()
    copy = pa.allocate_buffer(memory.actual_size)
    with pa.FixedSizeBufferWriter(copy) as sink:
        sink.write(memory)
    batch = read(copy)
    batch.validate(full=True)
    for field in batch.schema:
        check_names(field)
    return batch


def take(bus: _native.BusBase, rx: _native.RxGuard, in_place: bool) -> Any:
    """Return the batch of a message; one that has none stays in the ring."""
    try:
        return read(import_pyarrow().py_buffer(rx)) if in_place else validated_copy(rx)
    except BaseException as error:
        clear_frames(error.__traceback__)  # they have views of the slot
        rx._put_back()
        if isinstance(error, MemoryError) or not isinstance(error, Exception):
            raise
        bus.recv_zero_copy(1)._put_back()  # LaggedError: it was overwritten meanwhile
        raise no_batch(rx, error) from error


def no_batch(rx: _native.RxGuard, reason: Exception) -> _native.UnexpectedMessage:
    """Make the error for a message that cannot be read as a batch."""
    error = _native.UnexpectedMessage(
        f"the next message, of type_id {rx.type_id} and {rx.actual_size} bytes, is no "
        f"Arrow stream of one batch: {reason}; it stays in the ring, and recv() takes "
        "it"
    )
    error.type_id, error.size = rx.type_id, rx.actual_size
    return error


def recv_arrow(bus: _native.BusBase, timeout: float | None) -> pa.RecordBatch:
    """Receive as Bus.recv_arrow() does."""
    import_pyarrow()  # before there is what to lose
    rx = bus.recv_zero_copy(timeout)
    batch = take(bus, rx, in_place=False)
    rx.__exit__(None, None, None)
    return batch


class ArrowBatch:
    """A record batch in the ring itself, until its `with` block is left.

    It has what a pyarrow.RecordBatch has, and pyarrow, polars, pandas and DuckDB take
    it as one; `record_batch` is that one. Whatever of it is kept after the block must
    be a copy: leaving raises BufferError while an Arrow buffer still points into the
    ring, and the slot is kept until that is gone.

    It is as true as the peer: what that has sent is read as it is, not validated, and
    the peer can change it meanwhile. So a peer that lies can crash the process that
    reads; from one that is not trusted take recv_arrow().

    type_id: of the message.
    actual_size: of its stream, in bytes.
    """

    _batch: pa.RecordBatch | None = None

    def __init__(self, bus: _native.BusBase, timeout: float | None) -> None:
        import_pyarrow()
        self._guard = bus.recv_zero_copy(timeout)
        self.type_id = self._guard.type_id
        self.actual_size = self._guard.actual_size
        self._batch = take(bus, self._guard, in_place=True)

    @property
    def record_batch(self) -> pa.RecordBatch:
        """The pyarrow.RecordBatch; it holds the slot like all that is made of it."""
        if self._batch is None:
            raise BufferError("this batch was left; its slot is gone")
        return self._batch

    def __enter__(self) -> Self:
        self._guard.__enter__()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        self._batch = None
        try:
            return self._guard.__exit__(exc_type, exc, traceback)
        except BufferError:
            raise BufferError(HELD) from None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.record_batch, name)

    def __getitem__(self, key: Any) -> Any:
        return self.record_batch[key]

    def __len__(self) -> int:
        return len(self.record_batch)

    def __repr__(self) -> str:
        if self._batch is None:
            return "<tachyon.arrow.ArrowBatch, left>"
        batch = self._batch
        return (
            f"<tachyon.arrow.ArrowBatch of {batch.num_rows} rows, {batch.num_columns} "
            f"columns, type_id {self.type_id}>"
        )
