"""What can go wrong between this machine and a deployed stack, as distinct classes.

Each carries a sentence for the person who reads it and, where there is one, the next thing to do. The render's own codes stay in
`hyperframes_lambda.contract.errors`; `RenderFailed` carries one. The operators turn these into Airflow's exceptions.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError, NoCredentialsError, NoRegionError

if TYPE_CHECKING:
    from hyperframes_provider.client.execution.history import Failure


class HyperFramesClientError(Exception):
    """Base of every error that `client/` raises for a known cause.

    :param message: what was wrong, with the value
    :param hint: what to type or change next
    """

    retryable = True
    """Whether the same request may succeed later."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message if hint is None else f"{message}\n{hint}")
        self.message = message
        self.hint = hint


class InvalidRequest(HyperFramesClientError):
    """The request is wrong: repeating it cannot help."""

    retryable = False


class ProjectNotFound(InvalidRequest):
    """The project's folder or archive does not exist, or it has no entry page."""


class ProjectRejected(InvalidRequest):
    """The project cannot be packed: a link leads out of it, or it is over the limits."""


class RequestTooLarge(InvalidRequest):
    """The execution input is over the limit of Step Functions."""


class ServiceError(HyperFramesClientError):
    """AWS refused or failed a call for a reason of its own.

    :param code: the service's error code, empty when there was no answer
    :param operation: the API call, such as `StartExecution`
    """

    def __init__(self, message: str, *, code: str = "", operation: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.operation = operation


class Throttled(ServiceError):
    """AWS asked to call less often; the call succeeds later."""


class AccessDenied(ServiceError):
    """The credentials lack a permission, or there are none."""

    retryable = False


class EndpointUnreachable(ServiceError):
    """Nothing answered: no network, or the embedded endpoint is not up."""


class ExecutionNotFound(HyperFramesClientError):
    """No such execution: a mistyped ARN, another region, or a restarted embedded endpoint, which forgets everything."""

    retryable = False


class RenderFailed(HyperFramesClientError):
    """The render ended without an output; `failure` has the error's name, cause, place and log tail."""

    def __init__(self, failure: Failure, *, execution_arn: str, text: str) -> None:
        super().__init__(text)
        self.failure = failure
        self.execution_arn = execution_arn

    @property
    def retryable(self) -> bool:  # type: ignore[override]  # narrows a class-wide default to this failure's own answer
        """Whether the error table says that another attempt may succeed."""
        return self.failure.retryable


class RenderCancelled(HyperFramesClientError):
    """The render was stopped: by this provider, or by someone in the console."""

    def __init__(self, message: str, *, execution_arn: str, cause: str = "") -> None:
        super().__init__(message)
        self.execution_arn = execution_arn
        self.cause = cause


class RenderTimedOut(HyperFramesClientError):
    """The render was not done by its deadline, and was stopped."""

    def __init__(self, message: str, *, execution_arn: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.execution_arn = execution_arn


_THROTTLED = frozenset(
    {"ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded", "SlowDown", "RequestThrottled"}
)
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnrecognizedClientException", "ExpiredToken", "ExpiredTokenException"})


def error_code(error: ClientError) -> str:
    """The service's own name of the fault, such as `ExecutionDoesNotExist`."""
    return str(error.response.get("Error", {}).get("Code", ""))


def is_denied(error: ClientError) -> bool:
    """Whether the credentials lack a permission."""
    return error_code(error) in _DENIED


def classify(error: ClientError | BotoCoreError | Boto3Error) -> ServiceError:
    """The typed error for one of botocore's, or of boto3's, which wraps those of transfers."""
    if isinstance(error, Boto3Error):
        inner = getattr(error, "last_exception", None) or error.__cause__ or error.__context__
        return classify(inner) if isinstance(inner, (ClientError, BotoCoreError)) else EndpointUnreachable(f"{error}: {inner}")
    if isinstance(error, ClientError):
        code, operation = error_code(error), error.operation_name
        text = f"{operation}: {code}: {error.response.get('Error', {}).get('Message', '')}"
        if code in _THROTTLED:
            return Throttled(text, code=code, operation=operation)
        if code in _DENIED:
            return AccessDenied(text, code=code, operation=operation, hint="Check the connection's credentials and its IAM policy.")
        return ServiceError(text, code=code, operation=operation)
    if isinstance(error, (NoCredentialsError, NoRegionError)):
        return AccessDenied(str(error), hint="Set the credentials and the region of the Airflow connection (aws_conn_id).")
    if isinstance(error, (ConnectionError, HTTPClientError)):
        return EndpointUnreachable(
            str(error), hint="Check the connection's endpoint_url; the embedded endpoint starts with: hyperframes-airflow local up"
        )
    return ServiceError(str(error))


@contextmanager
def typed_errors() -> Iterator[None]:
    """Turn botocore's and boto3's exceptions inside the block into those of this module."""
    try:
        yield
    except (ClientError, BotoCoreError, Boto3Error) as error:
        raise classify(error) from error
