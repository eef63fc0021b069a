# SPDX-License-Identifier: Apache-2.0
"""tachyon send and recv: formats, limits, and what is no message."""

import json
import threading
import time
from pathlib import Path

import pytest

import tachyon.schema
from tachyon import AbortedError, Bus, ClosedError, TachyonError
from tachyon.tools.endpoint import Seconds

from conftest import HEADER, TYPED, Start, ended, run

TICK = {"symbol": "AAPL", "price": 1.5, "timestamp": 7, "quantity": 3, "side": "ASK"}
FRAME = b"\x05\0\0\0\x03\0\0\0a\nb"


@pytest.mark.parametrize(
    ("name", "given", "received"),
    [
        ("lines", b"one\n\ntwo", b"one\n\ntwo\n"),
        ("raw", b"any\0thing\n", b"any\0thing\n"),
        ("framed", FRAME * 3, FRAME * 3),
        ("hex", b"00ff\n\n", b"00ff\n\n"),
        (
            "json",
            b'{"type_id": 9, "hex": "0aff"}\n',
            b'{"type_id": 9, "hex": "0aff"}\n',
        ),
    ],
)
def test_what_is_sent_is_received(
    name: str, given: bytes, received: bytes, path: str, start: Start
) -> None:
    receiver = start("recv", path, "--listen", "--format", name)
    sender = run("send", path, "--format", name, given=given)
    assert (sender.returncode, sender.stderr) == (0, b"")
    assert ended(receiver) == (0, received, b"")


def test_raw_is_cut_into_messages_of_a_size(path: str, start: Start) -> None:
    receiver = start("recv", path, "--listen", "--format", "hex")
    assert (
        run("send", path, "--format", "raw", "--size", 2, given=b"abcde").returncode
        == 0
    )
    assert ended(receiver)[1] == b"6162\n6364\n65\n"


def test_fields_go_as_json(path: str, start: Start) -> None:
    receiver = start("recv", path, "--listen", "--format", "json", *TYPED)
    given = json.dumps({"Tick": TICK}).encode() + b'\n{"Tick": {}}\n'
    sender = run("send", path, "--format", "json", *TYPED, given=given)
    assert (sender.returncode, sender.stderr) == (0, b"")
    first, second = map(json.loads, ended(receiver)[1].splitlines())
    assert first == {"Tick": TICK}
    assert second["Tick"] == dict.fromkeys(TICK, 0) | {
        "symbol": "",
        "price": 0.0,
        "side": "0",  # which has no name
    }


def test_a_name_of_nought_and_a_number_without_one_go_as_json(
    path: str, start: Start, tmp_path: Path
) -> None:
    header = tmp_path / "lamp.h"
    header.write_text("enum Mode { OFF, ON };\nstruct Lamp { enum Mode mode; };\n")
    typed = ("--header", header, "--types", "Lamp=1")
    receiver = start("recv", path, "--listen", "--format", "json", *typed)
    given = b"".join(b'{"Lamp": {"mode": %s}}\n' % m for m in (b'"OFF"', b"1", b'"7"'))
    sender = run("send", path, "--format", "json", *typed, given=given)
    assert (sender.returncode, sender.stderr) == (0, b"")
    lamps = [json.loads(line)["Lamp"] for line in ended(receiver)[1].splitlines()]
    assert lamps == [{"mode": "OFF"}, {"mode": "ON"}, {"mode": "7"}]


def test_a_program_that_knows_the_types_is_a_peer(path: str, start: Start) -> None:
    (tick,) = tachyon.schema.load(HEADER, Tick=1)
    receiver = start("recv", path, "--listen", "--format", "json", *TYPED)
    with Bus.connect(path, timeout=20, types=[tick]) as bus:
        bus.send(memoryview(tick("IBM", price=2.0)), type_id=1)
        bus.send(b"short", type_id=1)
    status, out, error = ended(receiver)
    assert json.loads(out)["Tick"]["symbol"] == "IBM"
    assert status == 6
    assert b"a Tick of 5 bytes, which has 32" in error


def test_count_type_and_rate(path: str, start: Start) -> None:
    receiver = start("recv", path, "--listen", "--format", "lines", "--type", 5)
    began = time.monotonic()
    frames = FRAME + b"\x06\0\0\0\x01\0\0\0x" + FRAME
    sender = run(
        "send", path, "--format", "framed", "--rate", 5, "--count", 3,
        given=frames + b"never read as a frame",
    )  # fmt: skip
    assert sender.returncode == 0
    assert time.monotonic() - began >= 0.4
    assert ended(receiver)[1] == b"a\nb\na\nb\n"


def test_a_rate_of_as_good_as_never(path: str, start: Start) -> None:
    sender = start("send", path, "--listen", "--rate", "1e-300", stdin=-1)
    assert sender.stdin
    with Bus.connect(path, timeout=20) as bus:
        sender.stdin.write(b"now\nnever\n")
        sender.stdin.close()
        sender.stdin = None
        assert bytes(bus.recv(20).data) == b"now"
        with pytest.raises(TimeoutError):
            bus.recv(0.2)
        sender.terminate()
        assert ended(sender) == (143, b"", b"")


@pytest.mark.parametrize("text", ["1e300", "inf"])
def test_a_time_is_no_longer_than_a_wait_can_be(text: str) -> None:
    assert 1e8 < Seconds(0).convert(text, None, None) < threading.TIMEOUT_MAX


def test_recv_ends_after_count_and_takes_no_more(path: str, start: Start) -> None:
    receiver = start("recv", path, "--listen", "--count", 2)
    with Bus.connect(path, timeout=20) as bus:
        bus.send(b"1")
        bus.send(b"2")
        assert ended(receiver)[:2] == (0, b"1\n2\n")
        with pytest.raises(ClosedError):
            for _ in range(1 << 15):  # more than the ring takes
                bus.send(b"3")


def test_many_senders(path: str, start: Start) -> None:
    receiver = start("recv", path, "--listen", "--peers", 4, "--count", 4)
    senders = [start("send", path, stdin=-1) for _ in range(4)]
    for number, sender in enumerate(senders):
        sender.communicate(b"%d\n" % number, timeout=50)
        assert sender.returncode == 0
    assert sorted(ended(receiver)[1].split()) == [b"0", b"1", b"2", b"3"]


@pytest.mark.parametrize(
    ("options", "given", "says"),
    [
        (["--format", "hex"], b"00\nxy\n", b"line 2: b'xy' is not hex"),
        (["--format", "framed"], FRAME + b"\1\2", b"message 2: the input ends within"),
        (["--format", "framed"], FRAME[:-1], b"message 1: 2 of its 3 bytes"),
        (["--format", "framed"], b"\xff" * 8, b"this is not framed"),
        (["--format", "json"], b"{", b"line 1: no JSON"),
        (["--format", "json"], b"3\n", b"line 1: no message"),
        (["--format", "json"], b'{"type_id": -1, "hex": ""}', b"not -1"),
        (["--format", "json"], b'{"type_id": true, "hex": ""}', b"not True"),
        pytest.param(["--format", "json"], b"[" * 100_000, b"no JSON", id="deep"),
        (["--format", "json"], b'{"Tick": {}}', b"none; give --header and --types"),
        (["--format", "json", *TYPED], b'{"Tock": {}}', b"known are Tick=1"),
        (["--format", "json", *TYPED], b'{"Tick": {"prise": 1}}', b"has no 'prise'"),
        (["--format", "json", *TYPED], b'{"Tick": {"price": "1"}}', b"is of f64"),
        (["--format", "json", *TYPED], b'{"Tick": {"quantity": -1}}', b"is of u32"),
        (["--format", "json", *TYPED], b'{"Tick": {"quantity": 1.5}}', b"is of u32"),
        (
            ["--format", "json", *TYPED],
            b'{"Tick": {"side": "MID"}}',
            b"one of BID, ASK",
        ),
        (
            ["--format", "json", *TYPED],
            b'{"Tick": {"symbol": "123456789"}}',
            b"8 bytes",
        ),
        (["--format", "raw"], bytes(5000), b"give its listener a larger --capacity"),
    ],
)
def test_bad_input_aborts_the_stream(
    options: list[str], given: bytes, says: bytes, path: str, start: Start
) -> None:
    sender = start("send", path, "--listen", "--capacity", "4K", *options, stdin=-1)
    with Bus.connect(path, timeout=20) as bus:
        _, error = sender.communicate(given, timeout=50)
        assert says in error
        assert error.count(b"\n") == 1
        assert sender.returncode == 6
        with pytest.raises(AbortedError):
            for _ in bus:
                pass


def test_other_types_are_refused_at_both_ends(path: str, start: Start) -> None:
    receiver = start("recv", path, "--listen", "--connect-timeout", 3, *TYPED)
    other = ("--header", HEADER.with_name("tick_other.h"), "--types", "Tick=1")
    sender = run("send", path, *other)
    assert sender.returncode == 3
    assert b"quantity" in sender.stderr
    assert b"--header" in sender.stderr
    status, _, error = ended(receiver)
    assert status == 3
    assert b"quantity" in error


def test_a_sender_that_dies_is_told(path: str, start: Start) -> None:
    receiver = start("recv", path, "--listen")
    sender = start("send", path, "--rate", 1000, stdin=-1)
    assert sender.stdin
    assert receiver.stdout
    sender.stdin.write(b"one\n" * 4096)
    sender.stdin.flush()
    assert receiver.stdout.readline() == b"one\n"
    sender.kill()
    status, _, error = ended(receiver)
    assert status == 5
    assert error.startswith(b"tachyon: ")


def test_waiting_ends(path: str, start: Start) -> None:
    receiver = start("recv", path, "--listen", "--timeout", 0.2)
    with Bus.connect(path, timeout=20):
        assert ended(receiver)[0] == 4
    sender = start("send", path, "--listen", "--capacity", "4K", "--timeout", 0.2,
                   stdin=-1)  # fmt: skip
    with Bus.connect(path, timeout=20) as bus:
        sender.communicate(b"x\n" * 1000, timeout=50)
        assert sender.returncode == 4
        with pytest.raises(TachyonError):
            for _ in bus:
                pass
