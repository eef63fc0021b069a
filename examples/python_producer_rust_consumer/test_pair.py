# SPDX-License-Identifier: Apache-2.0
"""The pair as a user runs it: results, both orders, broken input, and death."""

import json
import os
import signal
import socket
import struct
import time
from pathlib import Path
from typing import Any

import pytest
from market_tick import MarketTick
from producer import ASK, BID, FMT, SENTINEL

from tachyon import Bus, PeerDeadError

from conftest import (
    TIME_LIMIT,
    Program,
    Start,
    wait_until_connected,
    wait_until_listening,
)

HERE = Path(__file__).resolve().parent
CONSUMER = os.environ["TACHYON_CONSUMER"]
NOTICE_LIMIT = 5.0  # seconds from one end to the other, on a busy machine
NEVER_ENDING = 4_000_000_000
HEADER = "date,symbol,side,price,quantity"

Result = dict[str, Any]


class Pair:
    """The two programs on one socket."""

    def __init__(self, start: Start, socket: Path) -> None:
        self._start = start
        self.socket = socket

    def late_consumer(self, *options: object) -> Program:
        """Start the consumer; a producer that waits for it may be there at once."""
        return self._start(CONSUMER, "--socket", self.socket, *options)

    def consumer(self, *options: object) -> Program:
        """Start the consumer and wait until it listens."""
        consumer = self.late_consumer(*options)
        wait_until_listening(self.socket)
        return consumer

    def producer(self, *options: object) -> Program:
        return self._start(HERE / "producer.py", "--socket", self.socket, *options)

    def run(self, *options: object) -> tuple[Result, Result]:
        """Run both to their end, which must be a good one: (producer's, consumer's)."""
        consumer = self.consumer("--json")
        producer = self.producer("--json", *options)
        produced, consumed = producer.finish(), consumer.finish()
        assert (produced[0], consumed[0]) == (0, 0), produced[2] + consumed[2]
        return json.loads(produced[1]), json.loads(consumed[1])


@pytest.fixture
def pair(start: Start, socket: Path) -> Pair:
    return Pair(start, socket)


@pytest.mark.parametrize("count", [1, 63, 64, 65, 1_121, 100_000])
@pytest.mark.parametrize("options", [(), ("--no-timestamp",)], ids=["timed", "untimed"])
def test_every_count_arrives_whole(
    pair: Pair, count: int, options: tuple[str, ...]
) -> None:
    producer, consumer = pair.run("--count", count, *options)
    assert (consumer["messages"], consumer["expected"], consumer["lost"]) == (
        count,
        count,
        0,
    )
    assert consumer["checksum_matches"] is True
    assert (consumer["bids"], consumer["asks"]) == ((count + 1) // 2, count // 2)
    assert producer["sent"] == count
    assert (consumer["latency_ns"] is None) == bool(options)
    assert (producer["rate"], consumer["rate"]) == (None, None)


def test_the_default_run_is_500_000_ticks(pair: Pair) -> None:
    consumer = pair.consumer()
    producer = pair.producer()
    produced, producer_out, producer_err = producer.finish()
    consumed, consumer_out, consumer_err = consumer.finish()
    assert (produced, consumed) == (0, 0), producer_err + consumer_err
    lines = consumer_out.splitlines()
    assert lines[:4] == [
        "messages: 500,000",
        "lost: 0",
        "bids: 250,000",
        "asks: 250,000",
    ]
    assert lines[4].startswith("throughput: ")
    assert lines[5].startswith("time in the queue, sent as fast as possible: p50 ")
    assert [f" {p} " in lines[5] for p in ("p50", "p90", "p99", "p99.9", "max")] == [
        True
    ] * 5
    assert producer_out.startswith("sent: 500,000 ticks")


def test_latencies_are_ordered_and_positive(pair: Pair) -> None:
    _, consumer = pair.run("--count", 10_000)
    latency = consumer["latency_ns"]
    values = [latency[key] for key in ("p50", "p90", "p99", "p99_9", "max")]
    assert values == sorted(values)
    assert 0 < values[0] < 1_000_000_000


@pytest.mark.parametrize("options", [(), ("--no-timestamp",)], ids=["timed", "untimed"])
def test_a_rate_is_a_schedule(pair: Pair, options: tuple[str, ...]) -> None:
    producer, consumer = pair.run("--rate", 10_000, "--count", 2_001, *options)
    assert producer["seconds"] >= 0.2  # the first is due at once
    assert (producer["rate"], consumer["rate"]) == (10_000, 10_000)
    assert (consumer["messages"], consumer["checksum_matches"]) == (2_001, True)
    assert (consumer["latency_ns"] is None) == bool(options)


def test_a_report_says_at_which_rate_the_latency_is(pair: Pair) -> None:
    consumer = pair.consumer()
    producer = pair.producer("--rate", 100_000, "--count", 10_000)
    assert producer.finish()[0] == 0
    latency = consumer.finish()[1].splitlines()[5]
    assert latency.startswith("one-way latency at 100,000 ticks/s: p50 ")


def test_a_latency_begins_when_the_tick_was_due(pair: Pair) -> None:
    """Of 20,000 ticks in 2 s, those of the pause of 0.5 s waited 0.25 s on average."""
    consumer = pair.consumer("--json")
    producer = pair.producer("--rate", 10_000, "--count", 20_000)
    wait_until_connected(pair.socket)
    time.sleep(0.2)
    producer.process.send_signal(signal.SIGSTOP)
    time.sleep(0.5)
    producer.process.send_signal(signal.SIGCONT)
    assert producer.finish()[0] == 0
    latency = json.loads(consumer.finish()[1])["latency_ns"]
    assert latency["max"] >= 500_000_000
    assert latency["p90"] >= 250_000_000


def test_a_rate_that_cannot_be_kept_is_said(pair: Pair) -> None:
    pair.consumer()
    status, out, _ = pair.producer("--rate", 10**9, "--count", 1_000).finish()
    assert status == 0
    assert out.splitlines()[1].startswith("that is too slow for 1,000,000,000 a second")


@pytest.mark.parametrize("rate", ["0", "-1", "1000000001", "0.5", "fast"])
def test_a_rate_that_is_no_schedule_is_refused(pair: Pair, rate: str) -> None:
    status, _, err = pair.producer("--rate", rate).finish()
    assert status == 2
    assert "--rate" in err


def test_a_producer_that_starts_first_says_that_it_waits(pair: Pair) -> None:
    producer = pair.producer("--count", 1_000)
    assert producer.process.stderr is not None
    assert producer.process.stderr.readline() == (
        f"waiting for a consumer to listen on {pair.socket}\n"
    )
    consumer = pair.late_consumer("--json")
    status, _, err = producer.finish()
    assert (status, err) == (0, "")
    status, out, _ = consumer.finish()
    assert (status, json.loads(out)["messages"]) == (0, 1_000)


def test_another_input_is_cycled(pair: Pair, tmp_path: Path) -> None:
    quotes = tmp_path / "quotes.csv"
    quotes.write_text(
        f"{HEADER}\n2026-01-02,EIGHTLNG,ask,1e300,4294967295\n"
        "2026-01-02,X,bid,0.125,0\n2026-01-03,EIGHTLNG,bid,3,7\n"
    )
    _, consumer = pair.run("--input", quotes, "--count", 301)
    assert (consumer["bids"], consumer["asks"]) == (200, 101)
    assert consumer["last"] == {
        "EIGHTLNG": {"side": "ask", "price": 1e300, "quantity": 4294967295},
        "X": {"side": "bid", "price": 0.125, "quantity": 0},
    }


GOOD = "2026-01-02,AAPL,bid,1.5,100"


@pytest.mark.parametrize(
    ("text", "line", "cause"),
    [
        ("", 1, "no column symbol, side, price, quantity"),
        (f"{HEADER}\n", 1, "no row"),
        (f"date,symbol,price,quantity\n{GOOD}\n", 1, "no column side"),
        (f"{HEADER}\n{GOOD}\n2026-01-02,AAPL,bid,1.5\n", 3, "5 fields"),
        (f"{HEADER}\n{GOOD},1\n", 2, "5 fields"),
        (f"{HEADER}\n{GOOD}\n{GOOD}\n2026-01-02,,bid,1.5,1\n", 4, "symbol ''"),
        (f"{HEADER}\n2026-01-02,NINECHARS,bid,1.5,1\n", 2, "symbol 'NINECHARS'"),
        (f"{HEADER}\n2026-01-02,ÄÖ,bid,1.5,1\n", 2, "symbol"),
        (f"{HEADER}\n2026-01-02,AAPL,BUY,1.5,1\n", 2, "side 'BUY'"),
        (f"{HEADER}\n2026-01-02,AAPL,bid,abc,1\n", 2, "price 'abc'"),
        (f"{HEADER}\n2026-01-02,AAPL,bid,nan,1\n", 2, "price 'nan'"),
        (f"{HEADER}\n2026-01-02,AAPL,bid,-1,1\n", 2, "price '-1'"),
        (f"{HEADER}\n2026-01-02,AAPL,bid,inf,1\n", 2, "price 'inf'"),
        (f"{HEADER}\n2026-01-02,AAPL,bid,1.5,4294967296\n", 2, "quantity '4294967296'"),
        (f"{HEADER}\n2026-01-02,AAPL,bid,1.5,-1\n", 2, "quantity '-1'"),
        (f"{HEADER}\n2026-01-02,AAPL,bid,1.5,1.5\n", 2, "quantity '1.5'"),
        (f'{HEADER}\n2026-01-02,"AAPL"x,bid,1.5,1\n', 2, "expected after"),
    ],
)
def test_a_broken_row_is_named_before_anything_is_sent(
    pair: Pair, tmp_path: Path, text: str, line: int, cause: str
) -> None:
    quotes = tmp_path / "quotes.csv"
    quotes.write_text(text, encoding="utf-8")
    # Nobody listens: it does not come to that.
    status, out, err = pair.producer("--input", quotes).finish()
    assert (status, out) == (1, "")
    assert err.startswith(f"producer: {quotes}, line {line}: ")
    assert cause in err
    assert err.count("\n") == 1


def test_a_byte_that_is_no_text_is_a_broken_row(pair: Pair, tmp_path: Path) -> None:
    quotes = tmp_path / "quotes.csv"
    quotes.write_bytes(
        f"{HEADER}\n{GOOD}\n2026-01-02,A\xff,bid,1.5,1\n".encode("latin-1")
    )
    status, _, err = pair.producer("--input", quotes).finish()
    assert status == 1
    assert f"{quotes}, line 3: symbol" in err


def test_a_missing_input_is_named(pair: Pair, tmp_path: Path) -> None:
    status, _, err = pair.producer("--input", tmp_path / "none.csv").finish()
    assert status == 1
    assert "none.csv" in err


def test_a_listener_that_is_no_tachyon_is_not_waited_for(pair: Pair) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(pair.socket))
        listener.listen()
        producer = pair.producer()
        with listener.accept()[0] as client:
            client.sendall(b"220 mail.example.org ESMTP\r\n" * 20)
            status, _, err = producer.finish()
    assert status == 1
    assert "no Tachyon" in err


def test_a_producer_of_another_tick_is_told_which_field_differs(pair: Pair) -> None:
    consumer = pair.consumer("--json")
    other = MarketTick.types.replace("quantity u32", "quantity i32")
    with pytest.raises(
        ConnectionError, match=r"MarketTick\.quantity: i32 at 16 here, u32"
    ):
        Bus.connect(pair.socket, timeout=TIME_LIMIT, types=other)
    producer = pair.producer("--count", 1_000)  # the consumer goes on listening
    assert (producer.finish()[0], consumer.finish()[0]) == (0, 0)


def tick(price: float = 1.0, quantity: int = 2, stamp: int = 0) -> bytes:
    return struct.pack(FMT, b"AAPL", price, quantity, stamp)


BITS_OF_ONE = struct.unpack("<Q", struct.pack("<d", 1.0))[0]
GOOD_SUM = BITS_OF_ONE + 2 + BID


@pytest.mark.parametrize(
    ("messages", "cause"),
    [
        (
            [(tick(), BID), (tick(0, 2, GOOD_SUM), SENTINEL)],
            "1 ticks came, 2 were sent",
        ),
        (
            [(tick(), BID), (tick(0, 0, GOOD_SUM), SENTINEL)],
            "1 ticks came, 0 were sent",
        ),
        ([(tick(), BID), (tick(0, 1, GOOD_SUM + 1), SENTINEL)], "sum"),
        ([(tick(), ASK), (tick(0, 1, GOOD_SUM), SENTINEL)], "sum"),
        ([(tick(quantity=3), BID), (tick(0, 1, GOOD_SUM), SENTINEL)], "sum"),
        ([(tick(price=1.5), BID), (tick(0, 1, GOOD_SUM), SENTINEL)], "sum"),
        ([(tick()[:-1], BID)], "31 bytes"),
        ([(tick(), 3)], "unknown type 3"),
        ([(tick(), BID)], "without its sentinel; 1 ticks had come"),
    ],
)
def test_a_consumer_refuses_a_stream_that_is_not_whole(
    pair: Pair, messages: list[tuple[bytes, int]], cause: str
) -> None:
    consumer = pair.consumer()
    with Bus.connect(pair.socket, timeout=TIME_LIMIT) as bus:
        for data, type_id in messages:
            bus.send(data, type_id)
        if cause.startswith("without"):
            bus._bus.destroy()
        else:
            # The producer's way to learn whether all was taken.
            with pytest.raises(PeerDeadError):
                bus.send_zero_copy(size=bus.max_payload)
    status, _, err = consumer.finish()
    assert status == 1
    assert cause in err


@pytest.mark.parametrize("count", ["0", "-1", "4294967296", "many"])
def test_a_count_that_the_sentinel_cannot_carry_is_refused(
    pair: Pair, count: str
) -> None:
    status, _, err = pair.producer("--count", count).finish()
    assert status == 2
    assert "--count" in err


@pytest.mark.parametrize(
    "sent_signal", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=lambda s: s.name
)
@pytest.mark.parametrize("victim", ["producer", "consumer"])
def test_the_end_of_one_side_ends_the_other(
    pair: Pair, victim: str, sent_signal: signal.Signals
) -> None:
    consumer = pair.consumer()
    producer = pair.producer("--count", NEVER_ENDING)
    wait_for_line(consumer, "received")
    wait_for_line(producer, "sent")

    ended, survivor = (
        (producer, consumer) if victim == "producer" else (consumer, producer)
    )
    ended.process.send_signal(sent_signal)
    killed = time.monotonic()
    status, _, err = survivor.finish()
    assert time.monotonic() - killed < NOTICE_LIMIT
    assert status == 1
    assert f"the {victim} " in err
    assert ended.finish()[0] != 0


def wait_for_line(program: Program, start: str) -> None:
    """Wait for a line of progress on stderr; there is one each second."""
    assert program.process.stderr is not None
    for line in program.process.stderr:
        if line.startswith(start):
            return
    pytest.fail(f"it ended without a line that starts with {start!r}")


def test_what_the_consumer_did_not_take_fails_the_producer(pair: Pair) -> None:
    """The ring has room for all of it, so that the producer never runs into the end."""
    consumer = pair.consumer("--capacity", 1 << 26)
    producer = pair.producer("--count", 1_000_000)
    wait_until_connected(pair.socket)
    consumer.kill()
    status, out, err = producer.finish()
    assert (status, out) == (1, "")
    assert "the consumer " in err
