"""An estimate of a render's time and cost before anything is paid for, from the cost of a frame on this machine.

The engine measures a frame in a process of its own (`python -m hyperframes_lambda.authoring measure`). Chunks are cut by the arithmetic
that Plan uses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hyperframes_lambda.contract.authoring import MeasuredProject
from hyperframes_lambda.contract.config import RenderConfig
from hyperframes_lambda.contract.prices import PRICES, Prices
from hyperframes_lambda.contract.sizing import START_SECONDS, FrameCost, Machine, Sizing, Wishes, choose
from hyperframes_provider.client.aws.errors import InvalidRequest
from hyperframes_provider.client.execution.cost import ASSEMBLE_SECONDS, cost, expected_usage

VCPU_FACTOR = 1.0
"""Seconds of a Lambda vCPU per second of a processor of this machine.

This is an assumption: AWS calls a vCPU a hardware thread and does not name the processor. The `sizing` of a finished render's plan has the
milliseconds that a frame took there.
"""


@dataclass(frozen=True)
class RenderEstimate:
    """The expected time and cost of a render."""

    seconds: float
    """Time for Plan, the chunks and Assemble."""
    cost_usd: float
    chunks: int
    at_once: int
    """Chunks that are rendered concurrently."""
    workers: int
    """Processes that draw within one invocation."""
    frames: int
    lambda_seconds: float
    """Billed seconds of all functions together."""
    sizing: str
    """Reason for the number of chunks and workers, as a sentence."""
    assumptions: tuple[str, ...]


def estimate(
    measured: MeasuredProject,
    config: RenderConfig,
    *,
    memory_mb: int,
    timeout: float,
    coordinator_memory_mb: int | None = None,
    concurrency: int | None = None,
    vcpu_factor: float = VCPU_FACTOR,
    prices: Prices = PRICES,
) -> RenderEstimate:
    """Estimate a render on a stack whose function has `memory_mb` and a timeout in seconds.

    :param concurrency: invocations that may run at once; None if unknown
    :param vcpu_factor: see `VCPU_FACTOR`
    """
    if vcpu_factor <= 0:
        raise InvalidRequest(f"vcpu_factor: {vcpu_factor} is not accepted", hint="Pass a number above 0, such as 1.3.")
    frame = FrameCost(measured.capture * vcpu_factor, measured.worst * vcpu_factor, measured.encode * vcpu_factor)
    wishes = Wishes(config.chunk_size, config.max_parallel_chunks, config.target_chunk_frames, concurrency)
    sizing = (
        choose(measured.frames, measured.width * measured.height, frame, Machine.of_function(memory_mb, timeout), wishes)
        if measured.frames
        else Sizing([], 1, 0, 1, 0.0, "no chunks: sound has no frames to draw")
    )
    plan_seconds = START_SECONDS + measured.plan_seconds * vcpu_factor
    usage = expected_usage(len(sizing.chunks), sizing.max_parallel, sizing.seconds, plan_seconds=plan_seconds)
    return RenderEstimate(
        seconds=round(plan_seconds + sizing.seconds + ASSEMBLE_SECONDS, 1),
        cost_usd=round(cost(usage, memory_mb=memory_mb, coordinator_memory_mb=coordinator_memory_mb, prices=prices), 6),
        chunks=len(sizing.chunks),
        at_once=min(sizing.max_parallel, len(sizing.chunks)),
        workers=sizing.workers,
        frames=measured.frames,
        lambda_seconds=round(usage.lambda_seconds + usage.coordinator_seconds, 1),
        sizing=sizing.reason,
        assumptions=tuple(_assumptions(measured, vcpu_factor, concurrency, prices)),
    )


def _assumptions(measured: MeasuredProject, factor: float, concurrency: int | None, prices: Prices) -> list[str]:
    source = "assumed, not measured" if factor == VCPU_FACTOR else "given"
    at_once = "unknown: as many as the render requests" if concurrency is None else f"{concurrency:,}"
    return [
        f"a frame takes {measured.capture * 1000:.0f} ms here, {measured.worst * 1000:.0f} ms at worst, and {measured.encode * 1000:.0f} "
        "ms of a processor to encode; measured on a few frames, at the machine's current load",
        f"a Lambda vCPU takes {factor:g} times as long as a processor here ({source}; set it with --vcpu-factor)",
        f"every invocation starts cold, which takes {START_SECONDS:g} s; Assemble takes {ASSEMBLE_SECONDS:g} s",
        f"invocations at once: {at_once}",
        f"list prices of {prices.region} on {prices.as_of}, without free tiers, transfer and storage; no retries",
    ]


def document(found: RenderEstimate, measured: MeasuredProject) -> dict[str, Any]:
    """Return the estimate and its measurements as a JSON object."""
    return {**found.__dict__, "assumptions": list(found.assumptions), "measured": measured.model_dump(mode="json")}
