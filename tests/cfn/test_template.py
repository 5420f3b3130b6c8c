"""The template: accepted by cfn-lint, least privilege, and the reference's names."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from cfnlint import ManualArgs, api
from cfnlint.decode import decode

from hyperframes_lambda.contract.toolset import CHROME_SOURCE_VARIABLE, ChromeSource
from hyperframes_provider.client.template import cfn_folder, load_template

PATH = cfn_folder() / "template.yaml"


def _plain(node: Any) -> Any:
    """cfn-lint's nodes as ordinary dicts and lists."""
    if isinstance(node, dict):
        return {str(key): _plain(value) for key, value in node.items()}
    return [_plain(item) for item in node] if isinstance(node, list) else node


TEMPLATE: dict[str, Any] = _plain(decode(str(PATH))[0])
RESOURCES: dict[str, Any] = TEMPLATE["Resources"]


def resources(kind: str) -> dict[str, Any]:
    return {name: resource for name, resource in RESOURCES.items() if resource["Type"] == kind}


def statements() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, role in resources("AWS::IAM::Role").items():
        for policy in role["Properties"]["Policies"]:
            document = policy["Fn::If"][1] if "Fn::If" in policy else policy
            for statement in document["PolicyDocument"]["Statement"]:
                yield f"{name}/{document['PolicyName']}/{statement['Sid']}", statement


def test_cfn_lint_is_content() -> None:
    assert [str(match) for match in api.lint_file(PATH)] == []


def test_cfn_lint_is_content_with_the_definition_in_place() -> None:
    """The file lies in S3 when the stack is made, so the linter sees it only here."""
    inlined = copy.deepcopy(TEMPLATE)
    properties = inlined["Resources"]["RenderStateMachine"]["Properties"]
    del properties["DefinitionS3Location"]
    properties["Definition"] = json.loads(load_template().definition)
    for name in ("DefinitionBucket", "DefinitionKey"):
        del inlined["Parameters"][name]
    del inlined["Metadata"]  # groups name the two parameters
    assert [str(match) for match in api.lint(json.dumps(inlined), config=ManualArgs(include_checks=["W", "E"]))] == []


def test_it_fits_into_a_request() -> None:
    assert len(PATH.read_bytes()) < 51_200


def test_the_reference_s_parameters_keep_their_names_and_defaults() -> None:
    defaults = {name: entry.get("Default") for name, entry in TEMPLATE["Parameters"].items()}
    expected = {
        "ProjectName": "hyperframes",
        "LambdaMemoryMb": 10240,
        "LambdaTimeoutSec": 900,
        "ReservedConcurrency": -1,
        "ChromeSource": "sparticuz",
        "ChunkInvocationAlarmThreshold": 1000,
    }
    assert expected.items() <= defaults.items()
    assert TEMPLATE["Parameters"]["ChromeSource"]["AllowedValues"] == [source.value for source in ChromeSource]
    assert all(entry["Description"] for entry in TEMPLATE["Parameters"].values())


def test_outputs_are_exported() -> None:
    assert set(TEMPLATE["Outputs"]) == {"RenderBucketName", "RenderStateMachineArn", "RenderFunctionArn"}
    for name, output in TEMPLATE["Outputs"].items():
        assert output["Export"]["Name"] == {"Fn::Sub": f"${{AWS::StackName}}-{name}"}


def test_the_function() -> None:
    (function,) = resources("AWS::Lambda::Function").values()
    properties = function["Properties"]
    assert (properties["Runtime"], properties["Architectures"], properties["Handler"]) == ("python3.13", ["x86_64"], "handler.handler")
    assert properties["EphemeralStorage"] == {"Size": 10240}
    assert properties["TracingConfig"] == {"Mode": "Active"}
    assert set(properties["Environment"]["Variables"]) == {
        "HYPERFRAMES_BUCKET",
        "HYPERFRAMES_ALLOWED_BUCKETS",
        CHROME_SOURCE_VARIABLE,
        "POWERTOOLS_SERVICE_NAME",
        "LOG_LEVEL",
    }


def test_the_bucket_is_private_encrypted_and_outlives_the_stack() -> None:
    (bucket,) = resources("AWS::S3::Bucket").values()
    assert bucket["DeletionPolicy"] == bucket["UpdateReplacePolicy"] == "Retain"
    properties = bucket["Properties"]
    assert "BucketName" not in properties  # a kept bucket must not be in the way of the next stack of this name
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    expiring = [rule for rule in properties["LifecycleConfiguration"]["Rules"] if "ExpirationInDays" in rule]
    assert [(rule["Prefix"], rule["ExpirationInDays"]) for rule in expiring] == [("renders/", 7)]
    (policy,) = resources("AWS::S3::BucketPolicy").values()
    assert policy["DeletionPolicy"] == "Retain"
    (deny,) = policy["Properties"]["PolicyDocument"]["Statement"]
    assert deny["Effect"] == "Deny" and deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


WITHOUT_A_RESOURCE = {"xray": "X-Ray has no resources", "logs": "log deliveries belong to the account"}
"""Services whose actions cannot be narrowed to an ARN, and why."""


@pytest.mark.parametrize(("name", "statement"), [pytest.param(name, statement, id=name) for name, statement in statements()])
def test_roles_are_least_privilege(name: str, statement: dict[str, Any]) -> None:
    actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
    assert not any("*" in action for action in actions)
    if statement["Resource"] == "*":
        assert name.endswith(("/Tracing", "/LogDelivery"))
        assert {action.partition(":")[0] for action in actions} <= set(WITHOUT_A_RESOURCE)
        assert not {"logs:CreateLogGroup", "logs:PutLogEvents"} & set(actions)


def test_only_the_two_services_may_take_the_roles() -> None:
    trusted = {
        statement["Principal"]["Service"]
        for role in resources("AWS::IAM::Role").values()
        for statement in role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    }
    assert trusted == {"lambda.amazonaws.com", "states.amazonaws.com"}


def test_the_state_machine_is_logged_and_traced() -> None:
    (machine,) = resources("AWS::StepFunctions::StateMachine").values()
    properties = machine["Properties"]
    assert properties["StateMachineType"] == "STANDARD"
    assert properties["TracingConfiguration"] == {"Enabled": True}
    assert len(properties["LoggingConfiguration"]["Destinations"]) == 1
    assert properties["DefinitionSubstitutions"] == {"RenderFunctionArn": {"Fn::GetAtt": ["RenderFunction", "Arn"]}}


def test_logs_have_a_retention() -> None:
    groups = resources("AWS::Logs::LogGroup")
    assert len(groups) == 2
    assert all(group["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"} for group in groups.values())


def test_alarms_watch_what_can_go_wrong_and_notify_when_asked() -> None:
    alarms = {alarm["Properties"]["AlarmName"]["Fn::Sub"]: alarm["Properties"] for alarm in resources("AWS::CloudWatch::Alarm").values()}
    assert {name: alarm["MetricName"] for name, alarm in alarms.items()} == {
        "${ProjectName}-runaway-chunk-invocations": "Invocations",
        "${ProjectName}-function-errors": "Errors",
        "${ProjectName}-function-throttles": "Throttles",
        "${ProjectName}-executions-failed": "ExecutionsFailed",
        "${ProjectName}-executions-timed-out": "ExecutionsTimedOut",
    }
    for alarm in alarms.values():
        assert alarm["AlarmActions"] == {"Fn::If": ["HasAlarmTopic", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]}
        assert alarm["TreatMissingData"] == "notBreaching"
    runaway = alarms["${ProjectName}-runaway-chunk-invocations"]
    assert (runaway["Threshold"], runaway["Period"]) == ({"Ref": "ChunkInvocationAlarmThreshold"}, 3600)
