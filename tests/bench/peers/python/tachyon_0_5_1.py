# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: D102
"""tachyon-ipc 0.5.1 of PyPI, which `tachyon` is here: what it does otherwise.

It has none that waits for who listens, nor for room.
"""

from collections.abc import Callable
from typing import Any

import driver
import tachyon_bus

import tachyon

HEADER, SPARES = 64, 32  # messages between two times at which room is given back
TOO_FEW = "gives room back every 32 messages, more than its ring has room for"


class Adapter(tachyon_bus.Adapter):
    def __init__(self, setting: driver.Setting) -> None:
        if setting.ring_bytes() // (setting.size + HEADER) <= SPARES:
            raise driver.CannotError(TOO_FEW)
        super().__init__(setting)

    def listen(self, path: str, capacity: int) -> Any:
        return tachyon.Bus.listen(path, capacity)

    def connect(self, path: str) -> Any:
        errors = (tachyon.TachyonError, OSError)
        return driver.until_there(lambda: tachyon.Bus.connect(path), errors)

    def rpc_listen(self, path: str, capacity: int) -> Any:
        return tachyon.RpcBus.rpc_listen(path, capacity, capacity)

    def rpc_connect(self, path: str) -> Any:
        errors = (tachyon.TachyonError, OSError)
        return driver.until_there(lambda: tachyon.RpcBus.rpc_connect(path), errors)

    def ends(self) -> tuple[driver.Send, driver.Receive]:
        send, following = self.out.send, iter(self.incoming).__next__
        acquire = self.incoming._bus.acquire_rx  # what has a limit to its spinning

        def asleep(_: int) -> bytes:
            with acquire(0) as message:
                return bytes(message)

        return (
            lambda message: until_room(lambda: send(message, 1)),
            asleep if self.setting.mode == driver.SLEEP else lambda _: following().data,
        )

    def room(self, size: int) -> tuple[Any, Any]:
        def take() -> tuple[Any, Any]:
            context = self.out.send_zero_copy(size, 1)
            return context, context.__enter__()

        context, guard = until_room(take)
        guard.actual_size = size
        return context, guard

    def batches(self) -> Any:
        return driver.Link.batches(self)  # it has a call that receives several only


def until_room(attempt: Callable[[], Any]) -> Any:
    while True:
        try:
            return attempt()
        except tachyon.TachyonError as error:
            if "full" not in str(error).lower():
                raise
