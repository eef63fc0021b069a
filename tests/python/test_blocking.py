# SPDX-License-Identifier: Apache-2.0
"""Every call that waits leaves the interpreter to others, and ends with Ctrl-C.

Each waits for ever in another process, where a second thread has something to do; then
that process is interrupted.
"""

import inspect
import subprocess
import time
from typing import Any

import pytest

from tachyon import (
    Bus,
    Channel,
    MessageChannel,
    Messages,
    RpcBus,
    RpcDispatcher,
    RpcEndpoint,
    TachyonBus,
    TachyonRpcBus,
)

from conftest import StartPeer, await_sleep

PROMPT_S = 0.05
TRIES = 20  # a busy machine may take its time, but not always

# Who the process is, by the call that makes it so, and what it waits in. `Class.method`
# comes first in each name.
ALONE = {
    "Bus.listen": "Bus.listen(path, 4096)",
    "Bus.connect": "Bus.connect(path, timeout=None)",
    "RpcBus.rpc_listen": "RpcBus.rpc_listen(path, 4096, 4096)",
    "RpcBus.rpc_connect": "RpcBus.rpc_connect(path, timeout=None)",
    "Bus.accept": "Bus.listen(path, 4096, role=1, max_peers=2).accept()",
    "RpcBus.accept": "RpcBus.rpc_listen(path, 4096, 4096, max_peers=2).accept()",
    "TachyonBus.accept": "Bus.listen(path, 4096, role=1, max_peers=2)._bus.accept()",
    "TachyonRpcBus.accept": (
        "RpcBus.rpc_listen(path, 4096, 4096, max_peers=2)._rpc.accept()"
    ),
    "TachyonBus.listen": "Bus()._bus.listen(path, 4096)",
    "TachyonBus.connect": "Bus()._bus.connect(path, timeout=None)",
    "TachyonRpcBus.listen": "RpcBus()._rpc.listen(path, 4096, 4096)",
    "TachyonRpcBus.connect": "RpcBus()._rpc.connect(path, timeout=None)",
}
RECEIVER = {
    "Bus.recv": "bus.recv()",
    "Bus.recv, with a time-out": "bus.recv(timeout=60)",
    "Bus.recv, spinning": "spin(); bus.recv()",
    "Bus.__next__": "next(bus)",
    "Bus.recv_zero_copy": "bus.recv_zero_copy()",
    "Bus.recv_zero_copy, spinning": "bus.recv_zero_copy(spin_threshold=4294967295)",
    "Bus.drain_batch": "bus.drain_batch()",
    "Bus.drain_batch, spinning": "bus.drain_batch(spin_threshold=4294967295)",
    "Bus.recv_batch_into": "bus.recv_batch_into(bytearray(800))",
    "Bus.recv_array": "bus.recv_array()",
    "Bus.recv_array_zero_copy": "bus.recv_array_zero_copy()",
    "Bus._recv_parts": "bus._recv_parts(1)",
    "Channel.recv": "bus.channel('<I').recv()",
    "Channel.__next__": "next(bus.channel('<I'))",
    "Channel.recv_batch_into": "bus.channel('<B').recv_batch_into(bytearray(9))",
    "Channel.drain_batch": "bus.channel('<I').drain_batch()",
    "Channel._drain": "bus.channel('<I')._drain()",
    "Bus.messages": "next(bus.messages(Tick))",
    "Messages.__init__": "next(Messages(bus, [Tick]))",
    "Messages.recv": "bus.messages(Tick).recv()",
    "Messages.__next__": "next(bus.messages(Tick))",
    "Bus._recv_record": "bus._recv_record({1: Tick})",
    "MessageChannel.recv": "bus.channel(Tick).recv()",
    "MessageChannel.__next__": "next(bus.channel(Tick))",
    "MessageChannel.recv_batch_into": "bus.channel(Tick).recv_batch_into(records(9))",
    "MessageChannel.drain_batch": "bus.channel(Tick).drain_batch()",
    "MessageChannel._drain": "bus.channel(Tick)._drain()",
    "TachyonBus.acquire_rx": "bus._bus.acquire_rx()",
    "TachyonBus.drain_batch": "bus._bus.drain_batch()",
}
SENDER = {
    "Bus.send": "fill(); bus.send(bytes(100))",
    "Bus.send, spinning": "spin(); fill(); bus.send(bytes(100))",
    "Bus.send_zero_copy": "fill(); bus.send_zero_copy(100)",
    "Bus.send_batch": "bus.send_batch(bytearray(1 << 20))",
    "Channel.__call__": "fill(); bus.channel('<100s')(b'')",
    "Bus.send_array": "fill(); bus.send_array(bytearray(100))",
    "Bus._send_parts": "fill(); bus._send_parts([bytes(100)], 1)",
    "Channel.send_batch": "bus.channel('<B').send_batch(bytearray(1 << 20))",
    "MessageChannel.__call__": "fill(); bus.channel(Tick)()",
    "MessageChannel.send": "fill(); bus.channel(Tick).send()",
    "MessageChannel.send_batch": "bus.channel(Tick).send_batch(records(1 << 13))",
    "TachyonBus.acquire_tx": "fill(); bus._bus.acquire_tx(100)",
}
CALLER = {
    "RpcBus.wait": "bus.wait(bus.call(b'', 1))",
    "RpcBus.wait, spinning": "bus.wait(bus.call(b'', 1), 4294967295)",
    "RpcBus.wait_any": "bus.call(b'', 1); bus.wait_any()",
    "RpcBus.call": "while True: bus.call(bytes(100), 1)",
    "RpcBus.call_zero_copy": "fill_calls(); bus.call_zero_copy(100, 1)",
    "RpcEndpoint.call": "tachyon_rpc(1)(len).call(bus, b'')",
    "TachyonRpcBus.wait": "bus._rpc.wait(bus.call(b'', 1))",
    "TachyonRpcBus.wait_any": "bus.call(b'', 1); bus._rpc.wait_any()",
    "TachyonRpcBus.acquire_call": "fill_calls(); bus._rpc.acquire_call(100)",
}
CALLEE = {
    "RpcBus.serve": "bus.serve()",
    "RpcBus.serve, spinning": "bus.serve(4294967295)",
    "TachyonRpcBus.serve": "bus._rpc.serve()",
    "RpcDispatcher.serve_once": "RpcDispatcher().serve_once(bus)",
    "RpcDispatcher.serve_forever": "RpcDispatcher().serve_forever(bus)",
}
REPLIER = {
    "RpcBus.reply": "answer(lambda call: bus.reply(call, bytes(100), 1))",
    "RpcBus.reply_zero_copy": "answer(in_place)",
    "TachyonRpcBus.acquire_reply": "fill_replies(); bus._rpc.acquire_reply(take(), 99)",
}
WITH_PYARROW = {  # see test_arrow.py
    "Bus.recv_arrow": "bus.recv_arrow()",
    "Bus.recv_arrow_zero_copy": "bus.recv_arrow_zero_copy()",
    "Bus.send_arrow": (
        "import pyarrow; fill(); bus.send_arrow(pyarrow.record_batch({'a': [1]}))"
    ),
}
OPEN = {
    "receiver": (RECEIVER, "Bus.connect(path, timeout=60)"),
    "sender": (SENDER, "Bus.connect(path, timeout=60)"),
    "caller": (CALLER, "RpcBus.rpc_connect(path, timeout=60)"),
    "callee": (CALLEE, "RpcBus.rpc_connect(path, timeout=60)"),
    "replier": (REPLIER, "RpcBus.rpc_connect(path, timeout=60)"),
}

PEER = """
import threading

class Tick(
    Message,
    type_id=1,
    types=f"tachyon-types 1 {sys.byteorder}\\n"
    "message 1 Tick\\n text char[100] @0\\n = 100 align 1\\n",
): ...

def report(text):
    print(text, flush=True)

def spin():
    bus.set_polling_mode(True)

def fill():
    try:
        while True:
            bus.send(bytes(100), block=False)
    except RingFull:
        pass

def fill_calls():
    try:
        while True:
            bus.call(bytes(100), 1, timeout=0.01)
    except TimeoutError:
        pass

def take():
    with bus.serve(timeout=60) as request:
        return request.correlation_id

def answer(reply):
    while True:
        reply(take())

def in_place(call):
    with bus.reply_zero_copy(call, 100, 1) as reply:
        reply.actual_size = 100

def fill_replies():
    try:
        answer(lambda call: bus.reply(call, bytes(100), 1, timeout=0.01))
    except TimeoutError:
        pass

def records(count):
    return memoryview(bytearray(100 * count)).cast("B", (count, 100))

def do_something_else():
    time.sleep(0.1)
    sum(range(100_000))
    report("meanwhile")

signal.signal(signal.SIGINT, signal.default_int_handler)
bus = OPEN
for line in sys.stdin:
    thread = threading.Thread(target=do_something_else)
    try:
        thread.start()
        WAIT
    except KeyboardInterrupt:
        report(time.monotonic_ns())
    thread.join()
"""


def seconds_to_interrupt(peer: "subprocess.Popen[str]", call: str) -> float:
    """Interrupt the peer in its wait; return how long that went on."""
    assert peer.stdin is not None
    assert peer.stdout is not None
    peer.stdin.write("wait\n")
    peer.stdin.flush()
    assert peer.stdout.readline() == "meanwhile\n"
    if "spinning" not in call:
        await_sleep(peer.pid)  # it is in the wait, however long it took to get there
    sent = time.monotonic_ns()
    peer.send_signal(2)
    return (int(peer.stdout.readline()) - sent) / 1e9


def check(peer: "subprocess.Popen[str]", call: str) -> None:
    """Expect one of a few tries to be prompt."""
    took = [seconds_to_interrupt(peer, call)]
    while took[-1] > PROMPT_S and len(took) < TRIES:
        took.append(seconds_to_interrupt(peer, call))
    assert min(took) <= PROMPT_S
    output, errors = peer.communicate(timeout=60)
    assert (output, errors) == ("", "")


@pytest.mark.parametrize("call", ALONE)
def test_opening(start_peer: StartPeer, call: str) -> None:
    peer = start_peer(PEER.replace("OPEN", "None").replace("WAIT", ALONE[call]))
    check(peer, call)


@pytest.mark.parametrize(
    ("role", "call"), [(role, call) for role in OPEN for call in OPEN[role][0]]
)
def test_waiting(start_peer: StartPeer, socket_path: str, role: str, call: str) -> None:
    calls, connect = OPEN[role]
    listens = role in {"callee", "replier"}
    if listens:
        connect = "RpcBus.rpc_listen(path, 4096, 4096, timeout=60)"
    peer = start_peer(PEER.replace("OPEN", connect).replace("WAIT", calls[call]))
    if listens:
        bus: Any = RpcBus.rpc_connect(socket_path, timeout=60)
    elif role == "caller":
        bus = RpcBus.rpc_listen(socket_path, 4096, 4096, timeout=60)
    else:
        bus = Bus.listen(socket_path, 4096, timeout=60)
    with bus:
        for _ in range(60 if role == "replier" else 0):
            bus.call(b"", 1, timeout=60)
        check(peer, call)


def takes_a_timeout(function: Any) -> bool:
    try:
        return "timeout" in inspect.signature(function).parameters
    except (TypeError, ValueError):  # object's own, in C
        return False


@pytest.mark.parametrize(
    "cls",
    [
        *(Bus, Channel, MessageChannel, Messages, RpcBus, RpcDispatcher, RpcEndpoint),
        *(TachyonBus, TachyonRpcBus),
    ],
)
def test_every_call_that_waits_is_among_them(cls: type) -> None:
    tried = {call.split(",")[0] for calls, _ in OPEN.values() for call in calls}
    tried |= ALONE.keys() | WITH_PYARROW.keys()
    waiting = {
        f"{cls.__name__}.{name}"
        for name, function in inspect.getmembers(cls, callable)
        if takes_a_timeout(function)
        and not inspect.iscoroutinefunction(function)
        and not name.endswith("_start")  # does not wait for what it starts
    }
    assert len(waiting) > 0
    assert waiting - tried == set()
