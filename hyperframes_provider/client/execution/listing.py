"""The renders of a stack, newest first, and lookup by id."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError
from pydantic import ValidationError

from hyperframes_lambda.contract.events import AssembleResult
from hyperframes_provider.client.aws.calls import Call, Steps, pages
from hyperframes_provider.client.aws.errors import ExecutionNotFound
from hyperframes_provider.client.execution import executions
from hyperframes_provider.client.execution.executions import Execution, Status
from hyperframes_provider.client.request.names import render_id_of, short_id

LATEST = "latest"
"""Id that stands for the newest render."""

PAGE = 1000
"""Most executions that one ListExecutions returns."""


@dataclass(frozen=True)
class Listed:
    """An execution as ListExecutions returns it."""

    arn: str
    name: str
    status: Status
    started: datetime
    stopped: datetime | None


@dataclass(frozen=True)
class RenderSummary:
    """A render in the list."""

    execution_arn: str
    id: str
    """Short id, as logs show it and as commands accept it."""
    render_id: str
    status: Status
    started: datetime
    stopped: datetime | None
    seconds: float
    """Time from the start to the end, or until now."""
    frames: int | None
    """Frames of the finished video, 0 for sound alone; None until then."""
    output_uri: str
    """URI of the video, finished or not; empty if the execution is not a render."""
    project_uri: str
    error: str
    """Error name; empty unless the render was unsuccessful."""


def list_executions(state_machine_arn: str, *, status: Status | None = None, most: int | None = None) -> Steps[list[Listed]]:
    """Return up to `most` executions, newest first; costs one call per thousand."""
    arguments: dict[str, Any] = {"stateMachineArn": state_machine_arn, "maxResults": min(PAGE, most or PAGE)}
    if status is not None:
        arguments["statusFilter"] = status.value
    found = yield from pages(
        Call("stepfunctions", "list_executions", arguments),
        until=lambda so_far: most is not None and sum(len(page["executions"]) for page in so_far) >= most,
    )
    return [_listed(item) for page in found for item in page["executions"]][:most]


def list_renders(state_machine_arn: str, *, now: datetime, status: Status | None = None, limit: int = 20) -> Steps[list[RenderSummary]]:
    """Return the newest `limit` renders of a stack; costs one more call for each."""
    listed = yield from list_executions(state_machine_arn, status=status, most=limit)
    described = yield from describe_all([item.arn for item in listed])
    return [_summary(execution, now) for execution in described.values()]


def describe_all(arns: list[str]) -> Steps[dict[str, Execution]]:
    """Describe several executions at once and omit those that no longer exist; raise the first other error."""
    answers = yield [Call("stepfunctions", "describe_execution", {"executionArn": arn}) for arn in arns]
    found: dict[str, Execution] = {}
    for arn, answer in zip(arns, answers, strict=True):
        if not isinstance(answer, ClientError):
            found[arn] = executions.execution_of(answer)
        elif not executions.is_gone(answer):
            raise answer
    return found


def find_execution(state_machine_arn: str, wanted: str) -> Steps[str]:
    """Return the ARN of the newest execution with this name, render id or short id; `latest` matches any.

    Raise `ExecutionNotFound` if there is none.
    """
    found = yield from pages(
        Call("stepfunctions", "list_executions", {"stateMachineArn": state_machine_arn, "maxResults": 1 if wanted == LATEST else PAGE}),
        until=lambda so_far: wanted == LATEST or any(_is_named(item, wanted) for item in so_far[-1]["executions"]),
    )
    for item in found[-1]["executions"]:
        if _is_named(item, wanted):
            return str(item["executionArn"])
    raise ExecutionNotFound(
        f"there is no render {wanted!r} among those of {state_machine_arn.rpartition(':')[2]}",
        hint="Run `hyperframes-airflow list` to see them. An embedded endpoint that was restarted has forgotten its renders.",
    )


def _is_named(item: dict[str, Any], wanted: str) -> bool:
    name = str(item["name"])
    return wanted in (LATEST, name, render_id_of(name), short_id(name))


def _listed(item: dict[str, Any]) -> Listed:
    return Listed(item["executionArn"], item["name"], Status(item["status"]), item["startDate"], item.get("stopDate"))


def _summary(execution: Execution, now: datetime) -> RenderSummary:
    request = execution.request
    return RenderSummary(
        execution_arn=execution.arn,
        id=short_id(execution.name),
        render_id=render_id_of(execution.name),
        status=execution.status,
        started=execution.started,
        stopped=execution.stopped,
        seconds=round(((execution.stopped or now) - execution.started).total_seconds(), 1),
        frames=_frames(execution),
        output_uri=request.output_s3_uri if request else "",
        project_uri=request.project_s3_uri if request else "",
        error=execution.error,
    )


def _frames(execution: Execution) -> int | None:
    if execution.status is not Status.SUCCEEDED:
        return None
    try:
        return AssembleResult.model_validate_json(execution.output).frames_encoded
    except ValidationError:
        return None
