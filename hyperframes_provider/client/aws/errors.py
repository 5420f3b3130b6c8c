"""Errors of the client: one class for each kind of fault between this machine and a deployed stack.

Each carries a message and, where possible, a hint about what to do next. Faults of the render itself have the codes of
`hyperframes_lambda.contract.errors`. The operators map these classes to Airflow's exceptions.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError, NoCredentialsError, NoRegionError


class HyperFramesClientError(Exception):
    """Base of every error that `client/` raises for a known cause.

    :param message: the fault, with the offending value
    :param hint: the next thing to type or to change
    """

    retryable = True
    """Whether the same request may succeed later."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message if hint is None else f"{message}\n{hint}")
        self.message = message
        self.hint = hint


class InvalidRequest(HyperFramesClientError):
    """The request is invalid; repeating it cannot succeed."""

    retryable = False


class ProjectNotFound(InvalidRequest):
    """The project's folder or archive does not exist, or has no entry page."""


class ProjectRejected(InvalidRequest):
    """The project cannot be packed, for example because a link leads out of it."""


class RequestTooLarge(InvalidRequest):
    """The execution input exceeds the limit of Step Functions."""


class ServiceError(HyperFramesClientError):
    """AWS refused a call, or failed to answer it.

    :param code: the service's error code; empty without an answer
    :param operation: the API call, such as `StartExecution`
    """

    def __init__(self, message: str, *, code: str = "", operation: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.operation = operation


class Throttled(ServiceError):
    """AWS throttled the call; it can succeed later."""


class AccessDenied(ServiceError):
    """Credentials are missing or lack a permission."""

    retryable = False


class EndpointUnreachable(ServiceError):
    """The endpoint does not answer: no network, or the embedded endpoint is not running."""


class ExecutionNotFound(HyperFramesClientError):
    """The execution does not exist: a mistyped ARN, another region, or an embedded endpoint that restarted and forgot it."""

    retryable = False


_THROTTLED = frozenset(
    {"ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded", "SlowDown", "RequestThrottled"}
)
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnrecognizedClientException", "ExpiredToken", "ExpiredTokenException"})


def error_code(error: ClientError) -> str:
    """Return the service's error code, such as `ExecutionDoesNotExist`."""
    return str(error.response.get("Error", {}).get("Code", ""))


def is_denied(error: ClientError) -> bool:
    """Whether the call failed because of missing or invalid permissions."""
    return error_code(error) in _DENIED


def classify(error: ClientError | BotoCoreError | Boto3Error) -> ServiceError:
    """Return the typed error for one of botocore, or of boto3, which wraps the errors of transfers."""
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
            str(error), hint="Check the connection's endpoint_url. Start the embedded endpoint with: hyperframes-airflow local up"
        )
    return ServiceError(str(error))


@contextmanager
def typed_errors() -> Iterator[None]:
    """Convert exceptions of botocore and boto3 inside the block to those of this module."""
    try:
        yield
    except (ClientError, BotoCoreError, Boto3Error) as error:
        raise classify(error) from error
