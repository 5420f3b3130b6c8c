"""The pool of execution environments: reserved concurrency, a limit of one per core, and warm environments."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

from hyperframes_provider.local.functions.environment import Environment, FunctionConfig, InvocationResult

_IDLE_SECONDS = 120.0
"""An environment that is idle for longer is ended."""


class ThrottledError(Exception):
    """The function's reserved concurrency is used up."""


class LambdaPool:
    """All environments of the endpoint; `start` creates one from a configuration.

    At most `capacity` processes run at once, whatever the reserved concurrency: forty browsers on a laptop render slower than four. Further
    invocations wait. A function's time limit starts after the wait, but a caller's limit, such as a state's `TimeoutSeconds`, includes it.
    """

    def __init__(self, capacity: int, start: Callable[[FunctionConfig], Environment]) -> None:
        self._capacity = capacity
        self._start = start
        self._lock = threading.Condition()
        self._idle: list[Environment] = []
        self._busy: dict[Environment, int] = {}
        """Each with the function's count in `_forgotten` at the time of its invocation."""
        self._forgotten: Counter[str] = Counter()
        self._starting = 0
        self._admitted: dict[str, int] = {}
        self._closed = threading.Event()
        threading.Thread(target=self._reap_idle, name="lambda-reaper", daemon=True).start()

    def invoke(self, config: FunctionConfig, reserved: int | None, event: bytes, client_context: str | None = None) -> InvocationResult:
        """Run `event` in a warm or new environment; wait for a free core, but raise `ThrottledError` at once over `reserved`."""
        with self._lock:
            if reserved is not None and self._admitted.get(config.arn, 0) >= reserved:
                raise ThrottledError(config.arn)
            self._admitted[config.arn] = self._admitted.get(config.arn, 0) + 1
            forgotten = self._forgotten[config.arn]
        try:
            environment = self._acquire(config, forgotten)
            reusable = False
            try:
                result = environment.invoke(event, client_context)
                reusable = result.reusable
                return result
            finally:
                self._release(environment, reusable)
        finally:
            with self._lock:
                self._admitted[config.arn] -= 1

    def forget(self, arn: str) -> None:
        """End the idle environments of a function that was changed or deleted; busy ones end after their event."""
        with self._lock:
            self._forgotten[arn] += 1
            stale = [environment for environment in self._idle if environment.config.arn == arn]
            self._idle = [environment for environment in self._idle if environment.config.arn != arn]
        for environment in stale:
            environment.close()

    def close(self) -> None:
        """End all environments, busy ones included."""
        with self._lock:
            self._closed.set()
            environments = [*self._idle, *self._busy]
            self._idle.clear()
            self._lock.notify_all()
        # In parallel: each takes as long as its processes need to die.
        closers = [threading.Thread(target=environment.close) for environment in environments]
        for closer in closers:
            closer.start()
        for closer in closers:
            closer.join()

    def _acquire(self, config: FunctionConfig, forgotten: int) -> Environment:
        evicted: Environment | None = None
        with self._lock:
            self._lock.wait_for(lambda: self._closed.is_set() or len(self._busy) + self._starting < self._capacity)
            if self._closed.is_set():
                raise ThrottledError(config.arn)
            warm = next((environment for environment in reversed(self._idle) if environment.config == config and environment.alive()), None)
            if warm is not None:
                self._idle.remove(warm)
                self._busy[warm] = forgotten
                return warm
            if len(self._idle) + len(self._busy) + self._starting >= self._capacity:
                evicted = self._idle.pop(0)
            self._starting += 1
        environment: Environment | None = None
        try:
            if evicted is not None:
                evicted.close()
            environment = self._start(config)
        finally:
            with self._lock:
                self._starting -= 1
                if environment is not None:
                    self._busy[environment] = forgotten
                else:
                    self._lock.notify()
        return environment

    def _release(self, environment: Environment, reusable: bool) -> None:
        with self._lock:
            current = self._busy.pop(environment) == self._forgotten[environment.config.arn]
            keep = reusable and current and not self._closed.is_set()
            if keep:
                self._idle.append(environment)
            self._lock.notify()
        if not keep:
            environment.close()

    def _reap_idle(self) -> None:
        while not self._closed.wait(_IDLE_SECONDS / 4):
            with self._lock:
                stale = [e for e in self._idle if time.monotonic() - e.idle_since > _IDLE_SECONDS or not e.alive()]
                self._idle = [environment for environment in self._idle if environment not in stale]
            for environment in stale:
                environment.close()
