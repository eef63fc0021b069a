# SPDX-License-Identifier: Apache-2.0
"""tachyon record, play and export; the recordings are read by mcap's own reader."""

import csv
import json
import os
import signal
import struct
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from mcap.reader import NonSeekingReader, make_reader
from mcap.writer import Writer

from tachyon import Bus, Role

from conftest import HEADER, TYPED, Start, command, ended, run

TICK = struct.Struct("8sdQII")
PLAIN = {"stdin": subprocess.DEVNULL}


def ticks(count: int) -> bytes:
    """Return ticks that are numbered."""
    return b"".join(TICK.pack(b"AAPL", n / 4, n, n, 1 + n % 2) for n in range(count))


def send(path: str, count: int) -> None:
    with Bus.connect(path, timeout=30, role=Role.PRODUCER) as bus:
        items = memoryview(ticks(count)).cast("B", (count, TICK.size))
        bus.send_batch(items, 1)


@pytest.fixture
def recorded(path: str, tmp_path: Path, start: Start) -> Path:
    """Return a recording of 1000 typed ticks."""
    file = tmp_path / "ticks.mcap"
    recorder = start("record", path, file, "--listen", *TYPED)
    send(path, 1000)
    status, out, error = ended(recorder)
    assert (status, out) == (0, b"")
    assert error.startswith(b"tachyon: recorded 1,000 messages, ")
    return file


def test_mcaps_own_reader_opens_it_with_schema_and_summary(recorded: Path) -> None:
    with recorded.open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        assert reader.get_header().profile == "tachyon"
        summary = reader.get_summary()
        assert summary is not None
        assert summary.statistics is not None
        assert summary.statistics.message_count == 1000
        assert list(summary.statistics.channel_message_counts.values()) == [1000]
        (schema,) = summary.schemas.values()
        assert (schema.name, schema.encoding) == ("Tick", "tachyon-types")
        assert b"message 1 Tick" in schema.data
        (metadata,) = reader.iter_metadata()
        assert metadata.metadata["types"].encode() == schema.data
        got = list(reader.iter_messages(topics=["Tick"]))
        assert b"".join(message.data for *_, message in got) == ticks(1000)
        times = [message.log_time for *_, message in got]
        assert times == sorted(times)
        assert 0 <= time.time_ns() - times[0] < 300e9
        for chunk in summary.chunk_indexes:
            assert chunk.compression == "zstd"
            for offset in chunk.message_index_offsets.values():
                file.seek(offset)
                assert file.read(1) == b"\x07"
        # The reader jumps by these indexes.
        assert len(list(reader.iter_messages(starting_at=times[-1]))) >= 1


def test_several_types_without_a_header(
    path: str, tmp_path: Path, start: Start
) -> None:
    file = tmp_path / "any.mcap"
    recorder = start("record", path, file, "--listen")
    with Bus.connect(path, timeout=30) as bus:
        for number in range(300):
            bus.send(bytes([number % 256]) * (number % 5), number % 3)
    assert ended(recorder)[0] == 0
    with file.open("rb") as opened:
        got = [(c.topic, m.data) for _, c, m in make_reader(opened).iter_messages()]
    assert got == [(str(n % 3), bytes([n % 256]) * (n % 5)) for n in range(300)]


def test_a_killed_recorder_leaves_all_whole_chunks(
    path: str, tmp_path: Path, start: Start
) -> None:
    file = tmp_path / "killed.mcap"
    recorder = start("record", path, file, "--listen", "--chunk-size", "4K",
                     "--chunk-time", 60, *TYPED)  # fmt: skip
    with Bus.connect(path, timeout=30, role=Role.PRODUCER) as bus:
        items = memoryview(ticks(20000)).cast("B", (20000, TICK.size))
        bus.send_batch(items, 1)
        while file.stat().st_size < 20000:
            assert recorder.poll() is None
            time.sleep(0.01)
        recorder.kill()
        assert recorder.wait() == -signal.SIGKILL
    got = b""
    with file.open("rb") as opened, pytest.raises(Exception):  # noqa: B017, PT011
        for *_, message in NonSeekingReader(opened).iter_messages(log_time_order=False):
            got += message.data
    assert len(got) >= 500 * TICK.size
    assert ticks(20000).startswith(got)
    # And so does play, which says that it is cut.
    receiver = start("recv", path, "--listen", "--format", "raw")
    played = run("play", path, file, "--as-fast-as-possible")
    assert played.returncode == 6
    assert b"cut off" in played.stderr
    assert ended(receiver)[1] == got


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_finish_the_file(
    number: int, path: str, tmp_path: Path, start: Start
) -> None:
    file = tmp_path / "ended.mcap"
    recorder = start("record", path, file, "--listen", "--chunk-time", 0)
    with Bus.connect(path, timeout=30) as bus:
        bus.send(b"kept")
        size = file.stat().st_size
        while file.stat().st_size == size:
            time.sleep(0.01)
        recorder.send_signal(number)
        assert ended(recorder)[0] == 128 + number
    with file.open("rb") as opened:
        reader = make_reader(opened)
        assert reader.get_summary() is not None
        assert [m.data for *_, m in reader.iter_messages()] == [b"kept"]


def test_rotation_by_size_loses_nothing(
    path: str, tmp_path: Path, start: Start
) -> None:
    recorder = start("record", path, tmp_path / "r.mcap", "--listen",
                     "--rotate-size", "8K", "--chunk-size", "4K", *TYPED)  # fmt: skip
    send(path, 20000)
    assert ended(recorder)[0] == 0
    files = sorted(tmp_path.glob("r-*.mcap"))
    assert len(files) > 2
    got = b""
    for file in files:
        with file.open("rb") as opened:
            for schema, _, message in make_reader(opened, True).iter_messages():
                assert schema is not None
                got += message.data
    assert got == ticks(20000)


def test_rotation_by_time(path: str, tmp_path: Path, start: Start) -> None:
    recorder = start("record", path, tmp_path / "r.mcap", "--listen",
                     "--rotate-time", 0.2)  # fmt: skip
    with Bus.connect(path, timeout=30) as bus:
        for name in ("r-0001.mcap", "r-0002.mcap"):
            while not (tmp_path / name).exists():
                time.sleep(0.01)
            bus.send(name.encode())
            time.sleep(0.5)
    assert ended(recorder)[0] == 0
    assert len(list(tmp_path.glob("r-*.mcap"))) >= 2


def test_half_a_million_ticks_are_all_there(
    path: str, tmp_path: Path, start: Start
) -> None:
    file = tmp_path / "many.mcap"
    recorder = start("record", path, file, "--listen", "--capacity", "64M", *TYPED)
    send(path, 500_000)
    assert ended(recorder)[0] == 0
    with file.open("rb") as opened:
        summary = make_reader(opened).get_summary()
    assert summary is not None
    assert summary.statistics is not None
    assert summary.statistics.message_count == 500_000


def test_play_gives_what_was_recorded(recorded: Path, path: str, start: Start) -> None:
    receiver = start("recv", path, "--listen", "--format", "raw", *TYPED)
    played = run("play", path, recorded, "--as-fast-as-possible")
    assert (played.returncode, played.stderr[:28]) == (
        0,
        b"tachyon: played 1,000 messag",
    )
    assert ended(receiver)[1] == ticks(1000)


@pytest.mark.parametrize(
    ("options", "least"),
    [([], 2.5), (["--speed", 4], 0.6), (["--as-fast-as-possible"], 0)],
)
def test_play_keeps_the_pace(
    options: list[object], least: float, path: str, tmp_path: Path, start: Start
) -> None:
    file = tmp_path / "paced.mcap"
    recorder = start("record", path, file, "--listen")
    with Bus.connect(path, timeout=30) as bus:
        bus.send(b"first", 1)
        bus.send(b"other", 2)
        time.sleep(3)
        bus.send(b"last", 1)
    assert ended(recorder)[0] == 0
    player = start("play", path, file, "--type", 1, "--listen", *options)
    with Bus.connect(path, timeout=30) as bus:
        assert bus.recv(timeout=20).data == b"first"
        began = time.monotonic()
        assert bus.recv(timeout=20).data == b"last"
        took = time.monotonic() - began
        assert took >= least
        assert took < 2.5 or not options  # what was recorded took as long
        assert list(bus) == []
    assert ended(player)[0] == 0


def test_export_to_csv(recorded: Path, tmp_path: Path) -> None:
    output = tmp_path / "ticks.csv"
    assert run("export", recorded, output).returncode == 0
    with output.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 1000
    assert rows[7].items() >= {
        "symbol": "AAPL", "price": "1.75", "quantity": "7", "side": "ASK"
    }.items()  # fmt: skip
    again = run("export", recorded, output)
    assert (again.returncode, b"--force" in again.stderr) == (7, True)


def test_export_to_parquet(recorded: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    output = tmp_path / "ticks.parquet"
    assert run("export", recorded, output, "--type", "Tick").returncode == 0
    table = parquet.read_table(output)
    assert [str(kind) for kind in table.schema.types] == [
        "int64", "string", "double", "uint64", "uint32", "string"
    ]  # fmt: skip
    assert table["price"].to_pylist() == [n / 4 for n in range(1000)]
    assert table["side"][1].as_py() == "ASK"


def test_export_of_text_that_is_no_ascii_and_no_utf_8(
    path: str, tmp_path: Path, start: Start
) -> None:
    file = tmp_path / "text.mcap"
    recorder = start("record", path, file, "--listen", *TYPED)
    with Bus.connect(path, timeout=30, role=Role.PRODUCER) as bus:
        for symbol in ("é".encode(), b"\xff\xfe"):
            bus.send(TICK.pack(symbol, 1, 0, 0, 1), 1)
    assert ended(recorder)[0] == 0
    ascii_only = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    done = run("export", file, tmp_path / "t.csv", env={**os.environ, **ascii_only})
    assert done.returncode == 0, done.stderr
    _, first, second = (tmp_path / "t.csv").read_bytes().splitlines()
    assert (first.split(b",")[1], second.split(b",")[1]) == (
        "é".encode(), b"\xff\xfe"
    )  # fmt: skip
    pytest.importorskip("pyarrow")
    done = run("export", file, tmp_path / "t.parquet")
    assert done.returncode == 6
    assert rb"a Tick has b'\xff\xfe', which is no UTF-8" in done.stderr
    assert list(tmp_path.glob("t.parquet*")) == []


def test_export_of_nested_fields(path: str, tmp_path: Path, start: Start) -> None:
    every = HEADER.parents[2] / "tests/schema/every.h"
    typed = ("--header", every, "--types", "Cancel=2")
    file = tmp_path / "nested.mcap"
    fields = {
        "order": 5, "len": 3, "net": 258, "sides": ["BID", "ASK", "BID"], "type": -1,
        "parts": [[{"a": "x", "b": float(row * 3 + n)} for n in range(3)]
                  for row in range(2)],
    }  # fmt: skip
    recorder = start("record", path, file, "--listen", *typed)
    given = json.dumps({"Cancel": fields}).encode()
    assert run("send", path, "--format", "json", *typed, given=given).returncode == 0
    assert ended(recorder)[0] == 0
    assert run("export", file, tmp_path / "n.csv").returncode == 0
    with (tmp_path / "n.csv").open() as opened:
        (row,) = csv.DictReader(opened)
    assert json.loads(row["parts"]) == fields["parts"]
    assert (row["net"], row["type"]) == ("258", "-1")
    parquet = pytest.importorskip("pyarrow.parquet")
    assert run("export", file, tmp_path / "n.parquet").returncode == 0
    (found,) = parquet.read_table(tmp_path / "n.parquet").to_pylist()
    assert {name: found[name] for name in fields} == fields


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_is_told(path: str, start: Start) -> None:
    done = run("record", path, "/dev/full", "--listen", "--force")
    assert done.returncode == 7
    assert b"/dev/full: No space left on device" in done.stderr


def test_a_disk_that_fills_up_keeps_whole_chunks(
    path: str, tmp_path: Path, start: Start
) -> None:
    file = tmp_path / "limited.mcap"
    # As where the disk is full: no file may be larger.
    limited = ["sh", "-c", 'trap "" XFSZ; ulimit -f 64; exec "$@"', "sh"]
    recorder = subprocess.Popen(
        [*limited, *command("record", path, file, "--listen", "--capacity", "4K",
                            "--chunk-size", "4K")],
        stderr=subprocess.PIPE, **PLAIN,
    )  # fmt: skip
    with Bus.connect(path, timeout=30) as bus:
        with pytest.raises(Exception, match=r"gave up|closed|died"):
            for _ in range(200_000):
                bus.send(os.urandom(32))
    _, error = recorder.communicate(timeout=50)
    assert recorder.returncode == 7
    assert b"to the last whole chunk can be read" in error
    receiver = start("recv", path, "--listen", "--format", "hex")
    assert run("play", path, file, "--as-fast-as-possible").returncode == 6
    status, out, _ = ended(receiver)
    assert status == 5
    assert len(out.split()) > 30


def test_places_that_cannot_be_written(path: str, tmp_path: Path) -> None:
    (tmp_path / "there.mcap").write_bytes(b"mine")
    done = run("record", path, tmp_path / "there.mcap", "--listen")
    assert (done.returncode, b"--force" in done.stderr) == (7, True)
    assert (tmp_path / "there.mcap").read_bytes() == b"mine"
    done = run("record", path, tmp_path / "no" / "such.mcap", "--listen")
    assert (done.returncode, b"No such file" in done.stderr) == (7, True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(path: str, tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    done = run("record", path, folder / "x.mcap", "--listen")
    assert (done.returncode, b"Permission denied" in done.stderr) == (7, True)


def test_files_that_are_no_recordings(
    recorded: Path, path: str, tmp_path: Path
) -> None:
    text = tmp_path / "text.mcap"
    text.write_text("no recording at all, but long enough to be one")
    foreign = tmp_path / "foreign.mcap"
    with foreign.open("wb") as file:
        writer = Writer(file)
        writer.start(profile="ros2")
        writer.finish()
    damaged = tmp_path / "damaged.mcap"
    data = bytearray(recorded.read_bytes())
    middle = data.index(b"\x28\xb5\x2f\xfd") + 200  # in the zstd frame
    data[middle] ^= 0xFF
    damaged.write_bytes(data)
    for file, says in (
        (text, b"no MCAP file"),
        (tmp_path / "none.mcap", b"No such file"),
        (foreign, b"not of `tachyon record`"),
    ):
        for arguments in (("play", path, file), ("export", file, tmp_path / "x.csv")):
            done = run(*arguments)
            assert done.returncode == (7 if b"such" in says else 6), done.stderr
            assert says in done.stderr
    done = run("export", damaged, tmp_path / "x.csv")
    assert (done.returncode, b"damaged" in done.stderr) == (6, True)
    assert not (tmp_path / "x.csv").exists()


def test_every_cut_is_told(recorded: Path, tmp_path: Path) -> None:
    data = recorded.read_bytes()
    for size in np.linspace(0, len(data) - 1, 7, dtype=int):
        cut = tmp_path / "cut.mcap"
        cut.write_bytes(data[:size])
        done = run("export", cut, tmp_path / "cut.csv", "--force")
        assert done.returncode == 6, (size, done.stderr)
        assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("record", ["header", "chunk", "chunk's data"])
def test_a_record_that_is_longer_than_the_file(
    record: str, recorded: Path, tmp_path: Path
) -> None:
    data = recorded.read_bytes()
    chunk = data.index(b"\x06", data.index(b"fingerprint"))
    place = {"header": 9, "chunk": chunk + 1, "chunk's data": chunk + 25}[record]
    damaged = tmp_path / "long.mcap"
    for length in (1 << 33, 1 << 62, (1 << 64) - 1):
        field = length.to_bytes(8, "little")
        damaged.write_bytes(data[:place] + field + data[place + 8 :])
        done = run("export", damaged, tmp_path / "long.csv", "--force")
        if done.returncode:  # how much a chunk unpacks to is in it a second time
            assert (done.returncode, done.stderr.count(b"\n")) == (6, 1), done.stderr
            assert b"damaged" in done.stderr
        else:
            assert record == "chunk's data"


def test_replay_into_a_smaller_ring(path: str, tmp_path: Path, start: Start) -> None:
    file = tmp_path / "large.mcap"
    recorder = start("record", path, file, "--listen")
    with Bus.connect(path, timeout=30) as bus:
        bus.send(bytes(100))
        bus.send(bytes(5000))
    assert ended(recorder)[0] == 0
    receiver = start("recv", path, "--listen", "--capacity", "4K")
    played = run("play", path, file)
    assert played.returncode == 6
    assert b"message 2 has 5000 bytes, the ring takes 3968" in played.stderr
    assert ended(receiver)[0] == 5


def test_other_types_than_recorded_are_refused(
    recorded: Path, path: str, start: Start
) -> None:
    other = HEADER.with_name("tick_other.h")
    start("recv", path, "--listen", "--header", other, "--types", "Tick=1")
    played = run("play", path, recorded)
    assert played.returncode == 3
    assert b"quantity" in played.stderr


def test_nobody_there(recorded: Path, path: str, tmp_path: Path) -> None:
    assert run("play", path, recorded, "--connect-timeout", 0).returncode == 3
    file = tmp_path / "none.mcap"
    for _ in range(2):  # nothing is left that the next try would not replace
        assert run("record", path, file, "--connect-timeout", 0).returncode == 3
        assert not file.exists()
    file.write_bytes(b"mine")
    done = run("record", path, file, "--connect-timeout", 0, "--force")
    assert (done.returncode, file.exists()) == (3, True)


def test_a_recorder_without_its_time(path: str, tmp_path: Path, start: Start) -> None:
    recorder = start("record", path, tmp_path / "t.mcap", "--listen", "--timeout", 0.3)
    with Bus.connect(path, timeout=30):
        assert ended(recorder)[0] == 4


def test_export_needs_types_and_a_name(path: str, tmp_path: Path, start: Start) -> None:
    file = tmp_path / "plain.mcap"
    recorder = start("record", path, file, "--listen")
    assert run("send", path, given=b"x\n").returncode == 0
    assert ended(recorder)[0] == 0
    done = run("export", file, tmp_path / "x.csv")
    assert (done.returncode, b"--header" in done.stderr) == (6, True)
    assert run("export", file, tmp_path / "x.txt").returncode == 2
