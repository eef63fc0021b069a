#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draw tickets with many calls outstanding, and check each reply."""

import argparse
import sys
import time
from collections import deque

from tickets import Ticket

from tachyon import RpcBus, TachyonError

OUTSTANDING = 64


class Tickets:
    """A client at the office."""

    def __init__(self, rpc: RpcBus) -> None:
        self._rpc = rpc
        self._calls: deque[tuple[int, int]] = (
            deque()
        )  # number and id of the outstanding
        self.last = self.sum = 0

    def draw(self, count: int) -> None:
        """Draw so many, with as many calls outstanding as there may be."""
        for number in range(count):
            if len(self._calls) == OUTSTANDING:
                self._take_reply()
            call = self._rpc.call(Ticket(number), Ticket.type_id)
            self._calls.append((number, call))
        while self._calls:
            self._take_reply()

    def _take_reply(self) -> None:
        number, call = self._calls.popleft()
        with self._rpc.wait(call) as reply:
            if reply.type_id != Ticket.type_id:
                raise ValueError(f"call {number} was refused: {bytes(reply)!r}")
            ticket = Ticket.from_bytes(reply)
        if ticket.number != number or ticket.ticket <= self.last:
            raise ValueError(f"call {number} got {ticket} after {self.last}")
        self.last = ticket.ticket
        self.sum += ticket.ticket


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--socket", default="/tmp/tachyon_tickets.sock", metavar="PATH")
    parser.add_argument("--calls", type=int, default=100_000, metavar="N")
    parser.add_argument("--name", default="Python")
    args = parser.parse_args()
    try:
        # With a time-out it waits for the server to listen.
        with RpcBus.rpc_connect(
            args.socket, timeout=60, name=args.name, types=[Ticket]
        ) as rpc:
            tickets = Tickets(rpc)
            start = time.perf_counter()
            tickets.draw(args.calls)
            seconds = time.perf_counter() - start
    except (TachyonError, OSError, ValueError) as error:
        sys.exit(f"{args.name}: {error}")
    print(
        f"{args.name}: {args.calls} tickets, sum {tickets.sum}, "
        f"{args.calls / seconds:.0f} calls/s"
    )


if __name__ == "__main__":
    main()
