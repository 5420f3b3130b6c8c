"""A deadline for calls that cannot time out: Playwright's synchronous interface waits for an answer forever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Watchdog:
    """Runs `bite` once when a guarded call exceeds its time; the call then fails because its peer is gone.

    One thread serves every call of a session. Setting a deadline is an assignment: the thread reads it when the previous deadline has
    passed, so guarding a frame costs nothing.
    """

    def __init__(self, bite: Callable[[], None]) -> None:
        self.bitten = False
        self.patience = 0.0
        self.bite = bite
        self._deadline: float | None = None
        self._closed = False
        self._changed = threading.Condition()
        self._idle = True
        self._thread = threading.Thread(target=self._watch, name="browser-watchdog", daemon=True)
        self._thread.start()

    @contextmanager
    def guard(self, seconds: float) -> Iterator[None]:
        """Limit the body to `seconds`. Of nested guards, the innermost counts."""
        outer, self.patience = self._deadline, seconds
        self._deadline = time.monotonic() + seconds
        if self._idle:
            with self._changed:
                self._changed.notify()
        try:
            yield
        finally:
            self._deadline = outer

    def close(self) -> None:
        """Stop the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _watch(self) -> None:
        with self._changed:
            while not self._closed:
                deadline = self._deadline
                if deadline is None:
                    self._idle = True
                    # The deadline may have been set just before the flag.
                    if self._deadline is None:
                        self._changed.wait()
                    self._idle = False
                    continue
                remaining = deadline - time.monotonic()
                if remaining > 0:
                    self._changed.wait(remaining)
                elif self._deadline == deadline:
                    self.bitten = True
                    self._deadline = None
                    self.bite()
