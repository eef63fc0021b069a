# SPDX-License-Identifier: Apache-2.0
"""The sdist installs on every Python that is here, with nothing but a C compiler.

The build runs with a PATH on which there is no swig, no cmake and no make: they come
from PyPI. What it built is then put through the whole test suite.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SUITE = ROOT / "tests/python"
EVERY = ROOT / "tests/schema/every.py"
PACKAGE = ROOT / "bindings/python/tachyon"
PROBE = """
import ensurepip, os, sys, sysconfig, venv
assert os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h"))
print(sys.executable)
"""
SMOKE = """
import os, sys, tachyon
path, where = sys.argv[1:]
assert where in tachyon.__file__.split("/"), tachyon.__file__
if os.fork() == 0:
    with tachyon.Bus.connect(path, timeout=10) as bus:
        with bus.send_zero_copy(size=5, type_id=1) as tx:
            with memoryview(tx) as view:
                view[:] = b"hello"
            tx.actual_size = 5
    os._exit(0)
with tachyon.Bus.listen(path, 4096, timeout=10) as bus:
    print(tachyon.__version__, [tuple(message) for message in bus])
"""
TICK = """
#include <stdint.h>
#include <tachyon.h>
typedef struct TACHYON_MAY_GROW { uint64_t x; uint64_t later TACHYON_SINCE(2); } Tick;
"""

pytestmark = pytest.mark.timeout(600)


def interpreters() -> dict[str, str]:
    """Find the Pythons on PATH that run, also those that pyenv hides behind shims."""
    found = {}
    for minor in range(10, 15):
        version = f"3.{minor}"
        for environment in ({}, {"PYENV_VERSION": version}):
            probe = subprocess.run(
                ["/usr/bin/env", f"python{version}", "-c", PROBE],
                env={**os.environ, **environment},
                capture_output=True,
                text=True,
                check=False,
            )
            if probe.returncode == 0:
                found[version] = probe.stdout.strip()
                break
    return found or {"{}.{}".format(*sys.version_info): sys.executable}


@pytest.fixture(scope="module")
def bare_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a directory with a C compiler and its tools, and nothing else."""
    directory = tmp_path_factory.mktemp("bin")
    # Some interpreters name the compiler that they were built with.
    own = Path(str(sysconfig.get_config_var("CC") or "cc").split()[0]).name
    for tool in {own, "cc", "gcc", "as", "ld", "ar", "ranlib", "strip", "sh", "env"}:
        place = shutil.which(tool)
        if place:
            (directory / tool).symlink_to(os.path.realpath(place))
    return str(directory)


def run(*command: object, path: str, cwd: Path) -> str:
    """Run a command on a bare PATH and return what it prints."""
    network = re.compile(r"(PIP|SSL)_.*|.*_(proxy|PROXY|CA_BUNDLE)")
    environment = {
        **{name: os.environ[name] for name in os.environ if network.fullmatch(name)},
        "PATH": path,
        "HOME": os.environ.get("HOME", str(cwd)),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIPENV_VENV_IN_PROJECT": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    result = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, f"{command}\n{result.stdout}{result.stderr}"
    return result.stdout


def smoke(python: Path, path: str, cwd: Path, where: str = "site-packages") -> None:
    """Send one message with a package that is installed in a folder of that name."""
    output = run(python, "-c", SMOKE, cwd / "smoke.sock", where, path=path, cwd=cwd)
    assert re.fullmatch(r"\d+\.\d+\.\d+ \[\(1, 5, b'hello'\)\]\n", output)


def tracked(*places: str) -> set[str]:
    """List the files that git has at some places of the tree."""
    git = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", *places],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if git.returncode:
        pytest.skip("not a git checkout")
    return set(git.stdout.split("\0")) - {""}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Copy what git has of the tree."""
    for name in tracked():
        (tmp_path / "src" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, tmp_path / "src" / name, follow_symlinks=False)
    return tmp_path / "src"


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory, bare_path: str) -> Path:
    """Build the sdist."""
    directory = tmp_path_factory.mktemp("sdist")
    run(
        *(sys.executable, "-m", "build", "--sdist", "--outdir", directory, ROOT),
        path=bare_path,
        cwd=directory,
    )
    (archive,) = directory.iterdir()
    return archive


def test_sdist_is_what_git_has_of_the_package_and_its_build(
    checkout: Path, bare_path: str, tmp_path: Path
) -> None:
    # What an editable install, an import, an editor and a build leave behind.
    for name in (
        "bindings/python/tachyon/__pycache__/bus.cpython-311.pyc",
        "bindings/python/tachyon/_native.cpython-311-x86_64-linux-gnu.so",
        "bindings/python/tachyon_ipc.egg-info/PKG-INFO",
        "core/src/.ring.h.swp",
        "core/src/ring.o",
        "bindings/python/overlay/low.c.orig",
        "build/CMakeCache.txt",
    ):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).touch()
    run(
        *(sys.executable, "-m", "build", "--sdist", "--outdir", tmp_path, checkout),
        path=bare_path,
        cwd=tmp_path,
    )
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        names = {name.split("/", 1)[1] for name in files.getnames()}
    wanted = tracked("bindings/python/tachyon", "bindings/python/overlay")
    wanted |= tracked("core", "swig") - tracked("core/packages")
    own = ("CMakeLists.txt", "command.py", "python.i")
    wanted |= {f"bindings/python/{name}" for name in own}
    wanted |= {"CMakeLists.txt", "LICENSE", "README.md", "PKG-INFO", "pyproject.toml"}
    assert names == wanted


INTERPRETERS = interpreters()
OTHERS = [v for v in INTERPRETERS if v != "{}.{}".format(*sys.version_info)]
# The suite takes minutes, and the build's own Python has run it: so with the oldest.
# The preset `wheels` runs it with each.
WITH_SUITE = OTHERS[:1]


class Suites:
    """Runs of the suite, which go on beside other tests."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self.pool = pool
        self.runs: dict[str, Future[str]] = {}

    def start(self, version: str, python: Path, path: str, cwd: Path) -> None:
        """Run a copy of the suite with a Python that has the package, in a folder."""
        suite = cwd / "tests/python"
        shutil.copytree(SUITE, suite)
        (cwd / "tests/schema").mkdir()
        shutil.copy(EVERY, cwd / "tests/schema")  # messages for the suite
        shutil.copy(ROOT / "README.md", cwd)  # a test runs what stands in it
        self.runs[version] = self.pool.submit(
            run, python, "-m", "pytest", "-q", suite, path=path, cwd=cwd
        )


@pytest.fixture(scope="module")
def suites() -> Iterator[Suites]:
    with ThreadPoolExecutor() as pool:
        yield Suites(pool)


@pytest.mark.parametrize("version", INTERPRETERS)
def test_wheel_from_the_sdist(
    version: str, sdist: Path, bare_path: str, tmp_path: Path, suites: Suites
) -> None:
    run(INTERPRETERS[version], "-m", "venv", "venv", path=bare_path, cwd=tmp_path)
    python = tmp_path / "venv/bin/python"
    run(
        *(python, "-m", "pip", "wheel", "--no-deps", "-w", tmp_path, sdist),
        path=bare_path,
        cwd=tmp_path,
    )
    (wheel,) = tmp_path.glob("*.whl")
    tag = "cp" + version.replace(".", "")
    assert re.fullmatch(rf"tachyon_ipc-[\d.]+-{tag}-{tag}-linux_\w+\.whl", wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        names = {n for n in archive.namelist() if ".dist-info/" not in n}
    package = {
        f"tachyon/{n.relative_to(PACKAGE)}"
        for n in PACKAGE.rglob("*")
        if n.is_file() and n.suffix != ".pyc"
    }
    package.add("tachyon/schema/include/tachyon.h")
    native, command = sorted(names - package, key=lambda name: "/scripts/" in name)
    assert native.startswith("tachyon/_native.")
    assert command.endswith(".data/scripts/tachyon")
    assert package <= names
    run(
        *(python, "-m", "pip", "install", f"{wheel}[schema]"),
        *("pytest", "pytest-timeout", "hypothesis", "numpy"),
        path=bare_path,
        cwd=tmp_path,
    )
    smoke(python, bare_path, tmp_path)
    command = tmp_path / "venv/bin/tachyon"  # of this Python, whatever PATH is
    assert command.read_text().startswith(f"#!{python}\n")
    # Without any compiler, nor headers but those of the wheel.
    header = tmp_path / "tick.h"
    header.write_text(TICK)
    output = run(
        *(python, "-m", "tachyon.schema", header, "--types", "Tick=1"),
        path="/nonexistent",
        cwd=tmp_path,
    )
    assert output.endswith(" x u64 @0\n later u64 @8\n = 16 align 8\n")
    if version in WITH_SUITE:
        suites.start(version, python, bare_path, tmp_path)


@pytest.mark.parametrize("editable", [(), ("-e",)], ids=["copied", "editable"])
def test_pip_of_debian_12_installs_from_a_checkout_and_leaves_it_as_it_is(
    editable: tuple[str, ...], checkout: Path, bare_path: str, tmp_path: Path
) -> None:
    run(sys.executable, "-m", "venv", "venv", path=bare_path, cwd=tmp_path)
    python = tmp_path / "venv/bin/python"
    if sys.version_info < (3, 12):  # it runs on no later one
        run(python, "-m", "pip", "install", "pip==23.0.1", path=bare_path, cwd=tmp_path)
    for place in [checkout, *checkout.rglob("*")]:
        if not place.is_symlink():
            place.chmod(
                place.stat().st_mode & ~0o222
            )  # nothing to root, who sees below
    before = {place: place.lstat().st_mtime_ns for place in checkout.rglob("*")}
    try:
        run(
            *(python, "-m", "pip", "install", *editable, checkout),
            path=bare_path,
            cwd=tmp_path,
        )
        where = "src" if editable else "site-packages"
        smoke(python, bare_path, tmp_path, where)
        after = {place: place.lstat().st_mtime_ns for place in checkout.rglob("*")}
        assert after == before
    finally:
        for place in [checkout, *checkout.rglob("*")]:
            if not place.is_symlink():
                place.chmod(place.stat().st_mode | 0o200)


def test_pipenv_installs_from_the_sdist(
    sdist: Path, bare_path: str, tmp_path: Path
) -> None:
    run(sys.executable, "-m", "venv", "tools", path=bare_path, cwd=tmp_path)
    tools = tmp_path / "tools/bin"
    run(
        tools / "python", "-m", "pip", "install", "pipenv", path=bare_path, cwd=tmp_path
    )
    project = tmp_path / "project"
    project.mkdir()
    path = f"{tools}:{bare_path}"
    run(tools / "pipenv", "install", sdist, path=path, cwd=project)
    assert "tachyon" in (project / "Pipfile").read_text()
    smoke(project / ".venv/bin/python", path, project)


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("version", WITH_SUITE)
def test_installed_wheel_passes_the_suite(version: str, suites: Suites) -> None:
    assert version in suites.runs, "its wheel was not installed"
    suites.runs[version].result()
