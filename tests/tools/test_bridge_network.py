# SPDX-License-Identifier: Apache-2.0
"""tachyon bridge between two network namespaces: delay, loss, a link that is cut.

The ends of the stream are in the file system, so the programs are outside of both.
"""

import contextlib
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tachyon import Bus, PeerDeadError, Role

from conftest import command
from test_bridge import NUMBER, WAIT, await_gone, background, lost_in

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not (shutil.which("ip") and shutil.which("tc")),
    reason="network namespaces take root, ip and tc (apt-get install iproute2)",
)
DEVICE = "wire0"
ADDRESSES = ("10.231.7.1", "10.231.7.2")
PLACE = f"tcp/{ADDRESSES[0]}:7447"
DELAY_S, LOSS = 0.01, 0.01
KNOCK = f"""
import contextlib, socket, time
begin = time.monotonic()
with contextlib.suppress(ConnectionRefusedError):
    socket.create_connection(("{ADDRESSES[0]}", 9)).close()
print(time.monotonic() - begin)
"""
WIRE = Path(__file__).with_name("wire.py")
Bridge = Callable[..., "subprocess.Popen[bytes]"]


def called(*words: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(words, capture_output=True, timeout=WAIT, check=False)


class Net:
    """Two namespaces with a link; what is started in them is killed at the end."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack
        self.names = [f"tachyon-{os.getpid()}-{end}" for end in "ab"]
        for name in self.names:
            if called("ip", "netns", "add", name).returncode:
                pytest.skip("no network namespace can be made here")
            stack.callback(called, "ip", "netns", "del", name)
        a, b = self.names
        self.ip(a, "link", "add", DEVICE, "type", "veth", "peer", "name", DEVICE,
                "netns", b)  # fmt: skip
        self._address()

    def _address(self) -> None:
        for name, address in zip(self.names, ADDRESSES, strict=True):
            self.ip(name, "addr", "add", f"{address}/24", "dev", DEVICE)
            self.ip(name, "link", "set", "lo", "up")
            self.ip(name, "link", "set", DEVICE, "up")

    def ip(self, name: str, *words: str) -> None:
        """Change one of the namespaces."""
        done = called("ip", "-n", name, *words)
        assert done.returncode == 0, done.stderr

    def impair(self) -> None:
        """Give the link delay and loss: by the kernel, or by a wire of our own."""
        how = ("delay", f"{DELAY_S}s", "loss", f"{LOSS:%}")
        netem = ("qdisc", "add", "dev", DEVICE, "root", "netem", *how)
        if all(called("tc", "-n", name, *netem).returncode == 0 for name in self.names):
            return
        if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
            pytest.skip("this kernel has neither netem nor tun: no delay, no loss")
        self.ip(self.names[0], "link", "del", DEVICE)
        ends = (*self.names, DEVICE, str(DELAY_S), str(LOSS))
        wire = subprocess.Popen([sys.executable, WIRE, *ends], stdout=subprocess.PIPE)
        self._stack.callback(wire.communicate)
        self._stack.callback(wire.kill)
        assert wire.stdout is not None
        assert wire.stdout.readline() == b"up\n"
        self._address()

    def round_trip_s(self) -> float:
        """Return the time until a place where nobody listens has said so."""
        done = called("ip", "netns", "exec", self.names[1], sys.executable, "-c", KNOCK)
        assert done.returncode == 0, done.stderr
        return float(done.stdout)

    def start(self, end: int, *arguments: object) -> "subprocess.Popen[bytes]":
        """Start a bridge at one end."""
        process = subprocess.Popen(
            ["ip", "netns", "exec", self.names[end], *command("bridge", *arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._stack.callback(process.communicate)
        self._stack.callback(process.kill)
        return process


@pytest.fixture
def net() -> Iterator[Net]:
    with contextlib.ExitStack() as stack:
        yield Net(stack)


@pytest.fixture
def ends(net: Net, tmp_path: Path) -> tuple[Bridge, Bridge, str, str]:
    """Return what starts each bridge, and the paths of the buses."""
    near, far = str(tmp_path / "near.sock"), str(tmp_path / "far.sock")
    common = ("--listen", "--connect-timeout", WAIT)

    def receive(*options: object) -> "subprocess.Popen[bytes]":
        return net.start(0, "--from", "zenoh:m/t", "--to", far, "--listen-at", PLACE,
                         *common, *options)  # fmt: skip

    def send(*options: object) -> "subprocess.Popen[bytes]":
        return net.start(1, "--from", near, "--to", "zenoh:m/t", "--connect", PLACE,
                         "--link-timeout", WAIT, *common, *options)  # fmt: skip

    return receive, send, near, far


def numbers_through(
    ends: tuple[Bridge, Bridge, str, str], count: int, size: int,
    at_half: Callable[[], None] = lambda: None,
) -> tuple[list[int], bytes, bytes]:  # fmt: skip
    """Send numbered messages; return those that came, and what each bridge has said."""
    receive, send, near, far = ends
    into, out = receive(), send()

    def produce() -> None:
        with Bus.connect(near, timeout=WAIT, role=Role.PRODUCER) as bus:
            for n in range(count):
                if n == count // 2:
                    at_half()
                bus.send(NUMBER.pack(n) + bytes(size), 0, WAIT)

    with background(produce):
        with Bus.connect(far, timeout=WAIT, role=Role.CONSUMER) as bus:
            got = [NUMBER.unpack_from(m.data)[0] for m in bus]
    _, said_out = out.communicate(timeout=WAIT)
    _, said_in = into.communicate(timeout=WAIT)
    assert out.returncode == 0, said_out
    assert into.returncode == (9 if lost_in(said_in) else 0), said_in
    return got, said_in, said_out


def test_all_arrives_over_a_link_with_delay_and_loss(
    net: Net, ends: tuple[Bridge, Bridge, str, str]
) -> None:
    net.impair()
    assert net.round_trip_s() >= 2 * DELAY_S
    got, said, _ = numbers_through(ends, 20_000, 100)
    assert got == list(range(20_000))
    assert lost_in(said) == []


@pytest.mark.timeout(200)
@pytest.mark.parametrize("seconds", [5, 20])
def test_a_link_that_is_cut_loses_nothing_that_is_not_named(
    seconds: int, net: Net, ends: tuple[Bridge, Bridge, str, str]
) -> None:
    # The lease of a link is 10 s: the shorter cut is TCP's to repair.
    net.impair()
    name = net.names[0]

    def cut() -> None:
        net.ip(name, "link", "set", DEVICE, "down")
        time.sleep(seconds)
        net.ip(name, "link", "set", DEVICE, "up")

    got, said, _ = numbers_through(ends, 20_000, 1000, cut)
    lost = [n for a, b in lost_in(said) for n in range(a, b + 1)]
    assert got == sorted(set(got))
    assert sorted([*got, *lost]) == list(range(20_000))


@pytest.mark.timeout(200)
def test_a_bridge_that_is_killed_comes_back_over_the_network(
    ends: tuple[Bridge, Bridge, str, str],
) -> None:
    receive, send, near, far = ends
    into, out = receive(), send()
    numbers = itertools.count()
    with Bus.connect(near, timeout=WAIT, role=Role.PRODUCER) as producer:
        with Bus.connect(far, timeout=WAIT, role=Role.CONSUMER) as consumer:
            for n in itertools.islice(numbers, 100):
                producer.send(NUMBER.pack(n), 0, WAIT)
            got = [NUMBER.unpack(consumer.recv(WAIT).data)[0] for _ in range(100)]
            into.kill()
            with pytest.raises(PeerDeadError):
                consumer.recv(WAIT)
        into.wait(WAIT)
        await_gone(out)
        again = receive()
        for n in itertools.islice(numbers, 100):
            producer.send(NUMBER.pack(n), 0, WAIT)
        producer.close()
        with Bus.connect(far, timeout=WAIT, role=Role.CONSUMER) as consumer:
            got += [NUMBER.unpack(m.data)[0] for m in consumer]
    _, said = again.communicate(timeout=WAIT)
    assert (out.wait(WAIT), again.returncode) == (0, 0)
    found = re.search(rb"messages 0 to (\d+) .* went before", said)
    assert found, said
    assert got == [*range(100), *range(int(found[1]) + 1, 200)]


@pytest.mark.timeout(200)
def test_the_last_messages_before_a_bridge_was_killed_are_not_taken_as_carried(
    ends: tuple[Bridge, Bridge, str, str],
) -> None:
    receive, send, near, far = ends
    into, out = receive(), send()
    with Bus.connect(near, timeout=WAIT, role=Role.PRODUCER) as producer:
        with Bus.connect(far, timeout=WAIT, role=Role.CONSUMER) as consumer:
            producer.send(NUMBER.pack(0), 0, WAIT)
            assert consumer.recv(WAIT).data == NUMBER.pack(0)
            into.send_signal(signal.SIGSTOP)  # it takes nothing more
            for n in range(1, 100):
                producer.send(NUMBER.pack(n), 0, WAIT)
    time.sleep(1)  # they are on their way
    into.kill()
    _, said = out.communicate(timeout=WAIT)
    assert out.returncode == 9, said
    found = re.search(rb"messages ([01]) to 99 .* were confirmed by no bridge", said)
    assert found, said


@pytest.mark.timeout(200)
def test_ctrl_c_ends_bridges_whose_link_is_cut(
    net: Net, ends: tuple[Bridge, Bridge, str, str]
) -> None:
    receive, send, near, far = ends
    into, out = receive(), send("--window", "32M")
    with Bus.connect(near, timeout=WAIT, role=Role.PRODUCER) as producer:
        with Bus.connect(far, timeout=WAIT, role=Role.CONSUMER) as consumer:
            producer.send(b"one")
            assert consumer.recv(WAIT).data == b"one"
            net.ip(net.names[0], "link", "set", DEVICE, "down")
            with contextlib.suppress(TimeoutError):  # where the lease is over already
                for _ in range(300):  # more than the system's buffers take
                    producer.send(bytes(64 << 10), 0, 5)
            for bridge in (out, into):
                bridge.send_signal(signal.SIGINT)
                _, said = bridge.communicate(timeout=WAIT)
                assert (bridge.returncode, b"Traceback" in said) == (130, False), said
