"""Source video, sound and remote files: Plan records them, chunks and Assemble use them.

Times are seconds of the composition unless called source times. `file` is always a key of `Manifest.files`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hyperframes_lambda.contract.config import WireModel

SLOWEST_RATE, FASTEST_RATE = 0.1, 10.0
"""Bounds of `data-playback-rate`. A rate outside is clamped, as in the reference."""

PlaybackRate = Annotated[float, Field(ge=SLOWEST_RATE, le=FASTEST_RATE)]


class VideoStream(WireModel):
    """The first video stream of a source file."""

    codec: str
    width: int
    height: int
    """Displayed height, as `width`: after rotation, in square pixels."""
    frame_rate: float
    """Average frames per second; playback is resampled to the output's rate."""
    alpha: bool = False
    matrix: str = "bt709"
    """ffmpeg's name of the YUV matrix: from the file, else as Chromium guesses; `gbr` for RGB video."""
    hdr: bool = False
    """Whether the transfer function is PQ or HLG."""
    first: float = 0.0
    """Source time of the first frame."""
    last: float = 0.0
    """Source time of the last frame, which is held past the end."""
    seekable: bool = True
    """Whether reading can start at a key frame near the wanted moment. A container without an index is read from its beginning."""


class MediaSource(WireModel):
    """One source file. Missing streams are None."""

    duration: float
    """Source seconds of the video stream, else of the audio stream."""
    video: VideoStream | None = None
    audio_codec: str | None = None
    sample_rate: int = 48_000
    """Sample rate of the decoded audio stream."""
    channels: int = 2
    """Channels of the audio stream."""
    read_by_page: bool = False
    """Whether a script of the page also read the file, for example to draw its waveform. Then every chunk's page needs it."""


class SpeedPoint(WireModel):
    """A playback rate at a moment. Between two points it changes exponentially."""

    time: float
    """Seconds since the clip's start; may be negative."""
    rate: PlaybackRate


class MediaWindow(WireModel):
    """The playback of one file by one element.

    At composition time `t` in `[start, end)` it plays source time `media_start + (t - start) * rate`; `media.time_map` computes it when the
    speed changes. With `loop`, it repeats the source from `media_start` to the end. Without, a picture holds its last frame past the end,
    and sound is silent.
    """

    element: str
    """Name for messages: `<video id="hero"> in index.html`."""
    file: str
    start: float
    end: float
    media_start: float = 0.0
    rate: PlaybackRate = 1.0
    speed: list[SpeedPoint] = Field(default_factory=list)
    """Replaces `rate` when the speed changes: points in order of time, all at different times. Empty: `rate` throughout."""
    loop: bool = False


class VideoClip(MediaWindow):
    """A `<video>` that shows pictures."""

    index: int
    """Number of the element in the page scripts: its position among all media elements of the page and its frames."""


class GainPoint(WireModel):
    """Linear gain at a moment. Between two points it changes linearly."""

    time: float
    gain: float


class AudioTrack(MediaWindow):
    """An audible `<audio>`, or the sound of a `<video>`."""

    gain: Annotated[float, Field(ge=0)] = 1.0
    """Constant linear factor. The output is the sound times `gain`, times the `envelope`, times the fades."""
    envelope: list[GainPoint] = Field(default_factory=list)
    """Changing factor, in composition time; constant before the first point and after the last. Empty: one throughout."""
    fade_in: Annotated[float, Field(ge=0)] = 0.0
    """Seconds after `start` in which a factor rises linearly from zero to one."""
    fade_out: Annotated[float, Field(ge=0)] = 0.0
    """Seconds before `end` in which a factor falls linearly from one to zero."""


class CaptionFile(WireModel):
    """A caption file of the project, to copy beside the output."""

    file: str
    language: str | None = None
    """The author's language tag, such as `de` or `pt-BR`."""


class RemoteResponse(WireModel):
    """The response of a remote URL at plan time, replayed to every chunk."""

    status: int
    headers: dict[str, str] = Field(default_factory=dict)
    """Headers that matter to the page: media type, location, access control. Names are in lower case."""
    file: str | None = None
    """Key of `Manifest.files` for the body; None for a redirect."""
