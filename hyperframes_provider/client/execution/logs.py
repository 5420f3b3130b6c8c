"""The end of the render function's log, for a failure message."""

from __future__ import annotations

import json
from collections import deque
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from hyperframes_provider.client.aws.calls import Call, Steps

_PAGES = 5
_LONGEST_LINE = 400
_SLACK_MS = 2_000
"""CloudWatch's clock and that of Step Functions need not agree, and the last lines are written while the task is reported as failed."""


def tail(log_group: str, since: datetime, until: datetime, *, containing: str, lines: int = 20) -> Steps[tuple[str, ...]]:
    """The last `lines` lines between two moments, those that contain a text if there are any; empty when the log cannot be read.

    A failure is being reported: a missing permission or log group must not take its place.
    """
    if not log_group:
        return ()
    window = {
        "logGroupName": log_group,
        "startTime": int(since.timestamp() * 1000) - _SLACK_MS,
        "endTime": int(until.timestamp() * 1000) + _SLACK_MS,
    }
    found = yield from _last({**window, "filterPattern": json.dumps(containing)}, lines)
    if not found:
        found = yield from _last(window, lines)
    return found


def _last(arguments: dict[str, Any], lines: int) -> Steps[tuple[str, ...]]:
    kept: deque[str] = deque(maxlen=lines)
    for _ in range(_PAGES):
        try:
            answer = yield Call("logs", "filter_log_events", arguments)
        except ClientError:
            break
        kept.extend(_line(event["message"]) for event in answer["events"])
        if not answer.get("nextToken"):
            break
        arguments = {**arguments, "nextToken": answer["nextToken"]}
    return tuple(kept)


def _line(message: str) -> str:
    """A structured line as `LEVEL message`, any other as it is."""
    text = message.rstrip()
    if text.startswith("{"):
        try:
            record = json.loads(text)
        except ValueError:
            record = None
        if isinstance(record, dict) and "message" in record:
            text = f"{record.get('level', '')} {record['message']}".strip()
            if record.get("exception_name"):
                text += f" ({record['exception_name']})"
    return text if len(text) <= _LONGEST_LINE else text[: _LONGEST_LINE - 1] + "…"
