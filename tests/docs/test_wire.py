# SPDX-License-Identifier: Apache-2.0
"""docs/WIRE.md says of each byte what the C structs and constants say."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "core" / "src"
HEADERS = [
    SOURCE / "handshake.h",
    SOURCE / "ring.h",
    SOURCE / "page.h",
    SOURCE.parent / "include" / "tachyon_frame.h",
]
PAGE = (ROOT / "docs" / "WIRE.md").read_text()
STRUCTS = re.findall(
    r"^### `struct (\w+)`: (\d+) bytes\n(.*?)(?=^#|^\| bits)", PAGE, re.M | re.S
)
ROW = re.compile(r"^\| (\d+) \| (\d+) \| (?:`([\w.]+)`)? ?\|", re.M)
CONSTANTS = re.findall(r"^\| `([A-Z_]{2,})` \| (\w+) \|", PAGE, re.M)


def compiles(text: str, directory: Path) -> subprocess.CompletedProcess[str]:
    source = directory / "wire.c"
    includes = "".join(f'#include "{header.name}"\n' for header in HEADERS)
    source.write_text(f"{includes}{text}\n")
    return subprocess.run(
        [
            *(os.environ.get("CC", "cc"), "-std=c11", "-fsyntax-only"),
            *("-D_GNU_SOURCE", "-I", SOURCE, "-I", SOURCE.parent / "include", source),
        ],
        check=False,
        text=True,
        capture_output=True,
    )


def claims(struct: str, size: str, table: str) -> list[str]:
    lines = [f'_Static_assert(sizeof(struct {struct}) == {size}, "size");']
    for offset, length, field in ROW.findall(table):
        if field:
            member = f"struct {struct}, {field}"
            lines.append(
                f"_Static_assert(offsetof({member}) == {offset} && sizeof((("
                f'struct {struct} *)0)->{field}) == {length}, "{field}");'
            )
    return lines


@pytest.mark.parametrize(("struct", "size", "table"), STRUCTS, ids=lambda x: x[:12])
def test_fields_are_where_the_page_has_them(
    struct: str, size: str, table: str, tmp_path: Path
) -> None:
    done = compiles("\n".join(claims(struct, size, table)), tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("struct", "size", "table"), STRUCTS, ids=lambda x: x[:12])
def test_the_rows_leave_no_byte_out(struct: str, size: str, table: str) -> None:
    end = 0
    for offset, length, _ in ROW.findall(table):
        assert int(offset) == end, f"struct {struct}: a gap or an overlap at {end}"
        end += int(length)
    assert end == int(size)


def test_every_struct_and_every_member_is_there() -> None:
    names = ["greeting", "ring_shared", "ring_line", "tachyon_frame", "page"]
    assert [name for name, _, _ in STRUCTS] == names
    text = "".join(header.read_text() for header in HEADERS)
    for struct, _, table in STRUCTS:
        body = re.search(
            rf"^(?:typedef )?struct {struct} {{(.*?)^}}", text, re.M | re.S
        )
        assert body is not None
        code = re.sub(r"/\*.*?\*/", "", body[1], flags=re.S)
        declared = set(re.findall(r"(\w+)(?:\[\w+\])?;", code)) - {"about"}
        documented = {field.split(".")[-1] for _, _, field in ROW.findall(table)}
        assert declared == documented - {""}


def test_constants_have_their_values(tmp_path: Path) -> None:
    assert len(CONSTANTS) >= 10
    lines = [
        f'_Static_assert({name} == {value}, "{name}");' for name, value in CONSTANTS
    ]
    done = compiles("\n".join(lines), tmp_path)
    assert done.returncode == 0, done.stderr


def test_every_byte_on_the_socket_is_there() -> None:
    sent = re.findall(r"#define BYTE_\w+ '(.)'", (SOURCE / "link.c").read_text())
    table = PAGE[PAGE.index("### Bytes after the handshake") :]
    assert re.findall(r"^\| `(.)` \|", table, re.M) == sent
    assert len(sent) >= 2


def test_a_wrong_table_would_be_noticed(tmp_path: Path) -> None:
    table = "| 4 | 4 | `magic` | |\n"
    assert compiles("\n".join(claims("greeting", "64", table)), tmp_path).returncode
