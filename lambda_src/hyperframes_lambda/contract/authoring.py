"""Results of `info`, `check` and `snapshot`: the models between the engine and the command line.

Times are in seconds.
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
    """A URL that the composition requests, and the response."""

    url: str
    status: int
    content_type: str | None = None
    size: int | None = None
    """Bytes; None for a redirect."""


class ProjectInfo(WireModel):
    """A project as Plan inspects it."""

    entry: str
    composition_id: str | None
    width: int
    height: int
    fps: Fps
    duration: float
    frames: int
    files: int
    """Number of the project's files, without those that the engine adds."""
    size: int
    """Bytes of these files."""
    variables: list[DeclaredVariable]
    videos: list[VideoClip]
    audio: list[AudioTrack]
    sources: dict[str, MediaSource]
    remote: list[RemoteAsset]


class Severity(StrEnum):
    """The effect of a finding."""

    ERROR = "error"
    """The project does not render, or its chunks would not match."""
    WARNING = "warning"
    """The project renders, but possibly not as it looks in the author's browser."""


class Finding(WireModel):
    """One fault of a project."""

    severity: Severity
    code: str
    """A code of the error table, or one of `check`'s own names, which are in lower case."""
    message: str
    hint: str | None = None


class CheckReport(WireModel):
    """The findings of `check`. A project without errors renders."""

    findings: list[Finding]
    seconds: float
    """Duration of the check."""

    @property
    def renders(self) -> bool:
        """Whether the project renders: it has no errors."""
        return not any(finding.severity is Severity.ERROR for finding in self.findings)


class MeasuredProject(WireModel):
    """The size of a render, and the cost of a frame on this machine."""

    frames: int
    """Pictures to draw: 1 for a still, 0 for sound alone."""
    width: int
    height: int
    """Height of the output, as `width`."""
    fps: Fps
    duration: float
    """Duration of the composition."""
    capture: float
    """Average seconds to draw a frame."""
    worst: float
    """Seconds to draw the most expensive frame."""
    encode: float
    """Processor seconds to encode a frame."""
    plan_seconds: float
    """Duration of planning."""


class Picture(WireModel):
    """One PNG written by `snapshot`: the frame at `time`."""

    path: str
    frame: int
    time: float


class Failure(WireModel):
    """A `RenderError` as JSON, printed in place of a result."""

    code: str
    message: str
    hint: str | None = None
