"""Log lines of a render's functions, merged in order of time."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from hyperframes_provider.client.aws.calls import Call, Steps, pages
from hyperframes_provider.client.aws.errors import error_code
from hyperframes_provider.client.execution.executions import Execution
from hyperframes_provider.client.execution.history import json_object
from hyperframes_provider.client.request.names import render_id_of

_SLACK_MS = 2_000
"""Allowance for the differing clocks of CloudWatch and Step Functions."""
_LATE_MS = 30_000
"""Delay with which a line may arrive after others of the same time."""
_PLATFORM = ("Task timed out", "Runtime exited", "REPORT RequestId")
"""Lines by Lambda itself about the end of an invocation; they name only the invocation's request."""
_REQUEST = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
_OWN = frozenset(
    {"level", "message", "location", "timestamp", "service", "cold_start", "function_name", "function_memory_size", "function_arn",
     "function_request_id", "xray_trace_id", "action", "execution", "render", "chunk"}
)  # fmt: skip
"""Fields of a structured line that are shown separately or not at all."""


@dataclass(frozen=True)
class LogLine:
    """One line of a render's log."""

    time: datetime
    function: str
    level: str
    """Level such as `INFO`; empty without one."""
    action: str
    """Action of the invocation: `plan`, `renderChunk` or `assemble`; empty if unknown."""
    chunk: int | None
    message: str
    fields: dict[str, Any] = field(default_factory=dict)
    """Other fields of a structured line."""


@dataclass
class LogReader:
    """Incremental reader of one execution's log.

    :param execution: the execution; its start bounds the search
    :param functions: names or ARNs of the stack's functions
    """

    execution: Execution
    functions: tuple[str, ...]
    _seen: set[str] = field(default_factory=set)
    _requests: dict[str, tuple[str, int | None]] = field(default_factory=dict)
    """Action and chunk of each invocation of this execution, by request id."""
    _since: int = 0

    def read(self, until: datetime) -> Steps[list[LogLine]]:
        """Return the lines up to `until` that no earlier call returned, in order of time."""
        raw: list[tuple[int, str, str]] = []
        for function in self.functions:
            raw += yield from self._of(function.rpartition(":function:")[2].split(":")[0], until)
        raw.sort(key=lambda line: line[0])
        records = [(stamp, function, text, json_object(text)) for stamp, function, text in raw]
        for _, _, _, record in records:
            self._learn(record)
        if raw:
            self._since = max(self._since, raw[-1][0] - _LATE_MS)
        return [line for line in (self._line(*record) for record in records) if line is not None]

    def _of(self, function: str, until: datetime) -> Steps[list[tuple[int, str, str]]]:
        name = render_id_of(self.execution.name)
        arguments: dict[str, Any] = {
            "logGroupName": f"/aws/lambda/{function}",
            "startTime": max(self._since, int(self.execution.started.timestamp() * 1000) - _SLACK_MS),
            "endTime": int(until.timestamp() * 1000) + _SLACK_MS,
            # Lines that name the render, or that may concern one of its invocations.
            "filterPattern": " ".join(f"?{json.dumps(term)}" for term in (name, *_PLATFORM)),
        }
        try:
            found = yield from pages(Call("logs", "filter_log_events", arguments))
        except ClientError as error:
            if error_code(error) == "ResourceNotFoundException":
                return []  # Lambda creates the group with the function's first line
            raise
        events = {event["eventId"]: event for page in found for event in page["events"] if event["eventId"] not in self._seen}
        self._seen |= events.keys()
        return [(event["timestamp"], function, event["message"].rstrip()) for event in events.values()]

    def _is_ours(self, record: dict[str, Any]) -> bool:
        return bool(record.get("execution") == self.execution.name)

    def _learn(self, record: dict[str, Any]) -> None:
        if self._is_ours(record) and record.get("function_request_id"):
            self._requests[record["function_request_id"]] = (str(record.get("action", "")), record.get("chunk"))

    def _line(self, stamp: int, function: str, text: str, record: dict[str, Any]) -> LogLine | None:
        time = datetime.fromtimestamp(stamp / 1000, UTC)
        if record:
            if not self._is_ours(record):
                return None
            action, chunk = self._requests.get(record.get("function_request_id", ""), (str(record.get("action", "")), record.get("chunk")))
            rest = {name: value for name, value in record.items() if name not in _OWN}
            return LogLine(time, function, str(record.get("level", "")), action, chunk, str(record.get("message", "")), rest)
        request = _REQUEST.search(text)
        if request is None or request[0] not in self._requests:
            return None
        if text.startswith(("START", "END")):
            return None
        action, chunk = self._requests[request[0]]
        level = "" if text.startswith("REPORT") else "ERROR"
        return LogLine(time, function, level, action, chunk, " ".join(text.split()))


def of_chunk(lines: Iterable[LogLine], chunk: int | None) -> list[LogLine]:
    """Return the lines of one chunk; all lines for None."""
    return [line for line in lines if chunk is None or line.chunk == chunk]


def log_text(line: LogLine) -> str:
    """Format a line without its time, like `chunk 3  INFO done {"frames": 60}`."""
    place = f"chunk {line.chunk}" if line.chunk is not None else line.action
    rest = json.dumps(line.fields, ensure_ascii=False, default=str) if line.fields else ""
    return " ".join(part for part in (place.ljust(10), line.level.ljust(7) if line.level else "", line.message, rest) if part)
