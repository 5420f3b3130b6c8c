"""The sound of the whole render in one piece, so that no chunk boundary can be heard. What is heard when, the plan has decided.

Every position is a whole sample that is counted, never a timestamp: a source is decoded once to raw samples, a track is cut out of them
by bytes, changed in tempo and loudness by ffmpeg, and written to its place in a lane by bytes. A lane is a sparse file as long as the
composition and holds tracks that do not overlap; in the end the lanes are added up. Memory is bounded; the disk holds eight bytes a
sample and lane. Muxing into a container is somebody else's business.
"""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import ffmpeg  # type: ignore[import-untyped]  # ffmpeg-python ships no type information

from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.media import AudioTrack, MediaSource
from hyperframes_lambda.contract.plan import Manifest
from hyperframes_lambda.media.audio_gain import MIX_RATE, gain_blocks, gain_curves
from hyperframes_lambda.media.process import compile_command, run, running

TRUE_PEAK_CEILING = -1.0
"""dBTP that the mix may reach. A louder mix is lowered as a whole, by one constant, so that nothing is ever clipped or compressed."""

TRUE_PEAK_TARGET = -1.5
"""dBTP that a mix over the ceiling is lowered to; half a decibel is left for what a lossy encoder adds. The reference has the same two."""

_BOTH_SIDES = "stereo|c0=c0|c1=c0"

_SAMPLE_BYTES = 8
"""Two channels of 32-bit floats."""

_FULLEST = 2.0
"""Times full scale that a source may reach. Decoders of lossy sound overshoot by less; what is louder comes from damage in the file and
would have the whole mix lowered."""

_LOOK_AHEAD = 0.5
"""Seconds of source after a track's end that are offered to tempo change and resampling, which look ahead."""

_SILENCE_DB = -120.0

_COPIED_BYTES = 1 << 20
_PEAK = re.compile(r"Peak:\s+(-?(?:inf|[\d.]+)) dBFS")


def total_samples(frames: int, fps: Fraction) -> int:
    """Length of the mix that belongs to `frames` pictures: `frames / fps` seconds, to the nearest sample."""
    return round(Fraction(frames) / fps * MIX_RATE)


def mix(ffmpeg_path: Path, manifest: Manifest, files: Callable[[str], Path], out: Path) -> None:
    """Write the plan's sound to `out`: WAV, 48 kHz, stereo, 32-bit float, exactly as long as the pictures; without tracks, silence.

    `files` gives the local copy of a key of `Manifest.files`; it is asked for the tracks' sources only. Scratch files lie beside `out`.
    Raises `MEDIA_UNREADABLE` for a source that does not decode, `DISK_FULL`, `ENCODER_CRASHED`.
    """
    total = total_samples(manifest.total_frames, manifest.fps)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as scratch:
        places = [_Place.of(track, total) for track in manifest.audio]
        lanes = assign_lanes([(place.first, place.end) for place in places])
        lane_files = [Path(scratch) / f"lane-{number}" for number in range(max(lanes, default=0) + 1)]
        for lane_file in lane_files:
            with lane_file.open("wb") as lane:
                lane.truncate(total * _SAMPLE_BYTES)
        for file in sorted({track.file for track in manifest.audio}):
            tracks = [number for number, track in enumerate(manifest.audio) if track.file == file]
            source = manifest.sources[file]
            decoded = _decode(ffmpeg_path, files(file), source, [manifest.audio[number] for number in tracks], Path(scratch) / "source")
            for number in tracks:
                _render(ffmpeg_path, manifest.audio[number], places[number], decoded, lane_files[lanes[number]], Path(scratch) / "gain")
            decoded.path.unlink()
        _add_up(ffmpeg_path, lane_files, out)


def assign_lanes(windows: Sequence[tuple[int, int]]) -> list[int]:
    """A lane for each `(first, end)` window, so that no two in one lane overlap; as few lanes as can be."""
    lanes = [0] * len(windows)
    free_from: list[int] = []
    for number in sorted(range(len(windows)), key=lambda number: windows[number]):
        first, end = windows[number]
        lane = next((lane for lane, free in enumerate(free_from) if free <= first), len(free_from))
        free_from[lane : lane + 1] = [end]
        lanes[number] = lane
    return lanes


@dataclass(frozen=True)
class _Place:
    """Where a track lies in the mix: its samples from `first` to before `end`."""

    first: int
    end: int

    @classmethod
    def of(cls, track: AudioTrack, total: int) -> _Place:
        first = min(total, round(track.start * MIX_RATE))
        return cls(first, max(first, min(total, round(track.end * MIX_RATE))))

    @property
    def count(self) -> int:
        return self.end - self.first


@dataclass(frozen=True)
class _Decoded:
    """Raw stereo samples of a source, at its own rate: the source's samples from `origin` on."""

    path: Path
    rate: int
    origin: int
    length: int
    """Number of samples in the file."""
    period_end: int | None
    """The sample before which a loop begins anew, where a picture decides it; None: where the sound ends."""

    def position(self, seconds: float) -> int:
        """The sample at source time `seconds`, counted from `origin`."""
        return round(seconds * self.rate) - self.origin


def _decode(ffmpeg_path: Path, file: Path, source: MediaSource, tracks: Sequence[AudioTrack], out: Path) -> _Decoded:
    """Decode what `tracks` play of `file`, in stereo, at the source's own rate: tempo changes there as the reference has it.

    Timestamps count here only: what starts late is padded, what is missing is silent. Mono goes to both sides at full level and more
    than two channels are folded down as Web Audio does: centre and surround at -3 dB, no low-frequency channel, nothing normalised.
    """
    rate = source.sample_rate
    origin = math.floor(min(track.media_start for track in tracks) * rate)
    stream = ffmpeg.input(str(file))["a:0"].filter("aresample", **{"async": 1, "first_pts": 0}).filter("aformat", sample_fmts="fltp")
    if source.channels == 1:
        stream = stream.filter("pan", args=_BOTH_SIDES)
    trim = {"start_sample": origin}
    if not any(track.loop for track in tracks):
        trim["end_sample"] = max(round(track.media_start * rate) + _played(track, track.end - track.start, rate) for track in tracks)
    stream = stream.filter("aformat", sample_fmts="flt", channel_layouts="stereo", sample_rates=rate)
    stream = stream.filter("volume", volume=1 / _FULLEST, precision="float").filter("asoftclip", type="hard", threshold=1)
    stream = stream.filter("volume", volume=_FULLEST, precision="float").filter("atrim", **trim)
    command = compile_command(stream.output(str(out), format="f32le"), ffmpeg_path, tolerant=True)
    name = f"{tracks[0].element}: the sound of {tracks[0].file!r}"
    try:
        log = run(command, purpose=f"decoding {name}")
    except RenderError as error:
        if error.code is ErrorCode.ENCODER_FAILED:
            raise RenderError(ErrorCode.MEDIA_UNREADABLE, f"{name} does not decode: {error.message}", hint=_REENCODE) from error
        raise
    length = out.stat().st_size // _SAMPLE_BYTES
    if not length and (errors := [line for line in log if "[error]" in line]):
        raise RenderError(ErrorCode.MEDIA_UNREADABLE, f"{name} does not decode: {errors[-1]}", hint=_REENCODE)
    period_end = round(source.duration * rate) - origin if source.video else None
    return _Decoded(out, rate, origin, length, period_end)


_REENCODE = "Play the file from beginning to end in a player; if it breaks off there, encode it anew."


def _played(track: AudioTrack, seconds: float, rate: int) -> int:
    """Source samples that `seconds` of the composition use up, with what the filters look ahead."""
    return math.ceil((seconds + _LOOK_AHEAD) * track.rate * rate)


def _render(ffmpeg_path: Path, track: AudioTrack, place: _Place, decoded: _Decoded, lane: Path, gain_file: Path) -> None:
    """Cut `track` out of its source and write it, as it is heard, to its place in the lane."""
    first = decoded.position(track.media_start)
    end = min(decoded.length, first + _played(track, place.count / MIX_RATE, decoded.rate))
    options: dict[str, Any] = {"format": "f32le", "ar": decoded.rate, "ac": 2}
    if track.loop:
        end = decoded.length if decoded.period_end is None else decoded.period_end
        options["stream_loop"] = -1
        if end > decoded.length:
            # The picture is longer than the sound: silence until it begins anew.
            with decoded.path.open("r+b") as samples:
                samples.truncate(end * _SAMPLE_BYTES)
    if not place.count or first >= end:
        return
    part = f"subfile,,start,{first * _SAMPLE_BYTES},end,{end * _SAMPLE_BYTES},,:{decoded.path}"
    sound = ffmpeg.input(part, **options)
    stages = tempo_stages(track.rate)
    if stages and not track.loop:
        # Without it the last window of a tempo change would be missing.
        sound = sound.filter("apad", pad_len=_played(track, 0.0, decoded.rate))
    for stage in stages:
        sound = sound.filter("atempo", tempo=repr(stage))
    sound = sound.filter("aresample", MIX_RATE).filter("atrim", end_sample=place.count)
    curves = gain_curves(track)
    if curves:
        with gain_file.open("wb") as gains:
            for block in gain_blocks(track.gain, curves, place.first, place.count):
                block.tofile(gains)
        factor = ffmpeg.input(str(gain_file), format="f32le", ar=MIX_RATE, ac=1).filter("pan", args=_BOTH_SIDES)
        sound = ffmpeg.filter([sound, factor], "amultiply")
    elif track.gain != 1:
        sound = sound.filter("volume", volume=repr(track.gain), precision="float")
    command = compile_command(sound.output("pipe:1", format="f32le"), ffmpeg_path)
    left = place.count * _SAMPLE_BYTES
    with running(command, purpose=f"playing {track.element}", listen=True) as player, lane.open("r+b") as samples:
        samples.seek(place.first * _SAMPLE_BYTES)
        stdout = player.process.stdout
        while stdout is not None and (heard := stdout.read(_COPIED_BYTES)):
            samples.write(heard[:left])
            left -= len(heard[:left])
        player.wait()


def tempo_stages(rate: float) -> list[float]:
    """The tempo filters, one after the other, that play at `rate` with the pitch kept: the reference's, each between a half and two."""
    stages: list[float] = []
    while rate < 0.5:
        stages.append(0.5)
        rate /= 0.5
    while rate > 2:
        stages.append(2.0)
        rate /= 2
    return stages if math.isclose(rate, 1) else [*stages, rate]


def _add_up(ffmpeg_path: Path, lanes: Sequence[Path], out: Path) -> None:
    """Add the lanes sample by sample; lower the sum as a whole if its true peak is over the ceiling."""
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
    """dBTP, from the meter's summary."""
    found = next((match for line in reversed(log) if (match := _PEAK.search(line))), None)
    if found is None:
        raise RenderError(ErrorCode.ENCODER_FAILED, "mixing the sound: ffmpeg did not report the true peak")
    return max(_SILENCE_DB, float(found[1]))
