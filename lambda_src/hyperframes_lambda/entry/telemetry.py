"""Figures about each invocation for CloudWatch, in embedded metric format: one line of JSON on stdout, no call and no permission.

The dimensions are the stack (`service`) and the role. What would make a metric of its own each, such as the render, goes beside them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import StrEnum

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from hyperframes_lambda.contract.errors import ErrorCode, RenderError, Retry
from hyperframes_lambda.contract.events import AssembleResult, PlanResult, RenderChunkResult
from hyperframes_lambda.contract.prices import PRICES

NAMESPACE = "HyperFrames"

_DEFAULT_MEMORY_MB = 10_240
"""Off Lambda, where the environment does not say."""


class Metric(StrEnum):
    """Names of the metrics; the template's dashboard and alarms use them."""

    CHUNKS = "Chunks"
    """That a plan has."""
    FRAMES = "Frames"
    """That an invocation rendered."""
    FRAMES_PER_SECOND = "FramesPerSecond"
    """Of an invocation, with all that it did besides."""
    CAPTURE = "CaptureMs"
    ENCODE = "EncodeMs"
    """Of all workers of an invocation together; encoding overlaps with capturing."""
    DURATION = "DurationMs"
    COLD_START = "ColdStart"
    """1 for the first invocation of a sandbox, else 0."""
    CHECKPOINT = "Checkpoint"
    """1 for an invocation that stopped before its deadline and left the rest of its chunk to the next one."""
    REUSED = "Reused"
    """1 for a plan or a chunk that was there already."""
    OUTPUT = "OutputBytes"
    FAILURE = "Failure"
    """1 for an invocation that failed, 0 for one that was cancelled."""
    RETRYABLE_FAILURE = "RetryableFailure"
    """Those of the failures that the state machine repeats."""
    COST = "EstimatedCost"
    """US dollars of Lambda, at list price."""


_UNITS = {
    Metric.FRAMES_PER_SECOND: MetricUnit.CountPerSecond,
    Metric.CAPTURE: MetricUnit.Milliseconds,
    Metric.ENCODE: MetricUnit.Milliseconds,
    Metric.DURATION: MetricUnit.Milliseconds,
    Metric.OUTPUT: MetricUnit.Bytes,
    Metric.COST: MetricUnit.NoUnit,
}


def record(result: PlanResult | RenderChunkResult | AssembleResult, *, render: str) -> None:
    """Tell what an invocation did. `render` is the render's prefix in S3."""
    match result:
        case PlanResult():
            own = {Metric.CHUNKS: result.chunk_count, Metric.REUSED: result.reused}
            _emit("plan", {**_common(result), **own}, render=render, plan=result.plan_hash)
        case RenderChunkResult():
            _emit("renderChunk", {**_common(result), **_chunk(result)}, render=render, chunk=str(result.chunk_index))
        case AssembleResult():
            _emit("assemble", {**_common(result), Metric.OUTPUT: result.file_size}, render=render, plan=result.plan_hash)


def record_failure(role: str, error: Exception, seconds: float, *, render: str) -> None:
    """Tell that an invocation failed, or was cancelled, after `seconds`."""
    # An error that is not in the table is repeated, too.
    repeated, code = True, type(error).__name__
    if isinstance(error, RenderError):
        repeated, code = error.spec.retry is not Retry.NEVER, error.code.value
    failed = code != ErrorCode.RENDER_CANCELLED
    values = {Metric.FAILURE: float(failed), Metric.RETRYABLE_FAILURE: float(repeated), Metric.COST: _cost(seconds)}
    _emit(role, values, render=render, code=code)


def _common(result: PlanResult | RenderChunkResult | AssembleResult) -> dict[Metric, float]:
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
