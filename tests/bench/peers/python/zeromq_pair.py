# SPDX-License-Identifier: Apache-2.0
"""pyzmq: a socket and a thread behind it, PAIR over ipc://, or REQ and REP."""

import driver
import zmq


class Adapter(driver.Link):
    rpc = True

    def __init__(self, setting: driver.Setting) -> None:
        if setting.mode == driver.SPIN:
            raise driver.CannotError("its thread needs the core that would spin")
        super().__init__(setting)

    def open(self, lead: bool) -> tuple[driver.Send, driver.Receive]:  # noqa: D102
        kind = (zmq.REQ if lead else zmq.REP) if self.setting.rpc else zmq.PAIR
        self._socket = end = zmq.Context().socket(kind)
        address = f"ipc://{self.path('zmq')}"
        if lead:
            end.connect(address)
        else:
            end.bind(address)
        return end.send, lambda _: end.recv()
