#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Run one workload once through one adapter in Java.

    pair.py JAVA... -- LINK WORD...

The words are those of ../c/driver.c after the adapter.

A JVM cannot be forked, nor does it pin itself: this starts both, each on its core. What
the one that measures says goes to standard output.
"""

import os
import subprocess
import sys
from pathlib import Path

CONTROL_BYTES = 4096


def start(java: list[str], words: list[str], role: str) -> "subprocess.Popen[bytes]":
    link, *rest = words
    core = int(words[-3] if role == "lead" else words[-2])
    return subprocess.Popen(
        [*java, "Driver", link, role, *rest],
        # One thread, which does nothing else meanwhile.
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),  # noqa: PLW1509
    )


def main() -> None:
    at = sys.argv.index("--")
    java, words = sys.argv[1:at], sys.argv[at + 1 :]
    Path(words[-1], "control").write_bytes(bytes(CONTROL_BYTES))
    pair = [start(java, words, role) for role in ("lead", "other")]
    ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
    if ended is None or ended.si_status:
        for process in pair:  # who has not failed would wait for ever
            process.kill()
    statuses = [process.wait() for process in pair]
    sys.exit(any(statuses))


if __name__ == "__main__":
    main()
