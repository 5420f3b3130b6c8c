"""The map run of a distributed Map: its parent's history knows nothing of the chunks, each of which is an execution of its own.

What is asked here is extra: without the permissions for it a render is followed, and its failure told, from what is known anyway.
"""

from __future__ import annotations

from dataclasses import dataclass

from botocore.exceptions import ClientError

from hyperframes_provider.client.aws.calls import Call, Steps
from hyperframes_provider.client.execution import history as histories
from hyperframes_provider.client.execution.executions import Execution, Status, describe
from hyperframes_provider.client.execution.history import History

EXCEEDED = "States.ExceedToleratedFailureThreshold"
"""How the parent fails when a child has: the child's own error is in the child only."""

_FAILING = (Status.FAILED, Status.TIMED_OUT)


@dataclass(frozen=True)
class Child:
    """The execution of one chunk, and what happened in it."""

    execution: Execution
    history: History


def completed(map_run_arn: str) -> Steps[int]:
    """How many chunks are complete; 0 where the run may not be asked."""
    try:
        answer = yield Call("stepfunctions", "describe_map_run", {"mapRunArn": map_run_arn})
    except ClientError:
        return 0
    return int(answer["itemCounts"]["succeeded"])


def failing_child(execution: Execution) -> Steps[Child | None]:
    """The child that made `execution` fail: the first that did; None when none did, or none can be read."""
    if execution.error != EXCEEDED:
        return None
    try:
        runs = yield Call("stepfunctions", "list_map_runs", {"executionArn": execution.arn})
        for run in reversed(runs["mapRuns"]):
            for status in _FAILING:
                failed = yield from _last_listed(run["mapRunArn"], status)
                if failed is not None:
                    child = yield from describe(failed)
                    history = History()
                    yield from histories.read(history, failed)
                    return Child(child, history)
    except ClientError:
        return None
    return None


def _last_listed(map_run_arn: str, status: Status) -> Steps[str | None]:
    """The oldest child with this status: the newest are listed first."""
    oldest: str | None = None
    arguments = {"mapRunArn": map_run_arn, "statusFilter": status.value, "maxResults": 1000}
    while True:
        answer = yield Call("stepfunctions", "list_executions", arguments)
        if answer["executions"]:
            oldest = str(answer["executions"][-1]["executionArn"])
        if not answer.get("nextToken"):
            return oldest
        arguments = {**arguments, "nextToken": answer["nextToken"]}
