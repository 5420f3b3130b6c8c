"""Where a redriven execution goes on, and how its history reads on: pure arithmetic over events and a definition.

Coarser than the service: a Map that failed runs again as a whole, in a map run of its own, and finds what its items have left in S3.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

Event = Mapping[str, Any]


def resumption(definition: str, events: Sequence[Event], execution_input: Any) -> tuple[str, Any]:
    """The definition that starts with the state in which the execution ended, and that state's input."""
    machine = json.loads(definition)
    for event in reversed(events):
        entered = event.get("stateEnteredEventDetails", {})
        if entered.get("name") in machine["States"]:
            return json.dumps({**machine, "StartAt": entered["name"]}), json.loads(entered["input"])
    return definition, execution_input


def redriven(events: Sequence[Event], count: int, timestamp: str) -> list[dict[str, Any]]:
    """`events`, and the one that says that the execution was redriven for the `count`th time."""
    last = events[-1]["id"]
    details = {"executionRedrivenEventDetails": {"redriveCount": count}}
    return [
        *map(dict, events),
        {"id": last + 1, "previousEventId": last, "type": "ExecutionRedriven", "timestamp": timestamp, **details},
    ]


def continued(before: Sequence[Event], after: Sequence[Event]) -> list[dict[str, Any]]:
    """`before`, which ends with a redrive, and behind it the events `after` of the interpreter that went on, but for its own start."""
    if not before:
        return [dict(event) for event in after]
    base = before[-1]["id"]
    return [
        *map(dict, before),
        *({**event, "id": base + event["id"] - 1, "previousEventId": base + max(0, event["previousEventId"] - 1)} for event in after[1:]),
    ]
