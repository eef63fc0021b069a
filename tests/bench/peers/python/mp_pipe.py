# SPDX-License-Identifier: Apache-2.0
"""`multiprocessing.Pipe`, `send_bytes`: what it makes of a socket."""

import multiprocessing

import driver


class Adapter(driver.Link):
    def __init__(self, setting: driver.Setting) -> None:
        super().__init__(setting)
        self._ends = multiprocessing.Pipe()

    def open(self, lead: bool) -> tuple[driver.Send, driver.Receive]:  # noqa: D102
        end = self._ends[0 if lead else 1]
        if self.setting.mode != driver.SPIN:
            return end.send_bytes, lambda _: end.recv_bytes()

        def receive(_: int) -> bytes:
            while not end.poll(0):
                pass
            return end.recv_bytes()

        return end.send_bytes, receive
