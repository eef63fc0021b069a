#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Pack files into an archive that is the same whoever makes it, and when.

    archive.py OUTPUT [--prefix PREFIX] [--exclude GLOB]... PATH[=NAME]...

OUTPUT ends with .tar.gz, .tgz, .tar or with anything else for a zip, or with a slash
for a folder, which is emptied first. A PATH goes in as PREFIX and NAME, by default its
own last part; a folder with all that is in it. A link goes in as what it points to. Of
two files of one name, the last one counts.
"""

import argparse
import fnmatch
import gzip
import io
import shutil
import stat
import sys
import tarfile
import zipfile
from pathlib import Path

LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the oldest date that a zip can hold
LONG_AGO_S = 315532800


def collect(
    arguments: list[str], prefix: str, exclude: list[str]
) -> dict[str, tuple[bytes, bool]]:
    """Return what is to be in the archive: the bytes, and whether they run."""
    found: dict[str, tuple[bytes, bool]] = {}

    def add(path: Path, name: str) -> None:
        if any(fnmatch.fnmatch(name, pattern) for pattern in exclude):
            return
        if path.is_dir():
            for child in sorted(path.iterdir()):
                add(child, f"{name}/{child.name}")
            return
        runs = bool(path.stat().st_mode & stat.S_IXUSR)
        found[prefix + name] = (path.read_bytes(), runs)

    for argument in arguments:
        source, _, name = argument.partition("=")
        path = Path(source)
        if not path.exists():
            sys.exit(f"archive.py: there is no {path}")
        add(path, name or path.name)
    return dict(sorted(found.items()))


def write_tar(output: Path, files: dict[str, tuple[bytes, bool]]) -> None:
    """Write a tar with nobody's name in it, compressed as its own name says."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, (content, runs) in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(content), LONG_AGO_S
            member.mode = 0o755 if runs else 0o644
            tar.addfile(member, io.BytesIO(content))
    content = buffer.getvalue()
    if output.suffix != ".tar":
        content = gzip.compress(content, 9, mtime=LONG_AGO_S)
    output.write_bytes(content)


def write_zip(output: Path, files: dict[str, tuple[bytes, bool]]) -> None:
    """Write a zip in the order of the names, but a manifest first, as a jar has it."""
    names = sorted(files, key=lambda name: (name != "META-INF/MANIFEST.MF", name))
    with zipfile.ZipFile(output, "w") as archive:
        for name in names:
            content, runs = files[name]
            info = zipfile.ZipInfo(name, LONG_AGO)
            info.external_attr = (0o100755 if runs else 0o100644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = 3
            archive.writestr(info, content)


def write_folder(output: Path, files: dict[str, tuple[bytes, bool]]) -> None:
    """Write them as they are."""
    shutil.rmtree(output, ignore_errors=True)
    for name, (content, runs) in files.items():
        path = output / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o755 if runs else 0o644)


def main() -> None:
    """Pack what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output")
    parser.add_argument("--prefix", default="")
    parser.add_argument("--exclude", action="append", default=[])
    parser.add_argument("paths", nargs="+")
    arguments = parser.parse_args()
    files = collect(arguments.paths, arguments.prefix, arguments.exclude)
    output = Path(arguments.output)
    if arguments.output.endswith("/"):
        write_folder(output, files)
    elif output.suffix in (".gz", ".tgz", ".tar"):
        write_tar(output, files)
    else:
        write_zip(output, files)


if __name__ == "__main__":
    main()
