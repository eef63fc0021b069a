# SPDX-License-Identifier: Apache-2.0
"""kickmsg of PyPI: a region with one publisher and one subscriber in each direction."""

import contextlib
from pathlib import Path
from typing import Any

import driver
import kickmsg

LEAST, MOST = 4, 4096  # slots
LOSES = "a reader that is too slow loses messages"


class Adapter(driver.Link):
    def open(self, lead: bool) -> tuple[driver.Send, driver.Receive]:  # noqa: D102
        setting = self.setting
        slots = max(LEAST, min(setting.ring_bytes() // setting.size, MOST))
        config = kickmsg.Config()
        config.max_subscribers = 1
        # No slot is another message's before it is read: the pool is used up first.
        config.pool_size, config.sub_ring_capacity = slots, 2 * slots
        config.max_payload_size = setting.size

        def region(name: str) -> Any:
            unique = f"/tachyon-bench-{Path(setting.directory).name}-{name}"
            if lead:
                errors = (RuntimeError,)
                return driver.until_there(
                    lambda: kickmsg.SharedRegion.open(unique), errors
                )
            kind = kickmsg.ChannelType.PubSub
            return kickmsg.SharedRegion.create(unique, kind, config, "bench")

        # A subscriber misses what is published while it is made. The second region is
        # there when that of the first one has been, and the lead sends first.
        forth = region("forth")
        subscriber = None if lead else kickmsg.Subscriber(forth)
        back = region("back")
        self.subscriber = subscriber = subscriber or kickmsg.Subscriber(back)
        out, incoming = (forth, back) if lead else (back, forth)
        self.publisher = publisher = kickmsg.Publisher(out)
        self._kept = out, incoming
        send_once, look = publisher.send, subscriber.try_receive

        def send(message: bytes) -> None:
            while True:
                try:
                    return send_once(message)
                except BlockingIOError:  # it has no call that waits for room
                    pass

        def spin(_: int) -> Any:
            while (message := look()) is None:
                if subscriber.lost:
                    raise driver.CannotError(LOSES)
            return message

        def wait(_: int) -> Any:
            while (message := subscriber.receive(1.0)) is None:
                if subscriber.lost:
                    raise driver.CannotError(LOSES)
            return message

        return send, spin if setting.mode == driver.SPIN else wait

    def in_place(self) -> driver.InPlace:  # noqa: D102
        held: Any = None

        def reserve(_: int) -> Any:
            nonlocal held
            while (held := self.publisher.allocate()) is None:
                pass
            return memoryview(held)

        def acquire(_: int) -> Any:
            nonlocal held
            while (held := self.subscriber.receive_view(1.0)) is None:
                if self.subscriber.lost:
                    raise driver.CannotError(LOSES)
            return memoryview(held)

        return driver.InPlace(
            reserve,
            lambda: held.publish(self.setting.size),
            acquire,
            lambda: held.release(),
        )

    def close(self) -> None:  # noqa: D102
        out, _ = self._kept
        with contextlib.suppress(OSError):
            out.unlink()
