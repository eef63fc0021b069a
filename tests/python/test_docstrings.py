# SPDX-License-Identifier: Apache-2.0
"""help(tachyon) is the manual: all that is public says what it is, takes and raises."""

import builtins
import enum
import inspect
import pydoc
import re
import textwrap
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

import tachyon

from conftest import StartPeer

REFERENCE = re.compile(r"(?<![\w.])((?:[A-Z]\w+\.)?[a-z_]+)\(\)")


class Public(NamedTuple):
    """Something with a name that users see, and the class it belongs to."""

    name: str
    thing: Any
    owner: type | None = None

    def __str__(self) -> str:
        return self.name


def members(cls: type) -> Iterator[Public]:
    """Yield what a class of the package has itself, without what SWIG's base adds."""
    classes = [c for c in cls.__mro__ if c.__module__.split(".")[0] == "tachyon"]
    for name in sorted({n for c in classes for n in vars(c) if n[0] != "_"}):
        yield Public(
            f"{cls.__name__}.{name}", inspect.getattr_static(cls, name), owner=cls
        )


def everything() -> list[Public]:
    """Return the names that the package exports, and their members."""
    exported = []
    for name in tachyon.__all__:
        thing = getattr(tachyon, name)
        if inspect.isclass(thing):
            exported += [Public(name, thing, owner=thing), *members(thing)]
        else:
            exported.append(Public(name, thing))
    return exported


PUBLIC = everything()


def own_doc(public: Public) -> str:
    """Return what something says of itself; what its type says does not count."""
    thing = public.thing
    if isinstance(thing, (classmethod, staticmethod)):
        thing = thing.__func__
    is_value = not (callable(thing) or inspect.isdatadescriptor(thing))
    doc = "" if is_value else inspect.getdoc(thing) or ""
    return "" if doc.startswith("Alias for field") else doc


def is_value(public: Public) -> bool:
    """Tell whether something is a field, an enumerator or a constant."""
    thing = public.thing
    is_field = type(thing).__name__ == "_tuplegetter"
    return is_field or isinstance(thing, (int, enum.Enum, type(None)))


@pytest.mark.parametrize("public", PUBLIC, ids=str)
def test_public_thing_has_a_docstring(public: Public) -> None:
    if is_value(public):  # is explained where it belongs
        doc = inspect.getdoc(public.owner or tachyon) or ""
        bases = public.owner.__mro__ if public.owner else ()
        doc += "".join(base.__doc__ or "" for base in bases)
        name = public.name.rpartition(".")[2]
        assert re.search(rf"\b{name}\b", doc), f"{public} is not in: {doc}"
    else:
        doc = own_doc(public)
        assert len(doc) > 20, f"{public}: {doc!r}"
        assert doc.strip().endswith((".", "\n")), f"{public}: {doc!r}"


def resolve(name: str, owner: type | None) -> Any:
    """Find what a docstring refers to: in its class, in the package, built in."""
    place: Any = tachyon
    if hasattr(owner, name):
        place = owner
    elif hasattr(builtins, name):
        place = builtins
    for part in name.split("."):
        place = getattr(place, part, None)
    return place


def explains(doc: str, parameter: str, owner: type | None, depth: int = 3) -> bool:
    """Tell whether a docstring names a parameter, or leads to one that does."""
    if re.search(rf"\b{parameter}\b", doc):
        return True
    if depth == 0:
        return False
    for name in REFERENCE.findall(doc):
        other = resolve(name, owner)
        cls = getattr(tachyon, name.partition(".")[0]) if "." in name else owner
        if explains(inspect.getdoc(other) or "", parameter, cls, depth - 1):
            return True
    return False


FUNCTIONS = [
    public
    for public in PUBLIC
    if not inspect.isclass(public.thing)
    and (callable(public.thing) or isinstance(public.thing, classmethod))
]


@pytest.mark.parametrize("public", FUNCTIONS, ids=str)
def test_every_parameter_is_explained(public: Public) -> None:
    function = public.thing
    if isinstance(function, classmethod):
        function = function.__func__
    names = list(inspect.signature(function).parameters)
    if public.owner:
        names = names[1:]
    for name in names:
        assert explains(own_doc(public), name, public.owner), f"{public}: {name}"


def test_references_lead_somewhere() -> None:
    dead = {
        f"{public}: {name}()"
        for public in PUBLIC
        for name in REFERENCE.findall(own_doc(public))
        if resolve(name, public.owner) is None
    }
    assert not dead


def test_help_is_a_manual() -> None:
    text = pydoc.plain(pydoc.render_doc(tachyon))
    for chapter in (
        "A FIRST EXAMPLE",
        "LIFE OF A BUS",
        "WAYS TO SEND AND TO RECEIVE",
        "CALLS",
        "WAITING, THREADS, SIGNALS, FORK",
        "ERRORS",
    ):
        assert re.search(rf"^    {chapter}$", text, re.MULTILINE), chapter
    for name in tachyon.__all__:
        assert re.search(rf"\b{name}\b", text), name
    errors = [
        name
        for name in tachyon.__all__
        if inspect.isclass(getattr(tachyon, name))
        and issubclass(getattr(tachyon, name), Exception)
    ]
    assert len(errors) > 4
    chapter = inspect.getdoc(tachyon).partition("\nERRORS\n")[2]
    for name in errors:
        assert re.search(rf"^    {name}\b", chapter, re.MULTILINE), name


def programs() -> list[str]:
    """Return the indented programs of the manual that open a bus."""
    indented = re.findall(
        r"(?:^(?: {4}.*)?\n)+", inspect.getdoc(tachyon) + "\n", re.MULTILINE
    )
    return [
        textwrap.dedent(p) for p in indented if re.search(r'(listen|connect)\("', p)
    ]


@pytest.mark.parametrize(
    ("which", "printed"),
    [(0, "1 b'hello'\n2 b'in place'\n"), (2, "b'spamspam'\n")],
    ids=["bus", "rpc"],
)
def test_examples_of_the_manual_run(
    start_peer: StartPeer, which: int, printed: str
) -> None:
    ends = []
    for program in programs()[which : which + 2]:
        code, replaced = re.subn(r'"/tmp/\w+\.sock"', "path", program)
        assert replaced == 1, program
        ends.append(start_peer(code))
    outputs = [end.communicate(timeout=20) for end in ends]
    assert sorted(outputs) == sorted([(printed, ""), ("", "")])
