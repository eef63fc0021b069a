# SPDX-License-Identifier: Apache-2.0
"""Bad arguments: each has its exception and a text that names cause and value."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tachyon
from tachyon import (
    AbortedError,
    Bus,
    ClosedError,
    PeerDeadError,
    RingFull,
    Role,
    TachyonError,
)

from conftest import Pair


@pytest.mark.parametrize("capacity", [0, 3, 4097, 1 << 32, (1 << 63) - 1])
def test_capacity_out_of_range(socket_path: str, capacity: int) -> None:
    with pytest.raises(ValueError, match=str(capacity)):
        Bus.listen(socket_path, capacity, timeout=1)


@pytest.mark.parametrize(
    ("capacity", "error"),
    [
        (-4096, ValueError),
        (1 << 64, ValueError),
        ("4096", TypeError),
        (4096.0, TypeError),
    ],
)
def test_capacity_of_the_wrong_kind(
    socket_path: str, capacity: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        Bus.listen(socket_path, capacity, timeout=1)


OPEN: list[Callable[..., Bus]] = [
    lambda path: Bus.listen(path, 4096, timeout=0.05),
    lambda path: Bus.connect(path),
]


@pytest.mark.parametrize("open_bus", OPEN)
@pytest.mark.parametrize("path", ["", "x" * 108, "@" + "x" * 107, "nul\0byte"])
def test_path_out_of_range(open_bus: Callable[..., Bus], path: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        open_bus(path)


@pytest.mark.parametrize("open_bus", OPEN)
@pytest.mark.parametrize("path", [None, 7, ["a"]])
def test_path_of_the_wrong_kind(open_bus: Callable[..., Bus], path: object) -> None:
    with pytest.raises(TypeError):
        open_bus(path)


@pytest.mark.parametrize("kind", [str, os.fsencode, Path])
def test_path_may_be_of_any_path_type(
    tmp_path: Path, kind: Callable[[Any], Any]
) -> None:
    path = kind(str(tmp_path / "ä.sock"))
    with pytest.raises(TimeoutError):
        Bus.listen(path, 4096, timeout=0.01)
    with pytest.raises(ConnectionError, match="ä"):
        Bus.connect(path)


@pytest.mark.parametrize(
    "options",
    [
        {"mode": 0o10000},
        {"role": 3},
        {"timeout": -1},
    ],
)
def test_option_out_of_range(socket_path: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        Bus.listen(socket_path, 4096, **{"timeout": 0.05, **options})


@pytest.mark.parametrize("uids", [[-1], [1 << 32], ["root"], 5])
def test_allowed_uids_must_be_ids(socket_path: str, uids: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        Bus.listen(socket_path, 4096, timeout=0.05, allowed_uids=uids)


@pytest.mark.parametrize(
    ("type_id", "error"),
    [(-1, ValueError), (1 << 32, ValueError), ("1", TypeError), (1.0, TypeError)],
)
def test_type_id_out_of_range(pair: Pair, type_id: Any, error: type[Exception]) -> None:
    for send in (
        lambda: pair.producer.send(b"x", type_id),
        lambda: pair.producer.send_zero_copy(1, type_id=type_id),
    ):
        with pytest.raises(error):
            send()
    with pytest.raises(TimeoutError):
        pair.consumer.recv(timeout=0)


@pytest.mark.parametrize(
    ("size", "error"), [(-1, ValueError), (1 << 64, ValueError), ("1", TypeError)]
)
def test_size_out_of_range(pair: Pair, size: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        pair.producer.send_zero_copy(size)
    with pytest.raises(error):
        pair.producer._bus.acquire_tx(size)


@pytest.mark.parametrize("data", ["text", 7, None, [1]])
def test_data_must_be_a_buffer(pair: Pair, data: Any) -> None:
    with pytest.raises(TypeError, match="bytes-like"):
        pair.producer.send(data)


def test_data_must_be_contiguous(pair: Pair) -> None:
    with pytest.raises((BufferError, ValueError)):
        pair.producer.send(np.zeros(10)[::2])


@pytest.mark.parametrize(
    "call",
    [
        lambda bus: bus.send(),
        lambda bus: bus.send(b"x", 1, None, True, 5),
        lambda bus: bus.send(b"x", data=b"y"),
        lambda bus: bus.send(b"x", colour=1),
        lambda bus: bus.send_zero_copy(),
        lambda bus: bus.recv(1, 2),
        lambda bus: bus._bus.acquire_tx(),
        lambda bus: bus._bus.flush(1),
        lambda bus: Bus(1),
        lambda bus: tachyon.TachyonBus(1),
        lambda bus: bus._bus.set_numa_node("0"),
    ],
)
def test_wrong_arguments_are_a_type_error(
    pair: Pair, call: Callable[[Bus], Any]
) -> None:
    with pytest.raises(TypeError):
        call(pair.producer)


@pytest.mark.parametrize("count", [0, -1])
def test_max_msgs_out_of_range(pair: Pair, count: int) -> None:
    with pytest.raises(ValueError, match="max_msgs"):
        pair.consumer.drain_batch(count)


def test_max_msgs_may_exceed_what_the_ring_holds(pair: Pair) -> None:
    pair.producer.send(b"x")
    with pair.consumer.drain_batch((1 << 64) - 1) as batch:
        assert len(batch) == 1


@pytest.mark.parametrize("spin", [-1, 1 << 32])
def test_spin_threshold_out_of_range(pair: Pair, spin: int) -> None:
    with pytest.raises(ValueError, match="spin_threshold"):
        pair.consumer.recv_zero_copy(spin_threshold=spin)
    with pytest.raises(ValueError, match="spin_threshold"):
        pair.consumer.drain_batch(spin_threshold=spin)


@pytest.mark.parametrize("node", [-1, 64])
def test_numa_node_out_of_range(pair: Pair, node: int) -> None:
    with pytest.raises(ValueError, match=str(node)):
        pair.producer.set_numa_node(node)


def test_numa_node_that_is_not_there_is_an_os_error(pair: Pair) -> None:
    if Path("/sys/devices/system/node/node63").exists():
        pytest.skip("this machine has a NUMA node 63")
    with pytest.raises(OSError, match=r"\[Errno \d+\]"):
        pair.producer.set_numa_node(63)


def test_options_of_both_ends_are_compared(tmp_path: Path) -> None:
    for listener, client in (
        ({"role": Role.PRODUCER}, {"role": Role.PRODUCER}),
        ({"schema": 1}, {"schema": 2}),
    ):
        path = str(tmp_path / "options.sock")
        errors: list[BaseException] = []

        def listen(options: dict[str, Any] = listener) -> None:
            try:
                Bus.listen(path, 4096, timeout=1, **options)
            except TimeoutError as error:
                errors.append(error)

        thread = threading.Thread(target=listen)
        thread.start()
        with pytest.raises((TachyonError, ConnectionError)):
            Bus.connect(path, timeout=10, **client)  # type: ignore[arg-type]
        thread.join()
        assert errors, "the listener took a client that it should have refused"


def test_exceptions_know_their_kind_and_code() -> None:
    assert issubclass(PeerDeadError, TachyonError)
    assert issubclass(AbortedError, PeerDeadError)
    assert issubclass(RingFull, TachyonError)
    assert issubclass(ClosedError, TachyonError)
    assert TachyonError("text").code is None
    with pytest.raises(ClosedError) as caught:
        Bus().recv()
    assert caught.value.code == tachyon._native.ERR_CLOSED
    assert tachyon._native.strerror(caught.value.code)
