"""Encoder settings and stream descriptions, one row for each codec of segments and sound.

All rows make closed groups of pictures that join by copying: each segment begins with a keyframe, nothing refers across its end, and
decoding order is display order (no B-frames, no hidden alternate reference frames).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Any

from hyperframes_lambda.contract.config import Quality, RenderConfig
from hyperframes_lambda.contract.formats import AudioCodec, VideoCodec


class GopControl(Enum):
    """The way to place an encoder's keyframes."""

    X26X = "x264 and x265"
    LIBVPX = "libvpx"
    INTRA = "every frame is one"


@dataclass(frozen=True)
class Codec:
    """A row: encoder settings, and ffmpeg's description of the result."""

    name: str
    """Name in ffmpeg's description of a stream."""
    muxer: str
    """Muxer of the segments and of the joined output."""
    encoder: dict[str, Any]
    pixels: str
    """Pixel format to encode."""
    decoded: str
    """Pixel format after decoding with `decoder`."""
    gop: GopControl
    ladder: dict[Quality, dict[str, Any]] = field(default_factory=dict)
    """Encoder effort and constant rate factor of each quality."""
    decoder: str | None = None
    """Decoder to use where ffmpeg's own choice would lose the transparency."""
    opaque_from: int | None = None
    """Least opacity (0 to 255) of a visible pixel, for outputs without partial transparency."""
    params: str = ""
    """Name of the option with the encoder's own parameters, and their constant part."""
    tag: str | None = None
    """Four-letter code of the stream in an MP4 file, where several are possible."""
    colour: str = "tv, bt709, progressive"
    """ffmpeg's description of limited-range bt709; unused unless `is_yuv`."""

    @property
    def is_yuv(self) -> bool:
        """Whether colour is converted to limited-range bt709."""
        return self.pixels.startswith("yuv")

    @property
    def alpha(self) -> bool:
        """Whether transparency is kept."""
        return "a" in self.pixels

    @property
    def frame_bytes(self) -> Fraction:
        """Bytes per pixel of a decoded frame."""
        return _PIXEL_BYTES[self.decoded]

    def keyframes(self, frames: int, forced: str | None) -> dict[str, Any]:
        """Return the options for a segment of `frames` frames whose only keyframes are the first and those of the expression `forced`."""
        if self.gop is GopControl.INTRA:
            return {}
        if self.gop is GopControl.LIBVPX:
            return {"g": frames, "keyint_min": frames}
        # Segments must share their parameter sets, which x264 changes for a key interval of one: a single frame gets 2.
        interval = max(2, frames)
        option, _, always = self.params.partition(" ")
        options: dict[str, Any] = {option: f"keyint={interval}:min-keyint={interval}:{always}"}
        return options if forced is None else options | {"force_key_frames": f"expr:{forced}", "forced-idr": 1}

    def ticks(self, fps: Fraction) -> int:
        """Return the ticks per second of the container's clock."""
        return track_timescale(fps) if self.muxer in ("mp4", "mov") else MATROSKA_TICKS

    def container(self, fps: Fraction) -> dict[str, Any]:
        """Return the muxer's options, the same for segments and output."""
        options: dict[str, Any] = {"format": self.muxer}
        if self.muxer in ("mp4", "mov"):
            options["video_track_timescale"] = track_timescale(fps)
        if self.tag is not None:
            options["tag:v"] = self.tag
        if self.muxer == "webm":
            # The muxer itself delays sound that begins before the picture; ffmpeg would move the picture as well.
            options["avoid_negative_ts"] = "disabled"
            if self.alpha:
                options["metadata:s:v:0"] = "alpha_mode=1"
        return options


MATROSKA_TICKS = 1000
"""Matroska and WebM count milliseconds: each frame's exact time is rounded to the nearest one."""

_NO_SEAMS = "scenecut=0:open-gop=0:bframes=0:repeat-headers=1"

_PIXEL_BYTES = {"yuv420p": Fraction(3, 2), "yuva420p": Fraction(5, 2), "yuva444p12le": Fraction(8), "bgra": Fraction(4)}

CODECS: dict[VideoCodec, Codec] = {
    VideoCodec.H264: Codec(
        "h264",
        "mp4",
        {"c:v": "libx264"},
        pixels="yuv420p",
        decoded="yuv420p",
        gop=GopControl.X26X,
        ladder={
            Quality.DRAFT: {"preset": "ultrafast", "crf": 28},
            Quality.STANDARD: {"preset": "medium", "crf": 18},
            Quality.HIGH: {"preset": "slow", "crf": 15},
        },
        params=f"x264-params {_NO_SEAMS}",
    ),
    VideoCodec.H265: Codec(
        "hevc",
        "mp4",
        {"c:v": "libx265"},
        pixels="yuv420p",
        decoded="yuv420p",
        gop=GopControl.X26X,
        ladder={
            Quality.DRAFT: {"preset": "ultrafast", "crf": 28},
            Quality.STANDARD: {"preset": "medium", "crf": 18},
            Quality.HIGH: {"preset": "slow", "crf": 15},
        },
        # Some players stumble over the encoder's self-description at the start of each segment.
        params=f"x265-params {_NO_SEAMS}:info=0:log-level=error",
        # Required by Apple's players.
        tag="hvc1",
    ),
    VideoCodec.VP9: Codec(
        "vp9",
        "webm",
        # Alternate reference frames are excluded, also by transparency; without them look-ahead gains little and delays frames.
        {"c:v": "libvpx-vp9", "auto-alt-ref": 0, "lag-in-frames": 0, "row-mt": 1},
        pixels="yuva420p",
        decoded="yuva420p",
        gop=GopControl.LIBVPX,
        ladder={
            Quality.DRAFT: {"deadline": "realtime", "cpu-used": 8, "crf": 28},
            Quality.STANDARD: {"deadline": "good", "cpu-used": 4, "crf": 18},
            Quality.HIGH: {"deadline": "good", "cpu-used": 2, "crf": 15},
        },
        decoder="libvpx-vp9",
    ),
    VideoCodec.PRORES: Codec(
        "prores",
        "mov",
        {"c:v": "prores_ks", "profile:v": "4444", "vendor": "apl0", "alpha_bits": 16},
        pixels="yuva444p10le",
        decoded="yuva444p12le",
        gop=GopControl.INTRA,
        # ProRes does not store the range, which is always limited.
        colour="bt709, progressive",
    ),
}
"""Presets and constant rate factors are the reference renderer's."""

LOSSLESS = Codec("ffv1", "matroska", {"c:v": "ffv1"}, pixels="bgra", decoded="bgra", gop=GopControl.INTRA, opaque_from=128)
"""Codec of a gif's segments, which are encoded for good only once all are there."""


def codec_of(config: RenderConfig) -> Codec:
    """Return the codec of the segments of a video or an animation."""
    codec = config.video_codec
    return LOSSLESS if codec is None else CODECS[codec]


def track_timescale(fps: Fraction) -> int:
    """Return ticks per second that make every frame time a whole number: 30000 for both 30 and 30000/1001 frames per second."""
    return fps.numerator if fps.denominator != 1 else fps.numerator * 1000


@dataclass(frozen=True)
class Sound:
    """The encoding of sound."""

    name: str
    """Name in ffmpeg's description of a stream."""
    encoder: str
    bitrate: str | None
    """Bits per second; None for lossless sound."""

    @property
    def options(self) -> dict[str, Any]:
        """The encoder's options."""
        return {"c:a": self.encoder} | ({} if self.bitrate is None else {"b:a": self.bitrate})


def sound_of(config: RenderConfig) -> Sound | None:
    """Return the encoding of the output's sound; None when it has none."""
    match config.sound_codec:
        case AudioCodec.AAC:
            return Sound("aac", "aac", config.audio_bitrate or "192k")
        case AudioCodec.OPUS:
            return Sound("opus", "libopus", config.audio_bitrate or "160k")
        case AudioCodec.PCM:
            return Sound("pcm_s24le", "pcm_s24le", None)
    return None


def tagged(command: Sequence[str], out: Path, metadata: Mapping[str, str]) -> list[str]:
    """Return the ffmpeg `command` that writes `out`, with tags; by hand, because ffmpeg-python cannot repeat an option."""
    at = command.index(str(out))
    tags = [("-metadata", f"{_TAG_NAMES.get(name, name)}={text}") for name, text in sorted(metadata.items())]
    return [*command[:at], *itertools.chain.from_iterable(tags), *command[at:]]


_TAG_NAMES = {"author": "artist"}
"""ffmpeg's names for tags that it calls differently."""
