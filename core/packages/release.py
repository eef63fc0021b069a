#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fail when anything states another version than core/include/tachyon.h.

    release.py SOURCES [--packages FOLDER] [--released]

Looks at what the sources, pages and manifests of the packages state, and with
--packages into each package that FOLDER/manifest.json names: its size and hash, every
statement of a version in it, its modules, its licence. --released: the changelog has
the version, and nothing that is not released. Each disagreement is one line.
"""

import argparse
import gzip
import hashlib
import io
import json
import lzma
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

VERSION = r"(\d+\.\d+\.\d+)"

# What states the version, and cannot take it from the header.
STATEMENTS = [
    ("rust-sys/Cargo.toml", rf'^version = "{VERSION}"'),
    ("bindings/rust/Cargo.toml", rf'^version = "{VERSION}"'),
    ("bindings/rust/Cargo.toml", rf'^tachyon-sys = .*version = "{VERSION}"'),
    ("Cargo.lock", rf'^name = "tachyon-(?:sys|ipc)"\nversion = "{VERSION}"'),
    ("bindings/java/pom.xml", rf"<artifactId>tachyon-ipc</.*>\s*<version>{VERSION}<"),
    (
        "bindings/kotlin/pom.xml",
        rf"<artifactId>tachyon-ipc(?:-kotlin)?</.*>\s*<version>{VERSION}<",
    ),
    ("bindings/node/package.json", rf'^  "version": "{VERSION}"'),
    ("bindings/node/samples/package.json", rf'"@tachyon-ipc/core": "\^{VERSION}"'),
    ("bindings/node/tests/package.json", rf'"@tachyon-ipc/core": "\^{VERSION}"'),
    ("bindings/csharp/TachyonIpc.nuspec", rf"<version>{VERSION}</version>"),
    ("bindings/perl/perl.i", rf"our \$VERSION = '{VERSION}'"),
    ("bindings/php/php.i", rf'%pragma\(php\) version="{VERSION}"'),
    ("bindings/go/README.md", rf"tachyon-ipc@v{VERSION}"),
    ("bindings/go/tests/module.sh", rf"tachyon-ipc v{VERSION}"),
]

# What a page may state: a name of ours with a version, as one gives it to a tool. What
# is said of 0.5, which was another library, is said with a space.
IN_PAGES = (
    r"(?:tachyon(?:-(?:ipc|sys|php|kotlin|core|amalgamation|ipc-core|ipc-kotlin))?"
    r"|Tachyon|TachyonIpc|libtachyon\d+(?:-dev)?|tachyon_ipc)"
    r'(?:==|@v?|-|_|\.| = "| = \{ version = "|</artifactId>\s*<version>)' + VERSION
)
PAGES = ["README.md", "docs/*.md", "bindings/*/README.md", "rust-sys/README.md"]
PAGES += ["examples/README.md", "examples/*/README.md"]

# What states the version inside of a package: by the name of the file.
INSIDE = [
    (r"(?:^|/)tachyon\.h$", None),
    (r"(?:^|/)tachyon\.c$", rf"^/\* Tachyon {VERSION}: the library"),
    (r"(?:^|/)pom\.properties$", rf"^version={VERSION}$"),
    (
        r"(?:^|/)pom\.xml$|\.pom$",
        rf"<artifactId>tachyon-ipc[a-z-]*</.*>\s*<version>{VERSION}<",
    ),
    (r"^package/package\.json$", rf'^  "version": "{VERSION}"'),
    (r"\.nuspec$", rf"<version>{VERSION}</version>"),
    (r"\.rockspec$", rf'^version = "{VERSION}-\d+"'),
    (r"(?:^|/)META\.json$", rf'^   "version" : "{VERSION}"'),
    (r"(?:^|/)Makefile\.PL$", rf"VERSION => '{VERSION}'"),
    (r"(?:^|/)Tachyon\.pm$", rf"our \$VERSION = '{VERSION}'"),
    (r"(?:^|/)php_wrap\.c$", rf'"{VERSION}",\s*STANDARD_MODULE_PROPERTIES'),
    (r"^[^/]*/Cargo\.toml$", rf'^name = "tachyon-[a-z]+"\nversion = "{VERSION}"'),
    (r"\.dist-info/METADATA$|^[^/]*/PKG-INFO$", rf"^Version: {VERSION}$"),
    (r"(?:^|/)control$", rf"^Version: {VERSION}-"),
    (r"(?:^|/)tachyon\.pc$", rf"^Version: {VERSION}$"),
    (r"tachyonConfigVersion\.cmake$", rf'set\(PACKAGE_VERSION "{VERSION}"\)'),
    (r"^metadata$", rf"^version: !ruby/object:Gem::Version\n  version: {VERSION}$"),
]
# Of a package's own metadata: who made it.
AUTHORS = (
    r"pom\.xml$|package/package\.json$|\.nuspec$|\.rockspec$|META\.json$|^metadata$"
)
AUTHORS += r"|(?:^|/)control$|/composer\.json$|\.dist-info/METADATA$"
MODULE = r"\.(?:so(?:\.\d+)*|node|a)$"
LICENCE = r"(?:^|/)(?:LICENSE|copyright)$"


def header_version(text: str) -> str | None:
    """Return what the header says."""
    names = ("MAJOR", "MINOR", "PATCH")
    found = [
        re.search(rf"^#define TACHYON_VERSION_{n} (\d+)$", text, re.M) for n in names
    ]
    return ".".join(match[1] for match in found if match) if all(found) else None


def sources(root: Path, version: str) -> Iterator[str]:
    """Yield what is wrong with the sources."""
    for name, pattern in STATEMENTS:
        path = root / name
        found = re.findall(pattern, path.read_text(), re.M) if path.exists() else []
        if not found:
            yield f"{name} states no version, as by {pattern!r}"
        for other in set(found) - {version}:
            yield f"{name} states {other}, tachyon.h {version}"
    for page in sorted(page for pattern in PAGES for page in root.glob(pattern)):
        for number, line in enumerate(page.read_text().splitlines(), 1):
            for other in set(re.findall(IN_PAGES, line)) - {version}:
                where = page.relative_to(root)
                yield f"{where}:{number} speaks of {other}, tachyon.h of {version}"


def changelog(root: Path, version: str) -> Iterator[str]:
    """Yield what a changelog of a released version must not be."""
    text = (root / "CHANGELOG.md").read_text()
    headings = re.findall(r"^## (.*)$", text, re.M)
    if not headings or not re.match(rf"{re.escape(version)}( |$)", headings[0]):
        yield f"CHANGELOG.md begins with {headings[:1]}, not with {version}"
    if any("Unreleased" in heading for heading in headings):
        yield "CHANGELOG.md has what is not released"


def members(name: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the files of an archive, and of archives in it; or the file itself."""
    if content[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for info in archive.infolist():
                yield from members(info.filename, archive.read(info))
    elif content[:8] == b"!<arch>\n" and name.endswith(".deb"):
        at = 8
        while at + 60 <= len(content):
            size = int(content[at + 48 : at + 58])
            part = content[at : at + 16].decode().strip(" /")
            yield from members(part, content[at + 60 : at + 60 + size])
            at += 60 + size + size % 2
    elif content[:2] == b"\x1f\x8b":
        yield from members(re.sub(r"\.gz$", "", name), gzip.decompress(content))
    elif content[:6] == b"\xfd7zXZ\x00":
        yield from members(name, lzma.decompress(content))
    elif content[:4] == b"\x28\xb5\x2f\xfd":
        command = ["zstd", "-dc"]
        plain = subprocess.run(
            command, input=content, stdout=subprocess.PIPE, check=True
        )
        yield from members(name, plain.stdout)
    elif content[257:262] == b"ustar":
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            for member in archive:
                stream = archive.extractfile(member) if member.isfile() else None
                if stream is not None:
                    inner = re.sub(r"^\./", "", member.name)
                    yield from members(inner, stream.read())
    else:
        yield name, content


def package(name: str, content: bytes, version: str) -> Iterator[str]:
    """Yield what is wrong with one package."""
    stated = licences = 0
    if version not in name:
        yield f"{name} has not {version} in its name"
    for member, data in members(name, content):
        for pattern, statement in INSIDE:
            if not re.search(pattern, member):
                continue
            text = data.decode("utf-8", "replace")
            if statement is None:
                found = [header_version(text) or "none"]
            else:
                found = re.findall(statement, text, re.M) or ["none"]
            stated += 1
            for other in set(found) - {version}:
                yield f"{name}: {member} states {other}, tachyon.h {version}"
        if re.search(AUTHORS, member) and b"Tachyon maintainers" not in data:
            yield f"{name}: {member} does not name the Tachyon maintainers"
        if re.search(MODULE, member) and version.encode() + b"\0" not in data:
            yield f"{name}: {member} is of another version"
        licences += bool(re.search(LICENCE, member)) and b"Apache" in data
    if not stated:
        yield f"{name} states no version"
    if not licences and not name.endswith(".pom"):
        yield f"{name} has no licence"


def packages(folder: Path, version: str) -> Iterator[str]:
    """Yield what is wrong with the packages."""
    manifest = json.loads((folder / "manifest.json").read_text())
    if manifest["version"] != version:
        yield f"manifest.json states {manifest['version']}, tachyon.h {version}"
    sums = (folder / "SHA256SUMS").read_text().splitlines()
    wanted = [f"{entry['sha256']}  {entry['file']}" for entry in manifest["packages"]]
    if sums != wanted:
        yield "SHA256SUMS and manifest.json differ"
    for entry in manifest["packages"]:
        name = entry["file"]
        path = folder / name
        if not path.exists():
            yield f"{name} is missing"
            continue
        content = path.read_bytes()
        actual = len(content), hashlib.sha256(content).hexdigest()
        if actual != (entry["size"], entry["sha256"]):
            yield f"{name} is not the one of the manifest"
        else:
            yield from package(name, content, version)


def main() -> None:
    """Say what disagrees."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sources", type=Path)
    parser.add_argument("--packages", type=Path)
    parser.add_argument("--released", action="store_true")
    arguments = parser.parse_args()
    root: Path = arguments.sources
    version = header_version((root / "core/include/tachyon.h").read_text())
    if version is None:
        sys.exit("core/include/tachyon.h states no version")
    wrong = list(sources(root, version))
    if arguments.released:
        wrong += changelog(root, version)
    if arguments.packages:
        wrong += packages(arguments.packages, version)
    for line in wrong:
        print(line)
    if wrong:
        sys.exit(1)
    print(f"all of it is {version}")


if __name__ == "__main__":
    main()
