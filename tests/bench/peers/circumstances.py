# SPDX-License-Identifier: Apache-2.0
"""What the machine is, and what is wrong with it: said beside the figures."""

import ctypes
import errno
import os
import platform
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MUCH = 0.1  # of the processors' time; who was ended counts as another
LOOK_S = 5  # the load average would count the build of the peers for minutes
PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241}


def counters_missing() -> str:
    """Return why the processor's counters cannot be read; nothing where they can."""
    number = PERF_EVENT_OPEN.get(platform.machine())
    if number is None:
        return f"not known on {platform.machine()}"
    size = 64
    event = (ctypes.c_uint32 * (size // 4))()
    event[1] = size  # the rest is 0: cycles of this thread
    event[10] = 1 << 5 | 1 << 6  # neither the kernel's nor the hypervisor's
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.syscall(number, ctypes.byref(event), 0, -1, -1, 0)
    if fd < 0:
        return os.strerror(ctypes.get_errno() or errno.ENOSYS)
    os.close(fd)
    return ""


def ticks() -> tuple[int, int, int]:
    """Return the processors' time: in all, idle, and the hypervisor's."""
    first, *_ = Path("/proc/stat").read_text().splitlines()
    times = [int(word) for word in first.split()[1:9]]
    return sum(times), times[3] + times[4], times[7]


def own_ticks() -> float:
    """Return what this process and those that it has started have used."""
    used = os.times()
    seconds = used.user + used.system + used.children_user + used.children_system
    return seconds * os.sysconf("SC_CLK_TCK")


class Before:
    """The machine before a run; whatever it does while it is looked at is others'."""

    def __init__(self, look_s: float = LOOK_S) -> None:
        total, idle, _ = ticks()
        time.sleep(look_s)
        self._ticks, self._own = ticks(), own_ticks()
        spent = self._ticks[0] - total
        self._busy = 1 - (self._ticks[1] - idle) / spent if spent else 0.0

    def machine(self, cores: Sequence[int]) -> dict[str, Any]:
        """Return what it is, and what is to be said of it, after the run."""
        info = Path("/proc/cpuinfo").read_text()
        models = re.findall(r"model name\s*: (.*)", info)
        total, idle, stolen = (
            after - before for after, before in zip(ticks(), self._ticks, strict=True)
        )
        others = (total - idle - stolen) - (own_ticks() - self._own)
        doubts = self._doubts(others / max(total, 1))
        notes = [f"{doubt}: not to be relied on" for doubt in doubts]
        if total and stolen / total > MUCH:
            notes.append(f"the hypervisor gave {stolen / total:.0%} to somebody else")
        return {
            "cpu": models[0] if models else platform.machine(),
            "cpus": os.cpu_count(),
            "cores": list(cores),
            "kernel": platform.release().split("-")[0],
            "python": platform.python_version(),
            "time": time.strftime("%Y-%m-%d"),
            "reliable": not doubts,
            "notes": notes + lacks(cores, " hypervisor" in info),
        }

    def _doubts(self, others: float) -> list[str]:
        """Return what others used of the processors, where it was much."""
        doubts = []
        if self._busy > MUCH:
            doubts.append(f"the machine was {self._busy:.0%} busy before the run")
        if others > MUCH:
            doubts.append(f"others had {others:.0%} of the processors meanwhile")
        return doubts


def lacks(cores: Sequence[int], virtual: bool) -> list[str]:
    """Return what the machine does not have that a run would like."""
    notes = []
    if virtual:
        notes.append("a virtual machine: the hypervisor has a part in each wake-up")
    if len(set(cores)) < 2:
        notes.append("one core: whatever spins is not measured")
    if missing := counters_missing():
        notes.append(f"no performance counters ({missing}): times, no cycles")
    try:
        import hdrh  # noqa: F401, PLC0415
    except ImportError:
        notes.append("percentiles are exact: the histograms' package cannot be had")
    return notes
