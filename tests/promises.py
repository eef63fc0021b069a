#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Check that the tests exist which the documentation relies on.

    promises.py BUILD

BUILD is a build tree. Every test that docs/SECURITY.md names is one of CTest's or a
function of one, and each promise there names some; each fault that the forerunner had
has tests, and docs/RELIABILITY.md knows those; each shared word of ring.h and each
counter of tachyon.h is looked at by a test of fault 16, and stress.signals tries each
call that takes a time-out.
"""

import re
import subprocess
import sys
from pathlib import Path

from full import FAULTS, PAGE, ROOT, fault_tests

SECURITY = ROOT / "docs" / "SECURITY.md"
DOCUMENTED = {
    "core/src/ring.h": ["struct ring_shared {(.*?)\n};"],
    "core/src/page.h": ["struct page {(.*?)\n};"],
    "core/include/tachyon.h": [
        r"typedef struct {([^{}]*)} tachyon_stats_t;",
        r"typedef struct {([^{}]*)} tachyon_rpc_stats_t;",
        r"typedef struct {([^{}]*)} tachyon_peer_t;",
    ],
}


def ctest_names(build: Path) -> set[str]:
    listing = subprocess.run(
        ["ctest", "--test-dir", str(build), "-N"],
        check=True,
        text=True,
        stdout=subprocess.PIPE,
    ).stdout
    return set(re.findall(r"Test +#\d+: (\S+)", listing))


def security(known: set[str]) -> list[str]:
    """Names stand in the text as `program` and c.file, functions after their c.file."""
    wrong = []
    source = ""
    functions: set[str] = set()
    text = SECURITY.read_text()
    for match in re.finditer(r"\b(c\.[a-z]+)\b(?!`)|`([^`]+)`", text):
        program, quoted = match.groups()
        if program:
            path = ROOT / "tests" / "c" / f"test_{program[2:]}.c"
            source = program
            functions = (
                set(re.findall(r"^TEST\((\w+)\)", path.read_text(), re.M))
                if path.exists()
                else set()
            )
            quoted = program
        if re.fullmatch(r"[a-z]+\.[a-z._*]+", quoted) and not quoted.endswith(".md"):
            pattern = re.escape(quoted).replace(r"\*", ".*")
            if not any(re.fullmatch(pattern, name) for name in known):
                wrong.append(f"no test {quoted}")
        elif re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)+(_…)?", quoted):
            start = quoted.removesuffix("…")
            found = [
                name
                for name in functions
                if name == quoted or (start != quoted and name.startswith(start))
            ]
            if not found:
                wrong.append(f"no {quoted} in {source}")
    for row in re.findall(r"^\| (?!it cannot|---)(.*) \|$", text, re.M):
        promise, _, tests = row.split(" | ")
        if not re.search(r"`|\bc\.", tests):
            wrong.append(f"{promise!r} names no test")
    return [f"docs/SECURITY.md: {problem}" for problem in wrong]


def faults() -> list[str]:
    tests = fault_tests()
    page = PAGE.read_text()
    wrong = [f"fault {number} has no test" for number in FAULTS if not tests[number]]
    for number in FAULTS:
        row = re.search(rf"^\| {number}\. .* \| (.*) \|$", page, re.M)
        listed = set(row[1].split("<br>")) if row else set()
        wrong += [
            f"docs/RELIABILITY.md: fault {number}: {problem} {test}"
            for problem, names in (
                ("names what is not there:", listed - set(tests[number])),
                ("does not name", set(tests[number]) - listed),
            )
            for test in sorted(names)
        ]
    return wrong


def documented_words() -> list[str]:
    looked_at = ""
    for path in sorted((ROOT / "tests" / "c").glob("test_*.c")):
        for body in re.findall(
            r"^TEST\(fault_16_\w+\) {(.*?)^}", path.read_text(), re.M | re.S
        ):
            looked_at += body
    wrong = []
    for name, patterns in DOCUMENTED.items():
        text = re.sub(r"/\*.*?\*/", "", (ROOT / name).read_text(), flags=re.S)
        for pattern in patterns:
            members = re.search(pattern, text, re.S)
            words = re.findall(r"\b(\w+)[;,]", members[1]) if members else []
            if not words:
                wrong.append(f"{name}: nothing like {pattern}")
            wrong += [
                f"{name}: no test of fault 16 looks at {word}"
                for word in words
                if not re.search(rf"\b{word}\b", looked_at)
            ]
    return wrong


def blocking_calls() -> list[str]:
    header = (ROOT / "core" / "include" / "tachyon.h").read_text()
    tried = (ROOT / "tests" / "stress" / "test_signals.c").read_text()
    return [
        f"tests/stress/test_signals.c: the time-out of {name} is not tried"
        for name, parameters in re.findall(
            r"\b(tachyon_\w+)\(([^();]*)\) TACHYON_NOEXCEPT;",
            re.sub(r"\s+", " ", header),
        )
        if ("timeout_ns" in parameters or name.endswith("_with"))
        and not re.search(rf"\b{name}\(", tried)
    ]


def main(build: Path) -> int:
    known = ctest_names(build)
    known |= {  # also where they are switched off
        "python." + path.stem.removeprefix("test_")
        for path in (ROOT / "tests" / "python").glob("test_*.py")
    }
    wrong = security(known) + faults() + documented_words() + blocking_calls()
    print("\n".join(wrong) or f"{len(known)} tests; all that is promised is there")
    return 1 if wrong else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1])))
