"""Airflow exceptions for the client's errors: an `AirflowFailException` if a retry cannot help, else an `AirflowException`.

Each has its own class, so that a retry policy, or a person reading the log, can tell them apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from hyperframes_lambda.contract.errors import RenderError, Retry
from hyperframes_provider.client.aws import errors
from hyperframes_provider.client.execution.failure import RenderCancelled, RenderFailed, RenderTimedOut


class HyperFramesError(AirflowException):
    """The task failed; a retry may succeed."""


class HyperFramesFatalError(AirflowFailException):
    """The task failed and would fail again, so Airflow does not retry it."""


class HyperFramesRequestError(HyperFramesFatalError):
    """The request is wrong: configuration, project or size."""


class HyperFramesAccessError(HyperFramesFatalError):
    """Credentials or a permission are missing."""


class HyperFramesThrottledError(HyperFramesError):
    """AWS throttled a call."""


class HyperFramesServiceError(HyperFramesError):
    """AWS refused a call, failed it, or did not answer."""


class HyperFramesRenderError(HyperFramesError):
    """The render failed; a retry may succeed."""


class HyperFramesRenderFatalError(HyperFramesFatalError):
    """The render failed, and the same request would fail again."""


class HyperFramesRenderCancelledError(HyperFramesError):
    """The render was stopped."""


class HyperFramesRenderTimeoutError(HyperFramesError):
    """The render missed its deadline."""


def to_airflow(error: errors.HyperFramesClientError | RenderError) -> AirflowException | AirflowFailException:
    """Return the Airflow exception for a client error, with its message."""
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, RenderError):
        fatal = error.spec.retry is Retry.NEVER
        return HyperFramesRequestError(f"{error.code}: {error}") if fatal else HyperFramesRenderError(f"{error.code}: {error}")
    if isinstance(error, RenderFailed):
        return HyperFramesRenderError(text) if error.retryable else HyperFramesRenderFatalError(text)
    for kind, exception in _EXCEPTIONS:
        if isinstance(error, kind):
            return exception(text)
    return HyperFramesError(text) if error.retryable else HyperFramesFatalError(text)


_EXCEPTIONS: tuple[tuple[type[errors.HyperFramesClientError], type[AirflowException]], ...] = (
    (errors.InvalidRequest, HyperFramesRequestError),
    (errors.Throttled, HyperFramesThrottledError),
    (errors.AccessDenied, HyperFramesAccessError),
    (errors.ServiceError, HyperFramesServiceError),
    (RenderCancelled, HyperFramesRenderCancelledError),
    (RenderTimedOut, HyperFramesRenderTimeoutError),
)


@contextmanager
def airflow_errors() -> Iterator[None]:
    """Raise the client errors of the block as Airflow exceptions."""
    try:
        yield
    except (errors.HyperFramesClientError, RenderError) as error:
        raise to_airflow(error) from error
