"""The end of an execution: a result, a failure or a cancellation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from hyperframes_lambda.contract.events import ChunkProgress
from hyperframes_provider.client.aws.calls import Steps
from hyperframes_provider.client.aws.errors import HyperFramesClientError
from hyperframes_provider.client.execution import logs, map_runs
from hyperframes_provider.client.execution.executions import Execution, Status
from hyperframes_provider.client.execution.failure import RenderCancelled, RenderFailed, failure_of
from hyperframes_provider.client.execution.history import History
from hyperframes_provider.client.execution.report import cancelled_text, failure_text
from hyperframes_provider.client.execution.result import RenderResult, result_of
from hyperframes_provider.client.execution.watch import RenderWatch

Ending: TypeAlias = RenderResult | HyperFramesClientError
"""A result, or an error to raise or to record: `RenderFailed`, `RenderCancelled`, or another for a result that cannot be read."""


def read_ending(
    execution: Execution,
    history: History,
    reports: Sequence[ChunkProgress],
    memory: Mapping[str, int],
    *,
    with_log: bool = False,
    with_console: bool = True,
) -> Steps[Ending]:
    """Return how an execution in a terminal state ended.

    :param history: its complete history
    :param reports: the chunks' last reports, needed for a distributed Map
    :param memory: `memory_mb` and `coordinator_memory_mb` of the functions, for the cost
    :param with_log: whether a failure includes the end of the log, which costs a call or two
    :param with_console: whether a failure includes the URL of the AWS console
    """
    if execution.status is Status.SUCCEEDED:
        try:
            return result_of(execution, history, reports, **memory)
        except HyperFramesClientError as error:
            return error
    child = yield from map_runs.failing_child(execution)
    if execution.cancelled or (child is not None and child.execution.cancelled):
        return RenderCancelled(cancelled_text(execution), execution_arn=execution.arn, cause=execution.cause)
    failure = failure_of(execution, history) if child is None else failure_of(child.execution, child.history)
    if with_log:
        tail = yield from logs.tail(failure.log_group, failure.since, failure.until, containing=execution.name)
        failure = replace(failure, log_tail=tail)
    return RenderFailed(failure, execution_arn=execution.arn, text=failure_text(failure, execution.arn, with_console=with_console))


def conclude(execution_arn: str, *, with_console: bool = True) -> Steps[RenderResult]:
    """Return the result of an execution that has ended, or raise `RenderFailed` or `RenderCancelled`."""
    watch = RenderWatch(execution_arn)
    execution = (yield from watch.poll()).execution
    if not execution.status.terminal:
        raise HyperFramesClientError(f"{execution_arn} is still {execution.status}")
    memory = {"memory_mb": watch.memory_mb, "coordinator_memory_mb": watch.coordinator_memory_mb}
    ending = yield from read_ending(execution, watch.history, watch.reports, memory, with_log=True, with_console=with_console)
    if isinstance(ending, RenderResult):
        return ending
    raise ending
