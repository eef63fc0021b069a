# SPDX-License-Identifier: Apache-2.0
"""tachyon list and top: what is shown of rings is what their ends say."""

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tachyon
from tachyon import Bus, Role, RpcBus
from tachyon.tools import processes, rings
from tachyon.tools.rings import Ring

from conftest import Start, as_nobody, ended, run, wait_for

WIRE = Path(__file__).resolve().parents[2] / "docs/WIRE.md"
PEER = """
import sys, time, tachyon
options = {"role": tachyon.Role[sys.argv[2]], "timeout": 30}
if options["role"] is tachyon.Role.PRODUCER:
    bus = tachyon.Bus.listen(sys.argv[1], 1 << 14, **options)
else:
    bus = tachyon.Bus.connect(sys.argv[1], **options)
with bus:
    for line in sys.stdin:
        exec(line)
        print("done", flush=True)
"""


class Peer:
    """A process at an end, which runs lines that it is told; a producer listens."""

    def __init__(self, path: str, role: str, *names: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PEER, path, role, *names],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def do(self, line: str) -> None:
        """Run a line there."""
        assert self.process.stdin
        assert self.process.stdout
        print(line, file=self.process.stdin, flush=True)
        assert self.process.stdout.readline() == "done\n"

    def end(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.communicate()


@contextlib.contextmanager
def pair(path: str, capacity: int = 1 << 14) -> Iterator[tuple[Bus, Peer]]:
    """Return the sending end, which listens, and a receiving process."""
    peer = Peer(path, "CONSUMER")
    try:
        with Bus.listen(path, capacity, role=Role.PRODUCER, timeout=30) as bus:
            yield bus, peer
    finally:
        peer.end()


def ours(path: str) -> Ring:
    """Return the ring at a path."""
    (found,) = rings.look(path)[0]
    return found


def offsets(struct: str) -> dict[str, int]:
    """Return the offsets that docs/WIRE.md has."""
    text = WIRE.read_text().partition(f"### `struct {struct}`")[2].partition("\n###")[0]
    rows = re.findall(r"^\| (\d+) \| \d+ \| `([\w.]+)` \|", text, re.M)
    return {name: int(offset) for offset, name in rows}


def test_the_words_are_where_the_wire_reference_has_them() -> None:
    found = offsets("ring_shared")
    for name in (
        "producer_side",
        "wanted_tail",
        "tail",
        "wanted_head",
        "consumer_side",
    ):
        assert getattr(rings, name.upper()) == found[name]


def test_a_ring_has_path_ends_capacity_and_what_is_in_it(path: str) -> None:
    with pair(path) as (bus, peer):
        for size in (0, 1, 32, 33, 64, 65, 1000):
            bus.send(bytes(size))
        peer.do("bus.recv(); bus.recv()")
        ring = ours(path)
        assert (ring.paths, ring.kind, ring.capacity) == ([path], "bus", 1 << 14)
        producer, consumer = ring.end("producer"), ring.end("consumer")
        assert producer
        assert consumer
        assert (producer.process.pid, producer.side) == (os.getpid(), "listener")
        assert consumer.process.pid == peer.process.pid
        assert consumer.process.command.startswith(sys.executable)
        assert ring.taken == 128
        assert (ring.messages, ring.used) == (5, 64 + 2 * 128 + 192 + 64 + 1024)


def test_it_agrees_with_the_sender_whatever_is_sent_and_taken(path: str) -> None:
    chance = random.Random(1)
    with pair(path, 1 << 12) as (bus, peer):
        waiting: list[int] = []  # bytes of ring of each
        for _ in range(60):
            with contextlib.suppress(tachyon.RingFull):
                for _ in range(chance.randrange(12)):
                    size = chance.randrange(700)
                    bus.send(bytes(size), block=False)
                    waiting.append(64 if size <= 32 else 64 + (size + 63) // 64 * 64)
            if taken := chance.randrange(len(waiting) + 1):
                peer.do(f"[bus.recv() for _ in range({taken})]")
                del waiting[:taken]
            ring = ours(path)
            assert (ring.messages, ring.used) == (len(waiting), sum(waiting))


def test_messages_larger_than_what_is_read_at_once(path: str) -> None:
    with pair(path, 1 << 22) as (bus, _):
        sizes = [5000, 100_000, 10, 300_000, *[20] * 3000]
        for size in sizes:
            bus.send(bytes(size))
        ring = ours(path)
        assert (ring.messages, ring.used) == (len(sizes), bus.stats().used)


def test_a_ring_that_moves_is_never_shown_as_what_it_cannot_be(path: str) -> None:
    with pair(path, 1 << 16) as (bus, peer):
        assert peer.process.stdin
        print("while True: bus.recv()", file=peer.process.stdin, flush=True)
        ending = threading.Event()

        def send() -> None:
            while not ending.is_set():
                bus.send(b"x" * 50)

        thread = threading.Thread(target=send)
        thread.start()
        taken = []
        for _ in range(100):
            ring = ours(path)
            assert ring.used is None or 0 <= ring.used <= ring.capacity
            if ring.taken is not None:
                taken.append(ring.taken)
        ending.set()
        thread.join()
        assert taken == sorted(taken)
        assert taken[-1] > taken[0]


def test_lines_that_are_overwritten_while_they_are_read_are_not_used(
    path: str, monkeypatch: Any
) -> None:
    original = os.pread
    with pair(path, 1 << 12) as (bus, peer):
        for _ in range(5):
            bus.send(bytes(40))
        reads: list[str] = []

        def after_a_lap(file: int, size: int, at: int) -> bytes:
            if size > 8:  # the data, after the tail
                reads.append(os.readlink(f"/proc/self/fd/{file}"))
                if len(reads) == 1:
                    peer.do("[bus.recv() for _ in range(5)]")
                    bus.send(b"\xff" * 3600)
            return original(file, size, at)

        monkeypatch.setattr(os, "pread", after_a_lap)
        ring = ours(path)
        assert (ring.messages, ring.used) == (1, 64 + 3648)
        assert len(set(reads)) == 1  # it had not to try again through the other end


def test_who_sleeps_is_told(path: str) -> None:
    with pair(path, 1 << 12) as (bus, peer):
        assert peer.process.stdin
        print("bus.recv()", file=peer.process.stdin, flush=True)
        wait_for(lambda: ours(path).flags == ["consumer sleeps"])
        bus.send(b"")
        wait_for(lambda: ours(path).flags == [])
        thread = threading.Thread(
            target=lambda: [bus.send(bytes(900)) for _ in range(5)]
        )
        thread.start()
        wait_for(lambda: ours(path).flags == ["producer waits for room"])
        peer.do("time.sleep(0)")  # of the message before
        peer.do("[bus.recv() for _ in range(5)]")
        thread.join()


def test_an_rpc_bus_is_two_rings_and_a_broadcast_one_for_each_reader(
    path: str,
) -> None:
    got: list[Any] = []
    thread = threading.Thread(
        target=lambda: got.append(RpcBus.rpc_listen(path, 1 << 14, 1 << 15, timeout=30))
    )
    thread.start()
    with RpcBus.rpc_connect(path, timeout=30):
        thread.join()
        found = rings.look(path)[0]
        assert [ring.kind for ring in found] == ["rpc", "rpc"]
        assert {ring.capacity for ring in found} == {1 << 14, 1 << 15}
    got[0].close()

    peers = [Peer(path, "CONSUMER") for _ in range(2)]
    with Bus.listen(path, 1 << 14, role=Role.PRODUCER, max_peers=3) as bus:
        bus.accept_in_background()
        wait_for(lambda: len(list(bus.peers())) == 2)
        bus.send(b"to both")
        peers[0].do("bus.recv()")
        found = rings.look(path)[0]
        kinds = sorted(ring.kind for ring in found)
        assert kinds == ["broadcast", "broadcast", "listener"]
        readers = {
            end.process.pid: ring.messages
            for ring in found
            if (end := ring.end("consumer"))
        }
        assert readers == {peers[0].process.pid: 0, peers[1].process.pid: 1}
        assert all(ring.capacity == 1 << 14 for ring in found)
    for peer in peers:
        peer.end()


def test_who_listens_is_shown_with_those_at_its_door(path: str) -> None:
    with Bus.listen(path, 1 << 14, role=Role.CONSUMER, max_peers=2):
        assert (ours(path).kind, ours(path).flags) == ("listener", [])
        with contextlib.suppress(TimeoutError):
            Bus.connect(path, timeout=0.1, role=Role.PRODUCER)
        assert ours(path).flags == ["1 at the door"]


def test_a_path_that_is_relative_ends_as_it_does(start: Start, tmp_path: Path) -> None:
    start("recv", "here.sock", "--listen", cwd=tmp_path)
    full = str(tmp_path / "here.sock")
    wait_for(lambda: any(full in ring.paths for ring in rings.look()[0]))
    start("send", "here.sock", cwd=tmp_path, stdin=subprocess.PIPE)
    wait_for(lambda: any("…/here.sock" in ring.paths for ring in rings.look()[0]))


def test_an_end_that_has_died_is_gone(path: str) -> None:
    with pair(path) as (bus, peer):
        bus.send(b"unread")
        peer.end()
        ring = ours(path)
        assert "other end gone" in ring.flags
        assert ring.used == 64


@pytest.mark.parametrize("moment", ["_read_descriptors", "process"])
def test_a_process_may_end_while_it_is_looked_at(
    moment: str, path: str, monkeypatch: Any
) -> None:
    with pair(path) as (_, peer):
        original = getattr(processes, moment)

        def die_first(about: Any) -> Any:
            pid = about if isinstance(about, int) else about.pid
            if pid == peer.process.pid:
                peer.end()
            return original(about)

        monkeypatch.setattr(processes, moment, die_first)
        ring = ours(path)
        assert [end.process.pid for end in ring.ends] == [os.getpid()]
    assert peer.process.returncode == -signal.SIGKILL


def test_it_may_end_before_its_memory_is_read(path: str, monkeypatch: Any) -> None:
    other = f"{path}.other"
    original = os.pread
    with pair(path):
        peers = [Peer(other, "PRODUCER"), Peer(other, "CONSUMER")]
        files = [f"/proc/{peer.process.pid}/mem" for peer in peers]
        wait_for(lambda: any(len(ring.ends) == 2 for ring in rings.look(other)[0]))

        def die_first(file: int, size: int, at: int) -> bytes:
            if os.readlink(f"/proc/self/fd/{file}") in files:
                for peer in peers:
                    peer.end()
            return original(file, size, at)

        monkeypatch.setattr(os, "pread", die_first)
        found = rings.look(path)[0]
        (dead,) = [ring for ring in found if other in ring.paths]
        assert dead.used is None
        assert "memory not readable" in dead.flags
        assert any(path in ring.paths and ring.used == 0 for ring in found)


@pytest.mark.parametrize("word", ["TAIL", "PRODUCER_SIDE", "data"])
def test_a_peer_that_scribbles_hides_its_ring_only(word: str, path: str) -> None:
    with pair(path) as (bus, _):
        bus.send(b"x")
        (mapping,) = [
            mapping
            for process in processes.processes()[0]
            if process.pid == os.getpid()
            for mapping in process.mappings
        ]
        at = mapping.data_address if word == "data" else mapping.address
        at += 0 if word == "data" else getattr(rings, word)
        with open("/proc/self/mem", "r+b", buffering=0) as memory:
            memory.seek(at)
            before = memory.read(8)
            memory.seek(at)
            memory.write(b"\xff" * 8)
            ring = ours(path)
            memory.seek(at)
            memory.write(before)
        assert (ring.used, ring.messages) == (None, None)
        assert "memory not readable" in ring.flags
        assert ours(path).used == 64


def test_what_others_are_called_obeys_no_terminal(path: str) -> None:
    peer = Peer(path, "CONSUMER", "\x1b[31mred\x07\n")
    with Bus.listen(path, 1 << 14, role=Role.PRODUCER, timeout=30):
        done = run("list")
    peer.end()
    assert done.returncode == 0
    assert path.encode() in done.stdout
    assert b"?[31mred?" in done.stdout
    assert not {0x1B, 0x07} & set(done.stdout)


def test_list_as_a_table_and_as_json(path: str) -> None:
    with pair(path) as (bus, peer):
        bus.send(b"x")
        done = run("list")
        (row,) = [x for x in done.stdout.decode().splitlines() if x.startswith(path)]
        assert f" {os.getpid()} " in row
        assert f" {peer.process.pid} " in row
        assert " 16K " in row
        document = json.loads(run("list", "--json").stdout)
        (ring,) = [ring for ring in document["rings"] if ring["path"] == path]
        assert (ring["used_bytes"], ring["capacity_bytes"]) == (64, 1 << 14)
        assert {end["role"] for end in ring["ends"]} == {"producer", "consumer"}


def test_top_has_the_bytes_a_second(path: str) -> None:
    with pair(path, 1 << 16) as (bus, peer):
        assert peer.process.stdin
        print("while True: bus.recv()", file=peer.process.stdin, flush=True)
        ending = threading.Event()

        def send() -> None:
            while not ending.is_set():
                bus.send(b"x" * 50)

        thread = threading.Thread(target=send)
        thread.start()
        done = run("top", path, "--json", "--count", 5, "--interval", 0.3)
        table = run("top", path, "--once", "--interval", 0.2).stdout.decode()
        ending.set()
        thread.join()
        documents = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(documents) == 5
        rates = [
            ring["bytes_per_second"]
            for document in documents
            for ring in document["rings"]
        ]
        assert len(rates) == 5
        assert max(rates) > 0
        head, *rows = table.splitlines()
        assert "MB/S" in head
        assert sum(row.startswith(path) for row in rows) == 1


def test_top_sorts(start: Start, tmp_path: Path) -> None:
    for name, size in (("a", "4K"), ("b", "64K"), ("c", "16K")):
        start("recv", tmp_path / name, "--listen", "--capacity", size)

    def shown(order: str) -> str:
        done = run("top", tmp_path, "--once", "--interval", 0.05, "--sort", order)
        found = re.findall(rf"^{tmp_path}/(\w) .*listener", done.stdout.decode(), re.M)
        return "".join(found)

    wait_for(lambda: shown("path") == "abc")
    assert shown("size") == "bca"


def test_ctrl_c_and_a_reader_that_goes_away_end_top(start: Start) -> None:
    process = start("top", "no such path", "--interval", 0.05)
    assert process.stdout
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    status, _, error = ended(process)
    assert (status, error) == (130, b"")
    process = start("top", "no such path", "--interval", 0.05)
    assert process.stdout
    process.stdout.readline()
    process.stdout.close()
    process.stdout = None
    assert process.wait(30) == 141
    assert process.stderr
    assert process.stderr.read() == b""


@pytest.mark.parametrize(
    "arguments", [["top", "--interval", 0], ["top", "--sort", "x"], ["list", "x", "y"]]
)
def test_a_wrong_command_line(arguments: list[object]) -> None:
    assert run(*arguments).returncode == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root, to be another user")
def test_another_user_sees_how_many_he_may_not_look_at(path: str) -> None:
    with pair(path):
        status, out, error = as_nobody("list")
        assert status == 0
        assert path not in out
        assert re.search(r"may not be looked at: [1-9]\d*; root sees more", error)


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root, to be another user")
def test_another_user_sees_his_own_end(open_folder: Path) -> None:
    path = str(open_folder / "bus.sock")
    reading, writing = os.pipe()
    child = 0
    try:
        child = os.fork()
        if child == 0:
            try:
                rings.look()
                os.setgroups([])
                os.setresgid(65534, 65534, 65534)
                os.setresuid(65534, 65534, 65534)
                with Bus.connect(path, timeout=30, allowed_uids=[0]):
                    (ring,) = [x for x in rings.look()[0] if path in x.paths]
                    pids = [end.process.pid for end in ring.ends]
                    said = [pids == [os.getpid()], ring.capacity, *ring.flags]
                    os.write(writing, json.dumps(said).encode())
            finally:
                os._exit(0)
        with Bus.listen(path, 1 << 14, mode=0o666, allowed_uids=[65534], timeout=30):
            said = json.loads(os.read(reading, 4096))
    finally:
        os.waitpid(child, 0)
        os.close(reading)
        os.close(writing)
    assert said[:3] == [True, 1 << 14, "other end not visible"]
