"""The frames of source videos without a page: which one is shown when, whatever the container, and in one stretch or in many."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hyperframes_lambda.contract.media import MediaSource, VideoClip, VideoStream
from hyperframes_lambda.contract.toolset import Toolset
from hyperframes_lambda.media.probe import probe
from hyperframes_lambda.media.source_frames import SourceFrames
from hyperframes_lambda.media.source_index import shown
from tests.engine.media.numbered_video import H264, make_video, number_in

NTSC = Fraction(30000, 1001)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory, toolset: Toolset) -> Callable[[str], Path]:
    """Numbered videos by name, made when they are first wanted."""
    folder = tmp_path_factory.mktemp("numbered")
    recipes: dict[str, tuple[int, str, tuple[str, ...]]] = {
        "cfr30.mp4": (90, "30", H264),
        "cfr30.ts": (90, "30", H264),
        "cfr60.mkv": (120, "60", ("-c:v", "libx264", "-g", "30", "-pix_fmt", "yuv420p")),
        "cfr24.webm": (72, "24", ("-c:v", "libvpx-vp9", "-b:v", "300k", "-g", "24", "-deadline", "realtime", "-cpu-used", "8")),
        "film.mp4": (72, "24000/1001", H264),
        # Every third and every fourth frame, at its own time.
        "vfr.mp4": (90, "30", ("-vf", "select='not(mod(n,3)*mod(n,4))',settb=1/15360", "-fps_mode", "vfr", *H264)),
    }

    def make(name: str) -> Path:
        frames, rate, options = recipes[name]
        path = folder / name
        return path if path.exists() else make_video(toolset.ffmpeg.path, path, frames, *options, rate=rate)

    return make


def every_frame(count: int, rate: Fraction) -> list[tuple[int, Fraction]]:
    return [(number, number / rate) for number in range(count)]


TIMES = {
    "cfr30.mp4": every_frame(90, Fraction(30)),
    "cfr30.ts": every_frame(90, Fraction(30)),
    "cfr60.mkv": every_frame(120, Fraction(60)),
    "cfr24.webm": every_frame(72, Fraction(24)),
    "film.mp4": every_frame(72, Fraction(24000, 1001)),
    "vfr.mp4": [(number, Fraction(number, 30)) for number in range(90) if not (number % 3 and number % 4)],
}
"""Number and time of the files' frames."""


def expected(name: str, duration: Fraction, *, frame: int, fps: Fraction, clip: dict[str, Any]) -> int | None:
    """The formula, written down a second time and from the issue's words."""
    start, media_start = Fraction(str(clip.get("start", 0))), Fraction(str(clip.get("media_start", 0)))
    rate = Fraction(str(clip.get("rate", 1)))
    local = frame / fps - start
    if local < 0 or frame / fps >= Fraction(str(clip["end"])):
        return None
    length = (duration - media_start) / rate
    if clip.get("loop"):
        local %= length
    index = math.floor(local * rate * fps + Fraction(1, 10**9))
    index = min(index, max(0, math.ceil((duration - media_start) * fps - Fraction(1, 10**9)) - 1))
    moment = media_start + index / fps
    # Containers round times to their clock's ticks.
    return max(number for number, time in TIMES[name] if time <= moment + Fraction(1, 100_000))


def shown_numbers(
    toolset: Toolset, file: Path, clip: VideoClip, fps: Fraction, total: int, stretches: int
) -> tuple[list[int | None], list[Any]]:
    source = probe(toolset.ffmpeg.path, file, file.name)
    size = math.ceil(total / stretches)
    numbers: list[int | None] = []
    pngs: list[Any] = []
    for first in range(0, total, size):
        frames = range(first, min(first + size, total))
        served: dict[str, bytes] = {}
        with SourceFrames(
            toolset.ffmpeg.path, [clip], {file.name: source}, lambda _key: file, frames=frames, fps=fps, pictures=served
        ) as video:
            for frame in frames:
                pictures = video.at(frame)
                png = served[pictures[0].path] if pictures else None
                numbers.append(number_in(np.asarray(Image.open(io.BytesIO(png)))) if png else None)
                pngs.append(png)
    return numbers, pngs


@pytest.mark.parametrize(
    ("name", "fps", "total", "clip"),
    [
        ("cfr30.mp4", Fraction(30), 75, {"end": 2.5, "media_start": 0.5}),
        ("cfr30.mp4", Fraction(24), 48, {"start": 0.3, "end": 1.9, "media_start": 0.5}),
        ("cfr30.mp4", NTSC, 50, {"start": 0.3, "end": 2, "media_start": 0.1}),
        ("cfr30.mp4", Fraction(30), 60, {"end": 2, "rate": 2}),
        ("cfr30.mp4", Fraction(30), 60, {"end": 2, "rate": 0.5}),
        ("cfr30.mp4", Fraction(30), 60, {"end": 2, "rate": 0.1}),
        ("cfr30.mp4", Fraction(30), 40, {"end": 2, "rate": 5}),
        ("cfr30.mp4", Fraction(30), 75, {"end": 2.5, "media_start": 2.4, "loop": True}),
        ("cfr30.mp4", Fraction(30), 40, {"end": 2.5, "media_start": 2.2, "rate": 1.5, "loop": True}),
        ("cfr30.mp4", Fraction(30), 60, {"end": 2, "media_start": 2.5}),
        ("cfr30.ts", Fraction(30), 60, {"end": 2, "media_start": 0.5}),
        ("cfr60.mkv", Fraction(30), 60, {"end": 2, "media_start": 0.5}),
        ("cfr24.webm", Fraction(30), 60, {"end": 2, "media_start": 0.5}),
        ("film.mp4", Fraction(24000, 1001), 60, {"end": 3, "media_start": 0.5}),
        ("film.mp4", Fraction(60), 60, {"end": 3, "media_start": 0.25}),
        ("vfr.mp4", Fraction(30), 60, {"end": 3, "media_start": 0.25}),
        ("vfr.mp4", Fraction(25), 60, {"end": 3, "rate": 1.2}),
    ],
)
def test_every_frame_is_the_formulas_in_one_stretch_and_in_four(
    toolset: Toolset, video: Callable[[str], Path], name: str, fps: Fraction, total: int, clip: dict[str, Any]
) -> None:
    file = video(name)
    duration = Fraction(probe(toolset.ffmpeg.path, file, name).duration).limit_denominator(90_000)
    wanted = [expected(name, duration, frame=frame, fps=fps, clip=clip) for frame in range(total)]
    planned = VideoClip(element="<video>", file=name, index=0, **{"start": 0, **clip})
    whole = shown_numbers(toolset, file, planned, fps, total, 1)
    assert whole[0] == wanted
    assert shown_numbers(toolset, file, planned, fps, total, 4) == whole


def test_frames_may_be_asked_for_in_any_order(toolset: Toolset, video: Callable[[str], Path]) -> None:
    file = video("cfr30.mp4")
    source = probe(toolset.ffmpeg.path, file, "cfr30.mp4")
    clip = VideoClip(element="<video>", file="v", index=3, start=0, end=3)
    served: dict[str, bytes] = {}
    asked = [70, 5, 6, 5, 89]
    options = {"frames": asked, "fps": Fraction(30), "pictures": served}
    with SourceFrames(toolset.ffmpeg.path, [clip], {"v": source}, lambda _key: file, **options) as frames:
        for frame in asked:
            (picture,) = frames.at(frame)
            assert number_in(np.asarray(Image.open(io.BytesIO(served[picture.path])))) == frame
            assert picture[0] == 3
            assert len(served) == 1


STREAM = VideoStream(codec="h264", width=16, height=16, frame_rate=30, last=59 / 30)


@given(
    start=st.integers(0, 4000).map(lambda tick: tick / 1000),
    media_start=st.integers(0, 1900).map(lambda tick: tick / 1000),
    rate=st.integers(10, 500).map(lambda part: part / 100),
    loop=st.booleans(),
    frame=st.integers(0, 400),
    fps=st.sampled_from([Fraction(24), Fraction(25), Fraction(30), NTSC, Fraction(60)]),
)
@settings(max_examples=200)
def test_what_is_shown_lies_in_the_source_and_moves_on_with_time(
    start: float, media_start: float, rate: float, loop: bool, frame: int, fps: Fraction
) -> None:
    clip = VideoClip(element="<video>", file="v", index=0, start=start, end=1000, media_start=media_start, rate=rate, loop=loop)
    source = MediaSource(duration=2.0, video=STREAM)
    now, then = shown(clip, source, frame, fps), shown(clip, source, frame + 1, fps)
    assert (now is None) == (frame / fps < Fraction(str(start)) - Fraction(1, 1000) / fps)
    if now is None or then is None:
        return
    assert 0 <= now.index < max(1, (2 - media_start) * fps)
    assert loop or 0 <= then.index - now.index <= math.ceil(rate)


def test_a_source_that_begins_late_is_shown_a_second_early() -> None:
    clip = VideoClip(element="<video>", file="v", index=0, start=0, end=5)
    source = MediaSource(duration=5, video=STREAM.model_copy(update={"first": 1.5, "last": 4.9}))
    visible = [shown(clip, source, frame, Fraction(10)) is not None for frame in range(20)]
    assert visible == [False] * 6 + [True] * 14
