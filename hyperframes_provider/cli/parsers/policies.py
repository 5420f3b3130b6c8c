"""`policies`: what IAM has to allow."""

from __future__ import annotations

import argparse
from pathlib import Path

from hyperframes_provider.cli.parsers.verbs import Verbs


def register(verbs: Verbs) -> None:
    """Add the verbs."""
    group = verbs.group("policies", "print and check the IAM policies that a stack takes")
    user = group.add("user", "policies.user", "print what a person or a pipeline needs to deploy, render and destroy", group.stack)
    _scope(user)
    _part(user)
    role = group.add("role", "policies.role", "print what CloudFormation needs in a service role of its own", group.stack)
    _scope(role)
    role.add_argument("--trust", action="store_true", help="instead: who may take the role")
    validate = group.add("validate", "policies.validate", "say what a policy, or the caller, lacks; exits 1 when it does", group.stack)
    _scope(validate)
    _part(validate)
    validate.add_argument("--policy", type=Path, metavar="FILE", help="a policy document; default: the caller, as IAM simulates it")


def _scope(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--account", metavar="ID", help="default: the caller's")
    parser.add_argument("--partition", metavar="NAME", help="default: that of the region")
    parser.add_argument("--code-bucket", default="", metavar="NAME", help="a bucket that the code ZIP lies in; default: the deploy's own")
    parser.add_argument(
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="as for deploy: ProjectName, AllowedBuckets, KmsKeyArn, ImageUri and VpcSubnetIds change what is needed; may be repeated",
    )


def _part(parser: argparse.ArgumentParser) -> None:
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--render-only", dest="part", action="store_const", const="render", default="all", help="with a stack that is there")
    part.add_argument("--deploy-only", dest="part", action="store_const", const="deploy", help="deploy and destroy, and no rendering")
    parser.add_argument("--service-role", default="", metavar="ARN", help="a role that CloudFormation is given instead of the caller's")
