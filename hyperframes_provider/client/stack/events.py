"""One stack operation: its events as they happen, its end, and the cause of a failure.

boto3's waiters offer none of this: they poll every 30 seconds in silence, and report a failure without its cause.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from hyperframes_provider.client.aws.calls import Call, Steps, pages, poll
from hyperframes_provider.client.aws.errors import HyperFramesClientError, error_code

FIRST_POLL = 0.2
"""Seconds until the second poll: the embedded endpoint finishes within seconds."""
LONGEST_POLL = 5.0
"""Longest pause in seconds between polls of a long operation."""


@dataclass(frozen=True)
class StackEvent:
    """An event of one resource, or of the stack itself."""

    time: datetime
    resource: str
    """Name in the template; the stack's own name for an event of the stack."""
    resource_type: str
    status: str
    reason: str

    def __str__(self) -> str:
        text = f"{self.resource} ({self.resource_type}) {self.status}"
        return f"{text}: {self.reason}" if self.reason else text

    @property
    def is_stack(self) -> bool:
        """Whether the event concerns the stack as a whole."""
        return self.resource_type == "AWS::CloudFormation::Stack"

    @property
    def is_cause(self) -> bool:
        """Whether the resource itself failed. A resource also fails when another failure cancels it, which explains nothing."""
        return self.status.endswith("_FAILED") and not self.is_stack and "cancelled" not in self.reason.lower()


class StackTimeout(HyperFramesClientError):
    """The operation was still running at the deadline. It continues, and a retry waits for it first."""


@dataclass
class Operation:
    """One create, update or delete of a stack. Call `begin` before the operation starts, and `wait` afterwards.

    :param stack_id: the stack's ARN, because a deleted stack cannot be described by its name
    :param on_event: called with each event in order
    :param deadline: `time.monotonic()` at which `wait` gives up
    """

    stack_id: str
    on_event: Callable[[StackEvent], None]
    deadline: float
    events: list[StackEvent] = field(default_factory=list)
    _last_seen: str | None = None

    def begin(self) -> Steps[None]:
        """Note the last event that does not belong to the operation."""
        newest = yield from self._newest(lambda _: True)
        self._last_seen = newest[0]["EventId"] if newest else None

    def wait(self) -> Steps[str]:
        """Wait until the stack has settled and return its status; raise `StackTimeout` at the deadline."""
        status = ""

        def look() -> Steps[str | None]:
            nonlocal status
            status = yield from self._status()
            yield from self._report()
            return None if status.endswith("_IN_PROGRESS") else status

        def late() -> StackTimeout:
            return StackTimeout(
                f"stack {self.stack_id} is still {status} at the deadline",
                hint="The operation goes on. Run the task again to wait for it, or give it a longer timeout.",
            )

        return (yield from poll(look, first=FIRST_POLL, longest=LONGEST_POLL, deadline=self.deadline, late=late))

    def reasons(self) -> list[StackEvent]:
        """Return the failures that caused the others, oldest first; without any, the stack's own events that give a reason."""
        causes = [event for event in self.events if event.is_cause]
        return causes or [event for event in self.events if event.reason and ("FAILED" in event.status or "ROLLBACK" in event.status)]

    def _status(self) -> Steps[str]:
        try:
            answer = yield Call("cloudformation", "describe_stacks", {"StackName": self.stack_id})
        except ClientError as error:
            if not is_no_stack(error):
                raise
            return "DELETE_COMPLETE"
        return str(answer["Stacks"][0]["StackStatus"])

    def _report(self) -> Steps[None]:
        newest = yield from self._newest(lambda found: any(entry["EventId"] == self._last_seen for entry in found[-1]["StackEvents"]))
        fresh = list(itertools.takewhile(lambda entry: entry["EventId"] != self._last_seen, newest))
        if fresh:
            self._last_seen = fresh[0]["EventId"]
        for event in map(_parse, reversed(fresh)):
            self.events.append(event)
            self.on_event(event)

    def _newest(self, until: Callable[[list[dict[str, Any]]], bool]) -> Steps[list[dict[str, Any]]]:
        """Return events as DescribeStackEvents has them, newest first; none for a stack that is gone."""
        try:
            found = yield from pages(Call("cloudformation", "describe_stack_events", {"StackName": self.stack_id}), until=until)
        except ClientError as error:
            if not is_no_stack(error):
                raise
            return []
        return [entry for page in found for entry in page["StackEvents"]]


def is_no_stack(error: ClientError) -> bool:
    """Whether CloudFormation reports that the stack does not exist; it has no error code of its own for that."""
    return error_code(error) == "ValidationError" and "does not exist" in str(error)


def _parse(event: dict[str, Any]) -> StackEvent:
    return StackEvent(
        time=event["Timestamp"],
        resource=event.get("LogicalResourceId", ""),
        resource_type=event.get("ResourceType", ""),
        status=event.get("ResourceStatus", ""),
        reason=event.get("ResourceStatusReason") or "",
    )
