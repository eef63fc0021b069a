# SPDX-License-Identifier: Apache-2.0
"""tachyon echo: answers each call with itself."""

from __future__ import annotations

import click

from tachyon import ClosedError, RpcBus

from .ending import CANNOT_OPEN, Ended
from .endpoint import Seconds, Size, at_most


@click.command()
@click.argument("path")
@click.option(
    "--capacity", type=Size(), default="1M", show_default=True,
    help="Bytes of each of the two rings, a power of two.",
)  # fmt: skip
@at_most
@click.option(
    "--timeout", type=Seconds(0), metavar="SECONDS",
    help="Wait no longer for a caller, and for the next call.",
)  # fmt: skip
def echo(path: str, capacity: int, count: int | None, timeout: float | None) -> None:
    """Listen at PATH for one caller and answer each call with itself.

    Ends when the caller closes. `tachyon bench PATH` measures how long a call takes.
    """
    try:
        bus = RpcBus.rpc_listen(path, capacity, capacity, timeout=timeout)
    except (ConnectionError, PermissionError, TimeoutError) as error:
        raise Ended(CANNOT_OPEN, f"{path}: {error}") from error
    with bus:
        done = 0
        while count is None or done < count:
            try:
                with bus.serve(timeout=timeout) as call:
                    number, kind = call.correlation_id, call.type_id
                    data = bytes(call)
                bus.reply(number, data, kind)
            except ClosedError:
                break
            done += 1
