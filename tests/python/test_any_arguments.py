# SPDX-License-Identifier: Apache-2.0
"""Whatever is called with whatever: an exception of Python's, and never a crash."""

import array
import ctypes
import decimal
import functools
import gc
import inspect
import itertools
import operator
import os
import random
import struct
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import tachyon
from tachyon import Bus, RpcBus, TachyonError

import every
from conftest import open_both

number = itertools.count()


class PlantedError(Exception):
    """Raised by an argument."""


class Raising:
    """Raises whatever is asked of it."""

    def __getattr__(self, name: str) -> Any:
        raise PlantedError(name)

    def __index__(self) -> int:
        raise PlantedError

    __float__ = __bool__ = __repr__ = __iter__ = __index__  # type: ignore[assignment]


class Lying:
    """Gives what it may not."""

    def __index__(self) -> Any:
        return "one"  # noqa: PLE0305

    __float__ = __bool__ = __iter__ = __fspath__ = __index__


class Doing:
    """An integer, a number and a truth whose conversion does something."""

    def __init__(self, do: Callable[[], Any]) -> None:
        self.do = do

    def __index__(self) -> int:
        self.do()
        return 1

    def __float__(self) -> float:
        return float(self.__index__())

    def __bool__(self) -> bool:
        return self.__index__() == 1


class Named(bytes):
    """Bytes with a dtype that is none."""

    dtype = "f8"


WEIRD: list[Any] = [
    *(0, 1, -1, 7, 2**31, 2**32, 2**64, 10**5000, -(10**400), True, False, None),
    *(0.0, 1.5, float("nan"), float("inf"), float("-inf"), 1j, decimal.Decimal("nan")),
    *("", "text", "\ud800", "nul\0", "<I", "f8", b"", b"bytes", "@" + "x" * 200),
    *([], [1, 2], (), (1, 0), {}, {"timeout": 1}, object(), int, range(3), len),
    *(bytearray(16), memoryview(b"12345678").cast("q"), array.array("d", [1, 2])),
    *(np.zeros(3), np.zeros((0, 5)), np.array(5), np.zeros(4)[::2], np.float32(1)),
    *(np.array([1, "a"], object), np.zeros(2, "M8[s]"), np.int8(-1), np.bool_(1)),
    *(np.dtype("f8"), [("a", "i4"), ("b", "f8", (2,))], struct.Struct("<I")),
    *((ctypes.c_char_p * 2)(), Raising(), Lying(), Named(b"12345678")),
]
CLEAN = (
    *(TypeError, ValueError, TachyonError, OSError, BufferError, LookupError),
    *(MemoryError, struct.error, PlantedError, StopIteration),
    ImportError,  # there need not be a pyarrow
)
SHORT = [0, 1e-4, -1, "1", Lying(), Raising(), np.float32(0)]
OURS = {"__call__", "__getitem__", "__len__", "__enter__", "__exit__", "__iter__"}
OURS |= {"__array__", "__dlpack__", "__dlpack_device__"}


def open_ends() -> tuple[Bus, Bus, RpcBus, RpcBus]:
    """Return a pair of each kind."""
    path = f"@tachyon-any-{os.getpid()}-{next(number)}"
    tx, rx = open_both(
        lambda: Bus.listen(path, 4096, timeout=60),
        lambda: Bus.connect(path, timeout=60),
    )
    caller, callee = open_both(
        lambda: RpcBus.rpc_listen(path, 4096, 4096, timeout=60),
        lambda: RpcBus.rpc_connect(path, timeout=60),
    )
    return tx, rx, caller, callee


# What is called, made of the four ends.
OBJECTS: dict[str, Callable[[Any, Any, Any, Any], Any]] = {
    "Bus, sending": lambda tx, rx, caller, callee: tx,
    "Bus, receiving": lambda tx, rx, caller, callee: rx,
    "TachyonBus": lambda tx, rx, caller, callee: rx._bus,
    "RpcBus, calling": lambda tx, rx, caller, callee: caller,
    "RpcBus, serving": lambda tx, rx, caller, callee: callee,
    "TachyonRpcBus": lambda tx, rx, caller, callee: caller._rpc,
    "Channel": lambda tx, rx, caller, callee: tx.channel("<I", 1),
    "Channel of arrays": lambda tx, rx, caller, callee: rx.channel((np.uint8, (4,)), 1),
    "MessageChannel": lambda tx, rx, caller, callee: tx.channel(every.Tick),
    "message in a slot": lambda tx, rx, caller, callee: tx.channel(every.Tick).send(),
    "ChannelBatch": lambda tx, rx, caller, callee: rx.channel("<I", 1).drain_batch(),
    "RxBatchGuard": lambda tx, rx, caller, callee: rx.drain_batch(),
    "RxMsgView": lambda tx, rx, caller, callee: rx.drain_batch()[0],
    "RxGuard": lambda tx, rx, caller, callee: rx.recv_zero_copy(),
    "TxGuard": lambda tx, rx, caller, callee: tx.send_zero_copy(8),
    "RpcTxGuard": lambda tx, rx, caller, callee: caller.call_zero_copy(8, 1),
    "RpcRxGuard": lambda tx, rx, caller, callee: callee.serve(),
    "module": lambda tx, rx, caller, callee: tachyon,
}


def parameters_of(function: Any) -> dict[str, bool]:
    """Return the names of parameters, and which may not be left out."""
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # SWIG's functions do not tell
        optional = ("timeout", "mode", "allowed_uids", "role", "schema")
        first = "node_id" if "numa" in function.__name__ else "socket_path"
        return {first: True, **dict.fromkeys(optional, False)}
    return {p.name: p.default is p.empty and p.kind is not p.VAR_KEYWORD for p in found}


def names_of(thing: Any) -> list[str]:
    """Return what can be called without waiting for ever, and attributes."""
    if thing is tachyon:
        enums = {"EventKind", "Role", "SlowPeer", "Start", "WithoutPeers"}
        return [
            n
            for n in tachyon.__all__
            if callable(getattr(tachyon, n)) and n not in enums
        ]
    return [n for n in dir(type(thing)) if not n.startswith("_") or n in OURS]


def call(chance: random.Random, function: Any, weird: list[Any]) -> None:
    """Call a function with anything, but for its time-out."""
    known = parameters_of(function)
    keywords = {
        name: chance.choice(weird)
        for name, needed in known.items()
        if chance.random() < (0.97 if needed else 0.3)
    }
    positional = []
    while keywords and next(iter(known)) in keywords and chance.random() < 0.8:
        first = next(iter(known))
        del known[first]
        positional.append(keywords.pop(first))
        if first == "timeout":
            positional[-1] = chance.choice(SHORT)
    if "timeout" in known:
        keywords["timeout"] = chance.choice(SHORT)
    if "stop" in known:
        keywords["stop"] = lambda: True
    if chance.random() < 0.05:
        positional.append(chance.choice(weird))
    result = function(*positional, **keywords)
    if inspect.iscoroutine(result):
        result.close()


@pytest.fixture
def ends() -> Iterator[list[Any]]:
    """Return a list for the ends of the last example, which are closed after it."""
    opened: list[Any] = []
    yield opened
    for end in opened:
        end.close()


@pytest.mark.timeout(300)  # 25 times all that is opened, on a busy machine
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", OBJECTS)
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
@given(st.randoms(use_true_random=False))
def test_any_argument_is_taken_or_refused(
    ends: list[Any], kind: str, chance: random.Random
) -> None:
    gc.collect()  # what an exception still holds
    for end in ends:
        end.close()
    ends[:] = tx, rx, caller, callee = open_ends()
    for _ in range(3):
        tx.send(b"data", 1)
        caller.call(b"data", 1)
    thing = OBJECTS[kind](tx, rx, caller, callee)
    weird = [
        *WEIRD,
        Doing(tx.close),
        Doing(caller.close),
        Doing(lambda: tx.send(b"more", 1, 0)),
        Doing(lambda: rx.recv(0)),
    ]
    for _ in range(12):
        name = chance.choice(names_of(thing))
        try:
            found = getattr(thing, name)
            if name == "__getitem__":  # as brackets do
                found = functools.partial(operator.getitem, thing)
            if kind.startswith("message ") and isinstance(found, type):
                continue
            if (
                "Guard" in kind or kind.startswith("message")
            ) and chance.random() < 0.5:
                setattr(thing, name, chance.choice(weird))
        except (AttributeError, *CLEAN):  # read-only, or there no more
            continue
        try:
            if callable(found):
                call(chance, found, weird)
        except CLEAN:
            pass
        except OverflowError:  # NumPy's, of bytes that it takes for a number
            if (kind, name) != ("ChannelBatch", "__getitem__"):
                raise
        del found
    del thing
