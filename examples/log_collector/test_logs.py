# SPDX-License-Identifier: Apache-2.0
"""Workers that are spawned or forked, and both collectors: the same output."""

import os
from collections import defaultdict
from pathlib import Path

import pytest

from conftest import Program, Start, wait_until_listening

HERE = Path(__file__).resolve().parent
COLLECTORS = {"python": HERE / "collector.py", "rust": os.environ["LOG_COLLECTOR"]}
WORKERS = 4


class Logs:
    """A collector, and the workers that log to it."""

    def __init__(self, start: Start, socket: Path) -> None:
        self._start = start
        self._socket = socket

    def collect(self, collector: str) -> Program:
        program = self._start(COLLECTORS[collector], "--socket", self._socket)
        wait_until_listening(self._socket)
        return program

    def work(self, *options: object) -> Program:
        command = (HERE / "workers.py", "--socket", self._socket, "--workers", WORKERS)
        return self._start(*command, *options)


@pytest.fixture
def logs(start: Start, socket: Path) -> Logs:
    return Logs(start, socket)


def by_process(lines: list[str]) -> dict[str, list[str]]:
    """Return what each process has logged, in the order in which it came."""
    found = defaultdict(list)
    for line in lines:
        name, record = line.split(maxsplit=1)
        found[name].append(record)
    return found


def steps(count: int) -> list[str]:
    return [
        f"{'WARNING' if step % 100 == 99 else 'INFO'} step {step}"
        for step in range(count)
    ]


@pytest.mark.parametrize("method", ["spawn", "fork"])
@pytest.mark.parametrize("collector", COLLECTORS)
def test_the_records_of_each_worker_arrive_in_order(
    logs: Logs, collector: str, method: str
) -> None:
    program = logs.collect(collector)
    workers = logs.work("--method", method, "--records", 2_000)
    *lines, last = program.output().splitlines()
    assert workers.output() == ""
    assert last == f"{WORKERS * 2_000 + 2} records of {WORKERS + 1} processes"
    assert by_process(lines) == {
        "MainProcess": [
            f"INFO starting {WORKERS} workers by {method}",
            "INFO all workers have ended",
        ],
        **{f"worker-{number}": steps(2_000) for number in range(WORKERS)},
    }


@pytest.mark.parametrize("method", ["spawn", "fork"])
@pytest.mark.parametrize("collector", COLLECTORS)
def test_the_last_records_of_a_killed_worker_are_there(
    logs: Logs, collector: str, method: str
) -> None:
    program = logs.collect(collector)
    workers = logs.work("--method", method, "--records", 1_000, "--kill-at", 777)
    status, out, err = program.finish()
    assert workers.output() == ""
    assert (status, err) == (0, "collector: worker-0 has died\n")
    *lines, last = out.splitlines()
    assert last == f"{WORKERS * 1_000 - 223 + 3} records of {WORKERS + 1} processes"
    found = by_process(lines)
    assert found["worker-0"] == steps(777)
    assert all(found[f"worker-{n}"] == steps(1_000) for n in range(1, WORKERS))
    assert found["MainProcess"][1:] == [
        "ERROR worker-0 ended with -9",
        "INFO all workers have ended",
    ]
