# SPDX-License-Identifier: Apache-2.0
"""Servers and clients in both languages, one of which is killed."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from client import Tickets
from tickets import Ticket

from tachyon import MSG_TYPE_ERROR, PeerDeadError, RpcBus

from conftest import Program, Start, wait_until_listening

HERE = Path(__file__).resolve().parent
NEVER_ENDING = 10**12

SERVERS = {"Python": HERE / "server.py", "C": os.environ["TICKET_SERVER"]}
CLIENTS = {"Python": HERE / "client.py", "C": os.environ["TICKET_CLIENT"]}

Serve = Callable[[int], Program]
Draw = Callable[[str, int, str], Program]


@pytest.fixture(params=SERVERS)
def serve(request: pytest.FixtureRequest, start: Start, socket: Path) -> Serve:
    """Return a function that starts a server, which ends after so many clients."""

    def serve(clients: int) -> Program:
        program = SERVERS[request.param]
        if request.param == "C":
            return start(program, socket, clients)
        return start(program, "--socket", socket, "--clients", clients)

    return serve


@pytest.fixture
def draw(start: Start, socket: Path) -> Draw:
    """Return a function that starts a client of a language."""

    def draw(language: str, calls: int, name: str) -> Program:
        program = CLIENTS[language]
        if language == "C":
            return start(program, socket, calls, name)
        return start(program, "--socket", socket, "--calls", calls, "--name", name)

    return draw


def tickets_of(line: str) -> tuple[int, int]:
    """Return how many tickets a client has drawn, and their sum."""
    found = re.fullmatch(r"\S+: (\d+) tickets, sum (\d+), \d+ calls/s\n", line)
    assert found is not None, line
    return int(found[1]), int(found[2])


def test_no_ticket_is_lost_or_given_twice(serve: Serve, draw: Draw) -> None:
    server = serve(4)
    clients = [
        draw(language, calls, f"{language}-{calls}")
        for language in CLIENTS
        for calls in (1, 5_000)
    ]
    drawn = [tickets_of(client.output()) for client in clients]
    assert [count for count, _ in drawn] == [1, 5_000] * 2
    total = 10_002
    assert sum(of_one for _, of_one in drawn) == total * (total + 1) // 2
    out = server.output()
    assert out.endswith(f"{total} tickets\n")
    for language in CLIENTS:
        assert f"{language}-5000 is here\n" in out
        assert re.search(f"{language}-5000 has left: .*CLOSED", out, re.IGNORECASE)


@pytest.mark.parametrize("language", CLIENTS)
def test_the_others_go_on_when_one_client_is_killed(
    serve: Serve, draw: Draw, language: str
) -> None:
    server = serve(4)
    victim = draw(language, NEVER_ENDING, "victim")
    assert server.process.stdout is not None
    assert server.process.stdout.readline() == "victim is here\n"
    clients = [draw(other, 20_000, f"other-{other}") for other in CLIENTS]
    clients.append(draw("Python", 20_000, "third"))
    victim.kill()
    assert [tickets_of(client.output())[0] for client in clients] == [20_000] * 3
    out = server.output()
    assert re.search(r"victim has left: .*PEER_?DEAD", out, re.IGNORECASE)
    assert int(re.findall(r"(\d+) tickets\n", out)[0]) >= 60_000


@pytest.mark.parametrize("language", CLIENTS)
def test_the_death_of_the_server_ends_every_client(
    serve: Serve, draw: Draw, language: str
) -> None:
    server = serve(0)
    clients = [draw(language, NEVER_ENDING, f"client-{i}") for i in range(2)]
    assert server.process.stdout is not None
    for _ in clients:
        assert server.process.stdout.readline().endswith(" is here\n")
    server.kill()
    for client in clients:
        status, out, err = client.finish()
        assert (status, out) == (1, "")
        assert re.search("peer.*died", err)


def test_replies_are_the_calls_own_however_many_clients_one_process_has(
    serve: Serve, socket: Path
) -> None:
    server = serve(3)
    wait_until_listening(socket)
    clients = [RpcBus.rpc_connect(socket, timeout=10) for _ in range(3)]
    calls = [
        (rpc, number, rpc.call(Ticket(number), Ticket.type_id))
        for number in range(50)
        for rpc in clients
    ]
    drawn = []
    for rpc, number, call in reversed(calls):
        with rpc.wait(call) as reply:
            ticket = Ticket.from_bytes(reply)
        assert ticket.number == number
        drawn.append(ticket.ticket)
    assert sorted(drawn) == list(range(1, 151))
    for rpc in clients:
        rpc.close()
    assert server.output().endswith("150 tickets\n")


@pytest.mark.parametrize(
    "request_", [(Ticket.type_id + 1, bytes(16)), (Ticket.type_id, b"short")]
)
def test_what_is_no_call_is_refused_and_the_next_answered(
    serve: Serve, socket: Path, request_: tuple[int, bytes]
) -> None:
    server = serve(1)
    wait_until_listening(socket)
    msg_type, body = request_
    with RpcBus.rpc_connect(socket, timeout=10) as rpc:
        with rpc.wait(rpc.call(body, msg_type)) as reply:
            assert reply.type_id == MSG_TYPE_ERROR
            assert bytes(reply) == msg_type.to_bytes(2, "big")
        tickets = Tickets(rpc)
        tickets.draw(100)
        assert tickets.sum == 5_050
    status, out, _ = server.finish()
    assert (status, out.splitlines()[-1]) == (0, "100 tickets")


def test_a_call_that_the_server_cannot_answer_any_more_fails(
    serve: Serve, socket: Path
) -> None:
    server = serve(0)
    wait_until_listening(socket)
    with RpcBus.rpc_connect(socket, timeout=10) as rpc:
        Tickets(rpc).draw(10)
        server.kill()
        with pytest.raises(PeerDeadError):
            Tickets(rpc).draw(1_000_000)


@pytest.mark.parametrize("calls", ["0", "-1", "x", "1x", ""])
def test_a_number_that_is_none_is_refused(
    start: Start, socket: Path, calls: str
) -> None:
    status, out, err = start(CLIENTS["C"], socket, calls).finish()
    assert (status, out) == (2, "")
    assert err == f"client: {calls}: not a number of calls\n"


def test_a_number_of_clients_that_is_none_is_refused(
    start: Start, socket: Path
) -> None:
    status, out, err = start(SERVERS["C"], socket, "many").finish()
    assert (status, out) == (2, "")
    assert err.endswith('not "many"\n')
