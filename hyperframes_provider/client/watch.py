"""Following one execution: what a poll finds, and how long to wait until the next one."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from botocore.exceptions import ClientError

from hyperframes_lambda.contract.events import PlanResult
from hyperframes_provider.client import history as histories
from hyperframes_provider.client.calls import Call, Steps
from hyperframes_provider.client.cost import DEFAULT_MEMORY_MB, cost, usage_of
from hyperframes_provider.client.dialect import OWN, Dialect
from hyperframes_provider.client.errors import ExecutionNotFound, HyperFramesClientError, Throttled
from hyperframes_provider.client.executions import Execution, describe
from hyperframes_provider.client.history import History, RetryNote
from hyperframes_provider.client.progress import Progress, ProgressReader, progress_of


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


@dataclass
class RenderWatch:
    """Follows one execution. Each poll costs one DescribeExecution, one page of history, one list and the progress that changed."""

    execution_arn: str
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    history: History = field(default_factory=History)
    memory_mb: int | None = None
    _progress: ProgressReader = field(default_factory=ProgressReader)

    def poll(self) -> Steps[Snapshot]:
        """The state of things. The status is read first, so that a terminal one comes with a complete history."""
        execution = yield from describe(self.execution_arn)
        yield from histories.read(self.history, self.execution_arn)
        if not self.history.dialect.live_signals:
            chunks = self.history.chunk_progress()
        else:
            chunks = (yield from self._progress.read(execution.prefix)) if self.history.plan is not None else []
        memory = yield from self._memory()
        return Snapshot(
            execution=execution,
            plan=self.history.plan,
            progress=progress_of(chunks, self.history.plan, since=execution.started.timestamp()),
            retries=tuple(self.history.retries),
            cost_usd=cost(usage_of(self.history, execution.stopped or self.clock()), memory_mb=memory),
            dialect=self.history.dialect,
        )

    def _memory(self) -> Steps[int]:
        """The function's memory in MB; the template's default where the function may not be asked. Asked once."""
        if self.memory_mb is None and self.history.function_arn:
            try:
                answer = yield Call("lambda", "get_function_configuration", {"FunctionName": self.history.function_arn})
            except ClientError:
                self.memory_mb = DEFAULT_MEMORY_MB
            else:
                self.memory_mb = int(answer["MemorySize"])
        return self.memory_mb or DEFAULT_MEMORY_MB


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
