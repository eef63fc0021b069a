# SPDX-License-Identifier: Apache-2.0
"""tachyon bench and echo."""

import json
import os
import time
from pathlib import Path

from tachyon import RpcBus

from conftest import Start, ended, run, wait_for


def test_bench_measures_one_way_and_calls() -> None:
    done = run("bench", "--count", 2000, "--size", 100, "--json")
    assert (done.returncode, done.stderr) == (0, b"")
    found = json.loads(done.stdout)
    assert (found["count"], found["size"]) == (2000, 100)
    assert found["messages_per_s"] > 0
    assert 0 < found["call_us_p50"] <= found["call_us_p99"] <= found["call_us_max"]


def test_a_bench_that_is_terminated_leaves_nobody(start: Start, tmp_path: Path) -> None:
    bench = start("bench", env={**os.environ, "TMPDIR": str(tmp_path)})
    children = Path(f"/proc/{bench.pid}/task/{bench.pid}/children")
    wait_for(children.read_text)
    time.sleep(0.1)  # its peer loads, and is not there yet
    bench.terminate()
    assert ended(bench) == (143, b"", b"")
    assert list(tmp_path.iterdir()) == []


def test_bench_calls_an_echo(path: str, start: Start) -> None:
    answers = start("echo", path)
    while (done := run("bench", path, "--count", 50)).returncode == 3:
        assert answers.poll() is None
    assert b"call us p50" in done.stdout
    assert b"messages per s" not in done.stdout
    assert ended(answers) == (0, b"", b"")


def test_echo_answers_with_type_and_bytes(path: str, start: Start) -> None:
    answers = start("echo", path, "--count", 2)
    with RpcBus.rpc_connect(path, timeout=20) as bus:
        for data, kind in ((b"", 7), (b"some", 9)):
            with bus.wait(bus.call(data, kind), timeout=20) as reply:
                assert (bytes(reply), reply.type_id) == (data, kind)
    assert ended(answers)[0] == 0


def test_a_message_larger_than_the_echo_takes(path: str, start: Start) -> None:
    answers = start("echo", path, "--capacity", "4K")
    while (done := run("bench", path, "--size", "8K")).returncode == 3:
        assert answers.poll() is None
    assert done.returncode == 2
    assert b"takes 3968" in done.stderr
