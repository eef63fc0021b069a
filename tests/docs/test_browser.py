# SPDX-License-Identifier: Apache-2.0
"""A browser shows the site that docs.site has built, also on a phone."""

from __future__ import annotations

import functools
import http.server
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser

BUILD = Path(os.environ["TACHYON_BUILD"])
SITE = BUILD / "site"
MADE_ELSEWHERE = ("rust", "java", "typescript")  # by other tools, in api/
SHOWN = {  # of these there are pictures
    "index": "index.html",
    "start": "start.html",
    "concepts": "docs/CONCEPTS.html",
    "benchmarks": "docs/BENCHMARKS.html",
    "reference": "api/c.html",
}


if not (SITE / "index.html").exists():
    pytest.exit("skipped: what builds the site could not be had", returncode=77)


def pages() -> list[str]:
    """Return the pages that are ours, without those that only show a file."""
    found = []
    for file in sorted(SITE.rglob("*.html")):
        parts = file.relative_to(SITE).parts
        if parts[0] != "files" and not (
            parts[0] == "api" and parts[1] in MADE_ELSEWHERE
        ):
            found.append("/".join(parts))
    return found


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A server that writes no log."""

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    handler = functools.partial(Quiet, directory=str(SITE))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with Browser(os.environ["TACHYON_CHROMIUM"]) as found:
        yield found


@pytest.mark.parametrize("name", SHOWN)
def test_a_browser_shows_it(name: str, address: str, browser: Browser) -> None:
    pictures = BUILD / "site-pictures"
    pictures.mkdir(exist_ok=True)
    for kind, width, height, dark in (
        ("desktop", 1280, 900, False),
        ("dark", 1280, 900, True),
        ("phone", 390, 844, False),
    ):
        browser.open(f"{address}/{SHOWN[name]}", width, height, dark=dark)
        browser.picture(pictures / f"{name}-{kind}.png")
        assert browser.problems() == []
        assert browser.value("document.title").strip()
        seen = browser.value("document.querySelector('article').innerText.length")
        assert seen > 400
        assert browser.value("document.documentElement.scrollWidth") <= width
        broken = "[...document.images].filter(i => !i.naturalWidth).map(i => i.src)"
        assert browser.value(broken) == []


def test_no_page_is_wider_than_a_phone(address: str, browser: Browser) -> None:
    wrong = []
    names = pages()
    for name in names:
        browser.open(f"{address}/{name}", 390, 844)
        width = browser.value("document.documentElement.scrollWidth")
        if width > 390:
            wrong.append(f"{name}: {width}")
        wrong += [f"{name}: {problem}" for problem in browser.problems()]
    assert wrong == []
    assert len(names) > 50


def test_tabs_show_their_programs(address: str, browser: Browser) -> None:
    browser.open(f"{address}/start.html", 1280, 900)
    browser.value(
        "[...document.querySelectorAll('.sd-tab-set > label')]"
        ".find(l => l.innerText === 'Go').click()"
    )
    shown = browser.value(
        "[...document.querySelectorAll('.sd-tab-content')]"
        ".filter(t => t.offsetHeight).map(t => t.innerText).join()"
    )
    assert "tachyon.ConnectContext" in shown
    assert "Bus.connect" not in shown


def test_the_search_finds(address: str, browser: Browser) -> None:
    browser.open(f"{address}/search.html?q=membarrier", 1280, 900)
    deadline = time.monotonic() + 30
    found = 0
    while not found and time.monotonic() < deadline:
        found = browser.value("document.querySelectorAll('#search-results li').length")
        time.sleep(0.1)
    assert found > 0
    assert browser.problems() == []
