"""Outcomes of a batch's rows, and its progress."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from hyperframes_provider.client.execution.result import RenderResult


class RowState(StrEnum):
    """State of a row that has been started, or could not be."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    """Its render was stopped."""


@dataclass(frozen=True)
class Outcome:
    """The end of a row."""

    row: int
    state: RowState
    how: Literal["started", "adopted", "redriven", "finished", ""] = ""
    """`finished`: its output existed, and nothing was rendered; empty if it was never started."""
    execution_arn: str = ""
    output_uri: str = ""
    result: RenderResult | None = None
    code: str = ""
    """Error name: a code of the error table if the render failed."""
    message: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return a line of the results file."""
        taken = ("frames", "duration", "bytes", "chunks", "seconds", "cost_usd", "sidecars")
        line: dict[str, Any] = {"row": self.row, "state": self.state.value, "how": self.how, "execution_arn": self.execution_arn}
        line["output_uri"] = self.output_uri
        if self.result is not None:
            line |= {name: getattr(self.result, name) for name in taken}
        if self.code:
            line |= {"code": self.code, "message": self.message}
        return line


@dataclass(frozen=True)
class BatchProgress:
    """Progress of a batch, in rows."""

    total: int
    running: int
    succeeded: int
    failed: int
    cancelled: int
    seconds: float
    """Time since the batch began in this process."""
    eta: float | None
    """Seconds until the last row, at the rate of the rows that were rendered since."""

    @property
    def ended(self) -> int:
        """Rows that have ended."""
        return self.succeeded + self.failed + self.cancelled
