"""The terms of a drawing job: its folders and tools, the events it reports and the result it hands back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from hyperframes_lambda.contract.segments import Segment
from hyperframes_lambda.machine.tools import Tools


class Job(BaseModel):
    """Settings shared by all runs of an invocation; sent to each worker process as its first line."""

    model_config = ConfigDict(frozen=True)
    plan_dir: Path
    plan_hash: str
    out_dir: Path
    tools: Tools
    deadline: float | None = None
    """Moment by which the work must be done, on the monotonic clock that all processes of a machine share."""
    scratch: Path | None = None


@dataclass(frozen=True)
class FinishedSegment:
    """A verified segment in its place, with its record beside it."""

    segment: Segment
    path: Path
    record: Path
    """Digests and thumbnails of the captured frames, for the verification gate."""
    sha256: str


@dataclass(frozen=True)
class Effort:
    """Seconds spent capturing, without launching and opening, and seconds spent encoding and verifying."""

    capture: float = 0.0
    encode: float = 0.0

    def __add__(self, other: Effort) -> Effort:
        """Return the sum of both."""
        return Effort(self.capture + other.capture, self.encode + other.encode)


@dataclass(frozen=True)
class Events:
    """Callbacks of a run."""

    drawn: Callable[[int], None]
    """Receives the number of frames drawn so far, a few times a second."""
    finished: Callable[[FinishedSegment], None]
    """Receives each finished segment; called from another thread."""
    should_stop: Callable[[], bool]
    """Asked before every frame; a true answer ends the run with `RENDER_CANCELLED`."""
