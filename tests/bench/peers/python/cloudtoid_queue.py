# SPDX-License-Identifier: Apache-2.0
"""cloudtoid-interprocess of PyPI: a queue of bytes in each direction."""

from pathlib import Path
from typing import Any

import driver
from cloudtoid_interprocess import Publisher, Subscriber


class Adapter(driver.Link):
    def open(self, lead: bool) -> tuple[driver.Send, driver.Receive]:  # noqa: D102
        unique = Path(self.setting.directory).name
        names = [f"tachyon-bench-{unique}-{name}" for name in ("forth", "back")]
        out, incoming = names if lead else names[::-1]
        # Each message has a header, and lies without a gap.
        capacity = self.setting.ring_bytes()
        self.out = Publisher(out, capacity, self.setting.directory)
        self.incoming = Subscriber(incoming, capacity, self.setting.directory)
        try_send, try_receive = self.out.try_send, self.incoming.try_receive
        receive = self.incoming.receive

        def send(message: bytes) -> None:
            while not try_send(message):  # it has no call that waits for room
                pass

        def look(_: int) -> bytes:
            while (message := try_receive()) is None:
                pass
            return message

        if self.setting.mode == driver.SPIN:
            return send, look
        return send, lambda _: receive()

    def batches(self) -> Any:  # noqa: D102
        try_send, receive = self.out.try_send_batch, self.incoming.receive

        def send(several: list[bytes]) -> None:
            sent = 0
            while sent < len(several):
                sent += try_send(several[sent:] if sent else several)

        def one(_: int) -> int:
            return 1 if receive() is not None else 0

        return send, one

    def close(self) -> None:  # noqa: D102
        self.out.close()
        self.incoming.close()
