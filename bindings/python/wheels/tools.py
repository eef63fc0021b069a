# SPDX-License-Identifier: Apache-2.0
"""What cross-compiles: the tools of requirements.txt, in a virtual environment."""

import fcntl
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent


class MissingError(Exception):
    """What cannot be had here; the message is what is said of it."""


def once(place: Path, make: Callable[[Path], None]) -> Path:
    """Return a folder that `make` fills the first time, and never half of it."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with (place.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            partial = place.with_name(f"{place.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            make(partial)
            partial.rename(place)
    return place


def run(*words: object, **options: object) -> str:
    """Run a command; what it prints is shown only if it fails."""
    result = subprocess.run(
        [str(word) for word in words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        **options,
    )
    if result.returncode:
        sys.exit(f"{shlex.join(map(str, words))}\n{result.stdout}")
    return result.stdout


class Tools:
    """The tools in one directory for work; the first user of that installs them."""

    def __init__(self, work: Path) -> None:
        self.folder = work / "tools"
        work.mkdir(parents=True, exist_ok=True)
        with (work / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.install()
        (package,) = self.folder.glob("lib/python3*/site-packages/ziglang")
        self.zig = package / "zig"
        self.environment = {
            **os.environ,
            "PATH": f"{self.folder}/bin{os.pathsep}{os.environ['PATH']}",
            "ZIG_GLOBAL_CACHE_DIR": str(work / "zig"),
            "ZIG_LOCAL_CACHE_DIR": str(work / "zig"),
            "SOURCE_DATE_EPOCH": "1700000000",
        }

    def install(self) -> None:
        """Make the virtual environment, unless it is there with these tools."""
        requirements = HERE / "requirements.txt"
        wanted = hashlib.sha256(requirements.read_bytes()).hexdigest() + sys.version
        stamp = self.folder / "stamp"
        if stamp.exists() and stamp.read_text() == wanted:
            return
        venv.create(self.folder, clear=True, with_pip=True)
        pip = (self.folder / "bin/python", "-m", "pip", "install", "-q", "--no-input")
        pip += ("--disable-pip-version-check", "--retries", "1")
        run(*pip, "-r", requirements)
        stamp.write_text(wanted)
