"""The resource types of the stack's template, made over the endpoint's public API.

Each type says which properties it knows and which of them cannot be changed in place. An unknown property is an error, as it is on AWS;
so is one that AWS knows and this endpoint does not, because a property that is dropped in silence is found out in production.
"""

from __future__ import annotations

import json
import secrets
import string
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from botocore.exceptions import ClientError
from botocore.model import ListShape, MapShape, Shape, StructureShape

from hyperframes_provider.local.connections import Connections

Properties = Mapping[str, Any]


class ResourceError(Exception):
    """A resource cannot be made, changed or deleted; the message is the event's reason."""


@dataclass(frozen=True)
class Made:
    """What exists now: its physical id (the value of `Ref`) and its attributes (`Fn::GetAtt`)."""

    physical_id: str
    attributes: Mapping[str, str] = field(default_factory=dict)


class ResourceType(ABC):
    """One CloudFormation resource type in one region."""

    name: ClassVar[str]
    name_property: ClassVar[str] = ""
    """The property with the resource's own name; without it a name is generated."""
    known: ClassVar[frozenset[str]]
    fixed: ClassVar[frozenset[str]] = frozenset()
    """Properties whose change makes a new resource."""
    attributes: ClassVar[frozenset[str]] = frozenset({"Arn"})
    longest_name: ClassVar[int] = 64

    def __init__(self, connections: Connections, region: str) -> None:
        self._connections = connections
        self._region = region

    def create(self, stack: str, logical_id: str, properties: Properties) -> Made:
        """Make it. Raises `ResourceError`."""
        self._check(properties)
        with _reasons():
            return self._create(properties.get(self.name_property) or self._generated_name(stack, logical_id), properties)

    def update(self, physical_id: str, old: Properties, new: Properties) -> Made:
        """Change it in place. Raises `ResourceError`."""
        self._check(new)
        with _reasons():
            return self._update(physical_id, old, new)

    def delete(self, physical_id: str, properties: Properties) -> None:
        """Delete it. What is not there any more counts as deleted. Raises `ResourceError`."""
        try:
            with _reasons():
                self._delete(physical_id, properties)
        except _GoneError:
            return

    def replaces(self, old: Properties, new: Properties) -> bool:
        """Whether the change needs a new resource."""
        return any(old.get(name) != new.get(name) for name in self.fixed)

    @abstractmethod
    def _create(self, name: str, properties: Properties) -> Made: ...

    @abstractmethod
    def _update(self, physical_id: str, old: Properties, new: Properties) -> Made: ...

    @abstractmethod
    def _delete(self, physical_id: str, properties: Properties) -> None: ...

    def _client(self, service: str) -> Any:
        return self._connections.client(service, self._region)

    def _check(self, properties: Properties) -> None:
        if unknown := sorted(set(properties) - self.known):
            raise ResourceError(f"Encountered unsupported property {unknown[0]}: the embedded endpoint has no such property of {self.name}")

    def _generated_name(self, stack: str, logical_id: str) -> str:
        suffix = "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(12))
        return f"{f'{stack}-{logical_id}'[: self.longest_name - 13]}-{suffix}"


class Bucket(ResourceType):
    """A bucket; it must be empty to be deleted."""

    name = "AWS::S3::Bucket"
    name_property = "BucketName"
    attributes = frozenset({"Arn", "DomainName", "RegionalDomainName"})
    fixed = frozenset({"BucketName"})
    longest_name = 63
    _SETTINGS: ClassVar[dict[str, tuple[str, str, str]]] = {
        # property → operation that sets it, its argument, operation that removes it
        "BucketEncryption": ("put_bucket_encryption", "ServerSideEncryptionConfiguration", "delete_bucket_encryption"),
        "LifecycleConfiguration": ("put_bucket_lifecycle_configuration", "LifecycleConfiguration", "delete_bucket_lifecycle"),
        "OwnershipControls": ("put_bucket_ownership_controls", "OwnershipControls", "delete_bucket_ownership_controls"),
        "PublicAccessBlockConfiguration": ("put_public_access_block", "PublicAccessBlockConfiguration", "delete_public_access_block"),
    }
    known = frozenset({"BucketName", *_SETTINGS})

    def _generated_name(self, stack: str, logical_id: str) -> str:
        return super()._generated_name(stack, logical_id).lower()

    def _create(self, name: str, properties: Properties) -> Made:
        client = self._client("s3")
        client.create_bucket(
            Bucket=name, **({} if self._region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": self._region}})
        )
        try:
            return self._update(name, {}, properties)
        except (ResourceError, ClientError):
            client.delete_bucket(Bucket=name)
            raise

    def _update(self, physical_id: str, old: Properties, new: Properties) -> Made:
        client = self._client("s3")
        for name, (put, argument, remove) in self._SETTINGS.items():
            if name in new:
                value = {"BucketEncryption": _encryption, "LifecycleConfiguration": _lifecycle}.get(name, dict)(new[name])
                getattr(client, put)(Bucket=physical_id, **_fit(client, put, {argument: value}))
            elif name in old:
                getattr(client, remove)(Bucket=physical_id)
        return Made(
            physical_id,
            {
                "Arn": f"arn:aws:s3:::{physical_id}",
                "DomainName": f"{physical_id}.s3.amazonaws.com",
                "RegionalDomainName": f"{physical_id}.s3.{self._region}.amazonaws.com",
            },
        )

    def _delete(self, physical_id: str, properties: Properties) -> None:  # noqa: ARG002
        self._client("s3").delete_bucket(Bucket=physical_id)


class BucketPolicy(ResourceType):
    """A bucket's policy."""

    name = "AWS::S3::BucketPolicy"
    known = frozenset({"Bucket", "PolicyDocument"})
    fixed = frozenset({"Bucket"})
    attributes = frozenset()

    def _create(self, name: str, properties: Properties) -> Made:  # noqa: ARG002
        return self._update(properties["Bucket"], {}, properties)

    def _update(self, physical_id: str, old: Properties, new: Properties) -> Made:  # noqa: ARG002
        self._client("s3").put_bucket_policy(Bucket=physical_id, Policy=json.dumps(new["PolicyDocument"]))
        return Made(physical_id)

    def _delete(self, physical_id: str, properties: Properties) -> None:  # noqa: ARG002
        self._client("s3").delete_bucket_policy(Bucket=physical_id)


class LogGroup(ResourceType):
    """A log group and its retention."""

    name = "AWS::Logs::LogGroup"
    name_property = "LogGroupName"
    known = frozenset({"LogGroupName", "RetentionInDays"})
    fixed = frozenset({"LogGroupName"})
    longest_name = 512

    def _create(self, name: str, properties: Properties) -> Made:
        self._client("logs").create_log_group(logGroupName=name)
        return self._update(name, {}, properties)

    def _update(self, physical_id: str, old: Properties, new: Properties) -> Made:
        client = self._client("logs")
        if "RetentionInDays" in new:
            client.put_retention_policy(logGroupName=physical_id, retentionInDays=int(new["RetentionInDays"]))
        elif "RetentionInDays" in old:
            client.delete_retention_policy(logGroupName=physical_id)
        account = self._client("sts").get_caller_identity()["Account"]
        return Made(physical_id, {"Arn": f"arn:aws:logs:{self._region}:{account}:log-group:{physical_id}:*"})

    def _delete(self, physical_id: str, properties: Properties) -> None:  # noqa: ARG002
        self._client("logs").delete_log_group(logGroupName=physical_id)


class Role(ResourceType):
    """A role with inline policies. The endpoint authorises nobody; the role is kept so that it can be looked at."""

    name = "AWS::IAM::Role"
    name_property = "RoleName"
    known = frozenset({"RoleName", "AssumeRolePolicyDocument", "Description", "Path", "Policies"})
    fixed = frozenset({"RoleName", "Path"})
    attributes = frozenset({"Arn", "RoleId"})

    def _create(self, name: str, properties: Properties) -> Made:
        client = self._client("iam")
        client.create_role(
            RoleName=name,
            AssumeRolePolicyDocument=json.dumps(properties["AssumeRolePolicyDocument"]),
            Path=properties.get("Path", "/"),
            Description=properties.get("Description", ""),
        )
        return self._update(name, {}, properties)

    def _update(self, physical_id: str, old: Properties, new: Properties) -> Made:
        client = self._client("iam")
        client.update_assume_role_policy(RoleName=physical_id, PolicyDocument=json.dumps(new["AssumeRolePolicyDocument"]))
        kept = {policy["PolicyName"] for policy in new.get("Policies", [])}
        for policy in old.get("Policies", []):
            if policy["PolicyName"] not in kept:
                client.delete_role_policy(RoleName=physical_id, PolicyName=policy["PolicyName"])
        for policy in new.get("Policies", []):
            client.put_role_policy(
                RoleName=physical_id, PolicyName=policy["PolicyName"], PolicyDocument=json.dumps(policy["PolicyDocument"])
            )
        role = client.get_role(RoleName=physical_id)["Role"]
        return Made(physical_id, {"Arn": role["Arn"], "RoleId": role["RoleId"]})

    def _delete(self, physical_id: str, properties: Properties) -> None:  # noqa: ARG002
        client = self._client("iam")
        for policy in client.list_role_policies(RoleName=physical_id)["PolicyNames"]:
            client.delete_role_policy(RoleName=physical_id, PolicyName=policy)
        client.delete_role(RoleName=physical_id)


class Function(ResourceType):
    """A Lambda function whose code is a ZIP in S3."""

    name = "AWS::Lambda::Function"
    name_property = "FunctionName"
    _CONFIGURATION: ClassVar[frozenset[str]] = frozenset(
        {"Description", "Runtime", "Handler", "Role", "MemorySize", "Timeout", "EphemeralStorage", "TracingConfig", "Environment"}
    )
    known = _CONFIGURATION | {"FunctionName", "Architectures", "Code", "ReservedConcurrentExecutions"}
    fixed = frozenset({"FunctionName"})

    def _create(self, name: str, properties: Properties) -> Made:
        client = self._client("lambda")
        rest = {key: value for key, value in properties.items() if key not in ("FunctionName", "ReservedConcurrentExecutions")}
        arn = client.create_function(**_fit(client, "create_function", {"FunctionName": name, **rest}))["FunctionArn"]
        self._reserve(name, {}, properties)
        return Made(name, {"Arn": arn})

    def _update(self, physical_id: str, old: Properties, new: Properties) -> Made:
        client = self._client("lambda")
        if (old.get("Code"), old.get("Architectures")) != (new["Code"], new.get("Architectures")):
            code = {"FunctionName": physical_id, **new["Code"]}
            client.update_function_code(**_fit(client, "update_function_code", code))
        # A property that is gone goes back to its default, which an update would leave alone.
        defaults = {"Description": "", "MemorySize": 128, "Timeout": 3, "TracingConfig": {"Mode": "PassThrough"}}
        defaults |= {"EphemeralStorage": {"Size": 512}, "Environment": {"Variables": {}}}
        configuration = {**defaults, **{key: value for key, value in new.items() if key in self._CONFIGURATION}}
        arn = client.update_function_configuration(
            **_fit(client, "update_function_configuration", {"FunctionName": physical_id, **configuration})
        )["FunctionArn"]
        self._reserve(physical_id, old, new)
        return Made(physical_id, {"Arn": arn})

    def _delete(self, physical_id: str, properties: Properties) -> None:  # noqa: ARG002
        self._client("lambda").delete_function(FunctionName=physical_id)

    def _reserve(self, name: str, old: Properties, new: Properties) -> None:
        client = self._client("lambda")
        if "ReservedConcurrentExecutions" in new:
            client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=int(new["ReservedConcurrentExecutions"]))
        elif "ReservedConcurrentExecutions" in old:
            client.delete_function_concurrency(FunctionName=name)


class StateMachine(ResourceType):
    """A state machine whose definition is a string or an object in S3."""

    name = "AWS::StepFunctions::StateMachine"
    name_property = "StateMachineName"
    known = frozenset(
        {
            "StateMachineName",
            "StateMachineType",
            "RoleArn",
            "DefinitionString",
            "DefinitionS3Location",
            "DefinitionSubstitutions",
            "LoggingConfiguration",
            "TracingConfiguration",
        }
    )
    fixed = frozenset({"StateMachineName", "StateMachineType"})
    attributes = frozenset({"Arn", "Name"})
    longest_name = 80

    def _create(self, name: str, properties: Properties) -> Made:
        client = self._client("stepfunctions")
        arguments = {"name": name, "type": properties.get("StateMachineType", "STANDARD"), **self._arguments(properties)}
        arn = client.create_state_machine(**_fit(client, "create_state_machine", arguments))["stateMachineArn"]
        return Made(arn, {"Arn": arn, "Name": name})

    def _update(self, physical_id: str, old: Properties, new: Properties) -> Made:  # noqa: ARG002
        client = self._client("stepfunctions")
        client.update_state_machine(**_fit(client, "update_state_machine", {"stateMachineArn": physical_id, **self._arguments(new)}))
        return Made(physical_id, {"Arn": physical_id, "Name": physical_id.rpartition(":")[2]})

    def _delete(self, physical_id: str, properties: Properties) -> None:  # noqa: ARG002
        self._client("stepfunctions").delete_state_machine(stateMachineArn=physical_id)

    def _arguments(self, properties: Properties) -> dict[str, Any]:
        return {
            "definition": self._definition(properties),
            "roleArn": properties["RoleArn"],
            "loggingConfiguration": _lower_first(properties.get("LoggingConfiguration", {"Level": "OFF"})),
            "tracingConfiguration": _lower_first(properties.get("TracingConfiguration", {"Enabled": False})),
        }

    def _definition(self, properties: Properties) -> str:
        if ("DefinitionString" in properties) == ("DefinitionS3Location" in properties):
            raise ResourceError("Exactly one of DefinitionString and DefinitionS3Location must be given")
        if "DefinitionS3Location" in properties:
            place = properties["DefinitionS3Location"]
            text: str = self._client("s3").get_object(Bucket=place["Bucket"], Key=place["Key"])["Body"].read().decode()
        else:
            text = properties["DefinitionString"]
        for name, value in properties.get("DefinitionSubstitutions", {}).items():
            text = text.replace(f"${{{name}}}", str(value))
        return text


class Alarm(ResourceType):
    """A metric alarm. It is kept and can be described; the endpoint has no metrics that would raise it."""

    name = "AWS::CloudWatch::Alarm"
    name_property = "AlarmName"
    known = frozenset(
        {
            "AlarmName",
            "AlarmDescription",
            "Namespace",
            "MetricName",
            "Dimensions",
            "Statistic",
            "Period",
            "EvaluationPeriods",
            "DatapointsToAlarm",
            "Threshold",
            "ComparisonOperator",
            "TreatMissingData",
            "AlarmActions",
            "OKActions",
        }
    )
    fixed = frozenset({"AlarmName"})
    longest_name = 255

    def _create(self, name: str, properties: Properties) -> Made:
        return self._update(name, {}, properties)

    def _update(self, physical_id: str, old: Properties, new: Properties) -> Made:  # noqa: ARG002
        client = self._client("cloudwatch")
        client.put_metric_alarm(**_fit(client, "put_metric_alarm", {**new, "AlarmName": physical_id}))
        alarm = client.describe_alarms(AlarmNames=[physical_id])["MetricAlarms"][0]
        return Made(physical_id, {"Arn": alarm["AlarmArn"]})

    def _delete(self, physical_id: str, properties: Properties) -> None:  # noqa: ARG002
        self._client("cloudwatch").delete_alarms(AlarmNames=[physical_id])


RESOURCE_TYPES: dict[str, type[ResourceType]] = {
    kind.name: kind for kind in (Bucket, BucketPolicy, LogGroup, Role, Function, StateMachine, Alarm)
}


class _GoneError(ResourceError):
    pass


class _reasons:  # noqa: N801  (reads as a statement: `with _reasons():`)
    """Turns a service's refusal into the reason of an event."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, KeyError):
            raise ResourceError(f"Missing required property {error.args[0]}") from error
        if isinstance(error, ClientError):
            answer = error.response["Error"]
            gone = answer["Code"] in ("NoSuchBucket", "NoSuchBucketPolicy", "NoSuchEntity", "ResourceNotFoundException")
            reason = f"{answer.get('Message') or answer['Code']} ({answer['Code']} from {error.operation_name})"
            raise (_GoneError if gone else ResourceError)(reason) from error


def _fit(client: Any, method: str, arguments: Properties) -> dict[str, Any]:
    """Arguments with each leaf in the type that the operation wants: in a template, numbers and booleans may be strings."""
    operation = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[method])
    fitted: dict[str, Any] = _fit_shape(operation.input_shape, arguments)
    return fitted


def _fit_shape(shape: Shape, value: Any) -> Any:
    if isinstance(shape, StructureShape):
        if unknown := sorted(set(value) - set(shape.members)):
            raise ResourceError(f"Encountered unsupported property {unknown[0]}")
        return {name: _fit_shape(shape.members[name], item) for name, item in value.items()}
    if isinstance(shape, ListShape):
        return [_fit_shape(shape.member, item) for item in value]
    if isinstance(shape, MapShape):
        return {name: _fit_shape(shape.value, item) for name, item in value.items()}
    match shape.type_name:
        case "integer" | "long":
            return int(value)
        case "float" | "double":
            return float(value)
        case "boolean":
            return value if isinstance(value, bool) else str(value).lower() == "true"
        case "string":
            return str(value).lower() if isinstance(value, bool) else str(value)
    return value


def _lower_first(value: Any) -> Any:
    """CloudFormation's names as Step Functions spells them."""
    if isinstance(value, Mapping):
        return {name[0].lower() + name[1:]: _lower_first(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_lower_first(item) for item in value]
    return value


def _encryption(value: Properties) -> dict[str, Any]:
    rules = []
    for rule in value["ServerSideEncryptionConfiguration"]:
        own = dict(rule)
        rules.append({"ApplyServerSideEncryptionByDefault": own.pop("ServerSideEncryptionByDefault"), **own})
    return {"Rules": rules}


def _lifecycle(value: Properties) -> dict[str, Any]:
    rules = []
    for rule in value["Rules"]:
        own = dict(rule)
        fitted: dict[str, Any] = {"Filter": {"Prefix": own.pop("Prefix", "")}}
        if "Id" in own:
            fitted["ID"] = own.pop("Id")
        if "ExpirationInDays" in own:
            fitted["Expiration"] = {"Days": own.pop("ExpirationInDays")}
        rules.append({**fitted, **own})
    return {"Rules": rules}
