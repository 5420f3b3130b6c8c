"""A stack that lives as long as a test run: made under a name of its own, and taken away with everything that it left.

Only what carries this run's tag is ever deleted. Its bucket goes too, unlike that of any other stack: nothing but the run wrote to it.
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
"""Tag of the stack and its bucket; the value is the run."""

_BUCKET_PAUSES = (1.0, 3.0, 9.0)
"""Seconds before a bucket is emptied again because somebody still wrote to it: an invocation goes on when its render is stopped."""


class ForeignStack(InvalidRequest):
    """A stack of that name exists and is not this run's: it is left as it is."""


@dataclass
class Teardown:
    """What became of the stack, for the report."""

    stack: str = "absent"
    """`kept`, `deleted`, `failed`, or `absent`: it was never made, or somebody else deleted it."""
    bucket: str = "absent"
    """The same, or `unknown`: there may be one, since the stack could not be deleted."""
    bucket_name: str = ""
    """Empty where it is not known."""
    objects: int = 0
    """Objects that were deleted with the bucket."""
    problem: str = ""
    """Why not everything is gone that should be."""

    def to_json(self) -> dict[str, Any]:
        """The object of `results.json`."""
        return asdict(self)


@dataclass
class OwnStack:
    """The stack while it is there."""

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
    """Deploy the stack for the block and take it away afterwards, whatever happens in the block, an interrupt included.

    :param keep: leave the stack, and say how to delete it
    :raises ForeignStack: there is one of that name already; nothing was changed
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
    """Delete every object, every version and the bucket itself; returns how many objects and versions there were."""
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
                raise HyperFramesClientError(f"{len(refused)} objects of {bucket} cannot be deleted: {refused[0].get('Message')}")
            count += len(found)
    return count


def _refuse_existing(connect: Connect, name: str) -> None:
    try:
        describe_stack(connect, name)
    except StackNotFound:
        return
    except StackNotReady:
        pass
    raise ForeignStack(f"stack {name!r} exists and was not made by this run", hint="Choose another name, or delete it yourself.")


def _keep(connect: Connect, stack: OwnStack, say: Callable[[str], None]) -> None:
    try:
        if _find_own(connect, stack) is None:
            return
    except HyperFramesClientError as error:
        say(f"whether there is a stack {stack.name} cannot be told: {error.message}")
    stack.teardown.stack = stack.teardown.bucket = "kept"
    say(f"stack {stack.name} is kept; {_advice(stack)}")


def _take_away(connect: Connect, stack: OwnStack, say: Callable[[str], None]) -> None:
    """Never raises a known fault: it would hide why the run ended. What stays is said, with the command that deletes it."""
    done = stack.teardown
    done.stack, done.bucket, done.problem = "failed", "unknown", "the deletion was interrupted"
    try:
        _delete(connect, stack)
    except HyperFramesClientError as error:
        done.problem = error.message
    else:
        done.problem = ""
        if done.stack == "deleted":
            say(f"stack {stack.name} is deleted, and its bucket with {done.objects} objects")
    finally:
        if done.problem:
            say(f"not everything could be deleted: {done.problem}")
            say(_advice(stack))


def _delete(connect: Connect, stack: OwnStack) -> None:
    """Delete the stack if it is there, then its bucket; how far it came is in `teardown`."""
    done = stack.teardown
    found = _find_own(connect, stack)
    if found is None:
        done.stack = done.bucket = "absent"
        return
    if found["StackStatus"].endswith("_IN_PROGRESS") and found["StackStatus"] != "REVIEW_IN_PROGRESS":
        # An interrupted deploy goes on: only when it is done are all resources known, and can every one be deleted.
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
    """The stack as DescribeStacks has it, None when there is none or it is somebody else's."""
    try:
        with typed_errors():
            found: dict[str, Any] = connect("cloudformation").describe_stacks(StackName=stack.name)["Stacks"][0]
    except HyperFramesClientError as error:
        cause = error.__cause__
        if isinstance(cause, ClientError) and error_code(cause) == "ValidationError":
            return None
        raise
    return found if {"Key": TAG, "Value": stack.run} in found.get("Tags", ()) else None
