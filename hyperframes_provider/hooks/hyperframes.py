"""The hook: one Airflow connection of type `aws`, with clients for every service that a render uses.

Render logic lives in `hyperframes_provider.client`, which takes the hook's `connect`.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from asgiref.sync import sync_to_async

from hyperframes_provider.client.aws.connect import Connect, cached


class HyperFramesHook(AwsBaseHook):
    """Reach a deployed HyperFrames stack with the credentials, region and endpoint of an AWS connection.

    Takes the arguments of :class:`~airflow.providers.amazon.aws.hooks.base_aws.AwsBaseHook` (`aws_conn_id`, `region_name`, `verify`,
    `config`). Its own client is for Step Functions, so links and waiters of the amazon provider work with it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["client_type"] = "stepfunctions"
        super().__init__(*args, **kwargs)

    @cached_property
    def connect(self) -> Connect:
        """Returns the boto3 client for a service name, with this connection's credentials; builds each client once."""
        session = self.get_session(region_name=self.region_name)
        return cached(lambda service: session.client(service, **self._client_options(service)))

    async def async_client(self, service: str) -> Any:
        """Return an aiobotocore client for a service name: `async with await hook.async_client("s3") as s3`."""
        # In a thread, because reading the connection blocks.
        return await sync_to_async(self._create_async_client)(service)

    def endpoint_url(self, service: str) -> str | None:
        """Return the resolved URL of `service`, which tells the embedded endpoint from AWS."""
        return str(self.connect(service).meta.endpoint_url)

    def _create_async_client(self, service: str) -> Any:
        session: Any = self.get_session(region_name=self.region_name, deferrable=True)
        return session.create_client(service, **self._client_options(service))

    def _client_options(self, service: str) -> dict[str, Any]:
        return {
            "endpoint_url": self.conn_config.get_service_endpoint_url(service_name=service),
            "config": self._get_config(),
            "verify": self.verify,
        }


def connection_arguments(task: Any) -> dict[str, Any]:
    """Return the AWS arguments of an operator or sensor, for its trigger."""
    return {name: getattr(task, name) for name in ("aws_conn_id", "region_name", "verify", "botocore_config")}
