# SPDX-License-Identifier: Apache-2.0
"""The Rust producer and the Python consumer in their own processes."""

import importlib.util
import os
import re
from pathlib import Path

import numpy as np
import pytest
from consumer import ARRAYS
from frames import End, Frame

from tachyon import Bus

from conftest import Start, wait_until_connected, wait_until_listening

CONSUMER = Path(__file__).resolve().parent / "consumer.py"
PRODUCER = os.environ["FRAME_PRODUCER"]
FRAME, FRAME_SIZE, END = Frame.type_id, Frame.size, End.type_id
# What a frame takes in the ring: its first line, and its samples.
STRIDE = 64 + FRAME_SIZE


@pytest.fixture(params=ARRAYS)
def array(request: pytest.FixtureRequest) -> str:
    """Return each way to make an array that can be had here."""
    if request.param == "torch" and importlib.util.find_spec("torch") is None:
        pytest.skip("PyTorch is not installed")
    return str(request.param)


def sawtooth(frames: int) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    return np.arange(frames * 256) % 65_536 / 65_536 - 0.5


@pytest.mark.parametrize("count", [0, 1, 100_000])
def test_every_frame_arrives_whole(
    start: Start, socket: Path, array: str, count: int
) -> None:
    consumer = start(CONSUMER, "--socket", socket, "--array", array)
    producer = start(PRODUCER, "--socket", socket, "--count", count)
    sent = re.fullmatch(
        rf"sent: {count:,} frames in \d+\.\d{{3}} s, Adler-32 ([0-9a-f]{{8}})\n",
        producer.output(),
    )
    assert sent is not None
    received = re.fullmatch(
        rf"received: {count:,} frames, Adler-32 {sent[1]} as sent\n"
        r"mean energy of a frame: (\d+\.\d{4})\n"
        r"\d+\.\d{3} M frames/s, \d+\.\d{3} GB/s \(\d+\.\d{3} s\)\n",
        consumer.output(),
    )
    assert received is not None
    mean = float(np.sum(sawtooth(count) ** 2)) / max(count, 1)
    assert float(received[1]) == pytest.approx(mean, abs=2e-4)


def test_arrays_are_the_shared_memory_itself(
    start: Start, socket: Path, array: str
) -> None:
    count = 32  # what one flush publishes: the 32nd commit flushes by itself
    start(PRODUCER, "--socket", socket, "--count", count)
    with Bus.listen(socket, 1 << 20, timeout=10) as bus:
        with bus.drain_batch() as batch:
            frames = [
                np.asarray(ARRAYS[array](view))
                for view in batch
                if view.type_id == FRAME
            ]
            assert len(frames) == count
            addresses = [frame.ctypes.data for frame in frames]
            assert np.diff(addresses).tolist() == [STRIDE] * (count - 1)
            assert addresses[0] % 64 == 0
            assert np.array_equal(np.concatenate(frames), sawtooth(count))
            if array != "torch":  # which knows no read-only tensor
                assert not any(frame.flags.writeable for frame in frames)
            del frames


@pytest.mark.parametrize(
    ("messages", "cause"),
    [
        ([(FRAME, bytes(FRAME_SIZE - 4))], "a message of type 1 and 1020 bytes came"),
        ([(9, bytes(FRAME_SIZE))], "a message of type 9 and 1024 bytes came"),
        ([(FRAME, bytes(FRAME_SIZE))], "the stream ended without its last message"),
        (
            [(FRAME, bytes(FRAME_SIZE)), (END, bytes(End(2, 0x04000001)))],
            "1 frames with Adler-32 04000001 came, 2 with 04000001 were sent",
        ),
        (
            [(FRAME, b"\1" * FRAME_SIZE), (END, bytes(End(1, 0x04000001)))],
            "were sent",
        ),
    ],
)
def test_a_stream_that_is_not_what_was_sent_is_refused(
    start: Start, socket: Path, messages: list[tuple[int, bytes]], cause: str
) -> None:
    consumer = start(CONSUMER, "--socket", socket)
    with Bus.connect(socket, timeout=10) as bus:
        for type_id, data in messages:
            bus.send(data, type_id)
    status, out, err = consumer.finish()
    assert (status, out) == (1, "")
    assert re.fullmatch(rf"consumer: .*{cause}; \d frames had come\n", err)


@pytest.mark.parametrize("victim", ["producer", "consumer"])
def test_the_death_of_one_ends_the_other(
    start: Start, socket: Path, victim: str
) -> None:
    programs = {"consumer": start(CONSUMER, "--socket", socket)}
    wait_until_listening(socket)
    programs["producer"] = start(PRODUCER, "--socket", socket, "--count", 2**40)
    wait_until_connected(socket)
    programs.pop(victim).kill()
    ((survivor, program),) = programs.items()
    status, out, err = program.finish()
    assert (status, out) == (1, "")
    assert re.match(f"{survivor}: .*peer .*died", err)
