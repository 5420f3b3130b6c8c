"""What a finished render hands on, in the shape of the XCom."""

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
    """A finished render: small, and without a presigned URL, because an XCom is not masked."""

    output_uri: str
    frames: int
    duration: float
    """Seconds of video."""
    width: int
    height: int
    """Pixels."""
    bytes: int
    """Size of the output."""
    chunks: int
    chunks_reused: int
    """Chunks that an earlier execution of the same render had finished."""
    retries: int
    """Tasks that were tried again because they had failed."""
    seconds: float
    """From the start of the execution to its end."""
    cost_usd: float
    """An estimate at list prices, see `client.cost`."""
    plan_hash: str
    execution_arn: str
    renderer: str
    """Version of the deployed renderer."""
    throttled: int = 0
    """Invocations that Lambda refused because too many were running, and that were tried again later. Of chunks that are executions of
    their own, as with more than 40, nobody counts them."""
    invocations: int = 0
    """Invocations that ran. A chunk that outlasts one needs several, without any having failed."""
    workers: int = 1
    """Processes that drew within one invocation, at most."""
    sizing: str = ""
    """Why there were so many chunks and workers, as a sentence."""
    verification: dict[str, Any] = field(default_factory=dict)
    """What the verification found: frames compared with the captured ones, the largest difference, the sound's peak and so on."""
    sidecars: dict[str, str] = field(default_factory=dict)
    """URIs of what was made beside the output, by name: `poster`, `contact-sheet`, `report`, `captions.vtt`…"""

    def to_xcom(self) -> dict[str, Any]:
        """The JSON object that operator and sensor return."""
        return asdict(self)


def result_of(
    execution: Execution,
    history: History,
    reports: Sequence[ChunkProgress] = (),
    *,
    memory_mb: int = DEFAULT_MEMORY_MB,
    coordinator_memory_mb: int | None = None,
) -> RenderResult:
    """The result of a succeeded execution; `HyperFramesClientError` when its output is not an assembled render's.

    :param reports: the last words of the chunks, which say what the history does not know of a distributed Map's
    """
    try:
        output = json.loads(execution.output)
        assembled = history.dialect.assembled_of(output if isinstance(output, dict) else {}, history.plan)
    except ValueError as error:  # no JSON, or a ValidationError
        what = f"{error.error_count()} fields are missing or wrong" if isinstance(error, ValidationError) else str(error)
        raise HyperFramesClientError(
            f"the output of {execution.arn} is not a render's result: {what}",
            hint="Is the deployed stack of another version than this provider?",
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
