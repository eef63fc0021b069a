#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Print what the processes of workers.py log, until the last of them has left.

collector/ is the same in Rust.
"""

import argparse
import contextlib
import logging
import sys
from collections.abc import Iterator

from tachyon import Bus, ClosedError, Event, EventKind, Role

SOCKET = "/tmp/tachyon_logs.sock"
CAPACITY = 1 << 16  # bytes of the ring of each process
MAX_PROCESSES = 256
LOOK_SECONDS = 0.1  # for how long it may go unnoticed that the last one has left


def what_has_happened(bus: Bus) -> Iterator[Event]:
    with contextlib.suppress(TimeoutError):  # nothing more
        while True:
            yield bus.accept(timeout=0)


class Processes:
    """Those who log, by number."""

    def __init__(self) -> None:
        self.names: dict[int, str] = {}
        self.came = 0

    def update(self, bus: Bus) -> None:
        """Take what has happened to them.

        Whoever has sent something is known afterwards; whoever has left has nothing
        more to say.
        """
        for event in what_has_happened(bus):
            if event.kind is EventKind.JOINED:
                self.came += 1
                self.names[event.peer] = event.name
            elif event.kind is EventKind.LEFT:
                name = self.names.pop(event.peer)
                if event.reason is not ClosedError:
                    print(f"collector: {name} has died", file=sys.stderr)

    def all_have_left(self) -> bool:
        return self.came > 0 and not self.names


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--socket", default=SOCKET, metavar="PATH")
    args = parser.parse_args()

    processes, records = Processes(), 0
    with Bus.listen(
        args.socket, CAPACITY, role=Role.CONSUMER, max_peers=MAX_PROCESSES
    ) as bus:
        while not processes.all_have_left():
            try:
                level, _, text = bus.recv(timeout=LOOK_SECONDS)
            except TimeoutError:
                sys.stdout.flush()
                processes.update(bus)
                continue
            sender = bus.sender
            if sender not in processes.names:
                processes.update(bus)
            print(processes.names[sender], logging.getLevelName(level), text.decode())
            records += 1
    print(f"{records} records of {processes.came} processes")


if __name__ == "__main__":
    main()
