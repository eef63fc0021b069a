# SPDX-License-Identifier: Apache-2.0
"""What ping_pong prints, and what becomes of one process when the other dies."""

import os
import re
import signal
from pathlib import Path

import pytest

from conftest import Start

PING_PONG = os.environ["PING_PONG"]

if len(os.sched_getaffinity(0)) < 2:
    pytest.skip("needs two cores", allow_module_level=True)


def numbers(report: str, title: str) -> list[list[int]]:
    """Return the percentiles in each line of that title."""
    return [
        [int(number) for number in line.split()]
        for line in re.findall(rf"^  {title} +([\d ]+)$", report, re.MULTILINE)
    ]


@pytest.mark.parametrize(
    ("bound", "regime"), [(1, "far"), (1_000_000, "near")], ids=["far", "near"]
)
def test_percentiles_are_ordered_and_the_ratio_is_theirs(
    start: Start, bound: int, regime: str
) -> None:
    report = start(PING_PONG, "-r", 3, "-n", 2_000, "-b", bound).output()
    assert report.startswith("32 bytes between cores ")
    assert f"\ncores {regime}, 3 rounds\n" in report
    (line,), (messages,) = numbers(report, "raw line"), numbers(report, "tachyon")
    for percentiles in (line, messages):
        assert len(percentiles) == 5
        assert percentiles == sorted(percentiles)
        assert percentiles[0] > 0
    found = re.search(r": (\d+\.\d\d) \((\d+\.\d\d) to (\d+\.\d\d)\)\n$", report)
    assert found is not None
    median, least, most = (float(group) for group in found.groups())
    assert least <= median <= most
    # Each round's line is nearly that of all rounds, if the machine kept still.
    assert 0.2 < median / (messages[0] / line[0]) < 5


def test_rounds_in_which_the_cores_moved_are_counted(start: Start) -> None:
    report = start(PING_PONG, "-r", 7, "-n", 500).output()
    shown = [int(n) for n in re.findall(r"^cores \w+, (\d+) round", report, re.M)]
    left_out = [int(n) for n in re.findall(r"^left out: (\d+)", report, re.M)]
    assert sum(shown + left_out) == 7


@pytest.mark.parametrize("victim", ["ping", "pong"])
def test_the_death_of_one_ends_the_other(start: Start, victim: str) -> None:
    program = start(PING_PONG, "-r", 1_000, "-n", 100_000)
    assert program.process.stdout is not None
    program.process.stdout.readline()  # printed as soon as both are connected
    ping = program.process.pid
    pong = int(Path(f"/proc/{ping}/task/{ping}/children").read_text())
    os.kill(ping if victim == "ping" else pong, signal.SIGKILL)
    status, _, err = program.finish()  # which waits until both have closed stderr
    assert status == (-signal.SIGKILL if victim == "ping" else 1)
    survivor = "pong" if victim == "ping" else "ping"
    assert re.match(f"{survivor}: .*peer", err)


@pytest.mark.parametrize("option", ["-b", "-n", "-r"])
@pytest.mark.parametrize("value", ["0", "-1", "1000001", "x", "1x", ""])
def test_a_number_out_of_range_is_refused(
    start: Start, option: str, value: str
) -> None:
    status, out, err = start(PING_PONG, option, value).finish()
    assert (status, out) == (2, "")
    assert f"{option} {value}: not a number from 1 to 1000000" in err
