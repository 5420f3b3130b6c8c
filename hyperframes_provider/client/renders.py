"""Renders on a deployed stack, as the operators, the CLI and the tests see them: prepare, start or adopt, follow, conclude, cancel."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from hyperframes_lambda.contract.config import RenderConfig
from hyperframes_provider.client.aws.calls import Call, Steps, run
from hyperframes_provider.client.aws.connect import Connect, is_loopback
from hyperframes_provider.client.aws.console import execution_url
from hyperframes_provider.client.aws.errors import (
    AccessDenied,
    HyperFramesClientError,
    InvalidRequest,
    RenderCancelled,
    RenderFailed,
    RenderTimedOut,
    error_code,
)
from hyperframes_provider.client.aws.s3 import write_object
from hyperframes_provider.client.execution import executions, listing, logs, map_runs
from hyperframes_provider.client.execution import history as histories
from hyperframes_provider.client.execution.executions import Execution, Started, Status, Stopped
from hyperframes_provider.client.execution.listing import RenderSummary
from hyperframes_provider.client.execution.report import Reporter, cancelled_text, failure_text
from hyperframes_provider.client.execution.result import RenderResult, result_of
from hyperframes_provider.client.execution.watch import Pace, RenderWatch, Snapshot
from hyperframes_provider.client.request import concurrency
from hyperframes_provider.client.request.dialect import OWN
from hyperframes_provider.client.request.project import Project, Upload, upload
from hyperframes_provider.client.request.reference_stack import dialect_of_definition
from hyperframes_provider.client.request.request import PreparedRender, RenderTarget, prepare
from hyperframes_provider.client.stack.stack import describe_stack

Say = Callable[[str], None]
"""Takes one line for a person."""


class RenderClient:
    """Renders over boto3.

    :param connect: where AWS is, see `client.connect`
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    def target(self, stack_name: str) -> RenderTarget:
        """Where the stack of this name renders, and of what kind it is; `StackNotFound` or `StackNotReady` when it cannot."""
        outputs = describe_stack(self._connect, stack_name)
        return RenderTarget(
            outputs.bucket,
            outputs.state_machine_arn,
            outputs.function_arn,
            outputs.dialect,
            takes_limit=outputs.provider_version is not None,
        )

    def target_at(self, bucket: str, state_machine_arn: str) -> RenderTarget:
        """Where this state machine renders, for those who may not look at the stack.

        Its definition says what kind of stack it is; who may not read that either is taken to have deployed one of this provider.
        """
        try:
            machine = run(self._connect, _describe_machine(state_machine_arn))
        except AccessDenied:
            return RenderTarget(bucket, state_machine_arn)
        return RenderTarget(bucket, state_machine_arn, dialect=dialect_of_definition(json.loads(machine["definition"])) or OWN)

    def prepare(
        self,
        target: RenderTarget,
        *,
        project: str | os.PathLike[str] | Project,
        config: RenderConfig,
        output: str | None = None,
        label: str,
        identity: tuple[object, ...],
    ) -> PreparedRender:
        """See `client.request.prepare`."""
        return prepare(target, project=project, config=config, output=output, label=label, identity=identity)

    def upload(self, prepared: PreparedRender) -> Upload:
        """Make sure that project and large variables are on S3; `ProjectNotFound` when an archive that should be there is not."""
        if prepared.variables_json is not None:
            run(self._connect, write_object(prepared.variables, prepared.variables_json, content_type="application/json"))
        return upload(self._connect, prepared.project)

    def start(
        self,
        prepared: PreparedRender,
        *,
        on_begin: Callable[[str], None] = lambda _: None,
        say: Say = lambda _: None,
        warn: Say | None = None,
    ) -> Started:
        """Begin the render, or adopt what an earlier attempt began; see `client.executions.start_or_adopt`.

        :param say: told how many chunks may be rendered at once, and why
        :param warn: told so when it is fewer than were asked for; default: `say`
        :raises NoConcurrency: nothing was started, because nothing could run
        """

        def admit(prepared: PreparedRender) -> Steps[PreparedRender]:
            if not prepared.target.takes_limit:
                return prepared
            asked = prepared.request.config.get("maxParallelChunks")
            decision = yield from concurrency.reconcile(prepared.target.function_arn, asked=asked)
            (warn or say if decision.warning else say)(decision.text)
            return prepared.limited(decision.limit)

        return run(self._connect, executions.start_or_adopt(prepared, on_begin=on_begin, admit=admit))

    def mark_taken(self, execution_arn: str) -> bool:
        """Note that the result was handed over, so that the same request is another render; see `client.executions.mark_taken`."""
        return run(self._connect, executions.mark_taken(self.describe(execution_arn)))

    def describe(self, execution_arn: str) -> Execution:
        """The execution as it stands; `ExecutionNotFound` when there is none."""
        return run(self._connect, executions.describe(execution_arn))

    def find(self, stack_name: str, wanted: str) -> str:
        """The ARN of the render of this name or id on the stack, or of the `latest`; see `client.listing.find_execution`."""
        return run(self._connect, listing.find_execution(self.target(stack_name).state_machine_arn, wanted))

    def recent(self, stack_name: str, *, status: Status | None = None, limit: int = 20) -> list[RenderSummary]:
        """The newest renders of a stack, newest first."""
        machine = self.target(stack_name).state_machine_arn
        return run(self._connect, listing.list_renders(machine, now=datetime.now(UTC), status=status, limit=limit))

    def snapshot(self, watch: RenderWatch) -> Snapshot:
        """Poll once."""
        return run(self._connect, watch.poll())

    def wait(
        self,
        execution_arn: str,
        *,
        poll_interval: float = 10.0,
        deadline: float | None = None,
        say: Say = lambda _: None,
        on_snapshot: Callable[[Snapshot], bool] = lambda _: False,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Snapshot:
        """Follow the execution to its end, or until `on_snapshot` says that it is enough, and return what the last poll found.

        :param poll_interval: seconds between two polls at most; the first ones follow faster
        :param deadline: Unix seconds after which the wait is given up with `RenderTimedOut`; the execution is not stopped
        """
        watch, reporter, pace = RenderWatch(execution_arn), Reporter(), Pace(poll_interval)
        while True:
            try:
                snapshot = self.snapshot(watch)
            except HyperFramesClientError as error:
                delay = pace.after_error(error)
                if delay is None:
                    raise
                say(f"asking again in {delay:.0f} s: {error.message}")
            else:
                for line in reporter.lines(snapshot):
                    say(line)
                if snapshot.execution.status.terminal or on_snapshot(snapshot):
                    return snapshot
                delay = pace.after_answer(snapshot.progress.eta)
            if deadline is not None and time.time() + delay > deadline:
                if time.time() >= deadline:
                    raise timed_out(execution_arn)
                delay = deadline - time.time()
            sleep(max(0.0, delay))

    def conclude(self, execution_arn: str) -> RenderResult:
        """The result of an execution that has ended; raises `RenderFailed` or `RenderCancelled` when there is none."""
        return run(self._connect, conclude(execution_arn, with_console=self.has_console))

    def cancel(self, execution_arn: str, *, cause: str, prepared: PreparedRender | None = None) -> Stopped:
        """Stop the execution and its running chunks. Says what happened instead of raising when it has ended already."""
        return run(self._connect, stop(execution_arn, cause=cause, prepared=prepared))

    def redrive(self, execution_arn: str) -> Started:
        """Go on with a render that ended without an output; see `client.executions.redrive`."""
        return run(self._connect, redrive(execution_arn))

    @property
    def has_console(self) -> bool:
        """Whether the AWS console knows what this client sees: not that of the embedded endpoint."""
        return not is_loopback(self._connect("stepfunctions").meta.endpoint_url)

    def address(self, execution_arn: str) -> str:
        """Where a person finds the execution: its console page, or its ARN where there is no console."""
        return execution_url(execution_arn) if self.has_console else execution_arn


def _describe_machine(state_machine_arn: str) -> Steps[dict[str, Any]]:
    try:
        machine: dict[str, Any] = yield Call("stepfunctions", "describe_state_machine", {"stateMachineArn": state_machine_arn})
    except ClientError as error:
        if error_code(error) in ("StateMachineDoesNotExist", "InvalidArn"):
            raise InvalidRequest(f"there is no state machine {state_machine_arn}", hint="Deploy the stack first.") from error
        raise
    return machine


def conclude(execution_arn: str, *, with_console: bool = True) -> Steps[RenderResult]:
    """The result of an execution that has ended, or the error that says why there is none."""
    watch = RenderWatch(execution_arn)
    snapshot = yield from watch.poll()
    execution = snapshot.execution
    if execution.status is Status.SUCCEEDED:
        memory = {"memory_mb": watch.memory_mb, "coordinator_memory_mb": watch.coordinator_memory_mb}
        return result_of(execution, watch.history, watch.reports, **memory)
    if not execution.status.terminal:
        raise HyperFramesClientError(f"{execution_arn} is still {execution.status}")
    child = yield from map_runs.failing_child(execution)
    if execution.cancelled or (child is not None and child.execution.cancelled):
        raise RenderCancelled(cancelled_text(execution), execution_arn=execution_arn, cause=execution.cause)
    failure = histories.failure_of(execution, watch.history) if child is None else histories.failure_of(child.execution, child.history)
    tail = yield from logs.tail(failure.log_group, failure.since, failure.until, containing=execution.name)
    failure = replace(failure, log_tail=tail)
    raise RenderFailed(failure, execution_arn=execution_arn, text=failure_text(failure, execution_arn, with_console=with_console))


def redrive(execution_arn: str) -> Steps[Started]:
    """Go on with a render as its kind of stack does; see `client.executions.redrive`."""
    dialect = yield from histories.dialect_of(execution_arn)
    return (yield from executions.redrive(execution_arn, dialect=dialect))


def stop(execution_arn: str, *, cause: str, prepared: PreparedRender | None = None) -> Steps[Stopped]:
    """Stop an execution as its kind of stack is stopped; see `client.executions.stop`.

    :param prepared: what was started, when it is known: nothing has to be asked then
    """
    if prepared is None:
        dialect = yield from histories.dialect_of(execution_arn)
        return (yield from executions.stop(execution_arn, cause=cause, dialect=dialect))
    return (yield from executions.stop(execution_arn, cause=cause, prefix=prepared.prefix, dialect=prepared.target.dialect))


def timed_out(execution_arn: str) -> RenderTimedOut:
    """The error for a render that was not done by its deadline."""
    return RenderTimedOut(
        f"the render was not done by its deadline: {execution_arn}", execution_arn=execution_arn, hint="Raise execution_timeout."
    )
