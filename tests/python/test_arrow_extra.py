# SPDX-License-Identifier: Apache-2.0
"""Without pyarrow, what needs it says so, and nothing is sent or lost."""

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest

from conftest import Pair


@pytest.fixture
def without_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)


@pytest.mark.usefixtures("without_pyarrow")
@pytest.mark.parametrize(
    "call",
    [
        lambda pair: pair.producer.send_arrow(object()),
        lambda pair: asyncio.run(pair.producer.send_arrow_async(object())),
        lambda pair: pair.consumer.recv_arrow(1),
        lambda pair: asyncio.run(pair.consumer.recv_arrow_async(1)),
        lambda pair: pair.consumer.recv_arrow_zero_copy(1),
        lambda pair: asyncio.run(pair.consumer.recv_arrow_zero_copy_async(1)),
    ],
)
def test_the_error_names_the_extra(pair: Pair, call: Callable[[Pair], Any]) -> None:
    pair.producer.send(b"still there", 3)
    with pytest.raises(ImportError, match=r"pip install 'tachyon-ipc\[arrow\]'"):
        call(pair)
    assert pair.consumer.recv(1).data == b"still there"
    with pytest.raises(TimeoutError):
        pair.consumer.recv(0)
