# SPDX-License-Identifier: Apache-2.0
"""The Python peer of the conformance tests; README.md has the rules it follows."""

import argparse
import errno
import itertools
import os
import signal
import struct
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from tachyon import Bus, RpcBus, TachyonError

BATCH, TICKS = 100, 1000
TICK = struct.Struct("8sdIIQ")
FULL, INVALID_SZ, EMPTY, NETWORK, ABI_MISMATCH = 9, 8, 10, 11, 14
CLOSED, TIMEOUT, ADDR_IN_USE, PERMISSION = 16, 17, 20, 21
DEFAULTS: dict[str, Any] = {
    "end": "connect", "open": 20.0, "capacity": 65536, "schema": 0, "role": 0,
    "wait": 20.0, "count": 1, "size": "32", "how": "single", "seed": 0,
    "finish": "close", "outstanding": 1, "order": "in", "cancel": 0, "types": "",
    "required": 0,
}  # fmt: skip
keys = argparse.Namespace(**DEFAULTS)
sizes: list[int] = []


def code_of(error: Exception, wait: float) -> int:
    """Translate an exception to the number of the C API."""
    if isinstance(error, TachyonError):
        return int(error.code)
    if isinstance(error, TimeoutError):
        return TIMEOUT if wait else EMPTY
    if isinstance(error, ValueError):
        return INVALID_SZ
    if isinstance(error, PermissionError):
        return PERMISSION
    if isinstance(error, ConnectionError):
        return {None: ABI_MISMATCH, errno.EADDRINUSE: ADDR_IN_USE}.get(
            error.errno, NETWORK
        )
    raise error


def say(*words: object) -> None:
    print(*words, flush=True)


def expect(right: bool, i: int) -> None:
    if not right:
        say("wrong", i)
        sys.exit(1)


def type_of(i: int) -> int:
    return 1 if keys.how == "batch" else i % 7 + 1


def message(i: int) -> bytes:
    size = sizes[(i // BATCH if keys.how == "batch" else i) % len(sizes)]
    cycle = bytes((31 * i + 7 * j + keys.seed) & 255 for j in range(min(size, 256)))
    return (cycle * (size // 256 + 1))[:size]


def open_bus(path: str) -> Bus:
    options = {"timeout": keys.open, "role": keys.role, "schema": keys.schema}
    try:
        if keys.end == "listen":
            return Bus.listen(path, keys.capacity, **options)
        return Bus.connect(path, **options)
    except (OSError, ValueError, TachyonError) as error:
        say("error", code_of(error, 1))
        sys.exit(0)


def finish(bus: Bus | RpcBus) -> None:
    if keys.finish == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif keys.finish == "abort":
        bus.abort()
    elif keys.finish == "close":
        bus.close()


def send_next(bus: Bus, i: int, wait: float) -> int:
    """Send message i, or those up to the next hundred; return how many."""
    data = message(i)
    timing = {"timeout": wait} if wait else {"block": False}
    if keys.how == "single":
        bus.send(data, type_of(i), **timing)
    elif keys.how == "in_place":
        with bus._bus.acquire_tx(len(data), **timing) as tx:
            with memoryview(tx) as slot:
                slot[:] = data
            tx.actual_size, tx.type_id = len(data), type_of(i)
    else:
        batch = [
            message(k) for k in range(i, min(keys.count, i // BATCH * BATCH + BATCH))
        ]
        items = memoryview(b"".join(batch)).cast("B", (len(batch), len(data)))
        return bus.send_batch(items, 1, **timing)
    return 1


def recv_next(bus: Bus, i: int, wait: float) -> int:
    if keys.how == "single":
        type_id, _, data = bus.recv(wait)
        expect(data == message(i) and type_id == type_of(i), i)
        return 1
    if keys.how == "in_place":
        with bus.drain_batch(BATCH, timeout=wait) as batch:
            for k, view in enumerate(batch, i):
                with memoryview(view) as data:
                    expect(data == message(k) and view.type_id == type_of(k), k)
            return len(batch)
    size = len(message(i))
    room = bytearray((BATCH - i % BATCH) * size)
    items = memoryview(room).cast("B", (BATCH - i % BATCH, size))
    count = bus.recv_batch_into(items, wait)
    expected = b"".join(message(k) for k in range(i, i + count))
    expect(room[: count * size] == expected and count.type_id == 1, i)
    return count


def until_error(bus: Bus, step: Callable[[Bus, int, float], int], wait: float,
                count: float = float("inf")) -> tuple[int, int]:  # fmt: skip
    """Step on; return how many messages, and the error or 0."""
    done = 0
    try:
        while done < count:
            done += step(bus, done, wait)
    except (OSError, ValueError, TachyonError) as error:
        return done + getattr(error, "sent", 0), code_of(error, wait)
    return done, 0


def op_open(path: str) -> None:
    bus = open_bus(path)
    say("opened")
    finish(bus)


def op_meet(path: str) -> None:
    bus = Bus()
    options = {
        "timeout": keys.open,
        "types": keys.types or None,
        "types_required": keys.required,
    }
    say("ready")
    try:
        if keys.end == "listen":
            bus._bus.listen(path, keys.capacity, **options)
        else:
            bus._bus.connect(path, **options)
    except (OSError, ValueError, TachyonError) as error:
        say("error", code_of(error, 1))
        say("why", error)
    else:
        say("opened")
        finish(bus)


def op_send(path: str) -> None:
    bus = open_bus(path)
    sent, error = until_error(bus, send_next, keys.wait, keys.count)
    flush(bus)
    say("sent", sent)
    if error:
        say("error", error)
    finish(bus)


def op_recv(path: str) -> None:
    bus = open_bus(path)
    received, error = until_error(bus, recv_next, keys.wait)
    say("received", received)
    say("error", error)
    bus.close()


def op_fill(path: str) -> None:
    bus = open_bus(path)
    keys.count = sys.maxsize
    sent, error = until_error(bus, send_next, 0)
    say("sent", sent)
    say("error", error)
    say("error", until_error(bus, send_next, keys.wait)[1])
    flush(bus)
    finish(bus)


def op_drain(path: str) -> None:
    bus = open_bus(path)
    say("ready")
    say("error", until_error(bus, recv_next, 0)[1])
    say("error", until_error(bus, recv_next, keys.wait)[1])
    bus.close()


def op_hold(path: str) -> None:
    bus = open_bus(path)
    say("ready")
    while bus:
        signal.pause()


def flush(bus: Bus) -> None:
    try:
        bus._bus.flush()
    except TachyonError as error:
        if error.code != CLOSED:
            raise


def op_misuse(path: str) -> None:
    bus = open_bus(path)
    bus.close()
    bus.close()
    for object_ in (bus, Bus()):
        say("error", until_error(object_, send_next, keys.wait, 1)[1])
        say("error", until_error(object_, recv_next, keys.wait)[1])
        flush(object_)


def open_rpc(opening: Callable[..., RpcBus], *arguments: object) -> RpcBus:
    try:
        return opening(*arguments, timeout=keys.open, schema=keys.schema)
    except (OSError, ValueError, TachyonError) as error:
        say("error", code_of(error, 1))
        sys.exit(0)


def op_serve(path: str) -> None:
    bus = open_rpc(RpcBus.rpc_listen, path, keys.capacity, keys.capacity)
    served = 0
    try:
        while True:
            requests = []
            for _ in range(keys.outstanding):
                with bus.serve(timeout=keys.wait) as request:
                    data = bytes(request.buf)
                    requests.append((request.correlation_id, data, request.type_id))
            for call, data, type_id in requests[:: 1 if keys.order == "in" else -1]:
                bus.reply(call, data[::-1], type_id + 1, timeout=keys.wait)
                served += 1
    except (OSError, ValueError, TachyonError) as error:
        say("served", served)
        say("error", code_of(error, keys.wait))
    bus.close()


def op_call(path: str) -> None:
    bus = open_rpc(RpcBus.rpc_connect, path)
    answered = cancelled = 0
    try:
        for first in range(0, keys.count, keys.outstanding):
            group = range(first, min(keys.count, first + keys.outstanding))
            calls = [bus.call(message(i), type_of(i), timeout=keys.wait) for i in group]
            for i, call in zip(group, calls, strict=True):
                if keys.cancel and (i + 1) % keys.cancel == 0:
                    bus.cancel(call)
                    cancelled += 1
                    continue
                with bus.wait(call, timeout=keys.wait) as reply:
                    right = bytes(reply.buf) == message(i)[::-1]
                    expect(right and reply.type_id == type_of(i) + 1, i)
                answered += 1
    except (OSError, ValueError, TachyonError) as error:
        say("answered", answered)
        say("error", code_of(error, keys.wait))
    else:
        say("answered", answered)
        say("cancelled", cancelled)
    finish(bus)


def tick(i: int) -> tuple[bytes, float, int, int, int]:
    return b"TCHY", 100 + i * 0.25, i % 1000, 0, i


def report(count: int, qty: int, price: float, ns: int) -> None:
    say(f"count {count} qty {qty} price {price:.2f} ns {ns / max(count, 1):.1f}")


def op_produce(path: str) -> None:
    bus, wait = open_bus(path), keys.wait
    start = time.perf_counter_ns()
    if keys.how == "single":
        for i in range(keys.count):
            bus.send(TICK.pack(*tick(i)), 7, wait)
    elif keys.how == "in_place":
        for i in range(keys.count):
            with bus.send_zero_copy(TICK.size, 7, wait) as tx, tx.buf as slot:
                TICK.pack_into(slot, 0, *tick(i))
    else:
        room = bytearray(TICKS * TICK.size)
        for first in range(0, keys.count, TICKS):
            count = min(TICKS, keys.count - first)
            for k in range(count):
                TICK.pack_into(room, k * TICK.size, *tick(first + k))
            items = memoryview(room)[: count * TICK.size].cast("B", (count, TICK.size))
            bus.send_batch(items, 7, wait)
    flush(bus)
    ns = time.perf_counter_ns() - start
    ticks = [tick(i) for i in range(keys.count)]
    report(keys.count, sum(t[2] for t in ticks), sum(t[1] for t in ticks), ns)
    bus.close()


def ticks_of(bus: Bus) -> Iterator[Iterator[tuple[Any, ...]]]:
    """Yield what is received at once, until the end of the stream."""
    room = bytearray(TICKS * TICK.size)
    items = memoryview(room).cast("B", (TICKS, TICK.size))
    try:
        while True:
            if keys.how == "single":
                type_id, size, data = bus.recv(keys.wait)
                expect(type_id == 7 and size == TICK.size, -1)
                yield TICK.iter_unpack(data)
            elif keys.how == "in_place":
                with bus.drain_batch(TICKS, timeout=keys.wait) as batch:
                    expect(all(view.type_id == 7 for view in batch), -1)
                    yield itertools.chain.from_iterable(map(unpack_view, batch))
            else:
                count = bus.recv_batch_into(items, keys.wait)
                expect(count.type_id == 7, -1)
                with memoryview(room)[: count * TICK.size] as received:
                    yield TICK.iter_unpack(received)
    except TachyonError as error:
        if error.code != CLOSED:
            raise


def unpack_view(view: Any) -> Iterator[tuple[Any, ...]]:
    with memoryview(view) as data:
        yield TICK.unpack(data)


def op_consume(path: str) -> None:
    bus = open_bus(path)
    start = count = qty = 0
    price = 0.0
    for ticks in ticks_of(bus):
        start = start or time.perf_counter_ns()
        for symbol, tick_price, tick_qty, pad, ts in ticks:
            expect(symbol == b"TCHY\0\0\0\0" and pad == 0 and ts == count, count)
            count += 1
            qty += tick_qty
            price += tick_price
    report(count, qty, price, time.perf_counter_ns() - start)
    bus.close()


def say_answered(last: bytes) -> None:
    expect(last == message(0), keys.count - 1)
    say("answered", keys.count)


def op_ping(path: str) -> None:
    data, wait, last = message(0), keys.wait, b""
    with open_bus(path) as bus, open_bus(f"{path}-back") as back:
        for _ in range(keys.count):
            bus.send(data, 1, wait)
            _, _, last = back.recv(wait)
        say_answered(last)


def op_ask(path: str) -> None:
    data, wait, last = message(0), keys.wait, b""
    with open_rpc(RpcBus.rpc_connect, path) as bus:
        for _ in range(keys.count):
            with bus.wait(bus.call(data, 1, timeout=wait), timeout=wait) as reply:
                last = bytes(reply.buf)
        say_answered(last)


def main() -> None:
    operation, path, *words = sys.argv[1:]
    for word in words:
        name, _, value = word.partition("=")
        if name not in DEFAULTS:
            print(f"peer: {word}?", file=sys.stderr)
            sys.exit(2)
        setattr(keys, name, type(DEFAULTS[name])(value))
    sizes.extend(map(int, keys.size.split(",")))
    globals()[f"op_{operation}"](path)


if __name__ == "__main__":
    main()
