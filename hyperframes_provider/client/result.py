"""What a finished render hands on, in the shape of the XCom."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from pydantic import ValidationError

from hyperframes_provider.client.cost import DEFAULT_MEMORY_MB, cost, usage_of
from hyperframes_provider.client.errors import HyperFramesClientError
from hyperframes_provider.client.executions import Execution
from hyperframes_provider.client.history import History


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
    """Tasks that were tried again, throttling included."""
    seconds: float
    """From the start of the execution to its end."""
    cost_usd: float
    """An estimate at list prices, see `client.cost`."""
    plan_hash: str
    execution_arn: str
    renderer: str
    """Version of the deployed renderer."""
    verification: dict[str, Any] = field(default_factory=dict)
    """What the verification found: frames compared with the captured ones, the largest difference, the sound's peak and so on."""
    sidecars: dict[str, str] = field(default_factory=dict)
    """URIs of what was made beside the output, by name: `poster`, `contact-sheet`, `report`, `captions.vtt`…"""

    def to_xcom(self) -> dict[str, Any]:
        """The JSON object that operator and sensor return."""
        return asdict(self)


def result_of(execution: Execution, history: History, *, memory_mb: int = DEFAULT_MEMORY_MB) -> RenderResult:
    """The result of a succeeded execution; `HyperFramesClientError` when its output is not an assembled render's."""
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
    return RenderResult(
        output_uri=assembled.output_s3_uri,
        frames=assembled.frames_encoded,
        duration=assembled.duration,
        width=assembled.width,
        height=assembled.height,
        bytes=assembled.file_size,
        chunks=assembled.chunk_count,
        chunks_reused=len(history.reused_chunks),
        retries=len(history.retries),
        seconds=round((stopped - execution.started).total_seconds(), 1),
        cost_usd=round(cost(usage_of(history, stopped), memory_mb=memory_mb), 6),
        plan_hash=assembled.plan_hash,
        execution_arn=execution.arn,
        renderer=assembled.renderer_version,
        verification=assembled.verification,
        sidecars=assembled.sidecars,
    )
