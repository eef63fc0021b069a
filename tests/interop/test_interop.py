# SPDX-License-Identifier: Apache-2.0
"""Every language sends to every language, through peers with one command line.

A peer is given a role, a count, a seed and a list of sizes. Both ends derive the same
stream from the seed: SplitMix64 first fills a tape of 512 KiB with its words, little
endian; then each message takes three words: the first modulo the number of sizes picks
the size (and its upper half how much more is reserved), the second's lower half is the
type, and the third says where on the tape the bytes are. The consumer compares each
message with what it should be. Both print their count, their bytes and the Adler-32 of
all payloads.

With a batch of 1 a producer sends singly and a consumer takes singly; with more, the
producer reserves, commits and flushes by the batch, and the consumer drains batches.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

PEERS = {
    name: os.environ[f"TACHYON_PEER_{name.upper()}"].split("|")
    for name in ("c", "python", "rust")
}
PEER_DEAD = 3  # exit status of a peer whose other end died
CAPACITY = 1 << 18
LARGEST = CAPACITY - 128
SMALL = (0, 1, 8, 31, 32, 33, 63, 64, 65, 200)
MIXED = (*SMALL, 1_000, 4_096, 65_536, LARGEST)
TIME_LIMIT = 30.0
GRACE = 10.0  # for a peer whose other end has ended


class Pair:
    """A producer and a consumer process on one socket."""

    def __init__(self, directory: Path) -> None:
        self._socket = str(directory / "bus")
        self._processes: list[subprocess.Popen[str]] = []

    def start(self, peer: str, role: str, *, listens: bool, **options: object) -> None:
        """Start a peer; the options become its own."""
        command = [*PEERS[peer], role, "--socket", self._socket]
        if listens:
            command += ["--listen", str(CAPACITY)]
        for name, value in options.items():
            command += [f"--{name.replace('_', '-')}", str(value)]
        self._processes.append(
            subprocess.Popen(
                command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        )

    def finish(self) -> list[tuple[int, str, str]]:
        """(exit status, stdout, stderr) of each, in the order they were started."""
        wait_for_any(self._processes, TIME_LIMIT)
        results = []
        for process in self._processes:
            out, err = process.communicate(timeout=GRACE)
            results.append((process.returncode, out.strip(), err.strip()))
        return results

    def kill(self) -> None:
        """End what is still running."""
        for process in self._processes:
            process.kill()
            process.communicate()


def wait_for_any(processes: list[subprocess.Popen[str]], limit: float) -> None:
    deadline = time.monotonic() + limit
    while all(process.poll() is None for process in processes):
        assert time.monotonic() < deadline, "neither peer has ended"
        time.sleep(0.005)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(tmp_path)
    yield pair
    pair.kill()


PAIRS = [(producer, consumer) for producer in PEERS for consumer in PEERS]
every_pair = pytest.mark.parametrize(
    ("producer", "consumer"), PAIRS, ids=["_to_".join(pair) for pair in PAIRS]
)


@every_pair
@pytest.mark.parametrize("listener", ["producer", "consumer"])
@pytest.mark.parametrize(("sent", "taken"), [(1, 1), (50, 1), (1, 64), (50, 64)])
@pytest.mark.parametrize(
    ("sizes", "count"), [(SMALL, 20_000), (MIXED, 1_000)], ids=["small", "mixed"]
)
def test_everything_arrives_as_it_was_sent(
    pair: Pair,
    *,
    producer: str,
    consumer: str,
    listener: str,
    sent: int,
    taken: int,
    sizes: tuple[int, ...],
    count: int,
) -> None:
    stream = {
        "count": count,
        "seed": 20_000 + sent + taken,
        "sizes": ",".join(map(str, sizes)),
    }
    pair.start(
        consumer, "consume", listens=listener == "consumer", batch=taken, **stream
    )
    pair.start(
        producer, "produce", listens=listener == "producer", batch=sent, **stream
    )
    (consumed, received, consumer_err), (produced, emitted, producer_err) = (
        pair.finish()
    )
    assert (consumed, consumer_err) == (0, "")
    assert (produced, producer_err) == (0, "")
    assert received == emitted
    assert received.startswith(f"count={count} ")


@every_pair
@pytest.mark.parametrize(("sent", "taken"), [(1, 64), (50, 1)])
def test_what_was_flushed_outlives_the_producer(
    pair: Pair, producer: str, consumer: str, sent: int, taken: int
) -> None:
    stream = {"count": 20_000, "seed": 7, "sizes": ",".join(map(str, SMALL))}
    pair.start(consumer, "consume", listens=True, batch=taken, **stream)
    pair.start(
        producer, "produce", listens=False, batch=sent, die_after=5_000, **stream
    )
    (consumed, received, _), (produced, emitted, _) = pair.finish()
    assert (consumed, produced) == (PEER_DEAD, -signal.SIGKILL)
    assert received == emitted
    assert received.startswith("count=5000 ")


@every_pair
def test_a_producer_learns_that_its_consumer_died(
    pair: Pair, producer: str, consumer: str
) -> None:
    # Far more than the ring holds: the producer must run into the dead end.
    stream = {"count": 1_000_000, "seed": 7, "sizes": "1000"}
    pair.start(consumer, "consume", listens=True, die_after=100, **stream)
    pair.start(producer, "produce", listens=False, **stream)
    (consumed, _, _), (produced, _, error) = pair.finish()
    assert (consumed, produced) == (-signal.SIGKILL, PEER_DEAD)
    assert error != ""
