# SPDX-License-Identifier: Apache-2.0
"""Arrow streams that a hostile peer could send: refused or read, never a crash.

This process sends, another one reads copies, looks at all of what it has got, and tells
what has become of each. It would be the one that dies.
"""

import contextlib
import hashlib
import os
import random
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tachyon import Bus, ClosedError, PeerDeadError, UnexpectedMessage
from tachyon.arrow import write

pa = pytest.importorskip("pyarrow", reason="run by CTest, which installs pyarrow")

CAPACITY = 1 << 20
MEMORY = 4 << 30  # bytes that a lie about sizes may make the reader ask for
ROUNDS = 20_000
NUMBERS = [0, 1, 2, 3, 7, 8, 63, 64, 255, 256, 2**15, 2**16, 2**24]
NUMBERS += [2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**62, 2**63 - 1, 2**63, 2**64 - 1]


# ---- The reader ----


def look_at_everything(batch: Any) -> None:
    str(batch)
    assert batch.nbytes >= 0
    with contextlib.suppress(
        Exception
    ):  # what Python has no value for: a year of 10**9
        batch.to_pylist()
    write(batch.slice(1), pa.BufferOutputStream())


def read_all(path: str) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with Bus.connect(path, timeout=10) as bus, Bus.listen(path + "b", 4096) as back:
        for _ in iter(int, 1):  # for ever
            try:
                look_at_everything(bus.recv_arrow())
                back.send(b"read")
            except ClosedError:
                return
            except (UnexpectedMessage, MemoryError):
                back.send(hashlib.md5(bus.recv(0).data).digest())


# ---- What is sent ----


def streams() -> list[bytes]:
    """Return whole ones, of small batches with columns of every kind."""
    from test_arrow import BATCH  # noqa: PLC0415

    plain = pa.ipc.IpcWriteOptions()
    batches = [(BATCH.slice(3, 9).select([name]), plain) for name in BATCH.schema.names]
    batches.append((BATCH.slice(3, 20), plain))
    for compression in ("lz4", "zstd"):
        if pa.Codec.is_available(compression):
            options = pa.ipc.IpcWriteOptions(compression=compression)
            batches.append((BATCH.slice(0, 200).select(["integers", "text"]), options))
    made = []
    for batch, options in batches:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema, options=options) as stream:
            stream.write_batch(batch)
        made.append(bytes(sink.getvalue()))
    return made


def mutated(dice: random.Random, seeds: list[bytes]) -> bytes:
    """Return a stream with some bits, numbers or parts changed."""
    stream = bytearray(dice.choice(seeds))
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        at = dice.randrange(len(stream))
        match dice.randrange(8):
            case 0 | 1:
                stream[at] ^= 1 << dice.randrange(8)
            case 2:
                stream[at] = dice.randrange(256)
            case 3 | 4:
                size = dice.choice((2, 4, 8))
                number = dice.choice(NUMBERS) % (1 << 8 * size)
                at -= at % size
                stream[at : at + size] = number.to_bytes(size, "little")
            case 5:
                at -= at % 4
                near = int.from_bytes(stream[at : at + 4], "little")
                near = (near + dice.randrange(-9, 10)) % (1 << 32)
                stream[at : at + 4] = near.to_bytes(4, "little")
            case 6:
                other = dice.choice(seeds)
                size = dice.choice((4, 8, 16, 64))
                start = dice.randrange(len(other))
                stream[at : at + size] = other[start : start + size]
            case _:
                if dice.random() < 0.2:
                    del stream[at + 1 :]
    return bytes(stream)


@pytest.fixture
def reader(socket_path: str) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen([sys.executable, __file__, socket_path])
    yield process
    process.kill()
    process.wait()


def test_no_mutation_crashes_the_reader_or_is_lost(
    reader: "subprocess.Popen[bytes]", socket_path: str, tmp_path: Path
) -> None:
    seed = int(os.environ.get("TACHYON_SEED", "1"))
    dice, seeds = random.Random(seed), streams()
    read = refused = 0
    with Bus.listen(socket_path, CAPACITY, timeout=10) as bus:
        back = Bus.connect(socket_path + "b", timeout=10)
        for number in range(ROUNDS):
            stream = seeds[number] if number < len(seeds) else mutated(dice, seeds)
            bus.send(stream)
            try:
                answer = back.recv(60).data
            except PeerDeadError:
                kept = tmp_path / "stream"
                kept.write_bytes(stream)
                status = reader.wait()
                name = signal.Signals(-status).name if status < 0 else status
                pytest.fail(f"{kept} (seed {seed}, {number}) ended the reader: {name}")
            if answer == b"read":
                read += 1
            else:
                assert answer == hashlib.md5(stream).digest(), number
                refused += 1
            if number < len(seeds):
                assert answer == b"read", number
    assert reader.wait(30) == 0
    print(f"{read} read, {refused} refused")
    assert min(read, refused) > ROUNDS / 20


if __name__ == "__main__":
    read_all(sys.argv[1])
