"""Thumbnails of frames, small enough to keep for every frame and detailed enough to tell pictures apart.

ffmpeg makes them beside its other work; `gate_frames` compares those of captured and finished frames.
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
"""Side of the smallest cell: encoding disturbs the mean of fewer pixels. In a smaller frame, cells are repeated."""

_SCALING = "area+accurate_rnd+full_chroma_int+full_chroma_inp"
"""`area` takes the mean of a cell. Without the other flags, saturated colours of a yuv420p frame are up to 90 levels wrong."""

BLANK_SPREAD = 6
"""Largest range of levels within a channel of a thumbnail that counts as one flat colour."""


def thumbnail_bytes(*, alpha: bool) -> int:
    """Return the size of a thumbnail: three bytes a cell, four with transparency."""
    return COLUMNS * ROWS * (4 if alpha else 3)


def reduced(frames: Any, *, alpha: bool, opaque_from: int | None = None) -> Any:
    """Reduce the ffmpeg-python stream `frames` to thumbnails: `rgb24`, or `rgba` with colours multiplied by their opacity.

    Colours are multiplied because encoders may change the colour of invisible pixels. For an output without partial transparency, a pixel
    counts as opaque from `opaque_from` on, and as clear below.
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
    """Return the number of cells along a side as an ffmpeg expression: at most `most`, none narrower than `_LEAST_PIXELS`."""
    return f"clip(trunc({side}/{_LEAST_PIXELS}),1,{most})"


def thumbnails_of(ffmpeg_path: Path, pictures: Path, out: Path, *, alpha: bool, opaque_from: int | None) -> list[bytes]:
    """Return the thumbnails of the PNGs concatenated in the file `pictures`; ffmpeg writes them to `out`."""
    stream = reduced(ffmpeg.input(str(pictures), format="png_pipe"), alpha=alpha, opaque_from=opaque_from)
    run(compile_command(stream.output(str(out), format="rawvideo", fps_mode="passthrough"), ffmpeg_path), purpose="reducing frames")
    return read_thumbnails(out, alpha=alpha)


def read_thumbnails(path: Path, *, alpha: bool) -> list[bytes]:
    """Return the thumbnails in a file written by ffmpeg, without an incomplete last one."""
    content, size = path.read_bytes(), thumbnail_bytes(alpha=alpha)
    return [content[at : at + size] for at in range(0, len(content) - size + 1, size)]


def difference(one: bytes, other: bytes) -> int:
    """Return the largest difference of any value of any cell, in levels from 0 to 255."""
    return 0 if one == other else max(map(abs, map(sub, one, other)))


def distance(one: bytes, other: bytes) -> int:
    """Return the sum of squared differences, which tells which of two pictures a third resembles more."""
    return sum(step * step for step in map(sub, one, other))


def is_blank(thumbnail: bytes, *, alpha: bool) -> bool:
    """Whether the thumbnail is one flat colour: every channel is flat over the whole frame."""
    channels = 4 if alpha else 3
    return all(max(values) - min(values) <= BLANK_SPREAD for values in (thumbnail[channel::channels] for channel in range(channels)))


def brightness(thumbnail: bytes, *, alpha: bool) -> int:
    """Return the brightest colour value of any cell; a black frame's is near zero."""
    return max(thumbnail) if not alpha else max(max(thumbnail[channel::4]) for channel in range(3))


def runs(numbers: list[int]) -> Iterator[tuple[int, int]]:
    """Yield ascending numbers as runs without a gap: `[3, 4, 5, 9]` makes `(3, 5), (9, 9)`."""
    first = last = -2
    for number in numbers:
        if number != last + 1:
            if first >= 0:
                yield first, last
            first = number
        last = number
    if first >= 0:
        yield first, last
