"""The hook: one Airflow connection of type `aws`, and clients of every service that a render touches.

It holds no render logic; that is `hyperframes_provider.client`, which takes the hook's `connect`.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from asgiref.sync import sync_to_async

from hyperframes_provider.client.aws.connect import Connect, cached


class HyperFramesHook(AwsBaseHook):
    """Reach a deployed HyperFrames stack with the credentials, region and endpoint of an AWS connection.

    Takes what :class:`~airflow.providers.amazon.aws.hooks.base_aws.AwsBaseHook` takes (`aws_conn_id`, `region_name`, `verify`,
    `config`). Its own client is that of Step Functions, so links and waiters of the amazon provider work with it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["client_type"] = "stepfunctions"
        super().__init__(*args, **kwargs)

    @cached_property
    def connect(self) -> Connect:
        """A boto3 client for a service name, with this connection's credentials; each is built once."""
        session = self.get_session(region_name=self.region_name)
        return cached(lambda service: session.client(service, **self._client_options(service)))

    async def async_client(self, service: str) -> Any:
        """An aiobotocore client for a service name, to be used as `async with await hook.async_client("s3") as s3`.

        Reading the connection blocks, hence the thread.
        """
        return await sync_to_async(self._create_async_client)(service)

    def endpoint_url(self, service: str) -> str | None:
        """Where the clients of `service` call, once resolved; tells the embedded endpoint from AWS."""
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
