# SPDX-License-Identifier: Apache-2.0
"""Install the wheels of one platform and run the tests of Python with them.

    check.py --platform NAME --pythons=PATH,PATH and the arguments of wheels.py

Natively where an interpreter runs here; those of another machine run in qemu, with the
C library of a package of the distribution. TACHYON_WHEELS=all tries every version. What
cannot be tried is named; exit status 77: that was all.
"""

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import cpython
import machines
from tools import MissingError, run
from wheels import SOURCE, Maker

SKIPPED = 77
SUITE = SOURCE / "tests/python"
# Messages, calls and views of memory, between threads and between processes.
CORE = ["send_receive", "rpc", "buffers", "batches", "blocking", "guards", "errors"]
CORE += ["records", "fork", "peer", "messages", "frames"]
PINS = (SOURCE / "core/cmake/requirements.txt").read_text()
# What comes along with them.
BESIDE = ["pluggy==1.7.0", "iniconfig==2.3.1", "packaging==26.4", "pygments==2.21.0"]
BESIDE += ["exceptiongroup==1.3.2", "tomli==2.5.0", "typing_extensions==4.16.0"]
BESIDE += ["sortedcontainers==2.4.0"]
SMOKE = """
import os, platform, sys, tachyon
path, where, machine = sys.argv[1:]
assert tachyon._native.__file__.startswith(where), tachyon._native.__file__
assert platform.machine() == machine, platform.machine()
child = os.fork()
if child == 0:
    with tachyon.Bus.connect(path, timeout=60) as bus:
        for number in range(1000):
            bus.send(b"%d" % number * (number % 50), type_id=number + 1)
    os._exit(0)
with tachyon.Bus.listen(path, 4096, timeout=60) as bus:
    for number, message in enumerate(bus):
        assert message.type_id == number + 1
        assert bytes(message.data) == b"%d" % number * (number % 50), number
assert number == 999, number
assert os.waitpid(child, 0)[1] == 0
print("1000 messages with", platform.python_version(), "on", machine)
"""


class Interpreter:
    """Where a wheel is tried: how Python starts, and what pip is to install for."""

    def __init__(self, words: list[str], environment: dict[str, str]) -> None:
        self.words, self.environment = words, {**os.environ, **environment}
        for name in ("PYTHONPATH", "PYTHONHOME", "PYENV_VERSION"):
            self.environment.pop(name, None)

    def can(self, statement: str) -> bool:
        """Tell whether a statement runs without an error."""
        command = [*self.words, "-c", statement]
        environment = self.environment
        return not subprocess.run(
            command, env=environment, capture_output=True, check=False
        ).returncode

    def run(self, *arguments: object, **variables: str) -> str:
        """Run Python with arguments; what it prints is shown only if it fails."""
        environment = {**self.environment, **variables}
        return run(*self.words, *arguments, env=environment, cwd="/")


def own(version: str, given: list[str]) -> str | None:
    """Find an interpreter of this machine, also one that pyenv hides behind a shim."""
    probe = "import sys, venv, ensurepip; print(*sys.version_info[:2], sys.executable)"
    for program in [*given, f"python{version}"]:
        for variables in ({}, {"PYENV_VERSION": version}):
            answer = subprocess.run(
                ["/usr/bin/env", program, "-c", probe],
                env={**os.environ, **variables},
                capture_output=True,
                text=True,
                check=False,
            ).stdout.split(maxsplit=2)
            if ".".join(answer[:2]) == version:
                return answer[2].strip()
    return None


def of_archive(version: str, machine: str, maker: Maker, scratch: Path) -> Interpreter:
    """Return the CPython of the registry, in qemu if it is for another machine."""
    place = cpython.prefix(version, machine, maker.pythons, whole=True)
    program = str(place / f"bin/python{version}")
    libraries = {"LD_LIBRARY_PATH": str(place)}
    if machine == platform.machine():
        words = [program]
    else:
        root = machines.library(machine, "gnu", maker.work)
        # A test starts another Python as sys.executable, which the kernel has to know.
        wrapper = machines.script(
            scratch / "python",
            *machines.runner(machine, root),
            *("-E", f"LD_LIBRARY_PATH={place}", program),
        )
        words, libraries = [str(wrapper)], {}
    interpreter = Interpreter(words, libraries)
    try:
        subprocess.run(
            [*interpreter.words, "-c", "import socket, mmap"],
            env=interpreter.environment,
            capture_output=True,
            check=True,
        )
    except subprocess.CalledProcessError as failed:
        last = failed.stderr.decode().strip().splitlines()[-1:] or [failed.returncode]
        raise MissingError(
            f"CPython {version} of the registry does not run here: {last[0]}"
        ) from None
    return interpreter


def for_tests(version: str) -> list[str]:
    """Return the packages that the tests need, as requirements.txt pins them."""
    old = version == "3.10"
    pattern = r"^((?:pytest|pytest-timeout|hypothesis|numpy)==[\d.]+)(.*)$"
    found = re.findall(pattern, PINS, re.MULTILINE)
    return [name for name, when in found if not when or ("<" in when) == old]


def install(wheel: Path, version: str, target: str, site: Path, maker: Maker) -> None:
    """Install a wheel and what the tests need as pip would on the wheel's platform."""
    machine = target.split("_", 3)[-1]
    newer = [f"manylinux_2_27_{machine}", f"manylinux_2_28_{machine}"]  # numpy's
    for packages, platforms in (
        ([str(wheel)], [target]),
        ([*for_tests(version), *BESIDE], [target, *newer]),
    ):
        run(
            *(maker.tools / "bin/python", "-m", "pip", "install", "-q", "--no-deps"),
            *("--disable-pip-version-check", "--no-compile", "--only-binary=:all:"),
            *("--implementation", "cp", "--python-version", version),
            *(f"--platform={name}" for name in platforms),
            *("--target", site, *packages),
        )


def suite(python: Interpreter, scratch: Path) -> str:
    """Run the core of the tests of Python; return pytest's last line."""
    tests = scratch / "tests/python"
    if not tests.exists():
        shutil.copytree(SUITE, tests)
        (scratch / "tests/schema").mkdir()
        shutil.copy(SOURCE / "tests/schema/every.py", scratch / "tests/schema")
    start = f"""
import sys
sys.executable = {python.words[0]!r}
import pytest
sys.exit(pytest.main(sys.argv[1:]))
"""
    files = [tests / f"test_{name}.py" for name in CORE]
    output = python.run(
        *("-c", start, "-q", "-p", "no:cacheprovider", "--timeout", "600", *files),
        PYTHONDONTWRITEBYTECODE="1",
    )
    return output.strip().splitlines()[-1]


def prepare(
    wheel: Path, target: str, given: list[str], maker: Maker, scratch: Path
) -> tuple[Interpreter, Path]:
    """Install a wheel; return what runs it, and where it has been installed."""
    version = re.sub(r".*-cp3(\d+)-.*", r"3.\1", wheel.name)
    machine = target.split("_", 3)[-1]
    native = own(version, given) if machine == platform.machine() else None
    if native:
        # As its users do.
        run(native, "-m", "venv", scratch / "venv")
        python = scratch / "venv/bin/python"
        pip = (python, "-m", "pip", "install", "-q", "--disable-pip-version-check")
        run(*pip, wheel)
        run(*pip, *for_tests(version))
        return Interpreter([str(python)], {}), scratch / "venv"
    site = scratch / "site"
    python = of_archive(version, machine, maker, scratch)
    install(wheel, version, target, site, maker)
    python.environment["PYTHONPATH"] = str(site)
    return python, site


def look_into_musl(wheel: Path, machine: str, scratch: Path) -> None:
    """Find all that a wheel asks for, but Python's, in the library of this machine."""
    library, nm = Path(f"/lib/ld-musl-{machine}.so.1"), shutil.which("nm")
    if machine != platform.machine() or not library.exists() or not nm:
        raise MissingError("neither a CPython for musl nor that musl is here")
    with zipfile.ZipFile(wheel) as files:
        (name,) = [name for name in files.namelist() if name.endswith(".so")]
        module = files.extract(name, scratch)
    asked = set(re.findall(r"[Uw] (\S+)", run(nm, "-D", "--undefined-only", module)))
    there = set(re.findall(r"[A-Z] (\S+)", run(nm, "-D", "--defined-only", library)))
    python = {name for name in asked if name.startswith(("Py", "_Py"))}
    weak = {"_ITM_deregisterTMCloneTable", "_ITM_registerTMCloneTable"}
    weak |= {"__cxa_finalize", "__gmon_start__"}
    lacking = asked - python - there - weak
    if not python or lacking:
        sys.exit(f"{wheel.name}: musl has no {sorted(lacking)}")
    found = len(asked & there)
    print(
        f"{wheel.name}: all {found} symbols are musl's that are not Python's",
        flush=True,
    )


def check(version: str, target: str, given: list[str], maker: Maker) -> bool:
    """Try one wheel; tell whether it could be tried."""
    machine = target.split("_", 3)[-1]
    try:
        wheel = maker.make(version, target)
        with tempfile.TemporaryDirectory() as directory:
            scratch = Path(directory)
            if target.startswith("musllinux"):
                look_into_musl(wheel, machine, scratch)
                return True
            python, where = prepare(wheel, target, given, maker, scratch)
            socket = scratch / "smoke.sock"
            smoke = python.run("-c", SMOKE, socket, where, machine).strip()
            begin = time.monotonic()
            # pytest needs it; emulated, there may be no zlib, which it needs.
            if python.can("import binascii"):
                tests = suite(python, scratch)
            else:
                tests = "SKIPPED: its tests, since that Python lacks its zlib"
            seconds = time.monotonic() - begin
            print(f"{wheel.name}: {smoke}; {tests} ({seconds:.0f} s)", flush=True)
    except MissingError as missing:
        print(f"SKIPPED: {version} {target}: {missing}", flush=True)
        return False
    return True


def main() -> None:
    """Try the wheels that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--platform", required=True)
    parser.add_argument("--pythons", default="")
    parser.add_argument("--swig", required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--into", type=Path, required=True)
    arguments = parser.parse_args()
    maker = Maker(arguments.swig, arguments.work, arguments.into)
    versions = cpython.VERSIONS
    if os.environ.get("TACHYON_WHEELS") != "all":
        if arguments.platform != "manylinux_2_17_x86_64":
            print("SKIPPED: the preset `wheels` tries this platform")
            sys.exit(SKIPPED)
        versions = ["3.12"]
    given = [program for program in arguments.pythons.split(",") if program]
    tried = [check(each, arguments.platform, given, maker) for each in versions]
    if not any(tried):
        sys.exit(SKIPPED)


if __name__ == "__main__":
    main()
