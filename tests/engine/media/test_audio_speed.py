"""A speed that changes while a clip plays: one time map for picture and sound, and a sound that follows it with its pitch kept."""

from __future__ import annotations

import json
import math
import subprocess
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hyperframes_lambda.contract.config import RenderConfig
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.formats import OutputFormat
from hyperframes_lambda.contract.media import AudioTrack, MediaSource, SpeedPoint, VideoClip, VideoStream
from hyperframes_lambda.contract.plan import Build, Canvas, Manifest
from hyperframes_lambda.contract.toolset import Toolset
from hyperframes_lambda.media.audio import mix
from hyperframes_lambda.media.audio_automation import speed_points
from hyperframes_lambda.media.audio_tempo import parts_of
from hyperframes_lambda.media.source_index import shown
from hyperframes_lambda.media.time_map import TimeMap

Samples = NDArray[np.float32]
RATE = 48_000

POINTS = st.lists(st.tuples(st.integers(-200, 900), st.integers(10, 1000)), min_size=1, max_size=6, unique_by=lambda point: point[0]).map(
    lambda points: [SpeedPoint(time=time / 100, rate=rate / 100) for time, rate in sorted(points)]
)


def ramp(*points: tuple[float, float]) -> list[SpeedPoint]:
    return [SpeedPoint(time=time, rate=rate) for time, rate in points]


def integral(points: list[SpeedPoint], until: float, steps: int = 200_000) -> float:
    """Source seconds from 0 to `until`, added up: the rate is a straight line in logarithms between the points."""
    moments = (np.arange(steps) + 0.5) * until / steps
    logs = np.interp(moments, [point.time for point in points], [math.log(point.rate) for point in points])
    return float(np.exp(logs).sum()) * until / steps


def lane(*points: dict[str, Any], target: str = "rate") -> str:
    return json.dumps({"version": 1, "lanes": [{"target": target, "points": list(points)}]})


@pytest.mark.parametrize("until", [0.3, 1.0, 1.7, 2.5, 4.0])
def test_what_is_played_is_the_integral_of_the_speed(until: float) -> None:
    points = ramp((0.5, 1.0), (1.5, 4.0), (2.0, 0.25), (3.0, 0.25))
    assert float(TimeMap(1.0, points).source(Fraction(until))) == pytest.approx(integral(points, until), abs=1e-6)


def test_from_one_to_four_in_a_second_plays_three_over_the_logarithm_of_four() -> None:
    assert float(TimeMap(1.0, ramp((0, 1), (1, 4))).source(Fraction(1))) == pytest.approx(3 / math.log(4), abs=1e-12)


@given(points=POINTS, moment=st.integers(0, 12_000), later=st.integers(1, 3_000))
def test_it_grows_and_can_be_turned_round(points: list[SpeedPoint], moment: int, later: int) -> None:
    played = TimeMap(1.0, points)
    assert played.source(Fraction(0)) == 0
    now, then = played.source(Fraction(moment, 1000)), played.source(Fraction(moment + later, 1000))
    assert 0.1 * later / 1000 - 1e-9 <= then - now <= 10 * later / 1000 + 1e-9
    assert played.elapsed(float(now)) == pytest.approx(moment / 1000, abs=1e-6)


def test_a_constant_speed_is_exact() -> None:
    played = TimeMap(0.3)
    assert played.source(Fraction(10)) == 3 and played.elapsed(3.0) == 10.0


def test_a_lane_is_read_with_its_bounds_and_bends() -> None:
    points = speed_points(lane({"t": 1, "v": 50}, {"t": "0", "v": 0.01}, {"t": 1, "v": 2}, {"v": 3}), element="x")
    assert [(point.time, point.rate) for point in points] == [(0, 0.1), (1, 2)]
    bent = speed_points(lane({"t": 0, "v": 1, "curve": 0.5}, {"t": 2, "v": 4}), element="x")
    assert len(bent) == 49 and bent[24].rate == pytest.approx(4**0.25), "half of the time is a quarter of the way in logarithms"
    assert speed_points("", element="x") == speed_points(lane({"t": 0, "v": 1}, target="volume"), element="x") == []
    with pytest.raises(RenderError, match="clip: data-automation cannot be read") as caught:
        speed_points("{", element="clip")
    assert caught.value.code is ErrorCode.COMPOSITION_UNSUPPORTED


@given(points=POINTS, frame=st.integers(0, 300), loop=st.booleans())
def test_a_frame_shows_what_the_map_says(points: list[SpeedPoint], frame: int, loop: bool) -> None:
    stream = VideoStream(codec="h264", width=16, height=16, frame_rate=30, last=4 - 1 / 30)
    clip = VideoClip(element="<video>", file="v", index=0, start=0.5, end=1000, media_start=0.5, speed=points, loop=loop)
    fps = Fraction(30)
    now = shown(clip, MediaSource(duration=4.0, video=stream), frame + 15, fps)
    assert now is not None
    played = TimeMap(1.0, points).source(frame / fps)
    if loop:
        played %= Fraction(7, 2)
    assert now.index == min(104, math.floor(played * 30 + Fraction(1, 10**9))) or (loop and Fraction(7, 2) - played < Fraction(1, 10**8))


@settings(max_examples=40)
@given(points=POINTS, hundredths=st.integers(1, 6_000))
def test_parts_follow_each_other_and_are_not_too_short(points: list[SpeedPoint], hundredths: int) -> None:
    track = AudioTrack(element="<audio>", file="a", start=0.123, end=0.123 + hundredths / 100, speed=points)
    parts = parts_of(track, 100 * RATE)
    assert parts[0].first == round(0.123 * RATE) and parts[-1].end == round((0.123 + hundredths / 100) * RATE)
    assert all(before.end - after.first == 960 for before, after in pairwise(parts)), "20 ms in which both are heard"
    assert len(parts) == 1 or all(part.count >= RATE // 10 for part in parts)
    assert len(parts) <= 2 * 480


def test_a_constant_stretch_is_one_part() -> None:
    track = AudioTrack(element="<audio>", file="a", start=0, end=600, speed=ramp((0, 1.5), (300, 1.5)))
    [part] = parts_of(track, 600 * RATE)
    assert (part.first, part.count, part.rate) == (0, 600 * RATE, 1.5)


def mixed(toolset: Toolset, folder: Path, source: Samples, seconds: float, **track: Any) -> Samples:
    """Return the left channel of `source` for `seconds` from 0.5 s on."""
    raw = folder / "source.wav"
    command = [str(toolset.ffmpeg.path), "-loglevel", "error", "-y", "-f", "f32le", "-ar", str(RATE), "-ac", "1", "-i", "pipe:0", str(raw)]
    subprocess.run(command, input=source.astype("<f4").tobytes(), check=True)
    plan = Manifest(
        project_sha256="0" * 64,
        config=RenderConfig(),
        build=Build(renderer="1", browser="1", ffmpeg="1", runtime="1"),
        entry="index.html",
        files={},
        canvas=Canvas(width=64, height=36, scale=1),
        fps=Fraction(30),
        format=OutputFormat.MP4,
        width=64,
        height=36,
        total_frames=round((seconds + 1) * 30),
        chunks=[],
        segment_frames=1,
        sources={"source.wav": MediaSource(duration=len(source) / RATE, audio_codec="pcm", channels=1)},
        audio=[AudioTrack(element="<audio>", file="source.wav", start=0.5, end=0.5 + seconds, **track)],
    )
    out = folder / "mix.wav"
    mix(toolset.ffmpeg.path, plan, lambda file: folder / file, out)
    assert sorted(path.name for path in folder.iterdir()) == ["mix.wav", "source.wav"], "no scratch file is left"
    command = [str(toolset.ffmpeg.path), "-loglevel", "error", "-i", str(out), "-f", "f32le", "pipe:1"]
    return np.frombuffer(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout, "<f4").reshape(-1, 2)[:, 0]


def pips(moments: list[float], seconds: float) -> Samples:
    """Silence with pips of 60 ms, centred on the moments. Of a click, a tempo filter may leave nothing."""
    samples = np.zeros(round(seconds * RATE), np.float32)
    shape = (np.hanning(2881) * np.sin(np.arange(2881) / RATE * 2 * np.pi * 700) * 0.5).astype(np.float32)
    for moment in moments:
        centre = round(moment * RATE)
        samples[centre - 1440 : centre + 1441] += shape
    return samples


def middles(samples: Samples, near: list[float], reach: float) -> list[float]:
    """The middle of what sounds around each moment, in seconds."""
    found = []
    for moment in near:
        first = max(0, round((moment - reach) * RATE))
        energy = np.square(samples[first : round((moment + reach) * RATE)].astype(float))
        assert energy.sum() > 1, f"nothing is heard at {moment}"
        found.append((first + float((energy * np.arange(len(energy))).sum() / energy.sum())) / RATE)
    return found


@pytest.mark.parametrize(
    "points",
    [
        ramp((0, 1), (4, 2)),
        ramp((0, 0.5), (3, 3), (6, 0.5), (9, 3)),
        ramp((1, 1), (2, 0.25), (4, 0.25), (5, 1)),
        [SpeedPoint(time=second, rate=0.8 if second % 2 else 1.4) for second in range(30)],
    ],
)
def test_every_sound_is_where_the_map_has_it(toolset: Toolset, tmp_path: Path, points: list[SpeedPoint]) -> None:
    moments = [0.5 + number for number in range(12)]
    played = TimeMap(1.0, points)
    seconds = 0.1 * math.floor(10 * min(12.0, played.elapsed(12.0)))
    heard = mixed(toolset, tmp_path, pips(moments, 12.5), seconds, speed=points)
    wanted = [0.5 + played.elapsed(moment) for moment in moments if played.elapsed(moment) < seconds - 0.2]
    errors = np.array(middles(heard, wanted, 0.15)) - np.array(wanted)
    assert np.abs(errors).max() < 0.03, "the window of the filter; nothing adds up"


def test_the_pitch_is_kept_and_nothing_clicks(toolset: Toolset, tmp_path: Path) -> None:
    tone = (0.4 * np.sin(2 * np.pi * 440 * np.arange(9 * RATE) / RATE)).astype(np.float32)
    heard = mixed(toolset, tmp_path, tone, 4.0, speed=ramp((0, 0.5), (2, 3), (4, 1)))
    inner = heard[round(0.6 * RATE) : round(4.4 * RATE)]
    spectrum = np.abs(np.fft.rfft(inner * np.hanning(len(inner))))
    frequencies = np.fft.rfftfreq(len(inner), 1 / RATE)
    near = np.abs(frequencies - 440) < 40
    assert abs(frequencies[np.argmax(spectrum)] - 440) < 3
    assert np.square(spectrum[near]).sum() > 0.98 * np.square(spectrum).sum(), "a seam would be heard at all frequencies"
    level = np.sqrt(np.square(inner[: len(inner) // 2400 * 2400]).reshape(-1, 2400).mean(axis=1))
    assert level.min() > 0.15, "no hole"


def test_a_loop_at_a_changing_speed_goes_on_from_the_in_point(toolset: Toolset, tmp_path: Path) -> None:
    points = ramp((0, 1), (3, 2))
    played = TimeMap(1.0, points)
    heard = mixed(toolset, tmp_path, pips([0.6], 1.0), 3.0, speed=points, media_start=0.2, loop=True)
    wanted = [0.5 + played.elapsed(0.4 + 0.8 * turn) for turn in range(6) if played.elapsed(0.4 + 0.8 * turn) < 2.8]
    assert len(wanted) == 5
    assert np.abs(np.array(middles(heard, wanted, 0.15)) - np.array(wanted)).max() < 0.03
