# SPDX-License-Identifier: Apache-2.0
"""Build the site.

    build.py SETTINGS.json

SETTINGS.json is CMake's: where the sources and the tools are. What a tool is missing
for is left out of the site and named, here and on the page that would link to it.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import header
import start
from stage import Stage

HEADERS = ("tachyon.h", "tachyon_frame.h")


class MissingError(Exception):
    """A reference cannot be made here."""


def run(*command: str | Path, where: Path | None = None, **environment: str) -> None:
    done = subprocess.run(
        command,
        cwd=where,
        env={**os.environ, **environment},
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode:
        sys.exit(f"{done.stdout}\n{' '.join(map(str, command))}: {done.returncode}")


def rust(settings: dict, out: Path) -> None:
    if not settings["cargo"]:
        raise MissingError("no cargo")
    run(
        *settings["cargo"],
        "doc",
        *settings["cargo_flags"],
        "--no-deps",
        "-p",
        "tachyon-sys",
        "-p",
        "tachyon-ipc",
        where=Path(settings["source"]),
        RUSTDOCFLAGS="-D warnings",
    )
    shutil.copytree(Path(settings["binary"]) / "cargo" / "doc", out)


def java(settings: dict, out: Path) -> None:
    if not settings["javadoc"]:
        raise MissingError("no javadoc, or Java is not built")
    sources = [
        p for folder in settings["java"] for p in sorted(Path(folder).glob("*.java"))
    ]
    if not any("NativeBus" in source.name for source in sources):
        raise MissingError("the Java binding is not built")
    run(
        settings["javadoc"],
        "-quiet",
        "-d",
        out,
        "-Xdoclint:none",
        "-public",
        "-encoding",
        "UTF-8",
        "-notimestamp",
        "-windowtitle",
        "Tachyon for Java",
        *sources,
    )


def typescript(settings: dict, out: Path) -> None:
    if not settings["npm"] or not settings["node"]:
        raise MissingError("no node with npm")
    tools = Path(settings["binary"]) / "site-npm"
    package = Path(__file__).parent / "typedoc" / "package.json"
    stamp = tools / "stamp"
    if not stamp.exists() or stamp.read_text() != package.read_text():
        shutil.rmtree(tools, ignore_errors=True)
        tools.mkdir()
        shutil.copy(package, tools)
        npm = [settings["npm"], "install", "--ignore-scripts", "--no-package-lock"]
        npm += [
            "--no-audit",
            "--no-fund",
            "--fetch-retries",
            "1",
            "--loglevel",
            "error",
        ]
        try:
            subprocess.run(npm, cwd=tools, check=True, timeout=180)
        except subprocess.SubprocessError as error:
            raise MissingError("npm cannot bring typedoc") from error
        stamp.write_text(package.read_text())
    shutil.copy(Path(settings["source"]) / "bindings" / "node" / "index.d.ts", tools)
    (tools / "tsconfig.json").write_text(
        json.dumps(
            {
                "compilerOptions": {
                    "types": ["node"],
                    "lib": ["ES2022"],
                    "strict": True,
                    "moduleResolution": "node",
                    "skipLibCheck": True,
                },
                "files": ["index.d.ts"],
            }
        )
    )
    run(
        settings["node"],
        tools / "node_modules" / "typedoc" / "bin" / "typedoc",
        "--entryPoints",
        "index.d.ts",
        "--out",
        out,
        "--name",
        "Tachyon for Node",
        "--readme",
        "none",
        "--disableSources",
        "--treatWarningsAsErrors",
        "--hideGenerator",
        where=tools,
    )


GATHERED = (
    ("languages", "Each language", "bindings/*/README"),
    ("examples", "Each example", "examples/*/README"),
)
REFERENCES = {"rust": rust, "java": java, "typescript": typescript}
OTHERS = """\
# Rust, Java, TypeScript

Made from the sources by each language's own tool.

| | made by | |
|---|---|---|
{rows}

For the other languages, [LANGUAGES](/docs/LANGUAGES.md) has a page each; their names
are those of `swig/tachyon.i`, and what each offers is listed in
`tests/contract/abi/golden/`.
"""
TOOLS = {
    "rust": (
        "Rust: `tachyon-ipc` and `tachyon-sys`",
        "`cargo doc`",
        "tachyon_ipc/index.html",
    ),
    "java": ("Java: `dev.tachyon_ipc`", "`javadoc`", "index.html"),
    "typescript": (
        "Node and TypeScript: `@tachyon-ipc/core`",
        "`typedoc`",
        "index.html",
    ),
}


def main() -> None:
    settings = json.loads(Path(sys.argv[1]).read_text())
    root, binary = Path(settings["source"]), Path(settings["binary"])
    tree, site = binary / "site-src", binary / "site"
    references = binary / "site-references"
    shutil.rmtree(references, ignore_errors=True)

    rows = []
    for name, make in REFERENCES.items():
        title, tool, page = TOOLS[name]
        try:
            make(settings, references / name)
            rows.append(f'| {title} | {tool} | <a href="{name}/{page}">open</a> |')
        except MissingError as missing:
            print(f"site: skipped the reference of {name}: {missing}")
            rows.append(f"| {title} | {tool} | not in this build: {missing} |")

    stage = Stage(root, tree)
    stage.lay()
    (tree / "api").mkdir(exist_ok=True)
    # A page that nobody has given a place is among the last.
    index = (tree / "index.md").read_text()
    others = sorted(
        page.removesuffix(".md")
        for page in stage.pages
        if f"{page.removesuffix('.md')}\n" not in index.replace("<README>", "\nREADME")
        and not re.fullmatch(r"(bindings|examples)/[^/]+/README.md", page)
    )
    (tree / "index.md").unlink()
    (tree / "index.md").write_text(index.replace("@others@", "\n".join(others)))
    for name, title, glob in GATHERED:
        lines = (
            f"# {title}",
            "",
            "```{toctree}",
            ":glob:",
            ":maxdepth: 1",
            "",
            glob,
            "```",
            "",
        )
        (tree / f"{name}.md").write_text("\n".join(lines))
    (tree / "start.md").write_text(start.page(root))
    for tab in start.TABS:
        for program in tab.programs:
            stage.link(f"bindings/{tab.folder}/{program}")
    (tree / "api" / "c.rst").write_text(
        header.page(
            [root / "core" / "include" / name for name in HEADERS],
            settings["libclang"],
            [
                "-isystem",
                settings["compiler_headers"],
                f"-I{root / 'core' / 'include'}",
            ],
        )
    )
    (tree / "api" / "others.md").write_text(OTHERS.format(rows="\n".join(rows)))

    shutil.rmtree(site, ignore_errors=True)
    environment = {
        **os.environ,
        "TACHYON_SITE": json.dumps({**settings, "tree": str(tree)}),
    }
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "sphinx",
            "-b",
            "html",
            "-q",
            "-W",
            "--keep-going",
            "-c",
            Path(__file__).parent,
            "-d",
            binary / "site-doctrees",
            tree,
            site,
        ],
        env=environment,
        check=False,
    )
    if done.returncode:
        sys.exit(done.returncode)
    for name in REFERENCES:
        if (references / name).exists():
            shutil.copytree(references / name, site / "api" / name)
    print(f"site: {site / 'index.html'}")


if __name__ == "__main__":
    main()
