# SPDX-License-Identifier: Apache-2.0
"""Statistics pages, as Python reads them."""

import fcntl
import os
import struct
import threading
import time
from pathlib import Path

import pytest

import tachyon
from tachyon.tools import page, processes

SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
TACHYON = struct.pack("=II", page.MAGIC, page.VERSION)


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
    return {found.side: found for found in processes.pages() if found.path == path}


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
        assert set(processes.pages(os.getpid())) >= set(pages_of(path).values())
    assert pages_of(path) == {}


def read(content: bytes, seals: int = SEALS) -> page.Page | None:
    """Read a memfd of these bytes as a page."""
    fd = os.memfd_create("tachyon-page", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.write(fd, content)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
        return page.read(f"/proc/self/fd/{fd}", 1)
    finally:
        os.close(fd)


def test_what_is_no_page_is_none(tmp_path: Path) -> None:
    whole = TACHYON.ljust(page.SIZE, b"\0")
    assert read(whole)
    later = struct.pack("=II", page.MAGIC, page.VERSION + 1) + whole[8:]
    for content in b"", whole[:-1], whole + b"\0", b"x" + whole[1:], later:
        assert read(content) is None
    assert read(whole, seals=fcntl.F_SEAL_GROW) is None  # it could shrink under us
    (tmp_path / "file").write_bytes(whole)
    assert page.read(tmp_path / "file", 1) is None
    assert page.read(tmp_path / "nothing", 1) is None


@pytest.mark.timeout(30)
def test_a_pipe_of_that_name_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert page.read(tmp_path / "pipe", 1) is None


def test_whatever_a_page_says_is_only_data() -> None:
    found = read(TACHYON + b"\xff" * (page.SIZE - 8))
    assert found
    assert (found.kind, found.side, found.role) == ("?", "?", "?")
    assert (found.messages, found.peer_pid) == (2**64 - 1, 2**32 - 1)
    assert os.fsencode(found.path) == b"\xff" * 112


def test_a_process_that_is_not_there_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        processes.pages(2**22 + 1)
