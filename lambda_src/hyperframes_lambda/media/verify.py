"""Check a finished video against its plan: one ffmpeg run lists every packet and, on request, decodes every frame."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import ffmpeg  # type: ignore[import-untyped]  # ffmpeg-python ships no type information

from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.formats import VideoCodec
from hyperframes_lambda.media.codecs import CODECS, Codec, Sound
from hyperframes_lambda.media.process import compile_command, run, serious

_VIDEO = re.compile(
    r"Stream #0:\d+.*: Video: (?P<codec>\w+).*?, (?P<pixels>\w+)(?:\((?P<colour>[^)]*)\))?.*?, (?P<width>\d+)x(?P<height>\d+)"
)
_AUDIO = re.compile(r"Stream #0:\d+.*: Audio: (?P<codec>\w+).*?, (?P<rate>\d+) Hz, (?P<layout>[\w.]+)")
_DURATION = re.compile(r"Duration: (\d+):(\d+):(\d+\.\d+)")
_CENTISECOND = 0.01
_SOUND_FRAME = 1024 / 48_000
_MIX_RATE = "48000"


@dataclass
class Listing:
    """The output of the framecrc muxer: stream 0 holds the packets, stream 1 the decoded frames."""

    time_base: Fraction | None = None
    times: list[int] = field(default_factory=list)
    durations: list[int] = field(default_factory=list)
    keyframes: list[int] = field(default_factory=list)
    decoded_sizes: list[int] = field(default_factory=list)

    def add(self, line: str) -> None:
        """Read a line."""
        if line.startswith("#tb 0: "):
            self.time_base = Fraction(line.removeprefix("#tb 0: "))
        if line.startswith("#"):
            return
        cells = [cell.strip() for cell in line.split(",")]
        if cells[0] == "1":
            self.decoded_sizes.append(int(cells[4]))
            return
        # Only a plain keyframe is printed without flags.
        if not any(cell.startswith("F=") for cell in cells[6:]):
            self.keyframes.append(len(self.times))
        self.times.append(int(cells[2]))
        self.durations.append(int(cells[3]))


@dataclass(frozen=True)
class Described:
    """ffmpeg's description of a file: `colour` as printed, `duration` in seconds or None for a picture."""

    codec: str
    pixels: str
    colour: str
    size: tuple[int, int]
    duration: float | None
    sound: tuple[str, str, str] | None
    """Codec, samples per second and channels."""


def verify_video(
    ffmpeg_path: Path,
    video: Path,
    *,
    fps: Fraction,
    frames: int,
    width: int,
    height: int,
    segment_starts: Sequence[int],
    decode: bool = True,
    codec: Codec = CODECS[VideoCodec.H264],
    sound: Sound | None = None,
) -> dict[str, Any]:
    """Raise `VERIFICATION_FAILED` unless `video` is exactly as planned; return a summary.

    Check that there are `frames` packets, the first at zero and all `1/fps` apart, to the tick; that each frame of `segment_starts` is a
    keyframe; the container's own duration; codec, pixel format, limited-range bt709 and the size; the kind of `sound`, or its absence; and,
    with `decode`, that every frame decodes and no decoder warns.
    """
    listing, found = look(ffmpeg_path, video, decoder=codec.decoder, decode=decode)
    if found.size != (width, height) or (found.codec, found.pixels) != (codec.name, codec.decoded):
        is_now, planned = f"{found.codec} {found.pixels} {found.size[0]}x{found.size[1]}", f"{codec.name} {codec.decoded} {width}x{height}"
        raise wrong(video, f"it is {is_now}; planned: {planned}")
    if codec.is_yuv and found.colour != codec.colour:
        raise wrong(video, f"its colours are tagged {found.colour!r}; planned: {codec.colour!r}")
    _require_sound(video, found, sound)
    require_times(video, listing, fps=fps, frames=frames, ticks=codec.ticks(fps))
    if missing := sorted(set(segment_starts) - set(listing.keyframes)):
        raise wrong(video, f"frame {missing[0]} starts a segment and is not a keyframe; keyframes are {listing.keyframes[:10]}")
    expected = frames / fps
    # A sound encoder pads its last frame.
    longest = expected + _CENTISECOND + (_SOUND_FRAME if sound else 0)
    if found.duration is None or not expected - _CENTISECOND <= found.duration <= longest:
        lasts = "does not declare a duration" if found.duration is None else f"lasts {found.duration:.2f} s"
        raise wrong(video, f"its container {lasts}; planned: {float(expected):.3f} s")
    if decode and (len(listing.decoded_sizes) != frames or set(listing.decoded_sizes) != {width * height * codec.frame_bytes}):
        raise wrong(video, f"{len(listing.decoded_sizes)} frames decode; planned: {frames}")

    summary = {
        "Frames": frames,
        "Duration": round(float(expected), 6),
        "Codec": found.codec,
        "PixelFormat": found.pixels,
        **({"Colour": "bt709 limited"} if codec.is_yuv else {}),
        "Width": width,
        "Height": height,
        "Keyframes": len(listing.keyframes),
        "EvenlySpaced": True,
        **({"AudioCodec": sound.name} if sound else {}),
    }
    return summary | {"DecodedFrames": len(listing.decoded_sizes), "Warnings": 0} if decode else summary


def verify_sound(ffmpeg_path: Path, file: Path, *, duration: float, sound: Sound) -> dict[str, Any]:
    """Raise `VERIFICATION_FAILED` unless `file` holds the planned sound alone, `duration` seconds of it; return a summary."""
    found = describe(file, _log_of(ffmpeg_path, file))
    if found.codec:
        raise wrong(file, f"it holds {found.codec} pictures; planned: sound alone")
    _require_sound(file, found, sound)
    if found.duration is None or abs(found.duration - duration) > _CENTISECOND:
        raise wrong(file, f"it lasts {found.duration} s; planned: {duration:.3f} s")
    return {"Duration": round(duration, 6), "AudioCodec": sound.name}


def look(
    ffmpeg_path: Path, video: Path, *, decoder: str | None = None, decode: bool, harmless: str | None = None
) -> tuple[Listing, Described]:
    """Return the packets of `video` and ffmpeg's description of it; `VERIFICATION_FAILED` when it does not read, or decode, cleanly.

    Complaints that contain `harmless` are ignored.
    """
    listing = Listing()
    source = ffmpeg.input(str(video), **({} if decoder is None else {"c:v": decoder}))
    # Keeps the file's own times: sound that begins before the picture would move both.
    options: dict[str, Any] = {"format": "framecrc", "c:v:0": "copy", "fps_mode": "passthrough", "copyts": None}
    streams = [source["v"]]
    if decode:
        streams.append(source["v"])
        options["c:v:1"] = "rawvideo"
    command = compile_command(ffmpeg.output(*streams, "pipe:1", **options), ffmpeg_path, log_level="info")
    try:
        log = run(command, purpose=f"decoding {video.name}", on_line=listing.add)
    except RenderError as error:
        if error.code is ErrorCode.ENCODER_FAILED:
            raise wrong(video, error.message) from error
        raise
    if complaints := [line for line in serious(log) if harmless is None or harmless not in line]:
        raise wrong(video, "it does not decode cleanly:\n" + "\n".join(complaints[:5]))
    found = describe(video, log)
    if not found.codec:
        raise wrong(video, "it holds no readable video stream")
    return listing, found


def require_times(video: Path, listing: Listing, *, fps: Fraction, frames: int, ticks: int) -> None:
    """Raise `VERIFICATION_FAILED` unless there are `frames` packets, each at the tick nearest to its exact time, the first at zero.

    `ticks` per second is the precision of the container's clock. Where frame times are whole ticks, durations are checked as well.
    """
    if len(listing.times) != frames:
        raise wrong(video, f"it has {len(listing.times)} frames; planned: {frames}")
    if listing.time_base is None:
        raise wrong(video, "its time base is unknown")
    step, tick = 1 / fps, Fraction(1, ticks)
    for number, time in enumerate(listing.times):
        nearest = math.floor(number * step / tick + Fraction(1, 2)) * tick
        if time * listing.time_base != nearest:
            found = float(time * listing.time_base)
            raise wrong(video, f"frame {number} is shown at {found:.6f} s; planned: {float(nearest):.6f} s")
    if (step / tick).denominator == 1:
        odd = next((number for number, duration in enumerate(listing.durations) if duration * listing.time_base != step), None)
        if odd is not None:
            found = float(listing.durations[odd] * listing.time_base)
            raise wrong(video, f"frame {odd} lasts {found:.6f} s; planned: {float(step):.6f} s")


def describe(file: Path, log: Sequence[str]) -> Described:
    """Return the description of the input in a log of ffmpeg; `codec` is empty for an input without pictures."""
    own = log[: next((number for number, line in enumerate(log) if "Output #0" in line), len(log))]
    video = next((match for line in own if (match := _VIDEO.search(line))), None)
    audio = next((match for line in own if (match := _AUDIO.search(line))), None)
    duration = next((match for line in own if (match := _DURATION.search(line))), None)
    if video is None and audio is None:
        raise wrong(file, "it holds no readable video stream")
    hours, minutes, seconds = (float(part) for part in duration.groups()) if duration else (0.0, 0.0, 0.0)
    return Described(
        codec=video["codec"] if video else "",
        pixels=video["pixels"] if video else "",
        colour=(video["colour"] or "") if video else "",
        size=(int(video["width"]), int(video["height"])) if video else (0, 0),
        duration=hours * 3600 + minutes * 60 + seconds if duration else None,
        sound=(audio["codec"], audio["rate"], audio["layout"]) if audio else None,
    )


def wrong(file: Path, found: str) -> RenderError:
    """Return `VERIFICATION_FAILED` for `file`."""
    return RenderError(ErrorCode.VERIFICATION_FAILED, f"{file.name}: {found}")


def _log_of(ffmpeg_path: Path, file: Path) -> list[str]:
    command = compile_command(ffmpeg.input(str(file)).output("pipe:1", format="framecrc", c="copy"), ffmpeg_path, log_level="info")
    return run(command, purpose=f"reading {file.name}", on_line=lambda _: None)


def _require_sound(file: Path, found: Described, sound: Sound | None) -> None:
    planned = None if sound is None else (sound.name, _MIX_RATE, "stereo")
    if found.sound != planned:
        says = "no sound" if found.sound is None else f"{found.sound[0]} at {found.sound[1]} Hz, {found.sound[2]}"
        wanted = "none" if planned is None else f"{planned[0]} at {planned[1]} Hz, {planned[2]}"
        raise wrong(file, f"it has {says}; planned: {wanted}")
