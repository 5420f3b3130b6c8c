"""The base of the provider's sensors: the connection, polling the execution, and waiting in the triggerer."""

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
from hyperframes_provider.hooks.hyperframes import HyperFramesHook, connection_arguments
from hyperframes_provider.operators.exceptions import airflow_errors
from hyperframes_provider.triggers.events import Outcome, RenderEvent
from hyperframes_provider.triggers.outcomes import raise_unless_ended

if TYPE_CHECKING:
    from airflow.sdk import Context

    from hyperframes_provider.triggers.render import RenderTrigger


class HyperFramesBaseSensor(AwsBaseSensor[HyperFramesHook]):
    """Base of the sensors that watch one execution. Killing or timing out a sensor does not stop the render.

    Takes the AWS arguments of :class:`~hyperframes_provider.operators.base.HyperFramesBaseOperator` too.

    :param execution_arn: the execution to watch, as pushed by the render operator
    :param deferrable: wait in the triggerer, without a worker slot; the sensor's `timeout` applies there too
    :param poke_interval: seconds between polls
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
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, **kwargs)
        self.execution_arn = execution_arn
        self.deferrable = deferrable

    def execute(self, context: Context) -> Any:
        """Poll as other sensors do; if deferrable, poll once and then wait in the triggerer."""
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
            raise AirflowSensorTimeout(f"{self.execution_arn}: still waiting after {self.timeout:.0f} s")
        with airflow_errors():
            raise_unless_ended(happened)
            return self.conclude(happened)

    def poke(self, context: Context) -> PokeReturnValue:  # noqa: ARG002  # Airflow passes it
        """Poll once. A passing fault, such as throttling, is left to the next poll until the sensor times out."""
        with airflow_errors():
            try:
                snapshot = self._client.snapshot(self._watch)
            except HyperFramesClientError as error:
                if not error.retryable:
                    raise
                self.log.warning("polling again: %s", error.message)
                return PokeReturnValue(is_done=False)
            for line in self._reporter.lines(snapshot):
                self.log.info("%s", line)
            event = self.satisfied(snapshot)
            return PokeReturnValue(is_done=False) if event is None else PokeReturnValue(is_done=True, xcom_value=self.conclude(event))

    def make_trigger(self, deadline: float) -> RenderTrigger:
        """Return the trigger that waits in place of this sensor."""
        raise NotImplementedError

    def satisfied(self, snapshot: Snapshot) -> RenderEvent | None:
        """Return the event that the trigger would fire for the snapshot, or None to continue waiting."""
        event = self.make_trigger(0).satisfied(snapshot)
        if event is not None:
            raise_unless_ended(event)
        return event

    def conclude(self, event: RenderEvent) -> dict[str, Any]:
        """Return the sensor's result; raise if the render has failed."""
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
        """The arguments that every sensor's trigger takes."""
        return {"execution_arn": self.execution_arn, "poll_interval": float(self.poke_interval), **connection_arguments(self)}
