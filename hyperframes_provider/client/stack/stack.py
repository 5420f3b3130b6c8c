"""The stack: deploy it, describe it, delete it.

A deploy declares: the same code and parameters twice change nothing, and a parameter that is not given has the template's default again.
What the template contains is in `cfn/`; how an operation is followed in `stack_events`; where the code lies in `code_bucket`.
"""

from __future__ import annotations

import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from botocore.exceptions import ClientError

from hyperframes_provider.client.aws.connect import Connect, is_loopback
from hyperframes_provider.client.aws.errors import HyperFramesClientError, InvalidRequest, error_code, typed_errors
from hyperframes_provider.client.execution.cost import DEFAULT_MEMORY_MB
from hyperframes_provider.client.request.dialect import Dialect
from hyperframes_provider.client.request.reference_stack import dialect_of_stack
from hyperframes_provider.client.stack.code_bucket import CodeBucket, CodeImage, CodeLocation, check_zip, object_exists, parse_code
from hyperframes_provider.client.stack.events import LONGEST_POLL, Operation, StackEvent, StackTimeout, says_missing
from hyperframes_provider.client.stack.slim_zip import build_slim_zip
from hyperframes_provider.client.stack.template import PLACED_BY_DEPLOY, StackTemplate, load_template

DEFAULT_TIMEOUT = 1800.0
"""Seconds that a deploy or a deletion may take; on AWS it takes one or two minutes."""

_BUCKET = "RenderBucketName"
_STATE_MACHINE = "RenderStateMachineArn"
_FUNCTION = "RenderFunctionArn"
_COORDINATOR = "CoordinatorFunctionArn"
_VERSION = "ProviderVersion"
_TOPIC = "NotificationTopicArn"

_USABLE = frozenset(
    {"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "IMPORT_COMPLETE"}
)
"""In these the resources are there and at rest."""
_DEAD = frozenset({"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"})
"""CloudFormation accepts nothing but a deletion of such a stack."""
_NO_CHANGES = ("didn't contain changes", "No updates are to be performed")


class StackNotFound(HyperFramesClientError):
    """There is no stack of this name in this account and region."""

    retryable = False


class StackNotReady(HyperFramesClientError):
    """The stack exists and cannot be used now.

    :param status: CloudFormation's word for its state
    """

    def __init__(self, message: str, *, status: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.retryable = status.endswith("_IN_PROGRESS")


class StackFailed(HyperFramesClientError):
    """A deploy or a deletion failed.

    :param status: where the stack ended
    :param reasons: the resources that failed, the first one first
    """

    retryable = False

    def __init__(self, message: str, *, status: str, reasons: tuple[StackEvent, ...] = (), hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.reasons = reasons


@dataclass(frozen=True)
class StackOutputs:
    """A deployed stack as its users need it."""

    name: str
    stack_id: str
    status: str
    bucket: str
    state_machine_arn: str
    function_arn: str
    """The function that renders chunks."""
    parameters: Mapping[str, str]
    """The values it was deployed with."""
    dialect: Dialect
    """What kind of stack it is: of this provider, or of the reference renderer."""
    provider_version: str | None = None
    """Version of this provider whose template it is; None for one deployed from the reference's, or before there was such an output."""
    coordinator_arn: str = ""
    """The function that plans and assembles: the same one, unless the stack has a second; empty for a stack of other origin."""
    topic_arn: str = ""
    """The stack's own topic; empty when it has none."""

    @property
    def functions(self) -> tuple[str, ...]:
        """ARNs of the functions that a render runs in."""
        return tuple(dict.fromkeys(arn for arn in (self.function_arn, self.coordinator_arn) if arn))

    @property
    def memory_mb(self) -> int:
        """Memory of the render function; what an invocation costs follows from it."""
        return int(self.parameters.get("LambdaMemoryMb", DEFAULT_MEMORY_MB))

    @property
    def coordinator_memory_mb(self) -> int:
        """Memory of the function that plans and assembles."""
        return int(self.parameters.get("CoordinatorMemoryMb", "0")) or self.memory_mb


@dataclass(frozen=True)
class DeployResult:
    """What a deploy did."""

    action: Literal["created", "updated", "unchanged"]
    outputs: StackOutputs
    code: CodeLocation | CodeImage
    resources: int
    """Number of resources in the stack."""
    seconds: float


@dataclass(frozen=True)
class DeleteResult:
    """What a deletion did."""

    action: Literal["deleted", "absent"]
    kept_bucket: str | None
    """The render bucket, which stays with everything in it."""


def deploy_stack(
    connect: Connect,
    name: str,
    *,
    parameters: Mapping[str, object] | None = None,
    code: CodeLocation | Path | str | None = None,
    build_code: Callable[[], Path] | None = None,
    tags: Mapping[str, str] | None = None,
    role_arn: str | None = None,
    on_event: Callable[[StackEvent], None] | None = None,
    timeout: float = DEFAULT_TIMEOUT,
) -> DeployResult:
    """Create the stack `name`, or update it, or find that it is as it should be; return once it can be used.

    :param connect: boto3 clients of the account and region to deploy to
    :param name: the stack's name
    :param parameters: stack parameters; the template's default for each one that is not given. `ProjectName` follows the stack's name
        unless given, so that two stacks do not meet
    :param code: the function's ZIP: an S3 object, or a file on this machine. None: on the embedded endpoint the slim ZIP made of the
        installed engine, which only that one can run; elsewhere what `build_code` makes. With the parameter `ImageUri`
        there is no ZIP
    :param build_code: brings the whole ZIP and returns its path; called after everything else has been checked
    :param tags: tags of the stack and its resources; None leaves those of an existing stack
    :param role_arn: role that CloudFormation takes for this and every later operation on the stack, with the policy that
        `hyperframes-airflow policies role` prints; None: the caller's own permissions, or the role of an earlier deploy
    :param on_event: called with each resource's progress
    :param timeout: seconds; an operation of somebody else that is still running is waited for within them

    Parameters and code are checked before anything is created. Raises `InvalidStackParameter`, `InvalidRequest`, `StackFailed` with the
    failing resource's reason, `StackTimeout`, and what `typed_errors` makes of AWS's refusals.
    """
    started = time.monotonic()
    deadline = started + timeout
    report = on_event or _ignore
    template = load_template()
    with typed_errors():
        cloudformation = connect("cloudformation")
        _check_name(name)
        values = _check(template, name, parameters or {}, code)
        with tempfile.TemporaryDirectory(prefix="hyperframes-deploy-") as scratch:
            source = CodeImage(values["ImageUri"]) if values["ImageUri"] else _find_code(connect, code, build_code, Path(scratch))
            stack = _settled(cloudformation, name, on_event=report, deadline=deadline)
            location = _place(connect, template, source, values)
        if stack is not None and "ProjectName" not in (parameters or {}):
            # A stack that was first deployed by other means keeps its name: another one would replace every resource.
            values["ProjectName"] = _parameters(stack).get("ProjectName", values["ProjectName"])
        request = _request(name, template, values, tags, role_arn)
        action = _apply(cloudformation, name, request, exists=stack is not None, on_event=report, deadline=deadline)
        outputs = describe_stack(connect, name)
        count = sum(
            len(page["StackResourceSummaries"]) for page in cloudformation.get_paginator("list_stack_resources").paginate(StackName=name)
        )
    return DeployResult(action=action, outputs=outputs, code=location, resources=count, seconds=time.monotonic() - started)


def describe_stack(connect: Connect, name: str) -> StackOutputs:
    """The stack's outputs. `StackNotFound` when there is none; `StackNotReady` when it is not deployed, or not one of ours."""
    with typed_errors():
        cloudformation = connect("cloudformation")
        stack = _find(cloudformation, name)
    if stack is None:
        raise StackNotFound(
            f"stack {name!r} does not exist in {cloudformation.meta.region_name}",
            hint="Deploy it first: hyperframes-airflow deploy, or HyperFramesDeployStackOperator.",
        )
    status = str(stack["StackStatus"])
    if status not in _USABLE:
        raise StackNotReady(f"stack {name!r} is {status}", status=status, hint=_advice(status))
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", ())}
    missing = [key for key in (_BUCKET, _STATE_MACHINE, _FUNCTION) if key not in outputs]
    if missing:
        raise StackNotReady(f"stack {name!r} is not a HyperFrames stack: it has no output {', '.join(missing)}", status=status)
    return StackOutputs(
        name=str(stack["StackName"]),
        stack_id=str(stack["StackId"]),
        status=status,
        bucket=outputs[_BUCKET],
        state_machine_arn=outputs[_STATE_MACHINE],
        function_arn=outputs[_FUNCTION],
        parameters=_parameters(stack),
        dialect=dialect_of_stack(outputs, _parameters(stack)),
        provider_version=outputs.get(_VERSION),
        coordinator_arn=outputs.get(_COORDINATOR, ""),
        topic_arn=outputs.get(_TOPIC, ""),
    )


def delete_stack(
    connect: Connect, name: str, *, on_event: Callable[[StackEvent], None] | None = None, timeout: float = DEFAULT_TIMEOUT
) -> DeleteResult:
    """Delete the stack and wait until it is gone; the render bucket stays. A stack that does not exist is no error.

    Raises `StackFailed` with the reason of the resource that could not be deleted, `StackTimeout`.
    """
    deadline = time.monotonic() + timeout
    with typed_errors():
        cloudformation = connect("cloudformation")
        stack = _find(cloudformation, name)
        if stack is None:
            return DeleteResult(action="absent", kept_bucket=None)
        _refuse_foreign(stack)
        bucket = _render_bucket(cloudformation, str(stack["StackId"]))
        _delete(cloudformation, stack, on_event=on_event or _ignore, deadline=deadline)
        return DeleteResult(action="deleted", kept_bucket=bucket if bucket and _bucket_exists(connect("s3"), bucket) else None)


def _check_name(name: str) -> None:
    letters = name.replace("-", "")
    if not (letters.isascii() and letters.isalnum() and name[0].isalpha() and len(name) <= 128):
        raise InvalidRequest(f"stack name {name!r} is not accepted", hint="1 to 128 letters, digits and hyphens, a letter first.")


def _check(template: StackTemplate, name: str, given: Mapping[str, object], code: CodeLocation | Path | str | None) -> dict[str, str]:
    """Validate with placeholders where the upload has yet to say: nothing may be uploaded for parameters that are refused."""
    placed = [key for key in PLACED_BY_DEPLOY if key in given]
    if placed:
        raise InvalidRequest(f"{', '.join(placed)}: the deploy sets these itself", hint="Say where the code lies with `code`.")
    values = {"ProjectName": name, **given, **dict.fromkeys(PLACED_BY_DEPLOY, "pending")}
    if given.get("ImageUri"):
        if code is not None:
            raise InvalidRequest("code: the parameter ImageUri gives the code already", hint="Leave one of the two out.")
        values |= {"CodeBucket": "", "CodeKey": ""}
    return template.resolve(values)


def _find_code(
    connect: Connect, code: CodeLocation | Path | str | None, build_code: Callable[[], Path] | None, scratch: Path
) -> CodeLocation | Path:
    """The code that is meant, seen to be there and of the right kind."""
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
    """Upload what is not in S3 yet and enter the places in `values`."""
    bucket = CodeBucket(connect)
    code = bucket.add_code(source) if isinstance(source, Path) else source
    if isinstance(code, CodeLocation):
        values |= {"CodeBucket": code.bucket, "CodeKey": code.key}
    definition = bucket.add_definition(template)
    values |= {"DefinitionBucket": definition.bucket, "DefinitionKey": definition.key}
    return code


def _settled(cloudformation: Any, name: str, *, on_event: Callable[[StackEvent], None], deadline: float) -> dict[str, Any] | None:
    """The stack when it can be updated, None when it is to be created; waits for a running operation, clears a dead stack away.

    A running operation is most often this deploy's own earlier attempt, whose worker died.
    """
    stack = _find(cloudformation, name)
    if stack is not None and stack["StackStatus"].endswith("_IN_PROGRESS") and stack["StackStatus"] != "REVIEW_IN_PROGRESS":
        Operation(cloudformation, stack["StackId"], on_event=on_event, deadline=deadline).wait()
        stack = _find(cloudformation, name)
    _refuse_foreign(stack)
    if stack is None or stack["StackStatus"] == "REVIEW_IN_PROGRESS":  # the latter is an unexecuted change set and has no resources
        return None
    if stack["StackStatus"] in _DEAD:
        _delete(cloudformation, stack, on_event=on_event, deadline=deadline)
        return None
    if stack["StackStatus"] not in _USABLE:
        status = str(stack["StackStatus"])
        raise StackNotReady(f"stack {name!r} is {status} and cannot be updated", status=status, hint=_advice(status))
    return stack


def _refuse_foreign(stack: Mapping[str, Any] | None) -> None:
    """Neither an update nor a deletion may hit a stack that only happens to have the name."""
    if stack is not None and stack["StackStatus"] != "REVIEW_IN_PROGRESS" and "DefinitionKey" not in _parameters(stack):
        raise InvalidRequest(f"stack {stack['StackName']!r} exists and was not made from this template", hint="Choose another stack name.")


def _request(
    name: str, template: StackTemplate, values: Mapping[str, str], tags: Mapping[str, str] | None, role_arn: str | None
) -> dict[str, Any]:
    """The change set's arguments."""
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
    cloudformation: Any,
    name: str,
    request: Mapping[str, Any],
    *,
    exists: bool,
    on_event: Callable[[StackEvent], None],
    deadline: float,
) -> Literal["created", "updated", "unchanged"]:
    """Make the change set, and execute it when it has changes."""
    created = cloudformation.create_change_set(**request, ChangeSetType="UPDATE" if exists else "CREATE")
    change_set, stack_id = created["Id"], created["StackId"]
    problem = _wait_for_change_set(cloudformation, change_set, stack_id, deadline)
    if problem is not None:
        cloudformation.delete_change_set(ChangeSetName=change_set, StackName=stack_id)
        if any(words in problem for words in _NO_CHANGES):
            return "unchanged"
        if not exists:  # the change set left an empty stack behind
            cloudformation.delete_stack(StackName=stack_id)
        raise StackFailed(f"stack {name!r}: CloudFormation refused the change: {problem}", status="FAILED")
    operation = Operation(cloudformation, stack_id, on_event=on_event, deadline=deadline)
    cloudformation.execute_change_set(ChangeSetName=change_set, StackName=stack_id)
    status = operation.wait()
    if status != ("UPDATE_COMPLETE" if exists else "CREATE_COMPLETE"):
        raise _failure(name, status, operation)
    return "updated" if exists else "created"


def _wait_for_change_set(cloudformation: Any, change_set: str, stack_id: str, deadline: float) -> str | None:
    """None once it can be executed, else CloudFormation's reason why not."""
    pause = 0.1
    while True:
        answer = cloudformation.describe_change_set(ChangeSetName=change_set, StackName=stack_id)
        if answer["Status"] == "CREATE_COMPLETE":
            return None
        if answer["Status"] not in ("CREATE_PENDING", "CREATE_IN_PROGRESS"):
            return str(answer.get("StatusReason") or answer["Status"])
        if time.monotonic() + pause > deadline:
            raise StackTimeout(
                f"the change set of stack {stack_id} was not ready at the deadline", hint="Give the deploy a longer timeout."
            )
        time.sleep(pause)
        pause = min(LONGEST_POLL, pause * 2)


def _delete(cloudformation: Any, stack: Mapping[str, Any], *, on_event: Callable[[StackEvent], None], deadline: float) -> None:
    operation = Operation(cloudformation, str(stack["StackId"]), on_event=on_event, deadline=deadline)
    cloudformation.delete_stack(StackName=stack["StackId"])
    status = operation.wait()
    if status != "DELETE_COMPLETE":
        raise _failure(str(stack["StackName"]), status, operation)


def _failure(name: str, status: str, operation: Operation) -> StackFailed:
    reasons = tuple(operation.reasons())
    lines = [f"stack {name!r} ended in {status}", *(f"  {event}" for event in reasons)]
    return StackFailed("\n".join(lines), status=status, reasons=reasons, hint=_advice(status))


def _advice(status: str) -> str:
    if status.endswith("_IN_PROGRESS"):
        return "Another operation is running: try again when it is done."
    if status in _DEAD:
        return "The next deploy deletes what is left and creates the stack anew; the render bucket is kept."
    if status == "UPDATE_ROLLBACK_COMPLETE":
        return "The stack is as it was before. Correct the cause and deploy again."
    return "See the stack's events in the CloudFormation console; UPDATE_ROLLBACK_FAILED is left by `continue-update-rollback`."


def _find(cloudformation: Any, name: str) -> dict[str, Any] | None:
    try:
        stack: dict[str, Any] = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        if not says_missing(error):
            raise
        return None
    return None if stack["StackStatus"] == "DELETE_COMPLETE" else stack


def _parameters(stack: Mapping[str, Any]) -> dict[str, str]:
    return {entry["ParameterKey"]: entry["ParameterValue"] for entry in stack.get("Parameters", ())}


def _render_bucket(cloudformation: Any, stack_id: str) -> str | None:
    """From the resources, because a stack that failed has no outputs."""
    resources = cloudformation.describe_stack_resources(StackName=stack_id)["StackResources"]
    found = [resource for resource in resources if resource["LogicalResourceId"] == "RenderBucket"]
    return str(found[0]["PhysicalResourceId"]) if found and found[0].get("PhysicalResourceId") else None


def _bucket_exists(s3: Any, bucket: str) -> bool:
    try:
        s3.head_bucket(Bucket=bucket)
    except ClientError as error:
        if error_code(error) != "404":
            raise
        return False
    return True


def _ignore(_event: StackEvent) -> None:
    """The default of `on_event`."""
