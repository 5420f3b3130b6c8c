"""Draw a run of segments in one page: every segment has its encoder, and is finished while the next one is drawn."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.formats import Kind
from hyperframes_lambda.contract.plan import Manifest
from hyperframes_lambda.contract.segments import Segment
from hyperframes_lambda.drawing.pace import Pace, Verdict
from hyperframes_lambda.drawing.page import PlannedPage, planned_browser
from hyperframes_lambda.drawing.segments import ENCODED, SegmentWriter, segment_writer
from hyperframes_lambda.machine.plan_folder import file_sha256, write_atomically
from hyperframes_lambda.machine.tools import Tools
from hyperframes_lambda.media.codecs import codec_of
from hyperframes_lambda.media.gate_record import ChunkRecord, digest, packets_of, record_path
from hyperframes_lambda.media.process import DISK_FULL_HINT
from hyperframes_lambda.media.verify import verify_video

_BUFFERED_FRAMES = 3
"""Uncompressed frames, of four bytes a pixel, that Chromium holds at once: the one shown, the one drawn and the one read back."""

_REPORT_SECONDS = 0.25
"""Shortest time between two calls of `on_drawn`."""


@dataclass(frozen=True)
class FinishedSegment:
    """A segment in its place, verified, and its record beside it."""

    segment: Segment
    path: Path
    record: Path
    """What was captured, for the verification gate."""
    sha256: str


@dataclass(frozen=True)
class Effort:
    """Seconds spent drawing, without launching and opening, and seconds in which encoders worked or their work was verified."""

    capture: float = 0.0
    encode: float = 0.0

    def __add__(self, other: Effort) -> Effort:
        """Both together."""
        return Effort(self.capture + other.capture, self.encode + other.encode)


@dataclass(frozen=True)
class Events:
    """Who is told what. `drawn`: frames drawn of the run so far, some times a second; `finished` comes from another thread."""

    drawn: Callable[[int], None]
    finished: Callable[[FinishedSegment], None]
    should_stop: Callable[[], bool]
    """Asked before every frame; ends the run with `RENDER_CANCELLED`."""


def draw(
    plan_dir: Path,
    manifest: Manifest,
    segments: Sequence[Segment],
    out_dir: Path,
    *,
    tools: Tools,
    events: Events,
    pace: Pace,
    scratch: Path | None = None,
) -> Effort:
    """Draw `segments`, in their order, into `out_dir`: those that `pace` sees time for.

    A segment appears complete or not at all. Whatever ends the run, those that were finished stay. Raises what opening, drawing and
    encoding raise, and `DISK_FULL` when there is too little room in `scratch`.
    """
    frames = [frame for segment in segments for frame in range(segment.first, segment.last + 1)]
    needed = manifest.files_shown((segment.first, segment.last) for segment in segments)
    with (
        planned_browser(plan_dir, manifest, tools, scratch, needed=needed) as browser,
        browser.open(frames) as page,
        _Run(manifest, out_dir, tools, events, pace, scratch, page) as run,
    ):
        pace.start()
        for segment in segments:
            if not pace.may_begin(segment.frames) or not run.draw(segment):
                break
    return run.effort


class _Run:
    """The page that draws, and the thread that finishes what was drawn."""

    def __init__(
        self, manifest: Manifest, out_dir: Path, tools: Tools, events: Events, pace: Pace, scratch: Path | None, page: PlannedPage
    ) -> None:
        self._manifest = manifest
        self._out_dir = out_dir
        self._tools = tools
        self._events = events
        self._pace = pace
        self._scratch = scratch
        self._page = page
        self._drawn = 0
        self._capture = 0.0
        self._encode = 0.0
        """Counted by the finishing thread alone."""
        self._told_at = 0.0
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
        """Of the whole run; to be asked when it has ended."""
        return Effort(self._capture, self._encode)

    def draw(self, segment: Segment) -> bool:
        """Draw one segment and have it finished; False when time is short, and the run ends with it."""
        path = self._out_dir / segment.name(self._manifest.format.spec.segment_suffix)
        writer = segment_writer(self._manifest, segment, path, self._tools)
        writer.open()
        try:
            digests, verdict = self._draw_frames(segment, writer)
        except BaseException:
            writer.abandon()
            raise
        if verdict is Verdict.DROP:
            writer.abandon()
            self._tell(-len(digests))
            return False
        self._pace.progressed.set()
        # One at a time: an encoder that ends more slowly than its segment is drawn must not be joined by ever more of them.
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
            _require_room(self._scratch, self._manifest)
            started = time.perf_counter()
            png = self._page.capture(frame)
            self._capture += time.perf_counter() - started
            writer.write(png)
            digests.append(digest(png))
            self._pace.drew()
            self._tell(1)
        return digests, Verdict.GO_ON

    def _tell(self, frames: int) -> None:
        self._drawn += frames
        now = time.monotonic()
        if now >= self._told_at + _REPORT_SECONDS or frames < 0:
            self._told_at = now
            self._events.drawn(self._drawn)

    def _await_finish(self) -> None:
        """Wait until the segment before is finished; raises what finishing it raised."""
        if self._finishing:
            future, self._finishing = self._finishing[1], None
            future.result()

    def _finish(self, writer: SegmentWriter, planned: Path, segment: Segment, digests: list[str], early: bool) -> None:
        started = time.monotonic()
        writer.finish(early=early)
        ended = time.monotonic()
        manifest, spec = self._manifest, self._manifest.format.spec
        path = planned.replace(planned.with_name(segment.name(spec.segment_suffix)))
        if spec.kind in ENCODED:
            verify_video(
                self._tools.ffmpeg.path,
                path,
                fps=manifest.fps,
                frames=segment.frames,
                width=manifest.width,
                height=manifest.height,
                segment_starts=[0],
                decode=False,
                codec=codec_of(manifest.config),
            )
        packets = packets_of(self._tools.ffmpeg.path, path) if spec.kind is Kind.VIDEO else []
        sha256 = file_sha256(path)
        record = record_path(path)
        write_atomically(record, ChunkRecord(digests, writer.thumbnails, packets, spec.alpha, sha256).to_json().encode())
        self._pace.closed(time.monotonic() - started)
        self._encode += writer.seconds + time.monotonic() - ended
        self._events.finished(FinishedSegment(segment, path, record, sha256))


def _require_room(scratch: Path | None, manifest: Manifest) -> None:
    """`DISK_FULL` while Chromium can still draw: its frame buffers are files in the scratch folder, and without room for them it hangs."""
    usage = shutil.disk_usage(scratch or tempfile.gettempdir())
    if usage.free < _BUFFERED_FRAMES * manifest.width * manifest.height * 4:
        message = f"{usage.free >> 20} of {usage.total >> 20} MB are free in the scratch folder, too little for the browser's frame buffers"
        raise RenderError(ErrorCode.DISK_FULL, message, hint=DISK_FULL_HINT)
