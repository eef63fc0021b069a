# SPDX-License-Identifier: Apache-2.0
"""The comments of the header and Python's docstrings as reStructuredText.

Both are written to be read where they stand: `code` in single backticks, arguments as
"name: text" or "@param name  text", examples indented. Neither is a markup of its own.
"""

import re
from collections.abc import Mapping

PARAGRAPHS = re.compile(r"\n\s*\n")
PARAM = re.compile(r"@param\s+(\w+)\s+(.*)", re.DOTALL)
CODES = re.compile(r"([A-Z][A-Z_]+(?:, [A-Z_]+)*)(?: {2,}(.*))?")  # below @return
FACTS = re.compile(r"\s*\b(Threads|Blocks|System calls): ")
ARGUMENT = re.compile(r"(\w+(?:, \w+)*): (\S.*)", re.DOTALL)
HEADING = re.compile(r"[A-Z][A-Z ,]{3,}")
WORDS = re.compile(r"`([^`]+)`|\b([A-Za-z]\w{2,}[A-Za-z0-9])\b(\(\))?|[\\*|`]|_(?!\w)")
BEFORE, AFTER = " \n'\"([{<-/:", " \n.,:;!?-)]}'\"/>"  # what markup may stand between


def inline(text: str, links: Mapping[str, str] | None = None) -> str:
    """Return prose; links: the role of each name that there is a description of."""

    def marked(match: re.Match[str]) -> str:
        code, name, _ = match.groups()
        if code:
            mark = f"``{' '.join(code.split())}``"
        elif links and name in links:
            mark = f":{links[name]}:`{name}`"
        elif name:
            return match[0]
        else:
            return "\\" + match[0]
        before, after = text[: match.start()][-1:], text[match.end() :][:1]
        return (
            ("" if before in BEFORE else "\\ ")
            + mark
            + ("" if after in AFTER else "\\ ")
        )

    return WORDS.sub(marked, text)


def uncomment(comment: str) -> str:
    """Return the text of a comment of C."""
    body = re.sub(r"^/\*\*<?|\*/$", "", comment.strip()).expandtabs()
    return re.sub(r"^[ ]*\*[ ]?", "", body, flags=re.MULTILINE).strip()


def header(comment: str, links: Mapping[str, str]) -> str:
    """Return what the comment of a declaration says."""
    out: list[str] = []
    for paragraph in PARAGRAPHS.split(uncomment(comment)):
        for part in re.split(r"\n(?=@|- )", paragraph):
            if FACTS.match(part):
                words = FACTS.split(" ".join(part.split()))
                facts = zip(words[1::2], words[2::2], strict=True)
                out.append(" · ".join(f"**{k}**: {inline(v, links)}" for k, v in facts))
                continue
            mark, text, indent = "", part, 0
            if match := PARAM.fullmatch(part):
                mark, text, indent = f":param {match[1]}: ", match[2], 4
            elif part.startswith("@return"):
                mark, text, indent = ":returns: ", part.removeprefix("@return"), 4
            elif part.startswith("@file"):
                text = part.partition("\n")[2]
            elif part.startswith("- "):
                mark, text, indent = "- ", part[2:], 2
            prose, codes = [], []
            for line in text.strip().splitlines():
                match = CODES.fullmatch(line.strip()) if mark == ":returns: " else None
                if match and (codes or match[2]):
                    what = f": {inline(match[2], links)}" if match[2] else ""
                    codes.append(f"- {match[1]}{what}")
                elif codes:  # it goes on
                    codes[-1] += " " + inline(line.strip(), links)
                else:
                    prose.append(line.strip())
            body = [
                *inline("\n".join(prose), links).splitlines(),
                *([""] if codes else []),
                *codes,
            ]
            out.append(mark + f"\n{' ' * indent}".join(body))
    return "\n\n".join(part for part in out if part)


def example(paragraph: str) -> str:
    """Return the language that an indented paragraph is in."""
    if re.match(r"\s*\w+(, \w+)* {3,}", paragraph):
        return "text"
    return "python"


def docstring(lines: list[str]) -> list[str]:
    """Return what a docstring of the package says."""
    out: list[str] = []
    inside = False  # a block of code
    for paragraph in PARAGRAPHS.split("\n".join(lines).strip("\n")):
        if not paragraph.strip():
            continue
        if paragraph.startswith("    "):
            if not inside:
                out += ["", f".. code-block:: {example(paragraph)}"]
            out += ["", *(f"   {line[4:]}" for line in paragraph.splitlines())]
            inside = True
            continue
        inside = False
        out.append("")
        items = re.split(r"\n(?=\S)", paragraph)
        if HEADING.fullmatch(paragraph):
            out += [f".. rubric:: {paragraph.capitalize()}"]
            continue
        while items and ARGUMENT.fullmatch(items[0]):
            name, _, text = items.pop(0).partition(": ")
            out.append(f"- **{name}**: {' '.join(inline(text).split())}")
        if items:
            out += ["", *(" ".join(inline(item).split()) for item in items)]
    return [*out, ""]
