# SPDX-License-Identifier: Apache-2.0
"""A socket that keeps messages apart; large ones go in parts."""

import socket

import driver

PART = 1 << 16


class Adapter(driver.Link):
    def __init__(self, setting: driver.Setting) -> None:
        if setting.mode == driver.SPIN:
            raise driver.CannotError("each look at an empty socket is an exception")
        super().__init__(setting)
        self._ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def open(self, lead: bool) -> tuple[driver.Send, driver.Receive]:  # noqa: D102
        end = self._ends[0 if lead else 1]
        if self.setting.size <= PART:
            return end.send, end.recv

        def send(message: bytes) -> None:
            for at in range(0, len(message), PART):
                end.send(message[at : at + PART])

        def receive(size: int) -> bytes:
            parts = [end.recv(PART) for _ in range(0, size, PART)]
            return b"".join(parts)

        return send, receive
