# SPDX-License-Identifier: Apache-2.0
"""MAVLink's "common": 210 messages, in the C headers of its own generator."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PYMAVLINK = "pymavlink==2.4.50"
GENERATE = """\
import types
from pymavlink.generator import mavgen
options = types.SimpleNamespace(
    output={output!r}, wire_protocol="2.0", language="C", validate=False,
    error_limit=200, strict_units=False)
assert mavgen.mavgen(options, [{xml!r}])
"""
ALL = "mavlink.h"
DEFINITION = r"^}\)? *(mavlink_\w+_t);"
ID = r"^#define MAVLINK_MSG_ID_(\w+) (\d+)$"


def generate(directory: Path) -> Path:
    """Install pymavlink there, and return where the dialect's headers are then."""
    pip = [*(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"),
           *("--disable-pip-version-check", "--no-input", "--only-binary", ":all:"),
           *("--upgrade", "--target", str(directory), PYMAVLINK)]  # fmt: skip
    done = subprocess.run(pip, check=False, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise OSError(f"no {PYMAVLINK}: {done.stderr.strip()}")
    xml = directory / "pymavlink/dialects/v20/common.xml"
    headers = directory / "headers"
    program = GENERATE.format(output=str(headers), xml=str(xml))
    subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(directory)},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return headers / "common"


def found(common: Path, pattern: str) -> Iterator[re.Match[str]]:
    """Go through what is defined in any of the headers that mavlink.h includes."""
    for path in sorted([*common.parent.glob("*.h"), *common.parent.glob("*/*.h")]):
        yield from re.finditer(pattern, path.read_text(), re.MULTILINE)


def messages(common: Path) -> dict[str, int]:
    """Return the messages, with MAVLink's own ids."""
    structs = {match[1] for match in found(common, DEFINITION)}
    ids = {f"mavlink_{m[1].lower()}_t": int(m[2]) for m in found(common, ID)}
    return {name: number for name, number in ids.items() if name in structs}
