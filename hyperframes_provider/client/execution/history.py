"""The event history of an execution: attempts, retries, the plan and reused chunks.

The history is append-only, so it is read from its end back to the last known event; a poll costs one call.
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
from hyperframes_provider.client.aws.calls import Call, Steps, pages
from hyperframes_provider.client.request.dialect import OWN, Dialect
from hyperframes_provider.client.request.reference_stack import dialect_of_task

_PAGE = 1000
_BEGINNING = 12
"""Number of events that includes the first call of the function."""


@dataclass
class Attempt:
    """One invocation of the render function."""

    state: str
    chunk: int | None
    """Index of the chunk, None outside the Map."""
    number: int
    """1 for the first attempt at this task. A chunk that continues in a new invocation starts at 1 again; throttled ones do not count."""
    started: datetime
    ended: datetime | None = None
    error: str = ""
    cause: str = ""
    function: str = ""
    """ARN of the invoked function."""
    frames: int | None = None
    """Finished frames of the chunk, reported when the invocation ends; None before, and outside the Map."""

    @property
    def throttled(self) -> bool:
        """Whether Lambda throttled the invocation, so that nothing ran and nothing failed."""
        return self.error == _THROTTLED


@dataclass(frozen=True)
class RetryNote:
    """A retry of a failed task: the error before it, and the number of the new attempt."""

    state: str
    chunk: int | None
    error: str
    attempt: int


@dataclass(frozen=True)
class _Place:
    state: str = ""
    chunk: int | None = None
    attempt: Attempt | None = None


@dataclass
class History:
    """The events so far, folded. Feed it through `read`, or through `apply` in the order of event ids."""

    last_id: int = 0
    attempts: list[Attempt] = field(default_factory=list)
    retries: list[RetryNote] = field(default_factory=list)
    transitions: int = 0
    """Entered states; Step Functions bills these and the retries."""
    plan: PlanResult | None = None
    reused_chunks: set[int] = field(default_factory=set)
    coordinator_arn: str = ""
    """ARN of the function that plans and assembles; empty before its first invocation."""
    function_arn: str = ""
    """ARN of the function that renders chunks, by default the same; empty before its first invocation."""
    map_run_arn: str = ""
    """ARN of the distributed Map's run; empty without one. With one, the attempts at chunks are not in this history."""
    dialect: Dialect = OWN
    """Kind of stack, known from its first call of the function."""
    _places: dict[int, _Place] = field(default_factory=dict)
    _redriven: datetime | None = None

    @property
    def log_group(self) -> str:
        """Log group of the render function; empty before its first invocation."""
        return log_group_of(self.function_arn or self.coordinator_arn)

    @property
    def throttled(self) -> int:
        """Number of invocations that Lambda throttled."""
        return sum(attempt.throttled for attempt in self.attempts)

    @property
    def invocations(self) -> int:
        """Number of invocations that ran, failed ones included."""
        return sum(not attempt.throttled for attempt in self.attempts)

    def apply(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Fold further events; skip known ones."""
        for event in events:
            if event["id"] > self.last_id:
                self.last_id = event["id"]
                self._places[event["id"]] = self._fold(event, self._places.get(event.get("previousEventId", 0), _Place()))

    def _fold(self, event: Mapping[str, Any], before: _Place) -> _Place:
        """Return the place of `event`, derived from that of the event before it."""
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
        parameters = json_object(event.get("taskScheduledEventDetails", {}).get("parameters", ""))
        function = str(parameters.get("FunctionName") or "")
        chunk = before.chunk
        if chunk is None and isinstance(parameters.get("Payload"), Mapping):
            # The child of a distributed Map has no iteration event.
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
            self._learn(json_object(details.get("output", "")), attempt)
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
        """Return the finished chunks as reports, for stacks whose chunks report nothing."""
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
    """Update `history`: read the newest events first, back to the last known one."""
    known = history.last_id
    arguments = {"executionArn": execution_arn, "reverseOrder": True, "maxResults": _PAGE, "includeExecutionData": True}
    newest = yield from pages(
        Call("stepfunctions", "get_execution_history", arguments),
        until=lambda found: any(event["id"] <= known for event in found[-1]["events"]),
    )
    history.apply(sorted((event for page in newest for event in page["events"]), key=lambda event: int(event["id"])))


def dialect_of(execution_arn: str) -> Steps[Dialect]:
    """Return the kind of stack that runs an execution, from its first events.

    `OWN` is assumed until the execution calls its function, and without permission to read the history.
    """
    arguments = {"executionArn": execution_arn, "maxResults": _BEGINNING, "includeExecutionData": True}
    try:
        answer = yield Call("stepfunctions", "get_execution_history", arguments)
    except ClientError:
        return OWN
    beginning = History()
    beginning.apply(answer["events"])
    return beginning.dialect


def log_group_of(function_arn: str) -> str:
    """Return the log group of a function, empty for an empty ARN."""
    return f"/aws/lambda/{function_arn.split(':function:')[-1].split(':')[0]}" if function_arn else ""


def json_object(text: str) -> dict[str, Any]:
    """Parse a JSON object; return an empty one for any other text."""
    try:
        value = json.loads(text) if text else {}
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
