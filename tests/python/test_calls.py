# SPDX-License-Identifier: Apache-2.0
"""How methods in C are reached, and how they take their arguments."""

import gc
import inspect
from collections.abc import Callable
from types import MethodDescriptorType
from typing import Any

import pytest

from tachyon import Bus, Message, RpcBus, _native

from conftest import Pair, open_both


@pytest.mark.parametrize("cls", [Bus, RpcBus])
def test_methods_in_c_belong_to_exactly_the_public_class(cls: type) -> None:
    base = cls.__base__
    assert base is not None
    methods = [n for n, m in vars(base).items() if isinstance(m, MethodDescriptorType)]
    assert len(methods) > 5
    for name in {*methods} - {"cancel"}:  # that one is wrapped, for calls awaited
        own: Any = inspect.getattr_static(cls, name)
        assert isinstance(own, MethodDescriptorType)
        assert own.__objclass__ is cls, name  # else each call takes a detour
        assert own.__doc__ == getattr(base, name).__doc__


def test_direct_calls_keeps_what_the_class_has_of_its_own() -> None:
    @_native.direct_calls
    class Loud(_native.BusBase):
        def send(self, *args: Any, **kwargs: Any) -> None:
            raise NotImplementedError

    with pytest.raises(NotImplementedError):
        Loud().send(b"")
    assert vars(Loud)["recv"].__objclass__ is Loud
    with pytest.raises(TypeError, match="takes a class, not 7"):
        _native.direct_calls(7)


def test_derived_class_sends_and_overrides(socket_path: str) -> None:
    class Tagged(Bus):
        def send(self, data: Any, *args: Any, **options: Any) -> None:
            super().send(data, self.tag, *args, **options)

    producer, consumer = open_both(
        lambda: Bus.listen(socket_path, 4096, timeout=60),
        lambda: Tagged.connect(socket_path, timeout=60),
    )
    with producer, consumer:
        producer.tag = 7
        assert vars(producer) == {"tag": 7}
        producer.send(b"payload", block=False)
        assert next(consumer) == (7, 7, b"payload")


def name(text: str) -> str:
    """Return a name that is equal to an interned one, but not the same object."""
    return "".join(list(text))


@pytest.mark.parametrize(
    "call",
    [
        lambda send: send(b"payload", 7),
        lambda send: send(b"payload", type_id=7),
        lambda send: send(data=b"payload", type_id=7),
        lambda send: send(type_id=7, data=b"payload"),
        lambda send: send(b"payload", block=True, type_id=7),
        lambda send: send(b"payload", 7, None, True),
        lambda send: send(**{name("type_id"): 7, name("data"): b"payload"}),
        lambda send: send(b"payload", **{name("type_id"): 7}),
    ],
)
def test_arguments_may_come_in_any_way(
    pair: Pair, call: Callable[[Callable[..., None]], None]
) -> None:
    call(pair.producer.send)
    assert pair.consumer.recv(timeout=5) == (7, 7, b"payload")


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda send: send(), r"send\(\) misses the argument 'data'"),
        (lambda send: send(type_id=1), "misses the argument 'data'"),
        (lambda send: send(b"", data=b""), "multiple values for 'data'"),
        (lambda send: send(b"", 1, type_id=1), "multiple values for 'type_id'"),
        (lambda send: send(b"", typ_id=1), "unexpected keyword argument 'typ_id'"),
        (lambda send: send(b"", 1, None, True, 5), "at most 4 .* arguments .5 given"),
        (lambda send: send(b"", 1, None, True, x=5), "unexpected .* argument 'x'"),
    ],
)
def test_wrong_arguments_are_named(
    pair: Pair, call: Callable[[Callable[..., None]], None], error: str
) -> None:
    for _ in range(2):  # the first call with keywords finds the names not interned
        with pytest.raises(TypeError, match=error):
            call(pair.producer.send)


def test_a_message_dies_as_any_other_tuple() -> None:
    nested: Any = b""
    for _ in range(200_000):
        nested = Message(0, 0, nested)
    del nested  # deeper than the stack

    class Noted(Message):
        def __del__(self) -> None:
            dead.append(self.type_id)

    dead: list[int] = []
    noted = Noted(5, 0, b"")
    del noted
    assert dead == [5]
    cycle = Noted(6, 0, b"")
    cycle.itself = cycle
    del cycle
    gc.collect()
    assert dead == [5, 6]
