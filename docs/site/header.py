# SPDX-License-Identifier: Apache-2.0
"""The reference of C: the headers, in their own order and with their own headings.

libclang, which the build has for bindgen, reads them; so what is here is what a
compiler sees, and each comment is where the compiler sees it.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import prose
from clang.cindex import Config, Cursor, CursorKind, Index, Token, TranslationUnit

HEADING = re.compile(r"^/\* ---- (.+?) -+ \*/$", re.MULTILINE)
KINDS = {
    CursorKind.FUNCTION_DECL: "func",
    CursorKind.STRUCT_DECL: "struct",
    CursorKind.ENUM_DECL: "enum",
    CursorKind.ENUM_CONSTANT_DECL: "enumerator",
    CursorKind.TYPEDEF_DECL: "type",
    CursorKind.MACRO_DEFINITION: "macro",
}
PRIVATE = re.compile(r"(?!TACHYON_|tachyon_)|.*(_|_H|_ABI|_NOEXCEPT)$")


def declared(kind: str, name: str) -> str:
    """Return the declaration of something of a type, such as `char name[32]`."""
    if "(*)" in kind:
        return kind.replace("(*)", f"(*{name})")
    base, bracket, length = kind.partition("[")
    return f"{base.strip()}{'' if base.endswith('*') else ' '}{name}{bracket}{length}"


def indented(text: str, by: int) -> list[str]:
    return [" " * by + line if line else "" for line in text.splitlines()]


class Header:
    """A header and what is declared in it."""

    def __init__(self, path: Path, arguments: list[str]) -> None:
        self.lines = path.read_text().splitlines()
        unit = Index.create().parse(
            str(path),
            ["-xc", "-std=c11", *arguments],
            options=TranslationUnit.PARSE_DETAILED_PROCESSING_RECORD,
        )
        if errors := [str(each) for each in unit.diagnostics if each.severity >= 3]:
            raise SystemExit("\n".join(errors))
        tokens = list(unit.get_tokens(extent=unit.cursor.extent))
        self.comments = [t for t in tokens if re.match(r"/\*\*(?!<)", t.spelling)]
        # libclang looks for those only beside a declaration's first line.
        self.behind = {
            t.extent.start.line: t.spelling
            for t in tokens
            if t.spelling.startswith("/**<")
        }
        inside = [
            cursor
            for cursor in unit.cursor.get_children()
            if cursor.location.file and Path(cursor.location.file.name) == path
        ]
        self.by_name: dict[str, Cursor] = {}
        for cursor in inside:
            if cursor.kind in KINDS:
                name, what = cursor.spelling, cursor
                if cursor.kind is CursorKind.TYPEDEF_DECL:
                    of = cursor.underlying_typedef_type.get_declaration()
                    if of.kind in KINDS and of.is_definition():
                        what = of
                elif cursor.kind in (CursorKind.STRUCT_DECL, CursorKind.ENUM_DECL):
                    continue  # what is there has a name by typedef
                if not PRIVATE.match(name):
                    self.by_name[name] = what

    def links(self) -> Iterator[tuple[str, str]]:
        """Yield each name with the role that links to it."""
        for name, cursor in self.by_name.items():
            yield name, f"c:{KINDS[cursor.kind]}"
            if cursor.kind is CursorKind.ENUM_DECL:
                for child in cursor.get_children():
                    yield child.spelling, "c:enumerator"

    def above(self, line: int) -> str:
        """Return the comment of a macro: that above it and its neighbours."""
        while re.match(r"#|.*\\$", self.lines[line - 2]):
            line -= 1
        return next(
            (
                each.spelling
                for each in self.comments
                if each.extent.end.line == line - 1
            ),
            "",
        )

    def entries(self, links: dict[str, str]) -> Iterator[tuple[int, str]]:
        """Yield what the page says, each with the line of the header it comes from."""
        used = set()
        for name, cursor in self.by_name.items():
            line = cursor.location.line
            comment = cursor.raw_comment or ""
            if cursor.kind is CursorKind.MACRO_DEFINITION:
                comment = self.above(line)
            text = "" if comment in used else prose.header(comment, links)
            used.add(comment)
            yield line, "\n".join(self.entry(name, cursor, text, links))
        for comment in self.comments:
            if comment.spelling not in used and not self.is_of_private(comment):
                yield comment.extent.start.line, prose.header(comment.spelling, links)
        for line, text in enumerate(self.lines, 1):
            if match := HEADING.match(text):
                yield line, f"{match[1]}\n{'-' * len(match[1])}"

    def is_of_private(self, comment: Token) -> bool:
        """Whether a comment is of a macro that only the header itself needs."""
        below = self.lines[comment.extent.end.line :][:1]
        return bool(below and re.match(r"#if(?!ndef)|TACHYON_FRAME_ASSERT_", below[0]))

    def entry(
        self, name: str, cursor: Cursor, text: str, links: dict[str, str]
    ) -> Iterator[str]:
        kind, title = KINDS[cursor.kind], name
        if kind == "func":
            kind = "function"
            inside = (
                declared(a.type.spelling, a.spelling) for a in cursor.get_arguments()
            )
            title = declared(
                cursor.result_type.spelling, f"{name}({', '.join(inside) or 'void'})"
            )
        elif kind == "macro":
            source = self.lines[cursor.location.line - 1]
            if match := re.match(rf"#define {name}(\([\w, ]*\))", source):
                title += match[1]
            elif match := re.fullmatch(rf"#define {name} (\S+)(?: +/\*.*)?", source):
                text = f"``{match[1]}``\n\n{text}"
        yield f".. c:{kind}:: {title}"
        yield from ("", *indented(text, 3))
        for child in cursor.get_children():
            behind = self.behind.get(child.extent.end.line, "")
            note = prose.header(child.raw_comment or behind, links)
            if child.kind is CursorKind.ENUM_CONSTANT_DECL:
                yield f"\n   .. c:enumerator:: {child.spelling} = {child.enum_value}\n"
            elif child.kind is CursorKind.FIELD_DECL and kind == "struct":
                member = declared(child.type.spelling, child.spelling)
                yield f"\n   .. c:member:: {member}\n"
            else:
                continue
            yield from indented(note, 6)


def page(paths: list[Path], libclang: str, arguments: list[str]) -> str:
    """Return the page."""
    Config.set_library_path(libclang)
    headers = [Header(path, arguments) for path in paths]
    links = {name: role for each in headers for name, role in each.links()}
    parts = ["C\n="]
    for path, each in zip(paths, headers, strict=True):
        parts.append(f".. rubric:: {path.name}\n   :class: header-file")
        parts += [text for _, text in sorted(each.entries(links), key=lambda e: e[0])]
    return "\n\n".join(parts) + "\n"
