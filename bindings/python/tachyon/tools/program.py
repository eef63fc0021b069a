# SPDX-License-Identifier: Apache-2.0
"""All commands in one."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import Any

import click

import tachyon

from .bench import bench
from .bridge import bridge
from .doctor import doctor
from .echo import echo
from .ending import Ended
from .export import export
from .list import list_
from .manual import manual
from .play import play
from .record import record
from .recv import recv
from .send import send
from .top import top


@contextlib.contextmanager
def ending() -> Iterator[None]:
    """Say how Ctrl-C and a broken pipe end."""
    try:
        yield
    except KeyboardInterrupt:
        raise Ended(128 + signal.SIGINT, "") from None
    except BrokenPipeError:
        raise Ended(128 + signal.SIGPIPE, "") from None


class Program(click.Group):
    """A group that says itself how Ctrl-C and a broken pipe end, not click."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line; --help and --version are written here."""
        with ending():
            rest: list[str] = super().parse_args(ctx, args)
            return rest

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with ending():
            return super().invoke(ctx)


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(tachyon.__version__, prog_name="tachyon")
def program() -> None:
    """Messages between processes of one machine, from the shell."""


for command in (
    send, recv, echo, bench, record, play, export, bridge, list_, top, doctor, manual,
):  # fmt: skip
    program.add_command(command)
