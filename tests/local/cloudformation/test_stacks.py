"""Stacks in a deployment, from the change set to the bucket that outlives the stack."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests import ROOT
from tests.local.deployed import Deployed, eventually

WAIT = {"Delay": 1, "MaxAttempts": 30}
PASS = {"StartAt": "Say", "States": {"Say": {"Type": "Pass", "Result": "${Function}", "End": True}}}
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def template(**changes: Any) -> dict[str, Any]:
    """Return a template with a retained bucket, a function and a machine; `changes` replace resources."""
    return {
        "Parameters": {
            "Memory": {"Type": "Number", "Default": 256, "MinValue": 128, "MaxValue": 1024},
            "Mode": {"Type": "String", "Default": "a", "AllowedValues": ["a", "b"]},
        },
        "Conditions": {"IsB": {"Fn::Equals": [{"Ref": "Mode"}, "b"]}},
        "Resources": {
            "Store": {"Type": "AWS::S3::Bucket", "DeletionPolicy": "Retain", "Properties": {}},
            "Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": TRUST}},
            "Function": {
                "Type": "AWS::Lambda::Function",
                "Properties": {
                    "Runtime": "python3.11",
                    "Handler": "app.handler",
                    "Code": {"S3Bucket": "testing", "S3Key": "code/function.zip"},
                    "Role": {"Fn::GetAtt": ["Role", "Arn"]},
                    "MemorySize": {"Ref": "Memory"},
                    "Environment": {"Variables": {"STORE": {"Ref": "Store"}, "MODE": {"Fn::Sub": "mode-${Mode}"}}},
                },
            },
            "Machine": {
                "Type": "AWS::StepFunctions::StateMachine",
                "Properties": {
                    "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
                    "DefinitionString": json.dumps(PASS),
                    "DefinitionSubstitutions": {"Function": {"Fn::GetAtt": ["Function", "Arn"]}},
                },
            },
            "OnlyB": {"Type": "AWS::Logs::LogGroup", "Condition": "IsB", "Properties": {"RetentionInDays": 7}},
            **changes,
        },
        "Outputs": {
            "Store": {"Value": {"Ref": "Store"}},
            "Function": {"Value": {"Ref": "Function"}},
            "Machine": {"Value": {"Ref": "Machine"}},
        },
    }


class Stacks:
    """CloudFormation as a deployment uses it: change sets and the SDK's own waiters."""

    def __init__(self, local_aws: Deployed) -> None:
        self.cfn = local_aws.connect("cloudformation")

    def request(self, name: str, body: dict[str, Any] | str, kind: str, **parameters: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.cfn.create_change_set(
            StackName=name,
            ChangeSetName=f"c-{uuid.uuid4().hex}",
            ChangeSetType=kind,
            TemplateBody=body if isinstance(body, str) else json.dumps(body),
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
            Capabilities=["CAPABILITY_IAM"],
        )
        return answer

    def described(self, change_set: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = self.cfn.describe_change_set(ChangeSetName=change_set["Id"])
        return answer

    def deploy(self, name: str, body: dict[str, Any] | str, kind: str, **parameters: str) -> str:
        """Deploy and return the final status of the stack."""
        change_set = self.request(name, body, kind, **parameters)
        self.cfn.get_waiter("change_set_create_complete").wait(ChangeSetName=change_set["Id"], WaiterConfig=WAIT)
        self.cfn.execute_change_set(ChangeSetName=change_set["Id"])
        return self.settled(name)

    def settled(self, name: str) -> str:
        status: str = eventually(lambda: not (status := self.stack(name)["StackStatus"]).endswith("_IN_PROGRESS") and status, 60.0)
        return status

    def stack(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.cfn.describe_stacks(StackName=name)["Stacks"][0]
        return found

    def outputs(self, name: str) -> dict[str, str]:
        return {output["OutputKey"]: output["OutputValue"] for output in self.stack(name)["Outputs"]}

    def events(self, name: str) -> list[tuple[str, str]]:
        """Return logical IDs and statuses, oldest first."""
        pages = self.cfn.get_paginator("describe_stack_events").paginate(StackName=name)
        found = [(event["LogicalResourceId"], event["ResourceStatus"]) for page in pages for event in page["StackEvents"]]
        return found[::-1]

    def reason(self, name: str, resource: str, status: str) -> str:
        for event in self.cfn.describe_stack_events(StackName=name)["StackEvents"]:
            if (event["LogicalResourceId"], event["ResourceStatus"]) == (resource, status):
                reason: str = event["ResourceStatusReason"]
                return reason
        raise AssertionError(f"{resource} never was {status}")


@pytest.fixture
def stacks(local_aws: Deployed) -> Stacks:
    return Stacks(local_aws)


def test_create_by_change_set(local_aws: Deployed, stacks: Stacks) -> None:
    change_set = stacks.request("made", template(), "CREATE")
    assert stacks.stack("made")["StackStatus"] == "REVIEW_IN_PROGRESS"
    described = stacks.described(change_set)
    assert (described["Status"], described["ExecutionStatus"]) == ("CREATE_COMPLETE", "AVAILABLE")
    changes = {(c["ResourceChange"]["Action"], c["ResourceChange"]["LogicalResourceId"]) for c in described["Changes"]}
    assert changes == {("Add", name) for name in ("Store", "Role", "Function", "Machine")}
    stacks.cfn.execute_change_set(ChangeSetName=change_set["Id"])
    stacks.cfn.get_waiter("stack_create_complete").wait(StackName="made", WaiterConfig=WAIT)
    events = stacks.events("made")
    assert events[:2] == [("made", "REVIEW_IN_PROGRESS"), ("made", "CREATE_IN_PROGRESS")]
    assert events[-1] == ("made", "CREATE_COMPLETE")
    for name in ("Store", "Role", "Function", "Machine"):
        assert events.index((name, "CREATE_IN_PROGRESS")) < events.index((name, "CREATE_COMPLETE"))
    assert events.index(("Function", "CREATE_COMPLETE")) < events.index(("Machine", "CREATE_IN_PROGRESS"))
    outputs = stacks.outputs("made")
    function = local_aws.connect("lambda").get_function(FunctionName=outputs["Function"])["Configuration"]
    assert (function["MemorySize"], function["Environment"]["Variables"]) == (256, {"STORE": outputs["Store"], "MODE": "mode-a"})
    machine = local_aws.connect("stepfunctions").describe_state_machine(stateMachineArn=outputs["Machine"])
    assert function["FunctionArn"] in machine["definition"]
    with pytest.raises(ClientError, match="already exists"):
        stacks.request("made", template(), "CREATE")


def test_update_unchanged_and_a_conditional_resource(local_aws: Deployed, stacks: Stacks) -> None:
    assert stacks.deploy("updated", template(), "CREATE") == "CREATE_COMPLETE"
    before = stacks.outputs("updated")

    same = stacks.described(stacks.request("updated", json.dumps(template(), indent=2), "UPDATE"))
    assert (same["Status"], same["ExecutionStatus"]) == ("FAILED", "UNAVAILABLE")
    assert same["StatusReason"].startswith("The submitted information didn't contain changes")
    with pytest.raises(ClientError) as refused:
        stacks.cfn.execute_change_set(ChangeSetName=same["ChangeSetId"])
    assert refused.value.response["Error"]["Code"] == "InvalidChangeSetStatus"
    stacks.cfn.delete_change_set(ChangeSetName=same["ChangeSetId"])

    change_set = stacks.described(stacks.request("updated", template(), "UPDATE", Memory="512", Mode="b"))
    changes = {(c["ResourceChange"]["Action"], c["ResourceChange"]["LogicalResourceId"]) for c in change_set["Changes"]}
    assert changes == {("Modify", "Function"), ("Add", "OnlyB")}
    stacks.cfn.execute_change_set(ChangeSetName=change_set["ChangeSetId"])
    assert stacks.settled("updated") == "UPDATE_COMPLETE"
    assert stacks.outputs("updated") == before
    function = local_aws.connect("lambda").get_function(FunctionName=before["Function"])["Configuration"]
    assert (function["MemorySize"], function["Environment"]["Variables"]["MODE"]) == (512, "mode-b")
    (made,) = stacks.cfn.describe_stack_resources(StackName="updated", LogicalResourceId="OnlyB")["StackResources"]

    assert stacks.deploy("updated", template(), "UPDATE", Memory="512", Mode="a") == "UPDATE_COMPLETE"
    assert ("OnlyB", "DELETE_COMPLETE") in stacks.events("updated")
    assert local_aws.connect("logs").describe_log_groups(logGroupNamePrefix=made["PhysicalResourceId"])["logGroups"] == []


def test_a_change_of_name_replaces(local_aws: Deployed, stacks: Stacks) -> None:
    groups = local_aws.connect("logs")
    with_group = lambda name: template(Group={"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": name}})  # noqa: E731
    assert stacks.deploy("renamed", with_group("/test/one"), "CREATE") == "CREATE_COMPLETE"
    change_set = stacks.described(stacks.request("renamed", with_group("/test/two"), "UPDATE"))
    assert [(c["ResourceChange"]["LogicalResourceId"], c["ResourceChange"]["Replacement"]) for c in change_set["Changes"]] == [
        ("Group", "True")
    ]
    stacks.cfn.execute_change_set(ChangeSetName=change_set["ChangeSetId"])
    assert stacks.settled("renamed") == "UPDATE_COMPLETE"
    assert [group["logGroupName"] for group in groups.describe_log_groups(logGroupNamePrefix="/test/")["logGroups"]] == ["/test/two"]


def test_a_failed_creation_is_rolled_back(local_aws: Deployed, stacks: Stacks) -> None:
    body = template()
    body["Resources"]["Function"]["Properties"]["Code"]["S3Key"] = "absent.zip"
    del body["Resources"]["Store"]["DeletionPolicy"]
    functions = {f["FunctionName"] for f in local_aws.connect("lambda").list_functions()["Functions"]}
    assert stacks.deploy("failing", body, "CREATE") == "ROLLBACK_COMPLETE"
    assert "absent.zip does not exist" in stacks.reason("failing", "Function", "CREATE_FAILED")
    assert "[Function]" in stacks.reason("failing", "failing", "ROLLBACK_IN_PROGRESS")
    events = stacks.events("failing")
    assert [event for event in events if event[1] == "DELETE_COMPLETE"] == [("Role", "DELETE_COMPLETE"), ("Store", "DELETE_COMPLETE")]
    assert {f["FunctionName"] for f in local_aws.connect("lambda").list_functions()["Functions"]} == functions
    with pytest.raises(ClientError, match="ROLLBACK_COMPLETE state and can not be updated"):
        stacks.request("failing", template(), "UPDATE")
    stacks.cfn.delete_stack(StackName="failing")
    stacks.cfn.get_waiter("stack_delete_complete").wait(StackName="failing", WaiterConfig=WAIT)
    assert stacks.deploy("failing", template(), "CREATE") == "CREATE_COMPLETE"


def test_a_failed_update_goes_back(local_aws: Deployed, stacks: Stacks) -> None:
    assert stacks.deploy("back", template(), "CREATE") == "CREATE_COMPLETE"
    body = template()
    body["Resources"]["Machine"]["Properties"]["DefinitionString"] = '{"StartAt": "Nowhere", "States": {"A": {"Type": "Succeed"}}}'
    assert stacks.deploy("back", body, "UPDATE", Memory="1024", Mode="b") == "UPDATE_ROLLBACK_COMPLETE"
    assert "Missing 'StartAt' target: Nowhere" in stacks.reason("back", "Machine", "UPDATE_FAILED")
    function = local_aws.connect("lambda").get_function(FunctionName=stacks.outputs("back")["Function"])["Configuration"]
    assert (function["MemorySize"], function["Environment"]["Variables"]["MODE"]) == (256, "mode-a")
    assert {p["ParameterKey"]: p["ParameterValue"] for p in stacks.stack("back")["Parameters"]} == {"Memory": "256", "Mode": "a"}
    assert stacks.described(stacks.request("back", template(), "UPDATE"))["Status"] == "FAILED"
    assert stacks.deploy("back", template(), "UPDATE", Memory="512") == "UPDATE_COMPLETE"


def test_delete_keeps_the_bucket_that_is_to_be_kept(local_aws: Deployed, stacks: Stacks) -> None:
    stacks.deploy("kept", template(), "CREATE")
    stack_id, outputs = stacks.stack("kept")["StackId"], stacks.outputs("kept")
    local_aws.connect("s3").put_object(Bucket=outputs["Store"], Key="video", Body=b"1")
    stacks.cfn.delete_stack(StackName="kept")
    stacks.cfn.get_waiter("stack_delete_complete").wait(StackName=stack_id, WaiterConfig=WAIT)
    assert ("Store", "DELETE_SKIPPED") in stacks.events(stack_id)
    assert local_aws.connect("s3").get_object(Bucket=outputs["Store"], Key="video")["Body"].read() == b"1"
    with pytest.raises(ClientError, match="Stack with id kept does not exist"):
        stacks.stack("kept")
    machines = local_aws.connect("stepfunctions").list_state_machines()["stateMachines"]
    assert outputs["Machine"] not in [machine["stateMachineArn"] for machine in machines]
    stacks.cfn.delete_stack(StackName="kept")


def test_a_bucket_with_objects_stops_the_deletion(local_aws: Deployed, stacks: Stacks) -> None:
    body = {"Resources": {"Store": {"Type": "AWS::S3::Bucket"}}, "Outputs": {"Store": {"Value": {"Ref": "Store"}}}}
    stacks.deploy("full", body, "CREATE")
    bucket, s3 = stacks.outputs("full")["Store"], local_aws.connect("s3")
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    stacks.cfn.delete_stack(StackName="full")
    assert stacks.settled("full") == "DELETE_FAILED"
    assert "not empty" in stacks.reason("full", "Store", "DELETE_FAILED")
    s3.delete_object(Bucket=bucket, Key="k")
    stacks.cfn.delete_stack(StackName="full")
    stacks.cfn.get_waiter("stack_delete_complete").wait(StackName="full", WaiterConfig=WAIT)


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"Memory": "64"}, "Parameter 'Memory' must be a number not less than 128"),
        ({"Memory": "2048"}, "Parameter 'Memory' must be a number not greater than 1024"),
        ({"Memory": "many"}, "Parameter 'Memory' must be a number"),
        ({"Mode": "c"}, r"Parameter 'Mode' must be one of AllowedValues \[a, b\]"),
        ({"Other": "1"}, r"Parameters: \[Other\] do not exist in the template"),
    ],
)
def test_a_parameter_out_of_bounds_is_refused_before_anything_is_made(stacks: Stacks, parameters: dict[str, str], text: str) -> None:
    with pytest.raises(ClientError, match=text) as refused:
        stacks.request("refused", template(), "CREATE", **parameters)
    assert refused.value.response["Error"]["Code"] == "ValidationError"
    with pytest.raises(ClientError, match="does not exist"):
        stacks.stack("refused")


@pytest.mark.parametrize(
    ("extra", "text"),
    [
        ({"X": {"Type": "AWS::EC2::Instance"}}, r"Unrecognized resource types: \[AWS::EC2::Instance\]"),
        (
            {"X": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": {"Ref": "Nobody"}}}},
            r"Unresolved resource dependencies \[Nobody\]",
        ),
        ({"X": {"Type": "AWS::Logs::LogGroup", "Condition": "Never"}}, "Unresolved condition dependency Never"),
        ({"X": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": {"Fn::Cidr": ["a"]}}}}, "does not support Fn::Cidr"),
        (
            {"X": {"Type": "AWS::Logs::LogGroup", "DependsOn": "Y"}, "Y": {"Type": "AWS::Logs::LogGroup", "DependsOn": "X"}},
            "Circular dependency",
        ),
        (
            {"X": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": {"Fn::GetAtt": ["Store", "Color"]}}}},
            "attribute type Color",
        ),
    ],
)
def test_a_template_beyond_the_endpoint_is_refused(stacks: Stacks, extra: dict[str, Any], text: str) -> None:
    with pytest.raises(ClientError, match=text):
        stacks.request("beyond", template(**extra), "CREATE")


def test_an_unknown_property_fails_its_resource(stacks: Stacks) -> None:
    body = {"Resources": {"Store": {"Type": "AWS::S3::Bucket", "Properties": {"Colour": "red"}}}}
    assert stacks.deploy("property", body, "CREATE") == "ROLLBACK_COMPLETE"
    assert "Encountered unsupported property Colour" in stacks.reason("property", "Store", "CREATE_FAILED")


def test_roles_need_a_capability(stacks: Stacks) -> None:
    with pytest.raises(ClientError, match=r"Requires capabilities : \[CAPABILITY_IAM\]") as refused:
        stacks.cfn.create_change_set(StackName="roles", ChangeSetName="c", ChangeSetType="CREATE", TemplateBody=json.dumps(template()))
    assert refused.value.response["Error"]["Code"] == "InsufficientCapabilitiesException"


def test_create_and_update_stack_without_change_sets(stacks: Stacks) -> None:
    body = json.dumps({"Resources": {"Group": {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": 7}}}})
    stacks.cfn.create_stack(StackName="direct", TemplateBody=body)
    stacks.cfn.get_waiter("stack_create_complete").wait(StackName="direct", WaiterConfig=WAIT)
    with pytest.raises(ClientError, match="No updates are to be performed"):
        stacks.cfn.update_stack(StackName="direct", TemplateBody=body)
    stacks.cfn.update_stack(StackName="direct", TemplateBody=body.replace("7", "14"), Tags=[{"Key": "team", "Value": "studio"}])
    stacks.cfn.get_waiter("stack_update_complete").wait(StackName="direct", WaiterConfig=WAIT)
    assert stacks.stack("direct")["Tags"] == [{"Key": "team", "Value": "studio"}]
    with pytest.raises(ClientError, match="AlreadyExists"):
        stacks.cfn.create_stack(StackName="direct", TemplateBody=body)


def test_an_unknown_operation_is_a_clean_refusal(stacks: Stacks) -> None:
    with pytest.raises(ClientError, match="does not support ListTypes"):
        stacks.cfn.list_types()


def test_the_stack_of_this_project(local_aws: Deployed, stacks: Stacks) -> None:
    s3 = local_aws.connect("s3")
    s3.put_object(Bucket="testing", Key="code/definition.json", Body=json.dumps(PASS).replace("Function", "RenderFunctionArn"))
    body = (ROOT / "cfn" / "template.yaml").read_text()
    parameters = {
        "CodeBucket": "testing",
        "CodeKey": "code/function.zip",
        "DefinitionBucket": "testing",
        "DefinitionKey": "code/definition.json",
    }
    assert stacks.deploy("project", body, "CREATE", **parameters) == "CREATE_COMPLETE"
    # `aws cloudformation deploy` requests this before it updates a stack.
    summary = stacks.cfn.get_template_summary(StackName="project")
    assert {parameter["ParameterKey"] for parameter in summary["Parameters"]} >= {*parameters, "LambdaTimeoutSec"}
    assert summary["Capabilities"] == ["CAPABILITY_IAM"]
    assert stacks.cfn.get_template_summary(TemplateBody=body)["Parameters"] == summary["Parameters"]
    outputs = stacks.outputs("project")
    bucket = outputs["RenderBucketName"]
    rules = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert [(rule["Filter"]["Prefix"], rule.get("Expiration")) for rule in rules] == [("renders/", {"Days": 7}), ("", None)]
    assert set(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values()) == {True}
    encryption = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert encryption["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    assert json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"][0]["Sid"] == "TlsOnly"
    s3.put_object(Bucket=bucket, Key="k", Body=b"reachable over plain HTTP all the same")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read().startswith(b"reachable")
    function = local_aws.connect("lambda").get_function(FunctionName=outputs["RenderFunctionArn"])["Configuration"]
    assert (function["MemorySize"], function["Timeout"], function["EphemeralStorage"]) == (10240, 900, {"Size": 10240})
    alarms = local_aws.connect("cloudwatch").describe_alarms(AlarmNamePrefix="hyperframes-")["MetricAlarms"]
    assert len(alarms) == 8
    execution = local_aws.finished(local_aws.start(outputs["RenderStateMachineArn"]))
    assert execution["output"] == f'"{outputs["RenderFunctionArn"]}"'
    assert stacks.described(stacks.request("project", body, "UPDATE", **parameters))["Status"] == "FAILED"
    parameters["AlarmTopicArn"] = "arn:aws:sns:us-east-1:123456789012:night-shift"
    assert (
        stacks.deploy("project", body, "UPDATE", **parameters, ReservedConcurrency="5", AllowedBuckets="one-bucket,two-bucket")
        == "UPDATE_COMPLETE"
    )
    assert (
        local_aws.connect("lambda").get_function_concurrency(FunctionName=outputs["RenderFunctionArn"])["ReservedConcurrentExecutions"] == 5
    )
    stacks.cfn.delete_stack(StackName="project")
    stacks.cfn.get_waiter("stack_delete_complete").wait(StackName="project", WaiterConfig=WAIT)
