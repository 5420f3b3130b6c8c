"""Every option of the template on the embedded endpoint: made with it, brought to it, and brought back."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from hyperframes_provider.client.aws.connect import Connect
from hyperframes_provider.client.aws.errors import InvalidRequest
from hyperframes_provider.client.stack.delete import StackFailed, delete_stack
from hyperframes_provider.client.stack.deploy import deploy_stack
from hyperframes_provider.client.stack.describe import StackOutputs
from hyperframes_provider.client.stack.template import InvalidStackParameter

NAME = "hyperframes-options"
KEY = "arn:aws:kms:us-east-1:123456789012:key/0b1c2d3e-1111-2222-3333-444455556666"
TOPIC = "arn:aws:sns:us-east-1:123456789012:studio"
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:studio/webhook-AbCdEf"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/hyperframes:1"

EVERYTHING: dict[str, Any] = {
    "CoordinatorMemoryMb": 3008,
    "ReservedConcurrency": 50,
    "AllowedBuckets": "studio,archive",
    "KmsKeyArn": KEY,
    "VpcSubnetIds": "subnet-0123456789abcdef0,subnet-0123456789abcdef1",
    "VpcSecurityGroupIds": "sg-0123456789abcdef0",
    "AlarmTopicArn": "own",
    "NotificationTopicArn": "own",
    "WebhookUrl": "https://studio.example/hooks",
    "WebhookSecretArn": SECRET,
}

WEBHOOK = {name: EVERYTHING[name] for name in ("WebhookUrl", "WebhookSecretArn")}
NETWORK = {name: EVERYTHING[name] for name in ("VpcSubnetIds", "VpcSecurityGroupIds")}


@pytest.fixture
def stack(connect: Connect) -> Iterator[StackOutputs]:
    yield deploy_stack(connect, NAME).outputs
    delete_stack(connect, NAME)


def eventually(look: Callable[[], Any], seconds: float = 60.0) -> Any:
    """The first truthy answer of `look`; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (answer := look()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)
    return answer


def resources(connect: Connect) -> dict[str, str]:
    """Logical names and physical ids."""
    found = connect("cloudformation").describe_stack_resources(StackName=NAME)["StackResources"]
    return {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in found}


def configuration(connect: Connect, function: str) -> dict[str, Any]:
    answer: dict[str, Any] = connect("lambda").get_function_configuration(FunctionName=function)
    return answer


def test_all_options_come_and_go(connect: Connect, stack: StackOutputs) -> None:
    before = resources(connect)
    assert deploy_stack(connect, NAME, parameters=EVERYTHING).action == "updated"
    assert deploy_stack(connect, NAME, parameters=EVERYTHING).action == "unchanged"
    elsewhere = {**EVERYTHING, "NotificationTopicArn": TOPIC, "AlarmTopicArn": TOPIC, "DashboardEnabled": False}
    assert deploy_stack(connect, NAME, parameters=elsewhere).outputs.topic_arn == ""
    assert deploy_stack(connect, NAME).action == "updated"
    assert resources(connect) == before


def test_a_stack_with_everything_is_made_and_deleted_without_a_trace(connect: Connect) -> None:
    made = deploy_stack(connect, NAME, parameters=EVERYTHING)
    names = resources(connect)
    assert made.resources == len(names) == 33
    outputs = made.outputs
    assert outputs.coordinator_arn.endswith(f":{NAME}-coordinator")
    assert outputs.topic_arn == f"arn:aws:sns:us-east-1:123456789012:{NAME}-signals"
    assert (outputs.memory_mb, outputs.coordinator_memory_mb) == (10_240, 3008)

    assert delete_stack(connect, NAME).kept_bucket == outputs.bucket
    assert [name for name in (f["FunctionName"] for f in connect("lambda").list_functions()["Functions"]) if name.startswith(NAME)] == []
    assert connect("logs").describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{NAME}")["logGroups"] == []
    assert connect("events").list_rules(NamePrefix=NAME)["Rules"] == []
    assert [topic for topic in connect("sns").list_topics()["Topics"] if NAME in topic["TopicArn"]] == []
    assert connect("sqs").list_queues(QueueNamePrefix=NAME).get("QueueUrls", []) == []
    assert connect("cloudwatch").list_dashboards(DashboardNamePrefix=NAME)["DashboardEntries"] == []
    assert connect("cloudwatch").describe_alarms(AlarmNamePrefix=NAME)["MetricAlarms"] == []
    assert [role["RoleName"] for role in connect("iam").list_roles()["Roles"] if role["RoleName"].startswith(NAME)] == []


def test_the_coordinator_plans_and_the_render_function_keeps_to_its_renders(connect: Connect, stack: StackOutputs) -> None:
    assert stack.coordinator_arn == stack.function_arn
    together = configuration(connect, stack.function_arn)["Role"].rpartition("/")[2]
    assert set(connect("iam").list_role_policies(RoleName=together)["PolicyNames"]) == {"render", "coordinate"}

    apart = deploy_stack(connect, NAME, parameters={"CoordinatorMemoryMb": 2048, "AllowedBuckets": "studio"}).outputs
    machine = connect("stepfunctions").describe_state_machine(stateMachineArn=apart.state_machine_arn)
    assert json.loads(machine["definition"])["States"]["RenderChunks"]
    coordinator = configuration(connect, apart.coordinator_arn)
    assert (coordinator["MemorySize"], coordinator["Timeout"], coordinator["Handler"]) == (2048, 900, "handler.handler")
    variables = coordinator["Environment"]["Variables"]
    assert (variables["HYPERFRAMES_CHUNK_MEMORY_MB"], variables["HYPERFRAMES_CHUNK_TIMEOUT_SEC"]) == ("10240", "900")
    role = coordinator["Role"].rpartition("/")[2]
    assert set(connect("iam").list_role_policies(RoleName=role)["PolicyNames"]) == {"run", "coordinate", "allowed-buckets"}
    assert connect("iam").list_role_policies(RoleName=together)["PolicyNames"] == ["render"]
    document = connect("iam").get_role_policy(RoleName=together, PolicyName="render")["PolicyDocument"]
    objects = next(statement for statement in document["Statement"] if statement["Sid"] == "Renders")
    assert objects["Resource"] == f"arn:aws:s3:::{apart.bucket}/renders/*"


def test_the_key_encrypts_what_can_be_encrypted(connect: Connect, stack: StackOutputs) -> None:
    outputs = deploy_stack(connect, NAME, parameters={"KmsKeyArn": KEY, "NotificationTopicArn": "own"}).outputs
    (rule,) = connect("s3").get_bucket_encryption(Bucket=outputs.bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY}
    groups = connect("logs").describe_log_groups(logGroupNamePrefix="/aws/")["logGroups"]
    assert {group["kmsKeyId"] for group in groups if NAME in group["logGroupName"]} == {KEY}
    assert connect("sns").get_topic_attributes(TopicArn=outputs.topic_arn)["Attributes"]["KmsMasterKeyId"] == KEY
    policy = json.loads(connect("s3").get_bucket_policy(Bucket=outputs.bucket)["Policy"])
    assert {statement["Sid"] for statement in policy["Statement"]} == {"TlsOnly", "NoOutdatedTls", "NoOtherEncryption", "NoOtherKey"}

    deploy_stack(connect, NAME)
    groups = connect("logs").describe_log_groups(logGroupNamePrefix="/aws/")["logGroups"]
    assert [group for group in groups if NAME in group["logGroupName"] and "kmsKeyId" in group] == []


def test_chunks_can_run_in_a_network(connect: Connect, stack: StackOutputs) -> None:
    outputs = deploy_stack(connect, NAME, parameters={**NETWORK, "CoordinatorMemoryMb": 2048}).outputs
    network = configuration(connect, outputs.function_arn)["VpcConfig"]
    assert (network["SubnetIds"], network["SecurityGroupIds"]) == (
        ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
        ["sg-0123456789abcdef0"],
    )
    assert not configuration(connect, outputs.coordinator_arn).get("VpcConfig", {}).get("SubnetIds")
    deploy_stack(connect, NAME)
    assert not configuration(connect, outputs.function_arn).get("VpcConfig", {}).get("SubnetIds")


def test_an_image_takes_the_place_of_the_zip(connect: Connect) -> None:
    parameters = {"ImageUri": IMAGE, "CoordinatorMemoryMb": 2048, **WEBHOOK}
    with pytest.raises(InvalidRequest, match="ImageUri names the code already"):
        deploy_stack(connect, NAME, parameters=parameters, code="s3://builds/code.zip")
    made = deploy_stack(connect, NAME, parameters=parameters)
    assert str(made.code) == IMAGE
    for function in ("render", "coordinator", "webhook"):
        answer = connect("lambda").get_function(FunctionName=f"{NAME}-{function}")
        assert (answer["Configuration"]["PackageType"], answer["Code"]["ImageUri"]) == ("Image", IMAGE)
    with pytest.raises(ClientError, match="cannot run container images"):
        connect("lambda").invoke(FunctionName=made.outputs.function_arn, Payload=b"{}")
    # As on Lambda: a function of this name exists, and it is of the other kind.
    with pytest.raises(StackFailed, match="already exist"):
        deploy_stack(connect, NAME)
    delete_stack(connect, NAME)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"WebhookUrl": "https://studio.example"}, "WebhookUrl: requires WebhookSecretArn"),
        ({"WebhookUrl": "http://studio.example", "WebhookSecretArn": SECRET}, "accepted: an https URL"),
        ({"WebhookUrl": "https://user:word@studio.example", "WebhookSecretArn": SECRET}, "accepted: an https URL without user info"),
        ({"VpcSubnetIds": "subnet-01234567"}, "VpcSubnetIds: requires VpcSecurityGroupIds"),
        ({"CoordinatorMemoryMb": 1769}, "accepted: 0, or 2048 to 10240"),
        ({"CoordinatorMemoryMb": 10241}, "accepted: 0, or 2048 to 10240"),
        ({"KmsKeyArn": "alias/studio"}, "accepted: the ARN of a KMS key"),
        ({"ImageUri": "hyperframes:latest"}, "accepted: the URI of an image in ECR"),
    ],
)
def test_contradictions_are_refused_before_anything_is_created(connect: Connect, parameters: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidStackParameter) as caught:
        deploy_stack(connect, "hyperframes-refused", parameters=parameters)
    assert words in str(caught.value)


def test_the_template_s_own_rules_refuse_them_too(connect: Connect, stack: StackOutputs) -> None:
    """For whoever deploys with the AWS CLI, where no client checks."""
    template = connect("cloudformation").get_template(StackName=NAME)["TemplateBody"]
    for name, value, words in (
        ("WebhookUrl", "https://studio.example", "WebhookUrl and WebhookSecretArn belong together"),
        ("VpcSubnetIds", "subnet-01234567", "VpcSubnetIds and VpcSecurityGroupIds belong together"),
        ("ImageUri", IMAGE, "either CodeBucket and CodeKey or ImageUri"),
    ):
        with pytest.raises(ClientError, match=words):
            connect("cloudformation").create_change_set(
                StackName=NAME,
                ChangeSetName=f"refused-{name}",
                TemplateBody=template,
                Parameters=[{"ParameterKey": key, "ParameterValue": given} for key, given in {**stack.parameters, name: value}.items()],
                Capabilities=["CAPABILITY_IAM"],
            )
