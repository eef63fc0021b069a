#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Ask the model many questions at a time, some of which are given up; then look one up.

Requests come by a schedule, as from a network, and how long each takes counts from when
it was due.
"""

import argparse
import asyncio
import sys
import time
from dataclasses import dataclass, field

import numpy as np
from client import Worker
from model import Model, Vectors, tokenize

from tachyon import PeerDeadError

TOPICS = [
    *("a message is written once", "a ring between two processes"),
    *("the price of a share", "an order for a hundred shares"),
    *("rain in the afternoon", "a cold and windy morning"),
]


@dataclass
class Tally:
    """What has become of the requests."""

    vectors: dict[int, Vectors] = field(default_factory=dict)
    took: list[float] = field(default_factory=list)
    cancelled: int = 0
    lost: int = 0


def text_of(number: int) -> str:
    return f"{TOPICS[number % len(TOPICS)]}, note {number}"


async def ask(worker: Worker, number: int, due: float, tally: Tally) -> None:
    try:
        vector = await worker.embed(tokenize(text_of(number)))
    except asyncio.CancelledError:
        tally.cancelled += 1
        raise
    except PeerDeadError:
        tally.lost += 1
    else:
        tally.took.append(time.perf_counter() - due)
        tally.vectors[number] = vector


async def ask_all(args: argparse.Namespace, worker: Worker) -> Tally:
    """Ask by the schedule; give every tenth up, and kill the worker at half time."""
    tally, asked = Tally(), []
    start = time.perf_counter()
    for number in range(args.requests):
        due = start + number / args.rate
        await asyncio.sleep(max(due - time.perf_counter(), 0))
        task = asyncio.create_task(ask(worker, number, due, tally))
        asked.append(task)
        if args.cancel and number % args.cancel == args.cancel - 1:
            await asyncio.sleep(0)  # it is asked
            task.cancel()
        if args.kill and number == args.requests // 2 and worker.process is not None:
            worker.process.kill()
    await asyncio.gather(*asked, return_exceptions=True)
    for task in asked:
        if not task.cancelled():
            task.result()
    return tally


async def run(args: argparse.Namespace) -> None:
    async with Worker() as worker:
        tally = await ask_all(args, worker)
        numbers = sorted(tally.vectors)
        answers = np.stack([tally.vectors[number] for number in numbers])
        print(
            f"{args.requests} requests: {len(numbers)} answered, "
            f"{tally.cancelled} cancelled, {tally.lost} lost with a worker; "
            f"workers: {worker.started}"
        )
        p50, p99 = np.percentile(tally.took, [50, 99]) * 1e3
        print(f"latency: p50 {p50:.2f} ms, p99 {p99:.2f} ms")
        question = await worker.embed(tokenize(args.question))
        nearest = numbers[int(np.argmax(answers @ question))]
        print(f"nearest to {args.question!r}: {text_of(nearest)!r}")
    # Each has got its own: the same model, asked here.
    expected = Model().embed([tokenize(text_of(number)) for number in numbers])
    if not np.allclose(answers, expected, atol=1e-5):
        sys.exit("front: a request has another's answer")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=2000, metavar="N")
    parser.add_argument("--rate", type=float, default=500, metavar="N")
    parser.add_argument("--cancel", type=int, default=10, metavar="N")
    parser.add_argument("--kill", action="store_true")
    parser.add_argument("--question", default="share prices", metavar="TEXT")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
