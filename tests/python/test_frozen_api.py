# SPDX-License-Identifier: Apache-2.0
"""The names, signatures and defaults that code written for 0.5.1 relies on."""

import ast
import importlib
import inspect
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import tachyon
from tachyon import _native, rpc_decorator

REQUIRED = inspect.Parameter.empty
STUB = {
    node.name: node
    for node in ast.parse(
        Path(str(_native.__file__)).with_name("_native.pyi").read_text()
    ).body
    if isinstance(node, ast.ClassDef)
}
NAMES = (
    "Bus",
    "Message",
    "MSG_TYPE_ERROR",
    "PeerDeadError",
    "RpcBus",
    "RpcDispatcher",
    "RpcEndpoint",
    "RpcRxGuard",
    "RpcTxGuard",
    "RxBatchGuard",
    "RxGuard",
    "RxMsgView",
    "TachyonBus",
    "TachyonError",
    "TachyonRpcBus",
    "TxGuard",
    "make_type_id",
    "msg_type",
    "route_id",
    "tachyon_rpc",
    "__version__",
)


class Frozen(NamedTuple):
    """A callable, and its parameters by position with their defaults."""

    name: str
    parameters: dict[str, Any]


def frozen(name: str, *required: str, **optional: Any) -> Frozen:
    """Write a signature like a call of it."""
    return Frozen(name, {**dict.fromkeys(required, REQUIRED), **optional})


SPIN = {"spin_threshold": 10000}
TABLE = (
    frozen("Bus.listen", "socket_path", "capacity"),
    frozen("Bus.connect", "socket_path"),
    frozen("Bus.send", "data", type_id=0),
    frozen("Bus.send_zero_copy", "size", type_id=0),
    frozen("Bus.recv_zero_copy"),
    frozen("Bus.drain_batch", max_msgs=1024, **SPIN),
    frozen("Bus.set_polling_mode", "pure_spin"),
    frozen("Bus.set_numa_node", "node_id"),
    frozen("TachyonBus.listen", "socket_path", "capacity"),
    frozen("TachyonBus.connect", "socket_path"),
    frozen("TachyonBus.destroy"),
    frozen("TachyonBus.flush"),
    frozen("TachyonBus.acquire_tx", "max_payload_size"),
    frozen("TachyonBus.acquire_rx", **SPIN),
    frozen("TachyonBus.drain_batch", max_msgs=1024, **SPIN),
    frozen("TachyonBus.set_numa_node", "node_id"),
    frozen("TachyonBus.set_polling_mode", "pure_spin"),
    frozen("RpcBus.rpc_listen", "socket_path", "cap_fwd", "cap_rev"),
    frozen("RpcBus.rpc_connect", "socket_path"),
    frozen("RpcBus.call", "payload", "msg_type", max_payload_size=None, **SPIN),
    frozen("RpcBus.call_zero_copy", "max_payload_size", "msg_type"),
    frozen("RpcBus.wait", "correlation_id", **SPIN),
    frozen("RpcBus.serve", **SPIN),
    frozen(
        "RpcBus.reply", "correlation_id", "payload", "msg_type", max_payload_size=None
    ),
    frozen("RpcBus.reply_zero_copy", "correlation_id", "max_payload_size", "msg_type"),
    frozen("RpcBus.set_polling_mode", "pure_spin"),
    frozen("TachyonRpcBus.listen", "socket_path", "cap_fwd", "cap_rev"),
    frozen("TachyonRpcBus.connect", "socket_path"),
    frozen("TachyonRpcBus.destroy"),
    frozen("TachyonRpcBus.acquire_call", "max_payload_size"),
    frozen("TachyonRpcBus.acquire_reply", "correlation_id", "max_payload_size"),
    frozen("TachyonRpcBus.wait", "correlation_id", **SPIN),
    frozen("TachyonRpcBus.serve", **SPIN),
    frozen("TachyonRpcBus.set_polling_mode", "pure_spin"),
    frozen("RpcEndpoint", "fn", "msg_type"),
    frozen("RpcEndpoint.__call__", "payload"),
    frozen("RpcEndpoint.call", "bus", "payload", on_response=None, **SPIN),
    frozen("RpcDispatcher"),
    frozen("RpcDispatcher.register", "endpoint"),
    frozen("RpcDispatcher.handler", "msg_type"),
    frozen("RpcDispatcher.serve_once", "bus", **SPIN),
    frozen("RpcDispatcher.serve_forever", "bus", **SPIN),
    frozen("tachyon_rpc", "msg_type"),
    frozen("make_type_id", "route", "msg_type"),
    frozen("route_id", "type_id"),
    frozen("msg_type", "type_id"),
    frozen("Message", "type_id", "size", "data"),
)
# SWIG's own methods have no signature that Python can read; their stub is compared.
UNREADABLE = {
    f"{cls}.{name}"
    for cls in ("TachyonBus", "TachyonRpcBus")
    for name in (
        "listen",
        "connect",
        "destroy",
        "flush",
        "set_numa_node",
        "set_polling_mode",
    )
}
GUARDS = {
    "TxGuard": ("actual_size", "type_id"),
    "RxGuard": ("actual_size", "type_id"),
    "RxBatchGuard": ("__len__", "__getitem__", "__iter__"),
    "RxMsgView": ("actual_size", "type_id", "__dlpack__", "__dlpack_device__"),
    "RpcTxGuard": ("actual_size", "msg_type", "out_cid"),
    "RpcRxGuard": ("actual_size", "type_id", "correlation_id"),
}
CONTEXT = ("__enter__", "__exit__")


def resolve(name: str) -> Any:
    """Find an object by its dotted name."""
    found: Any = tachyon
    for part in name.split("."):
        found = getattr(found, part)
    return found


def from_stub(name: str) -> list[tuple[str, Any]]:
    """Return the positional parameters of a method as its stub has them."""
    cls, method = name.split(".")
    (node,) = (
        n for n in STUB[cls].body if isinstance(n, ast.FunctionDef) and n.name == method
    )
    names = [a.arg for a in node.args.args[1:]]
    defaults = [ast.literal_eval(default) for default in node.args.defaults]
    missing: list[Any] = [REQUIRED] * (len(names) - len(defaults))
    return list(zip(names, [*missing, *defaults], strict=True))


def from_runtime(name: str) -> list[tuple[str, Any]]:
    """Return the positional parameters of a callable, without self."""
    found = inspect.signature(resolve(name)).parameters.values()
    return [
        (p.name, p.default)
        for p in found
        if p.kind is p.POSITIONAL_OR_KEYWORD and p.name != "self"
    ]


@pytest.mark.parametrize("name", NAMES)
def test_name_is_public(name: str) -> None:
    assert hasattr(tachyon, name)
    assert name in tachyon.__all__ or name == "__version__"


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_signature_begins_as_it_was(row: Frozen) -> None:
    real = (from_stub if row.name in UNREADABLE else from_runtime)(row.name)
    expected = list(row.parameters.items())
    assert real[: len(expected)] == expected
    for name, default in real[len(expected) :]:
        assert default is not REQUIRED, f"{name} is new and has no default"


@pytest.mark.parametrize("name", sorted(UNREADABLE & {row.name for row in TABLE}))
def test_generated_method_takes_its_parameters_by_keyword(name: str) -> None:
    cls, method = name.split(".")
    row = next(row for row in TABLE if row.name == name)
    if not row.parameters:
        getattr(resolve(cls)(), method)() if method == "destroy" else None
        return
    arguments = {
        "socket_path": "x" * 200,
        "capacity": 4096,
        "cap_fwd": 4096,
        "cap_rev": 4096,
        "node_id": 0,
        "pure_spin": True,
    }
    call = getattr(resolve(cls)(), method)
    with pytest.raises((ValueError, tachyon.TachyonError)):
        call(**{parameter: arguments[parameter] for parameter in row.parameters})


@pytest.mark.parametrize("name", GUARDS)
def test_guard_has_its_attributes(name: str) -> None:
    cls = resolve(name)
    context = () if name == "RxMsgView" else CONTEXT
    for attribute in (*GUARDS[name], *context):
        assert hasattr(cls, attribute), attribute


MODULES = {
    "_tachyon": (
        "PeerDeadError",
        "TachyonError",
        "TachyonBus",
        "TachyonRpcBus",
        *GUARDS,
    ),
    "bus": ("Bus",),
    "message": ("Message",),
    "rpc": ("RpcBus",),
    "rpc_decorator": (
        "MSG_TYPE_ERROR",
        "RpcDispatcher",
        "RpcEndpoint",
        "tachyon_rpc",
    ),
    "type_id": ("make_type_id", "msg_type", "route_id"),
}


@pytest.mark.parametrize("name", MODULES)
def test_module_has_the_names_of_the_package(name: str) -> None:
    module = importlib.import_module(f"tachyon.{name}")
    for public in MODULES[name]:
        assert getattr(module, public) is getattr(tachyon, public)


def test_error_replies_are_coded_as_they_were() -> None:
    assert rpc_decorator._encode_error(0x71234) == b"\x124"
    assert rpc_decorator._decode_error(b"\x124 and more") == 0x1234


def test_classes_and_values() -> None:
    assert tachyon.MSG_TYPE_ERROR == 0xFFFF
    assert issubclass(tachyon.TachyonError, Exception)
    assert issubclass(tachyon.PeerDeadError, tachyon.TachyonError)
    assert isinstance(tachyon.Bus()._bus, tachyon.TachyonBus)
    assert isinstance(tachyon.RpcBus()._rpc, tachyon.TachyonRpcBus)
    for cls in (tachyon.Bus, tachyon.RpcBus):
        assert all(hasattr(cls, method) for method in CONTEXT)
    assert iter(bus := tachyon.Bus()) is bus
    for name in ("listen", "connect"):
        assert inspect.ismethod(getattr(tachyon.Bus, name))
        assert inspect.ismethod(getattr(tachyon.RpcBus, f"rpc_{name}"))
    assert tachyon.make_type_id(1, 2) == 0x10002
    assert tachyon.tachyon_rpc(msg_type=5)(bytes).msg_type == 5


def test_int_is_a_polling_mode_as_it_was(rpc: Any, pair: Any) -> None:
    for bus in (*rpc, *pair):
        bus.set_polling_mode(1)
        bus.set_polling_mode(0)
