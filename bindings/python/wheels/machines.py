# SPDX-License-Identifier: Apache-2.0
"""Another machine, or another C library: where that is from, and what runs it here.

Debian's packages are unpacked into a folder of the directory for work; what the system
knows of packages and architectures stays as it is.
"""

import os
import platform
import re
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from tools import MissingError, once

DEBIAN = {"x86_64": "amd64", "aarch64": "arm64"}
# Its musl is the first that has DT_RELR, which what is built for musl now has.
RELEASE = "trixie"
APT = """
Dir::State "{place}";
Dir::State::status "/dev/null";
Dir::Cache "{place}";
Dir::Etc::sourcelist "{place}/sources.list";
Dir::Etc::sourceparts "/dev/null";
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Sandbox::User "root";
Acquire::Languages "none";
"""


def ask(what: str, *words: object, **options: object) -> str:
    """Return what a command prints; if it fails, say of what it was for why not."""
    command = [str(word) for word in words]
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=True, **options
        ).stdout
    except FileNotFoundError:
        why = f"no {command[0]}"
    except subprocess.CalledProcessError as failed:
        why = (failed.stderr.strip().splitlines() or [f"{command[0]} failed"])[-1]
    raise MissingError(f"{what} cannot be had: {why}")


def unpack(folder: Path, root: Path) -> None:
    """Unpack the packages of Debian that are in a folder."""
    for package in folder.glob("*.deb"):
        ask(package.name, "dpkg-deb", "-x", package, root)


def library_of_aarch64(work: Path) -> Path:
    """Return a folder with the C library of aarch64, unpacked from its package."""
    place = work / "aarch64"
    names = ("ld-linux-aarch64.so.1", "libstdc++.so.6")  # which NumPy's modules link
    for folder in (place, Path("/usr/aarch64-linux-gnu")):
        if all((folder / "lib" / name).exists() for name in names):
            return folder
    packages = [f"{name}-arm64-cross" for name in ("libc6", "libgcc-s1", "libstdc++6")]

    def make(partial: Path) -> None:
        with tempfile.TemporaryDirectory() as name:
            ask(packages[0], "apt-get", "download", *packages, cwd=name)
            unpack(Path(name), Path(name) / "root")
            shutil.copytree(Path(name) / "root/usr/aarch64-linux-gnu", partial)

    return once(place, make)


def of_debian(package: str, machine: str, work: Path) -> Path:
    """Return a folder with a package of Debian for a machine, and all it depends on."""

    def make(partial: Path) -> None:
        # From where this system has its own packages; apt looks at their signatures.
        targets = ask(package, "apt-get", "indextargets", "--format", "$(REPO_URI)")
        mirrors = re.findall(r"^\S+/debian/$", targets, re.MULTILINE)
        if not mirrors:
            raise MissingError(f"{package} cannot be had: this is no Debian")
        with tempfile.TemporaryDirectory() as name:
            place, settings = Path(name), Path(name) / "apt.conf"
            (place / "sources.list").write_text(f"deb {mirrors[0]} {RELEASE} main\n")
            settings.write_text(APT.format(place=place, architecture=DEBIAN[machine]))
            environment = {**os.environ, "APT_CONFIG": str(settings)}
            download = ("install", "-y", "--no-install-recommends", "--download-only")
            for words in (("update", "--error-on=any"), (*download, package)):
                ask(package, "apt-get", "-qq", *words, env=environment)
            for folder in ("bin", "lib"):  # which are one with those in usr
                (partial / "usr" / folder).mkdir(parents=True)
                (partial / folder).symlink_to(f"usr/{folder}")
            unpack(place / "archives", partial)

    return once(work / f"{package}-{machine}", make)


def library(machine: str, libc: str, work: Path) -> Path | None:
    """Return a folder with a C library in its lib; None: the one of this system."""
    if libc == "musl":
        return of_debian("musl", machine, work)
    return None if machine == platform.machine() else library_of_aarch64(work)


def runner(machine: str, root: Path | None) -> list[object]:
    """Return what a command has in front, for programs of a machine and C library."""
    if machine == platform.machine():
        return [root / f"lib/ld-musl-{machine}.so.1"] if root else []
    names = (f"qemu-{machine}-static", f"qemu-{machine}")
    found = next(filter(None, map(shutil.which, names)), None)
    if not found:
        raise MissingError(f"{names[0]} is not installed")
    return [found, "-L", root]


def script(path: Path, *command: object) -> Path:
    """Write a program that runs a command with the arguments that it is given."""
    path.write_text(f'#!/bin/sh\nexec {shlex.join(map(str, command))} "$@"\n')
    path.chmod(0o755)
    return path
