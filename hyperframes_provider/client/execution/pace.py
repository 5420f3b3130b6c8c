"""Pacing of polls, and patience with errors that may pass."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from hyperframes_provider.client.aws.calls import Pause, Steps
from hyperframes_provider.client.aws.errors import ExecutionNotFound, HyperFramesClientError, Throttled, typed_errors

T = TypeVar("T")

_GROWTH = 1.3
_NEAR_THE_END = 2.0
_JITTER = 0.4
_ERRORS = 12
_UNKNOWN_EXECUTION = 4
_LONGEST_AFTER_ERROR = 30.0


@dataclass
class Pace:
    """Seconds between polls: short at first, growing to `longest`, with jitter so that waiting tasks do not poll in step."""

    longest: float
    spread: Callable[[], float] = random.random
    """Return a number from 0 to 1."""
    _next: float = 1.0
    _errors: int = 0

    def after_answer(self, eta: float | None = None) -> float:
        """Return the seconds until the next poll, with the end `eta` seconds away no more than that."""
        self._errors = 0
        delay, self._next = min(self._next, self.longest), min(self._next * _GROWTH, self.longest)
        if eta is not None:
            delay = min(delay, max(_NEAR_THE_END, eta))
        return delay * (1 + _JITTER * (self.spread() - 0.5))

    def after_error(self, error: HyperFramesClientError) -> float:
        """Return the seconds until the failed poll is repeated; raise `error` once that is pointless.

        Throttling is waited out however long it takes. A new execution may be unknown for a moment, because DescribeExecution is eventually
        consistent. Any other retryable error gets some minutes.
        """
        self._errors += 1
        unknown = isinstance(error, ExecutionNotFound)
        if not (unknown or error.retryable):
            raise error
        if self._errors > (_UNKNOWN_EXECUTION if unknown else _ERRORS) and not isinstance(error, Throttled):
            raise error
        return float(min(_LONGEST_AFTER_ERROR, 2 ** min(self._errors - 1, 10))) * (0.5 + 0.5 * self.spread())


def patiently(
    look: Callable[[], Steps[T]],
    pace: Pace,
    *,
    warn: Callable[[str], None] = lambda _: None,
    bound: Callable[[float], float] = lambda seconds: seconds,
) -> Steps[T]:
    """Hold the conversation that `look` begins, and repeat it after errors as `pace` allows.

    :param warn: called with a line about each error that is waited out
    :param bound: shortens a pause to a deadline, or raises past it
    """
    while True:
        try:
            with typed_errors():
                return (yield from look())
        except HyperFramesClientError as error:
            delay = pace.after_error(error)
            warn(f"asking again in {delay:.0f} s: {error.message}")
        yield Pause(bound(delay))
