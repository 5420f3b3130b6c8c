"""The sound of the whole render, mixed as the plan prescribes and in one piece, so that no chunk boundary can be heard.

Positions are whole samples, counted and never taken from timestamps. Each source is decoded once to raw samples of the mix; each track is
cut out of them by bytes, changed in tempo and loudness by ffmpeg, and written to its place in a lane by bytes. A lane is a sparse file as
long as the composition and holds tracks that do not overlap; finally the lanes are added up. Memory is bounded; each lane takes eight bytes
a sample on disk. Muxing into a container happens elsewhere.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import ffmpeg  # type: ignore[import-untyped]  # ffmpeg-python ships no type information

from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.plan import Manifest
from hyperframes_lambda.media.audio_gain import MIX_RATE, gain_blocks
from hyperframes_lambda.media.audio_source import BOTH_SIDES, SAMPLE_BYTES, DecodedSource, decode
from hyperframes_lambda.media.audio_tempo import Part, parts_of, tempo_stages
from hyperframes_lambda.media.process import close_quietly, compile_command, pipe_of, run, running

TRUE_PEAK_CEILING = -1.0
"""Highest true peak of the mix, in dBTP. A louder mix is lowered as a whole by one constant, so it is never clipped or compressed."""

TRUE_PEAK_TARGET = -1.5
"""True peak to lower a louder mix to: a lossy encoder may add half a decibel. The reference uses the same two values."""

_SILENCE_DB = -120.0

_PEAK = re.compile(r"Peak:\s+(-?(?:inf|[\d.]+)) dBFS")


def total_samples(frames: int, fps: Fraction) -> int:
    """Return the length of the mix for `frames` pictures: `frames / fps` seconds, to the nearest sample."""
    return round(Fraction(frames) / fps * MIX_RATE)


def mix(ffmpeg_path: Path, manifest: Manifest, files: Callable[[str], Path], out: Path) -> None:
    """Write the plan's sound to `out` as WAV: 48 kHz, stereo, 32-bit float, exactly as long as the pictures. Without tracks it is silent.

    `files` returns the local copy of a key of `Manifest.files`, for the tracks' sources only. Scratch files lie beside `out`. Raise
    `MEDIA_UNREADABLE` for a source that does not decode, `DISK_FULL` or `ENCODER_CRASHED`.
    """
    total = total_samples(manifest.total_frames, manifest.fps)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as scratch:
        parts = [part for track in manifest.audio for part in parts_of(track, total)]
        lanes = assign_lanes([(part.first, part.end) for part in parts])
        lane_files = [Path(scratch) / f"lane-{number}" for number in range(max(lanes, default=0) + 1)]
        for lane_file in lane_files:
            with lane_file.open("wb") as lane:
                lane.truncate(total * SAMPLE_BYTES)
        for file in sorted({track.file for track in manifest.audio}):
            own = [(part, lane_files[lane]) for part, lane in zip(parts, lanes, strict=True) if part.track.file == file]
            raw = Path(scratch) / "source"
            element, cuts = own[0][0].track.element, [part.cut for part, _ in own]
            source = decode(ffmpeg_path, files(file), manifest.sources[file], cuts, raw, name=f"{element}: the sound of {file!r}")
            for part, lane_file in own:
                _play(ffmpeg_path, part, source, lane_file, Path(scratch) / "gain")
            raw.unlink()
        _add_up(ffmpeg_path, lane_files, out)


def assign_lanes(windows: Sequence[tuple[int, int]]) -> list[int]:
    """Return a lane for each `(first, end)` window, such that windows in a lane do not overlap, with as few lanes as possible."""
    lanes = [0] * len(windows)
    free_from: list[int] = []
    for number in sorted(range(len(windows)), key=lambda number: windows[number]):
        first, end = windows[number]
        lane = next((lane for lane, free in enumerate(free_from) if free <= first), len(free_from))
        free_from[lane : lane + 1] = [end]
        lanes[number] = lane
    return lanes


def _play(ffmpeg_path: Path, part: Part, source: DecodedSource, lane: Path, gain_file: Path) -> None:
    """Cut `part` out of its source, apply tempo and gain, and write it to its place in the lane."""
    cut, gain = part.cut, part.track.gain
    if not source.sounds(cut):
        return
    sound = ffmpeg.input("pipe:0", format="f32le", ar=MIX_RATE, ac=2)
    for stage in tempo_stages(part.rate):
        sound = sound.filter("atempo", tempo=repr(stage))
    sound = sound.filter("atrim", start_sample=part.lead, end_sample=part.lead + part.count)
    if part.curves:
        with gain_file.open("wb") as gains:
            for block in gain_blocks(gain, part.curves, part.first, part.count):
                block.tofile(gains)
        factor = ffmpeg.input(str(gain_file), format="f32le", ar=MIX_RATE, ac=1).filter("pan", args=BOTH_SIDES)
        sound = ffmpeg.filter([sound, factor], "amultiply")
    elif gain != 1:
        sound = sound.filter("volume", volume=repr(gain), precision="float")
    command = compile_command(sound.output("pipe:1", format="f32le"), ffmpeg_path)
    with lane.open("r+b", buffering=0) as samples:
        samples.seek(part.first * SAMPLE_BYTES)
        with running(command, purpose=f"playing {part.track.element}", feed=True, into=samples) as player:
            stdin = pipe_of(player.process.stdin)
            # ffmpeg may finish before it has read all of the look-ahead.
            with suppress(BrokenPipeError):
                source.write(cut, stdin)
            close_quietly(stdin)
            player.wait()


def _add_up(ffmpeg_path: Path, lanes: Sequence[Path], out: Path) -> None:
    """Add the lanes sample by sample, and lower the sum as a whole if its true peak exceeds the ceiling."""
    inputs = [ffmpeg.input(str(lane), format="f32le", ar=MIX_RATE, ac=2) for lane in lanes]
    whole = inputs[0] if len(inputs) == 1 else ffmpeg.filter(inputs, "amix", inputs=len(inputs), normalize=0)
    summed = out.with_name(f".{out.name}.sum.wav")
    try:
        measured = whole.filter("ebur128", peak="true", framelog="quiet")
        peak = _true_peak(run(compile_command(_wav(measured, summed), ffmpeg_path, log_level="info"), purpose="mixing the sound"))
        if peak <= TRUE_PEAK_CEILING:
            summed.replace(out)
            return
        lowered = ffmpeg.input(str(summed)).filter("volume", volume=f"{TRUE_PEAK_TARGET - peak:.2f}dB", precision="float")
        run(compile_command(_wav(lowered, out), ffmpeg_path), purpose="lowering the sound")
    finally:
        summed.unlink(missing_ok=True)


def _wav(sound: Any, out: Path) -> Any:
    return sound.output(str(out), format="wav", acodec="pcm_f32le", ar=MIX_RATE, ac=2, rf64="auto")


def _true_peak(log: Sequence[str]) -> float:
    """Return the true peak in dBTP from the meter's summary."""
    found = next((match for line in reversed(log) if (match := _PEAK.search(line))), None)
    if found is None:
        raise RenderError(ErrorCode.ENCODER_FAILED, "mixing the sound: ffmpeg did not report the true peak")
    return max(_SILENCE_DB, float(found[1]))
