# SPDX-License-Identifier: Apache-2.0
"""`multiprocessing.shared_memory` and a hand-made flag: one slot in each direction.

What one writes who has only the standard library and wants no system call. There is no
ring, so a sender waits until its last message has been taken.
"""

from multiprocessing import shared_memory

import driver

HEADER = 128  # a line for the number sent, a line for the number taken


class Adapter(driver.Link):
    def __init__(self, setting: driver.Setting) -> None:
        if setting.mode == driver.SLEEP:
            raise driver.CannotError("wakes nobody")
        super().__init__(setting)
        self._slots = [
            shared_memory.SharedMemory(create=True, size=HEADER + setting.size)
            for _ in range(2)
        ]

    def open(self, lead: bool) -> tuple[driver.Send, driver.Receive]:  # noqa: D102
        forth, back = self._slots
        if lead:
            for slot in self._slots:
                slot.unlink()  # both have it
        out, incoming = (forth.buf, back.buf) if lead else (back.buf, forth.buf)
        sent, taken = out[:64].cast("Q"), out[64:128].cast("Q")
        received, released = incoming[:64].cast("Q"), incoming[64:128].cast("Q")
        end = HEADER + self.setting.size
        self._words = out, incoming, sent, taken, received, released

        def send(message: bytes) -> None:
            while taken[0] != sent[0]:
                pass
            out[HEADER:end] = message
            sent[0] += 1

        def receive(_: int) -> bytes:
            while received[0] == released[0]:
                pass
            message = bytes(incoming[HEADER:end])
            released[0] += 1
            return message

        return send, receive

    def in_place(self) -> driver.InPlace:  # noqa: D102
        out, incoming, sent, taken, received, released = self._words
        end = HEADER + self.setting.size

        def reserve(_: int) -> memoryview:
            while taken[0] != sent[0]:
                pass
            return out[HEADER:end]

        def commit() -> None:
            sent[0] += 1

        def acquire(_: int) -> memoryview:
            while received[0] == released[0]:
                pass
            return incoming[HEADER:end]

        def release() -> None:
            released[0] += 1

        return driver.InPlace(reserve, commit, acquire, release)
