"""Many renders of one project: a few at a time, followed by one poll for all.

Every row has a deterministic name. Running the same batch again adopts running rows, skips finished ones and starts the rest.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TypeVar

from hyperframes_lambda.contract.events import ChunkProgress
from hyperframes_provider.client.aws.calls import Pause, Steps, run
from hyperframes_provider.client.aws.connect import Connect
from hyperframes_provider.client.aws.errors import AccessDenied, EndpointUnreachable, HyperFramesClientError, Throttled
from hyperframes_provider.client.batch.items import BatchItem
from hyperframes_provider.client.batch.outcomes import BatchProgress, Outcome, RowState
from hyperframes_provider.client.execution import executions
from hyperframes_provider.client.execution import history as histories
from hyperframes_provider.client.execution.ending import Ending, read_ending
from hyperframes_provider.client.execution.executions import Status
from hyperframes_provider.client.execution.failure import RenderCancelled, RenderFailed
from hyperframes_provider.client.execution.history import History
from hyperframes_provider.client.execution.listing import Listed, list_executions
from hyperframes_provider.client.execution.pace import Pace, patiently
from hyperframes_provider.client.execution.progress import ProgressReader, reports_of
from hyperframes_provider.client.execution.result import RenderResult
from hyperframes_provider.client.execution.starting import Started, start_or_skip
from hyperframes_provider.client.request import concurrency, names
from hyperframes_provider.client.request.concurrency import Decision
from hyperframes_provider.client.request.project import Upload, upload

MAX_RUNNING = 40
"""Default number of a batch's renders that run at once."""

_AT_ONCE = 8
"""Rows that are started, or concluded, at the same time; botocore keeps ten connections per client."""
_KNOWN = 10_000
"""Past executions searched for rows that run or are finished; other rows learn it from their own start."""
_LISTING_LAG = 3.0
"""Seconds for which a started execution may be missing from ListExecutions."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Cancelled:
    """The outcome of `Batch.cancel`."""

    count: int
    """Renders that were stopped."""
    failures: Mapping[str, HyperFramesClientError]
    """Errors by execution ARN; these renders continue, and incur costs."""


@dataclass(frozen=True)
class _Running:
    item: BatchItem
    started: Started
    since: float


@dataclass
class Batch:
    """A batch under way.

    :param connect: access to AWS
    :param items: the return value of `prepare_batch`, all of one project
    :param max_running: renders that run at once
    :param on_outcome: called once for each row as it ends, from this thread
    :param on_progress: called after each poll
    """

    connect: Connect
    items: Sequence[BatchItem]
    max_running: int = MAX_RUNNING
    memory: Mapping[str, int] = field(default_factory=dict)
    """`memory_mb` and `coordinator_memory_mb` of the stack, for the cost."""
    on_outcome: Callable[[BatchItem, Outcome], None] = lambda _item, _outcome: None
    on_progress: Callable[[BatchProgress], None] = lambda _progress: None
    sleep: Callable[[float], None] = time.sleep
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    """Ended rows by number."""
    _waiting: deque[BatchItem] = field(default_factory=deque)
    _running: dict[str, _Running] = field(default_factory=dict)
    _begun: dict[str, BatchItem] = field(default_factory=dict)
    """Executions that may have been started, by ARN, noted before the call that starts them."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _since: float = field(default_factory=time.monotonic)
    _rendered: int = 0
    _share: int | None = None
    """Chunks that each render may run at once."""

    def upload(self) -> Upload:
        """Upload the project once for all rows."""
        return upload(self.connect, self.items[0].prepared.project)

    def admit(self) -> Decision | None:
        """Determine how many chunks can run at once, and divide them among the renders; None if the stack accepts no limit.

        Raise `NoConcurrency` if none can run.
        """
        target = self.items[0].prepared.target
        if not target.takes_limit:
            return None
        decision = run(self.connect, concurrency.reconcile(target.function_arn, asked=None))
        if decision.limit is not None:
            self._share = max(1, decision.limit // min(self.max_running, len(self.items)))
        return decision

    def run(self, *, poll_interval: float = 5.0) -> list[Outcome]:
        """Start, follow and conclude all rows; return their outcomes in the order of the rows.

        A failing row does not stop the others. A fault that concerns all rows (no permission, no endpoint, no stack) is raised; started
        renders continue, and the same batch adopts them. A `KeyboardInterrupt` leaves everything running too: see `cancel`.
        """
        self._waiting = deque(self.items)
        run(self.connect, self._rounds(Pace(poll_interval)), sleep=self.sleep)
        return [self.outcomes[item.row.number] for item in self.items]

    def cancel(self, cause: str) -> Cancelled:
        """Stop every running render of the batch and start no more. A render that has ended meanwhile keeps its own outcome."""
        self._waiting.clear()
        with self._lock:
            begun = dict(self._begun)

        def stop(arn: str) -> bool | HyperFramesClientError:
            try:
                # Without a prefix, the execution is described first: it may have ended, or never have started.
                return run(self.connect, executions.stop(arn, cause=cause, dialect=begun[arn].prepared.target.dialect)).stopped
            except HyperFramesClientError as error:
                return error

        answers = dict(zip(begun, self._each(stop, begun), strict=True))
        stopped = [arn for arn, answer in answers.items() if answer is True]
        for arn in stopped:
            item = begun[arn]
            uri = item.prepared.output_uri
            self._end(arn, item, Outcome(item.row.number, RowState.CANCELLED, "", arn, uri, code=executions.STOP_ERROR))
        return Cancelled(len(stopped), {arn: answer for arn, answer in answers.items() if isinstance(answer, HyperFramesClientError)})

    def progress(self) -> BatchProgress:
        """Return the current progress."""
        states = [outcome.state for outcome in self.outcomes.values()]
        ended, seconds = len(states), time.monotonic() - self._since
        left = len(self.items) - ended
        return BatchProgress(
            total=len(self.items),
            running=len(self._running),
            succeeded=states.count(RowState.SUCCEEDED),
            failed=states.count(RowState.FAILED),
            cancelled=states.count(RowState.CANCELLED),
            seconds=seconds,
            eta=seconds / self._rendered * left if self._rendered else None,
        )

    def _rounds(self, pace: Pace) -> Steps[None]:
        """Start rows, pause and poll, until every row has ended."""
        known = yield from self._known()
        while self._waiting or self._running:
            throttled = self._start(known)
            self.on_progress(self.progress())
            if throttled is not None:
                yield Pause(pace.after_error(throttled))
            elif self._running:
                yield Pause(pace.after_answer())
            if self._running:
                yield from patiently(self._poll, pace)
        self.on_progress(self.progress())

    def _known(self) -> Steps[dict[str, Listed]]:
        """Return the latest of the past executions of every render id."""
        latest: dict[str, Listed] = {}
        for listed in (yield from list_executions(self._machine, most=_KNOWN)):  # newest first
            latest.setdefault(names.render_id_of(listed.name), listed)
        return latest

    @property
    def _machine(self) -> str:
        return self.items[0].prepared.target.state_machine_arn

    def _start(self, known: Mapping[str, Listed]) -> Throttled | None:
        """Start as many rows as may run; queue throttled rows again and return the error of one."""
        throttled: Throttled | None = None
        while self._waiting and len(self._running) < self.max_running and throttled is None:
            room = min(self.max_running - len(self._running), _AT_ONCE, len(self._waiting))
            items = [self._waiting.popleft() for _ in range(room)]
            answers = self._each(lambda item: self._start_one(item, known.get(item.prepared.render_id)), items)
            for item, answer in zip(items, answers, strict=True):
                if isinstance(answer, Outcome):
                    self._end(answer.execution_arn, item, answer)
                elif isinstance(answer, Throttled):
                    throttled = answer
                    self._waiting.append(item)
                else:
                    self._running[answer.execution_arn] = _Running(item, answer, time.monotonic())
        return throttled

    def _start_one(self, item: BatchItem, known: Listed | None) -> Started | Outcome | Throttled:
        """Begin the row's render, or return its outcome if it has ended already."""

        def note(arn: str) -> None:
            with self._lock:
                self._begun[arn] = item

        prepared = item.prepared
        try:
            started = run(self.connect, start_or_skip(prepared.limited(self._share), known, on_begin=note))
            return self._conclude(item, started) if started.how == "finished" else started
        except (AccessDenied, EndpointUnreachable):
            raise
        except Throttled as error:
            return error
        except HyperFramesClientError as error:
            with self._lock:
                self._begun = {arn: begun for arn, begun in self._begun.items() if begun is not item}
            code = getattr(error, "code", "") or type(error).__name__
            return Outcome(item.row.number, RowState.FAILED, code=code, message=error.message, output_uri=prepared.output_uri)

    def _poll(self) -> Steps[None]:
        """List the running executions once for all rows, and conclude the rows that are missing from the list."""
        now = time.monotonic()
        running = {listed.arn for listed in (yield from list_executions(self._machine, status=Status.RUNNING))}
        gone = [
            entry
            for arn, entry in self._running.items()
            if arn not in running and (now - entry.since > _LISTING_LAG or entry.started.how != "started")
        ]
        for entry, outcome in zip(gone, self._each(lambda entry: self._conclude(entry.item, entry.started), gone), strict=True):
            if outcome.state is not RowState.RUNNING:
                self._rendered += 1
                self._end(entry.started.execution_arn, entry.item, outcome)

    def _conclude(self, item: BatchItem, started: Started) -> Outcome:
        """Return the row's outcome, with the state `RUNNING` while its execution runs."""
        base = Outcome(item.row.number, RowState.RUNNING, started.how, started.execution_arn, item.prepared.output_uri)
        ending = run(self.connect, _ending(started.execution_arn, self.memory))
        if ending is None:
            return base
        if isinstance(ending, RenderResult):
            return replace(base, state=RowState.SUCCEEDED, result=ending)
        if isinstance(ending, RenderCancelled):
            return replace(base, state=RowState.CANCELLED, code=executions.STOP_ERROR, message=ending.cause)
        if isinstance(ending, RenderFailed):
            return replace(base, state=RowState.FAILED, code=ending.failure.error, message=ending.failure.message)
        return replace(base, state=RowState.FAILED, code=type(ending).__name__, message=ending.message)

    def _end(self, arn: str, item: BatchItem, outcome: Outcome) -> None:
        self._running.pop(arn, None)
        with self._lock:
            self._begun.pop(arn, None)
        self.outcomes[item.row.number] = outcome
        self.on_outcome(item, outcome)

    def _each(self, work: Callable[[T], R], values: Iterable[T]) -> list[R]:
        values = list(values)
        if len(values) < 2:
            return [work(value) for value in values]
        with ThreadPoolExecutor(min(_AT_ONCE, len(values))) as pool:
            return list(pool.map(work, values))


def _ending(execution_arn: str, memory: Mapping[str, int]) -> Steps[Ending | None]:
    """Return how the execution ended, None while it runs."""
    execution = yield from executions.describe(execution_arn)
    if not execution.status.terminal:
        return None
    history, reports = History(), list[ChunkProgress]()
    yield from histories.read(history, execution_arn)
    if history.map_run_arn and history.plan is not None and execution.status is Status.SUCCEEDED:
        # The usage of a distributed Map's chunks is in their reports only.
        chunks = yield from ProgressReader().read(execution.prefix)
        reports = reports_of(chunks, history.plan, since=execution.started.timestamp())
    return (yield from read_ending(execution, history, reports, memory))
