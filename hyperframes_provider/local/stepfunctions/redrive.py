"""The continuation of a redriven execution and its history. Coarser than the service: a failed Map runs again as a whole."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

Event = Mapping[str, Any]


def resumption(definition: str, events: Sequence[Event], execution_input: Any) -> tuple[str, Any]:
    """Return the definition that starts with the last entered state, and that state's input."""
    machine = json.loads(definition)
    for event in reversed(events):
        entered = event.get("stateEnteredEventDetails", {})
        if entered.get("name") in machine["States"]:
            return json.dumps({**machine, "StartAt": entered["name"]}), json.loads(entered["input"])
    return definition, execution_input


def redriven(events: Sequence[Event], count: int, timestamp: str) -> list[dict[str, Any]]:
    """Return `events` and the event of the `count`th redrive."""
    last = events[-1]["id"]
    details = {"executionRedrivenEventDetails": {"redriveCount": count}}
    return [
        *map(dict, events),
        {"id": last + 1, "previousEventId": last, "type": "ExecutionRedriven", "timestamp": timestamp, **details},
    ]


def continued(before: Sequence[Event], after: Sequence[Event]) -> list[dict[str, Any]]:
    """Return `before`, which ends with a redrive, followed by the events `after` of the next interpreter without its start."""
    if not before:
        return [dict(event) for event in after]
    base = before[-1]["id"]
    return [
        *map(dict, before),
        *({**event, "id": base + event["id"] - 1, "previousEventId": base + max(0, event["previousEventId"] - 1)} for event in after[1:]),
    ]
