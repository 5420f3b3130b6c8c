"""Deletion of a stack."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from botocore.exceptions import ClientError

from hyperframes_provider.client.aws.calls import Call, Steps, run
from hyperframes_provider.client.aws.connect import Connect
from hyperframes_provider.client.aws.errors import HyperFramesClientError, InvalidRequest, error_code
from hyperframes_provider.client.stack.describe import advice, find_stack, parameters_of
from hyperframes_provider.client.stack.events import Operation, StackEvent

DEFAULT_TIMEOUT = 1800.0
"""Default limit in seconds for a deploy or a deletion; on AWS, either takes one or two minutes."""


class StackFailed(HyperFramesClientError):
    """A deploy or a deletion failed.

    :param status: final state of the stack
    :param reasons: the resources that failed, the first one first
    """

    retryable = False

    def __init__(self, message: str, *, status: str, reasons: tuple[StackEvent, ...] = (), hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.reasons = reasons


@dataclass(frozen=True)
class DeleteResult:
    """The outcome of a deletion."""

    action: Literal["deleted", "absent"]
    kept_bucket: str | None
    """The render bucket, which is kept with all its objects."""


def delete_stack(
    connect: Connect, name: str, *, on_event: Callable[[StackEvent], None] = lambda _: None, timeout: float = DEFAULT_TIMEOUT
) -> DeleteResult:
    """Delete the stack and wait until it is gone. The render bucket is kept; a stack that does not exist is no error.

    Raise `StackFailed` with the reason of the resource that could not be deleted, or `StackTimeout`.
    """
    return run(connect, _delete(name, on_event, time.monotonic() + timeout))


def _delete(name: str, on_event: Callable[[StackEvent], None], deadline: float) -> Steps[DeleteResult]:
    stack = yield from find_stack(name)
    if stack is None:
        return DeleteResult(action="absent", kept_bucket=None)
    refuse_foreign(stack)
    bucket = yield from _render_bucket(str(stack["StackId"]))
    yield from delete(stack, on_event, deadline)
    return DeleteResult(action="deleted", kept_bucket=bucket if bucket and (yield from _bucket_exists(bucket)) else None)


def delete(stack: Mapping[str, Any], on_event: Callable[[StackEvent], None], deadline: float) -> Steps[None]:
    """Delete a stack as DescribeStacks has it; raise `StackFailed` or `StackTimeout`."""
    operation = Operation(str(stack["StackId"]), on_event, deadline)
    yield from operation.begin()
    yield Call("cloudformation", "delete_stack", {"StackName": stack["StackId"]})
    status = yield from operation.wait()
    if status != "DELETE_COMPLETE":
        raise failure(str(stack["StackName"]), status, operation)


def refuse_foreign(stack: Mapping[str, Any]) -> None:
    """Raise `InvalidRequest` for an unrelated stack that happens to have the name."""
    if stack["StackStatus"] != "REVIEW_IN_PROGRESS" and "DefinitionKey" not in parameters_of(stack):
        raise InvalidRequest(f"stack {stack['StackName']!r} exists and was not made from this template", hint="Choose another stack name.")


def failure(name: str, status: str, operation: Operation) -> StackFailed:
    """Return the error for an operation that ended in this state."""
    reasons = tuple(operation.reasons())
    lines = [f"stack {name!r} ended in {status}", *(f"  {event}" for event in reasons)]
    return StackFailed("\n".join(lines), status=status, reasons=reasons, hint=advice(status))


def _render_bucket(stack_id: str) -> Steps[str | None]:
    """Return the bucket's name from the resources, because a failed stack has no outputs."""
    answer = yield Call("cloudformation", "describe_stack_resources", {"StackName": stack_id})
    found = [resource for resource in answer["StackResources"] if resource["LogicalResourceId"] == "RenderBucket"]
    return str(found[0]["PhysicalResourceId"]) if found and found[0].get("PhysicalResourceId") else None


def _bucket_exists(bucket: str) -> Steps[bool]:
    try:
        yield Call("s3", "head_bucket", {"Bucket": bucket})
    except ClientError as error:
        if error_code(error) != "404":
            raise
        return False
    return True
