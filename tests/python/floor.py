# SPDX-License-Identifier: Apache-2.0
"""How late this machine is, so that a time can be told from a busy machine.

What waits is woken when a processor is free for it, which on a loaded machine may take
any time. A process of its own, which shares neither threads nor the GIL with what is
tested, sleeps again and again and writes down how late it woke.
"""

import atexit
import mmap
import struct
import subprocess
import sys
import tempfile
import time
from functools import cache

PAUSE_NS = 5_000_000
ENTRY = struct.Struct("qq")  # when it should have woken, when it did
ENTRIES = 1 << 13  # some 40 s
STEPS = 4  # wake-ups one after the other in what is measured: thread, process, loop, …

SLEEPER = f"""
import mmap, os, struct, sys, time
room = mmap.mmap(int(sys.argv[1]), {ENTRY.size * ENTRIES})
parent, at = os.getppid(), 0
while os.getppid() == parent:
    due = time.monotonic_ns() + {PAUSE_NS}
    time.sleep({PAUSE_NS / 1e9})
    struct.pack_into("qq", room, at, due, time.monotonic_ns())
    at = (at + {ENTRY.size}) % len(room)
"""


@cache
def sleeper() -> mmap.mmap:
    """Start the process; return what it writes."""
    with tempfile.TemporaryFile() as file:
        file.truncate(ENTRY.size * ENTRIES)
        process = subprocess.Popen(
            [sys.executable, "-S", "-c", SLEEPER, str(file.fileno())],
            pass_fds=[file.fileno()],
        )
        room = mmap.mmap(file.fileno(), ENTRY.size * ENTRIES)
    atexit.register(process.wait)
    atexit.register(process.kill)
    while not any(room[: ENTRY.size]):
        time.sleep(0.001)
    return room


class Watch:
    """A stop-watch that is made at the start."""

    def __init__(self) -> None:
        self._room = sleeper()
        self.start_ns = time.monotonic_ns()

    def check(self, least: float, limit: float) -> None:
        """Fail unless it took that long, but for the machine being late."""
        end = time.monotonic_ns()
        entries = list(ENTRY.iter_unpack(self._room))
        late = [woke - due for due, woke in entries if woke >= self.start_ns]
        # It may be asleep at this moment, and late.
        due = max(due for due, _ in entries) + PAUSE_NS
        allowance = STEPS * max([*late, end - due, 0]) / 1e9
        took = (end - self.start_ns) / 1e9
        assert least <= took < limit + allowance, (
            f"{took:.4f} s, not {least} to {limit} s "
            f"and {allowance:.4f} s for a machine that is late"
        )
