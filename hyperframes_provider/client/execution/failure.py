"""Failed, cancelled and overdue renders: the reason, and the errors that report it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from hyperframes_provider.client.aws.errors import HyperFramesClientError
from hyperframes_provider.client.execution.executions import Execution, Status
from hyperframes_provider.client.execution.history import History, json_object, log_group_of
from hyperframes_provider.client.request.dialect import OWN, Dialect


@dataclass(frozen=True)
class Failure:
    """The reason why a render has no output."""

    error: str
    """Error name that Step Functions reports: a code of the error table, or another."""
    message: str
    state: str
    """Name of the failing state; empty if the execution itself ran out of time."""
    chunk: int | None
    attempts: int
    """Attempts at the failing task."""
    log_group: str
    since: datetime
    until: datetime
    """Start and end of the failing attempt."""
    log_tail: tuple[str, ...] = ()
    dialect: Dialect = OWN
    """Kind of stack, which decides the meaning of an error's name."""

    @property
    def retryable(self) -> bool:
        """Whether another attempt may succeed under the stack's retry policy; an unknown error may."""
        return not self.dialect.is_final(self.error)


class RenderFailed(HyperFramesClientError):
    """The render ended without an output; `failure` has the error's name, cause, place and log tail."""

    def __init__(self, failure: Failure, *, execution_arn: str, text: str) -> None:
        super().__init__(text)
        self.failure = failure
        self.execution_arn = execution_arn

    @property
    def retryable(self) -> bool:  # type: ignore[override]  # narrows a class-wide default to this failure's own answer
        """Whether another attempt may succeed."""
        return self.failure.retryable


class RenderCancelled(HyperFramesClientError):
    """The render was stopped: by this provider, or by someone in the console."""

    def __init__(self, message: str, *, execution_arn: str, cause: str = "") -> None:
        super().__init__(message)
        self.execution_arn = execution_arn
        self.cause = cause


class RenderTimedOut(HyperFramesClientError):
    """The render did not end before its deadline."""

    def __init__(self, execution_arn: str) -> None:
        super().__init__(f"the render was not done by its deadline: {execution_arn}", hint="Raise execution_timeout.")
        self.execution_arn = execution_arn


def failure_of(execution: Execution, history: History) -> Failure:
    """Return why `execution` ended without an output, from its history."""
    culprit = next((attempt for attempt in reversed(history.attempts) if attempt.error and attempt.error == execution.error), None)
    if culprit is None and execution.status is Status.TIMED_OUT:
        culprit = next((attempt for attempt in reversed(history.attempts) if attempt.ended is None), None)
    until = execution.stopped or execution.started
    return Failure(
        error=execution.error or ("States.Timeout" if execution.status is Status.TIMED_OUT else str(execution.status)),
        message=message_of(execution.cause) or _default_message(execution),
        state=culprit.state if culprit else "",
        chunk=culprit.chunk if culprit else None,
        attempts=culprit.number if culprit else 1,
        log_group=log_group_of(culprit.function) if culprit and culprit.function else history.log_group,
        since=culprit.started if culprit else execution.started,
        until=(culprit.ended if culprit else None) or until,
        dialect=history.dialect,
    )


def message_of(cause: str) -> str:
    """Return the message in a cause: Lambda writes JSON with `errorMessage`, other sources plain text."""
    return str(json_object(cause).get("errorMessage", cause)).strip()


def _default_message(execution: Execution) -> str:
    if execution.status is Status.TIMED_OUT:
        return "The execution exceeded the time that its state machine allows."
    return f"The execution is {execution.status} and gives no cause."
