# SPDX-License-Identifier: Apache-2.0
"""What SWIG makes of the neutral interface: for each target, and as a listing."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

ROOT = Path(__file__).parents[3]
GOLDEN = Path(__file__).parent / "golden"


class Target(NamedTuple):
    """A target of SWIG: its options, and the folder in bindings/ where it has one."""

    options: tuple[str, ...]
    language: str = ""
    interface: str = "{language}.i"
    ignored: tuple[int, ...] = ()


EXPERIMENTAL = 524
KEYWORD, D_EXCEPTION = 314, 710
NO_DECLARATIONS = ("attributelist", "typemap", "apply", "fragment", "import")
TARGETS = {
    # C has no methods without -c++; all that is said of it is that it is experimental.
    "c": Target(("-c", "-c++"), ignored=(EXPERIMENTAL,)),
    "csharp": Target(("-csharp",), "csharp"),
    # `version` gets an underscore in D; who offers D writes its typemaps for bytes, so
    # that they can throw.
    "d": Target(("-d",), ignored=(KEYWORD, D_EXCEPTION)),
    "go": Target(("-go", "-intgosize", "64"), "go"),
    "guile": Target(("-guile", "-Linkage", "passive"), "guile", "tachyon_guile.i"),
    "java": Target(("-java",), "java"),
    "javascript-jsc": Target(("-javascript", "-jsc")),
    "javascript-napi": Target(("-javascript", "-napi", "-c++"), "node"),
    "javascript-node": Target(("-javascript", "-node")),
    "javascript-v8": Target(("-javascript", "-v8")),
    "lua": Target(("-lua",), "lua"),
    "ocaml": Target(("-ocaml",), ignored=(EXPERIMENTAL,)),
    "octave": Target(("-octave", "-c++"), "octave"),
    "perl5": Target(("-perl5",), "perl"),
    "php7": Target(("-php7",), "php"),
    "python": Target(("-python", "-builtin"), "python"),
    "r": Target(("-r",)),
    "ruby": Target(("-ruby",), "ruby"),
    "scilab": Target(("-scilab",)),
    "tcl8": Target(("-tcl8",), "tcl"),
    "xml": Target(("-xml",)),
}


def interface_of(target: Target) -> Path:
    """Find its language's own file, or the neutral one alone."""
    folder = ROOT / "bindings" / target.language
    own = folder / target.interface.format(language=target.language)
    return own if target.language and own.exists() else ROOT / "swig" / "tachyon.i"


def generate(swig: str, target: Target, folder: Path) -> str:
    """Run SWIG; what it says. The tree that it has parsed is in tree.xml."""
    interface = interface_of(target)
    includes = (interface.parent, ROOT / "swig", ROOT / "core" / "include")
    done = subprocess.run(
        [swig, *target.options, "-Wall", *(f"-I{path}" for path in includes),
         "-outdir", str(folder), "-o", str(folder / "wrap.c"),
         "-xmlout", str(folder / "tree.xml"), str(interface)],
        cwd=folder, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    said = done.stdout + done.stderr
    return said if done.returncode == 0 else f"{said}\nexit status {done.returncode}"


def _attributes(node: ElementTree.Element) -> dict[str, str]:
    return {
        attribute.get("name", ""): attribute.get("value", "")
        for attribute in node.iterfind("attributelist/attribute")
    }


def _type(encoded: str) -> str:
    """SWIG's `p.q(const).char` as `const char *`."""
    *wrappers, base = encoded.split(".")
    for wrapper in reversed(wrappers):
        if wrapper == "p":
            base += "*" if base.endswith("*") else " *"
        elif wrapper == "q(const)":
            base = f"const {base}"
        elif wrapper:
            base += f" {wrapper}"
    return base


def _parameters(node: ElementTree.Element) -> str:
    words = []
    for parameter in node.iterfind("attributelist/parmlist/parm"):
        what = _attributes(parameter)
        if what.get("type") == "void" or what.get("name") == "self":
            continue
        default = f" = {what['value']}" if "value" in what else ""
        words.append(f"{what.get('name', '')}: {_type(what['type'])}{default}")
    return ", ".join(words)


def _lines(node: ElementTree.Element, indent: str) -> Iterator[str]:
    for child in node:
        what = _attributes(child)
        name = what.get("sym_name", "")
        wrapped = "view" in what and "feature_ignore" not in what
        if child.tag == "class":
            if name:
                yield f"{indent}{name}"
                yield from _lines(child, indent + "    ")
        elif child.tag == "enumitem" or (child.tag == "constant" and wrapped):
            yield f"{indent}{name}"
        elif child.tag == "constructor" and wrapped:
            yield f"{indent}{name}({_parameters(child)})"
        elif child.tag == "cdecl" and wrapped and what.get("kind") == "function":
            result = _type(what["decl"].rpartition(").")[2] + what["type"])
            yield f"{indent}{name}({_parameters(child)}) -> {result}"
        elif child.tag == "cdecl" and wrapped and what.get("kind") == "variable":
            access = ", read only" if "feature_immutable" in what else ""
            yield f"{indent}{name}: {_type(what['decl'] + what['type'])}{access}"
        elif child.tag not in NO_DECLARATIONS:
            yield from _lines(child, indent)


def listing(tree: Path) -> str:
    """List what is wrapped: constants, functions and classes, names and types."""
    return "\n".join(_lines(ElementTree.parse(tree).getroot(), "")) + "\n"
