# SPDX-License-Identifier: Apache-2.0
"""Every integer parameter of the package, and all that may be given for it."""

import ast
import asyncio
import decimal
import itertools
import math
import os
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import tachyon
from tachyon import Bus, RpcBus, RpcDispatcher, RpcEndpoint, TachyonBus, TachyonRpcBus
from tachyon._native import error_kind, error_name, strerror

import every
from conftest import Pair, RpcPair

U16, U32, U64 = 2**16 - 1, 2**32 - 1, 2**64 - 1
MOST = (1 << 16) - 128
number = itertools.count()


class Ends(NamedTuple):
    """What the calls of the table are made on."""

    tx: Bus
    rx: Bus
    caller: RpcBus
    callee: RpcBus

    @property
    def low(self) -> "Ends":
        """The same by their low-level faces."""
        tx, rx, caller, callee = self
        low: Any = (tx._bus, rx._bus, caller._rpc, callee._rpc)
        return Ends(*low)

    def asked(self) -> int:
        """Let the callee take a call that it has not answered yet."""
        call = self.caller.call(b"", 1)
        with self.callee.serve(timeout=1):
            return call


@pytest.fixture
def ends(pair: Pair, rpc: RpcPair) -> Ends:
    """Return a pair of each kind."""
    return Ends(*pair, *rpc)


def set_in(guard: Any, attribute: str, value: Any) -> None:
    """Set an attribute of a guard that sends nothing."""
    try:
        with guard:
            setattr(guard, attribute, value)
            raise LookupError("nothing is to be sent")
    except LookupError as error:
        if "nothing" not in str(error):
            raise


def path() -> str:
    """Return a socket path that nobody listens on."""
    return f"@tachyon-integers-{os.getpid()}-{next(number)}"


def listen(name: str, value: Any, kind: type[Bus] | type[TachyonBus] = Bus) -> None:
    """Listen in vain, with one argument as given."""
    options = {"capacity": 4096, "timeout": 0, name: value}
    (kind.listen if kind is Bus else kind().listen)(path(), **options)


def rpc_listen(name: str, value: Any, low: bool = False) -> None:
    """Listen in vain as a callee, with one argument as given."""
    options: Any = {"cap_fwd": 4096, "cap_rev": 4096, "timeout": 0, name: value}
    (TachyonRpcBus().listen if low else RpcBus.rpc_listen)(path(), **options)


def once() -> Callable[[], bool]:
    """Return what stops a server after one look for requests."""
    return itertools.chain([False], itertools.repeat(True)).__next__


def take(batch: Any, index: Any) -> Any:
    """Take one item of a batch and leave it."""
    with batch:
        return bytes(batch[index]) if len(batch) else None


Call = Callable[[Ends, Any], Any]
Rows = dict[str, tuple[int, int, Call]]


def faces(cls: str, rows: Rows) -> Rows:
    """Add rows for the low-level face of the objects, where those are alike."""

    def low(call: Call) -> Call:
        return lambda e, n: call(e.low, n)

    return {
        **{f"{cls}.{name}": row for name, row in rows.items()},
        **{
            f"Tachyon{cls}.{name}": (least, limit, low(call))
            for name, (least, limit, call) in rows.items()
        },
    }


# "function parameter": its least and its largest value, and a call with it.
TABLE: Rows = {
    "Bus.listen capacity": (1, 2**31, lambda e, n: listen("capacity", n)),
    "Bus.listen mode": (0, 0o777, lambda e, n: listen("mode", n)),
    "Bus.listen role": (0, 2, lambda e, n: listen("role", n)),
    "Bus.listen schema": (0, U64, lambda e, n: listen("schema", n)),
    "Bus.listen max_peers": (1, 1024, lambda e, n: listen("max_peers", n)),
    "Bus.listen slow_peer": (0, 1, lambda e, n: listen("slow_peer", n)),
    "Bus.listen without_peers": (0, 1, lambda e, n: listen("without_peers", n)),
    "TachyonBus.listen max_peers": (
        1,
        1024,
        lambda e, n: listen("max_peers", n, TachyonBus),
    ),
    "TachyonBus.listen slow_peer": (
        0,
        1,
        lambda e, n: listen("slow_peer", n, TachyonBus),
    ),
    "TachyonBus.listen without_peers": (
        0,
        1,
        lambda e, n: listen("without_peers", n, TachyonBus),
    ),
    "RpcBus.rpc_listen max_peers": (1, 1024, lambda e, n: rpc_listen("max_peers", n)),
    "TachyonRpcBus.listen max_peers": (
        1,
        1024,
        lambda e, n: rpc_listen("max_peers", n, True),
    ),
    "Bus.drop peer": (1, U32, lambda e, n: e.rx.drop(n)),
    "TachyonBus.drop_peer peer": (1, U32, lambda e, n: e.rx._bus.drop_peer(n)),
    "TachyonRpcBus.drop_peer peer": (
        1,
        U32,
        lambda e, n: e.callee._rpc.drop_peer(n),
    ),
    "RpcDispatcher.__init__ workers": (
        1,
        1024,
        lambda e, n: RpcDispatcher(workers=n),
    ),
    "Bus.listen allowed_uids": (0, U32, lambda e, n: listen("allowed_uids", [n])),
    "TachyonBus.listen capacity": (
        1,
        2**31,
        lambda e, n: listen("capacity", n, TachyonBus),
    ),
    "TachyonBus.listen mode": (0, 0o777, lambda e, n: listen("mode", n, TachyonBus)),
    "TachyonBus.listen role": (0, 2, lambda e, n: listen("role", n, TachyonBus)),
    "TachyonBus.listen schema": (0, U64, lambda e, n: listen("schema", n, TachyonBus)),
    "TachyonBus.listen allowed_uids": (
        0,
        U32,
        lambda e, n: listen("allowed_uids", (n,), TachyonBus),
    ),
    "Bus.connect role": (0, 2, lambda e, n: Bus.connect(path(), role=n)),
    "Bus.connect schema": (0, U64, lambda e, n: Bus.connect(path(), schema=n)),
    "Bus.connect allowed_uids": (
        0,
        U32,
        lambda e, n: Bus.connect(path(), allowed_uids=iter([n])),
    ),
    "TachyonBus.connect role": (
        0,
        2,
        lambda e, n: TachyonBus().connect(path(), role=n),
    ),
    "TachyonBus.connect schema": (
        0,
        U64,
        lambda e, n: TachyonBus().connect(path(), schema=n),
    ),
    "TachyonBus.connect allowed_uids": (
        0,
        U32,
        lambda e, n: TachyonBus().connect(path(), allowed_uids={0: n}.values()),
    ),
    "Bus.channel type_id": (0, U32, lambda e, n: e.tx.channel("<I", n)),
    "Bus.send type_id": (0, U32, lambda e, n: e.tx.send(b"", n)),
    "Bus.send_async type_id": (
        0,
        U32,
        lambda e, n: asyncio.run(e.tx.send_async(b"", n)),
    ),
    "Bus.send_array type_id": (0, U32, lambda e, n: e.tx.send_array(b"ab", n)),
    "Bus.send_array tag": (0, U32, lambda e, n: e.tx.send_array(b"ab", 0, n)),
    "Bus.send_array_async type_id": (
        0,
        U32,
        lambda e, n: asyncio.run(e.tx.send_array_async(b"ab", n)),
    ),
    "Bus.send_array_async tag": (
        0,
        U32,
        lambda e, n: asyncio.run(e.tx.send_array_async(b"ab", 0, n)),
    ),
    "Bus._send_parts type_id": (0, U32, lambda e, n: e.tx._send_parts([b"ab"], n)),
    "Bus._recv_parts type_id": (0, U32, lambda e, n: e.rx._recv_parts(n, 0)),
    "Queue.__init__ maxsize_bytes": (1, 2**31, lambda e, n: tachyon.Queue(n)),
    "Bus.send_batch type_id": (0, U32, lambda e, n: e.tx.send_batch(b"ab", n)),
    "Bus.send_zero_copy size": (0, MOST, lambda e, n: e.tx.send_zero_copy(n)),
    "Bus.send_zero_copy type_id": (0, U32, lambda e, n: e.tx.send_zero_copy(1, n)),
    "TachyonBus.acquire_tx max_payload_size": (
        0,
        MOST,
        lambda e, n: e.low.tx.acquire_tx(n),  # type: ignore[attr-defined]
    ),
    "TachyonBus.acquire_rx spin_threshold": (
        0,
        U32,
        lambda e, n: e.low.rx.acquire_rx(n, 0),  # type: ignore[attr-defined]
    ),
    "Bus.recv_zero_copy spin_threshold": (
        0,
        U32,
        lambda e, n: e.rx.recv_zero_copy(0, n),
    ),
    "Bus.recv_batch_into type_id": (
        0,
        U32,
        lambda e, n: e.rx.recv_batch_into(bytearray(4), 0, n),
    ),
    **faces(
        "Bus",
        {
            "drain_batch max_msgs": (
                1,
                U64,
                lambda e, n: e.rx.drain_batch(n, timeout=0),
            ),
            "drain_batch spin_threshold": (
                0,
                U32,
                lambda e, n: e.rx.drain_batch(1, n, 0),
            ),
            "set_numa_node node_id": (0, 63, lambda e, n: e.rx.set_numa_node(n)),
            "set_polling_mode pure_spin": (
                0,
                1,
                lambda e, n: e.rx.set_polling_mode(n),
            ),
        },
    ),
    "Channel.drain_batch max_msgs": (
        1,
        U64,
        lambda e, n: e.rx.channel("<I").drain_batch(n, timeout=0),
    ),
    "Channel.drain_batch spin_threshold": (
        0,
        U32,
        lambda e, n: e.rx.channel("<I").drain_batch(1, n, timeout=0),
    ),
    "MessageChannel.drain_batch max_msgs": (
        1,
        U64,
        lambda e, n: e.rx.channel(every.Tick).drain_batch(n, timeout=0),
    ),
    "MessageChannel.drain_batch spin_threshold": (
        0,
        U32,
        lambda e, n: e.rx.channel(every.Tick).drain_batch(1, n, timeout=0),
    ),
    "TxGuard actual_size": (
        0,
        8,
        lambda e, n: set_in(e.tx.send_zero_copy(8), "actual_size", n),
    ),
    "TxGuard type_id": (
        0,
        U32,
        lambda e, n: set_in(e.tx.send_zero_copy(8), "type_id", n),
    ),
    "RpcBus.rpc_listen cap_fwd": (1, 2**31, lambda e, n: rpc_listen("cap_fwd", n)),
    "RpcBus.rpc_listen cap_rev": (1, 2**31, lambda e, n: rpc_listen("cap_rev", n)),
    "RpcBus.rpc_listen mode": (0, 0o777, lambda e, n: rpc_listen("mode", n)),
    "RpcBus.rpc_listen schema": (0, U64, lambda e, n: rpc_listen("schema", n)),
    "RpcBus.rpc_listen allowed_uids": (
        0,
        U32,
        lambda e, n: rpc_listen("allowed_uids", [n]),
    ),
    "TachyonRpcBus.listen cap_fwd": (
        1,
        2**31,
        lambda e, n: rpc_listen("cap_fwd", n, True),
    ),
    "TachyonRpcBus.listen cap_rev": (
        1,
        2**31,
        lambda e, n: rpc_listen("cap_rev", n, True),
    ),
    "TachyonRpcBus.listen mode": (0, 0o777, lambda e, n: rpc_listen("mode", n, True)),
    "TachyonRpcBus.listen schema": (
        0,
        U64,
        lambda e, n: rpc_listen("schema", n, True),
    ),
    "TachyonRpcBus.listen allowed_uids": (
        0,
        U32,
        lambda e, n: rpc_listen("allowed_uids", [n], True),
    ),
    "RpcBus.rpc_connect schema": (
        0,
        U64,
        lambda e, n: RpcBus.rpc_connect(path(), schema=n),
    ),
    "RpcBus.rpc_connect allowed_uids": (
        0,
        U32,
        lambda e, n: RpcBus.rpc_connect(path(), allowed_uids=[n]),
    ),
    "TachyonRpcBus.connect schema": (
        0,
        U64,
        lambda e, n: TachyonRpcBus().connect(path(), schema=n),
    ),
    "TachyonRpcBus.connect allowed_uids": (
        0,
        U32,
        lambda e, n: TachyonRpcBus().connect(path(), allowed_uids=[n]),
    ),
    **faces(
        "RpcBus",
        {
            "set_polling_mode pure_spin": (
                0,
                1,
                lambda e, n: e.caller.set_polling_mode(n),
            ),
            "wait correlation_id": (1, U64, lambda e, n: e.caller.wait(n, timeout=0)),
            "wait spin_threshold": (
                0,
                U32,
                lambda e, n: e.caller.wait(1, n, timeout=0),
            ),
            "wait_any spin_threshold": (
                0,
                U32,
                lambda e, n: e.caller.wait_any(n, timeout=0),
            ),
            "serve spin_threshold": (0, U32, lambda e, n: e.callee.serve(n, timeout=0)),
            "cancel correlation_id": (1, U64, lambda e, n: e.caller.cancel(n)),
        },
    ),
    "RpcBus.call msg_type": (0, U32, lambda e, n: e.caller.call(b"", n)),
    "RpcBus.call max_payload_size": (0, MOST, lambda e, n: e.caller.call(b"", 1, n)),
    "RpcBus.call spin_threshold": (0, U32, lambda e, n: e.caller.call(b"", 1, 0, n)),
    "RpcBus.call_zero_copy max_payload_size": (
        0,
        MOST,
        lambda e, n: e.caller.call_zero_copy(n, 1),
    ),
    "RpcBus.call_zero_copy msg_type": (
        0,
        U32,
        lambda e, n: e.caller.call_zero_copy(7, n),
    ),
    "TachyonRpcBus.acquire_call max_payload_size": (
        0,
        MOST,
        lambda e, n: e.low.caller.acquire_call(n),  # type: ignore[attr-defined]
    ),
    "RpcBus.reply correlation_id": (1, U64, lambda e, n: e.callee.reply(n, b"", 1)),
    "RpcBus.reply msg_type": (0, U32, lambda e, n: e.callee.reply(e.asked(), b"", n)),
    "RpcBus.reply max_payload_size": (
        0,
        MOST,
        lambda e, n: e.callee.reply(e.asked(), b"", 1, n),
    ),
    "RpcBus.reply_zero_copy correlation_id": (
        1,
        U64,
        lambda e, n: e.callee.reply_zero_copy(n, 8, 1),
    ),
    "RpcBus.reply_zero_copy max_payload_size": (
        0,
        MOST,
        lambda e, n: e.callee.reply_zero_copy(1, n, 1),
    ),
    "RpcBus.reply_zero_copy msg_type": (
        0,
        U32,
        lambda e, n: e.callee.reply_zero_copy(1, 7, n),
    ),
    "TachyonRpcBus.acquire_reply correlation_id": (
        1,
        U64,
        lambda e, n: e.low.callee.acquire_reply(n, 8),  # type: ignore[attr-defined]
    ),
    "TachyonRpcBus.acquire_reply max_payload_size": (
        0,
        MOST,
        lambda e, n: e.low.callee.acquire_reply(1, n),  # type: ignore[attr-defined]
    ),
    "RpcBus.call_async msg_type": (
        0,
        U32,
        lambda e, n: asyncio.run(e.caller.call_async(b"", n, timeout=0.01)),
    ),
    "RpcBus.call_async max_payload_size": (
        0,
        MOST,
        lambda e, n: asyncio.run(e.caller.call_async(b"", 1, n, timeout=0.01)),
    ),
    "RpcBus.wait_async correlation_id": (
        1,
        U64,
        lambda e, n: asyncio.run(e.caller.wait_async(n, timeout=0)),
    ),
    "RpcBus.reply_async correlation_id": (
        1,
        U64,
        lambda e, n: asyncio.run(e.callee.reply_async(n, b"", 1, timeout=0)),
    ),
    "RpcBus.reply_async msg_type": (
        0,
        U32,
        lambda e, n: asyncio.run(e.callee.reply_async(e.asked(), b"", n)),
    ),
    "RpcBus.reply_async max_payload_size": (
        0,
        MOST,
        lambda e, n: asyncio.run(e.callee.reply_async(e.asked(), b"", 1, n)),
    ),
    "RpcTxGuard actual_size": (
        0,
        8,
        lambda e, n: set_in(e.caller.call_zero_copy(8, 1), "actual_size", n),
    ),
    "RpcTxGuard msg_type": (
        0,
        U32,
        lambda e, n: set_in(e.caller.call_zero_copy(8, 1), "msg_type", n),
    ),
    "RpcEndpoint msg_type": (0, 65534, lambda e, n: RpcEndpoint(bytes, n)),
    "RpcEndpoint.call spin_threshold": (
        0,
        U32,
        lambda e, n: RpcEndpoint(bytes, 1).call(e.caller, b"", None, n, timeout=0),
    ),
    "RpcDispatcher.handler msg_type": (
        0,
        65534,
        lambda e, n: RpcDispatcher().handler(n),
    ),
    "RpcDispatcher.serve_once spin_threshold": (
        0,
        U32,
        lambda e, n: RpcDispatcher().serve_once(e.callee, n, timeout=0),
    ),
    "RpcDispatcher.serve_forever spin_threshold": (
        0,
        U32,
        lambda e, n: RpcDispatcher().serve_forever(e.callee, n, stop=once()),
    ),
    "tachyon_rpc msg_type": (0, 65534, lambda e, n: tachyon.tachyon_rpc(n)),
    "make_type_id route": (0, U16, lambda e, n: tachyon.make_type_id(n, 0)),
    "make_type_id msg_type": (0, U16, lambda e, n: tachyon.make_type_id(0, n)),
    "route_id type_id": (0, U32, lambda e, n: tachyon.route_id(n)),
    "msg_type type_id": (0, U32, lambda e, n: tachyon.msg_type(n)),
    "strerror error": (0, 2**31 - 1, lambda e, n: strerror(n)),
    "error_name error": (0, 2**31 - 1, lambda e, n: error_name(n)),
    "error_kind error": (0, 2**31 - 1, lambda e, n: error_kind(n)),
}


def opening(
    name: str, start: Callable[..., Any], limits: dict[str, tuple[int, int]]
) -> Rows:
    """Add rows for a way to open that does not block, which fails or is left."""

    def row(parameter: str) -> Call:
        plain = {"capacity": 4096} if "capacity" in limits else {}
        if "cap_fwd" in limits:
            plain = {"cap_fwd": 4096, "cap_rev": 4096}

        def call(_: Ends, value: Any) -> None:
            value = iter([value]) if parameter == "allowed_uids" else value
            started = start(path(), **{**plain, "timeout": 0.01, parameter: value})
            if asyncio.iscoroutine(started):
                asyncio.run(started)

        return call

    return {
        f"{name} {parameter}": (least, limit, row(parameter))
        for parameter, (least, limit) in limits.items()
    }


CAPACITY, COMMON = (1, 2**31), {"schema": (0, U64), "allowed_uids": (0, U32)}
PEERS = {"max_peers": (1, 1024)}
WAYS = {"slow_peer": (0, 1), "without_peers": (0, 1), **PEERS}
ONE = {"capacity": CAPACITY, "mode": (0, 0o777), "role": (0, 2), **COMMON, **WAYS}
TWO = {"cap_fwd": CAPACITY, "cap_rev": CAPACITY, "mode": (0, 0o777), **COMMON, **PEERS}
JOIN = {"role": (0, 2), **COMMON}

STARTS: list[tuple[str, Callable[..., Any], dict[str, tuple[int, int]]]] = [
    (
        "TachyonBus.listen_start",
        lambda *a, **k: TachyonBus().listen_start(*a, **k),
        ONE,
    ),
    (
        "TachyonBus.connect_start",
        lambda *a, **k: TachyonBus().connect_start(*a, **k),
        JOIN,
    ),
    (
        "TachyonRpcBus.listen_start",
        lambda *a, **k: TachyonRpcBus().listen_start(*a, **k),
        TWO,
    ),
    (
        "TachyonRpcBus.connect_start",
        lambda *a, **k: TachyonRpcBus().connect_start(*a, **k),
        COMMON,
    ),
    ("Bus.listen_async", Bus.listen_async, ONE),
    ("Bus.connect_async", Bus.connect_async, JOIN),
    ("RpcBus.rpc_listen_async", RpcBus.rpc_listen_async, TWO),
    ("RpcBus.rpc_connect_async", RpcBus.rpc_connect_async, COMMON),
]
for start in STARTS:
    TABLE |= opening(*start)
ELSEWHERE = {
    # It may be a Position as well: see test_many.
    "Bus.connect start",
    "Bus.connect_async start",
    "TachyonBus.connect start",
    "TachyonBus.connect_start start",
    # The index of a sequence fails as one of a list does: see below.
    "RxBatchGuard.__getitem__ index",
    "ChannelBatch.__getitem__ key",
    # With pyarrow: see test_arrow.
    "Bus.send_arrow type_id",
    "Bus.send_arrow_async type_id",
    # Within the package.
    "send_arrow type_id",
    "_serve spin_threshold",
    "Low.drop_peer peer",
    "ChannelBase.__new__ type_id",
    "ChannelBase.__new__ size",
    "ChannelBase._drain max_msgs",
    "ChannelBase._drain spin_threshold",
    "Channel.__new__ type_id",
    "MessageChannelBase._drain max_msgs",
    "MessageChannelBase._drain spin_threshold",
    "integer value",
    "integer least",
    "integer limit",
    "RxMsgView.__dlpack__ max_version",
    "RxMsgView.__dlpack__ dl_device",
    "Frame.__dlpack__ max_version",
    "Frame.__dlpack__ dl_device",
    "RpcDispatcher._serve spin_threshold",
    "RpcEndpoint.__init__ msg_type",
}
# Of the classes that are public.
BASES = {"BusBase": "Bus", "RpcBusBase": "RpcBus", "Listener": "Bus"}
OPTIONAL = {
    "Bus.recv_batch_into type_id",
    "RpcBus.call max_payload_size",
    "RpcBus.reply max_payload_size",
    "RpcBus.call_async max_payload_size",
    "RpcBus.reply_async max_payload_size",
    "RpcDispatcher.__init__ workers",
    *(row for row in TABLE if row.endswith("max_peers")),
}
SWITCHES = {row for row in TABLE if row.endswith("pure_spin")}


class Index:
    """What has an __index__ and is no int."""

    def __init__(self, number: int, use: Callable[[], Any] = lambda: None) -> None:
        self.number = number
        self.use = use

    def __index__(self) -> int:
        self.use()
        return self.number


class Subclass(int):
    """An int with a life of its own."""


def integers_of(tree: ast.AST, prefix: str = "") -> set[str]:
    """Find the parameters that are annotated as integers: "function parameter"."""
    found: set[str] = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            found |= integers_of(node, f"{BASES.get(node.name, node.name)}.")
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            arguments = node.args
            for argument in (
                *arguments.posonlyargs,
                *arguments.args,
                *arguments.kwonlyargs,
            ):
                if argument.annotation and re.search(
                    r"\bSupportsIndex\b", ast.unparse(argument.annotation)
                ):
                    found.add(f"{prefix}{node.name} {argument.arg}")
    return found


def test_every_integer_parameter_is_in_the_table() -> None:
    package = Path(tachyon.__file__).parent
    found = set().union(
        *(
            integers_of(ast.parse(source.read_text()))
            for source in (*package.glob("*.py"), package / "_native.pyi")
        )
    )
    assert found - TABLE.keys() - ELSEWHERE == set()
    assert len(TABLE) > 80


def outcome(ends: Ends, call: Call, value: Any) -> tuple[type, str]:
    """Make a call: what it gave or raised, but for what differs from call to call."""
    try:
        result = call(ends, value)
    except Exception as error:
        return type(error), re.sub(r"@[-\w]+|call \d+", "", str(error))
    return type(result), ""


def good_value(name: str, least: int, limit: int) -> int:
    """Choose a value with which a call does what it can."""
    if name.rsplit(" ", maxsplit=1)[-1] in {"capacity", "cap_fwd", "cap_rev"}:
        return 4096
    return 0 if "node_id" in name else min(max(least, 1), limit)


@pytest.mark.parametrize("name", TABLE)
def test_whatever_is_an_integer_is_taken(ends: Ends, name: str) -> None:
    least, limit, call = TABLE[name]
    good = good_value(name, least, limit)
    expected = outcome(ends, call, good)
    assert expected[0] not in (TypeError, OverflowError, SystemError), expected
    for kind in (np.int64, np.uint64, np.uint16, Index, Subclass, np.array):
        value: Any = kind(good)
        assert outcome(ends, call, value) == expected, kind
    if name in SWITCHES:
        assert outcome(ends, call, np.bool_(True)) == expected
    if good == 1:
        assert outcome(ends, call, True) == expected


@pytest.mark.parametrize("name", TABLE)
def test_integer_out_of_range_is_named(ends: Ends, name: str) -> None:
    least, limit, call = TABLE[name]
    parameter = name.rsplit(" ", maxsplit=1)[-1]
    beyond = (2**31, 2**32, 2**64, 2**200)
    values = {least - 1, limit + 1, -1, -(2**31), *(n for n in beyond if n > limit)}
    for value in values:
        for given in (value, Index(value), Subclass(value)):
            kind, text = outcome(ends, call, given)
            assert kind is ValueError, (value, kind, text)
            assert parameter in text, text
            assert re.search(rf"not {value}$", text), text
    assert outcome(ends, call, np.int64(-1)) == outcome(ends, call, -1)
    kind, text = outcome(ends, call, 10**5000)
    assert kind is ValueError, text
    assert parameter in text, text


@pytest.mark.parametrize("name", TABLE)
def test_what_is_no_integer_is_named(ends: Ends, name: str) -> None:
    call = TABLE[name][2]
    parameter = name.rsplit(" ", maxsplit=1)[-1]
    values = [1.0, 4096.0, "1", b"1", None, [1], np.float64(1), math.inf, object()]
    values += [decimal.Decimal(1), Fraction(1), {}, bytes(1 << 20)]
    for value in values:
        if value is None and name in OPTIONAL:
            continue
        kind, text = outcome(ends, call, value)
        assert kind is TypeError, (value, kind, text)
        assert f"{parameter} must be an integer, not {value!r:.50}" in text
        assert len(text) < 200


@pytest.mark.parametrize("name", TABLE)
def test_what_an_index_raises_goes_through(ends: Ends, name: str) -> None:
    class PlantedError(Exception):
        pass

    def fail() -> None:
        raise PlantedError

    with pytest.raises(PlantedError):
        TABLE[name][2](ends, Index(1, fail))
    for bus in ends:
        assert bus.stats() is not None  # open, and nobody is inside


@pytest.mark.parametrize("name", TABLE)
def test_index_that_uses_its_bus(ends: Ends, name: str) -> None:
    least, limit, call = TABLE[name]
    good = good_value(name, least, limit)

    def use() -> None:
        ends.tx.send(b"from within", 9)
        assert ends.rx.recv(timeout=0).type_id == 9
        ends.caller.cancel(ends.caller.call(b"", 1))

    if "TxGuard" in name:  # a guard is open
        return
    kind, text = outcome(ends, call, Index(good, use))
    assert kind not in (TypeError, OverflowError, SystemError), text


@pytest.mark.parametrize("name", TABLE)
def test_index_that_closes_its_bus(ends: Ends, name: str) -> None:
    least, limit, call = TABLE[name]
    good = good_value(name, least, limit)

    def close() -> None:
        for low in ends.low:
            try:
                low.destroy()  # type: ignore[attr-defined]
            except BufferError:  # pragma: no cover
                raise AssertionError("a view is open") from None

    kind, text = outcome(ends, call, Index(good, close))
    assert kind not in (TypeError, OverflowError, SystemError), text
    for bus in ends:
        with pytest.raises(tachyon.ClosedError):
            bus.stats()


def test_index_that_opens_the_bus_it_is_to_open(socket_path: str) -> None:
    bus, ids = TachyonBus(), [Index(0), 1, 2]

    def change() -> None:
        ids.clear()
        bus.listen_start(socket_path, 4096)

    ids[0] = Index(0, change)
    with pytest.raises(tachyon.TachyonError, match="is opening this bus"):
        bus.listen(path(), 4096, 0, allowed_uids=ids)  # type: ignore[arg-type]
    assert ids == []
    bus.opening_cancel()


def test_value_of_an_index_arrives(ends: Ends) -> None:
    ends.tx.send(b"a", np.uint8(200))
    ends.tx.send_batch(b"b", Index(2**32 - 1))
    ends.tx.channel("B", np.uint32(2**32 - 1))(1)
    with ends.tx.send_zero_copy(np.int8(3), np.int64(4)) as tx:
        tx.actual_size = np.uint8(2)  # type: ignore[assignment]
        tx.type_id = Index(5)  # type: ignore[assignment]
    received = [ends.rx.recv(timeout=0)[:2] for _ in range(4)]
    assert received == [(200, 1), (2**32 - 1, 1), (2**32 - 1, 1), (5, 2)]
    call = ends.caller.call(b"x", np.uint16(9), np.int64(1), np.int64(0))
    with ends.callee.serve(np.int64(0), timeout=1) as request:
        assert request.type_id == 9
        ends.callee.reply(np.uint64(request.correlation_id), b"y", np.uint8(8))
    with ends.caller.wait(np.uint64(call), timeout=np.float32(1)) as reply:
        assert reply.type_id == 8


def test_parts_of_type_ids_from_a_table() -> None:
    table = np.array([(1, 7), (300, 7), (255, 255)], [("route", "u2"), ("type", "u1")])
    for route, kind in table:
        type_id = tachyon.make_type_id(route, kind)
        assert type(type_id) is int
        assert type_id == int(route) << 16 | int(kind)
        assert tachyon.route_id(np.uint32(type_id)) == route
        assert tachyon.msg_type(np.uint32(type_id)) == kind


def test_index_of_a_batch_is_that_of_a_sequence(ends: Ends) -> None:
    ends.tx.channel("<I")(5)
    ends.tx.channel("<I")(6)
    with ends.rx.channel("<I").drain_batch(timeout=0) as batch:
        for kind in (int, np.int64, np.uint8, Index, np.array):
            assert batch[kind(1)] == (6,), kind
        assert (batch[-2], batch[np.int8(-2)]) == ((5,), (5,))
        for wrong in (2, -3, 2**64, 2**200):
            with pytest.raises(IndexError):
                batch[wrong]
        assert batch.array[:1].tolist() == [(5,)]
        assert batch[np.array([True, False])].tolist() == [(5,)]
        assert batch[[1]].tolist() == [(6,)]
        assert batch[1:]["f0"].tolist() == [6]
    ends.tx.send(b"a")
    with ends.rx.drain_batch(timeout=0) as messages:
        for good in (0, -1, np.int64(0), np.uint8(0), Index(-1), False):
            assert bytes(messages[good]) == b"a"
        for wrong in (1, -2, 2**64):
            with pytest.raises(IndexError):
                messages[wrong]
        for none in (0.0, "0", None):
            with pytest.raises(TypeError):
                messages[none]  # type: ignore[index]


# ---- Time-outs ----

WAITS: dict[str, Call] = {
    "listen": lambda e, t: Bus.listen(path(), 4096, timeout=t),
    "rpc_listen": lambda e, t: RpcBus.rpc_listen(path(), 4096, 4096, timeout=t),
    "recv": lambda e, t: e.rx.recv(t),
    "recv_zero_copy": lambda e, t: e.rx.recv_zero_copy(t),
    "drain_batch": lambda e, t: e.rx.drain_batch(timeout=t),
    "recv_batch_into": lambda e, t: e.rx.recv_batch_into(bytearray(4), t),
    "recv_async": lambda e, t: asyncio.run(e.rx.recv_async(t)),
    "channel.recv": lambda e, t: e.rx.channel("<I").recv(t),
    "channel.drain_batch": lambda e, t: e.rx.channel("<I").drain_batch(timeout=t),
    "serve": lambda e, t: e.callee.serve(timeout=t),
    "serve_async": lambda e, t: asyncio.run(e.callee.serve_async(timeout=t)),
    "serve_once": lambda e, t: RpcDispatcher().serve_once(e.callee, timeout=t),
    "wait": lambda e, t: e.caller.wait(e.caller.call(b"", 1), timeout=t),
    "wait_any": lambda e, t: (e.caller.call(b"", 1), e.caller.wait_any(timeout=t)),
    "wait_async": lambda e, t: asyncio.run(
        e.caller.wait_async(e.caller.call(b"", 1), timeout=t)
    ),
    "call_async": lambda e, t: asyncio.run(e.caller.call_async(b"", 1, timeout=t)),
    "endpoint.call": lambda e, t: RpcEndpoint(bytes, 1).call(e.caller, b"", timeout=t),
}
SENDS: dict[str, Call] = {
    "send": lambda e, t: e.tx.send(b"", 1, t),
    "send_zero_copy": lambda e, t: set_in(e.tx.send_zero_copy(1, 1, t), "type_id", 1),
    "send_batch": lambda e, t: e.tx.send_batch(b"ab", 1, t),
    "send_async": lambda e, t: asyncio.run(e.tx.send_async(b"", 1, t)),
    "channel": lambda e, t: e.tx.channel("B")(1, timeout=t),
    "channel.send_batch": lambda e, t: e.tx.channel("B").send_batch(b"ab", t),
    "call": lambda e, t: e.caller.call(b"", 1, timeout=t),
    "reply": lambda e, t: e.callee.reply(e.asked(), b"", 1, timeout=t),
    "reply_async": lambda e, t: asyncio.run(
        e.callee.reply_async(e.asked(), b"", 1, timeout=t)
    ),
}


@pytest.mark.parametrize("name", WAITS)
def test_numbers_of_every_kind_are_time_outs(ends: Ends, name: str) -> None:
    for kind in (float, np.float64, np.float32, np.float16, decimal.Decimal, np.array):
        with pytest.raises(TimeoutError):
            WAITS[name](ends, kind(0.0078125))  # type: ignore[operator]
    for kind in (int, np.int64, np.uint8, Index, Fraction):
        with pytest.raises(TimeoutError):
            WAITS[name](ends, kind(0))  # type: ignore[operator]


@pytest.mark.parametrize("name", SENDS)
def test_vast_time_outs_are_for_ever(ends: Ends, name: str) -> None:
    for value in (math.inf, 1e308, 10**400, 10**5000, np.float64(1e300), 2**64):
        SENDS[name](ends, value)


@pytest.mark.parametrize("name", [*WAITS, *SENDS])
def test_what_is_no_time_out_is_named(ends: Ends, name: str) -> None:
    call = {**WAITS, **SENDS}[name]
    for value in (math.nan, -1, -0.5, -math.inf, np.float32("nan"), np.int64(-1)):
        kind, text = outcome(ends, call, value)
        assert kind is ValueError, (value, kind, text)
        assert text == f"timeout must be None or at least 0 seconds, not {value!r}"
    kind, text = outcome(ends, call, -(10**400))
    assert kind is ValueError, (kind, text)
    for value in ("1", b"1", [1], 1j, object(), {}):
        kind, text = outcome(ends, call, value)
        assert kind is TypeError, (value, kind, text)
        assert text == f"timeout must be a number or None, not {value!r}"
