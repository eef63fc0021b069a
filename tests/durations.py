#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Say how long the tests took, from what CTest has written down.

    durations.py BUILD
    durations.py BUILD --write

Prints the slowest of the last run of the preset `test` or `long`. With --write, the
durations of both and the size of BUILD go into docs/TESTING.md, between its two marks.
"""

import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

PAGE = Path(__file__).resolve().parent.parent / "docs" / "TESTING.md"
BEGIN, END = "<!-- durations -->\n", "<!-- end of durations -->\n"
FILES = {"test": "tests.xml", "long": "tests-long.xml"}
SLOWEST = 10


@dataclass
class Run:
    """The tests of one run of a preset."""

    elapsed: float
    seconds: dict[str, float]

    @classmethod
    def read(cls, path: Path) -> "Run":
        """Read CTest's JUnit file."""
        suite = ElementTree.parse(path).getroot()
        return cls(
            float(suite.get("time", "0")),
            {
                case.get("name", ""): float(case.get("time", "0"))
                for case in suite.iter("testcase")
                if case.get("status") == "run"
            },
        )

    def slowest(self) -> list[str]:
        """List the tests, the longest first."""
        return sorted(self.seconds, key=self.seconds.__getitem__, reverse=True)

    def groups(self) -> dict[str, list[float]]:
        """Gather by what stands before the dot in a test's name."""
        found = defaultdict(list)
        for name, seconds in self.seconds.items():
            found[name.split(".")[0]].append(seconds)
        return found


def report(run: Run) -> str:
    lines = [f"{len(run.seconds)} tests passed in {run.elapsed:.0f} s; the slowest:"]
    lines += [f"{run.seconds[name]:8.1f} s  {name}" for name in run.slowest()[:SLOWEST]]
    return "\n".join(lines)


def tables(runs: dict[str, Run]) -> str:
    parts = []
    for preset, run in runs.items():
        busy = sum(run.seconds.values())
        parts += [
            f"`{preset}`: {len(run.seconds)} tests in {run.elapsed:.0f} s, "
            f"{busy:.0f} s if they ran one by one.\n",
            "| tests | how many | seconds | slowest |",
            "|---|---:|---:|---|",
        ]
        groups = run.groups()
        for group in sorted(groups, key=lambda group: -sum(groups[group])):
            name = next(n for n in run.slowest() if n.split(".")[0] == group)
            parts.append(
                f"| `{group}` | {len(groups[group])} | {sum(groups[group]):.1f} "
                f"| `{name}`, {run.seconds[name]:.1f} |"
            )
        parts.append("")
    return "\n".join(parts)


def size(build: Path) -> str:
    """Say what the build tree takes, a file of several names once."""
    files = {
        (status.st_dev, status.st_ino): status.st_blocks * 512
        for status in (path.lstat() for path in build.rglob("*"))
    }
    return f"`{build.name}/` is {sum(files.values()) / 1e9:.1f} GB then.\n"


def main(build: Path, *, write: bool) -> int:
    present = {
        preset: build / name
        for preset, name in FILES.items()
        if (build / name).exists()
    }
    if len(present) < (len(FILES) if write else 1):
        missing = sorted(FILES.keys() - present.keys())
        print(f"no run of {', '.join(missing)} in {build}: cmake --workflow --preset …")
        return 1
    if write:
        head, rest = PAGE.read_text().split(BEGIN)
        tail = rest.split(END)[1]
        runs = {preset: Run.read(path) for preset, path in present.items()}
        PAGE.write_text(f"{head}{BEGIN}{tables(runs)}{size(build)}{END}{tail}")
    else:
        newest = max(present.values(), key=lambda path: path.stat().st_mtime)
        print(report(Run.read(newest)))
    return 0


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[2:] not in ([], ["--write"]):
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]), write=bool(sys.argv[2:])))
