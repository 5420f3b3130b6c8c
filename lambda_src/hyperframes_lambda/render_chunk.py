"""RenderChunk: draw one chunk's frames and encode them, while the next ones are drawn, into one segment."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.formats import Kind, OutputFormat
from hyperframes_lambda.contract.plan import Manifest, PlannedChunk, segment_name
from hyperframes_lambda.media import hls
from hyperframes_lambda.media.codecs import codec_of
from hyperframes_lambda.media.encode import RateControl, SegmentEncoder
from hyperframes_lambda.media.gate_record import ChunkRecord, digest, packets_of, record_path
from hyperframes_lambda.media.png_sequence import PngSegment
from hyperframes_lambda.media.process import DISK_FULL_HINT
from hyperframes_lambda.media.verify import verify_video
from hyperframes_lambda.plan_folder import file_sha256, read_manifest, require_build, write_atomically
from hyperframes_lambda.planned_page import planned_browser
from hyperframes_lambda.tools import Tools, find_tools

_ENCODED = (Kind.VIDEO, Kind.ANIMATION)
"""Kinds whose segments are encoded; the others keep the captured files."""

_BUFFERED_FRAMES = 3
"""Uncompressed frames, of four bytes a pixel, that Chromium holds at once: the one shown, the one drawn and the one read back."""

_REPORT_SECONDS = 0.25
"""Shortest time between two calls of `on_progress`."""


@dataclass(frozen=True)
class ChunkOutcome:
    """One finished segment."""

    index: int
    segment: Path
    record: Path
    """What was captured, for the verification gate; beside the segment."""
    sha256: str
    frames: int
    capture_ms: int
    """Time spent drawing, without launching, encoding and verifying."""


def render_chunk(
    plan_dir: Path,
    index: int,
    out_dir: Path,
    *,
    tools: Tools | None = None,
    plan_hash: str | None = None,
    on_progress: Callable[[int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    scratch: Path | None = None,
) -> ChunkOutcome:
    """Render chunk `index` of the plan in `plan_dir` to its segment in `out_dir`, which appears complete or not at all, and its record.

    `on_progress` is told the number of frames done, a few times per second and at the end; `should_stop` is asked before every frame and
    ends the chunk with `RENDER_CANCELLED`. Too little room in `scratch` is `DISK_FULL`. Also raises the plan's `…_MISMATCH` codes and
    whatever opening, drawing and encoding raise.
    """
    tools = tools or find_tools()
    manifest = read_manifest(plan_dir, plan_hash)
    require_build(manifest, tools.build())
    chunk = manifest.chunk(index)
    segment = out_dir / segment_name(manifest, index)
    report = _Throttled(on_progress)
    drawing = 0.0
    digests: list[str] = []
    frames = range(chunk.first, chunk.last + 1)
    with (
        planned_browser(plan_dir, manifest, tools, scratch, needed=manifest.files_of(index)) as browser,
        browser.open(frames) as page,
        _segment_writer(manifest, chunk, segment, tools) as writer,
    ):
        for done, frame in enumerate(frames):
            if should_stop is not None and should_stop():
                raise RenderError(ErrorCode.RENDER_CANCELLED, f"stopped before frame {frame}; {done} of {chunk.frames} frames were done")
            _require_room(scratch, manifest)
            started = time.perf_counter()
            png = page.capture(frame)
            drawing += time.perf_counter() - started
            writer.write(png)
            digests.append(digest(png))
            report(done + 1)
    spec = manifest.format.spec
    if spec.kind in _ENCODED:
        verify_video(
            tools.ffmpeg.path,
            segment,
            fps=manifest.fps,
            frames=chunk.frames,
            width=manifest.width,
            height=manifest.height,
            segment_starts=[0],
            decode=False,
            codec=codec_of(manifest.config),
        )
    packets = packets_of(tools.ffmpeg.path, segment) if spec.kind is Kind.VIDEO else []
    record = record_path(segment)
    write_atomically(record, ChunkRecord(digests, writer.thumbnails, packets, spec.alpha).to_json().encode())
    report.finish(chunk.frames)
    return ChunkOutcome(index, segment, record, file_sha256(segment), chunk.frames, round(drawing * 1000))


def _require_room(scratch: Path | None, manifest: Manifest) -> None:
    """`DISK_FULL` while Chromium can still draw: its frame buffers are files in the scratch folder, and without room for them it hangs."""
    usage = shutil.disk_usage(scratch or tempfile.gettempdir())
    if usage.free < _BUFFERED_FRAMES * manifest.width * manifest.height * 4:
        message = f"{usage.free >> 20} of {usage.total >> 20} MB are free in the scratch folder, too little for the browser's frame buffers"
        raise RenderError(ErrorCode.DISK_FULL, message, hint=DISK_FULL_HINT)


def _segment_writer(
    manifest: Manifest, chunk: PlannedChunk, segment: Path, tools: Tools
) -> AbstractContextManager[SegmentEncoder | PngSegment]:
    size = {"width": manifest.width, "height": manifest.height}
    if manifest.format.spec.kind not in _ENCODED:
        return PngSegment(segment, first=chunk.first, frames=chunk.frames, **size)
    config = manifest.config
    rate = RateControl.of(config.quality, codec=codec_of(config), crf=config.crf, bitrate=config.bitrate)
    forced = None
    if manifest.format is OutputFormat.HLS:
        forced = hls.keyframes(chunk.first, hls.fragment_frames(manifest.fps, config.hls_segment_seconds))
    return SegmentEncoder(tools.ffmpeg.path, segment, fps=manifest.fps, frames=chunk.frames, rate=rate, keyframes=forced, **size)


class _Throttled:
    """Calls `report` no more often than every `_REPORT_SECONDS`."""

    def __init__(self, report: Callable[[int], None] | None) -> None:
        self._report = report
        self._next = 0.0

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        if self._report is not None and now >= self._next:
            self._next = now + _REPORT_SECONDS
            self._report(done)

    def finish(self, done: int) -> None:
        if self._report is not None:
            self._report(done)
