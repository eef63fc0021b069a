#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make the command line a single file, for the Python that this runs in.

    make.py --package FOLDER --strip PROGRAM --work FOLDER --into FILE.pyz --manual FILE

FOLDER is the built package `tachyon`. What it needs is in requirements.txt; where that
cannot be had, the exit status is 77. The same sources make the same file.
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SKIPPED = 77
PIP = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--no-deps"]
PIP += ["--disable-pip-version-check", "--no-compile", "--only-binary=:all:"]
NEVER = (".pyc", ".pyi", ".dist-info/RECORD")
DATE = (1980, 1, 1, 0, 0, 0)


def collect(package: Path, strip: str, stage: Path) -> None:
    """Put all that it has into a folder."""
    shutil.rmtree(stage, ignore_errors=True)
    wanted = ["--target", stage, "--requirement", HERE / "requirements.txt"]
    if subprocess.run([*PIP, *wanted], check=False).returncode:
        print("skipped: what the command line needs cannot be had")
        sys.exit(SKIPPED)
    shutil.rmtree(stage / "bin", ignore_errors=True)
    hidden = shutil.ignore_patterns("__pycache__")
    shutil.copytree(package, stage / "tachyon", ignore=hidden)
    for module in stage.rglob("*.so"):
        subprocess.run([strip, "--strip-unneeded", module], check=True)
    shutil.copy(HERE / "main.py", stage / "__main__.py")


def files(stage: Path) -> list[Path]:
    """Return what goes in, in order."""
    found = (path for path in sorted(stage.rglob("*")) if path.is_file())
    return [path for path in found if not str(path).endswith(NEVER)]


def write(stage: Path, into: Path) -> None:
    """Write the archive."""
    contents = hashlib.sha256()
    for path in files(stage):
        contents.update(f"{path.relative_to(stage)}\n".encode() + path.read_bytes())
    (stage / "tachyon_zipapp.py").write_text(
        f"SOABI = {sysconfig.get_config_var('SOABI')!r}\n"
        f"CONTENTS = {contents.hexdigest()[:32]!r}\n"
    )
    into.parent.mkdir(parents=True, exist_ok=True)
    with into.open("wb") as file:
        file.write(b"#!/usr/bin/env python3\n")
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as whole:
            for path in files(stage):
                entry = zipfile.ZipInfo(str(path.relative_to(stage)), DATE)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = 0o644 << 16
                whole.writestr(entry, path.read_bytes())
    into.chmod(0o755)


def main() -> None:
    """Make it."""
    parser = argparse.ArgumentParser()
    for name in ("package", "work", "into"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--manual", type=Path)
    parser.add_argument("--strip", default="strip")
    given = parser.parse_args()
    stage = given.work / "stage"
    given.work.mkdir(parents=True, exist_ok=True)
    collect(given.package, given.strip, stage)
    write(stage, given.into)
    if given.manual:
        manual = [sys.executable, "-B", "-m", "tachyon.tools", "manual"]
        with given.manual.open("wb") as file:
            subprocess.run(manual, stdout=file, cwd=stage, check=True)


if __name__ == "__main__":
    main()
