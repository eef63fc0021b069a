# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: D102
"""Tachyon by its Python package: a bus in each direction, or an RPC bus.

What is not private is another's in tachyon_0_5_1.py.
"""

from typing import Any

import driver

import tachyon


class Adapter(driver.Link):
    rpc = True

    def listen(self, path: str, capacity: int) -> Any:
        return tachyon.Bus.listen(path, capacity, timeout=20)

    def connect(self, path: str) -> Any:
        return tachyon.Bus.connect(path, timeout=20)

    def rpc_listen(self, path: str, capacity: int) -> Any:
        return tachyon.RpcBus.rpc_listen(path, capacity, capacity, timeout=20)

    def rpc_connect(self, path: str) -> Any:
        return tachyon.RpcBus.rpc_connect(path, timeout=20)

    def ends(self) -> tuple[driver.Send, driver.Receive]:
        """Return how to send and to receive by the two buses."""
        if self.setting.mode == driver.SLEEP:

            def receive(_: int) -> Any:
                with self.incoming.recv_zero_copy(None, 0) as message:
                    return bytes(message)

            return self.out.send, receive
        following = self.incoming.__next__
        return self.out.send, lambda _: following().data

    def room(self, size: int) -> tuple[Any, Any]:
        """Return a context, and the room of which it sends what is in it."""
        context = self.out.send_zero_copy(size, 1)
        return context, context.__enter__()

    def open(self, lead: bool) -> tuple[driver.Send, driver.Receive]:
        if self.setting.rpc:
            return self._open_rpc(lead)
        forth, back = self.path("forth"), self.path("back")
        capacity = self.setting.ring_bytes()
        if lead:
            self.out, self.incoming = self.connect(forth), self.listen(back, capacity)
        else:
            self.incoming, self.out = self.listen(forth, capacity), self.connect(back)
        for bus in (self.out, self.incoming):
            bus.set_polling_mode(self.setting.mode == driver.SPIN)
        return self.ends()

    def _open_rpc(self, lead: bool) -> tuple[driver.Send, driver.Receive]:
        path = self.path("rpc")
        spin = 0 if self.setting.mode == driver.SLEEP else 10_000
        current = 0  # the call that is under way
        if lead:
            caller = self.rpc_connect(path)

            def call(message: bytes) -> None:
                nonlocal current
                current = caller.call(message, 1)

            def wait(_: int) -> bytes:
                with caller.wait(current, spin) as reply:
                    return bytes(reply)

            return call, wait
        callee = self.rpc_listen(path, self.setting.ring_bytes())

        def serve(_: int) -> bytes:
            nonlocal current
            with callee.serve(spin) as request:
                current = request.correlation_id
                return bytes(request)

        return lambda message: callee.reply(current, message, 1), serve

    def batches(self) -> Any:
        import numpy  # noqa: PLC0415 - Tachyon does without

        receive, item = self.incoming.recv_batch_into, f"V{self.setting.size}"
        room = numpy.empty(self.setting.batch, item)

        def send(several: list[bytes]) -> None:
            self.out.send_batch(numpy.frombuffer(b"".join(several), item))

        return send, lambda most: receive(room[:most])

    def in_place(self) -> driver.InPlace:
        held: Any = None

        def reserve(size: int) -> Any:
            nonlocal held
            held, room = self.room(size)
            return room

        def acquire(_: int) -> Any:
            nonlocal held
            held = self.incoming.recv_zero_copy()
            return held.__enter__()

        def leave() -> None:
            held.__exit__(None, None, None)

        return driver.InPlace(reserve, leave, acquire, leave)
