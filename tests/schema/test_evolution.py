# SPDX-License-Identifier: Apache-2.0
"""The table of docs/TYPED_MESSAGES.md: an older and a newer program meet.

Each row is a header and a later one. The generator writes the files of both, and the
programs of evolution/ with the one and with the other connect, in both directions and
in all pairs of languages: what fits is read as the table says, of what does not both
ends say what it is.
"""

import itertools
import os
import secrets
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from tachyon.schema.__main__ import main

from conftest import ROOT, RUSTC

HERE = Path(__file__).parent / "evolution"
TOGETHER = 16  # meetings at a time, most of which wait
REFUSED_S = 2.0  # how long a listener goes on that refuses all
ABI_MISMATCH, TIMEOUT = 14, 17
CRATE = Path(os.environ.get("TACHYON_CRATE", "none"))
LIBRARY = os.environ.get("TACHYON_LIBRARY", "")
SANITIZE = os.environ.get("TACHYON_SANITIZE", "")  # what the library is built with

SIDE = "BID = 1, ASK = 2"
BODY = "double price; uint32_t quantity; enum Side side;"


class Version(NamedTuple):
    """A header of one struct, and what of it are messages."""

    grows: bool
    body: str = BODY
    side: str = SIDE
    more: str = ""
    ids: tuple[tuple[str, int], ...] = (("Tick", 1),)

    def header(self) -> str:
        """Return the text."""
        mark = "TACHYON_MAY_GROW " if self.grows else ""
        return (
            "#include <stdint.h>\n#include <tachyon.h>\n"
            f"enum Side {{ {self.side} }};\n{self.more}"
            f"typedef struct {mark}{{ {self.body} }} Tick;\n"
        )


class Row(NamedTuple):
    """A row of the table. Without texts it fits; else they are what each end says."""

    name: str
    older: Version
    newer: Version
    older_says: str = ""
    newer_says: str = ""


def differing(name: str, older: Version, newer: Version, what: str) -> Row:
    """Return a row of which both ends say "OWNER: OLD here, NEW at the peer"."""
    owner, old, new = what.split("|")
    text = "{}: {} here, {} at the peer"
    return Row(
        name, older, newer, text.format(owner, old, new), text.format(owner, new, old)
    )


def column(old: Version) -> Iterator[Row]:
    """Go through the rows of a message that may grow, or of one that may not."""
    since = " TACHYON_SINCE(2)" if old.grows else ""
    appended = Row(
        "field appended", old, old._replace(body=f"{BODY} uint64_t venue{since};")
    )
    yield (
        appended
        if old.grows
        else appended._replace(
            older_says="Tick.venue: only at the peer, u64 at 16",
            newer_says="Tick.venue: only here, u64 at 16",
        )
    )
    yield Row("enumerator added at the end", old, old._replace(side=f"{SIDE}, MID = 3"))
    for name, newer, what in (
        (
            "enumerator added in between",
            old._replace(side="BID = 1, MID = 2, ASK = 3"),
            "Side|ASK 2|MID 2",
        ),
        (
            "enumerator renamed",
            old._replace(side="BID = 1, SELL = 2"),
            "Side|ASK 2|SELL 2",
        ),
        (
            "renamed",
            old._replace(body=BODY.replace("quantity", "volume")),
            "Tick|quantity u32 at 8|volume u32 at 8",
        ),
        (
            "moved",
            old._replace(body="double price; enum Side side; uint32_t quantity;"),
            "Tick|quantity u32 at 8|side Side at 8",
        ),
        (
            "another type",
            old._replace(body=BODY.replace("uint32_t", "int32_t")),
            "Tick.quantity|u32 at 8|i32 at 8",
        ),
        (
            "removed",
            old._replace(body="double price; enum Side side; uint8_t reserved[4];"),
            "Tick|quantity u32 at 8|side Side at 8",
        ),
    ):
        yield differing(name, old, newer, what)
    yield Row(
        "another id",
        old,
        old._replace(ids=(("Tick", 2),)),
        "message 1 Tick",
        "message 2 Tick",
    )
    yield Row(
        "message added",
        old,
        old._replace(
            more="typedef struct { uint32_t what; } More;\n",
            ids=(("Tick", 1), ("More", 3)),
        ),
        "message 3 More: only at the peer",
        "message 3 More: only here",
    )
    part = old._replace(
        more="struct Level { uint32_t low; };\n",
        body="double price; struct Level level; enum Side side;",
    )
    yield Row(
        "what it holds grown",
        part,
        part._replace(
            more="struct Level { uint32_t low, high; };\n",
            body=f"{part.body} uint8_t reserved[4];",
        ),
        "Level.high: only at the peer, u32 at 4",
        "Level.high: only here, u32 at 4",
    )


def rows() -> Iterator[Row]:
    """Go through the table."""
    for grows, head in ((True, "may grow"), (False, "fixed")):
        for row in column(Version(grows)):
            yield row._replace(name=f"{row.name}, {head}")
    yield differing(
        "growth allowed later", Version(False), Version(True), "message 1|Tick|Tick +"
    )


ROWS = tuple(rows())


class Programs:
    """The programs of all versions, and how each is called."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._names: dict[Version, str] = {}
        for row in ROWS:
            for version in (row.older, row.newer):
                if version not in self._names:
                    self._names[version] = f"v{len(self._names)}"
                    self._write(version)
        self.languages = ["c", "python"]
        for version in self._names:
            self._compile_c(version)
        if RUSTC and (CRATE / "libtachyon_ipc.rlib").exists():
            self.languages.append("rust")
            self._compile_rust()

    def command(self, language: str, version: Version) -> list[str]:
        """Return the command without its arguments."""
        name = self._names[version]
        if language == "c":
            return [str(self._directory / name / "peer")]
        if language == "python":
            return [sys.executable, str(HERE / "peer.py"), str(self._directory / name)]
        return [str(self._directory / "peer"), name]

    def _write(self, version: Version) -> None:
        directory = self._directory / self._names[version]
        directory.mkdir()
        header = directory / "tick.h"
        header.write_text(version.header())
        types = [f"{name}={type_id}" for name, type_id in version.ids]
        assert main([str(header), "--types", *types, "--c", "--rust", "--python"]) == 0

    def _compile_c(self, version: Version) -> None:
        directory = self._directory / self._names[version]
        subprocess.run(
            [
                *(os.environ.get("CC") or "cc", "-std=c11", "-Wall", "-Wextra"),
                *("-Werror", *(["-DMAY_GROW"] if version.grows else [])),
                *(f"-I{directory}", f"-I{ROOT / 'core/include'}", HERE / "peer.c"),
                *([f"-fsanitize={SANITIZE}"] if SANITIZE else []),
                *("-o", directory / "peer", LIBRARY, "-pthread"),
            ],
            check=True,
        )

    def _compile_rust(self) -> None:
        """All versions are one program: each would take seconds to compile."""
        lines = ["use tachyon_ipc::Options;"]
        cases = []
        for version, name in self._names.items():
            path = self._directory / name / "tick.rs"
            lines += ["#[allow(dead_code)]", f'#[path = "{path}"]', f"mod {name};"]
            types = "".join(f".types::<{name}::{each}>()" for each, _ in version.ids)
            call = f"crate::run::<{name}::Tick>(Options::new(){types}, words)"
            cases.append(f'        "{name}" => {call},')
        lines += [
            "pub fn run(version: &str, words: &[String]) {", "    match version {",
            *cases, '        _ => panic!("{version}"),', "    }", "}", "",
        ]  # fmt: skip
        (self._directory / "versions.rs").write_text("\n".join(lines))
        subprocess.run(
            [
                *(str(RUSTC), "--edition", "2021", "-D", "warnings", HERE / "peer.rs"),
                *("-L", f"dependency={CRATE / 'deps'}"),
                *("--extern", f"tachyon_ipc={CRATE / 'libtachyon_ipc.rlib'}"),
                *("-o", self._directory / "peer"),
            ],
            env=os.environ | {"VERSIONS": str(self._directory / "versions.rs")},
            check=True,
        )


class Meeting(NamedTuple):
    """Who listens, and who connects to it one after the other."""

    row: Row
    newer_listens: bool
    listener: str
    connectors: tuple[str, ...]

    def ends(self) -> tuple[Version, Version]:
        """Return the version that listens, and so reads, and the one that connects."""
        one, other = self.row.older, self.row.newer
        return (other, one) if self.newer_listens else (one, other)

    def hold(self, programs: Programs) -> list[str]:
        """Let them meet; return what each printed, the listener first.

        It starts when the others are about to connect, so that its time is enough.
        """
        reader, writer = self.ends()
        path = f"@evolution-{secrets.token_hex(8)}"
        limit = REFUSED_S if self.row.older_says else 20
        listens = ["listen", path, str(limit)]
        connects = ["connect", path, sent(writer)]
        connectors = [
            start([*programs.command(language, writer), *connects])
            for language in self.connectors
        ]
        for connector in connectors:
            assert line_of(connector) == b"ready\n"
        listener = start([*programs.command(self.listener, reader), *listens])
        return [each.communicate()[0] for each in (listener, *connectors)]


def start(command: list[str]) -> subprocess.Popen[str]:
    """Start a program whose output is wanted."""
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def line_of(program: subprocess.Popen[str]) -> bytes:
    """Return the next line of a program, and leave the rest to communicate()."""
    line, byte = b"", b"-"
    while program.stdout and byte and not line.endswith(b"\n"):
        byte = os.read(program.stdout.fileno(), 1)
        line += byte
    return line


def meetings(languages: list[str]) -> Iterator[Meeting]:
    """Go through all of them; one that is refused leaves the listener to the next."""
    for row, newer, listener in itertools.product(ROWS, (False, True), languages):
        if row.older_says:
            yield Meeting(row, newer, listener, tuple(languages))
        else:
            for connector in languages:
                yield Meeting(row, newer, listener, (connector,))


def side(writer: Version) -> int:
    """Return the last enumerator that the version knows."""
    return 1 + writer.side.count(",")


def sent(writer: Version) -> str:
    """Return a Tick, with the bytes of more fields than any version has."""
    return struct.pack("=dIIQ32x", 189.5, 100, side(writer), 7).hex()


def read(reader: Version, writer: Version) -> str:
    """Return that Tick as the reader sees it: a field that was not sent is zero."""
    venue = struct.pack("=Q", 7 if "venue" in writer.body else 0)
    fields = struct.pack("=dII", 189.5, 100, side(writer))
    return (fields + (venue if "venue" in reader.body else b"")).hex()


@pytest.fixture(scope="module")
def met() -> Iterator[dict[Meeting, list[str]]]:
    """Let all meet at once: what is refused waits until its listener's time is over."""
    with (
        tempfile.TemporaryDirectory() as directory,
        ThreadPoolExecutor(TOGETHER) as pool,
    ):
        programs = Programs(Path(directory))
        held = list(meetings(programs.languages))
        yield dict(zip(held, pool.map(lambda m: m.hold(programs), held), strict=True))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name.replace(" ", "-"))
def test_an_older_and_a_newer_program_meet(
    row: Row, met: dict[Meeting, list[str]]
) -> None:
    found = {meeting: printed for meeting, printed in met.items() if meeting.row == row}
    assert found
    for meeting, (listener, *connectors) in found.items():
        if row.older_says:
            says = (row.older_says, row.newer_says)
            here, there = says[::-1] if meeting.newer_listens else says
            assert listener.startswith(f"error {TIMEOUT} "), meeting
            assert here in listener, meeting
            for connector in connectors:
                assert connector.startswith(f"error {ABI_MISMATCH} "), meeting
                assert there in connector, meeting
        else:
            assert listener == read(*meeting.ends()) + "\n", meeting
            assert connectors == ["sent\n"], meeting
