"""Thumbnails of frames: small enough to keep for every frame, detailed enough to tell one picture from another.

Made by ffmpeg beside what it does anyway; comparing captured with finished frames is `gate_frames`' business.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import sub
from pathlib import Path
from typing import Any

import ffmpeg  # type: ignore[import-untyped]  # ffmpeg-python ships no type information

from hyperframes_lambda.media.process import compile_command, run

COLUMNS, ROWS = 32, 18
"""Cells of a thumbnail; a cell is the mean colour of its part of the frame (60x60 pixels at 1080p)."""

_LEAST_PIXELS = 10
"""Side of the smallest cell: of fewer pixels the mean is not steady when they are encoded. In a smaller frame, cells are repeated."""

_SCALING = "area+accurate_rnd+full_chroma_int+full_chroma_inp"
"""The mean of all pixels of a cell. Without the rest, saturated colours of a yuv420p frame come out up to 90 levels wrong."""

BLANK_SPREAD = 6
"""Levels between the darkest and the brightest value of a channel, up to which a thumbnail counts as one flat colour."""


def thumbnail_bytes(*, alpha: bool) -> int:
    """Size of one thumbnail: three bytes a cell, four with transparency."""
    return COLUMNS * ROWS * (4 if alpha else 3)


def reduced(frames: Any, *, alpha: bool, opaque_from: int | None = None) -> Any:
    """The ffmpeg-python stream `frames` as thumbnails: `rgb24`, or `rgba` with colours multiplied by their opacity.

    Multiplied, because encoders are free to change the colour of what cannot be seen. From `opaque_from` on a pixel counts as opaque, and
    below as clear, for an output that knows nothing between.
    """
    if alpha:
        frames = frames.filter("format", "gbrap|yuva420p|yuva444p12le")
        if opaque_from is not None:
            frames = frames.filter("lutrgb", a=f"if(gte(val,{opaque_from}),255,0)")
        frames = frames.filter("premultiply", inplace=1)
    pixels = "rgba" if alpha else "rgb24"
    means = frames.filter("scale", _cells("iw", COLUMNS), _cells("ih", ROWS), flags=_SCALING).filter("format", pixels)
    return means.filter("scale", COLUMNS, ROWS, flags="neighbor").filter("format", pixels)


def _cells(side: str, most: int) -> str:
    """How many cells along a side of the frame, as an ffmpeg expression: at most `most`, and none narrower than `_LEAST_PIXELS`."""
    return f"clip(trunc({side}/{_LEAST_PIXELS}),1,{most})"


def thumbnails_of(ffmpeg_path: Path, pictures: Path, out: Path, *, alpha: bool, opaque_from: int | None) -> list[bytes]:
    """Thumbnails of the PNG files that stand one after another in the file `pictures`; `out` is where ffmpeg puts them."""
    stream = reduced(ffmpeg.input(str(pictures), format="png_pipe"), alpha=alpha, opaque_from=opaque_from)
    run(compile_command(stream.output(str(out), format="rawvideo", fps_mode="passthrough"), ffmpeg_path), purpose="reducing frames")
    return read_thumbnails(out, alpha=alpha)


def read_thumbnails(path: Path, *, alpha: bool) -> list[bytes]:
    """The thumbnails in a file as ffmpeg wrote it; an incomplete last one is left out."""
    content, size = path.read_bytes(), thumbnail_bytes(alpha=alpha)
    return [content[at : at + size] for at in range(0, len(content) - size + 1, size)]


def difference(one: bytes, other: bytes) -> int:
    """The largest difference of any value of any cell, in levels from 0 to 255."""
    return 0 if one == other else max(map(abs, map(sub, one, other)))


def distance(one: bytes, other: bytes) -> int:
    """Sum of squared differences: what tells which of two pictures a third resembles more."""
    return sum(step * step for step in map(sub, one, other))


def is_blank(thumbnail: bytes, *, alpha: bool) -> bool:
    """Whether nothing can be made out: every channel is flat over the whole frame."""
    channels = 4 if alpha else 3
    return all(max(values) - min(values) <= BLANK_SPREAD for values in (thumbnail[channel::channels] for channel in range(channels)))


def brightness(thumbnail: bytes, *, alpha: bool) -> int:
    """The brightest colour value of any cell: a frame is black when it is near zero."""
    return max(thumbnail) if not alpha else max(max(thumbnail[channel::4]) for channel in range(3))


def runs(numbers: list[int]) -> Iterator[tuple[int, int]]:
    """Ascending numbers as runs without a gap: `[3, 4, 5, 9]` makes `(3, 5), (9, 9)`."""
    first = last = -2
    for number in numbers:
        if number != last + 1:
            if first >= 0:
                yield first, last
            first = number
        last = number
    if first >= 0:
        yield first, last
