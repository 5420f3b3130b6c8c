"""Sensors that wait for a render started elsewhere."""

from __future__ import annotations

from typing import Any

from hyperframes_provider.client.execution.report import done_line
from hyperframes_provider.client.execution.share import AtLeast, check_at_least
from hyperframes_provider.operators.exceptions import airflow_errors
from hyperframes_provider.sensors.base import HyperFramesBaseSensor
from hyperframes_provider.triggers.events import Outcome, RenderEvent
from hyperframes_provider.triggers.render import ChunkTrigger, RenderTrigger


class HyperFramesRenderSensor(HyperFramesBaseSensor):
    """Wait until a render is done, and return the same result as the render operator.

    Fails like the operator if the render fails. Takes the arguments of :class:`HyperFramesBaseSensor`.
    """

    def make_trigger(self, deadline: float) -> RenderTrigger:
        """Return the trigger that waits in place of this sensor."""
        return RenderTrigger(**self.trigger_arguments, deadline=deadline)

    def conclude(self, event: RenderEvent) -> dict[str, Any]:
        """Return the render's result, or raise its failure."""
        result = self._client.conclude(event.execution_arn)
        self.log.info("%s", done_line(result))
        return result.to_xcom()


class HyperFramesChunkSensor(HyperFramesBaseSensor):
    """Wait until enough chunks of a render are complete, and return its progress.

    Returns `execution_arn`, `chunks_done`, `chunks_total`, `frames_done` and `frames_total`. Fails like the render operator if the render
    fails before. Takes the arguments of :class:`HyperFramesBaseSensor` too.

    :param at_least: a number of chunks (int, from 1), or a share of them (float, above 0.0 and up to 1.0): 1 is one chunk, 1.0 is all
    """

    def __init__(self, *, execution_arn: str, at_least: AtLeast = 1.0, **kwargs: Any) -> None:
        super().__init__(execution_arn=execution_arn, **kwargs)
        self.at_least = at_least
        with airflow_errors():
            check_at_least(at_least)

    def make_trigger(self, deadline: float) -> ChunkTrigger:
        """Return the trigger that waits in place of this sensor."""
        return ChunkTrigger(**self.trigger_arguments, at_least=self.at_least, deadline=deadline)

    def conclude(self, event: RenderEvent) -> dict[str, Any]:
        """Return the render's progress, or raise its failure if it ended too early."""
        if event.outcome is Outcome.ENDED:
            result = self._client.conclude(event.execution_arn)
            done = {
                "chunks_done": result.chunks,
                "chunks_total": result.chunks,
                "frames_done": result.frames,
                "frames_total": result.frames,
            }
            return {"execution_arn": event.execution_arn, **done}
        return event.model_dump(include={"execution_arn", "chunks_done", "chunks_total", "frames_done", "frames_total"})
