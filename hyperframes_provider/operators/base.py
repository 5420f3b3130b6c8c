"""The base of the provider's operators."""

from __future__ import annotations

from collections.abc import Sequence

from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields

from hyperframes_provider.hooks.hyperframes import HyperFramesHook


class HyperFramesBaseOperator(AwsBaseOperator[HyperFramesHook]):
    """Base of the operators that talk to a HyperFrames stack.

    It and every class below it, the sensors included, take the AWS arguments of the amazon provider:

    :param aws_conn_id: the Airflow connection of type `aws`; its `endpoint_url` decides between AWS and the embedded endpoint. With None
        or an empty string, boto3 looks for credentials itself. Default: `aws_default`
    :param region_name: the AWS region; default: the connection's, else boto3's
    :param verify: whether to verify TLS certificates, or the path of a CA bundle to verify them with
    :param botocore_config: keyword arguments for :class:`botocore.config.Config`
    """

    aws_hook_class = HyperFramesHook
    template_fields: Sequence[str] = aws_template_fields()
    ui_color = "#e8e4fb"
