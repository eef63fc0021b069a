#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Look into each native module of each package, and load those that run here.

Of what machine it is, that it asks for the C library alone, and of glibc for nothing
newer than 2.17, that it exports only what the language loads. PACKAGES and VERSION come
from the environment.
"""

import json
import os
import platform
import re
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "bindings/python/wheels"))
from tools import run

SKIPPED = 77
FOLDER = Path(os.environ["PACKAGES"])
NEEDED = r"(lib(c|m)\.so\.6|lib(pthread\.so\.0|dl\.so\.2)|ld-linux-[\w-]+\.so\.[12])"
# As the JVM, Node and NuGet call a platform.
PLATFORMS = {
    "linux-x86_64-gnu": ("linux-x86_64", "linux-x64", "linux-x64"),
    "linux-aarch64-gnu": ("linux-aarch64", "linux-arm64", "linux-arm64"),
    "linux-x86_64-musl": ("linux-x86_64-musl", "linux-x64-musl", "linux-musl-x64"),
    "linux-aarch64-musl": (
        "linux-aarch64-musl",
        "linux-arm64-musl",
        "linux-musl-arm64",
    ),
}
# By package: where the modules are, what they export, and one name of that.
MODULES = {
    "java": ("natives/{0}/libtachyon-java.so", r"Java_\w+|JNI_OnLoad", "JNI_OnLoad"),
    "node": (
        "package/prebuilds/{1}/tachyon.node",
        r"napi_register_module_v1|node_api_module_get_api_version_v1",
        "napi_register_module_v1",
    ),
    "csharp": (
        "runtimes/{2}/native/libtachyon_csharp.so",
        r"CSharp_\w+",
        "CSharp_TachyonIpc_version",
    ),
}
LOADER = r"""
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#define STUB(name) void name(void) {}
STUBS
int main(int count, char **words) {
    void *module = dlopen(words[1], RTLD_NOW | RTLD_LOCAL);
    void *function = module ? dlsym(module, words[2]) : 0;
    if (!function)
        printf("%s", dlerror());
    else if (strstr(words[2], "_version"))
        printf("%s", ((const char *(*)(void))function)());
    return !function;
}
"""


def extract(file: str, into: Path) -> None:
    """Unpack a package as its users do."""
    if file.endswith(".tgz"):
        with tarfile.open(FOLDER / file) as archive:
            archive.extractall(into)
    else:
        with zipfile.ZipFile(FOLDER / file) as archive:
            archive.extractall(into)


def look_into(module: Path, of: str, exports: str) -> list[str]:
    """Fail unless it is for that platform; return the names that the host provides."""
    _, machine, libc = of.split("-")
    said = run("readelf", "-W", "-h", "-d", "-V", "--dyn-syms", module)
    called = re.search(r"Machine: +(.*)", said)[1]
    assert re.search(machine.replace("_", "."), called, re.IGNORECASE), (
        f"{module} is for {called}, not {machine}"
    )
    needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", said))
    allowed = r"libc\.so" if libc == "musl" else NEEDED
    others = {name for name in needed if not re.fullmatch(allowed, name)}
    assert needed, f"{module} needs no C library"
    assert not others, f"{module} needs {others}"
    newer = {
        version
        for version in re.findall(r"\bGLIBC_([\w.]+)", said)
        if not re.fullmatch(r"2\.(\d|1[0-7])(\.\d+)?", version)
    }
    assert not newer, f"{module} needs glibc {newer}"
    assert libc == "gnu" or "GLIBC_" not in said, f"{module} is of glibc"
    symbols = re.findall(
        r"^ *\d+: .* (?:GLOBAL|WEAK) +\w+ +(\w+) (\w+)", said, re.MULTILINE
    )
    exported = [name for where, name in symbols if where != "UND"]
    assert exported, f"{module} exports nothing"
    for name in exported:
        assert re.fullmatch(exports, name), f"{module} exports {name}"
    asked = [name for where, name in symbols if where == "UND"]
    return [name for name in asked if name.startswith(("napi_", "uv_"))]


def ways(of: str) -> tuple[str, list[str]] | None:
    """Return what compiles for that platform, and what runs it; None: not here."""
    _, machine, libc = of.split("-")
    names, emulator = [f"{machine}-linux-{libc}-gcc"], []
    if machine != platform.machine():
        root = f"/usr/{machine}-linux-{libc}"
        emulator = [shutil.which(f"qemu-{machine}-static"), "-L", root]
    elif libc == "musl":
        names.append("musl-gcc")
    compiler = next(filter(None, map(shutil.which, names)), None)
    return (compiler, emulator) if compiler and None not in emulator else None


def load(module: Path, of: str, symbol: str, stubs: list[str]) -> bool:
    """Load it as its language does; tell whether that could be tried."""
    found = ways(of)
    if found is None:
        return False
    compiler, emulator = found
    source, program = Path("load.c"), Path("load").resolve()
    stub = "\n".join(f"STUB({name})" for name in stubs)
    source.write_text(LOADER.replace("STUBS", stub))
    run(compiler, "-w", "-rdynamic", source, "-ldl", "-o", program)
    version = run(*emulator, program, module.resolve(), symbol)
    if symbol.endswith("_version"):
        assert version == os.environ["VERSION"], f"{module} is {version}"
    return True


def main() -> None:
    """Look at all of them."""
    manifest = json.loads((FOLDER / "manifest.json").read_text())
    entries = {
        entry["name"]: entry
        for entry in manifest["packages"]
        if entry["name"] in MODULES and not entry["file"].endswith(".pom")
    }
    lacking = {entry["name"]: entry["missing"] for entry in manifest["skipped"]}
    looked = 0
    for name, entry in entries.items():
        if name in lacking:
            print(f"SKIPPED: {name} lacks {lacking[name]}")
            continue
        extract(entry["file"], Path(name))
        pattern, exports, symbol = MODULES[name]
        modules = {of: pattern.format(*each) for of, each in PLATFORMS.items()}
        there = {
            str(path.relative_to(name))
            for path in Path(name).rglob("*")
            if path.suffix in (".so", ".node")
        }
        assert there == set(modules.values()), f"{entry['file']} has {there}"
        assert entry["platform"].split() == list(PLATFORMS), entry["platform"]
        for of, where in modules.items():
            stubs = look_into(Path(name, where), of, exports)
            tried = load(Path(name, where), of, symbol, stubs)
            print(f"{name}/{where}: {'loads' if tried else 'not loaded, looked at'}")
            looked += 1
    if not looked:
        sys.exit(SKIPPED)


if __name__ == "__main__":
    main()
