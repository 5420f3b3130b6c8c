"""How each codec is driven, and what its streams look like: one row for every codec that segments and sound are encoded with.

All of them make closed groups of pictures that join by copying: each segment begins with a keyframe, nothing refers across its end, and
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
    """How an encoder is told where keyframes go."""

    X26X = "x264 and x265"
    LIBVPX = "libvpx"
    INTRA = "every frame is one"


@dataclass(frozen=True)
class Codec:
    """One row: how pictures are encoded, and how ffmpeg describes the result."""

    name: str
    """As ffmpeg calls it when it describes a stream."""
    muxer: str
    """Of the segments, and of the output that they are joined to."""
    encoder: dict[str, Any]
    pixels: str
    """Pixel format that frames are converted to."""
    decoded: str
    """Pixel format that `decoder` gives."""
    gop: GopControl
    ladder: dict[Quality, dict[str, Any]] = field(default_factory=dict)
    """Encoder effort and constant rate factor of each quality."""
    decoder: str | None = None
    """Where ffmpeg's own choice would lose the transparency."""
    opaque_from: int | None = None
    """Opacity, of 255, from which a pixel is shown at all, where the output knows nothing between clear and opaque."""
    params: str = ""
    """Name of the option with the encoder's own parameters, and what they always are."""
    tag: str | None = None
    """Four-letter code of the stream in an MP4 file, where there is a choice."""
    colour: str = "tv, bt709, progressive"
    """As ffmpeg prints limited-range bt709, where `is_yuv`."""

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
        """Bytes of a pixel of a decoded frame."""
        return _PIXEL_BYTES[self.decoded]

    def keyframes(self, frames: int, forced: str | None) -> dict[str, Any]:
        """Options for a segment of `frames` frames that starts with a keyframe and has no other but where the expression `forced` says."""
        if self.gop is GopControl.INTRA:
            return {}
        if self.gop is GopControl.LIBVPX:
            return {"g": frames, "keyint_min": frames}
        # x264 changes its parameter sets for a key interval of one, and segments must share theirs: hence 2 for a single frame.
        interval = max(2, frames)
        option, _, always = self.params.partition(" ")
        options: dict[str, Any] = {option: f"keyint={interval}:min-keyint={interval}:{always}"}
        return options if forced is None else options | {"force_key_frames": f"expr:{forced}", "forced-idr": 1}

    def ticks(self, fps: Fraction) -> int:
        """Ticks per second of the container's clock."""
        return track_timescale(fps) if self.muxer in ("mp4", "mov") else MATROSKA_TICKS

    def container(self, fps: Fraction) -> dict[str, Any]:
        """Options of the muxer, for a segment as for the output."""
        options: dict[str, Any] = {"format": self.muxer}
        if self.muxer in ("mp4", "mov"):
            options["video_track_timescale"] = track_timescale(fps)
        if self.tag is not None:
            options["tag:v"] = self.tag
        if self.muxer == "webm":
            # The muxer delays sound that begins before the picture by itself; ffmpeg would move the picture as well.
            options["avoid_negative_ts"] = "disabled"
            if self.alpha:
                options["metadata:s:v:0"] = "alpha_mode=1"
        return options


MATROSKA_TICKS = 1000
"""Matroska and WebM count milliseconds: frame times are rounded to the nearest one, each from its own exact time."""

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
        # The encoder's self-description is left out: players stumble over it in front of each segment, and it is of no use to them.
        params=f"x265-params {_NO_SEAMS}:info=0:log-level=error",
        # The one that Apple's players read.
        tag="hvc1",
    ),
    VideoCodec.VP9: Codec(
        "vp9",
        "webm",
        # Without alternate reference frames, which transparency rules out as well, looking ahead brings little and holds frames back.
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
        # ProRes has no word for the range: it is always limited.
        colour="bt709, progressive",
    ),
}
"""Presets and constant rate factors are the reference renderer's."""

LOSSLESS = Codec("ffv1", "matroska", {"c:v": "ffv1"}, pixels="bgra", decoded="bgra", gop=GopControl.INTRA, opaque_from=128)
"""Of segments that are encoded only when all are there: those of a gif."""


def codec_of(config: RenderConfig) -> Codec:
    """The row of the codec that the segments of a video or an animation are encoded with."""
    codec = config.video_codec
    return LOSSLESS if codec is None else CODECS[codec]


def track_timescale(fps: Fraction) -> int:
    """Ticks per second in which every frame time is a whole number: 30000 for 30 as for 30000/1001 frames per second."""
    return fps.numerator if fps.denominator != 1 else fps.numerator * 1000


@dataclass(frozen=True)
class Sound:
    """How sound is encoded."""

    name: str
    """As ffmpeg calls it when it describes a stream."""
    encoder: str
    bitrate: str | None
    """Bits per second; None where nothing is lost."""

    @property
    def options(self) -> dict[str, Any]:
        """The encoder's options."""
        return {"c:a": self.encoder} | ({} if self.bitrate is None else {"b:a": self.bitrate})


def sound_of(config: RenderConfig) -> Sound | None:
    """How the sound of an output of `config` is encoded, None when it has none."""
    match config.sound_codec:
        case AudioCodec.AAC:
            return Sound("aac", "aac", config.audio_bitrate or "192k")
        case AudioCodec.OPUS:
            return Sound("opus", "libopus", config.audio_bitrate or "160k")
        case AudioCodec.PCM:
            return Sound("pcm_s24le", "pcm_s24le", None)
    return None


def tagged(command: Sequence[str], out: Path, metadata: Mapping[str, str]) -> list[str]:
    """The ffmpeg `command` that writes `out`, with tags; by hand, because ffmpeg-python gives an option to an output once only."""
    at = command.index(str(out))
    tags = [("-metadata", f"{_TAG_NAMES.get(name, name)}={text}") for name, text in sorted(metadata.items())]
    return [*command[:at], *itertools.chain.from_iterable(tags), *command[at:]]


_TAG_NAMES = {"author": "artist"}
"""Ours that ffmpeg calls otherwise."""
