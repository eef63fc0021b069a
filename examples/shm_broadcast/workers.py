#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A scheduler with four workers, one of which is killed at half time."""

import argparse
import multiprocessing
import sys
import time

import numpy as np
from message_queue import Handle, MessageQueue

from tachyon import ClosedError, PeerDeadError

WORKERS = 4
VICTIM = 2
CHUNK_BYTES = 1 << 20


def work(handle: Handle, rank: int) -> None:
    """Add up this worker's part of every array."""
    steps = total = 0
    with MessageQueue.create_from_handle(handle, rank) as queue:
        queue.wait_until_ready()
        try:
            while True:
                step = queue.dequeue()
                total += int(step["numbers"][rank::WORKERS].sum())
                steps += 1
        except (ClosedError, PeerDeadError) as end:
            sys.stdout.write(f"worker {rank}: {steps} steps, sum {total:,}: {end}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1_000, metavar="N")
    args = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    with MessageQueue(WORKERS, WORKERS, max_chunk_bytes=CHUNK_BYTES) as queue:
        workers = [
            context.Process(target=work, args=(queue.export_handle(), rank))
            for rank in range(WORKERS)
        ]
        for worker in workers:
            worker.start()
        queue.wait_until_ready()
        print(f"{WORKERS} workers are ready", flush=True)
        for number in range(args.steps):
            if number == args.steps // 2:
                queue.events()  # all have come
                workers[VICTIM].kill()
                workers[VICTIM].join()
            # Every hundredth is larger than a chunk and takes three.
            size = 300_000 if number % 100 == 99 else 1_000
            queue.enqueue({"step": number, "numbers": np.arange(size)})
        while not (events := queue.events()):  # one has gone, as the next step found
            time.sleep(0.001)
        for event in events:
            print(f"{event.name} has left: {event.reason.__name__}", flush=True)
    for worker in workers:
        worker.join()


if __name__ == "__main__":
    main()
