# SPDX-License-Identifier: Apache-2.0
"""Which cases run with which languages; README.md says how to choose."""

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cases import CASES, Case

SAMPLES = ("send", "recv", "rpc_server", "rpc_client")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--peers", type=Path, required=True)
    parser.addoption("--language", help="of the pairs with C; all if not given")
    parser.addoption("--group", help="of the cases; all if not given")
    parser.addoption("--draw", action="store_true", help="pairs drawn by lot")


def against_c(languages: list[str], sides: int) -> Iterator[tuple[str, ...]]:
    for language in languages:
        if sides == 1:
            yield (language,)
        else:
            yield from dict.fromkeys([(language, "c"), ("c", language)])


class Draw:
    """Pairs of languages, and a case of each group for each."""

    def __init__(self, languages: list[str]) -> None:
        self.seed = int(
            os.environ.get("TACHYON_INTEROP_SEED") or random.getrandbits(31)
        )
        self.count = int(os.environ.get("TACHYON_INTEROP_PAIRS") or 10)
        self._random = random.Random(self.seed)
        pairs = [(one, two) for one in languages for two in languages]
        self.pairs = self._random.sample(pairs, min(self.count, len(pairs)))

    def cases(self, group: str | None) -> Iterator[tuple[Case, tuple[str, ...]]]:
        """Draw them."""
        groups = [group] if group else dict.fromkeys(case.group for case in CASES)
        for pair in self.pairs:
            for name in groups:
                fitting = [case for case in CASES
                           if case.group == name and len(case.sides) == 2]  # fmt: skip
                yield self._random.choice(fitting), pair


def pytest_configure(config: pytest.Config) -> None:
    peers = json.loads(config.getoption("--peers").read_text())
    config.stash[PEERS] = peers
    config.stash[DRAW] = Draw(list(peers))


PEERS = pytest.StashKey[dict[str, Any]]()
DRAW = pytest.StashKey[Draw]()


def pytest_report_header(config: pytest.Config) -> str:
    if not config.getoption("--draw"):
        return f"peers: {', '.join(config.stash[PEERS])}"
    return f"drawn with TACHYON_INTEROP_SEED={config.stash[DRAW].seed}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    config = metafunc.config
    peers = config.stash[PEERS]
    language, group = config.getoption("--language"), config.getoption("--group")
    languages = [language] if language else list(peers)
    draw = config.stash[DRAW] if config.getoption("--draw") else None
    if "case" in metafunc.fixturenames:
        chosen = draw.cases(group) if draw else (
            (case, pair)
            for case in CASES
            if group in (None, case.group)
            for pair in against_c(languages, len(case.sides))
        )  # fmt: skip
        params = [pytest.param(case, pair, id=f"{case.name}-{'-'.join(pair)}")
                  for case, pair in chosen]  # fmt: skip
        metafunc.parametrize(("case", "languages"), params)
    elif "samples" in metafunc.fixturenames:
        pairs = draw.pairs if draw else list(against_c(languages, 2))
        metafunc.parametrize("languages", pairs, ids="-".join)
        metafunc.parametrize("samples", [SAMPLES[:2], SAMPLES[2:]], ids="-".join)


@pytest.fixture
def peers(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Give the languages that are registered, each with its commands."""
    found: dict[str, Any] = request.config.stash[PEERS]
    return found
