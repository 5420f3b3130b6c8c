"""One poll of an execution: status, plan, progress, retries and cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from botocore.exceptions import ClientError

from hyperframes_lambda.contract.events import ChunkProgress, PlanResult
from hyperframes_provider.client.aws.calls import Call, Steps
from hyperframes_provider.client.execution import history as histories
from hyperframes_provider.client.execution import map_runs
from hyperframes_provider.client.execution.cost import DEFAULT_MEMORY_MB, Usage, cost, estimate_of, usage_of
from hyperframes_provider.client.execution.executions import Execution, describe
from hyperframes_provider.client.execution.history import History, RetryNote
from hyperframes_provider.client.execution.progress import MOST_REPORTS, Progress, ProgressReader, progress_of, reports_of
from hyperframes_provider.client.request.dialect import OWN, Dialect


@dataclass(frozen=True)
class Estimate:
    """Expectation of a plan."""

    seconds: float
    """Time to render the chunks."""
    cost_usd: float
    """Cost of the whole render."""


@dataclass(frozen=True)
class Snapshot:
    """The state of a render at one poll."""

    execution: Execution
    plan: PlanResult | None
    progress: Progress
    retries: tuple[RetryNote, ...]
    """Every retry so far, oldest first."""
    cost_usd: float
    """Estimated cost until now."""
    dialect: Dialect = OWN
    """Kind of stack that renders."""
    throttled: int = 0
    """Invocations that Lambda throttled so far."""
    estimate: Estimate | None = None
    """None without a plan, or with one that has no estimate."""


@dataclass
class RenderWatch:
    """Repeated polls of one execution.

    Each poll costs one DescribeExecution, one page of history, one list per thousand chunks and one fetch per changed report; with a
    distributed Map, one DescribeMapRun as well.
    """

    execution_arn: str
    history: History = field(default_factory=History)
    reports: list[ChunkProgress] = field(default_factory=list)
    """Last report of each chunk."""
    _memory: dict[str, int] = field(default_factory=dict)
    _progress: ProgressReader = field(default_factory=ProgressReader)

    def poll(self) -> Steps[Snapshot]:
        """Return the current state. The status is read first, so that a terminal one comes with a complete history."""
        execution = yield from describe(self.execution_arn)
        yield from histories.read(self.history, self.execution_arn)
        plan, since, completed = self.history.plan, execution.started.timestamp(), 0
        if not self.history.dialect.live_signals:
            self.reports = self.history.chunk_progress()
        elif plan is not None:
            # The last poll reads all reports: the costs of a distributed Map are in them only.
            most = None if execution.status.terminal else MOST_REPORTS
            chunks = yield from self._progress.read(execution.prefix, most=most)
            self.reports = reports_of(chunks, plan, since=since)
        if self.history.map_run_arn and not execution.status.terminal:
            completed = yield from map_runs.completed(self.history.map_run_arn)
        for function in (self.history.coordinator_arn, self.history.function_arn):
            yield from self._ask_memory(function)
        usage = usage_of(self.history, execution.stopped or datetime.now(UTC), self.reports)
        return Snapshot(
            execution=execution,
            plan=plan,
            progress=progress_of(self.reports, plan, since=since, completed=completed),
            retries=tuple(self.history.retries),
            cost_usd=self._cost(usage),
            throttled=self.history.throttled,
            estimate=None
            if plan is None or not plan.estimated_seconds
            else Estimate(plan.estimated_seconds, self._cost(estimate_of(plan))),
            dialect=self.history.dialect,
        )

    @property
    def memory_mb(self) -> int:
        """Memory of the function that renders chunks: from its configuration, or from its reports."""
        reported = next((report.memory_mb for report in self.reports if report.memory_mb is not None), self.coordinator_memory_mb)
        return self._memory.get(self.history.function_arn, reported)

    @property
    def coordinator_memory_mb(self) -> int:
        """Memory of the function that plans and assembles; the template's default if unknown."""
        return self._memory.get(self.history.coordinator_arn, DEFAULT_MEMORY_MB)

    def _cost(self, usage: Usage) -> float:
        return cost(usage, memory_mb=self.memory_mb, coordinator_memory_mb=self.coordinator_memory_mb)

    def _ask_memory(self, function: str) -> Steps[None]:
        """Look up a function's memory once; without permission, assume the template's default."""
        if not function or function in self._memory:
            return
        try:
            answer = yield Call("lambda", "get_function_configuration", {"FunctionName": function})
        except ClientError:
            self._memory[function] = DEFAULT_MEMORY_MB
        else:
            self._memory[function] = int(answer["MemorySize"])
