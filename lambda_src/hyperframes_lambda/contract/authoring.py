"""What `info`, `check` and `snapshot` say about a project: the models between the engine, which looks, and the command line, which shows.

Times in seconds, sizes in pixels or bytes as the names say.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import Field

from hyperframes_lambda.contract.config import Fps, WireModel
from hyperframes_lambda.contract.media import AudioTrack, MediaSource, VideoClip


class DeclaredVariable(WireModel):
    """One entry of `data-composition-variables`."""

    id: str
    type: str
    label: str | None = None
    default: Any = None
    options: list[Any] = Field(default_factory=list)


class RemoteAsset(WireModel):
    """A URL that the composition asks for, and what it gets."""

    url: str
    status: int
    content_type: str | None = None
    size: int | None = None
    """Bytes; None for a redirect."""


class ProjectInfo(WireModel):
    """A project as Plan sees it."""

    entry: str
    composition_id: str | None
    width: int
    height: int
    fps: Fps
    duration: float
    frames: int
    files: int
    """Files of the project, without what the engine adds to them."""
    size: int
    """Their bytes."""
    variables: list[DeclaredVariable]
    videos: list[VideoClip]
    audio: list[AudioTrack]
    sources: dict[str, MediaSource]
    remote: list[RemoteAsset]


class Severity(StrEnum):
    """Whether a finding keeps the project from being rendered, or right."""

    ERROR = "error"
    """It will not render, or chunks would not match."""
    WARNING = "warning"
    """It renders, but perhaps not what the author sees in a browser."""


class Finding(WireModel):
    """One thing that is wrong with a project."""

    severity: Severity
    code: str
    """A code of the error table, or a name of `check`'s own in lower case."""
    message: str
    hint: str | None = None


class CheckReport(WireModel):
    """What `check` found; a project without errors renders."""

    findings: list[Finding]
    seconds: float
    """How long the look took."""

    @property
    def renders(self) -> bool:
        """Whether nothing that was found keeps the project from rendering."""
        return not any(finding.severity is Severity.ERROR for finding in self.findings)


class MeasuredProject(WireModel):
    """What a render of a project has to do, and what a frame of it takes on the machine that looked."""

    frames: int
    """Pictures to draw: 1 for a still, 0 for sound alone."""
    width: int
    height: int
    """Of the output."""
    fps: Fps
    duration: float
    """Of the composition."""
    capture: float
    """Seconds to draw a frame, on average of those that were drawn."""
    worst: float
    """Seconds for the dearest one."""
    encode: float
    """Seconds of a processor to encode one."""
    plan_seconds: float
    """How long planning took."""


class Picture(WireModel):
    """One PNG that `snapshot` wrote: what the video shows at `time`."""

    path: str
    frame: int
    time: float


class Failure(WireModel):
    """The one document instead of an answer: a `RenderError` in words."""

    code: str
    message: str
    hint: str | None = None
