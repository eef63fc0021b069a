# SPDX-License-Identifier: Apache-2.0
"""Sphinx's settings. build.py lays the tree and says where all is."""

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import prose  # noqa: E402
from stage import Stage  # noqa: E402

SITE = json.loads(os.environ["TACHYON_SITE"])
ROOT = Path(SITE["source"])

project = "Tachyon"
author = "Tachyon maintainers"
copyright = author
version = release = SITE["version"]
html_title = f"Tachyon {release}"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_design", "sphinx_copybutton"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
root_doc = "index"
nitpicky = True
nitpick_ignore_regex = [
    # What the languages have themselves, and types that only describe arguments.
    (r"c:identifier|c:type", r"u?int\d+_t|size_t|ssize_t|FILE"),
    (r"py:.*", r"(?!tachyon\.).*"),
    (r"py:.*", r"tachyon\.[a-z_]+\..*"),  # what is public is in the package itself
]
suppress_warnings = ["myst.header"]  # pages for the forge begin where they like
pygments_style = "friendly"
pygments_dark_style = "github-dark"
highlight_language = "text"
copybutton_exclude = ".linenos, .gp, .go"

html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_favicon = "static/icon.svg"
html_show_sphinx = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True, "top_of_page_buttons": []}

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_maximum_signature_line_length = 80
python_use_unqualified_type_names = True

stage = Stage(ROOT, Path(SITE["tree"]))


def read(app: Any, docname: str, content: list[str]) -> None:
    """Lead a page's links to where they lead in the site."""
    page = f"{docname}.md"
    if page in stage.pages:
        text = stage.relinked(page, content[0])
        if page == "bindings/rust/README.md":  # rustdoc hides these lines
            text = re.sub(
                r"^[ ]*# .*\n", "", text.partition("\n")[2], flags=re.MULTILINE
            )
            text = f"# Tachyon for Rust\n{text}"
            text = re.sub(r"^```rust,.*$", "```rust", text, flags=re.MULTILINE)
        content[0] = text


def describe(
    app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]
) -> None:
    lines[:] = prose.docstring(lines)


def setup(app: Any) -> None:
    app.connect("source-read", read)
    app.connect("autodoc-process-docstring", describe)
