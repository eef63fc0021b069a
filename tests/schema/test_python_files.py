# SPDX-License-Identifier: Apache-2.0
"""market_tick.py: what the classes are given, and what type checkers read."""

import enum
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tachyon import schema
from tachyon.schema import to_python
from tachyon.schema.__main__ import main

import every as committed
from conftest import EVERY, Read, merged, struct


class Recorded:
    """Stands for the base class; keeps what a class was made with."""

    given: dict[str, Any]

    def __init_subclass__(cls, **given: Any) -> None:
        cls.given = given


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that runs the text of a module."""
    tachyon = types.ModuleType("tachyon")
    tachyon.Message = Recorded  # type: ignore[attr-defined]

    def run_text(text: str) -> Any:
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "tachyon", tachyon)
            module = types.ModuleType("generated")
            exec(compile(text, "generated.py", "exec"), module.__dict__)
        return module

    return run_text


@pytest.fixture
def every(tmp_path: Path, run: Any) -> Any:
    """Return the module of a header with one of everything."""
    header = tmp_path / "every.h"
    header.write_text(EVERY.read_text())
    assert main([str(header), "--types", "Tick=1", "Cancel=2", "--python"]) == 0
    module = run((tmp_path / "every.py").read_text())
    module.schema = schema.read(header, {"Tick": 1, "Cancel": 2})
    return module


def test_the_module_has_the_text_of_all_and_its_fingerprint(every: Any) -> None:
    assert schema.describe(every.schema) == every.TYPES
    assert schema.fingerprint(every.schema) == every.FINGERPRINT
    assert every.LEVELS == 10


def test_each_class_has_its_own_text_and_they_merge(every: Any) -> None:
    for type_id, cls in ((1, every.Tick), (2, every.Cancel)):
        assert cls.given["type_id"] == type_id
        alone = {type_id: every.schema.messages[type_id]}
        text = schema.describe(schema.Schema("", 0, alone))
        assert cls.given["types"] == text != every.TYPES
    texts = [cls.given["types"] for cls in (every.Cancel, every.Tick)]
    assert merged(texts) == every.FINGERPRINT


def test_a_class_is_given_what_is_not_in_the_text(every: Any) -> None:
    assert every.Tick.given["smallest"] == 48
    assert every.Tick.given["enums"] == {"Side": every.Side}
    assert "aliases" not in every.Tick.given
    assert every.Cancel.given["aliases"] == {"dlc": "len"}
    assert "smallest" not in every.Cancel.given


def test_enums_are_of_integers(every: Any) -> None:
    assert issubclass(every.Side, enum.IntEnum)
    assert list(every.Side) == [1, 2]
    assert every.Side.ASK.name == "ASK"


def test_annotations_are_for_type_checkers(every: Any) -> None:
    assert every.Tick.__annotations__ == {
        "symbol": "bytes",
        "price": "float",
        "side": "Side | int",
        "halted": "bool",
        "reserved": "bytes",
        "venue": "npt.NDArray[np.uint32]",
        "spread": "tuple[Tick_spread, ...]",
        "late": "int",
        "port": "int",
        "flags": "npt.NDArray[np.bool_]",
    }
    assert every.Cancel.__annotations__ == {
        "order": "int",
        "len": "int",
        "dlc": "int",
        "net": "int",
        "parts": "tuple[tuple[part, ...], ...]",
        "sides": "npt.NDArray[np.uint32]",
        "type": "int",
    }
    assert not hasattr(every, "part")  # nor is NumPy wanted at run time
    assert not hasattr(every, "np")


def test_pythons_keywords_get_an_underscore(read: Read, run: Any) -> None:
    text = (
        "#define None 5\n"
        "enum import { lambda = 1, name = 2, mro = 3 };"
        "struct class { int class; union { int from; int is; }; enum import import; };"
    )
    (generated,) = to_python.write(read(text, "class")).values()
    module = run(generated)
    assert module.None_ == 5
    assert [member.name for member in module.import_] == ["lambda_", "name_", "mro_"]
    assert list(module.class_.__annotations__) == ["class_", "from_", "is_", "import_"]
    assert module.class_.given["aliases"] == {"is_": "from_"}
    assert module.class_.given["enums"] == {"import": module.import_}


def test_an_enum_has_all_its_members_whatever_they_are_called(
    read: Read, run: Any
) -> None:
    text = (
        "enum Kind { _SPEC = 1, __SPEC, __MAX, _x_, _ignore_, class, class_, __a_,"
        " __b__ };" + struct("enum Kind kind;")
    )
    (generated,) = to_python.write(read(text)).values()
    assert {member.name: int(member) for member in run(generated).Kind} == {
        **{"_SPEC": 1, "_SPEC__": 2, "_MAX": 3, "_x__": 4, "_ignore__": 5},
        **{"class_": 6, "class__": 7, "_a__": 8, "__b___": 9},
    }


def test_a_constant_called_as_one_of_ours_gets_one_too(read: Read, run: Any) -> None:
    (text,) = to_python.write(read("#define TYPES 3\n" + struct("int x;"))).values()
    module = run(text)
    assert module.TYPES_ == 3
    assert module.TYPES.startswith("tachyon-types 1 ")


def test_what_is_not_needed_is_not_imported(read: Read) -> None:
    (text,) = to_python.write(read(struct("int x;"))).values()
    assert [line for line in text.splitlines() if "import" in line] == [
        *("from __future__ import annotations", "import tachyon")
    ]


def test_its_classes_read_and_write_what_c_has_written(written: bytes) -> None:
    for cls, data in (
        (committed.Tick, written[:64]),
        (committed.Cancel, written[64:]),
    ):
        message, item = cls.from_bytes(data), np.frombuffer(data, cls.dtype)[0]
        assert bytes(message) == data
        again = cls(*message)
        assert again == message
        for name in cls.__match_args__:
            value = getattr(message, name)
            if name in ("spread", "parts", "reserved"):
                assert repr(value).count("bid") == 2 * (name == "spread")
            else:
                assert np.array_equal(value, item[name]), name
