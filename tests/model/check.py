# SPDX-License-Identifier: Apache-2.0
"""Verify wake.pml in every memory model and order, and that every mutant fails.

    check.py SPIN CC WORKDIR

Exit status 0 when all is as it must be, 77 (skipped) when there is no spin.
"""

import itertools
import re
import shutil
import subprocess
import sys
from pathlib import Path

MODEL = Path(__file__).with_name("wake.pml")
MEMORIES = {"SC": ["-DSC"], "TSO, fences": [], "TSO, membarrier": ["-DMEMBARRIER"]}
WAITS = {"own wait": [], "event loop": ["-DEVENT_LOOP"]}
CRASHES = {
    "no crash": [],
    "either dies": ["-DCRASH_PRODUCER", "-DCRASH_CONSUMER"],  # or one, or none
    "either aborts": ["-DABORT_PRODUCER", "-DABORT_CONSUMER"],
}
# Each mutant with the memory, the wait and the crash in which it must be found.
MUTANTS = [
    (1, "TSO, fences", "own wait", "no crash"),
    (2, "TSO, membarrier", "own wait", "no crash"),
    (3, "SC", "own wait", "no crash"),
    (4, "SC", "own wait", "no crash"),
    (5, "SC", "own wait", "no crash"),
    (6, "SC", "own wait", "no crash"),
    (7, "SC", "own wait", "no crash"),
    (8, "SC", "own wait", "either dies"),
    (9, "TSO, membarrier", "own wait", "no crash"),
    (2, "TSO, membarrier", "event loop", "no crash"),
    (3, "SC", "event loop", "no crash"),
    (10, "SC", "event loop", "no crash"),
    (11, "SC", "event loop", "no crash"),
    (12, "TSO, membarrier", "own wait", "either aborts"),
    (13, "SC", "own wait", "either aborts"),
    (14, "SC", "own wait", "either aborts"),
    (15, "SC", "own wait", "either aborts"),
]


def verify(spin: str, cc: str, work: Path, defines: list[str]) -> tuple[int, int]:
    """Errors found and states visited; raises when the search was not exhaustive."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)

    def run(*command: str) -> str:
        return subprocess.run(
            command, cwd=work, check=True, capture_output=True, text=True
        ).stdout

    run(spin, *defines, "-a", str(MODEL))
    run(cc, "-O2", "-DSAFETY", "-o", "pan", "pan.c")
    report = run("./pan", "-m200000")
    errors = re.search(r"errors: (\d+)", report)
    states = re.search(r"([\d.e+]+) states, stored", report)
    if not errors or not states or "max search depth too small" in report:
        raise RuntimeError(f"no verdict for {defines}:\n{report}")
    return int(errors[1]), int(float(states[1]))


def main(spin: str, cc: str, workdir: str) -> int:
    if not shutil.which(spin):
        print("SKIPPED: spin is not installed (Debian: apt-get install spin)")
        return 77
    wrong = 0
    work = Path(workdir)
    for memory, wait, crash in itertools.product(MEMORIES, WAITS, CRASHES):
        flags = MEMORIES[memory] + WAITS[wait] + CRASHES[crash]
        errors, states = verify(spin, cc, work, flags)
        wrong += errors != 0
        print(
            f"{memory:16} {wait:11} {crash:14} {states:9,} states: "
            f"{'holds' if errors == 0 else 'FAILS'}",
            flush=True,
        )
    for mutant, memory, wait, crash in MUTANTS:
        flags = MEMORIES[memory] + WAITS[wait] + CRASHES[crash]
        flags += [f"-DMUTANT={mutant}", "-DMESSAGES=4"]
        errors, states = verify(spin, cc, work, flags)
        wrong += errors == 0
        print(
            f"mutant {mutant} ({memory}, {wait}, {crash}): "
            f"{'found' if errors else 'NOT FOUND'} after {states:,} states",
            flush=True,
        )
    print(f"{'all as it must be' if wrong == 0 else f'{wrong} wrong'}")
    return int(wrong != 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
