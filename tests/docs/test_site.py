# SPDX-License-Identifier: Apache-2.0
"""The site is built without a warning, and its links lead somewhere."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
import warnings
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from snippets import blocks

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = Path(os.environ["TACHYON_SITE_SETTINGS"])
BUILD = Path(json.loads(SETTINGS.read_text())["binary"])
MADE_ELSEWHERE = ("rust", "java", "typescript")  # by other tools, in api/


@pytest.fixture(scope="session")
def site() -> Path:
    """Return the site, built anew."""
    subprocess.run(
        [sys.executable, ROOT / "docs" / "site" / "build.py", SETTINGS], check=True
    )
    return BUILD / "site"


class Page(HTMLParser):
    """What a page links to, and what can be linked to in it."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors = {""}
        self.feed(file.read_text(errors="replace"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of a tag."""
        for name, value in attrs:
            if name in {"href", "src"} and value:
                self.links.append(value)
            elif name in {"id", "name"} and value:
                self.anchors.add(value)


def ours(site: Path, file: Path) -> bool:
    """Whether Sphinx has made a page; the other tools' pages are theirs to check."""
    parts = file.relative_to(site).parts
    return not (parts[0] == "api" and len(parts) > 2 and parts[1] in MADE_ELSEWHERE)


@pytest.fixture(scope="session")
def pages(site: Path) -> dict[Path, Page]:
    return {file: Page(file) for file in site.rglob("*.html") if ours(site, file)}


def test_every_link_inside_leads_somewhere(site: Path, pages: dict[Path, Page]) -> None:
    @functools.cache
    def anchors(file: Path) -> set[str]:
        return (pages.get(file) or Page(file)).anchors

    wrong = []
    seen = 0
    for file, page in pages.items():
        for link in page.links:
            url = urlsplit(link)
            if url.scheme or url.netloc:
                continue
            seen += 1
            there = (
                file if not url.path else (file.parent / unquote(url.path)).resolve()
            )
            if there.is_dir():
                there /= "index.html"
            anchor = unquote(url.fragment)
            if not there.is_relative_to(site.resolve()) or not there.exists():
                wrong.append(f"{file.relative_to(site)}: no {link}")
            elif anchor and there.suffix == ".html" and anchor not in anchors(there):
                wrong.append(f"{file.relative_to(site)}: no anchor {link}")
    assert wrong == []
    assert seen > 2000


def test_links_outside_lead_somewhere(site: Path, pages: dict[Path, Page]) -> None:
    links = {
        link.partition("#")[0]
        for page in pages.values()
        for link in page.links
        if link.startswith(("http://", "https://"))
    }
    wrong, unreached = [], []
    for link in sorted(links):
        request = urllib.request.Request(link, headers={"User-Agent": "Mozilla/5.0"})
        try:
            urllib.request.urlopen(request, timeout=10).close()
        except urllib.error.HTTPError as error:
            (wrong if error.code in {404, 410} else unreached).append(
                f"{link}: {error}"
            )
        except OSError as error:  # no network, or none to there
            unreached.append(f"{link}: {error}")
    for each in unreached:
        print(f"skipped: {each}")
        warnings.warn(f"not tried: {each}", stacklevel=1)
    assert wrong == []


def test_every_page_of_the_repository_is_in_it(site: Path) -> None:
    wanted = [*ROOT.glob("docs/*.md"), *ROOT.glob("bindings/*/README.md")]
    wanted += [ROOT / "README.md", ROOT / "CHANGELOG.md"]
    missing = [
        str(page.relative_to(ROOT))
        for page in wanted
        if not (site / page.relative_to(ROOT).with_suffix(".html")).exists()
    ]
    assert missing == []
    assert len(wanted) > 30


def test_every_name_of_c_and_python_has_an_entry(site: Path) -> None:
    import tachyon  # noqa: PLC0415

    header = (ROOT / "core" / "include" / "tachyon.h").read_text()
    # A prototype, after its return type; not one that a comment speaks of.
    code = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)
    functions = set(re.findall(r"\b(tachyon_\w+)\(", code))
    anchors = Page(site / "api" / "c.html").anchors
    assert {f for f in functions if f"c.{f}" not in anchors} == set()
    assert len(functions) > 80
    anchors = Page(site / "api" / "python.html").anchors
    missing = {n for n in tachyon.__all__ if f"tachyon.{n}" not in anchors}
    assert missing == set()


def test_no_page_shows_an_error(site: Path, pages: dict[Path, Page]) -> None:
    signs = re.compile(
        r'class="(?:[\w -]*\b)?(?:system-message|problematic)\b'
        r'|<nav class="contents'  # in the place of which the theme shows an error
    )
    wrong = [
        str(file.relative_to(site)) for file in pages if signs.search(file.read_text())
    ]
    assert wrong == []


def test_programs_of_the_site_are_files_that_are_tested() -> None:
    written = [
        str(block)
        for page in (ROOT / "docs" / "site").rglob("*.md")
        for block in blocks(page)
        if block.language in {"python", "rust", "c", "cpp"}
    ]
    assert written == []
