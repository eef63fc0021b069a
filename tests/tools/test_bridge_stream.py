# SPDX-License-Identifier: Apache-2.0
"""What bridges send each other, byte by byte, and what is missing in it."""

import random

import pytest

from tachyon.tools.backlog import Backlog
from tachyon.tools.ending import BadData
from tachyon.tools.stream import Follower, Head, Kind, batch, head_of, runs


def head(number: int, stream: int = 1, count: int = 0) -> Head:
    return Head(Kind.BATCH, stream, number, 0, count)


def test_a_head_is_these_bytes() -> None:
    packed = Head(Kind.BATCH, 0x1122334455667788, 5, 0xAABB, 3).pack()
    assert packed.hex() == (
        "01010000" "03000000" "8877665544332211" "0500000000000000" "bbaa000000000000"
    )  # fmt: skip
    assert head_of(packed).pack() == packed


def test_a_batch_comes_back_but_for_what_is_skipped() -> None:
    rng = random.Random(1)
    for count in (0, 1, 2, 500):
        type_ids = [rng.choice((0, 7, 0xFFFFFFFF)) for _ in range(count)]
        payloads = [rng.randbytes(rng.choice((0, 1, 8, 8, 8))) for _ in range(count)]
        data = batch(head(9, count=count), type_ids, payloads)
        for skip in {0, count // 2, count}:
            got = [
                (run.type_id, bytes(run.data[n * run.size : (n + 1) * run.size]))
                for run in runs(head_of(data), data, skip)
                for n in range(run.count)
            ]
            wanted = list(zip(type_ids, payloads, strict=True))
            assert got == wanted[skip:]


def test_every_cut_of_a_batch_is_refused() -> None:
    data = batch(head(0, count=2), [1, 2], [b"ab", b"cde"])
    for size in range(len(data)):
        with pytest.raises(BadData):
            list(runs(head_of(data[:size]), data[:size]))
    with pytest.raises(BadData, match="has 6 of them"):
        list(runs(head_of(data), data + b"x"))


def test_what_is_missing_is_named_and_what_comes_twice_is_known() -> None:
    said: list[str] = []
    follower = Follower(said.append)
    lives = {1}.__contains__
    assert follower.accepts(head(0), lives)
    assert follower.repeated(head(0), 10) == 0
    assert follower.repeated(head(10), 5) == 0
    assert follower.repeated(head(12), 5) == 3
    assert follower.repeated(head(3), 2) == 2
    assert (said, follower.next) == ([], 17)
    assert follower.repeated(head(20), 1) == 0
    assert said == ["lost messages 17 to 19 (3) of stream 0000000000000001"]
    assert (follower.lost, follower.next) == (3, 21)


def test_a_second_stream_waits_for_the_end_of_the_first() -> None:
    said: list[str] = []
    living = {1, 2}
    follower = Follower(said.append)
    assert follower.accepts(head(0), living.__contains__)
    follower.repeated(head(0), 4)
    assert not follower.accepts(head(0, 2), living.__contains__)
    assert not follower.accepts(head(1, 2), living.__contains__)
    assert len(said) == 1
    assert "two bridges" in said[0]
    living.remove(1)
    assert follower.accepts(head(7, 2), living.__contains__)
    assert "stopped before message 4" in said[1]
    assert "messages 0 to 6 (7) went before" in said[2]
    assert follower.lost == 0


def test_a_backlog_has_a_limit_and_an_end() -> None:
    backlog: Backlog[str] = Backlog(10)
    assert backlog.put("larger than all of it", 100, 0)
    assert not backlog.put("b", 1, 0)
    assert backlog.get(0) == "larger than all of it"
    assert not backlog.done(0)  # it is at work
    assert backlog.put("b", 9, 0)
    assert not backlog.put("c", 2, 0)
    assert backlog.get(0) == "b"
    assert backlog.get(0) is None
    assert backlog.done(0)
    backlog.close()
    assert not backlog.put("d", 1)
