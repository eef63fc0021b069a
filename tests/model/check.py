# SPDX-License-Identifier: Apache-2.0
"""Verify a model in every memory model and order, and that every mutant fails.

    check.py SPIN CC WORKDIR wake|join|fanin|handshake

The searches of minutes are run with TACHYON_BUDGET in the environment, as the preset
`full` does, and left out otherwise. Exit status 0 when all is as it must be, 77
(skipped) when there is no spin.
"""

import itertools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
LONG = "TACHYON_BUDGET" in os.environ
# Most of a short search is the time of the compiler.
COMPILE = {
    "wake": ["-O2" if LONG else "-O1"],
    "join": ["-O2" if LONG else "-O0", "-DCOLLAPSE", "-DVECTORSZ=2048"],
    "fanin": ["-O2" if LONG else "-O1", "-DCOLLAPSE"],
    "handshake": ["-O2" if LONG else "-O1", "-DCOLLAPSE"],
}
MEMORIES = {"SC": ["-DSC"], "TSO, fences": [], "TSO, membarrier": ["-DMEMBARRIER"]}
ALL = "; ".join(MEMORIES)
# Of wake.pml alone: what a processor of ARM may do, too.
MEMORIES |= {"ARM, fences": ["-DWEAK"], "ARM, membarrier": ["-DWEAK", "-DMEMBARRIER"]}
WEAK = "ARM, fences; ARM, membarrier"

# Of wake.pml: where it must hold, ...
WAITS = ("", "EVENT_LOOP")
CRASHES = (  # either end, or one, or none
    "",
    "CRASH_PRODUCER CRASH_CONSUMER",
    "ABORT_PRODUCER ABORT_CONSUMER",
)
WAKE, WAKE_LONG = (
    [
        (ALL, f"SPURIOUS={spurious} {wait} {crash}")
        for wait, crash in itertools.product(WAITS, CRASHES)
    ]
    for spurious in (1, 2)
)
WAKE += [(WEAK, f"SPURIOUS=0 {wait}") for wait in WAITS]
WAKE_LONG += [
    (WEAK, f"SPURIOUS={spurious} {wait} {crash}")
    for spurious, wait, crash in itertools.product((0, 1), WAITS, CRASHES)
    if bool(crash) != bool(spurious)
]
# ... and where each mutant must be found.
WAKE_MUTANTS = [
    (1, "TSO, fences", "MESSAGES=4"),
    (2, "TSO, membarrier", "MESSAGES=4"),
    (3, "SC", "MESSAGES=4"),
    (4, "SC", "MESSAGES=4"),
    (5, "SC", "MESSAGES=4"),
    (6, "SC", "MESSAGES=4"),
    (7, "SC", "MESSAGES=4"),
    (8, "SC", f"MESSAGES=4 {CRASHES[1]}"),
    (9, "TSO, membarrier", "MESSAGES=4"),
    (2, "TSO, membarrier", "MESSAGES=4 EVENT_LOOP"),
    (3, "SC", "MESSAGES=4 EVENT_LOOP"),
    (10, "SC", "MESSAGES=4 EVENT_LOOP"),
    (11, "SC", "MESSAGES=4 EVENT_LOOP"),
    (12, "TSO, membarrier", f"MESSAGES=4 {CRASHES[2]}"),
    (13, "SC", f"MESSAGES=4 {CRASHES[2]}"),
    (14, "SC", f"MESSAGES=4 {CRASHES[2]}"),
    (15, "SC", f"MESSAGES=4 {CRASHES[2]}"),
    (1, "ARM, fences", "MESSAGES=4 SPURIOUS=0"),
    (2, "ARM, membarrier", "MESSAGES=4 SPURIOUS=0"),
    (16, "ARM, fences", "MESSAGES=4 SPURIOUS=0"),
    (16, "ARM, membarrier", "MESSAGES=4 SPURIOUS=0"),
]

# The same of join.pml.
ONE = "ALONE COARSE SPURIOUS=0 CAP=2 END=3"
TWO = "COARSE SPURIOUS=0 CAP=2 END=2"
JOIN = [
    ("SC; TSO, fences", f"{ONE} OLDEST FREE_RUN"),
    ("SC; TSO, membarrier", f"{ONE} IDLE"),
    ("SC", f"{ONE} EVICT FREE_RUN"),
    ("SC", f"{ONE} CRASH1 FREE_RUN"),
    ("SC", f"{ONE} BATCH FREE_RUN"),
    ("SC", f"{ONE} SELF IDLE"),
    ("TSO, fences", f"{ONE} SELF NO_THREAD"),
    ("TSO, fences", "MIXED ALONE COARSE IDLE SPURIOUS=0 END=2"),
]
JOIN_LONG = [
    ("TSO, membarrier", f"{ONE} OLDEST FREE_RUN"),
    ("SC", f"{ONE} EVICT OLDEST FREE_RUN CRASH1"),
    ("SC", f"{TWO} KEPT EXPIRE"),
    ("SC", "LATE SPURIOUS=0 END=2 IDLE"),
    ("SC", "ALONE"),
    ("SC", "ALONE FREE_RUN END=5"),
    ("SC", "ALONE OLDEST FREE_RUN END=5"),
]
JOIN_MUTANTS = [
    (1, "SC", f"{ONE} FREE_RUN"),
    (2, "TSO, fences", f"{ONE} FREE_RUN"),
    (3, "TSO, fences", f"{ONE} OLDEST FREE_RUN"),
    (4, "SC", f"{ONE} FREE_RUN"),
    (5, "SC", "ALONE BATCH FREE_RUN END=5"),
    (6, "SC", "ALONE OLDEST FREE_RUN END=5"),
    (7, "TSO, membarrier", f"{ONE} OLDEST FREE_RUN"),
    (8, "SC", f"{ONE} IDLE"),
    (9, "SC", f"{ONE} CRASH1"),
    (10, "SC", f"{ONE} EVICT FREE_RUN"),
    (11, "SC", f"{ONE} EVICT FREE_RUN"),
    (12, "SC", "COARSE SPURIOUS=0 CAP=2 END=3"),
    (13, "SC", ONE),
    (14, "SC", f"{ONE} CRASH1 FREE_RUN"),
    (15, "SC", ONE),
    (16, "SC", f"{TWO} IDLE"),
    (18, "SC", f"{ONE} OLDEST FREE_RUN"),
    (19, "SC", "COARSE OLDEST HOSTILE0 LONG END=3 SPURIOUS=0"),
    (20, "SC", "COARSE HOSTILE0 SPURIOUS=0 CAP=2 END=3"),
    (21, "SC", f"{ONE} CRASH1"),
    (22, "SC", f"{ONE} SELF NO_THREAD"),
    (23, "SC", f"{TWO} KEPT"),
    (24, "SC", f"{TWO} KEPT"),
    (25, "SC", f"{ONE} IDLE"),
    (26, "TSO, fences", "MIXED ALONE COARSE IDLE SPURIOUS=0 END=2"),
    (27, "TSO, fences", "MIXED ALONE COARSE IDLE SPURIOUS=0 END=2"),
]
JOIN_MUTANTS_LONG = [
    (17, "SC", "LATE SPURIOUS=0 END=2 IDLE"),
    (28, "TSO, fences", f"MIXED {TWO}"),
]


# The same of fanin.pml.
FANIN = [
    ("SC", "MESSAGES=2"),
    ("TSO, fences; TSO, membarrier", "MESSAGES=1"),
    ("SC", "JOIN SELF MESSAGES=1"),
]
FANIN_LONG = [
    ("TSO, fences; TSO, membarrier", "MESSAGES=2"),
    ("TSO, fences", "JOIN MESSAGES=1"),
    ("SC", "CRASH MESSAGES=1"),
]
FANIN_MUTANTS = [
    (1, "TSO, fences", "MESSAGES=2"),
    (2, "TSO, membarrier", "MESSAGES=2"),
    (3, "TSO, fences", "MESSAGES=2"),
    (4, "TSO, membarrier", "MESSAGES=2"),
    (5, "SC", "MESSAGES=2"),
    (6, "SC", "MESSAGES=2"),
    (7, "SC", "JOIN MESSAGES=1"),
    (8, "SC", "JOIN MESSAGES=1"),
    (9, "SC", "MESSAGES=2"),
    (10, "SC", "MESSAGES=2"),
    (11, "TSO, fences", "MESSAGES=1"),
    (12, "SC", "JOIN MESSAGES=1"),
    (13, "TSO, membarrier", "REFUSED MESSAGES=1"),
]

# The same of handshake.pml, which has no shared memory.
HANDSHAKE = [("SC", ""), ("SC", "MANY"), ("SC", "MISFIT"), ("SC", "LIAR")]
HANDSHAKE_LONG = [("SC", "CLOSES")]
HANDSHAKE_MUTANTS = [
    *((mutant, "SC", "") for mutant in range(1, 10)),
    (10, "SC", "CLOSES"),
    (11, "SC", "LIAR"),
    (12, "SC", "LIAR"),
]

# Of each model: what must hold, and with `full` too; what must be found, and likewise.
MODELS = {
    "wake": (WAKE, WAKE_LONG, WAKE_MUTANTS, []),
    "join": (JOIN, JOIN_LONG, JOIN_MUTANTS, JOIN_MUTANTS_LONG),
    "fanin": (FANIN, FANIN_LONG, FANIN_MUTANTS, []),
    "handshake": (HANDSHAKE, HANDSHAKE_LONG, HANDSHAKE_MUTANTS, []),
}


def defines(text: str) -> list[str]:
    return [f"-D{word}" for word in text.split()]


def verify(
    spin: str, cc: str, work: Path, model: str, defines: list[str]
) -> tuple[int, int]:
    """Errors found and states visited; raises when the search was not exhaustive."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)

    def run(*command: str) -> str:
        return subprocess.run(
            command, cwd=work, check=True, capture_output=True, text=True
        ).stdout

    run(spin, *defines, "-a", str(HERE / f"{model}.pml"))
    run(cc, *COMPILE[model], "-w", "-DSAFETY", "-o", "pan", "pan.c")
    report = run("./pan", "-m400000")
    errors = re.search(r"errors: (\d+)", report)
    states = re.search(r"([\d.e+]+) states, stored", report)
    if not errors or not states or "max search depth too small" in report:
        raise RuntimeError(f"no verdict for {defines}:\n{report}")
    return int(errors[1]), int(float(states[1]))


def searches(model: str) -> Iterator[tuple[str, list[str]]]:
    """List what must hold: its name and its definitions."""
    always, long, _, _ = MODELS[model]
    for memories, text in always + (long if LONG else []):
        for memory in memories.split("; "):
            yield f"{memory:16} {text:60}", MEMORIES[memory] + defines(text)


def mutants(model: str) -> Iterator[tuple[int, str, list[str]]]:
    """List what must be found: its number, where, and the definitions."""
    _, _, always, long = MODELS[model]
    for mutant, memory, text in always + (long if LONG else []):
        yield mutant, f"{memory}, {text}", MEMORIES[memory] + defines(text)


def main(spin: str, cc: str, workdir: str, model: str) -> int:
    if not shutil.which(spin):
        print("SKIPPED: spin is not installed (Debian: apt-get install spin)")
        return 77
    wrong = 0
    work = Path(workdir) / model
    for name, flags in searches(model):
        errors, states = verify(spin, cc, work, model, flags)
        wrong += errors != 0
        print(
            f"{name} {states:10,} states: {'holds' if errors == 0 else 'FAILS'}",
            flush=True,
        )
    for mutant, name, flags in mutants(model):
        errors, states = verify(spin, cc, work, model, [*flags, f"-DMUTANT={mutant}"])
        wrong += errors == 0
        print(
            f"mutant {mutant} ({name}): "
            f"{'found' if errors else 'NOT FOUND'} after {states:,} states",
            flush=True,
        )
    print(f"{'all as it must be' if wrong == 0 else f'{wrong} wrong'}")
    return int(wrong != 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
