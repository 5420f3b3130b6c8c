"""The result of a finished render, in the shape of the XCom."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from pydantic import ValidationError

from hyperframes_lambda.contract.events import ChunkProgress
from hyperframes_provider.client.aws.errors import HyperFramesClientError
from hyperframes_provider.client.execution.cost import DEFAULT_MEMORY_MB, cost, usage_of
from hyperframes_provider.client.execution.executions import Execution
from hyperframes_provider.client.execution.history import History


@dataclass(frozen=True)
class RenderResult:
    """A finished render. It is small, and has no presigned URL, because an XCom is not masked."""

    output_uri: str
    frames: int
    duration: float
    """Seconds of video or sound."""
    width: int
    height: int
    """Pixels."""
    bytes: int
    """Size of the output in bytes."""
    chunks: int
    chunks_reused: int
    """Chunks that an earlier execution of the same render had finished already."""
    retries: int
    """Retries of failed tasks."""
    seconds: float
    """Duration of the execution."""
    cost_usd: float
    """Estimated cost at list prices, see `execution.cost`."""
    plan_hash: str
    execution_arn: str
    renderer: str
    """Version of the deployed renderer."""
    throttled: int = 0
    """Invocations that Lambda throttled and that were repeated. They are not counted for chunks of a distributed Map (more than 40)."""
    invocations: int = 0
    """Invocations that ran. A long chunk needs several without any having failed."""
    workers: int = 1
    """Most processes that drew within one invocation."""
    sizing: str = ""
    """Reason for the number of chunks and workers, as a sentence."""
    verification: dict[str, Any] = field(default_factory=dict)
    """Findings of the verification: compared frames, their largest difference, the sound's peak and others."""
    sidecars: dict[str, str] = field(default_factory=dict)
    """URIs of the sidecars by name: `poster`, `contact-sheet`, `report`, `captions.vtt`…"""

    def to_xcom(self) -> dict[str, Any]:
        """Return the JSON object that operator and sensor return."""
        return asdict(self)


def result_of(
    execution: Execution,
    history: History,
    reports: Sequence[ChunkProgress] = (),
    *,
    memory_mb: int = DEFAULT_MEMORY_MB,
    coordinator_memory_mb: int | None = None,
) -> RenderResult:
    """Return the result of a succeeded execution; raise `HyperFramesClientError` if its output is not that of a render.

    :param reports: the last reports of the chunks, which the history of a distributed Map lacks
    """
    try:
        output = json.loads(execution.output)
        assembled = history.dialect.assembled_of(output if isinstance(output, dict) else {}, history.plan)
    except ValueError as error:  # no JSON, or a ValidationError
        what = f"{error.error_count()} fields are missing or wrong" if isinstance(error, ValidationError) else str(error)
        raise HyperFramesClientError(
            f"the output of {execution.arn} is not a render's result: {what}",
            hint="Check that the deployed stack has the version of this provider.",
        ) from error
    stopped = execution.stopped or execution.started
    usage = usage_of(history, stopped, reports)
    distributed = reports if history.map_run_arn else ()
    return RenderResult(
        output_uri=assembled.output_s3_uri,
        frames=assembled.frames_encoded,
        duration=assembled.duration,
        width=assembled.width,
        height=assembled.height,
        bytes=assembled.file_size,
        chunks=assembled.chunk_count,
        chunks_reused=len(history.reused_chunks) + sum(report.reused for report in distributed),
        retries=len(history.retries) + sum(max(0, report.invocations - report.checkpoints - 1) for report in distributed),
        seconds=round((stopped - execution.started).total_seconds(), 1),
        cost_usd=round(cost(usage, memory_mb=memory_mb, coordinator_memory_mb=coordinator_memory_mb), 6),
        plan_hash=assembled.plan_hash,
        execution_arn=execution.arn,
        renderer=assembled.renderer_version,
        throttled=history.throttled,
        invocations=usage.invocations,
        workers=assembled.workers,
        sizing=assembled.sizing,
        verification=assembled.verification,
        sidecars=assembled.sidecars,
    )
