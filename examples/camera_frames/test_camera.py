# SPDX-License-Identifier: Apache-2.0
"""The ball is found where it was drawn, and what is missing is what was dropped."""

import importlib.util
import os
import re
import time
from pathlib import Path

import numpy as np
import pytest
from detections import Detection
from pattern import RADIUS, ball_at

from tachyon import Bus

from conftest import Program, Start, wait_until_connected, wait_until_listening

HERE = Path(__file__).resolve().parent
DETECTOR = os.environ["FRAME_DETECTOR"]
SEEN = re.compile(r"(\d+): a ball at \((.+), (.+)\), (\d+) x (\d+), (\d+) pixels")
DISC = sum(
    x * x + y * y <= RADIUS * RADIUS
    for x in range(-RADIUS, RADIUS + 1)
    for y in range(-RADIUS, RADIUS + 1)
)
# Colours of a clip have half of its resolution, and are not quite those drawn.
EXACT, LOSSY = (
    {"place": 0.0, "size": 0, "pixels": 0},
    {"place": 1.0, "size": 4, "pixels": 90},
)


@pytest.fixture(params=["drawn", "clip"])
def source(request: pytest.FixtureRequest) -> str:
    """Return where the camera has its pictures from."""
    if request.param == "clip" and importlib.util.find_spec("av") is None:
        pytest.skip("PyAV is not installed; CTest's example.camera_clip installs it")
    return str(request.param)


@pytest.fixture
def sockets(tmp_path: Path) -> tuple[Path, Path]:
    """Return where the pictures go, and where the detections do."""
    return tmp_path / "pictures.sock", tmp_path / "detections.sock"


def begin(
    start: Start, sockets: tuple[Path, Path], milliseconds: int = 0
) -> tuple[Program, Program]:
    """Start all that is behind the camera."""
    viewer = start(HERE / "viewer.py", "--socket", sockets[1])
    detector = start(DETECTOR, *sockets, milliseconds)
    return detector, viewer


def check_seen(lines: list[str], limits: dict[str, float]) -> list[int]:
    """Check each line against the pattern, and return the numbers of the pictures."""
    numbers = []
    for line in lines:
        number = int(line.split(":")[0])
        numbers.append(number)
        ball = ball_at(number)
        if ball is None:
            assert line == f"{number}: no ball"
            continue
        match = SEEN.fullmatch(line)
        assert match is not None, line
        x, y, width, height, pixels = map(float, match.groups()[1:])
        assert abs(x - ball[0]) <= limits["place"], line
        assert abs(y - ball[1]) <= limits["place"], line
        assert abs(width - (2 * RADIUS + 1)) <= limits["size"], line
        assert abs(height - (2 * RADIUS + 1)) <= limits["size"], line
        assert abs(pixels - DISC) <= limits["pixels"], line
    return numbers


@pytest.mark.parametrize(("count", "milliseconds"), [(60, 0), (24, 60)])
def test_the_ball_is_seen_where_it_is_and_what_is_missing_was_dropped(
    start: Start,
    sockets: tuple[Path, Path],
    source: str,
    count: int,
    milliseconds: int,
) -> None:
    detector, viewer = begin(start, sockets, milliseconds)
    options = "--socket", sockets[0], "--count", count, "--source", source
    out = start(HERE / "camera.py", *options, "--fps", 200).output()
    told = re.fullmatch(
        rf"camera: {count} pictures \({source}\) in .* s, (\d+) dropped\n", out
    )
    assert told is not None, out
    dropped = int(told[1])
    assert detector.output() == f"detector: {count - dropped} pictures\n"
    *lines, last = viewer.output().splitlines()
    numbers = check_seen(lines, EXACT if source == "drawn" else LOSSY)
    assert numbers == sorted(set(numbers))
    assert len(numbers) == count - dropped
    balls = sum(ball_at(number) is not None for number in numbers)
    missing = numbers[-1] + 1 - len(numbers)
    assert last == (
        f"viewer: {len(numbers)} pictures, {balls} with a ball, {missing} missing"
    )
    assert balls > 0
    if milliseconds:
        assert dropped > 0


def test_noise_is_no_ball_and_two_are_one_with_a_centre(
    start: Start, sockets: tuple[Path, Path]
) -> None:
    start(DETECTOR, *sockets)
    picture = np.zeros((50, 60, 3), np.uint8)
    with Bus.listen(sockets[1], 1 << 16, timeout=60, types=[Detection]) as viewer:
        with Bus.connect(sockets[0], timeout=60) as camera:
            picture[3, 4:23, 0] = 255  # one pixel too few
            camera.send_array(picture, tag=7)
            picture[3, 23, 0] = 80  # and this makes enough, if only just
            camera.send_array(picture, tag=8)
            picture[3, 23, 0] = 79
            camera.send_array(picture, tag=9)
            camera.send_array(picture[:0], tag=2**32 - 1)
        assert [*viewer.channel(Detection)] == [
            Detection(7),
            Detection(8, 20, 13.5, 3, 4, 3, 23, 3),
            Detection(9),
            Detection(2**32 - 1),
        ]


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        (np.zeros((4, 4), np.uint8), "not a picture of 8-bit RGB: a frame"),
        (np.zeros((4, 4, 4), np.uint8), "not a picture of 8-bit RGB: a frame"),
        (np.zeros((4, 4, 3), np.float32), "not a picture of 8-bit RGB: a frame"),
        (np.zeros((2, 70_000, 3), np.uint8), "not a picture of 8-bit RGB: a frame"),
        (b"hello", "not a frame: 5 bytes, fewer than the 64 of a header"),
    ],
)
def test_what_is_no_picture_is_refused(
    start: Start,
    sockets: tuple[Path, Path],
    message: "np.ndarray[tuple[int, ...], np.dtype[np.generic]] | bytes",
    cause: str,
) -> None:
    detector, viewer = begin(start, sockets)
    with Bus.connect(sockets[0], timeout=60) as camera:
        if isinstance(message, bytes):
            camera.send(message)
        else:
            camera.send_array(message)
        status, out, err = detector.finish()
    assert (status, out) == (1, "")
    assert cause in err
    status, _, err = viewer.finish()
    assert status == 1
    assert "died" in err


@pytest.mark.parametrize("victim", ["camera", "detector"])
def test_the_death_of_one_ends_the_others(
    start: Start, sockets: tuple[Path, Path], victim: str
) -> None:
    detector, viewer = begin(start, sockets)
    wait_until_listening(sockets[0])
    options = "--socket", sockets[0], "--count", 10**6, "--source", "drawn"
    programs = {
        "camera": start(HERE / "camera.py", *options),
        "detector": detector,
        "viewer": viewer,
    }
    wait_until_connected(sockets[0])
    time.sleep(0.1)
    programs.pop(victim).kill()
    for name, program in programs.items():
        status, _, err = program.finish()
        assert status == 1, name
        assert re.match(f"{name}: .*died", err), err
