"""Output formats: one row each, with the codecs of its container, file suffixes and media types.

Requests are checked against this table. `media.codecs` drives the encoders.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from fractions import Fraction
from pathlib import PurePosixPath

FRAME_RATES: tuple[Fraction, ...] = (
    *(Fraction(n) for n in (24, 25, 30, 50, 60, 120)),
    *(Fraction(n * 1000, 1001) for n in (24, 30, 60)),
)
"""Frame rates of a video in frames per second."""

GIF_RATES: tuple[Fraction, ...] = (*(Fraction(n) for n in (10, 12, 15, 20, 24, 25, 30, 50)), *FRAME_RATES[6:8])
"""Frame rates of a gif. Rates below a video's are usual, and players slow down anything faster than one frame in 20 ms."""

_GIF_TICKS = 100
"""Ticks per second of a gif."""


class Kind(Enum):
    """The way in which a format is made."""

    VIDEO = "video"
    """Encoded video segments, joined without encoding again."""
    ANIMATION = "animation"
    """Lossless segments, encoded as a whole because all frames share one palette."""
    SEQUENCE = "sequence"
    """Segments of pictures, kept as captured."""
    STILL = "still"
    """One picture, one segment."""
    SOUND = "sound"
    """No pictures and no segments."""


class VideoCodec(StrEnum):
    """Encodings of pictures."""

    H264 = "h264"
    H265 = "h265"
    VP9 = "vp9"
    PRORES = "prores"


class AudioCodec(StrEnum):
    """Encodings of sound."""

    AAC = "aac"
    OPUS = "opus"
    PCM = "pcm"


CRF_RANGES: dict[VideoCodec, tuple[int, int]] = {VideoCodec.H264: (0, 51), VideoCodec.H265: (0, 51), VideoCodec.VP9: (0, 63)}
"""Constant rate factors of each codec, from best to worst. ProRes has a profile instead."""


class OutputFormat(StrEnum):
    """The file that a render produces."""

    MP4 = "mp4"
    """H.264 or H.265, yuv420p, with AAC or Opus."""
    WEBM = "webm"
    """VP9 with transparency (yuva420p) and Opus."""
    MOV = "mov"
    """ProRes 4444 with transparency, and PCM or AAC, for editing."""
    HLS = "hls"
    """A master playlist, its media playlist and fragmented MP4 segments of H.264 and AAC, side by side."""
    GIF = "gif"
    """One palette for the whole render, each pixel opaque or transparent, silent."""
    PNG_SEQUENCE = "png-sequence"
    """One lossless PNG for each frame, named `000000.png`…, with transparency; one `.tar` when the output is a single object."""
    PNG = "png"
    """One frame, lossless, with transparency."""
    JPEG = "jpeg"
    """One frame, opaque."""
    WEBP = "webp"
    """One frame, with transparency; lossless with the quality `high`."""
    M4A = "m4a"
    """The sound alone, as AAC."""
    WAV = "wav"
    """The sound alone, as PCM."""

    @property
    def spec(self) -> FormatSpec:
        """The format's row."""
        return FORMATS[self]


@dataclass(frozen=True)
class FormatSpec:
    """One row of the table."""

    kind: Kind
    suffix: str
    """Suffix of the output: of a png-sequence's tar, of an HLS master playlist."""
    content_type: str
    segment_suffix: str = ""
    """Suffix of a segment; empty for a format without chunks."""
    codecs: tuple[VideoCodec, ...] = ()
    """Accepted video codecs, the default first."""
    audio_codecs: tuple[AudioCodec, ...] = ()
    """Accepted audio codecs, the default first; none in a silent format."""
    alpha: bool = False
    """Whether frames are captured and kept with transparency."""
    tags: bool = False
    """Whether the container has metadata tags."""
    rates: tuple[Fraction, ...] = FRAME_RATES

    @property
    def even(self) -> bool:
        """Whether width and height must be even, because colour is subsampled."""
        return self.segment_suffix in (".mp4", ".webm")


FORMATS: dict[OutputFormat, FormatSpec] = {
    OutputFormat.MP4: FormatSpec(
        Kind.VIDEO,
        ".mp4",
        "video/mp4",
        ".mp4",
        codecs=(VideoCodec.H264, VideoCodec.H265),
        audio_codecs=(AudioCodec.AAC, AudioCodec.OPUS),
        tags=True,
    ),
    OutputFormat.WEBM: FormatSpec(
        Kind.VIDEO, ".webm", "video/webm", ".webm", codecs=(VideoCodec.VP9,), audio_codecs=(AudioCodec.OPUS,), alpha=True, tags=True
    ),
    OutputFormat.MOV: FormatSpec(
        Kind.VIDEO,
        ".mov",
        "video/quicktime",
        ".mov",
        codecs=(VideoCodec.PRORES,),
        audio_codecs=(AudioCodec.PCM, AudioCodec.AAC),
        alpha=True,
        tags=True,
    ),
    OutputFormat.HLS: FormatSpec(
        Kind.VIDEO, ".m3u8", "application/vnd.apple.mpegurl", ".mp4", codecs=(VideoCodec.H264,), audio_codecs=(AudioCodec.AAC,)
    ),
    OutputFormat.GIF: FormatSpec(Kind.ANIMATION, ".gif", "image/gif", ".mkv", alpha=True, rates=GIF_RATES),
    OutputFormat.PNG_SEQUENCE: FormatSpec(Kind.SEQUENCE, ".tar", "application/x-tar", ".tar", alpha=True),
    OutputFormat.PNG: FormatSpec(Kind.STILL, ".png", "image/png", ".tar", alpha=True),
    OutputFormat.JPEG: FormatSpec(Kind.STILL, ".jpg", "image/jpeg", ".tar"),
    OutputFormat.WEBP: FormatSpec(Kind.STILL, ".webp", "image/webp", ".tar", alpha=True),
    OutputFormat.M4A: FormatSpec(Kind.SOUND, ".m4a", "audio/mp4", audio_codecs=(AudioCodec.AAC,), tags=True),
    OutputFormat.WAV: FormatSpec(Kind.SOUND, ".wav", "audio/wav", audio_codecs=(AudioCodec.PCM,), tags=True),
}

SEGMENT_CONTENT_TYPES = {
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".mov": "video/quicktime",
    ".mkv": "video/x-matroska",
    ".tar": "application/x-tar",
}
"""Media types of segments, by `FormatSpec.segment_suffix`."""


def format_of(suffix: str) -> OutputFormat | None:
    """Return the format whose files end in `suffix` (`.mp4`, in any case; also `.jpeg`), or None."""
    found = {spec.suffix: name for name, spec in FORMATS.items()} | {".jpeg": OutputFormat.JPEG}
    return found.get(suffix.lower())


def base_name(name: str) -> str:
    """Strip the suffix of a known format, to name sidecars: `film.mp4` → `film`, but `week.47` → `week.47`."""
    suffix = PurePosixPath(name).suffix
    return name.removesuffix(suffix) if format_of(suffix) else name


def rate_name(rate: Fraction) -> str:
    """Write a rate as `30` or `30000/1001`."""
    return str(rate.numerator) if rate.denominator == 1 else f"{rate.numerator}/{rate.denominator}"


def rate_names(rates: tuple[Fraction, ...]) -> str:
    """List rates for a message."""
    names = [rate_name(rate) for rate in rates]
    return f"{', '.join(names[:-1])} or {names[-1]}"


def rate_fault(name: OutputFormat, rate: Fraction, *, constant: bool) -> str | None:
    """Explain why `name` cannot have that frame rate; None if it can. With `constant`, all frames must last equally many ticks."""
    rates = name.spec.rates
    if rate not in rates:
        return f"accepted with {name.value}: {rate_names(rates)}"
    if constant and name is OutputFormat.GIF:
        even = tuple(other for other in rates if (_GIF_TICKS / other).denominator == 1)
        if rate not in even:
            return f"a gif counts hundredths of a second; accepted with cfr: {rate_names(even)}"
    return None
