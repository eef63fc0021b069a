# SPDX-License-Identifier: Apache-2.0
"""Recordings: MCAP files, written a whole chunk at a time, and read as far as they go.

The records are those of the package mcap. Only what runs once a message is here: its
Writer takes some microseconds for each.
"""

from __future__ import annotations

import contextlib
import os
import struct
import time
import zlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO

import zstandard
from mcap import records
from mcap.data_stream import RecordBuilder
from mcap.exceptions import InvalidMagic, McapError
from mcap.opcode import Opcode
from mcap.stream_reader import StreamReader
from mcap.writer import MCAP0_MAGIC

import tachyon
from tachyon.schema.description import fnv1a, text_of

from .ending import BAD_FILE, BadData, Ended
from .typed import Types, of_text

PROFILE = "tachyon"
SCHEMA_ENCODING = "tachyon-types"
MESSAGE_ENCODING = "tachyon"
METADATA = "tachyon"
HEAD = struct.Struct("<BQHIQQ")
FIXED = HEAD.size - 9  # of what the length counts
ENTRY = 16
MOST_CHANNELS = 1 << 16


@dataclass
class Recorded:
    """A message of a recording; time_ns: since 1970, when it was received."""

    type_id: int
    time_ns: int
    data: bytes


@dataclass
class Chunk:
    """What is not written yet.

    parts: heads and payloads by turns; size: their bytes; indexes: time and place of
    each message, by channel.
    """

    parts: list[bytes] = field(default_factory=list)
    size: int = 0
    first_ns: int = 0
    last_ns: int = 0
    began: float = 0
    indexes: dict[int, array[int]] = field(default_factory=dict)


class Recorder:
    """Writes a recording.

    What is in the file at any time is readable up to the last whole chunk: each is
    written at once, as soon as it has `chunk_bytes` or is `chunk_seconds` old.
    """

    def __init__(
        self,
        file: IO[bytes],
        name: str,
        types: Types,
        chunk_bytes: int,
        chunk_seconds: float,
    ) -> None:
        self.failed = False
        self._name = name
        self.messages = 0
        self.bytes = 0  # of the file
        self._file = file
        self._types = types
        self._chunk_bytes = chunk_bytes
        self._chunk_seconds = chunk_seconds
        self._compress = zstandard.ZstdCompressor(level=1).compress
        self._chunk = Chunk()
        self._channels: dict[int, records.Channel] = {}
        self._schemas: list[records.Schema] = []
        self._counts: dict[int, int] = {}
        self._indexes: list[records.ChunkIndex] = []
        self._metadata: list[records.MetadataIndex] = []
        self._start_ns = self._end_ns = 0
        library = f"tachyon-ipc {tachyon.__version__}"
        header = self._built(records.Header(PROFILE, library))
        self._write(MCAP0_MAGIC + header)
        if types.text:
            fingerprint = f"{fnv1a(types.text.encode()):016x}"
            about = {"types": types.text, "fingerprint": fingerprint}
            data = self._built(records.Metadata(name=METADATA, metadata=about))
            index = records.MetadataIndex(
                offset=self.bytes, length=len(data), name=METADATA
            )
            self._metadata.append(index)
            self._write(data)

    def add(self, type_ids: Sequence[int], payloads: Sequence[bytes]) -> None:
        """Add messages that were received now."""
        now = time.time_ns()
        chunk = self._chunk
        if not chunk.parts:
            chunk.began = time.monotonic()
        chunk.first_ns = chunk.first_ns or now
        chunk.last_ns = now
        add, pack, place = chunk.parts.append, HEAD.pack, chunk.size
        sequence = self.messages
        for type_id, data in zip(type_ids, payloads, strict=True):
            channel = self._channels.get(type_id)
            if channel is None:
                place = self._open_channel(type_id, place)
                channel = self._channels[type_id]
            number = channel.id
            size = len(data)
            head = pack(
                Opcode.MESSAGE, FIXED + size, number, sequence & 0xFFFFFFFF, now, now
            )
            chunk.indexes[number].extend((now, place))
            add(head)
            add(data)
            place += HEAD.size + size
            sequence += 1
        chunk.size = place
        self.messages = sequence
        self.flush_if_due()

    def flush_if_due(self) -> None:
        """Write the chunk where it is large or old enough."""
        chunk = self._chunk
        if chunk.size >= self._chunk_bytes or (
            chunk.parts and time.monotonic() - chunk.began >= self._chunk_seconds
        ):
            self.flush()

    def flush(self) -> None:
        """Write what there is as a chunk with its indexes, in one go."""
        chunk = self._chunk
        indexes = {number: each for number, each in chunk.indexes.items() if each}
        if not indexes:
            return
        data = b"".join(chunk.parts)
        packed = self._compress(data)
        written = self._built(
            records.Chunk(
                compression="zstd",
                data=packed,
                message_start_time=chunk.first_ns,
                message_end_time=chunk.last_ns,
                uncompressed_crc=zlib.crc32(data),
                uncompressed_size=len(data),
            )
        )
        length = len(written)
        offsets: dict[int, int] = {}
        pieces = [written]
        for number, entries in indexes.items():
            offsets[number] = self.bytes + sum(map(len, pieces))
            body = entries.tobytes()
            pieces.append(
                struct.pack(
                    "<BQHI", Opcode.MESSAGE_INDEX, 6 + len(body), number, len(body)
                )
                + body
            )
            self._counts[number] = self._counts.get(number, 0) + len(body) // ENTRY
        self._indexes.append(
            records.ChunkIndex(
                message_start_time=chunk.first_ns,
                message_end_time=chunk.last_ns,
                chunk_start_offset=self.bytes,
                chunk_length=length,
                message_index_offsets=offsets,
                message_index_length=sum(map(len, pieces[1:])),
                compression="zstd",
                compressed_size=len(packed),
                uncompressed_size=len(data),
            )
        )
        self._write(b"".join(pieces))
        self._start_ns = self._start_ns or chunk.first_ns
        self._end_ns = chunk.last_ns
        empty: dict[int, array[int]] = {n: array("Q") for n in chunk.indexes}
        self._chunk = Chunk(indexes=empty)

    def finish(self) -> None:
        """Write the rest, and the summary at the end."""
        self.flush()
        self._write(self._built(records.DataEnd(0)))
        start = self.bytes
        channels = list(self._channels.values())
        statistics = records.Statistics(
            attachment_count=0,
            channel_count=len(channels),
            channel_message_counts=self._counts,
            chunk_count=len(self._indexes),
            message_count=self.messages,
            message_end_time=self._end_ns,
            message_start_time=self._start_ns,
            metadata_count=len(self._metadata),
            schema_count=len(self._schemas),
        )
        summary = b""
        offsets = b""
        for opcode, group in (
            (Opcode.SCHEMA, self._schemas),
            (Opcode.CHANNEL, channels),
            (Opcode.STATISTICS, [statistics]),
            (Opcode.CHUNK_INDEX, self._indexes),
            (Opcode.METADATA_INDEX, self._metadata),
        ):
            data = self._built(*group)
            if data:
                place = records.SummaryOffset(
                    group_opcode=opcode,
                    group_start=start + len(summary),
                    group_length=len(data),
                )
                offsets += self._built(place)
            summary += data
        at = start + len(summary)
        head = struct.pack("<BQQQ", Opcode.FOOTER, 20, start, at)
        crc = zlib.crc32(summary + offsets + head)
        self._write(summary + offsets + head + struct.pack("<I", crc) + MCAP0_MAGIC)
        with contextlib.suppress(OSError):  # a pipe
            os.fsync(self._file.fileno())

    def _open_channel(self, type_id: int, place: int) -> int:
        """Add a type's channel, in its chunk; return where the next record goes."""
        if len(self._channels) + 1 >= MOST_CHANNELS:
            raise BadData(f"more than {MOST_CHANNELS - 2} types of messages")
        found = self._types.messages.get(type_id)
        about: list[object] = []
        schema = 0
        if found:
            schema = len(self._schemas) + 1
            text = text_of({type_id: found}).encode()
            record = records.Schema(
                id=schema, data=text, encoding=SCHEMA_ENCODING, name=found.name
            )
            self._schemas.append(record)
            about.append(record)
        channel = records.Channel(
            id=len(self._channels) + 1,
            topic=self._types.name(type_id),
            message_encoding=MESSAGE_ENCODING,
            metadata={"type_id": str(type_id)},
            schema_id=schema,
        )
        self._channels[type_id] = channel
        self._chunk.indexes[channel.id] = array("Q")
        data = self._built(*about, channel)
        self._chunk.parts.append(data)
        return place + len(data)

    def _built(self, *group: object) -> bytes:
        builder = RecordBuilder()
        for record in group:
            record.write(builder)  # type: ignore[attr-defined]
        return bytes(builder.end())

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:  # the file has no buffer, and may take less
                view = view[self._file.write(view) :]
        except OSError as error:
            self.failed = True
            raise Ended(
                BAD_FILE,
                f"{self._name}: {error.strerror}, with {self.messages:,} messages; "
                f"those to the last whole chunk can be read; make room",
            ) from error
        self.bytes += len(data)


class Recording:
    """Reads a recording from its beginning, as far as it is whole.

    cut: what is wrong with its end, once that has been reached; else "".
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.cut = ""
        self._file = open(path, "rb")  # noqa: SIM115 - until close()
        self.types = self._read_types()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _records(self) -> Iterator[object]:
        size = self._file.seek(0, os.SEEK_END)
        self._file.seek(0)
        try:
            reader = StreamReader(
                self._file, validate_crcs=True, record_size_limit=size
            )
            yield from reader.records
        except InvalidMagic:
            self._file.seek(0)
            if self._file.read(len(MCAP0_MAGIC)) != MCAP0_MAGIC:
                raise BadData(
                    f"{self.path}: no MCAP file; `tachyon record` writes them"
                ) from None
            self.cut = f"cut off after {size:,} bytes"
        except (zstandard.ZstdError, MemoryError, OverflowError) as error:
            raise BadData(f"{self.path}: a chunk is damaged: {error}") from None
        except (McapError, ValueError, struct.error, UnicodeDecodeError) as error:
            if "crc" in str(error):
                raise BadData(f"{self.path}: a chunk is damaged: {error}") from None
            self.cut = f"cut off, or damaged, after {self._file.tell():,} bytes"

    def _read_types(self) -> Types:
        """Return the types, which stand before the first chunk."""
        for number, record in enumerate(self._records()):
            if number == 0 and getattr(record, "profile", None) != PROFILE:
                raise BadData(
                    f"{self.path}: an MCAP file, but not of `tachyon record`: its "
                    f"messages are of no bus"
                )
            if isinstance(record, records.Metadata) and record.name == METADATA:
                return of_text(record.metadata.get("types", ""))
            if isinstance(record, records.Channel | records.Message):
                break
        return Types()

    def __iter__(self) -> Iterator[Recorded]:
        """Go through the messages as they were received."""
        types: dict[int, int] = {}
        for record in self._records():
            if isinstance(record, records.Channel):
                try:
                    types[record.id] = int(record.metadata["type_id"])
                except (KeyError, ValueError):
                    raise BadData(f"{self.path}: a channel without type_id") from None
            elif isinstance(record, records.Message):
                if record.channel_id not in types:
                    raise BadData(f"{self.path}: a message of no channel")
                yield Recorded(types[record.channel_id], record.log_time, record.data)
