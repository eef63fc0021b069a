# SPDX-License-Identifier: Apache-2.0
"""How the commands end: exit statuses, signals, pipes, what is missing."""

import contextlib
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tachyon import AbortedError, Bus, PeerDeadError
from tachyon.tools.ending import STATUSES

from conftest import HEADER, Start, command, ended, run, without

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/TOOLS.md"


def test_the_page_has_the_table_of_statuses() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", PAGE.read_text(), re.M)
    assert {int(status): text.replace("`", "") for status, text in rows} == STATUSES


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing"],
        ["send"],
        ["send", "x", "--capacity", "1T"],
        ["send", "x", "--peers", "2"],
        ["send", "x", "--size", "4"],
        ["send", "x", "--format", "raw", "--size", "0"],
        ["send", "x", "--type", "Tick"],
        ["send", "x", "--type", "-1"],
        ["send", "x", "--rate", "0"],
        ["send", "x", "--rate", "nan"],
        ["send", "x", "--timeout", "nan"],
        ["send", "x", "--format", "raw", "--size", "3G"],
        ["send", "x", "--format", "raw", "--size", "99999999999G"],
        ["recv", "x", "--listen", "--type", "4294967296"],
        ["recv", "x", "--listen", "--header", HEADER, "--types", "Tick=1,Tick=2"],
        ["play", "x", "x", "--speed", "nan"],
        ["record", "x", "x", "--rotate-time", "nan"],
        ["send", "x", "--header", HEADER],
        ["send", "x", "--types", "Tick=1"],
        ["send", "x", "--header", HEADER, "--types", "Tick"],
        ["send", "x", "--header", "/nowhere.h", "--types", "Tick=1"],
        ["recv", "x", "--listen", "--capacity", "5000"],
        ["recv", "x" * 200, "--listen"],
        ["bench", "--size", "0"],
        ["bench", "--size", "1G"],
    ],
)
def test_a_wrong_command_line_is_2(arguments: list[str], tmp_path: Path) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith((b"Error: ", b"tachyon: "))
    assert b"Traceback" not in done.stderr


def test_a_header_without_the_struct_is_bad_data(path: str) -> None:
    done = run("send", path, "--header", HEADER, "--types", "Tock=1")
    assert (done.returncode, done.stderr.count(b"Tock") > 0) == (6, True)


def test_nobody_there_is_3_and_says_what_to_do(path: str) -> None:
    for arguments in (
        ("send", path, "--connect-timeout", 0),
        ("recv", path, "--listen", "--connect-timeout", 0.1),
        ("bench", path),
        ("echo", path, "--timeout", 0.1),
    ):
        done = run(*arguments)
        assert done.returncode == 3, arguments
        assert path.encode() in done.stderr
        assert done.stderr.count(b"\n") == 1


def test_ctrl_c_while_it_loads_says_nothing(path: str, tmp_path: Path) -> None:
    environment = without("rich", tmp_path / "packages")
    (tmp_path / "packages/rich.py").write_text("import os; os.kill(os.getpid(), 2)")
    done = run("list", env=environment)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, b"")


def installed(folder: Path, *arguments: str, **options: Any) -> tuple[int, bytes]:
    """Run the command as it is installed; return its status and what it has said."""
    (folder / "bin").mkdir()
    script = shutil.copy(ROOT / "bindings/python/command.py", folder / "bin/tachyon")
    call = [sys.executable, script, *arguments]
    done = subprocess.run(call, capture_output=True, timeout=50, check=False, **options)
    return done.returncode, done.stdout + done.stderr


def test_ctrl_c_while_the_package_loads_says_nothing(tmp_path: Path) -> None:
    environment = without("tachyon", tmp_path / "packages")
    (tmp_path / "packages/tachyon.py").write_text("import os; os.kill(os.getpid(), 2)")
    assert installed(tmp_path, env=environment) == (-signal.SIGINT, b"")


def test_the_installed_command_is_the_program(tmp_path: Path) -> None:
    assert installed(tmp_path, "--version") == (0, run("--version").stdout)


def test_ctrl_c_that_was_ignored_stays_so(start: Start, path: str) -> None:
    """As in the background of a script."""

    def ignore() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    process = start("recv", path, "--listen", preexec_fn=ignore)
    while not Path(path).exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert run("send", path, given=b"x\n").returncode == 0
    assert ended(process)[:2] == (0, b"x\n")


def test_a_path_that_is_taken_is_3(path: str) -> None:
    Path(path).write_text("a file")
    done = run("recv", path, "--listen", "--connect-timeout", 1)
    assert done.returncode == 3
    assert Path(path).read_text() == "a file"


def test_a_stranger_on_the_socket_is_3(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        listener.settimeout(30)
        done = run("send", path, "--connect-timeout", 0.5)
    assert done.returncode == 3, done.stderr


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_signals_end_a_sender_and_abort(
    number: int, status: int, path: str, start: Start
) -> None:
    sender = start("send", path, "--listen", stdin=-1)
    assert sender.stdin
    with Bus.connect(path, timeout=20) as bus:
        sender.stdin.write(b"one\n")
        sender.stdin.flush()
        sender.stdin.write(b"x" * 70000)  # so that it has been read from the pipe
        sender.stdin.flush()
        assert bus.recv(timeout=20).data == b"one"
        sender.send_signal(number)
        with pytest.raises(AbortedError):
            bus.recv(timeout=20)
        sender.wait(20)
        assert (sender.returncode, sender.stderr.read() if sender.stderr else b"") == (
            status,
            b"",
        )


@pytest.mark.parametrize("arguments", [("recv", "--listen"), ("echo",)])
def test_ctrl_c_ends_who_waits(
    arguments: tuple[str, ...], path: str, start: Start
) -> None:
    name, *options = arguments
    waiting = start(
        name, path, *options, *(["--connect-timeout", 0] * (name == "recv"))
    )
    while not Path(path).exists():
        assert waiting.poll() is None
        time.sleep(0.01)
    waiting.send_signal(signal.SIGINT)
    assert ended(waiting) == (130, b"", b"")
    assert not Path(path).exists()


def test_a_broken_pipe_is_silent(path: str, start: Start) -> None:
    there, gone = os.pipe()
    receiver = start("recv", path, "--listen", stdout=gone)
    os.close(there)
    os.close(gone)
    with Bus.connect(path, timeout=20) as bus:
        bus.send(b"nobody reads this")
        assert receiver.wait(20) == 141
    assert receiver.stderr
    assert receiver.stderr.read() == b""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_is_7(path: str, start: Start) -> None:
    with open("/dev/full", "wb") as full:
        receiver = start("recv", path, "--listen", stdout=full)
    with Bus.connect(path, timeout=20) as bus:
        bus.send(b"no room for this")
        assert receiver.wait(20) == 7
    assert receiver.stderr
    assert b"No space left" in receiver.stderr.read()


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_nobody_reads_the_help(option: str, start: Start) -> None:
    there, gone = os.pipe()
    os.close(there)
    process = start(option, stdout=gone)
    os.close(gone)
    process.stdout = None
    assert ended(process) == (141, None, b"")


def closed(redirections: str, *arguments: object) -> list[str]:
    """Return a command of which standard streams are closed."""
    return ["sh", "-c", f'exec "$@" {redirections}', "sh", *command(*arguments)]


def test_streams_that_are_closed_are_files_that_cannot_be_used(path: str) -> None:
    for arguments in (("list", "--json"), ("--version",), ("manual",)):
        done = subprocess.run(
            closed(">&-", *arguments), capture_output=True, timeout=50, check=False
        )
        assert (done.returncode, done.stderr.count(b"\n")) == (7, 1), done.stderr
        assert b"Bad file descriptor" in done.stderr
    for redirections, arguments in (
        ("<&-", ("send", path, "--listen")),
        (">&-", ("recv", path, "--listen")),
    ):
        process = subprocess.Popen(
            closed(redirections, *arguments), stderr=subprocess.PIPE
        )
        with contextlib.suppress(PeerDeadError), Bus.connect(path, timeout=20) as bus:
            if arguments[0] == "recv":
                bus.send(b"there is no place for this")
            status, _, error = ended(process)
        assert status == 7
        assert error == b"tachyon: [Errno 9] Bad file descriptor\n"


def test_a_ring_does_not_come_where_a_stream_was_closed(path: str) -> None:
    receiver = subprocess.Popen(
        closed("<&- 2>&-", "recv", path, "--listen"), stdout=subprocess.PIPE
    )
    assert run("send", path, given=b"one\ntwo\n").returncode == 0
    assert receiver.communicate(timeout=50)[0] == b"one\ntwo\n"
    assert receiver.returncode == 0


@pytest.mark.parametrize("package", ["click", "rich"])
def test_the_missing_extra_is_one_line(package: str, tmp_path: Path) -> None:
    done = run("--help", env=without(package, tmp_path / "without"))
    assert done.returncode == 8
    assert done.stderr.count(b"\n") == 1
    assert f"No module named '{package}'".encode() in done.stderr
    assert b"pip install 'tachyon-ipc[tools]'" in done.stderr


@pytest.mark.parametrize("colour", [True, False])
def test_progress_is_for_terminals_and_no_color_holds(
    colour: bool, path: str, start: Start
) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
    environment |= {"TERM": "xterm-256color"} | ({} if colour else {"NO_COLOR": "1"})
    ours, theirs = pty.openpty()
    receiver = start("recv", path, "--listen", "--format", "none")
    sender = subprocess.Popen(
        command("send", path), stdin=-1, stderr=theirs, env=environment
    )
    os.close(theirs)
    sender.communicate(b"a\nb\n", timeout=50)
    shown = b""
    try:
        while data := os.read(ours, 4096):
            shown += data
    except OSError:  # as a terminal ends
        pass
    os.close(ours)
    assert sender.returncode == 0
    assert b"sent 2 messages" in shown
    assert not re.search(rb"\x1b\[[0-9;]*3[0-7]m", shown)
    status, out, _ = ended(receiver)
    assert status == 0
    assert out.startswith(b"received 2 messages")


def test_the_shell_completes_commands_and_options() -> None:
    for words, number, found in (
        ("tachyon re", 1, {b"plain,record", b"plain,recv"}),
        ("tachyon play --as", 2, {b"plain,--as-fast-as-possible"}),
    ):
        asked = {"COMP_WORDS": words, "COMP_CWORD": str(number)}
        done = run(env={**os.environ, "_TACHYON_COMPLETE": "bash_complete", **asked})
        assert set(done.stdout.split()) == found
    for shell in ("bash", "zsh"):
        done = run(env={**os.environ, "_TACHYON_COMPLETE": f"{shell}_source"})
        assert (done.returncode, b"_TACHYON_COMPLETE" in done.stdout) == (0, True)
