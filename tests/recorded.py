"""Record the API calls of this process, derive the permissions that they take, and ask moto whether a policy grants them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.client import BaseClient
from moto.iam.access_control import IAMPolicy, PermissionResult

ACCOUNT, REGION = "123456789012", "us-east-1"


@dataclass(frozen=True)
class Call:
    """One call."""

    service: str
    operation: str
    arguments: dict[str, Any]


@contextmanager
def recorded() -> Iterator[list[Call]]:
    """Record every boto3 call of the block, refused ones included."""
    calls: list[Call] = []
    original = BaseClient._make_api_call

    def record(client: Any, operation: str, arguments: dict[str, Any]) -> Any:
        calls.append(Call(client.meta.service_model.service_name, operation, dict(arguments)))
        return original(client, operation, arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", record)
        yield calls


def refused(calls: Iterable[Call], document: Mapping[str, Any]) -> set[str]:
    """Return the permissions that the calls take and the policy does not grant; fail if there were no calls."""
    policy = IAMPolicy(json.dumps(document))
    wanted = {permission for call in calls for permission in permissions(call)}
    assert wanted
    return {
        f"{action} on {resource}"
        for action, resource, passed_to in wanted
        if policy.is_action_permitted(action, resource=resource, incoming_condition_values={"iam:PassedToService": passed_to})
        is not PermissionResult.PERMITTED
    }


S3 = {
    "HeadObject": "GetObject",
    "HeadBucket": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
}
"""Permissions that are not named like their operation."""


def permissions(call: Call) -> list[tuple[str, str, str]]:
    """Return action, resource and, for a passed role, the service; nothing for calls that need no permission."""
    service, operation, given = call.service, call.operation, call.arguments
    if (service, operation) == ("sts", "GetCallerIdentity"):
        return []
    if service == "s3":
        action = S3.get(operation, operation)
        bucket = f"arn:aws:s3:::{given['Bucket']}"
        on_object = "Object" in action or action == "AbortMultipartUpload"
        return [(f"s3:{action}", f"{bucket}/{given['Key']}" if on_object else bucket, "")]
    prefix = {"stepfunctions": "states"}.get(service, service)
    found = [(f"{prefix}:{operation}", resource(service, operation, given), "")]
    role = given.get("Role") or given.get("roleArn")
    return [*found, ("iam:PassRole", role, f"{prefix}.amazonaws.com")] if role else found


def resource(service: str, operation: str, given: dict[str, Any]) -> str:
    def arn(name: str, *, regional: bool = True, of: str = service) -> str:
        return f"arn:aws:{of}:{REGION if regional else ''}:{ACCOUNT}:{name}"

    match service:
        case "cloudformation":
            stack = given["StackName"]
            return stack if stack.startswith("arn:") else arn(f"stack/{stack}/1")
        case "lambda" if operation == "GetAccountSettings":
            return "*"
        case "lambda":
            name = given["FunctionName"].rpartition(":")[2]
            return arn(f"function:{name}")
        case "iam":
            return arn(f"role/{given['RoleName']}", regional=False)
        case "stepfunctions":
            named = [given[key] for key in ("executionArn", "stateMachineArn", "mapRunArn") if key in given]
            return named[0] if named else arn(f"stateMachine:{given['name']}", of="states")
        case "logs":
            return arn(f"log-group:{given.get('logGroupName', '')}") + (":*" if operation == "FilterLogEvents" else "")
        case "cloudwatch" if "Dashboard" in operation:
            name = given.get("DashboardName") or given["DashboardNames"][0]
            return arn(f"dashboard/{name}", regional=False)
        case "cloudwatch":
            names = [given["AlarmName"]] if "AlarmName" in given else given["AlarmNames"]
            return arn(f"alarm:{names[0]}")
        case "events":
            return arn(f"rule/{given.get('Rule') or given['Name']}")
        case "sns":
            return str(given.get("TopicArn") or arn(given["Name"]))
        case "sqs":
            return arn(given["QueueName"] if "QueueName" in given else re.split("/", given["QueueUrl"])[-1])
    raise AssertionError(f"no resource is known for {service} {operation}")
