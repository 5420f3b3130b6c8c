"""The client's errors as Airflow's: what a retry cannot mend is an `AirflowFailException`, the rest an `AirflowException`.

Each keeps a class name of its own, so that a retry policy, or a person who reads the log, can tell them apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from hyperframes_lambda.contract.errors import RenderError, Retry
from hyperframes_provider.client.aws import errors


class HyperFramesError(AirflowException):
    """The task failed, and a retry may succeed."""


class HyperFramesFatalError(AirflowFailException):
    """The task failed, and would fail the same way again: Airflow does not retry it."""


class HyperFramesRequestError(HyperFramesFatalError):
    """The request is wrong: configuration, project or size."""


class HyperFramesAccessError(HyperFramesFatalError):
    """A permission or credentials are missing."""


class HyperFramesThrottledError(HyperFramesError):
    """AWS asked to call less often."""


class HyperFramesServiceError(HyperFramesError):
    """AWS refused or failed a call, or did not answer."""


class HyperFramesRenderError(HyperFramesError):
    """The render failed in a way that may pass."""


class HyperFramesRenderFatalError(HyperFramesFatalError):
    """The render failed in a way that the same request would repeat."""


class HyperFramesRenderCancelledError(HyperFramesError):
    """The render was stopped."""


class HyperFramesRenderTimeoutError(HyperFramesError):
    """The render was not done by its deadline."""


def to_airflow(error: errors.HyperFramesClientError | RenderError) -> AirflowException | AirflowFailException:
    """The Airflow exception for one of the client's; the message is kept as it is."""
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, RenderError):
        fatal = error.code.retry is Retry.NEVER
        return HyperFramesRequestError(f"{error.code}: {error}") if fatal else HyperFramesRenderError(f"{error.code}: {error}")
    if isinstance(error, errors.RenderFailed):
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
    (errors.RenderCancelled, HyperFramesRenderCancelledError),
    (errors.RenderTimedOut, HyperFramesRenderTimeoutError),
)


@contextmanager
def airflow_errors() -> Iterator[None]:
    """Raise the Airflow exception for each of the client's errors inside the block."""
    try:
        yield
    except (errors.HyperFramesClientError, RenderError) as error:
        raise to_airflow(error) from error
