"""Triggers that wait, without a worker slot, for the end of a render or for its chunks.

Both poll through aiobotocore and log progress to the task log. They never raise: every outcome becomes a `RenderEvent`, because Airflow
does not tell a task why its trigger failed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import cached_property
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent
from botocore.exceptions import BotoCoreError, ClientError

from hyperframes_provider.client import renders
from hyperframes_provider.client.aws.calls import AsyncConnect, arun
from hyperframes_provider.client.aws.errors import HyperFramesClientError
from hyperframes_provider.client.execution.failure import RenderTimedOut
from hyperframes_provider.client.execution.follow import follow
from hyperframes_provider.client.execution.share import AtLeast, reached
from hyperframes_provider.client.execution.watch import Snapshot
from hyperframes_provider.hooks.hyperframes import HyperFramesHook
from hyperframes_provider.triggers.events import Outcome, RenderEvent


class RenderTrigger(BaseTrigger):
    """Trigger that fires when the execution has ended, or at its deadline.

    :param execution_arn: the execution to wait for
    :param poll_interval: longest pause in seconds between two polls; the first ones are shorter
    :param deadline: Unix seconds at which the wait ends whatever the state; None: never
    :param owns_execution: whether the waiting task started the render; if so, the deadline or killing the task stops the execution
    :param aws_conn_id: the Airflow connection
    :param region_name: the AWS region; default: the connection's
    :param verify: whether, or with which CA bundle, TLS certificates are verified
    :param botocore_config: keyword arguments of :class:`botocore.config.Config`
    :param unknown: arguments of a newer version, which an older triggerer may receive during an upgrade; ignored
    """

    def __init__(
        self,
        *,
        execution_arn: str,
        poll_interval: float = 10.0,
        deadline: float | None = None,
        owns_execution: bool = False,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        **unknown: Any,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's base is not typed
        self.execution_arn = execution_arn
        self.poll_interval = poll_interval
        self.deadline = deadline
        self.owns_execution = owns_execution
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config
        if unknown:
            self.log.warning("Ignoring arguments of another version of the provider: %s", ", ".join(sorted(unknown)))

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return class path and arguments for the triggerer to store."""
        names = ["execution_arn", "poll_interval", "deadline", "owns_execution", "aws_conn_id", "region_name", "verify", "botocore_config"]
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in names}

    @cached_property
    def hook(self) -> HyperFramesHook:
        """Hook for the waiting task's connection."""
        return HyperFramesHook(aws_conn_id=self.aws_conn_id, region_name=self.region_name, verify=self.verify, config=self.botocore_config)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield exactly one event."""
        try:
            event = await self._wait()
        except asyncio.CancelledError:
            # A restarting triggerer cancels too, and then the render must continue. Only a run without a triggerer, such as
            # `airflow dags test`, has no task instance here, and nothing else would stop its render.
            if self.task_instance is None and self.owns_execution:
                await asyncio.shield(self._stop("interrupted"))
            raise
        except Exception as error:  # the boundary: an exception would be lost, but an event reaches the task
            self.log.exception("Waiting for %s failed", self.execution_arn)
            event = self._event(Outcome.ERROR, message=f"{type(error).__name__}: {error}", retryable=True)
        yield TriggerEvent(event.to_payload())  # type: ignore[no-untyped-call]  # nor is its event

    async def on_kill(self) -> None:
        """Stop the render when a user marks or clears the deferred task. Airflow 3.3 calls this; earlier versions never do."""
        if self.owns_execution:
            await self._stop("the deferred task was marked or cleared by a user")

    def satisfied(self, snapshot: Snapshot) -> RenderEvent | None:
        """Return the event that a snapshot justifies, None to continue waiting."""
        if snapshot.execution.status.terminal:
            return self._event(Outcome.ENDED, snapshot)
        return None

    async def _wait(self) -> RenderEvent:
        steps = follow(
            self.execution_arn,
            poll_interval=self.poll_interval,
            deadline=self.deadline,
            say=self.log.info,
            warn=self.log.warning,
            enough=lambda snapshot: self.satisfied(snapshot) is not None,
        )
        try:
            async with AsyncExitStack() as stack:
                snapshot = await arun(_connections(self.hook, stack), steps)
        except RenderTimedOut:
            if self.owns_execution:
                await self._stop("its deadline passed")
            return self._event(Outcome.DEADLINE)
        except HyperFramesClientError as error:
            return self._event(Outcome.ERROR, message=f"{type(error).__name__}: {error}", retryable=error.retryable)
        return self.satisfied(snapshot) or self._event(Outcome.ENDED, snapshot)

    async def _stop(self, why: str) -> None:
        """Stop the execution and log the outcome; never raise, because the task's end must not depend on it."""
        self.log.info("Stopping %s: %s", self.execution_arn, why)
        try:
            async with AsyncExitStack() as stack:
                stopped = await arun(_connections(self.hook, stack), renders.stop(self.execution_arn, cause=f"Stopped by Airflow: {why}"))
        except (HyperFramesClientError, ClientError, BotoCoreError):
            self.log.exception("Could not stop %s: it may still run and incur costs", self.execution_arn)
            return
        self.log.info("Stopped." if stopped.stopped else "Not stopped: %s", *([] if stopped.stopped else [stopped.detail]))

    def _event(self, outcome: Outcome, snapshot: Snapshot | None = None, *, message: str = "", retryable: bool = True) -> RenderEvent:
        event = RenderEvent(outcome=outcome, execution_arn=self.execution_arn, message=message, retryable=retryable)
        if snapshot is None:
            return event
        progress = snapshot.progress
        return event.model_copy(
            update={
                "status": snapshot.execution.status.value,
                "chunks_done": progress.chunks_done,
                "chunks_total": progress.chunks_total,
                "frames_done": progress.frames_done,
                "frames_total": progress.frames_total,
            }
        )


class ChunkTrigger(RenderTrigger):
    """Trigger that fires when enough chunks are complete, when the execution has ended, or at its deadline.

    :param at_least: a number of chunks (int), or a share of them (float above 0 and up to 1)

    The other arguments are those of :class:`RenderTrigger`.
    """

    def __init__(self, *, at_least: AtLeast, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.at_least = at_least

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return class path and arguments for the triggerer to store."""
        path, arguments = super().serialize()
        return path, {**arguments, "at_least": self.at_least}

    def satisfied(self, snapshot: Snapshot) -> RenderEvent | None:
        """Return the event that a snapshot justifies, None to continue waiting."""
        try:
            enough = reached(snapshot.progress, self.at_least)
        except HyperFramesClientError as error:
            return self._event(Outcome.ERROR, snapshot, message=f"{type(error).__name__}: {error}", retryable=error.retryable)
        if enough:
            return self._event(Outcome.REACHED, snapshot)
        return super().satisfied(snapshot)


def _connections(hook: HyperFramesHook, stack: AsyncExitStack) -> AsyncConnect:
    """Return a connect function that opens each client once; `stack` closes them."""
    clients: dict[str, Any] = {}
    lock = asyncio.Lock()

    async def connect(service: str) -> Any:
        async with lock:
            if service not in clients:
                clients[service] = await stack.enter_async_context(await hook.async_client(service))
            return clients[service]

    return connect
