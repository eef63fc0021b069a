# SPDX-License-Identifier: Apache-2.0
"""The C producer and the Python consumer in their own processes."""

import hashlib
import os
import random
import re
from pathlib import Path

import pytest

from conftest import Start, wait_until_connected, wait_until_listening

CONSUMER = Path(__file__).resolve().parent / "consumer.py"
PRODUCER = os.environ["STREAM_PRODUCER"]


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 50_000_003])
def test_the_stream_arrives_whole(
    start: Start, socket: Path, tmp_path: Path, size: int
) -> None:
    content = random.Random(size).randbytes(size)
    file = tmp_path / "input"
    file.write_bytes(content)
    with file.open("rb") as stdin:
        producer = start(PRODUCER, socket, stdin=stdin)
    consumer = start(CONSUMER, "--socket", socket)
    messages = -(-size // 65_536)
    assert producer.output() == f"sent: {size} bytes in {messages} messages\n"
    assert re.fullmatch(
        rf"received: {size} bytes in {messages} messages, \d+ MB/s\n"
        f"sha256: {hashlib.sha256(content).hexdigest()}\n",
        consumer.output(),
    )


def test_a_pipe_is_streamed_as_it_is_written(start: Start, socket: Path) -> None:
    reader, writer = os.pipe()
    consumer = start(CONSUMER, "--socket", socket)
    wait_until_listening(socket)
    producer = start(PRODUCER, socket, stdin=reader)
    os.close(reader)
    wait_until_connected(socket)
    os.write(writer, b"a" * 100)
    os.close(writer)
    assert producer.output() == "sent: 100 bytes in 1 messages\n"
    assert hashlib.sha256(b"a" * 100).hexdigest() in consumer.output()


def test_a_producer_that_cannot_read_on_does_not_end_the_stream(
    start: Start, socket: Path, tmp_path: Path
) -> None:
    directory = os.open(tmp_path, os.O_RDONLY)
    consumer = start(CONSUMER, "--socket", socket)
    producer = start(PRODUCER, socket, stdin=directory)
    os.close(directory)
    assert producer.finish() == (1, "", "producer: standard input: Is a directory\n")
    status, out, err = consumer.finish()
    assert (status, out) == (1, "")
    assert re.fullmatch("consumer: .*peer .*died.*; 0 bytes had come\n", err)


def test_a_producer_notices_that_its_consumer_died(start: Start, socket: Path) -> None:
    consumer = start(CONSUMER, "--socket", socket)
    wait_until_listening(socket)
    with Path("/dev/zero").open("rb") as stdin:
        producer = start(PRODUCER, socket, stdin=stdin)
    wait_until_connected(socket)
    consumer.kill()
    status, out, err = producer.finish()
    assert (status, out) == (1, "")
    assert re.fullmatch("producer: send: .*peer .*died.*\n", err)
