"""A deployed stack: its outputs, its parameters and its state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from hyperframes_provider.client.aws.calls import Call, Steps, run
from hyperframes_provider.client.aws.connect import Connect
from hyperframes_provider.client.aws.errors import HyperFramesClientError
from hyperframes_provider.client.execution.cost import DEFAULT_MEMORY_MB
from hyperframes_provider.client.request.dialect import Dialect
from hyperframes_provider.client.request.reference_stack import dialect_of_stack
from hyperframes_provider.client.stack.events import is_no_stack

_BUCKET = "RenderBucketName"
_STATE_MACHINE = "RenderStateMachineArn"
_FUNCTION = "RenderFunctionArn"

USABLE = frozenset(
    {"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "IMPORT_COMPLETE"}
)
"""States in which the resources exist and are at rest."""
DEAD = frozenset({"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"})
"""States in which CloudFormation accepts only a deletion."""


class StackNotFound(HyperFramesClientError):
    """The account and region have no stack with this name."""

    retryable = False


class StackNotReady(HyperFramesClientError):
    """The stack exists, but cannot be used now.

    :param status: its state, as CloudFormation names it
    """

    def __init__(self, message: str, *, status: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.retryable = status.endswith("_IN_PROGRESS")


@dataclass(frozen=True)
class StackOutputs:
    """A deployed stack."""

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
    """Its kind: of this provider, or of the reference renderer."""
    provider_version: str | None = None
    """Version of this provider that deployed it; None for a stack of the reference, or one older than this output."""
    coordinator_arn: str = ""
    """The function that plans and assembles, by default the one that renders; empty for a stack of the reference."""
    topic_arn: str = ""
    """The stack's notification topic; empty without one."""

    @property
    def functions(self) -> tuple[str, ...]:
        """ARNs of the functions that take part in a render."""
        return tuple(dict.fromkeys(arn for arn in (self.function_arn, self.coordinator_arn) if arn))

    @property
    def memory_mb(self) -> int:
        """Memory of the function that renders chunks."""
        return int(self.parameters.get("LambdaMemoryMb", DEFAULT_MEMORY_MB))

    @property
    def coordinator_memory_mb(self) -> int:
        """Memory of the function that plans and assembles."""
        return int(self.parameters.get("CoordinatorMemoryMb", "0")) or self.memory_mb


def describe_stack(connect: Connect, name: str) -> StackOutputs:
    """Return the stack; raise `StackNotFound` if it does not exist, `StackNotReady` if it is not deployed or not a HyperFrames stack."""
    stack = run(connect, find_stack(name))
    if stack is None:
        raise StackNotFound(
            f"stack {name!r} does not exist in {connect('cloudformation').meta.region_name}",
            hint="Deploy it first: hyperframes-airflow deploy, or HyperFramesDeployStackOperator.",
        )
    status = str(stack["StackStatus"])
    if status not in USABLE:
        raise StackNotReady(f"stack {name!r} is {status}", status=status, hint=advice(status))
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", ())}
    missing = [key for key in (_BUCKET, _STATE_MACHINE, _FUNCTION) if key not in outputs]
    if missing:
        raise StackNotReady(f"stack {name!r} is not a HyperFrames stack: it has no output {', '.join(missing)}", status=status)
    parameters = parameters_of(stack)
    return StackOutputs(
        name=str(stack["StackName"]),
        stack_id=str(stack["StackId"]),
        status=status,
        bucket=outputs[_BUCKET],
        state_machine_arn=outputs[_STATE_MACHINE],
        function_arn=outputs[_FUNCTION],
        parameters=parameters,
        dialect=dialect_of_stack(outputs, parameters),
        provider_version=outputs.get("ProviderVersion"),
        coordinator_arn=outputs.get("CoordinatorFunctionArn", ""),
        topic_arn=outputs.get("NotificationTopicArn", ""),
    )


def find_stack(name: str) -> Steps[dict[str, Any] | None]:
    """Return the stack as DescribeStacks has it, None if it does not exist."""
    try:
        answer = yield Call("cloudformation", "describe_stacks", {"StackName": name})
    except ClientError as error:
        if not is_no_stack(error):
            raise
        return None
    stack: dict[str, Any] = answer["Stacks"][0]
    return None if stack["StackStatus"] == "DELETE_COMPLETE" else stack


def parameters_of(stack: Mapping[str, Any]) -> dict[str, str]:
    """Return the parameters of a stack as DescribeStacks has it."""
    return {entry["ParameterKey"]: entry["ParameterValue"] for entry in stack.get("Parameters", ())}


def advice(status: str) -> str:
    """Return what to do about a stack in this state."""
    if status.endswith("_IN_PROGRESS"):
        return "Another operation is running: try again when it is done."
    if status in DEAD:
        return "The next deploy deletes the remains and creates the stack anew; the render bucket is kept."
    if status == "UPDATE_ROLLBACK_COMPLETE":
        return "The stack is as it was before. Correct the cause and deploy again."
    return "See the stack's events in the CloudFormation console. To leave UPDATE_ROLLBACK_FAILED, use `continue-update-rollback`."
