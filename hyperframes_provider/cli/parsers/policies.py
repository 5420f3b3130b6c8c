"""`policies`: the required IAM policies."""

from __future__ import annotations

import argparse
from pathlib import Path

from hyperframes_provider.cli.parsers.verbs import Verbs, pairs


def register(verbs: Verbs) -> None:
    """Add the verbs."""
    group = verbs.group("policies", "print and check the IAM policies that a stack needs")
    user = group.add("user", "policies.user", "print the policy for a person or a pipeline to deploy, render and destroy", group.stack)
    _scope(user)
    _part(user)
    role = group.add("role", "policies.role", "print the policy for a service role of CloudFormation", group.stack)
    _scope(role)
    role.add_argument("--trust", action="store_true", help="print the role's trust policy instead")
    lacks = "list the permissions that a policy, or the caller, lacks; exit with 1 if there are any"
    validate = group.add("validate", "policies.validate", lacks, group.stack)
    _scope(validate)
    _part(validate)
    validate.add_argument("--policy", type=Path, metavar="FILE", help="a policy document to check (default: the caller, simulated by IAM)")


def _scope(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--account", metavar="ID", help="AWS account (default: the caller's)")
    parser.add_argument("--partition", metavar="NAME", help="AWS partition (default: the region's)")
    parser.add_argument("--code-bucket", default="", metavar="NAME", help="bucket of the code ZIP (default: the deploy's own)")
    pairs(parser, "--parameter", "as for deploy; ProjectName, AllowedBuckets, KmsKeyArn, ImageUri and VpcSubnetIds affect the policy")


def _part(parser: argparse.ArgumentParser) -> None:
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--render-only", dest="part", action="store_const", const="render", default="all", help="only rendering")
    part.add_argument("--deploy-only", dest="part", action="store_const", const="deploy", help="only deploy and destroy")
    parser.add_argument("--service-role", default="", metavar="ARN", help="a role for CloudFormation to assume, as for deploy")
