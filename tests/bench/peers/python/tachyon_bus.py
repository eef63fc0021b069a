# SPDX-License-Identifier: Apache-2.0
"""Tachyon by its Python package: a bus in each direction, or an RPC bus."""

from typing import Any

import driver

import tachyon


class Adapter(driver.Link):
    rpc = True

    def open(self, lead: bool) -> tuple[driver.Send, driver.Receive]:  # noqa: D102
        if self.setting.rpc:
            return self._open_rpc(lead)

        def listen(name: str) -> tachyon.Bus:
            capacity = self.setting.ring_bytes()
            return tachyon.Bus.listen(self.path(name), capacity, timeout=20)

        def connect(name: str) -> tachyon.Bus:
            return tachyon.Bus.connect(self.path(name), timeout=20)

        if lead:
            self.out, self.incoming = connect("forth"), listen("back")
        else:
            self.incoming, self.out = listen("forth"), connect("back")
        for bus in (self.out, self.incoming):
            bus.set_polling_mode(self.setting.mode == driver.SPIN)
        send = self.out.send
        if self.setting.mode == driver.SLEEP:

            def receive(_: int) -> Any:
                with self.incoming.recv_zero_copy(None, 0) as message:
                    return bytes(message)

            return send, receive
        following = self.incoming.__next__
        return send, lambda _: following().data

    def _open_rpc(self, lead: bool) -> tuple[driver.Send, driver.Receive]:
        path, capacity = self.path("rpc"), self.setting.ring_bytes()
        spin = 0 if self.setting.mode == driver.SLEEP else 10_000
        current = 0  # the call that is under way
        if lead:
            caller = tachyon.RpcBus.rpc_connect(path, timeout=20)

            def call(message: bytes) -> None:
                nonlocal current
                current = caller.call(message, 1)

            def wait(_: int) -> bytes:
                with caller.wait(current, spin) as reply:
                    return bytes(reply)

            return call, wait
        callee = tachyon.RpcBus.rpc_listen(path, capacity, capacity, timeout=20)

        def serve(_: int) -> bytes:
            nonlocal current
            with callee.serve(spin) as request:
                current = request.correlation_id
                return bytes(request)

        return lambda message: callee.reply(current, message, 1), serve

    def batches(self) -> Any:  # noqa: D102
        import numpy  # noqa: PLC0415 - Tachyon does without

        receive, item = self.incoming.recv_batch_into, f"V{self.setting.size}"
        room = numpy.empty(self.setting.batch, item)

        def send(several: list[bytes]) -> None:
            self.out.send_batch(numpy.frombuffer(b"".join(several), item))

        return send, lambda most: receive(room[:most])

    def in_place(self) -> driver.InPlace:  # noqa: D102
        held: Any = None

        def reserve(size: int) -> Any:
            nonlocal held
            held = self.out.send_zero_copy(size, 1)
            return held.__enter__()

        def acquire(_: int) -> Any:
            nonlocal held
            held = self.incoming.recv_zero_copy()
            return held.__enter__()

        def leave() -> None:
            held.__exit__(None, None, None)

        return driver.InPlace(reserve, leave, acquire, leave)
