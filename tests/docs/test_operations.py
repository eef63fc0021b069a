# SPDX-License-Identifier: Apache-2.0
"""The numbers in docs/OPERATIONS.md are those of the running library."""

import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tachyon import Bus, Role, SlowPeer

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "OPERATIONS.md").read_text()
CAPACITY = 1 << 20
Ends = tuple[Bus, Bus]


def number(text: str) -> int:
    return int(text.replace(",", ""))


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture
def ends(tmp_path: Path) -> Iterator[Ends]:
    """Return a producer and a consumer."""
    listeners: list[Bus] = []
    path = tmp_path / "bus.sock"
    thread = threading.Thread(
        target=lambda: listeners.append(Bus.listen(path, CAPACITY, timeout=30))
    )
    thread.start()
    with Bus.connect(path, timeout=30) as producer:
        thread.join()
        with listeners[0] as consumer:
            yield producer, consumer


def test_a_message_takes_what_the_page_says(ends: Ends) -> None:
    producer, consumer = ends
    pairs = re.findall(r"([\d,]+) → ([\d,]+)", PAGE)
    assert len(pairs) >= 3
    known = {0: 64, 1: 64, 32: 64} | {number(a): number(b) for a, b in pairs}
    for payload, taken in known.items():
        before = producer.stats().ring_bytes
        producer.send(bytes(payload))
        assert producer.stats().ring_bytes - before == taken, payload
        consumer.recv()


def test_a_slot_that_is_not_filled_takes_the_larger_form(ends: Ends) -> None:
    producer, _ = ends
    with producer.send_zero_copy(33) as tx:
        tx.actual_size = 1
    assert producer.stats().ring_bytes == 128


def test_the_largest_message_is_the_capacity_less_128(ends: Ends) -> None:
    producer, consumer = ends
    assert producer.max_payload == CAPACITY - 128
    producer.send(bytes(CAPACITY - 128), block=False)
    assert consumer.recv().size == CAPACITY - 128


def test_an_end_has_three_descriptors_and_with_fileno_four(tmp_path: Path) -> None:
    assert "3 for each open end (socket, pidfd, [statistics]" in PAGE
    assert ", 1 more if its `fileno()`" in PAGE
    before = descriptors()
    listeners: list[Bus] = []
    path = tmp_path / "bus.sock"
    thread = threading.Thread(
        target=lambda: listeners.append(Bus.listen(path, CAPACITY, timeout=30))
    )
    thread.start()
    while not path.exists():
        pass
    while descriptors() < before + 5:  # socket, ring, lock, directory, the path itself
        pass
    assert "while it listens about 5" in PAGE
    producer = Bus.connect(path, timeout=30)
    thread.join()
    assert descriptors() == before + 2 * 3
    producer.fileno()
    assert descriptors() == before + 2 * 3 + 1
    producer.send(b"")
    producer.close()
    listeners[0].close()
    assert descriptors() == before


def test_the_memory_is_there_at_once_and_mapped_twice(ends: Ends) -> None:
    maps = [
        line.split(maxsplit=5)
        for line in Path("/proc/self/maps").read_text().splitlines()
        if "/memfd:tachyon " in line
    ]
    mapped = 0
    for line in maps:
        start, end = (int(part, 16) for part in line[0].split("-"))
        mapped += end - start
    assert mapped == 2 * (2 * CAPACITY + 8192)  # both ends are in this process
    status = Path("/proc/self/status").read_text()
    resident = re.search(r"^RssShmem:\s+(\d+)", status, re.M)
    assert resident is not None
    assert int(resident[1]) * 1024 >= mapped


def shared() -> int:
    """Return the bytes of all rings, once each, however often they are mapped."""
    ends: dict[str, int] = {}
    for line in Path("/proc/self/maps").read_text().splitlines():
        addresses, _, offset, _, inode, *path = line.split(maxsplit=5)
        if path and path[0].startswith("/memfd:tachyon "):
            start, end = (int(part, 16) for part in addresses.split("-"))
            last = int(offset, 16) + end - start
            ends[inode] = max(ends.get(inode, 0), last)
    return sum(ends.values())


@pytest.mark.parametrize(
    ("options", "own", "text"),
    [
        ({"role": Role.PRODUCER}, 11, "| 11, 1 more for `DISCONNECT` or a kept place,"),
        ({"slow_peer": SlowPeer.DISCONNECT, "slow_after": 1}, 12, ""),
        ({"keep_place": 1}, 12, ""),
        ({"role": Role.CONSUMER}, 10, "| 10, and 2 for each producer |"),
    ],
    ids=["broadcast", "disconnecting", "keeping", "collecting"],
)
def test_many_peers_take_what_the_page_says(
    tmp_path: Path, options: dict[str, Any], own: int, text: str
) -> None:
    assert text in PAGE
    options = {"role": Role.PRODUCER} | options
    if options["role"] is Role.PRODUCER:
        assert "| memory | capacity, once, and 8 KiB for each reader |" in PAGE
        once, each = CAPACITY, 8192
    else:
        assert "| capacity + 8 KiB for each producer |" in PAGE
        once, each = 0, CAPACITY + 8192
    path = tmp_path / "bus.sock"
    before = descriptors()
    peers: list[Bus] = []
    with Bus.listen(path, CAPACITY, max_peers=3, **options) as bus:
        assert (descriptors() - before, shared()) == (own, once)
        for count in range(1, 4):
            thread = threading.Thread(
                target=lambda: peers.append(Bus.connect(path, timeout=30))
            )
            thread.start()
            bus.accept(timeout=30)
            thread.join()
            # 3 of the peer's own, which is in this process too.
            assert descriptors() - before == own + count * (2 + 3)
            assert shared() == once + count * each
        for peer in peers:
            peer.close()
    assert descriptors() == before


def test_the_examples_of_sizing_are_right() -> None:
    found = re.search(r"1 MiB is ([\d,]+) of them, a pause of (\d+) ms", PAGE)
    assert found is not None
    assert number(found[1]) == CAPACITY // 64
    assert int(found[2]) == round(1000 * number(found[1]) / 100_000)
