# SPDX-License-Identifier: Apache-2.0
"""What moves through a ring, from one look to the next."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from .page import Page
from .rings import Ring


@dataclass(frozen=True)
class Flow:
    """Rates are a second; what is not known is None.

    Sleeps, wakes and full are of both ends together, or of the one that shows them.
    """

    bytes: float | None = None
    messages: float | None = None
    sleeps: float | None = None
    wakes: float | None = None
    full: float | None = None
    age_s: float | None = None  # of the last message

    def as_json(self) -> dict[str, float | None]:
        """Return it as --json shows it."""
        rates = {f"{name}_per_second": rate for name, rate in vars(self).items()}
        rates["last_message_age_s"] = rates.pop("age_s_per_second")
        return {name: rate and round(rate, 3) for name, rate in rates.items()}


def flow(ring: Ring, before: Ring | None, seconds: float, now_ns: int) -> Flow:
    """Return what has moved in the seconds since `before`, and when the last did."""
    pages = _pages(ring)
    earlier = _pages(before) if before else {}
    both = [(page, earlier[end]) for end, page in pages.items() if end in earlier]

    def rate(now: int | None, was: int | None) -> float | None:
        if now is None or was is None or now < was:
            return None
        return (now - was) / seconds

    def counted(name: str, of: Callable[[Iterable[int]], int]) -> float | None:
        if not both:
            return None
        now = of(getattr(page, name) for page, _ in both)
        return rate(now, of(getattr(page, name) for _, page in both))

    # An end's page may be behind what it has done: the other one's may know better.
    messages = counted("messages", max)
    taken = rate(ring.taken, before.taken if before else None)
    if taken is None and ring.kind != "rpc":
        taken = counted("ring_bytes", max)
    last_ns = max((page.message_ns for page in pages.values()), default=0)
    age_s = max(0, now_ns - last_ns) / 1e9 if last_ns else None
    if age_s and messages:
        age_s = min(age_s, seconds)
    return Flow(
        bytes=taken,
        messages=messages,
        sleeps=counted("sleeps", sum),
        wakes=counted("wakes", sum),
        full=counted("full", sum),
        age_s=age_s,
    )


def _pages(ring: Ring) -> dict[Any, Page]:
    """Return the pages of its ends by what makes them others; none of many rings."""
    return {
        (end.process.pid, end.page.side, end.page.opened_ns): end.page
        for end in ring.ends
        if end.page and (ring.kind == "listener" or not end.page.max_peers)
    }
