# SPDX-License-Identifier: Apache-2.0
"""What is written to stdout for people: as wide as it is, or as a terminal."""

from __future__ import annotations

import sys
from typing import NoReturn

from rich.console import Console

WIDE = 10_000


class Screen(Console):
    """stdout, with colours on a terminal where NO_COLOR does not say otherwise."""

    def __init__(self) -> None:
        width = None if sys.stdout.isatty() else WIDE
        super().__init__(highlight=False, markup=False, emoji=False, width=width)

    def on_broken_pipe(self) -> NoReturn:
        """Leave to the program how it ends."""
        raise BrokenPipeError
