"""What a trigger tells the task that it wakes."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict


class Outcome(StrEnum):
    """Why the trigger fired."""

    ENDED = "ended"
    """The execution is in a terminal state; whether there is a result is for the task to read."""
    REACHED = "reached"
    """As many chunks are complete as were waited for."""
    DEADLINE = "deadline"
    """The deadline passed first."""
    ERROR = "error"
    """AWS could not be asked any more; `message` says why."""


class RenderEvent(BaseModel):
    """The payload of the trigger's event. Fields of a newer version are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    outcome: Outcome
    execution_arn: str
    status: str = ""
    """The execution's, when it was last seen."""
    message: str = ""
    retryable: bool = True
    """For `ERROR`: whether another attempt of the task may succeed."""
    chunks_done: int = 0
    chunks_total: int | None = None
    frames_done: int = 0
    frames_total: int | None = None

    def to_payload(self) -> dict[str, Any]:
        """Plain JSON, as Airflow stores it."""
        return self.model_dump(mode="json")

    @classmethod
    def of(cls, payload: object) -> RenderEvent:
        """Read a payload back; a missing or foreign one is a `ValueError` of pydantic."""
        return cls.model_validate(payload)
