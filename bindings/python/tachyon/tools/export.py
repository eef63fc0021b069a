# SPDX-License-Identifier: Apache-2.0
"""tachyon export: a type of a recording as CSV or Parquet."""

from __future__ import annotations

import contextlib
import csv
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from tachyon.schema.model import Enum, Struct

from .ending import BAD_FILE, BadData, Ended, say
from .recording import Recording
from .typed import Types

ROWS = 65536
TIME = "recv_time_ns"
KINDS = {"f32": "float32", "f64": "float64", "bool": "bool_"}
Row = dict[str, Any]


@click.command()
@click.argument("file", type=click.Path(dir_okay=False))
@click.argument("output", type=click.Path(dir_okay=False))
@click.option(
    "--type", "kind", metavar="ID",
    help="The type_id or name of the messages; needed where FILE has several.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace an OUTPUT that is there.")
@click.option("--quiet", is_flag=True, help="Say nothing of what was exported.")
def export(file: str, output: str, kind: str | None, force: bool, quiet: bool) -> None:
    """Write the messages of FILE, a recording with types, to OUTPUT.

    OUTPUT is .csv or .parquet, which takes pyarrow. A column for each field, and
    recv_time_ns; structs and arrays are lists and structs in Parquet, JSON in CSV.
    """
    suffix = Path(output).suffix
    if suffix not in (".csv", ".parquet"):
        raise click.UsageError(f"{output}: the name ends with .csv or .parquet")
    with contextlib.closing(Recording(file)) as recording:
        types = recording.types
        if not types.messages and recording.cut:
            raise BadData(f"{file}: {recording.cut}")
        if not types.messages:
            raise BadData(
                f"{file} has no types to make columns of; record it with --header and "
                f"--types"
            )
        if kind is None and len(types.messages) > 1:
            raise click.UsageError(f"--type says which; {types.known()}")
        wanted = types.id_of(kind) if kind else next(iter(types.messages))
        if wanted not in types.messages:
            raise click.UsageError(f"no type {kind}; {types.known()}")
        if Path(output).exists() and not force:
            raise Ended(BAD_FILE, f"{output}: is there already; --force replaces it")
        rows = rows_of(recording, types, wanted)
        struct = types.messages[wanted]
        partial = f"{output}.partial"
        try:
            write = to_csv if suffix == ".csv" else to_parquet
            count = write(partial, struct, rows)
            os.replace(partial, output)
        finally:
            with contextlib.suppress(OSError):
                os.unlink(partial)
        if recording.cut:
            raise BadData(f"{file}: {recording.cut}; all before it was exported")
        if not quiet:
            say(f"exported {count:,} messages")


def rows_of(recording: Recording, types: Types, wanted: int) -> Iterator[Row]:
    """Go through the messages of a type."""
    for message in recording:
        if message.type_id == wanted:
            fields = types.unpack(wanted, message.data)
            yield {TIME: message.time_ns, **fields}


def to_csv(path: str, struct: Struct, rows: Iterator[Row]) -> int:
    """Write rows as CSV; return how many."""
    count = 0
    names = [TIME, *(each.name for each in struct.fields)]
    with open(
        path, "w", newline="", encoding="utf-8", errors="surrogateescape"
    ) as file:
        writer = csv.writer(file)
        writer.writerow(names)
        for row in rows:
            writer.writerow(
                json.dumps(value) if isinstance(value, list | dict) else value
                for value in row.values()
            )
            count += 1
    return count


def to_parquet(path: str, struct: Struct, rows: Iterator[Row]) -> int:
    """Write rows as Parquet; return how many."""
    try:
        import pyarrow as pa  # noqa: PLC0415 - only here
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError as error:
        text = f"{error}: .parquet needs it: pip install 'tachyon-ipc[arrow]'"
        raise ImportError(text) from None
    columns = [pa.field(TIME, pa.int64()), *arrow_fields(pa, struct)]
    schema = pa.schema(columns)
    count = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        while batch := [*itertools.islice(rows, ROWS)]:
            try:
                table = pa.Table.from_pylist(batch, schema)
            except UnicodeEncodeError as error:
                data = error.object.encode("utf-8", "surrogateescape")
                raise BadData(
                    f"a {struct.name} has {data!r:.60}, which is no UTF-8, as text in "
                    f"Parquet is: export to .csv, which has the bytes as they are"
                ) from None
            writer.write_table(table)
            count += len(batch)
    return count


def arrow_fields(pa: Any, struct: Struct) -> list[Any]:
    """Return the columns of a struct, as unpack() gives their values."""
    found = []
    for each in struct.fields:
        name = each.type.name
        lists = each.shape
        if isinstance(each.type, Struct):
            kind = pa.struct(arrow_fields(pa, each.type))
        elif isinstance(each.type, Enum):
            kind = pa.string()
        elif name == "char" or (name == "u8" and len(lists) == 1):
            kind, lists = pa.string(), lists[:-1]
        elif name in KINDS:
            kind = getattr(pa, KINDS[name])()
        else:
            bits = int(name.strip("uibe"))
            kind = getattr(pa, f"{'u' if name[0] == 'u' else ''}int{bits}")()
        for length in reversed(lists):
            kind = pa.list_(kind, length)
        found.append(pa.field(each.name, kind))
    return found
