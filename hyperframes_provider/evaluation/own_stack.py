"""A stack that lives as long as a test run: made under a name of its own, and taken away with everything that it left.

Only what carries this run's tag is ever deleted. Its bucket goes too, unlike that of any other stack: nothing but the run wrote to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from hyperframes_provider.client.connect import Connect
from hyperframes_provider.client.errors import HyperFramesClientError, InvalidRequest, error_code, typed_errors
from hyperframes_provider.client.stack import DeployResult, StackNotFound, StackNotReady, delete_stack, deploy_stack, describe_stack
from hyperframes_provider.client.stack_events import StackEvent

TAG = "hyperframes:run"
"""Tag of the stack and its bucket; the value is the run."""


class ForeignStack(InvalidRequest):
    """A stack of that name exists and is not this run's: it is left as it is."""


@dataclass
class Teardown:
    """What became of the stack, for the report."""

    stack: str = "absent"
    """`kept`, `deleted`, `failed`, or `absent`: it was never made, or somebody else deleted it."""
    bucket: str = "absent"
    objects: int = 0
    """Objects that were deleted with the bucket."""
    problem: str = ""

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
        yield deploy_stack(connect, stack.name, parameters=parameters, code=code, tags={TAG: stack.run}, on_event=on_event)
    finally:
        if keep:
            stack.teardown.stack = stack.teardown.bucket = "kept"
            say(f"stack {stack.name} is kept; delete it with: hyperframes-airflow destroy --stack-name {stack.name}")
        else:
            _take_away(connect, stack, say)


def empty_and_delete_bucket(connect: Connect, bucket: str) -> int:
    """Delete every object, every version and the bucket itself; returns how many objects and versions there were."""
    s3, count = connect("s3"), 0
    with typed_errors():
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            found = [
                {"Key": item["Key"], "VersionId": item["VersionId"]}
                for kind in ("Versions", "DeleteMarkers")
                for item in page.get(kind, ())
            ]
            if found:
                answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": found, "Quiet": True})
                refused = answer.get("Errors") or []
                if refused:
                    raise HyperFramesClientError(f"{len(refused)} objects of {bucket} cannot be deleted: {refused[0].get('Message')}")
                count += len(found)
        s3.delete_bucket(Bucket=bucket)
    return count


def _refuse_existing(connect: Connect, name: str) -> None:
    try:
        describe_stack(connect, name)
    except StackNotFound:
        return
    except StackNotReady:
        pass
    raise ForeignStack(f"stack {name!r} exists and was not made by this run", hint="Choose another name, or delete it yourself.")


def _take_away(connect: Connect, stack: OwnStack, say: Callable[[str], None]) -> None:
    """Never raises a known fault: it would hide why the run ended. What stays is said, with the command that deletes it."""
    done = stack.teardown
    try:
        if not _is_own(connect, stack):
            return
        bucket = delete_stack(connect, stack.name).kept_bucket
        done.stack, done.bucket = "deleted", "absent" if bucket is None else "kept"
        if bucket is not None:
            done.objects = empty_and_delete_bucket(connect, bucket)
            done.bucket = "deleted"
        say(f"stack {stack.name} is deleted, and its bucket with {done.objects} objects")
    except HyperFramesClientError as error:
        done.problem = error.message
        if done.stack != "deleted":
            done.stack = "failed"
        say(f"not everything could be deleted: {error.message}")
        say(f"delete the stack with: hyperframes-airflow destroy --stack-name {stack.name}")


def _is_own(connect: Connect, stack: OwnStack) -> bool:
    try:
        with typed_errors():
            found = connect("cloudformation").describe_stacks(StackName=stack.name)["Stacks"][0]
    except HyperFramesClientError as error:
        cause = error.__cause__
        if isinstance(cause, ClientError) and error_code(cause) == "ValidationError":
            return False
        raise
    return {"Key": TAG, "Value": stack.run} in found.get("Tags", ())
