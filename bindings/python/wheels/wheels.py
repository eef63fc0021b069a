# SPDX-License-Identifier: Apache-2.0
"""Make the wheels, each audited, for every CPython, machine and C library.

    wheels.py --swig PROGRAM --work DIRECTORY --into DIRECTORY [--only REGEX]

The tools are pinned in requirements.txt and land in a virtual environment in the
directory for work, as do the builds, which later runs go on from. A CPython whose
headers cannot be had is named and left out.
"""

import argparse
import fcntl
import re
import shutil
import sys
import time
import zipfile
from pathlib import Path

import cpython
from tools import HERE, MissingError, Tools, run

SOURCE = HERE.parents[2]
# What pip calls it, what zig calls it, and what a module's name ends in.
TARGETS = {
    "manylinux_2_17_x86_64": ("x86_64-linux-gnu.2.17", "x86_64-linux-gnu"),
    "manylinux_2_17_aarch64": ("aarch64-linux-gnu.2.17", "aarch64-linux-gnu"),
    "musllinux_1_2_x86_64": ("x86_64-linux-musl", "x86_64-linux-musl"),
    "musllinux_1_2_aarch64": ("aarch64-linux-musl", "aarch64-linux-musl"),
}


class Maker:
    """Makes wheels in one directory for work."""

    def __init__(self, swig: str, work: Path, into: Path) -> None:
        self.swig, self.work, self.into = swig, work.resolve(), into.resolve()
        self.pythons = self.work / "cpython"
        self.into.mkdir(parents=True, exist_ok=True)
        tools = Tools(self.work)
        self.tools, self.zig = tools.folder, tools.zig
        self.environment = tools.environment

    def make(self, version: str, target: str) -> Path:
        """Make one wheel and return it, audited and named after what it runs on."""
        triple, suffix = TARGETS[target]
        machine = suffix.partition("-")[0]
        tag = "cp" + version.replace(".", "")
        soabi = f"cpython-{tag[2:]}-{suffix}"
        if tag == "cp310" and "musl" in suffix:
            soabi = ""  # some call it gnu there, and others musl: this all of them find
        place = self.work / f"{tag}-{target}"
        place.mkdir(exist_ok=True)
        with (place / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            defines = {
                "CMAKE_TOOLCHAIN_FILE": HERE / "zig.cmake",
                "TACHYON_ZIG": self.zig,
                "TACHYON_ZIG_TARGET": triple,
                "TACHYON_PYTHON_INCLUDE_DIR": cpython.headers(version, self.pythons),
                "TACHYON_PYTHON_SOABI": soabi,
                "SWIG_EXECUTABLE": self.swig,
            }
            settings = {
                "build-dir": place / "build",
                "wheel.tags": f"{tag}-{tag}-linux_{machine}",
                "install.strip": "false",  # zig's linker has done it
                **{f"cmake.define.{name}": value for name, value in defines.items()},
            }
            raw, audited = place / "raw", place / "audited"
            for directory in (raw, audited):
                shutil.rmtree(directory, ignore_errors=True)
            run(
                *(self.tools / "bin/python", "-m", "pip", "wheel", "--no-deps"),
                *("--no-build-isolation", "--disable-pip-version-check", "-w", raw),
                SOURCE,
                *(f"-C{name}={value}" for name, value in settings.items()),
                env=self.environment,
            )
            (wheel,) = raw.glob("*.whl")
            # Named after the oldest platform that has what it asks for; of other
            # machines it takes no name.
            run(
                *(self.tools / "bin/auditwheel", "repair", "--plat", "auto"),
                *("--only-plat", "-w", audited, wheel),
                env=self.environment,
            )
            (wheel,) = audited.glob("*.whl")
            self.check(wheel, tag, target, f"_native.{soabi}.so".replace("..", "."))
            # Of an earlier version, or named otherwise.
            for old in self.into.glob(f"*-{tag}-{tag}-*{target}*.whl"):
                old.unlink()
            return Path(shutil.move(wheel, self.into / wheel.name))

    def check(self, wheel: Path, tag: str, target: str, module: str) -> None:
        """Check what auditwheel does not: the names, and that nothing came along."""
        expected = {target, target.replace("manylinux_2_17_", "manylinux2014_")}
        platforms = set(wheel.stem.split("-")[-1].split("."))
        if wheel.stem.split("-")[2:4] != [tag, tag] or platforms != expected:
            sys.exit(f"{wheel.name} is not named {tag}-{tag}-{target}")
        with zipfile.ZipFile(wheel) as files:
            modules = [name for name in files.namelist() if ".so" in name]
        if modules != [f"tachyon/{module}"]:
            sys.exit(f"{wheel.name} has {modules}")
        shown = run(self.tools / "bin/auditwheel", "show", wheel, env=self.environment)
        if f'"{target}"' not in shown:
            sys.exit(f"{wheel.name} is not for {target}:\n{shown}")


def main() -> None:
    """Make what the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--swig", required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--only", default="", help="of cp312-musllinux_1_2_aarch64 …")
    arguments = parser.parse_args()
    maker = Maker(arguments.swig, arguments.work, arguments.into)
    made = 0
    for version in cpython.VERSIONS:
        for target in TARGETS:
            name = f"cp{version.replace('.', '')}-{target}"
            if not re.search(arguments.only, name):
                continue
            begin = time.monotonic()
            try:
                wheel = maker.make(version, target)
            except MissingError as missing:
                print(f"SKIPPED: {name}: {missing}", flush=True)
                continue
            made += 1
            size, seconds = wheel.stat().st_size, time.monotonic() - begin
            print(f"{wheel.name}  {size} bytes  {seconds:.0f} s", flush=True)
    print(f"{made} wheels in {maker.into}")
    if not made:
        sys.exit("no wheel was made")


if __name__ == "__main__":
    main()
