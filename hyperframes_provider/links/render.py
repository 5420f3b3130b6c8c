"""Links from a task to the AWS console: the execution, the renderer's log, the output.

The operator pushes them when the render starts, so they work while it runs. They are empty on the embedded endpoint, which has no console.
"""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom

from hyperframes_provider.client.aws.console import execution_url, log_group_url, object_url
from hyperframes_provider.client.aws.s3 import parse_s3_uri

LINKS_KEY = "hyperframes_links"
"""XCom key of the mapping from link names to addresses."""


class _RenderLink(BaseOperatorLink):
    """An address that the operator pushed under `name`."""

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002  # the interface passes the operator
        """Return the address, or an empty string before the render has started."""
        addresses = XCom.get_value(key=LINKS_KEY, ti_key=ti_key) or {}
        return str(addresses.get(self.name, ""))


class RenderExecutionLink(_RenderLink):
    """The execution in the Step Functions console."""

    name = "Render execution"


class RenderLogsLink(_RenderLink):
    """The render function's log group in the CloudWatch console."""

    name = "Renderer log"


class RenderOutputLink(_RenderLink):
    """The output in the S3 console."""

    name = "Rendered output"


def addresses(execution_arn: str, *, output_uri: str | None, log_group: str | None) -> dict[str, str]:
    """Return the addresses to push under `LINKS_KEY`."""
    links = {RenderExecutionLink.name: execution_url(execution_arn)}
    if output_uri:
        links[RenderOutputLink.name] = object_url(execution_arn, parse_s3_uri(output_uri, where="output"))
    if log_group:
        links[RenderLogsLink.name] = log_group_url(execution_arn, log_group)
    return links
