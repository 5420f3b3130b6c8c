"""The render operator: one task, one video."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from datetime import UTC
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.providers.common.compat.sdk import conf

from hyperframes_provider.client.aws.errors import HyperFramesClientError, InvalidRequest
from hyperframes_provider.client.execution.report import done_line, size, started_line
from hyperframes_provider.client.renders import RenderClient
from hyperframes_provider.client.request.names import DEFAULT_STACK
from hyperframes_provider.client.request.request import PreparedRender, RenderTarget, read_config
from hyperframes_provider.hooks.hyperframes import connection_arguments
from hyperframes_provider.links.render import LINKS_KEY, RenderExecutionLink, RenderLogsLink, RenderOutputLink, addresses
from hyperframes_provider.operators.base import HyperFramesBaseOperator
from hyperframes_provider.operators.exceptions import airflow_errors
from hyperframes_provider.operators.templates import check_literal_config, rendered_config, rendered_mapping, templated_fields
from hyperframes_provider.triggers.events import RenderEvent
from hyperframes_provider.triggers.outcomes import raise_unless_ended
from hyperframes_provider.triggers.render import RenderTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context


class HyperFramesRenderOperator(HyperFramesBaseOperator):
    """Render a HyperFrames project to a video; return its location and what the render took.

    Validates the configuration, uploads the project unless S3 has the same content, and starts a Step Functions execution. The
    execution's name follows from DAG, task, run, map index and inputs, so another attempt of the task finds the running execution and
    waits for it. Finished chunks are never rendered twice. Killing the task stops the render.

    Returns a mapping: `output_uri`, `frames`, `duration` (s), `width`, `height`, `bytes`, `chunks`, `chunks_reused`, `retries` (after a
    failure), `throttled` (invocations that waited for capacity), `invocations`, `seconds`, `cost_usd`, `plan_hash`, `execution_arn`,
    `renderer`, `workers` (processes in an invocation), `sizing` (the reason for the number of chunks and workers), `verification`
    (measurements of the output) and `sidecars` (name to URI). Pushes the execution's ARN under the key `execution_arn` as soon as the
    render starts.

    :param project: the project's folder on the worker, relative to the DAG file's folder, or `s3://….tar.gz`
    :param stack_name: the CloudFormation stack to render with; default `hyperframes`. Give either this, or both `state_machine_arn` and
        `bucket`
    :param state_machine_arn: the stack's state machine, for a task without permission to read the stack
    :param bucket: the stack's bucket, together with `state_machine_arn`
    :param variables: values for the variables that the composition declares
    :param output: the location of the video: `s3://bucket/key` in a bucket that the stack allows, or a key in the stack's bucket. Default:
        `outputs/<render id>.mp4`, or the format's extension; it does not expire
    :param config: further settings: `format` (mp4, webm, mov, hls, gif, png-sequence, png, jpeg, webp, m4a, wav), `codec`,
        `fps`, `width`, `height`, `quality`, `crf` or `bitrate`, `audio`, `audioCodec`, `audioBitrate`, `metadata`, `frame` or `at` of a
        still, `gifLoop`, `hlsSegmentSeconds`, `chunkSize` or `targetChunkFrames`, `maxParallelChunks`, `runtimeCap`, `entryFile`,
        `strictVariables`, and `sidecars` (any of `poster`, `contact-sheet`, `captions`, `report`) to write beside the output. Values
        without templates are validated when the DAG is parsed
    :param wait_for_completion: if False, return `execution_arn`, `render_id` and `output_uri` once the render has started, for a sensor
        to wait
    :param poll_interval: seconds between polls of a long render; the first polls follow faster
    :param cancel_on_kill: whether killing, clearing or timing out the task stops the render. If False, the render continues, at a cost,
        and the next attempt adopts it
    :param deferrable: wait in the triggerer, without a worker slot; `execution_timeout` applies there too
    """

    template_fields: Sequence[str] = aws_template_fields(
        "bucket", "config", "output_uri", "project", "stack_name", "state_machine_arn", "variables"
    )
    template_fields_renderers = {"config": "json", "variables": "json"}  # noqa: RUF012  # the base class declares it so
    operator_extra_links = (RenderExecutionLink(), RenderLogsLink(), RenderOutputLink())

    def __init__(
        self,
        *,
        project: str | os.PathLike[str],
        stack_name: str | None = None,
        state_machine_arn: str | None = None,
        bucket: str | None = None,
        variables: Mapping[str, Any] | None = None,
        output: str | None = None,
        config: Mapping[str, Any] | None = None,
        wait_for_completion: bool = True,
        poll_interval: float = 10.0,
        cancel_on_kill: bool = True,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.project = project
        self.stack_name = stack_name
        self.state_machine_arn = state_machine_arn
        self.bucket = bucket
        self.variables = variables
        # Every operator already has an attribute `output`: the reference to its XCom.
        self.output_uri = output
        self.config = config
        self.wait_for_completion = wait_for_completion
        self.poll_interval = poll_interval
        self.cancel_on_kill = cancel_on_kill
        self.deferrable = deferrable
        self._templated = templated_fields(config)
        self._execution_arn: str | None = None
        self._prepared: PreparedRender | None = None
        with airflow_errors():
            self._check_place()
            if poll_interval <= 0:
                raise InvalidRequest(f"poll_interval: {poll_interval!r} is not accepted", hint="Give seconds above 0.")
            check_literal_config(config, variables)

    def execute(self, context: Context) -> dict[str, Any]:
        """Prepare the render, start or adopt it, wait, and return the result."""
        with airflow_errors():
            prepared = self._prepare(context)
            execution_arn, finished = self._start(prepared, context)
            if not self.wait_for_completion:
                self._mark_taken(execution_arn)
                return {"execution_arn": execution_arn, "render_id": prepared.render_id, "output_uri": prepared.output_uri}
            if not finished:
                if self.deferrable:
                    self._defer(execution_arn)
                self._client.wait(execution_arn, poll_interval=self.poll_interval, say=self._say)
            return self._hand_over(execution_arn)

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> dict[str, Any]:  # noqa: ARG002  # Airflow passes it
        """Resume after the trigger, whose event tells why it fired; the result comes from the execution."""
        happened = RenderEvent.of(event)
        self._execution_arn = happened.execution_arn
        with airflow_errors():
            raise_unless_ended(happened)
            return self._hand_over(happened.execution_arn)

    def on_kill(self) -> None:
        """Stop the render. Airflow also calls this when `execution_timeout` ends a task that is not deferred."""
        if not self.cancel_on_kill or self._execution_arn is None:
            return
        self.log.info("Stopping %s", self._execution_arn)
        cause = f"Stopped by Airflow: task {self.task_id} of DAG {self.dag_id} was killed"
        try:
            stopped = self._client.cancel(self._execution_arn, cause=cause, prepared=self._prepared)
        except HyperFramesClientError as error:
            self.log.error("Could not stop %s, which may still be running at a cost: %s", self._execution_arn, error)
            return
        if stopped.stopped:
            self.log.info("Stopped.")
        else:
            self.log.info("Not stopped: %s", stopped.detail)

    @cached_property
    def _client(self) -> RenderClient:
        return RenderClient(self.hook.connect)

    def _say(self, line: str) -> None:
        self.log.info("%s", line)

    def _warn(self, line: str) -> None:
        self.log.warning("%s", line)

    def _check_place(self) -> None:
        parts = [part for part in (self.state_machine_arn, self.bucket) if part is not None]
        if len(parts) == 1 or (parts and self.stack_name is not None):
            raise InvalidRequest(
                "stack_name, state_machine_arn and bucket: exactly one place to render is needed",
                hint="Give either stack_name, or both state_machine_arn and bucket.",
            )

    def _prepare(self, context: Context) -> PreparedRender:
        """Validate everything and upload the project unless it is on S3."""
        config = read_config(
            rendered_config(self.config, self._templated),
            None if self.variables is None else rendered_mapping(self.variables, "variables"),
        )
        ti: Any = context["ti"]
        prepared = self._client.prepare(
            self._target(),
            project=self._project(),
            config=config,
            output=self.output_uri or None,
            label=f"{ti.dag_id}-{ti.task_id}",
            identity=(ti.dag_id, ti.task_id, _run_of(context), -1 if ti.map_index is None else ti.map_index),
        )
        for warning in prepared.warnings:
            self.log.warning("%s", warning)
        upload = self._client.upload(prepared)
        self.log.info("project %s · %s · %s", upload.archive.uri, size(upload.size), "uploaded" if upload.uploaded else "already uploaded")
        self._prepared = prepared
        return prepared

    def _target(self) -> RenderTarget:
        if self.state_machine_arn and self.bucket:
            return self._client.target_at(self.bucket, self.state_machine_arn)
        if self.stack_name == "":
            raise InvalidRequest("stack_name: the template rendered to an empty string", hint="Check the template.")
        return self._client.target(self.stack_name or DEFAULT_STACK)

    def _project(self) -> str:
        """Return the project with a relative path resolved against the DAG file, because a DAG author cannot know the worker's folder."""
        project = os.fspath(self.project)
        if project.startswith("s3://") or Path(project).is_absolute():
            return project
        return str(Path(self.dag.fileloc).resolve().parent / project)

    def _start(self, prepared: PreparedRender, context: Context) -> tuple[str, bool]:
        """Start or adopt the execution; return its ARN and whether it has already finished."""

        def begin(execution_arn: str) -> None:
            self._execution_arn = execution_arn

        started = self._client.start(prepared, on_begin=begin, say=self._say, warn=self._warn)
        self._execution_arn = started.execution_arn
        self._say(started_line(started.execution_arn, started.how, started.because))
        self._say(f"output {prepared.output_uri}")
        self._say(f"execution {self._client.address(started.execution_arn)}")
        if self.do_xcom_push:
            context["ti"].xcom_push(key="execution_arn", value=started.execution_arn)
            links = addresses(started.execution_arn, output_uri=prepared.output_uri, log_group=prepared.target.log_group)
            # Airflow reads the links at the end of every task and reports an error if there are none; hence the empty mapping.
            context["ti"].xcom_push(key=LINKS_KEY, value=links if self._client.has_console else {})
        return started.execution_arn, started.how == "finished"

    def _defer(self, execution_arn: str) -> None:
        limit = self.execution_timeout
        self.defer(
            trigger=RenderTrigger(
                execution_arn=execution_arn,
                poll_interval=self.poll_interval,
                deadline=None if limit is None else time.time() + limit.total_seconds(),
                owns_execution=self.cancel_on_kill,
                **connection_arguments(self),
            ),
            method_name="execute_complete",
        )

    def _hand_over(self, execution_arn: str) -> dict[str, Any]:
        result = self._client.conclude(execution_arn)
        self._say(done_line(result))
        self._mark_taken(execution_arn)
        return result.to_xcom()

    def _mark_taken(self, execution_arn: str) -> None:
        if not self._client.mark_taken(execution_arn):
            self.log.warning("The stack's bucket is not writable: clearing this task will return this result instead of rendering again")


def _run_of(context: Context) -> str:
    """Return the run's identity: its logical date, or its id if it has no date.

    Both are unique within a DAG. The date survives `airflow dags test`, which replaces the run of a date by one with a new id.
    """
    date: Any = context.get("logical_date")
    return str(context["ti"].run_id) if date is None else str(date.astimezone(UTC).isoformat())
