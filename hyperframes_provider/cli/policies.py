"""`policies user`, `policies role`, `policies validate`: print the required IAM policies, and check them."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from hyperframes_provider.cli.aws import connect
from hyperframes_provider.cli.console import Console
from hyperframes_provider.cli.faults import FAILED, WrongRequest
from hyperframes_provider.cli.values import pairs
from hyperframes_provider.client.aws.errors import HyperFramesClientError
from hyperframes_provider.client.stack.needs import Need, Scope
from hyperframes_provider.client.stack.policies import caller_scope, policy_of, service_needs, service_role_trust, user_needs
from hyperframes_provider.client.stack.policy_check import missing_for_caller, missing_in_policy, parse_policy

_MANAGED_LIMIT = 6144
"""Limit of a managed policy in characters, not counting white space."""
_PARTITIONS = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}


def user(options: argparse.Namespace, console: Console) -> int:
    """Print the policy for a person or a pipeline."""
    _print(console, policy_of(_user_needs(options)))
    return 0


def role(options: argparse.Namespace, console: Console) -> int:
    """Print the policy or the trust policy of a service role."""
    scope = _scope(options)
    _print(console, service_role_trust(scope) if options.trust else policy_of(service_needs(scope)))
    return 0


def validate(options: argparse.Namespace, console: Console) -> int:
    """List the missing permissions; exit with 1 if there are any."""
    needs = _user_needs(options)
    if options.policy is not None:
        missing = missing_in_policy(parse_policy(options.policy.read_text(encoding="utf-8")), needs)
    else:
        missing = missing_for_caller(connect(options), needs)
    for one in missing:
        console.line("missing", str(one))
    wanted = sum(len(need.actions) * len(need.resources) for need in needs)
    text = f"{len(missing)} of {wanted} permissions are missing" if missing else f"all {wanted} permissions are granted"
    console.result({"missing": [asdict(one) for one in missing], "wanted": wanted}, text)
    return FAILED if missing else 0


def _user_needs(options: argparse.Namespace) -> list[Need]:
    return user_needs(_scope(options), options.part, service_role_arn=options.service_role)


def _scope(options: argparse.Namespace) -> Scope:
    """Return the scope from the options; account and region default to the caller's."""
    example = "hyperframes-airflow policies user --parameter KmsKeyArn=arn:aws:kms:…"
    parameters = pairs(options.parameter, "--parameter", example)
    known: dict[str, Any] = {
        "project_name": parameters.get("ProjectName", ""),
        "code_bucket": options.code_bucket,
        "allowed_buckets": tuple(name for name in str(parameters.get("AllowedBuckets", "")).split(",") if name),
        "kms_key_arn": parameters.get("KmsKeyArn", ""),
        "image_uri": parameters.get("ImageUri", ""),
        "network": bool(parameters.get("VpcSubnetIds")),
    }
    for name in ("account", "region", "partition"):
        if getattr(options, name):
            known[name] = getattr(options, name)
    if "account" in known and "region" in known:
        region = str(known["region"])
        partition = next((partition for start, partition in _PARTITIONS.items() if region.startswith(start)), "aws")
        return Scope(**{"stack_name": options.stack_name, "partition": partition, **known})
    try:
        return caller_scope(connect(options), options.stack_name, **known)
    except (HyperFramesClientError, ClientError, BotoCoreError) as error:
        hint = "Name them: hyperframes-airflow policies user --account 123456789012 --region eu-west-1"
        raise WrongRequest(f"cannot determine account and region: {error}", hint=hint) from error


def _print(console: Console, document: dict[str, Any]) -> None:
    console.result(document, json.dumps(document, indent=2))
    size = len(json.dumps(document, separators=(",", ":")))
    if size > _MANAGED_LIMIT and not console.as_json:
        # Separate from the document, which may be redirected into a file.
        print(
            f"the policy has {size} characters; a managed policy allows {_MANAGED_LIMIT}: "
            "create two, with --deploy-only and --render-only, or an inline policy of a role",
            file=sys.stderr,
        )
