"""Starting a render: adopt, return, redrive or start anew."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

from botocore.exceptions import ClientError

from hyperframes_provider.client.aws.calls import Call, Steps
from hyperframes_provider.client.aws.errors import ExecutionNotFound, InvalidRequest, ServiceError, error_code
from hyperframes_provider.client.aws.s3 import S3Location, object_size, parse_s3_uri, write_object
from hyperframes_provider.client.execution.executions import Execution, Status, describe
from hyperframes_provider.client.execution.listing import Listed
from hyperframes_provider.client.request import names
from hyperframes_provider.client.request.dialect import OWN, Dialect
from hyperframes_provider.client.request.request import PreparedRender, input_json

_START_RACES = 5
"""Starts that may lose against another attempt before `start_or_adopt` gives up."""


class Action(StrEnum):
    """A way to fulfil a request for a render."""

    ADOPT = "adopt"
    """Wait for the execution that runs."""
    RETURN = "return"
    """Return the result of the execution that succeeded."""
    REDRIVE = "redrive"
    """Continue the execution, or start the next generation where Step Functions refuses."""
    START = "start"
    """Start the next generation, which finds the finished chunks under the same render id."""


Policy: TypeAlias = frozenset[Status]
"""The ends of an execution after which a redrive is wanted."""

RENDER: Policy = frozenset({Status.TIMED_OUT, Status.ABORTED})
"""A request for a render. A failed execution is not redriven: its retries are spent, and a redrive would keep its old definition."""
BATCH: Policy = frozenset()
"""A row of a batch, which knows no more than the latest status."""
REDRIVE: Policy = frozenset({Status.FAILED, Status.TIMED_OUT, Status.ABORTED})
"""An explicit request to continue an unsuccessful execution."""


def decide(status: Status | None, policy: Policy, *, wanted: bool = True, redrivable: bool = False, stopped_by_us: bool = False) -> Action:
    """Decide how to fulfil a request.

    :param status: state of the latest generation, None without one
    :param wanted: whether the result of a succeeded generation still exists and has not been taken
    :param redrivable: whether Step Functions offers to continue it
    :param stopped_by_us: whether its cancel marker is still there, which would end a redrive at once
    """
    if status is None:
        return Action.START
    if not status.terminal:
        return Action.ADOPT
    if status is Status.SUCCEEDED and wanted:
        return Action.RETURN
    return Action.REDRIVE if status in policy and redrivable and not stopped_by_us else Action.START


@dataclass(frozen=True)
class Started:
    """The outcome of a request for a render."""

    execution_arn: str
    how: Literal["started", "adopted", "redriven", "finished"]
    """`adopted`: it was running; `finished`: it had succeeded."""
    because: str = ""
    """The reason why an earlier generation was not used."""


def start_or_adopt(
    prepared: PreparedRender, *, on_begin: Callable[[str], None], admit: Callable[[PreparedRender], Steps[PreparedRender]] | None = None
) -> Steps[Started]:
    """Begin the render, unless an earlier attempt did; the latest generation decides, under the policy `RENDER`.

    A result is returned once: see `mark_taken`.

    :param on_begin: called with the ARN just before the execution is started, redriven or adopted, so that it can be noted before there
        is anything to lose
    :param admit: called only before an execution is started; returns the render to start, or raises to prevent it. None: start it as it is
    """
    machine = prepared.target.state_machine_arn
    for _ in range(_START_RACES):
        generation, latest = yield from _latest(machine, prepared.render_id)
        because = ""
        if latest is not None:
            wanted = latest.status is Status.SUCCEEDED and not (yield from _is_taken(latest, prepared.target.dialect))
            match _decide(latest, RENDER, wanted=wanted):
                case Action.ADOPT:
                    on_begin(latest.arn)
                    return Started(latest.arn, "adopted")
                case Action.RETURN:
                    return Started(latest.arn, "finished")
                case Action.REDRIVE:
                    on_begin(latest.arn)
                    if (yield from _redrive(latest.arn)):
                        return Started(latest.arn, "redriven", because=f"generation {generation} was {latest.status}")
            because = f"generation {generation} is {latest.status}" + (f" ({latest.error})" if latest.error else "")
        if admit is not None:
            prepared = yield from admit(prepared)
        name = names.execution_name(prepared.render_id, generation + 1)
        on_begin(names.execution_arn(machine, name))
        try:
            arn = yield from _start(machine, name, prepared.input_json(generation + 1))
        except ClientError as error:
            if error_code(error) == "ExecutionAlreadyExists":
                continue
            if error_code(error) == "StateMachineDoesNotExist":
                raise ServiceError(
                    f"there is no state machine {machine}", code="StateMachineDoesNotExist", hint="Deploy the stack first."
                ) from error
            raise
        return Started(arn, "started", because=because)
    raise ServiceError(f"other attempts kept starting {prepared.render_id}", code="ExecutionAlreadyExists", operation="StartExecution")


def start_or_skip(prepared: PreparedRender, known: Listed | None, *, on_begin: Callable[[str], None]) -> Steps[Started]:
    """Begin the render of a batch's row, unless it runs or its output exists; the latest generation decides, under the policy `BATCH`.

    :param known: the latest execution in a list. Without one, the first start is tried, and refused if its name is taken
    :param on_begin: called with the ARN just before the execution is started or adopted
    """
    machine, render = prepared.target.state_machine_arn, prepared.render_id
    generation = 0 if known is None else names.generation_of(known.name)
    status = None if known is None else known.status
    while True:
        arn = names.execution_arn(machine, names.execution_name(render, generation))
        wanted = status is Status.SUCCEEDED and (yield from object_size(parse_s3_uri(prepared.output_uri, where="output"))) is not None
        match decide(status, BATCH, wanted=wanted):
            case Action.ADOPT:
                on_begin(arn)
                return Started(arn, "adopted")
            case Action.RETURN:
                return Started(arn, "finished")
        because = "" if status is None else f"generation {generation} is {status}"
        generation += 1
        name = names.execution_name(render, generation)
        arn = names.execution_arn(machine, name)
        on_begin(arn)
        if prepared.variables_json is not None:
            yield from write_object(prepared.variables, prepared.variables_json, content_type="application/json")
        try:
            return Started((yield from _start(machine, name, prepared.input_json(generation))), "started", because=because)
        except ClientError as error:
            if error_code(error) != "ExecutionAlreadyExists":
                raise
        try:
            status = (yield from describe(arn)).status
        except ExecutionNotFound:
            status = Status.FAILED  # forgotten, but its name is still reserved: the next one is free


def redrive(execution_arn: str, *, dialect: Dialect = OWN) -> Steps[Started]:
    """Continue a render that ended without an output; the newest generation decides, under the policy `REDRIVE`.

    Finished chunks are kept either way: by a redrive, or by the next generation with the same input.

    :raises InvalidRequest: the newest generation has succeeded, or is not a render
    """
    execution = yield from describe(execution_arn)
    machine, render = names.state_machine_arn(execution_arn), names.render_id_of(execution_arn)
    newest, latest = yield from _latest(machine, render, names.generation_of(execution_arn))
    execution = latest or execution
    action = _decide(execution, REDRIVE)
    if action is Action.RETURN:
        raise InvalidRequest(f"{execution.arn} has succeeded: there is nothing to redrive", hint="Download its output, or render again.")
    if action is Action.ADOPT:
        return Started(execution.arn, "adopted")
    request = execution.render
    if action is Action.REDRIVE and (yield from _redrive(execution.arn)):
        return Started(execution.arn, "redriven", because=f"it was {execution.status}")
    prefix = request.plan_output_s3_prefix.removesuffix(f"-g{newest}/")
    base = request.model_copy(update={"plan_output_s3_prefix": prefix if prefix.endswith("/") else f"{prefix}/"})
    text = input_json(dialect.input_of(base, newest + 1))
    arn = yield from _start(machine, names.execution_name(render, newest + 1), text)
    return Started(arn, "started", because=f"generation {newest} is {execution.status} and cannot be redriven")


def mark_taken(execution: Execution) -> Steps[bool]:
    """Note beside the render that the execution's result was taken; return False if the note could not be written.

    The note distinguishes a retry after a crash, which takes the lost result, from a cleared task, which wants another render. It is
    stored with the render rather than in Airflow, so that it holds under every version of Airflow and when a run is created anew.
    """
    marker = _taken_marker(execution)
    try:
        yield Call("s3", "put_object", {"Bucket": marker.bucket, "Key": marker.key, "Body": b""})
    except ClientError:
        return False
    return True


def _decide(latest: Execution, policy: Policy, *, wanted: bool = True) -> Action:
    return decide(latest.status, policy, wanted=wanted, redrivable=latest.redrivable, stopped_by_us=latest.stopped_by_us)


def _is_taken(execution: Execution, dialect: Dialect) -> Steps[bool]:
    """Whether a succeeded execution's result was taken. A note expires with its plan: without a plan, it was taken long ago."""
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
    """Return the highest generation from `beyond` on, and its execution if it is higher than `beyond`."""
    generation, latest = beyond, None
    while True:
        try:
            latest = yield from describe(names.execution_arn(machine, names.execution_name(render, generation + 1)))
        except ExecutionNotFound:
            return generation, latest
        generation += 1


def _start(machine: str, name: str, text: str) -> Steps[str]:
    answer = yield Call("stepfunctions", "start_execution", {"stateMachineArn": machine, "name": name, "input": text})
    return str(answer["executionArn"])


def _redrive(execution_arn: str) -> Steps[bool]:
    """Continue an unsuccessful execution; return False if Step Functions refuses (too old, too many events, another definition)."""
    try:
        yield Call("stepfunctions", "redrive_execution", {"executionArn": execution_arn, "clientToken": f"redrive-{uuid.uuid4()}"})
    except ClientError:
        return False
    return True
