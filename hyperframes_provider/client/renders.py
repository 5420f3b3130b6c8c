"""Renders on a deployed stack: prepare, start or adopt, follow, conclude, cancel."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from hyperframes_lambda.contract.config import RenderConfig
from hyperframes_provider.client.aws.calls import Call, Steps, run
from hyperframes_provider.client.aws.connect import Connect, is_loopback
from hyperframes_provider.client.aws.console import execution_url
from hyperframes_provider.client.aws.errors import AccessDenied, InvalidRequest, error_code
from hyperframes_provider.client.aws.s3 import write_object
from hyperframes_provider.client.execution import executions, listing, starting
from hyperframes_provider.client.execution import history as histories
from hyperframes_provider.client.execution.ending import conclude
from hyperframes_provider.client.execution.executions import Execution, Status, Stopped
from hyperframes_provider.client.execution.follow import follow
from hyperframes_provider.client.execution.listing import RenderSummary
from hyperframes_provider.client.execution.result import RenderResult
from hyperframes_provider.client.execution.starting import Started
from hyperframes_provider.client.execution.watch import RenderWatch, Snapshot
from hyperframes_provider.client.request import concurrency
from hyperframes_provider.client.request.dialect import OWN
from hyperframes_provider.client.request.project import Project, Upload, upload
from hyperframes_provider.client.request.reference_stack import dialect_of_definition
from hyperframes_provider.client.request.request import PreparedRender, RenderTarget, prepare
from hyperframes_provider.client.stack.describe import describe_stack

Say = Callable[[str], None]
"""Take one line for a person."""


class RenderClient:
    """Renders over boto3.

    :param connect: access to AWS, see `connect_from_session`
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    def target(self, stack_name: str) -> RenderTarget:
        """Return the bucket and state machine of a stack; raise `StackNotFound` or `StackNotReady` if it cannot render."""
        outputs = describe_stack(self._connect, stack_name)
        ours = outputs.provider_version is not None
        return RenderTarget(outputs.bucket, outputs.state_machine_arn, outputs.function_arn, outputs.dialect, takes_limit=ours)

    def target_at(self, bucket: str, state_machine_arn: str) -> RenderTarget:
        """Return the target for a caller without permission to describe the stack.

        The state machine's definition determines the kind of stack. Without permission to read it, a stack of this provider is assumed.
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
        """Name and size a render, see `request.request.prepare`."""
        return prepare(target, project=project, config=config, output=output, label=label, identity=identity)

    def upload(self, prepared: PreparedRender) -> Upload:
        """Upload the project and large variables unless they are on S3; raise `ProjectNotFound` if a given archive does not exist."""
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
        """Begin the render, or adopt what an earlier attempt began; see `execution.starting.start_or_adopt`.

        :param say: called with a line about the number of chunks that can run at once
        :param warn: called instead if that is fewer than requested; default: `say`
        :raises NoConcurrency: no chunk can run, so nothing was started
        """

        def admit(prepared: PreparedRender) -> Steps[PreparedRender]:
            if not prepared.target.takes_limit:
                return prepared
            asked = prepared.request.config.get("maxParallelChunks")
            decision = yield from concurrency.reconcile(prepared.target.function_arn, asked=asked)
            (warn or say if decision.warning else say)(decision.text)
            return prepared.limited(decision.limit)

        return run(self._connect, starting.start_or_adopt(prepared, on_begin=on_begin, admit=admit))

    def mark_taken(self, execution_arn: str) -> bool:
        """Note that the result was taken, so that the same request renders again; see `execution.starting.mark_taken`."""
        return run(self._connect, starting.mark_taken(self.describe(execution_arn)))

    def describe(self, execution_arn: str) -> Execution:
        """Return the execution; raise `ExecutionNotFound` if it does not exist."""
        return run(self._connect, executions.describe(execution_arn))

    def find(self, stack_name: str, wanted: str) -> str:
        """Return the ARN of a stack's render by name, id or `latest`; see `execution.listing.find_execution`."""
        return run(self._connect, listing.find_execution(self.target(stack_name).state_machine_arn, wanted))

    def recent(self, stack_name: str, *, status: Status | None = None, limit: int = 20) -> list[RenderSummary]:
        """Return the newest renders of a stack, newest first."""
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
        """Follow the execution until it has ended, or `on_snapshot` returns True, and return the last snapshot.

        :param poll_interval: longest pause in seconds between two polls; the first ones are shorter
        :param deadline: Unix seconds past which `RenderTimedOut` is raised; the execution is not stopped
        """
        steps = follow(execution_arn, poll_interval=poll_interval, deadline=deadline, say=say, warn=say, enough=on_snapshot)
        return run(self._connect, steps, sleep=sleep)

    def conclude(self, execution_arn: str) -> RenderResult:
        """Return the result of an execution that has ended, or raise `RenderFailed` or `RenderCancelled`."""
        return run(self._connect, conclude(execution_arn, with_console=self.has_console))

    def cancel(self, execution_arn: str, *, cause: str, prepared: PreparedRender | None = None) -> Stopped:
        """Stop the execution and its running chunks. An execution that has ended already is reported in the return value."""
        return run(self._connect, stop(execution_arn, cause=cause, prepared=prepared))

    def redrive(self, execution_arn: str) -> Started:
        """Continue a render that ended without an output; see `execution.starting.redrive`."""
        return run(self._connect, redrive(execution_arn))

    @property
    def has_console(self) -> bool:
        """Whether the AWS console shows these renders; it does not show those of the embedded endpoint."""
        return not is_loopback(self._connect("stepfunctions").meta.endpoint_url)

    def address(self, execution_arn: str) -> str:
        """Return the URL of the execution's console page, or its ARN without a console."""
        return execution_url(execution_arn) if self.has_console else execution_arn


def _describe_machine(state_machine_arn: str) -> Steps[dict[str, Any]]:
    try:
        machine: dict[str, Any] = yield Call("stepfunctions", "describe_state_machine", {"stateMachineArn": state_machine_arn})
    except ClientError as error:
        if error_code(error) in ("StateMachineDoesNotExist", "InvalidArn"):
            raise InvalidRequest(f"there is no state machine {state_machine_arn}", hint="Deploy the stack first.") from error
        raise
    return machine


def redrive(execution_arn: str) -> Steps[Started]:
    """Continue a render on any kind of stack; see `execution.starting.redrive`."""
    dialect = yield from histories.dialect_of(execution_arn)
    return (yield from starting.redrive(execution_arn, dialect=dialect))


def stop(execution_arn: str, *, cause: str, prepared: PreparedRender | None = None) -> Steps[Stopped]:
    """Stop an execution on any kind of stack; see `execution.executions.stop`.

    :param prepared: the render that was started, if known; otherwise the execution is described first
    """
    if prepared is None:
        dialect = yield from histories.dialect_of(execution_arn)
        return (yield from executions.stop(execution_arn, cause=cause, dialect=dialect))
    return (yield from executions.stop(execution_arn, cause=cause, prefix=prepared.prefix, dialect=prepared.target.dialect))
