# SPDX-License-Identifier: Apache-2.0
"""The programs in the Markdown pages, and how they are run.

A comment before a block gives the program a name and says how it is tried:

    <!-- program: receive.py -->
    <!-- program: send.py, with receive.py or receive.rs -->
    <!-- program: browser.py, with ticks.py and web.py -->
    <!-- program: serve.py, until interrupted -->
    <!-- program: build.sh -->

A program is run with those that it names, once for each "or", all as they are written,
in a directory of their own; one that is nobody's partner is run alone. All must end
with status 0, one "until interrupted" by Ctrl-C after the others. Those that listen
start first. A script finds the programs of its page as files.

What is changed is only what two tests at once would share: /tmp and port 8000.
"""

import re
from dataclasses import dataclass
from pathlib import Path

BLOCK = re.compile(
    r"(?:^<!-- program: (?P<note>[^\n]*?) -->\n)?"
    r"^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.M | re.S,
)
NOTE = re.compile(
    r"(?P<name>[\w.]+)(?P<interrupt>, until interrupted)?(?:, with (?P<partners>.+))?"
)
PROGRAMS = {
    "python": "py",
    "rust": "rs",
    "c": "c",
    "cpp": "cpp",
}  # all must have a name


@dataclass
class Block:
    """A fenced block of a page; without a name it is no program that is run."""

    page: Path
    line: int
    language: str
    text: str
    name: str = ""
    partners: tuple[tuple[str, ...], ...] = ()  # of each run
    interrupt: bool = False

    @property
    def listens(self) -> bool:
        """Whether others can connect to it."""
        return re.search(r"listen|bind\(|start_server", self.text) is not None

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    found = []
    for match in BLOCK.finditer(text):
        block = Block(
            page,
            text.count("\n", 0, match.start("text")),
            match["language"],
            match["text"],
        )
        if match["note"] is not None:
            note = NOTE.fullmatch(match["note"])
            if note is None:
                raise ValueError(f"{block}: {match['note']!r} names no program")
            block.name = note["name"]
            block.interrupt = note["interrupt"] is not None
            if note["partners"]:
                block.partners = tuple(
                    tuple(each.split(" and "))
                    for each in note["partners"].split(" or ")
                )
        found.append(block)
    return found


def runs(page: Path) -> list[list[Block]]:
    """Return the programs that are run together, those that listen first."""
    named = {block.name: block for block in blocks(page) if block.name}
    partners = {
        name for block in named.values() for run in block.partners for name in run
    }
    together = []
    for block in named.values():
        alone: tuple[tuple[str, ...], ...] = () if block.name in partners else ((),)
        for run in block.partners or alone:
            members = [named[name] for name in run] + [block]
            together.append(sorted(members, key=lambda member: not member.listens))
    return together
