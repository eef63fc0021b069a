# SPDX-License-Identifier: Apache-2.0
"""market_tick.rs, as rustc takes it: sound for any bytes, and laid out as in C."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tachyon import schema
from tachyon.schema import to_rust
from tachyon.schema.__main__ import main

from conftest import EVERY, MARKET_TICK, ROOT, RUSTC, Read, rustc, struct

pytestmark = pytest.mark.skipif(RUSTC is None, reason="no rustc")
PROGRAM = """
#![forbid(unsafe_code)]
#![deny(warnings)]
mod every;
use every::{Bool, Cancel, Side, Tick, U16Be};
use tachyon_ipc::Message;

fn main() {
    let tick = Tick {
        symbol: *b"AAPL\\0\\0\\0\\0",
        price: 189.5,
        side: Side::ASK,
        halted: true.into(),
        ..Tick::ZERO
    };
    println!("{:?}", tick);
    let cancel = Cancel { net: U16Be::new(0x1234), r#type: 7, ..Cancel::ZERO };
    println!("{:x} {:?} {}", cancel.net.get(), cancel.net.0, cancel.r#type);
    println!("{:?} {:?} {:?}", Side(1), Side(9), Side(9).name());
    println!("{} {}", Bool(2).get(), Bool(2).is_valid());
    println!("{} {} {}", Tick::TYPE_ID, Cancel::TYPE_ID, every::LEVELS);
    println!("{} {} {}", size_of::<Tick>(), Tick::SMALLEST, Cancel::SMALLEST);
    println!("{:?} {:?}", Tick::GROWTH, Cancel::GROWTH);
    println!("{:016x} {:016x}", every::FINGERPRINT, Tick::FINGERPRINT);
    print!("{}{}", every::TYPES, Tick::TYPES);
}
"""


def compile_file(path: Path, *options: str | Path) -> None:
    """Compile a file; the test fails if rustc has anything to say."""
    done = subprocess.run(
        rustc(*options, path), check=False, stderr=subprocess.PIPE, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_program_uses_the_types(tmp_path: Path) -> None:
    header = tmp_path / "every.h"
    header.write_text(EVERY.read_text())
    assert main([str(header), "--types", "Tick=1", "Cancel=2", "--rust"]) == 0
    (tmp_path / "main.rs").write_text(PROGRAM)
    compile_file(tmp_path / "main.rs", "-o", tmp_path / "program")
    out = subprocess.check_output([tmp_path / "program"], text=True).splitlines()
    every = schema.read(header, {"Tick": 1, "Cancel": 2})
    tick = schema.read(header, {"Tick": 1})
    assert out == [
        "Tick { symbol: [65, 65, 80, 76, 0, 0, 0, 0], price: 189.5, side: ASK, halted: "
        "true, reserved: [0, 0, 0], venue: [0, 0], spread: [Tick.spread { bid: 0.0, "
        "ask: 0.0 }, Tick.spread { bid: 0.0, ask: 0.0 }], late: 0, port: 0, flags: [fa"
        "lse, false, false, false, false, false] }",
        "1234 [18, 52] 7",
        "BID 9 None",
        "true false",
        "1 2 10",
        "64 48 120",
        "Some([56, 58, 64]) None",
        f"{schema.fingerprint(every):016x} {schema.fingerprint(tick):016x}",
        *(schema.describe(every) + schema.describe(tick)).splitlines(),
    ]


@pytest.mark.parametrize(
    ("body", "after", "representation"),
    [
        ("char a; double b;", "", "C"),
        ("char a; double b;", "__attribute__((packed))", "C, packed"),
        ("char a; short b; int c;", "__attribute__((packed))", "C, packed"),
        ("int a; double b;", "__attribute__((packed, aligned(4)))", "C, packed(4)"),
        ("char a; int b;", "__attribute__((aligned(32)))", "C"),
        ("char a; int b __attribute__((aligned(16)));", "", "C"),
    ],
)
def test_a_struct_is_packed_no_more_than_it_must_be(
    read: Read, tmp_path: Path, body: str, after: str, representation: str
) -> None:
    (text,) = to_rust.write(read(struct(body, after))).values()
    assert f"#[repr({representation})]\n" in text
    # As bytemuck's derive for Pod has it: no byte that no field has.
    (tmp_path / "tick.rs").write_text(text)
    compile_file(
        tmp_path / "tick.rs", "--crate-type", "lib", "-o", tmp_path / "tick.rlib"
    )


def test_a_build_script_writes_it(tmp_path: Path) -> None:
    """As docs/TYPED_MESSAGES.md has it, the two programs run by hand."""
    page = (ROOT / "docs/TYPED_MESSAGES.md").read_text()
    script, program = re.findall(
        r"// build.rs\n(.*)\n// src/main.rs\n(.*?)```", page, re.S
    )[0]
    (tmp_path / "market_tick.h").write_text(MARKET_TICK.read_text())
    (tmp_path / "build.rs").write_text(f"fn main() {{ {script} }}")
    (tmp_path / "main.rs").write_text(
        program + 'fn main() { println!("{:?}", market_tick::MarketTick::ZERO) }'
    )
    compile_file(tmp_path / "build.rs", "-o", tmp_path / "build")
    environment = os.environ | {"OUT_DIR": str(tmp_path)}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    subprocess.run([tmp_path / "build"], cwd=tmp_path, env=environment, check=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OUT_DIR", str(tmp_path))
        compile_file(tmp_path / "main.rs", "-o", tmp_path / "main")
    out = subprocess.check_output([tmp_path / "main"], text=True)
    assert out.startswith("MarketTick { symbol: [0, 0, 0, 0, 0, 0, 0, 0], price: 0.0, ")


def test_names_that_rust_has_itself(read: Read, tmp_path: Path) -> None:
    text = (
        "#define TYPES 3\n#define type 4\n"
        "enum match { self = 1, Self = 2, name = 3, fn = 4 };"
        "struct impl { int self; int super; int r_type; int async; int _padding0; "
        "char c; enum match match; struct { int x; } dyn[2]; };"
    )
    (rust,) = to_rust.write(read(text, "impl")).values()
    for expected in (
        *("pub const TYPES_: u32 = 3;", "pub const r#type: u32 = 4;"),
        *("pub struct r#match(pub u32);", "pub const name_: Self = Self(3);"),
        *("pub struct r#impl {", "pub self_: i32,", "pub super_: i32,"),
        *("pub r#async: i32,", "pub _padding0: i32,", "pub _padding0_: [u8; 3],"),
        "pub r#dyn: [impl_dyn; 2],",
    ):
        assert expected in rust
    (tmp_path / "tick.rs").write_text(rust)
    compile_file(
        tmp_path / "tick.rs", "--crate-type", "lib", "-o", tmp_path / "tick.rlib"
    )


@pytest.mark.parametrize("name", ["Bool", "str", "usize"])
def test_a_type_called_as_one_of_ours_is_refused(read: Read, name: str) -> None:
    with pytest.raises(schema.SchemaError, match=f"type cannot be called {name}, whic"):
        to_rust.write(read(f"typedef struct {{ int x; }} {name};", name))


def test_rustfmt_has_nothing_to_change(tmp_path: Path) -> None:
    rustfmt = Path(str(RUSTC)).parent / "rustfmt"
    if not rustfmt.exists():
        pytest.skip("no rustfmt")
    header = tmp_path / "every.h"
    header.write_text(EVERY.read_text())
    main([str(header), "--types", "Tick=1", "Cancel=2", "--rust"])
    command = [rustfmt, "--edition", "2021", "--check", tmp_path / "every.rs"]
    subprocess.run(command, check=True)
