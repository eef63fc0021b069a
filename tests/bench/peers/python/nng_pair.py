# SPDX-License-Identifier: Apache-2.0
"""pynng: a socket and threads behind it, Pair0 over ipc://."""

import time

import driver
from pynng import Pair0, exceptions


class Adapter(driver.Link):
    def __init__(self, setting: driver.Setting) -> None:
        if setting.mode == driver.SPIN:
            raise driver.CannotError("its threads need the core that would spin")
        super().__init__(setting)

    def open(self, lead: bool) -> tuple[driver.Send, driver.Receive]:  # noqa: D102
        self._socket = end = Pair0()
        address = f"ipc://{self.path('nng')}"
        if not lead:
            end.listen(address)
            return end.send, lambda _: end.recv()
        start = time.monotonic()
        while True:
            try:
                end.dial(address, block=True)
            except exceptions.NNGException:
                if time.monotonic() > start + 5:
                    raise
            else:
                return end.send, lambda _: end.recv()
