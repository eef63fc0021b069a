# SPDX-License-Identifier: Apache-2.0
"""tachyon-ipc 0.5.1 of PyPI: a bus in each direction."""

import time
from typing import Any

import driver

import tachyon


class Adapter(driver.Link):
    def open(self, lead: bool) -> tuple[driver.Send, driver.Receive]:  # noqa: D102
        def connect(name: str) -> Any:
            start = time.monotonic()
            while True:
                try:
                    return tachyon.Bus.connect(self.path(name))
                except (tachyon.TachyonError, OSError):  # nobody listens yet
                    if time.monotonic() > start + 5:
                        raise

        def listen(name: str) -> Any:
            return tachyon.Bus.listen(self.path(name), self.setting.ring_bytes())

        if lead:
            self.out, self.incoming = connect("forth"), listen("back")
        else:
            self.incoming, self.out = listen("forth"), connect("back")
        for bus in (self.out, self.incoming):
            bus.set_polling_mode(int(self.setting.mode == driver.SPIN))
        out, incoming = self.out, self.incoming

        def send(message: bytes) -> None:
            # It has no call that waits for room.
            while True:
                try:
                    return out.send(message, 1)
                except tachyon.TachyonError as error:
                    if "full" not in str(error).lower():
                        raise

        following = iter(incoming).__next__
        return send, lambda _: following().data
