# SPDX-License-Identifier: Apache-2.0
"""tachyon doctor: why a program cannot connect."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import click
from rich.text import Text

from .ending import CANNOT_OPEN, Ended
from .endpoint import Seconds
from .findings import BAD, GOOD, Finding
from .screen import Screen
from .symptoms import examine

STYLES = {GOOD: "green", BAD: "bold red"}


@click.command()
@click.argument("path")
@click.option(
    "--timeout", type=Seconds(0.1), default=2.0, show_default=True,
    metavar="SECONDS", help="Wait so long for an answer of the listener.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def doctor(path: str, timeout: float, as_json: bool) -> None:
    """Say why a program of ours cannot connect to PATH, and what to do.

    Each line is a finding: what was looked at, what it is, the way out. The listener
    is asked whether it would let us in, and its place is not taken. The exit status is
    0 if it would, else 3.
    """
    findings = list(examine(path, timeout))
    would_connect = all(finding.verdict != BAD for finding in findings)
    if as_json:
        document: dict[str, Any] = {
            "path": path,
            "would_connect": would_connect,
            "uid": os.geteuid(),
            "findings": [finding.as_json() for finding in findings],
        }
        print(json.dumps(document))
    else:
        screen = Screen()
        for finding in findings:
            screen.print(_line(finding), soft_wrap=True)
        sys.stdout.flush()
    if not would_connect:
        raise Ended(CANNOT_OPEN, "")


def _line(finding: Finding) -> Text:
    style = STYLES.get(finding.verdict, "yellow")
    verdict, subject = f"{finding.verdict:4} ", f"{finding.subject}: "
    return Text.assemble((verdict, style), (subject, "bold"), finding.text)
