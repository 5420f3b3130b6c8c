"""Exceptions as the command line reports them: a sentence, the next command and an exit code. A bug keeps its traceback."""

from __future__ import annotations

from dataclasses import dataclass

FAILED, WRONG_REQUEST = 1, 2

DOCTOR = "Run `hyperframes-airflow doctor` to inspect this machine."
_HELP = "Run `hyperframes-airflow --help` to see the verbs and their options."
_AGAIN = "Correct the cause, then type the same hyperframes-airflow command again; finished chunks are kept."


class WrongRequest(Exception):
    """The command line asks for something impossible.

    :param hint: the next command to type
    """

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True)
class Fault:
    """An error, ready to report."""

    kind: str
    message: str
    hint: str
    exit_code: int
    code: str = ""
    """For a failed render, its code in the error table."""


def explain(error: Exception) -> Fault | None:
    """Return the fault for `error`, or None if its cause is unknown."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    from hyperframes_lambda.contract.errors import RenderError
    from hyperframes_provider.client.aws.errors import HyperFramesClientError, classify
    from hyperframes_provider.toolset import ToolsetError

    kind = type(error).__name__
    if isinstance(error, (ClientError, BotoCoreError, Boto3Error)):
        error = classify(error)
    if isinstance(error, WrongRequest):
        return Fault(kind, error.message, error.hint, WRONG_REQUEST)
    if isinstance(error, ToolsetError):
        return Fault(kind, error.message, _with_command(error.hint, DOCTOR), FAILED)
    if isinstance(error, RenderError):
        return Fault(error.code.value, error.message, _with_command(error.hint, _HELP), WRONG_REQUEST)
    if isinstance(error, HyperFramesClientError):
        return _of_client(kind, error)
    if kind == "EndpointError":  # its module cannot be imported without the pinned moto
        return Fault(kind, str(error), DOCTOR, FAILED)
    if isinstance(error, OSError) and error.filename is not None:
        return Fault(kind, f"{error.filename}: {error.strerror}", "Check the path, then type the same command again.", WRONG_REQUEST)
    return None


def _of_client(kind: str, error: Exception) -> Fault:
    from hyperframes_provider.client.aws.errors import EndpointUnreachable, ExecutionNotFound, HyperFramesClientError, InvalidRequest
    from hyperframes_provider.client.execution.failure import RenderFailed
    from hyperframes_provider.client.stack.describe import StackNotFound

    assert isinstance(error, HyperFramesClientError)
    if isinstance(error, RenderFailed):
        return Fault(kind, error.message, _AGAIN, FAILED, code=error.failure.error)
    wrong = isinstance(error, (InvalidRequest, StackNotFound, ExecutionNotFound))
    if isinstance(error, EndpointUnreachable):
        fallback = "Start the embedded endpoint: hyperframes-airflow local up"
    else:
        fallback = _HELP if wrong else DOCTOR
    return Fault(kind, error.message, _with_command(error.hint, fallback), WRONG_REQUEST if wrong else FAILED)


def _with_command(hint: str | None, command: str) -> str:
    """Return the hint, extended by `command` if it names none."""
    if hint and ("hyperframes-airflow" in hint or "pip install" in hint):
        return hint
    return f"{hint}\n{command}" if hint else command
