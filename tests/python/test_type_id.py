# SPDX-License-Identifier: Apache-2.0
"""Type ids join and part."""

import pytest
from hypothesis import given, strategies as st

from tachyon import make_type_id, msg_type, route_id


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF))
def test_parts_come_back(route: int, kind: int) -> None:
    type_id = make_type_id(route, kind)
    assert 0 <= type_id <= 0xFFFFFFFF
    assert (route_id(type_id), msg_type(type_id)) == (route, kind)


def test_route_is_the_upper_half() -> None:
    assert make_type_id(1, 2) == 0x00010002


@pytest.mark.parametrize(
    ("route", "kind"), [(-1, 0), (0x10000, 0), (0, -1), (0, 0x10000)]
)
def test_parts_out_of_range(route: int, kind: int) -> None:
    bad = route if not 0 <= route <= 0xFFFF else kind
    with pytest.raises(ValueError, match=f"not {bad}"):
        make_type_id(route, kind)


@pytest.mark.parametrize("type_id", [-1, 1 << 32])
def test_type_id_out_of_range(type_id: int) -> None:
    for part in (route_id, msg_type):
        with pytest.raises(ValueError, match=f"not {type_id}"):
            part(type_id)
