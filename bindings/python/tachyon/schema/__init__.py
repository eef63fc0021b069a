# SPDX-License-Identifier: Apache-2.0
"""Typed messages from a C header.

    python -m tachyon.schema market_tick.h --types MarketTick=1 --c --python --rust

writes files from which each language reads and writes the structs of the header in
place, and which describe them to a peer; `module:Class --header` writes the header of
messages that are classes. docs/TYPED_MESSAGES.md says what a header may
hold. Reading a header needs libclang, from the extra `tachyon-ipc[schema]`; what was
written needs neither that nor this package.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

from .description import describe, fingerprint, fnv1a
from .model import Enum, Field, Scalar, Schema, SchemaError, Struct

__all__ = [
    "Enum",
    "Field",
    "Loaded",
    "Scalar",
    "Schema",
    "SchemaError",
    "Struct",
    "describe",
    "fingerprint",
    "fnv1a",
    "load",
    "read",
]


def read(
    header: str | os.PathLike[str],
    types: dict[str, int],
    *,
    include_dirs: Sequence[str | os.PathLike[str]] = (),
    includes: Sequence[str] = (),
    defines: Sequence[str] = (),
) -> Schema:
    """Read the messages of a C header.

    types: the type_id of each struct that is a message, by the name of its typedef or
        its tag.
    include_dirs, includes, defines: as -I, -include and -D of a compiler.

    Raises SchemaError, with file, line, field and a way out, for a header that does not
    parse and a struct that can be no message; ImportError without libclang.
    """
    from .parser import read as read_with_libclang  # noqa: PLC0415

    return read_with_libclang(
        header,
        types,
        include_dirs=include_dirs,
        includes=includes,
        defines=defines,
    )


class Loaded(ModuleType):
    """What load() has made of a header; iterating gives the classes of its messages."""

    _messages: tuple[Any, ...]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._messages)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{self.__name__}.h has no {name}")


def load(
    header: str | os.PathLike[str],
    *,
    include_dirs: Sequence[str | os.PathLike[str]] = (),
    includes: Sequence[str] = (),
    defines: Sequence[str] = (),
    **types: int,
) -> Loaded:
    """Read the messages of a C header and make their classes, without a file.

        MarketTick, Cancel = tachyon.schema.load("ticks.h", MarketTick=1, Cancel=2)

    types: the type_id of each struct that is a message.
    include_dirs, includes, defines: as those of read().

    What is returned has what `python -m tachyon.schema --python` would have written as
    its attributes: the classes, the enums, the constants, TYPES and FINGERPRINT.

    Raises what read() does.
    """
    from . import to_python  # noqa: PLC0415

    schema = read(
        header, types, include_dirs=include_dirs, includes=includes, defines=defines
    )
    (name, text), *_ = to_python.write(schema).items()
    loaded = Loaded(name.removesuffix(".py"), f"The messages of {schema.header}.")
    exec(compile(text, f"<{schema.header}>", "exec"), vars(loaded))
    by_id = {schema_id: to_python.called(s) for schema_id, s in schema.messages.items()}
    loaded._messages = tuple(getattr(loaded, by_id[i]) for i in types.values())
    return loaded
