"""The event that a trigger sends to the task it wakes."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict


class Outcome(StrEnum):
    """The reason why a trigger fired."""

    ENDED = "ended"
    """The execution is in a terminal state; the task reads its result."""
    REACHED = "reached"
    """Enough chunks are complete."""
    DEADLINE = "deadline"
    """The deadline passed first."""
    ERROR = "error"
    """AWS stopped answering; `message` has the reason."""


class RenderEvent(BaseModel):
    """The payload of a trigger's event. Fields of a newer version are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    outcome: Outcome
    execution_arn: str
    status: str = ""
    """Status of the execution at the last poll."""
    message: str = ""
    retryable: bool = True
    """For `ERROR`: whether another attempt of the task may succeed."""
    chunks_done: int = 0
    chunks_total: int | None = None
    frames_done: int = 0
    frames_total: int | None = None

    def to_payload(self) -> dict[str, Any]:
        """Return plain JSON for Airflow to store."""
        return self.model_dump(mode="json")

    @classmethod
    def of(cls, payload: object) -> RenderEvent:
        """Parse a payload; raise pydantic's `ValidationError` for a missing or foreign one."""
        return cls.model_validate(payload)
