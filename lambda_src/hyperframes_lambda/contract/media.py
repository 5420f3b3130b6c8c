"""Source video, sound and remote files, as Plan found them and as chunks and Assemble use them.

Times are seconds of the composition unless they are called source times. `file` is always a key of `Manifest.files`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hyperframes_lambda.contract.config import WireModel

SLOWEST_RATE, FASTEST_RATE = 0.1, 10.0
"""Bounds of `data-playback-rate`; a rate outside is moved to the nearer one, as the reference does."""

PlaybackRate = Annotated[float, Field(ge=SLOWEST_RATE, le=FASTEST_RATE)]


class VideoStream(WireModel):
    """The first video stream of a source file."""

    codec: str
    width: int
    height: int
    """As displayed: after rotation, in square pixels."""
    frame_rate: float
    """Average, frames per second; what is shown is resampled to the output's rate."""
    alpha: bool = False
    matrix: str = "bt709"
    """ffmpeg's name of the matrix between YUV and RGB: as the file says, else as Chromium guesses; `gbr` for what is RGB already."""
    hdr: bool = False
    """Whether brightness is coded as PQ or HLG."""
    first: float = 0.0
    """Source time of the first frame."""
    last: float = 0.0
    """Source time of the last frame, which is held."""
    seekable: bool = True
    """Whether reading may begin at a key frame near the moment that is wanted; a container without an index is read from its beginning."""


class MediaSource(WireModel):
    """One source file; a stream that it does not have is None."""

    duration: float
    """Source seconds that can be shown or heard: of the video stream, else of the audio stream."""
    video: VideoStream | None = None
    audio_codec: str | None = None
    sample_rate: int = 48_000
    """Of the audio stream, as it decodes."""
    channels: int = 2
    """Of the audio stream."""
    read_by_page: bool = False
    """Whether a script of the page read the file, too, such as to draw its waveform: then every chunk's page needs it."""


class SpeedPoint(WireModel):
    """A playback rate at a moment; between two points it grows by the same factor every second."""

    time: float
    """Seconds since the clip's start; negative for what lies before it."""
    rate: PlaybackRate


class MediaWindow(WireModel):
    """When and how one element plays one file.

    At composition time `t` in `[start, end)` it is at source time `media_start + (t - start) * rate`, or where `media.time_map` says when
    its speed changes; with `loop`, modulo what lies between `media_start` and the end of the source; else past the end a picture holds its
    last frame and sound is silent.
    """

    element: str
    """How messages call it: `<video id="hero"> in index.html`."""
    file: str
    start: float
    end: float
    media_start: float = 0.0
    rate: PlaybackRate = 1.0
    speed: list[SpeedPoint] = Field(default_factory=list)
    """Stands in the place of `rate` where the speed changes: points in order of time, no two at one. Empty: `rate` throughout."""
    loop: bool = False


class VideoClip(MediaWindow):
    """A `<video>` that shows pictures."""

    index: int
    """The number by which the page scripts know the element: its place among all media elements of the page and its frames."""


class GainPoint(WireModel):
    """Linear gain at a moment; between two points it changes linearly."""

    time: float
    gain: float


class AudioTrack(MediaWindow):
    """An `<audio>`, or the sound of a `<video>`, that is heard."""

    gain: Annotated[float, Field(ge=0)] = 1.0
    """Linear and constant. What is heard is the sound times `gain`, times the `envelope`, times the fades."""
    envelope: list[GainPoint] = Field(default_factory=list)
    """A factor that changes, in composition time; before the first and after the last point it keeps their value. Empty: one throughout."""
    fade_in: Annotated[float, Field(ge=0)] = 0.0
    """Seconds from `start` in which a factor rises linearly from zero to one."""
    fade_out: Annotated[float, Field(ge=0)] = 0.0
    """Seconds before `end` in which a factor falls linearly from one to zero."""


class CaptionFile(WireModel):
    """Captions of the project, passed on beside the output."""

    file: str
    language: str | None = None
    """As the author gives it, such as `de` or `pt-BR`."""


class RemoteResponse(WireModel):
    """What a remote URL answered at plan time, replayed to every chunk."""

    status: int
    headers: dict[str, str] = Field(default_factory=dict)
    """The ones that matter to the page: media type, location, access control; names in lower case."""
    file: str | None = None
    """Key of `Manifest.files` with the body; None for a redirect."""
