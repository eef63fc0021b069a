# SPDX-License-Identifier: Apache-2.0
"""The queue between processes, and what becomes of one end when another dies."""

import contextlib
import multiprocessing
import re
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from message_queue import Handle, MessageQueue

from tachyon import ClosedError, EventKind, PeerDeadError, TachyonError

from conftest import Start

HERE = Path(__file__).resolve().parent
CHUNK = 4096
CONTEXT = multiprocessing.get_context("spawn")
PATIENCE = 20.0

Make = Callable[..., MessageQueue]
Connect = Callable[..., MessageQueue]


@pytest.fixture
def make() -> Iterator[Make]:
    """Return a function that makes a writer's end, with small chunks."""
    with contextlib.ExitStack() as ends:

        def make(readers: int, chunks: int = 4) -> MessageQueue:
            queue = MessageQueue(
                readers, readers, max_chunk_bytes=CHUNK, max_chunks=chunks
            )
            ends.callback(queue.close)
            return queue

        yield make


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Return a function that makes a reader's end in this process, and connects it."""
    with contextlib.ExitStack() as ends:

        def connect(handle: Handle, rank: int = 0) -> MessageQueue:
            queue = MessageQueue.create_from_handle(handle, rank)
            ends.callback(queue.close)
            queue.wait_until_ready(PATIENCE)
            return queue

        yield connect


def echo(handle: Handle, rank: int, pipe: Connection) -> None:
    """Send back all that comes, and at the end its cause."""
    queue = MessageQueue.create_from_handle(handle, rank)
    queue.wait_until_ready(PATIENCE)
    try:
        while True:
            pipe.send(queue.dequeue())
    except (ClosedError, PeerDeadError) as end:
        pipe.send(type(end).__name__)


def write(count: int, pipe: Connection) -> None:
    """Send numbers to two readers, and be killed."""
    queue = MessageQueue(2, 2)
    pipe.send(queue.export_handle())
    queue.wait_until_ready(PATIENCE)
    for number in range(count):
        queue.enqueue(number)
    pipe.send("sent")
    time.sleep(PATIENCE)


def run(target: Callable[..., None], *args: object) -> tuple[Any, Connection]:
    """Start a process and return it and an end of its pipe."""
    here, there = CONTEXT.Pipe()
    process = CONTEXT.Process(target=target, args=(*args, there), daemon=True)
    process.start()
    there.close()
    return process, here


OBJECTS = {
    "nothing": None,
    "a tree": {"tokens": [1, 2, 3], "text": "\u2713", "bytes": b"\0" * 100},
    "an array": np.arange(100, dtype=np.float32),
    "arrays": [np.arange(7, dtype=np.int8), np.ones((3, 5), order="F"), np.zeros(0)],
    "a column": np.arange(100).reshape(10, 10)[:, 3],
    "just a chunk": b"x" * (CHUNK - 150),
    "more than a chunk": np.arange(1_000),
    "more than the ring": np.random.default_rng(1).random((50, 1_000)),
    "many arrays": [np.full(3, i) for i in range(2_000)],
}


def kill(process: Any) -> None:
    process.kill()
    process.join()


def receive(pipe: Connection) -> Any:
    assert pipe.poll(PATIENCE), "nothing has come"
    return pipe.recv()


def test_every_reader_gets_every_object_as_it_was(make: Make) -> None:
    queue = make(4)
    pipes = [run(echo, queue.export_handle(), rank)[1] for rank in range(4)]
    queue.wait_until_ready(PATIENCE)
    for what, obj in OBJECTS.items():
        queue.enqueue(obj, PATIENCE)
        for pipe in pipes:
            np.testing.assert_equal(receive(pipe), obj, what)
    queue.close()
    assert [receive(pipe) for pipe in pipes] == ["ClosedError"] * 4


def test_received_arrays_are_the_readers_own(make: Make, connect: Connect) -> None:
    queue = make(1)
    reader = connect(queue.export_handle())
    queue.wait_until_ready(PATIENCE)
    sent = np.arange(100)
    for number in range(50):  # several times round the ring
        queue.enqueue([sent, number])
        received, nth = reader.dequeue()
        assert nth == number
        if number == 0:
            first = received
            first += 1
    np.testing.assert_array_equal(first, sent + 1)


def test_a_killed_reader_is_an_event_and_the_others_go_on(make: Make) -> None:
    queue = make(4)
    handle = queue.export_handle()
    readers = [run(echo, handle, rank) for rank in range(4)]
    queue.wait_until_ready(PATIENCE)
    assert {event.name for event in queue.events()} == {f"rank {i}" for i in range(4)}
    kill(readers[2][0])
    pipes = [pipe for rank, (_, pipe) in enumerate(readers) if rank != 2]
    for number in range(500):  # more than the ring has room for
        queue.enqueue(number, PATIENCE)
        assert [receive(pipe) for pipe in pipes] == [number] * 3
    (event,) = queue.events()
    assert (event.kind, event.name) == (EventKind.LEFT, "rank 2")
    assert event.reason is PeerDeadError

    pipes.append(run(echo, handle, 2)[1])
    queue.wait_until_ready(PATIENCE)
    queue.enqueue("again", PATIENCE)
    assert [receive(pipe) for pipe in pipes] == ["again"] * 4


def test_the_death_of_the_last_reader_ends_a_wait_for_it(make: Make) -> None:
    queue = make(1)
    reader, pipe = run(echo, queue.export_handle(), 0)
    queue.wait_until_ready(PATIENCE)
    threading.Timer(0.5, reader.kill).start()
    queue.enqueue(bytes(1 << 26), PATIENCE)  # in more chunks than it gets to read
    end = time.monotonic() + PATIENCE
    kinds: list[EventKind] = []
    while EventKind.LEFT not in kinds:  # until the thread at the door knows it
        assert time.monotonic() < end
        kinds += [event.kind for event in queue.events()]
        time.sleep(0.01)
    with pytest.raises(PeerDeadError, match="no reader"):
        queue.enqueue("nobody is there")
    pipe.close()


def test_a_killed_writer_is_an_error_at_each_reader(connect: Connect) -> None:
    process, pipe = run(write, 10)
    handle = receive(pipe)
    readers = [connect(handle, rank) for rank in range(2)]
    assert receive(pipe) == "sent"
    ends: list[BaseException] = []

    def wait(reader: MessageQueue) -> None:
        try:
            reader.dequeue()
        except PeerDeadError as end:
            ends.append(end)

    for reader in readers:
        assert [reader.dequeue(PATIENCE) for _ in range(10)] == list(range(10))
    waiting = [threading.Thread(target=wait, args=(reader,)) for reader in readers]
    for thread in waiting:
        thread.start()
    kill(process)
    for thread in waiting:
        thread.join(PATIENCE)
    assert len(ends) == 2


def test_an_object_that_was_not_sent_in_time_is_not_received(
    make: Make, connect: Connect
) -> None:
    queue = make(2)
    slow = connect(queue.export_handle(), 0)
    while not queue.events():
        time.sleep(0.001)
    with pytest.raises(TimeoutError):
        queue.enqueue(bytes(100 * CHUNK), 0.1)
    late = connect(queue.export_handle(), 1)  # in the middle of it
    with pytest.raises(TimeoutError):
        slow.dequeue(0.01)
    queue.enqueue("whole", PATIENCE)
    assert slow.dequeue(PATIENCE) == late.dequeue(PATIENCE) == "whole"


def test_a_large_object_may_be_received_in_several_attempts(
    make: Make, connect: Connect
) -> None:
    queue = make(1)
    reader = connect(queue.export_handle())
    queue.wait_until_ready(PATIENCE)
    sent = bytes(50 * CHUNK)
    with pytest.raises(TimeoutError):
        reader.dequeue(0)
    sender = threading.Thread(target=queue.enqueue, args=(sent, PATIENCE))
    sender.start()
    received = None
    while received is None:
        with contextlib.suppress(TimeoutError):
            received = reader.dequeue(0)
    assert received == sent
    sender.join()


def test_a_wait_can_be_limited_and_cancelled(make: Make, connect: Connect) -> None:
    queue = make(1)
    reader = connect(queue.export_handle())
    queue.wait_until_ready(PATIENCE)
    cancel = threading.Event()
    with pytest.raises(TimeoutError):
        reader.dequeue(0.01)
    with pytest.raises(TimeoutError):
        reader.dequeue(0.12, cancel, indefinite=True)
    threading.Timer(0.1, cancel.set).start()
    with pytest.raises(RuntimeError, match="cancelled"):
        reader.dequeue(PATIENCE, cancel)
    queue.enqueue(1)
    assert reader.dequeue(PATIENCE, threading.Event()) == 1


def test_broadcast_object_sends_at_one_end_and_receives_at_the_other(
    make: Make, connect: Connect
) -> None:
    queue = make(1)
    reader = connect(queue.export_handle())
    queue.wait_until_ready(PATIENCE)
    assert queue.broadcast_object("to all") == "to all"
    assert reader.broadcast_object() == "to all"


def test_ends_do_what_is_theirs(make: Make, connect: Connect) -> None:
    queue = make(1)
    with pytest.raises(PeerDeadError, match="no reader"):
        queue.enqueue(1)
    with pytest.raises(TimeoutError, match="0 of 1 readers"):
        queue.wait_until_ready(0.01)
    early = MessageQueue.create_from_handle(queue.export_handle(), 0)
    with pytest.raises(ClosedError, match="not open"):
        early.dequeue()
    connect(queue.export_handle())
    with pytest.raises(TachyonError, match="our name lives"):
        early.wait_until_ready(0.1)
    with pytest.raises(TachyonError):
        queue.dequeue()


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        ({"n_reader": 2, "n_local_reader": 1}, "n_local_reader 1: .*on this machine"),
        ({"n_reader": 0, "n_local_reader": 0}, "one or more"),
        (
            {"n_reader": 2, "n_local_reader": 2, "local_reader_ranks": [1, 1]},
            r"\(1, 1\) are not the ranks of 2 readers",
        ),
        (
            {"n_reader": 1, "n_local_reader": 1, "max_chunk_bytes": 4095},
            "10 chunks of 4095 bytes: .*less than 4096",
        ),
        ({"n_reader": 1, "n_local_reader": 1, "max_chunks": 1}, "1 chunks"),
        (
            {"n_reader": 1, "n_local_reader": 1, "max_chunks": 200},
            "more than 2147483648",
        ),
    ],
)
def test_what_cannot_be_is_refused(arguments: dict[str, Any], cause: str) -> None:
    with pytest.raises(ValueError, match=cause):
        MessageQueue(**arguments)


def test_a_rank_that_is_none_is_refused(make: Make) -> None:
    with pytest.raises(ValueError, match=r"rank 1 is none of \(0,\)"):
        MessageQueue.create_from_handle(make(1).export_handle(), 1)


def test_the_workers_go_on_without_the_one_that_is_killed(start: Start) -> None:
    lines = start(HERE / "workers.py", "--steps", 400).output().splitlines()
    assert lines[0] == "4 workers are ready"
    assert re.fullmatch("rank 2 has left: PeerDeadError", lines[1])
    sums = {
        rank: 396 * sum(range(rank, 1_000, 4)) + 4 * sum(range(rank, 300_000, 4))
        for rank in (0, 1, 3)
    }
    assert {line.split(": ", 1)[0]: line.split(": ")[1] for line in lines[2:]} == {
        f"worker {rank}": f"400 steps, sum {total:,}" for rank, total in sums.items()
    }


def test_the_figures(start: Start) -> None:
    out = start(HERE / "measure.py", "--rounds", 1, "--count", 50).output()
    title, _, rule, *rows = out.splitlines()
    assert re.fullmatch(r"readers: 4, processors: \d+, rounds: 1", title)
    assert rule == "|---|---|---|---|"
    figures = dict(row.strip("| ").split(" | ", 1) for row in rows)
    idle, busy, _ = map(float, figures["processors while idle"].split(" | "))
    assert idle < 0.01
    assert busy > 10 * idle
