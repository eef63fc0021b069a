# SPDX-License-Identifier: Apache-2.0
"""iceoryx2 of PyPI: publish and subscribe in each direction, events for who sleeps."""

import ctypes
from pathlib import Path
from typing import Any

import driver
import iceoryx2 as iox2


class Adapter(driver.Link):
    def open(self, lead: bool) -> tuple[driver.Send, driver.Receive]:  # noqa: D102
        iox2.set_log_level(iox2.LogLevel.Error)
        self._node = node = iox2.NodeBuilder.new().create(iox2.ServiceType.Ipc)
        unique, size = Path(self.setting.directory).name, self.setting.size

        def builder(direction: str) -> Any:
            name = iox2.ServiceName.new(f"tachyon-bench/{unique}/{direction}")
            return node.service_builder(name)

        def messages(direction: str) -> Any:
            depth = min(self.setting.ring_bytes() // size, 4096)
            service = builder(direction).publish_subscribe(iox2.Slice[ctypes.c_uint8])
            service = service.enable_safe_overflow(False).max_publishers(1)
            service = service.subscriber_max_buffer_size(depth).max_subscribers(1)
            return service.open_or_create()

        names = ("forth", "back") if lead else ("back", "forth")
        out, incoming = map(messages, names)
        strategy = iox2.BackpressureStrategy.RetryUntilDelivered
        publisher = out.publisher_builder().initial_max_slice_len(size)
        publisher = publisher.backpressure_strategy(strategy).create()
        subscriber = incoming.subscriber_builder().create()
        asleep = self.setting.mode == driver.SLEEP
        events = [builder(name).event().open_or_create() for name in names if asleep]
        notifier = events[0].notifier_builder().create() if asleep else None
        listener = events[1].listener_builder().create() if asleep else None
        # Who publishes before there is a subscriber has published for nobody.
        while not out.dynamic_config.number_of_subscribers:
            pass
        while not incoming.dynamic_config.number_of_publishers:
            pass
        while asleep and not events[0].dynamic_config.number_of_listeners:
            pass
        self._ports = [publisher, subscriber, notifier, listener]
        self._kept = (out, incoming, events)

        def send(message: bytes) -> None:
            sample = publisher.loan_slice_uninit(len(message))
            ctypes.memmove(sample.payload_ptr, message, len(message))
            sample.assume_init().send()
            if notifier is not None:
                notifier.notify()

        def receive(size: int) -> bytes:
            while (sample := subscriber.receive()) is None:
                if listener is not None:
                    listener.blocking_wait()
            message = ctypes.string_at(sample.payload_ptr, size)
            sample.delete()
            return message

        return send, receive

    def in_place(self) -> driver.InPlace:  # noqa: D102
        publisher, subscriber, notifier, listener = self._ports
        held: Any = None

        def at(pointer: Any, size: int) -> Any:
            address = ctypes.cast(pointer, ctypes.c_void_p).value
            return (ctypes.c_uint8 * size).from_address(address)

        def reserve(size: int) -> Any:
            nonlocal held
            held = publisher.loan_slice_uninit(size)
            return at(held.payload_ptr, size)

        def commit() -> None:
            held.assume_init().send()
            if notifier is not None:
                notifier.notify()

        def acquire(size: int) -> Any:
            nonlocal held
            while (sample := subscriber.receive()) is None:
                if listener is not None:
                    listener.blocking_wait()
            held = sample
            return at(held.payload_ptr, size)

        return driver.InPlace(reserve, commit, acquire, lambda: held.delete())

    def close(self) -> None:  # noqa: D102
        for port in self._ports:
            if port is not None:
                port.delete()
        del self._kept, self._node
