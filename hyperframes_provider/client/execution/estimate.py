"""What a render will take and cost, before anything is paid for: from what a frame takes on this machine. Pure arithmetic.

The frame's cost is measured by the engine in a process of its own (`python -m hyperframes_lambda.authoring measure`); how the render is
cut is decided by the same arithmetic that Plan uses.
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
"""Seconds of a Lambda vCPU for a second of a processor of this machine.

Not measured: AWS calls a vCPU a hardware thread and does not say of which processor. A finished render tells: its plan's `sizing` has the
milliseconds that a frame took there.
"""


@dataclass(frozen=True)
class RenderEstimate:
    """What a render is expected to take."""

    seconds: float
    """From start to video: Plan, the chunks, Assemble."""
    cost_usd: float
    chunks: int
    at_once: int
    """Chunks that are rendered at the same time."""
    workers: int
    """Processes that draw within one invocation."""
    frames: int
    lambda_seconds: float
    """Billed, of all functions together."""
    sizing: str
    """Why it is cut so."""
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
    """The estimate for a stack whose function has `memory_mb` and `timeout` seconds.

    :param concurrency: invocations that may run at once; None while that is unknown
    :param vcpu_factor: see `VCPU_FACTOR`
    """
    if vcpu_factor <= 0:
        raise InvalidRequest(f"vcpu_factor: {vcpu_factor} is not accepted", hint="Accepted: a number above 0, such as 1.3.")
    frame = FrameCost(measured.capture * vcpu_factor, measured.worst * vcpu_factor, measured.encode * vcpu_factor)
    wishes = Wishes(config.chunk_size, config.max_parallel_chunks, config.target_chunk_frames, concurrency)
    sizing = (
        choose(measured.frames, measured.width * measured.height, frame, Machine.of_function(memory_mb, timeout), wishes)
        if measured.frames
        else Sizing([], 1, 0, 1, 0.0, "no chunks: sound has no pictures to draw")
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
    source = "assumed, not measured" if factor == VCPU_FACTOR else "as given"
    at_once = "not asked: as many as a render asks for" if concurrency is None else f"{concurrency:,}"
    return [
        f"a frame takes {measured.capture * 1000:.0f} ms here, {measured.worst * 1000:.0f} ms at worst, and {measured.encode * 1000:.0f} "
        "ms of a processor to encode; measured on a few frames, with this machine as busy as it is",
        f"a Lambda vCPU takes {factor:g} times as long as a processor here ({source}; --vcpu-factor says otherwise)",
        f"every invocation begins in a cold sandbox, {START_SECONDS:g} s; Assemble takes {ASSEMBLE_SECONDS:g} s",
        f"invocations at once: {at_once}",
        f"list prices of {prices.region} on {prices.as_of}, without free tiers, transfer and storage; no retries",
    ]


def document(found: RenderEstimate, measured: MeasuredProject) -> dict[str, Any]:
    """The estimate and what it rests on, as JSON."""
    return {**found.__dict__, "assumptions": list(found.assumptions), "measured": measured.model_dump(mode="json")}
