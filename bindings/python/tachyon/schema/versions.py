# SPDX-License-Identifier: Apache-2.0
"""Messages that grow: what TACHYON_MAY_GROW and TACHYON_SINCE ask of a struct."""

from __future__ import annotations

from .model import SchemaError, Struct


def check_versions(struct: Struct) -> None:
    """Check that a struct was complete, without padding, in each of its versions."""
    name, fields = struct.name, struct.fields
    for before, field in zip([None, *fields], fields, strict=False):
        label = f"{struct.where}: {name}.{field.name}"
        if field.since > 1 and not struct.grows:
            raise SchemaError(
                f"{label} is there since version {field.since}, but {name} may not "
                f"grow; write `struct TACHYON_MAY_GROW {name}`"
            )
        if before is None:
            if field.since > 1:
                raise SchemaError(
                    f"{label} is the first field, so it is there since version 1; "
                    "remove its TACHYON_SINCE"
                )
            continue
        if field.since < before.since:
            raise SchemaError(
                f"{label} is there since version {field.since}, but follows "
                f"{before.name}, which is there since version {before.since}; new "
                "fields are appended"
            )
        if field.since > before.since:
            older = [f for f in fields if f.since < field.since]
            align = min(struct.align, max(f.align for f in older))
            gap = field.offset - before.end or -field.offset % align
            if gap:
                raise SchemaError(
                    f"{label} is there since version {field.since}, but the version "
                    f"before had {gap} bytes of padding at its end, in which it would "
                    f"start or which it would follow; put `uint8_t reserved[{gap}];` "
                    "before it"
                )
    padding = struct.size - max((field.end for field in fields), default=0)
    if struct.grows and padding:
        raise SchemaError(
            f"{struct.where}: {name} is to grow, but has {padding} bytes of padding at "
            "its end, in which a later field would start; add "
            f"`uint8_t reserved[{padding}];`"
        )
