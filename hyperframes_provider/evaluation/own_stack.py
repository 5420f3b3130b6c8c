"""A temporary stack for a test run, with a unique name, deleted together with everything in it.

Deletes only a stack with this run's tag. Unlike for other stacks, it deletes the bucket too, because only the run wrote to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from hyperframes_provider.client.aws.calls import run
from hyperframes_provider.client.aws.connect import Connect
from hyperframes_provider.client.aws.errors import HyperFramesClientError, InvalidRequest, error_code, typed_errors
from hyperframes_provider.client.stack.delete import DEFAULT_TIMEOUT, delete_stack
from hyperframes_provider.client.stack.deploy import DeployResult, deploy_stack
from hyperframes_provider.client.stack.describe import StackNotFound, StackNotReady, describe_stack
from hyperframes_provider.client.stack.events import Operation, StackEvent

TAG = "hyperframes:run"
"""Tag of the stack and its bucket, with the run as its value."""

_BUCKET_PAUSES = (1.0, 3.0, 9.0)
"""Seconds before emptying a bucket again, because an invocation outlives its stopped render and may still write."""


class ForeignStack(InvalidRequest):
    """A stack with that name exists and is not this run's, so it stays unchanged."""


@dataclass
class Teardown:
    """The fate of the stack, for the report."""

    stack: str = "absent"
    """`kept`, `deleted`, `failed`, or `absent` if it was never created or someone else deleted it."""
    bucket: str = "absent"
    """The same, or `unknown` if the stack could not be deleted."""
    bucket_name: str = ""
    """Empty if unknown."""
    objects: int = 0
    """Number of objects deleted with the bucket."""
    problem: str = ""
    """The reason for an incomplete deletion."""

    def to_json(self) -> dict[str, Any]:
        """Return the object for `results.json`."""
        return asdict(self)


@dataclass
class OwnStack:
    """The stack, and its fate."""

    name: str
    run: str
    teardown: Teardown = field(default_factory=Teardown)


@contextmanager
def own_stack(
    connect: Connect,
    stack: OwnStack,
    *,
    parameters: Mapping[str, object],
    code: Path | str | None,
    keep: bool,
    say: Callable[[str], None],
    on_event: Callable[[StackEvent], None] | None = None,
) -> Iterator[DeployResult]:
    """Deploy the stack for the block and delete it afterwards, whatever happens in the block, including an interrupt.

    :param keep: leave the stack, and report how to delete it
    :raises ForeignStack: a stack with that name exists; nothing was changed
    """
    _refuse_existing(connect, stack.name)
    try:
        yield deploy_stack(
            connect, stack.name, parameters=parameters, code=code, tags={TAG: stack.run}, on_event=on_event or (lambda _: None)
        )
    finally:
        if keep:
            _keep(connect, stack, say)
        else:
            _take_away(connect, stack, say)


def empty_and_delete_bucket(connect: Connect, bucket: str) -> int:
    """Delete every object, every version and the bucket itself; return the number of objects and versions."""
    s3 = connect("s3")
    with typed_errors():
        count = _empty(s3, bucket)
        for pause in _BUCKET_PAUSES:
            try:
                s3.delete_bucket(Bucket=bucket)
            except ClientError as error:
                if error_code(error) != "BucketNotEmpty":
                    raise
                time.sleep(pause)
                count += _empty(s3, bucket)
            else:
                return count
        s3.delete_bucket(Bucket=bucket)
    return count


def _empty(s3: Any, bucket: str) -> int:
    count = 0
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        found = [
            {"Key": item["Key"], "VersionId": item["VersionId"]} for kind in ("Versions", "DeleteMarkers") for item in page.get(kind, ())
        ]
        if found:
            answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": found, "Quiet": True})
            refused = answer.get("Errors") or []
            if refused:
                raise HyperFramesClientError(f"cannot delete {len(refused)} objects of {bucket}: {refused[0].get('Message')}")
            count += len(found)
    return count


def _refuse_existing(connect: Connect, name: str) -> None:
    try:
        describe_stack(connect, name)
    except StackNotFound:
        return
    except StackNotReady:
        pass
    raise ForeignStack(f"stack {name!r} exists and is not from this run", hint="Choose another name, or delete the stack yourself.")


def _keep(connect: Connect, stack: OwnStack, say: Callable[[str], None]) -> None:
    try:
        if _find_own(connect, stack) is None:
            return
    except HyperFramesClientError as error:
        say(f"cannot determine whether stack {stack.name} exists: {error.message}")
    stack.teardown.stack = stack.teardown.bucket = "kept"
    say(f"stack {stack.name} is kept; {_advice(stack)}")


def _take_away(connect: Connect, stack: OwnStack, say: Callable[[str], None]) -> None:
    """Delete the stack; report a client error instead of raising it, with the command to delete the rest."""
    done = stack.teardown
    done.stack, done.bucket, done.problem = "failed", "unknown", "the deletion was interrupted"
    try:
        _delete(connect, stack)
    except HyperFramesClientError as error:
        done.problem = error.message
    else:
        done.problem = ""
        if done.stack == "deleted":
            say(f"deleted stack {stack.name}, and its bucket with {done.objects} objects")
    finally:
        if done.problem:
            say(f"cannot delete everything: {done.problem}")
            say(_advice(stack))


def _delete(connect: Connect, stack: OwnStack) -> None:
    """Delete the stack if it exists, then its bucket; `teardown` records the progress."""
    done = stack.teardown
    found = _find_own(connect, stack)
    if found is None:
        done.stack = done.bucket = "absent"
        return
    if found["StackStatus"].endswith("_IN_PROGRESS") and found["StackStatus"] != "REVIEW_IN_PROGRESS":
        # An interrupted deploy continues; only at its end are all resources known and can be deleted.
        run(connect, Operation(found["StackId"], lambda _: None, time.monotonic() + DEFAULT_TIMEOUT).wait())
    bucket = delete_stack(connect, stack.name).kept_bucket
    done.stack, done.bucket = "deleted", "absent"
    if bucket is not None:
        done.bucket, done.bucket_name = "failed", bucket
        done.objects = empty_and_delete_bucket(connect, bucket)
        done.bucket = "deleted"


def _advice(stack: OwnStack) -> str:
    if stack.teardown.stack == "deleted":
        return f"empty and delete its bucket yourself: {stack.teardown.bucket_name}"
    return f"delete it with: hyperframes-airflow destroy --stack-name {stack.name}"


def _find_own(connect: Connect, stack: OwnStack) -> dict[str, Any] | None:
    """Return the stack from DescribeStacks, or None if it does not exist or is not this run's."""
    try:
        with typed_errors():
            found: dict[str, Any] = connect("cloudformation").describe_stacks(StackName=stack.name)["Stacks"][0]
    except HyperFramesClientError as error:
        cause = error.__cause__
        if isinstance(cause, ClientError) and error_code(cause) == "ValidationError":
            return None
        raise
    return found if {"Key": TAG, "Value": stack.run} in found.get("Tags", ()) else None
