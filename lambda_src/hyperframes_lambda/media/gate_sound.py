"""Check the presence of the planned sound by peak levels in short blocks of the mix, the output and, in doubt, the source.

ffmpeg measures; the rules are pure functions over lists of levels.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import ffmpeg  # type: ignore[import-untyped]  # ffmpeg-python ships no type information

from hyperframes_lambda.contract.media import AudioTrack
from hyperframes_lambda.media.gate_frames import Finding
from hyperframes_lambda.media.process import compile_command, run
from hyperframes_lambda.media.thumbnails import runs

SAMPLE_RATE = 48_000
BLOCK_SECONDS = 0.05
_BLOCK_SAMPLES = round(SAMPLE_RATE * BLOCK_SECONDS)

SILENCE = -80.0
"""Level in dBFS below which sound is inaudible and may be rounding or dither."""

_AUDIBLE = -50.0
_LOST = 30.0
"""dB by which a block of the output must be quieter than the mix to count as lost. Encoders cost a few dB of a peak, never as many."""

_LEAST_BLOCKS = 2
"""Shortest fault in blocks: a single one can straddle an onset that the encoder moved by less than a frame."""

_INAUDIBLE_GAIN = 0.001

_LEVEL = re.compile(r"lavfi\.astats\.Overall\.Peak_level=(\S+)")


def with_levels(sound: Any, report: Path) -> Any:
    """Return the ffmpeg-python stream `sound` in blocks of `BLOCK_SECONDS`; ffmpeg writes the peak of each block to the file `report`."""
    return (
        sound.filter("aresample", SAMPLE_RATE)
        .filter("asetnsamples", n=_BLOCK_SAMPLES, p=0)
        .filter("astats", metadata=1, reset=1, measure_perchannel="none", measure_overall="Peak_level")
        .filter("ametadata", mode="print", key="lavfi.astats.Overall.Peak_level", file=str(report))
    )


def read_levels(report: Path) -> list[float]:
    """Return the levels in a report of `with_levels`, in dBFS; `-inf` for digital silence."""
    return [float(level) for level in _LEVEL.findall(report.read_text("ascii"))] if report.exists() else []


def levels_of(ffmpeg_path: Path, file: Path, report: Path, *, start: float = 0.0, seconds: float | None = None) -> list[float]:
    """Return the peak levels of the first audio stream of `file`, from `start` for `seconds` of its own time; empty without sound."""
    options = {} if seconds is None else {"t": f"{seconds:.6f}"}
    sound = ffmpeg.input(str(file), ss=f"{start:.6f}", **options)["a:0"]
    command = compile_command(with_levels(sound, report).output("-", format="null"), ffmpeg_path)
    run(command, purpose=f"measuring the sound of {file.name}")
    return read_levels(report)


def compare_levels(mix: Sequence[float], output: Sequence[float]) -> list[Finding]:
    """Check that the output has sound where the mix has, and nowhere else."""
    lost = [number for number, level in enumerate(mix) if level > _AUDIBLE and _at(output, number) < level - _LOST]
    foreign = [number for number, level in enumerate(output) if level > _AUDIBLE and _at(mix, number) < SILENCE]
    findings = []
    for first, last in runs(lost):
        if last - first + 1 >= _LEAST_BLOCKS:
            loud, heard = max(mix[first : last + 1]), max(output[first : last + 1], default=-math.inf)
            text = f"{_span(first, last)}: silent ({decibels(heard)}), the mix is at {decibels(loud)}"
            findings.append(Finding("silent", first, last, text))
    for first, last in runs(foreign):
        if last - first + 1 >= _LEAST_BLOCKS:
            text = f"{_span(first, last)}: sound of {decibels(max(output[first : last + 1]))} where the mix is silent"
            findings.append(Finding("unplanned sound", first, last, text))
    return findings


def silent_tracks(
    tracks: Sequence[AudioTrack], mix: Sequence[float], source_level: Callable[[AudioTrack, float, float], float]
) -> list[Finding]:
    """Report tracks that are silent although the plan has them audible and their source has sound.

    `source_level` measures the peak of a track's source, in dBFS, in a window of composition time. It is called only where the mix is
    silent from a track's start to its end, which does not happen in a healthy render.
    """
    findings = []
    for track in tracks:
        for start, end in audible_windows(track, len(mix) * BLOCK_SECONDS):
            first, last = round(start / BLOCK_SECONDS), min(math.ceil(end / BLOCK_SECONDS), len(mix)) - 1
            if last < first or max(mix[first : last + 1]) > SILENCE:
                continue
            level = source_level(track, start, end)
            if level > _AUDIBLE:
                text = f"{start:.3f}-{end:.3f} s: {track.element} is silent, its source {track.file!r} is at {decibels(level)}"
                findings.append(Finding("silent", first, last, text))
    return findings


def audible_windows(track: AudioTrack, seconds: float) -> list[tuple[float, float]]:
    """Return the windows of composition time in which the plan has `track` audible, clipped to a render of `seconds`.

    The gain between two points of an envelope is linear, so a stretch is inaudible only when both its ends are.
    """
    start, end = max(0.0, track.start), min(track.end, seconds)
    if end <= start or track.gain <= _INAUDIBLE_GAIN:
        return []
    if not track.envelope:
        return [(start, end)]
    points = track.envelope
    edges = [(start, points[0].gain), *((point.time, point.gain) for point in points if start < point.time < end), (end, points[-1].gain)]
    windows: list[tuple[float, float]] = []
    for (begin, gain), (stop, next_gain) in pairwise(edges):
        if max(gain, next_gain) <= _INAUDIBLE_GAIN:
            continue
        if windows and windows[-1][1] == begin:
            windows[-1] = (windows[-1][0], stop)
        else:
            windows.append((begin, stop))
    return windows


def decibels(level: float) -> str:
    """Return `-12.3 dBFS`, or `digital silence`."""
    return "digital silence" if level == -math.inf else f"{level:.1f} dBFS"


def _at(levels: Sequence[float], number: int) -> float:
    return levels[number] if number < len(levels) else -math.inf


def _span(first: int, last: int) -> str:
    return f"{first * BLOCK_SECONDS:.2f}-{(last + 1) * BLOCK_SECONDS:.2f} s"
