"""Decide, from the time that frames have taken so far, whether the rest of an invocation's time is enough."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from enum import Enum

_CLOSING_SECONDS = 1.0
_CLOSING_PART = 0.03
"""Share of an invocation's time reserved for ending the encoder and verifying, at least a second, until a measurement replaces it."""

_CLOSING_MARGIN = 1.5
"""Factor on the longest measured closing time."""


class Verdict(Enum):
    """Decision on the segment being drawn."""

    GO_ON = "go on"
    DROP = "drop"
    """It cannot be finished in time and others were finished: the next invocation draws it as a whole."""
    CLOSE = "close"
    """Time is up and nothing has been finished: end it here, so that the next invocation begins further on."""


class Pace:
    """Measures a run of segments against a deadline on the monotonic clock; None means no deadline.

    `progressed` is set once any process of the invocation has finished a segment.
    """

    def __init__(
        self, deadline: float | None, progressed: threading.Event | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.progressed = progressed or threading.Event()
        self._deadline = deadline
        self._clock = clock
        self._closing = _CLOSING_SECONDS
        if deadline is not None:
            self._closing = max(_CLOSING_SECONDS, _CLOSING_PART * (deadline - clock()))
        self._started = self._latest = 0.0
        self._frames = 0

    def start(self) -> None:
        """Start the clock, just before the first frame."""
        self._started = self._latest = self._clock()

    def drew(self) -> None:
        """Count a drawn frame."""
        self._frames += 1
        self._latest = self._clock()

    def closed(self, seconds: float) -> None:
        """Record how long closing a segment took."""
        self._closing = max(self._closing, _CLOSING_MARGIN * seconds)

    def may_begin(self, frames: int) -> bool:
        """Whether a segment of `frames` frames can be finished in time. The first segment of an invocation always begins."""
        return self._deadline is None or not self.progressed.is_set() or self._expected(frames) <= self._left()

    def verdict(self, frames: int) -> Verdict:
        """Decide on a segment with at least one frame drawn and `frames` frames left."""
        if self._deadline is None:
            return Verdict.GO_ON
        if self.progressed.is_set():
            return Verdict.GO_ON if self._expected(frames) <= self._left() else Verdict.DROP
        return Verdict.GO_ON if self._expected(1) <= self._left() else Verdict.CLOSE

    def _expected(self, frames: int) -> float:
        return frames * (self._latest - self._started) / self._frames if self._frames else 0.0

    def _left(self) -> float:
        return 0.0 if self._deadline is None else self._deadline - self._clock() - self._closing
