# SPDX-License-Identifier: Apache-2.0
"""A bus belongs to the process that opened it."""

import os
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from tachyon import Bus, PeerDeadError, TachyonError

from conftest import Pair

warnings.filterwarnings("ignore", message=".*multi-threaded, use of fork.*")


def in_child(action: Callable[[], None]) -> None:
    """Run an action in a forked child, which must end without complaint."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            action()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize(
    "use",
    [
        lambda bus: bus.send(b"from the child"),
        lambda bus: bus.send_zero_copy(8),
        lambda bus: bus.recv(),
        lambda bus: bus.recv_zero_copy(),
        lambda bus: bus.drain_batch(),
        next,
        lambda bus: bus.set_numa_node(0),
    ],
)
def test_use_in_a_child_is_an_error(pair: Pair, use: Callable[[Bus], Any]) -> None:
    def child() -> None:
        for bus in pair:
            with pytest.raises(TachyonError, match=r"parent|fork"):
                use(bus)

    in_child(child)
    pair.producer.send(b"from the parent")
    assert pair.consumer.recv(timeout=1).data == b"from the parent"


def test_closing_in_a_child_does_not_touch_the_parent(pair: Pair) -> None:
    pair.producer.send(b"before")

    def child() -> None:
        for bus in pair:
            bus._bus.destroy()

    in_child(child)
    pair.producer.send(b"after")
    assert [pair.consumer.recv(timeout=1).data for _ in range(2)] == [
        b"before",
        b"after",
    ]


def test_guard_left_in_a_child_sends_nothing(pair: Pair) -> None:
    tx = pair.producer.send_zero_copy(8)
    tx.actual_size = 8

    def child() -> None:
        with pytest.raises(TachyonError):
            tx.__exit__(None, None, None)

    in_child(child)
    with pytest.raises(TimeoutError):
        pair.consumer.recv(timeout=0.05)
    tx.__exit__(None, None, None)
    assert pair.consumer.recv(timeout=1).size == 8


def test_child_does_not_hide_the_death_of_its_parent(socket_path: str) -> None:
    code = f"""
import os, time
from tachyon import Bus
bus = Bus.connect({socket_path!r}, timeout=60)
bus.send(b"last words")
if os.fork() == 0:
    os.close(1)
    time.sleep(30)
    os._exit(0)
os.kill(os.getpid(), 9)
"""
    with subprocess.Popen([sys.executable, "-c", code]) as peer:
        with Bus.listen(socket_path, 4096, timeout=60) as bus:
            assert bus.recv(timeout=5).data == b"last words"
            with pytest.raises(PeerDeadError):
                bus.recv(timeout=5)
        peer.wait(10)


def test_no_descriptor_survives_exec(pair: Pair) -> None:
    count = subprocess.run(
        [sys.executable, "-c", "import os; print(len(os.listdir('/proc/self/fd')))"],
        capture_output=True,
        text=True,
        check=True,
        close_fds=False,
    ).stdout
    pair.producer._bus.destroy()
    pair.consumer._bus.destroy()
    again = subprocess.run(
        [sys.executable, "-c", "import os; print(len(os.listdir('/proc/self/fd')))"],
        capture_output=True,
        text=True,
        check=True,
        close_fds=False,
    ).stdout
    assert count == again
