# SPDX-License-Identifier: Apache-2.0
"""Layouts of real headers and of random ones, as compilers and NumPy have them.

What is written asserts each offset and size; so it is enough that gcc, clang and rustc
compile it. NumPy gets the description alone, and has to read what C has written.
"""

import itertools
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import random_headers

from tachyon import schema
from tachyon.schema import Struct, describe, to_c, to_rust
from tachyon.schema.parser import Header

from conftest import ROOT, RUSTC, rustc

np = pytest.importorskip("numpy")

INCLUDE = [Path("/usr/include")]
INCLUDE += [Path(p) for p in os.environ.get("TACHYON_INCLUDE", "").split(":") if p]
RANDOM = int(os.environ.get("TACHYON_RANDOM_HEADERS", "20"))
COMPILERS = sorted(
    {
        path
        for name in (
            os.environ.get("CC") or "cc",
            "gcc",
            "clang",
            "clang-19",
            "clang-13",
        )
        if (path := shutil.which(name))
    }
)
# Where it is, what it needs before it, and how many structs are messages and are not,
# at least, in the oldest version that is known.
REAL: dict[str, tuple[tuple[str, ...], int, int]] = {
    "linux/can.h": ((), 4, 1),
    "linux/input.h": ((), 12, 2),
    "linux/if_ether.h": ((), 1, 0),
    "linux/ip.h": ((), 2, 3),
    "linux/joystick.h": ((), 5, 0),
    "linux/videodev2.h": ((), 50, 20),
    "linux/gpio.h": ((), 10, 6),
    "linux/rtnetlink.h": ((), 12, 2),
    "linux/taskstats.h": ((), 1, 0),
    "linux/fb.h": ((), 8, 3),
    "linux/if_packet.h": ((), 6, 1),
    "linux/perf_event.h": ((), 2, 4),
    "linux/usb/ch9.h": ((), 20, 0),
    "linux/nvme_ioctl.h": ((), 3, 0),
    "netinet/in.h": ((), 5, 1),
    "pcap/pcap.h": ((), 3, 2),
    "pcap/bpf.h": (("sys/types.h",), 1, 1),
    "alsa/seq_event.h": (("stdlib.h", "alsa/asoundlib.h"), 8, 2),
    "alsa/sound/uapi/asound_fm.h": ((), 5, 0),
    "libusb-1.0/libusb.h": ((), 5, 5),
    "gpiod.h": ((), 2, 1),
}


def accepted(header: Header) -> tuple[dict[int, Struct], list[str]]:
    """Return the structs of a header that can be messages, and why others cannot."""
    structs: list[Struct] = []
    refused: list[str] = []
    for name in header.names():
        try:
            structs.append(header.struct(name))
        except schema.SchemaError as error:
            refused.append(str(error))
    return dict(enumerate(structs, 1)), refused


def compile_c(
    directory: Path, text: str, *options: str, compilers: list[str] = COMPILERS
) -> None:
    """Let every compiler check the assertions of a text."""
    (directory / "layouts.c").write_text(text)
    for compiler in compilers:
        done = subprocess.run(
            [compiler, "-std=gnu11", "-w", "-fsyntax-only", *options, "layouts.c"],
            cwd=directory,
            check=False,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert done.returncode == 0, (compiler, done.stderr)


def compile_rust(directory: Path, modules: dict[str, str]) -> None:
    """Let rustc check the assertions of texts, each in a module."""
    if RUSTC is None:
        return
    for name, text in modules.items():
        (directory / f"{name}.rs").write_text(text)
    (directory / "layouts.rs").write_text("".join(f"pub mod {n};\n" for n in modules))
    subprocess.run(
        [
            *rustc("--crate-type", "lib", "--emit", "metadata"),
            *("-D", "warnings", "-A", "clippy::all", "layouts.rs"),
        ],
        cwd=directory,
        check=True,
    )


@pytest.mark.parametrize("what", ["offset", "size", "field"])
def test_a_wrong_layout_is_found_by_every_compiler(tmp_path: Path, what: str) -> None:
    """So what the other tests let them compile is right."""
    shutil.copy(ROOT / "tests/schema/feed.h", tmp_path)
    found = schema.read(tmp_path / "feed.h", {"AddOrder": 1})
    order = found.messages[1]
    if what == "offset":
        order.fields[3].offset += 1
    elif what == "size":
        order.size += 1
    else:
        order.fields[3].shape = (5,)
    (text,) = to_c.write(found).values()
    for compiler in COMPILERS:
        with pytest.raises(AssertionError, match="AddOrder"):
            compile_c(tmp_path, text, "-I.", compilers=[compiler])


@pytest.mark.skipif(RUSTC is None, reason="no rustc")
def test_a_wrong_offset_is_found_by_rustc(tmp_path: Path) -> None:
    found = schema.read(ROOT / "tests/schema/feed.h", {"AddOrder": 1})
    (text,) = to_rust.write(found).values()
    compile_rust(tmp_path, {"feed": text})
    wrong = text.replace("AddOrder, stock) == 24", "AddOrder, stock) == 25")
    assert wrong != text
    with pytest.raises(subprocess.CalledProcessError):
        compile_rust(tmp_path, {"feed": wrong})


@pytest.mark.parametrize("name", REAL)
def test_a_real_header(name: str, tmp_path: Path) -> None:
    includes, most, least = REAL[name]
    machine = os.uname().machine + "-linux-gnu"
    places = [place for root in INCLUDE for place in (root, root / machine)]
    path = next((p / name for p in places if (p / name).exists()), None)
    if path is None:
        pytest.skip(f"no {name}")
    dirs = INCLUDE[1:]
    header = Header(path, dirs, includes)
    messages, refused = accepted(header)
    assert len(messages) >= most
    assert len(refused) >= least
    for reason in refused:
        assert re.match(r"[\w.]+\.h:\d+: \S+ (is|has|holds) .+; ", reason), reason
    found = schema.Schema(name, header.checksum, messages, includes=includes)
    found.enums = [kind for kind in found.types() if isinstance(kind, schema.Enum)]
    (text,) = to_c.write(found).values()
    compile_c(tmp_path, text, *(f"-I{place}" for place in dirs))
    (rust,) = to_rust.write(found).values()
    compile_rust(tmp_path, {"real": rust})
    dtypes = dtypes_of(describe(found))
    for struct in messages.values():
        check_dtype(struct, dtypes)


EXAMPLES = [
    path.relative_to(ROOT)
    for path in sorted((ROOT / "examples").glob("*/*.h"))
    if any(path.with_suffix(end).exists() for end in (".types.h", ".rs", ".py"))
]


@pytest.mark.parametrize("name", EXAMPLES, ids=str)
def test_a_header_of_the_examples(name: Path, tmp_path: Path) -> None:
    path = ROOT / name
    header = Header(path)
    messages, refused = accepted(header)
    assert messages
    assert refused == []
    found = schema.Schema(path.name, header.checksum, messages)
    found.enums = [kind for kind in found.types() if isinstance(kind, schema.Enum)]
    (text,) = to_c.write(found).values()
    compile_c(tmp_path, text, f"-I{path.parent}", f"-I{ROOT / 'core/include'}")
    (rust,) = to_rust.write(found).values()
    compile_rust(tmp_path, {"example": rust})
    dtypes = dtypes_of(describe(found))
    for struct in messages.values():
        check_dtype(struct, dtypes)


def test_a_feed_in_network_order(tmp_path: Path) -> None:
    path = ROOT / "tests/schema/feed.h"
    found = schema.read(path, {"AddOrder": 1, "OrderExecuted": 2})
    (text,) = to_c.write(found).values()
    compile_c(tmp_path, text, f"-I{path.parent}")
    (rust,) = to_rust.write(found).values()
    compile_rust(tmp_path, {"feed": rust})
    dtype = dtypes_of(describe(found))["AddOrder"]
    assert (dtype.itemsize, dtype["price"]) == (36, np.dtype(">u4"))


def test_random_headers(tmp_path: Path) -> None:
    texts, modules, schemas = [], {}, []
    for seed in range(RANDOM):
        text, names = random_headers.header(seed)
        path = tmp_path / f"random{seed}.h"
        path.write_text(text)
        found = schema.read(path, {name: i for i, name in enumerate(names, 1)})
        schemas.append(found)
        (c,) = to_c.write(found).values()
        texts.append(c)
        (modules[f"random{seed}"],) = to_rust.write(found).values()
        dtypes = dtypes_of(describe(found))
        for struct in found.messages.values():
            check_dtype(struct, dtypes)
    compile_c(tmp_path, "".join(texts), "-I.")
    compile_rust(tmp_path, modules)
    check_values(tmp_path, schemas)


# ---- NumPy ----

NUMPY = {"bool": "?", "char": "S1", "f32": "f4", "f64": "f8"}


def dtypes_of(text: str) -> dict[str, Any]:
    """Make dtypes of a description, and of nothing else."""
    types: dict[str, Any] = {}
    for head, *lines in blocks(text):
        words = head.removesuffix(" +").split()
        if words[0] == "enum":
            types[words[1]] = scalar_of(words[2])
            continue
        fields = [line.split() for line in lines[:-1]]
        types[words[-1]] = np.dtype(
            {
                "names": [name for name, _, _ in fields],
                "formats": [type_of(kind, types) for _, kind, _ in fields],
                "offsets": [int(at[1:]) for _, _, at in fields],
                "itemsize": int(lines[-1].split()[1]),
            }
        )
    return types


def blocks(text: str) -> Iterator[list[str]]:
    """Go through the blocks of a description."""
    for block in re.split(r"\n(?! )", text.removesuffix("\n"))[1:]:
        yield block.split("\n")


def type_of(kind: str, types: dict[str, Any]) -> Any:
    """Return what NumPy has for a kind of the description."""
    name, *lengths = kind.replace("]", "").split("[")
    item = types[name] if name in types else scalar_of(name)
    return (item, tuple(map(int, lengths))) if lengths else item


def scalar_of(name: str) -> Any:
    """Return the dtype of a scalar."""
    order = ">" if name.endswith("be") else "<"
    bits = re.sub(r"\D", "", name)
    return np.dtype(NUMPY.get(name) or f"{order}{name[0]}{int(bits) // 8}")


def check_dtype(struct: Struct, dtypes: dict[str, Any]) -> None:
    """Compare the places of all fields with those of the generator."""
    dtype = dtypes[struct.name]
    assert dtype.itemsize == struct.size
    for field in struct.fields:
        item, offset = dtype.fields[field.name][:2]
        assert (offset, item.itemsize) == (field.offset, field.size), field.name


def leaves(struct: Struct, path: str = "") -> Iterator[str]:
    """Go through the scalars of a struct as C reaches them."""
    for field in struct.fields:
        for at in itertools.product(*map(range, field.shape)):
            name = path + field.name + "".join(f"[{i}]" for i in at)
            if isinstance(field.type, Struct):
                yield from leaves(field.type, name + ".")
            else:
                yield name


def check_values(directory: Path, schemas: list[schema.Schema]) -> None:
    """Let C fill every struct, and compare what NumPy finds in its bytes."""
    functions, calls = [], []
    for found in schemas:
        for struct in found.messages.values():
            sets = "".join(
                f"    s.{leaf} = {i % 100 + 1};\n"
                for i, leaf in enumerate(leaves(struct))
            )
            functions.append(
                f"static void fill_{struct.name}(void)\n{{\n    {struct.spelling} s;\n"
                f"    memset(&s, 0, sizeof s);\n{sets}"
                "    fwrite(&s, sizeof s, 1, stdout);\n}\n"
            )
            calls.append(f"    fill_{struct.name}();\n")
    includes = "".join(f'#include "{found.header}"\n' for found in schemas)
    (directory / "values.c").write_text(
        "#include <stdio.h>\n#include <string.h>\n"
        f"{includes}{''.join(functions)}int main(void)\n{{\n{''.join(calls)}"
        "    return 0;\n}\n"
    )
    subprocess.run(
        [COMPILERS[0], "-std=gnu11", "-w", "-O0", "values.c", "-o", "values"],
        cwd=directory,
        check=True,
    )
    written = subprocess.check_output([directory / "values"])
    at = 0
    for found in schemas:
        dtypes = dtypes_of(describe(found))
        for struct in found.messages.values():
            message = np.frombuffer(written, dtypes[struct.name], 1, at)[0]
            at += struct.size
            for i, leaf in enumerate(leaves(struct)):
                value = value_at(message, leaf)
                wanted = i % 100 + 1
                if isinstance(value, np.bool_):
                    wanted = 1
                elif isinstance(value, bytes):
                    value = value[0]
                assert value == wanted, (struct.name, leaf)
    assert at == len(written)


def value_at(message: Any, leaf: str) -> Any:
    """Return what NumPy has at a place that C spells like this."""
    for name, index in re.findall(r"(\w+)((?:\[\d+\])*)", leaf):
        message = message[name]
        if index:
            message = message[tuple(map(int, re.findall(r"\d+", index)))]
    return message
