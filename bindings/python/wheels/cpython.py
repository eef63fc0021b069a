# SPDX-License-Identifier: Apache-2.0
"""CPythons that a registry has whole: headers to build for, programs to test with.

A wheel is built with the headers of x86_64 on every machine: what `pyconfig.h` says
otherwise on another is of no consequence to a module.
"""

import hashlib
import shutil
import subprocess
import zipfile
from pathlib import Path

from tools import MissingError, once

PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
PINS = Path(__file__).with_suffix(".txt")
# By version and machine: the name in the registry, the SHA-256.
ARCHIVES = {
    (version, machine): (name, digest)
    for version, machine, name, digest in map(
        str.split, PINS.read_text().splitlines()[1:]
    )
}
VERSIONS = list(dict.fromkeys(version for version, _ in ARCHIVES))


def archive(version: str, machine: str, directory: Path) -> Path:
    """Return the archive of a CPython, got once, which is the one that was pinned."""
    if (version, machine) not in ARCHIVES:
        raise MissingError(f"no CPython {version} for {machine} in the registry")
    name, digest = ARCHIVES[version, machine]
    path = directory / "cpython-{}-{}.jar".format(*name.split(":jar:"))
    mvn = shutil.which("mvn")
    for mode in ("-o", "-U"):
        if mvn and not path.exists():
            subprocess.run(
                [
                    *(mvn, "-q", "-B", mode, PLUGIN),
                    f"-Dartifact=org.bytedeco:cpython:{name}",
                    f"-DoutputDirectory={directory}",
                ],
                capture_output=True,
                timeout=400,
                check=False,
            )
    if not path.exists():
        why = "could not get" if mvn else "is not installed, which gets"
        raise MissingError(f"mvn {why} CPython {version} for {machine}")
    if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
        path.unlink()
        raise SystemExit(f"{path.name} is not the archive that was pinned")
    return path


def wanted(name: str, whole: bool) -> bool:
    """Tell a file of a CPython that is needed from its tests and what embeds it."""
    if not whole:
        return name.startswith("include/")
    parts = name.split("/")
    return not {"test", "idlelib", "turtledemo", "jnipython"} & {
        *parts
    } and not name.endswith((".a", "libjnipython.so"))


def prefix(version: str, machine: str, directory: Path, whole: bool = False) -> Path:
    """Unpack the headers of a CPython, or all that it runs with; return the folder."""

    def make(partial: Path) -> None:
        with zipfile.ZipFile(archive(version, machine, directory)) as files:
            for entry in files.infolist():
                _, found, name = entry.filename.partition("/cpython/linux-")
                name = name.partition("/")[2]
                if not found or entry.is_dir() or not wanted(name, whole):
                    continue
                path = partial / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(files.read(entry))
                if name.startswith("bin/"):
                    path.chmod(0o755)

    what = "whole" if whole else "headers"
    return once(directory / f"{version}-{machine}-{what}", make)


def headers(version: str, directory: Path) -> Path:
    """Return the folder of Python.h."""
    return prefix(version, "x86_64", directory) / f"include/python{version}"
