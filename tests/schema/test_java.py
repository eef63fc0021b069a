# SPDX-License-Identifier: Apache-2.0
"""MarketTick.java, as javac takes it: what C has written is read, and the other way."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tachyon import schema
from tachyon.schema import to_java
from tachyon.schema.__main__ import main

from conftest import EVERY, Read

pytestmark = pytest.mark.skipif(shutil.which("javac") is None, reason="no javac")
PROGRAM = """
import java.nio.ByteBuffer;
import java.nio.file.*;

class Program {
    static String fails(Runnable what) {
        try {
            what.run();
        } catch (RuntimeException e) {
            return e.getMessage();
        }
        return "nothing";
    }

    public static void main(String[] arguments) throws Exception {
        ByteBuffer bytes = ByteBuffer.wrap(System.in.readAllBytes());
        Tick t = Tick.of(bytes.slice(0, Tick.SIZE), Tick.TYPE_ID);
        System.out.println(t.symbolText() + " " + t.price() + " " + t.halted() + " "
                + EveryTypes.Side.name(t.side()) + " " + t.reserved()[2] + " "
                + t.venue(1) + " " + t.spread(1).bid() + " "
                + Long.toUnsignedString(t.late()) + " " + t.port() + " " + t.flags(2));
        bytes.position(Tick.SIZE); // so that it begins in the middle of a buffer
        Cancel c = Cancel.of(bytes, Cancel.TYPE_ID);
        System.out.println(c.order() + " " + c.len() + " " + c.dlc() + " " + c.net()
                + " " + c.type() + " " + EveryTypes.Side.name(c.sides(2)) + " "
                + (char) c.parts(1, 2).a() + " " + c.parts(1, 2).b());

        ByteBuffer back = ByteBuffer.allocate(Tick.SIZE + Cancel.SIZE);
        Tick n = new Tick().wrap(back.slice(0, Tick.SIZE));
        n.symbol("AAPL    ");
        n.symbol("AAPL");
        n.price(t.price());
        n.side(EveryTypes.Side.ASK);
        n.halted(t.halted());
        n.reserved(t.reserved());
        for (int i = 0; i < 2; i++) {
            n.venue(i, t.venue(i));
            n.spread(i).bid(t.spread(i).bid());
            n.spread(i).ask(t.spread(i).ask());
        }
        n.late(t.late());
        n.port(t.port());
        for (int i = 0; i < 6; i++) n.flags(i, t.flags(i));
        Cancel m = new Cancel().wrap(back.slice(Tick.SIZE, Cancel.SIZE));
        m.order(c.order());
        m.dlc(c.dlc());
        m.net(c.net());
        m.type(c.type());
        for (int i = 0; i < 3; i++) {
            m.sides(i, c.sides(i));
            for (int j = 0; j < 2; j++) {
                m.parts(j, i).a(c.parts(j, i).a());
                m.parts(j, i).b(c.parts(j, i).b());
            }
        }
        Files.write(Path.of("back"), back.array());

        Tick old = Tick.of(bytes.slice(0, 52), Tick.TYPE_ID);
        System.out.println(old.spread(1).ask() + " " + old.late() + " " + old.port()
                + " " + old.flags(5));
        System.out.println((Tick.of(bytes.slice(0, 47), Tick.TYPE_ID) == null) + " "
                + (Cancel.of(bytes.slice(0, 119), Cancel.TYPE_ID) == null) + " "
                + (Cancel.of(bytes.slice(0, 120), Tick.TYPE_ID) == null));
        System.out.println(fails(() -> t.port(65536)));
        System.out.println(fails(() -> c.net(-1)));
        System.out.println(fails(() -> t.symbol("too long!")));
        System.out.println(fails(() -> new Cancel().wrap(bytes.slice(0, 119))));
        System.out.println(fails(() -> t.venue(2)));
        System.out.println(EveryTypes.LEVELS + " " + Tick.SMALLEST + " "
                + Tick.TYPES.length());
        System.out.println(Long.toHexString(EveryTypes.FINGERPRINT) + " "
                + EveryTypes.TYPES.length());
    }
}
"""


def compile_files(directory: Path) -> None:
    """Compile all files of a directory; warnings are errors."""
    subprocess.run(
        ["javac", "-Xlint:all", "-Werror", "-d", ".", *directory.glob("*.java")],
        cwd=directory,
        check=True,
    )


def test_a_program_reads_what_c_writes_and_writes_it(
    tmp_path: Path, written: bytes
) -> None:
    types = ["--types", "Tick=1", "Cancel=2"]
    assert main([str(EVERY), *types, "--java", "-o", str(tmp_path)]) == 0
    (tmp_path / "Program.java").write_text(PROGRAM)
    compile_files(tmp_path)
    out = subprocess.run(
        ["java", "-cp", ".", "Program"],
        cwd=tmp_path,
        input=written,
        stdout=subprocess.PIPE,
        check=True,
    ).stdout.decode()
    found = schema.read(EVERY, {"Tick": 1, "Cancel": 2})
    alone = schema.describe(schema.Schema("", 0, {1: found.messages[1]}))
    assert out.splitlines() == [
        "AAPL 189.5 true ASK -1 4000000000 -3.5 18446744073709551615 65535 true",
        "3000000000 200 200 4660 -5 null f 1.25",
        "4.5 0 0 false",
        "true true true",
        "Tick.port takes 0 to 65535, not 65536",
        "Cancel.net takes 0 to 65535, not -1",
        "Tick.symbol has 8 bytes, not 9",
        "Cancel has 120 bytes, not 119",
        "Index 2 out of bounds for length 2",
        f"10 48 {len(alone)}",
        f"{schema.fingerprint(found):x} {len(schema.describe(found))}",
    ]
    assert (tmp_path / "back").read_bytes() == written


def test_names_that_java_has_itself(read: Read, tmp_path: Path) -> None:
    text = (
        "#define TYPES 3\n#define java 5\n#define goto 4\n"
        "#define BIG 0xFFFFFFFFFFFFFFFF\n"
        "enum enum_ { new = 1, name = 2, far = 0x80000000 };"
        "enum __attribute__((packed)) Tiny { LOW = -1 };"
        "struct class { int wait; int hashCode; int class; int synchronized; "
        "enum enum_ of; enum Tiny tiny[2]; struct { long x; } null; char wrap[2][3]; "
        "int rangeText; char range[8]; char name[4]; int name_Text; };"
    )
    for name, java in to_java.write(read(text, "class")).items():
        (tmp_path / name).write_text(java)
    assert (tmp_path / "class_.java").exists()
    compile_files(tmp_path)


@pytest.mark.parametrize("name", sorted(to_java.SAID))
def test_a_message_with_the_name_of_what_the_files_mention(
    read: Read, name: str
) -> None:
    found = read(f"struct {name} {{ int x; char text[4]; }};", name)
    with pytest.raises(schema.SchemaError, match=f"a type cannot be called {name}"):
        to_java.write(found)


def test_a_description_larger_than_a_literal(read: Read, tmp_path: Path) -> None:
    fields = "".join(f"char f{i}_{'x' * 100};" for i in range(530))
    found = read(f"typedef struct {{ {fields} }} Tick;")
    size = len(schema.describe(found))
    assert size > 60000
    for name, java in to_java.write(found).items():
        (tmp_path / name).write_text(java)
    (tmp_path / "Program.java").write_text(
        "class Program { public static void main(String[] arguments) {"
        "System.out.println(Tick.TYPES.length() + TickTypes.TYPES.length()); } }"
    )
    compile_files(tmp_path)
    command = ["java", "-cp", tmp_path, "Program"]
    assert int(subprocess.check_output(command)) == 2 * size


def test_two_messages_that_differ_in_capitals_only(read: Read) -> None:
    found = read("struct Tick { int x; }; struct tick { int x; };", "Tick", "tick")
    with pytest.raises(schema.SchemaError, match="messages differ only in capitals"):
        to_java.write(found)
