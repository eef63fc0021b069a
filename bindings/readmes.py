#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write the README.md of each binding from its README.in and what all of them share.

    readmes.py            write those that differ
    readmes.py --check    say which differ, and how; exit status 1 if any does

A README.in begins with `key: value` lines, of which a key may come twice, then an empty
line, then Markdown, in which a line `@block@` is one of BLOCKS. In a block {key} is the
value of a key, {version} that of the header.
"""

import difflib
import re
import sys
import textwrap
from pathlib import Path

HERE = Path(__file__).resolve().parent
NOTE = "SPDX-License-Identifier: Apache-2.0; written from README.in by readmes.py"
WIDTH = 92

BLOCKS = {
    "title": "# Tachyon for {title}",
    # What SWIG alone makes, and what it needs to be found.
    "generated": (
        "{needs}. SWIG generates the {product} from `swig/tachyon.i`; `{interface}` "
        "adds {adds}."
    ),
    "build": (
        "    cmake --preset default && cmake --build build --target tachyon_{folder}\n"
        "    {environment}"
    ),
    "names": (
        "- **Names** are those of `swig/tachyon.i`{naming}: `{send}`, `{recv_batch}`, "
        "`{call}`, `{wait}`. Times are seconds; without one, a call waits for ever."
        "{attributes} `samples/` has whole programs. Of a `send_batch` that a signal "
        "has ended, `count` of the bus says how many messages went."
    ),
    # What holds in every language.
    "limits": (
        "**Limits.** 64-bit Linux, both ends on one machine. A message has at most "
        "`capacity` − 128 bytes, and `capacity` is a power of two up to 2 GiB. At most "
        "one thread sends and one receives on a bus at a time. After a fork "
        "a bus belongs to the parent."
    ),
    "pages": (
        "**More** in the repository: `docs/TROUBLESHOOTING.md` says what each error "
        "means and what to do, `docs/LANGUAGES.md` what holds in all languages, "
        "`docs/OPERATIONS.md` how large a ring should be."
    ),
}
OPTIONAL = {"naming", "attributes"}


def version() -> str:
    header = (HERE.parent / "core" / "include" / "tachyon.h").read_text()
    numbers = re.findall(r"#define TACHYON_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", header)
    return ".".join(numbers)


def read(source: Path) -> tuple[dict[str, str], str]:
    """Return the keys and the text of a README.in."""
    head, _, text = source.read_text().partition("\n\n")
    keys = {
        "folder": source.parent.name,
        "version": version(),
        **dict.fromkeys(OPTIONAL, ""),
    }
    for line in head.splitlines():
        key, colon, value = line.partition(": ")
        if not colon:
            sys.exit(f"{source}: {line!r} is not `key: value`")
        keys[key] = f"{keys[key]}\n    {value}" if keys.get(key) else value
    for key in OPTIONAL & set(keys):
        keys[key] = f" {keys[key]}" if keys[key] else ""
    return keys, text


def wrapped(paragraph: str) -> str:
    """Return a paragraph in lines; code that is indented stays as it is."""
    if paragraph.startswith(("    ", "#")):
        return paragraph
    indent = "  " if paragraph.startswith("- ") else ""
    # What is code is not broken.
    spans: list[str] = []

    def keep(match: re.Match[str]) -> str:
        spans.append(match[0])
        return f"\0{len(spans) - 1:03}{'x' * max(0, len(match[0]) - 5)}\0"

    text = re.sub(r"`[^`]+`", keep, paragraph)
    text = textwrap.fill(
        text,
        WIDTH,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return re.sub(r"\0(\d{3})x*\0", lambda match: spans[int(match[1])], text)


def written(source: Path) -> str:
    """Return the README.md."""
    keys, text = read(source)

    def block(match: re.Match[str]) -> str:
        name = match[1]
        if name not in BLOCKS:
            sys.exit(f"{source}: there is no block @{name}@")
        try:
            return wrapped(BLOCKS[name].format_map(keys))
        except KeyError as missing:
            sys.exit(f"{source}: @{name}@ needs {missing}")

    text = re.sub(r"^@(\w+)@$", block, text, flags=re.MULTILINE)
    return f"<!-- {NOTE} -->\n" + text.replace("@version@", keys["version"])


def main() -> None:
    check = "--check" in sys.argv[1:]
    sources = sorted(HERE.glob("*/README.in"))
    if len(sources) < 15:
        sys.exit(f"only {len(sources)} README.in below {HERE}")
    differ = 0
    for source in sources:
        page = source.with_name("README.md")
        new, old = written(source), page.read_text() if page.exists() else ""
        if new == old:
            continue
        differ += 1
        name = page.relative_to(HERE.parent)
        if check:
            lines = (old.splitlines(), new.splitlines())
            print(
                "\n".join(
                    difflib.unified_diff(*lines, str(name), "README.in", lineterm="")
                )
            )
        else:
            page.write_text(new)
            print("wrote", name)
    if check and differ:
        sys.exit("python3 bindings/readmes.py writes them")


if __name__ == "__main__":
    main()
