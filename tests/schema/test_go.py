# SPDX-License-Identifier: Apache-2.0
"""market_tick.go, as go takes it: what C has written is read, and the other way."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tachyon import schema
from tachyon.schema import to_go
from tachyon.schema.__main__ import main

from conftest import EVERY, Read, struct

GO = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
pytestmark = pytest.mark.skipif(GO is None, reason="no go")
PROGRAM = """
package main

import (
	"fmt"
	"io"
	"os"
	"typed/every"
)

func panics(what func()) (text any) {
	defer func() { text = recover() != nil }()
	what()
	return
}

func main() {
	bytes, _ := io.ReadAll(os.Stdin)
	t, ok := every.TickOf(bytes[:every.TickSize], every.TickTypeID)
	out := []any{ok, t.SymbolText(), t.Price(), t.Side(), t.Halted(), t.Reserved()}
	out = append(out, t.Venue(1), t.Spread(1).Bid(), t.Late(), t.Port())
	fmt.Println(append(out, t.Flags(0), t.Flags(1), t.Flags(2))...)
	c, ok := every.CancelOf(bytes[every.TickSize:], every.CancelTypeID)
	out = []any{ok, c.Order(), c.Len(), c.Dlc(), c.Net(), c.Type(), c.Sides(2)}
	fmt.Println(append(out, c.Sides(0))...)

	n := every.NewTick()
	fmt.Println(n.SetSymbol("too long!"), n.SetSymbol("AAPL    "), n.SetSymbol("AAPL"))
	n.SetPrice(t.Price())
	n.SetSide(every.SideASK)
	n.SetHalted(false)
	n.SetHalted(true)
	copy(n.Reserved(), []byte{1, 2, 255})
	for i := range 2 {
		n.SetVenue(i, t.Venue(i))
		n.Spread(i).SetBid(t.Spread(i).Bid())
		n.Spread(i).SetAsk(t.Spread(i).Ask())
	}
	n.SetLate(t.Late())
	n.SetPort(t.Port())
	for i := range 6 {
		n.SetFlags(i, t.Flags(i))
	}
	m := every.NewCancel()
	m.SetOrder(c.Order())
	m.SetDlc(c.Dlc())
	m.SetNet(c.Net())
	m.SetType(c.Type())
	for i := range 3 {
		m.SetSides(i, c.Sides(i))
		for j := range 2 {
			m.Parts(j, i).SetA(c.Parts(j, i).A())
			m.Parts(j, i).SetB(c.Parts(j, i).B())
		}
	}
	os.WriteFile("back", append(n, m...), 0o600)

	old, ok := every.TickOf(bytes[:52], every.TickTypeID)
	fmt.Println(ok, old.Spread(1).Ask(), old.Late(), old.Port(), old.Flags(5))
	_, short := every.TickOf(bytes[:47], every.TickTypeID)
	_, long := every.CancelOf(append(c, 0), every.CancelTypeID)
	_, other := every.CancelOf(c, every.TickTypeID)
	fmt.Println(short, long, other)
	fmt.Println(panics(func() { t.Venue(2) }), panics(func() { t.Venue(-1) }),
		panics(func() { c.Parts(0, 3) }), panics(func() { t.SetFlags(6, true) }))
	fmt.Println(every.LEVELS, every.TickSmallest, len(every.TickDescription))
	fmt.Printf("%016x %d\\n", every.Fingerprint, len(every.Types))
}
"""


def go(directory: Path, *arguments: str, **options: Any) -> str:
    """Run go, without a network; return what it prints."""
    done = subprocess.run(
        [str(GO), *arguments],
        cwd=directory,
        env=os.environ | {"GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOWORK": "off"},
        check=False,
        capture_output=True,
        **options,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


def test_a_program_reads_what_c_writes_and_writes_it(
    tmp_path: Path, written: bytes
) -> None:
    output = str(tmp_path / "every")
    assert (
        main([str(EVERY), "--types", "Tick=1", "Cancel=2", "--go", "-o", output]) == 0
    )
    (tmp_path / "go.mod").write_text("module typed\n\ngo 1.24\n")
    (tmp_path / "main.go").write_text(PROGRAM)
    go(tmp_path, "vet", "./every")
    found = schema.read(EVERY, {"Tick": 1, "Cancel": 2})
    text = schema.describe(found)
    assert go(tmp_path, "run", ".", input=written).splitlines() == [
        "true AAPL 189.5 ASK true [1 2 255] 4000000000 -3.5 18446744073709551615 65535 "
        "true false true",
        "true 3000000000 200 200 4660 -5 9 BID",
        "false true true",
        "true 4.5 0 0 false",
        "false false false",
        "true true true true",
        f"10 48 {len(schema.describe(schema.Schema('', 0, {1: found.messages[1]})))}",
        f"{schema.fingerprint(found):016x} {len(text)}",
    ]
    assert (tmp_path / "back").read_bytes() == written


def test_the_form_is_gofmts(tmp_path: Path) -> None:
    gofmt = shutil.which("gofmt") or str(Path(str(GO)).parent / "gofmt")
    main([str(EVERY), "--types", "Tick=1", "Cancel=2", "--go", "-o", str(tmp_path)])
    out = subprocess.check_output([gofmt, "-d", tmp_path / "every.go"], text=True)
    assert out == ""


def test_names_that_go_would_join_are_told_apart_or_refused(
    read: Read, tmp_path: Path
) -> None:
    fields = "int a_b; int aB; int set_x; int x; char x_text[4]; int func; int __y;"
    (text,) = to_go.write(read(struct(fields))).values()
    for name in ("AB", "AB_", "SetX", "X_", "Func", "Y"):
        assert f"func (m Tick) {name}() int32 {{" in text
    (tmp_path / "tick.go").write_text(text)
    go(tmp_path, "vet", "tick.go")
    with pytest.raises(schema.SchemaError, match="would both be called TickSize in Go"):
        to_go.write(read("#define TickSize 3\n" + struct("int x;")))


def test_a_package_is_not_called_as_a_word_of_go(tmp_path: Path) -> None:
    (tmp_path / "map.h").write_text("typedef struct { int x; } Tick;")
    assert main([str(tmp_path / "map.h"), "--types", "Tick=1", "--go"]) == 0
    assert "\npackage map_\n" in (tmp_path / "map.go").read_text()
    go(tmp_path, "vet", "map.go")
