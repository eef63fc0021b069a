#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Do the same work through Tachyon and through what one would use instead.

Two Python processes on two cores of their own exchange bytes. Every sample is a pair of
new processes; all ways take turns, round after round, so that what the machine does
meanwhile happens to all of them. Each figure is the median of the rounds.

    round trip      the lead sends 32 bytes and waits for their echo, at once again
    peer asleep     the same when nothing has been sent for 3 ms
    one way         32 bytes as fast as they go, until the peer says that all are there
    64 KiB          the same with larger messages

The peer looks into every message, and the sum of what it saw is checked. pyzmq is not
needed by anything else: with --install it is fetched from PyPI into a directory, and
where it cannot be had, the table says so.
"""

import argparse
import contextlib
import importlib
import json
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

PEERS = Path(__file__).with_name("peers") / "python"
sys.path.append(str(PEERS))
import driver  # noqa: E402

PYZMQ = (PEERS / "zeromq_pair.txt").read_text().strip()

SMALL, LARGE = 32, 65536
PAUSE_S = 0.003  # a receiver that finds nothing sleeps after a part of a millisecond
LIMIT_S = 60  # of one sample

Message = bytes
Send, Receive = driver.Send, driver.Receive


class Way(NamedTuple):
    """How two processes exchange messages."""

    title: str
    adapter: str  # file in peers/python

    def link(self, directory: Path) -> driver.Link:
        """Return a connection; made before the fork, opened after it."""
        setting = driver.Setting(str(directory), driver.ADAPTIVE, LARGE, batch=1)
        return driver.load(str(PEERS / f"{self.adapter}.py"))(setting)


ZEROMQ = Way("ZeroMQ (`PAIR` over `ipc://`)", "zeromq_pair")
WAYS = [
    Way("**Tachyon**, `bus.send` and `for message in bus`", "tachyon_bus"),
    Way("UNIX socket (`SOCK_SEQPACKET`)", "unix_socket"),
    Way("two `os.pipe`, records of known size", "os_pipe"),
    Way("`multiprocessing.Pipe`, `send_bytes`", "mp_pipe"),
    ZEROMQ,
    Way("`multiprocessing.Queue`", "mp_queue"),
]


def find_zmq(install: Path | None) -> str | None:
    """Return what is wrong, None when pyzmq can be had."""
    if install is not None:
        sys.path.append(str(install))
    with contextlib.suppress(ImportError):
        import zmq  # noqa: F401, PLC0415

        return None
    if install is None:
        return "pyzmq is not installed"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input"]
    command += ["--retries", "1", "--timeout", "10"]
    command += ["--disable-pip-version-check", "--target", str(install), PYZMQ]
    if subprocess.run(command, check=False).returncode:
        return f"pip could not install {PYZMQ}"
    importlib.invalidate_caches()  # the directory was not there before
    return None


# ---- One sample: what the lead measures, and what the peer does meanwhile. ----------


def messages_of(size: int) -> list[Message]:
    return [bytes([value]) * size for value in range(256)]


def echo(send: Send, receive: Receive, count: int) -> None:
    for _ in range(count):
        send(receive(SMALL))


def round_trips(
    send: Send, receive: Receive, count: int, pause_s: float = 0
) -> list[int]:
    """Return how many nanoseconds each took."""
    now = time.perf_counter_ns
    messages = messages_of(SMALL)
    took = []
    for i in range(count):
        message = messages[i & 255]
        if pause_s:
            time.sleep(pause_s)
        start = now()
        send(message)
        reply = receive(SMALL)
        took.append(now() - start)
        if reply != message:
            sys.exit(f"{message!r} came back as {reply!r}")
    return took


def take(send: Send, receive: Receive, count: int, size: int) -> None:
    total = 0
    for _ in range(count):
        total += receive(size)[-1]
    send(total.to_bytes(SMALL, "little"))


def give(send: Send, receive: Receive, count: int, size: int) -> float:
    """Return how many seconds it took until the peer had them all."""
    messages = messages_of(size)
    start = time.perf_counter()
    for i in range(count):
        send(messages[i & 255])
    total = int.from_bytes(receive(SMALL), "little")
    seconds = time.perf_counter() - start
    if total != sum(i & 255 for i in range(count)):
        sys.exit("not all messages have arrived whole")
    return seconds


def in_child(work: Callable[[], None]) -> int:
    """Do the work in a child, which ends right after it or when it is stuck."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(LIMIT_S)
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    return child


Cases = dict[str, int]  # how many messages of each
FULL: Cases = {"warm": 200, "trips": 4000, "paused": 60, "small": 20_000, "large": 400}
QUICK: Cases = {"warm": 10, "trips": 50, "paused": 2, "small": 500, "large": 20}


def measure(
    link: driver.Link, cores: tuple[int, int], cases: Cases
) -> dict[str, float]:
    """Fork a peer, do all the work once and return the figures."""

    def other_half() -> None:
        os.sched_setaffinity(0, {cores[1]})
        send, receive = link.open(False)
        echo(send, receive, cases["warm"] + cases["trips"] + cases["paused"])
        take(send, receive, cases["small"], SMALL)
        take(send, receive, cases["large"], LARGE)
        receive(SMALL)  # the lead has read the last answer

    peer = in_child(other_half)
    try:
        os.sched_setaffinity(0, {cores[0]})
        figures = lead_through(link, cases)
    except BaseException:
        os.kill(peer, signal.SIGKILL)  # it would wait for us
        raise
    if os.waitpid(peer, 0)[1]:
        sys.exit("the peer failed")
    return figures


def lead_through(link: driver.Link, cases: Cases) -> dict[str, float]:
    """Do the lead's half of all the work."""
    send, receive = link.open(True)
    round_trips(send, receive, cases["warm"])
    trips = sorted(round_trips(send, receive, cases["trips"]))
    paused = sorted(round_trips(send, receive, cases["paused"], PAUSE_S))
    small = give(send, receive, cases["small"], SMALL)
    large = give(send, receive, cases["large"], LARGE)
    send(bytes(SMALL))
    return {
        "p50_ns": trips[len(trips) // 2],
        "p99_ns": trips[len(trips) * 99 // 100],
        "paused_ns": paused[len(paused) // 2],
        "messages_per_s": cases["small"] / small,
        "bytes_per_s": cases["large"] * LARGE / large,
    }


def sample(way: Way, cores: tuple[int, int], cases: Cases) -> dict[str, float]:
    """Measure in a process of its own, which leaves nothing behind for the next."""
    out_of, into = os.pipe()

    def lead() -> None:
        with tempfile.TemporaryDirectory(prefix="tachyon-") as directory:
            result = measure(way.link(Path(directory)), cores, cases)
            os.write(into, json.dumps(result).encode())

    child = in_child(lead)
    os.close(into)
    with open(out_of, "rb") as pipe:
        text = pipe.read()
    if os.waitpid(child, 0)[1]:
        sys.exit(f"{way.title}: the sample failed")
    figures: dict[str, float] = json.loads(text)
    return figures


# ---- The table. ----------------------------------------------------------------------


def micro(nanoseconds: float) -> str:
    value = nanoseconds / 1e3
    return f"{value:,.0f} µs" if value >= 100 else f"{value:.3g} µs"


def rate(per_second: float) -> str:
    return f"{per_second / 1e6:.2f} M/s"


def table(results: dict[Way, dict[str, float]], missing: str | None) -> str:
    lines = [
        "| Python to Python | round trip, p50 | p99 | peer asleep "
        "| one way, 32 bytes | 64 KiB |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for way, figures in results.items():
        cells = [
            way.title,
            micro(figures["p50_ns"]),
            micro(figures["p99_ns"]),
            micro(figures["paused_ns"]),
            rate(figures["messages_per_s"]),
            f"{figures['bytes_per_s'] / 1e9:.2g} GB/s",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    if missing:
        lines.append(f"| {ZEROMQ.title} | not measured: {missing} | | | | |")
    return "\n".join(lines)


def circumstances(rounds: int, missing: str | None) -> str:
    models = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    versions = [f"Python {platform.python_version()}"]
    if not missing:
        import zmq  # noqa: PLC0415

        versions += [f"pyzmq {zmq.__version__}", f"libzmq {zmq.zmq_version()}"]
    return (
        f"Median of {rounds} rounds in turns, a pinned core for each process. "
        f"{models[0] if models else platform.machine()}, {os.cpu_count()} CPUs, Linux "
        f"{platform.release().split('-')[0]}, {', '.join(versions)}."
    )


def write(page: Path, text: str, begin: str, end: str) -> None:
    """Put the text between the two comments that the page has for it."""
    before, rest = page.read_text().split(begin)
    _, after = rest.split(end)
    page.write_text(f"{before}{begin}{text}\n{end}{after}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15, help="default: %(default)s")
    parser.add_argument(
        "--quick", action="store_true", help="show that it works; measures nothing"
    )
    parser.add_argument(
        "--install", type=Path, metavar="DIR", help=f"fetch {PYZMQ} into this directory"
    )
    args = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("two processes that wait for each other need two cores")
    missing = find_zmq(args.install)
    ways = [way for way in WAYS if way is not ZEROMQ or not missing]
    rounds = 1 if args.quick else args.rounds
    samples: dict[Way, list[dict[str, float]]] = {way: [] for way in ways}
    for done in range(rounds):
        for way in ways:
            samples[way].append(
                sample(way, (cores[0], cores[1]), QUICK if args.quick else FULL)
            )
        print(f"round {done + 1} of {rounds}", file=sys.stderr)
    results = {
        way: {
            name: statistics.median(figures[name] for figures in taken)
            for name in taken[0]
        }
        for way, taken in samples.items()
    }
    print(f"{table(results, missing)}\n\n{circumstances(rounds, missing)}")


if __name__ == "__main__":
    main()
