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
from hyperframes_provider.client.request.request import PreparedRender, RenderTarget, read_config
from hyperframes_provider.links.render import LINKS_KEY, RenderExecutionLink, RenderLogsLink, RenderOutputLink, addresses
from hyperframes_provider.operators.base import HyperFramesBaseOperator
from hyperframes_provider.operators.templates import check_literal_config, rendered_config, rendered_mapping, templated_fields
from hyperframes_provider.triggers.events import RenderEvent
from hyperframes_provider.triggers.outcomes import raise_unless_ended
from hyperframes_provider.triggers.render import RenderTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

DEFAULT_STACK = "hyperframes"
"""The name that the deploy operator gives a stack, too."""


class HyperFramesRenderOperator(HyperFramesBaseOperator):
    """Render a HyperFrames project to a video, and return where it is and what it took.

    The project is uploaded once per content, the configuration validated, and a Step Functions execution started under a name that
    follows from DAG, task, run, map index and inputs. Another attempt of the same task therefore finds the running execution and waits
    for it; finished chunks are never rendered twice. Killing the task stops the render.

    Returns the result as a mapping: `output_uri`, `frames`, `duration` (s), `width`, `height`, `bytes`, `chunks`, `chunks_reused`,
    `retries` (after a failure), `throttled` (invocations that had to wait for others), `invocations`, `seconds`, `cost_usd`, `plan_hash`,
    `execution_arn`, `renderer`, `workers` (processes within an invocation), `sizing` (why so many chunks and workers), `verification`
    (what the output was held to, in numbers) and `sidecars` (name to URI). The execution's ARN is also pushed under the key
    `execution_arn` as soon as the render starts.

    :param project: the folder of the project on the worker (relative paths start at the DAG file's folder), or `s3://….tar.gz`
    :param stack_name: the CloudFormation stack to render with; default `hyperframes`. Give this, or both of the next two
    :param state_machine_arn: the stack's state machine, where the task may not read the stack
    :param bucket: the stack's bucket, together with `state_machine_arn`
    :param variables: values for the variables that the composition declares
    :param output: where the video goes: `s3://bucket/key`, or a key in the stack's bucket. The stack must allow the bucket. Default:
        `outputs/<render id>.mp4`, or as the format ends, which does not expire
    :param config: what else is asked of the render: `format` (mp4, webm, mov, hls, gif, png-sequence, png, jpeg, webp, m4a, wav), `codec`,
        `fps`, `width`, `height`, `quality`, `crf` or `bitrate`, `audio`, `audioCodec`, `audioBitrate`, `metadata`, `frame` or `at` of a
        still, `gifLoop`, `hlsSegmentSeconds`, `chunkSize` or `targetChunkFrames`, `maxParallelChunks`, `runtimeCap`, `entryFile`,
        `strictVariables`; `sidecars` (any of `poster`, `contact-sheet`, `captions`, `report`) are written beside the output. Validated when
        the DAG is parsed as far as it holds no template
    :param wait_for_completion: False returns once the render is started, with `execution_arn`, `render_id` and `output_uri`, for a
        sensor to wait for
    :param poll_interval: seconds between two looks at a long render; the first ones follow faster
    :param cancel_on_kill: whether killing, clearing or timing out the task stops the render. With False it goes on, and costs, until
        the next attempt adopts it
    :param deferrable: wait in the triggerer, without a worker slot. `execution_timeout` holds there too
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
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(aws_conn_id=aws_conn_id, region_name=region_name, verify=verify, botocore_config=botocore_config, **kwargs)
        self.project = project
        self.stack_name = stack_name
        self.state_machine_arn = state_machine_arn
        self.bucket = bucket
        self.variables = variables
        # `output` is taken: every operator has it, as the reference to its XCom.
        self.output_uri = output
        self.config = config
        self.wait_for_completion = wait_for_completion
        self.poll_interval = poll_interval
        self.cancel_on_kill = cancel_on_kill
        self.deferrable = deferrable
        self._templated = templated_fields(config)
        self._execution_arn: str | None = None
        self._prepared: PreparedRender | None = None
        with self.airflow_errors():
            self._check_place()
            if poll_interval <= 0:
                raise InvalidRequest(f"poll_interval: {poll_interval!r} is not accepted", hint="Accepted: seconds above 0.")
            check_literal_config(config, variables)

    def execute(self, context: Context) -> dict[str, Any]:
        """Prepare, start or adopt, wait, and hand over the result."""
        with self.airflow_errors():
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
        """Resume after the trigger: the event says why it fired, and the execution itself has the result."""
        happened = RenderEvent.of(event)
        self._execution_arn = happened.execution_arn
        with self.airflow_errors():
            raise_unless_ended(happened)
            return self._hand_over(happened.execution_arn)

    def on_kill(self) -> None:
        """Stop the render; also called when `execution_timeout` ends a task that is not deferred."""
        if not self.cancel_on_kill or self._execution_arn is None:
            return
        self.log.info("Stopping %s", self._execution_arn)
        cause = f"Stopped by Airflow: task {self.task_id} of DAG {self.dag_id} was killed"
        try:
            stopped = self._client.cancel(self._execution_arn, cause=cause, prepared=self._prepared)
        except HyperFramesClientError as error:
            self.log.error("Could not stop %s: it may still be running, and cost: %s", self._execution_arn, error)
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
                "stack_name, state_machine_arn and bucket: one place to render is needed",
                hint="Give stack_name, or both of state_machine_arn and bucket.",
            )

    def _prepare(self, context: Context) -> PreparedRender:
        """Validate everything and make sure that the project is on S3."""
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
        self.log.info("project %s · %s · %s", upload.archive.uri, size(upload.size), "uploaded" if upload.uploaded else "was there already")
        self._prepared = prepared
        return prepared

    def _target(self) -> RenderTarget:
        if self.state_machine_arn and self.bucket:
            return self._client.target_at(self.bucket, self.state_machine_arn)
        if self.stack_name == "":
            raise InvalidRequest("stack_name: rendered to nothing", hint="Check the template.")
        return self._client.target(self.stack_name or DEFAULT_STACK)

    def _project(self) -> str:
        """The project, a relative path made absolute: the worker's current folder means nothing to a DAG's author."""
        project = os.fspath(self.project)
        if project.startswith("s3://") or Path(project).is_absolute():
            return project
        return str(Path(self.dag.fileloc).resolve().parent / project)

    def _start(self, prepared: PreparedRender, context: Context) -> tuple[str, bool]:
        """Start or adopt; return the execution's ARN and whether it has finished already."""

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
            # Airflow looks for them at the end of every task, and calls it an error when there are none: hence an empty answer.
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
                aws_conn_id=self.aws_conn_id,
                region_name=self.region_name,
                verify=self.verify,
                botocore_config=self.botocore_config,
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
            self.log.warning("May not write to the stack's bucket: clearing this task will return this result instead of rendering again")


def _run_of(context: Context) -> str:
    """What makes a run this run: its logical date, or its id where it has none.

    Both are unique within a DAG. The date also survives `airflow dags test`, which replaces the run of a date by one with a new id.
    """
    date: Any = context.get("logical_date")
    return str(context["ti"].run_id) if date is None else str(date.astimezone(UTC).isoformat())
