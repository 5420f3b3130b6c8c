"""What a render costs: pure arithmetic over its attempts. An estimate at list prices, without free tiers, transfer and storage."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

from hyperframes_lambda.contract.events import ChunkProgress, PlanResult
from hyperframes_provider.client.history import History


@dataclass(frozen=True)
class Prices:
    """US dollars, list prices of one region on one day."""

    as_of: date
    region: str
    lambda_gb_second: float
    """Memory of an x86 function, first tier."""
    lambda_storage_gb_second: float
    """Scratch space beyond the 512 MB that are included."""
    lambda_request: float
    state_transition: float
    """A STANDARD workflow's."""
    s3_put: float


PRICES = Prices(
    as_of=date(2025, 7, 1),
    region="us-east-1",
    lambda_gb_second=0.0000166667,
    lambda_storage_gb_second=0.0000000309,
    lambda_request=0.20 / 1_000_000,
    state_transition=0.025 / 1_000,
    s3_put=0.005 / 1_000,
)
"""The one price table. Other regions differ by up to a third; the estimate does not follow them."""

DEFAULT_MEMORY_MB = 10_240
STORAGE_MB = 10_240
"""What the template gives the function."""
_STORAGE_INCLUDED_MB = 512
_PUTS_OF_PLAN = 10
_PUTS_OF_CHUNK = 3
"""A segment, its record and its sidecar."""
_PROGRESS_INTERVAL = 1.5
"""Seconds between two reports of a chunk."""
_STATES_OF_INVOCATION = 2
"""The task, and the choice whether it is complete; a further one ends the chunk."""
_STATES_OF_PARENT = 4
"""Plan, the choice of the Map, the Map, Assemble."""
_ASSEMBLE_SECONDS = 5.0
"""What joining the segments of an ordinary video takes."""


@dataclass(frozen=True)
class Usage:
    """What is billed."""

    lambda_seconds: float
    """Of the function that renders chunks."""
    invocations: int
    """Of both functions."""
    transitions: int
    puts: int
    coordinator_seconds: float = 0.0
    """Of the function that plans and assembles; by default the two are one."""


def usage_of(history: History, now: datetime, reports: Iterable[ChunkProgress] = ()) -> Usage:
    """What an execution has used: finished attempts as they were, running ones until `now`, throttled ones not at all.

    :param reports: what the chunks say of themselves. It is asked only where the history does not know: for a distributed Map's
    """
    seconds = {True: 0.0, False: 0.0}
    puts = 0
    for attempt in history.attempts:
        if attempt.throttled:
            continue
        spent = max(0.0, ((attempt.ended or now) - attempt.started).total_seconds())
        seconds[attempt.chunk is None] += spent
        puts += _PUTS_OF_PLAN if attempt.chunk is None else _puts(spent)
    invocations = history.invocations
    transitions = history.transitions + len(history.retries) + history.throttled
    if history.map_run_arn:
        for report in reports:
            seconds[False] += report.billed_seconds
            invocations += report.invocations
            transitions += _STATES_OF_INVOCATION * report.invocations + report.complete
            puts += _puts(report.billed_seconds)
    return Usage(seconds[False], invocations, transitions, puts, seconds[True])


def estimate_of(plan: PlanResult) -> Usage:
    """What a render will use, as far as its plan can say: chunks as long as they are expected to take, and no fault."""
    waves = math.ceil(plan.chunk_count / max(1, plan.max_parallel_chunks))
    chunk = plan.estimated_seconds / max(1, waves)
    return Usage(
        lambda_seconds=plan.chunk_count * chunk,
        invocations=plan.chunk_count + 2,
        transitions=_STATES_OF_PARENT + plan.chunk_count * (_STATES_OF_INVOCATION + 1),
        puts=_PUTS_OF_PLAN + plan.chunk_count * _puts(chunk),
        coordinator_seconds=plan.duration_ms / 1000 + _ASSEMBLE_SECONDS,
    )


def cost(usage: Usage, *, memory_mb: int = DEFAULT_MEMORY_MB, coordinator_memory_mb: int | None = None, prices: Prices = PRICES) -> float:
    """US dollars. Lambda bills memory and scratch space by the millisecond, in GB of 1024 MB.

    :param memory_mb: memory of the function that renders chunks
    :param coordinator_memory_mb: memory of the function that plans and assembles; None: the same function
    """
    coordinator = memory_mb if coordinator_memory_mb is None else coordinator_memory_mb
    return (
        usage.lambda_seconds * _per_second(memory_mb, prices)
        + usage.coordinator_seconds * _per_second(coordinator, prices)
        + usage.invocations * prices.lambda_request
        + usage.transitions * prices.state_transition
        + usage.puts * prices.s3_put
    )


def _per_second(memory_mb: int, prices: Prices) -> float:
    storage_gb = (STORAGE_MB - _STORAGE_INCLUDED_MB) / 1024
    return memory_mb / 1024 * prices.lambda_gb_second + storage_gb * prices.lambda_storage_gb_second


def _puts(seconds: float) -> int:
    return _PUTS_OF_CHUNK + math.ceil(seconds / _PROGRESS_INTERVAL)
