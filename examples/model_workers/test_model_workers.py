# SPDX-License-Identifier: Apache-2.0
"""Each request has its own answer, whatever becomes of the others and of the worker."""

import asyncio
import re
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from client import Worker
from front import text_of
from model import DIMENSIONS, LONGEST, VOCABULARY, Model, Tokens, tokenize
from worker import REFUSED

from tachyon import PeerDeadError

from conftest import Start

FRONT = Path(__file__).resolve().parent / "front.py"
model = Model()


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(coroutine, 60))


def is_of(vector: Any, tokens: Tokens) -> bool:
    return np.allclose(vector, model.embed([tokens])[0], atol=1e-5)


def test_the_model_tells_texts_apart_and_knows_the_similar() -> None:
    first, second = tokenize(text_of(0)), tokenize(text_of(6))
    other = tokenize(text_of(3))
    rows = model.embed([first, second, other])
    assert rows.shape == (3, DIMENSIONS)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert rows[0] @ rows[1] > 0.7 > rows[0] @ rows[2] + 0.2
    assert not is_of(rows[0], second)
    assert is_of(rows[0], first)


def test_each_of_many_outstanding_requests_gets_its_own_answer() -> None:
    async def main() -> None:
        async with Worker() as worker:
            texts = [tokenize(text_of(number)) for number in range(300)]
            answers = await asyncio.gather(*map(worker.embed, texts))
            assert all(map(is_of, answers, texts))

    run(main())


def test_a_cancelled_request_is_dropped_and_no_other_is_concerned() -> None:
    async def main() -> None:
        async with Worker() as worker:
            texts = [tokenize(text_of(number)) for number in range(300)]
            tasks = [asyncio.create_task(worker.embed(text)) for text in texts]
            await asyncio.sleep(0)  # all of them are asked
            gone = [
                task for i, task in enumerate(tasks) if i % 3 == 1 and task.cancel()
            ]
            answers = await asyncio.gather(*tasks, return_exceptions=True)
            for i, answer in enumerate(answers):
                if tasks[i] in gone:
                    assert isinstance(answer, asyncio.CancelledError)
                else:
                    assert is_of(answer, texts[i])
            assert is_of(await worker.embed(texts[1]), texts[1])
            assert worker.bus is not None
            stats = worker.bus.stats()
            # All were asked; a reply that nobody awaits any more is dropped when it
            # comes. One that came before is not, nor the task cancelled that has it.
            assert (stats.calls, stats.outstanding) == (301, 0)
            assert 50 < stats.dropped <= len(gone) <= 100

    run(main())


def test_a_request_that_takes_too_long_is_given_up() -> None:
    async def main() -> None:
        async with Worker() as worker:
            assert worker.process is not None
            worker.process.send_signal(signal.SIGSTOP)
            with pytest.raises(TimeoutError):
                await worker.embed(tokenize("late"), 0.05)
            worker.process.send_signal(signal.SIGCONT)
            tokens = tokenize("in time")
            assert is_of(await worker.embed(tokens), tokens)

    run(main())


def test_a_killed_worker_is_an_error_for_those_that_wait_and_is_restarted() -> None:
    async def main() -> None:
        async with Worker() as worker:
            assert worker.process is not None
            worker.process.send_signal(signal.SIGSTOP)  # it answers none
            texts = [tokenize(text_of(number)) for number in range(50)]
            tasks = [asyncio.create_task(worker.embed(text)) for text in texts]
            await asyncio.sleep(0.05)
            worker.process.kill()
            for answer in await asyncio.gather(*tasks, return_exceptions=True):
                assert isinstance(answer, PeerDeadError)
            answers = await asyncio.gather(*map(worker.embed, texts))
            assert all(map(is_of, answers, texts))
            assert worker.started == 2

    run(main())


def test_a_start_that_is_given_up_leaves_nothing_behind() -> None:
    async def main() -> None:
        tokens = tokenize("first")
        worker = Worker()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(worker.embed(tokens), 0.05)
        async with worker:
            assert is_of(await worker.embed(tokens), tokens)
            assert worker.started == 2

    run(main())


def test_a_worker_that_cannot_start_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "worker.py"
    broken.write_text("raise SystemExit(3)\n")
    monkeypatch.setattr("client.WORKER", broken)

    async def main() -> None:
        with pytest.raises(RuntimeError, match="the worker ended with 3"):
            await Worker().embed(tokenize("a"))

    run(main())


@pytest.mark.parametrize(
    ("tokens", "cause"),
    [
        ([], "a text of 0 tokens"),
        ([1] * (LONGEST + 1), "a text of 4097 tokens, not of 1 to 4096"),
        ([0, VOCABULARY], "token 4096 of a vocabulary of 4096"),
    ],
)
def test_what_is_no_text_is_refused_and_the_others_are_answered(
    tokens: list[int], cause: str
) -> None:
    async def main() -> None:
        async with Worker() as worker:
            good = [tokenize("before"), tokenize("after")]
            answers = await asyncio.gather(
                worker.embed(good[0]),
                worker.embed(np.array(tokens, np.uint32)),
                worker.embed(good[1]),
                return_exceptions=True,
            )
            assert is_of(answers[0], good[0])
            assert is_of(answers[2], good[1])
            assert isinstance(answers[1], ValueError)
            assert cause in str(answers[1])
            assert worker.bus is not None
            for data, type_id in ((b"odd", 1), (b"what", 9)):
                reply = await worker.bus.call_async(data, type_id)
                assert reply.type_id == REFUSED

    run(main())


@pytest.mark.parametrize(("options", "workers"), [((), 1), (("--kill",), 2)])
def test_the_front(start: Start, options: tuple[str, ...], workers: int) -> None:
    out = start(FRONT, "--requests", 400, "--rate", 800, *options).output()
    match = re.fullmatch(
        r"400 requests: (\d+) answered, (\d+) cancelled, (\d+) lost with a worker; "
        rf"workers: {workers}\n"
        r"latency: p50 \d+\.\d\d ms, p99 \d+\.\d\d ms\n"
        r"nearest to 'share prices': 'the price of a share, note \d+'\n",
        out,
    )
    assert match is not None, out
    answered, cancelled, lost = map(int, match.groups())
    assert answered + cancelled + lost == 400
    assert 0 < cancelled <= 40  # an answer may have come before
    assert lost == 0 if workers == 1 else answered > 100
