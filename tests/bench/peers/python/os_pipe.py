# SPDX-License-Identifier: Apache-2.0
"""Two `os.pipe`, with records of a size that both know."""

import os

import driver


class Adapter(driver.Link):
    def __init__(self, setting: driver.Setting) -> None:
        if setting.mode == driver.SPIN:
            raise driver.CannotError("each look at an empty pipe is an exception")
        super().__init__(setting)
        self._forth, self._back = os.pipe(), os.pipe()

    def open(self, lead: bool) -> tuple[driver.Send, driver.Receive]:  # noqa: D102
        into = self._forth[1] if lead else self._back[1]
        out_of = self._back[0] if lead else self._forth[0]

        def send(message: bytes) -> None:
            sent = os.write(into, message)
            while sent < len(message):
                sent += os.write(into, message[sent:])

        def receive(size: int) -> bytes:
            message = os.read(out_of, size)
            while len(message) < size:
                message += os.read(out_of, size - len(message))
            return message

        return send, receive
