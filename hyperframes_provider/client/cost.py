"""What a render costs: pure arithmetic over its attempts. An estimate at list prices, without free tiers, transfer and storage."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, datetime

from hyperframes_lambda.contract.errors import ErrorCode
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
_PUTS_OF_CHUNK = 2
"""A segment and its sidecar."""
_PROGRESS_INTERVAL = 1.5
"""Seconds between two reports of a chunk."""
_THROTTLED = ErrorCode.LAMBDA_TOO_MANY_REQUESTS.value


@dataclass(frozen=True)
class Usage:
    """What is billed."""

    lambda_seconds: float
    invocations: int
    transitions: int
    puts: int


def usage_of(history: History, now: datetime) -> Usage:
    """What an execution has used: finished attempts as they were, running ones until `now`, throttled ones not at all."""
    seconds, invocations, puts = 0.0, 0, 0
    for attempt in history.attempts:
        if attempt.error == _THROTTLED:
            continue
        spent = max(0.0, ((attempt.ended or now) - attempt.started).total_seconds())
        seconds += spent
        invocations += 1
        puts += _PUTS_OF_PLAN if attempt.chunk is None else _PUTS_OF_CHUNK + math.ceil(spent / _PROGRESS_INTERVAL)
    return Usage(seconds, invocations, history.transitions + len(history.retries), puts)


def cost(usage: Usage, *, memory_mb: int = DEFAULT_MEMORY_MB, prices: Prices = PRICES) -> float:
    """US dollars. `memory_mb` is the function's; Lambda bills memory and scratch space by the millisecond, in GB of 1024 MB."""
    storage_gb = (STORAGE_MB - _STORAGE_INCLUDED_MB) / 1024
    per_second = memory_mb / 1024 * prices.lambda_gb_second + storage_gb * prices.lambda_storage_gb_second
    return (
        usage.lambda_seconds * per_second
        + usage.invocations * prices.lambda_request
        + usage.transitions * prices.state_transition
        + usage.puts * prices.s3_put
    )
