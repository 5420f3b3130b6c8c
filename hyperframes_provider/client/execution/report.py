"""The lines of a task log: one when something changed, none when nothing did. Pure; who waits, and where lines go, is not its business."""

from __future__ import annotations

from dataclasses import dataclass, field

from hyperframes_lambda.contract.events import PlanResult
from hyperframes_provider.client.aws.console import execution_url
from hyperframes_provider.client.execution.executions import Execution, Status
from hyperframes_provider.client.execution.history import Failure, RetryNote
from hyperframes_provider.client.execution.progress import Progress
from hyperframes_provider.client.execution.result import RenderResult
from hyperframes_provider.client.execution.watch import Estimate, Snapshot
from hyperframes_provider.client.request.dialect import OWN, Dialect
from hyperframes_provider.client.request.names import short_id

_TIMES = "\N{MULTIPLICATION SIGN}"
_SHARE = 0.1
"""Part of all frames that must be new before frames alone are worth a line."""
_WHOLE_FPS = 10
"""Below so many frames a second their tenths matter."""
_AGAIN = 4
"""Throttling goes on in many small steps: it is worth another line when there is so many times as much of it."""


@dataclass
class Reporter:
    """Turns successive snapshots of one render into lines."""

    _planned: bool = False
    _assembling: bool = False
    _retries: int = 0
    _throttled: int = 0
    """Beyond so many throttled invocations it is said again that there are such."""
    _progress: Progress = field(default_factory=Progress)

    def lines(self, snapshot: Snapshot) -> list[str]:
        """What is new since the last call."""
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
    """The first line: which execution, and whether it is a new one."""
    words = {
        "started": "started",
        "adopted": "adopted: an earlier attempt started it",
        "redriven": "continued where it stopped",
        "finished": "adopted: an earlier attempt finished it",
    }
    return f"render {short_id(execution_name)}… {words[how]}" + (f" · {because}" if because else "")


def planned_line(execution_name: str, plan: PlanResult, estimate: Estimate | None) -> str:
    """`render 6f1c… · 12 chunks planned · 2880 frames · … · estimated 41 s, $0.031`."""
    parts = [f"render {short_id(execution_name)}…", _pictures(plan)]
    if plan.reused:
        parts.append("plan reused")
    if estimate is not None:
        parts.append(f"estimated {estimate.seconds:.0f} s, {dollars(estimate.cost_usd)}")
    return " · ".join(parts)


def throttled_line(count: int) -> str:
    """That the render waits for others to end; it goes on by itself."""
    return f"throttled {_count(count, 'time')}: other invocations use the concurrency, chunks wait for their turn"


def progress_line(progress: Progress, cost_usd: float) -> str:
    """`3/12 chunks · 720/2880 frames · 92 fps · ETA 23 s · $0.008`; what is unknown is left out."""
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
    """`chunk 7 retried (BROWSER_CRASHED, attempt 2 of 4)`."""
    what = note.state if note.chunk is None else f"chunk {note.chunk}"
    return f"{what} retried ({note.error}, attempt {note.attempt} of {dialect.attempts(note.error)})"


def done_line(result: RenderResult) -> str:
    """`done · 2880 frames · 96.000 s · 14.2 MB · $0.0296 · s3://…`."""
    # Sound alone has no chunks and no frames.
    length = [_count(result.frames, "frame"), f"{result.duration:.3f} s"] if result.chunks else [f"{result.duration:.3f} s"]
    return " · ".join(["done", *length, size(result.bytes), dollars(result.cost_usd), result.output_uri])


def failure_text(failure: Failure, execution_arn: str, *, with_console: bool = True) -> str:
    """A failure for the person who reads it at night: error and place, what was wrong and what to do, where to look, the log's end."""
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
    """Who stopped a render, and why."""
    what = "was stopped" if execution.status is Status.ABORTED else "found its cancel marker and ended"
    return f"render {short_id(execution.name)}… {what}" + (
        f": {execution.cause}" if execution.cause and execution.status is Status.ABORTED else ""
    )


def dollars(amount: float) -> str:
    """`$0.0296`: four decimals, trailing zeros beyond the third left out."""
    text = f"{amount:.4f}"
    return "$" + (text[:-1] if text.endswith("0") else text)


def size(count: int) -> str:
    """`14.2 MB`; decimal units."""
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
