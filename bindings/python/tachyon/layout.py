# SPDX-License-Identifier: Apache-2.0
"""The layout of a channel's messages: as a struct format, and as a NumPy dtype.

Either is made from the other, and neither by going through the items of a sub-array,
which may be an image. NumPy is imported where a dtype is given or wanted.
"""

import itertools
import math
import re
import struct
import sys
from collections.abc import Iterable, Iterator
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
    """A field that has no fields itself, or a whole sub-array."""

    name: str
    dtype: "DType"  # of one item
    shape: tuple[int, ...]  # of a sub-array, else ()
    offset: int

    @property
    def what(self) -> str:
        """What to call it."""
        return f"the field {self.name!r}" if self.name else "an item"

    @property
    def length(self) -> int:
        """How many items it has."""
        return math.prod(self.shape)

    @property
    def size(self) -> int:
        """Bytes of all its items."""
        return self.length * self.dtype.itemsize

    @property
    def order(self) -> str:
        """Its byte order, "<" or ">", or "" where it has none."""
        order = self.dtype.byteorder
        return {"=": NATIVE, "|": ""}.get(order, order)


class Run(NamedTuple):
    """Equal items that follow each other without a gap."""

    offset: int
    length: int
    kind: str  # as NumPy's
    size: int
    order: str

    @property
    def end(self) -> int:
        """Where the next one may begin."""
        return self.offset + self.length * self.size


class Layout(NamedTuple):
    """How the messages of a channel look."""

    given: "str | DType"
    """The struct format or dtype that it was made from."""
    size: int
    packer: "struct.Struct | ArrayPacker | str"
    """What packs it, or why nothing does."""


def layout_of(spec: "LayoutLike") -> Layout:
    """Read a struct format, a struct.Struct, or whatever NumPy takes for a dtype."""
    if spec is None:  # which NumPy takes for float64
        raise TypeError(
            "a channel needs the layout of its messages, such as '<Id' or a NumPy "
            "dtype, not None"
        )
    if isinstance(spec, struct.Struct):
        spec = spec.format  # a Struct of our own: it cannot be changed, nor derived
    if isinstance(spec, (str, bytes)):
        packer = struct_of(spec)
        layout = Layout(packer.format, packer.size, packer)
    else:
        import numpy as np  # noqa: PLC0415

        dtype = np.dtype(spec)
        refuse_objects(dtype)
        layout = Layout(dtype, dtype.itemsize, packer_of(dtype))
    if layout.size == 0:
        raise ValueError(f"messages of {layout.given!r} have 0 bytes")
    return layout


def struct_of(text: str | bytes) -> struct.Struct:
    """Make a Struct, or say what a struct format is."""
    try:
        return struct.Struct(text)
    except (struct.error, UnicodeError) as error:
        raise struct.error(
            f"{text!r} is no format of the struct module, such as '<d' for a double "
            f"or '<8sdI' for three fields ({error}){hint_for(text)}"
        ) from None


def hint_for(text: str | bytes) -> str:
    """Say what to write for NumPy's name of a dtype."""
    try:
        import numpy as np  # noqa: PLC0415

        dtype: DType = np.dtype(text)  # type: ignore[arg-type]
        hint = f"; it is NumPy's name of a dtype: give numpy.dtype({text!r})"
    except Exception:  # NumPy has many ways to say no, and may be absent
        return ""
    try:
        return f"{hint} or {format_of(dtype)!r}"
    except TypeError:
        return hint


# ---- dtypes ----


def leaves(dtype: "DType", name: str = "", offset: int = 0) -> Iterator[Leaf]:
    """Go through the plain fields and the sub-arrays of a dtype."""
    if dtype.subdtype is not None:
        yield Leaf(name, *without_shape(dtype), offset)
    elif dtype.fields is not None:
        for field in dtype.names or ():
            inner, at = dtype.fields[field][:2]
            yield from leaves(inner, f"{name}.{field}" if name else field, offset + at)
    else:
        yield Leaf(name, dtype, (), offset)


def without_shape(dtype: "DType") -> tuple["DType", tuple[int, ...]]:
    """Return the dtype of the items of a sub-array, and its shape; () if it is none."""
    shape: tuple[int, ...] = ()
    while dtype.subdtype is not None:
        dtype, inner = dtype.subdtype
        shape += inner
    return dtype, shape


def refuse_objects(dtype: "DType", within: str = "") -> None:
    """Raise TypeError for a field of Python objects."""
    for leaf in leaves(dtype, within) if dtype.hasobject else ():
        if leaf.dtype.fields is not None:
            refuse_objects(leaf.dtype, leaf.name)
        elif leaf.dtype.hasobject:
            raise TypeError(
                f"{leaf.what} of {dtype} is a Python object, which means nothing "
                "elsewhere: give it a type of fixed size, such as 'S16' or 'f8'"
            )


def format_of(dtype: "DType") -> str:
    """Make the struct format with the layout of a dtype; TypeError if it has none."""
    order, codes = codes_of(dtype, whole_arrays=False)
    return (order or NATIVE) + codes


def codes_of(dtype: "DType", whole_arrays: bool, within: str = "") -> tuple[str, str]:
    """Spell a dtype as byte order and codes; sub-arrays as bytes, or item by item."""
    order, codes, end = "", "", 0
    for leaf in leaves(dtype, within):
        leaf_order, item = leaf.order, ""
        if leaf.dtype.fields is not None:
            leaf_order, item = codes_of(leaf.dtype, whole_arrays, leaf.name)
        else:
            item = code_of(leaf)
        if leaf.offset < end:
            raise TypeError(
                f"{leaf.what} begins at {leaf.offset}, before the last one ends at "
                f"{end}"
            )
        codes += padding(leaf.offset - end)
        if leaf.shape and whole_arrays:
            leaf_order = ""  # it comes and goes as it is
            codes += f"{leaf.size}s"
        else:
            codes += times(leaf.length, item) if leaf.shape else item
        if order and leaf_order not in ("", order):
            raise TypeError(
                f"{leaf.what} has the byte order {leaf_order!r}, those before {order!r}"
            )
        order = order or leaf_order
        end = leaf.offset + leaf.size
    return order, codes + padding(dtype.itemsize - end)


def code_of(leaf: Leaf) -> str:
    """Return the code of one item."""
    kind, size = leaf.dtype.kind, leaf.dtype.itemsize
    code = f"{size}s" if kind in "SV" else CODES.get(f"{kind}{size}")
    if code is None:
        raise TypeError(
            f"{leaf.what} of type {leaf.dtype} has no struct format; this channel "
            "sends and receives arrays only"
        )
    return code


def times(count: int, codes: str) -> str:
    """Format `count` items."""
    return f"{count}{codes}" if len(codes) == 1 else codes * count


def padding(size: int) -> str:
    """Format `size` bytes that no field has."""
    return f"{size}x" if size else ""


# ---- Packing ----


def packer_of(dtype: "DType") -> "struct.Struct | ArrayPacker | str":
    """Make what packs a dtype, or say why nothing does."""
    try:
        order, codes = codes_of(dtype, whole_arrays=True)
    except TypeError as reason:
        return str(reason)
    packer = struct.Struct((order or NATIVE) + codes)
    fields = tuple(leaves(dtype))
    return ArrayPacker(packer, fields) if any(f.shape for f in fields) else packer


class ArrayPacker:
    """A Struct for layouts with sub-arrays, each of which is one value."""

    def __init__(self, packer: struct.Struct, fields: tuple[Leaf, ...]) -> None:
        self._struct = packer
        self._fields = fields

    def pack(self, *values: Any) -> bytes:
        """Join values; those for sub-arrays may be arrays, lists or bytes."""
        return self._struct.pack(
            *(
                bytes_of(field, value) if field and field.shape else value
                for field, value in itertools.zip_longest(self._fields, values)
            )
            if len(values) == len(self._fields)
            else values
        )

    def unpack(self, message: Any) -> tuple[Any, ...]:
        """Part a message; its sub-arrays come as arrays of their own."""
        import numpy as np  # noqa: PLC0415

        return tuple(
            np.ndarray(field.shape, field.dtype, value) if field.shape else value
            for field, value in zip(
                self._fields, self._struct.unpack(message), strict=True
            )
        )


def bytes_of(field: Leaf, value: Any) -> bytes:
    """Make the bytes of a sub-array of what was given for it."""
    import numpy as np  # noqa: PLC0415

    if isinstance(value, (bytes, bytearray)):
        if len(value) == field.size:
            return bytes(value)
        given = f"{len(value)} bytes"
    else:
        try:
            array = np.asarray(value)
        except ValueError:  # nested sequences of different lengths
            array = np.array(None)
        given = f"an array of {array.dtype} of shape {array.shape}"
        if array.shape == field.shape:
            if array.dtype == field.dtype:
                return array.tobytes()
            if isinstance(value, (list, tuple)) and field.dtype.fields is None:
                codes = times(field.length, code_of(field))
                return struct.pack((field.order or NATIVE) + codes, *array.flat)
    raise TypeError(
        f"{field.what} takes an array of {field.dtype} of shape {field.shape}, a list "
        f"of numbers of that shape or {field.size} bytes, not {given}"
    )


# ---- Struct formats ----


def runs_in(packer: struct.Struct) -> Iterator[tuple[Run, bool]]:
    """Go through the fields of a Struct; tell which have a count, as "3h" has."""
    text = packer.format
    prefix = text[0] if text[0] in "@=<>!" else "@"
    order = {"<": "<", ">": ">", "!": ">"}.get(prefix, NATIVE)
    before = prefix
    for count, code in FIELD.findall(text):
        if code in "sp" and count != "0":
            kind = "S" if code == "s" else "V"
            offset = struct.calcsize(before)
            yield Run(offset, 1, kind, int(count or 1), ""), False
        elif code in KINDS and count != "0":
            size = struct.calcsize(prefix + code)
            offset = struct.calcsize(f"{before}0{code}")  # where it is aligned
            one_byte = size == 1 or KINDS[code] == "S"
            item_order = "" if one_byte else order
            run = Run(offset, int(count or 1), KINDS[code], size, item_order)
            yield run, bool(count)
        before += count + code


def dtype_of(packer: struct.Struct) -> "DType":
    """Make the dtype with the layout of a Struct; its fields are f0, f1, ..."""
    import numpy as np  # noqa: PLC0415

    formats: list[Any] = []
    offsets: list[int] = []
    for run, is_array in runs_in(packer):
        item = f"{run.order}{run.kind}{run.size}"
        formats.append((item, (run.length,)) if is_array else item)
        offsets.append(run.offset)
    return np.dtype(
        {
            "names": [f"f{i}" for i in range(len(formats))],
            "formats": formats,
            "offsets": offsets,
            "itemsize": packer.size,
        }
    )


# ---- Comparing ----


def runs_of(layout: "struct.Struct | DType", offset: int = 0) -> Iterator[Run]:
    """Go through all but names and padding; bytes without a type are that too."""
    if isinstance(layout, struct.Struct):
        yield from (run for run, _ in runs_in(layout) if run.kind != "V")
        return
    for leaf in leaves(layout, "", offset):
        kind, size = leaf.dtype.kind, leaf.dtype.itemsize
        if leaf.dtype.fields is not None:
            yield from repeated(leaf.dtype, leaf.length, size, leaf.offset)
        elif kind != "V" and size:
            yield Run(leaf.offset, leaf.length, kind, size, leaf.order)


def repeated(
    layout: "struct.Struct | DType", count: int, size: int, offset: int = 0
) -> Iterator[Run]:
    """Go through `count` items of `size` bytes; at once where they are all alike."""
    first = [*itertools.islice(merged(runs_of(layout)), 2)]
    if len(first) == 1 and first[0].length * first[0].size == size:
        yield first[0]._replace(offset=offset, length=count * first[0].length)
        return
    for i in range(count):
        for run in runs_of(layout):
            yield run._replace(offset=offset + i * size + run.offset)


def merged(runs: Iterable[Run]) -> Iterator[Run]:
    """Join neighbours of one type."""
    last: Run | None = None
    for run in runs:
        if last and last[2:] == run[2:] and last.end == run.offset:
            last = last._replace(length=last.length + run.length)
            continue
        if last:
            yield last
        last = run
    if last:
        yield last


def same_runs(one: Iterable[Run], other: Iterable[Run]) -> bool:
    """Tell whether two layouts are the same but for names and padding."""
    return all(a == b for a, b in itertools.zip_longest(merged(one), merged(other)))


def items_of(buffer: Any, text: str, count: int) -> Iterator[Run]:
    """Go through `count` items of a buffer with a PEP 3118 format."""
    size = memoryview(buffer).itemsize
    try:
        packer = struct.Struct(text)
    except struct.error:  # it has names
        return repeated(dtype_of_buffer(buffer, text), count, size)
    if packer.size != size:  # ctypes
        return repeated(dtype_of_buffer(buffer, text), count, size)
    return repeated(packer, count, size)


def dtype_of_buffer(buffer: Any, text: str) -> "DType":
    """Ask whose the buffer is: formats of NumPy and ctypes leave some padding out."""
    import numpy as np  # noqa: PLC0415

    owner = buffer
    while isinstance(owner, memoryview):
        owner = owner.obj
    if memoryview(owner).format == text:
        if isinstance(getattr(owner, "dtype", None), np.dtype):
            dtype: DType = owner.dtype
            return dtype
        kind: Any = type(owner)
        while hasattr(kind, "_length_"):
            kind = kind._type_
        if hasattr(kind, "_fields_"):
            dtype = np.dtype(kind)
            return dtype
    return np.asarray(buffer).dtype


# ---- ctypes ----


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


def refusal(what: str, code: str) -> TypeError:
    """Say why items with addresses in them cannot be sent; code: 'O' for objects."""
    if code == "O":
        return TypeError(
            f"items of {what} hold Python objects, whose addresses mean nothing "
            "elsewhere: send their values, as array.astype('S8') or "
            "pickle.dumps(array) makes them"
        )
    return TypeError(
        f"items of {what} hold pointers, which mean nothing elsewhere: send "
        "what they point to, or bytes(items) for the addresses"
    )


def check_addresses(buffer: Any, text: str, code: str) -> None:
    """Refuse a buffer of addresses.

    text: its format, in which `code` stands for an address; "" where the format, of
        ctypes, does not tell.
    """
    if code:
        raise refusal(f"format '{text}'", code)
    while isinstance(buffer, memoryview):
        buffer = buffer.obj
    hidden = address_in(type(buffer))
    if hidden:
        raise refusal(f"type {type(buffer).__name__}", hidden)


def without_format(array: Any) -> Any:
    """Return an array whose dtype has no PEP 3118 format as one of plain bytes.

    None for what cannot be such an array.
    """
    try:
        dtype = array.dtype
        has_objects, size = dtype.hasobject, dtype.itemsize
    except Exception:
        return None
    if has_objects is True:
        raise refusal(f"dtype {dtype}", "O")
    try:
        return array.view(f"V{size}")
    except Exception:
        return None
