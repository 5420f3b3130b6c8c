"""How often the state machine repeats a failed task: the error table's four kinds of retry turned into Step Functions retriers.

`cfn/render.asl.json` carries these lists written out, because CloudFormation reads a file; a test holds the file to `retriers()`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hyperframes_lambda.contract.errors import ErrorCode, Retry


@dataclass(frozen=True)
class Backoff:
    """Attempts after the first, and how the waits between them grow, in seconds. Every wait is a random share of the computed one."""

    attempts: int
    first: int = 1
    rate: float = 2.0
    longest: int = 30


BACKOFF: dict[Retry, Backoff] = {
    # More than six hours: whoever holds the concurrency is done by then. Each attempt leaves three events, and forty chunks share a history
    # that ends at 25,000, hence long waits rather than many. With many chunks waiting at random, a free place is found within seconds.
    Retry.THROTTLED: Backoff(attempts=160, first=2, longest=300),
    Retry.TRANSIENT: Backoff(attempts=3),
    Retry.LOST: Backoff(attempts=3, longest=60),
}
"""What each kind of retry is worth; `Retry.NEVER` has no row."""

UNKNOWN = Backoff(attempts=2)
"""For an error that is not in the table."""


def attempts(error: str) -> int:
    """How often a task that fails with `error` is tried in all, the first time included."""
    if error not in ErrorCode.__members__.values():
        return 1 + UNKNOWN.attempts
    retry = ErrorCode(error).retry
    return 1 if retry is Retry.NEVER else 1 + BACKOFF[retry].attempts


def retriers() -> list[dict[str, Any]]:
    """The `Retry` list of every task. Step Functions takes the first retrier that names the error, so `States.ALL` is last."""
    never = {"ErrorEquals": _codes(Retry.NEVER), "MaxAttempts": 0}
    return [never, *(_retrier(_codes(retry), backoff) for retry, backoff in BACKOFF.items()), _retrier(["States.ALL"], UNKNOWN)]


def _codes(retry: Retry) -> list[str]:
    return [code.value for code in ErrorCode if code.retry is retry]


def _retrier(errors: list[str], backoff: Backoff) -> dict[str, Any]:
    return {
        "ErrorEquals": errors,
        "IntervalSeconds": backoff.first,
        "MaxAttempts": backoff.attempts,
        "BackoffRate": backoff.rate,
        "MaxDelaySeconds": backoff.longest,
        "JitterStrategy": "FULL",
    }
