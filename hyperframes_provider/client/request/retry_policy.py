"""Retries of the state machine: the error table's four kinds of retry as Step Functions retriers.

`cfn/render.asl.json` contains these lists literally, because CloudFormation reads a file; a test compares the file with `retriers()`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hyperframes_lambda.contract.errors import ERROR_TABLE, ErrorCode, Retry


@dataclass(frozen=True)
class Backoff:
    """Attempts after the first, and the waits between them in seconds. Each wait is a random share of the computed one."""

    attempts: int
    first: int = 1
    rate: float = 2.0
    longest: int = 30


BACKOFF: dict[Retry, Backoff] = {
    # More than six hours, enough for other renders to release the concurrency. Each attempt adds three events, and forty chunks share a
    # history of at most 25,000, hence long waits rather than many. With many chunks waiting at random, a free slot is taken within seconds.
    Retry.THROTTLED: Backoff(attempts=160, first=2, longest=300),
    Retry.TRANSIENT: Backoff(attempts=3),
    Retry.LOST: Backoff(attempts=3, longest=60),
}
"""Backoff for each kind of retry; `Retry.NEVER` has none."""

UNKNOWN = Backoff(attempts=2)
"""Backoff for an error that is not in the table."""


def attempts(error: str) -> int:
    """Return how often a task that fails with `error` is tried, the first time included."""
    spec = ERROR_TABLE.get(ErrorCode(error)) if error in ErrorCode.__members__.values() else None
    if spec is None:
        return 1 + UNKNOWN.attempts
    return 1 if spec.retry is Retry.NEVER else 1 + BACKOFF[spec.retry].attempts


def retriers() -> list[dict[str, Any]]:
    """Return the `Retry` list of every task. Step Functions uses the first retrier that names the error, so `States.ALL` is last."""
    never = {"ErrorEquals": _codes(Retry.NEVER), "MaxAttempts": 0}
    return [never, *(_retrier(_codes(retry), backoff) for retry, backoff in BACKOFF.items()), _retrier(["States.ALL"], UNKNOWN)]


def _codes(retry: Retry) -> list[str]:
    return [code.value for code, spec in ERROR_TABLE.items() if spec.retry is retry]


def _retrier(errors: list[str], backoff: Backoff) -> dict[str, Any]:
    return {
        "ErrorEquals": errors,
        "IntervalSeconds": backoff.first,
        "MaxAttempts": backoff.attempts,
        "BackoffRate": backoff.rate,
        "MaxDelaySeconds": backoff.longest,
        "JitterStrategy": "FULL",
    }
