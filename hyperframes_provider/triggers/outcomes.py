"""The meaning of a trigger's event for the task: the wait is over, or an error."""

from __future__ import annotations

from hyperframes_provider.client.aws.errors import HyperFramesClientError, ServiceError
from hyperframes_provider.client.execution.failure import RenderTimedOut
from hyperframes_provider.triggers.events import Outcome, RenderEvent


class WaitFailed(HyperFramesClientError):
    """The trigger failed, and another attempt would fail too."""

    retryable = False


def raise_unless_ended(event: RenderEvent) -> None:
    """Raise for a passed deadline and for an error of the trigger; the task itself reports a failed render."""
    if event.outcome is Outcome.DEADLINE:
        raise RenderTimedOut(event.execution_arn)
    if event.outcome is Outcome.ERROR:
        raise ServiceError(event.message) if event.retryable else WaitFailed(event.message)
