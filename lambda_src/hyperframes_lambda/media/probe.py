"""Streams, sizes and exact durations of a media file.

The bundle has no ffprobe; ffmpeg's description of a file and its list of packets are enough.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import ffmpeg  # type: ignore[import-untyped]  # ffmpeg-python ships no type information

from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.media import MediaSource, VideoStream
from hyperframes_lambda.media.process import compile_command, environment, run

_STREAM = re.compile(r"^\s*Stream #0:(?P<number>\d+)\S*: (?P<kind>Video|Audio): (?P<codec>\w+)(?P<rest>.*)$")
_SIZE = re.compile(r" (?P<width>[1-9]\d*)x(?P<height>[1-9]\d*)(?:,? \[?SAR (?P<across>\d+):(?P<down>\d+) )?")
_ROTATION = re.compile(r"rotation of (?P<degrees>-?[\d.]+) degrees")
_SAMPLE_RATE = re.compile(r"\b(?P<rate>\d+) Hz, (?P<layout>[\w.()]+)")
_TIME_BASE = re.compile(r"^#tb (?P<stream>\d+): (?P<base>\d+/\d+)$")
_START = re.compile(r"^\s*Duration: \S+, start: (?P<start>-?[\d.]+)")
_LARGEST_SIDE = 16_384
_HEAD = 1024
_TEXT_STARTS = (b"<", b"{", b"#EXTM3U")
_CHANNELS = {"mono": 1, "stereo": 2, "2.1": 3, "3.0": 3, "quad": 4, "4.0": 4, "5.0": 5, "5.1": 6, "6.1": 7, "7.1": 8}
_PIXELS = re.compile(r", (?P<format>[a-z][a-z0-9]+)(?:\((?P<tags>[^)]*)\))?, ")
_RGB_FORMATS = ("rgb", "bgr", "gbr", "argb", "abgr", "pal8", "gray", "ya8", "ya16", "0rgb", "0bgr")
_NOT_COLOURS = re.compile(r"|tv|pc|progressive|(top|bottom) .*first.*")
_MATRICES = frozenset({"bt709", "fcc", "bt470bg", "smpte170m", "smpte240m", "bt2020nc", "bt2020c"})
_HD_LINES = 720
_ALWAYS_SD = frozenset({"vp9", "av1"})
"""Codecs whose untagged streams Chromium shows as standard definition, whatever their size."""
_HDR_TRANSFERS = ("smpte2084", "arib-std-b67")
_ALPHA_PIXELS = re.compile(r"\b(?:yuva|rgba|bgra|argb|abgr|gbrap|ya\d)\w*")


@dataclass
class _Stream:
    """ffmpeg's description of a stream: its line and the lines indented below it."""

    number: int
    kind: str
    codec: str
    line: str
    below: list[str] = field(default_factory=list)


@dataclass
class _Times:
    """Presentation times of a stream's packets, in seconds from the beginning of the file."""

    first: float
    last: float
    end: float
    count: int


def probe(ffmpeg_path: Path, file: Path, what: str) -> MediaSource:
    """Return the streams of `file`; `what` names it in messages, with the element that uses it.

    Raise `NOT_MEDIA_PAYLOAD` for text, `MEDIA_UNREADABLE` for a file that ffmpeg cannot open or that is empty, and `INVALID_VIDEO_METADATA`
    for a video without a size.
    """
    _refuse_text(file, what)
    described = _describe(ffmpeg_path, file)
    streams = list(_streams(described))
    picture = next((stream for stream in streams if stream.kind == "Video" and "(attached pic)" not in stream.line), None)
    sound = next((stream for stream in streams if stream.kind == "Audio"), None)
    if picture is None and sound is None:
        reason = next((line for line in reversed(described) if "Error" in line or "Invalid" in line or "moov" in line), "")
        raise RenderError(
            ErrorCode.MEDIA_UNREADABLE,
            f"{what} holds neither pictures nor sound that ffmpeg can read" + (f": {reason.strip()}" if reason else ""),
            hint="Check that the file is complete, or encode it again, for instance as H.264 in MP4 or VP9 in WebM.",
        )
    times = _packet_times(ffmpeg_path, file, what, [stream.number for stream in (picture, sound) if stream])
    shown = times.get(picture.number) if picture else None
    heard = times.get(sound.number) if sound else None
    if picture and shown is None:
        raise RenderError(ErrorCode.MEDIA_UNREADABLE, f"{what} declares a video stream without any frames", hint=_AGAIN)
    longest = shown or heard
    if longest is None or not longest.end > 0:
        raise RenderError(ErrorCode.MEDIA_UNREADABLE, f"{what} has no duration: it holds no packets", hint=_AGAIN)
    rate = _SAMPLE_RATE.search(sound.line) if sound else None
    return MediaSource(
        duration=longest.end,
        video=_video(picture, shown, what, described) if picture and shown else None,
        audio_codec=sound.codec if sound and heard else None,
        sample_rate=int(rate["rate"]) if rate else 48_000,
        channels=_channels(rate["layout"]) if rate else 2,
    )


_AGAIN = "Encode the file again, for instance with ffmpeg -i FILE -c:v libx264 OUT.mp4."


def _refuse_text(file: Path, what: str) -> None:
    """Refuse pages, which servers send for missing files, and playlists, which could make ffmpeg read other files."""
    with file.open("rb") as content:
        head = content.read(_HEAD).removeprefix(b"\xef\xbb\xbf").lstrip()
    printable = all(byte >= 32 or byte in b"\t\n\r" for byte in head) and b"\x7f" not in head
    if not head or (printable and (head.startswith(_TEXT_STARTS) or head.isascii())):
        found = f"begins with {head[:60].decode('utf-8', 'replace')!r}" if head else "is empty"
        raise RenderError(
            ErrorCode.NOT_MEDIA_PAYLOAD,
            f"{what} is not a media file: it {found}",
            hint="Use the video or sound file itself; a page about it, or a playlist, cannot be rendered.",
        )


def _describe(ffmpeg_path: Path, file: Path) -> list[str]:
    """Return ffmpeg's description of an input, which it prints before it complains about the missing output."""
    command = [str(ffmpeg_path), "-hide_banner", "-nostdin", "-i", str(file)]
    return subprocess.run(command, env=environment(), capture_output=True, check=False).stderr.decode("utf-8", "replace").splitlines()


def before_zero(ffmpeg_path: Path, file: Path) -> dict[str, str]:
    """Return input options that keep times before zero.

    ffmpeg treats the first packet of a file as its beginning. That is right for a recording that begins at some time of day. But sound
    whose first packet only primes the decoder begins before zero, and would delay the pictures beside it.
    """
    start = next((float(match["start"]) for line in _describe(ffmpeg_path, file) if (match := _START.match(line))), 0.0)
    return {"itsoffset": f"{start:.6f}"} if start < 0 else {}


def _streams(lines: list[str]) -> Iterator[_Stream]:
    current: _Stream | None = None
    for line in lines:
        match = _STREAM.match(line)
        if match:
            if current:
                yield current
            current = _Stream(int(match["number"]), match["kind"], match["codec"], match["rest"])
        elif line.lstrip().startswith("Stream #"):
            if current:
                yield current
            current = None
        elif current:
            current.below.append(line)
    if current:
        yield current


def _packet_times(ffmpeg_path: Path, file: Path, what: str, numbers: list[int]) -> dict[int, _Times]:
    """Return the presentation times of the streams' packets, without decoding. A container's own duration is that of its longest stream."""
    source = ffmpeg.input(str(file), **before_zero(ffmpeg_path, file))
    listing = ffmpeg.output(*(source[str(number)] for number in numbers), "pipe:1", c="copy", format="framecrc")
    bases: dict[int, Fraction] = {}
    spans: dict[int, list[int]] = {}

    def read(line: str) -> None:
        base = _TIME_BASE.match(line)
        if base:
            bases[int(base["stream"])] = Fraction(base["base"])
        elif not line.startswith("#"):
            stream, _, pts, length = (int(part) for part in line.split(",")[:4])
            first, last, end, count = spans.get(stream, [pts, pts, pts, 0])
            spans[stream] = [min(first, pts), max(last, pts), max(end, pts + length), count + 1]

    try:
        run(compile_command(listing, ffmpeg_path), purpose=f"reading {what}", on_line=read)
    except RenderError as error:
        if error.code is not ErrorCode.ENCODER_FAILED:
            raise
        raise RenderError(ErrorCode.MEDIA_UNREADABLE, f"{what} cannot be read to its end: {error.message}", hint=_AGAIN) from error
    found = {}
    for place, number in enumerate(numbers):
        if place in spans:
            first, last, end, count = spans[place]
            base = bases[place]
            found[number] = _Times(float(first * base), float(last * base), float(end * base), count)
    return found


def _video(stream: _Stream, times: _Times, what: str, described: list[str]) -> VideoStream:
    size = _SIZE.search(stream.line)
    width, height = (int(size["width"]), int(size["height"])) if size else (0, 0)
    if size is None or not (0 < width <= _LARGEST_SIDE and 0 < height <= _LARGEST_SIDE):
        raise RenderError(
            ErrorCode.INVALID_VIDEO_METADATA, f"{what} does not declare the size of its picture:{stream.line.rstrip()}", hint=_AGAIN
        )
    if size["across"] and int(size["across"]) > 0:
        width = max(1, round(width * int(size["across"]) / int(size["down"])))
    turned = next((float(match["degrees"]) for line in stream.below if (match := _ROTATION.search(line))), 0.0)
    if round(abs(turned)) % 180 == 90:
        width, height = height, width
    span = times.last - times.first
    return VideoStream(
        codec=stream.codec,
        width=width,
        height=height,
        frame_rate=(times.count - 1) / span if span > 0 else 1 / (times.end - times.first) if times.end > times.first else 1.0,
        alpha=_has_alpha(stream),
        matrix=_matrix(stream, height),
        hdr=any(name in stream.line for name in _HDR_TRANSFERS),
        first=max(0.0, times.first),
        last=max(0.0, times.last),
        seekable=_indexed(described),
    )


def _has_alpha(stream: _Stream) -> bool:
    """Whether the pixel format has alpha or, for WebM, a tag declares it: ffmpeg describes only the colour stream there."""
    tagged = any(re.match(r"\s*alpha_mode\s*:\s*1\s*$", line, re.IGNORECASE) for line in stream.below)
    return tagged or _ALPHA_PIXELS.search(stream.line) is not None


def _matrix(stream: _Stream, height: int) -> str:
    """Return the colour matrix: the file's own, else the one that Chromium assumes by height and codec."""
    pixels = _PIXELS.search(stream.line)
    if pixels is None or pixels["format"].startswith(_RGB_FORMATS):
        return "gbr"
    tags = [part.strip() for part in (pixels["tags"] or "").split(",")]
    said = next((part.split("/")[0] for part in tags if not _NOT_COLOURS.fullmatch(part)), "unknown")
    if said in _MATRICES:
        return said
    return "bt709" if height >= _HD_LINES and stream.codec not in _ALWAYS_SD else "smpte170m"


def _indexed(described: list[str]) -> bool:
    """Whether the container lists its keyframes, so that a seek lands on one at or before the requested moment."""
    names = next((line.split(",") for line in described if line.startswith("Input #0, ")), ["", ""])
    return any(name.strip() in ("mov", "mp4", "matroska", "webm") for name in names[1:])


def _channels(layout: str) -> int:
    """Return the number of channels of an ffmpeg channel layout."""
    name = layout.split("(")[0]
    return _CHANNELS.get(name, 2)
