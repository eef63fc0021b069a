# SPDX-License-Identifier: Apache-2.0
"""tachyon list and top: what is shown of rings is what their ends say."""

import contextlib
import fcntl
import json
import os
import random
import re
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import tachyon
from tachyon import Bus, Role, RpcBus
from tachyon.tools import page, processes, rings
from tachyon.tools.flow import Flow, flow
from tachyon.tools.page import Page
from tachyon.tools.processes import Process
from tachyon.tools.rings import End, Ring
from tachyon.tools.table import age, count, table
from tachyon.tools.top import NAMES, ORDERS, View

from conftest import FOR_EVER, Start, as_nobody, ended, run, wait_for

WIRE = Path(__file__).resolve().parents[2] / "docs/WIRE.md"
PEER = """
import contextlib, sys, threading, time, tachyon
others, threads = [], []
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

FIND_NOTHING = "with contextlib.suppress(TimeoutError): bus.recv(timeout=0.01)"


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

    def connect(self, name: str, role: Role) -> None:
        """Connect it, in a thread, to another bus, whose path ends so."""
        options = f"timeout=30, role=tachyon.Role.{role.name}"
        bus = f"tachyon.Bus.connect(sys.argv[1] + {name!r}, {options})"
        self.do(f"connect = lambda: others.append({bus})")
        self.do("threads.append(threading.Thread(target=connect))")
        self.do("threads[-1].start()")

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
    start("recv", "here.sock", *FOR_EVER, cwd=tmp_path)
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


def test_top_has_what_moves_in_a_second(path: str) -> None:
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
        shown = run("top", path, "--once", "--interval", 0.2).stdout.decode()
        ending.set()
        thread.join()
        documents = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(documents) == 5
        found = [ring for document in documents for ring in document["rings"]]
        assert len(found) == 5
        assert max(ring["bytes_per_second"] for ring in found) > 0
        assert max(ring["messages_per_second"] for ring in found) > 0
        assert all(ring["last_message_age_s"] < 30 for ring in found)
        assert all(len(ring["ends"]) == 2 for ring in found)
        assert all(end["page"]["messages"] for ring in found for end in ring["ends"])
        head, *rows = shown.splitlines()
        columns = "FILL", "MSG/S", "MB/S", "SLEEP/S", "WAKE/S", "FULL/S", "AGE"
        assert all(column in head.split() for column in columns)
        assert sum(row.startswith(path) for row in rows) == 1


def test_top_sorts(start: Start, tmp_path: Path) -> None:
    for name, size in (("a", "4K"), ("b", "64K"), ("c", "16K")):
        start("recv", tmp_path / name, *FOR_EVER, "--capacity", size)

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


# ---- What the ends have counted ----


def test_each_end_has_its_page(path: str) -> None:
    with pair(path) as (bus, peer):
        for _ in range(7):
            bus.send(bytes(100))
        bus.flush()
        peer.do("[bus.recv() for _ in range(7)]")
        peer.do(FIND_NOTHING)
        ring = ours(path)
        producer, consumer = ring.end("producer"), ring.end("consumer")
        assert producer
        assert consumer
        for end in producer, consumer:
            assert end.page
            assert (end.page.pid, end.page.side) == (end.process.pid, end.side)
            assert (end.page.messages, end.page.ring_bytes) == (7, 7 * 192)
        assert consumer.page
        assert consumer.page.message_ns >= consumer.page.opened_ns
        shown = ring.as_json()["ends"][0]["page"]
        assert (shown["path"], shown["messages"]) == (path, 7)


def test_the_pages_of_several_buses_of_two_processes_are_told_apart(
    path: str,
) -> None:
    roles = (("back", 14, Role.CONSUMER), ("large", 16, Role.PRODUCER))
    with pair(path) as (bus, peer), contextlib.ExitStack() as stack:
        for name, size, role in roles:
            peer.connect(
                name, Role.PRODUCER if role is Role.CONSUMER else Role.CONSUMER
            )
            stack.enter_context(
                Bus.listen(path + name, 1 << size, role=role, timeout=30)
            )
        peer.do("threads[0].join(); others[0].send(b'back'); others[0].flush()")
        bus.send(bytes(100))
        bus.send(bytes(100))
        bus.flush()
        wait_for(lambda: len(rings.look(path)[0]) == 3)
        found = {tuple(ring.paths): ring for ring in rings.look(path)[0]}
        assert set(found) == {(path,), (f"{path}back",), (f"{path}large",)}
        counted = {
            name: [end.page and end.page.messages for end in ring.ends]
            for (name,), ring in found.items()
        }
        assert sorted(counted[path]) == [0, 2]
        assert sorted(counted[f"{path}back"]) == [0, 1]
        assert sorted(counted[f"{path}large"]) == [0, 0]


def test_a_page_that_may_be_of_two_rings_is_of_none(path: str) -> None:
    with pair(path) as (_, peer):
        peer.connect("x", Role.CONSUMER)
        with Bus.listen(f"{path}x", 1 << 14, role=Role.PRODUCER, timeout=30):
            wait_for(lambda: len(rings.look(path)[0]) == 2)
            for ring in rings.look(path)[0]:
                assert ring.paths == [path, f"{path}x"]
                assert [end.page for end in ring.ends] == [None, None]


def test_a_page_of_many_is_the_listeners(path: str) -> None:
    peers = [Peer(path, "CONSUMER") for _ in range(2)]
    with Bus.listen(path, 1 << 14, role=Role.PRODUCER, max_peers=3) as bus:
        bus.accept_in_background()
        wait_for(lambda: len(list(bus.peers())) == 2)
        bus.send(b"to both")
        bus.flush()
        peers[0].do("bus.recv()")
        peers[0].do(FIND_NOTHING)
        found = rings.look(path)[0]
        (listener,) = [ring for ring in found if ring.kind == "listener"]
        assert listener.ends[0].page
        assert listener.ends[0].page.messages == 1
        for ring in found:
            if end := ring.end("consumer"):
                assert end.page
                of_first = end.process.pid == peers[0].process.pid
                assert end.page.messages == of_first
    for peer in peers:
        peer.end()


def test_a_page_of_an_rpc_bus_is_of_both_rings(path: str, start: Start) -> None:
    start("echo", path)
    with RpcBus.rpc_connect(path, timeout=30) as bus:
        with bus.wait(bus.call(b"x", 1)):
            pass

        requests, replies = rings.look(path)[0]
        for end, same in zip(requests.ends, replies.ends, strict=True):
            assert end.page
            assert end.page == same.page
            assert (end.page.kind, end.page.pid) == ("rpc", end.process.pid)
        assert {end.page.side for end in replies.ends if end.page} == {
            "listener",
            "connector",
        }


def test_a_peer_of_another_pid_namespace_is_known_by_its_number_there() -> None:
    mine, peer = Process(1, 0, "", ""), Process(2, 0, "", "")
    mine.pids, peer.pids = {1}, {2, 7}
    ring = Ring([], "bus", (), 8192)
    ring.ends = [End(mine, "listener", ""), End(peer, "connector", "")]
    for number, known in ((2, True), (7, True), (0, True), (3, False)):
        mine.pages = [a_page(peer_pid=number)]
        ring.ends[0] = End(mine, "listener", "")
        rings._give_pages([ring])
        assert bool(ring.ends[0].page) == known


def test_a_page_is_of_one_ring_of_a_bus_or_of_two_of_rpc() -> None:
    mine = Process(1, 0, "", "")
    for kind, most in (("bus", 1), ("rpc", 2)):
        for number in (1, 2, 3):
            mine.pages = [a_page(kind=kind)]
            found = [Ring([], "", (i,), 8192) for i in range(number)]
            for ring in found:
                ring.ends = [End(mine, "listener", "")]
            rings._give_pages(found)
            assert all(bool(ring.ends[0].page) == (number <= most) for ring in found)


def a_page(**fields: Any) -> Page:
    """Return a listener's page."""
    numbers = dict.fromkeys(Page.__dataclass_fields__, 0)
    texts = {"kind": "bus", "side": "listener", "role": "none", "name": "", "path": ""}
    return Page(**{**numbers, **texts, "capacity": 8192, **fields})  # type: ignore[arg-type]


def ring_of(*pages: Page | None, taken: int | None = None) -> Ring:
    """Return a ring whose ends have these pages."""
    ring = Ring(["/ring"], "bus", (1,), 8192, taken=taken)
    ring.ends = [
        End(Process(10 + i, 0, "program", "S"), "", ("producer", "consumer")[i], page)
        for i, page in enumerate(pages)
    ]
    return ring


def test_what_an_end_does_not_show_is_empty_and_not_nought() -> None:
    unknown = flow(ring_of(None, None), ring_of(None, None), 1, 1)
    assert unknown == Flow()
    assert set(unknown.as_json().values()) == {None}
    ring = ring_of(None, None)
    assert " 0.02 " in rendered([ring], 200, {ring.key: Flow(bytes=19_000)})
    for flows in ({ring.key: unknown}, {ring.key: Flow(0, 0, 0, 0, 0, 0)}):
        shown = rendered([ring], 10_000, flows)
        assert (" 0 " in shown) == (flows[ring.key] != unknown)
    assert flow(ring_of(a_page(), None), None, 1, 1) == Flow()


def test_a_flow_is_of_both_ends_as_far_as_they_show_it() -> None:
    before = ring_of(a_page(messages=5, sleeps=1), a_page(messages=9, sleeps=4))
    sender = a_page(messages=20, sleeps=2, full=6, message_ns=1_000_000_000)
    after = ring_of(sender, a_page(messages=13, sleeps=8))
    found = flow(after, before, 2, 4_000_000_000)
    assert (found.messages, found.sleeps, found.full) == (5.5, 2.5, 3)
    assert found.age_s == 2  # there were messages since the look before
    assert flow(after, after, 2, 4_000_000_000).age_s == 3
    one = flow(ring_of(sender, None), before, 2, 4_000_000_000)
    assert (one.messages, one.sleeps, one.full) == (7.5, 0.5, 3)
    # What an end of many counts is not of this ring alone.
    many = ring_of(a_page(max_peers=2, messages=99, full=9), a_page(messages=11))
    was = ring_of(a_page(max_peers=2), a_page(messages=9))
    assert (flow(many, was, 2, 0).messages, flow(many, was, 2, 0).full) == (1, 0)
    many.kind = was.kind = "listener"
    assert (flow(many, was, 2, 0).messages, flow(many, was, 2, 0).full) == (45, 4.5)
    # Bytes are the ring's own, where they can be read.
    taken = flow(ring_of(None, None, taken=9), ring_of(None, None, taken=5), 2, 0)
    assert taken == Flow(bytes=2)
    sent = a_page(ring_bytes=640)
    assert flow(ring_of(sent, None), ring_of(a_page(), None), 2, 0).bytes == 320


def test_a_flow_of_another_end_or_of_nonsense_is_not_known() -> None:
    before, other = ring_of(a_page(messages=5)), a_page(messages=9, opened_ns=1)
    assert flow(ring_of(other), before, 1, 0).messages is None
    assert flow(ring_of(a_page(messages=4)), before, 1, 0).messages is None
    assert flow(ring_of(a_page(message_ns=2**64 - 1)), None, 1, 5).age_s == 0


def rendered(found: list[Ring], width: int, flows: Any) -> str:
    """Return the table of top."""
    console = Console(width=width)
    with console.capture() as capture:
        console.print(table(found, width, flows))
    return capture.get()


@pytest.mark.parametrize("width", [60, 80, 110, 140, 200])
def test_what_matters_least_goes_first_where_there_is_no_room(width: int) -> None:
    ring = ring_of(a_page(), a_page())
    ring.paths = ["/a/long/way/to/the.sock"]
    ring.used, ring.messages, ring.flags = 8192, 49_949, ["producer waits for room"]
    shown = rendered([ring], width, {ring.key: Flow(1e9, 1.25e6, 12_345, 9, 0.5, 61)})
    head, _, row = shown.splitlines()
    assert max(map(len, shown.splitlines())) <= width
    assert all(text in row for text in (".sock", "100% (49.9k)", "1.2M", "1,000"))
    columns = {"SIZE": 140, "KIND": 140, "SLEEP/S": 110, "FULL/S": 110, "AGE": 80}
    for column, least in columns.items():
        assert (column in head.split()) == (width >= least), column


def test_numbers_and_times_are_short() -> None:
    numbers = (None, 0, 1, 0.25, 9.96, 77.7, 999, 1000, 99_949, 123_456, 2e6, 2.0**64)
    assert [count(number) for number in numbers] == [
        "", "0", "1", "0.2", "10.0", "78", "999", "1.0k", "99.9k", "123k", "2.0M",
        "18446744T",
    ]  # fmt: skip
    times = (None, 0, 0.0123, 1.25, 45.6, 100, 5400, 200_000)
    assert [age(seconds) for seconds in times] == [
        "", "0ms", "12ms", "1.2s", "46s", "2m", "2h", "2d",
    ]  # fmt: skip


def test_top_sorts_by_each_of_its_numbers() -> None:
    view = View()
    flows = {
        "mbs": Flow(bytes=5), "messages": Flow(messages=5), "sleeps": Flow(sleeps=5),
        "wakes": Flow(wakes=5), "full": Flow(full=5), "age": Flow(age_s=5),
    }  # fmt: skip
    for number, name in enumerate(flows):
        view.found.append(Ring([name], "bus", (number,)))
        view.flows[(number,)] = flows[name]
    for name in flows:
        view.sort = NAMES[name]
        assert view.sorted()[0].paths == [name]
        assert [ring.paths[0] for ring in view.sorted()[1:]] == sorted(
            {*flows} - {name}
        )
    assert set(NAMES.values()) == set(ORDERS)


def test_pages_that_others_made_up_change_nothing(path: str) -> None:
    made_up = [b"", b"\xff" * 256, bytes(256)]
    made_up += [struct.pack("=8I", page.MAGIC, 1, 1, 1, 1, 0, 0, 0) + b"\xff" * 224]
    files = []
    with pair(path) as (bus, _):
        bus.send(b"x")
        try:
            for content in made_up:
                files.append(os.memfd_create("tachyon-page", os.MFD_ALLOW_SEALING))
                os.write(files[-1], content)
            fcntl.fcntl(files[-1], fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
            assert len([p for p in processes.pages() if p.capacity == 2**64 - 1]) == 1
            producer = ours(path).end("producer")
            assert producer
            assert producer.page
            assert producer.page.path == path
        finally:
            for file in files:
                os.close(file)


def test_what_is_no_text_is_in_the_document(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(str(tmp_path)) + b"/\xff.sock")
    with Bus.listen(path, 1 << 14, role=Role.CONSUMER, max_peers=2):
        for arguments in (["list", "--json"], ["top", "--json", "--once"]):
            done = run(*arguments, tmp_path)
            assert (done.returncode, done.stderr) == (0, b"")
            assert json.loads(done.stdout)["rings"][0]["path"] == path


# ---- As another user ----


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
