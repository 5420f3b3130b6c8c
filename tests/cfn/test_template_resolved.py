"""The template as CloudFormation resolves it under combinations of its options, and every policy in it, before the linters."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import parliament
import pytest
from cfnlint import ManualArgs, api

from hyperframes_provider.client.stack.template import PLACED_BY_DEPLOY, load_template
from hyperframes_provider.local.cloudformation.intrinsics import evaluate, scope
from hyperframes_provider.local.cloudformation.parameters import resolve_parameters
from hyperframes_provider.local.cloudformation.template import parse_template
from tests.cfn.test_options import EVERYTHING, IMAGE, NETWORK, TOPIC, WEBHOOK

PLACES = dict.fromkeys(PLACED_BY_DEPLOY, "a-bucket-or-key")
NO_ZIP = {"CodeBucket": "", "CodeKey": "", "ImageUri": IMAGE}

COMBINATIONS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "everything": EVERYTHING,
    "an image with everything": {**EVERYTHING, **NO_ZIP},
    "other topics and no dashboard": {"NotificationTopicArn": TOPIC, "AlarmTopicArn": TOPIC, "DashboardEnabled": "false"},
    "webhook without topic": WEBHOOK,
    "one function in a network": {**NETWORK, "AllowedBuckets": "studio"},
    "alarms alone to the own topic": {"AlarmTopicArn": "own"},
}
PARTITIONS = {"aws": "us-east-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}


def resolved(options: dict[str, Any], partition: str = "aws") -> dict[str, Any]:
    """The template with nothing left to resolve but what only a deployment knows, which gets a plausible value."""
    template = parse_template(load_template().body)
    given = {**PLACES, **{name: str(value) for name, value in options.items()}}
    region = PARTITIONS[partition]
    pseudo = {
        "AWS::AccountId": "123456789012",
        "AWS::Partition": partition,
        "AWS::Region": region,
        "AWS::StackName": "studio",
        "AWS::URLSuffix": "amazonaws.com",
    }

    def known(name: str, attribute: str | None) -> Any:
        kind = template.resources[name].type
        arns = {
            "AWS::S3::Bucket": "s3:::studio-renderbucket-1",
            "AWS::Lambda::Function": f"lambda:{region}:123456789012:function:{name}",
            "AWS::IAM::Role": f"iam::123456789012:role/studio-{name}",
            "AWS::StepFunctions::StateMachine": f"states:{region}:123456789012:stateMachine:studio",
            "AWS::Logs::LogGroup": f"logs:{region}:123456789012:log-group:/aws/lambda/{name}:*",
            "AWS::SNS::Topic": f"sns:{region}:123456789012:{name}",
            "AWS::SQS::Queue": f"sqs:{region}:123456789012:{name}",
            "AWS::Events::Rule": f"events:{region}:123456789012:rule/{name}",
        }
        by_arn = kind in ("AWS::StepFunctions::StateMachine", "AWS::SNS::Topic")
        if attribute == "Arn" or (attribute is None and by_arn):
            return f"arn:{partition}:{arns[kind]}"
        if kind == "AWS::SQS::Queue" and attribute is None:
            return f"https://sqs.{region}.amazonaws.com/123456789012/{name}"
        return "studio-renderbucket-1" if kind == "AWS::S3::Bucket" else name

    within = scope(template, resolve_parameters(template, given), pseudo, known)
    made = {
        name: resource
        for name, resource in template.resources.items()
        if resource.condition is None or within.conditions[resource.condition]
    }
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Resources": {
            name: {
                "Type": resource.type,
                "Properties": evaluate(resource.properties, within),
                "DeletionPolicy": resource.deletion_policy,
                "UpdateReplacePolicy": resource.replace_policy,
            }
            for name, resource in made.items()
        },
    }


@pytest.mark.parametrize("options", COMBINATIONS.values(), ids=COMBINATIONS)
def test_the_template_s_linter_is_content(options: dict[str, Any]) -> None:
    # W3005 and its like ask for references where there are values now.
    matches = api.lint(json.dumps(resolved(options)), config=ManualArgs(include_checks=["W", "E"], regions=["us-east-1"]))
    assert [str(match) for match in matches] == []


def policies(template: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Policies of the roles, the bucket, the topic and the queue."""
    for name, resource in template["Resources"].items():
        properties = resource["Properties"]
        for policy in properties.get("Policies", ()):
            yield f"{name} {policy['PolicyName']}", policy["PolicyDocument"]
        if "PolicyDocument" in properties:
            yield name, properties["PolicyDocument"]


NOT_FAULTS = (
    # A version has a point in it, which the linter does not take for a number; and `s3:*` means some actions that are no requests.
    ("RenderBucketPolicy", "s3:TlsVersion"),
    # The key's ARN is what S3 compares with, as a string.
    ("RenderBucketPolicy", "StringNotEquals requires a value of type String but given Arn"),
    # What Lambda asks for: it refuses a role that may make interfaces of some kinds of resources only.
    ("RenderFunctionRole network", "NetworkInterface"),
    # Is there in every call that a function makes.
    ("RenderFunctionRole network", "lambda:SourceFunctionArn"),
    # The state machine is no express one.
    ("RenderStateMachineRole orchestrate", ":express:"),
)
"""Where the linter is stricter than the service, and by which words it is known."""


@pytest.mark.parametrize("partition", PARTITIONS)
def test_a_policy_linter_is_content(partition: str) -> None:
    key = EVERYTHING["KmsKeyArn"].replace("arn:aws:", f"arn:{partition}:")
    found = list(policies(resolved({**EVERYTHING, "KmsKeyArn": key}, partition)))
    assert len(found) >= 13
    findings = {
        f"{name}: {finding.issue} {finding.detail}"
        for name, policy in found
        for finding in parliament.analyze_policy_string(json.dumps(policy)).findings
        if not any(name == known and words in str(finding.detail) for known, words in NOT_FAULTS)
    }
    assert findings == set()


@pytest.mark.parametrize("partition", PARTITIONS)
def test_every_arn_is_of_the_partition(partition: str) -> None:
    options = {**EVERYTHING, "KmsKeyArn": "", "WebhookUrl": "", "WebhookSecretArn": ""}
    text = json.dumps(resolved(options, partition))
    assert {part.split(":")[0] for part in text.split('"arn:')[1:]} == {partition}
    bucket_policy = resolved(options, partition)["Resources"]["AllowedBucketsPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert bucket_policy[0]["Resource"] == [f"arn:{partition}:s3:::studio/*", f"arn:{partition}:s3:::archive/*"]
    assert bucket_policy[1]["Resource"] == [f"arn:{partition}:s3:::studio", f"arn:{partition}:s3:::archive"]
