# SPDX-License-Identifier: Apache-2.0
"""What SWIG, the C compiler and bindgen each understand tachyon.h to say.

SWIG's view is read from its parse tree; its layouts are computed from the field types.
From that view two probes are written, one in C against the header, one in Rust against
bindgen's output. A probe does not compile unless every signature and field type is the
one SWIG saw, and prints the values and layouts of its own compiler.
"""

import json
import re
import subprocess
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# (size, name in Rust) of every type the header may use, on the 64-bit machines that
# Tachyon runs on.
SCALARS = {
    "int": (4, "core::ffi::c_int"),
    "char": (1, "core::ffi::c_char"),
    "size_t": (8, "usize"),
    "int32_t": (4, "i32"),
    "int64_t": (8, "i64"),
    "uint16_t": (2, "u16"),
    "uint32_t": (4, "u32"),
    "uint64_t": (8, "u64"),
}
POINTER_SIZE = 8
MACRO_SAMPLES = (0, 1, 0x1234, 0xFFFF)


class MismatchError(AssertionError):
    """Two views of the header differ."""


@dataclass(frozen=True)
class Type:
    """A C type: a named one, or a pointer to, array of or function giving another."""

    kind: str  # "name", "pointer", "array", "function"
    name: str = ""  # of an array, its length
    const: bool = False
    target: "Type | None" = None  # pointee, element or return type
    parameters: tuple["Type", ...] = ()

    @staticmethod
    def from_swig(text: str) -> "Type":
        """Parse SWIG's notation, in which `const char *` is `p.q(const).char`."""
        if text.startswith("p."):
            return Type("pointer", target=Type.from_swig(text[2:]))
        if text.startswith("q(const)."):
            inner = Type.from_swig(text[len("q(const).") :])
            return Type(inner.kind, inner.name, True, inner.target, inner.parameters)
        if array := re.fullmatch(r"a\((\d+)\)\.(.*)", text):
            return Type("array", array[1], target=Type.from_swig(array[2]))
        if text.startswith("f("):
            end = _closing(text, 1)
            parameters = [p for p in _split(text[2:end]) if p != "void"]
            return Type(
                "function",
                target=Type.from_swig(text[end + 2 :]),
                parameters=tuple(map(Type.from_swig, parameters)),
            )
        name = text.removeprefix("struct ").removeprefix("enum ")
        if not re.fullmatch(r"\w+", name):
            raise ValueError(f"no idea what SWIG means by the type {text!r}")
        return Type("name", name)

    def c(self, declarator: str = "") -> str:
        """Declare `declarator` with this type, in C."""
        if self.kind == "pointer":
            assert self.target
            star = f"*{'const ' if self.const else ''}{declarator}"
            return self.target.c(
                f"({star})" if self.target.kind == "function" else star
            )
        if self.kind == "function":
            assert self.target
            parameters = ", ".join(p.c() for p in self.parameters) or "void"
            return self.target.c(f"{declarator}({parameters})")
        if self.kind == "array":
            assert self.target
            return self.target.c(f"{declarator}[{self.name}]")
        return f"{'const ' if self.const else ''}{self.name} {declarator}"

    def rust(self) -> str:
        """Name this type in Rust."""
        if self.kind == "function":
            return f"Option<{self.rust_function()}>"
        if self.kind == "array":
            assert self.target
            return f"[{self.target.rust()}; {self.name}]"
        if self.kind == "pointer":
            assert self.target
            if self.target.kind == "function":
                return self.target.rust()
            inner = (
                self.target.rust()
                if self.target.name != "void"
                else "core::ffi::c_void"
            )
            return f"*{'const' if self.target.const else 'mut'} {inner}"
        return SCALARS[self.name][1] if self.name in SCALARS else f"sys::{self.name}"

    def rust_function(self) -> str:
        """Name the type of a function, which is not behind a pointer in Rust."""
        assert self.kind == "function"
        assert self.target
        parameters = ", ".join(p.rust() for p in self.parameters)
        result = (
            "" if self.target == Type("name", "void") else f" -> {self.target.rust()}"
        )
        return f'unsafe extern "C" fn({parameters}){result}'


def _closing(text: str, opening: int) -> int:
    depth = 0
    for index in range(opening, len(text)):
        depth += {"(": 1, ")": -1}.get(text[index], 0)
        if depth == 0:
            return index
    raise ValueError(f"unbalanced parentheses in {text!r}")


def _split(text: str) -> Iterable[str]:
    depth = start = 0
    for index, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            yield text[start:index]
            start = index + 1
    yield text[start:]


@dataclass
class Header:
    """The API as SWIG parses it."""

    functions: dict[str, Type] = field(default_factory=dict)
    values: dict[str, int] = field(default_factory=dict)  # enumerators and macros
    enum_of: dict[str, str] = field(default_factory=dict)  # enumerator -> its type
    structs: dict[str, dict[str, Type]] = field(default_factory=dict)
    opaque: set[str] = field(default_factory=set)
    macros: set[str] = field(default_factory=set)  # with arguments

    @property
    def enums(self) -> list[str]:
        """Names of the enumerations."""
        return sorted(set(self.enum_of.values()))

    def layouts(self) -> dict[str, dict[str, int]]:
        """Size, alignment and offsets by the rules of the C ABI."""
        result: dict[str, dict[str, int]] = {}

        def measure(kind: Type) -> tuple[int, int]:
            """Bytes and alignment, on a 64-bit machine."""
            if kind.kind == "array":
                assert kind.target
                size, align = measure(kind.target)
                return int(kind.name) * size, align
            if kind.name in result:  # a struct stands in the header before its users
                return result[kind.name]["size"], result[kind.name]["align"]
            if kind.kind == "pointer":
                size = POINTER_SIZE
            elif kind.name in self.enums:
                size = SCALARS["int"][0]
            else:
                size = SCALARS[kind.name][0]
            return size, size

        for name, fields in self.structs.items():
            end, align, layout = 0, 1, {}
            for member, kind in fields.items():
                size, own = measure(kind)
                end = -(-end // own) * own
                layout[f".{member}"] = end
                end, align = end + size, max(align, own)
            result[name] = {**layout, "size": -(-end // align) * align, "align": align}
        return result


def _attributes(node: ET.Element) -> dict[str, str]:
    found = node.find("attributelist")
    return {
        a.get("name", ""): a.get("value", "")
        for a in found or ()
        if a.tag == "attribute"
    }


def _run(command: list[str | Path], what: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise MismatchError(f"{what}:\n{done.stdout}{done.stderr}")
    return done.stdout


# It stands in headers of messages, where tachyon.schema sees it.
NOT_FOR_LANGUAGES = {"TACHYON_SINCE"}


def read_header(swig: str, interface: Path, header: Path) -> Header:
    """SWIG's view of `header`, through the interface that bindings are made from."""
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch, "abi.xml")
        _run(
            [swig, "-xml", f"-I{header.parent}", "-o", tree, interface],
            f"SWIG cannot parse {header}",
        )
        root = ET.parse(tree).getroot()
    (body,) = (n for n in root.iter("include") if _attributes(n)["name"] == str(header))
    api = Header(
        macros=set(
            re.findall(
                r"^#define (TACHYON_\w+[A-Z])\(", header.read_text(), re.MULTILINE
            )
        )
        - NOT_FOR_LANGUAGES
    )
    for node in body:
        about = _attributes(node)
        name = about.get("tdname") or about.get("name", "")
        if node.tag == "constant":
            api.values[name] = int(about["value"], 0)
        elif node.tag == "enum":
            for item in map(_attributes, node.iter("enumitem")):
                api.values[item["name"]] = int(item["enumvalue"], 0)
                api.enum_of[item["name"]] = name
        elif node.tag == "class":
            members = map(_attributes, node.findall("cdecl"))
            api.structs[name] = {
                m["name"]: Type.from_swig(m["decl"] + m["type"]) for m in members
            }
        elif about.get("kind") == "function":
            api.functions[name] = Type.from_swig(about["decl"] + about["type"])
        elif about.get("kind") == "typedef":
            api.opaque.add(name)
    api.opaque -= {*api.enums, *api.structs}
    return api


def _macro_calls(api: Header) -> list[str]:
    calls = {
        "TACHYON_TYPE_ID": [f"{a}, {b}" for a in MACRO_SAMPLES for b in MACRO_SAMPLES],
        "TACHYON_ROUTE_ID": [
            f"0x{n:04X}{m:04X}" for n in MACRO_SAMPLES for m in MACRO_SAMPLES
        ],
    }
    calls["TACHYON_MSG_TYPE"] = calls["TACHYON_ROUTE_ID"]
    if api.macros != set(calls):
        raise MismatchError(
            f"macros with arguments: header {api.macros}, tested {set(calls)}"
        )
    return [f"{macro}({arguments})" for macro in calls for arguments in calls[macro]]


def _facts(api: Header) -> Iterable[tuple[str, str, str]]:
    """(name, expression in C, expression in Rust) of every number that must agree."""
    for name in api.values:
        owner = api.enum_of.get(name)
        yield name, name, f"sys::{owner}_{name}" if owner else f"sys::{name}"
    for name in api.enums:
        yield f"{name} size", f"sizeof({name})", f"size_of::<sys::{name}>()"
        yield f"{name} signed", f"(({name})-1 < 0)", f"(sys::{name}::MIN != 0)"
    for name, fields in api.structs.items():
        yield f"{name} size", f"sizeof({name})", f"size_of::<sys::{name}>()"
        yield f"{name} align", f"_Alignof({name})", f"align_of::<sys::{name}>()"
        for member in fields:
            yield (
                f"{name} .{member}",
                f"offsetof({name}, {member})",
                f"offset_of!(sys::{name}, {member})",
            )
    for call in _macro_calls(api):
        yield call, call, f"sys::{call}"


def swig_numbers(api: Header) -> dict[str, int]:
    numbers = dict(api.values)
    for name in api.enums:
        # An enum without negative values is an unsigned int.
        numbers[f"{name} size"], numbers[f"{name} signed"] = 4, 0
    for struct, layout in api.layouts().items():
        numbers |= {f"{struct} {what}": number for what, number in layout.items()}
    return numbers


def c_numbers(api: Header, cc: str, header: Path) -> dict[str, int]:
    """Compile and run the C probe."""
    lines = [
        "#include <stdio.h>",
        '#include "tachyon.h"',
        "#define SAME(a, b, what) \\",
        "    _Static_assert(__builtin_types_compatible_p(a, b), what)",
    ]
    for name, kind in api.functions.items():
        pointer = Type("pointer", target=kind)
        lines.append(f'SAME(__typeof__(&{name}), {pointer.c()}, "{name}");')
    for struct, fields in api.structs.items():
        for member, kind in fields.items():
            lines.append(
                f"SAME(__typeof__((({struct} *)0)->{member}), {kind.c()},"
                f' "{struct}.{member}");'
            )
    lines.append("int main(void) {")
    for name, in_c, _ in _facts(api):
        lines.append(f'    printf("{name}\\t%lld\\n", (long long)({in_c}));')
    lines.append("    return 0;\n}")
    with tempfile.TemporaryDirectory() as scratch:
        source, program = Path(scratch, "probe.c"), Path(scratch, "probe")
        source.write_text("\n".join(lines) + "\n")
        _run(
            [cc, "-std=gnu11", f"-I{header.parent}", "-o", program, source],
            "the C compiler does not see what SWIG saw",
        )
        return _numbers(_run([program], "the C probe failed"))


def rust_numbers(api: Header, rustc: str, crate: Path, library: Path) -> dict[str, int]:
    """Compile the crate's sources, then the Rust probe against them, and run it."""
    lines = [
        "#![allow(unused_imports)]",
        "use core::mem::{align_of, offset_of, size_of};",
        "use tachyon_sys as sys;",
    ]
    for struct, fields in api.structs.items():
        for member, kind in fields.items():
            # Invariant in its parameter, so that no other type can stand here.
            lines.append(
                f"const _: fn(*mut sys::{struct}) -> *mut {kind.rust()} ="
                f" |p| unsafe {{ &raw mut (*p).{member} }};"
            )
    lines.append("fn main() {")
    for name, kind in api.functions.items():
        lines.append(f"    let f: {kind.rust_function()} = sys::{name};")
        lines.append("    std::hint::black_box(f);")  # so that the linker looks for it
    for name, _, in_rust in _facts(api):
        lines.append(f'    println!("{name}\\t{{}}", {in_rust} as i64);')
    lines.append("}")
    with tempfile.TemporaryDirectory() as scratch:
        source, program = Path(scratch, "probe.rs"), Path(scratch, "probe")
        source.write_text("\n".join(lines) + "\n")
        compile_: list[str | Path] = [rustc, "--edition=2021", "--cap-lints=allow"]
        rlib = Path(scratch, "libtachyon_sys.rlib")
        as_rlib: list[str | Path] = [
            "--crate-type=rlib",
            "--crate-name=tachyon_sys",
            "-o",
            rlib,
        ]
        _run(
            [*compile_, *as_rlib, crate / "lib.rs"],
            "bindgen's layout assertions fail",
        )
        link: list[str | Path] = [
            f"-Lnative={library.parent}",
            "-lstatic=tachyon",
            "-o",
            program,
        ]
        _run(
            [*compile_, "--extern", f"tachyon_sys={rlib}", *link, source],
            "bindgen does not see what SWIG saw",
        )
        return _numbers(_run([program], "the Rust probe failed"))


def _numbers(text: str) -> dict[str, int]:
    pairs = (line.split("\t") for line in text.splitlines())
    return {name: int(number) for name, number in pairs}


def bindgen_names(bindings: Path) -> dict[str, set[str]]:
    """List what bindgen wrote, so that nothing is there that SWIG does not know."""
    text = bindings.read_text()
    return {
        "functions": set(re.findall(r"^ +pub fn (\w+)", text, re.MULTILINE)),
        "values": set(
            re.findall(
                r"^pub const (?:tachyon_\w+_t_)?(TACHYON_\w+)", text, re.MULTILINE
            )
        ),
        "types": set(
            re.findall(r"^pub (?:struct|type) (tachyon_\w+_t)\b", text, re.MULTILINE)
        ),
    }


def exported_symbols(nm: str, table: str, library: Path) -> set[str]:
    """List the symbols of a table (-D or -g), without the version's own name."""
    listing = _run(
        [nm, table, "--defined-only", library], f"{nm} cannot read {library}"
    )
    symbols = re.findall(r"^[0-9a-f]+ ([^A\W]) ([^@\s]+)", listing, flags=re.MULTILINE)
    return {name for _, name in symbols}


def compare(
    what: str, one: str, left: Iterable[str], other: str, right: Iterable[str]
) -> None:
    left, right = set(left), set(right)
    if left != right:
        raise MismatchError(
            f"{what}: only {one} has {sorted(left - right)},"
            f" only {other} has {sorted(right - left)}"
        )


def compare_numbers(
    one: str, left: dict[str, int], other: str, right: dict[str, int]
) -> None:
    compare("numbers", one, left, other, right)
    differing = {n: (left[n], right[n]) for n in left if left[n] != right[n]}
    if differing:
        raise MismatchError(f"({one}, {other}) differ: {differing}")


@dataclass(frozen=True)
class Tools:
    """Where everything is."""

    header: Path
    crate: Path  # the directory of lib.rs and bindings.rs
    interface: Path  # tachyon.i
    shared: Path
    static: Path
    cc: str
    nm: str
    swig: str
    rustc: str

    def check(self, header: Path | None = None, crate: Path | None = None) -> int:
        """Compare all views; the number of facts that agreed."""
        header, crate = header or self.header, crate or self.crate
        api = read_header(self.swig, self.interface, header)
        seen = bindgen_names(crate / "bindings.rs")
        types = {*api.enums, *api.structs, *api.opaque}
        compare("functions", "SWIG", api.functions, "bindgen", seen["functions"])
        compare("values", "SWIG", api.values, "bindgen", seen["values"])
        compare("types", "SWIG", types, "bindgen", seen["types"])
        for table, library in (("-D", self.shared), ("-g", self.static)):
            symbols = exported_symbols(self.nm, table, library)
            compare("functions", "the header", api.functions, library.name, symbols)

        in_c = c_numbers(api, self.cc, header)
        in_rust = rust_numbers(api, self.rustc, crate, self.static)
        compare_numbers("C", in_c, "Rust", in_rust)
        swig = swig_numbers(api)
        macros = _macro_calls(api)
        compare_numbers(
            "SWIG", swig, "C", {n: v for n, v in in_c.items() if n not in macros}
        )
        return len(api.functions) + len(in_c)

    @staticmethod
    def from_json(text: str) -> "Tools":
        """Read what CMake has put into the environment."""
        paths = {"header", "crate", "interface", "shared", "static"}
        values = json.loads(text)
        places: dict[str, Any] = {k: Path(values[k]) for k in paths}
        return Tools(**(values | places))
