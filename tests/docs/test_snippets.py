# SPDX-License-Identifier: Apache-2.0
"""Every program in the pages compiles and runs as it stands there."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from snippets import PROGRAMS, Block, blocks, runs

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ["TACHYON_BUILD"])
RUST = BUILD / "cargo" / "release"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
ALL = [
    *PAGES,
    *sorted(ROOT.glob("examples/**/*.md")),
    *sorted(ROOT.glob("bindings/*/*.md")),
    *sorted(ROOT.glob("*.md")),
]
LIMIT = 60.0
C_FLAGS = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE"]
RUNS = [(page, run) for page in PAGES for run in runs(page)]


class Stage:
    """A directory with the programs of a page, ready to be started."""

    def __init__(self, page: Path, directory: Path, prefix: Path) -> None:
        self.directory = directory
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = str(probe.getsockname()[1])
        self._environment = {
            **os.environ,
            "PKG_CONFIG_PATH": str(prefix / "lib" / "pkgconfig"),
            "CMAKE_PREFIX_PATH": str(prefix),
            "LD_LIBRARY_PATH": str(prefix / "lib"),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        for block in blocks(page):
            if block.language == "sh":  # as if in a checkout
                for entry in ROOT.iterdir():
                    link = directory / entry.name
                    if not entry.name.startswith("build") and not link.exists():
                        link.symlink_to(entry)
            if block.name:
                text = re.sub(r"\b8000\b", self._port, block.text)
                text = text.replace("/tmp/", f"{directory}/")
                (directory / block.name).write_text(text)

    def command(self, block: Block) -> list[str]:
        """Return what runs a program; C and Rust are compiled."""
        for package in ("pandas", "pyarrow"):
            if f"import {package}" in block.text:
                pytest.importorskip(package, reason=f"{package} is not installed")
        source = self.directory / block.name
        program = source.with_suffix("")
        if block.language == "python":
            return [sys.executable, "-W", "error", str(source)]
        if block.language == "sh":
            return ["sh", "-eu", str(source)]
        if block.language == "rust":
            if not (RUST / "libtachyon_ipc.rlib").exists():
                pytest.skip("the crates are not built")
            compiler = [
                os.environ.get("RUSTC", "rustc"),
                "--edition",
                "2021",
                "-D",
                "warnings",
            ]
            compiler += ["-L", f"dependency={RUST / 'deps'}"]
            for crate in ("tachyon_ipc", "tachyon_sys"):
                compiler += ["--extern", f"{crate}={RUST / f'lib{crate}.rlib'}"]
            compiler += [str(source), "-o", str(program)]
        else:
            cpp = block.language == "cpp"
            flags = ["-std=c++17", *C_FLAGS[1:]] if cpp else C_FLAGS
            compiler = [
                "c++" if cpp else os.environ.get("CC", "cc"),
                *flags,
                str(source),
            ]
            compiler += ["-I", str(ROOT / "core" / "include"), "-o", str(program)]
            compiler += [str(BUILD / "core" / "libtachyon.a"), "-lpthread"]
        subprocess.run(compiler, check=True, cwd=self.directory)
        return [str(program)]

    def start(self, block: Block, command: list[str]) -> subprocess.Popen[str]:
        """Start a program; its output goes to a file."""
        output = (self.directory / f"{block.name}.out").open("w")
        return subprocess.Popen(
            command,
            cwd=self.directory,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def output(self, block: Block) -> str:
        """Return what a program has printed."""
        return (self.directory / f"{block.name}.out").read_text()

    def listening(self) -> set[str]:
        """Return the sockets and ports that programs listen on."""
        inet = Path("/proc/net/tcp").read_text()
        port = f":{int(self._port):04X} 00000000:0000 0A"
        sockets = {str(path) for path in self.directory.iterdir() if path.is_socket()}
        return sockets | ({"port"} if port in inet else set())


@pytest.fixture(scope="session")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the library is installed, for scripts that build with it."""
    prefix = tmp_path_factory.mktemp("prefix")
    subprocess.run(
        ["cmake", "--install", BUILD, "--prefix", prefix],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return prefix


@pytest.mark.parametrize(
    ("page", "run"),
    RUNS,
    ids=[f"{page.name}-{'+'.join(b.name for b in run)}" for page, run in RUNS],
)
def test_programs_run_as_they_are_written(
    page: Path, run: list[Block], tmp_path: Path, prefix: Path
) -> None:
    stage = Stage(page, tmp_path, prefix)
    commands = [(block, stage.command(block)) for block in run]
    running: list[tuple[Block, subprocess.Popen[str]]] = []
    deadline = time.monotonic() + LIMIT
    try:
        for block, command in commands:
            before = stage.listening()
            process = stage.start(block, command)
            running.append((block, process))
            while block.listens and stage.listening() <= before:
                if process.poll() is not None or time.monotonic() > deadline:
                    break
                time.sleep(0.005)
        for block, process in sorted(running, key=lambda pair: pair[0].interrupt):
            if block.interrupt:
                process.send_signal(signal.SIGINT)
            process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        pass
    finally:
        for _, process in running:
            if process.poll() is None:
                process.kill()
                process.wait()
    report = "\n".join(
        f"{block}, {block.name}: status {process.returncode}\n{stage.output(block)}"
        for block, process in running
    )
    assert all(process.returncode == 0 for _, process in running), report


def test_every_program_has_a_name_and_so_a_test() -> None:
    nameless = [
        f"{block}: {block.language}"
        for page in PAGES
        for block in blocks(page)
        if block.language in PROGRAMS and not block.name
    ]
    assert nameless == []
    assert len(RUNS) > 10


def presets(kind: str) -> set[str]:
    known = json.loads((ROOT / "CMakePresets.json").read_text())
    return {preset["name"] for preset in known[f"{kind}Presets"]}


def wrong_in(line: str, targets: str) -> list[str]:
    """Return what a line of shell refers to that is not there."""
    wrong = []
    for pattern, kind in (
        (r"--workflow --preset (\S+)", "workflow"),
        (r"cmake --preset (\S+)", "configure"),
        (r"--build --preset (\S+)", "build"),
        (r"ctest --preset (\S+)", "test"),
    ):
        wrong += [
            f"no {kind} preset {name}"
            for name in re.findall(pattern, line)
            if name not in presets(kind)
        ]
    wrong += [
        f"no target {name}"
        for name in re.findall(r"--build build --target (\S+)", line)
        # Make lists "... name", Ninja "name: phony".
        if not re.search(rf"^(\.\.\. )?{re.escape(name)}(: \w+)?$", targets, re.M)
    ]
    wrong += [
        f"no {path}"
        for path in re.findall(
            r"(?<![\w/.~-])((?:examples|tests|docs|core|bindings|rust-sys)/[\w./-]+)",
            line,
        )
        if not (ROOT / path).exists()
    ]
    wrong += [
        f"no {path} after a build"
        for path in re.findall(r"^build/([\w./-]+)", line)  # programs that are run
        if not (BUILD / path).exists() and "rust" not in path and "cargo" not in path
    ]
    return wrong


def test_commands_name_what_is_there() -> None:
    targets = subprocess.run(
        ["cmake", "--build", BUILD, "--target", "help"],
        check=True,
        text=True,
        stdout=subprocess.PIPE,
    ).stdout
    wrong = []
    commands = 0
    for page in dict.fromkeys(ALL):
        for block in blocks(page):
            if block.language == "sh":
                for line in block.text.splitlines():
                    commands += 1
                    wrong += [f"{block}: {w}" for w in wrong_in(line, targets)]
    assert wrong == []
    assert commands > 20


def anchors(page: Path) -> set[str]:
    """Return the anchors that a page's headings have on the web."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.*)$", text, re.M)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in headings
    }


def test_links_lead_somewhere() -> None:
    wrong = []
    for page in dict.fromkeys(ALL):
        text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            there = (page.parent / path) if path else page
            if not there.exists():
                wrong.append(f"{page.relative_to(ROOT)}: no {target}")
            elif anchor and anchor not in anchors(there):
                wrong.append(f"{page.relative_to(ROOT)}: no heading {target}")
    assert wrong == []


def names_of(language: str) -> str:
    """Return the text in which the API of a language is declared."""
    if language == "C":
        return (ROOT / "core" / "include" / "tachyon.h").read_text()
    folder = {"Python": "bindings/python/tachyon", "Rust": "bindings/rust/src"}
    files = sorted((ROOT / folder[language]).glob("**/*.[pr]*"))
    return "\n".join(file.read_text() for file in files if file.suffix in CODE)


CODE = {".py", ".pyi", ".rs"}


def test_the_table_of_the_api_has_real_names() -> None:
    text = (ROOT / "README.md").read_text()
    table = text[text.index("\n| step |") :].split("\n\n")[0].splitlines()[1:]
    languages = [cell.strip() for cell in table[0].strip("|").split("|")][1:]
    assert languages == ["C", "Python", "Rust"]
    wrong = []
    seen = 0
    for row in table[2:]:
        cells = [cell.strip() for cell in row.strip("|").split("|")][1:]
        for language, cell in zip(languages, cells, strict=True):
            declared = names_of(language)
            for name in re.findall(r"`([^`]+)`", cell):
                for word in re.findall(r"[A-Za-z]\w{3,}", name.split("(")[0]):
                    seen += 1
                    if not re.search(rf"(\b|_){re.escape(word)}\b", declared):
                        wrong.append(f"{language}: {name}")
    assert wrong == []
    assert seen > 40


def test_the_shell_is_a_shell() -> None:
    for page in dict.fromkeys(ALL):
        for block in blocks(page):
            if block.language == "sh":
                subprocess.run(["sh", "-n"], input=block.text, text=True, check=True)
