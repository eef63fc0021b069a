# SPDX-License-Identifier: Apache-2.0
"""Arrays as messages: what is slow anyway, and why one cannot be sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

CPU = 1  # of DLPack

OBJECTS = (
    "it holds Python objects, which mean nothing in another process: pickle them, or "
    "use tachyon.Queue"
)
TEXT = (
    "it holds text, for which a frame has no kind of items: send its bytes, "
    'array.view("u1"), or a message'
)
DATES = (
    "it holds dates, whose unit a frame does not carry: send "
    'array.view("i8"), and agree on the unit'
)
STRUCTS = "its items are structs: bus.channel(array.dtype).send_batch(array) sends them"
BYTE_ORDER = (
    "it has the byte order of another machine: send "
    'array.astype(array.dtype.newbyteorder("="))'
)
OTHER = (
    "a frame has bool, integers and floats of 1 to 8 bytes, bfloat16, complex64 and "
    "complex128: convert it, or send a view as integers"
)
NUMBERS = "hHiIlLqQefdZ"
# By the kind of a dtype of NumPy; "V" is structs, or somebody's own.
OF_KIND = {"O": OBJECTS, "U": TEXT, "S": TEXT, "T": TEXT, "M": DATES, "m": DATES}
# By the letter of a buffer's format.
OF_LETTER = {
    "O": OBJECTS,
    "T": STRUCTS,
    **dict.fromkeys("cspuw", TEXT),
    **dict.fromkeys(NUMBERS, BYTE_ORDER),
}


def converter() -> Callable[[Any], Any] | None:
    """Return what makes an array of a frame; None where there is no NumPy."""
    try:
        import numpy as np  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name != "numpy":
            raise
        return None
    return np.asarray


def refuse(array: Any, layout: str | None, why: Exception | None) -> NoReturn:
    """Raise the reason why no frame can carry an array.

    layout: format of its buffer, if it has one; why: the error if it has none.
    """
    reason = reason_of(getattr(array, "dtype", None), layout)
    if reason is None and why is not None:
        raise why
    of = getattr(array, "dtype", layout)
    raise TypeError(f"no frame can carry an array of {of}: {reason or OTHER}") from None


def reason_of(dtype: Any, layout: str | None) -> str | None:
    """Say what is the matter with a dtype of NumPy, or with the format of a buffer."""
    if of_kind := OF_KIND.get(getattr(dtype, "kind", "")):
        return of_kind  # first: text of any length counts as objects, too
    if getattr(dtype, "hasobject", False):
        return OBJECTS
    if getattr(dtype, "names", None):
        return STRUCTS
    if layout is None:
        return None
    letter = layout.lstrip("@=<>!0123456789")[:1]
    swapped = layout[0] in "<>!"
    if letter in NUMBERS and not swapped:
        return OTHER
    return OF_LETTER.get(letter, OTHER)


def capsule_of(array: Any, why: Exception) -> Any:
    """Ask what has no buffer for its memory by DLPack.

    why: the error with which its buffer was refused.
    """
    if not hasattr(type(array), "__dlpack__"):
        if reason_of(getattr(array, "dtype", None), None):
            refuse(array, None, why)
        if isinstance(why, TypeError):
            raise TypeError(
                "an array must have a buffer or __dlpack__, as those of NumPy, PyTorch "
                f"and JAX have, not {array!r:.100}"
            ) from None
        raise why
    if reason_of(getattr(array, "dtype", None), None):  # of NumPy, which has it, too
        refuse(array, None, why)
    device, number = array.__dlpack_device__()
    if device != CPU:
        raise BufferError(
            f"the array lies on a device of DLPack's type {int(device)}, number "
            f"{number}, not in the CPU's memory: send a copy there, such as array.cpu()"
        )
    try:
        return array.__dlpack__(max_version=(1, 0))
    except TypeError:  # older than version 1
        return array.__dlpack__()
