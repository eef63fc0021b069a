# SPDX-License-Identifier: Apache-2.0
"""Statistics pages, as Python reads them."""

import os
import threading
import time
from pathlib import Path

import pytest

import tachyon
from tachyon.tools import page


def open_pair(path: str) -> tuple[tachyon.Bus, tachyon.Bus]:
    listeners: list[tachyon.Bus] = []
    thread = threading.Thread(
        target=lambda: listeners.append(tachyon.Bus.listen(path, 8192, timeout=30))
    )
    thread.start()
    connector = tachyon.Bus.connect(path, timeout=30, name="left")
    thread.join()
    return listeners[0], connector


def pages_of(path: str) -> dict[str, page.Page]:
    return {found.side: found for found in page.find() if found.path == path}


def test_both_ends_are_found_with_what_they_count(path: str) -> None:
    before = time.time_ns()
    listener, connector = open_pair(path)
    with listener, connector:
        for _ in range(10):
            connector.send(b"x" * 100)
        for _ in range(10):
            listener.recv()
        with pytest.raises(TimeoutError):
            listener.recv(timeout=0.01)
        connector.flush()
        found = pages_of(path)
        for side, bus in ("listener", listener), ("connector", connector):
            stats = bus.stats()
            for counter in ("capacity", "used", "messages", "ring_bytes", "flushes",
                            "full", "sleeps", "wakes"):  # fmt: skip
                assert getattr(found[side], counter) == getattr(stats, counter), counter
            assert (found[side].pid, found[side].peer_pid) == (os.getpid(),) * 2
            assert found[side].peer_uid == os.geteuid()
            assert before <= found[side].opened_ns <= time.time_ns()
        assert before <= found["listener"].message_ns <= time.time_ns()
        assert [found[s].role for s in ("listener", "connector")] == [
            "consumer",
            "producer",
        ]
        assert (found["listener"].kind, found["connector"].name) == ("bus", "left")
        assert set(page.find(os.getpid())) >= set(pages_of(path).values())
    assert pages_of(path) == {}


def test_what_is_no_page_is_none(tmp_path: Path) -> None:
    for content in b"", b"x" * 256, (page.MAGIC).to_bytes(4, "little") + b"\xff" * 252:
        file = tmp_path / "file"
        file.write_bytes(content)
        assert page.read(file, 1) is None


def test_a_process_that_is_not_there_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        page.find(2**22 + 1)
