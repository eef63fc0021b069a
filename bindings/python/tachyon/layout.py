# SPDX-License-Identifier: Apache-2.0
"""The layout of a channel's messages: as a struct format, and as a NumPy dtype.

Either is made from the other. NumPy is imported where a dtype is given or wanted.
"""

import math
import re
import struct
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    DType = np.dtype[Any]
    LayoutLike = str | bytes | struct.Struct | npt.DTypeLike

NATIVE = "<" if sys.byteorder == "little" else ">"
# NumPy's kind and size as the code of a struct format with standard sizes.
CODES = {
    "b1": "?",
    "f2": "e",
    "f4": "f",
    "f8": "d",
    **{f"i{1 << power}": code for power, code in enumerate("bhiq")},
    **{f"u{1 << power}": code for power, code in enumerate("BHIQ")},
}
KINDS = {code: kind[0] for kind, code in CODES.items()} | {
    "c": "S",
    "l": "i",
    "n": "i",
    "L": "u",
    "N": "u",
    "P": "u",
}
FIELD = re.compile(r"(\d*)([A-Za-z?])")


class Leaf(NamedTuple):
    """A field that has no fields itself."""

    name: str
    dtype: "DType"
    offset: int

    @property
    def order(self) -> str:
        """Its byte order, "<" or ">", or "" where it has none."""
        order = self.dtype.byteorder
        return {"=": NATIVE, "|": ""}.get(order, order)


class Layout(NamedTuple):
    """How the messages of a channel look."""

    given: "str | DType"
    """The struct format or dtype that it was made from."""
    size: int
    packer: struct.Struct | str
    """What packs it, or why nothing in the struct module does."""


def layout_of(spec: "LayoutLike") -> Layout:
    """Read a struct format, a struct.Struct, or whatever NumPy takes for a dtype."""
    if isinstance(spec, (str, bytes)):
        spec = struct.Struct(spec)
    if isinstance(spec, struct.Struct):
        layout = Layout(spec.format, spec.size, spec)
    else:
        import numpy as np  # noqa: PLC0415

        dtype = np.dtype(spec)
        layout = Layout(dtype, dtype.itemsize, packer_of(dtype))
    if layout.size == 0:
        raise ValueError(f"messages of {layout.given!r} have 0 bytes")
    return layout


def leaves(dtype: "DType", name: str = "", offset: int = 0) -> Iterator[Leaf]:
    """Go through the plain fields of a dtype, those of sub-arrays one by one."""
    if dtype.subdtype is not None:
        item, shape = dtype.subdtype
        for i in range(math.prod(shape)):
            yield from leaves(item, name, offset + i * item.itemsize)
    elif dtype.fields is not None:
        for field in dtype.names or ():
            inner, at = dtype.fields[field][:2]
            yield from leaves(inner, f"{name}.{field}" if name else field, offset + at)
    else:
        yield Leaf(name, dtype, offset)


def packer_of(dtype: "DType") -> struct.Struct | str:
    """Make the Struct with the layout of a dtype, or say which field it cannot have."""
    order, codes, end = "", "", 0
    for leaf in leaves(dtype):
        what = f"the field {leaf.name!r}" if leaf.name else "an item"
        kind, size = leaf.dtype.kind, leaf.dtype.itemsize
        code = f"{size}s" if kind in "SV" else CODES.get(f"{kind}{size}")
        if leaf.dtype.hasobject:
            raise TypeError(
                f"{what} of {dtype} is a Python object, which means nothing elsewhere"
            )
        if code is None:
            return (
                f"{what} of type {leaf.dtype} has no struct format; this channel sends "
                "and receives arrays only"
            )
        if leaf.offset < end:
            return f"{what} begins at {leaf.offset}, before the last one ends at {end}"
        if order and leaf.order not in ("", order):
            return f"{what} has the byte order {leaf.order!r}, those before {order!r}"
        order = order or leaf.order
        codes += padding(leaf.offset - end) + code
        end = leaf.offset + size
    return struct.Struct((order or NATIVE) + codes + padding(dtype.itemsize - end))


def padding(size: int) -> str:
    """Format `size` bytes that no field has."""
    return f"{size}x" if size else ""


def dtype_of(packer: struct.Struct) -> "DType":
    """Make the dtype with the layout of a Struct; its fields are f0, f1, ..."""
    import numpy as np  # noqa: PLC0415

    text = packer.format
    prefix = text[0] if text[0] in "@=<>!" else "@"
    order = {"<": "<", ">": ">", "!": ">"}.get(prefix, NATIVE)
    formats: list[Any] = []
    offsets: list[int] = []
    before = prefix
    for count, code in FIELD.findall(text):
        if code in "sp" and count != "0":
            formats.append(f"{'S' if code == 's' else 'V'}{count or 1}")
            offsets.append(struct.calcsize(before))
        elif code in KINDS and count != "0":
            size = struct.calcsize(prefix + code)
            item = f"{order}{KINDS[code]}{size}"
            formats.append((item, (int(count),)) if count else item)
            offsets.append(struct.calcsize(f"{before}0{code}"))  # where it is aligned
        before += count + code
    return np.dtype(
        {
            "names": [f"f{i}" for i in range(len(formats))],
            "formats": formats,
            "offsets": offsets,
            "itemsize": packer.size,
        }
    )


def same_layout(one: "DType", other: "DType") -> bool:
    """Compare two dtypes but for names, and for bytes without a type, as padding is."""

    def fields(dtype: "DType") -> list[tuple[int, str, int, str]]:
        return [
            (leaf.offset, leaf.dtype.kind, leaf.dtype.itemsize, leaf.order)
            for leaf in leaves(dtype)
            if leaf.dtype.kind != "V"
        ]

    return one.itemsize == other.itemsize and fields(one) == fields(other)


def address_in(kind: Any) -> str | None:
    """Find an address in a type of ctypes: "O" for an object, "P" for a pointer."""
    code = getattr(kind, "_type_", None)
    if isinstance(code, str):
        return "O" if code == "O" else "P" if code in "PzZ" else None
    if hasattr(kind, "_restype_") or (code and not hasattr(kind, "_length_")):
        return "P"
    fields = (
        [code]
        if code is not None
        else [
            field[1]
            for base in kind.__mro__
            for field in vars(base).get("_fields_", ())
        ]
    )
    return next(filter(None, map(address_in, fields)), None)
