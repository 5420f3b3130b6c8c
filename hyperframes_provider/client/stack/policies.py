"""The IAM policies around a stack: what deploying, rendering and destroying takes, and what CloudFormation takes on somebody's behalf.

What is needed is said once, as `Need`s: printed here as a policy, and looked for in one by `policy_check`. A resource is `*` only where
the service knows none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hyperframes_provider.client.aws.connect import Connect
from hyperframes_provider.client.aws.errors import typed_errors

Part = Literal["all", "deploy", "render"]

_STACK_NAME_KEPT = 24
"""Characters of a stack's name that CloudFormation keeps in the names that it makes."""


@dataclass(frozen=True)
class Scope:
    """Whose stack it is, as far as it is known: an account or a region may be `*`.

    :param stack_name: the stack's name
    :param project_name: the stack's `ProjectName`; by default the stack's name, as a deploy has it
    :param code_bucket: a bucket other than the deploy's own that the code ZIP is taken from
    :param allowed_buckets: the stack's `AllowedBuckets`, where a project or an output of the caller's may lie
    :param kms_key_arn: the stack's `KmsKeyArn`
    :param image_uri: the stack's `ImageUri`
    :param network: whether the stack has `VpcSubnetIds`
    """

    stack_name: str
    account: str = "*"
    region: str = "*"
    partition: str = "aws"
    project_name: str = ""
    code_bucket: str = ""
    allowed_buckets: Sequence[str] = ()
    kms_key_arn: str = ""
    image_uri: str = ""
    network: bool = False

    def arn(self, service: str, resource: str, *, regional: bool = True) -> str:
        """The ARN of a resource of the stack's account."""
        return f"arn:{self.partition}:{service}:{self.region if regional else ''}:{self.account}:{resource}"

    def bucket(self, name: str) -> str:
        """The ARN of a bucket, or of what is in it."""
        return f"arn:{self.partition}:s3:::{name}"

    @property
    def project(self) -> str:
        """What the names of the stack's resources begin with."""
        return self.project_name or self.stack_name

    @property
    def made(self) -> str:
        """What the names begin with that CloudFormation makes up."""
        kept = self.stack_name[:_STACK_NAME_KEPT]
        return f"{kept}-" if kept == self.stack_name else kept

    @property
    def render_bucket(self) -> str:
        """The render bucket's name, as a pattern."""
        made = self.made.lower()
        return f"{made}renderbucket-*" if made.endswith("-") else f"{made}*-*"

    @property
    def own_code_bucket(self) -> str:
        """The bucket that a deploy uploads to."""
        return f"hyperframes-code-{self.account}-{self.region}"


@dataclass(frozen=True)
class Need:
    """Actions that are needed on resources; one statement of a policy."""

    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    passed_to: tuple[str, ...] = ()
    """For `iam:PassRole`: the services that get the role."""

    def statement(self) -> dict[str, Any]:
        """As a policy has it."""
        statement: dict[str, Any] = {
            "Sid": self.sid,
            "Effect": "Allow",
            "Action": sorted(self.actions),
            "Resource": list(self.resources),
        }
        if self.passed_to:
            statement["Condition"] = {"StringEquals": {"iam:PassedToService": list(self.passed_to)}}
        return statement


def user_needs(scope: Scope, part: Part = "all", *, service_role_arn: str = "") -> list[Need]:
    """What a person or a pipeline needs.

    :param part: to deploy, render and destroy; without rendering; or to render with a stack that is there. In two parts it fits into
        managed policies, which hold 6,144 characters each
    :param service_role_arn: a role that deploys give to CloudFormation, with the policy of `service_needs`: the caller then needs
        nothing for the stack's resources but to pass the role
    """
    deploy = _stack_needs(scope)
    if service_role_arn:
        deploy.append(Need("PassServiceRole", ("iam:PassRole",), (service_role_arn,), passed_to=("cloudformation.amazonaws.com",)))
        deploy += [need for need in _code_needs(scope) if need.sid == "Code"]
    else:
        deploy += service_needs(scope)
    return [*(deploy if part != "render" else []), *(_render_needs(scope) if part != "deploy" else [])]


def service_needs(scope: Scope) -> list[Need]:
    """What CloudFormation needs for the stack's resources: of the caller, or of a service role that it is given."""
    return [
        *_code_needs(scope),
        *_bucket_needs(scope),
        *_function_needs(scope),
        *_role_needs(scope),
        *_machine_needs(scope),
        *_watch_needs(scope),
        *_signal_needs(scope),
        *_key_needs(scope),
    ]


def policy_of(needs: Iterable[Need]) -> dict[str, Any]:
    """The needs as a policy document."""
    return {"Version": "2012-10-17", "Statement": [need.statement() for need in needs]}


def service_role_trust(scope: Scope) -> dict[str, Any]:
    """Who may take the service role: CloudFormation, for stacks of this account."""
    statement: dict[str, Any] = {
        "Sid": "CloudFormation",
        "Effect": "Allow",
        "Principal": {"Service": "cloudformation.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    if scope.account != "*":
        statement["Condition"] = {"StringEquals": {"aws:SourceAccount": scope.account}}
    return {"Version": "2012-10-17", "Statement": [statement]}


def caller_scope(connect: Connect, stack_name: str, **known: Any) -> Scope:
    """A scope in the caller's account, region and partition."""
    with typed_errors():
        sts = connect("sts")
        arn, account = _identity(sts)
    return Scope(
        **{"stack_name": stack_name, "account": account, "region": str(sts.meta.region_name), "partition": arn.split(":")[1], **known}
    )


def _stack_needs(scope: Scope) -> list[Need]:
    return [
        Need(
            "Stack",
            (
                "cloudformation:CreateChangeSet",
                "cloudformation:DeleteChangeSet",
                "cloudformation:DeleteStack",
                "cloudformation:DescribeChangeSet",
                "cloudformation:DescribeStackEvents",
                "cloudformation:DescribeStackResources",
                "cloudformation:DescribeStacks",
                "cloudformation:ExecuteChangeSet",
                "cloudformation:GetTemplateSummary",
                "cloudformation:ListStackResources",
                "cloudformation:TagResource",
                "cloudformation:UntagResource",
            ),
            (scope.arn("cloudformation", f"stack/{scope.stack_name}/*"),),
        ),
        Need(
            "CodeBucket",
            ("s3:CreateBucket", "s3:ListBucket", "s3:PutBucketPublicAccessBlock", "s3:PutEncryptionConfiguration"),
            (scope.bucket(scope.own_code_bucket),),
        ),
        Need(
            "CodeUpload",
            ("s3:PutObject", "s3:AbortMultipartUpload"),
            (scope.bucket(f"{scope.own_code_bucket}/*"),),
        ),
        # To say of a deleted stack that its bucket is still there.
        Need("KeptBucket", ("s3:ListBucket",), (scope.bucket(scope.render_bucket),)),
    ]


def _code_needs(scope: Scope) -> list[Need]:
    buckets = [scope.own_code_bucket, *([scope.code_bucket] if scope.code_bucket else [])]
    needs = [Need("Code", ("s3:GetObject", "s3:GetObjectVersion"), tuple(scope.bucket(f"{bucket}/*") for bucket in buckets))]
    if scope.image_uri:
        registry, _, rest = scope.image_uri.partition("/")
        account, _, _, region, *_ = registry.split(".")
        repository = re.split("[@:]", rest)[0]
        # Lambda lets itself in: it adds to the repository's policy what it lacks.
        actions = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:GetRepositoryPolicy", "ecr:SetRepositoryPolicy")
        needs.append(Need("Image", actions, (f"arn:{scope.partition}:ecr:{region}:{account}:repository/{repository}",)))
    return needs


def _bucket_needs(scope: Scope) -> list[Need]:
    """The bucket and its policy are never deleted."""
    return [
        Need(
            "RenderBucket",
            (
                "s3:CreateBucket",
                "s3:GetAccelerateConfiguration",
                "s3:GetAnalyticsConfiguration",
                # All that describes a bucket, as CloudFormation reads it.
                "s3:GetBucket*",
                "s3:GetEncryptionConfiguration",
                "s3:GetIntelligentTieringConfiguration",
                "s3:GetInventoryConfiguration",
                "s3:GetLifecycleConfiguration",
                "s3:GetMetricsConfiguration",
                "s3:GetReplicationConfiguration",
                "s3:ListBucket",
                "s3:ListTagsForResource",
                "s3:PutBucketOwnershipControls",
                "s3:PutBucketPolicy",
                "s3:PutBucketPublicAccessBlock",
                "s3:PutBucketTagging",
                "s3:PutEncryptionConfiguration",
                "s3:PutLifecycleConfiguration",
                "s3:TagResource",
                "s3:UntagResource",
            ),
            (scope.bucket(scope.render_bucket),),
        )
    ]


def _function_needs(scope: Scope) -> list[Need]:
    names = ("render", "coordinator", "webhook")
    needs = [
        Need(
            "Functions",
            (
                "lambda:AddPermission",
                "lambda:CreateFunction",
                "lambda:DeleteFunction",
                "lambda:DeleteFunctionConcurrency",
                "lambda:GetFunction",
                "lambda:GetFunctionCodeSigningConfig",
                "lambda:GetFunctionConfiguration",
                "lambda:GetFunctionRecursionConfig",
                "lambda:GetPolicy",
                "lambda:GetRuntimeManagementConfig",
                "lambda:ListTags",
                "lambda:PutFunctionConcurrency",
                "lambda:RemovePermission",
                "lambda:TagResource",
                "lambda:UntagResource",
                "lambda:UpdateFunctionCode",
                "lambda:UpdateFunctionConfiguration",
            ),
            tuple(scope.arn("lambda", f"function:{scope.project}-{name}") for name in names),
        ),
        Need(
            "WebhookRetries",
            (
                "lambda:DeleteFunctionEventInvokeConfig",
                "lambda:GetFunctionEventInvokeConfig",
                "lambda:PutFunctionEventInvokeConfig",
                "lambda:UpdateFunctionEventInvokeConfig",
            ),
            (
                scope.arn("lambda", f"function:{scope.project}-webhook"),
                scope.arn("lambda", f"function:{scope.project}-webhook:$LATEST"),
            ),
        ),
    ]
    if scope.network:
        # These know no resource.
        looks = ("DescribeNetworkInterfaces", "DescribeSecurityGroups", "DescribeSubnets", "DescribeVpcs")
        needs.append(Need("Network", tuple(f"ec2:{look}" for look in looks), ("*",)))
    return needs


def _role_needs(scope: Scope) -> list[Need]:
    roles = (scope.arn("iam", f"role/{scope.made}*", regional=False),)
    return [
        Need(
            "Roles",
            (
                "iam:CreateRole",
                "iam:DeleteRole",
                "iam:DeleteRolePolicy",
                "iam:GetRole",
                "iam:GetRolePolicy",
                "iam:ListAttachedRolePolicies",
                "iam:ListRolePolicies",
                "iam:PutRolePolicy",
                "iam:TagRole",
                "iam:UntagRole",
                "iam:UpdateAssumeRolePolicy",
                "iam:UpdateRole",
                "iam:UpdateRoleDescription",
            ),
            roles,
        ),
        Need("PassRoles", ("iam:PassRole",), roles, passed_to=("lambda.amazonaws.com", "states.amazonaws.com")),
    ]


def _machine_needs(scope: Scope) -> list[Need]:
    return [
        Need(
            "StateMachine",
            (
                "states:CreateStateMachine",
                "states:DeleteStateMachine",
                "states:DescribeStateMachine",
                "states:ListTagsForResource",
                "states:TagResource",
                "states:UntagResource",
                "states:UpdateStateMachine",
            ),
            (scope.arn("states", f"stateMachine:{scope.project}-render"),),
        )
    ]


def _watch_needs(scope: Scope) -> list[Need]:
    groups = (f"/aws/lambda/{scope.project}-*", f"/aws/vendedlogs/states/{scope.project}-render")
    return [
        Need(
            "LogGroups",
            (
                "logs:AssociateKmsKey",
                "logs:CreateLogGroup",
                "logs:DeleteLogGroup",
                "logs:DeleteRetentionPolicy",
                "logs:DisassociateKmsKey",
                "logs:GetDataProtectionPolicy",
                "logs:ListTagsForResource",
                "logs:PutRetentionPolicy",
                "logs:TagResource",
                "logs:UntagResource",
            ),
            tuple(scope.arn("logs", f"log-group:{group}{end}") for group in groups for end in ("", ":*")),
        ),
        # These list, and know no resource.
        Need("FindLogGroups", ("logs:DescribeIndexPolicies", "logs:DescribeLogGroups"), ("*",)),
        Need(
            "Alarms",
            (
                "cloudwatch:DeleteAlarms",
                "cloudwatch:DescribeAlarms",
                "cloudwatch:ListTagsForResource",
                "cloudwatch:PutMetricAlarm",
                "cloudwatch:TagResource",
                "cloudwatch:UntagResource",
            ),
            (scope.arn("cloudwatch", f"alarm:{scope.project}-*"),),
        ),
        Need(
            "Dashboard",
            ("cloudwatch:DeleteDashboards", "cloudwatch:GetDashboard", "cloudwatch:PutDashboard"),
            (scope.arn("cloudwatch", f"dashboard/{scope.project}", regional=False),),
        ),
    ]


def _signal_needs(scope: Scope) -> list[Need]:
    return [
        Need(
            "Rule",
            (
                "events:DeleteRule",
                "events:DescribeRule",
                "events:ListTagsForResource",
                "events:ListTargetsByRule",
                "events:PutRule",
                "events:PutTargets",
                "events:RemoveTargets",
                "events:TagResource",
                "events:UntagResource",
            ),
            (scope.arn("events", f"rule/{scope.project}-render-ended"),),
        ),
        Need(
            "Topic",
            (
                "sns:CreateTopic",
                "sns:DeleteTopic",
                "sns:GetDataProtectionPolicy",
                "sns:GetTopicAttributes",
                "sns:ListSubscriptionsByTopic",
                "sns:ListTagsForResource",
                "sns:SetTopicAttributes",
                "sns:TagResource",
                "sns:UntagResource",
            ),
            (scope.arn("sns", f"{scope.project}-signals"),),
        ),
        Need(
            "LostSignals",
            (
                "sqs:CreateQueue",
                "sqs:DeleteQueue",
                "sqs:GetQueueAttributes",
                "sqs:GetQueueUrl",
                "sqs:ListQueueTags",
                "sqs:SetQueueAttributes",
                "sqs:TagQueue",
                "sqs:UntagQueue",
            ),
            (scope.arn("sqs", f"{scope.project}-lost-signals"),),
        ),
    ]


def _render_needs(scope: Scope) -> list[Need]:
    machine = f"{scope.project}-render"
    functions = tuple(scope.arn("lambda", f"function:{scope.project}-{name}") for name in ("render", "coordinator"))
    logs = tuple(scope.arn("logs", f"log-group:/aws/lambda/{scope.project}-{name}:*") for name in ("render", "coordinator"))
    buckets = (scope.render_bucket, *scope.allowed_buckets)
    return [
        Need("FindStack", ("cloudformation:DescribeStacks",), (scope.arn("cloudformation", f"stack/{scope.stack_name}/*"),)),
        Need(
            "Start",
            ("states:StartExecution", "states:DescribeStateMachine"),
            (scope.arn("states", f"stateMachine:{machine}"),),
        ),
        Need(
            "List",
            ("states:ListExecutions",),
            (scope.arn("states", f"stateMachine:{machine}"), scope.arn("states", f"mapRun:{machine}/*:*")),
        ),
        Need(
            "Follow",
            (
                "states:DescribeExecution",
                "states:GetExecutionHistory",
                "states:ListMapRuns",
                "states:RedriveExecution",
                "states:StopExecution",
            ),
            (scope.arn("states", f"execution:{machine}:*"), scope.arn("states", f"execution:{machine}/*:*")),
        ),
        Need("FollowChunks", ("states:DescribeMapRun",), (scope.arn("states", f"mapRun:{machine}/*:*"),)),
        Need("Objects", ("s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"), tuple(scope.bucket(f"{name}/*") for name in buckets)),
        Need("RemoveProjects", ("s3:DeleteObject",), (scope.bucket(f"{scope.render_bucket}/sites/*"),)),
        Need("ListObjects", ("s3:ListBucket",), tuple(scope.bucket(name) for name in buckets)),
        Need("Concurrency", ("lambda:GetFunctionConfiguration", "lambda:GetFunctionConcurrency"), functions),
        # These belong to the account and know no resource.
        Need("Quota", ("lambda:GetAccountSettings", "servicequotas:GetServiceQuota", "servicequotas:ListServiceQuotas"), ("*",)),
        Need("ReadLogs", ("logs:FilterLogEvents",), logs),
        *([Need("UseKey", ("kms:Decrypt", "kms:GenerateDataKey"), (scope.kms_key_arn,))] if scope.kms_key_arn else []),
    ]


def _key_needs(scope: Scope) -> list[Need]:
    return [Need("Key", ("kms:DescribeKey",), (scope.kms_key_arn,))] if scope.kms_key_arn else []


def _identity(sts: Any) -> tuple[str, str]:
    answer = sts.get_caller_identity()
    return str(answer["Arn"]), str(answer["Account"])
