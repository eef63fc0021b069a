# SPDX-License-Identifier: Apache-2.0
"""Public classes have the names that are written down here, and no other."""

import inspect
import pydoc
import re
from typing import Any

import pytest

import tachyon
from tachyon import _native

PYTHONS_OWN = {
    "__annotations__",
    "__dict__",
    "__module__",
    "__weakref__",
    "__slots__",
    "__orig_bases__",
    "__annotate_func__",
    "__annotations_cache__",
    "__firstlineno__",
    "__static_attributes__",
    "__buffer__",
    "__release_buffer__",
}
GUARD = {"__enter__", "__exit__"}
BUS = {
    *GUARD,
    *("__aenter__", "__aexit__"),
    *("abort", "aclose", "close", "fileno", "max_payload", "peer"),
    *("set_polling_mode", "stats"),
    *("accept", "accept_in_background", "drop", "events", "peers", "sender"),
}
LOW = {
    *("abort", "connect", "connect_start", "destroy", "fileno", "listen"),
    *("listen_start", "max_payload", "opening_cancel", "opening_step", "peer"),
    *("set_polling_mode", "stats", "unwatch", "watch"),
    *("accept", "drop_peer", "peers", "sender"),
}
NAMES: dict[str, set[str]] = {
    "Bus": {
        *BUS,
        *("__aiter__", "__anext__", "__iter__", "__next__"),
        *("_bus", "channel", "connect", "connect_async", "drain_batch", "flush"),
        "messages",
        *("listen", "listen_async", "position", "recv"),
        *("recv_arrow", "recv_arrow_async", "recv_arrow_zero_copy"),
        "recv_arrow_zero_copy_async",
        *("recv_async", "recv_batch_into", "recv_zero_copy", "send", "send_async"),
        *("send_arrow", "send_arrow_async"),
        *("send_batch", "send_zero_copy", "set_numa_node"),
        *("recv_array", "recv_array_async", "recv_array_zero_copy"),
        *("recv_array_zero_copy_async", "send_array", "send_array_async"),
    },
    "Frame": {*GUARD, "__dlpack__", "__dlpack_device__", "dtype", "shape", "tag"}
    | {"type_id"},
    "Queue": {
        *("cancel_join_thread", "close", "empty", "full", "get", "get_nowait"),
        *("join_thread", "put", "put_nowait", "qsize"),
        *("__class_getitem__", "__parameters__"),  # of typing.Generic
    },
    "RpcBus": {
        *BUS,
        *("_rpc", "call", "call_async", "call_zero_copy", "cancel", "reply"),
        *("reply_async", "reply_zero_copy", "rpc_connect", "rpc_connect_async"),
        *("rpc_listen", "rpc_listen_async", "serve"),
        *("serve_async", "wait", "wait_any", "wait_async"),
    },
    "Channel": {
        *("__call__", "__iter__", "__next__", "bus", "drain_batch", "dtype"),
        *("format", "layout", "recv", "recv_batch_into", "send_batch", "size"),
        "type_id",
    },
    "MessageChannel": {
        *("__call__", "__class_getitem__", "__iter__", "__next__", "bus"),
        *("drain_batch", "dtype", "layout", "recv", "recv_batch_into", "send"),
        *("send_batch", "size", "type_id"),
    },
    "ChannelBatch": {
        *GUARD,
        "__array__",
        "__getitem__",
        "__iter__",
        "__len__",
        "array",
    },
    "Messages": {
        *("__aiter__", "__anext__", "__iter__", "__next__"),
        *("_bus", "recv", "recv_async"),
    },
    "RpcDispatcher": {"handler", "register", "serve_forever", "serve_once"},
    "RpcEndpoint": {"__call__", "call"},
    "RpcRxGuard": {*GUARD, "actual_size", "buf", "correlation_id", "type_id"},
    "RpcTxGuard": {*GUARD, "actual_size", "buf", "msg_type", "out_cid"},
    "RxBatchGuard": {*GUARD, "__getitem__", "__iter__", "__len__", "array"},
    "RxGuard": {*GUARD, "actual_size", "buf", "type_id"},
    "RxMsgView": {"__dlpack__", "__dlpack_device__", "actual_size", "type_id"},
    "TachyonBus": {
        *LOW,
        *("acquire_rx", "acquire_tx", "drain_batch", "flush", "set_numa_node"),
        "position",
    },
    "TachyonRpcBus": {
        *LOW,
        *("acquire_call", "acquire_reply", "cancel", "serve", "wait", "wait_any"),
        "watch_messages",
    },
    "TxGuard": {*GUARD, "actual_size", "buf", "type_id"},
}
# Classes that are what Python makes of tuples, integers and exceptions.
PLAIN = (tuple, int, Exception)


def public_classes() -> dict[str, type]:
    """Return the classes that the package exports."""
    return {
        name: getattr(tachyon, name)
        for name in tachyon.__all__
        if inspect.isclass(getattr(tachyon, name))
    }


def own_names(cls: type) -> set[str]:
    """Return what a class has beyond what every class has, without what is private."""
    names = set(dir(cls)) - set(dir(object)) - PYTHONS_OWN
    return {n for n in names if n[0] != "_" or n[:2] == "__" or n in ("_bus", "_rpc")}


def test_every_public_class_is_listed() -> None:
    listed = {n for n, c in public_classes().items() if not issubclass(c, PLAIN)}
    assert listed == NAMES.keys()


@pytest.mark.parametrize("name", NAMES)
def test_public_class_has_no_other_names(name: str) -> None:
    assert own_names(getattr(tachyon, name)) == NAMES[name]


def test_plain_classes_have_fields_only() -> None:
    for name, cls in public_classes().items():
        for base in (c for c in PLAIN if issubclass(cls, c)):
            fields = {n for n in own_names(cls) - set(dir(base)) if n[0] != "_"}
            assert fields <= {
                *getattr(cls, "_fields", ()),
                *getattr(cls, "__members__", ()),
                *("code", "type_id", "size", "msg_type"),
            }, name


@pytest.mark.parametrize(
    "name", [n for n, t in vars(_native).items() if inspect.isclass(t)]
)
def test_nothing_of_swigs_is_left(name: str) -> None:
    cls = getattr(_native, name)
    gone = {"acquire", "append", "disown", "next", "own", "this", "thisown"}
    assert not (gone | {"__int__", "__hex__", "__oct__", "__index__"}) & set(dir(cls))
    if not issubclass(cls, Exception):
        assert "__dict__" not in dir(cls)
    with pytest.raises(TypeError):
        int(cls)  # type: ignore[call-overload]


def test_bus_is_no_number_and_no_list(pair: Any, rpc: Any) -> None:
    for thing in (*pair, *rpc, pair.producer._bus, rpc.caller._rpc, pair.producer.peer):
        for convert in (int, hex, oct, bin, float):
            with pytest.raises(TypeError):
                convert(thing)
    assert not hasattr(pair.producer._bus, "__dict__")


@pytest.mark.parametrize("name", NAMES)
def test_help_has_no_word_of_swig(name: str) -> None:
    text = pydoc.plain(pydoc.render_doc(getattr(tachyon, name)))
    assert not re.search(r"(?i)swig|~Any|<class '|: ~", text)


def test_signatures_read_as_they_are_written() -> None:
    for function in (tachyon.Bus.listen, tachyon.RpcBus.rpc_listen):
        assert "mode: 'SupportsIndex' = 0o600" in str(inspect.signature(function))
        assert str(inspect.signature(function)).endswith("-> 'Self'")
    assert "role: 'SupportsIndex' = Role.NONE" in str(
        inspect.signature(tachyon.Bus.connect)
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_public_method_has_a_signature(name: str) -> None:
    cls = getattr(tachyon, name)
    for method in NAMES[name]:
        if method[0] != "_" and callable(getattr(cls, method)):
            text = str(inspect.signature(getattr(cls, method)))
            assert "*args" not in text, method
