#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What is promised of typed messages, in one table.

From Python messages are written in place, sent by a call and read (bench.py --typed);
in Rust a read of four fields is compared with one by hand, by what the compiler makes
of both; two ends connect with descriptions (connect.py); files are written of headers.
"""

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import results

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SCHEMA = HERE.parent / "schema"
sys.path.append(str(SCHEMA))

import mavlink  # noqa: E402

Row = dict[str, Any]
BY_HAND = """
#![allow(dead_code)]
pub mod market_tick;
use market_tick::MarketTick;
use core::ptr::read_unaligned;

#[no_mangle]
pub fn typed(tick: &MarketTick) -> f64 {
    tick.price * tick.quantity as f64 + (tick.timestamp ^ tick.symbol[0] as u64) as f64
}

#[no_mangle]
pub fn by_hand(bytes: &[u8; 32]) -> f64 {
    let at = bytes.as_ptr();
    // SAFETY: all are within the 32 bytes, and any bits are a value of each.
    let (price, quantity, timestamp) = unsafe {
        (
            read_unaligned(at.add(8).cast::<f64>()),
            read_unaligned(at.add(16).cast::<u32>()),
            read_unaligned(at.add(20).cast::<u64>()),
        )
    };
    price * quantity as f64 + (timestamp ^ bytes[0] as u64) as f64
}
"""


def row(title: str, value: float, unit: str, **others: Any) -> Row:
    """Return a row, by default without a goal."""
    empty = {"ratio": None, "ratio_to": "", "goal": None, "met": None}
    return {"title": title, "regime": "any", "value": value, "unit": unit} | {
        **empty,
        **others,
    }


def of_script(name: str, *options: str) -> list[Row]:
    """Return the rows of another script."""
    command = [sys.executable, str(HERE / name), "--json", *options]
    rows: list[Row] = json.loads(subprocess.check_output(command))
    return rows


def instructions(assembly: str, function: str) -> list[str]:
    """Return what is executed between a label and the end of its function."""
    body = re.search(rf"^{function}:\n(.*?)^\.Lfunc_end", assembly, re.S | re.M)
    if not body:
        sys.exit(f"rustc has written no {function}")
    lines = (line.strip() for line in body[1].splitlines())
    return [line for line in lines if line and line[0] not in ".#" and ":" not in line]


def of_rust(rustc: str, directory: Path) -> list[Row]:
    """Return what a read of four fields takes beside one by hand."""
    library = directory / "libtachyon_ipc.rlib"
    common = ["--edition", "2021", "--crate-type", "lib", "-O"]
    subprocess.run(
        [
            *(rustc, *common, "--crate-name", "tachyon_ipc", "-A", "dead_code"),
            *("-o", library, ROOT / "bindings/rust/src/message.rs"),
        ],
        check=True,
    )
    write_files(SCHEMA / "market_tick.h", ["MarketTick=1"], directory)
    program = directory / "reads.rs"
    program.write_text(BY_HAND)
    assembly = directory / "reads.s"
    subprocess.run(
        [
            *(rustc, *common, "--extern", f"tachyon_ipc={library}"),
            *("--emit", f"asm={assembly}", program),
        ],
        check=True,
    )
    text = assembly.read_text()
    if re.search(r"^\t?\.set\ttyped, by_hand|^typed = by_hand", text, re.M):
        typed = by_hand = instructions(text, "by_hand")  # one body for both
    elif re.search(r"^\t?\.set\tby_hand, typed|^by_hand = typed", text, re.M):
        typed = by_hand = instructions(text, "typed")
    else:
        typed, by_hand = instructions(text, "typed"), instructions(text, "by_hand")
    return [
        row("Rust: four fields read, by hand", len(by_hand), "instr"),
        row(
            "Rust: four fields of a message read", len(typed), "instr",
            ratio=len(typed) / len(by_hand), ratio_to="by hand", goal="<= 1 x",
            met=len(typed) <= len(by_hand),
        ),
    ]  # fmt: skip


def write_files(header: Path, types: list[str], into: Path) -> float:
    """Write the files of a header; return the seconds that it took."""
    start = time.perf_counter()
    subprocess.run(
        [
            *(sys.executable, "-m", "tachyon.schema", header, "--types", *types),
            *("--c", "--python", "--rust", "-o", into),
        ],
        check=True,
    )
    return time.perf_counter() - start


def of_generation(
    title: str, header: Path, types: list[str], goal: float, repeats: int
) -> Row:
    """Return how long it takes to write the files of a header."""
    with tempfile.TemporaryDirectory(prefix="tachyon-") as directory:
        times = [write_files(header, types, Path(directory)) for _ in range(repeats)]
    value = statistics.median(times)
    return row(title, value, "s", goal=f"<= {goal:g} s", met=value <= goal)


def measure(install: Path | None, quick: bool, cores: str) -> list[Row]:
    """Return all rows."""
    rows = of_script("bench.py", "--typed", "--cores", cores, *["--quick"] * quick)
    rustc = os.environ.get("RUSTC") or shutil.which("rustc")
    if rustc:
        with tempfile.TemporaryDirectory(prefix="tachyon-") as directory:
            rows += of_rust(rustc, Path(directory))
    rows += of_script("connect.py", "--rounds", "3" if quick else "200")
    repeats = 1 if quick else 9
    title = "files for C, Python and Rust of market_tick.h"
    header = SCHEMA / "market_tick.h"
    rows.append(of_generation(title, header, ["MarketTick=1"], 0.5, repeats))
    if install:
        common = mavlink.generate(install)
        types = [f"{name}={n}" for name, n in mavlink.messages(common).items()]
        title = f"files of all {len(types)} messages of MAVLink"
        rows.append(of_generation(title, common / mavlink.ALL, types, 1, repeats))
    return rows


def circumstances(cores: str) -> str:
    """Say what was measured on."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return (
        f"{cpu[1] if cpu else platform.machine()}, {os.cpu_count()} CPUs, Linux "
        f"{platform.release()}, Python {platform.python_version()}, load "
        f"{os.getloadavg()[0]:.1f} after the run; the processes pinned to cores "
        f"{cores.replace(',', ' and ')}.\n\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="show only that it works")
    parser.add_argument("--cores", default="0,1", metavar="LEAD,PEER")
    parser.add_argument("--install", type=Path, metavar="DIRECTORY",
                        help="where to put pymavlink, for its messages")  # fmt: skip
    parser.add_argument("--page", action="store_true",
                        help="write the table into docs/BENCHMARKS.md")  # fmt: skip
    args = parser.parse_args()
    if args.page and args.quick:
        parser.error("a quick run says nothing about speed")
    rows = measure(args.install, args.quick, args.cores)
    table = f"{results.table(rows)}\n"
    if args.page:
        text = f"\n{circumstances(args.cores)}{table}"
        results.write(text, results.TYPED_BEGIN, results.TYPED_END)
    else:
        print(table, end="")


if __name__ == "__main__":
    main()
