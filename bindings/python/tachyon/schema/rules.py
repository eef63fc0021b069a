# SPDX-License-Identifier: Apache-2.0
"""What holds for messages wherever they are defined; `where` is how errors say that."""

from __future__ import annotations

from .model import (
    IDENTIFIER,
    MAX_ALIGN,
    MAX_MESSAGE,
    SCALARS,
    Enum,
    Schema,
    SchemaError,
    Struct,
)


def check_name(where: str, name: str) -> None:
    """Refuse what is no name in every language."""
    if not all(IDENTIFIER.fullmatch(part) for part in name.split(".")):
        raise SchemaError(
            f"{where}: {name!r} is no name in every language; use letters, digits and "
            "underscores of ASCII"
        )


def check_type_name(where: str, name: str) -> None:
    """Refuse a name of a type that would be taken for a kind, too."""
    check_name(where, name)
    if name in SCALARS:
        raise SchemaError(
            f"{where}: a type cannot be called {name}, which is a kind of number in "
            "the description; rename it"
        )


def check_message(struct: Struct) -> None:
    """Check what holds for messages only, not for what they hold."""
    if struct.align > MAX_ALIGN:
        raise SchemaError(
            f"{struct.where}: {struct.name} is to be aligned to {struct.align} bytes, "
            f"but a message in the ring is aligned to {MAX_ALIGN} at most; ask for less"
        )
    if struct.size > MAX_MESSAGE:
        raise SchemaError(
            f"{struct.where}: {struct.name} has {struct.size} bytes, more than the "
            f"{MAX_MESSAGE} that the largest ring takes; send it in parts"
        )


def check_types(schema: Schema, where: str) -> None:
    """Check that names are unique, and that nothing that grows is held."""
    names: dict[str, Enum | Struct] = {}
    for kind in schema.types():
        other = names.setdefault(kind.name, kind)
        if other is not kind:
            raise SchemaError(
                f"{where}: two types are called {kind.name}, one of which is a tag; "
                "rename one"
            )
        if not isinstance(kind, Struct):
            continue
        for field in kind.fields:
            if isinstance(field.type, Struct) and field.type.grows:
                raise SchemaError(
                    f"{kind.where}: {kind.name}.{field.name} is a {field.type.name}, "
                    "which is to grow (TACHYON_MAY_GROW); only messages grow, not what "
                    "they hold"
                )
