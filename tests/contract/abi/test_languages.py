# SPDX-License-Identifier: Apache-2.0
"""The generated bindings.

SWIG has nothing to say against the neutral interface, no API drifts unseen, no module
exports what is not its own.
"""

import difflib
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from languages import GOLDEN, ROOT, TARGETS, Target, generate, interface_of, listing

TOOLS = json.loads(os.environ["TACHYON_LANGUAGE_TOOLS"])
SWIG = TOOLS["swig"]
OWN = {name: target for name, target in TARGETS.items() if target.language}


def test_every_target_of_swig_is_here() -> None:
    help_text = subprocess.run(
        [SWIG, "-help"], capture_output=True, text=True, check=True
    ).stdout
    offered = re.findall(r"^ +-(\w+) +- Generate .* wrappers", help_text, re.MULTILINE)
    tested = {target.options[0].removeprefix("-") for target in TARGETS.values()}
    assert offered
    assert set(offered) == tested


@pytest.mark.parametrize("name", TARGETS)
def test_target(name: str, tmp_path: Path) -> None:
    """SWIG generates without a warning, but those that TARGETS explains."""
    target = TARGETS[name]
    said = generate(SWIG, target, tmp_path)
    lines = [
        line
        for line in said.splitlines()
        if line.strip()
        and not any(f"Warning {number}:" in line for number in target.ignored)
    ]
    assert not lines, f"{interface_of(target)}:\n{said}"
    assert (tmp_path / "tree.xml").stat().st_size > 0


@pytest.mark.parametrize("name", OWN)
def test_golden(name: str, tmp_path: Path) -> None:
    """The listing in golden/ is what SWIG generates."""
    target = OWN[name]
    if interface_of(target).parent.name != target.language:
        pytest.skip(f"bindings/{target.language} has no interface file")
    assert "exit status" not in generate(SWIG, target, tmp_path)
    path = GOLDEN / f"{target.language}.txt"
    made = listing(tmp_path / "tree.xml")
    if os.environ.get("TACHYON_GOLDEN") == "write":
        path.write_text(made)
    kept = path.read_text() if path.exists() else ""
    difference = difflib.unified_diff(
        kept.splitlines(), made.splitlines(), str(path), "generated", lineterm="", n=1
    )
    assert kept == made, (
        "the API has changed; if it should have, write the listings anew with\n"
        "TACHYON_GOLDEN=write ctest --test-dir build -R swig.golden\n"
        + "\n".join(difference)
    )


def exports(path: str, *options: str) -> set[str]:
    table = subprocess.run(
        [TOOLS["nm"], "--defined-only", *options, path],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    symbols = re.findall(r"^[0-9a-f]+ ([A-Z]) (\S+)$", table, re.MULTILINE)
    # A name with __ is the compiler's, such as what AddressSanitizer adds.
    return {
        name for kind, name in symbols if kind in "TDBRG" and not name.startswith("__")
    }


def test_the_facade_defines_what_its_header_declares() -> None:
    """Nothing is missing, and what its files share is named facade_*."""
    header = (ROOT / "swig" / "facade.h").read_text()
    header = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)
    declared = set(re.findall(r"^[\w ]+?[ *](\w+)\(", header, re.MULTILINE))
    defined = {
        name
        for name in exports(TOOLS["facade"], "--extern-only")
        if not name.startswith("facade_")
    }
    assert len(declared) > 40
    assert defined == declared | {"host"}


# The one function that the interpreter looks for, or a pattern of what it binds to.
ENTRY = {
    "csharp": "CSharp_.*|SWIGRegister.*",
    "guile": "scm_init_tachyon_module",
    "java": "Java_.*|JNI_On(Load|Unload)",
    "lua": "luaopen_tachyon",
    "node": "napi_register_module_v1|node_api_module_get_api_version_v1|_register_.*",
    "octave": "Gtachyon",
    "perl": "boot_Tachyon",
    "php": "get_module",
    "python": "PyInit__native",
    "ruby": "Init_tachyon",
    "tcl": "Tachyon_Init",
}


@pytest.mark.parametrize("language", TOOLS["modules"])
def test_module_exports(language: str) -> None:
    """A module has its entry only: nothing of the core, nothing of the facade."""
    path = TOOLS["modules"][language]
    if not Path(path).exists():
        pytest.skip(f"{path} is not built")
    exported = exports(path, "--dynamic")
    assert exported
    strangers = {name for name in exported if not re.fullmatch(ENTRY[language], name)}
    assert not strangers


def test_a_target_without_a_file_of_its_own_uses_the_neutral_one() -> None:
    assert interface_of(Target(("-xml",))) == ROOT / "swig" / "tachyon.i"
