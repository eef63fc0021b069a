# SPDX-License-Identifier: Apache-2.0
"""pynng: a socket and threads behind it, Pair0 over ipc://, or Req0 and Rep0."""

import driver
from pynng import Pair0, Rep0, Req0, exceptions


class Adapter(driver.Link):
    rpc = True

    def __init__(self, setting: driver.Setting) -> None:
        if setting.mode == driver.SPIN:
            raise driver.CannotError("its threads need the core that would spin")
        super().__init__(setting)

    def open(self, lead: bool) -> tuple[driver.Send, driver.Receive]:  # noqa: D102
        kind = (Req0 if lead else Rep0) if self.setting.rpc else Pair0
        self._socket = end = kind()
        address = f"ipc://{self.path('nng')}"
        if not lead:
            end.listen(address)
        else:
            errors = (exceptions.NNGException,)
            driver.until_there(lambda: end.dial(address, block=True), errors)
        return end.send, lambda _: end.recv()
