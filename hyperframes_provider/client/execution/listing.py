"""The renders of a stack: which there are, newest first, and which of them is meant by an id."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError
from pydantic import ValidationError

from hyperframes_lambda.contract.events import AssembleResult
from hyperframes_provider.client.aws.calls import Call, Steps
from hyperframes_provider.client.aws.errors import ExecutionNotFound
from hyperframes_provider.client.execution import executions
from hyperframes_provider.client.execution.executions import Execution, Status
from hyperframes_provider.client.request.names import render_id_of, short_id

LATEST = "latest"
"""The newest render, where an id is asked for."""

PAGE = 1000
"""Executions that one ListExecutions answers at most."""


@dataclass(frozen=True)
class Listed:
    """What ListExecutions says of an execution."""

    arn: str
    name: str
    status: Status
    started: datetime
    stopped: datetime | None


@dataclass(frozen=True)
class RenderSummary:
    """One line of `list`."""

    execution_arn: str
    id: str
    """Short, as logs show it; `progress`, `logs`, `cancel` and the others take it."""
    render_id: str
    status: Status
    started: datetime
    stopped: datetime | None
    seconds: float
    """From the start to the end, or until now."""
    frames: int | None
    """Of the finished video; None until then, and for sound alone 0."""
    output_uri: str
    """Where the video is or will be; empty when the execution is not a render's."""
    project_uri: str
    error: str
    """Name of the error, empty unless it was unsuccessful."""


def list_executions(state_machine_arn: str, *, status: Status | None = None, most: int | None = None) -> Steps[list[Listed]]:
    """The executions, newest first, `most` at most; one call for a thousand of them."""
    arguments: dict[str, Any] = {"stateMachineArn": state_machine_arn, "maxResults": min(PAGE, most or PAGE)}
    if status is not None:
        arguments["statusFilter"] = status.value
    found: list[Listed] = []
    while True:
        answer = yield Call("stepfunctions", "list_executions", arguments)
        found += [_listed(item) for item in answer["executions"]]
        token = answer.get("nextToken")
        if not token or (most is not None and len(found) >= most):
            return found[:most]
        arguments = {**arguments, "nextToken": token}


def list_renders(state_machine_arn: str, *, now: datetime, status: Status | None = None, limit: int = 20) -> Steps[list[RenderSummary]]:
    """The newest `limit` renders of a stack, each with one call for its details."""
    listed = yield from list_executions(state_machine_arn, status=status, most=limit)
    described = yield from describe_all([item.arn for item in listed])
    return [_summary(execution, now) for execution in described.values()]


def describe_all(arns: list[str]) -> Steps[dict[str, Execution]]:
    """Several executions at once; those that are gone meanwhile are left out. Raises what refuses the first of the others."""
    answers = yield [Call("stepfunctions", "describe_execution", {"executionArn": arn}) for arn in arns]
    found: dict[str, Execution] = {}
    for arn, answer in zip(arns, answers, strict=True):
        if not isinstance(answer, ClientError):
            found[arn] = executions.execution_of(answer)
        elif not executions.says_gone(answer):
            raise answer
    return found


def find_execution(state_machine_arn: str, wanted: str) -> Steps[str]:
    """The ARN of the execution that `wanted` names: its name, its render's id, the id that logs show, or `latest`.

    The newest one where it names several; `ExecutionNotFound` when there is none.
    """
    arguments: dict[str, Any] = {"stateMachineArn": state_machine_arn, "maxResults": 1 if wanted == LATEST else PAGE}
    while True:
        answer = yield Call("stepfunctions", "list_executions", arguments)
        for item in _matching(answer["executions"], wanted):
            return str(item["executionArn"])
        if not answer.get("nextToken") or wanted == LATEST:
            break
        arguments = {**arguments, "nextToken": answer["nextToken"]}
    raise ExecutionNotFound(
        f"there is no render {wanted!r} among those of {state_machine_arn.rpartition(':')[2]}",
        hint="Which there are, says: hyperframes-airflow list. A restarted embedded endpoint has forgotten its renders.",
    )


def _matching(items: list[dict[str, Any]], wanted: str) -> Iterator[dict[str, Any]]:
    for item in items:
        name = str(item["name"])
        if wanted in (LATEST, name, render_id_of(name), short_id(name)):
            yield item


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
