"""One Step Functions execution: what it is, starting or adopting it, stopping it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from botocore.exceptions import ClientError
from pydantic import ValidationError

from hyperframes_lambda.contract.errors import ErrorCode
from hyperframes_lambda.contract.events import CancelMarker, ExecutionInput
from hyperframes_lambda.contract.formats import OutputFormat
from hyperframes_provider.client.aws.calls import Call, Steps
from hyperframes_provider.client.aws.errors import ExecutionNotFound, InvalidRequest, ServiceError, error_code
from hyperframes_provider.client.aws.s3 import S3Location, object_size, parse_s3_uri
from hyperframes_provider.client.request import names
from hyperframes_provider.client.request.dialect import OWN, Dialect
from hyperframes_provider.client.request.request import PreparedRender, input_json

STOP_ERROR = ErrorCode.RENDER_CANCELLED.value
"""Error name of an execution that this client stopped."""

_START_RACES = 5
"""Starts that may lose against another attempt's before we give up."""
_LONGEST_CAUSE = 32_768


class Status(StrEnum):
    """Step Functions' words for the state of an execution."""

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
    """What DescribeExecution says. `error` and `cause` are empty unless the execution was unsuccessful."""

    arn: str
    status: Status
    started: datetime
    stopped: datetime | None
    request: ExecutionInput | None
    """None when the input is not a render's."""
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
        """Whether somebody stopped it, or its chunks found a cancel marker."""
        return self.status is Status.ABORTED or (self.status is Status.FAILED and self.error == STOP_ERROR)

    @property
    def stopped_by_us(self) -> bool:
        """Whether it was this client that stopped it: its cancel marker is still there, so a redrive would find it."""
        return self.cancelled and self.error == STOP_ERROR

    @property
    def prefix(self) -> S3Location:
        """Where plan, chunks and live signals lie; `InvalidRequest` when this is not a render."""
        if self.request is None:
            raise InvalidRequest(f"{self.arn} is not a HyperFrames render: its input has no PlanOutputS3Prefix")
        return parse_s3_uri(self.request.plan_output_s3_prefix, where="PlanOutputS3Prefix")


@dataclass(frozen=True)
class Started:
    """How a request became an execution."""

    execution_arn: str
    how: Literal["started", "adopted", "redriven", "finished"]
    """`adopted`: it was running; `finished`: it had succeeded and its result had not been taken."""
    because: str = ""
    """Why an earlier generation was passed over."""


@dataclass(frozen=True)
class Stopped:
    """What a stop did."""

    stopped: bool
    """False when the execution had ended already, or never began."""
    marked: bool
    """Whether the cancel marker could be written; without it a running chunk goes on to its end."""
    detail: str = ""


def output_format(execution: Execution) -> OutputFormat:
    """What the execution makes; `InvalidRequest` when it is not a render."""
    if execution.request is None:
        raise InvalidRequest(f"{execution.arn} is not a HyperFrames render: its input has no OutputS3Uri")
    return OutputFormat(execution.request.config.get("format", OutputFormat.MP4))


def describe(execution_arn: str) -> Steps[Execution]:
    """The execution; `ExecutionNotFound` when there is none."""
    try:
        answer = yield Call("stepfunctions", "describe_execution", {"executionArn": execution_arn})
    except ClientError as error:
        if says_gone(error):
            raise ExecutionNotFound(
                f"there is no execution {execution_arn}",
                hint="Check account, region and ARN. A restarted embedded endpoint has forgotten its executions.",
            ) from error
        raise
    return execution_of(answer)


def says_gone(error: ClientError) -> bool:
    """Whether Step Functions says that there is no such execution."""
    return error_code(error) in ("ExecutionDoesNotExist", "InvalidArn")


def _as_it_is(prepared: PreparedRender) -> Steps[PreparedRender]:
    return prepared
    yield


def start_or_adopt(
    prepared: PreparedRender, *, on_begin: Callable[[str], None], admit: Callable[[PreparedRender], Steps[PreparedRender]] = _as_it_is
) -> Steps[Started]:
    """Begin the render, unless an earlier attempt did.

    The latest generation decides. RUNNING: adopt it. SUCCEEDED: hand its result over when no attempt has done so (see `mark_taken`),
    else render again. Timed out, or stopped by somebody else: redrive it where Step Functions can, so that nothing finished is repeated.
    Failed, or stopped by us: start the next generation, which finds the finished chunks under the same render id. A failed execution is
    not redriven: its retries are spent, and a redrive would keep to the definition that it began with; the finished chunks are kept anyway.

    :param on_begin: told the ARN just before the execution is started, redriven or adopted: the ARN follows from the name, so it can be
        noted before there is anything that could get lost
    :param admit: asked before an execution is started, and only then: what it returns is started, and what it raises prevents it
    """
    machine = prepared.target.state_machine_arn
    for _ in range(_START_RACES):
        generation, latest = yield from _latest(machine, prepared.render_id)
        because = ""
        if latest is not None:
            if not latest.status.terminal:
                on_begin(latest.arn)
                return Started(latest.arn, "adopted")
            if latest.status is Status.SUCCEEDED and not (yield from _is_taken(latest, prepared.target.dialect)):
                return Started(latest.arn, "finished")
            if latest.redrivable and not latest.stopped_by_us and latest.status in (Status.TIMED_OUT, Status.ABORTED):
                on_begin(latest.arn)
                redriven = yield from _redrive(latest.arn)
                if redriven:
                    return Started(latest.arn, "redriven", because=f"generation {generation} was {latest.status}")
            because = f"generation {generation} is {latest.status}" + (f" ({latest.error})" if latest.error else "")
        prepared = yield from admit(prepared)
        name = names.execution_name(prepared.render_id, generation + 1)
        on_begin(names.execution_arn(machine, name))
        arguments = {"stateMachineArn": machine, "name": name, "input": prepared.input_json(generation + 1)}
        try:
            answer = yield Call("stepfunctions", "start_execution", arguments)
        except ClientError as error:
            if error_code(error) == "ExecutionAlreadyExists":
                continue
            if error_code(error) == "StateMachineDoesNotExist":
                raise ServiceError(
                    f"there is no state machine {machine}", code="StateMachineDoesNotExist", hint="Deploy the stack first."
                ) from error
            raise
        return Started(answer["executionArn"], "started", because=because)
    raise ServiceError(f"other attempts kept starting {prepared.render_id}", code="ExecutionAlreadyExists", operation="StartExecution")


def redrive(execution_arn: str, *, dialect: Dialect = OWN) -> Steps[Started]:
    """Go on with a render that ended without an output; what is finished of it is kept.

    Step Functions redrives the execution where it can. Where it cannot (too old, too long a history), and where a redrive would end at
    once because the cancel marker of this execution is still there, the next generation is started with the same input: it finds the
    finished chunks under the same render id. It is the newest generation that is gone on with; one that runs already is adopted.

    :raises InvalidRequest: it, or a later generation, has succeeded, or it is not a render
    """
    execution = yield from describe(execution_arn)
    machine, render = names.state_machine_arn(execution_arn), names.render_id_of(execution_arn)
    newest, latest = yield from _latest(machine, render, names.generation_of(execution_arn))
    execution = latest or execution
    if execution.status is Status.SUCCEEDED:
        raise InvalidRequest(f"{execution.arn} has succeeded: there is nothing to redrive", hint="Download its output, or render again.")
    if not execution.status.terminal:
        return Started(execution.arn, "adopted")
    if execution.request is None:
        raise InvalidRequest(f"{execution.arn} is not a HyperFrames render: its input has no PlanOutputS3Prefix")
    if execution.redrivable and not execution.stopped_by_us and (yield from _redrive(execution.arn)):
        return Started(execution.arn, "redriven", because=f"it was {execution.status}")
    prefix = execution.request.plan_output_s3_prefix.removesuffix(f"-g{newest}/")
    base = execution.request.model_copy(update={"plan_output_s3_prefix": prefix if prefix.endswith("/") else f"{prefix}/"})
    text = input_json(dialect.input_of(base, newest + 1))
    name = names.execution_name(render, newest + 1)
    answer = yield Call("stepfunctions", "start_execution", {"stateMachineArn": machine, "name": name, "input": text})
    return Started(answer["executionArn"], "started", because=f"generation {newest} is {execution.status} and cannot be redriven")


def mark_taken(execution: Execution) -> Steps[bool]:
    """Note beside the render that the result of this execution was handed over; False when the note could not be written.

    It tells a retry after a crash, which takes the result that got lost, from a task that a user clears, which wants another render. It
    lies with the render and not with Airflow, so that it says the same under every version, and when the run itself is made anew.
    """
    marker = _taken_marker(execution)
    try:
        yield Call("s3", "put_object", {"Bucket": marker.bucket, "Key": marker.key, "Body": b""})
    except ClientError:
        return False
    return True


def _is_taken(execution: Execution, dialect: Dialect) -> Steps[bool]:
    """Whether a succeeded execution's result was handed over. Notes expire, and with them the plan: then it was long ago."""
    noted = yield from object_size(_taken_marker(execution))
    if noted is not None:
        return True
    for plan in dialect.plans:
        found = yield from object_size(execution.prefix / plan)
        if found is not None:
            return False
    return True


def _taken_marker(execution: Execution) -> S3Location:
    return execution.prefix / f"taken/{execution.name}"


def _latest(machine: str, render: str, beyond: int = 0) -> Steps[tuple[int, Execution | None]]:
    """The highest generation that exists beyond a known one, and its execution; that one and None when there is none."""
    generation, latest = beyond, None
    while True:
        try:
            latest = yield from describe(names.execution_arn(machine, names.execution_name(render, generation + 1)))
        except ExecutionNotFound:
            return generation, latest
        generation += 1


def _redrive(execution_arn: str) -> Steps[bool]:
    """Continue an unsuccessful execution; False where Step Functions refuses (too old, too many events, another definition)."""
    try:
        yield Call("stepfunctions", "redrive_execution", {"executionArn": execution_arn, "clientToken": f"redrive-{uuid.uuid4()}"})
    except ClientError:
        return False
    return True


def stop(execution_arn: str, *, cause: str, prefix: S3Location | None = None, dialect: Dialect = OWN) -> Steps[Stopped]:
    """Stop an execution: first the cancel marker, which ends running chunks, then StopExecution, which ends the rest.

    :param cause: who stopped it and why; it is kept in the execution and in the marker
    :param prefix: where the render's live signals lie, when it is known; else the execution is asked
    :param dialect: what kind of stack renders; where nobody looks for a marker there is none, and running chunks end when they are done
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
        marker = prefix / "cancel"
        name = execution_arn.rsplit(":", 1)[-1]
        body = CancelMarker(execution_name=name, cause=cause).model_dump_json(by_alias=True).encode()
        try:
            yield Call("s3", "put_object", {"Bucket": marker.bucket, "Key": marker.key, "Body": body, "ContentType": "application/json"})
            marked = True
        except ClientError as error:
            detail = f"no cancel marker: {error}"
    else:
        detail = "chunks that are running end when they are done: this kind of stack cannot interrupt them"
    try:
        yield Call("stepfunctions", "stop_execution", {"executionArn": execution_arn, "error": STOP_ERROR, "cause": cause})
    except ClientError as error:
        if error_code(error) in ("ExecutionDoesNotExist", "ValidationException"):
            return Stopped(stopped=False, marked=marked, detail=detail or str(error))
        raise
    return Stopped(stopped=True, marked=marked, detail=detail)


def execution_of(answer: dict[str, Any]) -> Execution:
    """What an answer of DescribeExecution says."""
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
