# SPDX-License-Identifier: Apache-2.0
"""Arguments that C does not take at once: what they mean, or why they are refused."""

import math
from array import array
from typing import Any

from . import _native

CENTURIES = 9e9  # seconds: as good as for ever
CPU = (1, 0)  # of DLPack
NAME_BYTES = 31  # of a peer


def seconds(timeout: Any, name: str = "timeout") -> float:
    """Return a time-out as a float; ValueError and TypeError with its value."""
    if not (hasattr(type(timeout), "__float__") or hasattr(type(timeout), "__index__")):
        none = " or None" if name == "timeout" else ""
        raise TypeError(f"{name} must be a number{none}, not {timeout!r:.100}")
    try:
        value = float(timeout)
    except OverflowError:  # an integer that no float can hold
        value = math.inf if timeout > 0 else -1.0
    if not value >= 0:
        none = "None or " if name == "timeout" else ""
        raise ValueError(
            f"{name} must be {none}at least 0 seconds, not {timeout!r:.100}"
        )
    return value


def seconds_or_none(timeout: float | None) -> float | None:
    """Return a time-out as a float, or None for one that is for ever."""
    if timeout is None:
        return None
    value = seconds(timeout)
    return value if value < CENTURIES else None


def switch(name: str, value: Any) -> bool:
    """Take True and False, NumPy's too, and the 1 and 0 of older code."""
    if type(value).__module__ == "numpy" and type(value).__name__ in ("bool", "bool_"):
        return bool(value)
    return _native.integer(name, value, 0, 1) == 1


def user_ids(allowed_uids: Any) -> bytes:
    """Return user ids as C has them."""
    try:
        ids = iter(allowed_uids)
    except TypeError:
        if hasattr(type(allowed_uids), "__iter__"):
            raise
        raise TypeError(
            f"allowed_uids must be an iterable of user ids, not {allowed_uids!r:.100}"
        ) from None
    # All of them first: what yields one may change the others.
    numbers = [
        _native.integer("each of allowed_uids", uid, 0, 0xFFFFFFFF)
        for uid in tuple(ids)
    ]
    return array("I", numbers).tobytes()


def opening(
    allowed_uids: Any, start: Any, name: Any, types: Any
) -> tuple[bytes | None, int, int, int, bytes | None, bytes | None]:
    """Return what C takes for options of listen and connect."""
    uids = None if allowed_uids is None else user_ids(allowed_uids)
    return (uids, *start_of(start), name_of(name), types_of(types))


def start_of(start: Any) -> tuple[int, int, int]:
    """Return where a reader begins: a Start, or a position and its epoch."""
    if start is None:
        return _native.START_NOW, 0, 0
    if isinstance(start, (tuple, list)):
        if len(start) != 2:
            raise ValueError(
                f"start must be a Start or a Position, two integers, not {start!r:.100}"
            )
        position, epoch = start
        return (
            _native.START_POSITION,
            _native.integer("the position of start", position),
            _native.integer("the epoch of start", epoch),
        )
    kind = _native.integer("start", start, _native.START_NOW, _native.START_OLDEST)
    return kind, 0, 0


def name_of(name: Any) -> bytes | None:
    """Return the name of a peer as C has it."""
    if name is None:
        return None
    if not isinstance(name, str):
        raise TypeError(f"name must be a str or None, not {name!r:.100}")
    encoded = name.encode()
    if len(encoded) > NAME_BYTES or b"\0" in encoded:
        raise ValueError(
            f"name must be at most {NAME_BYTES} bytes of UTF-8 without a NUL, not "
            f"{name!r:.100}"
        )
    return encoded


def types_of(types: Any) -> bytes | None:
    """Return the description of message types as C has it, or several in a row."""
    if types is None:
        return None
    if isinstance(types, str):
        return types.encode(errors="surrogatepass")
    if isinstance(types, (bytes, bytearray)) or not hasattr(type(types), "__iter__"):
        raise TypeError(
            "types must be Message classes or their description as a str, not "
            f"{types!r:.100}"
        )
    text = b"".join(map(description_of, types))
    if not text:
        raise ValueError(
            "types has no Message classes; give at least one, or None to agree on none "
            "(a generator gives its own only once)"
        )
    return text


def description_of(each: Any) -> bytes:
    """Return the description of one of several types."""
    text = each if isinstance(each, str) else getattr(each, "types", None)
    if not isinstance(text, str):
        raise TypeError(
            "each of types must be a Message class with fields or a description, not "
            f"{each!r:.100}"
        )
    return text.encode(errors="surrogatepass")


def is_failure(exception: Any) -> bool:
    """Tell whether what leaves a `with` block has cut the stream off.

    What ends a generator, or a program well, ends the stream well too.
    """
    kind = exception if isinstance(exception, type) else type(exception)
    if issubclass(kind, SystemExit) and kind is not exception:
        return not (exception.code is None or exception.code == 0)
    return not issubclass(kind, GeneratorExit)


def dlpack_request(
    stream: Any, max_version: Any, dl_device: Any, copy: Any
) -> tuple[bool, bool]:
    """Return whether a capsule of version 1 is wanted, and whether a copy.

    Messages are read-only, which only a capsule of version 1 can say. A consumer that
    does not know of it would write to the ring, so it gets a copy where it asks for one
    and else an error, as from NumPy: a copy that nobody asked for would hide what it
    costs from those who came for none.
    """
    versioned, wants_copy = dlpack_request_of_frame(
        stream, max_version, dl_device, copy
    )
    if not versioned and not wants_copy:
        raise BufferError(
            "a message is read-only, which DLPack can say from version 1 on, and this "
            "consumer does not ask for that (max_version): give it "
            "numpy.array(message), a copy, or numpy.asarray(message), which is "
            "read-only in place"
        )
    return versioned, wants_copy


def dlpack_request_of_frame(
    stream: Any, max_version: Any, dl_device: Any, copy: Any
) -> tuple[bool, bool]:
    """Return the same for a frame.

    It is given in place also to those who ask for no version, as JAX does, whose arrays
    nobody writes to.
    """
    version = pair("max_version", max_version, (0, 0))
    device = pair("dl_device", dl_device, CPU)
    if stream is not None:
        raise BufferError(
            "a message lies in the CPU's memory, which has no streams: stream must be "
            f"None, not {stream!r}"
        )
    if device != CPU:
        raise BufferError(
            "a message lies in the CPU's memory: dl_device must be (1, 0), not "
            f"{dl_device!r}; copy it there from an array"
        )
    return version[0] >= 1, bool(copy)


def pair(name: str, value: Any, otherwise: tuple[int, int]) -> tuple[int, int]:
    """Take a pair of integers; None is `otherwise`."""
    if value is None:
        return otherwise
    if not isinstance(value, tuple) or len(value) != 2:
        raise TypeError(f"{name} must be a pair of integers or None, not {value!r}")
    first, second = (_native.integer(name, n, 0, 0x7FFFFFFF) for n in value)
    return first, second
