# SPDX-License-Identifier: Apache-2.0
"""python -m tachyon.schema: write the files of a header's messages, or check them."""

from __future__ import annotations

import argparse
import importlib
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from . import (
    Schema,
    SchemaError,
    classes,
    describe,
    fingerprint,
    read,
    to_c,
    to_go,
    to_header,
    to_java,
    to_python,
    to_rust,
)
from .names import FIRST, GENERATOR

WRITERS = {
    "header": to_header.write,
    "c": to_c.write,
    "python": to_python.write,
    "rust": to_rust.write,
    "go": to_go.write,
    "java": to_java.write,
}

CLASSES = re.compile(r"(\w+(?:\.\w+)*):(\w+(?:,\w+)*)")
FOREIGN = (
    "was not written by this program, which leaves it alone; rename it, or give -o"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; return its exit status."""
    options = options_from(arguments)
    try:
        schema = source(options)
        schema.package = package(options.package)
        files = dict(files_of(schema, options))
    except (SchemaError, ImportError) as error:
        print(error, file=sys.stderr)
        return 1
    if not files:
        print(describe(schema), end="")
        print(f"fingerprint {fingerprint(schema):016x}", file=sys.stderr)
    if options.depfile:
        files[Path(options.depfile)] = rule(options.depfile, schema.depends)
    update = not options.check or os.environ.get("TACHYON_UPDATE") == "1"
    status = 0
    for path, text in files.items():
        try:
            present = path.read_text() if path.exists() else None
            if update and present != text:
                ours = str(path) == options.depfile or not present
                if not (ours or FIRST.search(str(present).partition("\n")[0])):
                    raise SchemaError(FOREIGN)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        except (OSError, UnicodeError, SchemaError) as error:
            print(f"{path}: {error}", file=sys.stderr)
            return 1
        if not update and present != text:
            print(f"{path} {difference(present, text)}", file=sys.stderr)
            status = 1
    return status


def source(options: argparse.Namespace) -> Schema:
    """Read what the command line names: a header, or classes of a module."""
    named = CLASSES.fullmatch(options.source)
    if named and not Path(options.source).exists():
        if options.types or options.python:
            raise SchemaError(
                "--types and --python are for a header; classes have their type_ids, "
                "and are Python"
            )
        module = importlib.import_module(named[1])
        found: list[type] = []
        for name in named[2].split(","):
            found.append(getattr(module, name, None))  # type: ignore[arg-type]
            if not isinstance(found[-1], type):
                raise SchemaError(f"{named[1]} has no class {name}")
        return classes.schema_of(found, named[1].rpartition(".")[2])
    if options.header:
        raise SchemaError(
            "--header is for classes, given as module:Class; this is a header already"
        )
    from .parser import by_name  # noqa: PLC0415 (needs libclang)

    if not options.types:
        raise SchemaError(f"{options.source}: no message; give --types NAME=ID")
    return read(
        options.source,
        by_name(options.types),
        include_dirs=options.I,
        includes=options.include,
        defines=options.D,
    )


def options_from(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tachyon.schema",
        description="Write what each language needs to read and write the structs of a "
        "C header as messages. Without a language: print their description.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("source", metavar="HEADER", help="the C header, the only definition of the "
        "messages; or classes that are: module:Class,Class")  # fmt: skip
    add("--types", nargs="+", metavar="NAME=ID", help="the messages of a header")
    for language in WRITERS:
        add(f"--{language}", action="store_true", help=f"write for {language}")
    add("-o", "--output", metavar="DIR", help="where to; else beside the header")
    add("--package", default="", metavar="NAME", help="of the files of Java; its last "
        "part is that of Go, else the header's name")  # fmt: skip
    add("--check", action="store_true", help="only tell whether the files are right; "
        "with TACHYON_UPDATE=1 in the environment make them so")  # fmt: skip
    add("--depfile", metavar="FILE", help="write a make rule: "
        "FILE without .d needs what was read")  # fmt: skip
    add("-I", action="append", default=[], metavar="DIR", help="look for headers there")
    add("-D", action="append", default=[], metavar="NAME[=VALUE]", help="a macro")
    add("-include", action="append", default=[], metavar="FILE",
        help="what the header needs before it, such as stdint.h")  # fmt: skip
    return parser.parse_args(arguments)


def package(name: str) -> str:
    """Return the name of a package, if it is one."""
    if name and not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", name, re.ASCII):
        raise SchemaError(f"{name!r} is no package; give one as in com.example.ticks")
    return name


def files_of(schema: Schema, options: argparse.Namespace) -> Iterator[tuple[Path, str]]:
    """Go through the files to write and their texts."""
    directory = Path(options.output or Path(options.source).parent)
    for language, write in WRITERS.items():
        if getattr(options, language):
            for name, text in write(schema).items():
                yield directory / name, text


def rule(depfile: str, depends: Sequence[str]) -> str:
    """Return a rule for make: what the depfile is of needs what was read."""
    paths = [depfile.removesuffix(".d"), *depends]
    target, *needed = (
        re.sub(r"([ #\\])", r"\\\1", path).replace("$", "$$") for path in paths
    )
    return f"{target}: " + " \\\n    ".join(needed) + "\n"


def difference(present: str | None, text: str) -> str:
    """Say why a file is not what it should be, and what to do."""
    way_out = "; run python -m tachyon.schema without --check, or with TACHYON_UPDATE=1"
    if present is None:
        return f"is missing{way_out}"
    was, now = (FIRST.search(each.partition("\n")[0]) for each in (present, text))
    if not was or not now:
        return FOREIGN
    if was[1] != now[1]:
        return f"was written by generator {was[1]}, this is {GENERATOR}{way_out}"
    if was[3] != now[3]:
        return f"is of another {now[2]}, which has changed since{way_out}"
    return (
        "differs: it was changed by hand, or written with other options, or a header "
        f"that is included has changed{way_out}"
    )


if __name__ == "__main__":
    sys.exit(main())
