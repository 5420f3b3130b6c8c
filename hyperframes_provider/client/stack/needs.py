"""The permissions that a stack takes, as data: actions on resources, each stated once.

`policies` prints them as IAM policies, and `policy_check` looks for them. A resource is `*` only where the service supports no other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_STACK_NAME_KEPT = 24
"""Characters of a stack's name that CloudFormation keeps in generated names."""


@dataclass(frozen=True)
class Scope:
    """The stack that permissions are for. An account or a region may be `*`.

    :param stack_name: the stack's name
    :param project_name: the stack's `ProjectName`, by default the stack's name, as in a deploy
    :param code_bucket: a bucket with the code ZIP, other than that of deploys
    :param allowed_buckets: the stack's `AllowedBuckets`, which may hold projects and outputs
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
        """Return the ARN of a resource in the stack's account."""
        return f"arn:{self.partition}:{service}:{self.region if regional else ''}:{self.account}:{resource}"

    def bucket(self, name: str) -> str:
        """Return the ARN of a bucket, or of objects in it."""
        return f"arn:{self.partition}:s3:::{name}"

    @property
    def project(self) -> str:
        """Beginning of the names of the stack's resources."""
        return self.project_name or self.stack_name

    @property
    def made(self) -> str:
        """Beginning of the names that CloudFormation generates."""
        kept = self.stack_name[:_STACK_NAME_KEPT]
        return f"{kept}-" if kept == self.stack_name else kept

    @property
    def render_bucket(self) -> str:
        """The render bucket's name as a pattern."""
        made = self.made.lower()
        return f"{made}renderbucket-*" if made.endswith("-") else f"{made}*-*"

    @property
    def own_code_bucket(self) -> str:
        """The bucket to which deploys upload."""
        return f"hyperframes-code-{self.account}-{self.region}"


@dataclass(frozen=True)
class Need:
    """Actions that are needed on resources: one statement of a policy."""

    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    passed_to: tuple[str, ...] = ()
    """For `iam:PassRole`: the services that receive the role."""

    def statement(self) -> dict[str, Any]:
        """Return the statement of a policy."""
        statement: dict[str, Any] = {"Sid": self.sid, "Effect": "Allow", "Action": sorted(self.actions), "Resource": list(self.resources)}
        if self.passed_to:
            statement["Condition"] = {"StringEquals": {"iam:PassedToService": list(self.passed_to)}}
        return statement


def _need(sid: str, actions: str, *resources: str, passed_to: tuple[str, ...] = ()) -> Need:
    """Return the need for `actions`, written as `service:First Second Third`, several services separated by commas."""
    found: list[str] = []
    for part in actions.split(","):
        service, _, names = part.strip().partition(":")
        found += [f"{service}:{name}" for name in names.split()]
    return Need(sid, tuple(found), resources, passed_to)


def stack_needs(scope: Scope) -> list[Need]:
    """Return the needs of a deploy besides the stack's resources."""
    return [
        _need(
            "Stack",
            "cloudformation:CreateChangeSet DeleteChangeSet DeleteStack DescribeChangeSet DescribeStackEvents DescribeStackResources "
            "DescribeStacks ExecuteChangeSet GetTemplateSummary ListStackResources TagResource UntagResource",
            scope.arn("cloudformation", f"stack/{scope.stack_name}/*"),
        ),
        _need(
            "CodeBucket",
            "s3:CreateBucket ListBucket PutBucketPublicAccessBlock PutEncryptionConfiguration",
            scope.bucket(scope.own_code_bucket),
        ),
        _need("CodeUpload", "s3:PutObject AbortMultipartUpload", scope.bucket(f"{scope.own_code_bucket}/*")),
        # To find out whether a deleted stack has left its bucket.
        _need("KeptBucket", "s3:ListBucket", scope.bucket(scope.render_bucket)),
    ]


def code_needs(scope: Scope) -> list[Need]:
    """Return the needs for the function's code, a ZIP or an image."""
    buckets = [scope.own_code_bucket, *([scope.code_bucket] if scope.code_bucket else [])]
    needs = [_need("Code", "s3:GetObject GetObjectVersion", *(scope.bucket(f"{bucket}/*") for bucket in buckets))]
    if scope.image_uri:
        registry, _, rest = scope.image_uri.partition("/")
        account, _, _, region, *_ = registry.split(".")
        repository = f"arn:{scope.partition}:ecr:{region}:{account}:repository/{re.split('[@:]', rest)[0]}"
        # Lambda adds itself to the repository's policy if necessary.
        needs.append(_need("Image", "ecr:BatchGetImage GetDownloadUrlForLayer GetRepositoryPolicy SetRepositoryPolicy", repository))
    return needs


def resource_needs(scope: Scope) -> list[Need]:
    """Return the needs for the stack's resources. The render bucket and its policy are never deleted."""
    function, project = scope.arn("lambda", f"function:{scope.project}"), scope.project
    roles = scope.arn("iam", f"role/{scope.made}*", regional=False)
    network = "ec2:DescribeNetworkInterfaces DescribeSecurityGroups DescribeSubnets DescribeVpcs"
    groups = (f"/aws/lambda/{project}-*", f"/aws/vendedlogs/states/{project}-render")
    return [
        _need(
            "RenderBucket",
            # GetBucket* covers the properties that CloudFormation reads.
            "s3:CreateBucket GetAccelerateConfiguration GetAnalyticsConfiguration GetBucket* GetEncryptionConfiguration "
            "GetIntelligentTieringConfiguration GetInventoryConfiguration GetLifecycleConfiguration GetMetricsConfiguration "
            "GetReplicationConfiguration ListBucket ListTagsForResource PutBucketOwnershipControls PutBucketPolicy "
            "PutBucketPublicAccessBlock PutBucketTagging PutEncryptionConfiguration PutLifecycleConfiguration TagResource UntagResource",
            scope.bucket(scope.render_bucket),
        ),
        _need(
            "Functions",
            "lambda:AddPermission CreateFunction DeleteFunction DeleteFunctionConcurrency GetFunction GetFunctionCodeSigningConfig "
            "GetFunctionConfiguration GetFunctionRecursionConfig GetPolicy GetRuntimeManagementConfig ListTags PutFunctionConcurrency "
            "RemovePermission TagResource UntagResource UpdateFunctionCode UpdateFunctionConfiguration",
            *(f"{function}-{name}" for name in ("render", "coordinator", "webhook")),
        ),
        _need(
            "WebhookRetries",
            "lambda:DeleteFunctionEventInvokeConfig GetFunctionEventInvokeConfig PutFunctionEventInvokeConfig "
            "UpdateFunctionEventInvokeConfig",
            f"{function}-webhook",
            f"{function}-webhook:$LATEST",
        ),
        # These support no resource.
        *([_need("Network", network, "*")] if scope.network else []),
        _need(
            "Roles",
            "iam:CreateRole DeleteRole DeleteRolePolicy GetRole GetRolePolicy ListAttachedRolePolicies ListRolePolicies PutRolePolicy "
            "TagRole UntagRole UpdateAssumeRolePolicy UpdateRole UpdateRoleDescription",
            roles,
        ),
        _need("PassRoles", "iam:PassRole", roles, passed_to=("lambda.amazonaws.com", "states.amazonaws.com")),
        _need(
            "StateMachine",
            "states:CreateStateMachine DeleteStateMachine DescribeStateMachine ListTagsForResource TagResource UntagResource "
            "UpdateStateMachine",
            scope.arn("states", f"stateMachine:{project}-render"),
        ),
        _need(
            "LogGroups",
            "logs:AssociateKmsKey CreateLogGroup DeleteLogGroup DeleteRetentionPolicy DisassociateKmsKey GetDataProtectionPolicy "
            "ListTagsForResource PutRetentionPolicy TagResource UntagResource",
            *(scope.arn("logs", f"log-group:{group}{end}") for group in groups for end in ("", ":*")),
        ),
        # These list, and support no resource.
        _need("FindLogGroups", "logs:DescribeIndexPolicies DescribeLogGroups", "*"),
        _need(
            "Alarms",
            "cloudwatch:DeleteAlarms DescribeAlarms ListTagsForResource PutMetricAlarm TagResource UntagResource",
            scope.arn("cloudwatch", f"alarm:{project}-*"),
        ),
        _need(
            "Dashboard",
            "cloudwatch:DeleteDashboards GetDashboard PutDashboard",
            scope.arn("cloudwatch", f"dashboard/{project}", regional=False),
        ),
        _need(
            "Rule",
            "events:DeleteRule DescribeRule ListTagsForResource ListTargetsByRule PutRule PutTargets RemoveTargets TagResource "
            "UntagResource",
            scope.arn("events", f"rule/{project}-render-ended"),
        ),
        _need(
            "Topic",
            "sns:CreateTopic DeleteTopic GetDataProtectionPolicy GetTopicAttributes ListSubscriptionsByTopic ListTagsForResource "
            "SetTopicAttributes TagResource UntagResource",
            scope.arn("sns", f"{project}-signals"),
        ),
        _need(
            "LostSignals",
            "sqs:CreateQueue DeleteQueue GetQueueAttributes GetQueueUrl ListQueueTags SetQueueAttributes TagQueue UntagQueue",
            scope.arn("sqs", f"{project}-lost-signals"),
        ),
        *([_need("Key", "kms:DescribeKey", scope.kms_key_arn)] if scope.kms_key_arn else []),
    ]


def render_needs(scope: Scope) -> list[Need]:
    """Return the needs of rendering on a deployed stack."""
    machine = f"{scope.project}-render"
    states, functions = scope.arn("states", ""), [f"{scope.project}-{name}" for name in ("render", "coordinator")]
    buckets = (scope.render_bucket, *scope.allowed_buckets)
    return [
        _need("FindStack", "cloudformation:DescribeStacks", scope.arn("cloudformation", f"stack/{scope.stack_name}/*")),
        _need("Start", "states:StartExecution DescribeStateMachine", f"{states}stateMachine:{machine}"),
        _need("List", "states:ListExecutions", f"{states}stateMachine:{machine}", f"{states}mapRun:{machine}/*:*"),
        _need(
            "Follow",
            "states:DescribeExecution GetExecutionHistory ListMapRuns RedriveExecution StopExecution",
            f"{states}execution:{machine}:*",
            f"{states}execution:{machine}/*:*",
        ),
        _need("FollowChunks", "states:DescribeMapRun", f"{states}mapRun:{machine}/*:*"),
        _need("Objects", "s3:GetObject PutObject AbortMultipartUpload", *(scope.bucket(f"{name}/*") for name in buckets)),
        _need("RemoveProjects", "s3:DeleteObject", scope.bucket(f"{scope.render_bucket}/sites/*")),
        _need("ListObjects", "s3:ListBucket", *(scope.bucket(name) for name in buckets)),
        _need(
            "Concurrency",
            "lambda:GetFunctionConfiguration GetFunctionConcurrency",
            *(scope.arn("lambda", f"function:{name}") for name in functions),
        ),
        # These concern the account, and support no resource.
        _need("Quota", "lambda:GetAccountSettings, servicequotas:GetServiceQuota ListServiceQuotas", "*"),
        _need("ReadLogs", "logs:FilterLogEvents", *(scope.arn("logs", f"log-group:/aws/lambda/{name}:*") for name in functions)),
        *([_need("UseKey", "kms:Decrypt GenerateDataKey", scope.kms_key_arn)] if scope.kms_key_arn else []),
    ]
