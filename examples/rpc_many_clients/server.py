#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The ticket office: one server for many clients, each call gets another ticket."""

import argparse
import contextlib
import itertools
import threading

from tickets import Ticket

from tachyon import EventKind, RpcBus, RpcDispatcher

CAPACITY = 1 << 16  # of each ring; every client has two
MAX_CLIENTS = 64

numbers = itertools.count(1)
office = RpcDispatcher()


@office.handler(Ticket.type_id)
def draw(request: memoryview) -> bytes:
    ticket = Ticket.from_bytes(request)
    ticket.ticket = next(numbers)
    return bytes(ticket)


def watch_clients(rpc: RpcBus, most: int) -> None:
    """Say who has come and gone; close when as many have gone."""
    gone = 0
    for event in rpc.events():
        if event.kind == EventKind.JOINED:
            print(f"{event.name} is here", flush=True)
        elif event.reason is not None:
            print(f"{event.name} has left: {event.reason.__name__}", flush=True)
            gone += 1
            if gone == most:
                rpc.close()  # ends serve_forever(), too


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--socket", default="/tmp/tachyon_tickets.sock", metavar="PATH")
    parser.add_argument(
        "--clients", type=int, default=0, metavar="N", help="end when N have gone"
    )
    args = parser.parse_args()
    with RpcBus.rpc_listen(
        args.socket, CAPACITY, CAPACITY, max_peers=MAX_CLIENTS, types=[Ticket]
    ) as rpc:
        watcher = threading.Thread(
            target=watch_clients, args=(rpc, args.clients), daemon=True
        )
        watcher.start()
        with contextlib.suppress(KeyboardInterrupt):
            office.serve_forever(rpc)
        rpc.close()
        watcher.join()
    print(f"{next(numbers) - 1} tickets")


if __name__ == "__main__":
    main()
