#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Run the reliability tests as long as the time allows, and write docs/RELIABILITY.md.

    full.py BUILD [SECONDS]
    full.py --faults

BUILD is a build tree of the C core and its tests. SECONDS (or TACHYON_BUDGET, 1800 if
neither is given) is shared out among the tests whose full length is longer than quick.
The page says how much of each goal's full length was run. With --faults nothing is run,
and only the page's list of the tests against known faults is brought up to date.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "RELIABILITY.md"

# Program (below BUILD/tests), and its share of the budget in percent.
SHARES = {
    "stress/stress_kill": 16,
    "stress/stress_wake": 18,
    "stress/stress_soak": 10,
    "stress/stress_soak_many": 4,
    "stress/stress_restart": 3,
    "stress/stress_comeback": 1,
    "stress/stress_calls": 3,
    "stress/stress_death": 3,
    "stress/stress_signals": 3,
    "stress/stress_clients": 2,
    "stress/stress_geometry": 1,
    "stress/stress_model": 1,
    "stress/stress_wake_broken": 1,
    "fuzz/fuzz_hostile": 9,
    "fuzz/fuzz_hostile_crowd": 2,
}
FUZZ = {
    "receive": 10**9,
    "send": 10**9,
    "rpc_replies": 10**8,
    "hello": 10**8,
    "answer": 10**8,
}
FUZZ_SHARE = 4  # each
AFL_SHARE = 1  # of another fuzzer, each

MODELS = {
    "wake": "Sleep, wake, close and crash",
    "join": "Many readers: join, sleep, leave and evict",
    "fanin": "One receiver of many rings",
}

# Goal, pass line, where it is tested.
GOALS = {
    "R1": (
        "Nothing lost, doubled, torn or reordered when either end, or both, are "
        "killed, or either closes or aborts, at any instant; then the error says which",
        "stress.kill",
    ),
    "R2": (
        "From SIGKILL to the error in a blocked call: p99 at most 2 ms, never above "
        "50 ms (beyond what a bare pidfd takes on the same machine)",
        "stress.death",
    ),
    "R3": (
        "No wake-up lost, whatever the moment; the same sweep finds a broken protocol",
        "stress.wake, stress.wake_broken",
    ),
    "R4": (
        "A peer that writes over the whole mapping causes no signal, no span outside "
        "the ring, no endless call; CORRUPT once and for good",
        "fuzz.hostile",
    ),
    "crowd": (
        "Hostile peers of one listener, readers or producers, cost the honest ones and "
        "the listener nothing but time",
        "fuzz.hostile_crowd",
    ),
    "R6": (
        "A good client gets in within 100 ms among a thousand rude ones",
        "stress.clients",
    ),
    "R7": (
        "Every blocking call is back 20 ms after its time-out at the latest, also in a "
        "storm of signals",
        "stress.signals",
    ),
    "R8": ("An emptied ring takes any legal message", "stress.geometry"),
    "R9": (
        "Any operations on a bus, closing included, agree with a list",
        "stress.model",
    ),
    "R11": ("Fuzzing finds nothing, and finds what is planted", "fuzz.*"),
    "R17": (
        "Connecting again and again leaves memory and descriptors where they were",
        "stress.clients",
    ),
    "R20": ("No reply goes to the wrong call", "stress.calls"),
    "R22": (
        "Memory, descriptors and latency stay where they are",
        "stress.soak, stress.soak_many",
    ),
    "restart": (
        "Either side killed and started again on one path, at once",
        "stress.restart",
    ),
    "comeback": (
        "One listener, many peers: either side killed under load and back at once; "
        "nothing lost that was to be kept; memory, descriptors and files as before",
        "stress.comeback",
    ),
}

FAULTS_TITLE = "## Faults that must not come back"

# Faults that were found in the forerunner, by running it.
FAULTS = {
    1: "Stall for ever on an empty ring that looked full",
    2: "Wake-up lost: the sleeper waited on a word that the waker never changed",
    3: "Phantom message after rolling back a reservation at the end of the ring",
    4: "Read past the mapping on a hostile length",
    5: "SIGBUS on a descriptor whose size or seals were not checked",
    6: "Death and clean close of the peer not noticed",
    7: "Committed messages lost on a kill or a clean destroy",
    8: "Listener killed, consumed or hung by a wrong client; descriptors leaked",
    9: "Another program's file deleted, a live listener's socket stolen",
    10: "No time-outs; late or reordered replies fatal",
    11: "A legal message that could never be sent at some offsets",
    12: "A forked child crashed or unmapped what it did not own",
    13: "The error state in shared memory, where the peer could clear it",
    14: "Two guards on one bus shared one slot",
    15: "The shipped seccomp filter killed at SIGSTOP and SIGCONT",
    16: "Documented words that nobody wrote",
}


@dataclass
class Line:
    """What was done for one goal, and its full length."""

    goal: str
    unit: str
    done: int
    full: int
    seconds: float
    text: str


def run(command: list[str], **environment: str) -> tuple[bool, str]:
    print("$", " ".join(command), flush=True)
    result = subprocess.run(
        command,
        check=False,
        cwd=ROOT,
        env=os.environ | environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    print(result.stdout[-2000:], flush=True)
    return result.returncode == 0, result.stdout


def fuzz(build: Path, target: str, seconds: int) -> tuple[bool, Line]:
    program = build / "tests" / "fuzz" / f"fuzz_{target}"
    libfuzzer = program.with_name(f"{program.name}_libfuzzer")
    begin = time.monotonic()
    if libfuzzer.exists():
        corpus = build / "corpus" / target
        corpus.mkdir(parents=True, exist_ok=True)
        good, output = run(
            [
                str(libfuzzer),
                f"-max_total_time={seconds}",
                "-max_len=512",
                "-print_final_stats=1",
                f"-artifact_prefix={build}/",
                str(corpus),
            ]
        )
        count = re.search(r"stat::number_of_executed_units: (\d+)", output)
        text = "with libFuzzer"
    else:
        good, output = run([str(program), f"-max_total_time={seconds}"])
        count = re.search(r"(\d+) random inputs", output)
        text = "random inputs, no libFuzzer"
    took = time.monotonic() - begin
    executed = int(count[1]) if count else 0
    return good, Line("R11", f"inputs for {target}", executed, FUZZ[target], took, text)


def fuzz_with_afl(build: Path, seconds: int) -> tuple[bool, list[Line]]:
    """Every target, then planted bugs; without AFL++, nothing."""
    compiler = shutil.which("afl-clang-fast")
    if not compiler or not shutil.which("afl-fuzz"):
        return True, []
    good, output = run(
        [
            "cmake",
            "-DFUZZER=afl",
            f"-DCOMPILER={compiler}",
            f"-DROOT={ROOT}",
            f"-DWORK={build / 'afl'}",
            f"-DSECONDS={seconds}",
            "-P",
            str(ROOT / "tests" / "fuzz" / "campaign.cmake"),
        ]
    )
    runs = re.findall(r"^(\d+) inputs for (\w+) in (\d+) s", output, re.M)
    return good, [
        Line(
            "R11",
            f"inputs for {target}",
            int(inputs),
            FUZZ[target],
            float(took),
            "with AFL++",
        )
        for inputs, target, took in runs
    ]


def check_models(build: Path, budget: int, notes: dict[str, str]) -> list[str]:
    """Write what is found to the notes; returns the models that failed."""
    failed: list[str] = []
    check = str(ROOT / "tests" / "model" / "check.py")
    if spin := shutil.which("spin"):
        for model, title in MODELS.items():
            good, output = run(
                [sys.executable, check, spin, "cc", str(build / "search"), model],
                TACHYON_BUDGET=str(budget),
            )
            notes[f"{title}, model-checked"] = f"```\n{output}```"
            if not good:
                failed.append(f"model {model}")
    return failed


def read_report(path: Path) -> list[Line]:
    lines = []
    for row in path.read_text().splitlines() if path.exists() else []:
        goal, unit, done, full, seconds, text = row.split("\t")
        lines.append(Line(goal, unit, int(done), int(full), float(seconds), text))
    return lines


def fault_tests() -> dict[int, list[str]]:
    found: dict[int, list[str]] = {number: [] for number in FAULTS}
    for path in sorted(ROOT.glob("**/*")):
        inside = path.relative_to(ROOT).parts
        if path.suffix not in (".c", ".py", ".rs", ".cpp") or inside[0].startswith(
            "build"
        ):
            continue
        for number, rest in re.findall(
            r"\b(?:test_)?fault_(\d+)_(\w+)", path.read_text()
        ):
            name = f"`{path.relative_to(ROOT)}`: {rest.replace('_', ' ')}"
            if int(number) in found and name not in found[int(number)]:
                found[int(number)].append(name)
    return found


def fault_table() -> str:
    tests = fault_tests()
    return "\n".join(
        [
            FAULTS_TITLE,
            "",
            "Found in the forerunner by running it. Each has tests named after it.",
            "",
            "| fault | shown absent by |",
            "|---|---|",
        ]
        + [
            f"| {fault}. {text} | {'<br>'.join(tests[fault]) or 'no test yet'} |"
            for fault, text in FAULTS.items()
        ]
        + [""]
    )


def write_faults() -> None:
    before, _, _ = PAGE.read_text().partition(FAULTS_TITLE)
    PAGE.write_text(before + fault_table())


def number(value: int) -> str:
    return f"{value:,}"


def write_page(lines: list[Line], failed: list[str], notes: dict[str, str]) -> None:
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    out = [
        "# Reliability",
        "",
        "Written by `tests/full.py` from the last full run: what was run, how much of",
        "each goal's full length that is, and what came of it. To run it again, for as",
        "many seconds as there are: `TACHYON_BUDGET=1800 cmake --workflow --preset",
        "full`. Short versions of the same tests are part of every run of CTest.",
        "",
        f"Linux {platform.release().split('-')[0]}, "
        f"{cpu[1] if cpu else platform.machine()}, {os.cpu_count()} processors, "
        f"{time.strftime('%Y-%m-%d')}. "
        + ("All passed." if not failed else "FAILED: " + ", ".join(failed) + "."),
        "",
        "| goal | tested by | run | of full length | observed |",
        "|---|---|---|---|---|",
    ]
    for line in lines:
        if line.goal not in GOALS:
            continue
        promise, tests = GOALS[line.goal]
        share = 100 * line.done / line.full if line.full else 100
        out.append(
            f"| {promise} | {tests} | {number(line.done)} {line.unit} in "
            f"{line.seconds:,.0f} s | {share:.3g} % of {number(line.full)} | "
            f"{line.text} |"
        )
    for title, text in notes.items():
        out += ["", f"## {title}", "", text.rstrip()]
    PAGE.write_text("\n".join([*out, "", fault_table()]))


def main(build: Path, budget: int) -> int:
    report = build / "report.tsv"
    report.unlink(missing_ok=True)
    lines: list[Line] = []
    failed: list[str] = []
    notes: dict[str, str] = {}

    good, output = run(
        [
            "ctest",
            "--test-dir",
            str(build),
            "-R",
            r"^(c|fault|seccomp)\.",
            "--timeout",
            "120",
        ]
    )
    if not good:
        failed.append("C tests, fault injection or seccomp")
    passed = re.findall(r"^.*Test +#\d+: (\S+) .*Passed", output, re.M)
    notes["Every call refused in turn, and the C suite under the seccomp filter"] = (
        f"{len(passed)} programs passed, among them "
        + ", ".join(
            f"`{name}`" for name in passed if not name.startswith(("c.", "seccomp.c."))
        )
        + f" and {sum(name.startswith('seccomp.c.') for name in passed)} of the C "
        "suite under the filter that `docs/SYSCALLS.md` describes."
    )
    for program, share in SHARES.items():
        seconds = max(budget * share // 100, 5)
        good, _ = run(
            [str(build / "tests" / program)],
            TACHYON_FULL_SECONDS=str(seconds),
            TACHYON_TEST_LIMIT_S=str(seconds + 300),
            TACHYON_REPORT=str(report),
        )
        if not good:
            failed.append(program)
    lines += read_report(report)
    for target in FUZZ:
        good, line = fuzz(build, target, max(budget * FUZZ_SHARE // 100, 5))
        lines.append(line)
        if not good:
            failed.append(f"fuzz {target}")
    good, afl_lines = fuzz_with_afl(build, max(budget * AFL_SHARE // 100, 3))
    lines += afl_lines
    if not good:
        failed.append("AFL++")

    good, output = run(["cmake", "--build", str(build), "--target", "planted_bugs"])
    bugs = re.findall(r"^(found |MISSED) (.*)$", output, re.M)
    if not good:
        failed.append("planted bugs")
    bugs = [bug for bug in bugs if " with " in bug[1] or bug[0] == "MISSED"]
    found = [text for verdict, text in bugs if verdict == "found "]
    notes["Planted bugs"] = (
        f"{len(found)} of {len(bugs)} were found, each in under 60 s:\n\n"
        + "\n".join(f"- {text.split(': ')[0]}" for text in found)
    )

    failed += check_models(build, budget, notes)

    if shutil.which("clang-19") and shutil.which("llvm-cov-19"):
        good, output = run(
            ["cmake", "--workflow", "--preset", "coverage"],
            CC="clang-19",
            CTEST_PARALLEL_LEVEL="2",
        )
        table = re.search(r"^file +lines.*?^all lines.*?$", output, re.M | re.S)
        if not good:
            failed.append("coverage")
        notes["Coverage of the core by the C tests"] = (
            f"```\n{table[0] if table else '-'}\n```"
        )

    write_page(lines, failed, notes)
    print(f"written to {PAGE}")
    if failed:
        print("FAILED:", ", ".join(failed))
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    if sys.argv[1] == "--faults":
        write_faults()
        sys.exit(0)
    seconds = (
        sys.argv[2] if len(sys.argv) > 2 else os.environ.get("TACHYON_BUDGET") or "1800"
    )
    sys.exit(main(Path(sys.argv[1]).resolve(), int(seconds)))
