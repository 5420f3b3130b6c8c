"""The cost of a render, from its attempts: an estimate at list prices, without free tiers, transfer and storage."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from hyperframes_lambda.contract.events import ChunkProgress, PlanResult
from hyperframes_lambda.contract.prices import PRICES, Prices
from hyperframes_provider.client.execution.history import History

DEFAULT_MEMORY_MB = 10_240
"""Memory that the template gives a function by default."""
_PUTS_OF_PLAN = 10
_PUTS_OF_CHUNK = 3
"""One for the segment, its record and its sidecar."""
_PROGRESS_INTERVAL = 1.5
"""Seconds between two reports by a chunk."""
_STATES_OF_INVOCATION = 2
"""The task, and the choice whether the chunk is complete; one more ends the chunk."""
_STATES_OF_PARENT = 4
"""Plan, the choice of the Map, the Map, Assemble."""
ASSEMBLE_SECONDS = 5.0
"""Duration of Assemble for an ordinary video."""


@dataclass(frozen=True)
class Usage:
    """The billed quantities of a render."""

    lambda_seconds: float
    """Seconds of the function that renders chunks."""
    invocations: int
    """Invocations of both functions."""
    transitions: int
    puts: int
    coordinator_seconds: float = 0.0
    """Seconds of the function that plans and assembles, by default the same function."""


def usage_of(history: History, now: datetime, reports: Iterable[ChunkProgress] = ()) -> Usage:
    """Return the usage of an execution: finished attempts, running ones until `now`, and no throttled ones.

    :param reports: the reports of the chunks, used only for a distributed Map, whose history lacks them
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
    """Return the usage that a plan predicts, without any fault."""
    return expected_usage(plan.chunk_count, plan.max_parallel_chunks, plan.estimated_seconds, plan_seconds=plan.duration_ms / 1000)


def expected_usage(chunks: int, at_once: int, seconds: float, *, plan_seconds: float) -> Usage:
    """Return the usage of a render without faults: `chunks`, `at_once` of them concurrently, are done after `seconds`."""
    waves = math.ceil(chunks / max(1, at_once))
    chunk = seconds / max(1, waves)
    return Usage(
        lambda_seconds=chunks * chunk,
        invocations=chunks + 2,
        transitions=_STATES_OF_PARENT + chunks * (_STATES_OF_INVOCATION + 1),
        puts=_PUTS_OF_PLAN + chunks * _puts(chunk),
        coordinator_seconds=plan_seconds + ASSEMBLE_SECONDS,
    )


def cost(usage: Usage, *, memory_mb: int = DEFAULT_MEMORY_MB, coordinator_memory_mb: int | None = None, prices: Prices = PRICES) -> float:
    """Return the cost in US dollars. Lambda bills memory and scratch space by the millisecond, in GB of 1024 MB.

    :param memory_mb: memory of the function that renders chunks
    :param coordinator_memory_mb: memory of the function that plans and assembles; None: the same function
    """
    coordinator = memory_mb if coordinator_memory_mb is None else coordinator_memory_mb
    return (
        usage.lambda_seconds * prices.lambda_second(memory_mb)
        + usage.coordinator_seconds * prices.lambda_second(coordinator)
        + usage.invocations * prices.lambda_request
        + usage.transitions * prices.state_transition
        + usage.puts * prices.s3_put
    )


def _puts(seconds: float) -> int:
    return _PUTS_OF_CHUNK + math.ceil(seconds / _PROGRESS_INTERVAL)
