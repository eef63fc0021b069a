# SPDX-License-Identifier: Apache-2.0
"""Headers that nobody would write: each struct is described, or refused with a text."""

import random
from pathlib import Path

import random_headers

from tachyon import schema
from tachyon.schema import to_c, to_go, to_java, to_python, to_rust
from tachyon.schema.parser import Header

FIELDS = [
    *("union { int a; float b; } u;", "int *p;", "int b : 3;", "long double l;"),
    *("int z[];", "enum { Q } e;", "_Float16 h;", "struct {} s;", "union {} v;"),
    *("struct { int : 3; } w;", "union { struct { int k; }; };", "_Atomic int at;"),
    *("union { int a1[2]; int a2[2]; };", "__typeof__(int) ty;", "_BitInt(3) bi;"),
    *("struct { union { char a3; char a4; }; } n[2];", "int (*fp)(int);"),
    *("const char cc[2];", "void *vp[3];", "enum Later fwd;", "unsigned __int128 q;"),
    *("int al __attribute__((aligned(128)));", "int dup;", "struct T t;"),
    *("int x TACHYON_SINCE(2);", "char big[1ul << 40];", "int none[0];"),
]
WRITERS = (to_c, to_go, to_java, to_python, to_rust)


def mutant(seed: int) -> str:
    """Return a random header with fields that do not belong, and slips of the pen."""
    rng = random.Random(seed)
    lines = random_headers.header(seed)[0].splitlines()
    for _ in range(rng.randint(0, 3)):
        lines.insert(rng.randrange(3, len(lines)), rng.choice(FIELDS))
    for _ in range(rng.randint(0, 2)):
        i = rng.randrange(len(lines))
        at = rng.randrange(len(lines[i]) + 1)
        slip = rng.choice([*";{}[]*:9u$\u00e9 ", ""])
        lines[i] = lines[i][:at] + slip + lines[i][at + (slip == "") :]
    text = "\n".join(["#include <tachyon.h>", *lines, ""])
    if rng.random() < 0.2:
        text = text.replace("typedef struct {", "typedef struct TACHYON_MAY_GROW {")
    return text


def test_a_header_is_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "mutant.h"
    written = refused = 0
    for seed in range(150):
        path.write_text(mutant(seed))
        try:
            header = Header(path)
        except schema.SchemaError as error:
            assert ": error: " in str(error)
            refused += 1
            continue
        for name in header.names():
            try:
                found = header.schema({name: 1})
                assert schema.describe(found).endswith("\n")
                for writer in WRITERS:
                    writer.write(found)
                written += 1
            except schema.SchemaError as error:
                assert "; " in str(error), str(error)  # what to do instead
                refused += 1
    assert written > 50, written
    assert refused > 50, refused
