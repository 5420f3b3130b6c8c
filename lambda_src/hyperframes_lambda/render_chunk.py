"""RenderChunk: draw the missing part of a chunk, segment by segment, in one process or several, as far as time allows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hyperframes_lambda.contract.plan import Manifest
from hyperframes_lambda.contract.segments import Coverage, Segment, coverage, on_grid, runs
from hyperframes_lambda.drawing.draw import draw
from hyperframes_lambda.drawing.job import Effort, Events, FinishedSegment, Job
from hyperframes_lambda.drawing.workers import draw_in_workers
from hyperframes_lambda.machine.plan_folder import read_manifest, require_build
from hyperframes_lambda.machine.tools import Tools, find_tools


@dataclass(frozen=True)
class ChunkOutcome:
    """The result of one invocation, and the state of its chunk."""

    index: int
    finished: list[FinishedSegment]
    """Segments finished by this invocation, in order."""
    frames: int
    """Frames of the chunk finished so far, by any invocation."""
    next_frame: int | None
    """First missing frame; None when the chunk is complete."""
    workers: int
    """Processes that drew at the same time; 0 when nothing was missing."""
    effort: Effort = field(default_factory=Effort)
    """Sum over all workers."""

    @property
    def complete(self) -> bool:
        """Whether the segments tile the chunk."""
        return self.next_frame is None


def render_chunk(
    plan_dir: Path,
    index: int,
    out_dir: Path,
    *,
    present: Sequence[Segment] = (),
    workers: int = 1,
    deadline: float | None = None,
    tools: Tools | None = None,
    plan_hash: str | None = None,
    on_progress: Callable[[int], None] = lambda _: None,
    on_segment: Callable[[FinishedSegment], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
    scratch: Path | None = None,
) -> ChunkOutcome:
    """Render the frames of chunk `index` that the segments `present` do not cover, from the plan in `plan_dir` into `out_dir`.

    Segments lie on the plan's grid and appear complete or not at all, each with its record. `on_segment` receives each one as soon as it
    is finished, from another thread. `on_progress` receives the number of the chunk's frames finished or drawn, a few times a second and
    at the end. `should_stop` is asked before every frame; a true answer raises `RENDER_CANCELLED`.

    `deadline` is the moment (`time.monotonic`) by which the work must be done. Frames that do not fit are left for another call, which
    finds this call's segments in `present`; at least one frame is finished whatever the deadline. Each of `workers` processes draws a run
    of segments.

    Raise `DISK_FULL` for too little room in `scratch`, `Runtime.ExitError` for a worker that dies, a `…_MISMATCH` code for a plan of
    another build, and the errors of opening, drawing and encoding.
    """
    tools = tools or find_tools()
    manifest = read_manifest(plan_dir, plan_hash)
    require_build(manifest, tools.build())
    before = missing_of(manifest, index, present)
    planned = on_grid(index, manifest.chunk(index).first, before.missing, manifest.segment_frames)
    shared_out = runs(planned, workers)
    finished: list[FinishedSegment] = []

    def keep(segment: FinishedSegment) -> None:
        finished.append(segment)
        on_segment(segment)

    events = Events(lambda drawn: on_progress(before.frames + drawn), keep, should_stop)
    job = Job(plan_dir=plan_dir, plan_hash=manifest.plan_hash, out_dir=out_dir, tools=tools, deadline=deadline, scratch=scratch)
    effort = Effort()
    if len(shared_out) == 1:
        effort = draw(job, manifest, planned, events)
    elif shared_out:
        effort = draw_in_workers(job, shared_out, workers, events)
    now = missing_of(manifest, index, [*present, *(segment.segment for segment in finished)])
    on_progress(now.frames)
    finished.sort(key=lambda one: one.segment)
    next_frame = now.missing[0][0] if now.missing else None
    return ChunkOutcome(index, finished, now.frames, next_frame, len(shared_out), effort)


def missing_of(manifest: Manifest, index: int, present: Sequence[Segment]) -> Coverage:
    """Return the segments of chunk `index` among `present`, and the runs of frames that they leave missing."""
    chunk = manifest.chunk(index)
    return coverage((segment for segment in present if segment.chunk == index), chunk.first, chunk.last)
