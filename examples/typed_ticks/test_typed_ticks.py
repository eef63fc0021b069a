# SPDX-License-Identifier: Apache-2.0
"""Every sender with every receiver, and with programs of another header."""

import os
import re
from pathlib import Path

import pytest

from conftest import Start, wait_until_connected, wait_until_listening

HERE = Path(__file__).resolve().parent
SENDERS = {
    "python": (HERE / "send.py",),
    "python-place": (HERE / "send.py", "--how", "place"),
    "rust": (os.environ["TICKS_SEND"],),
}
RECEIVERS = {"python": HERE / "receive.py", "rust": os.environ["TICKS_RECEIVE"]}
NEWER = HERE / "newer.py"
NEVER_ENDING = 10**12
RATE = r", \d+\.\d\d M ticks/s\n"
MISFIT = "Tick.quantity: u{} at 24 here, u{} at 24 at the peer"


@pytest.mark.parametrize("receiver", RECEIVERS)
@pytest.mark.parametrize("sender", SENDERS)
def test_every_tick_arrives(
    start: Start, socket: Path, sender: str, receiver: str
) -> None:
    received = start(RECEIVERS[receiver], "--socket", socket)
    sent = start(*SENDERS[sender], "--socket", socket, "--count", 100_001)
    ticks = re.fullmatch(
        rf"sent: (100,001 ticks of [\d,]+ shares){RATE}", sent.output()
    )
    assert ticks is not None
    out = received.output()
    assert re.fullmatch(rf"received: {ticks[1]}{RATE}last: MSFT BID [\d.]+\n", out), out


@pytest.mark.parametrize("receiver", RECEIVERS)
@pytest.mark.parametrize("sender", SENDERS)
def test_fields_are_what_was_in_the_file(
    start: Start, socket: Path, tmp_path: Path, sender: str, receiver: str
) -> None:
    quotes = tmp_path / "quotes.csv"
    quotes.write_text(
        "date,symbol,side,price,quantity\n2026-01-02,EIGHTLNG,ask,0.1,4294967295\n"
    )
    received = start(RECEIVERS[receiver], "--socket", socket)
    start(*SENDERS[sender], "--socket", socket, "--count", 2, "--input", quotes)
    first, last = received.output().splitlines()
    assert first.startswith("received: 2 ticks of 8,589,934,590 shares, ")
    assert last == "last: EIGHTLNG ASK 0.1"


@pytest.mark.parametrize("receiver", RECEIVERS)
def test_an_old_receiver_reads_what_it_knows_of_a_newer_tick(
    start: Start, socket: Path, receiver: str
) -> None:
    received = start(RECEIVERS[receiver], "--socket", socket)
    newer = start(NEWER, "--socket", socket, "--count", 1000)
    assert newer.output() == "sent: 1000 ticks\n"
    first, last = received.output().splitlines()
    assert first.startswith("received: 1,000 ticks of 499,500 shares, ")
    assert last == "last: AAPL BID 189.5"


@pytest.mark.parametrize("sender", SENDERS)
def test_a_newer_receiver_sees_zero_in_an_old_tick(
    start: Start, socket: Path, sender: str
) -> None:
    newer = start(NEWER, "--socket", socket, "--receive")
    start(*SENDERS[sender], "--socket", socket, "--count", 1000)
    assert newer.output() == "received: 1000 ticks, venues: none\n"


def test_a_newer_receiver_has_the_field_of_a_newer_sender(
    start: Start, socket: Path
) -> None:
    newer = start(NEWER, "--socket", socket, "--receive")
    start(NEWER, "--socket", socket, "--count", 10)
    assert newer.output() == "received: 10 ticks, venues: XNAS\n"


@pytest.mark.parametrize("receiver", RECEIVERS)
def test_a_retyped_field_is_refused_by_name(
    start: Start, socket: Path, receiver: str
) -> None:
    received = start(RECEIVERS[receiver], "--socket", socket)
    wait_until_listening(socket)
    status, out, err = start(NEWER, "--socket", socket, "--retyped").finish()
    assert (status, out) == (1, "")
    assert MISFIT.format(64, 32) in err
    # The receiver goes on listening, and what fits comes through.
    start(NEWER, "--socket", socket, "--count", 1)
    assert received.output().startswith("received: 1 ticks of 0 shares, ")


@pytest.mark.parametrize("victim", ["send", "receive"])
@pytest.mark.parametrize("receiver", RECEIVERS)
@pytest.mark.parametrize("sender", SENDERS)
def test_the_death_of_one_ends_the_other(
    start: Start, socket: Path, sender: str, receiver: str, victim: str
) -> None:
    programs = {"receive": start(RECEIVERS[receiver], "--socket", socket)}
    wait_until_listening(socket)
    programs["send"] = start(
        *SENDERS[sender], "--socket", socket, "--count", NEVER_ENDING
    )
    wait_until_connected(socket)
    programs.pop(victim).kill()
    ((survivor, program),) = programs.items()
    status, out, err = program.finish()
    assert (status, out) == (1, "")
    assert re.match(rf"{survivor}: .*peer.*died", err)


@pytest.mark.parametrize("sender", SENDERS)
def test_a_broken_row_is_not_sent(
    start: Start, socket: Path, tmp_path: Path, sender: str
) -> None:
    quotes = tmp_path / "quotes.csv"
    quotes.write_text("date,symbol,side,price,quantity\n2026-01-02,AAPL,buy,1,2\n")
    program = start(*SENDERS[sender], "--socket", socket, "--input", quotes)
    status, out, err = program.finish()
    assert (status, out) == (1, "")
    assert err.startswith("send: ")
    assert "buy" in err.lower()
