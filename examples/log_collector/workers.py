#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Run worker processes whose logging goes to the collector.

Logging is set up once, as in any program; each process that logs has a bus of its own,
whether it was spawned or forked.
"""

import argparse
import logging
import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence

from tachyon import Bus, Role

SOCKET = "/tmp/tachyon_logs.sock"


class BusHandler(logging.Handler):
    """Sends each record to the collector: its text, with its level as the type.

    A handler lets one thread at a time in, which is what a bus asks for.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path
        self._bus: Bus | None = None
        self._pid = 0

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if self._pid != os.getpid():  # the first record of this process
                self._connect()
            assert self._bus is not None
            self._bus.send(self.format(record).encode(), record.levelno, timeout=10)
        except Exception:
            self.handleError(record)

    def _connect(self) -> None:
        self._bus = Bus.connect(
            self._path,
            role=Role.PRODUCER,
            name=multiprocessing.current_process().name,
            timeout=60,
        )
        self._pid = os.getpid()

    def close(self) -> None:
        if self._bus is not None and self._pid == os.getpid():
            self._bus.close()
        super().close()


def log_to(path: str) -> None:
    handlers = [BusHandler(path)]
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=handlers)


def work(path: str, records: int, kill_at: int | None) -> None:
    log_to(path)  # in a forked process it is done already, and this does nothing
    for step in range(records):
        if step == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        level = logging.WARNING if step % 100 == 99 else logging.INFO
        logging.log(level, "step %d", step)
    logging.shutdown()  # multiprocessing does not call it


def run(args: argparse.Namespace) -> None:
    log_to(args.socket)
    logging.info("starting %d workers by %s", args.workers, args.method)
    context = multiprocessing.get_context(args.method)
    workers = [
        context.Process(
            target=work,
            args=(args.socket, args.records, None if number else args.kill_at),
            name=f"worker-{number}",
        )
        for number in range(args.workers)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for worker in workers:
        if worker.exitcode != 0:
            logging.error("%s ended with %d", worker.name, worker.exitcode)
    logging.info("all workers have ended")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--socket", default=SOCKET, metavar="PATH")
    parser.add_argument("--workers", type=int, default=8, metavar="N")
    parser.add_argument("--records", type=int, default=1000, metavar="N")
    parser.add_argument("--method", choices=("spawn", "fork"), default="spawn")
    parser.add_argument(
        "--kill-at",
        type=int,
        metavar="N",
        help="the first worker is killed (SIGKILL) after so many records",
    )
    args = parser.parse_args(argv)
    run(args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
