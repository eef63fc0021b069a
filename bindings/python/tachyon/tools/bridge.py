# SPDX-License-Identifier: Apache-2.0
"""tachyon bridge: a stream to, or from, other machines."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import click

from tachyon import Role

from . import network, typed
from .ending import CANNOT_OPEN, Ended, say
from .endpoint import OPTIONS, Endpoint, Seconds, Size, at_most
from .inbound import Inbound
from .outbound import Outbound, send_out
from .progress import Progress


def of_an_end(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give the command the options of an Endpoint, but for its path."""
    for decorate in reversed(OPTIONS[1:]):
        command = decorate(command)
    return command


@click.command()
@click.option(
    "--from", "source", required=True, metavar="WHERE",
    help="The path of a bus, or zenoh:KEY.",
)  # fmt: skip
@click.option(
    "--to", "target", required=True, metavar="WHERE", help="The other of the two."
)
@click.option(
    "--connect", multiple=True, metavar="PLACE",
    help="A router or a bridge, such as tcp/host:7447; several are possible.",
)  # fmt: skip
@click.option(
    "--listen-at", multiple=True, metavar="PLACE",
    help="Where others connect to, such as tcp/0.0.0.0:7447.",
)  # fmt: skip
@click.option(
    "--config", type=click.Path(exists=True, dir_okay=False), metavar="FILE",
    help="A configuration of Zenoh, for TLS, users, leases.",
)  # fmt: skip
@click.option(
    "--link-timeout", type=Seconds(0), default=10.0, show_default=True,
    metavar="SECONDS", help="Wait so long for a place to connect to; 0: for ever.",
)  # fmt: skip
@click.option(
    "--backpressure", type=click.Choice(["block", "drop"]), default="block",
    show_default=True,
    help="What happens where the next one has no room: wait, or drop and count.",
)  # fmt: skip
@click.option(
    "--samples", type=click.Choice(["batches", "messages"]), default="batches",
    show_default=True,
    help="What a sample of Zenoh is, with --to zenoh: many messages, or one, whose "
    "bytes are the payload, for subscribers that know nothing of Tachyon.",
)  # fmt: skip
@click.option(
    "--type", "kind", default="0", metavar="ID",
    help="With --from zenoh: type_id or name of messages that no bridge has sent.",
)  # fmt: skip
@click.option(
    "--window", type=Size(), default="4M", show_default=True,
    help="So many bytes are on their way, or wait here, before there is no room.",
)  # fmt: skip
@of_an_end
@at_most
@click.option(
    "--timeout", type=Seconds(0), metavar="SECONDS",
    help="End with status 4 when so long nothing comes.",
)  # fmt: skip
@click.option("--quiet", is_flag=True, help="Say nothing of what was carried.")
def bridge(
    source: str,
    target: str,
    connect: tuple[str, ...],
    listen_at: tuple[str, ...],
    config: str | None,
    link_timeout: float,
    backpressure: str,
    samples: str,
    kind: str,
    window: int,
    listen: bool,
    capacity: int,
    peers: int | None,
    connect_timeout: float,
    header: str | None,
    types: tuple[str, ...],
    count: int | None,
    timeout: float | None,
    quiet: bool,
) -> None:
    """Carry a stream to other machines by Zenoh, or from them into a bus.

    One of --from and --to is the path of a bus, the other zenoh:KEY. Programs at both
    ends are as they are without it. What is lost on the way is named on stderr.
    """
    outwards = target.startswith(network.SCHEME)
    if outwards == source.startswith(network.SCHEME):
        raise click.UsageError(
            "one of --from and --to is zenoh:KEY, the other a bus's path"
        )
    if peers is not None and not listen:
        raise click.UsageError("--peers goes with --listen")
    if window < 1:
        raise click.UsageError("--window is 1 or more")
    path = source if outwards else target
    keys = network.keys_of(target if outwards else source)
    declared = typed.from_options(header, types)
    endpoint = Endpoint(path, listen, capacity, peers, connect_timeout, declared)
    plain_type = declared.id_of(kind)
    way = network.Network(connect, listen_at, config, link_timeout)
    block = backpressure == "block"
    with contextlib.ExitStack() as stack:
        session = way.open()
        stack.callback(network.close, session)
        if outwards:
            refuse_second(session, keys, link_timeout)
            bus = stack.enter_context(endpoint.open(Role.CONSUMER))
        progress = stack.enter_context(Progress("carried", quiet))
        if not quiet:
            stack.callback(lambda: say(progress.line()))
        if outwards:
            single = samples == "messages"
            out = Outbound(session, keys, declared.text, block, single, window)
            stack.callback(out.close)
            try:
                send_out(bus, out, block, count, timeout, progress)
            except BaseException:
                out.give_up()
                raise
            out.verdict()
        else:
            with Inbound(
                session, keys, endpoint, plain_type, block, window, progress
            ) as into:
                into.receive(count, timeout)
            into.verdict()


def refuse_second(session: Any, keys: network.Keys, patience: float) -> None:
    """Let no second bridge send to a key.

    One that died without a word, with its machine or its link, is there until its lease
    is over: so long this waits.
    """
    until = time.monotonic() + patience
    while there := [reply for reply in session.liveliness().get(keys.senders, timeout=5)
                    if reply.ok is not None]:  # fmt: skip
        if time.monotonic() >= until:
            name = str(there[0].ok.key_expr).rpartition("/")[2]
            raise Ended(
                CANNOT_OPEN,
                f"zenoh:{keys.data} has a bridge already, with stream {name}; end that "
                f"one, or choose another key",
            )
        time.sleep(0.2)
