# SPDX-License-Identifier: Apache-2.0
"""The description of the messages, as the low-level buses take it."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from tachyon import _native
from tachyon.schema import fnv1a

HEAD = "tachyon-types 1 little\n"
NARROW = HEAD + "message 1 Tick\n quantity u32 @0\n = 4 align 4\n"
WIDE = HEAD + "message 1 Tick\n quantity u64 @0\n = 8 align 8\n"
Kind = type[_native.TachyonBus] | type[_native.TachyonRpcBus]
KINDS: dict[str, tuple[Kind, tuple[int, ...]]] = {
    "bus": (_native.TachyonBus, (4096,)),
    "rpc": (_native.TachyonRpcBus, (4096, 4096)),
}


@pytest.fixture(params=KINDS)
def kind(request: Any) -> tuple[Kind, tuple[int, ...]]:
    return KINDS[request.param]


class Listening(threading.Thread):
    """Listens beside the test."""

    def __init__(self, listen: Callable[[], None]) -> None:
        super().__init__()
        self.error: BaseException | None = None
        self._listen = listen
        self.start()

    def run(self) -> None:
        """Keep what it raises."""
        try:
            self._listen()
        except Exception as error:
            self.error = error


def test_what_differs_is_named_on_both_sides(
    kind: tuple[Kind, tuple[int, ...]], socket_path: str
) -> None:
    make, capacities = kind
    one: Any = make()
    other: Any = make()
    fd = other.connect_start(socket_path, timeout=20, types=WIDE)
    assert fd >= 0
    listening = Listening(
        lambda: one.listen(socket_path, *capacities, timeout=1, types=NARROW)
    )
    with pytest.raises(ConnectionError) as caught:
        while not other.opening_step():
            pass
    assert "Tick.quantity: u64 at 0 here, u32 at 0 at the peer" in str(caught.value)
    listening.join()
    assert isinstance(listening.error, TimeoutError)
    text = str(listening.error)
    assert "Tick.quantity: u32 at 0 here, u64 at 0 at the peer" in text


@pytest.mark.parametrize(
    "theirs",
    [
        {"types": NARROW, "types_required": True},
        {"types": NARROW, "types_required": 0},
        {"schema": fnv1a(NARROW.encode())},
    ],
)
def test_the_same_types_are_connected(
    kind: tuple[Kind, tuple[int, ...]], socket_path: str, theirs: dict[str, Any]
) -> None:
    make, capacities = kind
    one: Any = make()
    other: Any = make()
    listening = Listening(
        lambda: one.listen(
            socket_path, *capacities, timeout=20, types=NARROW, types_required=True
        )
    )
    other.connect(socket_path, timeout=20, **theirs)
    listening.join()
    assert listening.error is None
    one.destroy()
    other.destroy()


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"types": b"x"}, TypeError, "types must be .* as a str, not b'x'"),
        ({"types": ""}, ValueError, "options.types does not begin with"),
        ({"types": "\ud800"}, ValueError, "options.types does not begin with"),
        (
            {"types": HEAD + "message 1 T\n a\0 u8 @0\n"},
            ValueError,
            "line 3 of options.types has a byte that is no printable ASCII",
        ),
        ({"types": NARROW, "schema": 7}, ValueError, "leave it 0"),
        ({"types_required": True}, ValueError, "options.types is NULL"),
        ({"types_required": 2}, ValueError, "types_required must be"),
        ({"types_required": None}, TypeError, "types_required must be"),
    ],
)
def test_bad_arguments_are_refused(
    kind: tuple[Kind, tuple[int, ...]],
    socket_path: str,
    options: dict[str, Any],
    error: type[Exception],
    text: str,
) -> None:
    make, capacities = kind
    low: Any = make()
    for opening in (
        lambda: low.listen(socket_path, *capacities, timeout=0, **options),
        lambda: low.listen_start(socket_path, *capacities, timeout=0, **options),
        lambda: low.connect(socket_path, **options),
        lambda: low.connect_start(socket_path, **options),
    ):
        with pytest.raises(error, match=text):
            opening()
