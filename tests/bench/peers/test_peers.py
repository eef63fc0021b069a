# SPDX-License-Identifier: Apache-2.0
"""The benchmark beside the peers has a row for each, or its reason, and goes on."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import adapters
import catalogue
import circumstances
import peers
import pytest
import reasons
import report
import sample
from catalogue import Peer

HERE = Path(__file__).resolve().parent
CORES = sorted(os.sched_getaffinity(0))[:2]
TWO_CORES = pytest.mark.skipif(len(CORES) < 2, reason="two processes need two cores")

FAILS = """
import driver

class Adapter(driver.Link):
    def open(self, lead):
        raise OSError(28, "no room for it")
"""
HANGS = """
import driver, time

class Adapter(driver.Link):
    def open(self, lead):
        return lambda message: None, lambda size: time.sleep(1000)
"""
LOSES = """
import driver, socket

class Adapter(driver.Link):
    def __init__(self, setting):
        super().__init__(setting)
        self.ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def open(self, lead):
        end = self.ends[0 if lead else 1]
        count = [0]

        def lossy(message):
            count[0] += 1
            end.send(message if count[0] % 7 else bytes(len(message)))

        return lossy, end.recv
"""
CHANGES = """
import driver, mmap

class Adapter(driver.Link):
    def __init__(self, setting):
        super().__init__(setting)
        self.shared = mmap.mmap(-1, setting.size + 4096)
        self.turns = memoryview(self.shared)[setting.size:].cast("Q")

    def open(self, lead):
        def send(message):
            self.shared[:len(message)] = message
            self.turns[0 if lead else 1] += 1

        taken = [0]

        def receive(size):
            while self.turns[1 if lead else 0] == taken[0]:
                pass
            taken[0] += 1
            return self.shared[:size]

        return send, receive

    def in_place(self):
        rooms = memoryview(self.shared)
        return driver.InPlace(
            lambda size: bytearray(size), lambda: None, lambda size: rooms[:size],
            lambda: None,
        )
"""
DIES = """
import driver, os

class Adapter(driver.Link):
    def open(self, lead):
        os._exit(3)
"""


@pytest.fixture
def builder(tmp_path: Path) -> adapters.Builder:
    # What has been fetched and built there is so once.
    return adapters.Builder(
        Path(os.environ.get("TACHYON_PEERS") or tmp_path / "peers"),
        os.environ.get("TACHYON_CC", "cc"),
        Path(os.environ["TACHYON_LIBRARY"]),
        Path(jar) if (jar := os.environ.get("TACHYON_JAR")) else None,
    )


@pytest.fixture
def make(tmp_path: Path) -> Any:
    def adapter(name: str, text: str) -> Peer:
        path = tmp_path / f"{name}.py"
        path.write_text(text)
        return Peer(f"python.{name}", name, "Python", str(path.with_suffix("")))

    return adapter


def known(*names: str) -> list[Any]:
    things = {thing.id: thing for thing in [*catalogue.PEERS, *catalogue.workloads()]}
    return [things[name] for name in names]


def row_of(run: dict[str, Any], peer: str, workload: str) -> dict[str, Any]:
    (row,) = (
        row for row in run["rows"] if (row["peer"], row["workload"]) == (peer, workload)
    )
    return row


def left_over() -> set[str]:
    """Return the command lines of drivers that still run, and their shared memory."""
    found = set(map(str, Path("/dev/shm").glob("tachyon-bench-tachyon-peer-*")))
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if "tachyon-peer-" in words:
            found.add(words)
    return found


@TWO_CORES
def test_who_fails_hangs_dies_or_is_not_there_is_a_row_with_its_reason(
    builder: adapters.Builder, make: Any
) -> None:
    absent = Peer("c.absent", "absent", "C", "pipe", needs=("no-such-program",))
    broken = Peer("c.broken", "broken", "C", "no_such_source")
    own, fails, hangs = (
        known("c.tachyon")[0],
        make("fails", FAILS),
        make("hangs", HANGS),
    )
    loses, dies = make("loses", LOSES), make("dies", DIES)
    workloads = known("trip-adaptive-32", "way-32")
    before, start = left_over(), time.monotonic()
    run = peers.measure(
        [absent, fails, broken, hangs, loses, dies, own], workloads, builder, CORES,
        quick=True, limit_s=4,
    )  # fmt: skip
    assert time.monotonic() - start < 50
    assert len(run["rows"]) == 7 * 2
    reasons = {
        peer: row_of(run, peer, "trip-adaptive-32")["reason"]
        for peer in {row["peer"] for row in run["rows"]}
    }
    assert reasons["c.absent"] == "no-such-program is not installed"
    assert reasons["c.broken"].startswith("cannot be built: ")
    assert "no_such_source" in reasons["c.broken"]
    assert "no room for it" in reasons["python.fails"]
    assert reasons["python.hangs"] == "hung: nothing after 4 s"
    assert reasons["python.loses"] == "a message has arrived changed or out of turn"
    assert reasons["python.dies"].startswith(("ended with ", "hung: "))
    for workload in ("trip-adaptive-32", "way-32"):
        row = row_of(run, "c.tachyon", workload)
        assert row["reason"] == ""
        assert row["figures"]
    assert left_over() <= before
    text = report.section(run)
    assert "no-such-program is not installed" in text
    assert "hung: nothing after 4 s (" in text
    assert "**Tachyon**" in text


@TWO_CORES
@pytest.mark.timeout(150)
def test_every_driver_measures_every_workload(builder: adapters.Builder) -> None:
    chosen = known("c.tachyon", "c.unix_socket", "python.tachyon", "python.mp_pipe")
    workloads = known(
        "trip-asleep-32", "way-65536", "place-4096", "batch-64", "rpc-176", "wake-1ms",
        "idle", "connect", "memory", "rate", "open-50%",
    )  # fmt: skip
    has_not = {
        "c.unix_socket": ("place-4096", "rpc-176"),
        "python.mp_pipe": ("place-4096", "rpc-176", "batch-64"),
    }
    run = peers.measure(chosen, workloads, builder, CORES, quick=True)
    for row in run["rows"]:
        if row["workload"] in has_not.get(row["peer"], ()):
            assert row["reason"].startswith(("has no ", "is not measured ")), row
            assert row["figures"] == {}
            continue
        assert row["reason"] == "", row
        name = "p50"
        if row["workload"] != "rate":
            (workload,) = known(row["workload"])
            name = report.FIGURES[workload.name]
        assert row["figures"][name] > 0 or name == "percent"
        assert row["figures"]["connect_us"] > 0
    # Two rings of 4 MiB, of which each page is there.
    assert row_of(run, "c.tachyon", "memory")["figures"]["shared"] >= 8 << 20
    assert row_of(run, "c.tachyon", "open-50%")["pause_ns"] >= 100
    assert "| **Tachyon**, Python |" in report.section(run)


@TWO_CORES
@pytest.mark.timeout(300)  # what Maven has to get the first time included
@pytest.mark.parametrize("name", ["java.tachyon", "java.aeron", "java.chronicle"])
def test_the_driver_in_java_measures_as_the_others_do(
    builder: adapters.Builder, name: str
) -> None:
    for program in ("java", "javac", "mvn"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")
    if name == "java.tachyon" and not os.environ.get("TACHYON_JAR"):
        pytest.skip("tachyon-ipc.jar is not built")
    workloads = known(
        "trip-adaptive-32", "way-4096", "place-4096", "rpc-176", "memory", "rate",
        "trip-asleep-32",
    )  # fmt: skip
    before = left_over()
    run = peers.measure(known(name), workloads, builder, CORES, quick=True, limit_s=40)
    (about,) = run["peers"]
    if "resolve" in about["reason"]:
        pytest.skip(f"Maven has not got it: {about['reason']}")
    assert about["reason"] == ""
    has_not = {"rpc-176": "is not measured by calls", "trip-asleep-32": "wakes nobody"}
    for row in run["rows"]:
        if name != "java.tachyon" and row["workload"] in has_not:
            assert row["reason"].startswith(has_not[row["workload"]])
            continue
        assert row["reason"] == "", row
        assert row["figures"]["connect_us"] > 0
        measured = row["figures"].keys() - {"connect_us"}
        assert measured
        assert all(row["figures"][figure] > 0 for figure in measured), row
    assert left_over() <= before


@TWO_CORES
@pytest.mark.timeout(1500)  # what is fetched and built the first time included
@pytest.mark.parametrize(
    ("name", "calls"),
    [("rust.tachyon_0_5_1", True), ("python.tachyon_0_5_1", True),
     ("rust.ringfire", False), ("rust.shmem_ipc", False)],
)  # fmt: skip
def test_the_peers_that_lend_memory_are_measured_in_place(
    builder: adapters.Builder, name: str, calls: bool
) -> None:
    # The ring ends within one of the largest.
    workloads = known("trip-adaptive-32", "way-4096", "place-32", "place-65536",
                      "place-1048576", "rpc-4096", "rpc-asleep-32")  # fmt: skip
    before = left_over()
    run = peers.measure(known(name), workloads, builder, CORES, quick=True, limit_s=40)
    (about,) = run["peers"]
    if re.search("not installed|could not install|download|resolve", about["reason"]):
        pytest.skip(about["reason"])
    assert about["reason"] == ""
    for row in run["rows"]:
        if row["workload"].startswith("rpc") and not calls:
            assert row["reason"] == "is not measured by calls here"
            continue
        if row["workload"] == "place-1048576" and "tachyon_0_5_1" in name:
            assert row["reason"].startswith("gives room back every 32 messages")
            continue
        assert row["reason"] == "", row
        figure = "ns" if row["workload"].startswith(("way", "place")) else "p50"
        assert row["figures"][figure] > 0
    assert left_over() <= before


@TWO_CORES
@pytest.mark.timeout(400)  # what is fetched the first time included
def test_nothing_is_published_before_there_is_a_subscriber(
    builder: adapters.Builder,
) -> None:
    peer, connect = known("python.kickmsg", "connect")
    try:
        command = builder.make(peer)
    except adapters.CannotError as error:
        pytest.skip(str(error))
    for _ in range(30):  # one in ten was not heard
        sample.take(command, connect, 1, 0, cores=CORES, limit_s=20)


def test_packages_come_into_a_directory_each_or_are_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = "nothing_much-1.0.dist-info"
    with zipfile.ZipFile(tmp_path / "nothing_much-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("nothing_much.py", "")
        wheel.writestr(f"{about}/METADATA", "Name: nothing-much\nVersion: 1.0\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    wanted = tmp_path / "wanted.txt"
    wanted.write_text("nothing-much==1.0\n")
    (path,) = adapters.packages(wanted, tmp_path / "python")
    assert Path(path, "nothing_much.py").exists()
    wanted.write_text("nothing-much==2.0\n")
    with pytest.raises(adapters.CannotError, match=r"^pip could not install nothing-"):
        adapters.packages(wanted, tmp_path / "python")


def test_a_busy_machine_is_said() -> None:
    loop = [sys.executable, "-c", "print('on', flush=True)\nwhile True: pass"]
    with subprocess.Popen(loop, stdout=subprocess.PIPE) as busy:
        assert busy.stdout
        busy.stdout.readline()
        before = circumstances.Before(0.3)
        busy.kill()
    machine = before.machine(CORES)
    assert not machine["reliable"]
    assert re.match(r"the machine was \d+% busy before the run: ", machine["notes"][0])


def test_one_core_is_said_and_no_number_invented(builder: adapters.Builder) -> None:
    workloads = known("trip-spinning-32", "trip-asleep-32")
    run = peers.measure(
        known("c.unix_socket"), workloads, builder, CORES[:1], quick=True
    )
    spinning = row_of(run, "c.unix_socket", "trip-spinning-32")
    assert spinning["reason"].startswith("one core: ")
    assert spinning["figures"] == {}
    assert row_of(run, "c.unix_socket", "trip-asleep-32")["figures"]["p50"] > 0
    assert any(note.startswith("one core: ") for note in run["machine"]["notes"])


@TWO_CORES
def test_yardsticks_are_measured_where_they_say_something(
    builder: adapters.Builder,
) -> None:
    chosen = known("c.dirty", "c.ideal_ring", "python.floor")
    workloads = known("trip-adaptive-32", "way-32", "place-65536")
    run = peers.measure(chosen, workloads, builder, CORES, quick=True)
    said = {(row["peer"], row["workload"]): row["reason"] for row in run["rows"]}
    assert said == {
        ("c.dirty", "trip-adaptive-32"): "only copies messages one by one",
        ("c.dirty", "way-32"): "",
        ("c.dirty", "place-65536"): "",
        ("c.ideal_ring", "trip-adaptive-32"): "",
        ("c.ideal_ring", "way-32"): "",
        ("c.ideal_ring", "place-65536"): "",
        ("python.floor", "trip-adaptive-32"): "",
        ("python.floor", "way-32"): "",
        ("python.floor", "place-65536"): "only calls, and sends nothing",
    }


@TWO_CORES
def test_what_is_changed_in_place_is_noticed(
    builder: adapters.Builder, make: Any
) -> None:
    run = peers.measure(
        [make("changes", CHANGES)], known("place-4096"), builder, CORES, quick=True,
        limit_s=20,
    )  # fmt: skip
    reason = row_of(run, "python.changes", "place-4096")["reason"]
    assert reason == "a message has arrived changed or out of turn"


def test_rounds_end_with_the_time_but_one_is_whole(
    builder: adapters.Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []

    def take(_: Any, workload: Any, count: int, *__: Any, **___: Any) -> sample.Sample:
        taken.append((workload.id, count))
        return sample.Sample([100] * count, count, 1, 1000 * count, 0, 0, 0)

    monkeypatch.setattr(sample, "take", take)
    run = peers.measure(
        known("c.tachyon"), known("trip-adaptive-32", "way-32"), builder, [0, 1],
        rounds=5, minutes=0, budget_ms=1,
    )  # fmt: skip
    assert run["rounds"] == 1
    assert [row["rounds"] for row in run["rows"]] == [1, 1]
    # The first says how many the second may have.
    assert [count for _, count in taken] == [50, 50, 10_000, 1000]


def test_each_reason_is_of_a_case_that_there_is() -> None:
    names = [workload.id for workload in catalogue.workloads()]
    ids = [peer.id for peer in catalogue.PEERS]
    for reason in reasons.SLOWER:
        assert reason.language in ("*", *report.LANGUAGES)
        assert any(name.startswith(reason.workload) for name in names), reason
        assert any(peer.startswith(reason.peer) for peer in ids), reason
        assert "presumably" not in reason.why
    assert reasons.slower("Rust way-8", "rust.ringfire") == reasons.FOUR
    assert reasons.slower("Rust way-8", "rust.nng") == reasons.UNKNOWN


def test_what_tachyon_is_to_reach_is_beside_its_yardstick() -> None:
    rows = [
        {"peer": peer, "workload": "trip-spinning-32", "reason": "",
         "figures": {"p50": p50, "p99": 200}}
        for peer, p50 in (("c.tachyon", 110), ("c.raw_line", 100))
    ]  # fmt: skip
    about = [{"id": peer.id, "title": peer.title} for peer in catalogue.PEERS]
    table = report.Table({"rows": rows, "workloads": [], "peers": about})
    text = report.beside_yardsticks(table)
    assert (
        "| round trip, p50 | 110 ns | 100 ns | raw cache line | 1.10 | 1.15 | yes |"
        in text
    )
    assert "64 KiB" not in text


def test_percentiles_are_those_of_the_values() -> None:
    values = list(range(1, 1001))
    found = peers.quantiles(values)
    assert found["p50"] == pytest.approx(500, abs=2)
    assert found["p99"] == pytest.approx(990, abs=2)
    assert found["p999"] == pytest.approx(999, abs=2)


def test_each_peer_has_its_adapter_and_each_adapter_a_peer() -> None:
    files = {
        *(f"C/{path.stem}" for path in (HERE / "c").glob("*.c")),
        *(f"Rust/{path.parent.name}" for path in (HERE / "rust").glob("*/Cargo.toml")),
        *(f"Python/{path.stem}" for path in (HERE / "python").glob("*.py")),
        *(f"Java/{path.stem}" for path in (HERE / "java").glob("*.java")),
    } - {"C/driver", "Python/driver", "Rust/link", "Java/Driver", "Java/Link"}
    # "memory copy" is memory's way to copy; what is "alone" is a program by itself.
    named = {
        f"{p.language}/{p.adapter.removeprefix('alone ').split()[0]}"
        for p in catalogue.PEERS
    }
    assert named == files
    assert len({peer.id for peer in catalogue.PEERS}) == len(catalogue.PEERS)


def test_a_quick_run_is_not_written_into_the_documents(tmp_path: Path) -> None:
    run = {"mode": "quick"}
    path = tmp_path / "peers.json"
    path.write_text(json.dumps(run))
    before = [page.read_text() for page in (report.PAGE, report.README)]
    done = subprocess.run(
        [sys.executable, HERE / "report.py", path], check=False, capture_output=True
    )
    assert done.returncode != 0
    assert b"a quick run says nothing about speed" in done.stderr
    assert before == [page.read_text() for page in (report.PAGE, report.README)]


def test_what_takes_too_long_is_ended_with_all_its_children() -> None:
    start = time.monotonic()
    with pytest.raises(adapters.CannotError, match=r"hung: nothing after 0\.5 s"):
        sample.run(["sh", "-c", "sleep 987654 & sleep 987654"], {}, 0.5)
    assert time.monotonic() - start < 20
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:  # the kernel takes its time
        running = subprocess.run(
            ["pgrep", "-f", "sleep 98765[4]"], check=False, capture_output=True
        )
        if running.returncode == 1:
            return
        time.sleep(0.1)
    pytest.fail("a child is still there")


def test_a_full_run_is_written_between_the_comments_of_the_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, peer, absent = known("python.tachyon", "python.mp_pipe", "python.nng")
    workloads = known("trip-spinning-32", "way-65536", "wake-1ms")
    figures = {
        own.id: ({"p50": 500, "p99": 900}, {"ns": 8000}, {"p50": 40_000}),
        peer.id: ({"p50": 50_000, "p99": 90_000}, {"ns": 4000}, {}),
        absent.id: ({}, {}, {}),
    }
    reasons = {absent.id: "it is not there", peer.id: ""}
    run = {
        "mode": "full",
        "rounds": 3,
        "machine": {
            "cpu": "a processor", "cpus": 2, "kernel": "6.1", "python": "3.11",
            "reliable": True, "notes": [],
        },
        "workloads": [workload._asdict() for workload in workloads],
        "peers": [
            {**each._asdict(), "version": "", "reason": reasons.get(each.id, "")}
            for each in (own, peer, absent)
        ],
        "rows": [
            {
                "peer": name, "workload": workload.id, "figures": found,
                "reason": "" if found else "wakes nobody",
            }
            for name, of_peer in figures.items()
            for workload, found in zip(workloads, of_peer, strict=True)
        ],
    }  # fmt: skip
    for name, marks in (("PAGE", "peers"), ("README", "comparison")):
        page = tmp_path / name
        begin, end = f"<!-- {marks}: written by x -->", f"<!-- end of {marks} -->"
        page.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
        monkeypatch.setattr(report, name, page)
    monkeypatch.setattr(report, "PICTURE", tmp_path / "picture.svg")
    (tmp_path / "round_trip.svg").write_text("<svg/>")
    (tmp_path / "run.json").write_text(json.dumps(run))
    monkeypatch.setattr(sys, "argv", ["report.py", str(tmp_path / "run.json")])
    report.main()
    for name in ("PAGE", "README"):
        text = (tmp_path / name).read_text()
        assert re.match(rf"before\n<!-- \w+: written by {report.WRITER}", text)
        assert re.search(r"\n<!-- end of \w+ -->\nafter\n$", text)
        assert "old" not in text
        assert "| **Tachyon**, Python | 500 ns | 900 ns |" in text
    page = (tmp_path / "PAGE").read_text()
    assert "- nng (pynng), Python: it is not there\n" in page
    assert "wakes nobody (wake after 1 ms asleep)" in page
    assert "spinning | 500 ns | 50 µs | `multiprocessing.Pipe` | 100.00 |  |" in page
    assert "| 8 µs | 4 µs | `multiprocessing.Pipe` | 0.50 | not known |" in page
    assert (tmp_path / "picture.svg").read_text() == "<svg/>"

    # What a busy machine has to say is not for the README.
    run["machine"] |= {"reliable": False, "notes": ["others were there"]}
    (tmp_path / "run.json").write_text(json.dumps(run))
    (tmp_path / "README").write_text("untouched")
    report.main()
    assert "- others were there\n" in (tmp_path / "PAGE").read_text()
    assert (tmp_path / "README").read_text() == "untouched"


def test_what_both_processes_say_on_one_line_is_understood() -> None:
    twice = """printf '{"cannot": "no"}{"cannot": "no"}\\n\\n'"""
    with pytest.raises(adapters.CannotError, match=r"^no$"):
        sample.run(["sh", "-c", twice], {}, 5)
