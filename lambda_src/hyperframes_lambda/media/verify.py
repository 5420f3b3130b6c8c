"""Hold a finished video to its plan: every packet listed and every frame decoded by one ffmpeg run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import ffmpeg  # type: ignore[import-untyped]  # ffmpeg-python ships no type information

from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.media.process import compile_command, run, serious

_STREAM = re.compile(r"Stream #0:\d+.*: Video: (?P<codec>\w+).*?, (?P<pixels>\w+)\((?P<colour>[^)]*)\).*?, (?P<width>\d+)x(?P<height>\d+)")
_DURATION = re.compile(r"Duration: (\d+):(\d+):(\d+\.\d+)")
_COLOUR = "tv, bt709, progressive"
_CENTISECOND = 0.01


@dataclass
class _Listing:
    """What the framecrc muxer prints: stream 0 holds the packets, stream 1 the decoded frames."""

    time_base: Fraction | None = None
    times: list[int] = field(default_factory=list)
    durations: list[int] = field(default_factory=list)
    keyframes: list[int] = field(default_factory=list)
    decoded_sizes: list[int] = field(default_factory=list)

    def add(self, line: str) -> None:
        if line.startswith("#tb 0: "):
            self.time_base = Fraction(line.removeprefix("#tb 0: "))
        if line.startswith("#"):
            return
        cells = [cell.strip() for cell in line.split(",")]
        if cells[0] == "1":
            self.decoded_sizes.append(int(cells[4]))
            return
        # Flags are printed for a packet that is anything but a plain keyframe.
        if not any(cell.startswith("F=") for cell in cells[6:]):
            self.keyframes.append(len(self.times))
        self.times.append(int(cells[2]))
        self.durations.append(int(cells[3]))


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
) -> dict[str, Any]:
    """Raise `VERIFICATION_FAILED`, saying what was found, unless `video` is exactly what was planned; return what it is.

    Checked: `frames` packets, the first at zero and all `1/fps` apart; a keyframe at each frame of `segment_starts`; the container's own
    duration; codec h264, yuv420p, limited-range bt709 and the size; with `decode`, that every frame decodes and no decoder warns.
    """
    listing = _Listing()
    source = ffmpeg.input(str(video))
    options: dict[str, Any] = {"format": "framecrc", "c:v:0": "copy", "fps_mode": "passthrough"}
    streams = [source["v"]]
    if decode:
        streams.append(source["v"])
        options["c:v:1"] = "rawvideo"
    command = compile_command(ffmpeg.output(*streams, "pipe:1", **options), ffmpeg_path, log_level="info")
    try:
        log = run(command, purpose=f"decoding {video.name}", on_line=listing.add)
    except RenderError as error:
        if error.code is ErrorCode.ENCODER_FAILED:
            raise _wrong(video, error.message) from error
        raise
    if complaints := serious(log):
        raise _wrong(video, "it does not decode cleanly:\n" + "\n".join(complaints[:5]))

    described = _describe(video, log)
    if described["size"] != (width, height) or (described["codec"], described["pixels"]) != ("h264", "yuv420p"):
        found = "{codec} {pixels} {size[0]}x{size[1]}".format(**described)
        raise _wrong(video, f"it is {found}, planned is h264 yuv420p {width}x{height}")
    if described["colour"] != _COLOUR:
        raise _wrong(video, f"its colours are tagged {described['colour']!r}, planned is {_COLOUR!r}")
    _require_times(video, listing, fps, frames)
    if missing := sorted(set(segment_starts) - set(listing.keyframes)):
        raise _wrong(video, f"frame {missing[0]} starts a segment and is no keyframe; keyframes are {listing.keyframes[:10]}")
    expected = frames / fps
    if abs(described["duration"] - expected) > _CENTISECOND:
        raise _wrong(video, f"its container lasts {described['duration']:.2f} s, planned are {float(expected):.3f} s")
    if decode and (len(listing.decoded_sizes) != frames or set(listing.decoded_sizes) != {width * height * 3 // 2}):
        raise _wrong(video, f"{len(listing.decoded_sizes)} frames decode, planned are {frames}")

    summary = {
        "Frames": frames,
        "Duration": round(float(expected), 6),
        "Codec": described["codec"],
        "PixelFormat": described["pixels"],
        "Colour": "bt709 limited",
        "Width": width,
        "Height": height,
        "Keyframes": len(listing.keyframes),
        "EvenlySpaced": True,
    }
    return summary | {"DecodedFrames": len(listing.decoded_sizes), "Warnings": 0} if decode else summary


def _require_times(video: Path, listing: _Listing, fps: Fraction, frames: int) -> None:
    if len(listing.times) != frames:
        raise _wrong(video, f"it has {len(listing.times)} frames, planned are {frames}")
    if listing.time_base is None:
        raise _wrong(video, "its time base is unknown")
    step = 1 / fps / listing.time_base
    uneven = next((number for number, time in enumerate(listing.times) if time != number * step), None)
    if uneven is not None:
        found = float(listing.times[uneven] * listing.time_base)
        raise _wrong(video, f"frame {uneven} is shown at {found:.6f} s, planned is {float(uneven / fps):.6f} s")
    if odd := next((number for number, duration in enumerate(listing.durations) if duration != step), None):
        raise _wrong(
            video, f"frame {odd} lasts {float(listing.durations[odd] * listing.time_base):.6f} s, planned is {float(1 / fps):.6f} s"
        )


def _describe(video: Path, log: Sequence[str]) -> dict[str, Any]:
    stream = next((match for line in log if (match := _STREAM.search(line))), None)
    duration = next((match for line in log if (match := _DURATION.search(line))), None)
    if stream is None or duration is None:
        raise _wrong(video, "it holds no readable video stream")
    hours, minutes, seconds = (float(part) for part in duration.groups())
    size = (int(stream["width"]), int(stream["height"]))
    return {
        "codec": stream["codec"],
        "pixels": stream["pixels"],
        "colour": stream["colour"],
        "size": size,
        "duration": hours * 3600 + minutes * 60 + seconds,
    }


def _wrong(video: Path, found: str) -> RenderError:
    return RenderError(ErrorCode.VERIFICATION_FAILED, f"{video.name}: {found}")
