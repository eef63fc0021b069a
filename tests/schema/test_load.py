# SPDX-License-Identifier: Apache-2.0
"""tachyon.schema.load(): the classes of a header, made without a file."""

import subprocess
import sys
from pathlib import Path

import pytest

import tachyon
from tachyon.schema import SchemaError
from tachyon.schema.__main__ import main

from conftest import EVERY, MARKET_TICK


def test_what_is_loaded_is_what_is_generated(tmp_path: Path) -> None:
    types = ["--types", "Tick=1", "Cancel=2"]
    assert main([str(EVERY), *types, "--python", "-o", str(tmp_path)]) == 0
    generated: dict[str, object] = {"__name__": "every"}
    exec((tmp_path / "every.py").read_text(), generated)
    loaded = tachyon.schema.load(EVERY, Cancel=2, Tick=1)
    assert list(loaded) == [loaded.Cancel, loaded.Tick]
    public = {name for name in generated if not name.startswith("__")}
    assert public == {name for name in vars(loaded) if not name.startswith("_")}
    for name in ("TYPES", "FINGERPRINT", "LEVELS"):
        assert getattr(loaded, name) == generated[name]
    assert {each.name: each.value for each in loaded.Side} == {"BID": 1, "ASK": 2}
    tick = loaded.Tick("AAPL", 1.5, loaded.Side.ASK, late=7)
    assert repr(tick) == repr(generated["Tick"]("AAPL", 1.5, 2, late=7))  # type: ignore[operator]
    assert tick.side is loaded.Side.ASK


def test_one_message_is_unpacked_from_what_is_loaded() -> None:
    (tick,) = tachyon.schema.load(MARKET_TICK, MarketTick=7)
    assert tick.__name__ == "MarketTick"
    assert tick.type_id == 7
    assert issubclass(tick, tachyon.Message)


def test_what_cannot_be_loaded_is_refused_as_by_the_generator(tmp_path: Path) -> None:
    header = tmp_path / "tick.h"
    header.write_text("typedef struct { int *p; } Tick;\n")
    with pytest.raises(SchemaError, match=r"tick.h:1: Tick.p is a pointer"):
        tachyon.schema.load(header, Tick=1)
    with pytest.raises(SchemaError, match="there is no struct Tack; is it Tick"):
        tachyon.schema.load(header, Tack=1)
    header.write_text('#include "inner.h"\ntypedef struct { int x[N]; } Tick;\n')
    (tmp_path / "in").mkdir()
    (tmp_path / "in/inner.h").write_text("")
    loaded = tachyon.schema.load(
        header, include_dirs=[tmp_path / "in"], defines=["N=3"], Tick=1
    )
    assert loaded.Tick.size == 12
    with pytest.raises(AttributeError, match=r"tick.h has no Tack"):
        loaded.Tack  # noqa: B018


def test_without_libclang_the_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['clang'] = None\n"
        "import tachyon\n"
        f"tachyon.schema.load({str(EVERY)!r}, Tick=1)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert "ImportError: " in ended.stderr
    assert "pip install 'tachyon-ipc[schema]'" in ended.stderr
