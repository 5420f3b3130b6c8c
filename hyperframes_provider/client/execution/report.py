"""Report lines: one when something has changed, none otherwise. Pure functions; the callers poll and log."""

from __future__ import annotations

from dataclasses import dataclass, field

from hyperframes_lambda.contract.events import PlanResult
from hyperframes_provider.client.aws.console import execution_url
from hyperframes_provider.client.execution.executions import Execution, Status
from hyperframes_provider.client.execution.failure import Failure
from hyperframes_provider.client.execution.history import RetryNote
from hyperframes_provider.client.execution.progress import Progress
from hyperframes_provider.client.execution.result import RenderResult
from hyperframes_provider.client.execution.watch import Estimate, Snapshot
from hyperframes_provider.client.request.dialect import OWN, Dialect
from hyperframes_provider.client.request.names import short_id

_TIMES = "\N{MULTIPLICATION SIGN}"
_SHARE = 0.1
"""Share of all frames that must be new before frames alone justify a line."""
_WHOLE_FPS = 10
"""Frames per second below which a rate has a decimal."""
_AGAIN = 4
"""Factor by which throttling must grow before it is reported again."""


@dataclass
class Reporter:
    """Converter from successive snapshots of one render to lines."""

    _planned: bool = False
    _assembling: bool = False
    _retries: int = 0
    _throttled: int = 0
    """Throttled invocations above which another line is due."""
    _progress: Progress = field(default_factory=Progress)

    def lines(self, snapshot: Snapshot) -> list[str]:
        """Return the lines about changes since the last call."""
        lines: list[str] = []
        plan = snapshot.plan
        if plan is not None and not self._planned:
            self._planned = True
            lines.append(planned_line(snapshot.execution.name, plan, snapshot.estimate))
            if plan.sizing:
                lines.append(plan.sizing)
        lines += [retry_line(note, snapshot.dialect) for note in snapshot.retries[self._retries :]]
        self._retries = len(snapshot.retries)
        if snapshot.throttled > self._throttled:
            lines.append(throttled_line(snapshot.throttled))
            self._throttled = _AGAIN * snapshot.throttled
        if self._moved(snapshot.progress):
            self._progress = snapshot.progress
            lines.append(progress_line(snapshot.progress, snapshot.cost_usd))
        return lines

    def _moved(self, now: Progress) -> bool:
        before = self._progress
        if now.frames_total is None:
            return False
        return now.chunks_done != before.chunks_done or now.frames_done - before.frames_done >= max(1, now.frames_total * _SHARE)


def started_line(execution_name: str, how: str, because: str = "") -> str:
    """Return the first line: the execution, and how the request was fulfilled."""
    words = {
        "started": "started",
        "adopted": "adopted: an earlier attempt started it",
        "redriven": "continued from where it stopped",
        "finished": "adopted: an earlier attempt finished it",
    }
    return f"render {short_id(execution_name)}… {words[how]}" + (f" · {because}" if because else "")


def planned_line(execution_name: str, plan: PlanResult, estimate: Estimate | None) -> str:
    """Return a line like `render 6f1c… · 12 chunks planned · 2880 frames · … · estimated 41 s, $0.031`."""
    parts = [f"render {short_id(execution_name)}…", _pictures(plan)]
    if plan.reused:
        parts.append("plan reused")
    if estimate is not None:
        parts.append(f"estimated {estimate.seconds:.0f} s, {dollars(estimate.cost_usd)}")
    return " · ".join(parts)


def throttled_line(count: int) -> str:
    """Return the line about throttled invocations, which Step Functions repeats by itself."""
    return f"throttled {_count(count, 'time')}: other invocations use the concurrency, chunks wait for their turn"


def progress_line(progress: Progress, cost_usd: float) -> str:
    """Return a line like `3/12 chunks · 720/2880 frames · 92 fps · ETA 23 s · $0.008`, without unknown parts."""
    parts = []
    if progress.chunks_total and progress.frames_total is not None:
        parts.append(f"{progress.chunks_done}/{progress.chunks_total} chunks")
        parts.append(f"{progress.frames_done}/{progress.frames_total} frames")
    if progress.chunks_reused:
        parts.append(f"{progress.chunks_reused} reused")
    if progress.rate is not None:
        parts.append(f"{progress.rate:.{0 if progress.rate >= _WHOLE_FPS else 1}f} fps")
    if progress.eta:
        parts.append(f"ETA {progress.eta:.0f} s")
    return " · ".join([*parts, dollars(cost_usd)])


def retry_line(note: RetryNote, dialect: Dialect = OWN) -> str:
    """Return a line like `chunk 7 retried (BROWSER_CRASHED, attempt 2 of 4)`."""
    what = note.state if note.chunk is None else f"chunk {note.chunk}"
    return f"{what} retried ({note.error}, attempt {note.attempt} of {dialect.attempts(note.error)})"


def done_line(result: RenderResult) -> str:
    """Return a line like `done · 2880 frames · 96.000 s · 14.2 MB · $0.0296 · s3://…`."""
    # Sound alone has no chunks and no frames.
    length = [_count(result.frames, "frame"), f"{result.duration:.3f} s"] if result.chunks else [f"{result.duration:.3f} s"]
    return " · ".join(["done", *length, size(result.bytes), dollars(result.cost_usd), result.output_uri])


def failure_text(failure: Failure, execution_arn: str, *, with_console: bool = True) -> str:
    """Return a failure as text: error and place, message and hint, where to look, and the end of the log."""
    place = f" in {failure.state}" if failure.state else ""
    if failure.chunk is not None:
        place += f", chunk {failure.chunk}"
    tried = "not retried" if failure.attempts == 1 else f"tried {failure.attempts} times"
    address = execution_url(execution_arn) if with_console else execution_arn
    where = f"  execution  {address}"
    if failure.log_group:
        where += f"    log  {failure.log_group}"
        if failure.log_tail:
            where += f", last {_count(len(failure.log_tail), 'line')} below"
    # The handler's message begins with its role, which is the state's name.
    message = [f"  {line}" for line in failure.message.removeprefix(f"{failure.state}: ").splitlines()]
    return "\n".join([f"{failure.error}{place} ({tried})", *message, where, *(f"    {line}" for line in failure.log_tail)])


def cancelled_text(execution: Execution) -> str:
    """Return the line about a cancelled render, with the cause."""
    what = "was stopped" if execution.status is Status.ABORTED else "found its cancel marker and ended"
    return f"render {short_id(execution.name)}… {what}" + (
        f": {execution.cause}" if execution.cause and execution.status is Status.ABORTED else ""
    )


def dollars(amount: float) -> str:
    """Format an amount like `$0.0296`, with three or four decimals."""
    text = f"{amount:.4f}"
    return "$" + (text[:-1] if text.endswith("0") else text)


def size(count: int) -> str:
    """Format a size like `14.2 MB`, in decimal units."""
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def _pictures(plan: PlanResult) -> str:
    if not plan.chunk_count:
        return f"planned · {plan.format} · {plan.duration:.3f} s"
    pictures = f"{plan.width}{_TIMES}{plan.height}"
    frames = f"{_count(plan.chunk_count, 'chunk')} planned · {_count(plan.total_frames, 'frame')}"
    return f"{frames} · {plan.duration:.3f} s · {pictures} at {plan.fps} fps"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
