"""The template: accepted by cfn-lint, least privilege, and the reference's names."""

from __future__ import annotations

import copy
import importlib
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from cfnlint import ManualArgs, api
from cfnlint.decode import decode

import hyperframes_lambda
from hyperframes_lambda.contract.toolset import CHROME_SOURCE_VARIABLE, ChromeSource
from hyperframes_lambda.entry.telemetry import Metric
from hyperframes_provider.client.stack.template import cfn_folder, load_template

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
    """Statements of the roles' policies, those under a condition included."""
    for name, role in resources("AWS::IAM::Role").items():
        for policy in role["Properties"]["Policies"]:
            document = policy["Fn::If"][1] if "Fn::If" in policy else policy
            for statement in document["PolicyDocument"]["Statement"]:
                yield f"{name}/{document['PolicyName']}/{statement['Sid']}", statement
    for name, policy in resources("AWS::IAM::RolePolicy").items():
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
            yield f"{name}/{policy['Properties']['PolicyName']}/{statement['Sid']}", statement


def test_cfn_lint_is_content() -> None:
    assert [str(match) for match in api.lint_file(PATH)] == []


def test_cfn_lint_is_content_with_the_definition_in_place() -> None:
    """The file lies in S3 when the stack is made, so the linter sees it only here."""
    inlined = copy.deepcopy(TEMPLATE)
    properties = inlined["Resources"]["RenderStateMachine"]["Properties"]
    del properties["DefinitionS3Location"]
    properties["Definition"] = json.loads(load_template().definition.replace(b"${Partition}", b"aws"))
    for name in ("DefinitionBucket", "DefinitionKey"):
        del inlined["Parameters"][name]
    del inlined["Metadata"]["AWS::CloudFormation::Interface"]  # its groups name the two parameters
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
    assert set(TEMPLATE["Outputs"]) == {
        "RenderBucketName",
        "RenderStateMachineArn",
        "RenderFunctionArn",
        "CoordinatorFunctionArn",
        "ProviderVersion",
        "NotificationTopicArn",
    }
    for name, output in TEMPLATE["Outputs"].items():
        assert output["Export"]["Name"] == {"Fn::Sub": f"${{AWS::StackName}}-{name}"}


def test_the_version_is_this_one() -> None:
    assert TEMPLATE["Outputs"]["ProviderVersion"]["Value"] == hyperframes_lambda.__version__


NOT_IMAGE: dict[str, Any] = {"Ref": "AWS::NoValue"}


@pytest.mark.parametrize("name", ["RenderFunction", "CoordinatorFunction"])
def test_the_functions(name: str) -> None:
    properties = RESOURCES[name]["Properties"]
    assert properties["Runtime"] == {"Fn::If": ["HasImage", NOT_IMAGE, "python3.13"]}
    assert properties["Handler"] == {"Fn::If": ["HasImage", NOT_IMAGE, "handler.handler"]}
    assert properties["Architectures"] == ["x86_64"]
    assert properties["EphemeralStorage"] == {"Size": 10240}
    assert set(properties["Environment"]["Variables"]) == {
        "HYPERFRAMES_BUCKET",
        "HYPERFRAMES_ALLOWED_BUCKETS",
        "HYPERFRAMES_CHUNK_MEMORY_MB",
        "HYPERFRAMES_CHUNK_TIMEOUT_SEC",
        CHROME_SOURCE_VARIABLE,
        "POWERTOOLS_SERVICE_NAME",
        "POWERTOOLS_METRICS_NAMESPACE",
        "LOG_LEVEL",
    }


def test_every_function_is_traced_and_has_its_log_group_first() -> None:
    for name, function in resources("AWS::Lambda::Function").items():
        assert function["Properties"]["TracingConfig"] == {"Mode": "Active"}
        group = RESOURCES[function["DependsOn"]]["Properties"]["LogGroupName"]["Fn::Sub"]
        assert group == f"/aws/lambda/{function['Properties']['FunctionName']['Fn::Sub']}", name


def test_the_webhook_s_handler_is_there() -> None:
    named = RESOURCES["WebhookFunction"]["Properties"]["Handler"]["Fn::If"][2]
    module, _, function = named.rpartition(".")
    assert callable(getattr(importlib.import_module(module), function))
    assert RESOURCES["WebhookFunction"]["Properties"]["ImageConfig"]["Fn::If"][1] == {"Command": [named]}


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
    plain, outdated, *with_key = policy["Properties"]["PolicyDocument"]["Statement"]
    assert plain["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert outdated["Condition"] == {"NumericLessThan": {"s3:TlsVersion": "1.2"}}
    # Uploads that say nothing of encryption, as everybody's do, stay accepted.
    refused = [statement["Fn::If"][1] for statement in with_key]
    assert all("false" in statement["Condition"]["Null"].values() for statement in refused)
    assert {statement["Effect"] for statement in (plain, outdated, *refused)} == {"Deny"}


WITHOUT_A_RESOURCE = {
    "xray": "X-Ray has no resources",
    "logs": "log deliveries belong to the account",
    "ec2": "describing takes no resource, and refusing takes every one",
}
"""Services whose actions cannot be narrowed to an ARN, and why."""


@pytest.mark.parametrize(("name", "statement"), [pytest.param(name, statement, id=name) for name, statement in statements()])
def test_roles_are_least_privilege(name: str, statement: dict[str, Any]) -> None:
    actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
    assert not any("*" in action for action in actions)
    if statement["Resource"] == "*":
        assert name.endswith(("/Tracing", "/LogDelivery", "/LookAtNetwork", "/NotFromWithin"))
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
    assert set(properties["DefinitionSubstitutions"]) == {"Partition", "RenderFunctionArn", "CoordinatorFunctionArn"}


def test_no_partition_is_written_down_but_in_a_delimiter() -> None:
    """A delimiter takes no function: there is one for each partition."""
    written = [line.strip() for line in PATH.read_text().splitlines() if re.search(r"arn:aws[a-z-]*:", line.split("#")[0])]
    assert [line for line in written if "AllowedPattern" not in line and "!Join" not in line] == []
    joined = {re.search(r"arn:(aws[a-z-]*):", line)[1] for line in written if "!Join" in line}  # type: ignore[index]
    assert joined == {"aws", "aws-cn", "aws-us-gov"}


def test_logs_have_a_retention() -> None:
    groups = resources("AWS::Logs::LogGroup")
    assert set(groups) == {
        "RenderFunctionLogGroup",
        "CoordinatorFunctionLogGroup",
        "WebhookFunctionLogGroup",
        "RenderStateMachineLogGroup",
    }
    assert all(group["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"} for group in groups.values())


def test_alarms_watch_what_can_go_wrong_and_notify_when_asked() -> None:
    alarms = {alarm["Properties"]["AlarmName"]["Fn::Sub"]: alarm["Properties"] for alarm in resources("AWS::CloudWatch::Alarm").values()}
    assert {name: sorted(watched(alarm)) for name, alarm in alarms.items()} == {
        "${ProjectName}-runaway-chunk-invocations": ["CoordinatorFunction Invocations", "RenderFunction Invocations"],
        "${ProjectName}-function-errors": ["CoordinatorFunction Errors", "RenderFunction Errors"],
        "${ProjectName}-function-error-rate": ["RenderFunction Errors", "RenderFunction Invocations"],
        "${ProjectName}-function-throttles": ["CoordinatorFunction Throttles", "RenderFunction Throttles"],
        "${ProjectName}-chunk-near-timeout": ["RenderFunction Duration"],
        "${ProjectName}-renders-stalled": ["ProjectName Frames", "RenderFunction Invocations"],
        "${ProjectName}-executions-failed": ["RenderStateMachine ExecutionsFailed"],
        "${ProjectName}-executions-timed-out": ["RenderStateMachine ExecutionsTimedOut"],
        "${ProjectName}-signals-lost": ["LostSignalQueue ApproximateNumberOfMessagesVisible"],
    }
    topic = [{"Fn::If": ["AlarmsToOwnTopic", {"Ref": "SignalTopic"}, {"Ref": "AlarmTopicArn"}]}]
    for alarm in alarms.values():
        assert alarm["AlarmActions"] == {"Fn::If": ["HasAlarmTopic", topic, {"Ref": "AWS::NoValue"}]}
        assert alarm["TreatMissingData"] == "notBreaching"
    assert alarms["${ProjectName}-runaway-chunk-invocations"]["Threshold"] == {"Ref": "ChunkInvocationAlarmThreshold"}


def watched(alarm: dict[str, Any]) -> Iterator[str]:
    """Return the dimensions and names of the metrics behind an alarm."""
    stats = [(entry["Fn::If"][1] if "Fn::If" in entry else entry).get("MetricStat", {}).get("Metric") for entry in alarm.get("Metrics", [])]
    for metric in [metric for metric in stats if metric] or [alarm]:
        value = metric["Dimensions"][0]["Value"]
        yield f"{value.get('Ref') or value['Fn::GetAtt'][0]} {metric['MetricName']}"


def test_the_dashboard_is_json_and_names_metrics_that_are_there() -> None:
    body = RESOURCES["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    widgets = json.loads(body)["widgets"]
    assert len(widgets) == 12
    own = set(re.findall(r'"HyperFrames","(\w+)"', body)) | set(re.findall(r'\[".","(\w+)",".",".",".","?', body))
    assert {"Frames", "EstimatedCost", "Failure", "ColdStart"} <= own
    assert {metric.value for metric in Metric} >= {name for name in own if not name.startswith(("Executions", "Errors", "Throttles"))}


def test_a_signal_that_is_lost_is_kept_and_alarms() -> None:
    targets = [entry["Fn::If"][1] for entry in RESOURCES["RenderEndedRule"]["Properties"]["Targets"]]
    queue = {"Fn::GetAtt": ["LostSignalQueue", "Arn"]}
    assert [target["DeadLetterConfig"]["Arn"] for target in targets] == [queue, queue]
    assert RESOURCES["WebhookRetries"]["Properties"]["DestinationConfig"]["OnFailure"]["Destination"] == queue
    pattern = RESOURCES["RenderEndedRule"]["Properties"]["EventPattern"]["detail"]
    assert set(pattern["status"]) == {"SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"}
    # Not the executions of a distributed map's chunks: their state machine's ARN has the map's label behind it.
    assert pattern["stateMachineArn"] == [{"Ref": "RenderStateMachine"}]
