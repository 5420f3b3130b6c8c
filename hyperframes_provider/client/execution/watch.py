"""Following one execution: what a poll finds, and how long to wait until the next one."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from botocore.exceptions import ClientError

from hyperframes_lambda.contract.events import ChunkProgress, PlanResult
from hyperframes_provider.client.aws.calls import Call, Steps
from hyperframes_provider.client.aws.errors import ExecutionNotFound, HyperFramesClientError, Throttled
from hyperframes_provider.client.execution import history as histories
from hyperframes_provider.client.execution import map_runs
from hyperframes_provider.client.execution.cost import DEFAULT_MEMORY_MB, Usage, cost, estimate_of, usage_of
from hyperframes_provider.client.execution.executions import Execution, describe
from hyperframes_provider.client.execution.history import History, RetryNote
from hyperframes_provider.client.execution.progress import MOST_REPORTS, Progress, ProgressReader, progress_of, reports_of
from hyperframes_provider.client.request.dialect import OWN, Dialect


@dataclass(frozen=True)
class Estimate:
    """What a plan lets expect of its chunks."""

    seconds: float
    cost_usd: float
    """Of the whole render."""


@dataclass(frozen=True)
class Snapshot:
    """What one poll found."""

    execution: Execution
    plan: PlanResult | None
    progress: Progress
    retries: tuple[RetryNote, ...]
    """Every retry so far, oldest first."""
    cost_usd: float
    """An estimate of what the render has cost until now."""
    dialect: Dialect = OWN
    """What kind of stack renders."""
    throttled: int = 0
    """Invocations so far that had to wait for others to end."""
    estimate: Estimate | None = None
    """None without a plan, and with one that says nothing of it."""


@dataclass
class RenderWatch:
    """Follows one execution.

    Each poll costs one DescribeExecution, one page of history, one list for each thousand chunks and the progress that changed; where the
    chunks are executions of their own, one DescribeMapRun too.
    """

    execution_arn: str
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    history: History = field(default_factory=History)
    reports: list[ChunkProgress] = field(default_factory=list)
    """What the chunks of this execution said last."""
    _memory: dict[str, int] = field(default_factory=dict)
    _progress: ProgressReader = field(default_factory=ProgressReader)

    def poll(self) -> Steps[Snapshot]:
        """The state of things. The status is read first, so that a terminal one comes with a complete history."""
        execution = yield from describe(self.execution_arn)
        yield from histories.read(self.history, self.execution_arn)
        plan, since, completed = self.history.plan, execution.started.timestamp(), 0
        if not self.history.dialect.live_signals:
            self.reports = self.history.chunk_progress()
        elif plan is not None:
            # The last look is a complete one: the costs of a distributed Map are in the reports only.
            most = None if execution.status.terminal else MOST_REPORTS
            chunks = yield from self._progress.read(execution.prefix, most=most)
            self.reports = reports_of(chunks, plan, since=since)
        if self.history.map_run_arn and not execution.status.terminal:
            completed = yield from map_runs.completed(self.history.map_run_arn)
        for function in (self.history.coordinator_arn, self.history.function_arn):
            yield from self._ask_memory(function)
        usage = usage_of(self.history, execution.stopped or self.clock(), self.reports)
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
        """Memory of the function that renders chunks: as it is configured, or as its invocations say."""
        said = next((report.memory_mb for report in self.reports if report.memory_mb is not None), self.coordinator_memory_mb)
        return self._memory.get(self.history.function_arn, said)

    @property
    def coordinator_memory_mb(self) -> int:
        """Memory of the function that plans and assembles; the template's default while it is unknown."""
        return self._memory.get(self.history.coordinator_arn, DEFAULT_MEMORY_MB)

    def _cost(self, usage: Usage) -> float:
        return cost(usage, memory_mb=self.memory_mb, coordinator_memory_mb=self.coordinator_memory_mb)

    def _ask_memory(self, function: str) -> Steps[None]:
        """Once a function; where it may not be asked, the template's default is taken."""
        if not function or function in self._memory:
            return
        try:
            answer = yield Call("lambda", "get_function_configuration", {"FunctionName": function})
        except ClientError:
            self._memory[function] = DEFAULT_MEMORY_MB
        else:
            self._memory[function] = int(answer["MemorySize"])


@dataclass
class Pace:
    """Seconds between polls: short at first, growing to `longest`, and spread so that many waiting tasks do not call at once."""

    longest: float
    spread: Callable[[], float] = random.random
    """A number from 0 to 1."""
    _next: float = 1.0
    _errors: int = 0

    def after_answer(self, eta: float | None = None) -> float:
        """Until the next poll; with the end in sight (`eta` seconds away) no later than that."""
        self._errors = 0
        delay, self._next = min(self._next, self.longest), min(self._next * _GROWTH, self.longest)
        if eta is not None:
            delay = min(delay, max(_NEAR_THE_END, eta))
        return delay * (1 + _JITTER * (self.spread() - 0.5))

    def after_error(self, error: HyperFramesClientError) -> float | None:
        """Until the same poll is tried again; None when that has no point any more.

        Throttling is waited out however long it takes. A started execution may be unknown for a moment, because DescribeExecution is
        eventually consistent. Everything else that may pass gets some minutes.
        """
        self._errors += 1
        if isinstance(error, ExecutionNotFound):
            patience = _UNKNOWN_EXECUTION
        elif not error.retryable:
            return None
        else:
            patience = _ERRORS
        if self._errors > patience and not isinstance(error, Throttled):
            return None
        return float(min(_LONGEST_AFTER_ERROR, 2 ** min(self._errors - 1, 10))) * (0.5 + 0.5 * self.spread())


_GROWTH = 1.3
_NEAR_THE_END = 2.0
_JITTER = 0.4
_ERRORS = 12
_UNKNOWN_EXECUTION = 4
_LONGEST_AFTER_ERROR = 30.0
