# SPDX-License-Identifier: Apache-2.0
"""Tachyon by its Python package: a bus in each direction."""

from typing import Any

import driver
import numpy

import tachyon


class Adapter(driver.Link):
    def open(self, lead: bool) -> tuple[driver.Send, driver.Receive]:  # noqa: D102
        def listen(name: str) -> tachyon.Bus:
            return tachyon.Bus.listen(self.path(name), driver.RING_BYTES, timeout=20)

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

    def batches(self) -> Any:  # noqa: D102
        receive, item = self.incoming.recv_batch_into, f"V{self.setting.size}"
        room = numpy.empty(self.setting.batch, item)

        def send(several: list[bytes]) -> None:
            self.out.send_batch(numpy.frombuffer(b"".join(several), item))

        return send, lambda most: receive(room[:most])
