"""Following one stack operation: its events as they happen, its end, and why it failed.

boto3's waiters know none of these: they poll every 30 seconds in silence, and say of a failure only that there was one.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from hyperframes_provider.client.aws.errors import HyperFramesClientError, error_code

FIRST_POLL = 0.2
"""Seconds until the first look: the embedded endpoint is done in a few seconds."""
LONGEST_POLL = 5.0
"""Seconds between looks at a long operation."""


@dataclass(frozen=True)
class StackEvent:
    """What happened to one resource, or to the stack itself."""

    time: datetime
    resource: str
    """The name in the template; the stack's own name for an event of the stack."""
    resource_type: str
    status: str
    reason: str

    def __str__(self) -> str:
        text = f"{self.resource} ({self.resource_type}) {self.status}"
        return f"{text}: {self.reason}" if self.reason else text

    @property
    def is_stack(self) -> bool:
        """Whether it is about the stack as a whole."""
        return self.resource_type == "AWS::CloudFormation::Stack"

    @property
    def is_cause(self) -> bool:
        """Whether it is a failure of its own. Resources cancelled because another one failed fail too, and explain nothing."""
        return self.status.endswith("_FAILED") and not self.is_stack and "cancelled" not in self.reason.lower()


class StackTimeout(HyperFramesClientError):
    """The operation was still running at the deadline, and goes on; a retry waits for it first."""


class Operation:
    """One create, update or delete of a stack, followed from `__init__` on: make it before the operation is started.

    :param cloudformation: the boto3 client
    :param stack_id: the ARN; a deleted stack cannot be described by its name
    :param on_event: called with each event, in their order
    :param deadline: `time.monotonic()` after which `wait` gives up
    """

    def __init__(self, cloudformation: Any, stack_id: str, *, on_event: Callable[[StackEvent], None], deadline: float) -> None:
        self._cloudformation = cloudformation
        self._stack_id = stack_id
        self._on_event = on_event
        self._deadline = deadline
        self._last_seen = next((entry["EventId"] for entry in self._newest_first()), None)
        self.events: list[StackEvent] = []

    def wait(self) -> str:
        """Block until the stack has settled and return its status; `StackTimeout` at the deadline."""
        for pause in _pauses():
            status = self._status()
            self._report()
            if not status.endswith("_IN_PROGRESS"):
                return status
            if time.monotonic() + pause > self._deadline:
                raise StackTimeout(
                    f"stack {self._stack_id} is still {status} at the deadline",
                    hint="The operation goes on. Run the task again to wait for it, or give it a longer timeout.",
                )
            time.sleep(pause)
        raise AssertionError("unreachable: the pauses never end")

    def reasons(self) -> list[StackEvent]:
        """The failures that others followed from, oldest first; without any, the stack's own events that give a reason."""
        causes = [event for event in self.events if event.is_cause]
        return causes or [event for event in self.events if event.reason and ("FAILED" in event.status or "ROLLBACK" in event.status)]

    def _status(self) -> str:
        try:
            return str(self._cloudformation.describe_stacks(StackName=self._stack_id)["Stacks"][0]["StackStatus"])
        except ClientError as error:
            if not says_missing(error):
                raise
            return "DELETE_COMPLETE"

    def _report(self) -> None:
        fresh = list(itertools.takewhile(lambda entry: entry["EventId"] != self._last_seen, self._newest_first()))
        if fresh:
            self._last_seen = fresh[0]["EventId"]
        for event in map(_parse, reversed(fresh)):
            self.events.append(event)
            self._on_event(event)

    def _newest_first(self) -> Iterator[dict[str, Any]]:
        try:
            for page in self._cloudformation.get_paginator("describe_stack_events").paginate(StackName=self._stack_id):
                yield from page["StackEvents"]
        except ClientError as error:
            if not says_missing(error):
                raise


def says_missing(error: ClientError) -> bool:
    """Whether CloudFormation says that there is no such stack; it has no error code of its own for that."""
    return error_code(error) == "ValidationError" and "does not exist" in str(error)


def _pauses() -> Iterator[float]:
    pause = FIRST_POLL
    while True:
        yield pause
        pause = min(LONGEST_POLL, pause * 1.5)


def _parse(event: dict[str, Any]) -> StackEvent:
    return StackEvent(
        time=event["Timestamp"],
        resource=event.get("LogicalResourceId", ""),
        resource_type=event.get("ResourceType", ""),
        status=event.get("ResourceStatus", ""),
        reason=event.get("ResourceStatusReason") or "",
    )
