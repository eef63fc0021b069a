# SPDX-License-Identifier: Apache-2.0
"""The sources of the site: the repository's own pages, at their own places.

The staged tree has links to the pages and to what they show, so that a relative link
between pages is good in both places. What a page links to and is no page, a program or
a folder of them, gets a page that shows it, below files/.
"""

import os
import posixpath
import re
import shutil
from pathlib import Path

FENCE = re.compile(r"^(```+|~~~+).*?^\1[ ]*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)(\[[^\]]*\])\(([^)\s#]+)(#[^)\s]*)?\)")
GLOBS = ("*.md", "docs/*.md", "bindings/*/README.md", "examples/**/README.md")
GLOBS += ("rust-sys/README.md", "tests/interop/README.md")
PICTURES = ("docs/**/*.svg", "docs/**/*.png")
ORPHAN = "---\norphan: true\n---\n"
LANGUAGES = {".h": "c", ".i": "cpp", ".hpp": "cpp", ".m": "octave", ".mjs": "js"}
LANGUAGES |= {".pyi": "python", ".arrow": "text", ".toml": "toml", ".rules": "text"}


def links(text: str) -> list[str]:
    """Return the relative links of a page, without what is in its programs."""
    found = (match[2] for match in LINK.finditer(FENCE.sub("", text)))
    return [target for target in found if not re.match(r"[a-z]+:|/", target)]


class Stage:
    """The tree that Sphinx reads."""

    def __init__(self, root: Path, tree: Path) -> None:
        self.root, self.tree = root, tree
        self.pages = {
            str(page.relative_to(root)) for glob in GLOBS for page in root.glob(glob)
        }
        self.shown: set[str] = set()  # of which there is a page below files/

    def lay(self) -> None:
        """Make the tree anew; files that are as they were keep their time."""
        before = {
            p: p.read_bytes()
            for p in self.tree.rglob("*")
            if p.is_file() and not p.is_symlink()
        }
        times = {p: p.stat().st_mtime for p in before}
        shutil.rmtree(self.tree, ignore_errors=True)
        pictures = {
            str(p.relative_to(self.root)) for g in PICTURES for p in self.root.glob(g)
        }
        for name in sorted(self.pages | pictures):
            self.link(name)
        own = self.root / "docs" / "site"
        for file in [
            *own.glob("**/*.md"),
            *own.glob("**/*.rst"),
            *own.glob("static/*"),
        ]:
            there = self.tree / file.relative_to(own)
            there.parent.mkdir(parents=True, exist_ok=True)
            there.symlink_to(file)
        for name in sorted(self.pages):
            for target in links((self.root / name).read_text()):
                self.show(self.resolved(name, target))
            folder = posixpath.dirname(name)
            if name.startswith("examples/") and folder != "examples":
                self.show(folder)
        for path, content in before.items():
            if path.is_file() and path.read_bytes() == content:
                os.utime(path, (times[path], times[path]))

    def link(self, name: str) -> None:
        there = self.tree / name
        there.parent.mkdir(parents=True, exist_ok=True)
        if not there.is_symlink():
            there.symlink_to(self.root / name)

    @staticmethod
    def resolved(page: str, target: str) -> str:
        return posixpath.normpath(posixpath.join(posixpath.dirname(page), target))

    def files_in(self, folder: str) -> list[str]:
        """Return what belongs to a folder, and not what a build has left there."""
        skipped = re.compile(r"__pycache__|node_modules|/target/|/build")
        names = [str(p.relative_to(self.root)) for p in (self.root / folder).rglob("*")]
        return sorted(
            name
            for name in names
            if (self.root / name).is_file() and not skipped.search(f"/{name}")
        )

    def show(self, name: str) -> None:
        """Make a page for what is no page."""
        path = self.root / name
        if name in self.pages or name in self.shown or not path.exists():
            return
        self.shown.add(name)
        page = self.tree / "files" / f"{name}.md"
        page.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            lines = ["---", "orphan: true", "---", f"# {name}/", ""]
            for file in self.files_in(name):
                if file not in self.pages:
                    self.show(file)
                lines.append(
                    f"- [{file.removeprefix(name + '/')}](/{self.page_of(file)})"
                )
            page.write_text("\n".join([*lines, ""]))
            return
        try:
            path.read_text()
        except UnicodeDecodeError:
            size = path.stat().st_size
            page.write_text(f"{ORPHAN}# {name}\n\n{size} bytes, no text.\n")
            return
        self.link(name)
        language = LANGUAGES.get(path.suffix)
        option = f":language: {language}\n" if language else ""
        page.write_text(
            f"{ORPHAN}# {name}\n\n```{{literalinclude}} /{name}\n{option}:force:\n```\n"
        )

    def page_of(self, name: str) -> str:
        """Return the source of the page of a file or folder."""
        if name in self.pages:
            return name
        readme = posixpath.join(name, "README.md")
        return readme if readme in self.pages else f"files/{name}.md"

    def relinked(self, page: str, text: str) -> str:
        """Return a page with its links to files and folders led to their pages."""
        fences: list[str] = []

        def keep(match: re.Match[str]) -> str:
            fences.append(match[0])
            return f"\0{len(fences) - 1}\0"

        def lead(match: re.Match[str]) -> str:
            label, target, anchor = match.groups()
            if re.match(r"[a-z]+:|/", target):
                return match[0]
            name = self.resolved(page, target)
            if name in self.pages or not (self.root / name).exists():
                return match[0]
            return f"{label}(/{self.page_of(name)}{anchor or ''})"

        text = LINK.sub(lead, FENCE.sub(keep, text))
        folder = posixpath.dirname(page)
        if page.startswith("examples/") and folder != "examples":
            text += f"\n\n[The files of this example](/files/{folder}.md)\n"
        return re.sub(r"\0(\d+)\0", lambda match: fences[int(match[1])], text)
