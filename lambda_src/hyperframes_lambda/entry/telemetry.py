"""Metrics about each invocation in CloudWatch's embedded metric format: one line of JSON on stdout, without a call or a permission.

The dimensions are the stack (`service`) and the role. The render is metadata, because as a dimension it would make a metric of its own.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import StrEnum

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from hyperframes_lambda.contract.errors import ErrorCode, RenderError, Retry
from hyperframes_lambda.contract.events import AssembleResult, PlanResult, RenderChunkResult, Result
from hyperframes_lambda.contract.prices import PRICES

NAMESPACE = "HyperFrames"

_DEFAULT_MEMORY_MB = 10_240
"""Memory to bill outside Lambda."""


class Metric(StrEnum):
    """Names of the metrics, as the template's dashboard and alarms use them."""

    CHUNKS = "Chunks"
    """Chunks of a plan."""
    FRAMES = "Frames"
    """Frames that an invocation rendered."""
    FRAMES_PER_SECOND = "FramesPerSecond"
    """Frames of an invocation, divided by its whole duration."""
    CAPTURE = "CaptureMs"
    ENCODE = "EncodeMs"
    """Sum over all workers of an invocation, like `CaptureMs`; encoding overlaps with capturing."""
    DURATION = "DurationMs"
    COLD_START = "ColdStart"
    """1 for the first invocation of a sandbox, else 0."""
    CHECKPOINT = "Checkpoint"
    """1 for an invocation that stopped at its deadline and left the rest of its chunk to the next one."""
    REUSED = "Reused"
    """1 for a plan or a chunk that existed already."""
    OUTPUT = "OutputBytes"
    FAILURE = "Failure"
    """1 for an invocation that failed, 0 for one that was cancelled."""
    RETRYABLE_FAILURE = "RetryableFailure"
    """1 for a failure that the state machine retries, else 0."""
    COST = "EstimatedCost"
    """Lambda's price in US dollars, at list price."""


_UNITS = {
    Metric.FRAMES_PER_SECOND: MetricUnit.CountPerSecond,
    Metric.CAPTURE: MetricUnit.Milliseconds,
    Metric.ENCODE: MetricUnit.Milliseconds,
    Metric.DURATION: MetricUnit.Milliseconds,
    Metric.OUTPUT: MetricUnit.Bytes,
    Metric.COST: MetricUnit.NoUnit,
}


def record(result: Result, *, render: str) -> None:
    """Write the metrics of a finished invocation. `render` is the render's prefix in S3."""
    match result:
        case PlanResult():
            own = {Metric.CHUNKS: result.chunk_count, Metric.REUSED: result.reused}
            _emit("plan", {**_common(result), **own}, render=render, plan=result.plan_hash)
        case RenderChunkResult():
            _emit("renderChunk", {**_common(result), **_chunk(result)}, render=render, chunk=str(result.chunk_index))
        case AssembleResult():
            _emit("assemble", {**_common(result), Metric.OUTPUT: result.file_size}, render=render, plan=result.plan_hash)


def record_failure(role: str, error: Exception, seconds: float, *, render: str) -> None:
    """Write the metrics of an invocation that failed, or was cancelled, after `seconds`."""
    # The state machine retries an error that is not in the table, too.
    retried, code = True, type(error).__name__
    if isinstance(error, RenderError):
        retried, code = error.code.retry is not Retry.NEVER, error.code.value
    failed = code != ErrorCode.RENDER_CANCELLED
    values = {Metric.FAILURE: float(failed), Metric.RETRYABLE_FAILURE: float(retried), Metric.COST: _cost(seconds)}
    _emit(role, values, render=render, code=code)


def _common(result: Result) -> dict[Metric, float]:
    return {
        Metric.DURATION: result.duration_ms,
        Metric.COLD_START: result.cold_start,
        Metric.COST: _cost(result.duration_ms / 1000),
    }


def _chunk(result: RenderChunkResult) -> dict[Metric, float]:
    values: dict[Metric, float] = {
        Metric.FRAMES: result.frames_rendered,
        Metric.CAPTURE: result.capture_ms,
        Metric.ENCODE: result.encode_ms,
        Metric.CHECKPOINT: not result.complete,
        Metric.REUSED: result.reused,
    }
    if result.frames_rendered and result.duration_ms:
        values[Metric.FRAMES_PER_SECOND] = result.frames_rendered / (result.duration_ms / 1000)
    return values


def _cost(seconds: float) -> float:
    return PRICES.invocation(seconds, int(os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", _DEFAULT_MEMORY_MB)))


def _emit(role: str, values: Mapping[Metric, float], **beside: str) -> None:
    metrics = EphemeralMetrics(namespace=NAMESPACE, service=os.environ.get("POWERTOOLS_SERVICE_NAME", "hyperframes"))
    metrics.add_dimension(name="role", value=role)
    for name, value in values.items():
        metrics.add_metric(name=name.value, unit=_UNITS.get(name, MetricUnit.Count), value=float(value))
    for key, text in beside.items():
        metrics.add_metadata(key=key, value=text)
    metrics.flush_metrics()
