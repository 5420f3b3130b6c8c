"""Deploy and delete against scripted answers of CloudFormation: the flows that a working endpoint never shows."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from hyperframes_provider.client.aws.connect import Connect
from hyperframes_provider.client.aws.errors import AccessDenied, InvalidRequest, Throttled
from hyperframes_provider.client.stack import events as stack_events
from hyperframes_provider.client.stack.code_bucket import CodeLocation, parse_code
from hyperframes_provider.client.stack.delete import StackFailed, delete_stack
from hyperframes_provider.client.stack.deploy import deploy_stack
from hyperframes_provider.client.stack.describe import StackNotFound, StackNotReady, describe_stack
from hyperframes_provider.client.stack.events import StackEvent, StackTimeout
from hyperframes_provider.client.stack.template import InvalidStackParameter, load_template

NAME = "studio"
ARN = f"arn:aws:cloudformation:eu-west-1:123456789012:stack/{NAME}/1"
CHANGE_SET = "arn:aws:cloudformation:eu-west-1:123456789012:changeSet/deploy-1/1"
CODE = CodeLocation("builds", "hyperframes-1.zip")
WHEN = datetime(2026, 1, 1, tzinfo=UTC)
OUTPUTS = {"RenderBucketName": "studio-bucket", "RenderStateMachineArn": "arn:machine", "RenderFunctionArn": "arn:function"}


class Account:
    """Stubbed clients of one account; every expected call must be made, in its order for each service."""

    def __init__(self) -> None:
        self._clients: dict[str, Any] = {}
        self._stubs: dict[str, Stubber] = {}
        for service in ("cloudformation", "s3", "sts"):
            client = boto3.client(service, region_name="eu-west-1", aws_access_key_id="test", aws_secret_access_key="test")
            self._clients[service] = client
            self._stubs[service] = Stubber(client)
            self._stubs[service].activate()

    @property
    def connect(self) -> Connect:
        return self._clients.__getitem__

    def answers(self, service: str, operation: str, response: dict[str, Any] | None = None, **expected: Any) -> None:
        self._stubs[service].add_response(operation, response or {}, expected or None)

    def refuses(self, service: str, operation: str, code: str, message: str = "", status: int = 400) -> None:
        self._stubs[service].add_client_error(operation, code, message, http_status_code=status)

    def code_is_there(self) -> None:
        self.answers("s3", "head_object", Bucket=CODE.bucket, Key=CODE.key)
        self.answers("sts", "get_caller_identity", {"Account": "123456789012"})
        self.answers("s3", "head_bucket", Bucket="hyperframes-code-123456789012-eu-west-1", ExpectedBucketOwner="123456789012")
        self.answers("s3", "head_object")

    def has_no_stack(self) -> None:
        self.refuses("cloudformation", "describe_stacks", "ValidationError", f"Stack with id {NAME} does not exist")

    def has_stack(self, status: str, *, parameters: dict[str, str] | None = None, outputs: dict[str, str] | None = None) -> None:
        stack = {
            "StackName": NAME,
            "StackId": ARN,
            "StackStatus": status,
            "CreationTime": WHEN,
            "Parameters": [
                {"ParameterKey": key, "ParameterValue": value}
                for key, value in {"DefinitionKey": "d", "LambdaMemoryMb": "4096", "ProjectName": "old-name", **(parameters or {})}.items()
            ],
            "Outputs": [{"OutputKey": key, "OutputValue": value} for key, value in (OUTPUTS if outputs is None else outputs).items()],
        }
        self.answers("cloudformation", "describe_stacks", {"Stacks": [stack]})

    def events(self, *events: tuple[str, str, str, str, str]) -> None:
        """Newest first, as (id, resource, type, status, reason)."""
        page = [
            {
                "StackId": ARN,
                "StackName": NAME,
                "EventId": event_id,
                "Timestamp": WHEN,
                "LogicalResourceId": resource,
                "ResourceType": kind,
                "ResourceStatus": status,
                **({"ResourceStatusReason": reason} if reason else {}),
            }
            for event_id, resource, kind, status, reason in events
        ]
        self.answers("cloudformation", "describe_stack_events", {"StackEvents": page})

    def makes_change_set(self, kind: str, status: str = "CREATE_COMPLETE", reason: str = "", **more: Any) -> None:
        self.answers(
            "cloudformation",
            "create_change_set",
            {"Id": CHANGE_SET, "StackId": ARN},
            StackName=NAME,
            ChangeSetName=ANY,
            ChangeSetType=kind,
            TemplateBody=ANY,
            Parameters=ANY,
            Capabilities=["CAPABILITY_IAM"],
            **more,
        )
        answer = {"Status": status, "ChangeSetId": CHANGE_SET, **({"StatusReason": reason} if reason else {})}
        self.answers("cloudformation", "describe_change_set", answer)

    def executes(self) -> None:
        self.answers("cloudformation", "execute_change_set", ChangeSetName=CHANGE_SET, StackName=ARN)

    def lists_resources(self, count: int) -> None:
        summary = {"LogicalResourceId": "R", "ResourceType": "T", "LastUpdatedTimestamp": WHEN, "ResourceStatus": "CREATE_COMPLETE"}
        self.answers("cloudformation", "list_stack_resources", {"StackResourceSummaries": [summary] * count})

    def check(self) -> None:
        for stub in self._stubs.values():
            stub.assert_no_pending_responses()


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    monkeypatch.setattr(stack_events, "FIRST_POLL", 0.0)
    account = Account()
    yield account
    account.check()


STACK = "AWS::CloudFormation::Stack"
FUNCTION = "AWS::Lambda::Function"


def test_a_new_stack_is_created_and_its_events_are_told_in_order(account: Account) -> None:
    account.has_no_stack()
    account.code_is_there()
    account.makes_change_set("CREATE")
    account.events(("1", NAME, STACK, "REVIEW_IN_PROGRESS", ""))
    account.executes()
    account.has_stack("CREATE_IN_PROGRESS")
    account.events(("2", NAME, STACK, "CREATE_IN_PROGRESS", ""), ("1", NAME, STACK, "REVIEW_IN_PROGRESS", ""))
    account.has_stack("CREATE_COMPLETE")
    account.events(
        ("4", NAME, STACK, "CREATE_COMPLETE", ""),
        ("3", "RenderFunction", FUNCTION, "CREATE_COMPLETE", ""),
        ("2", NAME, STACK, "CREATE_IN_PROGRESS", ""),
        ("1", NAME, STACK, "REVIEW_IN_PROGRESS", ""),
    )
    account.has_stack("CREATE_COMPLETE")
    account.lists_resources(11)
    seen: list[StackEvent] = []
    result = deploy_stack(account.connect, NAME, code=CODE, on_event=seen.append)
    assert [(event.resource, event.status) for event in seen] == [
        (NAME, "CREATE_IN_PROGRESS"),
        ("RenderFunction", "CREATE_COMPLETE"),
        (NAME, "CREATE_COMPLETE"),
    ]
    assert (result.action, result.resources, result.code) == ("created", 11, CODE)
    assert (result.outputs.bucket, result.outputs.memory_mb) == ("studio-bucket", 4096)


def test_cloudformation_gets_the_service_role(account: Account) -> None:
    role = "arn:aws:iam::123456789012:role/deploy"
    account.has_stack("UPDATE_COMPLETE")
    account.code_is_there()
    account.makes_change_set("UPDATE", "FAILED", "No updates are to be performed.", RoleARN=role)
    account.answers("cloudformation", "delete_change_set")
    account.has_stack("UPDATE_COMPLETE")
    account.lists_resources(18)
    assert deploy_stack(account.connect, NAME, code=CODE, role_arn=role).action == "unchanged"


@pytest.mark.parametrize(
    "reason",
    [
        "The submitted information didn't contain changes. Submit different information to create a change set.",
        "No updates are to be performed.",
    ],
)
def test_no_changes_is_success(account: Account, reason: str) -> None:
    account.has_stack("UPDATE_COMPLETE")
    account.code_is_there()
    account.makes_change_set("UPDATE", "FAILED", reason)
    account.answers("cloudformation", "delete_change_set", ChangeSetName=CHANGE_SET, StackName=ARN)
    account.has_stack("UPDATE_COMPLETE")
    account.lists_resources(11)
    assert deploy_stack(account.connect, NAME, code=CODE).action == "unchanged"


def test_a_refused_change_set_gives_its_reason_and_leaves_no_empty_stack(account: Account) -> None:
    account.has_no_stack()
    account.code_is_there()
    account.makes_change_set("CREATE", "FAILED", "Template error: no such attribute")
    account.answers("cloudformation", "delete_change_set", ChangeSetName=CHANGE_SET, StackName=ARN)
    account.answers("cloudformation", "delete_stack", StackName=ARN)
    with pytest.raises(StackFailed, match="Template error: no such attribute"):
        deploy_stack(account.connect, NAME, code=CODE)


def test_a_failed_creation_names_the_resource_that_failed_first(account: Account) -> None:
    account.has_no_stack()
    account.code_is_there()
    account.makes_change_set("CREATE")
    account.events()
    account.executes()
    account.has_stack("ROLLBACK_COMPLETE")
    account.events(
        ("5", NAME, STACK, "ROLLBACK_IN_PROGRESS", "The following resource(s) failed to create: [RenderFunction]."),
        ("4", "RenderStateMachineLogGroup", "AWS::Logs::LogGroup", "CREATE_FAILED", "Resource creation cancelled"),
        ("3", "RenderFunction", FUNCTION, "CREATE_FAILED", "hyperframes-render already exists"),
    )
    with pytest.raises(StackFailed) as caught:
        deploy_stack(account.connect, NAME, code=CODE)
    assert str(caught.value) == (
        "stack 'studio' ended in ROLLBACK_COMPLETE\n"
        "  RenderFunction (AWS::Lambda::Function) CREATE_FAILED: hyperframes-render already exists\n"
        "The next deploy deletes the remains and creates the stack anew; the render bucket is kept."
    )
    assert [event.resource for event in caught.value.reasons] == ["RenderFunction"]
    assert not caught.value.retryable


def test_a_failed_update_says_that_the_stack_is_as_before(account: Account) -> None:
    account.has_stack("CREATE_COMPLETE")
    account.code_is_there()
    account.makes_change_set("UPDATE")
    account.events(("1", NAME, STACK, "CREATE_COMPLETE", ""))
    account.executes()
    account.has_stack("UPDATE_ROLLBACK_COMPLETE")
    account.events(("2", "RenderFunction", FUNCTION, "UPDATE_FAILED", "out of storage"), ("1", NAME, STACK, "CREATE_COMPLETE", ""))
    with pytest.raises(StackFailed, match="UPDATE_FAILED: out of storage\nThe stack is as it was before"):
        deploy_stack(account.connect, NAME, code=CODE)


@pytest.mark.parametrize("status", ["ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"])
def test_a_dead_stack_is_deleted_and_created_anew(account: Account, status: str) -> None:
    account.has_stack(status, outputs={})
    account.events(("1", NAME, STACK, status, ""))
    account.answers("cloudformation", "delete_stack", StackName=ARN)
    account.has_stack("DELETE_IN_PROGRESS")
    account.events(("1", NAME, STACK, status, ""))
    account.has_stack("DELETE_COMPLETE")
    account.events(("2", NAME, STACK, "DELETE_COMPLETE", ""), ("1", NAME, STACK, status, ""))
    account.code_is_there()
    account.makes_change_set("CREATE")
    account.events()
    account.executes()
    account.has_stack("CREATE_COMPLETE")
    account.events()
    account.has_stack("CREATE_COMPLETE")
    account.lists_resources(1)
    assert deploy_stack(account.connect, NAME, code=CODE).action == "created"


def test_a_stack_in_review_is_continued(account: Account) -> None:
    account.has_stack("REVIEW_IN_PROGRESS", outputs={})
    account.code_is_there()
    account.makes_change_set("CREATE")
    account.events(("1", NAME, STACK, "REVIEW_IN_PROGRESS", ""))
    account.executes()
    account.has_stack("CREATE_COMPLETE")
    account.events()
    account.has_stack("CREATE_COMPLETE")
    account.lists_resources(1)
    assert deploy_stack(account.connect, NAME, code=CODE).action == "created"


def test_a_running_operation_is_waited_for_and_then_nothing_is_left_to_do(account: Account) -> None:
    account.has_stack("CREATE_IN_PROGRESS")
    account.events(("1", NAME, STACK, "CREATE_IN_PROGRESS", ""))
    account.has_stack("CREATE_IN_PROGRESS")
    account.events(("1", NAME, STACK, "CREATE_IN_PROGRESS", ""))
    account.has_stack("CREATE_COMPLETE")
    account.events(("2", NAME, STACK, "CREATE_COMPLETE", ""), ("1", NAME, STACK, "CREATE_IN_PROGRESS", ""))
    account.has_stack("CREATE_COMPLETE")
    account.code_is_there()
    account.makes_change_set("UPDATE", "FAILED", "No updates are to be performed.")
    account.answers("cloudformation", "delete_change_set")
    account.has_stack("CREATE_COMPLETE")
    account.lists_resources(1)
    seen: list[StackEvent] = []
    assert deploy_stack(account.connect, NAME, code=CODE, on_event=seen.append).action == "unchanged"
    assert [event.status for event in seen] == ["CREATE_COMPLETE"]


def test_the_deadline_is_kept_and_the_operation_goes_on(account: Account) -> None:
    account.answers("s3", "head_object", Bucket=CODE.bucket, Key=CODE.key)
    account.has_stack("UPDATE_IN_PROGRESS")
    account.events()
    account.has_stack("UPDATE_IN_PROGRESS")
    account.events()
    with pytest.raises(StackTimeout, match=r"still UPDATE_IN_PROGRESS at the deadline\nThe operation goes on") as caught:
        deploy_stack(account.connect, NAME, code=CODE, timeout=0)
    assert caught.value.retryable


def test_an_update_keeps_the_project_s_name_and_resets_the_rest(account: Account) -> None:
    account.has_stack("CREATE_COMPLETE", parameters={"LambdaTimeoutSec": "60"})
    account.code_is_there()
    sent: dict[str, str] = {}

    def remember(params: dict[str, Any], **_: Any) -> None:
        sent.update({entry["ParameterKey"]: entry["ParameterValue"] for entry in params.get("Parameters", [])})

    account.connect("cloudformation").meta.events.register("provide-client-params.cloudformation.CreateChangeSet", remember)
    account.makes_change_set("UPDATE", "FAILED", "No updates are to be performed.")
    account.answers("cloudformation", "delete_change_set")
    account.has_stack("CREATE_COMPLETE")
    account.lists_resources(1)
    deploy_stack(account.connect, NAME, parameters={"LambdaMemoryMb": 8192}, code=CODE)
    assert sent["ProjectName"] == "old-name"
    assert (sent["LambdaMemoryMb"], sent["LambdaTimeoutSec"]) == ("8192", "900")
    assert (sent["CodeBucket"], sent["CodeKey"]) == (CODE.bucket, CODE.key)
    assert sent["DefinitionBucket"] == "hyperframes-code-123456789012-eu-west-1"
    assert set(sent) == set(load_template().parameters)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"parameters": {"LambdaTimeoutSec": 30}}, InvalidStackParameter, "accepted: 60 to 900"),
        ({"parameters": {"CodeKey": "x"}}, InvalidRequest, "CodeKey: the deploy sets these itself"),
        ({"code": "s3://bucket"}, InvalidRequest, "names no object"),
        ({"code": "/nowhere/code.zip"}, InvalidRequest, "there is no file '/nowhere/code.zip'"),
        ({"code": None}, InvalidRequest, "needs the function's code\nPass code='s3://"),
        ({"name": "9 lives"}, InvalidRequest, "stack name '9 lives' is not accepted"),
        ({"name": ""}, InvalidRequest, "stack name '' is not accepted"),
    ],
)
def test_a_wrong_request_is_refused_before_anything_is_asked_of_aws(
    account: Account, arguments: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error) as caught:
        deploy_stack(account.connect, **{"name": NAME, "code": CODE, **arguments})
    assert words in str(caught.value)


def test_code_that_is_not_in_s3_is_named_before_anything_is_created(account: Account) -> None:
    account.refuses("s3", "head_object", "404", status=404)
    with pytest.raises(InvalidRequest, match=r"there is no object s3://builds/hyperframes-1\.zip"):
        deploy_stack(account.connect, NAME, code=CODE)


@pytest.mark.parametrize(("content", "words"), [(None, "is not a ZIP"), ("other.py", "has no handler.py at its top")])
def test_a_file_that_is_no_code_zip_is_refused(account: Account, tmp_path: Path, content: str | None, words: str) -> None:
    path = tmp_path / "code.zip"
    if content is None:
        path.write_text("text")
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(content, "")
    with pytest.raises(InvalidRequest, match=words):
        deploy_stack(account.connect, NAME, code=path)


@pytest.mark.parametrize("operation", ["deploy", "delete"])
def test_a_stack_of_somebody_else_s_is_left_alone(account: Account, operation: str) -> None:
    foreign = {"StackName": NAME, "StackId": ARN, "StackStatus": "ROLLBACK_COMPLETE", "CreationTime": WHEN}
    account.answers("cloudformation", "describe_stacks", {"Stacks": [foreign]})
    with pytest.raises(InvalidRequest, match="was not made from this template"):
        if operation == "delete":
            delete_stack(account.connect, NAME)
        else:
            account.answers("s3", "head_object", Bucket=CODE.bucket, Key=CODE.key)
            deploy_stack(account.connect, NAME, code=CODE)


def test_a_stack_whose_rollback_failed_is_not_touched(account: Account) -> None:
    account.answers("s3", "head_object", Bucket=CODE.bucket, Key=CODE.key)
    account.has_stack("UPDATE_ROLLBACK_FAILED")
    with pytest.raises(StackNotReady, match="UPDATE_ROLLBACK_FAILED and cannot be updated") as caught:
        deploy_stack(account.connect, NAME, code=CODE)
    assert not caught.value.retryable


@pytest.mark.parametrize(("code", "error"), [("AccessDenied", AccessDenied), ("Throttling", Throttled)])
def test_what_aws_refuses_comes_out_typed(account: Account, code: str, error: type[Exception]) -> None:
    account.refuses("cloudformation", "describe_stacks", code, "no")
    with pytest.raises(error):
        describe_stack(account.connect, NAME)


def test_describe_says_what_to_type_when_there_is_no_stack(account: Account) -> None:
    account.has_no_stack()
    with pytest.raises(StackNotFound, match=r"'studio' does not exist in eu-west-1\n.*hyperframes-airflow deploy"):
        describe_stack(account.connect, NAME)


@pytest.mark.parametrize(
    ("status", "retryable"),
    [("CREATE_IN_PROGRESS", True), ("UPDATE_IN_PROGRESS", True), ("ROLLBACK_COMPLETE", False), ("DELETE_FAILED", False)],
)
def test_describe_tells_a_stack_that_cannot_be_used(account: Account, status: str, retryable: bool) -> None:
    account.has_stack(status)
    with pytest.raises(StackNotReady, match=f"stack 'studio' is {status}") as caught:
        describe_stack(account.connect, NAME)
    assert caught.value.retryable is retryable


def test_describe_tells_a_stack_that_is_none_of_ours(account: Account) -> None:
    account.has_stack("CREATE_COMPLETE", outputs={"RenderBucketName": "b"})
    with pytest.raises(StackNotReady, match="no output RenderStateMachineArn, RenderFunctionArn"):
        describe_stack(account.connect, NAME)


def _resources(bucket: str) -> dict[str, Any]:
    entry = {"LogicalResourceId": "RenderBucket", "ResourceType": "AWS::S3::Bucket", "Timestamp": WHEN, "ResourceStatus": "CREATE_COMPLETE"}
    return {"StackResources": [{**entry, "PhysicalResourceId": bucket}]}


def test_delete_waits_and_says_which_bucket_stays(account: Account) -> None:
    account.has_stack("CREATE_COMPLETE")
    account.answers("cloudformation", "describe_stack_resources", _resources("studio-bucket"), StackName=ARN)
    account.events(("1", NAME, STACK, "CREATE_COMPLETE", ""))
    account.answers("cloudformation", "delete_stack", StackName=ARN)
    account.has_stack("DELETE_COMPLETE")
    account.events(("2", "RenderBucket", "AWS::S3::Bucket", "DELETE_SKIPPED", ""), ("1", NAME, STACK, "CREATE_COMPLETE", ""))
    account.answers("s3", "head_bucket", Bucket="studio-bucket")
    result = delete_stack(account.connect, NAME)
    assert (result.action, result.kept_bucket) == ("deleted", "studio-bucket")


def test_deleting_nothing_is_no_error(account: Account) -> None:
    account.has_no_stack()
    assert delete_stack(account.connect, NAME).action == "absent"


def test_a_failed_deletion_gives_the_reason(account: Account) -> None:
    account.has_stack("CREATE_COMPLETE")
    account.answers("cloudformation", "describe_stack_resources", {"StackResources": []})
    account.events()
    account.answers("cloudformation", "delete_stack")
    account.has_stack("DELETE_FAILED")
    account.events(("2", "RenderFunction", FUNCTION, "DELETE_FAILED", "in use"))
    with pytest.raises(StackFailed, match=r"DELETE_FAILED\n  RenderFunction .*: in use"):
        delete_stack(account.connect, NAME)


def test_a_missing_code_bucket_is_made_private_and_encrypted(account: Account) -> None:
    """The upload itself is shown against the embedded endpoint."""
    bucket = "hyperframes-code-123456789012-eu-west-1"
    account.has_stack("CREATE_COMPLETE")
    account.answers("s3", "head_object", Bucket=CODE.bucket, Key=CODE.key)
    account.answers("sts", "get_caller_identity", {"Account": "123456789012"})
    account.refuses("s3", "head_bucket", "404", status=404)
    account.answers("s3", "create_bucket", Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    blocked = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
    account.answers(
        "s3", "put_public_access_block", Bucket=bucket, PublicAccessBlockConfiguration=blocked, ExpectedBucketOwner="123456789012"
    )
    account.answers("s3", "put_bucket_encryption", Bucket=bucket, ServerSideEncryptionConfiguration=ANY, ExpectedBucketOwner="123456789012")
    account.refuses("s3", "head_object", "404", status=404)
    account.answers(
        "s3",
        "put_object",
        Bucket=bucket,
        Key=ANY,
        Body=load_template().definition,
        ContentType="application/json",
        ExpectedBucketOwner="123456789012",
    )
    account.makes_change_set("UPDATE", "FAILED", "No updates are to be performed.")
    account.answers("cloudformation", "delete_change_set")
    account.has_stack("CREATE_COMPLETE")
    account.lists_resources(1)
    assert deploy_stack(account.connect, NAME, code=CODE).action == "unchanged"


def test_somebody_else_s_code_bucket_is_never_written_to(account: Account) -> None:
    account.has_stack("CREATE_COMPLETE")
    account.answers("s3", "head_object", Bucket=CODE.bucket, Key=CODE.key)
    account.answers("sts", "get_caller_identity", {"Account": "123456789012"})
    account.refuses("s3", "head_bucket", "403", "Forbidden", status=403)
    with pytest.raises(Exception, match="403"):
        deploy_stack(account.connect, NAME, code=CODE)


@pytest.mark.parametrize(("text", "meant"), [("s3://b/k/x.zip", CodeLocation("b", "k/x.zip")), ("dist/code.zip", Path("dist/code.zip"))])
def test_code_is_an_s3_object_or_a_path(text: str, meant: object) -> None:
    assert parse_code(text) == meant
