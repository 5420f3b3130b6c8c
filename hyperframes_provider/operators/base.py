"""What the operators of this provider share: the connection's parameters, the hook, and the errors' translation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields

from hyperframes_provider.hooks.hyperframes import HyperFramesHook
from hyperframes_provider.operators.exceptions import airflow_errors


class HyperFramesBaseOperator(AwsBaseOperator[HyperFramesHook]):
    """Base of the operators that talk to a HyperFrames stack.

    :param aws_conn_id: the Airflow connection of type `aws`; its `endpoint_url` decides between AWS and the embedded endpoint. None or
        empty: boto3's own chain of credentials.
    :param region_name: the AWS region; default: the connection's, else boto3's.
    :param verify: whether, or with which CA bundle, TLS certificates are verified.
    :param botocore_config: keyword arguments of :class:`botocore.config.Config`.
    """

    aws_hook_class = HyperFramesHook
    template_fields: Sequence[str] = aws_template_fields()
    ui_color = "#e8e4fb"

    def __init__(
        self,
        *,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(aws_conn_id=aws_conn_id, region_name=region_name, verify=verify, botocore_config=botocore_config, **kwargs)

    @contextmanager
    def airflow_errors(self) -> Iterator[None]:
        """Turn the client's errors inside the block into Airflow's: those that no retry can mend fail the task at once."""
        with airflow_errors():
            yield
