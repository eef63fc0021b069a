#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write the core as two files: tachyon.c and tachyon.h.

    amalgamate.py CORE OUTPUT

tachyon.h is the header as it is. tachyon.c is every header and source of CORE/src, each
once, under one another. What the files share becomes static, so that a program that
compiles tachyon.c gets no global name but the API's; with -DTACHYON_INTERNAL= it stays
global, for tests of the insides. A static of one file that has the name of a static of
another gets the file's name behind its own.
"""

import re
import sys
from collections import Counter
from pathlib import Path

# A comment, a string, a character, or an identifier with what makes it a member.
TOKEN = re.compile(
    r"/\*.*?\*/|//[^\n]*"
    r"|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'"
    r"|(?P<member>(?:\.|->)\s*)?\b(?P<name>[A-Za-z_]\w*)",
    re.DOTALL,
)
STATIC = re.compile(r"^static\b[^;{}(=]*?\b(\w+)\s*(?:\(|\[|=|;)", re.MULTILINE)
# What the files share: declared at the start of a line, by a name with this prefix.
SHARED = re.compile(
    r"^(?:extern )?(?!static |typedef |return |#)(?=[a-z][^;:{}=()]*\bty_\w)",
    re.MULTILINE,
)
MACRO = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)", re.MULTILINE)
INCLUDE = re.compile(r"^#include \"([^\"]+)\"[^\n]*\n", re.MULTILINE)

TOP = """\
/* SPDX-License-Identifier: Apache-2.0 */
/* Tachyon {version}: the library in one file, made from its sources, where each part
   has a file of its own. Compile it with your program, as C11 with GNU extensions
   (-std=gnu11; gcc and clang do by themselves), and -pthread where libc wants that. */
#if !defined(__linux__) || (!defined(__LP64__) && !defined(_LP64))
#error "Tachyon needs a 64-bit Linux"
#endif
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#ifndef TACHYON_INTERNAL
#define TACHYON_INTERNAL static
#endif
#pragma GCC diagnostic ignored "-Wunused-function" /* some are for tests alone */
"""


def rename(text: str, names: dict[str, str]) -> str:
    """Rename identifiers that are no members, outside of comments and strings."""

    def one(match: re.Match[str]) -> str:
        name = match["name"]
        if name is None or match["member"] or name not in names:
            return match[0]
        return names[name]

    return TOKEN.sub(one, text)


def without_comments(text: str) -> str:
    """Leave out comments, which may look like code."""
    return re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.DOTALL)


def main(core: Path, output: Path) -> None:
    """Write both files into the folder."""
    header = (core / "include/tachyon.h").read_text()
    version = ".".join(
        re.findall(
            r"^#define TACHYON_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)$", header, re.M
        )
    )
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        sys.exit(f"{core}/include/tachyon.h states no version")
    sources = sorted((core / "src").glob("*.c"))
    statics = Counter(
        name
        for source in sources
        for name in set(STATIC.findall(without_comments(source.read_text())))
    )
    seen: set[str] = set()

    def part(path: Path) -> str:
        """Return a file with what it includes of ours in the place of the include."""
        text = path.read_text()
        text = text.replace("/* SPDX-License-Identifier: Apache-2.0 */\n", "", 1)
        if path.suffix == ".c":
            own = set(STATIC.findall(without_comments(text)))
            names = {n: f"{n}_{path.stem}" for n in own if statics[n] > 1}
            text = rename(text, names)
        text = SHARED.sub("TACHYON_INTERNAL ", text)

        def include(match: re.Match[str]) -> str:
            name = match[1]
            if name == "tachyon.h":
                return match[0]
            if name in seen:
                return ""
            seen.add(name)
            return part(core / "src" / name)

        return f"\n/* ---- {path.name} ---- */\n\n" + INCLUDE.sub(include, text)

    whole = TOP.format(version=version)
    for source in sources:
        whole += part(source)
        own = dict.fromkeys(MACRO.findall(source.read_text()))
        if own:
            whole += "\n" + "".join(f"#undef {name}\n" for name in own)
    output.mkdir(parents=True, exist_ok=True)
    (output / "tachyon.h").write_text(header)
    (output / "tachyon.c").write_text(whole)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
