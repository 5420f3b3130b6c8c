"""One Step Functions execution: its state, and how to stop it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from botocore.exceptions import ClientError
from pydantic import ValidationError

from hyperframes_lambda.contract.errors import ErrorCode
from hyperframes_lambda.contract.events import CancelMarker, ExecutionInput
from hyperframes_lambda.contract.formats import OutputFormat
from hyperframes_provider.client.aws.calls import Call, Steps
from hyperframes_provider.client.aws.errors import ExecutionNotFound, InvalidRequest, error_code
from hyperframes_provider.client.aws.s3 import S3Location, parse_s3_uri, write_object
from hyperframes_provider.client.request.dialect import OWN, Dialect

STOP_ERROR = ErrorCode.RENDER_CANCELLED.value
"""Error name of an execution that this client stopped."""

_LONGEST_CAUSE = 32_768


class Status(StrEnum):
    """State of an execution, as Step Functions names it."""

    RUNNING = "RUNNING"
    PENDING_REDRIVE = "PENDING_REDRIVE"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    ABORTED = "ABORTED"

    @property
    def terminal(self) -> bool:
        """Whether nothing runs any more."""
        return self not in (Status.RUNNING, Status.PENDING_REDRIVE)


@dataclass(frozen=True)
class Execution:
    """An answer of DescribeExecution. `error` and `cause` are empty unless the execution was unsuccessful."""

    arn: str
    status: Status
    started: datetime
    stopped: datetime | None
    request: ExecutionInput | None
    """None if the input is not that of a render."""
    output: str
    error: str
    cause: str
    redrivable: bool
    """Whether Step Functions offers to continue it."""

    @property
    def name(self) -> str:
        """The last part of the ARN."""
        return self.arn.rsplit(":", 1)[-1]

    @property
    def cancelled(self) -> bool:
        """Whether it was stopped, or its chunks found a cancel marker."""
        return self.status is Status.ABORTED or (self.status is Status.FAILED and self.error == STOP_ERROR)

    @property
    def stopped_by_us(self) -> bool:
        """Whether this client stopped it. Its cancel marker still exists, so a redrive would find it."""
        return self.cancelled and self.error == STOP_ERROR

    @property
    def render(self) -> ExecutionInput:
        """The input of a render; raise `InvalidRequest` if this is not one."""
        if self.request is None:
            raise InvalidRequest(f"{self.arn} is not a HyperFrames render: its input is that of something else")
        return self.request

    @property
    def prefix(self) -> S3Location:
        """Location of plan, chunks and live signals; raise `InvalidRequest` if this is not a render."""
        return parse_s3_uri(self.render.plan_output_s3_prefix, where="PlanOutputS3Prefix")

    @property
    def output_format(self) -> OutputFormat:
        """Format of the output; raise `InvalidRequest` if this is not a render."""
        return OutputFormat(self.render.config.get("format", OutputFormat.MP4))


@dataclass(frozen=True)
class Stopped:
    """The outcome of a stop."""

    stopped: bool
    """False if the execution had ended already, or never began."""
    marked: bool
    """Whether the cancel marker was written. Without it, a running chunk continues to its end."""
    detail: str = ""


def describe(execution_arn: str) -> Steps[Execution]:
    """Return the execution; raise `ExecutionNotFound` if it does not exist."""
    try:
        answer = yield Call("stepfunctions", "describe_execution", {"executionArn": execution_arn})
    except ClientError as error:
        if is_gone(error):
            raise ExecutionNotFound(
                f"there is no execution {execution_arn}",
                hint="Check account, region and ARN. An embedded endpoint that was restarted has forgotten its executions.",
            ) from error
        raise
    return execution_of(answer)


def is_gone(error: ClientError) -> bool:
    """Whether Step Functions reports that the execution does not exist."""
    return error_code(error) in ("ExecutionDoesNotExist", "InvalidArn")


def execution_of(answer: dict[str, Any]) -> Execution:
    """Return the execution in an answer of DescribeExecution."""
    return Execution(
        arn=answer["executionArn"],
        status=Status(answer["status"]),
        started=answer["startDate"],
        stopped=answer.get("stopDate"),
        request=_request(answer.get("input", "")),
        output=answer.get("output") or "",
        error=answer.get("error") or "",
        cause=answer.get("cause") or "",
        redrivable=answer.get("redriveStatus") == "REDRIVABLE",
    )


def _request(text: str) -> ExecutionInput | None:
    try:
        return ExecutionInput.model_validate_json(text)
    except ValidationError:
        return None


def stop(execution_arn: str, *, cause: str, prefix: S3Location | None = None, dialect: Dialect = OWN) -> Steps[Stopped]:
    """Stop an execution: first the cancel marker, which ends running chunks, then StopExecution, which ends the rest.

    :param cause: who stopped it and why; kept in the execution and in the marker
    :param prefix: location of the render's live signals if known; otherwise the execution is described first
    :param dialect: the kind of stack. One without live signals gets no marker, and its running chunks continue to their end
    """
    cause = cause[:_LONGEST_CAUSE]
    detail = ""
    if prefix is None:
        try:
            execution = yield from describe(execution_arn)
        except ExecutionNotFound as error:
            return Stopped(stopped=False, marked=False, detail=error.message)
        if execution.status.terminal:
            return Stopped(stopped=False, marked=False, detail=f"it had ended already: {execution.status}")
        prefix = execution.prefix
    marked = False
    if dialect.live_signals:
        marker = CancelMarker(execution_name=execution_arn.rsplit(":", 1)[-1], cause=cause).model_dump_json(by_alias=True)
        try:
            yield from write_object(prefix / "cancel", marker.encode(), content_type="application/json")
            marked = True
        except ClientError as error:
            detail = f"no cancel marker: {error}"
    else:
        detail = "running chunks end when they are done: this kind of stack cannot interrupt them"
    try:
        yield Call("stepfunctions", "stop_execution", {"executionArn": execution_arn, "error": STOP_ERROR, "cause": cause})
    except ClientError as error:
        if error_code(error) in ("ExecutionDoesNotExist", "ValidationException"):
            return Stopped(stopped=False, marked=marked, detail=detail or str(error))
        raise
    return Stopped(stopped=True, marked=marked, detail=detail)
