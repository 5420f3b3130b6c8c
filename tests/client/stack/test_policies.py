"""The printed policies: enough for every call that is made, no more than ARNs, and what is missing is found."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import boto3
import parliament
import pytest
from botocore.stub import Stubber
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

from hyperframes_provider.client.aws.connect import Connect
from hyperframes_provider.client.stack.needs import Need, Scope
from hyperframes_provider.client.stack.policies import Part, policy_of, service_needs, service_role_trust, user_needs
from hyperframes_provider.client.stack.policy_check import Missing, missing_for_caller, missing_in_policy, parse_policy
from hyperframes_provider.client.stack.template import load_template
from hyperframes_provider.local.cloudformation.template import parse_template

KEY = "arn:aws:kms:eu-west-1:123456789012:key/0b1c2d3e-1111-2222-3333-444455556666"
IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/studio/hyperframes:1"
SCOPE = Scope("studio", "123456789012", "eu-west-1")
EVERYTHING = Scope(
    "studio",
    "123456789012",
    "eu-west-1",
    code_bucket="builds",
    allowed_buckets=("archive",),
    kms_key_arn=KEY,
    image_uri=IMAGE,
    network=True,
)
ROLE = "arn:aws:iam::123456789012:role/deploy"

PRINTED = {
    "user": policy_of(user_needs(EVERYTHING)),
    "deploy": policy_of(user_needs(SCOPE, "deploy")),
    "render": policy_of(user_needs(SCOPE, "render")),
    "user with a service role": policy_of(user_needs(SCOPE, service_role_arn=ROLE)),
    "service role": policy_of(service_needs(EVERYTHING)),
}


@pytest.mark.parametrize("policy", PRINTED.values(), ids=PRINTED)
def test_a_policy_linter_is_content(policy: dict[str, Any]) -> None:
    findings = parliament.analyze_policy_string(json.dumps(policy)).findings
    assert [(finding.issue, finding.detail) for finding in findings if not _known(finding)] == []


def _known(finding: Any) -> bool:
    """Who may deploy a bucket's policy could open the bucket: that is what deploying takes. The state machine is no express one."""
    if finding.issue == "RESOURCE_POLICY_PRIVILEGE_ESCALATION":
        return "arn:aws:s3:::studio-renderbucket-*" in finding.detail
    express = {"action": "states:DescribeExecution", "required_format": "arn:*:states:*:*:express:*:*:*"}
    return bool(finding.issue == "RESOURCE_MISMATCH" and finding.detail == [express])


@pytest.mark.parametrize("policy", PRINTED.values(), ids=PRINTED)
def test_no_resource_is_a_star_where_the_service_knows_one(policy: dict[str, Any]) -> None:
    """By the linter's own table of what each action can be narrowed to."""
    for statement in policy["Statement"]:
        if "*" in statement["Resource"]:
            for action in statement["Action"]:
                prefix, _, name = action.partition(":")
                (entry,) = [
                    p for s in parliament.iam_definition if s["prefix"] == prefix for p in s["privileges"] if p["privilege"] == name
                ]
                assert [kind["resource_type"] for kind in entry["resource_types"] if kind["resource_type"].endswith("*")] == [], action


def test_each_part_fits_into_a_managed_policy() -> None:
    parts: tuple[Part, ...] = ("deploy", "render")
    assert all(len(json.dumps(policy_of(user_needs(SCOPE, part)), separators=(",", ":"))) <= 6144 for part in parts)
    assert len(json.dumps(policy_of(user_needs(EVERYTHING)), separators=(",", ":"))) <= 10_240


NOT_USED = {
    "AWS::S3::Bucket": (
        "s3tables:",
        "s3:DeleteBucket",  # retained
        "s3:PutBucketAbac",
        "s3:GetBucketAbac",
        "s3:PutAnalyticsConfiguration",
        "s3:PutBucketCORS",
        "s3:PutInventoryConfiguration",
        "s3:PutMetricsConfiguration",
        "s3:PutBucketNotification",
        "s3:PutBucketReplication",
        "s3:PutReplicationConfiguration",
        "s3:PutBucketWebsite",
        "s3:PutAccelerateConfiguration",
        "s3:PutObjectAcl",
        "s3:PutBucketAcl",
        "s3:PutBucketObjectLockConfiguration",
        "s3:PutObjectLockConfiguration",
        "s3:DeleteObject",
        "s3:PutBucketLogging",
        "s3:PutBucketVersioning",
        "s3:PutIntelligentTieringConfiguration",
        "s3:CreateBucketMetadata",
        "s3:UpdateBucketMetadata",
        "s3:GetTableMetadata",
        "iam:PassRole",
    ),
    "AWS::S3::BucketPolicy": ("s3:DeleteBucketPolicy",),  # retained
    "AWS::Lambda::Function": (
        "elasticfilesystem:",
        "s3files:",
        "kms:",  # the environment is encrypted with Lambda's own key
        "lambda:GetCodeSigningConfig",
        "lambda:PutFunctionCodeSigningConfig",
        "lambda:DeleteFunctionCodeSigningConfig",
        "lambda:GetLayerVersion",
        "lambda:PutRuntimeManagementConfig",
        "lambda:PutFunctionRecursionConfig",
        "lambda:PutFunctionScalingConfig",
        "lambda:GetFunctionScalingConfig",
        "lambda:PassCapacityProvider",
        "lambda:AssociateRuntimeAlias",
        "lambda:PublishVersion",
    ),
    "AWS::StepFunctions::StateMachine": ("kms:GenerateDataKey", "kms:Decrypt"),  # not encrypted with a key of the customer's
    "AWS::IAM::Role": (
        "iam:AttachRolePolicy",
        "iam:DetachRolePolicy",
        "iam:DeleteRolePermissionsBoundary",
        "iam:PutRolePermissionsBoundary",
    ),
    "AWS::Logs::LogGroup": (
        "s3:REST.PUT.OBJECT",
        "firehose:",
        "logs:PutDataProtectionPolicy",
        "logs:DeleteDataProtectionPolicy",
        "logs:CreateLogDelivery",
        "logs:PutResourcePolicy",
        "logs:DeleteResourcePolicy",
        "logs:DescribeResourcePolicies",
        "logs:PutIndexPolicy",
        "logs:DeleteIndexPolicy",
        "logs:PutBearerTokenAuthentication",
        "logs:PutLogGroupDeletionProtection",
    ),
    "AWS::CloudWatch::Dashboard": ("cloudwatch:",),  # tags: a dashboard of the template has none
    "AWS::SNS::Topic": ("sns:Subscribe", "sns:Unsubscribe", "sns:PutDataProtectionPolicy", "iam:"),
    "AWS::Events::Rule": ("iam:PassRole",),
}
"""Permissions that CloudFormation's own account of a resource type lists for properties that the template does not use."""


def _resource_types() -> list[str]:
    return sorted({resource.type for resource in parse_template(load_template().body).resources.values()})


@pytest.mark.parametrize("kind", _resource_types())
def test_what_cloudformation_says_it_needs_is_there(kind: str) -> None:
    """By the handlers' permissions in CloudFormation's registry, which come with its linter."""
    allowed = [action for need in service_needs(EVERYTHING) for action in need.actions]
    handlers = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema["handlers"]
    needed = {action for name, handler in handlers.items() if name != "list" for action in handler.get("permissions", ())}
    exact = {action for action in needed if not action.startswith(NOT_USED.get(kind, ()))}
    assert (
        missing_in_policy(
            {"Statement": [{"Effect": "Allow", "Action": allowed, "Resource": "*"}]}, [Need("Handlers", tuple(sorted(exact)), ("*",))]
        )
        == []
    )


def test_the_trust_names_the_account() -> None:
    (statement,) = service_role_trust(SCOPE)["Statement"]
    assert statement["Principal"] == {"Service": "cloudformation.amazonaws.com"}
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}


def test_a_long_stack_name_is_met_as_cloudformation_shortens_it() -> None:
    scope = Scope("the-studio-of-the-weekly-recap", "123456789012", "eu-west-1")
    assert scope.made == "the-studio-of-the-weekly"
    assert scope.render_bucket == "the-studio-of-the-weekly*-*"


def lacking(policy: dict[str, Any], needs: Sequence[Need]) -> set[str]:
    return {str(one) for one in missing_in_policy(policy, needs)}


def test_every_printed_policy_is_enough_for_itself() -> None:
    for part in ("all", "deploy", "render"):
        needs = user_needs(EVERYTHING, part)  # type: ignore[arg-type]  # each is a Part
        assert missing_in_policy(policy_of(needs), needs) == []
    assert lacking(policy_of(user_needs(SCOPE, "render")), user_needs(SCOPE, "render")) == set()
    assert lacking(policy_of(user_needs(SCOPE, "render")), user_needs(SCOPE, "deploy")) != set()


NEED = Need("Stop", ("states:StopExecution",), ("arn:aws:states:eu-west-1:1:execution:studio-render:*",))


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ({"Effect": "Allow", "Action": "*", "Resource": "*"}, None),
        ({"Effect": "Allow", "Action": "states:Stop*", "Resource": ["arn:aws:states:*:*:execution:*"]}, None),
        ({"Effect": "Allow", "Action": "STATES:stopexecution", "Resource": "*"}, None),
        ({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}, None),
        ({"Effect": "Allow", "NotAction": "states:*", "Resource": "*"}, "not allowed"),
        (
            {"Effect": "Allow", "Action": "states:StopExecution", "Resource": "arn:aws:states:eu-west-1:1:execution:studio-render:one"},
            "not allowed",
        ),
        (
            {"Effect": "Allow", "Action": "states:StopExecution", "Resource": "arn:aws:states:eu-west-1:1:execution:studio-render:?"},
            "not allowed",
        ),
        ({"Effect": "Allow", "Action": "states:StartExecution", "Resource": "*"}, "not allowed"),
        (
            {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}}},
            "allowed only under a condition",
        ),
    ],
)
def test_one_statement(statement: dict[str, Any], reason: str | None) -> None:
    found = missing_in_policy({"Version": "2012-10-17", "Statement": statement}, [NEED])
    assert found == ([] if reason is None else [Missing(NEED.actions[0], NEED.resources[0], reason)])


def test_what_denies_wins() -> None:
    statements = [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": "states:*", "Resource": "arn:aws:states:eu-west-1:1:execution:studio-render:one"},
    ]
    assert [one.reason for one in missing_in_policy({"Statement": statements}, [NEED])] == ["denied"]


def test_what_is_no_policy() -> None:
    for text, words in (
        ("{", "not JSON"),
        ("[]", "not a policy document"),
        ('{"Statement": [{"Effect": "Maybe"}]}', "not a policy document"),
    ):
        with pytest.raises(Exception, match=words):
            parse_policy(text)


def stubbed(arn: str) -> tuple[Connect, dict[str, Stubber]]:
    clients = {
        name: boto3.client(name, region_name="eu-west-1", aws_access_key_id="test", aws_secret_access_key="test") for name in ("sts", "iam")
    }
    stubs = {name: Stubber(client) for name, client in clients.items()}
    for stub in stubs.values():
        stub.activate()
    stubs["sts"].add_response("get_caller_identity", {"Arn": arn, "Account": "123456789012", "UserId": "U"})
    return clients.__getitem__, stubs


def test_the_caller_is_simulated_by_iam() -> None:
    """A session's permissions are those of its role, whose path only IAM knows."""
    connect, stubs = stubbed("arn:aws:sts::123456789012:assumed-role/Deployer/session")
    role = {
        "Path": "/teams/",
        "RoleName": "Deployer",
        "RoleId": "AROA1234567890123456",
        "Arn": "arn:aws:iam::123456789012:role/teams/Deployer",
        "CreateDate": "2026-01-01T00:00:00Z",
    }
    stubs["iam"].add_response("get_role", {"Role": role}, {"RoleName": "Deployer"})
    example = "arn:aws:states:eu-west-1:1:execution:studio-render:example"
    stubs["iam"].add_response(
        "simulate_principal_policy",
        {
            "EvaluationResults": [
                {
                    "EvalActionName": "states:StopExecution",
                    "EvalDecision": "implicitDeny",
                    "ResourceSpecificResults": [{"EvalResourceName": example, "EvalResourceDecision": "implicitDeny"}],
                }
            ],
            "IsTruncated": False,
        },
        {"PolicySourceArn": role["Arn"], "ActionNames": ["states:StopExecution"], "ResourceArns": [example]},
    )
    stubs["iam"].add_response(
        "simulate_principal_policy",
        {"EvaluationResults": [{"EvalActionName": "iam:PassRole", "EvalDecision": "explicitDeny", "EvalResourceName": ROLE}]},
        {
            "PolicySourceArn": role["Arn"],
            "ActionNames": ["iam:PassRole"],
            "ResourceArns": [ROLE],
            "ContextEntries": [
                {"ContextKeyName": "iam:PassedToService", "ContextKeyValues": ["lambda.amazonaws.com"], "ContextKeyType": "string"}
            ],
        },
    )
    stubs["iam"].add_response(
        "simulate_principal_policy",
        {"EvaluationResults": [{"EvalActionName": "lambda:GetAccountSettings", "EvalDecision": "allowed", "EvalResourceName": "*"}]},
        {"PolicySourceArn": role["Arn"], "ActionNames": ["lambda:GetAccountSettings"]},
    )
    needs = [
        NEED,
        Need("Pass", ("iam:PassRole",), (ROLE,), passed_to=("lambda.amazonaws.com",)),
        Need("Quota", ("lambda:GetAccountSettings",), ("*",)),
    ]
    assert missing_for_caller(connect, needs) == [
        Missing("states:StopExecution", NEED.resources[0], "not allowed"),
        Missing("iam:PassRole", ROLE, "denied"),
    ]
    stubs["iam"].assert_no_pending_responses()


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-c", "import sys; from hyperframes_provider.cli import main; sys.exit(main())", "policies", *arguments]
    return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)


def test_the_verbs(tmp_path: Path) -> None:
    whose = ("--account", "123456789012", "--region", "eu-west-1", "--stack-name", "studio")
    printed = command("user", "--render-only", *whose)
    assert (printed.returncode, json.loads(printed.stdout)) == (0, PRINTED["render"])
    assert json.loads(command("role", "--trust", "--json", *whose).stdout) == service_role_trust(SCOPE)
    china = json.loads(command("user", "--account", "1", "--region", "cn-north-1", "--deploy-only").stdout)
    named = {arn for statement in china["Statement"] for arn in statement["Resource"]} - {"*"}
    assert all(arn.startswith("arn:aws-cn:") for arn in named)

    policy = tmp_path / "policy.json"
    policy.write_text(printed.stdout)
    fine = command("validate", "--policy", str(policy), "--render-only", *whose)
    assert fine.returncode == 0 and "permissions are granted" in fine.stdout
    lacking = command("validate", "--policy", str(policy), "--json", *whose)
    missing = json.loads(lacking.stdout)["missing"]
    assert lacking.returncode == 1
    assert {"action": "iam:PassRole", "resource": "arn:aws:iam::123456789012:role/studio-*", "reason": "not allowed"} in missing
