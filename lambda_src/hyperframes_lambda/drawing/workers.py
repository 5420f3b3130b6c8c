"""Several processes that draw at the same time, each with its own page and encoders.

The processes run `worker` and exchange JSON lines over pipes, because a Lambda sandbox has no semaphores for `multiprocessing`.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hyperframes_lambda.contract.errors import ErrorCode, RenderError, named_error
from hyperframes_lambda.contract.segments import Segment
from hyperframes_lambda.drawing.job import Effort, Events, FinishedSegment, Job
from hyperframes_lambda.drawing.worker import read_segment
from hyperframes_lambda.machine.redaction import redactor
from hyperframes_lambda.media.process import pipe_of

_POLL_SECONDS = 0.1
_GRACE_SECONDS = 2.0
"""Time for workers to stop on their own."""

_KEPT_LINES = 8
"""Last lines of a worker's standard error, for the message about its death."""

_MEMORY_HINT = "The process probably ran out of memory: use fewer workers, or give the function more memory."


def draw_in_workers(job: Job, runs: Sequence[Sequence[Segment]], workers: int, events: Events) -> Effort:
    """Draw `runs` in up to `workers` processes, each run in one page as by `drawing.draw`, and return the effort of all.

    The first failure, or `events.should_stop`, stops all workers before it is raised; segments finished by then have been reported. A
    worker that dies is `Runtime.ExitError`. Any other exception in a worker is raised under the same name and with the same text. `events`
    are called from this thread alone; while `events.finished` waits, each worker finishes one more segment at most.
    """
    return _Crew(job, runs, events).work(min(workers, len(runs)))


class _Crew:
    """The workers, the waiting runs, and the queue of reports."""

    def __init__(self, job: Job, runs: Sequence[Sequence[Segment]], events: Events) -> None:
        self._job = job
        self._waiting = deque(runs)
        self._events = events
        self._reports: queue.SimpleQueue[tuple[_Worker, dict[str, Any] | None]] = queue.SimpleQueue()
        self._workers: list[_Worker] = []
        self._effort = Effort()
        self._drawn = 0
        """Frames of runs that have ended."""

    def work(self, count: int) -> Effort:
        """Draw all runs with `count` workers."""
        try:
            for _ in range(count):
                worker = _Worker(self._job, self._reports)
                self._workers.append(worker)
                worker.draw(self._waiting.popleft())
            while any(worker.busy for worker in self._workers):
                if self._events.should_stop():
                    raise RenderError(ErrorCode.RENDER_CANCELLED, f"stopped after {self._frames()} frames")
                try:
                    worker, report = self._reports.get(timeout=_POLL_SECONDS)
                except queue.Empty:
                    continue
                self._take(worker, report)
        finally:
            self._dismiss()
        return self._effort

    def _take(self, worker: _Worker, report: dict[str, Any] | None) -> None:
        match report:
            case None if worker.busy:
                raise worker.died()
            case {"drawn": int(frames)}:
                worker.drawn = frames
                self._events.drawn(self._frames())
            case {"finished": dict(finished)}:
                self._finished(worker, finished)
            case {"ended": {"drawn": int(frames), "capture": float(capture), "encode": float(encode)}}:
                self._effort += Effort(capture, encode)
                self._drawn += frames
                worker.drawn, worker.busy = 0, False
                if self._waiting:
                    worker.draw(self._waiting.popleft())
            case {"failed": {"code": str(code), "message": str(message), "hint": hint}}:
                raise RenderError(ErrorCode(code), message, hint=hint)
            case {"unforeseen": {"name": str(name), "message": str(message), "trace": str(trace)}}:
                sys.stderr.write(redactor.text(trace))
                raise named_error(name, message)

    def _finished(self, worker: _Worker, finished: dict[str, Any]) -> None:
        self._events.finished(
            FinishedSegment(read_segment(finished["segment"]), Path(finished["path"]), Path(finished["record"]), finished["sha256"])
        )
        worker.say({"taken": True})
        for other in self._workers:
            if other is not worker:
                other.say({"progressed": True})

    def _frames(self) -> int:
        return self._drawn + sum(worker.drawn for worker in self._workers)

    def _dismiss(self) -> None:
        """End every worker, busy or not, and process the segments finished by then."""
        for worker in self._workers:
            worker.dismiss()
        until = time.monotonic() + _GRACE_SECONDS
        for worker in self._workers:
            worker.end(until)
        while not self._reports.empty():
            worker, report = self._reports.get()
            if report and "finished" in report:
                self._finished(worker, report["finished"])


class _Worker:
    """A worker process and its state."""

    def __init__(self, job: Job, reports: queue.SimpleQueue[tuple[_Worker, dict[str, Any] | None]]) -> None:
        self.busy = False
        self.drawn = 0
        self._reports = reports
        self._said: deque[str] = deque(maxlen=_KEPT_LINES)
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        if job.scratch is not None:
            environment["TMPDIR"] = str(job.scratch)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "hyperframes_lambda.drawing.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            # Keeps Ctrl-C, which reaches the whole process group, for the parent alone.
            start_new_session=True,
        )
        self._readers = [
            threading.Thread(target=self._read_reports, name="worker-reports", daemon=True),
            threading.Thread(target=self._read_errors, name="worker-errors", daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        self.say(job.model_dump(mode="json"))

    def draw(self, run: Sequence[Segment]) -> None:
        """Hand over the next run."""
        self.busy = True
        self.say({"draw": [[segment.chunk, segment.first, segment.last] for segment in run]})

    def say(self, message: dict[str, Any]) -> None:
        """Send a line. A worker that is gone is noticed elsewhere, by the end of its reports."""
        try:
            pipe_of(self._process.stdin).write(json.dumps(message).encode() + b"\n")
            pipe_of(self._process.stdin).flush()
        except (BrokenPipeError, ValueError):
            return

    def dismiss(self) -> None:
        """End the worker, at once if it is busy, by closing its input."""
        try:
            pipe_of(self._process.stdin).close()
        except BrokenPipeError:
            return

    def end(self, until: float) -> None:
        """Wait for the end until the moment `until`, then kill the worker and the processes it left behind."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, until - time.monotonic()))
        self._kill()

    def died(self) -> RenderError:
        """Return the error for a worker that ended, or stopped reporting, before its run ended."""
        try:
            code = self._process.wait(_GRACE_SECONDS)
            how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        except subprocess.TimeoutExpired:
            code, how = 0, "stopped reporting"
        self._kill()
        said = "".join(f"\n{line}" for line in self._said)
        return RenderError(ErrorCode.RUNTIME_EXIT, f"a worker process {how}{said}", hint=_MEMORY_HINT if code == -signal.SIGKILL else None)

    def _kill(self) -> None:
        """Kill the worker and its descendants, and wait. A surviving descendant may keep a reader waiting, so that wait is limited."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for reader in self._readers:
            reader.join(_GRACE_SECONDS)

    def _read_reports(self) -> None:
        try:
            with pipe_of(self._process.stdout) as stdout:
                for line in stdout:
                    self._reports.put((self, json.loads(line)))
        except ValueError as error:
            self._said.append(f"a report is not JSON: {error}")
        finally:
            self._reports.put((self, None))

    def _read_errors(self) -> None:
        with pipe_of(self._process.stderr) as stderr:
            for line in stderr:
                text = redactor.text(line.decode("utf-8", "replace").rstrip())
                self._said.append(text)
                sys.stderr.write(f"{text}\n")
