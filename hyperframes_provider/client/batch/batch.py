"""Many renders of one project: started a few at a time, followed by one poll for all, each ended with its result or its error.

Every row has its own deterministic name. The same batch again therefore adopts what runs, skips what is finished and starts the rest.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, TypeVar

from botocore.exceptions import ClientError

from hyperframes_lambda.contract.errors import ErrorCode
from hyperframes_lambda.contract.events import ChunkProgress
from hyperframes_provider.client.aws.calls import Call, Steps, run
from hyperframes_provider.client.aws.connect import Connect
from hyperframes_provider.client.aws.errors import (
    AccessDenied,
    EndpointUnreachable,
    ExecutionNotFound,
    HyperFramesClientError,
    InvalidRequest,
    Throttled,
    error_code,
)
from hyperframes_provider.client.aws.s3 import object_size, object_version, parse_s3_uri, write_object
from hyperframes_provider.client.batch.rows import InvalidBatch, PlannedRow, RowFault
from hyperframes_provider.client.execution import executions, map_runs
from hyperframes_provider.client.execution import history as histories
from hyperframes_provider.client.execution.executions import Execution, Started, Status
from hyperframes_provider.client.execution.history import History, failure_of
from hyperframes_provider.client.execution.listing import Listed, list_executions
from hyperframes_provider.client.execution.progress import ProgressReader, reports_of
from hyperframes_provider.client.execution.result import RenderResult, result_of
from hyperframes_provider.client.execution.watch import Pace
from hyperframes_provider.client.request import concurrency, names
from hyperframes_provider.client.request.concurrency import Decision
from hyperframes_provider.client.request.project import Project, Upload, locate, upload
from hyperframes_provider.client.request.request import PreparedRender, RenderTarget, prepare

MAX_RUNNING = 40
"""Renders of a batch that run at once unless asked otherwise."""

_BATCH = ("batch",)
_AT_ONCE = 8
"""Rows that are started, or concluded, at the same time; botocore keeps ten connections a client."""
_CANCELLED = ErrorCode.RENDER_CANCELLED.value
_KNOWN = 10_000
"""Executions of the past that are looked through for rows that are finished or run already; about others, each start is asked."""
_LISTING_LAG = 3.0
"""Seconds for which a started execution may be missing from ListExecutions."""

T = TypeVar("T")
R = TypeVar("R")


class RowState(StrEnum):
    """Where a row is."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    """Somebody stopped its render."""

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to it."""
        return self not in (RowState.WAITING, RowState.RUNNING)


@dataclass(frozen=True)
class BatchItem:
    """A row that is ready to be started."""

    row: PlannedRow
    prepared: PreparedRender


@dataclass(frozen=True)
class Outcome:
    """What became of a row."""

    row: int
    state: RowState
    how: Literal["started", "adopted", "redriven", "finished", ""] = ""
    """`finished`: it was so already, and nothing was rendered; empty when it was never started."""
    execution_arn: str = ""
    output_uri: str = ""
    result: RenderResult | None = None
    code: str = ""
    """Name of the error, a code of the error table where it is the render's own."""
    message: str = ""

    def to_json(self) -> dict[str, Any]:
        """A line of the results file."""
        taken = ("frames", "duration", "bytes", "chunks", "seconds", "cost_usd", "sidecars")
        line: dict[str, Any] = {"row": self.row, "state": self.state.value, "how": self.how, "execution_arn": self.execution_arn}
        line["output_uri"] = self.output_uri
        if self.result is not None:
            line |= {name: getattr(self.result, name) for name in taken}
        if self.code:
            line |= {"code": self.code, "message": self.message}
        return line


@dataclass(frozen=True)
class BatchProgress:
    """How far a batch is, in rows."""

    total: int
    waiting: int
    running: int
    succeeded: int
    failed: int
    cancelled: int
    seconds: float
    """Since the batch was begun here."""
    eta: float | None
    """Seconds until the last row, at the rate of those that were rendered meanwhile."""

    @property
    def ended(self) -> int:
        """Rows that are done with."""
        return self.succeeded + self.failed + self.cancelled


def prepare_batch(
    target: RenderTarget,
    rows: Sequence[PlannedRow],
    *,
    project: str | os.PathLike[str],
    label: str,
    identity: tuple[object, ...] = ("batch",),
) -> list[BatchItem]:
    """Name and size every render of the batch; reads a local project once for each entry page, and starts nothing.

    `InvalidBatch` names all rows that cannot be accepted. What the project itself lacks is raised as `locate` does.
    """
    located: dict[str, Project] = {}
    items: list[BatchItem] = []
    faults: list[RowFault] = []
    names_taken: dict[str, int] = {}
    for row in rows:
        entry = row.config.entry_file
        if entry not in located:
            located[entry] = locate(project, bucket=target.bucket, entry=entry)
        # Rows that want the same at different places are different renders.
        try:
            prepared = prepare(
                target, project=located[entry], config=row.config, output=row.remote, label=label, identity=(*identity, str(row.path or ""))
            )
        except InvalidRequest as error:
            faults.append(RowFault(row.number, error.message))
            continue
        first = names_taken.setdefault(prepared.render_id, row.number)
        if first != row.number:
            faults.append(RowFault(row.number, f"it is the same as row {first}"))
        items.append(BatchItem(row, prepared))
    if faults:
        raise InvalidBatch(faults)
    return items


def project_version(project: str | os.PathLike[str]) -> Steps[str]:
    """What the `identity` of a batch over an archive on S3 should have in it, as the same URI may be another project tomorrow.

    Empty for a local project, which is known by its content.
    """
    if not str(project).startswith("s3://"):
        return ""
    return (yield from object_version(parse_s3_uri(str(project), where="project"))) or ""


@dataclass(frozen=True)
class Cancelled:
    """What `Batch.cancel` has done."""

    count: int
    """Renders that were stopped."""
    failures: Mapping[str, HyperFramesClientError]
    """Why others could not be, by execution ARN: they go on, and cost."""


@dataclass
class Batch:
    """A batch under way.

    :param connect: where AWS is
    :param items: what `prepare_batch` made, of one project
    :param max_running: renders that run at once
    :param on_outcome: called once for each row, as it ends, from this thread
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
    """By row, of those that ended."""
    _waiting: deque[BatchItem] = field(default_factory=deque)
    _running: dict[str, _Running] = field(default_factory=dict)
    _begun: dict[str, BatchItem] = field(default_factory=dict)
    """Executions that may have been started, by ARN, noted before the call that does it."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _since: float = field(default_factory=time.monotonic)
    _rendered: int = 0
    _share: int | None = None
    """Chunks that each render has at once, of those that the function may have."""

    def upload(self) -> Upload:
        """Put the project on S3, once for all rows."""
        return upload(self.connect, self.items[0].prepared.project)

    def admit(self) -> Decision | None:
        """Find out how many chunks may be rendered at once, and give every render its share; None where the stack takes no limit.

        `NoConcurrency` when nothing could run.
        """
        target = self.items[0].prepared.target
        if not target.takes_limit:
            return None
        decision = run(self.connect, concurrency.reconcile(target.function_arn, asked=None))
        if decision.limit is not None:
            self._share = max(1, decision.limit // min(self.max_running, len(self.items)))
        return decision

    def run(self, *, poll_interval: float = 5.0) -> list[Outcome]:
        """Start, follow and conclude all rows; returns their outcomes in the order of the rows.

        A row that fails does not stop the others. What concerns all of them does: no permission, no endpoint, no stack; then what was
        started goes on, and the same batch again adopts it. A `KeyboardInterrupt` leaves everything running, too: see `cancel`.
        """
        self._waiting = deque(self.items)
        known = self._known()
        pace = Pace(poll_interval)
        while self._waiting or self._running:
            throttled = self._start(known)
            self.on_progress(self.progress())
            if throttled is not None:
                self._wait_after(throttled, pace)
            elif self._running:
                self.sleep(pace.after_answer())
            if not self._running:
                continue
            while True:
                try:
                    self._poll()
                    break
                except HyperFramesClientError as error:
                    self._wait_after(error, pace)
        self.on_progress(self.progress())
        return [self.outcomes[item.row.number] for item in self.items]

    def cancel(self, cause: str) -> Cancelled:
        """Stop every render of the batch that runs. Rows that wait are not begun; one that has ended meanwhile keeps its own end."""
        self._waiting.clear()
        with self._lock:
            begun = dict(self._begun)

        def stop(arn: str) -> bool | HyperFramesClientError:
            try:
                # Asked about first: it may have ended, or been noted and never started.
                return run(self.connect, executions.stop(arn, cause=cause, dialect=begun[arn].prepared.target.dialect)).stopped
            except HyperFramesClientError as error:
                return error

        answers = dict(zip(begun, self._each(stop, begun), strict=True))
        stopped = [arn for arn, answer in answers.items() if answer is True]
        for arn in stopped:
            item = begun[arn]
            self._end(arn, item, Outcome(item.row.number, RowState.CANCELLED, "", arn, item.prepared.output_uri, code=_CANCELLED))
        return Cancelled(len(stopped), {arn: answer for arn, answer in answers.items() if isinstance(answer, HyperFramesClientError)})

    def progress(self) -> BatchProgress:
        """How far it is."""
        states = [outcome.state for outcome in self.outcomes.values()]
        ended, seconds = len(states), time.monotonic() - self._since
        left = len(self.items) - ended
        return BatchProgress(
            total=len(self.items),
            waiting=len(self._waiting),
            running=len(self._running),
            succeeded=states.count(RowState.SUCCEEDED),
            failed=states.count(RowState.FAILED),
            cancelled=states.count(RowState.CANCELLED),
            seconds=seconds,
            eta=seconds / self._rendered * left if self._rendered else None,
        )

    def _known(self) -> dict[str, Listed]:
        """The latest execution of every render id, as far back as a look at the past goes."""
        machine = self.items[0].prepared.target.state_machine_arn
        latest: dict[str, Listed] = {}
        for listed in run(self.connect, list_executions(machine, most=_KNOWN)):  # newest first
            latest.setdefault(names.render_id_of(listed.name), listed)
        return latest

    def _wait_after(self, error: HyperFramesClientError, pace: Pace) -> None:
        delay = pace.after_error(error)
        if delay is None:
            raise error
        self.sleep(delay)

    def _start(self, known: Mapping[str, Listed]) -> Throttled | None:
        """Start what there is room for. Rows that AWS is too busy for wait on, and it is said why."""
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
        """Begin the row's render, or find that it is done."""

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

    def _poll(self) -> None:
        """One list of what runs, for all rows; whatever is missing from it has ended, and says how."""
        now = time.monotonic()
        machine = self.items[0].prepared.target.state_machine_arn
        running = {listed.arn for listed in run(self.connect, list_executions(machine, status=Status.RUNNING))}
        gone = [
            entry
            for arn, entry in self._running.items()
            if arn not in running and (now - entry.since > _LISTING_LAG or entry.started.how != "started")
        ]
        for entry, outcome in zip(gone, self._each(lambda entry: self._conclude(entry.item, entry.started), gone), strict=True):
            if outcome.state.ended:
                self._rendered += 1
                self._end(entry.started.execution_arn, entry.item, outcome)

    def _conclude(self, item: BatchItem, started: Started) -> Outcome:
        """The row's outcome; one that is still `RUNNING` when its execution is."""
        row, uri = item.row.number, item.prepared.output_uri
        base = Outcome(row, RowState.RUNNING, started.how, started.execution_arn, uri)
        end = run(self.connect, _ended(started.execution_arn))
        execution, child = end.execution, end.child
        if not execution.status.terminal:
            return base
        if execution.cancelled or (child is not None and child.execution.cancelled):
            return _with(base, RowState.CANCELLED, code=_CANCELLED, message=execution.cause)
        if execution.status is not Status.SUCCEEDED:
            failure = failure_of(execution, end.history) if child is None else failure_of(child.execution, child.history)
            return _with(base, RowState.FAILED, code=failure.error, message=failure.message)
        try:
            return _with(base, RowState.SUCCEEDED, result=result_of(execution, end.history, end.reports, **self.memory))
        except HyperFramesClientError as error:
            return _with(base, RowState.FAILED, code=type(error).__name__, message=error.message)

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


@dataclass(frozen=True)
class _Running:
    item: BatchItem
    started: Started
    since: float


@dataclass(frozen=True)
class _End:
    execution: Execution
    history: History
    reports: Sequence[ChunkProgress]
    child: map_runs.Child | None
    """The chunk that failed, where it is an execution of its own."""


def _with(outcome: Outcome, state: RowState, **changes: Any) -> Outcome:
    return Outcome(**{**outcome.__dict__, "state": state, **changes})


def _ended(execution_arn: str) -> Steps[_End]:
    """The execution, and what happened in it when nothing more does."""
    execution = yield from executions.describe(execution_arn)
    history, child = History(), None
    reports: list[ChunkProgress] = []
    if execution.status.terminal:
        yield from histories.read(history, execution_arn)
        if history.map_run_arn and execution.status is Status.SUCCEEDED:
            # The chunks of a distributed Map are executions of their own: what they used, only they say.
            read = yield from ProgressReader().read(execution.prefix)
            reports = [] if history.plan is None else reports_of(read, history.plan, since=execution.started.timestamp())
        child = yield from map_runs.failing_child(execution)
    return _End(execution, history, reports, child)


def start_or_skip(prepared: PreparedRender, known: Listed | None, *, on_begin: Callable[[str], None]) -> Steps[Started]:
    """Begin the render unless it runs, or is finished with its output still there.

    :param known: its latest execution, where a list has shown one; asked for otherwise, when the first start is refused for its name
    :param on_begin: told the ARN of what runs or is about to
    """
    machine, render = prepared.target.state_machine_arn, prepared.render_id
    generation = 0 if known is None else names.generation_of(known.name)
    status = None if known is None else known.status
    while True:
        arn = names.execution_arn(machine, names.execution_name(render, generation))
        if status is not None and not status.terminal:
            on_begin(arn)
            return Started(arn, "adopted")
        if status is Status.SUCCEEDED:
            made = yield from object_size(parse_s3_uri(prepared.output_uri, where="output"))
            if made is not None:
                return Started(arn, "finished")
        because = "" if status is None else f"generation {generation} is {status}"
        name = names.execution_name(render, generation + 1)
        arn = names.execution_arn(machine, name)
        on_begin(arn)
        if prepared.variables_json is not None:
            yield from write_object(prepared.variables, prepared.variables_json, content_type="application/json")
        try:
            yield Call(
                "stepfunctions", "start_execution", {"stateMachineArn": machine, "name": name, "input": prepared.input_json(generation + 1)}
            )
        except ClientError as error:
            if error_code(error) != "ExecutionAlreadyExists":
                raise
        else:
            return Started(arn, "started", because=because)
        generation += 1
        try:
            status = (yield from executions.describe(arn)).status
        except ExecutionNotFound:
            # Its name is taken although it is forgotten; the next one is free.
            status = Status.FAILED
