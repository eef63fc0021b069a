# SPDX-License-Identifier: Apache-2.0
"""The release check finds whatever states another version; each is planted here."""

import gzip
import hashlib
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "core/packages/release.py"
PACKAGES = Path(os.environ["PACKAGES"])
OTHER = "9.8.7"

spec = importlib.util.spec_from_file_location("release", SCRIPT)
assert spec is not None
assert spec.loader is not None
release = importlib.util.module_from_spec(spec)
spec.loader.exec_module(release)
VERSION = release.header_version((ROOT / "core/include/tachyon.h").read_text())


def check(*arguments: object) -> tuple[int, list[str]]:
    """Run the script; return its exit status and the lines that it prints."""
    result = subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    return result.returncode, result.stdout.splitlines()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Copy what the script reads."""
    names = {name for name, _ in release.STATEMENTS}
    names |= {"core/include/tachyon.h", "CHANGELOG.md"}
    for pattern in release.PAGES:
        names |= {str(page.relative_to(ROOT)) for page in ROOT.glob(pattern)}
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_the_tree_agrees(tree: Path) -> None:
    assert check(tree) == (0, [f"all of it is {VERSION}"])


@pytest.mark.parametrize("row", range(len(release.STATEMENTS)))
def test_each_statement_is_looked_at(tree: Path, row: int) -> None:
    name, pattern = release.STATEMENTS[row]
    text = (tree / name).read_text()
    match = re.search(pattern, text, re.MULTILINE)
    assert match is not None
    text = text[: match.start(1)] + OTHER + text[match.end(1) :]
    (tree / name).write_text(text)
    status, lines = check(tree)
    assert status == 1
    assert f"{name} states {OTHER}, tachyon.h {VERSION}" in lines


@pytest.mark.parametrize("row", range(len(release.STATEMENTS)))
def test_a_statement_that_is_gone_is_missed(tree: Path, row: int) -> None:
    name, pattern = release.STATEMENTS[row]
    text = re.sub(pattern, "", (tree / name).read_text(), flags=re.MULTILINE)
    (tree / name).write_text(text)
    status, lines = check(tree)
    assert status == 1
    assert any(line.startswith(f"{name} states no version") for line in lines)


@pytest.mark.parametrize("part", ["MAJOR", "MINOR", "PATCH"])
def test_a_new_version_in_the_header_alone_is_not_enough(tree: Path, part: str) -> None:
    header = tree / "core/include/tachyon.h"
    define = rf"(#define TACHYON_VERSION_{part}) \d+"
    header.write_text(re.sub(define, r"\1 9", header.read_text()))
    status, lines = check(tree)
    assert status == 1
    assert len(lines) >= len({name for name, _ in release.STATEMENTS})


@pytest.mark.parametrize(
    "snippet",
    [
        "pip install tachyon-ipc==VERSION",
        'tachyon-ipc = "VERSION"',
        'tachyon-sys = { version = "VERSION" }',
        "go get tachyon-ipc@vVERSION",
        "dpkg -i libtachyon1_VERSION-1_amd64.deb",
        "gem install tachyon-VERSION.gem",
        "<artifactId>tachyon-ipc</artifactId> <version>VERSION</version>",
        "npm install tachyon-ipc-core-VERSION.tgz",
    ],
)
def test_a_snippet_of_another_version_is_found(tree: Path, snippet: str) -> None:
    for version, status in ((VERSION, 0), (OTHER, 1)):
        page = tree / "README.md"
        page.write_text(snippet.replace("VERSION", version) + "\n")
        found, lines = check(tree)
        assert found == status, lines
    assert lines == [f"README.md:1 speaks of {OTHER}, tachyon.h of {VERSION}"]


def test_a_release_has_its_version_in_the_changelog(tree: Path) -> None:
    log = tree / "CHANGELOG.md"
    log.write_text("# Changelog\n\n## Unreleased\n- much\n")
    assert check(tree)[0] == 0
    status, lines = check(tree, "--released")
    assert status == 1
    assert len(lines) == 2
    log.write_text(f"# Changelog\n\n## {VERSION} - 2026-11-30\n- much\n")
    assert check(tree, "--released")[0] == 0


def names() -> list[str]:
    """List the packages that there are."""
    manifest = json.loads((PACKAGES / "manifest.json").read_text())
    return [entry["file"] for entry in manifest["packages"]]


def alone(folder: Path, name: str, content: bytes) -> Path:
    """Make a folder of packages with this one, as the manifest has it."""
    manifest = json.loads((PACKAGES / "manifest.json").read_text())
    (entry,) = (entry for entry in manifest["packages"] if entry["file"] == name)
    entry["size"] = len(content)
    entry["sha256"] = hashlib.sha256(content).hexdigest()
    manifest["packages"] = [entry]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "SHA256SUMS").write_text(f"{entry['sha256']}  {name}\n")
    (folder / name).write_bytes(content)
    return folder


def replaced(content: bytes, old: bytes, new: bytes) -> bytes:
    """Return an archive in which every file, also of archives in it, is changed."""
    if content[:4] == b"PK\x03\x04":
        output = io.BytesIO()
        with (
            zipfile.ZipFile(io.BytesIO(content)) as archive,
            zipfile.ZipFile(output, "w") as changed,
        ):
            for info in archive.infolist():
                changed.writestr(info, replaced(archive.read(info), old, new))
        return output.getvalue()
    if content[:2] == b"\x1f\x8b":
        return gzip.compress(replaced(gzip.decompress(content), old, new))
    if content[257:262] == b"ustar":
        output = io.BytesIO()
        with (
            tarfile.open(fileobj=io.BytesIO(content)) as archive,
            tarfile.open(
                fileobj=output, mode="w", format=tarfile.PAX_FORMAT
            ) as changed,
        ):
            for member in archive:
                stream = archive.extractfile(member) if member.isfile() else None
                data = replaced(stream.read(), old, new) if stream else b""
                member.size = len(data)
                changed.addfile(member, io.BytesIO(data))
        return output.getvalue()
    return content.replace(old, new)


def test_the_packages_agree() -> None:
    assert check(ROOT, "--packages", PACKAGES) == (0, [f"all of it is {VERSION}"])
    assert len(names()) >= 3


@pytest.mark.parametrize("name", names())
def test_a_package_that_is_not_the_manifests_is_found(
    tmp_path: Path, name: str
) -> None:
    content = (PACKAGES / name).read_bytes()
    folder = alone(tmp_path, name, content)
    assert check(ROOT, "--packages", folder)[0] == 0
    (folder / name).write_bytes(content + b"\0")
    status, lines = check(ROOT, "--packages", folder)
    assert (status, lines) == (1, [f"{name} is not the one of the manifest"])
    (folder / name).unlink()
    assert check(ROOT, "--packages", folder) == (1, [f"{name} is missing"])


PLANTABLE = [name for name in names() if not re.search(r"\.(deb|zst)$", name)]


@pytest.mark.parametrize("name", PLANTABLE)
def test_a_package_of_another_version_is_found(tmp_path: Path, name: str) -> None:
    define = b"#define TACHYON_VERSION_MAJOR "
    content = (PACKAGES / name).read_bytes()
    content = replaced(content, VERSION.encode(), OTHER.encode())
    content = replaced(content, define, define + b"9")
    status, lines = check(ROOT, "--packages", alone(tmp_path, name, content))
    assert status == 1
    assert all(line.startswith(f"{name}: ") for line in lines), lines


@pytest.mark.parametrize("name", [name for name in PLANTABLE if ".pom" not in name])
def test_a_package_without_its_licence_is_found(tmp_path: Path, name: str) -> None:
    content = replaced((PACKAGES / name).read_bytes(), b"Apache", b"Nobody")
    folder = alone(tmp_path, name, content)
    status, lines = check(ROOT, "--packages", folder)
    assert (status, lines) == (1, [f"{name} has no licence"])
