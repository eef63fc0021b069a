# SPDX-License-Identifier: Apache-2.0
"""What the camera sees: a red ball that goes from wall to wall."""

import io
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]

WIDTH, HEIGHT = 320, 240
RADIUS = 16
RED = 220, 30, 30
FPS = 60


def there_and_back(way: int, length: int) -> int:
    """Return where one is that goes from 0 to length and back again, and so on."""
    way %= 2 * length
    return way if way < length else 2 * length - way


def ball_at(number: int) -> tuple[int, int] | None:
    """Return the ball's centre in a picture; None in each tenth, which has no ball."""
    if number % 10 == 9:
        return None
    return (
        RADIUS + there_and_back(3 * number, WIDTH - 1 - 2 * RADIUS),
        RADIUS + there_and_back(2 * number, HEIGHT - 1 - 2 * RADIUS),
    )


def draw(number: int) -> Picture:
    """Draw a picture: grey from dark to light, and the ball."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    grey = (40 + (rows + columns + number) * 160 // (WIDTH + HEIGHT)).astype(np.uint8)
    picture = np.repeat(grey[:, :, None], 3, 2)
    if (ball := ball_at(number)) is not None:
        x, y = ball
        picture[(columns - x) ** 2 + (rows - y) ** 2 <= RADIUS**2] = RED
    return picture


def drawn(count: int) -> Iterator[Picture]:
    """Yield pictures as they are drawn."""
    return map(draw, range(count))


def decoded(count: int) -> Iterator[Picture]:
    """Yield pictures of a clip: encoded here as MPEG-4, and decoded as it is read."""
    import av  # noqa: PLC0415  # of requirements.txt; the drawn ones do without

    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as clip:
        stream = clip.add_stream("mpeg4", rate=Fraction(FPS))
        stream.width, stream.height = WIDTH, HEIGHT
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 4_000_000
        for picture in drawn(count):
            clip.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        clip.mux(stream.encode())
    file.seek(0)
    with av.open(file) as clip:
        for frame in clip.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


SOURCES = {"drawn": drawn, "clip": decoded}
