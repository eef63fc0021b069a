# SPDX-License-Identifier: Apache-2.0
"""The command line as one file: it runs where only Python is."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tachyon

MAKE = Path(__file__).resolve().parents[2] / "bindings/python/zipapp/make.py"
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def make(folder: Path) -> Path:
    """Make it."""
    into = folder / "tachyon.pyz"
    package = Path(tachyon.__file__).parent
    words = [sys.executable, MAKE, "--package", package, "--work", folder]
    done = subprocess.run(
        [*words, "--into", into], capture_output=True, text=True, check=False
    )
    if done.returncode == 77:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stderr
    return into


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("made"))


@pytest.fixture
def run(archive: Path, tmp_path: Path) -> Run:
    """Return a function that runs it, with nothing of ours around it."""
    environment = {"HOME": str(tmp_path / "home"), "PATH": os.environ["PATH"]}

    def call(*arguments: object, **options: Any) -> "subprocess.CompletedProcess[str]":
        file = options.pop("file", archive)
        return subprocess.run(
            [sys.executable, "-S", str(file), *map(str, arguments)],
            env={**environment, **options.pop("env", {})},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
            **options,
        )

    return call


def test_it_sends_and_receives(run: Run, archive: Path, path: str) -> None:
    receiver = subprocess.Popen(
        [sys.executable, "-S", str(archive), "recv", path, "--listen"],
        env={"HOME": str(Path(path).parent), "PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
    )
    sent = run("send", path, input="one\ntwo\n")
    assert (sent.returncode, sent.stderr) == (0, "")
    assert receiver.communicate(timeout=50)[0] == b"one\ntwo\n"


def test_it_has_all_commands(run: Run, path: str, tmp_path: Path) -> None:
    assert run("--version").stdout == f"tachyon, version {tachyon.__version__}\n"
    assert run("list", "--json").returncode == 0
    assert run("doctor", path).returncode == 3
    (tmp_path / "no.mcap").write_bytes(b"")
    assert run("export", "no.mcap", "x.csv", "--type", "1").returncode == 6


def test_it_is_unpacked_once(run: Run, tmp_path: Path) -> None:
    run("--version")
    (folder,) = (tmp_path / "home/.cache/tachyon-ipc").iterdir()
    before = folder.stat()
    assert run("--version").returncode == 0
    assert list(folder.parent.iterdir()) == [folder]
    after = folder.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_it_runs_where_nothing_can_be_kept_and_leaves_nothing(
    run: Run, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    nowhere = {"XDG_CACHE_HOME": str(tmp_path / "file"), "TMPDIR": str(temporary)}
    done = run("--version", env=nowhere)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(temporary.iterdir()) == []


def changed(archive: Path, into: Path, name: str, contents: bytes) -> Path:
    """Return a copy of the archive with another file in it."""
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(into, "w") as new:
        for entry in old.infolist():
            same = entry.filename != name
            new.writestr(entry, old.read(entry) if same else contents)
    return into


def test_another_python_is_told_which_it_is_for(
    run: Run, archive: Path, tmp_path: Path
) -> None:
    other = b"SOABI = 'cpython-39-riscv64-linux-musl'\nCONTENTS = 'x'\n"
    file = changed(archive, tmp_path / "other.pyz", "tachyon_zipapp.py", other)
    done = run("list", file=file)
    assert done.returncode == 8
    assert done.stderr.count("\n") == 1
    assert "cpython-39-riscv64-linux-musl" in done.stderr
    assert "pip install" in done.stderr


def test_a_system_that_it_does_not_fit_is_told_in_a_line(
    run: Run, archive: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(archive) as whole:
        (name,) = [x for x in whole.namelist() if x.startswith("tachyon/_native.cp")]
    file = changed(archive, tmp_path / "other.pyz", name, b"\x7fELF nothing")
    done = run("list", file=file)
    assert done.returncode == 8
    assert done.stderr.count("\n") == 1
    assert "cannot run here" in done.stderr


def test_it_is_the_same_file_each_time(archive: Path, tmp_path: Path) -> None:
    assert make(tmp_path).read_bytes() == archive.read_bytes()
