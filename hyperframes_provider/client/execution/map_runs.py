"""The run of a distributed Map, whose chunks are executions of their own and absent from the parent's history.

These calls are extra: without permission for them, a render is followed and its failure reported from the parent alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from botocore.exceptions import ClientError

from hyperframes_provider.client.aws.calls import Call, Steps, pages
from hyperframes_provider.client.execution import history as histories
from hyperframes_provider.client.execution.executions import Execution, Status, describe
from hyperframes_provider.client.execution.history import History

EXCEEDED = "States.ExceedToleratedFailureThreshold"
"""Error of the parent after a child has failed; the child's own error is in the child only."""


@dataclass(frozen=True)
class Child:
    """The execution of one chunk, with its history."""

    execution: Execution
    history: History


def completed(map_run_arn: str) -> Steps[int]:
    """Return the number of complete chunks; 0 without permission to ask."""
    try:
        answer = yield Call("stepfunctions", "describe_map_run", {"mapRunArn": map_run_arn})
    except ClientError:
        return 0
    return int(answer["itemCounts"]["succeeded"])


def failing_child(execution: Execution) -> Steps[Child | None]:
    """Return the first child that made `execution` fail; None if no child did, or none can be read."""
    if execution.error != EXCEEDED:
        return None
    try:
        runs = yield Call("stepfunctions", "list_map_runs", {"executionArn": execution.arn})
        for run in reversed(runs["mapRuns"]):
            for status in (Status.FAILED, Status.TIMED_OUT):
                failed = yield from _oldest(run["mapRunArn"], status)
                if failed is not None:
                    child, history = (yield from describe(failed)), History()
                    yield from histories.read(history, failed)
                    return Child(child, history)
    except ClientError:
        return None
    return None


def _oldest(map_run_arn: str, status: Status) -> Steps[str | None]:
    """Return the ARN of the oldest child with this status, which is listed last."""
    arguments = {"mapRunArn": map_run_arn, "statusFilter": status.value, "maxResults": 1000}
    found = yield from pages(Call("stepfunctions", "list_executions", arguments))
    arns = [str(item["executionArn"]) for page in found for item in page["executions"]]
    return arns[-1] if arns else None
