"""The IAM policies around a stack: for people and pipelines that deploy, render and destroy, and for CloudFormation itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from hyperframes_provider.client.aws.connect import Connect
from hyperframes_provider.client.aws.errors import typed_errors
from hyperframes_provider.client.stack.needs import Need, Scope, code_needs, render_needs, resource_needs, stack_needs

Part = Literal["all", "deploy", "render"]


def user_needs(scope: Scope, part: Part = "all", *, service_role_arn: str = "") -> list[Need]:
    """Return the needs of a person or a pipeline.

    :param part: everything; deploying and destroying; or rendering on a deployed stack. Each of the latter fits into a managed policy,
        which holds 6,144 characters
    :param service_role_arn: a role that deploys pass to CloudFormation, with the policy of `service_needs`; the caller then needs no
        permission for the stack's resources except to pass the role
    """
    deploy = stack_needs(scope)
    if service_role_arn:
        deploy.append(Need("PassServiceRole", ("iam:PassRole",), (service_role_arn,), passed_to=("cloudformation.amazonaws.com",)))
        deploy += [need for need in code_needs(scope) if need.sid == "Code"]
    else:
        deploy += service_needs(scope)
    return [*(deploy if part != "render" else []), *(render_needs(scope) if part != "deploy" else [])]


def service_needs(scope: Scope) -> list[Need]:
    """Return the needs of CloudFormation for the stack's resources, met by the caller or by a service role."""
    return [*code_needs(scope), *resource_needs(scope)]


def policy_of(needs: Iterable[Need]) -> dict[str, Any]:
    """Return the needs as a policy document."""
    return {"Version": "2012-10-17", "Statement": [need.statement() for need in needs]}


def service_role_trust(scope: Scope) -> dict[str, Any]:
    """Return the trust policy of the service role: CloudFormation may assume it for stacks of this account."""
    principal = {"Service": "cloudformation.amazonaws.com"}
    statement: dict[str, Any] = {"Sid": "CloudFormation", "Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    if scope.account != "*":
        statement["Condition"] = {"StringEquals": {"aws:SourceAccount": scope.account}}
    return {"Version": "2012-10-17", "Statement": [statement]}


def caller_scope(connect: Connect, stack_name: str, **known: Any) -> Scope:
    """Return a scope in the caller's account, region and partition."""
    with typed_errors():
        sts = connect("sts")
        answer = sts.get_caller_identity()
    place = {"account": str(answer["Account"]), "region": str(sts.meta.region_name), "partition": str(answer["Arn"]).split(":")[1]}
    return Scope(**{"stack_name": stack_name, **place, **known})
