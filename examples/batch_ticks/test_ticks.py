# SPDX-License-Identifier: Apache-2.0
"""Each way of sending gives the consumer the same stream."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import send_ticks

from conftest import Start, wait_until_connected, wait_until_listening

HERE = Path(__file__).resolve().parent
CONSUMER = os.environ["TACHYON_CONSUMER"]
NEVER_ENDING = 4_000_000_000


def run(start: Start, socket: Path, how: str, *options: object) -> dict[str, Any]:
    """Run both to their good end and return the consumer's result."""
    consumer = start(CONSUMER, "--json", "--socket", socket)
    wait_until_listening(socket)
    producer = start(
        HERE / "send_ticks.py", "--how", how, "--json", "--socket", socket, *options
    )
    assert json.loads(producer.output())["sent"] > 0
    status, out, err = consumer.finish()
    assert status == 0, err
    result: dict[str, Any] = json.loads(out)
    return result


@pytest.mark.parametrize("count", [1, 1_119, 2_241, 100_000])
@pytest.mark.parametrize("how", send_ticks.WAYS)
def test_every_count_arrives_whole(
    start: Start, socket: Path, how: str, count: int
) -> None:
    result = run(start, socket, how, "--count", count)
    assert (result["messages"], result["lost"]) == (count, 0)
    assert (result["bids"], result["asks"]) == ((count + 1) // 2, count // 2)
    assert result["checksum_matches"] is True
    assert result["latency_ns"]["max"] > 0


@pytest.mark.parametrize("how", send_ticks.WAYS)
def test_time_may_be_left_out(start: Start, socket: Path, how: str) -> None:
    result = run(start, socket, how, "--count", 5000, "--no-timestamp")
    assert (result["messages"], result["latency_ns"]) == (5000, None)


def test_only_the_pair_itself_is_paced(start: Start, socket: Path) -> None:
    producer = start(HERE / "send_ticks.py", "--socket", socket, "--rate", 1000)
    status, _, err = producer.finish()
    assert (status, err) == (2, "producer: only producer.py itself has a --rate\n")


@pytest.mark.parametrize("how", send_ticks.WAYS)
def test_one_row_of_one_side_is_enough(
    start: Start, socket: Path, tmp_path: Path, how: str
) -> None:
    quotes = tmp_path / "quotes.csv"
    quotes.write_text("symbol,side,price,quantity\nAAPL,ask,1.5,7\n")
    result = run(start, socket, how, "--input", quotes, "--count", 5000)
    assert (result["bids"], result["asks"]) == (0, 5000)
    assert result["last"] == {"AAPL": {"side": "ask", "price": 1.5, "quantity": 7}}


@pytest.mark.parametrize("how", send_ticks.WAYS)
def test_the_death_of_the_consumer_ends_it(
    start: Start, socket: Path, how: str
) -> None:
    consumer = start(CONSUMER, "--socket", socket)
    wait_until_listening(socket)
    producer = start(
        HERE / "send_ticks.py",
        *("--how", how, "--socket", socket, "--count", NEVER_ENDING),
    )
    wait_until_connected(socket)
    consumer.kill()
    status, out, err = producer.finish()
    assert (status, out) == (1, "")
    assert "the consumer died" in err


@pytest.mark.parametrize("how", send_ticks.WAYS)
def test_ctrl_c_ends_it(start: Start, socket: Path, how: str) -> None:
    consumer = start(CONSUMER, "--socket", socket)
    wait_until_listening(socket)
    producer = start(
        HERE / "send_ticks.py",
        *("--how", how, "--socket", socket, "--count", NEVER_ENDING),
    )
    assert consumer.process.stderr is not None
    while "received" not in consumer.process.stderr.readline():
        pass
    producer.process.send_signal(signal.SIGINT)
    status, _, err = producer.finish()
    assert status == 130
    assert err.endswith("producer: interrupted\n")
