"""`python -m hyperframes_lambda.drawing.worker`: draw runs of segments on the orders of a parent process.

The input is JSON lines: the job, then `draw` with the segments of a run, or `progressed` when another worker has finished a segment. The
end of the input ends the worker, in the middle of a frame if necessary. The output is `drawn`, `finished`, `ended`, `failed`, and
`unforeseen` for an error outside the table. After `finished` the worker finishes no other segment until the parent sends `taken`.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Any

from hyperframes_lambda.contract.errors import RenderError
from hyperframes_lambda.contract.segments import Segment
from hyperframes_lambda.drawing.draw import draw
from hyperframes_lambda.drawing.job import Events, FinishedSegment, Job
from hyperframes_lambda.machine.plan_folder import read_manifest
from hyperframes_lambda.machine.workspace import as_disk_full

_GRACE_SECONDS = 2.0
"""Time for a worker to end on its own after its parent is gone."""

_ABANDONED = 70
"""Exit code of a worker that did not end in time."""


def main() -> int:
    """Work until the input ends, and return the exit code."""
    # Keeps output of libraries out of the reports.
    reports = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    worker = _Worker(Job.model_validate_json(sys.stdin.buffer.readline()), reports)
    threading.Thread(target=worker.listen, args=(sys.stdin.buffer,), name="orders", daemon=True).start()
    # A parent that no longer reads needs no reports.
    with suppress(BrokenPipeError):
        worker.work()
    return 0


class _Worker:
    """Draws in the main thread while another thread reads the orders."""

    def __init__(self, job: Job, reports: IO[str]) -> None:
        self._job = job
        self._reports = reports
        self._speaking = threading.Lock()
        self._runs: queue.SimpleQueue[list[Segment] | None] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._progressed = threading.Event()
        self._taken = threading.Event()
        self._drawn = 0

    def listen(self, orders: IO[bytes]) -> None:
        """Read the parent's orders; the end of the input ends the worker."""
        for line in orders:
            match json.loads(line):
                case {"draw": list(segments)}:
                    self._runs.put([read_segment(segment) for segment in segments])
                case {"progressed": True}:
                    self._progressed.set()
                case {"taken": True}:
                    self._taken.set()
        self._stopped.set()
        self._taken.set()
        self._runs.put(None)
        timer = threading.Timer(_GRACE_SECONDS, os._exit, (_ABANDONED,))
        timer.daemon = True
        timer.start()

    def work(self) -> None:
        """Draw runs until the input ends."""
        while (run := self._runs.get()) is not None:
            try:
                self._draw(run)
            except RenderError as error:
                self._failed(error)
            except Exception as error:  # noqa: BLE001 - the parent raises it again
                full = as_disk_full(error, self._job.scratch or self._job.out_dir)
                if full is not None:
                    self._failed(full)
                    continue
                told = {"name": type(error).__name__, "message": str(error), "trace": traceback.format_exc()}
                self._report({"unforeseen": told})

    def _draw(self, run: Sequence[Segment]) -> None:
        job = self._job
        self._drawn = 0
        events = Events(self._note, self._finished, self._stopped.is_set)
        effort = draw(job, read_manifest(job.plan_dir, job.plan_hash), run, events, self._progressed)
        self._report({"ended": {"drawn": self._drawn, "capture": effort.capture, "encode": effort.encode}})

    def _note(self, frames: int) -> None:
        self._report({"drawn": frames})

    def _finished(self, finished: FinishedSegment) -> None:
        self._drawn += finished.segment.frames
        segment = finished.segment
        placed = {"path": str(finished.path), "record": str(finished.record), "sha256": finished.sha256}
        self._taken.clear()
        self._report({"finished": {"segment": [segment.chunk, segment.first, segment.last], **placed}})
        if not self._stopped.is_set():
            self._taken.wait()

    def _failed(self, error: RenderError) -> None:
        self._report({"failed": {"code": error.code, "message": error.message, "hint": error.hint}})

    def _report(self, message: dict[str, Any]) -> None:
        with self._speaking:
            self._reports.write(json.dumps(message) + "\n")
            self._reports.flush()


def read_segment(numbers: Sequence[int]) -> Segment:
    """Return the segment from its JSON form: chunk, first and last frame."""
    chunk, first, last = numbers
    return Segment(chunk, first, last)


if __name__ == "__main__":
    sys.exit(main())
