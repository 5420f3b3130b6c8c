"""URLs of AWS console pages."""

from __future__ import annotations

from urllib.parse import quote

from hyperframes_provider.client.aws.s3 import S3Location

_DOMAINS = {"aws": "aws.amazon.com", "aws-cn": "amazonaws.cn", "aws-us-gov": "amazonaws-us-gov.com"}


def execution_url(execution_arn: str) -> str:
    """Return the URL of an execution's page."""
    return f"{_home(execution_arn, 'states')}#/v2/executions/details/{quote(execution_arn, safe='')}"


def log_group_url(execution_arn: str, log_group: str) -> str:
    """Return the URL of a log group's page, in the partition and region of the execution."""
    # The console escapes a path twice and writes the percent sign as "$".
    name = quote(quote(log_group, safe=""), safe="").replace("%", "$")
    return f"{_home(execution_arn, 'cloudwatch')}#logsV2:log-groups/log-group/{name}"


def object_url(execution_arn: str, location: S3Location) -> str:
    """Return the URL of an S3 object's page, in the partition and region of the execution."""
    region, domain = _place(execution_arn)
    return f"https://console.{domain}/s3/object/{location.bucket}?region={region}&prefix={quote(location.key)}"


def _home(arn: str, service: str) -> str:
    region, domain = _place(arn)
    return f"https://console.{domain}/{service}/home?region={region}"


def _place(arn: str) -> tuple[str, str]:
    """Return the region of an ARN and the domain of its partition's console."""
    parts = arn.split(":")
    return parts[3], _DOMAINS.get(parts[1], _DOMAINS["aws"])
