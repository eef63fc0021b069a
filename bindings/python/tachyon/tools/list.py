# SPDX-License-Identifier: Apache-2.0
"""tachyon list: all rings of this machine."""

from __future__ import annotations

import json
import sys

import click

from . import rings
from .ending import say
from .screen import Screen
from .table import table


@click.command("list")
@click.argument("part", default="", metavar="[PART]")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="One JSON document, with what the ends have counted.",
)
def list_(part: str, as_json: bool) -> None:
    """Show the rings of this machine: path, both ends, capacity, what is in them.

    With PART only those whose path contains it. Of other users' processes root alone
    sees them. What is in a ring is shown to whoever may trace one of its ends.
    """
    found, refused = rings.look(part)
    if as_json:
        print(json.dumps(rings.document(found, refused)))
    else:
        screen = Screen()
        screen.print(table(found, screen.width))
        sys.stdout.flush()
        if refused:
            say(f"processes that may not be looked at: {refused}; root sees more")
