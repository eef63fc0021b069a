# SPDX-License-Identifier: Apache-2.0
"""Both programs in their own processes."""

import re
from pathlib import Path

import pytest

from tachyon import Bus

from conftest import Start, wait_until_connected, wait_until_listening

HERE = Path(__file__).resolve().parent
NEVER_ENDING = 10**12


@pytest.mark.parametrize("count", [0, 1, 200_000])
@pytest.mark.parametrize("names", [("producer", "consumer"), ("consumer", "producer")])
def test_every_number_arrives(
    start: Start, socket: Path, count: int, names: tuple[str, str]
) -> None:
    options = {"producer": ("--count", count), "consumer": ()}
    programs = {
        name: start(HERE / f"{name}.py", "--socket", socket, *options[name])
        for name in names
    }
    timing = r" messages in \d+\.\d{3} s, \d+\.\d\d M messages/s\n"
    assert re.fullmatch(f"sent: {count:,}{timing}", programs["producer"].output())
    assert re.fullmatch(f"received: {count:,}{timing}", programs["consumer"].output())


@pytest.mark.parametrize("victim", ["producer", "consumer"])
def test_the_death_of_one_ends_the_other(
    start: Start, socket: Path, victim: str
) -> None:
    programs = {"consumer": start(HERE / "consumer.py", "--socket", socket)}
    wait_until_listening(socket)
    programs["producer"] = start(
        HERE / "producer.py", "--socket", socket, "--count", NEVER_ENDING
    )
    wait_until_connected(socket)
    programs.pop(victim).kill()
    ((survivor, program),) = programs.items()
    status, out, err = program.finish()
    assert (status, out) == (1, "")
    assert re.match(f"{survivor}: .*peer.*died", err)


def test_a_consumer_notices_what_does_not_belong(start: Start, socket: Path) -> None:
    consumer = start(HERE / "consumer.py", "--socket", socket)
    with Bus.connect(socket, timeout=10) as bus:
        bus.send((7).to_bytes(8, "little"), type_id=1)
    assert consumer.finish() == (1, "", "consumer: 7 came where 0 was due\n")
