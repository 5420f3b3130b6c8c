"""RenderChunk: draw what is missing of one chunk, segment by segment, in one process or several, as far as the time goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hyperframes_lambda.contract.plan import Manifest
from hyperframes_lambda.contract.segments import Coverage, on_grid, runs
from hyperframes_lambda.drawing.draw import Effort, Events, FinishedSegment, draw
from hyperframes_lambda.drawing.pace import Pace
from hyperframes_lambda.drawing.workers import draw_in_workers
from hyperframes_lambda.machine.plan_folder import read_manifest, require_build
from hyperframes_lambda.machine.tools import Tools, find_tools


@dataclass(frozen=True)
class ChunkOutcome:
    """What one invocation did for its chunk, and how far that is now."""

    index: int
    finished: list[FinishedSegment]
    """By this invocation, in order."""
    frames: int
    """Of the whole chunk, finished by whichever invocation."""
    next_frame: int | None
    """The first that is missing; None when the chunk is complete."""
    workers: int
    """Processes that drew at the same time; 0 when there was nothing to draw."""
    effort: Effort = field(default_factory=Effort)
    """Of all workers together."""

    @property
    def complete(self) -> bool:
        """Whether the segments tile the chunk."""
        return self.next_frame is None


def render_chunk(
    plan_dir: Path,
    index: int,
    out_dir: Path,
    *,
    manifest: Manifest | None = None,
    present: Coverage | None = None,
    workers: int = 1,
    deadline: float | None = None,
    tools: Tools | None = None,
    on_progress: Callable[[int], None] = lambda _: None,
    on_segment: Callable[[FinishedSegment], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
    scratch: Path | None = None,
) -> ChunkOutcome:
    """Render what the segments `present` (default: none) leave missing of chunk `index` of the plan in `plan_dir`, into `out_dir`.

    `manifest` is the plan's, if the caller has read it and held it to this build already.

    Segments lie on the plan's grid, and appear complete or not at all, each with its record. `on_segment` gets each as soon as it is
    finished, from another thread; `on_progress` is told the number of the chunk's frames that are finished or drawn, a few times per
    second and at the end; `should_stop` is asked before every frame and ends the chunk with `RENDER_CANCELLED`.

    `deadline` is the moment (`time.monotonic`) at which the work must be done. What does not fit in is left for another call, which is
    told what is present; at least one frame is finished whatever the deadline. `workers` processes draw a run of segments each.

    Too little room in `scratch` is `DISK_FULL`, a worker that dies `Runtime.ExitError`. Also raises the plan's `…_MISMATCH` codes and
    whatever opening, drawing and encoding raise.
    """
    tools = tools or find_tools()
    if manifest is None:
        manifest = read_manifest(plan_dir)
        require_build(manifest, tools.build())
    before = manifest.coverage(index, ()) if present is None else present
    planned = on_grid(index, manifest.chunk(index).first, before.missing, manifest.segment_frames)
    shared_out = runs(planned, workers)
    finished: list[FinishedSegment] = []

    def keep(segment: FinishedSegment) -> None:
        finished.append(segment)
        on_segment(segment)

    events = Events(lambda drawn: on_progress(before.frames + drawn), keep, should_stop)
    effort = Effort()
    if len(shared_out) == 1:
        pace = Pace(deadline)
        effort = draw(plan_dir, manifest, planned, out_dir, tools=tools, events=events, pace=pace, scratch=scratch)
    elif shared_out:
        effort = draw_in_workers(
            plan_dir, manifest, shared_out, out_dir, workers=workers, tools=tools, events=events, deadline=deadline, scratch=scratch
        )
    now = manifest.coverage(index, [*before.segments, *(segment.segment for segment in finished)])
    on_progress(now.frames)
    finished.sort(key=lambda one: one.segment)
    next_frame = now.missing[0][0] if now.missing else None
    return ChunkOutcome(index, finished, now.frames, next_frame, len(shared_out), effort)
