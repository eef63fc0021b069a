# SPDX-License-Identifier: Apache-2.0
"""One producer, readers in Rust, Python and C: none loses a tick by another's fault."""

import itertools
import json
import os
import re
import signal
import struct
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from conftest import TIME_LIMIT, Program, Start, wait_until_listening

HERE = Path(__file__).resolve().parent
PAIR = HERE.parent / "python_producer_rust_consumer"
sys.path.append(str(PAIR))

from producer import FMT, QUOTES, SENTINEL, read_rows  # noqa: E402
from recorder import BLOCK, RECORD  # noqa: E402

CONSUMER = os.environ["TACHYON_CONSUMER"]
DISPLAY = os.environ["MARKET_DISPLAY"]
ROWS = read_rows(QUOTES)


class Market:
    """The producer, and readers that it waits for."""

    def __init__(self, start: Start, socket: Path, directory: Path) -> None:
        self._start = start
        self.socket = socket
        self.file = directory / "ticks"

    def open(self, count: int, rate: int) -> None:
        self.count = count
        self.producer = self._start(
            *(PAIR / "producer.py", "--socket", self.socket, "--readers", 3),
            *("--count", count, "--rate", rate, "--no-timestamp"),
        )
        wait_until_listening(self.socket)
        self.consumer = self._start(
            CONSUMER, "--connect", "--socket", self.socket, "--json"
        )
        self.display = self._start(DISPLAY, self.socket)
        self.recorder = self.record()

    def record(self) -> Program:
        return self._start(HERE / "recorder.py", "--socket", self.socket, self.file)

    def wait_for_event(self, text: str) -> str:
        """Wait until the producer says so of a reader."""
        assert self.producer.process.stderr is not None
        for line in self.producer.process.stderr:
            if text in line:
                return line
        pytest.fail(f"the producer has ended without {text!r}")

    def close(self) -> dict[str, Any]:
        """Let the producer and its consumer end, well; return the consumer's report."""
        status, out, err = self.producer.finish()
        assert status == 0, err
        assert out.startswith(f"sent: {self.count:,} ticks")
        status, out, err = self.consumer.finish()
        assert status == 0, err
        report: dict[str, Any] = json.loads(out)
        assert (report["messages"], report["lost"]) == (self.count, 0)
        assert report["checksum_matches"] is True
        return report

    def recorded(self) -> list[tuple[int, bytes]]:
        """Return what is in the recorder's file, as (type_id, tick)."""
        content, at, records = self.file.read_bytes(), 0, []
        while at < len(content):
            _, _, count = BLOCK.unpack_from(content, at)
            at += BLOCK.size
            end = at + count * RECORD.size
            records += RECORD.iter_unpack(content[at:end])
            at = end
        assert records.pop()[0] == SENTINEL
        return records

    def sent(self) -> list[tuple[int, bytes]]:
        rows = itertools.islice(itertools.cycle(ROWS), self.count)
        return [(t, struct.pack(FMT, s, price, qty, 0)) for s, price, qty, t in rows]


@pytest.fixture
def market(start: Start, socket: Path, tmp_path: Path) -> Market:
    return Market(start, socket, tmp_path)


def shown(report: dict[str, Any]) -> set[str]:
    """Return what the display shows if it has the same last ticks as the consumer."""
    last = report["last"].items()
    return {f"  {symbol} {tick['side']} {tick['price']:.2f}" for symbol, tick in last}


def test_each_reader_gets_every_tick(market: Market) -> None:
    market.open(count=50_000, rate=50_000)
    report = market.close()
    assert market.recorder.output() == (
        "recorded: 50,000 of 50,000 ticks, 0 came again, the sum is right\n"
    )
    first, *prices = market.display.output().splitlines()
    assert first == "display: 50000 ticks, left behind 0 times"
    assert set(prices) == shown(report)
    assert market.recorded() == market.sent()


def test_a_recorder_that_is_killed_goes_on_where_it_was(market: Market) -> None:
    market.open(count=60_000, rate=20_000)
    deadline = time.monotonic() + TIME_LIMIT
    while not market.file.exists() or market.file.stat().st_size < 10_000 * RECORD.size:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    market.recorder.kill()
    market.recorder.finish()
    before = market.file.stat().st_size // RECORD.size
    assert before < market.count, "it was killed after the end"
    again = market.record()
    market.close()
    out = again.output()
    assert re.fullmatch(
        r"recorded: 60,000 of 60,000 ticks, [\d,]+ came again, the sum is right\n", out
    )
    assert market.recorded() == market.sent()
    assert market.display.finish()[0] == 0


def test_a_display_that_is_stopped_is_let_go_and_the_others_lose_nothing(
    market: Market,
) -> None:
    market.open(count=100_000, rate=50_000)
    time.sleep(0.2)
    market.display.process.send_signal(signal.SIGSTOP)
    market.wait_for_event("too slow")
    market.display.process.send_signal(signal.SIGCONT)
    report = market.close()
    assert market.recorder.output() == (
        "recorded: 100,000 of 100,000 ticks, 0 came again, the sum is right\n"
    )
    status, out, err = market.display.finish()
    assert status == 0, err
    assert "has let this consumer go" in err
    first, *prices = out.splitlines()
    match = re.fullmatch(r"display: (\d+) ticks, left behind 1 times", first)
    assert match is not None, first
    assert int(match[1]) < market.count
    assert set(prices) == shown(report)
