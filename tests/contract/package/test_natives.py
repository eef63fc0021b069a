# SPDX-License-Identifier: Apache-2.0
"""Where zig cannot be had, a package has this machine's module alone, and says so."""

import json
import os
import subprocess
import sys
from pathlib import Path

PACKAGES = Path(__file__).resolve().parents[3] / "core/packages"


def test_without_zig_the_module_of_this_machine_is_packed_and_named(
    tmp_path: Path,
) -> None:
    own, packed = tmp_path / "own", tmp_path / "packed"
    own.write_text("the module")
    words = [sys.executable, PACKAGES / "natives.py", "--work", tmp_path / "work"]
    words += ["--into", packed, "--platform", "linux-aarch64-musl", "--own", own]
    words += ["--pattern", "on{libc}-{arch}-{machine}/x.so", "--export=X_*", "x.c"]
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)}
    packed.with_suffix(".stamp").touch()  # of another time, when it could be had
    said = subprocess.run(
        [*words, "--", "-DX"],
        env={**os.environ, **offline},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    assert said.startswith("x.so: of this machine alone, without zig, from PyPI (")
    assert said.count("\n") == 1
    modules = [path for path in packed.rglob("*") if path.is_file()]
    assert modules == [packed / "on-musl-arm64-aarch64/x.so"]
    assert modules[0].read_text() == "the module"
    assert not packed.with_suffix(".stamp").exists()  # so it is tried again

    rows, folder = tmp_path / "rows", tmp_path / "packages"
    folder.mkdir()
    files = ["x-1.2.3.pom", "x-1.2.3.zip"]
    for file in files:
        (folder / file).touch()
    rows.write_text("".join(f"x|zip|@{packed}.txt|{file}\n" for file in files))
    words = [f"-DROWS={rows}", f"-DFOLDER={folder}", "-DVERSION=1.2.3"]
    said = subprocess.run(
        [os.environ["CMAKE"], *words, "-P", PACKAGES / "manifest.cmake"],
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    ).stderr
    assert said.startswith("x: for this machine alone, zig, from PyPI (")
    assert said.count("x: ") == 1
    manifest = json.loads((folder / "manifest.json").read_text())
    assert [(entry["file"], entry["platform"]) for entry in manifest["packages"]] == [
        (file, "linux-aarch64-musl") for file in files
    ]
    (skipped,) = manifest["skipped"]
    assert skipped["name"] == "x"
    assert skipped["missing"].startswith("zig, from PyPI (")
    assert skipped["missing"].endswith("), for other machines than this one")
