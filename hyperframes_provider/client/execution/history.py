"""What happened inside an execution, from its event history: attempts, retries, the plan, what was reused, and where it failed.

The history is append-only, so it is read from its end back to the last event that is known; a poll costs one call.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError
from pydantic import ValidationError

from hyperframes_lambda.contract.errors import ErrorCode
from hyperframes_lambda.contract.events import ChunkProgress, PlanResult
from hyperframes_provider.client.aws.calls import Call, Steps
from hyperframes_provider.client.execution.executions import Execution, Status
from hyperframes_provider.client.request.dialect import OWN, Dialect
from hyperframes_provider.client.request.reference_stack import dialect_of_task

_PAGE = 1000
_BEGINNING = 12
"""Events within which the first call of the function lies."""


@dataclass
class Attempt:
    """One invocation of the render function."""

    state: str
    chunk: int | None
    """Index of the chunk, None outside the Map."""
    number: int
    """1 for the first try of this task; a chunk that goes on in a new invocation begins anew, and a throttled try is not counted."""
    started: datetime
    ended: datetime | None = None
    error: str = ""
    cause: str = ""
    function: str = ""
    """ARN of the invoked function."""
    frames: int | None = None
    """Frames of the chunk that are there, as the invocation said at its end; None outside the Map, and before."""

    @property
    def throttled(self) -> bool:
        """Whether Lambda refused to begin: nothing has failed, and nothing ran."""
        return self.error == _THROTTLED


@dataclass(frozen=True)
class RetryNote:
    """A task that was tried again after it failed: after which error, and as which attempt."""

    state: str
    chunk: int | None
    error: str
    attempt: int


@dataclass(frozen=True)
class Failure:
    """Why a render has no output, for a person."""

    error: str
    """The name that Step Functions reports: a code of the error table, or another."""
    message: str
    state: str
    """Name of the failing state, empty when the execution itself ran out of time."""
    chunk: int | None
    attempts: int
    """How often the failing task was tried."""
    log_group: str
    since: datetime
    until: datetime
    """When the failing attempt ran."""
    log_tail: tuple[str, ...] = ()
    dialect: Dialect = OWN
    """What kind of stack failed: it decides what an error's name means."""

    @property
    def retryable(self) -> bool:
        """Whether another attempt may succeed, as the stack's own retry policy has it; an unknown error may."""
        return not self.dialect.is_final(self.error)


@dataclass(frozen=True)
class _Place:
    state: str = ""
    chunk: int | None = None
    attempt: Attempt | None = None


@dataclass
class History:
    """The events so far, folded. Feed it with `read`, or with `apply` in the order of the event ids."""

    last_id: int = 0
    attempts: list[Attempt] = field(default_factory=list)
    retries: list[RetryNote] = field(default_factory=list)
    transitions: int = 0
    """States entered; Step Functions bills these and the retries."""
    plan: PlanResult | None = None
    reused_chunks: set[int] = field(default_factory=set)
    coordinator_arn: str = ""
    """The function that plans and assembles; empty before its first invocation."""
    function_arn: str = ""
    """The function that renders chunks, as far as it is known: by default the coordinator is the same."""
    map_run_arn: str = ""
    """The run of the distributed Map that renders the chunks, if one does: then their attempts are not in this history."""
    dialect: Dialect = OWN
    """What kind of stack this is, as it shows when it first calls its function."""
    _places: dict[int, _Place] = field(default_factory=dict)
    _redriven: datetime | None = None

    @property
    def log_group(self) -> str:
        """Where the render function logs; empty before its first invocation."""
        return _log_group(self.function_arn or self.coordinator_arn)

    @property
    def throttled(self) -> int:
        """How often Lambda refused an invocation because too many were running."""
        return sum(attempt.throttled for attempt in self.attempts)

    @property
    def invocations(self) -> int:
        """How often a function was really invoked, failed attempts included."""
        return sum(not attempt.throttled for attempt in self.attempts)

    def apply(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Fold further events; those that are known already are skipped."""
        for event in events:
            if event["id"] > self.last_id:
                self.last_id = event["id"]
                self._places[event["id"]] = self._fold(event, self._places.get(event.get("previousEventId", 0), _Place()))

    def _fold(self, event: Mapping[str, Any], before: _Place) -> _Place:
        """The place of `event`: that of the event which led to it, changed by what it says."""
        kind: str = event["type"]
        if kind.endswith("StateEntered"):
            self.transitions += 1
            return replace(before, state=event["stateEnteredEventDetails"]["name"], attempt=None)
        if kind == "MapRunStarted":
            self.map_run_arn = event["mapRunStartedEventDetails"]["mapRunArn"]
            return before
        if kind == "ExecutionRedriven":
            self._redriven = event["timestamp"]
            return before
        if kind == "MapIterationStarted":
            return _Place(chunk=event["mapIterationStartedEventDetails"]["index"])
        if kind in ("MapStateSucceeded", "MapStateFailed", "MapStateExited", "MapStateAborted"):
            return replace(before, chunk=None)
        if kind in ("TaskScheduled", "LambdaFunctionScheduled"):
            return self._scheduled(event, before)
        if kind in ("TaskStarted", "LambdaFunctionStarted") and before.attempt is not None:
            before.attempt.started = event["timestamp"]
        elif kind in _ENDS and before.attempt is not None:
            self._ended(event, before.attempt)
        return before

    def _scheduled(self, event: Mapping[str, Any], before: _Place) -> _Place:
        parameters = _json_object(event.get("taskScheduledEventDetails", {}).get("parameters", ""))
        function = str(parameters.get("FunctionName") or "")
        chunk = before.chunk
        if chunk is None and isinstance(parameters.get("Payload"), Mapping):
            # The child of a distributed Map has no iteration that would say so.
            chunk = parameters["Payload"].get("ChunkIndex")
        if chunk is None:
            self.coordinator_arn = function or self.coordinator_arn
        else:
            self.function_arn = function or self.function_arn
        self.dialect = dialect_of_task(parameters.get("Payload")) or self.dialect
        previous = before.attempt
        number = 1
        if previous is not None and previous.error and (self._redriven is None or previous.started > self._redriven):
            number = previous.number
            if not previous.throttled:
                number += 1
                self.retries.append(RetryNote(before.state, chunk, previous.error, number))
        attempt = Attempt(before.state, chunk, number, event["timestamp"], function=function)
        self.attempts.append(attempt)
        return replace(before, attempt=attempt)

    def _ended(self, event: Mapping[str, Any], attempt: Attempt) -> None:
        details: Mapping[str, Any] = next((value for key, value in event.items() if key.endswith("EventDetails")), {})
        attempt.ended = event["timestamp"]
        if event["type"].endswith("Succeeded"):
            self._learn(_json_object(details.get("output", "")), attempt)
        else:
            attempt.error = details.get("error") or "States.TaskFailed"
            attempt.cause = details.get("cause") or ""

    def _learn(self, output: Mapping[str, Any], attempt: Attempt) -> None:
        result = output.get("Payload", output)
        if not isinstance(result, Mapping):
            return
        if "ChunkIndex" in result:
            attempt.frames = result.get("FramesEncoded")
            if result.get("Reused"):
                self.reused_chunks.add(int(result["ChunkIndex"]))
            return
        try:
            self.plan = self.dialect.plan_of(result) or self.plan
        except ValidationError:
            self.plan = None

    def chunk_progress(self) -> list[ChunkProgress]:
        """How far the chunks are, of stacks that report nothing else: one is done, or it is not."""
        return [
            ChunkProgress(
                chunk_index=attempt.chunk,
                frames_done=attempt.frames,
                frames_total=attempt.frames,
                started_at=attempt.started.timestamp(),
                updated_at=attempt.ended.timestamp(),
                complete=True,
            )
            for attempt in self.attempts
            if attempt.chunk is not None and attempt.frames is not None and attempt.ended is not None
        ]


_THROTTLED = ErrorCode.LAMBDA_TOO_MANY_REQUESTS.value

_ENDS = frozenset(
    f"{kind}{end}" for kind in ("Task", "LambdaFunction") for end in ("Succeeded", "Failed", "TimedOut", "SubmitFailed", "StartFailed")
)


def read(history: History, execution_arn: str) -> Steps[None]:
    """Bring `history` up to date: newest events first, back to the last known one."""
    fresh: list[Mapping[str, Any]] = []
    arguments: dict[str, Any] = {"executionArn": execution_arn, "reverseOrder": True, "maxResults": _PAGE, "includeExecutionData": True}
    while True:
        answer = yield Call("stepfunctions", "get_execution_history", arguments)
        page = [event for event in answer["events"] if event["id"] > history.last_id]
        fresh += page
        if len(page) < len(answer["events"]) or not answer.get("nextToken"):
            break
        arguments = {**arguments, "nextToken": answer["nextToken"]}
    history.apply(sorted(fresh, key=lambda event: int(event["id"])))


def dialect_of(execution_arn: str) -> Steps[Dialect]:
    """What kind of stack an execution runs on, from its first events; one of ours as long as it has not called its function, or may not
    be looked at.
    """
    arguments = {"executionArn": execution_arn, "maxResults": _BEGINNING, "includeExecutionData": True}
    try:
        answer = yield Call("stepfunctions", "get_execution_history", arguments)
    except ClientError:
        return OWN
    beginning = History()
    beginning.apply(answer["events"])
    return beginning.dialect


def failure_of(execution: Execution, history: History) -> Failure:
    """Why `execution` ended without an output: the error's name and message, the state, the chunk and the number of attempts."""
    culprit = next((attempt for attempt in reversed(history.attempts) if attempt.error and attempt.error == execution.error), None)
    if culprit is None and execution.status is Status.TIMED_OUT:
        culprit = next((attempt for attempt in reversed(history.attempts) if attempt.ended is None), None)
    until = execution.stopped or execution.started
    return Failure(
        error=execution.error or ("States.Timeout" if execution.status is Status.TIMED_OUT else str(execution.status)),
        message=message_of(execution.cause) or _default_message(execution),
        state=culprit.state if culprit else "",
        chunk=culprit.chunk if culprit else None,
        attempts=culprit.number if culprit else 1,
        log_group=_log_group(culprit.function) if culprit and culprit.function else history.log_group,
        since=culprit.started if culprit else execution.started,
        until=(culprit.ended if culprit else None) or until,
        dialect=history.dialect,
    )


def message_of(cause: str) -> str:
    """The sentence in a cause: Lambda writes JSON with `errorMessage`, everybody else plain text."""
    text = _json_object(cause).get("errorMessage", cause)
    return str(text).strip()


def _log_group(function_arn: str) -> str:
    return f"/aws/lambda/{function_arn.split(':function:')[-1].split(':')[0]}" if function_arn else ""


def _default_message(execution: Execution) -> str:
    if execution.status is Status.TIMED_OUT:
        return "The execution ran out of the time that its state machine allows."
    return f"The execution is {execution.status} and gives no cause."


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text) if text else {}
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
