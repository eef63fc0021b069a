# SPDX-License-Identifier: Apache-2.0
"""tachyon bridge: two bridges on loopback, and Zenoh that knows nothing of Tachyon."""

import contextlib
import json
import random
import re
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tachyon import AbortedError, Bus, PeerDeadError, Role

from conftest import HEADER, TYPED, Start, ended, run, without

zenoh = pytest.importorskip("zenoh", reason="eclipse-zenoh is not installed")

KEY = "market/ticks"
WAIT = 45
NUMBER = struct.Struct("<Q")
HEAD = struct.Struct("<BBHIQQQ")  # as docs/BRIDGE.md has it
Message = tuple[int, bytes]


def free_place() -> str:
    """Return a place of Zenoh on loopback that nobody has.

    Of the ports that the kernel gives to nobody by itself: other tests run beside.
    """
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return f"tcp/127.0.0.1:{port}"


def session(*, connect: str = "", listen: str = "", mode: str = "peer") -> Any:
    """Return a session of Zenoh's own, which looks for nobody."""
    config = zenoh.Config()
    config.insert_json5("mode", json.dumps(mode))
    config.insert_json5("scouting/multicast/enabled", "false")
    config.insert_json5("connect/endpoints", json.dumps([connect] * bool(connect)))
    config.insert_json5("listen/endpoints", json.dumps([listen] * bool(listen)))
    config.insert_json5("connect/exit_on_failure", "false")
    config.insert_json5("connect/timeout_ms", "-1")
    return zenoh.open(config)


def await_gone(out: "subprocess.Popen[bytes]") -> None:
    """Wait until a sending bridge knows that a receiving one is gone.

    Until then it takes messages from its ring as if there were one.
    """
    assert out.stderr is not None
    assert b"is gone" in out.stderr.readline()


def until(condition: Callable[[], Any]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@dataclass
class Ways:
    """Where bridges meet: the far one listens for the near one."""

    start: Start
    folder: Path
    place: str

    @property
    def near(self) -> str:
        """Return the path of the bus that messages come from."""
        return str(self.folder / "near.sock")

    @property
    def far(self) -> str:
        """Return the path of the bus that they go to."""
        return str(self.folder / "far.sock")

    def send(self, *options: object) -> "subprocess.Popen[bytes]":
        """Start a bridge from the near bus."""
        return self.start("bridge", "--from", self.near, "--to", f"zenoh:{KEY}",
                          "--connect", self.place, "--listen", "--link-timeout", WAIT,
                          "--connect-timeout", WAIT, *options)  # fmt: skip

    def receive(self, *options: object) -> "subprocess.Popen[bytes]":
        """Start a bridge to the far bus."""
        return self.start("bridge", "--from", f"zenoh:{KEY}", "--to", self.far,
                          "--listen-at", self.place, "--listen",
                          "--connect-timeout", WAIT, *options)  # fmt: skip

    def producer(self) -> Bus:
        """Return the program's end of the near bus."""
        return Bus.connect(self.near, timeout=WAIT, role=Role.PRODUCER)

    def consumer(self) -> Bus:
        """Return the program's end of the far bus."""
        return Bus.connect(self.far, timeout=WAIT, role=Role.CONSUMER)


@pytest.fixture
def ways(start: Start, tmp_path: Path) -> Ways:
    return Ways(start, tmp_path, free_place())


@contextlib.contextmanager
def background(work: Callable[[], None]) -> Iterator[None]:
    """Do something in a thread meanwhile; what it raises is raised at the end."""
    failed: list[BaseException] = []

    def watched() -> None:
        try:
            work()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=watched, daemon=True)
    thread.start()
    yield
    thread.join(WAIT)
    assert not thread.is_alive()
    assert failed == []


def numbered(numbers: range) -> list[Message]:
    """Return messages of several types and lengths that have numbers."""
    return [(n % 3, NUMBER.pack(n) + bytes(n % 40)) for n in numbers]


def send_all(bus: Bus, messages: list[Message]) -> None:
    for type_id, data in messages:
        bus.send(data, type_id, WAIT)


def take(bus: Bus, count: int) -> list[Message]:
    got = [bus.recv(WAIT) for _ in range(count)]
    return [(message.type_id, message.data) for message in got]


def lost_in(error: bytes) -> list[tuple[int, int]]:
    """Return the ranges that a bridge has named as lost, both ends in them."""
    found = re.findall(rb"lost messages ([\d,]+) to ([\d,]+) ", error)
    return [(int(a.replace(b",", b"")), int(b.replace(b",", b""))) for a, b in found]


@pytest.mark.parametrize("samples", ["batches", "messages"])
def test_untyped_messages_arrive_in_order(samples: str, ways: Ways) -> None:
    messages = numbered(range(100_000 if samples == "batches" else 5_000))
    into, out = ways.receive(), ways.send("--samples", samples)

    def produce() -> None:
        with ways.producer() as bus:
            send_all(bus, messages)

    with background(produce), ways.consumer() as bus:
        assert [(m.type_id, m.data) for m in bus] == messages
    status, _, error = ended(out)
    assert (status, b"confirmed by 1" in error) == (0, True), error
    status, _, error = ended(into)
    assert (status, lost_in(error)) == (0, []), error
    assert f"carried {len(messages):,} messages".encode() in error


def test_typed_messages_arrive_in_order_with_their_types(ways: Ways) -> None:
    count, size = 100_000, 32
    data = b"".join(struct.pack("8sdQII", b"A", n, n, n % 9, 1) for n in range(count))
    into, out = ways.receive(), ways.send(*TYPED)

    def produce() -> None:
        with ways.producer() as bus:
            items = memoryview(data).cast("B", (count, size))
            done = 0
            while done < count:
                done += bus.send_batch(items[done:], 1, WAIT)

    receiver = ways.start("recv", ways.far, "--format", "raw", *TYPED)
    with background(produce):
        status, got, error = ended(receiver)
    assert (status, error) == (0, b"")
    assert got == data
    assert (ended(out)[0], ended(into)[0]) == (0, 0)


def test_a_consumer_of_other_types_is_refused(ways: Ways) -> None:
    into, out = ways.receive(), ways.send(*TYPED)
    other = ("--header", HEADER.with_name("tick_other.h"), "--types", "Tick=1")
    with ways.producer():
        done = run("recv", ways.far, "--connect-timeout", WAIT, *other)
        assert done.returncode == 3
        assert b"quantity" in done.stderr
        for process in (into, out):
            process.send_signal(signal.SIGINT)
        assert (ended(into)[0], ended(out)[0]) == (130, 130)


def test_a_schema_that_differs_at_the_far_end_names_the_field(ways: Ways) -> None:
    other = ("--header", HEADER.with_name("tick_other.h"), "--types", "Tick=1")
    into = ways.receive(*other)
    with ways.consumer():
        out = ways.send(*TYPED)
        with ways.producer():
            status, _, error = ended(into)
            assert (status, b"quantity" in error) == (3, True), error
            assert b"--header" in error
            out.send_signal(signal.SIGINT)
            ended(out)


def test_a_plain_subscriber_gets_the_bytes_of_each_message(ways: Ways) -> None:
    messages = numbered(range(500))
    samples: list[Any] = []
    with session(listen=ways.place) as plain:
        # Nothing but the messages matches a wildcard.
        plain.declare_subscriber("market/**", samples.append)
        out = ways.send("--samples", "messages")
        with ways.producer() as bus:
            send_all(bus, messages)
        status, _, error = ended(out)
        assert (status, b"confirmed by no bridge" in error) == (0, True), error
        until(lambda: len(samples) >= len(messages))
        assert [s.payload.to_bytes() for s in samples] == [data for _, data in messages]
        for number, sample in enumerate(samples):
            version, kind, _, type_id, _, at, _ = HEAD.unpack(
                sample.attachment.to_bytes()
            )
            assert (version, kind, type_id, at) == (1, 2, number % 3, number)


def test_a_plain_subscriber_can_read_batches(ways: Ways) -> None:
    messages = numbered(range(3000))
    got: list[Message] = []

    def read(sample: Any) -> None:
        data = sample.payload.to_bytes()
        assert str(sample.encoding) == "application/x-tachyon-batch"
        _, kind, _, count, _, number, _ = HEAD.unpack_from(data)
        assert (kind, number) == (1, len(got))
        place = HEAD.size + 8 * count
        for n in range(count):
            type_id, size = struct.unpack_from("<II", data, HEAD.size + 8 * n)
            got.append((type_id, data[place : place + size]))
            place += size
        assert place == len(data)

    with session(listen=ways.place) as plain:
        plain.declare_subscriber(KEY, read)
        out = ways.send()
        with ways.producer() as bus:
            send_all(bus, messages)
        assert ended(out)[0] == 0
        until(lambda: len(got) >= len(messages))
    assert got == messages


def test_a_plain_publisher_reaches_programs(ways: Ways) -> None:
    into = ways.receive("--type", 7, "--count", 3)
    with session(connect=ways.place) as plain:
        publisher = plain.declare_publisher(KEY)
        until(lambda: publisher.matching_status.matching)
        for data in (b"one", b"", b"three"):
            publisher.put(data)
        with ways.consumer() as bus:
            assert [(m.type_id, m.data) for m in bus] == [
                (7, b"one"), (7, b""), (7, b"three")
            ]  # fmt: skip
    assert ended(into)[0] == 0


def test_what_no_bridge_has_sent_is_refused_and_told(ways: Ways) -> None:
    into = ways.receive("--count", 1)
    head = HEAD.pack(1, 1, 0, 2, 5, 0, 0)
    bad = [b"", b"short", bytes(64), head, head + bytes(16) + b"more",
           HEAD.pack(2, 1, 0, 0, 5, 0, 0), HEAD.pack(1, 9, 0, 0, 5, 0, 0),
           HEAD.pack(1, 3, 0, 0, 5, 0, 0),
           HEAD.pack(1, 1, 0, 1 << 31, 5, 0, 0)]  # fmt: skip
    with session(connect=ways.place) as plain:
        publisher = plain.declare_publisher(KEY)
        until(lambda: publisher.matching_status.matching)
        for data in bad:
            publisher.put(data, encoding="application/x-tachyon-batch")
        plain.put(f"{KEY}/@tachyon/control", b"nonsense")
        publisher.put(b"x", attachment=b"of another program")
        publisher.put(b"right")
        with ways.consumer() as bus:
            assert [m.data for m in bus] == [b"right"]
    status, _, error = ended(into)
    assert status == 0
    assert b"refused what no bridge has sent" in error
    assert f"{len(bad) + 2} foreign samples".encode() in error


def test_a_killed_receiving_bridge_comes_back(ways: Ways) -> None:
    first = ways.receive()
    out = ways.send()
    messages = numbered(range(200))
    with ways.producer() as producer:
        with ways.consumer() as consumer:
            send_all(producer, messages[:50])
            before = take(consumer, 50)
            first.kill()
            with pytest.raises(PeerDeadError):
                consumer.recv(WAIT)
        first.wait(WAIT)
        await_gone(out)
        again = ways.receive()
        # Nobody is there now, and nothing is taken from the ring.
        send_all(producer, messages[50:])
        producer.close()
        with ways.consumer() as consumer:
            after = [(m.type_id, m.data) for m in consumer]
    assert ended(out)[0] == 0
    status, _, error = ended(again)
    assert status == 0
    missing = len(messages) - len(before) - len(after)
    assert [*before, *messages[50 : 50 + missing], *after] == messages
    assert f"messages 0 to {50 + missing - 1} ({50 + missing}) went before" in (
        error.decode()
    )


def test_a_killed_sending_bridge_comes_back(ways: Ways) -> None:
    into = ways.receive()
    first = ways.send()
    messages = numbered(range(200))
    with ways.producer() as producer, ways.consumer() as consumer:
        send_all(producer, messages[:70])
        assert take(consumer, 70) == messages[:70]
        first.kill()
        with pytest.raises(PeerDeadError):
            while True:
                producer.send(b"to nobody", 0, WAIT)
        first.wait(WAIT)
        again = ways.send()
        Path(ways.near).unlink(missing_ok=True)
        with ways.producer() as producer2:
            send_all(producer2, messages[70:])
        assert [(m.type_id, m.data) for m in consumer] == messages[70:]
    assert ended(again)[0] == 0
    status, _, error = ended(into)
    assert status == 0
    assert b"stopped before message 70, without an end" in error


def test_a_program_that_gives_up_is_told_at_the_far_end(ways: Ways) -> None:
    into, out = ways.receive(), ways.send()
    producer = ways.producer()
    send_all(producer, numbered(range(5)))
    with ways.consumer() as consumer:
        assert take(consumer, 5) == numbered(range(5))
        producer.abort()
        with pytest.raises(AbortedError):
            consumer.recv(WAIT)
    assert (ended(out)[0], ended(into)[0]) == (5, 5)


def test_a_second_bridge_for_a_key_is_refused(ways: Ways) -> None:
    into, out = ways.receive(), ways.send()
    with ways.producer() as producer, ways.consumer() as consumer:
        send_all(producer, numbered(range(3)))
        assert take(consumer, 3) == numbered(range(3))
        # It sees the first one through the receiving bridge, or is told by that.
        other = str(ways.folder / "other.sock")
        second = ways.start("bridge", "--from", other, "--to", f"zenoh:{KEY}",
                            "--connect", ways.place, "--listen", "--link-timeout", 2,
                            "--connect-timeout", WAIT)  # fmt: skip
        while second.poll() is None:
            with contextlib.suppress(OSError, PeerDeadError):
                with Bus.connect(other, timeout=0.5, role=Role.PRODUCER) as bus:
                    while second.poll() is None:
                        with contextlib.suppress(TimeoutError):
                            bus.send(b"mixed in", 0, 0.5)
        status, _, error = ended(second)
        assert status == 3, error
        assert b"another" in error
        send_all(producer, numbered(range(3, 6)))
        producer.close()
        assert [(m.type_id, m.data) for m in consumer] == numbered(range(3, 6))
    assert (ended(out)[0], ended(into)[0]) == (0, 0)


def test_bridges_meet_at_a_router(ways: Ways) -> None:
    messages = numbered(range(2000))
    connected = ("--connect", ways.place, "--link-timeout", WAIT)
    with session(listen=ways.place, mode="router"):
        into = ways.start("bridge", "--from", f"zenoh:{KEY}", "--to", ways.far,
                          "--listen", "--connect-timeout", WAIT,
                          *connected)  # fmt: skip
        out = ways.send("--window", "8K")
        with ways.producer() as producer, ways.consumer() as consumer:
            send_all(producer, messages[:10])
            assert take(consumer, 10) == messages[:10]
            done = run("bridge", "--from", "x", "--to", f"zenoh:{KEY}", "--connect",
                       ways.place, "--link-timeout", 5)  # fmt: skip
            assert (done.returncode, b"has a bridge already" in done.stderr) == (
                3,
                True,
            )

            def produce() -> None:
                send_all(producer, messages[10:])
                producer.close()

            with background(produce):
                assert [(m.type_id, m.data) for m in consumer] == messages[10:]
        assert (ended(out)[0], ended(into)[0]) == (0, 0)


def test_either_bridge_may_listen_for_the_other(ways: Ways) -> None:
    messages = numbered(range(2000))
    out = ways.start("bridge", "--from", ways.near, "--to", f"zenoh:{KEY}", "--listen",
                     "--listen-at", ways.place, "--connect-timeout", WAIT)  # fmt: skip
    into = ways.start("bridge", "--from", f"zenoh:{KEY}", "--to", ways.far, "--listen",
                      "--connect", ways.place, "--link-timeout", WAIT,
                      "--connect-timeout", WAIT)  # fmt: skip

    def produce() -> None:
        with ways.producer() as producer:
            send_all(producer, messages)

    with background(produce), ways.consumer() as consumer:
        assert [(m.type_id, m.data) for m in consumer] == messages
    assert (ended(out)[0], ended(into)[0]) == (0, 0)


def test_nobody_at_the_place_is_3(ways: Ways) -> None:
    for arguments in (
        ("--from", ways.near, "--to", f"zenoh:{KEY}"),
        ("--from", f"zenoh:{KEY}", "--to", ways.far),
    ):
        done = run("bridge", *arguments, "--connect", ways.place, "--link-timeout", 0.3)
        assert done.returncode == 3
        assert ways.place.encode() in done.stderr
        assert b"--link-timeout" in done.stderr
        assert done.stderr.count(b"\n") == 1


def test_a_place_that_is_taken_is_3(ways: Ways) -> None:
    with session(listen=ways.place):
        done = run("bridge", "--from", f"zenoh:{KEY}", "--to", ways.far, "--listen-at",
                   ways.place)  # fmt: skip
    assert (done.returncode, ways.place.encode() in done.stderr) == (3, True)
    assert b".rs" not in done.stderr


def test_a_message_that_the_far_ring_does_not_take(ways: Ways) -> None:
    into, out = ways.receive("--capacity", "4K"), ways.send()
    with ways.producer() as producer, ways.consumer() as consumer:
        producer.send(b"small")
        assert consumer.recv(WAIT).data == b"small"
        producer.send(bytes(5000))
        with pytest.raises(AbortedError):
            consumer.recv(WAIT)
        status, _, error = ended(into)
        assert status == 6
        assert b"5000 bytes, the ring takes 3968" in error
        assert b"--capacity" in error
    out.send_signal(signal.SIGINT)
    ended(out)


def test_a_slow_consumer_holds_the_producer_up(ways: Ways) -> None:
    small = ("--window", "8K", "--capacity", "4K")
    into, out = ways.receive(*small), ways.send(*small)
    messages = [(0, NUMBER.pack(n) + bytes(1000)) for n in range(300)]
    sent = 0

    def produce() -> None:
        nonlocal sent
        with ways.producer() as bus:
            for type_id, data in messages:
                bus.send(data, type_id, WAIT)
                sent += 1

    with background(produce), ways.consumer() as bus:
        first = take(bus, 1)
        before = -1
        while before != sent:  # until nothing moves any more
            before = sent
            time.sleep(0.5)
        assert sent < 100
        assert [*first, *((m.type_id, m.data) for m in bus)] == messages
    assert ended(out)[0] == 0
    status, _, error = ended(into)
    assert (status, lost_in(error)) == (0, [])


def test_drop_never_holds_the_producer_up_and_every_message_is_accounted_for(
    ways: Ways,
) -> None:
    small = ("--window", "8K", "--capacity", "4K")
    into, out = ways.receive(*small), ways.send(*small, "--backpressure", "drop")
    messages = [(0, NUMBER.pack(n) + bytes(1000)) for n in range(600)]
    with ways.producer() as producer, ways.consumer() as consumer:
        send_all(producer, messages)  # the consumer takes none meanwhile
        producer.close()
        got = [NUMBER.unpack_from(m.data)[0] for m in consumer]
    status, _, error = ended(out)
    assert status == 0
    found = re.search(rb"([\d,]+) dropped", error)
    assert found, error
    dropped = int(found[1].replace(b",", b""))
    status, _, error = ended(into)
    assert status == 9, error
    lost = [n for first, last in lost_in(error) for n in range(first, last + 1)]
    began = re.search(rb"begins here with message ([\d,]+)", error)
    lost += range(int(began[1].replace(b",", b""))) if began else []
    assert len(lost) == dropped
    assert sorted([*lost, *got]) == list(range(600))
    assert got == sorted(got)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_bridges_and_leave_nothing(number: int, ways: Ways) -> None:
    into, out = ways.receive(), ways.send()
    with ways.producer() as producer, ways.consumer() as consumer:
        producer.send(b"one")
        assert consumer.recv(WAIT).data == b"one"
        out.send_signal(number)
        assert ended(out)[0] == 128 + number
        with pytest.raises(AbortedError):
            consumer.recv(WAIT)
        assert ended(into)[0] == 5
    assert not Path(ways.near).exists()
    assert not Path(ways.far).exists()
    waiting = ways.receive()
    host, _, port = ways.place.removeprefix("tcp/").partition(":")
    with socket.socket() as probe:
        until(lambda: probe.connect_ex((host, int(port))) == 0)
    waiting.send_signal(number)
    status, _, error = ended(waiting)
    assert (status, b"Traceback" in error) == (128 + number, False), error


@pytest.mark.parametrize(
    "arguments",
    [
        ["--from", "a", "--to", "b"],
        ["--from", "zenoh:a", "--to", "zenoh:b"],
        ["--from", "zenoh:a"],
        ["--from", "zenoh:a//b", "--to", "b"],
        ["--from", "zenoh:a/*", "--to", "b"],
        ["--from", "zenoh:", "--to", "b"],
        ["--from", "zenoh:a", "--to", "b", "--connect", "nonsense"],
        ["--from", "zenoh:a", "--to", "b", "--peers", "2"],
        ["--from", "zenoh:a", "--to", "b", "--window", "0"],
        ["--from", "zenoh:a", "--to", "b", "--type", "Tick"],
    ],
)
def test_a_wrong_command_line_is_2(arguments: list[str], tmp_path: Path) -> None:
    done = run("bridge", *arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert b"Traceback" not in done.stderr


def test_the_missing_package_is_8_and_says_what_to_install(tmp_path: Path) -> None:
    done = run("bridge", "--from", "zenoh:a", "--to", "b",
               env=without("zenoh", tmp_path / "without"))  # fmt: skip
    assert done.returncode == 8
    assert b"pip install 'tachyon-ipc[bridge]'" in done.stderr
