# SPDX-License-Identifier: Apache-2.0
"""The stub says what the generated module has, and nothing else."""

import ast
import inspect
from pathlib import Path
from types import MethodDescriptorType
from typing import Any

import pytest

import tachyon
from tachyon import Bus, Peer, RpcBus, RpcStats, Stats, _native

STUB = ast.parse(Path(str(_native.__file__)).with_name("_native.pyi").read_text())
CLASSES = {node.name: node for node in STUB.body if isinstance(node, ast.ClassDef)}
FUNCTIONS = [node for node in STUB.body if isinstance(node, ast.FunctionDef)]
SWIG_BASE = _native.TachyonBus.__mro__[1]
# Slots that only newer interpreters show as methods.
BUFFER_SLOTS = {"__buffer__", "__release_buffer__"}


def declared(node: ast.ClassDef) -> set[str]:
    """Return what a class of the stub declares."""
    names = {n.name for n in node.body if isinstance(n, ast.FunctionDef)}
    return names | {
        n.target.id
        for n in node.body
        if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)
    }


@pytest.mark.parametrize("name", CLASSES)
def test_class_has_what_the_stub_declares(name: str) -> None:
    cls: Any = getattr(_native, name)
    assert declared(CLASSES[name]) - BUFFER_SLOTS <= set(dir(cls))


@pytest.mark.parametrize("name", CLASSES)
def test_stub_declares_what_the_class_has(name: str) -> None:
    cls: Any = getattr(_native, name)
    base = Exception if issubclass(cls, Exception) else SWIG_BASE
    if base is Exception:
        return
    undeclared = {"__new__", "__doc__", "__module__", "__dict__", "this", "thisown"}
    richcompare = {
        "__lt__",
        "__le__",
        "__eq__",
        "__ne__",
        "__gt__",
        "__ge__",
        "__hash__",
    }
    own = set(vars(cls)) - undeclared - richcompare - {"__init__", "__next__"}
    assert own - BUFFER_SLOTS <= declared(CLASSES[name])


def test_module_functions_are_declared() -> None:
    native = {
        name for name, value in vars(_native).items() if inspect.isbuiltin(value)
    } - {"SWIG_PyInstanceMethod_New", "SWIG_PyStaticMethod_New"}
    assert native == {node.name for node in FUNCTIONS}


def test_declared_signatures_are_the_real_ones() -> None:
    compared = 0
    for name, cls in CLASSES.items():
        for node in cls.body:
            if not isinstance(node, ast.FunctionDef):
                continue
            method: Any = getattr(getattr(_native, name), node.name, None)
            if not isinstance(method, MethodDescriptorType):
                continue
            if not method.__text_signature__:  # SWIG writes none
                continue
            arguments = node.args
            stub = [
                a.arg
                for a in (
                    *arguments.posonlyargs,
                    *arguments.args,
                    *arguments.kwonlyargs,
                )
            ]
            assert stub == list(inspect.signature(method).parameters), node.name
            compared += 1
    assert compared > 8


def test_plain_structs_have_the_fields_of_the_named_tuples() -> None:
    for struct, fields in (
        (_native.tachyon_peer_t, Peer._fields),
        (_native.tachyon_stats_t, Stats._fields),
        (_native.tachyon_rpc_stats_t, RpcStats._fields),
    ):
        assert set(vars(struct)) >= set(fields)
        assert {n for n in vars(struct) if not n.startswith("_")} - {
            "this",
            "thisown",
        } == set(fields)


def test_raw_handles_are_not_exposed() -> None:
    for name, value in vars(_native).items():
        if name.startswith("tachyon_") and not inspect.isbuiltin(value):
            assert name in {
                "tachyon_peer_t",
                "tachyon_stats_t",
                "tachyon_rpc_stats_t",
            }, name


def test_every_public_name_has_a_docstring() -> None:
    for name in tachyon.__all__:
        assert inspect.getdoc(getattr(tachyon, name)), name
    for cls in (Bus, RpcBus):
        for name in {*vars(cls), *declared(CLASSES[cls.__base__.__name__])}:
            if not name.startswith("_"):
                assert inspect.getdoc(getattr(cls, name)), name


def test_version_is_that_of_the_header() -> None:
    assert tachyon.__version__ == ".".join(
        str(getattr(_native, f"TACHYON_VERSION_{part}"))
        for part in ("MAJOR", "MINOR", "PATCH")
    )
