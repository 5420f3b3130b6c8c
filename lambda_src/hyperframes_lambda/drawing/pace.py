"""Whether what is left of an invocation's time is enough: decided from how long frames took so far."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from enum import Enum

_CLOSING_SECONDS = 1.0
_CLOSING_PART = 0.03
"""Of an invocation's time, what is kept for ending the encoder and verifying before it is known how long that takes; a second at least."""

_CLOSING_MARGIN = 1.5
"""Times the longest that closing a segment took."""


class Verdict(Enum):
    """What to do with the segment that is being drawn."""

    GO_ON = "go on"
    DROP = "drop"
    """It cannot be finished in time, and others were: it is drawn in the next invocation, as a whole."""
    CLOSE = "close"
    """Time is up and nothing has been finished: it ends here, so that the next invocation begins further on."""


class Pace:
    """Measures one run of segments against the moment (`time.monotonic`) at which the invocation must be done; None: there is none.

    `progressed` says that a segment was finished in this invocation, by whichever process.
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
        """The first frame is about to be drawn."""
        self._started = self._latest = self._clock()

    def drew(self) -> None:
        """One more frame is drawn."""
        self._frames += 1
        self._latest = self._clock()

    def closed(self, seconds: float) -> None:
        """Closing a segment took so long."""
        self._closing = max(self._closing, _CLOSING_MARGIN * seconds)

    def may_begin(self, frames: int) -> bool:
        """Whether a segment of so many frames can be finished; the first of an invocation is begun in any case."""
        return self._deadline is None or not self.progressed.is_set() or self._expected(frames) <= self._left()

    def verdict(self, frames: int) -> Verdict:
        """What to do with a segment of which so many frames are left to draw and at least one is drawn."""
        if self._deadline is None:
            return Verdict.GO_ON
        if self.progressed.is_set():
            return Verdict.GO_ON if self._expected(frames) <= self._left() else Verdict.DROP
        return Verdict.GO_ON if self._expected(1) <= self._left() else Verdict.CLOSE

    def _expected(self, frames: int) -> float:
        return frames * (self._latest - self._started) / self._frames if self._frames else 0.0

    def _left(self) -> float:
        return 0.0 if self._deadline is None else self._deadline - self._clock() - self._closing
