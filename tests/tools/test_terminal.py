# SPDX-License-Identifier: Apache-2.0
"""What moves on a terminal, in a terminal: tmux draws it, and keys are pressed."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import FOR_EVER, Start, command, wait_for

tmux = shutil.which("tmux")
pytestmark = pytest.mark.skipif(not tmux, reason="there is no tmux")


class Terminal:
    """A shell in tmux, 110 columns wide and 16 lines high."""

    def __init__(self, folder: Path) -> None:
        self._socket = str(folder / "tmux")
        self.folder = folder
        self.tmux(
            "-f", "/dev/null", "new-session", "-d", "-x", "110", "-y", "16",
            "-c", str(folder),
            # pytest says how large a terminal is, for its own output.
            "env", "-u", "COLUMNS", "-u", "LINES", "PS1=$ ", "HISTFILE=", "sh",
        )  # fmt: skip

    def tmux(self, *arguments: str) -> str:
        """Run a command of tmux."""
        call = [str(tmux), "-u", "-S", self._socket, *arguments]
        done = subprocess.run(call, capture_output=True, text=True, check=True)
        return done.stdout

    def type(self, text: str) -> None:
        """Type a line."""
        self.tmux("send-keys", "-l", text + "\n")

    def press(self, key: str) -> None:
        """Press a key."""
        self.tmux("send-keys", key)

    def screen(self, *options: str) -> str:
        """Return what the screen shows."""
        return self.tmux("capture-pane", "-p", *options)

    def shows(self, *texts: str) -> None:
        """Wait until the screen has all of these."""
        with contextlib.suppress(AssertionError):
            wait_for(lambda: all(text in self.screen() for text in texts))
        screen = self.screen()
        assert all(text in screen for text in texts), screen

    def resize(self, columns: int, lines: int) -> None:
        """Make it so large, and wait until its programs are told."""
        self.tmux("resize-window", "-x", str(columns), "-y", str(lines))
        tty = self.tmux("display-message", "-p", "#{pane_tty}").strip()

        def size() -> os.terminal_size:
            file = os.open(tty, os.O_RDONLY | os.O_NOCTTY)
            try:
                return os.get_terminal_size(file)
            finally:
                os.close(file)

        wait_for(lambda: size() == (columns, lines))

    def state(self) -> str:
        """Return what a program may have left changed: modes, screen, cursor."""
        file = self.folder / "stty"
        file.unlink(missing_ok=True)
        self.type("stty -a > stty; echo written > stty.done")
        wait_for(lambda: (self.folder / "stty.done").exists())
        (self.folder / "stty.done").unlink()
        return file.read_text() + self.tmux(
            "display-message", "-p", "#{alternate_on} #{cursor_flag}"
        )


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    one = Terminal(tmp_path)
    try:
        yield one
    finally:
        one.tmux("kill-server")


def shell(*arguments: object) -> str:
    """Return a command line that says how it has ended."""
    return f"{' '.join(command(*arguments))}; echo status=$?"


@pytest.fixture
def three(start: Start, tmp_path: Path) -> None:
    """Three that listen, with rings of different sizes."""
    for name, size in (("a", "4K"), ("b", "64K"), ("c", "16K")):
        start("recv", name, *FOR_EVER, "--capacity", size, cwd=tmp_path)
        wait_for((tmp_path / name).exists)


def order(terminal: Terminal) -> str:
    """Return the names in the order of the screen."""
    text = terminal.screen().replace("\n", " ")
    return (
        "".join(re.findall(r"/([abc]) +\d+ .*? listens", text))
        if "MB/S" in text
        else ""
    )


@pytest.mark.parametrize("ending", ["q", "C-c"])
def test_top_obeys_its_keys_and_leaves_the_terminal_as_it_was(
    ending: str, terminal: Terminal, three: None, tmp_path: Path
) -> None:
    terminal.type("echo before")
    terminal.shows("\nbefore")
    before = terminal.state()
    terminal.type(shell("top", tmp_path, "--interval", 0.2))
    terminal.shows("tachyon top:", "3 rings", "q quit")
    wait_for(lambda: "before" not in terminal.screen())  # a screen of its own
    terminal.press("s")
    wait_for(lambda: order(terminal) == "bca")
    terminal.press("r")
    wait_for(lambda: order(terminal) == "acb")
    terminal.press("r")
    terminal.press("p")
    wait_for(lambda: order(terminal) == "abc")
    terminal.press("Space")
    terminal.shows("paused")
    terminal.press("Space")
    wait_for(lambda: "paused" not in terminal.screen())
    terminal.press("x")  # no key of ours
    terminal.resize(60, 10)
    wait_for(lambda: "tachyon top:" in terminal.screen().splitlines()[0])
    terminal.resize(110, 16)
    terminal.press(ending)
    terminal.shows("\nbefore", f"status={130 if ending == 'C-c' else 0}")
    assert terminal.state() == before


def test_top_that_is_terminated_leaves_it_so_too(
    terminal: Terminal, three: None, tmp_path: Path
) -> None:
    before = terminal.state()
    line = " ".join(command("top", tmp_path))
    terminal.type(f"sh -c 'echo $$ > pid; exec {line}'; echo status=$?")
    terminal.shows("tachyon top:")
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGTERM)
    terminal.shows("status=143")
    assert terminal.state() == before


@pytest.mark.parametrize("without", [True, False])
def test_no_color_is_obeyed(without: bool, terminal: Terminal, path: str) -> None:
    if without:
        terminal.type("NO_COLOR=1; export NO_COLOR")
    terminal.type("clear")
    terminal.type(shell("doctor", path))
    terminal.shows("status=3")
    coloured = re.search(r"\x1b\[(\d+;)*3[0-7][;m]", terminal.screen("-e"))
    assert (coloured is None) == without


def test_list_fits_a_terminal(terminal: Terminal, three: None, tmp_path: Path) -> None:
    terminal.type("clear")
    terminal.type(shell("list", tmp_path))
    terminal.shows("status=0")
    rows = [row for row in terminal.screen().splitlines() if "listener" in row]
    assert [row.split()[0][-2:] for row in rows] == ["/a", "/b", "/c"]


def test_recv_shows_how_far_it_is_and_ends_with_ctrl_c(
    terminal: Terminal, start: Start, path: str, tmp_path: Path
) -> None:
    (tmp_path / "lines").write_text("a line\n" * 10_000)
    before = terminal.state()
    terminal.type(shell("recv", path, *FOR_EVER, ">", "received"))
    with (tmp_path / "lines").open() as lines:
        start("send", path, "--rate", 50, stdin=lines)
    terminal.shows("received ", " messages, ")
    terminal.press("C-c")
    terminal.shows("status=130")
    assert terminal.state() == before


def test_recv_draws_nothing_over_messages_on_the_terminal(
    terminal: Terminal, start: Start, path: str
) -> None:
    terminal.type("clear")
    terminal.type(shell("recv", path, *FOR_EVER))
    start("send", path, "--rate", 2, stdin=subprocess.PIPE).communicate(b"line\n" * 3)
    terminal.shows("status=0")
    assert "line\nline\nline\nstatus=0" in terminal.screen()
