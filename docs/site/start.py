# SPDX-License-Identifier: Apache-2.0
"""The page on which each language has a tab.

The programs are the samples of the bindings, which the conformance tests run in mixed
pairs: what is shown is what is tested.
"""

import sys
import textwrap
from pathlib import Path
from typing import NamedTuple

BINDINGS = Path(__file__).resolve().parents[2] / "bindings"
sys.path.insert(0, str(BINDINGS))
import readmes  # noqa: E402

HEAD = """\
# First messages

Two programs: one *listens* on a path and prints what comes, the other *connects* and
sends. Start the one that listens first. Any two languages go together: what a tab's
`send` sends, the `recv` of any other tab takes.

In a checkout, `cmake --preset default && cmake --build build` makes the packages of all
the languages that are installed; the tabs say what is needed for one alone.

"""
TAIL = """
[QUICKSTART](/docs/QUICKSTART.md) goes on in C, Python and Rust, with calls and replies;
[LANGUAGES](/docs/LANGUAGES.md) says what each language has. Every language's folder has
four such programs: `send`, `recv`, `rpc_server` and `rpc_client`.
"""


class Tab(NamedTuple):
    """A language's tab; the page of the binding has more."""

    title: str
    language: str  # of the syntax
    folder: str
    programs: tuple[str, str]  # recv, send
    get: str
    run: tuple[str, str]


def cmake(folder: str) -> str:
    """Return how a binding is built that SWIG alone makes, as its README has it."""
    keys, _ = readmes.read(BINDINGS / folder / "README.in")
    return textwrap.dedent(readmes.BLOCKS["build"].format_map(keys))


TABS = (
    Tab(
        "Python",
        "python",
        "python/samples",
        ("recv.py", "send.py"),
        "python3 -m venv ~/tachyon-venv && ~/tachyon-venv/bin/pip install .",
        (
            "~/tachyon-venv/bin/python bindings/python/samples/recv.py /tmp/ticks.sock",
            "~/tachyon-venv/bin/python bindings/python/samples/send.py /tmp/ticks.sock",
        ),
    ),
    Tab(
        "Rust",
        "rust",
        "rust/examples",
        ("recv.rs", "send.rs"),
        '# in Cargo.toml: tachyon-ipc = { path = "…/bindings/rust" }',
        (
            "cargo run -p tachyon-ipc --example recv /tmp/ticks.sock",
            "cargo run -p tachyon-ipc --example send /tmp/ticks.sock",
        ),
    ),
    Tab(
        "C",
        "c",
        "c/samples",
        ("recv.c", "send.c"),
        "cmake --preset core -DTACHYON_TESTS=OFF && cmake --build build-core\n"
        "cmake --install build-core --prefix ~/tachyon\n"
        "export PKG_CONFIG_PATH=~/tachyon/lib/pkgconfig LD_LIBRARY_PATH=~/tachyon/lib\n"
        "cd bindings/c/samples\n"
        "cc recv.c -o ~/recv $(pkg-config --cflags --libs tachyon)\n"
        "cc send.c -o ~/send $(pkg-config --cflags --libs tachyon)",
        ("~/recv /tmp/ticks.sock", "~/send /tmp/ticks.sock"),
    ),
    Tab(
        "C++",
        "cpp",
        "cpp/samples",
        ("recv.cpp", "send.cpp"),
        "cmake --preset core -DTACHYON_TESTS=OFF && cmake --build build-core\n"
        "cmake --install build-core --prefix ~/tachyon\n"
        "export PKG_CONFIG_PATH=~/tachyon/lib/pkgconfig LD_LIBRARY_PATH=~/tachyon/lib\n"
        "cd bindings/cpp/samples\n"
        "c++ -std=c++17 recv.cpp -o ~/recv $(pkg-config --cflags --libs tachyon)\n"
        "c++ -std=c++17 send.cpp -o ~/send $(pkg-config --cflags --libs tachyon)",
        ("~/recv /tmp/ticks.sock", "~/send /tmp/ticks.sock"),
    ),
    Tab(
        "Java",
        "java",
        "java/samples",
        ("Recv.java", "Send.java"),
        "cmake --preset default && cmake --build build --target tachyon_jar\n"
        "export CLASSPATH=$PWD/build/bindings/java/tachyon-ipc.jar",
        (
            "java bindings/java/samples/Recv.java /tmp/ticks.sock",
            "java bindings/java/samples/Send.java /tmp/ticks.sock",
        ),
    ),
    Tab(
        "Kotlin",
        "kotlin",
        "kotlin/samples",
        ("Recv.kt", "Send.kt"),
        "cmake --preset default && cmake --build build\n"
        "# makes build/bindings/kotlin/tachyon-ipc-kotlin.jar, beside Java's",
        ("# from a program of yours, with the two jars in its class path", ""),
    ),
    Tab(
        "Go",
        "go",
        "go/samples",
        ("recv/main.go", "send/main.go"),
        "go mod edit -require tachyon-ipc@v1.0.0 -replace tachyon-ipc=../tachyon\n"
        "go mod tidy\n"
        "# in your module; in a checkout nothing is needed",
        (
            "go run ./bindings/go/samples/recv /tmp/ticks.sock",
            "go run ./bindings/go/samples/send /tmp/ticks.sock",
        ),
    ),
    Tab(
        "Node",
        "javascript",
        "node/samples",
        ("recv.js", "send.js"),
        "cmake --preset default && cmake --build build --target tachyon_node\n"
        'export NODE_PATH="$PWD/build/bindings/node/node_modules"',
        (
            "node bindings/node/samples/recv.js /tmp/ticks.sock",
            "node bindings/node/samples/send.js /tmp/ticks.sock",
        ),
    ),
    Tab(
        "C#",
        "csharp",
        "csharp/samples",
        ("Recv.cs", "Send.cs"),
        "cmake --preset default && cmake --build build\n"
        "cd build/bindings/csharp  # TachyonIpc.dll and libtachyon_csharp.so\n"
        "mcs -r:TachyonIpc.dll ../../../bindings/csharp/samples/Recv.cs -out:recv.exe\n"
        "mcs -r:TachyonIpc.dll ../../../bindings/csharp/samples/Send.cs -out:send.exe",
        ("mono recv.exe /tmp/ticks.sock", "mono send.exe /tmp/ticks.sock"),
    ),
    Tab(
        "Lua",
        "lua",
        "lua/samples",
        ("recv.lua", "send.lua"),
        cmake("lua"),
        (
            "lua5.4 bindings/lua/samples/recv.lua /tmp/ticks.sock",
            "lua5.4 bindings/lua/samples/send.lua /tmp/ticks.sock",
        ),
    ),
    Tab(
        "Ruby",
        "ruby",
        "ruby/samples",
        ("recv.rb", "send.rb"),
        cmake("ruby"),
        (
            "ruby bindings/ruby/samples/recv.rb /tmp/ticks.sock",
            "ruby bindings/ruby/samples/send.rb /tmp/ticks.sock",
        ),
    ),
    Tab(
        "Perl",
        "perl",
        "perl/samples",
        ("recv.pl", "send.pl"),
        cmake("perl"),
        (
            "perl bindings/perl/samples/recv.pl /tmp/ticks.sock",
            "perl bindings/perl/samples/send.pl /tmp/ticks.sock",
        ),
    ),
    Tab(
        "PHP",
        "php",
        "php/samples",
        ("recv.php", "send.php"),
        cmake("php"),
        ("", ""),
    ),
    Tab(
        "Tcl",
        "tcl",
        "tcl/samples",
        ("recv.tcl", "send.tcl"),
        cmake("tcl"),
        (
            "tclsh bindings/tcl/samples/recv.tcl /tmp/ticks.sock",
            "tclsh bindings/tcl/samples/send.tcl /tmp/ticks.sock",
        ),
    ),
    Tab(
        "Guile",
        "scheme",
        "guile/samples",
        ("recv.scm", "send.scm"),
        cmake("guile"),
        (
            "guile bindings/guile/samples/recv.scm /tmp/ticks.sock",
            "guile bindings/guile/samples/send.scm /tmp/ticks.sock",
        ),
    ),
    Tab(
        "Octave",
        "octave",
        "octave/samples",
        ("recv.m", "send.m"),
        cmake("octave"),
        (
            "octave-cli bindings/octave/samples/recv.m /tmp/ticks.sock",
            "octave-cli bindings/octave/samples/send.m /tmp/ticks.sock",
        ),
    ),
)


def page(root: Path) -> str:
    """Return the page."""
    parts = [HEAD, "::::::{tab-set}\n:sync-group: language\n\n"]
    for tab in TABS:
        parts.append(
            f":::::{{tab-item}} {tab.title}\n:sync: {tab.folder.partition('/')[0]}\n\n"
        )
        parts.append(f"```sh\n{tab.get}\n```\n\n")
        for program, command in zip(tab.programs, tab.run, strict=True):
            source = f"bindings/{tab.folder}/{program}"
            if not (root / source).exists():
                raise SystemExit(f"no {source}")
            parts.append(
                f"```{{literalinclude}} /{source}\n:language: {tab.language}\n"
                f":caption: {program}\n:start-after: SPDX-License-Identifier\n```\n\n"
            )
            if command:
                parts.append(f"```sh\n{command}\n```\n\n")
        binding = root / "bindings" / tab.folder.partition("/")[0] / "README.md"
        if binding.exists():
            name = binding.relative_to(root)
            parts.append(f"More: [Tachyon for {tab.title}](/{name}).\n\n")
        parts.append(":::::\n")
    return "".join([*parts, "::::::\n", TAIL])
