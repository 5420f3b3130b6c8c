"""The progress of the demo's stack and render while its DAG runs."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from types import TracebackType

from hyperframes_lambda.contract.events import AssembleResult
from hyperframes_provider.cli.console import Console, MovingLine, seconds
from hyperframes_provider.cli.follow import share, summary
from hyperframes_provider.client.aws.connect import Connect
from hyperframes_provider.client.aws.errors import HyperFramesClientError, typed_errors
from hyperframes_provider.client.execution.report import Reporter
from hyperframes_provider.client.execution.result import RenderResult
from hyperframes_provider.client.execution.watch import RenderWatch, Snapshot
from hyperframes_provider.client.renders import RenderClient
from hyperframes_provider.client.stack.describe import StackNotFound, StackNotReady, StackOutputs, describe_stack


class DemoWatch:
    """Shows the progress since the last poll; a poll takes some milliseconds and never fails."""

    def __init__(self, connect: Connect, console: Console, stack: str) -> None:
        self._connect = connect
        self._client = RenderClient(connect)
        self._console = console
        self._stack = stack
        self._begun = datetime.now(UTC)
        self._clock = time.monotonic()
        self._outputs: StackOutputs | None = None
        self._watch: RenderWatch | None = None
        self._reporter = Reporter()
        self._line: MovingLine | None = None
        self._ended = False

    def __enter__(self) -> DemoWatch:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._drop_line()

    def look(self) -> None:
        """Poll, and show the progress."""
        try:
            if self._outputs is None:
                self._look_at_stack()
            if self._outputs is not None and self._watch is None:
                self._find_execution(self._outputs)
            if self._watch is not None and not self._ended:
                self._show(self._client.snapshot(self._watch))
        except HyperFramesClientError as error:
            # The DAG reports failures of the render; a failed poll is repeated.
            self._moving("render").show(error.message)

    def conclude(self) -> RenderResult:
        """Return the result of the render, and show its verification."""
        if self._watch is None:
            raise HyperFramesClientError(f"the DAG succeeded, but stack {self._stack!r} shows no render", hint="Type ./scripts/demo again.")
        self._drop_line()
        result = self._client.conclude(self._watch.execution_arn)
        assembled = AssembleResult.model_validate_json(self._client.describe(self._watch.execution_arn).output)
        found = assembled.verification
        # The engine mixes and encodes all sound at this rate.
        audio = f"{found['AudioCodec']} 48 kHz" if assembled.has_audio else "none"
        size = f"{result.width}\N{MULTIPLICATION SIGN}{result.height}"
        text = f"{result.frames} frames · {result.duration:.3f} s · {size} · {found['Codec']} · audio {audio}"
        self._console.line("check", text, "verified")
        return result

    def _look_at_stack(self) -> None:
        try:
            outputs = describe_stack(self._connect, self._stack)
        except StackNotFound:
            self._moving("deploy").show(f"stack {self._stack}")
            return
        except StackNotReady as error:
            self._moving("deploy").show(f"stack {self._stack}  {error.status}")
            return
        with typed_errors():
            resources = self._connect("cloudformation").describe_stack_resources(StackName=self._stack)["StackResources"]
            created = self._connect("cloudformation").describe_stacks(StackName=self._stack)["Stacks"][0]["CreationTime"]
        self._drop_line()
        took = f", {seconds(time.monotonic() - self._clock)}" if created >= self._begun else ", already deployed"
        self._console.line("deploy", f"stack {self._stack}  {outputs.status}", f"{len(resources)} resources{took}")
        self._outputs = outputs

    def _find_execution(self, outputs: StackOutputs) -> None:
        with typed_errors():
            listed = self._connect("stepfunctions").list_executions(stateMachineArn=outputs.state_machine_arn, maxResults=1)["executions"]
        if listed and listed[0]["startDate"] >= self._begun:
            self._watch = RenderWatch(listed[0]["executionArn"])

    def _show(self, snapshot: Snapshot) -> None:
        line = self._moving("render")
        for text in self._reporter.lines(snapshot):
            line.note(text.removeprefix("render "))
        if snapshot.execution.status.terminal:
            self._ended = True
            self._drop_line()
            result = f"{snapshot.execution.status.value.lower()} · {summary(snapshot)}"
            self._console.line("render", f"{snapshot.execution.name[:30]}…", result)
        else:
            line.show(summary(snapshot), share(snapshot))

    def _moving(self, label: str) -> MovingLine:
        if self._line is None:
            self._line = MovingLine(self._console, label).__enter__()
        return self._line

    def _drop_line(self) -> None:
        if self._line is not None:
            self._line.__exit__(None, None, None)
            self._line = None
