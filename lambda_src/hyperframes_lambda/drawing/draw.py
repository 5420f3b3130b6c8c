"""Draw a run of segments in one page. Each segment has an encoder of its own, and is finished while the next one is drawn."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.plan import Manifest
from hyperframes_lambda.contract.segments import Segment
from hyperframes_lambda.drawing.job import Effort, Events, FinishedSegment, Job
from hyperframes_lambda.drawing.pace import Pace, Verdict
from hyperframes_lambda.drawing.page import PlannedPage, planned_browser
from hyperframes_lambda.drawing.segments import SegmentFormat, SegmentWriter
from hyperframes_lambda.machine.plan_folder import file_sha256, write_atomically
from hyperframes_lambda.media.gate_record import ChunkRecord, digest, record_path
from hyperframes_lambda.media.process import DISK_FULL_HINT

_BUFFERED_FRAMES = 3
"""Uncompressed frames, of four bytes a pixel, that Chromium holds at once: the one shown, the one drawn and the one read back."""

_REPORT_SECONDS = 0.25
"""Shortest time between two calls of `Events.drawn`."""


def draw(job: Job, manifest: Manifest, segments: Sequence[Segment], events: Events, progressed: threading.Event | None = None) -> Effort:
    """Draw `segments` in order, as many as the job's deadline allows; `progressed` is set once any worker has finished a segment.

    A segment appears complete or not at all, and finished segments stay whatever ends the run. Raise the errors of opening, drawing and
    encoding, and `DISK_FULL` when the scratch folder has too little room.
    """
    frames = [frame for segment in segments for frame in range(segment.first, segment.last + 1)]
    needed = manifest.files_shown((segment.first, segment.last) for segment in segments)
    pace = Pace(job.deadline, progressed)
    with (
        planned_browser(job.plan_dir, manifest, job.tools, job.scratch, needed=needed) as browser,
        browser.open(frames) as page,
        _Run(job, manifest, events, pace, page) as run,
    ):
        pace.start()
        for segment in segments:
            if not pace.may_begin(segment.frames) or not run.draw(segment):
                break
    return run.effort


class _Run:
    """The page that draws, and the thread that finishes drawn segments."""

    def __init__(self, job: Job, manifest: Manifest, events: Events, pace: Pace, page: PlannedPage) -> None:
        self._job = job
        self._manifest = manifest
        self._format = SegmentFormat.of(manifest, job.tools.ffmpeg.path)
        self._events = events
        self._pace = pace
        self._page = page
        self._drawn = 0
        self._capture = 0.0
        self._encode = 0.0
        """Counted by the finishing thread alone."""
        self._reported_at = 0.0
        self._finisher = ThreadPoolExecutor(1, thread_name_prefix="finish-segment")
        self._finishing: tuple[SegmentWriter, Future[None]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        given_up = isinstance(error, RenderError) and error.code is ErrorCode.RENDER_CANCELLED
        if self._finishing and error and (given_up or not isinstance(error, Exception)):
            self._finishing[0].stop()
        self._finisher.shutdown()
        if error is None:
            self._await_finish()

    @property
    def effort(self) -> Effort:
        """Seconds spent on the whole run, valid once it has ended."""
        return Effort(self._capture, self._encode)

    def draw(self, segment: Segment) -> bool:
        """Draw one segment and start finishing it. Return False when time is short, which ends the run."""
        path = self._job.out_dir / self._name(segment)
        writer = self._format.writer(segment, path)
        writer.open()
        try:
            digests, verdict = self._draw_frames(segment, writer)
        except BaseException:
            writer.abandon()
            raise
        if verdict is Verdict.DROP:
            writer.abandon()
            self._count(-len(digests))
            return False
        self._pace.progressed.set()
        # One at a time: encoders slower than the drawing must not pile up.
        try:
            self._await_finish()
        except BaseException:
            writer.abandon()
            raise
        drawn = Segment(segment.chunk, segment.first, segment.first + len(digests) - 1)
        self._finishing = writer, self._finisher.submit(self._finish, writer, path, drawn, digests, verdict is Verdict.CLOSE)
        return verdict is Verdict.GO_ON

    def _draw_frames(self, segment: Segment, writer: SegmentWriter) -> tuple[list[str], Verdict]:
        digests: list[str] = []
        for frame in range(segment.first, segment.last + 1):
            if self._events.should_stop():
                message = f"stopped before frame {frame}; {len(digests)} of {segment.frames} frames were done"
                raise RenderError(ErrorCode.RENDER_CANCELLED, message)
            if self._finishing and self._finishing[1].done():
                self._await_finish()
            verdict = self._pace.verdict(segment.last - frame + 1) if digests else Verdict.GO_ON
            if verdict is not Verdict.GO_ON:
                return digests, verdict
            _require_room(self._job.scratch, self._manifest)
            started = time.perf_counter()
            png = self._page.capture(frame)
            self._capture += time.perf_counter() - started
            writer.write(png)
            digests.append(digest(png))
            self._pace.drew()
            self._count(1)
        return digests, Verdict.GO_ON

    def _count(self, frames: int) -> None:
        """Add to the drawn frames and report them from time to time; a negative number takes back a dropped segment."""
        self._drawn += frames
        now = time.monotonic()
        if now >= self._reported_at + _REPORT_SECONDS or frames < 0:
            self._reported_at = now
            self._events.drawn(self._drawn)

    def _await_finish(self) -> None:
        """Wait until the previous segment is finished; raise the error of finishing it."""
        if self._finishing:
            future, self._finishing = self._finishing[1], None
            future.result()

    def _finish(self, writer: SegmentWriter, planned: Path, segment: Segment, digests: list[str], early: bool) -> None:
        """Close the encoder, verify the file, and write its record. A segment that ended early is renamed to the frames it holds."""
        started = time.monotonic()
        writer.finish(early=early)
        ended = time.monotonic()
        path = planned.replace(planned.with_name(self._name(segment)))
        self._format.verify(path, segment.frames)
        packets = self._format.packets(path)
        sha256 = file_sha256(path)
        record = record_path(path)
        alpha = self._manifest.format.spec.alpha
        write_atomically(record, ChunkRecord(digests, writer.thumbnails, packets, alpha, sha256).to_json().encode())
        self._pace.closed(time.monotonic() - started)
        self._encode += writer.seconds + time.monotonic() - ended
        self._events.finished(FinishedSegment(segment, path, record, sha256))

    def _name(self, segment: Segment) -> str:
        return segment.name(self._manifest.format.spec.segment_suffix)


def _require_room(scratch: Path | None, manifest: Manifest) -> None:
    """Raise `DISK_FULL` before Chromium hangs: its frame buffers are files in the scratch folder."""
    usage = shutil.disk_usage(scratch or tempfile.gettempdir())
    if usage.free < _BUFFERED_FRAMES * manifest.width * manifest.height * 4:
        message = f"the scratch folder has {usage.free >> 20} of {usage.total >> 20} MB free, too little for the browser's frame buffers"
        raise RenderError(ErrorCode.DISK_FULL, message, hint=DISK_FULL_HINT)
