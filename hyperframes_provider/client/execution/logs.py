"""The end of the render function's log, for a failure message."""

from __future__ import annotations

import json
from collections import deque
from contextlib import suppress
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from hyperframes_provider.client.aws.calls import Call, Steps, pages
from hyperframes_provider.client.execution.history import json_object

_PAGES = 5
_LONGEST_LINE = 400
_SLACK_MS = 2_000
"""Allowance for differing clocks, and for lines written while the task is reported as failed."""


def tail(log_group: str, since: datetime, until: datetime, *, containing: str, lines: int = 20) -> Steps[tuple[str, ...]]:
    """Return the last `lines` lines between two times, preferring those that contain a text; empty if the log cannot be read.

    A missing permission or log group raises nothing, because it must not hide the failure that is being reported.
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

    def keep(found: list[dict[str, Any]]) -> bool:
        kept.extend(_line(event["message"]) for event in found[-1]["events"])
        return len(found) >= _PAGES

    with suppress(ClientError):
        yield from pages(Call("logs", "filter_log_events", arguments), until=keep)
    return tuple(kept)


def _line(message: str) -> str:
    """Return a structured line as `LEVEL message`, any other line unchanged."""
    text = message.rstrip()
    record = json_object(text)
    if "message" in record:
        text = f"{record.get('level', '')} {record['message']}".strip()
        if record.get("exception_name"):
            text += f" ({record['exception_name']})"
    return text if len(text) <= _LONGEST_LINE else text[: _LONGEST_LINE - 1] + "…"
