"""The stack on the embedded endpoint: created, found unchanged, updated, failed, mended, deleted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from hyperframes_provider.client.aws.connect import Connect
from hyperframes_provider.client.stack.code_bucket import CodeBucket
from hyperframes_provider.client.stack.delete import StackFailed, delete_stack
from hyperframes_provider.client.stack.deploy import deploy_stack
from hyperframes_provider.client.stack.describe import StackNotFound, StackOutputs, describe_stack
from hyperframes_provider.client.stack.events import StackEvent
from hyperframes_provider.client.stack.slim_zip import build_slim_zip
from hyperframes_provider.client.stack.template import InvalidStackParameter, load_template
from hyperframes_provider.local.cloudformation.template import parse_template

NAME, ROLES = "hyperframes-cfn", "hyperframes-roles"


@pytest.fixture(scope="module")
def stack(connect: Connect) -> Iterator[StackOutputs]:
    """A stack with the defaults, which every test leaves as it was."""
    yield deploy_stack(connect, NAME).outputs
    delete_stack(connect, NAME)


def _configuration(connect: Connect, stack: StackOutputs) -> dict[str, Any]:
    configuration: dict[str, Any] = connect("lambda").get_function_configuration(FunctionName=stack.function_arn)
    return configuration


def test_a_life(connect: Connect, tmp_path: Path) -> None:
    events: list[StackEvent] = []
    created = deploy_stack(connect, NAME, tags={"team": "studio"}, on_event=events.append)
    assert created.action == "created"
    assert created.outputs.status == "CREATE_COMPLETE"
    assert created.resources == 18
    made = [event.resource for event in events if event.status == "CREATE_COMPLETE" and not event.is_stack]
    assert set(made) == set(_template_resources())
    assert made.index("RenderFunction") < made.index("RenderStateMachine")
    assert made.index("RenderFunctionLogGroup") < made.index("RenderFunction")

    again = deploy_stack(connect, NAME, tags={"team": "studio"})
    assert again.action == "unchanged"
    assert again.outputs == created.outputs

    updated = deploy_stack(connect, NAME, parameters={"LambdaMemoryMb": 4096, "LambdaTimeoutSec": 120})
    assert updated.action == "updated"
    assert (updated.outputs.memory_mb, updated.outputs.status) == (4096, "UPDATE_COMPLETE")
    configuration = _configuration(connect, updated.outputs)
    assert (configuration["MemorySize"], configuration["Timeout"]) == (4096, 120)
    assert updated.outputs.bucket == created.outputs.bucket

    code = tmp_path / "other.zip"
    build_slim_zip(code)
    assert deploy_stack(connect, NAME, parameters={"LambdaMemoryMb": 4096, "LambdaTimeoutSec": 120}, code=code).action == "unchanged"
    assert deploy_stack(connect, NAME).action == "updated"  # the defaults again

    connect("s3").put_object(Bucket=created.outputs.bucket, Key="outputs/kept.mp4", Body=b"video")
    deleted = delete_stack(connect, NAME)
    assert (deleted.action, deleted.kept_bucket) == ("deleted", created.outputs.bucket)
    assert connect("s3").get_object(Bucket=created.outputs.bucket, Key="outputs/kept.mp4")["Body"].read() == b"video"
    assert connect("s3").get_bucket_policy(Bucket=created.outputs.bucket)["Policy"]
    with pytest.raises(StackNotFound):
        describe_stack(connect, NAME)
    assert delete_stack(connect, NAME).action == "absent"


def _template_resources() -> list[str]:
    """Those that are always made, and the dashboard, which is by default."""
    resources = parse_template(load_template().body).resources
    return [name for name, resource in resources.items() if resource.condition in (None, "HasDashboard")]


def test_a_parameter_out_of_range_is_refused_before_anything_is_created(connect: Connect) -> None:
    buckets = connect("s3").list_buckets()["Buckets"]
    with pytest.raises(InvalidStackParameter, match="accepted: 60 to 900"):
        deploy_stack(connect, "hyperframes-refused", parameters={"LambdaTimeoutSec": 10})
    with pytest.raises(StackNotFound):
        describe_stack(connect, "hyperframes-refused")
    assert connect("s3").list_buckets()["Buckets"] == buckets


def test_the_function_gets_what_the_handler_reads(connect: Connect, stack: StackOutputs) -> None:
    configuration = _configuration(connect, stack)
    assert configuration["FunctionName"] == f"{NAME}-render"
    assert configuration["Environment"]["Variables"] == {
        "HYPERFRAMES_BUCKET": stack.bucket,
        "HYPERFRAMES_ALLOWED_BUCKETS": "",
        "HYPERFRAMES_CHROME_SOURCE": "sparticuz",
        "HYPERFRAMES_CHUNK_MEMORY_MB": "10240",
        "HYPERFRAMES_CHUNK_TIMEOUT_SEC": "900",
        "POWERTOOLS_SERVICE_NAME": NAME,
        "POWERTOOLS_METRICS_NAMESPACE": "HyperFrames",
        "LOG_LEVEL": "INFO",
    }


def test_the_state_machine_calls_the_function(connect: Connect, stack: StackOutputs) -> None:
    machine = connect("stepfunctions").describe_state_machine(stateMachineArn=stack.state_machine_arn)
    definition = json.loads(machine["definition"])
    assert definition["States"]["Plan"]["Parameters"]["FunctionName"] == stack.function_arn
    assert machine["name"] == f"{NAME}-render"


def test_the_role_names_each_allowed_bucket(connect: Connect) -> None:
    outputs = deploy_stack(connect, ROLES, parameters={"AllowedBuckets": "studio,archive"}).outputs
    role = _configuration(connect, outputs)["Role"].rpartition("/")[2]
    document = connect("iam").get_role_policy(RoleName=role, PolicyName="allowed-buckets")["PolicyDocument"]
    objects, listing = document["Statement"]
    assert objects["Resource"] == ["arn:aws:s3:::studio/*", "arn:aws:s3:::archive/*"]
    assert listing["Resource"] == ["arn:aws:s3:::studio", "arn:aws:s3:::archive"]
    deploy_stack(connect, ROLES)
    with pytest.raises(ClientError, match="NoSuchEntity"):
        connect("iam").get_role_policy(RoleName=role, PolicyName="allowed-buckets")
    delete_stack(connect, ROLES)


def test_the_bucket_is_as_the_template_says(connect: Connect, stack: StackOutputs) -> None:
    s3 = connect("s3")
    rules = s3.get_bucket_lifecycle_configuration(Bucket=stack.bucket)["Rules"]
    assert [(rule["Filter"]["Prefix"], rule["Expiration"]["Days"]) for rule in rules if "Expiration" in rule] == [("renders/", 7)]
    assert set(s3.get_public_access_block(Bucket=stack.bucket)["PublicAccessBlockConfiguration"].values()) == {True}
    policy = json.loads(s3.get_bucket_policy(Bucket=stack.bucket)["Policy"])
    assert policy["Statement"][0]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_a_failed_creation_gives_the_resource_s_reason_and_the_next_deploy_mends_it(connect: Connect) -> None:
    logs = connect("logs")
    logs.create_log_group(logGroupName="/aws/lambda/hyperframes-taken-render")
    with pytest.raises(StackFailed) as caught:
        deploy_stack(connect, "hyperframes-taken")
    assert [event.resource for event in caught.value.reasons] == ["RenderFunctionLogGroup"]
    assert "already exists" in str(caught.value)
    assert caught.value.status == "ROLLBACK_COMPLETE"
    logs.delete_log_group(logGroupName="/aws/lambda/hyperframes-taken-render")
    assert deploy_stack(connect, "hyperframes-taken").action == "created"
    delete_stack(connect, "hyperframes-taken")


def test_a_failed_update_leaves_the_stack_as_it_was(connect: Connect, stack: StackOutputs) -> None:
    connect("logs").create_log_group(logGroupName="/aws/lambda/taken-render")
    with pytest.raises(StackFailed, match="The stack is as it was before") as caught:
        deploy_stack(connect, NAME, parameters={"ProjectName": "taken"})
    assert caught.value.status == "UPDATE_ROLLBACK_COMPLETE"
    assert [event.resource for event in caught.value.reasons] == ["RenderFunctionLogGroup"]
    after = describe_stack(connect, NAME)
    assert (after.function_arn, after.state_machine_arn, after.bucket) == (stack.function_arn, stack.state_machine_arn, stack.bucket)
    assert deploy_stack(connect, NAME).action == "unchanged"


def test_code_is_uploaded_once_by_its_hash(connect: Connect, stack: StackOutputs, tmp_path: Path) -> None:
    digest = build_slim_zip(tmp_path / "slim.zip")
    assert (stack.parameters["CodeBucket"], stack.parameters["CodeKey"]) == (CodeBucket(connect).name, f"code/{digest}.zip")
    before = connect("s3").head_object(Bucket=stack.parameters["CodeBucket"], Key=stack.parameters["CodeKey"])["LastModified"]
    deploy_stack(connect, NAME)
    after = connect("s3").head_object(Bucket=stack.parameters["CodeBucket"], Key=stack.parameters["CodeKey"])["LastModified"]
    assert after == before


def test_two_stacks_live_side_by_side(connect: Connect, stack: StackOutputs) -> None:
    before = describe_stack(connect, NAME)
    other = deploy_stack(connect, "hyperframes-cfn-two").outputs
    assert other.function_arn != stack.function_arn
    assert other.bucket != stack.bucket
    delete_stack(connect, "hyperframes-cfn-two")
    assert describe_stack(connect, NAME) == before


def test_the_template_deploys_with_the_four_places_alone(connect: Connect, stack: StackOutputs) -> None:
    """Deploy as `aws cloudformation deploy` does: by a change set with the overrides, everything else by default."""
    cloudformation = connect("cloudformation")
    places = ("CodeBucket", "CodeKey", "DefinitionBucket", "DefinitionKey")
    overrides = {**{name: stack.parameters[name] for name in places}, "ProjectName": "by-hand"}
    made = cloudformation.create_change_set(
        StackName="by-hand",
        ChangeSetName="deploy",
        ChangeSetType="CREATE",
        TemplateBody=load_template().body,
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in overrides.items()],
        Capabilities=["CAPABILITY_IAM"],
    )
    cloudformation.execute_change_set(ChangeSetName=made["Id"])
    cloudformation.get_waiter("stack_create_complete").wait(StackName="by-hand", WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    by_hand = describe_stack(connect, "by-hand")
    assert by_hand.function_arn.endswith(":by-hand-render")
    assert by_hand.memory_mb == 10240
    outputs = cloudformation.describe_stacks(StackName="by-hand")["Stacks"][0]["Outputs"]
    assert {output["ExportName"] for output in outputs} == {f"by-hand-{output['OutputKey']}" for output in outputs}
    # The operator takes over what the CLI made, under its name.
    assert deploy_stack(connect, "by-hand").action == "unchanged"
    delete_stack(connect, "by-hand")
