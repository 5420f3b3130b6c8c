"""What a task does with a trigger's event: nothing when the wait is over, else the error that says why it is not."""

from __future__ import annotations

from hyperframes_provider.client.aws.errors import HyperFramesClientError, ServiceError
from hyperframes_provider.client.renders import timed_out
from hyperframes_provider.triggers.events import Outcome, RenderEvent


class WaitFailed(HyperFramesClientError):
    """The trigger could not go on, and another attempt would not either."""

    retryable = False


def raise_unless_ended(event: RenderEvent) -> None:
    """Raise for a deadline or an error; the render's own failure is not the trigger's to tell."""
    if event.outcome is Outcome.DEADLINE:
        raise timed_out(event.execution_arn)
    if event.outcome is Outcome.ERROR:
        raise ServiceError(event.message) if event.retryable else WaitFailed(event.message)
