# SPDX-License-Identifier: Apache-2.0
"""The core's orders under the memory model of ARMv8, every execution of each pattern.

A pattern is what two threads do to the words of the ring, with the orders of the
source, and an outcome that must not be. All executions are tried: where each load
reads from, in which order the stores of a word become visible. One counts if it passes
the two axioms of the architecture: coherence (internal), and that observations and
barriers have no cycle (external); dependencies, which the core does not count on, order
nothing. Then each order is taken away: the outcome must appear, or the pattern would
show nothing.

membarrier is a full barrier of its caller and one at any place of the other thread: all
places are tried. What stands before the call is ordered before that barrier, and that
barrier before what stands behind it.
"""

import itertools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

SOURCES = Path(__file__).resolve().parents[2] / "core/src"


@dataclass(frozen=True)
class Op:
    """A load, a store or a barrier; `order` may be taken away."""

    kind: str  # R, W, F: a full barrier, M: membarrier, -: nothing
    word: str = ""
    value: int = 0  # of a store
    name: str = ""  # of a load, in the outcome
    order: str = ""  # acquire, release


def load(word: str, name: str, order: str = "") -> Op:
    """Read a word."""
    return Op("R", word, name=name, order=order)


def store(word: str, value: int, order: str = "") -> Op:
    """Write a word."""
    return Op("W", word, value, order=order)


FENCE, MEMBARRIER = Op("F"), Op("M")


Event = tuple[int, int]  # thread, place
Threads = tuple[tuple[Op, ...], ...]


@dataclass(frozen=True)
class Pattern:
    """Two threads, what the words are before, and what must not come of it."""

    name: str
    threads: Threads
    never: Callable[[dict[str, int]], bool]
    before: dict[str, int]
    # The orders that hold it, as (thread, place).
    needed: tuple[tuple[int, int], ...]
    # What stands in the sources for it.
    source: tuple[tuple[str, str], ...]


def cyclic(edges: set[tuple[Any, Any]]) -> bool:
    """Tell whether the edges have a cycle."""
    ahead: dict[Any, set[Any]] = {}
    incoming: dict[Any, int] = {}
    for a, b in edges:
        if b not in ahead.setdefault(a, set()):
            ahead[a].add(b)
            incoming[b] = incoming.get(b, 0) + 1
    free = [node for node in ahead if not incoming.get(node)]
    removed = 0
    while free:
        removed += 1
        for b in ahead.get(free.pop(), ()):
            incoming[b] -= 1
            if not incoming[b]:
                free.append(b)
    return removed < len(ahead.keys() | incoming.keys())


def program_edges(thread: int, ops: tuple[Op, ...]) -> Iterator[tuple[Any, Any]]:
    """Give what of a thread's order the others must see: bob of the model."""
    for i, j in itertools.combinations(range(len(ops)), 2):
        a, b = ops[i], ops[j]
        if "-" in (a.kind, b.kind):
            continue
        barrier = a.kind in "FM" or b.kind in "FM"
        if (
            barrier
            or (a.kind == "R" and a.order == "acquire")
            or (b.kind == "W" and b.order == "release")
        ):
            yield (thread, i), (thread, j)


def relations(
    places: dict[Event, Op], age: Callable[[Event], int]
) -> Iterator[tuple[Event, Event]]:
    """Give rf, fr and co: who comes before whom. A load is as old as what it reads."""
    for (event, op), (other, its) in itertools.permutations(places.items(), 2):
        if not op.word or op.word != its.word:
            continue
        later = its.kind == "W" and age(event) < age(other)  # fr, co
        read = op.kind == "W" and its.kind == "R" and age(event) == age(other)  # rf
        if later or read:
            yield event, other


def strike(
    threads: Threads, calls: list[Event], places: tuple[int, ...]
) -> Iterator[tuple[Any, Any]]:
    """Order by membarriers that strike at these places of the other thread."""
    for call, place in zip(calls, places, strict=True):
        for thread, middle in (call, (1 - call[0], place)):
            for i in range(len(threads[thread])):
                if (thread, i) != call:
                    pair = ((thread, i), ("barrier", call))
                    yield pair if i < middle else pair[::-1]


def executions(threads: Threads, before: dict[str, int]) -> Iterator[dict[str, int]]:
    """Give what the loads read in each execution that the model allows."""
    places = {(t, i): op for t, ops in enumerate(threads) for i, op in enumerate(ops)}
    calls = [event for event, op in places.items() if op.kind == "M"]
    strikes = [range(len(threads[1 - thread]) + 1) for thread, _ in calls]
    bob = {edge for t, ops in enumerate(threads) for edge in program_edges(t, ops)}
    po_loc = {
        (a, b)
        for a, b in itertools.permutations(places, 2)
        if a[0] == b[0] and a[1] < b[1] and places[a].word == places[b].word != ""
    }
    loads = [event for event, op in places.items() if op.kind == "R"]
    stores: dict[str, list[Event]] = {op.word: [] for op in places.values()}
    for event, op in places.items():
        if op.kind == "W":
            stores[op.word].append(event)
    sources = [[(-1, 0), *stores[places[event].word]] for event in loads]
    for orders in itertools.product(*map(itertools.permutations, stores.values())):
        ages = {event: at + 1 for order in orders for at, event in enumerate(order)}
        ages[-1, 0] = 0  # what is there before
        for reads in itertools.product(*sources):
            come_from = dict(zip(loads, reads, strict=True))
            at_words = set(
                relations(
                    places, lambda event, c=come_from: ages.get(c.get(event, event), 0)
                )
            )
            if cyclic(po_loc | at_words):  # the internal axiom
                continue
            external = bob | {(a, b) for a, b in at_words if a[0] != b[0]}
            for struck in itertools.product(*strikes):
                if not cyclic(external | set(strike(threads, calls, struck))):
                    yield {
                        places[event].name: places[source].value
                        if source in places
                        else before.get(places[event].word, 0)
                        for event, source in come_from.items()
                    }
                    break


def possible(pattern: Pattern, threads: Threads) -> bool:
    """Tell whether the outcome that must not be can be."""
    return any(map(pattern.never, executions(threads, pattern.before)))


def without(threads: Threads, thread: int, place: int) -> Threads:
    """Take one order away."""
    ops = list(threads[thread])
    op = ops[place]
    ops[place] = Op("-") if op.kind in "FM" else replace(op, order="")
    return tuple(
        tuple(ops) if at == thread else before for at, before in enumerate(threads)
    )


def pattern(
    name: str,
    first: list[Op],
    second: list[Op],
    never: Callable[[dict[str, int]], bool],
    *source: tuple[str, str],
    **before: int,
) -> Pattern:
    """Make a pattern each of whose orders is needed."""
    threads = (tuple(first), tuple(second))
    needed = tuple(
        (t, i)
        for t, ops in enumerate(threads)
        for i, op in enumerate(ops)
        if op.order or op.kind in "FM"
    )
    return Pattern(name, threads, never, before, needed, source)


PUBLISH = ("ring.h", "p->first_word, memory_order_release);")
LOOK = (
    "ring.h",
    "uint64_t word = atomic_load_explicit(&line->word, memory_order_acquire);",
)
RELEASE = (
    "ring.h",
    "atomic_store_explicit(&c->shared->tail, c->tail, memory_order_release);",
)
REFRESH = (
    "ring.h",
    "atomic_load_explicit(&ring_producer_shared(p)->tail, memory_order_acquire);",
)
SLEEPER = (
    "link.c",
    "    atomic_thread_fence(memory_order_seq_cst);\n"
    "    link->ordered = !link->expedited || ty_membarrier();",
)
WAKER = (
    "link.h",
    "    if (likely(expedited))\n"
    "        atomic_signal_fence(memory_order_seq_cst);\n"
    "    else\n"
    "        atomic_thread_fence(memory_order_seq_cst);",
)
EVICTION = (
    "broadcast.c",
    "    atomic_thread_fence(memory_order_seq_cst);\n"
    "    if (bus->link.expedited)\n"
    "        ty_membarrier();",
)
INSERT = (
    "cursors.h",
    "    atomic_thread_fence(memory_order_seq_cst);\n"
    "    atomic_store_explicit(&tx->shared, c->everyone, memory_order_relaxed);\n"
    "    /* C2, C3: pairs with the fences in cursors_refresh() and cursors_aim(). */\n"
    "    atomic_thread_fence(memory_order_seq_cst);",
)
AIM = (
    "cursors.h",
    "    atomic_store_explicit(&tx->shared, only, memory_order_relaxed);\n"
    "    /* Pairs with the fence in cursors_insert(): its store comes after ours, or"
    " we see\n"
    "     * whom it has pushed. */\n"
    "    atomic_thread_fence(memory_order_seq_cst);",
)
FLOOR = (
    "cursors.h",
    "        atomic_store_explicit(&c->floor, low, memory_order_relaxed);\n"
    "        /* C2, C5: pairs with the fence in cursors_insert(). */\n"
    "        atomic_thread_fence(memory_order_seq_cst);",
)
OLD, ONLY, EVERYONE = 7, 1, 2

PATTERNS = [
    pattern(
        "a record that is seen has its payload",
        [store("payload", 1), store("word", 1, "release")],
        [load("word", "word", "acquire"), load("payload", "payload")],
        lambda is_: is_["word"] == 1 and is_["payload"] != 1,
        *(PUBLISH, LOOK),
    ),
    pattern(
        "the second record of a batch has its payload, too",
        [store("payload", 1), store("second", 1), store("word", 1, "release")],
        [
            load("word", "word", "acquire"),
            load("second", "second"),
            load("payload", "payload"),
        ],
        lambda is_: is_["word"] == 1 and not is_["second"] == is_["payload"] == 1,
        *(PUBLISH, LOOK),
    ),
    pattern(
        "behind a record that is seen there is a 0",
        [store("next", 0), store("word", 1, "release")],
        [load("word", "word", "acquire"), load("next", "next")],
        lambda is_: is_["word"] == 1 and is_["next"] == OLD,
        *(PUBLISH, LOOK),
        next=OLD,
    ),
    pattern(
        "what a producer overwrites was read",
        [load("payload", "payload"), store("tail", 1, "release")],
        [load("tail", "tail", "acquire"), store("payload", 1)],
        lambda is_: is_["tail"] == 1 and is_["payload"] == 1,
        *(RELEASE, REFRESH),
    ),
    pattern(
        "the sleeper sees the record or is woken: fences",
        [store("wanted", 1), FENCE, load("word", "word", "")],
        [store("word", 1), FENCE, load("wanted", "wanted")],
        lambda is_: is_["word"] == 0 and is_["wanted"] == 0,
        *(SLEEPER, WAKER),
    ),
    pattern(
        "the sleeper sees the record or is woken: membarrier",
        [store("wanted", 1), MEMBARRIER, load("word", "word")],
        [store("word", 1), load("wanted", "wanted")],
        lambda is_: is_["word"] == 0 and is_["wanted"] == 0,
        *(SLEEPER, WAKER),
    ),
    pattern(
        "who reads what is overwritten is told: fences",
        [store("evicted", 1), FENCE, store("payload", 1)],
        [load("payload", "payload"), FENCE, load("evicted", "evicted")],
        lambda is_: is_["payload"] == 1 and is_["evicted"] == 0,
        *(EVICTION, WAKER),
    ),
    pattern(
        "who reads what is overwritten is told: membarrier",
        [store("evicted", 1), MEMBARRIER, store("payload", 1)],
        [load("payload", "payload"), load("evicted", "evicted")],
        lambda is_: is_["payload"] == 1 and is_["evicted"] == 0,
        *(EVICTION, WAKER),
    ),
    pattern(
        "whoever joins is looked for by the next flush",
        [store("joined", 1), FENCE, store("shared", EVERYONE), load("shared", "end")],
        [store("shared", ONLY), FENCE, load("joined", "joined")],
        # Aimed at the one reader, and nobody corrects it.
        lambda is_: is_["joined"] == 0 and is_["end"] == ONLY,
        *(INSERT, AIM),
    ),
    pattern(
        "whoever joins begins at what is kept",
        [store("joined", 1), FENCE, load("floor", "floor")],
        [store("floor", 1), FENCE, load("joined", "joined")],
        lambda is_: is_["joined"] == 0 and is_["floor"] == 0,
        *(INSERT, FLOOR),
    ),
]


def main() -> int:
    """Try all; exit status 1 if one is not as it must be."""
    wrong = 0
    for each in PATTERNS:
        for name, text in each.source:
            if text not in (SOURCES / name).read_text():
                print(f"{name} is not what {each.name!r} was made of:\n{text}")
                wrong += 1
        bad = possible(each, each.threads)
        wrong += bad
        print(f"{each.name}: {'NOT SO' if bad else 'holds'}")
        for thread, place in each.needed:
            op = each.threads[thread][place]
            found = possible(each, without(each.threads, thread, place))
            wrong += not found
            what = {"F": "fence", "M": "membarrier"}.get(op.kind, op.order)
            print(
                f"    without the {what} of {op.word or 'thread ' + str(thread)}: "
                f"{'found' if found else 'NOT FOUND'}"
            )
    print("all as it must be" if not wrong else f"{wrong} wrong")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
