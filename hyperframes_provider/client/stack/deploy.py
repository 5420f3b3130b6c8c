"""Deployment of a stack.

A deploy is declarative: the same code and parameters change nothing, and a parameter that is left out has the template's default again.
"""

from __future__ import annotations

import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hyperframes_provider.client.aws.calls import Call, Steps, pages, poll, run
from hyperframes_provider.client.aws.connect import Connect, is_loopback
from hyperframes_provider.client.aws.errors import InvalidRequest, typed_errors
from hyperframes_provider.client.stack import events
from hyperframes_provider.client.stack.code_bucket import CodeBucket, CodeImage, CodeLocation, check_zip, object_exists, parse_code
from hyperframes_provider.client.stack.delete import DEFAULT_TIMEOUT, StackFailed, delete, failure, refuse_foreign
from hyperframes_provider.client.stack.describe import (
    DEAD,
    USABLE,
    StackNotReady,
    StackOutputs,
    advice,
    describe_stack,
    find_stack,
    parameters_of,
)
from hyperframes_provider.client.stack.events import Operation, StackEvent, StackTimeout
from hyperframes_provider.client.stack.slim_zip import build_slim_zip
from hyperframes_provider.client.stack.template import PLACED_BY_DEPLOY, StackTemplate, load_template

_NO_CHANGES = ("didn't contain changes", "No updates are to be performed")


@dataclass(frozen=True)
class DeployResult:
    """The outcome of a deploy."""

    action: Literal["created", "updated", "unchanged"]
    outputs: StackOutputs
    code: CodeLocation | CodeImage
    resources: int
    """Number of resources in the stack."""
    seconds: float


def deploy_stack(
    connect: Connect,
    name: str,
    *,
    parameters: Mapping[str, object] | None = None,
    code: CodeLocation | Path | str | None = None,
    build_code: Callable[[], Path] | None = None,
    tags: Mapping[str, str] | None = None,
    role_arn: str | None = None,
    on_event: Callable[[StackEvent], None] = lambda _: None,
    timeout: float = DEFAULT_TIMEOUT,
) -> DeployResult:
    """Create or update the stack `name` if it differs, and return once it can be used.

    :param connect: access to the account and region
    :param name: the stack's name
    :param parameters: stack parameters; a parameter that is left out has the template's default. `ProjectName` defaults to the stack's
        name, so that the resources of two stacks do not collide
    :param code: the function's ZIP: an S3 object, or a local file. None: on the embedded endpoint a slim ZIP of the installed engine, which
        runs only there; elsewhere the return value of `build_code`. With the parameter `ImageUri`, there is no ZIP
    :param build_code: builds the complete ZIP and returns its path; called after everything else has been checked
    :param tags: tags of the stack and its resources; None keeps those of an existing stack
    :param role_arn: role that CloudFormation assumes for this and every later operation on the stack, with the policy that
        `hyperframes-airflow policies role` prints; None: the caller's own permissions, or the role of an earlier deploy
    :param on_event: called with each resource's progress
    :param timeout: seconds, including the wait for an operation that is already running

    Parameters and code are checked before anything is created. Raise `InvalidStackParameter`, `InvalidRequest`, `StackFailed` with the
    reason of the failing resource, `StackTimeout`, or the typed error for a refusal by AWS.
    """
    started = time.monotonic()
    deadline = started + timeout
    template = load_template()
    with typed_errors():
        _check_name(name)
        values = _check(template, name, parameters or {}, code)
        with tempfile.TemporaryDirectory(prefix="hyperframes-deploy-") as scratch:
            source = CodeImage(values["ImageUri"]) if values["ImageUri"] else _find_code(connect, code, build_code, Path(scratch))
            stack = run(connect, _settled(name, on_event, deadline))
            location = _place(connect, template, source, values)
    if stack is not None and "ProjectName" not in (parameters or {}):
        # A stack that was first deployed by other means keeps its name: another one would replace every resource.
        values["ProjectName"] = parameters_of(stack).get("ProjectName", values["ProjectName"])
    request = _request(name, template, values, tags, role_arn)
    action = run(connect, _apply(name, request, exists=stack is not None, on_event=on_event, deadline=deadline))
    outputs = describe_stack(connect, name)
    listed = run(connect, pages(Call("cloudformation", "list_stack_resources", {"StackName": name})))
    count = sum(len(page["StackResourceSummaries"]) for page in listed)
    return DeployResult(action=action, outputs=outputs, code=location, resources=count, seconds=time.monotonic() - started)


def _check_name(name: str) -> None:
    letters = name.replace("-", "")
    if not (letters.isascii() and letters.isalnum() and name[0].isalpha() and len(name) <= 128):
        raise InvalidRequest(
            f"stack name {name!r} is not accepted", hint="Use 1 to 128 letters, digits and hyphens, starting with a letter."
        )


def _check(template: StackTemplate, name: str, given: Mapping[str, object], code: CodeLocation | Path | str | None) -> dict[str, str]:
    """Validate the parameters, with placeholders for uploads: nothing may be uploaded before the parameters are accepted."""
    placed = [key for key in PLACED_BY_DEPLOY if key in given]
    if placed:
        raise InvalidRequest(f"{', '.join(placed)}: the deploy sets these itself", hint="Pass the location of the code as `code`.")
    values = {"ProjectName": name, **given, **dict.fromkeys(PLACED_BY_DEPLOY, "pending")}
    if given.get("ImageUri"):
        if code is not None:
            raise InvalidRequest("code: the parameter ImageUri names the code already", hint="Leave out one of the two.")
        values |= {"CodeBucket": "", "CodeKey": ""}
    return template.resolve(values)


def _find_code(
    connect: Connect, code: CodeLocation | Path | str | None, build_code: Callable[[], Path] | None, scratch: Path
) -> CodeLocation | Path:
    """Return the code, after checking that it exists and is of the right kind."""
    source = parse_code(code) if isinstance(code, str) else code
    if source is None:
        endpoint = str(connect("cloudformation").meta.endpoint_url)
        if not is_loopback(endpoint):
            if build_code is not None:
                return build_code()
            raise InvalidRequest(
                f"a deploy to {endpoint} needs the function's code",
                hint="Pass code='s3://bucket/key.zip' in the stack's region, or the path of a built ZIP with browser and ffmpeg.",
            )
        source = scratch / "slim.zip"
        build_slim_zip(source)
    elif isinstance(source, Path):
        check_zip(source)
    elif not object_exists(connect("s3"), source):
        raise InvalidRequest(f"code: there is no object {source}", hint="Upload the ZIP first, or correct bucket and key.")
    return source


def _place(
    connect: Connect, template: StackTemplate, source: CodeLocation | CodeImage | Path, values: dict[str, str]
) -> CodeLocation | CodeImage:
    """Upload code and definition unless they are on S3, and set their locations in `values`."""
    bucket = CodeBucket(connect)
    code = bucket.add_code(source) if isinstance(source, Path) else source
    if isinstance(code, CodeLocation):
        values |= {"CodeBucket": code.bucket, "CodeKey": code.key}
    definition = bucket.add_definition(template)
    values |= {"DefinitionBucket": definition.bucket, "DefinitionKey": definition.key}
    return code


def _settled(name: str, on_event: Callable[[StackEvent], None], deadline: float) -> Steps[dict[str, Any] | None]:
    """Return the stack to update, None to create one; wait for a running operation, and delete a dead stack.

    A running operation is usually an earlier attempt of this deploy whose worker died.
    """
    stack = yield from find_stack(name)
    if stack is not None and stack["StackStatus"].endswith("_IN_PROGRESS") and stack["StackStatus"] != "REVIEW_IN_PROGRESS":
        operation = Operation(stack["StackId"], on_event, deadline)
        yield from operation.begin()
        yield from operation.wait()
        stack = yield from find_stack(name)
    if stack is None:
        return None
    refuse_foreign(stack)
    status = str(stack["StackStatus"])
    if status == "REVIEW_IN_PROGRESS":  # an unexecuted change set, without resources
        return None
    if status in DEAD:
        yield from delete(stack, on_event, deadline)
        return None
    if status not in USABLE:
        raise StackNotReady(f"stack {name!r} is {status} and cannot be updated", status=status, hint=advice(status))
    return stack


def _request(
    name: str, template: StackTemplate, values: Mapping[str, str], tags: Mapping[str, str] | None, role_arn: str | None
) -> dict[str, Any]:
    """Return the arguments of CreateChangeSet."""
    request: dict[str, Any] = {
        "StackName": name,
        "ChangeSetName": f"deploy-{uuid.uuid4().hex}",
        "TemplateBody": template.body,
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()],
        "Capabilities": ["CAPABILITY_IAM"],
    }
    if tags is not None:
        request["Tags"] = [{"Key": key, "Value": value} for key, value in tags.items()]
    if role_arn is not None:
        request["RoleARN"] = role_arn
    return request


def _apply(
    name: str, request: Mapping[str, Any], *, exists: bool, on_event: Callable[[StackEvent], None], deadline: float
) -> Steps[Literal["created", "updated", "unchanged"]]:
    """Create the change set, and execute it if it has changes."""
    created = yield Call("cloudformation", "create_change_set", {**request, "ChangeSetType": "UPDATE" if exists else "CREATE"})
    stack_id = created["StackId"]
    change_set = {"ChangeSetName": created["Id"], "StackName": stack_id}
    problem = yield from _problem(change_set, deadline)
    if problem:
        yield Call("cloudformation", "delete_change_set", change_set)
        if any(words in problem for words in _NO_CHANGES):
            return "unchanged"
        if not exists:  # the change set left an empty stack behind
            yield Call("cloudformation", "delete_stack", {"StackName": stack_id})
        raise StackFailed(f"stack {name!r}: CloudFormation refused the change: {problem}", status="FAILED")
    operation = Operation(stack_id, on_event, deadline)
    yield from operation.begin()
    yield Call("cloudformation", "execute_change_set", change_set)
    status = yield from operation.wait()
    if status != ("UPDATE_COMPLETE" if exists else "CREATE_COMPLETE"):
        raise failure(name, status, operation)
    return "updated" if exists else "created"


def _problem(change_set: dict[str, str], deadline: float) -> Steps[str]:
    """Wait for a change set; return CloudFormation's reason against it, empty once it can be executed."""

    def look() -> Steps[str | None]:
        answer = yield Call("cloudformation", "describe_change_set", change_set)
        if answer["Status"] in ("CREATE_PENDING", "CREATE_IN_PROGRESS"):
            return None
        return "" if answer["Status"] == "CREATE_COMPLETE" else str(answer.get("StatusReason") or answer["Status"])

    def late() -> StackTimeout:
        name = change_set["StackName"]
        return StackTimeout(f"the change set of stack {name} was not ready at the deadline", hint="Give the deploy a longer timeout.")

    return (yield from poll(look, first=events.FIRST_POLL, longest=events.LONGEST_POLL, deadline=deadline, late=late))
