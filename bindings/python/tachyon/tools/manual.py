# SPDX-License-Identifier: Apache-2.0
"""tachyon manual: the manual page, of what --help is written from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import click

import tachyon

from .ending import STATUSES

ENVIRONMENT = {
    "NO_COLOR": "If it is set and not empty, nothing is coloured.",
    "XDG_CACHE_HOME": "Where the zipapp unpacks itself; ~/.cache otherwise.",
}


@click.command()
@click.pass_context
def manual(ctx: Any) -> None:
    """Write the manual page: tachyon manual | man -l -."""
    print(page(ctx.find_root().command))


def page(program: Any) -> str:
    """Return the page of a program with its commands."""
    return "\n".join(_lines(program))


def quoted(text: str) -> str:
    """Return text as roff has it: hyphens as they are typed, no line a request."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.MULTILINE)


def _lines(program: Any) -> Iterator[str]:
    root = click.Context(program, info_name="tachyon")
    yield f'.TH TACHYON 1 "" "tachyon {tachyon.__version__}"'
    yield ".SH NAME"
    yield f"tachyon \\- {quoted(_first(program.help))}"
    yield ".SH SYNOPSIS"
    yield "\\fBtachyon\\fR \\fICOMMAND\\fR [\\fIARGUMENT\\fR...]"
    yield ".SH COMMANDS"
    for name in program.list_commands(root):
        command = program.get_command(root, name)
        ctx = click.Context(command, info_name=name, parent=root)
        usage = " ".join(command.collect_usage_pieces(ctx))
        yield f".SS \\fBtachyon {name}\\fR {quoted(usage)}"
        yield from _paragraphs(command.help or "")
        for parameter in command.params:
            words, text = parameter.get_help_record(ctx) or ("", "")
            if text:
                yield from (".TP", f"\\fB{quoted(words)}\\fR", quoted(text))
    yield ".SH EXIT STATUS"
    for status, text in STATUSES.items():
        yield from (".TP", str(status), quoted(text))
    yield ".SH ENVIRONMENT"
    for variable, text in ENVIRONMENT.items():
        yield from (".TP", f"\\fB{variable}\\fR", quoted(text))
    yield ".SH SHELL COMPLETION"
    yield quoted('eval "$(_TACHYON_COMPLETE=bash_source tachyon)"')
    yield quoted("in ~/.bashrc; zsh_source and fish_source are for other shells.")


def _first(text: str | None) -> str:
    """Return the first sentence, as a title."""
    return (text or "").strip().split("\n")[0].rstrip(".")


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        lines = [line.strip() for line in paragraph.splitlines() if line.strip()]
        yield from (".PP", *map(quoted, lines))
