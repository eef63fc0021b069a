# SPDX-License-Identifier: Apache-2.0
"""tachyon doctor: each thing that keeps a program from connecting is named."""

import contextlib
import errno
import json
import os
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tachyon import Bus, Role, RpcBus
from tachyon.tools import knock, rings
from tachyon.tools.limits import limits

from conftest import Start, as_nobody, command, run, wait_for

GREETING = struct.Struct("=8I5Q2I32s16x")


def doctor(path: object, *arguments: object, **options: Any) -> tuple[int, str, str]:
    """Return the status, the findings that are bad, and all of them."""
    patience = [] if "--timeout" in arguments else ["--timeout", 25]
    done = run("doctor", path, *patience, *arguments, **options)
    assert done.stderr == b""
    lines = done.stdout.decode().splitlines()
    return done.returncode, "\n".join(x for x in lines if x[:4] == "FAIL"), str(lines)


@contextlib.contextmanager
def listening(listen: Callable[[], Any]) -> Iterator[list[Any]]:
    """Listen in a thread; what it returns is in the list."""
    got: list[Any] = []
    thread = threading.Thread(target=lambda: got.append(listen()))
    thread.start()
    yield got
    thread.join()
    for bus in got:
        bus.close()


@pytest.mark.parametrize("kind", ["bus", "rpc", "abstract"])
def test_who_would_be_let_in_is_told_so_and_the_place_is_not_taken(
    kind: str, path: str
) -> None:
    if kind == "abstract":
        path = f"@tachyon-{os.getpid()}"
    size = 1 << 14

    def listen() -> Any:
        if kind == "rpc":
            return RpcBus.rpc_listen(path, size, size, timeout=30)
        return Bus.listen(path, size, role=Role.CONSUMER, timeout=30)

    with listening(listen) as got:
        wait_for(lambda: doctor(path)[0] == 0)
        for _ in range(3):
            status, bad, findings = doctor(path)
            assert (status, bad) == (0, "")
            assert "16,384 bytes" in findings
            assert ("RPC bus" in findings) == (kind == "rpc")
        assert got == []  # nobody has come, so far
        connect = RpcBus.rpc_connect if kind == "rpc" else Bus.connect
        connect(path, timeout=10).close()


def test_a_listener_of_many_says_what_it_is_and_counts_no_peer(path: str) -> None:
    with Bus.listen(path, 1 << 14, role=Role.PRODUCER, max_peers=2) as bus:
        bus.accept_in_background()
        for _ in range(5):
            assert doctor(path)[:2] == (0, "")
        assert "broadcast" in doctor(path)[2]
        assert list(bus.peers()) == []
        with (
            Bus.connect(path, timeout=10, role=Role.CONSUMER),
            Bus.connect(path, timeout=10, role=Role.CONSUMER),
        ):
            status, bad, _ = doctor(path)
            assert status == 3
            assert "no place is left" in bad
            assert "max_peers" in bad


def test_nothing_at_the_path(path: str) -> None:
    status, bad, _ = doctor(path)
    assert (status, "start the listener" in bad) == (3, True)


def test_a_path_that_is_too_long_or_empty(tmp_path: Path) -> None:
    status, bad, _ = doctor(tmp_path / ("x" * 100))
    assert (status, "at most 107" in bad) == (3, True)
    status, bad, _ = doctor("")
    assert (status, "names nothing" in bad) == (3, True)


def test_a_folder_that_is_missing_or_none(tmp_path: Path) -> None:
    status, bad, _ = doctor(tmp_path / "a/b/bus.sock")
    assert (status, f"{tmp_path}/a does not exist" in bad) == (3, True)
    (tmp_path / "file").touch()
    status, bad, _ = doctor(tmp_path / "file/bus.sock")
    assert (status, "is no folder" in bad) == (3, True)


def test_a_relative_path_is_told_from_where(tmp_path: Path) -> None:
    status, _, findings = doctor("bus.sock", cwd=tmp_path)
    assert (status, f"{tmp_path}/bus.sock" in findings) == (3, True)


def test_a_file_that_is_no_socket_is_left_alone(path: str) -> None:
    Path(path).write_text("a file")
    status, bad, _ = doctor(path)
    assert (status, "no socket" in bad) == (3, True)
    assert Path(path).read_text() == "a file"


def test_a_stale_socket(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(path)
    status, bad, _ = doctor(path)
    assert (status, "process is gone" in bad) == (3, True)
    assert Path(path).exists()


def test_a_place_that_is_taken(path: str) -> None:
    with listening(lambda: Bus.listen(path, 1 << 14, timeout=30)) as got:
        with Bus.connect(path, timeout=10):
            wait_for(lambda: got)
            wait_for(lambda: not Path(path).exists())
            status, bad, _ = doctor(path)
            assert status == 3
            assert "has its peer" in bad


def test_a_listener_of_this_name_elsewhere_is_named(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    there = str(tmp_path / "there/ticks.sock")
    with Bus.listen(there, 1 << 14, role=Role.PRODUCER, max_peers=2):
        status, bad, _ = doctor(tmp_path / "ticks.sock")
        assert status == 3
        here = "nobody listens here: start the listener"
        assert re.search(rf"{here}.*: process {os.getpid()} .* listens at {there}", bad)


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare"), reason="takes root, and unshare"
)
def test_a_listener_in_another_mount_namespace(tmp_path: Path) -> None:
    """As a service with PrivateTmp, or a container."""
    path, said = tmp_path / "bus.sock", tmp_path / "said"
    listen = " ".join(command("recv", path, "--listen", "--connect-timeout", 0))
    script = f"mount -t tmpfs none {tmp_path} && exec {listen}"
    with said.open("w") as error:
        process = subprocess.Popen(["unshare", "-m", "sh", "-c", script], stderr=error)
    try:
        wait_for(lambda: process.poll() is not None or rings.look(str(path))[0])
        if process.poll() is not None:
            pytest.skip(f"no mount namespace here: {said.read_text()}")
        status, bad, _ = doctor(path)
    finally:
        process.kill()
        process.wait()
    assert status == 3
    assert f"process {process.pid} " in bad
    assert "another mount namespace" in bad


class Server:
    """A listener that answers what it is told to; it counts who comes."""

    def __init__(self, path: str, answer: bytes, lock: bool) -> None:
        self.came = 0
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(path)
        self._socket.listen()
        if lock:
            Path(path + ".tachyon-lock").touch(0o1400)
        self._thread = threading.Thread(target=self._serve, args=[answer], daemon=True)
        self._thread.start()

    def _serve(self, answer: bytes) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                self.came += 1
                with client:
                    client.recv(4096)
                    client.sendall(answer)

    def close(self) -> None:
        """Come to an end."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()


def test_a_listener_of_another_version(path: str) -> None:
    zeros = [0] * 13
    answer = GREETING.pack(knock.MAGIC, 100, 14, *zeros[:12], b"")
    server = Server(path, answer, lock=True)
    status, bad, _ = doctor(path)
    server.close()
    assert status == 3
    assert "wire version is 100, ours 101" in bad


def test_a_listener_of_0_5_is_not_asked(path: str) -> None:
    """It would take us for its peer."""
    server = Server(path, b"", lock=False)
    status, bad, _ = doctor(path)
    server.close()
    assert (status, "0.5" in bad) == (3, True)
    assert server.came == 0


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\1" * 9]
)
def test_what_is_no_tachyon_at_all(answer: bytes, path: str) -> None:
    server = Server(path, answer, lock=True)
    status, bad, _ = doctor(path)
    server.close()
    assert (status, bad.count("\n")) == (3, 0)
    assert bad.startswith("FAIL answer: ")


def test_a_listener_that_is_stopped(start: Start, path: str) -> None:
    process = start("recv", path, "--listen", "--connect-timeout", 0)
    wait_for(lambda: doctor(path)[0] == 0)
    process.send_signal(signal.SIGSTOP)
    status, bad, _ = doctor(path, "--timeout", 0.5)
    process.send_signal(signal.SIGCONT)
    assert status == 3
    assert f"kill -CONT {process.pid}" in bad
    wait_for(lambda: doctor(path)[0] == 0)


def test_a_listener_that_is_in_no_call(path: str) -> None:
    with Bus.listen(path, 1 << 14, role=Role.CONSUMER, max_peers=2):
        status, bad, _ = doctor(path, "--timeout", 0.3)
        assert status == 3
        assert "does not answer" in bad


def test_few_descriptors_and_addresses(path: str) -> None:
    def few() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (10, 10))
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))

    status, bad, findings = doctor(path, preexec_fn=few)
    assert status == 3
    assert "ulimit -n 10: too few" in bad
    assert "ulimit -f allows 65,536 bytes" in findings


@pytest.mark.parametrize("call", ["memfd_create", "posix_fallocate"])
def test_a_system_that_refuses_memory(call: str, monkeypatch: Any) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, call, refuse)
    found = next(limits())
    assert (found.verdict, found.subject) == ("note", "memory")
    assert "SYSCALLS.md" in found.text


def test_as_json(path: str) -> None:
    done = run("doctor", path, "--json")
    document = json.loads(done.stdout)
    assert (done.returncode, document["would_connect"]) == (3, False)
    assert {"path", "folder", "socket", "memory"} <= {
        finding["subject"] for finding in document["findings"]
    }


def test_a_path_that_is_no_text(path: str) -> None:
    path += os.fsdecode(b"\xff")
    done = run("doctor", path, "--json")
    assert (done.returncode, json.loads(done.stdout)["path"]) == (3, path)
    assert doctor(path)[0] == 3


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root, to be another user")
def test_another_user_is_told_whose_it_is(open_folder: Path) -> None:
    path = str(open_folder / "bus.sock")
    options = {"role": Role.PRODUCER, "max_peers": 2}
    with Bus.listen(path, 1 << 14, **options) as bus:
        bus.accept_in_background()
        status, out, _ = as_nobody("doctor", path, "--timeout", 25)
        assert status == 3
        assert "mode 0600, user root (0)" in out
        assert "allowed_uids" in out
    with Bus.listen(path, 1 << 14, mode=0o666, **options) as bus:
        bus.accept_in_background()
        status, out, _ = as_nobody("doctor", path, "--timeout", 25)
        assert status == 3
        assert "it does not let us in" in out
    with Bus.listen(path, 1 << 14, mode=0o666, allowed_uids=[65534], **options) as bus:
        bus.accept_in_background()
        status, out, _ = as_nobody("doctor", path, "--timeout", 25)
        assert status == 3
        assert "connect with allowed_uids=[0]" in out
    open_folder.chmod(0o700)
    status, out, _ = as_nobody("doctor", path, "--timeout", 25)
    assert status == 3
    assert f"{open_folder} may not be entered" in out
