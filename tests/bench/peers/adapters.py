# SPDX-License-Identifier: Apache-2.0
"""Make each peer's adapter, or tell why it cannot be had.

What a peer is comes from its registry into the build tree, and nothing anywhere else.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from catalogue import Peer

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
BUILD_LIMIT_S = 900

COPY_JARS = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
JAVA_SOURCES = ("Link", "Driver")
# What Chronicle opens of the JDK, and that it tells nobody; a core has one thread.
JAVA_OPENED = (
    "java.base/java.lang", "java.base/java.lang.reflect", "java.base/java.io",
    "java.base/java.nio", "java.base/java.util", "java.base/sun.nio.ch",
    "java.base/jdk.internal.misc", "java.base/jdk.internal.ref",
    "jdk.compiler/com.sun.tools.javac",
)  # fmt: skip
JAVA_OPTIONS = (
    "-XX:+UseSerialGC", "-Xshare:auto", "-Xms256m", "-Xmx1g",
    "-XX:MaxDirectMemorySize=1g", "-Dchronicle.analytics.disable=true",
    *(f"--add-opens={each}=ALL-UNNAMED" for each in JAVA_OPENED),
    "--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED",
    "--add-exports=jdk.compiler/com.sun.tools.javac.file=ALL-UNNAMED",
)  # fmt: skip

sys.path.append(str(ROOT / "tests"))
import with_packages  # noqa: E402


class CannotError(Exception):
    """Why a peer is not measured."""


class Command(NamedTuple):
    """What to run, before the words that all drivers take, and in which environment."""

    words: list[str]
    environment: dict[str, str]
    version: str


class Builder:
    """Where things are, and how an adapter of each language is made."""

    def __init__(
        self, directory: Path, cc: str, library: Path, jar: Path | None = None
    ) -> None:
        self._directory = directory = directory.resolve()
        self._jar = jar.resolve() if jar else None
        self._cc, self._library = cc, library.resolve()
        self._driver: Path | None = None
        self._path = ""  # where fetched programs are
        directory.mkdir(parents=True, exist_ok=True)

    def make(self, peer: Peer) -> Command:
        """Return how to run it; CannotError tells why not."""
        for program in peer.needs:
            if not shutil.which(program) and not self._fetched(program):
                raise CannotError(f"{program} is not installed")
        made: Command = getattr(self, f"_{peer.language.lower()}")(peer)
        return made

    def _fetched(self, program: str) -> bool:
        """Whether Debian's package of a linker could be had, beside the system."""
        if program != "ld.lld-19":
            return False
        place = self._directory / "debian"
        directory = place / "usr" / "lib" / "llvm-19" / "bin"
        if not (directory / "ld.lld").exists():
            place.mkdir(exist_ok=True)
            with contextlib.suppress(CannotError):
                must(["apt-get", "download", "lld-19"], directory=place)
                for package in place.glob("lld-19_*.deb"):
                    must(["dpkg-deb", "-x", str(package), str(place)])
        self._path = str(directory)
        return (directory / "ld.lld").exists()

    def _compile(self, source: str, *options: str) -> Path:
        made = self._directory / "c" / Path(source).stem
        made.parent.mkdir(exist_ok=True)
        words = [self._cc, "-O2", "-std=gnu11", f"-I{HERE / 'c'}"]
        words += [f"-I{ROOT / 'core' / 'include'}", str(HERE / "c" / source)]
        must([*words, "-o", str(made), *options])
        return made

    def _run_object(self, adapter: Path, version: str = "") -> Command:
        """Return how the driver runs an adapter that is a shared object."""
        if self._driver is None:
            self._driver = self._compile("driver.c", "-rdynamic", "-ldl")
        return Command([str(self._driver), str(adapter)], {}, version)

    def _c(self, peer: Peer) -> Command:
        if peer.adapter.startswith("memory "):
            program = self._compile("memory.c")
            return Command([str(program), peer.adapter.split()[1]], {}, "")
        options = ["-shared", "-fPIC"]
        if peer.adapter == "tachyon":
            options += [str(self._library), "-Wl,--exclude-libs,ALL", "-lpthread"]
        return self._run_object(self._compile(f"{peer.adapter}.c", *options))

    def _rust(self, peer: Peer) -> Command:
        if not shutil.which("cargo"):
            raise CannotError("cargo is not installed")
        crate = HERE / "rust" / peer.adapter
        alone = (crate / "Cargo.lock").exists()
        words = ["cargo", "build", "--release", "--locked", "--quiet"]
        words += [
            "--manifest-path",
            str((crate if alone else crate.parent) / "Cargo.toml"),
        ]
        words += ["-p", f"peer-{peer.adapter.replace('_', '-')}"]
        target = self._directory / "cargo" / (peer.adapter if alone else "all")
        environment = {"CARGO_TARGET_DIR": str(target)}
        if "clang++-19" in peer.needs:
            environment |= {"CC": "clang-19", "CXX": "clang++-19", **libclang()}
        must(words, environment)
        pinned = re.findall(r'"=([\d.]+)"', (crate / "Cargo.toml").read_text())
        version = pinned[-1] if pinned else ""  # the peer's, after what it needs
        library = target / "release" / f"libpeer_{peer.adapter}.so"
        return self._run_object(library, version)

    def _python(self, peer: Peer) -> Command:
        if peer.adapter.startswith("alone "):
            program = HERE / "python" / f"{peer.adapter.split()[1]}.py"
            return Command([sys.executable, str(program)], {}, "")
        words = [sys.executable, str(HERE / "python" / "driver.py")]
        words.append(str(HERE / "python" / f"{peer.adapter}.py"))
        requirements = HERE / "python" / f"{peer.adapter}.txt"
        environment = {"PYTHONDONTWRITEBYTECODE": "1"}
        if not requirements.exists():
            return Command(words, environment, "")
        if "ld.lld-19" in peer.needs:
            # Its own build asks for what no other compiler here has.
            flags = {"CC": "clang-19", "CXX": "clang++-19"}
            flags["LDFLAGS"] = "-fuse-ld=lld -flto"
            flags["PATH"] = f"{self._path}:{os.environ['PATH']}".lstrip(":")
            with mock.patch.dict(os.environ, flags):
                paths = packages(requirements, self._directory / "python")
        else:
            paths = packages(requirements, self._directory / "python")
        environment["PYTHONPATH"] = os.pathsep.join(paths)
        version = with_packages.pinned(requirements)[0].partition("==")[2]
        return Command(words, environment, version)

    def _java(self, peer: Peer) -> Command:
        for program in ("java", "javac", "mvn"):
            if not shutil.which(program):
                raise CannotError(f"{program} is not installed")
        place = self._directory / "java" / peer.adapter
        jars, version = self._jars(peer.adapter, place)
        if peer.adapter == "Tachyon":
            if self._jar is None or not self._jar.exists():
                raise CannotError("tachyon-ipc.jar is not built")
            jars = [self._jar, *jars]
        path = os.pathsep.join(map(str, jars))
        sources = [HERE / "java" / f"{name}.java" for name in JAVA_SOURCES]
        sources.append(HERE / "java" / f"{peer.adapter}.java")
        words = ["javac", "--release", "17", "-nowarn", "-cp", path]
        must([*words, "-d", str(place / "classes"), *map(str, sources)])
        path = os.pathsep.join([str(place / "classes"), path])
        java = ["java", *JAVA_OPTIONS, "-cp", path]
        words = [sys.executable, str(HERE / "java" / "pair.py"), *java, "--"]
        return Command([*words, peer.adapter], {}, version)

    @staticmethod
    def _jars(profile: str, place: Path) -> tuple[list[Path], str]:
        """Have Maven copy what an adapter needs, once; and the peer's version."""
        pom = HERE / "java" / "pom.xml"
        text, made = pom.read_text(), place / "pom.xml"
        if not made.exists() or made.read_text() != text:
            shutil.rmtree(place, ignore_errors=True)
            words = ["mvn", "-q", "-B", "-f", str(pom), f"-P{profile}", COPY_JARS]
            words += ["-DincludeScope=runtime", f"-DoutputDirectory={place / 'jars'}"]
            try:
                must([*words, "-o"])  # of what Maven has already
            except CannotError:
                must([*words, "-U"])
            made.write_text(text)
        own = re.search(rf"<id>{profile}<.*?<version>(.*?)<", text, re.S)
        return sorted((place / "jars").glob("*.jar")), own[1] if own else ""


def packages(requirements: Path, directory: Path) -> list[str]:
    """Install what a file names, each into a directory of its own; return these."""
    directory = directory / (sys.implementation.cache_tag or "python")
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    with with_packages.one_at_a_time(directory):
        for package in with_packages.pinned(requirements):
            path = with_packages.installed(package, [package], directory)
            if path is None:
                raise CannotError(f"pip could not install {package}")
            paths.append(str(path))
    return paths


def libclang() -> dict[str, str]:
    """Return where the build's own libclang is, for bindgen."""
    found = list(Path(sys.prefix).glob("lib/python*/site-packages/clang/native"))
    return {"LIBCLANG_PATH": str(found[0])} if found else {}


def must(
    words: Sequence[str],
    environment: dict[str, str] | None = None,
    directory: Path | None = None,
) -> None:
    """Run it, or tell what it had to say."""
    try:
        done = subprocess.run(
            words, check=False, text=True, capture_output=True, timeout=BUILD_LIMIT_S,
            env={**os.environ, **(environment or {})}, cwd=directory,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotError(f"cannot be built: {error}") from error
    if done.returncode:
        output = done.stderr or done.stdout  # Maven says it there
        print(output, file=sys.stderr)
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        errors = [line for line in lines if "error" in line.lower()]
        said = (errors or lines or ["no reason given"])[0]
        raise CannotError(f"cannot be built: {said[:200]}")
