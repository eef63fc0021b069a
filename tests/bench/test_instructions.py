# SPDX-License-Identifier: Apache-2.0
"""The package runs at the speed of an extension made by hand, in instructions."""

import instructions
import pytest
from instructions import LIMIT


def ratio(name: str, pattern: str) -> float:
    """Return the instructions per message as a multiple of the handmade ones."""
    own = instructions.per_message(name, pattern)
    by_hand = instructions.per_message("handmade", pattern)
    print(f"{pattern}: {name} {own:.0f}, handmade {by_hand:.0f}, {own / by_hand:.3f} x")
    return own / by_hand


@pytest.mark.parametrize("pattern", instructions.PATTERNS)
def test_a_message_takes_at_most_a_tenth_more_than_by_hand(pattern: str) -> None:
    assert 0.5 < ratio("product", pattern) <= LIMIT  # below, it would not be the same


@pytest.mark.parametrize("pattern", instructions.TYPED)
def test_a_message_with_fields_takes_no_more_than_it_did(pattern: str) -> None:
    other, limit = instructions.TYPED[pattern]
    own = instructions.per_message("product", pattern)
    replaced = instructions.per_message("product", other)
    print(f"{pattern}: {own:.0f}, {other} {replaced:.0f}, {own / replaced:.3f} x")
    assert 0.05 < own / replaced <= limit


@pytest.mark.parametrize("pattern", instructions.PATTERNS)
def test_a_layer_of_python_would_be_noticed(pattern: str) -> None:
    assert ratio("layered", pattern) > LIMIT
