# SPDX-License-Identifier: Apache-2.0
"""What may stand at a path or knock at it, and who is let in."""

import contextlib
import errno
import os
import secrets
import socket
import stat
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tachyon import Bus

from conftest import StartPeer
from floor import Watch


@contextlib.contextmanager
def listening(path: str, **options: float) -> Iterator[list[Bus]]:
    """Listen in a thread; the bus is in the list once a peer is there."""
    ends: list[Bus] = []
    thread = threading.Thread(
        target=lambda: ends.append(Bus.listen(path, 4096, timeout=10, **options))
    )
    thread.start()
    deadline = time.monotonic() + 5
    while not path.startswith("@") and not is_socket(path):
        assert time.monotonic() < deadline
        time.sleep(0.001)
    try:
        yield ends
    finally:
        thread.join()
        for bus in ends:
            bus._bus.destroy()


def is_socket(path: str) -> bool:
    """Tell whether a socket stands at a path."""
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except FileNotFoundError:
        return False


def exchange(path: str, ends: list[Bus]) -> None:
    """Connect and send one message."""
    with Bus.connect(path, timeout=5) as bus:
        bus.send(b"x")
        deadline = time.monotonic() + 5
        while not ends:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        assert ends[0].recv(timeout=5).data == b"x"


def test_nobody_listens(socket_path: str) -> None:
    with pytest.raises(ConnectionError, match=socket_path) as caught:
        Bus.connect(socket_path)
    assert caught.value.errno == errno.ENOENT


def test_missing_directory(tmp_path: Path) -> None:
    path = str(tmp_path / "missing" / "bus.sock")
    with pytest.raises(ConnectionError, match="missing") as caught:
        Bus.listen(path, 4096, timeout=1)
    assert caught.value.errno == errno.ENOENT


def test_regular_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("precious")
    with pytest.raises(ConnectionError, match=str(path)) as caught:
        Bus.listen(path, 4096, timeout=1)
    assert caught.value.errno == errno.EADDRINUSE
    assert path.read_text() == "precious"
    with pytest.raises(ConnectionError):
        Bus.connect(path)


def test_live_listener_keeps_its_path(socket_path: str) -> None:
    with listening(socket_path) as ends:
        with pytest.raises(ConnectionError, match=socket_path) as caught:
            Bus.listen(socket_path, 4096, timeout=1)
        assert caught.value.errno == errno.EADDRINUSE
        exchange(socket_path, ends)


def test_stale_socket_is_replaced(socket_path: str, start_peer: StartPeer) -> None:
    peer = start_peer("Bus.listen(path, 4096)")
    while not is_socket(socket_path):
        time.sleep(0.001)
    peer.kill()
    peer.wait()
    assert is_socket(socket_path)
    with pytest.raises(ConnectionError):
        Bus.connect(socket_path)
    with listening(socket_path) as ends:
        exchange(socket_path, ends)
    assert not os.path.exists(socket_path)


def test_socket_is_private_by_default(socket_path: str) -> None:
    for options, expected in (({}, 0o600), ({"mode": 0o660}, 0o660)):
        with listening(socket_path, **options) as ends:
            assert stat.S_IMODE(os.stat(socket_path).st_mode) == expected
            exchange(socket_path, ends)


def test_abstract_name_makes_no_file(tmp_path: Path) -> None:
    name = "@tachyon-" + secrets.token_hex(8)
    with listening(name) as ends:
        exchange(name, ends)
    assert not list(tmp_path.iterdir())


def test_foreign_uid_is_refused(socket_path: str) -> None:
    with listening(socket_path, allowed_uids=[os.getuid(), 1]) as ends:
        with pytest.raises(PermissionError, match=str(os.getuid())):
            Bus.connect(socket_path, allowed_uids=[os.getuid() + 1])
        exchange(socket_path, ends)


def test_bad_clients_do_not_disturb_a_good_one(socket_path: str) -> None:
    with listening(socket_path) as ends, contextlib.ExitStack() as stack:
        for said in (b"", b"GET / HTTP/1.1\r\n\r\n", bytes(4096), b"x", os.urandom(64)):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(socket_path)
            with contextlib.suppress(BrokenPipeError):
                client.sendall(said)
            gone = socket.socket(socket.AF_UNIX)
            gone.connect(socket_path)
            gone.close()
        watch = Watch()
        exchange(socket_path, ends)
        watch.check(0, 1)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        struct.pack("<II", 0x54414348, 4) + bytes(56),
        os.urandom(200),
    ],
)
def test_listener_that_is_no_tachyon_is_refused(
    socket_path: str, answer: bytes
) -> None:
    server = socket.socket(socket.AF_UNIX)
    server.bind(socket_path)
    server.listen()

    def serve() -> None:
        client, _ = server.accept()
        client.sendall(answer)
        client.close()

    thread = threading.Thread(target=serve)
    thread.start()
    with pytest.raises(ConnectionError, match=socket_path):
        Bus.connect(socket_path)
    thread.join()
    server.close()


def test_datagram_socket_at_the_path_is_refused(socket_path: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(socket_path)
        with pytest.raises(ConnectionError):
            Bus.connect(socket_path)


def test_refusals_leak_no_descriptors(socket_path: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")

    def refuse() -> None:
        for attempt in (
            lambda: Bus.connect(socket_path),
            lambda: Bus.listen(file, 4096),
            lambda: Bus.listen(socket_path, 4096, timeout=0),
            lambda: Bus.listen(socket_path, 5),
        ):
            with pytest.raises((OSError, ValueError)):
                attempt()

    refuse()
    before = os.listdir("/proc/self/fd")
    for _ in range(50):
        refuse()
    assert len(os.listdir("/proc/self/fd")) == len(before)
