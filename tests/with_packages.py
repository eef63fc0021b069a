#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Run a command with packages of PyPI that the build does not need.

    with_packages.py [--together] DIRECTORY REQUIREMENTS.txt COMMAND...

Each package of the file, `name==version` a line, is installed once into a directory of
its own below DIRECTORY, or all of them into one, by one call of pip; the command has
that in its PYTHONPATH. Where one cannot be had, the exit status is 77: skipped, says
CTest.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

SKIPPED = 77
PIP = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--no-deps"]
PIP += ["--disable-pip-version-check", "--retries", "1", "--timeout", "10"]


def pinned(requirements: Path) -> list[str]:
    """Return the lines of the file without comments; each has to name a version."""
    lines = [line.partition("#")[0].strip() for line in requirements.open()]
    packages = [line for line in lines if line]
    for package in packages:
        if not re.fullmatch(r"[\w.-]+==[\w.]+", package):
            sys.exit(f"{requirements}: {package!r} is not name==version")
    return packages


def installed(name: str, packages: list[str], directory: Path) -> Path | None:
    """Return the directory of packages; None: pip, which has said why, could not."""
    target = directory / name
    if not target.exists():
        partial = directory / f"{name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        pip = [*PIP, "--target", partial, *packages]
        if subprocess.run(pip, check=False).returncode:
            return None
        partial.rename(target)
    return target


@contextlib.contextmanager
def one_at_a_time(directory: Path):
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> None:
    arguments = sys.argv[1:]
    together = arguments[0] == "--together"
    root, requirements, *command = arguments[together:]
    directory = Path(root) / sys.implementation.cache_tag
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    with one_at_a_time(directory):
        packages = pinned(Path(requirements))
        sets = {package: [package] for package in packages}
        if together:
            digest = hashlib.sha256("\n".join(packages).encode()).hexdigest()
            sets = {f"set-{digest[:16]}": packages}
        for name, members in sets.items():
            path = installed(name, members, directory)
            if path is None:
                print(f"skipped: {' '.join(members)} cannot be had")
                sys.exit(SKIPPED)
            paths.append(str(path))
    if given := os.environ.get("PYTHONPATH"):
        paths.append(given)
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
