"""Following an execution to its end: polls, report lines and the deadline."""

from __future__ import annotations

import time
from collections.abc import Callable

from hyperframes_provider.client.aws.calls import Pause, Steps
from hyperframes_provider.client.execution.failure import RenderTimedOut
from hyperframes_provider.client.execution.pace import Pace, patiently
from hyperframes_provider.client.execution.report import Reporter
from hyperframes_provider.client.execution.watch import RenderWatch, Snapshot


def follow(
    execution_arn: str,
    *,
    poll_interval: float,
    deadline: float | None,
    say: Callable[[str], None],
    warn: Callable[[str], None],
    enough: Callable[[Snapshot], bool],
) -> Steps[Snapshot]:
    """Poll an execution until it has ended, or `enough` returns True, and return the last snapshot.

    :param poll_interval: longest pause in seconds between two polls; the first ones are shorter
    :param deadline: Unix seconds past which `RenderTimedOut` is raised; the execution is not stopped
    :param say: called with a line whenever something has changed
    :param warn: called with a line about each error that is waited out
    """

    def bound(delay: float) -> float:
        if deadline is None:
            return delay
        left = deadline - time.time()
        if left <= 0:
            raise RenderTimedOut(execution_arn)
        return min(delay, left)

    watch, reporter, pace = RenderWatch(execution_arn), Reporter(), Pace(poll_interval)
    while True:
        snapshot = yield from patiently(watch.poll, pace, warn=warn, bound=bound)
        for line in reporter.lines(snapshot):
            say(line)
        if snapshot.execution.status.terminal or enough(snapshot):
            return snapshot
        yield Pause(bound(pace.after_answer(snapshot.progress.eta)))
