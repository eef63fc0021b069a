# SPDX-License-Identifier: Apache-2.0
"""The conformance cases: two peers, what each is told and what each has to print."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FULL, EMPTY, NETWORK, ABI_MISMATCH, PEER_DEAD, CLOSED = 9, 10, 11, 14, 15, 16
TIMEOUT, BUSY, ADDR_IN_USE, ABORTED = 17, 18, 20, 23
INVALID_SZ = 8
KILLED = -signal.SIGKILL


class Side(NamedTuple):
    """One peer: `keys` are its command line, `prints` a pattern of its whole output."""

    operation: str
    keys: dict[str, object]
    prints: tuple[str, ...]
    status: int = 0


class Case(NamedTuple):
    """Two sides, or one that is alone.

    The side `killed` is killed when the other one has ended. `path` is what to do about
    the path: nothing, or make it too "long", or have it "taken" by a file. `in_turn`:
    each side starts when the one before it has printed a line.
    """

    group: str
    name: str
    sides: tuple[Side, ...]
    killed: int | None = None
    path: str = "free"
    in_turn: bool = False


def side(operation: str, *prints: str, status: int = 0, **keys: object) -> Side:
    return Side(operation, keys, prints, status)


def error(code: int) -> str:
    return f"error {code}"


def killed(*prints: str, **keys: object) -> Side:
    return side("hold", *prints, status=KILLED, **keys)


CAPACITY = 8192
LARGEST = CAPACITY - 128
SIZES = f"0,1,31,32,33,63,64,65,127,128,4096,{LARGEST}"
HOW = ("single", "batch", "in_place")


def stream(name: str, count: int, sent: dict[str, object], got: dict[str, object],
           **both: object) -> Iterator[Case]:  # fmt: skip
    """All arrives as it was sent, whichever end listens."""
    for listener in ("sender", "receiver"):
        sides = (
            side("send", f"sent {count}", count=count, **both, **sent),
            side("recv", f"received {count}", error(CLOSED), **both, **got),
        )
        sides[listener == "receiver"].keys["end"] = "listen"
        yield Case("stream", f"{name}-{listener}-listens", sides)


def streams() -> Iterator[Case]:
    for sent, got in (
        ("single", "single"), ("in_place", "in_place"),
        ("single", "in_place"), ("in_place", "single"),
    ):  # fmt: skip
        yield from stream(
            f"{sent}-to-{got}", 60, {"how": sent}, {"how": got},
            capacity=CAPACITY, size=SIZES, seed=3,
        )  # fmt: skip
    # A batch has one size, and none is of nothing.
    batches = SIZES.removeprefix("0,").removesuffix(f",{LARGEST}")
    for name, size, count in (
        ("batches", batches, 905), ("largest-batch", LARGEST, 5),
    ):  # fmt: skip
        yield from stream(
            name, count, {}, {}, how="batch", capacity=CAPACITY, size=size, seed=4
        )
    yield from stream("many", 5000, {}, {}, size="32,8")
    yield from stream("roles-and-schema", 3, {"role": 1}, {"role": 2}, schema=2**53 + 1)
    yield from stream("one-schema", 3, {"schema": 7}, {})
    yield from stream("nothing", 0, {}, {})
    ticks = "count 2500 qty 1123750 price 1030937.50 ns [0-9.]+"
    for how in HOW:
        yield Case("stream", f"ticks-{how}", (
            side("produce", ticks, count=2500, how=how),
            side("consume", ticks, how=how, end="listen"),
        ))  # fmt: skip


def ends() -> Iterator[Case]:
    def case(name: str, *sides: Side, **keys: object) -> Case:
        return Case("ends", name, sides, **keys)  # type: ignore[arg-type]

    listen = {"end": "listen"}
    # A language that destroys its objects at exit closes; another one dies.
    unclosed = f"error ({CLOSED}|{PEER_DEAD})"

    # What a receiver hears of its sender's end, behind all that was sent.
    for finish, end, status in (
        ("abort", error(ABORTED), 0), ("kill", error(PEER_DEAD), KILLED),
        ("leave", unclosed, 0),
    ):  # fmt: skip
        for how in HOW:
            yield case(f"sender-{finish}-{how}",
                side("send", "sent 250", count=250, how=how, finish=finish,
                     status=status),
                side("recv", "received 250", end, how=how, **listen),
            )  # fmt: skip
    yield case("sender-killed-before",
        side("recv", "received 0", error(PEER_DEAD), **listen),
        side("open", "opened", finish="kill", status=KILLED),
    )  # fmt: skip
    # And a sender of its receiver's.
    for finish, end, status in (
        ("close", error(CLOSED), 0), ("abort", error(ABORTED), 0),
        ("kill", error(PEER_DEAD), KILLED), ("leave", unclosed, 0),
    ):  # fmt: skip
        yield case(f"receiver-{finish}",
            side("send", "sent [0-9]+", end, count=100_000, **listen),
            side("open", "opened", finish=finish, status=status),
        )  # fmt: skip
    yield case("batch-to-closed",
        side("send", "sent [0-9]+", error(CLOSED), count=100_000, how="batch"),
        side("open", "opened", **listen),
    )  # fmt: skip


def limits() -> Iterator[Case]:
    def case(name: str, *sides: Side, **keys: object) -> Case:
        return Case("limits", name, sides, **keys)  # type: ignore[arg-type]

    listen = {"end": "listen"}
    # A ring that is full, and one that is empty.
    for how in HOW:
        yield case(f"full-{how}",
            side("fill", "sent 127", error(FULL), error(TIMEOUT), how=how, wait=0.05,
                 capacity=CAPACITY, size=31),
            killed("ready", capacity=CAPACITY, **listen), killed=1,
        )  # fmt: skip
        yield case(f"empty-{how}",
            side("drain", "ready", error(EMPTY), error(TIMEOUT), how=how, wait=0.05),
            killed("ready", **listen), killed=1,
        )  # fmt: skip
        yield case(f"send-without-waiting-{how}",
            side("send", "sent 127", error(FULL), how=how, wait=0, count=500, size=32,
                 capacity=CAPACITY, **listen),
            killed("ready"), killed=1,
        )  # fmt: skip
    for wait, end in ((0, EMPTY), (0.05, TIMEOUT)):
        yield case(f"receive-for-{wait}",
            side("recv", "received 0", error(end), wait=wait),
            killed("ready", **listen), killed=1,
        )  # fmt: skip
    yield case("send-for-0.05",
        side("send", "sent 127", error(TIMEOUT), wait=0.05, count=500,
             capacity=CAPACITY, **listen),
        killed("ready"), killed=1,
    )  # fmt: skip
    yield case("too-large",
        side("send", "sent 0", error(INVALID_SZ), size=LARGEST + 1,
             capacity=CAPACITY, **listen),
        side("recv", "received 0", error(CLOSED)),
    )  # fmt: skip
    yield case("too-large-in-place",
        side("send", "sent 0", error(INVALID_SZ), size=LARGEST + 1, how="in_place",
             capacity=CAPACITY),
        side("recv", "received 0", error(CLOSED), capacity=CAPACITY, **listen),
    )  # fmt: skip

    # What is refused: a listener goes on, so it is killed.
    yield case("refused-role",
        side("open", error(BUSY), role=1),
        killed(role=1, **listen), killed=1,
    )  # fmt: skip
    yield case("refused-schema",
        side("open", error(ABI_MISMATCH), schema=7),
        killed(schema=8, **listen), killed=1,
    )  # fmt: skip
    yield case("wrong-direction",
        side("send", "sent 0", error(BUSY), role=2),
        side("recv", "received 0", error(CLOSED), **listen),
    )  # fmt: skip
    yield case("receive-as-producer",
        side("recv", "received 0", error(BUSY), role=1, **listen),
        side("recv", "received 0", error(CLOSED)),
    )  # fmt: skip

    # Alone.
    yield case("nobody-listens", side("open", error(NETWORK), open=0))
    yield case("nobody-listens-for-a-while", side("open", error(TIMEOUT), open=0.05))
    yield case("nobody-comes", side("open", error(TIMEOUT), open=0.05, **listen))
    yield case("odd-capacity", side("open", error(INVALID_SZ), capacity=5000, **listen))
    yield case("no-capacity", side("open", error(INVALID_SZ), capacity=0, **listen))
    yield case("long-path", side("open", error(INVALID_SZ)), path="long")
    yield case("taken-path", side("open", error(ADDR_IN_USE), **listen), path="taken")
    yield case("unknown-key", side("open", status=2, nonsense=1))

    # A language may have no bus that was never opened, or say that it is none.
    never_opened = r"(\nerror (16|1)){0,2}"
    for end, other in ((listen, {}), ({}, listen)):
        yield case(f"misuse-{'listening' if end else 'connected'}",
            side("misuse", error(CLOSED), error(CLOSED) + never_opened, wait=0.05,
                 **end),
            side("recv", "received 0", error(CLOSED), **other),
        )  # fmt: skip


def calls() -> Iterator[Case]:
    def case(name: str, *sides: Side, killed: int | None = None) -> Case:
        return Case("rpc", name, sides, killed)

    def right(name: str, count: int, every: int = 0, serve: dict[str, object] = {},  # noqa: B006
              **both: object) -> Case:  # fmt: skip
        cancelled = count // every if every else 0
        capacity = both.pop("capacity", CAPACITY)
        outstanding = both.pop("outstanding", 1)
        return case(name,
            side("call", f"answered {count - cancelled}", f"cancelled {cancelled}",
                 count=count, cancel=every, outstanding=outstanding, **both),
            side("serve", f"served {count}", error(CLOSED), capacity=capacity,
                 outstanding=outstanding, **serve),
        )  # fmt: skip

    reverse = {"order": "reverse"}
    yield right("in-order", 60, size=SIZES)
    yield right("several", 64, size="0,33,64", outstanding=8, seed=9)
    yield right("reversed", 64, size="1,100", outstanding=8, serve=reverse)
    yield right("cancelled", 25, every=4)
    yield right("cancelled-among-several", 25, every=3, outstanding=5, serve=reverse)
    yield right("64-outstanding", 640, outstanding=64, serve=reverse, capacity=65536)
    # More than the rings hold, so that replies are kept while the caller sends.
    yield right("64-large-outstanding", 128, outstanding=64, size=1000, serve=reverse)
    yield right("no-call", 0)

    for finish, end, status in (
        ("abort", error(ABORTED), 0), ("kill", error(PEER_DEAD), KILLED),
        ("leave", f"error ({CLOSED}|{PEER_DEAD})", 0),
    ):  # fmt: skip
        yield case(f"caller-{finish}",
            side("call", "answered 3", "cancelled 0", count=3, finish=finish,
                 status=status),
            side("serve", "served 3", end),
        )  # fmt: skip
    # The callee waits for more calls than there are.
    yield case("reply-too-late",
        side("call", "answered 0", error(TIMEOUT), wait=0.05),
        side("serve", "served 0", error(CLOSED), outstanding=2),
    )  # fmt: skip
    yield case("reply-without-waiting",
        side("call", "answered 0", error(EMPTY), wait=0),
        side("serve", "served 0", error(CLOSED), outstanding=2),
    )  # fmt: skip
    yield case("callee-gives-up",
        side("call", "answered 0", error(CLOSED)),
        side("serve", "served 0", error(TIMEOUT), outstanding=2, wait=0.05),
    )  # fmt: skip
    yield case("call-too-large",
        side("call", "answered 0", error(INVALID_SZ), size=LARGEST + 1),
        side("serve", "served 0", error(CLOSED), capacity=CAPACITY),
    )  # fmt: skip
    yield case("no-callee", side("call", error(NETWORK), open=0))
    yield case("no-caller", side("serve", error(TIMEOUT), open=0.05))
    yield case("call-of-a-bus",
        side("call", error(ABI_MISMATCH)), killed(end="listen"), killed=1,
    )  # fmt: skip
    yield case("connect-to-a-callee",
        side("open", error(ABI_MISMATCH)), side("serve", status=KILLED), killed=1,
    )  # fmt: skip
    yield case("refused-schema-of-calls",
        side("call", error(ABI_MISMATCH), schema=1),
        side("serve", status=KILLED, schema=2), killed=1,
    )  # fmt: skip


def types() -> Iterator[Case]:
    """Two ends whose descriptions differ: they fit, or both say in what they do not."""
    texts = {
        name: (Path(__file__).parent / f"types/{name}.txt").read_text()
        for name in ("narrow", "wide", "first", "second", "wrong")
    }
    mismatch = "why .*MarketTick\\.quantity: {} at 16 here, {} at 16 at the peer.*"
    undeclared = "why .*the peer does not say what messages it has.*"

    def case(name: str, connector: Side, listener: Side) -> Case:
        listener.keys["end"] = "listen"
        return Case("types", name, (connector, listener), in_turn=True)

    # A listener goes on, until its time is over: then it says what was the matter.
    yield case("different",
        side("meet", "ready", error(ABI_MISMATCH), mismatch.format("u32", "u64"),
             types=texts["narrow"]),
        side("meet", "ready", error(TIMEOUT), mismatch.format("u64", "u32"),
             types=texts["wide"], open=2),
    )  # fmt: skip
    yield case("undeclared",
        side("meet", "ready", error(ABI_MISMATCH), "why .*may require options.types.*"),
        side("meet", "ready", error(TIMEOUT), undeclared,
             types=texts["narrow"], required=1, open=2),
    )  # fmt: skip
    for one, other in (("first", "second"), ("second", "first")):
        yield case(f"{one}-meets-{other}",
            side("meet", "ready", "opened", types=texts[one]),
            side("meet", "ready", "opened", types=texts[other], required=1),
        )  # fmt: skip
    yield case("types-are-optional",
        side("meet", "ready", "opened"),
        side("meet", "ready", "opened", types=texts["narrow"]),
    )  # fmt: skip
    yield case("no-types",
        side("meet", "ready", error(ABI_MISMATCH), undeclared, types=texts["narrow"],
             required=1),
        side("meet", "ready", error(TIMEOUT), "why .+", open=2),
    )  # fmt: skip
    yield Case("types", "no-description", (
        side("meet", "ready", error(INVALID_SZ), "why .*line 2 of options.types .*",
             types=texts["wrong"]),
    ))  # fmt: skip


CASES = (*streams(), *ends(), *limits(), *calls(), *types())
GROUPS = tuple(dict.fromkeys(case.group for case in CASES))
