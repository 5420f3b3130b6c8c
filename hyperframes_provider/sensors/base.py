"""What the sensors of this provider share: the connection, the look at the execution, waiting in the triggerer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.sensors.base_aws import AwsBaseSensor
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.providers.common.compat.sdk import AirflowSensorTimeout, PokeReturnValue, conf

from hyperframes_provider.client.aws.errors import HyperFramesClientError
from hyperframes_provider.client.execution.report import Reporter
from hyperframes_provider.client.execution.watch import RenderWatch, Snapshot
from hyperframes_provider.client.renders import RenderClient
from hyperframes_provider.hooks.hyperframes import HyperFramesHook
from hyperframes_provider.operators.exceptions import airflow_errors
from hyperframes_provider.triggers.events import Outcome, RenderEvent
from hyperframes_provider.triggers.outcomes import raise_unless_ended

if TYPE_CHECKING:
    from airflow.sdk import Context

    from hyperframes_provider.triggers.render import RenderTrigger


class HyperFramesBaseSensor(AwsBaseSensor[HyperFramesHook]):
    """Base of the sensors that watch one execution. A sensor only looks on: killing it, or its timeout, does not stop the render.

    :param execution_arn: the execution to watch, as the render operator pushes it
    :param deferrable: wait in the triggerer, without a worker slot; the sensor's `timeout` holds there too
    :param poke_interval: seconds between two looks
    :param aws_conn_id: the Airflow connection of type `aws`; None or empty: boto3's own chain of credentials
    :param region_name: the AWS region; default: the connection's, else boto3's
    :param verify: whether, or with which CA bundle, TLS certificates are verified
    :param botocore_config: keyword arguments of :class:`botocore.config.Config`
    """

    aws_hook_class = HyperFramesHook
    template_fields: Sequence[str] = aws_template_fields("execution_arn")
    ui_color = "#e8e4fb"

    def __init__(
        self,
        *,
        execution_arn: str,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poke_interval: float = 10.0,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            poke_interval=poke_interval,
            aws_conn_id=aws_conn_id,
            region_name=region_name,
            verify=verify,
            botocore_config=botocore_config,
            **kwargs,
        )
        self.execution_arn = execution_arn
        self.deferrable = deferrable

    def execute(self, context: Context) -> Any:
        """Look once; then wait in the triggerer, or as any other sensor."""
        if not self.deferrable:
            return super().execute(context)
        found = self.poke(context)
        if found.is_done:
            return found.xcom_value
        return self.defer(trigger=self.make_trigger(time.time() + self.timeout), method_name="execute_complete")

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> Any:  # noqa: ARG002  # Airflow passes it
        """Resume after the trigger."""
        happened = RenderEvent.of(event)
        if happened.outcome is Outcome.DEADLINE:
            raise AirflowSensorTimeout(f"{self.execution_arn} was not there after {self.timeout:.0f} s")
        with airflow_errors():
            raise_unless_ended(happened)
            return self.conclude(happened)

    def poke(self, context: Context) -> PokeReturnValue:  # noqa: ARG002  # Airflow passes it
        """Look once. What may pass (throttling, no answer) is for the next look; the sensor's timeout ends that."""
        with airflow_errors():
            try:
                snapshot = self._client.snapshot(self._watch)
            except HyperFramesClientError as error:
                if not error.retryable:
                    raise
                self.log.warning("asking again: %s", error.message)
                return PokeReturnValue(is_done=False)
            for line in self._reporter.lines(snapshot):
                self.log.info("%s", line)
            event = self.satisfied(snapshot)
            return PokeReturnValue(is_done=False) if event is None else PokeReturnValue(is_done=True, xcom_value=self.conclude(event))

    def make_trigger(self, deadline: float) -> RenderTrigger:
        """The trigger that waits in this sensor's place."""
        raise NotImplementedError

    def satisfied(self, snapshot: Snapshot) -> RenderEvent | None:
        """The event that a snapshot is worth, None to go on waiting: the trigger's own rule."""
        event = self.make_trigger(0).satisfied(snapshot)
        if event is not None:
            raise_unless_ended(event)
        return event

    def conclude(self, event: RenderEvent) -> dict[str, Any]:
        """What the sensor returns; raises when the render has failed."""
        raise NotImplementedError

    @cached_property
    def _client(self) -> RenderClient:
        return RenderClient(self.hook.connect)

    @cached_property
    def _watch(self) -> RenderWatch:
        return RenderWatch(self.execution_arn)

    @cached_property
    def _reporter(self) -> Reporter:
        return Reporter()

    @property
    def trigger_arguments(self) -> dict[str, Any]:
        """What every trigger of a sensor is given."""
        return {
            "execution_arn": self.execution_arn,
            "poll_interval": float(self.poke_interval),
            "aws_conn_id": self.aws_conn_id,
            "region_name": self.region_name,
            "verify": self.verify,
            "botocore_config": self.botocore_config,
        }
