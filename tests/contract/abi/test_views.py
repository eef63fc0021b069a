# SPDX-License-Identifier: Apache-2.0
"""Compare SWIG's, the C compiler's and bindgen's views of tachyon.h.

They are one, and a change on any side alone is noticed.
"""

import os
import re
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
from views import MismatchError, Tools, Type, read_header

from tachyon import _native


@pytest.fixture(scope="module")
def tools() -> Tools:
    return Tools.from_json(os.environ["TACHYON_ABI_TOOLS"])


def test_all_views_agree(tools: Tools) -> None:
    # 36 functions and 22 error values are only the drop-in half.
    assert tools.check() > 100


def test_swig_parses_every_prototype(tools: Tools) -> None:
    """A declaration that SWIG skipped would be missing from every comparison."""
    text = re.sub(r"/\*.*?\*/", "", tools.header.read_text(), flags=re.DOTALL)
    text = re.sub(r"^#.*(\\\n.*)*$", "", text, flags=re.MULTILINE)
    prototypes = set(
        re.findall(
            r"^TACHYON_ABI [^;]*?\b(tachyon_\w+)\([^()]*\)\s", text, re.MULTILINE
        )
    )
    api = read_header(tools.swig, tools.interface, tools.header)
    assert prototypes == set(api.functions)


def test_the_python_module_has_the_same_values(tools: Tools) -> None:
    api = read_header(tools.swig, tools.interface, tools.header)
    for name, value in api.values.items():
        # The interface strips the prefix of enumerators.
        short = name.removeprefix("TACHYON_") if name in api.enum_of else name
        assert getattr(_native, short) == value, name


@pytest.mark.parametrize(
    ("swig", "c", "rust"),
    [
        ("uint32_t", "uint32_t ", "u32"),
        ("p.q(const).char", "const char *", "*const core::ffi::c_char"),
        ("p.p.tachyon_bus_t", "tachyon_bus_t **", "*mut *mut sys::tachyon_bus_t"),
        (
            "p.f(p.void,size_t).p.q(const).void",
            "const void *(*)(void *, size_t )",
            'Option<unsafe extern "C" fn(*mut core::ffi::c_void, usize)'
            " -> *const core::ffi::c_void>",
        ),
    ],
)
def test_types_are_translated(swig: str, c: str, rust: str) -> None:
    assert Type.from_swig(swig).c() == c
    assert Type.from_swig(swig).rust() == rust


class Mutation(NamedTuple):
    """A change to one file and what the comparison then complains about."""

    file: str
    present: str
    replacement: str
    complaint: str


FLUSH = "void tachyon_flush(tachyon_bus_t *bus) TACHYON_NOEXCEPT;"
MUTATIONS = [
    pytest.param(Mutation(*case), id=f"{case[0]}:{case[1][:40]}".replace("\n", " "))
    for case in [
        (
            "tachyon.h",
            "socket_path, size_t capacity,",
            "socket_path, uint32_t capacity,",
            "usize",
        ),
        (
            "tachyon.h",
            "TACHYON_ERR_FULL = 9,",
            "TACHYON_ERR_FULL = 90,",
            "TACHYON_ERR_FULL",
        ),
        (
            "tachyon.h",
            "    uint32_t type_id;\n    uint32_t padding_;",
            "    uint32_t padding_;\n    uint32_t type_id;",
            ".type_id",
        ),
        ("tachyon.h", "    uint64_t schema;", "    uint32_t schema;", "u32"),
        (
            "tachyon.h",
            "size_t tachyon_max_payload(",
            "int64_t tachyon_max_payload(",
            "i64",
        ),
        ("tachyon.h", f"TACHYON_ABI {FLUSH}", "", "tachyon_flush"),
        (
            "tachyon.h",
            FLUSH,
            f"{FLUSH}\nvoid tachyon_more(void);",
            "tachyon_more",
        ),
        (
            "tachyon.h",
            "#define TACHYON_VERSION_MAJOR 1",
            "#define TACHYON_VERSION_MAJOR 2",
            "TACHYON_VERSION_MAJOR",
        ),
        (
            "tachyon.h",
            "TACHYON_CAST_(uint32_t, route) << 16",
            "TACHYON_CAST_(uint32_t, route) << 8",
            "TACHYON_TYPE_ID",
        ),
        (
            "tachyon.h",
            "const void *payload, size_t size,",
            "void *payload, size_t size,",
            "c_void",
        ),
        ("bindings.rs", "capacity: usize,", "capacity: u32,", "usize"),
        (
            "bindings.rs",
            "tachyon_error_t_TACHYON_ERR_FULL: tachyon_error_t = 9",
            "tachyon_error_t_TACHYON_ERR_FULL: tachyon_error_t = 90",
            "TACHYON_ERR_FULL",
        ),
        (
            "bindings.rs",
            "pub fn tachyon_flush(",
            "pub fn tachyon_flash(",
            "tachyon_flash",
        ),
        ("bindings.rs", "pub timeout_ns: i64", "pub timeout_ns: u64", "timeout_ns"),
        (
            "bindings.rs",
            "pub type tachyon_state_t = ::core::ffi::c_uint",
            "pub type tachyon_state_t = ::core::ffi::c_int",
            "tachyon_state_t signed",
        ),
        ("lib.rs", "(route as u32) << 16", "(route as u32) << 8", "TACHYON_TYPE_ID"),
    ]
]


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_changed_side_is_noticed(
    tools: Tools, tmp_path: Path, mutation: Mutation
) -> None:
    include, crate = tmp_path / "include", tmp_path / "src"
    include.mkdir()
    shutil.copy(tools.header, include)
    shutil.copytree(tools.crate, crate)
    # lib.rs takes its documentation from beside its directory.
    shutil.copy(tools.crate.parent / "README.md", tmp_path)
    target = (include if mutation.file == "tachyon.h" else crate) / mutation.file
    text = target.read_text()
    assert mutation.present in text, f"{mutation.file} lacks {mutation.present!r}"
    target.write_text(text.replace(mutation.present, mutation.replacement, 1))
    with pytest.raises(MismatchError, match=re.escape(mutation.complaint)):
        tools.check(include / "tachyon.h", crate)
