#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Cross-compile a generated module for each machine and C library of the wheels.

    natives.py --work DIRECTORY --into DIRECTORY --pattern PATTERN --platform PLATFORM
               --own FILE --export GLOB... SOURCE... -- OPTION...

Each goes into DIRECTORY as PATTERN says, with {machine} (x86_64, aarch64) or {arch}
(x64, arm64), and {libc} (-musl, or nothing). The compiler is the zig of the wheels, of
their directory for work; where that cannot be had, or with TACHYON_NATIVES=own in the
environment, FILE, the module of this machine's PLATFORM, is all there is. DIRECTORY.txt
says of which platforms they are, a line each, and `missing: ` with what is missing for
more; DIRECTORY.stamp is there if nothing is.
"""

import argparse
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "bindings/python/wheels"))
from tools import Tools, run  # noqa: E402
from wheels import TARGETS  # noqa: E402

ARCHITECTURES = {"x86_64": "x64", "aarch64": "arm64"}
# As CMake has a Release, alone and without what a debugger reads.
OPTIONS = ["-O3", "-DNDEBUG", "-fPIC", "-fvisibility=hidden", "-w", "-shared", "-s"]
# What the C library has apart before glibc 2.34.
LIBRARIES = ["-Wl,--as-needed", "-lm", "-lpthread", "-ldl"]


def named(pattern: str, platform: str) -> str:
    """Return where the module of linux-<machine>-<C library> belongs."""
    _, machine, libc = platform.split("-")
    return pattern.format(
        machine=machine,
        arch=ARCHITECTURES.get(machine, machine),
        libc="-musl" if libc == "musl" else "",
    )


def compile_all(arguments: argparse.Namespace, tools: Tools) -> list[str]:
    """Compile for each target; return their platforms."""
    platforms = []
    cxx = any(source.suffix == ".cxx" for source in arguments.sources)
    words = []
    for source in arguments.sources:
        words += ["-x", "c++" if source.suffix == ".cxx" else "c", source]
    with tempfile.NamedTemporaryFile("w", suffix=".map") as script:
        # Two modules in one process must not share one core.
        names = " ".join(f"{name};" for name in arguments.export)
        script.write(f"{{ global: {names} local: *; }};\n")
        script.flush()
        for target, _ in TARGETS.values():
            machine, _, libc = target.split(".")[0].split("-")
            platform = f"linux-{machine}-{libc}"
            output = arguments.into / named(arguments.pattern, platform)
            output.parent.mkdir(parents=True, exist_ok=True)
            run(
                *(tools.zig, "c++" if cxx else "cc", "-target", target, *OPTIONS),
                *(*arguments.options, *words, f"-Wl,--version-script={script.name}"),
                *(*LIBRARIES, "-o", output),
                env=tools.environment,
            )
            platforms.append(platform)
    return platforms


def main() -> None:
    """Make what the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--pattern", required=True)
    parser.add_argument("--platform", required=True)
    parser.add_argument("--own", type=Path, required=True)
    parser.add_argument("--export", action="append", required=True)
    parser.add_argument("sources", type=Path, nargs="+")
    end = [*sys.argv, "--"].index("--")
    arguments = parser.parse_args(sys.argv[1:end])
    arguments.options = sys.argv[end + 1 :]
    shutil.rmtree(arguments.into, ignore_errors=True)
    stamp = arguments.into.with_suffix(".stamp")
    stamp.unlink(missing_ok=True)
    try:
        if os.environ.get("TACHYON_NATIVES") == "own":
            sys.exit("TACHYON_NATIVES=own")
        tools = Tools(arguments.work.resolve())
    except SystemExit as failed:
        why = re.sub(r"[;\[\]]", " ", str(failed).strip().splitlines()[-1])  # for CMake
        output = arguments.into / named(arguments.pattern, arguments.platform)
        output.parent.mkdir(parents=True)
        shutil.copy(arguments.own, output)
        missing = f"zig, from PyPI ({why})"
        lines = [arguments.platform, f"missing: {missing}"]
        print(f"{output.name}: of this machine alone, without {missing}")
    else:
        lines = compile_all(arguments, tools)
        stamp.touch()
    arguments.into.with_suffix(".txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
